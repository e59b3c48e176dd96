"""What leaves no verdict for want of labels is counted in what further labels are likely to settle."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers import small_data, small_plan
from test_label_plan import drawn, migration, two_regions

from migration_kit import story
from migration_kit.data_checks import data_checks
from migration_kit.features import FEWEST_RARER, build_features
from migration_kit.label_blocks import blocking_checks, further_by_slice, lift_at_random, lifted
from migration_kit.label_design import label_design
from migration_kit.label_prospects import AT_RANDOM, CURVE_SIZES, PLANNED
from migration_kit.label_tasks import task_files
from migration_kit.label_text import labels_text
from migration_kit.plan import Plan

WIDE = {"margin": 0.3}


def told(found, plan):
    return str(story.labels.assurance(found, plan)).replace("\\", "")


def curve_of(found, model="new"):
    mine = found.curve[found.curve["model"] == model]
    return mine.pivot(index="labels", columns="chosen", values=["settled", "switch", "lifted"])


def with_trade_off(plan, data, *, judged):
    """A second criterion that weighs and is no gate, judged by the same labels or by nobody."""
    content = plan.model_dump(by_alias=True)
    first = {name: value for name, value in content["criteria"][0].items() if name not in ("margin", "role")}
    content["criteria"] = [content["criteria"][0], first | {"id": "style", "role": "trade-off", "weight": 1}]
    rows = data.scores if judged else data.scores[data.scores["rater_kind"] != "human"]
    scores = pd.concat([data.scores, rows.assign(criterion="style")], ignore_index=True)
    return Plan.model_validate(content), replace(data, scores=scores)


def test_items_beyond_those_that_are_there_must_be_new():
    plan, data = migration(0.8, 0.8, n=160, labelled=100)
    assert "Only 60 of the items here are left to be judged; what goes beyond must be new ones." in told(
        drawn(plan, data), plan)
    plan, data = migration(0.8, 0.8)
    assert "must be new" not in told(drawn(plan, data), plan)


def test_without_a_block_nothing_is_counted_off_or_told():
    plan, data = migration(0.8, 0.8)
    found = drawn(plan, data)
    assert found.prospects.blocking == {} and (found.curve["lifted"] == 1).all()
    assert "By now there is no verdict" not in told(found, plan)


def test_too_few_labels_of_the_rarer_kind_leave_no_verdict_until_there_are_more():
    plan, data = migration(0.97, 0.97, labelled=60, agree=0.98, **WIDE)
    features = build_features(data, plan, "correct")
    check = next(one for one in data_checks(features, plan) if one.name == "enough labels of both kinds")
    assert check.passed is False and check.blocks
    found = drawn(plan, data)
    gate = found.prospects.gates["new"]["correct"]
    assert gate.probability > 0.99 and found.prospects.verdicts["new"] == "collect"
    curve = curve_of(found)
    assert (curve.loc[0] == 0).all()
    for size in CURVE_SIZES:
        for chosen in (PLANNED, AT_RANDOM):
            odds = curve.loc[size, ("lifted", chosen)]
            # The gate itself is as good as sure: what is left is the check.
            assert curve.loc[size, ("switch", chosen)] == pytest.approx(odds, abs=0.02) and odds < 1
    assert curve["lifted"][PLANNED].is_monotonic_increasing
    assert curve.loc[25, ("lifted", PLANNED)] < 0.5 < curve.loc[400, ("lifted", PLANNED)]
    said = told(found, plan)
    assert "By now there is no verdict but collect. correct: The rarer judgment (0) stands" in said
    assert "After 400 further items, chosen so, that is mended with probability" in said and "`switch`" in said


def test_the_odds_that_a_check_lifts_are_how_often_it_does():
    rng, said, done = np.random.default_rng(4), [], []
    for seed in range(100):
        # Rates as the prior has them, near 0: density ∝ rate^(−1/2).
        rate = 1 - 0.2 * rng.random() ** 2
        plan, data = migration(rate, rate, n=600, labelled=600, seed=seed)
        order = rng.permutation(data.items["item_id"])
        human = data.scores["rater_kind"] == "human"

        def features(n, order=order, data=data, plan=plan, human=human):
            kept = data.scores[~human | data.scores["item_id"].isin(order[:n])]
            return build_features(replace(data, scores=kept), plan, "correct")

        before, passed = features(60), next(iter(data_checks(features(140), plan))).passed
        if not next(iter(data_checks(before, plan))).passed:
            said.append(lifted({"correct": before}, np.array([[80.0]]), criteria=["correct"], models=["new"]))
            done.append(passed)
    assert len(done) > 50 and 0.1 < np.mean(done) < 0.9
    assert np.mean(said) == pytest.approx(np.mean(done), abs=0.08)
    # Where the odds are told to be high it happens more often.
    high = np.array(said) > np.median(said)
    assert np.mean(np.array(done)[high]) > np.mean(np.array(done)[~high])


@pytest.mark.parametrize(("n", "expected"), [(0, 0.0), (2 * FEWEST_RARER, 0.0), (400, 1.0)])
def test_few_labels_cannot_hold_enough_of_the_rarer_kind(n, expected):
    plan, data = migration(0.5, 0.5, labelled=2)
    features = build_features(data, plan, "correct")
    odds = lifted({"correct": features}, np.array([[n / 4]]), criteria=["correct"], models=["new"])
    assert odds == pytest.approx(expected, abs=0.15)
    assert n or odds == 0


def test_numbers_without_levels_need_a_count_too():
    rng = np.random.default_rng(0)
    plan, data = migration(0.5, 0.5, labelled=3, scale="continuous", margin=0.5)
    scores = data.scores.assign(value=rng.normal(size=len(data.scores)))
    features = build_features(replace(data, scores=scores), plan, "correct")
    odds = [lifted({"correct": features}, np.array([[n]]), criteria=["correct"], models=["new"]) for n in (6.0, 20.0)]
    assert odds[0] == 0 and odds[1] > 0.95


def test_a_slice_without_labels_is_covered_by_the_plan_and_hardly_by_chance():
    regions = np.where(np.arange(1000) >= 990, "rare", "usual")
    plan, data = migration(0.7, 0.7, regions=regions, share={"rare": 0.3, "usual": 0.7}, **WIDE)
    found = drawn(plan, data)
    curve = curve_of(found)["lifted"]
    assert (curve.loc[0] == 0).all() and curve.loc[25, PLANNED] == 1
    # 900 items are left: 1 − (1 − 10/900)^25 and so on.
    assert curve.loc[25, AT_RANDOM] == pytest.approx(1 - (1 - 10 / 900) ** 25, abs=0.07)
    assert curve.loc[400, AT_RANDOM] > 0.98
    assert "Slices in which a model has no label hold 30% of traffic" in told(found, plan)


def test_a_candidate_without_labels_in_a_slice_is_held_back_and_no_other():
    regions = two_regions()
    plan, data = migration(0.8, 0.8, 0.3, regions=regions, share={"rare": 0.3, "usual": 0.7})
    rare = set(data.items.loc[data.items["slice"] == "rare", "item_id"])
    lost = data.scores["item_id"].isin(rare) & (data.scores["model"] == "other")
    found = drawn(plan, replace(data, scores=data.scores[~lost | (data.scores["rater_kind"] != "human")]))
    (check,) = (one for one in blocking_checks(build_features(
        replace(data, scores=data.scores[~lost]), plan, "correct"), decides=True) if one.name == "labels cover traffic")
    assert check.passed is False and check.models == ("other",)
    assert check.text == "Slices in which people have not judged other hold 30% of traffic (at most 5%): rare."
    assert not found.prospects.blocking and found.prospects.held_back == {"other": {"correct": [check.text]}}
    assert found.prospects.verdicts["other"] == "collect"
    # It is as bad as can be elsewhere, so it is not asked about.
    assert found.plan.models == ("new",) and (found.curve["lifted"] == 1).all()
    assert "no verdict" not in told(found, plan)
    asked = drawn(plan, replace(data, scores=data.scores[~lost | (data.scores["rater_kind"] != "human")]),
                  models=["new", "other"])
    unknown = "other: it cannot be told yet how many labels settle the verdict."
    assert f"{unknown} correct: {check.text}" in told(asked, plan)


def test_candidates_that_lack_labels_in_different_slices_are_not_summed():
    regions = np.resize(["a", "b", "c"], 1000)
    plan, data = migration(0.8, 0.8, 0.8, regions=regions, share={"a": 0.04, "b": 0.04, "c": 0.92})
    where = data.items.set_index("item_id")["slice"]
    for model, region in (("new", "a"), ("other", "b")):
        lost = (data.scores["rater_kind"] == "human") & (data.scores["model"] == model) & (
            data.scores["item_id"].map(where) == region)
        data = replace(data, scores=data.scores[~lost])
    check = blocking_checks(build_features(data, plan, "correct"), decides=True)[1]
    assert check.passed and check.text == "Slices in which a model has no label hold 4% of traffic (at most 5%): a."


def test_random_labels_lift_a_block_as_often_as_they_reach_the_slice():
    regions = np.where(np.arange(1000) >= 990, "rare", "usual")
    plan, data = migration(0.7, 0.7, regions=regions, share={"rare": 0.3, "usual": 0.7}, **WIDE)
    odds = lift_at_random({"correct": build_features(data, plan, "correct")}, "new", [25, 400, 900], seed=1)
    # 900 items are left: 1 − (1 − 10/900)^25; all of them hold the slice for certain.
    assert odds[25] == pytest.approx(1 - (1 - 10 / 900) ** 25, abs=0.07)
    assert odds[25] < odds[400] <= odds[900] == 1


def test_a_trade_off_that_nobody_judged_blocks_unless_it_is_asked_about():
    plan, data = with_trade_off(*migration(0.8, 0.8, **WIDE), judged=False)
    found = drawn(plan, data)
    assert set(found.prospects.blocking) == {"style"} and found.prospects.verdicts["new"] == "collect"
    assert (found.curve["settled"] == 0).all()
    assert "nobody is asked about style, so they alone lead to no verdict" in told(found, plan)
    asked = drawn(plan, data, criteria=["correct", "style"])
    assert curve_of(asked).loc[400, ("switch", PLANNED)] > 0.8 and "do not mend" not in told(asked, plan)
    assert drawn(*with_trade_off(*migration(0.8, 0.8, **WIDE), judged=True)).prospects.blocking == {}


def test_a_monitor_has_no_say():
    plan, data = with_trade_off(*migration(0.8, 0.8, **WIDE), judged=False)
    content = plan.model_dump(by_alias=True)
    content["criteria"] = [content["criteria"][0], content["criteria"][1] | {"role": "monitor", "weight": 0}]
    assert drawn(Plan.model_validate(content), data).prospects.blocking == {}


def test_a_failed_requirement_ends_it_whatever_checks_say():
    plan, data = migration(0.97, 0.97, labelled=60, agree=0.98, **WIDE)
    models = plan.models.model_dump()
    models["candidates"][0]["facts"] = {"licence": "GPL"}
    licence = {"requirements": [{"id": "licence", "fact": "licence", "equals": "MIT"}], "models": models}
    plan = Plan.model_validate(plan.model_dump(by_alias=True) | licence)
    found = drawn(plan, data)
    assert found.prospects.blocking and found.prospects.verdicts["new"] == "keep"
    assert (curve_of(found)["settled"] == 1).all(axis=None)


@pytest.mark.parametrize("n", [0, 40, 900, 1200])
def test_further_items_are_counted_by_slice(n):
    plan, data = migration(0.8, 0.8, regions=two_regions(), share={"rare": 0.3, "usual": 0.7})
    design = label_design(build_features(data, plan, "correct"), ["new"], n=100)
    planned, at_random = further_by_slice(design, n, n_slices=2, seed=1)
    for new in (planned, at_random):
        assert new.sum(axis=1) == pytest.approx(n)
    free = np.array([180, 720])
    assert at_random.mean(axis=0) == pytest.approx(free * n / 900, abs=3)
    assert n > 900 or (at_random <= free).all()


def test_the_terminal_says_the_same(tmp_path):
    plan, data = migration(0.97, 0.97, labelled=60, agree=0.98, **WIDE)
    found = drawn(plan, data)
    text = labels_text(found, plan, data, wanted=60, tasks=120, files=task_files(tmp_path / "t.csv"),
                       plan_path=tmp_path / "migration.yml")
    assert "By now there is no verdict but collect. correct: The rarer judgment (0) stands" in text
    plan, data = migration(0.8, 0.8)
    text = labels_text(drawn(plan, data), plan, data, wanted=60, tasks=120, files=task_files(tmp_path / "t.csv"),
                       plan_path=tmp_path / "migration.yml")
    assert "no verdict but collect" not in text


def test_live_requests_are_named_only_where_the_plan_has_some(tmp_path):
    plan, data = migration(0.8, 0.8)
    found = drawn(plan, data)
    content = plan.model_dump(by_alias=True)
    content["data"]["live"] = [{"path": "live.csv"}]
    with_live = Plan.model_validate(content)
    files, path = task_files(tmp_path / "t.csv"), tmp_path / "migration.yml"
    for one, said in ((plan, "test set alone"), (with_live, "test set alone, without live requests")):
        text = labels_text(found, one, data, wanted=60, tasks=120, files=files, plan_path=path)
        for where in (told(found, one), text):
            assert said in where and ("live requests" in where) == (one is with_live)


def test_checks_of_several_criteria_must_all_lift():
    plan, data = migration(0.9, 0.9, labelled=20)
    features = build_features(data, plan, "correct")
    one, two = (lifted(dict.fromkeys(names, features), np.array([[40.0]]), criteria=names, models=["new"])
                for names in (["correct"], ["correct", "kind"]))
    assert 0.1 < one < 0.9 and two == pytest.approx(one**2)


def test_fewer_labels_than_both_kinds_need_have_no_odds():
    plan, data = migration(0.5, 0.5, labelled=2)
    features, items = build_features(data, plan, "correct"), FEWEST_RARER - 3
    # Two outputs an item, and four labels by now.
    assert 4 + 2 * items < 2 * FEWEST_RARER
    assert lifted({"correct": features}, np.array([[float(items)]]), criteria=["correct"], models=["new"]) == 0


def test_of_preferences_those_of_the_candidate_alone_are_counted():
    rng = np.random.default_rng(1)
    plan, said = small_plan(scale="pairwise", margin=0.1), np.where(np.arange(40) % 5 < 3, 1.0, -1.0)
    data = small_data(rng.integers(-1, 2, (100, 2, 1)) * 1.0, np.full((100, 2), np.nan), plan)
    label = pd.DataFrame({"item_id": [f"i{n:05d}" for n in range(40)], "model": "new", "criterion": "correct",
                          "rater": "anna", "rater_kind": "human", "value": said, "repeat": "0",
                          "inclusion_prob": np.nan})
    scores = pd.concat([data.scores[data.scores["model"] == "new"], label]).assign(opponent="old", side=None)
    check, _ = blocking_checks(build_features(replace(data, scores=scores), plan, "correct"), decides=True)
    assert f"Judgments other than the commonest (1) stand {(said < 0).sum()} times" in check.text
