"""The plans that read the reference data as they lie, run from end to end with few draws."""

import json

import pandas as pd
import pytest
from conftest import ROOT

from migration_kit.pipeline import run_pipeline


@pytest.mark.parametrize("name", ["openqa", "triviaqa"])
def test_reference_data_run_end_to_end(name, shared_data, tmp_path):
    plan = (ROOT / "tests" / "plans" / f"{name}.yml").read_text(encoding="utf-8")
    assert "sampling:" not in plan and "../../../shared/data" in plan
    path = tmp_path / "migration.yml"
    path.write_text(plan.replace("../../../shared/data", str(shared_data))
                    + "\nsampling: {draws: 100, tune: 200, chains: 2, seed: 1}\n", encoding="utf-8")
    run = run_pipeline(path, tmp_path / name, progress=False).parent
    assert {page.parent.name for page in run.glob("*/notebook.html")} == {
        "01_baseline", "02_candidates", "03_calibration", "04_validation", "05_report"}
    assert json.loads((run / "decision.json").read_text(encoding="utf-8"))["verdict"] in {"switch", "keep", "collect"}
    # Every output is judged, so quality must lie beside the share of good judgments, where a model has all its outputs:
    # an absent output is predicted from what the other models made of the item.
    estimates = pd.read_parquet(run / "estimates.parquet").query("layer == 'offline' and slice == 'all'")
    quality = estimates[estimates["quantity"] == "quality"].pivot_table(index="model", columns="method", values="mean")
    n_items = len(pd.read_parquet(run / "data" / "items.parquet"))
    judged = estimates[(estimates["quantity"] == "quality") & (estimates["method"] == "labels_only")]
    whole = judged.loc[judged["n_labels"] > 0.98 * n_items, "model"]
    assert len(whole) >= 1
    for method in ("calibrated", "corrected"):
        assert (quality[method] - quality["labels_only"]).loc[whole].abs().max() < 0.02
