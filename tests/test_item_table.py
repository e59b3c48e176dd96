"""Single items: what metric and people say of them, flips as they are counted elsewhere, unexpected judgments first."""

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from helpers import judged_data, judged_features, posterior, small_data, small_plan

from migration_kit import item_table, story, tables
from migration_kit.features import build_features
from migration_kit.item_table import by_surprise
from migration_kit.overview import flips
from migration_kit.simulate.families import simulate_family

NAN = float("nan")
EVIL = "<script>alert(1)</script> **b** $x_1$"


@pytest.fixture(scope="module")
def case():
    """Six items; people judged five; the judge sees one loss of two and calls a good one lost."""
    values = np.array([[1, 0], [1, 1], [1, 0], [0, 1], [0, 0], [1, 0]], dtype=float)[:, :, None]
    label = np.array([[1, 0], [1, 0], [1, 1], [0, 1], [0, 0], [NAN, NAN]])
    plan = small_plan(metrics=["judge"])
    text = np.array([[f"old {n}", f"new {n}"] for n in range(6)], dtype=object)
    text[1, 1] = EVIL
    data = small_data(values, label, plan, text=text)
    features = build_features(data, plan, "correct")
    return plan, data, features, item_table.item_table(features, plan)


def test_a_row_says_what_metric_and_people_say_of_both_models(case):
    table = case[3]
    assert table["item_id"].tolist() == [f"i{n:05d}" for n in range(6)]
    assert table["model"].unique().tolist() == ["new"]
    assert table["metric_flip"].tolist() == ["lost", "none", "lost", "gained", "none", "lost"]
    assert table["people_flip"].tolist() == ["lost", "lost", "none", "gained", "none", ""]
    assert table["metric_says"].tolist() == ["bad", "good", "bad", "good", "bad", "bad"]
    assert table["people_says"].tolist() == ["bad", "bad", "good", "good", "bad", ""]
    assert table["people_says_incumbent"].tolist() == ["good", "good", "good", "bad", "bad", ""]
    assert table["chance"].isna().all()


def test_without_a_fit_items_on_which_metric_and_people_differ_come_first(case):
    rows, by = by_surprise(case[3])
    assert by == "disagreement"
    assert set(rows["item_id"].head(2)) == {"i00001", "i00002"}
    assert rows["item_id"].iloc[-1] == "i00005", "what nobody judged stands last"
    assert rows["disagreement"].dropna().between(0, 1).all()


def test_far_apart_are_verdicts_that_contradict_each_other_and_scores_at_different_places(case):
    table = case[3]
    assert item_table.far_apart(table)["item_id"].tolist() == ["i00001", "i00002"]
    scores = table.assign(metric_says="high", people_says="low", disagreement=[0.1, 0.6, 0.0, NAN, 0.3, NAN])
    assert item_table.far_apart(scores)["item_id"].tolist() == ["i00001", "i00004", "i00000"]
    assert item_table.far_apart(table.iloc[5:]).empty


def test_the_incumbent_alone_shows_no_candidate(case):
    plan, _, features, _ = case
    table = item_table.item_table(features, plan, candidates=False)
    assert table["model"].unique().tolist() == ["old"] and len(table) == 6
    assert (table[["metric_flip", "people_flip", "metric_says_incumbent"]] == "").all(axis=None)
    assert table[["metric_incumbent", "people_incumbent"]].isna().all(axis=None)


@pytest.mark.parametrize("family", ["raters_binary", "ordinal", "pairwise", "penalty"])
def test_flips_are_those_that_are_counted(family):
    drawn = simulate_family(family, n_labels=40, n_unlabelled=20, seed=3)
    features, plan = judged_features(drawn)
    table = item_table.item_table(features, plan)
    counts = flips(features, plan)
    counts = counts[counts["slice"] == "all"].set_index(["by", "model"])
    for who, name in (("metric_flip", features.attrs["primary_metric"]), ("people_flip", "people")):
        for kind in ("lost", "gained"):
            assert (table[who] == kind).sum() == counts.loc[(name, "new"), kind], (who, kind)
        assert (table[who] != "").sum() == counts.loc[(name, "new"), "n"]


