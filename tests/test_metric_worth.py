"""Which metrics earn their keep: expected widths against repeated studies, rank correlation against its definition."""

import numpy as np
import pytest
from helpers import judged_features, small_features, small_plan

from migration_kit.metric_worth import left_out_errors, metric_worth
from migration_kit.simulate import simulate_family


def study(rng, *, n=100, n_items=2000, noise=(0.7, 5.0)):
    """A continuous criterion, labels on the first n items; metrics read the truth with given noise."""
    truth = rng.normal(size=(n_items, 1)) + 0.8 * rng.normal(size=(n_items, 2))
    values = np.stack([truth + sd * rng.normal(size=truth.shape) for sd in noise], axis=-1)
    label = np.where(np.arange(n_items)[:, None] < n, truth, np.nan)
    plan = small_plan(metrics=[f"metric_{k}" for k in range(len(noise))], scale="continuous", margin=0.2)
    return small_features(values, label, plan), plan, truth, values


def widths(features, plan, *, traffic=False):
    return metric_worth(features, plan, traffic=traffic).set_index(["use", "metric"])


def estimate(values, truth, n, metrics):
    """The regression estimator, written out: predictions for all items plus the labelled residual."""
    d = truth[:, 1] - truth[:, 0]
    x = np.concatenate([np.ones((len(d), 1)), values[:, 1, metrics] - values[:, 0, metrics],
                        values[:, 1, metrics] + values[:, 0, metrics]], axis=1)
    slopes = np.linalg.lstsq(x[:n], d[:n], rcond=None)[0]
    return (x @ slopes).mean() + (d[:n] - x[:n] @ slopes).mean()


def test_expected_widths_are_the_spread_of_repeated_studies():
    rng, found, estimates = np.random.default_rng(0), [], []
    cases = {("none", ""): [], ("alone", "metric_0"): [0], ("alone", "metric_1"): [1], ("all", ""): [0, 1]}
    for replicate in range(400):
        features, plan, truth, values = study(rng, n=60) if replicate < 25 else (None, None, *study_arrays(rng))
        if features is not None:
            found.append(widths(features, plan)["width"])
        estimates.append([estimate(values, truth, 60, metrics) for metrics in cases.values()])
    mean = sum(found) / len(found)
    spread = 2 * 1.96 * np.std(estimates, axis=0)
    for case, expected in zip(cases, spread, strict=True):
        assert mean[case] == pytest.approx(expected, rel=0.15)
    assert mean["alone", "metric_0"] < 0.85 * mean["none", ""] < mean["alone", "metric_1"]


def study_arrays(rng, n_items=2000):
    truth = rng.normal(size=(n_items, 1)) + 0.8 * rng.normal(size=(n_items, 2))
    return truth, np.stack([truth + sd * rng.normal(size=truth.shape) for sd in (0.7, 5.0)], axis=-1)


def test_a_useless_metric_is_worth_labels_alone_and_a_perfect_one_every_output():
    rng = np.random.default_rng(1)
    features, plan, truth, _ = study(rng, noise=(1e-6, 1e6))
    found = widths(features, plan)
    none = found.loc[("none", ""), "width"]
    every_output = 2 * 1.96 * np.diff(truth).std() / np.sqrt(len(truth))
    assert found.loc[("alone", "metric_1"), "width"] == pytest.approx(none, rel=0.05)
    assert found.loc[("alone", "metric_0"), "width"] == pytest.approx(every_output, rel=0.2)
    assert found.loc[("all", ""), "width"] == pytest.approx(every_output, rel=0.2)
    assert found.loc[("alone", "metric_0"), "as_labels"] == pytest.approx(2000, rel=0.02)
    assert found.loc[("alone", "metric_0"), "without"] == pytest.approx(none, rel=0.05)
    assert found.loc[("none", ""), ["ratio", "as_labels"]].tolist() == pytest.approx([1, 100])


def test_many_useless_metrics_do_not_look_useful_on_few_labels():
    rng = np.random.default_rng(2)
    found = []
    for _ in range(4):
        features, plan, _, _ = study(rng, n=50, n_items=500, noise=(50.0,) * 30)
        found.append(widths(features, plan).loc[("all", ""), "ratio"])
    assert np.mean(found) == pytest.approx(1, abs=0.05)


