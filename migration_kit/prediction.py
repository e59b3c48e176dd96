"""What the calibration model says of any output: its expected score, and judgments as the model would draw them."""

from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy.special import ndtr

MOST_DRAWS = 1000
DRAWN = ("level", "weight", "trust", "slice_effect", "model_slice_effect", "item_scale")
OPTIONAL = ("cuts", "spread", "residual", "stratum_effect", "severity", "rater_scale", "output_scale", "cluster_scale",
            "model_cluster_scale", "exclusion_scale")


class Outlook(NamedTuple):
    """Predictions of a chunk of draws for some items, on the marginal scale of the model.

    Attributes
    ----------
    latent : ndarray (draw, item, model)
        Mean of the latent judgment; for continuous scales in standard deviations of the judgments.
    spread : ndarray (draw, item, model)
        Standard deviation of the latent judgment about it, 1 unless the scale is ordinal or continuous.
    cuts : ndarray (draw, cut)
        Where the levels of the scale part; no columns where it is continuous.
    item_scale : ndarray (draw, item, model)
        Standard deviation of what the models of an item share, over that of the rest of a judgment.
    exclusion : ndarray (draw,)
        How strongly different outputs of an item exclude each other, on the scale of ``item_scale``.
    """

    latent: np.ndarray
    spread: np.ndarray
    cuts: np.ndarray
    item_scale: np.ndarray
    exclusion: np.ndarray


def parameter_draws(fit: xr.DataTree) -> dict[str, np.ndarray]:
    """Posterior arrays with chain and draw joined in front, always in the same order."""
    posterior = fit["posterior"]
    draws = posterior.sizes["chain"] * posterior.sizes["draw"]
    return {
        name: posterior[name].transpose("chain", "draw", ...).to_numpy().astype(float).reshape(
            draws, *posterior[name].shape[2:])
        for name in (*DRAWN, *(name for name in OPTIONAL if name in posterior))
    }


def outlook(
    parameters: dict[str, np.ndarray], features: xr.Dataset, item: np.ndarray, *, rows: slice
) -> Outlook:
    """Predict the latent judgments of some items' outputs, identical outputs averaged over their models.

    Parameters
    ----------
    parameters : dict of ndarray
        From `parameter_draws`.
    item : ndarray of int
        Positions of the items.
    rows : slice
        The draws wanted.
    """
    pool, x = features["pool"].to_numpy()[item], features["x"].to_numpy()[item]
    slice_index = features["slice_index"].to_numpy()[item]
    drawn = {name: value[rows] for name, value in parameters.items()}
    own = (drawn["slice_effect"][:, :, None] + drawn["model_slice_effect"])[:, slice_index]
    own = own + drawn["level"][:, None]
    if "stratum_effect" in drawn:
        models = np.arange(pool.shape[1])
        own += drawn["stratum_effect"][:, features["stratum"].to_numpy()[item], models]
    told = np.tensordot(drawn["weight"], x, axes=(1, 2))
    apart = np.array_equal(pool, np.broadcast_to(np.eye(pool.shape[1]), pool.shape))

    def pooled(by_model: np.ndarray) -> np.ndarray:
        """Average a (draw, model) array over identical outputs."""
        return by_model[:, None] if apart else np.einsum("imp,dp->dim", pool, by_model, optimize=True)

    latent = (own if apart else np.einsum("imp,dip->dim", pool, own, optimize=True)) + pooled(drawn["trust"]) * told
    item_scale, spread = pooled(drawn["item_scale"]), np.ones((1, 1, 1))
    cuts = drawn.get("cuts", np.zeros((len(latent), 1)))
    if "spread" in drawn:
        spread = np.exp(pooled(np.log(drawn["spread"])))
    if "residual" in drawn:
        residual = pooled(drawn["residual"])
        spread, item_scale, cuts = np.sqrt(residual**2 + item_scale**2), item_scale / residual, cuts[:, :0]
    return Outlook(latent, spread, cuts, item_scale, drawn.get("exclusion_scale", np.zeros(len(latent))))


def expected_score(seen: Outlook, features: xr.Dataset) -> np.ndarray:
    """Return the expected score of every output, dims as of ``latent``, on the scale of quality."""
    if not seen.cuts.shape[1]:
        return features.attrs["centre"] + features.attrs["spread"] * seen.latent
    steps = np.diff(features.attrs["score"])
    score = np.full(seen.latent.shape, float(features.attrs["score"][0]))
    for number in np.flatnonzero(steps):
        score += steps[number] * ndtr((seen.latent - _cut(seen, number)) / seen.spread)
    return score


def drawn_score(seen: Outlook, features: xr.Dataset, luck: np.ndarray) -> np.ndarray:
    """Return the scores of judgments whose latent values lie `luck` standard deviations off their means."""
    latent = seen.latent + seen.spread * luck
    if not seen.cuts.shape[1]:
        return features.attrs["centre"] + features.attrs["spread"] * latent
    level = np.zeros(latent.shape, dtype=np.int64)
    for number in range(seen.cuts.shape[1]):
        level += latent > _cut(seen, number)
    return np.asarray(features.attrs["score"], dtype=float)[level]


def drawn_luck(seen: Outlook, pool: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw how far latent judgments lie off their means: items share hardness, identical outputs share all of it."""
    hardness = rng.standard_normal(seen.latent.shape[:2])[:, :, None]
    first = pool.argmax(axis=-1)
    first = np.broadcast_to(first if first.ndim == 3 else first[None], seen.latent.shape)
    luck = seen.item_scale * hardness + np.take_along_axis(rng.standard_normal(first.shape), first, axis=2)
    variance = 1 + seen.item_scale**2
    if seen.exclusion.any():
        exclusion, once = seen.exclusion[:, None, None], pool.max(axis=-1)
        different = once.sum(axis=-1, keepdims=True)
        rival = np.take_along_axis(rng.standard_normal(first.shape), first, axis=2)
        luck += exclusion * (rival - (rival * once / different).sum(axis=2, keepdims=True))
        variance = variance + exclusion**2 * (1 - 1 / different)
    return luck / np.sqrt(variance)


def against_incumbent(score: np.ndarray, features: xr.Dataset) -> np.ndarray:
    """Set the incumbent's score, last dim model, to 0 where scores are preferences to it."""
    if features.attrs["kind"] == "pairwise":
        score[..., 0] = 0.0
    return score


def thinned(fit: xr.DataTree) -> xr.DataTree:
    """Keep about a thousand draws: enough for what is read to two digits."""
    posterior = fit["posterior"].to_dataset()
    step = max(1, posterior.sizes["chain"] * posterior.sizes["draw"] // MOST_DRAWS)
    return xr.DataTree.from_dict({"posterior": posterior.isel(draw=slice(None, None, step))})


def _cut(seen: Outlook, number: int) -> np.ndarray:
    return seen.cuts[:, number].reshape(-1, *(1,) * (seen.latent.ndim - 1))
