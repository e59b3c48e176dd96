"""The command line: check, preview, run, labels, render and sign.

Exit codes: 0 ran, 1 a stage failed, 2 plan or data invalid, 3 with `--gate` when the verdict is not switch.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from migration_kit.errors import InputError

if TYPE_CHECKING:
    from migration_kit.plan import Plan

FAILED, INVALID, NOT_SWITCHED, INTERRUPTED = 1, 2, 3, 130
PLAN_NAME = "migration.yml"
TRACEBACK = "MIGRATION_KIT_TRACEBACK"

app = typer.Typer(
    help="Decide with evidence whether a candidate model may replace the incumbent in production.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
PlanPath = Annotated[Path, typer.Argument(metavar="PLAN", help=f"Plan file, or a folder that holds {PLAN_NAME}.")]


def main() -> None:
    """Entry point of the console script."""
    app()


@app.command()
def check(plan: PlanPath) -> None:
    """Check plan and data and say what is there; writes nothing."""
    with _exit_codes():
        from migration_kit.data import load_data
        from migration_kit.plan import load_plan
        from migration_kit.summary import summary

        spec = load_plan(_plan_file(plan))
        _say(summary(spec, load_data(spec)))


@app.command()
def preview(plan: PlanPath) -> None:
    """Answer in seconds from labels and metric verdicts, without the calibration model; writes nothing."""
    with _exit_codes():
        from migration_kit.data import load_data
        from migration_kit.plan import load_plan
        from migration_kit.preview import preview as look_ahead
        from migration_kit.summary import preview_text

        spec = load_plan(_plan_file(plan))
        _say(preview_text(look_ahead(spec, load_data(spec)), spec))


@app.command()
def run(
    plans: Annotated[list[Path], typer.Argument(metavar="PLAN", help=f"Plan files, or folders that hold {PLAN_NAME}.")],
    run_dir: Annotated[
        Path | None, typer.Option(help="Run folder of a single plan.", show_default="runs/<name of the plan's folder>")
    ] = None,
    from_stage: Annotated[
        str | None, typer.Option("--from", metavar="STAGE", help='Run again from this stage on, e.g. "03".')
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Run every stage again.")] = False,
    fast: Annotated[bool, typer.Option("--fast", help="Fewer draws: a first look, and the report says so.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="More checks: fit again without some labels and with other priors.")
    ] = False,
    gate: Annotated[bool, typer.Option("--gate", help="Exit with 3 unless the verdict is switch.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only verdict and path.")] = False,
) -> None:
    """Run the five notebooks and render the report; stages that are up to date are skipped."""
    codes = []
    with _exit_codes():
        if fast and gate:
            raise InputError("--gate needs a run to decide on, and --fast is only a first look; leave one of them out")
        if fast and full:
            raise InputError("--full asks for every check, and --fast is only a first look; leave one of them out")
        folders = _run_folders(plans, run_dir)
    for plan, folder in zip(plans, folders, strict=True):
        try:
            with _exit_codes():
                from migration_kit.pipeline import run_pipeline

                if len(plans) > 1 and not quiet:
                    typer.echo(f"{plan}", err=True)
                index = run_pipeline(
                    _plan_file(plan), folder, force=force, from_stage=from_stage, fast=fast, full=full,
                    progress=not quiet,
                )
                if not _report(index) and gate:
                    codes.append(NOT_SWITCHED)
        except typer.Exit as stopped:
            if stopped.exit_code == INTERRUPTED:
                raise
            codes.append(stopped.exit_code)
    # Invalid input outranks a failed stage, which outranks a gate that did not open.
    raise typer.Exit(next((code for code in (INVALID, FAILED, NOT_SWITCHED) if code in codes), 0))


@app.command()
def labels(
    plan: PlanPath,
    out: Annotated[Path, typer.Option(metavar="FILE", help="CSV file to write; the others stand beside it.")],
    n: Annotated[int | None, typer.Option(min=1, help="Items that people should judge next.")] = None,
    criterion: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="What to ask; may be repeated.", show_default="all gates")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Candidates to ask about; may be repeated.",
                                       show_default="those that may still replace the incumbent")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Equal seeds draw equal items.", show_default="the plan's")
    ] = None,
    collect: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Bring the answers to this file's tasks in.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option("--from", metavar="EXPORT", help="With --collect: Label Studio's JSON export.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over files of that name.")] = False,
) -> None:
    """Choose the outputs people should judge next and write blind tasks; or collect the answers as scores."""
    with _exit_codes():
        from migration_kit.plan import load_plan

        asked = {"--n": n, "--criterion": criterion, "--model": model, "--seed": seed}
        given = [name for name, value in asked.items() if value not in (None, [])]
        if collect and given:
            raise InputError(f"--collect brings answers in, and {given[0]} chooses tasks; leave one of them out")
        if not collect and (n is None or export):
            raise InputError("--from belongs to --collect FILE, the tasks it answers" if export else
                             "--n N is missing: how many items should people judge next? (or --collect FILE, to bring "
                             "answers in)")
        spec = load_plan(_plan_file(plan))
        _say(_collected(spec, plan, collect, export, out, force) if collect else
             _chosen(spec, plan, out, force, n=n, seed=seed, criteria=criterion or (), models=model or ()))


@app.command()
def render(run_dir: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")]) -> None:
    """Make the HTML pages of a run again from its executed notebooks."""
    with _exit_codes():
        from migration_kit.render import NOTEBOOK, render_run

        if not any(run_dir.glob(f"*/{NOTEBOOK}")) and (run_dir / "manifest.json").is_file():
            raise InputError(f"{run_dir}: holds no executed notebook to render; papermill must write each to "
                             f"{run_dir.name}/<stage>/{NOTEBOOK}")
        _report(render_run(run_dir.resolve(), force=True))


@app.command()
def sign(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")],
    role: Annotated[str, typer.Option("--as", metavar="ROLE", help="Who signs: the owner, or a stakeholder.")],
    decision: Annotated[str, typer.Option(metavar="approve|reject", help="What the role says to the verdict.")],
    name: Annotated[str | None, typer.Option(help="Name of the person who signs.")] = None,
    comment: Annotated[str | None, typer.Option(help="Shown beside the signature.")] = None,
) -> None:
    """Sign the verdict of a run; a later change of plan, data or verdict voids the signature."""
    with _exit_codes():
        from migration_kit.render import render_run
        from migration_kit.signoff import sign as add_signature

        folder = run_dir.resolve()
        signature = add_signature(folder, role=role, decision=decision, name=name, comment=comment)
        index = render_run(folder)
        _say(f"signed:  {signature['role']} {'approves' if decision == 'approve' else 'rejects'}")
        _report(index)


@contextmanager
def _exit_codes() -> Iterator[None]:
    """Turn what went wrong into one message on stderr and an exit code."""
    try:
        yield
    except typer.Exit:
        raise
    except InputError as error:
        _fail(str(error), INVALID)
    except KeyboardInterrupt:
        _fail("interrupted", INTERRUPTED)
    except OSError as error:
        if os.environ.get(TRACEBACK):
            raise
        _fail(f"{error.filename or 'a file'}: {error.strerror or error}; choose a place that can be written to", FAILED)
    except Exception as error:
        if os.environ.get(TRACEBACK):
            raise
        from migration_kit.pipeline import StageError

        expected = isinstance(error, StageError)
        hint = "" if expected else f" (set {TRACEBACK}=1 to see where)"
        _fail(str(error) if expected else f"{type(error).__name__}: {error}{hint}", FAILED)


def _chosen(
    spec: "Plan", plan: Path, out: Path, force: bool, *, n: int, seed: int | None, criteria: Sequence[str],
    models: Sequence[str],
) -> str:
    """Choose the next items and write their tasks; returns what to say of them."""
    from migration_kit.data import load_data
    from migration_kit.features import build_features
    from migration_kit.label_prospects import next_labels
    from migration_kit.label_tasks import task_files, write_tasks
    from migration_kit.label_text import labels_text
    from migration_kit.manifest import default_run_dir
    from migration_kit.requirements import check_requirements
    from migration_kit.run import last_decision

    seed = spec.sampling.seed if seed is None else seed
    names = [*(spec.criterion(one).id for one in criteria), *(one.id for one in spec.criteria if one.role != "monitor")]
    for one in models:
        if spec.model(one).id == spec.incumbent:
            raise InputError(f"--model {one}: is the incumbent, who is judged beside every candidate; leave it out")
    data = load_data(spec)
    features = {name: build_features(data, spec, name) for name in dict.fromkeys(names)}
    found = next_labels(spec, data, features, check_requirements(spec, data), n=n, seed=seed, criteria=criteria,
                        models=models)
    tasks = write_tasks(spec, data, found.plan, out, seed=seed, force=force)
    return labels_text(found, spec, data, wanted=n, tasks=tasks, files=task_files(out), plan_path=plan,
                       decision=last_decision(default_run_dir(_plan_file(plan)), spec))


def _collected(spec: "Plan", plan: Path, tasks: Path, export: Path | None, out: Path, force: bool) -> str:
    """Bring answers in; returns what to say of them."""
    from migration_kit.label_collect import collect_answers, write_collected
    from migration_kit.label_tasks import task_files
    from migration_kit.label_text import collected_text

    found = collect_answers(spec, tasks, export=export)
    write_collected(spec, found, tasks, out, force=force)
    return collected_text(found, spec, out=out, inclusion=task_files(tasks).inclusion, plan_path=plan)


def _fail(message: str, code: int) -> None:
    typer.echo(f"error: {printable(message)}", err=True)
    raise typer.Exit(code)


def printable(text: str) -> str:
    """`text` without the control characters by which a name from the data could steer the terminal."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "\N{REPLACEMENT CHARACTER}" for sign in text)


