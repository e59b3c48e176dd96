"""The calibration model: a regression of human judgments on metrics, written for PyMC, one builder for every scale.

Multilevel regression whose predictions are poststratified over all items (Gelman & Little 1997; Park, Gelman & Bafumi
2004, doi:10.1093/pan/mph024). Scales with levels are an ordered probit, of which yes/no is the case of two levels and a
preference that of three symmetric ones; continuous scales are normal. Effects of item, output, rater and cluster enter
multiplied out so that the remaining coefficients are on the marginal scale: averaging over items of unknown hardness
and raters of unknown severity leaves Φ(mean), and no prediction needs an integral.
"""

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import xarray as xr

from migration_kit import priors
from migration_kit.shape import Shape

LOWEST = -35.0
FAR = 1e6
TINY = 1e-300


def model_data(rows: xr.Dataset, shape: Shape, *, prior_scale: float = 1.0) -> dict[str, np.ndarray]:
    """Return the arrays of the likelihood; components beyond the criterion's own are 0 and keep their prior.

    Parameters
    ----------
    rows : Dataset
        From `judgments.label_rows`.
    shape : Shape
        Must hold the rows.
    prior_scale : float
        Factor on the scale of every prior, to see what hangs on them.
    """
    x = np.zeros((rows.sizes["row"], shape.components))
    x[:, : rows.sizes["component"]] = rows["x"].to_numpy()
    data = {
        "pool": np.ascontiguousarray(rows["pool"].to_numpy()),
        "x": x,
        "slice_index": rows["slice_index"].to_numpy(),
        "item_index": rows["item_index"].to_numpy(),
        "prior_scale": np.asarray(float(prior_scale)),
    }
    level = rows["level"].to_numpy()
    if not shape.levels:
        data["judged"] = (rows["value"].to_numpy() - rows.attrs["centre"]) / rows.attrs["spread"]
    elif shape.levels == 2:
        data["sign"] = 2.0 * level - 1.0
    else:
        data["level_index"] = level
    if shape.groups:
        data["slice_group"] = rows["slice_group"].to_numpy()
    if shape.strata:
        data["stratum_index"] = rows["stratum"].to_numpy()
    if shape.raters:
        data["rater_index"] = rows["rater_index"].to_numpy()
    if shape.outputs:
        data["output_index"] = np.maximum(rows["output_index"].to_numpy(), 0)
        data["several"] = (rows["output_index"].to_numpy() >= 0).astype(float)
    if shape.clusters:
        data["cluster_index"] = rows["cluster_index"].to_numpy()
    if shape.rivals:
        data["rival"] = np.zeros((rows.sizes["row"], shape.rivals))
        data["rival"][:, : rows.sizes["rival"]] = rows["rival"].to_numpy()
    if shape.sided:
        data["side"] = rows["side"].to_numpy()
    return data


