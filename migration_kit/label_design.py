"""Which items to label next: strata by slice and verdicts, labels allocated among them, inclusion probabilities.

The contrast is a sum over strata of share times mean difference, so its variance is Σ W²S²/n, least where labels go by
share times spread (Neyman 1934, doi:10.2307/2342192). Whatever the allocation, within a stratum items are drawn at
random, so that inclusion probabilities are known and no answer of a person ever decides which item comes next.
"""

from typing import NamedTuple

import numpy as np
import xarray as xr

from migration_kit.strata import item_weights, verdicts

FEWEST_EXPECTED = 4
FLOOR = 2
EVEN_SHARE = 0.25
PRIOR_LABELS = 4.0
ROUNDING = 1e-9
LEVELS = {0: "missing", 1: "low", 2: "middle", 3: "high"}


class Design(NamedTuple):
    """Items in strata, and what is known of them.

    Attributes
    ----------
    stratum : ndarray of int (item,)
        −1 where an item has no output of some model, and cannot be labelled for all of them.
    labelled : ndarray of bool (item,)
        Judged for the incumbent and every candidate wanted.
    slice_index : ndarray of int (stratum,)
    pattern : list of tuple of int, or None (stratum,)
        Verdicts of the primary metric on the outputs, 0 where missing, then from low to high; None where an item has
        one of the rarer patterns of its slice.
    alike : ndarray of bool (stratum,)
        All outputs of an item are word for word the same, so no contrast hangs on it.
    weight : ndarray (stratum,)
        Share of the target.
    spread : ndarray (stratum,)
        Standard deviation of the difference of labels between items, as far as labels tell.
    """

    stratum: np.ndarray
    labelled: np.ndarray
    slice_index: np.ndarray
    pattern: list
    alike: np.ndarray
    weight: np.ndarray
    spread: np.ndarray

    @property
    def items(self) -> np.ndarray:
        """Items of every stratum."""
        return np.bincount(self.stratum[self.stratum >= 0], minlength=len(self.weight))

    @property
    def labels(self) -> np.ndarray:
        """Labelled items of every stratum."""
        return np.bincount(self.stratum[self.labelled & (self.stratum >= 0)], minlength=len(self.weight))


def label_design(features: xr.Dataset, models: list[str], *, n: int, traffic: bool = True) -> Design:
    """Sort items into strata, slice by verdict pattern, and tell how much labels differ within each.

    Patterns that would get fewer than four labels, were labels drawn evenly, share one stratum in their slice. As labels
    come in, strata only part, so that what was drawn at random from one is drawn at random from its parts.

    Parameters
    ----------
    features : Dataset
        Of the criterion, from `features.build_features`.
    models : list of str
        Candidates whose contrasts matter alike.
    n : int
        Items to be labelled next.
    traffic : bool
        Weigh slices by production traffic, or by the test set's own mix.
    """
    names = features["model"].to_numpy().tolist()
    columns = [0, *(names.index(model) for model in models)]
    judged = ~np.isnan(features["label"].to_numpy()[:, columns])
    verdict, twin = _verdicts(features)[:, columns], features["pool"].to_numpy()[:, 0, columns] > 0
    has = features["present"].to_numpy()[:, columns] | judged
    if features.attrs["kind"] == "pairwise":
        twin[:], has[:, 0] = False, True
    weight = item_weights(features, traffic=traffic)
    usable = has.all(axis=1) & (weight > 0)
    labelled = judged.all(axis=1) & usable
    slice_index = features["slice_index"].to_numpy()
    patterns, code = np.unique(np.concatenate([verdict, twin[:, 1:]], axis=1), axis=0, return_inverse=True)
    cell = slice_index * len(patterns) + code
    size = np.bincount(cell[usable], minlength=features.sizes["slice"] * len(patterns))
    # Expected labels of a pattern under even drawing.
    expected = size * (labelled.sum() + n) / max(usable.sum(), 1)
    own = np.where(expected[cell] >= FEWEST_EXPECTED, code, -1)
    found, stratum = np.unique(np.stack([slice_index, own], axis=1)[usable], axis=0, return_inverse=True)
    place = np.full(len(usable), -1)
    place[usable] = stratum
    spread = _spread(features, columns, usable=usable, verdict=verdict, twin=twin, labelled=labelled, stratum=place,
                     weight=weight, strata=len(found))
    rest = found[:, 1] < 0
    share = np.bincount(stratum, weights=weight[usable], minlength=len(found))
    return Design(
        stratum=place, labelled=labelled, slice_index=found[:, 0],
        pattern=[None if alone else tuple(patterns[which, : len(columns)].tolist())
                 for (_, which), alone in zip(found, rest, strict=True)],
        alike=np.array([not alone and bool(patterns[which, len(columns):].all())
                        for (_, which), alone in zip(found, rest, strict=True)], dtype=bool),
        weight=share / share.sum(), spread=spread)


