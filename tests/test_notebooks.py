"""The five notebooks, run end to end on a tiny migration whose names are hostile, and the pages made of them."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from bs4 import BeautifulSoup
from conftest import write_tiny

from migration_kit.manifest import STAGES
from migration_kit.pipeline import run_pipeline
from migration_kit.wording import chance, points, span

EVIL = "<img src=x onerror=alert(1)>"
MORE = """\
  - {id: liked, scale: {ordinal: [1, 5]}, role: trade-off, weight: 0.5, metrics: [stars]}
  - {id: preferred, scale: pairwise, role: monitor, metrics: [duel]}
  - {id: useful, role: gate, margin: 0.05, metrics: [exact_match]}
  - {id: minutes, scale: continuous, better: lower, role: monitor, metrics: [length]}
requirements:
  - {id: regions, fact: regions, includes: [amer, emea]}
  - {id: "<b>right</b>", criterion: "$x_1$", at_least: 0.1}
"""
LARGEST_PAGE = 3_000_000


def write_hostile(folder: Path) -> Path:
    """The tiny migration with hostile names, criteria on three scales, two raters of one, held-out judgments.

    Nobody judged `useful` and `minutes`; what the length of an output is worth is not even said by a direction.
    """
    plan = write_tiny(folder)
    items = pd.read_csv(folder / "items.csv")
    items["region"] = items["region"].replace("amer", "[amer](javascript:alert(1))")
    items.to_csv(folder / "items.csv", index=False)
    traffic = pd.read_csv(folder / "traffic.csv")
    traffic["region"] = traffic["region"].replace("amer", "[amer](javascript:alert(1))")
    traffic.to_csv(folder / "traffic.csv", index=False)
    scores = pd.read_csv(folder / "scores.csv")
    scores["model"] = scores["model"].replace("small", EVIL)
    scores["rater"] = scores["rater"].replace("judge-x", "judge **x**")
    human = scores[scores["rater_kind"] == "human"]
    again = scores[scores["rater"] != "judge **x**"].assign(criterion="refused")
    facts = human.assign(criterion="$x_1$", rater="rule", rater_kind="code")
    useful = again[again["rater"] == "exact_match"].assign(criterion="useful")
    minutes = useful.assign(criterion="minutes", rater="length", value=range(len(useful)))
    parts = [scores, again, facts, useful, minutes, *stars(human), *duels(human)]
    pd.concat(parts).to_csv(folder / "scores.csv", index=False)
    human.assign(value=0.5).to_csv(folder / "held.csv", index=False)
    text = plan.read_text("utf-8").replace("id: small", f'id: "{EVIL}"').replace("judge-x", '"judge **x**"')
    text = text.replace("scores: [{path: scores.csv}]", "scores: [{path: scores.csv}]\n  held_out: [{path: held.csv}]")
    text = text.replace("slices:", "  - {id: length, better: none}\nslices:", 1)
    refused = "  - {id: refused, better: lower, role: monitor, metrics: [exact_match]}\n"
    plan.write_text(text.replace("sampling:", f"{refused}{MORE}sampling:"), "utf-8")
    return plan


def stars(human: pd.DataFrame) -> list[pd.DataFrame]:
    """What two people and a judge would give on a scale from 1 to 5."""
    number = human["item_id"].str[1:].astype(int)
    base = human.assign(criterion="liked", value=(2 + 2 * human["value"] + number % 2).clip(1, 5))
    again = base.assign(rater="<b>ben</b>", value=(base["value"] - (number % 3 == 0)).clip(1, 5))
    judge = base.assign(rater="stars", rater_kind="judge", value=(base["value"] + number % 5 // 4).clip(1, 5))
    return [base, again, judge]


def duels(human: pd.DataFrame) -> list[pd.DataFrame]:
    """Each candidate against the incumbent, by people and by a judge that now and then calls it a tie."""
    wide = human.pivot(index="item_id", columns="model", values="value")
    rows = (wide.drop(columns="old").sub(wide["old"], axis=0)).stack().rename("value").reset_index()
    rows = rows.assign(opponent="old", criterion="preferred", rater="anna", rater_kind="human",
                       side=["left", "right"] * (len(rows) // 2))
    judge = rows.assign(rater="duel", rater_kind="judge",
                        value=rows["value"].where(rows["item_id"].str[1:].astype(int) % 4 > 0, 0))
    return [rows, judge]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    run_pipeline(write_hostile(folder), folder / "run", fast=True, progress=False)
    return folder / "run"


@pytest.fixture(scope="module")
def pages(run) -> dict[str, BeautifulSoup]:
    return {stage: BeautifulSoup((run / stage / "notebook.html").read_text("utf-8"), "html.parser") for stage in STAGES}


def test_every_stage_leaves_its_files(run):
    for name in ("02_candidates/requirements.parquet", "03_calibration/correct.nc", "03_calibration/refused.nc",
                 "04_validation/correct.nc", "estimates.parquet", "decision.json", "index.html"):
        assert (run / name).is_file(), name
    estimates = pd.read_parquet(run / "estimates.parquet")
    methods = {"calibrated", "corrected", "raw", "labels_only", "verdict_strata", "ppi", "confusion"}
    for layer in ("offline", "traffic"):
        assert set(estimates.loc[estimates["layer"] == layer, "method"]) == methods


def test_names_from_the_plan_are_shown_and_not_obeyed(pages):
    for stage, page in pages.items():
        assert not page.find_all("img", src="x"), stage
        assert EVIL in page.get_text(), stage
        assert not page.find_all("script")
        assert not [tag for tag in page.find_all(True) for name in tag.attrs if name.startswith("on")]
        assert not page.find_all("a", href=re.compile("javascript"))
    assert "[amer](javascript:alert(1))" in pages["01_baseline"].get_text()
    assert "judge **x**" in pages["02_candidates"].get_text()
    assert "<b>right</b>" in pages["02_candidates"].get_text()


def test_pages_ask_nothing_of_any_network_and_are_small(run, pages):
    for stage, page in pages.items():
        assert (run / stage / "notebook.html").stat().st_size < LARGEST_PAGE
        assert all(tag["src"].startswith("data:") for tag in page.find_all(src=True))
        assert all(tag["href"].startswith("data:") for tag in page.find_all("link"))
        assert "@import" not in str(page)
        assert not re.search(r"url\((?!['\"]?(?:data:|#))", str(page))


def test_every_figure_is_described_and_followed_by_a_computed_sentence(pages):
    for stage, page in pages.items():
        figures = page.find_all("figure")
        assert figures, stage
        for figure in figures:
            assert len(figure.img["alt"]) > 40
            assert re.search(r"\d", figure.img["alt"])
            assert figure.figcaption.get_text().strip()
            following = figure.find_next_sibling("div")
            assert "said" in following["class"], figure.img["alt"]
            assert following.get_text().strip()


def test_headings_stand_in_the_contents(pages):
    for page in pages.values():
        linked = {link["href"] for link in page.select("nav a[href^='#']")}
        assert page.find_all("h2")
        assert {f"#{heading['id']}" for heading in page.select("main .prose h2")} <= linked


def test_numbers_on_the_page_are_those_of_the_decision(run, pages):
    decision = json.loads((run / "decision.json").read_text("utf-8"))
    text = pages["05_report"].get_text()
    assert pages["05_report"].select_one("main .prose h2").get_text().lower().startswith(decision["verdict"])
    assert decision["sentence"] in text
    for model, one in decision["candidates"].items():
        said = "keep the incumbent" if one["verdict"] == "keep" else one["verdict"]
        assert f"{model}: {said}." in text
        gate = one["gates"]["correct"]
        assert f"{points(gate['mean'], unit=True)}; {chance(gate['probability'])}" in text
        assert f"95% interval {span(gate['lower'], gate['upper'])}" in text


def test_nothing_is_said_of_what_nobody_judged(run, pages):
    nobody = "Nobody has judged an output on useful and minutes."
    for stage in ("03_calibration", "04_validation", "05_report"):
        page = pages[stage]
        assert nobody in page.get_text(), stage
        assert not [heading for heading in page.select("h3") if heading.get_text() in ("useful", "minutes")], stage
        assert not [image for image in page.find_all("img") if " on useful" in image["alt"]], stage
    assert nobody in pages["01_baseline"].get_text()
    report = pages["05_report"].get_text()
    assert "nobody judged it" in report and "Contrast on useful: not known" in report
    assert "Human judgments: none on useful, so nothing is known of it." in report
    decision = json.loads((run / "decision.json").read_text("utf-8"))
    for one in decision["candidates"].values():
        gate = one["gates"]["useful"]
        assert one["verdict"] in ("collect", "keep") and one["probability"] is None
        assert gate["mean"] is None and gate["probability"] is None and not gate["labelled"]
        assert one["verdict"] == "keep" or any(reason.startswith("useful: ") for reason in one["reasons"])
    estimates = pd.read_parquet(run / "estimates.parquet")
    known = estimates[estimates["criterion"].isin(["useful", "minutes"])].dropna(subset="mean")
    assert set(known["method"]) == {"raw"}
    assert not (run / "03_calibration" / "useful.nc").exists()


def test_the_report_ends_with_what_was_kept_aside_and_a_form_to_sign(pages):
    headings = [heading.get_text() for heading in pages["05_report"].select("main .prose h2")]
    assert headings[-2:] == ["What all judgments say", "Run and sign-off"]
    assert "all judgments say" in pages["05_report"].get_text()
    assert "Head of Support" in pages["05_report"].find_all("table")[-1].get_text()


def test_every_scale_is_told_in_its_own_unit(pages):
    first, third = pages["01_baseline"].get_text(), pages["03_calibration"].get_text()
    assert "has a mean score of" in first and "0 by definition" in first
    assert "liked" in first and "Krippendorff's α is" in first and "<b>ben</b>" in first
    assert "an ordered probit regression: P(judgment above level j)" in third
    assert "P(win) = Φ(η − κ)" in third and "P(yes) = Φ(η)" in third
    alts = [image["alt"] for image in pages["03_calibration"].find_all("img")]
    quality = next(alt for alt in alts if alt.startswith("Calibrated quality on liked"))
    assert "mean score" in quality and "%" not in quality
    assert any("old (incumbent) 0 by definition" in alt for alt in alts)


def test_what_metrics_are_worth_and_what_would_turn_a_verdict_is_told(pages):
    assert "Which metrics earn their keep" in pages["02_candidates"].get_text()
    report = pages["05_report"].get_text()
    assert "whatever margin, traffic and prior" in report
    assert "Margins at which each gate would hold" in report


def test_checks_that_fit_again_are_said_to_be_left_out(pages):
    assert "migration-kit run --full" in pages["04_validation"].get_text()


def test_a_fast_run_says_so(pages):
    assert "This run was fast" in pages["03_calibration"].get_text()
    assert "This run was fast" in pages["05_report"].get_text()


def test_only_stage_three_fits(run):
    notebooks = Path(__file__).parents[1] / "notebooks"
    for stage in STAGES:
        code = (notebooks / f"{stage}.ipynb").read_text("utf-8")
        fits = {"inference", "pymc", "calibration import", "nutpie", "fit_checks"}
        assert any(name in code for name in fits) == (stage == "03_calibration"), stage
