"""The reference data of ../shared/data as data and plans in memory: one criterion, some models, some metrics."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd
import xarray as xr
from common import ROOT, SPARE_ITEMS, compiled, fit_all

from migration_kit.data import EvalData
from migration_kit.features import build_features
from migration_kit.inference import compile_model
from migration_kit.judgments import label_rows
from migration_kit.plan import Plan
from migration_kit.shape import shape_of

SHARED = ROOT.parent / "shared" / "data"
SCALES = {
    "triviaqa_judges_v1": "binary", "openqa_nq301": "binary", "arena_pairwise": "pairwise",
    "pandalm_pairwise": "pairwise", "hanna": {"ordinal": [1, 5]}, "nlg_emnlp17": "continuous", "wmt23_mt": "continuous",
    "vader_sentiment": "continuous",
}
# A verdict of two criteria of vader_sentiment, and raters of openqa_nq301 beside their consolidated verdict.
RATES = ("consensus_polarity_correct",)
RATER = {"openqa_nq301": "consolidated"}
# What a model says is a word or a number, and equal ones about one text get the same judgment.
VERDICTS = {"vader_sentiment": {"consensus_polarity_correct": "predicted_polarity", "neg_abs_error": "prediction"}}
# What people wrote is no system under test: metrics that compare with it compare it with itself.
REFERENCES = ("Human", "refA")
LOWER = ("TER", "n.misspel", "Repetition-1", "Repetition-3")
NEITHER = ("Text length", "parser.sc.mean", "sys.cpw", "sys.read.flesch", "sys.wps")
STORIES = ("BERTScore F1", "chrF", "ROUGE-L F-Score", "SUPERT-PS", "Repetition-3")
PROMPTS = ("prompt1", "prompt3")
# pandalm_pairwise shows a pair of models always on the same sides, which then cannot be told from their quality.
SIDES = {"arena_pairwise": {"A": "left", "B": "right"}}
ALL_ITEMS = "all items"
OTHER_DRAWS = 4


@dataclass(frozen=True)
class Source:
    """One criterion of one data set.

    Attributes
    ----------
    dataset, criterion : str
    scale : str or dict
        As in a plan.
    models, metrics : tuple of str
        Systems under test, and metrics by name, the better known first.
    human : DataFrame
        item_id, model, rater, value; for preferences opponent and side.
    automated : DataFrame
        item_id, model, metric, value.
    outputs : DataFrame
        item_id, model, slice columns as they came, text where there is one.
    cluster : Series or None
        By item_id.
    """

    dataset: str
    criterion: str
    scale: str | dict
    models: tuple[str, ...]
    metrics: tuple[str, ...]
    human: pd.DataFrame
    automated: pd.DataFrame
    outputs: pd.DataFrame
    cluster: pd.Series | None

    @property
    def pairwise(self) -> bool:
        """Tell whether people compared two outputs."""
        return self.scale == "pairwise"


@cache
def source(dataset: str, criterion: str) -> Source:
    """Read one criterion of a data set; all its metrics, of hanna those that are asked about the criterion."""
    folder = SHARED / dataset
    human, automated, outputs = (pd.read_parquet(folder / f"{name}.parquet")
                                 for name in ("human", "metrics", "outputs"))
    if dataset in VERDICTS:
        outputs = outputs.assign(text=outputs[VERDICTS[dataset][criterion]].astype(str))
    human = human[(human["criterion"] == criterion) & ~human["model"].isin(REFERENCES)]
    human = human[human["annotator"] == RATER.get(dataset, human["annotator"])]
    human = human.rename(columns={"annotator": "rater"})[["item_id", "model", "rater", "value"]]
    scale = "binary" if criterion in RATES else SCALES[dataset]
    if scale == "pairwise":
        human = human.merge(outputs[["item_id", "model", "opponent", "position"]], on=["item_id", "model"])
        human = human.assign(value=2 * human["value"] - 1, side=human.pop("position").map(SIDES.get(dataset, {})))
    metrics = automated["metric"].unique()
    if dataset == "hanna":
        asked = [name for name in metrics if f"_{criterion}_" in name and name.endswith(PROMPTS)]
        metrics = sorted(asked, key=lambda name: "ChatGPT" not in name) + list(STORIES)
    elif dataset == "wmt23_mt":
        metrics = sorted(metrics, key=lambda name: name != "MetricX-23")
    elif dataset == "triviaqa_judges_v1" or dataset == "openqa_nq301":
        metrics = sorted(metrics, key=lambda name: name != "judge_GPT-4")
    cluster = None
    if dataset == "wmt23_mt":
        cluster = pd.read_parquet(folder / "items.parquet").set_index("item_id")["doc_id"]
    return Source(dataset, criterion, scale, tuple(sorted(human["model"].unique())), tuple(map(str, metrics)),
                  human, automated[["item_id", "model", "metric", "value"]], outputs, cluster)


def migration(
    given: Source, models: Sequence[str], metrics: Sequence[str], *, items: Sequence[str] | None = None,
    texts: bool = True,
) -> tuple[EvalData, Plan]:
    """Give some models, the first as the incumbent, and some metrics of a source the shape that a plan's data have.

    Parameters
    ----------
    items : sequence of str, optional
        The items wanted; else those that hold a judgment of the models.
    texts : bool
        With texts, identical outputs are joined.
    """
    incumbent, *candidates = models
    human = given.human[given.human["model"].isin(candidates if given.pairwise else models)]
    if given.pairwise:
        human = human[human["opponent"] == incumbent]
    items = np.sort(human["item_id"].unique() if items is None else np.asarray(items))
    human = human[human["item_id"].isin(items)].assign(rater_kind="human")
    rows = given.automated
    rows = rows[rows["model"].isin(models) & rows["metric"].isin(metrics) & rows["item_id"].isin(items)]
    scores = pd.concat([human, rows.rename(columns={"metric": "rater"}).assign(rater_kind="judge")], ignore_index=True)
    scores = scores.assign(criterion=given.criterion, repeat="0", inclusion_prob=np.nan)
    columns = ["item_id", "model", *(["text"] if texts and "text" in given.outputs else [])]
    outputs = given.outputs.loc[given.outputs["model"].isin(models) & given.outputs["item_id"].isin(items), columns]
    table = pd.DataFrame({"item_id": items, "slice": ALL_ITEMS})
    if given.cluster is not None:
        table["cluster_id"] = given.cluster.loc[items].to_numpy()
    data = EvalData(
        items=table, scores=scores, outputs=outputs.reset_index(drop=True),
        traffic=pd.DataFrame({"slice": [ALL_ITEMS], "share": [1.0], "count": [float(len(items))]}),
        held_out=scores.iloc[:0], exclusions=pd.DataFrame(columns=["table", "model", "reason", "n"]))
    return data, _plan(given, models, metrics)


def _plan(given: Source, models: Sequence[str], metrics: Sequence[str]) -> Plan:
    incumbent, *candidates = models
    direction = dict.fromkeys(LOWER, "lower") | dict.fromkeys(NEITHER, "none")
    return Plan.model_validate({
        "title": given.dataset,
        "models": {"incumbent": {"id": incumbent}, "candidates": [{"id": name} for name in candidates]},
        "data": {"items": {"path": "items.csv"}, "scores": {"path": "scores.csv"}},
        "metrics": [{"id": name, "better": direction.get(name, "higher")} for name in metrics],
        "criteria": [{"id": given.criterion, "role": "gate", "scale": given.scale, "metrics": list(metrics),
                      "margin": 0.03}],
    })


def hidden(data: EvalData, plan: Plan, labelled: Sequence[str]) -> xr.Dataset:
    """Build the features from the judgments of some items only.

    The others are taken away before, not after, so that bends and the centre of the judgments cannot know them.
    """
    keep = (data.scores["rater_kind"] != "human") | data.scores["item_id"].isin(labelled)
    return build_features(replace(data, scores=data.scores[keep]), plan, plan.gates[0].id)


def fit_one(
    features: xr.Dataset, *, more: Callable[[], list[xr.Dataset]], draws: int, tune: int, seed: int
) -> xr.DataTree:
    """Fit with a model that has room for the features in ``more`` too, because other draws of labels fall into another
    number of clusters or of identical outputs, and compiling takes longer than sampling."""
    own = shape_of(label_rows(features))
    if not any(shape.holds(label_rows(features)) and shape.models == own.models
               and shape.items <= SPARE_ITEMS * own.items for one in compiled for shape, _ in one.parts):
        alike = [one for one in more() if shape_of(label_rows(one)).kind == own.kind]
        compiled.insert(0, compile_model([features, *alike]))
    return fit_all([features], draws=draws, tune=tune, seed=seed, chains=1)[0]
