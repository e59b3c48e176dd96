"""What users do who were given a candidate at random: their outcomes against those of the incumbent's users.

Users are the units: a user counts once, with the mean of what he did, in the slice of his first request.
"""

import numpy as np
import pandas as pd
from scipy.stats import chi2

from migration_kit.canary_users import canary_users, planned_shares
from migration_kit.checks import CheckResult
from migration_kit.data import EvalData
from migration_kit.estimands import TOTAL
from migration_kit.intervals import estimate_table, summarise
from migration_kit.plan import Plan
from migration_kit.plan_live import LiveOutcomeSpec
from migration_kit.wording import counted, number, share

LAYER, METHOD = "canary", "live"
SAMPLE_RATIO = "users were split as planned"
DRAWS, GROUPS = 4000, 400
MISMATCH, FEWEST_EXPECTED = 0.001, 5
SILENT_COLUMNS = (
    "criterion", "model", "slice", "users", "users_incumbent", "answered", "answered_incumbent", "rate",
    "rate_incumbent", "contrast", "margin", "silent", "gap", "reachable")


def canary_table(data: EvalData, plan: Plan) -> pd.DataFrame:
    """Outcomes of users by model and slice, and for every candidate by step of its ramp.

    Returns
    -------
    DataFrame
        criterion, candidate ("" over all steps), step (share of users with that candidate; NaN over all steps), model,
        slice ("all" first), users, mean, sd (between users).
    """
    users = canary_users(data, plan)
    of = ["criterion", "candidate", "step", "model", "slice"]
    parts = [users.assign(candidate="", step=np.nan, slice=TOTAL), users.assign(candidate="", step=np.nan)]
    for model in (name for name in plan.candidates if (users["model"] == name).any()):
        both = users[users["model"].isin([model, plan.incumbent])]
        both = both[both["day"] >= both.loc[both["model"] == model, "day"].min()]
        parts.append(both.assign(candidate=model, step=both["period"].map(planned_shares(users, model, plan)),
                                 slice=TOTAL))
    values = pd.concat(parts).groupby(of, dropna=False, sort=False)["value"]
    return values.agg(users="size", mean="mean", sd="std").reset_index()


def outcome_contrasts(data: EvalData, plan: Plan, *, seed: int) -> pd.DataFrame:
    """Posterior of every live outcome by model, and of candidate minus incumbent, in total and by slice.

    A Bayesian bootstrap over the users of a model and slice; of a binary outcome with half a user at 0 and at 1, so
    that a slice in which all users agree is not taken as certain. The total weighs slices by the plan's traffic, over
    the slices in which both models have users.

    Returns
    -------
    DataFrame
        Columns `ESTIMATE_COLUMNS`; layer "canary", criterion the id of the outcome, method "live", n_labels the users
        of the model with that outcome. Contrasts are positive where the candidate is better, in the outcome's own
        unit; prob_noninferior is against its margin. NaN without users.
    """
    users, rng, rows = canary_users(data, plan), np.random.default_rng(seed), []
    names, weight = data.traffic["slice"].tolist(), data.traffic["share"].to_numpy()
    for outcome in plan.live_outcomes:
        mine = users[users["criterion"] == outcome.id]
        cells = {key: part["value"].to_numpy() for key, part in mine.groupby(["model", "slice"])}
        models = [model for model in plan.model_ids if (mine["model"] == model).any()]
        values = {model: [cells.get((model, name), np.zeros(0)) for name in names] for model in models}
        draws = {model: np.stack([_bootstrap(one, outcome, rng=rng) for one in values[model]]) for model in models}
        sign = 1 if outcome.better == "higher" else -1
        drawn = [("quality", model, draws[model], None) for model in models]
        if plan.incumbent in models:
            drawn += [("contrast", model, sign * (draws[model] - draws[plan.incumbent]), outcome.margin)
                      for model in models if model != plan.incumbent]
        for quantity, model, by_slice, margin in drawn:
            n = [len(one) for one in values[model]]
            both = zip((TOTAL, *names), (_weighted(by_slice, weight), *by_slice), (sum(n), *n), strict=True)
            rows += [{"criterion": outcome.id, "model": model, "slice": name, "quantity": quantity, "n_labels": users_,
                      **summarise(one, interval=plan.sampling.interval, margin=margin)} for name, one, users_ in both]
    return estimate_table(rows, layer=LAYER, method=METHOD)


