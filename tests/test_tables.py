"""Tables: every cell, heading and group from the plan or the data is shown letter by letter."""

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from conftest import write_tiny
from helpers import judged_features, small_features, small_plan

from migration_kit import overview, raters, tables
from migration_kit.agreement import agreement
from migration_kit.checks import CheckResult, check_table
from migration_kit.crosschecks import cross_checks
from migration_kit.data import load_data
from migration_kit.features import build_features
from migration_kit.metric_worth import metric_worth
from migration_kit.plan import load_plan
from migration_kit.requirements import check_requirements
from migration_kit.simulate.families import simulate_family
from migration_kit.tables.grid import NAME, NUMBER, grid, mark
from migration_kit.wording import share

EVIL = "<script>alert(1)</script>"


def page(table) -> BeautifulSoup:
    return BeautifulSoup(table.as_raw_html(), "html.parser")


def cells(table) -> list[list[str]]:
    return [[cell.get_text() for cell in row.find_all(["th", "td"])] for row in page(table).select("tbody tr")]


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    path = write_tiny(folder)
    for name in ("migration.yml", "scores.csv"):
        text = (folder / name).read_text("utf-8").replace("id: small", f'id: "{EVIL}"').replace(",small,", f",{EVIL},")
        text = text.replace("usd_per_1k_requests", '"{{m^2}}"')
        (folder / name).write_text(text, "utf-8")
    with path.open("a", encoding="utf-8") as file:
        file.write('requirements: [{id: "<i>regions</i>", fact: regions, includes: [amer, emea]}]\n')
    plan = load_plan(path)
    data = load_data(plan)
    return plan, data, build_features(data, plan, "correct")


def test_grid_escapes_everything():
    table = grid([(EVIL, NAME), ("{{x}} & y", NUMBER)], [[EVIL, "**1**"]], title=EVIL, note=EVIL, groups=[EVIL])
    found = page(table)
    assert not found.find_all("script")
    assert found.get_text().count(EVIL) == 5
    assert "{{x}} & y" in found.get_text()
    assert "**1**" in found.get_text()


def test_the_first_name_heads_its_row():
    found = page(grid([("model", NAME), ("n", NUMBER)], [["a", "1"], ["b", "2"]], title="t"))
    assert [th.get_text() for th in found.select("tbody th[scope=row]")] == ["a", "b"]


def test_an_empty_table_keeps_its_headings():
    assert "model" in page(grid([("model", NAME), ("n", NUMBER)], [], title="t", groups=[])).get_text()


@pytest.mark.parametrize(("passed", "sign"), [(True, "✓"), (False, "✗"), (None, "?"), (pd.NA, "?"), (np.True_, "✓")])
def test_marks(passed, sign):
    assert mark(passed).startswith(sign)


def test_tables_of_the_plan_and_the_data(case):
    plan, data, features = case
    counts, criterion = overview.flow({"correct": features}, data, plan), plan.criterion("correct")
    for table in (tables.models(plan), tables.criteria(plan), tables.metrics(plan), tables.sign_off(plan),
                  tables.flow(counts, plan, outcomes=True), tables.flips(overview.flips(features, plan), criterion),
                  tables.raw(cross_checks(features, plan, traffic=True, seed=1), criterion, features), tables.priors(),
                  tables.metric_worth(metric_worth(features, plan, traffic=True), criterion),
                  tables.requirements(check_requirements(plan, data), plan)):
        assert not page(table).find_all("script")
    assert EVIL in page(tables.models(plan)).get_text()
    assert "{{m^2}}" in page(tables.models(plan)).get_text()
    assert "5 points" in page(tables.criteria(plan)).get_text()
    assert ["old", "12", "12", "12", "10", "80.0%", "8", "2"] in cells(tables.flow(counts, plan, outcomes=True))
    assert ["old", "12", "12", "12", "10"] in cells(tables.flow(counts, plan, outcomes=False))


def test_requirements_are_told_with_a_mark(case):
    plan, data, _ = case
    found = cells(tables.requirements(check_requirements(plan, data), plan))
    assert ["<i>regions</i>: includes amer, emea"] in found
    assert [EVIL, "✗\u00a0fail", "amer", "a fact"] in found


def test_what_is_the_same_of_all_models_is_told_once(case):
    plan, data, _ = case
    found = check_requirements(plan, data)
    same = cells(tables.requirements(found.assign(found="amer, emea", status="pass"), plan))
    assert ["all models", "✓\u00a0pass", "amer, emea", "a fact"] in same and len(same) == 2
    told = page(tables.models(plan)).get_text()
    assert "The same of all models" not in told
    facts = {"regions": ("amer",), "price": 4.1}
    alike = plan.model_copy(update={"models": plan.models.model_copy(update={
        "incumbent": plan.models.incumbent.model_copy(update={"facts": facts}),
        "candidates": tuple(one.model_copy(update={"facts": {**facts, "price": 1.0}})
                            for one in plan.models.candidates)})})
    told = page(tables.models(alike)).get_text()
    assert "The same of all models: regions: amer." in told and "price" in told


