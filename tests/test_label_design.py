"""Strata, allocation and inclusion probabilities: closed forms, exact limits, and unbiased weights over rounds."""

import numpy as np
import pytest
from helpers import small_features, small_plan

from migration_kit.judgments import keep_labels
from migration_kit.label_design import Design, allocate, fill, inclusion, label_design, whole, worth_at_random
from migration_kit.label_spread import pair_variance, shrunk_variance
from migration_kit.simulate import SCENARIOS, simulate_pairs

NAN = np.nan


def design_of(sizes, spread, *, labelled=None, weight=None, importance=None):
    """Strata of given sizes, of which the first items are labelled."""
    sizes = np.asarray(sizes)
    have = np.zeros(len(sizes), int) if labelled is None else np.asarray(labelled)
    share = sizes / sizes.sum() if weight is None else np.asarray(weight)
    return Design(
        stratum=np.repeat(np.arange(len(sizes)), sizes),
        labelled=np.concatenate([np.arange(size) < n for size, n in zip(sizes, have, strict=True)]),
        slice_index=np.zeros(len(sizes), int), pattern=[None] * len(sizes), alike=np.zeros(len(sizes), bool),
        weight=share, importance=share if importance is None else np.asarray(importance),
        spread=np.asarray(spread, float))


def drawn(design, wanted, rng):
    chosen = np.zeros(len(design.stratum), bool)
    for stratum, n in enumerate(wanted):
        free = np.flatnonzero((design.stratum == stratum) & ~design.labelled)
        chosen[rng.choice(free, n, replace=False)] = True
    return chosen


def labelled_pairs(scenario, *, seed, pilot):
    """A simulated migration of 1,050 items, every one judged, and a few of them drawn at random."""
    pairs = simulate_pairs(**SCENARIOS[scenario], n_labels=50, seed=seed)
    names = np.array([f"region_{number}" for number in pairs.slice])
    share = dict(zip(np.unique(names), pairs.traffic, strict=True))
    plan = small_plan(slices=True)
    features = small_features(pairs.metrics.astype(float), pairs.truth.astype(float), plan, regions=names, share=share)
    size = len(names)
    return pairs, features, np.isin(np.arange(size), np.random.default_rng(seed).permutation(size)[:pilot])


class TestAllocate:
    def test_follows_share_times_spread_where_no_bound_binds(self):
        design = design_of([10_000, 10_000], [1.0, 3.0])
        assert allocate(design, 400).tolist() == [100, 300]

    def test_equal_spreads_ask_for_labels_in_proportion(self):
        design = design_of([600, 300, 100], [0.4, 0.4, 0.4])
        assert allocate(design, 200).tolist() == [120, 60, 20]

    def test_labels_there_are_count(self):
        design = design_of([1000, 1000], [1.0, 1.0], labelled=[80, 0])
        assert allocate(design, 120).tolist() == [20, 100]

    def test_a_stratum_without_spread_still_gets_a_quarter_of_its_share(self):
        design = design_of([500, 500], [0.0, 1.0])
        assert allocate(design, 80).tolist() == [10, 70]

    def test_what_is_more_important_gets_more(self):
        plain = allocate(design_of([5000, 5000], [1.0, 1.0]), 100)
        urgent = allocate(design_of([5000, 5000], [1.0, 1.0], importance=[0.5, 1.0]), 100)
        assert urgent[1] > plain[1] and urgent.sum() == 100

    @pytest.mark.parametrize("n", [0, 1, 3, 17, 100, 2000])
    def test_sums_to_what_is_asked_and_never_exceeds_the_items_left(self, n):
        rng = np.random.default_rng(n)
        sizes = rng.integers(1, 40, 30)
        design = design_of(sizes, rng.exponential(size=30), labelled=rng.integers(0, sizes + 1))
        wanted = allocate(design, n)
        left = design.items - design.labels
        assert wanted.sum() == min(n, left.sum())
        assert (wanted >= 0).all() and (wanted <= left).all()

    def test_nothing_known_of_any_spread_is_no_obstacle(self):
        assert allocate(design_of([60, 40], [0.0, 0.0]), 10).tolist() == [6, 4]


