"""Values of scores: numbers, human judgments held against their scale, inclusion probabilities, values far outside."""

import numpy as np
import pandas as pd

from migration_kit.contract.exclusions import Exclusions
from migration_kit.contract.repairs import mend_preferences, scale_for
from migration_kit.errors import Problems, listing, quote
from migration_kit.plan import Plan
from migration_kit.plan_spec import CriterionSpec
from migration_kit.readers.cells import places
from migration_kit.readers.table import FOUND, not_a_number

FAR_OUTSIDE = 20
SLIPS = 0.05
FEWEST_WITH_SPREAD = 10
FEWEST_WITHOUT_LOSS = 20


def keep_values(
    plan: Plan, frame: pd.DataFrame, *, table: str, problems: Problems, out: Exclusions
) -> pd.DataFrame:
    """Keep the rows with a value; note those with something else than a number."""
    wrong = frame[FOUND].notna()
    pairwise = {one.id for one in plan.criteria if one.kind == "pairwise"}
    for file, where, rows in places(frame, wrong) if wrong.any() else ():
        first = rows.iloc[0]
        words = ", e.g. {win: 1, tie: 0, loss: -1}" if first["criterion"] in pairwise else ""
        problems.add(file, f"column 'value', {where} (criterion {quote(first['criterion'])}, rater "
                           f"{quote(first['rater'])}): {not_a_number(first[FOUND], 'value')}{words}")
    empty = frame["value"].isna() & ~wrong
    out.add_rows(table, frame[empty], "empty value")
    kept = frame[~empty].reset_index(drop=True)
    repeat = kept["repeat"] if "repeat" in kept else pd.Series(None, index=kept.index, dtype="str")
    return kept.assign(repeat=repeat.fillna("0"), inclusion_prob=kept.get("inclusion_prob", np.nan))


def check_judgments(
    plan: Plan, kept: pd.DataFrame, *, raw: pd.DataFrame, table: str, problems: Problems
) -> None:
    """Note human judgments off their scale and odd inclusion probabilities.

    Parameters
    ----------
    kept : DataFrame
        Scores or held-out judgments as they came, before preferences are turned round.
    raw : DataFrame
        All rows the plan reads, of which `kept` are some.
    table : {"scores", "held_out", "live"}
        Held-out judgments may be means, so only the ends of the scale bind them.
    """
    human = kept[kept["rater_kind"] == "human"]
    for criterion in plan.criteria:
        rows = human[human["criterion"] == criterion.id]
        off = _off_scale(rows["value"], criterion, means=table == "held_out") & rows[FOUND].isna()
        for file, where, wrong in places(rows, off) if off.any() else ():
            expected = _expected(plan, criterion, wrong, rows=rows, raw=raw, table=table)
            problems.add(file, f"column 'value', {where}: found {wrong['value'].iloc[0]:g} for criterion "
                               f"{quote(criterion.id)}, {expected}")
        if criterion.kind == "pairwise" and not off.any():
            check_losses(plan, rows, f"criterion {quote(criterion.id)}", raw=raw, table=table, problems=problems,
                         chosen={"criterion": criterion.id, "rater_kind": "human"})
        if table != "held_out":
            _sampled(rows, problems)
    wrong = (kept["inclusion_prob"] <= 0) | (kept["inclusion_prob"] > 1)
    for file, where, rows in places(kept, wrong) if wrong.any() else ():
        problems.add(file, f"column 'inclusion_prob', {where}: found {rows['inclusion_prob'].iloc[0]:g}, expected a "
                           "probability above 0 and up to 1")


