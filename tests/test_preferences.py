"""Preferences: from the candidate's side, once each, against the incumbent only, and what is said of others."""

import pandas as pd
import pytest
from test_data import REAL, Tiny, counts

from migration_kit.data import load_data, read_data, save_data
from migration_kit.plan import load_plan

PLAN = """\
title: Two answers side by side
models:
  incumbent: {id: old}
  candidates: [{id: new}, {id: small}]
data:
  items: {path: items.csv}
  scores: [{path: scores.csv}]
criteria:
  - {id: preferred, scale: pairwise, role: gate, margin: 0.1, metrics: [judge-x, chars]}
"""
HEAD = "item_id,model,opponent,side,criterion,rater,rater_kind,value,repeat"
WON = {"new": (1, 1, 0, -1, 1, 0), "small": (-1, -1, 0, 1, -1, -1)}


def line(item, model, opponent, value, *, rater="anna", kind="human", side="", repeat="", criterion="preferred"):
    return f"q{item},{model},{opponent},{side},{criterion},{rater},{kind},{value},{repeat}"


def preferences(*, rater="anna", kind="human"):
    return [line(item, model, "old", value, rater=rater, kind=kind)
            for model, values in WON.items() for item, value in enumerate(values, start=1)]


@pytest.fixture
def pairs(tmp_path) -> Tiny:
    """Six items on which people and judge-x prefer one of two outputs, and chars is a score of each output."""
    chars = [line(item, model, "", item + len(model), rater="chars", kind="code")
             for item in range(1, 7) for model in ("old", "new", "small")]
    rows = [HEAD, *preferences(), *preferences(rater="judge-x", kind="judge"), *chars]
    tmp_path.joinpath("items.csv").write_text("item_id\n" + "\n".join(f"q{n}" for n in range(1, 7)) + "\n")
    tmp_path.joinpath("scores.csv").write_text("\n".join(rows) + "\n")
    tmp_path.joinpath("migration.yml").write_text(PLAN)
    return Tiny(tmp_path / "migration.yml")


def human(data) -> pd.DataFrame:
    return data.scores[data.scores["rater_kind"] == "human"]


