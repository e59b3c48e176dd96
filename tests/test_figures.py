"""Figures: what they draw and describe, with names and numbers of every kind."""

import base64
import io
import re
import warnings

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from conftest import write_tiny
from helpers import judged_features
from PIL import Image

from migration_kit import figures, overview, raters
from migration_kit.crosschecks import cross_checks
from migration_kit.data import load_data
from migration_kit.features import build_features
from migration_kit.figures.canvas import INCUMBENT, colours, markers
from migration_kit.metric_worth import metric_worth
from migration_kit.plan import load_plan
from migration_kit.simulate.families import simulate_family

SEVERITY = pd.DataFrame({"rater": ["anna", "$b$"], "n": [9, 8], "shared": [5, 1], "mean": [0.6, 0.5],
                         "difference": [0.1, -0.1], "lower": [-0.1, np.nan], "upper": [0.3, np.nan]})
ODD = "$x_{1}$ <b>& 模型"


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    plan_path = write_tiny(folder)
    for name in ("migration.yml", "scores.csv"):
        text = (folder / name).read_text("utf-8").replace("id: small", f'id: "{ODD}"').replace(",small,", f",{ODD},")
        (folder / name).write_text(text, "utf-8")
    plan = load_plan(plan_path)
    data = load_data(plan)
    features = build_features(data, plan, "correct")
    rows = [cross_checks(features, plan, traffic=traffic, seed=1) for traffic in (False, True)]
    rows = pd.concat(rows, ignore_index=True)
    calibrated = rows[rows["method"] == "labels_only"].assign(method="calibrated")
    estimates = pd.concat([rows, calibrated], ignore_index=True)
    return plan, data, features, estimates


def all_figures(case) -> dict[str, figures.Picture]:
    plan, data, features, estimates = case
    criterion, weighted = plan.criterion("correct"), estimates[estimates["layer"] == "traffic"]
    mix = overview.slice_mix(data, plan)
    errors = pd.DataFrame([
        {"model": model, "metric": metric, "true_positive": 0.9 if metric == "judge-x" else np.nan, "tp_lower": 0.8,
         "tp_upper": 0.95, "false_positive": 0.3 if metric == "judge-x" else np.nan, "fp_lower": 0.2, "fp_upper": 0.4,
         "rank_correlation": np.nan if metric == "judge-x" else 0.4, "rc_lower": 0.1, "rc_upper": 0.6}
        for model in plan.model_ids for metric in criterion.metrics])
    groups = pd.DataFrame({"predicted": [0.2, 0.7], "judged": [0.3, 0.6], "n": [5, 5], "lower": [0.0, 0.4],
                           "upper": [0.6, 1.0]})
    truth = weighted[weighted["method"] == "calibrated"].assign(truth=0.01, n=3, inside=True)
    return {
        "mix": figures.mix(mix), "baseline": figures.baseline(weighted, plan, criterion),
        "raw": figures.raw(weighted, plan, criterion, features),
        "metric_worth": figures.metric_worth(metric_worth(features, plan, traffic=True), plan, criterion),
        "severity": figures.severity(SEVERITY, plan, criterion),
        "flips": figures.flips(overview.flips(features, plan), plan, criterion),
        "metric_trust": figures.metric_trust(errors, plan, criterion),
        "quality": figures.quality(weighted, plan, criterion), "contrast": figures.contrast(weighted, plan, criterion),
        "methods": figures.methods(weighted, plan, criterion, features),
        "slices": figures.slices(weighted, plan, criterion, mix),
        "traffic_shift": figures.traffic_shift(estimates, plan, criterion),
        "held_out": figures.held_out(truth, plan, criterion),
        "reliability": figures.reliability(groups, plan, criterion),
    }


def test_every_figure_is_a_described_png(case):
    drawn = all_figures(case)
    assert set(drawn) == set(figures.__all__) - {"Picture", "history"}  # `test_choice` draws history
    for name, picture in drawn.items():
        data, metadata = picture._repr_mimebundle_()
        assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG"), name
        assert metadata["image/png"]["alt"] == picture.alt_text, name
        assert any(letter.isdigit() for letter in picture.alt_text), name
        assert picture.caption.endswith("."), name
        assert "nan" not in picture.alt_text, name
        told = [text for axes in picture.axes for text in axes.texts]
        assert not any("nan" in text.get_text() for text in told), name


def test_names_are_plain_text(case):
    drawn = all_figures(case)
    labels = [label.get_text() for label in drawn["contrast"].axes[0].get_yticklabels()]
    assert any("$x_{1}$" in label.replace("\n", "") for label in labels)
    assert all(not label.get_parse_math() for label in drawn["contrast"].axes[0].get_yticklabels())
    assert ODD in drawn["contrast"].alt_text


