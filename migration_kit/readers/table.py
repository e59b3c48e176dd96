"""The `table` reader: any table with columns, by the maps its plan declares."""

import math
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from migration_kit.errors import InputError, Problems, did_you_mean, listing, nearest, quote
from migration_kit.plan import (
    INCLUSION_COLUMNS,
    ITEM_COLUMNS,
    LIVE_COLUMNS,
    LIVE_REQUIRED,
    OUTPUT_COLUMNS,
    PREFERENCE_COLUMNS,
    RATER_KINDS,
    SCORE_COLUMNS,
    SCORE_REQUIRED,
    TRAFFIC_WEIGHTS,
)
from migration_kit.plan_spec import ColumnSpec, TableSpec
from migration_kit.plan_types import scalar_text
from migration_kit.readers.cells import FILE, ROW, as_ids, as_numbers, as_text, matches, places, walk
from migration_kit.readers.files import Source, find_files, read_source

FOUND = "_found"
_TEXTS = frozenset({"text", "rationale", "source"})
LARGEST = 1e15
_OPTIONAL = frozenset({"repeat", "cluster_id", *PREFERENCE_COLUMNS})
_IDS = frozenset({"item_id", "model", "criterion", "rater", "rater_kind", *_OPTIONAL})
_NEEDED = {"items": ("item_id",), "outputs": ("item_id", "model"), "traffic": (), "live": LIVE_REQUIRED,
           "inclusion": ("item_id", "inclusion_prob"),
           "scores": SCORE_REQUIRED, "held_out": SCORE_REQUIRED}
_BY_VALUES = frozenset({"criterion", "rater", "rater_kind", "value"})
_KNOWN = {"items": ITEM_COLUMNS, "outputs": (*OUTPUT_COLUMNS, *PREFERENCE_COLUMNS),
          "scores": SCORE_COLUMNS, "held_out": SCORE_COLUMNS, "live": LIVE_COLUMNS, "inclusion": INCLUSION_COLUMNS}


def read_table(
    spec: TableSpec,
    *,
    folder: Path,
    kind: str,
    known: Sequence[str] | None = None,
    numeric: Collection[str] = (),
    key: str = "",
) -> pd.DataFrame:
    """Read one table of the plan into the kit's column names.

    Parameters
    ----------
    spec : TableSpec
    folder : Path
        Where relative paths start.
    kind : {"items", "scores", "outputs", "held_out", "live", "inclusion", "traffic"}
    known : sequence of str, optional
        Columns to take when they are there; default the kit's own columns of this kind.
    numeric : collection of str
        Those of `known` that hold numbers, besides value, inclusion_prob, share and count.
    key : str
        The table's place in the plan, for messages.

    Returns
    -------
    DataFrame
        Known columns that are there, in the order of `known`. Ids are text without surrounding spaces; numbers are
        finite, within ±1e15, or missing. `_file` and `_row` say where a row stands; `_found` (scores) what stands
        where `value` is no such number. `attrs["rows"]` counts the rows of each file, `attrs["columns"]` lists its
        columns.

    Raises
    ------
    InputError
        Files missing, empty or broken; columns missing or unknown; cells that cannot be read. One problem a line.
    """
    key = key or f"data.{kind}"
    known = tuple(dict.fromkeys(known if known is not None else _KNOWN[kind]))
    sources, problems = [], Problems()
    for path in find_files(spec.path, folder=folder, key=key):
        try:
            source = read_source(path, folder=folder, wanted=_wanted(spec, known))
            _check_columns(source, spec, known=known, kind=kind, key=key)
            sources.append(source)
        except InputError as error:
            problems.take(error)
    problems.stop()
    if not sum(len(source.rows) for source in sources):
        raise InputError(f"{sources[0].name}: has columns but no rows; expected at least one row of {kind}")
    kept = _where(sources, spec, key)
    numbers = {"value", "inclusion_prob", "share", "count", *numeric}
    frames = []
    for source in kept:
        try:
            frames += _long(source, spec, known=known, numbers=numbers, kind=kind, key=key)
        except InputError as error:
            problems.take(error)
    problems.stop()
    table = pd.concat([frame for frame in frames if len(frame)], ignore_index=True)
    table = table[[column for column in (*known, FOUND, FILE, ROW) if column in table]]
    _tidy_item_ids(table)
    table.attrs = {
        "rows": {source.name: len(source.rows) for source in sources},
        "columns": list(dict.fromkeys(column for source in sources for column in source.columns)),
    }
    return table


def _wanted(spec: TableSpec, known: Sequence[str]) -> set[str]:
    mapped = {column.source for column in spec.columns.values() if column.source}
    return {*known, *mapped, *spec.where, *spec.values}


