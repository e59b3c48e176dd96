"""The first page of the report: checks sorted by what they mean, numbers that are the verdict's, and what is next."""

import ast
import re
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from test_choice import case
from test_decision import flag, gap_rows

from migration_kit import story
from migration_kit.check_meaning import (
    ASIDE,
    BLOCKS,
    CORRECTED,
    COUNTED,
    FAILED,
    OPEN,
    PASSED,
    WEAKENS,
    failures,
    with_meaning,
)
from migration_kit.checks import CORRECTED_AGREES, FAIR, CheckResult, check_table
from migration_kit.decided import decided
from migration_kit.loss import people
from migration_kit.ramp import RampAction
from migration_kit.ramp_limits import rollback_conditions
from migration_kit.story import front, risks
from migration_kit.transport import HOLDS_LIVE
from migration_kit.wording import unit_of

PACKAGE = Path(__file__).parents[1] / "migration_kit"
RATES = pd.DataFrame({"mean": [0.7], "sd": [0.45], "answered": [1.0], "users": [500]}, index=["resolved"])
NO_GAPS = gap_rows(joint=0.0, joint_sd=0.01).iloc[:0]


def told(said) -> str:
    return str(said).replace("\\", "")


def with_roles(plan, **roles):
    gate = plan.criteria[0]
    more = tuple(gate.model_copy(update={"id": name, "role": role}) for name, role in roles.items())
    return plan.model_copy(update={"criteria": (gate, *more)})


def live(plan, **more):
    content = plan.model_dump(by_alias=True) | {
        "traffic": {"requests_per_day": 10_000, "users_per_day": 20_000}, "ramp": [0.05, 0.5, 1.0],
        "live_outcomes": [{"id": "resolved", "role": "gate", "margin": 0.03}]} | more
    return type(plan).model_validate(content)


def meaning(check, decision, plan) -> str:
    return with_meaning(check_table([check]), decision, plan)["meaning"].iloc[0]


@pytest.mark.parametrize(("check", "expected"), [
    (CheckResult("enough labels", False, ".", "correct", blocks=True), BLOCKS),
    (CheckResult("sampling", False, ".", "correct"), WEAKENS),
    (CheckResult("metrics still say what they said", False, "."), WEAKENS),
    (CheckResult(FAIR, False, ".", "correct", models=("new",)), CORRECTED),
    (CheckResult(HOLDS_LIVE, False, ".", "correct", models=("other",)), COUNTED),
    (CheckResult(CORRECTED_AGREES, False, ".", "correct", models=("new",)), COUNTED),
    (CheckResult("sampling", False, ".", "watched"), ASIDE),
    (CheckResult("enough labels", False, ".", "watched"), ASIDE),
    (CheckResult("sampling", False, ".", "liked"), ASIDE),
    (CheckResult("cross-checks agree", False, ".", "correct", models=("other",)), ASIDE),
    (CheckResult("cross-checks agree", False, ".", "correct", models=("new", "other")), WEAKENS),
    (CheckResult("raters agree", None, ".", "correct"), OPEN),
    (CheckResult("raters agree", True, ".", "correct"), PASSED),
])
def test_checks_are_sorted_by_what_they_mean(check, expected):
    plan, decision = case([0.02, -0.2])
    assert decision["candidate"] == "new"
    assert meaning(check, decision, with_roles(plan, liked="trade-off", watched="monitor")) == expected


def test_a_trade_off_has_a_say_where_several_candidates_are_left():
    plan, decision = case([0.02, 0.02])
    check = CheckResult("sampling", False, ".", "liked")
    assert meaning(check, decision, with_roles(plan, liked="trade-off")) == WEAKENS


def test_where_nobody_is_chosen_a_check_on_any_candidate_weakens():
    plan, decision = case([-0.02, -0.2])
    check = CheckResult("cross-checks agree", False, ".", "correct", models=("other",))
    assert meaning(check, decision, plan) == WEAKENS


def named(node: ast.AST) -> set[str]:
    """Names of checks that a piece of code gives: first argument, keyword `check`, or a variable `name`."""
    found = []
    if isinstance(node, ast.Call):
        found = [word.value for word in node.keywords if word.arg == "check"]
        found += node.args[:1] if getattr(node.func, "id", "") == "CheckResult" else []
    elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name | ast.Tuple):
        target, value = node.targets[0], node.value
        pairs = [(target, value)] if isinstance(target, ast.Name) else zip(
            target.elts, getattr(value, "elts", []), strict=False)
        found = [value for name, value in pairs if getattr(name, "id", "") == "name"]
    found = [part for one in found for part in ((one.body, one.orelse) if isinstance(one, ast.IfExp) else (one,))]
    return {one.value for one in found if isinstance(one, ast.Constant) and isinstance(one.value, str) and one.value}


