"""Figures of stages 03 to 05: trust in metrics, quality, contrast against the margin, slices, what was kept aside."""

import pandas as pd

from migration_kit.figures.canvas import (
    INK,
    SOFT,
    Picture,
    colours,
    hide_spare,
    markers,
    name_rows,
    picture,
    scale,
    styled,
)
from migration_kit.figures.data import better, rates, select
from migration_kit.figures.panels import forest
from migration_kit.plan import CriterionSpec, Plan
from migration_kit.wording import asked, chance, fixed, level, number, percent, points, share, short, span, unknown

METHODS = {
    "calibrated": "calibrated", "corrected": "corrected", "ppi": "PPI++", "verdict_strata": "verdict strata",
    "labels_only": "labels only",
}


@styled
def metric_trust(errors: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Picture:
    """True and false positive rates of each metric for each model, and rank correlations of scores."""
    metrics = list(dict.fromkeys(errors["metric"]))
    models = [model for model in plan.model_ids if model in set(errors["model"])]
    shade = colours(plan.model_ids, incumbent=plan.incumbent)
    columns = 1 if len(metrics) == 1 else 2
    grid = -(-len(metrics) // columns)
    figure, axes = picture(0.6 + grid * (0.27 * len(models) + 0.75), rows=grid, columns=columns, share_x=False)
    told = []
    for number_, (here, metric) in enumerate(zip(axes, metrics, strict=False)):
        rows = errors[errors["metric"] == metric].set_index("model").reindex(models)
        is_score = rows["true_positive"].isna().all()
        for place, (model, row) in enumerate(rows.iterrows()):
            for what, low, high, hollow in _rates(is_score):
                if unknown(row[what]):
                    continue
                here.plot([row[low], row[high]], [place, place], color=shade[model], linewidth=1.8, zorder=3)
                here.plot([row[what]], [place], marker="s" if hollow else "o", color=shade[model], markersize=6,
                          markerfacecolor="white" if hollow else shade[model], zorder=4)
            told.append(_trust_words(metric, model, row, is_score=is_score))
        name_rows(here, models if number_ % columns == 0 else [""] * len(models))
        scale(here, "rank correlation with people" if is_score else "said yes", contrast=False)
        here.set_xlim((-1.03, 1.03) if is_score else (-0.03, 1.03))
        if is_score:
            here.xaxis.set_major_formatter(lambda value, _: number(value))
            here.axvline(0, color=INK, linewidth=0.8)
        here.set_title(short(metric, 40))
    hide_spare(axes, len(metrics))
    figure.alt_text = f"Metrics against people on {criterion.id}. " + "; ".join(told) + "."
    figure.caption = (f"How often each metric says yes when people say yes (full circle) and when people say no (open "
                      f"square), on {criterion.id}, with {level(plan.sampling.interval)}. A metric is worth as much as "
                      "the two are apart; where they differ between models, the raw contrast is bent.")
    return figure


def quality(estimates: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Picture:
    """Calibrated quality of every model; rows of one layer."""
    rows = select(estimates, criterion=criterion.id, slice="all", quantity="quality", method="calibrated")
    rows = rows.set_index("model").reindex(plan.model_ids).reset_index()
    shade, shape = colours(plan.model_ids, incumbent=plan.incumbent), markers(plan.model_ids, incumbent=plan.incumbent)
    rows = rows.assign(
        label=[f"{model} (incumbent)" if model == plan.incumbent else model for model in rows["model"]],
        colour=rows["model"].map(shade), marker=rows["model"].map(shape),
        note=[f"{percent(row.mean)}  ({span(row.lower, row.upper, rate=True)})" for row in rows.itertuples()])
    figure = forest({"": rows}, label=f"{criterion.id}: rate in percent", contrast=False)
    figure.alt_text = f"Calibrated quality on {criterion.id}: " + "; ".join(
        f"{row.label} {row.note}" for row in rows.itertuples()) + "."
    figure.caption = f"Calibrated quality on {criterion.id} with {level(plan.sampling.interval)}. {better(criterion)}"
    return figure


def contrast(estimates: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Picture:
    """Calibrated contrast of every candidate against the margin; rows of one layer."""
    rows = select(estimates, criterion=criterion.id, slice="all", quantity="contrast", method="calibrated")
    rows = rows.set_index("model").reindex(plan.candidates).reset_index()
    shade, shape = colours(plan.model_ids, incumbent=plan.incumbent), markers(plan.model_ids, incumbent=plan.incumbent)
    reached = rows["prob_noninferior"] >= plan.decision.assurance
    rows = rows.assign(
        label=rows["model"], colour=rows["model"].map(shade), marker=rows["model"].map(shape),
        hollow=~reached if criterion.margin else False,
        note=[f"{points(row.mean)}  ({span(row.lower, row.upper)})"
              + (f"\nnon-inferior: {chance(row.prob_noninferior)}" if criterion.margin else "")
              for row in rows.itertuples()])
    figure = forest({"": rows}, label=f"contrast with {plan.incumbent}, points (right is better)", contrast=True,
                    margin=criterion.margin)
    figure.alt_text = f"Contrast with {plan.incumbent} on {criterion.id}, in points: " + "; ".join(
        f"{row.label} {row.note}" for row in rows.itertuples()).replace("\n", ", ") + (
        f"; margin {points(-criterion.margin)}." if criterion.margin else ".")
    figure.caption = f"Candidate minus incumbent on {criterion.id} with {level(plan.sampling.interval)}."
    if criterion.margin:
        figure.caption += (" The dashed line is the margin; a full marker has reached the assurance of "
                           f"{asked(plan.decision.assurance)} that the loss is smaller.")
    return figure


def methods(estimates: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Picture:
    """Raw, labels-only, corrected and calibrated contrasts side by side; rows of one layer."""
    rows = rates(select(estimates, criterion=criterion.id, slice="all"))
    rows = rows[rows["quantity"] == "contrast"]
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
            hollow=mine["method"] != "calibrated", note=mine["mean"].map(points))
    figure = forest(panels, label=f"contrast with {plan.incumbent}, points", contrast=True,
                    columns=1 if len(panels) < 2 else 2, margin=criterion.margin)
    figure.alt_text = f"Contrasts on {criterion.id} by method, in points: " + "; ".join(
        f"{model}: " + ", ".join(f"{row.label} {row.note} ({span(row.lower, row.upper)})" for row in mine.itertuples())
        for model, mine in panels.items()) + "."
    figure.caption = (f"The same contrast on {criterion.id} by several methods, with {level(plan.sampling.interval)}; "
                      "full marker: calibrated, the one that decides; grey: raw metrics, taken at their word.")
    return figure


def slices(estimates: pd.DataFrame, plan: Plan, criterion: CriterionSpec, mix: pd.DataFrame) -> Picture:
    """Calibrated contrast by slice for every candidate, worst first; rows of one layer."""
    rows = select(estimates, criterion=criterion.id, quantity="contrast", method="calibrated")
    rows = rows[rows["slice"] != "all"]
    shade, shape = colours(plan.model_ids, incumbent=plan.incumbent), markers(plan.model_ids, incumbent=plan.incumbent)
    weight, panels = mix.set_index("slice")["traffic_share"], {}
    for model in plan.candidates:
        mine = rows[rows["model"] == model].sort_values("mean")
        panels[model] = mine.assign(
            label=[f"{name} ({share(weight[name])})" for name in mine["slice"]], colour=shade[model],
            marker=shape[model], note=mine["mean"].map(points),
            hollow=~(mine["prob_noninferior"] >= plan.decision.slice_assurance) if criterion.slice_margin else False)
    figure = forest(panels, label=f"contrast with {plan.incumbent}, points", contrast=True,
                    columns=1 if len(panels) < 2 else 2, margin=criterion.slice_margin, margin_name="slice margin")
    figure.alt_text = f"Contrasts on {criterion.id} by slice, in points, worst first: " + "; ".join(
        f"{model}: " + ", ".join(f"{row.slice} {row.note} ({span(row.lower, row.upper)})" for row in mine.itertuples())
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
    names, panels = {"offline": "test set as it is", "traffic": "production traffic"}, {}
    for model in plan.candidates:
        mine = rows[rows["model"] == model].sort_values("layer")
        panels[model] = mine.assign(label=mine["layer"].map(names), colour=shade[model], marker=shape[model],
                                    hollow=mine["layer"] == "offline",
                                    note=[f"{points(row.mean)}  ({span(row.lower, row.upper)})"
                                          for row in mine.itertuples()])
    figure = forest(panels, label=f"contrast with {plan.incumbent}, points", contrast=True, margin=criterion.margin)
    figure.alt_text = f"Contrast on {criterion.id}, in points: " + "; ".join(
        f"{model}: " + ", ".join(f"{row.label} {row.note}" for row in mine.itertuples())
        for model, mine in panels.items()) + "."
    figure.caption = (f"The contrast on {criterion.id} with the slices weighted as in the test set (open) and as in "
                      f"production (full), with {level(plan.sampling.interval)}.")
    return figure


@styled
def held_out(comparison: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Picture:
    """Calibrated contrasts beside what all judgments say, from `overview.held_out_comparison`."""
    rows = select(comparison, criterion=criterion.id, quantity="contrast")
    shade, shape = colours(plan.model_ids, incumbent=plan.incumbent), markers(plan.model_ids, incumbent=plan.incumbent)
    panels = {}
    for model in plan.candidates:
        mine = rows[rows["model"] == model]
        panels[model] = mine.assign(
            label=["all production traffic" if name == "all" else name for name in mine["slice"]], colour=shade[model],
            marker=shape[model], note=[f"{points(row.mean)} / {points(row.truth)}" for row in mine.itertuples()])
    panels = {model: mine for model, mine in panels.items() if len(mine)}
    figure = forest(panels, label=f"contrast with {plan.incumbent}, points", contrast=True,
                    columns=1 if len(panels) < 2 else 2, margin=criterion.margin)
    for here, mine in zip(figure.axes, panels.values(), strict=False):
        here.plot(mine["truth"], range(len(mine)), linestyle="", marker="x", color=INK, markersize=7,
                  markeredgewidth=1.8, zorder=5)
    figure.alt_text = f"Contrasts on {criterion.id}, calibrated and by all judgments, in points: " + "; ".join(
        f"{model}: " + ", ".join(
            f"{row.label} {points(row.mean)} ({span(row.lower, row.upper)}), all judgments {points(row.truth)}"
            for row in mine.itertuples()) for model, mine in panels.items()) + "."
    figure.caption = (f"Calibrated contrast on {criterion.id} with {level(plan.sampling.interval)}, and a cross for "
                      "what all judgments say; at the right both numbers.")
    return figure


@styled
def reliability(groups: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Picture:
    """Judged against predicted share in groups of labelled outputs, from `predictive.reliability`."""
    figure, (axes,) = picture(3.3)
    axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1)
    axes.vlines(groups["predicted"], groups["lower"], groups["upper"], color="#b9bfc3", linewidth=5)
    axes.plot(groups["predicted"], groups["judged"], linestyle="", marker="o", color=INK, markersize=6)
    axes.text(0.98, 0.04, "on the line: judged as predicted", ha="right", color=SOFT, fontsize=8.5)
    axes.set_box_aspect(0.62)
    axes.spines["left"].set_visible(True)
    scale(axes, f"predicted share of yes on {criterion.id}", contrast=False)
    axes.yaxis.set_major_formatter(axes.xaxis.get_major_formatter())
    axes.set_ylabel("judged share of yes")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    figure.alt_text = f"Reliability on {criterion.id}: " + "; ".join(
        f"predicted {percent(row.predicted)}, judged {percent(row.judged)} (expected "
        f"{span(row.lower, row.upper, rate=True)}, {row.n} outputs)" for row in groups.itertuples()) + "."
    figure.caption = (f"Labelled outputs in {len(groups)} groups by predicted share on {criterion.id}: the share that "
                      "people judged yes (points) and the 95% interval that the calibration model expects (bars).")
    return figure


def _rates(is_score: bool) -> list[tuple[str, str, str, bool]]:
    if is_score:
        return [("rank_correlation", "rc_lower", "rc_upper", False)]
    return [("true_positive", "tp_lower", "tp_upper", False), ("false_positive", "fp_lower", "fp_upper", True)]


def _trust_words(metric: str, model: str, row: pd.Series, *, is_score: bool) -> str:
    if is_score:
        return f"{metric} for {model}: rank correlation {fixed(row['rank_correlation'])}"
    return (f"{metric} for {model}: true positive rate {percent(row['true_positive'])}, false positive rate "
            f"{percent(row['false_positive'])}")
