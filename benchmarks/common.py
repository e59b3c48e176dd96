"""What the benchmarks share: replicates side by side that can be stopped and taken up again, and their summary."""

import ast
import hashlib
import os
import time
from collections.abc import Callable, Mapping
from datetime import date
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from joblib import Parallel, delayed
from tqdm import tqdm

from migration_kit.data import EvalData
from migration_kit.features import build_features
from migration_kit.inference import Compiled, compile_model, fit
from migration_kit.judgments import label_rows
from migration_kit.plan import Plan
from migration_kit.plan_spec import SamplingSpec
from migration_kit.shape import Shape, shape_of
from migration_kit.simulate import Pairs, score_rows

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
REPLICATES = Path(os.environ.get("BENCHMARK_REPLICATES", ROOT / "runs" / "benchmarks"))
MODULES = ("features", "metric_features", "judgments", "shape", "calibration", "priors", "inference", "prediction",
           "small_slices", "estimands", "crosschecks", "robust", "strata", "intervals")
WORKERS = 2
MOST_COMPILED = 24
SPARE_ITEMS = 1.2
compiled: list[Compiled] = []


def code_digest(*more: str, modules: tuple[str, ...] = MODULES) -> str:
    """Digest of the modules the figures rest on, comments aside; a change of code starts the replicates anew."""
    paths = [ROOT / "migration_kit" / f"{name}.py" for name in (*modules, *more)]
    content = "".join(ast.dump(ast.parse(path.read_text(encoding="utf-8"))) for path in paths)
    return hashlib.sha256(content.encode()).hexdigest()[:8]


def run_replicates(
    study: str, replicate: Callable[[int], pd.DataFrame], number: int, *, workers: int = WORKERS
) -> pd.DataFrame:
    """Return the rows of replicates 0 to number − 1 of one study; see `run_cells`."""
    return run_cells(study, {"all": replicate}, number, chunk=1, workers=workers)["all"]


def run_cells(
    study: str,
    cells: Mapping[str, Callable[[int], pd.DataFrame]],
    number: int,
    *,
    chunk: int,
    workers: int = WORKERS,
) -> dict[str, pd.DataFrame]:
    """Run replicates 0 to number − 1 of every cell, chunk by chunk, the cells in turn.

    Parameters
    ----------
    study : str
        Folder under ``runs/benchmarks`` (or under the folder that ``BENCHMARK_REPLICATES`` names).
    cells : mapping
        Name of a cell to the function that returns the rows of one replicate.
    number, chunk : int
        Replicates of every cell, and how many of them share a file. A chunk that has a file is read, not run again, so
        the files of one study keep the size of their chunks.
    workers : int
        Processes side by side.

    Returns
    -------
    dict of DataFrame
        By cell; columns ``replicate`` and ``cpu_s`` added.
    """
    starts = range(0, number, chunk)
    files = {(start, name): REPLICATES / study / name / f"{start:05d}-{min(start + chunk, number) - 1:05d}.parquet"
             for start, name in product(starts, cells)}
    waiting = [key for key, file in files.items() if not file.exists()]
    # Processes that each use every core for their arrays would only stand in each other's way.
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    # The default backend ends a worker that has grown by 300 MB, and with it the models it has compiled.
    pool = Parallel(n_jobs=workers, backend="multiprocessing", pre_dispatch="n_jobs", batch_size=1)
    begun = tqdm(waiting, desc=study, total=len(files), initial=len(files) - len(waiting), unit="chunk")
    pool(delayed(_keep)(cells[name], range(start, min(start + chunk, number)), files[start, name])
         for start, name in begun)
    return {name: pd.concat([pd.read_parquet(files[start, name]) for start in starts], ignore_index=True)
            for name in cells}


def _keep(replicate: Callable[[int], pd.DataFrame], numbers: range, file: Path) -> None:
    parts = []
    for number in numbers:
        start = time.process_time()
        rows = replicate(number)
        parts.append(rows.assign(replicate=number, cpu_s=time.process_time() - start))
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    pd.concat(parts, ignore_index=True).to_parquet(part, index=False)
    part.replace(file)


def fit_all(features: list[xr.Dataset], *, draws: int, tune: int, seed: int, chains: int = 2) -> list[xr.DataTree]:
    """Fit every criterion; a model is compiled once a process for all data of about its shape."""
    rows = [label_rows(one) for one in features]
    fitting = next((one for one in compiled if all(any(_snug(shape, each) for shape, _ in one.parts) for each in rows)),
                   None)
    if fitting is None:
        fitting = compile_model(features)
        compiled.insert(0, fitting)
        del compiled[MOST_COMPILED:]
    sampling = SamplingSpec(draws=draws, tune=tune, chains=chains, seed=seed)
    return [fit(one, sampling, compiled=fitting) for one in features]


def _snug(shape: Shape, rows: xr.Dataset) -> bool:
    own = shape_of(rows)
    # Spare components keep their prior and cost little; spare items are parameters to be sampled.
    return (shape.holds(rows) and (shape.models, shape.slices) == (own.models, own.slices)
            and shape.items <= SPARE_ITEMS * own.items)


