"""Do ramps end as the kit says they will? Writes benchmarks/results/ramps.csv.

`ramp.simulate_ramps` draws daily totals of many ramps side by side. Here every user is drawn alone, and the rule is
written anew from its source: bets on each value, a mixture over the size of the bet, the bound by a root finder. Where
users are drawn as the kit assumes, shares of ramps, users met and days must agree within Monte Carlo error. Two designs
break what it assumes: base rates that swing over the week, and users who come back, of whom those who come often are
happier and all move to the candidate when the share reaches them (each counts once, on the first day). There only the
promise is held against the result: worse candidates are promoted in at most 5% of ramps.

Run: python benchmarks/ramps.py --replicates 1000     a stopped run goes on where it was
"""

import argparse
from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
from common import code_digest, run_cells, write_result
from scipy.optimize import brentq

from migration_kit.plan import Plan
from migration_kit.ramp import MOST_DAYS, simulate_ramps

SEED, KIT_REPLICATES = 40_000, 20_000
RATE, MARGIN, ASSURANCE = 0.8, 0.02, 0.95
RAMP = (0.01, 0.05, 0.25, 0.5, 1.0)
SCENARIOS = {"much worse": -0.05, "worse by the margin": -MARGIN, "no difference": 0.0, "better": 0.03}
BETS = 0.9 / 2 ** np.arange(9)
SWING, WEEK = 0.06, 7
POOL = 4
OFTEN, SELDOM = (0.4, 0.85), (0.1, 0.75)
ASSUMED, SWINGS, RETURNS = "as the kit assumes", "rates swing over the week", "users come back"
DESIGNS = {60_000: (ASSUMED, SWINGS, RETURNS), 6_000: (ASSUMED,)}


def plan_of(users: int) -> Plan:
    """The plan whose ramp is simulated."""
    return Plan.model_validate({
        "title": "Simulated", "models": {"incumbent": {"id": "old"}, "candidates": [{"id": "new"}]},
        "decision": {"assurance": ASSURANCE}, "ramp": list(RAMP), "traffic": {"users_per_day": users},
        "data": {"items": {"path": "items.csv"}, "scores": {"path": "scores.csv"}},
        "criteria": [{"id": "correct", "role": "gate", "metrics": ["judge"], "margin": 0.03}],
        "live_outcomes": [{"id": "resolved", "role": "gate", "margin": MARGIN}]})