def allocate(design: Design, n: int) -> np.ndarray:
    """Items to label next in every stratum, dims (stratum,).

    Labels by now and next together come as near as they can to share times spread. A quarter is spread evenly, because
    spreads are only estimated, and other questions are answered by the same labels; and every stratum has two labels by
    the end, or as many as there are items.

    Returns
    -------
    ndarray of int (stratum,)
        They sum to `n`, or to the items left where there are fewer.
    """
    have, items = design.labels, design.items
    n = int(min(n, (items - have).sum()))
    total = have.sum() + n
    floor = np.minimum(np.maximum(FLOOR, EVEN_SHARE * total * design.weight), items)
    wanted = design.weight * design.spread
    if not wanted.any():
        wanted = design.weight
    low, high = (np.zeros(len(items)), items.astype(float))
    floor = np.clip(floor, have, high)
    if floor.sum() > total:
        # Not enough for every floor: as far as it goes, by how much each stratum lacks.
        target = have + (floor - have) * n / max((floor - have).sum(), ROUNDING)
    else:
        target = _fill(wanted, floor, high, total)
    return _whole(np.maximum(target - have, low), items - have, n)


def inclusion(
    stratum: np.ndarray, before: np.ndarray, now: np.ndarray, earlier: np.ndarray
) -> np.ndarray:
    """Probability that an item has been labelled by now, in this round or before, dims (item,).

    Within a stratum all rounds drew at random, so it is the share labelled. Where earlier labels were drawn by other
    strata, their probabilities differ within these: then b + (1 − b)·f, where b is the probability before (for an item
    that had no label, the average over such items) and f the share of unlabelled items drawn now.

    Parameters
    ----------
    stratum : ndarray of int (item,)
        −1 takes no part: NaN.
    before, now : ndarray of bool (item,)
        Labelled in earlier rounds; in this one.
    earlier : ndarray (item,)
        Probability that came with earlier labels; what it is elsewhere does not matter.

    Returns
    -------
    ndarray (item,)
        NaN where no item of the stratum is labelled.
    """
    probability = np.full(len(stratum), np.nan)
    for one in np.unique(stratum[stratum >= 0]):
        here = stratum == one
        old, new = here & before, here & now & ~before
        n, by_now = here.sum(), (old | new).sum()
        if not by_now:
            continue
        b = earlier[old]
        if not len(b) or np.ptp(b) <= ROUNDING:
            probability[here] = by_now / n
            continue
        odds = ((1 - b) / b).sum()
        typical = (1 - b).sum() / odds if odds else 1.0
        known = np.where(old, earlier, typical)[here]
        drawn = new.sum() / max(n - old.sum(), 1)
        found = known + (1 - known) * drawn
        # Weights of the labels add up to the items, as they do where probabilities are shares.
        found *= (1 / found[(old | new)[here]]).sum() / n
        probability[here] = np.minimum(found, 1.0)
    return probability


def variance(design: Design, labels: np.ndarray) -> float:
    """Variance of the contrast with so many labels a stratum, over and above what having only these items leaves."""
    seen = np.maximum(labels, 0.5)
    left = np.maximum(1 / seen - 1 / np.maximum(design.items, 1), 0)
    return float((design.weight**2 * design.spread**2 * left).sum())


def worth_at_random(design: Design, chosen: np.ndarray) -> float:
    """How many labels drawn at random would do as much for the contrast as these, by the spreads as far as known."""
    have, free = design.labels, design.items - design.labels
    share = free / max(free.sum(), 1)
    goal, low, high = variance(design, have + chosen), 0.0, float(free.sum())
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if variance(design, have + middle * share) > goal else (low, middle)
    return high


