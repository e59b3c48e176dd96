"""A small migration with texts, laid out as the project is, so that the notebooks run as they are committed."""

from pathlib import Path

import pandas as pd
from conftest import ROOT, write_tiny
from typer.testing import CliRunner

from migration_kit.cli import app
from migration_kit.label_files import NEXT
from migration_kit.pipeline import run_pipeline

MORE_ITEMS = 12
TIMES = 3
MODELS = ("old", "new", "small")


def write_case(root: Path) -> None:
    """Write notebooks, a migration, its fast run and outputs to label; names as those of the demo."""
    notebooks, data, run = root / "notebooks", root / "data" / "practice", root / "runs" / "practice"
    notebooks.mkdir()
    data.mkdir(parents=True)
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        text = path.read_text("utf-8")
        assert "fast = False" in text
        (notebooks / path.name).write_text(text.replace("fast = False", "fast = True"), "utf-8")
    plan = write_texts(data)
    run_pipeline(plan, run, fast=True, progress=False)
    chosen = CliRunner().invoke(app, ["labels", str(plan), "--n", str(MORE_ITEMS), "--out", str(run / NEXT)])
    assert not chosen.exit_code, chosen.output


def write_texts(folder: Path) -> Path:
    """The tiny migration three times over, with a text for every item and output, and items that nobody judged yet."""
    plan = write_tiny(folder)
    first, said = pd.read_csv(folder / "items.csv"), pd.read_csv(folder / "scores.csv")
    twins = {name: f"r{name[1:]}" for name in first["item_id"]}
    more = said[said["rater_kind"] != "human"].assign(item_id=lambda rows: rows["item_id"].map(twins))
    items, scores = (pd.concat([rows.assign(item_id=rows["item_id"] + "abc"[time]) for time in range(TIMES)])
                     for rows in (first, said))
    # So many labels that probabilities decide; and the candidate so little better that the margin does.
    scores.loc[scores["item_id"].isin(["q06a", "q06b"]) & (scores["model"] == MODELS[0]), "value"] = 1
    items = pd.concat([items, first.assign(item_id=first["item_id"].map(twins))], ignore_index=True)
    items = items.assign(text=[f"Question {number}: where is my parcel?" for number in range(len(items))])
    items.to_csv(folder / "items.csv", index=False)
    pd.concat([scores, more]).to_csv(folder / "scores.csv", index=False)
    outputs = [(item, model, f"{model} says of {item}: it is on its way.") for item in items["item_id"]
               for model in MODELS]
    pd.DataFrame(outputs, columns=["item_id", "model", "text"]).to_csv(folder / "outputs.csv", index=False)
    # A margin and draws that put the probability near 99%, far from the 95% that are asked and the 99.9% that can be.
    changes = {"  scores: [": "  outputs: [{path: outputs.csv}]\n  scores: [", "margin: 0.05": "margin: 0.10",
               "why: 50 more": "why: 100 more", "draws: 100, tune: 100, chains: 2": "draws: 250, tune: 250, chains: 4"}
    text = plan.read_text("utf-8")
    for old, new in changes.items():
        assert old in text, f"the tiny plan no longer says {old!r}"
        text = text.replace(old, new)
    plan.write_text(text, "utf-8")
    return plan