def far_outside(values: np.ndarray) -> np.ndarray:
    """Tell which values lie more than 20 interquartile ranges from the median; none of fewer than 10 values does.

    Parameters
    ----------
    values : ndarray of float (value,)
        Finite.
    """
    if len(values) < FEWEST_WITH_SPREAD:
        return np.zeros(len(values), dtype=bool)
    quarter, median, three = np.quantile(values, [0.25, 0.5, 0.75])
    inner, ends = np.sort(values), max(1, len(values) // 100)
    # Where more than half agree, all but the outermost hundredth tell the spread.
    spread = three - quarter or inner[-1 - ends] - inner[ends] or max(1.0, abs(median))
    return np.abs(values - median) > FAR_OUTSIDE * spread


def check_losses(
    plan: Plan, rows: pd.DataFrame, what: str, *, raw: pd.DataFrame, chosen: dict[str, str], table: str,
    problems: Problems,
) -> None:
    """Note preferences of which none is a loss: their 0 would be read as a tie, their 1 of 1 to 3 as a win.

    Parameters
    ----------
    rows : DataFrame
        The preferences of one rater or criterion as they came. A plan that maps some value to -1 is believed.
    what : str
        Whose they are, for the message.
    raw : DataFrame
        All rows the plan reads.
    chosen : dict
        The columns by which these rows are told apart from others, and what they hold.
    """
    value = rows["value"]
    if len(value) < FEWEST_WITHOUT_LOSS or (value < 0).any() or (value == 1).all():
        return
    for number, here in rows.groupby("_table", sort=True):
        spec = getattr(plan.data, table)[int(number)]
        maps = [one.map for one in (*spec.columns.values(), *spec.values.values()) if one.map]
        if any(-1 in one.values() for one in maps):
            continue
        file = next(places(here, here["value"].notna()))[0]
        mend = mend_preferences(plan, raw, chosen, table=table, number=int(number))
        tie = ', or where 0 is a tie, the same with map: {"1": 1, "0": 0, "-1": -1}' if value.isin([0, 1]).all() else ""
        problems.add(file, f"column 'value': {what} is pairwise, and none of {len(value)} preferences is below 0, a "
                           f"loss; expected 1 won, 0 tie, -1 lost; {mend}{tie}")


def _off_scale(values: pd.Series, criterion: CriterionSpec, *, means: bool) -> pd.Series:
    if not criterion.levels:
        return pd.Series(False, index=values.index)
    if means:
        return (values < criterion.levels[0]) | (values > criterion.levels[-1])
    return ~values.isin(criterion.levels)


def _expected(
    plan: Plan, criterion: CriterionSpec, wrong: pd.DataFrame, *, rows: pd.DataFrame, raw: pd.DataFrame, table: str
) -> str:
    low, high, number = criterion.levels[0], criterion.levels[-1], int(wrong["_table"].iloc[0])
    if table == "held_out":
        return (f"expected {low:g} to {high:g} (scale {criterion.kind}); held-out judgments stand on the same scale as "
                "the others")
    if criterion.kind == "pairwise":
        mend = mend_preferences(plan, raw, {"criterion": criterion.id, "rater_kind": "human"}, table=table,
                                number=number)
        return f"expected 1 where `model` won, 0 for a tie, -1 where it lost (scale pairwise); {mend}"
    asked = "0 or 1" if criterion.kind == "binary" else f"a whole level from {low:g} to {high:g}"
    expected = f"expected {asked} (scale {criterion.kind})"
    if wrong["value"].between(low, high).any():
        return f"{expected}; give one row a rater instead of their mean, or use scale: continuous"
    if len(wrong) < SLIPS * len(rows):
        return f"{expected}; correct the value or leave the cell empty"
    margin = ", with the margin in that unit" if criterion.margin else ""
    return f"{expected}; use {scale_for(rows['value'])}{margin}, or map the values in data.{table}.{number}.columns"


def _sampled(rows: pd.DataFrame, problems: Problems) -> None:
    given = rows["inclusion_prob"].notna()
    if given.any() and not given.all():
        for file, where, _ in places(rows, ~given):
            problems.add(file, f"column 'inclusion_prob', {where}: is empty while {given.sum()} other human judgments "
                               f"of criterion {quote(rows['criterion'].iloc[0])} have one; expected all or none: where "
                               "`migration-kit labels` chose items, name the table that it wrote last under "
                               "data.inclusion; else write the probability with which the item was chosen, 1 where it "
                               "was chosen for certain")
    differ = rows[given].groupby(["item_id", "model"])["inclusion_prob"].nunique() > 1
    for item, model in differ[differ].index[:3]:
        here = rows[(rows["item_id"] == item) & (rows["model"] == model)]
        for file, where, found in places(here, here["inclusion_prob"].notna()):
            problems.add(file, f"column 'inclusion_prob', {where}: item {quote(item)} of model {quote(model)} has "
                               f"several ({listing(found['inclusion_prob'].unique().tolist())}); expected the same "
                               "for all judgments of an output")
