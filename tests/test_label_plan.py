"""What people should judge next: the gate that decides, the draw, its probabilities, what it is likely to settle."""

import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers import MODELS, small_data, small_plan

from migration_kit import figures, story, tables
from migration_kit.data import EvalData
from migration_kit.features import build_features
from migration_kit.label_design import label_design
from migration_kit.label_plan import (
    ALIKE,
    APART,
    MISSING,
    RARE,
    SAME,
    by_part,
    gains,
    plan_labels,
    strata_table,
    with_answers,
)
from migration_kit.label_prospects import (
    AT_RANDOM,
    CURVE_SIZES,
    PLANNED,
    deciding,
    next_labels,
    prospects,
    urgency,
)
from migration_kit.label_slices import slice_draws
from migration_kit.label_words import worth
from migration_kit.label_worth import worth_by_slice
from migration_kit.labels_needed import Evidence, foreseen
from migration_kit.plan import Plan
from migration_kit.requirements import check_requirements

NAN = np.nan


def migration(
    *rates, n=1000, labelled=100, agree=0.85, seed=0, regions=None, share=None, text=None, criteria=1, **criterion
) -> tuple[Plan, EvalData]:
    """Models of given true rates, a judge that agrees with people now and then, the first items labelled."""
    rng = np.random.default_rng(seed)
    ease = rng.normal(size=n)
    truth = np.stack([(0.6 * ease + 0.8 * rng.normal(size=n) < np.quantile(ease, rate)) for rate in rates], 1) * 1.0
    judge = np.where(rng.random(truth.shape) < agree, truth, 1 - truth)
    label = np.where(np.arange(n)[:, None] < labelled, truth, NAN)
    plan = small_plan(models=MODELS[: len(rates)], slices=regions is not None, **criterion)
    data = small_data(judge[:, :, None], label, plan, regions=regions, share=share, text=text)
    if criteria == 2:
        gates = (plan.criteria[0], plan.criteria[0].model_copy(update={"id": "kind"}))
        plan = plan.model_copy(update={"criteria": gates})
        other = data.scores.assign(criterion="kind")
        data = replace(data, scores=pd.concat([data.scores, other], ignore_index=True))
    return plan, data


def drawn(plan, data, *, n=60, **asked):
    features = {one.id: build_features(data, plan, one.id) for one in plan.criteria}
    return next_labels(plan, data, features, check_requirements(plan, data), n=n, **asked)


def two_regions(n=1000, rare=0.2):
    return np.where(np.arange(n) % round(1 / rare) == 0, "rare", "usual")


