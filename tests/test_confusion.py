"""The confusion model: known truth, a closed form, candidates without labels, what it leaves to others."""

import subprocess
import sys

import numpy as np
import pytest
from helpers import MODELS, judged_features, pairs_features, pairs_labels, small_features, small_plan
from scipy import stats

from migration_kit.confusion import compile_confusion, confusion, confusion_draws, verdict_counts
from migration_kit.intervals import ESTIMATE_COLUMNS
from migration_kit.simulate import SCENARIOS, simulate_family, simulate_pairs

NAN = np.nan
SAMPLING = {"draws": 500, "tune": 400, "chains": 2}


@pytest.fixture(scope="module")
def compiled():
    return compile_confusion(3)


def features_of(truth, metric, labelled, **details):
    """Features of three models with a 0/1 metric; labels of the outputs marked, dims (item, model)."""
    plan = small_plan(models=MODELS[:3], sampling=SAMPLING, **details.pop("criterion", {}))
    label = np.where(labelled, truth, NAN)
    return small_features(metric[:, :, None].astype(float), label, plan, **details), plan


def three_models(seed, *, n_labels=200, n_unlabelled=1000):
    """Scenario A with a third model as good as the second."""
    scenario = {key: [*value, value[1]] for key, value in SCENARIOS["A"].items()}
    return simulate_pairs(**scenario, n_labels=n_labels, seed=seed, n_unlabelled=n_unlabelled)


def row_of(table, model, quantity="quality"):
    (row,) = table[(table["model"] == model) & (table["quantity"] == quantity)].to_dict("records")
    return row


def test_known_truth_comes_back_also_for_a_candidate_nobody_has_judged(compiled):
    inside, misses = 0, []
    for seed in range(3):
        pairs = three_models(seed)
        labelled = np.broadcast_to(pairs.labelled[:, None], pairs.truth.shape) & [True, True, False]
        features, plan = features_of(pairs.truth, pairs.metrics[:, :, 0], labelled)
        table = confusion(features, plan, traffic=True, compiled=compiled)
        assert tuple(table.columns) == ESTIMATE_COLUMNS
        assert len(table) == 5
        assert set(table["method"]) == {"confusion"}
        assert set(table["metric"]) == {"judge"}
        for position, model in enumerate(MODELS[:3]):
            row = row_of(table, model)
            inside += row["lower"] <= pairs.quality[position] <= row["upper"]
            misses.append((row["mean"] - pairs.quality[position]) / row["sd"])
            assert row["n_labels"] == (200 if position < 2 else 0)
        screened, judged = row_of(table, "other"), row_of(table, "new")
        # Error rates borrowed from two other models are known far less well.
        assert screened["sd"] > 1.3 * judged["sd"]
        assert row_of(table, "other", "contrast")["n_labels"] == 0
        assert 0 <= row_of(table, "new", "contrast")["prob_noninferior"] <= 1
    # Nine intervals of 95%: fewer than seven inside happens once in a thousand.
    assert inside >= 7
    assert np.abs(misses).max() < 4


def test_rates_of_the_metric_come_back(compiled):
    pairs = three_models(5, n_labels=1000, n_unlabelled=1000)
    labelled = np.broadcast_to(pairs.labelled[:, None], pairs.truth.shape)
    features, plan = features_of(pairs.truth, pairs.metrics[:, :, 0], labelled)
    draws = confusion_draws(features, plan.sampling, traffic=True, compiled=compiled)
    assert draws.attrs["r_hat"] < 1.02
    # Scenario A: sensitivity 90%, specificity 70%.
    assert draws["true_positive"].mean("draw").to_numpy() == pytest.approx([0.9] * 3, abs=0.04)
    assert draws["false_positive"].mean("draw").to_numpy() == pytest.approx([0.3] * 3, abs=0.08)


def test_a_perfect_metric_is_a_beta_of_all_items(compiled):
    rng = np.random.default_rng(1)
    truth = rng.random((1000, 3)) < [0.7, 0.8, 0.6]
    features, plan = features_of(truth, truth, np.arange(1000)[:, None] < [[500, 500, 500]])
    table = confusion(features, plan, traffic=True, compiled=compiled)
    for position, model in enumerate(MODELS[:3]):
        good = truth[:, position].sum()
        exact, row = stats.beta(good + 0.5, 1000 - good + 0.5), row_of(table, model)
        # With 150 labels of the rarer kind, half a percent of errors is still thinkable.
        assert row["mean"] == pytest.approx(exact.mean(), abs=0.5 * exact.std())
        assert row["sd"] == pytest.approx(exact.std(), rel=0.15)


def test_traffic_weighs_items_and_the_offline_layer_does_not(compiled):
    rng = np.random.default_rng(2)
    regions = np.repeat(["a", "b"], 600)
    truth = rng.random((1200, 3)) < np.where(regions == "a", 0.9, 0.4)[:, None]
    features, plan = features_of(truth, truth, np.ones((1200, 3), bool), regions=regions,
                                 share={"a": 0.9, "b": 0.1}, criterion={"slices": True})
    for traffic, expected, layer in ((True, 0.85, "traffic"), (False, 0.65, "offline")):
        table = confusion(features, plan, traffic=traffic, compiled=compiled)
        assert set(table["layer"]) == {layer}
        assert row_of(table, "new")["mean"] == pytest.approx(expected, abs=0.03)


