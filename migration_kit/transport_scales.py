"""How the live posterior would read had the plan expected another gap between test set and live requests."""

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import ndtr

from migration_kit.estimands import TOTAL
from migration_kit.plan import Plan
from migration_kit.transport import gap_scale, joined_normals

FACTORS = (0.5, 1.0, 2.0, np.inf)
SCALE_COLUMNS = ("criterion", "model", "factor", "scale", "probability")


def other_scales(gaps: pd.DataFrame, plan: Plan, features: dict[str, xr.Dataset]) -> pd.DataFrame:
    """Hold the live contrast of every gate against its margin under other scales of the gap.

    Parameters
    ----------
    gaps : DataFrame
        From `transport.shadow_gaps`.
    plan : Plan
    features : dict of Dataset
        Criterion to its features of the test set.

    Returns
    -------
    DataFrame
        `SCALE_COLUMNS`, a row a gate, candidate and factor on the plan's ``transport_scale``; ``scale`` is in the unit
        of the criterion, infinite where live judgments speak alone. ``probability`` that the loss is smaller than the
        margin, posteriors taken as normal. Worry where it crosses the plan's assurance: the verdict then rests on what
        was expected before any live output was judged.
    """
    rows = []
    known = gaps[(gaps["slice"] == TOTAL) & gaps["shadow"].notna()
                 & gaps["criterion"].isin([gate.id for gate in plan.gates])]
    for row in known.itertuples():
        spec = plan.criterion(row.criterion)
        for factor in FACTORS:
            scale = factor * gap_scale(plan, features[spec.id])
            joint, joint_sd = _joint(row, scale, plan)
            # What the shadow did not see stays as the test set has it.
            mean = row.overall + row.covered * (joint - row.joint)
            variance = row.overall_sd**2 + row.covered**2 * (joint_sd**2 - row.joint_sd**2)
            rows.append([spec.id, row.model, factor, scale, float(ndtr((mean + spec.margin) / np.sqrt(variance)))])
    return pd.DataFrame(rows, columns=list(SCALE_COLUMNS))


def _joint(row: tuple, scale: float, plan: Plan) -> tuple[float, float]:
    if np.isinf(scale):
        return row.shadow, row.shadow_sd
    found = joined_normals(row.offline, row.offline_sd, row.shadow, row.shadow_sd, scale=scale, margin=None,
                           interval=plan.sampling.interval)
    return found["joint"], found["joint_sd"]
