"""Estimates that stand beside the calibrated one: raw metrics, labels alone, verdict strata, PPI++.

None needs sampling, and each leans on less than the calibration model does, so a difference tells something. Every
function takes the features of one criterion and returns rows of the run's estimates. Contrasts are candidate minus
incumbent and positive where the candidate is better; qualities keep the scale of the labels or of the metric.
``traffic`` says what the slices are weighted by: production traffic, or the mix of the test set (layer ``offline``).
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import betainc, betaincinv

from migration_kit.features import label_rows
from migration_kit.intervals import UNKNOWN, estimate_table, summarise, summarise_normal
from migration_kit.plan import Plan

DRAWS = 4000
TOTAL = "all"
RARER_NEEDED = 10
UNLABELLED_TRAFFIC_ALLOWED = 0.05
TRUTH_PATTERNS = {1: np.array([[0], [1]]), 2: np.array([[0, 0], [0, 1], [1, 0], [1, 1]])}


def cross_checks(features: xr.Dataset, plan: Plan, *, traffic: bool, seed: int) -> pd.DataFrame:
    """Return every cross-check of one criterion.

    Parameters
    ----------
    features : Dataset
        From `features.build_features`.
    plan : Plan
        Gives margin, interval and which direction of a metric is better.
    traffic : bool
        Weigh slices by production traffic (layer ``traffic``), or by the test set's own mix (layer ``offline``).
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
    """What each metric says by itself, taken at its word; normal, from the slice-weighted (paired) variance.

    Metrics that the plan calls ``better: none`` are left out. The sign follows the metric's own ``better``.
    """
    criterion = plan.criterion(features.attrs["criterion"])
    rows = []
    for metric, sign in _directions(features, plan).items():
        value = features["value"].sel(metric=metric).to_numpy()
        # A margin is a difference of rates, which a score on some other scale cannot be held against.
        is_rate = np.nanmin(value, initial=0.0) >= 0 and np.nanmax(value, initial=1.0) <= 1
        for position, model in enumerate(features["model"].to_numpy()):
            of = {"model": model, "metric": metric, "n_labels": 0}
            known = {"quality": (value[:, position], None)}
            if position:
                margin = criterion.margin if is_rate else None
                known["contrast"] = (sign * (value[:, position] - value[:, 0]), margin)
            for quantity, (values, margin) in known.items():
                for name, mean, sd in _means(values, features, traffic=traffic):
                    summary = summarise_normal(mean, sd, interval=plan.sampling.interval, margin=margin)
                    rows.append({**of, "quantity": quantity, "slice": name, **summary})
    return _table(rows, features, method="raw", traffic=traffic)


def raw_draws(features: xr.Dataset, plan: Plan, *, traffic: bool, draws: int, seed: int) -> xr.DataArray:
    """Draw the raw contrasts in total.

    Returns
    -------
    DataArray (draw, metric, model)
        Metrics with a direction, candidates; NaN where no item has the metric of both models. Where calibrated draws
        mostly have the other sign, the metric alone would have misled.
    """
    metrics, candidates = _directions(features, plan), features["model"].to_numpy()[1:]
    noise = np.random.default_rng(seed).standard_normal((draws, len(metrics), len(candidates)))
    for number, (metric, sign) in enumerate(metrics.items()):
        value = features["value"].sel(metric=metric).to_numpy()
        for candidate in range(len(candidates)):
            contrast = sign * (value[:, candidate + 1] - value[:, 0])
            _, mean, sd = next(_means(contrast, features, traffic=traffic))
            noise[:, number, candidate] = mean + sd * noise[:, number, candidate]
    return xr.DataArray(noise, dims=("draw", "metric", "model"), coords={"metric": list(metrics), "model": candidates})


