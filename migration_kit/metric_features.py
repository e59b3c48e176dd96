"""From metrics to the regression's features: standardised, with the item's ease, bends and what is missing."""

import numpy as np
import pandas as pd

from migration_kit.contract.values import far_outside
from migration_kit.data import EvalData
from migration_kit.judgments import SIDES
from migration_kit.plan import Plan

MISSING_WORTH_TELLING = 0.02
ROUNDING = 1e-6
BEND_SHARPNESS = 2.0
BEND_LEVEL = 0.001
FEWEST_FOR_BEND = 40
FEWEST_VALUES = 5


def metric_values(data: EvalData, plan: Plan, criterion: str) -> tuple[np.ndarray, np.ndarray]:
    """Return metrics, dims (item, model, metric), NaN where missing, and for preferences the side they were given at.

    On a pairwise criterion a metric is a preference or, given output by output, the candidate's minus the incumbent's;
    the incumbent's own column is 0 where any candidate has a value.
    """
    spec = plan.criterion(criterion)
    items, models = data.items["item_id"].to_numpy(), list(plan.model_ids)
    automated = data.scores[data.scores["rater_kind"] != "human"]
    values, sides = [], []
    for name in spec.metrics:
        rows = automated[(automated["rater"] == name)
                         & (automated["criterion"] == plan.metric_criterion(name, criterion))]
        value, side = wide(rows, "value", items, models), np.zeros((len(items), len(models)))
        if spec.kind == "pairwise":
            preference = "opponent" in rows and rows["opponent"].notna().any()
            if preference and "side" in rows:
                side = np.nan_to_num(wide(rows.assign(side=rows["side"].map(SIDES)), "side", items, models))
            value = value if preference else value - value[:, :1]
            value[:, 0] = np.where(np.isnan(value[:, 1:]).all(axis=1), np.nan, 0.0)
        values.append(value)
        sides.append(side)
    return np.stack(values, axis=-1), np.stack(sides, axis=-1)


def covariate(data: EvalData, name: str, items: np.ndarray, models: list[str]) -> np.ndarray:
    if name in data.outputs:
        return wide(data.outputs, name, items, models)
    per_item = data.items[name].to_numpy(dtype=float, na_value=np.nan)
    return np.repeat(per_item[:, None], len(models), axis=1)


