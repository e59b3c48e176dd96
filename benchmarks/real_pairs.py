"""How well are all pairs of models compared from 50 labelled items? Writes benchmarks/results/real_pairs*.csv.

On real data where people judged nearly every output, all judgments but those of 50 items drawn at random are hidden,
again and again. Every pair of models is then held against its difference on all judgments. Beside the calibration, on
the same draws: labels alone, PPI++ on the plan's primary metric, PPI++ on the mean of the standardised metrics.

Run: python benchmarks/real_pairs.py --draws 100     a stopped run goes on where it was
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from itertools import combinations

import numpy as np
import pandas as pd
import xarray as xr
from common import ROOT, code_digest, coverage_table, fit_all, run_replicates, write_result
from scipy.special import ndtr

from migration_kit.crosschecks import labels_only, ppi
from migration_kit.data import load_data
from migration_kit.estimands import TOTAL, quality
from migration_kit.features import build_features
from migration_kit.intervals import summarise
from migration_kit.plan import Plan, load_plan
from migration_kit.plan_spec import ModelSpec, ModelsSpec

DATASETS = {"triviaqa_judges_v1": "triviaqa.yml", "openqa_nq301": "openqa.yml"}
# With output texts, identical outputs are joined; without, each stands alone, which shows what joining gains.
STUDIES = (("triviaqa_judges_v1", True), ("openqa_nq301", True), ("openqa_nq301", False))
SEED = 20260731
N_LABELLED = 50
DRAWS = TUNE = 500
LARGEST_SHARE = 0.15
GROUP = ["dataset", "models", "items", "labelled", "identical", "identical_share"]
BY_PAIR = ("calibrated", "labels_only")
INTERVAL = 0.95


@cache
def load(dataset: str, texts: bool, slices: bool) -> tuple[Plan, xr.Dataset]:
    """Read a data set with all its models, the first by name as the incumbent; every judgment is a label."""
    plan = load_plan(ROOT / "tests/plans" / DATASETS[dataset])
    outputs = pd.read_parquet(plan.folder / plan.data.outputs[0].path, columns=["model"])
    incumbent, *candidates = (ModelSpec(id=name) for name in sorted(outputs["model"].unique()))
    models = ModelsSpec(incumbent=incumbent, candidates=tuple(candidates))
    plan = plan.model_copy(update={"models": models, "slices": plan.slices if slices else ()})
    data = load_data(plan)
    if not texts and "text" in data.outputs:
        data = replace(data, outputs=data.outputs.drop(columns="text"))
    return plan, build_features(data, plan, plan.gates[0].id)


def replicate(number: int, *, dataset: str, texts: bool, slices: bool) -> pd.DataFrame:
    """Hide all but 50 items' judgments, estimate every quality and contrast, and set the truth beside them."""
    plan, full = load(dataset, texts, slices)
    labelled = np.random.default_rng([SEED, number]).choice(full["item"], N_LABELLED, replace=False)
    features = full.assign(label=full["label"].where(full["item"].isin(labelled)))
    (fit,) = fit_all([features], draws=DRAWS, tune=TUNE, seed=number)
    drawn = quality(fit, features, traffic=False, seed=number).sel(slice=TOTAL)
    targets = truth(full)
    rows = [*_calibrated(drawn, targets), *_cross_checks(features, plan, targets, seed=number)]
    table = pd.DataFrame(rows).merge(targets, on=["model", "against"])
    return table.assign(divergent=float(fit["sample_stats"]["diverging"].mean()))


def truth(features: xr.Dataset) -> pd.DataFrame:
    """Mean of all judgments by model (``against`` is "") and by pair, the better model of a pair first.

    ``judged`` counts the items on which it rests; ``truth_sd`` is its standard error as an estimate of the population
    the items come from.
    """
    label, models = features["label"].to_numpy(), features["model"].to_numpy()
    values = {(model, ""): label[:, m] for m, model in enumerate(models)}
    for a, b in combinations(range(len(models)), 2):
        better, worse = (b, a) if np.nanmean(label[:, b] - label[:, a]) >= 0 else (a, b)
        values[models[better], models[worse]] = label[:, better] - label[:, worse]
    return pd.DataFrame([
        {"quantity": "contrast" if against else "quality", "model": model, "against": against,
         "judged": (~np.isnan(value)).sum(), "truth": np.nanmean(value),
         "truth_sd": np.nanstd(value, ddof=1) / np.sqrt((~np.isnan(value)).sum())}
        for (model, against), value in values.items()])


