"""Tables: every cell, heading and group from the plan or the data is shown letter by letter."""

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from conftest import write_tiny

from migration_kit import overview, tables
from migration_kit.checks import CheckResult, check_table
from migration_kit.crosschecks import cross_checks
from migration_kit.data import load_data
from migration_kit.features import build_features
from migration_kit.plan import load_plan
from migration_kit.requirements import check_requirements
from migration_kit.tables.grid import NAME, NUMBER, grid, mark

EVIL = "<script>alert(1)</script>"


def page(table) -> BeautifulSoup:
    return BeautifulSoup(table.as_raw_html(), "html.parser")


def cells(table) -> list[list[str]]:
    return [[cell.get_text() for cell in row.find_all(["th", "td"])] for row in page(table).select("tbody tr")]


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    path = write_tiny(folder)
    for name in ("migration.yml", "scores.csv"):
        text = (folder / name).read_text("utf-8").replace("id: small", f'id: "{EVIL}"').replace(",small,", f",{EVIL},")
        text = text.replace("usd_per_1k_requests", '"{{m^2}}"')
        (folder / name).write_text(text, "utf-8")
    with path.open("a", encoding="utf-8") as file:
        file.write('requirements: [{id: "<i>regions</i>", fact: regions, includes: [amer, emea]}]\n')
    plan = load_plan(path)
    data = load_data(plan)
    return plan, data, build_features(data, plan, "correct")


def test_grid_escapes_everything():
    table = grid([(EVIL, NAME), ("{{x}} & y", NUMBER)], [[EVIL, "**1**"]], title=EVIL, note=EVIL, groups=[EVIL])
    found = page(table)
    assert not found.find_all("script")
    assert found.get_text().count(EVIL) == 5
    assert "{{x}} & y" in found.get_text()
    assert "**1**" in found.get_text()


def test_the_first_name_heads_its_row():
    found = page(grid([("model", NAME), ("n", NUMBER)], [["a", "1"], ["b", "2"]], title="t"))
    assert [th.get_text() for th in found.select("tbody th[scope=row]")] == ["a", "b"]


def test_an_empty_table_keeps_its_headings():
    assert "model" in page(grid([("model", NAME), ("n", NUMBER)], [], title="t", groups=[])).get_text()


@pytest.mark.parametrize(("passed", "sign"), [(True, "✓"), (False, "✗"), (None, "?"), (pd.NA, "?"), (np.True_, "✓")])
def test_marks(passed, sign):
    assert mark(passed).startswith(sign)


def test_tables_of_the_plan_and_the_data(case):
    plan, data, features = case
    counts = overview.flow({"correct": features}, data, plan)
    for table in (tables.models(plan), tables.criteria(plan), tables.metrics(plan), tables.sign_off(plan),
                  tables.flow(counts, outcomes=True), tables.flips(overview.flips(features, plan)),
                  tables.raw(cross_checks(features, plan, traffic=True, seed=1)), tables.priors(),
                  tables.requirements(check_requirements(plan, data), plan)):
        assert not page(table).find_all("script")
    assert EVIL in page(tables.models(plan)).get_text()
    assert "{{m^2}}" in page(tables.models(plan)).get_text()
    assert "5 points" in page(tables.criteria(plan)).get_text()
    assert ["old", "12", "12", "12", "10", "8", "2"] in cells(tables.flow(counts, outcomes=True))
    assert ["old", "12", "12", "12", "10"] in cells(tables.flow(counts, outcomes=False))


def test_requirements_are_told_with_a_mark(case):
    plan, data, _ = case
    found = cells(tables.requirements(check_requirements(plan, data), plan))
    assert ["<i>regions</i>: includes amer, emea"] in found
    assert [EVIL, "✗\u00a0fail", "amer", "a fact"] in found


def test_checks_name_their_criterion_and_the_blocking_ones():
    failed = CheckResult("a", False, "moved by -2.0.", "correct", blocks=True)
    found = check_table([failed, CheckResult("b", None, EVIL)])
    rows = cells(tables.checks(found))
    assert ["✗\u00a0fail", "a", "moved by −2.0. Until this passes, the verdict is collect."] in rows
    assert ["?\u00a0unknown", "b", EVIL] in rows
    assert ["all criteria"] in rows


def test_slices_stand_worst_first(case):
    plan, _, features = case
    rows = cross_checks(features, plan, traffic=True, seed=1)
    rows = rows[rows["method"] == "labels_only"].assign(method="calibrated")
    found = cells(tables.slices(rows, plan))
    values = [float(row[3].replace("−", "-")) for row in found]
    assert values == sorted(values)
    assert len(found) == 2 * features.sizes["slice"]
