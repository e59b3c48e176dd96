"""What is odd in valid scores and dates and stays: values far outside, two units, some sides, several probabilities."""

from itertools import permutations

import numpy as np
import pandas as pd

from migration_kit.contract.exclusions import Exclusions, names_of
from migration_kit.contract.values import far_outside
from migration_kit.errors import listing, quote
from migration_kit.plan import Plan
from migration_kit.readers.cells import ROW, places
from migration_kit.wording import counted, number

FEWEST_OF_MODEL = 10
MOSTLY = 0.75
OTHER_UNIT = 8


def note_oddities(plan: Plan, kept: pd.DataFrame, out: Exclusions) -> None:
    """Note human judgments and metrics that are valid, and so odd that somebody should look at them.

    Parameters
    ----------
    kept : DataFrame
        Scores with a value that the plan names, with `_file` and `_row`.
    """
    free = {one.id for one in plan.criteria if one.kind == "continuous"}
    human = kept[kept["rater_kind"] == "human"]
    for criterion, rows in human[human["criterion"].isin(free)].groupby("criterion", sort=False):
        _far(rows, f"human judgment of {quote(criterion)}", criterion=criterion, check="judgments are plausible",
             done="every label counts in full, so this moves all results of the criterion", out=out)
    for criterion, rows in human.groupby("criterion", sort=False):
        _several_probabilities(rows, criterion, out)
        _some_sides(rows, criterion, out)
    used = {(under, metric): criterion for criterion, metric, under in plan.metric_rows()}
    for (under, metric), rows in kept[kept["rater_kind"] != "human"].groupby(["criterion", "rater"], sort=False):
        criterion = used.get((under, metric))
        if criterion is None:
            continue
        what = f"metric {quote(metric)} of {quote(criterion)}"
        if not _units(plan, rows, what, criterion, out):
            # The check of metric values tells of these in the report.
            _far(rows, f"value of {what}", criterion=criterion, check="", done="they are kept", out=out)


def _far(
    rows: pd.DataFrame, what: str, *, criterion: str, check: str, done: str, out: Exclusions
) -> None:
    value = rows["value"].to_numpy(dtype=float)
    far = far_outside(value)
    if not far.any():
        return
    low, middle, high = np.quantile(value, [0.25, 0.5, 0.75])
    found = rows[far]
    first = found.iloc[np.abs(value[far] - middle).argmax()]
    where = ", ".join(f"{file} {where}" for file, where, _ in places(rows, pd.Series(far, index=rows.index)))
    most = f"; the furthest is row {first[ROW]}" if len(found) > 1 else ""
    n = counted(len(found), what, what.replace(" of ", "s of ", 1))
    out.note(f"{where}: {n} {'lies' if len(found) == 1 else 'lie'} far outside the others, half of which lie between "
             f"{number(low)} and {number(high)}: {first['value']:g} for model {quote(first['model'])} on item "
             f"{quote(first['item_id'])}, rater {quote(first['rater'])}{most}. {done[:1].upper()}{done[1:]}; correct "
             "what is a slip of the keyboard or an error code, or leave the row out.",
             criterion=criterion, check=check)


def _units(plan: Plan, rows: pd.DataFrame, what: str, criterion: str, out: Exclusions) -> bool:
    """Note a metric that seems to have another unit for some models, such as 0 to 100 for one and 0 to 1 for others.

    Models that differ in quality share a unit, however far apart they lie; so only what leaves no doubt counts: nearly
    all values of one model are beyond the doubled range of another's and its largest are many times as large, or one
    model's fill 0 to 1 where another's begin at 1.
    """
    values = {str(model): part.to_numpy(dtype=float) for model, part in rows.groupby("model", sort=False)["value"]}
    if not any(_other_unit(values[small], values[large]) for small, large in permutations(values, 2)):
        return False
    order = [model for model in plan.model_ids if model in values]
    told = ", ".join(f"{number(values[model].min())} to {number(values[model].max())} for {model}" for model in order)
    out.note(f"{names_of(rows)}: {what} seems to have another unit for some models: it goes from {told}. It is used as "
             "it is; bring it to one scale for all models, or no comparison of them means anything.",
             criterion=criterion, check="metrics have one unit for all models")
    return True


