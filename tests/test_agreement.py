"""Raters among themselves: α against published examples, severity, variance and widths against what was simulated."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers import judged_features, small_data, small_plan
from scipy.stats import ttest_1samp

from migration_kit.agreement import agreement, krippendorff_alpha, metrics_as_raters
from migration_kit.features import build_features
from migration_kit.rater_checks import copies_check, raters_check
from migration_kit.raters import more_raters, rater_table, severity, severity_shift, variance_parts
from migration_kit.simulate import simulate_family

NA = np.nan
# Krippendorff 2011, Computing Krippendorff's alpha-reliability: four observers, twelve units.
PUBLISHED = np.array([
    [1, 2, 3, 3, 2, 1, 4, 1, 2, NA, NA, NA], [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NA, 3],
    [NA, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NA], [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NA]])


def judged(values, *, metric=None, scale="binary", margin=0.03, models=("old", "new"), text=None, clusters=None):
    """Features and plan of judgments (item, model, rater), NaN where a rater did not judge."""
    n, n_models, n_raters = values.shape
    plan = small_plan(models=models, scale=scale, margin=margin)
    metric = np.zeros((n, n_models)) if metric is None else metric
    data = small_data(metric[:, :, None], values[:, :, 0], plan, text=text)
    people = [pd.DataFrame({
        "item_id": np.repeat(data.items["item_id"].to_numpy(), n_models), "model": np.tile(models, n),
        "criterion": "correct", "rater": f"rater_{k}", "rater_kind": "human", "value": values[:, :, k].ravel(),
        "repeat": "0", "inclusion_prob": NA}) for k in range(n_raters)]
    machine = data.scores[data.scores["rater_kind"] != "human"]
    scores = pd.concat([machine, *people], ignore_index=True).dropna(subset="value")
    items = data.items if clusters is None else data.items.assign(cluster_id=clusters)
    return build_features(replace(data, items=items, scores=scores), plan, "correct"), plan


def opinions(rng, n=80, raters=3, right=0.85):
    """0/1 judgments of two models by raters who each see the truth with a given probability."""
    truth = rng.random((n, 2, 1)) < 0.6
    return np.where(rng.random((n, 2, raters)) < right, truth, ~truth).astype(float)


@pytest.mark.parametrize(("distance", "expected"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_of_the_published_example(distance, expected):
    rater, unit = np.nonzero(~np.isnan(PUBLISHED))
    found = krippendorff_alpha(unit, PUBLISHED[rater, unit] - 1, distance=distance)
    assert found[0] == pytest.approx(expected, abs=0.0005)


@pytest.mark.parametrize("distance", ["nominal", "ordinal", "interval"])
def test_bootstrap_weights_count_units_several_times(distance):
    times = np.array([2, 0, 1, 3, 1, 1, 0, 2, 1, 1, 2, 1])
    rater, unit = np.nonzero(~np.isnan(PUBLISHED))
    weighted = krippendorff_alpha(unit, PUBLISHED[rater, unit] - 1, distance=distance, weight=times[None].astype(float))
    copied = np.repeat(PUBLISHED, times, axis=1)
    rater, unit = np.nonzero(~np.isnan(copied))
    assert weighted == pytest.approx(krippendorff_alpha(unit, copied[rater, unit] - 1, distance=distance))


def test_alpha_has_no_value_where_all_judgments_are_equal():
    assert np.isnan(krippendorff_alpha(np.array([0, 0, 1, 1]), np.ones(4), distance="nominal")[0])
    assert np.isnan(krippendorff_alpha(np.array([0, 0, 1, 1]), np.ones(4), distance="interval")[0])


def test_agreement_by_model_and_its_interval():
    rng = np.random.default_rng(0)
    values = opinions(rng, raters=2, right=0.95)
    values[:, 1, 1] = rng.permutation(values[:, 1, 1])
    features, _ = judged(values)
    found = agreement(features, interval=0.95, seed=1).set_index("model")
    assert found["outputs"].to_dict() == {"all": 160, "old": 80, "new": 80}
    assert found.loc["old", "lower"] > 0.5 > 0.4 > found.loc["new", "upper"]
    assert found.loc["old", "same"] == (values[:, 0, 0] == values[:, 0, 1]).mean()
    assert (found["lower"] < found["alpha"]).all() and (found["alpha"] < found["upper"]).all()
    assert found.equals(agreement(features, interval=0.95, seed=1).set_index("model"))


def test_clusters_widen_the_interval_of_alpha():
    values = np.repeat(opinions(np.random.default_rng(1), n=20), 5, axis=0)
    alone, together = (agreement(judged(values, clusters=cluster)[0], interval=0.95, seed=1).iloc[0]
                       for cluster in (None, np.repeat(np.arange(20), 5)))
    assert together["alpha"] == alone["alpha"]
    assert together["upper"] - together["lower"] > 1.6 * (alone["upper"] - alone["lower"])


@pytest.mark.parametrize(("family", "lowest", "highest"), [("raters", 0.6, 0.8), ("raters_binary", 0.3, 0.75)])
def test_agreement_of_every_scale(family, lowest, highest):
    features, _ = judged_features(simulate_family(family, n_labels=200, seed=3))
    assert lowest < agreement(features, interval=0.95, seed=1)["alpha"][0] < highest


def test_one_judgment_an_output_tells_nothing():
    features, plan = judged_features(simulate_family("pairwise", n_labels=50, seed=0))
    assert np.isnan(agreement(features, interval=0.95, seed=1)["alpha"][0])
    assert variance_parts(features)["variance"].isna().all()
    assert more_raters(features, plan, traffic=False)["same_outputs"].isna().all()
    assert raters_check(features, plan).passed is None and copies_check(features).passed is None


def test_nobody_judged():
    features, plan = judged(np.full((30, 2, 1), NA))
    assert agreement(features, interval=0.95, seed=1)["outputs"].tolist() == [0]
    assert severity(features, interval=0.95).empty and metrics_as_raters(features, plan, interval=0.95, seed=1).empty
    assert raters_check(features, plan).text == "No output was judged by anybody."
    assert copies_check(features).text.startswith("Nobody has judged an output")


def test_identical_outputs_are_one_output():
    values = np.full((12, 2, 2), NA)
    values[:, 0, 0], values[:, 1, 1] = np.arange(12) % 2, np.arange(12) % 2
    text = np.full((12, 2), "same", dtype=object)
    assert agreement(judged(values)[0], interval=0.95, seed=1)["outputs"][0] == 0
    features, _ = judged(values, text=text)
    assert agreement(features, interval=0.95, seed=1).loc[0, ["outputs", "alpha"]].tolist() == [12, 1.0]
    assert rater_table(features)["output"].nunique() == 12


def test_severity_is_the_mean_difference_to_the_others():
    rng = np.random.default_rng(2)
    base = rng.normal(size=(40, 1, 1))
    values = np.concatenate([base, base], axis=1) + np.array([0.0, 0.5, -0.1]) + 0.3 * rng.normal(size=(40, 2, 3))
    values[25:, :, 2] = NA
    features, _ = judged(values, scale="continuous", clusters=np.arange(40))
    found = severity(features, interval=0.9).set_index("rater")
    assert found["n"].tolist() == [80, 80, 50] == found["shared"].tolist()
    apart = (values[:25, :, 2] - values[:25, :, :2].mean(axis=2)).mean(axis=1)
    expected = ttest_1samp(apart, 0).confidence_interval(0.9)
    assert found.loc["rater_2", ["difference", "lower", "upper"]].tolist() == pytest.approx([apart.mean(), *expected])


def test_severity_moves_a_contrast_only_where_raters_judged_models_unequally():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(60, 2, 1)) + np.array([0.0, 1.0]) + 0.1 * rng.normal(size=(60, 2, 2))
    assert severity_shift(judged(values, scale="continuous")[0])["new"] == pytest.approx(0, abs=1e-9)
    values[30:, 0, 1] = NA
    values[30:, 1, 0] = NA
    # The mild rater gave a third of the incumbent's judgments and two thirds of the candidate's.
    assert severity_shift(judged(values, scale="continuous")[0])["new"] == pytest.approx(2 / 3, abs=0.05)


def test_variance_is_shared_as_simulated():
    rng, found = np.random.default_rng(4), []
    for _ in range(30):
        values = (rng.normal(size=(60, 2, 1)) * 1.0 + rng.normal(size=(1, 1, 12)) * 0.5
                  + rng.normal(size=(60, 2, 12)) * 0.8)
        values[rng.random(values.shape) < 0.7] = NA
        found.append(variance_parts(judged(values, scale="continuous")[0])["variance"].to_numpy())
    assert np.mean(found, axis=0) == pytest.approx([1.0, 0.25, 0.64], rel=0.12)


def test_variance_parts_without_disagreement():
    features, _ = judged(np.repeat(np.arange(40).reshape(20, 2, 1) % 3, 2, axis=2).astype(float), scale="continuous")
    assert variance_parts(features)["share"].tolist() == pytest.approx([1, 0, 0])


def test_more_raters_equals_the_spread_of_repeated_studies():
    def study(rng, n, raters):
        item, output = rng.normal(size=(n, 1, 1)), 0.5 * rng.normal(size=(n, 2, 1))
        return item + output + 0.9 * rng.normal(size=(n, 2, raters))

    rng, predicted = np.random.default_rng(5), []
    for _ in range(25):
        features, plan = judged(study(rng, 100, 2), scale="continuous", metric=rng.random((100, 2)))
        predicted.append(more_raters(features, plan, traffic=False).set_index("raters").drop(columns="model"))
    mean = sum(predicted) / len(predicted)
    for raters in (1, 2, 3):
        contrasts = [np.diff(study(rng, 100, raters).mean(axis=2)).mean() for _ in range(2000)]
        assert mean.loc[raters, "same_outputs"] == pytest.approx(2 * 1.96 * np.std(contrasts), rel=0.1)
    assert mean["outputs"].tolist() == pytest.approx([200, 100, 200 / 3])


def test_same_judgments_on_more_outputs_beat_a_second_rater():
    features, plan = judged_features(simulate_family("raters", n_labels=150, seed=1))
    found = more_raters(features, plan, traffic=True).set_index("raters")
    assert found["same_outputs"].is_monotonic_decreasing and found["same_judgments"].is_monotonic_increasing


def test_a_metric_among_the_raters():
    rng = np.random.default_rng(6)
    values = opinions(rng, n=150)
    alike, chance = values[:, :, 2], rng.integers(0, 2, (150, 2)).astype(float)
    for metric, good in ((alike, True), (chance, False)):
        features, plan = judged(values[:, :, :2], metric=metric)
        row = metrics_as_raters(features, plan, interval=0.95, seed=1).iloc[0]
        people = agreement(features, interval=0.95, seed=1).iloc[0]
        assert row["people"] == pytest.approx(people["alpha"]) and row["outputs"] == 300
        assert bool(row["gap_lower"] < 0 < row["gap_upper"]) is good
        pairs = np.repeat(np.arange(300), 2)
        # With one person an output, α of metric and person is α of two raters.
        single, _ = judged(values[:, :, :1], metric=metric)
        both = krippendorff_alpha(pairs, np.stack([values[:, :, 0], metric], axis=-1).ravel(), distance="nominal")[0]
        assert metrics_as_raters(single, plan, interval=0.95, seed=1)["alpha"][0] == pytest.approx(both)


def test_a_metric_whose_better_side_is_the_other_one_is_turned_round():
    values = opinions(np.random.default_rng(7))
    features, plan = judged(values[:, :, :2], metric=values[:, :, 2])
    turned, _ = judged(values[:, :, :2], metric=1 - values[:, :, 2])
    lower = plan.model_copy(update={"metrics": tuple(m.model_copy(update={"better": "lower"}) for m in plan.metrics)})
    assert (metrics_as_raters(turned, lower, interval=0.95, seed=1)["alpha"]
            == metrics_as_raters(features, plan, interval=0.95, seed=1)["alpha"]).all()
    score, _ = judged(values, metric=np.random.default_rng(0).random((80, 2)))
    assert metrics_as_raters(score, plan, interval=0.95, seed=1).empty


@pytest.mark.parametrize(("right", "passed"), [(0.98, True), (0.70, False)])
def test_the_check_of_agreement(right, passed):
    features, plan = judged(opinions(np.random.default_rng(8), n=150, right=right))
    check = raters_check(features, plan)
    assert check.passed is passed and not check.blocks and "Krippendorff’s α is 0." in check.text
    assert check.text.startswith("Agreement holds" if passed else "Agreement fails")
    assert ("sharpen the instructions" in check.text) is not passed
    assert "Severity holds: no rater is shown to judge more than 1.5 points, half the margin," in check.text


def test_a_severe_rater_fails_the_check():
    rng = np.random.default_rng(9)
    truth = rng.integers(2, 5, (80, 2, 1)).astype(float)
    values = np.repeat(truth, 3, axis=2)
    values[::2, :, 2] -= 1
    features, plan = judged(values, scale={"ordinal": [1, 5]}, margin=0.2)
    assert agreement(features, interval=0.95, seed=1)["lower"][0] > 0.667
    check = raters_check(features, plan)
    assert check.passed is False and "rater_2 judges 0.5 below the rest" in check.text and "hardly move" in check.text
    assert check.text.startswith("Agreement holds: ") and "Severity fails: rater_0 judges 0.25 above" in check.text
    assert "more than 0.1, half the margin, matters" in check.text and "talk over with the raters" in check.text
    assert raters_check(features, small_plan(scale={"ordinal": [1, 5]}, margin=1.5)).passed


def test_few_shared_outputs_cannot_tell():
    values = opinions(np.random.default_rng(1), n=12, right=0.93)
    check = raters_check(*judged(values))
    assert check.passed is None and check.text.startswith("Agreement cannot be told: ")
    assert "More outputs judged by several people would tell." in check.text


@pytest.mark.parametrize("kind", ["sound", "one value", "copy"])
def test_the_check_of_copies(kind):
    values = opinions(np.random.default_rng(11))
    if kind == "one value":
        values[:, :, 2] = 1
    if kind == "copy":
        values[:, :, 2] = values[:, :, 1]
    check = copies_check(judged(values)[0])
    assert check.passed is (kind == "sound") and not check.blocks
    assert {"sound": "No rater", "one value": "rater_2 said 1 of all 160 outputs",
            "copy": "rater_1 and rater_2 gave the same judgment to each of 160"}[kind] in check.text
