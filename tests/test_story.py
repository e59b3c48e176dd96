"""Sentences say what the numbers say, for every sign and for what is not known."""

import numpy as np
import pandas as pd
import pytest
from conftest import write_tiny

from migration_kit import overview, story
from migration_kit.checks import CheckResult, check_table
from migration_kit.crosschecks import cross_checks
from migration_kit.data import load_data
from migration_kit.features import build_features
from migration_kit.fragment import _said2html
from migration_kit.plan import load_plan
from migration_kit.story.results import contrast_sentence
from migration_kit.wording import (
    amount,
    chance,
    listed,
    minus,
    number,
    percent,
    points,
    safe,
    share,
    short,
    size,
    span,
    wrapped,
)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    plan = load_plan(write_tiny(tmp_path_factory.mktemp("story")))
    data = load_data(plan)
    return plan, data, build_features(data, plan, "correct")


def row(mean, lower, upper, probability=np.nan) -> pd.Series:
    return pd.Series({"mean": mean, "lower": lower, "upper": upper, "prob_noninferior": probability})


def test_numbers():
    assert [points(v) for v in (0.0214, -0.0214, 0.0, -0.0001, np.nan)] == ["+2.1", "−2.1", "0.0", "0.0", "–"]
    assert [size(v) for v in (0.03, -0.021, 0.01, 0.0)] == ["3 points", "2.1 points", "1 point", "0 points"]
    assert [chance(v) for v in (1.0, 0.9996, 0.9994, 0.95, 0.0004, 0.0, np.nan)] == [
        ">99.9%", ">99.9%", "99.9%", "95.0%", "<0.1%", "<0.1%", "–"]
    assert [share(v) for v in (0.8, 0.05, 0.054, 0.0, 0.999)] == ["80%", "5%", "5.4%", "0%", "100%"]
    assert [amount(v) for v in (15000.0, 4.25, 0, 1234.0, np.nan)] == ["15,000", "4.2", "0", "1,230", "–"]
    assert [number(v) for v in (0.9985, 1.5139, -0.25)] == ["0.9985", "1.51", "−0.25"]
    assert percent(0.6512) == "65.1%"
    assert span(-0.004, 0.046) == "−0.4 to +4.6"
    assert span(0.1, 0.2, rate=True) == "10.0% to 20.0%"
    assert span(np.nan, 0.2) == "–"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed([]) == "none"
    assert minus("moved by -2.0 (a-2025-06)") == "moved by −2.0 (a-2025-06)"


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>", "**b** _i_ `c`", "[a](javascript:b)", "$x$ | y",
                                  "1. a", "# h", "- a", "https://a.b/c", "a\n\n## b", "&amp; \\ ~~x~~", "!"])
def test_names_come_out_letter_by_letter(name):
    from bs4 import BeautifulSoup

    for text in (safe(name), f"- {safe(name)} is"):
        page = BeautifulSoup(_said2html(text), "html.parser")
        assert " ".join(name.split()) in page.get_text()
        assert {tag.name for tag in page.find_all(True)} <= {"p", "ul", "li"}


def test_labels_in_figures_break_where_parts_end():
    assert wrapped("afinn_emoticons_agrees", 20) == "afinn_emoticons_\nagrees"
    assert wrapped("tweets", 20) == "tweets"
    assert wrapped("", 20).strip() == ""
    assert max(map(len, wrapped("x" * 100, 20).split("\n"))) <= 20
    assert len(wrapped("word " * 30, 20).split("\n")) == 2
    assert short("a" * 50, 10) == "aaaaaaaaa…"


@pytest.mark.parametrize(
    ("numbers", "expected", "absent"),
    [
        (row(0.021, 0.004, 0.046, 0.998),
         ["is 2.1 points better than old", "95% interval +0.4 to +4.6)", "losing more than 5 points: 0.2%"],
         ["includes no difference"]),
        (row(-0.021, -0.06, 0.02, 0.9), ["is 2.1 points worse", "which includes no difference", ": 10.0%"], []),
        (row(-0.08, -0.1, -0.06, 0.0), ["is 8 points worse", "more than 5 points: >99.9%"], ["includes no difference"]),
        (row(0.0001, -0.03, 0.03, 1.0), ["is level with old", "<0.1%"], ["better", "worse"]),
        (row(np.nan, np.nan, np.nan), ["Nothing is known of new"], ["better", "worse"]),
    ],
)
def test_a_contrast_is_told_with_its_sign(case, numbers, expected, absent):
    plan = case[0]
    told = contrast_sentence("new", numbers, plan, plan.criterion("correct")).replace("\\", "")
    assert all(part in told for part in expected), told
    assert not any(part in told for part in absent), told


def test_without_a_margin_no_probability_is_told(case):
    plan = case[0]
    monitor = plan.criterion("correct").model_copy(update={"margin": None, "role": "monitor"})
    assert "probability" not in contrast_sentence("new", row(0.02, 0.01, 0.03), plan, monitor)


