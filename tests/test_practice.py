"""The practice migration: tables are the script's, the README tells the truth, and ten answers turn the verdict."""

import json
import re
import runpy
import shutil
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT
from typer.testing import CliRunner

from migration_kit.cli import app
from migration_kit.data import load_data
from migration_kit.estimands import TOTAL, contrast, quality
from migration_kit.features import build_features
from migration_kit.inference import compile_model, fit
from migration_kit.pipeline import run_pipeline
from migration_kit.plan import load_plan
from migration_kit.plan_spec import SamplingSpec

FOLDER = ROOT / "data" / "practice"
TABLES = ("items", "outputs", "scores", "held_out", "traffic")
ADDED = r"- \{path: scores_labels|inclusion:"


def held_out() -> pd.Series:
    return pd.read_csv(FOLDER / "held_out.csv").set_index(["item_id", "model"])["value"]


def test_the_tables_are_those_of_the_script(tmp_path):
    built = runpy.run_path(str(FOLDER / "build.py"))
    for name, table in built["tables"](built["SEED"]).items():
        path = tmp_path / f"{name}.csv"
        table.to_csv(path, index=False, lineterminator="\n", float_format="%g")
        assert path.read_bytes() == (FOLDER / f"{name}.csv").read_bytes(), name
    assert set(TABLES) == {path.stem for path in FOLDER.glob("*.csv")} - {"scores_labels"}


def test_no_two_answers_are_the_same_and_none_names_its_model():
    outputs = pd.read_csv(FOLDER / "outputs.csv")
    assert outputs["text"].is_unique and not outputs["text"].str.contains("helper-").any()


def test_right_answers_follow_the_rule_in_the_question():
    asked = pd.read_csv(FOLDER / "items.csv").set_index("item_id")["text"]
    outputs = pd.read_csv(FOLDER / "outputs.csv")
    truth = held_out()
    for row in outputs.itertuples():
        limit, own = _figures(asked[row.item_id])
        yes = own >= limit if "three parts" in asked[row.item_id] else own < limit
        said = re.search(r"\b(Yes|No)\b", row.text)[1] == "Yes"
        assert (said == yes) == bool(truth[row.item_id, row.model]), row


def _figures(text: str) -> tuple[int, int]:
    """The limit of the rule and what the customer says, in minutes, days or EUR."""
    if "placed before" in text:
        hour, minute = re.search(r"at (\d+):(\d+) today", text).groups()
        return 60 * int(re.search(r"before (\d+):00", text)[1]), 60 * int(hour) + int(minute)
    if "sent back within" in text:
        return int(re.search(r"within (\d+) days", text)[1]) + 1, int(re.search(r"arrived (\d+) days", text)[1])
    return int(re.search(r"of (\d+) EUR or more", text)[1]), int(re.search(r"comes to (\d+) EUR", text)[1])


def test_the_readme_tells_the_truth():
    topic = pd.read_csv(FOLDER / "items.csv").set_index("item_id")["topic"]
    share = pd.read_csv(FOLDER / "traffic.csv").set_index("topic")["share"]
    scores = pd.read_csv(FOLDER / "scores.csv")

    def rates(rows: pd.DataFrame) -> pd.DataFrame:
        found = rows.assign(topic=rows["item_id"].map(topic)).groupby(["model", "topic"])["value"].mean().unstack()
        return found.assign(traffic=found @ share)

    truth, judge = rates(held_out().reset_index()), rates(scores[scores["rater"] == "fluency_judge"])["traffic"]
    told = re.findall(r"^\| (helper-\d) \| (.+) \|$", (FOLDER / "README.md").read_text("utf-8"), re.M)
    assert [model for model, _ in told] == truth.index.tolist()
    for model, cells in told:
        expected = [*truth.loc[model], judge[model]]
        assert cells.replace("*", "").split(" | ") == [f"{value:.3f}" for value in expected]


