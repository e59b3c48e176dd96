"""The decision explorer driven as a browser drives it, by setting values; what it shows, and the plan it writes."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import nbformat
import pandas as pd
import pytest
import yaml
from conftest import ROOT, write_tiny
from explore_case import everything, the_plan

from migration_kit.plan import load_plan
from migration_kit.strict_yaml import read_yaml
from migration_kit.widgets.controls import MOST_SLICES, OTHERS, make_controls, read_controls
from migration_kit.widgets.explore import Stored, explore, stored
from migration_kit.widgets.explorer import decision_explorer
from migration_kit.widgets.keyboard import Keyboard
from migration_kit.widgets.settings import plan_with, plan_yaml, settings_of

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def known():
    plan = the_plan()
    return stored(plan, **everything(plan))


@pytest.fixture
def explorer(known):
    return decision_explorer(known)


def text(part) -> str:
    """The text of a part of the explorer, tags left out."""
    found = []
    parser = HTMLParser()
    parser.handle_data = found.append
    parser.feed(part.value)
    return " ".join(" ".join(found).split())


def test_it_opens_with_the_plan_and_says_so(known, explorer):
    assert explorer.found.settings == known.settings == read_controls(explorer.controls, known)
    assert explorer.found.verdict.lower() in text(explorer.shown["verdict"])
    assert explorer.found.sentence in text(explorer.shown["verdict"])
    assert "These are the settings of the plan." in text(explorer.shown["verdict"])
    assert explorer.shown["yaml"].value == "# Nothing differs from the plan.\n"
    assert "application/vnd.jupyter.widget-view+json" in explorer._repr_mimebundle_()


def test_a_margin_moved_changes_verdict_figure_table_and_plan(known, explorer):
    before = {name: part.value for name, part in explorer.shown.items()}
    explorer.controls["margins"]["correct"].slider.value = 0.5
    assert explorer.found.plan.criterion("correct").margin == 0.005
    assert explorer.found.verdict == "collect" != explore(known, known.settings).verdict
    assert "collect" in text(explorer.shown["verdict"])
    assert "By the plan as it is: switch to new." in text(explorer.shown["verdict"])
    assert {name for name, part in explorer.shown.items() if part.value != before[name]} == {*explorer.shown}
    assert "margin −0.5" in text(explorer.shown["forest"]) and "margin −3" not in text(explorer.shown["forest"])
    assert "margin: 0.005" in explorer.shown["yaml"].value


def test_it_says_what_it_shows_without_being_seen(explorer):
    verdict, forest = explorer.shown["verdict"].value, explorer.shown["forest"].value
    assert 'role="status" aria-live="polite"' in verdict
    alt = re.search(r'role="img" aria-label="([^"]+)"', forest)[1]
    assert "Contrast with old on correct in total, points" in alt and "non-inferior" in alt and "margin −3.0" in alt
    assert "contrast with old, points (right is better)" in text(explorer.shown["forest"])
    assert "old (incumbent)" in text(explorer.shown["forest"]) and "#767676" in forest
    assert explorer.shown["candidates"].value.count('scope="row"') == 2


def test_every_slider_has_a_name_and_a_unit_to_be_read_out(explorer):
    units = next(one for one in explorer.box.children if isinstance(one, Keyboard)).units
    sliders = [one.slider for group in explorer.controls.values() for one in group.values()]
    assert {*units} == {one.tooltip for one in sliders} and len(units) == len(sliders)
    assert all(one.tooltip.startswith(one.description) for one in sliders)
    assert units["margin on correct, points"] == "points" and units["assurance of all gates, %"] == "%"
    assert units["weight of liked"] == "" and "to 1" in units.values()


def test_the_slice_and_the_criterion_looked_at_are_chosen(explorer):
    explorer.where.value = "south"
    assert "on correct in south" in explorer.shown["forest"].value and "margin −8" in text(explorer.shown["forest"])
    explorer.criterion.value = "liked"
    assert "on liked in south" in explorer.shown["forest"].value and "margin" not in text(explorer.shown["forest"])


def test_shares_are_proportions(known, explorer):
    controls = explorer.controls["shares"]
    controls["north"].slider.value, controls["south"].slider.value = 20.0, 60.0
    assert explorer.found.settings.shares == pytest.approx({"north": 0.25, "south": 0.75})
    assert "north 25% and south 75%" in text(explorer.shown["weighing"])
    controls["north"].slider.value = controls["south"].slider.value = 0.0
    assert explorer.found.settings.shares == pytest.approx({"north": 0.5, "south": 0.5})


def test_many_slices_move_the_largest_and_all_others_together(known):
    names = [f"s{number:02d}" for number in range(20)]
    share = dict(zip(names, [0.05] * 20, strict=True)) | {"s07": 0.06, "s08": 0.04}
    many = Stored(known.plan, pd.Series(share), {}, {}, {}, {}, {}, {}, known.requirements, [], None, None)
    groups = make_controls(many)
    assert len(groups["shares"]) == MOST_SLICES and OTHERS in groups["shares"] and "s08" not in groups["shares"]
    assert read_controls(groups, many).shares == share
    groups["shares"][OTHERS].slider.value = 0.0
    found = read_controls(groups, many).shares
    assert sum(found.values()) == pytest.approx(1) and found["s08"] == 0 and found["s07"] == pytest.approx(0.06 / 0.56)


def test_further_labels_are_told_in_figure_and_table(explorer):
    explorer.controls["more"]["labels"].slider.value = 200
    assert "with 200 more labels" in text(explorer.shown["candidates"])
    assert "200 more labelled items" in text(explorer.shown["forest"])
    assert re.search(r"(switch|keep|collect) \d+%", text(explorer.shown["candidates"]))
    told = re.search(r"With 200 more labelled items: new (.*); other (.*)\.", text(explorer.shown["verdict"]))
    assert all(part in text(explorer.shown["candidates"]) for part in told.groups())
    assert explorer.shown["yaml"].value == "# Nothing differs from the plan.\n"
    explorer.controls["more"]["labels"].slider.value = 0
    assert "more labelled" not in text(explorer.shown["verdict"])


def test_what_moves_nothing_has_no_control():
    gate = {"id": "correct", "role": "gate", "metrics": ["judge"], "margin": 0.03}
    made = the_plan(criteria=[gate], costs=None, stakeholders=[], decision={
        "owner": "Head", "due": "2027-01-15", "assurance": 0.9})
    known = stored(made, **everything(made))
    explorer = decision_explorer(known)
    assert not any(explorer.controls[name] for name in ("slice_margins", "weights", "stakeholders"))
    assert list(explorer.controls["assurance"]) == ["assurance"]
    assert read_controls(explorer.controls, known) == known.settings
    explorer.controls["assurance"]["assurance"].slider.value = 80
    # Nor is anything written that neither the plan nor a control says.
    assert yaml.safe_load(explorer.shown["yaml"].value)["decision"] == {
        "owner": "Head", "due": "2027-01-15", "assurance": 0.8}


def test_back_to_the_plan_moves_every_control(known, explorer):
    own = {name: part.value for name, part in explorer.shown.items()}
    for group in explorer.controls.values():
        for one in group.values():
            one.slider.value = (one.slider.value + 75) if one.slider.max > 100 else one.slider.max * 0.9
    assert explorer.found.settings != known.settings
    explorer.reset.click()
    assert explorer.found.settings == known.settings
    assert {name: part.value for name, part in explorer.shown.items()} == own


def test_a_slider_that_a_browser_moves_to_its_nearest_step_was_not_moved(known, explorer):
    explorer.controls["costs"]["ratio"].slider.value = 5.0119
    explorer.controls["margins"]["correct"].slider.value = 3.04
    explorer.controls["shares"]["north"].slider.value = 70.2
    assert explorer.found.settings == known.settings
    explorer.controls["costs"]["ratio"].slider.value = 5.1286
    assert explorer.found.settings.cost_ratio == pytest.approx(5.1286)


def test_weights_choose_and_costs_rank(explorer):
    for name in ("correct", "polite"):
        explorer.controls["margins"][name].slider.value = 10.0
    explorer.controls["slice_margins"]["correct"].slider.value = 30.0
    assert explorer.found.verdict == "switch"
    first = explorer.found.candidate
    explorer.controls["weights"]["liked"].slider.value = 5.0
    for name in ("correct", "polite"):
        explorer.controls["weights"][name].slider.value = 0.0
    assert explorer.found.candidate == "other" != first
    explorer.controls["costs"]["ratio"].slider.value = 0.5
    assert explorer.found.break_even == pytest.approx(1 / 3) and "33.3%" in text(explorer.shown["weighing"])


def test_without_costs_nothing_is_said_of_them_until_they_are_moved():
    plan = the_plan(costs=None)
    explorer = decision_explorer(stored(plan, **everything(plan)))
    assert explorer.found.plan.costs is None and "expected loss" not in text(explorer.shown["candidates"])
    explorer.controls["costs"]["ratio"].slider.value = 4.0
    assert explorer.found.plan.costs.wrong_switch == 4.0 and "expected loss" in text(explorer.shown["candidates"])
    assert yaml.safe_load(explorer.shown["yaml"].value)["costs"]["wrong_switch"] == 4


def test_names_are_shown_and_not_obeyed():
    made = the_plan(stakeholders=[{"name": EVIL, "concern": EVIL, "weight": 2}])
    explorer = decision_explorer(stored(made, **everything(made)))
    assert "<img" not in "".join(explorer.shown[name].value for name in ("verdict", "forest", "candidates", "weighing"))
    assert EVIL in text(explorer.shown["weighing"])


def test_nothing_judged_is_said():
    plan = the_plan()
    made = everything(plan) | {"draws": {}}
    assert "Nobody has judged" in decision_explorer(stored(plan, **made)).value


def replaced(path, told: str):
    """The plan file with the sections of `told` in place of its own, written and loaded."""
    content = read_yaml(path) | yaml.safe_load(told)
    path.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    return load_plan(path)


MORE = """\
  - {id: grade, scale: {ordinal: [1, 5]}, quantity: {at_least: 4}, role: trade-off, weight: 0.5, metrics: [exact_match]}
  - {id: words, scale: continuous, better: lower, role: gate, margin: 2.5, metrics: [exact_match], covariates: [no]}
