"""The first answer: its shape, its verdicts, and that it stays quick."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from helpers import MODELS, judged_data, judged_features, small_data, small_plan

from migration_kit.data import load_data
from migration_kit.data_checks import data_checks
from migration_kit.features import build_features
from migration_kit.plan import Plan, load_plan
from migration_kit.preview import _too_little, _verdict, preview
from migration_kit.simulate import simulate_family
from migration_kit.strata import verdict_draws
from migration_kit.summary import preview_text
from migration_kit.wording import points, rounded_down

NAN = np.nan
ROW = ["model", "labels", "quality", "lower", "upper", "contrast", "contrast_lower", "contrast_upper",
       "prob_noninferior"]


def outcomes(*rates, n=1000):
    """0/1 outcomes, dims (item, model), with exact rates and no pattern in common."""
    rng = np.random.default_rng(1)
    return np.stack([rng.permutation(np.arange(n) < round(rate * n)) for rate in rates], axis=1).astype(float)


def with_labels(truth, n):
    """The first n items labelled."""
    return np.where(np.arange(len(truth))[:, None] < n, truth, NAN)


def answer(truth, n_labels, **criterion):
    plan = small_plan(models=MODELS[: truth.shape[1]], **criterion)
    return preview(plan, small_data(truth[:, :, None], with_labels(truth, n_labels), plan))


def test_the_answer_holds_every_criterion_and_model_in_the_plans_order(tiny_plan):
    plan = load_plan(tiny_plan)
    found = preview(plan, load_data(plan))
    (criterion,) = found["criteria"]
    assert (criterion["criterion"], criterion["margin"]) == ("correct", 0.05)
    assert [row["model"] for row in criterion["models"]] == ["old", "new", "small"]
    incumbent, *candidates = criterion["models"]
    assert all(list(row) == ROW for row in criterion["models"])
    assert all(np.isnan(incumbent[name]) for name in ROW if name.startswith(("contrast", "prob")))
    for row in criterion["models"]:
        assert row["labels"] == 10
        assert 0 <= row["lower"] < row["quality"] < row["upper"] <= 1
    for row in candidates:
        assert row["contrast_lower"] < row["contrast"] < row["contrast_upper"]
        assert 0 <= row["prob_noninferior"] <= 1
    assert list(found["verdicts"]) == ["new", "small"]
    text = preview_text(found, plan)
    assert "likely" in text or "collect" in text
    assert all(model in text for model in plan.model_ids)


def test_numbers_are_those_of_verdict_strata_weighted_by_traffic(tiny_plan):
    plan = load_plan(tiny_plan)
    data = load_data(plan)
    (criterion,) = preview(plan, data)["criteria"]
    draws = verdict_draws(build_features(data, plan, "correct"), traffic=True, seed=plan.sampling.seed)
    for row in criterion["models"][1:]:
        drawn = draws["contrast"].sel(model=row["model"]).to_numpy()
        assert row["contrast"] == pytest.approx(drawn.mean())
        assert [row["contrast_lower"], row["contrast_upper"]] == pytest.approx(np.quantile(drawn, [0.025, 0.975]))
        assert row["prob_noninferior"] == pytest.approx((drawn > -0.05).mean())


def test_verdicts_of_a_better_a_worse_and_an_undecided_candidate():
    verdicts = answer(outcomes(0.80, 0.90, 0.60, 0.81), 300)["verdicts"]
    assert verdicts["new"].startswith("likely switch: correct holds with probability 0.99; slices")
    assert verdicts["other"].startswith("likely keep: correct is worse by more than the margin with probability 0.99")
    # A tiny margin cannot be shown from few labels.
    undecided = answer(outcomes(0.80, 0.80), 60, margin=0.01)["verdicts"]["new"]
    assert undecided.startswith("collect: correct holds with probability 0.") and "weakest" not in undecided
    assert "asked is 0.95; slices" in undecided
    for text in (verdicts["new"], undecided):
        assert text.endswith("slices and requirements are not looked at")


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_a_contrast_that_is_no_difference_of_the_numbers_shown_says_why(better):
    # Labels of the incumbent alone, on items where both outputs are bad, change its number and no contrast.
    truth, plan = outcomes(0.7, 0.7), small_plan(better=better, metric_better=better)
    truth[100:200] = 0
    label = with_labels(truth, 100)
    (even,) = preview(plan, small_data(truth[:, :, None], label, plan))["criteria"]
    assert even["notes"] == []
    label[100:160, 0] = 1
    (part,) = preview(plan, small_data(truth[:, :, None], label, plan))["criteria"]
    incumbent, candidate = part["models"]
    difference = (1 if better == "higher" else -1) * (candidate["quality"] - incumbent["quality"])
    assert abs(difference - candidate["contrast"]) > 0.01
    (note,) = part["notes"]
    assert note.startswith(f"Subtracting the numbers above gives {points(difference)} for new.")
    assert "on items judged for both models (100 for new), weighted by what judge says of the two outputs" in note
    assert note in preview_text({"criteria": [part], "verdicts": {}}, plan)


def test_where_lower_is_better_so_is_the_verdict():
    verdicts = answer(outcomes(0.20, 0.10, 0.40), 300, better="lower", metric_better="lower")["verdicts"]
    assert verdicts["new"].startswith("likely switch")
    assert verdicts["other"].startswith("likely keep")


def test_gates_are_joined_by_the_bound():
    # Each gate alone would do; together they may fail in 1 − 0.97 + 1 − 0.96 of cases.
    both = _verdict({"correct": 0.97, "style": 0.96}, assurance=0.95, reasons=[])
    assert both.startswith("collect: all gates hold with probability 0.93 or more")
    assert "style is the weakest" in both
    assert _verdict({"correct": 0.98, "style": 0.98}, assurance=0.95, reasons=[]).startswith("likely switch")
    assert _verdict({"correct": 0.99, "style": 0.04}, assurance=0.95, reasons=[]).startswith("likely keep: style")
    assert _verdict({"correct": 0.5, "style": 0.3}, assurance=0.95, reasons=[]).startswith(
        "collect: all gates hold with probability 0.00 or more")


@pytest.mark.parametrize(("probability", "told"), [(0.9499, "0.94"), (0.95, "0.95"), (1.0, "0.99"), (0.0, "0.00")])
def test_a_probability_is_never_told_too_high(probability, told):
    assert rounded_down(probability) == told


def test_the_table_and_the_verdict_tell_one_number():
    plan, rows = small_plan(), {key: 0.1 for key in ROW[2:]}
    models = [{"model": name, "labels": 9, **rows, "prob_noninferior": 0.5499} for name in plan.model_ids]
    verdict = _verdict({"correct": 0.5499}, assurance=0.95, reasons=[])
    text = preview_text({"criteria": [{"criterion": "correct", "margin": 0.03, "models": models, "notes": []}],
                         "verdicts": {"new": verdict}}, plan)
    assert text.count("0.54") == 3 and "0.55" not in text


def test_too_few_labels_of_the_rarer_kind_ask_for_more():
    verdicts = answer(outcomes(0.99, 0.995), 200)["verdicts"]
    assert verdicts["new"].startswith("collect: correct: ")
    assert "labels of the rarer kind, at least 10 are needed" in verdicts["new"]


def test_traffic_without_labels_asks_for_more():
    truth, plan = outcomes(0.5, 0.9), small_plan(slices=True)
    regions = np.where(np.arange(1000) < 600, "a", "b")
    without = "collect: correct: slices without labels of both models hold 6% of"
    for share, expected in ((0.04, "likely switch"), (0.06, without)):
        data = small_data(truth[:, :, None], with_labels(truth, 600), plan, regions=regions,
                          share={"a": 1 - share, "b": share})
        assert preview(plan, data)["verdicts"]["new"].startswith(expected)


def test_a_candidate_without_labels_does_not_hold_another_back():
    truth = np.concatenate([outcomes(0.5, 0.9), outcomes(0.5, 0.9)[:, :1]], axis=1)
    plan, regions = small_plan(models=MODELS[:3], slices=True), np.where(np.arange(1000) < 600, "a", "b")
    label = with_labels(truth, 1000)
    label[regions == "b", 2] = NAN
    found = preview(plan, small_data(truth[:, :, None], label, plan, regions=regions))["verdicts"]
    assert found["new"].startswith("likely switch")
    assert found[MODELS[2]] == "collect: correct: slices without labels of both models hold 40% of traffic"


def test_a_candidate_never_judged_beside_the_incumbent_asks_for_labels():
    truth, plan = outcomes(0.5, 0.9), small_plan()
    label = with_labels(truth, 600)
    label[:300, 0], label[300:, 1] = NAN, NAN
    found = preview(plan, small_data(truth[:, :, None], label, plan))
    assert found["verdicts"]["new"] == "collect: correct: no item judged for both models"
    assert np.isnan(found["criteria"][0]["models"][1]["contrast"])
    assert "–" in preview_text(found, plan)


def test_only_gates_decide():
    plan = small_plan()
    content = plan.model_dump(by_alias=True)
    content["criteria"] += ({"id": "tone", "role": "monitor", "metrics": ["judge"]},)
    content["metrics"] = ()
    plan, truth = Plan.model_validate(content), outcomes(0.6, 0.9)
    data = small_data(truth[:, :, None], with_labels(truth, 300), plan)
    # Tone is judged too, and `new` is far worse; its metric stands under the same criterion.
    other = small_data(1 - truth[:, :, None], with_labels(1 - truth, 300), plan).scores.assign(criterion="tone")
    found = preview(plan, replace(data, scores=pd.concat([data.scores, other], ignore_index=True)))
    assert [part["criterion"] for part in found["criteria"]] == ["correct", "tone"]
    assert found["verdicts"]["new"].startswith("likely switch")
    tone = found["criteria"][1]["models"][1]
    assert tone["contrast"] < -0.2
    assert np.isnan(tone["prob_noninferior"])


def test_the_embedded_support_data():
    plan = load_plan(ROOT / "data" / "support" / "migration.yml")
    verdicts = preview(plan, load_data(plan))["verdicts"]
    # Better in every judge's eyes and worse in truth; and the one that is truly good.
    assert verdicts["cirrus-2026-08"].startswith("likely keep: correct")
    assert verdicts["ember-2026-10"].startswith("likely switch")


@pytest.mark.parametrize(
    ("family", "shown"),
    [
        ("ordinal", ("mean score", "correct (margin 0.2)")), ("at_least", ("share at 4 or above", "contrast, points")),
        ("normal", ("  mean  ", "correct (margin 8)")), ("pairwise", ("net win rate", "contrast, points")),
        ("raters", ("mean score", "correct (margin 0.2)")), ("clusters", ("rate", "correct (margin 3 points)")),
    ],
)
def test_every_scale_is_answered_in_its_own_unit(family, shown):
    drawn = simulate_family(family, n_labels=300, seed=1)
    _, plan = judged_features(drawn, **({"margin": 8} if family == "normal" else {}))
    found = preview(plan, judged_data(drawn, plan))
    (criterion,) = found["criteria"]
    incumbent, candidate = criterion["models"]
    # Labels are items, however many raters have judged each.
    assert candidate["labels"] == 300
    # A miss by half a 95% interval more than it holds happens once in ten thousand.
    assert abs(candidate["quality"] - drawn.quality[1]) < candidate["upper"] - candidate["lower"]
    width = candidate["contrast_upper"] - candidate["contrast_lower"]
    assert abs(candidate["contrast"] - drawn.quality[1] + drawn.quality[0]) < width
    assert 0 <= candidate["prob_noninferior"] <= 1
    if family == "pairwise":
        assert (incumbent["quality"], incumbent["lower"], incumbent["upper"]) == (0, 0, 0)
    assert "nan" not in str(found["verdicts"])
    text = preview_text(found, plan)
    assert all(part in text for part in shown)


def test_a_criterion_nobody_has_judged_asks_for_labels():
    truth = outcomes(0.5, 0.9)
    for scale in ({}, {"scale": {"ordinal": [0, 4]}}, {"scale": "continuous"}):
        found = answer(truth, 0, **scale)
        assert found["verdicts"]["new"] == "collect: correct: nobody has judged an output yet"
        assert np.isnan(found["criteria"][0]["models"][1]["contrast"])
        assert found["criteria"][0]["models"][1]["labels"] == 0


@pytest.mark.parametrize(("family", "n_labels"), [
    ("ordinal", 5), ("ordinal", 40), ("raters_binary", 12), ("raters_binary", 60), ("pairwise", 14), ("pairwise", 60),
    ("at_least", 12), ("clusters", 12), ("normal", 40),
])
def test_too_few_labels_are_told_where_the_run_would_abstain(family, n_labels):
    features, plan = judged_features(simulate_family(family, n_labels=n_labels, seed=2, n_unlabelled=50))
    enough = next(check for check in data_checks(features, plan) if check.name.startswith("enough labels"))
    told = _too_little(features, plan.candidates[0])
    assert any("at least 10 are needed" in reason for reason in told) != enough.passed


def test_equal_ratings_ask_for_more():
    data = answer(outcomes(1.0, 1.0), 100, scale={"ordinal": [-1, 1]})
    assert data["verdicts"]["new"].startswith(
        "collect: correct: 0 labels other than the commonest, at least 10 are needed")


def test_preview_needs_no_scipy():
    # It costs a fifth of a second to import, of the 1.5 that the answer may take.
    code = "import sys, migration_kit.cli, migration_kit.preview, migration_kit.summary; print('scipy' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
