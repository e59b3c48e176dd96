"""Preferences: rows that compare a model's output with its opponent's, seen from the candidate's side."""

import numpy as np
import pandas as pd

from migration_kit.contract.exclusions import Exclusions, names_of
from migration_kit.contract.repairs import mend_column
from migration_kit.contract.values import check_losses
from migration_kit.errors import Problems, listing, quote
from migration_kit.plan import PREFERENCE_COLUMNS, Plan
from migration_kit.readers.cells import ROW, places, row_list

KEY = ["item_id", "model", "criterion", "rater", "repeat"]
SIDES = {"left": "left", "a": "left", "1": "left", "first": "left",
         "right": "right", "b": "right", "2": "right", "second": "right"}
ACROSS = {"left": "right", "right": "left"}
AGAIN = "sides changed"


def from_candidates(
    plan: Plan,
    kept: pd.DataFrame,
    *,
    raw: pd.DataFrame,
    table: str,
    outputs: pd.DataFrame | None,
    problems: Problems,
    out: Exclusions,
) -> pd.DataFrame:
    """Turn every preference so that it says what it means for the candidate, and keep those against the incumbent.

    Parameters
    ----------
    kept : DataFrame
        Scores or held-out judgments with a value, on the plan's models and items.
    raw : DataFrame
        All rows the plan reads, of which these are some.
    outputs : DataFrame or None
        Raw outputs; where each has an `opponent`, human judgments of it that name none take that (and its `side`).

    Returns
    -------
    DataFrame
        The same columns; `opponent` and `side` only where the plan has a pairwise criterion. In a preference `model` is
        a candidate, `opponent` the incumbent, `value` above 0 where the candidate won, `side` "left" or "right", where
        the candidate's output stood, or missing. A comparison that stands twice, once from each side, is one row; one
        made again with the outputs' sides changed is another repeat.
    """
    compares = _compares(plan, kept)
    kept = _with_opponents(kept, compares, outputs)
    wrong = kept["opponent"].notna() & ~compares
    if wrong.any():
        _alone(plan, kept[wrong], problems)
    if not any(one.kind == "pairwise" for one in plan.criteria):
        return kept.drop(columns=list(PREFERENCE_COLUMNS))
    _without_opponent(plan, kept, compares, raw=raw, table=table, problems=problems)
    is_one = compares & kept["opponent"].notna()
    kept = kept.assign(side=_sides(kept, is_one, problems))
    for (under, rater), rows in kept[is_one & (kept["rater_kind"] != "human")].groupby(["criterion", "rater"]):
        told = any("column 'value'" in line and f"criterion {quote(under)}" in line for line in problems.lines)
        if not told:
            check_losses(plan, rows, f"metric {quote(rater)} of criterion {quote(under)}", raw=raw, table=table,
                         problems=problems, chosen={"criterion": under, "rater": rater})
    against = (kept["model"] == plan.incumbent) ^ (kept["opponent"] == plan.incumbent)
    both = kept["opponent"].isin(plan.model_ids) & against
    out.add_rows(table, kept[is_one & ~both], "preference not between a candidate and the incumbent")
    whole = kept[~(is_one & ~both)].reset_index(drop=True)
    turned = (whole["opponent"].notna() & (whole["model"] == plan.incumbent)).to_numpy(dtype=bool)
    whole = whole.assign(
        model=whole["model"].mask(turned, whole["opponent"]),
        opponent=whole["opponent"].mask(turned, plan.incumbent),
        value=whole["value"].where(~turned, 0.0 - whole["value"]),
        side=whole["side"].mask(turned, whole["side"].map(ACROSS)),
    )
    return _once(whole, turned, table=table, problems=problems, out=out)


def _comparing_metrics(plan: Plan) -> set[tuple[str, str]]:
    """Return (criterion its rows stand under, metric) of the metrics that only pairwise criteria use."""
    pairwise = {one.id for one in plan.criteria if one.kind == "pairwise"}
    uses = plan.metric_rows()
    alone = {(under, metric) for criterion, metric, under in uses if criterion not in pairwise}
    return {(under, metric) for _, metric, under in uses} - alone


def _compares(plan: Plan, kept: pd.DataFrame) -> pd.Series:
    """Tell which rows may name an opponent."""
    pairwise = [one.id for one in plan.criteria if one.kind == "pairwise"]
    metrics = _comparing_metrics(plan)
    human = kept["rater_kind"] == "human"
    automatic = np.zeros(len(kept), dtype=bool)
    for (under, rater), rows in kept[~human].groupby(["criterion", "rater"], sort=False).indices.items():
        automatic[np.flatnonzero(~human)[rows]] = (under, rater) in metrics
    return (human & kept["criterion"].isin(pairwise)) | automatic


def _with_opponents(kept: pd.DataFrame, compares: pd.Series, outputs: pd.DataFrame | None) -> pd.DataFrame:
    missing = pd.Series(None, index=kept.index, dtype="str")
    kept = kept.assign(**{column: kept.get(column, missing) for column in PREFERENCE_COLUMNS})
    empty = compares & (kept["rater_kind"] == "human") & kept["opponent"].isna()
    if outputs is None or "opponent" not in outputs or not empty.any():
        return kept
    known = outputs.drop_duplicates(["item_id", "model"]).set_index(["item_id", "model"])
    key = pd.MultiIndex.from_frame(kept.loc[empty, ["item_id", "model"]])
    for column in [one for one in PREFERENCE_COLUMNS if one in known]:
        kept.loc[empty, column] = known[column].reindex(key).to_numpy()
    return kept


