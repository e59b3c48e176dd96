import json
import os
import shutil
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest
from standins import DECISION, EVIL, opening, write_migration, write_notebook, write_notebooks
from typer.testing import CliRunner

import migration_kit
from migration_kit import cli
from migration_kit.manifest import STAGES
from migration_kit.run import open_run
from migration_kit.summary import verdict_line

ROOT = Path(migration_kit.__file__).parents[1]
CALL = "import sys; from migration_kit.cli import main; sys.argv[0] = 'migration-kit'; main()"


def call(*words):
    return CliRunner().invoke(cli.app, [str(word) for word in words])


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a plan in data/support, that commands start in."""
    write_migration(tmp_path / "data" / "support")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def pipeline(project, monkeypatch):
    """What the pipeline was asked for; instead of running it writes a decision whose verdict is `verdict`."""
    asked = types.SimpleNamespace(calls=[], verdict="switch", error=None)

    def run_pipeline(plan, folder, **options):
        asked.calls.append((plan, folder, options))
        if asked.error:
            raise asked.error
        folder = Path(folder).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "decision.json").write_text(json.dumps(DECISION | {"verdict": asked.verdict}))
        (folder / "manifest.json").write_text('{"stages": {}, "incumbent": "a-2025"}')
        return folder / "index.html"

    monkeypatch.setattr("migration_kit.pipeline.run_pipeline", run_pipeline)
    return asked


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A project run from the command line."""
    root = tmp_path_factory.mktemp("done")
    write_migration(root / "data" / "support")
    notebooks = write_notebooks(root / "notebooks")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setattr("migration_kit.pipeline.notebooks_folder", lambda: notebooks)
        result = call("run", "data/support")
    assert result.exit_code == 0, result.output
    return root, result


def test_run_ends_with_verdict_and_path(done):
    root, result = done
    assert result.stdout.splitlines() == [
        "verdict: switch to b-2026 (probability 97.0%)",
        f"report:  {Path('runs/support/index.html')}",
    ]
    assert [line.split()[0] for line in result.stderr.splitlines()] == list(STAGES)
    assert (root / "runs/support/index.html").is_file()


