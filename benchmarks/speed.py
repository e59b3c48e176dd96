"""How soon does the kit answer, and with how much memory? Writes benchmarks/results/speed.csv.

Simulated migrations are written as tables, and the commands run on them as their users run them. ``allowed`` is the
goal in seconds: fixed, or a multiple of what cannot be avoided (column ``goal`` says which), measured in the same run:
five empty notebooks through papermill, one import of PyMC and ArviZ, one compilation of the model (warm: read back),
and one sampling a gate. ``ratio`` is seconds over allowed; above 1 the goal is missed. Figures are of one machine and
of what else it does meanwhile, so nothing else should run. ``peak_mib`` is the largest process, ``cpu_s`` all of them.

Run: python benchmarks/speed.py --repeats 3     --large 5300000 says how many items the large migration has
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import arviz as az
import nbformat
import numpy as np
import pandas as pd
import papermill
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from common import ROOT, code_digest, write_result

from migration_kit.data import load_data
from migration_kit.estimands import TOTAL, quality
from migration_kit.features import build_features
from migration_kit.inference import compile_model, fit
from migration_kit.plan import load_plan
from migration_kit.plan_spec import SamplingSpec
from migration_kit.simulate import simulate_pairs

SEED = 20261130
KIT = Path(sys.executable).parent / "migration-kit"
REGIONS = ("amer", "emea", "apac", "latam", "africa", "oceania")
CANDIDATES = (0.84, 0.82, 0.78, 0.74, 0.88)
INCUMBENT = 0.80
JUDGES = ((0.90, 0.70), (0.85, 0.60), (0.95, 0.50))
EMPTY_NOTEBOOKS = 5
SMALL, WIDE, LONG = "2 × 1,000 items", "2 × 1,000,000 rows", "20,000 items × 2 × 3"
# A small process in between: what is started counts the memory of its parent as its own.
MEASURE = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss]))
"""


@dataclass(frozen=True)
class Case:
    """How large a migration is."""

    items: int
    labels: int
    models: int = 2
    gates: int = 1
    judges: int = 1


CASES = {
    "full run": Case(2_000, 100, models=6, gates=3, judges=3),
    SMALL: Case(1_000, 100),
    WIDE: Case(1_000_000, 2_000),
    LONG: Case(20_000, 200, judges=3),
}


def write_migration(case: Case, folder: Path) -> Path:
    """Write a simulated migration as wide Parquet tables of verdicts, one a gate, and return its plan."""
    folder.mkdir()
    models = [f"m{number}" for number in range(case.models)]
    judges, gates = [f"judge_{k}" for k in range(case.judges)], [f"gate_{k}" for k in range(case.gates)]
    item_id = np.char.add("i", np.arange(case.items).astype(str))
    region = np.array(REGIONS)[np.random.default_rng(SEED).integers(len(REGIONS), size=case.items)]
    pq.write_table(pa.table({"item_id": item_id, "region": region}), folder / "items.parquet")
    rates = np.array(JUDGES[: case.judges])[:, :, None].repeat(case.models, axis=2)
    human, scores = [], [{"path": "labels.parquet"}]
    for number, gate in enumerate(gates):
        drawn = simulate_pairs(quality=(INCUMBENT, *CANDIDATES[: case.models - 1]), sensitivity=rates[:, 0],
                               specificity=rates[:, 1], n_labels=case.labels, n_unlabelled=case.items - case.labels,
                               seed=SEED + number)
        tables = []
        for m, model in enumerate(models):
            verdicts = dict(zip(judges, drawn.metrics[:, m].T, strict=True))
            tables.append(pa.table({"item_id": item_id, "model": np.full(case.items, model), **verdicts}))
            human.append(pd.DataFrame({
                "item_id": item_id[drawn.labelled], "model": model, "criterion": gate, "rater": "anna",
                "rater_kind": "human", "value": drawn.truth[drawn.labelled, m]}))
        pq.write_table(pa.concat_tables(tables), folder / f"{gate}.parquet")
        scores.append({"path": f"{gate}.parquet", "values": {
            judge: {"criterion": gate, "rater": judge, "rater_kind": "judge"} for judge in judges}})
    pd.concat(human).to_parquet(folder / "labels.parquet", index=False)
    plan = {
        "title": "Speed",
        "models": {"incumbent": {"id": models[0]}, "candidates": [{"id": model} for model in models[1:]]},
        "data": {"items": {"path": "items.parquet"}, "scores": scores},
        "slices": ["region"],
        "criteria": [{"id": gate, "role": "gate", "metrics": judges, "margin": 0.03} for gate in gates],
    }
    (folder / "migration.yml").write_text(yaml.safe_dump(plan), encoding="utf-8")
    return folder / "migration.yml"


def timed(*command: str | Path, repeats: int = 1, also: Mapping[str, str] | None = None) -> dict[str, float]:
    """Run a command; medians of seconds and of CPU seconds, and the largest process of all runs."""
    runs = []
    for _ in range(repeats):
        found = subprocess.run([sys.executable, "-c", MEASURE, *map(str, command)], capture_output=True, text=True,
                               cwd=ROOT, env=os.environ | dict(also or {}))
        if found.returncode:
            raise SystemExit(f"{' '.join(map(str, command))}: failed\n{found.stderr[-2000:]}")
        runs.append(json.loads(found.stdout.splitlines()[-1]))
    seconds, cpu, peak = zip(*runs, strict=True)
    return {"seconds": float(np.median(seconds)), "cpu_s": float(np.median(cpu)), "peak_mib": max(peak) / 1024,
            "repeats": repeats}


