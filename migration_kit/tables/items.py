"""Tables of single items: where metric and people are far apart, and which answers people call lost."""

from collections.abc import Mapping

import pandas as pd
from great_tables import GT

from migration_kit.data import EvalData
from migration_kit.plan import CriterionSpec, Plan
from migration_kit.tables.grid import NAME, TEXT, grid
from migration_kit.wording import DASH, amount, number, short, unknown

MOST = 8
LETTERS = 160
PLAIN_WORDS = frozenset({"good", "bad", "split", "won", "level", "lost"})


def apart(table: pd.DataFrame, plan: Plan, criterion: CriterionSpec, data: EvalData) -> GT:
    """The judged outputs on which people and the primary metric differ, from `item_table.far_apart`."""
    return _grid(table, plan, criterion, data, flips=False, among=len(table),
                 title=f"Where people and the metric are farthest apart on {criterion.id}")


def lost(table: pd.DataFrame, plan: Plan, criterion: CriterionSpec, data: EvalData) -> GT:
    """The answers that people call lost, those that the primary metric did not see first, each candidate in turn."""
    rows = table[table["people_flip"] == "lost"].assign(seen=lambda lost: lost["metric_flip"] == "lost")
    rows = rows.sort_values(["seen", "disagreement"], ascending=[True, False], kind="stable")
    turn = rows.groupby(["seen", "model"]).cumcount()
    rows = rows.assign(turn=turn).sort_values(["seen", "turn"], kind="stable")
    return _grid(rows, plan, criterion, data, flips=True, among=len(rows),
                 title=f"Answers that people call lost on {criterion.id}")


def has_incumbent(table: pd.DataFrame) -> bool:
    """Tell whether the rows say anything of the incumbent's output beside that of their model."""
    return bool(table[["metric_incumbent", "people_incumbent"]].notna().any(axis=None))


def told(row: Mapping[str, object], who: str, *, beside: bool) -> str:
    """Return what "metric" or "people" say of an item: "bad", or with the incumbent first "good → bad", "4.2 → 3.1"."""
    own = _word(row[who], row[f"{who}_says"])
    return f"{_word(row[f'{who}_incumbent'], row[f'{who}_says_incumbent'])} → {own}" if beside else own


def texts_of(data: EvalData) -> pd.Series:
    """Return the outputs' texts by item and model; empty where the data hold none."""
    if "text" not in data.outputs:
        return pd.Series(dtype="object", index=pd.MultiIndex.from_arrays([[], []]))
    return data.outputs.drop_duplicates(["item_id", "model"]).set_index(["item_id", "model"])["text"].dropna()


def _grid(
    rows: pd.DataFrame, plan: Plan, criterion: CriterionSpec, data: EvalData, *, flips: bool, among: int, title: str
) -> GT:
    beside, metric = has_incumbent(rows), criterion.primary_metric
    texts = texts_of(data) if plan.report.show_texts else pd.Series(dtype="object")
    cells = []
    for row in rows.head(MOST).to_dict("records"):
        said = [row["item_id"], row["slice"], *([row["model"]] if flips else []), told(row, "people", beside=beside),
                told(row, "metric", beside=beside), *([row["metric_flip"] or DASH] if flips else [])]
        if len(texts):
            said += [short(texts.get((row["item_id"], model), DASH), LETTERS)
                     for model in ((plan.incumbent, row["model"]) if flips else (row["model"],))]
        cells.append(said)
    outputs = [(f"output of the {who}", TEXT) for who in ("incumbent", "candidate")] if flips else [("output", TEXT)]
    columns = [("item", NAME), ("slice", TEXT), *([("candidate", TEXT)] if flips else []), ("people say", TEXT),
               (f"{metric} says", TEXT), *([(f"by {metric}", TEXT)] if flips else []), *(outputs if len(texts) else [])]
    note = f"The first {amount(len(cells))} of {amount(among)}." if among > len(cells) else ""
    arrow = "An arrow leads from the incumbent's output to the candidate's." if beside else ""
    return grid(columns, cells, title=title, note=" ".join(part for part in (arrow, note) if part))


def _word(value: object, said: object) -> str:
    """A value in the word that says it best: good or bad, else the number."""
    if not said or unknown(float(value)):
        return DASH
    return str(said) if said in PLAIN_WORDS else number(float(value))
