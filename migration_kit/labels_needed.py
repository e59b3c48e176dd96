"""How many more labels would settle a candidate, simulated from the present posterior."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from migration_kit.gates import Standing, verdict_of

SIZES = range(25, 801, 25)
ENOUGH = 0.80
TINY = 1e-12


@dataclass(frozen=True)
class Evidence:
    """What is known of one gate of one candidate.

    Attributes
    ----------
    draws : ndarray (sample, 1 + slice)
        Joint posterior draws of the contrast, positive where the candidate is better; the total first.
    margin : ndarray (1 + slice,)
        NaN where the slice has none.
    labels, items : ndarray (slice,)
        Labels now; items that labels could be asked for, the labelled ones included.
    share : ndarray (slice,)
        Of traffic.
    spread : float
        Variance between items of the difference of the two models' labels; NaN where it cannot be told.
    noise : float, optional
        What `label_noise` would read off other draws: where these join test set and live requests, their spread says
        no more what a label tells.
    """

    draws: np.ndarray
    margin: np.ndarray
    labels: np.ndarray
    items: np.ndarray
    share: np.ndarray
    spread: float
    noise: float | None = None


class Foreseen(NamedTuple):
    """What is to be expected once more items are labelled.

    Attributes
    ----------
    verdicts : dict
        Verdict to the share of simulated runs that end with it.
    left : list of ndarray (1 + slice,)
        Standard deviation left of each gate's contrast, the total first. Means stay where they are on average.
    """

    verdicts: dict[str, float]
    left: list[np.ndarray]


def labels_needed(
    evidence: list[Evidence], *, assurance: float, slice_assurance: float, seed: int,
    lifted: Mapping[int, float] | None = None,
) -> int | None:
    """Return the smallest number of further labelled items that settles the candidate in 80% of simulated runs.

    Parameters
    ----------
    evidence : list of Evidence
        One a gate.
    assurance, slice_assurance : float
    seed : int
    lifted : mapping, optional
        Number of further items to the probability that no check blocks any more, from `label_blocks.lift_at_random`;
        without it no check blocks.

    Returns
    -------
    int or None
        From 25 to 800 in steps of 25; None when 800 are not enough, or nothing has been labelled.
    """
    if any(gate.labels.sum() == 0 for gate in evidence):
        return None
    asked = {"assurance": assurance, "slice_assurance": slice_assurance, "seed": seed}
    free = lifted or dict.fromkeys(SIZES, 1.0)
    # Where a check is likely to block still, nothing has to be simulated.
    return next((more for more in SIZES
                 if free[more] >= ENOUGH and free[more] * settled_share(evidence, more, **asked) >= ENOUGH), None)


def settled_share(
    evidence: list[Evidence], more: int, *, assurance: float, slice_assurance: float, seed: int
) -> float:
    """Share of runs that leave ``collect`` once `more` items drawn at random were labelled for both models.

    Parameters
    ----------
    evidence : list of Evidence
        One a gate; gates are fitted apart and move apart.
    more : int
    assurance, slice_assurance : float
    seed : int
        Equal seeds give equal shares.

    Returns
    -------
    float
        0 to 1. Off by less than 0.06 (root mean square) from refits of simulated labels, see `tests/test_decision.py`.
    """
    found = foreseen(evidence, more, assurance=assurance, slice_assurance=slice_assurance, seed=seed)
    return 1 - found.verdicts["collect"]


def foreseen(
    evidence: list[Evidence], more: int | list[np.ndarray], *, assurance: float, slice_assurance: float, seed: int,
    standing: Standing | None = None,
) -> Foreseen:
    """Simulate the verdicts on a candidate once `more` items drawn at random were labelled for both models.

    Pre-posterior analysis (Raiffa & Schlaifer 1961) on the joint posterior draws: new labels are normal observations of
    the slices' contrasts, so covariances shrink as in a Kalman update, and the draws, drawn together by as much, say
    where the means may move (Jalal & Alarid-Escudero 2018, doi:10.1177/0272989X17715627). The total moves with its
    slices. What a label tells is read from the present posterior and the number of labels behind it. The part of the
    posterior that comes from having only so many items, and from traffic known only by counts, stays; labels beyond the
    items there are come with new items.

    Parameters
    ----------
    evidence : list of Evidence
        One a gate; gates are fitted apart and move apart.
    more : int or list of ndarray (slice,)
        Items drawn at random; or, for each gate, as how many of these the new labels of each slice count.
    assurance, slice_assurance : float
    seed : int
    standing : Standing, optional
        What labels do not settle.
    """
    rng, runs = np.random.default_rng(seed), min(len(gate.draws) for gate in evidence)
    hold, slices, spread = [], [], []
    for number, gate in enumerate(evidence):
        moved, left = _imagined(gate, more[number] if isinstance(more, list) else more)
        spread.append(left)
        held = ndtr((rng.permutation(moved)[:runs] + gate.margin) / left)
        hold.append(held[:, 0])
        slices.append(held[:, 1:][:, ~np.isnan(gate.margin[1:])])
    hold = np.stack(hold, axis=1)
    verdicts = verdict_of(hold, 1 - hold, np.concatenate(slices, axis=1), assurance=assurance,
                          slice_assurance=slice_assurance, standing=standing or Standing())
    return Foreseen({name: float((verdicts == name).mean()) for name in ("switch", "keep", "collect")}, spread)


def label_noise(gate: Evidence) -> float:
    """Variance of what one labelled item says of the contrast, over and above what metrics say of it.

    The posterior variance of the total is this over the labels, plus what metrics explain over the items. Of labels
    spread otherwise than traffic, (Σ share² / labels)⁻¹ count.
    """
    if gate.noise is not None:
        return gate.noise
    seen = gate.labels > 0
    share, labels = gate.share[seen] / max(gate.share[seen].sum(), TINY), gate.labels[seen]
    number = 1 / max((share**2 / labels).sum(), TINY) + 1
    variance = gate.draws[:, 0].var()
    if np.isnan(gate.spread):
        return max(variance * number, TINY)
    items = gate.items.sum()
    noise = (variance - gate.spread / items) / max(1 / number - 1 / (items + 1), TINY)
    return float(np.clip(noise, TINY, max(gate.spread, TINY)))


def _imagined(gate: Evidence, more: int | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means after `more` labels, dims (sample, 1 + slice), and the standard deviations left, dims (1 + slice,)."""
    mean, cov = gate.draws.mean(axis=0), np.cov(gate.draws.T, ddof=0)
    gain = _gain(gate, cov[1:, 1:], _new_labels(gate, more))
    values, vectors = np.linalg.eigh(cov[1:, 1:])
    whitened = (gate.draws[:, 1:] - mean[1:]) @ vectors / np.sqrt(np.maximum(values, TINY)) @ vectors.T
    by_slice = whitened @ _root(gain)
    mix = np.vstack([gate.share, np.eye(len(gain))])
    left = np.diag(cov) - np.diag(mix @ gain @ mix.T)
    return mean + by_slice @ mix.T, np.sqrt(np.maximum(left, TINY * (1 + np.diag(cov))))


