"""Do intervals hold what they promise on every scale? Writes benchmarks/results/families.csv.

Every family of `migration_kit.simulate.FAMILIES` — ordinal, continuous, preferences, several raters, clusters, many
metrics, a metric whose meaning bends — is drawn anew with 100 labelled items and 1000 others, calibrated, and held
against its exact truth, in total and by slice; labels alone stand beside it on the same draws.

Run: python benchmarks/families.py --replicates 1000     a stopped run goes on where it was
"""

import argparse
from functools import partial

import numpy as np
import pandas as pd
import xarray as xr
from common import code_digest, coverage_table, run_cells, write_result

from migration_kit.crosschecks import labels_only
from migration_kit.data import EvalData
from migration_kit.estimands import TOTAL, estimate_rows, quality
from migration_kit.features import build_features
from migration_kit.inference import Compiled, compile_model, fit
from migration_kit.plan import Plan
from migration_kit.plan_spec import SamplingSpec
from migration_kit.simulate import FAMILIES, Judged, judged_rows, simulate_family

SEED = 20263100
CHUNK = 25
DRAWS, TUNE, CHAINS = 400, 300, 1
MODELS = ("incumbent", "candidate")
MARGIN = 0.03
CELL = ["family", "n_labels"]
BY = [*CELL, "quantity", "slices", "model"]
KEPT = ["model", "slice", "quantity", "method", "mean", "sd", "lower", "upper", "truth"]
# Replicates differ in how many outputs have several raters and how many clusters hold labels: what is compiled once
# holds the most that some of them have.
FITTED_TOGETHER = 40
compiled: dict[tuple[str, int], Compiled] = {}


def read(drawn: Judged) -> tuple[xr.Dataset, Plan]:
    """Arrange a simulated migration as the features of a plan."""
    metrics = [f"metric_{k}" for k in range(drawn.metrics.shape[2])]
    plan = Plan.model_validate({
        "title": "Simulated",
        "models": {"incumbent": {"id": MODELS[0]}, "candidates": [{"id": MODELS[1]}]},
        "data": {"items": {"path": "items.csv"}, "scores": {"path": "scores.csv"}},
        "metrics": [{"id": name, "better": "higher"} for name in metrics],
        "slices": ["region"],
        "criteria": [{"id": "judged", "role": "gate", "metrics": metrics, "margin": MARGIN, **drawn.criterion}],
    })
    n_items, slices = len(drawn.slices), np.array([f"s{k}" for k in range(len(drawn.share))])
    items = pd.DataFrame({"item_id": [f"i{k:05d}" for k in range(n_items)]})
    items["slice"] = items["region"] = slices[drawn.slices]
    if len(np.unique(drawn.cluster)) < n_items:
        items["cluster_id"] = [f"c{k}" for k in drawn.cluster]
    scores = judged_rows(drawn, models=MODELS, metrics=metrics, criterion="judged")
    scores = scores.assign(repeat="0", inclusion_prob=np.nan)
    data = EvalData(
        items=items, scores=scores, held_out=scores.iloc[:0],
        outputs=pd.DataFrame({"item_id": [], "model": []}, dtype=str),
        traffic=pd.DataFrame({"slice": slices, "share": drawn.share, "count": np.nan}),
        exclusions=pd.DataFrame(columns=["table", "model", "reason", "n"]),
    )
    return build_features(data, plan, "judged"), plan


def fitted(features: xr.Dataset, *, family: str, n_labels: int, seed: int) -> xr.DataTree:
    """Fit one replicate with what was compiled for its family, or compile anew where it does not fit."""
    sampling, key = SamplingSpec(draws=DRAWS, tune=TUNE, chains=CHAINS, seed=seed), (family, n_labels)
    if key in compiled:
        try:
            return fit(features, sampling, compiled=compiled[key])
        except ValueError:
            del compiled[key]
    others = [read(simulate_family(family, n_labels=n_labels, seed=SEED + seed + k))[0]
              for k in range(1, FITTED_TOGETHER)]
    compiled[key] = compile_model([features, *others])
    return fit(features, sampling, compiled=compiled[key])


def replicate(number: int, *, family: str, n_labels: int) -> pd.DataFrame:
    """Draw a migration, estimate quality and contrast, and set the truth beside them."""
    drawn = simulate_family(family, n_labels=n_labels, seed=SEED + number)
    features, plan = read(drawn)
    tree = fitted(features, family=family, n_labels=n_labels, seed=number)
    draws = quality(tree, features, traffic=True, seed=number)
    rows = pd.concat([
        estimate_rows(draws, features, incumbent=plan.incumbent, layer="traffic", margin=MARGIN,
                      interval=plan.sampling.interval),
        labels_only(features, plan, traffic=True, seed=number),
    ])
    rows = rows.merge(truth(drawn, features["slice"].to_numpy()))
    return rows[KEPT].assign(divergent=float(tree["sample_stats"]["diverging"].mean()))


def truth(drawn: Judged, slices: np.ndarray) -> pd.DataFrame:
    """Exact quality and contrast in total and by slice; the incumbent of a preference has none."""
    exact = {TOTAL: drawn.quality} | dict(zip(slices, drawn.slice_quality.T, strict=True))
    rows = []
    for name, (incumbent, candidate) in exact.items():
        rows += [(MODELS[1], name, "quality", candidate), (MODELS[1], name, "contrast", candidate - incumbent)]
        if drawn.criterion["scale"] != "pairwise":
            rows.append((MODELS[0], name, "quality", incumbent))
    return pd.DataFrame(rows, columns=["model", "slice", "quantity", "truth"])


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Coverage, width and error by family, quantity, model and method; ``width_to_labels`` against labels alone."""
    rows = rows.assign(slices=np.where(rows["slice"] == TOTAL, TOTAL, "each"))
    answered = rows.groupby([*BY, "method"])["lower"].apply(lambda lower: lower.notna().mean()).rename("answered")
    table = coverage_table(rows.dropna(subset="lower"), [*BY, "method"]).merge(answered.reset_index())
    alone = table.loc[table["method"] == "labels_only", [*BY, "width"]].rename(columns={"width": "width_alone"})
    table = table.merge(alone, on=BY, how="left")
    table["width_to_labels"] = table["width"] / table.pop("width_alone")
    spent = rows.groupby([*CELL, "replicate"])[["cpu_s", "divergent"]].first().groupby(CELL)
    return table.merge(spent.agg({"cpu_s": "sum", "divergent": "mean"}).reset_index(), on=CELL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--n", nargs="+", type=int, default=[100])
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    code = code_digest("judgments", "metric_features", "prediction", "shape", "simulate/families", "simulate/pairs")
    cells = {f"{family}-{n}": partial(replicate, family=family, n_labels=n) for n in given.n
             for family in given.families}
    found = run_cells(f"families-{code}", cells, given.replicates, chunk=CHUNK, workers=given.workers)
    rows = pd.concat([table.assign(family=name.rsplit("-", 1)[0], n_labels=int(name.rsplit("-", 1)[1]))
                      for name, table in found.items()], ignore_index=True)
    write_result(summary(rows), "families", seed=SEED, code=code)


if __name__ == "__main__":
    # Workers import a module once and keep what they compiled; functions of the script itself reach them as copies.
    from families import main as run

    run()
