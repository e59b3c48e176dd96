"""The calibration model: its formula against a second one, and recovery of known truth by real sampling."""

import numpy as np
import pytest
import xarray as xr
from helpers import pairs_features, small_features, small_plan
from scipy.special import log_ndtr, ndtr, roots_hermitenorm

from migration_kit.calibration import Shape, build_model, model_data, shape_of
from migration_kit.estimands import TOTAL, contrast, parameter_draws, quality
from migration_kit.features import label_rows
from migration_kit.inference import compile_model, fit
from migration_kit.plan import SamplingSpec
from migration_kit.simulate import SCENARIOS, simulate_pairs

SAMPLING = SamplingSpec(draws=500, tune=500, chains=2, seed=11)


def regions_features(seed=0, n=60, slices=True):
    rng = np.random.default_rng(seed)
    plan = small_plan(models=("old", "new", "other"), metrics=("judge", "score"), slices=slices)
    values = np.stack([rng.random((n, 3)) < 0.7, rng.random((n, 3))], axis=-1).astype(float)
    text = np.array([["same", "same" if i % 3 else "own", "other"] for i in range(n)], dtype=object)
    values[np.arange(n) % 3 > 0, 1] = values[np.arange(n) % 3 > 0, 0]
    label = (rng.random((n, 3)) < 0.6).astype(float)
    label[np.arange(n) % 3 > 0, 1] = label[np.arange(n) % 3 > 0, 0]
    label[40:] = np.nan
    regions = np.resize(["a", "b"], n) if slices else None
    return small_features(values, label, plan, regions=regions, text=text)


def test_log_density_equals_a_second_formulation():
    features = regions_features()
    rows = label_rows(features)
    shape = shape_of([rows])
    model = build_model(shape, model_data(rows, shape))
    rng = np.random.default_rng(1)
    point = {name: rng.normal(size=value.shape) * 0.5 for name, value in model.initial_point().items()}
    found = model.compile_fn(model.potentiallogp, mode="FAST_COMPILE")(point)
    scale = {name: np.exp(point[f"{name}_log__"]) for name in
             ("weight_scale", "trust_scale", "slice_scale", "model_slice_scale")}
    level = point["centre"] + 1.5 * point["level_z"]
    weight, trust = scale["weight_scale"] * point["weight_z"], 1 + scale["trust_scale"] * point["trust_z"]
    share = 0.9 / (1 + np.exp(-point["item_share"] - 0.5 * point["item_share_z"]))
    lam = np.sqrt(share / (1 - share))
    u = scale["slice_scale"] * point["slice_t"]
    v = scale["model_slice_scale"] * point["model_slice_t"]
    total = 0.0
    for r in range(rows.sizes["row"]):
        twins = np.nonzero(rows["pool"].to_numpy()[r])[0]
        s, i = int(rows["slice_index"][r]), int(rows["item_index"][r])
        f = float(rows["x"].to_numpy()[r] @ weight)
        mean = np.mean([level[m] + trust[m] * f + v[s, m] for m in twins]) + u[s]
        spread = np.mean(lam[twins])
        latent = np.sqrt(1 + spread**2) * mean + spread * point["hardness"][i]
        total += log_ndtr(latent if rows["y"][r] == 1 else -latent)
    assert found == pytest.approx(total, rel=1e-9)


def test_identical_outputs_stand_once_in_the_likelihood():
    rows = label_rows(regions_features())
    # 40 labelled items of three models; on two items of three, two models gave the same output.
    assert rows.sizes["row"] == 3 * 40 - sum(i % 3 > 0 for i in range(40))


@pytest.mark.parametrize("spread", [0.0, 0.7, 3.0])
def test_marginal_probability_needs_no_integral(spread):
    # Averaged over the hardness of items, Φ(√(1+λ²)·mean + λ·ζ) is Φ(mean).
    node, weight = roots_hermitenorm(120)
    for mean in (-2.0, 0.3, 1.5):
        conditional = ndtr(np.sqrt(1 + spread**2) * mean + spread * node)
        assert (weight * conditional).sum() / weight.sum() == pytest.approx(ndtr(mean), abs=1e-4)


def test_padding_leaves_the_likelihood_alone():
    rows = label_rows(regions_features())
    shape = shape_of([rows])
    wide = Shape(shape.models, shape.components + 3, shape.slices, shape.items + 5)
    padded = model_data(rows, wide)
    assert wide.holds(rows) and not Shape(shape.models, 1, 1, 1).holds(rows)
    np.testing.assert_array_equal(padded["x"][:, shape.components :], 0)
    np.testing.assert_array_equal(padded["x"][:, : shape.components], rows["x"])