def _check_columns(source: Source, spec: TableSpec, *, known: Sequence[str], kind: str, key: str) -> None:
    problems = Problems()
    named = {f"{key}.columns.{target}": column.source for target, column in spec.columns.items() if column.source}
    named |= {f"{key}.where": column for column in spec.where} | {f"{key}.values": column for column in spec.values}
    for place, column in named.items():
        if not _head(source, column):
            problems.add(source.name, f"column {quote(column)} (asked for by {place}) is not in the file"
                                      f"{did_you_mean(column, source.columns)}; it has {listing(source.columns, 12)}")
    missing = [column for column in _needed(spec, kind) if column not in spec.columns and column not in source.columns]
    # A slice that traffic lacks is told later, and the column in its place is the same mistake.
    lacks = kind == "traffic" and not {*known} - {*TRAFFIC_WEIGHTS} <= {*source.columns}
    if kind in ("scores", "held_out", "live", "traffic") and not spec.columns and not spec.values and not lacks:
        for column in source.columns:
            if column in known or column in spec.where:
                continue
            if column == "cluster_id":
                problems.add(source.name, f"column {quote(column)} belongs in items, one value an item; put it there")
                continue
            meant = nearest(column, [*missing, *(one for one in known if one not in source.columns)])
            missing = [one for one in missing if one != meant]
            hint = f"; did you mean {quote(meant)}?" if meant else ""
            problems.add(source.name, f"column {quote(column)} is not known{hint}; expected {listing(known, 12)}, "
                                      "or say with `columns` which to read")
    for column in missing:
        problems.add(source.name, f"column {quote(column)} is missing{did_you_mean(column, source.columns)}; the file "
                                  f"has {listing(source.columns, 12)}; rename it or map it with {key}.columns")
    problems.stop()


def _needed(spec: TableSpec, kind: str) -> tuple[str, ...]:
    return tuple(one for one in _NEEDED[kind] if not spec.values or one not in _BY_VALUES)


def _head(source: Source, path: str) -> str:
    """Return the column a name or dotted path starts from, the longest that fits; "" when there is none."""
    parts = path.split(".")
    heads = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((head for head in heads if head in source.columns), "")


def _column(source: Source, path: str) -> pd.Series:
    head = _head(source, path)
    if head == path:
        return source.cells[head]
    parts = path[len(head) + 1 :].split(".")
    return pd.Series([walk(cell, parts) for cell in source.cells[head]], index=source.cells.index, dtype=object)


def _where(sources: list[Source], spec: TableSpec, key: str) -> list[Source]:
    keep = [np.ones(len(source.rows), dtype=bool) for source in sources]
    for column, wanted in spec.where.items():
        cells = [_column(source, column) for source in sources]
        masks = [np.zeros(len(source.rows), dtype=bool) for source in sources]
        for one in wanted if isinstance(wanted, tuple) else (wanted,):
            hits = [matches(values, one).to_numpy() for values in cells]
            if not any(hit.any() for hit in hits):
                there = pd.concat([as_ids(values)[0] for values in cells]).dropna().unique()
                raise InputError(f"{sources[0].name}: {key}.where.{column}: no row has {quote(one)}"
                                 f"{did_you_mean(scalar_text(one), there)}; found {listing(there, 12)}")
            masks = [mask | hit for mask, hit in zip(masks, hits, strict=True)]
        keep = [one & mask for one, mask in zip(keep, masks, strict=True)]
    if not any(mask.any() for mask in keep):
        raise InputError(f"{sources[0].name}: {key}.where leaves no row; no row fulfils {listing(spec.where)} together")
    return [
        source if mask.all() else Source(
            source.name, source.columns, source.cells[mask].reset_index(drop=True), source.rows[mask])
        for source, mask in zip(sources, keep, strict=True)
    ]


def _long(
    source: Source, spec: TableSpec, *, known: Sequence[str], numbers: set[str], kind: str, key: str
) -> list[pd.DataFrame]:
    """Return the rows of one file; a wide table gives one frame for each column of `values`."""
    problems = Problems()
    base = pd.DataFrame({FILE: source.name, ROW: source.rows})
    base[FILE] = base[FILE].astype("str")
    wide = _BY_VALUES if spec.values else ()
    for target in known:
        asked = spec.columns.get(target)
        if target in wide or (asked is None and target not in source.columns):
            continue
        cells = _mapped(source, asked or ColumnSpec(source=target), place=f"{key}.columns.{target}",
                        problems=problems)
        _put(base, target, cells, numbers=numbers, problems=problems)
    frames = [base]
    if spec.values:
        frames = []
        for column, constants in spec.values.items():
            frame = base.assign(**constants.model_dump(exclude={"map"}))
            asked = ColumnSpec(source=column, map=constants.map)
            cells = _mapped(source, asked, place=f"{key}.values.{column}", problems=problems)
            _put(frame, "value", cells, numbers=numbers, problems=problems)
            frames.append(frame)
    _check_ids(frames[0], kind, problems)
    problems.stop()
    return frames


