"""A tiny valid migration, and the real reference data where it is there."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BROWSER = ROOT / "tests" / "browser"

PLAN = """\
title: Tiny assistant
decision: {owner: Head of Support, due: 2027-01-15, default: keep, assurance: 0.95, slice_assurance: 0.80}
models:
  incumbent: {id: old, prompt: v1, facts: {regions: [amer, emea], usd_per_1k_requests: 4.1}}
  candidates:
    - {id: new, prompt: v1, facts: {regions: [amer, emea], usd_per_1k_requests: 1.3}}
    - {id: small, prompt: v2, facts: {regions: [amer], usd_per_1k_requests: 0.4}}
data:
  items: {path: items.csv}
  scores: [{path: scores.csv}]
metrics:
  - {id: judge-x, by: judge 2026-05, family: x}
slices: [region]
traffic: {path: traffic.csv, requests_per_day: 1000}
criteria:
  - id: correct
    question: Is the answer right?
    scale: binary
    better: higher
    role: gate
    metrics: [judge-x, exact_match]
    primary_metric: judge-x
    margin: 0.05
    why: 50 more wrong answers a day
sampling: {draws: 100, tune: 100, chains: 2, seed: 1}
"""

# One row an item: what people, judge-x and exact_match say of the outputs of old, new and small.
ANSWERS = """\
110 110 100
111 111 110
100 110 100
110 111 000
111 111 111
010 110 000
110 110 110
000 010 000
111 110 100
110 111 010
.10 .10 .00
.11 .11 .10
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--browser", action="store_true", help="also run the tests that need Chromium (tests/browser)")
    parser.addoption("--slow", action="store_true", help="also run those that fit many models or whole studies")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if collection_path == BROWSER and not config.getoption("browser") else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("slow"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="takes long: run with --slow"))


def write_tiny(folder: Path) -> Path:
    """Write the tiny migration into a folder and return the path of its plan: 12 items, 10 of them labelled."""
    rows = [line.split() for line in ANSWERS.splitlines()]
    items, scores = ["item_id,region"], ["item_id,model,criterion,rater,rater_kind,value"]
    for number, answers in enumerate(rows, start=1):
        items.append(f"q{number:02d},{'amer' if number % 3 else 'emea'}")
        for model, cells in zip(("old", "new", "small"), answers, strict=True):
            raters = (("anna", "human"), ("judge-x", "judge"), ("exact_match", "code"))
            scores += [f"q{number:02d},{model},correct,{rater},{kind},{cell}"
                       for (rater, kind), cell in zip(raters, cells, strict=True) if cell != "."]
    folder.joinpath("items.csv").write_text("\n".join(items) + "\n", encoding="utf-8")
    folder.joinpath("scores.csv").write_text("\n".join(scores) + "\n", encoding="utf-8")
    folder.joinpath("traffic.csv").write_text("region,share\namer,0.4\nemea,0.6\n", encoding="utf-8")
    plan = folder / "migration.yml"
    plan.write_text(PLAN, encoding="utf-8")
    return plan


@pytest.fixture
def tiny_plan(tmp_path: Path) -> Path:
    """The path of a tiny valid plan; its tables lie beside it and may be changed."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    return write_tiny(folder)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of the real reference data beside the project."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the reference data is not here ({folder}); tests on real LLM data need it")
    return folder
