"""What the decision explorer shows, as HTML and SVG text: quick to make, and readable without seeing it."""

from html import escape
from itertools import groupby

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from migration_kit.estimands import TOTAL
from migration_kit.figures.canvas import INCUMBENT, LOSS, colours, markers, ticks
from migration_kit.labels_needed import Foreseen
from migration_kit.loss import loss_text
from migration_kit.plan import CriterionSpec
from migration_kit.stakeholders import BY_ALL, BY_ONE, BY_PLAN
from migration_kit.widgets.explore import Explored
from migration_kit.wording import (
    DASH,
    Unit,
    asked,
    at_least,
    chance,
    counted,
    level,
    listed,
    share,
    short,
    unit_of,
)

LEFT, PLOT, RIGHT, ROW, TOP, BOTTOM = 190, 380, 210, 46, 26, 44
INK, SOFT, LINE, PAPER = ("var(--jp-content-font-color1, #1c2226)", "var(--jp-content-font-color2, #5b666e)",
                          "var(--jp-border-color2, #d5dada)", "var(--jp-layout-color0, #fff)")
# Each drawn about 0,0 with a width of some 11 units, the shapes of `canvas.MARKERS`.
SHAPES = {"o": '<circle r="5.5" {}/>', "D": '<path d="M0-6.5 6.5 0 0 6.5-6.5 0Z" {}/>',
          "s": '<rect x="-5" y="-5" width="10" height="10" {}/>', "^": '<path d="M0-6 6 5H-6Z" {}/>',
          "v": '<path d="M0 6 6-5H-6Z" {}/>', "P": '<path d="M-2-6h4v4h4v4h-4v4h-4v-4h-4v-4h4Z" {}/>'}
BETTER = "right is better"


def verdict_html(found: Explored, before: Explored) -> str:
    """The verdict in a word and a sentence, and what the plan as it is says; a region that screen readers announce."""
    told = f"<strong>{escape(found.verdict)}</strong> {escape(found.sentence)}"
    own = (before.verdict, before.candidate)
    if own != (found.verdict, found.candidate):
        told += f" By the plan as it is: {escape(' to '.join(part for part in own if part))}."
    elif found.settings == before.settings:
        told += " These are the settings of the plan."
    later = [f"{model} {_verdicts(one.labels)}" for model, one in found.candidates.items() if one.labels is not None]
    if found.settings.more and later:
        told += escape(f" With {counted(found.settings.more, 'more labelled item')}: {'; '.join(later)}.")
    return f'<div class="mk-verdict mk-{found.verdict}" role="status" aria-live="polite">{told}</div>'


