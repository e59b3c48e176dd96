"""How much should slices borrow from each other? Writes benchmarks/results/slice_priors.csv.

Slices of few labels lean on the others, as far as the priors of the slice effects let them. Here those priors are
changed one at a time: in scenario G, where one region of eight is 15 points worse and the others are alike, and in
data/sentiment, where a domain of 34 labels or so has four fifths of the traffic.

Run: python benchmarks/slice_priors.py --replicates 200 --draws 60     a stopped run goes on where it was
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from unittest.mock import patch

import common
import pandas as pd
import sentiment_labels
import simulated
from common import code_digest, coverage_table, run_cells, write_result

from migration_kit import priors
from migration_kit.estimands import TOTAL

LABELS = (100, 200)
CHUNK = 20
SENTIMENT = "sentiment"
# Tail of both effects, median of the scale of a model's own slice effect, scale of the effect all models share.
PRIORS = {
    "as it is": (priors.SLICE_TAIL, priors.SLICE_BY_MODEL.scale, priors.SLICE.scale),
    "own effects 1.6 times as large": (4, 0.8, 0.5),
    "own effects 2.4 times as large": (4, 1.2, 0.5),
    "own effects 0.7 times as large, heavier tails": (2, 0.35, 0.5),
    "shared effects 3 times as large": (4, 0.5, 1.5),
}
GROUP = ["data", "n_labels", "priors", "quantity", "slices", "model", "method"]


compiled: dict[str, list] = {}


@contextmanager
def slice_priors(name: str) -> Iterator[None]:
    """Build models with other priors of slices; what is compiled with them is kept apart."""
    tail, own, shared = PRIORS[name]
    changes = {"SLICE_TAIL": tail, "SLICE_BY_MODEL": replace(priors.SLICE_BY_MODEL, scale=own),
               "SLICE": replace(priors.SLICE, scale=shared)}
    common.compiled[:] = compiled.get(name, [])
    with patch.multiple(priors, **changes):
        yield
    compiled[name] = list(common.compiled)


def scenario(number: int, *, changed: str, n_labels: int) -> pd.DataFrame:
    """One replicate of scenario G, in total and by region."""
    with slice_priors(changed):
        rows = simulated.replicate(number, scenario="G", n_labels=n_labels)
    return rows.assign(slices=simulated.which_slice(pd.Series("G", rows.index), rows["slice"]))


def sentiment(number: int, *, changed: str) -> pd.DataFrame:
    """One draw of labels of data/sentiment, under its traffic."""
    with slice_priors(changed):
        rows = sentiment_labels.replicate(number)
    return rows[rows["quantity"] != "alarm"].assign(slices=TOTAL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=200, help="of scenario G")
    parser.add_argument("--draws", type=int, default=60, help="of labels of data/sentiment")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    code = code_digest("alarms", "simulate/pairs", "simulate/scenarios")
    run = partial(run_cells, f"slice_priors-{code}", chunk=CHUNK, workers=given.workers)
    found = run({f"{changed}-G-{n}": partial(scenario, changed=changed, n_labels=n)
                 for n in LABELS for changed in PRIORS}, given.replicates)
    found |= run({f"{changed}-{SENTIMENT}-200": partial(sentiment, changed=changed) for changed in PRIORS}, given.draws)
    parts = {cell: cell.split("-") for cell in found}
    rows = pd.concat([found[cell].assign(priors=changed, data=data, n_labels=int(n))
                      for cell, (changed, data, n) in parts.items()], ignore_index=True)
    rows = rows[rows["method"].isin(["calibrated", "corrected"])]
    write_result(coverage_table(rows, GROUP), "slice_priors", seed=simulated.SEED, code=code)


if __name__ == "__main__":
    main()
