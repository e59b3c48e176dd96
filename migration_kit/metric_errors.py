"""How metrics err against people, model by model, derived from the calibration model."""

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import rankdata

from migration_kit.estimands import group_items, population_draws
from migration_kit.prediction import drawn_luck, drawn_score, outlook, parameter_draws, thinned

ROUNDING = 1e-12


def metric_errors(fit: xr.DataTree, features: xr.Dataset, *, interval: float, seed: int) -> pd.DataFrame:
    """True and false positive rates of verdicts, rank correlation of scores, over all items of the test set.

    Parameters
    ----------
    fit : DataTree
        From `inference.fit`.
    features : Dataset
        The criterion's features.
    interval : float
        Probability of the intervals.
    seed : int
        Seed of the bootstrap weights.

    Returns
    -------
    DataFrame
        model, metric, true_positive, tp_lower, tp_upper, false_positive, fp_lower, fp_upper for metrics of values 0
        and 1 where judgments count as 0 or 1; rank_correlation, rc_lower, rc_upper for the others (−1 to 1: Somers' D
        of the score given a 0/1 judgment, Spearman's rank correlation with a judgment of more levels); NaN elsewhere.
        Of preferences the incumbent has no rows. Worry about a metric whose two rates are near each other, or a
        correlation near 0: it does not tell good outputs from bad ones.
    """
    draws = metric_error_draws(fit, features, seed=seed)
    tails = [(1 - interval) / 2, (1 + interval) / 2]
    rows = []
    for (metric, model), found in draws.items():
        row = {"model": model, "metric": metric}
        for name, short in (("true_positive", "tp"), ("false_positive", "fp"), ("rank_correlation", "rc")):
            values = found.get(name, np.array([np.nan]))
            lower, upper = np.quantile(values, tails)
            row |= {name: float(values.mean()), f"{short}_lower": float(lower), f"{short}_upper": float(upper)}
        rows.append(row)
    return pd.DataFrame(rows)


def metric_error_draws(
    fit: xr.DataTree, features: xr.Dataset, *, seed: int
) -> dict[tuple[str, str], dict[str, np.ndarray]]:
    """Draw each metric's errors: (metric, model) to true_positive and false_positive, or rank_correlation."""
    fit = thinned(fit)
    population = group_items(features, seed=seed)
    value = features["value"].to_numpy()[population.item]
    two = set(features.attrs["score"]) == {0.0, 1.0}
    first = 1 if features.attrs["kind"] == "pairwise" else 0
    parameters, rng = parameter_draws(fit), np.random.default_rng([seed, 3])
    pool = features["pool"].to_numpy()[population.item]
    parts: dict[tuple[str, str], dict[str, list[np.ndarray]]] = {}
    for chunk in population_draws(fit, features, traffic=False, seed=seed, population=population):
        weight = chunk.weight * chunk.slice_weight[:, population.slice_index]
        judged = chunk.quality
        if not two:
            seen = outlook(parameters, features, population.item, rows=chunk.rows)
            judged = drawn_score(seen, features, drawn_luck(seen, pool, rng))
        for m, model in list(enumerate(features["model"].to_numpy()))[first:]:
            for k, metric in enumerate(features["metric"].to_numpy()):
                known = ~np.isnan(value[:, m, k])
                told, w = value[known, m, k], weight[:, known]
                if two:
                    # A draw that is sure of every output would leave nothing to divide by.
                    good = w * np.clip(judged[:, known, m], ROUNDING, 1 - ROUNDING)
                    found = _errors(told, good, w - good)
                else:
                    found = {"rank_correlation": _spearman(told, judged[:, known, m], w)}
                store = parts.setdefault((metric, model), {})
                for name, draws in found.items():
                    store.setdefault(name, []).append(draws)
    return {key: {name: np.concatenate(draws) for name, draws in found.items()} for key, found in parts.items()}


def _spearman(value: np.ndarray, judged: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted correlation of the ranks of a metric, dim (item,), and of judgments, dims (draw, item)."""
    told, people = rankdata(value)[None], rankdata(judged, axis=1)
    weight = weight / weight.sum(axis=1, keepdims=True)
    told = told - (weight * told).sum(axis=1, keepdims=True)
    people = people - (weight * people).sum(axis=1, keepdims=True)
    spread = (weight * told**2).sum(axis=1) * (weight * people**2).sum(axis=1)
    together = (weight * told * people).sum(axis=1)
    return np.divide(together, np.sqrt(spread), out=np.zeros_like(together), where=spread > 0)


def _errors(value: np.ndarray, good: np.ndarray, bad: np.ndarray) -> dict[str, np.ndarray]:
    if np.isin(value, (0, 1)).all():
        says_good = value == 1
        return {"true_positive": good[:, says_good].sum(axis=1) / good.sum(axis=1),
                "false_positive": bad[:, says_good].sum(axis=1) / bad.sum(axis=1)}
    order = np.argsort(value)
    ranked = value[order]
    good, bad = good[:, order], bad[:, order]
    below = np.concatenate([np.zeros((len(bad), 1)), bad.cumsum(axis=1)], axis=1)
    first, last = np.searchsorted(ranked, ranked, side="left"), np.searchsorted(ranked, ranked, side="right")
    beaten = (below[:, first] + below[:, last]) / 2
    chance = (good * beaten).sum(axis=1) / (good.sum(axis=1) * bad.sum(axis=1))
    return {"rank_correlation": 2 * chance - 1}
