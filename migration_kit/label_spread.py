"""How much the difference of two labels varies between items, by what the primary metric says of the two outputs."""

import numpy as np
import xarray as xr

VERDICTS = 4
CELL_LABELS, OWN_LABELS = 20.0, 6.0
EVENED = 0.2
TINY = 1e-12


def stratum_spread(
    features: xr.Dataset, columns: list[int], *, verdict: np.ndarray, twin: np.ndarray, labelled: np.ndarray,
    stratum: np.ndarray,
) -> np.ndarray:
    """Standard deviation of the difference of labels within each stratum, root mean square over candidates.

    A stratum has few labels. So it starts from all labels with its pair of verdicts, which start from a formula, see
    `pair_variance`; each counts for twenty labels of the next. A fifth is the mean of all strata: too many labels where
    they do not vary cost little, too few where they do cost much.

    Parameters
    ----------
    features : Dataset
    columns : list of int
        Incumbent and candidates among the models.
    verdict : ndarray of int (item, column)
        0 to 3, from `strata.verdicts`.
    twin : ndarray of bool (item, column)
        The output is word for word the incumbent's.
    labelled : ndarray of bool (item,)
    stratum : ndarray of int (item,)
        −1 takes no part.

    Returns
    -------
    ndarray (stratum,)
        0 where all outputs are the incumbent's; equal elsewhere where labels do not tell.
    """
    label, inside = features["label"].to_numpy()[:, columns], stratum >= 0
    size = np.bincount(stratum[inside])
    share, total = size / max(size.sum(), 1), np.zeros(len(size))
    for column in range(1, len(columns)):
        used, cells = labelled & ~twin[:, column], verdict[:, [0, column]]
        judged = label[used][:, [0, column]]
        by_cell = pair_variance(judged, cells[used], paired=features.attrs["kind"] != "pairwise")
        by_item = np.where(twin[:, column], 0.0, by_cell[cells[:, 0], cells[:, 1]])
        prior = np.bincount(stratum[inside], weights=by_item[inside]) / size
        found = shrunk_variance(judged[:, 1] - judged[:, 0], stratum[used], prior, strength=CELL_LABELS)
        total += np.where(prior > 0, (1 - EVENED) * found + EVENED * (share @ found), 0.0)
    return np.sqrt(total / (len(columns) - 1))


def pair_variance(judged: np.ndarray, cells: np.ndarray, *, paired: bool) -> np.ndarray:
    """Variance of the difference of two labels given the two verdicts, dims (verdict, verdict).

    Rare pairs of verdicts have few labels. So each starts from the variances of the two labels alone, which both
    models' labels tell, and from one correlation for all pairs; that counts for twenty labels.

    Parameters
    ----------
    judged : ndarray (label, 2)
        Of incumbent and candidate; without NaN. Of preferences (not `paired`) the first is 0.
    cells : ndarray of int (label, 2)
        Their verdicts.
    """
    difference, cell, shape = judged[:, 1] - judged[:, 0], cells @ [VERDICTS, 1], (VERDICTS, VERDICTS)
    squares, degrees = _squares(difference, cell, VERDICTS**2)
    if not squares.any():
        return np.ones(shape)
    prior = np.full(VERDICTS**2, squares.sum() / degrees.sum())
    if paired:
        own, other, value = cells.T.ravel(), cells[:, ::-1].T.ravel(), judged.T.ravel()
        within, free = _squares(value, own, VERDICTS)
        alone = shrunk_variance(value, own, np.full(VERDICTS, within.sum() / free.sum()), strength=OWN_LABELS)
        alone = shrunk_variance(value, own * VERDICTS + other, np.repeat(alone, VERDICTS), strength=OWN_LABELS)
        first, second = (one - _mean(one, cell, VERDICTS**2)[cell] for one in judged.T)
        together = np.clip(first @ second / max(np.sqrt(first @ first * (second @ second)), TINY), -1, 1)
        alone = alone.reshape(shape)
        told = (alone + alone.T - 2 * together * np.sqrt(alone * alone.T)).ravel()
        prior = told * squares.sum() / max(degrees @ told, TINY)
    return shrunk_variance(difference, cell, prior, strength=CELL_LABELS).reshape(shape)


def shrunk_variance(value: np.ndarray, group: np.ndarray, prior: np.ndarray, *, strength: float) -> np.ndarray:
    """Variance within each group, dims (group,), where a prior variance counts for `strength` labels."""
    squares, degrees = _squares(value, group, len(prior))
    return (squares + strength * prior) / (degrees + strength)


def _squares(value: np.ndarray, group: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Squared deviations from the group's mean, summed, and degrees of freedom, dims (group,)."""
    squares = np.bincount(group, weights=(value - _mean(value, group, size)[group]) ** 2, minlength=size)
    return squares, np.maximum(np.bincount(group, minlength=size) - 1, 0)


def _mean(value: np.ndarray, group: np.ndarray, size: int) -> np.ndarray:
    return np.bincount(group, weights=value, minlength=size) / np.maximum(np.bincount(group, minlength=size), 1)
