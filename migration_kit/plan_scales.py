"""The scales people judge on, the quantity quality is, and the margins that fit them."""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator

from migration_kit.errors import did_you_mean, quote

FEWEST_LEVELS, MOST_LEVELS = 3, 11
UNIT = re.compile(r"(?=.{1,20}$)[^\W_]+(?:[ ./-][^\W_]+)*")
SCALES = ("binary", "continuous", "pairwise", "{ordinal: [1, 5]}")


class Ordinal(BaseModel, frozen=True, extra="forbid"):
    """Whole levels from the lowest to the highest."""

    ordinal: tuple[int, int]

    @property
    def levels(self) -> tuple[float, ...]:
        """Every level, the lowest first."""
        low, high = self.ordinal
        return tuple(float(level) for level in range(low, high + 1))


class AtLeast(BaseModel, frozen=True, extra="forbid"):
    """The share of judgments at or above a level."""

    at_least: int


def unit_problems(kind: str, unit: str | None) -> list[str]:
    """Say why a unit does not fit its scale, or cannot stand in a sentence; [] when it does."""
    if unit is None:
        return []
    if kind != "continuous":
        return [f"unit: only numbers of scale continuous have one of their own; leave it out of a scale that is {kind}"]
    if not UNIT.fullmatch(unit):
        return [f"unit: found {quote(unit)}, expected what follows a number, up to 20 letters or digits with spaces, "
                "hyphens, dots or slashes between them, e.g. seconds or EUR"]
    return []


def quantity_problems(scale: str | Ordinal, quantity: str | AtLeast) -> list[str]:
    """Say why a quantity does not fit its scale; [] when it does."""
    if not isinstance(quantity, AtLeast):
        return []
    if not isinstance(scale, Ordinal):
        return [f"quantity: at_least counts levels, and scale {scale} has none; leave quantity out, or use scale: "
                "{ordinal: [1, 5]}"]
    low, high = scale.ordinal
    if low < quantity.at_least <= high:
        return []
    return [f"quantity: found {{at_least: {quantity.at_least}}}, expected a level from {low + 1} to {high}, because "
            f"the scale goes from {low} to {high}"]


def margin_problems(
    scale: str | Ordinal, *, in_points: bool, margin: float | None, slice_margin: float | None
) -> list[str]:
    """Say why margins do not fit the scale of quality; [] when they do."""
    wrong = []
    for key, value in (("margin", margin), ("slice_margin", slice_margin)):
        if value is None:
            continue
        if in_points and value >= 1:
            hint = f"; write {value / 100:g} for {value:g} point{'' if value == 1 else 's'}" if value < 100 else ""
            wrong.append(f"{key}: found {value:g}, expected less than 1, because quality is a rate here{hint}")
        elif not in_points and isinstance(scale, Ordinal) and value >= scale.ordinal[1] - scale.ordinal[0]:
            low, high = scale.ordinal
            wrong.append(f"{key}: found {value:g}, expected less than {high - low}, the width of the scale from {low} "
                         f"to {high}; it is a loss of the mean level, e.g. 0.2")
    return wrong


def _whole(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        return None
    return int(value)


def _scale(value: Any) -> Any:
    if isinstance(value, Ordinal) or value in ("binary", "continuous", "pairwise"):
        return value
    if value == "ordinal":
        raise ValueError("found 'ordinal' without its levels; name the lowest and the highest: {ordinal: [1, 5]}")
    if not isinstance(value, dict) or list(value) != ["ordinal"]:
        hint = did_you_mean(value, ("binary", "continuous", "pairwise", "ordinal")) if isinstance(value, str) else ""
        raise ValueError(f"found {quote(value)}, expected one of {', '.join(SCALES)}{hint}")
    ends = value["ordinal"]
    levels = [_whole(one) for one in ends] if isinstance(ends, list | tuple) else []
    if len(levels) != 2 or None in levels:
        raise ValueError(f"found {{ordinal: {quote(ends)}}}, expected the lowest and the highest level as whole "
                         "numbers: {ordinal: [1, 5]}")
    low, high = levels
    if low >= high:
        raise ValueError(f"found {{ordinal: {quote(ends)}}}, expected the lowest level first: "
                         f"{{ordinal: [{min(levels)}, {max(levels)}]}}")
    n = high - low + 1
    if n < FEWEST_LEVELS:
        raise ValueError(f"found {{ordinal: {quote(ends)}}}, which has {n} levels; use scale: binary (judgments 0 "
                         f"and 1) for two")
    if n > MOST_LEVELS:
        raise ValueError(f"found {{ordinal: {quote(ends)}}}, which has {n} levels, expected at most {MOST_LEVELS}; "
                         "use scale: continuous for more")
    return Ordinal(ordinal=(low, high))


def _quantity(value: Any) -> Any:
    if isinstance(value, AtLeast) or value == "mean":
        return value
    level = _whole(value["at_least"]) if isinstance(value, dict) and list(value) == ["at_least"] else None
    if level is None:
        raise ValueError(f"found {quote(value)}, expected mean or {{at_least: 4}} with a whole level of the scale")
    return AtLeast(at_least=level)


Scale = Annotated[Literal["binary", "continuous", "pairwise"] | Ordinal, BeforeValidator(_scale)]
Quantity = Annotated[Literal["mean"] | AtLeast, BeforeValidator(_quantity)]
