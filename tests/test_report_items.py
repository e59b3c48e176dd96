"""The 25 items a report must hold: each is there, and changes when the input changes that it tells of.

The run folder is made without sampling; notebook 05 itself is executed. A change may touch several inputs; what an item
must say afterwards follows from its own.
"""

import copy
import json
import platform
import re
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pandas as pd
import pytest
from report_case import VERDICT, Case, baseline, report

import migration_kit
from migration_kit import story
from migration_kit.errors import InputError
from migration_kit.plan import load_plan

DIGESTS = re.compile(r"digest of the plan (\w{64}).*digest of the data (\w{64})")


def people(case: Case) -> None:
    """Who decides, who signs, who judges, what mistakes cost, how the ramp climbs, what the models are."""
    plan = case.plan
    plan["decision"] |= {"owner": "Ann Lee", "due": "2027-02-01"}
    plan["costs"] |= {"wrong_switch": 900}
    plan["traffic"] |= {"requests_per_day": 5000}
    plan["ramp"] = [0.02, 0.05, 1.0]
    plan["live_outcomes"][0] |= {"margin": 0.08}
    plan["models"]["incumbent"] |= {"retires": "2027-06-30"}
    plan["models"]["candidates"][0] |= {"prompt": "v9", "settings": "temperature 0.7"}
    plan["data"] |= {"source": "chats of the shop", "period": "2026-09"}
    plan["criteria"][0] |= {"question": "Does it solve the case?"}
    plan["criteria"][2] |= {"quantity": {"at_least": 4}}
    plan["raters"] = {"who": "a panel of three", "blinded": False}
    plan["metrics"][0] |= {"family": "new", "prompt_hash": "b83f0a96"}
    plan["stakeholders"][0] |= {"name": "Night shift"}
    plan["sampling"] |= {"seed": 7}
    live = case.tables["live"]
    again = live[live["user"] == "u0001"].assign(item_id="again", model="new", time="2026-11-25", assigned_prob=0.05)
    case.tables["live"] = pd.concat([live, again])


def evidence(case: Case) -> None:
    """Other draws: a loss in one slice, chains that do not agree, priors that were looked at."""
    case.deltas["correct"] = {"new": (0.05, -0.11), "small": (-0.15, -0.16)}
    case.sd, case.apart, case.shadow = 0.03, 0.1, 0.06
    case.priors = "Before any label the priors expect the quality of old at 1% to 99%."


def tables(case: Case) -> None:
    """Other tables: traffic, judgments left out, a judge that turned, outputs without a metric, no live requests."""
    scores = case.tables["scores"]
    of_new, human = scores["model"] == "new", scores["rater_kind"] == "human"
    late = scores["item_id"].isin([f"q{n:02d}" for n in (1, 3, 5, 7, 9, 11)])
    scores.loc[of_new & (scores["rater"] == "judge-x"), "value"] = 1
    gone = (human & late) | (scores["rater"] == "ben") | (of_new & (scores["rater"] == "tone") & late)
    case.tables["scores"] = scores[~gone]
    case.tables["traffic"]["share"] = (0.9, 0.1)
    held = case.tables["held_out"]
    held.loc[held["model"] == "new", "value"] = held["value"].where(held["criterion"] == "liked", 1)
    case.tables.pop("live")
    case.plan["data"].pop("live")


def one_gate(case: Case) -> None:
    """A single gate: what was the second is only shown."""
    case.plan["criteria"][1] = {key: value for key, value in case.plan["criteria"][1].items() if key != "margin"} | {
        "role": "monitor"}


def priors(case: Case) -> None:
    """A candidate that holds by little, and by what the priors expect."""
    case.deltas["correct"]["small"] = (-0.037, -0.037)
    case.leaning = "small"


def margin(case: Case) -> None:
    """A narrower margin, written after results were read in the same folder."""
    case.plan["criteria"][0] |= {"margin": 0.01, "why": "the desk has shrunk"}


CHANGES: dict[str, Callable[[Case], None]] = {
    "people": people, "evidence": evidence, "tables": tables, "one gate": one_gate, "priors": priors,
    "margin": margin}


@cache
def sections(change: str = "") -> dict[str, str]:
    """The report by section: as it is, or after a change."""
    with TemporaryDirectory() as folder:
        case = Case()
        if change == "margin":
            report(Path(folder), copy.deepcopy(case))
        if change:
            CHANGES[change](case)
        return report(Path(folder), case, fast=change == "people")


class Item(NamedTuple):
    """What an item says in one section, before and after a change; "" where a change only adds to it."""

    number: int
    change: str
    section: str
    before: str
    after: str


