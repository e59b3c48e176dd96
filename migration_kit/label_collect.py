"""Answers to labelling tasks, from files of any of three kinds, as rows of the scores contract."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from migration_kit.errors import InputError, Problems, listing, quote
from migration_kit.files import write_together
from migration_kit.label_files import (
    SUFFIX,
    answers_path,
    csv_text,
    numbered,
    raters_so_far,
    read_answers,
    read_cells,
    read_tasks,
)
from migration_kit.label_plan import INCLUSION_COLUMNS, with_answers
from migration_kit.label_scales import canonical
from migration_kit.label_tasks import (
    KEY_COLUMNS,
    TaskFiles,
    refuse_to_overwrite,
    scale_of,
    studio_words,
    task_files,
)
from migration_kit.plan import Plan

NO_NAME = "rater"
VALUES = {"left": {"left": 1, "tie": 0, "right": -1}, "right": {"left": -1, "tie": 0, "right": 1}}


class Given(NamedTuple):
    """One answer as it was found: the task, who, what ("" where it was skipped), a comment, and where it stands."""

    task_id: str
    rater: str
    value: str
    comment: str
    place: str


class Collected(NamedTuple):
    """Answers as scores.

    Attributes
    ----------
    scores : DataFrame
        Columns of the scores contract, one row a judgment of an output.
    inclusion : DataFrame
        As `label_plan.LabelPlan.inclusion`, with what was really judged.
    tasks, answered : int
        Tasks there are, and those with an answer.
    raters : dict
        Rater to judged tasks.
    skipped : int
    unnamed : int
        Answers in the task file that name no rater.
    """

    scores: pd.DataFrame
    inclusion: pd.DataFrame
    tasks: int
    answered: int
    raters: dict[str, int]
    skipped: int
    unnamed: int


def collect_answers(plan: Plan, tasks: Path, *, export: Path | None = None) -> Collected:
    """Join the answers to a task file with its key.

    Parameters
    ----------
    plan : Plan
    tasks : Path
        As `label_tasks.write_tasks` wrote it. Answers are taken from its own column `value`, and from every
        `FILE.<rater>.answers.csv` beside it.
    export : Path, optional
        JSON as Label Studio exports it (JSON or JSON-MIN).

    Raises
    ------
    InputError
        Every answer that cannot be used, with file, row and column, and what was expected; no answers at all.
    """
    files, problems = task_files(tasks), Problems()
    key = _read(files.key, KEY_COLUMNS)
    inclusion = _read_inclusion(files.inclusion)
    known = key.drop_duplicates("task_id").set_index("task_id")
    unknown = [name for name in known["criterion"].unique() if name not in {one.id for one in plan.criteria}]
    unknown += [name for name in key["model"].unique() if name not in plan.candidates and name != plan.incumbent]
    if unknown:
        raise InputError(f"{files.key.name}: {listing(unknown)} {'is' if len(unknown) == 1 else 'are'} not in the "
                         "plan; collect with the plan the tasks were made for")
    given, skipped = [], 0
    for source in (_own(files.tasks), _beside(files), _studio(export, known, problems) if export else ()):
        try:
            given += list(source)
        except InputError as error:
            problems.take(error)
    kept: dict[tuple[str, str], Given] = {}
    for one in given:
        if one.task_id not in known.index:
            problems.add(one.place, f"column 'task_id': {quote(one.task_id)} is not in {files.key.name}; expected a "
                                    f"task such as {known.index[0]}")
        elif not one.value:
            skipped += 1
        elif (one.task_id, one.rater) in kept:
            problems.add(one.place, f"rater {quote(one.rater)} has answered {one.task_id} already "
                                    f"({kept[one.task_id, one.rater].place}); keep one of the two")
        else:
            scale = scale_of(plan.criterion(known.loc[one.task_id, "criterion"]))
            try:
                kept[one.task_id, one.rater] = one._replace(value=canonical(one.value, scale))
            except InputError as error:
                problems.add(one.place, f"column 'value': {str(error).removeprefix('value ')}")
    problems.stop()
    if not kept:
        raise InputError(f"{tasks}: nobody has answered yet: its column 'value' is empty, and there is no "
                         f"{tasks.stem}.<rater>{SUFFIX} with answers beside it; fill either, or name Label Studio's "
                         "JSON export with --from")
    answered = {task for task, _ in kept}
    inclusion = with_answers(inclusion, _whole_items(key, answered))
    return Collected(
        _scores(key, list(kept.values()), inclusion), inclusion, len(known), len(answered),
        dict(Counter(rater for _, rater in kept)), skipped, sum(one.rater == NO_NAME for one in kept.values()))


def write_collected(plan: Plan, found: Collected, tasks: Path, out: Path, *, force: bool) -> None:
    """Write the scores, and the probabilities of inclusion anew, both or none.

    Raises
    ------
    InputError
        `out` is no CSV file, is there already and `force` is not set, or is one of the files of the tasks.
    """
    files = task_files(tasks)
    if out.suffix.lower() != ".csv":
        raise InputError(f"--out {out}: expected a name that ends in .csv")
    own = (*files, *(answers_path(tasks, one) for one in raters_so_far(tasks)))
    if out.resolve() in {path.resolve() for path in own}:
        raise InputError(f"--out {out}: is a file of the tasks themselves; take another name")
    # Collected once more, when more answers have come, it may be in the plan already.
    if not (force and _holds_these(out, _read(files.key, KEY_COLUMNS))):
        refuse_to_overwrite(plan, [out], force=force)
    write_together({out: csv_text(found.scores), files.inclusion: csv_text(found.inclusion)})


def taken_in(scores: pd.DataFrame, tasks: Path) -> set[str]:
    """Return the raters whose answers to a task file are all among these scores; none where they cannot be read."""
    files, of = task_files(tasks), ["item_id", "model", "criterion"]
    try:
        key, known = _read(files.key, KEY_COLUMNS), read_tasks(tasks)
        found = set()
        for rater in raters_so_far(tasks):
            path = answers_path(tasks, rater)
            answers = read_answers(path.name, path.read_bytes(), known, rater=rater, of=tasks.name)
            judged = [one.task_id for one in answers if not one.skipped]
            theirs = scores.loc[(scores["rater_kind"] == "human") & (scores["rater"] == rater), of]
            wanted = pd.MultiIndex.from_frame(key.loc[key["task_id"].isin(judged), of])
            if len(wanted) and wanted.isin(pd.MultiIndex.from_frame(theirs.astype(str))).all():
                found.add(rater)
    except (InputError, OSError):
        return set()
    return found


def _holds_these(path: Path, key: pd.DataFrame) -> bool:
    """Tell whether a file holds judgments of these tasks and nothing else."""
    of = ["item_id", "model", "criterion"]
    try:
        found = _read(path, [*of, "rater_kind"])
    except InputError:
        return False
    known = pd.MultiIndex.from_frame(key[of])
    return bool(pd.MultiIndex.from_frame(found[of]).isin(known).all() and (found["rater_kind"] == "human").all())


def _scores(key: pd.DataFrame, answers: list[Given], inclusion: pd.DataFrame) -> pd.DataFrame:
    given = pd.DataFrame([one._asdict() for one in answers])
    rows = key.merge(given, on="task_id", validate="many_to_many")
    chance = inclusion.set_index(["criterion", "item_id"])["inclusion_prob"]
    compares = (rows["opponent"] != "").any()
    value = [str(VALUES[side][value]) if side else value
             for side, value in zip(rows["side"], rows["value"], strict=True)]
    rows = rows.assign(
        rater_kind="human", value=value,
        inclusion_prob=chance.reindex(pd.MultiIndex.from_frame(rows[["criterion", "item_id"]])).to_numpy(),
        rationale=rows["comment"])
    return rows[["item_id", "model", *(["opponent", "side"] if compares else []), "criterion", "rater", "rater_kind",
                 "value", "inclusion_prob", *(["rationale"] if rows["rationale"].ne("").any() else [])]]


def _whole_items(key: pd.DataFrame, answered: set[str]) -> set[tuple[str, str]]:
    """(criterion, item) of which every task has an answer."""
    done = key["task_id"].isin(answered).groupby([key["criterion"], key["item_id"]]).all()
    return set(done[done].index)


def _own(path: Path) -> Iterator[Given]:
    """Answers in the task file itself; it may have gone through a spreadsheet, so only these columns are looked at."""
    for number, row in numbered(read_cells(path, ("task_id", "value"))):
        if row["value"].strip():
            rater = row.get("rater", "").strip() or NO_NAME
            yield Given(row["task_id"].strip(), rater, row["value"].strip(), row.get("comment", "").strip(),
                        f"{path.name} row {number}")


def _beside(files: TaskFiles) -> Iterator[Given]:
    raters = raters_so_far(files.tasks)
    known = read_tasks(files.tasks) if raters else {}
    for rater in raters:
        path = answers_path(files.tasks, rater)
        answers = read_answers(path.name, path.read_bytes(), known, rater=rater, of=files.tasks.name)
        for number, one in enumerate(answers, start=2):
            yield Given(one.task_id, rater, one.value, one.comment, f"{path.name} row {number}")


def _studio(export: Path, known: pd.DataFrame, problems: Problems) -> Iterator[Given]:
    """Answers of Label Studio's JSON export: a list of tasks with annotations, or one flat entry an annotation."""
    try:
        content = json.loads(export.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"--from {export}: there is no such file") from None
    except (ValueError, OSError) as error:
        raise InputError(f"--from {export}: is not readable as JSON ({error}); export from Label Studio as "
                         "JSON") from None
    if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
        raise InputError(f"--from {export}: expected a list of tasks, as Label Studio exports them as JSON")
    for number, entry in enumerate(content, start=1):
        place, data = f"{export.name} entry {number}", entry.get("data", entry)
        if not isinstance(data, dict) or "task_id" not in data:
            problems.add(place, "has no 'task_id' in its 'data'; expected the tasks of the .labelstudio.json file")
            continue
        task_id = str(data["task_id"])
        if task_id in known.index and str(data.get("item_id", "")) != known.loc[task_id, "item_id"]:
            problems.add(place, f"{task_id} is about item {quote(data.get('item_id'))}, but the key says "
                                f"{quote(known.loc[task_id, 'item_id'])}: this export is of other tasks")
            continue
        annotations = entry.get("annotations") if "data" in entry else [entry]
        for annotation in annotations or ():
            yield from _annotation(task_id, annotation, place)


