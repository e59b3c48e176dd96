"""Sentences on which outputs people should judge next, and what that is likely to settle."""

import pandas as pd

from migration_kit.label_plan import gains, left_over
from migration_kit.label_prospects import PLANNED, NextLabels
from migration_kit.label_words import cannot_be_told, gate_in_report, must_be_new, run_says, says, what_blocks, worth
from migration_kit.labels_needed import ENOUGH
from migration_kit.plan import Plan
from migration_kit.wording import Said, asked, chance, counted, listed, safe, sentence, share


def chosen(found: NextLabels, plan: Plan, *, decision: dict | None = None) -> Said:
    """Which gate decides, where its labels go, what they are worth, and who is not asked about.

    `decision` is that of the last report on the same plan and data, where there is one.
    """
    labels, n = found.plan, len(found.plan.items)
    if not n:
        return Said("Every item that has an output of each of these models was judged: further labels need new items.")
    metric = plan.criterion(labels.criterion).primary_metric
    told = [_decides(found, plan, decision)]
    where = [f"{row.next:,.0f} {'lie in' if row.by == 'slice' else 'are items where'} "
             f"{safe(row.name if row.by == 'slice' else says(row.name, metric))} (a random draw would have "
             f"{row.at_random:.0f})" for row in gains(labels.strata).itertuples()]
    if where:
        told.append(f"Of the next {n:,} of {counted(left_over(labels), 'item')} not judged yet for all of these "
                    f"models, {listed(where)}.")
    told.append(f"{sentence(safe(worth(labels)))}.")
    others = [f"{safe(model)} ({safe(why)})" for model, why in found.prospects.closed.items()
              if model not in labels.models]
    if others:
        told.append(f"Nothing is asked about {listed(others)}: further labels are not likely to change that.")
    return Said(" ".join(told))


def assurance(found: NextLabels, plan: Plan, *, decision: dict | None = None) -> Said:
    """How many labels are likely to settle each candidate, and what the last report on these data says of it."""
    curve = found.curve
    waiting = [model for model in found.plan.models if model not in curve["model"].unique()]
    told = []
    for model, rows in curve[curve["chosen"] == PLANNED].groupby("model", sort=False):
        told.append(f"- {safe(model)}: {_outlook(str(model), rows, found, plan)}")
    if waiting:
        told.append(f"- {safe(cannot_be_told(waiting, found.prospects.held_back))}")
    if blocking := found.prospects.blocking:
        planned = curve[curve["chosen"] == PLANNED]
        told.append(f"\n{safe(what_blocks(blocking, planned, criteria=found.plan.criteria))}")
    live = ", without live requests, which may yet change a verdict" if plan.data.live else ""
    known = (safe(run_says(decision, found.plan.models)) if decision else
             "After the calibration the report says again how many labels are needed.")
    if new := must_be_new(found.plan, curve["labels"]):
        told.append(f"\n{new}")
    told.append(f"\nThis first look rests on labels and metric verdicts of the test set alone{live}. {known}")
    return Said("\n".join(told))


def _decides(found: NextLabels, plan: Plan, decision: dict | None) -> str:
    name = safe(found.plan.criterion)
    if plan.criterion(found.plan.criterion).role != "gate":
        return f"{name} is no gate, so these labels settle no verdict."
    if found.weakest is None:
        return f"Nobody has judged candidate and incumbent on {name} yet, so labels are needed there first."
    least = "of all gates it is the least likely to hold," if len(plan.gates) > 1 else "it holds"
    return (f"**{name} decides:** {least} for {safe(found.weakest)} with probability "
            f"{chance(found.probability)} by this first look ({asked(plan.decision.assurance)} is asked)"
            f"{gate_in_report(decision, found.weakest, found.plan.criterion)}.")


def _outlook(model: str, rows: pd.DataFrame, found: NextLabels, plan: Plan) -> str:
    now, further = found.prospects.verdicts[model], rows[rows["labels"] > 0]
    last = further.iloc[-1]
    open_ = found.prospects.unsettled.get(model)
    after = (f" Labels do not tell whether it meets {listed([safe(name) for name in open_])}, so they alone cannot "
             "lead to `switch`." if open_ else "")
    if now != "collect":
        return (f"by this first look the verdict is `{now}`; after {last['labels']:,} further items there is a verdict "
                f"with probability {chance(last['settled'])}, `{now}` with {chance(last[now])}.{after}")
    enough = further[further["settled"] >= ENOUGH]
    if len(enough):
        first = enough.iloc[0]
        return (f"about {first['labels']:,} further items, chosen so, lead to a verdict with probability "
                f"{chance(first['settled'])} (`switch` {chance(first['switch'])}, `keep` {chance(first['keep'])})."
                f"{after}")
    why = ("the checks named below stand in the way" if last["lifted"] < ENOUGH else
           "its contrast lies too near the margin, or there are too few items")
    return (f"even {last['labels']:,} further items lead to a verdict with a probability of only "
            f"{chance(last['settled'])}, less than {share(ENOUGH)}: {why}.{after}")