COSTS, NEXT, EACH, SIGN = "What a mistake costs", "What happens next", "Each candidate", "Run and sign-off"
CONTRAST, COMPARED, MEASURED = "Contrast against the margin", "What was compared", "How it was measured"
MODEL, CHANGE, METHODS = "The model and its checks", "What would change the answer", "Raw, labels alone and calibrated"
RISKY, LIMITS, HELD_OUT = "For whom is it risky?", "What was not measured", "What all judgments say"
ITEMS = [
    Item(1, "people", VERDICT, "Head of Support decides by 2027-01-15", "Ann Lee decides by 2027-02-01"),
    Item(2, "evidence", EACH, "small: switch.",
         "small: collect.** The probability that every gate holds is at least 19.2%"),
    Item(2, "margin", VERDICT, "Switch to new", "Switch to small"),
    Item(3, "one gate", VERDICT, "losing more than the margin on correct and polite (",
         "losing more than the margin on correct ("),
    Item(4, "people", COSTS, "correct 5 points, 50 of 1,000 requests a day",
         "correct 5 points, 250 of 5,000 requests a day"),
    Item(4, "people", COSTS, "It costs 300 thousand USD", "It costs 900 thousand USD"),
    Item(5, "people", NEXT, "Steps: 5%, 50% and 100% of users", "Steps: 2%, 5% and 100% of users"),
    Item(5, "people", NEXT, "resolved is below 65.4%", "resolved is below 60.4%"),
    Item(5, "people", NEXT, "stays until it retires on 2027-02-28", "stays until it retires on 2027-06-30"),
    Item(6, "people", COMPARED, "new candidate v1 temperature 0 – ", "new candidate v9 temperature 0.7 – "),
    Item(7, "people", COMPARED, "tickets of the help desk. Period: 2026-08.", "chats of the shop. Period: 2026-09."),
    Item(7, "tables", MEASURED, "Nothing was left out and nothing is missing.",
         "scores new metric 'tone' of 'polite' missing for the output 6"),
    Item(8, "people", COMPARED, "Is the answer right? yes or no", "Does it solve the case? yes or no"),
    Item(8, "people", COMPARED, "1 to 5 mean score", "1 to 5 share at 4 or above"),
    Item(8, "one gate", COMPARED, "rate, higher is better gate 6 points", "rate, higher is better monitor –"),
    Item(9, "margin", COMPARED, "gate 5 points 50 12 points more calls than the desk can take",
         "gate 1 point 10 12 points the desk has shrunk"),
    Item(9, "margin", COMPARED, "No other plan was read in this run folder", "margin of correct 0.05 → 0.01"),
    Item(10, "tables", MEASURED, "emea: 60% of traffic, 50% of the test set",
         "emea: 10% of traffic, 50% of the test set"),
    Item(10, "tables", MEASURED, "new −1.3 weighted by traffic and −1.2", "new −1.0 weighted by traffic and −1.2"),
    Item(11, "people", MEASURED, "two support leads; they did not see", "a panel of three; they saw"),
    Item(11, "tables", MEASURED, "On correct 60 outputs were judged by several people: two of them agree in 85% of "
         "cases, and Krippendorff's α is 0.68 (95% interval",
         "On correct, polite and liked one person judged each output"),
    Item(12, "people", MEASURED, "7c1e40d2 quill – ", "b83f0a96 new new "),
    Item(12, "people", MEASURED, "No metric shares its family",
         "Same-family risk: judge-x and new are of the same family"),
    Item(13, "tables", MEASURED, "correct old 20 20 40", "correct old 20 14 34"),
    Item(13, "tables", MEASURED, "correct: fewest in amer, where 20 outputs of every model were judged, of 30",
         "correct: fewest in emea, where 14 outputs of every model were judged, of 30"),
    Item(14, "tables", MEASURED, "new 30 of 33 0 of 4", "new 29 of 29 5 of 5"),
    Item(14, "tables", MEASURED, "it says yes to 18.8% of small", "it says yes to 100.0% of new"),
    Item(15, "people", MODEL, "liked: the mean score, asked", "liked: the share at 4 or above, asked"),
    Item(16, "tables", MODEL, "effects of 2 slices and the severity of 2 raters", "effects of 2 slices. "),
    Item(16, "evidence", MODEL, "what people said was not looked at in this run",
         "expect the quality of old at 1% to 99%"),
    Item(17, "people", MODEL, "steps of tuning, seed 1.", "steps of tuning, seed 7."),
    Item(17, "evidence", MODEL, "smallest effective sample size 459", "Largest R-hat 1.8"),
    Item(18, "evidence", HELD_OUT, "contrasts 3 of 15 intervals hold", "contrasts 11 of 15 intervals hold"),
    Item(18, "tables", HELD_OUT, "new on correct: all judgments say +17.3 points", "all judgments say +30.0 points"),
    Item(19, "evidence", CONTRAST, "new is 1.3 points worse than old on correct (95% interval −2.8 to 0.0",
         "new is 4.3 points better than old on correct (95% interval −2.6 to +11.1"),
    Item(19, "margin", CONTRAST, "new −1.3 (−2.8 to 0.0), non-inferior: >99.9%; small",
         "new −1.3 (−2.8 to 0.0), non-inferior: 35.8%; small"),
    Item(20, "evidence", RISKY, "small fares worst in amer: 0.0 points", "small fares worst in emea: −11.0 points"),
    Item(21, "tables", METHODS, "labels only +18.9 (+2.3 to +34.9), raw: judge-x +17.3",
         "labels only +18.3 (−6.1 to +41.3), raw: judge-x +36.7"),
    Item(22, "evidence", EACH, "small >99.9% (>99.9% if the gates were",
         "small at least 19.2% (19.3% if the gates were"),
    Item(22, "one gate", EACH, "a lower bound, 1 minus the sum of the probabilities that one fails",
         "There is one gate, correct: its probability is the one that counts."),
    Item(23, "evidence", CHANGE, "With a margin on correct below 2.5 points",
         "With a margin on correct below 2 points"),
    Item(23, "one gate", CHANGE, "With a weight of correct above 5.84", "With a weight of correct above 3.95"),
    Item(23, "priors", CHANGE, "For small nothing that was looked at turns the verdict by other priors, as far as "
         "these draws can tell, on correct and polite",
         "With priors on correct 1.09 times as wide, the verdict on small would be collect"),
    Item(23, "priors", CHANGE, "", "prior on correct 1.00 times 1.09 times collect"),
    Item(23, "tables", "Metrics that say the opposite", "judge-x says new is better than old on correct",
         "No metric says with a probability of 95% or more the opposite"),
    Item(24, "tables", LIMITS, "20 requests of the shadow, of which people judged 20 on correct",
         "Nothing was measured in production"),
    Item(24, "people", LIMITS, "", "kept: - live.csv: 1 user of the canary met several models"),
    Item(25, "people", SIGN, "--run-dir run Head of Support and Regional lead must sign",
         "--run-dir run --fast Ann Lee and Night shift must sign"),
]


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: f"item-{item.number:02d}-{item.change.replace(' ', '-')}")
def test_an_item_tells_its_input(item):
    before, after = sections()[item.section], sections(item.change)[item.section]
    assert item.before in before
    assert not item.before or item.before not in after
    assert item.after in after
    assert item.after not in before