def output_features(
    metric: np.ndarray, names: tuple[str, ...], covariates: dict, pool: np.ndarray, bends: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """Name every feature with spread; standardised. An absent output is taken to be like the others on its item."""
    raw = {}
    absent = np.isnan(metric).all(axis=-1)
    for position, name in enumerate(names):
        values = metric[:, :, position]
        ease = item_ease(values)
        # Outputs go missing on hard items more than on easy ones, so an absent one is no average output.
        raw[name] = np.where(absent, ease, values)
        if name in bends:
            raw[f"{name}: bend"] = bend(raw[name])
        raw[f"{name}: other models on the item"] = ease
        missing = np.isnan(values) & ~absent
        if missing.mean() >= MISSING_WORTH_TELLING:
            raw[f"{name}: missing"] = missing.astype(float)
    raw |= covariates
    twins = (pool > 0).sum(axis=2) - 1.0
    if twins.any():
        raw["models with the identical output"] = twins
    return _spread({name: _standardise(values) for name, values in raw.items()})


def difference_features(
    metric: np.ndarray, names: tuple[str, ...], side: np.ndarray, covariates: dict, bends: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """Features of preferences: differences to the incumbent, scaled but not centred, because 0 means no difference."""
    raw = {}
    absent = np.isnan(metric).all(axis=-1)
    for position, name in enumerate(names):
        values = metric[:, :, position]
        raw[name] = values
        if name in bends:
            raw[f"{name}: bend"] = bend(values)
        raw[f"{name}: side"] = side[:, :, position]
        missing = np.isnan(values) & ~absent
        if missing[:, 1:].mean() >= MISSING_WORTH_TELLING:
            raw[f"{name}: missing"] = missing.astype(float)
    raw |= {name: values - values[:, :1] for name, values in covariates.items()}
    return _spread({name: _scale(values) for name, values in raw.items()})


def item_ease(metric: np.ndarray) -> np.ndarray:
    """Mean of a metric over the *other* models' outputs on the item, dims (item, model); NaN where there is none."""
    known = ~np.isnan(metric)
    others = known.sum(axis=1, keepdims=True) - known
    total = np.nansum(metric, axis=1, keepdims=True) - np.nan_to_num(metric)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(others > 0, total / others, np.nan)


def rotate(features: np.ndarray, *, about_zero: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Turn features into uncorrelated components, which a sampler crosses in far fewer steps.

    The prior of the coefficients is the same in every direction, so the rotation changes no posterior; directions
    without spread (a constant or duplicated metric) fall out. ``about_zero``: the first model has no features of its
    own and does not count.

    Returns
    -------
    components : ndarray (item, model, component)
    rotation : ndarray (feature, component)
    """
    counted = features[:, 1:] if about_zero else features
    flat = counted.reshape(-1, features.shape[-1])
    values, vectors = np.linalg.eigh(flat.T @ flat / max(len(flat), 1))
    order = np.argsort(values)[::-1]
    kept = order[values[order] > ROUNDING * max(values[order[0]], ROUNDING)]
    return features @ vectors[:, kept], vectors[:, kept]


def bent_metrics(value: np.ndarray, label: np.ndarray, names: tuple[str, ...]) -> tuple[str, ...]:
    """Name the metrics that act non-linearly on the labels.

    A metric of at least five values is given a bend where adding it to the linear regression of labels on models and
    metrics passes an F test at 0.1% (shared by the metrics that are asked). So strict because outputs of one item are
    no independent rows, and because a bend that is not needed costs width.

    Parameters
    ----------
    value : ndarray (item, model, metric)
    label : ndarray (item, model)
        NaN where nobody judged the output.
    """
    item, model = np.nonzero(~np.isnan(label))
    if len(item) < FEWEST_FOR_BEND:
        return ()
    asked = [k for k, name in enumerate(names) if len(np.unique(value[:, :, k][~np.isnan(value[:, :, k])]))
             >= FEWEST_VALUES]
    if not asked:
        return ()
    # Here, because importing scipy takes a fifth of a second, which `preview` saves where no metric is asked.
    from scipy.special import fdtrc

    linear = np.stack([_standardise(value[:, :, k])[item, model] for k in range(len(names))], axis=1)
    base = np.concatenate([np.eye(label.shape[1])[model], linear], axis=1)
    y, found = label[item, model], []
    for k in asked:
        bent = _standardise(bend(value[:, :, k]))[item, model]
        before, after = _residual(base, y), _residual(np.column_stack([base, bent]), y)
        free = len(y) - np.linalg.matrix_rank(base) - 1
        if free > 0 and after > 0 and fdtrc(1, free, (before - after) * free / after) < BEND_LEVEL / len(asked):
            found.append(names[k])
    return tuple(found)


def bend(values: np.ndarray) -> np.ndarray:
    """A smooth bend of a metric at its median: flat below, rising above (softplus); NaN stays NaN."""
    known = values[~np.isnan(values)]
    spread = known.std() if len(known) else 0.0
    if spread == 0:
        return np.zeros_like(values)
    with np.errstate(invalid="ignore"):
        return np.logaddexp(0.0, BEND_SHARPNESS * (values - np.median(known)) / spread)


def _residual(design: np.ndarray, y: np.ndarray) -> float:
    coefficients, *_ = np.linalg.lstsq(design, y, rcond=None)
    return float(((y - design @ coefficients) ** 2).sum())


def _spread(named: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Drop features that do not vary. A regression needs one column; where nothing varies it is all 0."""
    spread = {name: values for name, values in named.items() if values.any()}
    return spread or dict([next(iter(named.items()))])


def _standardise(values: np.ndarray) -> np.ndarray:
    values = _bounded(values)
    known = values[~np.isnan(values)]
    if not len(known) or known.std() <= ROUNDING * max(1.0, abs(known.mean())):
        return np.zeros_like(values)
    return np.nan_to_num((values - known.mean()) / known.std())


def _bounded(values: np.ndarray) -> np.ndarray:
    """Pull values far outside to the outermost of the others: one wild value would flatten all the rest."""
    known = ~np.isnan(values)
    far = np.zeros(values.shape, dtype=bool)
    far[known] = far_outside(values[known])
    if not far.any():
        return values
    inside = values[known & ~far]
    return np.clip(values, inside.min(), inside.max())


def _scale(values: np.ndarray) -> np.ndarray:
    values = _bounded(values)
    candidates = values[:, 1:]
    known = candidates[~np.isnan(candidates)]
    size = np.sqrt((known**2).mean()) if len(known) else 0.0
    scaled = np.nan_to_num(values / size) if size > ROUNDING else np.zeros_like(values)
    scaled[:, 0] = 0.0
    return scaled


def wide(rows: pd.DataFrame, value: str, items: np.ndarray, models: list[str]) -> np.ndarray:
    table = rows.pivot(index="item_id", columns="model", values=value)
    return table.reindex(index=items, columns=models).to_numpy(dtype=float, na_value=np.nan, copy=True)
