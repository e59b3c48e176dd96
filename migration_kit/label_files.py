"""Files of labelling: tasks as `migration-kit labels` writes them, and the answers of each rater beside them."""

import re
import shlex
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pandas as pd

from migration_kit.errors import InputError, Problems, listing, quote
from migration_kit.label_scales import PREFERENCE, canonical, is_scale
from migration_kit.readers.files import csv_source

ANSWER_COLUMNS = ("task_id", "criterion", "rater", "value", "comment", "skipped", "time")
TASK_COLUMNS = ("task_id", "criterion", "question", "scale")
SUFFIX = ".answers.csv"
NEXT = "labels/next.csv"
ENOUGH_TO_BEGIN = 100
PLAIN_NAME = re.compile(r"[^\W_][\w-]{0,39}")


@dataclass(frozen=True)
class Task:
    """One question to a rater; nothing in it names a model or a metric."""

    task_id: str
    item_id: str
    criterion: str
    question: str
    scale: str
    text: str
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What a rater said of a task; `value` is "" where it was skipped."""

    task_id: str
    criterion: str
    value: str
    comment: str
    skipped: bool
    time: str


class RaterProgress(NamedTuple):
    """How far a rater has come; `problem` says why his file of answers cannot be read, "" where it can."""

    rater: str
    judged: int
    skipped: int
    problem: str = ""


class LabelProgress(NamedTuple):
    """How far a task file has been judged; `problem` says why it cannot be used, "" where it can."""

    file: str
    tasks: int
    raters: tuple[RaterProgress, ...]
    problem: str = ""


def rounds_so_far(folder: Path) -> int:
    """Return how many rounds of labels a run folder has tasks of."""
    return next(number for number in count() if not (folder / tasks_of_round(number + 1)).is_file())


def tasks_of_round(number: int) -> str:
    """Return where a run folder keeps the tasks of a round, counted from 1."""
    return NEXT if number == 1 else NEXT.replace(".csv", f"_{number}.csv")


def latest_tasks(folder: Path) -> Path:
    """Return the tasks of the latest round in a run folder, or where those of the first will be."""
    return folder / tasks_of_round(max(rounds_so_far(folder), 1))


def answers_path(tasks: Path, rater: str) -> Path:
    """Return where a rater's answers to a task file are kept: `FILE.<rater>.answers.csv` beside `FILE.csv`."""
    return tasks.with_name(f"{tasks.stem}.{rater}{SUFFIX}")


def raters_so_far(tasks: Path) -> list[str]:
    """Return who has answers to a task file already, in alphabetical order."""
    lead = f"{tasks.stem}."
    found = (path.name for path in tasks.parent.glob(f"*{SUFFIX}"))
    names = (name[len(lead) : -len(SUFFIX)] for name in found if name.startswith(lead))
    return sorted(name for name in names if PLAIN_NAME.fullmatch(name))


def label_progress(tasks: Path) -> LabelProgress | None:
    """Count what each rater has answered; None where no tasks have been written yet."""
    if not tasks.is_file():
        return None
    name = f"{tasks.parent.name}/{tasks.name}"
    try:
        known = read_tasks(tasks)
    except InputError as error:
        return LabelProgress(name, 0, (), str(error))
    found = []
    for rater in raters_so_far(tasks):
        path = answers_path(tasks, rater)
        try:
            answers = read_answers(path.name, path.read_bytes(), known, rater=rater, of=tasks.name)
        except (InputError, OSError) as error:
            found.append(RaterProgress(rater, 0, 0, str(error)))
            continue
        skipped = sum(one.skipped for one in answers)
        found.append(RaterProgress(rater, len(answers) - skipped, skipped))
    return LabelProgress(name, len(known), tuple(found))


def label_commands(plan: str, folder: str, budget: int | None, *, rounds: int) -> tuple[str, str]:
    """Return the commands that choose the next outputs to label and that bring the answers of the latest round in.

    Parameters
    ----------
    plan, folder : str
        Plan and run folder, as a command names them.
    budget : int or None
        Labels the plan allows; the first command asks for no more, and for no more than a person does in one go.
    rounds : int
        From `rounds_so_far`.
    """
    start, n = ["migration-kit", "labels", plan], min(budget or ENOUGH_TO_BEGIN, ENOUGH_TO_BEGIN)
    scores = PurePosixPath(plan).parent / f"scores_labels{f'_{rounds}' if rounds > 1 else ''}.csv"
    return (shlex.join([*start, "--n", str(n), "--out", f"{folder}/{tasks_of_round(rounds + 1)}"]),
            shlex.join([*start, "--collect", f"{folder}/{tasks_of_round(max(rounds, 1))}", "--out", scores.as_posix()]))


def rater_name(rater: str, tasks: Path) -> str:
    """Return a rater's name as it stands in file names.

    Raises
    ------
    InputError
        It is no plain name, or differs from a rater's who is there already by nothing but capital letters.
    """
    name = unicodedata.normalize("NFC", rater.strip())
    if not PLAIN_NAME.fullmatch(name):
        raise InputError(f"The name {quote(rater)} cannot be part of a file name: use up to 40 letters, digits, "
                         "hyphens or underscores, beginning with a letter or a digit, such as ann or rater-2.")
    alike = [one for one in raters_so_far(tasks) if one.casefold() == name.casefold() and one != name]
    if alike and name not in raters_so_far(tasks):
        raise InputError(f"The name {quote(name)} differs from {quote(alike[0])}, who has answers already, only by "
                         f"capital letters: write {quote(alike[0])} to go on with those, or take another name.")
    return name


