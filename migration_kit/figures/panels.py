"""Rows of points with intervals, in panels: the form of most figures."""

import math
from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes

from migration_kit.figures.canvas import (
    INK,
    LOSS,
    SOFT,
    Picture,
    draw_rows,
    hide_spare,
    picture,
    scale,
    styled,
)
from migration_kit.wording import Unit, short

ROW, FRAME = 0.3, 0.75
WIDE_LABELS = 34


@styled
def forest(
    panels: Mapping[str, pd.DataFrame], *, label: str, unit: Unit, contrast: bool, columns: int = 1,
    margin: float | None = None, margin_name: str = "margin",
) -> Picture:
    """Draw one panel of rows for each entry, all on one scale.

    Parameters
    ----------
    panels : mapping
        Title to rows as `canvas.draw_rows` takes them; "" for no title.
    label : str
        What the horizontal axis counts, with its unit.
    unit : Unit
        How its numbers are written.
    contrast : bool
        Contrasts around a line of no difference; else qualities.
    columns : int
        Panels beside each other.
    margin : float, optional
        Largest loss accepted: drawn as a line, what lies beyond it is shaded.
    """
    if not sum(map(len, panels.values())):
        return nothing()
    columns = min(columns, len(panels))
    grid = math.ceil(len(panels) / columns)
    longest = max(len(rows) for rows in panels.values())
    tall = max(1, max(rows["label"].map(lambda text: math.ceil(len(text) / WIDE_LABELS)).max()
                      for rows in panels.values()))
    notes = pd.concat([rows["note"] for rows in panels.values() if "note" in rows])
    per_row = max(ROW * tall, 0.42 if notes.astype(str).str.contains("\n").any() else 0)
    figure, axes = picture(FRAME + grid * (per_row * longest + 0.55), rows=grid, columns=columns)
    limits = _limits(panels, unit, contrast=contrast, margin=margin)
    for number, (here, (title, rows)) in enumerate(zip(axes, panels.items(), strict=False)):
        draw_rows(here, rows, width=WIDE_LABELS if columns == 1 else 20)
        here.set_xlim(limits)
        last = number >= len(panels) - columns
        named = number == columns * (grid - 1)
        scale(here, label if named else "", unit, contrast=contrast)
        here.tick_params(axis="x", labelbottom=last, length=3 if last else 0)
        here.set_title(short(title, 44 if columns > 1 else 80), pad=14 if contrast else 6)
        if contrast:
            _references(here, unit, margin=margin, name=margin_name)
    hide_spare(axes, len(panels))
    return figure


def nothing() -> Picture:
    """A figure that says there is nothing to show."""
    figure, (axes,) = picture(0.8)
    axes.set_axis_off()
    axes.text(0, 0.5, "There is nothing to show here.", color=SOFT, va="center")
    return figure


def _limits(
    panels: Mapping[str, pd.DataFrame], unit: Unit, *, contrast: bool, margin: float | None
) -> tuple[float, float]:
    rows = pd.concat(panels.values())
    ends = pd.concat([rows["mean"], rows["lower"], rows["upper"], rows.get("truth", pd.Series(dtype=float))]).dropna()
    low, high = (ends.min(), ends.max()) if len(ends) else (0.0, 1.0)
    if contrast or unit.signed:
        low, high = min(low, -(margin or 0), 0.0), max(high, margin or 0, 0.0)
    least = 0.02 if unit.in_points else margin or 0.0
    room = 0.06 * (max(high - low, least) or 1.0)
    low, high = low - room, high + room
    return (max(low, -0.005), min(high, 1.005)) if unit.in_points and not (contrast or unit.signed) else (low, high)


def _references(axes: Axes, unit: Unit, *, margin: float | None, name: str) -> None:
    axes.axvline(0, color=INK, linewidth=1, zorder=2)
    above = axes.get_xaxis_transform()
    axes.text(0, 1.01, "no difference", transform=above, ha="left", va="bottom", fontsize=7.5, color=SOFT)
    if margin:
        left = axes.get_xlim()[0]
        axes.axvspan(left, -margin, color=LOSS, alpha=0.06, linewidth=0, zorder=0)
        axes.axvline(-margin, color=LOSS, linewidth=1.2, linestyle=(0, (4, 2)), zorder=2)
        axes.text(-margin, 1.01, f"{name} −{unit.size(margin).split()[0]} ", transform=above, ha="right", va="bottom",
                  fontsize=7.5, color=LOSS)
