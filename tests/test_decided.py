"""Totals are of all traffic, on gates and other criteria alike, also where live requests have some slices only."""

import numpy as np
import pandas as pd
import pytest
from helpers import small_plan
from test_choice import case as case_of_choice
from test_decision import gap_rows
from test_transport import MODELS, by_slice, drawn, features_of, plan_with

from migration_kit import story
from migration_kit.decided import decided
from migration_kit.estimands import TOTAL, estimate_rows
from migration_kit.gates import contrasts
from migration_kit.stakeholders import answers
from migration_kit.transport import live_contrasts, transport_gap

SHARES = [0.75, 0.25]
WHO = [{"name": "Desk", "concern": "Is it liked?", "criterion": "correct"}]
GATE, NO_GATE = {"margin": 0.03, "slice_margin": 0.1}, {"role": "trade-off", "weight": 1, "margin": None}


def case(slices, *, role, shown=-0.3):
    """Plan, estimates, gaps and the live draws of a criterion with two slices, of which the shadow has some."""
    plan = plan_with(**role)
    plan = type(small_plan()).model_validate(plan.model_dump(by_alias=True) | {"stakeholders": WHO})
    spec, own = plan.criteria[0], features_of(plan).assign(share=("slice", SHARES))
    offline = drawn([[0.10, -0.02], [0.0, 0.0]], 0.01)
    for one in offline.data_vars.values():
        one.loc[{"slice": TOTAL}] = one.sel(slice=["a", "b"]).to_numpy() @ SHARES
    shadow = drawn([[shown] * len(slices)], 0.02, models=MODELS[:2], slices=slices, seed=2)
    gaps = transport_gap(offline, shadow, own, plan, scale=0.05, labels=by_slice(dict.fromkeys(MODELS, 200)))
    rows = estimate_rows(offline, own, incumbent="old", layer="traffic", interval=0.95, margin=spec.margin,
                         slice_margin=spec.slice_margin)
    live = live_contrasts(contrasts(offline, plan, spec), gaps)["calibrated"].sel(model="new")
    return plan, rows, gaps, live


def undecided(plan):
    nothing = {"labelled": False, "slices": {}} | dict.fromkeys(("mean", "lower", "upper", "probability"), np.nan)
    return {"verdict": "collect", "candidate": None, "candidates": {
        model: {"verdict": "collect", "gates": {gate.id: nothing for gate in plan.gates}} for model in plan.candidates}}


def numbers(draws):
    return [float(draws.mean()), *np.quantile(draws, [0.025, 0.975])]


@pytest.mark.parametrize("slices", [("b",), ("a", "b")])
def test_a_total_is_of_all_traffic_where_no_gate_decides(slices):
    plan, rows, gaps, live = case(slices, role=NO_GATE)
    joined = decided(rows, undecided(plan), gaps)
    joined = joined[(joined["quantity"] == "contrast") & (joined["method"] == "calibrated")]
    mine = joined.set_index(["model", "slice"])
    for where in (TOTAL, "a", "b"):
        told = mine.loc[("new", where), ["mean", "lower", "upper"]].tolist()
        assert told == pytest.approx(numbers(live.sel(slice=where))), where
    # Slices average to the total, as without a shadow.
    assert mine.loc[("new", TOTAL), "mean"] == pytest.approx(
        SHARES @ mine.loc[[("new", "a"), ("new", "b")], "mean"], abs=0.02)


@pytest.mark.parametrize(("slices", "part"), [(("b",), "b (25% of traffic)"), (("a", "b"), "")])
def test_a_concern_about_all_traffic_is_answered_for_all_of_it(slices, part):
    plan, rows, gaps, live = case(slices, role=NO_GATE)
    found = answers(plan, undecided(plan), rows, gaps=gaps).set_index("candidate")
    assert found.loc["new", ["mean", "lower", "upper"]].tolist() == pytest.approx(numbers(live.sel(slice=TOTAL)))
    assert found.loc["new", "live"] and found.loc["new", "live_part"] == part
    assert not found.loc["other", "live"] and found.loc["other", "live_part"] == ""
    said = str(story.stakeholders(found.reset_index(), undecided(plan), plan)).replace("\\", "")
    new, other = (next(one for one in said.split(". ") if f"{model} on correct" in one) for model in ("new", "other"))
    assert "test set and live requests joined" in new and "live" not in other
    assert (f", live requests of {part} only" in new) == bool(part) and ("of traffic" in new) == bool(part)


def test_a_gate_has_the_numbers_of_the_verdict():
    plan, rows, gaps, live = case(("b",), role=GATE)
    decision = undecided(plan)
    total = numbers(live.sel(slice=TOTAL))
    decision["candidates"]["new"]["gates"]["correct"] = dict(
        zip(("mean", "lower", "upper", "probability"), [*total, 0.5], strict=True)) | {
            "labelled": True, "slices": {"b": 0.25}}
    row = decided(rows, decision, gaps).set_index(["quantity", "method", "model", "slice"])["prob_noninferior"]
    assert gaps.set_index(["model", "slice"]).loc[("new", TOTAL), "prob_noninferior"] == float(
        (live.sel(slice=TOTAL) > -0.03).mean())
    # The weaker of two methods may decide, which the gap does not know.
    assert row["contrast", "calibrated", "new", TOTAL] == 0.5 and row["contrast", "calibrated", "new", "b"] == 0.25
    found = answers(plan, decision, rows, gaps=gaps).set_index("candidate").loc["new"]
    assert found["probability"] == 0.5 and found["mean"] == pytest.approx(total[0])


def test_of_what_nobody_judged_live_the_test_set_speaks_alone():
    plan, rows, gaps, _ = case(("b",), role=NO_GATE)
    joined = decided(rows, undecided(plan), gaps.assign(shadow=np.nan))
    pd.testing.assert_frame_equal(joined, rows)


def test_labels_that_are_needed_live_are_asked_for_live():
    def rows(**numbers):
        return pd.concat([gap_rows(where=where, **numbers) for where in ("all", "north", "south")])

    live = (rows(joint=0.05, joint_sd=0.05), [0.02], " more items, live requests on correct.")
    for gaps, deltas, said in (live, (None, [-0.0155], " more items.")):
        plan, decision = case_of_choice(deltas, retires="2027-01-10", gaps=gaps)
        needed = decision["candidates"]["new"]["labels_needed"]
        assert decision["verdict"] == "collect" and needed
        told = str(story.front.next_steps(decision, [], pd.DataFrame(), pd.DataFrame(), plan)).replace("\\", "")
        assert f"new: have people judge about {needed}{said}" in told
        (labels,) = [text for text in decision["forced"]["softens"] if "more labelled items" in text]
        assert (", live requests on correct," in labels) == (gaps is not None), labels


def test_slices_of_a_gate_without_labels_keep_what_was_estimated():
    plan, rows, gaps, _ = case(("b",), role=GATE)
    decision = undecided(plan)
    decision["candidates"]["new"]["gates"]["correct"] |= {"slices": {"b": 0.25}}
    pd.testing.assert_frame_equal(decided(rows, decision, gaps.assign(shadow=np.nan)), rows)
