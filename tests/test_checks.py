"""Checks: each passes on sound data and fails when what it guards is broken."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from helpers import relabelled, small_features, small_plan
from scipy.stats import norm
from test_estimands import make_features, make_fit

from migration_kit.estimands import predict, quality
from migration_kit.fit_checks import fit_checks, sampling_check
from migration_kit.method_checks import agreement_check, correction_check
from migration_kit.metric_errors import metric_errors
from migration_kit.prediction import parameter_draws
from migration_kit.predictive import labelled_predictions, predictive_cells, reliability


def passed(checks):
    return {check.name: check.passed for check in checks}


def sampled(level, **options):
    """A fit whose labels come from the model itself."""
    features, plan = make_features(labels=240)
    fit = make_fit(features, level=level, spread=options.pop("spread", 0.05), draws=2000, **options)
    fit = xr.DataTree.from_dict({
        "posterior": fit["posterior"].to_dataset(),
        "sample_stats": xr.Dataset({"diverging": (("chain", "draw"), np.zeros((2, 1000), bool))})})
    fit.attrs |= {"divergent_share": 0.001, "fast": 0}
    expected = predict(parameter_draws(fit), features, np.arange(240), rows=slice(None)).mean(axis=0)
    return fit, relabelled(features, np.random.default_rng(3).random(expected.shape) < expected), plan


def test_a_sound_fit_passes_and_a_wrong_one_does_not():
    fit, features, plan = sampled([0.2, 0.6, -0.3])
    draws = quality(fit, features, traffic=True, seed=1)
    found = passed(fit_checks(fit, draws, features, plan))
    assert found["sampling"] and found["predictions match labels"] and found["calibrated and corrected agree"]
    features = relabelled(features, features["label"] * np.array([1, 0, 1]))
    draws = quality(fit, features, traffic=True, seed=1)
    checks = {c.name: c for c in fit_checks(fit, draws, features, plan)}
    assert checks["predictions match labels"].passed is False
    assert checks["calibrated and corrected agree"].models == ("new",)


def test_bad_sampling_blocks():
    fit, features, plan = sampled([0.2, 0.6, -0.3])
    draws = quality(fit, features, traffic=True, seed=1)
    assert sampling_check(fit, draws, features, plan).passed
    apart = draws.copy(deep=True)
    apart["calibrated"][0] += 0.05
    check = sampling_check(fit, apart, features, plan)
    assert check.passed is False and check.blocks
    fit["sample_stats"]["diverging"][0, :10] = True
    assert sampling_check(fit, draws, features, plan).passed is False


def test_sampling_of_a_monitor_blocks_nothing():
    fit, features, plan = sampled([0.2, 0.6, -0.3])
    fit["sample_stats"]["diverging"][0, :10] = True
    draws = quality(fit, features, traffic=True, seed=1)
    watched = plan.model_copy(update={"criteria": tuple(
        one.model_copy(update={"role": "monitor"}) for one in plan.criteria)})
    for one, blocks in ((plan, True), (watched, False)):
        check = sampling_check(fit, draws, features, one)
        assert check.passed is False and check.blocks == blocks


def test_correction_check_counts_in_standard_deviations():
    fit, features, plan = sampled([0.2, 0.6, -0.3])
    draws = quality(fit, features, traffic=True, seed=1)
    table = correction_check(draws, features, plan).table.set_index("model")
    moved = ((draws["corrected"] - draws["calibrated"]).sel(slice="all", model="new")
             - (draws["corrected"] - draws["calibrated"]).sel(slice="all", model="old")).to_numpy()
    assert table.loc["new", "ratio"] == pytest.approx(abs(moved.mean()) / moved.std())


def compared(*rows, layer="traffic", **columns):
    """Estimates of calibrated and labels-only contrasts: criterion, model, (mean, sd, P) of each."""
    common = {"layer": layer, "quantity": "contrast", "slice": "all", **columns}
    return pd.DataFrame([
        {**common, "criterion": criterion, "model": model, "method": method, "mean": mean, "sd": sd,
         "prob_noninferior": held}
        for criterion, model, calibrated, labels in rows
        for method, (mean, sd, held) in (("calibrated", calibrated), ("labels_only", labels))])


def test_agreement_with_labels_only():
    plan = small_plan()

    def passed_with(calibrated, sd, labels, labels_sd):
        rows = compared(("correct", "new", (calibrated, sd, 0.5), (labels, labels_sd, 0.5)))
        return agreement_check(rows, plan, "correct", layer="traffic").passed

    # Allowed: 1.96·√(0.05² − 0.03²) = 0.0784, and never less than 1.96·√(0.25·0.05²) = 0.0490.
    assert passed_with(0.0, 0.03, 0.078, 0.05) and not passed_with(0.0, 0.03, 0.079, 0.05)
    assert passed_with(0.0, 0.05, 0.0489, 0.05) and not passed_with(0.0, 0.05, 0.0491, 0.05)
    assert passed_with(0.0, 0.05, np.nan, np.nan) is None
    elsewhere = compared(("style", "new", (0.0, 0.03, 0.5), (0.0, 0.05, 0.5)))
    assert agreement_check(elsewhere, plan, "correct", layer="traffic").passed is None


def test_more_comparisons_allow_more_so_that_one_sound_report_in_twenty_fails():
    plan = small_plan(models=("old", "new", "other"))
    rows = [(criterion, model, (0.0, 0.03, 0.5), (0.01, 0.05, 0.5))
            for criterion in ("correct", "style", "tone") for model in ("new", "other")]
    unjudged = ("refused", "new", (0.0, 0.03, 0.5), (np.nan, np.nan, np.nan))
    for n in (1, 2, 6):
        allowed = agreement_check(compared(*rows[:n], unjudged), plan, "correct", layer="traffic").table["allowed"]
        # Each of n independent normals lies beyond with 5% / n, and one of them with at most 5%.
        assert 2 * norm.sf(allowed.to_numpy() / 0.04) * n == pytest.approx(0.05)


def test_what_differs_most_is_told_by_what_it_is_held_against():
    plan = small_plan(models=("old", "new", "other"))
    # In points other differs more, but chance allows it more.
    rows = compared(("correct", "new", (0.0, 0.01, 0.5), (0.021, 0.03, 0.5)),
                    ("correct", "other", (0.0, 0.01, 0.5), (0.022, 0.09, 0.5)))
    told = agreement_check(rows, plan, "correct", layer="traffic").text
    assert told.startswith("Held against what chance allows, calibrated and labels-only contrasts differ most for "
                           "new: by 2.1 points")
    fit, features, plan = sampled([0.2, 0.6, -0.3])
    told = correction_check(quality(fit, features, traffic=True, seed=1), features, plan).text
    assert told.startswith("Held against its standard deviation, the correction by residuals is largest for ")
    assert "most" not in told.replace("at most", "")


def test_a_failed_agreement_says_what_differs_what_depends_on_it_and_what_to_do():
    plan = small_plan(models=("old", "new", "other"))
    rows = compared(("correct", "new", (0.02, 0.01, 0.99), (-0.2, 0.05, 0.01)),
                    ("correct", "other", (0.01, 0.01, 0.98), (0.02, 0.05, 0.95)))
    check = agreement_check(rows, plan, "correct", layer="traffic")
    assert check.passed is False and check.models == ("new",)
    assert ("contrast of new on correct is +2.0 points, by labels alone it is −20.0 points: they differ by 22 points, "
            "and chance explains up to 11") in check.text
    assert "new comes out as switch with the calibrated contrast, which decides, and as keep" in check.text
    assert "label more items" in check.text and "other" not in check.text
    rows = compared(("correct", "new", (0.3, 0.01, 0.999), (0.1, 0.05, 0.99)))
    assert "new comes out as switch either way" in agreement_check(rows, plan, "correct", layer="traffic").text
    offline = agreement_check(rows.assign(layer="offline"), plan, "correct", layer="offline")
    assert "stage 4 makes this check again" in offline.text and "either way" not in offline.text


@pytest.mark.parametrize(("role", "said"), [("monitor", "only monitored, so no verdict"),
                                            ("trade-off", "at most the choice among candidates")])
def test_what_is_no_gate_decides_no_verdict(role, said):
    plan = small_plan(role=role, margin=None, weight=1.0 if role == "trade-off" else None)
    rows = compared(("correct", "new", (0.3, 0.01, np.nan), (-0.1, 0.05, np.nan)))
    assert said in agreement_check(rows, plan, "correct", layer="traffic").text


def test_metric_errors_equal_sums_over_known_outputs():
    # A posterior that is sure of every output: rates are plain frequencies, the correlation plain Somers' D.
    rng = np.random.default_rng(5)
    n = 400
    plan = small_plan(metrics=("judge", "score", "truth"))
    truth = (rng.random((n, 2)) < 0.6).astype(float)
    judge = np.where(rng.random((n, 2)) < 0.8, truth, 1 - truth)
    score = np.round(truth + rng.normal(0, 1, (n, 2)), 1)
    features = small_features(np.stack([judge, score, truth], axis=-1), truth, plan)
    fit = make_fit(features, level=[0.0, 0.0], draws=400)
    back = np.linalg.pinv(features["rotation"].to_numpy()) @ (50.0 * (features["feature"].to_numpy() == "truth"))
    fit["posterior"]["weight"][:] = back
    table = metric_errors(fit, features, interval=0.95, seed=1).set_index(["metric", "model"])
    for m, model in enumerate(("old", "new")):
        good, bad = truth[:, m] == 1, truth[:, m] == 0
        row = table.loc[("judge", model)]
        assert row["true_positive"] == pytest.approx(judge[good, m].mean(), abs=0.01)
        assert row["false_positive"] == pytest.approx(judge[bad, m].mean(), abs=0.01)
        assert row["tp_lower"] < row["true_positive"] < row["tp_upper"] and np.isnan(row["rank_correlation"])
        pairs = np.sign(score[good, m][:, None] - score[bad, m][None])
        assert table.loc[("score", model), "rank_correlation"] == pytest.approx(pairs.mean(), abs=0.01)


def test_predictions_are_calibrated_where_the_model_is_right():
    fit, features, _ = sampled([0.2, 0.6, -0.3])
    predictions = labelled_predictions(fit, features, seed=1)
    assert float(predictions["replicate"].mean()) == pytest.approx(float(predictions["expected"].mean()), abs=0.01)
    cells = predictive_cells(predictions, features, interval=0.95)
    assert set(cells["of"]) == {"slice", "primary metric"} and (cells["n"] >= 5).all()
    inside = ((cells["judged"] >= cells["lower"]) & (cells["judged"] <= cells["upper"])).mean()
    assert inside > 0.75
    curve = reliability(predictions)
    assert curve["n"].sum() == 720 and (curve["predicted"].diff().dropna() > 0).all()
    assert abs(curve["predicted"] - curve["judged"]).max() < 0.2


def test_a_fit_that_is_sure_of_every_output_gives_no_missing_numbers():
    features, _ = make_features(labels=240)
    table = metric_errors(make_fit(features, level=[40.0, 40.0, 40.0]), features, interval=0.95, seed=1)
    assert table.loc[table["metric"] == "judge", "false_positive"].notna().all()
