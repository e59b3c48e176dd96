"""Verdict strata: labels poststratified on a metric's verdicts, as exact conjugate draws, and what slices weigh.

It needs no sampling and answers in milliseconds, so it stands behind `preview` as well as beside the calibration.
"""

import numpy as np
import xarray as xr

DRAWS = 4000
TRUTH_PATTERNS = {1: np.array([[0], [1]]), 2: np.array([[0, 0], [0, 1], [1, 0], [1, 1]])}
MOST_GROUPS = 2000
UNSEEN = 0.1


def verdict_draws(features: xr.Dataset, *, traffic: bool, seed: int, draws: int = DRAWS) -> xr.Dataset:
    """Draw quality and contrast given the verdicts of the primary metric and the labels.

    Bayesian bootstrap of verdict patterns over all items of a slice, times the labels within each pattern. Where labels
    count as 0 or 1 and items are their own clusters that is Dirichlet(¼) on the patterns of truth of a pair of models,
    Beta(½, ½) for one model's quality (less where a score has more patterns than a 0/1 metric). Else it is a Bayesian
    bootstrap of the labels, or of their differences, over clusters, with one pseudo-item a pattern of the same prior
    mass, see `_pseudo_values`. Labels weigh 1 / inclusion probability and by slice; unequal weights count as
    (Σw)² / Σw² labels. Outputs with neither metric nor label are left out.

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
        ``quality`` (draw, model) on the scale of scores, of a preference the net win rate · ``contrast`` (draw, model),
        candidate minus incumbent and positive where the candidate is better, 0 for the incumbent · ``n_labels``
        (quantity, model), items judged. NaN where there are no labels, or where all labels are equal and the scale has
        no levels. Worry below some 10 labels that differ from the most common one: then the prior speaks.
    """
    models, sign, rng = features["model"].to_numpy(), contrast_sign(features), np.random.default_rng(seed)
    label, preference = features["label"].to_numpy(), features.attrs["kind"] == "pairwise"
    judged = ~np.isnan(label)
    verdict = _primary_verdicts(features)
    known = features["present"].to_numpy() | judged
    weight = item_weights(features, traffic=traffic) / features["inclusion_prob"].to_numpy()
    slice_index = features["slice_index"].to_numpy()
    mix = slice_mix(features, traffic=traffic)
    bootstrap = None if is_counted(features) else _bootstrap(features, draws=draws, rng=rng)
    drawn, n_labels = np.full((2, draws, len(models)), np.nan), np.zeros((2, len(models)), dtype=int)
    drawn[1, :, 0] = 0.0
    for position in range(len(models)):
        for quantity, columns in enumerate([[position], [0, position]][: 1 + (position > 0)]):
            n_labels[quantity, position] = (judged[:, columns].all(axis=1) & (weight > 0)).sum()
            if not n_labels[quantity, position] or (preference and quantity == 0):
                continue
            used = known[:, columns].all(axis=1)
            patterns, code = np.unique(verdict[used][:, columns] @ 4 ** np.arange(len(columns)), return_inverse=True)
            group = None if bootstrap is None else bootstrap[1][used]
            share = _draw_prevalence(code, slice_index[used], len(patterns), *mix, draws=draws, rng=rng,
                                     bootstrap=(bootstrap[0], group) if features.attrs["clustered"] else None)
            if bootstrap is None:
                truth = _draw_truth(label[used][:, columns], code, weight[used], len(patterns), draws=draws, rng=rng)
            else:
                values = label[:, position] - label[:, 0] if quantity else label[:, position]
                pseudo = _pseudo_values(features, quantity=quantity, shape=(draws, len(patterns)), rng=rng)
                truth = _resample(values[used], code, weight[used], pseudo, weights=bootstrap[0], group=group,
                                  mass=_prior_scale(len(columns), len(patterns)), rng=rng)
            drawn[quantity, :, position] = (sign if quantity else 1) * (truth * share).sum(axis=1)
    if preference:
        drawn[0] = sign * drawn[1]
    return xr.Dataset(
        {"quality": (("draw", "model"), drawn[0]), "contrast": (("draw", "model"), drawn[1]),
         "n_labels": (("quantity", "model"), n_labels)},
        coords={"model": models, "quantity": ["quality", "contrast"]},
    )


def is_counted(features: xr.Dataset) -> bool:
    """Tell whether every label is 0 or 1 and every item its own cluster, so that counts say all there is to know."""
    label = features["label"].to_numpy()
    rate = features.attrs["in_points"] and features.attrs["kind"] != "pairwise"
    return bool(rate and not features.attrs["clustered"] and np.isin(label[~np.isnan(label)], (0, 1)).all())


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


def _primary_verdicts(features: xr.Dataset) -> np.ndarray:
    """Cut the primary metric; of a preference the incumbent has no verdict, and takes no part in the cuts."""
    metric = features["metric"].to_numpy().tolist().index(features.attrs["primary_metric"])
    value = features["value"].to_numpy()[:, :, metric]
    if features.attrs["kind"] != "pairwise":
        return verdicts(value)
    return np.concatenate([np.zeros((len(value), 1), dtype=np.int64), verdicts(value[:, 1:])], axis=1)


