"""One row of the run's estimates, from draws or from a normal approximation."""

from collections.abc import Iterable, Mapping
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

ESTIMATE_KEY = ("layer", "criterion", "model", "slice", "quantity", "method", "metric")
ESTIMATE_COLUMNS = (*ESTIMATE_KEY, "n_labels", "mean", "sd", "lower", "upper", "prob_noninferior")
# scipy.special would say the same, and cost `preview` a fifth of a second to import.
NORMAL = NormalDist()
UNKNOWN = {"mean": np.nan, "sd": np.nan, "lower": np.nan, "upper": np.nan, "prob_noninferior": np.nan}


def summarise(draws: np.ndarray, *, interval: float, margin: float | None = None) -> dict[str, float]:
    """Summarise the draws of one quantity.

    Parameters
    ----------
    draws : ndarray (draw,)
        Qualities on the 0..1 scale, or contrasts where positive is better.
    interval : float
        Probability within the equal-tailed interval, e.g. 0.95.
    margin : float, optional
        Largest loss accepted; only for the contrast of a gate.

    Returns
    -------
    dict
        mean, sd, lower, upper and prob_noninferior, the share of draws above ``-margin`` (NaN without a margin). All
        NaN where there are no draws or a draw is NaN: nothing is known.
    """
    draws = np.asarray(draws, dtype=float)
    if not draws.size or np.isnan(draws).any():
        return dict(UNKNOWN)
    lower, upper = np.quantile(draws, [(1 - interval) / 2, (1 + interval) / 2])
    return {
        "mean": float(draws.mean()),
        "sd": float(draws.std()),
        "lower": float(lower),
        "upper": float(upper),
        "prob_noninferior": np.nan if margin is None else float((draws > -margin).mean()),
    }


def summarise_normal(mean: float, sd: float, *, interval: float, margin: float | None = None) -> dict[str, float]:
    """Summarise a quantity known as a normal; the same keys as `summarise`, all NaN where the mean is.

    An sd of NaN (a single observation, say) leaves the mean and nothing else.
    """
    reach = sd * NORMAL.inv_cdf((1 + interval) / 2)
    if margin is None or np.isnan(sd):
        probability = np.nan
    else:
        probability = NORMAL.cdf((mean + margin) / sd) if sd > 0 else float(mean > -margin)
    return {
        "mean": float(mean),
        "sd": float(sd),
        "lower": float(mean - reach),
        "upper": float(mean + reach),
        "prob_noninferior": probability,
    }


def estimate_table(rows: Iterable[Mapping[str, Any]], **common: str) -> pd.DataFrame:
    """Arrange estimate rows as a table with exactly `ESTIMATE_COLUMNS`.

    Parameters
    ----------
    rows : iterable of mapping
        Each holds the columns that ``common`` does not; ``metric`` is "" where absent.
    **common : str
        Columns with one value in all rows, such as ``layer`` and ``criterion``.
    """
    table = pd.DataFrame([{"metric": "", **common, **row} for row in rows], columns=list(ESTIMATE_COLUMNS))
    words = dict.fromkeys(ESTIMATE_COLUMNS[:7], "str")
    return table.astype(words | {"n_labels": "int64"} | dict.fromkeys(ESTIMATE_COLUMNS[8:], float))
