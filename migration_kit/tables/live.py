"""Tables of the canary and the ramp."""

from collections.abc import Callable

import pandas as pd
from great_tables import GT

from migration_kit.plan import Plan
from migration_kit.ramp import scenario_name
from migration_kit.tables.grid import NAME, NUMBER, TEXT, grid
from migration_kit.wording import DASH, chance, level, listed, percent, share, unit_of, unknown


def outcomes(estimates: pd.DataFrame, plan: Plan) -> GT:
    """Live outcomes of every model, and contrasts of the candidates; from `canary.outcome_contrasts`."""
    rows = estimates[estimates["slice"] == "all"].set_index(["criterion", "quantity", "model"])
    cells, groups = [], []
    for outcome in plan.live_outcomes:
        unit = unit_of(outcome)
        for model in plan.model_ids:
            if (outcome.id, "quality", model) not in rows.index:
                continue
            own = rows.loc[(outcome.id, "quality", model)]
            known = (outcome.id, "contrast", model) in rows.index
            delta = rows.loc[(outcome.id, "contrast", model)] if known else None
            cells.append([model, _whole(own["n_labels"]), unit.quality(own["mean"]),
                          DASH if delta is None else unit.change(delta["mean"]),
                          DASH if delta is None else unit.span(delta["lower"], delta["upper"]),
                          DASH if delta is None else chance(delta["prob_noninferior"])])
            margin = f", margin {unit.size(outcome.margin)}" if outcome.margin else ""
            groups.append(f"{outcome.id}: {unit.noun}, {outcome.better} is better ({outcome.role}{margin})")
    return grid([("model", NAME), ("users", NUMBER), ("outcome", NUMBER), ("contrast", NUMBER),
                 (level(plan.sampling.interval), TEXT), ("non-inferior", NUMBER)], cells,
                title="What users of the canary did", groups=groups,
                note="Users are the units; slices weighted by production traffic. A positive contrast is better. These "
                     "numbers are for a single look; the ramp acts on bounds that hold at every look.")


def ramp_looks(looks: pd.DataFrame, plan: Plan) -> GT:
    """The last look of every step and gate; from `ramp.ramp_look`."""
    cells, groups = [], []
    for row in looks.itertuples():
        unit = unit_of(plan.live_outcome(row.criterion))
        cells.append([share(row.share), _whole(row.days), _whole(row.users), unit.quality(row.rate),
                      unit.quality(row.rate_incumbent), unit.change(row.contrast), unit.span(row.lower, row.upper),
                      row.action])
        groups.append(f"{row.model}, {row.criterion}: {unit.contrast_axis}, margin {unit.size(row.margin)}")
    return grid([("share of users", NAME), ("days", NUMBER), ("users", NUMBER), ("candidate", NUMBER),
                 ("incumbent", NUMBER), ("contrast so far", NUMBER), ("bounds at every look", TEXT),
                 ("gate says", TEXT)], cells, title="The ramp, step by step", groups=groups,
                note="Days, users and the two outcomes are those of the step; contrast and bounds rest on all days "
                     "until its end, each compared within itself. A user counts on the first day with the outcome.")


def ramp_odds(odds: pd.DataFrame, plan: Plan) -> GT:
    """How simulated ramps end; from `ramp.simulate_ramps`."""
    cells = []
    for row in odds.to_dict("records"):
        cells.append([scenario_name(row, plan), chance(row["promoted"]),
                      _days(row["promoted_days"], row["promoted_days_90"]), chance(row["rolled_back"]),
                      _days(row["rolled_back_days"], row["rolled_back_days_90"]), chance(row["held"]),
                      _whole(row["users"]), percent(row["users_share"])])
    n = _whole(odds["replicates"].iloc[0]) if len(odds) else "0"
    return grid([("the candidate truly is", NAME), ("promoted to all", NUMBER), ("after days", TEXT),
                 ("rolled back", NUMBER), ("after days", TEXT), ("still held", NUMBER), ("users who met it", NUMBER),
                 ("of all users", NUMBER)], cells, title="What the rule of the ramp would do",
                note=f"{n} simulated ramps each, by {listed([share(step) for step in plan.ramp])} of users. Days: "
                     "median, in brackets the 90th percentile. Users who met it: mean, until the ramp was promoted to "
                     "all users, rolled back or given up; of all users of these days.")


def rollback(conditions: pd.DataFrame, plan: Plan) -> GT:
    """The numbers at which a step is rolled back or promoted; from `ramp_limits.rollback_conditions`."""
    cells, groups = [], []
    for row in conditions.itertuples():
        outcome = plan.live_outcome(row.criterion)
        unit, lower = unit_of(outcome), outcome.better == "lower"
        cells.append([share(row.share), _whole(row.days), _whole(row.users),
                      _beyond(row.roll_back, unit.quality, above=lower),
                      _beyond(row.promote, unit.quality, above=not lower)])
        groups.append(f"{row.criterion} ({unit.noun}), incumbent at {unit.quality(row.rate_incumbent)}")
    return grid([("share of users", NAME), ("days", NUMBER), ("users with the outcome", NUMBER),
                 ("roll back when", TEXT), ("promote when", TEXT)], cells, title="Roll-back conditions as numbers",
                groups=groups,
                note="For a step by itself, while the incumbent stays where it is. Between the two, hold and wait.")


def silent(rows: pd.DataFrame, plan: Plan) -> GT:
    """Users who gave no answer, and what they would have to be like; from `canary.silent_users`."""
    cells, groups = [], []
    for row in rows.itertuples():
        unit = unit_of(plan.live_outcome(row.criterion))
        cells.append([row.model, "all users" if row.slice == "all" else row.slice, _whole(row.users),
                      percent(1 - row.answered), percent(1 - row.answered_incumbent), unit.change(row.contrast),
                      percent(row.silent) if row.reachable else "no rate does it",
                      unit.change(row.gap, unit=True) if row.reachable else DASH])
        groups.append(row.criterion)
    return grid([("candidate", NAME), ("slice", TEXT), ("users", NUMBER), ("silent", NUMBER),
                 ("silent, incumbent", NUMBER), ("contrast of those who answered", NUMBER), ("tipping point", NUMBER),
                 ("from the incumbent's", NUMBER)], cells, title="Users who gave no answer", groups=groups,
                note="Tipping point: the rate among the candidate's silent users at which the contrast of all users "
                     "meets the margin, if the incumbent's silent users are like those who answered.")


def _days(median: float, late: float) -> str:
    return DASH if unknown(median) else f"{median:.0f} ({late:.0f})"


def _beyond(value: float, quality: Callable[[float], str], *, above: bool) -> str:
    return "no rate does it yet" if unknown(value) else f"{'above' if above else 'below'} {quality(value)}"


def _whole(count: float) -> str:
    return f"{count:,.0f}"
