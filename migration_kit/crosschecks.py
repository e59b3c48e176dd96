"""Estimates that stand beside the calibrated one: raw metrics, labels alone, verdict strata, PPI++.

None needs sampling, and each leans on less than the calibration model does, so a difference tells something. Every
function takes the features of one criterion and returns rows of the run's estimates. Contrasts are candidate minus
incumbent and positive where the candidate is better; qualities keep the scale of the labels or of the metric.
``traffic`` says what slices are weighted by: production traffic, or the test set's own mix (layer ``offline``).
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import betaincinv

from migration_kit.intervals import UNKNOWN, estimate_table, summarise, summarise_normal
from migration_kit.plan import Plan
from migration_kit.strata import DRAWS, contrast_sign, item_weights, slice_mix, truth_counts, verdict_draws

TOTAL = "all"


def cross_checks(features: xr.Dataset, plan: Plan, *, traffic: bool, seed: int) -> pd.DataFrame:
    """Return every cross-check of one criterion.

    Parameters
    ----------
    features : Dataset
        From `features.build_features`.
    plan : Plan
        Gives margins, the interval and which direction of a metric is better.
    traffic : bool
        Weigh slices by production traffic, or by the test set's own mix.
    seed : int
        Equal seeds give equal rows.

    Returns
    -------
    DataFrame
        `intervals.ESTIMATE_COLUMNS`; methods raw, labels_only, verdict_strata and ppi. Worry when labels_only,
        verdict_strata and ppi lie apart, or when raw has the other sign.
    """
    parts = [
        raw(features, plan, traffic=traffic),
        labels_only(features, plan, traffic=traffic, seed=seed),
        verdict_strata(features, plan, traffic=traffic, seed=seed),
        ppi(features, plan, traffic=traffic),
    ]
    return pd.concat(parts, ignore_index=True)


def raw(features: xr.Dataset, plan: Plan, *, traffic: bool) -> pd.DataFrame:
    """What each metric says when taken at its word, in total and by slice.

    A normal interval from the slice-weighted variance, paired for contrasts, over the items that have the metric. The
    sign follows the metric's own ``better``; metrics with ``better: none`` are left out. A margin is a difference of
    rates, so ``prob_noninferior`` is NaN for metrics outside 0..1.
    """
    rows = []
    for metric, sign in _directions(features, plan).items():
        value = features["value"].sel(metric=metric).to_numpy()
        is_rate = not ((value < 0) | (value > 1)).any()
        for model, quantity, values in _quantities(features, value, sign=sign):
            for name, mean, sd in _slice_means(values, features, traffic=traffic):
                margin = _margin(features, plan, quantity, name) if is_rate else None
                summary = summarise_normal(mean, sd, interval=plan.sampling.interval, margin=margin)
                rows.append({"model": model, "slice": name, "quantity": quantity, "metric": metric, "n_labels": 0,
                             **summary})
    return _table(rows, features, method="raw", traffic=traffic)


def raw_draws(features: xr.Dataset, plan: Plan, *, traffic: bool, draws: int, seed: int) -> xr.DataArray:
    """Draw the raw contrasts in total, independent of labels.

    Returns
    -------
    DataArray (draw, metric, model)
        Metrics with a direction, candidates; NaN where no item has the metric for both models. Where the calibrated
        draws mostly have the other sign, the metric alone would have misled.
    """
    metrics, candidates = _directions(features, plan), features["model"].to_numpy()[1:]
    drawn = np.random.default_rng(seed).standard_normal((draws, len(metrics), len(candidates)))
    for number, (metric, sign) in enumerate(metrics.items()):
        value = features["value"].sel(metric=metric).to_numpy()
        quantities = _quantities(features, value, sign=sign)
        contrasts = [values for _, quantity, values in quantities if quantity == "contrast"]
        for candidate, values in enumerate(contrasts):
            _, mean, sd = next(_slice_means(values, features, traffic=traffic))
            drawn[:, number, candidate] = mean + sd * drawn[:, number, candidate]
    return xr.DataArray(drawn, dims=("draw", "metric", "model"), coords={"metric": list(metrics), "model": candidates})


def labels_only(features: xr.Dataset, plan: Plan, *, traffic: bool, seed: int) -> pd.DataFrame:
    """What human judgments say without any metric, in total and by slice.

    Dirichlet(¼) on the four patterns of truth of the items judged for both models, Beta(½, ½) for one model. Labels
    weigh 1 / inclusion probability and, in total, by slice; unequal weights count as (Σw)² / Σw² labels. All but the
    interval and probability of a contrast is exact; those are drawn. NaN where there is no label.
    """
    sign, label, interval = contrast_sign(features), features["label"].to_numpy(), plan.sampling.interval
    slice_index = features["slice_index"].to_numpy()
    design = 1 / features["inclusion_prob"].to_numpy()
    weights = {TOTAL: design * item_weights(features, traffic=traffic)}
    weights |= {name: design * (slice_index == number) for number, name in enumerate(features["slice"].to_numpy())}
    rng, rows = np.random.default_rng(seed), []
    for name, weight in weights.items():
        for position, model in enumerate(features["model"].to_numpy()):
            of = {"model": model, "slice": name}
            n, counts = truth_counts(label[:, [position]], weight)
            summary = _beta(counts, interval=interval) if n else UNKNOWN
            rows.append({**of, "quantity": "quality", "n_labels": n, **summary})
            if position:
                n, counts = truth_counts(label[:, [0, position]], weight)
                margin = _margin(features, plan, "contrast", name)
                summary = _paired(counts, sign=sign, interval=interval, margin=margin, rng=rng) if n else UNKNOWN
                rows.append({**of, "quantity": "contrast", "n_labels": n, **summary})
    return _table(rows, features, method="labels_only", traffic=traffic)


def verdict_strata(features: xr.Dataset, plan: Plan, *, traffic: bool, seed: int) -> pd.DataFrame:
    """Summarise `strata.verdict_draws`: labels within each verdict of the primary metric, over all items."""
    draws = verdict_draws(features, traffic=traffic, seed=seed)
    rows = []
    for quantity, first in (("quality", 0), ("contrast", 1)):
        for model in features["model"].to_numpy()[first:]:
            summary = summarise(draws[quantity].sel(model=model).to_numpy(), interval=plan.sampling.interval,
                                margin=_margin(features, plan, quantity, TOTAL))
            n = int(draws["n_labels"].sel(quantity=quantity, model=model))
            rows.append({"model": model, "slice": TOTAL, "quantity": quantity, "n_labels": n, **summary})
    return _table(rows, features, method="verdict_strata", traffic=traffic, metric=features.attrs["primary_metric"])


def ppi(features: xr.Dataset, plan: Plan, *, traffic: bool) -> pd.DataFrame:
    """PPI++ on the primary metric: labels, with the metric on items without label as a control variate.

    Prediction-powered inference with power tuning (Angelopoulos, Duchi & Zrnic 2023, arXiv:2311.01453). For a contrast,
    label and metric are differences on one item. Items without the metric are left out. The interval is normal: too
    short for few labels of the rarer kind, and NaN where all labels are equal.
    """
    metric, sign = features.attrs["primary_metric"], contrast_sign(features)
    # Power tuning knows no negative weight, so a metric that runs against the criterion is turned round.
    value = features["value"].sel(metric=metric).to_numpy() * _directions(features, plan).get(metric, sign) * sign
    weight, inclusion = item_weights(features, traffic=traffic), features["inclusion_prob"].to_numpy()
    labels = _quantities(features, features["label"].to_numpy(), sign=sign)
    rows = []
    for (model, quantity, y), (_, _, f) in zip(labels, _quantities(features, value, sign=sign), strict=True):
        n, mean, sd = _power_tuned(y, f, weight=weight, inclusion=inclusion)
        summary = summarise_normal(mean, sd, interval=plan.sampling.interval,
                                   margin=_margin(features, plan, quantity, TOTAL))
        rows.append({"model": model, "slice": TOTAL, "quantity": quantity, "n_labels": n, **summary})
    return _table(rows, features, method="ppi", traffic=traffic, metric=metric)


def _table(rows: list[dict], features: xr.Dataset, *, method: str, traffic: bool, metric: str = "") -> pd.DataFrame:
    layer = "traffic" if traffic else "offline"
    return estimate_table([{"metric": metric, **row} for row in rows], layer=layer,
                          criterion=features.attrs["criterion"], method=method)


def _margin(features: xr.Dataset, plan: Plan, quantity: str, name: str) -> float | None:
    """The largest loss accepted in total or in a slice; None for qualities and where nothing is gated."""
    criterion = plan.criterion(features.attrs["criterion"])
    if quantity == "quality":
        return None
    return criterion.margin if name == TOTAL else criterion.slice_margin


def _directions(features: xr.Dataset, plan: Plan) -> dict[str, int]:
    """1 where a higher value of the metric is better, −1 where a lower one; metrics without a direction left out."""
    signs = {"higher": 1, "lower": -1}
    criterion = features.attrs["criterion"]
    better = {metric: plan.metric_better(metric, criterion) for metric in features["metric"].to_numpy().tolist()}
    return {metric: signs[which] for metric, which in better.items() if which in signs}


def _quantities(features: xr.Dataset, value: np.ndarray, *, sign: int) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield (model, quantity, values by item) for every quality and contrast of values with dims (item, model)."""
    for position, model in enumerate(features["model"].to_numpy().tolist()):
        yield model, "quality", value[:, position]
        if position:
            yield model, "contrast", sign * (value[:, position] - value[:, 0])


