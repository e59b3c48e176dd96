"""What items, outputs and traffic must be before anything is computed from them."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from migration_kit.errors import Problems, did_you_mean, listing, quote
from migration_kit.plan import Plan
from migration_kit.readers.cells import FILE, ROW, places, row_list

SLICE_JOINT = " · "
NO_SLICE = "all items"
TOTAL = "all"


class Exclusions:
    """Counts what is left out or missing, by table, model and reason."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str, str], int] = {}

    def add(self, table: str, model: str, reason: str, n: int) -> None:
        """Count n rows; model "" is any model."""
        if n:
            self.counts[table, model, reason] = self.counts.get((table, model, reason), 0) + int(n)

    def add_rows(self, table: str, rows: pd.DataFrame, reason: str) -> None:
        """Count rows by their model."""
        for model, n in rows["model"].value_counts().items():
            self.add(table, str(model), reason, n)

    def frame(self) -> pd.DataFrame:
        """Return table, model, reason, n: one row for each."""
        rows = [(*key, n) for key, n in sorted(self.counts.items())]
        frame = pd.DataFrame(rows, columns=["table", "model", "reason", "n"])
        return frame.astype({"table": "str", "model": "str", "reason": "str", "n": "int64"})


def names_of(frame: pd.DataFrame) -> str:
    """Name the files of a table for a message."""
    files = [str(file) for file in frame[FILE].unique()]
    return files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more files"


def check_items(
    plan: Plan, frames: Sequence[pd.DataFrame], *, covariates: Iterable[str], problems: Problems, out: Exclusions
) -> pd.DataFrame:
    """Merge the tables of items and give every item its slice.

    Parameters
    ----------
    frames : sequence of DataFrame
        The first says which items there are; the others add columns to them.
    covariates : iterable of str
        Those that must stand in items, because no table of outputs has them.

    Returns
    -------
    DataFrame
        item_id, slice, slice columns, covariates, then cluster_id and text where given; one row an item.
    """
    folded = [_one_row_an_item(frame, plan, problems) for frame in frames]
    items = folded[0]
    for frame in folded[1:]:
        items = _add_columns(items, frame, problems, out)
    place = names_of(pd.concat(frames, ignore_index=True)[[FILE]])
    there = [column for frame in frames for column in frame.attrs["columns"]]
    for column in plan.slices:
        if column not in items:
            problems.add(place, f"column {quote(column)} is missing, which the plan's slices name"
                                f"{did_you_mean(column, there)}; found {listing(there, 12)}")
        elif (empty := items[column].isna()).any():
            for file, where, rows in places(items, empty):
                problems.add(file, f"column {quote(column)}, {where}: the item has no slice (item_id "
                                   f"{listing(rows['item_id'], 3)}); every item needs one")
    covariates = list(covariates)
    for column in covariates:
        if column not in items:
            number = next(n for n, criterion in enumerate(plan.criteria) if column in criterion.covariates)
            problems.add(plan.path.name, f"criteria.{number}.covariates: {quote(column)} is a column neither of "
                                         f"outputs nor of items{did_you_mean(column, there)}; items have "
                                         f"{listing(there, 12)}")
    if "cluster_id" in items and (empty := items["cluster_id"].isna()).any():
        for file, where, _ in places(items, empty):
            problems.add(file, f"column 'cluster_id', {where}: is empty; give every item its cluster or leave it out")
    problems.stop()
    named = [items[column] for column in plan.slices]
    items["slice"] = named[0].str.cat(named[1:], sep=SLICE_JOINT) if named else NO_SLICE
    items["slice"] = items["slice"].astype("str")
    if (total := items["slice"] == TOTAL).any():
        for file, where, _ in places(items, total):
            problems.add(file, f"column {quote(plan.slices[0])}, {where}: a slice may not be called {TOTAL!r}, which "
                               "stands for the total; rename it")
    if len(plan.slices) > 1 and len(items[list(plan.slices)].drop_duplicates()) != items["slice"].nunique():
        problems.add(place, f"two slices have one name once their columns are joined by {SLICE_JOINT!r}; rename one")
    columns = ["item_id", "slice", *plan.slices, *covariates, "cluster_id", "text"]
    return items[[column for column in dict.fromkeys(columns) if column in items]].reset_index(drop=True)


