"""What users of a canary do: outcomes within their limits, of each user with the first model met."""

import pandas as pd

from migration_kit.contract.exclusions import Exclusions, names_of, one_row_each
from migration_kit.contract.values import keep_values
from migration_kit.errors import Problems, listing, quote
from migration_kit.plan import Plan
from migration_kit.plan_live import LiveOutcomeSpec
from migration_kit.readers.cells import places
from migration_kit.wording import counted

SEVERAL = "user who met several models"


def check_canary(
    plan: Plan, rows: pd.DataFrame, *, raw: pd.DataFrame, problems: Problems, out: Exclusions
) -> pd.DataFrame:
    """Keep what users did with the first model they met; set values beyond an outcome's range to its ends, and tell so.

    Parameters
    ----------
    rows : DataFrame
        Canary rows of the plan's models and live outcomes; an empty `user` is the request itself.
    raw : DataFrame
        All live rows as read, to name their files.
    """
    kept = keep_values(plan, rows, table="live", problems=problems, out=out)
    if kept.empty:
        return kept
    user = kept["user"] if "user" in kept else pd.Series(None, index=kept.index, dtype="str")
    kept = kept.assign(user=user.where(user.notna(), kept["item_id"]))
    for outcome in plan.live_outcomes:
        here = kept["criterion"] == outcome.id
        kept.loc[here, "value"] = _within_limits(kept[here], outcome, problems=problems, out=out)
    _check_assigned(kept, problems)
    one_row_each(kept, ["item_id", "model", "criterion", "rater"], problems)
    several = _after_another(kept)
    out.add_rows("live", kept[several], SEVERAL)
    if several.any():
        out.note(f"{names_of(kept[several])}: {counted(kept.loc[several, 'user'].nunique(), 'user')} of the canary met "
                 "several models, as happens when the share of a ramp rises; what they did before they met another "
                 "counts, the rest is left out.")
    there = set(kept.loc[~several, "model"])
    if plan.incumbent not in there or not there & set(plan.candidates):
        problems.add(names_of(raw), f"stage 'canary': expected users of the incumbent {quote(plan.incumbent)} and of a "
                                    f"candidate, found {listing(sorted(there))}; a canary compares users who were "
                                    "given either at random")
    return kept[~several]


def _within_limits(
    rows: pd.DataFrame, outcome: LiveOutcomeSpec, *, problems: Problems, out: Exclusions
) -> pd.Series:
    value = rows["value"]
    if outcome.levels:
        off = ~value.isin(outcome.levels) & value.notna()
        for file, where, found in places(rows, off) if off.any() else ():
            problems.add(file, f"column 'value', {where}: found {found['value'].iloc[0]:g} for live outcome "
                               f"{quote(outcome.id)}, expected 0 or 1 (scale binary); map other values in "
                               "`columns`, or give the outcome scale: continuous")
        return value
    if outcome.limits is None:
        return value
    low, high = outcome.limits
    beyond = (value < low) | (value > high)
    if beyond.any():
        told = ", ".join(f"{file} {where}" for file, where, _ in places(rows, beyond))
        out.note(f"{told}: {counted(beyond.sum(), 'value')} of live outcome {quote(outcome.id)} "
                 f"{'lies' if beyond.sum() == 1 else 'lie'} outside its range [{low:g}, {high:g}] "
                 f"({value[beyond].min():g} to {value[beyond].max():g}) and "
                 f"{'counts' if beyond.sum() == 1 else 'count'} as the nearest end.")
    return value.clip(low, high)


def _after_another(kept: pd.DataFrame) -> pd.Series:
    """Rows from when a user met another model than his first; all of them where it is not told which came first.

    To leave out all that such a user did would take away those who come often, from the incumbent more than from the
    candidate.
    """
    begun = kept.groupby(["user", "model"])["time"].min().sort_values(kind="stable").reset_index()
    second = begun[begun.duplicated("user")].drop_duplicates("user").set_index("user")["time"]
    return kept["time"] >= second.reindex(kept["user"]).set_axis(kept.index)


def _check_assigned(kept: pd.DataFrame, problems: Problems) -> None:
    if "assigned_prob" not in kept:
        return
    given = kept["assigned_prob"].notna()
    if given.any() and not given.all():
        for file, where, _ in places(kept, ~given):
            problems.add(file, f"column 'assigned_prob', {where}: is empty while other canary rows have one; expected "
                               "all or none")
    wrong = given & ~((kept["assigned_prob"] > 0) & (kept["assigned_prob"] <= 1))
    for file, where, rows in places(kept, wrong) if wrong.any() else ():
        problems.add(file, f"column 'assigned_prob', {where}: found {rows['assigned_prob'].iloc[0]:g}, expected the "
                           "probability, above 0 and up to 1, with which the user was given this model")
