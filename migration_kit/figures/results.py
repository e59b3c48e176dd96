"""Figures of stages 03 to 05: quality, contrast against the margin, methods, slices, what was kept aside."""

import pandas as pd
import xarray as xr

from migration_kit.figures.canvas import INK, SOFT, Picture, colours, markers, styled
from migration_kit.figures.data import better, in_unit, select
from migration_kit.figures.panels import forest
from migration_kit.plan import CriterionSpec, Plan
from migration_kit.wording import Unit, asked, chance, level, share, unit_of

METHODS = {
    "calibrated": "calibrated", "corrected": "corrected", "ppi": "PPI++", "verdict_strata": "verdict strata",
    "confusion": "confusion", "labels_only": "labels only",
}


def quality(estimates: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Picture:
    """Calibrated quality of every model; rows of one layer."""
    rows = select(estimates, criterion=criterion.id, slice="all", quantity="quality", method="calibrated")
    rows = rows.set_index("model").reindex(plan.model_ids).reset_index()
    shade, shape = colours(plan.model_ids, incumbent=plan.incumbent), markers(plan.model_ids, incumbent=plan.incumbent)
    unit, against = unit_of(criterion), criterion.kind == "pairwise"
    notes = [f"{unit.quality(row.mean)}  ({unit.quality_span(row.lower, row.upper)})" for row in rows.itertuples()]
    if against:
        rows.loc[rows["model"] == plan.incumbent, ["mean", "lower", "upper"]] = 0.0
        notes[plan.model_ids.index(plan.incumbent)] = "0 by definition"
    rows = rows.assign(
        label=[f"{model} (incumbent)" if model == plan.incumbent else model for model in rows["model"]],
        colour=rows["model"].map(shade), marker=rows["model"].map(shape), note=notes)
    figure = forest({"": rows}, label=f"{criterion.id}: {unit.axis}", unit=unit, contrast=False)
    if against:
        figure.axes[0].axvline(0, color=INK, linewidth=1, zorder=2)
    figure.alt_text = f"Calibrated quality on {criterion.id}, {unit.noun}: " + "; ".join(
        f"{row.label} {row.note}" for row in rows.itertuples()) + "."
    figure.caption = (f"Calibrated quality on {criterion.id}, {unit.noun} with {level(plan.sampling.interval)}. "
                      + (f"Outputs were judged against those of {plan.incumbent}, whose net win rate is 0 by "
                         f"definition: wins minus losses, as a share of all items. " if against else "")
                      + better(criterion))
    return figure


def contrast(estimates: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Picture:
    """Calibrated contrast of every candidate against the margin; rows of one layer."""
    rows = select(estimates, criterion=criterion.id, slice="all", quantity="contrast", method="calibrated")
    rows = rows.set_index("model").reindex(plan.candidates).reset_index()
    shade, shape = colours(plan.model_ids, incumbent=plan.incumbent), markers(plan.model_ids, incumbent=plan.incumbent)
    reached, unit = rows["prob_noninferior"] >= plan.decision.assurance, unit_of(criterion)
    rows = rows.assign(
        label=rows["model"], colour=rows["model"].map(shade), marker=rows["model"].map(shape),
        hollow=~reached if criterion.margin else False,
        note=[f"{unit.change(row.mean)}  ({unit.span(row.lower, row.upper)})"
              + (f"\nnon-inferior: {chance(row.prob_noninferior)}" if criterion.margin else "")
              for row in rows.itertuples()])
    figure = forest({"": rows}, label=f"{_axis(plan, unit)} (right is better)", unit=unit, contrast=True,
                    margin=criterion.margin)
    figure.alt_text = f"Contrast with {plan.incumbent} on {criterion.id}, {unit.contrast_axis}: " + "; ".join(
        f"{row.label} {row.note}" for row in rows.itertuples()).replace("\n", ", ") + (
        f"; margin {unit.change(-criterion.margin)}." if criterion.margin else ".")
    figure.caption = f"Candidate minus incumbent on {criterion.id} with {level(plan.sampling.interval)}."
    if criterion.margin:
        figure.caption += (" The dashed line is the margin; a full marker has reached the assurance of "
                           f"{asked(plan.decision.assurance)} that the loss is smaller.")
    return figure


def methods(estimates: pd.DataFrame, plan: Plan, criterion: CriterionSpec, features: xr.Dataset) -> Picture:
    """Raw, labels-only, corrected and calibrated contrasts side by side; rows of one layer."""
    rows = in_unit(select(estimates, criterion=criterion.id, slice="all", quantity="contrast"), features)
    unit = unit_of(criterion)
    shade = colours(plan.model_ids, incumbent=plan.incumbent)
    order = list(METHODS)
    panels = {}
    for model in plan.candidates:
        mine = rows[rows["model"] == model]
        place = mine["method"].map(lambda name: order.index(name) if name in order else len(order))
        mine = mine.assign(place=place).sort_values("place", kind="stable")
        panels[model] = mine.assign(
            label=[METHODS.get(row.method, f"raw: {row.metric}") for row in mine.itertuples()],
            colour=[SOFT if name == "raw" else shade[model] for name in mine["method"]],
            hollow=mine["method"] != "calibrated", note=mine["mean"].map(unit.change))
    figure = forest(panels, label=_axis(plan, unit), unit=unit, contrast=True,
                    columns=1 if len(panels) < 2 else 2, margin=criterion.margin)
    figure.alt_text = f"Contrasts on {criterion.id} by method, {unit.contrast_axis}: " + "; ".join(
        f"{model}: " + ", ".join(
            f"{row.label} {row.note} ({unit.span(row.lower, row.upper)})" for row in mine.itertuples())
        for model, mine in panels.items()) + "."
    figure.caption = (f"The same contrast on {criterion.id} by several methods, with {level(plan.sampling.interval)}; "
                      "full marker: calibrated"
                      f"{'; grey: raw metrics, taken at their word' if (rows['method'] == 'raw').any() else ''}.")
    return figure


def slices(estimates: pd.DataFrame, plan: Plan, criterion: CriterionSpec, mix: pd.DataFrame) -> Picture:
    """Calibrated contrast by slice for every candidate, worst first; rows of one layer."""
    rows = select(estimates, criterion=criterion.id, quantity="contrast", method="calibrated")
    rows = rows[rows["slice"] != "all"]
    shade, shape = colours(plan.model_ids, incumbent=plan.incumbent), markers(plan.model_ids, incumbent=plan.incumbent)
    weight, panels, unit = mix.set_index("slice")["traffic_share"], {}, unit_of(criterion)
    for model in plan.candidates:
        mine = rows[rows["model"] == model].sort_values("mean")
        panels[model] = mine.assign(
            label=[f"{name} ({share(weight[name])})" for name in mine["slice"]], colour=shade[model],
            marker=shape[model], note=mine["mean"].map(unit.change),
            hollow=~(mine["prob_noninferior"] >= plan.decision.slice_assurance) if criterion.slice_margin else False)
    figure = forest(panels, label=_axis(plan, unit), unit=unit, contrast=True,
                    columns=1 if len(panels) < 2 else 2, margin=criterion.slice_margin, margin_name="slice margin")
    figure.alt_text = f"Contrasts on {criterion.id} by slice, {unit.contrast_axis}, worst first: " + "; ".join(
        f"{model}: " + ", ".join(
            f"{row.slice} {row.note} ({unit.span(row.lower, row.upper)})" for row in mine.itertuples())
        for model, mine in panels.items()) + "."
    figure.caption = (f"Contrast on {criterion.id} by slice, worst first, with {level(plan.sampling.interval)}; in "
                      "brackets the slice's share of traffic." + (
                          " A full marker has reached the slice assurance of "
                          f"{asked(plan.decision.slice_assurance)}." if criterion.slice_margin else ""))
    return figure


def traffic_shift(estimates: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Picture:
    """The calibrated contrast under the test set's mix and under production traffic."""
    rows = select(estimates, criterion=criterion.id, slice="all", quantity="contrast", method="calibrated")
    shade, shape = colours(plan.model_ids, incumbent=plan.incumbent), markers(plan.model_ids, incumbent=plan.incumbent)
    names, panels, unit = {"offline": "test set as it is", "traffic": "production traffic"}, {}, unit_of(criterion)
    for model in plan.candidates:
        mine = rows[rows["model"] == model].sort_values("layer")
        panels[model] = mine.assign(label=mine["layer"].map(names), colour=shade[model], marker=shape[model],
                                    hollow=mine["layer"] == "offline",
                                    note=[f"{unit.change(row.mean)}  ({unit.span(row.lower, row.upper)})"
                                          for row in mine.itertuples()])
    figure = forest(panels, label=_axis(plan, unit), unit=unit, contrast=True, margin=criterion.margin)
    figure.alt_text = f"Contrast on {criterion.id}, {unit.contrast_axis}: " + "; ".join(
        f"{model}: " + ", ".join(f"{row.label} {row.note}" for row in mine.itertuples())
        for model, mine in panels.items()) + "."
    figure.caption = (f"The contrast on {criterion.id} with the slices weighted as in the test set (open) and as in "
                      f"production (full), with {level(plan.sampling.interval)}.")
    return figure


@styled
def held_out(comparison: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Picture:
    """Calibrated contrasts beside what all judgments say, from `overview.held_out_comparison`."""
    rows, unit = select(comparison, criterion=criterion.id, quantity="contrast"), unit_of(criterion)
    shade, shape = colours(plan.model_ids, incumbent=plan.incumbent), markers(plan.model_ids, incumbent=plan.incumbent)
    panels = {}
    for model in plan.candidates:
        mine = rows[rows["model"] == model]
        panels[model] = mine.assign(
            label=["all production traffic" if name == "all" else name for name in mine["slice"]], colour=shade[model],
            marker=shape[model],
            note=[f"{unit.change(row.mean)} / {unit.change(row.truth)}" for row in mine.itertuples()])
    panels = {model: mine for model, mine in panels.items() if len(mine)}
    figure = forest(panels, label=_axis(plan, unit), unit=unit, contrast=True,
                    columns=1 if len(panels) < 2 else 2, margin=criterion.margin)
    for here, mine in zip(figure.axes, panels.values(), strict=False):
        here.plot(mine["truth"], range(len(mine)), linestyle="", marker="x", color=INK, markersize=7,
                  markeredgewidth=1.8, zorder=5)
    told = f"Contrasts on {criterion.id}, calibrated and by all judgments, {unit.contrast_axis}: "
    figure.alt_text = told + "; ".join(
        f"{model}: " + ", ".join(
            f"{row.label} {unit.change(row.mean)} ({unit.span(row.lower, row.upper)}), "
            f"all judgments {unit.change(row.truth)}" for row in mine.itertuples())
        for model, mine in panels.items()) + "."
    figure.caption = (f"Calibrated contrast on {criterion.id} with {level(plan.sampling.interval)}, and a cross for "
                      "what all judgments say; at the right both numbers.")
    return figure


def _axis(plan: Plan, unit: Unit) -> str:
    return f"contrast with {plan.incumbent}, {unit.contrast_axis}"
