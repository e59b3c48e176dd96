"""A run as web pages: each executed notebook through nbconvert into one self-contained file, and the index page."""

import hashlib
from datetime import datetime
from functools import cache
from pathlib import Path

from migration_kit.errors import InputError
from migration_kit.files import read_file, replacing
from migration_kit.fragment import TEMPLATES, convert
from migration_kit.manifest import STAGES, plan_changes, read_manifest, update_manifest
from migration_kit.signoff import sign_off

NOTEBOOK, PAGE, INDEX = "notebook.ipynb", "notebook.html", "index.html"
QUESTIONS = {
    "01_baseline": "What does the incumbent deliver today, and are the data fit for a decision?",
    "02_candidates": "Which candidates meet the requirements, and what do raw metrics say?",
    "03_calibration": "How far can each metric be trusted, and what is each candidate's quality?",
    "04_validation": "Does it hold outside the test set, and can the model itself be trusted?",
    "05_report": "Switch, keep, or collect more labels?",
}
WITHOUT_CODE = frozenset({"05_report"})


def render_run(folder: Path, *, force: bool = False) -> Path:
    """Make the page of each finished stage that lacks one or has an outdated one, and the index page.

    Parameters
    ----------
    folder : Path
        A run folder.
    force : bool
        Make every page again.

    Returns
    -------
    Path
        The run's index.html.

    Raises
    ------
    InputError
        When `folder` is not a run folder.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise InputError(f"{folder}: not a run folder (it has no readable manifest.json)")
    stages = _stages(folder, manifest)
    # Every page links to the others, so all are outdated when one comes or goes.
    common, signed = f"{_look()}{[item['page'] for item in stages]}", sign_off(folder, manifest)
    for item in stages:
        stage, entry = item["id"], item["entry"]
        # The report also shows who signed it.
        look = hashlib.sha256(f"{common}{signed if stage == STAGES[-1] else ''}".encode()).hexdigest()
        if item["page"] and (force or entry.get("page") != look or not (folder / item["page"]).is_file()):
            _write(folder / item["page"], stage_page(folder, stage, manifest=manifest))
            update_manifest(folder, lambda content, stage=stage, look=look: content["stages"][stage].update(page=look))
    return _write(folder / INDEX, index_page(folder, manifest=manifest))


def stage_page(folder: Path, stage: str, *, manifest: dict) -> str:
    """The HTML page of one executed stage."""
    import nbformat

    body, heading, contents = convert(
        nbformat.read(folder / stage / NOTEBOOK, as_version=4), with_code=stage not in WITHOUT_CODE
    )
    stages = _stages(folder, manifest)
    number = STAGES.index(stage)
    paged = [item if item["page"] else None for item in stages]
    return _page(
        "stage.html.j2",
        manifest=manifest,
        stages=stages,
        stage=stage,
        root="../",
        number=number + 1,
        heading=heading or stages[number]["name"],
        body=body,
        contents=contents,
        fast=manifest["stages"][stage]["fast"],
        signed=sign_off(folder, manifest) if stage == STAGES[-1] else None,
        before=paged[number - 1] if number else None,
        after=paged[number + 1] if number + 1 < len(paged) else None,
    )


def index_page(folder: Path, *, manifest: dict) -> str:
    """The HTML page that opens a run: the verdict, the stages, the facts of the run."""
    path = folder / "decision.json"
    decision = read_file(path) if path.is_file() else None
    stages = _stages(folder, manifest)
    candidates = " or ".join(manifest["candidates"]) if len(manifest["candidates"]) < 3 else "one of the candidates"
    return _page(
        "index.html.j2",
        manifest=manifest,
        stages=stages,
        stage=None,
        root="",
        decision=decision,
        question=(decision or {}).get("question") or f"May {candidates} replace {manifest['incumbent']}?",
        report=stages[-1]["page"],
        missing=next((item["name"] for item in stages if not item["entry"]), None),
        fast=[item["name"] for item in stages if item["entry"] and item["entry"]["fast"]],
        changes=plan_changes(manifest, margins_only=True),
        signed=sign_off(folder, manifest) if decision else None,
    )


def _stages(folder: Path, manifest: dict) -> list[dict]:
    """What pages say of each stage; `page` is None where there is nothing to show."""
    return [
        {
            "id": stage,
            "name": f"{number} {stage.split('_')[1].capitalize()}",
            "question": QUESTIONS[stage],
            "entry": manifest["stages"].get(stage),
            "page": f"{stage}/{PAGE}"
            if stage in manifest["stages"] and (folder / stage / NOTEBOOK).is_file()
            else None,
        }
        for number, stage in enumerate(STAGES, start=1)
    ]


def _page(template: str, *, manifest: dict, **context: object) -> str:
    fast = any(entry["fast"] for entry in manifest["stages"].values()) and "--fast" not in manifest["command"]
    versions = {"migration-kit": manifest["kit"], "Python": manifest["python"], **manifest["packages"]}
    return (
        _environment()
        .get_template(template)
        .render(
            manifest=manifest,
            style=(TEMPLATES / "style.css").read_text("utf-8"),
            versions=", ".join(f"{name} {number}" for name, number in versions.items() if number),
            command=manifest["command"] + (" --fast" if fast else ""),
            **context,
        )
    )


@cache
def _environment() -> object:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["moment"] = lambda text: f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M} UTC"
    environment.filters["commit"] = lambda text: text[:12] + ("-dirty" if text.endswith("-dirty") else "")
    environment.filters["kind"] = lambda verdict: verdict if verdict in ("switch", "keep", "collect") else "none"
    return environment


def _look() -> str:
    """Digest of all that decides how a page looks."""
    digest = hashlib.sha256()
    sources = [Path(__file__), Path(__file__).with_name("fragment.py")]
    for path in sources + sorted(path for path in TEMPLATES.rglob("*") if path.is_file()):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _write(path: Path, text: str) -> Path:
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8")
    return path
