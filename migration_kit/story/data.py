"""Sentences of stages 01 and 02: the question, the data, the incumbent, requirements, raw metrics."""

import pandas as pd
import xarray as xr

from migration_kit.data import EvalData
from migration_kit.loss import no_time_to_wait
from migration_kit.plan import CriterionSpec, Plan
from migration_kit.wording import (
    Said,
    amount,
    counted,
    level,
    listed,
    percent,
    points,
    safe,
    sentence,
    share,
    unit_of,
    unknown,
)

NOTICEABLE = 0.05


def heading(criterion: CriterionSpec) -> Said:
    """A heading for what follows on one criterion."""
    return Said(f"### {safe(criterion.id)}")


def judged(features: dict[str, xr.Dataset], plan: Plan) -> Said:
    """Which criteria people have judged, and that nothing is known of the others; from the features of each."""
    missing = [name for name, one in features.items() if not one.sizes["judgment"]]
    if not missing:
        return Said("People have judged outputs on every criterion.")
    it = "it" if len(missing) == 1 else "them"
    names = listed([safe(name) for name in missing])
    told = (f"**Nobody has judged an output on {names}.** What people would say there is not known, so no result below "
            f"is about {it}")
    if any(plan.criterion(name).role != "monitor" for name in missing):
        return Said(f"{told}; until people have judged some, the verdict on every candidate that meets the "
                    "requirements is `collect`.")
    return Said(f"{told}. The plan only watches {it}, so the verdict does not wait for {it}.")


def question(plan: Plan) -> Said:
    """Who decides what by when, and what happens without evidence."""
    candidates = listed([f"**{safe(name)}**" for name in plan.candidates], last="or")
    owner = safe(plan.decision.owner) if plan.decision.owner else "The owner of the decision"
    due = f" by {plan.decision.due}" if plan.decision.due else ""
    gates = listed([safe(gate.id) for gate in plan.gates])
    retires = plan.models.incumbent.retires
    leaves = f" {sentence(safe(plan.incumbent))} retires on {retires}." if retires else ""
    default = f"without evidence the answer is to {plan.decision.default} the incumbent.{leaves}"
    if no_time_to_wait(plan):
        default = (f"without evidence the answer would be to {plan.decision.default} the incumbent, but staying is no "
                   f"option: {safe(plan.incumbent)} retires on {retires}.")
    volume = plan.traffic.requests_per_day if plan.traffic else None
    affected = f" {amount(volume)} requests a day are affected." if volume else ""
    source = f" The data: {safe(plan.data.source)}." if plan.data.source else ""
    return Said(
        f"May {candidates} replace **{safe(plan.incumbent)}**, the incumbent, without losing more than the margin on "
        f"{gates}{_gate_means(plan)}? {owner} decides{due}; {default}{affected} The design is a paired non-inferiority "
        f"comparison: all models answer the same items.{source}")


def _gate_means(plan: Plan) -> str:
    """Say in brackets what a gate is, by the margins of this plan."""
    sizes = listed([unit_of(gate).size(gate.margin) for gate in plan.gates])
    return f" (the gate{'s' * (len(plan.gates) > 1)} of this plan: a loss beyond {sizes} is not accepted)"


def margins(plan: Plan, manifest: dict, changes: list[str]) -> Said:
    """What loss is accepted, and that it was fixed before results were read."""
    volume = plan.traffic.requests_per_day if plan.traffic else None
    told = []
    for gate in plan.gates:
        told.append(f"On {safe(gate.id)} a loss of up to {unit_of(gate).size(gate.margin)} is accepted"
                    f"{people(gate, volume, before=', ')}.")
    fixed = manifest["plans"][-1]
    told.append(f"These margins stand in the plan with digest `{fixed['digest'][:12]}`, first read "
                f"{fixed['since'][:10]}.")
    told += [safe(change) for change in changes] or [
        "No other plan was read in this run folder after the candidates' scores had been seen."]
    return Said(" ".join(told))


def people(gate: CriterionSpec, volume: float | None, *, before: str = "") -> str:
    """Say a margin in requests a day, where the volume is known and quality is a rate of outputs."""
    if not gate.in_points or gate.kind == "pairwise":
        return f"{before}in the {unit_of(gate).noun}"
    return f"{before}{amount(gate.margin * volume)} of {amount(volume)} requests a day" if volume else ""


def raters(plan: Plan) -> Said:
    """Who judged, and what they saw."""
    if plan.raters is None:
        return Said("The plan does not say who gave the human judgments.")
    blind = {True: "did not see which model an output came from", False: "saw which model an output came from",
             None: "may have seen which model an output came from: the plan does not say"}[plan.raters.blinded]
    told = f"The human judgments come from {safe(plan.raters.who)}; they {blind}."
    return Said(told + (f" Instructions: {safe(plan.raters.instructions)}." if plan.raters.instructions else ""))


