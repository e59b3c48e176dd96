"""From posterior draws to the quantities of the decision: quality, contrast and the errors of metrics.

Predictions of the calibration model are averaged over all items of a slice with Bayesian-bootstrap weights (Rubin 1981,
doi:10.1214/aos/1176345338) that all models share, then over slices with the weights of the traffic.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import ndtr, ndtri

from migration_kit.intervals import estimate_table, summarise

TOTAL = "all"
MOST_GROUPS = 20_000
CELLS_AT_ONCE = 2_000_000
PSEUDO_ITEMS = 2
PSEUDO_CHOICES = 64


class Population(NamedTuple):
    """Items that agree in everything the model knows, counted once.

    Attributes
    ----------
    item : ndarray (group,)
        Position of one item of the group.
    count : ndarray (group,)
        Items it stands for.
    slice_index : ndarray (group,)
    """

    item: np.ndarray
    count: np.ndarray
    slice_index: np.ndarray


class Draws(NamedTuple):
    """A chunk of posterior draws over the population.

    Attributes
    ----------
    rows : slice
        The draws, chains one after the other.
    quality : ndarray (draw, group, model)
        Predicted probability of a good output, averaged over identical outputs.
    weight : ndarray (draw, group)
        Bootstrap weights, summing to 1 in every slice.
    slice_weight : ndarray (draw, slice)
    """

    rows: slice
    quality: np.ndarray
    weight: np.ndarray
    slice_weight: np.ndarray


def group_items(features: xr.Dataset, *, seed: int) -> Population:
    """Count items of equal features; beyond 20,000 groups a random 20,000 stand for their slices' totals."""
    slice_index = features["slice_index"].to_numpy()
    n = len(slice_index)
    key = np.concatenate([slice_index[:, None], features["x"].to_numpy().reshape(n, -1),
                          features["pool"].to_numpy().reshape(n, -1),
                          np.nan_to_num(features["value"].to_numpy().reshape(n, -1), nan=-1e300)], axis=1)
    _, item, count = np.unique(key, axis=0, return_index=True, return_counts=True)
    if len(item) > MOST_GROUPS:
        kept = np.random.default_rng(seed).choice(len(item), MOST_GROUPS, replace=False)
        total = np.bincount(slice_index[item], weights=count, minlength=features.sizes["slice"])
        item, count = item[kept], count[kept].astype(float)
        found = np.bincount(slice_index[item], weights=count, minlength=features.sizes["slice"])
        count *= (total / np.maximum(found, 1))[slice_index[item]]
    return Population(item, count.astype(float), slice_index[item])


