"""Tables of stage 05: expected losses, outputs a day, who stopped where, stakeholders, how the verdict moved."""

import pandas as pd
from great_tables import GT

from migration_kit.estimands import TOTAL
from migration_kit.history import moves
from migration_kit.loss import loss_text, no_option_to_stay
from migration_kit.plan import Plan
from migration_kit.stakeholders import BY_ONE, BY_PLAN, signers
from migration_kit.tables.grid import NAME, NUMBER, TEXT, grid
from migration_kit.wording import DASH, amount, asked, at_least, chance, counted, level, signed_number, unit_of, unknown


def losses(decision: dict, plan: Plan) -> GT:
    """What staying and each switch are expected to cost; from `decision.json`."""
    rows, stuck = [], no_option_to_stay(decision, plan)
    for row in decision["losses"]:
        stays = row["option"] == plan.incumbent
        marks = ["smallest"] * (row["option"] == decision["cheapest"]) + ["no option"] * (stays and stuck)
        rows.append([f"stay with {row['option']}" if stays else f"switch to {row['option']}",
                     DASH if stays else chance(row["prob_worse"]), loss_text(row, plan),
                     row["fails"] or DASH, ", ".join(marks)])
    several = len(plan.gates) > 1
    unit = plan.costs.unit if plan.costs else "no costs in the plan"
    return grid([("choice", NAME), (f"loses more than a margin{', at most' if several else ''}", NUMBER),
                 (f"expected loss, {unit}", NUMBER), ("fails", TEXT), ("", TEXT)], rows,
                title="Expected loss of staying and of each switch",
                note="A switch is wrong where any gate loses more than its margin, a stay where a candidate that fails "
                     "nothing does not.")


def forced(decision: dict, plan: Plan) -> GT:
    """Candidates ranked for a choice that must be made now; from `decision.json`."""
    rows = [[str(place), row["option"], decision["candidates"][row["option"]]["verdict"], chance(row["prob_worse"]),
             loss_text(row, plan), row["fails"] or DASH]
            for place, row in enumerate(decision["forced"]["ranking"], start=1)]
    several = ", at most" if len(plan.gates) > 1 else ""
    unit = plan.costs.unit if plan.costs else "no costs in the plan"
    return grid([("", NUMBER), ("candidate", NAME), ("verdict", TEXT), (f"loses more than a margin{several}", NUMBER),
                 (f"expected loss, {unit}", NUMBER), ("fails", TEXT)], rows,
                title="If a choice must be made now, the least bad first")


def people(rows: pd.DataFrame, plan: Plan) -> GT:
    """Margins and contrasts as outputs a day, from `loss.people`."""
    cells = [[row.candidate or "margin of the plan", amount(row.mean) if not row.candidate else _count(row.mean),
              DASH if unknown(row.lower) else f"{_count(row.lower)} to {_count(row.upper)}"]
             for row in rows.itertuples()]
    return grid([("", NAME), ("outputs a day on the worse side", NUMBER), (level(plan.sampling.interval), TEXT)], cells,
                title="Losses in outputs a day", groups=rows["criterion"].tolist(),
                note="Candidates: with the candidate minus with the incumbent; below 0 is fewer.")


def elimination(table: pd.DataFrame) -> GT:
    """Who stopped at which step and why, from `elimination.elimination`; steps that stopped nobody share a row."""
    rows, idle, left, fallen = [], [], "", False
    for number, row in enumerate(table.itertuples(), start=1):
        if not row.candidate:
            idle.append(row.step)
            left = row.remaining
        if idle and (row.candidate or number == len(table)):
            rows.append([", ".join(idle), f"nobody{' else' if fallen else ''}", "", "", left])
            idle = []
        if row.candidate:
            fallen = True
            rows.append([row.step, row.candidate, row.outcome, row.reason, row.remaining])
    return grid([("step", NAME), ("stopped here", NAME), ("outcome", TEXT), ("why", TEXT), ("remain", TEXT)], rows,
                title="From all candidates to those that may replace the incumbent",
                note="Ruled out: a requirement fails or a loss is shown. Not shown: more evidence could still let it "
                     "pass.")


