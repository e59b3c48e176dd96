"""The ramp: from a few users to all of them, by bounds that hold however often people look.

At every look a live gate says ``promote`` when its lower bound is above −margin, ``roll back`` when its upper bound is
below it, else ``hold``. All gates must say promote; one is enough to roll back. The lower bound of each gate may err
with probability 1 − assurance over the whole ramp, so a candidate that misses a margin is promoted at most so often;
the upper bounds share that probability among the gates, so a candidate that keeps all margins is rolled back at most so
often.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from migration_kit.plan import Plan
from migration_kit.plan_live import LiveOutcomeSpec
from migration_kit.sequences import Arm, Evidence, after_day, every_day, lower_bound, no_evidence
from migration_kit.wording import unit_of

PROMOTE, HOLD, ROLL_BACK, DONE = "promote", "hold", "roll back", "done"
MOST_DAYS = 28
WORSE, BETTER = -0.05, 0.03
ROUNDING = 1e-9
PATH_COLUMNS = (
    "model", "criterion", "day", "share", "days", "users", "users_incumbent", "rate", "rate_incumbent", "contrast",
    "lower", "upper", "margin", "action")
ODDS_COLUMNS = (
    "scenario", "criterion", "contrast", "margin", "worse", "replicates", "promoted", "rolled_back", "held", "users",
    "users_share", "promoted_days", "promoted_days_90", "rolled_back_days", "rolled_back_days_90")


def errors(plan: Plan) -> tuple[float, float]:
    """Return how often, over a whole ramp, the lower and the upper bound of one gate may err."""
    spare = 1 - plan.decision.assurance
    return spare, spare / max(len(plan.live_gates), 1)


def ramp_path(counts: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Bounds and action of every gate at the end of every day, from all days until then.

    Parameters
    ----------
    counts : DataFrame
        From `canary_users.ramp_counts`.

    Returns
    -------
    DataFrame
        Columns `PATH_COLUMNS`: days and users are those of the step (share) so far, rates of that step in the outcome's
        own unit, contrast (weighted mean of daily differences over all days, as bounded), lower and upper positive
        where the candidate is better, in the outcome's own unit.
    """
    promote_error, back_error = errors(plan)
    parts = []
    for (_, name), part in counts.groupby(["model", "criterion"], sort=False):
        outcome, part = plan.live_outcome(name), part.reset_index(drop=True)
        low, high = outcome.limits
        width = high - low
        new, old = _arms(part)
        up, down = every_day(new, old), every_day(new.flipped(), old.flipped())
        # Whether a bound is beyond the margin is asked of the evidence itself, as the simulation does.
        held, lost = verdicts(up, down, outcome, promote_error, back_error)
        contrast = up.drift / np.where(up.weight > 0, up.weight, np.nan)
        step = (part["share"] != part["share"].shift()).cumsum()
        sums = part.groupby(step)[["n", "total", "n_incumbent", "total_incumbent"]].cumsum()
        rates = {end: own_unit(sums[f"total{end}"] / sums[f"n{end}"].where(sums[f"n{end}"] > 0), outcome)
                 for end in ("", "_incumbent")}
        parts.append(part[["model", "criterion", "day", "share"]].assign(
            days=part.groupby(step)["day"].transform(lambda days: days.rank(method="dense")).astype(int),
            users=sums["n"], users_incumbent=sums["n_incumbent"], rate=rates[""],
            rate_incumbent=rates["_incumbent"], contrast=width * contrast,
            lower=width * lower_bound(up, error=promote_error), upper=-width * lower_bound(down, error=back_error),
            margin=outcome.margin, action=np.where(lost, ROLL_BACK, np.where(held, PROMOTE, HOLD))))
    return pd.concat(parts, ignore_index=True)[list(PATH_COLUMNS)] if parts else pd.DataFrame(columns=PATH_COLUMNS)