def _mapped(source: Source, asked: ColumnSpec, *, place: str, problems: Problems) -> pd.Series:
    if asked.source is None:
        return pd.Series([asked.value] * len(source.rows), dtype=object)
    cells = _column(source, asked.source)
    if "." in asked.source and asked.source not in source.columns and len(cells) and cells.isna().all():
        problems.add(source.name, f"{place}: the path {quote(asked.source)} leads to nothing in any row")
    if asked.map is None:
        return cells
    text = as_ids(cells)[0]
    folded = text.where(~text.str.lower().isin(["true", "false"]), text.str.lower())
    folded = folded.map(lambda cell: cell if cell in asked.map else _plain_number(cell), na_action="ignore")
    unknown = text.notna() & ~folded.isin(list(asked.map))
    if unknown.any():
        at = pd.DataFrame({FILE: source.name, ROW: source.rows, "cell": text})
        for file, where, rows in places(at, unknown):
            values = rows["cell"].unique()
            problems.add(file, f"column {quote(asked.source)}, {where}: found {listing(values)}, which "
                               f"{place}.map does not name{did_you_mean(values[0], asked.map)}; "
                               f"expected one of {listing(asked.map, 12)}")
    return pd.Series([asked.map.get(one) if isinstance(one, str) else None for one in folded], dtype=object)


def _plain_number(cell: str) -> str:
    """Write 1.0, as tables with gaps hold it, as 1; other cells stay."""
    number = _number(cell)
    return cell if number is None or not math.isfinite(number) else scalar_text(number)


def _put(frame: pd.DataFrame, target: str, cells: pd.Series, *, numbers: set[str], problems: Problems) -> None:
    """Set one column of the kit from raw cells; a `value` that is no number is told later, if the plan uses its row."""
    cells = cells.reset_index(drop=True)
    if target in numbers:
        frame[target], found = as_numbers(cells)
        if (huge := frame[target].abs() > LARGEST).any():
            found[huge], frame.loc[huge, target] = cells[huge].astype("str"), float("nan")
        if target == "value":
            frame[FOUND] = found
        elif found.notna().any():
            for file, where, rows in places(frame.assign(_cell=found), found.notna()):
                problems.add(file, f"column {quote(target)}, {where}: {not_a_number(rows['_cell'].iloc[0], target)}")
    elif target in _TEXTS:
        frame[target] = as_text(cells)
    else:
        frame[target], bad = as_ids(cells)
        if bad.any():
            for file, where, _ in places(frame, bad):
                problems.add(file, f"column {quote(target)}, {where}: found a list or mapping, expected one text or "
                                   "number; reach into it with a dotted path")


def not_a_number(found: str, column: str) -> str:
    """Say what stands where a number is expected, and how to mend it."""
    low = found.lower().strip("+-")
    if low in ("nan", "na", "n/a", "none", "null", "nil", ""):
        hint = "leave the cell empty where it is missing"
    elif (number := _number(low)) is not None:
        what = f"a number beyond {LARGEST:g}" if math.isfinite(number) else "infinity"
        hint = f"{what} cannot be averaged; leave the cell empty or write the number"
    elif found.count(",") == 1 and found.replace(",", "").strip("+-").isdigit():
        hint = "write a decimal point, not a comma"
    else:
        hint = f"map words to numbers with `columns: {{{column}: {{from: ..., map: {{...}}}}}}`"
    return f"found {quote(found)}, expected a finite number; {hint}"


def _number(text: str) -> float | None:
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def _check_ids(frame: pd.DataFrame, kind: str, problems: Problems) -> None:
    for column in {"traffic": ()}.get(kind, sorted(_IDS & set(frame) - _OPTIONAL)):
        empty = frame[column].isna()
        for file, where, _ in places(frame, empty) if empty.any() else ():
            hint = ": a name for the person or the metric, any one where the person is not known" * (column == "rater")
            problems.add(file, f"column {quote(column)}, {where}: is empty; every row of {kind} needs it{hint}")
    if "rater_kind" in frame:
        wrong = frame["rater_kind"].notna() & ~frame["rater_kind"].isin(RATER_KINDS)
        for file, where, rows in places(frame, wrong) if wrong.any() else ():
            found = rows["rater_kind"].iloc[0]
            problems.add(file, f"column 'rater_kind', {where}: found {quote(found)}, expected one of "
                               f"{listing(RATER_KINDS)}{did_you_mean(found, RATER_KINDS)}")


def _tidy_item_ids(table: pd.DataFrame) -> None:
    """Undo what tools do to whole numbers with gaps: when every id ends in ".0", none means it."""
    for column in ("item_id", "cluster_id"):
        if column in table and (ids := table[column].dropna()).size and ids.str.fullmatch(r"-?\d+\.0+").all():
            table[column] = table[column].str.replace(r"\.0+$", "", regex=True)
