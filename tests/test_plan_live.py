"""Plans that look beyond the test set: live outcomes, ramp, costs, stakeholders; every mistake with its key."""

import pytest
from conftest import PLAN

from migration_kit.errors import InputError
from migration_kit.plan import load_plan

OUTCOME = "{id: thumbs_up, scale: binary, better: higher, role: gate, margin: 0.02, why: seen in trials}"
SECONDS = "{id: seconds, scale: continuous, better: lower, role: gate, margin: 0.5, range: [0, 30], unit: seconds}"


@pytest.fixture
def read(tiny_plan):
    """Read the tiny plan with lines added, and optionally one piece of its text replaced."""

    def load(more="", old="", new=""):
        assert old in PLAN
        tiny_plan.write_text(PLAN.replace(old, new, 1) + more + "\n")
        return load_plan(tiny_plan)

    return load


def refused(read, *more):
    with pytest.raises(InputError) as caught:
        read(*more)
    return str(caught.value)


def test_a_plan_needs_none_of_this(read):
    plan = read()
    assert (plan.live_outcomes, plan.live_gates, plan.stakeholders, plan.costs) == ((), (), (), None)
    assert plan.transport_scale == 0.05 and plan.ramp == (0.01, 0.05, 0.25, 0.5, 1.0)
    assert plan.traffic.users_per_day is None and plan.labels.usd_per_label is None and plan.data.live == ()
    assert read("live_outcomes:\nstakeholders:\n").digest == plan.digest


def test_reads_what_the_plan_says(read):
    plan = read(
        f"live_outcomes: [{OUTCOME}, {SECONDS}, {{id: sales, scale: continuous, role: monitor}}]\n"
        "transport_scale: 0.1\nramp: [0.02, 1]\ncosts: {wrong_switch: 5, wrong_stay: 1, unit: thousand USD}\n"
        "labels: {budget: 400, usd_per_label: 1.5}\n"
        "stakeholders:\n  - {name: APAC lead, concern: answers in emea, criterion: correct, slice: emea, weight: 2, "
        "signs: true}\n  - {name: Legal, concern: nothing else}",
        "requests_per_day: 1000", "requests_per_day: 1000, users_per_day: 600")
    thumbs, seconds, sales = plan.live_outcomes
    assert (thumbs.unit, seconds.unit, sales.unit) == (None, "seconds", None)
    assert plan.live_gates == (thumbs, seconds) and plan.live_outcome("sales") is sales
    assert (thumbs.kind, thumbs.in_points, thumbs.limits, thumbs.levels) == ("binary", True, (0.0, 1.0), (0.0, 1.0))
    assert (seconds.kind, seconds.in_points, seconds.limits, seconds.levels) == ("continuous", False, (0.0, 30.0), ())
    assert sales.limits is None and sales.margin is None
    assert plan.ramp == (0.02, 1.0) and plan.transport_scale == 0.1
    assert (plan.costs.wrong_switch, plan.costs.wrong_stay, plan.costs.unit) == (5.0, 1.0, "thousand USD")
    assert plan.traffic.users_per_day == 600 and plan.labels.usd_per_label == 1.5
    lead, legal = plan.stakeholders
    assert (lead.criterion, lead.slice, lead.weight, lead.signs) == ("correct", "emea", 2.0, True)
    assert (legal.criterion, legal.slice, legal.weight, legal.signs) == (None, None, 1.0, False)
    with pytest.raises(InputError, match="live outcome 'thumb_up' is not in the plan; it names 'thumbs_up'"):
        plan.live_outcome("thumb_up")


