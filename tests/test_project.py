"""The house keeps to its own rules: packaging, module map, import direction, notebooks, documents."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import migration_kit
from migration_kit.contract.preferences import SIDES

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "migration_kit"
MODULES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
STAGES = ["01_baseline", "02_candidates", "03_calibration", "04_validation", "05_report"]

# Distribution name -> import name, where they differ.
IMPORT_NAMES = {"pillow": "PIL", "beautifulsoup4": "bs4", "ipython": "IPython", "pyyaml": "yaml", "pyzmq": "zmq"}
# Needed without an import of ours: engines chosen by name and Jupyter's own parts.
USED_BY_NAME = {"h5netcdf", "h5py", "ipykernel", "ipywidgets", "jupyterlab", "nutpie", "pyarrow"}
# What these two require themselves is one stack with them, and may be imported.
NOTEBOOK_STACK = ("ipykernel", "nbconvert")



def test_tables_that_the_benchmarks_name_are_committed_or_said_not_to_be():
    lines = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8").splitlines()
    cells = "\n".join(line.split("|")[2] for line in lines if re.match(r"\| `\w+\.py` ", line))
    named = set(re.findall(r"`(\w+\.csv)`", cells))
    unrun = {name for told in re.findall(r"((?:`\w+\.csv`(?:, )?)+) \(not run", cells)
             for name in re.findall(r"\w+\.csv", told)}
    assert named - unrun == {path.name for path in (ROOT / "benchmarks" / "results").iterdir()}


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def requirements(*, dev: bool) -> dict[str, SpecifierSet]:
    lines = project()["dependencies"] + (project()["optional-dependencies"]["dev"] if dev else [])
    return {canonicalize_name(r.name): r.specifier for r in map(Requirement, lines)}


def make_targets() -> list[str]:
    return re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M)


def project_files() -> list[Path]:
    """Every file git tracks or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def imported_names(source: str, *, package: str = "") -> set[str]:
    """Dotted names of everything imported anywhere in the source, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join(parts + ([node.module] if node.module else []))
            names |= {f"{base}.{alias.name}" for alias in node.names}
    return names


def kit_imports(module: str) -> set[str]:
    """Kit modules (as in MODULES) that a kit module imports, the package's own __init__ left out."""
    package = ".".join(["migration_kit", *Path(module).parent.parts])
    found = set()
    for name in imported_names(MODULES[module].read_text(encoding="utf-8"), package=package):
        parts = name.split(".")[1:] if name.startswith("migration_kit.") else []
        for n in range(len(parts), 0, -1):
            stem = "/".join(parts[:n])
            hits = {f"{stem}.py", f"{stem}/__init__.py"} & MODULES.keys()
            if hits:
                found |= hits - {module}
                break
    return found


