"""Small migrations as arrays, for tests of the statistics: no file is written, but every array goes through
`features.build_features`."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from migration_kit.data import EvalData
from migration_kit.features import build_features
from migration_kit.plan import Plan
from migration_kit.simulate import Judged, Pairs, judged_rows, score_rows

MODELS = ("old", "new", "other", "fourth", "fifth", "sixth")


def small_plan(
    *,
    models: Sequence[str] = MODELS[:2],
    metrics: Sequence[str] = ("judge",),
    metric_better: str = "higher",
    slices: bool = False,
    sampling: Mapping[str, float] | None = None,
    **criterion: object,
) -> Plan:
    """A plan with one gate, `correct`, margin 0.03; keyword arguments change its keys, None removes one."""
    gate = {"id": "correct", "role": "gate", "metrics": list(metrics), "margin": 0.03}
    details = {key: value for key, value in (gate | criterion).items() if value is not None}
    return Plan.model_validate(
        {
            "title": "Small",
            "models": {"incumbent": {"id": models[0]}, "candidates": [{"id": name} for name in models[1:]]},
            "data": {"items": {"path": "items.csv"}, "scores": {"path": "scores.csv"}},
            "metrics": [{"id": name, "better": metric_better} for name in metrics],
            "slices": ["region"] if slices else [],
            # A plan needs a gate, also where the criterion of the test is none.
            "criteria": [details, *([] if details["role"] == "gate" else [gate | {"id": "gate"}])],
            "sampling": dict(sampling or {}),
        }
    )


def small_data(
    values: np.ndarray,
    label: np.ndarray,
    plan: Plan,
    *,
    regions: np.ndarray | None = None,
    share: Mapping[str, float] | None = None,
    count: Mapping[str, float] | None = None,
    inclusion_prob: np.ndarray | None = None,
    text: np.ndarray | None = None,
    covariates: Mapping[str, np.ndarray] | None = None,
) -> EvalData:
    """Metrics (item, model, metric) and labels (item, model), NaN where missing, as the data of a plan.

    ``regions`` (item,) with ``share`` or ``count`` by region; ``inclusion_prob`` (item,); ``text`` (item, model), None
    where there is no output; covariates (item, model) stand in outputs.
    """
    item_id, models = np.array([f"i{n:05d}" for n in range(len(label))]), plan.model_ids
    spec = plan.criteria[0]
    parts = [
        score_rows(item_id, models, values[:, :, number], criterion=spec.id, rater=name, rater_kind="judge")
        for number, name in enumerate(spec.metrics)
    ]
    parts.append(score_rows(item_id, models, label, criterion=spec.id, rater="anna", rater_kind="human"))
    scores = pd.concat(parts, ignore_index=True).assign(repeat="0", inclusion_prob=np.nan)
    if inclusion_prob is not None:
        human = scores["rater_kind"] == "human"
        scores.loc[human, "inclusion_prob"] = np.tile(inclusion_prob, len(models))
    outputs = pd.DataFrame({"item_id": np.tile(item_id, len(models)), "model": np.repeat(models, len(item_id))})
    for name, table in {"text": text, **(covariates or {})}.items():
        if table is not None:
            outputs[name] = table.T.ravel()
    if text is not None:
        outputs = outputs[outputs["text"].notna()]
    regions = np.full(len(item_id), "all items") if regions is None else regions
    names, sizes = np.unique(regions, return_counts=True)
    if share is not None:
        shares, counts = [share[name] for name in names], np.nan
    else:
        counts = sizes if count is None else np.array([count[name] for name in names])
        shares = counts / counts.sum()
    return EvalData(
        items=pd.DataFrame({"item_id": item_id, "slice": regions, "region": regions}),
        scores=scores.dropna(subset="value").reset_index(drop=True),
        outputs=outputs if text is not None or covariates else outputs.iloc[:0],
        traffic=pd.DataFrame({"slice": names, "share": shares, "count": counts}).astype({"count": float}),
        held_out=scores.iloc[:0],
        exclusions=pd.DataFrame(columns=["table", "model", "reason", "n"]),
    )


def small_features(values: np.ndarray, label: np.ndarray, plan: Plan, **data: object) -> xr.Dataset:
    """The features of the plan's first criterion; keyword arguments as for `small_data`."""
    return build_features(small_data(values, label, plan, **data), plan, plan.criteria[0].id)