def _draw_prevalence(
    code: np.ndarray, slice_index: np.ndarray, n_patterns: int, share: np.ndarray, count: np.ndarray,
    *, draws: int, rng: np.random.Generator, bootstrap: tuple[np.ndarray, np.ndarray] | None,
) -> np.ndarray:
    """Draw the share of each verdict pattern in the target, dims (draw, pattern)."""
    cell, size = slice_index * n_patterns + code, len(share) * n_patterns
    table = np.bincount(cell, minlength=size).reshape(-1, n_patterns)
    seen = table.any(axis=1)
    table, share, count = table[seen], share[seen], count[seen]
    # Dirichlet over slices times Dirichlet within them is one Dirichlet.
    pooled = np.array_equal(table.sum(axis=1), count)
    if bootstrap is None:
        within = _dirichlet(table.sum(axis=0) if pooled else table, draws=draws, rng=rng)
    else:
        weights, group = bootstrap
        by_group = np.bincount(group * size + cell, minlength=weights.shape[1] * size).reshape(-1, size)
        within = (weights @ by_group).reshape(draws, -1, n_patterns)[:, seen]
        within = within.sum(axis=1) if pooled else within
        within = within / within.sum(axis=-1, keepdims=True)
    if pooled:
        return within
    slices = _dirichlet(count, draws=draws, rng=rng) if not np.isnan(count).any() else share[None] / share.sum()
    return (slices[:, :, None] * within).sum(axis=1)


def _draw_truth(
    label: np.ndarray, code: np.ndarray, weight: np.ndarray, n_patterns: int, *, draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw the rate of truth 1, or the difference of two models' rates, within each verdict pattern."""
    n_models = label.shape[1]
    counts = [truth_counts(label[code == pattern], weight[code == pattern])[1] for pattern in range(n_patterns)]
    prior = 0.5**n_models * _prior_scale(n_models, n_patterns)
    rate = _dirichlet(np.stack(counts) + prior, draws=draws, rng=rng) @ TRUTH_PATTERNS[n_models]
    return rate[..., -1] - rate[..., 0] if n_models == 2 else rate[..., 0]


def _prior_scale(n_models: int, n_patterns: int) -> float:
    # The priors of a score's many patterns together weigh no more than those of a 0/1 metric: otherwise nine patterns
    # pull 50 labels of a 94% model 2.5 points down and widen its contrast by a tenth.
    return min(1.0, 2**n_models / n_patterns)


def _bootstrap(features: xr.Dataset, *, draws: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw weights of clusters, dims (draw, group), and say which group each item belongs to.

    Clusters beyond `MOST_GROUPS` share weights at random, which leaves the variance of a mean as it is.
    """
    judged = ~np.isnan(features["label"].to_numpy()).all(axis=1)
    # Where items are their own clusters, those without label enter through their verdicts alone.
    cluster = features["cluster"].to_numpy() if features.attrs["clustered"] else np.where(judged, np.cumsum(judged), 0)
    _, group = np.unique(cluster, return_inverse=True)
    size = group.max(initial=0) + 1
    if size > MOST_GROUPS:
        group = rng.permutation(size)[group] % MOST_GROUPS
    return rng.standard_exponential((draws, min(size, MOST_GROUPS))), group


def _pseudo_values(
    features: xr.Dataset, *, quantity: int, shape: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """Draw what the prior takes an item of a pattern to be, dims (draw, pattern).

    Nine times in ten a label of any model, or a difference of labels on one item with its sign tossed; else any level
    of the scale, or the difference of two, so that a spread survives where all labels are equal. Without levels the
    lowest and the highest label stand for them.
    """
    label = features["label"].to_numpy()
    if quantity:
        seen = label[:, 1:] - label[:, :1]
        seen = np.concatenate([seen, -seen])
    else:
        seen = label
    ends = np.asarray(features.attrs["score"] if len(features.attrs["score"]) else
                      [np.nanmin(label), np.nanmax(label)], dtype=float)
    if np.ptp(ends) == 0:
        return np.full(shape, np.nan)
    unseen = rng.choice(ends, shape)
    if quantity and features.attrs["kind"] != "pairwise":
        unseen = unseen - rng.choice(ends, shape)
    return np.where(rng.random(shape) < UNSEEN, unseen, rng.choice(seen[~np.isnan(seen)], shape))


def _resample(
    values: np.ndarray, code: np.ndarray, weight: np.ndarray, pseudo: np.ndarray, *, weights: np.ndarray,
    group: np.ndarray, mass: float, rng: np.random.Generator,
) -> np.ndarray:
    """Draw the mean of values within each pattern, dims (draw, pattern), by a Bayesian bootstrap over groups."""
    n_patterns = pseudo.shape[1]
    used = ~np.isnan(values) & (weight > 0)
    values, code, weight, group = values[used], code[used], weight[used], group[used]
    table = np.zeros((2, weights.shape[1], n_patterns))
    np.add.at(table[0], (group, code), weight)
    np.add.at(table[1], (group, code), weight * values)
    size, total = weights @ table[0], weights @ table[1]
    # A pseudo-item weighs what the labels of one cluster in its pattern do, see `truth_counts`.
    counted = table[0].sum(axis=0)
    unit = (table[0] ** 2).sum(axis=0) / np.where(counted > 0, counted, 1)
    prior = rng.standard_gamma(mass, pseudo.shape) * np.where(counted > 0, unit, 1)
    return (total + prior * pseudo) / (size + prior)


def _dirichlet(alpha: np.ndarray, *, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Draw Dirichlet vectors along the last axis; entries of 0 stay 0."""
    gamma = rng.standard_gamma(alpha, size=(draws, *alpha.shape))
    return gamma / gamma.sum(axis=-1, keepdims=True)
