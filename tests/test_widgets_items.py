"""The item browser: filters, pages, texts only when asked for and never obeyed, quick on many items."""

from dataclasses import replace

import ipywidgets as ipw
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from helpers import posterior, small_data, small_plan

from migration_kit.features import build_features
from migration_kit.files import write_json
from migration_kit.item_table import by_surprise, item_table
from migration_kit.manifest import STAGES
from migration_kit.widgets import items
from migration_kit.widgets.items import ANY, PAGE, Filter, filtered, fit_left, item_browser, page_html

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)> **bold** $x_1$ </pre>"
NAN = float("nan")


def migration(n: int, *, text: bool = True):
    rng = np.random.default_rng(1)
    values = rng.integers(0, 2, (n, 2, 1)).astype(float)
    label = np.where(np.arange(n)[:, None] < n // 2, rng.integers(0, 2, (n, 2)), NAN)
    plan = small_plan(slices=True)
    regions = np.where(np.arange(n) % 3 == 0, "<b>emea</b>", "amer")
    texts = np.array([[f"old {k} {EVIL}", f"new {k} {EVIL}"] for k in range(n)], dtype=object) if text else None
    data = small_data(values, label, plan, regions=regions, text=texts)
    data.items["text"] = [f"question {k} {EVIL}" for k in range(n)]
    return plan, data, {"correct": build_features(data, plan, "correct")}


@pytest.fixture(scope="module")
def case():
    return migration(40)


def table_of(case) -> pd.DataFrame:
    plan, _, features = case
    return by_surprise(item_table(features["correct"], plan))[0]


def controls(browser: ipw.VBox) -> dict[str, ipw.Widget]:
    found = {}

    def walk(widget):
        for child in getattr(widget, "children", ()):
            name = getattr(child, "description", "") or type(child).__name__
            found[name] = child
            walk(child)

    walk(browser)
    return found


@pytest.mark.parametrize(("asked", "rule"), [
    (Filter(), lambda t: t["model"] == "new"),
    (Filter(where="amer"), lambda t: t["slice"] == "amer"),
    (Filter(metric_says="good", people_say="bad"), lambda t: (t["metric"] == 1) & (t["people"] == 0)),
    (Filter(people_say="not known"), lambda t: t["people"].isna()),
    (Filter(flip="lost by people"), lambda t: t["people"] < t["people_incumbent"]),
    (Filter(flip="gained by the metric"), lambda t: t["metric"] > t["metric_incumbent"]),
    (Filter(flip="people and metric differ"),
     lambda t: (np.sign(t["people"] - t["people_incumbent"]) != np.sign(t["metric"] - t["metric_incumbent"]))
     & t["people"].notna())])
def test_filters_keep_what_they_say(case, asked, rule):
    table = table_of(case)
    expected = table[rule(table)]
    assert filtered(table, asked)["item_id"].tolist() == expected["item_id"].tolist()
    assert len(expected)


def test_the_table_is_readable_without_seeing_it(case):
    plan, rows = case[0], table_of(case)
    told = page_html(rows, plan, "correct", page=2, of=40, order="disagreement", beside=True)
    page = BeautifulSoup(told, "html.parser")
    assert page.caption.get_text() == "correct: 11 to 20 of 40 rows; metric: judge"
    assert [th["scope"] for th in page.select("thead th")] == ["col"] * 7
    assert len(page.select("tbody th[scope=row]")) == PAGE
    assert page.find(attrs={"role": "region", "aria-label": "Items"})["tabindex"] == "0"
    assert "Stage 3 has left no fit" in page.get_text()
    assert "good → bad" in page.get_text()


def test_nothing_left_is_said_and_what_was_left_out_is_counted(case):
    plan, rows = case[0], table_of(case)
    none = page_html(rows.iloc[:0], plan, "correct", page=1, of=40, order="", beside=True)
    assert "correct: No row, chosen from 40" in BeautifulSoup(none, "html.parser").get_text()


def test_texts_come_when_asked_for_and_are_not_obeyed(case):
    plan, data, features = case
    browser = item_browser(features, plan, data)
    found = controls(browser)
    assert "old " not in found["HTML"].value and "question" not in found["HTML"].value
    found["show texts"].value = True
    page = BeautifulSoup(found["HTML"].value, "html.parser")
    assert not page.find_all(["script", "img", "b"])
    assert len(page.find_all("details")) == PAGE
    boxes = [box.get_text() for box in page.find("details").find_all("pre")]
    item = page.select_one("tbody th").get_text()
    assert boxes == [f"{who} {int(item[1:])} {EVIL}" for who in ("question", "old", "new")]
    assert {label["aria-label"] for label in page.find("details").find_all("pre")} == {"item", "old", "new"}


def test_texts_stand_there_at_once_where_the_plan_allows_them(case):
    plan, data, features = case
    allowed = plan.model_copy(update={"report": plan.report.model_copy(update={"show_texts": True})})
    assert "question" in controls(item_browser(features, allowed, data))["HTML"].value


def test_a_text_without_end_is_cut_and_that_is_said():
    assert items._cut("x" * 20_001).endswith("… 1 more letter")


def test_the_controls_filter_turn_pages_and_start_again_at_the_first(case):
    plan, data, features = case
    found = controls(item_browser(features, plan, data))
    shown = lambda: BeautifulSoup(found["HTML"].value, "html.parser").caption.get_text().split(";")[0]  # noqa: E731
    assert shown() == "correct: 1 to 10 of 40 rows"
    assert found["Previous page"].disabled
    found["Next page"].click()
    assert shown() == "correct: 11 to 20 of 40 rows" and found["page"].value == 2
    found["page"].value = 4
    assert found["Next page"].disabled
    assert found["slice"].options == (ANY, "<b>emea</b>", "amer")
    found["slice"].value = "<b>emea</b>"
    assert shown() == "correct: 1 to 10 of 14 rows, chosen from 40" and found["page"].value == 1
    assert "<b>emea</b>" not in found["HTML"].value
    found["flip"].value = "lost by people"
    assert "chosen from 40" in shown()
    found["slice"].value = ANY
    expected = int((table_of(case)["people_flip"] == "lost").sum())
    assert f"of {expected} rows" in shown()


def test_the_incumbent_s_browser_shows_no_candidate(case):
    plan, data, features = case
    browser = item_browser(features, plan, data, candidates=False)
    found = controls(browser)
    assert "candidate" not in found and "flip" not in found
    text = BeautifulSoup(found["HTML"].value, "html.parser").get_text()
    assert "new" not in text.replace("anew", "") and "flip" not in text and "→" not in text
    found["show texts"].value = True
    assert "new 1" not in found["HTML"].value


def test_without_texts_none_are_offered():
    plan, data, features = migration(6, text=False)
    data = replace(data, items=data.items.drop(columns="text"))
    assert "show texts" not in controls(item_browser(features, plan, data))


def test_of_many_items_only_a_page_is_drawn():
    plan, data, features = migration(20_000)
    found = controls(item_browser(features, plan, data))
    found["show texts"].value = True
    found["page"].value = found["page"].max
    assert found["page"].max == 2_000
    assert len(BeautifulSoup(found["HTML"].value, "html.parser").select("tbody th")) == PAGE
    assert len(found["HTML"].value) < 100_000


def test_a_fit_is_taken_only_where_stage_03_finished_on_these_data(case, tmp_path):
    features = case[2]["correct"]
    find = fit_left(tmp_path)
    assert find(features) is None
    folder = tmp_path / STAGES[2]
    folder.mkdir()
    names = {"model": features["model"].to_numpy(), "slice": features["slice"].to_numpy()}
    tree = posterior(features)
    kept = tree["posterior"].to_dataset().assign_coords(names)
    type(tree).from_dict({"posterior": kept}).to_netcdf(folder / "correct.nc", engine="h5netcdf")
    write_json(tmp_path / "manifest.json", {"stages": {}})
    assert find(features) is None, "a stage that did not finish has left nothing"
    write_json(tmp_path / "manifest.json", {"stages": {STAGES[2]: {}}})
    assert find(features) is not None
    assert find(features.isel(component=slice(1))) is None
    plan, data, all_features = case
    text = controls(item_browser(all_features, plan, data, fit_of=find))["HTML"].value
    assert "chance of the judgment" in text and "least likely judgments come first" in text