costs: {wrong_switch: 7, wrong_stay: 3, unit: "kilo: $"}
stakeholders:
  - {name: "007", concern: "no", criterion: grade, weight: 2, signs: true}
"""


def test_the_plan_it_writes_loads_and_is_the_plan_explored(tmp_path):
    path = write_tiny(tmp_path)
    path.write_text(path.read_text("utf-8").replace("sampling:", f"{MORE}sampling:"), "utf-8")
    plan = load_plan(path)
    shares = pd.Series({"amer": 0.4, "emea": 0.6})
    settings = settings_of(plan, shares)
    assert plan_with(plan, settings) == plan and plan_with(plan, settings).digest == plan.digest
    changed = replace(settings, margins={"correct": 0.045, "words": 3.5}, assurance=0.9, cost_ratio=1.75,
                      weights=settings.weights | {"grade": 1.25}, stakeholders={"007": 0.5},
                      shares={"amer": 0.125, "emea": 0.875})
    told = plan_yaml(plan, changed, shares)
    assert set(yaml.safe_load(told)) == {"decision", "criteria", "costs", "stakeholders"}
    assert told.rstrip().splitlines()[-3:] == ["# region,share", "# amer,0.125", "# emea,0.875"]
    loaded = replaced(path, told)
    assert loaded.digest == plan_with(plan, changed).digest != plan.digest
    assert loaded.criterion("correct").margin == 0.045 and loaded.costs.wrong_switch == 5.25
    # Only what was changed is written.
    told = plan_yaml(plan, replace(settings, slice_assurance=0.7), shares)
    assert list(yaml.safe_load(told)) == ["decision"]


def test_every_value_a_slider_reaches_is_one_that_a_plan_may_have(known):
    groups = make_controls(known)
    for end in ("min", "max"):
        for group in groups.values():
            for one in group.values():
                low = one.slider.base ** one.slider.min if hasattr(one.slider, "base") else one.slider.min
                high = one.slider.base ** one.slider.max if hasattr(one.slider, "base") else one.slider.max
                one.slider.value = low if end == "min" else high
        plan = plan_with(known.plan, read_controls(groups, known))
        type(plan).model_validate(plan.model_dump(by_alias=True))


@pytest.mark.parametrize(("stage", "control"), [
    ("03_calibration", "decision_explorer"), ("03_calibration", "model_panel"), ("05_report", "decision_explorer")])
def test_notebooks_hold_the_controls_in_cells_that_pages_leave_out(stage, control):
    cells = nbformat.read(ROOT / "notebooks" / f"{stage}.ipynb", as_version=4).cells
    place = next(number for number, cell in enumerate(cells) if f"display({control}(" in cell.source)
    prose, code = cells[place - 1 : place + 1]
    assert "interactive" in code.metadata["tags"] and "interactive" in prose.metadata["tags"]
    assert prose.cell_type == "markdown" and len(prose.source) > 40