def _verdicts(features: xr.Dataset) -> np.ndarray:
    """Cut the primary metric, dims (item, model), as `strata.verdict_draws` does."""
    metric = features["metric"].to_numpy().tolist().index(features.attrs["primary_metric"])
    value = features["value"].to_numpy()[:, :, metric]
    if features.attrs["kind"] != "pairwise":
        return verdicts(value)
    return np.concatenate([np.zeros((len(value), 1), dtype=np.int64), verdicts(value[:, 1:])], axis=1)


def _spread(
    features: xr.Dataset, columns: list[int], *, usable: np.ndarray, verdict: np.ndarray, twin: np.ndarray,
    labelled: np.ndarray, stratum: np.ndarray, weight: np.ndarray, strata: int,
) -> np.ndarray:
    """Standard deviation of differences within each stratum, root mean square over candidates.

    Few labels of a stratum are helped by those of the same two verdicts in all slices, and these by all labels: each
    level counts for four labels of the one below.
    """
    label, count = features["label"].to_numpy()[:, columns], np.bincount(stratum[usable], minlength=strata)
    heavy = weight / features["inclusion_prob"].to_numpy()
    total = np.zeros(strata)
    for column in range(1, len(columns)):
        difference = label[:, column] - label[:, 0]
        pair = np.unique(np.stack([verdict[:, 0], verdict[:, column], twin[:, column]], axis=1), axis=0,
                         return_inverse=True)[1]
        d, w, used = difference[labelled], heavy[labelled], pair[labelled]
        squares, degrees = _squares(d, w, used, pair.max() + 1)
        overall = squares.sum() / degrees.sum() if degrees.sum() and squares.any() else 1.0
        by_pair = _shrunk(squares, degrees, np.full(len(squares), overall))
        by_item = np.where(twin[:, column], 0.0, by_pair[pair])
        prior = np.bincount(stratum[usable], weights=by_item[usable], minlength=strata) / np.maximum(count, 1)
        squares, degrees = _squares(d, w, stratum[labelled], strata)
        total += np.where(prior > 0, _shrunk(squares, degrees, prior), 0.0)
    return np.sqrt(total / (len(columns) - 1))


def _squares(d: np.ndarray, weight: np.ndarray, group: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Squared deviations from the group's weighted mean, scaled to the number of labels, and degrees of freedom."""
    n = np.bincount(group, minlength=size)
    total = np.bincount(group, weights=weight, minlength=size)
    share = weight / np.where(total > 0, total, 1)[group]
    mean = np.bincount(group, weights=share * d, minlength=size)
    squares = n * np.bincount(group, weights=share * (d - mean[group]) ** 2, minlength=size)
    return squares, np.maximum(n - 1, 0)


def _shrunk(squares: np.ndarray, degrees: np.ndarray, prior: np.ndarray) -> np.ndarray:
    return (squares + PRIOR_LABELS * prior) / (degrees + PRIOR_LABELS)


def _fill(wanted: np.ndarray, low: np.ndarray, high: np.ndarray, total: float) -> np.ndarray:
    """Numbers in proportion to `wanted` within `low` and `high` that sum to `total`."""
    least, most = 0.0, 1.0
    while np.clip(most * wanted, low, high).sum() < total and most < 1e15:
        most *= 2
    for _ in range(100):
        middle = (least + most) / 2
        least, most = (middle, most) if np.clip(middle * wanted, low, high).sum() < total else (least, middle)
    filled = np.clip(most * wanted, low, high)
    # Strata that nobody wants more of take what is left over.
    short = total - filled.sum()
    return filled + short * (high - filled) / max((high - filled).sum(), ROUNDING)


def _whole(target: np.ndarray, most: np.ndarray, n: int) -> np.ndarray:
    """Round to whole numbers that sum to `n` and stay within `most`, the largest remainders up."""
    whole = np.minimum(np.floor(target + ROUNDING), most).astype(np.int64)
    remainder = np.where(whole < most, target - whole, -np.inf)
    order = np.argsort(-remainder, kind="stable")
    position = 0
    while whole.sum() < n:
        one = order[position % len(order)]
        whole[one] += whole[one] < most[one]
        position += 1
    return whole
