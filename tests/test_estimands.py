"""Quality and contrast from posterior draws, held against sums written out by hand; no sampling."""

import numpy as np
import pytest
import xarray as xr
from helpers import MODELS, small_data, small_plan
from scipy.special import ndtr

from migration_kit import estimands
from migration_kit.estimands import contrast, estimate_rows, group_items, predict, quality
from migration_kit.features import build_features
from migration_kit.prediction import parameter_draws

N_ITEMS = 240


def make_fit(features, *, level, item_scale=0.0, draws=400, seed=0, spread=0.0):
    """A posterior as if sampled: given levels, random weights and slice effects of the given spread."""
    rng = np.random.default_rng(seed)
    n_models, n_slices = features.sizes["model"], features.sizes["slice"]

    def noise(*shape):
        return spread * rng.standard_normal((2, draws // 2, *shape))

    posterior = xr.Dataset(
        {
            "level": (("chain", "draw", "model"), np.asarray(level) + noise(n_models)),
            "weight": (("chain", "draw", "component"), 0.5 + noise(features.sizes["component"])),
            "trust": (("chain", "draw", "model"), 1.0 + noise(n_models)),
            "slice_effect": (("chain", "draw", "slice"), noise(n_slices)),
            "model_slice_effect": (("chain", "draw", "slice", "model"), noise(n_slices, n_models)),
            "item_scale": (("chain", "draw", "model"), np.full((2, draws // 2, n_models), item_scale)),
        }
    )
    return xr.DataTree.from_dict({"posterior": posterior})


def make_features(*, seed=0, share=None, count=None, labels=60, models=MODELS[:3], identical=None, better="higher"):
    """Three models, two metrics (a verdict and a score), two regions of unequal size."""
    rng = np.random.default_rng(seed)
    regions = np.where(np.arange(N_ITEMS) % 4 == 0, "small", "large")
    values = np.stack([rng.random((N_ITEMS, len(models))) < 0.7, rng.random((N_ITEMS, len(models)))], axis=-1)
    label = (rng.random((N_ITEMS, len(models))) < 0.6).astype(float)
    label[labels:] = np.nan
    plan = small_plan(models=models, metrics=("judge", "score"), slices=True, better=better)
    text = None
    if identical is not None:
        text = np.array([[f"{i}-{m}" for m in models] for i in range(N_ITEMS)], dtype=object)
        text[identical] = text[identical][:, :1]
        values[identical] = values[identical][:, :1]
        label[identical] = label[identical][:, :1]
    data = small_data(values.astype(float), label, plan, regions=regions, share=share, count=count, text=text)
    return build_features(data, plan, "correct"), plan


def written_out(fit, features):
    """Mean prediction by model and slice, one number at a time."""
    p = parameter_draws(fit)
    x, s = features["x"].to_numpy(), features["slice_index"].to_numpy()
    out = np.zeros((features.sizes["model"], features.sizes["slice"]))
    for m in range(features.sizes["model"]):
        for k in range(features.sizes["slice"]):
            told = p["weight"] @ x[s == k, m].T
            latent = (p["level"][:, [m]] + p["trust"][:, [m]] * told
                      + (p["slice_effect"][:, k] + p["model_slice_effect"][:, k, m])[:, None])
            out[m, k] = ndtr(latent).mean()
    return out


@pytest.mark.parametrize("traffic", [True, False])
def test_quality_is_the_weighted_mean_of_predictions(traffic):
    features, _ = make_features(share={"small": 0.9, "large": 0.1})
    fit = make_fit(features, level=[0.2, 0.6, -0.3], spread=0.1)
    found = quality(fit, features, traffic=traffic, seed=3)["calibrated"].mean(("chain", "draw"))
    by_slice = written_out(fit, features)
    names = list(features["slice"].to_numpy())
    # Bootstrap noise of a slice mean: spread of predictions (below 0.35) / sqrt(items of the slice × draws).
    np.testing.assert_allclose(found.sel(slice=names), by_slice, atol=4 * 0.35 / np.sqrt(60 * 400))
    mix = {"small": 0.9, "large": 0.1} if traffic else {"small": 0.25, "large": 0.75}
    weight = np.array([mix[name] for name in names])
    np.testing.assert_allclose(found.sel(slice="all"), by_slice @ weight, atol=0.01)


def test_counted_traffic_is_uncertain_and_shares_are_not():
    for table, sure in (({"share": {"small": 0.5, "large": 0.5}}, True), ({"count": {"small": 4, "large": 4}}, False)):
        features, _ = make_features(**table)
        rng = np.random.default_rng(0)
        weights = estimands.slice_weights(features, traffic=True, draws=2000, rng=rng)
        np.testing.assert_allclose(weights.sum(axis=1), 1)
        np.testing.assert_allclose(weights.mean(axis=0), 0.5, atol=0.02)
        # Dirichlet(4, 4): standard deviation 1/6.
        np.testing.assert_allclose(weights.std(axis=0), 0 if sure else 1 / 6, atol=0.01)


def test_models_share_the_bootstrap_weights():
    # Two models with equal predictions differ by nothing, in every single draw.
    features, _ = make_features()
    features["x"].values[:, 1] = features["x"].values[:, 0]
    features["label"].values[:, 1] = features["label"].values[:, 0]
    fit = make_fit(features, level=[0.3, 0.3, 0.9], item_scale=0.8)
    found = quality(fit, features, traffic=False, seed=1)
    delta = contrast(found["calibrated"], incumbent="old", better="higher").sel(model="new")
    assert float(abs(delta).max()) < 1e-12
    assert float(found["calibrated"].sel(model="old", slice="all").std()) > 0.005


def test_contrast_is_candidate_minus_incumbent_and_positive_is_better():
    draws = xr.DataArray([[[0.6, 0.7, 0.5]]], dims=("chain", "draw", "model"), coords={"model": ["a", "b", "c"]})
    up = contrast(draws, incumbent="b", better="higher")
    assert list(up["model"].to_numpy()) == ["a", "c"]
    np.testing.assert_allclose(up.to_numpy().ravel(), [-0.1, -0.2])
    np.testing.assert_allclose(contrast(draws, incumbent="b", better="lower").to_numpy().ravel(), [0.1, 0.2])


def test_identical_outputs_have_one_quality():
    identical = np.arange(N_ITEMS) % 2 == 0
    features, _ = make_features(identical=identical)
    fit = make_fit(features, level=[0.0, 1.0, -1.0])
    p = predict(parameter_draws(fit), features, np.arange(N_ITEMS), rows=slice(0, 5))
    np.testing.assert_allclose(p[:, identical, 0], p[:, identical, 1])
    # Elsewhere the higher level shows, whatever the metrics say of single outputs.
    assert p[:, ~identical, 1].mean() > p[:, ~identical, 0].mean() + 0.15
    everything, _ = make_features(identical=np.ones(N_ITEMS, bool))
    found = quality(make_fit(everything, level=[0.0, 1.0, -1.0]), everything, traffic=False, seed=1)
    for method in ("calibrated", "corrected"):
        assert float(abs(contrast(found[method], incumbent="old", better="higher")).max()) < 1e-9


def test_grouping_items_changes_nothing():
    features, _ = make_features()
    doubled = xr.concat([features, features], dim="item", data_vars="minimal").assign_coords(item=range(2 * N_ITEMS))
    population = group_items(doubled, seed=0)
    assert len(population.item) == N_ITEMS and set(population.count) == {2.0}
    fit = make_fit(features, level=[0.2, 0.6, -0.3])
    once, twice = (quality(fit, f, traffic=False, seed=2)["calibrated"].mean(("chain", "draw"))
                   for f in (features, doubled))
    np.testing.assert_allclose(once, twice, atol=0.01)


def test_beyond_the_largest_number_of_groups_a_sample_stands_for_the_slice(monkeypatch):
    features, _ = make_features()
    whole = group_items(features, seed=0)
    monkeypatch.setattr(estimands, "MOST_GROUPS", 150)
    sampled = group_items(features, seed=0)
    assert len(sampled.item) == 150
    for s in range(features.sizes["slice"]):
        assert sampled.count[sampled.slice_index == s].sum() == pytest.approx(whole.count[whole.slice_index == s].sum())


def test_chunks_give_the_same_quality(monkeypatch):
    features, _ = make_features()
    fit = make_fit(features, level=[0.2, 0.6, -0.3], spread=0.2)
    at_once = quality(fit, features, traffic=False, seed=5)["calibrated"]
    monkeypatch.setattr(estimands, "CELLS_AT_ONCE", 20_000)
    in_parts = quality(fit, features, traffic=False, seed=5)["calibrated"]
    np.testing.assert_allclose(at_once.mean(("chain", "draw")), in_parts.mean(("chain", "draw")), atol=0.01)


def test_correction_is_the_weighted_mean_residual():
    features, _ = make_features(labels=N_ITEMS, share={"small": 0.9, "large": 0.1})
    fit = make_fit(features, level=[2.5, 0.6, -2.5])
    found = quality(fit, features, traffic=True, seed=3)
    moved = (found["corrected"] - found["calibrated"]).mean(("chain", "draw"))
    label, s = features["label"].to_numpy(), features["slice_index"].to_numpy()
    residual = label - predict(parameter_draws(fit), features, np.arange(N_ITEMS), rows=slice(0, 1))[0]
    by_slice = np.stack([residual[s == k].mean(axis=0) for k in range(2)], axis=1)
    names = list(features["slice"].to_numpy())
    # Two pseudo-items among the labels pull by at most 2 / (labels of the slice + 2).
    np.testing.assert_allclose(moved.sel(slice=names), by_slice, atol=0.03)
    weight = np.array([{"small": 0.9, "large": 0.1}[n] for n in names])
    np.testing.assert_allclose(moved.sel(slice="all"), by_slice @ weight, atol=0.03)


def test_correction_undoes_labels_chosen_by_their_outcome():
    # Bad outputs are three times as likely to be labelled; inverse probabilities bring the mean back.
    rng = np.random.default_rng(4)
    n = 3000
    truth = (rng.random(n) < 0.7).astype(float)
    chance = np.where(truth == 1, 0.2, 0.6)
    label = np.where(rng.random(n) < chance, truth, np.nan)
    plan = small_plan()
    values = rng.random((n, 2, 1))
    known = np.where(np.isnan(label), np.nan, chance)
    data = small_data(values, np.stack([label, label], axis=1), plan, inclusion_prob=known)
    features = build_features(data, plan, "correct")
    found = quality(make_fit(features, level=[0.0, 0.0]), features, traffic=False, seed=1)
    assert float(found["corrected"].sel(model="old", slice="all").mean()) == pytest.approx(truth.mean(), abs=0.03)
    assert np.nanmean(label) < truth.mean() - 0.2


def test_a_slice_without_labels_is_not_corrected():
    features, _ = make_features()
    small = features["slice_index"].to_numpy() == list(features["slice"].to_numpy()).index("small")
    features["label"].values[small] = np.nan
    found = quality(make_fit(features, level=[0.2, 0.6, -0.3]), features, traffic=False, seed=3)
    moved = (found["corrected"] - found["calibrated"]).sel(slice="small")
    assert float(abs(moved).max()) == 0
    assert float(abs(found["corrected"] - found["calibrated"]).sel(slice="large").mean()) > 0


def test_estimate_rows_hold_margin_and_label_counts():
    features, _ = make_features(better="lower")
    fit = make_fit(features, level=[0.2, 0.6, -0.3], spread=0.2)
    draws = quality(fit, features, traffic=True, seed=3)
    rows = estimate_rows(draws, features, incumbent="old", layer="traffic", interval=0.9, margin=0.03)
    contrasts = rows.query("method == 'calibrated' and quantity == 'contrast'")
    chosen = contrasts.query("model == 'new' and slice == 'all'").iloc[0]
    lost = (draws["calibrated"].sel(model="new") - draws["calibrated"].sel(model="old")).sel(slice="all").to_numpy()
    assert chosen["mean"] == pytest.approx(-lost.mean())
    assert chosen["prob_noninferior"] == pytest.approx((lost < 0.03).mean())
    assert chosen["n_labels"] == 60
    assert rows.query("quantity == 'quality'")["prob_noninferior"].isna().all()
    small = rows.query("slice == 'small' and quantity == 'contrast'")
    assert (small["n_labels"] == 15).all() and small["prob_noninferior"].isna().all()
