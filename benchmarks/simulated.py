"""Do intervals hold what they promise where the truth is exact? Writes benchmarks/results/simulated.csv.

Every scenario of `migration_kit.simulate.SCENARIOS` is drawn anew with 50, 100 and 200 labelled items and 1000 others,
calibrated, and held against the truth; the kit's own cross-checks stand beside it on the same draws.

Run: python benchmarks/simulated.py --replicates 1000     a stopped run goes on where it was
"""

import argparse
from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
import xarray as xr
from common import code_digest, coverage_table, fit_all, pairs_features, run_cells, write_result

from migration_kit.crosschecks import labels_only, ppi, verdict_strata
from migration_kit.estimands import TOTAL, estimate_rows, quality
from migration_kit.plan import Plan
from migration_kit.simulate import SCENARIOS, Pairs, simulate_pairs
from migration_kit.simulate.scenarios import ODD_SLICE

SEED = 20260900
LABELS = (50, 100, 200)
CHUNK = 25
DRAWS, TUNE, CHAINS = 400, 300, 1
ASSURANCE = 0.95
CELL = ["scenario", "n_labels"]
KEPT = ["model", "slice", "quantity", "method", "mean", "sd", "lower", "upper", "switch", "truth", "divergent"]


def replicate(number: int, *, scenario: str, n_labels: int) -> pd.DataFrame:
    """Draw a migration, estimate quality and contrasts by every method, and set the truth beside them."""
    pairs = simulate_pairs(**SCENARIOS[scenario], n_labels=n_labels, seed=SEED + number)
    features, plan = pairs_features(pairs)
    (fit,) = fit_all([features], draws=DRAWS, tune=TUNE, seed=number, chains=CHAINS)
    drawn, margin = quality(fit, features, traffic=True, seed=number), plan.gates[0].margin
    rows = pd.concat([
        estimate_rows(drawn, features, incumbent=plan.incumbent, layer="traffic", margin=margin,
                      interval=plan.sampling.interval),
        labels_only(features, plan, traffic=True, seed=number),
        verdict_strata(features, plan, traffic=True, seed=number),
        ppi(features, plan, traffic=True),
        *([ppi_on_mean(features, plan)] if features.sizes["metric"] > 1 else []),
    ])
    rows = rows.merge(pd.DataFrame(truth(pairs, features["model"].to_numpy(), features["slice"].to_numpy())))
    # NaN where nothing is decided: qualities, slices.
    switch = (rows["prob_noninferior"] >= ASSURANCE).astype(float).where(rows["prob_noninferior"].notna())
    return rows.assign(switch=switch, divergent=float(fit["sample_stats"]["diverging"].mean()))[KEPT]


def ppi_on_mean(features: xr.Dataset, plan: Plan) -> pd.DataFrame:
    """PPI++ on the mean of the standardised metrics; for all of them higher is better."""
    value = features["value"]
    scaled = ((value - value.mean(("item", "model"))) / value.std(("item", "model"))).mean("metric")
    mean = features.assign(value=scaled.broadcast_like(value).transpose(*value.dims))
    return ppi(mean, plan, traffic=True).assign(method="ppi_mean_metric")


def truth(pairs: Pairs, models: np.ndarray, slices: np.ndarray) -> Iterator[dict]:
    """Exact qualities and contrasts, in total and, where there are several slices, by slice."""
    table = {TOTAL: pairs.quality} | (dict(zip(slices, pairs.slice_quality, strict=True)) if len(slices) > 1 else {})
    for name, exact in table.items():
        for model, value in zip(models, exact, strict=True):
            yield {"model": model, "slice": name, "quantity": "quality", "truth": value}
            if model != models[0]:
                yield {"model": model, "slice": name, "quantity": "contrast", "truth": value - exact[0]}


def which_slice(scenario: pd.Series, name: pd.Series) -> np.ndarray:
    """Tell the total, the region of G where the candidate is worse, and ordinary slices apart."""
    odd = (scenario == "G") & (name == f"s{ODD_SLICE}")
    return np.select([name == TOTAL, odd], [TOTAL, "odd"], "ordinary")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--n", nargs="+", type=int, default=LABELS)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    code = code_digest("simulate/pairs", "simulate/scenarios")
    cells = {f"{scenario}-{n}": partial(replicate, scenario=scenario, n_labels=n)
             for n in given.n for scenario in given.scenarios}
    found = run_cells(f"simulated-{code}", cells, given.replicates, chunk=CHUNK, workers=given.workers)
    table, spent = summary(by_cell(found))
    divergent = pd.concat(found.values())["divergent"].mean()
    print(f"{divergent:.2%} of draws divergent")
    write_result(table.merge(spent, on=CELL), "simulated", seed=SEED, code=code)


def by_cell(found: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Join the rows of cells named `scenario-labels`."""
    parts = {name: name.split("-") for name in found}
    return pd.concat([found[name].assign(scenario=scenario, n_labels=int(n)) for name, (scenario, n) in parts.items()],
                     ignore_index=True)


def summary(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Coverage and decisions by scenario, labels, quantity, slices, model and method; CPU time of every cell.

    ``switch`` is the share of replicates that show a candidate to be no worse than the margin allows. Slices without
    labels have no interval from labels alone: such rows are left out, ``answered`` is the share that remains.
    """
    slices = which_slice(rows["scenario"], rows["slice"])
    by = [*CELL, "quantity", "slices", "model", "method"]
    rows = rows.assign(slices=slices, answered=rows["lower"].notna().astype(float))
    more = rows.groupby(by)[["answered", "truth"]].mean().reset_index()
    table = coverage_table(rows.dropna(subset="lower"), by).merge(more, on=by)
    spent = rows.groupby([*CELL, "replicate"])["cpu_s"].first().groupby(CELL).sum()
    return table, spent.reset_index()


if __name__ == "__main__":
    main()
