"""Sentences say what the numbers say, for every sign and for what is not known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import write_tiny
from helpers import judged_features, small_plan
from test_agreement import judged

from migration_kit import overview, story
from migration_kit.checks import CheckResult, check_table
from migration_kit.crosschecks import cross_checks
from migration_kit.data import load_data
from migration_kit.features import build_features
from migration_kit.fragment import _said2html
from migration_kit.plan import Plan, load_plan
from migration_kit.simulate.families import simulate_family
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
         ["includes 0, no difference"]),
        (row(-0.021, -0.06, 0.02, 0.9), ["is 2.1 points worse", "which includes 0, no difference", ": 10.0%"], []),
        (row(-0.08, -0.1, -0.06, 0.0), ["is 8 points worse", "more than 5 points: >99.9%"], ["includes 0"]),
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
            "mean": 0.01, "lower": -0.02, "upper": 0.04, "smallest_margin": limit, "slices": {"amer": 0.9},
            "labelled": True}
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
    reasons = story.reasons(decision(verdict, 0.99, 0.01))
    assert "Moved by −1" in reasons
    assert ("stays in production" in story.conditions(decision(verdict, 0.99, 0.01), plan)) == (verdict != "switch")


def test_margins_needed_follow_the_gate(case):
    plan = case[0]
    assert story.margins_needed(decision("switch", 0.99, 0.01), plan) == "- 1 of 1 gate holds already."
    assert "would hold from a margin of 8 points on; the plan accepts 5 points" in story.margins_needed(
        decision("collect", 0.8, 0.08), plan)
    assert "not once that is corrected" in story.margins_needed(decision("collect", 0.8, 0.01), plan)


def test_flip_points_are_told_and_what_turns_nothing_is_said_in_a_line():
    common = {"candidate": "new", "where": "", "now": 1.0, "verdict": ""}
    points = [
        {**common, "what": "margin", "criterion": "a", "at": 0.1, "sentence": "With -1 the verdict on <b> is keep."},
        {**common, "what": "check", "criterion": "", "at": np.nan, "sentence": "A check leaves no verdict."},
        *({**common, "what": what, "criterion": on, "at": np.nan, "sentence": said} for what, on, said in
          (("margin", "b", "No."), ("margin", "c", "No."), ("traffic", "", "No mix."))),
    ]
    told = story.flip_points({"flip_points": points}).split("\n")
    assert "−1" in told[0] and "<b>" not in told[0] and "A check leaves" in told[1]
    # What is said of all criteria together names them itself.
    assert told[2].startswith("- No mix") and told[3].endswith("turns the verdict by another margin on b and c.")
    assert len(told) == 4


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


def test_other_methods_stand_beside_the_verdict(case):
    plan = case[0]
    rows = [{"criterion": plan.gates[0].id, "model": "new", "slice": "all", "quantity": "contrast", "method": method,
             "prob_noninferior": p} for method, p in (("calibrated", 0.99), ("labels_only", 0.91), ("ppi", np.nan))]
    told = story.beside(decision("switch", 0.99, 0.01), pd.DataFrame(rows), plan)
    assert "99.0% calibrated, and 91.0% by labels alone" in told and "PPI" not in told
    kept = story.beside(decision("keep", 0.5, 0.5), pd.DataFrame(rows), plan)
    assert kept.startswith("There is no candidate to switch to")


def test_a_metric_says_the_opposite_only_with_an_alarm(case):
    plan = case[0]
    criterion, common = plan.criterion("correct"), {"criterion": "correct", "slice": "all", "quantity": "contrast"}
    # The metric is sure that new is worse; whether people find it better is open.
    methods = (("calibrated", "", 0.01, 0.1), ("labels_only", "", 0.0, 0.12), ("raw", "noise", -0.1, 0.05))
    rows = pd.DataFrame([{**common, "model": model, "method": method, "metric": metric, "mean": mean,
                          "lower": mean - half, "upper": mean + half}
                         for model in plan.candidates for method, metric, mean, half in methods])
    alarms = pd.DataFrame({"criterion": ["correct", "correct", "other"], "metric": "noise",
                           "model": ["new", "small", "new"], "alarm": [False, True, True]})
    told = story.methods(rows, plan, criterion, alarms).split("\n")
    assert "opposite" not in told[0] and told[1].endswith("noise alone says the opposite.")
    assert "opposite" not in story.methods(rows, plan, criterion)


def errors_of(metric, **columns) -> pd.DataFrame:
    """Errors of one metric for two models, (value, lower, upper) of the incumbent and of the candidate."""
    rows = [{"metric": metric, "model": model} | {
        name: value for rate, short in (("true_positive", "tp"), ("false_positive", "fp"), ("rank_correlation", "rc"))
        for name, value in zip((rate, f"{short}_lower", f"{short}_upper"),
                               columns.get(rate, ((np.nan,) * 3,) * 2)[place], strict=True)}
        for place, model in enumerate(("old", "new"))]
    return pd.DataFrame(rows)


def test_intervals_that_overlap_are_no_proof_that_a_metric_is_fair(case):
    plan = case[0]
    rates = {"false_positive": ((0.1, 0.05, 0.2),) * 2}
    over = errors_of("judge-x", true_positive=((0.83, 0.75, 0.9), (0.7, 0.6, 0.8)), **rates)
    told = story.metric_trust(over, plan, plan.criterion("correct"))
    assert told.endswith("overlap between incumbent and candidates; whether it errs alike, the check "
                         "*raw primary metric is fair to all models* says.")
    apart = errors_of("judge-x", true_positive=((0.83, 0.75, 0.9), (0.6, 0.5, 0.7)), **rates)
    assert "treats models unlike" in story.metric_trust(apart, plan, plan.criterion("correct"))


@pytest.mark.parametrize(("metric", "criterion", "said"), [
    ("lower", "higher", "Of harm less is better and of correct more, so the best rank correlation of harm is −1."),
    ("higher", "lower", "Of correct less is better and of harm more, so the best rank correlation of harm is −1."),
    ("lower", "lower", ""), ("higher", "higher", ""), ("none", "higher", "")])
def test_the_sign_of_a_good_rank_correlation_is_told_where_it_is_minus(metric, criterion, said):
    plan = small_plan(metrics=["harm"], metric_better=metric, better=criterion)
    told = story.metric_trust(errors_of("harm", rank_correlation=((-0.65, -0.7, -0.6),) * 2), plan, plan.criteria[0])
    assert said in told and ("−1" in told) == bool(said)


def test_groups_and_gates_are_counted_in_plain_grammar(case):
    plan = case[0]
    assert story.margins_needed(decision("collect", 0.8, 0.08), plan).startswith("- 0 of 1 gate holds already.")
    group = pd.DataFrame({"judged": [0.5], "lower": [0.4], "upper": [0.6]})
    assert "0 of 1 group lies outside" in story.reliability(group, plan.criterion("correct"))
    assert "0 of 2 groups lie outside" in story.reliability(pd.concat([group, group]), plan.criterion("correct"))


def test_a_raw_metric_that_leaves_it_open_looks_neither_better_nor_worse(case):
    plan, _, features = case
    rows = cross_checks(features, plan, traffic=True, seed=1)
    here = (rows["method"] == "raw") & (rows["quantity"] == "contrast") & (rows["slice"] == "all")
    rows.loc[here, ["mean", "lower", "upper"]] = [0.01, -0.05, 0.07]
    told = story.raw(rows, plan, plan.criterion("correct")).replace("\\", "")
    assert "new looks neither better nor worse for certain by judge-x and exact_match." in told


def test_what_raters_of_one_output_share_is_told_only_where_an_output_has_several(case):
    rng = np.random.default_rng(1)
    values = (rng.random((60, 2, 2)) < 0.7).astype(float)
    both, plan = judged(values)
    values[::2, :, 0], values[1::2, :, 1] = np.nan, np.nan
    one, _ = judged(values)
    assert "the severity of 2 raters, and what raters of one output share" in story.model(plan, {"correct": both})
    told = story.model(plan, {"correct": one})
    assert "the severity of 2 raters" in told and "share" not in told


@pytest.mark.parametrize(("retires", "said"), [
    ("2027-01-10", "the answer would be to keep the incumbent, but staying is no option: old retires on 2027-01-10."),
    ("2027-02-28", "without evidence the answer is to keep the incumbent. Old retires on 2027-02-28.")])
def test_keeping_an_incumbent_that_retires_first_is_not_called_the_answer(case, retires, said):
    content = case[0].model_dump(by_alias=True)
    content["models"]["incumbent"]["retires"] = retires
    assert said in story.question(Plan.model_validate(content)).replace("\\", "")


FAMILIES = ("ordinal", "at_least", "normal", "pairwise", "raters", "clusters", "bend")


def scaled(name: str):
    features, plan = judged_features(simulate_family(name, n_labels=60, n_unlabelled=60, seed=1))
    rows = cross_checks(features, plan, traffic=True, seed=1)
    calibrated = rows[rows["method"] == "labels_only"].assign(method="calibrated")
    return features, plan, pd.concat([rows, calibrated], ignore_index=True)


@pytest.mark.parametrize(("name", "compared", "margin"), [
    ("ordinal", "is 0.21 better than old", "more than 0.2:"), ("normal", "is 0.21 better than old", "more than 0.2:"),
    ("at_least", "is 21 points better than old", "more than 20 points:"),
    ("pairwise", "is preferred to old by 21 points net", "more than 3 points:"),
])
def test_a_contrast_is_told_in_the_unit_of_its_scale(name, compared, margin):
    _, plan, _ = scaled(name)
    told = contrast_sentence("new", row(0.21, 0.1, 0.3, 0.98), plan, plan.criteria[0])
    assert compared in told and margin in told
    worse = contrast_sentence("new", row(-0.21, -0.3, -0.1, 0.01), plan, plan.criteria[0])
    assert ("less often preferred than old, by 21 points net" if name == "pairwise" else "worse than old") in worse


@pytest.mark.parametrize("name", FAMILIES)
def test_sentences_hold_no_percent_where_quality_is_no_rate(name):
    _, plan, rows = scaled(name)
    criterion = plan.criteria[0]
    told = [story.quality(rows, plan, criterion), story.methods(rows, plan, criterion),
            story.slices(rows, plan, criterion), story.baseline(rows, plan, criterion),
            story.margins(plan, {"plans": [{"digest": "a" * 64, "since": "2026-01-01"}]}, []), story.stakes(plan)]
    for one in told:
        assert "nan" not in one
        if not criterion.in_points:
            assert not any(word in one.replace("95% interval", "") for word in ("%", "points")), one
    if name == "pairwise":
        assert "0 by definition" in told[3]


@pytest.mark.parametrize(("name", "parts"), [
    ("ordinal", ["levels 1 to 5, an ordered probit", "P(judgment above level j)", "the mean score"]),
    ("at_least", ["levels 1 to 5, an ordered probit", "the share at 4 or above"]),
    ("normal", ["a normal regression", "Normal(η, σ[m])"]),
    ("pairwise", ["P(win) = Φ(η − κ)", "0 is no difference", "predicted without a side"]),
    ("raters", ["the severity of 5 raters"]), ("clusters", ["effects of clusters of items"]),
])
def test_the_model_is_written_out_for_its_scale(name, parts):
    features, plan, _ = scaled(name)
    told = story.model(plan, {"correct": features})
    assert told.startswith("- **correct**: ")
    for part in parts:
        assert part in told
    assert ("severity" in told) == (name == "raters") and ("clusters" in told) == (name == "clusters")


def test_the_model_names_bends_and_strata_only_where_there_are_some(case):
    plan, _, features = case
    told = story.model(plan, {"correct": features})
    assert "`P(yes) = Φ(η)`" in told and "bend" not in told and "strata" not in told
    told = story.model(plan, {"correct": features.assign_attrs(bends=["judge-x"], uneven=1)})
    assert "judge\\-x has a bend" in told and "strata that labels were drawn from" in told


def test_the_model_names_slices_with_few_items():
    features, plan = judged_features(simulate_family("ordinal", n_labels=50, seed=1))
    criterion, index = plan.criteria[0].id, features["slice_index"].to_numpy()
    assert "fewer than" not in story.model(plan, {criterion: features})
    few = features.assign(slice_index=("item", np.where((index > 0) | (np.arange(len(index)) < 40), index, 1)))
    told = story.model(plan, {criterion: few}).replace("\\", "")
    assert f"{features['slice'].to_numpy()[0]} has fewer than 50 items, so 2 items of the whole test set" in told


def test_what_metrics_are_worth_names_the_best_and_the_idle():
    common = {"model": "new", "n_labels": 50}
    worth = pd.DataFrame([
        {**common, "use": "none", "metric": "", "width": 0.2, "ratio": 1.0, "as_labels": 50, "without": np.nan},
        {**common, "use": "alone", "metric": "good", "width": 0.12, "ratio": 0.6, "as_labels": 139, "without": 0.19},
        {**common, "use": "alone", "metric": "idle", "width": 0.19, "ratio": 0.95, "as_labels": 55, "without": 0.12},
        {**common, "use": "all", "metric": "", "width": 0.12, "ratio": 0.6, "as_labels": 139, "without": np.nan},
    ])
    _, plan, _ = scaled("pairwise")
    told = story.metric_worth(worth, plan.criteria[0])
    assert "20 points wide with labels only and 12 points with all metrics, as if there were 139 labels" in told
    assert "good alone reaches 60% of the width" in told and "idle adds little" in told
    assert "too few labels" in story.metric_worth(worth.assign(width=np.nan), plan.criteria[0])


def agreement_rows(alpha: float, lower: float, upper: float, *, outputs: int = 30) -> pd.DataFrame:
    return pd.DataFrame([{"model": "all", "outputs": outputs, "raters": 3, "same": 0.8, "alpha": alpha, "lower": lower,
                          "upper": upper}])


@pytest.mark.parametrize(("numbers", "said"), [
    ((0.9, 0.85, 0.95), "enough for firm"), ((0.75, 0.68, 0.9), "enough for tentative"),
    ((0.5, 0.4, 0.6), "too little"), ((0.7, 0.5, 0.9), "cannot tell"), ((np.nan, np.nan, np.nan), "not defined"),
])
def test_agreement_is_read_by_its_interval(case, numbers, said):
    assert said in story.agreement({"correct": agreement_rows(*numbers)}, case[0])


def test_single_judgments_are_told_once(case):
    nobody = agreement_rows(np.nan, np.nan, np.nan, outputs=0)
    told = story.agreement({"a": nobody, "b": nobody, "correct": nobody}, case[0])
    assert told.startswith("- On a, b and correct one person judged each output") and "\n" not in told
    assert story.agreement({}, case[0]) == "- On correct nobody has judged an output yet."


def test_severity_names_raters_who_differ(case):
    found = pd.DataFrame({"rater": ["anna", "ben"], "difference": [0.1, -0.05], "lower": [0.02, -0.2],
                          "upper": [0.2, 0.1]})
    criterion = case[0].criterion("correct")
    assert "anna (+10.0 points) differs" in story.severity(found, criterion)
    assert "No rater is shown to judge differently" in story.severity(found.iloc[1:], criterion)
    assert "Too few" in story.severity(found.assign(lower=np.nan), criterion)


def test_a_second_rater_is_weighed_against_more_outputs(case):
    more = pd.DataFrame({"model": "new", "raters": [1, 2], "same_outputs": [0.2, 0.15], "same_judgments": [0.2, 0.25],
                         "outputs": [60.0, 30.0]})
    criterion = case[0].criterion("correct")
    told = story.more_raters(more, criterion)
    assert "15 points wide instead of 20 points" in told and "more outputs would buy more" in told
    assert "a second rater would buy more" in story.more_raters(more.assign(same_judgments=[0.25, 0.2]), criterion)
    assert "cannot be told" in story.more_raters(more.assign(same_outputs=np.nan), criterion)


def test_checks_that_fit_again_say_when_they_were_left_out():
    found = check_table([CheckResult("a", True, "."), CheckResult("b", False, ".", "correct")])
    assert "--full" in story.sensitivity(found.iloc[:0], full=False)
    assert "1 of 2 checks give no reason to doubt: look at b (correct)" in story.sensitivity(
        found, full=True).replace("\\", "")


def test_limits_tell_whether_several_people_judged(case):
    plan, data, features = case
    told = story.measured.limits({"correct": features}, data, plan, full=True)
    assert "were not made in this run" not in told
    assert "Agreement between raters was not measured" in told and "Nothing was measured in production" in told
    first = data.traffic["slice"].iloc[0]
    rows = pd.DataFrame({"item_id": ["r1"] * 2, "model": ["old", "new"], "criterion": "correct", "rater_kind": "human",
                         "stage": "shadow", "user": "r1", "slice": first})
    told = story.measured.limits({"correct": features}, replace(data, live=rows), plan, full=True)
    assert len(data.traffic) > 1 and "No request of the shadow is in" in told and "of traffic" in told
    rows = pd.concat([rows.assign(slice=name) for name in data.traffic["slice"]])
    assert "No request of the shadow" not in story.measured.limits(
        {"correct": features}, replace(data, live=rows), plan, full=True)
    several, own, _ = scaled("raters")
    told = story.measured.limits({"correct": several}, data, own, full=False)
    assert "were not made in this run" in told
    assert "by more than one rater" in told and "Agreement between raters was not measured" not in told


def test_limits_count_live_requests_judgments_and_users(case):
    plan, data, features = case
    slices = data.traffic["slice"].tolist()
    rows = [{"item_id": f"r{n}", "model": model, "criterion": "correct", "stage": "shadow", "user": f"r{n}",
             "rater_kind": "human" if n < 2 and model != "small" else "judge", "slice": slices[n % len(slices)]}
            for n in range(6) for model in plan.model_ids]
    met = {"u1": "new", "u2": "old", "u3": "old"}
    rows += [{"item_id": user, "model": model, "criterion": "resolved", "stage": "canary", "user": user,
              "rater_kind": "human", "slice": slices[0]} for user, model in met.items()]
    told = story.measured.limits({"correct": features}, replace(data, live=pd.DataFrame(rows)), plan, full=True)
    assert "Live requests: 6 requests of the shadow, of which people judged 2 on correct." in told
    assert "Nobody judged live outputs of small: whether the test set holds for it" in told
    assert "- 1 user of the canary met new; what users do at full load" in told


@pytest.mark.parametrize(("old", "new", "said"), [
    ((20, 14), (20, 5), "fewest in emea, where 5 outputs of new were judged, of 31 items."),
    ((3, 14), (20, 14), "fewest in amer, where 3 outputs of old were judged, of 30 items."),
    ((20, 1), (20, 1), "fewest in emea, where 1 output of every model was judged, of 31 items.")])
def test_where_the_fewest_labels_are_is_told_with_the_model(case, old, new, said):
    counts = pd.DataFrame([{"criterion": "correct", "model": model, "slice": name, "items": 30 + place, "labels": n}
                           for model, of in (("old", old), ("new", new))
                           for place, (name, n) in enumerate(zip(("amer", "emea"), of, strict=True))])
    assert story.measured.labels_by_slice(counts, case[0]) == f"- correct: {said}"


def test_live_requests_are_dated_stage_by_stage(case):
    plan, data, _ = case
    days = {"shadow": ("2026-11-03", "2026-11-06", "2026-11-01"), "canary": ("2026-11-20", "2026-11-20")}
    live = pd.DataFrame([{"stage": stage, "time": pd.Timestamp(day, tz="UTC")}
                         for stage, those in days.items() for day in those])
    told = story.source(plan, replace(data, live=live))
    assert told.endswith("Live requests: shadow of 2026-11-01 to 2026-11-06 and canary of 2026-11-20.")
    assert "Live requests" not in story.source(plan, data)


def test_how_many_items_kept_aside_were_judged_above_too_is_told(case):
    data = case[1]
    human = data.scores[data.scores["rater_kind"] == "human"]
    apart = human.head(3).assign(item_id=["x1", "x2", "x3"])
    held = pd.concat([apart, human[human["item_id"].isin(human["item_id"].unique()[:2])]])
    told = story.held_out_heading(replace(data, held_out=held))
    assert "with judgments of 5 items was kept aside" in told
    assert "2 of these items are among those whose judgments were used above." in told
    assert "of these items" not in story.held_out_heading(replace(data, held_out=apart))
