"""Do the raters agree, and does each of them judge for himself?"""

from itertools import combinations

import numpy as np
import pandas as pd
import xarray as xr

from migration_kit.agreement import agreement
from migration_kit.checks import CheckResult
from migration_kit.plan import Plan
from migration_kit.raters import rater_table, severity, severity_shift
from migration_kit.wording import counted, fixed, level, listed, unit_of

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
        rater's difference to the others excludes 0 (5% shared by the raters) and exceeds half the margin. None where
        one person judged each output, or α may lie on either side. The table holds severity by rater.
    """
    name, criterion = "raters agree", plan.criterion(features.attrs["criterion"])
    total = agreement(features, interval=plan.sampling.interval, seed=plan.sampling.seed).iloc[0]
    if not total["outputs"]:
        return CheckResult(name, None, "No output was judged by more than one person.", criterion.id)
    raters = len(features["rater"])
    table = severity(features, interval=1 - ALARM / max(raters, 1))
    unit = unit_of(criterion)
    worth = criterion.margin / 2 if criterion.margin else _twentieth(features) / 2
    off = table[((table["lower"] > 0) | (table["upper"] < 0)) & (table["difference"].abs() > worth)]
    alpha = (f"Krippendorff’s α is {fixed(total['alpha'])} ({level(plan.sampling.interval)} {fixed(total['lower'])} to "
             f"{fixed(total['upper'])}; {TENTATIVE:g} is the least asked)")
    if np.isnan(total["alpha"]):
        alpha = "All judgments are equal, so α is not defined"
    text = f"{alpha} on {counted(total['outputs'], 'output')} judged by several people."
    if len(off):
        shift = severity_shift(features)
        most = shift.abs().idxmax()
        told = [f"{row.rater} judges {unit.size(row.difference)} {'above' if row.difference > 0 else 'below'} the rest"
                for row in off.itertuples()]
        text += f" On average {listed(told)}"
        text += (f"; as raters judged the models in unlike shares, this moves the contrast of {most} by "
                 f"{unit.change(shift[most], unit=True)}." if abs(shift[most]) > worth / 10 else
                 "; they judged the models in like shares, so contrasts hardly move.")
    passed = None if np.isnan(total["alpha"]) or total["lower"] < TENTATIVE else True
    if total["upper"] < TENTATIVE or len(off):
        passed = False
    return CheckResult(name, passed, text, criterion.id, table=table)


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
        return CheckResult(name, None, "At most one person judged, so there is nobody to compare with.", criterion)
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
