"""The calibration model: a probit regression of human judgments on metrics, written for PyMC.

Multilevel regression whose predictions are poststratified over all items (Gelman & Little 1997; Park, Gelman & Bafumi
2004, doi:10.1093/pan/mph024). The item effect enters multiplied out so that the remaining coefficients are on the
marginal scale: averaging over items of unknown hardness leaves Φ(mean), and no prediction needs an integral.
"""

from dataclasses import dataclass

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import xarray as xr

from migration_kit import priors

LOWEST = -35.0


@dataclass(frozen=True)
class Shape:
    """How many parameters of each kind; criteria of equal shape share one compiled model."""

    models: int
    components: int
    slices: int
    items: int

    def holds(self, rows: xr.Dataset) -> bool:
        """Tell whether the rows of a criterion fit into this shape."""
        return shape_of([rows], at_least=self) == self


def shape_of(rows: list[xr.Dataset], *, at_least: Shape | None = None) -> Shape:
    """Return the smallest shape that holds the rows of every criterion given."""
    start = at_least or Shape(0, 0, 0, 0)
    return Shape(
        models=max([start.models, *(r.sizes["model"] for r in rows)]),
        components=max([start.components, *(r.sizes["component"] for r in rows)]),
        slices=max([start.slices, *(r.sizes["slice"] for r in rows)]),
        items=max([start.items, *(int(r["item_index"].max(initial=-1)) + 1 for r in rows)]),
    )


def model_data(rows: xr.Dataset, shape: Shape) -> dict[str, np.ndarray]:
    """Return the arrays of the likelihood; components beyond the criterion's own are 0 and keep their prior.

    Parameters
    ----------
    rows : Dataset
        From `features.label_rows`.
    shape : Shape
        Must hold the rows.
    """
    x = np.zeros((rows.sizes["row"], shape.components))
    x[:, : rows.sizes["component"]] = rows["x"].to_numpy()
    return {
        "sign": 2.0 * rows["y"].to_numpy() - 1.0,
        "pool": np.ascontiguousarray(rows["pool"].to_numpy()),
        "x": x,
        "slice_index": rows["slice_index"].to_numpy(),
        "item_index": rows["item_index"].to_numpy(),
    }


def build_model(shape: Shape, data: dict[str, np.ndarray]) -> pm.Model:
    """Write the model of one binary criterion.

    Parameters
    ----------
    shape : Shape
        Numbers of models, components, slices and labelled items.
    data : dict of ndarray
        From `model_data`; may be exchanged after compiling.

    Returns
    -------
    pymc.Model
        Deterministics on the marginal probit scale: ``level`` (model), ``weight`` (component), ``trust`` (model),
        ``slice_effect`` (slice), ``model_slice_effect`` (slice, model), ``item_scale`` (model).
    """
    coords = {"model": range(shape.models), "component": range(shape.components), "slice": range(shape.slices)}
    with pm.Model(coords=coords) as model:
        sign, pool, x = (pm.Data(name, data[name]) for name in ("sign", "pool", "x"))
        slice_index, item_index = pm.Data("slice_index", data["slice_index"]), pm.Data("item_index", data["item_index"])
        centre = pm.Normal("centre", 0, priors.LEVEL_CENTRE.scale)
        level = centre + priors.LEVEL_SPREAD * pm.Normal("level_z", dims="model")
        weight = pm.HalfNormal("weight_scale", priors.METRIC_WEIGHT.scale) * pm.Normal("weight_z", dims="component")
        trust = 1 + pm.HalfNormal("trust_scale", priors.METRIC_TRUST.scale) * pm.Normal("trust_z", dims="model")
        share = priors.ITEM_SHARE.scale * pm.math.sigmoid(
            pm.Logistic("item_share", 0, 1) + priors.ITEM_SHARE_SPREAD * pm.Normal("item_share_z", dims="model"))
        item_scale = pt.sqrt(share / (1 - share))
        slice_effect, model_slice_effect = _slice_effects(shape)
        hardness = pm.Normal("hardness", shape=max(shape.items, 1))

        marginal = pool @ level + (pool @ trust) * (x @ weight) + slice_effect[slice_index]
        marginal += (pool * model_slice_effect[slice_index]).sum(axis=1)
        scale = pool @ item_scale
        latent = pt.sqrt(1 + scale**2) * marginal + scale * hardness[item_index]
        pm.Potential("judgments", _log_ndtr(sign * latent).sum())

        for name, value, dims in (
            ("level", level, "model"), ("weight", weight, "component"), ("trust", trust, "model"),
            ("slice_effect", slice_effect, "slice"), ("model_slice_effect", model_slice_effect, ("slice", "model")),
            ("item_scale", item_scale, "model"),
        ):
            pm.Deterministic(name, value, dims=dims)
    return model


def _log_ndtr(value: pt.TensorVariable) -> pt.TensorVariable:
    """Log of Φ, at less than half the cost of the general form; flat where Φ leaves the range of doubles."""
    return pt.log(0.5 * pt.erfc(-pt.maximum(value, LOWEST) / np.sqrt(2.0)))


def _slice_effects(shape: Shape) -> tuple[pt.TensorVariable, pt.TensorVariable]:
    """Effects of slices and of models in slices; with one slice there is nothing to tell apart."""
    if shape.slices < 2:
        return pt.zeros(1), pt.zeros((1, shape.models))
    by_slice = pm.StudentT("slice_t", nu=priors.SLICE_TAIL, dims="slice")
    by_model = pm.StudentT("model_slice_t", nu=priors.SLICE_TAIL, dims=("slice", "model"))
    return (
        pm.HalfNormal("slice_scale", priors.SLICE.scale) * by_slice,
        pm.HalfNormal("model_slice_scale", priors.SLICE_BY_MODEL.scale) * by_model,
    )
