"""Sentences of stages 03 and 04: trust in metrics, quality, contrast, methods, slices, checks."""

import pandas as pd

from migration_kit.plan import CriterionSpec, Plan
from migration_kit.wording import (
    Said,
    asked,
    chance,
    counted,
    fixed,
    level,
    listed,
    percent,
    points,
    safe,
    size,
    span,
    unknown,
)

LEVEL = 0.0005
NO_USE = 0.05


def metric_trust(errors: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Said:
    """Which metric tells most, which least, and where the primary one errs differently."""
    spread = (errors["true_positive"] - errors["false_positive"]).fillna(errors["rank_correlation"])
    worth = spread.abs().groupby(errors["metric"], sort=False).mean().dropna()
    if worth.empty:
        return Said(f"How far the metrics of {safe(criterion.id)} can be trusted is not known.")
    best, least = worth.idxmax(), worth.idxmin()
    told = [f"{safe(best)} tells most about what people say"]
    told[0] += f", {safe(least)} least." if best != least else "; it is the only metric."
    useless = [safe(name) for name in worth.index[worth < NO_USE]]
    if useless:
        told.append(f"{listed(useless)} hardly {'tells' if len(useless) == 1 else 'tell'} good outputs from bad ones.")
    primary = errors[errors["metric"] == criterion.primary_metric].set_index("model")
    if plan.incumbent not in primary.index:
        return Said(" ".join(told))
    apart = []
    for what, answer, low, high in (("true_positive", "yes", "tp_lower", "tp_upper"),
                                    ("false_positive", "no", "fp_lower", "fp_upper")):
        own = primary.loc[plan.incumbent]
        others = primary.loc[list(plan.candidates)]
        unlike = [f"{percent(row[what])} of {safe(model)}" for model, row in others.iterrows()
                  if row[low] > own[high] or row[high] < own[low]]
        if unlike:
            apart.append(f"Where people say {answer}, it says yes to {listed(unlike)}, and to {percent(own[what])} of "
                         "the incumbent.")
    if apart:
        told += [f"The primary metric {safe(criterion.primary_metric)} treats models unlike.", *apart,
                 "So its raw contrast is bent."]
    elif primary["true_positive"].notna().all():
        told.append(f"The intervals of {safe(criterion.primary_metric)}'s error rates overlap between incumbent and "
                    "candidates.")
    return Said(" ".join(told))


def quality(rows: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Said:
    """The incumbent's quality and the best and worst candidate's; rows of one layer."""
    mine = _rows(rows, criterion, quantity="quality").set_index("model")["mean"]
    if mine.isna().any():
        return Said(f"The quality of {listed([safe(name) for name in mine.index[mine.isna()]])} on "
                    f"{safe(criterion.id)} is not known.")
    order = mine.sort_values(ascending=criterion.better == "lower")
    ranked = [f"{safe(model)} {percent(value)}{' (incumbent)' if model == plan.incumbent else ''}"
              for model, value in order.items()]
    return Said(f"From best to worst on {safe(criterion.id)}: {listed(ranked)}.")


def contrast(rows: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Said:
    """One sentence a candidate: contrast, interval, probability of losing more than the margin; rows of one layer."""
    mine = _rows(rows, criterion, quantity="contrast").set_index("model")
    told = [f"- {contrast_sentence(model, mine.loc[model], plan, criterion)}" for model in plan.candidates]
    return Said("\n".join(told))


def contrast_sentence(model: str, row: pd.Series, plan: Plan, criterion: CriterionSpec) -> str:
    """Say how a candidate compares with the incumbent on one criterion."""
    if unknown(row["mean"]):
        return f"Nothing is known of {safe(model)} on {safe(criterion.id)}."
    if abs(row["mean"]) < LEVEL:
        compared = f"is level with {safe(plan.incumbent)}"
    else:
        compared = f"is {size(row['mean'])} {'better' if row['mean'] > 0 else 'worse'} than {safe(plan.incumbent)}"
    told = (f"{safe(model)} {compared} on {safe(criterion.id)} ({level(plan.sampling.interval)} "
            f"{span(row['lower'], row['upper'])}")
    told += ", which includes no difference)" if row["lower"] <= 0 <= row["upper"] else ")"
    if criterion.margin is not None and not unknown(row["prob_noninferior"]):
        told += f"; probability of losing more than {size(criterion.margin)}: {chance(1 - row['prob_noninferior'])}"
    return f"{told}."


def methods(rows: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Said:
    """How much calibration narrows the interval, and which raw metrics point the other way; rows of one layer."""
    rows = rows[(rows["criterion"] == criterion.id) & (rows["slice"] == "all") & (rows["quantity"] == "contrast")]
    told = []
    for model in plan.candidates:
        mine = rows[rows["model"] == model]
        own = mine[mine["method"] == "calibrated"].iloc[0]
        labels = mine[mine["method"] == "labels_only"]
        if unknown(own["mean"]) or labels.empty or unknown(labels.iloc[0]["lower"]):
            told.append(f"- {safe(model)}: there are no labels alone to compare with.")
            continue
        wide = (own["upper"] - own["lower"]) / (labels.iloc[0]["upper"] - labels.iloc[0]["lower"])
        text = (f"- {safe(model)}: {points(own['mean'])} calibrated, {points(labels.iloc[0]['mean'])} by labels alone; "
                f"the calibrated interval is {fixed(wide)} times as wide.")
        raw = mine[(mine["method"] == "raw") & mine["mean"].notna()]
        against = raw[(raw["lower"] > 0) & (own["mean"] < 0) | (raw["upper"] < 0) & (own["mean"] > 0)]
        if len(against):
            text += (f" {listed([safe(name) for name in against['metric']])} alone "
                     f"{'says' if len(against) == 1 else 'say'} the opposite.")
        told.append(text)
    return Said("\n".join(told))


def slices(rows: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Said:
    """The worst slice of every candidate, and slices that miss the slice assurance; rows of one layer."""
    rows = rows[(rows["criterion"] == criterion.id) & (rows["method"] == "calibrated")
                & (rows["quantity"] == "contrast") & (rows["slice"] != "all") & rows["mean"].notna()]
    told = []
    for model in plan.candidates:
        mine = rows[rows["model"] == model]
        if len(mine) < 2:
            return Said("There is one slice only: nothing to tell apart.")
        worst = mine.loc[mine["mean"].idxmin()]
        text = (f"- {safe(model)} fares worst in {safe(worst['slice'])}: {points(worst['mean'], unit=True)} "
                f"({span(worst['lower'], worst['upper'])}).")
        if criterion.slice_margin is not None:
            short = mine[~(mine["prob_noninferior"] >= plan.decision.slice_assurance)]
            margin, wanted = size(criterion.slice_margin), asked(plan.decision.slice_assurance)
            names = [f"{safe(row.slice)} ({chance(row.prob_noninferior)})" for row in short.itertuples()]
            text += (f" Not shown to lose less than {margin} with probability {wanted}: {listed(names)}." if names else
                     f" In every slice the probability of losing less than {margin} reaches {wanted}.")
        told.append(text)
    return Said("\n".join(told))


def traffic_shift(rows: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Said:
    """How production's mix of slices moves each contrast."""
    wide = _rows(rows, criterion, quantity="contrast").pivot(index="model", columns="layer", values="mean")
    told = []
    for model in plan.candidates:
        offline, traffic = wide.loc[model, "offline"], wide.loc[model, "traffic"]
        turned = " Its sign turns." if offline * traffic < 0 and min(abs(offline), abs(traffic)) >= LEVEL else ""
        told.append(f"- {safe(model)}: {points(offline)} in the test set, {points(traffic)} under production traffic, "
                    f"a shift of {points(traffic - offline, unit=True)}.{turned}"
                    if not unknown(offline) and not unknown(traffic) else f"- {safe(model)}: not known.")
    return Said("\n".join(told))


def reliability(groups: pd.DataFrame, criterion: CriterionSpec) -> Said:
    """Whether predicted and judged shares agree."""
    outside = int(((groups["judged"] < groups["lower"]) | (groups["judged"] > groups["upper"])).sum())
    return Said(f"On {safe(criterion.id)} {outside} of {counted(len(groups), 'group')} "
                f"{'lies' if outside == 1 else 'lie'} outside the interval that the calibration model expects; about "
                "one in twenty would by chance.")


def checks(found: pd.DataFrame) -> Said:
    """How many checks passed, and which did not."""
    passed = found["passed"].fillna(False).astype(bool)
    failed, open_ = found[~passed & found["passed"].notna()], found[found["passed"].isna()]
    told = [f"{passed.sum()} of {counted(len(found), 'check')} passed."]
    for rows, word in ((failed, "Failed"), (open_, "Cannot tell")):
        if len(rows):
            names = rows["name"] + rows["criterion"].map(lambda name: f" ({name})" if name else "")
            told.append(f"{word}: {listed([safe(name) for name in dict.fromkeys(names)])}.")
    blocked = failed[failed["blocks"].astype(bool)]
    if len(blocked):
        told.append("Until the blocking ones pass, the verdict is to collect more labels.")
    return Said(" ".join(told))


def _rows(rows: pd.DataFrame, criterion: CriterionSpec, *, quantity: str) -> pd.DataFrame:
    return rows[(rows["criterion"] == criterion.id) & (rows["slice"] == "all") & (rows["method"] == "calibrated")
                & (rows["quantity"] == quantity)]
