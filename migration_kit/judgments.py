"""Human judgments of one criterion as rows and as a matrix of mean scores; labels hidden for refits and benchmarks."""

import numpy as np
import pandas as pd
import xarray as xr

from migration_kit.data import EvalData
from migration_kit.plan import Plan

SIDES = {"left": -0.5, "right": 0.5}


def judgment_rows(data: EvalData, plan: Plan, criterion: str, items: np.ndarray) -> xr.Dataset:
    """Arrange the human judgments of a criterion, one row each, in the order of item, model and rater.

    Returns
    -------
    Dataset
        Dim judgment: ``judged`` score on the scale of quality · ``judged_level`` position among the levels of the
        scale, −1 where it is continuous · ``judged_value`` as it came · ``judged_item``, ``judged_model``,
        ``judged_rater`` positions · ``judged_side`` −½ left, ½ right, 0 where not given. Coordinate ``rater`` names the
        raters.
    """
    spec, models = plan.criterion(criterion), list(plan.model_ids)
    rows = data.scores[(data.scores["rater_kind"] == "human") & (data.scores["criterion"] == criterion)]
    position = pd.Series(np.arange(len(items)), index=items)
    rater, raters = pd.factorize(rows["rater"], sort=True)
    item = position.reindex(rows["item_id"]).to_numpy(dtype=np.int64)
    model = pd.Index(models).get_indexer(rows["model"])
    value = rows["value"].to_numpy(dtype=float)
    order = np.lexsort((rater, model, item))
    levels, score = np.asarray(spec.levels), np.asarray(spec.score)
    level = np.searchsorted(levels, value) if len(levels) else np.full(len(value), -1)
    side = rows["side"].map(SIDES).fillna(0.0).to_numpy(dtype=float) if "side" in rows else np.zeros(len(rows))
    columns = {
        "judged": score[level] if len(levels) else value, "judged_level": level.astype(np.int64),
        "judged_value": value, "judged_item": item, "judged_model": model.astype(np.int64),
        "judged_rater": rater.astype(np.int64), "judged_side": side,
    }
    return xr.Dataset({name: ("judgment", column[order]) for name, column in columns.items()},
                      coords={"rater": np.asarray(raters, dtype=str)})


