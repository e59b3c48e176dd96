"""The labelling sheet for JupyterLab: a thin face of `label_answers`, which keeps every judgment."""

from pathlib import Path

import anywidget
import traitlets

from migration_kit.errors import InputError
from migration_kit.label_answers import Labelling, again, former, judge, open_labelling, skip, undo
from migration_kit.label_files import (
    LabelProgress,
    answers_path,
    label_commands,
    label_progress,
    latest_tasks,
    read_tasks,
    rounds_so_far,
)
from migration_kit.label_scales import PREFERENCE, asked_for, choices
from migration_kit.manifest import shown_paths
from migration_kit.run import Run
from migration_kit.wording import Said, amount, counted

LONGEST_INSTRUCTIONS = 20_000


class Sheet(anywidget.AnyWidget):
    """Draws `view` in the browser and sends what the rater does; made by `label_sheet`."""

    _esm = Path(__file__).parent / "sheet.js"
    _css = Path(__file__).parent / "sheet.css"
    view = traitlets.Dict().tag(sync=True)


def run_sheet(run: Run) -> Sheet | Said:
    """Return the labelling sheet of a run's next labels, or what to do where there are none yet."""
    tasks = latest_tasks(run.path)
    if not tasks.is_file():
        return Said("There is nothing to label yet. Once the command above has chosen outputs, run this cell again.")
    return label_sheet(tasks, instructions=_instructions(run), collect=commands(run)[1])


def commands(run: Run) -> tuple[str, str]:
    """Return the commands that choose the next outputs to label and that bring the answers in."""
    return label_commands(*shown_paths(run.plan.path, run.path), run.plan.labels.budget,
                          rounds=rounds_so_far(run.path))


def label_sheet(tasks: Path, *, instructions: str = "", collect: str = "") -> Sheet:
    """Return a sheet on which a rater judges the tasks of a file with the keyboard.

    Parameters
    ----------
    tasks : Path
        As `migration-kit labels` writes it; answers go to `FILE.<rater>.answers.csv` beside it.
    instructions : str
        Shown before the first task.
    collect : str
        The command that brings the answers in, shown after the last task.
    """
    widget, now = Sheet(view=start_view(tasks, instructions)), None

    def heard(_: Sheet, message: object, __: list) -> None:
        nonlocal now
        now, view = step(now, message, tasks, instructions=instructions, collect=collect)
        widget.view = {**view, "step": widget.view["step"] + 1}

    widget.on_msg(heard)
    return widget


def step(
    now: Labelling | None, message: object, tasks: Path, *, instructions: str = "", collect: str = ""
) -> tuple[Labelling | None, dict]:
    """Do what a message of the sheet asks for; returns the labelling as it is then, and what to show."""
    asked = message if isinstance(message, dict) else {}
    what, value, comment = asked.get("do"), str(asked.get("value") or ""), str(asked.get("comment") or "")
    try:
        if now is None or what == "leave":
            if what != "start":
                return None, start_view(tasks, instructions)
            now = open_labelling(tasks, str(asked.get("rater") or ""))
            return now, view_of(now, collect, said="Begun." if not now.answers else "Welcome back.")
        # A key pressed twice, or in a second window, must not judge an output that was not on the screen.
        seen = now.current is not None and asked.get("task") == now.current.task_id
        if what == "judge" and seen:
            now = judge(now, value, comment=comment)
            return now, view_of(now, collect, said=_saved(now))
        if what == "skip" and seen:
            now = skip(now, comment=comment)
            return now, view_of(now, collect, said="Skipped.")
        if what == "undo":
            now = undo(now)
            return now, view_of(now, collect, said="The last answer was taken back.")
        if what == "again":
            now = again(now)
        return now, view_of(now, collect)
    except InputError as error:
        if now is None:
            return None, start_view(tasks, instructions, error=str(error))
        return now, view_of(now, collect, error=str(error))


