"""Labelling tasks as files and back: blind, whole or not at all, and answers of three kinds as scores the kit reads."""

import csv
import json
import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from migration_kit import cli, files
from migration_kit.data import data_digest, load_data
from migration_kit.errors import InputError
from migration_kit.features import build_features
from migration_kit.label_answers import judge, open_labelling, skip
from migration_kit.label_files import read_tasks
from migration_kit.label_tasks import KEY_COLUMNS, scale_of, task_files
from migration_kit.plan import load_plan

ITEMS, LABELLED, MODELS = 60, 12, ("gpt-old", "gpt-new", "gpt-small")
PLAN = """\
title: Labels
decision: {assurance: 0.95}
models:
  incumbent: {id: gpt-old}
  candidates: [{id: gpt-new}, {id: gpt-small}]
data:
  items: {path: items.csv}
  outputs: [{path: outputs.csv}]
  scores: [{path: scores.csv}]
slices: [region]
criteria:
  - {id: correct, question: "Is the answer, all told, right?", role: gate, metrics: [judge-x], margin: 0.05}
  - {id: liked, question: "=How good?", scale: {ordinal: [1, 5]}, role: monitor, metrics: [judge-x]}
  - {id: minutes, scale: continuous, role: monitor, metrics: [judge-x]}
  - {id: preferred, question: "Which is better?", scale: pairwise, role: monitor, metrics: [duel]}
"""


