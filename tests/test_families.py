"""Simulated families: the quality they state is the mean of what people would say."""

import numpy as np
import pandas as pd
import pytest

from migration_kit.errors import InputError
from migration_kit.simulate import FAMILIES, judged_rows, simulate_family

MANY = 200_000
SINGLE = [name for name in FAMILIES if not name.startswith("raters")]


def score(drawn):
    """Judgments on the score scale, dims (item, model, rater); the incumbent of a preference is 0."""
    quantity = drawn.criterion.get("quantity", "mean")
    if quantity != "mean":
        return (drawn.judgments >= quantity["at_least"]).astype(float)
    return np.nan_to_num(drawn.judgments) if drawn.criterion["scale"] == "pairwise" else drawn.judgments


def large(name, seed=11, **design):
    rng = np.random.default_rng(seed)
    slices = rng.choice(3, size=MANY, p=[0.5, 0.3, 0.2])
    return FAMILIES[name](slices, np.arange(MANY) < 100, rng, **design)


@pytest.mark.parametrize("name", SINGLE)
def test_the_mean_judgment_in_every_slice_is_the_stated_quality(name):
    # Shown on either side in turn, a net win rate is a little below that of a neutral display.
    drawn = large(name, **({"side_effect": 0.0} if name == "pairwise" else {}))
    values = score(drawn)[:, :, 0]
    for s in range(3):
        here = drawn.slices == s
        error = values[here] - drawn.slice_quality[:, s]
        by_cluster = pd.DataFrame(error).groupby(drawn.cluster[here]).sum().to_numpy()
        assert (np.abs(error.sum(axis=0)) <= 4.5 * np.sqrt((by_cluster**2).sum(axis=0))).all()
    assert drawn.quality == pytest.approx(drawn.slice_quality @ [0.5, 0.3, 0.2])


@pytest.mark.parametrize("name", ["raters", "raters_binary"])
def test_quality_is_that_of_a_rater_drawn_at_random(name):
    rng = np.random.default_rng(4)
    n, n_raters = 8000, 500
    drawn = FAMILIES[name](np.zeros(n, int), np.arange(n) < 100, rng, n_raters=n_raters)
    values = score(drawn)
    item, rater = values.mean(axis=2), values.mean(axis=0)
    spread = np.sqrt(item.var(axis=0) / n + rater.var(axis=1) / n_raters)
    assert (np.abs(values.mean(axis=(0, 2)) - drawn.slice_quality[:, 0]) < 4.5 * spread).all()


@pytest.mark.parametrize("name", FAMILIES)
def test_shapes_agree_and_equal_seeds_draw_equal_arrays(name):
    drawn, again = (simulate_family(name, n_labels=60, n_unlabelled=40, seed=2) for _ in range(2))
    other = simulate_family(name, n_labels=60, n_unlabelled=40, seed=3)
    n_raters, n_metrics = drawn.judgments.shape[2], drawn.metrics.shape[2]
    assert drawn.judgments.shape == drawn.side.shape == (100, 2, n_raters)
    assert drawn.metrics.shape == drawn.metric_side.shape == (100, 2, n_metrics)
    assert drawn.labelled.shape == (100, n_raters) and drawn.slice_quality.shape == (2, 3)
    assert drawn.labelled[:60].any(axis=1).all() and not drawn.labelled[60:].any()
    np.testing.assert_array_equal(drawn.judgments, again.judgments)
    np.testing.assert_array_equal(drawn.metrics, again.metrics)
    assert not np.array_equal(drawn.metrics, other.metrics, equal_nan=True)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "pairwise"])
def test_models_share_hard_items_and_some_metric_tells_of_quality(name):
    drawn = simulate_family(name, n_labels=100, n_unlabelled=20_000, seed=1)
    values = score(drawn)[:, :, 0]
    assert np.corrcoef(values.T)[0, 1] > 0.1
    assert max(np.corrcoef(values[:, 1], drawn.metrics[:, 1, k])[0, 1] for k in range(drawn.metrics.shape[2])) > 0.3


def test_half_of_the_penalties_are_0_and_the_rest_are_skewed():
    values = large("penalty").judgments[:, 0, 0]
    assert values.max() == 0 and 0.4 < (values == 0).mean() < 0.6
    assert values.mean() < np.median(values) - 1


def test_people_and_the_judge_lean_to_one_side_and_the_incumbent_has_no_row():
    drawn = large("pairwise")
    for values, side in ((drawn.judgments, drawn.side), (drawn.metrics, drawn.metric_side)):
        assert np.isnan(values[:, 0, 0]).all() and set(np.unique(values[:, 1, 0])) == {-1, 0, 1}
        assert set(np.unique(side[:, 1, 0])) == {-0.5, 0.5} and not side[:, 0].any()
        right = side[:, 1, 0] > 0
        assert values[right, 1, 0].mean() - values[~right, 1, 0].mean() > 0.1
    assert drawn.slice_quality[0].tolist() == [0, 0, 0]
    assert np.corrcoef(drawn.judgments[:, 1, 0], drawn.metrics[:, 1, 1] - drawn.metrics[:, 0, 1])[0, 1] > 0.3


