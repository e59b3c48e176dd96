"""What do other packages answer on the same migrations? Writes benchmarks/results/peers.csv.

The migrations of `simulated.py`, seed for seed, through ppi-python, truescore and cje-eval as their documentation has
it, beside labels alone and the judge alone (means with normal intervals). Needs an environment of its own:

python -m venv /somewhere/peers
/somewhere/peers/bin/pip install -e . -r benchmarks/peers-requirements.txt
/somewhere/peers/bin/python benchmarks/peers.py --replicates 1000
"""

import argparse
import hashlib
import logging
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

import cje
import numpy as np
import pandas as pd
from common import code_digest, run_cells, write_result
from ppi_py import classical_mean_ci, ppi_mean_ci
from simulated import ASSURANCE, LABELS, SEED, by_cell, summary
from truescore import ppi_compare, ppi_estimate

from migration_kit.estimands import TOTAL
from migration_kit.simulate import SCENARIOS, Pairs, simulate_pairs

SCENARIOS_OF_PEERS = ("A", "C", "E", "F")
PACKAGES = ("ppi-python", "truescore", "cje-eval")
MARGIN = 0.03
CHUNK = 50
INTERVAL = 0.95
# The lower end of this interval lies above -margin where the one-sided probability of no harm reaches the assurance.
TWICE = 2 * ASSURANCE - 1
NAMES = ("m0", "m1")
Intervals = Callable[[float], dict[str, tuple[float, float]]]


def replicate(number: int, *, scenario: str, n_labels: int) -> pd.DataFrame:
    """Draw the migration that `simulated.replicate` draws, and let every package estimate it."""
    pairs = simulate_pairs(**SCENARIOS[scenario], n_labels=n_labels, seed=SEED + number)
    exact = {"m0": pairs.quality[0], "m1": pairs.quality[1], "contrast": pairs.quality[1] - pairs.quality[0]}
    rows = []
    for method, estimate in METHODS.items():
        at = estimate(pairs)
        wide, narrow = at(INTERVAL), at(TWICE)
        for name, (lower, upper) in wide.items():
            contrast = name == "contrast"
            rows.append({"model": "m1" if contrast else name, "slice": TOTAL, "method": method, "lower": lower,
                         "upper": upper, "quantity": "contrast" if contrast else "quality", "truth": exact[name],
                         "switch": float(narrow[name][0] > -MARGIN) if contrast else np.nan})
    # All of these intervals are symmetric; their standard errors follow from normal or t and are left out.
    return pd.DataFrame(rows).assign(mean=lambda r: (r["lower"] + r["upper"]) / 2, sd=np.nan)


def quantities(values: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the values behind the two qualities and the contrast, from dims (item, model)."""
    yield from zip(NAMES, values.T.astype(float), strict=True)
    yield "contrast", (values[:, 1].astype(float) - values[:, 0])


def ppi_python(pairs: Pairs) -> Intervals:
    """PPI++ with power tuning; for the contrast on differences between the models on an item."""
    known, verdict = pairs.labelled, pairs.metrics[:, :, 0]
    parts = zip(quantities(pairs.truth[known]), quantities(verdict[known]), quantities(verdict[~known]), strict=True)
    parts = [(name, label, near, far) for (name, label), (_, near), (_, far) in parts]
    return lambda level: {name: _ends(ppi_mean_ci(label, near, far, alpha=1 - level))
                          for name, label, near, far in parts}


def truescore(pairs: Pairs) -> Intervals:
    """`ppi_estimate` and `ppi_compare`."""
    known = np.flatnonzero(pairs.labelled)
    v, y = pairs.metrics[:, :, 0].astype(float), pairs.truth[known].astype(float)

    def at(level: float) -> dict[str, tuple[float, float]]:
        found = {name: ppi_estimate(v[:, m], y[:, m], known, alpha=1 - level) for m, name in enumerate(NAMES)}
        found["contrast"] = ppi_compare(v[:, 1], v[:, 0], y[:, 1], y[:, 0], known, alpha=1 - level)
        return {name: (one.low, one.high) for name, one in found.items()}

    return at


def cje_eval(pairs: Pairs) -> Intervals:
    """`analyze_dataset` with its defaults, and `compare_policies`."""
    draws = {name: [{"prompt_id": f"i{i}", "judge_score": float(verdict), "oracle_label": float(y) if known else None}
                    for i, (verdict, y, known) in enumerate(
                        zip(pairs.metrics[:, m, 0], pairs.truth[:, m], pairs.labelled, strict=True))]
             for m, name in enumerate(NAMES)}
    result = cje.analyze_dataset(fresh_draws_data=draws)

    def at(level: float) -> dict[str, tuple[float, float]]:
        found = dict(zip(result.target_policies, result.ci(alpha=1 - level), strict=True))
        both = result.compare_policies("m1", "m0", alpha=1 - level)
        # Where the two cannot be compared the package says so and gives no interval.
        return found | {"contrast": (both.get("ci_lower", np.nan), both.get("ci_upper", np.nan))}

    return at


def mean_of(values: np.ndarray) -> Intervals:
    """Mean of values with dims (item, model), normal intervals."""
    return lambda level: {name: _ends(classical_mean_ci(one, alpha=1 - level)) for name, one in quantities(values)}


METHODS: dict[str, Callable[[Pairs], Intervals]] = {
    "ppi-python": ppi_python,
    "truescore": truescore,
    "cje-eval": cje_eval,
    "labels alone": lambda pairs: mean_of(pairs.truth[pairs.labelled]),
    "judge alone": lambda pairs: mean_of(pairs.metrics[:, :, 0]),
}


def _ends(interval: tuple) -> tuple[float, float]:
    lower, upper = (float(np.squeeze(end)) for end in interval)
    return lower, upper


def main() -> None:
    # cje-eval comments on every data set; over thousands of them that hides what matters.
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    packages = " ".join(f"{name} {version(name)}" for name in PACKAGES)
    own = Path(__file__).read_text(encoding="utf-8")
    drawn = code_digest(modules=("simulate/pairs", "simulate/scenarios"))
    code = hashlib.sha256(f"{drawn} {packages} {own}".encode()).hexdigest()[:8]
    cells = {f"{scenario}-{n}": partial(replicate, scenario=scenario, n_labels=n)
             for n in LABELS for scenario in SCENARIOS_OF_PEERS}
    found = run_cells(f"peers-{code}", cells, given.replicates, chunk=CHUNK, workers=given.workers)
    table, spent = summary(by_cell(found))
    table = table.merge(spent).drop(columns=["z_mean", "z_sd"]).assign(packages=packages)
    write_result(table, "peers", seed=SEED, code=code)


if __name__ == "__main__":
    main()
