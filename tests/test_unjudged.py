"""What nobody judged is not spoken of as if it were known: criteria without labels, models without labels."""

import numpy as np
import pandas as pd
import pytest
from helpers import small_data, small_features, small_plan
from test_tables import cells, page

from migration_kit import figures, overview, story, tables
from migration_kit.agreement import agreement
from migration_kit.crosschecks import cross_checks
from migration_kit.metric_worth import metric_worth

MODELS = ("old", "new", "other")


def case(*unlabelled: str, **criterion: object):
    """Features and plan of a gate on which nobody judged the models named, and estimates as if calibrated."""
    plan, rng = small_plan(models=MODELS, slices=True, **criterion), np.random.default_rng(1)
    label = (rng.random((40, 3)) < 0.7).astype(float)
    label[:, [MODELS.index(name) for name in unlabelled]] = np.nan
    regions = np.resize(["a", "b"], 40)
    features = small_features((rng.random((40, 3, 1)) < 0.7).astype(float), label, plan, regions=regions)
    rows = pd.concat([cross_checks(features, plan, traffic=traffic, seed=1) for traffic in (False, True)])
    own = rows[rows["method"] == "labels_only"].assign(method="calibrated")
    filled = own.fillna({"mean": 0.1, "lower": 0.0, "upper": 0.2, "prob_noninferior": 0.9})
    return features, plan, pd.concat([rows, filled if len(unlabelled) < 3 else filled.iloc[:0]], ignore_index=True)


def test_a_criterion_nobody_judged_is_not_known():
    features, plan, rows = case(*MODELS)
    criterion, weighted = plan.criteria[0], rows[rows["layer"] == "traffic"]
    nobody = "Nobody has judged an output on correct, so nothing is known."
    assert {story.quality(weighted, plan, criterion), story.contrast(weighted, plan, criterion),
            story.methods(weighted, plan, criterion), story.slices(weighted, plan, criterion),
            story.traffic_shift(rows, plan, criterion)} == {nobody}
    told = story.judged({"correct": features}, plan)
    assert told.startswith("**Nobody has judged an output on correct.**")
    assert "until people have judged some, the verdict on every candidate" in told
    assert "no model is fitted" in story.model(plan, {"correct": features})
    data = small_data(np.zeros((2, 3, 1)), np.full((2, 3), np.nan), plan)
    assert story.measured.limits({"correct": features}, data, plan, full=True).startswith(
        "- Human judgments: none on correct, so nothing is known")
    assert "not known, because nobody" in story.weights(rows, plan)
    assert "worth on correct is not known" in story.metric_worth(metric_worth(features, plan, traffic=True), criterion)
    told = story.flips(overview.flips(features, plan), plan, criterion)
    assert "by judge it loses" in told and "What people would call lost and gained is not known" in told
    assert cells(tables.estimates(weighted, plan)) == cells(tables.slices(weighted, plan)) == []


def test_judged_criteria_are_said_to_be():
    features, plan, _ = case()
    assert story.judged({"correct": features}, plan) == "People have judged outputs on every criterion."
    none, *_ = case(*MODELS)
    gate = plan.criteria[0]
    plan = plan.model_copy(update={"criteria": (gate, *(gate.model_copy(update={"id": name}) for name in "ab"))})
    told = story.judged({"correct": features, "a": none, "b": none}, plan)
    assert "on a and b.**" in told and "no result below is about them" in told and "`collect`" in told
    watched = plan.model_copy(update={"criteria": tuple(
        one.model_copy(update={"role": "monitor"}) if one.id in "ab" else one for one in plan.criteria)})
    told = story.judged({"correct": features, "a": none, "b": none}, watched)
    assert told.endswith("The plan only watches them, so the verdict does not wait for them.")


@pytest.mark.parametrize("unlabelled", ["other", "old"])
def test_numbers_of_a_model_nobody_judged_are_said_to_be_guesses(unlabelled):
    _, plan, rows = case(unlabelled)
    criterion, weighted = plan.criteria[0], rows[rows["layer"] == "traffic"]
    assert f"Nobody has judged an output of {unlabelled}: its numbers are guesses" in story.quality(
        weighted, plan, criterion)
    for told in (story.contrast(weighted, plan, criterion), story.slices(weighted, plan, criterion),
                 story.traffic_shift(rows, plan, criterion)):
        lines = dict(zip(plan.candidates, told.split("\n"), strict=True))
        for model, line in lines.items():
            assert ("A guess, because nobody has judged" in line) == (unlabelled in (model, plan.incumbent)), line
    note = "With 0 labels, a guess from metrics and priors."
    assert note in page(tables.estimates(weighted, plan)).get_text()
    _, plan, rows = case()
    assert note not in page(tables.estimates(rows[rows["layer"] == "traffic"], plan)).get_text()
    assert "guess" not in story.contrast(rows[rows["layer"] == "traffic"], plan, criterion)


