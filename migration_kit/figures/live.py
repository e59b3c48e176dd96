"""Figures of the canary and the ramp: what users did, people who keep silent, bounds day by day, what the rule does."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from migration_kit.canary import silent_rate
from migration_kit.figures.canvas import (
    INK,
    LINE,
    LOSS,
    SOFT,
    Picture,
    colours,
    hide_spare,
    markers,
    name_rows,
    picture,
    styled,
    ticks,
)
from migration_kit.figures.panels import forest, nothing
from migration_kit.plan import Plan
from migration_kit.plan_live import LiveOutcomeSpec
from migration_kit.ramp import scenario_name
from migration_kit.wording import Unit, amount, asked, chance, counted, level, listed, percent, share, short, unit_of

ENDS = {"promoted": ("promoted to all users", "#009e73"), "held": ("still held", "#b9bfc3"),
        "rolled_back": ("rolled back", LOSS)}


def outcomes(estimates: pd.DataFrame, plan: Plan, outcome: LiveOutcomeSpec) -> Picture:
    """Contrast of every candidate of the canary on one outcome, in total and by slice; from `outcome_contrasts`."""
    rows = estimates[(estimates["criterion"] == outcome.id) & (estimates["quantity"] == "contrast")]
    if rows.empty:
        return _nothing(f"No users of a candidate have {outcome.id}.")
    shade, shape = colours(plan.model_ids, incumbent=plan.incumbent), markers(plan.model_ids, incumbent=plan.incumbent)
    unit, panels = unit_of(outcome), {}
    for model in rows["model"].unique():
        mine = rows[rows["model"] == model]
        total, parts = mine[mine["slice"] == "all"], mine[mine["slice"] != "all"].sort_values("mean")
        mine = pd.concat([total, parts]) if len(parts) > 1 else total
        panels[str(model)] = mine.assign(
            label=[f"{'all users' if row.slice == 'all' else row.slice} ({row.n_labels:,})"
                   for row in mine.itertuples()],
            colour=shade[model], marker=shape[model], hollow=mine["slice"] != "all", note=mine["mean"].map(unit.change))
    figure = forest(panels, label=f"contrast with {plan.incumbent}, {unit.contrast_axis} (right is better)", unit=unit,
                    contrast=True, columns=1 if len(panels) < 2 else 2, margin=outcome.margin)
    figure.alt_text = f"Contrast of users on {outcome.id}, {unit.contrast_axis}: " + "; ".join(
        f"{model}: " + ", ".join(f"{row.label} {row.note} ({unit.span(row.lower, row.upper)})"
                                 for row in mine.itertuples()) for model, mine in panels.items()) + "."
    figure.caption = (f"What users with a candidate did, minus what users with {plan.incumbent} did, on {outcome.id} "
                      f"with {level(plan.sampling.interval)}; in brackets the candidate's users. All users: slices "
                      "weighted by production traffic. The intervals are for a single look; the ramp acts on wider "
                      "bounds.")
    return figure


@styled
def tipping_point(silent: pd.DataFrame, plan: Plan, outcome: LiveOutcomeSpec) -> Picture:
    """What users who gave no answer would have to be like for the verdict to change; from `silent_users`."""
    rows = silent[(silent["criterion"] == outcome.id) & (silent["slice"] == "all")]
    if rows.empty:
        return _nothing(f"No users of the canary lack {outcome.id}.")
    columns = min(2, len(rows))
    lines = math.ceil(len(rows) / columns)
    figure, axes = picture(0.4 + 3.1 * lines, rows=lines, columns=columns)
    shade, told = colours(plan.model_ids, incumbent=plan.incumbent), []
    grid, unit = np.linspace(0, 1, 201), unit_of(outcome)
    for number, (here, row) in enumerate(zip(axes, rows.to_dict("records"), strict=False)):
        tipping = silent_rate(row, grid, better=outcome.better)
        here.fill_between(grid, np.clip(tipping, 0, 1), 0 if outcome.better == "higher" else 1, color=LOSS, alpha=0.08,
                          linewidth=0)
        here.plot(grid, tipping, color=LOSS, linewidth=1.4, linestyle=(0, (4, 2)))
        here.plot(grid, grid, color=SOFT, linewidth=0.8)
        here.plot(row["rate_incumbent"], row["rate"], marker="o", color=shade[row["model"]], markersize=8, zorder=4)
        if row["reachable"]:
            here.plot(row["rate_incumbent"], row["silent"], marker="x", color=LOSS, markersize=8, markeredgewidth=2,
                      zorder=4)
            here.vlines(row["rate_incumbent"], *sorted((row["rate"], row["silent"])), color=LOSS, linewidth=1)
        here.set(xlim=(0, 1), ylim=(0, 1), title=short(row["model"], 44))
        here.set_aspect("equal")
        here.set_xlabel(short(f"silent users of {plan.incumbent}", 40) if number >= len(rows) - columns else "")
        here.set_ylabel("silent users of the candidate" if number % columns == 0 else "")
        for axis in (here.xaxis, here.yaxis):
            axis.set_major_locator(MaxNLocator(5))
            axis.set_major_formatter(ticks(unit, contrast=False))
        here.grid(color=LINE, linewidth=0.6)
        reached = (f"the contrast of all users meets the {_edge(row, unit)} when silent users of {row['model']} are at "
                   f"{percent(row['silent'])} and those of {plan.incumbent} at {percent(row['rate_incumbent'])}"
                   if row["reachable"] else "no rate of its silent users alone does that")
        told.append(f"{row['model']}: {percent(1 - row['answered'])} of users silent, those who answered at "
                    f"{percent(row['rate'])} against {percent(row['rate_incumbent'])}; {reached}")
    hide_spare(axes, len(rows))
    figure.alt_text = f"{outcome.id} among users who gave no answer. {'; '.join(told)}."
    figure.caption = (f"{outcome.id} among users who gave no answer, which nobody knows. In the shaded part, beyond "
                      f"the dashed line, the candidate misses the {_edge(rows.iloc[0], unit)} over all users. The "
                      "point: silent users are like those who answered. The cross: how far the candidate's alone would "
                      "have to be off. Grey line: silent users of both are alike. "
                      f"{outcome.better.capitalize()} is better.")
    return figure


@styled
def ramp(path: pd.DataFrame, plan: Plan, model: str) -> Picture:
    """Bounds of every live gate day by day for one candidate; from `ramp_path`."""
    path = path[path["model"] == model]
    gates = [gate for gate in plan.live_gates if (path["criterion"] == gate.id).any()]
    if not gates:
        return _nothing(f"No users of {model} have a live outcome that is a gate.")
    figure, axes = picture(0.5 + 2.1 * len(gates), rows=len(gates))
    shade, told = colours(plan.model_ids, incumbent=plan.incumbent)[model], []
    for here, gate in zip(axes, gates, strict=True):
        mine, unit = path[path["criterion"] == gate.id].reset_index(drop=True), unit_of(gate)
        day = (mine["day"] - path["day"].min()).dt.days + 1
        # Bounds of the first days say nothing: the axis shows where a decision falls.
        reach = 1.15 * max(4 * gate.margin, mine["contrast"].abs().max(), (mine["upper"] - mine["lower"]).iloc[-1])
        here.fill_between(day, mine["lower"], mine["upper"], color=shade, alpha=0.18, linewidth=0)
        here.plot(day, mine["contrast"], color=shade, marker="o", markersize=4, linewidth=1.6)
        for end in ("lower", "upper"):
            here.plot(day, mine[end], color=shade, linewidth=1)
        here.axhline(0, color=INK, linewidth=1)
        here.axhline(-gate.margin, color=LOSS, linewidth=1.2, linestyle=(0, (4, 2)))
        here.axhspan(-reach, -gate.margin, color=LOSS, alpha=0.05, linewidth=0)
        here.set_ylim(-reach, reach)
        _steps(here, day, mine["share"])
        here.yaxis.set_major_locator(MaxNLocator(5))
        here.yaxis.set_major_formatter(ticks(unit, contrast=True))
        here.set_ylabel(unit.contrast_axis)
        here.set_title(short(gate.id), pad=14)
        here.grid(axis="y", color=LINE, linewidth=0.6)
        last = mine.iloc[-1]
        told.append(f"{gate.id}: on day {day.iloc[-1]} at {share(last['share'])} of users "
                    f"{unit.change(last['contrast'])} (bounds {unit.span(last['lower'], last['upper'])}, margin "
                    f"{unit.change(-gate.margin)}), {last['action']}")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[-1].set_xlabel("day of the ramp")
    axes[-1].set_xlim(left=0.4)
    figure.alt_text = f"{model} minus {plan.incumbent} among users, day by day. {'; '.join(told)}."
    figure.caption = (f"{model} minus {plan.incumbent} among users until each day, up is better, with bounds that hold "
                      "at every look; above, the share of users with the candidate. A gate promotes when its lower "
                      f"bound is above the margin (dashed), with an assurance of {asked(plan.decision.assurance)} over "
                      "the whole ramp, and rolls back when its upper bound is below.")
    return figure


@styled
def ramp_odds(odds: pd.DataFrame, plan: Plan) -> Picture:
    """How ramps end under true contrasts, from `ramp.simulate_ramps`."""
    if odds.empty:
        return _nothing("Without live gates and users per day no ramp can be simulated.")
    odds = odds.reset_index(drop=True)
    figure, (axes,) = picture(0.95 + 0.42 * len(odds))
    left = np.zeros(len(odds))
    for name, (label, colour) in ENDS.items():
        axes.barh(odds.index, odds[name], left=left, height=0.62, color=colour, label=label)
        for place, value in odds[name].items():
            if value >= 0.06:
                axes.text(left[place] + value / 2, place, chance(value), ha="center", va="center", fontsize=8.5,
                          color=INK if name == "held" else "white")
        left = left + odds[name].to_numpy()
    names = [scenario_name(row, plan) for row in odds.to_dict("records")]
    name_rows(axes, names, width=34)
    axes.set_xlim(0, 1)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.4, 0), ncols=len(ENDS), frameon=False, fontsize=8)
    figure.alt_text = f"Bars of {amount(odds['replicates'].iloc[0])} simulated ramps each. " + "; ".join(
        f"{name}: " + ", ".join(f"{chance(row[end])} {label}" for end, (label, _) in ENDS.items())
        for name, row in zip(names, odds.to_dict("records"), strict=True)) + "."
    figure.caption = (f"How {counted(odds['replicates'].iloc[0], 'simulated ramp')} each end, with the plan's users, "
                      f"steps ({listed([share(step) for step in plan.ramp])}) and margins, if the candidate truly "
                      "differs by so much.")
    return figure


def _steps(axes: Axes, day: pd.Series, shares: pd.Series) -> None:
    """Name the share of users above the days on which it began."""
    for place in np.flatnonzero(shares != shares.shift()):
        axes.axvline(day[place] - 0.5, color=SOFT, linewidth=0.6, linestyle=":")
        axes.text(day[place] - 0.45, 1.01, share(shares[place]), transform=axes.get_xaxis_transform(), va="bottom",
                  fontsize=7.5, color=SOFT)


def _edge(row: dict | pd.Series, unit: Unit) -> str:
    return "line of no difference" if pd.isna(row["margin"]) else f"margin of {unit.size(row['margin'])}"


def _nothing(text: str) -> Picture:
    figure = nothing()
    figure.alt_text = figure.caption = text
    return figure
