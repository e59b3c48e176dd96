"""Figures of stages 01 and 02: what the data are, what the incumbent delivers, what raw metrics say."""

import pandas as pd

from migration_kit.figures.canvas import (
    INCUMBENT,
    INK,
    SOFT,
    Picture,
    colours,
    hide_spare,
    markers,
    name_rows,
    picture,
    styled,
)
from migration_kit.figures.panels import forest
from migration_kit.plan import CriterionSpec, Plan
from migration_kit.wording import amount, level, listed, percent, points, share, short, span

MIX = "#0173b2"


@styled
def mix(slices: pd.DataFrame) -> Picture:
    """Test set and production traffic by slice, from `overview.slice_mix`."""
    slices = slices.reset_index(drop=True)
    figure, (axes,) = picture(0.75 + 0.5 * len(slices))
    for part, colour, shift, what in (("traffic_share", MIX, -0.19, "production traffic"),
                                      ("item_share", "#b9bfc3", 0.19, "test set")):
        axes.barh([place + shift for place in slices.index], slices[part], height=0.36, color=colour)
        for place, value in slices[part].items():
            told = f" {share(value)}{f' of {what}' if not place else ''}"
            axes.text(value, place + shift, told, va="center", fontsize=8.5)
    name_rows(axes, [f"{row['slice']}" for row in slices.to_dict("records")])
    for place, labelled in slices["labelled"].items():
        axes.text(1.02, place, f"{amount(labelled)} labelled", transform=axes.get_yaxis_transform(), va="center",
                  fontsize=8.5, color=SOFT)
    axes.set_xlim(0, max(slices["traffic_share"].max(), slices["item_share"].max()) * 1.45)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    figure.alt_text = "Bars for each slice. " + "; ".join(
        f"{row['slice']}: {share(row['traffic_share'])} of traffic, {share(row['item_share'])} of the test set, "
        f"{amount(row['labelled'])} labelled items" for row in slices.to_dict("records")) + "."
    figure.caption = "Share of each slice in production traffic and in the test set, and its labelled items."
    return figure


def baseline(estimates: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Picture:
    """The incumbent by slice from labels alone, the worst slice first; rows of one layer."""
    rows = select(estimates, criterion=criterion.id, model=plan.incumbent, quantity="quality", method="labels_only")
    total, slices = rows[rows["slice"] == "all"], rows[rows["slice"] != "all"]
    rows = pd.concat([total, slices.sort_values("mean", ascending=criterion.better == "higher")])
    names = {"all": "all production traffic"}
    rows = rows.assign(
        label=[names.get(name, name) for name in rows["slice"]],
        colour=[INK if name == "all" else INCUMBENT for name in rows["slice"]],
        note=[f"{percent(mean)}   {n} labels" for mean, n in zip(rows["mean"], rows["n_labels"], strict=True)],
    )
    if len(rows) == 2:
        rows = rows.iloc[:1]
    figure = forest({"": rows}, label=f"{criterion.id}: rate in percent", contrast=False)
    figure.alt_text = f"{criterion.id} of {plan.incumbent}, from labels alone: " + "; ".join(
        f"{row['label']} {percent(row['mean'])} ({span(row['lower'], row['upper'], rate=True)})"
        for row in rows.to_dict("records")) + "."
    figure.caption = (f"{criterion.id} of {plan.incumbent}, the incumbent, from human judgments alone, with "
                      f"{level(plan.sampling.interval)}. {better(criterion)}")
    return figure


def raw(estimates: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Picture:
    """Raw contrasts of every metric by candidate; rows of one layer."""
    rows = rates(select(estimates, criterion=criterion.id, slice="all", method="raw"))
    rows = rows[rows["quantity"] == "contrast"]
    shade, shape = colours(plan.model_ids, incumbent=plan.incumbent), markers(plan.model_ids, incumbent=plan.incumbent)
    panels = {}
    for model in plan.candidates:
        mine = rows[rows["model"] == model]
        panels[model] = mine.assign(label=mine["metric"], colour=shade[model], marker=shape[model],
                                    note=mine["mean"].map(points))
    figure = forest(panels, label=f"raw contrast with {plan.incumbent}, points", contrast=True,
                    columns=1 if len(panels) < 2 else 2, margin=criterion.margin)
    figure.alt_text = f"Raw contrasts on {criterion.id}: " + "; ".join(
        f"{model}: {listed([f'{row.metric} {points(row.mean)}' for row in mine.itertuples()])}"
        for model, mine in panels.items()) + " points."
    figure.caption = (f"Candidate minus incumbent on {criterion.id} as each metric sees it, weighted by production "
                      f"traffic, with {level(plan.sampling.interval)}; right of the line the candidate looks better.")
    return figure


@styled
def flips(counts: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Picture:
    """Answers that a candidate loses and gains, by metric and by people, from `overview.flips`."""
    total = counts[(counts["slice"] == "all") & (counts["n"] > 0)]
    sources = list(dict.fromkeys(total["by"]))
    figure, axes = picture(0.9 + 0.36 * len(plan.candidates) * max(len(sources), 1), rows=max(len(sources), 1))
    shade = colours(plan.model_ids, incumbent=plan.incumbent)
    told = []
    for here, by in zip(axes, sources, strict=False):
        mine = total[total["by"] == by].reset_index(drop=True)
        lost, gained = mine["lost"] / mine["n"], mine["gained"] / mine["n"]
        tint = [shade[model] for model in mine["model"]]
        here.barh(mine.index, -lost, color="white", edgecolor=tint, hatch="////", height=0.62)
        here.barh(mine.index, gained, color=tint, height=0.62)
        for place in mine.index:
            here.text(-lost[place], place, f"{percent(lost[place])} lost ", ha="right", va="center", fontsize=8.5)
            here.text(gained[place], place, f" {percent(gained[place])} gained", ha="left", va="center", fontsize=8.5)
            told.append(f"{mine['model'][place]} by {by}: {percent(lost[place])} lost, {percent(gained[place])} gained")
        here.axvline(0, color=INK, linewidth=1)
        name_rows(here, mine["model"].tolist())
        here.set_title(f"by {short(by)}: {amount(mine['n'].max())} items{' they judged' if by == 'people' else ''}")
        here.xaxis.set_visible(False)
        here.spines["bottom"].set_visible(False)
    reach = 1.7 * max(((total["lost"] / total["n"]).max(), (total["gained"] / total["n"]).max(), 0.01))
    axes[0].set_xlim(-reach, reach)
    hide_spare(axes, len(sources))
    figure.alt_text = f"Answers that flip on {criterion.id}: " + "; ".join(told) + "."
    figure.caption = ("Share of items on which only the incumbent is good (lost, hatched) and only the candidate is "
                      f"good (gained, full), on {criterion.id}, in the test set as it is.")
    return figure


def select(estimates: pd.DataFrame, **wanted: str) -> pd.DataFrame:
    """Return the rows of estimates whose columns hold the values wanted."""
    keep = pd.Series(True, index=estimates.index)
    for column, value in wanted.items():
        keep &= estimates[column] == value
    return estimates[keep]


def rates(estimates: pd.DataFrame) -> pd.DataFrame:
    """Leave out raw metrics that are no rates: a latency has no place on an axis of points."""
    levels = estimates[(estimates["method"] == "raw") & (estimates["quantity"] == "quality")]
    other = set(levels.loc[~levels["mean"].between(0, 1), "metric"])
    return estimates[(estimates["method"] != "raw") | ~estimates["metric"].isin(other)]


def better(criterion: CriterionSpec) -> str:
    """Say which direction of a criterion's rate is better."""
    return f"{criterion.better.capitalize()} is better."

