"""A decision made to order for tests of the explorer: two gates, a trade-off, live requests, costs, stakeholders."""

import numpy as np
import pandas as pd
import xarray as xr
from helpers import small_features

from migration_kit.checks import CheckResult
from migration_kit.plan import Plan
from migration_kit.transport import gap_scale, transport_check, transport_gap

MODELS = ("old", "new", "other")
SHARE = {"north": 0.7, "south": 0.3}
N = 600
# Contrasts by criterion, candidate and slice, north first.
DELTAS = {"correct": {"new": (0.03, -0.02), "other": (0.0, -0.05)},
          "polite": {"new": (0.02, 0.02), "other": (-0.01, 0.01)},
          "liked": {"new": (0.05, -0.1), "other": (0.0, 0.2)}}


def the_plan(**changes: object) -> Plan:
    """Two gates, of which the second is better lower, and a trade-off."""
    return Plan.model_validate({
        "title": "Explored", "models": {"incumbent": {"id": "old"}, "candidates": [{"id": "new"}, {"id": "other"}]},
        "decision": {"owner": "Head", "due": "2027-01-15", "assurance": 0.9, "slice_assurance": 0.7},
        "data": {"items": {"path": "items.csv"}, "scores": {"path": "scores.csv"}},
        "slices": ["region"], "metrics": [{"id": "judge", "better": "higher"}],
        "criteria": [
            {"id": "correct", "role": "gate", "metrics": ["judge"], "margin": 0.03, "slice_margin": 0.08},
            {"id": "polite", "role": "gate", "metrics": ["judge"], "margin": 0.02, "better": "lower"},
            {"id": "liked", "role": "trade-off", "metrics": ["judge"], "weight": 0.5}],
        "costs": {"wrong_switch": 5, "wrong_stay": 1, "unit": "thousand USD"},
        "stakeholders": [{"name": "South", "concern": "worse answers", "criterion": "correct", "slice": "south"},
                         {"name": "Fans", "concern": "liked less", "criterion": "liked", "weight": 2}],
        "sampling": {"interval": 0.9, "seed": 3}, **changes})


def the_features(plan: Plan) -> dict[str, xr.Dataset]:
    """Features of every criterion, alike but for the name: 200 items, all labelled for all models."""
    rng = np.random.default_rng(0)
    regions = np.where(np.arange(200) % 5 < 3, "north", "south")
    label = (rng.random((200, 3)) < 0.7).astype(float)
    own = small_features(rng.random((200, 3, 1)), label, plan, regions=regions, share=SHARE)
    return {one.id: own.assign_attrs(criterion=one.id, better=one.better) for one in plan.criteria}


def the_draws(plan: Plan, share: dict[str, float], *, deltas=DELTAS, seed: int = 1, sd: float = 0.02) -> dict:
    """Quality draws whose totals are weighted by `share`; equal seeds give equal slices."""
    rng, found = np.random.default_rng(seed), {}
    weights = np.array([share[name] for name in SHARE])
    for one in plan.criteria:
        sign = -1 if one.better == "lower" else 1
        out = np.full((2, N // 2, 3, 3), 0.7)
        for number, name in enumerate(MODELS[1:], start=1):
            out[..., number, 1:] += sign * (np.array(deltas[one.id][name]) + sd * rng.standard_normal((2, N // 2, 2)))
        shifted = out.copy()
        shifted[..., 2, 1:] -= 0.02 + 0.005 * rng.standard_normal((2, N // 2, 2))
        for values in (out, shifted):
            values[..., 0] = values[..., 1:] @ weights
        dims = ("chain", "draw", "model", "slice")
        found[one.id] = xr.Dataset({"calibrated": (dims, out), "corrected": (dims, shifted)},
                                   coords={"model": list(MODELS), "slice": ["all", *SHARE]})
    return found


def the_gaps(plan: Plan, draws: dict, features: dict) -> pd.DataFrame:
    """Live requests of `new` on the first gate, 4 points below what the test set promised."""
    worse = {**DELTAS, "correct": {"new": (-0.01, -0.06), "other": (0.0, -0.05)}}
    shadow = the_draws(plan, SHARE, deltas=worse, seed=2, sd=0.025)["correct"].sel(model=["old", "new"])
    judged = pd.DataFrame({"all": {"old": 90, "new": 90}})
    return transport_gap(draws["correct"], shadow, features["correct"], plan, labels=judged,
                         scale=gap_scale(plan, features["correct"]))


def everything(plan: Plan, share: dict[str, float] = SHARE, *, live: bool = False) -> dict:
    """The arguments of `decide` and of `stored`."""
    features, draws = the_features(plan), the_draws(plan, share)
    gaps = the_gaps(plan, the_draws(plan, SHARE), features) if live else None
    checks = [CheckResult("calibrated and corrected agree", False, "", "polite", models=("other",))]
    if live:
        checks.append(transport_check(gaps, plan, plan.criterion("correct")))
    requirements = pd.DataFrame([{"requirement": "format", "model": model, "status": "pass", "text": "It holds."}
                                 for model in MODELS])
    return {"draws": draws, "features": features, "requirements": requirements, "checks": checks, "gaps": gaps}
