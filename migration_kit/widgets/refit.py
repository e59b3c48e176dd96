"""The calibration of one criterion again, with other priors or fewer metrics: a quick look, which decides nothing."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import pandas as pd
import xarray as xr

from migration_kit import inference
from migration_kit.data import EvalData
from migration_kit.estimands import quality
from migration_kit.features import build_features
from migration_kit.judgments import label_rows
from migration_kit.plan import Plan
from migration_kit.prior_predictive import QUICK, before_after, prior_draws

# On data/support with priors up to four times as wide, ends of intervals lie some 4% of the width off; with 100 tuning
# steps a chain has been seen not to arrive.
FEW = {"chains": 2, "draws": 150, "tune": 150}


class Refit(NamedTuple):
    """A calibration fitted again.

    Attributes
    ----------
    table : DataFrame
        From `prior_predictive.before_after`, of the test set as it is.
    compiled : Compiled
        The models compiled by now.
    compiled_anew : bool
        Whether those there were did not hold it.
    seconds : float
        What it took.
    """

    table: pd.DataFrame
    compiled: inference.Compiled
    compiled_anew: bool
    seconds: float


def holds(compiled: inference.Compiled | None, features: xr.Dataset) -> bool:
    """Tell whether a compiled model can take a criterion's rows; other priors it always can."""
    rows = label_rows(features)
    return compiled is not None and any(shape.holds(rows) for shape, _ in compiled.parts)


def with_metrics(plan: Plan, criterion: str, metrics: Sequence[str]) -> Plan:
    """Return the plan with fewer metrics of one criterion; the primary one, if left out, is the first of the rest."""
    spec = plan.criterion(criterion)
    kept = tuple(name for name in spec.metrics if name in metrics)
    primary = spec.primary_metric if spec.primary_metric in kept else kept[0]
    changed = spec.model_copy(update={"metrics": kept, "primary_metric": primary})
    return plan.model_copy(update={"criteria": tuple(changed if one.id == criterion else one
                                                     for one in plan.criteria)})


def refit(
    data: EvalData, plan: Plan, criterion: str, *, metrics: Sequence[str], prior_scale: float,
    compiled: inference.Compiled | None, tell: Callable[[str], object] = str,
) -> Refit:
    """Fit one criterion again with few draws.

    Parameters
    ----------
    data : EvalData
    plan : Plan
    criterion : str
    metrics : sequence of str
        Those of the criterion's metrics to keep; at least one.
    prior_scale : float
        Factor on the scale of every prior.
    compiled : Compiled, optional
        Models compiled already; where none holds the criterion as it is now, one is compiled.
    tell : callable
        Hears what is being done, before it is.
    """
    start = time.monotonic()
    other = with_metrics(plan, criterion, metrics)
    features = build_features(data, other, criterion)
    anew = not holds(compiled, features)
    if anew:
        tell("compiling a model for this choice of metrics, then fitting")
        own = inference.compile_model([features])
        compiled = inference.Compiled((*compiled.parts, *own.parts)) if compiled else own
    tell(f"fitting {criterion}")
    few = plan.sampling.model_copy(update={name: min(most, getattr(plan.sampling, name)) for name, most in FEW.items()})
    tree = inference.fit(features, few, compiled=compiled, fast=True, prior_scale=prior_scale)
    prior = prior_draws(features, other, traffic=False, prior_scale=prior_scale, **QUICK)
    posterior = quality(tree, features, traffic=False, seed=plan.sampling.seed)
    return Refit(before_after(prior, posterior, features, other), compiled, anew, time.monotonic() - start)
