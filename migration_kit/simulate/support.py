"""The support assistant: six regions, five candidates, and a truth that is exact."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from migration_kit.errors import InputError
from migration_kit.simulate.pairs import LATENT_CORRELATION, draw_latent, score_rows
from migration_kit.simulate.support_design import (
    FIRST_DRAWN,
    SUPPORT_METRICS,
    SUPPORT_MODELS,
    SUPPORT_REGIONS,
    SUPPORT_WEAK,
    SupportMetric,
    by_model,
    metric_values,
)
from migration_kit.simulate.support_live import draw_live, live_truth
from migration_kit.simulate.support_opinions import (
    OPINION_METRICS,
    opinion_metric_means,
    opinion_rates,
    opinion_tables,
    satisfaction_seen,
)


@dataclass(frozen=True)
class Simulation:
    """A migration in the shape of the data contract, with its truth.

    ``scores`` holds all metrics and the human judgments the kit may use, ``held_out`` a human judgment of every output.
    ``truth`` is exact: ``criterion, model, slice, statistic, value, contrast``; slice ``all`` is weighted by traffic. A
    positive contrast is better than the incumbent, also where a lower value is better. ``metric_truth`` is exact for
    every metric that gives verdicts, grades or preferences, under traffic: ``criterion, metric, model,
    true_positive_rate, false_positive_rate, mean, contrast``, where ``mean`` is what the metric says by itself and only
    verdicts have the two rates. ``live`` are shadow, canary and anchor rows, ``live_truth`` what is true of them:
    `support_live.live_truth`.
    """

    items: pd.DataFrame
    outputs: pd.DataFrame
    scores: pd.DataFrame
    traffic: pd.DataFrame
    held_out: pd.DataFrame
    truth: pd.DataFrame
    metric_truth: pd.DataFrame
    live: pd.DataFrame
    live_truth: pd.DataFrame


def simulate_support(seed: int, *, n_items: int = 2000, n_labels: int = 600, live_seed: int = 0) -> Simulation:
    """Draw the support assistant: six regions, an incumbent, five candidates, five criteria, format and latency.

    A refused output is never correct: both follow the same latent difficulty, from opposite ends. Satisfaction (1 to 5,
    a panel of four) and preference against the incumbent follow difficulty and manner together.

    Parameters
    ----------
    seed : int
        Equal seeds give equal tables.
    n_items : int
        Items of the test set.
    n_labels : int
        Items drawn at random whose outputs people judged for the gates, the same for all models; satisfaction and
        preference are judged on some of them. With the same seed, fewer labels are a subset of more, and everything
        else stays equal.
    live_seed : int
        With the same seed, another one gives other live requests and leaves the rest equal.

    Raises
    ------
    InputError
        More labels than items, or none.
    """
    if not 0 < n_labels <= n_items:
        raise InputError(f"n_labels is {n_labels}; choose from 1 to n_items = {n_items}")
    models, regions, traffic = list(SUPPORT_MODELS.index), SUPPORT_REGIONS.index, SUPPORT_REGIONS["traffic"]
    rates, shape = support_rates(), (n_items, len(models))
    root = np.random.default_rng(seed)
    streams, later = (iter(root.spawn(n + len(SUPPORT_METRICS))) for n in (13, 10))
    live = iter(np.random.default_rng([seed, live_seed]).spawn(20 + len(SUPPORT_METRICS)))

    region = next(streams).choice(len(regions), size=n_items, p=SUPPORT_REGIONS["test"])
    (answer, hardness), (manner, _) = (_latent(shape, next(streams), next(later)) for _ in range(2))
    truth = {
        "correct": answer < ndtri(rates["correct"].T[region]),
        "refusal": -answer < ndtri(rates["refusal"].T[region]),
        "style": manner < ndtri(rates["style"].T[region]),
    }
    order = next(streams).permutation(n_items)
    labelled = np.sort(order[:n_labels])

    def normal() -> np.ndarray:
        return by_model(lambda rng, which: rng.standard_normal(answer[:, which].shape), (next(streams), next(later)))

    uniform = by_model(lambda rng, which: rng.random(answer[:, which].shape), (next(streams), next(later)))
    valid = uniform < SUPPORT_MODELS["format_ok"].to_numpy()
    seconds = np.exp(normal() * SUPPORT_MODELS["latency_spread"].to_numpy())
    seconds = (seconds * SUPPORT_MODELS["latency_median"].to_numpy()).round(3)
    length = np.exp(0.15 * hardness[:, None] + 0.3 * normal())
    chars = (length * SUPPORT_MODELS["chars"].to_numpy()).round().astype(int)

    item_id = np.array([f"i{k:05d}" for k in range(1, n_items + 1)])
    scores, people = [], {"rater": "support_lead", "rater_kind": "human"}
    for name, metric in SUPPORT_METRICS.items():
        values = by_model(
            lambda rng, which, one=metric: metric_values(one, truth[one.criterion][:, which], hardness, rng=rng,
                                                         models=which),
            (next(streams), next(later)))
        made_by = {"rater": name, "rater_kind": metric.rater_kind}
        scores.append(score_rows(item_id, models, values, criterion=metric.criterion, **made_by))
    scores += [
        score_rows(item_id, models, valid, criterion="format_ok", rater="xml_validator", rater_kind="code"),
        score_rows(item_id, models, seconds, criterion="latency_s", rater="gateway", rater_kind="code"),
        *(score_rows(item_id[labelled], models, y[labelled], criterion=c, **people) for c, y in truth.items()),
    ]
    held_out = [score_rows(item_id, models, y, criterion=c, **people) for c, y in truth.items()]
    seen = satisfaction_seen(rates, region, answer=answer, manner=manner)
    opinions, kept_aside = opinion_tables(item_id, seen, order, n_labels=n_labels, streams=streams, later=later)
    scores = pd.concat([*scores, *opinions], ignore_index=True)
    metric_truth = [_metric_truth(name, m, rates[m.criterion]) for name, m in SUPPORT_METRICS.items() if not m.score]
    return Simulation(
        items=pd.DataFrame({"item_id": item_id, "region": regions.to_numpy()[region]}),
        outputs=pd.DataFrame(
            {
                "item_id": np.tile(item_id, len(models)),
                "model": np.repeat(models, n_items),
                "output_chars": chars.T.ravel(),
            }
        ),
        scores=scores,
        traffic=pd.DataFrame({"region": regions, "share": traffic.to_numpy()}),
        held_out=pd.concat([*held_out, *kept_aside], ignore_index=True),
        truth=_support_truth(rates),
        metric_truth=pd.concat([*metric_truth, _opinion_metric_truth(rates)], ignore_index=True),
        live=draw_live(rates, item_id=item_id, truth=truth, hardness=hardness, scores=scores, streams=live),
        live_truth=live_truth(rates),
    )


def _latent(
    shape: tuple[int, int], first: np.random.Generator, later: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw latent difficulty (item, model) and hardness (item,); models that came later from their own stream."""
    latent, hardness = draw_latent(shape[0], FIRST_DRAWN, rng=first)
    own = later.standard_normal((shape[0], shape[1] - FIRST_DRAWN))
    more = np.sqrt(LATENT_CORRELATION) * hardness[:, None] + np.sqrt(1 - LATENT_CORRELATION) * own
    return np.concatenate([latent, more], axis=1), hardness


