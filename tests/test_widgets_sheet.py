"""The labelling sheet as a thin face: blind, every message answered, nothing judged that was not on the screen."""

import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from conftest import write_tiny

from migration_kit import story
from migration_kit.label_answers import judge, open_labelling, skip
from migration_kit.label_collect import taken_in
from migration_kit.label_files import NEXT, answers_path, label_progress, latest_tasks
from migration_kit.label_tasks import KEY_COLUMNS, task_files
from migration_kit.plan import load_plan
from migration_kit.widgets.sheet import Sheet, commands, label_sheet, run_sheet, step
from migration_kit.wording import Said

EVIL = "<script>alert(1)</script>"
TASKS = f"""\
task_id,item_id,criterion,question,scale,text,output,left,right,value,rater,comment
t0001,secret-item,correct,Is it right?,0/1,why?,{EVIL},,,,,
t0002,q2,preferred,,left/right/tie,,,one,two,,,
t0003,q3,minutes,How long?,0-120,,an output,,,,,
"""


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    path = tmp_path / "labels" / "next.csv"
    path.parent.mkdir()
    path.write_text(TASKS, "utf-8")
    return path


def say(sheet: Sheet, **message: object) -> dict:
    sheet._handle_custom_msg(message, [])
    return sheet.view


def test_before_a_rater_begins_nothing_of_the_tasks_is_shown(tasks):
    view = label_sheet(tasks, instructions="Be strict.").view
    assert view["screen"] == "start" and view["total"] == 3 and view["raters"] == []
    assert view["instructions"] == "Be strict." and "3 tasks to judge" in view["told"]
    assert EVIL not in str(view) and "Is it right" not in str(view)


def test_five_steps_by_message(tasks):
    sheet = label_sheet(tasks, collect="migration-kit labels x --collect y")
    first = say(sheet, do="start", rater="ann")
    assert (first["screen"], first["place"], first["said"]) == ("task", "Task 1 of 3", "Begun. Task 1 of 3.")
    assert [(one["keys"], one["name"]) for one in first["choices"]] == [(["1"], "yes"), (["0"], "no")]
    second = say(sheet, do="judge", task="t0001", value="1", comment="fine")
    assert second["task"]["outputs"] == ["one", "two"] and second["said"] == "Saved for task 1: yes. Task 2 of 3."
    assert second["task"]["question"] == "What do you say of it on preferred?"
    third = say(sheet, do="skip", task="t0002")
    assert third["choices"] == [] and third["asked"] == "a whole number from 0 to 120"
    assert third["counts"] == "1 judged, 1 skipped" and third["left"] == 1
    wrong = say(sheet, do="judge", task="t0003", value="121")
    assert "expected a whole number from 0 to 120" in wrong["error"] and wrong["task"] == third["task"]
    last = say(sheet, do="judge", task="t0003", value="12")
    assert (last["screen"], last["skipped"], last["command"]) == ("done", 1, "migration-kit labels x --collect y")
    assert "next.ann.answers.csv" in last["next"] and last["error"] == ""
    back = say(sheet, do="again")
    assert back["task"]["id"] == "t0002" and back["former"] == "You skipped this one before."
    assert say(sheet, do="undo")["task"]["id"] == "t0003"
    assert say(sheet, do="leave")["raters"] == ["ann: 1 of 3 judged, 1 skipped"]


def test_levels_are_read_out_with_their_number(tasks):
    tasks.write_text("task_id,item_id,criterion,question,scale,text,output\nt0001,q1,liked,,1-3,,o\n", "utf-8")
    _, view = step(None, {"do": "start", "rater": "ann"}, tasks)
    assert [one["name"] for one in view["choices"]] == ["1 lowest", "2", "3 highest"]


def test_every_message_moves_the_view_on(tasks):
    sheet = label_sheet(tasks)
    steps = [say(sheet, **message)["step"] for message in (
        {"do": "start", "rater": ""}, {"do": "start", "rater": "ann"}, {"do": "nonsense"}, {"do": "judge"}, {})]
    assert steps == [1, 2, 3, 4, 5]


