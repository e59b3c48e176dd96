"""A metric that gives one model more for the same human judgment is seen on every scale; fair ones raise few alarms."""

import re
from functools import partial

import numpy as np
import pytest
from helpers import judged_features, small_features, small_plan

from migration_kit import fit_checks
from migration_kit.metric_shift import metric_shift
from migration_kit.simulate import families, simulate_family
from migration_kit.wording import number

FAIR = ["ordinal", "at_least", "normal", "penalty", "pairwise", "raters", "raters_binary", "clusters"]


@pytest.fixture
def no_flattery(monkeypatch):
    """Families whose metrics read every model alike."""
    read = families._read
    monkeypatch.setattr(families, "_read", lambda latent, noise, rng, flattery=0.0: read(latent, noise, rng))


def drawn(family, seed, *, n=120):
    return judged_features(simulate_family(family, n_labels=n, seed=seed, n_unlabelled=0))


def lifted(features, by):
    """The candidate's primary metric raised by a share of its spread."""
    value = features["value"].to_numpy().copy()
    value[:, 1, 0] += by * np.nanstd(value[:, 1, 0])
    return features.assign(value=(features["value"].dims, value))


@pytest.mark.usefixtures("no_flattery")
@pytest.mark.parametrize("family", FAIR)
def test_a_lift_is_seen_and_a_fair_metric_is_not_accused(family):
    alarms, seen, seeds = 0, {1: 0, -1: 0}, range(20)
    for seed in seeds:
        features, plan = drawn(family, 7000 + seed)
        alarms += metric_shift(features, plan)["shifted"].any()
        for side in seen:
            seen[side] += metric_shift(lifted(features, 0.8 * side), plan)["shifted"].any()
    assert alarms <= 1
    assert min(seen.values()) >= 15, seen


def test_the_shift_is_in_the_metrics_unit_whatever_the_quality():
    rng = np.random.default_rng(0)
    label = np.clip(np.round(3 + rng.normal(size=(400, 3)) + [0, 0.5, -0.5]), 1, 5)
    value = 10 * label + rng.normal(size=label.shape) + [0, 4, 0]
    plan = small_plan(models=("old", "new", "other"), scale={"ordinal": [1, 5]}, margin=0.2)
    found = metric_shift(small_features(value[:, :, None], label, plan), plan).set_index("model")
    assert found.loc["new", "shift"] == pytest.approx(4, abs=0.4)
    assert found.loc["other", "shift"] == pytest.approx(0, abs=0.4)
    assert found["shifted"].to_dict() == {"new": True, "other": False}
    assert found["n"].tolist() == [400, 400]
    assert found["spread"].iloc[0] == pytest.approx(np.std(value))
    lower = small_plan(models=plan.model_ids, scale={"ordinal": [1, 5]}, margin=0.2, better="lower")
    again = metric_shift(small_features(value[:, :, None], label, lower), lower).set_index("model")
    assert again.loc["new", "shift"] == pytest.approx(found.loc["new", "shift"])


def test_labels_weigh_by_how_probable_they_were():
    # The judge flatters the new model where labels are rare; weighed, half of all items are flattered.
    rng = np.random.default_rng(1)
    rare = np.resize([True, False, False, False, False], 500)
    label = rng.integers(1, 6, size=(500, 2)).astype(float)
    value = label + 0.1 * rng.normal(size=label.shape)
    value[rare, 1] += 5
    plan = small_plan(scale={"ordinal": [1, 5]}, margin=0.2)
    build = partial(small_features, value[:, :, None], label, plan)
    assert metric_shift(build(), plan)["shift"].item() == pytest.approx(1, abs=0.05)
    weighed = build(inclusion_prob=np.where(rare, 0.2, 0.8))
    assert metric_shift(weighed, plan)["shift"].item() == pytest.approx(2.5, abs=0.05)


