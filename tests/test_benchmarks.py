"""The benchmarks judge the kit; here they are judged: they start, their draws differ, and coverage is counted right."""

import importlib
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

FOLDER = ROOT / "benchmarks"
# peers.py needs the packages it measures, in an environment of their own.
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in ("common", "real_data", "peers"))


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """Return how a script is imported; its replicates and tables go into a folder of the test."""
    monkeypatch.syspath_prepend(str(FOLDER))
    common = importlib.import_module("common")
    monkeypatch.setattr(common, "REPLICATES", tmp_path / "replicates")
    monkeypatch.setattr(common, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(common, "compiled", common.compiled[:])
    return importlib.import_module


def run(script, monkeypatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", [script.__name__, *arguments])
    script.main()


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_starts_and_names_the_tables_it_writes(bench, name, monkeypatch, capsys):
    script = bench(name)
    with pytest.raises(SystemExit) as ended:
        run(script, monkeypatch, "--help")
    assert ended.value.code == 0 and "--" in capsys.readouterr().out
    assert "Writes benchmarks/results/" in script.__doc__.splitlines()[0]


def test_coverage_is_counted_by_replicate(bench):
    # Two intervals of one replicate miss together, so the error is that of four replicates, not of eight intervals.
    hit = np.repeat([1, 1, 1, 0], 2)
    rows = pd.DataFrame({"replicate": np.repeat(range(4), 2), "method": "m", "mean": 1.0 + 3.0 * (1 - hit), "sd": 0.5,
                         "truth": 1.0})
    rows["lower"], rows["upper"] = rows["mean"] - 1, rows["mean"] + 1
    (one,) = bench("common").coverage_table(rows, ["method"]).to_dict("records")
    assert one["replicates"] == 4 and one["coverage"] == 0.75
    assert one["coverage_mc"] == pytest.approx(np.std([1, 1, 1, 0], ddof=1) / 2)
    assert (one["width"], one["bias"], one["rmse"]) == (2, 0.75, 1.5)
    assert one["z_mean"] == 1.5 and one["z_sd"] == pytest.approx(np.std([0, 0, 0, 6]))


def test_an_interval_whose_end_is_the_truth_covers_it(bench):
    rows = pd.DataFrame({"replicate": [0, 1], "method": "m", "mean": 0.0, "sd": 1.0, "truth": 0.0,
                         "lower": [0.0, -1.0], "upper": [1.0, 0.0]})
    assert bench("common").coverage_table(rows, ["method"])["coverage"].tolist() == [1.0]


def test_draws_of_labels_differ_from_one_another(bench):
    script = bench("sentiment_labels")
    one, again, other = (script.drawn_features(number)["label"] for number in (0, 0, 1))
    assert one.equals(again) and not one.equals(other)
    assert int((~one.isnull()).any("model").sum()) == int((~other.isnull()).any("model").sum()) == 200


def test_replicates_that_were_kept_are_read_and_not_run_again(bench):
    common, ran = bench("common"), []

    def replicate(number: int) -> pd.DataFrame:
        ran.append(number)
        return pd.DataFrame({"value": [float(number)]})

    common._keep(replicate, range(2), common.REPLICATES / "study" / "cell" / "00000-00001.parquet")
    found = common.run_cells("study", {"cell": replicate}, 2, chunk=2, workers=1)["cell"]
    assert ran == [0, 1] and found["value"].tolist() == [0.0, 1.0] and found["replicate"].tolist() == [0, 1]


@pytest.mark.slow
def test_scenario_g_tells_its_odd_region_apart(bench, monkeypatch):
    script = bench("simulated")
    run(script, monkeypatch, "--scenarios", "G", "--n", "50", "--replicates", "2", "--workers", "1")
    table = pd.read_csv(bench("common").RESULTS / "simulated.csv")
    contrast = table[table["quantity"].eq("contrast") & table["method"].eq("calibrated")].set_index("slices")
    assert set(contrast.index) == {"all", "odd", "ordinary"} and set(table["replicates"]) == {2}
    assert contrast["truth"].loc[["odd", "ordinary"]].tolist() == pytest.approx([-0.11, 0.04])


@pytest.mark.slow
def test_the_explorers_benchmark_moves_every_control(bench, monkeypatch):
    run(bench("explorer"), monkeypatch, "--moves", "1")
    table = pd.read_csv(bench("common").RESULTS / "explorer.csv")
    committed = pd.read_csv(FOLDER / "results" / "explorer.csv")
    assert table["moved"].tolist() == committed["moved"].tolist() and table["median_s"].notna().all()
