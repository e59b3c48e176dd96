"""How many more labels would settle a candidate, simulated from the present posterior."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

SIZES = range(25, 801, 25)
RUNS = 1000
ENOUGH = 0.80


@dataclass(frozen=True)
class Evidence:
    """What is known of one gate; position 0 is the total, the others are slices.

    Attributes
    ----------
    mean, sd : ndarray (slice,)
        Of the contrast, positive where the candidate is better.
    margin : ndarray (slice,)
        NaN where the slice has none.
    labels : ndarray (slice,)
        Labels now.
    share : ndarray (slice,)
        Share of new labels that would fall there when drawn at random.
    """

    mean: np.ndarray
    sd: np.ndarray
    margin: np.ndarray
    labels: np.ndarray
    share: np.ndarray


def labels_needed(evidence: list[Evidence], *, assurance: float, slice_assurance: float, seed: int) -> int | None:
    """Return the smallest number of further labelled items that settles the candidate in 80% of simulated runs.

    In each run the posterior of every contrast is imagined after n more labels drawn at random: its variance shrinks
    with the labels, and its mean moves by what the variance loses (the pre-posterior of a normal mean; Raiffa &
    Schlaifer 1961). Gates and slices are moved independently of each other.

    Returns
    -------
    int or None
        From 25 to 800 in steps of 25; None when 800 are not enough, or nothing has been labelled.
    """
    rng = np.random.default_rng(seed)
    noise = [rng.standard_normal((RUNS, len(gate.mean))) for gate in evidence]
    if any(gate.labels[0] == 0 for gate in evidence):
        return None
    for more in SIZES:
        missing, shown_worse, slices_hold = np.zeros(RUNS), np.zeros(RUNS, bool), np.ones(RUNS, bool)
        for gate, moved in zip(evidence, noise, strict=True):
            kept = (gate.labels + 1) / (gate.labels + 1 + more * gate.share)
            mean = gate.mean + gate.sd * np.sqrt(1 - kept) * moved
            holds = ndtr((mean + gate.margin) / (gate.sd * np.sqrt(kept)))
            has = ~np.isnan(gate.margin[1:])
            missing += 1 - holds[:, 0]
            shown_worse |= 1 - holds[:, 0] >= assurance
            shown_worse |= (1 - holds[:, 1:][:, has] >= assurance).any(axis=1)
            slices_hold &= (holds[:, 1:][:, has] >= slice_assurance).all(axis=1)
        settled = shown_worse | (slices_hold & (1 - missing >= assurance))
        if settled.mean() >= ENOUGH:
            return more
    return None
