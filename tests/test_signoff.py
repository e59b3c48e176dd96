"""Signatures: who may, what they are bound to, what voids them, and that every page says so."""

import json
import re
import shutil
import threading

import pytest
from standins import DECISION, EVIL, opening, write_migration, write_notebook
from typer.testing import CliRunner

from migration_kit import cli
from migration_kit.errors import InputError
from migration_kit.manifest import STAGES, read_manifest, update_manifest
from migration_kit.render import render_run
from migration_kit.run import open_run
from migration_kit.signoff import sign, sign_off

SIGNS = """
stakeholders:
  - {name: "Lead <b>emea</b>", concern: answers in emea, criterion: correct, slice: emea, signs: true}
  - {name: Reader, concern: nothing}
"""
SHOWN = "Head of Support and Lead &lt;b&gt;emea&lt;/b&gt;"
ROLES = ["Head of Support", "Lead <b>emea</b>"]


def report(folder, decision=DECISION):
    """Let every stage finish, as notebooks would, and make the pages."""
    for stage in STAGES:
        run = open_run(folder, plan=folder.parents[1] / "data/support/migration.yml", stage=stage)
        if stage == STAGES[-1]:
            run.save_decision(decision)
        run.finish()
        (folder / stage).mkdir(exist_ok=True)
        write_notebook(folder / stage / "notebook.ipynb", opening(stage))
    return render_run(folder)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A project whose five stages have finished."""
    root = tmp_path_factory.mktemp("signed")
    plan = write_migration(root / "data" / "support")
    plan.write_text(plan.read_text("utf-8") + SIGNS, "utf-8")
    report(root / "runs" / "support")
    return root


@pytest.fixture
def folder(done, tmp_path):
    shutil.copytree(done, tmp_path, dirs_exist_ok=True)
    return tmp_path / "runs" / "support"


def call(*words):
    return CliRunner().invoke(cli.app, [str(word) for word in words])


def test_a_signature_is_bound_to_plan_data_and_verdict(folder):
    sign(folder, role="head of support", decision="approve", name="A. Person", comment="good")
    sign(folder, role=ROLES[1], decision="approve")
    found, manifest = json.loads((folder / "signoff.json").read_text()), read_manifest(folder)
    assert {key: found[key] for key in ("plan_digest", "data_digest")} == {
        key: manifest[key] for key in ("plan_digest", "data_digest")}
    assert (found["decision"], found["candidate"]) == ("switch", "b-2026")
    assert [one["role"] for one in found["signatures"]] == ROLES
    assert found["signatures"][0] | {"time": ""} == {"role": "Head of Support", "name": "A. Person", "comment": "good",
                                                     "decision": "approve", "time": ""}
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith(".")) == []


def test_the_last_word_of_a_role_counts_and_all_are_kept(folder):
    assert sign_off(folder, read_manifest(folder))["state"] == "open"
    sign(folder, role=ROLES[0], decision="approve")
    found = sign_off(folder, read_manifest(folder))
    assert found["state"] == "open" and found["missing"] == ROLES[1:]
    sign(folder, role=ROLES[1], decision="reject")
    assert sign_off(folder, read_manifest(folder))["state"] == "rejected"
    sign(folder, role=ROLES[1], decision="approve")
    found = sign_off(folder, read_manifest(folder))
    assert found["state"] == "approved" and [row["decision"] for row in found["rows"]] == ["approve"] * 2
    assert len(json.loads((folder / "signoff.json").read_text())["signatures"]) == 3


@pytest.mark.parametrize(("role", "decision", "told"), [
    ("Reader", "approve", ["'Reader' does not sign this decision", "'Head of Support', 'Lead <b>emea</b>' do"]),
    ("Head of Suport", "approve", ["did you mean 'Head of Support'?"]),
    ("Head of Support", "aprove", ["--decision: found 'aprove'", "did you mean 'approve'?"]),
])
def test_unknown_roles_and_decisions_are_refused_with_the_list(folder, role, decision, told):
    result = call("sign", folder, "--as", role, "--decision", decision)
    assert result.exit_code == 2 and result.stdout == "" and "Traceback" not in result.stderr
    assert all(part in result.stderr for part in told), result.stderr
    assert not (folder / "signoff.json").exists()


def test_what_is_not_decided_cannot_be_signed(folder, tmp_path):
    with pytest.raises(InputError, match="not a run folder"):
        sign(tmp_path, role=ROLES[0], decision="approve")
    update_manifest(folder, lambda manifest: manifest["stages"]["03_calibration"].update(fast=True))
    with pytest.raises(InputError, match="03_calibration used fewer draws"):
        sign(folder, role=ROLES[0], decision="approve")
    assert sign_off(folder, read_manifest(folder))["fast"] == ["03_calibration"]
    update_manifest(folder, lambda manifest: manifest["stages"].pop(STAGES[-1]))
    with pytest.raises(InputError, match="no verdict to sign"):
        sign(folder, role=ROLES[0], decision="approve")


def test_an_outdated_report_cannot_be_signed(folder):
    plan = folder.parents[1] / "data/support/migration.yml"
    plan.write_text(plan.read_text().replace("margin: 0.03", "margin: 0.04"))
    with pytest.raises(InputError, match="the plan changed since this run"):
        sign(folder, role=ROLES[0], decision="approve")


def test_a_plan_that_names_nobody_says_what_to_add(tmp_path):
    plan = write_migration(tmp_path / "data" / "support")
    plan.write_text(plan.read_text("utf-8").replace("owner: Head of Support, ", ""), "utf-8")
    folder = tmp_path / "runs" / "support"
    report(folder)
    with pytest.raises(InputError, match="give decision an `owner`, or a stakeholder `signs: true`"):
        sign(folder, role="me", decision="approve")
    assert 'id="signatures"' not in (folder / "index.html").read_text()


@pytest.mark.parametrize("change", ["plan", "data", "verdict"])
def test_a_change_voids_the_signature_visibly(folder, change):
    for role in ROLES:
        sign(folder, role=role, decision="approve")
    root, decision = folder.parents[1], DECISION
    render_run(folder)
    for page in (folder / "index.html", folder / "05_report/notebook.html"):
        assert f"<strong>Signed off.</strong> {SHOWN} approved" in page.read_text()
    if change == "plan":
        plan = root / "data/support/migration.yml"
        plan.write_text(plan.read_text().replace("margin: 0.03", "margin: 0.04"))
    elif change == "data":
        scores = root / "data/support/scores.csv"
        text = scores.read_text()
        scores.write_text(text.replace("i5,a-2025,correct,lead,human,1", "i5,a-2025,correct,lead,human,0"))
    else:
        decision = DECISION | {"verdict": "keep", "candidate": None, "probability": None}
    # A page made again says so before anything has run again, where plan and data lie beside the run.
    if change != "verdict":
        assert f"The {change} changed since this was signed" in render_run(folder).read_text()
    report(folder, decision)
    for page in (folder / "index.html", folder / "05_report/notebook.html"):
        assert f"<strong>Sign-off void.</strong> The {change} changed since this was signed" in page.read_text()
        assert "approve (void)" in page.read_text() and "<strong>Signed off" not in page.read_text()
    sign(folder, role=ROLES[0], decision="reject")
    found = json.loads((folder / "signoff.json").read_text())
    assert [one["decision"] for one in found["signatures"]] == ["reject"]
    assert [one["decision"] for one in found["void"][0]["signatures"]] == ["approve", "approve"]
    assert sign_off(folder, read_manifest(folder))["state"] == "rejected"


def test_a_run_with_the_same_inputs_keeps_the_signatures(folder):
    sign(folder, role=ROLES[0], decision="approve")
    report(folder)
    found = sign_off(folder, read_manifest(folder))
    assert found["void"] == [] and found["missing"] == ROLES[1:]


def test_the_command_signs_and_shows_it(folder, monkeypatch):
    monkeypatch.chdir(folder.parents[1])
    before = (folder / "05_report/notebook.html").read_text()
    assert f"{SHOWN} have not signed yet." in before
    result = call("sign", "runs/support", "--as", ROLES[0], "--decision", "approve", "--comment", EVIL)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0] == "signed:  Head of Support approves"
    for page in (folder / "index.html", folder / "05_report/notebook.html"):
        text = page.read_text()
        assert "Lead &lt;b&gt;emea&lt;/b&gt; has not signed yet." in text and "&lt;script&gt;alert(1)" in text
        assert "<script" not in text and "<b>emea" not in text
    assert "migration-kit sign runs/support --as" in (folder / "index.html").read_text()
    assert 'id="signatures"' not in (folder / "04_validation/notebook.html").read_text()


def test_signatures_given_at_once_are_all_kept(folder):
    threads = [threading.Thread(target=sign, args=(folder,), kwargs={"role": ROLES[n % 2], "decision": "approve"})
               for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(json.loads((folder / "signoff.json").read_text())["signatures"]) == 8


def test_a_lock_left_behind_and_a_broken_record_are_told(folder, monkeypatch):
    monkeypatch.setattr("migration_kit.signoff.PATIENCE", 0.05)
    lock = folder / ".signoff.json.lock"
    lock.touch()
    with pytest.raises(InputError, match="somebody else is signing; if nobody is, delete this file"):
        sign(folder, role=ROLES[0], decision="approve")
    lock.unlink()
    (folder / "signoff.json").write_text('{"signatures": [1]}')
    with pytest.raises(InputError, match="is not a record of signatures"):
        sign(folder, role=ROLES[0], decision="approve")
    assert not lock.exists()


def test_help_says_what_sign_does():
    assert "voids the signature" in " ".join(call("sign", "--help").stdout.split())


def test_the_first_page_says_who_must_sign_before_any_further_step(folder):
    def told():
        render_run(folder)
        page = (folder / "index.html").read_text("utf-8")
        return re.findall(r'<p class="soft">(.*) must sign before any further step', page)

    assert told() == [SHOWN]
    sign(folder, role=ROLES[0], decision="approve")
    assert told() == [SHOWN.split(" and ")[1]]
    sign(folder, role=ROLES[1], decision="approve")
    assert told() == []