def test_a_metric_where_less_is_better_and_one_without_a_direction():
    values, label = np.array([[0.0, 1], [0, 0]])[:, :, None], np.array([[1.0, 0], [1, 0]])
    plan = small_plan(metric_better="lower")
    table = item_table.item_table(build_features(small_data(values, label, plan), plan, "correct"), plan)
    assert table["metric_flip"].tolist() == ["lost", "none"]
    assert table["metric_says"].tolist() == ["bad", "good"]
    plan = small_plan(metric_better="none")
    table = item_table.item_table(build_features(small_data(values, label, plan), plan, "correct"), plan)
    assert (table["metric_flip"] == "").all() and table["disagreement"].isna().all()
    assert by_surprise(table)[1] == ""


def test_raters_split_in_halves_are_no_flip():
    values, label = np.array([[1.0, 1], [1, 1]])[:, :, None], np.array([[1.0, 0], [1, 1]])
    plan = small_plan()
    data = small_data(values, label, plan)
    human = data.scores[(data.scores["rater_kind"] == "human") & (data.scores["model"] == "new")]
    more = human.assign(rater="ben", value=1 - human["value"])
    both = pd.concat([data.scores, more], ignore_index=True)
    split = type(data)(**{**vars(data), "scores": both})
    table = item_table.item_table(build_features(split, plan, "correct"), plan)
    assert table["people_says"].tolist() == ["split", "split"]
    assert table["people_flip"].tolist() == ["", ""]


@pytest.fixture(scope="module")
def fitted():
    """A judge that is always right but for one output, of which people say the opposite."""
    rng = np.random.default_rng(5)
    truth = (rng.random((80, 2)) < 0.6).astype(float)
    label = np.where(np.arange(80)[:, None] < 50, truth, NAN)
    label[7, 1] = 1 - label[7, 1]
    plan = small_plan()
    features = build_features(small_data(truth[:, :, None], label, plan), plan, "correct")
    x = features["x"].to_numpy().reshape(-1, features.sizes["component"])
    weight, *_ = np.linalg.lstsq(x, 2 * truth.ravel() - 1, rcond=None)
    return plan, features, posterior(features, weight)


def test_with_a_fit_the_least_likely_judgment_comes_first(fitted):
    plan, features, fit = fitted
    table = item_table.item_table(features, plan, fit=fit)
    rows, by = by_surprise(table)
    assert by == "chance"
    assert rows["item_id"].iloc[0] == "i00007"
    assert rows["chance"].iloc[0] < 0.2 < rows["chance"].iloc[5]
    judged = table["people_says"] != ""
    assert table.loc[judged, "chance"].between(0, 1).all() and table.loc[~judged, "chance"].isna().all()


def test_chances_are_the_predictive_tails():
    """A stand-in posterior without effects: every judgment is good with probability one half."""
    values, label = np.array([[1.0, 0], [0, 1], [1, 1]])[:, :, None], np.array([[1.0, 0], [1, 1], [0, 0]])
    plan = small_plan()
    features = build_features(small_data(values, label, plan), plan, "correct")
    table = item_table.item_table(features, plan, fit=posterior(features))
    np.testing.assert_allclose(table["chance"], 0.5, atol=0.06)


def test_the_sentences_count(case):
    plan, _, features, table = case
    told = str(story.items.lost(table, plan.criteria[0]))
    assert "2 answers lost among 5 judged pairs" in told
    assert "judge saw 1 of them and missed 1." in told
    several = pd.concat([table.assign(model=name) for name in ("new", "other")], ignore_index=True)
    assert "missed 2, 1 of them with new." in str(story.items.lost(several, plan.criteria[0]))
    own = item_table.item_table(features, plan, candidates=False)
    assert "all 5 judged outputs people and judge say the same" in str(story.items.apart(own, plan.criteria[0]))
    wrong = own.assign(metric_says=["bad", "good", "good", "good", "bad", "bad"])
    assert "On 2 of 5 judged outputs (40%)" in str(story.items.apart(wrong, plan.criteria[0]))
    assert "1 it calls good and people bad, 1 it calls bad and people good" in str(
        story.items.apart(wrong, plan.criteria[0]))


