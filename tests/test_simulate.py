"""Simulated migrations: the truth they claim is the truth they draw, and data/support is what its script makes."""

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from migration_kit.data import load_data
from migration_kit.errors import InputError
from migration_kit.plan import load_plan
from migration_kit.simulate import (
    SCENARIOS,
    SUPPORT_METRICS,
    SUPPORT_MODELS,
    SUPPORT_REGIONS,
    draw_latent,
    score_rows,
    simulate_pairs,
    simulate_support,
    support_rates,
)

ROOT = Path(__file__).parents[1]
SUPPORT = ROOT / "data" / "support"
TABLES = ("items", "outputs", "scores", "traffic", "held_out", "truth", "metric_truth")
CONSTANTS = runpy.run_path(str(SUPPORT / "simulate.py"), run_name="support_tables")


@pytest.fixture(scope="module")
def large():
    return simulate_support(5, n_items=60_000, n_labels=600)


@pytest.fixture(scope="module")
def plan():
    return yaml.safe_load((SUPPORT / "migration.yml").read_text(encoding="utf-8"))


def wide(rows, name):
    return rows.loc[rows["criterion"].eq(name)].pivot(index="item_id", columns="model", values="value")


def close(found, exact, n):
    """Whether a rate over n outputs lies within 4.5 Monte Carlo standard errors of its exact value."""
    return np.abs(found - exact) < 4.5 * np.sqrt(np.clip(exact * (1 - exact), 1e-4, None) / n)


@pytest.mark.parametrize("name", SCENARIOS)
def test_pairs_have_the_rates_and_metric_errors_of_their_scenario(name):
    scenario, n = SCENARIOS[name], 100_000
    drawn = simulate_pairs(**scenario, n_labels=1000, n_unlabelled=n - 1000, seed=3)
    assert drawn.truth.shape == (n, 2) and drawn.metrics.shape == (n, 2, 1)
    assert drawn.labelled.sum() == 1000
    assert drawn.quality.tolist() == list(scenario["quality"])
    for m in range(2):
        good = drawn.truth[:, m] == 1
        verdict = drawn.metrics[:, m, 0]
        assert close(good.mean(), scenario["quality"][m], n)
        assert close(verdict[good].mean(), scenario["sensitivity"][m], good.sum())
        assert close(1 - verdict[~good].mean(), scenario["specificity"][m], (~good).sum())


def test_latent_difficulty_has_unit_variance_and_the_correlation_asked_for():
    latent, hardness = draw_latent(200_000, 3, rng=np.random.default_rng(1), correlation=0.5)
    correlation = np.corrcoef(latent.T)
    assert latent.std(axis=0) == pytest.approx(np.ones(3), abs=0.01)
    assert correlation[np.triu_indices(3, 1)] == pytest.approx(np.full(3, 0.5), abs=0.01)
    assert np.corrcoef(latent[:, 0], hardness)[0, 1] == pytest.approx(np.sqrt(0.5), abs=0.01)


def test_pairs_take_several_models_and_metrics_and_become_scores():
    drawn = simulate_pairs(
        quality=(0.8, 0.7, 0.9),
        sensitivity=((0.9, 0.9, 0.9), (0.6, 0.6, 0.6)),
        specificity=((0.8, 0.8, 0.8), (0.5, 0.5, 0.5)),
        n_labels=20,
        n_unlabelled=80,
        seed=1,
    )
    assert drawn.metrics.shape == (100, 3, 2)
    item_id = np.array([f"i{k}" for k in range(100)])
    rows = score_rows(
        item_id, ["a", "b", "c"], drawn.metrics[:, :, 1], criterion="correct", rater="j", rater_kind="judge"
    )
    table = wide(rows, "correct").loc[item_id]
    np.testing.assert_array_equal(table.to_numpy(), drawn.metrics[:, :, 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quality": (0.8, 1.0)}, "quality"),
        ({"sensitivity": (0.9,)}, "sensitivity.*2 models"),
        ({"specificity": (0, 1)}, "spec"),
    ],
)
def test_impossible_scenarios_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        simulate_pairs(**{**SCENARIOS["A"], **change}, n_labels=10, seed=1)


def test_support_rates_are_those_drawn_in_every_region(large):
    rates = support_rates()
    judged = large.held_out.merge(large.items, on="item_id")
    assert judged["value"].isin([0, 1]).all()
    for criterion in ("correct", "refusal", "style"):
        found = judged[judged["criterion"] == criterion].groupby(["model", "region"])["value"].agg(["mean", "size"])
        for (model, region), row in found.iterrows():
            exact = rates[criterion][SUPPORT_MODELS.index.get_loc(model), SUPPORT_REGIONS.index.get_loc(region)]
            assert close(row["mean"], exact, row["size"]), (criterion, model, region)


