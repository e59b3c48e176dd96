"""Strata of items, labels allocated among them, and the probability with which an item has been labelled.

A contrast is a sum over strata of share times mean difference, so its variance Σ W²S²/n is least where labels go by
share times spread (Neyman 1934, doi:10.2307/2342192). Whatever the allocation, items are drawn at random within a
stratum: probabilities are known, and no judgment of a single output decides which item is judged next.
"""

from typing import NamedTuple

import numpy as np
import xarray as xr

from migration_kit.label_spread import stratum_spread
from migration_kit.strata import item_weights, verdicts

FEWEST_EXPECTED = 4
FLOOR = 2
EVEN_SHARE = 0.25
ROUNDING = 1e-9
STEPS = 60


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
        Verdicts of the primary metric on the outputs, the incumbent's first, see `strata.verdicts`; None where the
        stratum holds the rarer patterns of its slice.
    alike : ndarray of bool (stratum,)
        All outputs of an item are word for word the same, so no contrast hangs on it.
    weight : ndarray (stratum,)
        Share of the target.
    importance : ndarray (stratum,)
        Weight in what is to be settled: the share, more in slices that are to be settled too.
    spread : ndarray (stratum,)
        Standard deviation between items of the difference of labels, as far as labels tell.
    """

    stratum: np.ndarray
    labelled: np.ndarray
    slice_index: np.ndarray
    pattern: list
    alike: np.ndarray
    weight: np.ndarray
    importance: np.ndarray
    spread: np.ndarray

    @property
    def items(self) -> np.ndarray:
        """Items of every stratum."""
        return np.bincount(self.stratum[self.stratum >= 0], minlength=len(self.weight))

    @property
    def labels(self) -> np.ndarray:
        """Labelled items of every stratum."""
        return np.bincount(self.stratum[self.labelled & (self.stratum >= 0)], minlength=len(self.weight))


def label_design(
    features: xr.Dataset, models: list[str], *, n: int, traffic: bool = True, urgency: np.ndarray | None = None
) -> Design:
    """Sort items into strata, slice by verdict pattern, and tell how much labels differ within each.

    Patterns that would hold fewer than four labels in the end, were labels drawn evenly, share one stratum in their
    slice. With more labels strata only part, so that what was drawn at random from one is drawn at random from its
    parts.

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
    urgency : ndarray (slice,), optional
        How much the contrast in each slice matters beside the total, 0 not at all: the ratio of their margins.
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
    expected = size * (labelled.sum() + n) / max(usable.sum(), 1)
    own = np.where(expected[cell] >= FEWEST_EXPECTED, code, -1)
    found, place = np.unique(np.stack([slice_index, own], axis=1)[usable], axis=0, return_inverse=True)
    stratum = np.full(len(usable), -1)
    stratum[usable] = place
    share = np.bincount(place, weights=weight[usable], minlength=len(found))
    share = share / max(share.sum(), ROUNDING)
    in_slice = np.bincount(found[:, 0], weights=share, minlength=features.sizes["slice"])[found[:, 0]]
    urgent = np.zeros(len(found)) if urgency is None else urgency[found[:, 0]]
    return Design(
        stratum=stratum, labelled=labelled, slice_index=found[:, 0],
        pattern=[None if which < 0 else tuple(patterns[which, : len(columns)].tolist()) for which in found[:, 1]],
        alike=np.array([which >= 0 and patterns[which, len(columns):].all() for which in found[:, 1]], dtype=bool),
        weight=share, importance=share * np.sqrt(1 + (urgent / np.maximum(in_slice, ROUNDING)) ** 2),
        spread=stratum_spread(features, columns, verdict=verdict, twin=twin, labelled=labelled, stratum=stratum))


def allocate(design: Design, n: int) -> np.ndarray:
    """Tell how many items to label next in every stratum.

    Labels by now and next together come as near as they can to importance times spread. A quarter is spread by share
    alone, because spreads are estimates and other questions are asked of the same items; and every stratum has two
    labels in the end, or as many as it has items.

    Returns
    -------
    ndarray of int (stratum,)
        They sum to `n`, or to the items left where these are fewer.
    """
    have, items = design.labels, design.items
    n = int(min(n, (items - have).sum()))
    total = have.sum() + n
    least = np.clip(np.maximum(FLOOR, EVEN_SHARE * total * design.weight), have, items)
    wanted = design.importance * design.spread
    if least.sum() > total:
        target = have + (least - have) * n / max((least - have).sum(), ROUNDING)
    else:
        target = fill(wanted, least, items.astype(float), total)
    return whole(target - have, items - have, n)


