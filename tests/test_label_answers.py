"""One rater at work: every answer on disk before the next task, nothing written over, damage told by line."""

import csv
import os
from pathlib import Path

import pytest

from migration_kit import label_answers
from migration_kit.errors import InputError
from migration_kit.label_answers import again, former, judge, open_labelling, skip, undo
from migration_kit.label_files import ANSWER_COLUMNS, answers_path, raters_so_far, read_tasks
from migration_kit.label_scales import asked_for, canonical, choices

HEADER = "task_id,item_id,criterion,question,scale,text,output,left,right,value,rater,comment\n"
ROWS = '''\
t0001,q1,correct,Is it right?,0/1,why?,"because, ""so""",,,,,
t0002,q2,liked,How good?,1-5,,"two
lines",,,,,
t0003,q3,preferred,Which?,left/right/tie,,,<b>one</b>,two,,,
t0004,q4,minutes,How long?,number,,an output,,,,,
'''


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    path = tmp_path / "labels" / "next.csv"
    path.parent.mkdir()
    path.write_text(HEADER + ROWS, "utf-8")
    return path


def answers(tasks: Path, rater: str = "ann") -> list[dict[str, str]]:
    with answers_path(tasks, rater).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_tasks_come_as_the_file_has_them(tasks):
    now = open_labelling(tasks, "ann")
    assert list(now.tasks) == ["t0001", "t0002", "t0003", "t0004"]
    assert now.tasks["t0001"].outputs == ('because, "so"',) and now.tasks["t0001"].text == "why?"
    assert now.tasks["t0003"].outputs == ("<b>one</b>", "two")
    assert now.current.task_id == "t0001"
    assert not answers_path(tasks, "ann").exists(), "nothing is written before the first answer"


def test_every_answer_is_on_disk_before_the_next_task(tasks):
    now = open_labelling(tasks, "ann")
    for number, (value, kept) in enumerate([("1", "1"), ("4", "4"), ("tie", "tie"), ("2.50", "2.5")], start=1):
        now = judge(now, value, comment=f"note,\n{number}")
        rows = answers(tasks)
        assert tuple(rows[-1]) == ANSWER_COLUMNS
        assert len(rows) == number and rows[-1]["value"] == kept and rows[-1]["comment"] == f"note, {number}"
        assert rows[-1]["rater"] == "ann" and rows[-1]["skipped"] == "0" and rows[-1]["time"].endswith("+00:00")
    assert [row["criterion"] for row in rows] == ["correct", "liked", "preferred", "minutes"]
    assert now.current is None and now.judged == 4
    with pytest.raises(InputError, match="Every task has been answered"):
        judge(now, "1")


@pytest.mark.parametrize(("number", "value", "expected"), [
    (1, "2", "0 or 1"), (1, "", "0 or 1"), (1, "left", "0 or 1"), (2, "6", "a whole number from 1 to 5"),
    (2, "2.5", "a whole number from 1 to 5"), (3, "1", "left, right or tie"), (4, "nan", "a number"),
    (4, "1e999", "a number"), (4, "three", "a number")])
def test_a_value_off_the_scale_is_refused_and_nothing_changes(tasks, number, value, expected):
    now = open_labelling(tasks, "ann")
    for given in ["1", "4", "tie"][: number - 1]:
        now = judge(now, given)
    before = answers_path(tasks, "ann").read_bytes() if number > 1 else None
    with pytest.raises(InputError, match=expected):
        judge(now, value)
    assert (answers_path(tasks, "ann").read_bytes() if number > 1 else None) == before
    assert now.current.task_id == f"t000{number}"


def test_a_later_session_goes_on_where_the_former_stopped(tasks):
    now = judge(skip(judge(open_labelling(tasks, "ann"), "0")), "left")
    later = open_labelling(tasks, "ann")
    assert later == now
    assert later.current.task_id == "t0004" and (later.judged, later.skipped) == (2, 1)
    assert judge(later, "3").current is None


