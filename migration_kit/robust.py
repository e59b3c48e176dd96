"""Means with errors that hold where items come in clusters or weigh unequally: plain, by slice, and power-tuned."""

from collections.abc import Iterator

import numpy as np
import xarray as xr
from scipy.special import betainc, betaincinv, stdtr, stdtrit

from migration_kit.intervals import NORMAL, UNKNOWN
from migration_kit.strata import slice_mix

TOTAL = "all"
ROUNDING = 1e-9


def clusters(features: xr.Dataset) -> np.ndarray:
    """Return the cluster of every item; its own position where the data has none."""
    return features["cluster"].to_numpy() if features.attrs["clustered"] else np.arange(features.sizes["item"])


def cluster_error(influence: np.ndarray, cluster: np.ndarray) -> float:
    """Return the standard error of a sum of item influences that sum to 0, where clusters are independent."""
    _, code = np.unique(cluster, return_inverse=True)
    return float(np.sqrt((np.bincount(code, weights=influence) ** 2).sum()))


def bounded_mean(
    values: np.ndarray, *, weight: np.ndarray, cluster: np.ndarray, limits: tuple[float, float] | None,
    interval: float, margin: float | None = None,
) -> dict[str, float]:
    """Summarise a weighted mean as `intervals.summarise` does.

    Between known limits a Beta with half a label at each limit and as many labels as explain the cluster-robust
    variance, fewer by the square of normal over t quantile where clusters are few (Korn & Graubard 1998, Survey
    Methodology 24:193); without limits a t interval with clusters − 1 degrees of freedom. Tried with 50 labels, with
    and without clusters and unequal weights: the Beta covers 93% to 98%, of ratings near their highest level 89% to
    99%; there a t interval covers 64% to 90%, and a Bayesian bootstrap of differences 74% to 94%.

    Parameters
    ----------
    values, weight, cluster : ndarray (item,)
        Values without NaN and positive weights.
    limits : tuple of float, optional
        The lowest and the highest value there can be.
    interval, margin : float
        See `intervals.summarise`.

    Returns
    -------
    dict
        Only the mean where there is a single cluster, or clusters are equal and there are no limits. A mean without
        limits of values of which few are far from the others is covered in 85% to 91%: worry there.
    """
    if not len(values):
        return dict(UNKNOWN)
    share = weight / weight.sum()
    mean, n = float(share @ values), len(np.unique(cluster))
    known = UNKNOWN | {"mean": mean}
    if n < 2:
        return known
    by_cluster = np.bincount(np.unique(cluster, return_inverse=True)[1], weights=share)
    error = cluster_error(share * (values - mean), cluster) * np.sqrt(n / (n - 1))
    tails = np.array([(1 - interval) / 2, (1 + interval) / 2])
    equal = error <= ROUNDING * max(np.abs(values).max(), ROUNDING)
    if limits is None:
        if equal:
            return known
        lower, upper = mean + error * stdtrit(n - 1, tails)
        chance = np.nan if margin is None else stdtr(n - 1, (mean + margin) / error)
        return {"mean": mean, "sd": error, "lower": float(lower), "upper": float(upper),
                "prob_noninferior": float(chance)}
    low, width = limits[0], limits[1] - limits[0]
    rate = float(np.clip((mean - low) / width, 0, 1))
    told = 1 / (by_cluster**2).sum() if equal else rate * (1 - rate) * (width / error) ** 2
    told *= (NORMAL.inv_cdf(tails[1]) / stdtrit(n - 1, tails[1])) ** 2
    good, bad = told * rate + 0.5, told * (1 - rate) + 0.5
    mean = good / (good + bad)
    lower, upper = low + width * betaincinv(good, bad, tails)
    reached = np.nan if margin is None else 1 - betainc(good, bad, np.clip((-margin - low) / width, 0, 1))
    return {"mean": float(low + width * mean), "sd": float(width * np.sqrt(mean * (1 - mean) / (good + bad + 1))),
            "lower": float(lower), "upper": float(upper), "prob_noninferior": float(reached)}