def test_a_key_pressed_twice_judges_one_output(tasks):
    sheet = label_sheet(tasks)
    say(sheet, do="start", rater="ann")
    for _ in range(3):
        view = say(sheet, do="judge", task="t0001", value="1")
    assert view["task"]["id"] == "t0002"
    assert answers_path(tasks, "ann").read_text("utf-8").count("t000") == 1


@pytest.mark.parametrize("junk", [None, 3, [], {"do": 7}, {"do": "judge", "task": "t0001", "value": ["1"]},
                                  {"do": "judge", "task": "t0001", "value": None}])
def test_junk_is_no_judgment(tasks, junk):
    now, _ = step(None, {"do": "start", "rater": "ann"}, tasks)
    after, view = step(now, junk, tasks)
    assert after == now and view["screen"] == "task"
    assert not answers_path(tasks, "ann").exists()


def test_the_sheet_is_blind(tasks):
    views = [step(None, {"do": "start", "rater": "ann"}, tasks)[1]]
    assert "secret-item" not in str(views) and "model" not in str(views)


def test_an_item_without_text_can_be_looked_up_by_its_name(tasks):
    now, view = step(None, {"do": "start", "rater": "ann"}, tasks)
    assert (view["task"]["text_is"], view["task"]["text"]) == ("Item", "why?")
    _, view = step(now, {"do": "skip", "task": "t0001"}, tasks)
    assert (view["task"]["text_is"], view["task"]["text"]) == ("Item, by its name only", "q2")


def test_outputs_without_any_text_are_told_at_once(tasks):
    assert label_sheet(tasks).view["error"] == ""
    tasks.write_text("task_id,item_id,criterion,question,scale,text,output\nt0001,q1,correct,,0/1,,\n", "utf-8")
    assert "there is nothing to read here" in label_sheet(tasks).view["error"]


def test_a_name_a_damaged_file_and_a_missing_one_are_told_in_the_sheet(tasks):
    sheet = label_sheet(tasks)
    assert "cannot be part of a file name" in say(sheet, do="start", rater="../ann")["error"]
    answers_path(tasks, "ben").write_text("rubbish\n", "utf-8")
    assert say(sheet, do="leave")["raters"] == ["ben: next.ben.answers.csv cannot be read"]
    assert "expected the columns" in say(sheet, do="start", rater="ben")["error"]
    assert answers_path(tasks, "ben").read_text("utf-8") == "rubbish\n"
    tasks.unlink()
    view = label_sheet(tasks).view
    assert view["total"] == 0 and "there is no such file" in view["error"]


def run_of(folder: Path, plan: Path) -> SimpleNamespace:
    return SimpleNamespace(path=folder, plan=load_plan(plan))


def test_without_tasks_the_command_is_told(tmp_path):
    folder = tmp_path / "my plans"
    folder.mkdir()
    path = write_tiny(folder)
    run = run_of(tmp_path / "run", path)
    assert isinstance(run_sheet(run), Said)
    told = story.items.labelling(label_progress(run.path / NEXT), *commands(run))
    assert "\n\n    migration-kit labels 'my plans/migration.yml' --n 100 --out run/labels/next.csv" in told
    assert commands(run)[1].endswith("--collect run/labels/next.csv --out 'my plans/scores_labels.csv'")
    path.write_text(path.read_text("utf-8") + "labels: {budget: 20}\n", "utf-8")
    assert "--n 20 " in commands(run_of(tmp_path / "run", path))[0]


def test_how_far_labelling_has_come_is_told(tmp_path, tasks):
    run = run_of(tmp_path, write_tiny(tmp_path))
    told = lambda: story.items.labelling(label_progress(tasks), *commands(run))  # noqa: E731
    assert told().startswith("3 tasks wait in `labels/next.csv`; nobody has begun. This command brings")
    judge(skip(open_labelling(tasks, "ann")), "tie")
    judge(open_labelling(tasks, "ben"), "1")
    assert told().startswith("Of 3 tasks in `labels/next.csv` ann has judged 1 and skipped 1 and ben has judged 1.")
    answers_path(tasks, "ben").write_text("<b>rubbish</b>\n", "utf-8")
    assert "The answers of ben cannot be read" in told() and "<b>" not in told()
    tasks.write_text("rubbish\n", "utf-8")
    assert "cannot be used as they are" in told()


