"""Sentences of stages 03 and 04: quality, contrast, methods, slices, traffic, checks."""

import pandas as pd

from migration_kit.plan import CriterionSpec, Plan
from migration_kit.wording import Said, Unit, asked, chance, counted, fixed, level, listed, safe, unit_of, unknown

GUESS = "A guess, because nobody has judged outputs of both models: "


def quality(rows: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Said:
    """The incumbent's quality and the best and worst candidate's; rows of one layer."""
    mine = _rows(rows, criterion, quantity="quality").set_index("model")["mean"]
    if mine.empty:
        return _nobody(criterion)
    if mine.isna().any():
        return Said(f"The quality of {listed([safe(name) for name in mine.index[mine.isna()]])} on "
                    f"{safe(criterion.id)} is not known.")
    order = mine.sort_values(ascending=criterion.better == "lower")
    unit = unit_of(criterion)
    ranked = [f"{safe(model)} {unit.quality(value)}{' (incumbent)' if model == plan.incumbent else ''}"
              for model, value in order.items()]
    return Said(f"From best to worst on {safe(criterion.id)}, {unit.noun}: {listed(ranked)}."
                f"{_guesses(rows, plan, criterion)}")


def contrast(rows: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Said:
    """One sentence a candidate: contrast, interval, probability of losing more than the margin; rows of one layer."""
    mine, lead = _rows(rows, criterion, quantity="contrast").set_index("model"), _leads(rows, plan, criterion)
    if mine.empty:
        return _nobody(criterion)
    told = [f"- {lead[model]}{contrast_sentence(model, mine.loc[model], plan, criterion)}"
            for model in plan.candidates]
    return Said("\n".join(told))


def unjudged(rows: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> set[str]:
    """Models without labels of a criterion, whose numbers are guesses; of preferences candidates only."""
    mine = _rows(rows, criterion, quantity="quality")
    models = plan.candidates if criterion.kind == "pairwise" else plan.model_ids
    return set(mine.loc[(mine["n_labels"] == 0) & mine["model"].isin(models), "model"])


def _leads(rows: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> dict[str, str]:
    """What goes before a candidate's contrast: nothing, or that it is a guess."""
    guessed = unjudged(rows, plan, criterion)
    return {model: GUESS if {model, plan.incumbent} & guessed else "" for model in plan.candidates}


def _guesses(rows: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> str:
    """Name the models nobody judged; "" for none."""
    found = unjudged(rows, plan, criterion)
    names = listed([safe(model) for model in plan.model_ids if model in found])
    return (f" Nobody has judged an output of {names}: {'its' if len(found) == 1 else 'their'} numbers are guesses "
            "from metrics and priors.") if found else ""


def _nobody(criterion: CriterionSpec) -> Said:
    return Said(f"Nobody has judged an output on {safe(criterion.id)}, so nothing is known.")


def contrast_sentence(model: str, row: pd.Series, plan: Plan, criterion: CriterionSpec) -> str:
    """Say how a candidate compares with the incumbent on one criterion."""
    if unknown(row["mean"]):
        return f"Nothing is known of {safe(model)} on {safe(criterion.id)}."
    unit = unit_of(criterion)
    if rounds_away(row["mean"], unit):
        compared = f"is level with {safe(plan.incumbent)}"
    else:
        compared = _compared(row["mean"], criterion, incumbent=safe(plan.incumbent))
    told = (f"{safe(model)} {compared} on {safe(criterion.id)} ({level(plan.sampling.interval)} "
            f"{unit.span(row['lower'], row['upper'])}")
    told += ", which includes 0, no difference)" if row["lower"] <= 0 <= row["upper"] else ")"
    if criterion.margin is not None and not unknown(row["prob_noninferior"]):
        more = f"more than {unit.size(criterion.margin)}"
        told += f"; probability of losing {more}: {chance(1 - row['prob_noninferior'])}"
    return f"{told}."


def _compared(value: float, criterion: CriterionSpec, *, incumbent: str) -> str:
    size = unit_of(criterion).size(value)
    if criterion.kind == "pairwise":
        return (f"is preferred to {incumbent} by {size} net" if value > 0
                else f"is less often preferred than {incumbent}, by {size} net")
    return f"is {size} {'better' if value > 0 else 'worse'} than {incumbent}"


def rounds_away(value: float, unit: Unit) -> bool:
    """Tell whether a contrast is nothing in the digits shown."""
    return not any(digit in unit.change(value) for digit in "123456789")


def methods(
    rows: pd.DataFrame, plan: Plan, criterion: CriterionSpec, alarms: pd.DataFrame | None = None
) -> Said:
    """How much calibration narrows the interval, and which raw metrics say the opposite.

    Parameters
    ----------
    rows : DataFrame
        Estimates of one layer.
    plan : Plan
    criterion : CriterionSpec
    alarms : DataFrame, optional
        From `alarms.raw_alarms`, which speaks of production traffic; no metric says the opposite without an alarm.
    """
    rows = rows[(rows["criterion"] == criterion.id) & (rows["slice"] == "all") & (rows["quantity"] == "contrast")]
    told, unit, misled = [], unit_of(criterion), {}
    if alarms is not None:
        found = alarms[(alarms["criterion"] == criterion.id) & alarms["alarm"].astype(bool)]
        misled = {model: part["metric"].tolist() for model, part in found.groupby("model")}
    if not (rows["method"] == "calibrated").any():
        return _nobody(criterion)
    for model in plan.candidates:
        mine = rows[rows["model"] == model]
        own = mine[mine["method"] == "calibrated"].iloc[0]
        labels = mine[mine["method"] == "labels_only"]
        if unknown(own["mean"]) or labels.empty or unknown(labels.iloc[0]["lower"]):
            told.append(f"- {safe(model)}: there are no labels alone to compare with.")
            continue
        wide = (own["upper"] - own["lower"]) / (labels.iloc[0]["upper"] - labels.iloc[0]["lower"])
        text = (f"- {safe(model)}: {unit.change(own['mean'])} calibrated, "
                f"{unit.change(labels.iloc[0]['mean'])} by labels alone; "
                f"the calibrated interval is {fixed(wide)} times as wide as theirs.")
        if against := misled.get(model):
            text += (f" {listed([safe(name) for name in against])} alone "
                     f"{'says' if len(against) == 1 else 'say'} the opposite.")
        told.append(text)
    return Said("\n".join(told))


def slices(rows: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Said:
    """The worst slice of every candidate, and slices that miss the slice assurance; rows of one layer."""
    lead = _leads(rows, plan, criterion)
    rows = rows[(rows["criterion"] == criterion.id) & (rows["method"] == "calibrated")
                & (rows["quantity"] == "contrast") & (rows["slice"] != "all") & rows["mean"].notna()]
    told, unit = [], unit_of(criterion)
    if rows.empty:
        return _nobody(criterion)
    for model in plan.candidates:
        mine = rows[rows["model"] == model]
        if len(mine) < 2:
            return Said("There is one slice only: nothing to tell apart.")
        worst = mine.loc[mine["mean"].idxmin()]
        text = (f"- {lead[model]}{safe(model)} fares worst in {safe(worst['slice'])}: "
                f"{unit.change(worst['mean'], unit=True)} ({unit.span(worst['lower'], worst['upper'])}).")
        if criterion.slice_margin is not None:
            short = mine[~(mine["prob_noninferior"] >= plan.decision.slice_assurance)]
            margin, wanted = unit.size(criterion.slice_margin), asked(plan.decision.slice_assurance)
            names = [f"{safe(row.slice)} ({chance(row.prob_noninferior)})" for row in short.itertuples()]
            text += (f" Not shown to lose less than {margin} with probability {wanted}: {listed(names)}." if names else
                     f" In every slice the probability of losing less than {margin} reaches {wanted}.")
        told.append(text)
    return Said("\n".join(told))


def traffic_shift(rows: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Said:
    """How production's mix of slices moves each contrast."""
    wide = _rows(rows, criterion, quantity="contrast").pivot(index="model", columns="layer", values="mean")
    told, unit, lead = [], unit_of(criterion), _leads(rows, plan, criterion)
    if wide.empty:
        return _nobody(criterion)
    for model in plan.candidates:
        offline, traffic = wide.loc[model, "offline"], wide.loc[model, "traffic"]
        shown = not rounds_away(offline, unit) and not rounds_away(traffic, unit)
        turned = " Its sign turns." if offline * traffic < 0 and shown else ""
        told.append(f"- {lead[model]}{safe(model)}: {unit.change(offline)} in the test set, {unit.change(traffic)} "
                    f"under production traffic, a shift of {unit.change(traffic - offline, unit=True)}.{turned}"
                    if not unknown(offline) and not unknown(traffic) else f"- {safe(model)}: not known.")
    return Said("\n".join(told))


def checks(found: pd.DataFrame) -> Said:
    """How many checks passed, and which did not."""
    if found.empty:
        return Said("There is nothing to check, because nobody has judged an output.")
    passed = found["passed"].fillna(False).astype(bool)
    failed, open_ = found[~passed & found["passed"].notna()], found[found["passed"].isna()]
    told = [f"{passed.sum()} of {counted(len(found), 'check')} passed."]
    for rows, word in ((failed, "Failed"), (open_, "Cannot tell")):
        if len(rows):
            told.append(f"{word}: {listed(by_name(rows))}.")
    blocked = failed[failed["blocks"].astype(bool)]
    if len(blocked):
        held_back = [set(models) for models in blocked["models"]]
        on = f" on {listed(sorted(map(safe, set.union(*held_back))))}" if all(held_back) else ""
        told.append(f"Until the blocking ones pass, the verdict{on} is to collect more labels.")
    return Said(" ".join(told))


def by_name(found: pd.DataFrame) -> list[str]:
    """Name checks, each with the criteria it is about."""
    names = []
    for name, part in found.groupby("name", sort=False):
        criteria = [safe(one) for one in dict.fromkeys(part["criterion"]) if one]
        names.append(f"{safe(name)} ({listed(criteria)})" if criteria else safe(name))
    return names


def sensitivity(found: pd.DataFrame, *, full: bool) -> Said:
    """What the checks say that fit the model again; or that they were left out."""
    if not full:
        return Said("These checks fit every criterion three times more and were left out; `migration-kit run --full` "
                    "makes them.")
    if found.empty:
        return Said("No criterion has labels, so nothing could be fitted again.")
    failed = found[found["passed"].eq(False).fillna(False)]
    names = by_name(failed)
    return Said(f"{len(found) - len(failed)} of {counted(len(found), 'check')} give no reason to doubt: "
                + (f"look at {listed(names)}." if names else "other priors and other labels say the same."))


def _rows(rows: pd.DataFrame, criterion: CriterionSpec, *, quantity: str) -> pd.DataFrame:
    return rows[(rows["criterion"] == criterion.id) & (rows["slice"] == "all") & (rows["method"] == "calibrated")
                & (rows["quantity"] == quantity)]
