"""Plans: what they say, and that every mistake in one is told with its key."""

import datetime
from pathlib import Path

import pytest
import yaml
from conftest import PLAN

from migration_kit.errors import InputError
from migration_kit.plan import load_plan


def refused(path: Path) -> str:
    """Load a plan that must be refused and return the message."""
    with pytest.raises(InputError) as caught:
        load_plan(path)
    return str(caught.value)


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.fixture
def edit(tiny_plan):
    """Write the tiny plan with one piece of its text replaced."""

    def change(old: str, new: str) -> Path:
        assert old in PLAN
        return write(tiny_plan, PLAN.replace(old, new, 1))

    return change


def test_reads_what_the_plan_says(tiny_plan):
    plan = load_plan(tiny_plan)
    assert plan.model_ids == ("old", "new", "small")
    assert plan.incumbent == "old"
    assert plan.candidates == ("new", "small")
    assert plan.path == tiny_plan
    assert plan.folder == tiny_plan.parent
    assert [gate.id for gate in plan.gates] == ["correct"]
    assert plan.decision.due == datetime.date(2027, 1, 15)
    assert plan.decision.slice_assurance == 0.80
    assert plan.model("small").facts["regions"] == ("amer",)
    assert plan.criterion("correct").weight == 1.0
    assert plan.criterion("correct").slice_margin is None
    assert plan.metric("judge-x").family == "x"
    assert plan.metric_better("exact_match", "correct") == "higher"
    assert plan.metric_criterion("judge-x", "correct") == "correct"
    assert plan.traffic.requests_per_day == 1000


def test_primary_metric_is_the_first_by_default(edit):
    assert load_plan(edit("    primary_metric: judge-x\n", "")).criterion("correct").primary_metric == "judge-x"


def test_a_plan_cannot_be_changed(tiny_plan):
    with pytest.raises(ValueError, match="frozen"):
        load_plan(tiny_plan).title = "other"


def test_asking_for_what_the_plan_does_not_name(tiny_plan):
    plan = load_plan(tiny_plan)
    with pytest.raises(InputError, match="criterion 'corect' is not in the plan; it names 'correct'; did you mean"):
        plan.criterion("corect")
    with pytest.raises(InputError, match="model 'big' is not in the plan"):
        plan.model("big")


def test_digest_follows_the_meaning_not_the_writing(tiny_plan, tmp_path):
    content = yaml.safe_load(PLAN)
    content["decision"]["due"] = "2027-01-15"
    shuffled = dict(reversed(content.items())) | {"report": {"show_texts": False}, "labels": {}}
    content["models"]["incumbent"]["facts"] = dict(reversed(content["models"]["incumbent"]["facts"].items()))
    same = write(tmp_path / "other.yml", yaml.safe_dump(shuffled, sort_keys=False))
    digest = load_plan(tiny_plan).digest
    assert len(digest) == 64
    assert load_plan(same).digest == digest
    content["criteria"][0]["margin"] = 0.06
    assert load_plan(write(same, yaml.safe_dump(content))).digest != digest


def test_yaml_words_mean_what_people_expect(edit):
    plan = load_plan(edit("regions: [amer, emea]", "regions: [no, on, 007, 12:30, 2027-01-01]"))
    assert plan.models.incumbent.facts["regions"] == ("no", "on", "007", "12:30", "2027-01-01")
    plan = load_plan(edit("margin: 0.05", "margin: 5e-2"))
    assert plan.gates[0].margin == 0.05
    assert load_plan(edit("id: new,", "id: 12,")).candidates[0] == "12"
    assert load_plan(edit("id: new,", 'id: " <b>NA</b> ",')).candidates[0] == "<b>NA</b>"
    assert load_plan(edit("id: new,", "id: 2026-09-01,")).candidates[0] == "2026-09-01"