def test_without_judgments_the_sentences_say_so():
    plan = small_plan()
    values = np.ones((3, 2, 1))
    features = build_features(small_data(values, np.full((3, 2), NAN), plan), plan, "correct")
    table = item_table.item_table(features, plan)
    assert "no lost answer is known" in str(story.items.lost(table, plan.criteria[0]))
    assert "Nobody has judged" in str(story.items.apart(table, plan.criteria[0]))
    assert by_surprise(table)[1] == ""


@pytest.mark.parametrize("family", ["ordinal", "pairwise", "penalty", "raters"])
def test_every_scale_has_a_sentence_and_a_table(family):
    drawn = simulate_family(family, n_labels=40, n_unlabelled=20, seed=4)
    features, plan = judged_features(drawn)
    table, criterion = item_table.item_table(features, plan), plan.criteria[0]
    assert str(story.items.lost(table, criterion)).endswith(".")
    assert str(story.items.apart(table, criterion)).endswith(".")
    found = page(tables.items.lost(table, plan, criterion, judged_data(drawn, plan)))
    assert len(found.select("tbody tr")) == min(8, (table["people_flip"] == "lost").sum())
    assert "nan" not in found.get_text()


def page(table) -> BeautifulSoup:
    return BeautifulSoup(table.as_raw_html(), "html.parser")


def test_lost_answers_that_the_metric_missed_come_first(case):
    plan, data, _, table = case
    found = page(tables.items.lost(table, plan, plan.criteria[0], data))
    rows = [[cell.get_text() for cell in row.find_all(["th", "td"])] for row in found.select("tbody tr")]
    assert [row[0] for row in rows] == ["i00001", "i00000"]
    assert rows[0][3:] == ["good → bad", "good → good", "none"]
    assert "old 1" not in found.get_text(), "texts are left out unless the plan allows them"


def test_candidates_take_turns_among_lost_answers(case):
    plan, data, _, table = case
    several = pd.concat([table.assign(model=name) for name in ("new", "other")], ignore_index=True)
    rows = page(tables.items.lost(several, plan, plan.criteria[0], data)).select("tbody tr")
    assert [row.find_all(["th", "td"])[2].get_text() for row in rows] == ["new", "other"] * 2


def test_texts_stand_there_where_the_plan_allows_them_and_are_not_obeyed(case):
    plan, data, features, table = case
    open_plan = plan.model_copy(update={"report": plan.report.model_copy(update={"show_texts": True})})
    found = page(tables.items.lost(table, open_plan, plan.criteria[0], data))
    assert EVIL in found.get_text() and "old 1" in found.get_text()
    assert not found.find_all("script")
    own = item_table.item_table(features, plan, candidates=False).assign(metric_says="bad")
    told = page(tables.items.apart(item_table.far_apart(own), open_plan, plan.criteria[0], data)).get_text()
    assert "old 1" in told and "new 1" not in told


def test_a_metric_that_counts_the_other_way_agrees_where_it_is_low():
    label, plan = np.array([[1.0, 0], [0, 1], [1, 1], [0, 0]]), small_plan(metric_better="lower")
    features = build_features(small_data(1 - label[:, :, None], label, plan), plan, "correct")
    assert (item_table.item_table(features, plan)["disagreement"] == 0).all()


def test_twins_share_the_chance_of_the_one_judgment_they_got():
    label, values = np.array([[1, NAN], [1, 0], [0, NAN]]), np.array([[1.0, 1], [0, 1], [1, 1]])[:, :, None]
    text, plan = np.array([["same", "same"], ["a", "b"], ["c", "d"]], dtype=object), small_plan()
    features = build_features(small_data(values, label, plan, text=text), plan, "correct")
    new, old = (item_table.item_table(features, plan, candidates=candidates, fit=posterior(features)).set_index(
        "item_id")["chance"] for candidates in (True, False))
    assert 0 < new["i00000"] == old["i00000"] < 1
    assert np.isnan(new["i00002"]) and not np.isnan(old["i00002"])
