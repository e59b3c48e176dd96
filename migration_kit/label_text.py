"""Plain text for the terminal on labels: what was chosen and why, what was collected, and what comes next."""

import shlex
from itertools import count
from pathlib import Path

from migration_kit.data import EvalData
from migration_kit.errors import InputError
from migration_kit.label_collect import NO_NAME, Collected
from migration_kit.label_plan import gains, left_over
from migration_kit.label_prospects import PLANNED, NextLabels
from migration_kit.label_tasks import TaskFiles
from migration_kit.label_words import cannot_be_told, gate_in_report, must_be_new, run_says, says, what_blocks, worth
from migration_kit.plan import Plan
from migration_kit.plan_spec import TableSpec
from migration_kit.readers.files import find_files, shown
from migration_kit.wording import chance, counted, listed, rounded_down, text_table


def labels_text(
    found: NextLabels, plan: Plan, data: EvalData, *, wanted: int, tasks: int, files: TaskFiles, plan_path: Path,
    decision: dict | None = None,
) -> str:
    """What was drawn for people to judge, why, what it is worth, and what comes next.

    `decision` is that of the last report on the same plan and data, where there is one.
    """
    chosen, n = found.plan, len(found.plan.items)
    lines = [f"{counted(n, 'item')} drawn of {left_over(chosen):,} not judged yet for all of these models: "
             f"{counted(tasks, 'task')}"]
    if n < wanted:
        lines.append(f"  {wanted:,} were asked for; no more items are left that could be judged for all these models")
    lines += [f"  asked       {', '.join(chosen.criteria)}",
              f"  of          {', '.join((plan.incumbent, *chosen.models))}"]
    lines += [f"  not of      {model}: {why}" for model, why in found.prospects.closed.items()
              if model not in chosen.models]
    lines.append(f"  decides     {_decides(found, plan, decision)}")
    metric = plan.criterion(chosen.criterion).primary_metric
    for row in gains(chosen.strata).itertuples():
        where = f"in {row.name}" if row.by == "slice" else f"where {says(row.name, metric)}"
        lines.append(f"  more of     {row.next:,.0f} of them {where}; a random draw would have {row.at_random:.0f}")
    lines.append(f"  worth       {worth(chosen)}")
    parts = ["\n".join(lines), _expected(found, plan, decision)]
    tables = {"outputs": data.outputs, "items": data.items}
    unseen = [f"of {what} (column text of data.{what})" for what, table in tables.items() if "text" not in table]
    if unseen:
        parts.append(f"The data hold no texts {listed(unseen, last='nor')}, so the tasks show none. Add them and "
                     "choose again, or have somebody who does not judge fill them in by the key, "
                     f"{files.key.name}.")
    parts.append("\n".join([
        "written", f"  {files.tasks}  the tasks: fill in `value`, `rater` and, if you like, `comment`",
        f"  {files.key}  which model each task stands for: keep it from those who judge",
        f"  {files.inclusion}  with what probability each item was chosen",
        f"  {files.label_studio}, {files.interface.name}  the same for Label Studio, and its labelling interface"]))
    # A name that is free, in the folder that paths of the plan start from.
    names = (plan.folder / f"scores_labels{'' if n == 1 else f'_{n}'}.csv" for n in count(1))
    scores = next(path for path in names if not path.exists())
    parts.append("when people have judged\n  " + shlex.join(
        ["migration-kit", "labels", str(plan_path), "--collect", str(files.tasks), "--out", str(scores)]))
    return "\n\n".join(parts)


