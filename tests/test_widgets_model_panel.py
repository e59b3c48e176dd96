"""The prior and model panel: what a refit is asked for and says, and progress that is quiet where nobody looks."""

import numpy as np
import pytest
from conftest import write_tiny
from helpers import small_features, small_plan

from migration_kit import figures, inference, story
from migration_kit.data import load_data
from migration_kit.estimands import quality
from migration_kit.features import build_features
from migration_kit.plan import load_plan
from migration_kit.prior_predictive import (
    BEFORE_AFTER,
    QUICK,
    at_odds,
    before_after,
    prior_draws,
    prior_predictive_check,
)
from migration_kit.widgets import model_panel as panels
from migration_kit.widgets import progress
from migration_kit.widgets import refit as refits
from migration_kit.widgets.model_panel import model_panel
from migration_kit.widgets.refit import Refit, holds, refit, with_metrics


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """Plan, data, features, and what is known before any label and with the labels, which stand in for a fit's."""
    plan = load_plan(write_tiny(tmp_path_factory.mktemp("panel")))
    data = load_data(plan)
    features = build_features(data, plan, "correct")
    prior = prior_draws(features, plan, traffic=False, **QUICK)
    posterior = prior.assign(calibrated=0.6 + 0.1 * (prior["calibrated"] - prior["calibrated"].mean(("chain", "draw"))))
    return plan, data, features, before_after(prior, posterior, features, plan)


def test_what_priors_expect_stands_beside_what_labels_say(case):
    plan, _, _, table = case
    assert tuple(table.columns) == BEFORE_AFTER and set(table["when"]) == {"before", "after"}
    told = story.priors.before_after(table, plan, plan.criterion("correct"))
    assert "Before any label the contrast of new may lie anywhere from −" in told and "0.10 of its width" in told
    assert "lie within what the priors expect" in told and not at_odds(table[table["when"] == "before"])
    picture = figures.priors.before_after(table, plan, plan.criterion("correct"))
    assert "before any label: priors alone: old " in picture.alt_text
    assert "with the labels: old 60.0%" in picture.alt_text
    assert "rate" in picture.caption and len(picture.axes) == 2
    narrow = table.assign(lower=0.9, upper=0.95)
    assert "so these are at odds with the data" in story.priors.before_after(narrow, plan, plan.criterion("correct"))


def test_wider_priors_leave_more_room_and_few_items_tell_as_much(case):
    plan, _, features, _ = case
    own, narrow = (prior_draws(features, plan, draws=400, prior_scale=scale)["calibrated"].sel(slice="all", model="new")
                   for scale in (1.0, 0.25))
    assert own.std() > 1.5 * narrow.std()
    few = prior_draws(features, plan, draws=400, most_items=6)["calibrated"].sel(slice="all", model="new")
    assert abs(float(few.std() - own.std())) < 0.05


def test_fewer_metrics_keep_a_primary_one(case):
    plan = case[0]
    assert with_metrics(plan, "correct", ["exact_match"]).criterion("correct").primary_metric == "exact_match"
    both = with_metrics(plan, "correct", ["exact_match", "judge-x"]).criterion("correct")
    assert both == plan.criterion("correct")


def test_the_panel_asks_for_what_was_chosen_and_tells_what_it_found(case, monkeypatch):
    plan, data, _, table = case
    asked, seen = [], []
    monkeypatch.setattr(panels, "attended", lambda: True)

    def stand_in(data, plan, criterion, **chosen):
        asked.append((criterion, chosen))
        chosen.pop("tell")("fitting <it>")
        seen.append((panel.fit.disabled, panel.status.value))
        return Refit(table.assign(mean=table["mean"] + 0.01), "compiled by now", True, 1.5)

    monkeypatch.setattr(panels, "refit", stand_in)
    panel = model_panel(data, plan, {"correct": table}, compiled=None)
    assert panel.shown.value.count("<img") == 1 and 'alt="Quality on correct' in panel.shown.value
    assert panel.metrics.value == ("judge-x", "exact_match")
    assert panel.box.children[-1].units == {panel.prior_scale.tooltip: "times"}
    panel.prior_scale.value, panel.metrics.value = 2.0, ("exact_match",)
    panel.fit.click()
    assert asked == [("correct", {"metrics": ("exact_match",), "prior_scale": 2.0, "compiled": None})]
    assert seen[0][0] and "fitting &lt;it&gt; <progress" in seen[0][1] and not panel.fit.disabled
    assert "2.00 times as wide in 1.5 seconds" in panel.status.value and "was compiled" in panel.status.value
    assert "contrast in the refit" in panel.shown.value
    panel.fit.click()
    assert asked[1][1]["compiled"] == "compiled by now"
    panel.metrics.value = ()
    panel.fit.click()
    assert len(asked) == 2 and "at least one metric" in panel.status.value
    assert "application/vnd.jupyter.widget-view+json" in panel._repr_mimebundle_()


