"""Features of the calibration: item ease, standardising, rotation, missing values, identical outputs, labels."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import MODELS, judged_data, judged_features, pairs_features, small_data, small_features, small_plan

from migration_kit.data import load_data
from migration_kit.features import build_features, identical_outputs, label_strata
from migration_kit.judgments import keep_labels, label_rows, share_labels
from migration_kit.metric_features import bend, bent_metrics, item_ease, rotate
from migration_kit.plan import load_plan
from migration_kit.simulate import SCENARIOS, simulate_family, simulate_pairs

NAN = np.nan


def random_metrics(n_items=40, n_models=2, n_metrics=2, seed=1):
    """Correlated scores, dims (item, model, metric), without a missing one."""
    rng = np.random.default_rng(seed)
    shared = rng.standard_normal((n_items, 1, 1))
    return shared + rng.standard_normal((n_items, n_models, n_metrics))


def no_labels(values):
    return np.full(values.shape[:2], NAN)


def standardised(values):
    return (values - values.mean()) / values.std()


def restored(features):
    """The standardised features by name, turned back from the components."""
    x = features["x"].to_numpy() @ features["rotation"].to_numpy().T
    return dict(zip(features["feature"].to_numpy().tolist(), np.moveaxis(x, -1, 0), strict=True))


def test_item_ease_is_the_mean_over_the_other_models_on_the_item():
    metric = np.array([[1.0, 2.0, 6.0], [1.0, NAN, 3.0], [NAN, NAN, 5.0]])
    expected = np.array([[4.0, 3.5, 1.5], [3.0, 2.0, 1.0], [5.0, 5.0, NAN]])
    np.testing.assert_allclose(item_ease(metric), expected)


def test_features_are_standardised_metrics_and_item_ease():
    values = random_metrics()
    features = small_features(values, no_labels(values), small_plan(metrics=("judge", "words")))
    found = restored(features)
    assert list(found) == ["judge", "judge: other models on the item", "words", "words: other models on the item"]
    for number, name in enumerate(("judge", "words")):
        np.testing.assert_allclose(found[name], standardised(values[:, :, number]), atol=1e-12)
        # With two models the ease of an item is what the metric says of the other output.
        ease = standardised(values[:, ::-1, number])
        np.testing.assert_allclose(found[f"{name}: other models on the item"], ease, atol=1e-12)


def test_components_are_uncorrelated_and_turn_back_into_features():
    values = random_metrics()
    features = small_features(values, no_labels(values), small_plan(metrics=("judge", "words")))
    x = features["x"].to_numpy().reshape(-1, features.sizes["component"])
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-12)
    cross = x.T @ x / len(x)
    np.testing.assert_allclose(cross, np.diag(np.diag(cross)), atol=1e-12)
    assert features.sizes["component"] == 4
    rotation = features["rotation"].to_numpy()
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(4), atol=1e-12)


def test_rotation_keeps_what_a_regression_predicts():
    values = np.random.default_rng(3).standard_normal((30, 2, 3))
    x, rotation = rotate(values)
    coefficients = np.array([0.5, -1.0, 2.0])
    np.testing.assert_allclose(x @ coefficients, values @ (rotation @ coefficients), atol=1e-12)


def test_a_constant_and_a_duplicated_metric_add_no_component():
    values = random_metrics(n_metrics=1)
    alone = small_features(values, no_labels(values), small_plan())
    more = np.concatenate([values, values, np.ones_like(values)], axis=-1)
    features = small_features(more, no_labels(more), small_plan(metrics=("judge", "twin", "constant")))
    assert features.sizes["component"] == alone.sizes["component"] == 2
    assert not any("constant" in name for name in features["feature"].to_numpy())
    found = restored(features)
    np.testing.assert_allclose(found["judge"], found["twin"], atol=1e-6)
    np.testing.assert_allclose(found["judge"], standardised(values[:, :, 0]), atol=1e-6)


def test_metrics_without_any_spread_say_nothing():
    values = np.ones((10, 2, 1))
    features = small_features(values, no_labels(values), small_plan())
    assert not features["x"].to_numpy().any()
    assert features["rotation"].sizes["feature"] == 1


def test_missing_values_are_average_and_told_by_an_indicator():
    values = random_metrics()
    values[:4, 1, 0] = NAN
    features = small_features(values, no_labels(values), small_plan(metrics=("judge", "words")))
    found = restored(features)
    np.testing.assert_allclose(found["judge"][:4, 1], 0, atol=1e-9)
    assert "judge: missing" in found
    assert "words: missing" not in found
    missing = np.isnan(values[:, :, 0])
    np.testing.assert_allclose(found["judge: missing"], standardised(missing.astype(float)), atol=1e-9)
    assert features["present"].to_numpy().all()


def test_few_missing_values_need_no_indicator():
    values = random_metrics(n_items=100)
    values[0, 0, 0] = NAN
    features = small_features(values, no_labels(values), small_plan(metrics=("judge", "words")))
    assert "judge: missing" not in features["feature"].to_numpy()


def test_an_output_without_any_metric_is_not_present():
    values = random_metrics()
    values[5, 1] = NAN
    features = small_features(values, no_labels(values), small_plan(metrics=("judge", "words")))
    expected = np.ones((40, 2), dtype=bool)
    expected[5, 1] = False
    np.testing.assert_array_equal(features["present"], expected)
    np.testing.assert_array_equal(features["value"], values)
    # Missing because there is no output: that is no property of the metric.
    assert not any("missing" in name for name in features["feature"].to_numpy())


def test_labels_slices_traffic_and_inclusion_stand_where_they_belong():
    values = random_metrics(n_items=6, n_metrics=1)
    label = np.array([[1, 0], [NAN, NAN], [0, NAN], [NAN, 1], [1, 1], [NAN, NAN]])
    plan = small_plan(slices=True)
    features = small_features(
        values, label, plan, regions=np.array(["b", "a", "b", "a", "a", "a"]), share={"a": 0.9, "b": 0.1},
        inclusion_prob=np.array([0.5, 1, 0.25, 0.5, 0.5, 1]))
    np.testing.assert_array_equal(features["label"], label)
    assert features["slice"].to_numpy()[features["slice_index"].to_numpy()].tolist() == list("babaaa")
    np.testing.assert_allclose(features["share"].sel(slice=["a", "b"]), [0.9, 0.1])
    assert np.isnan(features["count"]).all()
    np.testing.assert_allclose(features["inclusion_prob"], [0.5, 1, 0.25, 0.5, 0.5, 1])
    assert features["model"].to_numpy().tolist() == ["old", "new"]
    rows = label_rows(features)
    np.testing.assert_array_equal(rows["y"], [1, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(rows["output"], [[0, 0], [0, 1], [2, 0], [3, 1], [4, 0], [4, 1]])
    np.testing.assert_array_equal(rows["item_index"], [0, 0, 1, 2, 3, 3])
    np.testing.assert_allclose(rows["x"], [features["x"].to_numpy()[item, model] for item, model in rows["output"]])
    np.testing.assert_array_equal(rows["slice_index"], features["slice_index"].to_numpy()[[0, 0, 2, 3, 4, 4]])


def test_covariates_of_outputs_and_of_items_are_features():
    values, rng = random_metrics(n_metrics=1), np.random.default_rng(2)
    plan = small_plan(covariates=["chars", "turns"])
    chars, turns = rng.random((40, 2)), rng.random(40)
    data = small_data(values, no_labels(values), plan, covariates={"chars": chars})
    features = build_features(replace(data, items=data.items.assign(turns=turns)), plan, "correct")
    found = restored(features)
    np.testing.assert_allclose(found["chars"], standardised(chars), atol=1e-9)
    np.testing.assert_allclose(found["turns"], standardised(np.repeat(turns[:, None], 2, axis=1)), atol=1e-9)


@pytest.fixture
def twins():
    """Six items of three models: what they answered, judged and unjudged."""
    text = np.array([
        ["yes", "Yes ", "no"],       # two alike but for case and space
        ["a", "b", "c"],             # all differ
        ["same", "same", "same"],
        ["x", "x", "y"],             # alike, and people disagreed
        ["gone", None, "gone"],      # one model gave no output
        [None, None, "alone"],
    ], dtype=object)
    label = np.array([
        [1, NAN, 0], [1, NAN, NAN], [NAN, 0, 0], [1, 0, NAN], [NAN, NAN, 1], [NAN, NAN, NAN]])
    values = np.random.default_rng(4).standard_normal((6, 3, 1))
    values[4, 1], values[5, :2] = NAN, NAN
    return small_features(values, label, small_plan(models=MODELS[:3]), text=text)


def test_identical_outputs_pool_their_models(twins):
    pool = twins["pool"].to_numpy()
    np.testing.assert_allclose(pool.sum(axis=2), 1)
    np.testing.assert_allclose(pool[0], [[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]])
    np.testing.assert_allclose(pool[1], np.eye(3))
    np.testing.assert_allclose(pool[2], 1 / 3)
    np.testing.assert_allclose(pool[4], [[0.5, 0, 0.5], [0, 1, 0], [0.5, 0, 0.5]])
    np.testing.assert_allclose(pool[5], np.eye(3))


def test_identical_outputs_share_labels_and_features(twins):
    expected = np.array([[1, 1, 0], [1, NAN, NAN], [0, 0, 0], [1, 0, NAN], [1, NAN, 1], [NAN, NAN, NAN]])
    np.testing.assert_array_equal(twins["label"], expected)
    x = twins["x"].to_numpy()
    np.testing.assert_allclose(x[0, 0], x[0, 1])
    np.testing.assert_allclose(x[2, 0], x[2, 2])
    assert not np.allclose(x[1, 0], x[1, 1])
    assert "models with the identical output" in twins["feature"].to_numpy()


def test_rows_hold_identical_outputs_once_unless_people_disagreed(twins):
    rows = label_rows(twins)
    np.testing.assert_array_equal(
        rows["output"], [[0, 0], [0, 2], [1, 0], [2, 1], [3, 0], [3, 1], [4, 2]])
    np.testing.assert_array_equal(rows["y"], [1, 0, 1, 0, 1, 0, 1])
    np.testing.assert_array_equal(rows["item_index"], [0, 0, 1, 2, 3, 3, 4])
    np.testing.assert_allclose(rows["pool"].sum("model"), 1)


def test_without_texts_no_output_is_taken_for_another():
    values = random_metrics(n_metrics=1)
    plan = small_plan()
    data = small_data(values, no_labels(values), plan)
    pool = identical_outputs(data, data.items["item_id"].to_numpy(), list(plan.model_ids))
    np.testing.assert_array_equal(pool, np.broadcast_to(np.eye(2), (40, 2, 2)))


def test_a_judgment_is_never_replaced_by_that_of_a_twin():
    label = np.array([[1.0, 0.0, NAN]])
    shared = share_labels(label, np.full((1, 3, 3), 1 / 3), whole=True)
    np.testing.assert_array_equal(shared[0, :2], [1, 0])
    assert shared[0, 2] in (0, 1)


def test_features_of_a_plan_read_from_files(tiny_plan):
    plan = load_plan(tiny_plan)
    features = build_features(load_data(plan), plan, "correct")
    assert dict(features.sizes) | {"component": 0} == {
        "judgment": 30, "rater": 1, "group": 0, "item": 12, "model": 3, "metric": 2, "component": 0, "feature": 4,
        "peer": 3, "slice": 2}
    told = {"criterion": "correct", "kind": "binary", "better": "higher", "primary_metric": "judge-x", "uneven": 0}
    assert told.items() <= features.attrs.items()
    assert int(features["label"].notnull().sum()) == 30
    np.testing.assert_allclose(features["share"].sel(slice=["amer", "emea"]), [0.4, 0.6])
    np.testing.assert_array_equal(features["value"].sel(item="q02", metric="exact_match"), [1, 1, 0])
    np.testing.assert_array_equal(features["label"].sel(item="q04"), [1, 1, 0])


def test_an_absent_output_is_like_the_others_on_its_item():
    # The third model gave no output where the others fail; elsewhere all metrics are 1 but for a little noise.
    values = np.ones((60, 3, 1))
    values[:20, :2] = 0
    values[50:, 2] = 0
    label = np.where(np.arange(60)[:, None] < 40, values[:, :, 0], np.nan)
    values[:20, 2] = np.nan
    label[:20, 2] = np.nan
    plan = small_plan(models=MODELS[:3])
    features = small_features(values, label, plan)
    judge = features["x"].to_numpy() @ features["rotation"].sel(feature="judge").to_numpy()
    np.testing.assert_allclose(judge[:20, 2], judge[:20, 0])
    assert (judge[:20, 2] < judge[30, 2]).all()
    assert not features["present"].to_numpy()[:20, 2].any()


def test_preferences_are_seen_from_the_candidate_against_an_incumbent_at_zero():
    drawn = simulate_family("pairwise", n_labels=60, seed=1, n_unlabelled=40)
    features, _ = judged_features(drawn)
    label, value = features["label"].to_numpy(), features["value"].to_numpy()
    np.testing.assert_array_equal(label[:60], np.column_stack([np.zeros(60), drawn.judgments[:60, 1, 0]]))
    assert np.isnan(label[60:]).all()
    np.testing.assert_array_equal(value[:, 0], 0)
    np.testing.assert_array_equal(value[:, 1, 0], drawn.metrics[:, 1, 0])
    np.testing.assert_allclose(value[:, 1, 1], drawn.metrics[:, 1, 1] - drawn.metrics[:, 0, 1])
    np.testing.assert_array_equal(features["x"][:, 0], 0)
    assert "judge: side" in features["feature"].to_numpy() and "judge_2: side" not in features["feature"].to_numpy()
    # Not centred: an item without any difference in metrics has no feature.
    rows = label_rows(features)
    np.testing.assert_array_equal(rows["side"], drawn.side[:60, 1, 0])
    np.testing.assert_array_equal(rows["level"], drawn.judgments[:60, 1, 0] + 1)


def test_several_raters_stay_rows_and_their_mean_is_the_label():
    drawn = simulate_family("raters", n_labels=40, seed=2, n_unlabelled=20)
    features, _ = judged_features(drawn)
    used = np.where(drawn.labelled[:, None, :], drawn.judgments, np.nan)[:40]
    np.testing.assert_allclose(features["label"][:40], np.nanmean(used, axis=2))
    rows = label_rows(features)
    assert rows.sizes["row"] == np.isfinite(used).sum() == features.sizes["judgment"]
    several = np.isfinite(used).sum(axis=2) > 1
    assert int(rows["output_index"].max()) + 1 == several.sum()
    assert (rows["output_index"] >= 0).sum() == np.isfinite(used).sum(axis=2)[several].sum()
    assert list(features["rater"].to_numpy()) == [f"rater_{n}" for n in range(1, 6)]


def test_a_share_at_or_above_a_level_counts_judgments_as_0_or_1():
    drawn = simulate_family("at_least", n_labels=40, seed=2, n_unlabelled=20)
    features, _ = judged_features(drawn)
    np.testing.assert_array_equal(features["label"][:40], drawn.judgments[:40, :, 0] >= 4)
    np.testing.assert_array_equal(features["judged_level"], drawn.judgments[:40, :, 0].ravel() - 1)


def test_hiding_labels_hides_their_judgments_and_nothing_else():
    features, _ = judged_features(simulate_family("pairwise", n_labels=60, seed=1, n_unlabelled=40))
    kept = keep_labels(features, np.arange(100) < 10)
    assert kept.sizes["judgment"] == 10 and int(kept["label"].notnull().sum()) == 20
    np.testing.assert_array_equal(kept["x"], features["x"])
    outputs = np.zeros((100, 2), dtype=bool)
    outputs[5, 1] = True
    assert keep_labels(features, outputs)["label"].notnull().sum("item").to_numpy().tolist() == [1, 1]


def test_strata_tell_the_own_verdict_and_the_other_models():
    primary = np.array([[1.0, 1], [1, 0], [0, 1], [0, 0], [1, 1]])
    strata = label_strata(primary, pairwise=False)
    assert strata[0, 0] == strata[0, 1] == strata[4, 0] and len(np.unique(strata)) == 4
    assert strata[1, 0] == strata[2, 1] != strata[1, 1]


def test_uneven_inclusion_is_noticed():
    plan = small_plan()
    values, label = np.ones((6, 2, 1)), np.ones((6, 2))
    values[:3] = label[:3] = 0
    even = small_features(values, label, plan, inclusion_prob=np.full(6, 0.2))
    uneven = small_features(values, label, plan, inclusion_prob=np.array([0.2, 0.2, 0.2, 0.1, 0.1, 0.1]))
    assert (even.attrs["uneven"], uneven.attrs["uneven"]) == (0, 1)
    np.testing.assert_allclose(uneven["inclusion_prob"], [0.2, 0.2, 0.2, 0.1, 0.1, 0.1])


def test_items_of_a_cluster_and_crossed_slices_are_numbered():
    drawn = simulate_family("clusters", n_labels=40, seed=2, n_unlabelled=20)
    plan = small_plan(metrics=["judge", "judge_2", "judge_3"], slices=True)
    data = judged_data(drawn, plan)
    crossed = plan.model_copy(update={"slices": ("region", "half")})
    half = np.where(np.arange(60) < 30, "first", "second")
    items = data.items.assign(half=half, slice=data.items["region"] + " · " + half)
    names, counts = np.unique(items["slice"], return_counts=True)
    traffic = data.traffic.iloc[:0].reindex(range(len(names))).assign(slice=names, share=counts / 60, count=counts)
    features = build_features(replace(data, items=items, traffic=traffic), crossed, "correct")
    assert features.attrs["clustered"] == 1
    same = features["cluster"].to_numpy()
    assert (same[:, None] == same).sum() == (drawn.cluster[:, None] == drawn.cluster).sum()
    groups = features["slice_group"].to_numpy()
    assert groups.shape[1] == len(data.traffic) + 2 and (groups.sum(axis=1) == 2).all()


def test_a_bend_is_given_where_labels_ask_for_it():
    features, _ = judged_features(simulate_family("bend", n_labels=300, seed=4))
    assert features.attrs["bends"] == ["judge"] and "judge: bend" in features["feature"].to_numpy()
    rng, wrong = np.random.default_rng(5), 0
    for _ in range(400):
        item, own = rng.normal(size=(100, 1)), rng.normal(size=(100, 2))
        score = item + own
        # Linear, with an error that the models of an item share.
        label = score + rng.normal(size=(100, 1)) + 0.3 * rng.normal(size=(100, 2))
        wrong += bool(bent_metrics(score[:, :, None], label, ("score",)))
    assert wrong <= 12, "more than 3% of straight metrics were bent"
    assert bent_metrics(np.ones((50, 2, 1)), np.ones((50, 2)), ("flat",)) == ()
    values = np.linspace(-4, 4, 9)
    assert (np.diff(bend(values)) > 0).all() and np.isnan(bend(np.array([np.nan, 1.0, 2.0]))[0])


def test_one_wild_value_does_not_flatten_a_metric():
    values = np.random.default_rng(0).normal(size=(50, 2, 1))
    plan, label = small_plan(), np.ones((50, 2))
    values[7, 1, 0] = 1e12
    feature = small_features(values, label, plan)
    assert np.abs(feature["x"]).max() < 12 and float(feature["value"].max()) == 1e12


def test_a_constant_and_a_doubled_metric_add_nothing():
    pairs = simulate_pairs(**SCENARIOS["A"], n_labels=30, seed=1, n_unlabelled=50)
    alone, _ = pairs_features(pairs)
    judge = pairs.metrics
    doubled = replace(pairs, metrics=np.concatenate([judge, judge, np.ones_like(judge)], axis=-1))
    more, _ = pairs_features(doubled)
    assert more.sizes["component"] == alone.sizes["component"]
    inner = [np.einsum("imk,jnk->imjn", one["x"].to_numpy(), one["x"].to_numpy()) for one in (alone, more)]
    np.testing.assert_allclose(inner[1], 2 * inner[0], atol=1e-9)