def collected_text(found: Collected, plan: Plan, *, out: Path, inclusion: Path, plan_path: Path) -> str:
    """What answers there were, what was written, and the lines of the plan that take them in."""
    who = ", ".join(f"{rater} {n:,}" for rater, n in sorted(found.raters.items()))
    lines = [f"{counted(found.answered, 'task')} of {found.tasks:,} judged ({who})"]
    if found.skipped:
        lines.append(f"  {counted(found.skipped, 'answer')} skipped")
    if found.answered < found.tasks:
        lines.append(f"  {found.tasks - found.answered:,} wait for an answer; what is there can be used, and collected "
                     "again with --force")
    if found.unnamed:
        lines.append(f"  answers without a rater: {found.unnamed:,}, taken as those of one person, '{NO_NAME}'")
    parts = ["\n".join(lines), "\n".join([
        "written", f"  {out}  {counted(len(found.scores), 'judgment')} of outputs, as rows of scores",
        f"  {inclusion}  with what probability each item has been labelled by now, in all rounds"])]
    folder = plan.folder.resolve()
    named = {path.resolve() for key, kind, table in plan.tables() if kind in ("scores", "inclusion")
             for path in _files_of(table, plan, key)}
    if {out.resolve(), inclusion.resolve()} <= named:
        parts.append("The plan reads both already.")
    else:
        parts.append("\n".join([
            f"put into {plan.path}", "  data:", "    scores:",
            f"      - {{path: {shown(out.resolve(), folder)}}}    # one more line",
            f"    inclusion: [{{path: {shown(inclusion.resolve(), folder)}}}]    # in place of an earlier round's"]))
    parts.append("\n  ".join(["then", shlex.join(["migration-kit", "run", str(plan_path)])]))
    return "\n\n".join(parts)


def _decides(found: NextLabels, plan: Plan, decision: dict | None) -> str:
    chosen = found.plan
    if plan.criterion(chosen.criterion).role != "gate":
        return f"{chosen.criterion}, which is no gate: these labels settle no verdict"
    if found.weakest is None:
        return f"{chosen.criterion}: nobody has judged candidate and incumbent on it yet"
    return (f"{chosen.criterion}, the gate least likely to hold: {found.weakest} with probability "
            f"{rounded_down(found.probability)} by this first look, asked is {plan.decision.assurance:g}"
            f"{gate_in_report(decision, found.weakest, chosen.criterion)}")


def _expected(found: NextLabels, plan: Plan, decision: dict | None) -> str:
    """How likely a verdict is, by candidate and number of labelled items."""
    curve = found.curve[found.curve["chosen"] == PLANNED]
    blocking = found.prospects.blocking
    blocks = [f"  {what_blocks(blocking, curve, criteria=found.plan.criteria)}"] if blocking else []
    if curve.empty:
        return "\n".join(["Not all gates have labels of candidate and incumbent yet, so it cannot be told how many "
                          "labels settle a verdict; ask again when these are in.", *blocks])
    waiting = [model for model in found.plan.models if model not in curve["model"].unique()]
    if waiting:
        blocks.insert(0, f"  {cannot_be_told(waiting, found.prospects.held_back)}")
    wide = curve.pivot(index="model", columns="labels", values="settled").reindex(curve["model"].unique())
    rows = [[str(model), found.prospects.verdicts[str(model)], *(chance(share) for share in row.tolist()[1:])]
            for model, row in zip(wide.index, wide.to_numpy(), strict=True)]
    heads = ["candidate", "first look", *(f"{n}" for n in wide.columns[1:])]
    live = ", without live requests" if plan.data.live else ""
    known = (f"  {run_says(decision, found.plan.models)}" if decision else
             "  `migration-kit run` knows better: it fits the whole calibration")
    return "\n".join([text_table("probability of a verdict after so many more items", heads, rows,
                                 numbers=set(range(2, len(heads)))), *blocks,
                      *([f"  {new}"] if (new := must_be_new(found.plan, curve["labels"])) else []),
                      f"  from labels and metric verdicts of the test set alone{live}", known])


def _files_of(table: TableSpec, plan: Plan, key: str) -> list[Path]:
    try:
        return find_files(table.path, folder=plan.folder, key=key)
    except InputError:
        return []