def test_all_items_are_held():
    assert sorted({item.number for item in ITEMS}) == list(range(1, 26))
    # What names the design and the versions is the same whatever the input.
    assert "paired non-inferiority comparison" in sections()[VERDICT]
    told = sections()[SIGN]
    assert f"versions migration-kit {migration_kit.__version__}, Python {platform.python_version()}," in told
    assert all(f"{package} {version(package)}" in told for package in ("numpy", "pymc", "nutpie"))


def test_what_holds_without_evidence_is_the_plans_default(tmp_path):
    assert "without evidence the answer is to keep the incumbent" in sections()[VERDICT]
    case = Case()
    case.plan["decision"] |= {"default": "switch"}
    path = tmp_path / "migration.yml"
    path.write_text(json.dumps(case.plan), "utf-8")
    with pytest.raises(InputError, match=r"decision\.default: found 'switch', expected one of 'keep'"):
        load_plan(path)
    # There is one default by now; the sentence follows the plan, were there others.
    path.write_text(json.dumps(Case().plan), "utf-8")
    plan = load_plan(path)
    other = plan.model_copy(update={"decision": plan.decision.model_copy(update={"default": "retire"})})
    assert "to retire the incumbent" in story.question(other) and "to keep the incumbent" in story.question(plan)


def test_what_is_odd_and_kept_is_told_in_stage_01(tmp_path):
    case = Case()
    people(case)
    assert "kept: - live.csv: 1 user of the canary met several models" in baseline(tmp_path, case)["The data"]


def test_digests_stand_for_plan_and_data():
    found = {change: DIGESTS.search(sections(change)[SIGN]).groups() for change in ("", "people", "tables")}
    assert found["people"][0] != found[""][0] and found["tables"][1] != found[""][1]
    assert DIGESTS.search(sections("evidence")[SIGN]).groups() == found[""]