def _calibrated(drawn: xr.Dataset, targets: pd.DataFrame) -> Iterator[dict]:
    for method in ("calibrated", "corrected"):
        samples = drawn[method].stack(sample=("chain", "draw"))
        named = {str(name): samples.sel(model=name).to_numpy() for name in drawn["model"].to_numpy()} | {"": 0.0}
        for model, against in targets[["model", "against"]].itertuples(index=False):
            yield {"method": method, "model": model, "against": against,
                   **summarise(named[model] - named[against], interval=INTERVAL)}


def _cross_checks(features: xr.Dataset, plan: Plan, targets: pd.DataFrame, *, seed: int) -> Iterator[dict]:
    """The kit's own cross-checks, with the worse model of a pair as its incumbent."""
    value = features["value"]
    scaled = ((value - value.mean(("item", "model"))) / value.std(("item", "model"))).mean("metric")
    mean_metric = features.drop_dims("metric").assign(value=scaled.expand_dims(metric=["mean"], axis=-1))
    mean_metric.attrs["primary_metric"] = "mean"
    methods = {"labels_only": (partial(labels_only, seed=seed), features), "ppi_primary_metric": (ppi, features),
               "ppi_mean_metric": (ppi, mean_metric)}
    for method, (estimate, data) in methods.items():
        for model, against in targets[["model", "against"]].itertuples(index=False):
            both = data.sel(model=[against, model] if against else [model])
            found = estimate(both, plan, traffic=False).iloc[::-1]
            wanted = found[(found["slice"] == TOTAL) & (found["model"] == model)].iloc[0]
            yield {"method": method, "model": model, "against": against, **wanted[["mean", "sd", "lower", "upper"]]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--slices", action="store_true", help="with the slices of the plans")
    given = parser.parse_args()
    code, parts = code_digest(), []
    for dataset, texts in STUDIES:
        study = f"real_pairs-{code}/{dataset}{'' if texts else '-no_texts'}{'-slices' if given.slices else ''}"
        work = partial(replicate, dataset=dataset, texts=texts, slices=given.slices)
        rows = run_replicates(study, work, given.draws)
        parts.append(rows.assign(dataset=dataset, **facts(dataset, texts, given.slices)))
    rows = pd.concat(parts, ignore_index=True)
    # What the interval says of the population: the truth of these items is itself a sample of it.
    low, high = ((rows[end] - rows["truth"]) / rows["truth_sd"] for end in ("lower", "upper"))
    rows["coverage_population"] = (ndtr(high) - ndtr(low)).where(N_LABELLED / rows["items"] <= LARGEST_SHARE)
    cpu_s = rows.groupby(["dataset", "identical", "replicate"])["cpu_s"].first().groupby(["dataset", "identical"]).sum()
    suffix = "_slices" if given.slices else ""
    table = coverage_table(rows, [*GROUP, "quantity", "method"]).merge(cpu_s.reset_index(), on=["dataset", "identical"])
    write_result(table, f"real_pairs{suffix}", seed=SEED, code=code)
    by_pair = ["dataset", "identical", "quantity", "model", "against", "judged", "truth", "method"]
    kept = rows[rows["method"].isin(BY_PAIR)].drop(columns="coverage_population")
    write_result(coverage_table(kept, by_pair), f"real_pairs_by_pair{suffix}", seed=SEED, code=code)


def facts(dataset: str, texts: bool, slices: bool) -> dict:
    """Size of the data, and how many outputs are word for word the same as another model's."""
    _, features = load(dataset, texts, slices)
    twins = float(((features["pool"] > 0).sum("peer") > 1).mean())
    return {"models": features.sizes["model"], "items": features.sizes["item"], "labelled": N_LABELLED,
            "identical": "apart" if not texts else "joined" if twins else "no texts", "identical_share": twins}


if __name__ == "__main__":
    main()