def test_the_question_names_everybody(case):
    told = story.question(case[0]).replace("\\", "")
    for part in ("**new**", "**small**", "**old**", "Head of Support", "2027-01-15", "keep", "1,000 requests"):
        assert part in told


def test_mix_tells_the_largest_gap_and_slices_without_labels():
    slices = pd.DataFrame({"slice": ["a", "b"], "traffic_share": [0.8, 0.2], "item_share": [0.3, 0.7],
                           "items": [3, 7], "labelled": [1, 0]})
    told = story.mix(slices)
    assert "80% of production traffic and 30%" in told
    assert "counts more" in told
    assert "1 item of it is labelled" in told
    assert "Nobody judged an item of b (20% of traffic)" in told
    assert "nearly the same mix" in story.mix(slices.assign(item_share=[0.79, 0.21], labelled=1))
    assert "one slice only" in story.mix(slices.iloc[:1])


def test_baseline_names_the_worst_slice_by_direction(case):
    plan, _, features = case
    rows = cross_checks(features, plan, traffic=True, seed=1)
    criterion = plan.criterion("correct")
    means = rows[(rows["method"] == "labels_only") & (rows["quantity"] == "quality") & (rows["model"] == "old")
                 & (rows["slice"] != "all")].set_index("slice")["mean"]
    assert f"worst slice is {means.idxmin()}" in story.baseline(rows, plan, criterion)
    lower = criterion.model_copy(update={"better": "lower"})
    assert f"worst slice is {means.idxmax()}" in story.baseline(rows, plan, lower)
    assert "Nobody judged" in story.baseline(rows.assign(mean=np.nan), plan, criterion)


def test_requirements_tell_failures_and_what_is_open(case):
    plan = case[0]
    found = pd.DataFrame({"requirement": ["r", "q"] * 3, "model": ["old", "old", "new", "new", "small", "small"],
                          "status": ["fail", "pass", "pass", "pass", "fail", "unknown"]})
    told = story.requirements(found, plan)
    for part in ("new meets every requirement", "small fails r", "cannot be told yet whether q holds",
                 "The incumbent itself fails r"):
        assert part in told
    assert "no requirements" in story.requirements(found.iloc[:0], plan)


def test_raw_tells_contradicting_metrics(case):
    plan, _, features = case
    rows = cross_checks(features, plan, traffic=True, seed=1)
    here = (rows["method"] == "raw") & (rows["quantity"] == "contrast") & (rows["slice"] == "all")
    rows.loc[here & (rows["metric"] == "judge-x"), ["mean", "lower", "upper"]] = [0.1, 0.05, 0.15]
    rows.loc[here & (rows["metric"] == "exact_match"), ["mean", "lower", "upper"]] = [-0.1, -0.15, -0.05]
    told = story.raw(rows, plan, plan.criterion("correct")).replace("\\", "")
    assert "new looks better by judge-x; worse by exact_match. The metrics contradict each other." in told
    assert "No metric" in story.raw(rows.iloc[:0], plan, plan.criterion("correct"))


def test_flips_balance(case):
    plan, _, features = case
    counts = overview.flips(features, plan)
    total = counts[(counts["by"] == "people") & (counts["slice"] == "all")].set_index("model")
    assert total.loc["new", ["n", "both_good", "lost", "gained", "both_bad"]].tolist() == [10, 8, 0, 1, 1]
    told = story.flips(counts, plan, plan.criterion("correct"))
    assert "by people it loses 0.0% of the items and gains 10.0%, +10.0 points on balance" in told


def test_flips_of_a_metric_where_lower_is_better(case):
    plan, _, features = case
    turned = plan.model_copy(update={"metrics": (plan.metric("judge-x").model_copy(update={"better": "lower"}),)})
    normal, other = (overview.flips(features, one).query("by == 'judge-x'") for one in (plan, turned))
    assert (normal["lost"].to_numpy() == other["gained"].to_numpy()).all()
    assert (normal["both_good"].to_numpy() == other["both_bad"].to_numpy()).all()


def test_checks_count_and_name():
    found = check_table([CheckResult("a", True, "."), CheckResult("b", False, ".", "correct", blocks=True),
                         CheckResult("c", None, ".")])
    told = story.checks(found).replace("\\", "")
    assert told.startswith("1 of 3 checks passed. Failed: b (correct). Cannot tell: c.")
    assert "collect more labels" in told
    assert story.checks(found.iloc[:1]) == "1 of 1 check passed."


def test_slices_tell_the_worst_and_those_not_shown(case):
    plan, _, features = case
    rows = cross_checks(features, plan, traffic=True, seed=1)
    rows = rows[rows["method"] == "labels_only"].assign(method="calibrated", prob_noninferior=0.5)
    criterion = plan.criterion("correct").model_copy(update={"slice_margin": 0.1})
    told = story.slices(rows, plan, criterion)
    assert "Not shown to lose less than 10 points with probability 80%: amer (50.0%) and emea (50.0%)." in told
    assert "reaches 80%" in story.slices(rows.assign(prob_noninferior=0.9), plan, criterion)