class TestTheDraw:
    def test_equal_seeds_draw_equal_items_in_equal_order(self):
        plan, data = migration(0.8, 0.8)
        one, same, other = (drawn(plan, data, seed=seed).plan.items for seed in (3, 3, 4))
        assert one == same and one != other and set(one) != set(other)

    def test_only_items_that_nobody_judged_are_drawn_each_once_and_as_many_as_asked(self):
        plan, data = migration(0.8, 0.8)
        chosen = drawn(plan, data, n=60).plan
        judged = set(data.scores.loc[data.scores["rater_kind"] == "human", "item_id"])
        assert len(chosen.items) == len(set(chosen.items)) == 60
        assert not judged & set(chosen.items)
        assert chosen.strata["next"].sum() == 60

    def test_the_items_are_shuffled(self):
        plan, data = migration(0.8, 0.8)
        items = drawn(plan, data, n=100).plan.items
        rank = np.argsort(items)
        assert list(items) != sorted(items)
        assert abs(np.corrcoef(rank, np.arange(100))[0, 1]) < 0.3

    def test_fewer_items_than_asked_are_all_drawn_and_none_left_is_no_error(self):
        plan, data = migration(0.8, 0.8, n=130)
        assert len(drawn(plan, data, n=60).plan.items) == 30
        plan, data = migration(0.8, 0.8, n=100)
        found = drawn(plan, data)
        assert found.plan.items == () and found.plan.asks.empty
        assert "need new items" in story.labels.chosen(found, plan)
        assert figures.labels.strata(found, plan).alt_text

    def test_every_output_of_a_drawn_item_is_asked_about_on_every_gate(self):
        plan, data = migration(0.8, 0.8, criteria=2)
        asks = drawn(plan, data, n=20).plan.asks
        assert len(asks) == 20 * 2 * 2
        assert len(asks.drop_duplicates(["item_id", "criterion", "model"])) == len(asks)
        assert (asks["opponent"] == "").all()

    def test_what_is_asked_can_be_chosen(self):
        plan, data = migration(0.8, 0.8, 0.7, criteria=2)
        chosen = drawn(plan, data, n=20, criteria=["kind"], models=["other"]).plan
        assert chosen.criteria == ("kind",) and chosen.models == ("other",)
        assert set(chosen.asks["criterion"]) == {"kind"} and set(chosen.asks["model"]) == {"old", "other"}
        assert set(chosen.inclusion["criterion"]) == {"kind"}

    def test_an_output_judged_already_is_not_asked_about_again(self):
        plan, data = migration(0.8, 0.8)
        candidate = (data.scores["model"] == "new") & (data.scores["rater_kind"] == "human")
        lost = data.scores["item_id"].isin([f"i{n:05d}" for n in range(50, 100)]) & candidate
        plan, data = plan, replace(data, scores=data.scores[~lost])
        chosen = drawn(plan, data, n=950).plan
        half = [f"i{n:05d}" for n in range(50, 100)]
        assert set(half) <= set(chosen.items)
        assert set(chosen.asks.loc[chosen.asks["item_id"].isin(half), "model"]) == {"new"}

    def test_items_without_a_text_of_some_output_are_left_where_others_have_texts(self):
        text = np.array([[f"old {n}", f"new {n}"] for n in range(400)], dtype=object)
        text[300:, 1] = None
        plan, data = migration(0.8, 0.8, n=400, text=text)
        assert set(drawn(plan, data, n=400).plan.items) == {f"i{n:05d}" for n in range(100, 300)}

    def test_outputs_that_are_word_for_word_the_same_are_told_apart_from_the_others(self):
        text = np.array([[f"old {n}", f"old {n}" if n % 2 else f"new {n}"] for n in range(1000)], dtype=object)
        plan, data = migration(0.8, 0.8, text=text)
        chosen = drawn(plan, data, n=100).plan
        assert ALIKE in set(chosen.strata["says"])
        twins = chosen.asks[chosen.asks["item_id"].str[-1].astype(int) % 2 == 1]
        assert (twins.groupby("item_id")["output"].nunique() == 1).all()
        alike = by_part(chosen.strata).set_index("name").loc[ALIKE]
        assert alike["next"] < 0.6 * alike["at_random"]