def test_every_check_of_the_kit_has_words_for_its_failure():
    makers = [path for path in PACKAGE.rglob("*.py") if "CheckResult" in path.read_text("utf-8")
              or path.name == "oddities.py"]
    names = {name for path in makers for node in ast.walk(ast.parse(path.read_text("utf-8"))) for name in named(node)}
    assert {"sampling", "enough labels for every model", "metrics still say what they said",
            "judgments are plausible"} <= names
    assert names <= set(FAILED)


def test_failures_are_told_in_words_with_their_criteria():
    found = check_table([CheckResult("sampling", False, ".", name) for name in ("correct", "style")]
                        + [CheckResult("something new", False, ".")])
    assert failures(found) == {FAILED["sampling"]: ["correct", "style"], "“something new” fails": []}


def estimates(plan) -> pd.DataFrame:
    rows = [{"criterion": "correct", "model": model, "slice": name, "quantity": "contrast", "method": method,
             "layer": "traffic", "mean": 0.1, "lower": 0.05, "upper": 0.15, "prob_noninferior": held}
            for model in plan.candidates for name in ("all", "north", "south")
            for method, held in (("calibrated", 0.999), ("labels_only", 0.91))]
    return pd.DataFrame(rows)


def test_numbers_are_those_of_the_verdict_where_live_requests_speak():
    gaps = pd.concat([gap_rows(joint=-0.02, joint_sd=0.01), gap_rows(joint=-0.02, joint_sd=0.01).assign(slice="south")])
    plan, decision = case([0.02, 0.02], gaps=gaps)
    joined = decided(estimates(plan), decision, gaps).set_index(["method", "model", "slice"])
    gate = decision["candidates"]["new"]["gates"]["correct"]
    row = joined.loc[("calibrated", "new", "all")]
    assert row[["mean", "lower", "upper", "prob_noninferior"]].tolist() == [
        gate["mean"], gate["lower"], gate["upper"], gate["probability"]]
    assert row["mean"] == pytest.approx(-0.02, abs=1e-3)
    assert joined.loc[("calibrated", "new", "south"), "mean"] == -0.02
    assert joined.loc[("calibrated", "new", "south"), "prob_noninferior"] == gate["slices"]["south"]
    assert joined.loc[("calibrated", "other", "north"), "mean"] == 0.1
    assert (joined["mean"].xs("labels_only") == 0.1).all()
    assert "joined for new on correct" in story.shadow.joined(gaps)
    assert "Nobody judged live outputs" in story.shadow.joined(NO_GAPS)


def counts(plan, judged=300) -> pd.DataFrame:
    return pd.DataFrame([{"criterion": "correct", "model": model, "judged": judged} for model in plan.model_ids])


def test_how_sure_a_switch_is():
    plan, decision = case([0.02, -0.2])
    judged = counts(plan)
    judged.loc[judged["model"] == "other", "judged"] = 0
    said = told(story.front.sure(decision, estimates(plan), judged, NO_GAPS, plan))
    assert "new: the probability that the gate correct holds is >99.9%; the plan asks for 95%." in said
    assert "stay below 95%: 91.0% by labels alone on correct" in said
    assert "rests on 300 judged outputs each of old and new for every gate; nobody judged live outputs" in said
    part = pd.concat([gap_rows(), gap_rows().assign(slice="south")]).assign(covered=[0.8, 1.0])
    seen = told(story.front.sure(decision, estimates(plan), counts(plan), part, plan))
    assert "and on 120 judged live outputs of new, all in south (80% of traffic)" in seen
    agree = estimates(plan).assign(prob_noninferior=0.98)
    assert "1 other method that leans on the labels more agree" not in said
    assert "each gate holds with 98.0% or more" in told(story.front.sure(decision, agree, counts(plan), NO_GAPS, plan))


def test_how_sure_it_is_that_nothing_is_decided():
    plan, decision = case([-0.02, -0.2])
    said = told(story.front.sure(decision, estimates(plan), counts(plan), NO_GAPS, plan))
    assert "new: the probability that the gate correct holds is 84.1%" in said and "other" not in said
    plan, decision = case([-0.2])
    assert "Every candidate is ruled out" in story.front.sure(decision, estimates(plan), counts(plan), NO_GAPS, plan)
    decision["candidates"]["new"] |= {"verdict": "collect", "probability": None}
    assert "new: not known, because a gate has no labels" in story.front.sure(
        decision, estimates(plan), counts(plan), NO_GAPS, plan)


