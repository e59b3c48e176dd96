"""Those with a concern: who signs, the number that answers each, and which candidate is best by their weights."""

import numpy as np
import pandas as pd
import xarray as xr

from migration_kit.estimands import TOTAL
from migration_kit.plan import Plan
from migration_kit.plan_live import StakeholderSpec
from migration_kit.transport import seen_part
from migration_kit.utility import best_shares, plan_utility

ANSWER_COLUMNS = ("stakeholder", "concern", "criterion", "slice", "candidate", "mean", "lower", "upper", "margin",
                  "probability", "n_labels", "live", "live_part")
BY_PLAN, BY_ONE, BY_ALL = "plan", "stakeholder", "stakeholders"


def signers(plan: Plan) -> list[str]:
    """Return the roles that must sign: the owner of the decision, then the stakeholders that sign."""
    names = [plan.decision.owner] if plan.decision.owner else []
    names += [one.name for one in plan.stakeholders if one.signs]
    first = {}
    for name in names:
        first.setdefault(name.casefold(), name)
    return list(first.values())


def answers(plan: Plan, decision: dict, estimates: pd.DataFrame, *, gaps: pd.DataFrame | None = None) -> pd.DataFrame:
    """Find the number that answers each stakeholder's concern, candidate by candidate.

    Parameters
    ----------
    plan : Plan
    decision : dict
        As `decision.json` holds it.
    estimates : DataFrame
        Of the run; those of layer ``traffic`` count.
    gaps : DataFrame, optional
        From `transport.shadow_gaps`: where people judged live outputs, test set and live requests joined answer.

    Returns
    -------
    DataFrame
        `ANSWER_COLUMNS`, one row a stakeholder, criterion and candidate. A concern without a criterion is answered on
        every gate; one without a slice by the total, of gates with the probability that decides. ``probability``: that
        no more than the margin is lost, NaN without a margin; ``live``: whether live requests speak in it;
        ``live_part``: of which part of all traffic these are, "" where of all that the number is about. Contrasts
        are positive where the candidate is better, NaN where nobody judged. Worry about a low ``probability``.
    """
    rows = estimates[(estimates["layer"] == "traffic") & (estimates["quantity"] == "contrast")
                     & (estimates["method"] == "calibrated")].set_index(["criterion", "model", "slice"])
    joined = None if gaps is None else gaps[gaps["shadow"].notna()].set_index(["criterion", "model", "slice"])
    found = []
    for who in plan.stakeholders:
        where = who.slice or TOTAL
        for criterion in _criteria(plan, who):
            spec = plan.criterion(criterion)
            margin = spec.slice_margin if who.slice else spec.margin
            for model in plan.candidates:
                key = (criterion, model, where)
                row = {"mean": np.nan, "lower": np.nan, "upper": np.nan, "probability": np.nan, "n_labels": 0.0}
                if key in rows.index:
                    one = rows.loc[key]
                    row = {"mean": one["mean"], "lower": one["lower"], "upper": one["upper"],
                           "probability": one["prob_noninferior"], "n_labels": one["n_labels"]}
                live = joined is not None and key in joined.index
                if live:
                    one = joined.loc[key]
                    row |= {"mean": one["overall"], "lower": one["overall_lower"], "upper": one["overall_upper"],
                            "probability": one["prob_noninferior"]}
                gate = decision["candidates"].get(model, {}).get("gates", {}).get(criterion)
                if gate and not who.slice:
                    row |= {name: _number(gate[name]) for name in ("mean", "lower", "upper", "probability")}
                found.append({"stakeholder": who.name, "concern": who.concern, "criterion": criterion, "slice": where,
                              "candidate": model, **row, "margin": np.nan if margin is None else margin, "live": live,
                              "live_part": seen_part(gaps, criterion) if live and not who.slice else ""})
    return pd.DataFrame(found, columns=list(ANSWER_COLUMNS))


def utilities(plan: Plan, worth: dict[str, xr.DataArray], among: list[str]) -> list[dict]:
    """Utility and P(best) of every candidate by the plan's weights, by each stakeholder, and by all of them together.

    A stakeholder's utility is the comparable contrast on the criterion and in the slice of the concern, on all weighed
    criteria by the plan's weights where it names none; all together are the mean by the stakeholders' weights.

    Parameters
    ----------
    plan : Plan
    worth : dict of DataArray (sample, model, slice)
        As for `utility.plan_utility`.
    among : list of str
        Candidates that P(best) is shared between.

    Returns
    -------
    list of dict
        ``by``: "plan", "stakeholder" or "stakeholders" · ``name`` of the one stakeholder · ``candidate`` · ``utility``,
        in shares of what scales can show · ``best``. Only the plan where it names no stakeholder; a stakeholder whose
        concern nobody judged is left out.
    """
    values = [(BY_PLAN, "", {model: plan_utility(plan, worth, model) for model in plan.candidates})]
    known = [(who, own) for who in plan.stakeholders if (own := _own_utility(plan, who, worth)) is not None]
    values += [(BY_ONE, who.name, own) for who, own in known]
    if total := sum(who.weight for who, _ in known):
        together = {model: sum(who.weight * own[model] for who, own in known) / total for model in plan.candidates}
        values.append((BY_ALL, "", together))
    rows = []
    for by, name, drawn in values:
        best = best_shares(drawn, among)
        rows += [{"by": by, "name": name, "candidate": model, "utility": float(drawn[model].mean()),
                  "best": best[model]} for model in plan.candidates]
    return rows


def _criteria(plan: Plan, who: StakeholderSpec) -> list[str]:
    return [who.criterion] if who.criterion else [gate.id for gate in plan.gates]


def _own_utility(plan: Plan, who: StakeholderSpec, worth: dict[str, xr.DataArray]) -> dict[str, np.ndarray] | None:
    where = who.slice or TOTAL
    weights = {who.criterion: 1.0} if who.criterion else {c.id: c.weight for c in plan.criteria if c.weight}
    known = {name: weight for name, weight in weights.items()
             if name in worth and where in worth[name]["slice"].to_numpy()}
    if not known:
        return None
    return {model: sum(weight * worth[name].sel(model=model, slice=where).to_numpy() for name, weight in known.items())
            / sum(known.values()) for model in plan.candidates}


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)