def label_matrix(judgments: xr.Dataset, *, shape: tuple[int, int], pairwise: bool) -> np.ndarray:
    """Mean score over the raters of an output, dims (item, model), NaN where nobody judged it.

    Of preferences the incumbent's column is 0 on every judged item, so that a contrast is a difference on every scale.
    """
    cell = np.ravel_multi_index((judgments["judged_item"].to_numpy(), judgments["judged_model"].to_numpy()), shape)
    count = np.bincount(cell, minlength=shape[0] * shape[1])
    total = np.bincount(cell, weights=judgments["judged"].to_numpy(), minlength=shape[0] * shape[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        label = (total / count).reshape(shape)
    if pairwise:
        label[:, 0] = np.where(np.isnan(label[:, 1:]).all(axis=1), np.nan, 0.0)
    return label


def share_labels(label: np.ndarray, pool: np.ndarray, *, whole: bool) -> np.ndarray:
    """Give an unlabelled output the judgment of an identical one, dims (item, model).

    ``whole``: judgments are 0 or 1, and what twins say together is one of the two as well.
    """
    judged = ~np.isnan(label)
    weight = np.einsum("imp,ip->im", pool, judged.astype(float))
    total = np.einsum("imp,ip->im", pool, np.nan_to_num(label))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / weight
    return np.where(judged, label, np.where(weight > 0, np.round(mean) if whole else mean, np.nan))


def keep_labels(features: xr.Dataset, keep: np.ndarray) -> xr.Dataset:
    """Hide all labels but those of some items, or of some outputs.

    Parameters
    ----------
    features : Dataset
        From `features.build_features`. What labels have already chosen there, such as bends, stays.
    keep : ndarray of bool (item,) or (item, model)
        Where labels stay. Of preferences the incumbent's column follows the candidates'.
    """
    label = features["label"].to_numpy()
    mask = np.broadcast_to(keep[:, None] if keep.ndim == 1 else keep, label.shape).copy()
    if features.attrs["kind"] == "pairwise":
        mask[:, 0] = (mask[:, 1:] & ~np.isnan(label[:, 1:])).any(axis=1)
    item, model = features["judged_item"].to_numpy(), features["judged_model"].to_numpy()
    kept = features.isel(judgment=np.nonzero(mask[item, model])[0])
    judged = kept["judged_value"].to_numpy()
    known = {"centre": float(judged.mean()), "spread": float(judged.std())} if judged.size and np.ptp(judged) else {}
    return kept.assign(label=(("item", "model"), np.where(mask, label, np.nan))).assign_attrs(known)


def label_rows(features: xr.Dataset) -> xr.Dataset:
    """Return the rows of the likelihood: one a judgment, those of identical outputs by one rater once.

    Returns
    -------
    Dataset
        Dims row, model, component: ``y`` (row) score · ``level``, ``value``, ``rater_index``, ``side`` (row) ·
        ``pool`` (row, model) · ``x`` (row, component) · ``slice_index``, ``stratum`` (row) · ``item_index``,
        ``cluster_index`` (row), counted over labelled items · ``output_index`` (row), counted over outputs with several
        judgments, −1 for the others · ``rival`` (row, rival), contrasts between the different outputs of an item
        where they are answers from a closed list · ``output`` (row, position), item and model.
    """
    pool = features["pool"].to_numpy()
    item, model = features["judged_item"].to_numpy(), features["judged_model"].to_numpy()
    rater, value = features["judged_rater"].to_numpy(), features["judged_value"].to_numpy()
    first = pool.argmax(axis=2)[item, model]
    # Identical outputs carry one row a rater, unless the rater disagreed with himself about them.
    _, kept = np.unique(np.stack([item, first, rater, value], axis=1), axis=0, return_index=True)
    kept = np.sort(kept)
    item, model, first = item[kept], model[kept], first[kept]
    _, item_index = np.unique(item, return_inverse=True)
    _, cluster_index = np.unique(features["cluster"].to_numpy()[item], return_inverse=True)
    return xr.Dataset(
        {
            "y": ("row", features["judged"].to_numpy()[kept]),
            "level": ("row", features["judged_level"].to_numpy()[kept]),
            "value": ("row", value[kept]),
            "rater_index": ("row", rater[kept]),
            "side": ("row", features["judged_side"].to_numpy()[kept]),
            "pool": (("row", "model"), pool[item, model]),
            "x": (("row", "component"), features["x"].to_numpy()[item, model]),
            "slice_index": ("row", features["slice_index"].to_numpy()[item]),
            "stratum": ("row", features["stratum"].to_numpy()[item, model]),
            "item_index": ("row", item_index),
            "cluster_index": ("row", cluster_index),
            "output_index": ("row", _several(item, first)),
            "rival": (("row", "rival"), rivals(item, first)[:, : None if features.attrs["closed"] else 0]),
            "output": (("row", "position"), np.stack([item, model], axis=1)),
        },
        coords={"model": features["model"], "slice": features["slice"], "rater": features["rater"]},
        attrs=features.attrs,
    ).assign(slice_group=features["slice_group"])


def _several(item: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Number the outputs with several judgments; −1 for the others."""
    key = item * (first.max(initial=0) + 1) + first
    _, code, count = np.unique(key, return_inverse=True, return_counts=True)
    number = np.cumsum(count > 1) - 1
    return np.where(count > 1, number, -1)[code] if len(item) else np.zeros(0, dtype=np.int64)


def rivals(item: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Contrasts that sum to 0 over the different judged outputs of an item, dims (row, output of the item less one).

    Times independent normals they give each output an effect of variance 1 − 1/k, with covariance −1/k between the k
    outputs of an item (the columns are those of Helmert).
    """
    outputs, code = np.unique(np.stack([item, first], axis=1), axis=0, return_inverse=True)
    begin = np.searchsorted(outputs[:, 0], outputs[:, 0])
    rank, many = np.arange(len(outputs)) - begin, np.bincount(outputs[:, 0])[outputs[:, 0]] if len(item) else begin
    column = np.arange(1, many.max(initial=1))
    size = np.sqrt(column * (column + 1.0))
    inside = column < many[:, None]
    contrast = np.where(rank[:, None] < column, 1.0, np.where(rank[:, None] == column, -column, 0.0)) / size
    return np.where(inside, contrast, 0.0)[code.ravel()]
