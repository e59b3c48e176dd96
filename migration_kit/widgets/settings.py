"""What the decision explorer can move, the plan that says so, and that plan as YAML."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import yaml

from migration_kit.contract.items import SLICE_JOINT
from migration_kit.plan import Plan
from migration_kit.plan_live import CostsSpec

WRONG_STAY = 1.0
SHARE_DIGITS = 6


@dataclass(frozen=True)
class Settings:
    """One choice of all that can be moved.

    Attributes
    ----------
    margins, slice_margins : dict
        Gate to its margin; of slice margins only gates that have one.
    assurance, slice_assurance : float
    weights : dict
        Criterion to its weight, of those that have one.
    stakeholders : dict
        Name to weight.
    cost_ratio : float or None
        What a wrong switch costs for each unit that a wrong stay costs; None where the plan names no costs.
    shares : dict
        Slice to its share of traffic; they sum to 1.
    more : int
        Further labelled items to imagine.
    """

    margins: Mapping[str, float]
    slice_margins: Mapping[str, float]
    assurance: float
    slice_assurance: float
    weights: Mapping[str, float]
    stakeholders: Mapping[str, float]
    cost_ratio: float | None
    shares: Mapping[str, float]
    more: int = 0


def settings_of(plan: Plan, shares: pd.Series) -> Settings:
    """Return the plan's own settings, with the shares of traffic that its draws were weighted by."""
    costs = plan.costs
    return Settings(
        margins={one.id: one.margin for one in plan.gates},
        slice_margins={one.id: one.slice_margin for one in plan.gates if one.slice_margin is not None},
        assurance=plan.decision.assurance, slice_assurance=plan.decision.slice_assurance,
        weights={one.id: one.weight for one in plan.criteria if one.weight is not None},
        stakeholders={one.name: one.weight for one in plan.stakeholders},
        cost_ratio=costs.wrong_switch / costs.wrong_stay if costs else None,
        shares={str(name): float(share) for name, share in shares.items()})


def plan_with(plan: Plan, settings: Settings) -> Plan:
    """Return the plan as it would be with these settings; its traffic is a table and stays as it is."""
    criteria = tuple(_changed(one, {
        "margin": settings.margins.get(one.id, one.margin),
        "slice_margin": settings.slice_margins.get(one.id, one.slice_margin),
        "weight": settings.weights.get(one.id, one.weight)}) for one in plan.criteria)
    stakeholders = tuple(_changed(one, {"weight": settings.stakeholders.get(one.name, one.weight)})
                         for one in plan.stakeholders)
    decision = _changed(plan.decision, {"assurance": settings.assurance, "slice_assurance": settings.slice_assurance})
    return _changed(plan, {"criteria": criteria, "stakeholders": stakeholders, "decision": decision,
                           "costs": _costs(plan, settings.cost_ratio)})


def plan_yaml(plan: Plan, settings: Settings, shares: pd.Series) -> str:
    """Return the sections of the plan that these settings change, ready to stand in `migration.yml`.

    Parameters
    ----------
    plan : Plan
        As it is.
    settings : Settings
    shares : Series
        Slice to its share of traffic as it is. A mix of traffic is a table of its own and comes as a comment.
    """
    other = plan_with(plan, settings)
    parts = {
        "decision": other.decision.model_dump(mode="json", exclude_none=True, exclude_unset=True),
        "criteria": [one.model_dump(mode="json", by_alias=True, exclude_defaults=True) for one in other.criteria],
        "costs": other.costs.model_dump(mode="json") if other.costs else None,
        "stakeholders": [one.model_dump(mode="json", exclude_none=True) for one in other.stakeholders],
    }
    changed = {name: _plain(part) for name, part in parts.items() if getattr(other, name) != getattr(plan, name)}
    moved = any(abs(settings.shares[str(name)] - share) > 10**-SHARE_DIGITS for name, share in shares.items())
    if not changed and not moved:
        return "# Nothing differs from the plan.\n"
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    told = yaml.dump(changed, Dumper=dumper, sort_keys=False, allow_unicode=True, width=100,
                     default_flow_style=None) if changed else ""
    lead = "# In place of the same sections of the plan.\n" if changed else ""
    return lead + told + (_traffic(plan, settings) if moved else "")


def shares_of(parts: Mapping[str, float]) -> dict[str, float]:
    """Return parts of traffic as shares that sum to 1; equal ones where all parts are 0."""
    total = sum(parts.values())
    return {name: part / total if total > 0 else 1 / len(parts) for name, part in parts.items()}


def _changed[Section](section: Section, values: dict) -> Section:
    new = {name: value for name, value in values.items() if getattr(section, name) != value}
    return section.model_copy(update=new) if new else section


def _costs(plan: Plan, ratio: float | None) -> CostsSpec | None:
    if ratio is None:
        return plan.costs
    if plan.costs is None:
        return CostsSpec(wrong_switch=ratio * WRONG_STAY, wrong_stay=WRONG_STAY)
    costs = plan.costs
    # A ratio that was not moved leaves the plan's own number, to the last digit.
    same = np.isclose(ratio, costs.wrong_switch / costs.wrong_stay, rtol=1e-9, atol=0)
    return costs if same else costs.model_copy(update={"wrong_switch": float(f"{ratio * costs.wrong_stay:.6g}")})


def _traffic(plan: Plan, settings: Settings) -> str:
    """The mix of traffic as the lines of a table, each behind a comment sign."""
    rows = [[*(name.split(SLICE_JOINT) if len(plan.slices) > 1 else [name]), f"{share:.{SHARE_DIGITS}g}"]
            for name, share in settings.shares.items()]
    table = pd.DataFrame(rows, columns=[*(plan.slices or ["slice"]), "share"]).to_csv(index=False)
    lines = ["The mix of traffic: a table of its own, which traffic.path names.", *table.splitlines()]
    return "".join(f"# {line}\n" for line in lines)


def _plain(value: object) -> object:
    """Whole numbers without a decimal point, as people write them."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
