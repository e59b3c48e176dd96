"""Figures of stages 01 and 02: what the data are, what the incumbent delivers, what raw metrics say."""

import pandas as pd
import xarray as xr

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
from migration_kit.figures.panels import forest, nothing
from migration_kit.metric_units import metrics_in_unit
from migration_kit.plan import CriterionSpec, Plan
from migration_kit.wording import Unit, amount, flip_words, level, listed, percent, share, short, unit_of

MIX = "#0173b2"
STANDARD_ERRORS = Unit(False, "mean", "", "standard errors of each metric", 1)


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
    names, unit = {"all": "all production traffic"}, unit_of(criterion)
    rows = rows.assign(
        label=[names.get(name, name) for name in rows["slice"]],
        colour=[INK if name == "all" else INCUMBENT for name in rows["slice"]],
        note=[f"{unit.quality(mean)}   {n} labels" for mean, n in zip(rows["mean"], rows["n_labels"], strict=True)],
    )
    if len(rows) == 2:
        rows = rows.iloc[:1]
    figure = forest({"": rows}, label=f"{criterion.id}: {unit.axis}", unit=unit, contrast=False)
    figure.alt_text = f"{criterion.id} of {plan.incumbent}, {unit.noun} from labels alone: " + "; ".join(
        f"{row['label']} {unit.quality(row['mean'])} ({unit.quality_span(row['lower'], row['upper'])})"
        for row in rows.to_dict("records")) + "."
    figure.caption = (f"{criterion.id} of {plan.incumbent}, the incumbent: {unit.noun} of human judgments alone, with "
                      f"{level(plan.sampling.interval)}. {better(criterion)}")
    return figure


def raw(estimates: pd.DataFrame, plan: Plan, criterion: CriterionSpec, features: xr.Dataset) -> Picture:
    """Raw contrasts of every metric by candidate; rows of one layer.

    Metrics in another unit than the criterion have no place on its axis. Where all are, each is counted in its own
    standard errors.
    """
    rows = select(estimates, criterion=criterion.id, slice="all", method="raw", quantity="contrast")
    mine, unit, other = in_unit(rows, features), unit_of(criterion), ""
    left = [name for name in dict.fromkeys(rows["metric"]) if name not in set(mine["metric"])]
    if mine.empty and len(rows):
        unit, mine = STANDARD_ERRORS, in_standard_errors(rows)
        other = " Each metric is counted in its own standard errors, because none is in the criterion's unit."
    elif left:
        other = f" In another unit, so in the table only: {listed(left)}."
    shade, shape = colours(plan.model_ids, incumbent=plan.incumbent), markers(plan.model_ids, incumbent=plan.incumbent)
    panels = {}
    for model in plan.candidates:
        of_model = mine[mine["model"] == model]
        panels[model] = of_model.assign(label=of_model["metric"], colour=shade[model], marker=shape[model],
                                        note=of_model["mean"].map(unit.change))
    figure = forest(panels, label=f"raw contrast with {plan.incumbent}, {unit.contrast_axis}", unit=unit,
                    contrast=True, columns=1 if len(panels) < 2 else 2,
                    margin=None if unit is STANDARD_ERRORS else criterion.margin)
    figure.alt_text = f"Raw contrasts on {criterion.id}, {unit.contrast_axis}: " + "; ".join(
        f"{model}: {listed([f'{row.metric} {unit.change(row.mean)}' for row in of_model.itertuples()])}"
        for model, of_model in panels.items()) + "."
    figure.caption = (f"Candidate minus incumbent on {criterion.id} as each metric sees it, weighted by production "
                      f"traffic, with {level(plan.sampling.interval)}; right of the line the candidate looks better."
                      f"{other}")
    return figure


@styled
def flips(counts: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Picture:
    """Answers that a candidate loses and gains, by metric and by people, from `overview.flips`."""
    total = counts[(counts["slice"] == "all") & (counts["n"] > 0)]
    if total.empty:
        figure = nothing()
        figure.alt_text = figure.caption = f"Answers that flip on {criterion.id}: 0 items have two answers to compare."
        return figure
    sources = list(dict.fromkeys(total["by"]))
    figure, axes = picture(0.9 + 0.36 * len(plan.candidates) * len(sources), rows=len(sources))
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
    good = total["both_bad"].notna()
    lost_and_gained = flip_words(criterion.kind, verdicts=good.any(), scores=not good.all())
    figure.caption = (f"Share of items that a candidate loses (hatched) and gains (full) on {criterion.id}, in the "
                      f"test set as it is. {lost_and_gained}")
    return figure


def select(estimates: pd.DataFrame, **wanted: str) -> pd.DataFrame:
    """Return the rows of estimates whose columns hold the values wanted."""
    keep = pd.Series(True, index=estimates.index)
    for column, value in wanted.items():
        keep &= estimates[column] == value
    return estimates[keep]


def in_unit(estimates: pd.DataFrame, features: xr.Dataset) -> pd.DataFrame:
    """Leave out raw metrics in another unit than the criterion: a latency has no place on an axis of points."""
    return estimates[(estimates["method"] != "raw") | estimates["metric"].isin(metrics_in_unit(features))]


def in_standard_errors(estimates: pd.DataFrame) -> pd.DataFrame:
    """Divide estimates by their standard deviations, so that metrics of any unit may stand on one axis."""
    scale = estimates["sd"].where(estimates["sd"] > 0)
    return estimates.assign(**{name: estimates[name] / scale for name in ("mean", "lower", "upper")})


def better(criterion: CriterionSpec) -> str:
    """Say which direction of a criterion's quality is better."""
    return f"{criterion.better.capitalize()} is better."
