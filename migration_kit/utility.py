"""What candidates are worth where no gate decides: contrasts of all scales made comparable, weighted and summed."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from migration_kit.estimands import TOTAL
from migration_kit.plan import CriterionSpec, Plan


def comparable(deltas: xr.DataArray, features: xr.Dataset, spec: CriterionSpec) -> xr.DataArray:
    """Contrasts as shares of what the scale can show, so that weights mean the same on every scale.

    Rates, net win rates among them, stay as they are: 1 is every output. Mean scores are divided by the range of the
    scale. Continuous criteria have no range: four standard deviations of the labels, which hold nearly all of them,
    stand in for it.
    """
    if spec.in_points:
        return deltas
    if spec.levels:
        return deltas / (spec.levels[-1] - spec.levels[0])
    return deltas / (4 * float(np.nanstd(features["label"].to_numpy())) or 1.0)


def plan_utility(plan: Plan, worth: dict[str, xr.DataArray], model: str) -> np.ndarray:
    """Sum of comparable contrasts in total by the plan's weights, draw by draw.

    Parameters
    ----------
    plan : Plan
    worth : dict of DataArray (sample, model, slice)
        Criterion to its comparable contrasts, positive is better; criteria that nobody judged are left out.
    model : str
    """
    return sum((plan.criterion(name).weight * one.sel(model=model, slice=TOTAL).to_numpy()
                for name, one in worth.items() if plan.criterion(name).weight), np.zeros(1))


def best_shares(values: dict[str, np.ndarray], among: Sequence[str]) -> dict[str, float]:
    """P(best) of the candidates `among`, 0 for the others; those that are level in a draw share it."""
    drawn = np.stack([values[model] for model in among])
    best = drawn == drawn.max(axis=0)
    shares = dict(zip(among, (best / best.sum(axis=0)).mean(axis=1).tolist(), strict=True))
    return {model: shares.get(model, 0.0) for model in values}
