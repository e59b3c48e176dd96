"""Does a metric score one model higher than another where people judge both alike? From labels alone, on any scale."""

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import t

from migration_kit.metric_worth import scored_zero_one
from migration_kit.plan import Plan

FEWEST_ITEMS, FEWEST_CLUSTERS = 20, 10
FALSE_ALARM = 0.01
SLIGHT = 0.1
ROUNDING = 1e-12
STEEPER, STEEPER_TWO = 1.5, 2.0


def metric_shift(features: xr.Dataset, plan: Plan) -> pd.DataFrame:
    """Estimate how much more the primary metric gives each candidate than the incumbent for the same human judgment.

    On items judged for both models, the difference of the metric is regressed on the difference of the judgments; the
    shift is what is left where the latter is 0. Noise of the judgments flattens that slope, so that a fair metric seems
    to favour the better model (Fuller 1987, Measurement Error Models, §1.1). So the slope may be up to 1.5 times as
    steep, which allows for a third of noise, and twice as steep where judgments count 0 or 1, but no steeper than the
    reverse regression says (Klepper & Leamer 1984, doi:10.2307/1913466); a shift must show under each. Errors are from
    a jackknife over clusters, labels weigh 1 / inclusion probability.

    Returns
    -------
    DataFrame
        model, n (items), shift, lower, upper (in the metric's unit, over both slopes; the candidates share a false
        alarm of 1%), spread (standard deviation of the metric over outputs), shifted. Without candidates that have
        fewer than 20 such items. Worry about ``shifted``: the interval lies beyond a tenth of the spread. It may be a
        false alarm where one rater decides between two judgments and the models differ much in quality.
    """
    value = features["value"].sel(metric=features.attrs["primary_metric"]).to_numpy()
    label, weight = features["label"].to_numpy(), 1 / features["inclusion_prob"].to_numpy()
    cluster, rows = features["cluster"].to_numpy(), []
    steeper = STEEPER_TWO if scored_zero_one(features) else STEEPER
    alone = value[:, 1:] if features.attrs["kind"] == "pairwise" else value
    spread = float(np.nanstd(alone)) if (~np.isnan(alone)).any() else np.nan
    for position, model in enumerate(plan.candidates, start=1):
        metric, people = (table[:, position] - table[:, 0] for table in (value, label))
        used = ~np.isnan(metric) & ~np.isnan(people)
        group = np.unique(cluster[used], return_inverse=True)[1]
        if len(group) < FEWEST_ITEMS or group.max() + 1 < FEWEST_CLUSTERS:
            continue
        terms = np.stack([np.ones(used.sum()), metric[used], people[used], metric[used] ** 2, people[used] ** 2,
                          metric[used] * people[used]]) * weight[used]
        by_cluster = np.stack([np.bincount(group, weights=term) for term in terms])
        total = by_cluster.sum(axis=1, keepdims=True)
        found, without = _shifts(total, steeper=steeper)[:, 0], _shifts(total - by_cluster, steeper=steeper)
        n = by_cluster.shape[1]
        sd = np.sqrt((n - 1) / n * ((without - without.mean(axis=1, keepdims=True)) ** 2).sum(axis=1))
        reach = t.ppf(1 - FALSE_ALARM / 2 / len(plan.candidates), n - 2) * sd
        lower, upper = float((found - reach).min()), float((found + reach).max())
        rows.append({"model": model, "n": int(used.sum()), "shift": float(found[0]), "lower": lower, "upper": upper,
                     "spread": spread, "shifted": lower > SLIGHT * spread or upper < -SLIGHT * spread})
    return pd.DataFrame(rows, columns=["model", "n", "shift", "lower", "upper", "spread", "shifted"])


def _shifts(moments: np.ndarray, *, steeper: float) -> np.ndarray:
    """Shifts under the slope as it is and under a steeper one, dims (slope, column), from weighted sums."""
    weight, metric, people, metric_2, people_2, both = moments
    metric, people = metric / weight, people / weight
    of_metric, of_people = metric_2 / weight - metric**2, people_2 / weight - people**2
    covariance, nothing = both / weight - metric * people, np.zeros_like(metric)
    slope = np.divide(covariance, of_people, out=nothing.copy(), where=of_people > ROUNDING)
    explained = np.divide(covariance**2, of_metric * of_people, out=nothing, where=of_metric * of_people > ROUNDING)
    return metric - np.stack([slope, slope * np.minimum(steeper, 1 / np.maximum(explained, ROUNDING))]) * people
