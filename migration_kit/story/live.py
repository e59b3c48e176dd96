"""Sentences on the canary and the ramp: what users did, who kept silent, what to do now, what the rule would do."""

from collections.abc import Sequence

import pandas as pd

from migration_kit.plan import Plan
from migration_kit.ramp import DONE, HOLD, MOST_DAYS, PROMOTE, ROLL_BACK, RampAction, scenario_name
from migration_kit.wording import (
    Said,
    amount,
    asked,
    chance,
    counted,
    level,
    listed,
    percent,
    safe,
    share,
    unit_of,
    unknown,
)

BESIDE = ("The posterior of the same users, each slice weighed as the plan's traffic has it. It stands beside the "
          "bounds of the ramp, which alone act:")
NO_CANARY = ("No users were given a candidate yet, so nothing here shows what they do with it. A canary (a few users, "
             "chosen at random, have the candidate) would: name its table under `data.live` in the plan.")
NEEDS_USERS = ("The plan does not say how many users a day the ramp has (`traffic.users_per_day`), so nothing can be "
               "simulated.")
NO_GATES = "The plan names no live outcome with role gate, so there is nothing a ramp could be held to."
WANTED = 0.8


def canary(estimates: pd.DataFrame, plan: Plan) -> Said:
    """One sentence an outcome and candidate; from `canary.outcome_contrasts`."""
    rows = estimates[(estimates["quantity"] == "contrast") & (estimates["slice"] == "all")]
    if rows.empty:
        return Said(NO_CANARY)
    told = []
    for row in rows.to_dict("records"):
        outcome = plan.live_outcome(row["criterion"])
        unit, who = unit_of(outcome), f"- On {safe(outcome.id)}, {counted(row['n_labels'], 'user')} of "
        if pd.isna(row["mean"]):
            told.append(f"{who}{safe(row['model'])} are too few to tell.")
            continue
        text = (f"{who}{safe(row['model'])} fare {unit.versus(row['mean'])} than those of {safe(plan.incumbent)} "
                f"({level(plan.sampling.interval)} {unit.span(row['lower'], row['upper'])})")
        if outcome.margin is not None:
            text += (f"; probability of losing more than {unit.size(outcome.margin)}: "
                     f"{chance(1 - row['prob_noninferior'])}")
        told.append(f"{text}.{_worst_slice(estimates, row, plan)}")
    return Said("\n".join([BESIDE, "", *told]))


def silent(rows: pd.DataFrame, plan: Plan) -> Said:
    """How different people who gave no answer would have to be; from `canary.silent_users`."""
    if rows.empty:
        return Said("There is no canary, or every user of it has every outcome that is yes or no, so nobody kept "
                    "silent.")
    told = []
    for row in rows[rows["slice"] == "all"].to_dict("records"):
        unit, model = unit_of(plan.live_outcome(row["criterion"])), safe(row["model"])
        edge = ("there is no difference left" if pd.isna(row["margin"]) else
                f"the loss over all users reaches the margin of {unit.size(row['margin'])}")
        text = (f"- {percent(1 - row['answered'])} of users of {model} gave no {safe(row['criterion'])} "
                f"({percent(1 - row['answered_incumbent'])} of {safe(plan.incumbent)}); among those who did, the "
                f"contrast is {unit.change(row['contrast'], unit=True)}. ")
        side = "above" if row["silent"] > row["rate_incumbent"] else "below"
        text += (f"If silent users of {safe(plan.incumbent)} are like those who answered "
                 f"({percent(row['rate_incumbent'])}), {edge} when those of {model} are at {percent(row['silent'])}, "
                 f"{unit.size(row['gap'])} {side}." if row["reachable"] else
                 f"Whatever silent users of {model} alone are like, that does not change on which side of the margin "
                 "it lies.")
        parts = rows[(rows["slice"] != "all") & (rows["model"] == row["model"])
                     & (rows["criterion"] == row["criterion"])]
        if len(parts) > 1:
            least = parts.loc[parts["answered"].idxmin()]
            text += (f" Fewest answer in {safe(least['slice'])}: {percent(least['answered'])} of "
                     f"{counted(least['users'], 'user')}.")
        told.append(text)
    return Said("\n".join(told))