def support_rates() -> dict[str, np.ndarray]:
    """Return the exact rate of every binary criterion, arrays with dims (model, region)."""
    shift = SUPPORT_REGIONS["shift"].to_numpy()
    signs = {"correct": 1, "refusal": -1, "style": 1, "format_ok": 0}
    rates = {c: ndtr(ndtri(SUPPORT_MODELS[[c]].to_numpy()) + sign * shift) for c, sign in signs.items()}
    model, region, rate = SUPPORT_WEAK
    rates["correct"][SUPPORT_MODELS.index.get_loc(model), SUPPORT_REGIONS.index.get_loc(region)] = rate
    return rates


def _support_truth(rates: dict[str, np.ndarray]) -> pd.DataFrame:
    binary = [_means(criterion, rate) for criterion, rate in rates.items()]
    opinions = [_means(criterion, value) for criterion, value in opinion_rates(rates).items()]
    p95 = SUPPORT_MODELS["latency_median"] * np.exp(SUPPORT_MODELS["latency_spread"] * ndtri(0.95))
    latency = pd.DataFrame({"model": p95.index, "value": p95.to_numpy(), "contrast": (p95.iloc[0] - p95).to_numpy()})
    latency = latency.assign(slice="all", criterion="latency_s", statistic="p95")
    columns = ["criterion", "model", "slice", "statistic", "value", "contrast"]
    return pd.concat([*binary, latency, *opinions], ignore_index=True)[columns]


def _means(criterion: str, exact: np.ndarray) -> pd.DataFrame:
    """Rows of a quality given by model and region, with its total under traffic."""
    value = pd.DataFrame(exact, index=SUPPORT_MODELS.index, columns=SUPPORT_REGIONS.index)
    value["all"] = exact @ SUPPORT_REGIONS["traffic"].to_numpy()
    contrast = value.iloc[0] - value if criterion == "refusal" else value - value.iloc[0]
    rows = pd.DataFrame({"value": value.stack(), "contrast": contrast.stack()}).rename_axis(["model", "slice"])
    return rows.reset_index().assign(criterion=criterion, statistic="mean")


def _metric_truth(name: str, metric: SupportMetric, rate: np.ndarray) -> pd.DataFrame:
    """Integrate a metric's errors over the hardness of items and the regions of traffic."""
    node, weight = np.polynomial.hermite_e.hermegauss(80)
    node, weight = node[:, None, None], (weight / weight.sum())[:, None, None]
    bad = ndtr((np.sqrt(LATENT_CORRELATION) * node - ndtri(rate)) / np.sqrt(1 - LATENT_CORRELATION))
    called_good = ndtr(ndtri(np.array(metric.other))[:, None] + np.array(metric.misled)[:, None] * node)
    traffic = SUPPORT_REGIONS["traffic"].to_numpy()
    quality = rate @ traffic
    false_positive = (weight * bad * called_good).sum(axis=0) @ traffic / (1 - quality)
    mean = np.array(metric.level) * quality + false_positive * (1 - quality)
    return pd.DataFrame(
        {
            "criterion": metric.criterion,
            "metric": name,
            "model": SUPPORT_MODELS.index,
            "true_positive_rate": metric.level,
            "false_positive_rate": false_positive,
            "mean": mean,
            "contrast": mean[0] - mean if metric.criterion == "refusal" else mean - mean[0],
        }
    )


def _opinion_metric_truth(rates: dict[str, np.ndarray]) -> pd.DataFrame:
    tables = []
    for criterion, metric in OPINION_METRICS.items():
        mean = opinion_metric_means(rates)[metric] @ SUPPORT_REGIONS["traffic"].to_numpy()
        tables.append(pd.DataFrame({"criterion": criterion, "metric": metric, "model": SUPPORT_MODELS.index,
                                    "mean": mean, "contrast": mean - mean[0]}))
    return pd.concat(tables, ignore_index=True)