def call(*words):
    return CliRunner().invoke(cli.app, [str(word) for word in words])


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def fill(path: Path, answer, *, rater="ann", encoding="utf-8") -> None:
    """Write answers into the task file, as somebody with a spreadsheet would."""
    rows = rows_of(path)
    for row in rows:
        row["value"] = answer(row)
        row["rater"] = rater if row["value"] else ""
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def says(row: dict[str, str]) -> str:
    return {"0/1": "1", "1-5": "4", "number": "2.5", "left/right/tie": "left"}[row["scale"]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sixty items of three models with texts, twelve judged on `correct`; every fifth item has one output twice."""
    rng = np.random.default_rng(0)
    items, outputs, scores = [], [], []
    for number in range(ITEMS):
        item = f"q{number:02d}"
        items.append([item, "amer" if number % 3 else "emea", f"What is {number}?"])
        texts = [f"-{number}, it is", f"“{number}”\nor so", f"no idea {number}"]
        texts[1] = texts[0].upper() if number % 5 == 0 else texts[1]
        for place, model in enumerate(MODELS):
            outputs.append([item, model, texts[place]])
            good = int(rng.random() < 0.8)
            scores.append([item, model, "", "correct", "judge-x", "judge", good])
            scores += [[item, model, "", name, "judge-x", "judge", good] for name in ("liked", "minutes")]
            if place:
                scores.append([item, model, "gpt-old", "preferred", "duel", "judge", int(rng.integers(-1, 2))])
            if number < LABELLED:
                scores.append([item, model, "", "correct", "zoe", "human", int(rng.random() < 0.7)])
    pd.DataFrame(items, columns=["item_id", "region", "text"]).to_csv(tmp_path / "items.csv", index=False)
    pd.DataFrame(outputs, columns=["item_id", "model", "text"]).to_csv(tmp_path / "outputs.csv", index=False)
    pd.DataFrame(scores, columns=["item_id", "model", "opponent", "criterion", "rater", "rater_kind", "value"]).to_csv(
        tmp_path / "scores.csv", index=False)
    (tmp_path / "migration.yml").write_text(PLAN, "utf-8")
    return tmp_path


@pytest.fixture
def tasks(folder: Path) -> Path:
    """Tasks of all four criteria for fifteen items."""
    out = folder / "labels" / "next.csv"
    asked = [word for name in ("correct", "liked", "minutes", "preferred") for word in ("--criterion", name)]
    result = call("labels", folder, "--n", 15, "--out", out, *asked)
    assert result.exit_code == 0, result.output
    return out


def chosen(folder: Path, n: int = 15, *words) -> Path:
    out = folder / "labels" / "next.csv"
    result = call("labels", folder, "--n", n, "--out", out, *words)
    assert result.exit_code == 0, result.output
    return out


class TestTheFiles:
    def test_nothing_that_raters_see_names_a_model_or_a_metric(self, tasks):
        files_ = task_files(tasks)
        shown = (files_.tasks, files_.label_studio, files_.interface)
        for path in shown:
            text = path.read_text("utf-8")
            assert not re.search("gpt|judge-x|duel|zoe", text), path.name
        assert {row["value"] for row in rows_of(files_.tasks)} == {""}
        columns = {name for entry in json.loads(files_.label_studio.read_text("utf-8")) for name in entry["data"]}
        assert columns == {"task_id", "item_id", "criterion", "scale", "question", "text", "output", "left", "right",
                           "choices"}
        for entry in json.loads(files_.label_studio.read_text("utf-8")):
            assert set(entry) == {"data"}

    def test_columns_and_scales_are_those_agreed(self, tasks):
        rows = rows_of(tasks)
        assert list(rows[0]) == ["task_id", "item_id", "criterion", "question", "scale", "text", "output", "left",
                                 "right", "value", "rater", "comment"]
        assert [row["task_id"] for row in rows] == [f"t{n:04d}" for n in range(1, len(rows) + 1)]
        scales = {row["criterion"]: row["scale"] for row in rows}
        assert scales == {"correct": "0/1", "liked": "1-5", "minutes": "number", "preferred": "left/right/tie"}
        assert list(rows_of(task_files(tasks).key)[0]) == KEY_COLUMNS
        known = read_tasks(tasks)
        assert len(known) == len(rows) and known["t0001"].criterion == rows[0]["criterion"]

    def test_without_preferences_there_are_no_columns_for_two_outputs(self, folder):
        assert list(rows_of(chosen(folder))[0])[5:8] == ["text", "output", "value"]

    def test_the_key_leads_from_every_task_to_the_text_it_shows(self, folder, tasks):
        said = pd.read_csv(folder / "outputs.csv").set_index(["item_id", "model"])["text"]
        key = pd.DataFrame(rows_of(task_files(tasks).key)).groupby("task_id")
        for row in rows_of(tasks):
            for one in key.get_group(row["task_id"]).to_dict("records"):
                own = said[row["item_id"], one["model"]]
                where = row[one["side"]] if one["side"] else row["output"]
                assert where.lstrip("\N{NO-BREAK SPACE}").casefold() == own.casefold()
                if one["side"]:
                    other = row["right" if one["side"] == "left" else "left"]
                    assert other.lstrip("\N{NO-BREAK SPACE}") == said[row["item_id"], one["opponent"]]
            assert row["text"] == f"What is {int(row['item_id'][1:])}?"

    def test_outputs_that_are_word_for_word_the_same_are_one_task(self, tasks):
        key = pd.DataFrame(rows_of(task_files(tasks).key))
        for item, rows in key[key["criterion"] == "correct"].groupby("item_id"):
            twin = int(item[1:]) % 5 == 0
            assert rows["task_id"].nunique() == (2 if twin else 3), item
            assert len(rows) == 3

    def test_sides_are_drawn_and_both_come(self, folder):
        out = chosen(folder, 40, "--criterion", "preferred")
        sides = [row["side"] for row in rows_of(task_files(out).key)]
        assert 0.25 < sides.count("left") / len(sides) < 0.75 and set(sides) == {"left", "right"}

    def test_tasks_are_shuffled_and_whoever_stops_early_has_judged_whole_items(self, folder):
        out = chosen(folder, 40)
        rows = rows_of(out)
        items = [row["item_id"] for row in rows]
        assert items != sorted(items)
        assert np.mean([first == second for first, second in pairwise(items)]) < 0.5
        first = items[: len(items) // 2]
        whole = [item for item in set(first) if first.count(item) == items.count(item)]
        assert len(whole) >= len(set(first)) - 10 and len(whole) >= 10

    def test_models_come_in_no_order_that_repeats(self, folder):
        out = chosen(folder, 40)
        key = pd.DataFrame(rows_of(task_files(out).key)).drop_duplicates("task_id")
        first = key.drop_duplicates("item_id")["model"].value_counts(normalize=True)
        assert first.max() < 0.7 and len(first) == 3

    def test_a_spreadsheet_takes_no_text_for_a_formula_and_knows_the_letters(self, tasks):
        raw = tasks.read_bytes()
        assert raw.startswith(b"\xef\xbb\xbf")
        for row in rows_of(tasks):
            cells = [row[name] for name in ("question", "text", "output", "left", "right")]
            assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)
        assert any("“" in row["output"] for row in rows_of(tasks))

    def test_label_studio_gets_an_interface_whose_fields_its_tasks_have(self, tasks):
        tree = ElementTree.parse(task_files(tasks).interface)
        entries = [entry["data"] for entry in json.loads(task_files(tasks).label_studio.read_text("utf-8"))]
        wanted = {tag.get("value")[1:] for tag in tree.iter() if (tag.get("value") or "").startswith("$")}
        assert wanted == {"question", "text", "output", "left", "right", "choices"}
        names = {tag.get("name") for tag in tree.iter() if tag.get("name")}
        assert {tag.get("toName") for tag in tree.iter() if tag.get("toName")} <= names
        assert {"value", "number", "comment"} <= names
        for data in entries:
            assert all(data[name] for name in wanted - {"choices"})
        assert {tuple(one["value"] for one in data["choices"]) for data in entries} == {
            ("yes", "no"), ("1", "2", "3", "4", "5"), (), ("left is better", "neither is", "right is better")}

    def test_equal_seeds_write_equal_files(self, folder):
        once = {path: path.read_bytes() for path in task_files(chosen(folder))}
        again = call("labels", folder, "--n", 15, "--out", folder / "labels" / "next.csv", "--force")
        assert again.exit_code == 0, again.output
        assert {path: path.read_bytes() for path in once} == once
        call("labels", folder, "--n", 15, "--out", folder / "labels" / "next.csv", "--force", "--seed", 8)
        assert {path: path.read_bytes() for path in once} != once

    def test_the_scale_of_every_kind_has_a_name(self, folder):
        plan = load_plan(folder / "migration.yml")
        assert [scale_of(one) for one in plan.criteria] == ["0/1", "1-5", "number", "left/right/tie"]


class TestRefusals:
    def test_files_that_are_there_are_written_over_only_when_asked(self, folder):
        out = chosen(folder)
        before = out.read_bytes()
        result = call("labels", folder, "--n", 15, "--out", out, "--seed", 5)
        assert result.exit_code == 2 and "'next.key.csv'" in result.stderr and "--force" in result.stderr
        assert out.read_bytes() == before
        assert call("labels", folder, "--n", 15, "--out", out, "--seed", 5, "--force").exit_code == 0
        assert out.read_bytes() != before

    @pytest.mark.parametrize("where", ["own", "sheet"])
    def test_tasks_that_somebody_answered_are_never_written_over(self, folder, where):
        out = chosen(folder)
        if where == "own":
            fill(out, lambda row: "1" if row["task_id"] == "t0002" else "")
        else:
            judge(open_labelling(out, "ann"), "1")
        before = out.read_bytes()
        result = call("labels", folder, "--n", 15, "--out", out, "--force")
        assert result.exit_code == 2 and "answers to tasks of that name" in result.stderr
        assert out.read_bytes() == before

    def test_a_file_that_the_plan_reads_is_never_written_over(self, folder):
        before = (folder / "scores.csv").read_bytes()
        for words in (("--n", 5), ("--collect", chosen(folder))):
            if words[0] == "--collect":
                fill(words[1], says)
            result = call("labels", folder, *words, "--out", folder / "scores.csv", "--force")
            assert result.exit_code == 2 and "the plan reads this file" in result.stderr
        assert (folder / "scores.csv").read_bytes() == before

    def test_a_failure_halfway_leaves_no_file(self, folder, monkeypatch):
        real, done = Path.replace, []

        def fails(self, target):
            if len(done) == 2:
                raise OSError(28, "No space left on device", str(target))
            done.append(target)
            return real(self, target)

        monkeypatch.setattr(files.Path, "replace", fails)
        result = call("labels", folder, "--n", 15, "--out", folder / "labels" / "next.csv")
        assert result.exit_code == 1 and "No space left" in result.stderr
        assert not list((folder / "labels").iterdir())

    @pytest.mark.parametrize(("words", "told"), [
        (["--out", "next.csv"], "--n N is missing"),
        (["--out", "next.txt", "--n", "5"], "ends in .csv"),
        (["--out", "next.csv", "--n", "0"], "greater than or equal to 1"),
        (["--out", "next.csv", "--n", "5", "--criterion", "corect"], "did you mean 'correct'?"),
        (["--out", "next.csv", "--n", "5", "--model", "gpt-nev"], "did you mean 'gpt-new'?"),
        (["--out", "next.csv", "--n", "5", "--model", "gpt-old"], "is the incumbent"),
        (["--out", "next.csv", "--n", "5", "--from", "export.json"], "--from belongs to --collect"),
        (["--out", "scores_2.csv", "--collect", "next.csv", "--n", "5"], "leave one of them out"),
        (["--out", "scores_2.csv", "--collect", "nowhere.csv"], "nowhere.key.csv: there is no such file"),
    ])
    def test_arguments_that_do_not_fit_are_told(self, folder, monkeypatch, words, told):
        monkeypatch.chdir(folder)
        result = call("labels", ".", *words)
        assert result.exit_code == 2 and told in result.stderr
        assert not (folder / "next.csv").exists()

    def test_no_item_left_is_told(self, folder):
        assert call("labels", folder, "--n", 48, "--out", folder / "labels" / "all.csv").exit_code == 0
        plan = (folder / "migration.yml").read_text("utf-8")
        fill(folder / "labels" / "all.csv", says)
        call("labels", folder, "--collect", folder / "labels" / "all.csv", "--out", folder / "more.csv")
        (folder / "migration.yml").write_text(plan.replace(
            "scores: [{path: scores.csv}]",
            "scores: [{path: scores.csv}, {path: more.csv}]\n  inclusion: [{path: labels/all.inclusion.csv}]"), "utf-8")
        result = call("labels", folder, "--n", 5, "--out", folder / "labels" / "next.csv")
        assert result.exit_code == 2 and "no item is left to be judged on correct" in result.stderr


class TestWhatIsSaid:
    def test_the_terminal_tells_what_was_drawn_and_what_comes_next(self, folder):
        out = folder / "labels" / "next.csv"
        result = call("labels", folder, "--n", 15, "--out", out)
        assert "15 items drawn of 48 not judged yet for all of these models" in result.stdout
        assert "decides     correct" in result.stdout and "worth" in result.stdout
        assert "probability of a verdict after so many more items" in result.stdout
        assert f"labels {folder} --collect {out} --out {folder / 'scores_labels.csv'}" in result.stdout
        assert "no texts" not in result.stdout

    def test_a_report_on_these_very_data_has_the_last_word(self, folder, monkeypatch):
        monkeypatch.setattr("migration_kit.manifest.default_run_dir", lambda plan: folder / "run")
        words = ("labels", folder, "--n", 5, "--force", "--out", folder / "next.csv")
        assert "`migration-kit run` knows better" in call(*words).stdout
        plan = load_plan(folder / "migration.yml")
        gates = {gate.id: {"labelled": True, "probability": 0.87} for gate in plan.gates}
        (folder / "run").mkdir()
        report = {"plan_digest": plan.digest, "data_digest": data_digest(plan), "candidates": {
            model: {"verdict": "collect", "probability": 0.91, "gates": gates} for model in plan.candidates}}
        files.write_json(folder / "run" / "decision.json", report)
        told = call(*words).stdout
        assert f"says collect for {plan.candidates[0]}" in told and "91.0%" in told and "knows better" not in told
        assert "by this first look" in told and "rests on the whole calibration, says 87.0%" in told
        files.write_json(folder / "run" / "decision.json", {**report, "data_digest": "of other data"})
        assert "91.0%" not in call(*words).stdout

    def test_missing_texts_are_told(self, folder):
        plan = (folder / "migration.yml").read_text("utf-8").replace("  outputs: [{path: outputs.csv}]\n", "")
        (folder / "migration.yml").write_text(plan, "utf-8")
        result = call("labels", folder, "--n", 5, "--out", folder / "next.csv")
        assert "no texts of outputs" in result.stdout
        assert {row["output"] for row in rows_of(folder / "next.csv")} == {""}

    def test_fewer_items_than_asked_are_told(self, folder):
        result = call("labels", folder, "--n", 500, "--out", folder / "next.csv")
        assert "48 items drawn" in result.stdout and "500 were asked for" in result.stdout


def take_in(folder: Path, out: str, inclusion: str) -> None:
    text = (folder / "migration.yml").read_text("utf-8")
    text = re.sub(r"\n  inclusion: .*", "", text)
    text = text.replace("{path: scores.csv}", f"{{path: scores.csv}}, {{path: {out}}}")
    text = re.sub(r"(\n  scores: .*)", rf"\1\n  inclusion: [{{path: {inclusion}}}]", text)
    (folder / "migration.yml").write_text(text, "utf-8")


def human(folder: Path) -> pd.DataFrame:
    data = load_data(load_plan(folder / "migration.yml"))
    return data.scores[data.scores["rater_kind"] == "human"]


class TestThereAndBack:
    def test_what_was_answered_stands_in_the_scores_for_the_right_models(self, folder, tasks):
        fill(tasks, says)
        result = call("labels", folder, "--collect", tasks, "--out", folder / "scores_labels.csv")
        assert result.exit_code == 0, result.output
        assert "inclusion: [{path: labels/next.inclusion.csv}]" in result.stdout
        take_in(folder, "scores_labels.csv", "labels/next.inclusion.csv")
        found = human(folder)
        new = found[found["rater"] == "ann"]
        key = pd.DataFrame(rows_of(task_files(tasks).key))
        assert len(new) == len(key)
        assert (new.loc[new["criterion"] == "correct", "value"] == 1).all()
        assert (new.loc[new["criterion"] == "liked", "value"] == 4).all()
        assert (new.loc[new["criterion"] == "minutes", "value"] == 2.5).all()
        prefers = new[new["criterion"] == "preferred"].merge(
            key[key["criterion"] == "preferred"], on=["item_id", "model"], suffixes=("", "_key"))
        assert (prefers["value"] == prefers["side_key"].map({"left": 1, "right": -1})).all()
        assert (prefers["side"] == prefers["side_key"]).all() and (prefers["opponent"] == "gpt-old").all()

    def test_the_probabilities_of_all_judgments_are_those_of_the_draw(self, folder, tasks):
        fill(tasks, says)
        call("labels", folder, "--collect", tasks, "--out", folder / "scores_labels.csv")
        take_in(folder, "scores_labels.csv", "labels/next.inclusion.csv")
        told = pd.DataFrame(rows_of(task_files(tasks).inclusion)).set_index(["criterion", "item_id"])["inclusion_prob"]
        found = human(folder)
        given = told.reindex(pd.MultiIndex.from_frame(found[["criterion", "item_id"]])).astype(float).to_numpy()
        assert found["inclusion_prob"].to_numpy() == pytest.approx(given)
        plan = load_plan(folder / "migration.yml")
        features = build_features(load_data(plan), plan, "correct")
        judged = ~np.isnan(features["label"].to_numpy()).any(axis=1)
        assert judged.sum() == LABELLED + 15
        assert (1 / features["inclusion_prob"].to_numpy()[judged]).sum() == pytest.approx(ITEMS, rel=1e-6)

    def test_a_second_round_goes_on_from_the_first(self, folder):
        fill(chosen(folder, 12), says)
        call("labels", folder, "--collect", folder / "labels" / "next.csv", "--out", folder / "scores_labels.csv")
        take_in(folder, "scores_labels.csv", "labels/next.inclusion.csv")
        once = set(human(folder)["item_id"])
        out = folder / "labels" / "second.csv"
        result = call("labels", folder, "--n", 12, "--out", out)
        assert result.exit_code == 0 and "scores_labels_2.csv" in result.stdout
        assert not once & {row["item_id"] for row in rows_of(out)}
        fill(out, says, rater="bob")
        call("labels", folder, "--collect", out, "--out", folder / "scores_labels_2.csv")
        take_in(folder, "scores_labels_2.csv", "labels/second.inclusion.csv")
        found = human(folder)
        assert set(found["rater"]) == {"zoe", "ann", "bob"} and found["item_id"].nunique() == LABELLED + 24
        weight = 1 / found.drop_duplicates("item_id")["inclusion_prob"]
        assert weight.sum() == pytest.approx(ITEMS, rel=1e-6)

    def test_two_rounds_of_probabilities_at_once_are_told_and_not_mixed(self, folder):
        fill(chosen(folder, 12), says)
        call("labels", folder, "--collect", folder / "labels" / "next.csv", "--out", folder / "scores_labels.csv")
        take_in(folder, "scores_labels.csv", "labels/next.inclusion.csv}, {path: labels/again.csv")
        (folder / "labels" / "again.csv").write_bytes((folder / "labels" / "next.inclusion.csv").read_bytes())
        with pytest.raises(InputError, match="name only that one") as error:
            human(folder)
        assert len(str(error.value).splitlines()) == 1

    def test_answers_to_half_the_tasks_count_with_the_probability_of_half_the_draw(self, folder):
        out = chosen(folder, 30)
        half = len(rows_of(out)) // 2
        fill(out, lambda row: "1" if int(row["task_id"][1:]) <= half else "")
        result = call("labels", folder, "--collect", out, "--out", folder / "scores_labels.csv")
        assert f"{half} tasks of {len(rows_of(out))} judged" in result.stdout and "wait for an answer" in result.stdout
        found = pd.read_csv(folder / "scores_labels.csv")
        key = pd.DataFrame(rows_of(task_files(out).key))
        done = key["task_id"].str[1:].astype(int).le(half).groupby(key["item_id"]).all()
        whole = set(done[done].index)
        rows = pd.read_csv(task_files(out).inclusion)
        used = rows[rows["before"].notna() | rows["item_id"].isin(whole)]
        assert (1 / used["inclusion_prob"]).sum() == pytest.approx(ITEMS, rel=1e-6)
        take_in(folder, "scores_labels.csv", "labels/next.inclusion.csv")
        assert human(folder)["item_id"].isin(found["item_id"]).any()
        # The others come later: the same command again, over a file that the plan reads by now.
        fill(out, lambda row: "1")
        again = call("labels", folder, "--collect", out, "--out", folder / "scores_labels.csv")
        assert again.exit_code == 2
        again = call("labels", folder, "--collect", out, "--out", folder / "scores_labels.csv", "--force")
        assert again.exit_code == 0 and "The plan reads both already" in again.stdout
        assert (1 / human(folder).drop_duplicates("item_id")["inclusion_prob"]).sum() == pytest.approx(ITEMS, rel=1e-6)

    def test_the_labelling_sheet_and_the_file_itself_are_both_taken(self, folder, tasks):
        fill(tasks, lambda row: says(row) if int(row["task_id"][1:]) % 2 else "")
        now = open_labelling(tasks, "bob")
        for number in range(6):
            now = skip(now) if number == 2 else judge(now, says({"scale": now.current.scale}), comment="so, so")
        result = call("labels", folder, "--collect", tasks, "--out", folder / "scores_labels.csv")
        assert result.exit_code == 0, result.output
        assert "bob 5" in result.stdout and "1 answer skipped" in result.stdout
        found = pd.read_csv(folder / "scores_labels.csv")
        assert set(found["rater"]) == {"ann", "bob"}
        assert (found.loc[found["rater"] == "bob", "rationale"] == "so, so").all()

    def test_an_export_of_label_studio_is_taken(self, folder, tasks):
        entries = json.loads(task_files(tasks).label_studio.read_text("utf-8"))
        kinds = {"0/1": ("value", "choices", {"choices": ["no"]}), "1-5": ("value", "choices", {"choices": ["2"]}),
                 "number": ("number", "number", {"number": 7}),
                 "left/right/tie": ("value", "choices", {"choices": ["neither is"]})}
        for number, entry in enumerate(entries, start=1):
            name, kind, value = kinds[entry["data"]["scale"]]
            result = [{"id": "x", "from_name": name, "to_name": "text", "type": kind, "value": value},
                      {"id": "y", "from_name": "comment", "to_name": "text", "type": "textarea",
                       "value": {"text": ["well\nwell"]}}]
            who = 7 if number % 2 else {"id": 3, "email": "cy@example.com"}
            skipped = number == 4
            entry |= {"id": number, "annotations": [{"id": number, "completed_by": who, "was_cancelled": skipped,
                                                     "result": [] if skipped else result}]}
        export = folder / "export.json"
        export.write_text(json.dumps(entries), "utf-8")
        result = call("labels", folder, "--collect", tasks, "--from", export, "--out", folder / "scores_labels.csv")
        assert result.exit_code == 0, result.output
        found = pd.read_csv(folder / "scores_labels.csv")
        assert set(found["rater"]) == {"annotator-7", "cy@example.com"} and set(found["rationale"]) == {"well well"}
        values = found.groupby("criterion")["value"].unique().map(list).to_dict()
        assert values == {"correct": [0], "liked": [2], "minutes": [7], "preferred": [0]}
        assert "1 answer skipped" in result.stdout

    def test_the_short_export_of_label_studio_is_taken(self, folder):
        out = chosen(folder)
        entries = [entry["data"] | {"value": "yes", "annotator": 2, "annotation_id": n, "comment": "fine"}
                   for n, entry in enumerate(json.loads(task_files(out).label_studio.read_text("utf-8")))]
        (folder / "min.json").write_text(json.dumps(entries), "utf-8")
        result = call("labels", folder, "--collect", out, "--from", folder / "min.json", "--out", folder / "x.csv")
        assert result.exit_code == 0, result.output
        found = pd.read_csv(folder / "x.csv")
        assert set(found["value"]) == {1} and set(found["rater"]) == {"annotator-2"}

    def test_a_spreadsheet_may_write_semicolons(self, folder):
        out = chosen(folder)
        fill(out, says)
        rows = rows_of(out)
        with out.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, rows[0], delimiter=";")
            writer.writeheader()
            writer.writerows(rows)
        assert call("labels", folder, "--collect", out, "--out", folder / "x.csv").exit_code == 0

    def test_answers_without_a_name_count_as_one_person_and_that_is_told(self, folder):
        out = chosen(folder)
        fill(out, says, rater="")
        result = call("labels", folder, "--collect", out, "--out", folder / "x.csv")
        assert "without a rater" in result.stdout and set(pd.read_csv(folder / "x.csv")["rater"]) == {"rater"}


class TestWrongAnswers:
    def collect(self, folder, out, *words):
        return call("labels", folder, "--collect", out, "--out", folder / "x.csv", *words)

    def test_values_off_the_scale_are_told_with_row_and_column(self, folder, tasks):
        wrong = {"0/1": "2", "1-5": "2.5", "number": "many", "left/right/tie": "both"}
        fill(tasks, lambda row: wrong[row["scale"]])
        result = self.collect(folder, tasks)
        assert result.exit_code == 2 and not (folder / "x.csv").exists()
        for told in ("'2' is not on the scale; expected 0 or 1", "expected a whole number from 1 to 5",
                     "expected a number", "expected left, right or tie"):
            assert told in result.stderr
        assert re.search(r"next.csv row \d+: column 'value'", result.stderr)

    def test_unknown_tasks_and_answers_given_twice_are_told(self, folder):
        out = chosen(folder)
        now = open_labelling(out, "ann")
        first = now.current.task_id
        judge(now, "1")
        fill(out, lambda row: "0" if row["task_id"] == first else "")
        told = self.collect(folder, out).stderr
        assert f"rater 'ann' has answered {first} already" in told and "next.ann.answers.csv row 2" in told
        fill(out, lambda row: "")
        with out.open("a", encoding="utf-8") as file:
            file.write("t9999,q01,correct,?,0/1,,so,1,ann,\n")
        assert "'t9999' is not in next.key.csv" in self.collect(folder, out).stderr

    def test_no_answer_at_all_is_told(self, folder):
        assert "nobody has answered yet" in self.collect(folder, chosen(folder)).stderr

    def test_an_export_of_other_tasks_is_told(self, folder):
        out = chosen(folder)
        entries = json.loads(task_files(out).label_studio.read_text("utf-8"))
        entries[0]["data"]["item_id"] = "other"
        del entries[1]["data"]["task_id"]
        (folder / "export.json").write_text(json.dumps(entries), "utf-8")
        told = self.collect(folder, out, "--from", folder / "export.json").stderr
        assert "export.json entry 1: t0001 is about item 'other'" in told
        assert "export.json entry 2: has no 'task_id'" in told
        (folder / "export.json").write_text("task_id,value\n", "utf-8")
        assert "export from Label Studio as JSON" in self.collect(folder, out, "--from", folder / "export.json").stderr
        assert "no such file" in self.collect(folder, out, "--from", folder / "nowhere.json").stderr

    def test_a_plan_without_the_models_of_the_key_is_told(self, folder):
        out = chosen(folder)
        fill(out, says)
        text = (folder / "migration.yml").read_text("utf-8").replace("{id: gpt-small}", "{id: gpt-tiny}")
        (folder / "migration.yml").write_text(text, "utf-8")
        assert "'gpt-small' is not in the plan" in self.collect(folder, out).stderr

    def test_a_missing_column_is_told(self, folder):
        out = chosen(folder)
        out.write_text("task_id,answer\nt0001,1\n", "utf-8")
        assert "column 'value' is missing" in self.collect(folder, out).stderr


class TestTheTableOfInclusion:
    def read(self, folder: Path, content: str, *, scores: str | None = None) -> pd.DataFrame:
        (folder / "chance.csv").write_text(content, "utf-8")
        text = PLAN.replace("  scores: [{path: scores.csv}]\n",
                            f"  scores: [{{path: {scores or 'scores.csv'}}}]\n  inclusion: [{{path: chance.csv}}]\n")
        (folder / "migration.yml").write_text(text, "utf-8")
        return human(folder)

    def lines(self, chance=0.5) -> str:
        return "".join(f"q{n:02d},correct,{chance}\n" for n in range(LABELLED))

    def test_it_stands_in_for_the_column_of_scores(self, folder):
        found = self.read(folder, "item_id,criterion,inclusion_prob\n" + self.lines(0.25))
        assert (found["inclusion_prob"] == 0.25).all()
        given = pd.read_csv(folder / "scores.csv")
        given["inclusion_prob"] = np.where(given["rater_kind"] == "human", 0.9, np.nan)
        given.to_csv(folder / "given.csv", index=False)
        found = self.read(folder, "item_id,criterion,inclusion_prob\n" + self.lines(0.25), scores="given.csv")
        assert (found["inclusion_prob"] == 0.25).all()

    def test_the_criterion_may_be_left_out_and_other_columns_are_ignored(self, folder):
        rows = "".join(f"q{n:02d},{0.1 + n / 100},x\n" for n in range(LABELLED))
        found = self.read(folder, "item_id,inclusion_prob,stratum\n" + rows)
        assert found["inclusion_prob"].to_numpy() == pytest.approx(0.1 + found["item_id"].str[1:].astype(int) / 100)

    def test_metrics_keep_none(self, folder):
        self.read(folder, "item_id,criterion,inclusion_prob\n" + self.lines())
        data = load_data(load_plan(folder / "migration.yml"))
        assert data.scores.loc[data.scores["rater_kind"] != "human", "inclusion_prob"].isna().all()

    @pytest.mark.parametrize(("content", "told"), [
        ("item_id,criterion,inclusion_prob\nq00,correct,1.5\n", "row 2: found 1.5, expected a probability above 0"),
        ("item_id,criterion,inclusion_prob\nq00,correct,0\n", "row 2: found 0, expected a probability above 0"),
        ("item_id,criterion,inclusion_prob\nq00,correct,\n", "row 2: is empty, expected a probability"),
        ("item_id,criterion,inclusion_prob\nq00,corect,0.5\n", "did you mean 'correct'?"),
        ("item_id,criterion,inclusion_prob\nq00,correct,0.5\nq00,correct,0.5\n", "stands more than once"),
        ("item_id,criterion\nq00,correct\n", "column 'inclusion_prob' is missing"),
        ("item_id,criterion,inclusion_prob\nq00,correct,0.5\n", "expected all or none"),
    ])
    def test_what_is_wrong_in_it_is_told(self, folder, content, told):
        with pytest.raises(InputError, match=re.escape(told)):
            self.read(folder, content)

    def test_items_that_are_not_there_are_counted(self, folder):
        self.read(folder, "item_id,criterion,inclusion_prob\nzz,correct,0.5\n" + self.lines())
        left_out = load_data(load_plan(folder / "migration.yml")).exclusions
        assert left_out[left_out["table"] == "inclusion"][["reason", "n"]].values.tolist() == [["item not in items", 1]]

    def test_it_is_part_of_the_digests(self, folder):
        self.read(folder, "item_id,criterion,inclusion_prob\n" + self.lines(0.5))
        plan = load_plan(folder / "migration.yml")
        before = data_digest(plan)
        self.read(folder, "item_id,criterion,inclusion_prob\n" + self.lines(0.4))
        assert data_digest(load_plan(folder / "migration.yml")) != before
        (folder / "migration.yml").write_text(PLAN, "utf-8")
        assert load_plan(folder / "migration.yml").digest != plan.digest

    def test_items_may_hold_it_themselves(self, folder):
        items = pd.read_csv(folder / "items.csv").assign(inclusion_prob=0.3)
        items.to_csv(folder / "items.csv", index=False)
        with pytest.raises(InputError, match="belongs in scores"):
            human(folder)
        text = PLAN.replace("  outputs:", "  inclusion: [{path: items.csv}]\n  outputs:")
        (folder / "migration.yml").write_text(text, "utf-8")
        assert (human(folder)["inclusion_prob"] == 0.3).all()

    def test_a_probability_of_1_is_one(self, folder):
        found = self.read(folder, "item_id,criterion,inclusion_prob\n" + self.lines(1))
        assert (found["inclusion_prob"] == 1).all()

    def test_without_a_criterion_a_row_is_about_every_one(self, folder):
        scores = pd.read_csv(folder / "scores.csv")
        liked = scores[scores["rater_kind"] == "human"].assign(criterion="liked", value=3)
        pd.concat([scores, liked]).to_csv(folder / "given.csv", index=False)
        rows = "".join(f"q{n:02d},{0.1 + n / 100}\n" for n in range(LABELLED))
        found = self.read(folder, "item_id,inclusion_prob\n" + rows, scores="given.csv")
        assert set(found["criterion"]) == {"correct", "liked"}
        assert found["inclusion_prob"].to_numpy() == pytest.approx(0.1 + found["item_id"].str[1:].astype(int) / 100)


@pytest.mark.parametrize("more", ["another item", "a metric"])
def test_a_file_of_the_plan_that_holds_more_than_these_answers_is_not_written_over(folder, more):
    out, scores = chosen(folder), folder / "scores_labels.csv"
    fill(out, says)
    call("labels", folder, "--collect", out, "--out", scores)
    take_in(folder, "scores_labels.csv", "labels/next.inclusion.csv")
    rows = pd.read_csv(scores)
    other = {"another item": {"item_id": "q00"}, "a metric": {"rater": "judge-x", "rater_kind": "judge"}}[more]
    assert "q00" not in set(rows["item_id"])
    pd.concat([rows, rows.head(1).assign(**other)]).to_csv(scores, index=False)
    before = scores.read_bytes()
    result = call("labels", folder, "--collect", out, "--out", scores, "--force")
    assert result.exit_code == 2 and "the plan reads this file" in result.stderr
    assert scores.read_bytes() == before


def test_where_files_cannot_be_written_together_those_that_were_there_stay(tmp_path, monkeypatch):
    def fails(self, target):
        raise OSError(28, "No space left on device", str(target))

    old, new = tmp_path / "old.csv", tmp_path / "new.csv"
    old.write_text("before", "utf-8")
    monkeypatch.setattr(files.Path, "replace", fails)
    with pytest.raises(OSError, match="No space left"):
        files.write_together({old: "after", new: "after"})
    assert old.read_text("utf-8") == "before" and list(tmp_path.iterdir()) == [old]


def test_how_many_tasks_wait_for_an_answer_is_told(folder):
    out = chosen(folder)
    tasks = len(rows_of(out))
    fill(out, lambda row: "1" if int(row["task_id"][1:]) <= 5 else "")
    said = call("labels", folder, "--collect", out, "--out", folder / "x.csv").stdout
    assert f"5 tasks of {tasks} judged (ann 5)" in said and f"{tasks - 5} wait for an answer" in said
