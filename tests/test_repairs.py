"""The lines of a plan that messages propose: each is put into the plan as it stands, and the data load."""

import re

import pandas as pd
import pytest
from test_data import Tiny, counts

from migration_kit.contract.repairs import flow, scale_for
from migration_kit.strict_yaml import read_yaml

PLAN = """\
title: Answers alone and side by side
models:
  incumbent: {id: old}
  candidates: [{id: new}, {id: small}]
data:
  items: {path: items.csv}
  scores:
    - {path: scores.csv}
criteria:
  - {id: liked, scale: pairwise, role: gate, margin: 0.1, metrics: [judge-p, chars]}
  - {id: correct, role: monitor, metrics: [judge-x]}
"""
VALUES = (1, 0, -1, 1, -1, 0, 1, -1, 1, 0, 0, 1)
TIES = {1: "1", 0: "0.5", -1: "0"}


def line(item, model, criterion, rater, kind, value, *, opponent=""):
    return f"q{item},{model},{opponent},{criterion},{rater},{kind},{value}"


def compared(rater, kind, written, *, opponent="old"):
    return [line(item, model, "liked", rater, kind, written[value], opponent=opponent)
            for model in ("new", "small") for item, value in enumerate(VALUES, start=1)]


@pytest.fixture
def one_file(tmp_path):
    """Return a function that writes a migration whose scores share one file, the preferences as they are given."""
    def write(preferences, plan=PLAN):
        rows = ["item_id,model,opponent,criterion,rater,rater_kind,value", *preferences]
        for item in range(1, 13):
            for model in ("old", "new", "small"):
                rows += [line(item, model, "correct", "anna", "human", item % 2),
                         line(item, model, "correct", "judge-x", "judge", 5 * item)]
                rows += [line(item, model, "liked", "chars", "code", 100 * item)] if "chars" in plan else []
        tmp_path.joinpath("items.csv").write_text("\n".join(["item_id", *(f"q{n}" for n in range(1, 13))]) + "\n")
        tmp_path.joinpath("scores.csv").write_text("\n".join(rows) + "\n")
        tmp_path.joinpath("migration.yml").write_text(plan)
        return Tiny(tmp_path / "migration.yml")
    return write


def mended(tiny: Tiny, message: str) -> Tiny:
    """Put what a message of one line proposes into the plan."""
    (message,) = message.splitlines()
    found = re.search(r"in place of data\.scores\.(\d+) write (\{.*?\})(?=, or where|$)", message)
    text = tiny.folder.joinpath("migration.yml").read_text()
    entries = re.findall(r"^    - .*\n", text, re.MULTILINE)
    if found:
        number, new = int(found[1]), [f"    - {one}\n" for one in re.split(r", (?=\{path:)", found[2])]
    else:
        found = re.search(r"data\.scores\.(\d+)\.columns: (\{.*?\})(?=, or where|$)", message)
        number = int(found[1])
        assert "columns" not in entries[number]
        new = [f"{entries[number].rstrip()[:-1]}, columns: {found[2]}}}\n"]
    return tiny.edit("migration.yml", entries[number], "".join(new))


def preferences_of(data, rater) -> list[float]:
    rows = data.scores.query("criterion == 'liked' and rater == @rater and model == 'new'")
    return rows.sort_values("item_id", key=lambda ids: ids.str[1:].astype(int))["value"].tolist()


@pytest.mark.parametrize("ties", [TIES, {1: "1.0", 0: "0.5", -1: "0.0"}, {1: "3", 0: "2", -1: "1"}])
@pytest.mark.parametrize("chars", [True, False])
def test_the_map_of_ties_works_where_all_scores_share_a_file(one_file, ties, chars):
    plan = PLAN if chars else PLAN.replace(", chars]", "]")
    tiny = one_file([*compared("anna", "human", ties), *compared("judge-p", "judge", ties)], plan)
    refused = tiny.refused()
    assert "expected 1 where `model` won, 0 for a tie, -1 where it lost (scale pairwise); map them: in place of" in (
        refused)
    mended(tiny, refused)
    if chars:
        # A metric that scores each output shares the criterion, so people and judge are mapped one by one.
        mended(tiny, tiny.refused())
    data = tiny.load()
    assert preferences_of(data, "anna") == preferences_of(data, "judge-p") == list(map(float, VALUES))
    assert data.scores.query("rater == 'judge-x'")["value"].max() == 60
    assert len(data.scores) == 24 * 2 + 36 * (2 + chars)
    assert not set(counts(data)) - {("scores", "", "outside `where`")}


def test_people_alone_are_mapped_where_the_judge_is_right(one_file):
    tiny = one_file([*compared("anna", "human", TIES), *compared("judge-p", "judge", {n: n for n in (-1, 0, 1)})])
    data = mended(tiny, tiny.refused()).load()
    assert preferences_of(data, "anna") == preferences_of(data, "judge-p") == list(map(float, VALUES))


@pytest.mark.parametrize("rater", ["anna", "judge-p"])
def test_preferences_that_are_never_lost(one_file, rater):
    right = {n: n for n in (-1, 0, 1)}
    tiny = one_file([*compared("anna", "human", {1: 1, 0: 1, -1: 0} if rater == "anna" else right),
                     *compared("judge-p", "judge", {1: 1, 0: 1, -1: 0} if rater == "judge-p" else right)])
    refused = tiny.refused()
    assert "none of 24 preferences is below 0" in refused
    assert 'or where 0 is a tie, the same with map: {"1": 1, "0": 0, "-1": -1}' in refused
    data = mended(tiny, refused).load()
    assert preferences_of(data, rater) == [float(value or 1) for value in VALUES]