def inclusion(stratum: np.ndarray, before: np.ndarray, now: np.ndarray, earlier: np.ndarray) -> np.ndarray:
    """Probability that an item has been labelled by now, in this round or before.

    Where all rounds drew at random within a stratum it is the share labelled. Where earlier labels were drawn by other
    strata, their probabilities differ within these: then b + (1 − b)·f, with b the probability before (of an item that
    had no label, the average of such items) and f the share of unlabelled items that is drawn now.

    Parameters
    ----------
    stratum : ndarray of int (item,)
        −1 takes no part.
    before, now : ndarray of bool (item,)
        Labelled in earlier rounds; drawn in this one.
    earlier : ndarray (item,)
        Probabilities that came with the labels of earlier rounds; not looked at elsewhere.

    Returns
    -------
    ndarray (item,)
        0 where nothing of a stratum is labelled; NaN for items that take no part.
    """
    probability = np.full(len(stratum), np.nan)
    for one in np.unique(stratum[stratum >= 0]):
        here = stratum == one
        old, new = here & before, here & now & ~before
        by_now = old | new
        if not by_now.any():
            probability[here] = 0.0
            continue
        known = earlier[old]
        if not len(known) or np.ptp(known) <= ROUNDING:
            probability[here] = by_now.sum() / here.sum()
            continue
        odds = ((1 - known) / known).sum()
        typical = (1 - known).sum() / odds if odds else 1.0
        b = np.where(old, earlier, typical)
        found = b + (1 - b) * new.sum() / max(here.sum() - old.sum(), 1)
        # The labels' weights add up to the items, as they do where probabilities are shares.
        found = found * (1 / found[by_now]).sum() / here.sum()
        probability[here] = np.minimum(found, 1.0)[here]
    return probability


def worth_at_random(design: Design, chosen: np.ndarray) -> float:
    """Tell how many labels drawn at random would do as much for the contrast as these, by what is known of spreads.

    Parameters
    ----------
    chosen : ndarray (stratum,)
        From `allocate`.
    """
    have, free = design.labels, design.items - design.labels
    share, goal = free / max(free.sum(), 1), _variance(design, have + chosen)
    least, most = 0.0, float(free.sum())
    for _ in range(STEPS):
        middle = (least + most) / 2
        least, most = (middle, most) if _variance(design, have + middle * share) > goal else (least, middle)
    return most


def fill(wanted: np.ndarray, least: np.ndarray, most: np.ndarray, total: float) -> np.ndarray:
    """Share `total` out in proportion to `wanted`, no less than `least` and no more than `most` to each."""
    low, high = 0.0, total / max(wanted[wanted > 0].min(initial=np.inf), ROUNDING)
    for _ in range(STEPS + 40):
        middle = (low + high) / 2
        low, high = (middle, high) if np.clip(middle * wanted, least, most).sum() < total else (low, middle)
    filled = np.clip(high * wanted, least, most)
    # What those that are wanted cannot hold goes to the others.
    return filled + (total - filled.sum()) * (most - filled) / max((most - filled).sum(), ROUNDING)


def whole(target: np.ndarray, most: np.ndarray, n: int) -> np.ndarray:
    """Round to whole numbers of at most `most` that sum to `n`, the largest remainders up."""
    rounded = np.clip(np.floor(target + ROUNDING), 0, most).astype(np.int64)
    while rounded.sum() != n:
        step = 1 if rounded.sum() < n else -1
        short = np.where((rounded < most) if step > 0 else (rounded > 0), step * (target - rounded), -np.inf)
        rounded[short.argmax()] += step
    return rounded


def _verdicts(features: xr.Dataset) -> np.ndarray:
    """Cut the primary metric, dims (item, model); of a preference the incumbent has no verdict."""
    metric = features["metric"].to_numpy().tolist().index(features.attrs["primary_metric"])
    value = features["value"].to_numpy()[:, :, metric]
    if features.attrs["kind"] != "pairwise":
        return verdicts(value)
    return np.concatenate([np.zeros((len(value), 1), dtype=np.int64), verdicts(value[:, 1:])], axis=1)


def _variance(design: Design, labels: np.ndarray) -> float:
    """Variance of the contrast with so many labels a stratum, beyond what having only these items leaves."""
    left = 1 / np.maximum(labels, 0.5) - 1 / np.maximum(design.items, 1)
    return float((design.weight**2 * design.spread**2 * np.maximum(left, 0)).sum())