def _new_labels(gate: Evidence, more: int | np.ndarray) -> np.ndarray:
    """New labels by slice: among the items without one, and beyond those as the items are spread; or as given."""
    if isinstance(more, np.ndarray):
        return more
    free = np.maximum(gate.items - gate.labels, 0)
    among = min(more, free.sum())
    return among * free / max(free.sum(), 1) + (more - among) * gate.items / gate.items.sum()


def _gain(gate: Evidence, cov: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Covariance of the slices' contrasts that new labels take away, dims (slice, slice)."""
    noise = label_noise(gate)
    explained = 0.0 if np.isnan(gate.spread) else max(gate.spread - noise, 0.0)
    floor = np.minimum(explained / np.maximum(gate.items, 1), 0.9 * np.diag(cov))
    root = _root(cov - np.diag(floor))
    reducible, seen = root @ root, new > 0
    to_seen = reducible[:, seen]
    gain = to_seen @ np.linalg.solve(reducible[np.ix_(seen, seen)] + np.diag(noise / new[seen]), to_seen.T)
    grown = np.maximum(gate.items, gate.labels + new)
    return gain + np.diag(floor * (1 - gate.items / np.maximum(grown, 1)))


def _root(matrix: np.ndarray) -> np.ndarray:
    """Symmetric square root; what rounding made negative counts as 0."""
    values, vectors = np.linalg.eigh(matrix)
    return vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