def labels_only(features: xr.Dataset, plan: Plan, *, traffic: bool, seed: int) -> pd.DataFrame:
    """What the human judgments say without any metric, in total and by slice.

    Dirichlet(¼) on the four patterns of truth of the items judged for both models, so Beta(½, ½) for one model. Labels
    are weighted by 1 / inclusion probability and by slice; unequal weights count as (Σw)² / Σw² labels. Mean, sd and
    the quality's interval are exact, a contrast's interval is drawn. NaN where there is no label.
    """
    margin, interval = plan.criterion(features.attrs["criterion"]).margin, plan.sampling.interval
    sign, label = _sign(features), features["label"].to_numpy()
    slice_index, names = features["slice_index"].to_numpy(), features["slice"].to_numpy()
    design = 1 / features["inclusion_prob"].to_numpy()
    parts = [(TOTAL, _item_weights(features, traffic=traffic) * design)]
    parts += [(name, design * (slice_index == number)) for number, name in enumerate(names)]
    rng, rows = np.random.default_rng(seed), []
    for name, weight in parts:
        for position, model in enumerate(features["model"].to_numpy()):
            n, alpha = _truth_counts(label[:, [position]], weight)
            summary = _beta(alpha, interval=interval) if n else UNKNOWN
            rows.append({"model": model, "slice": name, "quantity": "quality", "n_labels": n, **summary})
            if position:
                n, alpha = _truth_counts(label[:, [0, position]], weight)
                summary = _contrast(alpha, sign=sign, margin=margin, interval=interval, rng=rng) if n else UNKNOWN
                rows.append({"model": model, "slice": name, "quantity": "contrast", "n_labels": n, **summary})
    return _table(rows, features, method="labels_only", traffic=traffic)


def verdict_strata(features: xr.Dataset, plan: Plan, *, traffic: bool, seed: int) -> pd.DataFrame:
    """Summarise `verdict_draws`: what labels say within each verdict of the primary metric, over all items."""
    margin, interval = plan.criterion(features.attrs["criterion"]).margin, plan.sampling.interval
    draws = verdict_draws(features, plan, traffic=traffic, seed=seed)
    rows = []
    for quantity, models in (("quality", features["model"].to_numpy()), ("contrast", plan.candidates)):
        for model in models:
            drawn, limit = draws[quantity].sel(model=model).to_numpy(), margin if quantity == "contrast" else None
            n = int(draws["n_labels"].sel(quantity=quantity, model=model))
            rows.append({"model": model, "slice": TOTAL, "quantity": quantity, "n_labels": n,
                         **summarise(drawn, interval=interval, margin=limit)})
    return _table(rows, features, method="verdict_strata", traffic=traffic, metric=features.attrs["primary_metric"])


def verdict_draws(
    features: xr.Dataset, plan: Plan, *, traffic: bool, seed: int, draws: int = DRAWS
) -> xr.Dataset:
    """Draw from the exact posterior given the verdicts of the primary metric and the labels.

    Bayesian bootstrap of verdict patterns over all items of a slice, times Dirichlet(¼) on the patterns of truth within
    each verdict pattern, for a pair of models; Beta(½, ½) within each verdict for one model's quality. Scores are cut
    into thirds; a missing verdict is a verdict of its own. Outputs with neither metric nor label are left out.

    Returns
    -------
    Dataset
        ``quality`` (draw, model) · ``contrast`` (draw, model), the incumbent's is 0 · ``n_labels`` (quantity, model).
        All NaN where a model has no labels. Worry below some 10 labels of the rarer kind: the prior speaks then.
    """
    models, sign, rng = features["model"].to_numpy(), _sign(features), np.random.default_rng(seed)
    label = features["label"].to_numpy()
    verdict = verdicts(features["value"].sel(metric=features.attrs["primary_metric"]).to_numpy())
    known = features["present"].to_numpy() | ~np.isnan(label)
    weight = _item_weights(features, traffic=traffic) / features["inclusion_prob"].to_numpy()
    quality, contrast = np.empty((2, draws, len(models)))
    n_labels = np.zeros((2, len(models)), dtype=int)
    for position in range(len(models)):
        for quantity, columns in enumerate([[position], [0, position]]):
            used = known[:, columns].all(axis=1)
            n_labels[quantity, position] = (~np.isnan(label[:, columns])).all(axis=1)[weight > 0].sum()
            prevalence, code = _prevalence(verdict[:, columns], used, features, traffic=traffic, draws=draws, rng=rng)
            drawn = _draw_truth(label[used][:, columns], code, weight[used], prevalence, rng=rng)
            if quantity:
                contrast[:, position] = sign * (drawn[:, 1] - drawn[:, 0])
            else:
                quality[:, position] = drawn[:, 0]
    contrast[:, 0] = 0.0
    return xr.Dataset(
        {"quality": (("draw", "model"), quality), "contrast": (("draw", "model"), contrast),
         "n_labels": (("quantity", "model"), n_labels)},
        coords={"model": models, "quantity": ["quality", "contrast"]},
    )