def test_support_truth_is_weighted_by_traffic_and_positive_contrasts_are_better(large):
    truth = large.truth.set_index(["criterion", "model", "slice"])
    for criterion, sign in {"correct": 1, "refusal": -1, "style": 1}.items():
        for model in SUPPORT_MODELS.index:
            cells = truth.loc[[(criterion, model, region) for region in SUPPORT_REGIONS.index], "value"].to_numpy()
            total = truth.loc[(criterion, model, "all")]
            incumbent = truth.loc[(criterion, "atlas-2025-06", "all"), "value"]
            assert total["value"] == pytest.approx(np.average(cells, weights=SUPPORT_REGIONS["traffic"]))
            assert total["contrast"] == pytest.approx(sign * (total["value"] - incumbent))
    seconds = wide(large.scores, "latency_s").quantile(0.95)
    exact = truth.xs("latency_s")["value"].droplevel("slice")
    assert seconds.to_numpy() == pytest.approx(exact[seconds.index].to_numpy(), rel=0.02)


def test_refused_outputs_are_never_correct_and_models_share_hard_items(large):
    correct, refused = wide(large.held_out, "correct"), wide(large.held_out, "refusal")
    assert not ((correct == 1) & (refused == 1)).any(axis=None)
    assert (correct.corr().to_numpy()[np.triu_indices(5, 1)] > 0.2).all()


def test_support_metrics_err_as_stated(large):
    under_traffic = large.items.set_index("item_id")["region"].map(SUPPORT_REGIONS["traffic"] / SUPPORT_REGIONS["test"])
    for (criterion, metric), exact in large.metric_truth.groupby(["criterion", "metric"]):
        truth = wide(large.held_out, criterion)
        verdict = wide(large.scores[large.scores["rater"] == metric], criterion)
        weight = under_traffic[truth.index]
        for row in exact.itertuples():
            good, called = truth[row.model] == 1, verdict[row.model]
            for share, outputs in ((row.true_positive_rate, good), (row.false_positive_rate, ~good)):
                found = np.average(called[outputs], weights=weight[outputs])
                effective = weight[outputs].sum() ** 2 / (weight[outputs] ** 2).sum()
                assert close(found, share, effective), (metric, row.model)
    scores = {name for name, metric in SUPPORT_METRICS.items() if metric.score}
    values = large.scores.loc[large.scores["rater"].isin(scores), "value"]
    assert values.between(0, 1).all() and values.nunique() > 50


def test_one_judge_is_taken_in_by_one_candidate_on_hard_items(large):
    truth = wide(large.held_out, "correct")
    verdict = wide(large.scores[large.scores["rater"] == "judge_cirrus"], "correct")
    others = truth.drop(columns="cirrus-2026-08").mean(axis=1)
    wrong = truth["cirrus-2026-08"] == 0
    accepted = verdict["cirrus-2026-08"][wrong]
    assert accepted[others[wrong] < 0.5].mean() > accepted[others[wrong] == 1].mean() + 0.10


def test_same_seed_same_tables_and_more_labels_add_to_fewer():
    first, again = (simulate_support(3, n_items=300, n_labels=40) for _ in range(2))
    more, other = simulate_support(3, n_items=300, n_labels=90), simulate_support(4, n_items=300, n_labels=40)
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(first, name), getattr(again, name), check_exact=True)
    pd.testing.assert_frame_equal(first.held_out, more.held_out, check_exact=True)
    assert not first.held_out["value"].equals(other.held_out["value"])
    few, many = (s.scores.loc[s.scores["rater_kind"] == "human", "item_id"] for s in (first, more))
    assert few.nunique() == 40 and many.nunique() == 90 and set(few) < set(many)
    with pytest.raises(InputError, match="n_labels is 301"):
        simulate_support(1, n_items=300, n_labels=301)


def test_every_candidate_has_exactly_its_one_reason(plan):
    truth = pd.read_csv(SUPPORT / "truth.csv").set_index(["criterion", "model", "slice"]).sort_index()
    reasons = {}
    for candidate in plan["models"]["candidates"]:
        model, found = candidate["id"], []
        for gate in plan["criteria"]:
            contrast = truth.loc[(gate["id"], model), "contrast"]
            if contrast["all"] < -gate["margin"]:
                found.append(gate["id"])
            found += [f"{gate['id']} in {s}" for s, d in contrast.drop("all").items() if d < -gate["slice_margin"]]
        if truth.loc[("format_ok", model, "all"), "value"] < 0.99:
            found.append("format")
        if truth.loc[("latency_s", model, "all"), "value"] > 2.0:
            found.append("latency")
        reasons[model] = found
    assert reasons == {
        "borealis-2026-09": ["correct in south_asia"],
        "cirrus-2026-08": ["correct"],
        "delta-2026-07": ["format"],
        "ember-2026-10": [],
    }


