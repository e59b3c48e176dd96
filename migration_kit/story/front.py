"""The first page of the report: how sure, what could go wrong where, what a mistake costs, what is next, who signs."""

from collections.abc import Sequence

import pandas as pd

from migration_kit.estimands import TOTAL
from migration_kit.loss import loss_text, no_option_to_stay, no_time_to_wait
from migration_kit.plan import Plan
from migration_kit.ramp import RampAction
from migration_kit.stakeholders import signers
from migration_kit.story.data import people
from migration_kit.story.live import what_now
from migration_kit.story.risks import undecided
from migration_kit.transport import seen_part
from migration_kit.wording import (
    Said,
    amount,
    asked,
    at_least,
    chance,
    counted,
    level,
    listed,
    minus,
    safe,
    section,
    share,
    unit_of,
    unknown,
)

BESIDE = {"corrected": "the corrected contrast", "ppi": "PPI++", "verdict_strata": "verdict strata",
          "confusion": "confusion matrices", "labels_only": "labels alone"}


def sure(decision: dict, estimates: pd.DataFrame, counts: pd.DataFrame, gaps: pd.DataFrame, plan: Plan) -> Said:
    """How sure the verdict is: its probability, what methods that lean on less say, how many judgments stand behind it.

    Parameters
    ----------
    decision : dict
    estimates : DataFrame
        Of the test set under production traffic, all methods.
    counts : DataFrame
        From `overview.flow`.
    gaps : DataFrame
        From `transport.shadow_gaps`.
    """
    told, chosen, wanted = ["### How sure\n"], decision["candidate"], asked(plan.decision.assurance)
    several = len(plan.gates) > 1
    for model in [chosen] if chosen else undecided(decision):
        one = decision["candidates"][model]
        if unknown(one["probability"]):
            told.append(f"- {safe(model)}: not known, because a gate has no labels of both models.")
            continue
        held = (f"every gate holds is {at_least(one['probability'])}" if several else
                f"the gate {safe(plan.gates[0].id)} holds is {chance(one['probability'])}")
        weakest = min(one["gates"], key=lambda name: one["gates"][name]["probability"])
        least = f" The least sure is {safe(weakest)} ({chance(one['gates'][weakest]['probability'])})." * several
        told.append(f"- {safe(model)}: the probability that {held}; the plan asks for {wanted}.{least}")
    if not told[1:]:
        told.append("- Every candidate is ruled out: it fails a requirement, or a loss beyond a margin is shown with a "
                    f"probability of {wanted} or more.")
    if chosen:
        told.append(f"- {_expected(decision['candidates'][chosen], chosen, plan)}")
    if chosen and (other := _others(estimates, chosen, plan)):
        told.append(f"- {other}")
    gates = counts[counts["criterion"].isin([gate.id for gate in plan.gates])]
    # What rests on it is said of the candidate to switch to, and labels of others have no part in it.
    gates = gates[gates["model"].isin([plan.incumbent, chosen])] if chosen else gates
    low, high = gates["judged"].min(), gates["judged"].max()
    n = f"{amount(low)} to {amount(high)}" if low < high else amount(high)
    live = gaps.loc[(gaps["slice"] == TOTAL) & gaps["shadow"].notna(), ["model", "n_labels"]]
    live = live[live["model"] == chosen] if chosen else live
    seen = [f"{counted(part['n_labels'].max(), 'judged live output')} of {safe(model)}"
            for model, part in live.groupby("model", sort=False)]
    of = f"each of {safe(plan.incumbent)} and {safe(chosen)}" if chosen else "of each model"
    told.append(f"- It rests on {n} judged outputs {of} for every gate"
                + (f", and on {listed(seen)}{_only(gaps)}." if seen else "; nobody judged live outputs."))
    return Said("\n".join(told))


def _only(gaps: pd.DataFrame) -> str:
    part = seen_part(gaps, gaps["criterion"].iloc[0])
    return f", all in {safe(part)}" if part else ""


