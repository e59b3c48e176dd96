"""As how many labels drawn at random the planned ones count, slice by slice."""

from collections.abc import Mapping, Sequence

import numpy as np

from migration_kit.label_design import Design, allocate

STEPS = 60
TINY = 1e-12


def worth_by_slice(
    design: Design, others: Mapping[str, Design], sizes: Sequence[int], *, n_slices: int
) -> dict[int, dict[str, np.ndarray]]:
    """As how many labels drawn at random the planned ones count in each slice, on every gate.

    Parameters
    ----------
    design : Design
        By which items are drawn.
    others : mapping
        Gate to its own design on the same items; on these, planned labels count as they fall.
    sizes : sequence of int
        Further items. Those beyond the items there are come with new items, spread as the old ones.
    n_slices : int

    Returns
    -------
    dict
        Size to gate to ndarray (slice,).
    """
    free, inside, found = design.items - design.labels, design.stratum >= 0, {}
    of_slice = np.bincount(design.slice_index, weights=design.items, minlength=n_slices)
    for size in sizes:
        chosen = allocate(design, size)
        rate = np.where(inside & ~design.labelled, (chosen / np.maximum(free, 1))[design.stratum], 0.0)
        beyond = (size - chosen.sum()) * of_slice / max(of_slice.sum(), 1)
        found[size] = {name: _worth(other, rate, n_slices) + beyond for name, other in others.items()}
    return found


def _worth(design: Design, rate: np.ndarray, n_slices: int) -> np.ndarray:
    """Random labels that leave as little variance in each slice as these: each unlabelled item drawn at a rate."""
    items, have, inside = design.items, design.labels, design.stratum >= 0
    free = inside & ~design.labelled
    chosen = np.bincount(design.stratum[free], weights=rate[free], minlength=len(items))
    left = items - have
    per = np.bincount(design.slice_index, weights=left, minlength=n_slices)
    share = left / np.maximum(per, 1)[design.slice_index]
    scale = design.weight**2 * design.spread**2

    def variance(labels: np.ndarray) -> np.ndarray:
        part = scale * np.maximum(1 / np.maximum(labels, 0.5) - 1 / np.maximum(items, 1), 0)
        return np.bincount(design.slice_index, weights=part, minlength=n_slices)

    drawn = np.bincount(design.slice_index, weights=chosen, minlength=n_slices)
    goal, least, most = variance(have + chosen), np.zeros(n_slices), per.astype(float)
    for _ in range(STEPS):
        middle = (least + most) / 2
        short = variance(have + (middle[design.slice_index]) * share) > goal
        least, most = np.where(short, middle, least), np.where(short, most, middle)
    # Where nothing is known to vary, a label is worth a label.
    return np.where(variance(have.astype(float)) > TINY, most, drawn)
