"""Bounds on the difference of two means that hold at every look, however often people look.

Users come day by day in two arms; values lie in [0, 1]. With c a guess made before a value X of mean μ is seen,
X − c ≥ −b, and 0 ≤ λ < 1/b, the product of exp(λ(X − μ) − ψ_b(λ)(X − c)²) is a supermartingale, where
ψ_b(λ) = (−log(1 − bλ) − bλ)/b² (empirical Bernstein; Howard, Ramdas, McAuliffe & Sekhon 2021, Annals of Statistics
49:1055, theorem 4, 10.1214/20-AOS1991; Waudby-Smith & Ramdas 2024, JRSS B 86:1, 10.1093/jrsssb/qkad009). Both arms of a
day enter with the weights that make their common mean cancel, λ·n₀/(n₀ + n₁) and −λ·n₁/(n₀ + n₁), so that every day has
a base rate of its own: weekends, drift and steps of a ramp do no harm, and no nuisance is estimated. λ is mixed over a
grid (Robbins 1970, 10.1214/aoms/1177696786). By Ville's inequality the mixture exceeds 1/α at any time with probability
at most α. What is bounded is the mean of the daily differences so far, each day weighted by n₀n₁/(n₀ + n₁); where the
difference is the same every day, that is the difference.

Robbins' beta-binomial mixture in each arm, its base rate profiled out, is as exact, but pays for every nuisance: on
ramps of 600 to 3,000 users a day it takes two to three times as many days.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

GRID = 0.9 * 0.5 ** np.arange(9)
# A guess of the first day counts as one user of mean a half, the candidate's as ten users like the incumbent's.
GUESS, BORROWED = 1.0, 10.0
NARROWEST = 1e-3
HALVINGS = 50


class Arm(NamedTuple):
    """Users of one model: how many, the sum of their values in [0, 1], and of the squares; arrays of one shape."""

    n: np.ndarray
    total: np.ndarray
    squares: np.ndarray

    def flipped(self) -> "Arm":
        """The same users with 1 − x for x."""
        return Arm(self.n, self.n - self.total, self.n - 2 * self.total + self.squares)

    def at(self, day: int) -> "Arm":
        """The users of one day, of arrays (..., day)."""
        return Arm(*(part[..., day] for part in self))


@dataclass(frozen=True)
class Evidence:
    """What the days so far say of candidate minus incumbent, for lower bounds; flip both arms for upper ones.

    Attributes
    ----------
    n, total : ndarray (2, ...)
        Users and their sum, candidate first: what tomorrow's guesses rest on.
    drift, weight : ndarray (...)
        Weighted sum of daily differences, and of weights.
    cost : ndarray (..., λ)
        What the spread of the values takes off for every λ of the grid.
    """

    n: np.ndarray
    total: np.ndarray
    drift: np.ndarray
    weight: np.ndarray
    cost: np.ndarray

    def log_e(self, difference: float | np.ndarray) -> np.ndarray:
        """Log of the evidence against "candidate minus incumbent is at most `difference`"."""
        gain = np.asarray(self.drift - difference * self.weight)[..., None] * GRID
        return logsumexp(gain - self.cost, axis=-1) - np.log(len(GRID))


def no_evidence(shape: tuple[int, ...] = ()) -> Evidence:
    """Return what is known before the first day."""
    return Evidence(np.zeros((2, *shape)), np.zeros((2, *shape)), np.zeros(shape), np.zeros(shape),
                    np.zeros((*shape, len(GRID))))


def after_day(before: Evidence, candidate: Arm, incumbent: Arm) -> Evidence:
    """Add one day. A day on which an arm has no users says nothing of the difference."""
    arms = np.stack([candidate.n, incumbent.n]), np.stack([candidate.total, incumbent.total])
    n, total = before.n + arms[0], before.total + arms[1]
    guess = (GUESS * 0.5 + before.total[1]) / (GUESS + before.n[1])
    # Of one day the incumbent's users count as the first, so the candidate's guess may rest on them.
    like_incumbent = (GUESS * 0.5 + total[1]) / (GUESS + n[1])
    guess_new = (BORROWED * like_incumbent + before.total[0]) / (BORROWED + before.n[0])
    users = np.maximum(arms[0].sum(axis=0), 1)
    weight_new, weight_old = incumbent.n / users, candidate.n / users
    cost = (_price(weight_new, guess_new) * _around(candidate, guess_new)[..., None]
            + _price(weight_old, 1 - guess) * _around(incumbent, guess)[..., None])
    return Evidence(n, total, before.drift + weight_new * candidate.total - weight_old * incumbent.total,
                    before.weight + weight_new * candidate.n, before.cost + cost)


def every_day(candidate: Arm, incumbent: Arm) -> Evidence:
    """Return the evidence after each day, of arms (..., day), as arrays (..., day)."""
    known, found = no_evidence(np.shape(candidate.n)[:-1]), []
    for day in range(np.shape(candidate.n)[-1]):
        known = after_day(known, candidate.at(day), incumbent.at(day))
        found.append(known)
    return Evidence(*(np.stack([getattr(one, name) for one in found], axis=-2 if name == "cost" else -1)
                      for name in ("n", "total", "drift", "weight", "cost")))


def lower_bound(known: Evidence, *, error: float) -> np.ndarray:
    """The largest difference that the evidence rules out, with probability `error` of ever being above the truth.

    −1 where nothing is known.
    """
    asked, weight = -np.log(error), np.where(known.weight > 0, known.weight, 1.0)[..., None]

    def alone(threshold: float) -> np.ndarray:
        return ((known.drift[..., None] - (known.cost + threshold) / GRID) / weight).max(axis=-1)

    # The mixture is at most its best λ, and at least that one's share of it.
    low, high = alone(asked + np.log(len(GRID))), alone(asked)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        out = known.log_e(middle) >= asked
        low, high = np.where(out, middle, low), np.where(out, high, middle)
    return np.where(known.weight > 0, np.maximum(low, -1.0), -1.0)


def confidence_sequence(candidate: Arm, incumbent: Arm, *, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of candidate minus incumbent after each day that all hold together with probability `level`.

    Parameters
    ----------
    candidate, incumbent : Arm of ndarray (..., day)
        Users of each day, each user on one day only. Given the days before, the users of an arm and day have one mean.
    level : float
        Half of the rest is spent on each side.

    Returns
    -------
    lower, upper : ndarray (..., day)
        Of the mean difference until that day. −1 and 1 where nothing is known.
    """
    error = (1 - level) / 2
    lower = lower_bound(every_day(candidate, incumbent), error=error)
    return lower, -lower_bound(every_day(candidate.flipped(), incumbent.flipped()), error=error)


def _price(weight: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """ψ of every λ of the grid, for values that lie at most `reach` below their guess; dims (..., λ)."""
    reach = np.maximum(reach, NARROWEST)[..., None]
    taken = np.asarray(weight)[..., None] * GRID * reach
    return (-np.log1p(-taken) - taken) / reach**2


def _around(arm: Arm, guess: np.ndarray) -> np.ndarray:
    """Sum of squares around a guess."""
    return arm.squares - 2 * guess * arm.total + arm.n * guess**2
