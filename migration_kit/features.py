"""From metrics to the regression's features, and from labels to its rows.

The calibration model sees a metric only through these arrays. Three things happen here and nowhere else: features are
standardised over all outputs, the ease of an item is added, and outputs that are word for word identical are joined,
because people who judge one of them have judged the others.
"""

import numpy as np
import xarray as xr

from migration_kit.data import EvalData
from migration_kit.plan import Plan

MISSING_WORTH_TELLING = 0.02
ROUNDING = 1e-6
FEWEST_RARER = 10
UNSEEN_TRAFFIC = 0.05


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
        ``value`` (item, model, metric), metrics as they came, NaN where missing ·
        ``x`` (item, model, component), uncorrelated features, mean near 0 ·
        ``rotation`` (feature, component): coefficients of components times this are coefficients of the standardised
        features · ``label`` (item, model), 0/1 or NaN, identical outputs share theirs ·
        ``pool`` (item, model, peer), weights of the models that gave the identical output, rows sum to 1 ·
        ``present`` (item, model) · ``slice_index`` (item) · ``inclusion_prob`` (item) ·
        ``share``, ``count`` (slice): production traffic.
        Worry when ``label`` holds fewer than 10 judgments of the rarer kind.
    """
    spec = plan.criterion(criterion)
    items, models = data.items["item_id"].to_numpy(), list(plan.model_ids)
    scores = data.scores
    automated = scores[scores["rater_kind"] != "human"]
    human = scores[(scores["rater_kind"] == "human") & (scores["criterion"] == criterion)]

    def wide(rows, value="value"):
        table = rows.pivot(index="item_id", columns="model", values=value)
        return table.reindex(index=items, columns=models).to_numpy(dtype=float, na_value=np.nan)

    metric = np.stack(
        [
            wide(automated[(automated["rater"] == name)
                           & (automated["criterion"] == plan.metric_criterion(name, criterion))])
            for name in spec.metrics
        ],
        axis=-1,
    )
    pool = identical_outputs(data, items, models)
    label = share_labels(wide(human), pool)
    covariates = {name: _covariate(data, name, wide) for name in spec.covariates}
    named = _features(metric, spec.metrics, covariates, pool)
    x, rotation = rotate(np.einsum("imp,ipk->imk", pool, np.stack(list(named.values()), axis=-1)))
    traffic = data.traffic.set_index("slice")
    slices = traffic.index.to_numpy()
    # A design with one inclusion probability for all labels needs none, so a missing one is 1.
    inclusion = wide(human.assign(inclusion_prob=human["inclusion_prob"].fillna(1.0)), "inclusion_prob")
    return xr.Dataset(
        {
            "value": (("item", "model", "metric"), metric),
            "x": (("item", "model", "component"), x),
            "rotation": (("feature", "component"), rotation),
            "label": (("item", "model"), label),
            "pool": (("item", "model", "peer"), pool),
            "present": (("item", "model"), ~np.isnan(metric).all(axis=-1)),
            "slice_index": ("item", _positions(data.items["slice"].to_numpy(), slices)),
            "inclusion_prob": ("item", np.nan_to_num(_row_mean(inclusion), nan=1.0)),
            "share": ("slice", traffic["share"].to_numpy(dtype=float)),
            "count": ("slice", traffic["count"].to_numpy(dtype=float)),
        },
        coords={"item": items, "model": models, "metric": list(spec.metrics), "slice": slices, "feature": list(named)},
        attrs={"criterion": criterion, "better": spec.better, "primary_metric": spec.primary_metric},
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


def share_labels(label: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """Give an unlabelled output the judgment of an identical one, dims (item, model)."""
    judged = ~np.isnan(label)
    weight = np.einsum("imp,ip->im", pool, judged.astype(float))
    total = np.einsum("imp,ip->im", pool, np.nan_to_num(label))
    with np.errstate(invalid="ignore", divide="ignore"):
        shared = np.where(weight > 0, np.round(total / weight), np.nan)
    return np.where(judged, label, shared)


def rotate(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn features into uncorrelated components, which a sampler crosses in far fewer steps.

    The prior of the coefficients is the same in every direction, so the rotation changes no posterior; directions
    without spread (a constant or duplicated metric) fall out.

    Returns
    -------
    components : ndarray (item, model, component)
    rotation : ndarray (feature, component)
    """
    flat = features.reshape(-1, features.shape[-1])
    values, vectors = np.linalg.eigh(flat.T @ flat / max(len(flat), 1))
    order = np.argsort(values)[::-1]
    kept = order[values[order] > ROUNDING * max(values[order[0]], ROUNDING)]
    return features @ vectors[:, kept], vectors[:, kept]


