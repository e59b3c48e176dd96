"""The ramp: what the rule says of counts, how often it is right and wrong, and the numbers told beforehand."""

import re

import numpy as np
import pandas as pd
import pytest

from migration_kit.figures import live as figures
from migration_kit.plan import Plan
from migration_kit.ramp import (
    DONE,
    HOLD,
    PROMOTE,
    ROLL_BACK,
    errors,
    joint_action,
    ramp_actions,
    ramp_look,
    ramp_path,
    simulate_ramps,
    true_contrast,
)
from migration_kit.ramp_limits import rollback_conditions
from migration_kit.story import live as story
from migration_kit.tables import live as tables

RESOLVED = {"id": "resolved", "role": "gate", "margin": 0.02}
SECONDS = {"id": "seconds", "role": "gate", "scale": "continuous", "better": "lower", "margin": 0.5, "range": [0, 30]}


def plan_with(*outcomes, users=60_000, **keys):
    return Plan.model_validate({
        "title": "Small", "models": {"incumbent": {"id": "old"}, "candidates": [{"id": "new"}, {"id": "other"}]},
        "data": {"items": {"path": "items.csv"}, "scores": {"path": "scores.csv"}},
        "criteria": [{"id": "correct", "role": "gate", "metrics": ["judge"], "margin": 0.03}],
        "live_outcomes": list(outcomes), "traffic": {"users_per_day": users}, **keys})


def rates_of(**of):
    rows = {name: {"mean": mean, "sd": sd, "answered": answered, "users": 1000}
            for name, (mean, sd, answered) in of.items()}
    return pd.DataFrame.from_dict(rows, orient="index")


def counts_of(days, *, model="new", criterion="resolved"):
    """One row a day: (share, users with the candidate, their rate, users with the incumbent, their rate)."""
    rows = []
    for number, (share, n, rate, n_old, rate_old) in enumerate(days):
        rows.append({"model": model, "criterion": criterion, "day": pd.Timestamp("2026-11-01", tz="UTC")
                     + pd.Timedelta(days=number), "share": share, "n": n, "total": n * rate, "squares": n * rate,
                     "n_incumbent": n_old, "total_incumbent": n_old * rate_old, "squares_incumbent": n_old * rate_old})
    return pd.DataFrame(rows)


PLAN = plan_with(RESOLVED)
RATES = rates_of(resolved=(0.8, 0.4, 1.0))
BOTH = plan_with(RESOLVED, SECONDS)
BOTH_RATES = rates_of(resolved=(0.8, 0.4, 1.0), seconds=(1.2, 1.0, 1.0))


@pytest.fixture(scope="module")
def odds():
    return simulate_ramps(PLAN, RATES, seed=1, replicates=2000).set_index("scenario")


def test_a_worse_candidate_hardly_ever_reaches_all_users_and_a_better_one_does(odds):
    """The acceptance of the issue, with 60,000 users a day, 1-5-25-50-100%, a base rate of 80% and a margin of 2."""
    assert odds.loc["much worse", "contrast"] == pytest.approx(-0.05) and odds.loc["much worse", "promoted"] <= 0.05
    assert odds.loc["better", "contrast"] == pytest.approx(0.03) and odds.loc["better", "promoted"] >= 0.8
    # The error that the bounds allow is that at the margin itself, over the whole ramp.
    assert odds.loc["worse by the margin", "promoted"] <= 0.05
    assert odds.loc["much worse", "rolled_back"] >= 0.95
    assert odds.loc[["better", "no difference"], "rolled_back"].max() <= 0.05


def test_who_meets_a_bad_candidate_and_for_how_long_is_told(odds):
    bad, good = odds.loc["much worse"], odds.loc["better"]
    assert bad["worse"] and not good["worse"]
    assert 1 <= bad["rolled_back_days"] <= bad["rolled_back_days_90"] <= 28
    assert bad["users"] == pytest.approx(600 * bad["rolled_back_days"], rel=0.5)
    assert bad["users_share"] == pytest.approx(0.01, rel=0.2)
    assert np.isnan(bad["promoted_days"]) and good["promoted_days"] >= len(PLAN.ramp) - 1
    assert odds[["promoted", "rolled_back", "held"]].sum(axis=1).to_numpy() == pytest.approx(np.ones(len(odds)))