def test_the_contrast_figure_draws_the_margin_on_the_losing_side(case):
    plan, _, _, estimates = case
    criterion = plan.criterion("correct")
    picture = figures.contrast(estimates[estimates["layer"] == "traffic"], plan, criterion)
    axes = picture.axes[0]
    ends = [line.get_xdata() for line in axes.lines]
    verticals = {x[0] for x in ends if len(x) == 2 and x[0] == x[1]}
    assert {0, -criterion.margin} <= verticals
    assert axes.get_xlim()[0] < -criterion.margin < 0 < axes.get_xlim()[1]
    assert "margin −5" in [text.get_text().strip() for text in axes.texts]


def test_the_alt_text_of_the_contrast_holds_its_numbers(case):
    plan, _, _, estimates = case
    rows = estimates[estimates["layer"] == "traffic"].copy()
    here = (rows["method"] == "calibrated") & (rows["quantity"] == "contrast") & (rows["slice"] == "all")
    numbers = ["mean", "lower", "upper", "prob_noninferior"]
    rows.loc[here & (rows["model"] == "new"), numbers] = [0.021, -0.004, 0.046, 0.998]
    rows.loc[here & (rows["model"] == ODD), numbers] = np.nan
    picture = figures.contrast(rows, plan, plan.criterion("correct"))
    assert "new +2.1  (−0.4 to +4.6), non-inferior: 99.8%" in picture.alt_text
    assert "not known" in [text.get_text() for text in picture.axes[0].texts]


def test_figures_without_anything_to_show_say_so(case):
    plan, _, features, estimates = case
    picture = figures.raw(estimates.iloc[:0], plan, plan.criterion("correct"), features)
    assert "nothing to show" in picture.axes[0].texts[0].get_text()


def test_metrics_in_another_unit_stay_off_the_axis_of_points(case):
    plan, _, features, estimates = case
    rows = estimates[estimates["layer"] == "traffic"].copy()
    rows.loc[(rows["method"] == "raw") & (rows["metric"] == "exact_match"), ["mean", "lower", "upper"]] = 120.0
    value = features["value"].copy()
    value.loc[{"metric": "exact_match"}] = 120.0
    slow = features.assign(value=value)
    for draw in (figures.raw, figures.methods):
        picture = draw(rows, plan, plan.criterion("correct"), slow)
        assert "exact_match" not in picture.alt_text
        assert picture.axes[0].get_xlim()[1] < 2
    assert "in the table only: exact_match" in figures.raw(rows, plan, plan.criterion("correct"), slow).caption


def test_grey_is_told_only_where_a_raw_metric_is_drawn(case):
    plan, _, features, estimates = case
    rows, criterion = estimates[estimates["layer"] == "traffic"], plan.criterion("correct")
    assert "grey: raw metrics" in figures.methods(rows, plan, criterion, features).caption
    far = features.assign(value=features["value"] + 120)
    assert "grey" not in figures.methods(rows, plan, criterion, far).caption


FAMILIES = ("ordinal", "at_least", "normal", "penalty", "pairwise", "raters")


@pytest.fixture(scope="module", params=FAMILIES)
def scaled(request):
    """Features, plan and estimates of a migration on another scale; labels only stand in for the calibration."""
    features, plan = judged_features(simulate_family(request.param, n_labels=60, n_unlabelled=60, seed=1))
    rows = pd.concat([cross_checks(features, plan, traffic=traffic, seed=1) for traffic in (False, True)])
    calibrated = rows[rows["method"] == "labels_only"].assign(method="calibrated")
    return features, plan, pd.concat([rows, calibrated], ignore_index=True)


def test_every_figure_speaks_the_unit_of_its_scale(scaled):
    features, plan, estimates = scaled
    criterion, weighted = plan.criteria[0], estimates[estimates["layer"] == "traffic"]
    mix = pd.DataFrame({"slice": features["slice"].to_numpy(), "traffic_share": features["share"].to_numpy()})
    low, high = np.nanquantile(features["label"].to_numpy(), [0.1, 0.9])
    groups = pd.DataFrame({"predicted": [low, high], "judged": [low, high], "n": 5, "lower": low, "upper": high})
    drawn = {
        "contrast": figures.contrast(weighted, plan, criterion), "quality": figures.quality(weighted, plan, criterion),
        "methods": figures.methods(weighted, plan, criterion, features),
        "raw": figures.raw(weighted, plan, criterion, features),
        "slices": figures.slices(weighted, plan, criterion, mix),
        "traffic_shift": figures.traffic_shift(estimates, plan, criterion),
        "flips": figures.flips(overview.flips(features, plan), plan, criterion),
        "metric_worth": figures.metric_worth(metric_worth(features, plan, traffic=True), plan, criterion),
        "reliability": figures.reliability(groups, plan, criterion),
        "severity": figures.severity(raters.severity(features, interval=0.95), plan, criterion),
    }
    if criterion.kind != "pairwise":
        drawn["baseline"] = figures.baseline(weighted, plan, criterion)
    for name, picture in drawn.items():
        picture._repr_mimebundle_()
        told = f"{picture.alt_text} {picture.caption}"
        assert len(picture.alt_text) > 40 and "nan" not in told, name
        if not criterion.in_points and name not in ("flips", "metric_worth"):
            labels = [text.get_text() for axes in picture.axes for text in axes.get_xticklabels()]
            assert not any("%" in label for label in labels), name
            assert not re.search(r"(?<!non-inferior: )(?<![\d.])[\d.]+%", picture.alt_text), name
            assert " points" not in told, name