def test_a_refit_that_fails_is_told_and_leaves_the_panel_ready(case, monkeypatch):
    plan, data, _, table = case

    def fails(*args, **kwargs):
        raise ValueError("<b>no</b>")

    monkeypatch.setattr(panels, "refit", fails)
    panel = model_panel(data, plan, {"correct": table}, compiled=None)
    panel.fit.click()
    assert "could not be fitted: &lt;b&gt;no" in panel.status.value and not panel.fit.disabled


def test_nothing_judged_leaves_nothing_to_fit(case):
    assert "Nobody has judged" in model_panel(case[1], case[0], {}, compiled=None).value


def test_a_refit_compiles_once_for_other_priors_and_fewer_metrics(case, monkeypatch):
    plan, data, features, _ = case
    told = []
    first = refit(data, plan, "correct", metrics=("judge-x", "exact_match"), prior_scale=1.0, compiled=None,
                  tell=told.append)
    compiled = first.compiled
    assert first.compiled_anew and len(told) == 2 and "compiling" in told[0] and told[1] == "fitting correct"
    assert holds(compiled, features) and not holds(None, features)
    monkeypatch.setattr(inference, "compile_model", lambda features: pytest.fail("compiled again"))
    narrow, wide, one = (refit(data, plan, "correct", metrics=metrics, prior_scale=scale, compiled=compiled)
                         for metrics, scale in ((("judge-x", "exact_match"), 0.25), (("judge-x", "exact_match"), 4.0),
                                                (("exact_match",), 1.0)))
    spread = [(found.table.query("quantity == 'contrast'").assign(width=lambda rows: rows["upper"] - rows["lower"])
               .groupby("when")["width"].mean()) for found in (narrow, wide)]
    assert (spread[1] > spread[0]).all() and not (narrow.compiled_anew or one.compiled_anew)
    assert refits.with_metrics(plan, "correct", ["exact_match"]).criterion("correct").metrics == ("exact_match",)
    own = quality(inference.fit(features, plan.sampling, compiled=compiled, fast=True), features, traffic=False, seed=1)
    assert np.isfinite(own["calibrated"].to_numpy()).all()


def test_progress_is_quiet_where_nobody_looks(monkeypatch):
    shown = []
    monkeypatch.setattr(progress, "display", shown.append)
    assert list(progress.each(["a", "b"], "fitting")) == ["a", "b"] and not shown
    monkeypatch.setattr(progress, "attended", lambda: True)
    steps = []
    for name in progress.each(["a", "<b>"], "fitting"):
        bar, text = shown[0].children
        steps.append((name, bar.value, text.value))
    assert [(name, value) for name, value, _ in steps] == [("a", 0), ("<b>", 1)]
    assert "fitting a, 1 of 2" in steps[0][2] and "&lt;b&gt;" in steps[1][2] and "<progress" in steps[0][2]
    assert bar.value == 2 and "2 of 2 done" in text.value and "<progress" not in text.value


def test_few_items_leave_no_slice_out(case):
    plan, _, features, _ = case
    few = prior_draws(features, plan, draws=20, most_items=1)["calibrated"]
    assert set(few["slice"].to_numpy()) > {"all"} and few.notnull().all()


@pytest.mark.parametrize(("scale", "label"), [("binary", 1.0), ("binary", 0.0), ({"ordinal": [1, 5]}, 5.0)])
def test_labels_that_are_all_alike_lie_within_wide_priors_and_not_within_narrow_ones(scale, label):
    plan, rng = small_plan(scale=scale, margin=0.2), np.random.default_rng(1)
    features = small_features(rng.random((80, 2, 1)), np.full((80, 2), label), plan)
    prior = prior_draws(features, plan, **QUICK)
    found = prior_predictive_check(features, plan, prior=prior)
    of_quality = found.table[found.table["quantity"] == "quality"]
    assert found.passed and (of_quality["judged"] == label).all()
    assert not ((of_quality["lower"] <= label) & (label <= of_quality["upper"])).any()
    middle = sum(plan.criteria[0].score[:: len(plan.criteria[0].score) - 1]) / 2
    narrow = prior.assign(calibrated=middle + 0.8 * (prior["calibrated"] - middle))
    assert not prior_predictive_check(features, plan, prior=narrow).passed


def test_an_incumbent_at_odds_with_the_priors_is_told_and_is_no_candidate(case):
    plan, _, features, _ = case
    prior = prior_draws(features, plan, draws=20)
    found = prior_predictive_check(features, plan, prior=prior.assign(calibrated=0 * prior["calibrated"] + 0.01))
    assert at_odds(found.table) == list(plan.model_ids) and found.models == tuple(plan.candidates)
