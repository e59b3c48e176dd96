"""What else was tried where intervals fall short? Writes benchmarks/results/trials.csv.

One thing of the statistics is changed at a time, on the same draws: in scenario A from 50 labels, in G, where one
region of eight is 15 points worse and the others are alike, and in data/sentiment, where a domain of some 34 labels has
four fifths of the traffic. `change` is the coverage less that of the kit as it is, replicate by replicate.

Run: python benchmarks/trials.py     a stopped run goes on where it was
"""

import argparse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from types import ModuleType
from unittest.mock import patch

import common
import numpy as np
import pandas as pd
import pytensor.tensor as pt
import sentiment_labels
import simulated
from common import code_digest, coverage_table, run_cells, write_result
from scipy.special import expit

from migration_kit import calibration, estimands, prediction, priors
from migration_kit.estimands import TOTAL

AS_IT_IS, MORE_DRAWS, OTHER_SEEDS = "as it is", "1,600 draws in place of 400", ", other seeds"
# Cells: scenario and number of labels, or the real data; how many replicates.
CELLS = {"A-50": 300, "G-100": 200, "G-200": 200, "sentiment-200": 60}
FURTHER, FIRST_FURTHER = 1000, 5000
CHUNK = 20
# Makes a logistic curve about as steep as Φ.
LOGISTIC = 1.702
GROUP = ["data", "n_labels", "trial", "quantity", "slices", "model", "method"]


def scaled(prior: str, times: float) -> dict:
    """Make one prior wider or narrower."""
    one = getattr(priors, prior)
    return {priors: {prior: replace(one, scale=times * one.scale)}}


def logistic_log(value: pt.TensorVariable) -> pt.TensorVariable:
    """Stand in for the log of Φ."""
    return -pt.softplus(-LOGISTIC * value)


def logistic(value: np.ndarray) -> np.ndarray:
    """Stand in for Φ."""
    return expit(LOGISTIC * value)


SLICES = ("G-100", "G-200", "sentiment-200")
TRIALS: dict[str, tuple[tuple[str, ...], dict[ModuleType, dict[str, object]]]] = {
    AS_IT_IS: (tuple(CELLS), {}),
    MORE_DRAWS: (("A-50",), {simulated: {"DRAWS": 1600}}),
    "prior: models' levels half as far apart": (("A-50",), {priors: {"LEVEL_SPREAD": priors.LEVEL_SPREAD / 2}}),
    "prior: weight of metrics twice as large": (("A-50",), scaled("METRIC_WEIGHT", 2)),
    "prior: trust in metrics twice as different": (("A-50",), scaled("METRIC_TRUST", 2)),
    "link: logistic": (("A-50",), {calibration: {"_log_ndtr": logistic_log}, prediction: {"ndtr": logistic}}),
    "correction: 8 pseudo-items in place of 2": (("A-50",), {estimands: {"PSEUDO_ITEMS": 8}}),
    "prior: own slice effects 1.6 times as large": (SLICES, scaled("SLICE_BY_MODEL", 1.6)),
    "prior: own slice effects 2.4 times as large": (SLICES, scaled("SLICE_BY_MODEL", 2.4)),
    "prior: own slice effects 0.7 times as large, tail 2": (
        SLICES, {priors: {"SLICE_TAIL": 2, **scaled("SLICE_BY_MODEL", 0.7)[priors]}}),
    "prior: shared slice effects 3 times as large": (SLICES, scaled("SLICE", 3)),
}
compiled: dict[str, list] = {}


@contextmanager
def changed(trial: str) -> Iterator[None]:
    """Change what the trial changes; models that were compiled with it are kept apart."""
    common.compiled[:] = compiled.get(trial, [])
    with ExitStack() as all_back:
        for module, values in TRIALS[trial][1].items():
            all_back.enter_context(patch.multiple(module, **values))
        yield
    compiled[trial] = list(common.compiled)


def replicate(number: int, *, trial: str, data: str, n_labels: int) -> pd.DataFrame:
    """One replicate of a scenario, in total and by region, or one draw of labels of data/sentiment."""
    with changed(trial):
        if data != "sentiment":
            rows = simulated.replicate(number, scenario=data, n_labels=n_labels)
            return rows.assign(slices=simulated.which_slice(pd.Series(data, rows.index), rows["slice"]))
        rows = sentiment_labels.replicate(number)
    return rows[rows["quantity"] != "alarm"].assign(slices=TOTAL)


def further(number: int, *, trial: str) -> pd.DataFrame:
    """One replicate of scenario A with a seed that `simulated.py` does not use."""
    return replicate(FIRST_FURTHER + number, trial=trial, data="A", n_labels=50)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Coverage and width by trial; ``change`` against the kit as it is, on the same replicates."""
    # The same draws, told by mean and standard deviation: what skewed and noisy ends of 400 draws do.
    normal = rows[rows["method"] == "calibrated"].assign(method="calibrated, mean ± 1.96 sd")
    normal["lower"], normal["upper"] = (normal["mean"] + sign * 1.96 * normal["sd"] for sign in (-1, 1))
    rows = pd.concat([rows[rows["method"].isin(["calibrated", "corrected"])], normal], ignore_index=True)
    rows["covered"] = ((rows["lower"] <= rows["truth"]) & (rows["truth"] <= rows["upper"])).astype(float)
    others = [name for name in GROUP if name != "trial"]
    once = rows.groupby([*GROUP, "replicate"], sort=False)["covered"].mean().reset_index()
    once["seeds"] = once["trial"].str.endswith(OTHER_SEEDS)
    base = once[once["trial"].str.removesuffix(OTHER_SEEDS) == AS_IT_IS].drop(columns="trial")
    both = once.merge(base, on=[*others, "seeds", "replicate"], suffixes=("", "_base"))
    change = (both["covered"] - both["covered_base"]).groupby([both[name] for name in GROUP], sort=False)
    changes = pd.DataFrame({"change": change.mean(), "change_mc": change.sem()}).reset_index()
    return coverage_table(rows, GROUP).merge(changes, how="left", on=GROUP)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--most", type=int, default=FURTHER, help="replicates of a cell at the most")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    code = code_digest("alarms", "simulate/pairs", "simulate/scenarios")
    run = partial(run_cells, f"trials-{code}", chunk=CHUNK, workers=given.workers)
    parts = []
    for cell, number in CELLS.items():
        data, n_labels = cell.split("-")
        told = {"data": data, "n_labels": int(n_labels)}
        found = run({f"{cell}-{trial}": partial(replicate, trial=trial, **told)
                     for trial, (cells, _) in TRIALS.items() if cell in cells}, min(number, given.most))
        parts += [rows.assign(trial=name.removeprefix(f"{cell}-"), **told) for name, rows in found.items()]
    found = run({trial + OTHER_SEEDS: partial(further, trial=trial) for trial in (AS_IT_IS, MORE_DRAWS)},
                min(FURTHER, given.most))
    parts += [rows.assign(trial=name, data="A", n_labels=50) for name, rows in found.items()]
    write_result(summary(pd.concat(parts, ignore_index=True)), "trials", seed=simulated.SEED, code=code)


if __name__ == "__main__":
    main()
