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
    # Every output is judged, so quality must lie beside the share of good judgments.
    estimates = pd.read_parquet(run / "estimates.parquet").query("layer == 'offline' and slice == 'all'")
    quality = estimates[estimates["quantity"] == "quality"].pivot_table(index="model", columns="method", values="mean")
    assert (quality["calibrated"] - quality["labels_only"]).abs().max() < 0.02
    assert (quality["corrected"] - quality["labels_only"]).abs().max() < 0.02