def test_some_outputs_have_three_raters_who_differ_in_severity_and_agree_more_than_their_metrics_say():
    drawn = simulate_family("raters", n_labels=20_000, n_unlabelled=0, seed=8)
    asked = drawn.labelled.sum(axis=1)
    assert set(asked) == {1, 3} and asked.mean() == pytest.approx(1.8, abs=0.05)
    assert drawn.labelled.mean(axis=0) == pytest.approx(np.full(5, 0.36), abs=0.02)
    assert np.ptp(drawn.judgments.mean(axis=(0, 1))) > 0.1
    told = np.column_stack([drawn.metrics[:, 0], np.ones(20_000)])
    rest = drawn.judgments[:, 0] - told @ np.linalg.lstsq(told, drawn.judgments[:, 0])[0]
    assert np.corrcoef(rest.T)[np.triu_indices(5, 1)].min() > 0.2


def test_items_of_a_cluster_resemble_each_other_more_for_one_model_than_across_models():
    drawn = large("whole_clusters")
    sizes = np.bincount(drawn.cluster)
    assert sizes[:-1].min() == 3 and sizes.max() == 7
    assert (pd.Series(drawn.slices).groupby(drawn.cluster).nunique() == 1).all()
    neighbours = drawn.cluster[1:] == drawn.cluster[:-1]
    first, second = drawn.judgments[:-1, :, 0][neighbours], drawn.judgments[1:, :, 0][neighbours]
    same, across = np.corrcoef(first[:, 0], second[:, 0])[0, 1], np.corrcoef(first[:, 0], second[:, 1])[0, 1]
    assert same > across + 0.02 and across > 0.05
    assert len(np.unique(drawn.cluster[:100])) < 30 < 80 < len(np.unique(large("clusters").cluster[:100]))


def test_three_metrics_of_fifteen_are_useful():
    drawn = large("many_metrics")
    truth = drawn.judgments[:, 1, 0]
    tells = np.array([np.corrcoef(truth, drawn.metrics[:, 1, k])[0, 1] for k in range(15)])
    assert (tells[:3] > 0.3).all() and (np.abs(tells[3:]) < 0.02).all()
    assert np.corrcoef(drawn.metrics[:, 0, 4], drawn.metrics[:, 0, 6])[0, 1] > 0.3


def test_the_true_rate_rises_with_the_score_and_then_falls():
    drawn = large("bend")
    good, value = drawn.judgments[:, :, 0].ravel(), drawn.metrics[:, :, 0].ravel()
    low, top, high = (good[np.abs(value - at) < 0.1].mean() for at in (-1.5, 0, 1.5))
    assert low < 0.3 and top > 0.75 and high < top - 0.2


@pytest.mark.parametrize("name", FAMILIES)
def test_rows_hold_the_labels_and_all_metrics(name):
    drawn = simulate_family(name, n_labels=30, n_unlabelled=20, seed=5)
    metrics = [f"m{k}" for k in range(drawn.metrics.shape[2])]
    rows = judged_rows(drawn, models=["old", "new"], metrics=metrics, criterion="c")
    compared, models = drawn.criterion["scale"] == "pairwise", ["new"] if name == "pairwise" else ["old", "new"]
    human = rows[rows["rater_kind"] == "human"]
    assert len(human) == drawn.labelled.sum() * len(models)
    for row in human.sample(20, random_state=1).itertuples():
        item, rater = int(row.item_id[1:]), int(row.rater[-1]) - 1
        m = ["old", "new"].index(row.model)
        assert row.value == drawn.judgments[item, m, rater] and drawn.labelled[item, rater]
        if compared:
            assert row.opponent == "old" and row.side == {-0.5: "left", 0.5: "right"}[drawn.side[item, m, rater]]
    assert rows.groupby("rater").size()[metrics].tolist() == [50 if p else 100 for p in drawn.preference]
    assert ("opponent" in rows) == compared
    every = judged_rows(drawn, models=["old", "new"], metrics=metrics, criterion="c", everything=True)
    assert (every["rater_kind"] == "human").sum() == 50 * len(models) * drawn.labelled.shape[1]


def test_unknown_families_are_refused():
    with pytest.raises(InputError, match=r"family 'ordnal'.*ordinal, at_least"):
        simulate_family("ordnal", n_labels=10, seed=1)
    with pytest.raises(InputError, match="n_labels 0"):
        simulate_family("ordinal", n_labels=0, seed=1)