def stakeholders(answers: pd.DataFrame, plan: Plan) -> GT:
    """Every concern with its number for every candidate, from `stakeholders.answers`."""
    cells, groups = [], []
    for row in answers.itertuples():
        unit = unit_of(plan.criterion(row.criterion))
        cells.append([row.candidate, row.criterion, "all traffic" if row.slice == TOTAL else row.slice,
                      unit.change(row.mean, unit=True), unit.span(row.lower, row.upper),
                      DASH if unknown(row.margin) else unit.size(row.margin), chance(row.probability),
                      f"{amount(row.n_labels)}{', and live' if row.live else ''}"])
        groups.append(f"{row.stakeholder}: {row.concern}")
    return grid([("candidate", NAME), ("criterion", TEXT), ("where", TEXT), ("contrast", NUMBER),
                 (level(plan.sampling.interval), TEXT), ("margin", NUMBER), ("loss smaller than margin", NUMBER),
                 ("labels", NUMBER)], cells,
                title="Whose concern is answered by which number", groups=groups,
                note="Labels of the candidate in the test set; and live: judged live outputs are joined with them.")


def utilities(decision: dict, plan: Plan) -> GT:
    """Utility and P(best) of candidates by the plan's weights and by stakeholders; from `decision.json`."""
    candidates = decision["candidates"]
    shown = [model for model, one in candidates.items() if one["verdict"] == "switch"] or list(candidates)
    weights, rows = {who.name: who.weight for who in plan.stakeholders}, {}
    for row in decision["utilities"]:
        whose = ("the plan" if row["by"] == BY_PLAN else
                 f"{row['name']} (weight {amount(weights[row['name']])})" if row["by"] == BY_ONE else
                 "all stakeholders by their weights")
        told = f"{signed_number(row['utility'])}; {chance(row['best'])}"
        rows.setdefault((row["by"], row["name"]), {"": whose})[row["candidate"]] = told
    return grid([("by the weights of", NAME), *((model, NUMBER) for model in shown)],
                [[row[""], *(row[model] for model in shown)] for row in rows.values()],
                title="Which candidate is best, by whose weights",
                note="Expected utility, contrasts as shares of what each scale can show; probability to be the best of "
                     f"{'those that may replace the incumbent' if len(shown) < len(candidates) else 'these'}.")


def history(rows: pd.DataFrame, plan: Plan) -> GT:
    """Verdict and probabilities of every finished report, from `Run.history`."""
    cells, groups, several = [], [], len(plan.gates) > 1
    for row in moves(rows).itertuples():
        held = at_least(row.probability) if several else chance(row.probability)
        cells.append([row.candidate, row.candidate_verdict, held, "contradict it" if row.flagged else DASH])
        groups.append(f"Report {row.number}, {row.time[:16].replace('T', ' ')} UTC: {row.verdict}; "
                      f"plan {row.plan_digest[:8]}, {counted(row.labels, 'human judgment')}, "
                      f"{counted(row.live_rows, 'live value')}{', fast' if row.fast else ''}")
    return grid([("candidate", NAME), ("verdict", TEXT), ("every gate holds" if several else "the gate holds", NUMBER),
                 ("live requests", TEXT)], cells, groups=groups, title="How the verdict moved, report by report",
                note=f"Asked of {'all gates together' if several else 'the gate'}: {asked(plan.decision.assurance)}.")


def sign_off(plan: Plan) -> GT:
    """A form to sign on paper: the owner of the decision and the stakeholders that sign."""
    concerns = {who.name.casefold(): who.concern for who in plan.stakeholders}
    blank = " " * 24
    rows = [[role, concerns.get(role.casefold(), DASH), blank, blank, blank, blank]
            for role in signers(plan) or ["decides"]]
    return grid([("role", NAME), ("concern", TEXT), ("name", TEXT), ("date", TEXT), ("decision", TEXT),
                 ("signature", TEXT)], rows, title="Sign-off", note="Bound to the plan and data digests of this run.")


def _count(value: float) -> str:
    if unknown(value):
        return DASH
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{amount(abs(value))}"
