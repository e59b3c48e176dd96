"""Everything the calibration model is told of one criterion, as labelled arrays.

The model sees metrics, labels, slices and traffic only through these. Outputs that are word for word identical are
joined, because people who judge one of them have judged the others.
"""

import numpy as np
import pandas as pd
import xarray as xr

from migration_kit.data import EvalData
from migration_kit.judgments import judgment_rows, label_matrix, share_labels
from migration_kit.metric_features import (
    ROUNDING,
    bent_metrics,
    covariate,
    difference_features,
    item_ease,
    metric_values,
    output_features,
    rotate,
)
from migration_kit.plan import Plan
from migration_kit.strata import verdicts

FEWEST_RARER = 10
UNSEEN_TRAFFIC = 0.05
RECURRING = 10


def build_features(data: EvalData, plan: Plan, criterion: str) -> xr.Dataset:
    """Arrange metrics, labels, slices and traffic of one criterion.

    Parameters
    ----------
    data : EvalData
        Checked data.
    plan : Plan
        The plan the data was read with.
    criterion : str
        Id of a criterion of the plan.

    Returns
    -------
    Dataset
        ``value`` (item, model, metric), metrics as they came, NaN where missing; of preferences, candidate against
        incumbent · ``x`` (item, model, component), uncorrelated features · ``rotation`` (feature, component):
        coefficients of components times this are coefficients of the standardised features · ``label`` (item, model),
        mean score of its judgments or NaN, identical outputs share theirs · ``judged`` and what else
        `judgments.judgment_rows` says of each judgment · ``pool`` (item, model, peer), weights of the models that gave
        the identical output, rows sum to 1 · ``present`` (item, model) · ``slice_index``, ``cluster``,
        ``inclusion_prob`` (item) · ``stratum`` (item, model) of labels not drawn evenly · ``slice_group``
        (slice, group), which value of each slice column a slice has · ``share``, ``count`` (slice): production traffic.
        Attributes: criterion, kind, better, primary_metric, in_points, bends (metrics given a bend), clustered, uneven,
        levels and score of the scale, centre and spread of judgments without levels.
        Worry when ``label`` holds fewer than 10 judgments of the rarer kind.
    """
    spec = plan.criterion(criterion)
    pairwise = spec.kind == "pairwise"
    items, models = data.items["item_id"].to_numpy(), list(plan.model_ids)
    value, side = metric_values(data, plan, criterion)
    judgments = judgment_rows(data, plan, criterion, items)
    alone = np.broadcast_to(np.eye(len(models)), (len(items), len(models), len(models)))
    pool = alone.copy() if pairwise else identical_outputs(data, items, models)
    label = label_matrix(judgments, shape=(len(items), len(models)), pairwise=pairwise)
    whole = spec.kind == "binary" and np.isin(label[~np.isnan(label)], (0, 1)).all()
    label = share_labels(label, pool, whole=whole)
    covariates = {name: covariate(data, name, items, models) for name in spec.covariates}
    bends = bent_metrics(value, label, spec.metrics)
    if pairwise:
        named = difference_features(value, spec.metrics, side, covariates, bends)
    else:
        named = output_features(value, spec.metrics, covariates, pool, bends)
    x, rotation = rotate(np.einsum("imp,ipk->imk", pool, np.stack(list(named.values()), axis=-1)), about_zero=pairwise)
    traffic = data.traffic.set_index("slice")
    slices = traffic.index.to_numpy()
    inclusion, uneven = _inclusion(data, plan, criterion)
    judged = judgments["judged_value"].to_numpy()
    known = len(judged) > 1 and judged.std() > 0
    stratum = label_strata(value[:, :, spec.metrics.index(spec.primary_metric)], pairwise=pairwise)
    features = judgments.assign(
        {
            "value": (("item", "model", "metric"), value),
            "x": (("item", "model", "component"), x),
            "rotation": (("feature", "component"), rotation),
            "label": (("item", "model"), label),
            "pool": (("item", "model", "peer"), pool),
            "present": (("item", "model"), ~np.isnan(value).all(axis=-1)),
            "slice_index": ("item", _positions(data.items["slice"].to_numpy(), slices)),
            "cluster": ("item", _clusters(data)),
            "inclusion_prob": ("item", inclusion),
            "stratum": (("item", "model"), stratum),
            "slice_group": (("slice", "group"), _slice_groups(data, plan, slices)),
            "share": ("slice", traffic["share"].to_numpy(dtype=float)),
            "count": ("slice", traffic["count"].to_numpy(dtype=float)),
        }
    ).assign_coords(item=items, model=models, metric=list(spec.metrics), slice=slices, feature=list(named))
    return features.assign_attrs(
        criterion=criterion, kind=spec.kind, better=spec.better, primary_metric=spec.primary_metric,
        in_points=int(spec.in_points), bends=list(bends), clustered=int("cluster_id" in data.items), uneven=int(uneven),
        strata=int(stratum.max()) + 1, closed=int(spec.kind == "binary" and answers_from_a_list(data)),
        levels=list(spec.levels), score=list(spec.score),
        centre=float(judged.mean()) if len(judged) else 0.0, spread=float(judged.std()) if known else 1.0,
    )


