"""Sentences of stage 05: what mistakes cost, who stopped where, whose concern has which answer, how verdicts moved."""

import json

import pandas as pd

from migration_kit.estimands import TOTAL
from migration_kit.loss import counts_outputs, loss_text, no_option_to_stay
from migration_kit.plan import Plan
from migration_kit.stakeholders import BY_ALL, BY_PLAN, signers
from migration_kit.wording import (
    Said,
    amount,
    asked,
    chance,
    counted,
    level,
    listed,
    minus,
    safe,
    section,
    unit_of,
    unknown,
)


def losses(decision: dict, plan: Plan) -> Said:
    """What staying and switching are expected to cost, which is cheapest, and whether the verdict says the same."""
    if plan.costs is None:
        return Said("The plan does not say what a wrong switch and a wrong stay cost (`costs`), so no loss is expected "
                    "of either; the verdict does not rest on costs.")
    unit, costs = safe(plan.costs.unit), plan.costs
    told = [f"A switch to a model that loses more than a margin costs {amount(costs.wrong_switch)} {unit}, and to stay "
            f"although a candidate is not worse {amount(costs.wrong_stay)}. By these a switch costs less than staying "
            f"once the probability that every gate holds is above {chance(decision['break_even'])}; the plan asks for "
            f"{asked(plan.decision.assurance)}."]
    rows = {row["option"]: row for row in decision["losses"]}
    best = decision["cheapest"]
    if best is None:
        return Said(f"{told[0]} No candidate that fails nothing has labels on every gate, so losses cannot "
                    "be compared.")
    others = [f"{_option(name, plan)} {loss_text(row, plan)}{_fails(row)}" for name, row in rows.items()
              if name != best and not unknown(row["expected_loss"])]
    told.append(f"Of staying and the candidates that fail nothing, {_option(best, plan)} has the smallest expected "
                f"loss, {loss_text(rows[best], plan)} {unit}; {listed(others)}. By this sum a loss in one slice alone "
                "costs nothing.")
    if no_option_to_stay(decision, plan):
        told.append("What staying would cost is told for comparison only: it is no option.")
    agrees = best == (decision["candidate"] or plan.incumbent)
    if not agrees:
        told.append("The verdict differs, because it asks for the plan's assurance and weighs no costs."
                    if decision["verdict"] != "switch" or best == plan.incumbent else
                    "The verdict differs, because among candidates that may replace the incumbent the highest expected "
                    "utility wins.")
    return Said(" ".join(told))


def forced(decision: dict, plan: Plan) -> Said:
    """The choice that is left where the incumbent cannot stay, and what softens it; else whether staying is open."""
    found, retires, due = decision.get("forced"), plan.models.incumbent.retires, plan.decision.due
    if found:
        softens = "".join(f"\n- {safe(minus(one))}" for one in found["softens"])
        return Said(f"**{safe(found['sentence'])}**" + (f" What would soften it:\n{softens}" if softens else ""))
    if retires is None:
        return Said(f"The plan names no day on which {safe(plan.incumbent)} retires, so staying stays open.")
    if decision["verdict"] == "switch":
        return Said(f"{safe(plan.incumbent)} retires on {retires}.")
    after = f", {counted((retires - due).days, 'day')} after the decision is due," if due else ""
    return Said(f"{safe(plan.incumbent)} retires on {retires}{after} so staying is open until then.")


def people(rows: pd.DataFrame, decision: dict, plan: Plan) -> Said:
    """Margins and contrasts as outputs a day, from `loss.people`."""
    if rows.empty:
        rates = any(counts_outputs(gate) for gate in plan.gates)
        return Said("The plan does not say how many requests a day there are (`traffic: requests_per_day`), so losses "
                    "are told as rates only." if rates else
                    "No gate is a share of outputs, so losses are not a number of outputs a day.")
    told = []
    names = [decision["candidate"]] if decision["candidate"] else _open(decision)
    for criterion, part in rows.groupby("criterion", sort=False):
        mine = part.set_index("candidate")
        text = f"- {safe(criterion)}: the margin is {amount(mine.loc['', 'mean'])} outputs a day"
        text += "".join(f"; {safe(model)} {_a_day(mine.loc[model], plan)}" for model in names if model in mine.index)
        told.append(f"{text}.")
    return Said("\n".join(told))