def test_a_duplicated_metric_adds_nothing():
    features, plan, _, values = study(np.random.default_rng(3), noise=(0.7, 5.0))
    double = small_features(np.concatenate([values, values[:, :, :1]], axis=-1), features["label"].to_numpy(),
                            small_plan(metrics=["metric_0", "metric_1", "copy"], scale="continuous", margin=0.2))
    one, two = widths(features, plan), widths(double, plan)
    assert two.loc[("all", ""), "width"] == pytest.approx(one.loc[("all", ""), "width"], rel=0.02)
    assert two.loc[("alone", "copy"), "without"] == pytest.approx(one.loc[("all", ""), "width"], rel=0.02)


def test_everything_labelled_leaves_nothing_to_metrics():
    features, plan, truth, _ = study(np.random.default_rng(4), n=300, n_items=300)
    assert widths(features, plan)["width"].tolist() == pytest.approx([2 * 1.96 * np.diff(truth).std() / 300**0.5] * 4,
                                                                     rel=0.01)


def test_unequal_chances_and_clusters_cost_width():
    rng = np.random.default_rng(5)
    features, plan, _, _ = study(rng, n=200, noise=(50.0,))
    even = widths(features, plan).loc[("none", ""), "width"]
    chance = np.where(np.arange(2000) % 2, 0.02, 0.2)
    uneven = features.assign(inclusion_prob=("item", chance))
    # Weights 1 and 10 in equal numbers: 200·(11/2)² / (101/2) = 120 labels.
    assert widths(uneven, plan).loc[("none", ""), "width"] == pytest.approx(even * np.sqrt(200 / 119.8), rel=0.12)
    copied = features.assign(label=features["label"].copy(), cluster=("item", np.arange(2000) // 4))
    copied["label"][:200] = np.repeat(features["label"].to_numpy()[:50], 4, axis=0)
    assert widths(copied, plan).loc[("none", ""), "width"] > 1.6 * even


@pytest.mark.parametrize("family", ["at_least", "penalty", "pairwise", "raters", "bend"])
def test_every_scale(family):
    features, plan = judged_features(simulate_family(family, n_labels=120, seed=2))
    found = widths(features, plan, traffic=True)
    assert (found["width"] > 0).all() and found.loc[("all", ""), "ratio"] < 0.97


def test_too_few_or_equal_labels_tell_nothing():
    for n, value in ((9, None), (50, 1.0)):
        rng = np.random.default_rng(6)
        label = np.full((100, 2), np.nan)
        label[:n] = rng.random((n, 2)) < 0.5 if value is None else value
        plan = small_plan()
        assert widths(small_features(rng.random((100, 2, 1)), label, plan), plan)["width"].isna().all()


def test_covariates_belong_to_no_metric():
    rng = np.random.default_rng(7)
    truth, length = rng.random((200, 2)) < 0.5, rng.random((200, 2))
    label = np.where(length > 0.5, 1.0, truth.astype(float))
    plan = small_plan(covariates=("length",))
    found = widths(small_features(rng.random((200, 2, 1)), np.where(np.arange(200)[:, None] < 100, label, np.nan), plan,
                                  covariates={"length": length}), plan)
    assert found.loc[("alone", "judge"), "ratio"] > 0.95 > found.loc[("all", ""), "ratio"]


@pytest.mark.parametrize("columns", [0, 1, 4])
def test_left_out_errors_are_those_of_refits(columns):
    rng = np.random.default_rng(8)
    x = rng.normal(size=(30, columns))
    y = x.sum(axis=1) + 0.1 * rng.normal(size=30)
    expected = []
    for row in range(30):
        rest = np.arange(30) != row
        design = np.column_stack([np.ones(30), x])
        slopes = np.linalg.lstsq(design[rest], y[rest], rcond=None)[0]
        expected.append(y[row] - design[row] @ slopes)
    # Where features tell nearly everything the penalty chosen is next to none.
    assert left_out_errors(x, y, weight=np.ones(30)) == pytest.approx(expected, rel=0.02, abs=0.003)