def test_a_table_that_has_columns_and_where_keeps_them(one_file):
    plan = PLAN.replace("{path: scores.csv}", "{path: scores.csv, where: {model: [old, new, small]}, columns: "
                                              "{rater: rater, criterion: criterion}}")
    tiny = one_file([*compared("anna", "human", TIES), *compared("judge-p", "judge", TIES),
                     line(1, "other", "liked", "anna", "human", 7, opponent="old")], plan)
    data = mended(mended(tiny, tiny.refused()), tiny.refused()).load()
    assert preferences_of(data, "anna") == list(map(float, VALUES))


def test_a_table_of_preferences_only_gets_its_columns(one_file):
    right = {n: n for n in (-1, 0, 1)}
    tiny = one_file(compared("judge-p", "judge", right))
    rows = ["item_id,model,opponent,criterion,rater,rater_kind,value", *compared("anna", "human", TIES)]
    tiny.write("human.csv", "\n".join(rows) + "\n").edit("migration.yml", "    - {path: scores.csv}\n",
                                                         "    - {path: scores.csv}\n    - {path: human.csv}\n")
    refused = tiny.refused()
    assert 'data.scores.1.columns: {value: {from: value, map: {"1": 1, "0.5": 0, "0": -1}}}' in refused
    assert preferences_of(mended(tiny, refused).load(), "anna") == list(map(float, VALUES))


def test_means_and_shares_are_no_levels(one_file):
    tiny = one_file([*compared("anna", "human", {1: 1, 0: 0.5, -1: -1}), *compared("judge-p", "judge", TIES)])
    assert "give one row a rater instead of their mean, or correct the value" in tiny.refused()
    many = [line(item, model, "liked", "anna", "human", round(0.37 + item / 29, 3), opponent="old")
            for model, item in [("new", n) for n in range(1, 13)] + [("small", n) for n in range(1, 13)]]
    many[0] = line(1, "new", "liked", "anna", "human", 0.011, opponent="old")
    assert "write 2 × value − 1 in the file, where 0.5 is a tie" in one_file(
        [*many, *compared("judge-p", "judge", {n: n for n in (-1, 0, 1)})]).refused()


@pytest.mark.parametrize("plan", [PLAN, PLAN.replace(", chars]", "]")])
def test_a_missing_opponent_is_told_once_and_its_remedy_works(one_file, plan):
    right = {n: n for n in (-1, 0, 1)}
    tiny = one_file([*compared("anna", "human", right, opponent=""), *compared("judge-p", "judge", right, opponent="")],
                    plan)
    refused = tiny.refused()
    assert "rows 2, 3, 4, 5, 6 and 19 more: no opponent for criterion 'liked', whose scale is pairwise (24 of 24" in (
        refused)
    data = mended(tiny, refused).load()
    assert preferences_of(data, "anna") == list(map(float, VALUES))
    assert data.scores.query("criterion == 'liked' and rater == 'anna'")["opponent"].eq("old").all()


def test_metrics_without_an_opponent_are_told_once(one_file):
    right = {n: n for n in (-1, 0, 1)}
    (message,) = one_file([*compared("anna", "human", right), *compared("judge-p", "judge", right, opponent="")],
                          PLAN.replace(", chars]", "]")).refused().splitlines()
    assert "criteria.0: models 'new', 'small' have no row of any metric of criterion 'liked' ('judge-p') beside" in (
        message)
    assert "name 'old' as `opponent` in the rows that compare with it" in message


@pytest.mark.parametrize(("values", "scale"), [
    ([1, 2, 5], "scale: {ordinal: [1, 5]}"), ([0, 10], "scale: {ordinal: [0, 10]}"), ([0, 100], "scale: continuous"),
    ([1, 2], "scale: continuous"), ([0, 2.5], "scale: continuous")])
def test_a_scale_that_fits(values, scale):
    assert scale_for(pd.Series(values, dtype=float)) == scale


@pytest.mark.parametrize("times", [20, 1])
def test_judgments_on_another_scale(tiny_plan, times):
    tiny = Tiny(tiny_plan).edit("migration.yml", "scale: binary", "scale: {ordinal: [1, 3]}")
    for cell, level in (("1", 5), ("0", 1)):
        tiny.edit("scores.csv", f"human,{cell}\n", f"human,{times * level}\n", 99)
    message = tiny.refused()
    scale = "scale: continuous" if times == 20 else "scale: {ordinal: [1, 5]}"
    assert f"expected a whole level from 1 to 3 (scale ordinal); use {scale}, with the margin in that unit, or map" in (
        message)
    assert "in data.scores.0.columns" in message
    assert len(tiny.edit("migration.yml", "scale: {ordinal: [1, 3]}", scale).load().scores) > 0


@pytest.mark.parametrize("value", [
    {"path": "a b.csv", "where": {"criterion": ["no", "true", "x: y", "0.5"], "n": 1.5}}, {"ü": ["-", "a/b-c.csv"]}])
def test_what_is_written_is_read_back(tmp_path, value):
    tmp_path.joinpath("a.yml").write_text(f"it: {flow(value)}\n", encoding="utf-8")
    assert read_yaml(tmp_path / "a.yml") == {"it": value}
