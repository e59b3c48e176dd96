"""Sentences of stage 05: the verdict, what it rests on, its limits, and what the judgments kept aside say."""

import pandas as pd

from migration_kit.data import EvalData
from migration_kit.plan import CriterionSpec, Plan
from migration_kit.story.data import people
from migration_kit.story.front import BESIDE
from migration_kit.wording import Said, amount, asked, at_least, chance, counted, listed, minus, safe, unit_of, unknown

WITHOUT_TURN = {"margin": "another margin", "traffic": "another mix of traffic",
                "prior": "other priors, as far as these draws can tell,"}
WORDS = {"switch": "Switch", "keep": "Keep", "collect": "Collect"}


def verdict(decision: dict, plan: Plan) -> Said:
    """The verdict in a word and a sentence."""
    waiting = [one for one in decision["candidates"].values() if one["verdict"] == "collect"]
    # Labels do not tell why live requests differ from the test set.
    more = "evidence" if waiting and all(one.get("gaps") for one in waiting) else "labels"
    what = {"switch": f"to {safe(decision['candidate'])}", "keep": safe(plan.incumbent), "collect": f"more {more}"}
    return Said(f"## {WORDS[decision['verdict']]} {what[decision['verdict']]}\n\n**{safe(decision['sentence'])}**")


def beside(decision: dict, estimates: pd.DataFrame, plan: Plan) -> Said:
    """For each gate, how sure other methods are of the candidate to switch to; of the test set alone."""
    told, chosen = [], decision["candidate"]
    rows = estimates[(estimates["quantity"] == "contrast") & (estimates["slice"] == "all")
                     & (estimates["model"] == chosen)]
    for gate in plan.gates if chosen else ():
        of_gate = rows[rows["criterion"] == gate.id].set_index("method")["prob_noninferior"]
        others = [f"{chance(of_gate[method])} by {name}" for method, name in BESIDE.items()
                  if method in of_gate and of_gate[method] == of_gate[method]]
        if others:
            told.append(f"- {safe(gate.id)}: the probability that {safe(chosen)} loses no more than "
                        f"{unit_of(gate).size(gate.margin)} is {chance(of_gate['calibrated'])} calibrated, and "
                        f"{listed(others)}.")
    return Said("\n".join(["The others lean on the labels more.\n", *told]) if told else
                "There is no candidate to switch to, so methods are compared by their contrasts alone.")


def reasons(decision: dict) -> Said:
    """For every candidate its verdict and each reason."""
    told = []
    for model, one in decision["candidates"].items():
        why = " ".join(safe(minus(reason)) for reason in one["reasons"])
        said = "keep the incumbent" if one["verdict"] == "keep" else one["verdict"]
        told.append(f"- **{safe(model)}: {said}.** {why}")
    return Said("\n".join(told))


def joint(decision: dict, plan: Plan) -> Said:
    """How the probability of all gates together is formed."""
    if len(plan.gates) == 1:
        return Said(f"There is one gate, {safe(plan.gates[0].id)}: its probability is the one that counts.")
    open_ = [safe(model) for model, one in decision["candidates"].items() if unknown(one["probability"])]
    told = [f"{safe(model)} {at_least(one['probability'])} ({chance(one['probability_independent'])} if the "
            "gates were independent)" for model, one in decision["candidates"].items()
            if not unknown(one["probability"])]
    said = [f"The {len(plan.gates)} gates are fitted apart, so nothing is known about their dependence and the "
            "probability that all hold is a lower bound, 1 minus the sum of the probabilities that one fails: "
            f"{listed(told)}."] if told else []
    if open_:
        said.append(f"The probability that all gates hold is not known for {listed(open_)}, because a gate has no "
                    "labels of both models.")
    return Said(" ".join(said))


def alarms(decision: dict) -> Said:
    """Metrics that would have misled, and candidates of whom nothing can be said because nobody judged them."""
    gates = {model: one["gates"] for model, one in decision["candidates"].items()}
    if not any(gate["labelled"] for of_model in gates.values() for gate in of_model.values()):
        return Said("There is no calibrated contrast to hold a metric against.")
    told = [f"- {safe(minus(alarm))}" for alarm in decision["alarms"]] or [
        "- No metric says with a probability of 95% or more the opposite of the calibrated contrast."]
    for model, of_model in gates.items():
        if without := [safe(name) for name, gate in of_model.items() if not gate["labelled"]]:
            told.append(f"- Of {safe(model)} on {listed(without)} a metric cannot be held against people: nobody has "
                        "judged outputs of both models there.")
    return Said("\n".join(told))


def stakes(plan: Plan) -> Said:
    """What a margin means in requests a day."""
    volume = plan.traffic.requests_per_day if plan.traffic else None
    told = []
    for gate in plan.gates:
        told.append(f"- {safe(gate.id)}: a wrong switch is one that loses more than {unit_of(gate).size(gate.margin)}"
                    f"{people(gate, volume, before=', ')}{f' ({safe(gate.why)})' if gate.why else ''}.")
    told.append(f"- A wrong stay keeps {safe(plan.incumbent)} although a candidate is as good.")
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
                    f"{asked(plan.decision.assurance)}, only with the slice assurance.")
    if decision["verdict"] != "switch" and not decision.get("forced"):
        told.append(f"- While that is so, {safe(plan.incumbent)} stays in production.")
    return Said("\n".join(told))


