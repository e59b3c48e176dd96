"""Tables of the shadow: the gap between test set and live requests, metrics on the anchor set."""

import pandas as pd
from great_tables import GT

from migration_kit.plan import Plan
from migration_kit.tables.grid import NAME, NUMBER, TEXT, grid
from migration_kit.transport import seen_part
from migration_kit.wording import DASH, amount, chance, level, share, signed_number, unit_of

BY_SLICE = (" The margin is the slice margin. Every slice has a gap of its own, drawn towards 0 the more the fewer "
            "were judged there, so slices need not average to the total.")


def transport(gaps: pd.DataFrame, plan: Plan, *, by_slice: bool = False) -> GT:
    """Gap and live contrast of every candidate and criterion, in total or by slice; from `transport_gap`."""
    rows = gaps[(gaps["slice"] != "all") == by_slice]
    cells, groups, parts = [], [], {}
    for row in rows.itertuples():
        criterion = plan.criterion(row.criterion)
        parts[row.criterion] = seen_part(gaps, row.criterion)
        unit = unit_of(criterion)
        where = [row.slice] if by_slice else []
        unjudged = pd.isna(row.shadow)
        cells.append([row.model, *where, unit.change(row.offline), DASH if unjudged else unit.change(row.shadow),
                      DASH if unjudged else f"{unit.change(row.gap)} ({unit.span(row.gap_lower, row.gap_upper)})",
                      chance(row.beyond), unit.change(row.joint), unit.span(row.joint_lower, row.joint_upper),
                      amount(row.n_labels)])
        part = parts[row.criterion] if not by_slice else ""
        groups.append(f"{row.criterion}{f' in {part}' if part else ''}: {unit.contrast_axis}")
    columns = [("candidate", NAME), *([("slice", NAME)] if by_slice else []), ("promised", NUMBER),
               ("shown live", NUMBER), ("gap", TEXT), ("gap beyond margin", NUMBER), ("live contrast", NUMBER),
               (level(plan.sampling.interval), TEXT), ("judged live", NUMBER)]
    title = f"From the test set to live requests{', by slice' if by_slice else ''}"
    return grid(columns, cells, title=title, groups=groups,
                note="Gap: shown live minus promised, drawn towards 0 by what the plan expects of it. Live contrast: "
                     f"both sources joined; it decides{' there' if any(parts.values()) else ''}."
                     f"{BY_SLICE if by_slice else ''}")


def scales(table: pd.DataFrame, plan: Plan) -> GT:
    """Probability that each gate holds had the plan expected another gap; from `transport_scales.other_scales`."""
    heads = {0.5: "half", 1.0: "as planned", 2.0: "twice", float("inf"): "live alone"}
    wide = table.pivot_table(index=["criterion", "model"], columns="factor", values="probability", sort=False)
    cells = [[model, *(chance(row[factor]) for factor in heads)] for (_, model), row in wide.iterrows()]
    return grid([("candidate", NAME), *((head, NUMBER) for head in heads.values())], cells,
                title="The loss is smaller than the margin, had the plan expected another gap",
                groups=[name for name, _ in wide.index],
                note=f"As planned: a standard deviation of {100 * plan.transport_scale:g}% of what a scale can show. "
                     "Live alone: as if the test set promised nothing.")


def anchors(drift: pd.DataFrame, plan: Plan) -> GT:
    """Metrics run again on frozen outputs, from `drift.anchor_drift`."""
    cells = [[row.metric, row.model, amount(row.n), signed_number(row.shift),
              f"{signed_number(row.lower)} to {signed_number(row.upper)}", share(row.same)]
             for row in drift.itertuples()]
    return grid([("metric", NAME), ("outputs of", NAME), ("n", NUMBER), ("shift", NUMBER),
                 (level(plan.sampling.interval), TEXT), ("same value", NUMBER)], cells,
                title="Metrics run again on frozen outputs", groups=drift["criterion"].tolist(),
                note="Shift: now minus then, in standard deviations of the metric on the test set.")
