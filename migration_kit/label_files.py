"""Files of labelling: tasks as `migration-kit labels` writes them, and the answers of each rater beside them."""

import csv
import io
import re
import shlex
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from migration_kit.errors import InputError, Problems, listing, quote
from migration_kit.label_scales import PREFERENCE, canonical, is_scale

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

    tasks: int
    raters: tuple[RaterProgress, ...]
    problem: str = ""


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
    try:
        known = read_tasks(tasks)
    except InputError as error:
        return LabelProgress(0, (), str(error))
    found = []
    for name in raters_so_far(tasks):
        path = answers_path(tasks, name)
        try:
            answers = read_answers(path.name, path.read_bytes(), known, rater=name, of=tasks.name)
        except (InputError, OSError) as error:
            found.append(RaterProgress(name, 0, 0, str(error)))
            continue
        skipped = sum(one.skipped for one in answers)
        found.append(RaterProgress(name, len(answers) - skipped, skipped))
    return LabelProgress(len(known), tuple(found))


def label_commands(plan: str, folder: str, budget: int | None) -> tuple[str, str]:
    """Return the commands that choose the next outputs to label and that bring the answers in.

    Parameters
    ----------
    plan, folder : str
        Plan and run folder, as a command names them.
    budget : int or None
        Labels the plan allows; the first command asks for no more, and for no more than a person does in one go.
    """
    tasks, n = f"{folder}/{NEXT}", min(budget or ENOUGH_TO_BEGIN, ENOUGH_TO_BEGIN)
    start, scores = ["migration-kit", "labels", plan], (PurePosixPath(plan).parent / "scores_labels.csv").as_posix()
    return (shlex.join([*start, "--n", str(n), "--out", tasks]),
            shlex.join([*start, "--collect", tasks, "--out", scores]))


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
        No such file, missing columns, no tasks, an id that stands twice, or a scale that is not known; by line.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; `migration-kit labels PLAN --n N --out {path.name}` makes it")
    header, rows = _rows(path.name, path.read_bytes())
    missing = [name for name in TASK_COLUMNS if name not in header]
    if "output" not in header and not {"left", "right"} <= set(header):
        missing.append("output")
    if missing:
        raise InputError(f"{path.name}: the column {quote(missing[0])} is missing (found: {listing(header)}); "
                         "`migration-kit labels` writes such files whole")
    problems, tasks = Problems(), {}
    for line, row in rows:
        place = f"{path.name} line {line}"
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
        Every line that cannot be used, and what to do about it.
    """
    header, rows = _rows(name, content)
    if tuple(header) != ANSWER_COLUMNS:
        raise InputError(f"{name} line 1: expected the columns {', '.join(ANSWER_COLUMNS)}; found "
                         f"{', '.join(header) or 'nothing'}\n{_mend(name)}")
    problems, answers = Problems(), {}
    for line, row in rows:
        wrong = _wrong(row, tasks, answers, rater, of)
        if wrong:
            problems.add(f"{name} line {line}", wrong)
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
    content = io.StringIO()
    rows = csv.writer(content, lineterminator="\n")
    rows.writerow(ANSWER_COLUMNS)
    rows.writerows([one.task_id, one.criterion, rater, one.value, one.comment, int(one.skipped), one.time]
                   for one in answers)
    return content.getvalue()


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


def _rows(name: str, content: bytes) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Header, and every row with the line it ends on."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(f"{name} line {line}: is not UTF-8 text; save it as CSV in UTF-8") from None
    # Outputs of models may be longer than what the csv module takes unless told.
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    head = text.partition("\n")[0]
    # Some spreadsheets save with semicolons.
    mark = ";" if head.count(";") > head.count(",") else ","
    reader, rows = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=mark), []
    try:
        header = next(reader, [])
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                raise InputError(f"{name} line {reader.line_num}: has {len(cells)} columns, expected {len(header)} as "
                                 "in the header")
            rows.append((reader.line_num, dict(zip(header, cells, strict=True))))
    except csv.Error as error:
        raise InputError(f"{name} line {reader.line_num}: is not readable as CSV ({error})") from None
    return header, rows
