"""Figures of stage 05: how the verdict moved."""

import math

import pandas as pd

from migration_kit.figures.canvas import LINE, LOSS, SOFT, Picture, colours, markers, picture, styled
from migration_kit.history import moves
from migration_kit.plan import Plan
from migration_kit.wording import at_least, chance, wrapped

PERCENT, MOST_TICKS = 100, 7


@styled
def history(rows: pd.DataFrame, plan: Plan) -> Picture:
    """Probability that every gate holds, report by report, from `Run.history`; hollow where live requests differ."""
    known, several = moves(rows), len(plan.gates) > 1
    models = list(dict.fromkeys([*plan.candidates, *known["candidate"]]))
    shade = colours([plan.incumbent, *models], incumbent=plan.incumbent)
    shape = markers([plan.incumbent, *models], incumbent=plan.incumbent)
    figure, (axes,) = picture(2.8)
    lines = {}
    for model in models:
        mine = known[known["candidate"] == model].dropna(subset="probability")
        if mine.empty:
            continue
        lines[model], = axes.plot(mine["number"], PERCENT * mine["probability"], color=shade[model], linewidth=1.6,
                                  marker=shape[model], markersize=6.5, zorder=3)
        for row in mine.itertuples():
            axes.plot([row.number], [PERCENT * row.probability], marker=shape[model], color=shade[model], zorder=4,
                      markersize=6.5, markerfacecolor="white" if row.flagged else shade[model])
    axes.axhline(PERCENT * plan.decision.assurance, color=LOSS, linewidth=1.2, linestyle=(0, (4, 2)), zorder=2)
    axes.set_ylim(-4, 104)
    axes.set_xlim(0.7, len(rows) + 0.3)
    shown = range(len(rows), 0, -math.ceil(len(rows) / MOST_TICKS))
    axes.set_xticks(shown, [f"{number}\n{rows['time'].iloc[number - 1][:10]}\n{rows['verdict'].iloc[number - 1]}"
                            for number in shown])
    axes.set_ylabel("every gate holds, %")
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.text(1.01, PERCENT * plan.decision.assurance, "asked", transform=axes.get_yaxis_transform(), va="center",
              fontsize=8, color=LOSS)
    if lines:
        axes.legend(lines.values(), [wrapped(model) for model in lines], loc="center left", frameon=False,
                    bbox_to_anchor=(1.06, 0.5), fontsize=8.5, labelcolor=SOFT)
    say = at_least if several else chance
    figure.alt_text = "Probability that every gate holds. " + "; ".join(
        f"Report {number} of {part['time'].iloc[0][:10]}, {part['verdict'].iloc[0]}: " + ", ".join(
            f"{row.candidate} {say(row.probability)}" for row in part.itertuples())
        for number, part in known.groupby("number")) + "."
    figure.caption = (f"Probability{', at least,' if several else ''} that every gate holds, report by report; dashed: "
                      "what the plan asks for. Requirements and slices can still rule a candidate out. Hollow: live "
                      "requests contradict the test set.")
    return figure