def costs(decision: dict, plan: Plan) -> Said:
    """What a wrong switch and a wrong stay cost, what the choice is expected to cost, how many requests it moves."""
    told = ["### What a mistake costs\n"]
    volume = plan.traffic.requests_per_day if plan.traffic else None
    margins = [f"{safe(gate.id)} {unit_of(gate).size(gate.margin)}{people(gate, volume, before=', ')}"
               for gate in plan.gates]
    told.append(f"- A wrong switch is one that loses more than a margin: {'; '.join(margins)}.")
    if plan.costs:
        unit, rows = safe(plan.costs.unit), {row["option"]: row for row in decision["losses"]}
        told.append(f"- It costs {amount(plan.costs.wrong_switch)} {unit}; a wrong stay, with {safe(plan.incumbent)} "
                    f"although a candidate is not worse, {amount(plan.costs.wrong_stay)} {unit}.")
        # What staying would cost is no comparison where it is no option.
        forced, stuck = decision.get("forced") or {}, no_option_to_stay(decision, plan)
        first = decision["candidate"] or forced.get("candidate")
        options = [name for name in dict.fromkeys([first, decision["cheapest"], plan.incumbent])
                   if name and not (stuck and name == plan.incumbent) and not unknown(rows[name]["expected_loss"])]
        words = [f"{loss_text(rows[name], plan)} for "
                 f"{'staying' if name == plan.incumbent else f'switching to {safe(name)}'}" for name in options]
        told += [f"- Weighed by how probable each mistake is, that is {listed(words)} ({unit})"
                 f"{'; staying is no option' * stuck}."] if words else []
    else:
        told.append("- The plan does not say what a mistake costs (`costs`), so none is weighed.")
    return Said("\n".join(told))


def next_steps(
    decision: dict, actions: Sequence[RampAction], limits: pd.DataFrame, rates: pd.DataFrame, plan: Plan
) -> Said:
    """What happens next: the ramp with what to watch and what rolls it back, or what is missing for a decision.

    Parameters
    ----------
    decision : dict
    actions : sequence of RampAction
        From `ramp.ramp_actions`.
    limits : DataFrame
        From `ramp_limits.rollback_conditions`.
    rates : DataFrame
        From `canary_users.base_rates`.
    """
    chosen = decision["candidate"]
    told = ["### What happens next\n", *([] if chosen else _wait(decision, plan))]
    if chosen:
        told += _ramp(chosen, {one.model: one for one in actions}.get(chosen), limits, rates, plan)
        watch = [f"{safe(where)} on {safe(name)} ({chance(p)})"
                 for name, gate in decision["candidates"][chosen]["gates"].items()
                 for where, p in gate["slices"].items() if p < plan.decision.assurance]
        if watch:
            told.append(f"- Watch {listed(watch)}: there a loss within the slice margin is less sure than "
                        f"{asked(plan.decision.assurance)}.")
    if not decision.get("forced"):
        told.append(f"- {_if_nobody_decides(decision, plan)}")
    return Said("\n".join(told))


def _if_nobody_decides(decision: dict, plan: Plan) -> str:
    due, retires, incumbent = plan.decision.due, plan.models.incumbent.retires, safe(plan.incumbent)
    until = (f" until it retires on {retires}; after that neither staying nor the way back to it is an option"
             if retires else "")
    best = decision["cheapest"]
    then = (f" Switching to {safe(best)} would then have the smallest expected loss."
            if retires and best and best != plan.incumbent else "")
    # The incumbent does not stay up to a day by which it has retired.
    by = f" by {due}" if due and not no_time_to_wait(plan) else ""
    return f"If nobody decides{by}, {incumbent} stays{until}.{then}"


def must_sign(plan: Plan) -> Said:
    """Who must sign, and by when."""
    roles, due = [safe(role) for role in signers(plan)], plan.decision.due
    if not roles:
        return Said("### Who must sign\n\n- The plan names nobody: give `decision` an `owner`, or a stakeholder "
                    "`signs: true`.")
    by = f" by {due}" if due else ""
    return Said(f"### Who must sign\n\n- {listed(roles)}{by}: no further step before they have; "
                f"{section('Run and sign-off')} at the end has the form.")


def _expected(one: dict, chosen: str, plan: Plan) -> str:
    """How much better or worse the candidate is expected to be on every gate."""
    parts = []
    for gate in plan.gates:
        unit, found = unit_of(gate), one["gates"][gate.id]
        parts.append(f"{unit.versus(found['mean'])} on {safe(gate.id)} "
                     f"({unit.span(found['lower'], found['upper'])})")
    return (f"Against {safe(plan.incumbent)}, {safe(chosen)} is expected to be {listed(parts)}; in brackets "
            f"{level(plan.sampling.interval)}s.")