class TestValid:
    def test_what_they_become(self, pairs, tmp_path):
        data = pairs.load()
        assert list(data.scores) == [
            "item_id", "model", "criterion", "rater", "rater_kind", "value", "opponent", "side", "repeat",
            "inclusion_prob"]
        assert human(data).groupby("model")["value"].apply(tuple).to_dict() == WON
        assert human(data)["opponent"].eq("old").all()
        assert human(data)["side"].isna().all()
        chars = data.scores[data.scores["rater"] == "chars"]
        assert chars["opponent"].isna().all()
        assert set(chars["model"]) == {"old", "new", "small"}
        assert data.exclusions.empty
        assert data.held_out.empty
        assert list(data.held_out) == list(data.scores)
        save_data(data, tmp_path / "saved")
        pd.testing.assert_frame_equal(read_data(tmp_path / "saved").scores, data.scores)

    def test_rows_of_the_incumbent_are_turned_round(self, pairs):
        straight = pairs.load()
        for model in WON:
            for value, turned in ((1, "-1."), (0, "0."), ("-1", "1.")):
                pairs.edit("scores.csv", f",{model},old,,preferred,anna,human,{value},",
                           f",old,{model},,preferred,anna,human,{turned},", 99)
        pd.testing.assert_frame_equal(pairs.load().scores, straight.scores)

    @pytest.mark.parametrize(("written", "side", "other"), [
        ("left", "left", "right"), ("Right", "right", "left"), ("A", "left", "right"), ("b", "right", "left"),
        ("1", "left", "right"), ("2", "right", "left"), ("First", "left", "right"), ("SECOND", "right", "left")])
    def test_sides(self, pairs, written, side, other):
        pairs.edit("scores.csv", line(1, "new", "old", 1), line(1, "new", "old", 1, side=written))
        pairs.edit("scores.csv", line(2, "new", "old", 1), line(2, "old", "new", -1, side=written))
        rows = human(pairs.load()).query("model == 'new'").set_index("item_id")
        assert rows.loc["q1", "side"] == side
        assert rows.loc["q2", ["side", "value"]].tolist() == [other, 1.0]
        assert rows["side"].isna().sum() == 4

    def test_several_raters_and_repeats(self, pairs):
        more = [line(1, "new", "old", 0, rater="ben"), line(1, "new", "old", 0, repeat=2)]
        pairs.append("scores.csv", "\n".join(more) + "\n")
        rows = human(pairs.load()).query("model == 'new' and item_id == 'q1'")
        assert rows[["rater", "repeat", "value"]].values.tolist() == [
            ["anna", "0", 1.0], ["ben", "0", 0.0], ["anna", "2", 0.0]]

    def test_a_mirrored_table_counts_once(self, pairs):
        straight = pairs.load()
        rows = [line(item, "old", model, -value, rater=rater, kind=kind) for model, values in WON.items()
                for item, value in enumerate(values, start=1)
                for rater, kind in (("anna", "human"), ("judge-x", "judge"))]
        data = pairs.append("scores.csv", "\n".join(rows) + "\n").load()
        pd.testing.assert_frame_equal(data.scores, straight.scores)
        reason = "mirrored row of a preference that stands there already"
        assert counts(data) == {("scores", "new", reason): 12, ("scores", "small", reason): 12}

    def test_a_judge_that_answers_by_side_is_averaged(self, pairs):
        pairs.append("scores.csv", line(1, "old", "new", 1, rater="judge-x", kind="judge") + "\n")
        data = pairs.load()
        row = data.scores.query("rater == 'judge-x' and item_id == 'q1' and model == 'new'")
        assert row[["value", "repeat"]].values.tolist() == [[0.0, "0"]]
        assert counts(data) == {("scores", "new", "repeats of a metric, averaged"): 1}

    def test_a_comparison_shown_again_with_sides_changed(self, pairs):
        pairs.edit("scores.csv", line(1, "new", "old", 1), line(1, "new", "old", 1, side="left"))
        pairs.append("scores.csv", line(1, "old", "new", 1, side="left") + "\n")
        pairs.edit("scores.csv", line(2, "new", "old", 1, rater="judge-x", kind="judge"),
                   line(2, "new", "old", 1, rater="judge-x", kind="judge", side="left"))
        pairs.append("scores.csv", line(2, "old", "new", -1, rater="judge-x", kind="judge", side="left") + "\n")
        data = pairs.load()
        rows = human(data).query("model == 'new' and item_id == 'q1'")
        assert rows[["side", "value"]].values.tolist() == [["left", 1.0], ["right", -1.0]]
        assert rows["repeat"].tolist() == ["0", "0 sides changed"]
        judge = data.scores.query("rater == 'judge-x' and item_id == 'q2' and model == 'new'")
        assert judge["value"].tolist() == [1.0]
        assert judge["side"].isna().all()

    def test_other_pairs_are_counted(self, pairs):
        pairs.append("scores.csv", "\n".join([
            line(1, "new", "small", 1), line(1, "small", "new", -1), line(2, "new", "other", 1),
            line(2, "other", "new", 1), line(3, "old", "old", 0)]) + "\n")
        data = pairs.load()
        reason = "preference not between a candidate and the incumbent"
        assert len(human(data)) == 12
        assert counts(data) == {
            ("scores", "new", reason): 2, ("scores", "small", reason): 1, ("scores", "old", reason): 1,
            ("scores", "other", "model not in the plan"): 1}

    def test_values_mapped_in_the_plan(self, pairs):
        for value, written in (("1", "win"), ("0", "tie"), ("-1", "loss")):
            pairs.edit("scores.csv", f"human,{value},", f"human,{written},", 99)
            pairs.edit("scores.csv", f"judge,{value},", f"judge,{written},", 99)
        pairs.drop("scores.csv", "chars").edit("migration.yml", ", chars]", "]")
        pairs.edit("migration.yml", "{path: scores.csv}", "{path: scores.csv, columns: {value: {from: value, map: "
                                                          "{win: 1, tie: 0, loss: -1}}}}")
        assert human(pairs.load()).groupby("model")["value"].apply(tuple).to_dict() == WON

    def test_wide_tables_with_a_map_for_each_column(self, pairs):
        pairs.drop("scores.csv", "anna")
        rows = [f"q{item},{model},{['lose', 'tie', 'win'][value + 1]},x" for model, values in WON.items()
                for item, value in enumerate(values, start=1)]
        pairs.write("wide.csv", "\n".join(["item_id,system,verdict,note", *rows]) + "\n")
        pairs.edit("migration.yml", "[{path: scores.csv}]", """
    - path: scores.csv
    - path: wide.csv
      columns: {model: system, opponent: {value: old}}
      values: {verdict: {criterion: preferred, rater: ben, rater_kind: human, map: {win: 1, tie: 0, lose: -1}}}""")
        assert human(pairs.load()).groupby("model")["value"].apply(tuple).to_dict() == WON
        message = pairs.edit("wide.csv", "lose", "lost").refused()
        assert "found 'lost', which data.scores.1.values.verdict.map does not name; did you mean 'lose'?" in message

    def test_opponents_that_stand_with_the_outputs(self, pairs):
        for model in WON:
            pairs.edit("scores.csv", f",{model},old,,preferred,anna", f",{model},,,preferred,anna", 99)
        rows = [f"q{item},{model},old,{'left' if item % 2 else 'right'}" for item in range(1, 7) for model in WON]
        pairs.write("outputs.csv", "\n".join(["item_id,model,opponent,position", *rows,
                                              *(f"q{item},old,new,right" for item in range(1, 7))]) + "\n")
        pairs.edit("migration.yml", "  scores: [",
                   "  outputs: {path: outputs.csv, columns: {side: position}}\n  scores: [")
        data = pairs.load()
        assert human(data).groupby("model")["value"].apply(tuple).to_dict() == WON
        assert human(data).query("model == 'new'")["side"].tolist() == ["left", "right"] * 3
        assert list(data.outputs) == ["item_id", "model"]
        assert data.exclusions.empty

    def test_outputs_without_scores_of_their_own_are_there(self, pairs):
        data = pairs.drop("scores.csv", "chars").edit("migration.yml", ", chars]", "]").load()
        assert data.exclusions.empty
        assert "old" not in set(data.scores["model"])

    def test_a_missing_preference_is_counted_for_the_candidate(self, pairs):
        pairs.drop("scores.csv", "q3,small", "judge-x").drop("scores.csv", "q4,old", "chars")
        assert counts(pairs.load()) == {
            ("scores", "small", "metric 'judge-x' of 'preferred' missing for the comparison"): 1,
            ("scores", "old", "metric 'chars' of 'preferred' missing for the output"): 1,
        }

    def test_no_labels_for_a_candidate_or_for_any(self, pairs):
        assert set(human(pairs.drop("scores.csv", ",small,old,,preferred,anna").load())["model"]) == {"new"}
        assert human(pairs.drop("scores.csv", "anna").load()).empty

    def test_means_held_out(self, pairs):
        pairs.write("held.csv", "\n".join([HEAD, line(1, "old", "new", -0.4, rater="all", side="a"),
                                           line(2, "new", "small", 1, rater="all")]) + "\n")
        pairs.edit("migration.yml", "  scores: [", "  held_out: {path: held.csv}\n  scores: [")
        data = pairs.load()
        assert data.held_out[["model", "opponent", "side", "value"]].values.tolist() == [["new", "old", "right", 0.4]]
        assert counts(data) == {("held_out", "new", "preference not between a candidate and the incumbent"): 1}
        assert "held.csv: column 'value', row 2: found -1.4 for criterion 'preferred', expected -1 to 1" in (
            pairs.edit("held.csv", "-0.4", "-1.4").refused())

    def test_beside_a_criterion_of_each_output(self, pairs):
        pairs.edit("migration.yml", "  - {id: preferred", "  - {id: correct, role: monitor, metrics: [exact]}\n"
                                                          "  - {id: preferred")
        rows = [line(item, model, "", 1, rater=rater, kind=kind, criterion="correct") for item in range(1, 7)
                for model in ("old", "new", "small") for rater, kind in (("anna", "human"), ("exact", "code"))]
        data = pairs.append("scores.csv", "\n".join(rows) + "\n").load()
        assert data.scores.query("criterion == 'correct'")["opponent"].isna().all()
        assert data.exclusions.empty


