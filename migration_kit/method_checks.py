"""Do methods that share their labels agree? Calibrated against corrected, and against labels alone."""

import numpy as np
import pandas as pd
import xarray as xr

from migration_kit.checks import CORRECTED_AGREES, CheckResult
from migration_kit.estimands import TOTAL, contrast
from migration_kit.gates import verdict_of
from migration_kit.intervals import NORMAL
from migration_kit.plan import CriterionSpec, Plan
from migration_kit.wording import counted, sentence, unit_of

DISAGREEMENT = 2.0
ALARM = 0.05
# Estimated as a difference, the variance is now and then far too small. Of 11,425 simulated contrasts that are sound,
# 1.1% lie beyond 2.58 standard deviations with this least share of V_labels, and 2.7% with 0.1; a normal has 1%.
LEAST_SHARE = 0.25
TO_DO = ("Look at the checks on labels drawn at random and predictions that match labels: where one fails, mend that "
         "first; where both hold, label more items, which brings sound methods together.")


def correction_check(draws: xr.Dataset, features: xr.Dataset, plan: Plan) -> CheckResult:
    """Calibrated and corrected contrasts lie within twice the standard deviation of the correction."""
    better = features.attrs["better"]
    both = {name: contrast(draws[name].sel(slice=TOTAL), incumbent=plan.incumbent, better=better) for name in draws}
    rows = []
    for model in plan.candidates:
        moved = (both["corrected"] - both["calibrated"]).sel(model=model).to_numpy().ravel()
        rows.append({"model": model, "difference": moved.mean(), "sd": moved.std(),
                     "ratio": abs(moved.mean()) / moved.std() if moved.std() > 0 else 0.0})
    table = pd.DataFrame(rows)
    apart = table[table["ratio"] > DISAGREEMENT]
    worst = table.loc[table["ratio"].idxmax()]
    unit = unit_of(plan.criterion(features.attrs["criterion"]))
    text = (f"Held against its standard deviation, the correction by residuals is largest for {worst['model']}: it "
            f"moves the contrast by {unit.change(worst['difference'], unit=True)}, {worst['ratio']:.1f} times that (at "
            f"most {DISAGREEMENT:g}).")
    return CheckResult(CORRECTED_AGREES, apart.empty, text, features.attrs["criterion"],
                       models=tuple(apart["model"]), table=table)


def agreement_check(estimates: pd.DataFrame, plan: Plan, criterion: str, *, layer: str) -> CheckResult:
    """Calibrated and labels-only contrasts share their labels, so they may differ only by what metrics add.

    Allowed is z·√max(V_labels − V_calibrated, ¼·V_labels), z standard deviations of their difference where the
    calibration is right (Hausman 1978, Econometrica 46:1251). z widens with the number of comparisons of a layer, over
    criteria and candidates (Bonferroni), so that about one in twenty sound reports fails: with 1 to 20 comparisons 4%
    to 7% of simulated ones did.

    Returns
    -------
    CheckResult
        Its table: model, mean and sd of both, difference, allowed. Worry when it fails on a gate: one of the two
        is wrong, and the text says whether the verdict depends on which.
    """
    name, spec = "cross-checks agree", plan.criterion(criterion)
    rows = estimates.query("layer == @layer and quantity == 'contrast' and slice == @TOTAL").dropna(subset="sd")
    calibrated, labels = (rows[rows["method"] == method] for method in ("calibrated", "labels_only"))
    both = calibrated.merge(labels, on=["criterion", "model"], suffixes=("", "_labels"))
    table = both[both["criterion"] == criterion][["model", "mean", "mean_labels", "sd", "sd_labels"]]
    if table.empty:
        return CheckResult(name, None, "There are no labels-only contrasts to compare with.", criterion)
    reach, variance = NORMAL.inv_cdf(1 - ALARM / 2 / len(both)), table["sd_labels"] ** 2
    spread = np.sqrt(np.maximum(variance - table["sd"] ** 2, LEAST_SHARE * variance))
    table = table.assign(difference=table["mean"] - table["mean_labels"], allowed=reach * spread)
    apart, unit = table[table["difference"].abs() > table["allowed"]], unit_of(spec)
    if apart.empty:
        worst = table.loc[(table["difference"].abs() / table["allowed"]).idxmax()]
        text = (f"Held against what chance allows, calibrated and labels-only contrasts differ most for "
                f"{worst['model']}: by {unit.size(worst['difference'])} ({unit.change(worst['mean'])} and "
                f"{unit.change(worst['mean_labels'])}). Up to {unit.size(worst['allowed'])} may be chance there, as "
                f"{counted(len(both), 'such difference')} {'is' if len(both) == 1 else 'are'} looked at.")
        return CheckResult(name, True, text, criterion, table=table)
    told = [f"The calibrated contrast of {row.model} on {criterion} is {unit.change(row.mean, unit=True)}, by "
            f"labels alone it is {unit.change(row.mean_labels, unit=True)}: they differ by "
            f"{unit.size(row.difference)}, and chance explains up to {unit.size(row.allowed)}."
            for row in apart.itertuples()]
    depends = _what_depends(both.set_index(["criterion", "model"]), plan, spec, apart["model"].tolist(), layer=layer)
    return CheckResult(name, False, " ".join([*told, depends, TO_DO]), criterion, models=tuple(apart["model"]),
                       table=table)


def _what_depends(both: pd.DataFrame, plan: Plan, spec: CriterionSpec, models: list[str], *, layer: str) -> str:
    """Say whether a verdict would be another if labels alone were right, by the totals of all gates."""
    if spec.role == "monitor":
        return f"{spec.id} is only monitored, so no verdict depends on it."
    if spec.role == "trade-off":
        return (f"{spec.id} is a trade-off, so at most the choice among candidates that may replace the incumbent "
                "depends on it.")
    if layer != "traffic":
        return "The verdict rests on production traffic, where stage 4 makes this check again."
    told = []
    for model in models:
        held = both.reindex([(gate.id, model) for gate in plan.gates])[["prob_noninferior", "prob_noninferior_labels"]]
        # Only the gate in question changes; a gate without labels leaves no verdict but collect.
        swapped = held["prob_noninferior"].where(held.index != (spec.id, model), held["prob_noninferior_labels"])
        hold = np.stack([held["prob_noninferior"], swapped])
        first, second = verdict_of(hold, 1 - hold, np.zeros((2, 0)), assurance=plan.decision.assurance,
                                   slice_assurance=plan.decision.slice_assurance)
        told.append(f"by its gates in total {model} comes out as {first} " + (
            "either way, so its verdict does not depend on which is right" if first == second else
            f"with the calibrated contrast, which decides, and as {second} with that of labels alone, so its verdict "
            "depends on which is right"))
    return sentence(f"{'; '.join(told)}.")