def _slice_means(values: np.ndarray, features: xr.Dataset, *, traffic: bool) -> Iterator[tuple[str, float, float]]:
    """Yield (slice, mean, standard error), the slice-weighted total first; NaN values are left out.

    A slice with a single value has no standard error of its own; in the total it takes the variance within the others.
    """
    known = ~np.isnan(values)
    names, size = features["slice"].to_numpy().tolist(), features.sizes["slice"]
    slice_index, values = features["slice_index"].to_numpy()[known], values[known]
    n = np.bincount(slice_index, minlength=size)
    mean = np.bincount(slice_index, weights=values, minlength=size) / np.where(n > 0, n, np.nan)
    squares = np.bincount(slice_index, weights=(values - mean[slice_index]) ** 2, minlength=size)
    variance = squares / np.where(n > 1, n - 1, np.nan)
    within = squares.sum() / (len(values) - (n > 0).sum()) if (n > 1).any() else np.nan
    share, count = (part[n > 0] for part in slice_mix(features, traffic=traffic))
    share = share / share.sum() if share.sum() > 0 else np.full_like(share, np.nan)
    total = (share * mean[n > 0]).sum() if len(values) else np.nan
    error = (share**2 * np.where(n > 1, variance, within)[n > 0] / n[n > 0]).sum()
    # Shares known from counts vary as a Dirichlet.
    error += 0.0 if np.isnan(count).any() else (share * (mean[n > 0] - total) ** 2).sum() / (count.sum() + 1)
    yield TOTAL, float(total), float(np.sqrt(error))
    yield from zip(names, mean.tolist(), np.sqrt(variance / np.where(n > 0, n, np.nan)).tolist(), strict=True)


