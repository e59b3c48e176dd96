"""What the tables of benchmarks/README.md say is what the committed results hold, figure by figure."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd
import pytest
from conftest import ROOT

FOLDER = ROOT / "benchmarks"
METHODS = {"calibrated": "**calibrated**", "corrected": "corrected", "ppi": "PPI++", "verdict_strata": "verdict strata",
           "labels_only": "labels only"}
PEERS = ("**calibrated**", "ppi-python", "truescore", "cje-eval", "labels alone")
MISLEADING = {"prefers the worse": "prefers the worse (61 pairs)", "far off": "is far off (19)",
              "right": "is right (8 controls)", "all pairs": "all 88"}


class Row(NamedTuple):
    """A row of a table of the README: its first cell, and its figures with the digits they are told with."""

    table: str
    name: str
    figures: list[tuple[float, int]]


def result(name: str, **where: object) -> pd.DataFrame:
    rows = pd.read_csv(FOLDER / "results" / f"{name}.csv")
    for column, value in where.items():
        rows = rows[rows[column] == value]
    return rows


def percents(values, digits: int = 1) -> list[tuple[float, int]]:
    return [(100 * value, digits) for value in values]


def simulated() -> Iterator[Row]:
    mean = result("simulated", slices="all").groupby(["quantity", "method"])["coverage"].mean()
    for method, name in METHODS.items():
        yield Row("contrasts covered | qualities", name, percents([mean["contrast", method], mean["quality", method]]))


def families() -> Iterator[Row]:
    rows = result("families").set_index(["family", "quantity", "slices", "model", "method"])
    for family in rows.index.unique("family"):
        one = rows.loc[family].sort_index()
        contrast, each = one.loc[("contrast", "all", "candidate")], one.loc[("contrast", "each", "candidate")]
        figures = [*percents(contrast.loc[["calibrated", "labels_only"], "coverage"]),
                   (contrast.loc["calibrated", "width_to_labels"], 2), *percents([each.loc["calibrated", "coverage"]])]
        for model in ("candidate", "incumbent") if family != "pairwise" else ():
            figures += percents(one.loc[("quality", "all", model), "coverage"][["calibrated", "labels_only"]])
        yield Row("what it tries | contrast", f"`{family}`", figures)


def peers() -> Iterator[Row]:
    rows = result("peers", slices="all")
    own = result("simulated", slices="all", method="calibrated").assign(method="**calibrated**")
    rows = pd.concat([rows, own[own["scenario"].isin(rows["scenario"])]]).set_index(["scenario", "n_labels"])
    for name in PEERS:
        contrast, quality = (rows[(rows["method"] == name) & (rows["quantity"] == kind)]
                             for kind in ("contrast", "quality"))
        base = rows[(rows["method"] == "ppi-python") & (rows["quantity"] == "contrast")]["width"]
        width = (contrast["width"] / base).groupby("n_labels").mean()
        yield Row("contrast covered, 50 / 100 / 200", name, [
            *percents(contrast.groupby("n_labels")["coverage"].mean()),
            *([(1, 0)] if name == "ppi-python" else [(value, 2) for value in width]),
            *percents(quality.groupby("n_labels")["coverage"].mean()),
            *percents([quality.loc[("F", 50), "coverage"].mean()]), *percents(contrast.loc["E", "switch"]),
            *percents(contrast.loc["C", "switch"], 0)])


def rounds() -> Iterator[Row]:
    rows = result("label_plans_rounds", quantity="contrast").set_index(["method", "scenario"])
    for method, name in (METHODS | {"verdict_strata": "within verdicts"}).items():
        told = f"{name.strip('*')}: coverage"
        four = rows.loc[method].loc[["A", "C", "F", "J"], ["coverage", "coverage_mc"]]
        yield Row("contrast | A | C", f"**{told}**" if "*" in name else told, percents(four.to_numpy().ravel()))


def misleading() -> Iterator[Row]:
    rows = result("misleading").set_index(["metric_is", "method"])
    for kind, name in MISLEADING.items():
        one = rows.loc[kind]
        figures = percents([one.loc["calibrated", "wrong"]], 0)
        if kind == "prefers the worse":
            figures += percents([one.loc["raw", "wrong"]], 0)
        alarm = one.loc["calibrated", ["alarm", "alarm_mc"]].tolist()
        figures += percents(alarm[: 1 + (alarm[0] > 0)], 0)
        for method in ("calibrated", "labels_only", "ppi"):
            with_error = (method == "calibrated" and one.loc[method, "coverage"] < 1) or kind == "all pairs"
            figures += percents(one.loc[method, ["coverage", "coverage_mc"][: 1 + with_error]])
        yield Row("wrong winner claimed", name, figures)


def real_pairs() -> Iterator[Row]:
    rows = result("real_pairs", quantity="contrast").set_index(["study", "labelled", "method"])
    for study in rows.index.unique("study"):
        figures = []
        for labelled in rows.loc[study].index.unique("labelled"):
            one = rows.loc[study, labelled]
            figures += percents(one.loc["calibrated", ["coverage", "coverage_mc"]])
            figures += percents(one.loc[["labels_only", "ppi_primary_metric"], "coverage"])
            figures += [(value, 2) for value in one.loc["calibrated", ["against_labels", "against_ppi"]]]
        yield Row("study | 50 labels: calibrated", f"`{study}`", figures)


def real_pairs_overall() -> Iterator[Row]:
    rows = result("real_pairs_overall").set_index(["with", "method", "labelled"])
    names = {"calibrated": "**calibrated**", "corrected": "corrected", "labels_only": "labels only",
             "ppi_primary_metric": "PPI++ on the primary metric", "ppi_mean_metric": "PPI++ on the mean metric"}
    for method, name in names.items():
        figures = []
        for labelled in (50, 100):
            one = rows.loc["all metrics", method, labelled]
            figures += percents(one[["coverage", "coverage_population"]])
            beside = ("against_labels", "against_ppi", "against_best_ppi")
            figures += [(one[key], 2) for key in beside if one[key] == one[key]]
        yield Row("over all studies", name, figures)


def real_pairs_alone() -> Iterator[Row]:
    rows = result("real_pairs_alone", quantity="contrast")
    for study in rows["study"].unique():
        mine = rows[rows["study"] == study]
        figures = [(mine["metrics"].nunique() - 1, 0)]
        for labelled in mine["labelled"].unique():
            here = mine[mine["labelled"] == labelled]
            one = here[here["metrics"] == "each"].set_index("method")
            worst = here.loc[(here["method"] == "calibrated") & (here["metrics"] != "each"), "coverage"].min()
            figures += [(one.loc["calibrated", "replicates"], 0),
                        *percents(one.loc["calibrated", ["coverage", "coverage_mc"]]),
                        *percents(one.loc[["labels_only", "ppi_primary_metric"], "coverage"]), *percents([worst], 0),
                        *((value, 2) for value in one.loc["calibrated", ["against_labels", "against_ppi"]])]
        yield Row("study | metrics | 50 labels: draws", f"`{study}`", figures)


def small_slices() -> Iterator[Row]:
    rows = result("small_slices").set_index(["cell", "method"])
    for cell in rows.index.unique("cell"):
        alone, mine = (rows.loc[(cell, method)] for method in ("bootstrap alone", "with imagined items"))
        yield Row("small slice", {"1 items": "1 item"}.get(cell, cell if "items" in cell else f"`{cell}`"), [
            *percents([alone["coverage"]]), *percents(mine[["coverage", "coverage_mc"]]), (alone["width"], 2),
            (mine["width"], 2), *percents([alone["false_loss"], mine["false_loss"]]), (mine["moved"], 2)])


def trials_in_a() -> Iterator[Row]:
    rows = result("trials", data="A", n_labels=50).set_index(["trial", "method", "quantity", "model"])
    for trial in rows.index.unique("trial"):
        method = "corrected" if trial.startswith("correction") else "calibrated"
        one = rows.loc[trial, method, "contrast", "m1"]
        figures = percents(one[["coverage", "coverage_mc"]])
        figures += percents(one[["change", "change_mc"]]) if not trial.startswith("as it is") else []
        yield Row("A from 50 labels", trial, [*figures, (one["width"], 3), (one["rmse"], 3), (one["z_sd"], 2)])


def trials_of_slices() -> Iterator[Row]:
    rows = result("trials", method="calibrated").set_index(["trial", "data", "n_labels", "quantity", "slices", "model"])
    for trial in rows.loc[:, "sentiment", :].index.unique("trial"):
        one, figures = rows.loc[trial], []
        for slices in ("odd", "ordinary"):
            for n_labels in (100, 200):
                cell = one.loc["G", n_labels, "contrast", slices, "m1"]
                figures += [*percents([cell["coverage"]]), (cell["width"], 3)]
        vader = one.loc["sentiment", 200, :, "all", "vader-3.3.2"]
        figures += percents([vader.loc["quality", "coverage"]])
        yield Row("G: odd region", trial, [*figures, *percents([vader.loc["contrast", "coverage"]]),
                                           (vader.loc["contrast", "width"], 3)])


def shown(row: Row) -> list[float]:
    """Return the figures of a row as the README shows them, behind its first cell (of families: its first two)."""
    lines = (FOLDER / "README.md").read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|") and row.table in line)
    line = next(line for line in lines[start:] if line.startswith(f"| {row.name} |"))
    cells = line.strip("|").split("|")[2 if row.table.startswith("what it tries") else 1:]
    return [float(number.replace("−", "-")) for number in re.findall(r"[−-]?\d+(?:\.\d+)?", " ".join(cells))]


@pytest.mark.parametrize("row", [*simulated(), *families(), *peers(), *rounds(), *misleading(), *trials_in_a(),
                                 *trials_of_slices(), *real_pairs(), *real_pairs_alone(), *real_pairs_overall(),
                                 *small_slices()],
                         ids=lambda row: f"{row.table.split()[0]} {row.name}")
def test_a_row_says_what_the_results_hold(row):
    found = shown(row)
    assert len(found) == len(row.figures), f"{found} for {row.figures}"
    for number, (value, digits) in zip(found, row.figures, strict=True):
        # Half a unit of the last digit, and what the rounding of the results adds to percentages, ratios and widths.
        slack = {0: 0.0051, 1: 0.0051, 2: 0.0006, 3: 0.0001}[digits]
        assert abs(number - value) <= 0.5 * 10**-digits + slack, f"{number} for {value}"