class TestWhatDecides:
    def test_the_gate_least_likely_to_hold_decides(self):
        plan, data = migration(0.8, 0.8, criteria=2)
        better = (data.scores["criterion"] == "kind") & (data.scores["model"] == "new")
        scores = data.scores.assign(value=data.scores["value"].where(~better, 1.0))
        found = drawn(plan, replace(data, scores=scores))
        assert found.plan.criterion == "correct" and found.weakest == "new"
        assert found.probability == found.prospects.gates["new"]["correct"].probability
        assert found.probability < found.prospects.gates["new"]["kind"].probability

    def test_a_gate_nobody_judged_comes_first(self):
        plan, data = migration(0.8, 0.8, criteria=2)
        unjudged = (data.scores["criterion"] == "kind") & (data.scores["rater_kind"] == "human")
        found = drawn(plan, replace(data, scores=data.scores[~unjudged]))
        assert found.plan.criterion == "kind" and found.weakest is None and np.isnan(found.probability)
        assert found.curve.empty and "cannot be told yet" in story.labels.assurance(found, plan)

    def test_the_first_round_needs_no_labels_at_all(self):
        plan, data = migration(0.8, 0.8, labelled=0, regions=two_regions(), share={"rare": 0.8, "usual": 0.2})
        found = drawn(plan, data, n=50)
        part = by_part(found.plan.strata).set_index("name")
        assert len(found.plan.items) == 50 and found.curve.empty
        assert part.loc["rare", "next"] > part.loc["rare", "at_random"]
        assert "Nobody has judged" in story.labels.chosen(found, plan)
        assert found.plan.inclusion["inclusion_prob"].between(0, 1, inclusive="right").all()
        assert found.plan.inclusion["before"].isna().all()

    def test_a_candidate_that_no_label_can_help_is_not_asked_about(self):
        plan, data = migration(0.8, 0.8, 0.3)
        found = drawn(plan, data)
        assert found.plan.models == ("new",) and set(found.prospects.closed) == {"other"}
        assert "worse by more than the margin" in found.prospects.closed["other"]
        assert "other" in story.labels.chosen(found, plan)
        assert set(found.curve["model"]) == {"new"}

    def test_a_candidate_that_fails_a_requirement_is_not_asked_about(self):
        plan, data = migration(0.8, 0.8, 0.8)
        spec = {"requirements": [{"id": "licence", "fact": "licence", "equals": "MIT"}]}
        models = plan.models.model_dump()
        models["candidates"][0]["facts"] = {"licence": "MIT"}
        models["candidates"][1]["facts"] = {"licence": "GPL"}
        content = plan.model_dump(by_alias=True) | {"models": models} | spec
        found = drawn(Plan.model_validate(content), data)
        assert found.prospects.closed == {"other": "it fails licence"} and found.prospects.verdicts["other"] == "keep"

    def test_where_no_candidate_is_left_all_are_asked_about(self):
        plan, data = migration(0.9, 0.4, 0.3)
        found = drawn(plan, data)
        assert set(found.prospects.closed) == {"new", "other"} and found.plan.models == ("new", "other")

    def test_slices_with_a_margin_of_their_own_get_more_labels(self):
        regions, share = two_regions(rare=0.1), {"rare": 0.02, "usual": 0.98}
        plain = drawn(*migration(0.8, 0.8, regions=regions, share=share), n=100)
        asked = drawn(*migration(0.8, 0.8, regions=regions, share=share, slice_margin=0.06), n=100)
        rare = [by_part(one.plan.strata).set_index("name").loc["rare", "next"] for one in (plain, asked)]
        assert rare[1] > 1.5 * rare[0]

    def test_a_preference_is_asked_of_candidates_alone(self):
        rng = np.random.default_rng(1)
        values = np.stack([np.zeros(600), rng.integers(-1, 2, 600)], 1)[:, :, None] * 1.0
        plan = small_plan(scale="pairwise", margin=0.1)
        data = small_data(values, np.full((600, 2), NAN), plan)
        label = pd.DataFrame({"item_id": [f"i{n:05d}" for n in range(80)], "model": "new", "criterion": "correct",
                              "rater": "anna", "rater_kind": "human", "value": rng.integers(-1, 2, 80) * 1.0,
                              "repeat": "0", "inclusion_prob": NAN})
        scores = pd.concat([data.scores[data.scores["model"] == "new"], label]).assign(opponent="old", side=None)
        chosen = drawn(plan, replace(data, scores=scores), n=50).plan
        assert set(chosen.asks["model"]) == {"new"} and set(chosen.asks["opponent"]) == {"old"}
        assert len(chosen.asks) == 50 and not set(chosen.items) & set(label["item_id"])
        assert {APART, SAME} <= set(chosen.strata["says"])


