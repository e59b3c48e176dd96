"""The embedded sentiment data: its tables fit each other, hold no texts and say what its README says."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from migration_kit.data import load_data
from migration_kit.plan import load_plan
from migration_kit.shadow import shadow_data

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "data" / "sentiment"
REFERENCE = ROOT.parent / "shared" / "data" / "vader_sentiment"
COUNTS = {-1: "n_negative", 0: "n_neutral", 1: "n_positive"}
KEY = ["item_id", "model"]


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    csv = {name: pd.read_csv(FOLDER / f"{name}.csv") for name in ("items", "human", "traffic", "live_human")}
    names = ("outputs", "metrics", "ratings", "held_out", "live", "live_ratings")
    return csv | {name: pd.read_parquet(FOLDER / f"{name}.parquet") for name in names}


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("sentiment_build", FOLDER / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def plan():
    return load_plan(FOLDER / "migration.yml")


def contrasts(tables: dict[str, pd.DataFrame], table: str, column: str) -> pd.Series:
    """Traffic-weighted mean of a column, each model minus the incumbent."""
    shares = tables["traffic"].set_index("domain")["share"]
    rows = tables[table].merge(tables["items"], on="item_id")
    means = rows.groupby(["domain", "model"])[column].mean().unstack()
    quality = shares.loc[means.index] @ means
    return quality - quality["afinn-0.1"]


def test_the_folder_is_small_and_holds_no_texts(tables):
    files = [path for path in FOLDER.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 1_000_000
    for name, table in tables.items():
        assert "text" not in table.columns, name
        for column in table.select_dtypes(["object", "string"]):
            assert table[column].str.len().max() <= 24, f"{name}.{column}"
            assert not table[column].str.contains(" ").any(), f"{name}.{column}"


def test_items_and_traffic_differ_in_their_share_of_tweets(tables, build):
    items, traffic = tables["items"], tables["traffic"].set_index("domain")["share"]
    assert items["item_id"].is_unique
    assert items["domain"].value_counts().to_dict() == build.N_ITEMS
    assert (items["domain"] == "tweets").mean() == 0.15
    assert traffic.to_dict() == build.TRAFFIC
    assert traffic.sum() == pytest.approx(1)
    assert traffic["tweets"] == 0.80


@pytest.mark.parametrize("name", ["outputs", "metrics", "held_out"])
def test_every_model_has_every_item_once(tables, plan, name):
    table = tables[name]
    assert not table.duplicated(KEY).any()
    assert set(table["model"]) == set(plan.model_ids)
    assert len(table) == len(tables["items"]) * len(plan.model_ids)
    assert set(table["item_id"]) == set(tables["items"]["item_id"])


def test_polarity_decided_and_confidence_follow_from_the_score(tables, build):
    outputs = tables["outputs"]
    assert (outputs["decided"] == outputs["polarity"].abs()).all()
    assert (outputs["latency_ms"] > 0).all()
    for model, rows in outputs.groupby("model"):
        assert (build.polarity(rows["score"], model) == rows["polarity"]).all()
        rank = (rows["score"].abs().rank() - 0.5) / len(rows)
        assert (rank - rows["confidence"]).abs().max() < 1e-4


def test_metrics_are_of_the_outputs(tables):
    metrics, outputs = tables["metrics"], tables["outputs"]
    assert (metrics[KEY] == outputs[KEY]).all(axis=None)
    assert metrics.drop(columns=KEY).isin([0, 0.5, 1]).all(axis=None)
    wide = outputs.pivot(index="item_id", columns="model", values="polarity")
    for model, rows in metrics.set_index("item_id").groupby("model"):
        others = wide.drop(columns=model)
        assert (rows["rivals_agree"] == others.eq(wide[model], axis=0).mean(axis=1).loc[rows.index]).all()
    agrees = metrics.groupby("model")["afinn_emoticons_agrees"].mean()
    assert agrees["afinn-0.1"] > 0.98


@pytest.mark.parametrize("layer", ["", "live_"])
def test_human_judgments_are_one_possible_rater_an_item(tables, build, layer):
    human, outputs = tables[f"{layer}human"], tables["live" if layer else "outputs"]
    assert human["item_id"].nunique() == (build.N_LIVE_LABELLED if layer else build.N_LABELLED)
    assert (human.groupby("item_id")["model"].nunique() == outputs["model"].nunique()).all()
    assert (human.groupby("item_id")["rater_polarity"].nunique() == 1).all()
    assert (human["verdict"].eq("agree") == human["polarity"].eq(human["rater_polarity"])).all()
    made = human.merge(outputs, on=KEY, validate="1:1", suffixes=("", "_made"))
    assert len(made) == len(human)
    assert (made["polarity"] == made["polarity_made"]).all()
    drawn = human.drop_duplicates("item_id").merge(tables[f"{layer}ratings"], on="item_id", validate="1:1")
    assert all(row[COUNTS[row["rater_polarity"]]] > 0 for _, row in drawn.iterrows())


def test_labels_look_like_a_random_draw_from_all_judgments(tables):
    seen = tables["human"].merge(tables["held_out"], on=KEY, validate="1:1")
    error = seen["verdict"].eq("agree") - seen["value"]
    assert abs(error.mean()) < 3 * error.std() / np.sqrt(seen["item_id"].nunique())
    labelled = tables["items"]["item_id"].isin(seen["item_id"])
    share = tables["items"].loc[labelled, "domain"].eq("tweets").mean()
    assert abs(share - 0.15) < 3 * np.sqrt(0.15 * 0.85 / labelled.sum())


def test_held_out_is_the_share_of_all_raters_who_agree(tables):
    counts = tables["ratings"].set_index("item_id")[list(COUNTS.values())]
    assert counts.sum(axis=1).between(15, 99).all()
    shares = counts.div(counts.sum(axis=1), axis=0)
    rows = tables["held_out"].merge(tables["outputs"], on=KEY, validate="1:1")
    expected = [shares.at[item, COUNTS[p]] for item, p in zip(rows["item_id"], rows["polarity"], strict=True)]
    np.testing.assert_allclose(rows["value"], expected, atol=1e-6)


def test_the_truth_and_the_metric_that_reverses_it(tables):
    truth = contrasts(tables, "held_out", "value")
    assert truth["vader-3.3.2"] == pytest.approx(0.0644, abs=5e-5)
    assert truth["textblob-0.20.1"] == pytest.approx(-0.0433, abs=5e-5)
    believed = contrasts(tables, "metrics", "afinn_emoticons_agrees")
    assert believed["vader-3.3.2"] < -0.1 < 0 < truth["vader-3.3.2"]
    assert believed.idxmax() == "afinn-0.1"


def test_the_plan_reads_every_row(tables, plan):
    data = load_data(plan)
    assert data.exclusions.empty
    assert plan.slices == ("domain",)
    n = data.scores.groupby(["criterion", "rater"]).size()
    assert n["polarity", "random_rater"] == len(tables["human"])
    for rater in ("polarity", "afinn_emoticons_agrees"), ("decided", "rule"), ("latency_ms", "timer"):
        assert n[rater] == len(tables["outputs"])
    assert set(plan.criterion("polarity").metrics) <= set(n["polarity"].index)
    assert len(data.held_out) == len(tables["held_out"])


def test_live_requests_are_further_tweets_run_like_the_test_set(tables, build):
    live, outputs = tables["live"], tables["outputs"]
    assert not live.duplicated(KEY).any() and live["item_id"].nunique() == build.N_LIVE
    assert (live.groupby("item_id")["model"].nunique() == len(build.MODELS)).all()
    assert live["item_id"].str.startswith(f"{build.LIVE_DOMAIN}-").all()
    assert not live["item_id"].isin(tables["items"]["item_id"]).any()
    assert set(tables["live_ratings"]["item_id"]) == set(live["item_id"])
    assert (live["decided"] == live["polarity"].abs()).all()
    wide = live.pivot(index="item_id", columns="model", values="polarity")
    for model, rows in live.groupby("model"):
        assert (build.polarity(rows["score"], model) == rows["polarity"]).all()
        # The same yardstick as on the test set: equal scores have equal confidence.
        known = outputs[outputs["model"] == model].drop_duplicates("score").set_index("score")["confidence"]
        there = rows[rows["score"].isin(known.index)]
        assert len(there) > 300 and (known.loc[there["score"]].to_numpy() == there["confidence"].to_numpy()).all()
        others = wide.drop(columns=model).eq(wide[model], axis=0).mean(axis=1)
        assert (rows.set_index("item_id")["rivals_agree"] == others).all()


def live_truth(tables: dict[str, pd.DataFrame]) -> pd.Series:
    """Mean share of all raters who agree with the model on live tweets, each model minus the incumbent."""
    counts = tables["live_ratings"].set_index("item_id")[list(COUNTS.values())]
    shares = counts.div(counts.sum(axis=1), axis=0)
    live = tables["live"]
    value = [shares.at[item, COUNTS[p]] for item, p in zip(live["item_id"], live["polarity"], strict=True)]
    quality = live.assign(value=value).groupby("model")["value"].mean()
    return quality - quality["afinn-0.1"]


def test_live_tweets_are_like_those_of_the_test_set(tables):
    truth = live_truth(tables)
    rows = tables["held_out"].merge(tables["items"], on="item_id").query("domain == 'tweets'")
    offline = rows.groupby("model")["value"].mean()
    offline = offline - offline["afinn-0.1"]
    for model, (live, there) in {"vader-3.3.2": (0.0642, 0.0701), "textblob-0.20.1": (-0.0560, -0.0496)}.items():
        assert truth[model] == pytest.approx(live, abs=5e-5) and offline[model] == pytest.approx(there, abs=5e-5)


def test_the_shadow_of_the_plan_holds_these_tweets_and_their_labels(tables, plan, build):
    data = load_data(plan)
    shadow, own = shadow_data(data, plan)
    assert set(data.live["stage"]) == {"shadow"} and data.live["time"].nunique() == 1
    assert list(shadow.traffic["slice"]) == [build.LIVE_DOMAIN] and len(shadow.items) == build.N_LIVE
    assert own.model_ids == plan.model_ids and own.criterion("polarity").metrics == plan.criterion("polarity").metrics
    assert own.criterion("polarity").covariates == plan.criterion("polarity").covariates
    n = shadow.scores.groupby(["rater_kind"]).size()
    assert n["human"] == len(tables["live_human"])
    assert n["judge"] + n["code"] == len(tables["live"]) * len(own.criterion("polarity").metrics)


def test_build_names_the_packages_that_the_models_are_named_after(build, plan):
    pinned = {package.lower().replace("==", "-") for package in build.PACKAGES}
    assert set(build.MODELS) == set(plan.model_ids)
    assert plan.incumbent == build.INCUMBENT
    assert {model.replace("vader-", "vadersentiment-") for model in build.MODELS} <= pinned
    assert "://" not in (FOLDER / "build.py").read_text(encoding="utf-8")


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the reference data is not beside the project")
def test_ratings_and_outputs_match_the_reference(tables):
    ratings = pd.read_parquet(REFERENCE / "items.parquet").merge(tables["ratings"], on="item_id", validate="1:1")
    assert len(ratings) > 300
    n = ratings[list(COUNTS.values())].sum(axis=1)
    assert (n == ratings["n_raters"]).all()
    np.testing.assert_allclose(ratings["n_positive"] / n, ratings["share_positive"])
    np.testing.assert_allclose(ratings["n_negative"] / n, ratings["share_negative"])
    outputs = pd.read_parquet(REFERENCE / "outputs.parquet").merge(tables["outputs"], on=KEY, validate="1:1")
    assert len(outputs) == 3 * len(ratings)
    assert (outputs["predicted_polarity"] == outputs["polarity"]).all()
    same_scale = outputs[outputs["model"] != "afinn-0.1"]
    np.testing.assert_allclose(same_scale["prediction"], same_scale["score"], atol=6e-5)
    signs = np.sign(pd.read_parquet(REFERENCE / "ratings.parquet").set_index("item_id")["rating"])
    first = signs.groupby("item_id").value_counts().unstack(fill_value=0).rename(columns=COUNTS)
    whole = ratings[ratings["n_raters"] <= 20].set_index("item_id")
    assert (first.loc[whole.index, list(COUNTS.values())] == whole[list(COUNTS.values())]).all(axis=None)
