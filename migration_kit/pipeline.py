"""The five notebooks in sequence: papermill runs them, the manifest says which may be skipped, `render` shows them."""

import hashlib
import json
import os
import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from migration_kit.data import data_digest
from migration_kit.errors import InputError
from migration_kit.manifest import STAGES, code_digest, discard, read_manifest, update_manifest
from migration_kit.plan import Plan, load_plan
from migration_kit.render import NOTEBOOK, render_run

PACKAGE = Path(__file__).parent


class StageError(RuntimeError):
    """A stage failed; its notebook is kept for inspection."""


@dataclass(frozen=True)
class Job:
    """What a stage needs to run: its notebook, the parameters passed to it, the digest of all that it depends on."""

    stage: str
    notebook: Path
    parameters: dict[str, object]
    digest: str


def notebooks_folder() -> Path:
    """Where the five notebooks are: the source checkout's `notebooks/`, else the copies shipped with the package."""
    for folder in (PACKAGE.parent / "notebooks", PACKAGE / "_notebooks"):
        if (folder / f"{STAGES[0]}.ipynb").is_file():
            return folder
    raise StageError(f"{PACKAGE}: the notebooks are missing; install the package again")


def run_pipeline(
    plan_path: str | Path,
    run_dir: str | Path,
    *,
    force: bool = False,
    from_stage: str | None = None,
    fast: bool = False,
    full: bool = False,
    progress: bool = True,
    notebooks: Path | None = None,
) -> Path:
    """Run the stages that are not up to date and render the run.

    A stage is up to date when plan, data, code, notebook, `fast`, `full` and every stage before it are as they were
    when it finished, and its files are there. Once one stage runs, all after it run too, since they read its files.

    Parameters
    ----------
    plan_path, run_dir : str or Path
    force : bool
        Run every stage.
    from_stage : str, optional
        Run this stage and all after it, as `find_stage` understands it.
    fast : bool
        Passed to every notebook: fewer draws.
    full : bool
        Passed to every notebook: stage 04 also fits again without some labels and with other priors.
    progress : bool
        Say on stderr what is done, with a bar where stderr is a terminal.
    notebooks : Path, optional
        Folder of the five notebooks, default `notebooks_folder()`.

    Returns
    -------
    Path
        The run's index.html.

    Raises
    ------
    InputError
        When plan or data are invalid, or both `fast` and `full` are asked for; nothing is written then.
    StageError
        When a stage fails; the manifest holds no entry for it.
    """
    if fast and full:
        raise InputError("full asks for every check, and fast is only a first look; leave one of them out")
    plan, folder = load_plan(plan_path), Path(run_dir).resolve()
    jobs = _jobs(plan, folder, fast=fast, full=full, notebooks=notebooks or notebooks_folder())
    fresh = 0 if force else _count_fresh(folder, jobs)
    start = fresh if from_stage is None else min(fresh, STAGES.index(find_stage(from_stage)))
    tell = _tell if progress else _silent
    for job in jobs[:start]:
        tell(f"{job.stage:<15} unchanged, skipped")
    if start < len(jobs):
        _require_run_folder(folder)
        _require_parameters(jobs[start:])
        _prepare(plan, folder, jobs[start:])
        try:
            for job in jobs[start:]:
                seconds = _execute(folder, job, progress=progress)
                tell(f"{job.stage:<15} {seconds:.1f} s")
        except (StageError, InputError):
            # What has finished can be read while the cause is looked for.
            render_run(folder)
            raise
    return render_run(folder)


def find_stage(text: str) -> str:
    """The stage meant by "03", "3", "calibration" or "03_calibration".

    Raises
    ------
    InputError
        When it is none of them.
    """
    for number, stage in enumerate(STAGES, start=1):
        if text.strip().lower() in (str(number), stage, *stage.split("_")):
            return stage
    raise InputError(f"{text!r} is not a stage; expected one of {', '.join(STAGES)}")


def stage_digest(
    notebook: Path, *, plan: str, data: str, code: str, fast: bool, full: bool, before: Sequence[str]
) -> str:
    """SHA-256 of all that a stage's files depend on.

    Parameters
    ----------
    notebook : Path
        The stage's notebook, its prose and metadata included.
    plan, data, code : str
        Digests of the plan, of the data and of the package.
    fast, full : bool
    before : sequence of str
        Digests of the stages before, in order.
    """
    source = hashlib.sha256(notebook.read_bytes()).hexdigest()
    return hashlib.sha256(json.dumps([source, plan, data, code, fast, full, *before]).encode()).hexdigest()


def _jobs(plan: Plan, folder: Path, *, fast: bool, full: bool, notebooks: Path) -> list[Job]:
    digests = {"plan": plan.digest, "data": data_digest(plan), "code": code_digest()}
    parameters = {"run_dir": str(folder), "plan": str(plan.path.resolve()), "fast": fast, "full": full}
    jobs = []
    for stage in STAGES:
        notebook = notebooks / f"{stage}.ipynb"
        if not notebook.is_file():
            raise StageError(f"{notebook}: the notebook of {stage} is missing")
        digest = stage_digest(notebook, **digests, fast=fast, full=full, before=[job.digest for job in jobs])
        jobs.append(Job(stage=stage, notebook=notebook, parameters=parameters, digest=digest))
    return jobs


