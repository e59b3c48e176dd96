"""Do the raters agree, and does each of them judge for himself?"""

from itertools import combinations

import numpy as np
import pandas as pd
import xarray as xr

from migration_kit.agreement import agreement
from migration_kit.checks import RATERS_AGREE, CheckResult
from migration_kit.plan import Plan
from migration_kit.raters import rater_table, severity, severity_shift
from migration_kit.wording import Unit, counted, fixed, level, listed, unit_of

TENTATIVE = 0.667
ALARM = 0.05
FEWEST_JUDGMENTS = 20
FEWEST_SHARED = 50
FEWEST_OTHER = 10
BY_CHANCE = 0.001


def raters_check(features: xr.Dataset, plan: Plan) -> CheckResult:
    """People who judged the same outputs agree, and none is severe or mild beyond half a margin.

    Returns
    -------
    CheckResult
        Fails where α is shown to lie below 0.667, the least Krippendorff asks of tentative conclusions, or where a
        rater's difference to the others excludes 0 (5% shared by the raters) and exceeds half the margin; the text
        says which of the two. None where one person judged each output, or α may lie on either side. The table holds
        severity by rater.
    """
    name, criterion = RATERS_AGREE, plan.criterion(features.attrs["criterion"])
    total = agreement(features, interval=plan.sampling.interval, seed=plan.sampling.seed).iloc[0]
    if not total["outputs"]:
        who = "more than one person" if features.sizes["judgment"] else "anybody"
        return CheckResult(name, None, f"No output was judged by {who}.", criterion.id)
    raters = len(features["rater"])
    table = severity(features, interval=1 - ALARM / max(raters, 1))
    unit = unit_of(criterion)
    worth = criterion.margin / 2 if criterion.margin else _twentieth(features) / 2
    off = table[((table["lower"] > 0) | (table["upper"] < 0)) & (table["difference"].abs() > worth)]
    half = f"{unit.size(worth)}{', half the margin,' if criterion.margin else ''}"
    text = f"{_agreement_words(total, plan.sampling.interval)} " + (
        _severity_words(off, severity_shift(features), unit, worth, half=half) if len(off) else
        f"Severity holds: no rater is shown to judge more than {half} above or below the rest.")
    failed, passed = total["upper"] < TENTATIVE or len(off) > 0, bool(total["lower"] >= TENTATIVE)
    return CheckResult(name, False if failed else passed or None, text, criterion.id, table=table)


def _agreement_words(total: pd.Series, interval: float) -> str:
    """Say whether α is high enough, and what to do where it is not or cannot be told."""
    n = counted(total["outputs"], "output")
    if np.isnan(total["alpha"]):
        return f"Agreement cannot be told: all judgments of {n} judged by several people are equal."
    alpha = (f"Krippendorff’s α is {fixed(total['alpha'])} ({level(interval)} {fixed(total['lower'])} to "
             f"{fixed(total['upper'])}) on {n} judged by several people, {TENTATIVE:g} is the least asked")
    if total["upper"] < TENTATIVE:
        return (f"Agreement fails: {alpha}. Let the raters talk over outputs they judged unlike, sharpen the "
                "instructions, and have these outputs judged anew.")
    if total["lower"] < TENTATIVE:
        return f"Agreement cannot be told: {alpha}. More outputs judged by several people would tell."
    return f"Agreement holds: {alpha}."


def _severity_words(off: pd.DataFrame, shift: pd.Series, unit: Unit, worth: float, *, half: str) -> str:
    """Name the raters who are severe or mild, what it moves, and what to do."""
    told = [f"{row.rater} judges {unit.size(row.difference)} {'above' if row.difference > 0 else 'below'} the rest on "
            "shared outputs" for row in off.itertuples()]
    most = shift.abs().idxmax()
    moved = (f"As raters judged the models in unlike shares, this moves the contrast of {most} by "
             f"{unit.change(shift[most], unit=True)}; let every rater judge all models of an item."
             if abs(shift[most]) > worth / 10 else
             "The raters judged the models in like shares, so contrasts hardly move.")
    return (f"Severity fails: {listed(told)}; more than {half} matters. {moved} The calibration allows for severity; "
            "still, talk over with the raters what they judge by.")


def copies_check(features: xr.Dataset) -> CheckResult:
    """No rater gives one judgment to everything, and no two are copies of one another.

    Returns
    -------
    CheckResult
        None with a single rater. Fails where a rater's judgments of at least 20 outputs are all the same, though others
        give that judgment so rarely that chance would do it in fewer than 1 of 1,000 cases; and where two raters
        agree on each of at least 50 shared outputs, 10 of which have another than the commonest judgment.
    """
    name, criterion = "raters judge for themselves", features.attrs["criterion"]
    table = rater_table(features)
    if table["rater"].nunique() < 2:
        why = ("The labels name one rater, so raters cannot be told apart." if len(table) else
               "Nobody has judged an output, so there is nobody to compare with.")
        return CheckResult(name, None, why, criterion)
    rows = []
    for rater, part in table.groupby("rater", sort=True):
        others = table.loc[table["rater"] != rater, "value"]
        if len(part) >= FEWEST_JUDGMENTS and part["value"].nunique() == 1:
            chance = float((others == part["value"].iloc[0]).mean()) ** len(part)
            if chance < BY_CHANCE:
                rows.append({"rater": rater, "other": "", "n": len(part),
                             "text": f"{rater} said {part['value'].iloc[0]:g} of all {len(part)} outputs"})
    wide = table.pivot(index="output", columns="rater", values="value")
    for one, two in combinations(wide.columns, 2):
        both = wide[[one, two]].dropna()
        rare = len(both) - both[one].value_counts().max() if len(both) else 0
        if len(both) >= FEWEST_SHARED and rare >= FEWEST_OTHER and (both[one] == both[two]).all():
            rows.append({"rater": one, "other": two, "n": len(both),
                         "text": f"{one} and {two} gave the same judgment to each of {len(both)} outputs"})
    found = pd.DataFrame(rows, columns=["rater", "other", "n", "text"])
    if found.empty:
        text = "No rater gave one judgment to everything, and no two agree in everything."
    else:
        text = "; ".join(found["text"]) + ". Find out whether they judged for themselves."
    return CheckResult(name, found.empty, text, criterion, table=found.drop(columns="text"))


def _twentieth(features: xr.Dataset) -> float:
    """A twentieth of the scale, where no margin says what is much."""
    score = features.attrs["score"]
    return (max(score) - min(score)) / 20 if len(score) else features.attrs["spread"] / 5
