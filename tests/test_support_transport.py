"""What data/support claims of fjord, on its own files: its result does not transport, and would if live files agreed.

Only what the claim needs is fitted: the gate `correct`, the incumbent and fjord, two chains with the draws of `--fast`,
one compiled model for all.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from migration_kit import live_fit
from migration_kit.data import load_data
from migration_kit.estimands import TOTAL, quality
from migration_kit.features import build_features
from migration_kit.inference import compile_model, fit
from migration_kit.plan import load_plan
from migration_kit.shadow import shadow_data
from migration_kit.transport import shadow_gaps, transport_check

SUPPORT = Path(__file__).parents[1] / "data" / "support"
OLD, FJORD, CORRECT = "atlas-2025-06", "fjord-2026-10", "correct"
KEYS = ["item_id", "model", "criterion", "rater"]


def narrowed(folder: Path):
    """Plan and data of the support assistant with one gate and one candidate."""
    plan = load_plan(folder / "migration.yml")
    data = load_data(plan)
    models = plan.models.model_copy(
        update={"candidates": tuple(one for one in plan.models.candidates if one.id == FJORD)})
    tables = {name: getattr(data, name) for name in ("scores", "outputs", "held_out", "live")}
    kept = {name: table[table["model"].isin([OLD, FJORD])].reset_index(drop=True) for name, table in tables.items()}
    sampling = plan.sampling.model_copy(update={"chains": 2})
    plan = plan.model_copy(update={"models": models, "criteria": (plan.criterion(CORRECT),), "requirements": (),
                                   "sampling": sampling})
    return plan, replace(data, **kept)


def agreeing(folder: Path) -> Path:
    """A copy of the migration whose shadow requests are items of the test set that nobody judged there.

    What raters would say of them stands in the judgments kept aside, so live requests are like the test set and none of
    its labels is used twice.
    """
    shutil.copytree(SUPPORT, folder)
    tables = {name: pd.read_parquet(SUPPORT / f"{name}.parquet") for name in (
        "items", "scores", "held_out", "outputs", "live")}
    scores, live = tables["scores"], tables["live"]
    labelled = scores.loc[scores["rater_kind"] == "human", "item_id"]
    free = tables["items"][~tables["items"]["item_id"].isin(labelled)].sample(frac=1, random_state=1)
    shadow = live[live["stage"] == "shadow"]
    requests = shadow.drop_duplicates("item_id")
    twins = {}
    for region, part in requests.groupby("region"):
        twins |= dict(zip(part["item_id"], free.loc[free["region"] == region, "item_id"], strict=False))
    known = pd.concat([scores[scores["rater_kind"] != "human"], tables["held_out"].assign(rater="support_lead")])
    values = known.drop_duplicates(KEYS).set_index(KEYS)["value"]
    shadow = shadow.assign(twin=shadow["item_id"].map(twins))
    asked = pd.MultiIndex.from_arrays([
        shadow["twin"], shadow["model"], shadow["criterion"],
        np.where(shadow["rater_kind"] == "human", "support_lead", shadow["rater"])])
    chars = tables["outputs"].set_index(["item_id", "model"])["output_chars"]
    shadow = shadow.assign(
        value=values.reindex(asked).to_numpy(),
        output_chars=chars.reindex(pd.MultiIndex.from_frame(shadow[["twin", "model"]])).to_numpy(dtype=float))
    assert shadow["value"].notna().all()
    pd.concat([shadow.drop(columns="twin"), live[live["stage"] != "shadow"]]).to_parquet(folder / "live.parquet")
    return folder


@pytest.fixture(scope="module")
def offline():
    plan, data = narrowed(SUPPORT)
    features = {CORRECT: build_features(data, plan, CORRECT)}
    live, own = shadow_data(data, plan)
    compiled = compile_model([features[CORRECT], build_features(live, own, CORRECT)])
    tree = fit(features[CORRECT], plan.sampling, compiled=compiled, fast=True)
    return features, {CORRECT: quality(tree, features[CORRECT], traffic=True, seed=1)}, compiled


@pytest.mark.slow
@pytest.mark.parametrize("live", ["as it ships", "in agreement with the test set"])
def test_fjord_is_flagged_for_what_its_live_files_show(offline, tmp_path, monkeypatch, live):
    features, draws, compiled = offline
    monkeypatch.setattr(live_fit, "compile_model", lambda features: compiled)
    plan, data = narrowed(SUPPORT if live == "as it ships" else agreeing(tmp_path / "support"))
    shadow = live_fit.fit_shadow(data, plan, fast=True)
    gaps = shadow_gaps(draws, features, plan, shadow=shadow.draws, shadow_features=shadow.features)
    check = transport_check(gaps, plan, plan.criterion(CORRECT))
    total = gaps[gaps["slice"] == TOTAL].set_index("model").loc[FJORD]
    truth = pd.read_csv(SUPPORT / "live_truth.csv").query("stage == 'shadow' and slice == 'all'")
    gap = truth.set_index(["criterion", "model"]).loc[(CORRECT, FJORD), "gap"]
    if live == "as it ships":
        assert check.passed is False and check.models == (FJORD,)
        # Three standard deviations: the truth is a loss of 8 points, some three of them.
        assert abs(total["shadow"] - total["offline"] - gap) < 3 * np.hypot(total["shadow_sd"], total["offline_sd"])
    else:
        assert check.passed is True and check.models == ()
        assert total["n_labels"] == 200 and total["beyond"] < total["prior_beyond"]
