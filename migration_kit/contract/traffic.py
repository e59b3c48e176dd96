"""What production traffic must be: one row a slice, with its share or count."""

import numpy as np
import pandas as pd

from migration_kit.contract.exclusions import Exclusions, names_of
from migration_kit.contract.items import SLICE_JOINT
from migration_kit.errors import Problems, did_you_mean, listing, nearest, quote
from migration_kit.plan import TRAFFIC_WEIGHTS, Plan
from migration_kit.readers.cells import ROW, places, row_list


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
    spare = [one for one in columns if one not in (*plan.slices, *TRAFFIC_WEIGHTS)]
    for column in missing:
        problems.add(place, f"column {quote(column)} is missing, which the plan's slices name"
                            f"{did_you_mean(column, columns)}; found {listing(columns, 12)}; add or rename it, map it "
                            f"with traffic.columns: {{{column}: {spare[0] if len(spare) == 1 else '...'}}}, or leave "
                            "it out of slices")
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
    meant = {name: nearest(name, lost) for name in without}
    for name in without:
        problems.add(place, f"does not name slice {quote(name)}, which {here[name]} items have"
                            f"{did_you_mean(name, lost or named)}; give it a row (0 where production has none)")
    unmatched = raw["slice"].isin(set(lost) - set(meant.values()))
    for file, where, rows in places(raw, unmatched & (raw[weight] > 0)):
        name = rows["slice"].iloc[0]
        problems.add(file, f"{where}: slice {quote(name)} has traffic but no item, so nothing is known of it"
                           f"{did_you_mean(name, here.index)}; add items or leave the row out")
