"""Verdict strata: labels poststratified on a metric's verdicts, as exact conjugate draws, and what slices weigh.

It needs no sampling and answers in milliseconds, so it stands behind `preview` as well as beside the calibration.
"""

import numpy as np
import xarray as xr

DRAWS = 4000
TRUTH_PATTERNS = {1: np.array([[0], [1]]), 2: np.array([[0, 0], [0, 1], [1, 0], [1, 1]])}


def verdict_draws(features: xr.Dataset, *, traffic: bool, seed: int, draws: int = DRAWS) -> xr.Dataset:
    """Draw quality and contrast given the verdicts of the primary metric and the labels.

    Bayesian bootstrap of verdict patterns over all items of a slice, times Dirichlet(¼) on the patterns of truth within
    each verdict pattern, for a pair of models; Beta(½, ½) within each verdict for one model's quality (less where a
    score has more patterns than a 0/1 metric). Labels weigh 1 / inclusion probability and by slice; unequal weights
    count as (Σw)² / Σw² labels. Outputs with neither metric nor label are left out.

    Parameters
    ----------
    features : Dataset
        From `features.build_features`.
    traffic : bool
        Weigh slices by production traffic, or by the test set's own mix.
    seed : int
        Equal seeds give equal draws.

    Returns
    -------
    Dataset
        ``quality`` (draw, model) · ``contrast`` (draw, model), candidate minus incumbent and positive where the
        candidate is better, 0 for the incumbent · ``n_labels`` (quantity, model). NaN where there are no labels.
        Worry below some 10 labels of the rarer kind: then the prior speaks.
    """
    models, sign, rng = features["model"].to_numpy(), contrast_sign(features), np.random.default_rng(seed)
    label = features["label"].to_numpy()
    judged = ~np.isnan(label)
    metric = features["metric"].to_numpy().tolist().index(features.attrs["primary_metric"])
    verdict = verdicts(features["value"].to_numpy()[:, :, metric])
    known = features["present"].to_numpy() | judged
    weight = item_weights(features, traffic=traffic) / features["inclusion_prob"].to_numpy()
    slice_index = features["slice_index"].to_numpy()
    mix = slice_mix(features, traffic=traffic)
    drawn, n_labels = np.full((2, draws, len(models)), np.nan), np.zeros((2, len(models)), dtype=int)
    drawn[1, :, 0] = 0.0
    for position in range(len(models)):
        for quantity, columns in enumerate([[position], [0, position]][: 1 + (position > 0)]):
            n_labels[quantity, position] = (judged[:, columns].all(axis=1) & (weight > 0)).sum()
            if not n_labels[quantity, position]:
                continue
            used = known[:, columns].all(axis=1)
            patterns, code = np.unique(verdict[used][:, columns] @ 4 ** np.arange(len(columns)), return_inverse=True)
            prevalence = _draw_prevalence(code, slice_index[used], len(patterns), *mix, draws=draws, rng=rng)
            truth = _draw_truth(label[used][:, columns], code, weight[used], len(patterns), draws=draws, rng=rng)
            rate = (truth * prevalence[:, :, None]).sum(axis=1)
            drawn[quantity, :, position] = sign * (rate[:, 1] - rate[:, 0]) if quantity else rate[:, 0]
    return xr.Dataset(
        {"quality": (("draw", "model"), drawn[0]), "contrast": (("draw", "model"), drawn[1]),
         "n_labels": (("quantity", "model"), n_labels)},
        coords={"model": models, "quantity": ["quality", "contrast"]},
    )


def verdicts(value: np.ndarray) -> np.ndarray:
    """Cut a metric into at most three levels, dims (item, model): 0 is missing, then 1 to 3 from low to high.

    The cuts lie between distinct values, as near to the tertiles of all models' values as those allow; so a 0/1 metric
    keeps its two levels, and a score with many ties at one end is still split.
    """
    known = ~np.isnan(value)
    distinct, counts = np.unique(value[known], return_counts=True)
    if len(distinct) < 2:
        return known.astype(np.int64)
    below = np.cumsum(counts)[:-1] / counts.sum()
    cuts = distinct[np.unique([np.abs(below - third).argmin() for third in (1 / 3, 2 / 3)]) + 1]
    return np.where(known, 1 + np.searchsorted(cuts, value, side="right"), 0)


