"""How often does the answer on data/sentiment hold under other labels? Writes benchmarks/results/sentiment_labels.csv.

The committed labels are one draw of 200 items and of one rater for each. Here both are drawn again and again from all
ratings; the contrasts under production traffic are held against those of all judgments. `sentiment_alarms.csv` counts
how often a metric is named because it says the opposite of the calibrated contrast.

Run: python benchmarks/sentiment_labels.py --draws 200     a stopped run goes on where it was
"""

import argparse
from functools import cache

import numpy as np
import pandas as pd
import xarray as xr
from common import ROOT, code_digest, coverage_table, fit_all, run_replicates, write_result

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
def load() -> tuple[Plan, EvalData, xr.Dataset]:
    """The committed migration: plan, data, features."""
    plan = load_plan(PLAN)
    data = load_data(plan)
    return plan, data, build_features(data, plan, CRITERION)


def draw_labels(features: xr.Dataset, data: EvalData, *, number: int, n_labelled: int) -> xr.DataArray:
    """Judge random items by one random rater each, the same rater for all models; dims (item, model)."""
    rng = np.random.default_rng([SEED, number])
    items, models = features["item"].to_numpy(), features["model"].to_numpy()
    ratings = pd.read_parquet(PLAN.parent / "ratings.parquet").set_index("item_id").loc[items]
    counts = ratings[["n_negative", "n_neutral", "n_positive"]].to_numpy()
    picked = rng.random(len(items)) * counts.sum(axis=1)
    rated = (picked[:, None] >= counts.cumsum(axis=1)).sum(axis=1) - 1
    says = data.outputs.assign(said=data.outputs["text"].map(WORDS)).pivot(index="item_id", columns="model")["said"]
    agrees = (says.loc[items, models].to_numpy() == rated[:, None]).astype(float)
    labelled = np.isin(np.arange(len(items)), rng.choice(len(items), n_labelled, replace=False))
    return features["label"].copy(data=np.where(labelled[:, None], agrees, np.nan))


def truth(features: xr.Dataset, data: EvalData, plan: Plan) -> pd.DataFrame:
    """What all judgments say under production traffic; columns quantity, model, truth."""
    held_out = data.held_out.pivot(index="item_id", columns="model", values="value")
    by_slice = held_out.groupby(data.items.set_index("item_id")["slice"])[list(plan.model_ids)].mean()
    rate = by_slice.mul(features["share"].to_series(), axis=0).sum()
    differs = (rate - rate[plan.incumbent]).drop(plan.incumbent)
    return pd.concat({"quality": rate, "contrast": differs}, names=["quantity", "model"]).rename("truth").reset_index()


def replicate(number: int) -> pd.DataFrame:
    """Estimate quality and contrasts from one draw of labels, and look for alarms."""
    plan, data, committed = load()
    n_labelled = int(committed["label"].notnull().any("model").sum())
    features = committed.assign(label=draw_labels(committed, data, number=number, n_labelled=n_labelled))
    (fit,) = fit_all([features], draws=DRAWS, tune=TUNE, seed=number)
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
