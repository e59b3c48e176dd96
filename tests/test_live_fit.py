"""From live rows to the gap: one candidate whose test result transports and one whose does not, by real sampling."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers import small_data, small_plan

from migration_kit.contract import no_live
from migration_kit.estimands import TOTAL, quality
from migration_kit.features import build_features
from migration_kit.inference import compile_model, fit
from migration_kit.live_fit import fit_shadow, shadow_estimates
from migration_kit.transport import shadow_gaps, transport_check

MODELS = ("old", "new", "other")
OFFLINE, LIVE = (0.70, 0.80, 0.75), (0.70, 0.62, 0.75)


def answers(rates, n, *, labelled, seed):
    """Verdicts of a judge right in 85% of cases, dims (item, model), and labels of the first items."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((n, 3)) < rates).astype(float)
    judge = np.where(rng.random((n, 3)) < 0.85, truth, 1 - truth)
    truth[labelled:] = np.nan
    return judge[:, :, None], truth


def live_rows(judge, label):
    """Rows of a shadow as `data.load_data` arranges them."""
    item, model = np.indices(label.shape).reshape(2, -1)
    common = {"item_id": [f"r{k}" for k in item], "model": np.array(MODELS)[model], "stage": "shadow",
              "time": pd.Timestamp("2026-11-01", tz="UTC"), "criterion": "correct", "slice": "all items"}
    frame = pd.concat([
        pd.DataFrame(common | {"rater": "judge", "rater_kind": "judge", "value": judge.ravel()}),
        pd.DataFrame(common | {"rater": "anna", "rater_kind": "human", "value": label.ravel()}).dropna(subset="value"),
    ], ignore_index=True)
    return pd.concat([no_live(), frame.assign(user=frame["item_id"])], ignore_index=True)


@pytest.fixture(scope="module")
def migrated():
    plan = small_plan(models=MODELS, sampling={"draws": 300, "tune": 400, "chains": 2, "seed": 3})
    judge, label = answers(OFFLINE, 700, labelled=250, seed=1)
    data = replace(small_data(judge, label, plan), live=live_rows(*answers(LIVE, 500, labelled=250, seed=2)))
    features = {"correct": build_features(data, plan, "correct")}
    tree = fit(features["correct"], plan.sampling, compiled=compile_model(list(features.values())))
    offline = {"correct": quality(tree, features["correct"], traffic=True, seed=3)}
    return data, plan, features, offline, fit_shadow(data, plan)


def test_what_does_not_transport_is_flagged_and_what_does_is_not(migrated):
    _, plan, features, offline, shadow = migrated
    gaps = shadow_gaps(offline, features, plan, shadow=shadow.draws, shadow_features=shadow.features)
    total = gaps[gaps["slice"] == TOTAL].set_index("model")
    for model, (before, now) in {"new": (0.10, -0.08), "other": (0.05, 0.05)}.items():
        row = total.loc[model]
        # Four standard deviations: a wrong answer would be 18 points off, some six of them.
        assert abs(row["offline"] - before) < 4 * row["offline_sd"]
        assert abs(row["shadow"] - now) < 4 * row["shadow_sd"]
    assert total.loc["new", "flagged"] and not total.loc["other", "flagged"]
    check = transport_check(gaps, plan, plan.criteria[0])
    assert check.passed is False and check.models == ("new",)


def test_estimates_of_the_shadow_are_a_layer_of_their_own(migrated):
    shadow = migrated[-1]
    rows = shadow_estimates(shadow)
    assert set(rows["layer"]) == {"shadow"} and (rows.loc[rows["quantity"] == "contrast", "n_labels"] == 250).all()


@pytest.mark.parametrize("kept", ["nothing", "metrics"])
def test_without_live_requests_or_judgments_there_is_nothing_to_fit(migrated, kept):
    data, plan, features, offline, _ = migrated
    live = no_live() if kept == "nothing" else data.live[data.live["rater_kind"] != "human"]
    shadow = fit_shadow(replace(data, live=live), plan)
    gaps = shadow_gaps(offline, features, plan, shadow=shadow.draws, shadow_features=shadow.features)
    assert shadow_estimates(shadow).empty and gaps.empty
    assert transport_check(gaps, plan, plan.criteria[0]).passed is None