def test_undo_takes_back_the_latest_also_in_a_later_session(tasks):
    judge(judge(open_labelling(tasks, "ann"), "0"), "5", comment="so so")
    now = undo(open_labelling(tasks, "ann"))
    assert now.current.task_id == "t0002" and now.draft == "so so"
    assert [row["task_id"] for row in answers(tasks)] == ["t0001"]
    now = undo(now)
    assert now.current.task_id == "t0001" and now.waiting == ("t0001", "t0002", "t0003", "t0004")
    assert answers(tasks) == []
    with pytest.raises(InputError, match="nothing to undo"):
        undo(now)


def test_what_was_skipped_can_come_back(tasks):
    now = judge(skip(skip(judge(open_labelling(tasks, "ann"), "1")), comment="unclear"), "7")
    assert now.current is None and now.skipped == 2
    now = again(now)
    assert now.waiting == ("t0002", "t0003") and again(now) == now
    assert former(now).skipped
    now = judge(now, "2")
    assert former(now).comment == "unclear" and now.skipped == 1
    now = skip(now)
    assert now.current is None
    assert [(row["task_id"], row["value"], row["skipped"]) for row in answers(tasks)] == [
        ("t0001", "1", "0"), ("t0004", "7", "0"), ("t0002", "2", "0"), ("t0003", "", "1")]
    assert undo(undo(now)).waiting == ("t0002", "t0003")


def test_two_raters_work_at_once_in_files_of_their_own(tasks):
    ann, ben = open_labelling(tasks, "ann"), open_labelling(tasks, "ben")
    ann, ben = judge(ann, "1"), judge(ben, "0")
    ann, ben = judge(ann, "5"), skip(ben)
    assert [row["value"] for row in answers(tasks)] == ["1", "5"]
    assert [row["value"] for row in answers(tasks, "ben")] == ["0", ""]
    assert raters_so_far(tasks) == ["ann", "ben"]


def test_one_rater_in_two_windows_loses_nothing(tasks):
    first, second = open_labelling(tasks, "ann"), open_labelling(tasks, "ann")
    first = judge(first, "1", comment="first window")
    with pytest.raises(InputError, match="changed by another window"):
        judge(second, "0")
    assert [row["comment"] for row in answers(tasks)] == ["first window"]
    answers_path(tasks, "ann").unlink()
    with pytest.raises(InputError, match="changed by another window"):
        judge(first, "3")


@pytest.mark.parametrize("name", ["", "  ", "../ann", "a b", "ann.answers", ".ann", "-x", "a/b", "a" * 41, "an\x00n"])
def test_a_name_that_is_no_plain_name_is_refused(tasks, name):
    with pytest.raises(InputError, match="cannot be part of a file name"):
        open_labelling(tasks, name)
    assert list(tasks.parent.iterdir()) == [tasks]


def test_names_are_trimmed_and_may_have_accents_but_not_differ_by_capitals_alone(tasks):
    judge(open_labelling(tasks, " Zoe\u0308-2 "), "1")
    assert raters_so_far(tasks) == ["Zo\u00eb-2"]
    with pytest.raises(InputError, match="capital"):
        open_labelling(tasks, "zo\u00eb-2")


@pytest.mark.parametrize(("line", "told"), [
    ("t0009,correct,ann,1,,0,x", "row 3: the task 't0009' is not in next.csv"),
    ("t0001,correct,ann,0,,0,x", "row 3: the task 't0001' stands there twice"),
    ("t0002,correct,ann,1,,0,x", "row 3: criterion 'correct', but next.csv asks about 'liked'"),
    ("t0002,liked,ben,1,,0,x", "row 3: rater 'ben', expected 'ann'"),
    ("t0002,liked,ann,9,,0,x", "row 3: value '9' is not on the scale; expected a whole number from 1 to 5"),
    ("t0002,liked,ann,,,0,x", "row 3: skipped is '0' and value ''"),
    ("t0002,liked,ann,1", "row 3: skipped is '' and value '1'"),
    ('t0002,liked,ann,1,"open,0,x', "row 3 opens a double quote that is never closed"),
    ("t0002,liked,ann,1,\udcff,0,x", "row 3 is not UTF-8")])