def test_byte_order_mark_is_simply_read(tiny_plan):
    assert load_plan(write(tiny_plan, b"\xef\xbb\xbf" + PLAN.encode())).title == "Tiny assistant"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["is empty", "expected a mapping"]),
        (b"# nothing yet\n", ["is empty"]),
        (b"- a\n- b\n", ["expected a mapping", "found a list"]),
        (b"hello", ["expected a mapping", "found the text 'hello'"]),
        (b"title: x\nwhy: caf\xe9\n", ["line 2 is not UTF-8", "save the file with the encoding UTF-8"]),
        (b"title: x\n\tmodels: y\n", ["line 2, column 1", "tabs cannot indent"]),
        (b"title: x\ntitle: y\n", ["line 2", "'title' stands twice", "first in line 1"]),
        (b"a: {b: 1, b: 2}\n", ["line 1", "'b' stands twice"]),
        (b"title: [x\n", ["line 2", "expected ',' or ']'", "bracket or brace opened in line 1 is not closed"]),
        (b"a:\n  - {x: 1}\n   - {y: z}\n", ["line 3", "here column 3 as in line 2"]),
        (b"a: 'x\nb: 1\n", ["a quote opened in line 1"]),
        (b"a: 1\n b: 2\n", ["line 2", "begins too far to the right"]),
        (b"title: x\n---\ntitle: y\n", ["line 2", "another document"]),
        (b"title: !!python/object:os.system x\n", ["line 1", "could not determine a constructor"]),
        (b"a: &x [*x]\n", ["a: this key is not known", "title: is missing"]),
        (b"1: x\n", ["the key 1 is not text"]),
        (b"{[a]: x}\n", ["line 1", "unhashable key"]),
        (b"\x00\x01", ["is not YAML"]),
    ],
)
def test_a_file_that_is_no_plan(tmp_path, content, words):
    message = refused(write(tmp_path / "migration.yml", content))
    for word in words:
        assert word in message
    assert all(line.startswith("migration.yml: ") for line in message.splitlines())


def test_no_such_file(tiny_plan):
    message = refused(tiny_plan.parent / "migraton.yml")
    assert "there is no such file" in message
    assert f"did you mean {tiny_plan}" in message
    assert "there is no such file" in refused(tiny_plan.parent / "nowhere" / "migration.yml")


