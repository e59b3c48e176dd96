"""Which metrics earn their keep, told from the labels alone: no model is fitted for it."""

import numpy as np
import pandas as pd
import xarray as xr

from migration_kit.intervals import NORMAL
from migration_kit.plan import Plan
from migration_kit.strata import contrast_sign, item_weights

FEWEST_LABELS = 10
PENALTIES = 10.0 ** np.arange(-6, 4.5, 0.5)
ROUNDING = 1e-9


def metric_worth(features: xr.Dataset, plan: Plan, *, traffic: bool) -> pd.DataFrame:
    """Expect the width of each candidate's contrast with every metric alone, with all of them and with none.

    The labelled difference of an item is regressed on differences and sums of the two outputs' features; the width is
    that of the regression estimator, 2·z·√(σ²_res/n·(1 − n/N) + σ²_total/N) for n labelled of N items (Cochran 1977,
    Sampling Techniques, §7; unequal weights enter by their squares, clusters by their sums). σ²_res are squared errors
    of items left out of a ridge regression, so that thirty metrics look no better on fifty labels than they are.

    Parameters
    ----------
    features : Dataset
        From `features.build_features`.
    plan : Plan
        Gives the interval.
    traffic : bool
        Weigh slices by production traffic, or by the test set's own mix.

    Returns
    -------
    DataFrame
        model, use ("none", "alone" or "all"), metric (of "alone", else ""), n_labels (items judged for both), width (on
        the score scale), ratio (to the width with none), as_labels (how many labels without any metric would give this
        width), without (width with all other metrics). "all" and `without` use covariates, too. NaN below 10 labels
        and where all labelled differences are equal. A ratio near 1 says that the metric tells nothing; `without` near
        the width of "all", that the other metrics tell the same.
    """
    rows = []
    metrics = features["metric"].to_numpy().tolist()
    for position, model in enumerate(features["model"].to_numpy().tolist()[1:], start=1):
        pair = pair_features(features, position, traffic=traffic)
        names = list(pair["feature"].to_numpy())
        own = {metric: [name for name in names if _owner(name, metrics) == metric] for metric in metrics}
        none = expected_width(pair, [], interval=plan.sampling.interval)
        cases = [("none", "", [], None), *(("alone", m, own[m], [n for n in names if n not in own[m]]) for m in own),
                 ("all", "", names, None)]
        for use, metric, used, others in cases:
            width = expected_width(pair, used, interval=plan.sampling.interval)
            without = np.nan if others is None else expected_width(pair, others, interval=plan.sampling.interval)
            rows.append({"model": model, "use": use, "metric": metric, "n_labels": pair.sizes["item"], "width": width,
                         "ratio": width / none, "as_labels": pair.sizes["item"] * (none / width) ** 2,
                         "without": without})
    return pd.DataFrame(rows)


def pair_features(features: xr.Dataset, position: int, *, traffic: bool) -> xr.Dataset:
    """Arrange the items judged for a candidate and the incumbent for a regression of their difference.

    Parameters
    ----------
    features : Dataset
        From `features.build_features`.
    position : int
        Of the candidate among the models.
    traffic : bool
        Weigh slices by production traffic, or by the test set's own mix.

    Returns
    -------
    Dataset
        ``contrast`` (item), positive where the candidate is better · ``x`` (item, feature, side), difference and sum of
        the two outputs' features; of preferences only the difference · ``weight``, ``cluster`` (item). Attribute
        ``population``, the effective number of items.
    """
    label, weight = features["label"].to_numpy(), item_weights(features, traffic=traffic)
    difference = contrast_sign(features) * (label[:, position] - label[:, 0])
    used = ~np.isnan(difference) & (weight > 0)
    # Components are the features turned; turned back, each belongs to its metric again.
    named = features["x"].to_numpy() @ np.linalg.pinv(features["rotation"].to_numpy())
    new, old = named[used, position], named[used, 0]
    sides = [new - old] if features.attrs["kind"] == "pairwise" else [new - old, new + old]
    return xr.Dataset(
        {
            "contrast": ("item", difference[used]),
            "x": (("item", "feature", "side"), np.stack(sides, axis=-1)),
            "weight": ("item", (weight / features["inclusion_prob"].to_numpy())[used]),
            "cluster": ("item", np.unique(features["cluster"].to_numpy()[used], return_inverse=True)[1]),
        },
        coords={"feature": features["feature"].to_numpy()},
        attrs={"population": float(weight.sum() ** 2 / (weight**2).sum())},
    )


