"""Models on the same items, as arrays with exact true rates.

An output succeeds when its latent difficulty ``u = sqrt(r) * h + sqrt(1 - r) * e`` (``h`` the hardness of the item, the
same for all models, ``e`` its own, both standard normal) lies below ``ndtri(quality)``. So every quality is exact, and
the truth of two models on one item has latent correlation ``r``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtri

from migration_kit.errors import InputError

LATENT_CORRELATION = 0.5


SCENARIOS = {
    "A": {"quality": (0.80, 0.84), "sensitivity": (0.90, 0.90), "specificity": (0.70, 0.70)},
    "B": {"quality": (0.80, 0.80), "sensitivity": (0.90, 0.90), "specificity": (0.70, 0.70)},
    "C": {"quality": (0.80, 0.84), "sensitivity": (0.90, 0.95), "specificity": (0.70, 0.50)},
    "D": {"quality": (0.80, 0.80), "sensitivity": (0.90, 0.95), "specificity": (0.70, 0.50)},
    "E": {"quality": (0.80, 0.74), "sensitivity": (0.90, 0.95), "specificity": (0.70, 0.50)},
    "F": {"quality": (0.92, 0.94), "sensitivity": (0.95, 0.95), "specificity": (0.90, 0.90)},
}


@dataclass(frozen=True)
class Pairs:
    """Models on the same items, as 0/1 arrays: ``truth`` (item, model), ``metrics`` (item, model, metric).

    ``labelled`` (item,) marks the items whose truth may be used; ``quality`` (model,) holds the exact true rates.
    """

    truth: np.ndarray
    metrics: np.ndarray
    labelled: np.ndarray
    quality: np.ndarray


def simulate_pairs(
    *,
    quality: Sequence[float],
    sensitivity: Sequence[float] | Sequence[Sequence[float]],
    specificity: Sequence[float] | Sequence[Sequence[float]],
    n_labels: int,
    seed: int,
    n_unlabelled: int = 1000,
    correlation: float = LATENT_CORRELATION,
) -> Pairs:
    """Draw a benchmark migration: labels at random, metrics that err independently of each other given the truth.

    ``simulate_pairs(**SCENARIOS["A"], n_labels=100, seed=1)`` draws scenario A.

    Parameters
    ----------
    quality : sequence of float
        True rate of each model, the incumbent first.
    sensitivity, specificity : sequence of float, or a sequence of those
        Share of good outputs a metric calls good, of bad ones it calls bad: one value a model, one row a metric.
    n_labels, n_unlabelled : int
        Items with and without human judgments; the labelled ones come first.
    seed : int
        Equal seeds give equal arrays.
    correlation : float
        Latent correlation of the truth of two models on one item, from 0 to 1.

    Raises
    ------
    InputError
        A rate outside (0, 1), or metric errors that do not name every model.
    """
    rates = {"quality": quality, "sensitivity": sensitivity, "specificity": specificity}
    rates = {name: np.atleast_2d(value) for name, value in rates.items()}
    for name, value in rates.items():
        if value.shape[1] != len(quality) or not ((value > 0) & (value < 1)).all():
            raise InputError(
                f"{name} is {value.tolist()}; give one rate between 0 and 1 for each of the {len(quality)} models"
            )
    rng, n_items = np.random.default_rng(seed), n_labels + n_unlabelled
    latent, _ = draw_latent(n_items, len(quality), rng=rng, correlation=correlation)
    truth = (latent < ndtri(rates["quality"])).astype(np.int8)
    errors = zip(rates["sensitivity"], 1 - rates["specificity"], strict=True)
    metrics = np.stack([draw_verdicts(truth, tpr, fpr, rng=rng) for tpr, fpr in errors], axis=-1)
    return Pairs(truth, metrics, np.arange(n_items) < n_labels, rates["quality"][0])


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
