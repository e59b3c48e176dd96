"""The run folder: what one stage leaves for the next, and for any other program.

A notebook opens its run in the first code cell, reads earlier stages through `Run.load`, writes its own files through
`Run.save` and ends with `Run.finish`, which is what makes the stage count.
"""

import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from migration_kit.data import EvalData, data_digest, read_data
from migration_kit.errors import InputError
from migration_kit.estimates import ESTIMATES, check_estimates, collect_estimates, stack_layers
from migration_kit.files import plain, read_file, write_file
from migration_kit.history import HISTORY, history_row, no_history, with_row
from migration_kit.layout import create_run, is_laid_out
from migration_kit.manifest import (
    STAGES,
    environment,
    now,
    plan_changes,
    read_manifest,
    repeat_command,
    update_manifest,
)
from migration_kit.plan import Plan, load_plan
from migration_kit.wording import counted

DECISION = "decision.json"
SAMPLING = STAGES[2:4]
VERDICTS = ("switch", "keep", "collect")
DECISION_KEYS = ("verdict", "candidate", "probability", "sentence", "candidates", "alarms")


@dataclass(frozen=True)
class Run:
    """One stage at work in a run folder; made by `open_run`.

    Attributes
    ----------
    path : Path
        The run folder, absolute.
    plan : Plan
    stage : str
        One of `STAGES`.
    fast, full : bool
        Fewer draws were taken in this stage or in one that it rests on, or more checks; the report says so.
    """

    path: Path
    plan: Plan
    stage: str
    fast: bool
    full: bool = False
    _started: float = field(default_factory=time.monotonic, repr=False, compare=False)
    _written: dict[str, None] = field(default_factory=dict, repr=False, compare=False)

    @property
    def folder(self) -> Path:
        """The stage's own folder."""
        return self.path / self.stage

    @cached_property
    def data(self) -> EvalData:
        """The data as stage 01 read and checked them."""
        return read_data(self.path / "data")

    @property
    def manifest(self) -> dict:
        """The manifest as it is on disk now."""
        return read_manifest(self.path) or {}

    @property
    def plan_changes(self) -> list[str]:
        """A sentence for every change of the plan after candidates' scores had been read; best is none."""
        return plan_changes(self.manifest)

    @property
    def last_decision(self) -> dict | None:
        """The decision of the last report on this very plan and these data, None where there is none."""
        return last_decision(self.path, self.plan)

    def save(self, name: str, content: object) -> Path:
        """Write a file of this stage, atomically.

        Parameters
        ----------
        name : str
            File name in the stage's folder; its suffix says what `content` is: `.parquet` a DataFrame, `.json` a
            dict (dates become ISO text, NaN null), `.nc` an xarray DataTree or Dataset.

        Returns
        -------
        Path
        """
        return self._write(self._own(name), content)

    def load(self, name: str) -> object:
        """Read a file of this or an earlier stage.

        Parameters
        ----------
        name : str
            Path in the run folder, such as "03_calibration/correct.nc".

        Raises
        ------
        InputError
            When the file is not there; says which stage writes it.
        """
        path = self.path / name
        stage = Path(name).parts[0]
        if stage in STAGES and STAGES.index(stage) > STAGES.index(self.stage):
            raise ValueError(f"{self.stage} may not read {name!r}: it is of a later stage")
        if not path.is_file():
            raise InputError(f"{path}: not there; {_how_to_run(stage if stage in STAGES else self.stage)}")
        return read_file(path)

    def add_estimates(self, estimates: pd.DataFrame) -> Path:
        """Add this stage's estimates to `estimates.parquet`; rows of the same layers are replaced.

        Parameters
        ----------
        estimates : DataFrame
            Columns `intervals.ESTIMATE_COLUMNS`, one row for each value of `ESTIMATE_KEY`; rates and differences of
            rates on the scale 0 to 1, `metric` "" where a method uses all or none.

        Returns
        -------
        Path
        """
        check_estimates(estimates)
        own = self.folder / ESTIMATES
        again = own.relative_to(self.path).as_posix() in self._written
        self._write(own, stack_layers([pd.read_parquet(own), estimates] if again else [estimates]))
        self._written[ESTIMATES] = None
        return collect_estimates(self.path)

    def estimates(self) -> pd.DataFrame:
        """All estimates so far, columns `intervals.ESTIMATE_COLUMNS`."""
        return self.load(ESTIMATES)

    def save_decision(self, decision: dict) -> Path:
        """Write `decision.json`, with the digests of plan and data it holds for.

        Parameters
        ----------
        decision : dict
            At least `DECISION_KEYS`; `candidates` maps each candidate to its own `verdict`, `sentence` and the rest.
        """
        missing = [key for key in DECISION_KEYS if key not in decision]
        if missing or decision["verdict"] not in VERDICTS:
            found = f"without {missing}" if missing else f"of verdict {decision['verdict']!r}"
            raise ValueError(f"decision {found}; expected {DECISION_KEYS}, the verdict one of {VERDICTS}")
        digests = {key: self.manifest[key] for key in ("plan_digest", "data_digest")}
        return self._write(self.path / DECISION, {**decision, **digests})

    def history(self, decision: dict) -> pd.DataFrame:
        """How the verdict moved, columns `history.HISTORY_COLUMNS`; `decision` is the last row, written by `finish`."""
        path = self.path / HISTORY
        row = history_row(plain(decision), self.manifest, self.data, time=now(), fast=self.fast)
        return with_row(read_file(path) if path.is_file() else no_history(), row)

    def finish(self, **facts: object) -> str:
        """Enter this stage as finished in the manifest: the last call of a notebook.

        The last stage also adds its decision, where it saved one, to the history of the run.

        Parameters
        ----------
        **facts
            Anything the index page or another program should know of the stage, JSON-like.

        Returns
        -------
        str
            A sentence that says what was written.
        """
        seconds = round(time.monotonic() - self._started, 2)
        entry = {
            "status": "finished",
            "finished": now(),
            "seconds": seconds,
            "fast": self.fast,
            "full": self.full,
            # Only the pipeline knows the notebook that ran; it fills this in once nothing after this call failed.
            "digest": None,
            "files": list(self._written),
            **environment(self.plan.folder),
            "facts": plain(facts),
        }
        update_manifest(self.path, lambda manifest: manifest["stages"].update({self.stage: entry}))
        if DECISION in self._written:
            write_file(self.path / HISTORY, self.history(read_file(self.path / DECISION)))
        return f"{self.stage} finished in {seconds:.1f} s, {counted(len(self._written), 'file')} written."

    def _own(self, name: str) -> Path:
        if Path(name).name != name or name.startswith("."):
            raise ValueError(f"{name!r} is not a plain file name")
        return self.folder / name

    def _write(self, path: Path, content: object) -> Path:
        write_file(path, content)
        self._written[path.relative_to(self.path).as_posix()] = None
        return path


