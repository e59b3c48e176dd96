"""The checks of `--full`: by real refits of a small migration, and by evidence made to fail them."""

import numpy as np
import pytest
import xarray as xr
from helpers import pairs_features
from scipy.special import ndtr
from scipy.stats import ks_2samp

from migration_kit import inference, prior_predictive, sensitivity
from migration_kit.estimands import quality
from migration_kit.judgments import keep_labels
from migration_kit.simulate import SCENARIOS, simulate_pairs

SAMPLING = {"draws": 250, "tune": 300, "chains": 2, "seed": 3}


@pytest.fixture(scope="module")
def fitted():
    """Features, plan, compiled model, fit and draws of scenario C with 80 labelled items."""
    pairs = simulate_pairs(**SCENARIOS["C"], n_labels=80, n_unlabelled=300, seed=5)
    features, plan = pairs_features(pairs, sampling=SAMPLING)
    compiled = inference.compile_model([features])
    fit = inference.fit(features, plan.sampling, compiled=compiled)
    return features, plan, compiled, fit, quality(fit, features, traffic=True, seed=plan.sampling.seed)


def shifted(draws, by):
    """Draws in which the candidate is better by so much."""
    moved = draws["calibrated"] + xr.DataArray([0.0, by], dims="model", coords={"model": draws["model"]})
    return draws.assign(calibrated=moved)


def test_every_check_of_a_sound_model_passes(fitted, monkeypatch):
    features, plan, compiled, fit, draws = fitted
    monkeypatch.setattr(inference, "compile_model", lambda features: compiled)
    unlabelled = keep_labels(features, np.zeros(features.sizes["item"], bool)).assign_attrs(criterion="style")
    found = sensitivity.full_checks({"correct": fit}, {"correct": draws}, {"correct": features, "style": unlabelled},
                                    plan)
    assert [(one.criterion, one.passed, one.blocks) for one in found] == [("correct", True, False)] * 4
    assert len({one.name for one in found}) == 4 and all(len(one.table) for one in found)


def test_priors_alone_are_what_their_formula_says(fitted):
    features, plan, *_ = fitted
    drawn = prior_predictive.prior_draws(features, plan)["calibrated"].sel(slice="all", model="new").to_numpy().ravel()
    rng, x = np.random.default_rng(0), features["x"].to_numpy()[:, 1]
    n = 4000
    level = 1.5 * (rng.standard_normal(n) + rng.standard_normal(n))
    weight = np.abs(rng.standard_normal((n, 1))) * rng.standard_normal((n, x.shape[1]))
    trust = 1 + 0.5 * np.abs(rng.standard_normal(n)) * rng.standard_normal(n)
    expected = ndtr(level + trust * (x @ weight.T)).mean(axis=0)
    assert ks_2samp(drawn, expected).pvalue > 0.001
    assert ks_2samp(drawn, ndtr(level / 3)).pvalue < 0.001


def test_priors_at_odds_with_labels_are_told(fitted, monkeypatch):
    features, plan, _, _, draws = fitted
    monkeypatch.setattr(prior_predictive, "prior_draws", lambda features, plan: shifted(draws, -0.5))
    found = prior_predictive.prior_predictive_check(features, plan)
    assert found.passed is False and found.models == ("new",) and "mean labels of new lie outside" in found.text


@pytest.mark.parametrize(("prior", "labels", "passed", "why"), [
    (0.0, 1.0, True, ""), (1.0, 0.0, False, "say too little"), (1.0, 1.0, False, "pull it apart")])
def test_a_contrast_that_leans_on_priors_is_told(fitted, monkeypatch, prior, labels, passed, why):
    features, plan, _, fit, draws = fitted
    delta = (draws["calibrated"].sel(slice="all", model="new", drop=True)
             - draws["calibrated"].sel(slice="all", model="old", drop=True))
    z = (delta - delta.mean()) / delta.std()
    noise = z.copy(data=np.random.default_rng(0).normal(size=z.shape))
    monkeypatch.setattr(sensitivity, "log_prior", lambda fit: prior * z + 0.05 * noise)
    monkeypatch.setattr(sensitivity, "log_likelihood", lambda fit, features: labels * z + 0.05 * noise)
    found = sensitivity.power_scaling_check(fit, draws, features, plan)
    assert found.passed is passed and why in found.text
    assert (found.table["prior"] > 0.05).tolist() == [not passed]


def test_a_contrast_that_moves_without_a_fifth_of_the_labels_is_told(fitted):
    features, plan, compiled, _, draws = fitted
    kept = sensitivity.left_out_check(draws, features, plan, compiled=compiled)
    assert kept.passed and kept.table.set_index("model").loc["new", "n"] == 16
    # A fifth fewer labels widen the posterior by about an eighth.
    assert 0.9 < np.sqrt(kept.table.set_index("model").loc["new", "variance_ratio"]) < 1.45
    apart = sensitivity.left_out_check(shifted(draws, 0.2), features, plan, compiled=compiled)
    assert apart.passed is False and apart.models == ("new",)


def test_labels_that_a_refit_does_not_predict_are_told(fitted):
    features, plan, compiled, _, draws = fitted
    items = np.unique(features["judged_item"].to_numpy())
    out = np.random.default_rng([plan.sampling.seed, 3]).permutation(items)[:16]
    odd = np.isin(features["judged_item"].to_numpy(), out) & (features["judged_model"].to_numpy() == 1)
    spoilt = features.assign(judged=features["judged"].where(~odd, 0.0))
    found = sensitivity.left_out_check(draws, spoilt, plan, compiled=compiled)
    assert found.passed is False and found.models == ("new",) and "for 1 of 2 models" in found.text
    few = keep_labels(features, np.arange(features.sizes["item"]) < 10)
    assert sensitivity.left_out_check(draws, few, plan, compiled=compiled).passed is None


def test_a_contrast_that_hangs_on_the_width_of_priors_is_told(fitted):
    features, plan, compiled, _, draws = fitted
    found = sensitivity.prior_scale_check(draws, features, plan, compiled=compiled)
    assert found.passed and found.table["prior_scale"].tolist() == [0.5, 2.0]
    assert found.table["mean"].nunique() == 2 and "its gate then holds with probability" in found.text
    assert sensitivity.prior_scale_check(shifted(draws, 0.1), features, plan, compiled=compiled).passed is False
