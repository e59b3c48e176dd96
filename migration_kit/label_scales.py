"""The scales a labelling task may ask for, and the keys that answer them."""

import math
import re
from typing import NamedTuple

from migration_kit.errors import InputError, quote

LEVELS = re.compile(r"(-?\d{1,4})-(-?\d{1,4})")
PREFERENCE, SIDES = "left/right/tie", ("left", "tie", "right")


class Choice(NamedTuple):
    """One answer that a key gives: what is written down, the keys, and what a person reads."""

    value: str
    keys: tuple[str, ...]
    label: str


def is_scale(scale: str) -> bool:
    """Tell whether a scale is one of 0/1, two whole levels such as 1-5, number, left/right/tie."""
    if scale in ("0/1", "number", PREFERENCE):
        return True
    levels = _levels(scale)
    return levels is not None and levels[0] < levels[1]


def choices(scale: str) -> tuple[Choice, ...]:
    """Return the answers that single keys give, in the order of their buttons; none where a number is typed."""
    if scale == "0/1":
        return (Choice("1", ("1",), "yes"), Choice("0", ("0",), "no"))
    if scale == PREFERENCE:
        return (Choice("left", ("ArrowLeft", "l"), "left is better"), Choice("tie", ("t",), "neither is"),
                Choice("right", ("ArrowRight", "r"), "right is better"))
    levels = _levels(scale)
    if levels is None or levels[0] < 0 or levels[1] > 9:
        return ()
    ends = {levels[0]: "lowest", levels[1]: "highest"}
    return tuple(Choice(str(n), (str(n),), ends.get(n, "")) for n in range(levels[0], levels[1] + 1))


def asked_for(scale: str) -> str:
    """Say what may be typed: "a whole number from 0 to 20", "a number"; "" where keys answer."""
    if choices(scale):
        return ""
    levels = _levels(scale)
    return f"a whole number from {levels[0]} to {levels[1]}" if levels else "a number, such as 3 or 2.5"


def canonical(value: str, scale: str) -> str:
    """Return a value as it is written down: "1", "2.5", "left".

    Raises
    ------
    InputError
        It is not on the scale; says what is.
    """
    text, levels = value.strip(), _levels(scale)
    if scale == PREFERENCE:
        if text not in SIDES:
            raise InputError(f"value {quote(value)} is not on the scale; expected left, right or tie")
        return text
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    lowest, highest = (0, 1) if scale == "0/1" else levels or (-math.inf, math.inf)
    whole = scale != "number"
    if not math.isfinite(number) or not lowest <= number <= highest or (whole and number != int(number)):
        expected = "0 or 1" if scale == "0/1" else asked_for("number") if levels is None else (
            f"a whole number from {lowest} to {highest}")
        raise InputError(f"value {quote(value)} is not on the scale; expected {expected}")
    return str(int(number)) if number == int(number) else repr(number)


def _levels(scale: str) -> tuple[int, int] | None:
    found = LEVELS.fullmatch(scale)
    return (int(found[1]), int(found[2])) if found else None