def module_map() -> dict[str, int | None]:
    """Module -> rank from the table in ARCHITECTURE.md; None where the table has a dash."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w/]+\.py)` \| (\d+|–) \| .+ \|$", text, flags=re.M)
    assert len(rows) == len({name for name, _ in rows}), "ARCHITECTURE.md lists a module twice"
    return {name: None if rank == "–" else int(rank) for name, rank in rows}


def test_module_map_matches_the_code():
    assert sorted(module_map()) == sorted(MODULES)


@pytest.mark.parametrize("module", [m for m in MODULES if m != "__init__.py"])
def test_a_module_imports_only_from_ranks_before_its_own(module):
    ranks = module_map()
    assert module in ranks, f"{module} is not in the module map of ARCHITECTURE.md"
    siblings = {m for m in MODULES if "/" in m and Path(m).parent == Path(module).parent}
    imported = kit_imports(module) & ranks.keys() - siblings
    wrong = {m: ranks[m] for m in imported if ranks[m] >= ranks[module]}
    assert not wrong, f"{module} has rank {ranks[module]} and imports {wrong}; see the module map in ARCHITECTURE.md"


def test_import_direction_sees_every_form_of_import():
    source = "import migration_kit.run\nfrom migration_kit import plan\ndef f():\n    from ..data import load_data\n"
    names = imported_names(source, package="migration_kit.readers")
    assert names == {"migration_kit.run", "migration_kit.plan", "migration_kit.data.load_data"}


HEAVY = "pymc pytensor nutpie numba arviz matplotlib seaborn great_tables papermill nbconvert"


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("migration_kit", f"{HEAVY} numpy pandas pydantic"),
        *[(f"migration_kit.{name}", HEAVY) for name in ("plan", "data", "readers", "crosschecks", "preview", "cli")],
    ],
)
def test_light_modules_stay_light(module, absent):
    code = f"import sys, {module}; print(*sorted(set('{absent}'.split()) & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_public_names():
    for name in migration_kit.__all__:
        assert getattr(migration_kit, name) is not None
    assert dir(migration_kit) == sorted(migration_kit.__all__)
    with pytest.raises(AttributeError, match="no attribute 'load_plam'"):
        _ = migration_kit.load_plam


def import_name(distribution: str) -> str:
    name = canonicalize_name(distribution)
    return IMPORT_NAMES.get(name, name.replace("-", "_"))


def test_every_import_is_declared_and_every_dependency_is_used():
    declared = {import_name(name) for name in requirements(dev=False)}
    stack = [Requirement(line) for owner in NOTEBOOK_STACK for line in metadata.requires(owner)]
    brought = {import_name(r.name) for r in stack if "extra" not in str(r.marker)}
    used = set()
    for path in MODULES.values():
        used |= {name.split(".")[0] for name in imported_names(path.read_text(encoding="utf-8")) if name[0] != "."}
    undeclared = used - set(sys.stdlib_module_names) - {"migration_kit"} - declared - brought
    assert not undeclared, "imported, but not in pyproject.toml"
    for path in NOTEBOOKS:
        code = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
        used |= {name.split(".")[0] for name in imported_names(code)}
    unused = declared - USED_BY_NAME - used
    assert not unused, "in pyproject.toml, but imported nowhere"


def test_environment_yml_is_in_step_with_pyproject():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    pip_lines = next(entry["pip"] for entry in listed if isinstance(entry, dict))
    assert pip_lines[-1] == "-e ."
    lines = [entry for entry in listed if isinstance(entry, str) and entry != "pip"] + pip_lines[:-1]
    found = {canonicalize_name(r.name): r.specifier for r in map(Requirement, lines)}
    assert found.pop("python") == SpecifierSet(project()["requires-python"])
    assert found == requirements(dev=True)


def test_lock_pins_every_dependency_by_hash_and_names_no_address():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*-(?!-hash=sha256:)", text, flags=re.M), "an option in the lock"
    pins = {}
    for block in re.split(r"\n(?=[a-z0-9])", text)[1:]:
        requirement = Requirement(block.split(" \\\n")[0])
        assert "--hash=sha256:" in block, f"{requirement.name} has no hash"
        pins[canonicalize_name(requirement.name)] = str(requirement.specifier).removeprefix("==")
    for name, specifier in requirements(dev=True).items():
        assert name in pins, f"{name} is not locked: run make lock"
        assert specifier.contains(pins[name]), f"{name} {pins[name]} is outside {specifier}: run make lock"
    assert SpecifierSet(project()["requires-python"]).contains((ROOT / ".python-version").read_text().strip())


def test_wheel_ships_modules_templates_and_notebooks(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        shipped = set(wheel.namelist())
        entry_points = next(name for name in shipped if name.endswith("entry_points.txt"))
        assert "migration-kit = migration_kit.cli:main" in wheel.read(entry_points).decode()
    templates = [path for path in (PACKAGE / "templates").rglob("*") if path.is_file()]
    assert templates
    wanted = {path.relative_to(ROOT).as_posix() for path in [*MODULES.values(), *templates]}
    assert wanted <= shipped
    notebooks = {Path(name).name for name in shipped if name.startswith("migration_kit/_notebooks/")}
    assert notebooks >= {f"{stage}.ipynb" for stage in STAGES}
    assert not any(name.startswith(("tests/", "data/", "runs/")) for name in shipped)


def test_the_five_notebooks_are_there():
    assert [path.stem for path in NOTEBOOKS] == STAGES


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebook:
    def test_is_committed_without_results(self, path):
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        assert "papermill" not in notebook.metadata
        assert "widgets" not in notebook.metadata
        assert notebook.metadata.kernelspec.name == "python3"
        for cell in notebook.cells:
            assert not cell.get("outputs"), "outputs are committed"
            assert cell.get("execution_count") is None, "execution counts are committed"
            assert not {"papermill", "execution", "ExecuteTime"} & cell.metadata.keys()

    def test_opens_with_question_inputs_outputs(self, path):
        cells = nbformat.read(path, as_version=4).cells
        prose = [cell.source for cell in cells if cell.cell_type == "markdown"]
        assert cells[0].cell_type == "markdown"
        assert cells[0].source.startswith("# ")
        assert len(re.findall(r"^# ", "\n".join(prose), flags=re.M)) == 1
        for word in ("question", "input", "output"):
            assert word in cells[0].source.lower()

    def test_second_cell_holds_the_parameters(self, path):
        cells = nbformat.read(path, as_version=4).cells
        tagged = [i for i, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", [])]
        assert tagged == [1]
        lines = [line for line in cells[1].source.splitlines() if line.strip()]
        assert [line.split("=")[0].split(":")[0].strip() for line in lines] == ["run_dir", "plan", "fast", "full"]
        assert all("  # " in line for line in lines), "each parameter says in a trailing comment what it is"

    def test_code_is_short_calls(self, path):
        cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
        for cell in cells:
            assert len(cell.source.splitlines()) <= 15, cell.source
            kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
            assert not any(isinstance(node, kinds) for node in ast.walk(ast.parse(cell.source))), cell.source
        assert "open_run(" in cells[1].source
        assert ".finish(" in cells[-1].source


def test_no_machine_paths():
    pattern = re.compile(r"(?<![\w.:/<])/(?:home|Users|root|work|workspace|mnt|opt)/[\w.-]+|[A-Z]:\\\\?Users")
    found = []
    for path in project_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {hit}" for hit in pattern.findall(text)]
    assert not found


def test_own_files_name_no_package_source():
    browser = [f"tests/browser/{name}" for name in ("package.json", "package-lock.json", ".npmrc")]
    for name in ("Makefile", "pyproject.toml", "environment.yml", "requirements.lock", ".ci/run", *browser):
        assert "://" not in (ROOT / name).read_text(encoding="utf-8"), name


def test_readme_mentions_every_make_target():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    missing = [target for target in make_targets() if f"make {target}" not in readme]
    assert make_targets()
    assert not missing


def readme_blocks() -> dict[str, str]:
    """Name to text of the README's blocks that are tables, plans or parts of a plan."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^```(?:yaml|csv) (\S+)\n(.*?)^```$", readme, flags=re.M | re.S))


