"""The one error of invalid input, and the words its messages share."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """The plan or the data cannot be used as they are: one problem a line, exit code 2."""


class Problems:
    """Collects what is wrong, so that a person can mend it in one go.

    Parameters
    ----------
    limit : int
        Problems shown; the rest are only counted.
    """

    def __init__(self, limit: int = 30) -> None:
        self.lines: list[str] = []
        self.limit = limit

    def add(self, place: str, text: str) -> None:
        """Note one problem: `place` is a file or a plan key, `text` what was found and what is expected."""
        self.lines.append(f"{place}: {text}")

    def take(self, error: InputError) -> None:
        """Note every line of an error already raised."""
        self.lines.extend(str(error).splitlines())

    def stop(self) -> None:
        """Raise `InputError` when there is any problem."""
        if not self.lines:
            return
        unique = list(dict.fromkeys(self.lines))
        more = len(unique) - self.limit
        raise InputError("\n".join([*unique[: self.limit], *([f"... and {more} more problems"] if more > 0 else [])]))


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """Return the valid name most like `name`, or None when none is close."""
    by_fold = {other.casefold(): other for other in list(valid)[:5000]}
    close = difflib.get_close_matches(name.casefold(), by_fold, n=1, cutoff=0.6)
    return by_fold[close[0]] if close else None


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """Return "; did you mean 'x'?", or nothing when no valid name is close."""
    found = nearest(name, valid)
    return f"; did you mean {quote(found)}?" if found is not None and found != name else ""


def quote(value: object, width: int = 60) -> str:
    """Show a value found, shortened, on one line."""
    shown = repr(value)
    return shown if len(shown) <= width else shown[: width - 3] + "..."


def listing(names: Iterable[object], limit: int = 8) -> str:
    """Show names as "'a', 'b' and 3 more"."""
    every = list(names)
    shown = ", ".join(quote(name) for name in every[:limit])
    more = len(every) - limit
    return f"{shown} and {more} more" if more > 0 else shown or "none"
