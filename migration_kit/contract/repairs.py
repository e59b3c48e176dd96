"""Lines of a plan that would mend a table: they can be put there as they stand."""

import json
import re
from typing import Any

import numpy as np
import pandas as pd

from migration_kit.plan import Plan
from migration_kit.plan_scales import MOST_LEVELS
from migration_kit.plan_spec import ColumnSpec, TableSpec
from migration_kit.plan_types import scalar_text

PLAIN = re.compile(r"[A-Za-z][\w.*/-]*")
WORDS = ("true", "false", "null")
MOST_MAPPED = 12


def mend_column(
    plan: Plan, raw: pd.DataFrame, chosen: dict[str, str], target: str, asked: dict[str, Any], *, table: str,
    number: int,
) -> str:
    """Say how the plan reads one column otherwise in some rows of a table, and all else as before.

    Parameters
    ----------
    raw : DataFrame
        All rows the plan reads of this kind of table, with `_table`.
    chosen : dict
        Which rows: columns of the kit and what they hold, each column's other values belonging to other rows.
    target : str
        The column of the kit.
    asked : dict
        What the plan is to say of it: a map, or a constant value.
    table, number
        The place of the table in the plan: data.<table>.<number>.

    Returns
    -------
    str
        Where every row of the table is one of them, `data.scores.0.columns: {...}`; else the entries that replace it.
    """
    spec = getattr(plan.data, table)[number]
    here = raw[raw["_table"] == number]
    chosen = {name: value for name, value in chosen.items() if not (here[name] == value).all()}
    sources = {name: _source(spec, name) for name in (target, *chosen)}
    column = {target: asked if "value" in asked else {"from": sources[target] or target, **asked}}
    if not spec.values and not chosen and sources[target]:
        return f"data.{table}.{number}.columns: {flow(column)}"
    if spec.values or None in sources.values():
        return (f"give these rows an entry of their own under data.{table}, with `where`, and with columns: "
                f"{flow(column)}")
    columns = {name: _written(one) for name, one in spec.columns.items()}
    where = dict(spec.where) | {sources[name]: value for name, value in chosen.items()}
    entries = [{"path": spec.path, "where": where, "columns": columns | column}]
    # The other rows: of another criterion first, then of the same one and other raters.
    held: dict[str, Any] = {}
    for name, value in chosen.items():
        same = np.logical_and.reduce([here[one] == found for one, found in held.items()] or [here[name].notna()])
        others = here.loc[same & (here[name] != value), name].unique().tolist()
        if others:
            where = dict(spec.where) | {sources[one]: found for one, found in held.items()} | {sources[name]: others}
            entries.append({"path": spec.path, "where": where} | ({"columns": columns} if columns else {}))
        held[name] = value
    return f"in place of data.{table}.{number} write " + ", ".join(flow(entry) for entry in entries)


def mend_preferences(plan: Plan, raw: pd.DataFrame, chosen: dict[str, str], *, table: str, number: int) -> str:
    """Say how the plan, or the file, makes 1 won, 0 tie and -1 lost of other preferences.

    The ends of the values found are a win and a loss, their middle is a tie. Where all preferences of the criterion
    have these ends, one entry reads them all. Values between -1 and 1 are means.
    """
    every = raw[(raw["_table"] == number) & raw["value"].notna()]
    one = every[np.logical_and.reduce([every[name] == value for name, value in chosen.items()])]
    alike = every[every["criterion"] == chosen["criterion"]]
    ends = alike.groupby(["rater_kind", "rater"])["value"].agg(["min", "max"])
    if (alike.get("opponent", pd.Series(dtype="str")).notna().all() and "opponent" in alike
            and len(ends.drop_duplicates()) == 1):
        one, chosen = alike, {"criterion": chosen["criterion"]}
    found = sorted(one["value"].unique())
    if len(found) and (found[0], found[-1]) == (-1, 1):
        return "give one row a rater instead of their mean, or correct the value"
    if 1 < len(found) <= MOST_MAPPED:
        middle = (found[0] + found[-1]) / 2
        asked = {"map": {scalar_text(float(value)): int(np.sign(value - middle)) for value in reversed(found)}}
        return f"map them: {mend_column(plan, raw, chosen, 'value', asked, table=table, number=number)}"
    share = len(found) and found[0] >= 0 and found[-1] <= 1
    return "write 2 × value − 1 in the file, where 0.5 is a tie" if share else "write them so in the file"


def scale_for(values: pd.Series) -> str:
    """Name the scale that fits judgments of a criterion with other levels."""
    low, high = values.min(), values.max()
    if (values % 1 == 0).all() and 2 <= high - low < MOST_LEVELS:
        return f"scale: {{ordinal: [{low:g}, {high:g}]}}"
    return "scale: continuous"


def flow(value: Any) -> str:
    """Write a value as YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(key)}: {flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(one) for one in value) + "]"
    if isinstance(value, str) and (not PLAIN.fullmatch(value) or value.casefold() in WORDS):
        return json.dumps(value, ensure_ascii=False)
    return value if isinstance(value, str) else json.dumps(value)


def _source(spec: TableSpec, target: str) -> str | None:
    """Return the column of the file that a column of the kit is read from as it is; None where it is made."""
    asked = spec.columns.get(target)
    if asked is None:
        return target
    return asked.source if asked.map is None else None


def _written(column: ColumnSpec) -> Any:
    told = column.model_dump(by_alias=True, exclude_none=True)
    return told["from"] if list(told) == ["from"] else told
