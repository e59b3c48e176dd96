"""Facts, rates and percentiles against bounds."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import PLAN, write_tiny
from scipy import stats

from migration_kit import load_data, load_plan
from migration_kit.requirements import check_requirements
from migration_kit.simulate import score_rows

FACTS = """\
requirements:
  - {id: regions, fact: regions, includes: [amer, emea]}
  - {id: price, fact: usd_per_1k_requests, at_most: 1.3}
  - {id: cache, fact: usd_per_1k_requests, at_least: 1.3}
  - {id: exact, fact: usd_per_1k_requests, equals: 4.1}
"""


def with_scores(tiny_plan, requirement, values, *, facts=False):
    """The tiny plan with one requirement on a criterion whose scores are given by model, one a row of items."""
    tiny_plan.write_text(PLAN + (FACTS if facts else f"requirements:\n  - {requirement}\n"), encoding="utf-8")
    if values is None:
        return load_plan(tiny_plan), load_data(load_plan(tiny_plan))
    items = pd.read_csv(tiny_plan.parent / "items.csv")
    reps = -(-len(values[0]) // len(items))
    grown = pd.concat([items.assign(item_id=items["item_id"] + f"-{k}" if k else items["item_id"])
                       for k in range(reps)])[: len(values[0])]
    grown.to_csv(tiny_plan.parent / "items.csv", index=False)
    rows = score_rows(grown["item_id"].to_numpy(), ("old", "new", "small"), np.array(values).T, criterion="extra",
                      rater="meter", rater_kind="code")
    scores = pd.concat([pd.read_csv(tiny_plan.parent / "scores.csv"), rows])
    scores.to_csv(tiny_plan.parent / "scores.csv", index=False)
    plan = load_plan(tiny_plan)
    return plan, load_data(plan)


def status(table, requirement="one"):
    return table[table["requirement"] == requirement].set_index("model")["status"].to_dict()


def test_facts(tiny_plan):
    table = check_requirements(*with_scores(tiny_plan, "", None, facts=True))
    assert status(table, "regions") == {"old": "pass", "new": "pass", "small": "fail"}
    assert status(table, "price") == {"old": "fail", "new": "pass", "small": "pass"}
    assert status(table, "cache") == {"old": "pass", "new": "pass", "small": "fail"}
    assert status(table, "exact") == {"old": "pass", "new": "fail", "small": "fail"}
    text = table.query("requirement == 'regions' and model == 'small'")["text"].item()
    assert "emea missing" in text


def test_a_fact_not_stated_is_unknown(tiny_plan):
    tiny_plan.write_text(PLAN.replace("facts: {regions: [amer], usd_per_1k_requests: 0.4}", "facts: {}")
                         + "requirements:\n  - {id: one, fact: regions, includes: [amer]}\n", encoding="utf-8")
    plan = load_plan(tiny_plan)
    assert status(check_requirements(plan, load_data(plan)))["small"] == "unknown"


def test_a_rate_is_a_beta_posterior(tiny_plan):
    # Without a traffic table all outputs weigh the same.
    n = 300
    values = [np.ones(n), np.r_[np.zeros(3), np.ones(n - 3)], np.r_[np.zeros(30), np.ones(n - 30)]]
    plan, data = with_scores(tiny_plan, "{id: one, criterion: extra, at_least: 0.99, assurance: 0.9}", values)
    data.traffic["share"] = data.traffic["slice"].map(data.items["slice"].value_counts(normalize=True))
    table = check_requirements(plan, data).set_index("model")
    for model, bad in (("old", 0), ("new", 3), ("small", 30)):
        beta = stats.beta(n - bad + 0.5, bad + 0.5)
        assert table.loc[model, "probability"] == pytest.approx(beta.sf(0.99))
        assert table.loc[model, "lower"] == pytest.approx(beta.ppf(0.025))
    assert table["status"].to_dict() == {"old": "pass", "new": "unknown", "small": "fail"}


def test_traffic_weights_a_rate(tiny_plan):
    values = [np.ones(240), np.ones(240), np.ones(240)]
    plan, data = with_scores(tiny_plan, "{id: one, criterion: extra, at_least: 0.5}", values)
    emea = data.items.set_index("item_id")["slice"].eq("emea")
    failing = (data.scores["criterion"] == "extra") & (data.scores["model"] == "new") & data.scores["item_id"].map(emea)
    data.scores.loc[failing, "value"] = 0.0
    share = data.traffic.set_index("slice")["share"]
    table = check_requirements(plan, data).set_index("model")
    assert table.loc["new", "mean"] == pytest.approx(share["amer"])
    assert share["amer"] != pytest.approx((~emea).mean(), abs=0.02)


def test_a_percentile_carries_its_uncertainty(tiny_plan):
    rng = np.random.default_rng(0)
    latency = rng.lognormal(0, 0.4, (3, 600)) * np.array([[0.8], [1.0], [1.5]])
    plan, data = with_scores(tiny_plan, "{id: one, criterion: extra, statistic: p95, at_most: 1.93}", latency)
    table = check_requirements(plan, data).set_index("model")
    # The 95th percentile of the second is exp(0.4 × 1.645) = 1.93: the bound itself.
    assert table["status"].to_dict() == {"old": "pass", "new": "unknown", "small": "fail"}
    density = stats.lognorm(0.4).pdf(1.93)
    assert table.loc["new", "upper"] - table.loc["new", "lower"] == pytest.approx(
        2 * 1.96 * np.sqrt(0.95 * 0.05 / 600) / density, rel=0.5)


def test_a_mean_of_a_score_and_a_model_without_scores(tiny_plan):
    values = np.random.default_rng(0).normal(10, 1, (3, 60))
    plan, data = with_scores(tiny_plan, "{id: one, criterion: extra, at_least: 9.0}", values)
    data = type(data)(**{**vars(data), "scores": data.scores[
        (data.scores["criterion"] != "extra") | (data.scores["model"] != "small")]})
    table = check_requirements(plan, data)
    assert status(table) == {"old": "pass", "new": "pass", "small": "unknown"}
    assert table.set_index("model").loc["new", "mean"] == pytest.approx(values[1].mean(), abs=0.5)


def test_repeats_of_an_item_are_no_further_items(tiny_plan):
    values = np.random.default_rng(0).normal(10, 1, (3, 60))
    for kind, made in (("mean", values), ("rate", (values > 9).astype(float))):
        plan, data = with_scores(tiny_plan, "{id: one, criterion: extra, at_least: 0.5}", made)
        once = check_requirements(plan, data).set_index("model").loc["new"]
        again = data.scores[data.scores["criterion"] == "extra"].assign(repeat="2")
        twice = replace(data, scores=pd.concat([data.scores, again], ignore_index=True))
        repeated = check_requirements(plan, twice).set_index("model").loc["new"]
        assert repeated["mean"] == pytest.approx(once["mean"], rel=0.01), kind
        assert repeated["upper"] - repeated["lower"] == pytest.approx(once["upper"] - once["lower"], rel=0.1), kind
        write_tiny(tiny_plan.parent)
