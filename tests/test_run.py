import json
import os
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from standins import DECISION, EVIL, write_migration

from migration_kit.errors import InputError
from migration_kit.estimates import ESTIMATE_COLUMNS, collect_estimates
from migration_kit.files import plain, read_file, write_file
from migration_kit.manifest import STAGES, discard, git_commit, read_manifest, repeat_command, shown_paths
from migration_kit.plan import load_plan
from migration_kit.run import last_decision, open_run


@pytest.fixture
def plan(tmp_path):
    return write_migration(tmp_path / "data" / "support")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "runs" / "support"


def open_stage(folder, plan, number, **options):
    return open_run(folder, plan=str(plan), stage=STAGES[number - 1], **options)


def finish_stages(folder, plan, last):
    for number in range(1, last + 1):
        open_stage(folder, plan, number).finish()


def estimates(layer, model="b-2026", mean=0.5):
    row = dict.fromkeys(ESTIMATE_COLUMNS, 0.0) | {
        "layer": layer, "criterion": "correct", "model": model, "slice": "all", "quantity": "quality",
        "method": "raw", "metric": "judge-x", "n_labels": 6, "mean": mean,
    }  # fmt: skip
    return pd.DataFrame([row])


def test_stage_01_lays_out_the_run(folder, plan):
    run = open_stage(folder, plan, 1)
    assert (folder / "plan.yml").read_bytes() == plan.read_bytes()
    assert run.data.items["item_id"].tolist() == [f"i{n}" for n in range(12)]
    assert run.manifest["run"] == "support"
    assert run.manifest["plan"] == "data/support/migration.yml"
    assert run.manifest["command"] == "migration-kit run data/support/migration.yml"
    assert run.manifest["plan_digest"] == run.plan.digest
    assert run.manifest["candidates"] == ["b-2026", EVIL]
    assert run.manifest["stages"] == {}


def test_bad_data_write_nothing(folder, plan):
    (plan.parent / "scores.csv").write_text("item_id,modle\n")
    with pytest.raises(InputError, match="modle"):
        open_stage(folder, plan, 1)
    assert not folder.exists()


def test_finish_is_what_makes_a_stage_count(folder, plan):
    run = open_stage(folder, plan, 1, fast=True)
    run.save("made.json", {"x": 1})
    assert "1 file written" in run.finish(items=np.int64(12), day=date(2026, 9, 1))
    entry = read_manifest(folder)["stages"]["01_baseline"]
    assert entry["status"] == "finished"
    assert entry["fast"] is True
    assert entry["digest"] is None
    assert entry["files"] == ["01_baseline/made.json"]
    assert entry["facts"] == {"items": 12, "day": "2026-09-01"}


def test_a_stage_opened_again_no_longer_counts(folder, plan):
    finish_stages(folder, plan, 2)
    open_stage(folder, plan, 1)
    assert list(read_manifest(folder)["stages"]) == ["02_candidates"]
    with pytest.raises(InputError, match="01_baseline has not finished"):
        open_stage(folder, plan, 2)


def test_a_later_stage_needs_the_earlier_ones(folder, plan):
    with pytest.raises(InputError, match=r"no run here; run the notebook 01_baseline\.ipynb"):
        open_stage(folder, plan, 2)
    finish_stages(folder, plan, 1)
    with pytest.raises(InputError, match="02_candidates has not finished, 03_calibration reads its files"):
        open_stage(folder, plan, 3)


def test_a_changed_plan_or_data_is_noticed(folder, plan):
    finish_stages(folder, plan, 1)
    write_migration(plan.parent, margin=0.05)
    with pytest.raises(InputError, match="the plan changed since 01_baseline read it"):
        open_stage(folder, plan, 2)
    write_migration(plan.parent)
    open_stage(folder, plan, 2)
    scores = plan.parent / "scores.csv"
    scores.write_text(scores.read_text().replace("i5,a-2025,correct,lead,human,1", "i5,a-2025,correct,lead,human,0"))
    with pytest.raises(InputError, match="the data changed since 01_baseline read it"):
        open_stage(folder, plan, 2)


