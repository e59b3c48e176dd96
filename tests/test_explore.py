"""Other settings on stored draws say what `decide` says of a plan that has them, and turn where flip points say."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from explore_case import SHARE, everything, the_plan

from migration_kit.decision import decide
from migration_kit.labels_needed import settled_share
from migration_kit.widgets.explore import FOREST_COLUMNS, explore, forest, stored
from migration_kit.widgets.settings import plan_with

NO_ALARMS = pd.DataFrame(columns=["alarm", "text"])


def near(expected):
    return pytest.approx(expected, nan_ok=True)


def decided(plan, made):
    return decide(plan, alarms=NO_ALARMS, **made)


def agree(found, expected):
    """The explorer's decision and `decide`'s, number for number; labels needed are told by another control."""
    assert (found.verdict, found.candidate) == (expected.verdict, expected.candidate)
    assert found.sentence == expected.sentence
    for model, one in expected.candidates.items():
        mine = found.candidates[model]
        assert (mine.verdict, mine.probability) == (one.verdict, near(one.probability))
        assert mine.expected_utility == near(one.expected_utility)
        assert mine.probability_best == near(one.probability_best)
        assert mine.reasons == [text for text in one.reasons if "more labelled items" not in text]
        for name, gate in one.gates.items():
            own = mine.gates[name]
            numbers = ("probability", "probability_worse", "mean", "lower", "upper", "smallest_margin", "margin")
            assert [getattr(own, key) for key in numbers] == near([getattr(gate, key) for key in numbers])
            assert own.slices == near(gate.slices)
    assert (found.cheapest, found.break_even) == (expected.cheapest, expected.break_even)
    assert found.losses["expected_loss"].tolist() == near(
        [np.nan if row["expected_loss"] is None else row["expected_loss"] for row in expected.losses])
    assert [(row["by"], row["candidate"]) for row in found.utilities] == [
        (row["by"], row["candidate"]) for row in expected.utilities]
    assert [row["best"] for row in found.utilities] == near([row["best"] for row in expected.utilities])


@pytest.mark.parametrize("live", [False, True])
def test_the_plans_own_settings_give_the_decision(live):
    plan = the_plan()
    made = everything(plan, live=live)
    known = stored(plan, **made)
    agree(explore(known, known.settings), decided(plan, made))


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("change", [
    {"margins": {"correct": 0.06, "polite": 0.02}}, {"margins": {"correct": 0.03, "polite": 0.001}},
    {"margins": {"correct": 0.2, "polite": 0.2}, "slice_margins": {"correct": 0.2}},
    {"slice_margins": {"correct": 0.03}}, {"assurance": 0.99}, {"slice_assurance": 0.5},
    {"weights": {"correct": 0.0, "polite": 0.0, "liked": 3.0}}, {"stakeholders": {"South": 5.0, "Fans": 0.0}},
    {"cost_ratio": 0.5}])
def test_other_settings_are_a_plan_that_has_them(change, live):
    plan = the_plan()
    made = everything(plan, live=live)
    known = stored(plan, **made)
    settings = replace(known.settings, **change)
    other = plan_with(plan, settings)
    assert other != plan
    # What live requests contradict is made anew for those margins, as stage 04 would have.
    agree(explore(known, settings), decided(other, everything(other, live=live) if live else made))
    # What was kept in between belongs to other settings.
    agree(explore(known, known.settings), decided(plan, made))


def test_another_mix_of_traffic_is_the_decision_on_draws_weighted_by_it():
    plan, mix = the_plan(), {"north": 0.2, "south": 0.8}
    known, made = stored(plan, **everything(plan)), everything(plan, mix)
    found = explore(known, replace(known.settings, shares=mix))
    agree(found, decided(plan, made))
    assert found.candidates["new"].gates["correct"].mean < explore(
        known, known.settings).candidates["new"].gates["correct"].mean


def test_where_traffic_was_counted_its_uncertainty_stays():
    plan = the_plan()
    made = everything(plan)
    drawn = np.random.default_rng(0).dirichlet([7, 3], size=(2, 300))[:, :, None, :]
    for one in made["draws"].values():
        for method in one.values():
            method.values[..., 0] = (method.values[..., 1:] * drawn).sum(axis=-1)
    known = stored(plan, **made)
    own, moved = (explore(known, replace(known.settings, shares=mix)) for mix in (
        SHARE, {"north": 0.69, "south": 0.31}))
    before, after = (one.drawn["liked", "new"].totals[0] for one in (own, moved))
    assert before == pytest.approx(made["draws"]["liked"]["calibrated"].values[..., 1, 0].ravel() - 0.7)
    assert after.std() == pytest.approx(before.std(), rel=0.05)


def with_point(settings, point, at):
    """The settings with what a flip point is about moved to `at`."""
    key = {"margin": "margins", "slice margin": "slice_margins"}.get(point["what"])
    if key:
        return replace(settings, **{key: {**getattr(settings, key), point["criterion"]: at}})
    left = (1 - at) / (1 - SHARE[point["where"]])
    mix = {name: at if name == point["where"] else share * left for name, share in SHARE.items()}
    return replace(settings, shares=mix)


def test_margins_and_traffic_turn_the_verdict_where_flip_points_say():
    plan = the_plan()
    made = everything(plan)
    known, turned = stored(plan, **made), set()
    for point in decided(plan, made).flip_points:
        if point["at"] is None or point["what"] not in ("margin", "slice margin", "traffic"):
            continue
        # Traffic is looked at in a thousand steps.
        step = (2e-3 if point["what"] == "traffic" else 1e-4) * (1 if point["at"] > point["now"] else -1)
        before, after = (explore(known, with_point(known.settings, point, point["at"] + way * step)).candidates[
            point["candidate"]].verdict for way in (-1, 1))
        own = explore(known, known.settings).candidates[point["candidate"]].verdict
        assert (before, after) == (own, point["verdict"]) and own != point["verdict"], point
        turned.add(point["what"])
    assert {"margin", "traffic"} <= turned


def test_further_labels_narrow_intervals_and_say_how_often_each_verdict_follows():
    plan = the_plan()
    known = stored(plan, **everything(plan))
    few, many = (explore(known, replace(known.settings, more=more)) for more in (50, 800))
    assert explore(known, known.settings).candidates["new"].labels is None
    for model in plan.candidates:
        shares = many.candidates[model].labels.verdicts
        assert sum(shares.values()) == pytest.approx(1)
    rows, later = forest(known, few, "correct"), forest(known, many, "correct")
    assert list(rows.columns) == list(FOREST_COLUMNS)
    for table in (rows, later):
        assert (table["later_lower"] > table["lower"]).all() and (table["later_upper"] < table["upper"]).all()
    assert ((later["later_upper"] - later["later_lower"]) < (rows["later_upper"] - rows["later_lower"])).all()
    # A trade-off has no margin and an interval to expect all the same.
    assert forest(known, many, "liked")["probability"].isna().all()
    assert (forest(known, many, "liked")["later_upper"] < forest(known, many, "liked")["upper"]).all()


def test_the_share_of_settled_runs_is_that_of_labels_needed():
    from migration_kit.evidence import gate_evidence

    plan = the_plan()
    made = everything(plan)
    known = stored(plan, **made)
    found = explore(known, replace(known.settings, more=100)).candidates["new"].labels
    evidence = [gate_evidence(known.drawn[gate.id, "new"], made["features"][gate.id], "new") for gate in plan.gates]
    share = settled_share(evidence, 100, assurance=0.9, slice_assurance=0.7, seed=3)
    assert 1 - found.verdicts["collect"] == pytest.approx(share)


def test_labels_do_not_settle_a_requirement_that_fails():
    plan = the_plan()
    made = everything(plan)
    made["requirements"].loc[1, "status"] = "fail"
    known = stored(plan, **made)
    found = explore(known, replace(known.settings, more=400)).candidates["new"]
    assert found.verdict == "keep" and found.labels.verdicts == {"switch": 0.0, "keep": 1.0, "collect": 0.0}


def test_a_gate_that_nobody_judged_stays_unknown_whatever_is_moved():
    plan = the_plan()
    made = everything(plan)
    made["draws"].pop("polite")
    blank = made["features"]["polite"]
    made["features"]["polite"] = blank.assign(label=blank["label"] * np.nan)
    known = stored(plan, **made)
    agree(explore(known, known.settings), decided(plan, made))
    found = explore(known, replace(known.settings, more=100, assurance=0.5))
    assert found.candidates["new"].verdict != "switch" and found.candidates["new"].labels is None
    assert forest(known, found, "polite")["mean"].isna().all()


def test_the_forest_of_a_slice_is_held_against_its_slice_margin():
    plan = the_plan()
    known = stored(plan, **everything(plan))
    found = explore(known, known.settings)
    south = forest(known, found, "correct", "south").set_index("model")
    assert south.loc["new", "probability"] == found.candidates["new"].gates["correct"].slices["south"]
    total = forest(known, found, "polite").set_index("model")
    # `other` misfits on polite: the weaker of two methods counts.
    assert total.loc["other", "probability"] == found.candidates["other"].gates["polite"].probability


def test_utilities_follow_the_mix_back_and_forth():
    wide = stored(the_plan(), **everything(the_plan())).settings
    plan = plan_with(the_plan(), replace(wide, margins={"correct": 0.2, "polite": 0.2}, slice_margins={"correct": 0.2}))
    known, mixes = stored(plan, **everything(plan)), (SHARE, {"north": 0.2, "south": 0.8})
    expected = [decided(plan, everything(plan, mix)) for mix in mixes]
    # The same candidates may be chosen under both.
    assert {one.verdict for found in expected for one in found.candidates.values()} == {"switch"}
    assert expected[0].utilities != expected[1].utilities
    for place in (0, 1, 0):
        agree(explore(known, replace(known.settings, shares=mixes[place])), expected[place])


def test_whether_live_requests_contradict_the_test_set_follows_the_margin_back_and_forth():
    plan, contradicted = the_plan(), []
    known = stored(plan, **everything(plan, live=True))
    for margin in (0.005, 0.15, 0.005):
        settings = replace(known.settings, margins=known.settings.margins | {"correct": margin},
                           slice_margins={"correct": 0.2})
        other = plan_with(plan, settings)
        expected = decided(other, everything(other, live=True))
        agree(explore(known, settings), expected)
        contradicted.append(bool(expected.candidates["new"].gaps))
    assert contradicted == [True, False, True]


def test_an_incumbent_that_retires_within_the_ramp_forces_the_same_choice():
    content = the_plan().model_dump(by_alias=True)
    content["models"]["incumbent"]["retires"] = "2027-01-20"
    plan = type(the_plan()).model_validate(content)
    made = everything(plan)
    known = stored(plan, ramp_days=10.0, **made)
    settings = replace(known.settings, margins={"correct": 0.001, "polite": 0.001})
    expected = decide(plan_with(plan, settings), alarms=NO_ALARMS, ramp_days=10.0, **made)
    assert expected.candidate is None and expected.forced
    assert decide(plan_with(plan, settings), alarms=NO_ALARMS, **made).forced is None
    agree(explore(known, settings), expected)


@pytest.mark.parametrize(("live", "mix"), [(False, {"north": 0.2, "south": 0.8}), (True, SHARE)])
def test_further_labels_are_weighed_by_the_mix_and_tell_what_they_told_the_test_set(live, mix):
    from migration_kit.evidence import gate_evidence

    plan = the_plan()
    made = everything(plan, live=live)
    known = stored(plan, **made)
    found = explore(known, replace(known.settings, shares=mix, more=100))
    asked = {"assurance": 0.9, "slice_assurance": 0.7, "seed": 3}
    offline = stored(plan, **made | {"gaps": None}).drawn
    shares = []
    for right in (True, False):
        evidence = []
        for gate in plan.gates:
            key, of = (gate.id, "new"), made["features"][gate.id]
            alone = offline[key] if right and live and gate.id == "correct" else None
            own = gate_evidence(found.drawn[key], of, "new", offline=alone)
            evidence.append(replace(own, share=np.array(list(mix.values()))) if right else own)
        shares.append(settled_share(evidence, 100, **asked))
    told = 1 - found.candidates["new"].labels.verdicts["collect"]
    assert told == pytest.approx(shares[0]) and told != pytest.approx(shares[1])


def test_a_candidate_that_nobody_judged_is_not_decided_by_a_guess():
    plan = the_plan()
    made = everything(plan)
    label = made["features"]["correct"]["label"].copy(deep=True)
    label.loc[{"model": "new"}] = np.nan
    made["features"]["correct"] = made["features"]["correct"].assign(label=label)
    known, expected = stored(plan, **made), decided(plan, made)
    assert known.drawn["correct", "new"] is not None and expected.candidates["new"].verdict != "switch"
    agree(explore(known, known.settings), expected)