def slice_means(values: np.ndarray, features: xr.Dataset, *, traffic: bool) -> Iterator[tuple[str, float, float]]:
    """Yield (slice, mean, standard error), the slice-weighted total first; NaN values are left out.

    A slice with a single cluster has no standard error of its own; in the total it takes the variance between clusters
    of the others.
    """
    known = ~np.isnan(values)
    names, size = features["slice"].to_numpy().tolist(), features.sizes["slice"]
    slice_index, values, cluster = features["slice_index"].to_numpy()[known], values[known], clusters(features)[known]
    n = np.bincount(slice_index, minlength=size)
    mean = np.bincount(slice_index, weights=values, minlength=size) / np.where(n > 0, n, np.nan)
    groups, code = np.unique(np.stack([cluster, slice_index]), axis=1, return_inverse=True)
    n_groups = np.bincount(groups[1], minlength=size)
    # The mean of a slice moves by this much with each cluster in it.
    moved = np.bincount(code, weights=(values - mean[slice_index]) / n[slice_index])
    several = np.where(n_groups > 1, n_groups, np.nan)
    moved = moved * np.sqrt(several / (several - 1))[groups[1]]
    variance = np.bincount(groups[1], weights=moved**2, minlength=size) / np.where(n_groups > 0, 1, np.nan)
    rated = n_groups > 1
    within = ((several - 1) * several * variance)[rated].sum() / (several - 1)[rated].sum() if rated.any() else np.nan
    share, count = (part[n > 0] for part in slice_mix(features, traffic=traffic))
    share = share / share.sum() if share.sum() > 0 else np.full_like(share, np.nan)
    total = (share * mean[n > 0]).sum() if len(values) else np.nan
    weight = np.zeros(size)
    weight[n > 0] = share
    error = cluster_error(np.nan_to_num(moved) * weight[groups[1]], groups[0]) ** 2
    error += (weight[n_groups == 1] ** 2).sum() * within if (n_groups == 1).any() else 0.0
    # Shares known from counts vary as a Dirichlet.
    error += 0.0 if np.isnan(count).any() else (share * (mean[n > 0] - total) ** 2).sum() / (count.sum() + 1)
    yield TOTAL, float(total), float(np.sqrt(error)) if len(values) else np.nan
    yield from zip(names, mean.tolist(), np.sqrt(variance).tolist(), strict=True)


def power_tuned(
    y: np.ndarray, f: np.ndarray, *, weight: np.ndarray, inclusion: np.ndarray, cluster: np.ndarray
) -> tuple[int, float, float]:
    """Return number of labels, PPI++ mean and standard error of y (NaN where unlabelled), given the metric f."""
    labelled = ~np.isnan(y) & ~np.isnan(f) & (weight > 0)
    # Where labels were not drawn evenly, items without label are no sample of the whole; all items are.
    uneven = np.ptp(inclusion[labelled]) > 0 if labelled.any() else False
    other = ~np.isnan(f) & (weight > 0) & (uneven | ~labelled)
    n, n_other = int(labelled.sum()), int(other.sum())
    if n < 2:
        return n, np.nan, np.nan
    w, w_other = weight[labelled] / inclusion[labelled], weight[other]
    w, w_other = w / w.mean(), w_other / w_other.mean() if n_other else w_other
    y, f, f_other = y[labelled], f[labelled], f[other]
    power = 0.0
    if n_other:
        centre = (w_other * f_other).mean() + (w * (y - f)).mean()
        slope, slope_other = w * (f - centre), w_other * (f_other - centre)
        spread = np.var(np.concatenate([slope, slope_other]), ddof=1)
        shared = np.mean((w * (y - centre) - (w * (y - centre)).mean()) * (slope - slope.mean()))
        power = float(np.clip(shared / ((1 + n / n_other) * spread), 0, 1)) if spread > 0 else 0.0
    residual, predicted = w * (y - power * f), power * w_other * f_other
    mean = residual.mean() + (predicted.mean() if n_other else 0.0)
    influence = np.zeros(len(labelled))
    influence[labelled] += (residual - residual.mean()) / n
    if n_other:
        influence[other] += (predicted - predicted.mean()) / n_other
    judged = len(np.unique(cluster[labelled]))
    if np.ptp(y) == 0 or judged < 2:
        return n, float(mean), np.nan
    # Few clusters tell less than their own scatter says; PPI++ makes no such allowance for items.
    allowance = 1.0 if judged == n else np.sqrt(judged / (judged - 1))
    return n, float(mean), cluster_error(influence, cluster) * allowance