def elimination(table: pd.DataFrame, decision: dict, plan: Plan) -> Said:
    """Where each candidate was stopped, from `elimination.elimination`."""
    fell = table[table["candidate"] != ""]
    told = [f"{safe(row.candidate)} stopped at {safe(row.step)} ({row.outcome})" for row in fell.itertuples()]
    left = [safe(model) for model, one in decision["candidates"].items() if one["verdict"] == "switch"]
    end = (f"{listed(left)} passed every step." if left else
           f"No candidate passed every step, so nothing shows that any may replace {safe(plan.incumbent)}.")
    return Said(f"{'; '.join(told)}. {end}" if told else end)


def stakeholders(answers: pd.DataFrame, decision: dict, plan: Plan) -> Said:
    """Each concern with the number that answers it, from `stakeholders.answers`."""
    if not plan.stakeholders:
        return Said("The plan names no stakeholders, so no concern is answered by name.")
    names = [decision["candidate"]] if decision["candidate"] else _open(decision)
    told = []
    for who in plan.stakeholders:
        mine = answers[(answers["stakeholder"] == who.name) & answers["candidate"].isin(names)]
        numbers = [_answer(row, plan) for _, row in mine.iterrows()]
        signs = " Signs the decision." if who.signs else ""
        told.append(f"- **{safe(who.name)}**: *{safe(who.concern)}* {' '.join(numbers)}{signs}")
    return Said("\n".join(told))


def utilities(decision: dict, plan: Plan) -> Said:
    """Which candidate is best by the plan's weights, by each stakeholder, and by all of them together."""
    rows = pd.DataFrame(decision["utilities"])
    ready = [model for model, one in decision["candidates"].items() if one["verdict"] == "switch"]
    among = "the candidates that may replace the incumbent" if ready else "all candidates"
    best = rows.loc[rows.groupby(["by", "name"], sort=False)["utility"].idxmax()].set_index(["by", "name"])
    told = [f"Among {among}, {safe(best.loc[(BY_PLAN, ''), 'candidate'])} has the highest expected utility by the "
            f"plan's weights and is the best with probability {chance(best.loc[(BY_PLAN, ''), 'best'])}."]
    if len(ready) == 1:
        told = [f"{safe(ready[0])} is the only candidate that may replace {safe(plan.incumbent)}, so no weight changes "
                "the choice."]
    elif (BY_ALL, "") in best.index:
        own, theirs = best.loc[(BY_PLAN, ""), "candidate"], best.loc[(BY_ALL, "")]
        told.append(f"By the stakeholders' weights {'it is' if theirs['candidate'] == own else 'it would be'} "
                    f"{safe(theirs['candidate'])} {'too ' if theirs['candidate'] == own else ''}"
                    f"({chance(theirs['best'])}).")
    return Said(" ".join(told))


def sign_off(plan: Plan, manifest: dict) -> Said:
    """Who must sign, how, and what a signature is bound to."""
    roles = [safe(role) for role in signers(plan)]
    if not roles:
        return Said("The plan names nobody who signs: give `decision` an `owner`, or a stakeholder `signs: true`.")
    if any(entry["fast"] for entry in manifest["stages"].values()):
        return Said(f"{listed(roles)} must sign, but not this report: it is a first look with fewer draws. Run again "
                    "without `--fast`.")
    return Said(f"{listed(roles)} must sign. On paper below, or with `migration-kit sign RUN --as ROLE --decision "
                f"approve`, RUN being the folder `{manifest['run_dir']}`. A signature holds for the plan, the data and "
                "the verdict of this report; a change of any of them voids it.")


