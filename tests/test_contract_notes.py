"""What is valid and odd: told with file, row and what is done with it, in `check`, in `preview` and as a check."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from test_data import PLANS, Tiny, counts

from migration_kit import story
from migration_kit.contract import no_notes
from migration_kit.data import load_data, read_data, save_data
from migration_kit.data_checks import noted_checks
from migration_kit.plan import load_plan
from migration_kit.preview import preview
from migration_kit.summary import preview_text, summary

MODELS = ("old", "new", "small")


@pytest.fixture
def tiny(tiny_plan) -> Tiny:
    return Tiny(tiny_plan)


def texts(data) -> list[str]:
    return data.notes["text"].tolist()


def add_column(tiny, file, column, cell):
    lines = tiny.folder.joinpath(file).read_text().splitlines()
    return tiny.write(file, "\n".join([f"{lines[0]},{column}", *(f"{line},{cell}" for line in lines[1:])]) + "\n")


def with_metric(tiny, value):
    """Metric `score` with a value for each model and item number from 1."""
    tiny.edit("migration.yml", "exact_match]", "exact_match, score]")
    rows = [f"q{n:02d},{model},correct,score,judge,{value(model, n)}" for n in range(1, 13) for model in MODELS]
    return tiny.append("scores.csv", "\n".join(rows) + "\n")


class TestColumns:
    def test_inclusion_probabilities_of_items_are_refused(self, tiny):
        message = add_column(tiny, "items.csv", "inclusion_prob", "0.3").refused()
        assert message == ("items.csv: column 'inclusion_prob' is not read from items; it belongs in scores "
                           "('scores.csv'), on every row of a human judgment; put it there, or rename it here if it "
                           "means something else")

    def test_beside_those_of_scores_they_are_told(self, tiny):
        tiny.edit("scores.csv", "value\n", "value,inclusion_prob\n")
        for cell in "01":
            tiny.edit("scores.csv", f"human,{cell}\n", f"human,{cell},0.25\n", 99)
        (text,) = texts(add_column(tiny, "items.csv", "inclusion_prob", "0.3").load())
        assert "items.csv: column 'inclusion_prob' is not read from items" in text
        assert "which have it already" in text

    @pytest.mark.parametrize("column", ["value", "rater", "rater_kind", "opponent", "side", "repeat", "criterion"])
    def test_other_columns_of_scores_are_told(self, tiny, column):
        (text,) = texts(add_column(tiny, "items.csv", column, "1").load())
        assert text == (f"items.csv: column '{column}' is not read from items; it belongs in scores ('scores.csv'). "
                        "If it is a column of your own, all is well.")

    def test_columns_the_plan_uses_are_the_users_own(self, tiny):
        add_column(tiny, "items.csv", "value", "amer")
        tiny.edit("migration.yml", "items: {path: items.csv}", "items: {path: items.csv, where: {value: amer}}")
        assert texts(tiny.load()) == []
        tiny.edit("migration.yml", ", where: {value: amer}", ", columns: {region: value}")
        tiny.write("traffic.csv", "region,share\namer,1\n")
        assert texts(tiny.load()) == []

    def test_a_file_of_scores_may_name_the_items(self, tiny):
        lines = tiny.folder.joinpath("scores.csv").read_text().splitlines()
        region = {"item_id": "region"} | {f"q{n:02d}": "emea" if n % 3 == 0 else "amer" for n in range(1, 13)}
        tiny.write("scores.csv", "\n".join(f"{line},{region[line.split(',')[0]]}" for line in lines) + "\n")
        tiny.edit("migration.yml", "items: {path: items.csv}", "items: {path: scores.csv}")
        tiny.edit("migration.yml", "{path: scores.csv}]", "{path: scores.csv, columns: {value: value}}]")
        assert texts(tiny.load()) == []

    def test_clusters_belong_in_items(self, tiny):
        add_column(tiny, "scores.csv", "cluster_id", "7")
        assert "scores.csv: column 'cluster_id' belongs in items, one value an item; put it there" in tiny.refused()
        tiny.edit("migration.yml", "{path: scores.csv}]", "{path: scores.csv, columns: {value: value}}]")
        assert "scores.csv: column 'cluster_id' is not read from scores; it belongs in items ('items.csv')" in (
            tiny.refused())
        assert len(texts(add_column(tiny, "items.csv", "cluster_id", "7").load())) == 1


class TestInclusionProbabilities:
    def given(self, tiny, cells):
        tiny.edit("scores.csv", "value\n", "value,inclusion_prob\n")
        lines = tiny.folder.joinpath("scores.csv").read_text().splitlines()
        return tiny.write("scores.csv", "\n".join(
            f"{line},{cells[line.split(',')[1]]}" if ",human," in line else line for line in lines) + "\n")

    def test_one_for_all_models_is_nothing_to_tell(self, tiny):
        assert texts(self.given(tiny, dict.fromkeys(MODELS, 0.2)).load()) == []

    def test_another_for_one_model_is_told_with_what_is_done(self, tiny):
        data = self.given(tiny, {"old": 0.2, "new": 0.5, "small": 0.2}).load()
        (note,) = data.notes.to_dict("records")
        assert note["check"] == "one inclusion probability an item"
        assert "10 items of criterion 'correct' have several, e.g. item 'q01' 0.2 for old (row 2), 0.5 for new" in (
            note["text"])
        assert "the mean over its judgments (0.3 here), for all models" in note["text"]
        (check,) = noted_checks(data)
        assert (check.name, check.passed, check.criterion, check.text, check.blocks) == (
            note["check"], False, "correct", note["text"], False)


class TestUnits:
    @pytest.mark.parametrize(("of_new", "of_others"), [
        (lambda n: 8 * n, lambda n: n / 13),           # 0 to 100 beside 0 to 1
        (lambda n: n / 13, lambda n: 8 * n),
        (lambda n: 1 + n % 5, lambda n: n / 13),       # 1 to 5 beside 0 to 1
        (lambda n: 8 * n, lambda n: 1 + n % 5),        # 0 to 100 beside 1 to 5
    ])
    def test_two_units_are_told(self, tiny, of_new, of_others):
        data = with_metric(tiny, lambda model, n: (of_new if model == "new" else of_others)(n)).load()
        (note,) = data.notes.to_dict("records")
        assert note["check"] == "metrics have one unit for all models"
        assert note["text"].startswith("scores.csv: metric 'score' of 'correct' seems to have another unit")
        assert all(f"for {model}" in note["text"] for model in MODELS)
        assert note["text"] in summary(load_plan(tiny.plan), data)

    @pytest.mark.parametrize(("of_new", "of_others"), [
        (lambda n: 1 + n % 5, lambda n: 1 + n % 2),    # better by far, on one scale
        (lambda n: 4 + n % 2, lambda n: 1 + n % 2),
        (lambda n: 1, lambda n: n % 2),                # 0 or 1, always 1
        (lambda n: 0, lambda n: n % 2),
        (lambda n: 90 + n % 10, lambda n: 5 * n),
        (lambda n: 100 * n, lambda n: 30 * n),         # lengths
        (lambda n: 0.9 + n / 200, lambda n: n / 200),
        (lambda n: -n, lambda n: -n / 3),
    ])
    def test_models_far_apart_share_a_unit(self, tiny, of_new, of_others):
        assert texts(with_metric(tiny, lambda model, n: (of_new if model == "new" else of_others)(n)).load()) == []

    def test_few_values_tell_nothing(self, tiny):
        with_metric(tiny, lambda model, n: 8 * n if model == "new" else n / 13)
        for n in (1, 2, 3):
            tiny.drop("scores.csv", f"q{n:02d},new,", "score,judge")
        assert not data_notes_of(tiny.load(), "metrics have one unit for all models")


def data_notes_of(data, check) -> list[str]:
    return data.notes.loc[data.notes["check"] == check, "text"].tolist()


class TestUnmatched:
    def test_ids_that_match_no_item_are_named_on_both_sides(self, tiny):
        tiny.append("scores.csv", "Q01,old,correct,judge-x,judge,1\nQ02,old,correct,judge-x,judge,1\n"
                                  "Q03,old,correct,judge-x,judge,1\n")
        data = tiny.load()
        assert counts(data) == {("scores", "old", "item not in items"): 3}
        assert texts(data) == ["scores.csv: 3 item_ids ('Q01', 'Q02' and 1 more) of 3 rows match no item; items are "
                               "'q01', 'q02' and 10 more. These rows are left out; write ids as items does, or add the "
                               "items."]

    def test_items_chosen_by_the_plan_are_meant(self, tiny):
        add_column(tiny, "items.csv", "kept", "1").append("items.csv", "q13,amer,0\n")
        tiny.append("scores.csv", "q13,old,correct,judge-x,judge,1\n")
        tiny.edit("migration.yml", "items: {path: items.csv}", "items: {path: items.csv, where: {kept: 1}}")
        assert texts(tiny.load()) == []


class TestFarOutside:
    def continuous(self, tiny):
        rng = np.random.default_rng(1)
        lines = tiny.edit("migration.yml", "scale: binary", "scale: continuous").folder.joinpath(
            "scores.csv").read_text().splitlines()
        return tiny.write("scores.csv", "\n".join(
            f"{line[:-1]}{rng.normal():.2f}" if ",human," in line else line for line in lines) + "\n")

    def test_preview_tells_a_wild_judgment_beside_its_numbers(self, tiny):
        self.continuous(tiny)
        plan = load_plan(tiny.plan)
        assert "far outside" not in preview_text(preview(plan, load_data(plan)), plan)
        row = next(number for number, line in enumerate(tiny.folder.joinpath("scores.csv").read_text().splitlines(), 1)
                   if "q03,new,correct,anna" in line)
        lines = tiny.folder.joinpath("scores.csv").read_text().splitlines()
        lines[row - 1] = "q03,new,correct,anna,human,9000"
        data = load_data(load_plan(tiny.write("scores.csv", "\n".join(lines) + "\n").plan))
        text = preview_text(preview(plan, data), plan)
        assert f"scores.csv row {row}: 1 human judgment of 'correct' lies far outside the others" in text
        assert "9000 for model 'new' on item 'q03', rater 'anna'. Every label counts in full" in text
        (check,) = noted_checks(data)
        assert (check.name, check.passed) == ("judgments are plausible", False)

    def test_check_tells_it_under_a_heading_of_its_own(self, tiny):
        self.continuous(tiny).append("scores.csv", "q11,old,correct,anna,human,9000\nq12,old,correct,anna,human,8000\n")
        text = summary(load_plan(tiny.plan), tiny.load())
        assert "left out or missing\n  nothing\n\nlook at this\n  scores.csv rows 104, 105: 2 human judgments" in text
        assert "the furthest is row 104" in text
        assert "kept out" not in text


class TestDates:
    @pytest.mark.parametrize(("retires", "told"), [
        ("2027-01-10", "'old' retires on 2027-01-10, before the decision is due (decision.due: 2027-01-15)"),
        ("2027-01-15", "'old' retires on 2027-01-15, on the day the decision is due"), ("2027-01-16", "")])
    def test_an_incumbent_that_retires_first_is_told(self, tiny, retires, told):
        data = tiny.edit("migration.yml", "{id: old,", f"{{id: old, retires: {retires},").load()
        assert len(data.notes) == bool(told)
        if told:
            (text,) = texts(data)
            assert text.startswith("migration.yml: models.incumbent.retires: ") and told in text
            assert text in summary(load_plan(tiny.plan), data) and not noted_checks(data)


class TestSides:
    def sided(self, folder, sides):
        rows = ["item_id,model,opponent,criterion,rater,rater_kind,value,side"]
        for n, side in enumerate(sides, start=1):
            rows += [f"q{n},new,old,liked,anna,human,{n % 3 - 1},{side}",
                     f"q{n},new,old,liked,judge-p,judge,{(n + 1) % 3 - 1},"]
        names = ["item_id", *(f"q{n}" for n in range(1, len(sides) + 1))]
        folder.joinpath("items.csv").write_text("\n".join(names) + "\n")
        folder.joinpath("scores.csv").write_text("\n".join(rows) + "\n")
        folder.joinpath("migration.yml").write_text(
            "title: Side by side\nmodels: {incumbent: {id: old}, candidates: [{id: new}]}\n"
            "data: {items: {path: items.csv}, scores: {path: scores.csv}}\n"
            "criteria: [{id: liked, scale: pairwise, role: gate, margin: 0.1, metrics: [judge-p]}]\n")
        return load_data(load_plan(folder / "migration.yml"))

    def test_preferences_without_a_side_are_told_beside_those_with_one(self, tmp_path):
        data = self.sided(tmp_path, ["left", "right", "", "left", "", "right", ""] * 2)
        (note,) = data.notes.to_dict("records")
        assert note["criterion"] == "liked" and note["check"] == ""
        assert note["text"].startswith("scores.csv: column 'side' is empty on 6 of 14 human preferences of 'liked'. ")
        assert "shown on neither side" in note["text"]

    @pytest.mark.parametrize("sides", [["left", "right"] * 6, [""] * 12])
    def test_all_sides_or_none_are_nothing_to_tell(self, tmp_path, sides):
        assert texts(self.sided(tmp_path, sides)) == []


def test_notes_are_stored_with_the_data(tiny, tmp_path):
    data = add_column(tiny, "items.csv", "value", "1").load()
    save_data(data, tmp_path / "saved")
    pd.testing.assert_frame_equal(read_data(tmp_path / "saved").notes, data.notes)
    assert tiny.edit("items.csv", "value", "note").load().notes.empty


@pytest.mark.parametrize("plan", ["data/sentiment", "data/support"])
def test_nothing_is_odd_in_the_embedded_data(plan):
    found = load_data(load_plan(PLANS.parents[1] / plan / "migration.yml"))
    assert [text for text in texts(found) if not text.startswith("live")] == []


def test_notes_are_told_letter_by_letter():
    nothing = no_notes()
    odd = pd.DataFrame([("", "", "live.csv: <b>2</b> users met -1 model.")], columns=nothing.columns)
    assert story.measured.notes(SimpleNamespace(notes=nothing)) == "Nothing in plan and tables is odd."
    told = story.measured.notes(SimpleNamespace(notes=odd))
    assert "was kept" in told and "\\<b\\>2" in told and "−1" in told


@pytest.mark.parametrize("name", ["arena", "hanna", "nlg", "openqa", "pandalm", "triviaqa", "wmt23"])
def test_real_tables_raise_no_alarm(shared_data, name):
    found = load_data(load_plan(PLANS / f"{name}.yml"))
    assert not data_notes_of(found, "metrics have one unit for all models")
    assert not data_notes_of(found, "one inclusion probability an item")
    assert not [text for text in texts(found) if "is not read from" in text]


def test_the_incumbent_of_a_preference_has_no_labels_of_its_own(tmp_path):
    rows = ["item_id,model,opponent,criterion,rater,rater_kind,value"]
    for n in range(1, 13):
        rows += [f"q{n},new,old,liked,anna,human,{n % 3 - 1}", f"q{n},new,old,liked,judge-p,judge,{(n + 1) % 3 - 1}",
                 *(f"q{n},{model},,liked,chars,code,{n}" for model in ("old", "new"))]
    tmp_path.joinpath("items.csv").write_text("\n".join(["item_id", *(f"q{n}" for n in range(1, 13))]) + "\n")
    tmp_path.joinpath("scores.csv").write_text("\n".join(rows) + "\n")
    tmp_path.joinpath("migration.yml").write_text(
        "title: Side by side\nmodels: {incumbent: {id: old}, candidates: [{id: new}]}\n"
        "data: {items: {path: items.csv}, scores: {path: scores.csv}}\n"
        "criteria: [{id: liked, scale: pairwise, role: gate, margin: 0.1, metrics: [judge-p, chars]}]\n")
    plan = load_plan(tmp_path / "migration.yml")
    data = load_data(plan)
    checked = [line.split() for line in summary(plan, data).splitlines()]
    assert ["old", "–", "–", "100.0%"] in checked
    assert ["new", "12", "100.0%", "100.0%"] in checked
    answer = preview(plan, data)
    assert [row["labels"] for row in answer["criteria"][0]["models"]] == [None, 12]
    previewed = [line.split()[:2] for line in preview_text(answer, plan).splitlines()]
    assert ["old", "–"] in previewed
    assert ["new", "12"] in previewed
