"""What do two imagined items do beside the few of a small slice? Writes benchmarks/results/small_slices.csv.

In scenario A some of the labelled items, no different from the others, are called a slice of their own. Its exact
contrast is that of all. Every fit is read twice: as it is, and by the Bayesian bootstrap over the slice's own items
alone. `false_loss` is the share of replicates that are 95% sure of a loss of ten points or more, where there is none.
`clusters` and `whole_clusters` are two families of `families.py`, whose smallest slice has some 42 clusters; `moved` is
how far the mean lies from that of the bootstrap alone, in standard deviations.

Run: python benchmarks/small_slices.py --replicates 200     a stopped run goes on where it was
"""

import argparse
from dataclasses import replace
from functools import partial
from unittest.mock import patch

import families
import numpy as np
import pandas as pd
from common import code_digest, coverage_table, fit_all, pairs_features, run_cells, write_result

from migration_kit import small_slices
from migration_kit.estimands import quality
from migration_kit.intervals import summarise
from migration_kit.simulate import SCENARIOS, simulate_family, simulate_pairs

SEED = 20261200
ITEMS = (1, 3, 10, 30)
LABELS, SHARE, LOSS, SURE = 100, 0.05, 0.10, 0.95
DRAWS, TUNE = 400, 300
CHUNK = 20
FAMILIES = ("clusters", "whole_clusters")
AS_IT_IS, ALONE = "with imagined items", "bootstrap alone"


def read_both_ways(tree, features, *, part: str, truth: float, seed: int) -> pd.DataFrame:
    """Rows of the contrast in one slice, with the imagined items and without."""
    rows = []
    for method, fewest in ((AS_IT_IS, small_slices.FEWEST_UNITS), (ALONE, 0)):
        with patch.object(small_slices, "FEWEST_UNITS", fewest):
            drawn = quality(tree, features, traffic=True, seed=seed)["calibrated"].sel(slice=part)
        contrast = (drawn[..., 1] - drawn[..., 0]).to_numpy().ravel()
        rows.append({"method": method, "truth": truth, "false_loss": float((contrast < -LOSS).mean() >= SURE),
                     **summarise(contrast, interval=0.95)})
    return pd.DataFrame(rows)


def slice_of_few(number: int, *, items: int) -> pd.DataFrame:
    """Call some labelled items of scenario A a slice of their own."""
    pairs = simulate_pairs(**SCENARIOS["A"], n_labels=LABELS, seed=SEED + number)
    place = np.zeros(len(pairs.slice), dtype=np.int64)
    place[np.random.default_rng(SEED + number).choice(np.flatnonzero(pairs.labelled), items, replace=False)] = 1
    pairs = replace(pairs, slice=place, traffic=np.array([1 - SHARE, SHARE]),
                    slice_quality=pairs.slice_quality.repeat(2, axis=0))
    features, _ = pairs_features(pairs)
    tree = fit_all([features], draws=DRAWS, tune=TUNE, seed=number, chains=1)[0]
    return read_both_ways(tree, features, part="s1", truth=float(np.diff(pairs.quality)[0]), seed=number)


def family(number: int, *, name: str) -> pd.DataFrame:
    """Read the smallest slice of a family of clusters both ways."""
    drawn = simulate_family(name, n_labels=LABELS, seed=families.SEED + number)
    features, _ = families.read(drawn)
    tree = families.fitted(features, family=name, n_labels=LABELS, seed=number)
    known = families.truth(drawn, features["slice"].to_numpy())
    part = str(features["slice"].to_numpy()[drawn.share.argmin()])
    (truth,) = known.loc[(known["slice"] == part) & (known["quantity"] == "contrast"), "truth"]
    return read_both_ways(tree, features, part=part, truth=float(truth), seed=number)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Coverage, width and false alarms by cell, and what the imagined items move."""
    by = ["cell", "method"]
    pair = rows.pivot(index=["cell", "replicate"], columns="method", values=["mean", "sd", "lower", "upper"])
    wide = pair["upper"] - pair["lower"]
    moved = pd.DataFrame({
        "moved": ((pair["mean"][AS_IT_IS] - pair["mean"][ALONE]) / pair["sd"][AS_IT_IS]).abs().groupby("cell").mean(),
        "width_ratio": wide[AS_IT_IS].groupby("cell").mean() / wide[ALONE].groupby("cell").mean()}).reset_index()
    table = coverage_table(rows, by).merge(rows.groupby(by)["false_loss"].mean().reset_index(), on=by)
    spent = rows.groupby(["cell", "replicate"])["cpu_s"].first().groupby("cell").sum().reset_index()
    return table.merge(moved, on="cell").merge(spent, on="cell")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=200, help=f"in steps of {CHUNK}")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    code = code_digest("simulate/pairs", "simulate/families")
    cells = {f"{items} items": partial(slice_of_few, items=items) for items in ITEMS}
    cells |= {name: partial(family, name=name) for name in FAMILIES}
    found = run_cells(f"small_slices-{code}", cells, given.replicates, chunk=CHUNK, workers=given.workers)
    rows = pd.concat([table.assign(cell=name) for name, table in found.items()], ignore_index=True)
    write_result(summary(rows), "small_slices", seed=SEED, code=code)


if __name__ == "__main__":
    main()