def decision(verdict: str, probability: float, limit: float) -> dict:
    gate = {"margin": 0.05, "slice_margin": None, "probability": probability, "probability_worse": 1 - probability,
            "mean": 0.01, "lower": -0.02, "upper": 0.04, "smallest_margin": limit, "slices": {"amer": 0.9}}
    one = {"verdict": verdict, "probability": probability, "probability_independent": probability,
           "reasons": ["Moved by -1."], "gates": {"correct": gate}, "requirements": {},
           "labels_needed": 100 if verdict == "collect" else None}
    return {"verdict": verdict, "candidate": "new" if verdict == "switch" else None, "sentence": "So it is.",
            "probability": probability if verdict == "switch" else None, "candidates": {"new": one}, "alarms": []}


@pytest.mark.parametrize(("verdict", "head"), [("switch", "## Switch to new"), ("keep", "## Keep old"),
                                               ("collect", "## Collect more labels")])
def test_the_verdict_comes_first(case, verdict, head):
    plan = case[0]
    told = story.verdict(decision(verdict, 0.99, 0.01), plan)
    assert told.startswith(f"{head}\n\n**So it is\\.**")
    assert ("at least 99.0%; the plan asks for 95%" in told) == (verdict == "switch")
    reasons = story.reasons(decision(verdict, 0.99, 0.01))
    assert "Moved by −1" in reasons
    assert ("stays in production" in story.conditions(decision(verdict, 0.99, 0.01), plan)) == (verdict != "switch")


def test_flip_points_follow_the_gate(case):
    plan = case[0]
    assert story.flip_points(decision("switch", 0.99, 0.01), plan) == "- 1 of 1 gate holds already."
    assert "would hold from a margin of 8 points on; the plan accepts 5 points" in story.flip_points(
        decision("collect", 0.8, 0.08), plan)
    assert "not once that is corrected" in story.flip_points(decision("collect", 0.8, 0.01), plan)


def test_conditions_name_slices_to_watch(case):
    assert "Watch amer on correct (90.0%)" in story.conditions(decision("switch", 0.99, 0.01), case[0])


def test_held_out_comparison_weighs_slices_by_traffic_and_turns_the_sign(tmp_path):
    path = write_tiny(tmp_path)
    text = path.read_text("utf-8").replace("scores: [{path: scores.csv}]",
                                           "scores: [{path: scores.csv}]\n  held_out: [{path: held.csv}]")
    path.write_text(text.replace("better: higher", "better: lower"), "utf-8")
    items = pd.read_csv(tmp_path / "items.csv")
    held = pd.concat([items.assign(model=model, criterion="correct", rater="all", rater_kind="human",
                                   value=[low if region == "amer" else high for region in items["region"]])
                      for model, low, high in (("old", 0.2, 0.6), ("new", 0.4, 0.6))])
    held.drop(columns="region").to_csv(tmp_path / "held.csv", index=False)
    plan = load_plan(path)
    data = load_data(plan)
    rows = cross_checks(build_features(data, plan, "correct"), plan, traffic=True, seed=1)
    rows = rows[rows["method"] == "labels_only"].assign(method="calibrated", mean=-0.1, lower=-0.2, upper=-0.079)
    found = overview.held_out_comparison(data, plan, rows).set_index(["model", "slice", "quantity"])
    assert found.loc[("old", "all", "quality"), "truth"] == pytest.approx(0.4 * 0.2 + 0.6 * 0.6)
    assert found.loc[("new", "all", "contrast"), "truth"] == pytest.approx(-0.4 * 0.2)
    assert found.loc[("new", "all", "contrast"), "inside"]
    assert not found.loc[("new", "emea", "contrast"), "inside"]
    assert ("small", "all", "quality") not in found.index
    told = story.held_out(found.reset_index(), plan, plan.criterion("correct"))
    assert "all judgments say −8.0 points, the calibrated contrast is −10.0; its interval holds what they say" in told


def test_caveats_stand_beside_the_verdict(case):
    plan = case[0]
    rows = [{"criterion": plan.gates[0].id, "model": "new", "slice": "all", "quantity": "contrast", "method": method,
             "prob_noninferior": p} for method, p in (("calibrated", 0.99), ("labels_only", 0.91), ("ppi", np.nan))]
    checks = pd.DataFrame({"name": ["sampling", "labels cover traffic"], "criterion": ["correct", "correct"],
                           "passed": pd.array([False, None], dtype="boolean")})
    told = story.caveats(decision("switch", 0.99, 0.01), checks, pd.DataFrame(rows), plan)
    assert "99.0% calibrated, and 91.0% by labels alone" in told and "PPI" not in told
    assert "1 check did not pass: sampling \\(correct\\)" in told or "1 check did not pass: sampling (correct)" in told
    kept = story.caveats(decision("keep", 0.5, 0.5), checks.iloc[1:], pd.DataFrame(rows), plan)
    assert "labels alone" not in kept and "Every check passed" in kept
