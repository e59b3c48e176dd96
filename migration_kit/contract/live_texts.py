"""Texts of shadow outputs, by which identical ones are known."""

import pandas as pd

from migration_kit.contract.exclusions import Exclusions, names_of
from migration_kit.errors import Problems, listing, quote
from migration_kit.readers.cells import ROW, row_list
from migration_kit.wording import counted

OUTPUT = ["item_id", "model"]


def output_texts(rows: pd.DataFrame, *, problems: Problems, out: Exclusions) -> pd.Series:
    """Return the text of every shadow output that has one, by item_id and model; it may stand on any of its rows.

    Notes outputs with several texts, and a column that cannot be of outputs because no model's text differs.
    """
    known = rows[rows["text"].notna()] if "text" in rows else rows.assign(text="").iloc[:0]
    shadow = known["stage"] == "shadow"
    for stage, here in known[~shadow].groupby("stage"):
        out.note(f"{names_of(here)}: column 'text' of {counted(len(here), 'row')} of stage {quote(stage)} is not used: "
                 "only outputs of the shadow need one.")
    known = known[shadow]
    outputs = known.drop_duplicates([*OUTPUT, "text"])
    several = outputs[outputs.duplicated(OUTPUT, keep=False)]
    for (item, model), here in list(several.groupby(OUTPUT))[:3]:
        problems.add(names_of(here), f"column 'text', {row_list(here[ROW])}: the output {quote(item)} of "
                                     f"{quote(model)} has several texts ({listing(here['text'], 3)}); expected one")
    by_item = outputs.groupby("item_id")["text"].agg(["size", "nunique"])
    compared = by_item[by_item["size"] > 1]
    if several.empty and len(compared) and (compared["nunique"] == 1).all():
        problems.add(names_of(known), f"column 'text': all models have the same text on each of "
                                      f"{counted(len(compared), 'shadow request')}; expected the text of the output. "
                                      "If it is that of the request, rename the column")
    return outputs.drop_duplicates(OUTPUT).set_index(OUTPUT)["text"]


def with_texts(rows: pd.DataFrame, texts: pd.Series) -> pd.DataFrame:
    """Put the text of its output on every shadow row; no column where no output has one."""
    rows = rows.drop(columns="text", errors="ignore")
    if texts.empty:
        return rows
    found = texts.reindex(pd.MultiIndex.from_frame(rows[OUTPUT])).to_numpy()
    return rows.assign(text=pd.Series(found, index=rows.index).where(rows["stage"] == "shadow"))