def source(plan: Plan, data: EvalData) -> Said:
    """Where the items come from."""
    told = f"The test set holds {counted(len(data.items), 'item')}"
    if plan.slices:
        told += f" in {counted(data.items['slice'].nunique(), 'slice')} by {listed([safe(s) for s in plan.slices])}"
    told += f". Source: {safe(plan.data.source)}" if plan.data.source else ""
    told += f". Period: {safe(plan.data.period)}." if plan.data.period else "."
    stages = [f"{stage} of {first} to {last}" if first < last else f"{stage} of {first}"
              for stage, first, last in _dates(data.live)]
    return Said(told + (f" Live requests: {listed(stages)}." if stages else ""))


def _dates(live: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Each stage of the live data with its first and its last day."""
    found = live.groupby("stage", sort=False, observed=True)["time"].agg(["min", "max"])
    return [(str(stage), *(f"{end:%Y-%m-%d}" for end in row)) for stage, *row in found.itertuples()]


def mix(slices: pd.DataFrame) -> Said:
    """Where the test set and production traffic differ most."""
    if len(slices) < 2:
        return Said("There is one slice only, so weights change nothing.")
    gap = slices.loc[(slices["traffic_share"] - slices["item_share"]).abs().idxmax()]
    empty = slices[(slices["labelled"] == 0) & (slices["traffic_share"] > 0)]
    if abs(gap["traffic_share"] - gap["item_share"]) < NOTICEABLE:
        told = "The test set and production traffic have nearly the same mix of slices."
    else:
        word = "more" if gap["traffic_share"] > gap["item_share"] else "less"
        told = (f"The mix differs most in {safe(gap['slice'])}: {share(gap['traffic_share'])} of production traffic "
                f"and {share(gap['item_share'])} of the test set, so it counts {word} in production than in an "
                f"unweighted mean. {counted(gap['labelled'], 'item')} of it {'is' if gap['labelled'] == 1 else 'are'} "
                "labelled.")
    if len(empty):
        names = listed([safe(name) for name in empty["slice"]])
        told += f" Nobody judged an item of {names} ({share(empty['traffic_share'].sum())} of traffic)."
    return Said(told)


def flow(counts: pd.DataFrame, data: EvalData) -> Said:
    """How much of the test set has metrics and labels, and what was left out."""
    told, nobody = [], []
    for criterion, part in counts.groupby("criterion", sort=False):
        low, high = part["judged"].min(), part["judged"].max()
        n = counted(high, "output") if low == high else f"{amount(low)} to {counted(high, 'output')}"
        if high:
            told.append(f"People judged {n} of each model on {safe(criterion)}.")
        else:
            nobody.append(safe(criterion))
        short = part[part["complete"] < part["items"]]
        if len(short):
            worst = short.loc[short["complete"].idxmin()]
            told.append(f"{counted(worst['items'] - worst['complete'], 'output')} of {safe(worst['model'])} lack a "
                        "metric, the most of any model.")
    if nobody:
        told.append(f"Nobody has judged an output on {listed(nobody)}.")
    chance = data.scores.loc[data.scores["rater_kind"] == "human", "inclusion_prob"].fillna(1.0)
    if len(chance):
        told.append("Every item counts as equally likely to have been chosen for judging." if chance.nunique() < 2 else
                    f"Items were chosen for judging with probabilities from {percent(chance.min())} to "
                    f"{percent(chance.max())}, which the estimates allow for.")
    kept_out = int(data.exclusions["n"].sum()) if len(data.exclusions) else 0
    told.append(f"{counted(kept_out, 'row')} left out or missing; the table says why." if kept_out
                else "Nothing was left out and nothing is missing.")
    return Said(" ".join(told))


def baseline(rows: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Said:
    """What the incumbent delivers in total and in its worst slice, from labels alone; rows of one layer."""
    rows = rows[(rows["criterion"] == criterion.id) & (rows["model"] == plan.incumbent)
                & (rows["method"] == "labels_only") & (rows["quantity"] == "quality")]
    unit, incumbent = unit_of(criterion), safe(plan.incumbent)
    if criterion.kind == "pairwise":
        return Said(f"On {safe(criterion.id)} people compare each candidate's output with that of {incumbent}: its own "
                    "net win rate is 0 by definition, and what candidates reach is told in stage 3.")
    total = rows[rows["slice"] == "all"].iloc[0]
    slices = rows[(rows["slice"] != "all") & rows["mean"].notna()]
    if unknown(total["mean"]):
        return Said(f"Nobody judged an output of {incumbent} on {safe(criterion.id)}, so nothing is known.")
    what = level(plan.sampling.interval)
    told = (f"{incumbent} has a {unit.noun} of {unit.quality(total['mean'], unit=True)} on {safe(criterion.id)} under "
            f"production traffic ({what} {unit.quality_span(total['lower'], total['upper'])}).")
    if len(slices) < 2:
        return Said(told)
    worst = slices.loc[slices["mean"].idxmin() if criterion.better == "higher" else slices["mean"].idxmax()]
    apart = not worst["lower"] <= total["mean"] <= worst["upper"]
    return Said(
        f"{told} Its worst slice is {safe(worst['slice'])} with {unit.quality(worst['mean'], unit=True)} "
        f"({unit.quality_span(worst['lower'], worst['upper'])}, {counted(worst['n_labels'], 'label')}); that interval "
        f"{'lies apart from' if apart else 'includes'} the total.")


def requirements(found: pd.DataFrame, plan: Plan) -> Said:
    """Which candidates meet every requirement, and what keeps the others."""
    if found.empty:
        return Said("The plan states no requirements.")
    told = []
    for model in plan.candidates:
        mine = found[found["model"] == model].set_index("requirement")["status"]
        failed, open_ = ([safe(name) for name in mine.index[mine == status]] for status in ("fail", "unknown"))
        if failed:
            told.append(f"{safe(model)} fails {listed(failed)}, so it may not replace the incumbent.")
        if open_:
            told.append(f"For {safe(model)} it cannot be told yet whether {listed(open_)} "
                        f"{'holds' if len(open_) == 1 else 'hold'}.")
    good = [safe(model) for model in plan.candidates if (found.loc[found["model"] == model, "status"] == "pass").all()]
    if good:
        told.insert(0, f"{listed(good)} {'meets' if len(good) == 1 else 'meet'} every requirement.")
    own = found[(found["model"] == plan.incumbent) & (found["status"] == "fail")]
    if len(own):
        told.append(f"The incumbent itself fails {listed([safe(name) for name in own['requirement']])}.")
    return Said(" ".join(told))


def raw(rows: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Said:
    """Whether the metrics agree among themselves on each candidate; rows of one layer."""
    rows = rows[(rows["criterion"] == criterion.id) & (rows["method"] == "raw") & (rows["slice"] == "all")
                & (rows["quantity"] == "contrast") & rows["mean"].notna()]
    if rows.empty:
        return Said(f"No metric of {safe(criterion.id)} says by itself which model is better.")
    told = []
    for model, mine in rows.groupby("model", sort=False):
        better, worse = mine[mine["lower"] > 0], mine[mine["upper"] < 0]
        open_ = mine.drop(index=[*better.index, *worse.index])
        parts = [f"{word} by {listed([safe(name) for name in part['metric']])}" for word, part in
                 (("better", better), ("worse", worse), ("neither better nor worse for certain", open_)) if len(part)]
        told.append(f"- {safe(model)} looks {'; '.join(parts)}.")
        if len(better) and len(worse):
            told[-1] += " The metrics contradict each other."
    return Said("\n".join(told))


def flips(counts: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Said:
    """What each candidate gains and loses, by the primary metric and by people."""
    total, told = counts[(counts["slice"] == "all") & (counts["n"] > 0)], []
    for model in plan.candidates:
        mine = total[total["model"] == model]
        parts = []
        for row in mine.itertuples():
            net = points((row.gained - row.lost) / row.n, unit=True)
            parts.append(f"by {'people' if row.by == 'people' else safe(row.by)} it loses "
                         f"{percent(row.lost / row.n)} of the items and gains {percent(row.gained / row.n)}, "
                         f"{net} on balance")
        told.append(f"- {safe(model)}: {'; '.join(parts)}." if parts else
                    f"- {safe(model)}: no item has an answer to compare.")
    if not (total["by"] == "people").any():
        told.append("- What people would call lost and gained is not known: they have not judged an item for both "
                    "models.")
    worst = counts[(counts["by"] == "people") & (counts["slice"] != "all") & (counts["n"] > 0)]
    if len(worst):
        net = (worst["gained"] - worst["lost"]) / worst["n"]
        row = worst.loc[net.idxmin()]
        told.append(f"- Where people saw most lost on balance: {safe(row['model'])} in {safe(row['slice'])}, "
                    f"{points(net.min(), unit=True)} on {counted(row['n'], 'judged item')}." if net.min() < 0 else
                    "- In no slice did people see more lost than gained.")
    return Said("\n".join(told))
