"""Have traffic or metrics moved since the test set was drawn and the plan was written?"""

import numpy as np
import pandas as pd
from scipy.stats import chi2

from migration_kit.checks import CheckResult
from migration_kit.data import EvalData
from migration_kit.intervals import NORMAL
from migration_kit.plan import Plan
from migration_kit.wording import counted, listed, share

LIVE_STAGES = ("shadow", "canary")
MOVED = 0.05
SURE = 0.01
DRIFTED = 0.1
FEWEST_ANCHORS = 20


def live_mix(data: EvalData) -> pd.DataFrame:
    """Share of every slice in production traffic, the test set and the live requests of each stage.

    Returns
    -------
    DataFrame
        slice, traffic, test_set, and where there are such requests shadow and canary with their counts shadow_n and
        canary_n; shares sum to 1 in each column, the largest share of traffic first.
    """
    mix = data.traffic[["slice", "share"]].rename(columns={"share": "traffic"})
    items = data.items["slice"].value_counts(normalize=True)
    mix["test_set"] = mix["slice"].map(items).fillna(0.0)
    requests = data.live.drop_duplicates(["stage", "item_id"])
    for stage in LIVE_STAGES:
        counts = requests.loc[requests["stage"] == stage, "slice"].value_counts()
        if len(counts):
            mix[f"{stage}_n"] = mix["slice"].map(counts).fillna(0).astype(int)
            mix[stage] = mix[f"{stage}_n"] / counts.sum()
    return mix.sort_values("traffic", ascending=False, kind="stable", ignore_index=True)


def one_slice(mix: pd.DataFrame, stage: str) -> str:
    """Name the only slice that the requests of a stage are of, or nothing where they are of several or have no slices.

    Such requests were taken from that slice on purpose, and are no sample of all traffic.
    """
    held = mix.loc[mix[f"{stage}_n"] > 0, "slice"]
    return str(held.iloc[0]) if len(held) == 1 and (mix["traffic"] > 0).sum() > 1 else ""


def mix_check(mix: pd.DataFrame) -> CheckResult:
    """Live requests come from the slices as the plan's traffic says: fewer than 5% of them sit elsewhere.

    The part that sits elsewhere is the total variation distance of two mixes; it fails only where a χ² test is sure
    (p < 0.01) that the mix has moved at all. Results are weighed by the plan's traffic, so a moved mix means that the
    weights are out of date. A stage whose requests are all of one slice says nothing of the mix.
    """
    name, moved, told, silent = "live traffic is what the plan weighs", [], [], []
    for stage in (stage for stage in LIVE_STAGES if stage in mix):
        if only := one_slice(mix, stage):
            silent.append(f"All {counted(mix[f'{stage}_n'].sum(), f'{stage} request')} are of {only}, so they do not "
                          "show whether the traffic of the plan still holds.")
            continue
        n, expected = mix[f"{stage}_n"].sum(), mix["traffic"].to_numpy()
        used = expected > 0
        statistic = ((mix[f"{stage}_n"] - n * expected) ** 2)[used] / (n * expected)[used]
        p = float(chi2.sf(statistic.sum(), max(used.sum() - 1, 1)))
        apart = mix[stage] - mix["traffic"]
        most = mix.loc[apart.abs().idxmax()]
        elsewhere = float(apart.abs().sum() / 2)
        told.append(f"{share(elsewhere)} of {counted(n, f'{stage} request')} sit in other slices than the plan's "
                    f"traffic says, most so in {most['slice']} ({share(most[stage])} instead of "
                    f"{share(most['traffic'])})")
        if elsewhere > MOVED and p < SURE:
            moved.append(stage)
    if not told:
        nothing = "There are no live requests to compare the traffic of the plan with."
        return CheckResult(name, None, " ".join(silent) or nothing, table=mix)
    text = " ".join([f"{'; '.join(told)}.", *silent])
    if moved:
        text += f" The mix of {listed(moved)} has moved: bring the plan's traffic up to date and run again."
    return CheckResult(name, not moved, text, table=mix)


def anchor_drift(data: EvalData, plan: Plan) -> pd.DataFrame:
    """Metrics run again on frozen outputs of the test set, against what they said then.

    Returns
    -------
    DataFrame
        criterion, metric, model, n (outputs), shift (now minus then, in standard deviations of the metric on the test
        set), lower, upper (of its mean), same (share of outputs with the same value). Worry when the interval lies
        beyond ±0.1: the metric is no longer the one that was calibrated.
    """
    again = data.live[(data.live["stage"] == "anchor") & (data.live["rater_kind"] != "human")]
    key = ["item_id", "model", "criterion", "rater"]
    then = data.scores[data.scores["rater_kind"] != "human"]
    both = again.merge(then[[*key, "value"]], on=key, suffixes=("_now", "_then"))
    spread = then.groupby(["criterion", "rater"])["value"].std()
    rows = []
    for (criterion, metric), group in both.groupby(["criterion", "rater"], sort=False):
        sd = spread.get((criterion, metric), np.nan)
        parts = [("all", group), *group.groupby("model", sort=False)]
        for model, part in parts:
            difference = (part["value_now"] - part["value_then"]).to_numpy() / (sd if sd > 0 else 1.0)
            reach = NORMAL.inv_cdf((1 + plan.sampling.interval) / 2)
            error = difference.std(ddof=1) / np.sqrt(len(part)) if len(part) > 1 else np.nan
            rows.append({"criterion": criterion, "metric": metric, "model": model, "n": len(part),
                         "shift": difference.mean(), "lower": difference.mean() - reach * error,
                         "upper": difference.mean() + reach * error, "same": float((difference == 0).mean())})
    return pd.DataFrame(rows, columns=["criterion", "metric", "model", "n", "shift", "lower", "upper", "same"])


def anchor_check(drift: pd.DataFrame) -> CheckResult:
    """No metric is shown to have moved by more than a tenth of its standard deviation since the test set was scored."""
    name = "metrics still say what they said"
    total = drift[(drift["model"] == "all") & (drift["n"] >= FEWEST_ANCHORS)]
    if total.empty:
        few = f"fewer than {FEWEST_ANCHORS} outputs" if len(drift) else "no outputs"
        return CheckResult(name, None, f"Metrics were run again on {few} of the test set, so whether they have drifted "
                           "is not known.", table=drift)
    shown = total[(total["lower"] > DRIFTED) | (total["upper"] < -DRIFTED)]
    worst = total.loc[total["shift"].abs().idxmax()]
    text = (f"Run again on {counted(worst['n'], 'frozen output')}, {worst['metric']} moved most: by "
            f"{abs(worst['shift']):.2f} of its standard deviations {'upwards' if worst['shift'] > 0 else 'downwards'}, "
            f"with {share(worst['same'])} of its values unchanged.")
    if len(shown):
        text += (f" {listed(list(shown['metric']))} no longer {'says' if len(shown) == 1 else 'say'} "
                 "what was calibrated: what it says of live requests must not be held against the test set.")
    return CheckResult(name, shown.empty, text, table=drift)
