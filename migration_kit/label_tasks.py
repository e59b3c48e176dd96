"""Labelling tasks as files: blind to model and metric, shuffled, with a key apart; written all or none.

Label Studio's forms are those of its guide: tasks are `{"data": {...}}`, and the interface is XML whose tags read the
fields of `data` (labelstud.io/guide/tasks, labelstud.io/tags/choices).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import quoteattr

import numpy as np
import pandas as pd

from migration_kit.data import EvalData
from migration_kit.errors import InputError, listing
from migration_kit.files import write_together
from migration_kit.label_files import answers_path, csv_text, raters_so_far, read_cells
from migration_kit.label_plan import LabelPlan
from migration_kit.label_scales import PREFERENCE, choices
from migration_kit.plan import CriterionSpec, Plan
from migration_kit.readers.files import find_files

OUTPUTS = ("output", "left", "right")
TASK_COLUMNS = ["task_id", "item_id", "criterion", "question", "scale", "text", *OUTPUTS, "value", "rater", "comment"]
KEY_COLUMNS = ["task_id", "item_id", "model", "opponent", "side", "criterion"]
BLOCK = 10
# What a spreadsheet would take for a formula; a space that does not break is seen by nobody and prevents it.
FORMULA, SHIELD = ("=", "+", "-", "@", "\t", "\r"), "\N{NO-BREAK SPACE}"
NO_TEXT = "\N{EN DASH}"


class TaskFiles(NamedTuple):
    """The files of one round of labels."""

    tasks: Path
    key: Path
    inclusion: Path
    label_studio: Path
    interface: Path


def task_files(out: Path) -> TaskFiles:
    """Return where the files of `FILE.csv` stand.

    Raises
    ------
    InputError
        The name has no `.csv` at its end.
    """
    if out.suffix.lower() != ".csv":
        raise InputError(f"--out {out}: expected a name that ends in .csv, such as {out.with_suffix('.csv')}; the "
                         "other files stand beside it")
    ends = (".key.csv", ".inclusion.csv", ".labelstudio.json", ".labelstudio.xml")
    return TaskFiles(out, *(out.with_name(out.stem + end) for end in ends))


def write_tasks(plan: Plan, data: EvalData, chosen: LabelPlan, out: Path, *, seed: int, force: bool) -> int:
    """Write the files of `chosen` and return the number of tasks.

    Raises
    ------
    InputError
        A file is there already and `force` is not set, somebody has answered tasks of that name, or a file is one that
        the plan reads; nothing is written.
    """
    if chosen.asks.empty:
        raise InputError(f"{plan.path.name}: no item is left to be judged on {chosen.criterion}: every one that has an "
                         f"output of {', '.join((plan.incumbent, *chosen.models))}, in a slice with traffic, was "
                         "judged; add items")
    files = task_files(out)
    refuse_to_overwrite(plan, files, force=force)
    answered = [answers_path(out, rater).name for rater in raters_so_far(out)]
    if files.tasks.exists() and read_cells(files.tasks, ()).get("value", pd.Series(dtype="str")).str.strip().any():
        answered.append(out.name)
    if answered:
        raise InputError(f"{out}: {listing(answered)} {'holds' if len(answered) == 1 else 'hold'} answers to tasks of "
                         "that name, which new tasks would turn into answers to other questions; collect them and move "
                         "them away, or take another --out")
    tasks, key = task_table(plan, data, chosen, seed=seed)
    written = tasks.assign(**{name: tasks[name].map(_shielded) for name in ("question", "text", *OUTPUTS)})
    kept = [name for name in TASK_COLUMNS if name not in OUTPUTS or tasks[name].notna().any()]
    studio = json.dumps([{"data": one} for one in _studio_tasks(tasks)], indent=1, ensure_ascii=False)
    write_together({
        # The mark at the beginning tells spreadsheets that this is UTF-8.
        files.tasks: "\ufeff" + csv_text(written[kept]),
        files.key: csv_text(key), files.inclusion: csv_text(chosen.inclusion),
        files.label_studio: f"{studio}\n", files.interface: studio_interface(tasks)})
    return len(tasks)


def refuse_to_overwrite(plan: Plan, files: Iterable[Path], *, force: bool) -> None:
    """Raise InputError where a file is there already (unless `force`), or is one that the plan reads."""
    there = [path for path in files if path.exists()]
    for path in there:
        if path.resolve() in _read_by(plan):
            raise InputError(f"{path}: the plan reads this file, so it is not written over; take another name")
    if there and not force:
        raise InputError(f"{listing([path.name for path in there])} in {there[0].parent.resolve()}: "
                         f"{'is' if len(there) == 1 else 'are'} there already; take another name, or --force to write "
                         f"over {'it' if len(there) == 1 else 'them'}")


def task_table(plan: Plan, data: EvalData, chosen: LabelPlan, *, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Turn what is asked into tasks and their key.

    Outputs of one item that are word for word the same are one task. Items come in random order and in groups of ten,
    whose tasks are shuffled; so whoever stops early leaves whole items judged. The questions on one output follow each
    other.

    Returns
    -------
    tasks : DataFrame
        `TASK_COLUMNS`; output, or left and right, are missing where the task has none.
    key : DataFrame
        `KEY_COLUMNS`, one row a model that a task stands for.
    """
    rng, asks = np.random.default_rng(seed), chosen.asks
    group = asks.groupby(["position", "item_id", "opponent", "output", "criterion"], sort=False)
    units: dict[tuple, list[tuple]] = {}
    for (position, item, opponent, output, criterion), rows in group:
        # Preferences are tasks of their own; the other questions go with the output.
        unit = (position // BLOCK, item, output, criterion if opponent else "")
        units.setdefault(unit, []).append((criterion, opponent, rows["model"].tolist()))
    blocks: dict[int, list[tuple]] = {}
    for unit in units:
        blocks.setdefault(unit[0], []).append(unit)
    ordered = [blocks[block][place] for block in sorted(blocks) for place in rng.permutation(len(blocks[block]))]
    said, text = _texts(data.outputs, ["item_id", "model"]), _texts(data.items, ["item_id"])
    tasks, key = [], []
    for unit in ordered:
        item = unit[1]
        for criterion, opponent, models in units[unit]:
            spec, task_id = plan.criterion(criterion), f"t{len(tasks) + 1:04d}"
            own, side = said.get((item, models[0]), ""), ("left", "right")[int(rng.integers(2))] if opponent else ""
            shown_outputs = {"output": own}
            if opponent:
                other = said.get((item, opponent), "")
                shown_outputs = {"left": own, "right": other} if side == "left" else {"left": other, "right": own}
            tasks.append({"task_id": task_id, "item_id": item, "criterion": criterion, "question": spec.question or "",
                          "scale": scale_of(spec), "text": text.get(item, ""), **shown_outputs})
            key += [[task_id, item, model, opponent, side, criterion] for model in models]
    return pd.DataFrame(tasks, columns=TASK_COLUMNS), pd.DataFrame(key, columns=KEY_COLUMNS)


def scale_of(criterion: CriterionSpec) -> str:
    """Return the scale of a criterion as tasks name it."""
    if criterion.kind == "ordinal":
        return f"{criterion.levels[0]:g}-{criterion.levels[-1]:g}"
    return {"binary": "0/1", "continuous": "number", "pairwise": PREFERENCE}[criterion.kind]


def studio_words(scale: str) -> dict[str, str]:
    """What Label Studio shows for each answer of a scale, to the value it stands for; empty where a number is typed."""
    words = scale in ("0/1", PREFERENCE)
    return {one.label if words else one.value: one.value for one in choices(scale)}


def studio_interface(tasks: pd.DataFrame) -> str:
    """Return Label Studio's labelling interface for some tasks."""
    scales = tasks["scale"].unique().tolist()
    filled = [name for name in ("text", *OUTPUTS) if any(isinstance(one, str) and one for one in tasks[name])]
    fields = filled or [name for name in OUTPUTS if tasks[name].notna().any()]
    lines = ["<View>", '  <Header value="$question"/>']
    lines += [f'  <Text name="{name}" value="${name}"/>' for name in fields if name not in ("left", "right")]
    if "left" in fields or "right" in fields:
        lines += ['  <View style="display: flex; gap: 2em">',
                  *(f'    <View style="flex: 1"><Header value="{name}"/><Text name="{name}" value="${name}"/></View>'
                    for name in ("left", "right")), "  </View>"]
    to = fields[0]
    closed = [scale for scale in scales if studio_words(scale)]
    if len(scales) == 1 and closed:
        lines.append(f'  <Choices name="value" toName="{to}" choice="single" showInline="true">')
        lines += [f"    <Choice value={quoteattr(word)}/>" for word in studio_words(scales[0])]
        lines.append("  </Choices>")
    elif closed:
        lines.append(f'  <Choices name="value" toName="{to}" choice="single" showInline="true" value="$choices"/>')
    if len(closed) < len(scales):
        lines.append(f'  <Number name="number" toName="{to}"/>')
    lines.append(f'  <TextArea name="comment" toName="{to}" placeholder="Comment, if you like" rows="2" '
                 'maxSubmissions="1"/>')
    return "\n".join([*lines, "</View>", ""])


def _studio_tasks(tasks: pd.DataFrame) -> list[dict[str, Any]]:
    found = []
    for row in tasks.to_dict("records"):
        # Label Studio wants every field that its interface shows, and something in it.
        fields = {name: row[name] if isinstance(row[name], str) and row[name] else NO_TEXT
                  for name in ("question", "text", *OUTPUTS)}
        found.append({name: row[name] for name in ("task_id", "item_id", "criterion", "scale")} | fields
                     | {"choices": [{"value": word} for word in studio_words(row["scale"])]})
    return found


def _texts(table: pd.DataFrame, key: Sequence[str]) -> Mapping[Any, str]:
    if "text" not in table:
        return {}
    known = table[table["text"].notna()]
    return dict(zip(known[list(key)].itertuples(index=False, name=None) if len(key) > 1 else known[key[0]],
                    known["text"], strict=True))


def _shielded(text: object) -> object:
    return SHIELD + text if isinstance(text, str) and text.startswith(FORMULA) else text


def _read_by(plan: Plan) -> set[Path]:
    """The plan file, and every file there is that it names."""
    found = {plan.path.resolve()}
    for key, _, table in plan.tables():
        # One that is not there cannot be written over.
        with suppress(InputError):
            found |= {path.resolve() for path in find_files(table.path, folder=plan.folder, key=key)}
    return found
