"""Limits in which the answer is known: a perfect metric, a useless one, no labels, all labels, one model twice."""

import numpy as np
import pytest
from helpers import pairs_features, pairs_labels, small_features, small_plan
from scipy.special import ndtri

from migration_kit.crosschecks import labels_only
from migration_kit.data_checks import data_checks
from migration_kit.estimands import TOTAL, contrast, quality
from migration_kit.inference import compile_model, fit
from migration_kit.plan import SamplingSpec
from migration_kit.simulate import SCENARIOS, simulate_pairs

SAMPLING = SamplingSpec(draws=500, tune=500, chains=2, seed=5)


@pytest.fixture(scope="module")
def compiled():
    features, _ = pairs_features(simulate_pairs(**SCENARIOS["B"], n_labels=200, seed=0, n_unlabelled=0))
    return compile_model([features])


def drawn(features, compiled, *, sampling=SAMPLING):
    tree = fit(features, sampling, compiled=compiled)
    draws = quality(tree, features, traffic=False, seed=1).sel(slice=TOTAL)
    return draws, contrast(draws["calibrated"], incumbent="old", better="higher").sel(model="new").to_numpy().ravel()


def width(values):
    low, high = np.quantile(values, [0.025, 0.975])
    return high - low


@pytest.mark.parametrize("n_labels", [100, 200])
def test_a_perfect_metric_is_as_good_as_knowing_every_output(compiled, n_labels):
    pairs = simulate_pairs(**SCENARIOS["A"], n_labels=n_labels, seed=5)
    perfect = type(pairs)(**(vars(pairs) | {"metrics": pairs.truth[:, :, None]}))
    _, delta = drawn(pairs_features(perfect)[0], compiled)
    difference = pairs.truth[:, 1].astype(float) - pairs.truth[:, 0]
    assert delta.mean() == pytest.approx(difference.mean(), abs=0.012)
    assert width(delta) <= 1.25 * 2 * 1.96 * difference.std() / np.sqrt(len(difference))


@pytest.mark.slow
def test_a_useless_metric_leaves_what_labels_say(compiled):
    ratios = []
    for seed in range(8):
        pairs = simulate_pairs(**SCENARIOS["A"], n_labels=100, seed=20 + seed)
        noise = np.random.default_rng(seed).integers(0, 2, pairs.metrics.shape)
        features, plan = pairs_features(type(pairs)(**(vars(pairs) | {"metrics": noise})))
        _, delta = drawn(features, compiled)
        alone = labels_only(features, plan, traffic=False, seed=1)
        alone = alone[(alone["quantity"] == "contrast") & (alone["slice"] == TOTAL)].iloc[0]
        ratios.append(width(delta) / (alone["upper"] - alone["lower"]))
    assert np.mean(ratios) == pytest.approx(1, abs=0.05)


@pytest.mark.slow
def test_with_every_output_judged_the_estimate_is_the_mean_of_the_judgments():
    pairs = simulate_pairs(**SCENARIOS["C"], n_labels=1000, seed=9, n_unlabelled=0)
    features, _ = pairs_features(pairs)
    draws, delta = drawn(features, compile_model([features]))
    mean = pairs.truth.mean(axis=0)
    np.testing.assert_allclose(draws["calibrated"].mean(("chain", "draw")), mean, atol=0.01)
    assert delta.mean() == pytest.approx(mean[1] - mean[0], abs=0.01)


@pytest.mark.slow
def test_identical_models_are_a_toss_up(compiled):
    sampling = SamplingSpec(draws=200, tune=200, chains=1, seed=3)
    chances = []
    for seed in range(200):
        pairs = simulate_pairs(**SCENARIOS["B"], n_labels=25, seed=1000 + seed, n_unlabelled=150)
        _, delta = drawn(pairs_features(pairs)[0], compiled, sampling=sampling)
        chances.append((delta > 0).mean())
    assert 0.45 < np.mean(chances) < 0.55


def test_one_class_only_gives_wide_finite_intervals_and_blocks(compiled):
    pairs = simulate_pairs(**SCENARIOS["F"], n_labels=100, seed=2)
    pairs.truth[pairs.labelled] = 1
    features, plan = pairs_features(pairs)
    draws, delta = drawn(features, compiled)
    assert np.isfinite(draws["calibrated"]).all() and delta.std() > 0.002
    assert any(check.blocks and check.passed is False for check in data_checks(features, plan))


def test_without_labels_the_prior_speaks_and_the_checks_block():
    pairs = simulate_pairs(**SCENARIOS["A"], n_labels=1, seed=2, n_unlabelled=300)
    label = np.full(pairs.truth.shape, np.nan)
    plan = small_plan()
    features = small_features(pairs.metrics.astype(float), label, plan)
    draws, delta = drawn(features, compile_model([features]))
    assert np.isfinite(draws["calibrated"]).all() and width(delta) > 0.8
    np.testing.assert_allclose(draws["calibrated"], draws["corrected"])
    assert any(check.blocks and check.passed is False for check in data_checks(features, plan))


def test_an_empty_slice_takes_after_the_others_with_more_doubt():
    rng = np.random.default_rng(8)
    pairs = simulate_pairs(**SCENARIOS["A"], n_labels=240, seed=8, n_unlabelled=600)
    regions = rng.choice(["amer", "apac", "emea"], size=840)
    label = pairs_labels(pairs)
    label[regions == "apac"] = np.nan
    plan = small_plan(slices=True)
    features = small_features(pairs.metrics.astype(float), label, plan, regions=regions)
    draws = quality(fit(features, SAMPLING), features, traffic=True, seed=1)["calibrated"].sel(model="new")
    spread, middle = draws.std(("chain", "draw")), draws.mean(("chain", "draw"))
    assert float(spread.sel(slice="apac")) > 1.3 * float(spread.sel(slice="emea"))
    assert float(middle.sel(slice="apac")) == pytest.approx(pairs.quality[1], abs=0.15)
    failed = [check for check in data_checks(features, plan) if check.name == "labels cover traffic"]
    assert failed[0].blocks and failed[0].passed is False


def test_a_constant_metric_says_nothing(compiled):
    pairs = simulate_pairs(**SCENARIOS["A"], n_labels=100, seed=30)
    constant = type(pairs)(**(vars(pairs) | {"metrics": np.ones_like(pairs.metrics)}))
    features, _ = pairs_features(constant)
    draws, delta = drawn(features, compiled)
    # Labels alone: the posterior of a rate is near Beta(½ + good, ½ + bad).
    good = pairs.truth[pairs.labelled].mean(axis=0)
    np.testing.assert_allclose(draws["calibrated"].mean(("chain", "draw")), good, atol=0.025)
    spread = np.sqrt(good * (1 - good) / 100)
    np.testing.assert_allclose(draws["calibrated"].std(("chain", "draw")), spread, rtol=0.15)
    assert abs(ndtri((delta > 0).mean()) - (good[1] - good[0]) / delta.std()) < 1
