"""Slices of few items: what they hold is itself a small sample of what production sends there."""

import numpy as np
import xarray as xr

from migration_kit.prediction import against_incumbent, expected_score, outlook

FEWEST_UNITS = 50
IMAGINED = 2
CHOICES = 16
DRAWS_ALIKE = 100


def with_imagined(
    by_slice: np.ndarray, parameters: dict[str, np.ndarray], features: xr.Dataset, *, rows: slice,
    rng: np.random.Generator,
) -> np.ndarray:
    """Let two items of the whole test set, as if they were of the slice, count beside the few that a slice has.

    The Bayesian bootstrap over one item has no spread, and over a few too little. This is a Dirichlet-process prior
    (Ferguson 1973, doi:10.1214/aos/1176342360) of weight 2 centred on all items; of two draws from it in place of
    endlessly many. Slices of 50 items or more, or clusters where there are clusters, and a slice that is alone stay as
    they are.

    Parameters
    ----------
    by_slice : ndarray (draw, model, slice)
        Bootstrap means of the items that are there, on the scale of quality.
    parameters : dict of ndarray
        From `prediction.parameter_draws`.
    features : Dataset
    rows : slice
        The draws that `by_slice` holds.
    rng : Generator

    Returns
    -------
    ndarray (draw, model, slice)
    """
    small, units = small_slices(features), _units(features)
    if not len(small):
        return by_slice
    whole = np.flatnonzero(features["present"].to_numpy().all(axis=1))
    whole = whole if len(whole) else np.arange(features.sizes["item"])
    out = by_slice.copy()
    for start in range(0, len(by_slice), DRAWS_ALIKE):
        part = slice(start, min(start + DRAWS_ALIKE, len(by_slice)))
        shape = (part.stop - start, len(small))
        there = features.isel(item=np.tile(rng.choice(whole, CHOICES), len(small)))
        there = there.assign(slice_index=("item", np.repeat(small, CHOICES)))
        seen = outlook(parameters, there, np.arange(there.sizes["item"]),
                       rows=slice(rows.start + start, rows.start + part.stop))
        score = against_incumbent(expected_score(seen, there), there).reshape(*shape, CHOICES, -1)
        chosen = rng.integers(0, CHOICES, size=(*shape, IMAGINED, 1))
        weight = rng.dirichlet(np.ones(IMAGINED), size=shape)
        imagined = np.einsum("dsp,dspm->dms", weight, np.take_along_axis(score, chosen, axis=2))
        share = rng.beta(IMAGINED, units[small], size=shape)[:, None]
        out[part, :, small] = (1 - share) * by_slice[part][:, :, small] + share * imagined
    return out


def small_slices(features: xr.Dataset) -> np.ndarray:
    """Positions of slices with fewer than 50 items, or clusters; none where a slice is alone."""
    return np.flatnonzero(_units(features) < FEWEST_UNITS) if features.sizes["slice"] > 1 else np.empty(0, dtype=int)


def _units(features: xr.Dataset) -> np.ndarray:
    """Count the items of each slice, or its clusters, dims (slice,)."""
    once = np.unique(np.stack([features["slice_index"], features["cluster"]]), axis=1)
    return np.bincount(once[0], minlength=features.sizes["slice"])
