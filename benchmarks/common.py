"""What the benchmarks share: replicates in two processes that can be stopped and taken up again, and their summary."""

import ast
import hashlib
import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from migration_kit.features import label_rows
from migration_kit.inference import Compiled, compile_model, fit
from migration_kit.plan_spec import SamplingSpec

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
REPLICATES = ROOT / "runs" / "benchmarks"
MODULES = ("features", "calibration", "priors", "inference", "estimands", "crosschecks", "strata", "intervals")
WORKERS = 2
compiled: list[Compiled] = []


def code_digest(*more: str) -> str:
    """Digest of the modules the figures rest on, comments aside; a change of code starts the replicates anew."""
    paths = [ROOT / "migration_kit" / f"{name}.py" for name in (*MODULES, *more)]
    content = "".join(ast.dump(ast.parse(path.read_text(encoding="utf-8"))) for path in paths)
    return hashlib.sha256(content.encode()).hexdigest()[:8]


def run_replicates(study: str, replicate: Callable[[int], pd.DataFrame], number: int) -> pd.DataFrame:
    """Return the rows of replicates 0 to number − 1, with columns ``replicate`` and ``cpu_s`` added.

    Every replicate is kept in ``runs/benchmarks/<study>``; those already there are read, not run again.
    """
    folder = REPLICATES / study
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{k:04d}.parquet" for k in range(number)]
    waiting = [k for k in range(number) if not files[k].exists()]
    # Two processes that each use every core for their arrays would only stand in each other's way.
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(_keep, replicate, k, files[k]) for k in waiting]
        try:
            for done, future in enumerate(as_completed(futures), start=number - len(waiting) + 1):
                print(f"{study}: {done} of {number} replicates, the last took {future.result():.0f} CPU s", flush=True)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)


def _keep(replicate: Callable[[int], pd.DataFrame], number: int, file: Path) -> float:
    start = time.process_time()
    rows = replicate(number)
    seconds = time.process_time() - start
    part = file.with_suffix(".part")
    rows.assign(replicate=number, cpu_s=seconds).to_parquet(part, index=False)
    part.replace(file)
    return seconds


def fit_all(features: list[xr.Dataset], *, draws: int, tune: int, seed: int) -> list[xr.DataTree]:
    """Fit every criterion with two chains; the model is compiled once a process."""
    if not compiled or not all(compiled[0].shape.holds(label_rows(one)) for one in features):
        compiled[:] = [compile_model(features)]
    sampling = SamplingSpec(draws=draws, tune=tune, chains=2, seed=seed)
    return [fit(one, sampling, compiled=compiled[0]) for one in features]


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
    if "coverage_population" in rows:
        measured["coverage_population"] = rows["coverage_population"]
        averaged.insert(1, "coverage_population")
    once = measured.groupby([*by, "replicate"], sort=False)[averaged].mean()
    mean, spread = (getattr(once.groupby(by, sort=False), name)() for name in ("mean", "std"))
    count = once.groupby(by, sort=False).size()
    table = pd.DataFrame(index=mean.index)
    for name in averaged[:-3]:
        table[name], table[f"{name}_mc"] = mean[name], spread[name] / np.sqrt(count)
    table["rmse"], table["z_mean"] = np.sqrt(mean["square"]), mean["z"]
    table["z_sd"] = np.sqrt(mean["z_square"] - mean["z"] ** 2)
    return table.assign(replicates=count).reset_index()


def write_result(table: pd.DataFrame, name: str, *, seed: int, code: str) -> None:
    """Write a table of results and print it."""
    table = table.assign(seed=seed, date=date.today().isoformat(), code=code).round({"cpu_s": 0})
    RESULTS.mkdir(parents=True, exist_ok=True)
    table.round(4).to_csv(RESULTS / f"{name}.csv", index=False, lineterminator="\n")
    with pd.option_context("display.width", 250, "display.max_columns", 40, "display.max_rows", 60):
        print(table.round(4))
