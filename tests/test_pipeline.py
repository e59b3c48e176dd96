import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from standins import DECISION, opening, write_migration, write_notebook, write_notebooks

from migration_kit import pipeline
from migration_kit.errors import InputError
from migration_kit.manifest import STAGES, read_manifest
from migration_kit.pipeline import StageError, find_stage, notebooks_folder, run_pipeline


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A project whose run is complete; tests work on copies of it."""
    root = tmp_path_factory.mktemp("done")
    write_migration(root / "data" / "support")
    write_notebooks(root / "notebooks")
    # The name of a standard module: a kernel that started here would import it instead.
    (root / "random.py").write_text("raise RuntimeError('imported from the working folder')")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        index = run_pipeline(
            "data/support/migration.yml", "runs/support", notebooks=root / "notebooks", progress=False
        )
    assert index == (root / "runs/support/index.html").resolve()
    return root


@pytest.fixture
def project(done, tmp_path, monkeypatch):
    root = tmp_path / "project"
    shutil.copytree(done, root)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def executed(monkeypatch):
    """The stages that papermill was asked for; nothing is executed."""
    stages = []

    def note(folder, job, *, progress):
        stages.append(job.stage)
        (folder / job.stage).mkdir()
        return 0.0

    monkeypatch.setattr(pipeline, "_execute", note)
    return stages


def run(project, **options):
    options = {"notebooks": project / "notebooks", "progress": False} | options
    return run_pipeline(project / "data/support/migration.yml", project / "runs/support", **options)


def failing_project(tmp_path, *code, parameters=None):
    """A project whose first notebook holds `code`."""
    write_migration(tmp_path / "data" / "support")
    notebooks = write_notebooks(tmp_path / "notebooks")
    more = {} if parameters is None else {"parameters": parameters}
    write_notebook(notebooks / f"{STAGES[0]}.ipynb", *code, **more)
    return tmp_path


def test_a_run_leaves_what_it_promises(done):
    folder = done / "runs/support"
    for stage in STAGES:
        assert {path.name for path in (folder / stage).iterdir()} == {"made.json", "notebook.ipynb", "notebook.html"}
    manifest = read_manifest(folder)
    assert list(manifest["stages"]) == list(STAGES)
    assert all(entry["digest"] and entry["page"] for entry in manifest["stages"].values())
    assert len({entry["digest"] for entry in manifest["stages"].values()}) == len(STAGES)
    assert json.loads((folder / "decision.json").read_text())["verdict"] == DECISION["verdict"]
    assert manifest["stages"]["01_baseline"]["facts"] == {"items": 12}


def test_unchanged_stages_are_skipped(project, executed, capsys):
    before = (project / "runs/support/manifest.json").read_bytes()
    run(project, progress=True)
    assert executed == []
    assert capsys.readouterr().err.count("unchanged, skipped") == 5
    assert (project / "runs/support/manifest.json").read_bytes() == before


def test_skipping_imports_no_notebook_library(project):
    code = (
        "import sys; from pathlib import Path; from migration_kit.pipeline import run_pipeline\n"
        "run_pipeline('data/support/migration.yml', 'runs/support', notebooks=Path('notebooks'))\n"
        "print({'papermill', 'nbconvert', 'pymc', 'arviz'} & set(sys.modules))"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(pipeline.__file__).parents[1])}
    command = [sys.executable, "-P", "-c", code]
    ran = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)
    assert ran.stdout.strip() == "set()", ran.stderr
    assert "Executing" not in ran.stderr


def change_margin(project):
    write_migration(project / "data/support", margin=0.05)


def change_data(project):
    path = project / "data/support/scores.csv"
    path.write_text(path.read_text().replace("i5,a-2025,correct,lead,human,1", "i5,a-2025,correct,lead,human,0"))


def change_notebook(project):
    write_notebook(project / "notebooks/03_calibration.ipynb", opening("03_calibration"), "run.finish()")


def lose_file(project):
    (project / "runs/support/02_candidates/made.json").unlink()


def lose_notebook(project):
    (project / "runs/support/05_report/notebook.ipynb").unlink()


def run_by_hand(project):
    path = project / "runs/support/manifest.json"
    manifest = json.loads(path.read_text())
    manifest["stages"]["04_validation"]["digest"] = None
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("change", "options", "first"),
    [
        (change_margin, {}, 1),
        (change_data, {}, 1),
        (change_notebook, {}, 3),
        (lose_file, {}, 2),
        (lose_notebook, {}, 5),
        (run_by_hand, {}, 4),
        (None, {"force": True}, 1),
        (None, {"fast": True}, 1),
        (None, {"from_stage": "04"}, 4),
        (lose_file, {"from_stage": "calibration"}, 2),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_is_outdated_runs_again_with_all_after_it(project, executed, change, options, first):
    if change:
        change(project)
    run(project, **options)
    assert executed == list(STAGES[first - 1 :])
    folder = project / "runs/support"
    assert list(read_manifest(folder)["stages"]) == list(STAGES[: first - 1]), "no entry outlives its files"
    assert not (folder / "decision.json").exists()


def test_changed_code_runs_everything_again(project, executed, monkeypatch):
    monkeypatch.setattr(pipeline, "code_digest", lambda: "other code")
    run(project)
    assert executed == list(STAGES)


def test_one_stage_runs_again_for_real(project):
    folder = project / "runs/support"
    before = read_manifest(folder)["stages"]
    run(project, from_stage="05")
    after = read_manifest(folder)["stages"]
    assert [stage for stage in STAGES if after[stage] != before[stage]] == ["05_report"]
    assert after["05_report"]["digest"] == before["05_report"]["digest"]
    assert (folder / "decision.json").is_file()


def test_a_failed_stage_says_where_and_leaves_its_notebook(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = failing_project(tmp_path, opening(STAGES[0]), 'run.finish()\nraise KeyError("a\\nb")')
    with pytest.raises(StageError) as failed:
        run(project)
    assert str(failed.value).splitlines() == [
        "01_baseline failed in cell [4]: KeyError: 'a\\nb'",
        f"see {Path('runs/support/01_baseline/notebook.ipynb')}",
    ]
    folder = tmp_path / "runs/support"
    assert read_manifest(folder)["stages"] == {}, "finish() does not count when something fails after it"
    assert (folder / "01_baseline/notebook.ipynb").is_file()
    assert "1 Baseline has not finished" in (folder / "index.html").read_text()


def test_a_stage_that_does_not_finish_failed(tmp_path):
    with pytest.raises(StageError, match=r"ended without run\.finish\(\)"):
        run(failing_project(tmp_path, opening(STAGES[0])))


def test_a_killed_kernel_is_a_failed_stage(tmp_path):
    project = failing_project(tmp_path, opening(STAGES[0]), "run.finish()", "import os; os._exit(9)")
    with pytest.raises(StageError, match="the kernel died"):
        run(project)
    assert read_manifest(tmp_path / "runs/support")["stages"] == {}


def test_invalid_input_found_in_a_notebook_is_told_as_such(tmp_path):
    code = 'from migration_kit import InputError\nraise InputError("scores.csv: no labels")'
    with pytest.raises(InputError, match=r"^scores\.csv: no labels$"):
        run(failing_project(tmp_path, code))


def test_unknown_parameters_are_refused_before_anything_is_written(tmp_path):
    project = failing_project(tmp_path, opening(STAGES[0]), parameters='run_dir = ""\nplan = ""')
    with pytest.raises(StageError, match="does not name fast"):
        run(project)
    assert not (tmp_path / "runs").exists()


def test_bad_input_writes_nothing(tmp_path):
    project = failing_project(tmp_path, "1")
    (tmp_path / "data/support/scores.csv").write_text("")
    with pytest.raises(InputError, match=r"scores\.csv"):
        run(project)
    assert not (tmp_path / "runs").exists()


def test_bad_input_leaves_the_former_run_as_it_was(project, executed):
    (project / "data/support/scores.csv").write_text("")
    folder = project / "runs/support"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(InputError):
        run(project)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_folder_that_holds_something_else_is_refused(tmp_path):
    project = failing_project(tmp_path, "1")
    (tmp_path / "runs/support").mkdir(parents=True)
    (tmp_path / "runs/support/thesis.txt").write_text("dear")
    with pytest.raises(InputError, match=r"not a run folder \(it holds 'thesis.txt'\)"):
        run(project)


def test_the_kernel_is_this_interpreter(tmp_path, monkeypatch):
    elsewhere = tmp_path / "jupyter/kernels/python3"
    elsewhere.mkdir(parents=True)
    (elsewhere / "kernel.json").write_text('{"argv": ["/bin/false"], "display_name": "x", "language": "python"}')
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    code = "import sys, migration_kit\nraise SystemError(f'{sys.executable} {migration_kit.__file__}')"
    with pytest.raises(StageError) as failed:
        run(failing_project(tmp_path, code))
    assert f"SystemError: {sys.executable} {Path(pipeline.__file__).with_name('__init__.py')}" in str(failed.value)


def test_braces_in_a_path_are_only_braces(tmp_path):
    project = failing_project(tmp_path / "a {b} c", "raise SystemError('reached')")
    with pytest.raises(StageError, match="SystemError: reached"):
        run(project)


@pytest.mark.parametrize("text", ["03", "3", "calibration", "03_calibration", "Calibration"])
def test_a_stage_is_found_by_number_or_name(text):
    assert find_stage(text) == "03_calibration"


def test_an_unknown_stage_is_refused(project):
    with pytest.raises(InputError, match="'06' is not a stage; expected one of 01_baseline"):
        run(project, from_stage="06")


def test_notebooks_are_those_of_the_checkout_else_those_shipped(tmp_path, monkeypatch):
    package = tmp_path / "migration_kit"
    package.mkdir()
    monkeypatch.setattr(pipeline, "PACKAGE", package)
    with pytest.raises(StageError, match="notebooks are missing"):
        notebooks_folder()
    shipped = write_notebooks(package / "_notebooks")
    assert notebooks_folder() == shipped
    checkout = write_notebooks(tmp_path / "notebooks")
    assert notebooks_folder() == checkout
