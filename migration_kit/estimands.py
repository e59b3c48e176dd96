"""From posterior draws to the quantities of the decision: quality, contrast and the errors of metrics.

Predictions of the calibration model are averaged over all items of a slice with Bayesian-bootstrap weights (Rubin 1981,
doi:10.1214/aos/1176345338) that all models share, then over slices with the weights of the traffic.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from migration_kit.intervals import estimate_table, summarise
from migration_kit.prediction import (
    against_incumbent,
    drawn_luck,
    drawn_score,
    expected_score,
    outlook,
    parameter_draws,
)
from migration_kit.small_slices import with_imagined

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
    cluster : ndarray (group,)
        Groups of one cluster share their bootstrap weight; −1 where items are their own clusters.
    """

    item: np.ndarray
    count: np.ndarray
    slice_index: np.ndarray
    cluster: np.ndarray


class Draws(NamedTuple):
    """A chunk of posterior draws over the population.

    Attributes
    ----------
    rows : slice
        The draws, chains one after the other.
    quality : ndarray (draw, group, model)
        Expected score of an output, averaged over identical outputs.
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
    cluster = features["cluster"].to_numpy() if features.attrs["clustered"] else np.full(n, -1)
    key = np.concatenate([slice_index[:, None], cluster[:, None], features["x"].to_numpy().reshape(n, -1),
                          features["pool"].to_numpy().reshape(n, -1),
                          np.nan_to_num(features["value"].to_numpy().reshape(n, -1), nan=-1e300)], axis=1)
    _, item, count = np.unique(key, axis=0, return_index=True, return_counts=True)
    if len(item) > MOST_GROUPS:
        kept = np.random.default_rng(seed).choice(len(item), MOST_GROUPS, replace=False)
        total = np.bincount(slice_index[item], weights=count, minlength=features.sizes["slice"])
        item, count = item[kept], count[kept].astype(float)
        found = np.bincount(slice_index[item], weights=count, minlength=features.sizes["slice"])
        count *= (total / np.maximum(found, 1))[slice_index[item]]
    return Population(item, count.astype(float), slice_index[item], cluster[item])


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
        weight = _bootstrap_weights(population, size=size, rng=rng)
        weight /= (weight @ slices)[:, population.slice_index]
        yield Draws(rows, predict(parameters, features, population.item, rows=rows), weight,
                    slice_weights(features, traffic=traffic, draws=size, rng=rng))


def _bootstrap_weights(population: Population, *, size: int, rng: np.random.Generator) -> np.ndarray:
    """Weights of the Bayesian bootstrap, dims (draw, group): by item, or by cluster where there are clusters."""
    if population.cluster.min(initial=0) < 0:
        return rng.standard_gamma(population.count, size=(size, len(population.count)))
    shared = rng.standard_exponential((size, population.cluster.max() + 1))
    return shared[:, population.cluster] * population.count


def predict(parameters: dict[str, np.ndarray], features: xr.Dataset, item: np.ndarray, *, rows: slice) -> np.ndarray:
    """Return the expected score of some items' outputs, dims (draw, item, model)."""
    return against_incumbent(expected_score(outlook(parameters, features, item, rows=rows), features), features)


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
        ``calibrated`` and ``corrected`` (chain, draw, model, slice), on the scale of the criterion; slice ``all`` is
        the weighted total. Worry when the two differ by more than twice the standard deviation of their difference.
    """
    chains, draws = fit["posterior"].sizes["chain"], fit["posterior"].sizes["draw"]
    n_models, n_slices = features.sizes["model"], features.sizes["slice"]
    calibrated = np.empty((chains * draws, n_models, n_slices + 1))
    population = group_items(features, seed=seed)
    slices = np.eye(n_slices)[population.slice_index]
    weights = np.empty((chains * draws, n_slices))
    parameters, rng = parameter_draws(fit), np.random.default_rng([seed, 2])
    # An output is there or could have been; a candidate that was not compared on an item has no preference there.
    pairwise = features.attrs["kind"] == "pairwise"
    compared = features["present"].to_numpy()[population.item].astype(float) if pairwise else None
    for chunk in population_draws(fit, features, traffic=traffic, seed=seed, population=population):
        by_slice = np.einsum("dg,dgm,gs->dms", chunk.weight, chunk.quality, slices, optimize=True)
        if compared is not None:
            here = np.einsum("dg,gm,gs->dms", chunk.weight, compared, slices, optimize=True)
            won = np.einsum("dg,dgm,gm,gs->dms", chunk.weight, chunk.quality, compared, slices, optimize=True)
            by_slice = np.divide(won, here, out=by_slice, where=here > 0)
        by_slice = with_imagined(by_slice, parameters, features, rows=chunk.rows, rng=rng)
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
    if not len(item):
        return out
    known = ~np.isnan(label[item])
    slice_index = features["slice_index"].to_numpy()
    size = np.bincount(slice_index, minlength=n_slices)
    inverse = 1 / features["inclusion_prob"].to_numpy()[item]
    member = np.eye(n_slices)[slice_index[item]]
    _, cluster = np.unique(features["cluster"].to_numpy()[item], return_inverse=True)
    step = max(1, CELLS_AT_ONCE // max(1, label.shape[1] * (len(item) + PSEUDO_ITEMS)))
    for start in range(0, n_draws, step):
        rows = slice(start, min(start + step, n_draws))
        residual = np.where(known, label[item] - predict(parameters, features, item, rows=rows), 0.0)
        exponential = rng.standard_exponential((rows.stop - rows.start, cluster.max() + 1))[:, cluster] * inverse
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
    seen = outlook(parameters, features, candidates, rows=rows)
    chosen = rng.integers(0, PSEUDO_CHOICES, size=(len(seen.latent), PSEUDO_ITEMS))

    def picked(values: np.ndarray) -> np.ndarray:
        whole = np.broadcast_to(values, seen.latent.shape)
        return np.take_along_axis(whole, chosen[:, :, None], axis=1)

    seen = seen._replace(latent=picked(seen.latent), spread=picked(seen.spread), item_scale=picked(seen.item_scale))
    luck = drawn_luck(seen, features["pool"].to_numpy()[candidates[chosen]], rng)
    return against_incumbent(drawn_score(seen, features, luck) - expected_score(seen, features), features)


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
