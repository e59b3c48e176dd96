"""Sentences of the shadow: the gap between test set and live requests, drift of traffic and metrics."""

import pandas as pd

from migration_kit.checks import CheckResult
from migration_kit.plan import CriterionSpec, Plan
from migration_kit.transport import gap_sentence
from migration_kit.wording import Said, chance, counted, listed, safe, share, unit_of


def seen(gaps: pd.DataFrame | None, plan: Plan) -> Said:
    """What the shadow is, or that there is none."""
    if gaps is None or gaps.empty:
        return Said("There are no live requests that both models answered, so nothing here shows whether the test set "
                    "stands for them. A shadow (the candidate answers live requests beside the incumbent, unseen by "
                    "users) would: name its table under `data.live` in the plan.")
    models = listed([safe(name) for name in gaps["model"].unique()])
    return Said(f"{models} answered live requests beside {safe(plan.incumbent)}. The same calibration, fitted to "
                "judgments of live outputs alone, gives a contrast to hold against what the test set promised. The "
                "plan expects the two to differ by a standard deviation of "
                f"{chance(plan.transport_scale)} of what a scale can show.")


def transport(gaps: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Said:
    """One sentence a candidate: promised, shown, the probability of a gap beyond the margin, and what follows."""
    mine, unit, told = gaps[(gaps["criterion"] == criterion.id)], unit_of(criterion), []
    for model in mine["model"].unique():
        rows = mine[mine["model"] == model]
        total = rows[rows["slice"] == "all"].iloc[0]
        if pd.isna(total["shadow"]):
            told.append(f"- {safe(model)}: people judged no live outputs of it and {safe(plan.incumbent)}, so the gap "
                        "is not known.")
            continue
        if criterion.margin is None:
            told.append(f"- {safe(model)}: promised {unit.change(total['offline'], unit=True)}, shown "
                        f"{unit.change(total['shadow'], unit=True)}.")
            continue
        text = f"- {safe(gap_sentence(total, plan, criterion))}"
        if total["flagged"]:
            text += (f" **The result does not transport**: {safe(model)} is judged by "
                     f"{unit.change(total['joint'], unit=True)}, what both sources say together, and may not replace "
                     f"{safe(plan.incumbent)} before the difference is understood.")
        worst = rows[(rows["slice"] != "all") & (rows["beyond"] >= 0.8)]
        if len(worst):
            text += f" The gap is largest beyond doubt in {listed([safe(name) for name in worst['slice']])}."
        told.append(text)
    return Said("\n".join(told))


def live_mix(mix: pd.DataFrame) -> Said:
    """Where live requests differ most from the traffic that the plan weighs by."""
    told = []
    for stage in (name for name in ("shadow", "canary") if name in mix):
        apart = (mix[stage] - mix["traffic"]).abs()
        most = mix.loc[apart.idxmax()]
        told.append(f"The {stage} differs most from the plan's traffic in {safe(most['slice'])}: {share(most[stage])} "
                    f"of {counted(mix[f'{stage}_n'].sum(), 'request')} instead of {share(most['traffic'])}.")
    return Said(" ".join(told))


def drift(found: list[CheckResult]) -> Said:
    """What the checks on traffic and metrics found, or that there are no live data."""
    if not found:
        return Said("There are no live data, so whether traffic or metrics have moved since the test set was drawn is "
                    "not known.")
    return Said("\n".join(f"- {safe(one.text)}" for one in found))
