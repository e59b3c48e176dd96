"""Checks of a fitted criterion: did sampling work, do predictions match labels, do metrics err alike?"""

import arviz as az
import numpy as np
import pandas as pd
import xarray as xr

from migration_kit.checks import FAIR, CheckResult
from migration_kit.estimands import contrast
from migration_kit.method_checks import correction_check
from migration_kit.metric_errors import metric_error_draws
from migration_kit.metric_shift import SLIGHT, metric_shift
from migration_kit.plan import Plan
from migration_kit.predictive import labelled_predictions, predictive_cells
from migration_kit.wording import counted, number, percent, share, signed, signed_number, unit_of

LARGEST_RHAT = 1.01
SMALLEST_ESS = 400


def sampling_check(fit: xr.DataTree, draws: xr.Dataset, features: xr.Dataset, plan: Plan) -> CheckResult:
    """R-hat, effective sample size and divergences of every quality and contrast that is reported.

    Blocks a verdict where the criterion has a say in it and draws were not spared on purpose (fast).
    """
    deltas = contrast(draws["calibrated"], incumbent=plan.incumbent, better=features.attrs["better"])
    quantities = xr.Dataset({"contrast": deltas.rename(model="candidate")})
    # Of preferences quality is the contrast, and the incumbent's is 0 in every draw.
    if features.attrs["kind"] != "pairwise":
        quantities["quality"] = draws["calibrated"]
    rhat = max(float(values.max()) for values in az.rhat(quantities).data_vars.values())
    sizes = [az.ess(quantities, method=kind) for kind in ("bulk", "tail")]
    ess = min(float(values.min()) for size in sizes for values in size.data_vars.values())
    diverging, allowed = float(fit["sample_stats"]["diverging"].mean()), fit.attrs["divergent_share"]
    passed = rhat < LARGEST_RHAT and ess > SMALLEST_ESS and diverging <= allowed
    few = " These are fewer draws than a decision asks for (fast)." if fit.attrs.get("fast") and not passed else ""
    return CheckResult(
        "sampling", passed,
        f"Largest R-hat {rhat:.3f} (below {LARGEST_RHAT}), smallest effective sample size {ess:.0f} (above "
        f"{SMALLEST_ESS}), divergent draws {diverging:.2%} (at most {allowed:.1%}).{few}",
        features.attrs["criterion"],
        blocks=not fit.attrs.get("fast") and plan.criterion(features.attrs["criterion"]).role != "monitor",
        table=pd.DataFrame([{"rhat": rhat, "ess": ess, "divergent_share": diverging}]))


def fit_checks(fit: xr.DataTree, draws: xr.Dataset, features: xr.Dataset, plan: Plan) -> list[CheckResult]:
    """Checks of a fitted criterion: sampling, predictions against labels, equal metric error, correction.

    Parameters
    ----------
    fit : DataTree
        From `inference.fit`.
    draws : Dataset
        From `estimands.quality`.
    features : Dataset
    plan : Plan

    Returns
    -------
    list of CheckResult
        Worry about each that did not pass; one that ``blocks`` leaves no verdict but ``collect``.
    """
    criterion, seed = features.attrs["criterion"], plan.sampling.seed
    cells = predictive_cells(labelled_predictions(fit, features, seed=seed), features, interval=plan.sampling.interval)
    return [
        sampling_check(fit, draws, features, plan),
        _predictive(cells, plan, criterion),
        _metric_error(fit, features, plan),
        correction_check(draws, features, plan),
    ]