def test_a_damaged_file_of_answers_is_told_by_row_and_left_alone(tasks, line, told):
    path = answers_path(tasks, "ann")
    judge(open_labelling(tasks, "ann"), "1")
    path.write_bytes(path.read_bytes() + line.encode("utf-8", "surrogateescape") + b"\n")
    before = path.read_bytes()
    with pytest.raises(InputError) as error:
        open_labelling(tasks, "ann")
    assert "next.ann.answers.csv" in str(error.value) and told in str(error.value)
    assert "was left as it is" in str(error.value)
    assert path.read_bytes() == before
    open_labelling(tasks, "ben")


def test_a_file_of_answers_with_other_columns_is_refused(tasks):
    answers_path(tasks, "ann").write_text("task_id,value\nt0001,1\n", "utf-8")
    with pytest.raises(InputError, match="expected the columns task_id, criterion"):
        open_labelling(tasks, "ann")


def test_a_file_saved_by_a_spreadsheet_is_read(tasks):
    path = answers_path(tasks, "ann")
    path.write_text("\ufeff" + ",".join(ANSWER_COLUMNS) + "\r\nt0001,correct,ann,1.0,ok,0,2026-11-23\r\n", "utf-8")
    now = open_labelling(tasks, "ann")
    assert now.answers[0].value == "1" and now.current.task_id == "t0002"


def test_a_task_file_saved_with_semicolons_is_read(tasks):
    head = "\ufefftask_id;item_id;criterion;question;scale;output\r\n"
    tasks.write_text(f"{head}t0001;q1;c;Right, or not?;0/1;a, b\r\n", "utf-8")
    assert read_tasks(tasks)["t0001"].outputs == ("a, b",)


def test_what_cannot_be_written_is_told_and_not_taken_as_judged(tasks, monkeypatch):
    now = judge(open_labelling(tasks, "ann"), "1")

    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(label_answers, "replacing", full)
    with pytest.raises(InputError, match=r"could not be written \(No space left on device\): this step was not kept"):
        judge(now, "2")
    monkeypatch.undo()
    assert [row["value"] for row in answers(tasks)] == ["1"]
    assert judge(now, "2").judged == 2
    assert not [name for name in os.listdir(tasks.parent) if name.startswith(".")]


@pytest.mark.parametrize(("text", "told"), [
    (None, "there is no such file"),
    ("", "is empty; expected a table"),
    (HEADER.replace("scale", "skale") + ROWS, "column 'scale' is missing"),
    (HEADER.replace("output", "text2") .replace("left", "l") + ROWS, "column 'output' is missing"),
    (HEADER, "there is no task in it"),
    (HEADER + ROWS + "t0001,q,c,,0/1,,o,,,,,\n", "row 7: the task 't0001' stands there twice"),
    (HEADER + ROWS.replace("1-5", "5-1"), "row 3: scale '5-1' is not known"),
    (HEADER + ROWS.replace("t0004", ""), "row 6: task_id is empty")])
def test_a_task_file_that_cannot_be_used_is_told_by_row(tasks, text, told):
    if text is None:
        tasks.unlink()
    else:
        tasks.write_text(text, "utf-8")
    with pytest.raises(InputError) as error:
        read_tasks(tasks)
    assert told in str(error.value) and "next.csv" in str(error.value)


def test_very_long_outputs_are_read(tasks):
    tasks.write_text(HEADER + ROWS.replace("an output", "x" * 300_000), "utf-8")
    assert len(read_tasks(tasks)["t0004"].outputs[0]) == 300_000


def test_the_keys_of_each_scale():
    assert {key: one.value for one in choices("0/1") for key in one.keys} == {"1": "1", "0": "0"}
    assert [one.keys for one in choices("1-5")] == [("1",), ("2",), ("3",), ("4",), ("5",)]
    assert {key: one.value for one in choices("left/right/tie") for key in one.keys} == {
        "ArrowLeft": "left", "l": "left", "t": "tie", "ArrowRight": "right", "r": "right"}
    assert choices("0-10") == choices("-2-2") == choices("number") == ()
    assert asked_for("0-10") == "a whole number from 0 to 10" and asked_for("1-5") == ""
    assert canonical("-2", "-2-2") == "-2" and canonical(" 10.0 ", "0-10") == "10"
    taken = {key for scale in ("0/1", "1-5", "left/right/tie") for one in choices(scale) for key in one.keys}
    assert not taken & {"s", "u", "c", "a"}, "keys of the sheet itself"
