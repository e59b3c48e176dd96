"""With what probability each item had been labelled, as a table of its own: it changes with every round of labels."""

import numpy as np
import pandas as pd

from migration_kit.contract.exclusions import Exclusions, one_row_each
from migration_kit.errors import Problems, did_you_mean, listing, quote
from migration_kit.plan import Plan
from migration_kit.readers.cells import among, places


def with_inclusion(
    plan: Plan, scores: pd.DataFrame, table: pd.DataFrame, *, items: pd.DataFrame, problems: Problems, out: Exclusions
) -> pd.DataFrame:
    """Put the probabilities of the table in the place of those that stand beside human judgments.

    Parameters
    ----------
    scores : DataFrame
        As read.
    table : DataFrame
        item_id, inclusion_prob, and criterion where given; without it a row is about every criterion.

    Returns
    -------
    DataFrame
        The scores with an `inclusion_prob`: that of the table where it has the item and criterion of a human judgment,
        else as it came.

    Raises
    ------
    InputError
        With all problems so far, where the table cannot be used.
    """
    known = [one.id for one in plan.criteria]
    table = table if "criterion" in table else table.merge(pd.DataFrame({"criterion": known}), how="cross")
    wrong = ~((table["inclusion_prob"] > 0) & (table["inclusion_prob"] <= 1))
    for file, where, rows in places(table, wrong) if wrong.any() else ():
        found = rows["inclusion_prob"].iloc[0]
        told = "is empty" if np.isnan(found) else f"found {found:g}"
        problems.add(file, f"column 'inclusion_prob', {where}: {told}, expected a probability above 0 and up to 1")
    unknown = ~table["criterion"].isin(known)
    for file, where, rows in places(table, unknown) if unknown.any() else ():
        name = rows["criterion"].iloc[0]
        problems.add(file, f"column 'criterion', {where}: {quote(name)} is not in the plan; it names {listing(known)}"
                           f"{did_you_mean(name, known)}")
    several = table.duplicated(["item_id", "criterion"], keep=False)
    if several.any() and table.loc[several, "_table"].nunique() > 1:
        problems.add(plan.path.name, f"data.inclusion: {listing(table.loc[several, '_file'].unique())} hold the same "
                                     "items; the table of the latest round of labels holds all of them, so name only "
                                     "that one")
    else:
        one_row_each(table, ["item_id", "criterion"], problems)
    # Without it, scores would be blamed for what is wrong here.
    problems.stop()
    out.add("inclusion", "", "item not in items", int((~among(table["item_id"], items["item_id"])).sum()))
    own = scores["inclusion_prob"] if "inclusion_prob" in scores else pd.Series(np.nan, index=scores.index)
    human = (scores["rater_kind"] == "human").to_numpy()
    chance = table.set_index(["item_id", "criterion"])["inclusion_prob"]
    given = chance.reindex(pd.MultiIndex.from_frame(scores.loc[human, ["item_id", "criterion"]])).to_numpy(dtype=float)
    own = own.to_numpy(dtype=float).copy()
    own[human] = np.where(np.isnan(given), own[human], given)
    found = scores.assign(inclusion_prob=own)
    found.attrs = scores.attrs
    return found