def test_fewer_answers_and_fewer_users_make_the_ramp_slower():
    few = simulate_ramps(PLAN, rates_of(resolved=(0.8, 0.4, 0.1)), seed=1, replicates=500).set_index("scenario")
    small = simulate_ramps(plan_with(RESOLVED, users=6_000), RATES, seed=1, replicates=500).set_index("scenario")
    assert few.loc["better", "promoted_days"] > 8 and few.loc["no difference", "promoted"] < 0.5
    # A tenth of the users who answer, or a tenth of the users: the same to the rule.
    assert few["promoted"].to_numpy() == pytest.approx(small["promoted"].to_numpy(), abs=0.1)
    assert few.loc["much worse", "promoted"] == 0


def test_the_same_seed_gives_the_same_ramps():
    first, again = (simulate_ramps(PLAN, RATES, seed=4, replicates=50) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)


def test_with_several_gates_each_alone_stops_a_ramp():
    found = simulate_ramps(BOTH, BOTH_RATES, seed=2, replicates=500).set_index(["scenario", "criterion"])
    assert set(found.index) == {("no difference", "")} | {
        (scenario, gate) for scenario in ("much worse", "worse by the margin", "better")
        for gate in ("resolved", "seconds")}
    assert found.loc["much worse", "promoted"].max() <= 0.05 and found.loc["much worse", "rolled_back"].min() > 0.9
    assert found.loc["worse by the margin", "promoted"].max() <= 0.05
    assert found.loc[("no difference", ""), "promoted"] > 0.8
    assert errors(BOTH) == pytest.approx((0.05, 0.025)) and errors(PLAN) == pytest.approx((0.05, 0.05))


def test_a_contrast_ends_where_the_outcome_ends():
    rates = rates_of(resolved=(0.98, 0.14, 1.0), seconds=(1.2, 1.0, 1.0))
    assert true_contrast(BOTH.live_outcome("resolved"), rates, 0.03) == pytest.approx(0.02)
    assert true_contrast(BOTH.live_outcome("seconds"), rates, 5.0) == pytest.approx(1.2)
    assert true_contrast(BOTH.live_outcome("seconds"), rates, -5.0) == pytest.approx(-5.0)


def test_without_gates_or_users_per_day_nothing_is_simulated():
    for plan in (plan_with({**RESOLVED, "role": "monitor"}), plan_with(RESOLVED, traffic={"requests_per_day": 9})):
        odds = simulate_ramps(plan, RATES, seed=1)
        conditions = rollback_conditions(plan, RATES)
        assert odds.empty and conditions.empty
        told = [story.ramp_odds(odds, RATES, plan), story.rollback(conditions, RATES, plan)]
        assert all("role gate" in one or "users_per_day" in one for one in told)
        assert tables.ramp_odds(odds, plan) and tables.rollback(conditions, plan)
        assert figures.ramp_odds(odds, plan).alt_text


def test_a_ramp_that_begins_with_all_users_is_over_at_once():
    plan = plan_with(RESOLVED, ramp=[1.0])
    odds = simulate_ramps(plan, RATES, seed=1, replicates=20)
    assert (odds["promoted"] == 1).all() and (odds["users"] == 0).all()
    assert rollback_conditions(plan, RATES).empty


def test_simulation_and_look_follow_one_rule():
    """Ramps of users drawn one by one, looked at through `ramp_path`, end as the simulation says."""
    plan, most = plan_with(RESOLVED, users=2_000, ramp=[0.1, 0.5, 1.0]), 10
    odds = simulate_ramps(plan, RATES, seed=3, replicates=2000, most_days=most).set_index("scenario")
    rng, ends, runs = np.random.default_rng(17), {"much worse": [], "better": []}, 40
    for scenario, difference in (("much worse", -0.05), ("better", 0.03)):
        for _ in range(runs):
            days, step = [], 0
            while len(days) < most and step < 2:
                new = rng.random(2_000) < plan.ramp[step]
                good = rng.random(2_000) < np.where(new, 0.8 + difference, 0.8)
                days.append((plan.ramp[step], new.sum(), good[new].mean(), (~new).sum(), good[~new].mean()))
                said = ramp_path(counts_of(days), plan)["action"].iloc[-1]
                step = 9 if said == ROLL_BACK else step + (said == PROMOTE)
            ends[scenario].append({9: ROLL_BACK, 2: PROMOTE}.get(step, HOLD))
        for column, end in (("promoted", PROMOTE), ("rolled_back", ROLL_BACK)):
            expected = odds.loc[scenario, column]
            error = np.sqrt(max(expected * (1 - expected), 0.01) * (1 / runs + 1 / 2000))
            assert np.mean(np.array(ends[scenario]) == end) == pytest.approx(expected, abs=4 * error)