def ramp_look(counts: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """The last look of every step and gate; columns as `ramp_path`."""
    path = ramp_path(counts, plan)
    return path.drop_duplicates(["model", "criterion", "share"], keep="last").reset_index(drop=True)


@dataclass(frozen=True)
class RampAction:
    """What to do with a candidate now.

    Attributes
    ----------
    action : {"promote", "hold", "roll back", "done"}
    share, next_share : float
        Share of users with the candidate now, and after promotion.
    days : int
        On this step so far.
    gates : dict
        Gate to its own action; "" where it has no data.
    """

    model: str
    action: str
    share: float
    next_share: float
    days: int
    gates: dict[str, str]


def ramp_actions(looks: pd.DataFrame, plan: Plan, *, split_as_planned: bool | None = True) -> list[RampAction]:
    """What to do with every candidate of the canary.

    Parameters
    ----------
    looks : DataFrame
        From `ramp_look`.
    split_as_planned : bool, optional
        From `canary.sample_ratio_check`; where it failed, nothing is promoted.
    """
    found = []
    for model, part in looks.groupby("model", sort=False):
        last = part.loc[part.sort_values("day", kind="stable").groupby("criterion")["day"].idxmax()]
        now = last.set_index("criterion")
        gates = {gate.id: str(now.loc[gate.id, "action"]) if gate.id in now.index else "" for gate in plan.live_gates}
        place = now["day"].idxmax()
        share, days = float(now.loc[place, "share"]), int(now.loc[place, "days"])
        later = [step for step in plan.ramp if step > share + ROUNDING]
        together = joint_action(gates.values())
        if together == PROMOTE and split_as_planned is False:
            together = HOLD
        if together != ROLL_BACK and not later:
            together = DONE
        found.append(RampAction(str(model), together, share, later[0] if later else 1.0, days, gates))
    return found


def joint_action(gates: Mapping | list | tuple) -> str:
    """One gate is enough to roll back, all are needed to promote."""
    said = list(gates)
    if ROLL_BACK in said:
        return ROLL_BACK
    return PROMOTE if said and all(one == PROMOTE for one in said) else HOLD


def verdicts(
    up: Evidence, down: Evidence, outcome: LiveOutcomeSpec, promote_error: float, back_error: float
) -> tuple[np.ndarray, np.ndarray]:
    """Whether the lower bound is above −margin, and whether the upper bound is below it."""
    margin = outcome.margin / (outcome.limits[1] - outcome.limits[0])
    return up.log_e(-margin) >= -np.log(promote_error), down.log_e(margin) >= -np.log(back_error)


def simulate_ramps(
    plan: Plan, rates: pd.DataFrame, *, seed: int, replicates: int = 2000, most_days: int = MOST_DAYS,
    contrasts: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """How often the rule of the ramp is right and wrong, simulated with the plan's own users and margins.

    Every day ``users_per_day`` users come for the first time and are looked at once, in the evening; after a day that
    says promote the next step begins. Outcomes of different gates are independent of each other.

    Parameters
    ----------
    plan : Plan
        With live gates and `traffic.users_per_day`.
    rates : DataFrame
        From `canary_users.base_rates`.
    most_days : int
        A ramp that has not ended by then is held.
    contrasts : mapping, optional
        Name of a scenario to the true contrast, positive is better, as a share of an outcome's limits (points of a
        rate); NaN stands for −margin. Default: 5 points worse, worse by the margin, no difference, 3 points better.

    Returns
    -------
    DataFrame
        Columns `ODDS_COLUMNS`; one row a scenario and gate that alone differs by it ("" where none differs). contrast
        is in the outcome's own unit, as far as its limits allow, worse whether it misses the margin. promoted (to all
        users), rolled_back and held are shares of replicates; users the mean number of users who had the candidate
        until the ramp was promoted to all, rolled back or given up, users_share their share of all users of these
        days. Days are the median and the 90th percentile over ramps that ended so; NaN where none did. Empty without
        gates or users per day.
    """
    if not plan.live_gates or not plan.traffic or plan.traffic.users_per_day is None:
        return pd.DataFrame(columns=list(ODDS_COLUMNS))
    if contrasts is None:
        contrasts = {"much worse": WORSE, "worse by the margin": np.nan, "no difference": 0.0, "better": BETTER}
    rng, rows = np.random.default_rng(seed), []
    for scenario, shift in contrasts.items():
        for gate in plan.live_gates if shift != 0 else plan.live_gates[:1]:
            width = gate.limits[1] - gate.limits[0]
            wanted = -gate.margin if np.isnan(shift) else shift * width
            shifts = {gate.id: true_contrast(gate, rates, wanted)}
            found = _simulate(plan, rates, shifts, replicates=replicates, most_days=most_days, rng=rng)
            contrast = shifts[gate.id]
            rows.append({"scenario": scenario, "criterion": gate.id if shift != 0 else "", "contrast": contrast,
                         "margin": gate.margin, "worse": contrast <= -gate.margin + ROUNDING,
                         "replicates": replicates, **found})
    return pd.DataFrame(rows, columns=list(ODDS_COLUMNS))


def true_contrast(outcome: LiveOutcomeSpec, rates: pd.DataFrame, wanted: float) -> float:
    """A contrast, positive is better, cut to what the outcome's limits leave room for."""
    sign, mean = (1 if outcome.better == "higher" else -1), float(rates.loc[outcome.id, "mean"])
    return sign * (float(np.clip(mean + sign * wanted, *outcome.limits)) - mean)


def scenario_name(row: dict, plan: Plan) -> str:
    """Name a row of `simulate_ramps`: "resolved 5 points worse", "no difference"."""
    if not row["criterion"]:
        return "no difference"
    unit = unit_of(plan.live_outcome(row["criterion"]))
    return f"{row['criterion']} {unit.size(row['contrast'])} {'worse' if row['contrast'] < 0 else 'better'}"


def _simulate(
    plan: Plan, rates: pd.DataFrame, shifts: dict[str, float], *, replicates: int, most_days: int,
    rng: np.random.Generator,
) -> dict[str, float]:
    """All replicates side by side, day by day."""
    users, shares = plan.traffic.users_per_day, np.array(plan.ramp[:-1])
    promote_error, back_error = errors(plan)
    evidence = {gate.id: (no_evidence((replicates,)), no_evidence((replicates,))) for gate in plan.live_gates}
    step, end = np.zeros(replicates, dtype=int), np.full(replicates, HOLD, dtype=object)
    days, met = np.zeros(replicates), np.zeros(replicates)
    going = np.full(replicates, len(shares) > 0)
    end[~going] = PROMOTE
    for _ in range(most_days):
        if not going.any():
            break
        share = shares[np.minimum(step, len(shares) - 1)]
        with_candidate = rng.binomial(users, share)
        days, met = days + going, met + with_candidate * going
        held, lost = np.ones(replicates, dtype=bool), np.zeros(replicates, dtype=bool)
        for gate in plan.live_gates:
            new, old = (draw_day(n, gate, rates.loc[gate.id], shift, rng=rng) for n, shift in (
                (with_candidate, shifts.get(gate.id, 0.0)), (users - with_candidate, 0.0)))
            up, down = evidence[gate.id]
            evidence[gate.id] = up, down = after_day(up, new, old), after_day(down, new.flipped(), old.flipped())
            gate_held, gate_lost = verdicts(up, down, gate, promote_error, back_error)
            held, lost = held & gate_held, lost | gate_lost
        end[going & lost] = ROLL_BACK
        step = step + (going & held & ~lost)
        end[going & (step == len(shares))] = PROMOTE
        going &= ~lost & (step < len(shares))
    found = {"promoted": float((end == PROMOTE).mean()), "rolled_back": float((end == ROLL_BACK).mean()),
             "held": float((end == HOLD).mean()), "users": float(met.mean()),
             "users_share": float(met.sum() / (users * days.sum())) if days.any() else 0.0}
    for name, action in (("promoted", PROMOTE), ("rolled_back", ROLL_BACK)):
        took = days[end == action]
        found[f"{name}_days"], found[f"{name}_days_90"] = np.quantile(took, [0.5, 0.9]) if len(took) else [np.nan] * 2
    return found


def draw_day(
    users: np.ndarray, outcome: LiveOutcomeSpec, rate: pd.Series, shift: float, *, rng: np.random.Generator
) -> Arm:
    """Draw what the users of one arm and day do, on the scale from the worse end, 0, to the better one, 1."""
    n = rng.binomial(users, rate["answered"])
    low, high = outcome.limits
    mean, sd = (rate["mean"] - low) / (high - low), rate["sd"] / (high - low)
    mean = float(np.clip((mean if outcome.better == "higher" else 1 - mean) + shift / (high - low), 0, 1))
    if outcome.levels:
        total = rng.binomial(n, mean)
        return Arm(n, total, total)
    total = np.clip(rng.normal(n * mean, sd * np.sqrt(n)), 0, n)
    spread = sd**2 * rng.chisquare(np.maximum(n - 1, 1)) * (n > 1)
    return Arm(n, total, np.minimum(total**2 / np.maximum(n, 1) + spread, total))


def _arms(part: pd.DataFrame) -> tuple[Arm, Arm]:
    return tuple(Arm(*(part[f"{name}{end}"].to_numpy(dtype=float) for name in ("n", "total", "squares")))
                 for end in ("", "_incumbent"))


def own_unit(scaled: np.ndarray, outcome: LiveOutcomeSpec) -> np.ndarray:
    """Return values on the scale from the worse end, 0, to the better one, 1, in the outcome's own unit."""
    low, high = outcome.limits
    return low + (high - low) * (scaled if outcome.better == "higher" else 1 - scaled)