@pytest.fixture(scope="module")
def compiled():
    features, _ = pairs_features(simulate_pairs(**SCENARIOS["C"], n_labels=100, seed=0))
    return compile_model([features])


def sample(pairs, compiled, *, seed=1):
    features, _ = pairs_features(pairs)
    tree = fit(features, SAMPLING, compiled=compiled)
    draws = quality(tree, features, traffic=False, seed=seed)
    return tree, features, draws, contrast(draws["calibrated"].sel(slice=TOTAL), incumbent="old", better="higher")


def test_known_truth_is_recovered(compiled):
    # z-scores of the contrast and both qualities over 16 simulated migrations in which the judge favours the candidate.
    scores = []
    for seed in range(16):
        pairs = simulate_pairs(**SCENARIOS["C"], n_labels=100, seed=seed)
        _, _, draws, delta = sample(pairs, compiled)
        truth = pairs.quality
        scores.append([(float(delta.mean()) - (truth[1] - truth[0])) / float(delta.std())]
                      + [(float(q.mean()) - t) / float(q.std()) for q, t in
                         zip(draws["calibrated"].sel(slice=TOTAL).transpose("model", ...), truth, strict=True)])
    scores = np.array(scores)
    # The mean of 16 z-scores has sd 1/4; their sd lies between 0.47 and 1.54 with probability 0.998.
    assert (abs(scores.mean(axis=0)) < 1.0).all()
    assert ((scores.std(axis=0) > 0.45) & (scores.std(axis=0) < 1.6)).all()


def test_the_judge_alone_would_have_misled(compiled):
    pairs = simulate_pairs(**SCENARIOS["E"], n_labels=100, seed=3)
    _, features, _, delta = sample(pairs, compiled)
    raw = features["value"].mean("item").to_numpy()[:, 0]
    assert raw[1] > raw[0] and float(delta.mean()) < 0


def test_a_perfect_metric_leaves_only_the_items_uncertain(compiled):
    pairs = simulate_pairs(**SCENARIOS["B"], n_labels=100, seed=5)
    perfect = type(pairs)(pairs.truth, pairs.truth[:, :, None], pairs.labelled, pairs.quality)
    _, _, _, delta = sample(perfect, compiled)
    difference = pairs.truth[:, 1].astype(float) - pairs.truth[:, 0]
    known = 2 * 1.96 * difference.std() / np.sqrt(len(difference))
    low, high = np.quantile(delta, [0.025, 0.975])
    assert float(delta.mean()) == pytest.approx(difference.mean(), abs=0.015)
    assert high - low < 1.4 * known


def test_equal_models_are_a_toss_up(compiled):
    chances = []
    for seed in range(10):
        pairs = simulate_pairs(**SCENARIOS["B"], n_labels=100, seed=100 + seed)
        _, _, _, delta = sample(pairs, compiled)
        chances.append(float((delta > 0).mean()))
    # P(Δ > 0) is about uniform: the mean of ten has sd 0.09.
    assert 0.2 < np.mean(chances) < 0.8


def test_one_class_only_gives_wide_finite_intervals(compiled):
    pairs = simulate_pairs(**SCENARIOS["F"], n_labels=100, seed=2)
    pairs.truth[pairs.labelled] = 1
    tree, _, draws, delta = sample(pairs, compiled)
    assert np.isfinite(draws["calibrated"]).all() and float(delta.std()) > 0.002
    assert float(draws["calibrated"].sel(slice=TOTAL).mean()) > 0.9
    assert set(tree["posterior"].data_vars) >= {"level", "weight", "trust", "item_scale"}


def test_equal_seeds_give_equal_fits_and_compiled_models_are_reused(compiled):
    pairs = simulate_pairs(**SCENARIOS["C"], n_labels=100, seed=7)
    one, _, _, first = sample(pairs, compiled)
    two, features, _, second = sample(pairs, compiled)
    np.testing.assert_allclose(first.mean(), second.mean(), atol=3 * float(first.std()) / np.sqrt(200))
    assert one.attrs["criterion"] == "correct" and one["posterior"].sizes == two["posterior"].sizes
    with pytest.raises(ValueError, match="compiled for"):
        fit(small_features(np.zeros((9, 3, 1)), np.ones((9, 3)), small_plan(models=("a", "b", "c"))), SAMPLING,
            compiled=compiled)
    assert isinstance(parameter_draws(two)["level"], np.ndarray)
    assert isinstance(features, xr.Dataset)