class TestWorth:
    def test_in_proportion_is_worth_what_it_counts(self):
        design = design_of([6000, 4000], [1.0, 1.0])
        assert worth_at_random(design, np.array([60, 40])) == pytest.approx(100, rel=0.01)

    def test_neyman_closed_form(self):
        # Variance Σ W²S²/n: at random Σ W S² / n, by Neyman (Σ W S)² / n.
        design = design_of([500_000, 500_000], [1.0, 3.0])
        assert worth_at_random(design, np.array([100, 300])) == pytest.approx(400 * 5 / 4, rel=0.01)


class TestRounding:
    def test_fill_is_proportional_within_bounds(self):
        assert fill(np.array([1.0, 2.0, 1.0]), np.zeros(3), np.array([100, 4, 100.0]), 10) == pytest.approx([3, 4, 3])

    def test_whole_keeps_sum_and_bounds(self):
        target = np.array([0.5, 0.5, 0.5, 3.5])
        got = whole(target, np.array([1, 0, 1, 9]), 5)
        assert got.sum() == 5 and got[1] == 0


class TestInclusion:
    def test_is_the_share_labelled_where_rounds_drew_by_the_same_strata(self):
        stratum = np.repeat([0, 1], [10, 20])
        before, now = np.arange(30) % 10 == 0, np.arange(30) % 10 == 1
        got = inclusion(stratum, before, now, np.full(30, 0.1))
        assert got == pytest.approx(np.where(stratum == 0, 2 / 10, 4 / 20))

    def test_is_nothing_where_nothing_is_labelled_and_unknown_where_items_take_no_part(self):
        stratum = np.array([0, 0, 1, 1, -1])
        got = inclusion(stratum, np.array([True, False, False, False, False]), np.zeros(5, bool), np.full(5, 0.5))
        assert got[:4].tolist() == [0.5, 0.5, 0.0, 0.0] and np.isnan(got[4])

    def test_labels_of_earlier_strata_keep_their_own_odds(self):
        # One stratum now; before, its items were drawn with 0.2 or 0.8.
        rng = np.random.default_rng(4)
        stratum, chance = np.zeros(4000, int), np.where(np.arange(4000) < 2000, 0.2, 0.8)
        before = rng.random(4000) < chance
        now = ~before & (rng.random(4000) < 0.5)
        got = inclusion(stratum, before, now, chance)
        assert np.unique(got[before].round(2)).size == 2
        assert got[before & (chance == 0.8)].mean() > got[before & (chance == 0.2)].mean()
        assert (1 / got[before | now]).sum() == pytest.approx(4000)

    def test_weighted_means_are_unbiased_after_three_planned_rounds(self):
        errors, plain = [], []
        for seed in range(60):
            pairs, features, keep = labelled_pairs("F", seed=seed, pilot=60)
            rng, chance = np.random.default_rng(seed), np.full(len(keep), 60 / len(keep))
            for _ in range(3):
                design = label_design(keep_labels(features, keep), ["new"], n=60)
                chosen = drawn(design, allocate(design, 60), rng)
                chance = inclusion(design.stratum, keep, chosen, chance)
                keep = keep | chosen
            difference = pairs.truth[:, 1].astype(float) - pairs.truth[:, 0]
            true = difference.mean()
            errors.append((difference[keep] / chance[keep]).sum() / (1 / chance[keep]).sum() - true)
            plain.append(abs(pairs.truth[keep, 0].mean() - pairs.truth[:, 0].mean()))
        assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(len(errors))
        # Without weights the sample would be wrong: rows whose labels vary were asked for more often.
        assert np.mean(plain) > 0.05


