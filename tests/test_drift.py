"""Moved traffic and drifted metrics are told; those that stayed are not, more often than by chance."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers import small_plan

from migration_kit import story
from migration_kit.drift import anchor_check, anchor_drift, live_mix, mix_check

SHARE = {"a": 0.5, "b": 0.3, "c": 0.2}
PLAN = small_plan()


def mixed(live, *, n=600, stage="shadow", seed=0):
    """Data whose test set has equal slices and whose live requests have those of `live`."""
    rng = np.random.default_rng(seed)
    names = list(SHARE)
    requests = pd.DataFrame({"item_id": [f"r{k}" for k in range(n)], "stage": stage,
                             "slice": rng.choice(names, n, p=[live[name] for name in names])})
    return SimpleNamespace(
        items=pd.DataFrame({"item_id": range(30), "slice": np.resize(names, 30)}),
        traffic=pd.DataFrame({"slice": names, "share": list(SHARE.values())}),
        live=pd.concat([requests, requests], ignore_index=True))


def test_a_request_counts_once_and_shares_sum_to_one():
    mix = live_mix(mixed(SHARE))
    assert mix["shadow_n"].sum() == 600 and list(mix["slice"]) == ["a", "b", "c"]
    assert mix[["traffic", "test_set", "shadow"]].sum().to_numpy() == pytest.approx([1, 1, 1])
    assert "canary" not in mix


def test_a_mix_that_moved_is_told_where():
    check = mix_check(live_mix(mixed({"a": 0.4, "b": 0.2, "c": 0.4}, n=2000)))
    assert check.passed is False
    assert "2,000 shadow requests" in check.text and "most so in c (40% instead of 20%)" in check.text


def test_a_mix_that_stayed_is_not_told():
    passed = [mix_check(live_mix(mixed(SHARE, n=200, seed=seed))).passed for seed in range(300)]
    # The χ² test alone fails 1%; of 300, more than 9 would happen once in 500 times.
    assert passed.count(False) <= 9
    assert mix_check(live_mix(mixed(SHARE, stage="anchor"))).passed is None


def test_requests_of_one_slice_alone_say_nothing_of_the_mix():
    only = live_mix(mixed({"a": 0.0, "b": 1.0, "c": 0.0}))
    check = mix_check(only)
    assert check.passed is None
    assert check.text == ("All 600 shadow requests are of b, so they do not show whether the traffic of the plan still "
                          "holds.")
    assert story.shadow.live_mix(only) == "The shadow holds b only, 30% of the plan's traffic."
    # A slice that is missing among several is a mix that moved, and so is the canary beside such a shadow.
    assert mix_check(live_mix(mixed({"a": 0.6, "b": 0.4, "c": 0.0}))).passed is False
    both = mixed({"a": 0.0, "b": 1.0, "c": 0.0})
    moved = mixed({"a": 0.2, "b": 0.2, "c": 0.6}, stage="canary").live
    both.live = pd.concat([both.live, moved.assign(item_id="u" + moved["item_id"])])
    check = mix_check(live_mix(both))
    assert check.passed is False and "600 canary requests" in check.text and "shadow requests are of b" in check.text
    # Where there is one slice only, its requests are all of the traffic.
    single = only[only["slice"] == "b"].assign(traffic=1.0).reset_index(drop=True)
    assert mix_check(single).passed is True


def anchored(shift, *, n=100, flips=0.0, seed=0):
    """A metric run on 400 outputs of two models, and again on n of each."""
    rng = np.random.default_rng(seed)
    then = pd.DataFrame([{"item_id": f"i{k}", "model": model, "criterion": "correct", "rater": "judge",
                          "rater_kind": "judge", "value": value}
                         for model in PLAN.model_ids for k, value in enumerate(rng.normal(0.7, 0.2, 400))])
    now = then[then["item_id"].isin([f"i{k}" for k in range(n)])].assign(stage="anchor")
    moved = rng.random(len(now)) < flips
    now = now.assign(value=now["value"] + 0.2 * shift + np.where(moved, rng.normal(0, 0.2, len(now)), 0.0))
    return SimpleNamespace(scores=then, live=now)


def test_a_metric_that_drifted_is_told():
    drift = anchor_drift(anchored(0.4, flips=0.3), PLAN)
    assert set(drift["model"]) == {"all", *PLAN.model_ids}
    assert drift.set_index("model").loc["all", "shift"] == pytest.approx(0.4, abs=0.15)
    check = anchor_check(drift)
    assert check.passed is False and "judge" in check.text and "upwards" in check.text


def test_noise_without_a_shift_is_no_drift_and_few_outputs_cannot_tell():
    failed = [anchor_check(anchor_drift(anchored(0.0, flips=0.5, seed=seed), PLAN)).passed is False
              for seed in range(100)]
    # The mean must lie 0.1 sd outside its interval: the noise alone does that in fewer than 1 of 1000.
    assert sum(failed) <= 1
    assert anchor_check(anchor_drift(anchored(2.0, n=5), PLAN)).passed is None
    none = anchored(0.0)
    none.live = none.live[:0]
    assert anchor_check(anchor_drift(none, PLAN)).passed is None


def test_where_one_slice_alone_has_traffic_its_requests_are_all_of_it():
    mix = live_mix(mixed({"a": 1.0, "b": 0.0, "c": 0.0})).assign(traffic=[1.0, 0.0, 0.0])
    assert len(mix) == 3 and mix_check(mix).passed is True