def population_draws(
    fit: xr.DataTree, features: xr.Dataset, *, traffic: bool, seed: int, population: Population | None = None
) -> Iterator[Draws]:
    """Yield predictions and weights for the population, a chunk of draws at a time; equal seeds, equal weights."""
    population = population or group_items(features, seed=seed)
    rng = np.random.default_rng(seed)
    parameters = parameter_draws(fit)
    n_draws, n_models = parameters["level"].shape
    step = max(1, CELLS_AT_ONCE // max(1, len(population.item) * n_models))
    slices = np.eye(features.sizes["slice"])[population.slice_index]
    for start in range(0, n_draws, step):
        rows = slice(start, min(start + step, n_draws))
        size = rows.stop - rows.start
        weight = rng.standard_gamma(population.count, size=(size, len(population.count)))
        weight /= (weight @ slices)[:, population.slice_index]
        yield Draws(rows, predict(parameters, features, population.item, rows=rows), weight,
                    slice_weights(features, traffic=traffic, draws=size, rng=rng))


def predict(parameters: dict[str, np.ndarray], features: xr.Dataset, item: np.ndarray, *, rows: slice) -> np.ndarray:
    """Return the probability of a good output, dims (draw, item, model), averaged over identical outputs."""
    pool, x = features["pool"].to_numpy()[item], features["x"].to_numpy()[item]
    slice_index = features["slice_index"].to_numpy()[item]
    own = (parameters["slice_effect"][rows][:, :, None] + parameters["model_slice_effect"][rows])[:, slice_index]
    level, trust = parameters["level"][rows][:, None], parameters["trust"][rows][:, None]
    told = np.tensordot(parameters["weight"][rows], x, axes=(1, 2))
    if np.array_equal(pool, np.broadcast_to(np.eye(pool.shape[1]), pool.shape)):
        return ndtr(level + own + trust * told)
    pooled = np.einsum("imp,dip->dim", pool, level + own, optimize=True)
    return ndtr(pooled + np.einsum("imp,dp->dim", pool, parameters["trust"][rows], optimize=True) * told)


def slice_weights(features: xr.Dataset, *, traffic: bool, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Weights of the slices, dims (draw, slice): shares as they are; counts, and the test set's mix, as Dirichlet."""
    counts = features["count"].to_numpy()
    if not traffic:
        counts = np.bincount(features["slice_index"].to_numpy(), minlength=features.sizes["slice"]).astype(float)
    if np.isnan(counts).any():
        return np.broadcast_to(features["share"].to_numpy(), (draws, len(counts)))
    drawn = rng.standard_gamma(counts, size=(draws, len(counts)))
    return drawn / drawn.sum(axis=1, keepdims=True)


def quality(fit: xr.DataTree, features: xr.Dataset, *, traffic: bool, seed: int) -> xr.Dataset:
    """Quality of every model by slice and in total.

    Parameters
    ----------
    fit : DataTree
        From `inference.fit`.
    features : Dataset
        The criterion's features.
    traffic : bool
        Weight slices as production does; otherwise as the test set does.
    seed : int
        Seed of the bootstrap weights.

    Returns
    -------
    Dataset
        ``calibrated`` and ``corrected`` (chain, draw, model, slice), probabilities; slice ``all`` is the weighted
        total. Worry when the two differ by more than twice the standard deviation of their difference.
    """
    chains, draws = fit["posterior"].sizes["chain"], fit["posterior"].sizes["draw"]
    n_models, n_slices = features.sizes["model"], features.sizes["slice"]
    calibrated = np.empty((chains * draws, n_models, n_slices + 1))
    population = group_items(features, seed=seed)
    slices = np.eye(n_slices)[population.slice_index]
    weights = np.empty((chains * draws, n_slices))
    for chunk in population_draws(fit, features, traffic=traffic, seed=seed, population=population):
        by_slice = np.einsum("dg,dgm,gs->dms", chunk.weight, chunk.quality, slices, optimize=True)
        calibrated[chunk.rows, :, 1:] = by_slice
        calibrated[chunk.rows, :, 0] = np.einsum("dms,ds->dm", by_slice, chunk.slice_weight)
        weights[chunk.rows] = chunk.slice_weight
    corrected = calibrated + correction(fit, features, weights=weights, seed=seed)
    coords = {"model": features["model"].to_numpy(), "slice": [TOTAL, *features["slice"].to_numpy()]}
    shape = (chains, draws, n_models, n_slices + 1)
    dims = ("chain", "draw", "model", "slice")
    return xr.Dataset({"calibrated": (dims, calibrated.reshape(shape)), "corrected": (dims, corrected.reshape(shape))},
                      coords=coords, attrs=dict(features.attrs))


def correction(fit: xr.DataTree, features: xr.Dataset, *, weights: np.ndarray, seed: int) -> np.ndarray:
    """Bootstrap-weighted mean residual of the labelled items, draw by draw.

    The one-step posterior correction of Yiu, Fong, Holmes & Rousseau (2023), arXiv:2306.06059. Two pseudo-items whose
    outcome is drawn from the model keep a spread where every label agrees with it.

    Parameters
    ----------
    weights : ndarray (draw, slice)
        Slice weights of the same draws.

    Returns
    -------
    ndarray (draw, model, 1 + slice)
        To be added to quality; the total first. 0 for a slice without labels.
    """
    rng = np.random.default_rng([seed, 1])
    parameters = parameter_draws(fit)
    label = features["label"].to_numpy()
    item = np.nonzero(~np.isnan(label).all(axis=1))[0]
    n_draws, n_slices = len(weights), features.sizes["slice"]
    out = np.zeros((n_draws, label.shape[1], n_slices + 1))
    known = ~np.isnan(label[item])
    slice_index = features["slice_index"].to_numpy()
    size = np.bincount(slice_index, minlength=n_slices)
    inverse = 1 / features["inclusion_prob"].to_numpy()[item]
    member = np.eye(n_slices)[slice_index[item]]
    step = max(1, CELLS_AT_ONCE // max(1, label.shape[1] * (len(item) + PSEUDO_ITEMS)))
    for start in range(0, n_draws, step):
        rows = slice(start, min(start + step, n_draws))
        residual = np.where(known, label[item] - predict(parameters, features, item, rows=rows), 0.0)
        exponential = rng.standard_exponential((rows.stop - rows.start, len(item))) * inverse
        imagined = _pseudo_residuals(parameters, features, rows=rows, rng=rng)
        spare = rng.standard_exponential(imagined.shape[:2])
        share = (weights[rows] / size)[:, slice_index[item]]
        columns = [exponential * share, *(exponential * member[:, s] for s in range(n_slices))]
        for column, value in enumerate(columns):
            present = np.einsum("dl,lm->dm", value, known.astype(float))
            typical = value.sum(axis=1) / np.maximum((value > 0).sum(axis=1), 1)
            added = spare * typical[:, None]
            total = present + added.sum(axis=1)[:, None]
            moved = np.einsum("dl,dlm->dm", value, residual) + np.einsum("dp,dpm->dm", added, imagined)
            out[rows, :, column] = np.divide(moved, total, out=np.zeros_like(moved), where=present > 0)
    return out


def _pseudo_residuals(parameters, features: xr.Dataset, *, rows: slice, rng: np.random.Generator) -> np.ndarray:
    """Residuals of items drawn and judged by the model, dims (draw, pseudo-item, model): 0 on average."""
    candidates = rng.integers(0, features.sizes["item"], size=PSEUDO_CHOICES)
    expected = predict(parameters, features, candidates, rows=rows)
    chosen = rng.integers(0, PSEUDO_CHOICES, size=(len(expected), PSEUDO_ITEMS))
    expected = np.take_along_axis(expected, chosen[:, :, None], axis=1)
    pool = features["pool"].to_numpy()[candidates[chosen]]
    scale = np.einsum("dimp,dp->dim", pool, parameters["item_scale"][rows])
    hardness = rng.standard_normal(expected.shape[:2])[:, :, None]
    luck = rng.standard_normal(expected.shape)
    # Identical outputs share their luck: each takes that of its first twin.
    luck = np.take_along_axis(luck, pool.argmax(axis=3), axis=2)
    latent = np.sqrt(1 + scale**2) * ndtri(np.clip(expected, 1e-12, 1 - 1e-12)) + scale * hardness
    return (latent + luck > 0) - expected


def contrast(draws: xr.DataArray, *, incumbent: str, better: str) -> xr.DataArray:
    """Candidate minus incumbent from joint draws; positive is better whichever way the criterion points."""
    others = [name for name in draws["model"].to_numpy() if name != incumbent]
    difference = draws.sel(model=others) - draws.sel(model=incumbent, drop=True)
    return -difference if better == "lower" else difference


def estimate_rows(
    draws: xr.Dataset, features: xr.Dataset, *, incumbent: str, layer: str, interval: float, margin: float | None,
    slice_margin: float | None = None,
) -> pd.DataFrame:
    """Summarise quality and contrasts by model and slice in the columns of ``estimates.parquet``."""
    label = ~np.isnan(features["label"].to_numpy())
    slice_index = features["slice_index"].to_numpy()
    models = list(features["model"].to_numpy())
    rows = []
    for method in ("calibrated", "corrected"):
        both = contrast(draws[method], incumbent=incumbent, better=features.attrs["better"])
        for quantity, values in (("quality", draws[method]), ("contrast", both)):
            for position, name in enumerate(draws["slice"].to_numpy()):
                here = slice(None) if position == 0 else slice_index == position - 1
                limit = (margin if position == 0 else slice_margin) if quantity == "contrast" else None
                for model in values["model"].to_numpy():
                    numbers = values.sel(model=model).isel(slice=position).to_numpy().ravel()
                    rows.append(
                        {"model": model, "slice": name, "quantity": quantity, "method": method,
                         "n_labels": int(label[here, models.index(model)].sum()),
                         **summarise(numbers, interval=interval, margin=limit)})
    return estimate_table(rows, layer=layer, criterion=features.attrs["criterion"])


def parameter_draws(fit: xr.DataTree) -> dict[str, np.ndarray]:
    """Posterior arrays with chain and draw joined in front, always in the same order."""
    posterior = fit["posterior"]
    names = ("level", "weight", "trust", "slice_effect", "model_slice_effect", "item_scale")
    return {
        name: posterior[name].transpose("chain", "draw", ...).to_numpy().astype(float).reshape(
            -1, *posterior[name].shape[2:])
        for name in names
    }