def test_a_folder_for_a_plan(tiny_plan):
    message = refused(tiny_plan.parent)
    assert "is a folder" in message
    assert f"did you mean {tiny_plan}" in message


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("margin: 0.05", "margn: 0.05", ["criteria.0.margn: this key is not known; did you mean 'margin'"]),
        ("slices:", "slice:", ["slice: this key is not known; did you mean 'slices'"]),
        ("usd_per_1k_requests: 4.1}}", "x: 1}, promt: a}", ["models.incumbent.promt", "did you mean 'prompt'"]),
        ("path: items.csv", "pth: items.csv", ["data.items.0.pth: this key is not known; did you mean 'path'"]),
        ("owner:", "ownr:", ["decision.ownr", "did you mean 'owner'"]),
        ("draws: 100", "draw: 100", ["sampling.draw", "did you mean 'draws'"]),
        ("margin: 0.05", "margin: 1.5", ["criteria.0.margin: found 1.5, expected less than 1"]),
        ("margin: 0.05", "margin: 0", ["criteria.0.margin: found 0, expected greater than 0"]),
        ("margin: 0.05", "margin: .nan", ["criteria.0.margin: found nan, expected a finite number"]),
        ("margin: 0.05", "margin: .inf", ["criteria.0.margin: found inf, expected a finite number"]),
        ("margin: 0.05", "margin: 5%", ["criteria.0.margin: found '5%', expected a number; write 0.05 for 5%"]),
        ("margin: 0.05", "margin: five", ["criteria.0.margin: found 'five', expected a number"]),
        ("assurance: 0.95", "assurance: 97.5 %", ["found '97.5 %', expected a number; write 0.975 for 97.5%"]),
        ("margin: 0.05", "margin: true", ["criteria.0.margin: found True, expected a number"]),
        ("    margin: 0.05\n", "", ["criteria.0.margin: is missing; a gate needs the largest loss accepted"]),
        ("role: gate", "role: monitor", ["criteria.0.margin: only a gate has one; this criterion has role monitor"]),
        ("role: gate\n", "role: trade-off\n", ["criteria.0.weight: is missing; a trade-off needs its weight"]),
        ("role: gate", "role: gat", ["criteria.0.role: found 'gat'", "did you mean 'gate'"]),
        ("    role: gate\n", "", ["criteria.0.role: is missing"]),
        ("scale: binary", "scale: binry", ["criteria.0.scale: found 'binry', expected one of binary, continuous",
                                           "did you mean 'binary'"]),
        ("scale: binary", "scale: ordinal", ["criteria.0.scale: found 'ordinal' without its levels",
                                             "{ordinal: [1, 5]}"]),
        ("scale: binary", "scale: {ordinal: 5}", ["criteria.0.scale: found {ordinal: 5}, expected the lowest and the"]),
        ("scale: binary", "scale: {ordinal: [1, 2, 3]}", ["criteria.0.scale: found {ordinal: [1, 2, 3]}, expected"]),
        ("scale: binary", "scale: {ordinal: [1, 4.5]}", ["found {ordinal: [1, 4.5]}, expected", "whole numbers"]),
        ("scale: binary", "scale: {ordinal: [.nan, 5]}", ["found {ordinal: [nan, 5]}, expected", "whole numbers"]),
        ("scale: binary", "scale: {ordinal: [.inf, 5]}", ["found {ordinal: [inf, 5]}, expected", "whole numbers"]),
        ("scale: binary", "scale: {ordinal: [5, 1]}", ["expected the lowest level first: {ordinal: [1, 5]}"]),
        ("scale: binary", "scale: {ordinal: [0, 1]}", ["which has 2 levels; use scale: binary"]),
        ("scale: binary", "scale: {ordinal: [0, 11]}", ["which has 12 levels, expected at most 11", "continuous"]),
        ("scale: binary", "scale: {ordinal: [1, 5], step: 1}", ["criteria.0.scale: found {'ordinal': [1, 5], 'step'"]),
        ("scale: binary", "quantity: {at_least: 4}", ["criteria.0.quantity: at_least counts levels, and scale binary"]),
        ("scale: binary", "quantity: median", ["criteria.0.quantity: found 'median', expected mean or {at_least: 4}"]),
        ("scale: binary", "scale: {ordinal: [1, 5]}\n    quantity: {at_least: 1}",
         ["criteria.0.quantity: found {at_least: 1}, expected a level from 2 to 5"]),
        ("scale: binary", "scale: {ordinal: [1, 5]}\n    quantity: {at_least: 3.5}",
         ["criteria.0.quantity: found {'at_least': 3.5}, expected mean or {at_least: 4}"]),
        ("margin: 0.05", "margin: 3", ["criteria.0.margin: found 3, expected less than 1", "write 0.03 for 3 points"]),
        ("margin: 0.05", "margin: 0.05\n    slice_margin: 8",
         ["criteria.0.slice_margin: found 8, expected less than 1", "0.08 for 8 points"]),
        ("id: correct", "id: a/b", ["criteria.0.id: found 'a/b', expected letters, digits"]),
        ("better: higher", "better: more", ["criteria.0.better: found 'more', expected one of 'higher', 'lower'"]),
        ("[judge-x, exact_match]", "[]", ["criteria.0.metrics: found 0 entries, expected at least 1"]),
        ("[judge-x, exact_match]", "judge-x", ["criteria.0.metrics: found 'judge-x', expected a list"]),
        ("[judge-x, exact_match]", "[judge-x, judge-x]", ["criteria.0.metrics: 'judge-x' stands twice"]),
        ("primary_metric: judge-x", "primary_metric: judge-y",
         ["criteria.0.primary_metric: 'judge-y' is not one of the criterion's metrics", "did you mean 'judge-x'"]),
        ("{id: judge-x, by", "{id: judge-z, by", ["metrics.0.id: no criterion uses a metric 'judge-z'", "'judge-x'"]),
        ("id: new,", "id: old,", ["models: id 'old' stands twice"]),
        ("id: new,", "id: 4.10,", ["models.candidates.0.id: found 4.1, which YAML reads as a number", "quotes"]),
        ("id: new,", "id: true,", ["models.candidates.0.id: found True", "put the text in quotes"]),
        ("id: new,", 'id: "  ",', ["models.candidates.0.id: is empty"]),
        ("id: new,", "id: ,", ["models.candidates.0.id: is empty"]),
        ("due: 2027-01-15", "due: soon", ["decision.due: found 'soon', expected a date as YYYY-MM-DD"]),
        ("due: 2027-01-15", "due: 2027-13-45", ["decision.due: found '2027-13-45', expected a date"]),
        ("due: 2027-01-15", "due: 2027", ["decision.due: found 2027, expected a date"]),
        ("due: 2027-01-15", 'due: "20270115"', ["decision.due: found '20270115', expected a date"]),
        ("due: 2027-01-15", "due: 2027-01-15 10:00:00", ["decision.due: found", "expected a date"]),
        ("assurance: 0.95", "assurance: 95", ["decision.assurance: found 95, expected less than 1"]),
        ("default: keep", "default: kep", ["decision.default: found 'kep', expected one of 'keep'; did you mean"]),
        ("slices: [region]", "slices: region", ["slices: found 'region', expected a list"]),
        ("slices: [region]", "slices: [region, region]", ["slices: column 'region' stands twice"]),
        ("slices: [region]", "slices: [slice, region]", ["slices: a column 'slice' can only stand alone"]),
        ("slices: [region]", "slices: [text]", ["slices.0: 'text' is a column of the kit's own"]),
        ("slices: [region]", "slices: []", ["traffic.path: the plan names no slices"]),
        ("path: traffic.csv, ", "where: {a: b}, ", ["traffic.path: is missing"]),
        ("requests_per_day: 1000", "requests_per_day: -1", ["traffic.requests_per_day: found -1, expected greater"]),
        ("items: {path: items.csv}", "items: items.csv", ["data.items: found 'items.csv', expected {path: item"]),
        ("{path: scores.csv}", "{path: scores.csv, format: inspect}", ["data.scores.0.format: found 'inspect'"]),
        ("{path: scores.csv}", "{path: scores.csv, columns: {modle: m}}",
         ["data.scores.0.columns.modle: is no column of scores; did you mean 'model'"]),
        ("{path: items.csv}", "{path: items.csv, columns: {reigon: r}}",
         ["data.items.0.columns.reigon: is no column of items; did you mean 'region'"]),
        ("{path: scores.csv}", "{path: scores.csv, columns: {value: {from: v, value: 1}}}",
         ["data.scores.0.columns.value: expected a column name, {from: column, map: {...}} or {value: constant}"]),
        ("{path: scores.csv}", "{path: scores.csv, columns: {value: {value: 1, map: {a: 1}}}}", ["value.map: needs"]),
        ("{path: scores.csv}", "{path: scores.csv, columns: {value: [v]}}", ["scores.0.columns.value: found ['v']"]),
        ("{path: scores.csv}", "{path: scores.csv, where: {rater: {a: b}}}", ["scores.0.where.rater: found {'a'"]),
        ("{path: items.csv}", "{path: items.csv, values: {a: {criterion: c, rater: r, rater_kind: code}}}",
         ["data.items.0.values: only tables of scores can be wide"]),
        ("{path: scores.csv}", "{path: scores.csv, values: {a: {criterion: c, rater: r, rater_kind: cod}}}",
         ["data.scores.0.values.a.rater_kind: found 'cod'", "did you mean 'code'"]),
        ("draws: 100", "draws: 10.5", ["sampling.draws: found 10.5, expected a whole number"]),
        ("sampling:", "report: {show_texts: maybe}\nsampling:", ["report.show_texts: found 'maybe', expected true"]),
        ("regions: [amer], usd_per_1k_requests: 0.4", "regions: {a: 1}", ["candidates.1.facts.regions: found {'a'"]),
        ("decision: {", "labels: {budget: 0}\ndecision: {", ["labels.budget: found 0, expected greater than or equal"]),
        ("title: Tiny assistant", "title:", ["title: is empty; expected text"]),
    ],
)
def test_a_mistake_is_told_with_its_key(edit, old, new, words):
    message = refused(edit(old, new))
    for word in words:
        assert word in message
    assert all(line.startswith("migration.yml: ") for line in message.splitlines())