def sample_ratio_check(data: EvalData, plan: Plan) -> CheckResult:
    """Each model has as many users as the assigned probabilities say, at every step (χ², fails at p < 0.001).

    A mismatch means that users were lost or moved on the way, and then the groups differ by more than the model.
    """
    users = canary_users(data, plan).sort_values("period", kind="stable").drop_duplicates("user")
    if users.empty:
        return CheckResult(SAMPLE_RATIO, None, "There is no canary, so there is no split of users to check.")
    if users["assigned_prob"].isna().all():
        return CheckResult(SAMPLE_RATIO, None, "The canary does not say with which probability users were given their "
                           "model (column assigned_prob), so whether they were split as planned is not known.")
    by_period = users.groupby(["period", "model"])["assigned_prob"]
    several = by_period.nunique().groupby("period").max() > 1
    planned = by_period.first().unstack()[~several]
    # A model without users in a period was to be given to those the others leave.
    rest = (1 - planned.sum(axis=1)).clip(lower=0) / planned.isna().sum(axis=1).clip(lower=1)
    planned = planned.apply(lambda column: column.fillna(rest)).round(6)
    seen = by_period.size().unstack(fill_value=0).loc[planned.index]
    rows = []
    for shares, part in seen.groupby([planned[model] for model in planned]):
        n, planned_here = part.sum(), np.array(shares) / np.sum(shares)
        expected = n.sum() * planned_here
        told = expected >= FEWEST_EXPECTED
        if told.sum() < 2:
            continue
        p = float(chi2.sf((((n - expected) ** 2) / expected)[told].sum(), told.sum() - 1))
        step = round(1 - dict(zip(planned, planned_here, strict=True)).get(plan.incumbent, 0.0), 6)
        rows += [{"step": step, "model": model, "users": int(n[model]), "expected": float(one), "p": p}
                 for model, one, used in zip(planned, expected, told, strict=True) if used]
    table = pd.DataFrame(rows, columns=["step", "model", "users", "expected", "p"])
    if table.empty:
        return CheckResult(SAMPLE_RATIO, None, f"Fewer than {FEWEST_EXPECTED} users of a model were to be expected, "
                           "too few to tell whether users were split as planned.", table=table)
    worst = table[table["p"] == table["p"].min()]
    off = (worst["users"] / worst["expected"] - 1).abs()
    most = worst.loc[off[worst["model"] != plan.incumbent].idxmax() if (worst["model"] != plan.incumbent).any()
                     else off.idxmax()]
    passed = bool(most["p"] >= MISMATCH)
    text = (f"While {share(most['step'])} of users were to have a candidate, {counted(most['users'], 'user')} had "
            f"{most['model']} where {counted(round(most['expected']), 'user')} were to be expected "
            f"(p = {number(most['p']) if most['p'] >= 1e-6 else '0.000001 or less'}).")
    if table["step"].nunique() > 1:
        text += " At the other steps the split differs less."
    if not passed:
        text += (" That is no chance: users were lost or moved on the way, so the groups differ by more than the "
                 "model. Mend the assignment and start the step anew.")
    left = int(users["period"].isin(several.index[several]).sum())
    if left:
        text += f" {counted(left, 'user')} of hours in which the share changed are left out."
    return CheckResult(SAMPLE_RATIO, passed, text, models=() if passed else tuple(
        name for name in worst["model"] if name != plan.incumbent), table=table)