@pytest.fixture
def place(tmp_path) -> Path:
    """The practice migration laid out as in the project, as it was before anyone practised on it."""
    folder = tmp_path / "data" / "practice"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("scores_labels.csv"))
    plan = folder / "migration.yml"
    plan.write_text(re.sub(rf"^( +)({ADDED})", r"\1# \2", plan.read_text("utf-8"), flags=re.M), "utf-8")
    return tmp_path


def command(*given: object) -> str:
    done = CliRunner().invoke(app, [str(one) for one in given])
    assert not done.exit_code, done.output
    return done.output


def label(place: Path, *, honest: bool) -> Path:
    """Do as the README says: choose five questions, judge ten answers, bring them in, take the # away."""
    folder, tasks = place / "data" / "practice", place / "runs" / "practice" / "labels" / "next.csv"
    shutil.rmtree(tasks.parent, ignore_errors=True)
    command("labels", folder / "migration.yml", "--n", 5, "--out", tasks)
    rows, truth = pd.read_csv(tasks), held_out()
    model = pd.read_csv(tasks.with_suffix(".key.csv")).set_index("task_id")["model"]
    assert len(rows) == 10
    right = [truth[row.item_id, model[row.task_id]] == 1 for row in rows.itertuples()]
    rows.assign(value=[int(one == honest) for one in right], rater="me").to_csv(tasks, index=False)
    said = command("labels", folder / "migration.yml", "--collect", tasks, "--out", folder / "scores_labels.csv",
                   "--force")
    plan = folder / "after.yml"
    text = (folder / "migration.yml").read_text("utf-8")
    plan.write_text(re.sub(rf"^( +)# ({ADDED})", r"\1\2", text, flags=re.M), "utf-8")
    added = set(plan.read_text("utf-8").splitlines()) - set(text.splitlines())
    assert len(added) == 2 and all(line.strip().removeprefix("- ") in said for line in added), (added, said)
    return plan


def chance_to_hold(plan: Path) -> pd.Series:
    """Probability by candidate that the gate holds, by the calibrated contrast."""
    spec = load_plan(plan)
    features = build_features(load_data(spec), spec, "correct")
    sampling = SamplingSpec(draws=600, tune=400, chains=2, seed=1)
    drawn = quality(fit(features, sampling, compiled=compile_model([features])), features, traffic=True, seed=1)
    delta = contrast(drawn["calibrated"].sel(slice=TOTAL), incumbent=spec.incumbent, better="higher")
    return (delta > -spec.gates[0].margin).mean(("chain", "draw")).to_series()


@pytest.mark.slow
def test_ten_answers_against_the_rule_settle_nothing(place):
    assert chance_to_hold(label(place, honest=False))["helper-2"] < 0.8


@pytest.mark.slow
def test_the_verdict_turns_from_run_to_run(place):
    folder, run = place / "data" / "practice", place / "runs" / "practice"
    run_pipeline(folder / "migration.yml", run, fast=True, progress=False)
    decision = json.loads((run / "decision.json").read_text("utf-8"))
    assert decision["verdict"] == "collect" and decision["candidates"]["helper-3"]["verdict"] == "keep"
    assert decision["candidates"]["helper-2"]["probability"] == pytest.approx(0.9, abs=0.035)
    run_pipeline(label(place, honest=True), run, fast=True, progress=False)
    decision = json.loads((run / "decision.json").read_text("utf-8"))
    assert (decision["verdict"], decision["candidate"]) == ("switch", "helper-2")
    assert decision["candidates"]["helper-2"]["probability"] > 0.965
    assert pd.read_parquet(run / "history.parquet")["verdict"].tolist() == ["collect", "switch"]
    assert "2 reports so far: collect from" in (run / "05_report" / "notebook.html").read_text("utf-8")


def test_the_lines_to_take_the_sign_from_are_those_that_the_readme_names():
    lines = (FOLDER / "migration.yml").read_text("utf-8").splitlines()
    waiting = [number for number, line in enumerate(lines, start=1)
               if line.strip().startswith(("# - {", "# inclusion:"))]
    assert len(waiting) == 2
    readme = (ROOT / "README.md").read_text("utf-8")
    assert f"away from lines {waiting[0]} and {waiting[1]}, and save" in " ".join(readme.split())