def test_copies_in_clusters_count_once():
    features, plan = drawn("clusters", 1)
    n = features.sizes["item"]
    doubled = features.isel(item=np.repeat(np.arange(n), 4))
    doubled = doubled.assign(cluster=("item", np.repeat(features["cluster"].to_numpy(), 4)))
    one, many = (metric_shift(each, plan).iloc[0] for each in (features, doubled))
    assert many["shift"] == pytest.approx(one["shift"])
    assert many["upper"] - many["lower"] == pytest.approx(one["upper"] - one["lower"], rel=1e-6)


@pytest.mark.parametrize("n", [0, 19, 20])
def test_too_few_items_tell_nothing(n):
    rng = np.random.default_rng(0)
    label = np.full((60, 2), np.nan)
    label[:n] = rng.normal(size=(n, 2))
    plan = small_plan(scale="continuous", margin=0.2)
    assert len(metric_shift(small_features(rng.normal(size=(60, 2, 1)), label, plan), plan)) == (n >= 20)


def test_equal_labels_and_a_constant_metric_do_no_harm():
    plan = small_plan(scale="continuous", margin=0.2)
    for value, label in ((np.zeros((60, 2, 1)), np.ones((60, 2))), (np.ones((60, 2, 1)), np.random.rand(60, 2))):
        found = metric_shift(small_features(value, label, plan), plan)
        assert not found["shifted"].any()
        assert np.isfinite(found[["shift", "lower", "upper"]].to_numpy()).all()


class TestFairCheck:
    """The errors of the fit are given, equal for both models, so that only the shift can fail the check."""

    @pytest.fixture
    def check(self, monkeypatch):
        def of(features, plan, errors=("rank_correlation",)):
            first = 1 if features.attrs["kind"] == "pairwise" else 0
            draws = {(features.attrs["primary_metric"], model): {name: np.linspace(0.6, 0.8, 99) for name in errors}
                     for model in plan.model_ids[first:]}
            monkeypatch.setattr(fit_checks, "metric_error_draws", lambda fit, features, seed: draws)
            return fit_checks._metric_error(None, features, plan)
        return of

    @pytest.mark.usefixtures("no_flattery")
    @pytest.mark.parametrize("family", ["ordinal", "normal", "pairwise", "raters_binary"])
    def test_a_level_shift_fails_it(self, check, family):
        features, plan = drawn(family, 7003)
        sound = check(features, plan)
        assert sound.passed is True
        assert "judge errs differently for 0 of 1 candidate" in sound.text
        told = check(lifted(features, 1.0), plan)
        assert (told.passed, told.models, told.blocks) == (False, ("new",), False)
        assert "judge errs differently for 1 of 1 candidate" in told.text
        said = ("where people see no difference it leans to new by" if family == "pairwise" else
                r"for the same human judgment it gives new \S+ more than the incumbent")
        assert re.search(rf"{said}.* \(difference \+", told.text)
        assert ("than the incumbent" in told.text) == (family != "pairwise")
        spread = metric_shift(lifted(features, 1.0), plan)["spread"][0]
        assert f"it counts where it lies wholly beyond ±{number(0.1 * spread)}, 10% of the metric's" in told.text
        assert told.text.endswith("Calibration allows for it, a raw comparison does not.")

    def test_rates_show_a_shift_themselves(self, check):
        rng = np.random.default_rng(0)
        label = (rng.random((100, 2)) < 0.7).astype(float)
        value = (label > 0) | (rng.random((100, 2)) < [0.1, 0.9])
        plan = small_plan()
        features = small_features(value[:, :, None].astype(float), label, plan)
        found = check(features, plan, errors=("true_positive", "false_positive"))
        assert found.passed is True
        assert "human judgment" not in found.text

    def test_without_errors_and_labels_it_cannot_tell(self, check):
        features, plan = drawn("pairwise", 1, n=10)
        found = check(features, plan)
        assert found.passed is None
        assert "Too few outputs of any candidate were compared" in found.text