def _other_unit(small: np.ndarray, large: np.ndarray) -> bool:
    if min(len(small), len(large)) < FEWEST_OF_MODEL or np.ptp(small) == 0 or np.ptp(large) == 0:
        return False
    low, high, width = small.min(), small.max(), np.ptp(small)
    ends = [np.quantile(np.abs(values), 0.95) for values in (small, large)]
    beyond = np.mean((large < low - width) | (large > high + width)) >= MOSTLY
    if beyond and ends[1] > 1 and ends[1] >= OTHER_UNIT * ends[0]:
        return True
    return bool(low >= 0 and high <= 1 <= large.min() and np.mean(large > 1) >= MOSTLY)


def _several_probabilities(rows: pd.DataFrame, criterion: str, out: Exclusions) -> None:
    """Note items whose inclusion probability differs between models or raters; the kit knows one an item."""
    given = rows[rows["inclusion_prob"].notna()]
    differs = given.groupby("item_id", sort=False)["inclusion_prob"].nunique()
    items = differs.index[differs > 1]
    if not len(items):
        return
    here = given[given["item_id"] == items[0]]
    each = here.drop_duplicates("inclusion_prob")
    told = ", ".join(f"{prob:g} for {model} (row {row})" for prob, model, row in
                     zip(each["inclusion_prob"], each["model"], each[ROW], strict=True))
    out.note(f"{names_of(given[given['item_id'].isin(items)])}: column 'inclusion_prob': "
             f"{counted(len(items), 'item')} of criterion {quote(criterion)} "
             f"{'has' if len(items) == 1 else 'have'} several, e.g. item {quote(items[0])} {told}. An item counts with "
             f"the mean over its judgments ({number(here['inclusion_prob'].mean())} here), for all models. Write for "
             "every item the probability with which it was chosen, and label the same items for all models.",
             criterion=criterion, check="one inclusion probability an item")


def _some_sides(rows: pd.DataFrame, criterion: str, out: Exclusions) -> None:
    """Note human preferences that do not say on which side the output was shown, where others do."""
    if "side" not in rows:
        return
    shown = rows[rows["opponent"].notna()]
    known = shown["side"].notna()
    if not known.any() or known.all():
        return
    lost = shown[~known]
    out.note(f"{names_of(lost)}: column 'side' is empty on {len(lost)} of "
             f"{counted(len(shown), 'human preference')} of {quote(criterion)}. These count as shown on neither side: "
             "what people like about a side is not taken out of them, and the check of sides leaves them out. Write "
             "the side where it is known.", criterion=criterion)


def note_dates(plan: Plan, out: Exclusions) -> None:
    """Note an incumbent that retires by the day the decision is due."""
    retires, due = plan.models.incumbent.retires, plan.decision.due
    if retires and due and retires <= due:
        when = "on the day" if retires == due else "before"
        out.note(f"{plan.path.name}: models.incumbent.retires: {quote(plan.incumbent)} retires on {retires}, {when} "
                 f"the decision is due (decision.due: {due}). So staying is no option: where no candidate is shown to "
                 "hold the margins, the report names the least bad one. Correct the date that is wrong, or have the "
                 "decision due earlier.")


def note_unmatched(
    plan: Plan, raw: pd.DataFrame, unknown: pd.Series, *, items: pd.DataFrame, out: Exclusions
) -> None:
    """Note ids of a table that are not among the items, unless the plan chose items with `where`."""
    rows = raw[unknown]
    lost = rows["item_id"].drop_duplicates()
    if not len(lost) or any(table.where for table in plan.data.items):
        return
    out.note(f"{names_of(rows)}: {counted(len(lost), 'item_id')} ({listing(lost, 2)}) of "
             f"{counted(len(rows), 'row')} {'matches' if len(lost) == 1 else 'match'} no item; items are "
             f"{listing(items['item_id'], 2)}. These rows are left out; write ids as items does, or add the items.")