def silent_users(data: EvalData, plan: Plan) -> pd.DataFrame:
    """How much worse users who gave no answer would have to be for the contrast of all users to reach the margin.

    Returns
    -------
    DataFrame
        Columns `SILENT_COLUMNS`, one row a binary outcome that some users lack, a candidate and a slice ("all" first).
        answered are shares of users; rate and contrast are of those who answered, contrast positive where the candidate
        is better. silent is the rate among the candidate's silent users at which the contrast of all users equals
        −margin (no difference where there is no margin), if the incumbent's silent users are like those who answered;
        gap how much better than the incumbent's they then are (negative: worse), reachable whether `silent` is a rate
        at all. Worry when `gap` is near 0: people who keep silent need to differ little to change the verdict.
    """
    users, rows = canary_users(data, plan), []
    everyone = users.drop_duplicates("user")
    for outcome in (one for one in plan.live_outcomes if one.scale == "binary"):
        mine = users[users["criterion"] == outcome.id]
        if mine.empty or len(mine) == len(everyone):
            continue
        for model in (name for name in plan.candidates if (everyone["model"] == name).any()):
            for name in (TOTAL, *data.traffic["slice"]):
                row = _silent(mine, everyone, {"": model, "_incumbent": plan.incumbent}, slice_=name)
                if row is None:
                    continue
                sign = 1 if outcome.better == "higher" else -1
                row |= {"criterion": outcome.id, "model": model, "slice": name,
                        "margin": np.nan if outcome.margin is None else outcome.margin,
                        "contrast": sign * (row["rate"] - row["rate_incumbent"])}
                silent = float(silent_rate(row, row["rate_incumbent"], better=outcome.better))
                rows.append(row | {"silent": silent, "gap": sign * (silent - row["rate_incumbent"]),
                                   "reachable": 0 <= silent <= 1})
    return pd.DataFrame(rows, columns=list(SILENT_COLUMNS))


def silent_rate(row: pd.Series | dict, silent_incumbent: float | np.ndarray, *, better: str) -> float | np.ndarray:
    """Rate among the candidate's silent users at which the contrast of all users equals −margin.

    Parameters
    ----------
    row : Series or dict
        Of `silent_users`.
    silent_incumbent : float or ndarray
        Rate among the incumbent's silent users.
    better : {"higher", "lower"}
    """
    margin = 0.0 if np.isnan(row["margin"]) else row["margin"]
    old = row["answered_incumbent"] * row["rate_incumbent"] + (1 - row["answered_incumbent"]) * silent_incumbent
    lost = margin if better == "higher" else -margin
    # With every user's answer there is nobody to tip the balance.
    silent = max(1 - row["answered"], 1e-12)
    return (old - lost - row["answered"] * row["rate"]) / silent


def _silent(mine: pd.DataFrame, everyone: pd.DataFrame, models: dict[str, str], *, slice_: str) -> dict | None:
    """Users, answers and rate of candidate ("") and incumbent in one slice; None where one of them has no answer."""
    found = {}
    for end, model in models.items():
        here = [part[(part["model"] == model) & ((part["slice"] == slice_) | (slice_ == TOTAL))]
                for part in (mine, everyone)]
        if here[0].empty:
            return None
        found |= {f"users{end}": len(here[1]), f"answered{end}": len(here[0]) / len(here[1]),
                  f"rate{end}": here[0]["value"].mean()}
    return found


def _weighted(by_slice: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Total over the slices with users, dims (draw,); NaN without any."""
    known = ~np.isnan(by_slice[:, 0]) & (weight > 0)
    return weight[known] @ by_slice[known] / weight[known].sum() if known.any() else np.full(DRAWS, np.nan)


def _bootstrap(values: np.ndarray, outcome: LiveOutcomeSpec, *, rng: np.random.Generator) -> np.ndarray:
    """Draws of a mean over users, dims (draw,): Dirichlet weights on what they did; NaN where nothing can be told."""
    if not len(values) or (not outcome.levels and np.ptp(values) == 0):
        return np.full(DRAWS, np.nan)
    level, count = np.unique(values, return_counts=True)
    if len(level) > GROUPS:
        # Of many values, those next to each other in size weigh together.
        group = np.minimum(np.arange(len(values)) * GROUPS // len(values), GROUPS - 1)
        count = np.bincount(group)
        level = np.bincount(group, weights=np.sort(values)) / count
    count = count.astype(float)
    if outcome.levels:
        level, count = np.append(level, outcome.levels), np.append(count, [0.5, 0.5])
    weights = rng.standard_gamma(count, size=(DRAWS, len(count)))
    return weights @ level / weights.sum(axis=1)
