"""Sentences and tables on costs, outputs a day, elimination, stakeholders and the forms to sign."""

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from test_decision import gap_rows, make, verdicts
from test_stakeholders import estimates
from test_tables import cells

from migration_kit import story, tables
from migration_kit.elimination import elimination
from migration_kit.files import plain
from migration_kit.loss import people
from migration_kit.stakeholders import answers

EVIL = "<img src=x onerror=alert(1)>"
NO_REQUIREMENTS = pd.DataFrame(columns=["requirement", "model", "status", "text"])
COSTS = {"wrong_switch": 300, "wrong_stay": 60, "unit": "thousand USD"}


def told(said) -> str:
    return str(said).replace("\\", "")


def text_of(table) -> str:
    page = BeautifulSoup(table.as_raw_html(), "html.parser")
    assert not page.find_all("img")
    return page.get_text(" ", strip=True)


def case(deltas, *, costs=COSTS, due="2027-01-15", retires=None, people_=(), volume=None, **more):
    """Plan and decision as `decision.json` gives it back."""
    plan, draws, features = make(deltas, slices={"north": deltas, "south": deltas}, slice_margin=0.2)
    content = plan.model_dump(by_alias=True) | {"decision": {"owner": "Owner", "due": due}, "stakeholders": people_}
    content["models"]["incumbent"]["retires"] = retires
    if costs:
        content["costs"] = costs
    if volume:
        content["traffic"] = {"requests_per_day": volume}
    plan = type(plan).model_validate(content)
    return plan, plain(verdicts((plan, draws, features), **more).to_dict())


def test_costs_are_told_and_when_the_verdict_says_otherwise():
    plan, decision = case([0.02])
    said = told(story.losses(decision, plan))
    assert "once the probability that every gate holds is above 83.3%; the plan asks for 95%" in said
    assert "switching to new has the smallest expected loss" in said and "The verdict differs" not in said
    assert "staying with old 60" in said
    plan, decision = case([-0.0155])
    assert "The verdict differs, because it asks for the plan's assurance" in told(story.losses(decision, plan))
    dearer = case([-0.0155], costs=COSTS | {"wrong_switch": 3000})
    assert "staying with old has the smallest" in told(story.losses(*dearer[::-1]))
    assert "does not say what a wrong switch" in story.losses(*case([0.02], costs=None)[::-1])
    shown = text_of(tables.losses(decision, plan))
    assert "switch to new" in shown and "thousand USD" in shown and "smallest" in shown


def test_a_forced_choice_is_told_with_what_softens_it():
    plan, decision = case([-0.02, -0.025], retires="2027-01-10")
    said = told(story.forced(decision, plan))
    assert "staying is no option" in said and "new is the least bad" in said and "What would soften it:" in said
    assert "A later retirement of old" in said
    assert text_of(tables.forced(decision, plan)).index("new") < text_of(tables.forced(decision, plan)).index("other")
    assert "stays in production" not in story.conditions(decision, plan)
    plan, decision = case([-0.02], retires="2027-02-28")
    assert "44 days after the decision is due" in told(story.forced(decision, plan))
    assert "stays in production" in story.conditions(decision, plan)
    assert "names no day" in story.forced(*case([-0.02])[::-1])


def test_staying_is_no_option_wherever_it_is_told():
    plan, decision = case([-0.0155], retires="2027-01-10")
    assert decision["forced"]
    assert told(story.losses(decision, plan)).count("What staying would cost is told for comparison only: it is no opt")
    assert "no option" in text_of(tables.losses(decision, plan))
    assert "is open" not in told(story.stakes(plan))
    open_ = case([-0.0155], retires="2027-02-28")[::-1]
    assert "no option" not in told(story.losses(*open_)) + text_of(tables.losses(*open_))
    assert "so staying is open until then" in told(story.forced(*open_))


def test_losses_are_told_in_outputs_a_day():
    plan, decision = case([0.02], volume=10_000)
    rows = people(plan, decision)
    said = told(story.people(rows, decision, plan))
    assert "the margin is 300 outputs a day" in said and "new is expected to have 200 fewer on the worse side" in said
    assert "−200" in text_of(tables.people(rows, plan))
    plan, decision = case([-0.02], volume=10_000)
    assert "200 more on the worse side" in told(story.people(people(plan, decision), decision, plan))
    plan, decision = case([0.02])
    assert "does not say how many requests" in story.people(people(plan, decision), decision, plan)


