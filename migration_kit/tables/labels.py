"""Tables of the label plan."""

from great_tables import GT

from migration_kit.label_plan import by_part
from migration_kit.label_prospects import AT_RANDOM, PLANNED, NextLabels
from migration_kit.label_words import says
from migration_kit.plan import Plan
from migration_kit.tables.grid import NAME, NUMBER, TEXT, grid
from migration_kit.wording import DASH, chance, share


def strata(found: NextLabels, plan: Plan) -> GT:
    """Items, labels and next labels by slice and by what the primary metric says."""
    metric, parts = plan.criterion(found.plan.criterion).primary_metric, by_part(found.plan.strata)
    cells = [[row.name if row.by == "slice" else says(row.name, metric), share(row.share), f"{row.items:,}",
              f"{row.labelled:,}", f"{row.next:,}", f"{row.at_random:.0f}"] for row in parts.itertuples()]
    return grid([("items", NAME), ("of traffic", NUMBER), ("items", NUMBER), ("judged", NUMBER), ("next", NUMBER),
                 ("at random", NUMBER)], cells,
                title=f"Which items people should judge next, for {found.plan.criterion}",
                groups=[{"slice": "by slice", "says": f"by what {metric} says"}[by] for by in parts["by"]],
                note="Judged: for the incumbent and every candidate asked about. Within a row of slice and verdict the "
                     "items are drawn at random, and the probability of each is kept.")


def assurance(found: NextLabels) -> GT:
    """Probability of a verdict by candidate and number of further items."""
    curve, cells = found.curve, []
    sizes = sorted(set(curve["labels"]) - {0})
    for model, rows in curve.groupby("model", sort=False):
        for chosen in (PLANNED, AT_RANDOM):
            of = rows[rows["chosen"] == chosen].set_index("labels")["settled"]
            cells.append([str(model), found.prospects.verdicts[str(model)], chosen,
                          *(chance(of[size]) if size in of.index else DASH for size in sizes)])
    heads = [("candidate", NAME), ("first look", TEXT), ("items are", TEXT), *((f"{size}", NUMBER) for size in sizes)]
    return grid(heads, cells, title="Probability of a verdict after so many further items",
                note="Simulated from labels and metric verdicts alone. What requirements leave open, labels do not "
                     "settle.")