def _others(estimates: pd.DataFrame, chosen: str, plan: Plan) -> str:
    """How sure methods are that lean on the labels more, by the least sure of them."""
    rows = estimates[(estimates["quantity"] == "contrast") & (estimates["slice"] == TOTAL)
                     & (estimates["model"] == chosen) & estimates["method"].isin(BESIDE)
                     & estimates["criterion"].isin([gate.id for gate in plan.gates])
                     & estimates["prob_noninferior"].notna()]
    if rows.empty:
        return ""
    wanted, methods = plan.decision.assurance, counted(rows["method"].nunique(), "other method")
    short = rows[rows["prob_noninferior"] < wanted].sort_values("prob_noninferior", kind="stable")
    least = rows.loc[rows["prob_noninferior"].idxmin()]
    if short.empty:
        return (f"On the test set {methods} that lean{'s' * (rows['method'].nunique() == 1)} on the labels more agree: "
                f"each gate holds with {chance(least['prob_noninferior'])} or more (least by {BESIDE[least['method']]} "
                f"on {safe(least['criterion'])}).")
    names = [f"{chance(row.prob_noninferior)} by {BESIDE[row.method]} on {safe(row.criterion)}"
             for row in short.itertuples()]
    return (f"Methods that use less than the calibration does are less sure. On the test set some of {methods} stay "
            f"below {asked(wanted)}: {listed(names)}.")


def _wait(decision: dict, plan: Plan) -> list[str]:
    """What is missing for a decision, candidate by candidate."""
    forced, told = decision.get("forced"), []
    told.append(f"- {safe(minus(forced['sentence']))}" if forced else
                f"- {safe(plan.incumbent)} stays in production.")
    for model in undecided(decision):
        one = decision["candidates"][model]
        if one.get("gaps"):
            told.append(f"- {safe(model)}: find out why live requests contradict the test set on "
                        f"{listed([safe(name) for name in one['gaps']])}.")
        elif one["labels_needed"]:
            where = f", live requests on {listed([safe(name) for name in one['live']])}" if one.get("live") else ""
            told.append(f"- {safe(model)}: have people judge about {amount(one['labels_needed'])} more items{where}.")
        elif one["reasons"]:
            told.append(f"- {safe(model)}: {safe(minus(one['reasons'][0]))}")
    return told


def _ramp(
    chosen: str, now: RampAction | None, limits: pd.DataFrame, rates: pd.DataFrame, plan: Plan
) -> list[str]:
    """The next step of the ramp, and at which numbers it is rolled back."""
    if not plan.live_gates:
        return ["- The plan names no live outcome with role gate, so no number says when to roll back: name one before "
                "the first user meets the candidate."]
    steps = listed([share(step) for step in plan.ramp])
    if now:
        told = [f"- {share(now.share)} of users have {safe(chosen)}; the rule of the ramp says now: {what_now(now)}. "
                f"Steps: {steps} of users."]
        at = now.next_share if now.action == "promote" else now.share
    else:
        at = plan.ramp[0]
        told = [f"- Give {safe(chosen)} to {share(at)} of users, drawn at random. Steps: {steps}."]
    here = limits[(limits["share"] == at) & limits["roll_back"].notna()] if len(limits) else limits
    last = here.drop_duplicates("criterion", keep="last") if len(here) else here
    words = []
    for row in last.to_dict("records"):
        gate = plan.live_outcome(row["criterion"])
        unit, end = unit_of(gate), "above" if gate.better == "lower" else "below"
        limit, rate = (unit.quality(row[name], unit=True) for name in ("roll_back", "rate_incumbent"))
        guess = "" if rates.loc[gate.id, "users"] else (
            f", if {safe(plan.incumbent)} is at {rate}, which nobody measured")
        words.append(f"{safe(gate.id)} is {end} {limit} after {counted(round(row['users']), 'user')} "
                     f"({counted(row['days'], 'day')} of the plan's users){guess}")
    if words:
        told.append(f"- Watch {listed([safe(gate.id) for gate in plan.live_gates])}. Roll back, at {share(at)} of "
                    f"users, when {listed(words, last='or')}; "
                    f"{section('How it is rolled out, and when it is rolled back')} has the numbers of every step.")
    return told
