"""Figures: what they draw and describe, with names and numbers of every kind."""

import base64

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from conftest import write_tiny

from migration_kit import figures, overview
from migration_kit.crosschecks import cross_checks
from migration_kit.data import load_data
from migration_kit.features import build_features
from migration_kit.figures.canvas import INCUMBENT, colours, markers
from migration_kit.plan import load_plan

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
        "raw": figures.raw(weighted, plan, criterion),
        "flips": figures.flips(overview.flips(features, plan), plan, criterion),
        "metric_trust": figures.metric_trust(errors, plan, criterion),
        "quality": figures.quality(weighted, plan, criterion), "contrast": figures.contrast(weighted, plan, criterion),
        "methods": figures.methods(weighted, plan, criterion),
        "slices": figures.slices(weighted, plan, criterion, mix),
        "traffic_shift": figures.traffic_shift(estimates, plan, criterion),
        "held_out": figures.held_out(truth, plan, criterion),
        "reliability": figures.reliability(groups, plan, criterion),
    }


def test_every_figure_is_a_described_png(case):
    drawn = all_figures(case)
    assert set(drawn) == set(figures.__all__) - {"Picture"}
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
    plan, _, _, estimates = case
    picture = figures.raw(estimates.iloc[:0], plan, plan.criterion("correct"))
    assert "nothing to show" in picture.axes[0].texts[0].get_text()


def test_metrics_that_are_no_rates_stay_off_the_axis_of_points(case):
    plan, _, _, estimates = case
    rows = estimates[estimates["layer"] == "traffic"].copy()
    rows.loc[(rows["method"] == "raw") & (rows["metric"] == "exact_match"), ["mean", "lower", "upper"]] = 120.0
    for draw in (figures.raw, figures.methods):
        picture = draw(rows, plan, plan.criterion("correct"))
        assert "exact_match" not in picture.alt_text
        assert picture.axes[0].get_xlim()[1] < 2


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