def test_who_stopped_where_is_told():
    plan, decision = case([0.02, -0.2])
    table = elimination(plan, decision, NO_REQUIREMENTS)
    said = told(story.elimination(table, decision, plan))
    assert said == "other stopped at gate correct (ruled out). new passed every step."
    shown = text_of(tables.elimination(table))
    assert "nobody else" in shown and "loses more than 3 points is >99.9%" in shown
    rows = pd.DataFrame([{"step": step, "candidate": who, "outcome": "", "reason": "", "remaining": left}
                         for step, who, left in (("facts", "", "a and b"), ("gate x", "", "a and b"),
                                                 ("gate y", "a", "b"), ("every slice", "", "b"))])
    shown = text_of(tables.elimination(rows))
    assert "facts, gate x nobody" in shown and "every slice nobody else" in shown
    plan, decision = case([-0.2])
    assert "No candidate passed every step" in story.elimination(
        elimination(plan, decision, NO_REQUIREMENTS), decision, plan)


CONCERN = [{"name": EVIL, "concern": "Are answers in the <b>south</b> right?", "criterion": "correct",
            "slice": "south", "weight": 2, "signs": True}]


def test_every_concern_gets_its_number():
    plan, decision = case([0.02, 0.03], people_=CONCERN)
    rows = answers(plan, decision, estimates())
    said = told(story.stakeholders(rows, decision, plan))
    assert "other on correct in south: 3 points better (−7.0 to +13.0); the probability of losing no more than" in said
    assert "new on correct" not in said and "Signs the decision." in said and EVIL in said
    assert ", and live" in text_of(tables.stakeholders(rows.assign(live=True), plan))
    assert ", and live" not in text_of(tables.stakeholders(rows.assign(live=False), plan))
    assert EVIL in text_of(tables.stakeholders(rows, plan)) and EVIL in text_of(tables.utilities(decision, plan))
    assert "\\<img" in story.stakeholders(rows, decision, plan)
    utilities = told(story.utilities(decision, plan))
    assert "other has the highest expected utility by the plan's weights" in utilities
    assert "By the stakeholders' weights it is other too" in utilities
    none = rows.assign(mean=np.nan)
    assert "nobody has judged it" in story.stakeholders(none, decision, plan)
    plan, decision = case([0.02])
    assert "names no stakeholders" in story.stakeholders(rows.iloc[:0], decision, plan)
    assert "only candidate" in story.utilities(decision, plan)


def test_it_is_said_where_live_requests_count():
    plan, decision = case([0.02, 0.02], gaps=gap_rows(joint=0.02, joint_sd=0.01))
    assert "Of new test set and live requests are joined." in text_of(tables.verdicts(decision, plan))
    assert "joined" not in text_of(tables.verdicts(case([0.02])[1], plan))
    contradicted = {**decision["candidates"]["new"], "verdict": "collect", "gaps": {"correct": "unlike"}}
    flagged = {**decision, "candidates": {"new": contradicted}}
    assert "labels do not settle it" in text_of(tables.verdicts(flagged, plan))
    assert "labels do not settle it" not in text_of(tables.verdicts(decision, plan))
    plan, decision = case([0.02, 0.02], people_=CONCERN)
    rows = answers(plan, decision, estimates()).assign(live=True)
    assert "test set and live requests joined" in story.stakeholders(rows, decision, plan)


def test_a_concern_shows_both_where_the_verdict_is_open():
    plan, decision = case([-0.02, -0.2], people_=CONCERN)
    said = told(story.stakeholders(answers(plan, decision, estimates()), decision, plan))
    assert "new on correct in south" in said and "other on correct" not in said


@pytest.mark.parametrize(("concern", "roles"), [(CONCERN, ["Owner", EVIL]), ([], ["Owner"])])
def test_the_form_names_those_who_sign(concern, roles):
    plan, _ = case([0.02], people_=concern)
    shown = text_of(tables.sign_off(plan))
    assert all(role in shown for role in roles)
    fast = {"run_dir": "runs/support", "stages": {"03_calibration": {"fast": True}}}
    assert "but not this report" in told(story.sign_off(plan, fast))
    said = told(story.sign_off(plan, fast | {"stages": {"03_calibration": {"fast": False}}}))
    assert said.startswith(" and ".join(roles)) and "runs/support" in said


def test_steps_that_stop_nobody_share_a_row_and_every_row_says_who_remains():
    steps = (("facts", "", "a, b and c"), ("gate x", "", "a, b and c"), ("gate y", "a", "b and c"),
             ("gate y", "b", "c"), ("slice margins", "", "c"), ("trade-offs", "", "c"))
    table = pd.DataFrame([{"step": step, "candidate": who, "outcome": "ruled out" if who else "", "remaining": left,
                           "reason": "it lost" if who else ""} for step, who, left in steps])
    fallen = [["gate y", who, "ruled out", "it lost"] for who in "ab"]
    assert cells(tables.elimination(table)) == [
        ["facts, gate x", "nobody", "", "", "a, b and c"], [*fallen[0], "b and c"], [*fallen[1], "c"],
        ["slice margins, trade-offs", "nobody else", "", "", "c"]]
    assert cells(tables.elimination(table.iloc[2:4])) == [[*fallen[0], "b and c"], [*fallen[1], "c"]]
