"""Verdicts from draws made to order, so that every boundary can be touched from both sides."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from helpers import MODELS, small_features, small_plan
from scipy.special import ndtr, ndtri

from migration_kit.alarms import raw_alarms
from migration_kit.checks import CheckResult, check_table, read_checks
from migration_kit.decision import decide
from migration_kit.labels_needed import Evidence, labels_needed

N = 4000
NO_ALARMS = pd.DataFrame(columns=["alarm", "text"])


def normal_quantiles(mean, sd):
    """N draws of a normal without Monte Carlo error, dims (chain, draw)."""
    return (mean + sd * ndtri((np.arange(N) + 0.5) / N)).reshape(2, N // 2)


def make(deltas, *, slices=None, sd=0.01, corrected=None, better="higher", **criterion):
    """Draws in which candidates differ from the incumbent by given amounts, in total and by slice."""
    models = MODELS[: len(deltas) + 1]
    plan = small_plan(models=models, better=better, slices=bool(slices), sampling={"interval": 0.9}, **criterion)
    names = ["all", *(slices or {"all items": deltas})]
    sign = -1 if better == "lower" else 1

    def table(values):
        out = np.full((2, N // 2, len(models), len(names)), 0.7)
        for position, name in enumerate(names):
            here = values if position == 0 or not slices else slices[name]
            for number, delta in enumerate(here, start=1):
                out[:, :, number, position] += sign * normal_quantiles(delta, sd)
        return (("chain", "draw", "model", "slice"), out)

    draws = xr.Dataset({"calibrated": table(deltas), "corrected": table(corrected or deltas)},
                       coords={"model": list(models), "slice": names})
    rng = np.random.default_rng(0)
    regions = np.resize(list(slices), 200) if slices else None
    label = (rng.random((200, len(models))) < 0.7).astype(float)
    features = small_features(rng.random((200, len(models), 1)), label, plan, regions=regions)
    return plan, {"correct": draws}, {"correct": features}


def verdicts(made, *, statuses=None, checks=()):
    plan, draws, features = made
    rows = [{"requirement": "format", "model": m, "status": s, "text": f"format of {m}: {s}."}
            for m, s in (statuses or {}).items()]
    asked = pd.DataFrame(rows, columns=["requirement", "model", "status", "text"])
    return decide(plan, draws, features=features, requirements=asked, checks=list(checks), alarms=NO_ALARMS)


@pytest.mark.parametrize(
    ("delta", "verdict"),
    # Margin 0.03, sd 0.01, assurance 0.95: z = 1.645, so the edges are −0.03 ± 0.01645.
    [(0.02, "switch"), (0.0, "switch"), (-0.0134, "switch"), (-0.0138, "collect"), (-0.03, "collect"),
     (-0.0462, "collect"), (-0.0466, "keep"), (-0.2, "keep")],
)
@pytest.mark.parametrize("better", ["higher", "lower"])
def test_the_margin_lies_on_the_side_of_loss(delta, verdict, better):
    found = verdicts(make([delta], better=better))
    assert found.verdict == verdict
    assert found.candidates["new"].verdict == verdict
    assert found.candidate == ("new" if verdict == "switch" else None)
    gate = found.candidates["new"].gates["correct"]
    assert gate.mean == pytest.approx(delta)
    assert gate.smallest_margin == pytest.approx(-(delta - 1.645 * 0.01), abs=1e-4)


def test_a_slice_can_rule_out_or_hold_back():
    for loss, verdict in ((0.0, "switch"), (-0.075, "collect"), (-0.12, "keep")):
        found = verdicts(make([0.02], slices={"north": [0.03], "south": [loss]}, slice_margin=0.08))
        assert found.verdict == verdict, loss
    assert "south" in found.candidates["new"].reasons[0]
    # Without a slice margin the same loss is shown and does not decide.
    assert verdicts(make([0.02], slices={"north": [0.03], "south": [-0.12]})).verdict == "switch"


def test_requirements_come_first():
    good = make([0.05])
    assert verdicts(good, statuses={"new": "pass"}).verdict == "switch"
    failed = verdicts(good, statuses={"new": "fail"})
    assert failed.verdict == "keep" and failed.candidates["new"].reasons == ["format of new: fail."]
    assert verdicts(good, statuses={"new": "unknown"}).verdict == "collect"
    # The incumbent's own failures rule nobody out.
    assert verdicts(good, statuses={"old": "fail", "new": "pass"}).verdict == "switch"


def test_a_blocking_check_abstains_but_a_failed_requirement_still_rules_out():
    block = CheckResult("enough labels of both kinds", False, "Too few.", "correct", blocks=True)
    assert verdicts(make([0.05]), checks=[block]).verdict == "collect"
    assert verdicts(make([-0.2]), checks=[block]).verdict == "collect"
    assert verdicts(make([0.05]), checks=[block], statuses={"new": "fail"}).verdict == "keep"
    harmless = CheckResult("identical outputs are judged alike", False, "They are not.", "correct")
    assert verdicts(make([0.05]), checks=[harmless]).verdict == "switch"


def test_where_the_regression_misfits_both_methods_must_agree():
    misfit = CheckResult("calibrated and corrected agree", False, "", "correct", models=("new",))
    for calibrated, corrected in ((0.02, -0.03), (-0.03, 0.02)):
        made = make([calibrated], corrected=[corrected])
        assert verdicts(made, checks=[misfit]).verdict == "collect"
    assert verdicts(make([0.02], corrected=[-0.03])).verdict == "switch"
    elsewhere = CheckResult("calibrated and corrected agree", False, "", "correct", models=("other",))
    assert verdicts(make([0.02], corrected=[-0.03]), checks=[elsewhere]).verdict == "switch"


def test_several_gates_are_joined_by_the_bound():
    plan, draws, features = make([-0.0124])
    raised = plan.model_dump(by_alias=True)
    raised["criteria"] = [raised["criteria"][0], {**raised["criteria"][0], "id": "style"}]
    two = type(plan).model_validate(raised)
    style = features["correct"].assign_attrs(criterion="style")
    found = decide(two, {"correct": draws["correct"], "style": draws["correct"]},
                   features={"correct": features["correct"], "style": style},
                   requirements=pd.DataFrame(columns=["requirement", "model", "status", "text"]), checks=[],
                   alarms=NO_ALARMS).candidates["new"]
    one = found.gates["correct"].probability
    assert one == pytest.approx(0.9608, abs=0.001)
    assert found.probability == pytest.approx(1 - 2 * (1 - one))
    assert found.probability_independent == pytest.approx(one**2)
    assert found.verdict == "collect" and verdicts(make([-0.0124])).verdict == "switch"


def test_among_several_the_highest_expected_utility_wins():
    found = verdicts(make([0.02, 0.05, -0.2]))
    assert (found.verdict, found.candidate) == ("switch", "other")
    assert found.candidates["other"].probability_best > 0.9
    assert found.candidates["fourth"].probability_best == 0
    assert "best of 2" in found.sentence
    level = verdicts(make([0.02, 0.02])).candidates
    assert level["new"].probability_best == level["other"].probability_best == pytest.approx(0.5)
    mixed = verdicts(make([-0.03, -0.2]))
    assert mixed.verdict == "collect" and "new" in mixed.sentence and "other" not in mixed.sentence
    assert verdicts(make([-0.2, -0.3])).verdict == "keep"


def test_more_doubt_needs_more_labels():
    wide = verdicts(make([0.05], sd=0.049)).candidates["new"]
    wider = verdicts(make([0.05], sd=0.051)).candidates["new"]
    assert wide.verdict == wider.verdict == "collect"
    assert 25 <= wide.labels_needed < wider.labels_needed <= 800
    # At the margin itself no number of labels settles it; an open requirement is not settled by labels either.
    stuck = verdicts(make([-0.03], sd=0.01)).candidates["new"]
    assert stuck.labels_needed is None and "Even 800 more" in stuck.sentence
    assert f"About {wide.labels_needed} more labelled items" in wide.sentence
    assert verdicts(make([0.0], sd=0.03), statuses={"new": "unknown"}).candidates["new"].labels_needed is None


def test_labels_needed_matches_a_direct_simulation():
    # One gate, normal labels of known noise: simulate truth, labels and posterior in full.
    mean, sd, margin, labels = 0.02, 0.03, 0.03, 99.0
    gate = Evidence(np.array([mean]), np.array([sd]), np.array([margin]), np.array([labels]), np.array([1.0]))
    n = labels_needed([gate], assurance=0.95, slice_assurance=0.8, seed=0)
    rng = np.random.default_rng(1)

    def settled(more):
        noise = sd**2 * (labels + 1)
        truth = rng.normal(mean, sd, 20_000)
        seen = rng.normal(truth, np.sqrt(noise / more))
        precision = 1 / sd**2 + more / noise
        centre = (mean / sd**2 + seen * more / noise) / precision
        held = ndtr((centre + margin) * np.sqrt(precision))
        return ((held >= 0.95) | (held <= 0.05)).mean()

    # Monte Carlo error of a share near 0.8 over 1,000 runs: 0.013.
    assert settled(n) >= 0.8 - 0.03
    assert settled(max(n - 50, 1)) < 0.8 + 0.03


def test_an_alarm_names_the_metric_that_says_the_opposite():
    plan, draws, features = make([0.08])
    features["correct"]["value"][:] = 0.5
    features["correct"]["value"][:, 1] = np.random.default_rng(0).normal(0.3, 0.05, (200, 1))
    table = raw_alarms(draws, features, plan)
    assert table["alarm"].tolist() == [True]
    assert "judge says new is worse than old" in table["text"][0]
    _, draws, _ = make([-0.08])
    assert not raw_alarms(draws, features, plan)["alarm"].any()
    _, draws, _ = make([0.0], sd=0.05)
    assert not raw_alarms(draws, features, plan)["alarm"].any()


def test_decision_and_checks_survive_storage():
    found = verdicts(make([0.02, -0.2])).to_dict()
    assert found["candidates"]["new"]["gates"]["correct"]["margin"] == 0.03
    checks = [CheckResult("a", None, "Cannot tell."), CheckResult("b", False, "No.", "correct", True, ("new",))]
    back = read_checks(check_table(checks))
    assert back == checks
