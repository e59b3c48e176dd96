"""The numbers at which a ramp is rolled back or promoted, for people who watch a dashboard."""

import numpy as np
import pandas as pd

from migration_kit.plan import Plan
from migration_kit.plan_live import LiveOutcomeSpec
from migration_kit.ramp import errors, own_unit
from migration_kit.sequences import Arm, after_day, no_evidence

LOOK_DAYS = (1, 3, 7)
HALVINGS = 40


def rollback_conditions(plan: Plan, rates: pd.DataFrame, *, days: tuple[int, ...] = LOOK_DAYS) -> pd.DataFrame:
    """The numbers at which a step is rolled back or promoted, were it the first and all users spread evenly.

    Parameters
    ----------
    rates : DataFrame
        From `canary_users.base_rates`; the incumbent keeps its rate.
    days : tuple of int
        After how many days on a step.

    Returns
    -------
    DataFrame
        criterion, share, days, users (of the candidate, with the outcome), rate_incumbent, roll_back (the candidate's
        rate beyond which the gate rolls back), promote (the rate beyond which it promotes), in the outcome's own unit;
        NaN where no rate would do. Evidence of earlier steps moves them. Empty without gates or users
        per day.
    """
    columns = ["criterion", "share", "days", "users", "rate_incumbent", "roll_back", "promote"]
    if not plan.live_gates or not plan.traffic or plan.traffic.users_per_day is None:
        return pd.DataFrame(columns=columns)
    promote_error, back_error = errors(plan)
    cases, parts = pd.MultiIndex.from_product([plan.ramp[:-1], days], names=["share", "days"]).to_frame(index=False), []
    for gate in plan.live_gates if len(cases) else ():
        rate = rates.loc[gate.id]
        share, lasted = cases["share"].to_numpy(), cases["days"].to_numpy()
        seen = plan.traffic.users_per_day * rate["answered"]
        arms = {"new": seen * share, "old": seen * (1 - share), "days": lasted}
        parts.append(cases.assign(
            criterion=gate.id, users=seen * share * lasted, rate_incumbent=rate["mean"],
            roll_back=_threshold(gate, rate, **arms, error=back_error, upper=True),
            promote=_threshold(gate, rate, **arms, error=promote_error, upper=False)))
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _threshold(
    gate: LiveOutcomeSpec, rate: pd.Series, new: np.ndarray, old: np.ndarray, days: np.ndarray, *, error: float,
    upper: bool,
) -> np.ndarray:
    """The candidate's rate at which a bound meets −margin, dims (case,)."""
    low, high = gate.limits
    margin, sd = gate.margin / (high - low), rate["sd"] / (high - low)
    base = (rate["mean"] - low) / (high - low)
    base = base if gate.better == "higher" else 1 - base

    def beyond(mean: np.ndarray) -> np.ndarray:
        known = no_evidence(mean.shape)
        for day in range(int(days.max())):
            arms = [_steady(n, at, gate, sd) for n, at in ((new, mean), (old, np.full(mean.shape, base)))]
            arms = [arm.flipped() for arm in arms] if upper else arms
            arms = [Arm(*(part * (day < days) for part in arm)) for arm in arms]
            known = after_day(known, *arms)
        return known.log_e(margin if upper else -margin) >= -np.log(error)

    # Beyond `outer` the bound has passed, at `inner` it has not.
    outer, inner = np.full(new.shape, 0.0 if upper else 1.0), np.full(new.shape, max(base - margin, 0.0))
    possible = beyond(outer)
    for _ in range(HALVINGS):
        middle = (outer + inner) / 2
        out = beyond(middle)
        outer, inner = np.where(out, middle, outer), np.where(out, inner, middle)
    return np.where(possible, own_unit(outer, gate), np.nan)


def _steady(n: np.ndarray, mean: np.ndarray, gate: LiveOutcomeSpec, sd: float) -> Arm:
    spread = mean * (1 - mean) if gate.levels else np.minimum(sd**2, mean * (1 - mean))
    return Arm(n, n * mean, n * (mean**2 + spread))


def days_of_ramp(odds: pd.DataFrame) -> float | None:
    """Median days until a candidate that makes no difference is promoted to all users; None where not simulated."""
    level_with = odds.loc[odds["scenario"] == "no difference", "promoted_days"].dropna()
    return None if level_with.empty else float(level_with.iloc[0])
