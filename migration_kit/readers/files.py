"""Files as tables of raw cells: CSV, JSON Lines and Parquet, plain or gzipped."""

import csv
import glob
import gzip
import io
import json
import os
import re
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from migration_kit.errors import InputError, listing, quote

SUFFIXES = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".parquet")
_UNNAMED = re.compile(r"(|Unnamed: \d+|__index_level_\d+__)")


@dataclass(frozen=True)
class Source:
    """The raw cells of one file.

    Attributes
    ----------
    name : str
        The file as the plan's folder sees it.
    columns : tuple of str
        Every named column of the file.
    cells : DataFrame
        The columns asked for, at least; CSV cells are text.
    rows : ndarray of int
        Where each row stands: the line in CSV (the header is 1) and JSON Lines, the place from 1 in Parquet.
    """

    name: str
    columns: tuple[str, ...]
    cells: pd.DataFrame
    rows: np.ndarray


def find_files(path: str, *, folder: Path, key: str) -> list[Path]:
    """Return the files a table's path or glob stands for, sorted.

    Raises
    ------
    InputError
        Nothing there, only folders, or a format that is not read; names the plan key.
    """
    whole = Path(folder) / path
    where = f"{key}.path: {quote(path, 200)}"
    if whole.is_dir():
        raise InputError(f"{where} is a folder; name its files, e.g. {path.rstrip('/')}/*.csv")
    is_glob = any(sign in path for sign in "*?[") and not whole.exists()
    if not is_glob and not whole.exists():
        there = sorted(one.name for one in whole.parent.glob("*")) if whole.parent.is_dir() else None
        beside = f"the folder holds {listing(there)}" if there is not None else f"there is no folder {whole.parent}"
        raise InputError(f"{where}: there is no such file (looked for {whole}); {beside}")
    found = [Path(one) for one in sorted(glob.glob(str(whole), recursive=True))] if is_glob else [whole]
    files = [one for one in found if one.is_file()]
    if not files:
        what = "matches only folders" if found else "matches no file"
        raise InputError(f"{where} {what} (looked in {folder}); expected at least one of {', '.join(SUFFIXES)}")
    for one in files:
        if not one.name.lower().endswith(SUFFIXES):
            raise InputError(f"{where}: {one.name} has a format that is not read; expected {', '.join(SUFFIXES)}")
    return files


def shown(path: Path, folder: Path) -> str:
    """Return a file's name as the plan's folder sees it, the same on every system."""
    return Path(os.path.relpath(path, folder)).as_posix()


def read_source(path: Path, *, folder: Path, wanted: Collection[str]) -> Source:
    """Read one file; of JSON Lines and Parquet only the columns in `wanted` (or the heads of its dotted paths).

    Raises
    ------
    InputError
        Empty, broken, not UTF-8, or two columns of one name; names the file and the line.
    """
    name = shown(path, folder)
    if path.name.lower().endswith(".parquet"):
        return _parquet(path, name, wanted)
    raw = _bytes(path, name)
    is_csv = path.name.lower().endswith((".csv", ".csv.gz"))
    return csv_source(raw, name) if is_csv else _jsonl(_text(raw, name), name, wanted)


def csv_source(raw: bytes, name: str) -> Source:
    """Read the content of a CSV file, with commas or semicolons, as text; a cell that its row lacks is "".

    Raises
    ------
    InputError
        As `read_source`.
    """
    text = _text(raw, name)
    first = next(line for line in io.StringIO(text) if line.strip())
    separator = max(",;", key=lambda sign: len(next(csv.reader([first], delimiter=sign))))
    try:
        cells = pd.read_csv(
            io.StringIO(text), sep=separator, header=None, dtype="str", keep_default_na=False, skip_blank_lines=False
        )
    except pd.errors.ParserError as error:
        raise InputError(f"{name}: {_parser_words(str(error), separator)}") from None
    lines = np.arange(1, len(cells) + 1)
    if text.count("\n") > len(cells):
        inside = sum((cells[column].str.count("\n") for column in cells), start=pd.Series(0, index=cells.index))
        lines = lines + inside.cumsum().shift(fill_value=0).to_numpy()
    filled = (cells != "").any(axis=1).to_numpy()
    head = int(filled.argmax())
    columns = [str(column).strip() for column in cells.iloc[head]]
    named = _named_once(columns, name)
    keep = filled.copy()
    keep[: head + 1] = False
    cells.columns = columns
    return Source(name, named, cells.loc[keep, list(named)].reset_index(drop=True), lines[keep])


