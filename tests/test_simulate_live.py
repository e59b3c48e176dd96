"""Live requests of the support assistant: their truth is the truth they draw, and they show what they are meant to."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from migration_kit.data import load_data
from migration_kit.features import build_features
from migration_kit.plan import load_plan
from migration_kit.shadow import shadow_data
from migration_kit.simulate import (
    SUPPORT_CANARY,
    SUPPORT_DRIFT,
    SUPPORT_METRICS,
    SUPPORT_MODELS,
    SUPPORT_REGIONS,
    SUPPORT_SHADOW,
    live_rates,
    outcome_rates,
    simulate_support,
    support_live,
    support_rates,
)

SUPPORT = Path(__file__).parents[1] / "data" / "support"
ATLAS, EMBER, FJORD = SUPPORT_SHADOW.models
REGIONS = SUPPORT_REGIONS.index


@pytest.fixture(scope="module")
def large():
    """Many live requests: 20,000 in the shadow, all judged, 8,000 users a day, 2,000 frozen items."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(support_live, "SUPPORT_SHADOW", replace(SUPPORT_SHADOW, requests=20_000, labels=20_000,
                                                              frozen=2000))
        patch.setattr(support_live, "SUPPORT_CANARY", replace(SUPPORT_CANARY, users_a_day=8000,
                                                              steps=((0.25, 5), (0.5, 9))))
        return simulate_support(7)


@pytest.fixture(scope="module")
def data():
    plan = load_plan(SUPPORT / "migration.yml")
    return load_data(plan), plan


def stage(drawn, name, **fixed):
    rows = drawn.live[drawn.live["stage"] == name]
    return rows[np.logical_and.reduce([rows[column] == value for column, value in fixed.items()], axis=0)
                if fixed else slice(None)]


def test_shadow_rates_are_those_stated_in_every_region(large):
    rates = live_rates(support_rates())
    for criterion in rates:
        found = stage(large, "shadow", criterion=criterion, rater_kind="human")
        found = found.groupby(["model", "region"])["value"].agg(["mean", "size"])
        assert len(found) == 18
        for (model, region), row in found.iterrows():
            exact = rates[criterion][SUPPORT_MODELS.index.get_loc(model), REGIONS.get_loc(region)]
            error = np.sqrt(exact * (1 - exact) / row["size"])
            assert abs(row["mean"] - exact) < 4.5 * error, (criterion, model, region)


def test_users_do_what_is_stated_in_every_region(large):
    exact, users = outcome_rates(), stage(large, "canary")
    first = users.drop_duplicates("user").groupby(["model", "region"]).size()
    for name, outcome in (("resolved", "resolved"), ("thumbs_up_said", "thumbs_up")):
        found = users[users["criterion"] == outcome].groupby(["model", "region"])["value"].agg(["mean", "size"])
        assert len(found) == 12
        for number, model in enumerate((ATLAS, EMBER)):
            for place, region in enumerate(REGIONS):
                rate, row = exact[name][number, place], found.loc[model, region]
                # Two requests of a user resemble each other, a little.
                assert abs(row["mean"] - rate) < 5 * np.sqrt(rate * (1 - rate) / row["size"]), (name, model, region)
                if outcome == "thumbs_up":
                    answer, n = exact["response"][number, place], first[model, region]
                    assert abs(row["size"] / n - answer) < 4.5 * np.sqrt(answer * (1 - answer) / n), (model, region)
    seconds = users[users["criterion"] == "latency"].groupby("model")["value"].agg(["mean", "sem", "max"])
    truth = large.live_truth.query("criterion == 'latency'").set_index("model")["value"]
    assert (abs(seconds["mean"] - truth[seconds.index]) < 4.5 * seconds["sem"]).all()
    assert (seconds["max"] == SUPPORT_CANARY.longest).all()


def test_live_truth_is_weighted_and_signed(large):
    truth = large.live_truth.set_index(["stage", "criterion", "statistic", "model", "slice"]).sort_index()
    shadow = truth.loc["shadow"]
    for criterion in ("correct", "refusal", "style"):
        for model in SUPPORT_SHADOW.models:
            rows = shadow.loc[(criterion, "mean", model)]
            assert rows.loc["all", "value"] == pytest.approx(
                np.average(rows.loc[REGIONS, "value"], weights=SUPPORT_REGIONS["traffic"]))
            ahead = rows.loc["all", "value"] - shadow.loc[(criterion, "mean", ATLAS, "all"), "value"]
            assert rows.loc["all", "contrast"] == pytest.approx(-ahead if criterion == "refusal" else ahead)
    gaps = shadow["gap"].unstack("slice")
    moved = gaps.loc[("correct", "mean", FJORD)]
    assert np.allclose(moved, -0.08) and np.allclose(gaps.drop(index=("correct", "mean", FJORD)), 0)
    said = truth.loc[("canary", "thumbs_up", "mean of answers")]["value"]
    asked = truth.loc[("canary", "thumbs_up", "share who answer")]["value"]
    weight = asked[ATLAS][REGIONS] * SUPPORT_REGIONS["traffic"]
    assert said[ATLAS]["all"] == pytest.approx(np.average(said[ATLAS][REGIONS], weights=weight))