def test_where_lower_is_better_contrasts_turn_and_qualities_stay(compiled):
    rng = np.random.default_rng(3)
    truth = rng.random((400, 3)) < [0.5, 0.2, 0.5]
    features, plan = features_of(truth, truth, np.ones((400, 3), bool), criterion={"better": "lower"})
    table = confusion(features, plan, traffic=True, compiled=compiled)
    assert row_of(table, "new")["mean"] == pytest.approx(0.2, abs=0.05)
    assert row_of(table, "new", "contrast")["mean"] == pytest.approx(0.3, abs=0.07)
    assert confusion(features, plan, traffic=True, compiled=compiled).equals(table)


def test_without_labels_there_is_no_number():
    pairs = simulate_pairs(**SCENARIOS["A"], n_labels=10, seed=1)
    features, plan = pairs_features(pairs)
    empty = features.assign(label=features["label"] * NAN)
    table = confusion(empty, plan, traffic=True)
    assert len(table) == 3
    assert table[["mean", "sd", "lower", "upper", "prob_noninferior"]].isna().all().all()
    assert (table["n_labels"] == 0).all()


@pytest.mark.parametrize("family", ["ordinal", "at_least", "normal", "pairwise"])
def test_other_scales_have_no_rows(family):
    features, plan = judged_features(simulate_family(family, n_labels=50, seed=1, n_unlabelled=50))
    table = confusion(features, plan, traffic=True)
    assert table.empty
    assert tuple(table.columns) == ESTIMATE_COLUMNS


def test_a_model_compiled_for_other_numbers_is_refused(compiled):
    features, plan = pairs_features(simulate_pairs(**SCENARIOS["A"], n_labels=10, seed=1))
    with pytest.raises(ValueError, match="compiled for 3 models, the criterion has 2"):
        confusion_draws(features, plan.sampling, traffic=True, compiled=compiled)


# Counts


def test_counts_are_those_of_truth_and_verdict():
    truth = np.array([[1, 1], [1, 0], [0, 0], [1, 1], [0, 1], [0, 0]], dtype=float)
    metric = np.array([[1, 0], [0, 0], [1, 1], [1, 1], [NAN, 1], [0, NAN]])
    label = truth.copy()
    label[3:, 1] = NAN
    plan = small_plan()
    counts = verdict_counts(small_features(metric[:, :, None], label, plan), traffic=True)
    np.testing.assert_array_equal(counts["labelled"][0], [[1, 1, 1], [1, 2, 0]])
    np.testing.assert_array_equal(counts["labelled"][1], [[1, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(counts["unlabelled"], [[0, 0], [0, 2]])


def test_unequal_weights_count_as_fewer_and_a_chosen_rest_is_no_sample():
    pairs = simulate_pairs(**SCENARIOS["A"], n_labels=100, seed=1)
    probability = np.where(pairs.metrics[:, 1, 0] == 1, 0.05, 0.5)
    plan = small_plan()
    features = small_features(pairs.metrics.astype(float), pairs_labels(pairs), plan, inclusion_prob=probability)
    counts, weight = verdict_counts(features, traffic=True), 1 / probability[:100]
    assert counts["labelled"].sum(axis=(1, 2)) == pytest.approx([weight.sum() ** 2 / (weight**2).sum()] * 2)
    assert counts["unlabelled"].sum(axis=1) == pytest.approx([1100, 1100])


def test_many_verdicts_are_capped_and_keep_their_share():
    metric = (np.arange(50_000) % 5 > 0)[:, None, None].repeat(2, axis=1).astype(float)
    label = np.full((50_000, 2), NAN)
    label[:50] = 1.0
    counts = verdict_counts(small_features(metric, label, small_plan()), traffic=True)["unlabelled"]
    assert counts.max() == pytest.approx(20_000)
    assert counts[:, 1] / counts.sum(axis=1) == pytest.approx([0.8, 0.8], abs=0.001)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_score_is_cut_where_its_share_is_that_of_the_labels(sign):
    rng = np.random.default_rng(4)
    latent = rng.normal(size=(500, 2))
    label, score = (latent > -0.8).astype(float), sign * (latent + 0.3 * rng.normal(size=latent.shape))
    counts = verdict_counts(small_features(score[:, :, None], label, small_plan()), traffic=True)["labelled"]
    good = counts[:, :, 1].sum(axis=1) / 500
    assert good.mean() == pytest.approx(label.mean(), abs=0.01)
    # Good verdicts are those of good outputs, also where the score runs the other way.
    assert (counts[:, 1, 1] > 0.9 * counts[:, 1].sum(axis=1)).all()


def test_the_module_costs_no_pymc_until_it_samples():
    code = "import sys, migration_kit.confusion; print(any(n in sys.modules for n in ('pymc', 'nutpie', 'arviz')))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