@pytest.mark.parametrize(
    ("requirement", "words"),
    [
        ("{id: r, fact: regions, includes: [amer], at_least: 1}", ["requirements.0: a fact needs exactly one of"]),
        ("{id: r, fact: regions}", ["requirements.0: a fact needs exactly one of", "found none"]),
        ("{id: r, at_least: 1}", ["requirements.0: expected exactly one of fact, criterion"]),
        ("{id: r, fact: regions, criterion: c, at_least: 1}", ["requirements.0: expected exactly one of fact"]),
        ("{id: r, criterion: c, includes: [a]}", ["requirements.0: a criterion needs exactly one of at_least, at_mos"]),
        ("{id: r, criterion: c, statistic: p999, at_most: 1}", ["requirements.0.statistic: found 'p999'", "to p99"]),
        ("{id: r, criterion: c, statistic: p40, at_most: 1}", ["requirements.0.statistic: found 'p40'"]),
        ("{id: r, fact: usd_per_1k_requests, at_most: 2, assurance: 0.9}", ["requirements.0.assurance: a fact"]),
        ("{id: r, fact: region, includes: [amer]}", ["requirements.0.fact: no model states", "did you mean 'regions'"]),
        ("{id: r, fact: regions, at_most: 2}", ["models.incumbent.facts.regions: found", "expected a number"]),
        ("{id: r, criterion: preferred, at_least: 0}", ["requirements.0.criterion: 'preferred' is pairwise"]),
        ("{id: r, fact: x, equals: 1}, {id: r, fact: y, equals: 1}", ["requirements: id 'r' stands twice"]),
    ],
)
def test_a_mistake_in_a_requirement(tiny_plan, requirement, words):
    pairwise = "  - {id: preferred, scale: pairwise, role: monitor, metrics: [judge-x]}\nsampling:"
    message = refused(write(tiny_plan, f"{PLAN.replace('sampling:', pairwise)}requirements: [{requirement}]\n"))
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("scale", "margin", "kind", "levels", "score", "in_points"),
    [
        ("scale: binary", 0.05, "binary", (0, 1), (0, 1), True),
        ("scale: {ordinal: [1, 5]}", 0.3, "ordinal", (1, 2, 3, 4, 5), (1, 2, 3, 4, 5), False),
        ("scale: {ordinal: [1, 5]}\n    quantity: {at_least: 4}", 0.05, "ordinal", (1, 2, 3, 4, 5), (0, 0, 0, 1, 1),
         True),
        ("scale: {ordinal: [-2, 2]}", 3.9, "ordinal", (-2, -1, 0, 1, 2), (-2, -1, 0, 1, 2), False),
        ("scale: continuous", 12, "continuous", (), (), False),
        ("scale: pairwise", 0.1, "pairwise", (-1, 0, 1), (-1, 0, 1), True),
    ],
)
def test_scales_and_their_margins(tiny_plan, scale, margin, kind, levels, score, in_points):
    text = PLAN.replace("scale: binary", scale).replace("margin: 0.05", f"margin: {margin}\n    slice_margin: {margin}")
    criterion = load_plan(write(tiny_plan, text)).criterion("correct")
    assert (criterion.kind, criterion.levels, criterion.score) == (kind, levels, score)
    assert criterion.in_points is in_points
    assert criterion.margin == criterion.slice_margin == margin