def test_live_keys_belong_to_the_meaning_of_a_plan(read):
    digests = {read(more).digest for more in (
        "", f"live_outcomes: [{OUTCOME}]", f"live_outcomes: [{OUTCOME.replace('0.02', '0.03')}]", "ramp: [0.5, 1]",
        "transport_scale: 0.1", "costs: {wrong_switch: 5, wrong_stay: 1}", "stakeholders: [{name: a, concern: b}]")}
    assert len(digests) == 7


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("live_outcomes: [{id: thumbs_up, role: gate}]",
         ["live_outcomes.0.margin: is missing; a gate needs the largest loss accepted, e.g. 0.02 for 2 points"]),
        ("live_outcomes: [{id: thumbs_up, role: gate, margin: 2}]",
         ["live_outcomes.0.margin: found 2, expected less than 1", "write 0.02 for 2 points"]),
        ("live_outcomes: [{id: thumbs_up, role: gate, margin: 0}]", ["margin: found 0, expected greater than 0"]),
        ("live_outcomes: [{id: thumbs_up, role: trade-off}]", ["live_outcomes.0.role: found 'trade-off'"]),
        ("live_outcomes: [{id: a, scale: ordinal, role: monitor}]", ["live_outcomes.0.scale: found 'ordinal'"]),
        ("live_outcomes: [{id: a/b, role: monitor}]", ["live_outcomes.0.id: found 'a/b', expected letters, digits"]),
        ("live_outcomes: [{id: a, role: monitor, weight: 2}]", ["live_outcomes.0.weight: this key is not known"]),
        ("live_outcomes: [{id: a, role: monitor, range: [0, 2]}]",
         ["live_outcomes.0.range: a binary outcome is 0 or 1; leave range out"]),
        (f"live_outcomes: [{SECONDS.replace(', range: [0, 30]', '')}]",
         ["live_outcomes.0.range: is missing; bounds that hold at every look need the lowest and the highest value"]),
        (f"live_outcomes: [{SECONDS.replace('[0, 30]', '[30, 0]')}]",
         ["live_outcomes.0.range: found [30, 0], expected the lowest value first: [0, 30]"]),
        (f"live_outcomes: [{SECONDS.replace('[0, 30]', '[0, 30, 60]')}]", ["live_outcomes.0.range"]),
        (f"live_outcomes: [{OUTCOME.replace('why', 'unit: thumbs, why')}]",
         ["live_outcomes.0.unit: only numbers of scale continuous have one of their own"]),
        (f"live_outcomes: [{SECONDS.replace('unit: seconds', 'unit: <b>s</b>')}]",
         ["live_outcomes.0.unit: found '<b>s</b>', expected what follows a number", "e.g. seconds or EUR"]),
        (f"live_outcomes: [{SECONDS.replace('margin: 0.5', 'margin: 40')}]",
         ["live_outcomes.0.margin: found 40, expected less than 30, the width of the range"]),
        (f"live_outcomes: [{OUTCOME}, {OUTCOME.replace('thumbs_up', 'Thumbs_up')}]",
         ["live_outcomes.1.id: id (capitals do not count) 'Thumbs_up' stands twice"]),
        (f"live_outcomes: [{OUTCOME.replace('thumbs_up', 'correct')}]",
         ["live_outcomes.0.id: 'correct' is a criterion already; what users do is never mixed with what people judge"]),
        (f"live_outcomes: {OUTCOME}", ["live_outcomes: found {'id': 'thumbs_up'", "expected a list"]),
        ("ramp: [5, 25, 100]", ["ramp: found [5, 25, 100], expected shares of users above 0 and up to 1; "
                                "write 0.05 for 5%"]),
        ("ramp: [0, 1]", ["ramp: found [0, 1], expected shares of users above 0 and up to 1"]),
        ("ramp: [0.05, 0.05, 1]", ["ramp: found [0.05, 0.05, 1], expected each share above the one before it"]),
        ("ramp: [0.5, 0.25, 1]", ["ramp: found [0.5, 0.25, 1], expected each share above the one before it"]),
        ("ramp: [0.05, 0.5]", ["ramp: found [0.05, 0.5], expected 1.0 as the last share"]),
        ("ramp: []", ["ramp: found 0 entries, expected at least 1"]),
        ("ramp: [5%, 1]", ["ramp.0: found '5%', expected a number"]),
        ("transport_scale: 0", ["transport_scale: found 0, expected greater than 0"]),
        ("transport_scale: .inf", ["transport_scale: found inf, expected a finite number"]),
        ("costs: {wrong_switch: 5}", ["costs.wrong_stay: is missing; it is required"]),
        ("costs: {wrong_switch: 5, wrong_stay: 0}", ["costs.wrong_stay: found 0, expected greater than 0"]),
        ("costs: {wrong_swich: 5, wrong_stay: 1}", ["costs.wrong_swich: this key is not known; did you mean"]),
        ("stakeholders: [{name: a}]", ["stakeholders.0.concern: is missing"]),
        ("stakeholders: [{name: a, concern: b}, {name: A, concern: c}]", ["stakeholders.1.name: 'A' stands twice"]),
        ("stakeholders: [{name: a, concern: b, criterion: corect}]",
         ["stakeholders.0.criterion: criterion 'corect' is not in the plan; it names 'correct'; did you mean"]),
        ("stakeholders: [{name: a, concern: b, weight: -1}]", ["stakeholders.0.weight: found -1, expected greater"]),
        ("stakeholders: [{name: a, concern: b, signs: perhaps}]", ["stakeholders.0.signs: found 'perhaps', expected"]),
        ("labels: {usd_per_label: 0}", ["labels.usd_per_label: found 0, expected greater than 0"]),
    ],
)
def test_a_mistake_is_told_with_its_key(read, more, words):
    message = refused(read, more)
    for word in words:
        assert word in message, message
    assert all(line.startswith("migration.yml: ") for line in message.splitlines())


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("requests_per_day: 1000", "users_per_day: 0", ["traffic.users_per_day: found 0, expected greater than 0"]),
        ("requests_per_day: 1000", "users_per_day: 1.5", ["traffic.users_per_day: found 1.5, expected a whole number"]),
        ("scores: [{path: scores.csv}]", "scores: [{path: scores.csv}]\n  live: live.csv",
         ["data.live: found 'live.csv', expected {path: live.csv}"]),
        ("scores: [{path: scores.csv}]", "scores: [{path: scores.csv}]\n  live: [{path: l.csv, columns: {stge: s}}]",
         ["data.live.0.columns.stge: is no column of live; did you mean 'stage'"]),
    ],
)
def test_a_mistake_under_traffic_and_data(read, old, new, words):
    message = refused(read, "", old, new)
    for word in words:
        assert word in message, message


def test_a_stakeholder_cannot_ask_about_a_slice_of_none(tiny_plan):
    text = PLAN.replace("slices: [region]\n", "").replace("traffic: {path: traffic.csv, requests_per_day: 1000}\n", "")
    tiny_plan.write_text(text + "stakeholders: [{name: a, concern: b, slice: emea}]\n")
    with pytest.raises(InputError, match=r"stakeholders.0.slice: the plan names no slices, so 'emea' cannot be told"):
        load_plan(tiny_plan)