def build_model(shape: Shape, data: dict[str, np.ndarray]) -> pm.Model:
    """Write the model of one criterion.

    Parameters
    ----------
    shape : Shape
        Scale, and numbers of models, components, slices and labelled items.
    data : dict of ndarray
        From `model_data`; may be exchanged after compiling.

    Returns
    -------
    pymc.Model
        Deterministics on the marginal scale of the probit, or in standard deviations of the judgments: ``level``
        (model), ``weight`` (component), ``trust`` (model), ``slice_effect`` (slice), ``model_slice_effect``
        (slice, model), ``item_scale`` (model); where they apply ``cuts`` (cut), ``spread`` (model), ``residual``
        (model), ``stratum_effect`` (stratum, model), ``severity`` (rater), ``side_effect``, and the scales
        ``rater_scale``, ``output_scale``, ``cluster_scale``, ``model_cluster_scale``.
    """
    coords = {"model": range(shape.models), "component": range(shape.components), "slice": range(shape.slices),
              "stratum": range(shape.strata), "rater": range(shape.raters), "cut": range(max(shape.levels - 1, 0))}
    with pm.Model(coords=coords) as model:
        given = {name: pm.Data(name, value) for name, value in data.items()}
        pool, x, s = given["pool"], given["x"], given["prior_scale"]
        centre = pm.Normal("centre", 0, s * priors.LEVEL_CENTRE.scale)
        level = centre + s * priors.LEVEL_SPREAD * pm.Normal("level_z", dims="model")
        weight = pm.HalfNormal("weight_scale", s * priors.METRIC_WEIGHT.scale) * pm.Normal("weight_z", dims="component")
        trust = 1 + pm.HalfNormal("trust_scale", s * priors.METRIC_TRUST.scale) * pm.Normal("trust_z", dims="model")
        share = priors.ITEM_SHARE.scale * pm.math.sigmoid(
            pm.Logistic("item_share", 0, 1) + priors.ITEM_SHARE_SPREAD * pm.Normal("item_share_z", dims="model"))
        item_scale = pt.sqrt(share / (1 - share))
        residual = None if shape.levels else pt.exp(priors.RESIDUAL.scale * pm.Normal("residual_z", dims="model"))
        if residual is not None:
            item_scale = item_scale * residual
            pm.Deterministic("residual", residual, dims="model")
        slice_effect, model_slice_effect = _slice_effects(shape, given, s)

        marginal = pool @ level + (pool @ trust) * (x @ weight) + slice_effect[given["slice_index"]]
        marginal += (pool * model_slice_effect[given["slice_index"]]).sum(axis=1)
        if shape.strata:
            stratum_effect = pm.HalfNormal("stratum_scale", s * priors.STRATUM.scale) * pm.Normal(
                "stratum_z", shape=(shape.strata, shape.models))
            pm.Deterministic("stratum_effect", stratum_effect, dims=("stratum", "model"))
            marginal += (pool * stratum_effect[given["stratum_index"]]).sum(axis=1)
        if shape.sided:
            marginal += pm.Normal("side_effect", 0, s * priors.SIDE.scale) * given["side"]
        scale = pool @ item_scale
        noise = scale * pm.Normal("hardness", shape=max(shape.items, 1))[given["item_index"]]
        shared, variance = _shared_effects(shape, given, s)
        if shape.rivals:
            share = priors.EXCLUSION_SHARE.scale * pm.Beta("exclusion_share", 3, 1)
            exclusion = pm.Deterministic("exclusion_scale", pt.sqrt(2 * share / (1 - share)))
            rivalry = pm.Normal("rival_z", shape=(max(shape.items, 1), shape.rivals))[given["item_index"]]
            shared += exclusion * (given["rival"] * rivalry).sum(axis=1)
            variance += exclusion**2 * (given["rival"] ** 2).sum(axis=1)
        noise, variance = noise + shared, scale**2 + variance
        if shape.levels:
            loglik = _ordered(shape, given, marginal, noise, pt.sqrt(1 + variance))
        else:
            sd = pool @ residual
            loglik = -0.5 * ((given["judged"] - marginal - noise) / sd) ** 2 - pt.log(sd)
        pm.Potential("judgments", loglik.sum())

        for name, value, dims in (
            ("level", level, "model"), ("weight", weight, "component"), ("trust", trust, "model"),
            ("slice_effect", slice_effect, "slice"), ("model_slice_effect", model_slice_effect, ("slice", "model")),
            ("item_scale", item_scale, "model"),
        ):
            pm.Deterministic(name, value, dims=dims)
    return model


