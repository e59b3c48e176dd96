"""Predictions of every scale, held against sums over levels and against draws; no sampling."""

import numpy as np
import pytest
import xarray as xr
from helpers import judged_features
from scipy.special import ndtr
from scipy.stats import spearmanr
from test_estimands import make_features, make_fit

from migration_kit.estimands import contrast, group_items, population_draws, predict, quality
from migration_kit.judgments import keep_labels
from migration_kit.metric_errors import metric_errors
from migration_kit.prediction import (
    Outlook,
    drawn_luck,
    drawn_score,
    expected_score,
    outlook,
    parameter_draws,
    thinned,
)
from migration_kit.predictive import labelled_predictions, predictive_cells, reliability
from migration_kit.simulate import simulate_family

EXTRA = {"ordinal": {"cuts": (-1.2, -0.4, 0.5, 1.1), "spread": (0.8, 1.3)}, "pairwise": {"cuts": (-0.3, 0.3)},
         "normal": {"residual": (0.6, 0.9)}}


def family_fit(name, *, draws=200, n_labels=60, item_scale=0.7, **more):
    """Features of a family and a posterior as if sampled, with the parameters of its scale."""
    features, plan = judged_features(simulate_family(name, n_labels=n_labels, seed=1, n_unlabelled=80))
    posterior = make_fit(features, level=[0.2, 0.5], item_scale=item_scale, draws=draws, spread=0.1)[
        "posterior"].to_dataset()
    dims = {"cuts": "cut", "spread": "model", "residual": "model", "severity": "rater"}
    for key, value in (EXTRA.get(name, {}) | more).items():
        wide = np.broadcast_to(np.asarray(value, float), (2, draws // 2, *np.shape(value))).copy()
        posterior[key] = (("chain", "draw", *([dims[key]] if np.shape(value) else [])), wide)
    return xr.DataTree.from_dict({"posterior": posterior}), features, plan


def test_the_expected_score_is_the_sum_over_levels():
    fit, features, _ = family_fit("ordinal")
    seen = outlook(parameter_draws(fit), features, np.arange(20), rows=slice(0, 3))
    ends = np.concatenate([[-np.inf], EXTRA["ordinal"]["cuts"], [np.inf]])
    spread = np.array(EXTRA["ordinal"]["spread"])
    chance = np.diff(ndtr((ends - seen.latent[..., None]) / spread[:, None]), axis=-1)
    np.testing.assert_allclose(chance.sum(axis=-1), 1)
    np.testing.assert_allclose(expected_score(seen, features), (chance * np.arange(1, 6)).sum(axis=-1))


@pytest.mark.parametrize("name", ["ordinal", "pairwise", "normal", "at_least"])
def test_drawn_judgments_have_the_expected_mean_and_items_in_common(name):
    more = EXTRA["ordinal"] if name == "at_least" else {}
    fit, features, _ = family_fit(name, draws=40000, item_scale=1.5, **more)
    item = np.arange(2)
    seen = outlook(parameter_draws(fit), features, item, rows=slice(None))
    luck = drawn_luck(seen, features["pool"].to_numpy()[item], np.random.default_rng(1))
    score, expected = drawn_score(seen, features, luck), expected_score(seen, features)
    error = (score - expected).std(axis=0) / np.sqrt(len(score))
    assert (abs((score - expected).mean(axis=0)) < 4 * error).all()
    assert luck.std() == pytest.approx(1, abs=0.01)
    share = seen.item_scale[:1] ** 2 / (1 + seen.item_scale[:1] ** 2)
    together = np.corrcoef(luck[:, 0, 0], luck[:, 0, 1])[0, 1]
    np.testing.assert_allclose(together, np.sqrt(share[0, 0, 0] * share[0, 0, -1]), atol=0.02)
    np.testing.assert_allclose(np.corrcoef(luck[:, 0, 0], luck[:, 1, 0])[0, 1], 0, atol=0.02)


def test_different_outputs_exclude_each_other_and_identical_ones_do_not():
    pool = np.array([[[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]], [[1, 0, 0], [0, 1, 0], [0, 0, 1]]])
    draws, kappa, lam = 60_000, 2.0, 0.5
    whole = np.zeros((draws, 2, 3))
    seen = Outlook(whole, np.ones((1, 1, 1)), np.zeros((draws, 1)), np.full((1, 1, 3), lam), np.full(draws, kappa))
    luck = drawn_luck(seen, pool, np.random.default_rng(2))
    np.testing.assert_allclose(luck[:, 0, 0], luck[:, 0, 1])
    assert luck.std(axis=0) == pytest.approx(np.ones((2, 3)), abs=0.015)
    for item, k in ((0, 2), (1, 3)):
        expected = (lam**2 - kappa**2 / k) / (1 + lam**2 + kappa**2 * (1 - 1 / k))
        assert np.corrcoef(luck[:, item, 0], luck[:, item, 2])[0, 1] == pytest.approx(expected, abs=0.015)


def test_a_continuous_quality_is_a_mean_in_its_own_unit():
    fit, features, _ = family_fit("normal")
    expected = predict(parameter_draws(fit), features, np.arange(10), rows=slice(0, 2))
    seen = outlook(parameter_draws(fit), features, np.arange(10), rows=slice(0, 2))
    judged = features["judged_value"].to_numpy()
    np.testing.assert_allclose(expected, judged.mean() + judged.std() * seen.latent)
    # The item's part and the rest of a judgment, √(1.5² + 0.6²) and √(1.5² + 0.9²) in standard deviations.
    fit, features, _ = family_fit("normal", item_scale=1.5)
    seen = outlook(parameter_draws(fit), features, np.arange(10), rows=slice(0, 2))
    np.testing.assert_allclose(seen.spread[0, 0], np.sqrt(1.5**2 + np.array([0.6, 0.9]) ** 2))
    np.testing.assert_allclose(seen.item_scale[0, 0], 1.5 / np.array([0.6, 0.9]))


def test_the_incumbent_of_preferences_stands_at_zero():
    fit, features, _ = family_fit("pairwise")
    draws = quality(fit, features, traffic=True, seed=1)
    for method in ("calibrated", "corrected"):
        np.testing.assert_array_equal(draws[method].sel(model="old"), 0)
        assert abs(draws[method].sel(model="new")).max() <= 1.2
    delta = contrast(draws["calibrated"], incumbent="old", better="higher").sel(model="new")
    np.testing.assert_allclose(delta, draws["calibrated"].sel(model="new"))
    assert set(metric_errors(fit, features, interval=0.95, seed=1)["model"]) == {"new"}


def test_items_of_a_cluster_share_their_bootstrap_weight():
    features, _ = make_features()
    fit = make_fit(features, level=[0.0, 0.5, 1.0], draws=4000)
    pairs = features.assign(cluster=("item", np.arange(240) // 2)).assign_attrs(clustered=1)
    population = group_items(pairs, seed=1)
    chunk = next(population_draws(fit, pairs, traffic=True, seed=1, population=population))
    own = chunk.weight / population.count
    for cluster in (0, 7):
        inside = own[:, (population.cluster == cluster) & (population.slice_index == population.slice_index[0])]
        np.testing.assert_allclose(inside, np.broadcast_to(inside[:, :1], inside.shape))
    # Every item twice over, in pairs: half as many independent items, so twice the variance.
    doubled = features.isel(item=np.repeat(np.arange(240), 2)).assign(cluster=("item", np.repeat(np.arange(240), 2)))
    apart = quality(fit, features, traffic=True, seed=1)["calibrated"]
    together = quality(fit, doubled.assign_attrs(clustered=1), traffic=True, seed=1)["calibrated"]
    ignored = quality(fit, doubled, traffic=True, seed=1)["calibrated"]
    spread = [float(one.sel(model="old", slice="large").std()) for one in (apart, together, ignored)]
    assert spread[1] == pytest.approx(spread[0], rel=0.08)
    assert spread[2] == pytest.approx(spread[0] / np.sqrt(2), rel=0.08)


def test_strata_of_uneven_labels_reach_predictions():
    features, _ = make_features()
    fit = make_fit(features, level=[0.0, 0.5, 1.0], draws=40)
    posterior, n = fit["posterior"].to_dataset(), features.attrs["strata"]
    effect = np.random.default_rng(2).normal(size=(2, 20, n, 3))
    posterior["stratum_effect"] = (("chain", "draw", "stratum", "model"), effect)
    with_strata = outlook(parameter_draws(xr.DataTree.from_dict({"posterior": posterior})), features,
                          np.arange(6), rows=slice(0, 5)).latent
    plain = outlook(parameter_draws(fit), features, np.arange(6), rows=slice(0, 5)).latent
    stratum = features["stratum"].to_numpy()[:6]
    expected = effect.reshape(40, n, 3)[:5][:, stratum, np.arange(3)]
    np.testing.assert_allclose(with_strata - plain, expected)


def test_raters_of_one_output_agree_more_than_raters_of_two():
    fit, features, _ = family_fit("raters", draws=4000, n_labels=200, **EXTRA["ordinal"], severity=np.zeros(5),
                                  rater_scale=0.0, output_scale=2.0)
    predictions = labelled_predictions(fit, features, seed=1)
    residual = (predictions["replicate"] - predictions["expected"]).to_numpy()
    item, model = features["judged_item"].to_numpy(), features["judged_model"].to_numpy()
    first = np.flatnonzero((item[:-1] == item[1:]) & (model[:-1] == model[1:]))
    near = np.mean([np.corrcoef(residual[:, k], residual[:, k + 1])[0, 1] for k in first[:40]])
    far = np.mean([np.corrcoef(residual[:, k], residual[:, k + 60])[0, 1] for k in range(40)])
    assert near > 0.5 and abs(far) < 0.05
    assert abs(residual.mean()) < 0.02
    cells = predictive_cells(predictions, features, interval=0.95)
    assert set(cells["of"]) == {"slice", "primary metric", "share of judgment"}
    shares = cells[cells["of"] == "share of judgment"].groupby("model")[["judged", "predicted"]].sum()
    np.testing.assert_allclose(shares, 1)


def test_rank_correlation_of_levels_is_spearmans():
    # A posterior that is sure of every judgment: what is drawn is a step function of the first metric.
    fit, features, _ = family_fit("ordinal", draws=100, item_scale=0.0)
    posterior = fit["posterior"].to_dataset()
    posterior["spread"][:] = 1e-6
    for name in ("slice_effect", "model_slice_effect"):
        posterior[name][:] = 0.0
    posterior["level"][:], posterior["trust"][:] = 0.0, 1.0
    back = np.linalg.pinv(features["rotation"].to_numpy()) @ (features["feature"].to_numpy() == "judge")
    posterior["weight"][:] = back
    sure = xr.DataTree.from_dict({"posterior": posterior})
    table = metric_errors(sure, features, interval=0.95, seed=1).set_index(["metric", "model"])
    seen = outlook(parameter_draws(thinned(sure)), features, np.arange(140), rows=slice(0, 1))
    judged = expected_score(seen, features)[0]
    for m, model in enumerate(("old", "new")):
        for k, metric in enumerate(features["metric"].to_numpy()):
            by_hand = spearmanr(features["value"].to_numpy()[:, m, k], judged[:, m]).statistic
            assert table.loc[(metric, model), "rank_correlation"] == pytest.approx(by_hand, abs=0.03)


def test_a_candidate_counts_only_where_it_was_compared():
    # Two candidates compared with the incumbent on items of their own; judge and people agree on every one.
    rng = np.random.default_rng(3)
    drawn = simulate_family("pairwise", n_labels=60, seed=1, n_unlabelled=80)
    features, _ = judged_features(drawn)
    some = rng.random(140) < 0.5
    value = features["value"].to_numpy().copy()
    value[~some] = np.nan
    present = np.repeat(some[:, None], 2, axis=1)
    half = features.assign(value=(features["value"].dims, value), present=(("item", "model"), present))
    fit = family_fit("pairwise", draws=400)[0]
    whole = predict(parameter_draws(fit), features, np.arange(140), rows=slice(None))[:, :, 1]
    found = quality(fit, half, traffic=False, seed=1)["calibrated"].sel(model="new")
    slices = features["slice_index"].to_numpy()
    for number, name in enumerate(features["slice"].to_numpy()):
        expected = whole[:, some & (slices == number)].mean()
        assert float(found.sel(slice=name).mean()) == pytest.approx(expected, abs=0.01)


def test_without_judgments_there_is_nothing_to_hold_predictions_against():
    fit, features, _ = family_fit("ordinal")
    nobody = keep_labels(features, np.zeros(140, dtype=bool))
    predictions = labelled_predictions(fit, nobody, seed=1)
    assert reliability(predictions).empty and predictive_cells(predictions, nobody, interval=0.95).empty
