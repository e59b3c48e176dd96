"""What is left out, counted, and what is odd yet kept, told; and what every table with models must hold."""

import pandas as pd

from migration_kit.errors import Problems, did_you_mean, listing, quote
from migration_kit.plan import Plan
from migration_kit.readers.cells import FILE, ROW, places

NOTE_COLUMNS = ["criterion", "check", "text"]


class Exclusions:
    """Counts what is left out or missing, by table, model and reason; notes what is odd and kept all the same."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str, str], int] = {}
        self.told: list[tuple[str, str, str]] = []

    def add(self, table: str, model: str, reason: str, n: int) -> None:
        """Count n rows; model "" is any model."""
        if n:
            self.counts[table, model, reason] = self.counts.get((table, model, reason), 0) + int(n)

    def add_rows(self, table: str, rows: pd.DataFrame, reason: str) -> None:
        """Count rows by their model."""
        for model, n in rows["model"].value_counts().items():
            self.add(table, str(model), reason, n)

    def note(self, text: str, *, criterion: str = "", check: str = "") -> None:
        """Tell what is odd and what is done with it; with `check` it is also a failed check of that name."""
        self.told.append((criterion, check, text))

    def notes(self) -> pd.DataFrame:
        """Return criterion ("" is any), check ("" is none), text: one row a note."""
        return no_notes() if not self.told else pd.DataFrame(self.told, columns=NOTE_COLUMNS, dtype="str")

    def frame(self) -> pd.DataFrame:
        """Return table, model, reason, n: one row for each."""
        rows = [(*key, n) for key, n in sorted(self.counts.items())]
        frame = pd.DataFrame(rows, columns=["table", "model", "reason", "n"])
        return frame.astype({"table": "str", "model": "str", "reason": "str", "n": "int64"})


def no_notes() -> pd.DataFrame:
    """Return the notes of data in which nothing is odd."""
    return pd.DataFrame({column: pd.Series(dtype="str") for column in NOTE_COLUMNS})


def names_of(frame: pd.DataFrame) -> str:
    """Name the files of a table for a message."""
    files = [str(file) for file in frame[FILE].unique()]
    return files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more files"


def one_row_each(frame: pd.DataFrame, key: list[str], problems: Problems) -> None:
    """Note rows that share a key, the first three keys."""
    codes = pd.DataFrame({column: pd.factorize(frame[column])[0] for column in key})
    twice = codes.duplicated(keep=False).to_numpy()
    if not twice.any():
        return
    frame, codes = frame[twice], codes[twice]
    keys = codes.drop_duplicates()
    for _, one in keys[:3].iterrows():
        rows = frame[(codes == one).all(axis=1).to_numpy()]
        names = ", ".join(f"{column} {quote(rows[column].iloc[0])}" for column in key)
        where = " and ".join(f"{file} {where}" for file, where, _ in places(rows, rows[ROW].notna()))
        problems.add(names_of(rows), f"the key {names} stands more than once ({where}); keep one row")
    if len(keys) > 3:
        problems.add(names_of(frame), f"{len(keys) - 3} more keys stand more than once")


def check_models(plan: Plan, kept: pd.Series, *, found: pd.Series, what: str, problems: Problems) -> None:
    """Note the plan's models that have no row at all."""
    there = list(found.dropna().unique())
    keys = ["models.incumbent.id", *(f"models.candidates.{n}.id" for n in range(len(plan.candidates)))]
    have = set(kept.unique())
    for key, model in zip(keys, plan.model_ids, strict=True):
        told = any(line.startswith(f"{plan.path.name}: {key}: ") for line in problems.lines)
        if model not in have and not told:
            others = [name for name in there if name not in plan.model_ids]
            hint = did_you_mean(model, others)
            because = "it has rows, but none on the plan's items and criteria" if model in there else (
                f"the data names {listing(there)}{hint}")
            problems.add(plan.path.name, f"{key}: model {quote(model)} has no {what}; {because}")