def test_new_inputs_forget_what_rests_on_the_old(folder, plan):
    finish_stages(folder, plan, 2)
    run = open_stage(folder, plan, 3)
    run.add_estimates(estimates("offline"))
    run.finish()
    write_migration(plan.parent, margin=0.05)
    open_stage(folder, plan, 1)
    assert read_manifest(folder)["stages"] == {}
    assert not (folder / "estimates.parquet").exists()


def test_margins_moved_after_results_were_read_are_disclosed(folder, plan):
    finish_stages(folder, plan, 1)
    write_migration(plan.parent, margin=0.04)
    assert open_stage(folder, plan, 1).plan_changes == [], "nobody had seen a result of the first plan"
    open_stage(folder, plan, 1).finish()
    open_stage(folder, plan, 2)
    write_migration(plan.parent, margin=0.05)
    changes = open_stage(folder, plan, 1).plan_changes
    assert len(changes) == 1
    assert "margin of correct 0.04 → 0.05" in changes[0]


def test_a_stage_that_rests_on_few_draws_is_fast_itself(folder, plan):
    open_stage(folder, plan, 1, fast=True).finish()
    assert not open_stage(folder, plan, 2).fast, "stage 01 draws nothing"
    open_stage(folder, plan, 2).finish()
    open_stage(folder, plan, 3, fast=True).finish()
    assert open_stage(folder, plan, 4).fast
    open_stage(folder, plan, 4).finish()
    assert read_manifest(folder)["stages"]["04_validation"]["fast"]
    assert read_manifest(folder)["command"].endswith("--fast")
    open_stage(folder, plan, 3).finish()
    assert not open_stage(folder, plan, 4).fast


def test_the_last_decision_counts_for_its_own_plan_and_data_only(folder, plan):
    run = open_stage(folder, plan, 1)
    assert run.last_decision is None
    run.save_decision(DECISION)
    assert run.last_decision["verdict"] == DECISION["verdict"]
    assert last_decision(folder, run.plan) == run.last_decision
    write_migration(plan.parent, margin=0.05)
    assert open_stage(folder, plan, 1).last_decision is None
    write_migration(plan.parent)
    scores = plan.parent / "scores.csv"
    scores.write_text(scores.read_text().replace("i5,a-2025,correct,lead,human,1", "i5,a-2025,correct,lead,human,0"))
    assert last_decision(folder, load_plan(plan)) is None


def test_data_already_laid_out_are_not_read_again(folder, plan, monkeypatch):
    open_stage(folder, plan, 1)
    monkeypatch.setattr("migration_kit.layout.load_data", lambda plan: pytest.fail("read again"))
    open_stage(folder, plan, 1)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.parquet", pd.DataFrame({"a": [1, 2], "b": ["x", None]})),
        ("x.json", {"a": [1, None], "b": {"c": "2026-09-01"}}),
        ("x.nc", xr.Dataset({"a": ("item", [1.0, 2.0]), "name": ("item", ["x", "y"])})),
        ("x.nc", xr.DataTree.from_dict({"/posterior": xr.Dataset({"a": ("draw", np.arange(3.0))})})),
    ],
    ids=["parquet", "json", "dataset", "tree"],
)
def test_files_come_back_as_they_were_saved(folder, plan, name, content):
    run = open_stage(folder, plan, 1)
    path = run.save(name, content)
    assert path == folder / "01_baseline" / name
    back = run.load(f"01_baseline/{name}")
    if isinstance(content, pd.DataFrame):
        pd.testing.assert_frame_equal(back, content)
    elif isinstance(content, dict):
        assert back == content
    else:
        assert type(back) is type(content)
        assert back.equals(content)
    assert [file.name for file in path.parent.iterdir()] == [name], "no temporary file stays"


def test_json_holds_no_numbers_that_json_lacks():
    numbers = {"n": np.float64("nan"), "i": float("inf"), "a": np.array([1, 2]), "t": pd.NaT, "b": np.bool_(True)}
    assert plain(numbers) == {"n": None, "i": None, "a": [1, 2], "t": None, "b": True}
    with pytest.raises(TypeError, match="object"):
        plain({"x": object()})