def _annotation(task_id: str, annotation: Mapping[str, Any], place: str) -> Iterator[Given]:
    who = annotation.get("completed_by", annotation.get("annotator"))
    if isinstance(who, dict):
        who = who.get("email") or who.get("id")
    rater = NO_NAME if who is None else f"annotator-{who}" if isinstance(who, int) else str(who)
    if "result" in annotation:
        said = {one.get("from_name"): one.get("value") for one in annotation["result"] or () if isinstance(one, dict)}
    else:
        said = dict(annotation)
    value, comment = _first(said.get("value")), _first(said.get("comment"))
    if not value:
        value = _first(said.get("number"))
    value = "" if annotation.get("was_cancelled") else value
    words = {word: one for scale in ("0/1", "left/right/tie") for word, one in studio_words(scale).items()}
    yield Given(task_id, rater, words.get(value, value), " ".join(comment.split()), place)


def _first(found: Any) -> str:
    """The answer in a result of Label Studio: {"choices": ["yes"]}, {"number": 3}, {"text": [...]}, or plain."""
    if isinstance(found, dict):
        found = next((found[name] for name in ("choices", "number", "text", "rating") if name in found), "")
    if isinstance(found, list):
        found = found[0] if found else ""
    return "" if found is None else str(found).strip()


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    cells = read_cells(path, columns)[columns]
    if cells.empty:
        raise InputError(f"{path.name}: has no rows; `migration-kit labels` writes it with the tasks")
    return cells


def _read_inclusion(path: Path) -> pd.DataFrame:
    found = _read(path, INCLUSION_COLUMNS)
    for name in INCLUSION_COLUMNS[2:]:
        number = pd.to_numeric(found[name], errors="coerce")
        wrong = number.isna() & ~((found[name] == "") & (name == "before"))
        if wrong.any():
            raise InputError(f"{path.name} row {wrong.idxmax()}: column {quote(name)}: found "
                             f"{quote(found[name][wrong].iloc[0])}, expected a number; leave this file as "
                             "`migration-kit labels` wrote it")
        found[name] = number
    return found.astype({"stratum": int, "items": int, "drawn": int})