def candidates_html(found: Explored) -> str:
    """A table: verdict, probability and reason of each candidate, and what further labels are likely to say."""
    several, more = len(found.plan.gates) > 1, found.settings.more
    names = ["candidate", "verdict", "all gates hold" if several else "the gate holds",
             "best of those that may replace" if found.candidate else "best of all candidates",
             *(["expected loss"] if found.plan.costs else []),
             *([f"with {more} more labels"] if more else []), "why"]
    rows = []
    loss = found.losses.set_index("option")
    for model, one in found.candidates.items():
        # Where some may replace the incumbent, the others have no part in who is best.
        best = DASH if found.candidate and one.verdict != "switch" else chance(one.probability_best)
        cells = [one.verdict, (at_least if several else chance)(one.probability), best]
        if found.plan.costs:
            cells.append(loss_text(loss.loc[model].to_dict(), found.plan))
        if more:
            cells.append("labels of every gate are needed first" if one.labels is None else _verdicts(one.labels))
        cells.append(" ".join(one.reasons))
        rows.append(f'<tr><th scope="row">{escape(model)}</th>' + "".join(f"<td>{escape(one)}</td>" for one in cells)
                    + "</tr>")
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    return (f'<div class="mk-scroll" tabindex="0" role="region" aria-label="Verdict on each candidate"><table>'
            f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>")


def _verdicts(labels: Foreseen) -> str:
    """How often each verdict would follow: "switch 78.0%, collect 20.0%"."""
    return ", ".join(f"{name} {share(held)}" for name, held in labels.verdicts.items() if held > 0)


def weighing_html(found: Explored) -> str:
    """Who is best by whose weights, what costs least, and the mix of traffic; one sentence each."""
    told = []
    for (by, name), rows in groupby(found.utilities, key=lambda row: (row["by"], row["name"])):
        best = max(rows, key=lambda row: row["best"])
        who = {BY_PLAN: "By the plan's weights", BY_ONE: f"By the concern of {name}",
               BY_ALL: "By all stakeholders together"}[by]
        told.append(f"{who} {best['candidate']} is most likely the best ({chance(best['best'])}).")
    if found.plan.costs:
        least = f"{found.cheapest} costs least" if found.cheapest else "no option can be compared"
        told.append(f"By expected loss {least}; with one candidate a switch costs less than staying where the gates "
                    f"hold with more than {chance(found.break_even)}.")
    mix = [f"{name} {share(part)}" for name, part in found.settings.shares.items()]
    told.append(f"Mix of slices: {listed(mix)}.")
    return f'<p class="mk-weighing">{escape(" ".join(told))}</p>'


def forest_html(rows: pd.DataFrame, found: Explored, criterion: CriterionSpec, where: str) -> str:
    """The contrast of every candidate against the margin as a figure; rows from `explore.forest`."""
    plan, unit = found.plan, unit_of(criterion)
    total = where == TOTAL
    margin = criterion.margin if total else criterion.slice_margin
    wanted = plan.decision.assurance if total else plan.decision.slice_assurance
    low, high = _limits(rows, margin, unit)
    height = TOP + ROW * len(rows) + BOTTOM
    shade, shape = colours(plan.model_ids, incumbent=plan.incumbent), markers(plan.model_ids, incumbent=plan.incumbent)

    def x(value: float) -> float:
        return round(LEFT + PLOT * (min(max(value, low), high) - low) / (high - low), 1)

    parts = [*_axis(unit, low, high, x, height), *_references(plan.incumbent, margin, unit, x, height)]
    notes = [_note(row, unit) for row in rows.itertuples()]
    for place, (row, note) in enumerate(zip(rows.itertuples(), notes, strict=True)):
        y = TOP + ROW * place + ROW / 2
        reached = margin is None or row.probability >= wanted
        parts += _row(row, note, x=x, y=y, colour=shade[row.model], shape=shape[row.model], full=reached)
    place = "in total" if total else f"in {where}"
    bound = f"; {'margin' if total else 'slice margin'} {unit.change(-margin)}" if margin else ""
    alt = (f"Contrast with {plan.incumbent} on {criterion.id} {place}, {unit.contrast_axis}: "
           + "; ".join(f"{model}: {', '.join(note)}" for model, note in zip(rows["model"], notes, strict=True))
           + f"{bound}.")
    caption = f"Candidate minus incumbent on {criterion.id} {place}, with {level(plan.sampling.interval)}."
    if margin:
        caption += f" Dashed: the margin; a full marker has reached the {asked(wanted)} asked for."
    if found.settings.more:
        caption += f" Pale band: the interval to expect with {counted(found.settings.more, 'more labelled item')}."
    return (f'<figure class="mk-forest"><svg viewBox="0 0 {LEFT + PLOT + RIGHT} {height}" role="img" '
            f'aria-label="{escape(alt)}" font-size="13">{"".join(parts)}'
            f'<text x="{LEFT + PLOT / 2}" y="{height - 6}" text-anchor="middle" fill="{SOFT}">contrast with '
            f'{escape(short(plan.incumbent))}, {escape(unit.contrast_axis)} ({BETTER})</text></svg>'
            f"<figcaption>{escape(caption)}</figcaption></figure>")


def _limits(rows: pd.DataFrame, margin: float | None, unit: Unit) -> tuple[float, float]:
    ends = rows[["mean", "lower", "upper", "later_lower", "later_upper"]].to_numpy(dtype=float)
    ends = np.append(ends[~np.isnan(ends)], [0.0, -(margin or 0.0), margin or 0.0])
    room = 0.06 * (max(np.ptp(ends), 0.02 if unit.in_points else margin or 0.0) or 1.0)
    return float(ends.min() - room), float(ends.max() + room)


def _axis(unit: Unit, low: float, high: float, x, height: float) -> list[str]:
    write, bottom = ticks(unit, contrast=True), height - BOTTOM
    marks = MaxNLocator(nbins=6, min_n_ticks=3, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return [f'<line x1="{x(at)}" x2="{x(at)}" y1="{TOP}" y2="{bottom}" stroke="{LINE}"/>'
            f'<text x="{x(at)}" y="{bottom + 17}" text-anchor="middle" fill="{SOFT}">{write(at)}</text>'
            for at in marks if low <= at <= high]


def _references(incumbent: str, margin: float | None, unit: Unit, x, height: float) -> list[str]:
    """The incumbent, level with itself, in grey; the margin, and all that lies beyond it, in the colour of loss."""
    bottom = height - BOTTOM
    parts = [f'<line x1="{x(0)}" x2="{x(0)}" y1="{TOP}" y2="{bottom}" stroke="{INCUMBENT}" stroke-width="2"/>'
             f'<text x="{x(0) + 3}" y="{TOP - 8}" fill="{SOFT}">{escape(short(incumbent, 30))} (incumbent)</text>']
    if margin:
        at = x(-margin)
        parts.append(
            f'<rect x="{LEFT}" y="{TOP}" width="{max(at - LEFT, 0):.1f}" height="{bottom - TOP}" fill="{LOSS}" '
            f'opacity="0.08"/><line x1="{at}" x2="{at}" y1="{TOP}" y2="{bottom}" stroke="{LOSS}" stroke-width="2" '
            f'stroke-dasharray="6 3"/><text x="{at - 3}" y="{TOP - 8}" text-anchor="end" fill="{LOSS}">margin '
            f'−{unit.size(margin).split()[0]}</text>')
    return parts


def _row(row: object, note: list[str], *, x, y: float, colour: str, shape: str, full: bool) -> list[str]:
    parts = [f'<text x="{LEFT - 12}" y="{y + 4}" text-anchor="end" fill="{INK}">{escape(short(row.model, 26))}</text>']
    if np.isnan(row.mean):
        return [*parts, f'<text x="{LEFT + 8}" y="{y + 4}" fill="{SOFT}" font-style="italic">not known</text>']
    if not np.isnan(row.later_lower):
        left, right = x(row.later_lower), x(row.later_upper)
        parts.append(f'<rect x="{left}" y="{y - 8}" width="{right - left:.1f}" height="16" fill="{colour}" '
                     'opacity="0.3"/>')
    ends = f'x1="{x(row.lower)}" x2="{x(row.upper)}" y1="{y}" y2="{y}"'
    parts.append(f'<line {ends} stroke="{colour}" stroke-width="3"/>')
    filled = colour if full else PAPER
    parts.append(f'<g transform="translate({x(row.mean)} {y})">'
                 + SHAPES[shape].format(f'fill="{filled}" stroke="{colour}" stroke-width="2"') + "</g>")
    first = y + 4 if len(note) == 1 else y - 3
    parts += [f'<text x="{LEFT + PLOT + 12}" y="{first + 16 * number}" fill="{INK}">{escape(text)}</text>'
              for number, text in enumerate(note)]
    return parts


def _note(row: object, unit: Unit) -> list[str]:
    if np.isnan(row.mean):
        return ["not known"]
    told = [f"{unit.change(row.mean)} ({unit.span(row.lower, row.upper)})"]
    return told if np.isnan(row.probability) else [*told, f"non-inferior: {chance(row.probability)}"]
