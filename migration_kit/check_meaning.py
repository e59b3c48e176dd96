"""What checks mean for the verdict: a failure may block it, weaken it, be counted in it already, or not touch it."""

import pandas as pd

from migration_kit.checks import (
    CORRECTED_AGREES,
    ENOUGH_LABELS,
    ENOUGH_OF_BOTH,
    FAIR,
    LABELS_COVER,
    PRIORS_LEAVE_ROOM,
    RATERS_AGREE,
)
from migration_kit.plan import Plan
from migration_kit.transport import HOLDS_LIVE

BLOCKS, WEAKENS, COUNTED = "blocks a switch", "weakens the verdict", "counted in the verdict"
CORRECTED, ASIDE, OPEN, PASSED = "known and corrected", "no say in the verdict", "cannot tell", "passed"
FAILED = {
    ENOUGH_LABELS: "too few labels", ENOUGH_OF_BOTH: "too few labels of one kind",
    "enough labels for every model": "too few labels of a model",
    "labels of both kinds for every model": "too few labels of one kind for a model",
    LABELS_COVER: "traffic from slices without labels",
    "labels drawn at random": "labels that look chosen rather than drawn",
    "one inclusion probability an item": "unclear probabilities of being judged",
    RATERS_AGREE: "raters who disagree, or of whom one is severe or mild",
    "raters judge for themselves": "raters who may not judge for themselves",
    "judgments are plausible": "judgments far outside the usual",
    "metric values are plausible": "metric values far outside the usual",
    "metrics have one unit for all models": "a metric in two units",
    "identical outputs are judged alike": "identical outputs judged unlike",
    "candidates change sides": "candidates shown mostly on one side",
    "sampling": "a calibration that was sampled too little",
    "predictions match labels": "predictions that miss labels",
    "cross-checks agree": "labels alone that say otherwise",
    "users were split as planned": "users who were not split as planned",
    "live traffic is what the plan weighs": "live traffic unlike the plan's",
    "metrics still say what they said": "metrics that have drifted",
    PRIORS_LEAVE_ROOM: "priors too narrow for the labels",
    "labels outweigh priors": "results that lean on the priors",
    "refit without a fifth of the labels": "results that hang on single labels",
    "priors half and twice as wide": "results that move with the width of priors",
    FAIR: "metrics that err unlike between models",
    CORRECTED_AGREES: "a correction that moves the calibrated result",
    HOLDS_LIVE: "live requests that contradict the test set",
}
MEANINGS = (BLOCKS, WEAKENS, COUNTED, CORRECTED, ASIDE, OPEN, PASSED)


def with_meaning(found: pd.DataFrame, decision: dict, plan: Plan) -> pd.DataFrame:
    """Add to checks what each means for the verdict.

    Parameters
    ----------
    found : DataFrame
        Columns of `checks.check_table`.
    decision : dict
        As `decision.json` holds it.
    plan : Plan

    Returns
    -------
    DataFrame
        As given, with ``meaning``, one of `MEANINGS`. Counted in the verdict: live requests that contradict the test
        set hold the candidate back, and where calibrated and corrected disagree the weaker of them decides. Known and
        corrected: a metric that errs unlike between models, which is what the calibration is for. No say: criteria
        that decide nothing in this verdict, and candidates other than the one to switch to. Worry about what blocks
        or weakens.
    """
    ready = [model for model, one in decision["candidates"].items() if one["verdict"] == "switch"]
    return found.assign(meaning=[_meaning(row, decision["candidate"], ready, plan) for row in found.itertuples()])


def failures(found: pd.DataFrame) -> dict[str, list[str]]:
    """What failed, in a reader's words, each with the criteria it is about; rows that failed."""
    told = {}
    for name, part in found.groupby("name", sort=False):
        criteria = told.setdefault(FAILED.get(name, f"“{name}” fails"), [])
        criteria += [one for one in dict.fromkeys(part["criterion"]) if one and one not in criteria]
    return told


def _meaning(row: tuple, chosen: str | None, ready: list[str], plan: Plan) -> str:
    if pd.isna(row.passed):
        return OPEN
    if row.passed:
        return PASSED
    aside = chosen and len(row.models) and chosen not in row.models
    if row.blocks:
        return ASIDE if aside else BLOCKS
    if row.name == FAIR:
        return CORRECTED
    if not _decides(row.criterion, ready, plan):
        return ASIDE
    if row.name in (HOLDS_LIVE, CORRECTED_AGREES):
        return COUNTED
    return ASIDE if aside else WEAKENS


def _decides(criterion: str, ready: list[str], plan: Plan) -> bool:
    """Tell whether a criterion has a say: a trade-off only where several candidates may replace the incumbent."""
    if not criterion:
        return True
    role = plan.criterion(criterion).role
    return role == "gate" or (role == "trade-off" and len(ready) > 1)