def _one_row_an_item(frame: pd.DataFrame, plan: Plan, problems: Problems) -> pd.DataFrame:
    twice = frame["item_id"].duplicated(keep=False)
    if not twice.any():
        return frame
    repeated = frame[twice]
    if "model" not in frame.attrs["columns"]:
        items = repeated["item_id"].unique()
        for item in items[:3]:
            rows = repeated[repeated["item_id"] == item]
            problems.add(names_of(rows), f"item_id {quote(item)} stands in {row_list(rows[ROW])}; "
                                         "expected one row an item, remove or rename the others")
        if len(items) > 3:
            problems.add(names_of(frame), f"item_id: {len(items) - 3} more items stand more than once")
        return frame.drop_duplicates("item_id")
    # One row an output, as logs often are: what is said of an item must be the same for all models.
    groups = repeated.groupby("item_id", sort=False)
    for column in [one for one in frame if one not in ("item_id", FILE, ROW)]:
        differs = groups[column].nunique(dropna=False) > 1
        if not differs.any():
            continue
        if column == "text":
            frame = frame.drop(columns="text")
            continue
        item = differs[differs].index[0]
        rows = groups.get_group(item)
        what = "slice" if column in plan.slices else "covariate" if column in plan.covariates else "cluster"
        more = f", and so have {differs.sum() - 1} more items" if differs.sum() > 1 else ""
        problems.add(names_of(rows), f"column {quote(column)}, {row_list(rows[ROW])}: item {quote(item)} has several "
                                     f"values ({listing(rows[column].unique(), 3)}){more}; the {what} of an item "
                                     "must be the same for all models")
    return frame.drop_duplicates("item_id").reset_index(drop=True)


def _add_columns(items: pd.DataFrame, frame: pd.DataFrame, problems: Problems, out: Exclusions) -> pd.DataFrame:
    unknown = ~frame["item_id"].isin(items["item_id"])
    if unknown.all():
        problems.add(names_of(frame), f"none of its item_ids ({listing(frame['item_id'], 3)}) is in "
                                      f"{names_of(items)} ({listing(items['item_id'], 3)})")
    out.add("items", "", "item not in the first table of items", int(unknown.sum()))
    other = frame.set_index("item_id").reindex(items["item_id"])
    for column in [one for one in frame if one not in ("item_id", FILE, ROW)]:
        values = other[column].set_axis(items.index)
        if column in items:
            differs = items[column].notna() & values.notna() & (items[column] != values)
            for file, where, rows in places(items, differs) if differs.any() else ():
                problems.add(file, f"column {quote(column)}, {where}: item {quote(rows['item_id'].iloc[0])} has "
                                   f"another value in {names_of(frame)}; the tables of items must agree")
            values = items[column].where(items[column].notna(), values)
        items = items.assign(**{column: values})
    return items


def check_outputs(
    plan: Plan, raw: pd.DataFrame, *, items: pd.DataFrame, problems: Problems, out: Exclusions
) -> pd.DataFrame:
    """Keep the outputs of the plan's models on its items: one row for each, with covariates and text."""
    unknown_model = ~raw["model"].isin(plan.model_ids)
    unknown_item = ~raw["item_id"].isin(items["item_id"])
    if unknown_item.all():
        problems.add(names_of(raw), f"none of its item_ids ({listing(raw['item_id'].unique(), 3)}) is in the items "
                                    f"({listing(items['item_id'], 3)})")
    out.add("outputs", "", "outside `where`", raw.attrs["outside_where"])
    out.add_rows("outputs", raw[unknown_model], "model not in the plan")
    out.add_rows("outputs", raw[~unknown_model & unknown_item], "item not in items")
    kept = raw[~unknown_model & ~unknown_item]
    one_row_each(kept, ["item_id", "model"], problems)
    if not unknown_item.all():
        check_models(plan, kept["model"], found=raw["model"], what="output", problems=problems)
    columns = [column for column in ("item_id", "model", *plan.covariates, "text") if column in kept]
    for column in [one for one in plan.covariates if one in kept]:
        out.add_rows("outputs", kept[kept[column].isna()], f"covariate {column!r} missing")
    return kept[columns].reset_index(drop=True)


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
        if model not in have:
            others = [name for name in there if name not in plan.model_ids]
            hint = did_you_mean(model, others)
            because = "it has rows, but none on the plan's items and criteria" if model in there else (
                f"the data names {listing(there)}{hint}")
            problems.add(plan.path.name, f"{key}: model {quote(model)} has no {what}; {because}")


