"""The calibration model again, fitted to what people said of live outputs; the costly part of stage 04."""

from typing import NamedTuple

import pandas as pd
import xarray as xr

from migration_kit.data import EvalData
from migration_kit.estimands import estimate_rows, quality
from migration_kit.features import build_features
from migration_kit.inference import compile_model, fit
from migration_kit.intervals import estimate_table
from migration_kit.plan import Plan
from migration_kit.shadow import shadow_data


class Shadow(NamedTuple):
    """What live requests alone say of the criteria that people judged there.

    Attributes
    ----------
    plan : Plan
        Narrowed to the models, criteria and metrics of the shadow.
    features, draws : dict of Dataset
        Criterion to its features, and to quality under the plan's traffic (`estimands.quality`).
    fits : dict of DataTree
        Criterion to its posterior.
    """

    plan: Plan
    features: dict[str, xr.Dataset]
    draws: dict[str, xr.Dataset]
    fits: dict[str, xr.DataTree]


def fit_shadow(data: EvalData, plan: Plan, *, fast: bool = False) -> Shadow:
    """Fit the calibration to the judged requests of the shadow; without any, what is returned holds no criteria.

    Criteria that nobody judged there are left out: metrics alone cannot tell whether a metric still means what it
    meant.
    """
    found = shadow_data(data, plan)
    if found is None:
        return Shadow(plan, {}, {}, {})
    seen, own = found
    features = {one.id: build_features(seen, own, one.id) for one in own.criteria}
    features = {name: one for name, one in features.items() if one.sizes["judgment"]}
    compiled = compile_model(list(features.values()))
    fits = {name: fit(one, plan.sampling, compiled=compiled, fast=fast) for name, one in features.items()}
    draws = {name: quality(fits[name], one, traffic=True, seed=plan.sampling.seed) for name, one in features.items()}
    return Shadow(own, features, draws, fits)


def shadow_estimates(shadow: Shadow) -> pd.DataFrame:
    """Estimates of layer ``shadow``: quality and contrasts by what live requests alone say."""
    parts = [estimate_table([])]
    for name, one in shadow.features.items():
        spec = shadow.plan.criterion(name)
        parts.append(estimate_rows(shadow.draws[name], one, incumbent=shadow.plan.incumbent, layer="shadow",
                                   interval=shadow.plan.sampling.interval, margin=spec.margin,
                                   slice_margin=spec.slice_margin))
    return pd.concat(parts, ignore_index=True)
