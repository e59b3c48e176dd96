"""The support assistant: its truth is the truth it draws, and data/support is what its script makes."""

import hashlib
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
    SUPPORT_DRIFT,
    SUPPORT_METRICS,
    SUPPORT_MODELS,
    SUPPORT_REGIONS,
    SUPPORT_SEVERITY,
    SUPPORT_SHADOW,
    opinion_rates,
    simulate_support,
    support_rates,
)
from migration_kit.simulate.support_design import FIRST_DRAWN

ROOT = Path(__file__).parents[1]
SUPPORT = ROOT / "data" / "support"
TABLES = ("items", "outputs", "scores", "traffic", "held_out", "truth", "metric_truth", "live", "live_truth")
GATES, OPINIONS = ["correct", "refusal", "style"], ["satisfaction", "preference"]
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


def test_support_rates_are_those_drawn_in_every_region(large):
    rates = support_rates()
    judged = large.held_out.merge(large.items, on="item_id")
    assert judged.loc[judged["criterion"].isin(GATES), "value"].isin([0, 1]).all()
    for criterion in GATES:
        found = judged[judged["criterion"] == criterion].groupby(["model", "region"])["value"].agg(["mean", "size"])
        for (model, region), row in found.iterrows():
            exact = rates[criterion][SUPPORT_MODELS.index.get_loc(model), SUPPORT_REGIONS.index.get_loc(region)]
            assert close(row["mean"], exact, row["size"]), (criterion, model, region)


def test_opinions_have_the_stated_quality_in_every_region(large):
    exact = opinion_rates(support_rates())
    assert (exact["preference"][0] == 0).all()
    judged = large.held_out.merge(large.items, on="item_id")
    levels = {"satisfaction": {1, 2, 3, 4, 5}, "preference": {-1, 0, 1}}
    for criterion in OPINIONS:
        rows = judged[judged["criterion"] == criterion]
        assert set(rows["value"]) == levels[criterion]
        found = rows.groupby(["model", "region"])["value"].agg(["mean", "sem"])
        assert len(found) == (36 if criterion == "satisfaction" else 30)
        for (model, region), row in found.iterrows():
            truth = exact[criterion][SUPPORT_MODELS.index.get_loc(model), SUPPORT_REGIONS.index.get_loc(region)]
            # A side that people lean to takes at most 0.002 of a net win rate, shown on either side equally often.
            assert abs(row["mean"] - truth) < 4.5 * row["sem"] + 0.002 * (criterion == "preference"), (model, region)


def test_the_panel_differs_mildly_in_severity_and_sides_are_drawn_at_random(large):
    satisfaction = large.held_out[large.held_out["criterion"] == "satisfaction"]
    mean = satisfaction.groupby("rater")["value"].mean()
    assert list(mean.sort_values().index) == list(SUPPORT_SEVERITY)[::-1] and 0.1 < np.ptp(mean) < 0.4
    assert satisfaction["opponent"].isna().all()
    preference = large.held_out[large.held_out["criterion"] == "preference"]
    judge = large.scores[large.scores["rater"] == "preference_judge"]
    for rows, least, most in ((preference, 0.04, 0.2), (judge, 0.2, 0.5)):
        assert set(rows["opponent"]) == {"atlas-2025-06"} and "atlas-2025-06" not in set(rows["model"])
        assert (rows["side"] == "left").mean() == pytest.approx(0.5, abs=0.01)
        by_side = rows.groupby("side")["value"].mean()
        assert least < by_side["right"] - by_side["left"] < most


def test_support_truth_is_weighted_by_traffic_and_positive_contrasts_are_better(large):
    truth = large.truth.set_index(["criterion", "model", "slice"])
    signs = dict.fromkeys([*GATES, *OPINIONS], 1) | {"refusal": -1}
    for criterion, sign in signs.items():
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
    assert (correct.corr().to_numpy()[np.triu_indices(6, 1)] > 0.2).all()


def test_support_metrics_err_as_stated(large):
    under_traffic = large.items.set_index("item_id")["region"].map(SUPPORT_REGIONS["traffic"] / SUPPORT_REGIONS["test"])
    verdicts = large.metric_truth.dropna(subset="true_positive_rate")
    assert set(verdicts["criterion"]) == set(GATES)
    for (criterion, metric), exact in verdicts.groupby(["criterion", "metric"]):
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