def test_the_metrics_see_part_of_what_the_live_requests_lose(large):
    test_set = large.metric_truth.set_index(["metric", "model"])["mean"]
    for judge in ("judge_cirrus", "judge_quill"):
        means = stage(large, "shadow", rater=judge).groupby("model")["value"].mean()
        lost = test_set[judge, FJORD] - means[FJORD] - (test_set[judge, ATLAS] - means[ATLAS])
        assert 0.015 < lost < 0.065, judge
        assert abs(test_set[judge, EMBER] - means[EMBER] - (test_set[judge, ATLAS] - means[ATLAS])) < 0.015


def test_one_judge_has_drifted_by_what_is_stated(large):
    judges = large.scores[large.scores["rater"].isin(SUPPORT_METRICS)]
    then = judges.set_index(["item_id", "model", "rater"])["value"]
    again = stage(large, "anchor").set_index(["item_id", "model", "rater"])["value"]
    both = pd.DataFrame({"now": again, "then": then.reindex(again.index)})
    assert set(both.index.get_level_values("rater")) == {
        name for name, metric in SUPPORT_METRICS.items() if metric.rater_kind == "judge"}
    for judge, rows in both.groupby("rater"):
        shift, error = (rows["now"] - rows["then"]).mean(), (rows["now"] - rows["then"]).sem()
        stated = SUPPORT_DRIFT[1] * (rows["then"] == 0).mean() if judge == SUPPORT_DRIFT[0] else 0.0
        assert abs(shift - stated) < 4.5 * error, judge
        assert 0.9 < (rows["now"] == rows["then"]).mean() < 1


def test_other_live_requests_leave_the_rest_equal():
    one, other = (simulate_support(3, n_items=300, n_labels=40, live_seed=seed) for seed in (1, 2))
    for name in ("items", "outputs", "scores", "traffic", "held_out", "truth", "metric_truth", "live_truth"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name), check_exact=True)
    assert not one.live["value"].equals(other.live["value"])


def test_the_best_of_the_test_set_is_not_the_best_of_live_requests():
    truth = pd.read_csv(SUPPORT / "truth.csv").query("slice == 'all' and criterion == 'correct'").set_index("model")
    live = pd.read_csv(SUPPORT / "live_truth.csv").query("slice == 'all' and criterion == 'correct'").set_index("model")
    assert truth["contrast"].idxmax() == FJORD and live["contrast"].idxmax() == EMBER
    assert live.loc[FJORD, "gap"] == pytest.approx(-0.08)


def test_users_are_split_as_stated_and_meet_one_model(data):
    live = data[0].live
    users = live[live["stage"] == "canary"].drop_duplicates("user")
    days = SUPPORT_CANARY.users_a_day * sum(n for _, n in SUPPORT_CANARY.steps)
    assert len(users) == days and (live[live["stage"] == "canary"].groupby("user")["model"].nunique() == 1).all()
    share = users["assigned_prob"]
    users = users.assign(step=share.where(users["model"] == EMBER, 1 - share).round(6))
    assert set(users["step"]) == {step for step, _ in SUPPORT_CANARY.steps}
    for step, here in users.groupby("step"):
        assert binomtest(int((here["model"] == EMBER).sum()), len(here), step).pvalue > 0.01


def test_feedback_is_rare_and_rarest_in_one_region(data):
    live = data[0].live
    users = live[live["stage"] == "canary"]
    asked = users.drop_duplicates("user").groupby("slice").size()
    share = users[users["criterion"] == "thumbs_up"].groupby("slice")["user"].nunique() / asked
    assert share.idxmin() == "east_asia" and share["east_asia"] < 0.05 < share.drop("east_asia").min()


def test_the_plan_reads_the_live_rows_and_leaves_nothing_out(data):
    data, plan = data
    assert data.exclusions.empty
    assert "shadow requests have no 'reference_overlap' of 'correct'" in data.notes["text"].item()
    assert {one.id for one in plan.live_gates} == {"resolved", "latency"}
    assert [one.name for one in plan.stakeholders if one.signs] == ["Head of Support", "Regional lead east_asia"]
    shadow, narrowed = shadow_data(data, plan)
    assert narrowed.model_ids == SUPPORT_SHADOW.models and len(shadow.items) == SUPPORT_SHADOW.requests
    features = build_features(shadow, narrowed, "correct")
    assert list(features["metric"].to_numpy()) == ["judge_cirrus", "judge_quill"]
    assert "output_chars" in features["feature"].to_numpy()
    assert (features["label"].notnull().sum("item") == SUPPORT_SHADOW.labels).all()
    assert not features.attrs["uneven"]