def test_a_look_tells_steps_bounds_and_what_each_gate_says():
    days = [(0.01, 600, 0.80, 59_400, 0.80)] * 3 + [(0.05, 3_000, 0.81, 57_000, 0.80)] * 4
    path, looks = ramp_path(counts_of(days), PLAN), ramp_look(counts_of(days), PLAN)
    assert len(path) == 7 and path["action"].iloc[0] == HOLD and path["action"].iloc[-1] == PROMOTE
    assert looks["share"].tolist() == [0.01, 0.05] and looks["days"].tolist() == [3, 4]
    assert looks["users"].tolist() == [1_800, 12_000] and looks["rate"].iloc[1] == pytest.approx(0.81)
    assert ((path["lower"] < path["contrast"]) & (path["contrast"] < path["upper"])).all()
    # A promoting gate is one whose lower bound is above the margin, and no other.
    assert ((path["lower"] > -0.02) == (path["action"] == PROMOTE)).all()
    (action,) = ramp_actions(looks, PLAN)
    assert (action.action, action.share, action.next_share, action.days) == (PROMOTE, 0.05, 0.25, 4)
    (held,) = ramp_actions(looks, PLAN, split_as_planned=False)
    assert held.action == HOLD
    assert "Users were not split as planned" in story.ramp([held], looks, PLAN, split_as_planned=False)
    told = story.ramp([action], looks, PLAN, split_as_planned=True)
    assert "promote to 25% of users" in told and "4 days" in told and "margin −2.0" in told


def test_a_gate_rolls_back_and_one_is_enough():
    bad = counts_of([(0.05, 3_000, 0.70, 57_000, 0.80)] * 3)
    good = counts_of([(0.05, 3_000, 0.96, 57_000, 0.96)] * 3, criterion="seconds")
    looks = ramp_look(pd.concat([bad, good]), BOTH)
    (action,) = ramp_actions(looks, BOTH)
    assert action.gates == {"resolved": ROLL_BACK, "seconds": PROMOTE} and action.action == ROLL_BACK
    # Seconds lie between 0, the best, and 30.
    seconds = looks.set_index("criterion").loc["seconds"]
    assert seconds["rate"] == pytest.approx(0.04 * 30) and seconds["margin"] == 0.5
    (alone,) = ramp_actions(ramp_look(good, BOTH), BOTH)
    assert alone.action == HOLD and alone.gates["resolved"] == ""
    assert "resolved has no users yet" in story.ramp([alone], ramp_look(good, BOTH), BOTH, split_as_planned=None)
    assert joint_action([]) == HOLD and joint_action([PROMOTE, PROMOTE]) == PROMOTE


def test_the_ramp_is_over_when_every_user_has_the_candidate():
    days = [(0.5, 30_000, 0.81, 30_000, 0.80)] * 2 + [(1.0, 60_000, 0.81, 0, 0.0)]
    looks = ramp_look(counts_of(days), PLAN)
    (action,) = ramp_actions(looks, PLAN)
    assert action.action == DONE and np.isnan(looks["rate_incumbent"].iloc[-1])
    assert "the ramp is over" in story.ramp([action], looks, PLAN, split_as_planned=None)


def test_every_candidate_has_a_ramp_of_its_own():
    counts = pd.concat([counts_of([(0.05, 3_000, 0.70, 57_000, 0.80)] * 3),
                        counts_of([(0.05, 3_000, 0.84, 57_000, 0.80)] * 3, model="other")])
    found = {one.model: one.action for one in ramp_actions(ramp_look(counts, PLAN), PLAN)}
    assert found == {"new": ROLL_BACK, "other": PROMOTE}


@pytest.mark.parametrize("name", ["resolved", "seconds"])
def test_the_numbers_told_beforehand_are_those_the_rule_acts_on(name):
    conditions = rollback_conditions(BOTH, BOTH_RATES)
    mine = conditions[conditions["criterion"] == name]
    assert len(mine) == 4 * 3 and mine["roll_back"].notna().all()
    row, step = mine[(mine["share"] == 0.05) & (mine["days"] == 3)].iloc[0], 1e-4
    assert row["users"] == pytest.approx(3 * 3_000)
    outcome, base = BOTH.live_outcome(name), BOTH_RATES.loc[name, "mean"]
    sign = 1 if outcome.better == "higher" else -1
    for column, beyond, said in (("roll_back", -sign, ROLL_BACK), ("promote", sign, PROMOTE)):
        for shift, expected in ((beyond, said), (-beyond, HOLD)):
            value = row[column] + shift * step
            rates = [value, base] if name == "resolved" else [1 - value / 30, 1 - base / 30]
            counts = counts_of([(0.05, 3_000, rates[0], 57_000, rates[1])] * 3, criterion=name)
            if name == "seconds":
                for end, rate in (("", rates[0]), ("_incumbent", rates[1])):
                    counts[f"squares{end}"] = counts[f"n{end}"] * (rate**2 + (1 / 30) ** 2)
            assert ramp_path(counts, BOTH)["action"].iloc[-1] == expected


