"""What items and outputs must be before anything is computed from them."""

from collections.abc import Iterable, Sequence

import pandas as pd

from migration_kit.contract.exclusions import Exclusions, check_models, names_of, one_row_each
from migration_kit.contract.oddities import note_unmatched
from migration_kit.errors import Problems, did_you_mean, listing, quote
from migration_kit.plan import Plan
from migration_kit.readers.cells import FILE, ROW, among, places, row_list
from migration_kit.wording import counted

SLICE_JOINT = " · "
NO_SLICE = "all items"
TOTAL = "all"


def check_items(
    plan: Plan,
    frames: Sequence[pd.DataFrame],
    *,
    covariates: Iterable[str],
    outputs: pd.DataFrame | None = None,
    problems: Problems,
    out: Exclusions,
) -> pd.DataFrame:
    """Merge the tables of items and give every item its slice.

    Parameters
    ----------
    frames : sequence of DataFrame
        The first says which items there are; the others add columns to them.
    covariates : iterable of str
        Those that must stand in items, because no table of outputs has them.
    outputs : DataFrame, optional
        Raw outputs, whose columns may be near in name.

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
                                f"{did_you_mean(column, there)}; found {listing(there, 12)}; add or rename it, map it "
                                f"with data.items.0.columns: {{{column}: ...}}, or leave it out of slices")
        elif (empty := items[column].isna()).any():
            for file, where, rows in places(items, empty):
                problems.add(file, f"column {quote(column)}, {where}: the item has no slice (item_id "
                                   f"{listing(rows['item_id'], 3)}); every item needs one")
    covariates, beside = list(covariates), list(outputs.attrs["columns"]) if outputs is not None else []
    for column in covariates:
        if column not in items:
            number = next(n for n, criterion in enumerate(plan.criteria) if column in criterion.covariates)
            problems.add(plan.path.name, f"criteria.{number}.covariates: {quote(column)} is a column neither of "
                                         f"outputs nor of items{did_you_mean(column, [*beside, *there])}; items "
                                         f"have {listing(there, 12)}")
    if "cluster_id" in items and (empty := items["cluster_id"].isna()).any():
        for file, where, rows in places(items, empty):
            others = counted((~empty).sum(), "item has", "items have")
            problems.add(file, f"column 'cluster_id', {where}: is empty (item_id {listing(rows['item_id'], 3)}) while "
                               f"{others} one; an item that belongs to no conversation or document is a cluster by "
                               "itself: give it a cluster_id of its own, such as its item_id, or leave the column out "
                               "where no items belong together")
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
    unknown = ~among(frame["item_id"], items["item_id"])
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
    unknown_item = ~among(raw["item_id"], items["item_id"])
    if unknown_item.all():
        problems.add(names_of(raw), f"none of its item_ids ({listing(raw['item_id'].unique(), 3)}) is in the items "
                                    f"({listing(items['item_id'], 3)}); write them as items does, or say with "
                                    "data.outputs.0.columns: {item_id: ...} which column holds them")
    out.add("outputs", "", "outside `where`", raw.attrs["outside_where"])
    out.add_rows("outputs", raw[unknown_model], "model not in the plan")
    out.add_rows("outputs", raw[~unknown_model & unknown_item], "item not in items")
    note_unmatched(plan, raw, ~unknown_model & unknown_item, items=items, out=out)
    kept = raw[~unknown_model & ~unknown_item]
    one_row_each(kept, ["item_id", "model"], problems)
    if not unknown_item.all():
        check_models(plan, kept["model"], found=raw["model"], what="output", problems=problems)
    columns = [column for column in ("item_id", "model", *plan.covariates, "text") if column in kept]
    for column in [one for one in plan.covariates if one in kept]:
        out.add_rows("outputs", kept[kept[column].isna()], f"covariate {column!r} missing")
    return kept[columns].reset_index(drop=True)
