"""Sentences of the shadow: the gap between test set and live requests, drift of traffic and metrics."""

import pandas as pd

from migration_kit.checks import CheckResult
from migration_kit.drift import LIVE_STAGES, one_slice
from migration_kit.plan import CriterionSpec, Plan
from migration_kit.transport import FLAGGED_AT, gap_sentence, seen_part
from migration_kit.wording import Said, chance, counted, listed, safe, share, unit_of


def seen(gaps: pd.DataFrame | None, plan: Plan) -> Said:
    """What the shadow is, or that there is none."""
    if gaps is None or gaps.empty:
        return Said("There are no live requests that both models answered, so nothing here shows whether the test set "
                    "stands for them. A shadow (the candidate answers live requests beside the incumbent, unseen by "
                    "users) would: name its table under `data.live` in the plan.")
    models = listed([safe(name) for name in gaps["model"].unique()])
    part = safe(seen_part(gaps, gaps["criterion"].iloc[0]))
    only = (f" All of these requests are in {part}: how the rest fares live is not known, and there the test set "
            "speaks alone." if part else "")
    return Said(f"{models} answered live requests beside {safe(plan.incumbent)}.{only} The same calibration, fitted to "
                "judgments of live outputs alone, gives a contrast to hold against what the test set promised. The "
                "plan expects the two to differ by a gap with a standard deviation of "
                f"{100 * plan.transport_scale:g}% of what a scale can show (`transport_scale`; "
                f"{100 * plan.transport_scale:g} points of a rate). The test set's contrast, less sure by that, and "
                "the live one are averaged by their precision.")


def joined(gaps: pd.DataFrame) -> Said:
    """Of which candidates and criteria the verdict joins test set and live requests."""
    known = gaps[(gaps["slice"] == "all") & gaps["shadow"].notna()]
    if known.empty:
        return Said("Nobody judged live outputs: all numbers are those of the test set.")
    by_criteria = known.groupby("model", sort=False)["criterion"].agg(tuple)
    told = [f"for {listed([safe(name) for name in part.index])} on {listed([_on(gaps, name) for name in criteria])}"
            for criteria, part in by_criteria.groupby(by_criteria, sort=False)]
    return Said(f"Test set and live requests are joined {'; '.join(told)}. The rest is of the test set alone.")


def _on(gaps: pd.DataFrame, criterion: str) -> str:
    part = seen_part(gaps, criterion)
    return safe(f"{criterion} in {part}" if part else criterion)


def transport(gaps: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Said:
    """One sentence a candidate: promised, shown, the probability of a gap beyond the margin, and what follows."""
    mine, unit, told = gaps[(gaps["criterion"] == criterion.id)], unit_of(criterion), []
    part = seen_part(gaps, criterion.id)
    where, there = (f"in {safe(part)}", "there ") if part else ("", "")
    for model in mine["model"].unique():
        rows = mine[mine["model"] == model]
        total = rows[rows["slice"] == "all"].iloc[0]
        if pd.isna(total["shadow"]):
            told.append(f"- {safe(model)}: people judged no live outputs of it and {safe(plan.incumbent)}, so the gap "
                        "is not known.")
            continue
        if criterion.margin is None:
            told.append(f"- {safe(model)}{where and f', {where}'}: promised "
                        f"{unit.change(total['offline'], unit=True)}, shown "
                        f"{unit.change(total['shadow'], unit=True)}.")
            continue
        text = f"- {safe(gap_sentence(total, plan, criterion, part))}"
        if total["flagged"]:
            text += (f" **The result does not transport**: {safe(model)} is judged {there}by "
                     f"{unit.change(total['joint'], unit=True)}, what both sources say together, and may not replace "
                     f"{safe(plan.incumbent)} before the difference is understood.")
        elif total["beyond"] > 1 - FLAGGED_AT:
            text += " These judgments are too few to tell the two apart or alike; both together decide."
        else:
            text += " Nothing speaks for a gap beyond the margin."
        if total["shadow_sd"] > 0:
            weight = share(total["joint_sd"] ** 2 / total["shadow_sd"] ** 2)
            text += f" In what both say together the live judgments have {weight} of the weight."
        worst = rows[(rows["slice"] != "all") & (rows["beyond"] >= FLAGGED_AT)]
        if len(worst):
            text += f" The gap is largest beyond doubt in {listed([safe(name) for name in worst['slice']])}."
        told.append(text)
    return Said("\n".join(told))


def scales(table: pd.DataFrame, plan: Plan) -> Said:
    """Whether a gate's verdict rests on how large a gap the plan expected; from `transport_scales.other_scales`."""
    if table.empty:
        return Said("There is no gate with judged live outputs, so the gap that the plan expects decides nothing.")
    wanted, told = plan.decision.assurance, []
    for (name, model), rows in table.groupby(["criterion", "model"], sort=False):
        own = rows.loc[rows["factor"] == 1, "probability"].item() >= wanted
        turned = [f"{_factor(row.factor)} ({chance(row.probability)})" for row in rows.itertuples()
                  if (row.probability >= wanted) != own]
        if turned:
            told.append(f"- {safe(model)} on {safe(name)} {'would not hold' if own else 'would hold'} with "
                        f"{listed(turned, last='or')}.")
    return Said("\n".join(told) or "Had the plan expected half or twice the gap, or had live judgments spoken alone, "
                "every gate would stand on the same side of the plan's assurance.")


def _factor(factor: float) -> str:
    return {0.5: "half the gap", 2.0: "twice the gap", float("inf"): "live judgments alone"}[factor]


def live_mix(mix: pd.DataFrame) -> Said:
    """Where live requests differ most from the traffic that the plan weighs by."""
    told = []
    for stage in (name for name in LIVE_STAGES if name in mix):
        if only := one_slice(mix, stage):
            whole = share(mix.loc[mix["slice"] == only, "traffic"].item())
            told.append(f"The {stage} holds {safe(only)} only, {whole} of the plan's traffic.")
            continue
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
