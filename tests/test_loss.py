"""Costs, the choice that is left when the incumbent retires first, and losses in outputs a day."""

import datetime

import numpy as np
import pytest
from helpers import MODELS, small_plan

from migration_kit.gates import GateResult
from migration_kit.loss import break_even, cheapest, expected_loss, forced_choice, loss_text, no_time_to_wait, people

COSTS = {"wrong_switch": 5, "wrong_stay": 1, "unit": "thousand USD"}


def plan_of(*, models=MODELS[:3], **changes):
    content = small_plan(models=models).model_dump(by_alias=True)
    for key, value in changes.items():
        if key in ("retires", "due"):
            section = content["models"]["incumbent"] if key == "retires" else content["decision"]
            section[key] = value
        else:
            content[key] = value
    return type(small_plan()).model_validate(content)


def gate(probability, *, labelled=True, slices=None, mean=0.0):
    return GateResult(0.03, 0.08 if slices else None, probability, 1 - probability, mean, mean - 0.02, mean + 0.02,
                      0.01, slices or {}, labelled)


def test_losses_are_costs_times_probabilities():
    plan = plan_of(costs=COSTS)
    table = expected_loss(plan, {"new": {"a": gate(0.9), "b": gate(0.95)}, "other": {"a": gate(0.4), "b": gate(0.9)}},
                          failing={}).set_index("option")
    assert table.loc["new", "prob_worse"] == pytest.approx(0.15)
    assert table.loc["new", "expected_loss"] == pytest.approx(5 * 0.15)
    assert table.loc["other", "expected_loss"] == pytest.approx(5 * 0.7)
    # Staying is wrong where the surest candidate is not worse.
    assert table.loc["old", "expected_loss"] == pytest.approx(1 * 0.85)
    assert cheapest(table.reset_index()) == "new" and break_even(plan) == pytest.approx(5 / 6)


def test_a_candidate_that_fails_a_requirement_is_no_reason_against_staying():
    plan = plan_of(costs=COSTS)
    gates = {"new": {"a": gate(0.99)}, "other": {"a": gate(0.2)}}
    table = expected_loss(plan, gates, failing={"new": ["price", "regions"]}).set_index("option")
    assert table.loc["old", "expected_loss"] == pytest.approx(0.2)
    assert table.loc["new", "fails"] == "price, regions" and cheapest(table.reset_index()) == "old"


def test_a_candidate_shown_to_miss_a_slice_margin_is_no_choice():
    plan = plan_of(costs=COSTS)
    gates = {"new": {"a": gate(0.999, slices={"south": 0.01})}, "other": {"a": gate(0.9, slices={"south": 0.5})}}
    table = expected_loss(plan, gates, failing={"new": ["price"]})
    assert table["fails"].tolist() == ["", "price, a in south", ""] and cheapest(table) == "other"
    assert table["expected_loss"].iloc[0] == pytest.approx(0.9)


def test_what_no_draw_shows_is_not_called_nothing():
    plan = plan_of(costs=COSTS)
    rows = expected_loss(plan, {"new": {"a": gate(1.0)}, "other": {"a": gate(0.9)}}, failing={}).to_dict("records")
    assert [loss_text(row, plan) for row in rows] == ["1", "<0.0025", "0.5"]


def test_the_cheapest_turns_at_the_break_even():
    plan = plan_of(models=MODELS[:2], costs=COSTS)
    for p, option in ((5 / 6 + 0.01, "new"), (5 / 6 - 0.01, "old")):
        assert cheapest(expected_loss(plan, {"new": {"a": gate(p)}}, failing={})) == option


def test_without_costs_or_labels_nothing_is_compared():
    plan = plan_of()
    table = expected_loss(plan, {"new": {"a": gate(0.9)}}, failing={})
    assert table["expected_loss"].isna().all() and cheapest(table) is None and break_even(plan) is None
    unjudged = expected_loss(plan_of(costs=COSTS), {"new": {"a": gate(0.9, labelled=False)}}, failing={})
    assert np.isnan(unjudged["prob_worse"].iloc[1]) and cheapest(unjudged) is None


