"""The live posterior had the plan expected another gap: its limits, and what is said of it."""

import numpy as np
import pytest
from scipy.stats import norm
from test_decision import gap_rows
from test_transport import drawn, features_of, plan_with
from test_transport import gaps as gaps_of

from migration_kit import story
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
