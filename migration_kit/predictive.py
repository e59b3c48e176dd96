"""Predictions of the calibration model held against the labels they were learned from."""

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import ndtri

from migration_kit.estimands import parameter_draws, predict

LEVELS = 3
BINS = 10
FEWEST = 5


def labelled_predictions(fit: xr.DataTree, features: xr.Dataset, *, seed: int) -> xr.Dataset:
    """Predict the judgment of every labelled output and draw one that the model would expect.

    Returns
    -------
    Dataset
        Dims draw, row: ``probability`` (draw, row) and ``replicate`` (draw, row) 0/1, with the hardness of an item
        shared by its outputs and the luck of identical outputs; ``judged`` (row), ``model_index``, ``slice_index``,
        ``level`` (row): the primary metric, cut at its tertiles when it is a score, −1 where missing.
    """
    rng = np.random.default_rng([seed, 2])
    label = features["label"].to_numpy()
    item, model = np.nonzero(~np.isnan(label))
    unique, position = np.unique(item, return_inverse=True)
    parameters = parameter_draws(fit)
    probability = predict(parameters, features, unique, rows=slice(None))
    pool = features["pool"].to_numpy()[unique]
    scale = np.einsum("imp,dp->dim", pool, parameters["item_scale"])
    hardness = rng.standard_normal(probability.shape[:2])[:, :, None]
    luck = rng.standard_normal(probability.shape)
    luck = np.take_along_axis(luck, np.broadcast_to(pool.argmax(axis=2), probability.shape), axis=2)
    drawn = (scale * hardness + luck) / np.sqrt(1 + scale**2)
    from_normal = drawn < ndtri(np.clip(probability, 1e-12, 1 - 1e-12))
    primary = features["value"].sel(metric=features.attrs["primary_metric"]).to_numpy()
    return xr.Dataset(
        {
            "probability": (("draw", "row"), probability[:, position, model]),
            "replicate": (("draw", "row"), from_normal[:, position, model].astype(np.int8)),
            "judged": ("row", label[item, model]),
            "model_index": ("row", model),
            "slice_index": ("row", features["slice_index"].to_numpy()[item]),
            "level": ("row", _levels(primary)[item, model]),
        }
    )


def predictive_cells(predictions: xr.Dataset, features: xr.Dataset, *, interval: float) -> pd.DataFrame:
    """Compare the share of good judgments with its prediction, by model × slice and model × level of the metric.

    Returns
    -------
    DataFrame
        model, of (slice or primary metric), cell, n, judged, predicted, lower, upper, tail_probability. Cells of
        fewer than five labels are left out. Worry when ``judged`` lies outside its interval in more cells than one in
        twenty.
    """
    models = features["model"].to_numpy()
    slices = features["slice"].to_numpy()
    judged, replicate = predictions["judged"].to_numpy(), predictions["replicate"].to_numpy()
    tails = [(1 - interval) / 2, (1 + interval) / 2]
    rows = []
    for kind, code in (("slice", predictions["slice_index"]), ("primary metric", predictions["level"])):
        for m, model in enumerate(models):
            for value in np.unique(code.to_numpy()):
                here = (predictions["model_index"].to_numpy() == m) & (code.to_numpy() == value)
                if here.sum() < FEWEST:
                    continue
                share, expected = judged[here].mean(), replicate[:, here].mean(axis=1)
                lower, upper = np.quantile(expected, tails)
                above = (expected > share).mean() + (expected == share).mean() / 2
                rows.append({"model": model, "of": kind, "cell": slices[value] if kind == "slice" else f"{value:g}",
                             "n": int(here.sum()), "judged": share, "predicted": expected.mean(), "lower": lower,
                             "upper": upper, "tail_probability": 2 * min(above, 1 - above)})
    return pd.DataFrame(rows)


def reliability(predictions: xr.Dataset) -> pd.DataFrame:
    """Labelled outputs in ten groups of equal size by predicted probability: predicted and judged share.

    Returns
    -------
    DataFrame
        predicted, judged, n, lower, upper (95% interval of the share that the model expects in the group).
    """
    expected = predictions["probability"].mean("draw").to_numpy()
    judged, replicate = predictions["judged"].to_numpy(), predictions["replicate"].to_numpy()
    rows = []
    for group in np.array_split(np.argsort(expected, kind="stable"), min(BINS, len(expected))):
        lower, upper = np.quantile(replicate[:, group].mean(axis=1), [0.025, 0.975])
        rows.append({"predicted": expected[group].mean(), "judged": judged[group].mean(), "n": len(group),
                     "lower": lower, "upper": upper})
    return pd.DataFrame(rows)


def _levels(value: np.ndarray) -> np.ndarray:
    known = value[~np.isnan(value)]
    if len(np.unique(known)) <= LEVELS:
        return np.nan_to_num(value, nan=-1.0)
    cuts = np.quantile(known, np.arange(1, LEVELS) / LEVELS)
    return np.where(np.isnan(value), -1.0, np.searchsorted(cuts, value, side="left").astype(float))