def test_the_margin_stands_on_the_scale_of_the_criterion(scaled):
    _, plan, estimates = scaled
    criterion = plan.criteria[0]
    picture = figures.contrast(estimates[estimates["layer"] == "traffic"], plan, criterion)
    assert picture.axes[0].get_xlim()[0] < -criterion.margin
    said = {"pairwise": "margin −3"}.get(criterion.kind, "margin −20" if criterion.in_points else "margin −0.2")
    assert said in [text.get_text().strip() for text in picture.axes[0].texts]


def test_preferences_show_candidates_against_the_incumbents_zero():
    features, plan = judged_features(simulate_family("pairwise", n_labels=60, n_unlabelled=60, seed=1))
    rows = cross_checks(features, plan, traffic=True, seed=1)
    rows = rows[rows["method"] == "labels_only"].assign(method="calibrated")
    picture = figures.quality(rows, plan, plan.criteria[0])
    assert "old (incumbent) 0 by definition" in picture.alt_text
    assert "net win rate is 0 by definition" in picture.caption
    assert picture.axes[0].get_xlim()[0] < 0 < picture.axes[0].get_xlim()[1]


def test_metrics_without_a_common_unit_are_counted_in_standard_errors():
    features, plan = judged_features(simulate_family("penalty", n_labels=60, n_unlabelled=60, seed=1))
    rows = cross_checks(features, plan, traffic=True, seed=1)
    picture = figures.raw(rows, plan, plan.criteria[0], features)
    assert "its own standard errors" in picture.caption
    raw = rows[(rows["method"] == "raw") & (rows["quantity"] == "contrast") & (rows["slice"] == "all")].iloc[0]
    assert f"{raw['metric']} {raw['mean'] / raw['sd']:+.1f}".replace("-", "−") in picture.alt_text


def test_scores_show_rank_correlations_and_verdicts_show_rates():
    _, plan = judged_features(simulate_family("pairwise", n_labels=60, n_unlabelled=60, seed=1))
    errors = pd.DataFrame([{"model": "new", "metric": "judge", "true_positive": np.nan, "false_positive": np.nan,
                            "rank_correlation": 0.61, "rc_lower": 0.5, "rc_upper": 0.7}])
    picture = figures.metric_trust(errors, plan, plan.criteria[0])
    assert "judge for new: rank correlation 0.61" in picture.alt_text
    assert "Verdicts" not in picture.caption and "rank correlation, 1 where" in picture.caption
    assert picture.axes[0].get_xlim() == (-1.03, 1.03)


def test_a_figure_with_a_palette_is_small_sharp_and_keeps_its_colours(case):
    plan, _, _, estimates = case
    picture = figures.contrast(estimates[estimates["layer"] == "traffic"], plan, plan.criterion("correct"))
    content = base64.b64decode(picture._repr_mimebundle_()[0]["image/png"])
    whole = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):
        picture.savefig(whole, format="png", dpi=160, pil_kwargs={"optimize": True})
    assert len(content) < 0.45 * len(whole.getvalue())
    with Image.open(io.BytesIO(content)) as small, Image.open(whole) as full:
        assert small.size == full.size and round(small.info["dpi"][0]) == 160
        apart = np.abs(np.asarray(small.convert("RGB"), int) - np.asarray(full.convert("RGB"), int))
    assert apart.max() <= 16


def test_the_incumbent_is_grey_and_candidates_differ():
    models = ["old", *(f"c{n}" for n in range(12))]
    shade, shape = colours(models, incumbent="old"), markers(models, incumbent="old")
    assert shade["old"] == INCUMBENT
    assert INCUMBENT not in [shade[name] for name in models[1:]]
    assert len({(shade[name], shape[name]) for name in models}) == len(models)


def test_figures_leave_the_notebooks_settings_alone(case):
    before = dict(mpl.rcParams)
    all_figures(case)["mix"]._repr_mimebundle_()
    assert dict(mpl.rcParams) == before