def test_labels_by_slice_are_counted_for_every_model():
    counts = pd.DataFrame([{"criterion": "correct", "model": model, "slice": name, "items": 30, "labels": n}
                           for model, n in (("old", 20), ("new", 5)) for name in ("a", "b")])
    assert ["new", "5", "5", "10"] in cells(tables.labels_by_slice(counts))


def test_checks_name_their_criterion_and_the_blocking_ones():
    failed = CheckResult("a", False, "moved by -2.0.", "correct", blocks=True)
    found = check_table([failed, CheckResult("b", None, EVIL)])
    rows = cells(tables.checks(found))
    assert ["✗\u00a0fail", "a", "moved by −2.0. Until this passes, the verdict is collect."] in rows
    assert ["?\u00a0unknown", "b", EVIL] in rows
    assert ["all criteria"] in rows
    rows = cells(tables.checks(found.assign(meaning=["blocks a switch", "cannot tell"])))
    assert rows[1][-1] == "blocks a switch" and rows[3][-1] == ""


def test_slices_stand_worst_first(case):
    plan, _, features = case
    rows = cross_checks(features, plan, traffic=True, seed=1)
    rows = rows[rows["method"] == "labels_only"].assign(method="calibrated")
    found = cells(tables.slices(rows, plan))
    values = [float(row[3].removesuffix(" points").replace("−", "-")) for row in found]
    assert values == sorted(values)
    assert len(found) == 2 * features.sizes["slice"]


@pytest.mark.parametrize(("people", "metric", "heads"), [
    (2, 2, ["both good", "both bad"]), (2, 5, ["both good", "both bad", "equal scores"]), (5, 5, ["no change"])])
def test_flips_of_verdicts_and_of_scores_have_columns_of_their_own(people, metric, heads):
    rng = np.random.default_rng(1)
    plan = small_plan(scale="continuous" if people > 2 else "binary")
    features = small_features(rng.integers(metric, size=(40, 2, 1)).astype(float),
                              rng.integers(people, size=(40, 2)).astype(float), plan)
    counts, criterion = overview.flips(features, plan), plan.criteria[0]
    table = tables.flips(counts, criterion)
    found = [cell.get_text() for cell in page(table).find_all("th", class_="gt_col_heading")]
    assert found[-len(heads):] == heads and found[-len(heads) - 1] == "gained"
    for row in counts[counts["slice"] == "all"].to_dict("records"):
        told = dict(zip(found, next(one for one in cells(table) if one[:2] == [row["by"], "all items"]), strict=True))
        good, scored = f"{row['both_good']} ({share(row['both_good'] / row['n'])})", np.isnan(row["both_bad"])
        assert told.get("equal scores", told.get("no change", "–")) == (good if scored else "–")
        assert told.get("both good", "–") == ("–" if scored else good)
        assert sum(int(cell.split()[0]) for head, cell in told.items() if head not in ("by", "slice", "items")
                   and cell != "–") == row["n"]


@pytest.fixture(scope="module", params=["ordinal", "at_least", "normal", "pairwise", "raters"])
def scaled(request):
    features, plan = judged_features(simulate_family(request.param, n_labels=60, n_unlabelled=60, seed=1))
    rows = cross_checks(features, plan, traffic=True, seed=1)
    calibrated = rows[rows["method"] == "labels_only"].assign(method="calibrated")
    return features, plan, pd.concat([rows, calibrated], ignore_index=True)


def test_numbers_stand_in_the_unit_of_the_scale(scaled):
    features, plan, rows = scaled
    criterion = plan.criteria[0]
    kind = "share" if criterion.in_points and criterion.kind == "ordinal" else criterion.kind
    mine = rows[(rows["method"] == "calibrated") & (rows["slice"] == "all")].set_index(["quantity", "model"])["mean"]
    delta = mine["contrast", "new"]
    shown = {"ordinal": f"{delta:+.2f}", "continuous": f"{delta:+.2f}"}.get(kind, f"{100 * delta:+.1f}")
    shown = shown.replace("-", "−")
    found = cells(tables.estimates(rows, plan))
    assert next(row for row in found if row[0] == "old")[3] == "–"
    assert next(row for row in found if row[0] == "new")[3] == shown
    quality = next(row for row in found if row[0] == "old")[1]
    assert quality == {"ordinal": f"{mine['quality', 'old']:.2f}", "continuous": f"{mine['quality', 'old']:.2f}",
                       "pairwise": "0.0%"}.get(kind, f"{100 * mine['quality', 'old']:.1f}%").replace("-", "−")
    title = {"ordinal": "mean score, contrast on the scale 1 to 5", "continuous": "mean, contrast in its own unit",
             "pairwise": "net win rate, contrast in points net"}.get(kind, "share at 4 or above, contrast in points")
    assert any(row[0].startswith(f"correct: {title}") for row in found)
    methods = cells(tables.methods(rows, plan, criterion, features))
    assert [shown] == [row[1] for row in methods if row[0] == "calibrated"]