class TestRefused:
    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ("human,1,", "human,0.5,",
             ["scores.csv: column 'value', row 2: found 0.5 for criterion 'preferred', expected 1 where `model` won",
              "give one row a rater instead of their mean"]),
            ("human,1,", "human,2,", ["row 2: found 2 for criterion 'preferred', expected 1 where `model` won"]),
            ("human,1,", "human,win,", ["row 2 (criterion 'preferred', rater 'anna'): found 'win', expected a finite",
                                        "{win: 1, tie: 0, loss: -1}"]),
            ("q1,new,old,", "q1,new,,", ["scores.csv: column 'opponent', row 2: no opponent for criterion 'preferred'",
                                         "(1 of 12 human judgments)", "columns: {opponent: {value: old}}}"]),
            ("q1,new,old,", "q1,new,old,top", ["column 'side', row 2: found 'top', expected 'left' or 'right'"]),
            ("q1,new,old,,preferred,judge-x", "q1,new,,,preferred,judge-x",
             ["column 'opponent', row 14: is empty for metric 'judge-x' of criterion 'preferred'", "or in none"]),
            ("q2,new,old,,preferred,anna", "q1,new,old,,preferred,anna",
             ["the key item_id 'q1', model 'new', criterion 'preferred', rater 'anna', repeat '0' stands more than"]),
            ("q2,new,old,,preferred,anna", "q1,old,new,,preferred,anna",
             ["scores.csv: column 'value', rows 2, 3: rater 'anna' says two things of item 'q1' and models 'new', 'ol",
              "number them in a column 'repeat'"]),
            ("opponent", "oponent", ["column 'oponent' is not known; did you mean 'opponent'?"]),
        ],
    )
    def test_bad_preferences(self, pairs, old, new, words):
        message = pairs.edit("scores.csv", old, new).refused()
        for word in words:
            assert word in message
        assert len(message.splitlines()) == 1

    def test_no_opponent_anywhere(self, pairs):
        pairs.edit("scores.csv", "opponent,side,", "").edit("scores.csv", ",old,,preferred", ",preferred", 99)
        pairs.edit("scores.csv", ",,,preferred", ",preferred", 99)
        message = pairs.refused()
        assert "column 'opponent', rows 2, 3, 4, 5, 6 and 7 more: no opponent for criterion 'preferred'" in message

    def test_preferences_that_are_never_lost(self, pairs):
        pairs.edit("scores.csv", "human,-1,", "human,0,", 99)
        pairs.append("scores.csv", "\n".join(line(item, "new", "old", 0, rater="ben") for item in range(1, 7)) + "\n")
        assert len(human(pairs.load())) == 18
        pairs.append("scores.csv", "\n".join(line(item, "new", "old", 1, rater="cleo") for item in range(1, 7)) + "\n")
        message = pairs.refused()
        assert "column 'value': criterion 'preferred' is pairwise, and none of 24 preferences is below 0" in message
        assert len(message.splitlines()) == 1
        pairs.edit("migration.yml", "{path: scores.csv}",
                   '{path: scores.csv, where: {rater_kind: human}, columns: {value: {from: value, map: '
                   '{"1": 1, "0": 0, "-1": -1}}}}, {path: scores.csv, where: {rater_kind: [judge, code]}}')
        assert len(human(pairs.load())) == 24

    def test_a_judge_that_gives_probabilities(self, pairs):
        rows = [line(item, model, "old", 0.3, rater="judge-x", kind="judge", repeat=repeat)
                for item in range(1, 7) for model in WON for repeat in (1, 2)]
        pairs.drop("scores.csv", "judge-x").append("scores.csv", "\n".join(rows) + "\n")
        assert "metric 'judge-x' of criterion 'preferred' is pairwise, and none of 24 preferences is below 0" in (
            pairs.refused())

    @pytest.mark.parametrize(("rater", "kind"), [("anna", "human"), ("exact", "code")])
    def test_an_opponent_of_another_scale(self, pairs, rater, kind):
        pairs.edit("migration.yml", "  - {id: preferred", "  - {id: correct, role: monitor, metrics: [exact]}\n"
                                                          "  - {id: preferred")
        rows = [line(item, model, "", 1, rater="exact", kind="code", criterion="correct") for item in range(1, 7)
                for model in ("old", "new", "small") if (item, model) != (1, "new")]
        rows.append(line(1, "new", "old", 1, rater=rater, kind=kind, criterion="correct"))
        message = pairs.append("scores.csv", "\n".join(rows) + "\n").refused()
        assert "column 'opponent', row 61: found 'old' for criterion 'correct', whose scale is binary" in message
        assert len(message.splitlines()) == 1

    def test_only_preferences_between_other_models(self, pairs):
        message = pairs.edit("scores.csv", ",old,,preferred,anna", ",other,,preferred,anna", 99).refused()
        assert "criterion 'preferred' has human labels, but none for the plan's models and items, each a candidate" in (
            message)

    def test_a_candidate_without_any_metric(self, pairs):
        pairs.drop("scores.csv", ",small,old,,preferred,judge-x").drop("scores.csv", ",old,,,preferred,chars")
        message = pairs.refused()
        assert "criteria.0: model 'small' has no row of any metric of criterion 'preferred'" in message
        assert "beside the incumbent's; name 'old' as `opponent` in the rows that compare with it, add its" in message
        assert len(message.splitlines()) == 1