@pytest.mark.parametrize(
    ("scale", "margin", "words"),
    [
        ("scale: pairwise", 1, "expected less than 1, because quality is a rate here; write 0.01 for 1 point"),
        ("scale: {ordinal: [1, 5]}", 4, "found 4, expected less than 4, the width of the scale from 1 to 5"),
        ("scale: {ordinal: [1, 5]}\n    quantity: {at_least: 4}", 2, "found 2, expected less than 1"),
        ("scale: continuous", 0, "found 0, expected greater than 0"),
    ],
)
def test_a_margin_that_does_not_fit_its_scale(tiny_plan, scale, margin, words):
    text = PLAN.replace("scale: binary", scale).replace("margin: 0.05", f"margin: {margin}")
    message = refused(write(tiny_plan, text))
    assert message.startswith("migration.yml: criteria.0.margin: found")
    assert words in message
    assert len(message.splitlines()) == 1


def test_scale_and_quantity_belong_to_the_meaning_of_a_plan(tiny_plan):
    plain = load_plan(tiny_plan).digest
    assert load_plan(write(tiny_plan, PLAN.replace("margin: 0.05", "quantity: mean\n    margin: 0.05"))).digest == plain
    ordinal = PLAN.replace("scale: binary", "scale: {ordinal: [1, 5]}")
    digest = load_plan(write(tiny_plan, ordinal)).digest
    assert digest != plain
    text = ordinal.replace("margin:", "quantity: {at_least: 4}\n    margin:")
    assert load_plan(write(tiny_plan, text)).digest != digest


