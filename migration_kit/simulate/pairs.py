"""Models on the same items, as arrays with exact true rates.

An output succeeds when its latent difficulty ``u = sqrt(r) * h + sqrt(1 - r) * e`` (``h`` the hardness of the item, the
same for all models, ``e`` its own, both standard normal) lies below ``ndtri(quality)``. So every quality is exact, and
the truth of two models on one item has latent correlation ``r``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri, roots_hermitenorm

from migration_kit.errors import InputError

LATENT_CORRELATION = 0.5
QUADRATURE_NODES = 160


@dataclass(frozen=True)
class Pairs:
    """Models on the same items, as arrays, and what is true of them.

    Attributes
    ----------
    truth : ndarray (item, model)
        0 or 1.
    metrics : ndarray (item, model, metric)
        Verdicts, 0 or 1.
    labelled : ndarray (item,)
        Whether the truth of an item may be used.
    inclusion_prob : ndarray (item,)
        Probability with which an item was to be labelled; one value where labels are drawn at random.
    slice : ndarray (item,)
        Number of the item's slice, all 0 where there is only one.
    traffic : ndarray (slice,)
        Share of production.
    quality : ndarray (model,)
        Exact true rates, weighted by traffic.
    slice_quality : ndarray (slice, model)
        Exact true rates by slice.
    """

    truth: np.ndarray
    metrics: np.ndarray
    labelled: np.ndarray
    inclusion_prob: np.ndarray
    slice: np.ndarray
    traffic: np.ndarray
    quality: np.ndarray
    slice_quality: np.ndarray


def simulate_pairs(
    *,
    quality: Sequence[float] | Sequence[Sequence[float]],
    sensitivity: Sequence,
    specificity: Sequence,
    n_labels: int,
    seed: int,
    n_unlabelled: int = 1000,
    correlation: float = LATENT_CORRELATION,
    misled: float = 0.0,
    oversampled: float = 1.0,
) -> Pairs:
    """Draw a benchmark migration.

    ``simulate_pairs(**SCENARIOS["A"], n_labels=100, seed=1)`` draws scenario A.

    Parameters
    ----------
    quality : sequence of float, or a sequence of those
        True rate of each model, the incumbent first; one row a slice, all slices with the same traffic.
    sensitivity, specificity : sequence of float, or nested once or twice
        Share of good outputs a metric calls good, of bad ones it calls bad: one value a model, one row a metric, one
        table a slice. Both hold whatever ``misled`` is.
    n_labels, n_unlabelled : int
        Items with and without human judgments.
    seed : int
        Equal seeds give equal arrays.
    correlation : float
        Latent correlation of the truth of two models on one item, from 0 to 1.
    misled : float
        Probit slope of the false positives on the hardness of the item. At 0 metrics err independently given the
        truth; above it, they are taken in by several models on the same hard items.
    oversampled : float
        How many times as likely an item is to be judged by people where the first metric calls any output bad. At 1
        labels are drawn at random and the labelled items come first.

    Raises
    ------
    InputError
        A rate outside (0, 1), or metric errors that do not name every model.
    """
    by_slice = np.atleast_2d(np.asarray(quality, dtype=float))
    n_models = by_slice.shape[1]
    rates = {"quality": by_slice[:, None, :]}
    for name, value in {"sensitivity": sensitivity, "specificity": specificity}.items():
        value = np.asarray(value, dtype=float)
        rates[name] = value.reshape((1,) * (3 - value.ndim) + value.shape)
    for name, value in rates.items():
        if value.shape[-1] != n_models or not ((value > 0) & (value < 1)).all():
            raise InputError(
                f"{name} is {value.squeeze().tolist()}; give one rate between 0 and 1 for each of the {n_models} models"
            )
    rng, n_items = np.random.default_rng(seed), n_labels + n_unlabelled
    quality, sensitivity, specificity = np.broadcast_arrays(*rates.values())
    n_slices, n_metrics, _ = quality.shape
    by_slice = quality[:, 0]
    latent, hardness = draw_latent(n_items, n_models, rng=rng, correlation=correlation)
    slices = rng.integers(n_slices, size=n_items) if n_slices > 1 else np.zeros(n_items, dtype=np.int64)
    truth = (latent < ndtri(by_slice)[slices]).astype(np.int8)
    metrics = []
    for number in range(n_metrics):
        false_positive = (1 - specificity[:, number])[slices]
        if misled:
            rate_of = np.vectorize(false_positive_intercept)
            levels = rate_of(1 - specificity[:, number], by_slice, slope=misled, correlation=correlation)
            false_positive = ndtr(levels[slices] + misled * hardness[:, None])
        metrics.append(draw_verdicts(truth, sensitivity[:, number][slices], false_positive, rng=rng))
    metrics = np.stack(metrics, axis=-1)
    labelled, inclusion_prob = np.arange(n_items) < n_labels, np.full(n_items, n_labels / n_items)
    if oversampled != 1:
        labelled, inclusion_prob = choose_labels(metrics[:, :, 0], n_labels, times=oversampled, rng=rng)
    return Pairs(truth, metrics, labelled, inclusion_prob, slices, np.full(n_slices, 1 / n_slices),
                 by_slice.mean(axis=0), by_slice)


def draw_latent(
    n_items: int, n_models: int, *, rng: np.random.Generator, correlation: float = LATENT_CORRELATION
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the latent difficulty of every output, dims (item, model), and the hardness of every item, dims (item,)."""
    hardness = rng.standard_normal(n_items)
    own = rng.standard_normal((n_items, n_models))
    return np.sqrt(correlation) * hardness[:, None] + np.sqrt(1 - correlation) * own, hardness