def test_the_migration_in_the_readme_is_valid(tmp_path):
    for name, text in readme_blocks().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    data = migration_kit.load_data(migration_kit.load_plan(tmp_path / "migration.yml"))
    assert data.items["slice"].tolist() == ["amer", "emea"]
    assert data.exclusions.empty


def test_what_the_readme_says_of_roles_preferences_raters_and_counts_is_valid(tmp_path):
    blocks = readme_blocks()
    plan = blocks["migration.yml"]
    scores = "[{path: scores.csv, where: {rater_kind: judge}}, {path: labels.csv}, {path: preferences.csv}]"
    plan = plan.replace("[{path: scores.csv}]", scores).replace("traffic.csv", "traffic-counts.csv")
    blocks["migration.yml"] = plan[: plan.index("criteria:")] + f"criteria:\n{blocks['criteria']}"
    for name, text in blocks.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    spec = migration_kit.load_plan(tmp_path / "migration.yml")
    assert [(one.role, one.weight, one.slice_margin) for one in spec.criteria] == [
        ("gate", 1.0, 0.10), ("trade-off", 0.5, None)]
    data = migration_kit.load_data(spec)
    human = data.scores[data.scores["rater_kind"] == "human"]
    preferred, correct = (human[human["criterion"] == name] for name in ("preferred", "correct"))
    assert preferred[["item_id", "side", "value"]].to_numpy().tolist() == [["q1", "left", 1], ["q2", "right", -1]]
    mirrored = data.exclusions["reason"] == "mirrored row of a preference that stands there already"
    assert data.exclusions.loc[mirrored, "n"].tolist() == [1]
    assert correct.groupby("item_id")["rater"].nunique().to_dict() == {"q1": 2, "q2": 1}
    assert correct.groupby("item_id")["inclusion_prob"].unique().map(list).to_dict() == {"q1": [0.5], "q2": [0.2]}
    assert data.traffic["count"].tolist() == [1190, 510]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"`{side}`" in readme for side in SIDES)


def test_what_the_readme_says_of_live_requests_is_valid(tmp_path):
    blocks = readme_blocks()
    plan = blocks["migration.yml"].replace("scores: [{path: scores.csv}]", "scores: [{path: scores.csv}]\n"
                                           "  live: [{path: live.csv}]") + blocks["live"]
    assert "live.csv" in plan
    for name, text in {**blocks, "migration.yml": plan}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    spec = migration_kit.load_plan(tmp_path / "migration.yml")
    assert [one.id for one in spec.live_gates] == ["resolved", "latency"] and spec.stakeholders[0].signs
    data = migration_kit.load_data(spec)
    assert data.live["stage"].value_counts().to_dict() == {"shadow": 4, "canary": 3, "anchor": 1}
    assert data.exclusions.empty and data.notes.empty


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md"])
def test_links_lead_somewhere(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert not missing