class TestDesign:
    def test_strata_are_slices_by_verdicts_and_only_part_with_more_labels(self):
        _, features, keep = labelled_pairs("G", seed=3, pilot=50)
        few = label_design(keep_labels(features, keep), ["new"], n=25)
        many = label_design(keep_labels(features, keep), ["new"], n=400)
        assert len(many.weight) > len(few.weight)
        joined = np.unique(np.stack([many.stratum, few.stratum], axis=1), axis=0)
        assert len(joined) == len(many.weight)
        assert (few.stratum >= 0).all() and few.weight.sum() == pytest.approx(1)

    def test_prefers_where_labels_vary(self):
        _, features, keep = labelled_pairs("F", seed=5, pilot=200)
        design = label_design(keep_labels(features, keep), ["new"], n=200)
        wanted = allocate(design, 200)
        rate = wanted / (design.items - design.labels)
        both_good = design.pattern.index((2, 2))
        assert rate[both_good] == rate.min()
        assert worth_at_random(design, wanted) > 1.3 * 200

    def test_without_any_label_all_strata_are_alike(self):
        _, features, keep = labelled_pairs("A", seed=1, pilot=50)
        design = label_design(keep_labels(features, keep & False), ["new"], n=100)
        assert np.ptp(design.spread) == 0 and design.spread[0] > 0
        assert allocate(design, 100) == pytest.approx(100 * design.weight, abs=2)

    def test_slices_that_must_be_settled_weigh_more(self):
        _, features, keep = labelled_pairs("G", seed=3, pilot=50)
        urgency = np.zeros(features.sizes["slice"])
        urgency[2] = 0.3
        plain = label_design(keep_labels(features, keep), ["new"], n=200)
        urgent = label_design(keep_labels(features, keep), ["new"], n=200, urgency=urgency)
        here = plain.slice_index == 2
        assert allocate(urgent, 200)[here].sum() > 1.5 * allocate(plain, 200)[here].sum()

    def test_an_output_that_is_the_incumbents_word_for_word_is_not_worth_a_label(self):
        rng = np.random.default_rng(2)
        values, label = rng.integers(0, 2, (400, 2, 1)).astype(float), np.full((400, 2), NAN)
        label[:60] = rng.integers(0, 2, (60, 2))
        text = np.array([[f"a{i}", f"a{i}" if i % 2 else f"b{i}"] for i in range(400)], dtype=object)
        values[1::2, 1] = values[1::2, 0]
        label[1::2, 1] = label[1::2, 0]
        features = small_features(values, label, small_plan(), text=text)
        design = label_design(features, ["new"], n=100)
        assert design.alike.any() and (design.spread[design.alike] == 0).all()
        assert (design.spread[~design.alike] > 0).all()
        assert allocate(design, 100)[design.alike].sum() < 30

    def test_an_item_without_an_output_takes_no_part(self):
        values, label = np.ones((50, 2, 1)), np.full((50, 2), NAN)
        values[7, 1], label[:20] = NAN, 1.0
        label[7] = NAN
        design = label_design(small_features(values, label, small_plan()), ["new"], n=10)
        assert design.stratum[7] == -1 and (np.delete(design.stratum, 7) >= 0).all()


class TestSpread:
    def test_variance_starts_from_the_prior_and_ends_at_the_data(self):
        rng = np.random.default_rng(1)
        value = rng.normal(scale=2.0, size=5000)
        got = shrunk_variance(value, np.zeros(5000, int), np.array([1.0, 1.0]), strength=20)
        assert got[0] == pytest.approx(4.0, rel=0.1) and got[1] == 1.0

    def test_finds_where_labels_vary(self):
        rng = np.random.default_rng(3)
        cells = rng.integers(1, 3, (4000, 2))
        judged = np.where(cells == 2, 1.0, rng.integers(0, 2, (4000, 2)))
        got = pair_variance(judged, cells, paired=True)
        assert got[2, 2] < 0.02
        assert got[1, 1] == pytest.approx(0.5, rel=0.1) and got[1, 2] == pytest.approx(0.25, rel=0.15)

    def test_labels_that_do_not_differ_tell_nothing(self):
        assert (pair_variance(np.ones((30, 2)), np.ones((30, 2), int), paired=True) == 1).all()