def floor(plan_file: Path) -> dict[str, float]:
    """Seconds of what a run cannot do without, and effective samples of contrasts per CPU second of sampling."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "empty.ipynb"
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(nbformat.v4.new_notebook(metadata=kernel), empty)
        for _ in range(EMPTY_NOTEBOOKS):
            papermill.execute_notebook(empty, empty, progress_bar=False)
    notebooks = time.perf_counter() - start
    imports = timed(sys.executable, "-c", "import pymc, arviz")["seconds"]
    plan = load_plan(plan_file)
    data = load_data(plan)
    features = [build_features(data, plan, gate.id) for gate in plan.gates]
    start = time.perf_counter()
    compiled = compile_model(features)
    compiling = time.perf_counter() - start
    start, cpu = time.perf_counter(), time.process_time()
    fits = [fit(one, SamplingSpec(), compiled=compiled) for one in features]
    sampling, cpu = time.perf_counter() - start, time.process_time() - cpu
    effective = []
    for one, tree in zip(features, fits, strict=True):
        drawn = quality(tree, one, traffic=True, seed=SEED)["calibrated"].sel(slice=TOTAL)
        contrast = drawn.sel(model=list(plan.candidates)) - drawn.sel(model=plan.incumbent, drop=True)
        effective.append(float(az.ess(contrast.to_dataset(name="contrast"))["contrast"].mean()))
    return {"floor": notebooks + imports + compiling + sampling, "compiling": compiling,
            "effective_per_cpu_s": sum(effective) / cpu}


def measured(folder: Path, *, repeats: int, large: int) -> Iterator[dict]:
    """A row for each goal."""
    plans = {name: write_migration(case, folder / f"case{number}") for number, (name, case) in enumerate(CASES.items())}

    def row(what: str, goal: str, allowed: float, *command: str | Path, repeats: int = repeats, **also) -> dict:
        found = timed(*command, repeats=repeats, **also)
        return {"what": what, "goal": goal, "allowed": allowed, **found, "ratio": found["seconds"] / allowed}

    yield row("import migration_kit", "0.3 s", 0.3, sys.executable, "-c", "import migration_kit")
    yield row("--help", "0.5 s", 0.5, KIT, "--help")
    yield row(f"check, {SMALL}", "1.5 s", 1.5, KIT, "check", plans[SMALL])
    yield row(f"preview, {SMALL}", "1.5 s", 1.5, KIT, "preview", plans[SMALL])
    yield row(f"preview, {WIDE}, 2,000 labels", "5 s", 5, KIT, "preview", plans[WIDE])
    yield row("labels --n 100, 6 models, 3 gates", "5 s", 5, KIT, "labels", plans["full run"], "--n", "100", "--out",
              folder / "next.csv", repeats=1)

    def whole(plan: Path, name: str) -> tuple[str | Path, ...]:
        return KIT, "run", plan, "--run-dir", folder / name, "--force", "--quiet"

    # Compiled models are kept where these point, at first an empty folder: a machine that has never compiled one.
    kept = {name: {"PYTENSOR_FLAGS": f"base_compiledir={folder / name}", "NUMBA_CACHE_DIR": str(folder / name)}
            for name in ("caches", "caches_of_floor")}
    for caches in ("cold", "warm"):
        least = subprocess.run([sys.executable, __file__, "--floor", str(plans["full run"])], check=True, cwd=ROOT,
                               capture_output=True, text=True, env=os.environ | kept["caches_of_floor"])
        least = json.loads(least.stdout.splitlines()[-1])
        yield row(f"full run, 3 gates × 6 models × 6 regions × 2,000 items, {caches} caches",
                  f"1.5 × {least['floor']:.0f} s", 1.5 * least["floor"], *whole(plans["full run"], "full"),
                  repeats=repeats if caches == "warm" else 1, also=kept["caches"])
    yield {"what": "effective samples of contrasts per CPU second", "goal": "200", "allowed": 200,
           "ratio": 200 / least["effective_per_cpu_s"]}
    small = row(f"full run, {LONG}", "", np.nan, *whole(plans[LONG], "small_run"), repeats=1)
    yield small
    most = 1.3 * small["seconds"] + 15
    plan = write_migration(Case(large, 200, judges=3), folder / "large")
    yield row(f"full run, {large:,} items × 2 × 3", "1.3 × the run before + 15 s, 2,048 MiB", most,
              *whole(plan, "large_run"), repeats=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="runs of each command, of which the median counts")
    parser.add_argument("--large", type=int, default=5_300_000, help="items of the large migration")
    parser.add_argument("--floor", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.floor:
        print(json.dumps(floor(given.floor)))
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for one in measured(Path(folder), repeats=given.repeats, large=given.large):
            rows.append(one)
            print(one, flush=True)
    code = code_digest("data", "readers/table", "readers/files", "contract/scores", "preview", "pipeline", "render")
    write_result(pd.DataFrame(rows), "speed", seed=SEED, code=code)


if __name__ == "__main__":
    main()