def _saved(now: Labelling) -> str:
    """Say that the latest answer is in the file, in the words of its button."""
    last = now.answers[-1]
    scale = now.tasks[last.task_id].scale
    word = next((one.label for one in choices(scale) if one.value == last.value and scale in ("0/1", PREFERENCE)),
                last.value)
    return f"Saved for task {amount(_number(now, last.task_id))}: {word}."


def _number(now: Labelling, task: str) -> int:
    return list(now.tasks).index(task) + 1


def start_view(tasks: Path, instructions: str, *, error: str = "") -> dict:
    """What is shown before a rater has said who he is: nothing of the tasks but their number."""
    view = {"screen": "start", "step": 0, "instructions": instructions, "said": "", "error": error, "raters": []}
    found = label_progress(tasks) or LabelProgress(tasks.name, 0, (), f"{tasks.name}: there is no such file")
    if found.problem:
        return {**view, "total": 0, "told": "The tasks cannot be used as they are.", "error": found.problem}
    view["raters"] = [
        f"{one.rater}: " + (f"{answers_path(tasks, one.rater).name} cannot be read" if one.problem else
                            f"{amount(one.judged)} of {amount(found.tasks)} judged, {amount(one.skipped)} skipped")
        for one in found.raters]
    if not any(text for task in read_tasks(tasks).values() for text in task.outputs):
        view["error"] = error or ("No output has its text, so there is nothing to read here. Name a table of outputs "
                                  "with their `text` in the plan, then make the tasks anew.")
    told = (f"{counted(found.tasks, 'task')} to judge. You will not see which model an output comes from, nor what any "
            "metric says of it. Every answer is saved at once: you may stop and come back at any time.")
    return {**view, "total": found.tasks, "told": told}


def view_of(now: Labelling, collect: str, *, said: str = "", error: str = "") -> dict:
    """What is shown of a labelling: the present task, or that all is done."""
    total, left, task = len(now.tasks), len(now.tasks) - len(now.answers), now.current
    counts = f"{amount(now.judged)} judged" + (f", {amount(now.skipped)} skipped" if now.skipped else "")
    view = {"step": 0, "total": total, "left": left, "counts": counts, "skipped": now.skipped, "error": error}
    if task is None:
        told = f"All {counted(total, 'task')} answered"
        return {**view, "screen": "done", "task": None, "said": said, "place": told,
                "told": f"{told}. Thank you, {now.rater}.", "command": collect,
                "next": f"Your answers are in {now.path.name}." + (
                        " This command brings them in and says what to add to the plan:" if collect else "")}
    place = f"Task {amount(_number(now, task.task_id))} of {amount(total)}"
    before = former(now)
    return {
        **view, "screen": "task", "place": place, "draft": now.draft or (before.comment if before else ""),
        "said": " ".join(part for part in (said, f"{place}." if said else "") if part),
        "task": {"id": task.task_id, "question": task.question or f"What do you say of it on {task.criterion}?",
                 # Without its text, an item can only be looked up by its name.
                 "text": task.text or task.item_id, "text_is": "Item" if task.text else "Item, by its name only",
                 "outputs": list(task.outputs)},
        # Levels are read out with their number, for which the key alone stands on the button.
        "choices": [{"value": one.value, "keys": list(one.keys), "label": one.label,
                     "name": one.label if task.scale in ("0/1", PREFERENCE) else f"{one.value} {one.label}".strip()}
                    for one in choices(task.scale)],
        "asked": asked_for(task.scale), "former": "You skipped this one before." if before else "",
    }


def _instructions(run: Run) -> str:
    """The plan's instructions to raters: the text of the file it names, or the words that stand there."""
    given = run.plan.raters.instructions if run.plan.raters else None
    if not given:
        return ""
    path = run.plan.folder / given
    try:
        text = path.read_text("utf-8") if len(given) < 200 and path.is_file() else given
    except (OSError, UnicodeDecodeError):
        return given
    return text if len(text) <= LONGEST_INSTRUCTIONS else f"{text[:LONGEST_INSTRUCTIONS]}…"