def test_a_failed_write_leaves_the_former_file(tmp_path):
    path = write_file(tmp_path / "x.json", {"a": 1})
    with pytest.raises(TypeError):
        write_file(path, {"a": object()})
    assert read_file(path) == {"a": 1}
    assert os.listdir(tmp_path) == ["x.json"]


def test_load_says_what_to_run(folder, plan):
    finish_stages(folder, plan, 2)
    run = open_stage(folder, plan, 3)
    with pytest.raises(InputError, match=r"run the notebook 02_candidates\.ipynb first"):
        run.load("02_candidates/x.json")
    with pytest.raises(ValueError, match="later stage"):
        run.load("05_report/x.json")


@pytest.mark.parametrize("name", ["../x.json", "a/x.json", ".x.json", "x.csv"])
def test_only_plain_names_of_known_kinds_are_saved(folder, plan, name):
    with pytest.raises(ValueError, match=r"plain file name|suffix"):
        open_stage(folder, plan, 1).save(name, {})


def test_estimates_of_a_layer_replace_the_former_ones(folder, plan):
    finish_stages(folder, plan, 2)
    for mean in (0.5, 0.6):
        run = open_stage(folder, plan, 3)
        run.add_estimates(estimates("offline", mean=mean))
        run.add_estimates(estimates("other", mean=mean))
        run.finish()
    run = open_stage(folder, plan, 4)
    run.add_estimates(estimates("traffic", mean=0.7))
    found = run.estimates()
    assert found[["layer", "mean"]].values.tolist() == [["offline", 0.6], ["other", 0.6], ["traffic", 0.7]]
    assert tuple(found.columns) == ESTIMATE_COLUMNS


def test_estimates_go_with_their_stage(folder, plan):
    finish_stages(folder, plan, 2)
    run = open_stage(folder, plan, 3)
    run.add_estimates(estimates("offline"))
    run.finish()
    open_stage(folder, plan, 4).add_estimates(estimates("traffic"))
    discard(folder, STAGES[3:])
    collect_estimates(folder)
    assert pd.read_parquet(folder / "estimates.parquet")["layer"].tolist() == ["offline"]


def test_estimates_are_checked(folder, plan):
    run = open_stage(folder, plan, 1)
    with pytest.raises(ValueError, match="n_labels"):
        run.add_estimates(estimates("offline").drop(columns="n_labels"))
    with pytest.raises(ValueError, match=r"more than one row for .*'offline'"):
        run.add_estimates(pd.concat([estimates("offline"), estimates("offline")]))


def test_decision_carries_the_digests(folder, plan):
    run = open_stage(folder, plan, 1)
    decision = json.loads(run.save_decision(DECISION).read_text())
    assert decision["verdict"] == "switch"
    assert decision["plan_digest"] == run.plan.digest
    with pytest.raises(ValueError, match="'maybe'"):
        run.save_decision({**DECISION, "verdict": "maybe"})
    with pytest.raises(ValueError, match="alarms"):
        run.save_decision({"verdict": "keep"})


def test_an_unknown_stage_is_refused(folder, plan):
    with pytest.raises(ValueError, match="'06_ramp' is not one of"):
        open_run(folder, plan=plan, stage="06_ramp")


def test_the_report_shows_paths_from_the_project(tmp_path):
    plan = tmp_path / "data" / "x" / "migration.yml"
    assert shown_paths(plan, tmp_path / "runs" / "x") == ("data/x/migration.yml", "runs/x")
    assert repeat_command(plan, tmp_path / "my runs") == (
        "migration-kit run data/x/migration.yml --run-dir 'my runs'"
    )
    assert shown_paths(Path("/a/x.yml"), Path("/b/x")) == ("/a/x.yml", "/b/x")


def test_no_commit_outside_a_checkout(tmp_path):
    assert git_commit(tmp_path) is None
