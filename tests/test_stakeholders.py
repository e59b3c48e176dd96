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


def estimates():
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
    assert south[["lower", "upper", "probability", "n_labels"]].tolist() == pytest.approx([-0.15, 0.05, 0.9, 20])
    total = found.loc[("All", "new")]
    assert total["mean"] == 0.011 and total["probability"] == 0.97 and total["margin"] == 0.03
    assert total[["lower", "upper", "n_labels"]].tolist() == [-0.01, 0.03, 20]
    assert total["slice"] == "all" and not found["live"].any()


def test_a_concern_without_a_criterion_is_answered_on_every_gate():
    plan = plan_of(gates=("correct", "useful"))
    useful = {"mean": -0.02, "lower": -0.04, "upper": 0.0, "probability": 0.7}
    both = {"candidates": {model: {"gates": one["gates"] | {"useful": useful}}
                           for model, one in decision()["candidates"].items()}}
    found = answers(plan, both, estimates()).set_index(["stakeholder", "criterion", "candidate"])
    assert len(found) == 2 * (1 + 2)
    assert found.loc[("All", "useful", "new"), ["mean", "lower", "upper", "probability"]].tolist() == [
        -0.02, -0.04, 0.0, 0.7]
    assert found.loc[("All", "correct", "new"), "mean"] == 0.011


def test_where_live_outputs_were_judged_they_speak_too():
    gaps = pd.DataFrame([{"criterion": "correct", "model": "new", "slice": "south", "shadow": -0.2, "overall": -0.15,
                          "overall_lower": -0.22, "overall_upper": -0.1, "prob_noninferior": 0.01},
                         {"criterion": "correct", "model": "other", "slice": "south", "shadow": np.nan, "overall": 0.5,
                          "overall_lower": 0.4, "overall_upper": 0.6, "prob_noninferior": 0.99}])
    found = answers(plan_of(), decision(), estimates(), gaps=gaps).set_index(["stakeholder", "candidate"])
    told = ["mean", "lower", "upper", "probability", "live"]
    assert found.loc[("South", "new"), told].tolist() == [-0.15, -0.22, -0.1, 0.01, True]
    assert found.loc[("South", "other"), told].tolist() == pytest.approx([0.03, -0.07, 0.13, 0.9, False])
    # What live requests say of the south is not said of everything.
    assert not found.loc["All", "live"].any() and set(found.loc["All", "mean"]) == {0.011}


def test_what_nobody_judged_has_no_number():
    plan = plan_of([{"name": "A", "concern": "c", "criterion": "useful"}], gates=("correct", "useful"))
    nothing = {"candidates": {model: {"gates": {"useful": dict.fromkeys(("mean", "lower", "upper", "probability"))}}
                              for model in ("new", "other")}}
    found = answers(plan, nothing, estimates())
    assert len(found) == 2 and (found["n_labels"] == 0).all() and not found["live"].any()
    numbers = found[["mean", "lower", "upper", "probability"]]
    assert numbers.isna().all(axis=None) and all(one.kind == "f" for one in numbers.dtypes)


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


def test_a_concern_about_everything_is_weighed_as_the_plan_weighs():
    given = worth(new=0.05, other=0.01)
    given["useful"] = -given["correct"]
    plan = plan_of([{"name": "All", "concern": "c"}], gates=("correct", "useful"))
    heavy = plan.criteria[1].model_copy(update={"weight": 3.0})
    plan = plan.model_copy(update={"criteria": (plan.criteria[0].model_copy(update={"weight": 1.0}), heavy)})
    rows = {(row["by"], row["candidate"]): row["utility"] for row in utilities(plan, given, ["new", "other"])}
    # (1 · 0.05 − 3 · 0.05) / 4
    assert rows[(BY_ONE, "new")] == pytest.approx(-0.025, abs=1e-3)
    del given["useful"]
    rows = {(row["by"], row["candidate"]): row["utility"] for row in utilities(plan, given, ["new", "other"])}
    assert rows[(BY_ONE, "new")] == pytest.approx(0.05, abs=1e-3)


def test_without_stakeholders_or_judgments_the_plan_stands_alone():
    given = worth(new=0.05, other=0.01)
    assert {row["by"] for row in utilities(plan_of([]), given, ["new"])} == {BY_PLAN}
    lost = plan_of([{"name": "A", "concern": "c", "criterion": "useful"}], gates=("correct", "useful"))
    assert {row["by"] for row in utilities(lost, given, ["new"])} == {BY_PLAN}
    # A stakeholder of weight 0 is answered and weighs nothing.
    none = plan_of([{"name": "A", "concern": "c", "weight": 0}])
    assert {row["by"] for row in utilities(none, given, ["new"])} == {BY_PLAN, BY_ONE}