def test_judges_prefer_the_candidate_that_people_find_worse(plan):
    scores = pd.read_parquet(SUPPORT / "scores.parquet")
    held_out = pd.read_parquet(SUPPORT / "held_out.parquet")
    for metric in ("judge_cirrus", "judge_quill"):
        means = wide(scores[scores["rater"] == metric], "correct").mean()
        assert means["cirrus-2026-08"] - means["atlas-2025-06"] > 0.03
        assert means.idxmax() == "cirrus-2026-08"
    people = wide(held_out, "correct").mean()
    assert people["cirrus-2026-08"] - people["atlas-2025-06"] < -0.05
    assert people.idxmin() == "cirrus-2026-08"


def test_committed_tables_are_what_the_script_makes():
    drawn = simulate_support(CONSTANTS["SEED"], n_items=CONSTANTS["N_ITEMS"], n_labels=CONSTANTS["N_LABELS"])
    for name in TABLES:
        csv = SUPPORT / f"{name}.csv"
        stored = pd.read_csv(csv) if csv.exists() else pd.read_parquet(SUPPORT / f"{name}.parquet")
        pd.testing.assert_frame_equal(stored, getattr(drawn, name), check_dtype=False, atol=1e-6, rtol=0)


def test_the_folder_is_small_and_labels_are_the_same_items_for_all_models():
    assert sum(f.stat().st_size for f in SUPPORT.iterdir() if f.is_file()) < 2_000_000
    human = pd.read_parquet(SUPPORT / "scores.parquet").query("rater_kind == 'human'")
    counts = human.groupby(["criterion", "model"])["item_id"].agg(["nunique", frozenset])
    assert (counts["nunique"] == CONSTANTS["N_LABELS"]).all()
    assert counts["frozenset"].nunique() == 1


def test_the_plan_reads_the_folder_without_leaving_anything_out():
    plan = load_plan(SUPPORT / "migration.yml")
    data = load_data(plan)
    assert data.exclusions.empty
    assert list(plan.model_ids) == list(SUPPORT_MODELS.index)
    assert {metric for gate in plan.gates for metric in gate.metrics} == set(SUPPORT_METRICS)
    assert data.traffic.set_index("slice")["share"].to_dict() == SUPPORT_REGIONS["traffic"].to_dict()
    assert len(data.held_out) == 3 * 5 * CONSTANTS["N_ITEMS"]


def test_readme_gives_the_numbers_of_the_tables():
    readme = (SUPPORT / "README.md").read_text(encoding="utf-8")
    power = pd.read_csv(ROOT / "benchmarks" / "results" / "support_power.csv")
    share = power.set_index(["method", "n_labels", "candidate"])
    for n in power["n_labels"].unique():
        used, alone = share.loc[("labels and metrics", n)], share.loc[("labels only", n)]
        cells = [
            f"{used.loc['ember-2026-10', 'switch']:.1%}",
            f"{alone.loc['ember-2026-10', 'switch']:.1%}",
            f"{used.loc['borealis-2026-09', 'switch']:.1%}",
            f"{used.loc['borealis-2026-09', 'keep']:.1%}",
            f"{used.loc['cirrus-2026-08', 'keep']:.1%}",
            f"{used.loc['delta-2026-07', 'keep']:.1%}",
            f"{used.loc['ember-2026-10', 'sd_correct']:.3f}",
        ]
        assert f"| {n} | {' | '.join(cells)} |" in readme
    truth = pd.read_csv(SUPPORT / "truth.csv").query("slice == 'all'").set_index(["criterion", "model"])
    for model in SUPPORT_MODELS.index:
        cells = [f"{truth.loc[(c, model), 'value']:.3f}" for c in ("correct", "refusal", "style")]
        cells += [f"{truth.loc[('format_ok', model), 'value']:.4f}", f"{truth.loc[('latency_s', model), 'value']:.2f}"]
        assert f"| {model} | {' | '.join(cells)} |" in readme
    contrast = (
        pd.read_csv(SUPPORT / "truth.csv")
        .query("criterion == 'correct'")
        .pivot(index="model", columns="slice", values="contrast")
    )
    judges = pd.read_csv(SUPPORT / "metric_truth.csv").pivot(index="model", columns="metric", values="contrast")
    for model in SUPPORT_MODELS.index[1:]:
        cells = [*judges.loc[model, ["judge_cirrus", "judge_quill"]], *contrast.loc[model, ["all", "south_asia"]]]
        assert f"| {model} | {' | '.join(f'{cell:+.3f}' for cell in cells)} |" in readme