def open_run(run_dir: str | Path, *, plan: str | Path, stage: str, fast: bool = False, full: bool = False) -> Run:
    """Open a run folder for one stage: the first call of a notebook.

    Stage 01 checks plan and data and lays out the folder; later stages find what it left.

    Parameters
    ----------
    run_dir, plan : str or Path
    stage : str
        One of `STAGES`.
    fast, full : bool
        Fewer draws; more checks. Kept in the manifest, and part of the command that repeats the run.

    Raises
    ------
    InputError
        When plan or data are invalid (nothing is written then), when an earlier stage has not finished, or when plan
        or data changed since stage 01 read them.
    """
    if stage not in STAGES:
        raise ValueError(f"stage {stage!r} is not one of {', '.join(STAGES)}")
    folder, spec = Path(run_dir).resolve(), load_plan(plan)
    if stage == STAGES[0]:
        if not is_laid_out(folder, spec):
            create_run(folder, spec)
    else:
        done = _require_earlier(folder, spec, stage)
        fast = fast or any(done[one]["fast"] for one in SAMPLING if one in done)
    command = " ".join([repeat_command(spec.path, folder), *["--fast"] * fast, *["--full"] * full])
    update_manifest(folder, lambda manifest: _enter(manifest, stage, command))
    return Run(path=folder, plan=spec, stage=stage, fast=fast, full=full)


def _enter(manifest: dict, stage: str, command: str) -> None:
    manifest["command"] = command
    manifest["stages"].pop(stage, None)
    if stage != STAGES[0] and manifest["plans"][-1]["results_read"] is None:
        manifest["plans"][-1]["results_read"] = now()


def last_decision(folder: Path, plan: Plan) -> dict | None:
    """Return the decision of a run folder; None where its report is not of this very plan and these data."""
    path = folder / DECISION
    decision = read_file(path) if path.is_file() else {}
    of = {"plan_digest": plan.digest, "data_digest": data_digest(plan)}
    return decision if of.items() <= decision.items() else None


def _require_earlier(folder: Path, plan: Plan, stage: str) -> dict[str, dict]:
    """Return the manifest's entries of the stages before this one, once all have finished."""
    manifest = read_manifest(folder)
    if manifest is None:
        raise InputError(f"{folder}: there is no run here; {_how_to_run(STAGES[0])}")
    for key, what, found in (("plan_digest", "plan", plan.digest), ("data_digest", "data", data_digest(plan))):
        if manifest[key] != found:
            then = (manifest[key] or "none")[:8]
            raise InputError(
                f"{plan.path}: the {what} changed since {STAGES[0]} read it (digest {then} then, {found[:8]} now); "
                f"{_how_to_run(STAGES[0])}"
            )
    before = STAGES[: STAGES.index(stage)]
    for earlier in before:
        if earlier not in manifest["stages"]:
            raise InputError(f"{folder}: {earlier} has not finished, {stage} reads its files; {_how_to_run(earlier)}")
    return {earlier: manifest["stages"][earlier] for earlier in before}


def _how_to_run(stage: str) -> str:
    return f"run the notebook {stage}.ipynb first, or all stages with `migration-kit run PLAN`"
