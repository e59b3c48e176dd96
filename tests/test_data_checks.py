"""Checks of the data: each passes on sound data and fails when what it guards is broken, on every scale."""

import numpy as np
import pytest
from helpers import judged_features, small_data, small_features, small_plan

from migration_kit.data_checks import data_checks, label_counts, label_selection
from migration_kit.features import build_features
from migration_kit.simulate import simulate_family

KINDS, EACH = "enough labels of both kinds", "labels of both kinds for every model"
ORDINAL = {"scale": {"ordinal": [1, 5]}, "margin": 0.2}


def found(features, plan):
    return {check.name: check for check in data_checks(features, plan)}


def failing(features, plan):
    return {name for name, check in found(features, plan).items() if check.passed is False}


def labels_of(kind, n=400):
    rng = np.random.default_rng(0)
    label = (rng.random((n, 2)) < 0.7).astype(float)
    regions = np.resize(["a", "b", "b", "b"], n)
    if kind == "one class":
        label[:] = 1
        label[:9, 0] = 0
    if kind == "thin":
        label[:, 1] = 1
        label[:2, 1] = 0
    if kind == "unseen":
        label[regions == "a"] = np.nan
    if kind == "none":
        label[:] = np.nan
    plan = small_plan(slices=True)
    return small_features(rng.random((n, 2, 1)), label, plan, regions=regions, share={"a": 0.06, "b": 0.94}), plan


@pytest.mark.parametrize(("kind", "expected"), [
    ("sound", set()), ("one class", {KINDS, EACH}), ("thin", {EACH}), ("unseen", {"labels cover traffic"}),
    ("none", {KINDS})])
def test_data_checks(kind, expected):
    features, plan = labels_of(kind)
    assert failing(features, plan) == expected
    blocking = {check.name for check in data_checks(features, plan) if check.blocks and check.passed is False}
    assert blocking == expected - {EACH}
    if kind == "none":
        assert "Nobody has judged an output" in found(features, plan)[KINDS].text


@pytest.mark.parametrize(("role", "blocks"), [("gate", True), ("trade-off", True), ("monitor", False)])
@pytest.mark.parametrize("kind", ["one class", "unseen", "none"])
def test_a_monitor_decides_nothing_so_its_labels_block_nothing(kind, role, blocks):
    features, plan = labels_of(kind)
    plan = plan.model_copy(update={"criteria": tuple(one.model_copy(update={"role": role}) for one in plan.criteria)})
    failed = [check for check in data_checks(features, plan) if check.passed is False and check.name != EACH]
    assert failed and all(check.blocks == blocks for check in failed)
    if kind == "none":
        assert ("nothing can be decided" in failed[0].text) == blocks


def test_label_counts():
    counts = label_counts(labels_of("unseen")[0]).set_index(["model", "slice"])
    assert counts.loc[("old", "a"), ["items", "labels", "commonest", "other"]].tolist() == [100, 0, 0, 0]
    assert counts.loc[("new", "b"), "labels"] == 300 == counts.loc[("new", "b"), ["commonest", "other"]].sum()
    assert 60 < counts.loc[("new", "b"), "other"] < 120


def scale_case(kind, n):
    """Labels of which n differ from the commonest judgment, on one of the scales."""
    label, keys = np.full((60, 2), 0.0), {"scale": kind, "margin": 0.2}
    other = 1.0
    if kind == "ordinal":
        label[:], other, keys = 4.0, 2.0, ORDINAL
    if kind == "at_least":
        label[:], other, keys = 4.0, 2.0, {"scale": {"ordinal": [1, 5]}, "quantity": {"at_least": 4}}
    plan = small_plan(**keys)
    # Spread over both models, so that each has some; of preferences only the candidate is judged.
    for number in range(n):
        label[number, 1 if kind == "pairwise" else number % 2] = other + (number if kind == "continuous" else 0)
    return label, plan


