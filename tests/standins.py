"""A tiny migration and five tiny notebooks, so that the pipeline can be tested without the statistics."""

import csv
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from migration_kit.manifest import STAGES

EVIL = "<script>alert(1)</script>"
PLAN = """\
title: "Support \\"summer\\" <b>move</b>"
decision: {{owner: Head of Support, due: 2027-01-15, default: keep}}
models:
  incumbent: {{id: a-2025}}
  candidates: [{{id: b-2026}}, {{id: {evil}}}]
data: {{items: {{path: items.csv}}, scores: [{{path: scores.csv}}]}}
slices: [region]
criteria:
  - {{id: correct, question: "Is the answer right?", role: gate, metrics: [judge-x], margin: {margin}}}
"""
DECISION = {
    "question": "May b-2026 replace a-2025?",
    "verdict": "switch",
    "candidate": "b-2026",
    "probability": 0.97,
    "sentence": "Switch to b-2026.",
    "candidates": {
        "b-2026": {"verdict": "switch", "probability": 0.97, "labels_needed": None, "sentence": "Good."},
        EVIL: {"verdict": "keep", "probability": 0.01, "labels_needed": None, "sentence": f"{EVIL} is worse."},
    },
    "alarms": [f"judge-x says the opposite for {EVIL}."],
}
PARAMETERS = """\
run_dir = "../runs/x"  # run folder
plan = "x.yml"  # plan
fast = False  # fewer draws
full = False  # every check"""


def write_migration(folder: Path, *, margin: float = 0.03) -> Path:
    """Plan and data of 12 items in two regions, three models, one judge, six labels a model; returns the plan."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "items.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["item_id", "region"], *([f"i{n}", ("amer", "emea")[n % 2]] for n in range(12))])
    rows = [["item_id", "model", "criterion", "rater", "rater_kind", "value"]]
    for model in ("a-2025", "b-2026", EVIL):
        rows += [[f"i{n}", model, "correct", "judge-x", "judge", int(n % 3 > 0)] for n in range(12)]
        rows += [[f"i{n}", model, "correct", "lead", "human", int(n % 4 > 0)] for n in range(6)]
    with (folder / "scores.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    plan = folder / "migration.yml"
    plan.write_text(PLAN.format(margin=margin, evil=f'"{EVIL}"'))
    return plan


def write_notebook(path: Path, *code: str, parameters: str = PARAMETERS) -> Path:
    """A notebook of a heading, the cell tagged `parameters` and the given code cells."""
    cells = [
        new_markdown_cell(f"# {path.stem}"),
        new_code_cell(parameters, metadata={"tags": ["parameters"]}),
        *map(new_code_cell, code),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


def opening(stage: str) -> str:
    """The first code cell of a stage."""
    call = f'run = open_run(run_dir, plan=plan, stage="{stage}", fast=fast, full=full)'
    return f"from migration_kit.run import open_run\n{call}"


def write_notebooks(folder: Path) -> Path:
    """Five notebooks that each save a small file; the last saves `DECISION`; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for stage in STAGES:
        own = [f'_ = run.save("made.json", {{"stage": "{stage}"}})', "print(run.finish(items=len(run.data.items)))"]
        if stage == STAGES[-1]:
            own.insert(0, f"_ = run.save_decision({DECISION!r})")
        write_notebook(folder / f"{stage}.ipynb", opening(stage), *own)
    return folder
