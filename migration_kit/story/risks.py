"""The first page of the report: what could go wrong, and where."""

import pandas as pd

from migration_kit.check_meaning import ASIDE, BLOCKS, CORRECTED, COUNTED, OPEN, WEAKENS, failures
from migration_kit.checks import RATERS_AGREE
from migration_kit.estimands import TOTAL
from migration_kit.plan import Plan
from migration_kit.transport import HOLDS_LIVE
from migration_kit.wording import Said, amount, chance, counted, level, listed, safe, section, unit_of

SAID = {BLOCKS: "Blocks a switch until mended", WEAKENS: "Weakens the verdict",
        COUNTED: "Already counted in the verdict", CORRECTED: "Known, and allowed for by the calibration",
        ASIDE: "Without a say in this verdict"}


def could_go_wrong(
    decision: dict, decided: pd.DataFrame, found: pd.DataFrame, daily: pd.DataFrame, plan: Plan, *,
    gaps: pd.DataFrame, canary: pd.DataFrame,
) -> Said:
    """What could go wrong and where: worst slices, bad ends of intervals, live requests alone, and what checks say.

    Parameters
    ----------
    decision : dict
    decided : DataFrame
        From `decided.decided`.
    found : DataFrame
        From `check_meaning.with_meaning`.
    daily : DataFrame
        From `loss.people`.
    gaps : DataFrame
        From `transport.shadow_gaps`.
    canary : DataFrame
        From `canary.outcome_contrasts`.
    """
    told, chosen = ["### What could go wrong, and where\n"], decision["candidate"]
    for model in [chosen] if chosen else undecided(decision):
        texts = (_worst(decided, model, plan), _bad_end(daily, model, plan), _live_alone(gaps, model, plan),
                 _users(canary, model, plan))
        told += [f"- {text}" for text in texts if text]
    for model, one in decision["candidates"].items():
        if one.get("gaps"):
            names = listed([safe(name) for name in one["gaps"]])
            told.append(f"- {safe(model)} does not show on live requests what the test set promised on {names}: no "
                        "switch to it before that is understood.")
    for meaning, said in SAID.items():
        # That live requests contradict the test set was just said of the candidate itself.
        mine = found[(found["meaning"] == meaning) & ((meaning != COUNTED) | (found["name"] != HOLDS_LIVE))]
        what = [f"{text}{f' ({listed([safe(name) for name in names])})' if names else ''}"
                for text, names in failures(mine).items()]
        if what:
            told.append(f"- {said}: {'; '.join(what)}.")
    open_ = (found["meaning"] == OPEN).sum()
    alone = found[(found["meaning"] == OPEN) & (found["name"] == RATERS_AGREE)
                  & found["criterion"].isin([gate.id for gate in plan.gates])]
    if len(alone):
        told.append(f"- Not known: whether people agree with each other on "
                    f"{listed([safe(name) for name in alone['criterion']])}.")
    if not found["meaning"].isin([BLOCKS, WEAKENS]).any():
        told.append("- No check blocks or weakens the verdict.")
    made = f"{counted(open_, 'check')} cannot tell" if open_ else "Every check could be made"
    told.append(f"- {made}; {section('The model and its checks')} says what each found.")
    return Said("\n".join(told))


def undecided(decision: dict) -> list[str]:
    """Return the candidates whose verdict is still open."""
    return [model for model, one in decision["candidates"].items() if one["verdict"] == "collect"]


def _worst(decided: pd.DataFrame, model: str, plan: Plan) -> str:
    """The worst slice of every gate, and how likely it is there to lose more than the slice margin."""
    rows = decided[(decided["model"] == model) & (decided["quantity"] == "contrast")
                   & (decided["method"] == "calibrated") & (decided["slice"] != TOTAL) & decided["mean"].notna()]
    told, beyond, lost = [], [], False
    for gate in plan.gates:
        mine = rows[rows["criterion"] == gate.id]
        if len(mine) < 2:
            continue
        worst = mine.loc[mine["mean"].idxmin()]
        unit, lost = unit_of(gate), lost or worst["mean"] < 0
        told.append(f"{safe(gate.id)} {unit.versus(worst['mean'])} in {safe(worst['slice'])} "
                    f"({unit.span(worst['lower'], worst['upper'])})")
        if gate.slice_margin:
            least = mine.loc[mine["prob_noninferior"].idxmin()]
            beyond.append((1 - least["prob_noninferior"], f"{safe(gate.id)} in {safe(least['slice'])}"))
    if not told:
        return ""
    text = f"Where {safe(model)} {'fares worst' if lost else 'is least ahead'}: {', '.join(told)}."
    if beyond:
        text += (f" The probability of losing more than a slice margin is largest for {max(beyond)[1]}: "
                 f"{chance(max(beyond)[0])}.")
    return text


def _bad_end(daily: pd.DataFrame, model: str, plan: Plan) -> str:
    """The bad end of the intervals in outputs a day."""
    mine, margins = daily[daily["candidate"] == model], daily[daily["candidate"] == ""].set_index("criterion")["mean"]
    bad = mine[mine["upper"] > 0]
    if mine.empty:
        return ""
    what = level(plan.sampling.interval)
    if bad.empty:
        return (f"Even at the bad end of its {what}s {safe(model)} has no more outputs on the worse side than "
                f"{safe(plan.incumbent)}.")
    told = [f"{amount(row.upper)} more outputs a day on the worse side of {safe(row.criterion)}, where the margin "
            f"allows {amount(margins[row.criterion])}" for row in bad.itertuples()]
    return f"At the bad end of the {what} {safe(model)} would have {listed(told)}."


def _live_alone(gaps: pd.DataFrame, model: str, plan: Plan) -> str:
    """The slice of every gate where judged live outputs by themselves speak against a candidate."""
    told = []
    for gate in plan.gates:
        mine = gaps[(gaps["model"] == model) & (gaps["criterion"] == gate.id) & (gaps["slice"] != TOTAL)
                    & (gaps["shadow"] < 0)]
        if len(mine):
            row, unit = mine.loc[mine["shadow"].idxmin()], unit_of(gate)
            told.append(f"{safe(gate.id)}: {unit.versus(row['shadow'])} in {safe(row['slice'])} "
                        f"({unit.span(row['shadow_lower'], row['shadow_upper'])}; the test set promised "
                        f"{unit.change(row['offline'])}; {counted(row['n_labels'], 'judged output')})")
    if not told:
        return ""
    return (f"Live outputs by themselves speak against {safe(model)} on {listed(told)}. The verdict joins them with "
            "the test set.")


def _users(canary: pd.DataFrame, model: str, plan: Plan) -> str:
    """The slice of every live gate where users of a candidate fare worse than those of the incumbent."""
    rows = canary[(canary["model"] == model) & (canary["quantity"] == "contrast") & (canary["slice"] != TOTAL)
                  & (canary["mean"] < 0)]
    told = []
    for gate in plan.live_gates:
        mine = rows[rows["criterion"] == gate.id]
        if len(mine):
            row, unit = mine.loc[mine["mean"].idxmin()], unit_of(gate)
            told.append(f"{safe(gate.id)} {unit.versus(row['mean'])} in {safe(row['slice'])} "
                        f"({unit.span(row['lower'], row['upper'])}; {counted(row['n_labels'], 'user')})")
    if not told:
        return ""
    return (f"Of the users who met {safe(model)}, these fare worse than those of {safe(plan.incumbent)}: "
            f"{listed(told)}. The rule of the ramp looks at all users together, not at slices: watch these by hand.")
