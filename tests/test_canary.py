"""What users of a canary do: one value a user, posterior, split, people who keep silent, and counts for the ramp."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from migration_kit.canary import (
    canary_table,
    outcome_contrasts,
    sample_ratio_check,
    silent_rate,
    silent_users,
)
from migration_kit.canary_users import base_rates, canary_users, ramp_counts
from migration_kit.contract import no_live
from migration_kit.data import EvalData
from migration_kit.estimates import check_estimates
from migration_kit.figures import live as figures
from migration_kit.plan import Plan
from migration_kit.ramp import ramp_look
from migration_kit.story import live as story
from migration_kit.tables import live as tables

RESOLVED = {"id": "resolved", "role": "gate", "margin": 0.02}
SECONDS = {"id": "seconds", "role": "gate", "scale": "continuous", "better": "lower", "margin": 0.5, "range": [0, 30]}
THUMBS = {"id": "thumbs_up", "role": "monitor", "margin": 0.05}
SHARES = {"amer": 0.75, "emea": 0.25}


def plan_with(*outcomes, candidates=("new",), **keys):
    return Plan.model_validate({
        "title": "Small",
        "models": {"incumbent": {"id": "old"}, "candidates": [{"id": name} for name in candidates]},
        "data": {"items": {"path": "items.csv"}, "scores": {"path": "scores.csv"}}, "slices": ["region"],
        "criteria": [{"id": "correct", "role": "gate", "metrics": ["judge"], "margin": 0.03}],
        "live_outcomes": list(outcomes), "traffic": {"users_per_day": 60_000}, **keys})


PLAN = plan_with(RESOLVED, SECONDS, THUMBS)


def data_of(rows):
    live = pd.concat([no_live(), pd.DataFrame(rows)], ignore_index=True) if len(rows) else no_live()
    live["time"] = pd.to_datetime(live["time"], utc=True)
    live["user"] = live["user"].where(live["user"].notna(), live["item_id"])
    live = live.astype({"value": float, "assigned_prob": float, "inclusion_prob": float})
    empty = pd.DataFrame()
    traffic = pd.DataFrame({"slice": list(SHARES), "share": list(SHARES.values()), "count": np.nan})
    return EvalData(empty, empty, empty, traffic, empty, empty, live=live)


def row(user, model, value, *, criterion="resolved", day=1, hour=9, slice_="amer", prob=None, item=None):
    prob = {"old": 0.9, "new": 0.1}.get(model) if prob is None else prob
    return {"item_id": item or f"{user}-{criterion}-{day}-{hour}", "model": model, "stage": "canary",
            "time": f"2026-11-{day:02d}T{hour:02d}:00:00Z", "user": user, "criterion": criterion, "rater": "log",
            "rater_kind": "code", "value": value, "assigned_prob": prob, "slice": slice_}


def crowd(n, model, good, *, prefix="", **more):
    """`n` users with one value each, the first `good` of them 1."""
    return [row(f"{model}{prefix}{k}", model, float(k < good), **more) for k in range(n)]


def drawn(rng, *, users=4_000, share=0.5, rates=None, silent=0.0):
    rates = {"old": {"amer": 0.8, "emea": 0.6}, "new": {"amer": 0.85, "emea": 0.5}} if rates is None else rates
    rows = []
    for k in range(users):
        model, where = "new" if rng.random() < share else "old", "amer" if rng.random() < 0.5 else "emea"
        good = float(rng.random() < rates[model][where])
        if rng.random() >= silent:
            rows.append(row(f"u{k}", model, good, slice_=where, prob=share if model == "new" else 1 - share))
    return data_of(rows)


def test_a_user_counts_once_with_the_mean_of_what_he_did():
    data = data_of([row("u1", "new", 1), row("u1", "new", 0, day=3), row("u1", "new", 0, day=3, hour=11),
                    row("u1", "new", 2.5, criterion="seconds"), row("u2", "old", 1, slice_="emea", day=2)])
    users = canary_users(data, PLAN).set_index(["criterion", "user"])
    assert len(users) == 3
    assert users.loc[("resolved", "u1"), "value"] == pytest.approx(1 / 3)
    # The ramp counts a user on his first day, with what he did then.
    assert users.loc[("resolved", "u1"), "first_value"] == 1
    counts = ramp_counts(data, PLAN)
    assert counts.loc[counts["criterion"] == "resolved", "n"].sum() == 1
    assert set(counts["criterion"]) == {"resolved", "seconds"}, "gates only"


def test_a_user_stands_in_the_slice_of_his_first_request():
    data = data_of([row("u1", "new", 0, day=2, slice_="emea"), row("u1", "new", 1, day=1), row("u2", "old", 1)])
    assert set(canary_users(data, PLAN)["slice"]) == {"amer"}


def test_the_table_tells_steps():
    data = data_of([*crowd(10, "new", 7), *crowd(90, "old", 60), *crowd(50, "new", 30, prefix="b", day=2, prob=0.5),
                    *crowd(50, "old", 20, prefix="b", day=2, prob=0.5)])
    table = canary_table(data, PLAN)
    steps = table[table["candidate"] == "new"].set_index(["step", "model"])
    assert steps.loc[(0.5, "new"), "users"] == 50 and steps.loc[(0.5, "old"), "mean"] == pytest.approx(0.4)
    assert steps.loc[(0.1, "old"), "users"] == 90
    total = table[(table["candidate"] == "") & (table["slice"] == "all")].set_index("model")
    assert total.loc["new", "users"] == 60 and total.loc["new", "mean"] == pytest.approx(37 / 60)


def test_contrasts_are_those_of_users_weighted_by_traffic():
    data = drawn(np.random.default_rng(1))
    found = outcome_contrasts(data, PLAN, seed=3)
    check_estimates(found)
    assert set(found["layer"]) == {"canary"} and set(found["method"]) == {"live"}
    users = canary_users(data, PLAN)
    cells = users.groupby(["model", "slice"])["value"].agg(["mean", "var", "size"])
    delta = cells["mean"]["new"] - cells["mean"]["old"]
    error = np.sqrt(cells["var"]["new"] / cells["size"]["new"] + cells["var"]["old"] / cells["size"]["old"])
    share = pd.Series(SHARES)
    total = found[(found["quantity"] == "contrast")].set_index("slice")
    assert total.loc["all", "mean"] == pytest.approx((share * delta).sum(), abs=0.002)
    sd = np.sqrt((share**2 * error**2).sum())
    assert total.loc["all", "sd"] == pytest.approx(sd, rel=0.06)
    assert total.loc["all", "prob_noninferior"] == pytest.approx(
        norm.cdf(((share * delta).sum() + 0.02) / sd), abs=0.03)
    assert total.loc["emea", "mean"] == pytest.approx(delta["emea"], abs=0.003)
    pd.testing.assert_frame_equal(found, outcome_contrasts(data, PLAN, seed=3))


def test_intervals_hold_the_truth():
    rng, inside, runs = np.random.default_rng(2), 0, 80
    truth = 0.75 * 0.05 - 0.25 * 0.1
    for number in range(runs):
        found = outcome_contrasts(drawn(rng, users=400), PLAN, seed=number)
        total = found[(found["quantity"] == "contrast") & (found["slice"] == "all")].iloc[0]
        inside += total["lower"] <= truth <= total["upper"]
    assert inside / runs == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / runs))


def test_where_less_is_better_the_sign_turns_and_the_unit_stays():
    rng = np.random.default_rng(3)
    rows = [row(f"{model}{k}", model, value, criterion="seconds", slice_=("amer", "emea")[k % 2])
            for model, mean in (("old", 2.0), ("new", 3.0)) for k, value in enumerate(rng.gamma(4, mean / 4, 900))]
    data = data_of(rows)
    found = outcome_contrasts(data, PLAN, seed=1).set_index(["quantity", "model", "slice"])
    assert found.loc[("contrast", "new", "all"), "mean"] == pytest.approx(-1.0, abs=0.15)
    assert found.loc[("quality", "new", "all"), "mean"] == pytest.approx(3.0, abs=0.15)
    assert found.loc[("contrast", "new", "all"), "prob_noninferior"] < 0.01
    users = canary_users(data, PLAN)
    values = users[users["model"] == "new"]["value"]
    error = np.sqrt((pd.Series([0.75, 0.25]) ** 2 * values.var() / 450).sum())
    assert found.loc[("quality", "new", "all"), "sd"] == pytest.approx(error, rel=0.12)
    counts = ramp_counts(data, PLAN).iloc[0]
    assert counts["total"] / counts["n"] == pytest.approx(1 - values.mean() / 30)
    assert counts["squares"] == pytest.approx(((1 - values / 30) ** 2).sum())
    look = ramp_look(ramp_counts(data, PLAN), PLAN).iloc[0]
    assert look["rate"] == pytest.approx(values.mean()) and look["contrast"] == pytest.approx(-1, abs=0.15)


def test_a_slice_in_which_all_users_agree_is_not_certain_and_one_without_users_is_not_known():
    data = data_of([*crowd(8, "new", 8), *crowd(8, "old", 8)])
    found = outcome_contrasts(data, PLAN, seed=1)
    rows = found[found["quantity"] == "contrast"].set_index("slice")
    assert rows.loc["amer", "sd"] > 0.02 and np.isnan(rows.loc["emea", "mean"])
    # The total rests on the slices with users of both.
    assert rows.loc["all", "mean"] == pytest.approx(rows.loc["amer", "mean"])
    assert found["n_labels"].tolist() == [8, 8, 0, 8, 8, 0, 8, 8, 0]


def test_users_split_as_planned_pass_and_a_lost_tenth_is_told():
    rng = np.random.default_rng(4)
    fine = [sample_ratio_check(drawn(rng, users=600, share=0.25), PLAN) for _ in range(40)]
    assert all(check.passed for check in fine) and fine[0].table["expected"].sum() == 600
    data = drawn(rng, users=20_000, share=0.5)
    live = data.live
    lost = (live["model"] == "new") & (np.arange(len(live)) % 10 == 0)
    check = sample_ratio_check(data_of(live[~lost].to_dict("records")), PLAN)
    assert check.passed is False and check.models == ("new",) and not check.blocks
    assert "While 50% of users" in check.text and "new where" in check.text and "start the step anew" in check.text


def test_the_step_at_which_the_split_is_wrong_is_named():
    good = [*crowd(100, "new", 50), *crowd(900, "old", 500)]
    bad = [*crowd(300, "new", 90, prefix="b", day=2, prob=0.5), *crowd(700, "old", 90, prefix="b", day=2, prob=0.5)]
    check = sample_ratio_check(data_of([*good, *bad]), PLAN)
    assert check.passed is False and "While 50% of users" in check.text and "300 users had new" in check.text
    assert check.table.set_index(["step", "model"]).loc[(0.1, "new"), "p"] > 0.5
    assert sample_ratio_check(data_of(good), PLAN).passed


def test_a_share_that_changes_during_the_day_is_no_mismatch():
    before = [*crowd(100, "new", 50), *crowd(900, "old", 500)]
    after = [*crowd(500, "new", 50, prefix="b", hour=15, prob=0.5), *crowd(500, "old", 50, prefix="b", hour=15,
                                                                           prob=0.5)]
    data = data_of([*before, *after])
    check = sample_ratio_check(data, PLAN)
    assert check.passed and set(check.table["step"].round(3)) == {0.1, 0.5}
    counts = ramp_counts(data, PLAN)
    # The plan's ramp names 50%; 10% is near none of its steps and stays what it is.
    assert counts["share"].tolist() == [0.1, 0.5] and counts["n"].tolist() == [100, 500]


def test_days_of_the_incumbent_alone_are_no_mismatch_and_no_part_of_the_ramp():
    data = data_of([*crowd(500, "old", 400, prefix="a", prob=1.0), *crowd(100, "new", 80, day=2),
                    *crowd(900, "old", 700, day=2)])
    assert sample_ratio_check(data, PLAN).passed
    counts = ramp_counts(data, PLAN)
    assert counts["n_incumbent"].tolist() == [900]


def test_several_candidates_share_the_incumbents_users():
    plan = plan_with(RESOLVED, candidates=("new", "other"))
    rows = [*crowd(100, "new", 50, prob=0.1), *crowd(100, "other", 60, prob=0.1), *crowd(800, "old", 500, prob=0.8)]
    assert sample_ratio_check(data_of(rows), plan).passed
    counts = ramp_counts(data_of(rows), plan).set_index("model")
    assert counts["n_incumbent"].to_dict() == {"new": 800, "other": 800}


def test_without_assigned_probabilities_the_split_is_not_known_and_the_share_is_that_seen():
    rows = [one | {"assigned_prob": np.nan} for one in [*crowd(52, "new", 30), *crowd(948, "old", 500)]]
    check = sample_ratio_check(data_of(rows), PLAN)
    assert check.passed is None and "assigned_prob" in check.text
    # 5.2% is the step of 5%.
    assert ramp_counts(data_of(rows), PLAN)["share"].tolist() == [0.05]


def test_few_users_cannot_tell():
    assert sample_ratio_check(data_of([*crowd(1, "new", 1), *crowd(9, "old", 5)]), PLAN).passed is None
    assert sample_ratio_check(data_of([]), PLAN).passed is None


def answered(rates=(0.5, 0.25), good=(0.7, 0.8), n=400):
    """Users who all have a latency, of whom some gave a thumb."""
    rows = []
    for model, share, rate in zip(("old", "new"), rates, good, strict=True):
        for k in range(n):
            rows.append(row(f"{model}{k}", model, 2.0 + k % 3, criterion="seconds"))
            if k < share * n:
                rows.append(row(f"{model}{k}", model, float(k < share * rate * n), criterion="thumbs_up"))
    return data_of(rows)


def test_the_tipping_point_is_where_all_users_together_reach_the_margin():
    found = silent_users(answered(), PLAN)
    (total,) = found[found["slice"] == "all"].to_dict("records")
    assert (total["answered"], total["answered_incumbent"]) == (0.25, 0.5)
    assert total["contrast"] == pytest.approx(0.1) and total["reachable"]
    together = total["answered"] * total["rate"] + (1 - total["answered"]) * total["silent"]
    # Silent users of the incumbent are taken to be like those who answered.
    assert together - total["rate_incumbent"] == pytest.approx(-0.05)
    assert total["gap"] == pytest.approx(total["silent"] - 0.7)
    for other in (0.2, 0.9):
        silent = silent_rate(total, other, better="higher")
        new = total["answered"] * total["rate"] + (1 - total["answered"]) * silent
        old = total["answered_incumbent"] * total["rate_incumbent"] + (1 - total["answered_incumbent"]) * other
        assert new - old == pytest.approx(-0.05)
    told = story.silent(found, PLAN)
    assert "gave no thumbs" in told and f"{100 * total['silent']:.1f}%" in told
    assert f"{100 * total['silent']:.1f}%" in tables.silent(found, PLAN).as_raw_html()


def test_the_tipping_point_of_a_rate_that_should_be_low_lies_above():
    plan = plan_with(SECONDS, THUMBS | {"better": "lower"})
    total = silent_users(answered(good=(0.3, 0.2)), plan).iloc[0]
    assert total["contrast"] == pytest.approx(0.1) and total["silent"] > total["rate_incumbent"] and total["gap"] < 0
    new = total["answered"] * total["rate"] + (1 - total["answered"]) * total["silent"]
    assert new - total["rate_incumbent"] == pytest.approx(0.05)


def test_no_rate_of_few_silent_users_turns_a_clear_contrast():
    found = silent_users(answered(rates=(0.98, 0.98), good=(0.5, 0.9)), PLAN)
    assert not found["reachable"].any()
    assert "Whatever silent users of new alone are like" in story.silent(found, PLAN)
    assert "no rate does it" in tables.silent(found, PLAN).as_raw_html()


def test_when_everybody_answered_nobody_is_silent():
    found = silent_users(answered(rates=(1.0, 1.0)), PLAN)
    assert found.empty and "nobody kept silent" in story.silent(found, PLAN)
    assert "lack" in figures.tipping_point(found, PLAN, PLAN.live_outcome("thumbs_up")).alt_text


def test_the_tipping_figure_draws_the_point_and_the_cross():
    found = silent_users(answered(), PLAN)
    total = found.iloc[0]
    drawn_ = figures.tipping_point(found, PLAN, PLAN.live_outcome("thumbs_up"))
    marks = {line.get_marker(): (line.get_xdata()[0], line.get_ydata()[0]) for line in drawn_.axes[0].lines}
    assert marks["o"] == pytest.approx((0.7, 0.8)) and marks["x"] == pytest.approx((0.7, total["silent"]))
    assert f"{100 * total['silent']:.1f}%" in drawn_.alt_text and "75.0% of users silent" in drawn_.alt_text
    assert drawn_.caption


def test_base_rates_are_the_incumbents_and_assumed_without():
    rates = base_rates(answered(), PLAN)
    assert rates.index.tolist() == ["resolved", "seconds"]
    seconds = rates.loc["seconds"]
    assert seconds["mean"] == pytest.approx(3.0, abs=0.02) and seconds["users"] == 400 and seconds["answered"] == 1
    assert rates.loc["resolved"].to_dict() == {"mean": 0.5, "sd": 0.5, "answered": 1.0, "users": 0}
    thumbs = plan_with(THUMBS | {"role": "gate"})
    assert base_rates(answered(), thumbs).loc["thumbs_up", "answered"] == pytest.approx(0.5)


def test_contrasts_are_told_drawn_and_tabled():
    data = drawn(np.random.default_rng(5))
    found = outcome_contrasts(data, PLAN, seed=1)
    total = found[(found["quantity"] == "contrast") & (found["slice"] == "all")].iloc[0]
    told = story.canary(found, PLAN)
    assert f"{total['n_labels']:,} users of new" in told and f"{100 * abs(total['mean']):.1f} points" in told
    assert "worse in emea" in told
    drawn_ = figures.outcomes(found, PLAN, PLAN.live_outcome("resolved"))
    assert "emea" in drawn_.alt_text and "all users" in drawn_.alt_text
    html = tables.outcomes(found, PLAN).as_raw_html()
    assert "higher is better (gate, margin 2 points)" in html and f"{total['n_labels']:,}" in html


def test_without_a_canary_all_of_it_says_so():
    data = data_of([])
    found = outcome_contrasts(data, PLAN, seed=1)
    assert found.empty and canary_table(data, PLAN).empty and silent_users(data, PLAN).empty
    counts = ramp_counts(data, PLAN)
    assert counts.empty and ramp_look(counts, PLAN).empty
    assert "No users were given a candidate yet" in story.canary(found, PLAN)
    assert "No users were given a candidate yet" in story.ramp([], ramp_look(counts, PLAN), PLAN,
                                                               split_as_planned=None)
    assert "No users" in figures.outcomes(found, PLAN, PLAN.live_outcome("resolved")).alt_text
