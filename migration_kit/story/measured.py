"""Sentences on what was measured and what was not: estimand, judges, labels by slice, oddities, limits."""

import pandas as pd
import xarray as xr

from migration_kit.checks import PRIORS_LEAVE_ROOM
from migration_kit.data import EvalData
from migration_kit.plan import Plan
from migration_kit.wording import Said, amount, counted, listed, minus, safe, share, unit_of


def estimand(plan: Plan) -> Said:
    """What is estimated of every model, in words."""
    names = listed([safe(name) for name in plan.slices])
    by = f", slices by {names} weighed as production has them" if plan.slices else ""
    told = [f"**Estimand.** The mean judgment that a qualified person would give of a model's outputs under production "
            f"traffic{by}; and of every candidate the difference to {safe(plan.incumbent)} on the same items, counted "
            "so that positive is better."]
    for one in plan.criteria:
        asks, yes = f", asked “{safe(one.question)}”" if one.question else "", " of yes" * (one.kind == "binary")
        told.append(f"- {safe(one.id)}: the {unit_of(one).noun}{yes}{asks}; {one.better} is better.")
    return Said("\n\n".join([told[0], "\n".join(told[1:])]))


def judges(plan: Plan) -> Said:
    """Which metrics come from the house of a model that they judge, and of which the plan does not say."""
    used = [plan.metric(name) for name in dict.fromkeys(name for one in plan.criteria for name in one.metrics)]
    told = []
    for metric in used:
        kin = [safe(model) for model in plan.model_ids
               if metric.family and metric.family.casefold() in model.casefold()]
        if kin:
            told.append(f"{safe(metric.id)} and {listed(kin)} are of the same family ({safe(metric.family)})")
    silent = [safe(metric.id) for metric in used if metric.by is None]
    said = [f"Same-family risk: {'; '.join(told)}. A judge may favour its own house; the calibration holds it against "
            "people, model by model." if told else
            "No metric shares its family with a model, as far as the plan says (`family`)."]
    if silent:
        said.append(f"Who computes {listed(silent)}, the plan does not say.")
    return Said(" ".join(said))


def labels_by_slice(counts: pd.DataFrame, plan: Plan) -> Said:
    """Where the fewest labels are, from `data_checks.label_counts` of each criterion with the column criterion."""
    told = []
    for gate in plan.gates:
        mine = counts[counts["criterion"] == gate.id]
        if mine.empty or not mine["labels"].any():
            told.append(f"- {safe(gate.id)}: nobody has judged an output.")
            continue
        least = mine.loc[mine["labels"].idxmin()]
        alike = mine.groupby("slice")["labels"].nunique().max() == 1
        who = "every model" if alike else safe(least["model"])
        told.append(f"- {safe(gate.id)}: fewest in {safe(least['slice'])}, where {counted(least['labels'], 'output')} "
                    f"of {who} {'was' if least['labels'] == 1 else 'were'} judged, of "
                    f"{counted(least['items'], 'item')}.")
    return Said("\n".join(told))


def prior_predictive(found: pd.DataFrame) -> Said:
    """Whether the priors alone allow what people said; from the checks of the run."""
    mine = found[found["name"] == PRIORS_LEAVE_ROOM]
    if mine.empty:
        return Said("**Prior predictive.** Whether the priors alone allow what people said was not looked at in this "
                    "run; `migration-kit run --full` looks.")
    told = [f"- {safe(row.criterion)}: {safe(minus(row.text))}" for row in mine.itertuples()]
    return Said("**Prior predictive.** What the priors alone expect, before any label:\n\n" + "\n".join(told))


def notes(data: EvalData) -> Said:
    """What is odd in plan and tables and kept all the same, with what is done with it."""
    if data.notes.empty:
        return Said("Nothing in plan and tables is odd.")
    told = "\n".join(f"- {safe(minus(text))}" for text in data.notes["text"])
    return Said(f"What is odd in plan and tables and was kept:\n\n{told}")


def limits(features: dict[str, xr.Dataset], data: EvalData, plan: Plan, *, full: bool) -> Said:
    """What was not measured and what may not transfer.

    Parameters
    ----------
    features : dict of Dataset
        Criterion to its features.
    data : EvalData
    plan : Plan
    full : bool
        Whether the checks that fit the model again were made.
    """
    told = []
    for name, one in features.items():
        item = one["judged_item"].to_numpy()
        several = one["judged_rater"].to_pandas().groupby([item, one["judged_model"].to_numpy()]).nunique().gt(1).sum()
        if not len(item):
            told.append(f"- Human judgments: none on {safe(name)}, so nothing is known of it.")
            continue
        told.append(f"- Human judgments: {counted(len(set(item)), 'item')} on {safe(name)}, " + (
            f"{counted(int(several), 'output')} by more than one rater." if several else
            "one judgment an output. Agreement between raters was not measured."))
    told += [*_live_limits(data, plan),
             *([] if full else ["- Checks that fit the model again, with other priors and with a part of the labels, "
                                "were not made in this run; `migration-kit run --full` makes them."]),
             "- Within a slice, the items of the test set stand for production's; where they differ, the slice's "
             "numbers may not carry over."]
    return Said("\n".join(told))


def _live_limits(data: EvalData, plan: Plan) -> list[str]:
    live, told = data.live, []
    if live.empty:
        return ["- All models answered a test set. Nothing was measured in production: users' reactions, load and "
                "failures are not part of this report."]
    shadow, canary = (live[live["stage"] == stage] for stage in ("shadow", "canary"))
    judged = shadow[shadow["rater_kind"] == "human"]
    if len(shadow):
        on = [safe(one.id) for one in plan.criteria if (judged["criterion"] == one.id).any()]
        told.append(f"- Live requests: {counted(shadow['item_id'].nunique(), 'request')} of the shadow, of which "
                    f"people judged {amount(judged['item_id'].nunique())}" + (f" on {listed(on)}." if on else "."))
    elsewhere = [row for row in data.traffic.itertuples() if row.slice not in set(shadow["slice"])]
    if len(judged) and elsewhere:
        names, part = [safe(row.slice) for row in elsewhere], share(sum(row.share for row in elsewhere))
        told.append(f"- No request of the shadow is in {listed(names, last='or')} ({part} of traffic): whether the "
                    "test set holds there on live requests is not known.")
    unseen = [safe(model) for model in plan.candidates if not (judged["model"] == model).any()]
    if unseen:
        told.append(f"- Nobody judged live outputs of {listed(unseen)}: whether the test set holds for "
                    f"{'it' if len(unseen) == 1 else 'them'} on live requests is not known.")
    met = [safe(model) for model in plan.candidates if (canary["model"] == model).any()]
    users = canary.loc[canary["model"].isin(plan.candidates), "user"].nunique()
    told.append(f"- {counted(users, 'user')} of the canary met {listed(met)}; what users do at full load, and later, "
                "was not measured." if met else
                "- No user met a candidate: users' reactions, load and failures are not part of this report.")
    return told