@pytest.mark.parametrize("kind", ["binary", "ordinal", "at_least", "continuous", "pairwise"])
def test_labels_other_than_the_commonest(kind):
    for n, enough in ((9, False), (10, True)):
        label, plan = scale_case(kind, n)
        features = build(label, plan, pairwise=kind == "pairwise")
        name = KINDS if kind in ("binary", "at_least") else "enough labels"
        check = found(features, plan)[name]
        assert check.passed is enough and check.blocks and str(n) in check.text
        each = found(features, plan)[EACH if kind in ("binary", "at_least") else "enough labels for every model"]
        assert each.passed and len(each.table) == (1 if kind == "pairwise" else 2)
        assert label_counts(features)["other"].sum() == n


def build(label, plan, *, pairwise=False):
    rng = np.random.default_rng(0)
    values = rng.random((*label.shape, 1))
    if not pairwise:
        return small_features(values, label, plan)
    data = small_data(values, np.where([False, True], label, np.nan), plan)
    human = data.scores["rater_kind"] == "human"
    data.scores["opponent"] = np.where(human, "old", None)
    return build_features(data, plan, plan.criteria[0].id)


def test_a_continuous_criterion_needs_twenty_labels():
    plan = small_plan(scale="continuous", margin=0.2)
    for n, enough in ((9, False), (10, True)):
        label = np.full((60, 2), np.nan)
        label[:n] = np.random.default_rng(0).normal(size=(n, 2))
        assert found(small_features(label[:, :, None], label, plan), plan)["enough labels"].passed is enough


@pytest.mark.parametrize("family", ["ordinal", "at_least", "normal", "penalty", "pairwise", "raters", "clusters"])
def test_sound_data_of_every_scale_pass(family):
    features, plan = judged_features(simulate_family(family, n_labels=150, seed=4))
    assert failing(features, plan) <= {"raters agree"}
    assert all(check.text.endswith(".") and "nan" not in check.text for check in data_checks(features, plan))


def test_copies_of_one_judgment_count_once():
    # Six bad items, each the same output of both models: twelve labels, six judgments.
    label = np.ones((200, 2))
    label[:6] = 0
    plan = small_plan()
    text = np.full((200, 2), "same", dtype=object)
    features = small_features(np.random.default_rng(0).random((200, 2, 1)), label, plan, text=text)
    check = found(features, plan)[KINDS]
    assert check.passed is False and check.blocks and "stands 6 times" in check.text


@pytest.mark.parametrize("criterion", [{}, ORDINAL, {"scale": "continuous", "margin": 0.5}])
def test_identical_outputs_judged_differently_are_told(criterion):
    rng = np.random.default_rng(0)
    text = np.full((100, 2), "same", dtype=object)
    label = np.repeat((rng.random((100, 1)) < 0.5).astype(float), 2, axis=1)
    plan = small_plan(**criterion)
    low = 1.0 if criterion == ORDINAL else 0.0
    for flipped, ok in ((0, True), (20, False)):
        label[:flipped, 1] = 1 - label[:flipped, 0]
        features = small_features(rng.random((100, 2, 1)), label + low, plan, text=text)
        check = found(features, plan)["identical outputs are judged alike"]
        assert check.passed is ok and f"{flipped}.0%" in check.text
    shaken = label + low + 0.1 * rng.random((100, 2))
    if criterion.get("scale") == "continuous":
        label[:20, 1] = label[:20, 0]
        shaken = label + 0.1 * rng.random((100, 2))
        assert found(small_features(rng.random((100, 2, 1)), shaken, plan, text=text),
                     plan)["identical outputs are judged alike"].passed


