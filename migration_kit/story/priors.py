"""Sentences on what priors alone expect."""

import pandas as pd

from migration_kit.plan import CriterionSpec, Plan
from migration_kit.prior_predictive import at_odds
from migration_kit.wording import Said, fixed, listed, safe, unit_of


def before_after(table: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Said:
    """How wide priors alone leave quality and contrasts, and how far labels narrow them."""
    unit, model = unit_of(criterion), plan.candidates[0]
    mine = table[(table["quantity"] == "contrast") & (table["model"] == model)].set_index("when")
    before, after = mine.loc["before"], mine.loc["after"]
    width = (after["upper"] - after["lower"]) / (before["upper"] - before["lower"])
    outside = [safe(name) for name in at_odds(table[table["when"] == "before"])]
    room = (f"The mean labels of {listed(outside)} lie outside what the priors expect, so these are at odds with the "
            "data." if outside else "The mean labels of all models lie within what the priors expect.")
    return Said(f"Before any label the contrast of {safe(model)} may lie anywhere from "
                f"{unit.change(before['lower'])} to {unit.change(before['upper'], unit=True)} and is expected at "
                f"{unit.change(before['mean'])}; the labels narrow this to {fixed(width)} of its width. {room}")