def verdicts(value: np.ndarray) -> np.ndarray:
    """Cut a metric into at most three levels, dims (item, model): 0 is missing, then from low to high.

    The cuts lie between distinct values, as near to the tertiles of all models' values as those allow; so a 0/1 metric
    keeps its two levels, and a score with many ties at one end is still split.
    """
    known = ~np.isnan(value)
    distinct, counts = np.unique(value[known], return_counts=True)
    below = np.cumsum(counts)[:-1] / max(counts.sum(), 1)
    if len(below):
        cuts = np.unique([np.abs(below - tertile).argmin() for tertile in (1 / 3, 2 / 3)])
    else:
        cuts = np.zeros(0, dtype=int)
    return np.where(known, 1 + np.searchsorted(distinct[cuts + 1], value, side="right") if len(cuts) else 1, 0)


def ppi(features: xr.Dataset, plan: Plan, *, traffic: bool) -> pd.DataFrame:
    """PPI++ on the primary metric: labels, with the metric's mean over unlabelled items as a control variate.

    Prediction-powered inference with power tuning (Angelopoulos, Duchi & Zrnic 2023, arXiv 2311.01453); for a contrast
    both label and metric are differences on one item. Items without the metric are left out. A normal interval: it
    is too short for few labels of the rarer kind, and where all labels are equal there is none.
    """
    criterion, metric = plan.criterion(features.attrs["criterion"]), features.attrs["primary_metric"]
    sign, label = _sign(features), features["label"].to_numpy()
    value = features["value"].sel(metric=metric).to_numpy()
    # λ may not be negative: a metric that falls where the label rises is turned round.
    value = value * (_directions(features, plan).get(metric, sign) * sign)
    weight = _item_weights(features, traffic=traffic)
    inclusion = features["inclusion_prob"].to_numpy()
    rows = []
    for position, model in enumerate(features["model"].to_numpy()):
        known = {"quality": (label[:, position], value[:, position], None)}
        if position:
            known["contrast"] = (
                sign * (label[:, position] - label[:, 0]), sign * (value[:, position] - value[:, 0]), criterion.margin)
        for quantity, (y, f, margin) in known.items():
            n, mean, sd = _ppi_mean(y, f, weight=weight, inclusion=inclusion)
            summary = summarise_normal(mean, sd, interval=plan.sampling.interval, margin=margin)
            rows.append({"model": model, "slice": TOTAL, "quantity": quantity, "n_labels": n, **summary})
    return _table(rows, features, method="ppi", traffic=traffic, metric=metric)


def reasons_to_abstain(features: xr.Dataset) -> tuple[str, ...]:
    """Say why the labels of a criterion cannot carry a decision; empty where they can."""
    rows, name = label_rows(features), features.attrs["criterion"]
    rarer = int(min((rows["y"] == 0).sum(), (rows["y"] == 1).sum()))
    labelled = np.unique(rows["slice_index"].to_numpy())
    blind = 1 - float(features["share"].to_numpy()[labelled].sum())
    reasons = []
    if rarer < RARER_NEEDED:
        reasons.append(f"{name}: {rarer} labels of the rarer kind, at least {RARER_NEEDED} are needed")
    if blind > UNLABELLED_TRAFFIC_ALLOWED:
        reasons.append(f"{name}: slices without labels hold {blind:.0%} of traffic")
    return tuple(reasons)


def _table(rows: list[dict], features: xr.Dataset, *, method: str, traffic: bool, metric: str = "") -> pd.DataFrame:
    common = {"layer": "traffic" if traffic else "offline", "criterion": features.attrs["criterion"]}
    return estimate_table(rows, **common, method=method, **({"metric": metric} if metric else {}))


def _sign(features: xr.Dataset) -> int:
    return -1 if features.attrs["better"] == "lower" else 1


def _directions(features: xr.Dataset, plan: Plan) -> dict[str, int]:
    """1 where a higher value of the metric is better, −1 where a lower one; metrics without direction left out."""
    signs = {"higher": 1, "lower": -1}
    better = {metric: plan.metric(metric).better for metric in features["metric"].to_numpy()}
    return {metric: signs[which] for metric, which in better.items() if which in signs}


def _slice_mix(features: xr.Dataset, *, traffic: bool) -> tuple[np.ndarray, np.ndarray]:
    """Share of every slice, and the count it was observed with; NaN counts say that the share is known."""
    if traffic:
        return features["share"].to_numpy(), features["count"].to_numpy()
    count = np.bincount(features["slice_index"].to_numpy(), minlength=features.sizes["slice"]).astype(float)
    return count / count.sum(), count


def _item_weights(features: xr.Dataset, *, traffic: bool) -> np.ndarray:
    """Share of the item's slice in the target over its share among items; 1 throughout for the test set's own mix."""
    share, _ = _slice_mix(features, traffic=traffic)
    own, _ = _slice_mix(features, traffic=False)
    return (share / np.where(own > 0, own, 1))[features["slice_index"].to_numpy()]
