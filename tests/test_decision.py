"""Verdicts from draws made to order, so that every boundary can be touched from both sides."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from helpers import MODELS, small_features, small_plan
from scipy.special import ndtri

from migration_kit import story
from migration_kit.alarms import raw_alarms
from migration_kit.checks import LABELS_COVER, CheckResult, check_table, read_checks
from migration_kit.decision import decide
from migration_kit.labels_needed import SIZES, Evidence, label_noise, labels_needed, settled_share
from migration_kit.transport import GAP_COLUMNS

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


def verdicts(made, *, statuses=None, checks=(), **more):
    plan, draws, features = made
    rows = [{"requirement": "format", "model": m, "status": s, "text": f"format of {m}: {s}."}
            for m, s in (statuses or {}).items()]
    asked = pd.DataFrame(rows, columns=["requirement", "model", "status", "text"])
    return decide(plan, draws, features=features, requirements=asked, checks=list(checks), alarms=NO_ALARMS,
                  **more)


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
    one = replace(block, models=("new",))
    both = verdicts(make([0.05, 0.05]), checks=[one])
    assert {model: found.verdict for model, found in both.candidates.items()} == {"new": "collect", "other": "switch"}
    assert both.candidates["new"].blocking == ["correct: Too few."] and both.candidates["other"].blocking == []
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


def posterior(counts, items, share, *, draws, rng):
    """Draws of the contrast, total first, and of the truth patterns within verdict patterns; as of `strata`.

    counts (..., slice, verdict pattern, truth pattern 00 01 10 11), items (slice, verdict pattern).
    """
    shape = (*counts.shape[:-3], draws, *counts.shape[-3:])
    truth = rng.standard_gamma(np.broadcast_to((counts + 0.25)[..., None, :, :, :], shape))
    truth /= truth.sum(axis=-1, keepdims=True)
    pattern = rng.standard_gamma(np.broadcast_to(items, shape[:-1]))
    pattern /= pattern.sum(axis=-1, keepdims=True)
    slices = (pattern * (truth[..., 1] - truth[..., 2])).sum(axis=-1)
    return np.concatenate([(slices @ share)[..., None], slices], axis=-1), truth


def settled_by_refits(counts, items, share, more, *, margin, slice_margin, rng, runs=300):
    """Draw a truth from the posterior, label `more` items at random, refit, judge; share of runs with a verdict."""
    _, truth = posterior(counts, items, share, draws=runs, rng=rng)
    free = (items - counts.sum(axis=-1)).astype(int)
    new = rng.multivariate_hypergeometric(free.ravel(), more, size=runs).reshape(runs, *items.shape)
    after = counts + rng.multinomial(new, truth)
    drawn = np.concatenate([posterior(part, items, share, draws=500, rng=rng)[0] for part in np.array_split(after, 6)])
    hold, slices = (drawn[..., 0] > -margin).mean(axis=1), (drawn[..., 1:] > -slice_margin).mean(axis=1)
    worse = (hold <= 0.05) | (slices <= 0.05).any(axis=1)
    return (worse | ((hold >= 0.95) & (slices >= 0.8).all(axis=1))).mean()


@pytest.mark.parametrize(
    ("share", "n_items", "n_labels", "quality", "judge", "margin", "slice_margin"),
    [([1.0], 1050, 50, (0.80, 0.82), (0.9, 0.7), 0.03, np.inf),
     # A good judge and few items: most of what is unknown stays unknown when all are labelled.
     ([1.0], 260, 60, (0.80, 0.83), (0.97, 0.95), 0.03, np.inf),
     ([0.5, 0.3, 0.2], 1500, 100, (0.78, 0.82), (0.9, 0.7), 0.04, 0.08)],
    ids=["one slice", "few items", "three slices"],
)
def test_settled_share_matches_refits_of_simulated_labels(
    share, n_items, n_labels, quality, judge, margin, slice_margin
):
    errors = []
    for seed in range(4):
        rng = np.random.default_rng(seed + 10)
        share, where = np.array(share), rng.choice(len(share), n_items, p=share)
        latent = np.sqrt(0.5) * (rng.standard_normal((n_items, 1)) + rng.standard_normal((n_items, 2)))
        truth = (latent < ndtri(quality)).astype(int)
        verdict = rng.random((n_items, 2)) < np.where(truth == 1, judge[0], 1 - judge[1])
        items, counts = np.zeros((len(share), 4)), np.zeros((len(share), 4, 4))
        np.add.at(items, (where, verdict @ [2, 1]), 1)
        first = slice(n_labels)
        np.add.at(counts, (where[first], verdict[first] @ [2, 1], truth[first] @ [2, 1]), 1)
        drawn, _ = posterior(counts, items, share, draws=4000, rng=rng)
        limits = np.array([margin, *[np.nan if slice_margin == np.inf else slice_margin] * len(share)])
        gate = Evidence(drawn, limits, np.bincount(where[first], minlength=len(share)).astype(float),
                        items.sum(axis=1), share, float((truth[first, 1] - truth[first, 0]).var()))
        for more in (50, 190):
            refits = settled_by_refits(counts, items, share, more, margin=margin, slice_margin=slice_margin, rng=rng)
            formula = settled_share([gate], more, assurance=0.95, slice_assurance=0.8, seed=1)
            errors.append(formula - refits)
    # Monte Carlo error of 300 refits: 0.03. Without what stays unknown, "few items" is off by 0.13 on average.
    assert np.sqrt(np.mean(np.square(errors))) < 0.06 and np.abs(errors).max() < 0.13, np.round(errors, 2)


def test_labels_needed_is_the_first_size_that_settles_most_runs():
    rng = np.random.default_rng(0)
    total = rng.normal(0.05, 0.045, 4000)
    gate = Evidence(np.stack([total, total], axis=1), np.array([0.03, np.nan]), np.array([60.0]), np.array([1000.0]),
                    np.array([1.0]), 0.2)
    asked = {"assurance": 0.95, "slice_assurance": 0.8, "seed": 0}
    n = labels_needed([gate], **asked)
    assert settled_share([gate], n, **asked) >= 0.8 > settled_share([gate], n - 25, **asked)
    # A second gate that moves on its own needs more; a gate without labels cannot be told.
    assert labels_needed([gate, gate], **asked) > n
    assert labels_needed([gate, replace(gate, labels=np.array([0.0]))], **asked) is None


def test_labels_that_lift_a_block_are_counted_too():
    rng = np.random.default_rng(0)
    total = rng.normal(0.05, 0.03, 4000)
    gate = Evidence(np.stack([total, total], axis=1), np.array([0.03, np.nan]), np.array([60.0]), np.array([1000.0]),
                    np.array([1.0]), 0.2)
    asked = {"assurance": 0.95, "slice_assurance": 0.8, "seed": 0}
    alone = labels_needed([gate], **asked)
    late = {n: float(n >= 300) for n in SIZES}
    assert alone < 300 and labels_needed([gate], lifted=late, **asked) == 300
    assert labels_needed([gate], lifted=dict.fromkeys(SIZES, 1.0), **asked) == alone
    assert labels_needed([gate], lifted=dict.fromkeys(SIZES, 0.79), **asked) is None


def test_a_verdict_blocked_for_want_of_labels_says_how_many_are_needed():
    few = CheckResult(LABELS_COVER, False, "Slices without labels.", "correct", blocks=True)
    made = make([0.05], slices={"north": [0.05], "south": [0.05]})
    label = made[2]["correct"]["label"]
    label[made[2]["correct"]["slice_index"].to_numpy() == 1] = np.nan
    found = verdicts(made, checks=[few]).candidates["new"]
    # Any label of the south, half of the items, lets the check pass, and the gate holds already.
    assert found.verdict == "collect" and found.labels_needed == 25
    assert found.reasons == ["correct: Slices without labels.", "About 25 more labelled items are likely to settle it."]
    sampling = CheckResult("sampling", False, "Too few draws.", "correct", blocks=True)
    assert verdicts(made, checks=[few, sampling]).candidates["new"].labels_needed is None


def test_items_that_are_there_limit_what_labels_of_them_can_tell():
    rng = np.random.default_rng(0)
    total = rng.normal(0.0, 0.03, 4000)
    few, many = (Evidence(np.stack([total, total], axis=1), np.array([0.03, np.nan]), np.array([100.0]),
                          np.array([items]), np.array([1.0]), 0.2) for items in (260.0, 1e6))
    asked = {"assurance": 0.95, "slice_assurance": 0.8, "seed": 0}
    assert settled_share([few], 150, **asked) < settled_share([many], 150, **asked)
    assert label_noise(few) < label_noise(many) <= 0.2


def test_without_labels_nothing_is_decided():
    plan, draws, features = make([0.05, 0.05])
    label = features["correct"]["label"].to_numpy()
    label[:, 2] = np.nan
    found = verdicts((plan, draws, features))
    assert [found.candidates[name].verdict for name in ("new", "other")] == ["switch", "collect"]
    other = found.candidates["other"]
    assert other.labels_needed is None and not other.gates["correct"].labelled
    assert "guesses from metrics and priors" in other.sentence and "more labelled items" not in other.sentence
    # A loss that only metrics and priors show rules nobody out.
    plan, draws, features = make([-0.2])
    features["correct"]["label"][:] = np.nan
    assert verdicts((plan, draws, features)).verdict == "collect"
    nothing = verdicts((plan, {}, features))
    told = nothing.candidates["new"]
    assert nothing.verdict == "collect"
    assert "correct: people have not judged any output yet, so nothing is known of it; until they do" in told.sentence
    assert np.isnan(told.gates["correct"].probability) and np.isnan(told.probability)
    # Where a check says so already, it is said once; where a requirement fails, labels change nothing.
    check = CheckResult("enough labels", False, "Nobody has judged an output.", "correct", blocks=True)
    assert verdicts((plan, {}, features), checks=[check]).candidates["new"].reasons == [
        "correct: Nobody has judged an output."]
    kept = verdicts((plan, {}, features), statuses={"new": "fail"})
    assert kept.verdict == "keep" and "until they do" not in kept.candidates["new"].sentence


def with_requirements(plan, *names):
    content = plan.model_dump(by_alias=True) | {"requirements": [{"id": name, "fact": name, "at_most": 1}
                                                                  for name in names]}
    return type(plan).model_validate(content)


def test_only_what_the_plan_asks_is_said_to_hold():
    plan, draws, features = make([0.02])
    found = verdicts((plan, draws, features))
    assert found.candidates["new"].reasons == ["The gate correct holds with a probability of >99.9%."]
    assert found.sentence == ("Switch from old to new: with a probability of >99.9% it loses no more than the margin "
                              "on correct.")
    found = verdicts((with_requirements(plan, "price"), draws, features))
    assert found.candidates["new"].reasons[0].startswith("Every requirement holds; the gate correct holds")
    assert "new: every requirement holds, and with" in found.sentence
    sliced = make([0.02], slices={"north": [0.03], "south": [0.0]}, slice_margin=0.08)
    assert verdicts(sliced).candidates["new"].reasons[0].startswith(
        "On correct every slice loses no more than its slice margin with a probability of >99.9% or more (least: "
        "correct in")


def test_one_gate_has_a_probability_and_several_have_a_bound():
    plan, draws, features = make([-0.0124])
    first = plan.model_dump(by_alias=True)
    two = type(plan).model_validate(first | {"criteria": [first["criteria"][0],
                                                          {**first["criteria"][0], "id": "style"}]})
    style = features["correct"].assign_attrs(criterion="style")
    both = (two, {"correct": draws["correct"], "style": draws["correct"]}, {**features, "style": style})
    assert "at least" not in verdicts((plan, draws, features)).sentence
    assert "The probability that every gate holds is at least 92.2%, asked is 95%" in verdicts(both).candidates[
        "new"].sentence
    one = verdicts(make([-0.02])).candidates["new"]
    assert "The probability of losing no more than 3 points on correct is 84.1%, asked is 95%." in one.sentence


@pytest.mark.parametrize(
    ("scale", "margin", "told"),
    [({"scale": {"ordinal": [1, 5]}}, 0.25, "more than 0.25 with"),
     ({"scale": "continuous"}, 1.5, "more than 1.5 with"),
     ({"scale": "pairwise"}, 0.08, "more than 8 points with"),
     ({"scale": {"ordinal": [1, 5]}, "quantity": {"at_least": 4}}, 0.08, "more than 8 points with")],
    ids=["ordinal", "continuous", "pairwise", "at least"],
)
def test_words_are_in_the_unit_of_the_criterion(scale, margin, told):
    plan, draws, features = make([-margin - 1.0], margin=0.03)
    raised = plan.model_dump(by_alias=True)
    raised["criteria"] = [{**raised["criteria"][0], **scale, "margin": margin}]
    plan = type(plan).model_validate(raised)
    found = verdicts((plan, draws, features))
    assert found.verdict == "keep" and told in found.sentence + found.candidates["new"].sentence


def test_utilities_of_different_scales_are_comparable():
    plan, draws, features = make([0.02, 0.01])
    raised = plan.model_dump(by_alias=True)
    first = raised["criteria"][0]
    rest = [{**first, "id": "helpful", "role": "trade-off", "margin": None, "weight": 1.0,
             "scale": {"ordinal": [1, 5]}},
            {**first, "id": "length", "role": "trade-off", "margin": None, "weight": 0.5, "scale": "continuous"}]
    plan = type(plan).model_validate(raised | {"criteria": [first, *rest]})
    wide = features["correct"].assign(label=features["correct"]["label"] * 100)
    both = {"correct": draws["correct"], "helpful": draws["correct"], "length": draws["correct"] * 10}
    found = verdicts((plan, both, {"correct": features["correct"], "helpful": features["correct"], "length": wide}))
    spread = float(wide["label"].std())
    assert found.candidates["new"].expected_utility == pytest.approx(0.02 + 0.02 / 4 + 0.5 * 0.2 / (4 * spread))
    # A criterion nobody judged counts for nothing.
    wide["label"][:] = np.nan
    found = verdicts((plan, both, {"correct": features["correct"], "helpful": features["correct"], "length": wide}))
    assert found.candidates["new"].expected_utility == pytest.approx(0.02 + 0.02 / 4)


def test_flip_points_stand_in_the_decision():
    found = verdicts(make([-0.03, 0.05], slices={"north": [-0.03, 0.05], "south": [0.06, -0.2]})).to_dict()
    table = pd.DataFrame(found["flip_points"])
    assert set(table["candidate"]) == {"new", "other"}
    assert {"margin", "traffic"} <= set(table["what"])
    assert all(point["at"] is None or point["at"] == point["at"] for point in found["flip_points"])
    failed = verdicts(make([0.05]), statuses={"new": "fail"}).to_dict()["flip_points"]
    assert [point["what"] for point in failed] == ["requirement"]


def test_labels_beyond_the_items_there_are_must_be_new():
    told = verdicts(make([0.05], sd=0.049)).candidates["new"]
    # All 200 items are labelled for both models.
    assert "every item here has labels, so they must be new" in told.sentence


def test_an_alarm_names_the_metric_that_says_the_opposite():
    plan, draws, features = make([0.08])
    features["correct"]["value"][:] = 0.5
    features["correct"]["value"][:, 1] = np.random.default_rng(0).normal(0.3, 0.05, (200, 1))
    table = raw_alarms(draws, features, plan)
    assert table["alarm"].tolist() == [True]
    assert "judge says new is worse than old" in table["text"][0]
    assert f"raw difference {100 * table['raw'][0]:+.1f} points)".replace("-", "−") in table["text"][0]
    hundredfold = {"correct": features["correct"].assign(value=100 * features["correct"]["value"])}
    text = raw_alarms(draws, hundredfold, plan)["text"][0]
    assert f"raw difference {100 * table['raw'][0]:.3f} in its own unit)".replace("-", "−") in text
    _, draws, _ = make([-0.08])
    assert not raw_alarms(draws, features, plan)["alarm"].any()
    _, draws, _ = make([0.0], sd=0.05)
    assert not raw_alarms(draws, features, plan)["alarm"].any()


def test_no_alarm_is_raised_on_a_guess():
    plan, draws, features = make([0.08, 0.08])
    features["correct"]["value"][:] = 0.5
    features["correct"]["value"][:, 1:] = np.random.default_rng(0).normal(0.3, 0.05, (200, 2, 1))
    assert raw_alarms(draws, features, plan)["model"].tolist() == ["new", "other"]
    features["correct"]["label"][:, 2] = np.nan
    assert raw_alarms(draws, features, plan)["model"].tolist() == ["new"]
    told = story.alarms({"candidates": {"new": {"gates": {"correct": {"labelled": True}}},
                                        "other": {"gates": {"correct": {"labelled": False}}}}, "alarms": []})
    assert "No metric says" in told and "Of other on correct a metric cannot be held against people" in told
    features["correct"]["label"][:, 0] = np.nan
    assert raw_alarms(draws, features, plan).empty


def test_decision_and_checks_survive_storage():
    found = verdicts(make([0.02, -0.2])).to_dict()
    assert found["candidates"]["new"]["gates"]["correct"]["margin"] == 0.03
    checks = [CheckResult("a", None, "Cannot tell."), CheckResult("b", False, "No.", "correct", True, ("new",))]
    back = read_checks(check_table(checks))
    assert back == checks


def flag(*models, criterion="correct"):
    return CheckResult("holds on live requests", False, "The gap of new is +9 points.", criterion, models=models)


def gap_rows(*, model="new", shadow=-0.1, joint=-0.05, joint_sd=0.02, offline=0.02, offline_sd=0.01, where="all"):
    row = dict.fromkeys(GAP_COLUMNS, 0.0) | {
        "criterion": "correct", "model": model, "slice": where, "offline": offline, "offline_sd": offline_sd,
        "shadow": shadow, "joint": joint, "joint_sd": joint_sd, "overall": joint, "n_labels": 120,
        "covered": 1.0, "beyond": 0.97, "prior_beyond": 0.4}
    return pd.DataFrame([row])


def test_live_requests_that_contradict_the_test_set_hold_a_candidate_back():
    found = verdicts(make([0.02, 0.02]), checks=[flag("new")])
    new = found.candidates["new"]
    assert (found.verdict, found.candidate) == ("switch", "other")
    assert new.verdict == "collect" and new.gaps == {"correct": "The gap of new is +9 points."}
    assert "The gap of new is +9 points. The verdict is collect until this is understood." in new.sentence
    # Labels of the test set would not tell why live requests differ.
    assert new.labels_needed is None and "more labelled items" not in new.sentence
    assert [p["what"] for p in found.flip_points if p["candidate"] == "new"] == ["check"]
    alone = verdicts(make([0.02]), checks=[flag("new")])
    assert alone.verdict == "collect" and "find out why live requests differ" in alone.sentence
    # One of a criterion that decides nothing, one that passed and one of another check change nothing.
    for check in (flag("new", criterion="style"), replace(flag("new"), passed=True), flag("other"),
                  replace(flag("new"), name="live traffic is what the plan weighs")):
        assert verdicts(make([0.02]), checks=[check]).verdict == "switch", check


def test_a_shown_loss_outranks_a_gap():
    found = verdicts(make([-0.2]), checks=[flag("new")])
    assert found.verdict == "keep" and "The gap of new is +9 points." in found.candidates["new"].sentence
    assert "until this is understood" not in found.candidates["new"].sentence


def test_where_live_outputs_were_judged_both_sources_decide():
    made = make([0.02, 0.02])
    found = verdicts(made, gaps=gap_rows(joint=-0.1, joint_sd=0.01))
    gate = found.candidates["new"].gates["correct"]
    assert gate.mean == pytest.approx(-0.1, abs=1e-6) and found.candidates["new"].verdict == "keep"
    assert found.candidates["new"].live == ["correct"] and found.candidates["other"].live == []
    assert found.candidates["other"].gates["correct"].mean == pytest.approx(0.02, abs=1e-6)
    assert found.candidates["new"].expected_utility == pytest.approx(-0.1, abs=1e-6)
    unjudged = verdicts(made, gaps=gap_rows(shadow=np.nan, joint=-0.1))
    assert unjudged.candidates["new"].verdict == "switch" and unjudged.candidates["new"].live == []


def test_the_gap_is_named_with_its_numbers():
    found = verdicts(make([0.02]), checks=[flag("new")], gaps=gap_rows(joint=0.03, joint_sd=0.01))
    told = found.candidates["new"].sentence
    for part in ("promised new +2.0 points", "120 judged live outputs show −10.0 points",
                 "is 97.0% (40.0% before any was judged)"):
        assert part in told, told


def test_further_labels_must_be_live_where_live_requests_decide():
    def rows(**numbers):
        return pd.concat([gap_rows(where=where, **numbers) for where in ("all", "all items")])

    found = verdicts(make([0.02]), gaps=rows(joint=0.05, joint_sd=0.05)).candidates["new"]
    assert found.verdict == "collect" and "more labelled items, live requests on correct, are likely" in found.sentence
    assert "so they must be new" not in found.sentence
    # The joint draws do not say what a label tells, the labels do: of ones that differ less, fewer are needed.
    plan, draws, features = make([0.02])
    features["correct"]["label"][:, 1] = features["correct"]["label"][:, 0]
    alike = verdicts((plan, draws, features), gaps=rows(joint=0.05, joint_sd=0.05)).candidates["new"]
    assert 25 <= alike.labels_needed < found.labels_needed
    stuck = verdicts(make([0.02]), gaps=rows(joint=-0.03, joint_sd=0.01)).candidates["new"]
    assert "800 more labelled items, drawn at random (on correct from live requests), are not likely" in stuck.sentence


def dated(made, *, retires, costs=True):
    plan, draws, features = made
    content = plan.model_dump(by_alias=True) | {"decision": {"due": "2027-01-15"}}
    content["models"]["incumbent"]["retires"] = retires
    if costs:
        content["costs"] = {"wrong_switch": 5, "wrong_stay": 1}
    return type(plan).model_validate(content), draws, features


def test_an_incumbent_that_retires_first_forces_a_choice():
    unsure = make([-0.02, -0.025, -0.2])
    found = verdicts(dated(unsure, retires="2027-01-10"))
    assert found.verdict == "collect" and found.candidate is None
    assert [row["option"] for row in found.forced["ranking"]] == ["new", "other", "fourth"]
    losses = [row["expected_loss"] for row in found.forced["ranking"]]
    assert losses == sorted(losses) and losses[0] == pytest.approx(5 * 0.1587, abs=0.01)
    assert "staying is no option" in found.sentence and "new is the least bad" in found.sentence
    assert "Keep old for now" not in found.sentence
    late = verdicts(dated(unsure, retires="2027-03-01"))
    assert late.forced is None and "Keep old for now" in late.sentence
    assert verdicts(dated(unsure, retires="2027-03-01"), ramp_days=60).forced is not None
    # None may replace it and it cannot stay: the least bad is named too. A switch needs no forced choice.
    worse = verdicts(dated(make([-0.2, -0.1]), retires="2027-01-10"))
    assert worse.verdict == "keep" and worse.forced["candidate"] == "other" and "No candidate is fit" in worse.sentence
    assert verdicts(dated(make([0.02]), retires="2027-01-10")).forced is None


def test_costs_stand_beside_the_verdict_and_do_not_move_it():
    found = verdicts(dated(make([-0.0155]), retires="2027-03-01"))
    assert found.verdict == "collect" and found.cheapest == "new" and found.break_even == pytest.approx(5 / 6)
    assert found.to_dict()["losses"][0]["option"] == "old"
    plain = verdicts(make([-0.0155]))
    assert plain.cheapest is None and plain.losses[1]["expected_loss"] is None