class TestInclusion:
    def test_weights_of_what_is_labelled_by_now_add_up_to_the_items(self):
        plan, data = migration(0.8, 0.8, regions=two_regions(), share={"rare": 0.6, "usual": 0.4})
        chosen = drawn(plan, data, n=100).plan
        assert len(chosen.inclusion) == 200
        assert (1 / chosen.inclusion["inclusion_prob"]).sum() == pytest.approx(1000, rel=1e-6)

    def test_probabilities_are_shares_of_the_strata(self):
        plan, data = migration(0.8, 0.8)
        rows = drawn(plan, data, n=100).plan.inclusion
        for _, here in rows.groupby("stratum"):
            assert here["inclusion_prob"].to_numpy() == pytest.approx(len(here) / here["items"].iloc[0], abs=1e-8)

    def test_over_rounds_every_item_keeps_its_chance(self):
        """1 / probability adds up to all items, and on average to those that any judgment holds for."""
        plan, data = migration(0.8, 0.8, n=400, labelled=400, regions=two_regions(400),
                               share={"rare": 0.7, "usual": 0.3})
        human, rng = data.scores["rater_kind"] == "human", np.random.default_rng(5)
        value = data.scores[human & (data.scores["model"] == "new")].set_index("item_id")["value"]
        found = []
        for seed in range(60):
            judged, chance = set(rng.choice(value.index, 40, replace=False)), {}
            for _ in range(2):
                kept = data.scores[~human | data.scores["item_id"].isin(judged)]
                given = kept["item_id"].map(chance).where(kept["rater_kind"] == "human").astype(float)
                here = replace(data, scores=kept.assign(inclusion_prob=given))
                chosen = drawn(plan, here, n=40, seed=seed).plan
                judged |= set(chosen.items)
                chance = chosen.inclusion.set_index("item_id")["inclusion_prob"].to_dict()
            weight = 1 / pd.Series(chance)
            found.append([weight.sum(), (weight * value.reindex(weight.index)).sum()])
        total, good = np.array(found).T
        assert total == pytest.approx(400, rel=1e-5)
        assert abs(good.mean() - value.sum()) < 4 * good.std() / np.sqrt(len(good))

    def test_half_the_answers_give_the_probabilities_of_half_the_draw(self):
        plan, data = migration(0.8, 0.8, n=1000)
        chosen = drawn(plan, data, n=100).plan
        everything = {("correct", item) for item in chosen.items}
        again = with_answers(chosen.inclusion, everything)
        assert again["inclusion_prob"].tolist() == pytest.approx(chosen.inclusion["inclusion_prob"].tolist(), abs=1e-8)
        first = {("correct", item) for item in chosen.items[:50]}
        half = with_answers(chosen.inclusion, first)
        used = half[half["before"].notna() | half["item_id"].isin(chosen.items[:50])]
        assert (1 / used["inclusion_prob"]).sum() == pytest.approx(1000, rel=1e-6)
        assert (half["inclusion_prob"] <= chosen.inclusion["inclusion_prob"] + 1e-9).all()

    def test_items_judged_for_some_models_only_keep_a_probability(self):
        plan, data = migration(0.8, 0.8)
        lost = ((data.scores["model"] == "new") & (data.scores["rater_kind"] == "human")
                & (data.scores["item_id"] < "i00030"))
        rows = drawn(plan, replace(data, scores=data.scores[~lost]), n=30).plan.inclusion
        part = rows[rows["before"].isna() & (rows["drawn"] == 0)]
        assert len(part) and part["inclusion_prob"].between(0, 1, inclusive="right").all()
        assert (with_answers(rows, set()).loc[part.index, "inclusion_prob"] > 0).all()