def test_every_metric_says_by_itself_what_is_stated(large):
    under_traffic = large.items.set_index("item_id")["region"].map(SUPPORT_REGIONS["traffic"] / SUPPORT_REGIONS["test"])
    for row in large.metric_truth.itertuples():
        said = large.scores[(large.scores["rater"] == row.metric) & (large.scores["model"] == row.model)]
        if said.empty:
            assert (row.metric, row.model, row.mean) == ("preference_judge", "atlas-2025-06", 0)
            continue
        weight = under_traffic[said["item_id"]].to_numpy()
        error = weight * (said["value"].to_numpy() - row.mean)
        assert abs(error.mean()) < 4.5 * error.std() / np.sqrt(len(error)), (row.metric, row.model)


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
    for criteria, n_few, n_many in ((GATES, 40, 90), (["satisfaction"], 20, 45), (["preference"], 17, 38)):
        few, many = (s.scores[(s.scores["rater_kind"] == "human") & s.scores["criterion"].isin(criteria)]
                     for s in (first, more))
        assert few["item_id"].nunique() == n_few and many["item_id"].nunique() == n_many
        assert len(few.merge(many)) == len(few)
    with pytest.raises(InputError, match="n_labels is 301"):
        simulate_support(1, n_items=300, n_labels=301)


def test_every_candidate_has_exactly_its_one_reason_on_the_test_set(plan):
    truth = pd.read_csv(SUPPORT / "truth.csv").set_index(["criterion", "model", "slice"]).sort_index()
    reasons = {}
    for candidate in plan["models"]["candidates"]:
        model, found = candidate["id"], []
        for gate in (one for one in plan["criteria"] if one["role"] == "gate"):
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
        "fjord-2026-10": [],
    }


def test_the_good_candidates_also_please_most_and_the_worst_one_only_the_judges_of_its_house(plan):
    truth = pd.read_csv(SUPPORT / "truth.csv").query("slice == 'all'").set_index(["criterion", "model"])["contrast"]
    said = pd.read_csv(SUPPORT / "metric_truth.csv").set_index(["metric", "model"])["contrast"]
    for criterion in OPINIONS:
        assert list(truth[criterion].nlargest(2).index) == ["fjord-2026-10", "ember-2026-10"]
        assert truth[criterion].idxmin() == "cirrus-2026-08"
        assert said[f"{criterion}_judge"].idxmax() == "cirrus-2026-08"
    family = {metric["id"]: metric.get("family") for metric in plan["metrics"]}
    assert [family[f"{criterion}_judge"] for criterion in OPINIONS] == ["cirrus", "cirrus"]


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
    drawn = simulate_support(CONSTANTS["SEED"], n_items=CONSTANTS["N_ITEMS"], n_labels=CONSTANTS["N_LABELS"],
                             live_seed=CONSTANTS["LIVE_SEED"])
    for name in TABLES:
        csv = SUPPORT / f"{name}.csv"
        stored = pd.read_csv(csv) if csv.exists() else pd.read_parquet(SUPPORT / f"{name}.parquet")
        pd.testing.assert_frame_equal(stored, getattr(drawn, name), check_dtype=False, atol=1e-6, rtol=0)


def test_the_rows_of_the_gates_and_first_models_stay_as_they_were_first_drawn():
    before = ["item_id", "model", "criterion", "rater", "rater_kind", "value"]
    stood = {"items": "c154030346d0d24d", "outputs": "b5056026875eaea8", "scores": "ba851240e03c1d9a",
             "held_out": "8692fdde5a4034be", "truth": "cea744764eb57622", "metric_truth": "b255dafa6f1dffde"}
    for name, digest in stood.items():
        csv = SUPPORT / f"{name}.csv"
        stored = pd.read_csv(csv) if csv.exists() else pd.read_parquet(SUPPORT / f"{name}.parquet")
        if "criterion" in stored:
            stored = stored[~stored["criterion"].isin(OPINIONS)]
        if "model" in stored:
            stored = stored[stored["model"].isin(SUPPORT_MODELS.index[:FIRST_DRAWN])]
        text = stored[before if "rater" in stored else list(stored)].to_csv(index=False, lineterminator="\n")
        assert hashlib.sha256(text.encode()).hexdigest()[:16] == digest, name


