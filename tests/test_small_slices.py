"""Slices of few items: the closed form of their mean, coverage, and who is left alone. No sampling."""

import numpy as np
import pytest
import xarray as xr
from helpers import small_data, small_plan
from scipy.special import ndtr
from test_estimands import make_fit

from migration_kit import small_slices
from migration_kit.estimands import predict, quality
from migration_kit.features import build_features
from migration_kit.prediction import parameter_draws

N_ITEMS = 400
LEVEL = (0.2, 0.6)


@pytest.fixture(scope="module")
def features() -> xr.Dataset:
    """Two models and a score that tells a lot, in two regions of which one has ten items."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=(N_ITEMS, 2, 1))
    label = np.where(np.arange(N_ITEMS)[:, None] < 60, rng.integers(0, 2, (N_ITEMS, 2)), np.nan)
    regions = np.where(np.arange(N_ITEMS) < 10, "rare", "usual")
    plan = small_plan(metrics=("score",), slices=True)
    return build_features(small_data(values, label, plan, regions=regions), plan, "correct")


def rare_items(features: xr.Dataset, chosen: np.ndarray) -> xr.Dataset:
    """The same items, of which those chosen are the rare region."""
    names = features["slice"].to_numpy().tolist()
    index = np.full(N_ITEMS, names.index("usual"))
    index[chosen] = names.index("rare")
    return features.assign(slice_index=("item", index))


def contrast_of_rare(fit: xr.DataTree, features: xr.Dataset, seed: int) -> np.ndarray:
    drawn = quality(fit, features, traffic=False, seed=seed)["calibrated"].sel(slice="rare")
    return (drawn.sel(model="new") - drawn.sel(model="old")).to_numpy().ravel()


@pytest.mark.parametrize("n", [1, 2, 10, 49])
def test_two_items_of_the_whole_set_count_beside_those_of_the_slice(features, n):
    here = rare_items(features, np.arange(n))
    fit = make_fit(here, level=LEVEL, draws=8000)
    # The rare region is better by half a standard deviation for both models: so are the items imagined there.
    rare = here["slice"].to_numpy().tolist().index("rare")
    fit["posterior"]["slice_effect"].values[..., rare] = 0.5
    x, weight = here["x"].to_numpy(), 0.5
    there = ndtr(np.array(LEVEL) + 0.5 + weight * x.sum(axis=2))
    expected = (n * there[:n].mean(axis=0) + 2 * there.mean(axis=0)) / (n + 2)
    found = quality(fit, here, traffic=False, seed=1)["calibrated"].sel(slice="rare")
    error = found.to_numpy().std(axis=(0, 1)) / np.sqrt(8000)
    # Draws that share the items to choose from are not independent.
    np.testing.assert_allclose(found.mean(("chain", "draw")), expected, atol=8 * error.max())


@pytest.mark.parametrize("n", [1, 2, 5, 20])
def test_an_interval_of_a_small_slice_holds_what_production_sends_there(features, n):
    fit, rng = make_fit(features, level=LEVEL), np.random.default_rng(n)
    score = predict(parameter_draws(fit), features, np.arange(N_ITEMS), rows=slice(0, 1))[0]
    truth, held = np.diff(score.mean(axis=0))[0], []
    for seed in range(100):
        draws = contrast_of_rare(fit, rare_items(features, rng.choice(N_ITEMS, n, replace=False)), seed)
        low, high = np.quantile(draws, [0.025, 0.975])
        held.append(low <= truth <= high)
    # Three Monte Carlo errors of 100 draws of items below 93%; the bootstrap alone holds it in none where n is 1.
    assert np.mean(held) >= 0.93 - 3 * np.sqrt(0.93 * 0.07 / 100)


def test_models_share_the_imagined_items(features):
    fit = make_fit(features, level=(0.4, 0.4))
    same = features.copy(deep=True)
    same["x"].values[:, 1] = same["x"].values[:, 0]
    assert abs(contrast_of_rare(fit, rare_items(same, np.arange(3)), 1)).max() < 1e-12


def test_slices_of_fifty_items_and_a_slice_alone_stay_as_they_are(features, monkeypatch):
    fit = make_fit(features, level=LEVEL, spread=0.1)
    many, few = rare_items(features, np.arange(50)), rare_items(features, np.arange(49))
    with_rule = [quality(fit, one, traffic=False, seed=1)["calibrated"] for one in (many, few)]
    monkeypatch.setattr(small_slices, "FEWEST_UNITS", 0)
    without = [quality(fit, one, traffic=False, seed=1)["calibrated"] for one in (many, few)]
    assert with_rule[0].equals(without[0]) and not with_rule[1].equals(without[1])
    usual = {"slice": "usual"}
    assert with_rule[1].sel(usual).equals(without[1].sel(usual))

    monkeypatch.undo()
    alone = features.isel(item=slice(0, 10), slice=[0]).assign(slice_index=("item", np.zeros(10, dtype=np.int64)))
    by_slice = np.zeros((4, 2, 1))
    assert small_slices.with_imagined(by_slice, {}, alone, rows=slice(0, 4), rng=None) is by_slice


def test_clusters_count_once(features):
    one_talk = features.assign(cluster=("item", np.where(np.arange(N_ITEMS) < 60, 0, np.arange(N_ITEMS))))
    names = features["slice"].to_numpy().tolist()
    units = small_slices._units(rare_items(one_talk, np.arange(60)))
    assert units[names.index("rare")] == 1 and units[names.index("usual")] == N_ITEMS - 60
