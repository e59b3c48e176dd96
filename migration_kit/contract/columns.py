"""Columns that the kit knows in another kind of table: where they stand they are not read, and that is told."""

from collections.abc import Mapping

import pandas as pd

from migration_kit.contract.exclusions import Exclusions
from migration_kit.errors import Problems, listing, quote
from migration_kit.plan import Plan

OF_SCORES = ("criterion", "rater", "rater_kind", "value", "opponent", "side", "repeat", "inclusion_prob")
HOME = dict.fromkeys(OF_SCORES, "scores") | {"cluster_id": "items"}
# Hardly a name for anything else, and left unread they would change the result.
UNMISTAKABLE = {"inclusion_prob": "on every row of a human judgment", "cluster_id": "one value an item"}


def check_columns(
    plan: Plan, raw: Mapping[str, pd.DataFrame | list[pd.DataFrame]], *, problems: Problems, out: Exclusions
) -> None:
    """Note columns of scores that stand in items or outputs, and clusters that stand elsewhere than in items.

    Parameters
    ----------
    raw : mapping
        Kind of table to the tables as read: items a list, others stacked. A file that is also read as the kind a
        column belongs to, and a column that the plan names for any table of the file, are as the user wants them.
    """
    tables = {kind: [frame.attrs for frame in raw["items"]] if kind == "items" else raw[kind].attrs["tables"]
              for kind in ("items", "outputs", "scores", "held_out") if kind in raw}
    files = {kind: {file for table in those for file in table["rows"]} for kind, those in tables.items()}
    if "inclusion" in raw:
        files["inclusion"] = {file for table in raw["inclusion"].attrs["tables"] for file in table["rows"]}
    given = {"cluster_id": any("cluster_id" in frame for frame in raw["items"]),
             "inclusion_prob": "inclusion_prob" in raw["scores"]}
    named = _named(plan, tables)
    for kind, those in tables.items():
        own = {*plan.columns_of(kind), *plan.slices}
        for table in those:
            for column in [one for one in HOME if one in table["columns"] and one not in own]:
                home = HOME[column]
                read = files[home] | (files.get("held_out", set()) if home == "scores" else set())
                read |= files.get("inclusion", set()) if column == "inclusion_prob" else set()
                here = [file for file in table["rows"] if file not in read and column not in named[file]]
                if here:
                    _tell(plan, here[0], column, kind=kind, problems=problems, out=out,
                          given=given.get(column, False))


def _named(plan: Plan, tables: Mapping[str, list[dict]]) -> dict[str, set[str]]:
    """Columns of each file that the plan reads by name."""
    named: dict[str, set[str]] = {}
    for kind, those in tables.items():
        for spec, table in zip(getattr(plan.data, kind), those, strict=True):
            sources = [*(one.source for one in spec.columns.values() if one.source), *spec.where, *spec.values]
            for file in table["rows"]:
                named.setdefault(file, set()).update(sources)
    return named


def _tell(
    plan: Plan, file: str, column: str, *, kind: str, given: bool, problems: Problems, out: Exclusions
) -> None:
    home = HOME[column]
    paths = listing((table.path for table in getattr(plan.data, home)), 2)
    where = f", {UNMISTAKABLE[column]}" if column in UNMISTAKABLE else ""
    text = f"column {quote(column)} is not read from {kind}; it belongs in {home} ({paths}){where}"
    if column not in UNMISTAKABLE or given:
        out.note(f"{file}: {text}" + (", which have it already" if given else "")
                 + ". If it is a column of your own, all is well.")
    else:
        problems.add(file, f"{text}; put it there, or rename it here if it means something else")