def test_render_makes_the_pages_again(done, tmp_path, monkeypatch):
    shutil.copytree(done[0] / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "runs/support/01_baseline/notebook.html"
    page.write_text("spoilt")
    result = call("render", "runs/support")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == f"report:  {Path('runs/support/index.html')}"
    assert "<h1>01_baseline</h1>" in page.read_text()
    assert call("render", tmp_path).exit_code == 2


def test_options_reach_the_pipeline(pipeline):
    options = ["--from", "03", "--fast", "--force", "--run-dir", "out", "--quiet"]
    result = call("run", "data/support/migration.yml", *options)
    assert result.exit_code == 0
    assert pipeline.calls == [
        (
            Path("data/support/migration.yml"),
            Path("out"),
            {"force": True, "from_stage": "03", "fast": True, "full": False, "progress": False},
        )
    ]
    assert call("run", "data/support", "--full").exit_code == 0
    assert pipeline.calls[-1][2]["full"] is True


@pytest.mark.parametrize(("verdict", "code"), [("switch", 0), ("keep", 3), ("collect", 3)])
def test_gate(pipeline, verdict, code):
    pipeline.verdict = verdict
    assert call("run", "data/support", "--gate").exit_code == code
    assert call("run", "data/support").exit_code == 0


def test_several_plans_run_one_after_another(project, pipeline):
    write_migration(project / "data" / "sales")
    assert call("run", "data/support", "data/sales/migration.yml").exit_code == 0
    assert [(plan, folder) for plan, folder, _ in pipeline.calls] == [
        (Path("data/support/migration.yml"), Path("runs/support")),
        (Path("data/sales/migration.yml"), Path("runs/sales")),
    ]


def test_a_plan_that_fails_does_not_stop_the_next(project, pipeline):
    write_migration(project / "data" / "sales")
    pipeline.error = migration_kit.InputError("no labels")
    result = call("run", "data/support", "data/sales")
    assert result.exit_code == 2
    assert len(pipeline.calls) == 2


def test_plans_may_not_share_a_run_folder(project, pipeline):
    shutil.copy(project / "data/support/migration.yml", project / "data/support/other.yml")
    for words in (["data/support", "data/support/other.yml"], ["data/support", "data/x", "--run-dir", "out"]):
        result = call("run", *words)
        assert result.exit_code == 2
        assert "--run-dir" in result.stderr
    assert pipeline.calls == []


def test_check_says_what_is_there_and_writes_nothing(project):
    before = sorted(project.rglob("*"))
    result = call("check", "data/support")
    assert result.exit_code == 0, result.output
    assert "incumbent  a-2025" in result.stdout
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["amer", "6", "50.0%", "50.0%"] in lines
    assert ["b-2026", "6", "100.0%"] in lines
    assert sorted(project.rglob("*")) == before


@pytest.mark.parametrize("command", ["check", "preview", "run"])
def test_bad_input_is_one_message_exit_2_and_nothing_written(project, command, monkeypatch):
    monkeypatch.setitem(sys.modules, "migration_kit.preview", types.SimpleNamespace(preview=None))
    monkeypatch.setattr("migration_kit.pipeline.notebooks_folder", lambda: write_notebooks(project / "notebooks"))
    (project / "data/support/scores.csv").write_text("item_id,modle\n")
    result = call(command, "data/support")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert "modle" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (project / "runs").exists()


@pytest.mark.parametrize("words", [("check", "nowhere.yml"), ("run", "data"), ("run", "data/support", "--from", "9")])
def test_a_wrong_argument_exits_with_2(project, words, monkeypatch):
    monkeypatch.setattr("migration_kit.pipeline.notebooks_folder", lambda: write_notebooks(project / "notebooks"))
    result = call(*words)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")


def test_a_failed_stage_exits_with_1(project, monkeypatch):
    notebooks = write_notebooks(project / "notebooks")
    write_notebook(notebooks / "01_baseline.ipynb", opening("01_baseline"), "1 / 0")
    monkeypatch.setattr("migration_kit.pipeline.notebooks_folder", lambda: notebooks)
    result = call("run", "data/support")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "error: 01_baseline failed in cell [4]: ZeroDivisionError: division by zero",
        f"see {Path('runs/support/01_baseline/notebook.ipynb')}",
    ]


def test_the_unexpected_is_one_line_unless_asked_for_more(pipeline, monkeypatch):
    pipeline.error = KeyError("x")
    result = call("run", "data/support")
    assert result.exit_code == 1
    assert result.stderr == "error: KeyError: 'x' (set MIGRATION_KIT_TRACEBACK=1 to see where)\n"
    monkeypatch.setenv("MIGRATION_KIT_TRACEBACK", "1")
    assert isinstance(call("run", "data/support").exception, KeyError)


def test_names_cannot_steer_the_terminal():
    assert cli.printable("a\x1b[31m\rb\nc – d") == "a\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}b\nc – d"


def test_preview_is_a_table(project, monkeypatch):
    row = {"quality": 0.8, "lower": 0.75, "upper": 0.85, "labels": 6}
    none = dict.fromkeys(["contrast", "contrast_lower", "contrast_upper", "prob_noninferior"])
    some = {"contrast": -0.021, "contrast_lower": -0.05, "contrast_upper": 0.01, "prob_noninferior": 0.7}
    models = [{"model": "a-2025", **row, **none}, {"model": EVIL, **row, **some}]
    part = {"criterion": "correct", "margin": 0.03, "models": models, "notes": []}
    answer = {"criteria": [part], "verdicts": {EVIL: "collect"}}
    module = types.SimpleNamespace(preview=lambda plan, data: answer)
    monkeypatch.setitem(sys.modules, "migration_kit.preview", module)
    result = call("preview", "data/support")
    assert result.exit_code == 0, result.output
    assert "correct (margin 3 points)" in result.stdout
    assert "75.0% to 85.0%" in result.stdout
    assert "−2.1  −5.0 to +1.0          0.70" in result.stdout
    assert f"{EVIL}  collect" in result.stdout