class TestWhatToExpect:
    def test_planned_labels_are_worth_more_than_random_ones(self):
        plan, data = migration(0.8, 0.8, regions=two_regions(), share={"rare": 0.8, "usual": 0.2})
        found = drawn(plan, data, n=100)
        assert found.plan.worth > 120
        assert "drawn at random" in worth(found.plan)
        assert gains(found.plan.strata).iloc[0]["name"] == "rare"

    def test_worth_by_slice_is_what_is_drawn_where_a_slice_has_one_spread(self):
        plan, data = migration(0.8, 0.8, regions=two_regions(), share={"rare": 0.5, "usual": 0.5})
        features = build_features(data, plan, "correct")
        flat = label_design(features, ["new"], n=100)
        flat = flat._replace(spread=np.full(len(flat.weight), 0.5))
        chosen = np.bincount(flat.slice_index, weights=plan_labels(
            plan, data, {"correct": features}, criterion="correct", criteria=["correct"], models=["new"], n=100,
            seed=1).strata["next"], minlength=2)
        told = worth_by_slice(flat, {"correct": flat}, [100], n_slices=2)[100]["correct"]
        assert told.sum() == pytest.approx(100, rel=0.15) and chosen.sum() == 100

    def test_labels_beyond_the_items_come_with_new_ones(self):
        plan, data = migration(0.8, 0.8, n=200)
        design = label_design(build_features(data, plan, "correct"), ["new"], n=100)
        told = worth_by_slice(design, {"correct": design}, [100, 400], n_slices=1)
        assert told[400]["correct"].sum() == pytest.approx(told[100]["correct"].sum() + 300)

    def test_the_curve_has_every_size_and_both_ways_of_choosing(self):
        plan, data = migration(0.8, 0.8, 0.78)
        curve = drawn(plan, data).curve
        assert sorted(set(curve["labels"])) == [0, *CURVE_SIZES]
        assert len(curve) == 2 * 2 * (1 + len(CURVE_SIZES))
        assert curve["settled"].to_numpy() == pytest.approx((curve["switch"] + curve["keep"]).to_numpy())
        assert curve["settled"].between(0, 1).all()

    def test_a_verdict_still_open_becomes_likelier_with_labels_and_sooner_with_planned_ones(self):
        plan, data = migration(0.8, 0.81, labelled=80, regions=two_regions(), share={"rare": 0.8, "usual": 0.2})
        found = drawn(plan, data)
        assert found.prospects.verdicts["new"] == "collect"
        settled = found.curve.pivot(index="labels", columns="chosen", values="settled")
        assert settled.loc[0].eq(0).all()
        assert settled.loc[400, PLANNED] > settled.loc[25, PLANNED]
        assert settled[PLANNED].sum() > settled[AT_RANDOM].sum()

    def test_an_open_requirement_leaves_no_switch(self):
        plan, data = migration(0.8, 0.9)
        licence = {"id": "licence", "fact": "licence", "equals": "MIT"}
        plan = Plan.model_validate(plan.model_dump(by_alias=True) | {"requirements": [licence]})
        found = drawn(plan, data)
        assert found.prospects.unsettled == {"new": ["licence"]}
        assert (found.curve["switch"] == 0).all()
        assert "licence" in story.labels.assurance(found, plan)

    def test_labels_given_by_slice_act_as_so_many_drawn_at_random(self):
        rng = np.random.default_rng(0)
        slices = rng.normal(0, 0.05, (2000, 2))
        share = np.array([0.5, 0.5])
        gate = Evidence(draws=np.column_stack([slices @ share, slices]), margin=np.array([0.03, NAN, NAN]),
                        labels=np.array([50.0, 50.0]), items=np.array([500.0, 500.0]), share=share, spread=0.2)
        asked = {"assurance": 0.95, "slice_assurance": 0.8, "seed": 1}
        at_random, by_slice = foreseen([gate], 100, **asked), foreseen([gate], [np.array([50.0, 50.0])], **asked)
        assert by_slice.verdicts == at_random.verdicts
        lopsided = foreseen([gate], [np.array([100.0, 0.0])], **asked)
        assert lopsided.left[0][1] < at_random.left[0][1] < lopsided.left[0][2]

    def test_slices_average_to_the_total_and_lie_where_their_labels_are(self):
        rng, total = np.random.default_rng(2), np.random.default_rng(1).normal(0.0, 0.02, 4000)
        share = np.array([0.5, 0.3, 0.2])
        mean, sd = np.array([0.01, 0.0, -0.4]), np.array([0.02, 0.03, 0.04])
        drawn_ = slice_draws(total, mean, sd, share, scale=0.1, rng=rng)
        assert drawn_ @ share == pytest.approx(total)
        assert drawn_.mean(axis=0)[2] < -0.25 < drawn_.mean(axis=0)[0]
        alike = slice_draws(total, np.array([0.0, 0.0, NAN]), np.array([0.01, 0.01, NAN]), share, scale=0.1, rng=rng)
        assert np.abs(alike.mean(axis=0)).max() < 0.02 and alike.std(axis=0)[2] > alike.std(axis=0)[0]

    def test_a_loss_in_one_slice_beyond_doubt_closes_a_candidate(self):
        plan, data = migration(0.8, 0.8, labelled=400, regions=two_regions(rare=0.5), share={"rare": 0.1, "usual": 0.9},
                               slice_margin=0.1)
        rare = set(data.items.loc[data.items["slice"] == "rare", "item_id"])
        lost = (data.scores["model"] == "new") & data.scores["item_id"].isin(rare)
        scores = data.scores.assign(value=data.scores["value"].where(~lost, 0.0))
        kept = (data.scores["model"] == "new") & ~data.scores["item_id"].isin(rare)
        scores = scores.assign(value=scores["value"].where(~kept, 1.0))
        found = prospects(plan, {"correct": build_features(replace(data, scores=scores), plan, "correct")},
                          check_requirements(plan, data))
        assert "in rare" in found.closed["new"] and found.verdicts["new"] == "keep"

    def test_five_candidates_take_no_five_seconds(self):
        plan, data = migration(0.8, 0.8, 0.79, 0.81, 0.78, 0.8, n=2000, labelled=300, criteria=2,
                               regions=two_regions(2000), share={"rare": 0.5, "usual": 0.5}, slice_margin=0.1)
        features = {one.id: build_features(data, plan, one.id) for one in plan.criteria}
        asked = check_requirements(plan, data)
        start = time.perf_counter()
        next_labels(plan, data, features, asked, n=100)
        assert time.perf_counter() - start < 5