def expected_width(
    pair: xr.Dataset, names: list[str], *, interval: float, less_noise: float = 0.0, labels: float | None = None
) -> float:
    """Expect the width of the contrast's interval by the formula of `metric_worth`.

    Parameters
    ----------
    pair : Dataset
        From `pair_features`.
    names : list of str
        The features used; without any, labels speak alone.
    interval : float
        Probability of the interval.
    less_noise : float
        What a labelled difference would lose in variance, σ²_res and σ²_total alike, with other numbers of raters.
    labels : float, optional
        Labelled items, where not as many as there are.

    Returns
    -------
    float
        On the score scale; NaN below 10 labels and where all differences are equal.
    """
    y, weight = pair["contrast"].to_numpy(), pair["weight"].to_numpy()
    n, population = len(y), pair.attrs["population"]
    if n < FEWEST_LABELS or np.ptp(y) == 0:
        return np.nan
    x = pair["x"].sel(feature=names).to_numpy().reshape(n, -1)
    error, share = left_out_errors(x, y, weight=weight), weight / weight.sum()
    residual = float(share @ error**2)
    total = float(share @ left_out_errors(x[:, :0], y, weight=weight) ** 2)
    # Clusters and unequal weights make a label count for less than one.
    summed = np.bincount(pair["cluster"].to_numpy(), weights=share * error)
    per_label = n * (summed**2).sum() / residual if residual > 0 else 1.0
    residual, total = max(residual - less_noise, 0.0), max(total - less_noise, 0.0)
    labelled = n if labels is None else min(labels, population)
    variance = per_label * residual / labelled + (total - residual) / population
    return float(2 * NORMAL.inv_cdf((1 + interval) / 2) * np.sqrt(max(variance, 0.0)))


def left_out_errors(x: np.ndarray, y: np.ndarray, *, weight: np.ndarray) -> np.ndarray:
    """Errors of a ridge regression with intercept, each for a row that the regression has not seen.

    The penalty is the one of a grid whose errors are smallest. Left-out errors are in closed form (Golub, Heath & Wahba
    1979, doi:10.1080/00401706.1979.10489751).

    Parameters
    ----------
    x : ndarray (row, feature)
        May have no columns: then the mean of the other rows is the prediction.
    y : ndarray (row,)
    weight : ndarray (row,)
        How much each row's squared error counts when the penalty is chosen.
    """
    n = len(y)
    centred = x - x.mean(axis=0)
    spread = centred.std(axis=0)
    centred = centred[:, spread > ROUNDING] / spread[spread > ROUNDING]
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    left, values = left[:, values > ROUNDING * np.sqrt(n)], values[values > ROUNDING * np.sqrt(n)]
    shrink = values**2 / (values**2 + n * PENALTIES[:, None])
    shrink = np.concatenate([shrink, np.zeros((1, len(values)))])
    fitted = y.mean() + (shrink * (left.T @ y)) @ left.T
    leverage = 1 / n + shrink @ (left**2).T
    errors = (y - fitted) / np.maximum(1 - leverage, ROUNDING)
    return errors[np.argmin((errors**2 * weight).sum(axis=1))]


def scored_zero_one(features: xr.Dataset) -> bool:
    """Tell whether a judgment counts 0 or 1 for quality: binary scales, and shares at or above a level."""
    return set(features.attrs["score"]) == {0, 1}


def _owner(feature: str, metrics: list[str]) -> str:
    """Return the metric a feature was made of: itself, its bend, its ease, its absence; "" for a covariate."""
    return max((m for m in metrics if feature == m or feature.startswith(f"{m}: ")), key=len, default="")
