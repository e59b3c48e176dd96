"""Predictions of the calibration model held against the labels they were learned from."""

import numpy as np
import pandas as pd
import xarray as xr

from migration_kit.judgments import rivals
from migration_kit.prediction import Outlook, drawn_score, expected_score, outlook, parameter_draws, thinned
from migration_kit.strata import verdicts

BINS = 10
FEWEST = 5
VERDICTS = {1: ("missing", "one value"), 2: ("missing", "low", "high"), 3: ("missing", "low", "middle", "high")}


def labelled_predictions(fit: xr.DataTree, features: xr.Dataset, *, seed: int) -> xr.Dataset:
    """Predict every judgment and draw one that the model would expect.

    Returns
    -------
    Dataset
        Dims draw, row: ``expected`` and ``replicate`` (draw, row) on the scale of quality, with the hardness of an item
        shared by its outputs and the luck of identical outputs; ``judged`` (row), ``model_index``, ``slice_index``,
        ``level`` (row): verdict of the primary metric, 0 where missing, else 1 to 3 from low to high.
    """
    rng = np.random.default_rng([seed, 2])
    item, model = features["judged_item"].to_numpy(), features["judged_model"].to_numpy()
    unique, position = np.unique(item, return_inverse=True)
    parameters = parameter_draws(thinned(fit))
    seen = outlook(parameters, features, unique, rows=slice(None))
    whole = seen.latent.shape
    latent, spread, item_scale = (np.broadcast_to(values, whole)[:, position, model] for values in (
        seen.latent, seen.spread, seen.item_scale))
    of_row = Outlook(latent, spread, seen.cuts, item_scale, seen.exclusion)
    luck = _luck(item_scale, parameters, features, rng)
    primary = features["value"].sel(metric=features.attrs["primary_metric"]).to_numpy()
    return xr.Dataset(
        {
            "expected": (("draw", "row"), expected_score(of_row, features)),
            "replicate": (("draw", "row"), drawn_score(of_row, features, luck)),
            "judged": ("row", features["judged"].to_numpy()),
            "model_index": ("row", model),
            "slice_index": ("row", features["slice_index"].to_numpy()[item]),
            "level": ("row", verdicts(primary)[item, model]),
        }
    )


def predictive_cells(predictions: xr.Dataset, features: xr.Dataset, *, interval: float) -> pd.DataFrame:
    """Compare mean judgments with their prediction, by model × slice, model × level of the metric, model × judgment.

    Returns
    -------
    DataFrame
        model, of (slice, primary metric, or share of judgment), cell, n, judged, predicted, lower, upper,
        tail_probability. Cells of fewer than five judgments are left out. Worry when ``judged`` lies outside its
        interval in more cells than one in twenty.
    """
    models, slices = features["model"].to_numpy(), features["slice"].to_numpy()
    judged, replicate = predictions["judged"].to_numpy(), predictions["replicate"].to_numpy()
    of_model, highest = predictions["model_index"].to_numpy(), max(1, *predictions["level"].to_numpy(), 0)
    rows = []
    for kind, code in (("slice", predictions["slice_index"].to_numpy()), ("primary metric", predictions["level"])):
        for m, model in enumerate(models):
            for value in np.unique(code):
                here = (of_model == m) & (np.asarray(code) == value)
                cell = str(slices[value]) if kind == "slice" else VERDICTS[highest][int(value)]
                if here.sum() >= FEWEST:
                    rows.append({"model": model, "of": kind, "cell": cell,
                                 **_held(judged[here].mean(), replicate[:, here].mean(axis=1), interval),
                                 "n": int(here.sum())})
    scores = np.unique(features.attrs["score"])
    for m, model in enumerate(models if len(scores) > 2 else ()):
        here = of_model == m
        for score in scores if here.sum() >= FEWEST else ():
            rows.append({"model": model, "of": "share of judgment", "cell": f"{score:g}",
                         **_held((judged[here] == score).mean(), (replicate[:, here] == score).mean(axis=1), interval),
                         "n": int(here.sum())})
    columns = ["model", "of", "cell", "n", "judged", "predicted", "lower", "upper", "tail_probability"]
    return pd.DataFrame(rows, columns=columns)


def reliability(predictions: xr.Dataset) -> pd.DataFrame:
    """Judgments in ten groups of equal size by their prediction: predicted and judged mean.

    Returns
    -------
    DataFrame
        predicted, judged, n, lower, upper (95% interval of the mean that the model expects in the group).
    """
    expected = predictions["expected"].mean("draw").to_numpy()
    judged, replicate = predictions["judged"].to_numpy(), predictions["replicate"].to_numpy()
    rows = []
    groups = np.array_split(np.argsort(expected, kind="stable"), min(BINS, len(expected))) if len(expected) else []
    for group in groups:
        lower, upper = np.quantile(replicate[:, group].mean(axis=1), [0.025, 0.975])
        rows.append({"predicted": expected[group].mean(), "judged": judged[group].mean(), "n": len(group),
                     "lower": lower, "upper": upper})
    return pd.DataFrame(rows, columns=["predicted", "judged", "n", "lower", "upper"])


def _held(judged: float, expected: np.ndarray, interval: float) -> dict[str, float]:
    """Hold a mean of judgments against the draws that the model expects of it."""
    lower, upper = np.quantile(expected, [(1 - interval) / 2, (1 + interval) / 2])
    above = (expected > judged).mean() + (expected == judged).mean() / 2
    return {"judged": judged, "predicted": expected.mean(), "lower": lower, "upper": upper,
            "tail_probability": 2 * min(above, 1 - above)}


def _luck(item_scale: np.ndarray, parameters: dict, features: xr.Dataset, rng: np.random.Generator) -> np.ndarray:
    """Draw how far each latent judgment lies off its marginal mean, dims (draw, judgment), with variance 1.

    Judgments share the hardness of their item, the state of their cluster, what raters of one output share, and the
    severity of their rater, which is the one learned; judgments of identical outputs by one rater are one.
    """
    item, model = features["judged_item"].to_numpy(), features["judged_model"].to_numpy()
    rater, draws = features["judged_rater"].to_numpy(), len(item_scale)
    first = features["pool"].to_numpy().argmax(axis=2)[item, model]
    several = pd.Series(1, index=range(len(item))).groupby([item, first]).transform("size").to_numpy() > 1

    def drawn(*columns: np.ndarray) -> np.ndarray:
        """Standard normals, one for each combination of the columns."""
        _, code = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
        return rng.standard_normal((draws, code.max(initial=-1) + 1))[:, code]

    def scale(name: str) -> np.ndarray:
        return parameters[name][:, None] if name in parameters else np.zeros((draws, 1))

    luck = item_scale * drawn(item) + drawn(item, first, rater)
    variance = 1 + item_scale**2
    if "severity" in parameters:
        luck, variance = luck + parameters["severity"][:, rater], variance + scale("rater_scale") ** 2
    if "exclusion_scale" in parameters:
        apart = rivals(item, first)
        shared = np.stack([drawn(item) for _ in range(apart.shape[1])], axis=-1)
        luck = luck + scale("exclusion_scale") * (shared * apart).sum(axis=-1)
        variance = variance + scale("exclusion_scale") ** 2 * (apart**2).sum(axis=-1)
    cluster = features["cluster"].to_numpy()[item]
    for name, columns, applies in (("output_scale", (item, first), several), ("cluster_scale", (cluster,), True),
                                   ("model_cluster_scale", (cluster, model), True)):
        if name in parameters:
            luck, variance = luck + scale(name) * applies * drawn(*columns), variance + scale(name) ** 2 * applies
    return luck / np.sqrt(variance)