def test_agreement_is_told_of_judged_criteria_only():
    features, plan, _ = case()
    told = story.agreement({"correct": agreement(features, interval=0.95, seed=1)}, plan)
    assert told.startswith("- On correct one person judged each output") and "nobody" not in told
    assert story.agreement({}, plan) == "- On correct nobody has judged an output yet."


def test_a_metric_without_direction_and_no_label_leave_nothing_to_draw():
    features, plan, _ = case(*MODELS, metric_better="none")
    counts = overview.flips(features, plan)
    drawn = figures.flips(counts, plan, plan.criteria[0])
    assert drawn.alt_text == "Answers that flip on correct: 0 items have two answers to compare."
    assert "no item has an answer to compare" in story.flips(counts, plan, plan.criteria[0])


def decision(*, labelled: bool, mean: float = np.nan) -> dict:
    gate = {"margin": 0.03, "slice_margin": None, "probability": mean, "probability_worse": mean, "mean": mean,
            "lower": mean, "upper": mean, "smallest_margin": mean, "slices": {}, "labelled": labelled}
    one = {"verdict": "collect", "probability": np.nan, "probability_independent": np.nan, "reasons": [],
           "gates": {"correct": gate, "style": gate}, "requirements": {}, "labels_needed": None}
    return {"verdict": "collect", "candidate": None, "probability": None, "sentence": "", "candidates": {"new": one},
            "alarms": []}


def test_a_gate_without_labels_has_no_margin_at_which_it_would_hold():
    content = small_plan().model_dump(by_alias=True)
    gate = content["criteria"][0]
    plan = type(small_plan()).model_validate(content | {"criteria": [gate, gate | {"id": "style"}]})
    nobody, guess = decision(labelled=False), decision(labelled=False, mean=0.1)
    assert story.margins_needed(nobody, plan).count("cannot be told without labels of both models") == 2
    assert story.joint(nobody, plan).startswith("The probability that all gates hold is not known for new, because")
    assert story.alarms(nobody) == "There is no calibrated contrast to hold a metric against."
    row = next(row for row in cells(tables.verdicts(nobody, plan)) if row[0] == "new")
    assert row == ["new", "collect", "nobody judged it", "nobody judged it", "–", "–"]
    assert "+10.0 points; 10.0% (a guess, no labels of both models)" in next(
        row for row in cells(tables.verdicts(guess, plan)) if row[0] == "new")
    assert ["new", "correct", "3 points", "–", "has no labels of both models"] in cells(
        tables.margins_needed(guess, plan))


def test_one_gate_needs_no_bound_and_no_requirements_no_column():
    plan = small_plan()
    one = decision(labelled=True, mean=0.1)
    del one["candidates"]["new"]["gates"]["style"]
    table = tables.verdicts(one, plan)
    assert next(row for row in cells(table) if row[0] == "new") == ["new", "collect", "+10.0 points; 10.0%", "–"]
    assert "Asked of the gate: 95%" in page(table).get_text()


@pytest.mark.parametrize(("scale", "said", "not_said"), [
    ("binary", "yes and no where people say", "middle"), ("continuous", "of the median over all models", "middle"),
    ("pairwise", "won and lost", "middle"), ({"ordinal": [1, 5]}, "of the middle of the scale", "median")])
def test_better_and_worse_sides_are_told_for_the_scales_there_are(scale, said, not_said):
    plan = small_plan(scale=scale, margin=0.03)
    counts = pd.DataFrame([{"model": "old", "criterion": "correct", "items": 2, "with_metric": 2, "complete": 2,
                            "judged": 2, "judgments": 2, "mean": 0.5, "middle": 0.5, "bad": 1, "good": 1}])
    note = page(tables.flow(counts, plan, outcomes=True)).get_text()
    assert said in note and not_said not in note


def test_one_criterion_with_a_say_keeps_the_verdict_open_beside_a_monitor():
    features, plan, _ = case(*MODELS)
    watched = plan.criteria[0].model_copy(update={"id": "watched", "role": "monitor"})
    plan = plan.model_copy(update={"criteria": (*plan.criteria, watched)})
    told = story.judged({"correct": features, "watched": features}, plan)
    assert "on correct and watched.**" in told and "`collect`" in told and "only watches" not in told
