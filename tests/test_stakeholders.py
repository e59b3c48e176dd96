"""Each concern with its number; utilities by whose weights."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from helpers import MODELS, small_plan

from migration_kit.stakeholders import BY_ALL, BY_ONE, BY_PLAN, answers, signers, utilities

CONCERNS = [{"name": "South", "concern": "answers in the south", "criterion": "correct", "slice": "south", "weight": 3},
            {"name": "All", "concern": "everything"}]


def plan_of(stakeholders=CONCERNS, *, owner="Owner", gates=("correct",), **criterion):
    content = small_plan(models=MODELS[:3], slices=True, **criterion).model_dump(by_alias=True)
    content["criteria"] = [{**content["criteria"][0], "id": name} for name in gates]
    content |= {"stakeholders": stakeholders, "decision": {"owner": owner}}
    return type(small_plan()).model_validate(content)


def test_the_owner_signs_first_and_nobody_twice():
    people = [{"name": "Risk", "concern": "c", "signs": True}, {"name": "owner", "concern": "c", "signs": True},
              {"name": "Reader", "concern": "c"}]
    assert signers(plan_of(people)) == ["Owner", "Risk"]
    assert signers(plan_of(people, owner=None)) == ["Risk", "owner"]
    assert signers(plan_of([], owner=None)) == []


def estimates(**means):
    rows = [{"layer": layer, "criterion": "correct", "model": model, "slice": where, "quantity": "contrast",
             "method": "calibrated", "mean": mean + (layer == "offline"), "lower": mean - 0.1, "upper": mean + 0.1,
             "prob_noninferior": 0.9, "n_labels": 20.0}
            for layer in ("offline", "traffic") for (model, where), mean in
            {("new", "all"): 0.01, ("new", "south"): -0.05, ("other", "all"): 0.02, ("other", "south"): 0.03}.items()]
    return pd.DataFrame(rows)


def decision(probability=0.97):
    gate = {"mean": 0.011, "lower": -0.01, "upper": 0.03, "probability": probability}
    return {"candidates": {model: {"gates": {"correct": gate}} for model in ("new", "other")}}


def test_a_concern_is_answered_in_its_slice_and_by_the_number_that_decides():
    plan = plan_of(slice_margin=0.08)
    found = answers(plan, decision(), estimates()).set_index(["stakeholder", "candidate"])
    south = found.loc[("South", "new")]
    assert south["mean"] == pytest.approx(-0.05) and south["margin"] == 0.08 and south["slice"] == "south"
    total = found.loc[("All", "new")]
    assert total["mean"] == 0.011 and total["probability"] == 0.97 and total["margin"] == 0.03
    assert not found["live"].any()


def test_where_live_outputs_were_judged_they_speak_too():
    gaps = pd.DataFrame([{"criterion": "correct", "model": "new", "slice": "south", "shadow": -0.2, "joint": -0.15,
                          "joint_lower": -0.2, "joint_upper": -0.1, "prob_noninferior": 0.01},
                         {"criterion": "correct", "model": "other", "slice": "south", "shadow": np.nan, "joint": 0.5,
                          "joint_lower": 0.4, "joint_upper": 0.6, "prob_noninferior": 0.99}])
    found = answers(plan_of(), decision(), estimates(), gaps=gaps).set_index(["stakeholder", "candidate"])
    assert found.loc[("South", "new"), "mean"] == -0.15 and found.loc[("South", "new"), "live"]
    assert found.loc[("South", "other"), "mean"] == pytest.approx(0.03) and not found.loc[("South", "other"), "live"]


def test_what_nobody_judged_has_no_number():
    plan = plan_of([{"name": "A", "concern": "c", "criterion": "useful"}], gates=("correct", "useful"))
    nothing = {"candidates": {model: {"gates": {"useful": dict.fromkeys(("mean", "lower", "upper", "probability"))}}
                              for model in ("new", "other")}}
    assert answers(plan, nothing, estimates())[["mean", "probability"]].isna().all(axis=None)


def worth(**means):
    names = ["all", "north", "south"]
    out = np.zeros((400, 3, 3)) + 0.001 * np.random.default_rng(0).standard_normal((400, 1, 1))
    for number, model in enumerate(("new", "other"), start=1):
        out[:, number] += means[model]
    return {"correct": xr.DataArray(out, dims=("sample", "model", "slice"),
                                    coords={"model": ["old", "new", "other"], "slice": names})}


def test_weights_of_stakeholders_stand_beside_the_plans_own():
    given = worth(new=[0.05, 0.1, -0.1], other=[0.01, 0.01, 0.01])
    rows = {(row["by"], row["name"], row["candidate"]): row for row in utilities(plan_of(), given, ["new", "other"])}
    assert rows[(BY_PLAN, "", "new")]["utility"] == pytest.approx(0.05, abs=1e-3)
    assert rows[(BY_PLAN, "", "new")]["best"] == 1 and rows[(BY_ONE, "South", "other")]["best"] == 1
    assert rows[(BY_ONE, "South", "new")]["utility"] == pytest.approx(-0.1, abs=1e-3)
    # (3 · −0.1 + 1 · 0.05) / 4: the south counts three times.
    assert rows[(BY_ALL, "", "new")]["utility"] == pytest.approx(-0.0625, abs=1e-3)
    assert rows[(BY_ALL, "", "other")]["best"] == 1
    only = utilities(plan_of(), given, ["new"])
    assert {row["best"] for row in only if row["candidate"] == "other"} == {0.0}


def test_without_stakeholders_or_judgments_the_plan_stands_alone():
    given = worth(new=0.05, other=0.01)
    assert {row["by"] for row in utilities(plan_of([]), given, ["new"])} == {BY_PLAN}
    lost = plan_of([{"name": "A", "concern": "c", "criterion": "useful"}], gates=("correct", "useful"))
    assert {row["by"] for row in utilities(lost, given, ["new"])} == {BY_PLAN}
    # A stakeholder of weight 0 is answered and weighs nothing.
    none = plan_of([{"name": "A", "concern": "c", "weight": 0}])
    assert {row["by"] for row in utilities(none, given, ["new"])} == {BY_PLAN, BY_ONE}
