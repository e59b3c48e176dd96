"""Sentences of stage 05: the verdict, what it rests on, its limits, and what the judgments kept aside say."""

import pandas as pd

from migration_kit.plan import Plan
from migration_kit.wording import Said, amount, chance, counted, listed, percent, points, safe, size

WORDS = {"switch": "Switch", "keep": "Keep", "collect": "Collect"}


def verdict(decision: dict, plan: Plan) -> Said:
    """The verdict in a word and a sentence, with the probability it rests on."""
    what = {"switch": f"to {safe(decision['candidate'])}", "keep": safe(plan.incumbent), "collect": "more labels"}
    told = f"## {WORDS[decision['verdict']]} {what[decision['verdict']]}\n\n**{safe(decision['sentence'])}**"
    if decision["probability"] is not None:
        told += (f"\n\nProbability that all gates hold together: at least {chance(decision['probability'])}; asked "
                 f"was {chance(plan.decision.assurance)}.")
    return Said(told)


def reasons(decision: dict) -> Said:
    """For every candidate its verdict and each reason."""
    told = []
    for model, one in decision["candidates"].items():
        told.append(f"- **{safe(model)}: {one['verdict']}.** {' '.join(safe(reason) for reason in one['reasons'])}")
        if one["labels_needed"]:
            told[-1] += f" About {amount(one['labels_needed'])} more labelled items are likely to settle it."
    return Said("\n".join(told))


def joint(decision: dict, plan: Plan) -> Said:
    """How the probability of all gates together is formed."""
    if len(plan.gates) == 1:
        return Said(f"There is one gate, {safe(plan.gates[0].id)}: its probability is the one that counts.")
    told = [f"{safe(model)} at least {chance(one['probability'])} ({chance(one['probability_independent'])} if the gates "
            "were independent)" for model, one in decision["candidates"].items()]
    return Said(f"The {len(plan.gates)} gates are fitted apart, so nothing is known about their dependence and the "
                "probability that all hold is a lower bound, 1 minus the sum of the probabilities that one fails: "
                f"{listed(told)}.")


def alarms(decision: dict) -> Said:
    """Metrics that would have misled."""
    if not decision["alarms"]:
        return Said("No metric says with probability 95.0% or more the opposite of the calibrated contrast.")
    return Said("\n".join(f"- {safe(alarm)}" for alarm in decision["alarms"]))


def stakes(plan: Plan) -> Said:
    """What a margin means in requests a day."""
    volume = plan.traffic.requests_per_day if plan.traffic else None
    told = []
    for gate in plan.gates:
        people = f"{amount(gate.margin * volume)} of {amount(volume)} requests a day" if volume else "of all requests"
        told.append(f"- {safe(gate.id)}: a wrong switch is one that loses more than {size(gate.margin)}, {people}"
                    f"{f' ({safe(gate.why)})' if gate.why else ''}.")
    retires = plan.models.incumbent.retires
    told.append(f"- A wrong stay keeps {safe(plan.incumbent)} although a candidate is as good"
                + (f"; {safe(plan.incumbent)} retires on {retires}, so staying is open until then." if retires else "."))
    return Said("\n".join(told))


def conditions(decision: dict, plan: Plan) -> Said:
    """What has to stay as it is for the verdict to hold."""
    told = ["- Prompts and settings are those in the table of models; another prompt is another candidate.",
            "- Production traffic has the mix of slices in the plan" + (
                f": {listed([safe(name) for name in plan.slices])}." if plan.slices else ".")]
    short = [f"{safe(where)} on {safe(name)} ({chance(p)})"
             for one in ([decision["candidates"][decision["candidate"]]] if decision["candidate"] else [])
             for name, gate in one["gates"].items() for where, p in gate["slices"].items()
             if p < plan.decision.assurance]
    if short:
        told.append(f"- Watch {listed(short)}: losing less than the slice margin is not shown there with "
                    f"{chance(plan.decision.assurance)}, only with the slice assurance.")
    if decision["verdict"] != "switch":
        told.append(f"- Until then {safe(plan.incumbent)} stays in production.")
    return Said("\n".join(told))


def flip_points(decision: dict, plan: Plan) -> Said:
    """Whether another margin would turn a gate."""
    told = []
    for model, one in decision["candidates"].items():
        for name, gate in one["gates"].items():
            limit, margin = gate["smallest_margin"], gate["margin"]
            if limit > margin:
                told.append(f"- {safe(model)} on {safe(name)}: the gate would hold from a margin of {size(limit)} on; the "
                            f"plan accepts {size(margin)}.")
            else:
                told.append(f"- {safe(model)} on {safe(name)}: the gate holds, and would down to a margin of "
                            f"{size(limit) if limit > 0 else '0: a loss of any size is ruled out'}.")
    return Said("\n".join(told))


def weights(rows: pd.DataFrame, plan: Plan) -> Said:
    """Weighted and unweighted contrast of every candidate on every gate, from estimates of both layers."""
    rows = rows[(rows["slice"] == "all") & (rows["quantity"] == "contrast") & (rows["method"] == "calibrated")]
    wide = rows.pivot(index=["criterion", "model"], columns="layer", values="mean")
    told = [f"- {safe(gate.id)}: " + listed([
        f"{safe(model)} {points(wide.loc[(gate.id, model), 'traffic'])} weighted by traffic "
        f"({points(wide.loc[(gate.id, model), 'offline'])} in the test set as it is)" for model in plan.candidates]) + "."
        for gate in plan.gates]
    return Said("\n".join(told))


def sampling(plan: Plan, *, fast: bool) -> Said:
    """How many draws stand behind the numbers."""
    told = (f"The plan asks for {counted(plan.sampling.chains, 'chain')} of {amount(plan.sampling.draws)} draws after "
            f"{amount(plan.sampling.tune)} steps of tuning, seed {plan.sampling.seed}.")
    return Said(told + (" This run was fast: it took fewer draws, good for a first look and not for a decision."
                        if fast else ""))


def limits(plan: Plan, labels: pd.DataFrame) -> Said:
    """What was not measured."""
    told = [f"- Human judgments: {counted(int(part['judged'].max()), 'item')} on {safe(name)}, one judgment an output. "
            "Agreement between raters was not measured."
            for name, part in labels.groupby("criterion", sort=False)]
    told.append("- All models answered a test set. Nothing was measured in production: users' reactions, load and "
                "failures are not part of this report.")
    told.append("- Within a slice, the items of the test set stand for production's; where they differ, the slice's "
                "numbers may not carry over.")
    return Said("\n".join(told))


def held_out(comparison: pd.DataFrame, plan: Plan) -> Said:
    """Whether intervals hold what all judgments say, and whether signs agree."""
    if comparison.empty:
        return Said("No judgments were kept aside.")
    total = comparison[(comparison["slice"] == "all") & (comparison["quantity"] == "contrast")]
    told = []
    for row in total.itertuples():
        told.append(f"- {safe(row.model)} on {safe(row.criterion)}: all judgments say {points(row.truth, unit=True)}, the "
                    f"calibrated contrast said {points(row.mean)}; its interval "
                    f"{'holds' if row.inside else 'does not hold'} the truth"
                    f"{'' if row.mean * row.truth > 0 else ', and the sign differs' if row.mean * row.truth else ''}.")
    told.append(f"\nOver models, slices and criteria {comparison['inside'].sum()} of {len(comparison)} intervals "
                f"({percent(comparison['inside'].mean())}) hold what all judgments say.")
    return Said("\n".join(told))
