"""Is the kit misled where a real metric misleads? Writes benchmarks/results/misleading*.csv.

`pairs.csv` of the reference data names 88 pairs of models and one metric each: in 61 the metric significantly prefers
the worse model, in 19 it is far off, in 8 controls it is right. For each, all judgments but those of about 100 items
drawn at random are hidden, again and again, and the kit answers with that one metric.

Run: python benchmarks/misleading_pairs.py --repetitions 20     a stopped run goes on where it was
"""

import argparse
from functools import cache, partial

import numpy as np
import pandas as pd
import xarray as xr
from common import code_digest, coverage_table, run_cells, write_result
from real_data import OTHER_DRAWS, SHARED, Source, fit_one, hidden, migration, source
from scipy.special import ndtr

from migration_kit.alarms import raw_alarms
from migration_kit.crosschecks import labels_only, ppi, raw
from migration_kit.data import EvalData
from migration_kit.estimands import TOTAL, contrast, quality
from migration_kit.features import build_features
from migration_kit.intervals import summarise
from migration_kit.plan import Plan

SEED = 20260811
DRAWS, TUNE = 500, 400
CHUNK = 5
CLAIM = 0.95
CLASSES = {"wrong_winner_significant": "prefers the worse", "overstates": "far off", "understates": "far off",
           "consistent": "right"}
NAMED = ["pair", "dataset", "criterion", "metric", "incumbent", "candidate", "metric_is"]
SHOWN = ["mean", "sd", "lower", "upper"]


def pairs() -> pd.DataFrame:
    """Read the list of pairs; ``pair`` is the number of its row. Alike ones stand together, so they share a model."""
    table = pd.read_csv(SHARED / "pairs.csv")
    table = table.assign(pair=table.index, metric_is=table["verdict"].map(CLASSES))
    return table.sort_values(["dataset", "n_labelled", "criterion", "pair"], ascending=[True, False, True, True])


@cache
def load(pair: int) -> tuple[EvalData, Plan, dict]:
    """Return a pair's data over the items judged and measured for both models, its plan, and the truth."""
    row = pairs().set_index("pair").loc[pair]
    given = source(row["dataset"], row["criterion"])
    models, metric = (row["incumbent"], row["candidate"]), row["metric"]
    data, plan = migration(given, models, (metric,), items=shared_items(given, models, row))
    features = build_features(data, plan, given.criterion)
    difference = (features["label"][:, 1] - features["label"][:, 0]).to_numpy()
    return data, plan, {"truth": difference.mean(), "unit": difference.std(), "items": len(difference),
                        "labelled": int(row["n_labelled"])}


def shared_items(given: Source, models: tuple[str, str], row: pd.Series) -> np.ndarray:
    """Return the items of the pair's slice on which both models have the metric and a judgment."""
    outputs, human, rows = given.outputs, given.human, given.automated
    here = outputs if row["slice"] == "all" else outputs[outputs[row["slice"]] == row["slice_value"]]
    if given.pairwise:
        human = human[human["opponent"].isin(models)]
    rows = rows[rows["metric"] == row["metric"]]
    both = [set.intersection(*(set(table.loc[table["model"] == model, "item_id"]) for model in models))
            for table in (human, rows)]
    return np.array(sorted(both[0] & both[1] & set(here["item_id"])))


def replicate(number: int, *, pair: int) -> pd.DataFrame:
    """Hide judgments, answer with one metric, and set the truth beside every method's contrast."""
    data, plan, known = load(pair)

    def drawn_features(draw: int) -> xr.Dataset:
        chosen = np.random.default_rng([SEED, pair, draw]).choice(data.items["item_id"], known["labelled"],
                                                                  replace=False)
        return hidden(data, plan, chosen)

    features = drawn_features(number)
    tree = fit_one(features, draws=DRAWS, tune=TUNE, seed=number, more=lambda: [
        drawn_features(number + one) for one in range(1, OTHER_DRAWS + 1)])
    drawn = quality(tree, features, traffic=False, seed=number)
    criterion, sign = plan.gates[0].id, np.sign(known["truth"])
    rows = []
    for method in ("calibrated", "corrected"):
        samples = contrast(drawn[method].sel(slice=TOTAL), incumbent=plan.incumbent, better="higher").to_numpy().ravel()
        rows.append({"method": method, **summarise(samples, interval=plan.sampling.interval),
                     "prob_wrong": float((sign * samples < 0).mean())})
    for table in (labels_only(features, plan, traffic=False, seed=number), ppi(features, plan, traffic=False),
                  raw(features, plan, traffic=False)):
        one = table[(table["quantity"] == "contrast") & (table["slice"] == TOTAL)].iloc[0]
        rows.append({"method": one["method"], **one[SHOWN],
                     "prob_wrong": float(ndtr(-sign * one["mean"] / one["sd"]))})
    alarm = raw_alarms({criterion: drawn}, {criterion: features}, plan)
    return pd.DataFrame(rows).assign(**known, alarm=float(alarm["alarm"].any()),
                                     divergent=float(tree["sample_stats"]["diverging"].mean()))


def summary(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Claims, alarms, coverage and width by group.

    ``wrong`` and ``right`` are the shares of repetitions that give the wrong or the right winner a probability of at
    least 0.95; ``alarm`` that of repetitions that say the metric has the wrong sign. Widths and errors are in standard
    deviations of the items' differences, so that pairs of different scales can be averaged; a raw metric's has no such
    unit. ``_mc`` are Monte Carlo errors over repetitions.
    """
    unit = rows["unit"]
    scaled = rows.assign(**{name: rows[name] / unit for name in (*SHOWN, "truth")})
    claims = rows.assign(
        wrong=(rows["prob_wrong"] >= CLAIM).astype(float), right=(rows["prob_wrong"] <= 1 - CLAIM).astype(float))
    once = claims.groupby([*by, "replicate"], sort=False)[["wrong", "right", "alarm"]].mean().groupby(by, sort=False)
    mean, error = once.mean(), once.sem().add_suffix("_mc")
    pairs_counted = rows.groupby(by, sort=False)["pair"].nunique().rename("pairs")
    table = coverage_table(scaled.dropna(subset="lower"), by).set_index(by)
    return pd.concat([pairs_counted, mean, error, table], axis=1).reset_index()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=20, help=f"in steps of {CHUNK}")
    parser.add_argument("--datasets", nargs="+", help="some of the data sets only")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    chosen = pairs()
    if given.datasets:
        chosen = chosen[chosen["dataset"].isin(given.datasets)]
    code = code_digest("alarms")
    cells = {f"{pair:02d}": partial(replicate, pair=pair) for pair in chosen["pair"]}
    found = run_cells(f"misleading-{code}", cells, given.repetitions, chunk=CHUNK, workers=given.workers)
    rows = pd.concat([found[name].assign(pair=int(name)) for name in cells], ignore_index=True)
    rows = rows.merge(chosen[NAMED], on="pair")
    write_result(pd.concat([summary(rows, ["metric_is", "method"]),
                            summary(rows.assign(metric_is="all pairs"), ["metric_is", "method"])]),
                 "misleading", seed=SEED, code=code)
    of_kit = rows[rows["method"] == "calibrated"]
    by_pair = summary(of_kit, [*NAMED, "items", "labelled"]).drop(columns="pairs")
    write_result(by_pair, "misleading_by_pair", seed=SEED, code=code)


if __name__ == "__main__":
    main()