def test_the_folder_is_small_and_labels_are_the_same_items_for_all_models():
    assert sum(f.stat().st_size for f in SUPPORT.iterdir() if f.is_file()) < 500_000
    human = pd.read_parquet(SUPPORT / "scores.parquet").query("rater_kind == 'human'")
    counts = human.groupby(["criterion", "model"])["item_id"].agg(["nunique", frozenset])
    assert (counts.loc[GATES, "nunique"] == CONSTANTS["N_LABELS"]).all()
    assert counts.loc[GATES, "frozenset"].nunique() == 1
    assert (counts.loc["satisfaction", "nunique"] == 300).all() and (counts.loc["preference", "nunique"] == 250).all()
    raters = human[human["criterion"] == "satisfaction"].groupby(["item_id", "model"])["rater"].agg(["size", "nunique"])
    assert (raters["size"] == raters["nunique"]).all()
    assert raters["size"].value_counts().to_dict() == {1: 240 * 6, 3: 60 * 6}
    assert all(set(counts.loc[name, "frozenset"].iloc[0]) < counts.loc["correct", "frozenset"].iloc[0]
               for name in OPINIONS)


def test_the_plan_reads_the_folder_without_leaving_anything_out():
    plan = load_plan(SUPPORT / "migration.yml")
    data = load_data(plan)
    assert data.exclusions.empty
    assert list(plan.model_ids) == list(SUPPORT_MODELS.index)
    assert {metric for gate in plan.gates for metric in gate.metrics} == set(SUPPORT_METRICS)
    assert data.traffic.set_index("slice")["share"].to_dict() == SUPPORT_REGIONS["traffic"].to_dict()
    assert len(data.held_out) == (4 * 6 + 5) * CONSTANTS["N_ITEMS"]
    kinds = {criterion.id: (criterion.kind, criterion.role) for criterion in plan.criteria}
    assert kinds["satisfaction"] == ("ordinal", "trade-off") and kinds["preference"] == ("pairwise", "monitor")


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
        cells += [f"{truth.loc[('satisfaction', model), 'value']:.2f}"]
        cells += [f"{truth.loc[('preference', model), 'value']:+.3f}"]
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
        cells = [number for name in OPINIONS
                 for number in (judges.loc[model, f"{name}_judge"], truth.loc[(name, model), "contrast"])]
        assert f"| {model} | {' | '.join(f'{cell:+.3f}' for cell in cells)} |" in readme
    live = pd.read_csv(SUPPORT / "live_truth.csv")
    total = live[live["slice"] == "all"].set_index(["criterion", "statistic", "model"]).sort_index()
    atlas, ember, fjord = SUPPORT_SHADOW.models
    for criterion in ("correct", "refusal", "style"):
        row = total.loc[criterion, "mean"]
        cells = [*(f"{row.loc[model, 'value']:.3f}" for model in SUPPORT_SHADOW.models),
                 *(f"{row.loc[model, 'contrast']:+.3f}" for model in (ember, fjord)), f"{row.loc[fjord, 'gap']:+.3f}"]
        assert f"| {criterion} | {' | '.join(cells)} |" in readme
    names = {"resolved": ("resolved", "mean"), "thumbs_up, all users": ("thumbs_up", "mean"),
             "thumbs_up, those who answer": ("thumbs_up", "mean of answers"),
             "latency, mean seconds": ("latency", "mean")}
    for name, key in names.items():
        row = total.loc[key]
        cells = [*(f"{row.loc[model, 'value']:.3f}" for model in (atlas, ember)), f"{row.loc[ember, 'contrast']:+.3f}"]
        assert f"| {name} | {' | '.join(cells)} |" in readme
    answers = live[live["statistic"] == "share who answer"].set_index(["model", "slice"])["value"]
    assert round(1 / answers[atlas, "all"]) == 9 and round(1 / answers[atlas, "east_asia"]) == 28
    assert f"turns {SUPPORT_DRIFT[1]:.0%} of its verdicts 0 to 1" in readme and f"`{SUPPORT_DRIFT[0]}`" in readme