def test_answers_that_the_data_hold_are_not_asked_for_again(tmp_path, tasks):
    run = run_of(tmp_path, write_tiny(tmp_path))
    key = pd.DataFrame([["t0001", "item-1", "new", "", "", "correct"], ["t0002", "item-1", "old", "", "", "correct"],
                        ["t0003", "item-2", "new", "", "", "correct"]], columns=list(KEY_COLUMNS))
    key.to_csv(task_files(tasks).key, index=False)
    judge(skip(open_labelling(tasks, "ann")), "tie")
    scores = pd.DataFrame([["item-1", "old", "correct", "ann", "human"]],
                          columns=["item_id", "model", "criterion", "rater", "rater_kind"])
    assert taken_in(scores, tasks) == {"ann"}
    for column, other in (("rater", "ben"), ("rater_kind", "judge"), ("model", "new"), ("item_id", "item-2")):
        assert taken_in(scores.assign(**{column: other}), tasks) == set()
    told = story.items.labelling(label_progress(tasks), *commands(run), taken=["ann"])
    assert "in the data already" in told and "/labels/next_2.csv" in told and "--collect" not in told
    judge(open_labelling(tasks, "ben"), "1")
    assert taken_in(scores, tasks) == {"ann"}
    told = story.items.labelling(label_progress(tasks), *commands(run), taken=["ann"])
    assert "in the data already" not in told and "--collect" in told
    task_files(tasks).key.unlink()
    assert taken_in(scores, tasks) == set()


def test_a_second_round_has_files_of_its_own(tmp_path, tasks):
    run = run_of(tmp_path, write_tiny(tmp_path))
    assert latest_tasks(tmp_path) == tasks
    second = tasks.with_name("next_2.csv")
    second.write_bytes(tasks.read_bytes())
    judge(open_labelling(tasks, "ann"), "1")
    assert latest_tasks(tmp_path) == second and run_sheet(run).view["raters"] == []
    choose, collect = commands(run)
    assert choose.endswith("/labels/next_3.csv")
    assert "/labels/next_2.csv --out " in collect and collect.endswith("/scores_labels_2.csv")
    judge(open_labelling(second, "ben"), "1")
    assert [one.rater for one in label_progress(tasks).raters] == ["ann"]


def test_with_tasks_the_sheet_opens_with_the_plan_s_instructions(tmp_path, tasks):
    plan = write_tiny(tmp_path)
    (tmp_path / "rubric.md").write_text("Only what is *complete* is right.", "utf-8")
    plan.write_text(plan.read_text("utf-8") + "raters: {who: leads, instructions: rubric.md}\n", "utf-8")
    sheet = run_sheet(run_of(tmp_path, plan))
    assert isinstance(sheet, Sheet) and sheet.view["instructions"] == "Only what is *complete* is right."
    plan.write_text(plan.read_text("utf-8").replace("rubric.md", "be kind"), "utf-8")
    assert run_sheet(run_of(tmp_path, plan)).view["instructions"] == "be kind"


def test_the_page_s_code_never_reads_html_from_data():
    folder = Path(__file__).resolve().parents[1] / "migration_kit" / "widgets"
    for name in ("sheet.js", "keyboard.js"):
        code = (folder / name).read_text("utf-8")
        assert not any(word in code for word in ("innerHTML", "insertAdjacentHTML", "outerHTML", "document.write",
                                                 "eval(", "http:", "https:", "import ", "fetch("))


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize("name", ["sheet.js", "keyboard.js"])
def test_the_page_s_code_is_valid(name):
    path = Path(__file__).resolve().parents[1] / "migration_kit" / "widgets" / name
    command = ["node", "--input-type=module", "--check"]
    subprocess.run(command, input=path.read_text("utf-8"), text=True, check=True, capture_output=True)