def _bytes(path: Path, name: str) -> bytes:
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if path.name.lower().endswith(".gz") else raw
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{name}: is not a whole gzip file ({error}); compress it again") from None
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror or error})") from None


def _text(raw: bytes, name: str) -> str:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(f"{name}: has the encoding UTF-16; save it as UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(f"{name}: row {line} is not UTF-8 (byte {raw[error.start]:#04x}); "
                         "save the file with the encoding UTF-8, found perhaps Latin-1 or Windows-1252") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"{name}: row {line} holds a zero byte; expected text in UTF-8, found UTF-16 or a binary file")
    if not text.strip():
        raise InputError(f"{name}: is empty; expected a table")
    return text


def _named_once(columns: list[str], name: str) -> tuple[str, ...]:
    named = [column for column in columns if not _UNNAMED.fullmatch(column)]
    twice = sorted({column for column in named if named.count(column) > 1})
    if twice:
        raise InputError(f"{name}: column {listing(twice)} stands twice; every column needs its own name")
    return tuple(named)


def _parser_words(message: str, separator: str) -> str:
    wide = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", message)
    if wide and int(wide[2]) == 2:
        return f"the header names {wide[1]} columns, but row 2 has {wide[3]} cells; name every column, once each"
    if wide:
        return (f"row {wide[2]} has {wide[3]} cells, expected {wide[1]}; "
                f"put a cell that holds {quote(separator)} in double quotes")
    opened = re.search(r"EOF inside string starting at row (\d+)", message)
    if opened:
        return f"row {int(opened[1]) + 1} opens a double quote that is never closed"
    return f"is not a CSV table ({message.strip()})"


def _asked(columns: Collection[str], wanted: Collection[str]) -> list[str]:
    """Return the columns that are wanted, or are the heads of dotted paths that are."""
    return [one for one in columns if one in wanted or any(path.startswith(f"{one}.") for path in wanted)]


def _jsonl(text: str, name: str, wanted: Collection[str]) -> Source:
    records: list[dict[str, Any]] = []
    rows: list[int] = []
    columns: dict[str, None] = {}
    # A literal NaN or Infinity stays text, so that it is refused as a value and harmless elsewhere.
    decode = json.JSONDecoder(parse_constant=str).decode
    for number, line in enumerate(text.split("\n"), start=1):
        if not line or line.isspace():
            continue
        try:
            record = decode(line)
            if "\\ud" in line or "\\uD" in line:
                # Half an emoji, where a log cut a text, cannot be written to any file.
                record = decode(json.dumps(record, ensure_ascii=False).encode(errors="replace").decode())
        except (ValueError, RecursionError) as error:
            raise InputError(f"{name}: row {number} is not JSON ({str(error).split(': line')[0]}); "
                             "expected one JSON object a line") from None
        if not isinstance(record, dict):
            raise InputError(f"{name}: row {number} is not a JSON object, found {quote(record)}; "
                             'expected {"column": value, ...}')
        records.append(record)
        rows.append(number)
        columns.update(dict.fromkeys(record))
    cells = pd.DataFrame(
        {column: pd.Series([record.get(column) for record in records], dtype=object)
         for column in _asked(columns, wanted)},
        index=range(len(records)),
    )
    return Source(name, tuple(columns), cells, np.asarray(rows, dtype=int))


def _parquet(path: Path, name: str, wanted: Collection[str]) -> Source:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.stat().st_size == 0:
        raise InputError(f"{name}: is empty; expected a table")
    try:
        columns = _named_once(pq.read_schema(path).names, name)
        needed = _asked(columns, wanted)
        table = pq.ParquetFile(path).read(columns=needed)
        # Saved pandas metadata would turn columns into an index and hide them.
        cells = table.to_pandas(ignore_metadata=True)
        count = table.num_rows
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{name}: is not a readable Parquet file ({str(error).splitlines()[0]})") from None
    return Source(name, columns, cells if needed else pd.DataFrame(index=range(count)), np.arange(1, count + 1))