def chosen(*, by_metric, inclusion=None, n=600, seed=0, slices=False):
    """Labels on about a quarter of items: at random, or rather where the metric is low."""
    rng = np.random.default_rng(seed)
    regions = np.where(rng.random(n) < 0.3, "a", "b")
    value = rng.normal(size=(n, 2, 1)) + rng.normal(size=(n, 1, 1))
    value += 3.0 * (regions == "a")[:, None, None] if slices else 0.0
    chance = np.where(value[:, 0, 0] < 0, 0.4, 0.1) if by_metric else np.full(n, 0.25)
    if slices:
        chance = np.where(regions == "a", 0.6, 0.1)
    label = np.where((rng.random(n) < chance)[:, None], rng.random((n, 2)) < 0.6, np.nan)
    plan = small_plan(slices=slices)
    return small_features(value, label, plan, regions=regions if slices else None,
                          inclusion_prob=chance if inclusion else None), plan


def test_labels_chosen_by_the_metric_are_told():
    check = found(*chosen(by_metric=True))["labels drawn at random"]
    assert check.passed is False and not check.blocks and "tell the inclusion probabilities" in check.text
    assert check.table.set_index("model").loc["old", "difference"] < -0.2
    told = found(*chosen(by_metric=True, inclusion=True))["labels drawn at random"]
    assert told.passed and told.text.startswith("Items were chosen for judging with probabilities from 10.0% to 40.0%")


def test_a_slice_labelled_more_densely_is_no_selection():
    assert found(*chosen(by_metric=False, slices=True))["labels drawn at random"].passed


def test_labels_at_random_raise_few_alarms():
    assert sum(not found(*chosen(by_metric=False, seed=seed))["labels drawn at random"].passed
               for seed in range(15)) <= 1


def test_the_difference_of_labelled_outputs_is_in_standard_deviations():
    features, _ = chosen(by_metric=True)
    value, label = features["value"].to_numpy()[:, 1, 0], features["label"].to_numpy()[:, 1]
    row = label_selection(features).set_index("model").loc["new"]
    assert row["difference"] == pytest.approx((value[~np.isnan(label)].mean() - value.mean()) / value.std())
    draws = [np.random.default_rng(seed).permutation(value)[:int(row["labelled"])].mean() / value.std()
             for seed in range(1000)]
    assert row["sd"] == pytest.approx(np.std(draws), rel=0.15)


def test_everything_or_nothing_labelled():
    assert found(*labels_of("sound"))["labels drawn at random"].passed is True
    assert found(*labels_of("none"))["labels drawn at random"].passed is None


@pytest.mark.parametrize(("values", "wild"), [
    ("score", -999.0), ("verdict", -999.0), ("rare", None), ("constant", None), ("heavy", None)])
def test_wild_values_of_a_metric(values, wild):
    rng = np.random.default_rng(0)
    value = {"score": rng.normal(70, 10, (200, 2)), "verdict": (rng.random((200, 2)) < 0.5).astype(float),
             "rare": (rng.random((200, 2)) < 0.02).astype(float), "constant": np.ones((200, 2)),
             "heavy": rng.standard_exponential((200, 2))}[values]
    label, plan = (rng.random((200, 2)) < 0.6).astype(float), small_plan()
    if wild is not None:
        assert found(small_features(value[:, :, None], label, plan), plan)["metric values are plausible"].passed
        value[7, 1] = wild
    check = found(small_features(value[:, :, None], label, plan), plan)["metric values are plausible"]
    assert check.passed is (wild is None) and not check.blocks
    if wild is not None:
        assert "1 value of judge" in check.text and "−999, new on item i00007" in check.text


def test_a_candidate_that_never_changes_sides_is_told():
    features, plan = judged_features(simulate_family("pairwise", n_labels=80, seed=1, n_unlabelled=40))

    def sides(one):
        return next(check for check in data_checks(one, plan) if check.name == "candidates change sides")

    assert sides(features).passed
    still = sides(features.assign(judged_side=("judgment", np.full(features.sizes["judgment"], -0.5))))
    assert still.passed is False and still.models == ("new",) and "100.0%" in still.text
    unknown = features.assign(judged_side=("judgment", np.zeros(features.sizes["judgment"])))
    assert all(check.name != "candidates change sides" for check in data_checks(unknown, plan))