class TestRealData:
    @pytest.mark.parametrize(("folder", "incumbent", "candidate", "metrics", "sides"), [
        ("pandalm_pairwise", "llama-7b", "bloom-7b", "judge_gpt-3.5-turbo, judge_pandalm-7b", {"left"}),
        ("arena_pairwise", "gemini-2.5-flash", "claude-opus-4-20250514", "judge_gpt-4o-mini, judge_gpt-5.2",
         {"left", "right"}),
    ])
    def test_mirrored_tables_as_they_lie(self, shared_data, tmp_path, folder, incumbent, candidate, metrics, sides):
        text = REAL.format(folder=shared_data / folder, incumbent=incumbent, candidate=candidate, criterion="preferred",
                           scale="pairwise", metrics=metrics)
        items = f"items: {{path: {shared_data / folder}/outputs.parquet"
        mapped = 'value: {from: value, map: {"1": 1, "0.5": 0, "0": -1}}'
        text = text.replace("rater_kind: {value: human}", f"rater_kind: {{value: human}}, {mapped}")
        text = text.replace(items, f"{items}, where: {{model: [{candidate}], opponent: [{incumbent}]}}")
        text = text.replace("  scores:\n", f"  outputs: {{path: {shared_data / folder}/outputs.parquet, "
                                           "columns: {side: position}}\n  scores:\n")
        plan = tmp_path / "migration.yml"
        plan.write_text(text)
        data = load_data(load_plan(plan))
        source = pd.read_parquet(shared_data / folder / "human.parquet")
        source = source[source["item_id"].isin(data.items["item_id"]) & (source["model"] == candidate)]
        rows = human(data)
        assert len(rows) == len(source) > 0
        assert rows["value"].mean() == pytest.approx(2 * source["value"].mean() - 1)
        assert set(rows["side"]) == sides
        assert set(rows["value"]) <= {-1.0, 0.0, 1.0}
        mirrored = counts(data)["scores", candidate, "mirrored row of a preference that stands there already"]
        assert mirrored == len(source)