def read_tasks(path: Path) -> dict[str, Task]:
    """Read a task file as `migration-kit labels` writes it.

    Raises
    ------
    InputError
        No such file, missing columns, no tasks, an id that stands twice, or a scale that is not known; by row.
    """
    cells = read_cells(path, TASK_COLUMNS)
    if "output" not in cells and not {"left", "right"} <= set(cells):
        raise _missing(path.name, "output", cells)
    problems, tasks = Problems(), {}
    for number, row in numbered(cells):
        place = f"{path.name} row {number}"
        if not row["task_id"].strip():
            problems.add(place, "task_id is empty")
        elif row["task_id"] in tasks:
            problems.add(place, f"the task {quote(row['task_id'])} stands there twice")
        elif not is_scale(row["scale"]):
            problems.add(place, f"scale {quote(row['scale'])} is not known; expected 0/1, two levels such as 1-5, "
                         "number or left/right/tie")
        else:
            names = ("left", "right") if row["scale"] == PREFERENCE else ("output",)
            tasks[row["task_id"]] = Task(
                row["task_id"], row.get("item_id", ""), row["criterion"], row["question"], row["scale"],
                row.get("text", ""), tuple(row.get(name, "") for name in names))
    problems.stop()
    if not tasks:
        raise InputError(f"{path.name}: there is no task in it")
    return tasks


def read_answers(name: str, content: bytes, tasks: dict[str, Task], *, rater: str, of: str) -> tuple[Answer, ...]:
    """Read the content of a rater's file of answers to the tasks of the file `of`, oldest answer first.

    Raises
    ------
    InputError
        Every row that cannot be used, and what to do about it.
    """
    try:
        cells = _cells(content, name)
    except InputError as error:
        raise InputError(f"{error}\n{_mend(name)}") from None
    if tuple(cells) != ANSWER_COLUMNS:
        raise InputError(f"{name}: expected the columns {', '.join(ANSWER_COLUMNS)}; found {', '.join(cells)}\n"
                         f"{_mend(name)}")
    problems, answers = Problems(), {}
    for number, row in numbered(cells):
        wrong = _wrong(row, tasks, answers, rater, of)
        if wrong:
            problems.add(f"{name} row {number}", wrong)
            continue
        value = canonical(row["value"], tasks[row["task_id"]].scale) if row["value"] else ""
        answers[row["task_id"]] = Answer(row["task_id"], row["criterion"], value, row["comment"],
                                         row["skipped"] == "1", row["time"])
    if problems.lines:
        problems.lines.append(_mend(name))
    problems.stop()
    return tuple(answers.values())


def answers_text(answers: Sequence[Answer], rater: str) -> str:
    """Return a rater's answers as the text of a CSV file."""
    rows = [[one.task_id, one.criterion, rater, one.value, one.comment, int(one.skipped), one.time] for one in answers]
    return csv_text(pd.DataFrame(rows, columns=list(ANSWER_COLUMNS)))


def csv_text(table: pd.DataFrame) -> str:
    """Return a table as the text of a CSV file; missing cells are empty."""
    return table.to_csv(index=False, lineterminator="\n")


def read_cells(path: Path, needed: Sequence[str]) -> pd.DataFrame:
    """Read a file of labelling as text cells, "" where a row has none, indexed by the row of the file.

    Raises
    ------
    InputError
        No such file, one that is no CSV in UTF-8, or without a column that is needed.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; `migration-kit labels PLAN --n N --out ...` writes it, keep "
                         "its files in one folder")
    cells = _cells(path.read_bytes(), path.name)
    for column in needed:
        if column not in cells:
            raise _missing(path.name, column, cells)
    return cells


def numbered(cells: pd.DataFrame) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of `read_cells` with their numbers."""
    return zip(cells.index.tolist(), cells.to_dict("records"), strict=True)


def _wrong(row: dict[str, str], tasks: dict[str, Task], answers: dict, rater: str, of: str) -> str:
    """Say what is wrong with a row of answers; "" where nothing is."""
    task = tasks.get(row["task_id"])
    if task is None:
        return f"the task {quote(row['task_id'])} is not in {of}"
    if row["task_id"] in answers:
        return f"the task {quote(row['task_id'])} stands there twice"
    if row["criterion"] != task.criterion:
        return f"criterion {quote(row['criterion'])}, but {of} asks about {quote(task.criterion)}"
    if row["rater"] != rater:
        return f"rater {quote(row['rater'])}, expected {quote(rater)}, as in the name of the file"
    if row["skipped"] not in ("0", "1") or (row["skipped"] == "1") != (row["value"] == ""):
        return (f"skipped is {quote(row['skipped'])} and value {quote(row['value'])}; expected 1 and nothing, or 0 and "
                "a value")
    if row["value"]:
        try:
            canonical(row["value"], task.scale)
        except InputError as error:
            return str(error)
    return ""


def _mend(name: str) -> str:
    return f"{name}: it was left as it is; mend those lines, or move the file away to begin anew, and start again"


def _cells(content: bytes, name: str) -> pd.DataFrame:
    source = csv_source(content, name)
    return source.cells.set_index(source.rows)


def _missing(name: str, column: str, cells: pd.DataFrame) -> InputError:
    return InputError(f"{name}: column {quote(column)} is missing; the file has {listing(list(cells), 12)}. "
                      "`migration-kit labels` writes such files whole")