def test_a_table_holds_no_percent_where_quality_is_no_rate(scaled):
    features, plan, rows = scaled
    criterion = plan.criteria[0]
    if not criterion.in_points:
        for table in (tables.raw(rows, criterion, features), tables.slices(rows, plan), tables.criteria(plan)):
            values = [cell for row in cells(table) for cell in row if cell.endswith(("%", " points"))]
            chances = [float(value.strip("<>%")) for value in values if value.endswith("%")]
            assert not any(value.endswith("points") for value in values)
            assert set(chances) <= _probabilities(rows)
    judged = {"ordinal": "1 to 5", "continuous": "a number",
              "pairwise": "candidate against incumbent: win, tie or loss"}
    assert cells(tables.criteria(plan))[0][2] == judged[criterion.kind]


def _probabilities(rows: pd.DataFrame) -> set[float]:
    return {0.1, 99.9} | {round(100 * p, 1) for p in rows["prob_noninferior"].dropna()}


def test_raw_metrics_in_another_unit_are_left_out_beside_the_margin(scaled):
    features, plan, rows = scaled
    rows = rows.assign(metric=rows["metric"].where(rows["method"] != "raw", "latency"))
    assert not any("latency" in row[0] for row in cells(tables.methods(rows, plan, plan.criteria[0], features)))


def test_raters_are_told_with_their_agreement_and_severity():
    features, plan = judged_features(simulate_family("raters", n_labels=60, n_unlabelled=60, seed=1))
    criterion = plan.criteria[0]
    among = agreement(features, interval=0.95, seed=1)
    total = among[among["model"] == "all"].iloc[0]
    found = cells(tables.agreement(among, plan, criterion))
    assert found[0][:2] == ["all models", str(total["outputs"])] and found[0][4] == f"{total['alpha']:.2f}"
    severe = raters.severity(features, interval=0.95)
    found = cells(tables.severity(severe, plan, criterion))
    assert [row[0] for row in found[: len(severe)]] == severe["rater"].tolist()
    assert found[0][4] == f"{severe.iloc[0]['difference']:+.2f}".replace("-", "−")
    more = raters.more_raters(features, plan, traffic=True)
    found = [row for row in cells(tables.more_raters(more, criterion)) if row[0] in "123"]
    assert [row[1] for row in found] == [f"{width:.2f}" for width in more["same_outputs"]]


def test_flip_points_stand_with_what_is_now_and_leave_out_what_never_turns(case):
    plan = case[0]
    common = {"candidate": "new", "verdict": "switch", "sentence": "So."}
    points = [
        {**common, "what": "margin", "criterion": "correct", "where": "", "at": 0.08, "now": 0.05},
        {**common, "what": "traffic", "criterion": "correct", "where": "amer", "at": 0.7, "now": 0.4},
        {**common, "what": "prior", "criterion": "correct", "where": "wider", "at": 1.4142, "now": 1.0},
        {**common, "what": "weight", "criterion": "correct", "where": "small", "at": 0.25, "now": 1.0},
        {**common, "what": "traffic", "criterion": "", "where": "", "at": np.nan, "now": np.nan},
    ]
    found = cells(tables.flip_points({"flip_points": points, "candidates": {"new": {"verdict": "collect"}}}, plan))
    assert ["margin on correct", "5 points", "8 points", "switch"] in found
    assert ["traffic on correct", "40% amer", "70% amer", "switch"] in found
    assert ["prior on correct", "1.00 times", "1.41 times", "switch"] in found
    assert ["weight on correct", "1.00", "0.25", "switch to new"] in found
    assert ["new: collect"] in found and len([row for row in found if row[-1].startswith("switch")]) == 4


def test_labels_by_slice_stand_under_their_slice_with_its_items():
    counts = pd.DataFrame([{"criterion": "correct", "model": model, "slice": name, "items": items, "labels": n}
                           for model, of in (("old", (20, 9)), ("new", (5, 3)))
                           for (name, items), n in zip((("west", 40), ("east", 30)), of, strict=True)])
    for rows in (counts, counts.sort_values(["model", "labels"], ascending=[False, True])):
        shown = tables.labels_by_slice(rows)
        heads = [one.get_text() for one in page(shown).select("thead th") if one.get_text()]
        for model, of in (("old", {"west": "20", "east": "9"}), ("new", {"west": "5", "east": "3"})):
            (told,) = (row for row in cells(shown) if row[0] == model)
            named = dict(zip(heads[-4:], told, strict=True))
            assert {name.split(" ")[0]: n for name, n in named.items() if "(" in name} == of
        assert {"west (40)", "east (30)"} <= set(heads)