def test_metrics_stand_under_their_criterion(tiny_plan):
    text = PLAN.replace("family: x}", "family: x, criterion: right}")
    assert load_plan(write(tiny_plan, text)).metric_rows() == [
        ("correct", "judge-x", "right"), ("correct", "exact_match", "correct")]


def test_requirements_are_read(tiny_plan):
    text = "{id: price, fact: usd_per_1k_requests, at_most: 2}, {id: hosting, fact: residency, equals: eu}"
    price, hosting = load_plan(write(tiny_plan, f"{PLAN}requirements: [{text}]\n")).requirements
    assert (price.fact, price.at_most, price.assurance) == ("usd_per_1k_requests", 2.0, None)
    assert hosting.equals == "eu"


def test_a_gate_is_needed(tiny_plan):
    text = PLAN.replace("role: gate", "role: monitor").replace("    margin: 0.05\n", "")
    assert "criteria: none has role gate" in refused(write(tiny_plan, text))


def test_criteria_that_would_share_a_file(tiny_plan):
    again = "  - {id: Correct, role: gate, metrics: [judge-x], margin: 0.1}\nsampling:"
    assert "criteria: id (capitals do not count) 'correct' stands twice" in refused(
        write(tiny_plan, PLAN.replace("sampling:", again)))


@pytest.mark.parametrize(("name", "word"), [("region", "a slice column"), ("item_id", "not a number")])
def test_what_cannot_be_a_covariate(edit, name, word):
    message = refused(edit("    margin: 0.05", f"    covariates: [{name}]\n    margin: 0.05"))
    assert f"criteria.0.covariates.0: '{name}' is {word}" in message


def test_all_problems_are_told_together(tiny_plan):
    text = PLAN.replace("margin: 0.05", "margin: 2").replace("title:", "titel:").replace("owner:", "ownr:")
    assert len(refused(write(tiny_plan, text)).splitlines()) == 3


def test_a_misspelt_key_is_told_once(edit):
    message = refused(edit("  incumbent:", "  incumbant:"))
    assert "models.incumbant: this key is not known; did you mean 'incumbent'?" in message
    assert len(message.splitlines()) == 1


def test_an_empty_section_stands_for_its_default(edit):
    plan = load_plan(edit("metrics:\n  - {id: judge-x, by: judge 2026-05, family: x}\n", "metrics:\nrequirements:\n"))
    assert plan.metrics == ()
    assert plan.requirements == ()