def could_go_wrong(*given, gaps=NO_GAPS, canary=None):
    empty = pd.DataFrame(columns=["model", "criterion", "quantity", "slice", "mean"])
    return story.risks.could_go_wrong(*given, gaps=gaps, canary=empty if canary is None else canary)


def test_where_live_requests_and_users_look_worst_is_told():
    plan, decision = case([0.02])
    plan = live(plan)
    rows = pd.concat([gap_rows(joint=0.02, joint_sd=0.01, where=where, shadow=shadow)
                      for where, shadow in (("all", -0.01), ("north", -0.04), ("south", 0.03))])
    rows = rows.assign(shadow_lower=rows["shadow"] - 0.05, shadow_upper=rows["shadow"] + 0.05, n_labels=12)
    users = pd.DataFrame([
        {"model": "new", "criterion": "resolved", "quantity": "contrast", "slice": where, "mean": mean,
         "lower": mean - 0.04, "upper": mean + 0.04, "n_labels": 120}
        for where, mean in (("all", -0.02), ("north", 0.01), ("south", -0.041))])
    given = (decision, estimates(plan), check_table([]).assign(meaning=""), people(plan, decision), plan)
    said = told(could_go_wrong(*given, gaps=rows, canary=users))
    assert "speak against new on correct: 4 points worse in north (−9.0 to +1.0; the test set promised +2.0; 12 " \
           "judged outputs)" in said
    assert "these fare worse than those of old: resolved 4.1 points worse in south (−8.1 to −0.1; 120 users)" in said
    assert "looks at all users together" in said
    quiet = told(could_go_wrong(*given, gaps=rows.assign(shadow=0.01), canary=users.assign(mean=0.01)))
    assert "speak against" not in quiet and "fare worse than" not in quiet


def test_what_could_go_wrong_names_slice_people_and_checks():
    plan, decision = case([0.005, -0.2], volume=10_000)
    rows = estimates(plan).assign(mean=lambda one: np.where(one["slice"] == "south", -0.03, 0.02), lower=-0.06,
                                  upper=-0.001)
    found = with_meaning(check_table([
        CheckResult("sampling", False, ".", "correct"), CheckResult(FAIR, False, ".", "correct"),
        CheckResult("raters agree", None, ".", "correct")]), decision, plan)
    said = told(could_go_wrong(decision, rows, found, people(plan, decision), plan))
    assert "Not known: whether people agree with each other on correct." in said
    assert "Where new fares worst: correct 3 points worse in south (−6.0 to −0.1). The probability of losing " \
           "more than a slice margin is largest for correct in north: 0.1%." in said
    assert "At the bad end of the 90% interval new would have 114 more outputs a day on the worse side of correct, " \
           "where the margin allows 300." in said
    assert f"Weakens the verdict: {FAILED['sampling']} (correct)." in said
    assert f"Known, and allowed for by the calibration: {FAILED[FAIR]} (correct)." in said
    assert "No check blocks" not in said and "1 check cannot tell" in said
    sound = with_meaning(check_table([CheckResult("sampling", True, ".", "correct")]), decision, plan)
    said = told(could_go_wrong(decision, rows, sound, people(plan, decision).iloc[:0], plan))
    assert "No check blocks or weakens the verdict" in said and "Every check could be made" in said
    ahead = told(could_go_wrong(decision, rows.assign(mean=0.02), sound, people(plan, decision), plan))
    assert "Where new is least ahead: correct 2 points better in " in ahead
    better = people(*case([0.05], volume=10_000))
    assert "Even at the bad end" in could_go_wrong(decision, rows, sound, better, plan)


def test_a_candidate_that_live_requests_contradict_is_named_once():
    gaps = gap_rows(joint=0.02, joint_sd=0.01)
    plan, decision = case([0.02, 0.02], gaps=gaps, checks=[flag("new")])
    found = with_meaning(check_table([flag("new")]), decision, plan)
    said = told(could_go_wrong(decision, estimates(plan), found, people(plan, decision), plan))
    assert "new does not show on live requests what the test set promised on correct" in said
    assert "Already counted" not in said


def test_what_a_mistake_costs():
    plan, decision = case([0.02], volume=10_000)
    said = told(story.front.costs(decision, plan))
    assert "correct 3 points, 300 of 10,000 requests a day" in said and "It costs 300 thousand USD" in said
    assert "for switching to new and 60 for staying (thousand USD)" in said
    plan, decision = case([-0.025])
    assert "for staying (thousand USD)" in story.front.costs(decision, plan)
    plan, decision = case([0.02], costs=None)
    assert "does not say what a mistake costs" in story.front.costs(decision, plan)