def pairs_features(pairs: Pairs) -> tuple[xr.Dataset, Plan]:
    """Features and plan of a simulated migration: models `m0`, `m1`, ..., metrics `judge_0`, ..., slices `s0`, ..."""
    n_items, n_models, n_metrics = pairs.metrics.shape
    models, metrics = ([f"{kind}{k}" for k in range(n)] for kind, n in (("m", n_models), ("judge_", n_metrics)))
    slices = np.array([f"s{k}" for k in range(len(pairs.traffic))])
    item_id = np.array([f"i{k:05d}" for k in range(n_items)])
    gate = {"id": "correct", "role": "gate", "metrics": metrics, "margin": 0.03}
    plan = Plan.model_validate({
        "title": "Simulated",
        "models": {"incumbent": {"id": models[0]}, "candidates": [{"id": name} for name in models[1:]]},
        "data": {"items": {"path": "items.csv"}, "scores": {"path": "scores.csv"}},
        "metrics": [{"id": name, "better": "higher"} for name in metrics],
        "slices": ["region"] if len(slices) > 1 else [],
        "criteria": [gate],
    })
    label = np.where(pairs.labelled[:, None], pairs.truth, np.nan)
    raters = [(name, "judge", pairs.metrics[:, :, k]) for k, name in enumerate(metrics)] + [("anna", "human", label)]
    scores = pd.concat([score_rows(item_id, models, values, criterion="correct", rater=rater, rater_kind=kind)
                        for rater, kind, values in raters], ignore_index=True)
    scores["repeat"], scores["inclusion_prob"] = "0", np.nan
    if np.ptp(pairs.inclusion_prob) > 0:
        chance = pd.Series(pairs.inclusion_prob, index=item_id)
        human = scores["rater_kind"] == "human"
        scores.loc[human, "inclusion_prob"] = scores.loc[human, "item_id"].map(chance)
    named = slices[pairs.slice]
    data = EvalData(
        items=pd.DataFrame({"item_id": item_id, "slice": named, "region": named}),
        scores=scores.dropna(subset="value").reset_index(drop=True),
        outputs=pd.DataFrame({"item_id": [], "model": []}, dtype=str),
        traffic=pd.DataFrame({"slice": slices, "share": pairs.traffic, "count": np.nan}),
        held_out=scores.iloc[:0],
        exclusions=pd.DataFrame(columns=["table", "model", "reason", "n"]),
    )
    return build_features(data, plan, "correct"), plan


def coverage_table(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Coverage, width and error by group.

    Parameters
    ----------
    rows : DataFrame
        One row an interval: replicate, mean, sd, lower, upper, truth, and the columns of `by`. Where the spread of the
        truth around that of the population is known, ``truth_sd``.
    by : list of str
        Columns that make a group.

    Returns
    -------
    DataFrame
        ``coverage``, ``coverage_population`` and ``width`` with Monte Carlo errors (``_mc``) over replicates, because
        the intervals of one replicate share their labels · ``bias``, ``rmse`` · ``z_mean``, ``z_sd`` of
        (estimate − truth) / sd.
    """
    error = rows["mean"] - rows["truth"]
    measured = rows[["replicate", *by]].assign(
        coverage=((rows["lower"] <= rows["truth"]) & (rows["truth"] <= rows["upper"])).astype(float),
        width=rows["upper"] - rows["lower"],
        bias=error,
        square=error**2,
        z=error / rows["sd"],
        z_square=(error / rows["sd"]) ** 2,
    )
    averaged = ["coverage", "width", "bias", "square", "z", "z_square"]
    more = [name for name in ("coverage_population", "switch") if name in rows]
    measured[more] = rows[more].astype(float)
    averaged[1:1] = more
    once = measured.groupby([*by, "replicate"], sort=False)[averaged].mean()
    mean, spread = (getattr(once.groupby(by, sort=False), name)() for name in ("mean", "std"))
    count = once.groupby(by, sort=False).size()
    table = pd.DataFrame(index=mean.index)
    for name in averaged[:-3]:
        table[name], table[f"{name}_mc"] = mean[name], spread[name] / np.sqrt(count)
    table["rmse"], table["z_mean"] = np.sqrt(mean["square"]), mean["z"]
    table["z_sd"] = np.sqrt(mean["z_square"] - mean["z"] ** 2)
    return table.assign(replicates=count).reset_index()


def with_other_cells(table: pd.DataFrame, name: str, *, cell: list[str], code: str) -> pd.DataFrame:
    """Add the rows of the written table whose cells the new one lacks, if the same code made them."""
    file = RESULTS / f"{name}.csv"
    if not file.exists():
        return table
    written = pd.read_csv(file, dtype={"code": str})
    written = written[written["code"] == code]
    if written.empty:
        return table
    new = pd.MultiIndex.from_frame(table[cell])
    others = written.loc[~pd.MultiIndex.from_frame(written[cell]).isin(new), table.columns]
    return pd.concat([others, table], ignore_index=True).sort_values(cell, kind="stable", ignore_index=True)


def write_result(table: pd.DataFrame, name: str, *, seed: int, code: str) -> None:
    """Write a table of results and print it."""
    table = table.assign(seed=seed, date=date.today().isoformat(), code=code).round({"cpu_s": 0})
    RESULTS.mkdir(parents=True, exist_ok=True)
    table.round(4).to_csv(RESULTS / f"{name}.csv", index=False, lineterminator="\n")
    with pd.option_context("display.width", 250, "display.max_columns", 40, "display.max_rows", 60):
        print(table.round(4))
