"""The five notebooks by hand in JupyterLab: run, explore with the keyboard, label, and go on after a restart."""

import csv
import json
import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page

from migration_kit.label_files import NEXT, answers_path

from .conftest import START_SECONDS, Lab

SECONDS = 1000
RUN_SECONDS = 180
LABELLED = 5
MOST_TABS = 12
RATER = "ann"
COUNTS = """() => {
  const shown = [...document.querySelectorAll('.jp-CodeCell')]
    .filter(cell => cell.querySelector('.cm-content').textContent.trim())
    .map(cell => cell.querySelector('.jp-InputPrompt').textContent);
  return [shown.length, shown.filter(text => /\\d/.test(text)).length]}"""


@pytest.fixture
def page(chromium: Browser, lab: Lab) -> Iterator[Page]:
    """A page of its own; what it opened in JupyterLab is shut down afterwards."""
    context = chromium.new_context(viewport={"width": 1400, "height": 1000}, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(60 * SECONDS)
    yield page
    context.close()
    for session in lab.ask("GET", "sessions"):
        lab.ask("DELETE", f"sessions/{session['id']}")


def open_notebook(page: Page, lab: Lab, stage: str) -> None:
    """Open a notebook and wait until its kernel is ready."""
    page.goto(f"{lab.url}/lab/workspaces/{stage}/tree/notebooks/{stage}.ipynb?token={lab.token}")
    page.locator(".jp-Notebook .jp-Cell").first.wait_for()
    # Cells that are run before the kernel is there are forgotten.
    end = time.monotonic() + START_SECONDS
    while not any(one["kernel"]["execution_state"] == "idle" and one["kernel"]["connections"]
                  for one in lab.ask("GET", "sessions")):
        assert time.monotonic() < end, "the kernel did not start"
        page.wait_for_timeout(300)
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").first.wait_for()
    page.wait_for_timeout(1000)


def choose(page: Page, menu: str, entry: str) -> None:
    """Choose from the menu at the top."""
    page.locator("#jp-MainMenu").get_by_text(menu, exact=True).click()
    page.locator(".lm-Menu").get_by_text(entry, exact=True).click()


def run_all(page: Page, lab: Lab, stage: str) -> None:
    """Run all cells, wait for the last, and see that none failed and every control shows."""
    choose(page, "Run", "Run All Cells")
    wait_for_last(page)
    page.keyboard.press("Control+s")
    page.wait_for_timeout(500)
    assert not page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error']").all_inner_texts()
    assert not page.get_by_text("Error displaying widget").count()
    assert not page.get_by_text("Loading widget").count()
    text = page.locator(".jp-Notebook").last.text_content()
    assert f"{stage} finished in" in text


def wait_for_last(page: Page) -> None:
    """Return when no cell waits any more."""
    end = time.monotonic() + RUN_SECONDS
    while time.monotonic() < end:
        cells, done = page.evaluate(COUNTS)
        failed = page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error']")
        assert not failed.count(), failed.first.inner_text()
        if cells and cells == done:
            return
        page.wait_for_timeout(400)
    raise AssertionError(f"{done} of {cells} cells ran in {RUN_SECONDS} s")


def answers(lab: Lab) -> list[dict]:
    """What the rater has said, as it lies on disk."""
    path = answers_path(lab.root / "runs" / "practice" / NEXT, RATER)
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def place(sheet: Locator, number: int) -> None:
    """Wait until a task is on the screen."""
    sheet.get_by_text(re.compile(rf"^Task {number} of \d+$")).wait_for(timeout=30 * SECONDS)


def begin(page: Page) -> Locator:
    """Give the rater's name in the labelling sheet."""
    sheet = page.locator(".mk-sheet")
    sheet.scroll_into_view_if_needed()
    sheet.get_by_label("Your name").fill(RATER)
    page.keyboard.press("Enter")
    sheet.locator(".mk-main").wait_for()
    return sheet


def away_and_back(page: Page, part: Locator) -> None:
    """Scroll a part of the notebook out of sight, which JupyterLab then leaves out of the picture, and back."""
    for cell in (page.locator(".jp-Notebook .jp-Cell").first, page.locator(".jp-Notebook .jp-Cell").last, part):
        cell.scroll_into_view_if_needed()
        page.wait_for_timeout(500)


def tab_to(page: Page, part: Locator) -> None:
    """Go on with the Tab key until a part has the keyboard."""
    for _ in range(MOST_TABS):
        if part.evaluate("part => part === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{part} is not reached with the Tab key")


@pytest.mark.parametrize("stage", ["01_baseline", "04_validation"])
def test_a_notebook_runs_from_top_to_bottom(page, lab, picture, stage):
    open_notebook(page, lab, stage)
    run_all(page, lab, stage)
    picture(page, f"lab-{stage}")


def test_outputs_are_labelled_by_keyboard_and_a_restart_loses_nothing(page, lab, picture, faults):
    open_notebook(page, lab, "02_candidates")
    run_all(page, lab, "02_candidates")
    sheet = begin(page)
    place(sheet, 1)
    cells = page.locator(".jp-Notebook .jp-Cell").count()
    for number, key in enumerate("10110", start=1):
        page.keyboard.press(key)
        place(sheet, number + 1)
    assert [row["value"] for row in answers(lab)] == list("10110")
    picture(page, "lab-sheet")
    assert not faults(page, ".mk-sheet")
    assert page.locator(".jp-Notebook .jp-Cell").count() == cells, "a key of the sheet was a command of JupyterLab"
    away_and_back(page, sheet)
    place(sheet, LABELLED + 1)
    choose(page, "Kernel", "Restart Kernel and Run All Cells…")
    page.locator(".jp-Dialog").get_by_role("button", name="Confirm Kernel Restart").click()
    page.locator(".mk-sheet").get_by_text("Your name").wait_for(timeout=RUN_SECONDS * SECONDS)
    sheet = begin(page)
    place(sheet, LABELLED + 1)
    page.keyboard.press("1")
    place(sheet, LABELLED + 2)
    assert [row["value"] for row in answers(lab)] == list("101101")


def test_a_refit_by_keyboard_says_what_it_does(page, lab, picture, faults):
    open_notebook(page, lab, "03_calibration")
    run_all(page, lab, "03_calibration")
    picture(page, "lab-03_calibration")
    panel = page.locator(".mk-model-panel")
    panel.scroll_into_view_if_needed()
    width = panel.get_by_role("slider", name="width of priors")
    width.focus()
    page.keyboard.press("ArrowRight")
    assert width.get_attribute("aria-valuetext") == "1.07 times"
    again = panel.get_by_role("button", name="Fit again")
    tab_to(page, again)
    page.keyboard.press("Enter")
    panel.get_by_text("fitting correct").wait_for()
    assert again.is_disabled() and panel.get_by_role("progressbar", name="at work").is_visible()
    panel.get_by_text("Fitted with priors 1.07 times as wide").wait_for()
    page.wait_for_timeout(500)
    assert again.evaluate("button => button === document.activeElement && !button.disabled")
    assert not faults(page, ".mk-model-panel")
    page.locator(".mk-explorer").scroll_into_view_if_needed()
    assert not faults(page, ".mk-explorer")


def test_the_explorer_moves_the_verdict_by_keyboard(page, lab, picture, faults):
    open_notebook(page, lab, "05_report")
    run_all(page, lab, "05_report")
    explorer = page.locator(".mk-explorer").first
    explorer.scroll_into_view_if_needed()
    verdict = explorer.locator(".mk-verdict")
    explorer.get_by_text("These are the settings of the plan.").wait_for(timeout=10 * SECONDS)
    before, cells = verdict.text_content(), page.locator(".jp-Notebook .jp-Cell").count()
    decision = json.loads((lab.root / "runs" / "practice" / "decision.json").read_text("utf-8"))
    assert before.lower().startswith(decision["verdict"]) and decision["verdict"] == "switch"

    def word(expected: str) -> None:
        explorer.locator(f".mk-verdict.mk-{expected}").wait_for(timeout=10 * SECONDS)

    margin = explorer.get_by_role("slider", name="margin on correct, points")
    assert margin.get_attribute("aria-valuetext") == "10 points"
    explorer.get_by_role("tab").first.focus()
    tab_to(page, margin)
    page.keyboard.press("Home")
    word("collect")
    assert "By the plan as it is: switch to new." in verdict.text_content()
    picture(page, "lab-explorer")
    away_and_back(page, explorer)
    word("collect")
    assert margin.get_attribute("aria-valuetext") == "1 points"
    page.keyboard.press("a")
    page.keyboard.press("End")
    word("switch")
    assert page.locator(".jp-Notebook .jp-Cell").count() == cells, "a key of the explorer was a command of JupyterLab"
    reset = explorer.get_by_role("button", name="Back to the plan")
    tab_to(page, reset)
    page.keyboard.press("Enter")
    explorer.get_by_text("These are the settings of the plan.").wait_for(timeout=10 * SECONDS)
    assert verdict.text_content() == before
    for tab in explorer.get_by_role("tab").all():
        tab.focus()
        page.keyboard.press("Enter")
        page.wait_for_timeout(300)
        assert not faults(page, ".mk-explorer")
        if tab.inner_text() == "Assurance":
            tab_to(page, explorer.get_by_role("slider", name="assurance of all gates, %"))
            page.keyboard.press("End")
            word("collect")
