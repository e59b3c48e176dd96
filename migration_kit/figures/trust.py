"""Figures of trust: metrics against people, what each metric is worth, raters, predictions against labels."""

import numpy as np
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
from migration_kit.figures.panels import forest
from migration_kit.plan import CriterionSpec, Plan
from migration_kit.wording import Unit, fixed, level, listed, percent, short, unit_of, unknown

RATE = Unit(True, "rate", "rate in percent", "points")
CORRELATION = Unit(False, "rank correlation", "rank correlation", "", 2)
BAR = "#b9bfc3"
TOGETHER = "all metrics together"
RATES_READ = ("Verdicts: how often the metric says yes when people say yes (full circle) and when people say no (open "
              "square); it is worth as much as the two are apart.")
SCORES_READ = ("Scores: rank correlation, 1 where the metric orders outputs as people do, −1 where the other way round "
               "and 0 where it tells nothing. Where a metric differs between models, its raw contrast is bent.")


@styled
def metric_trust(errors: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Picture:
    """True and false positive rates of each verdict for each model, rank correlations of what is a score."""
    metrics = list(dict.fromkeys(errors["metric"]))
    models = [model for model in plan.model_ids if model in set(errors["model"])]
    shade = colours(plan.model_ids, incumbent=plan.incumbent)
    columns = 1 if len(metrics) == 1 else 2
    grid = -(-len(metrics) // columns)
    figure, axes = picture(0.6 + grid * (0.27 * len(models) + 0.75), rows=grid, columns=columns, share_x=False)
    told, kinds = [], set()
    for number, (here, metric) in enumerate(zip(axes, metrics, strict=False)):
        rows = errors[errors["metric"] == metric].set_index("model").reindex(models)
        is_score = bool(rows["true_positive"].isna().all())
        kinds.add(is_score)
        for place, (model, row) in enumerate(rows.iterrows()):
            for what, low, high, hollow in _marks(is_score):
                if unknown(row[what]):
                    continue
                here.plot([row[low], row[high]], [place, place], color=shade[model], linewidth=1.8, zorder=3)
                here.plot([row[what]], [place], marker="s" if hollow else "o", color=shade[model], markersize=6,
                          markerfacecolor="white" if hollow else shade[model], zorder=4)
            told.append(_trust_words(metric, model, row, is_score=is_score))
        name_rows(here, models if number % columns == 0 else [""] * len(models))
        what = "rank correlation with people" if is_score else "said yes"
        scale(here, what, CORRELATION if is_score else RATE, contrast=False)
        here.set_xlim((-1.03, 1.03) if is_score else (-0.03, 1.03))
        if is_score:
            here.axvline(0, color=INK, linewidth=0.8)
        here.set_title(short(metric, 40))
    hide_spare(axes, len(metrics))
    figure.alt_text = f"Metrics against people on {criterion.id}. " + "; ".join(told) + "."
    figure.caption = f"Metrics against people on {criterion.id}, with {level(plan.sampling.interval)}. " + " ".join(
        ([RATES_READ] if False in kinds else []) + ([SCORES_READ] if True in kinds else []))
    return figure


@styled
def metric_worth(worth: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Picture:
    """Expected width of each contrast's interval with no metric, each alone and all; from `metric_worth`."""
    cases = worth[worth["use"] != "none"]
    cases = cases.assign(label=[row.metric if row.use == "alone" else TOGETHER for row in cases.itertuples()])
    alone = cases[cases["use"] == "alone"].groupby("label", sort=False)["ratio"].mean()
    order = [*alone.sort_values(ascending=False, kind="stable").index, TOGETHER]
    shade, shape = colours(plan.model_ids, incumbent=plan.incumbent), markers(plan.model_ids, incumbent=plan.incumbent)
    figure, (axes,) = picture(1.25 + 0.34 * len(order))
    for model, mine in cases.groupby("model", sort=False):
        axes.plot(mine.set_index("label")["ratio"].reindex(order), range(len(order)), linestyle="", marker=shape[model],
                  color=shade[model], markersize=6, markerfacecolor="white", markeredgewidth=1.6,
                  label=short(model, 30), zorder=4)
    axes.axvline(1, color=INK, linewidth=1, zorder=2)
    axes.text(1, 1.01, "labels only", transform=axes.get_xaxis_transform(), ha="right", va="bottom", fontsize=7.5,
              color=SOFT)
    name_rows(axes, order, width=30)
    scale(axes, "expected width of the interval, labels only = 100%", RATE, contrast=False)
    axes.set_xlim(0, 1.05 * max(1.0, cases["ratio"].max()))
    figure.legend(loc="outside lower left", frameon=False, fontsize=8, ncols=4, handletextpad=0.2)
    ratio = dict(list(cases.groupby("label")))
    told = [f"{name}: {listed([f'{row.model} {percent(row.ratio)}' for row in ratio[name].itertuples()])}"
            for name in order]
    figure.alt_text = (f"Expected width of the interval of the contrast on {criterion.id}, labels only = 100%: "
                       f"{'; '.join(told)}.")
    figure.caption = (f"How wide the interval of each candidate's contrast on {criterion.id} is expected to be with a "
                      "metric alone and with all together, against labels without any metric. Further left is worth "
                      "more; at 100% a metric tells nothing that labels do not.")
    return figure


def severity(raters: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Picture:
    """How each rater differs from the others on the same outputs, from `agreement.severity`."""
    unit = unit_of(criterion)
    rows = raters.sort_values("difference", kind="stable").rename(columns={"mean": "own", "difference": "mean"})
    rows = rows.assign(label=rows["rater"], colour=SOFT, note=[
        f"{unit.change(row.mean)}   {row.shared} shared" for row in rows.itertuples()])
    figure = forest({"": rows}, label=f"a rater minus the others on the same outputs, {unit.contrast_axis}", unit=unit,
                    contrast=True)
    figure.alt_text = f"Severity of raters on {criterion.id}, {unit.contrast_axis}: " + "; ".join(
        f"{row.rater} {unit.change(row.mean)} ({unit.span(row.lower, row.upper)}, {row.shared} shared outputs)"
        for row in rows.itertuples()) + "."
    figure.caption = (f"Each rater's judgments on {criterion.id} minus those of the others on the same outputs, with "
                      f"{level(plan.sampling.interval)}; left of the line a rater gives less than the others.")
    return figure


@styled
def reliability(groups: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Picture:
    """Judged against predicted score in groups of labelled outputs, from `predictive.reliability`."""
    unit = unit_of(criterion)
    figure, (axes,) = picture(3.3)
    low, high = _ends(groups, criterion)
    axes.plot([low, high], [low, high], color=SOFT, linewidth=1)
    axes.vlines(groups["predicted"], groups["lower"], groups["upper"], color=BAR, linewidth=5)
    axes.plot(groups["predicted"], groups["judged"], linestyle="", marker="o", color=INK, markersize=6)
    axes.text(0.98, 0.04, "on the line: judged as predicted", transform=axes.transAxes, ha="right", color=SOFT,
              fontsize=8.5)
    axes.set_box_aspect(0.62)
    axes.spines["left"].set_visible(True)
    scale(axes, f"predicted {unit.noun} on {criterion.id}", unit, contrast=False)
    axes.yaxis.set_major_formatter(axes.xaxis.get_major_formatter())
    axes.set_ylabel(f"judged {unit.noun}")
    axes.set(xlim=(low, high), ylim=(low, high))
    figure.alt_text = f"Reliability on {criterion.id}: " + "; ".join(
        f"predicted {unit.quality(row.predicted)}, judged {unit.quality(row.judged)} (expected "
        f"{unit.quality_span(row.lower, row.upper)}, {row.n} outputs)" for row in groups.itertuples()) + "."
    figure.caption = (f"Labelled outputs in {len(groups)} groups by predicted {unit.noun} on {criterion.id}: the "
                      f"{unit.noun} of their human judgments (points) and the 95% interval that the calibration model "
                      "expects (bars).")
    return figure


def _ends(groups: pd.DataFrame, criterion: CriterionSpec) -> tuple[float, float]:
    """Both ends of the axes: the whole scale for rates, the range of the groups where a scale may be far wider."""
    if criterion.score and criterion.in_points:
        low, high = min(criterion.score), max(criterion.score)
    else:
        values = groups[["predicted", "judged", "lower", "upper"]].to_numpy(dtype=float)
        low, high = (np.nanmin(values), np.nanmax(values)) if values.size else (0.0, 1.0)
    room = 0.02 * ((high - low) or 1.0)
    return low - room, high + room


def _marks(is_score: bool) -> list[tuple[str, str, str, bool]]:
    if is_score:
        return [("rank_correlation", "rc_lower", "rc_upper", False)]
    return [("true_positive", "tp_lower", "tp_upper", False), ("false_positive", "fp_lower", "fp_upper", True)]


def _trust_words(metric: str, model: str, row: pd.Series, *, is_score: bool) -> str:
    if is_score:
        return f"{metric} for {model}: rank correlation {fixed(row['rank_correlation'])}"
    return (f"{metric} for {model}: true positive rate {percent(row['true_positive'])}, false positive rate "
            f"{percent(row['false_positive'])}")
