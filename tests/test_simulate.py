"""Simulated migrations: the truth they claim is the truth they draw."""

import numpy as np
import pytest

from migration_kit.errors import InputError
from migration_kit.simulate import SCENARIOS, draw_latent, score_rows, simulate_pairs
from migration_kit.simulate.pairs import choose_labels


def wide(rows, name):
    return rows.loc[rows["criterion"].eq(name)].pivot(index="item_id", columns="model", values="value")


def close(found, exact, n):
    """Whether a rate over n outputs lies within 4.5 Monte Carlo standard errors of its exact value."""
    return np.abs(found - exact) < 4.5 * np.sqrt(np.clip(exact * (1 - exact), 1e-4, None) / n)


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenarios_have_the_rates_and_metric_errors_they_state(name):
    scenario, n = SCENARIOS[name], 60_000
    drawn = simulate_pairs(**scenario, n_labels=1000, n_unlabelled=n - 1000, seed=3)
    n_slices, n_models = drawn.slice_quality.shape
    sensitivity, specificity = (per_slice(scenario[key], n_slices) for key in ("sensitivity", "specificity"))
    assert drawn.truth.shape == (n, n_models) and drawn.metrics.shape == (n, n_models, sensitivity.shape[1])
    assert drawn.labelled.sum() == 1000
    np.testing.assert_array_equal(drawn.slice_quality, np.broadcast_to(scenario["quality"], (n_slices, n_models)))
    np.testing.assert_allclose(drawn.quality, drawn.traffic @ drawn.slice_quality)
    for s, m in np.ndindex(n_slices, n_models):
        here = drawn.slice == s
        truth, verdicts = drawn.truth[here, m], drawn.metrics[here, m]
        assert close(here.mean(), drawn.traffic[s], n)
        assert close(truth.mean(), drawn.slice_quality[s, m], here.sum())
        for k, verdict in enumerate(verdicts.T):
            assert close(verdict[truth == 1].mean(), sensitivity[s, k, m], (truth == 1).sum())
            assert close(1 - verdict[truth == 0].mean(), specificity[s, k, m], (truth == 0).sum())


def per_slice(rates, n_slices):
    """Rates of a metric with dims (slice, metric, model), however they are nested."""
    rates = np.array(rates, ndmin=3)
    return np.broadcast_to(rates, (n_slices, *rates.shape[1:]))


def test_the_scenarios_are_those_of_the_benchmark():
    quality = {name: np.atleast_2d(scenario["quality"]) for name, scenario in SCENARIOS.items()}
    assert list(quality) == ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "HJ", "K"]
    gain = quality["G"][:, 1] - quality["G"][:, 0]
    assert gain[:-1] == pytest.approx(np.full(7, 0.04)) and gain[-1] == pytest.approx(0.04 - 0.15)
    assert quality["K"].shape == (1, 6) and np.shape(SCENARIOS["K"]["sensitivity"]) == (3, 6)
    worth = np.mean(SCENARIOS["K"]["sensitivity"], axis=1) + np.mean(SCENARIOS["K"]["specificity"], axis=1)
    assert (np.diff(worth) < -0.1).all()


@pytest.mark.parametrize("name", ["H", "HJ"])
def test_labels_chosen_by_verdict_have_exact_inclusion_probabilities(name):
    runs = [simulate_pairs(**SCENARIOS[name], n_labels=100, seed=seed) for seed in range(200)]
    weighted, plain = [], []
    for drawn in runs:
        doubtful = (drawn.metrics[:, :, 0] == 0).any(axis=1)
        assert drawn.labelled.sum() == 100
        for kind in (doubtful, ~doubtful):
            assert drawn.inclusion_prob[kind] == pytest.approx(drawn.labelled[kind].mean())
        assert 3 < drawn.inclusion_prob[doubtful].mean() / drawn.inclusion_prob[~doubtful].mean() < 5
        known = drawn.truth[drawn.labelled, 1] - drawn.truth[drawn.labelled, 0]
        plain.append(drawn.truth[drawn.labelled, 1].mean())
        weighted.append(np.average(known, weights=1 / drawn.inclusion_prob[drawn.labelled]))
    error = np.std(weighted) / np.sqrt(len(weighted))
    assert np.mean(weighted) == pytest.approx(0.04, abs=4 * error)
    # Taken as if drawn at random, these labels make the candidate look far worse than its 84%.
    assert np.mean(plain) < 0.80


def test_all_items_of_a_kind_may_be_labelled():
    verdicts = np.array([[0, 1]] * 5 + [[1, 1]] * 95)
    labelled, chance = choose_labels(verdicts, 60, times=50.0, rng=np.random.default_rng(1))
    assert labelled[:5].all() and labelled.sum() == 60
    assert chance[:5].tolist() == [1.0] * 5 and chance[5:] == pytest.approx(np.full(95, 55 / 95))


@pytest.mark.parametrize(("name", "shared"), [("C", False), ("J", True)])
def test_only_in_j_both_models_deceive_the_judge_on_the_same_items(name, shared):
    drawn = simulate_pairs(**SCENARIOS[name], n_labels=1000, n_unlabelled=99_000, seed=5)
    both_bad = (drawn.truth == 0).all(axis=1)
    correlation = np.corrcoef(drawn.metrics[both_bad, :, 0].T)[0, 1]
    assert correlation > 0.2 if shared else abs(correlation) < 0.04


def test_latent_difficulty_has_unit_variance_and_the_correlation_asked_for():
    latent, hardness = draw_latent(200_000, 3, rng=np.random.default_rng(1), correlation=0.5)
    correlation = np.corrcoef(latent.T)
    assert latent.std(axis=0) == pytest.approx(np.ones(3), abs=0.01)
    assert correlation[np.triu_indices(3, 1)] == pytest.approx(np.full(3, 0.5), abs=0.01)
    assert np.corrcoef(latent[:, 0], hardness)[0, 1] == pytest.approx(np.sqrt(0.5), abs=0.01)


def test_pairs_take_several_models_and_metrics_and_become_scores():
    drawn = simulate_pairs(
        quality=(0.8, 0.7, 0.9),
        sensitivity=((0.9, 0.9, 0.9), (0.6, 0.6, 0.6)),
        specificity=((0.8, 0.8, 0.8), (0.5, 0.5, 0.5)),
        n_labels=20,
        n_unlabelled=80,
        seed=1,
    )
    assert drawn.metrics.shape == (100, 3, 2)
    item_id = np.array([f"i{k}" for k in range(100)])
    rows = score_rows(
        item_id, ["a", "b", "c"], drawn.metrics[:, :, 1], criterion="correct", rater="j", rater_kind="judge"
    )
    table = wide(rows, "correct").loc[item_id]
    np.testing.assert_array_equal(table.to_numpy(), drawn.metrics[:, :, 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quality": (0.8, 1.0)}, "quality"),
        ({"sensitivity": (0.9,)}, "sensitivity.*2 models"),
        ({"specificity": (0, 1)}, "specificity"),
        ({"quality": [(0.8, 0.8), (0.8, 0.0)]}, "quality"),
        ({"sensitivity": [[(0.9, 0.9)], [(0.9, 1.1)]]}, "sensitivity"),
    ],
)
def test_impossible_scenarios_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        simulate_pairs(**{**SCENARIOS["A"], **change}, n_labels=10, seed=1)