def truth_counts(label: np.ndarray, weight: np.ndarray) -> tuple[int, np.ndarray]:
    """Count the truth patterns of one model or of a pair, weighted; an item counts where all have a label.

    Parameters
    ----------
    label : ndarray (item, model)
        0, 1 or NaN, of one or two models.
    weight : ndarray (item,)
        Any positive scale; 0 leaves an item out.

    Returns
    -------
    n : int
        Items counted.
    counts : ndarray (pattern,)
        Patterns 0, 1 or 00, 01, 10, 11; they sum to the effective number of labels (Σw)² / Σw².
    """
    used = ~np.isnan(label).any(axis=1) & (weight > 0)
    w = weight[used]
    counts = np.bincount(_truth_code(label[used]), weights=w, minlength=2 ** label.shape[1])
    return int(used.sum()), counts * w.sum() / max((w**2).sum(), np.finfo(float).tiny)


def contrast_sign(features: xr.Dataset) -> int:
    """−1 where a lower rate of the criterion is better, else 1: what turns a difference into a contrast."""
    return -1 if features.attrs["better"] == "lower" else 1


def slice_mix(features: xr.Dataset, *, traffic: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of every slice in the target and the count behind it; counts are NaN where shares are given."""
    if traffic:
        return features["share"].to_numpy(), features["count"].to_numpy()
    count = np.bincount(features["slice_index"].to_numpy(), minlength=features.sizes["slice"]).astype(float)
    return count / count.sum(), count


def item_weights(features: xr.Dataset, *, traffic: bool) -> np.ndarray:
    """Share of each item's slice in the target over its share among items; 1 for the test set's own mix."""
    share, _ = slice_mix(features, traffic=traffic)
    own, _ = slice_mix(features, traffic=False)
    return (share / np.where(own > 0, own, 1))[features["slice_index"].to_numpy()]


def _truth_code(label: np.ndarray) -> np.ndarray:
    return (label @ (2 ** np.arange(label.shape[1])[::-1])).astype(np.int64)


def _draw_prevalence(
    code: np.ndarray, slice_index: np.ndarray, n_patterns: int, share: np.ndarray, count: np.ndarray,
    *, draws: int, rng: np.random.Generator,
) -> np.ndarray:
    """Draw the share of each verdict pattern in the target, dims (draw, pattern)."""
    table = np.bincount(slice_index * n_patterns + code, minlength=len(share) * n_patterns).reshape(-1, n_patterns)
    table, share, count = (rows[table.any(axis=1)] for rows in (table, share, count))
    if np.array_equal(table.sum(axis=1), count):
        # Dirichlet over slices times Dirichlet within them is one Dirichlet.
        return _dirichlet(table.sum(axis=0), draws=draws, rng=rng)
    within = _dirichlet(table, draws=draws, rng=rng)
    weights = _dirichlet(count, draws=draws, rng=rng) if not np.isnan(count).any() else share[None] / share.sum()
    return (weights[:, :, None] * within).sum(axis=1)


def _draw_truth(
    label: np.ndarray, code: np.ndarray, weight: np.ndarray, n_patterns: int, *, draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw the rate of truth 1 within each verdict pattern, dims (draw, pattern, model)."""
    n_models = label.shape[1]
    counts = [truth_counts(label[code == pattern], weight[code == pattern])[1] for pattern in range(n_patterns)]
    # The priors of a score's many patterns together weigh no more than those of a 0/1 metric: otherwise nine patterns
    # pull 50 labels of a 94% model 2.5 points down and widen its contrast by a tenth.
    prior = 0.5**n_models * min(1.0, 2**n_models / n_patterns)
    return _dirichlet(np.stack(counts) + prior, draws=draws, rng=rng) @ TRUTH_PATTERNS[n_models]


def _dirichlet(alpha: np.ndarray, *, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Draw Dirichlet vectors along the last axis; entries of 0 stay 0."""
    gamma = rng.standard_gamma(alpha, size=(draws, *alpha.shape))
    return gamma / gamma.sum(axis=-1, keepdims=True)