def identical_outputs(data: EvalData, items: np.ndarray, models: list[str]) -> np.ndarray:
    """Weights that average over the models whose output on an item is word for word the same.

    Returns
    -------
    ndarray (item, model, peer)
        Rows sum to 1; the identity where the data holds no texts. Case and runs of spaces do not tell outputs apart.
    """
    pool = np.broadcast_to(np.eye(len(models)), (len(items), len(models), len(models)))
    if "text" not in data.outputs:
        return pool.copy()
    text = data.outputs.assign(text=data.outputs["text"].str.split().str.join(" ").str.casefold())
    text = text.pivot(index="item_id", columns="model", values="text").reindex(index=items, columns=models)
    known = text.notna().to_numpy()
    codes = text.stack().astype("category").cat.codes.unstack().reindex(index=items, columns=models)
    codes = codes.fillna(-1).to_numpy()
    same = (codes[:, :, None] == codes[:, None, :]) & known[:, :, None] & known[:, None, :]
    same |= np.eye(len(models), dtype=bool)
    return same / same.sum(axis=2, keepdims=True)


def answers_from_a_list(data: EvalData) -> bool:
    """Tell whether outputs are answers from a closed list: each text comes back on ten items or more on average.

    Of two different ones at most one is right, as a rule; the calibration model lets such judgments exclude each other.
    """
    return "text" in data.outputs and data.outputs["text"].nunique() * RECURRING <= len(data.items)


def _inclusion(data: EvalData, plan: Plan, criterion: str) -> tuple[np.ndarray, bool]:
    """Inclusion probability of every item, and whether it varies between labelled ones.

    A design with one probability for all labels needs none, so a missing one is 1.
    """
    human = data.scores[(data.scores["rater_kind"] == "human") & (data.scores["criterion"] == criterion)]
    given = human["inclusion_prob"].fillna(1.0).groupby(human["item_id"]).mean()
    uneven = len(given) > 1 and np.ptp(given.to_numpy()) > ROUNDING
    return given.reindex(data.items["item_id"]).fillna(1.0).to_numpy(dtype=float), bool(uneven)


def _clusters(data: EvalData) -> np.ndarray:
    if "cluster_id" not in data.items:
        return np.arange(len(data.items))
    return pd.factorize(data.items["cluster_id"])[0].astype(np.int64)


def _slice_groups(data: EvalData, plan: Plan, slices: np.ndarray) -> np.ndarray:
    """Tell which values of the slice columns each slice has, dims (slice, group); no groups with one column."""
    if len(plan.slices) < 2:
        return np.zeros((len(slices), 0))
    columns = data.items.drop_duplicates("slice").set_index("slice").loc[slices, list(plan.slices)]
    return pd.get_dummies(columns, dtype=float).to_numpy()


def _positions(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    position = {name: number for number, name in enumerate(among)}
    return np.array([position[value] for value in values], dtype=np.int64)


def label_strata(primary: np.ndarray, *, pairwise: bool) -> np.ndarray:
    """What labels may have been chosen by: the own verdict of the primary metric and the others' on the item.

    Returns
    -------
    ndarray of int (item, model)
        Counted from 0 without gaps.
    """
    own = verdicts(primary)
    others = np.zeros_like(own) if pairwise else verdicts(item_ease(primary))
    _, stratum = np.unique(own * 4 + others, return_inverse=True)
    return stratum.reshape(own.shape)
