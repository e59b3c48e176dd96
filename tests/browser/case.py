"""A small migration with texts, laid out as the project is, so that the notebooks run as they are committed."""

from pathlib import Path

import pandas as pd
from conftest import ROOT, write_tiny
from typer.testing import CliRunner

from migration_kit.cli import app
from migration_kit.label_files import NEXT
from migration_kit.pipeline import run_pipeline

MORE_ITEMS = 12
MODELS = ("old", "new", "small")


def write_case(root: Path) -> None:
    """Write notebooks, a migration, its fast run and outputs to label; names as those of the demo."""
    notebooks, data, run = root / "notebooks", root / "data" / "sentiment", root / "runs" / "sentiment"
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
    """The tiny migration with a text for every item and output, and items that nobody judged yet."""
    plan = write_tiny(folder)
    items, scores = pd.read_csv(folder / "items.csv"), pd.read_csv(folder / "scores.csv")
    twins = {name: f"r{name[1:]}" for name in items["item_id"]}
    more = scores[scores["rater_kind"] != "human"].assign(item_id=lambda rows: rows["item_id"].map(twins))
    items = pd.concat([items, items.assign(item_id=items["item_id"].map(twins))], ignore_index=True)
    items = items.assign(text=[f"Question {number}: where is my parcel?" for number in range(len(items))])
    items.to_csv(folder / "items.csv", index=False)
    pd.concat([scores, more]).to_csv(folder / "scores.csv", index=False)
    outputs = [(item, model, f"{model} says of {item}: it is on its way.") for item in items["item_id"]
               for model in MODELS]
    pd.DataFrame(outputs, columns=["item_id", "model", "text"]).to_csv(folder / "outputs.csv", index=False)
    text = plan.read_text("utf-8").replace("  scores: [", "  outputs: [{path: outputs.csv}]\n  scores: [")
    plan.write_text(text, "utf-8")
    return plan
