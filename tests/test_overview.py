"""What lies in the data, counted on every scale and with several raters."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers import judged_data, judged_features, small_data, small_features, small_plan

from migration_kit.features import build_features
from migration_kit.overview import confusion, flips, flow, held_out_comparison
from migration_kit.simulate import simulate_family

ORDINAL = {"scale": {"ordinal": [1, 5]}, "margin": 0.2}


def flow_of(label, **criterion):
    plan = small_plan(**criterion)
    data = small_data(np.zeros((*label.shape, 1)), label, plan)
    features = build_features(data, plan, "correct")
    return flow({"correct": features}, data, plan).set_index("model").loc["old"]


@pytest.mark.parametrize(("values", "criterion", "expected"), [
    ([0, 1, 1, 1], {}, [0.75, 0.5, 1, 3]),
    ([0, 1, 1, 1], {"better": "lower"}, [0.75, 0.5, 3, 1]),
    ([1, 3, 4, 5], ORDINAL, [3.25, 3, 1, 2]),
    ([1, 3, 4, 5], {"scale": {"ordinal": [1, 5]}, "quantity": {"at_least": 4}}, [0.5, 0.5, 2, 2]),
    ([-10, 0, 0, 2], {"scale": "continuous"}, [-2, 0, 1, 1])])
def test_flow_counts_outputs_on_both_sides_of_the_middle(values, criterion, expected):
    label = np.repeat(np.array(values, dtype=float)[:, None], 2, axis=1)
    row = flow_of(label, **criterion)
    assert row[["mean", "middle", "bad", "good"]].tolist() == expected
    assert row[["items", "judged", "judgments"]].tolist() == [4, 4, 4]


def test_flow_of_preferences():
    drawn = simulate_family("pairwise", n_labels=80, seed=1)
    features, plan = judged_features(drawn)
    rows = flow({"correct": features}, judged_data(drawn, plan), plan).set_index("model")
    said = drawn.judgments[:80, 1, 0]
    assert rows.loc["new", ["bad", "good", "judged"]].tolist() == [(said < 0).sum(), (said > 0).sum(), 80]
    assert rows.loc["old", ["judged", "judgments"]].tolist() == [80, 80] and np.isnan(rows.loc["old", "good"])


def test_flow_with_several_raters_counts_outputs_and_judgments():
    drawn = simulate_family("raters", n_labels=80, seed=1)
    features, plan = judged_features(drawn)
    rows = flow({"correct": features}, judged_data(drawn, plan), plan).set_index("model")
    assert (rows["judged"] == 80).all() and (rows["judgments"] == drawn.labelled.sum()).all()
    assert rows["mean"].to_numpy() == pytest.approx(features["label"].mean("item").to_numpy())


def people(features, plan):
    return flips(features, plan).query("by == 'people' and slice == 'all'").iloc[0]


def test_flips_of_scores_and_preferences():
    label = np.array([[1, 3], [4, 4], [5, 2], [2, 5.0]])
    plan = small_plan(**ORDINAL)
    row = people(small_features(np.zeros((4, 2, 1)), label, plan), plan)
    assert row[["n", "both_good", "lost", "gained"]].tolist() == [4, 1, 1, 2] and np.isnan(row["both_bad"])
    drawn = simulate_family("pairwise", n_labels=80, seed=1)
    said = drawn.judgments[:80, 1, 0]
    for better, order in (("higher", 1), ("lower", -1)):
        features, plan = judged_features(drawn, better=better)
        row = people(features, plan)
        assert row[["n", "lost", "gained"]].tolist() == [80, (order * said < 0).sum(), (order * said > 0).sum()]
        assert row["both_good"] == (said == 0).sum() and np.isnan(row["both_bad"])


def test_several_raters_decide_by_majority():
    plan = small_plan()
    features = small_features(np.ones((4, 2, 1)), np.ones((4, 2)), plan)
    features["label"][:] = [[1 / 3, 2 / 3], [1, 1], [0.5, 1], [0, 1 / 3]]
    row = people(features, plan)
    assert row[["n", "both_good", "lost", "gained", "both_bad"]].tolist() == [3, 1, 0, 1, 1]
    found = confusion(features).set_index("model")
    assert found.loc["old", ["yes_yes", "no_yes"]].tolist() == [1, 2]
    assert found.loc["new", ["yes_yes", "no_yes"]].tolist() == [3, 1]


def test_flips_where_every_value_is_the_same():
    plan = small_plan()
    row = people(small_features(np.zeros((5, 2, 1)), np.zeros((5, 2)), plan), plan)
    assert row[["both_good", "both_bad"]].tolist() == [0, 5]


def test_confusion_of_preferences_and_of_scales_without_two_sides():
    drawn = simulate_family("pairwise", n_labels=80, seed=1)
    features, _ = judged_features(drawn)
    said, judge = drawn.judgments[:80, 1, 0], drawn.metrics[:80, 1, 0]
    found = confusion(features)
    assert found[["model", "metric"]].to_numpy().tolist() == [["new", "judge"]]
    assert found.loc[0, "yes_no"] == ((said == 1) & (judge == -1)).sum()
    assert confusion(judged_features(simulate_family("ordinal", n_labels=30, seed=1))[0]).empty
    at_least = confusion(judged_features(simulate_family("at_least", n_labels=30, seed=1))[0])
    assert set(at_least["metric"]) == {"judge_2"}
    assert (at_least[["yes_yes", "yes_no", "no_yes", "no_no"]].sum(axis=1) == 30).all()


def held_out(plan, values, *, opponent=None):
    """Judgments kept aside, (item, model, rater), of six items in two slices with shares 0.25 and 0.75."""
    n, n_models, n_raters = values.shape
    data = small_data(np.zeros((n, n_models, 1)), np.full((n, n_models), np.nan), plan,
                      regions=np.resize(["a", "b"], n), share={"a": 0.25, "b": 0.75})
    rows = pd.DataFrame({
        "item_id": np.repeat(data.items["item_id"].to_numpy(), n_models * n_raters),
        "model": np.tile(np.repeat(plan.model_ids, n_raters), n), "criterion": "correct",
        "rater": np.tile([f"r{k}" for k in range(n_raters)], n * n_models), "rater_kind": "human",
        "value": values.ravel(), "opponent": opponent})
    data = replace(data, held_out=rows.dropna(subset="value"))
    rows = [{"model": model, "slice": part, "quantity": quantity} for model in plan.model_ids
            for part in ("all", "a", "b") for quantity in ("quality", "contrast")
            if quantity == "quality" or model != plan.incumbent]
    estimates = pd.DataFrame(rows).assign(layer="traffic", method="calibrated", criterion="correct", mean=0.0,
                                          lower=-0.1, upper=0.1)
    return held_out_comparison(data, plan, estimates).set_index(["model", "slice", "quantity"])


def test_held_out_truth_is_the_mean_score_over_raters():
    values = np.random.default_rng(0).integers(1, 6, (6, 2, 3)).astype(float)
    for criterion, score in ((ORDINAL, values),
                             ({"scale": {"ordinal": [1, 5]}, "quantity": {"at_least": 4}}, values >= 4)):
        found = held_out(small_plan(slices=True, **criterion), values)
        mean = score.mean(axis=2)
        by_slice = np.stack([mean[::2].mean(axis=0), mean[1::2].mean(axis=0)])
        assert found.loc[("new", "all", "quality"), "truth"] == pytest.approx([0.25, 0.75] @ by_slice[:, 1])
        assert found.loc[("new", "b", "contrast"), "truth"] == pytest.approx(by_slice[1, 1] - by_slice[1, 0])
        assert found.loc[("new", "all", "contrast"), "n"] == 6


def test_held_out_preferences():
    values = np.full((6, 2, 2), np.nan)
    values[:, 1] = [[1, 1], [0, -1], [1, 0], [0, 0], [np.nan, np.nan], [-1, -1]]
    for better, sign in (("higher", 1), ("lower", -1)):
        found = held_out(small_plan(slices=True, scale="pairwise", better=better), values, opponent="old")
        truth = 0.25 * 0.75 + 0.75 * -0.5
        assert found.loc[("new", "all", "quality"), "truth"] == pytest.approx(truth)
        assert found.loc[("new", "all", "contrast"), "truth"] == pytest.approx(sign * truth)
        assert found.loc[("new", "all", "contrast"), "n"] == 5 and not found.loc[("new", "b", "contrast"), "inside"]
        assert found.loc[("old", "all", "quality"), "truth"] == 0 == found.loc[("old", "b", "quality"), "truth"]


def test_held_out_means_of_raters_stay_as_they_are():
    values = np.array([0.25, 0.5, 0.75, 1, 0, 0.5])[:, None, None] * np.ones((6, 2, 1))
    found = held_out(small_plan(slices=True), values)
    assert found.loc[("old", "a", "quality"), "truth"] == pytest.approx(1 / 3)