def pairs_labels(pairs: Pairs) -> np.ndarray:
    """The labels that may be used, dims (item, model), NaN elsewhere."""
    return np.where(pairs.labelled[:, None], pairs.truth, np.nan)


def pairs_features(pairs: Pairs, **criterion: object) -> tuple[xr.Dataset, Plan]:
    """Features and plan of a simulated migration; models `old`, `new`, ..., metrics `judge`, `judge_2`, ..."""
    n_models, n_metrics = pairs.metrics.shape[1:]
    metrics = ["judge", *(f"judge_{number}" for number in range(2, n_metrics + 1))]
    plan = small_plan(models=MODELS[:n_models], metrics=metrics, **criterion)
    return small_features(pairs.metrics.astype(float), pairs_labels(pairs), plan), plan


def judged_data(drawn: Judged, plan: Plan) -> EvalData:
    """A migration of `simulate_family` as the data of a plan, without files."""
    n = len(drawn.slices)
    spec = plan.criteria[0]
    scores = judged_rows(drawn, models=plan.model_ids, metrics=spec.metrics, criterion=spec.id)
    regions = np.array([f"region_{number}" for number in drawn.slices])
    items = pd.DataFrame({"item_id": [f"i{k:05d}" for k in range(n)], "slice": regions, "region": regions})
    if len(np.unique(drawn.cluster)) < n:
        items["cluster_id"] = [f"c{number}" for number in drawn.cluster]
    names = [f"region_{number}" for number in range(len(drawn.share))]
    return EvalData(
        items=items, scores=scores.assign(repeat="0", inclusion_prob=np.nan),
        outputs=pd.DataFrame({"item_id": pd.Series(dtype=str), "model": pd.Series(dtype=str)}),
        traffic=pd.DataFrame({"slice": names, "share": drawn.share, "count": np.nan}),
        held_out=scores.iloc[:0], exclusions=pd.DataFrame(columns=["table", "model", "reason", "n"]))


def judged_features(drawn: Judged, **criterion: object) -> tuple[xr.Dataset, Plan]:
    """Features and plan of a migration of `simulate_family`; models `old` and `new`, metrics `judge`, `judge_2`, ..."""
    metrics = ["judge", *(f"judge_{number}" for number in range(2, drawn.metrics.shape[2] + 1))]
    scale = drawn.criterion["scale"]
    margin = 0.03 if scale in ("binary", "pairwise") else 0.2
    plan = small_plan(metrics=metrics, slices=True, **({"margin": margin} | dict(drawn.criterion) | criterion))
    return build_features(judged_data(drawn, plan), plan, plan.criteria[0].id), plan


def relabelled(features: xr.Dataset, label: np.ndarray) -> xr.Dataset:
    """The features with other 0/1 labels, dims (item, model), on the outputs that were judged."""
    judged = np.asarray(label, dtype=float)[features["judged_item"], features["judged_model"]]
    columns = {"judged": judged, "judged_value": judged, "judged_level": judged.astype(np.int64)}
    rows = {name: ("judgment", column) for name, column in columns.items()}
    return features.assign(rows).assign(label=features["label"].where(features["label"].isnull(), label))


def posterior(features: xr.Dataset, weight: np.ndarray | None = None, draws: int = 1000) -> xr.DataTree:
    """A stand-in for a fit: no effects but the weights of the components, every draw the same."""
    shape = {"level": ("model",), "weight": ("component",), "trust": ("model",), "slice_effect": ("slice",),
             "model_slice_effect": ("slice", "model"), "item_scale": ("model",)}
    drawn = {name: (("chain", "draw", *dims), np.zeros((1, draws, *(features.sizes[dim] for dim in dims))))
             for name, dims in shape.items()}
    if weight is not None:
        drawn["weight"][1][:] = weight
        drawn["trust"][1][:] = 1
    drawn["cuts"] = (("chain", "draw", "cut"), np.zeros((1, draws, 1)))
    return xr.DataTree.from_dict({"posterior": xr.Dataset(drawn)})
