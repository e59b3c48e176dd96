"""Numbers and names as a reader meets them, the same in figures, tables and sentences."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$&:=^\"'])")
DASH = "–"


class Said(str):
    """Markdown text that a notebook shows as such, as `display(said)`; names in it went through `safe`."""

    __slots__ = ()

    def _repr_markdown_(self) -> str:
        return str(self)


def safe(text: object) -> str:
    """Return a text of unknown origin so that Markdown shows it letter by letter, on one line."""
    return SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def short(text: object, width: int = 40) -> str:
    """Return a text on one line of at most `width` letters; what is left out is marked."""
    line = " ".join(str(text).split())
    return line if len(line) <= width else f"{line[: width - 1].rstrip()}…"


def wrapped(text: object, width: int = 24, *, lines: int = 2) -> str:
    """Return a name broken into at most `lines` lines where words or parts of a name end, for a label in a figure."""
    rows = [""]
    for part in re.findall(r"\S[^\s_/\-]*[_/\-]*\s*", " ".join(str(text).split())):
        if rows[-1] and len(rows[-1]) + len(part.rstrip()) > width:
            rows.append("")
        rows[-1] += part
    rows = [short(row, width) for row in rows] or [" "]
    return "\n".join(rows if len(rows) <= lines else [*rows[: lines - 1], short(f"{rows[lines - 1]} …", width)])


def unknown(value: float | None) -> bool:
    """Tell whether there is no number."""
    return value is None or math.isnan(value)


def signed(value: float, digits: int = 1) -> str:
    """Return a number with its sign, a real minus, and no sign on what rounds to 0."""
    if unknown(value):
        return DASH
    text = f"{value:+.{digits}f}"
    return text[1:] if not float(text) else text.replace("-", "−")


def points(value: float, *, unit: bool = False) -> str:
    """Return a contrast on the 0..1 scale in percentage points: "+2.1", or "+2.1 points"."""
    text = signed(math.nan if unknown(value) else 100 * value)
    return text if not unit or text == DASH else f"{text} points"


def size(value: float) -> str:
    """Return the size of a difference on the 0..1 scale: "2.1 points", "3 points" where it is whole."""
    number = round(100 * abs(value), 1)
    text = f"{number:.0f}" if number == int(number) else f"{number:.1f}"
    return f"{text} point{'' if text == '1' else 's'}"


def percent(value: float) -> str:
    """Return a rate on the 0..1 scale: "65.1%"."""
    return DASH if unknown(value) else f"{100 * value:.1f}%".replace("-", "−")


def chance(value: float) -> str:
    """Return a probability, never as certainty: "97.3%", ">99.9%", "<0.1%"."""
    if unknown(value):
        return DASH
    if value >= 0.9995:
        return ">99.9%"
    return "<0.1%" if value < 0.0005 else f"{100 * value:.1f}%"


def at_least(value: float) -> str:
    """Return a lower bound of a probability: "at least 97.3%", ">99.9%", "0% or more" where it tells nothing."""
    text = chance(value)
    if text.startswith("<"):
        return "0% or more"
    return text if text == DASH or text.startswith(">") else f"at least {text}"


def rounded_down(value: float) -> str:
    """Return a probability with two digits, rounded down: 0.95 is never shown for less, nor 1.00 for what draws say."""
    return DASH if unknown(value) else f"{min(math.floor(100 * value + 1e-9), 99) / 100:.2f}"


def asked(value: float) -> str:
    """Return a probability as a plan asks for it: "95%", "99.5%"."""
    return f"{100 * value:g}%"


def share(value: float) -> str:
    """Return a share without decimals where they say nothing: "80%", "0.4%"."""
    if unknown(value):
        return DASH
    number = round(100 * value, 1)
    return f"{number:.0f}%" if number >= 10 or number == int(number) else f"{number:.1f}%"


def span(lower: float, upper: float, *, rate: bool = False) -> str:
    """Return the two ends of an interval: contrasts in points, rates in percent."""
    if unknown(lower) or unknown(upper):
        return DASH
    return f"{percent(lower)} to {percent(upper)}" if rate else f"{points(lower)} to {points(upper)}"


def level(probability: float) -> str:
    """Return the name of an interval: "95% interval"."""
    return f"{100 * probability:g}% interval"


def amount(value: float) -> str:
    """Return a count with thousands set apart; three leading digits where it was computed from a rate."""
    if unknown(value):
        return DASH
    rounded = round(value, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{rounded:,.0f}" if abs(rounded) >= 10 else f"{rounded:,.2g}"


def number(value: float) -> str:
    """Return a plain number with three digits that matter, more near 1, and a real minus."""
    if unknown(value):
        return DASH
    return (f"{value:.4f}" if 0.99 < value < 1 else f"{value:,.3g}").replace("-", "−")


def signed_number(value: float) -> str:
    """Return a plain number with its sign: a contrast in a unit that is not known."""
    return f"{'+' if value > 0 else ''}{number(value)}"


def fixed(value: float, digits: int = 2) -> str:
    """Return a number with a fixed number of decimals and a real minus."""
    return DASH if unknown(value) else f"{value:.{digits}f}".replace("-", "−")


def counted(n: float, what: str, many: str | None = None) -> str:
    """Return a count with its noun: "1 item", "3,000 items"."""
    return f"{n:,.0f} {what if n == 1 else many or what + 's'}"


def minus(text: str) -> str:
    """Return a text whose negative numbers have a real minus."""
    return re.sub(r"(?<![\w.\-])-(?=\d)", "−", text)


def listed(names: Sequence[str], *, last: str = "and") -> str:
    """Return names as a list in prose: "a, b and c"."""
    names = list(names)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}" if names else "none"


def sentence(text: str) -> str:
    """Return a text with a capital first letter."""
    return text[:1].upper() + text[1:]


def text_table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: set[int]) -> str:
    """Return a table as plain text; the columns whose places are `numbers` are aligned right."""
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(len(heads))]
    lines = [
        "  ".join(
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [heads, *rows]
    ]
    return "\n".join([title, *(f"  {line}" for line in lines)])


def section(name: str) -> str:
    """Return a link to a section of the report, in JupyterLab and on the page."""
    return f"[{name}](#{name.replace(' ', '-')})"


def flip_words(kind: str, *, verdicts: bool, scores: bool) -> str:
    """Say when an item is lost and when it is gained: by preferences, by verdicts good or bad, by scores."""
    if kind == "pairwise":
        return "Lost: the incumbent's output was preferred; gained: the candidate's was."
    if not verdicts:
        return "Lost: the candidate's output scores worse, by any amount; gained: it scores better."
    told = "Lost: only the incumbent is good; gained: only the candidate is."
    return f"{told} By scores: worse and better by any amount." if scores else told


class Scaled(Protocol):
    """What must be known of a criterion to write its numbers."""

    kind: str
    levels: tuple[float, ...]
    score: tuple[float, ...]
    in_points: bool
    margin: float | None
    unit: str | None


@dataclass(frozen=True)
class Unit:
    """How a criterion's numbers are written: rates in percent and points, other scores in their own unit.

    Attributes
    ----------
    in_points : bool
        Whether quality is a rate on the 0..1 (or −1..1) scale, shown in percent, and contrasts are in points.
    noun : str
        What quality is: "rate", "share at 4 or above", "net win rate", "mean score", "mean".
    axis : str
        Name of an axis of quality, with its unit.
    contrast_axis : str
        Unit of an axis of contrasts.
    digits : int or None
        Decimals in the own unit; None where neither margin nor scale tells: three digits that matter.
    signed : bool
        Whether quality itself has a sign (a net win rate).
    name : str
        What follows a number in its own unit, such as "seconds"; "" where the plan names none.
    """

    in_points: bool
    noun: str
    axis: str
    contrast_axis: str
    digits: int | None = 1
    signed: bool = False
    name: str = ""

    @property
    def scale(self) -> float:
        """Factor from stored values to those shown."""
        return 100 if self.in_points else 1

    def quality(self, value: float, *, unit: bool = False) -> str:
        """Return a quality: "82.1%", "+12.0%" where it is net of losses, "3.42", "1.74 seconds" with `unit`."""
        if unknown(value):
            return DASH
        if self.in_points:
            return f"{signed(100 * value)}%" if self.signed else percent(value)
        text = f"{value:.{self._decimals(value)}f}".replace("-", "−")
        return self._named(text) if unit else text

    def change(self, value: float, *, unit: bool = False) -> str:
        """Return a contrast with its sign: "+2.1", "+2.1 points" with `unit`; "+0.21" in the own unit."""
        if self.in_points or unknown(value):
            return points(value, unit=unit)
        text = signed(value, self._decimals(value))
        return self._named(text) if unit else text

    def size(self, value: float) -> str:
        """Return the size of a difference: "2.1 points", "3 points"; "0.21", "0.5 seconds" in the own unit."""
        if self.in_points or unknown(value):
            return DASH if unknown(value) else size(value)
        text = f"{abs(value):.{self._decimals(value)}f}"
        plain = text.rstrip("0").rstrip(".") if "." in text else text
        # A margin stands as the plan writes it; what was computed keeps its digits.
        return self._named(plain if math.isclose(abs(value), float(plain), rel_tol=1e-9) else text)

    def limit(self, value: float, *, up: bool) -> str:
        """Return the size of a turning point, rounded up where something holds from there on, else down; never to 0."""
        if unknown(value):
            return DASH
        steps = 10 ** (3 if self.in_points else self._decimals(value))
        turned = math.ceil if up else math.floor
        return self.size(max(turned(round(abs(value) * steps, 6)), 1) / steps)

    def versus(self, value: float) -> str:
        """Return a contrast in words: "2.1 points better", "0.5 seconds worse"."""
        return DASH if unknown(value) else f"{self.size(value)} {'better' if value > 0 else 'worse'}"

    def span(self, lower: float, upper: float) -> str:
        """Return the ends of an interval of contrasts: "−0.4 to +4.6"."""
        return DASH if unknown(lower) or unknown(upper) else f"{self.change(lower)} to {self.change(upper)}"

    def quality_span(self, lower: float, upper: float) -> str:
        """Return the ends of an interval of qualities: "78.0% to 86.2%", "3.31 to 3.52"."""
        return DASH if unknown(lower) or unknown(upper) else f"{self.quality(lower)} to {self.quality(upper)}"

    def _named(self, text: str) -> str:
        return f"{text} {self.name}" if self.name else text

    def _decimals(self, value: float) -> int:
        if self.digits is not None:
            return self.digits
        return 2 if unknown(value) or not value else max(0, 2 - math.floor(math.log10(abs(value))))


def unit_of(criterion: Scaled) -> Unit:
    """Return how the numbers of a criterion are written.

    Decimals in the own unit are so many that the margin, or a twentieth of the scale where there is none, has two
    digits that matter.
    """
    levels, score = criterion.levels, criterion.score
    if criterion.kind == "pairwise":
        return Unit(True, "net win rate", "net win rate in percent", "points net", signed=True)
    if criterion.in_points and criterion.kind == "ordinal":
        noun = f"share at {levels[score.index(1)]:g} or above"
        return Unit(True, noun, f"{noun}, in percent", "points")
    if criterion.in_points:
        return Unit(True, "rate", "rate in percent", "points")
    step = criterion.margin or ((levels[-1] - levels[0]) / 20 if levels else None)
    digits = max(0, 1 - math.floor(math.log10(step))) if step else None
    if levels:
        scale = f"{levels[0]:g} to {levels[-1]:g}"
        return Unit(False, "mean score", f"mean score, {scale}", f"on the scale {scale}", digits)
    where = f"in {criterion.unit or 'its own unit'}"
    return Unit(False, "mean", f"mean, {where}", where, digits, name=criterion.unit or "")