def margins_needed(decision: dict, plan: Plan) -> Said:
    """Which gates another margin would turn."""
    told, holding = [], 0
    for model, one in decision["candidates"].items():
        for name, gate in one["gates"].items():
            limit, margin, where = gate["smallest_margin"], gate["margin"], f"- {safe(model)} on {safe(name)}"
            unit = unit_of(plan.criterion(name))
            if not gate["labelled"]:
                told.append(f"{where} cannot be told without labels of both models.")
            elif gate["probability"] >= plan.decision.assurance:
                holding += 1
            elif limit > margin:
                told.append(f"{where} would hold from a margin of {unit.limit(limit, up=True)} on; the plan accepts "
                            f"{unit.size(margin)}.")
            else:
                told.append(f"{where} holds by the calibrated contrast and not once that is corrected by the labels' "
                            "residuals, so no margin is named.")
    several = len(decision["candidates"]) > 1
    total = holding + len(told)
    first = (f"- {holding} of {counted(total, 'gate')} {'holds' if 1 in (holding, total) else 'hold'} already"
             f"{', each counted for each candidate' if several else ''}.")
    return Said("\n".join([first, *told]))


def flip_points(decision: dict) -> Said:
    """What would change the verdict on each candidate, and what would not, each alone."""
    told, idle = [], {}
    for point in decision["flip_points"]:
        if unknown(point["at"]) and point["what"] in WITHOUT_TURN and point["criterion"]:
            idle.setdefault(point["candidate"], {}).setdefault(WITHOUT_TURN[point["what"]], []).append(
                safe(point["criterion"]))
        else:
            told.append(f"- {safe(minus(point['sentence']))}")
    for model, found in idle.items():
        names = [f"{what} on {listed(on)}" for what, on in found.items()]
        told.append(f"- For {safe(model)} nothing that was looked at turns the verdict by {listed(names, last='or')}.")
    return Said("\n".join(told) or "Nothing was looked at.")


def weights(rows: pd.DataFrame, plan: Plan) -> Said:
    """Weighted and unweighted contrast of every candidate on every gate, from estimates of both layers."""
    rows = rows[(rows["slice"] == "all") & (rows["quantity"] == "contrast") & (rows["method"] == "calibrated")]
    known = set(rows["criterion"])
    wide = rows.pivot(index=["criterion", "model"], columns="layer", values="mean")
    told = []
    for gate in plan.gates:
        unit = unit_of(gate)
        if gate.id not in known:
            told.append(f"- Contrast on {safe(gate.id)}: not known, because nobody has judged an output.")
            continue
        parts = [f"{safe(model)} {unit.change(wide.loc[(gate.id, model), 'traffic'])} weighted by traffic and "
                 f"{unit.change(wide.loc[(gate.id, model), 'offline'])} in the test set as it is"
                 for model in plan.candidates]
        told.append(f"- Contrast on {safe(gate.id)}, {unit.contrast_axis}: {'; '.join(parts)}.")
    return Said("\n".join(told))


def sampling(plan: Plan, *, fast: bool) -> Said:
    """How many draws stand behind the numbers."""
    told = (f"The plan asks for {counted(plan.sampling.chains, 'chain')} of {amount(plan.sampling.draws)} draws after "
            f"{amount(plan.sampling.tune)} steps of tuning, seed {plan.sampling.seed}.")
    return Said(told + (" This run was fast: it took fewer draws, good for a first look and not for a decision."
                        if fast else ""))


def held_out_heading(data: EvalData) -> Said:
    """A heading for the judgments kept aside, and how many there are."""
    if data.held_out.empty:
        return Said("## What all judgments say\n\nNo judgments were kept aside (`data.held_out`), so whether the "
                    "calibrated intervals hold what people say elsewhere was not measured.")
    items = data.held_out["item_id"].unique()
    human = data.scores.loc[data.scores["rater_kind"] == "human", "item_id"].unique()
    both = len(set(items) & set(human))
    also = f" {amount(both)} of these items are among those whose judgments were used above." if both else ""
    return Said(f"## What all judgments say\n\nA file with judgments of {counted(len(items), 'item')} was kept aside: "
                f"nothing above has read it.{also} Weighted by production traffic, it is what the calibrated intervals "
                "should hold.")


def held_out(comparison: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Said:
    """Whether intervals hold what all judgments say, and whether signs agree."""
    mine = comparison[comparison["criterion"] == criterion.id]
    told, unit = [], unit_of(criterion)
    for row in mine[(mine["slice"] == "all") & (mine["quantity"] == "contrast")].itertuples():
        sign = "" if row.mean * row.truth >= 0 else ", and the sign differs"
        told.append(f"- {safe(row.model)} on {safe(criterion.id)}: all judgments say "
                    f"{unit.change(row.truth, unit=True)}, the calibrated contrast is {unit.change(row.mean)}; its "
                    f"interval {'holds' if row.inside else 'does not hold'} what they say{sign}.")
    told.append(f"- Over models, slices, qualities and contrasts {mine['inside'].sum()} of {len(mine)} intervals hold "
                "what all judgments say.")
    return Said("\n".join(told))
