"""Figures of what priors alone expect beside what is known with the labels."""

import pandas as pd

from migration_kit.figures.canvas import INK, SOFT, Picture, colours, markers, styled
from migration_kit.figures.panels import forest
from migration_kit.plan import CriterionSpec, Plan
from migration_kit.wording import level, unit_of

WHEN = {"before": "before any label: priors alone", "after": "with the labels"}


@styled
def before_after(table: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Picture:
    """Quality of every model before any label and with the labels, from `prior_predictive.before_after`."""
    unit, rows = unit_of(criterion), table[table["quantity"] == "quality"]
    shade, shape = colours(plan.model_ids, incumbent=plan.incumbent), markers(plan.model_ids, incumbent=plan.incumbent)
    panels = {}
    for when, title in WHEN.items():
        mine = rows[rows["when"] == when]
        panels[title] = mine.assign(
            label=mine["model"], colour=SOFT if when == "before" else mine["model"].map(shade),
            marker=mine["model"].map(shape), hollow=when == "before", note=mine["mean"].map(unit.quality),
            truth=mine["judged"])
    figure = forest(panels, label=f"{criterion.id}: {unit.axis}", unit=unit, contrast=False, columns=2)
    for here, mine in zip(figure.axes, panels.values(), strict=False):
        here.plot(mine["judged"], range(len(mine)), linestyle="", marker="x", color=INK, markersize=7,
                  markeredgewidth=1.8, zorder=5)
    figure.alt_text = f"Quality on {criterion.id}, {unit.noun}: " + "; ".join(
        f"{title}: " + ", ".join(f"{row.model} {row.note} ({unit.quality_span(row.lower, row.upper)})"
                                 for row in mine.itertuples()) for title, mine in panels.items()) + "."
    figure.caption = (f"Quality on {criterion.id}, {unit.noun} with {level(plan.sampling.interval)}: left what the "
                      "priors alone expect, right what is known with the labels; a cross is the mean label.")
    return figure