def _alone(plan: Plan, rows: pd.DataFrame, problems: Problems) -> None:
    kinds = {one.id: one.kind for one in plan.criteria}
    uses = {under: criterion for criterion, _, under in plan.metric_rows() if kinds[criterion] != "pairwise"}
    for under, here in rows.groupby("criterion", sort=False):
        criterion = under if under in kinds else uses.get(under, under)
        scale = f"whose scale is {kinds[criterion]}" if criterion in kinds else "which is only required"
        for file, where, found in places(here, here["opponent"].notna()):
            problems.add(file, f"column 'opponent', {where}: found {quote(found['opponent'].iloc[0])} for criterion "
                               f"{quote(criterion)}, {scale}; leave it empty, or give the criterion scale: pairwise")


def _without_opponent(
    plan: Plan, kept: pd.DataFrame, compares: pd.Series, *, raw: pd.DataFrame, table: str, problems: Problems
) -> None:
    """Note human judgments of a pairwise criterion without an opponent, and metrics that name one now and then."""
    lost = compares & kept["opponent"].isna()
    human = kept["rater_kind"] == "human"
    for criterion, rows in kept[lost & human].groupby("criterion", sort=False):
        for file, where, here in places(rows, rows["value"].notna()):
            number, chosen = int(here["_table"].iloc[0]), {"criterion": criterion, "rater_kind": "human"}
            alike = raw[(raw["_table"] == number) & (raw["criterion"] == criterion)]
            if "opponent" not in alike or alike["opponent"].isna().all():
                # Metrics that compare lack it, too; those that score outputs score the incumbent's as well.
                chosen = {"criterion": criterion} if (alike["model"] != plan.incumbent).all() else chosen
            mend = mend_column(plan, raw, chosen, "opponent", {"value": plan.incumbent}, table=table, number=number)
            n = f"{len(here)} of {(compares & human & (kept['criterion'] == criterion)).sum()} human judgments"
            problems.add(file, f"column 'opponent', {where}: no opponent for criterion {quote(criterion)}, whose scale "
                               f"is pairwise ({n}); name the model the output was compared with, e.g. {mend}")
    compared = kept[compares & ~human].groupby(["criterion", "rater"], sort=False)["opponent"]
    for under, rater in [name for name, one in compared if one.notna().any() and one.isna().any()]:
        rows = kept[lost & (kept["criterion"] == under) & (kept["rater"] == rater)]
        for file, where, _ in places(rows, rows["value"].notna()):
            problems.add(file, f"column 'opponent', {where}: is empty for metric {quote(rater)} of criterion "
                               f"{quote(under)}, which names one in other rows; a metric is a preference in all rows "
                               "or in none")


def _sides(kept: pd.DataFrame, is_one: pd.Series, problems: Problems) -> pd.Series:
    side = kept["side"].str.lower()
    unknown = is_one & side.notna() & ~side.isin(list(SIDES))
    for file, where, rows in places(kept, unknown) if unknown.any() else ():
        problems.add(file, f"column 'side', {where}: found {quote(rows['side'].iloc[0])}, expected 'left' or 'right' "
                           "(or a/b, 1/2, first/second), where the output of `model` stood")
    return side.map(SIDES).where(is_one).astype("str")


def _once(
    kept: pd.DataFrame, turned: np.ndarray, *, table: str, problems: Problems, out: Exclusions
) -> pd.DataFrame:
    """Keep a comparison once when it stands from both sides; tell where the two do not agree."""
    if not turned.any():
        return kept
    codes = pd.DataFrame({column: pd.factorize(kept[column])[0] for column in KEY})
    group = codes.groupby(KEY, sort=False).ngroup().to_numpy()
    straight = pd.Series(np.flatnonzero(~turned), index=group[~turned])
    twin = straight[~straight.index.duplicated()].reindex(group[turned])
    mirror, other = np.flatnonzero(turned)[twin.notna()], twin.dropna().to_numpy(dtype=int)
    value, side = kept["value"].to_numpy(), kept["side"].fillna("").to_numpy()
    changed = (side[mirror] != side[other]) & (side[mirror] != "") & (side[other] != "")
    copy = ~changed & np.isclose(value[mirror], value[other])
    out.add_rows(table, kept.iloc[mirror[copy]], "mirrored row of a preference that stands there already")
    human = (kept["rater_kind"] == "human").to_numpy()
    against = ~changed & ~copy & human[mirror]
    for row, first in zip(mirror[against][:3], other[against][:3], strict=True):
        both = kept.iloc[[first, row]]
        where = (row_list(both[ROW]) if kept["_file"].iloc[first] == kept["_file"].iloc[row] else
                 f"row {both[ROW].iloc[0]} and {both['_file'].iloc[1]} row {both[ROW].iloc[1]}")
        problems.add(names_of(both.iloc[:1]), f"column 'value', {where}: rater {quote(both['rater'].iloc[0])} says two "
                     f"things of item {quote(both['item_id'].iloc[0])} and models "
                     f"{listing(both[['model', 'opponent']].iloc[0])}; keep one, or number them in a column 'repeat'")
    if against.sum() > 3:
        problems.add(names_of(kept.iloc[mirror[against]]), f"{against.sum() - 3} more preferences and their mirrored "
                                                           "rows do not agree")
    again = np.zeros(len(kept), dtype=bool)
    again[mirror[~copy]] = True
    kept = kept.assign(repeat=kept["repeat"].mask(again, kept["repeat"] + f" {AGAIN}"))
    return kept.drop(index=mirror[copy]).reset_index(drop=True)
