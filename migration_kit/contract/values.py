"""Values of scores: numbers, human judgments held against their scale, inclusion probabilities, values far outside."""

import numpy as np
import pandas as pd

from migration_kit.contract.exclusions import Exclusions
from migration_kit.errors import Problems, listing, quote
from migration_kit.plan import Plan
from migration_kit.plan_spec import CriterionSpec
from migration_kit.readers.cells import places
from migration_kit.readers.table import FOUND, not_a_number

FAR_OUTSIDE = 20
FEWEST_WITH_SPREAD = 10
FEWEST_WITHOUT_LOSS = 20
EXAMPLE = '{value: {from: value, map: {"1": 1, "0.5": 0, "0": -1}}}'


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


def check_judgments(plan: Plan, kept: pd.DataFrame, *, table: str, problems: Problems) -> None:
    """Note human judgments off their scale and odd inclusion probabilities.

    Parameters
    ----------
    kept : DataFrame
        Scores or held-out judgments as they came, before preferences are turned round.
    table : {"scores", "held_out"}
        Held-out judgments may be means, so only the ends of the scale bind them.
    """
    human = kept[kept["rater_kind"] == "human"]
    for criterion in plan.criteria:
        rows = human[human["criterion"] == criterion.id]
        off = _off_scale(rows["value"], criterion, means=table == "held_out") & rows[FOUND].isna()
        for file, where, wrong in places(rows, off) if off.any() else ():
            problems.add(file, f"column 'value', {where}: found {wrong['value'].iloc[0]:g} for criterion "
                               f"{quote(criterion.id)}, {_expected(criterion, wrong, table)}")
        if criterion.kind == "pairwise" and not off.any():
            check_losses(plan, rows, f"criterion {quote(criterion.id)}", table=table, problems=problems)
        if table == "scores":
            _sampled(rows, problems)
    wrong = (kept["inclusion_prob"] <= 0) | (kept["inclusion_prob"] > 1)
    for file, where, rows in places(kept, wrong) if wrong.any() else ():
        problems.add(file, f"column 'inclusion_prob', {where}: found {rows['inclusion_prob'].iloc[0]:g}, expected a "
                           "probability above 0 and up to 1")


def count_far_outside(plan: Plan, kept: pd.DataFrame, out: Exclusions) -> None:
    """Count values far outside the others of their metric, or of a criterion judged without levels; they stay.

    Far is more than 20 interquartile ranges from the median, so that a heavy tail passes and a slip of the keyboard or
    of a parser does not.
    """
    used = {(under, metric): criterion for criterion, metric, under in plan.metric_rows()}
    free = {one.id for one in plan.criteria if one.kind == "continuous"}
    for (kind, under, rater), rows in kept.assign(
        rater=kept["rater"].where(kept["rater_kind"] != "human", "")
    ).groupby(["rater_kind", "criterion", "rater"], sort=False):
        if kind == "human" and under in free:
            what = f"human judgment of {under!r}"
        elif kind != "human" and (under, rater) in used:
            what = f"metric {rater!r} of {used[under, rater]!r}"
        else:
            continue
        out.add_rows("scores", rows[far_outside(rows["value"].to_numpy(dtype=float))], f"{what} far outside, kept")


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


def check_losses(plan: Plan, rows: pd.DataFrame, what: str, *, table: str, problems: Problems) -> None:
    """Note preferences of which none is a loss: their 0 would be read as a tie.

    Parameters
    ----------
    rows : DataFrame
        The preferences of one rater or criterion as they came. A plan that maps some value to -1 is believed.
    what : str
        Whose they are, for the message.
    """
    value = rows["value"]
    if len(value) < FEWEST_WITHOUT_LOSS or (value < 0).any() or not ((value == 0) | (value % 1 != 0)).any():
        return
    for number, here in rows.groupby("_table", sort=True):
        spec = getattr(plan.data, table)[int(number)]
        maps = [one.map for one in (*spec.columns.values(), *spec.values.values()) if one.map]
        if any(-1 in one.values() for one in maps):
            continue
        file = next(places(here, here["value"].notna()))[0]
        problems.add(file, f"column 'value': {what} is pairwise, and none of {len(value)} preferences is below 0, a "
                           f"loss; expected 1 won, 0 tie, -1 lost: map it, e.g. data.{table}.{number}.columns: "
                           f'{EXAMPLE}, or where 0 is a tie, map: {{"1": 1, "0": 0, "-1": -1}}')


def _off_scale(values: pd.Series, criterion: CriterionSpec, *, means: bool) -> pd.Series:
    if not criterion.levels:
        return pd.Series(False, index=values.index)
    if means:
        return (values < criterion.levels[0]) | (values > criterion.levels[-1])
    return ~values.isin(criterion.levels)


def _expected(criterion: CriterionSpec, wrong: pd.DataFrame, table: str) -> str:
    low, high = criterion.levels[0], criterion.levels[-1]
    if table == "held_out":
        return f"expected {low:g} to {high:g} (scale {criterion.kind})"
    if criterion.kind == "binary":
        return "expected 0 or 1 (scale binary)"
    if criterion.kind == "pairwise":
        number = int(wrong["_table"].iloc[0])
        return ("expected 1 where `model` won, 0 for a tie, -1 where it lost (scale pairwise); map other values, e.g. "
                f"data.{table}.{number}.columns: {EXAMPLE}")
    between = wrong["value"].between(low, high).any()
    hint = "; give one row a rater instead of their mean, or use scale: continuous" if between else ""
    return f"expected a whole level from {low:g} to {high:g} (scale ordinal){hint}"


def _sampled(rows: pd.DataFrame, problems: Problems) -> None:
    given = rows["inclusion_prob"].notna()
    if given.any() and not given.all():
        for file, where, _ in places(rows, ~given):
            problems.add(file, f"column 'inclusion_prob', {where}: is empty while other human judgments of criterion "
                               f"{quote(rows['criterion'].iloc[0])} have one; expected all or none")
    differ = rows[given].groupby(["item_id", "model"])["inclusion_prob"].nunique() > 1
    for item, model in differ[differ].index[:3]:
        here = rows[(rows["item_id"] == item) & (rows["model"] == model)]
        for file, where, found in places(here, here["inclusion_prob"].notna()):
            problems.add(file, f"column 'inclusion_prob', {where}: item {quote(item)} of model {quote(model)} has "
                               f"several ({listing(found['inclusion_prob'].unique().tolist())}); expected the same "
                               "for all judgments of an output")