@pytest.mark.parametrize(("delta", "retires"), [(-0.02, "2027-01-10"), (0.02, "2027-01-10"), (-0.02, "2027-01-20")])
def test_no_cost_of_staying_is_told_where_it_is_no_option(delta, retires):
    plan, decision = case([delta], retires=retires, ramp_days=30)
    said = told(story.front.costs(decision, plan))
    assert "for switching to new (thousand USD); staying is no option." in said and "for staying" not in said
    after = told(story.front.next_steps(decision, [], pd.DataFrame(), RATES, plan))
    assert "by 2027-01-15, old stays" not in after


def test_what_happens_next_after_a_switch():
    plan, decision = case([0.02], retires="2027-06-30")
    none = rollback_conditions(plan, RATES)
    said = told(story.front.next_steps(decision, [], none, RATES, plan))
    assert "no number says when to roll back" in said
    assert "If nobody decides by 2027-01-15, old stays until it retires on 2027-06-30; after that" in said
    plan = live(plan)
    limits = rollback_conditions(plan, RATES)
    at = f"{100 * limits.query('share == 0.05 and days == 7')['roll_back'].iloc[0]:.1f}%"
    said = told(story.front.next_steps(decision, [], limits, RATES, plan))
    assert "Give new to 5% of users, drawn at random." in said
    assert f"Roll back, at 5% of users, when resolved is below {at} after 7,000 users (7 days of the plan" in said
    assert "nobody measured" not in said
    assumed = told(story.front.next_steps(decision, [], limits, RATES.assign(users=0), plan))
    assert f"below {at} after 7,000 users (7 days of the plan's users), if old is at 70.0%, which nobody " in assumed
    assert "assumed: no user of it was seen yet" in story.live.rollback(limits, RATES.assign(users=0), plan)
    up = RampAction("new", "promote", 0.05, 0.5, 9, {"resolved": "promote"})
    said = told(story.front.next_steps(decision, [up], limits, RATES, plan))
    assert "5% of users have new; the rule of the ramp says now: promote to 50% of users" in said
    assert "Roll back, at 50% of users" in said


def test_what_happens_next_where_nothing_is_decided():
    plan, decision = case([-0.02, -0.2])
    needed, reason = (decision["candidates"]["new"][name] for name in ("labels_needed", "reasons"))
    said = told(story.front.next_steps(decision, [], pd.DataFrame(), RATES, plan))
    assert "old stays in production" in said and "other" not in said
    assert (f"have people judge about {needed} more items" if needed else reason[0]) in said
    plan, decision = case([0.02], gaps=gap_rows(joint=0.02, joint_sd=0.01), checks=[flag("new")])
    said = told(story.front.next_steps(decision, [], pd.DataFrame(), RATES, plan))
    assert "new: find out why live requests contradict the test set on correct" in said
    assert story.verdict(decision, plan).startswith("## Collect more evidence")
    plan, decision = case([-0.02], retires="2027-01-10")
    said = told(story.front.next_steps(decision, [], pd.DataFrame(), RATES, plan))
    assert "staying is no option" in said and "stays in production" not in said


def test_a_slice_less_sure_than_the_whole_is_watched():
    plan, decision = case([0.02])
    decision["candidates"]["new"]["gates"]["correct"]["slices"]["south"] = 0.85
    assert "Watch south on correct (85.0%)" in story.front.next_steps(decision, [], pd.DataFrame(), RATES, plan)


def test_who_must_sign():
    plan, _ = case([0.02])
    assert "Owner by 2027-01-15: no further step before they have" in told(story.front.must_sign(plan))
    nobody = plan.model_copy(update={"decision": plan.decision.model_copy(update={"owner": None})})
    assert "names nobody" in story.front.must_sign(nobody)


def test_judges_of_the_house_of_a_model_are_named():
    plan, _ = case([0.02])
    metric = plan.metrics[0]
    kin = plan.model_copy(update={"metrics": (metric.model_copy(update={"family": "New"}),)})
    assert "judge and new are of the same family (New)" in story.measured.judges(kin)
    assert "Who computes judge, the plan does not say" in story.measured.judges(plan)


def test_sections_that_sentences_lead_to_are_in_the_report():
    named = {name for one in (front, risks) for name in re.findall(r"section\('([^']+)'\)",
                                                                  Path(one.__file__).read_text("utf-8"))}
    cells = nbformat.read(Path(__file__).resolve().parents[1] / "notebooks" / "05_report.ipynb", as_version=4).cells
    headings = {line.removeprefix("## ") for cell in cells if cell.cell_type == "markdown"
                for line in cell.source.splitlines() if line.startswith("## ")}
    assert named and named <= headings


