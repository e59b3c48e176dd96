"""Laying out a run folder: plan and data as they were read, and a manifest that says what belongs to them."""

from pathlib import Path

from migration_kit.data import data_digest, load_data, save_data
from migration_kit.estimates import ESTIMATES
from migration_kit.files import replacing, write_json
from migration_kit.manifest import (
    MANIFEST,
    STAGES,
    code_digest,
    environment,
    now,
    plan_history,
    read_manifest,
    repeat_command,
    shown_paths,
)
from migration_kit.plan import Plan
from migration_kit.stakeholders import signers


def create_run(folder: Path, plan: Plan) -> None:
    """Check the data of `plan` and lay out the run folder; stages of an earlier plan or data set are forgotten.

    The history of the verdict and the signatures stay: both say which plan and data they are about.

    Raises
    ------
    InputError
        When the data are invalid; nothing is written then.
    """
    data = load_data(plan)
    digests = {"plan_digest": plan.digest, "data_digest": data_digest(plan)}
    before = read_manifest(folder) or {}
    same = all(before.get(key) == digest for key, digest in digests.items())
    shown_plan, shown_folder = shown_paths(plan.path, folder)
    margins = {item.id: {"margin": item.margin, "slice_margin": item.slice_margin} for item in plan.criteria}
    manifest = {
        "run": folder.name,
        "title": plan.title,
        "plan": shown_plan,
        "run_dir": shown_folder,
        "command": repeat_command(plan.path, folder),
        **digests,
        "created": now(),
        **environment(plan.folder),
        "incumbent": plan.incumbent,
        "retires": plan.models.incumbent.retires,
        "source": plan.data.source,
        "candidates": plan.candidates,
        "decision": plan.decision.model_dump(include={"owner", "due", "default"}),
        "plans": plan_history(before.get("plans", []), plan.digest, margins),
        "signs": signers(plan),
        "stages": before.get("stages", {}) if same else {},
    }
    # While the data are being replaced no reader may take the folder for a run of the former ones.
    write_json(folder / MANIFEST, {**manifest, "plan_digest": None, "data_digest": None, "stages": {}})
    if not same:
        for name in (ESTIMATES, *(f"{stage}/{ESTIMATES}" for stage in STAGES), "decision.json", "index.html"):
            (folder / name).unlink(missing_ok=True)
    save_data(data, folder / "data")
    with replacing(folder / "plan.yml") as temporary:
        temporary.write_bytes(plan.path.read_bytes())
    write_json(folder / MANIFEST, {**manifest, "code_digest": code_digest()})


def is_laid_out(folder: Path, plan: Plan) -> bool:
    """Whether the pipeline, or this stage before, already wrote these data with this code."""
    manifest = read_manifest(folder) or {}
    digests = {"plan_digest": plan.digest, "code_digest": code_digest(), "data_digest": data_digest(plan)}
    return digests.items() <= manifest.items() and (folder / "data").is_dir()