def _say(text: str) -> None:
    typer.echo(printable(text))


def _plan_file(path: Path) -> Path:
    return path / PLAN_NAME if path.is_dir() else path


def _run_folders(plans: Sequence[Path], run_dir: Path | None) -> list[Path]:
    from migration_kit.manifest import default_run_dir

    if run_dir is not None and len(plans) > 1:
        raise InputError("--run-dir names one folder; give one plan, or leave it out")
    folders = [run_dir or default_run_dir(_plan_file(plan)) for plan in plans]
    for number, folder in enumerate(folders):
        if folder in folders[:number]:
            first = plans[folders.index(folder)]
            raise InputError(f"{first} and {plans[number]} would share the run folder {folder}; use --run-dir for each")
    return folders


def _report(index: Path) -> bool:
    """Print verdict and path; returns whether the verdict is switch."""
    from migration_kit.files import read_file
    from migration_kit.manifest import read_manifest
    from migration_kit.pipeline import near
    from migration_kit.summary import verdict_line

    path = index.parent / "decision.json"
    decision = read_file(path) if path.is_file() else {}
    _say(f"verdict: {verdict_line(decision, incumbent=(read_manifest(index.parent) or {}).get('incumbent', ''))}")
    _say(f"report:  {near(index)}")
    sys.stdout.flush()
    return decision.get("verdict") == "switch"
