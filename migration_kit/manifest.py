"""The manifest of a run folder: what was run, on which plan and data, with which code, and which stages finished.

The manifest is the only proof that a stage finished. It is read and written as plain JSON, whole and atomically, so a
killed process leaves either the former or the next manifest, never half of one.
"""

import hashlib
import json
import os
import platform
import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path

from migration_kit import __version__
from migration_kit.files import write_json

STAGES = ("01_baseline", "02_candidates", "03_calibration", "04_validation", "05_report")
MANIFEST = "manifest.json"
PACKAGE = Path(__file__).parent
PACKAGES = ("arviz", "numpy", "nutpie", "pandas", "pymc", "scipy", "xarray")
# Notebooks cannot reach these modules (they rank after `run`), so a change in them leaves every stage's files valid.
AFTER_RUN = frozenset({"pipeline.py", "render.py", "fragment.py", "preview.py", "signoff.py", "cli.py"})


def read_manifest(folder: Path) -> dict | None:
    """The manifest of a run folder, None where there is none or it is not readable as one."""
    with suppress(FileNotFoundError, NotADirectoryError, json.JSONDecodeError, UnicodeDecodeError):
        content = json.loads((folder / MANIFEST).read_text("utf-8"))
        if isinstance(content, dict) and isinstance(content.get("stages"), dict):
            return content
    return None


def update_manifest(folder: Path, change: Callable[[dict], object]) -> dict:
    """Apply `change` to the manifest of `folder` and write it back; returns the manifest as written."""
    manifest = read_manifest(folder)
    if manifest is None:
        raise FileNotFoundError(f"{folder / MANIFEST}: no manifest to update")
    change(manifest)
    write_json(folder / MANIFEST, manifest)
    return manifest


def discard(folder: Path, stages: Sequence[str]) -> None:
    """Forget `stages` and everything computed from them: their entries first, then their files.

    The decision and the index page rest on every stage, so they go with any of them.
    """
    update_manifest(folder, lambda manifest: [manifest["stages"].pop(stage, None) for stage in stages])
    for name in ("decision.json", "index.html"):
        (folder / name).unlink(missing_ok=True)
    for stage in stages:
        shutil.rmtree(folder / stage, ignore_errors=True)


def environment(folder: Path) -> dict:
    """Versions of the kit, Python and the packages that results depend on, and the git commit of `folder`."""
    return {
        "kit": __version__,
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "commit": git_commit(folder),
    }


def git_commit(folder: Path) -> str | None:
    """Commit of the checkout that holds `folder`, ending in "-dirty" when files differ from it; None without one."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*"]
    with suppress(OSError, subprocess.SubprocessError):
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        return found.stdout.strip() or None
    return None


def plan_history(plans: list[dict], digest: str, margins: dict[str, dict]) -> list[dict]:
    """The plans a run folder has seen, oldest first, with the one of `digest` last.

    `margins` maps each criterion to its `margin` and `slice_margin`.
    """
    if plans and plans[-1]["digest"] == digest:
        return plans
    return [*plans, {"digest": digest, "since": now(), "results_read": None, "margins": margins}]


def plan_changes(manifest: dict, *, margins_only: bool = False) -> list[str]:
    """A sentence for every change of the plan made after candidates' scores had been read under the former plan."""
    plans = manifest.get("plans", [])
    sentences = []
    for before, after in pairwise(plans):
        if before["results_read"] is None:
            continue
        moved = [
            f"{kind.replace('_', ' ')} of {criterion} {_shown(old.get(kind))} → {_shown(new.get(kind))}"
            for criterion in {**before["margins"], **after["margins"]}
            for old, new in [(before["margins"].get(criterion, {}), after["margins"].get(criterion, {}))]
            for kind in ("margin", "slice_margin")
            if old.get(kind) != new.get(kind)
        ]
        if margins_only and not moved:
            continue
        what = "; ".join(moved) if moved else "no margin moved"
        sentences.append(
            f"The plan was changed by {after['since'][:10]}, after candidates' scores had been read "
            f"on {before['results_read'][:10]}: {what}."
        )
    return sentences


def code_digest() -> str:
    """SHA-256 over the package's source files that a notebook can reach, and the versions beneath them."""
    digest = hashlib.sha256(platform.python_version().encode())
    for name in PACKAGES:
        digest.update(f"{name}={_version(name)}\n".encode())
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name not in AFTER_RUN and not name.startswith("_notebooks/"):
            digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def shown_paths(plan: Path, folder: Path) -> tuple[str, str]:
    """Paths of plan and run folder as the report shows them: from the deepest folder that holds both.

    That is the project's folder for `data/x/migration.yml` and `runs/x`, wherever the command or the notebook was
    started, and it keeps the place of the project on the machine out of the report. Paths that share only the root
    stay absolute.
    """
    plan, folder = plan.resolve(), folder.resolve()
    common = Path(os.path.commonpath([plan.parent, folder.parent]))
    if common == Path(common.anchor):
        return plan.as_posix(), folder.as_posix()
    return plan.relative_to(common).as_posix(), folder.relative_to(common).as_posix()


def default_run_dir(plan: Path) -> Path:
    """`runs/<name of the plan's folder>`, where `migration-kit run` puts a run unless told otherwise."""
    return Path("runs") / plan.resolve().parent.name


def repeat_command(plan: Path, folder: Path) -> str:
    """The command that repeats a run, from the folder that `shown_paths` starts at."""
    shown_plan, shown_folder = shown_paths(plan, folder)
    elsewhere = shown_folder != default_run_dir(plan).as_posix()
    return shlex.join(["migration-kit", "run", shown_plan, *(["--run-dir", shown_folder] if elsewhere else [])])


def now() -> str:
    """The present time in UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _shown(margin: float | None) -> str:
    return "none" if margin is None else f"{margin:g}"


def _version(name: str) -> str | None:
    with suppress(PackageNotFoundError):
        return version(name)
    return None
