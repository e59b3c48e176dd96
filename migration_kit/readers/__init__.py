"""Readers of logs and tables: each turns a user's own files into the kit's columns."""

from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd

from migration_kit.errors import InputError, Problems
from migration_kit.plan_spec import TableSpec
from migration_kit.readers.cells import FILE, ROW
from migration_kit.readers.table import read_table

__all__ = ["outside_where", "read_scores", "read_table", "read_tables", "stack"]


def read_tables(
    specs: Sequence[TableSpec],
    folder: Path,
    *,
    kind: str,
    known: Sequence[str] | None = None,
    numeric: Collection[str] = (),
) -> list[pd.DataFrame]:
    """Read several tables of one kind, each as `read_table` does.

    Raises
    ------
    InputError
        The problems of all tables together.
    """
    frames, problems = [], Problems()
    for number, spec in enumerate(specs):
        key = "traffic" if kind == "traffic" else f"data.{kind}.{number}"
        try:
            frames.append(read_table(spec, folder=folder, kind=kind, known=known, numeric=numeric, key=key))
        except InputError as error:
            problems.take(error)
    problems.stop()
    return frames


def read_scores(specs: Sequence[TableSpec], folder: Path, *, kind: str = "scores") -> pd.DataFrame:
    """Read tables of scores one under the other.

    Parameters
    ----------
    specs : sequence of TableSpec
    folder : Path
        Where relative paths start.
    kind : {"scores", "held_out"}

    Returns
    -------
    DataFrame
        The columns of scores that are there, `_found`, `_file`, `_row`, and `_table`, the number of the table in
        `specs`. `attrs["outside_where"]` counts the rows that no table's `where` took.

    Raises
    ------
    InputError
        As `read_table`, the problems of all tables together.
    """
    return stack(read_tables(specs, folder, kind=kind))


def stack(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put tables of one kind one under the other; `_table` is the number of the table a row comes from.

    `attrs["tables"]` holds the attributes of each.
    """
    stacked = pd.concat([frame.assign(_table=number) for number, frame in enumerate(frames)], ignore_index=True)
    stacked.attrs = {
        "outside_where": outside_where(frames),
        "columns": list(dict.fromkeys(column for frame in frames for column in frame.attrs["columns"])),
        "tables": [frame.attrs for frame in frames],
    }
    return stacked


def outside_where(frames: Sequence[pd.DataFrame]) -> int:
    """Count the rows of the files that no table's `where` took; two tables may share a file between them."""
    rows = {file: n for frame in frames for file, n in frame.attrs["rows"].items()}
    taken = pd.concat([frame[[FILE, ROW]] for frame in frames])
    return sum(rows.values()) - len(taken.drop_duplicates())