@pytest.mark.parametrize(("retires", "due", "ramp_days", "told"), [
    ("2027-01-15", "2027-01-15", None, "retires on 2027-01-15, and the decision is due on 2027-01-15"),
    ("2027-01-16", "2027-01-15", None, None),
    ("2027-02-28", "2027-01-15", 60.2, "44 days after the decision is due, and the ramp needs 61 days"),
    ("2027-02-28", "2027-01-15", 20, None),
    (None, "2027-01-15", 60, None), ("2027-01-01", None, 60, None),
])
def test_the_incumbent_can_stay_unless_dates_say_otherwise(retires, due, ramp_days, told):
    why = no_time_to_wait(plan_of(retires=retires, due=due), ramp_days=ramp_days)
    assert (told in why) if told else why is None


def forced(gates, *, failing=None, needed=None, costs=COSTS):
    plan = plan_of(costs=costs, retires="2027-01-01", due="2027-01-15")
    return forced_choice(plan, expected_loss(plan, gates, failing=failing or {}), gates,
                         utility=dict.fromkeys(gates, 0.0) | {"other": 0.1}, labels_needed=needed or {})


def test_the_forced_choice_is_ranked_by_expected_loss():
    gates = {"new": {"correct": gate(0.7, slices={"south": 0.6, "north": 0.9})}, "other": {"correct": gate(0.6)}}
    found = forced(gates, needed={"new": 150})
    assert [row["option"] for row in found["ranking"]] == ["new", "other"]
    assert found["ranking"][0]["expected_loss"] == pytest.approx(1.5)
    assert found["candidate"] == "new"
    assert "new is the least bad" in found["sentence"] and "is 30.0%, an expected loss of 1.5 thousand USD" in found[
        "sentence"]
    told = " ".join(found["softens"])
    assert "correct (70.0%) and correct in south (60.0%)" in told and "north" not in told
    assert "About 150 more labelled items, judged before 2027-01-01" in told


def test_requirements_rank_before_losses_and_utility_among_equals():
    gates = {"new": {"correct": gate(0.9)}, "other": {"correct": gate(0.6)}}
    found = forced(gates, failing={"new": ["price"]})
    assert [row["option"] for row in found["ranking"]] == ["other", "new"]
    both = forced(gates, failing={"new": ["price"], "other": ["price"]})
    assert both["candidate"] == "new" and "although it fails price" in both["sentence"]
    assert forced({"new": {"correct": gate(0.6)}, "other": {"correct": gate(0.6)}})["candidate"] == "other"
    assert "expected loss" not in forced(gates, costs=None)["sentence"]


def test_without_labels_no_candidate_is_named():
    found = forced({"new": {"correct": gate(np.nan, labelled=False)}, "other": {"correct": gate(0.5, labelled=False)}})
    assert found["candidate"] is None and "not judged enough to rank" in found["sentence"]
    some = forced({"new": {"correct": gate(0.5, labelled=False)}, "other": {"correct": gate(0.1)}})
    assert some["candidate"] == "other"


def test_losses_in_outputs_a_day():
    plan = plan_of(models=MODELS[:2], traffic={"requests_per_day": 10_000})
    decision = {"candidates": {"new": {"gates": {"correct": {"mean": 0.01, "lower": -0.02, "upper": 0.04,
                                                             "labelled": True}}}}}
    rows = people(plan, decision).set_index("candidate")
    assert rows.loc["", "mean"] == pytest.approx(300)
    assert rows.loc["new", ["mean", "lower", "upper"]].tolist() == pytest.approx([-100, -400, 200])
    assert people(plan_of(models=MODELS[:2]), decision).empty


def test_dates_are_those_of_the_plan():
    assert plan_of(retires="2027-01-16").models.incumbent.retires == datetime.date(2027, 1, 16)
