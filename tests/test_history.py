"""How the verdict moved: a row for each finished report, kept when the folder is laid out anew."""

import json

import pandas as pd
import pytest
from standins import DECISION, write_migration

from migration_kit import figures, story, tables
from migration_kit.files import read_file
from migration_kit.history import HISTORY_COLUMNS, moves, no_history, with_row
from migration_kit.manifest import STAGES
from migration_kit.plan import load_plan
from migration_kit.run import open_run

COLLECT = DECISION | {"verdict": "collect", "candidate": None, "probability": None, "candidates": {
    "b-2026": DECISION["candidates"]["b-2026"] | {"verdict": "collect", "probability": 0.81,
                                                  "gaps": {"correct": "It differs."}}}}


def report(folder, plan, decision, **options):
    for stage in STAGES:
        run = open_run(folder, plan=plan, stage=stage, **options)
        if stage == STAGES[-1] and decision:
            run.save_decision(decision)
        run.finish()
    return run


@pytest.fixture
def plan(tmp_path):
    return write_migration(tmp_path / "data" / "support")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "runs" / "support"


def more_labels(plan):
    scores = plan.parent / "scores.csv"
    scores.write_text(scores.read_text() + "i7,a-2025,correct,lead,human,1\ni7,b-2026,correct,lead,human,1\n")


def test_a_finished_report_is_remembered_over_new_data_and_plans(folder, plan):
    report(folder, plan, COLLECT)
    more_labels(plan)
    report(folder, plan, DECISION)
    write_migration(plan.parent, margin=0.05)
    run = report(folder, plan, DECISION, fast=True)
    found = read_file(folder / "history.parquet")
    assert tuple(found.columns) == HISTORY_COLUMNS
    assert found["verdict"].tolist() == ["collect", "switch", "switch"]
    assert found["candidate"].tolist() == ["", "b-2026", "b-2026"] and found["fast"].tolist() == [False, False, True]
    assert found["labels"].diff().iloc[1] == 2 and found["live_rows"].tolist() == [0, 0, 0]
    assert found["gap_flagged"].tolist() == ["b-2026", "", ""]
    assert pd.isna(found["probability"][0]) and found["probability"][1] == 0.97
    assert found["data_digest"].nunique() == 2 and found["plan_digest"].nunique() == 2
    assert found["plan_digest"].iloc[-1] == run.manifest["plan_digest"]


def test_a_report_that_says_the_same_again_adds_nothing(folder, plan):
    report(folder, plan, COLLECT)
    first = read_file(folder / "history.parquet")
    report(folder, plan, COLLECT)
    second = read_file(folder / "history.parquet")
    assert len(second) == 1 and list(second.columns) == list(first.columns)
    report(folder, plan, DECISION)
    assert len(read_file(folder / "history.parquet")) == 2


def test_only_a_report_with_a_decision_counts(folder, plan):
    report(folder, plan, None)
    assert not (folder / "history.parquet").exists()


def test_the_report_itself_shows_its_own_row_before_it_is_written(folder, plan):
    run = report(folder, plan, COLLECT)
    more_labels(plan)
    for stage in STAGES:
        run = open_run(folder, plan=plan, stage=stage)
        if stage != STAGES[-1]:
            run.finish()
    assert run.history(DECISION)["verdict"].tolist() == ["collect", "switch"]
    assert len(read_file(folder / "history.parquet")) == 1


def rows(*verdicts, probabilities=(), flagged=(), plans=None):
    out = no_history()
    for n, verdict in enumerate(verdicts):
        one = {"verdict": verdict, "probability": probabilities[n], "flagged": n in flagged}
        out = with_row(out, {
            "time": f"2026-10-{n + 1:02d}T10:00:00+00:00", "plan_digest": (plans or "aaaa")[n] * 64,
            "data_digest": str(n) * 64, "fast": False, "labels": 100 + n, "live_rows": 1200 * n, "verdict": verdict,
            "candidate": "b-2026" if verdict == "switch" else "", "probability": probabilities[n],
            "gap_flagged": "", "candidates": json.dumps({"b-2026": one})})
    return out


def test_the_report_tells_how_the_verdict_moved(plan):
    spec = load_plan(plan)
    moved = rows("collect", "collect", "switch", probabilities=[0.6, 0.8, 0.97], plans="aab")
    told = story.history(moved, spec).replace("\\", "")
    assert "3 reports so far: collect from 2026-10-01 on, with 100 human judgments and 0 live values (2 rep" in told
    assert "switch to b-2026 from 2026-10-03 on" in told and "b-2026 from 80.0% to 97.0%" in told
    assert "The plan changed between reports" in told and "contradict" not in told
    assert "contradict the test set on b-2026" in story.history(
        rows("collect", "collect", probabilities=[0.6, None], flagged=[1]), spec).replace("\\", "")
    assert story.history(moved.iloc[:1], spec).startswith("This is the first report")
    twice = rows("collect", "switch", "switch", probabilities=[0.8, 0.97, 0.97], plans="abb")
    twice["data_digest"] = "same"
    assert "on other data or another plan" in (told := story.history(twice, spec)) and "80.0% to 97.0%" in told


def test_figure_and_table_show_every_report(plan):
    spec = load_plan(plan)
    moved = rows("collect", "switch", probabilities=[0.6, 0.97], flagged=[0])
    figure = figures.history(moved, spec)
    assert "Report 1 of 2026-10-01, collect: b-2026 60.0%; Report 2" in figure.alt_text and figure.caption
    text = tables.history(moved, spec).as_raw_html()
    assert "Report 2, 2026-10-02 10:00 UTC: switch" in text and "1,200 live values" in text and "contradict it" in text
    assert moves(moved)["flagged"].tolist() == [True, False]
    # A candidate whose probability is not known stands in the table and not on a line.
    unknown = rows("collect", "collect", probabilities=[None, None])
    assert "b-2026 –" in figures.history(unknown, spec).alt_text


def test_reports_on_the_same_data_and_plan_are_held_against_the_one_before(plan):
    same = rows("collect", "collect", "switch", probabilities=[0.6, 0.8, 0.97], plans="aaa").assign(data_digest="same")
    told = story.history(same, load_plan(plan)).replace("\\", "")
    assert "Since the report before, " in told and "b-2026 from 80.0% to 97.0%" in told and "other data" not in told