def history(rows: pd.DataFrame, plan: Plan) -> Said:
    """How the verdict moved from report to report, from `Run.history`."""
    if len(rows) < 2:
        return Said("This is the first report in this run folder. Run again on more data: the report will show how the "
                    "verdict moved.")
    spans = (rows[["verdict", "candidate"]] != rows[["verdict", "candidate"]].shift()).any(axis=1).cumsum()
    told = []
    for _, part in rows.groupby(spans, sort=False):
        first = part.iloc[0]
        told.append(f"{_verdict(first, plan)} from {first['time'][:10]} on, with "
                    f"{counted(first['labels'], 'human judgment')} and {counted(first['live_rows'], 'live value')} "
                    f"({counted(len(part), 'report')})")
    said = [f"{counted(len(rows), 'report')} so far: {'; '.join(told)}."]
    # A report made twice on the same data hides what moved.
    digests = ["plan_digest", "data_digest"]
    others = rows[(rows[digests] != rows[digests].iloc[-1]).any(axis=1)]
    before, after = (json.loads(text) for text in ((others if len(others) else rows.iloc[:-1])["candidates"].iloc[-1],
                                                   rows["candidates"].iloc[-1]))
    moved = [f"{safe(model)} from {chance(before[model]['probability'])} to {chance(one['probability'])}"
             for model, one in after.items()
             if model in before and not unknown(one["probability"]) and not unknown(before[model]["probability"])]
    if moved:
        what = ("the lower bound of the probability that every gate holds" if len(plan.gates) > 1 else
                "the probability that the gate holds")
        since = "the last report on other data or another plan" if len(others) else "the report before"
        said.append(f"Since {since}, {what} moved for {listed(moved)}.")
    if rows["plan_digest"].nunique() > 1:
        said.append(f"The plan changed between reports: {section('What was compared')} says whether a margin moved.")
    quick = rows["fast"].astype(bool)
    if quick.any() and not quick.all():
        said.append(f"{counted(quick.sum(), 'report was a fast run', 'reports were fast runs')}, whose probabilities "
                    "rest on few draws.")
    flagged = [safe(model) for model, one in after.items() if one["flagged"]]
    if flagged:
        said.append(f"Live requests contradict the test set on {listed(flagged)}.")
    return Said(" ".join(said))


def _option(name: str, plan: Plan) -> str:
    return f"staying with {safe(name)}" if name == plan.incumbent else f"switching to {safe(name)}"


def _fails(row: dict) -> str:
    return f" (fails {safe(row['fails'])})" if row["fails"] else ""


def _open(decision: dict) -> list[str]:
    """The candidates that are not ruled out, or all where every one is."""
    return [model for model, one in decision["candidates"].items() if one["verdict"] != "keep"] or list(
        decision["candidates"])


def _a_day(row: pd.Series, plan: Plan) -> str:
    word = "more" if row["mean"] > 0 else "fewer"
    low, high = (amount(abs(row[end])) for end in ("lower", "upper"))
    words = ["more" if row[end] > 0 else "fewer" for end in ("lower", "upper")]
    span = f"{low} {words[0]} to {high} {words[1]}" if words[0] != words[1] else (
        f"{low} to {high}" if word == "more" else f"{high} to {low}")
    return (f"is expected to have {amount(abs(row['mean']))} {word} on the worse side "
            f"({level(plan.sampling.interval)} {span})")


def _answer(row: pd.Series, plan: Plan) -> str:
    unit = unit_of(plan.criterion(row["criterion"]))
    where = "" if row["slice"] == TOTAL else f" in {safe(row['slice'])}"
    who = f"{safe(row['candidate'])} on {safe(row['criterion'])}{where}"
    if unknown(row["mean"]):
        return f"{who}: nobody has judged it, so nothing is known."
    told = f"{who}: {unit.versus(row['mean'])} ({unit.span(row['lower'], row['upper'])})"
    if not unknown(row["probability"]):
        told += f"; the probability of losing no more than {unit.size(row['margin'])} is {chance(row['probability'])}"
    few = "; no label stands behind it, so it is a guess" if not row["n_labels"] and not row["live"] else ""
    only = f", live requests of {safe(row['live_part'])} only" if row["live_part"] else ""
    return f"{told}{f'; test set and live requests joined{only}' if row['live'] else few}."


def _verdict(row: pd.Series, plan: Plan) -> str:
    return {"switch": f"switch to {safe(row['candidate'])}", "keep": f"keep {safe(plan.incumbent)}",
            "collect": "collect"}[row["verdict"]]
