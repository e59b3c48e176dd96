"""Bounds that hold at every look: exactly by enumeration, over whole ramps by simulation, and how wide they are."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import binom, norm

from migration_kit.sequences import GRID, Arm, after_day, confidence_sequence, every_day, lower_bound, no_evidence

LEVEL, RUNS, DAYS = 0.95, 2000, 21


def verdicts(n, total):
    """Users whose values are 0 or 1."""
    return Arm(np.asarray(n, dtype=float), np.asarray(total, dtype=float), np.asarray(total, dtype=float))


def drawn(rng, users, share, rate, difference, *, days=DAYS, runs=RUNS):
    """Both arms of many canaries; share and rate may differ by day."""
    new = rng.binomial(users, np.broadcast_to(share, (runs, days)))
    old = users - new
    rate = np.broadcast_to(rate, (runs, days))
    return verdicts(new, rng.binomial(new, rate + difference)), verdicts(old, rng.binomial(old, rate))


@pytest.mark.parametrize(("rates", "differences"), [((0.5, 0.5), (0.1, 0.1)), ((0.1, 0.8), (0.05, 0.05)),
                                                    ((0.9, 0.3), (-0.4, 0.2)), ((0.02, 0.97), (0.0, 0.0))])
def test_the_evidence_against_the_truth_is_never_above_one_on_average(rates, differences):
    """Every possible outcome of two days with their probabilities: no simulation, no error of its own."""
    sizes = ((3, 5), (4, 2))
    days = [[(new, old, binom.pmf(new, n, rate + diff) * binom.pmf(old, m, rate))
             for new in range(n + 1) for old in range(m + 1)]
            for (n, m), rate, diff in zip(sizes, rates, differences, strict=True)]
    chance = np.array([one[2] * two[2] for one, two in product(*days)])
    new = np.array([[one[0], two[0]] for one, two in product(*days)])
    old = np.array([[one[1], two[1]] for one, two in product(*days)])
    counts = np.array(sizes, dtype=float)
    arms = [verdicts(np.broadcast_to(counts[:, 0], new.shape), new),
            verdicts(np.broadcast_to(counts[:, 1], old.shape), old)]
    weight = counts.prod(axis=1) / counts.sum(axis=1)
    assert chance.sum() == pytest.approx(1)
    for direction, truths in ((1, differences), (-1, [-one for one in differences])):
        flipped = arms if direction > 0 else [arm.flipped() for arm in arms]
        so_far = np.cumsum(truths * weight) / np.cumsum(weight)
        known = every_day(*flipped)
        assert (chance @ np.exp(known.log_e(so_far)) <= 1 + 1e-9).all()
        # And it is evidence: against a difference far from the truth it grows.
        assert (chance @ np.exp(known.log_e(-0.9)) > 1).all()


def test_the_evidence_of_totals_is_that_of_users_one_by_one():
    rng = np.random.default_rng(1)
    known, log_e = no_evidence(), np.zeros(len(GRID))
    seen_new, seen_old = np.zeros(0), np.zeros(0)
    for n, m in ((4, 9), (7, 3)):
        x, y = rng.beta(2, 1, n), rng.beta(3, 1, m)
        known = after_day(known, *(Arm(np.array(float(len(z))), z.sum(), (z**2).sum()) for z in (x, y)))
        guess_old = (0.5 + seen_old.sum()) / (1 + len(seen_old))
        seen_old = np.concatenate([seen_old, y])
        guess_new = (10 * (0.5 + seen_old.sum()) / (1 + len(seen_old)) + seen_new.sum()) / (10 + len(seen_new))
        seen_new = np.concatenate([seen_new, x])
        difference, weights = -0.2, (m / (n + m), n / (n + m))
        for values, guess, weight, reach, sign in ((x, guess_new, weights[0], guess_new, 1),
                                                   (y, guess_old, weights[1], 1 - guess_old, -1)):
            bet = GRID * weight
            price = (-np.log(1 - bet * reach) - bet * reach) / reach**2
            for value in values:
                log_e += sign * bet * value - price * (value - guess) ** 2
        log_e -= GRID * weights[0] * n * difference
    assert known.log_e(-0.2) == pytest.approx(np.log(np.mean(np.exp(log_e))))


STEPS = np.repeat([0.01, 0.05, 0.25], 7)
WEEK = 0.8 + 0.06 * np.sin(2 * np.pi * np.arange(DAYS) / 7)


@pytest.mark.parametrize(
    ("users", "share", "rate", "difference"),
    [(20_000, 0.05, 0.8, -0.02), (300, 0.5, 0.5, 0.0), (20_000, 0.01, 0.985, 0.01), (5_000, STEPS, WEEK, -0.02)],
    ids=["a step", "few users", "rare failures", "steps of a ramp with weekends"])
def test_the_truth_leaves_the_bounds_on_any_day_no_more_often_than_allowed(users, share, rate, difference):
    rng = np.random.default_rng(7)
    lower, upper = confidence_sequence(*drawn(rng, users, share, rate, difference), level=LEVEL)
    missed = ((lower > difference) | (upper < difference)).any(axis=1).mean()
    assert missed <= 1 - LEVEL + 3 * np.sqrt((1 - LEVEL) * LEVEL / RUNS)
    assert (lower <= upper).all()


def test_values_between_the_limits_are_bounded_too_and_the_tighter_the_less_they_spread():
    rng, widths = np.random.default_rng(3), []
    for spread in (1, 30):
        n = np.full((RUNS, DAYS), 40)
        arms = []
        for mean in (0.72, 0.70):
            values = rng.beta(spread * mean, spread * (1 - mean), (RUNS, DAYS, 40))
            arms.append(Arm(n, values.sum(axis=-1), (values**2).sum(axis=-1)))
        lower, upper = confidence_sequence(*arms, level=LEVEL)
        missed = ((lower > 0.02) | (upper < 0.02)).any(axis=1).mean()
        assert missed <= 1 - LEVEL + 3 * np.sqrt((1 - LEVEL) * LEVEL / RUNS)
        widths.append((upper - lower)[:, -1].mean())
    assert widths[1] < 0.5 * widths[0]


def test_ordinary_intervals_looked_at_every_day_err_far_more_often():
    """The error that the bounds are for: it is there, and this simulation sees it."""
    rng = np.random.default_rng(5)
    new, old = drawn(rng, 20_000, 0.05, 0.8, 0.0)
    n, m = new.n.cumsum(axis=1), old.n.cumsum(axis=1)
    p, q = new.total.cumsum(axis=1) / n, old.total.cumsum(axis=1) / m
    z = (p - q) / np.sqrt(p * (1 - p) / n + q * (1 - q) / m)
    assert (np.abs(z) > norm.ppf(0.975)).any(axis=1).mean() > 0.2


def test_a_change_of_share_and_rate_together_is_no_difference():
    """Pooled over days, the candidate would look 20 points better here: most of its users came on good days."""
    rng = np.random.default_rng(9)
    share, rate = np.repeat([0.05, 0.5], [10, 11]), np.repeat([0.4, 0.8], [10, 11])
    new, old = drawn(rng, 2_000, share, rate, 0.0, runs=200)
    pooled = new.total.sum(axis=1) / new.n.sum(axis=1) - old.total.sum(axis=1) / old.n.sum(axis=1)
    lower, upper = confidence_sequence(new, old, level=LEVEL)
    assert pooled.mean() > 0.15
    assert ((lower <= 0) & (upper >= 0)).all(axis=1).mean() > 0.95


def test_bounds_are_at_most_twice_as_wide_as_those_of_a_single_look():
    rng = np.random.default_rng(11)
    new, old = drawn(rng, 60_000, 0.01, 0.8, 0.0, runs=200)
    lower, upper = confidence_sequence(new, old, level=LEVEL)
    single = 2 * norm.ppf(0.975) * np.sqrt(0.16 / new.n.cumsum(axis=1) + 0.16 / old.n.cumsum(axis=1))
    ratio = ((upper - lower) / single).mean(axis=0)
    assert (ratio[1:] < 2).all() and (ratio > 1.3).all()


def test_a_bound_is_where_the_evidence_reaches_its_threshold():
    rng = np.random.default_rng(13)
    known = every_day(*drawn(rng, 2_000, 0.2, 0.6, 0.05, runs=50))
    bound = lower_bound(known, error=0.05)
    assert known.log_e(bound) == pytest.approx(np.full((50, DAYS), np.log(20)), abs=1e-6)
    assert (lower_bound(known, error=0.01) < bound).all()


def test_without_users_of_both_nothing_is_known():
    empty, some = verdicts([[0.0, 0.0]], [[0.0, 0.0]]), verdicts([[50.0, 50.0]], [[20.0, 30.0]])
    for arms in ((empty, empty), (empty, some), (some, empty)):
        lower, upper = confidence_sequence(*arms, level=LEVEL)
        assert (lower == -1).all() and (upper == 1).all()


def test_exchanging_the_arms_turns_the_bounds_round():
    rng = np.random.default_rng(15)
    new, old = drawn(rng, 3_000, 0.5, 0.7, 0.03, runs=20)
    lower, upper = confidence_sequence(new, old, level=LEVEL)
    back, forth = confidence_sequence(old, new, level=LEVEL)
    # The guesses of the first day treat the arms apart; after that they agree.
    assert -forth[:, -1] == pytest.approx(lower[:, -1], abs=0.003)
    assert -back[:, -1] == pytest.approx(upper[:, -1], abs=0.003)