def ramp(actions: Sequence[RampAction], looks: pd.DataFrame, plan: Plan, *, split_as_planned: bool | None) -> Said:
    """What to do with every candidate of the canary now, and which gates say so."""
    if not plan.live_gates:
        return Said(NO_GATES)
    if not actions:
        return Said(NO_CANARY)
    told = []
    for one in actions:
        last = looks[looks["model"] == one.model].drop_duplicates("criterion", keep="last").set_index("criterion")
        gates = []
        for gate, said in one.gates.items():
            unit = unit_of(plan.live_outcome(gate))
            if not said:
                gates.append(f"{safe(gate)} has no users yet")
                continue
            row = last.loc[gate]
            gates.append(f"{safe(gate)} {unit.versus(row['contrast'])} (bounds "
                         f"{unit.span(row['lower'], row['upper'])}, margin "
                         f"{unit.change(-row['margin'], unit=True)}): {said}")
        held = (" Users were not split as planned, so nothing is promoted."
                if split_as_planned is False and one.action == HOLD and set(one.gates.values()) == {PROMOTE} else "")
        told.append(f"- **{safe(one.model)}: {what_now(one)}.**{held} After {counted(one.days, 'day')} at "
                    f"{share(one.share)} of users: {'; '.join(gates)}.{_against(looks, one)}")
    told += _recorded(looks, plan)
    return Said("\n".join(told))


def _against(looks: pd.DataFrame, now: RampAction) -> str:
    """Tell steps that were taken before the rule allowed them."""
    early = looks[(looks["model"] == now.model) & (looks["share"] < now.share) & (looks["action"] != PROMOTE)]
    return "".join(
        f" The step up from {share(at)} of users was taken although the rule did not say promote "
        f"({listed([f'{safe(row.criterion)}: {row.action}' for row in part.itertuples()])})."
        for at, part in early.groupby("share", sort=True))


def _recorded(looks: pd.DataFrame, plan: Plan) -> list[str]:
    """Tell where the tables hold far fewer users, or far more, than the plan counts on."""
    if plan.traffic is None or not plan.traffic.users_per_day or looks.empty:
        return []
    seen = looks.assign(seen=looks["users"] + looks["users_incumbent"])
    last = seen.groupby(["model", "criterion"])[["seen", "days"]].sum()
    most = (last["seen"] / last["days"]).max()
    expected = plan.traffic.users_per_day
    if expected / 2 < most < expected * 2:
        return []
    return [f"\nThe tables hold {counted(round(most), 'user')} a day, and the plan counts on {amount(expected)} "
            "(`users_per_day`). What was found so far rests on those in the tables; odds and roll-back conditions of "
            "later days assume that all whom the plan counts on are recorded."]


def ramp_odds(odds: pd.DataFrame, rates: pd.DataFrame, plan: Plan) -> Said:
    """How often the rule is right and wrong, who meets a bad candidate, and how long it takes."""
    if not plan.live_gates:
        return Said(NO_GATES)
    if odds.empty:
        return Said(NEEDS_USERS)
    told = [f"{amount(odds['replicates'].iloc[0])} ramps were simulated for each case, with "
            f"{counted(plan.traffic.users_per_day, 'user')} a day who come for the first time, steps of "
            f"{listed([share(step) for step in plan.ramp])} and at most {counted(MOST_DAYS, 'day')}."
            f"{_base(rates, plan)} Users who come back count once, so where many do the ramp takes longer; a candidate "
            "that misses a margin is not promoted more often."]
    for row in odds.to_dict("records"):
        ends = [f"{said} in {chance(row[end])} of ramps{_median(row[f'{end}_days'])}"
                for end, said in (("promoted", "promoted to all users"), ("rolled_back", "rolled back"))]
        text = f"- If {safe(scenario_name(row, plan))}: {', '.join(ends)}, still held in {chance(row['held'])}."
        if row["worse"]:
            text += (f" Until then {counted(round(row['users']), 'user')} have met it on average, "
                     f"{percent(row['users_share'])} of all users of these days.")
        told.append(text)
    slow = odds[(odds["scenario"] == "better") & (odds["promoted"] < WANTED)]
    if len(slow):
        names = listed([safe(name) for name in slow["criterion"]])
        told.append(f"\nThe ramp is too slow for {names}: a candidate that is better would often not arrive in "
                    f"{counted(MOST_DAYS, 'day')}. A larger first step, more users with the outcome or a wider margin "
                    "would make it faster.")
    return Said("\n".join(told))