@pytest.mark.parametrize(
    ("decision", "line"),
    [
        (DECISION, "switch to b-2026 (probability 97.0%)"),
        ({"verdict": "keep", "candidate": None, "probability": None}, "keep a-2025"),
        (
            {"verdict": "collect", "candidate": "b", "probability": 0.7, "candidates": {"b": {"labels_needed": 120}}},
            "collect about 120 more labels for b (probability 70.0%)",
        ),
        ({"verdict": "collect", "candidate": None, "probability": 0.7}, "collect more labels (probability 70.0%)"),
        (
            {"verdict": "collect", "forced": {"candidate": "b"}},
            "collect more labels; if a choice must be made now, b is the least bad",
        ),
        ({"verdict": "keep", "forced": {"candidate": None}}, "keep a-2025"),
        ({}, "none; the run saved no decision"),
    ],
)
def test_verdict_line(decision, line):
    assert verdict_line(decision, incumbent="a-2025") == line


def test_help_names_every_command():
    result = call("--help")
    assert result.exit_code == 0
    for command in ("check", "preview", "run", "render"):
        assert command in result.stdout


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_an_interrupt_ends_run_and_kernel(project):
    notebooks = write_notebooks(project / "notebooks")
    code = "import os, time\nopen('started', 'w').write(str(os.getpid()))\ntime.sleep(600)"
    write_notebook(notebooks / "01_baseline.ipynb", code)
    patch = f"from migration_kit import pipeline as p; from pathlib import Path; folder = Path({str(notebooks)!r})"
    # A shell that runs the tests in the background hands down an ignored SIGINT.
    listening = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    patched = f"{listening}; {patch}; p.notebooks_folder = lambda: folder; {CALL}"
    process = subprocess.Popen(
        [sys.executable, "-c", patched, "run", "data/support"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        stderr=subprocess.PIPE,
        text=True,
    )
    started = project / "runs/support/01_baseline/started"
    deadline = time.monotonic() + 60
    while not (started.is_file() and started.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    kernel = int(started.read_text())
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told.splitlines()[-1] == "error: interrupted"
    assert "Traceback" not in told
    with pytest.raises(ProcessLookupError):
        os.kill(kernel, 0)


def test_a_first_look_opens_no_gate(pipeline):
    result = call("run", "data/support", "--gate", "--fast")
    assert result.exit_code == 2 and "first look" in result.output


def test_a_first_look_is_no_full_check(pipeline):
    result = call("run", "data/support", "--full", "--fast")
    assert result.exit_code == 2 and "first look" in result.output and pipeline.calls == []


def test_full_reaches_the_notebooks_and_outdates_every_stage(done, tmp_path, monkeypatch):
    shutil.copytree(done[0], tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("migration_kit.pipeline.notebooks_folder", lambda: tmp_path / "notebooks")
    executed = []

    def note(folder, job, *, progress):
        executed.append(job.parameters["full"])
        (folder / job.stage).mkdir()
        return 0.0

    monkeypatch.setattr("migration_kit.pipeline._execute", note)
    call("run", "data/support", "--full")
    assert executed == [True] * len(STAGES)


@pytest.mark.parametrize(("options", "end"), [({}, ""), ({"fast": True}, " --fast"), ({"full": True}, " --full")])
def test_the_command_to_repeat_a_run_holds_its_options(project, options, end):
    run = open_run("runs/support", plan="data/support/migration.yml", stage=STAGES[0], **options)
    assert run.manifest["command"] == f"migration-kit run data/support/migration.yml{end}"
    run.finish()
    assert run.manifest["stages"][STAGES[0]]["full"] is options.get("full", False)


def test_render_needs_executed_notebooks(tmp_path):
    (tmp_path / "manifest.json").write_text("{}", encoding="utf-8")
    result = call("render", str(tmp_path))
    assert result.exit_code == 2 and "no executed notebook" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]
