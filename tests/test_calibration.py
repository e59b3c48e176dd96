"""The calibration model: its formula against a second one, and recovery of known truth by real sampling."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from helpers import judged_features, pairs_features, small_features, small_plan
from scipy import stats
from scipy.special import log_ndtr, ndtr, roots_hermitenorm

from migration_kit.calibration import build_model, model_data
from migration_kit.estimands import TOTAL, contrast, quality
from migration_kit.inference import compile_model, fit
from migration_kit.judgments import label_rows, rivals
from migration_kit.plan import SamplingSpec
from migration_kit.prediction import parameter_draws
from migration_kit.shape import Shape, joined, shape_of
from migration_kit.simulate import SCENARIOS, simulate_family, simulate_pairs

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
    shape = shape_of(rows)
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
    excluded = 0.95 / (1 + np.exp(-point["exclusion_share_logodds__"]))
    kappa = np.sqrt(2 * excluded / (1 - excluded))
    total = 0.0
    for r in range(rows.sizes["row"]):
        twins = np.nonzero(rows["pool"].to_numpy()[r])[0]
        s, i = int(rows["slice_index"][r]), int(rows["item_index"][r])
        f = float(rows["x"].to_numpy()[r] @ weight)
        mean = np.mean([level[m] + trust[m] * f + v[s, m] for m in twins]) + u[s]
        spread = np.mean(lam[twins])
        apart = rows["rival"].to_numpy()[r]
        latent = np.sqrt(1 + spread**2 + kappa**2 * (apart**2).sum()) * mean + spread * point["hardness"][i]
        latent += kappa * (apart @ point["rival_z"][i])
        total += log_ndtr(latent if rows["y"][r] == 1 else -latent)
    assert found == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize("name", ["ordinal", "pairwise", "normal", "raters", "raters_binary", "clusters"])
@pytest.mark.parametrize("uneven", [False, True])
def test_log_density_of_every_scale_equals_a_second_formulation(name, uneven):
    features, _ = judged_features(simulate_family(name, n_labels=25, seed=3, n_unlabelled=40))
    rows = label_rows(features.assign_attrs(uneven=int(uneven)))
    shape = shape_of(rows)
    assert (shape.raters > 0) == ("raters" in name) and (shape.clusters > 0) == (name == "clusters")
    model = build_model(shape, model_data(rows, shape))
    rng = np.random.default_rng(4)
    point = {key: rng.normal(size=value.shape) * 0.5 for key, value in model.initial_point().items()}
    found = model.compile_fn(model.potentiallogp, mode="FAST_COMPILE")(point)
    assert found == pytest.approx(second_log_density(point, rows, features), rel=1e-8)


def second_log_density(point, rows, features):
    """The formula row by row, with distributions of scipy."""
    def scale(key):
        return np.exp(point[f"{key}_log__"])

    weight, trust = scale("weight_scale") * point["weight_z"], 1 + scale("trust_scale") * point["trust_z"]
    share = 0.9 / (1 + np.exp(-point["item_share"] - 0.5 * point["item_share_z"]))
    lam, total, levels = np.sqrt(share / (1 - share)), 0.0, len(features.attrs["levels"])
    if levels > 2:
        cuts = np.concatenate([[0], np.cumsum(2.4 / (levels - 1) * np.exp(0.8 * point["gap_z"]))])
        cuts = np.concatenate([[-np.inf], cuts - cuts.mean(), [np.inf]])
    for r in range(rows.sizes["row"]):
        m, s = int(rows["pool"].to_numpy()[r].argmax()), int(rows["slice_index"][r])
        mean = point["centre"] + 1.5 * point["level_z"][m] + trust[m] * float(rows["x"].to_numpy()[r] @ weight)
        mean += scale("slice_scale") * point["slice_t"][s] + scale("model_slice_scale") * point["model_slice_t"][s, m]
        if "stratum_z" in point:
            mean += scale("stratum_scale") * point["stratum_z"][int(rows["stratum"][r]), m]
        if "side_effect" in point:
            mean += point["side_effect"] * float(rows["side"][r])
        residual = np.exp(0.5 * point["residual_z"][m]) if "residual_z" in point else 1.0
        own = lam[m] * residual
        effect, variance = own * point["hardness"][int(rows["item_index"][r])], own**2
        if "rater_z" in point:
            effect += scale("rater_scale") * point["rater_z"][int(rows["rater_index"][r])]
            variance += scale("rater_scale") ** 2
        if "output_z" in point and rows["output_index"][r] >= 0:
            effect += scale("output_scale") * point["output_z"][int(rows["output_index"][r])]
            variance += scale("output_scale") ** 2
        if "cluster_z" in point:
            c = int(rows["cluster_index"][r])
            effect += scale("cluster_scale") * point["cluster_z"][c]
            effect += scale("model_cluster_scale") * point["model_cluster_z"][c, m]
            variance += scale("cluster_scale") ** 2 + scale("model_cluster_scale") ** 2
        wide = np.sqrt(1 + variance)
        if not levels:
            judged = (float(rows["value"][r]) - features.attrs["centre"]) / features.attrs["spread"]
            total += stats.norm.logpdf(judged, mean + effect, residual) + 0.5 * np.log(2 * np.pi)
        elif levels == 2:
            total += log_ndtr((wide * mean + effect) * (1 if rows["y"][r] == 1 else -1))
        else:
            spread = np.exp(0.25 * point["spread_z"][m]) if "spread_z" in point else 1.0
            k = int(rows["level"][r])
            low, high = (wide / spread * (cut - mean) - effect for cut in cuts[[k, k + 1]])
            # From the nearer end, so that differences do not vanish in rounding.
            total += np.log(ndtr(-low) - ndtr(-high) if low + high > 0 else ndtr(high) - ndtr(low))
    return total


def test_identical_outputs_stand_once_in_the_likelihood():
    rows = label_rows(regions_features())
    # 40 labelled items of three models; on two items of three, two models gave the same output.
    assert rows.sizes["row"] == 3 * 40 - sum(i % 3 > 0 for i in range(40))


def test_rivals_take_from_each_other_what_they_gain():
    item, first = np.array([0, 0, 0, 2, 2, 5, 7, 7, 7]), np.array([0, 1, 2, 0, 2, 1, 0, 1, 1])
    apart = rivals(item, first)
    expected = np.zeros((9, 9))
    for i in np.unique(item):
        here = np.nonzero(item == i)[0]
        same = first[here][:, None] == first[here]
        expected[np.ix_(here, here)] = same - 1 / len(np.unique(first[here]))
    together = np.where(item[:, None] == item, apart @ apart.T, 0)
    np.testing.assert_allclose(together, expected, atol=1e-12)
    assert rivals(item[:0], first[:0]).shape == (0, 0)


@pytest.mark.parametrize("outputs", ["answers from a list", "texts of their own", "unknown"])
def test_answers_from_a_closed_list_are_told_by_their_texts(outputs):
    values = np.random.default_rng(0).random((60, 3, 1))
    label = np.where(np.arange(60)[:, None] < 30, np.resize([0.0, 1.0], (60, 3)), np.nan)
    own = np.array([[f"{i}-{m}" for m in range(3)] for i in range(60)], dtype=object)
    text = {"answers from a list": {"text": np.resize(["a", "b", "c"], (60, 3)).astype(object)},
            "texts of their own": {"text": own}, "unknown": {}}[outputs]
    rows = label_rows(small_features(values, label, small_plan(models=("a", "b", "c")), **text))
    assert shape_of(rows).rivals == (2 if outputs == "answers from a list" else 0)


@pytest.mark.parametrize("spread", [0.0, 0.7, 3.0])
def test_marginal_probability_needs_no_integral(spread):
    # Averaged over the hardness of items, Φ(√(1+λ²)·mean + λ·ζ) is Φ(mean).
    node, weight = roots_hermitenorm(120)
    for mean in (-2.0, 0.3, 1.5):
        conditional = ndtr(np.sqrt(1 + spread**2) * mean + spread * node)
        assert (weight * conditional).sum() / weight.sum() == pytest.approx(ndtr(mean), abs=1e-4)


def test_padding_leaves_the_likelihood_alone():
    rows = label_rows(regions_features())
    shape = shape_of(rows)
    wide = replace(shape, components=shape.components + 3, items=shape.items + 5)
    padded = model_data(rows, wide)
    assert wide.holds(rows) and not replace(shape, items=1).holds(rows)
    assert joined(shape, replace(shape, items=1, components=99)) == replace(shape, components=99)
    assert not replace(shape, levels=5).holds(rows) and not replace(shape, raters=2).holds(rows)
    with pytest.raises(ValueError, match="different kinds"):
        joined(shape, Shape(levels=5))
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
    # z-scores of the contrast and both qualities over 12 simulated migrations in which the judge favours the candidate.
    scores = []
    for seed in range(12):
        pairs = simulate_pairs(**SCENARIOS["C"], n_labels=100, seed=seed)
        _, _, draws, delta = sample(pairs, compiled)
        truth = pairs.quality
        scores.append([(float(delta.mean()) - (truth[1] - truth[0])) / float(delta.std())]
                      + [(float(q.mean()) - t) / float(q.std()) for q, t in
                         zip(draws["calibrated"].sel(slice=TOTAL).transpose("model", ...), truth, strict=True)])
    scores = np.array(scores)
    # The mean of 12 z-scores has sd 0.29; their sd lies between 0.39 and 1.63 with probability 0.998.
    assert (abs(scores.mean(axis=0)) < 1.0).all()
    assert ((scores.std(axis=0) > 0.39) & (scores.std(axis=0) < 1.63)).all()


def test_the_judge_alone_would_have_misled(compiled):
    pairs = simulate_pairs(**SCENARIOS["E"], n_labels=100, seed=3)
    _, features, _, delta = sample(pairs, compiled)
    raw = features["value"].mean("item").to_numpy()[:, 0]
    assert raw[1] > raw[0] and float(delta.mean()) < 0


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
