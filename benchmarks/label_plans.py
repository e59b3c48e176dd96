"""Do planned labels tell more than random ones, do intervals stay right? Writes benchmarks/results/label_plans*.csv.

Some items are labelled at random, then some more by `label_design`, at random, or by the best allocation there is
(Neyman's, which knows the spread of every stratum). First on migrations of known truth, then on real data where people
judged nearly every output. The error of the estimate that weighs labels within verdicts is not drawn but computed from
all judgments, given how many labels each stratum got, so a small gain shows in few draws; `strata.verdict_draws`, which
the kit uses, stands beside it. Last, three rounds of plan and labels, and then the calibration model: do its intervals
hold the truth?

Run: python benchmarks/label_plans.py, then --study rounds --replicates 1000     a stopped run goes on where it was
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from common import MODULES, code_digest, coverage_table, fit_all, pairs_features, run_cells, write_result
from real_data import migration
from real_pairs import STUDIES, having_metric, parts

from migration_kit.crosschecks import labels_only, ppi, verdict_strata
from migration_kit.estimands import TOTAL, estimate_rows, quality
from migration_kit.features import build_features
from migration_kit.judgments import keep_labels
from migration_kit.label_design import Design, allocate, fill, inclusion, label_design, worth_at_random
from migration_kit.plan import Plan
from migration_kit.simulate import SCENARIOS, Pairs, simulate_pairs
from migration_kit.strata import item_weights, verdict_draws, verdicts

SEED = 20261100
SIZES = ((50, 50), (50, 100), (100, 100), (200, 100))
REAL_SIZES, MOST_LABELLED, FEWEST_ITEMS = ((50, 50), (100, 100)), 0.6, 50
GAIN_SCENARIOS = ("A", "B", "C", "D", "E", "F", "G", "I", "J", "K")
ROUND_SCENARIOS = ("A", "C", "F", "J")
PILOT, ROUND, ROUNDS = 50, 50, 3
POPULATION = 300_000
CHECKED, DRAWS, TUNE = 400, 400, 300
RANDOM, PLAN, BEST = "random", "plan", "best"


class Cells(NamedTuple):
    """The finest strata of two models' items, and what is true of them.

    Attributes
    ----------
    cell : ndarray of int (item,)
        Slice by pair of verdicts, outputs that are word for word the same apart.
    size, share, mean, variance : ndarray (cell,)
        Items; their share of the target; mean and variance of the difference of the two labels.
    pattern : ndarray of int (cell,)
        The pair of verdicts alone.
    """

    cell: np.ndarray
    size: np.ndarray
    share: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    pattern: np.ndarray


def cells_in(features: xr.Dataset, *, known: pd.DataFrame | None = None) -> Cells:
    """Arrange what is true of the first two models.

    Parameters
    ----------
    features : Dataset
        Every item has both labels.
    known : DataFrame, optional
        Mean and variance in the population that the items were drawn from, see `population`; else those of the items.
    """
    found, cell = np.unique(_keys(features), axis=0, return_inverse=True)
    size = np.bincount(cell).astype(float)
    share = np.bincount(cell, weights=item_weights(features, traffic=True))
    if known is None:
        known = _moments(features)
    mean, variance = known.loc[[tuple(one) for one in found]].to_numpy().T
    return Cells(cell, size, share / share.sum(), mean, variance, np.unique(found[:, 1], return_inverse=True)[1])


@cache
def population(scenario: str) -> pd.DataFrame:
    """Mean and variance of the difference in every cell of a scenario, from many items."""
    many = simulate_pairs(**SCENARIOS[scenario], n_labels=50, n_unlabelled=POPULATION, seed=SEED)
    return _moments(all_labelled(many))


def _keys(features: xr.Dataset) -> np.ndarray:
    value = features["value"].to_numpy()[:, :2, 0]
    pairwise = features.attrs["kind"] == "pairwise"
    verdict = np.column_stack([np.zeros(len(value), int), verdicts(value[:, 1:])]) if pairwise else verdicts(value)
    twin = (features["pool"].to_numpy()[:, 0, 1] > 0) & (not pairwise)
    return np.stack([features["slice_index"].to_numpy(), verdict @ [4, 1], twin], axis=1)


def _moments(features: xr.Dataset) -> pd.DataFrame:
    label = features["label"].to_numpy()
    rows = pd.DataFrame(_keys(features)).assign(difference=label[:, 1] - label[:, 0])
    return rows.groupby([0, 1, 2])["difference"].agg(mean="mean", variance="var").fillna(0.0)


def expected_error(true: Cells, labels: np.ndarray, weight: np.ndarray) -> float:
    """Expected squared error of the contrast weighted within verdicts, given how many labels each cell has.

    Parameters
    ----------
    labels : ndarray (cell,)
        May be no whole numbers.
    weight : ndarray (cell,)
        Of one label.
    """
    of_pattern = np.bincount(true.pattern, weights=true.share)[true.pattern]
    total = np.bincount(true.pattern, weights=labels * weight)[true.pattern]
    # Without any label of a pattern the estimate there is no difference.
    part = of_pattern * labels * weight / np.where(total > 0, total, 1)
    noise = part**2 * true.variance * np.maximum(1 / np.maximum(labels, 1e-9) - 1 / true.size, 0)
    return float(noise[labels > 0].sum() + ((part - true.share) @ true.mean) ** 2)


def best_labels(true: Cells, have: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels of every cell by Neyman's allocation, those there are included, and the weight of each."""
    least = np.maximum(have, np.minimum(1, true.size))
    labels = fill(true.share * np.sqrt(true.variance), least, true.size, max(have.sum() + n, least.sum()))
    return labels, true.share / labels