def _count_fresh(folder: Path, jobs: list[Job]) -> int:
    """How many stages from the first on are up to date."""
    stages = (read_manifest(folder) or {"stages": {}})["stages"]
    for number, job in enumerate(jobs):
        entry = stages.get(job.stage, {})
        files = [folder / name for name in (*entry.get("files", ()), f"{job.stage}/{NOTEBOOK}")]
        if entry.get("digest") != job.digest or not all(file.is_file() for file in files):
            return number
    return len(jobs)


def _require_run_folder(folder: Path) -> None:
    """Refuse a folder that holds something else: stages' folders are emptied before they are run again."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: the run folder is a file; choose another with --run-dir")
    foreign = {path.name for path in folder.iterdir()} - set(STAGES) if folder.is_dir() else set()
    if foreign and read_manifest(folder) is None:
        raise InputError(f"{folder}: not empty and not a run folder (it holds {min(foreign)!r}); choose another folder")


def _require_parameters(jobs: list[Job]) -> None:
    """Papermill only warns of a parameter that a notebook does not know, and the notebook runs with its default."""
    from papermill import inspect_notebook

    for job in jobs:
        known = inspect_notebook(_literal(job.notebook))
        unknown = [name for name in job.parameters if name not in known]
        if unknown:
            raise StageError(
                f"{job.notebook}: the cell tagged `parameters` does not name {', '.join(unknown)}; "
                f"it must set {', '.join(job.parameters)}"
            )


def _prepare(plan: Plan, folder: Path, jobs: list[Job]) -> None:
    from migration_kit.estimates import collect_estimates
    from migration_kit.layout import create_run

    if jobs[0].stage == STAGES[0]:
        create_run(folder, plan)
    discard(folder, [job.stage for job in jobs])
    collect_estimates(folder)


def _execute(folder: Path, job: Job, *, progress: bool) -> float:
    """Execute one notebook; returns seconds of wall time. Only its manifest entry counts as success."""
    output, began = folder / job.stage / NOTEBOOK, time.monotonic()
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        _run_notebook(job, output, progress=progress)
        if job.stage not in (read_manifest(folder) or {"stages": {}})["stages"]:
            raise StageError(f"{job.stage} failed: it ended without run.finish(), its last call\nsee {near(output)}")
    except BaseException:
        # What fails after run.finish() is a failure all the same.
        if read_manifest(folder) is not None:
            update_manifest(folder, lambda manifest: manifest["stages"].pop(job.stage, None))
        raise
    update_manifest(folder, lambda manifest: manifest["stages"][job.stage].update(digest=job.digest))
    return time.monotonic() - began


def _run_notebook(job: Job, output: Path, *, progress: bool) -> None:
    import papermill
    from nbclient.exceptions import DeadKernelError

    try:
        papermill.execute_notebook(
            _literal(job.notebook),
            _literal(output),
            parameters=job.parameters,
            kernel_name="python3",
            kernel_manager_class=_kernel_manager(),
            progress_bar={"desc": job.stage, "leave": False} if progress and sys.stderr.isatty() else False,
            # A kernel puts its working folder first on sys.path: in the user's folder a file named like a module,
            # random.py say, would be imported instead of it.
            cwd=str(output.parent),
        )
    except papermill.PapermillExecutionError as error:
        if error.ename == "InputError":
            raise InputError(error.evalue) from None
        what = f"{error.ename}: {textwrap.shorten(error.evalue, 400)}"
        raise StageError(f"{job.stage} failed in cell [{error.exec_count}]: {what}\nsee {near(output)}") from error
    except DeadKernelError as error:
        cause = "the kernel died, often for lack of memory"
        raise StageError(f"{job.stage} failed: {cause}\nsee {near(output)}") from error


def _literal(path: Path) -> str:
    """`path` for papermill, which fills in parameters between braces."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _kernel_manager() -> type:
    """A kernel of this very interpreter; the name "python3" alone may stand for another environment's kernel."""
    from ipykernel.kernelspec import get_kernel_dict
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    # A checkout that is not installed is found by the kernel too, and it is the one that this process runs.
    checkout = str(PACKAGE.parent) if (PACKAGE.parent / "pyproject.toml").is_file() else ""
    path = os.pathsep.join(part for part in (checkout, os.environ.get("PYTHONPATH", "")) if part)
    # ipykernel's own description: its command is sys.executable. Below CRITICAL it logs even its own end as an error.
    spec = KernelSpec(**get_kernel_dict(["--log-level=CRITICAL"]), env={"PYTHONPATH": path} if path else {})

    class OwnKernelSpecManager(KernelSpecManager):
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            return spec

    class OwnKernelManager(AsyncKernelManager):
        def _kernel_spec_manager_default(self) -> KernelSpecManager:
            return OwnKernelSpecManager(parent=self)

    return OwnKernelManager


def near(path: Path) -> str:
    """`path` from the working folder when it is below it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _silent(line: str) -> None:
    """Say nothing."""