def test_figures_tables_and_sentences_tell_the_same_numbers():
    plan, data = migration(0.8, 0.8, 0.79, regions=two_regions(), share={"rare": 0.8, "usual": 0.2})
    found = drawn(plan, data, n=100)
    strata, curve = figures.labels.strata(found, plan), figures.labels.assurance(found, plan)
    part = by_part(found.plan.strata).set_index("name")
    for name in ("rare", "usual"):
        row = part.loc[name]
        assert f"{name}: {row['next']} planned, {row['at_random']:.0f} at random" in strata.alt_text
    for picture in (strata, curve):
        content, metadata = picture._repr_mimebundle_()
        assert content["image/png"] and metadata["image/png"]["alt"] == picture.alt_text
        assert picture.caption.endswith(".")
        assert "nan" not in picture.alt_text
    assert str(part.loc["rare", "next"]) in story.labels.chosen(found, plan)
    html = tables.labels.strata(found, plan).as_raw_html() + tables.labels.assurance(found).as_raw_html()
    assert f">{part.loc['rare', 'next']}<" in html and "at random" in html
    told = story.labels.assurance(found, plan)
    assert all(f"- {model}: " in told for model in plan.candidates)


class TestSlicesAroundTheTotal:
    SCALE = 0.1

    def drawn(self, mean, sd):
        total = np.random.default_rng(1).normal(0.2, 0.02, 8000)
        found = slice_draws(total, np.array(mean), np.array(sd), np.full(len(mean), 1 / len(mean)), scale=self.SCALE,
                            rng=np.random.default_rng(2))
        return found - total[:, None]

    def test_labels_that_say_nothing_leave_the_prior(self):
        # Each of two slices lies off their mean by its own deviation less half of both: variance scale² / 2.
        assert self.drawn([0.0, 0.0], [50.0, 50.0]).std(axis=0) == pytest.approx(self.SCALE / np.sqrt(2), rel=0.1)

    def test_labels_that_say_all_leave_their_own_error(self):
        found = self.drawn([0.3, -0.3], [0.01, 0.01])
        assert found.mean(axis=0) == pytest.approx([0.3, -0.3], abs=0.01)
        assert found.std(axis=0) == pytest.approx(0.01 / np.sqrt(2), rel=0.1)

    def test_a_slice_without_labels_lies_as_far_off_as_the_others_do_from_each_other(self):
        alike, apart = (self.drawn([*(far * np.array([-1, -0.5, 0, 0.5, 1])), NAN], [0.005] * 5 + [NAN])[:, -1].std()
                        for far in (0, 0.2))
        assert alike < self.SCALE / 3 and apart > self.SCALE

    def test_slices_alike_lie_on_the_total_whatever_the_level_of_their_labels(self):
        assert self.drawn([0.3, 0.3], [0.01, 0.2]).mean(axis=0) == pytest.approx([0, 0], abs=0.01)