def draw(design: Design, wanted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Choose unlabelled items at random within strata, dims (item,)."""
    chosen = np.zeros(len(design.stratum), dtype=bool)
    for stratum, number in enumerate(wanted):
        free = np.flatnonzero((design.stratum == stratum) & ~design.labelled)
        chosen[rng.choice(free, number, replace=False)] = True
    return chosen


def with_labels(features: xr.Dataset, keep: np.ndarray, probability: np.ndarray) -> xr.Dataset:
    """Features of which only some items are labelled, with the probabilities of their design."""
    kept = keep_labels(features, keep)
    uneven = int(np.ptp(probability[keep]) > 1e-6)
    return kept.assign(inclusion_prob=("item", np.where(keep, probability, 1.0))).assign_attrs(uneven=uneven)


def one_round(
    features: xr.Dataset, true: Cells, *, pilot: int, n: int, rng: np.random.Generator
) -> dict[str, float]:
    """Errors of the contrast of two models after labels at random, by plan, and by the best allocation."""
    size = features.sizes["item"]
    order = rng.permutation(size)
    keep, more = np.isin(np.arange(size), order[:pilot]), np.isin(np.arange(size), order[pilot : pilot + n])
    models = features["model"].to_numpy()[1:2].tolist()
    design = label_design(keep_labels(features, keep), models, n=n)
    wanted = allocate(design, n)
    chosen = draw(design, wanted, rng)
    cells, weights = len(true.pattern), item_weights(features, traffic=True)
    by_plan = inclusion(design.stratum, keep, chosen, np.ones(size))
    drawn = {RANDOM: (keep | more, np.ones(size)), PLAN: (keep | chosen, by_plan)}
    label = features["label"].to_numpy()
    exact = float(np.average(label[:, 1] - label[:, 0], weights=weights))
    sign = -1 if features.attrs["better"] == "lower" else 1
    row = {"worth": worth_at_random(design, wanted) / wanted.sum(), "strata": float(len(wanted))}
    for name, (labelled, probability) in drawn.items():
        labels = np.bincount(true.cell[labelled], minlength=cells)
        weight = np.bincount(true.cell[labelled], weights=(weights / probability)[labelled], minlength=cells)
        row[f"{name}_error"] = expected_error(true, labels, weight / np.maximum(labels, 1))
        found = verdict_draws(with_labels(features, labelled, probability), traffic=True, seed=int(rng.integers(2**31)),
                              draws=CHECKED)["contrast"].to_numpy()[:, 1]
        row |= {f"{name}_square": (found.mean() - sign * exact) ** 2, f"{name}_sd": found.std()}
    row[f"{BEST}_error"] = expected_error(true, *best_labels(true, np.bincount(true.cell[keep], minlength=cells), n))
    return row


def all_labelled(pairs: Pairs) -> xr.Dataset:
    """Features of the first two models and the first metric, every item labelled."""
    size = len(pairs.truth)
    pairs = replace(pairs, truth=pairs.truth[:, :2], metrics=pairs.metrics[:, :2, :1], quality=pairs.quality[:2],
                    slice_quality=pairs.slice_quality[:, :2], labelled=np.ones(size, dtype=bool),
                    inclusion_prob=np.ones(size))
    return pairs_features(pairs)[0]


def gain(number: int, *, scenario: str, pilot: int, n: int) -> pd.DataFrame:
    """One simulated migration of 1,050 items."""
    features = all_labelled(simulate_pairs(**SCENARIOS[scenario], n_labels=50, seed=SEED + number))
    true = cells_in(features, known=population(scenario))
    return pd.DataFrame([one_round(features, true, pilot=pilot, n=n, rng=np.random.default_rng([SEED, number]))])


@cache
def real_features(study: str) -> list[xr.Dataset]:
    """Every pair of models of a study on the items with judgments of both, and the first metric that has both."""
    found = []
    for given, models, items in parts(study):
        for pair in combinations(models, 2):
            metrics = [name for name in given.metrics if set(pair[given.pairwise :]) <= having_metric(given, name)][:1]
            spec = {"models": pair, "metrics": metrics, "texts": STUDIES[study].texts}
            data, plan = migration(given, items=items, **spec)
            both = ~np.isnan(build_features(data, plan, given.criterion)["label"].to_numpy()).any(axis=1)
            if both.sum() >= FEWEST_ITEMS:
                data, plan = migration(given, items=data.items["item_id"].to_numpy()[both], **spec)
                found.append(build_features(data, plan, given.criterion))
    return found


def real(number: int, *, study: str, pilot: int, n: int) -> pd.DataFrame:
    """One pair of models of a study, drawn at random, and one draw of its labels."""
    rng = np.random.default_rng([SEED, number])
    pairs = real_features(study)
    features = pairs[int(rng.integers(len(pairs)))]
    fewer = min(1.0, MOST_LABELLED * features.sizes["item"] / (pilot + n))
    row = one_round(features, cells_in(features), pilot=round(fewer * pilot), n=round(fewer * n), rng=rng)
    return pd.DataFrame([row | {"items": features.sizes["item"]}])


def rounds(number: int, *, scenario: str) -> pd.DataFrame:
    """Three rounds of plan and labels on a simulated migration, then the calibration model."""
    pairs = simulate_pairs(**SCENARIOS[scenario], n_labels=PILOT, seed=SEED + number)
    size, rng = len(pairs.truth), np.random.default_rng([SEED, number])
    keep = np.isin(np.arange(size), rng.permutation(size)[:PILOT])
    chance = np.full(size, PILOT / size)
    for _ in range(ROUNDS):
        features, plan = pairs_features(replace(pairs, labelled=keep, inclusion_prob=chance))
        design = label_design(features, list(plan.candidates), n=ROUND)
        chosen = draw(design, allocate(design, ROUND), rng)
        chance = np.nan_to_num(inclusion(design.stratum, keep, chosen, features["inclusion_prob"].to_numpy()))
        keep = keep | chosen
    # A probability of 0 stands where no label does.
    features, plan = pairs_features(replace(pairs, labelled=keep, inclusion_prob=np.where(keep, chance, 1.0)))
    return final_rows(features, plan, pairs, number)


def final_rows(features: xr.Dataset, plan: Plan, pairs: Pairs, number: int) -> pd.DataFrame:
    """Estimates of every method beside the truth, total only."""
    (fit,) = fit_all([features], draws=DRAWS, tune=TUNE, seed=number, chains=1)
    drawn = quality(fit, features, traffic=True, seed=number)
    rows = pd.concat([
        estimate_rows(drawn, features, incumbent=plan.incumbent, layer="traffic", margin=plan.gates[0].margin,
                      interval=plan.sampling.interval),
        labels_only(features, plan, traffic=True, seed=number),
        verdict_strata(features, plan, traffic=True, seed=number), ppi(features, plan, traffic=True)])
    rows = rows[rows["slice"] == TOTAL]
    exact = dict(zip(features["model"].to_numpy(), pairs.quality, strict=True))
    against = np.where(rows["quantity"] == "contrast", pairs.quality[0], 0.0)
    return rows.assign(truth=rows["model"].map(exact) - against)[
        ["model", "quantity", "method", "mean", "sd", "lower", "upper", "truth"]]


def gain_table(found: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Errors relative to random labels, and the share of the best allocation's gain that the plan realises."""
    rows = []
    for name, drawn in found.items():
        where, pilot, n = name.rsplit("-", 2)
        error = {one: drawn[f"{one}_error"] for one in (RANDOM, PLAN, BEST)}
        ratio = error[PLAN].mean() / error[RANDOM].mean()
        realised, possible = error[RANDOM] - error[PLAN], error[RANDOM] - error[BEST]
        share = realised.mean() / possible.mean()
        spread = (realised - share * possible).std() / possible.mean() / np.sqrt(len(drawn))
        squares = drawn[f"{PLAN}_square"].mean() / drawn[f"{RANDOM}_square"].mean()
        rows.append({
            "study": where, "pilot": int(pilot), "next": int(n), "replicates": len(drawn),
            "best_error": error[BEST].mean() / error[RANDOM].mean(), "plan_error": ratio,
            "plan_error_mc": (error[PLAN] - ratio * error[RANDOM]).std() / error[RANDOM].mean() / np.sqrt(len(drawn)),
            "share_of_gain": share, "share_of_gain_mc": spread, "drawn_error": squares,
            "sd": (drawn[f"{PLAN}_sd"] / drawn[f"{RANDOM}_sd"]).mean(), "worth": drawn["worth"].mean(),
            "strata": drawn["strata"].mean(), **({"items": drawn["items"].mean()} if "items" in drawn else {})})
    return pd.DataFrame(rows)


def rounds_table(found: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Coverage and width by scenario, quantity, model and method."""
    rows = pd.concat([part.assign(scenario=name) for name, part in found.items()], ignore_index=True)
    by = ["scenario", "quantity", "model", "method"]
    return coverage_table(rows.dropna(subset="lower"), by)


def cells_of(study: str) -> dict[str, Callable[[int], pd.DataFrame]]:
    """Name of a cell to the function that runs one replicate."""
    if study == "gain":
        return {f"{scenario}-{pilot}-{n}": partial(gain, scenario=scenario, pilot=pilot, n=n)
                for pilot, n in SIZES for scenario in GAIN_SCENARIOS}
    if study == "real":
        return {f"{name}-{pilot}-{n}": partial(real, study=name, pilot=pilot, n=n)
                for pilot, n in REAL_SIZES for name in STUDIES}
    return {scenario: partial(rounds, scenario=scenario) for scenario in ROUND_SCENARIOS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", nargs="+", choices=("gain", "real", "rounds"), default=["gain", "real"])
    parser.add_argument("--replicates", type=int, default=300)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    for study in given.study:
        modules = (*MODULES, "label_design", "label_spread") if study == "rounds" else (
            "features", "metric_features", "judgments", "strata", "label_design", "label_spread")
        code = code_digest("simulate/pairs", "simulate/scenarios", modules=modules)
        found = run_cells(f"label-plans-{study}-{code}", cells_of(study), given.replicates, chunk=20,
                          workers=given.workers)
        table = rounds_table(found) if study == "rounds" else gain_table(found)
        name = {"gain": "label_plans", "real": "label_plans_real", "rounds": "label_plans_rounds"}[study]
        write_result(table, name, seed=SEED, code=code)


if __name__ == "__main__":
    main()
