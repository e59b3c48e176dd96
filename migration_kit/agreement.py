"""Krippendorff's α: how far people agree with each other, and whether a metric agrees with them as well."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import xarray as xr

from migration_kit.plan import Plan
from migration_kit.raters import rater_table

ALL = "all"
DRAWS = 2000
DISTANCES = {"binary": "nominal", "ordinal": "ordinal", "pairwise": "ordinal", "continuous": "interval"}


def agreement(features: xr.Dataset, *, interval: float, seed: int) -> pd.DataFrame:
    """Krippendorff's α of the raters, over all models and model by model.

    The distance is nominal for 0/1 judgments, ordinal for levels and preferences, interval (squared difference)
    otherwise. The interval is a Bayesian bootstrap over items, or over clusters where the data have them (compare Zapf
    et al. 2016, doi:10.1186/s12874-016-0200-9); a little short below some 50 outputs where one judgment is rare.

    Returns
    -------
    DataFrame
        model ("all" first; of preferences the incumbent has no row), outputs (judged by several), raters, same (share
        of pairs of judgments that are equal), alpha (1 is agreement, 0 what chance would give), lower, upper. NaN
        without such outputs or where all judgments are equal. Krippendorff asks 0.8 of firm conclusions and 0.667 of
        tentative ones; worry where `upper` is lower.
    """
    table = rater_table(features)
    parts = [(ALL, table)]
    parts += [(name, table[table["model"] == number]) for number, name in enumerate(features["model"].to_numpy())
              if (table["model"] == number).any()]
    rows = []
    for name, part in parts:
        part = _several(part)
        found = {"same": np.nan, "alpha": np.nan, "lower": np.nan, "upper": np.nan}
        if len(part):
            alpha = _alpha_of(part, features)
            found["same"] = _same(part)
            weight = _bootstrap(part.drop_duplicates("output")["cluster"].to_numpy(), seed=seed)
            found |= _summary(alpha(None)[0], alpha(weight), interval=interval)
        rows.append({"model": name, "outputs": part["output"].nunique(), "raters": part["rater"].nunique(), **found})
    return pd.DataFrame(rows)


def krippendorff_alpha(
    unit: np.ndarray, value: np.ndarray, *, distance: str, weight: np.ndarray | None = None
) -> np.ndarray:
    """Krippendorff's α (Krippendorff 2011, Computing Krippendorff's alpha-reliability, University of Pennsylvania).

    Parameters
    ----------
    unit : ndarray of int (judgment,)
        What was judged, counted from 0; units with a single judgment do not count.
    value : ndarray (judgment,)
        Whole levels from 0 for nominal and ordinal distances.
    distance : {"nominal", "ordinal", "interval"}
    weight : ndarray (draw, unit), optional
        Bootstrap weights of the units; without them there is one draw of equal weights.

    Returns
    -------
    ndarray (draw,)
        At most 1; NaN where all pairable judgments are equal.
    """
    if weight is None:
        weight = np.ones((1, unit.max(initial=-1) + 1))
    if distance == "interval":
        return _alpha_of_moments(unit, value, weight)
    counts = np.zeros((weight.shape[1], int(value.max(initial=0)) + 1))
    np.add.at(counts, (unit, value.astype(np.int64)), 1)
    return alpha_of_coincidences(_weighted(_within(counts), weight), distance=distance)


def alpha_of_coincidences(coincidences: np.ndarray, *, distance: str) -> np.ndarray:
    """α from coincidences of levels, dims (draw, level, level), symmetric; nominal or ordinal distance."""
    of_level = coincidences.sum(axis=-1)
    n = of_level.sum(axis=-1)
    if distance == "nominal":
        apart = 1.0 - np.eye(of_level.shape[-1])[None]
    else:
        middle = of_level.cumsum(axis=-1) - of_level / 2
        apart = (middle[:, :, None] - middle[:, None, :]) ** 2
    observed = (coincidences * apart).sum(axis=(1, 2))
    expected = (of_level[:, :, None] * of_level[:, None, :] * apart).sum(axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > 0, 1 - (n - 1) * observed / expected, np.nan)


def metrics_as_raters(features: xr.Dataset, plan: Plan, *, interval: float, seed: int) -> pd.DataFrame:
    """Put metrics that speak the raters' own scale beside the raters: α of metric and person, α of person and person.

    Both on the same outputs, those that several people judged (all judged ones where there are none). A metric whose
    better side is the other one is turned round.

    Returns
    -------
    DataFrame
        metric, outputs, alpha, lower, upper (metric and one person), people, people_lower, people_upper (two people),
        gap, gap_lower, gap_upper (metric's minus people's). Empty for continuous criteria and where no metric has the
        levels of the scale. A gap whose interval lies below 0 says that the metric agrees less with people than people
        do with each other.
    """
    levels, criterion = np.asarray(features.attrs["levels"], dtype=float), features.attrs["criterion"]
    table = rater_table(features)
    table = _several(table) if len(_several(table)) else table
    distance, rows = DISTANCES[features.attrs["kind"]], []
    for number, metric in enumerate(features["metric"].to_numpy().tolist()):
        value = features["value"].to_numpy()[:, :, number]
        better = plan.metric_better(metric, criterion)
        if not len(levels) or better == "none" or not np.isin(value[~np.isnan(value)], levels).all():
            continue
        here = value[table["item"], table["model"]]
        here = levels[0] + levels[-1] - here if better != features.attrs["better"] else here
        part = table.assign(said=here).dropna(subset="said")
        if part.empty:
            continue
        unit = pd.factorize(part["output"])[0]
        counts = np.zeros((unit.max() + 1, len(levels)))
        np.add.at(counts, (unit, part["level"].to_numpy()), 1)
        single = np.zeros_like(counts)
        single[unit, np.searchsorted(levels, part["said"])] = 1
        across = single[:, :, None] * counts[:, None, :] / counts.sum(axis=1)[:, None, None]
        weight = _bootstrap(part["cluster"].to_numpy()[np.unique(unit, return_index=True)[1]], seed=seed)
        weight = np.concatenate([np.ones((1, len(counts))), weight])
        with_metric = alpha_of_coincidences(_weighted(across + across.swapaxes(1, 2), weight), distance=distance)
        people = alpha_of_coincidences(_weighted(_within(counts), weight), distance=distance)
        row = {"metric": metric, "outputs": len(counts)}
        for prefix, draws in (("", with_metric), ("people_", people), ("gap_", with_metric - people)):
            found = _summary(draws[0], draws[1:], interval=interval)
            row |= {prefix.rstrip("_") or "alpha": found["alpha"], f"{prefix}lower": found["lower"],
                    f"{prefix}upper": found["upper"]}
        rows.append(row)
    return pd.DataFrame(rows, columns=["metric", "outputs", "alpha", "lower", "upper", "people", "people_lower",
                                       "people_upper", "gap", "gap_lower", "gap_upper"])


def _several(table: pd.DataFrame) -> pd.DataFrame:
    return table[table.groupby("output")["rater"].transform("size") > 1]


def _alpha_of(part: pd.DataFrame, features: xr.Dataset) -> Callable[[np.ndarray | None], np.ndarray]:
    """Return α as a function of bootstrap weights of the outputs of a table."""
    unit, distance = pd.factorize(part["output"])[0], DISTANCES[features.attrs["kind"]]
    value = part["value" if distance == "interval" else "level"].to_numpy()
    return lambda weight: krippendorff_alpha(unit, value, distance=distance, weight=weight)


def _same(part: pd.DataFrame) -> float:
    """Share of pairs of judgments of one output that are equal; every output counts once."""
    size = part.groupby("output")["value"].size()
    equal = part.groupby(["output", "value"]).size()
    return float(((equal * (equal - 1)).groupby("output").sum() / (size * (size - 1))).mean())


def _bootstrap(cluster: np.ndarray, *, seed: int) -> np.ndarray:
    """Draw weights of units, dims (draw, unit), shared within clusters, 1 on average."""
    _, code = np.unique(cluster, return_inverse=True)
    drawn = np.random.default_rng(seed).standard_exponential((DRAWS, code.max() + 1))
    return (drawn * drawn.shape[1] / drawn.sum(axis=1, keepdims=True))[:, code]


def _within(counts: np.ndarray) -> np.ndarray:
    """Coincidences of levels within each unit, dims (unit, level, level), from counts (unit, level)."""
    pairs = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(counts.shape[1])
    return pairs / np.maximum(counts.sum(axis=1) - 1, 1)[:, None, None]


def _weighted(pairs: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return (weight @ pairs.reshape(len(pairs), -1)).reshape(len(weight), *pairs.shape[1:])


def _alpha_of_moments(unit: np.ndarray, value: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """α under squared differences; sums by unit are all it needs."""
    n = np.bincount(unit, minlength=weight.shape[1])
    centred = value - value.mean() if len(value) else value
    total, squares = (np.bincount(unit, weights=part, minlength=weight.shape[1]) for part in (centred, centred**2))
    paired = n > 1
    n, total, squares, weight = n[paired], total[paired], squares[paired], weight[:, paired]
    count = weight @ n
    within = weight @ (n * (squares - total**2 / n) / (n - 1))
    spread = weight @ squares - (weight @ total) ** 2 / count
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(spread > 0, 1 - (count - 1) * within / (count * spread), np.nan)


def _summary(alpha: float, draws: np.ndarray, *, interval: float) -> dict[str, float]:
    known = draws[~np.isnan(draws)]
    lower, upper = np.quantile(known, [(1 - interval) / 2, (1 + interval) / 2]) if len(known) else (np.nan, np.nan)
    return {"alpha": float(alpha), "lower": float(lower), "upper": float(upper)}
