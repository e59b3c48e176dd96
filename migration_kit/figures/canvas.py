"""The look of every figure: paper, palette, labels, and the form in which a notebook shows it."""

import functools
import io
import warnings
from base64 import b64encode
from collections.abc import Callable, Sequence

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image

from migration_kit.wording import Unit, wrapped

WIDTH = 7.6
DOTS_PER_INCH = 160
# A figure holds a few hundred shades, nearly all on the edges of letters: a palette takes a third of the space.
SHADES = 128
INK, SOFT, LINE, LOSS = "#1c2226", "#5b666e", "#d5dada", "#a8321f"
INCUMBENT = "#767676"
# Position 7 of the palette is grey, which belongs to the incumbent.
CANDIDATES = [colour for place, colour in enumerate(sns.color_palette("colorblind").as_hex()) if place != 7]
MARKERS = "oDs^vP"
STYLE = sns.axes_style("ticks") | {
    "text.parse_math": False,  # a "$" in a name is a "$"
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": SOFT,
    "axes.unicode_minus": True,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "xtick.color": SOFT,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 9.0,
    "ytick.left": False,
    "text.color": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": "white",
}


class Picture(Figure):
    """A figure that a notebook shows with its description and caption, as `display(picture)`.

    Attributes
    ----------
    alt_text : str
        What the figure shows, with its numbers, for those who do not see it.
    caption : str
        What the reader looks at and in which unit.
    """

    alt_text: str = ""
    caption: str = ""

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> tuple[dict, dict]:
        content = io.BytesIO()
        with mpl.rc_context(STYLE), warnings.catch_warnings():
            # A letter that the font lacks is drawn as a box: the description holds it.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            self.savefig(content, format="png", dpi=DOTS_PER_INCH, pil_kwargs={"compress_level": 1})
        kind = "image/png"
        return {kind: b64encode(_small(content)).decode()}, {kind: {"alt": self.alt_text, "caption": self.caption}}


def _small(content: io.BytesIO) -> bytes:
    """The same picture with a palette; no shade moves by more than the eye can tell."""
    small = io.BytesIO()
    with Image.open(content) as full:
        reduced = full.convert("RGB").quantize(SHADES, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    reduced.save(small, format="png", optimize=True, dpi=(DOTS_PER_INCH, DOTS_PER_INCH))
    return small.getvalue()


def styled[**P](draw: Callable[P, Picture]) -> Callable[P, Picture]:
    """Draw in the style of the house, whatever the notebook's own settings are."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Picture:
        with mpl.rc_context(STYLE):
            return draw(*args, **kwargs)

    return drawn


def picture(height: float, *, rows: int = 1, columns: int = 1, share_x: bool = True) -> tuple[Picture, list[Axes]]:
    """Return an empty figure of the page's width and `height` inches, with its axes row by row."""
    figure = Picture(figsize=(WIDTH, height), layout="constrained")
    if columns > 1:
        figure.get_layout_engine().set(wspace=0.06)
    axes = figure.subplots(rows, columns, sharex=share_x, squeeze=False)
    return figure, list(axes.flat)


def colours(models: Sequence[str], *, incumbent: str) -> dict[str, str]:
    """Return a colour for each model, the incumbent grey; more candidates than colours begin anew."""
    others = [model for model in models if model != incumbent]
    return {incumbent: INCUMBENT} | {model: CANDIDATES[n % len(CANDIDATES)] for n, model in enumerate(others)}


def markers(models: Sequence[str], *, incumbent: str) -> dict[str, str]:
    """Return a marker for each model; the incumbent's is the circle."""
    others = [model for model in models if model != incumbent]
    return {incumbent: "o"} | {model: MARKERS[(n + 1) % len(MARKERS)] for n, model in enumerate(others)}


def name_rows(axes: Axes, names: Sequence[str], *, width: int = 24) -> None:
    """Name the rows of a figure from top to bottom."""
    axes.set_yticks(range(len(names)), [wrapped(name, width) for name in names])
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.tick_params(axis="y", length=0)


def scale(axes: Axes, label: str, unit: Unit, *, contrast: bool) -> None:
    """Count the horizontal axis in the unit of a criterion."""
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, min_n_ticks=3, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(ticks(unit, contrast=contrast))
    axes.set_xlabel(label)
    axes.grid(axis="x", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)


def ticks(unit: Unit, *, contrast: bool) -> FuncFormatter:
    """Return what writes the numbers along an axis: contrasts with their sign, rates in percent."""
    sign = "+" if contrast or unit.signed else ""
    after = "%" if unit.in_points and not contrast else ""

    def written(value: float, _: int = 0) -> str:
        number = round(unit.scale * value, 6)
        return (f"{number:{sign}g}" if number else "0").replace("-", "−") + after

    return FuncFormatter(written)


def draw_rows(axes: Axes, rows: pd.DataFrame, *, width: int = 24) -> None:
    """Draw a point with its interval in each row and name it.

    Parameters
    ----------
    rows : DataFrame
        label, mean, lower, upper, colour, and marker, hollow, note (text at the right end) where wanted. A row whose
        mean is NaN says "not known".
    """
    for place, row in enumerate(rows.to_dict("records")):
        if pd.isna(row["mean"]):
            axes.text(0.02, place, "not known", transform=axes.get_yaxis_transform(), color=SOFT, va="center",
                      style="italic", fontsize=8.5)
            continue
        if not pd.isna(row["lower"]):
            axes.plot([row["lower"], row["upper"]], [place, place], color=row["colour"], linewidth=2.2,
                      solid_capstyle="butt", zorder=3)
        face = "white" if row.get("hollow") else row["colour"]
        axes.plot([row["mean"]], [place], marker=row.get("marker") or "o", color=row["colour"], markerfacecolor=face,
                  markersize=6.5, markeredgewidth=1.4, zorder=4)
        if row.get("note"):
            axes.text(1.015, place, row["note"], transform=axes.get_yaxis_transform(), va="center", fontsize=8.5,
                      linespacing=1.25)
    name_rows(axes, rows["label"].tolist(), width=width)


def hide_spare(axes: Sequence[Axes], used: int) -> None:
    """Leave out the panels that a grid has beyond those needed."""
    for spare in axes[used:]:
        spare.set_visible(False)
