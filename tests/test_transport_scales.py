"""The live posterior had the plan expected another gap: its limits, and what is said of it."""

import numpy as np
import pytest
from scipy.stats import norm
from test_decision import gap_rows
from test_tables import cells, page
from test_transport import drawn, features_of, plan_with
from test_transport import gaps as gaps_of

from migration_kit import story, tables
from migration_kit.estimands import TOTAL
from migration_kit.transport_scales import FACTORS, other_scales

MEANS = [[0.05, 0.05], [0.0, 0.0]]


@pytest.fixture
def plan():
    return plan_with()


def table(plan, *, slices=("a", "b"), share=(0.5, 0.5)):
    features = features_of(plan).assign(share=("slice", list(share)))
    shadow = drawn([[-0.02] * len(slices)], 0.03, models=("old", "new"), slices=slices, seed=2)
    gaps = gaps_of((features, plan), shadow, offline=drawn(MEANS, 0.02))
    return other_scales(gaps, plan, {"correct": features}), gaps[gaps["slice"] == TOTAL].iloc[0]


def test_live_alone_forgets_the_test_set_and_a_small_gap_pools_both(plan):
    found, row = table(plan)
    held, margin = found.set_index("factor")["probability"], plan.criteria[0].margin
    assert tuple(held.index) == FACTORS and held.is_monotonic_decreasing
    assert held[np.inf] == pytest.approx(norm.cdf((row["shadow"] + margin) / row["shadow_sd"]), abs=1e-6)
    promised = row["offline_sd"] ** 2 + (plan.transport_scale / 2) ** 2
    weight = promised / (promised + row["shadow_sd"] ** 2)
    joint = weight * row["shadow"] + (1 - weight) * row["offline"]
    assert held[0.5] == pytest.approx(norm.cdf((joint + margin) / np.sqrt(weight) / row["shadow_sd"]), abs=1e-6)
    assert held[1.0] == pytest.approx(row["prob_noninferior"], abs=0.02)


def test_slices_without_a_shadow_keep_what_the_test_set_says(plan):
    found, row = table(plan, slices=("b",), share=(0.75, 0.25))
    assert row["covered"] == 0.25
    held = found.set_index("factor")["probability"]
    assert held[1.0] == pytest.approx(row["prob_noninferior"], abs=0.02)
    assert held[np.inf] > norm.cdf((row["shadow"] + plan.criteria[0].margin) / row["shadow_sd"]) + 0.1


def test_what_turns_is_said_and_what_nobody_judged_is_left_out(plan):
    found, _ = table(plan)
    turned = found.assign(probability=np.where(found["factor"] == 2, 0.5, 0.99))
    assert "new on correct would not hold with twice the gap (50.0%)." in story.shadow.scales(turned, plan)
    assert "every gate would stand on the same side" in story.shadow.scales(found.assign(probability=0.99), plan)
    empty = other_scales(gap_rows(shadow=np.nan), plan, {"correct": features_of(plan)})
    assert empty.empty and "decides nothing" in story.shadow.scales(empty, plan)


def test_a_gate_that_would_hold_only_otherwise_is_said_to(plan):
    found, _ = table(plan)
    turned = found.assign(probability=np.where(np.isinf(found["factor"]), 0.99, 0.5))
    assert story.shadow.scales(turned, plan) == "- new on correct would hold with live judgments alone (99.0%)."


def test_every_probability_stands_under_the_gap_it_is_of(plan):
    found, _ = table(plan)
    held = {0.5: 0.91, 1.0: 0.82, 2.0: 0.73, np.inf: 0.64}
    shown = tables.shadow.scales(found.assign(probability=found["factor"].map(held)).iloc[::-1], plan)
    heads = [one.get_text() for one in page(shown).select("thead th")]
    (row,) = (one for one in cells(shown) if one[0] == "new")
    told = dict(zip(heads[-len(row):], row, strict=True))
    assert told | {"half": "91.0%", "as planned": "82.0%", "twice": "73.0%", "live alone": "64.0%"} == told


def test_what_is_no_gate_is_held_against_no_margin():
    plan = plan_with(role="trade-off", weight=1, margin=None)
    found, row = table(plan)
    assert row["shadow"] < 0 and found.empty


def test_with_live_judgments_alone_the_total_is_of_those_and_of_the_slices_they_lack(plan):
    share, features = np.array([0.75, 0.25]), features_of(plan).assign(share=("slice", [0.75, 0.25]))
    offline, shadow = drawn(MEANS, 0.02), drawn([[0.1]], 0.2, models=("old", "new"), slices=("b",), seed=2)
    for one in offline.data_vars.values():
        one.loc[{"slice": TOTAL}] = one.sel(slice=["a", "b"]).to_numpy() @ share
    found = other_scales(gaps_of((features, plan), shadow, offline=offline), plan, {"correct": features})
    apart = [(one["calibrated"].sel(model="new") - one["calibrated"].sel(model="old")).sel(slice=name)
             for one, name in ((offline, "a"), (shadow, "b"))]
    mean, sd = share @ [float(one.mean()) for one in apart], np.sqrt(share**2 @ [float(one.var()) for one in apart])
    held = found.set_index("factor")["probability"][np.inf]
    assert held == pytest.approx(norm.cdf((mean + plan.criteria[0].margin) / sd), abs=0.01) and 0.8 < held < 0.99
