"""The contrast in each slice, drawn around that of all traffic without a fit."""

import numpy as np

SCALES = np.linspace(0.1, 3.0, 16)


def slice_draws(
    total: np.ndarray, mean: np.ndarray, sd: np.ndarray, share: np.ndarray, *, scale: float, rng: np.random.Generator
) -> np.ndarray:
    """Draw the contrast in each slice so that they average to the total, dims (draw, slice).

    Slices lie around the total by as much as their labels show, partially pooled: normal around a common mean, with a
    half-normal prior on their spread, as in the calibration model.

    Parameters
    ----------
    total : ndarray (draw,)
    mean, sd : ndarray (slice,)
        What the slice's own labels say; NaN where it has none.
    share : ndarray (slice,)
    scale : float
        Of the prior.
    """
    seen = ~np.isnan(mean) & (sd > 0)
    if not seen.any() or not scale or len(share) < 2:
        return np.repeat(total[:, None], len(share), axis=1)
    tau, noise = scale * SCALES, np.where(seen, sd, 1.0) ** 2
    precision = seen / (noise + tau[:, None] ** 2)
    centre = (precision * np.where(seen, mean, 0.0)).sum(axis=1) / precision.sum(axis=1)
    off = np.where(seen, mean, 0.0) - centre[:, None]
    fit = -SCALES**2 / 2 - np.log(precision.sum(axis=1)) / 2
    fit += (np.log(np.where(seen, precision, 1.0)) - precision * off**2).sum(axis=1) / 2
    weight = np.exp(fit - fit.max())
    which = rng.choice(len(tau), len(total), p=weight / weight.sum())
    shrunk = np.where(seen, tau[:, None] ** 2 / (noise + tau[:, None] ** 2), 0.0)
    middle, width = shrunk * off, tau[:, None] * np.sqrt(1 - shrunk)
    apart = middle[which] + width[which] * rng.standard_normal((len(total), len(share)))
    return total[:, None] + apart - (apart @ share)[:, None] / share.sum()