def _predictive(cells: pd.DataFrame, plan: Plan, criterion: str) -> CheckResult:
    name = "predictions match labels"
    if cells.empty:
        return CheckResult(name, None, "No cell holds five judgments to hold predictions against.", criterion)
    unit = unit_of(plan.criterion(criterion))
    worst = cells.loc[cells["tail_probability"].idxmin()]
    outside = int(((cells["judged"] < cells["lower"]) | (cells["judged"] > cells["upper"])).sum())
    # Many cells are looked at; Bonferroni keeps the chance of a false alarm at one in twenty.
    passed = bool(worst["tail_probability"] * len(cells) > 0.05)
    shown = percent if worst["of"] == "share of judgment" else unit.quality
    text = (f"{outside} of {len(cells)} cells of model × slice, metric level or judgment lie outside their interval; "
            f"farthest is {worst['model']}, {worst['of']} {worst['cell']}: judged {shown(worst['judged'])} over "
            f"{worst['n']} judgments, predicted {shown(worst['predicted'])}.")
    return CheckResult(name, passed, text, criterion, table=cells)


def _metric_error(fit: xr.DataTree, features: xr.Dataset, plan: Plan) -> CheckResult:
    """The primary metric errs alike for all models, and gives none of them more for the same human judgment.

    Rates of verdicts on judgments of 0 and 1 show a shift themselves; a rank correlation does not, so there the labels
    are asked.
    """
    primary, criterion = features.attrs["primary_metric"], features.attrs["criterion"]
    draws = metric_error_draws(fit, features, seed=plan.sampling.seed)
    tails = [(1 - plan.sampling.interval) / 2, (1 + plan.sampling.interval) / 2]
    own, rows = draws.get((primary, plan.incumbent), {}), []
    for model in plan.candidates:
        for error in own.keys() & draws[primary, model].keys():
            difference = draws[primary, model][error] - draws[primary, plan.incumbent][error]
            lower, upper = np.quantile(difference, tails)
            rows.append({"model": model, "error": error.replace("_", " "), "difference": difference.mean(),
                         "lower": lower, "upper": upper})
    table = pd.DataFrame(rows, columns=["model", "error", "difference", "lower", "upper"])
    shifts = metric_shift(features, plan).iloc[: 0 if "true_positive" in own else None]
    if table.empty and shifts.empty:
        told = (f"{primary} gives verdicts for some models and scores for others." if own else
                "Too few outputs of any candidate were compared with the incumbent's.")
        return CheckResult(FAIR, None, told, criterion)
    differs = table[(table["lower"] > 0) | (table["upper"] < 0)]
    unfair = dict.fromkeys([*differs["model"], *shifts.loc[shifts["shifted"], "model"]])
    text = f"{primary} errs differently for {len(unfair)} of {counted(len(plan.candidates), 'candidate')}"
    if len(table):
        among = table if differs.empty else differs
        worst = among.loc[among["difference"].abs().idxmax()]
        text += (f"; largest difference to the incumbent: {worst['error']} of {worst['model']} "
                 f"{signed(worst['difference'], 2)} ({signed(worst['lower'], 2)} to {signed(worst['upper'], 2)})")
    text += f"{_shift_words(shifts, features.attrs['kind'])}. Calibration allows for it, a raw comparison does not."
    return CheckResult(FAIR, not unfair, text, criterion, models=tuple(unfair), table=table)


def _shift_words(shifts: pd.DataFrame, kind: str) -> str:
    if shifts.empty:
        return ""
    among = shifts[shifts["shifted"]] if shifts["shifted"].any() else shifts
    most = among.loc[among["shift"].abs().idxmax()]
    model, much, up = most["model"], number(abs(most["shift"])), most["shift"] > 0
    # A preference is about two outputs: the incumbent has no metric of its own to give more or less than.
    what = (f"where people see no difference it leans to {model if up else 'the incumbent'} by {much}"
            if kind == "pairwise" else
            f"for the same human judgment it gives {model} {much} {'more' if up else 'less'} than the incumbent")
    of = "comparisons" if kind == "pairwise" else "outputs"
    return (f"; {what} (difference {signed_number(most['lower'])} to {signed_number(most['upper'])}, noise of the "
            f"judgments allowed for; it counts where it lies wholly beyond ±{number(SLIGHT * most['spread'])}, "
            f"{share(SLIGHT)} of the metric's standard deviation over {of})")