def label_rows(features: xr.Dataset) -> xr.Dataset:
    """Return the rows of the likelihood: one a labelled output, identical outputs once.

    Returns
    -------
    Dataset
        Dims row, model, component: ``y`` (row) 0/1 · ``pool`` (row, model) · ``x`` (row, component) ·
        ``slice_index`` (row) · ``item_index`` (row), counted over labelled items · ``output`` (row, 2), the
        positions of item and model.
    """
    label = features["label"].to_numpy()
    pool = features["pool"].to_numpy()
    first = pool.argmax(axis=2)
    item, model = np.nonzero(~np.isnan(label))
    # Identical outputs carry one row, unless people disagreed about them.
    _, kept = np.unique(np.stack([item, first[item, model], label[item, model]], axis=1), axis=0, return_index=True)
    item, model = item[np.sort(kept)], model[np.sort(kept)]
    _, item_index = np.unique(item, return_inverse=True)
    return xr.Dataset(
        {
            "y": ("row", label[item, model]),
            "pool": (("row", "model"), pool[item, model]),
            "x": (("row", "component"), features["x"].to_numpy()[item, model]),
            "slice_index": ("row", features["slice_index"].to_numpy()[item]),
            "item_index": ("row", item_index),
            "output": (("row", "position"), np.stack([item, model], axis=1)),
        },
        coords={"model": features["model"], "slice": features["slice"]},
    )


def item_ease(metric: np.ndarray) -> np.ndarray:
    """Mean of a metric over the *other* models' outputs on the item, dims (item, model); NaN where there is none."""
    known = ~np.isnan(metric)
    others = known.sum(axis=1, keepdims=True) - known
    total = np.nansum(metric, axis=1, keepdims=True) - np.nan_to_num(metric)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(others > 0, total / others, np.nan)


def _features(metric: np.ndarray, names: tuple[str, ...], covariates: dict, pool: np.ndarray) -> dict[str, np.ndarray]:
    """Name every feature with spread; standardised. An absent output is taken to be like the others on its item."""
    raw = {}
    absent = np.isnan(metric).all(axis=-1)
    for position, name in enumerate(names):
        values = metric[:, :, position]
        ease = item_ease(values)
        # Outputs go missing on hard items more than on easy ones, so an absent one is no average output.
        raw[name] = np.where(absent, ease, values)
        raw[f"{name}: other models on the item"] = ease
        missing = np.isnan(values) & ~absent
        if missing.mean() >= MISSING_WORTH_TELLING:
            raw[f"{name}: missing"] = missing.astype(float)
    raw |= covariates
    twins = (pool > 0).sum(axis=2) - 1.0
    if twins.any():
        raw["models with the identical output"] = twins
    named = {name: _standardise(values) for name, values in raw.items()}
    spread = {name: values for name, values in named.items() if values.any()}
    # A regression needs one column; where nothing varies it is all 0 and says nothing.
    return spread or dict([next(iter(named.items()))])


def _standardise(values: np.ndarray) -> np.ndarray:
    known = values[~np.isnan(values)]
    if not len(known) or known.std() <= ROUNDING * max(1.0, abs(known.mean())):
        return np.zeros_like(values)
    return np.nan_to_num((values - known.mean()) / known.std())


def _covariate(data: EvalData, name: str, wide) -> np.ndarray:
    if name in data.outputs:
        return wide(data.outputs, name)
    per_item = data.items[name].to_numpy(dtype=float, na_value=np.nan)
    n_models = data.scores["model"].nunique()
    return np.repeat(per_item[:, None], n_models, axis=1)


def _row_mean(values: np.ndarray) -> np.ndarray:
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.nansum(values, axis=1) / np.where(known.any(axis=1), known.sum(axis=1), np.nan)


def _positions(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    position = {name: number for number, name in enumerate(among)}
    return np.array([position[value] for value in values], dtype=np.int64)
