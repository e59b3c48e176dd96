"""The answers of one rater to a file of labelling tasks: asked in the file's order, kept after every judgment.

A `Labelling` is a value: each step returns the next one, and only after the answers are safely on disk.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from migration_kit.errors import InputError
from migration_kit.files import replacing
from migration_kit.label_files import Answer, Task, answers_path, answers_text, rater_name, read_answers, read_tasks
from migration_kit.label_scales import canonical


@dataclass(frozen=True)
class Labelling:
    """One rater at work on a task file; made by `open_labelling`.

    Attributes
    ----------
    path : Path
        The rater's own file of answers.
    rater : str
    tasks : dict
        Task id to task, in the order of the file.
    answers : tuple of Answer
        Oldest first.
    waiting : tuple of str
        Ids of tasks still to be shown, the present one first.
    draft : str
        The comment to begin with: that of a judgment just undone.
    """

    path: Path
    rater: str
    tasks: dict[str, Task]
    answers: tuple[Answer, ...]
    waiting: tuple[str, ...]
    draft: str = ""
    _on_disk: bytes | None = field(default=None, repr=False, compare=False)

    @property
    def current(self) -> Task | None:
        """The task to be judged now; None when none is left."""
        return self.tasks[self.waiting[0]] if self.waiting else None

    @property
    def judged(self) -> int:
        """Tasks with a judgment."""
        return len(self.answers) - self.skipped

    @property
    def skipped(self) -> int:
        """Tasks that were skipped and not judged since."""
        return sum(answer.skipped for answer in self.answers)


def open_labelling(tasks: Path, rater: str) -> Labelling:
    """Begin, or go on where the rater stopped.

    Raises
    ------
    InputError
        A name that is no plain name, a task file that cannot be used, or a file of answers that is damaged; the file
        is left as it is.
    """
    name = rater_name(rater, tasks)
    known, path = read_tasks(tasks), answers_path(tasks, name)
    on_disk = path.read_bytes() if path.is_file() else None
    answers = read_answers(path.name, on_disk, known, rater=name, of=tasks.name) if on_disk is not None else ()
    done = {answer.task_id for answer in answers}
    waiting = tuple(task_id for task_id in known if task_id not in done)
    return Labelling(path, name, known, answers, waiting, _on_disk=on_disk)


def judge(now: Labelling, value: str, *, comment: str = "") -> Labelling:
    """Judge the present task and go on to the next.

    Raises
    ------
    InputError
        The value is not on the scale of the task, or the answers cannot be written; nothing has changed then.
    """
    return _answered(now, canonical(value, _present(now).scale), comment, skipped=False)


def skip(now: Labelling, *, comment: str = "") -> Labelling:
    """Leave the present task without a judgment; `again` brings it back. Errors as for `judge`."""
    return _answered(now, "", comment, skipped=True)


def undo(now: Labelling) -> Labelling:
    """Take back the latest answer and ask its task again. Errors as for `judge`."""
    if not now.answers:
        raise InputError("There is nothing to undo.")
    last = now.answers[-1]
    waiting = (last.task_id, *(task_id for task_id in now.waiting if task_id != last.task_id))
    return _saved(replace(now, answers=now.answers[:-1], waiting=waiting, draft=last.comment))


def again(now: Labelling) -> Labelling:
    """Bring skipped tasks back, behind those not yet seen; their answers stay until they are judged."""
    waiting = set(now.waiting)
    back = tuple(one.task_id for one in now.answers if one.skipped and one.task_id not in waiting)
    return replace(now, waiting=(*now.waiting, *back), draft="")


def former(now: Labelling) -> Answer | None:
    """Return what was said of the present task before, where it was skipped and has come back."""
    return next((one for one in now.answers if now.waiting and one.task_id == now.waiting[0]), None)


def _present(now: Labelling) -> Task:
    if now.current is None:
        raise InputError("Every task has been answered.")
    return now.current


def _answered(now: Labelling, value: str, comment: str, *, skipped: bool) -> Labelling:
    task = _present(now)
    time = datetime.now(UTC).isoformat(timespec="seconds")
    answer = Answer(task.task_id, task.criterion, value, " ".join(comment.split()), skipped, time)
    before = tuple(one for one in now.answers if one.task_id != task.task_id)
    return _saved(replace(now, answers=(*before, answer), waiting=now.waiting[1:], draft=""))


def _saved(state: Labelling) -> Labelling:
    """Write the answers of a step; the file on disk must be the one that the step before left."""
    path, written = state.path, answers_text(state.answers, state.rater).encode("utf-8", "replace")
    try:
        found = path.read_bytes() if path.is_file() else None
        if found == state._on_disk:
            with replacing(path) as temporary:
                temporary.write_bytes(written)
    except OSError as error:
        raise InputError(f"{path.name} could not be written ({error.strerror or error}): this step was not kept. Make "
                         "room or mend the folder's permissions, then do it again.") from None
    if found != state._on_disk:
        raise InputError(f"{path.name} was changed by another window or program. Nothing was written over it: run the "
                         "cell again to go on from what it holds now.")
    return replace(state, _on_disk=written)
