"""Figures of the label plan: where the next labels go, and how likely they are to settle a verdict."""

from matplotlib.lines import Line2D

from migration_kit.figures.canvas import (
    INK,
    LINE,
    SOFT,
    Picture,
    colours,
    markers,
    name_rows,
    picture,
    styled,
)
from migration_kit.figures.panels import nothing
from migration_kit.label_plan import by_part
from migration_kit.label_prospects import AT_RANDOM, PLANNED, NextLabels
from migration_kit.label_words import says
from migration_kit.labels_needed import ENOUGH
from migration_kit.plan import Plan
from migration_kit.wording import chance, counted, listed, share, short

PLAN_COLOUR = "#0072b2"
MOST_ROWS = 30


@styled
def strata(found: NextLabels, plan: Plan) -> Picture:
    """How many of the next labels fall into each slice and verdict, beside a random draw."""
    parts = by_part(found.plan.strata)
    n, metric = len(found.plan.items), plan.criterion(found.plan.criterion).primary_metric
    if parts.empty or not n:
        return _nothing("There is nothing to choose between: no item is left, or all items are of 1 kind.")
    if len(parts) > MOST_ROWS:
        parts = parts.loc[sorted((parts["next"] - parts["at_random"]).abs().astype(float).nlargest(MOST_ROWS).index)]
    names = [row.name if row.by == "slice" else says(row.name, metric) for row in parts.itertuples()]
    figure, (axes,) = picture(0.95 + 0.3 * len(parts))
    for place, row in enumerate(parts.itertuples()):
        axes.plot([row.at_random / n, row.next / n], [place, place], color=LINE, linewidth=2.2, zorder=2)
        axes.plot(row.at_random / n, place, marker="o", markersize=6.5, color=SOFT, markerfacecolor="white", zorder=3)
        axes.plot(row.next / n, place, marker="o", markersize=6.5, color=PLAN_COLOUR, zorder=4)
    name_rows(axes, names, width=34)
    edge = int((parts["by"] == "slice").sum())
    if 0 < edge < len(parts):
        axes.axhline(edge - 0.5, color=SOFT, linewidth=0.6)
    axes.set_xlim(left=-0.01)
    axes.xaxis.set_major_formatter(lambda value, _: share(value))
    axes.set_xlabel(f"share of the next {counted(n, 'item')}")
    axes.grid(axis="x", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(handles=[_dot(PLAN_COLOUR, PLAN_COLOUR, "as planned"), _dot(SOFT, "white", "drawn at random")],
                loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize=8)
    figure.alt_text = f"Where the next {counted(n, 'item')} {'comes' if n == 1 else 'come'} from. "
    figure.alt_text += "; ".join(
        f"{name}: {row.next:,.0f} planned, {row.at_random:.0f} at random"
        for name, row in zip(names, parts.itertuples(), strict=True)) + "."
    figure.caption = (f"The next {counted(n, 'item')} by slice, and by what {metric} says of the outputs, beside a "
                      "draw at random. More labels go where traffic is, and where people's judgments of two models "
                      "differ most.")
    return figure


@styled
def assurance(found: NextLabels, plan: Plan) -> Picture:
    """Probability of a verdict after further labels, from `label_prospects.assurance_curve`."""
    curve = found.curve
    if curve.empty:
        return _nothing("Not all gates have labels of candidate and incumbent, so how likely a verdict is after 25 or "
                        "more labels cannot be told yet.")
    figure, (axes,) = picture(3.1)
    shade, shape = colours(plan.model_ids, incumbent=plan.incumbent), markers(plan.model_ids, incumbent=plan.incumbent)
    told = []
    for model, rows in curve.groupby("model", sort=False):
        for chosen, dash in ((PLANNED, "-"), (AT_RANDOM, (0, (3, 2)))):
            mine = rows[rows["chosen"] == chosen]
            axes.plot(mine["labels"], mine["settled"], color=shade[model], linestyle=dash, linewidth=1.8,
                      marker=shape[model] if chosen == PLANNED else None, markersize=4.5, clip_on=False)
        planned = rows[rows["chosen"] == PLANNED]
        told.append(f"{model}: " + ", ".join(f"{chance(row.settled)} after {row.labels}"
                                             for row in planned.itertuples() if row.labels))
    axes.axhline(ENOUGH, color=SOFT, linewidth=0.8, linestyle=":")
    axes.text(1.01, ENOUGH, share(ENOUGH), transform=axes.get_yaxis_transform(), va="center", fontsize=8, color=SOFT)
    axes.set(ylim=(0, 1), xlim=(0, curve["labels"].max()))
    axes.set_xticks(sorted(set(curve["labels"]) - {25}))
    axes.yaxis.set_major_formatter(lambda value, _: share(value))
    axes.set_xlabel("further items judged")
    axes.set_ylabel("probability of a verdict")
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    handles = [Line2D([], [], color=shade[model], linewidth=1.8, marker=shape[model], markersize=4.5,
                      label=short(model, 30))
               for model in curve["model"].unique()]
    handles += [Line2D([], [], color=INK, linewidth=1.4, label="planned"),
                Line2D([], [], color=INK, linewidth=1.4, linestyle=(0, (3, 2)), label="at random")]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 4), frameon=False, fontsize=8)
    figure.alt_text = f"Probability of a verdict by further items judged as planned. {'; '.join(told)}."
    figure.caption = ("Probability that the verdict is switch or keep after so many further items, simulated from what "
                      f"labels and metric verdicts say now, for {listed(list(map(str, curve['model'].unique())))}. A "
                      "candidate that has a verdict by this first look begins at 100%; new labels may take it back.")
    return figure


def _dot(edge: str, face: str, label: str) -> Line2D:
    return Line2D([], [], linestyle="", marker="o", markersize=6.5, color=edge, markerfacecolor=face, label=label)


def _nothing(text: str) -> Picture:
    figure = nothing()
    figure.alt_text = figure.caption = text
    return figure
