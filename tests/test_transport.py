"""The gap between test set and live requests: closed forms against a second formulation, limits, and simulation."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from helpers import small_data, small_features, small_plan
from scipy.stats import norm

from migration_kit import figures, story, tables
from migration_kit.estimands import TOTAL, estimate_rows
from migration_kit.features import build_features
from migration_kit.gates import contrasts
from migration_kit.transport import (
    FLAGGED_AT,
    GAP_COLUMNS,
    at_margins,
    gap_scale,
    joined_normals,
    judged_outputs,
    live_contrasts,
    seen_part,
    transport_check,
    transport_gap,
)
from migration_kit.wording import share

MODELS = ("old", "new", "other")
N = 40


def plan_with(**criterion):
    return small_plan(models=MODELS, metrics=("judge",), slices=True, **criterion)


def joint(a, sa, b, sb, scale, margin=0.03):
    return joined_normals(a, sa, b, sb, scale=scale, margin=margin, interval=0.95)


def test_the_closed_form_is_that_of_a_joint_normal():
    a, sa, b, sb, scale = 0.02, 0.015, -0.05, 0.03, 0.05
    # (Δ_offline, δ) as one bivariate normal, seen through shadow = Δ_offline + δ.
    mean, cov = np.array([a, 0.0]), np.diag([sa**2, scale**2])
    h = np.array([1.0, 1.0])
    gain = cov @ h / (h @ cov @ h + sb**2)
    posterior = mean + gain * (b - h @ mean)
    spread = cov - np.outer(gain, h @ cov)
    found = joint(a, sa, b, sb, scale)
    assert found["gap"] == pytest.approx(posterior[1]) and found["gap_sd"] == pytest.approx(np.sqrt(spread[1, 1]))
    assert found["joint"] == pytest.approx(h @ posterior)
    assert found["joint_sd"] == pytest.approx(np.sqrt(h @ spread @ h))
    beyond = norm.cdf(-0.03, found["gap"], found["gap_sd"]) + norm.sf(0.03, found["gap"], found["gap_sd"])
    assert found["beyond"] == pytest.approx(beyond)
    assert found["prior_beyond"] == pytest.approx(2 * norm.cdf(-0.03 / scale))


def test_without_a_gap_both_are_pooled_and_with_a_wide_one_the_shadow_stands_alone():
    pooled, alone = joint(0.02, 0.01, -0.04, 0.02, 1e-9), joint(0.02, 0.01, -0.04, 0.02, 1e6)
    weights = np.array([0.01, 0.02]) ** -2.0
    assert pooled["joint"] == pytest.approx(np.average([0.02, -0.04], weights=weights))
    assert pooled["joint_sd"] == pytest.approx(weights.sum() ** -0.5) and pooled["beyond"] < 1e-9
    assert alone["joint"] == pytest.approx(-0.04) and alone["joint_sd"] == pytest.approx(0.02)


def test_without_a_shadow_the_test_set_is_less_sure_by_the_scale():
    found = joint(0.02, 0.03, np.nan, np.nan, 0.04)
    assert found["joint"] == 0.02 and found["joint_sd"] == pytest.approx(0.05)
    assert found["beyond"] == pytest.approx(found["prior_beyond"])


def test_intervals_of_gap_and_live_contrast_cover():
    rng, scale, sa, sb, n = np.random.default_rng(1), 0.05, 0.02, 0.03, 4000
    offline = rng.normal(0, 0.1, n)
    gap = rng.normal(0, scale, n)
    found = [joint(a, sa, b, sb, scale) for a, b in zip(offline + sa * rng.standard_normal(n),
                                                        offline + gap + sb * rng.standard_normal(n), strict=True)]
    for name, truth in (("gap", gap), ("joint", offline + gap)):
        held = [abs(t - one[name]) <= norm.ppf(0.975) * one[f"{name}_sd"] for one, t in zip(found, truth, strict=True)]
        # Monte Carlo error 0.0034; the offline contrast is not drawn from a flat prior, which costs nothing here.
        assert np.mean(held) == pytest.approx(0.95, abs=0.012)
    said = np.array([one["beyond"] for one in found])
    assert np.mean(abs(gap) > 0.03) == pytest.approx(said.mean(), abs=0.03)


def drawn(means, sd, *, models=MODELS, slices=("a", "b"), seed=0, draws=400):
    """Quality draws whose incumbent is 0.5 and whose contrasts are `means`, (candidate, slice)."""
    rng = np.random.default_rng(seed)
    level = np.concatenate([np.zeros((1, len(slices))), np.asarray(means, float)]) + 0.5
    values = np.repeat(level[None, None], 2, axis=0) + np.zeros((2, draws, 1, 1))
    values[:, :, 1:] += sd * rng.standard_normal((2, draws, len(models) - 1, len(slices)))
    total = values.mean(axis=-1, keepdims=True)
    dims = ("chain", "draw", "model", "slice")
    one = xr.DataArray(np.concatenate([total, values], axis=-1), dims=dims,
                       coords={"model": list(models), "slice": [TOTAL, *slices]})
    return xr.Dataset({"calibrated": one, "corrected": one})


@pytest.fixture
def setting():
    """Features of a test set with two regions of equal traffic, and its plan."""
    return features_of(plan_with()), plan_with()


def features_of(plan, *, start=0):
    rng = np.random.default_rng(0)
    label = (rng.random((N, 3)) < 0.6).astype(float) + start
    data = small_data(rng.random((N, 3, 1)), label, plan, regions=np.resize(["a", "b"], N))
    return build_features(data, plan, plan.criteria[0].id)


def by_slice(labels):
    """Half of each model's judged outputs in either slice."""
    return pd.DataFrame({TOTAL: labels, "a": {name: n // 2 for name, n in labels.items()},
                         "b": {name: n - n // 2 for name, n in labels.items()}})


def gaps(setting, shadow, *, labels=None, scale=0.05, offline=None):
    own, plan = setting
    offline = drawn([[0.02, 0.02], [0.0, 0.0]], 0.01) if offline is None else offline
    return transport_gap(offline, shadow, own, plan, scale=scale,
                         labels=by_slice(labels or dict.fromkeys(MODELS, 200)))


def test_what_both_sources_say_alone_are_their_own_intervals(setting):
    offline, shadow = drawn([[0.02, 0.02], [0.0, 0.0]], 0.01), drawn([[-0.08, -0.08], [0.0, 0.0]], 0.02, seed=1)
    table = gaps(setting, shadow, offline=offline)
    for name, draws in (("offline", offline), ("shadow", shadow)):
        rows = estimate_rows(draws, setting[0], incumbent="old", layer="traffic", interval=0.95, margin=None)
        rows = rows[(rows["method"] == "calibrated") & (rows["quantity"] == "contrast")]
        both = table.merge(rows, on=["model", "slice"], suffixes=("_gap", ""))
        assert len(both) == len(table)
        np.testing.assert_allclose(both[[name, f"{name}_lower", f"{name}_upper"]], both[["mean", "lower", "upper"]],
                                   atol=1e-9)


def test_a_candidate_that_does_not_transport_is_flagged_and_one_that_does_is_not(setting):
    _, plan = setting
    table = gaps(setting, drawn([[-0.08, -0.08], [0.0, 0.0]], 0.02, seed=1))
    assert list(table.columns) == list(GAP_COLUMNS) and len(table) == 2 * 3
    total = table[table["slice"] == TOTAL].set_index("model")
    assert total.loc["new", "flagged"] and total.loc["new", "beyond"] >= FLAGGED_AT
    assert not total.loc["other", "flagged"]
    check = transport_check(table, plan, plan.criteria[0])
    assert check.passed is False and check.models == ("new",) and not check.blocks
    for part in ("+2.0 points", "−8.0 points", "200 judged"):
        assert part in check.text, check.text


def test_the_total_weighs_slices_as_traffic_does(setting):
    own, _ = setting
    own = own.assign(share=("slice", [0.9, 0.1]))
    table = gaps((own, setting[1]), drawn([[-0.1, 0.1], [0, 0]], 0.001))
    row = table[(table["model"] == "new") & (table["slice"] == TOTAL)].iloc[0]
    assert row["shadow"] == pytest.approx(-0.08, abs=1e-3)


def test_a_shadow_of_fewer_slices_and_models_is_compared_on_those(setting):
    shadow = drawn([[-0.02]], 0.02, models=("old", "new"), slices=("b",))
    table = gaps(setting, shadow)
    assert set(table["model"]) == {"new"} and set(table["slice"]) == {TOTAL, "b"}


def test_a_shadow_that_nobody_judged_says_nothing(setting):
    _, plan = setting
    table = gaps(setting, drawn([[-0.3, -0.3], [0, 0]], 0.02), labels={"old": 0, "new": 0, "other": 0})
    assert table["shadow"].isna().all() and not table["flagged"].any()
    assert transport_check(table, plan, plan.criteria[0]).passed is None
    assert transport_check(table.iloc[:0], plan, plan.criteria[0]).passed is None


def test_draws_move_to_the_live_posterior_and_others_stay(setting):
    _, plan = setting
    offline = drawn([[0.02, 0.02], [0.0, 0.0]], 0.01)
    table = gaps(setting, drawn([[-0.08, -0.08]], 0.02, models=("old", "new"), seed=2), offline=offline)
    deltas = contrasts(offline, plan, plan.criteria[0])
    live = live_contrasts(deltas, table)
    for row in table.itertuples():
        values = live["calibrated"].sel(model=row.model, slice=row.slice)
        assert float(values.mean()) == pytest.approx(row.joint) and float(values.std()) == pytest.approx(row.joint_sd)
        # Figures of the gap and the decision tell the same numbers.
        ends = np.quantile(values, [0.025, 0.975])
        assert ends == pytest.approx([row.joint_lower, row.joint_upper])
        margin = plan.criteria[0].margin if row.slice == TOTAL else plan.criteria[0].slice_margin
        if margin is not None:
            assert row.prob_noninferior == float((values > -margin).mean())
    xr.testing.assert_identical(live["calibrated"].sel(model="other"), deltas["calibrated"].sel(model="other"))
    assert float(deltas["calibrated"].sel(model="new", slice=TOTAL).mean()) == pytest.approx(0.02, abs=2e-3)


def test_what_the_shadow_did_not_see_stays_as_the_test_set_has_it(setting):
    own, plan = setting
    offline = drawn([[0.02, 0.02], [0.0, 0.0]], 0.01)
    shadow = drawn([[-0.08]], 0.02, models=("old", "new"), slices=("b",), seed=2)
    own = own.assign(share=("slice", [0.75, 0.25]))
    table = gaps((own, plan), shadow, offline=offline)
    deltas = contrasts(offline, plan, plan.criteria[0])
    live = live_contrasts(deltas, table)["calibrated"].sel(model="new")
    total = table[(table["model"] == "new") & (table["slice"] == TOTAL)].iloc[0]
    assert total["covered"] == 0.25
    moved = float(live.sel(slice=TOTAL).mean()) - float(deltas["calibrated"].sel(model="new", slice=TOTAL).mean())
    assert moved == pytest.approx(0.25 * (total["joint"] - total["offline"])) and moved < -0.01
    xr.testing.assert_identical(live.sel(slice="a"), deltas["calibrated"].sel(model="new", slice="a"))


@pytest.mark.parametrize("scale, expected", [("binary", 0.05), ({"ordinal": [1, 5]}, 0.2)])
def test_the_scale_of_the_gap_is_a_share_of_what_the_criterion_can_show(scale, expected):
    plan = plan_with(scale=scale, margin=0.03)
    assert gap_scale(plan, features_of(plan, start=int(scale != "binary"))) == pytest.approx(expected)


def test_a_shadow_of_one_slice_is_told_as_one_of_that_slice(setting):
    own, plan = setting
    own = own.assign(share=("slice", [0.75, 0.25]))
    table = gaps((own, plan), drawn([[-0.2]], 0.02, models=("old", "new"), slices=("b",), seed=2))
    (criterion,), part = plan.criteria, "b (25% of traffic)"
    assert seen_part(table, criterion.id) == part
    assert transport_check(table, plan, criterion).text.startswith(f"For live requests in {part} the test set promised")
    told, seen, joined = (text.replace("\\", "") for text in (
        story.shadow.transport(table, plan, criterion), story.shadow.seen(table, plan), story.shadow.joined(table)))
    assert f"For live requests in {part} the test set" in told and "new is judged there by" in told
    assert f"All of these requests are in {part}" in seen
    assert f"joined for new on {criterion.id} in {part}. The rest is of the test set alone" in joined
    figure = figures.shadow.transport(table, plan, criterion)
    assert f"in {part}" in figure.alt_text and figure.caption.endswith("the rest of traffic has no live requests.")
    total, slices = (tables.shadow.transport(table, plan, by_slice=by).as_raw_html() for by in (False, True))
    assert f"{criterion.id} in {part}" in total and part not in slices and "The margin is the slice margin" in slices


def test_a_shadow_of_all_slices_needs_no_such_words(setting):
    _, plan = setting
    table = gaps(setting, drawn([[-0.08, -0.08], [0.0, 0.0]], 0.02, seed=1))
    assert seen_part(table, plan.criteria[0].id) == ""
    told = [story.shadow.seen(table, plan), story.shadow.joined(table),
            story.shadow.transport(table, plan, plan.criteria[0]),
            figures.shadow.transport(table, plan, plan.criteria[0]).caption]
    assert not [text for text in told if "of traffic" in text or "there" in text.split()]


@pytest.mark.parametrize("shown, sd, said", [
    (-0.2, 0.01, "**The result does not transport**"), (0.02, 0.05, "too few to tell"),
    (0.02, 0.001, "Nothing speaks for a gap beyond the margin")])
def test_what_follows_from_a_gap_is_said(setting, shown, sd, said):
    _, plan = setting
    table = gaps(setting, drawn([[shown, shown]], sd, models=("old", "new")))
    assert said in story.shadow.transport(table, plan, plan.criteria[0])


def test_the_weight_of_live_judgments_is_how_far_they_draw_the_promise(setting):
    _, plan = setting
    table = gaps(setting, drawn([[-0.08, -0.08]], 0.02, models=("old", "new")))
    row = table[table["slice"] == TOTAL].iloc[0]
    weight = share((row["joint"] - row["offline"]) / (row["shadow"] - row["offline"]))
    assert f"the live judgments have {weight} of the weight." in story.shadow.transport(table, plan, plan.criteria[0])


@pytest.mark.parametrize("fewer", ["old", "new"])
def test_the_model_with_fewer_judged_outputs_counts(setting, fewer):
    labels = dict.fromkeys(MODELS, 200) | {fewer: 10}
    table = gaps(setting, drawn([[-0.08, -0.08]], 0.02, models=("old", "new")), labels=labels)
    assert table.set_index("slice")["n_labels"].to_dict() == {TOTAL: 10, "a": 5, "b": 5}


@pytest.mark.parametrize("slice_margin", [None, 0.1])
def test_held_against_the_margins_of_their_own_plan_gaps_stay_what_they_are(slice_margin):
    plan = plan_with(margin=0.03, slice_margin=slice_margin)
    own = features_of(plan)
    table = gaps((own, plan), drawn([[-0.08, 0.0]], 0.02, models=("old", "new")), scale=gap_scale(plan, own))
    again, held = at_margins(table, plan, {plan.criteria[0].id: own}), "prob_noninferior"
    pd.testing.assert_frame_equal(again.drop(columns=held), table.drop(columns=held))
    np.testing.assert_allclose(again[held], table[held], atol=0.03)


def test_judged_outputs_are_counted_by_slice_and_in_all():
    regions = np.repeat(["a", "b"], [30, 10])
    plan = plan_with()
    label = np.where(np.arange(40)[:, None] < [40, 35, 12], 1.0, np.nan)
    found = judged_outputs(small_features(np.ones((40, 3, 1)), label, plan, regions=regions))
    assert found.loc[list(MODELS), [TOTAL, "a", "b"]].to_numpy().tolist() == [[40, 30, 10], [35, 30, 5], [12, 12, 0]]
