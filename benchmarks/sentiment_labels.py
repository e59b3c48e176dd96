"""How often does the answer on data/sentiment hold under other labels? Writes benchmarks/results/sentiment_labels.csv.

The committed labels are one draw of 200 items and of one rater for each. Here both are drawn again and again from all
ratings; the contrasts under production traffic are held against those of all judgments. `sentiment_alarms.csv` counts
how often a metric is named because it says the opposite of the calibrated contrast.

Run: python benchmarks/sentiment_labels.py --draws 200     a stopped run goes on where it was
"""

import argparse
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import xarray as xr
from common import ROOT, code_digest, coverage_table, run_replicates, write_result
from real_data import OTHER_DRAWS, fit_one

from migration_kit.alarms import raw_alarms
from migration_kit.crosschecks import cross_checks
from migration_kit.data import EvalData, load_data
from migration_kit.estimands import TOTAL, estimate_rows, quality
from migration_kit.features import build_features
from migration_kit.plan import Plan, load_plan

PLAN = ROOT / "data/sentiment/migration.yml"
CRITERION = "polarity"
SEED = 20260801
DRAWS = TUNE = 500
WORDS = {"negative": -1, "neutral": 0, "positive": 1}
METHODS = ("calibrated", "corrected", "labels_only", "verdict_strata", "ppi")


@cache
def load() -> tuple[Plan, EvalData]:
    """The committed migration."""
    plan = load_plan(PLAN)
    return plan, load_data(plan)


@cache
def ratings() -> pd.DataFrame:
    return pd.read_parquet(PLAN.parent / "ratings.parquet").set_index("item_id")


def drawn_features(number: int) -> xr.Dataset:
    """Judge as many random items as the migration has, by one random rater each, the same rater for all models."""
    plan, data = load()
    rng, human = np.random.default_rng([SEED, number]), data.scores["rater_kind"] == "human"
    items = rng.choice(data.items["item_id"], data.scores.loc[human, "item_id"].nunique(), replace=False)
    counts = ratings().loc[items, ["n_negative", "n_neutral", "n_positive"]].to_numpy()
    picked = rng.random(len(items)) * counts.sum(axis=1)
    rated = pd.Series((picked[:, None] >= counts.cumsum(axis=1)).sum(axis=1) - 1, index=items)
    judged = data.outputs[data.outputs["item_id"].isin(items)]
    agrees = judged["text"].map(WORDS).to_numpy() == rated.loc[judged["item_id"]].to_numpy()
    like = data.scores[human].iloc[0]
    rows = judged[["item_id", "model"]].assign(**like.drop(["item_id", "model"]).to_dict()).assign(
        value=agrees.astype(float))
    scores = pd.concat([data.scores[~human], rows[data.scores.columns]], ignore_index=True)
    return build_features(replace(data, scores=scores.astype(data.scores.dtypes)), plan, CRITERION)


def truth(features: xr.Dataset, data: EvalData, plan: Plan) -> pd.DataFrame:
    """What all judgments say under production traffic; columns quantity, model, truth."""
    held_out = data.held_out.pivot(index="item_id", columns="model", values="value")
    by_slice = held_out.groupby(data.items.set_index("item_id")["slice"])[list(plan.model_ids)].mean()
    rate = by_slice.mul(features["share"].to_series(), axis=0).sum()
    differs = (rate - rate[plan.incumbent]).drop(plan.incumbent)
    return pd.concat({"quality": rate, "contrast": differs}, names=["quantity", "model"]).rename("truth").reset_index()


def replicate(number: int) -> pd.DataFrame:
    """Estimate quality and contrasts from one draw of labels, and look for alarms."""
    (plan, data), features = load(), drawn_features(number)
    fit = fit_one(features, draws=DRAWS, tune=TUNE, seed=number, more=lambda: [
        drawn_features(number + one) for one in range(1, OTHER_DRAWS + 1)])
    drawn = quality(fit, features, traffic=True, seed=number)
    calibrated = estimate_rows(drawn, features, incumbent=plan.incumbent, layer="traffic",
                               interval=plan.sampling.interval, margin=plan.criterion(CRITERION).margin)
    table = pd.concat([calibrated, cross_checks(features, plan, traffic=True, seed=number)], ignore_index=True)
    table = table[(table["slice"] == TOTAL) & table["method"].isin(METHODS)]
    table = table.merge(truth(features, data, plan), on=["quantity", "model"]).drop(columns="slice")
    alarms = raw_alarms({CRITERION: drawn}, {CRITERION: features}, plan)[["metric", "model", "prob_opposite", "alarm"]]
    alarms = alarms.astype({"alarm": float}).assign(quantity="alarm")
    return pd.concat([table, alarms]).assign(divergent=float(fit["sample_stats"]["diverging"].mean()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=200)
    given = parser.parse_args()
    code = code_digest("alarms")
    rows = run_replicates(f"sentiment_labels-{code}", replicate, given.draws)
    cpu_s, assurance = rows.groupby("replicate")["cpu_s"].first().sum(), load()[0].decision.assurance
    print(f"{rows.groupby('replicate')['divergent'].first().mean():.2%} of draws divergent")

    intervals = rows[rows["quantity"] != "alarm"].assign(
        right_sign=lambda r: (np.sign(r["mean"]) == np.sign(r["truth"])).astype(float),
        shown_noninferior=lambda r: (r["prob_noninferior"] >= assurance).astype(float),
        shown_worse=lambda r: (1 - r["prob_noninferior"] >= assurance).astype(float))
    pooled = intervals[intervals["quantity"] == "contrast"].assign(model="both")
    intervals = pd.concat([intervals, pooled], ignore_index=True)
    by = ["quantity", "model", "method"]
    shares = intervals.groupby(by, sort=False)[["truth", "right_sign", "shown_noninferior", "shown_worse"]].mean()
    table = shares.reset_index().merge(coverage_table(intervals, by), on=by)
    only_contrasts = ["right_sign", "shown_noninferior", "shown_worse"]
    table[only_contrasts] = table[only_contrasts].where(table["quantity"] == "contrast")
    table["truth"] = table["truth"].where(table["model"] != "both")
    write_result(table.assign(cpu_s=cpu_s), "sentiment_labels", seed=SEED, code=code)

    alarms = rows[rows["quantity"] == "alarm"].groupby(["metric", "model"], sort=False).agg(
        alarm=("alarm", "mean"), prob_opposite=("prob_opposite", "mean"), replicates=("alarm", "size"))
    write_result(alarms.reset_index(), "sentiment_alarms", seed=SEED, code=code)


if __name__ == "__main__":
    main()
