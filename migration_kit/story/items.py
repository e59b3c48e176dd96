"""Sentences on single items: where metric and people are far apart, and which lost answers the metric saw."""

from collections.abc import Collection

import pandas as pd

from migration_kit.item_table import VERDICTS
from migration_kit.label_files import LabelProgress
from migration_kit.plan import CriterionSpec
from migration_kit.wording import Said, amount, counted, listed, safe, sentence, share

HALF = 0.5


def apart(table: pd.DataFrame, criterion: CriterionSpec) -> Said:
    """On how many judged outputs people and the primary metric say the opposite; from `item_table.item_table`."""
    metric, judged = safe(criterion.primary_metric), table[table["people_says"] != ""]
    both = judged[judged["metric_says"] != ""]
    if judged.empty:
        return Said(f"Nobody has judged an output on {safe(criterion.id)}, so {metric} cannot be held against people.")
    if both["disagreement"].notna().sum() == 0:
        return Said(f"{metric} does not say by itself which output is better, so no judgment contradicts it.")
    n = counted(len(both), "judged output")
    if set(both["metric_says"]) | set(both["people_says"]) <= VERDICTS:
        wrong = both[both["metric_says"] != both["people_says"]]
        if wrong.empty:
            return Said(f"On all {n} people and {metric} say the same.")
        kind = (wrong["metric_says"] == "good").sum()
        return Said(f"On {amount(len(wrong))} of {n} ({share(len(wrong) / len(both))}) people and {metric} say the "
                    f"opposite: {amount(kind)} it calls good and people bad, {amount(len(wrong) - kind)} it calls bad "
                    "and people good.")
    far = int((both["disagreement"] > HALF).sum())
    return Said(f"Put in order by people and by {metric}, {amount(far)} of {n} ({share(far / len(both))}) lie more "
                "than half the order apart.")


def lost(table: pd.DataFrame, criterion: CriterionSpec) -> Said:
    """How many answers people call lost, and how many of them the primary metric saw."""
    metric, known = safe(criterion.primary_metric), table[table["people_flip"] != ""]
    if known.empty:
        return Said(f"Nobody has judged an item of both models on {safe(criterion.id)}, so no lost answer is known.")
    gone = known[known["people_flip"] == "lost"]
    if gone.empty:
        return Said(f"People call no answer lost among {counted(len(known), 'judged pair')} of outputs.")
    among = f"People call {counted(len(gone), 'answer')} lost among {counted(len(known), 'judged pair')} of outputs"
    if (gone["metric_flip"] == "").all():
        return Said(f"{among}; what {metric} says of them is not known.")
    seen = (gone["metric_flip"] == "lost").sum()
    missed = gone[(gone["metric_flip"] != "lost") & (gone["metric_flip"] != "")]
    if missed.empty:
        return Said(f"{among}; {metric} saw {'it' if len(gone) == 1 else 'all of them'}.")
    most = missed["model"].value_counts(sort=False)
    part = "" if len(missed) == 1 else "all of them " if len(most) == 1 else f"{amount(most.max())} of them "
    where = f", {part}with {safe(most.idxmax())}" if table["model"].nunique() > 1 else ""
    return Said(f"{among}; {metric} saw {amount(seen)} of them and missed {amount(len(missed))}{where}.")


def labelling(found: LabelProgress | None, choose: str, collect: str, *, taken: Collection[str] = ()) -> Said:
    """How far people have judged the outputs chosen last, and the command that comes next.

    `found` is from `label_files.label_progress`, `taken` from `label_collect.taken_in`.
    """
    if found is None:
        return Said(f"No outputs have been chosen for labelling yet. This command chooses them:\n\n    {choose}")
    if found.problem:
        return Said(f"The tasks in `{found.file}` cannot be used as they are: {safe(found.problem)}.")
    told = [f"{counted(found.tasks, 'task')} wait in `{found.file}`; nobody has begun."]
    if found.raters:
        parts = [f"{safe(one.rater)} has judged {amount(one.judged)}"
                 + (f" and skipped {amount(one.skipped)}" if one.skipped else "") for one in found.raters
                 if not one.problem]
        told = [f"Of {counted(found.tasks, 'task')} in `{found.file}` {listed(parts)}."] if parts else []
        told += [sentence(f"the answers of {safe(one.rater)} cannot be read: {safe(one.problem)}.")
                 for one in found.raters if one.problem]
    if taken and all(one.rater in taken or not one.judged for one in found.raters):
        return Said(f"{' '.join(told)} These answers are in the data already. This command chooses outputs anew:\n\n"
                    f"    {choose}")
    return Said(f"{' '.join(told)} This command brings the answers in:\n\n    {collect}")
