"""The label plan in words, the same in terminal, notebook and figures."""

from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from migration_kit.label_plan import ALIKE, APART, MISSING, RARE, SAME, LabelPlan, left_over
from migration_kit.wording import amount, at_least, chance, listed


def says(what: str, metric: str) -> str:
    """Return one of `SAYS` with the name of the metric: "judge-x tells the outputs apart"."""
    return {ALIKE: "all outputs are word for word the same", SAME: f"{metric} says the same of all outputs",
            APART: f"{metric} tells the outputs apart", RARE: f"verdicts of {metric} combine in a rare way",
            MISSING: f"{metric} is missing"}[what]


def worth(chosen: LabelPlan) -> str:
    """Say what the next items are worth, compared with random ones."""
    n, free = len(chosen.items), left_over(chosen)
    these, tell = ("this item", "tells") if n == 1 else (f"these {n:,} items", "tell")
    if n == free:
        return f"{these} {'is' if n == 1 else 'are'} all that {'is' if n == 1 else 'are'} left, so nothing was chosen"
    if not chosen.design.labelled.any():
        return ("nobody has judged an item for all of these models yet, so "
                f"{these} {'is' if n == 1 else 'are'} spread by metric and slice alone")
    told = f"by what labels say so far, {these} {tell} as much of the difference on {chosen.criterion}"
    if chosen.worth >= free - 0.5:
        return f"{told} as all {free:,} left would"
    if chosen.worth < n - 0.5:
        return (f"{told}, over all traffic, as {amount(chosen.worth)} drawn at random; the rest of their worth goes to "
                "slices that have a margin of their own")
    return f"{told} as about {amount(chosen.worth)} drawn at random"


def must_be_new(chosen: LabelPlan, sizes: Collection[int]) -> str:
    """Say that further items are more than are left, where some of these sizes are; "" where none is."""
    left = left_over(chosen)
    if max(sizes, default=0) <= left:
        return ""
    here = f"Only {left:,} of the items here {'is' if left == 1 else 'are'} left to be judged" if left else (
        "No item here is left to be judged")
    return f"{here}; what goes beyond must be new ones."


def cannot_be_told(waiting: Sequence[str], held_back: Mapping[str, Mapping[str, Sequence[str]]]) -> str:
    """Say of which candidates nobody knows how many labels settle the verdict, and why.

    Parameters
    ----------
    waiting : sequence of str
        Candidates that the curve of further labels leaves out.
    held_back : mapping
        As `label_prospects.Prospects` has it.
    """
    texts = dict.fromkeys(f"{name}: {text}" for model in waiting for name, of in held_back.get(model, {}).items()
                          for text in of)
    unknown = "it cannot be told yet how many labels settle the verdict"
    if texts:
        return f"{listed(waiting)}: {unknown}. {' '.join(texts)}"
    return (f"{listed(waiting)}: not all gates have labels of {'it' if len(waiting) == 1 else 'them'} and the "
            f"incumbent, so {unknown}.")


def what_blocks(blocking: Mapping[str, Sequence[str]], planned: pd.DataFrame, *, criteria: Collection[str]) -> str:
    """Say what leaves no verdict by now, and how likely the next labels are to mend it.

    Parameters
    ----------
    blocking : mapping
        Criterion to the texts of its checks.
    planned : DataFrame
        Labels and lifted, as `label_prospects.assurance_curve` has them for planned labels; may be empty.
    criteria : collection of str
        What people are asked about.
    """
    texts = [f"{name}: {text}" for name, of in blocking.items() for text in of]
    told = f"By now there is no verdict but collect. {' '.join(texts)}"
    unasked = [name for name in blocking if name not in criteria]
    if unasked or (len(planned) and not planned["lifted"].iloc[-1]):
        why = f": nobody is asked about {listed(unasked)}" if unasked else ""
        return f"{told} These labels do not mend that{why}, so they alone lead to no verdict."
    if planned.empty:
        return told
    last = planned.iloc[-1]
    return (f"{told} After {last['labels']:,} further items, chosen so, that is mended with probability "
            f"{chance(last['lifted'])}; a verdict counts only where it is.")


def gate_in_report(decision: dict | None, model: str, criterion: str) -> str:
    """Say how sure the last report is of a gate, for the end of a sentence; "" where there is none."""
    gate = decision["candidates"][model]["gates"][criterion] if decision else None
    if not gate or not gate["labelled"]:
        return ""
    return f"; the last report, which rests on the whole calibration, says {chance(gate['probability'])}"


def run_says(decision: dict, models: Sequence[str]) -> str:
    """Say what the last report on the same plan and data says of some candidates: it knows more than a first look."""
    told = []
    for model in models:
        one = decision["candidates"][model]
        held = (f"every gate holds: {at_least(one['probability'])}" if len(one["gates"]) > 1 else
                f"the gate holds: {chance(one['probability'])}")
        told.append(f"{one['verdict']} for {model} ({held})")
    return (f"The last report on this plan and these data, which rests on the whole calibration, says "
            f"{listed(told)}. Where this first look says otherwise, the report counts.")