def days_of_users(
    users: int, design: str, difference: float, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield for each day and the share then sent: who has the candidate, and what each new user does."""
    share = yield
    place = rng.random(POOL * users)
    often = rng.random(POOL * users) < 0.5
    seen = np.zeros(POOL * users, dtype=bool)
    for day in range(MOST_DAYS):
        if design == RETURNS:
            visits = rng.random(POOL * users) < np.where(often, OFTEN[0], SELDOM[0])
            fresh = visits & ~seen
            seen |= visits
            new, rate = place[fresh] < share, np.where(often[fresh], OFTEN[1], SELDOM[1])
        else:
            swing = SWING * np.sin(2 * np.pi * day / WEEK) if design == SWINGS else 0.0
            new, rate = rng.random(users) < share, np.full(users, RATE + swing)
        share = yield new, (rng.random(len(new)) < rate + difference * new).astype(float)


class Watch:
    """Bets on what users do, each value against a guess made before it is seen."""

    def __init__(self) -> None:
        self.sums, self.counts = {"new": 0.0, "old": 0.0}, {"new": 0, "old": 0}
        self.wealth, self.tilt = np.zeros(len(BETS)), 0.0

    def see(self, new: np.ndarray, old: np.ndarray) -> None:
        """Add the values of one day, the incumbent's users first."""
        everyone = len(new) + len(old)
        guess_old = (0.5 + self.sums["old"]) / (1 + self.counts["old"])
        self._count("old", old)
        like_old = (0.5 + self.sums["old"]) / (1 + self.counts["old"])
        guess_new = (10 * like_old + self.sums["new"]) / (10 + self.counts["new"])
        self._count("new", new)
        stakes = BETS * len(old) / everyone, BETS * len(new) / everyone
        for stake, values, guess, reach, sign in ((stakes[0], new, guess_new, guess_new, 1),
                                                  (stakes[1], old, guess_old, 1 - guess_old, -1)):
            reach = max(reach, 0.001)
            price = -(np.log(1 - stake * reach) + stake * reach) / reach**2
            self.wealth += sign * stake * values.sum() - price * ((values - guess) ** 2).sum()
        self.tilt += len(new) * len(old) / everyone

    def lower(self, error: float) -> float:
        """The largest difference that the bets rule out."""
        def short(difference: float) -> float:
            return np.logaddexp.reduce(self.wealth - BETS * difference * self.tilt) - np.log(len(BETS) / error)
        return brentq(short, -1.0, 1.0) if short(-1.0) > 0 > short(1.0) else -1.0

    def _count(self, arm: str, values: np.ndarray) -> None:
        self.sums[arm] += values.sum()
        self.counts[arm] += len(values)


def replicate(number: int, *, users: int, design: str, scenario: str) -> pd.DataFrame:
    """One ramp, user by user."""
    rng = np.random.default_rng([SEED, number, users, list(SCENARIOS).index(scenario)])
    days = days_of_users(users, design, SCENARIOS[scenario], rng)
    next(days)
    good, bad, step, met, came, lasted, end = Watch(), Watch(), 0, 0, 0, 0, "held"
    while lasted < MOST_DAYS and end == "held":
        new, value = days.send(RAMP[step])
        lasted, met, came = lasted + 1, met + new.sum(), came + len(new)
        good.see(value[new], value[~new])
        bad.see(1 - value[new], 1 - value[~new])
        if -bad.lower(1 - ASSURANCE) < -MARGIN:
            end = "rolled_back"
        elif good.lower(1 - ASSURANCE) > -MARGIN:
            step += 1
            end = "promoted" if RAMP[step] == 1 else "held"
    return pd.DataFrame([{"end": end, "days": lasted, "met": met, "came": came}])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    code = code_digest(modules=("sequences", "ramp"))
    keys = [(users, design, scenario) for users, designs in DESIGNS.items() for design in designs
            for scenario in SCENARIOS]
    cells = {"-".join(map(str, key)).replace(" ", "_"): partial(replicate, users=key[0], design=key[1], scenario=key[2])
             for key in keys}
    found = run_cells(f"ramps-{code}", cells, given.replicates, chunk=100, workers=given.workers)
    rates = pd.DataFrame({"mean": [RATE], "sd": [0.4], "answered": [1.0], "users": [1]}, index=["resolved"])
    kit = {users: simulate_ramps(plan_of(users), rates, seed=SEED, replicates=KIT_REPLICATES, contrasts=SCENARIOS)
           .set_index("scenario") for users in DESIGNS}
    rows = []
    for key, rows_of in zip(keys, found.values(), strict=True):
        users, design, scenario = key
        expected = kit[users].loc[scenario]
        row = {"users_per_day": users, "design": design, "scenario": scenario, "contrast": SCENARIOS[scenario],
               "replicates": given.replicates}
        apart = []
        for end in ("promoted", "rolled_back"):
            mine = rows_of["end"] == end
            row |= {end: mine.mean(), f"{end}_kit": expected[end],
                    f"{end}_days": rows_of.loc[mine, "days"].median(), f"{end}_days_kit": expected[f"{end}_days"]}
            both = expected[end] * (1 - expected[end]) * (1 / given.replicates + 1 / KIT_REPLICATES)
            # With no ramp of a kind among the kit's, one of as many more would still be no surprise.
            apart.append(abs(row[end] - expected[end]) / np.sqrt(max(both, 1 / given.replicates**2)))
        met = rows_of["met"]
        apart.append(abs(met.mean() - expected["users"]) / (met.std() / np.sqrt(given.replicates)))
        row |= {"users": met.mean(), "users_kit": expected["users"], "users_share": met.sum() / rows_of["came"].sum(),
                "users_share_kit": expected["users_share"],
                "largest_z": max(apart) if design == ASSUMED else np.nan}
        rows.append(row)
    write_result(pd.DataFrame(rows), "ramps", seed=SEED, code=code)


if __name__ == "__main__":
    main()
