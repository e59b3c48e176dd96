"""Who fell at which step: the same story as the verdicts tell."""

import pandas as pd
import pytest
from helpers import MODELS, small_plan
from test_decision import dated, flag, gap_rows, make, verdicts

from migration_kit.checks import CheckResult
from migration_kit.elimination import elimination


def with_requirements(made):
    plan, draws, features = made
    wanted = [{"id": "price", "fact": "price", "at_most": 5}, {"id": "format", "criterion": "ok", "at_least": 0.9}]
    return type(plan).model_validate(plan.model_dump(by_alias=True) | {"requirements": wanted}), draws, features


def asked(plan, **statuses):
    rows = [{"requirement": name, "model": model, "status": statuses.get(f"{model}_{name}", "pass"),
             "text": f"{name} of {model}."} for name in ("price", "format") for model in plan.model_ids]
    return pd.DataFrame(rows)


def walked(made, *, requirements=None, **more):
    plan = made[0]
    statuses = {} if requirements is None else {
        row.model: row.status for row in requirements.itertuples() if row.status != "pass"}
    found = verdicts(made, statuses=statuses, **more).to_dict()
    none = pd.DataFrame(columns=["requirement", "model", "status", "text"])
    return elimination(plan, found, none if requirements is None else requirements), found


def fell(table):
    return {row.candidate: (row.step, row.outcome) for row in table.itertuples() if row.candidate}


def test_every_candidate_falls_where_its_verdict_comes_from():
    made = with_requirements(make([0.02, 0.05, -0.2, -0.025, 0.03], slices={"north": [0.02, 0.05, -0.2, 0.0, -0.2],
                                                                       "south": [0.02, 0.05, -0.2, -0.05, 0.26]},
                                  slice_margin=0.08))
    required = asked(made[0], other_format="fail")
    table, found = walked(made, requirements=required)
    assert fell(table) == {"other": ("requirement format", "ruled out"), "fourth": ("gate correct", "ruled out"),
                           "fifth": ("gate correct", "not shown"), "sixth": ("slice margins", "ruled out")}
    assert table["step"].drop_duplicates().tolist() == ["facts", "requirement format", "gate correct", "slice margins"]
    assert table["remaining"].iloc[0] == "new, other, fourth, fifth and sixth"
    assert table["remaining"].iloc[-1] == "new" and found["candidate"] == "new"
    told = table.set_index("candidate")["reason"]
    assert told["other"] == "format of other."
    assert "−20.0 points" in told["fourth"] and "loses more than 3 points is >99.9%." in told["fourth"]
    assert "allowed is 5%" in told["fifth"] and "correct in north" in told["sixth"]


def test_a_loss_outranks_what_is_merely_open():
    made = with_requirements(make([-0.2]))
    table, found = walked(made, requirements=asked(made[0], new_price="unknown"))
    assert found["verdict"] == "keep" and fell(table) == {"new": ("gate correct", "ruled out")}
    open_ = with_requirements(make([0.02]))
    table, found = walked(open_, requirements=asked(open_[0], new_price="unknown"))
    assert found["verdict"] == "collect" and fell(table) == {"new": ("facts", "not shown")}
    assert table["remaining"].iloc[-1] == "none"


def test_checks_live_requests_and_labels_are_steps_of_their_own():
    block = CheckResult("labels", False, "Too few labels.", blocks=True)
    assert fell(walked(make([0.02]), checks=[block])[0]) == {"new": ("checks that block", "not shown")}
    table, _ = walked(make([0.02, 0.02]), checks=[flag("new")])
    assert fell(table) == {"new": ("live requests", "not shown")}
    assert "The gap of new" in table.iloc[-1]["reason"] and table.iloc[-1]["remaining"] == "other"
    assert "live requests" in walked(make([0.02]), gaps=gap_rows(joint=0.02, joint_sd=0.01))[0]["step"].tolist()
    # Where the gap moved the gate itself, the candidate falls there, and the gap is named.
    moved = walked(make([0.02]), checks=[flag("new")], gaps=gap_rows(joint=-0.02, joint_sd=0.03))[0]
    assert fell(moved) == {"new": ("gate correct", "not shown")}
    assert "120 judged live outputs show −10.0 points" in moved["reason"].iloc[0]
    assert "live requests" not in walked(make([0.02]))[0]["step"].tolist()
    plan, draws, features = make([0.02])
    features["correct"]["label"][:, 1] = float("nan")
    assert "not judged outputs of both" in walked((plan, draws, features))[0]["reason"].iloc[0]


def test_gates_that_hold_one_by_one_can_fail_together():
    plan, draws, features = make([-0.0124])
    content = plan.model_dump(by_alias=True)
    content["criteria"] = [content["criteria"][0], {**content["criteria"][0], "id": "style"}]
    two = type(plan).model_validate(content)
    features = {name: features["correct"].assign_attrs(criterion=name) for name in ("correct", "style")}
    table, _ = walked((two, dict.fromkeys(features, draws["correct"]), features))
    assert fell(table) == {"new": ("all gates together", "not shown")}


@pytest.mark.parametrize("misfit", [True, False])
def test_the_number_is_that_of_the_method_that_counts(misfit):
    check = CheckResult("calibrated and corrected agree", False, "", "correct", models=("new",))
    table, _ = walked(make([0.02], corrected=[-0.025]), checks=[check] * misfit)
    if misfit:
        assert "loses more than 3 points is 30.9%, allowed is 5%" in table["reason"].iloc[0]
    assert bool(fell(table)) == misfit


def test_after_the_last_step_those_remain_that_may_replace_the_incumbent():
    assert len(MODELS) == 6 and small_plan().gates
    for deltas in ([0.02, 0.05], [-0.02, 0.05], [-0.2, -0.2], [-0.0137, -0.0134]):
        table, found = walked(dated(make(deltas), retires="2027-01-10"))
        ready = [model for model, one in found["candidates"].items() if one["verdict"] == "switch"]
        assert table["remaining"].iloc[-1] == (" and ".join(ready) or "none"), deltas