def rollback(conditions: pd.DataFrame, rates: pd.DataFrame, plan: Plan) -> Said:
    """The roll-back conditions of each gate as numbers, at the end of the first week of every step.

    Parameters
    ----------
    conditions : DataFrame
        From `ramp_limits.rollback_conditions`.
    rates : DataFrame
        From `canary_users.base_rates`, which they rest on.
    plan : Plan
    """
    if not plan.live_gates:
        return Said(NO_GATES)
    if conditions.empty:
        return Said(NEEDS_USERS)
    told = []
    for gate in plan.live_gates:
        rows = conditions[conditions["criterion"] == gate.id]
        unit, ends = unit_of(gate), ("above", "below") if gate.better == "lower" else ("below", "above")
        said = {}
        for column, end in zip(("roll_back", "promote"), ends, strict=True):
            known = rows[rows[column].notna()].drop_duplicates("share", keep="last")
            steps = [f"{unit.quality(row[column], unit=True)} after {counted(round(row['users']), 'user')} at "
                     f"{share(row['share'])} (day {row['days']})" for row in known.to_dict("records")]
            said[column] = f"{end} {listed(steps, last='or')}" if steps else "not within these days, whatever it is"
        rate = unit.quality(rows["rate_incumbent"].iloc[0], unit=True)
        guess = "" if rates.loc[gate.id, "users"] else ", assumed: no user of it was seen yet"
        told.append(f"- {safe(gate.id)} ({safe(plan.incumbent)}: {rate}{guess}): "
                    f"roll back when it is {said['roll_back']}; promote when it is {said['promote']}.")
    together = (f"One gate is enough to roll back; all of {len(plan.live_gates)} are needed to promote. "
                if len(plan.live_gates) > 1 else "")
    told.append(f"\n{together}A candidate that misses a margin is promoted to all users with a probability of at most "
                f"{asked(1 - plan.decision.assurance)}, however often people look.")
    return Said("\n".join(told))


def what_now(one: RampAction) -> str:
    """What the rule of the ramp says to do now."""
    return {PROMOTE: f"promote to {share(one.next_share)} of users", HOLD: f"hold at {share(one.share)} of users",
            ROLL_BACK: "roll back", DONE: "every user has it; the ramp is over"}[one.action]


def _base(rates: pd.DataFrame, plan: Plan) -> str:
    """Where the base rates come from."""
    told = []
    for gate in plan.live_gates:
        rate, unit = rates.loc[gate.id], unit_of(gate)
        who = "every user has it" if rate["answered"] == 1 else f"{percent(rate['answered'])} of users have it"
        origin = who if rate["users"] > 0 else f"assumed, because no user of {safe(plan.incumbent)} has it yet"
        told.append(f"{unit.quality(rate['mean'], unit=True)} on {safe(gate.id)} ({origin})")
    return f" {safe(plan.incumbent)} is at {listed(told)}."


def _median(days: float) -> str:
    return "" if unknown(days) else f" (median {counted(days, 'day')})"


def _worst_slice(estimates: pd.DataFrame, row: dict, plan: Plan) -> str:
    """Name the slice that fares worst, where its interval says that it does worse."""
    mine = estimates[(estimates["criterion"] == row["criterion"]) & (estimates["model"] == row["model"])
                     & (estimates["quantity"] == "contrast") & (estimates["slice"] != "all") & (estimates["upper"] < 0)]
    if mine.empty:
        return ""
    worst, unit = mine.loc[mine["mean"].idxmin()], unit_of(plan.live_outcome(row["criterion"]))
    return (f" It is worse in {safe(worst['slice'])}: {unit.change(worst['mean'], unit=True)} "
            f"({unit.span(worst['lower'], worst['upper'])}).")