def draw_verdicts(
    truth: np.ndarray, true_positive: np.ndarray, false_positive: np.ndarray, *, rng: np.random.Generator
) -> np.ndarray:
    """Draw one metric's 0/1 verdicts, dims (item, model), on outputs of known truth.

    ``true_positive`` and ``false_positive`` are the rates of verdict 1 where the truth is 1 and 0; any shape that
    broadcasts to (item, model).
    """
    return (rng.random(truth.shape) < np.where(truth == 1, true_positive, false_positive)).astype(np.int8)


@cache
def false_positive_intercept(rate: float, quality: float, *, slope: float, correlation: float) -> float:
    """Return a for which E[Φ(a + slope·h)] over the bad outputs of a model is the false positive rate asked for.

    Bad outputs stand on hard items more than on easy ones, so a lies below what an average item would need.
    """
    hardness, weight = roots_hermitenorm(QUADRATURE_NODES)
    bad = ndtr((np.sqrt(correlation) * hardness - ndtri(quality)) / np.sqrt(1 - correlation)) * weight
    return brentq(lambda a: bad @ ndtr(a + slope * hardness) / bad.sum() - rate, -40, 40)


def choose_labels(
    verdicts: np.ndarray, n_labels: int, *, times: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Choose items to label, those with any verdict 0 ``times`` as likely as the others.

    Parameters
    ----------
    verdicts : ndarray (item, model)
        0 or 1, of one metric.
    n_labels : int
        Items to choose; how many of each kind is fixed, which ones is random.
    times : float
        Above 0.

    Returns
    -------
    labelled : ndarray (item,)
    inclusion_prob : ndarray (item,)
        Exact: chosen over present, within each kind.
    """
    doubtful = (verdicts == 0).any(axis=1)
    n_doubtful, n_other = int(doubtful.sum()), int((~doubtful).sum())
    wanted = round(n_labels * times * n_doubtful / (times * n_doubtful + n_other))
    quota = {True: min(wanted, n_doubtful), False: max(n_labels - wanted, n_labels - n_doubtful)}
    labelled, inclusion_prob = np.zeros(len(doubtful), dtype=bool), np.zeros(len(doubtful))
    for kind, number in quota.items():
        members = np.flatnonzero(doubtful == kind)
        labelled[rng.choice(members, number, replace=False)] = True
        inclusion_prob[members] = number / max(len(members), 1)
    return labelled, inclusion_prob


def score_rows(
    item_id: np.ndarray, models: Sequence[str], values: np.ndarray, *, criterion: str, rater: str, rater_kind: str
) -> pd.DataFrame:
    """Write one rater's values, dims (item, model), as rows of ``scores``, model by model."""
    return pd.DataFrame(
        {
            "item_id": np.tile(item_id, len(models)),
            "model": np.repeat(np.array(models), len(item_id)),
            "criterion": criterion,
            "rater": rater,
            "rater_kind": rater_kind,
            "value": values.T.ravel().astype(float),
        }
    )
