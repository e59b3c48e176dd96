"""Draws weighed anew as if a prior, or the labels, had counted more or less (power-scaling)."""

import numpy as np
import xarray as xr
from scipy.special import ndtr

from migration_kit import priors
from migration_kit.prediction import outlook, parameter_draws

TINY = 1e-300
HALF_NORMALS = {
    "weight_scale": priors.METRIC_WEIGHT, "trust_scale": priors.METRIC_TRUST, "slice_scale": priors.SLICE,
    "group_scale": priors.SLICE, "model_group_scale": priors.SLICE_BY_MODEL,
    "stratum_scale": priors.STRATUM, "rater_scale": priors.RATER, "output_scale": priors.OUTPUT,
    "cluster_scale": priors.CLUSTER, "model_cluster_scale": priors.CLUSTER_BY_MODEL,
}


def log_prior(fit: xr.DataTree) -> xr.DataArray:
    """Log density of the priors that do not depend on others, draw by draw, up to a constant.

    Power-scaling takes top-level parameters only (Kallioinen et al. 2023, doi:10.1007/s11222-023-10366-5): scales of
    effects, not the effects. Models' levels count, because their spread is fixed.

    Returns
    -------
    DataArray (chain, draw)
    """
    posterior = fit["posterior"].to_dataset().astype(float)

    def normal(value: xr.DataArray) -> xr.DataArray:
        return -0.5 * (value**2).sum([dim for dim in value.dims if dim not in ("chain", "draw")])

    total = normal(posterior["centre"] / priors.LEVEL_CENTRE.scale)
    total = total + normal((posterior["level"] - posterior["centre"]) / priors.LEVEL_SPREAD)
    for name in HALF_NORMALS.keys() & set(posterior.data_vars):
        total = total + normal(posterior[name] / HALF_NORMALS[name].scale)
    if "model_slice_scale" in posterior:
        log_scale = np.log(posterior["model_slice_scale"])
        off = (log_scale - np.log(priors.SLICE_BY_MODEL.scale)) / priors.SLICE_BY_MODEL_SPREAD
        total = total + normal(off) - log_scale
    share_logit = posterior["item_share"]
    total = total - share_logit - 2 * np.log1p(np.exp(-share_logit))
    if "side_effect" in posterior:
        total = total + normal(posterior["side_effect"] / priors.SIDE.scale)
    for name, prior in (("spread", priors.SPREAD), ("residual", priors.RESIDUAL)):
        if name in posterior:
            total = total + normal(np.log(posterior[name]) / prior.scale)
    if "cuts" in posterior:
        cuts = posterior["cuts"]
        dim = cuts.dims[-1]
        expected = np.log(priors.CUT_RANGE / cuts.sizes[dim])
        total = total + normal((np.log(cuts.diff(dim)) - expected) / priors.CUT_GAP.scale)
    return total.transpose("chain", "draw")


def power_weights(log_density: np.ndarray, power: float) -> tuple[np.ndarray, bool]:
    """Weights of draws when a part of the posterior density is raised to a power, smoothed by PSIS.

    Pareto-smoothed importance sampling (Vehtari, Simpson, Gelman, Yao & Gabry 2024, arXiv:1507.02646).

    Parameters
    ----------
    log_density : ndarray (sample,)
    power : float

    Returns
    -------
    weights : ndarray (sample,)
        Sum to 1.
    reliable : bool
        Whether the Pareto k stays within min(1 − 1/log10(draws), 0.7).
    """
    from arviz_stats.base import array_stats

    n = len(log_density)
    if np.ptp(log_density) == 0 or power == 1:
        return np.full(n, 1 / n), True
    log_weights, k = array_stats.psislw(-(power - 1) * log_density)
    return np.exp(log_weights - np.logaddexp.reduce(log_weights)), bool(k <= min(1 - 1 / np.log10(n), 0.7))


def log_likelihood(fit: xr.DataTree, features: xr.Dataset) -> xr.DataArray:
    """Log-probability of the judgments, draw by draw, each on its own.

    A composite likelihood: what judgments of one item, rater or cluster share beyond their predictions is averaged out
    one judgment at a time, so it counts a little more often than it was learned from.

    Returns
    -------
    DataArray (chain, draw)
    """
    item, model = features["judged_item"].to_numpy(), features["judged_model"].to_numpy()
    unique, position = np.unique(item, return_inverse=True)
    seen = outlook(parameter_draws(fit), features, unique, rows=slice(None))
    latent, spread = (np.broadcast_to(values, seen.latent.shape)[:, position, model]
                      for values in (seen.latent, seen.spread))
    level = features["judged_level"].to_numpy()
    if (level < 0).any():
        centre, scale = features.attrs["centre"], features.attrs["spread"]
        off = ((features["judged_value"].to_numpy() - centre) / scale - latent) / spread
        density = -0.5 * off**2 - np.log(spread)
    else:
        ends = np.pad(seen.cuts, ((0, 0), (1, 1)), constant_values=((0, 0), (-np.inf, np.inf)))
        lower, upper = ((ends[:, level + step] - latent) / spread for step in (0, 1))
        turned = lower > 0
        lower, upper = np.where(turned, -upper, lower), np.where(turned, -lower, upper)
        density = np.log(np.maximum(ndtr(upper) - ndtr(lower), TINY))
    sizes = {dim: fit["posterior"].sizes[dim] for dim in ("chain", "draw")}
    return xr.DataArray(density.sum(axis=1).reshape(tuple(sizes.values())), dims=tuple(sizes))