def test_the_outlook_names_the_first_size_that_is_likely_to_settle_it_by_the_planned_odds():
    plan, data = migration(0.8, 0.81, labelled=80)
    found = drawn(plan, data)
    assert found.prospects.verdicts["new"] == "collect"
    odds = dict(zip((0, *CURVE_SIZES), (0.0, 0.3, 0.6, 0.85, 0.9, 0.95), strict=True))
    settled = found.curve["labels"].map(odds).where(found.curve["chosen"] == PLANNED, 0.99)

    def told(part):
        curve = found.curve.assign(settled=part * settled, switch=0.8 * part * settled, keep=0.2 * part * settled)
        return story.labels.assurance(found._replace(curve=curve), plan)

    assert "about 100 further items, chosen so, lead to a verdict with probability 85.0% (`switch` 68.0%, `keep` " \
           "17.0%)." in told(1)
    assert "even 400 further items lead to a verdict with a probability of only 47.5%, less than 80%" in told(0.5)


@pytest.mark.parametrize("given", [NAN, 0.3])
def test_judged_items_out_of_reach_keep_their_probability_or_take_the_share_judged_by_now(given):
    text = np.array([[f"old {n}", f"new {n}"] for n in range(400)], dtype=object)
    text[:30, 1] = None
    plan, data = migration(0.8, 0.8, n=400, text=text)
    human = data.scores["rater_kind"] == "human"
    gone = human & (data.scores["model"] == "new") & (data.scores["item_id"] < "i00030")
    scores = data.scores.assign(inclusion_prob=np.where(human, given, NAN))[~gone]
    rows = drawn(plan, replace(data, scores=scores), n=30).plan.inclusion
    out, used = rows["stratum"] < 0, rows["before"].notna() | (rows["drawn"] == 1)
    assert out.sum() == 30 and not used[out].any()
    assert rows.loc[out, "inclusion_prob"].to_numpy() == pytest.approx(
        used.sum() / (400 - 30) if np.isnan(given) else given)


def test_what_a_random_draw_would_have_is_the_share_of_items_left():
    plan, data = migration(0.8, 0.8, regions=two_regions(), share={"rare": 0.5, "usual": 0.5})
    human = data.scores["rater_kind"] == "human"
    rare = set(data.items.loc[data.items["slice"] == "rare", "item_id"])
    # All labels are of one slice.
    found = drawn(plan, replace(data, scores=data.scores[~human | data.scores["item_id"].isin(rare)]), n=60)
    part = by_part(found.plan.strata).set_index("name")
    left = part["items"] - part["labelled"]
    for names in (["rare", "usual"], [name for name in part.index if name not in ("rare", "usual")]):
        assert part.loc[names, "at_random"].to_numpy() == pytest.approx(60 * left[names] / left[names].sum())
        assert part.loc[names, "labelled"].nunique() > 1