def _beta(counts: np.ndarray, *, interval: float) -> dict[str, float]:
    """Exact posterior of a rate under Beta(½, ½); counts of truth 0 and 1."""
    bad, good = counts + 0.5
    mean = good / (good + bad)
    lower, upper = betaincinv(good, bad, [(1 - interval) / 2, (1 + interval) / 2])
    return {**UNKNOWN, "mean": float(mean), "sd": float(np.sqrt(mean * (1 - mean) / (good + bad + 1))),
            "lower": float(lower), "upper": float(upper)}


def _paired(
    counts: np.ndarray, *, sign: int, interval: float, margin: float | None, rng: np.random.Generator
) -> dict[str, float]:
    """Posterior of a contrast under Dirichlet(¼); counts of the truths 00, 01, 10, 11 of incumbent and candidate."""
    alpha = counts + 0.25
    _, won, lost, _ = alpha / alpha.sum()
    gamma = rng.standard_gamma(alpha, size=(DRAWS, 4))
    drawn = sign * (gamma[:, 1] - gamma[:, 2]) / gamma.sum(axis=1)
    return summarise(drawn, interval=interval, margin=margin) | {
        "mean": float(sign * (won - lost)),
        "sd": float(np.sqrt((won + lost - (won - lost) ** 2) / (alpha.sum() + 1))),
    }


def _power_tuned(
    y: np.ndarray, f: np.ndarray, *, weight: np.ndarray, inclusion: np.ndarray
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
    residual = w * (y - power * f)
    mean, variance = residual.mean(), residual.var() / n
    if n_other:
        mean += power * (w_other * f_other).mean()
        variance += (power * w_other * f_other).var() / n_other
    return n, float(mean), float(np.sqrt(variance)) if np.ptp(y) > 0 else np.nan