def test_more_users_bring_the_numbers_nearer_to_the_margin():
    conditions = rollback_conditions(PLAN, RATES)
    for _, part in conditions.groupby("share"):
        assert part["roll_back"].is_monotonic_increasing and part["promote"].is_monotonic_decreasing
        assert (part["roll_back"] < 0.78).all() and (part["promote"] > 0.78).all()
    told = story.rollback(conditions, RATES, PLAN)
    week = conditions[conditions["days"] == 7].iloc[0]
    assert f"{100 * week['roll_back']:.1f}% after {week['users']:,.0f} users at 1%" in told
    assert "at most 5%" in told
    few = rollback_conditions(PLAN, rates_of(resolved=(0.8, 0.4, 0.005)))
    assert few["promote"].isna().any() and "no rate does it yet" in tables.rollback(few, PLAN).as_raw_html()


def test_sentences_tables_and_figures_hold_the_simulated_numbers(odds):
    rows = odds.reset_index()
    told = story.ramp_odds(rows, RATES, PLAN)
    bad = odds.loc["much worse"]
    assert f"median {bad['rolled_back_days']:.0f} days" in told and f"{round(bad['users']):,} users" in told
    assert "80.0% on resolved (every user has it)" in told and "too slow" not in told
    slow = story.ramp_odds(rows.assign(promoted=0.3), RATES.assign(users=0), PLAN)
    assert "too slow for resolved" in slow and "assumed" in slow
    html = tables.ramp_odds(rows, PLAN).as_raw_html()
    assert "resolved 5 points worse" in html and f"{bad['users']:,.0f}" in html
    drawn = figures.ramp_odds(rows, PLAN)
    assert "resolved 3 points better" in drawn.alt_text and "2,000 simulated ramps" in drawn.caption


def test_the_figure_of_a_ramp_tells_where_it_stands():
    days = [(0.01, 600, 0.80, 59_400, 0.80)] * 3 + [(0.05, 3_000, 0.81, 57_000, 0.80)] * 4
    path = ramp_path(counts_of(days), PLAN)
    drawn = figures.ramp(path, PLAN, "new")
    assert re.search(r"on day 7 at 5% of users \+0\.9 \(bounds .* margin −2\.0\), promote", drawn.alt_text)
    assert [text.get_text() for text in drawn.axes[0].texts] == ["1%", "5%"]
    assert figures.ramp(path, PLAN, "other").alt_text.startswith("No users of other")
    assert "resolved" in tables.ramp_looks(ramp_look(counts_of(days), PLAN), PLAN).as_raw_html()


def test_a_step_up_that_the_rule_had_not_allowed_is_told():
    looks = ramp_look(counts_of([(0.01, 600, 0.80, 59_400, 0.80), (0.05, 3_000, 0.80, 57_000, 0.80)]), PLAN)
    assert looks["action"].tolist() == [HOLD, HOLD]
    for before in (HOLD, ROLL_BACK, PROMOTE):
        mine = looks.assign(action=[before, HOLD])
        told = story.ramp(ramp_actions(mine, PLAN), mine, PLAN, split_as_planned=True)
        early = "The step up from 1% of users was taken although the rule did not say promote"
        assert told.count("was taken although") == (before != PROMOTE)
        assert (f"{early} (resolved: {before})." in told) == (before != PROMOTE)


@pytest.mark.parametrize(("part", "apart"), [(0.4, True), (0.6, False), (1.0, False), (1.9, False), (2.5, True)])
def test_tables_with_far_fewer_or_more_users_than_the_plan_counts_on_are_told(part, apart):
    days = [(share, round(60_000 * share * part), 0.80, round(60_000 * (1 - share) * part), 0.80)
            for share in (0.01, 0.01, 0.05)]
    looks = ramp_look(counts_of(days), PLAN)
    told = story.ramp(ramp_actions(looks, PLAN), looks, PLAN, split_as_planned=True)
    assert (f"The tables hold {60_000 * part:,.0f} users a day, and the plan counts on 60,000" in told) == apart
    assert ("The tables hold" in told) == apart
