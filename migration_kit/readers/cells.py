"""Cells of any table as ids, numbers or text; what cannot be read is told, not guessed."""

import datetime
import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

FILE, ROW = "_file", "_row"


def as_ids(values: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Read cells as ids: always text, without surrounding spaces; 12 and 12.0 are "12".

    Returns
    -------
    ids : Series of str
        Missing where the cell is empty.
    bad : Series of bool
        True where the cell holds a list or a mapping.
    """
    none = pd.Series(False, index=values.index)
    values = _typed(values)
    if isinstance(values.dtype, pd.StringDtype):
        text = values.astype("str").str.strip()
        return text.mask(text == ""), none
    if pd.api.types.is_integer_dtype(values.dtype):
        return values.astype("str"), none
    ids = [_one_id(value) for value in values]
    bad = pd.Series([one is ... for one in ids], index=values.index, dtype=bool)
    return pd.Series([None if one is ... else one for one in ids], index=values.index, dtype="str"), bad


def among(ids: pd.Series, known: pd.Series) -> pd.Series:
    """Tell which ids are among others; `Series.isin` would walk through these one by one, millions of them."""
    values = pa.array(ids)
    found = pc.is_in(values, value_set=pa.array(known, type=values.type), skip_nulls=True)
    return pd.Series(found.to_numpy(zero_copy_only=False), index=ids.index)


def as_text(values: pd.Series) -> pd.Series:
    """Read cells as text, spaces kept; missing where the cell is empty."""
    if isinstance(values.dtype, pd.StringDtype):
        return values.astype("str").mask(values == "")
    text = [None if _is_missing(value) else _decoded(value) for value in values]
    return pd.Series([one if one is None else str(one) for one in text], index=values.index, dtype="str")


def as_numbers(values: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Read cells as finite numbers; true and false are 1 and 0, numbers written as text are numbers.

    Returns
    -------
    numbers : Series of float
        Missing where the cell is empty or cannot be read.
    found : Series of str
        What stands where no finite number could be read; missing elsewhere.
    """
    values = _typed(values)
    if isinstance(values.dtype, pd.StringDtype):
        text = values.astype("str").str.strip()
        text = text.mask(text == "")
        truth = text.str.lower().map({"true": 1.0, "false": 0.0})
        numbers = pd.to_numeric(text, errors="coerce").astype(float).fillna(truth.astype(float))
        bad = text.notna() & ~np.isfinite(numbers)
    elif pd.api.types.is_numeric_dtype(values.dtype) and not isinstance(values.dtype, pd.CategoricalDtype):
        numbers = pd.Series(values.to_numpy(dtype=float, na_value=np.nan), index=values.index)
        bad = np.isinf(numbers)
    else:
        read = [_one_number(value) for value in values]
        numbers = pd.Series([np.nan if one is ... else one for one in read], index=values.index, dtype=float)
        bad = pd.Series([one is ... for one in read], index=values.index, dtype=bool)
    found = pd.Series(None, index=values.index, dtype="str")
    if bad.any():
        found[bad] = [str(value).strip() for value in values[bad]]
    return numbers.mask(bad), found


def matches(values: pd.Series, wanted: Any) -> pd.Series:
    """Tell where the cells equal a text, number or true/false of the plan."""
    if isinstance(wanted, bool):
        return (as_numbers(values)[0] == float(wanted)).astype(bool)
    if isinstance(wanted, int | float):
        return (as_numbers(values)[0] == wanted).astype(bool)
    return (as_ids(values)[0] == str(wanted).strip()).fillna(False).astype(bool)


def places(frame: pd.DataFrame, mask: pd.Series, *, shown: int = 5) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield (file, "rows 3, 8 and 2 more", the rows) for each file with offending rows, the first three files."""
    offending = frame[mask.to_numpy(dtype=bool)]
    for file in offending[FILE].unique()[:3]:
        here = offending[offending[FILE] == file].sort_values(ROW, kind="stable")
        yield str(file), row_list(here[ROW], shown=shown), here


def row_list(rows: pd.Series, *, shown: int = 5) -> str:
    """Return "row 3" or "rows 3, 8 and 2 more"."""
    numbers = list(dict.fromkeys(int(row) for row in rows[: shown * 20]))[:shown]
    more = rows.nunique() - len(numbers)
    text = ", ".join(str(number) for number in numbers)
    return f"row{'s' if len(numbers) > 1 else ''} {text}" + (f" and {more} more" if more > 0 else "")


def walk(cell: Any, parts: list[str]) -> Any:
    """Follow a dotted path into nested mappings and lists; None where it leads nowhere."""
    for part in parts:
        if isinstance(cell, dict):
            cell = cell.get(part)
        elif isinstance(cell, list | np.ndarray) and part.isdigit() and int(part) < len(cell):
            cell = cell[int(part)]
        else:
            return None
    return cell


def _typed(values: pd.Series) -> pd.Series:
    """Give Python objects of one kind the type of their kind, which is read far faster."""
    if values.dtype != object:
        return values
    kinds = set(map(type, values)) - {type(None)}
    if kinds == {str}:
        return values.astype("str")
    if kinds == {int} and values.notna().all() and max(abs(value) for value in values) < 2**63:
        return values.astype("int64")
    return values.astype(float) if kinds == {float} else values


def _is_missing(value: Any) -> bool:
    if value is None or value is pd.NA or value is pd.NaT:
        return True
    return isinstance(value, float | np.floating) and math.isnan(value)


def _decoded(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _one_id(value: Any) -> Any:
    if _is_missing(value):
        return None
    value = _decoded(value)
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    if isinstance(value, float | np.floating):
        return str(int(value)) if float(value).is_integer() else str(value)
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time(0) else value.isoformat()
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, dict | list | tuple | set | np.ndarray):
        return ...
    return str(value).strip() or None


def _one_number(value: Any) -> Any:
    if _is_missing(value):
        return np.nan
    if isinstance(value, str):
        text = value.strip()
        if not text:
            return np.nan
        if text.lower() in ("true", "false"):
            return float(text.lower() == "true")
        if "_" in text:
            return ...
    elif isinstance(value, bool | np.bool_):
        return float(value)
    elif isinstance(value, int | float | np.number | Decimal):
        text = str(value)
    else:
        return ...
    try:
        number = float(text)
    except ValueError:
        return ...
    return number if math.isfinite(number) else ...
