"""Signatures under a decision: bound to plan, data and verdict of the run, and void once one of these changes."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from migration_kit.data import data_digest
from migration_kit.errors import InputError, did_you_mean, listing, quote
from migration_kit.files import read_file, write_json
from migration_kit.manifest import STAGES, now, read_manifest
from migration_kit.plan import Plan, load_plan
from migration_kit.stakeholders import signers

SIGNOFF = "signoff.json"
DECISIONS = ("approve", "reject")
BINDING = ("plan_digest", "data_digest", "decision", "candidate")
PATIENCE = 10.0


def sign(folder: Path, *, role: str, decision: str, name: str | None = None, comment: str | None = None) -> dict:
    """Add a signature to the run's `signoff.json`.

    Parameters
    ----------
    folder : Path
        The run folder.
    role : str
        The owner of the decision or a stakeholder with ``signs: true``; capitals do not count.
    decision : str
        approve or reject: the verdict of the report.
    name, comment : str, optional

    Returns
    -------
    dict
        The signature as written: role, name, decision, comment, time.

    Raises
    ------
    InputError
        When there is no finished report, the report is a first look, or the role or the decision is unknown.
    """
    binding, roles = _what_is_signed(folder)
    known = {one.casefold(): one for one in roles}
    if role.strip().casefold() not in known:
        raise InputError(f"--as: {quote(role)} does not sign this decision; {listing(roles, 20)} do"
                         f"{did_you_mean(role, roles)}")
    if decision not in DECISIONS:
        raise InputError(f"--decision: found {quote(decision)}, expected one of {listing(DECISIONS)}"
                         f"{did_you_mean(decision, DECISIONS)}")
    signature = {"role": known[role.strip().casefold()], "name": name, "decision": decision, "comment": comment,
                 "time": now()}
    with _alone(folder / SIGNOFF):
        before = _read(folder)
        former = list(before.get("void", []))
        if before and any(before.get(key) != value for key, value in binding.items()):
            former.append({key: value for key, value in before.items() if key != "void"})
            before = {}
        signatures = [*before.get("signatures", []), signature]
        write_json(folder / SIGNOFF, {**binding, "signatures": signatures, **({"void": former} if former else {})})
    return signature


def sign_off(folder: Path, manifest: dict) -> dict | None:
    """Return what the pages of a run say of its signatures; None where nobody signs and nobody has signed.

    Returns
    -------
    dict
        ``roles``: who signs · ``rows``: the last signature of every role, then roles that have not signed, with role,
        name, decision ("" where open), comment, time · ``void``: what changed since they signed, best is none ·
        ``state``: open, approved, rejected or void · ``missing``: roles that have not signed · ``fast``: stages of a
        first look, which nobody can sign.
    """
    path, roles = folder / "decision.json", manifest.get("signs", [])
    record = _read(folder)
    if not roles and not record:
        return None
    decision = read_file(path) if path.is_file() else {}
    void = _changed(folder, record, manifest, decision) if record else []
    last = {one["role"]: one for one in record.get("signatures", [])}
    missing = [role for role in roles if role not in last]
    rows = list(last.values())
    if not void:
        rows += [{"role": role, "name": None, "decision": "", "comment": None, "time": None} for role in missing]
    said = {one["decision"] for one in last.values()}
    state = ("void" if void else "rejected" if "reject" in said else "open" if missing else "approved")
    return {"roles": roles, "rows": rows, "void": void, "state": state, "missing": missing,
            "signed": record.get("decision"), "run_dir": manifest.get("run_dir", ""), "fast": _fast(manifest)}


def _what_is_signed(folder: Path) -> tuple[dict, list[str]]:
    """What a signature is bound to, and the roles that sign it."""
    manifest = read_manifest(folder)
    if manifest is None:
        raise InputError(f"{folder}: not a run folder (it has no readable manifest.json)")
    report = manifest["stages"].get(STAGES[-1])
    if report is None or not (folder / "decision.json").is_file():
        raise InputError(f"{folder}: {STAGES[-1]} has not finished, so there is no verdict to sign; run all stages "
                         "with `migration-kit run PLAN`")
    if fast := _fast(manifest):
        raise InputError(f"{folder}: {', '.join(fast)} used fewer draws (--fast), a first look and not for a decision; "
                         "run again without --fast, then sign")
    if moved := _moved_on(folder, manifest):
        raise InputError(f"{folder}: the {' and the '.join(moved)} changed since this run, so the report is out of "
                         "date; run again, then sign")
    plan = _plan_of(folder, manifest)
    roles = signers(plan)
    if not roles:
        raise InputError(f"{plan.path}: names nobody who signs; give decision an `owner`, or a stakeholder "
                         "`signs: true`, and run again")
    decision = read_file(folder / "decision.json")
    return {"plan_digest": manifest["plan_digest"], "data_digest": manifest["data_digest"],
            "decision": decision["verdict"], "candidate": decision["candidate"]}, roles


def _fast(manifest: dict) -> list[str]:
    return [stage for stage, entry in manifest["stages"].items() if entry["fast"]]


def _plan_of(folder: Path, manifest: dict) -> Plan:
    plan = load_plan(folder / "plan.yml")
    if plan.digest != manifest["plan_digest"]:
        raise InputError(f"{folder / 'plan.yml'}: is not the plan of this run (digest {plan.digest[:8]}, the run has "
                         f"{(manifest['plan_digest'] or 'none')[:8]}); run again, then sign")
    return plan


def _changed(folder: Path, record: dict, manifest: dict, decision: dict) -> list[str]:
    """What is no longer as it was when the signatures were given."""
    changed = [what for what, key in (("plan", "plan_digest"), ("data", "data_digest"))
               if record.get(key) != manifest.get(key)] or _moved_on(folder, manifest)
    if not decision:
        return changed or ["report"]
    verdict = (decision.get("verdict"), decision.get("candidate"))
    return changed + (["verdict"] if (record.get("decision"), record.get("candidate")) != verdict else [])


def _moved_on(folder: Path, manifest: dict) -> list[str]:
    """What of plan and data, where they still lie beside the run, is no longer as the run read it."""
    root, shown = folder.resolve(), Path(manifest.get("run_dir", ""))
    if not shown.is_absolute():
        if root.parts[len(root.parts) - len(shown.parts):] != shown.parts:
            return []
        root = root.parents[len(shown.parts) - 1] if shown.parts else root
    path = root / manifest.get("plan", "")
    if not path.is_file():
        return []
    try:
        plan = load_plan(path)
        return [what for what, key, found in (("plan", "plan_digest", plan.digest),
                                              ("data", "data_digest", data_digest(plan))) if manifest[key] != found]
    except InputError:
        return ["plan or data"]


def _read(folder: Path) -> dict:
    path = folder / SIGNOFF
    if not path.is_file():
        return {}
    try:
        record = read_file(path)
        signatures = record["signatures"]
        if not isinstance(signatures, list) or any(one["decision"] not in DECISIONS or not one["role"]
                                                   for one in signatures):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: is not a record of signatures as `migration-kit sign` writes it; move it away and "
                         "sign again") from None
    return record


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process at a time read and write a file, so that no signature is lost."""
    lock = path.with_name(f".{path.name}.lock")
    began = time.monotonic()
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            break
        except FileExistsError:
            if time.monotonic() - began > PATIENCE:
                raise InputError(f"{lock}: somebody else is signing; if nobody is, delete this file and sign "
                                 "again") from None
            time.sleep(0.02)
    try:
        yield
    finally:
        with suppress(FileNotFoundError):
            lock.unlink()
