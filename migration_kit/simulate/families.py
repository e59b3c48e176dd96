"""Migrations with exact truth for every scale, for several raters, for clusters and for many metrics, as arrays.

The latent value of an output is ``level[model] + shift[slice] + z``, where ``z`` is standard normal and correlates 0.5
between models on one item (`draw_latent`). People judge the latent value, metrics read it with errors of their own; so
the quality of every model in every slice has a closed form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy.integrate import quad
from scipy.special import ndtr
from scipy.stats import norm

from migration_kit.errors import InputError
from migration_kit.simulate.pairs import draw_latent

SHARE, SHIFT = np.array([0.5, 0.3, 0.2]), np.array([0.0, 0.15, -0.2])
LEVELS = (0.35, 0.55)
CUTS = np.array([-1.6, -0.9, -0.1, 1.0])
JUDGE_CUTS = np.array([-1.9, -0.7, 0.1, 0.8])
TIE, PREFERENCE_SEEN, JUDGE_SEEN = 0.35, 0.7, 0.5
# Shares of the latent variance where several raters judge: seen by metrics, the output's own, the rater's severity.
SEEN, SPREAD, SEVERITY = 0.60, 0.15, 0.05
COMMON_TO_CLUSTER, CLUSTER_BY_MODEL = 0.20, 0.10
METRICS, USEFUL = 15, 3
BEND = (0.9, 1.1, -0.5)  # probit of the true rate: at a score of 0, its slope below, its slope above
ITEM_ERROR = 0.3


@dataclass(frozen=True)
class Judged:
    """Models on the same items, judged by people; model 0 is the incumbent.

    Attributes
    ----------
    criterion : dict
        Keys of the plan's criterion: ``scale``, ``quantity``.
    judgments : ndarray (item, model, rater)
        What every rater would say of every output, on the scale people use. NaN for the incumbent of a preference.
    labelled : ndarray (item, rater)
        Judgments that may be used; the same for all models. Labelled items come first.
    metrics : ndarray (item, model, metric)
        NaN for the incumbent where the metric is a preference.
    preference : ndarray (metric,)
        Whether the metric says which of two outputs is better.
    side : ndarray (item, model, rater), metric_side : ndarray (item, model, metric)
        Where the candidate's output stood in a preference, −½ left or ½ right; 0 elsewhere.
    slices, cluster : ndarray (item,)
        Position of the slice and of the cluster; without clusters every item is its own.
    share : ndarray (slice,)
        Share of each slice in traffic, also the probability that an item belongs to it.
    slice_quality : ndarray (model, slice)
        Exact quality on the score scale; for a preference the net win rate shown on neither side, incumbent 0.
    """

    criterion: dict[str, object]
    judgments: np.ndarray
    labelled: np.ndarray
    metrics: np.ndarray
    preference: np.ndarray
    side: np.ndarray
    metric_side: np.ndarray
    slices: np.ndarray
    cluster: np.ndarray
    share: np.ndarray
    slice_quality: np.ndarray

    @property
    def quality(self) -> np.ndarray:
        """Exact quality over all traffic, dims (model,)."""
        return self.slice_quality @ self.share


def simulate_family(name: str, *, n_labels: int, seed: int, n_unlabelled: int = 1000) -> Judged:
    """Draw a migration of one of the `FAMILIES`, two models.

    Parameters
    ----------
    name : str
        ordinal (1 to 5, mean) · at_least (1 to 5, share at 4 or above) · normal (continuous, the candidate more spread)
        · penalty (continuous, 0 or below, most of it 0) · pairwise (win, tie or loss, people and the judge lean to one
        side) · raters, raters_binary (five raters, one or three an output) · clusters (labels on items at random) ·
        whole_clusters (labels on all items of a cluster) · many_metrics (fifteen, of which three are useful) · bend
        (the true rate rises with a score and then falls).
    n_labels, n_unlabelled : int
        Items with and without human judgments.
    seed : int
        Equal seeds give equal arrays.

    Raises
    ------
    InputError
        An unknown family, or no labels.
    """
    if name not in FAMILIES or n_labels < 1 or n_unlabelled < 0:
        raise InputError(f"family {name!r} with n_labels {n_labels} and n_unlabelled {n_unlabelled}; "
                         f"choose one of {', '.join(FAMILIES)}, n_labels from 1 and n_unlabelled from 0")
    rng, n_items = np.random.default_rng(seed), n_labels + n_unlabelled
    slices = rng.choice(len(SHARE), size=n_items, p=SHARE)
    return FAMILIES[name](slices, np.arange(n_items) < n_labels, rng)


def judged_rows(
    drawn: Judged, *, models: Sequence[str], metrics: Sequence[str], criterion: str, everything: bool = False
) -> pd.DataFrame:
    """Write the metrics and the judgments that may be used (or all of them) as rows of ``scores``.

    Items are named ``i00000`` on, raters ``rater_1`` on. Columns ``opponent`` and ``side`` only where people or a
    metric compare two outputs; ``side`` is left or right.
    """
    used = np.ones_like(drawn.labelled) if everything else drawn.labelled
    judgments = np.where(used[:, None, :], drawn.judgments, np.nan)
    raters = [f"rater_{number + 1}" for number in range(judgments.shape[2])]
    compared = drawn.criterion["scale"] == "pairwise"
    parts = [*((name, "human", judgments[:, :, k], drawn.side[:, :, k], compared) for k, name in enumerate(raters)),
             *((name, "judge", drawn.metrics[:, :, k], drawn.metric_side[:, :, k], drawn.preference[k])
               for k, name in enumerate(metrics))]
    tables = []
    for rater, kind, values, side, against in parts:
        item, model = np.nonzero(~np.isnan(values))
        rows = pd.DataFrame({
            "item_id": [f"i{number:05d}" for number in item], "model": np.array(models)[model], "criterion": criterion,
            "rater": rater, "rater_kind": kind, "value": values[item, model].astype(float)})
        if compared:
            rows["opponent"] = models[0] if against else None
            rows["side"] = np.where(side[item, model] < 0, "left", "right") if against else None
        tables.append(rows.astype({"opponent": object, "side": object}) if compared else rows)
    return pd.concat(tables, ignore_index=True)


def _judged(
    criterion: Mapping[str, object], judgments: np.ndarray, metrics: Sequence[np.ndarray], *, slices: np.ndarray,
    labelled: np.ndarray, slice_quality: np.ndarray, **more: np.ndarray,
) -> Judged:
    judgments = judgments if judgments.ndim == 3 else judgments[:, :, None]
    labelled = labelled if labelled.ndim == 2 else labelled[:, None]
    values = np.stack(metrics, axis=-1).astype(float)
    plain = {"preference": np.zeros(values.shape[2], bool), "side": np.zeros_like(judgments, float),
             "metric_side": np.zeros_like(values), "cluster": np.arange(len(slices))}
    return Judged(dict(criterion), judgments.astype(float), labelled, values, slices=slices, share=SHARE,
                  slice_quality=slice_quality, **(plain | more))


def _centre(levels: Sequence[float] = LEVELS) -> np.ndarray:
    """Mean of the latent value, dims (model, slice)."""
    return np.asarray(levels)[:, None] + SHIFT


def _read(latent: np.ndarray, noise: float, rng: np.random.Generator, flattery: float = 0.0) -> np.ndarray:
    """Read latent values with errors that partly belong to the item; flattery lifts every model but the incumbent."""
    own, item = rng.standard_normal(latent.shape), rng.standard_normal((len(latent), 1))
    flattered = flattery * (np.arange(latent.shape[1]) > 0)
    return latent + flattered + noise * (np.sqrt(ITEM_ERROR) * item + np.sqrt(1 - ITEM_ERROR) * own)


def _grade(latent: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    return 1 + np.digitize(latent, cuts)


def _three_metrics(latent: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """A judge from 1 to 5, a judge of good or bad and a score around 0.7, all of one latent value."""
    return [_grade(_read(latent, 0.8, rng, 0.2), JUDGE_CUTS), _read(latent, 1.0, rng, -0.2) > 0,
            0.7 + 0.08 * _read(latent, 1.2, rng)]


def _latent(slices: np.ndarray, rng: np.random.Generator, levels: Sequence[float] = LEVELS) -> np.ndarray:
    return _centre(levels)[:, slices].T + draw_latent(len(slices), len(levels), rng=rng)[0]


def _ordinal(slices, labelled, rng, *, at_least: int | None = None) -> Judged:
    latent, centre = _latent(slices, rng), _centre()
    above = ndtr(centre[..., None] - CUTS)
    criterion = {"scale": {"ordinal": [1, 5]}, "quantity": {"at_least": at_least} if at_least else "mean"}
    quality = above[..., at_least - 2] if at_least else 1 + above.sum(axis=-1)
    return _judged(criterion, _grade(latent, CUTS), _three_metrics(latent, rng), slices=slices, labelled=labelled,
                   slice_quality=quality)


def _normal(slices, labelled, rng) -> Judged:
    latent, centre = _latent(slices, rng), _centre()
    mean, sd = 60 + 12 * centre, np.array([12.0, 15.0])
    values = mean[:, slices].T + sd * (latent - centre[:, slices].T)
    return _judged({"scale": "continuous"}, values, _three_metrics(latent, rng), slices=slices, labelled=labelled,
                   slice_quality=mean)


def _penalty(slices, labelled, rng) -> Judged:
    # An output loses the square of how far it falls short of 0, so half of the outputs lose nothing and a few much.
    levels = (-0.1, 0.1)
    latent, centre = _latent(slices, rng, levels), _centre(levels)
    quality = -4 * ((centre**2 + 1) * ndtr(-centre) - centre * norm.pdf(centre))
    values = -4 * np.maximum(-latent, 0) ** 2
    return _judged({"scale": "continuous"}, values, _three_metrics(latent, rng), slices=slices, labelled=labelled,
                   slice_quality=quality)


def _pairwise(slices, labelled, rng, *, side_effect: float = 0.3) -> Judged:
    # Slices differ in how far the candidate is ahead, not in how hard their items are.
    ahead = np.array([[0.0], [0.25]]) + np.array([[0.0], [1.0]]) * SHIFT
    latent = ahead[:, slices].T + draw_latent(len(slices), 2, rng=rng)[0]
    gap = latent - latent[:, :1]
    side, judge_side = (rng.choice([-0.5, 0.5], size=gap.shape) for _ in range(2))

    def compare(seen: float, lean: float, shown: np.ndarray) -> np.ndarray:
        felt = np.sqrt(seen) * gap + np.sqrt(1 - seen) * rng.standard_normal(gap.shape) + lean * shown
        return np.where([True, False], np.nan, (felt > TIE).astype(float) - (felt < -TIE))

    metrics = [compare(JUDGE_SEEN, 0.8, judge_side), 0.7 + 0.08 * _read(latent, 1.0, rng, 0.1)]
    mean = np.sqrt(PREFERENCE_SEEN) * ahead
    only = np.array([0.0, 1.0])
    return _judged(
        {"scale": "pairwise"}, compare(PREFERENCE_SEEN, side_effect, side), metrics, slices=slices, labelled=labelled,
        slice_quality=ndtr(mean - TIE) - ndtr(-mean - TIE), side=(side * only)[:, :, None],
        metric_side=np.stack([judge_side * only, np.zeros_like(gap)], axis=-1), preference=np.array([True, False]))


def _raters(slices, labelled, rng, *, binary: bool = False, n_raters: int = 5) -> Judged:
    n_items, centre = len(slices), _centre()
    seen = centre[:, slices].T + np.sqrt(SEEN) * draw_latent(n_items, 2, rng=rng)[0]
    output = seen + np.sqrt(SPREAD) * rng.standard_normal(seen.shape)
    severity = np.sqrt(SEVERITY) * rng.standard_normal(n_raters)
    noise = np.sqrt(1 - SEEN - SPREAD - SEVERITY) * rng.standard_normal((*seen.shape, n_raters))
    latent = output[:, :, None] + severity + noise
    asked = np.where(rng.random(n_items) < 0.4, 3, 1)
    order = rng.permuted(np.tile(np.arange(n_raters), (n_items, 1)), axis=1)
    above = ndtr(centre[..., None] - CUTS)
    scale = {"scale": "binary"} if binary else {"scale": {"ordinal": [1, 5]}, "quantity": "mean"}
    return _judged(scale, latent > 0 if binary else _grade(latent, CUTS), _three_metrics(seen, rng), slices=slices,
                   labelled=labelled[:, None] & (order < asked[:, None]),
                   slice_quality=ndtr(centre) if binary else 1 + above.sum(axis=-1))


def _clusters(slices, labelled, rng, *, whole: bool = False) -> Judged:
    sizes = rng.integers(3, 8, size=len(slices))
    cluster = np.repeat(np.arange(len(slices)), sizes)[: len(slices)]
    # Labels stand on the first items: on neighbours of one cluster, or scattered.
    cluster = cluster if whole else rng.permutation(cluster)
    slices = slices[cluster]
    common, by_model = rng.standard_normal((len(slices), 1)), rng.standard_normal((len(slices), 2))
    own = 1 - COMMON_TO_CLUSTER - CLUSTER_BY_MODEL
    latent = (_centre()[:, slices].T + np.sqrt(COMMON_TO_CLUSTER) * common[cluster]
              + np.sqrt(CLUSTER_BY_MODEL) * by_model[cluster]
              + np.sqrt(own) * draw_latent(len(slices), 2, rng=rng)[0])
    return _judged({"scale": "binary"}, latent > 0, _three_metrics(latent, rng), slices=slices, labelled=labelled,
                   slice_quality=ndtr(_centre()), cluster=cluster)


def _many_metrics(slices, labelled, rng) -> Judged:
    latent = _latent(slices, rng)
    # Useless metrics still agree with one another: they read the same thing, such as length, that says nothing.
    other = draw_latent(len(slices), 2, rng=rng)[0]
    metrics = [_read(latent if k < USEFUL else other, 1.0, rng, 0.1) for k in range(METRICS)]
    metrics = [value > 0 if k % 2 else 0.7 + 0.08 * value for k, value in enumerate(metrics)]
    return _judged({"scale": "binary"}, latent > 0, metrics, slices=slices, labelled=labelled,
                   slice_quality=ndtr(_centre()))


def _bend(slices, labelled, rng) -> Judged:
    centre = _centre((-0.2, 0.3))
    score = centre[:, slices].T + draw_latent(len(slices), 2, rng=rng)[0]
    base, below, above = BEND

    def probit(value):
        return base + np.where(value < 0, below, above) * value

    good = draw_latent(len(slices), 2, rng=rng)[0] < probit(score)
    # Each side of the bend is smooth, so quad is exact to its tolerance.
    rate = [sum(quad(lambda x, mean=mean: ndtr(probit(x)) * norm.pdf(x - mean), *part)[0]
                for part in ((-np.inf, 0), (0, np.inf))) for mean in centre.ravel()]
    verdict = rng.random(good.shape) < np.where(good, 0.85, 0.4)
    return _judged({"scale": "binary"}, good, [score, verdict], slices=slices, labelled=labelled,
                   slice_quality=np.reshape(rate, centre.shape))


FAMILIES: dict[str, Callable[[np.ndarray, np.ndarray, np.random.Generator], Judged]] = {
    "ordinal": _ordinal,
    "at_least": partial(_ordinal, at_least=4),
    "normal": _normal,
    "penalty": _penalty,
    "pairwise": _pairwise,
    "raters": _raters,
    "raters_binary": partial(_raters, binary=True),
    "clusters": _clusters,
    "whole_clusters": partial(_clusters, whole=True),
    "many_metrics": _many_metrics,
    "bend": _bend,
}