def test_page_one_says_how_much_better_and_what_happens_if_nobody_decides():
    plan, decision = case([0.02], retires="2027-06-30")
    gate = decision["candidates"]["new"]["gates"]["correct"]
    said = told(story.front.sure(decision, estimates(plan), counts(plan), NO_GAPS, plan))
    size = unit_of(plan.gates[0]).size(gate["mean"])
    assert f"new is expected to be {size} better on correct (" in said
    after = told(story.front.next_steps(decision, [], pd.DataFrame(), RATES, plan))
    assert "Switching to new would then have the smallest expected loss." in after
    plan, decision = case([0.02])
    assert "expected loss" not in story.front.next_steps(decision, [], pd.DataFrame(), RATES, plan)
    assert "(the gate of this plan: a loss beyond 3 points is not accepted)" in told(story.question(plan))


def test_more_labels_are_asked_for_unless_live_requests_are_all_that_is_open():
    plan, decision = case([0.02, 0.02])
    for contradicted, what in (((), "labels"), (("new",), "labels"), (("new", "other"), "evidence")):
        for model, one in decision["candidates"].items():
            one |= {"verdict": "collect", "gaps": {"correct": "."} if model in contradicted else {}}
        said = story.verdict(decision | {"verdict": "collect", "candidate": None}, plan)
        assert said.startswith(f"## Collect more {what}\n")


def test_how_sure_names_the_weakest_gate_and_counts_judgments_over_all_gates():
    plan, decision = case([0.02])
    plan, one = with_roles(plan, polite="gate"), decision["candidates"]["new"]
    one["gates"]["correct"] |= {"probability": 0.99}
    one["gates"]["polite"] = one["gates"]["correct"] | {"probability": 0.97}
    few = counts(plan, judged=200)
    both = pd.concat([few, few.assign(criterion="polite", judged=300)])
    gaps = pd.concat([gap_rows(), gap_rows().assign(criterion="polite", n_labels=40)])
    said = told(story.front.sure(decision, estimates(plan), both, gaps, plan))
    assert "The least sure is polite (97.0%)." in said
    assert "rests on 200 to 300 judged outputs each of old and new for every gate" in said
    assert "and on 120 judged live outputs of new" in said


def test_other_methods_are_those_on_all_traffic_for_the_candidate_to_switch_to():
    plan, decision = case([0.02, -0.2])
    assert decision["candidate"] == "new"
    rows = estimates(plan)
    apart = (rows["slice"] != "all") | (rows["model"] != "new")
    rows = rows.assign(prob_noninferior=rows["prob_noninferior"].mask(apart, 0.5))
    said = told(story.front.sure(decision, rows, counts(plan), NO_GAPS, plan))
    assert "some of 1 other method stay below 95%: 91.0% by labels alone on correct.\n" in said
    ppi = rows[rows["method"] == "labels_only"].assign(method="ppi")
    held = {"labels_only": 0.98, "ppi": 0.99, "calibrated": 0.999}
    both = pd.concat([rows, ppi], ignore_index=True)
    both = both.assign(prob_noninferior=both["method"].map(held).mask((both["slice"] != "all") | (
        both["model"] != "new"), 0.5))
    said = told(story.front.sure(decision, both, counts(plan), NO_GAPS, plan))
    assert "2 other methods that lean on the labels more agree: each gate holds with 98.0% or more (least by labels " \
           "alone on correct)." in said


def test_nobody_is_said_to_switch_to_the_incumbent():
    plan, decision = case([0.02], retires="2027-06-30")
    said = told(story.front.next_steps(decision | {"cheapest": "old"}, [], pd.DataFrame(), RATES, plan))
    assert "If nobody decides" in said and "Switching to old" not in said


@pytest.mark.parametrize(("held", "said"), [
    ({"correct": 0.99, "polite": 0.9}, "polite in north: 10.0%"),
    ({"correct": 0.9, "polite": 0.99}, "correct in north: 10.0%")])
def test_of_several_gates_the_slice_margin_most_likely_broken_is_named(held, said):
    plan, decision = case([0.02])
    plan = with_roles(plan, polite="gate")
    rows = pd.concat([estimates(plan).assign(criterion=name) for name in held], ignore_index=True)
    north = rows["criterion"].map(held).where(rows["slice"] == "north", 0.999)
    rows, nobody = rows.assign(prob_noninferior=north), people(plan, decision).iloc[:0]
    text = told(could_go_wrong(decision, rows, check_table([]).assign(meaning=""), nobody, plan))
    assert f"losing more than a slice margin is largest for {said}." in text