def _ordered(shape: Shape, given: dict, marginal, noise, scale) -> pt.TensorVariable:
    """Log-probability of each judgment's level; the latent judgment has variance scale² about its marginal mean."""
    if shape.levels == 2:
        return _log_ndtr(given["sign"] * (scale * marginal + noise))
    gap = pt.exp(np.log(priors.CUT_RANGE / (shape.levels - 1)) + priors.CUT_GAP.scale * pm.Normal(
        "gap_z", shape=shape.levels - 2))
    steps = pt.concatenate([pt.zeros(1), pt.cumsum(gap)])
    cuts = pm.Deterministic("cuts", steps - steps.mean())
    if not shape.symmetric:
        spread = pt.exp(given["prior_scale"] * priors.SPREAD.scale * pm.Normal("spread_z", dims="model"))
        pm.Deterministic("spread", spread, dims="model")
        scale = scale / pt.exp(given["pool"] @ pt.log(spread))
    # Far enough out to be cut off below, and finite because infinite ends have no gradient.
    ends = pt.concatenate([pt.full((1,), -FAR), cuts, pt.full((1,), FAR)])
    lower = pt.clip(scale * (ends[given["level_index"]] - marginal) - noise, LOWEST, -LOWEST)
    upper = pt.clip(scale * (ends[given["level_index"] + 1] - marginal) - noise, LOWEST, -LOWEST)
    # In the upper tail differences of Φ vanish in rounding; seen from the other side they do not.
    turned = upper + lower > 0
    low, high = pt.switch(turned, -upper, lower), pt.switch(turned, -lower, upper)
    difference = 0.5 * (pt.erfc(-high / np.sqrt(2.0)) - pt.erfc(-low / np.sqrt(2.0)))
    return pt.log(pt.maximum(difference, TINY))


def _log_ndtr(value: pt.TensorVariable) -> pt.TensorVariable:
    """Log of Φ, at less than half the cost of the general form; flat where Φ leaves the range of doubles."""
    return pt.log(0.5 * pt.erfc(-pt.maximum(value, LOWEST) / np.sqrt(2.0)))


def _shared_effects(shape: Shape, given: dict, s) -> tuple[pt.TensorVariable, pt.TensorVariable]:
    """Effects of rater, output and cluster that a row has, and the variance of exactly those."""
    effect, variance = pt.zeros(1), pt.zeros(1)
    if shape.raters:
        rater_scale = pm.HalfNormal("rater_scale", s * priors.RATER.scale)
        severity = rater_scale * pm.Normal("rater_z", shape=shape.raters)
        pm.Deterministic("severity", severity, dims="rater")
        effect, variance = effect + severity[given["rater_index"]], variance + rater_scale**2
    if shape.outputs:
        output_scale = pm.HalfNormal("output_scale", s * priors.OUTPUT.scale)
        own = pm.Normal("output_z", shape=shape.outputs)[given["output_index"]]
        effect += output_scale * given["several"] * own
        variance += output_scale**2 * given["several"]
    if shape.clusters:
        scale = pm.HalfNormal("cluster_scale", s * priors.CLUSTER.scale)
        by_model = pm.HalfNormal("model_cluster_scale", s * priors.CLUSTER_BY_MODEL.scale)
        common = pm.Normal("cluster_z", shape=shape.clusters)[given["cluster_index"]]
        own = pm.Normal("model_cluster_z", shape=(shape.clusters, shape.models))[given["cluster_index"]]
        effect += scale * common + by_model * (given["pool"] * own).sum(axis=1)
        variance += scale**2 + by_model**2 * (given["pool"] ** 2).sum(axis=1)
    return effect, variance


def _slice_effects(shape: Shape, given: dict, s) -> tuple[pt.TensorVariable, pt.TensorVariable]:
    """Effects of slices and of models in slices; with one slice there is nothing to tell apart."""
    if shape.slices < 2:
        return pt.zeros(1), pt.zeros((1, shape.models))
    tail = priors.SLICE_TAIL
    effect = pm.HalfNormal("slice_scale", s * priors.SLICE.scale) * pm.StudentT("slice_t", nu=tail, dims="slice")
    by_model = pm.LogNormal("model_slice_scale", pt.log(s * priors.SLICE_BY_MODEL.scale),
                            priors.SLICE_BY_MODEL_SPREAD) * pm.StudentT(
        "model_slice_t", nu=tail, dims=("slice", "model"))
    if shape.groups:
        # With several slice columns a cell of few labels takes after the others of its row and its column.
        effect += given["slice_group"] @ (pm.HalfNormal("group_scale", s * priors.SLICE.scale) * pm.StudentT(
            "group_t", nu=tail, shape=shape.groups))
        by_model += given["slice_group"] @ (pm.HalfNormal("model_group_scale", s * priors.SLICE_BY_MODEL.scale)
                                            * pm.StudentT("model_group_t", nu=tail, shape=(shape.groups, shape.models)))
    return effect, by_model