@pytest.mark.parametrize(("pattern", "pairwise_", "said"), [
    ((1, 1), False, SAME), ((1, 2), False, APART), ((0, 1), False, MISSING), ((0, 2), True, SAME),
    ((0, 1), True, APART), ((0, 3), True, APART), ((0, 0), True, MISSING), ((0, 3, 3), True, SAME),
    (None, False, RARE)])
def test_what_the_metric_says_in_a_stratum(pattern, pairwise_, said):
    plan, data = migration(0.8, 0.8, n=300)
    features = build_features(data, plan, "correct").assign_attrs(kind="pairwise" if pairwise_ else "binary")
    design = label_design(build_features(data, plan, "correct"), ["new"], n=10)
    one = design._replace(stratum=np.zeros_like(design.stratum), slice_index=np.array([0]), weight=np.ones(1),
                          pattern=[pattern], alike=np.array([False]))
    assert strata_table(one, features, np.array([1]))["says"].tolist() == [said]


def test_a_candidate_without_a_verdict_decides_before_one_that_may_replace_the_incumbent():
    plan, _ = migration(0.8, 0.8, 0.8, n=100)
    held = {"new": 0.96, "other": 0.97}
    gates = {model: {"correct": SimpleNamespace(probability=one)} for model, one in held.items()}
    for waiting in ("other", "new"):
        verdicts = dict.fromkeys(held, "switch") | {waiting: "collect"}
        found = SimpleNamespace(gates=gates, verdicts=verdicts)
        assert deciding(found, plan, ["correct"], [*held]) == ("correct", waiting, held[waiting])
    ready = SimpleNamespace(gates=gates, verdicts={"new": "keep", "other": "switch"})
    assert deciding(ready, plan, ["correct"], [*held]) == ("correct", "other", held["other"])


def test_a_slice_matters_by_the_ratio_of_margins_until_it_holds_or_fails_for_every_candidate():
    plan, _ = migration(0.8, 0.8, 0.8, n=100, slice_margin=0.06)
    held = {"holds": (1, 0.99), "fails": (0, 0.01), "holds for one": (1, 0.5), "either way": (1, 0), "open": (0.5, 0.9)}
    found = SimpleNamespace(gates={model: {"correct": SimpleNamespace(slices={
        name: of[place] for name, of in held.items()})} for place, model in enumerate(plan.candidates)})
    ratio = plan.gates[0].margin / plan.gates[0].slice_margin
    assert urgency(plan, found, "correct", plan.candidates, [*held, "not judged"]).tolist() == pytest.approx(
        [0, 0, ratio, 0, ratio, ratio])


def test_only_items_that_nobody_judged_bring_worth_to_another_gate():
    plan, data = migration(0.8, 0.8, labelled=900)
    design = label_design(build_features(data, plan, "correct"), ["new"], n=100)
    design = design._replace(spread=np.full(len(design.weight), 0.5))
    # All that are left are drawn, and on the other gate nobody has judged any.
    other = design._replace(labelled=np.zeros_like(design.labelled))
    told = worth_by_slice(design, {"kind": other}, [100], n_slices=1)[100]["kind"]
    assert told.sum() == pytest.approx(100, rel=0.2)


def test_every_gate_has_the_new_labels_that_are_its_own():
    rng, share = np.random.default_rng(0), np.array([0.5, 0.5])
    slices = rng.normal(0, 0.05, (2000, 2))
    gate = Evidence(draws=np.column_stack([slices @ share, slices]), margin=np.array([0.03, NAN, NAN]),
                    labels=np.array([50.0, 50.0]), items=np.array([500.0, 500.0]), share=share, spread=0.2)
    new, asked = [np.array([100.0, 0.0]), np.array([0.0, 30.0])], {"assurance": 0.95, "slice_assurance": 0.8, "seed": 1}
    both = foreseen([gate, gate], new, **asked).left
    for place, one in enumerate(new):
        assert both[place] == pytest.approx(foreseen([gate], [one], **asked).left[0])
    assert both[0][1] < both[1][1] and both[1][2] < both[0][2]