def check_traffic(
    plan: Plan, raw: pd.DataFrame | None, *, items: pd.DataFrame, problems: Problems, out: Exclusions
) -> pd.DataFrame:
    """Return slice, share (sums to 1) and count; without a table the items stand for the traffic."""
    here = items["slice"].value_counts()
    if raw is None:
        return pd.DataFrame({"slice": here.index.astype("str"), "share": here.to_numpy() / here.sum(),
                             "count": here.to_numpy(dtype=float)})
    place, columns = names_of(raw), raw.attrs["columns"]
    missing = [column for column in plan.slices if column not in raw]
    for column in missing:
        problems.add(place, f"column {quote(column)} is missing, which the plan's slices name"
                            f"{did_you_mean(column, columns)}; found {listing(columns, 12)}")
    given = [column for column in ("share", "count") if column in raw]
    if len(given) != 1:
        problems.add(place, f"expected exactly one column of 'share' and 'count', found {listing(given)} "
                            f"(columns {listing(columns, 12)})")
    if missing or len(given) != 1:
        return pd.DataFrame()
    weight, before = given[0], len(problems.lines)
    for column in [*plan.slices, weight]:
        for file, where, _ in places(raw, raw[column].isna()):
            problems.add(file, f"column {quote(column)}, {where}: is empty; every row of traffic needs it")
    for file, where, rows in places(raw, raw[weight] < 0):
        problems.add(file, f"column {weight!r}, {where}: found {rows[weight].iloc[0]:g}, expected 0 or more")
    raw = raw.assign(slice=raw[plan.slices[0]].str.cat([raw[one] for one in plan.slices[1:]], sep=SLICE_JOINT))
    for name, rows in raw[raw["slice"].duplicated(keep=False)].groupby("slice"):
        problems.add(place, f"slice {quote(name)} stands in {row_list(rows[ROW])}; expected one row a slice")
    _match_slices(raw, here, weight=weight, place=place, problems=problems)
    total = raw[weight].sum()
    if len(problems.lines) == before and total <= 0:
        problems.add(place, f"column {weight!r} sums to {total:g}; expected some traffic")
    elif len(problems.lines) == before and weight == "share" and min(abs(total - 1), abs(total / 100 - 1)) > 0.02:
        problems.add(place, f"column 'share' sums to {total:g}, expected 1 (or 100 for percent); "
                            "if these are requests, call the column 'count'")
    out.add("traffic", "", "outside `where`", raw.attrs.get("outside_where", 0))
    traffic = raw[raw["slice"].isin(here.index)]
    weights = traffic[weight].to_numpy(dtype=float)
    count = weights if weight == "count" else np.full(len(weights), np.nan)
    share = weights / weights.sum() if weights.sum() > 0 else weights
    return pd.DataFrame({"slice": traffic["slice"].astype("str").to_numpy(), "share": share, "count": count}).astype(
        {"slice": "str"})


def _match_slices(raw: pd.DataFrame, here: pd.Series, *, weight: str, place: str, problems: Problems) -> None:
    """Note slices of items without traffic, and slices with traffic but no items: nothing is known of those."""
    named = set(raw["slice"].dropna())
    lost = sorted(named - set(here.index))
    without = [name for name in here.index if name not in named]
    if len(without) > 10:
        problems.add(place, f"does not name {len(without)} slices that items have ({listing(without)})")
        return
    for name in without:
        problems.add(place, f"does not name slice {quote(name)}, which {here[name]} items have"
                            f"{did_you_mean(name, lost)}; give it a row (0 where production has none)")
    for file, where, rows in places(raw, raw["slice"].isin(lost) & (raw[weight] > 0)):
        name = rows["slice"].iloc[0]
        problems.add(file, f"{where}: slice {quote(name)} has traffic but no item, so nothing is known of it"
                           f"{did_you_mean(name, here.index)}; add items or leave the row out")
