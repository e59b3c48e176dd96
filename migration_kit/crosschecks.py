"""Estimates that stand beside the calibrated one: raw metrics, labels alone, verdict strata, PPI++.

None needs sampling, and each leans on less than the calibration model does, so a difference tells something. Every
function takes the features of one criterion and returns rows of the run's estimates. Contrasts are candidate minus
incumbent and positive where the candidate is better; qualities keep the scale of the labels or of the metric, and the
incumbent's is 0 where a criterion compares two outputs. Intervals allow for clusters of items, and take raters as they
are: how severe the few at hand are widens nothing. ``traffic`` says what slices are weighted by: production traffic, or
the test set's own mix (layer ``offline``).
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import betaincinv

from migration_kit.intervals import UNKNOWN, estimate_table, summarise, summarise_normal
from migration_kit.plan import Plan
from migration_kit.robust import TOTAL, bounded_mean, clusters, power_tuned, slice_means
from migration_kit.strata import DRAWS, contrast_sign, is_counted, item_weights, truth_counts, verdict_draws

NOTHING = UNKNOWN | {"mean": 0.0, "sd": 0.0, "lower": 0.0, "upper": 0.0}


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
    sign follows the metric's own ``better``; metrics with ``better: none`` are left out. A margin is on the scale of
    the criterion, so ``prob_noninferior`` is NaN for a metric on another one, see `on_scale`.
    """
    rows = []
    for metric, sign in _directions(features, plan).items():
        value = features["value"].sel(metric=metric).to_numpy()
        comparable = on_scale(value, features)
        for model, quantity, values in _quantities(features, value, sign=sign):
            for name, mean, sd in slice_means(values, features, traffic=traffic):
                margin = _margin(features, plan, quantity, name) if comparable else None
                summary = summarise_normal(mean, sd, interval=plan.sampling.interval, margin=margin)
                rows.append({"model": model, "slice": name, "quantity": quantity, "metric": metric, "n_labels": 0,
                             **summary})
    return _table(rows, features, method="raw", traffic=traffic)


def on_scale(value: np.ndarray, features: xr.Dataset) -> bool:
    """Tell whether a metric is on the criterion's own scale, so that its contrast may be held against the margin.

    Rates: 0 to 1; net win rates: −1 to 1; mean scores: only levels of the scale, more than two of them. A number of a
    continuous criterion never tells its unit.
    """
    value = value[~np.isnan(value)]
    if features.attrs["in_points"]:
        low = -1 if features.attrs["kind"] == "pairwise" else 0
        return not ((value < low) | (value > 1)).any()
    found = np.unique(value)
    return len(found) > 2 and bool(np.isin(found, features.attrs["levels"]).all())


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
            _, mean, sd = next(slice_means(values, features, traffic=traffic))
            drawn[:, number, candidate] = mean + sd * drawn[:, number, candidate]
    return xr.DataArray(drawn, dims=("draw", "metric", "model"), coords={"metric": list(metrics), "model": candidates})


def labels_only(features: xr.Dataset, plan: Plan, *, traffic: bool, seed: int) -> pd.DataFrame:
    """What human judgments say without any metric, in total and by slice.

    Where labels count as 0 or 1 and items are their own clusters: Dirichlet(¼) on the four patterns of truth of the
    items judged for both models, Beta(½, ½) for one model; unequal weights count as (Σw)² / Σw² labels, and all but the
    interval and probability of a contrast is exact; those are drawn. Else `robust.bounded_mean` of labels and of their
    differences. Labels weigh 1 / inclusion probability and, in total, by slice. NaN where there is no label.
    """
    sign, label, interval = contrast_sign(features), features["label"].to_numpy(), plan.sampling.interval
    slice_index, counted = features["slice_index"].to_numpy(), is_counted(features)
    design = 1 / features["inclusion_prob"].to_numpy()
    weights = {TOTAL: design * item_weights(features, traffic=traffic)}
    weights |= {name: design * (slice_index == number) for number, name in enumerate(features["slice"].to_numpy())}
    rng, rows = np.random.default_rng(seed), []
    for name, weight in weights.items():
        for model, quantity, values in _quantities(features, label, sign=sign):
            margin = _margin(features, plan, quantity, name)
            if not counted:
                n, summary = _mean(values, weight, features, quantity, interval=interval, margin=margin)
            elif quantity == "quality":
                n, counts = truth_counts(values[:, None], weight)
                summary = _beta(counts, interval=interval) if n else UNKNOWN
            else:
                n, counts = truth_counts(label[:, [0, _position(features, model)]], weight)
                summary = _paired(counts, sign=sign, interval=interval, margin=margin, rng=rng) if n else UNKNOWN
            if _is_reference(features, model):
                summary = NOTHING
            rows.append({"model": model, "slice": name, "quantity": quantity, "n_labels": n, **summary})
    return _table(rows, features, method="labels_only", traffic=traffic)


def verdict_strata(features: xr.Dataset, plan: Plan, *, traffic: bool, seed: int) -> pd.DataFrame:
    """Summarise `strata.verdict_draws`: labels within each verdict of the primary metric, over all items.

    Bayesian bootstrap; conjugate where labels count as 0 or 1. NaN where there is no label.
    """
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
    label and metric are differences on one item. Items without the metric are left out. The interval is normal, from
    the scatter between clusters: too short for few labels of the rarer kind, and NaN where all labels are equal.
    """
    metric, sign = features.attrs["primary_metric"], contrast_sign(features)
    # Power tuning knows no negative weight, so a metric that runs against the criterion is turned round.
    value = features["value"].sel(metric=metric).to_numpy() * _directions(features, plan).get(metric, sign) * sign
    weight, inclusion = item_weights(features, traffic=traffic), features["inclusion_prob"].to_numpy()
    labels = _quantities(features, features["label"].to_numpy(), sign=sign)
    rows = []
    for (model, quantity, y), (_, _, f) in zip(labels, _quantities(features, value, sign=sign), strict=True):
        n, mean, sd = power_tuned(y, f, weight=weight, inclusion=inclusion, cluster=clusters(features))
        summary = summarise_normal(mean, sd, interval=plan.sampling.interval,
                                   margin=_margin(features, plan, quantity, TOTAL))
        summary = NOTHING if _is_reference(features, model) else summary
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


def _position(features: xr.Dataset, model: str) -> int:
    return features["model"].to_numpy().tolist().index(model)


def _is_reference(features: xr.Dataset, model: str) -> bool:
    """Tell whether a model is what all others are compared with, its own quality 0 by definition."""
    return features.attrs["kind"] == "pairwise" and _position(features, model) == 0


def _mean(
    values: np.ndarray, weight: np.ndarray, features: xr.Dataset, quantity: str, *, interval: float,
    margin: float | None,
) -> tuple[int, dict[str, float]]:
    """Number of labels and summary of a mean of labels or of their differences."""
    used, score = ~np.isnan(values) & (weight > 0), features.attrs["score"]
    limits = (min(score), max(score)) if len(score) else None
    if limits and quantity == "contrast" and features.attrs["kind"] != "pairwise":
        limits = (limits[0] - limits[1], limits[1] - limits[0])
    return int(used.sum()), bounded_mean(values[used], weight=weight[used], cluster=clusters(features)[used],
                                         limits=limits, interval=interval, margin=margin)


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
