"""The support assistant: six regions, four candidates, and a truth that is exact."""

from __future__ import annotations

from dataclasses import dataclass
from io import StringIO

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from migration_kit.errors import InputError
from migration_kit.simulate.pairs import LATENT_CORRELATION, draw_latent, draw_verdicts, score_rows


@dataclass(frozen=True)
class SupportMetric:
    """How one metric reads the truth of a criterion, one value a model in the order of ``SUPPORT_MODELS``.

    A verdict is 1 with probability ``level`` where the truth is 1, and ``other`` where it is 0 and the item of average
    hardness; ``misled`` is the probit slope of the latter on hardness (above 0: taken in by bad outputs on hard items).
    A score is ``ndtr`` of a normal with sd 0.7 around ``level`` where the truth is 1, ``other`` where it is 0.
    """

    criterion: str
    rater_kind: str
    level: tuple[float, ...]
    other: tuple[float, ...]
    misled: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0)
    score: bool = False


def _design(text: str) -> pd.DataFrame:
    return pd.read_csv(StringIO(text), sep=r"\s+", index_col=0)


# shares of the test set and of traffic; probit shift of `correct` and `style`, with the sign turned for `refusal`
SUPPORT_REGIONS = _design("""
region              test  traffic  shift
north_america       0.20     0.34   0.10
europe              0.18     0.24   0.05
south_asia          0.18     0.18   0.00
latin_america       0.16     0.11  -0.05
east_asia           0.14     0.08  -0.10
middle_east_africa  0.14     0.05  -0.15
""")
# true rates where the shift is 0; latency in seconds (median, sd of its log); median characters of an output
SUPPORT_MODELS = _design("""
model             correct  refusal  style  format_ok  latency_median  latency_spread  chars
atlas-2025-06        0.77     0.09   0.80     0.9985            1.10            0.26    620
borealis-2026-09     0.85     0.08   0.82     0.9985            0.85            0.30    640
cirrus-2026-08       0.67     0.07   0.84     0.9985            0.80            0.28    980
delta-2026-07        0.82     0.08   0.82     0.9500            0.70            0.32    560
ember-2026-10        0.82     0.07   0.83     0.9985            0.95            0.28    600
""")
SUPPORT_WEAK = ("borealis-2026-09", "south_asia", 0.50)  # this model's rate of `correct` in this region
SUPPORT_METRICS = {
    "judge_cirrus": SupportMetric(
        "correct", "judge", (0.93, 0.93, 0.97, 0.92, 0.92), (0.30, 0.28, 0.62, 0.32, 0.28), (0.2, 0.2, 0.7, 0.2, 0.2)
    ),
    "judge_quill": SupportMetric(
        "correct", "judge", (0.88, 0.90, 0.94, 0.88, 0.89), (0.20, 0.25, 0.46, 0.20, 0.22), (0.1, 0.1, 0.4, 0.1, 0.1)
    ),
    "reference_overlap": SupportMetric(
        "correct", "code", (0.45, 0.35, 0.50, 0.45, 0.40), (-0.45, -0.40, -0.30, -0.45, -0.45), score=True
    ),
    "refusal_judge": SupportMetric("refusal", "judge", (0.90, 0.88, 0.85, 0.90, 0.88), (0.03, 0.04, 0.02, 0.03, 0.03)),
    "refusal_phrases": SupportMetric("refusal", "code", (0.80, 0.55, 0.45, 0.60, 0.60), (0.02, 0.03, 0.02, 0.02, 0.02)),
    "style_judge": SupportMetric("style", "judge", (0.88, 0.90, 0.95, 0.88, 0.88), (0.30, 0.30, 0.50, 0.30, 0.32)),
    "style_checklist": SupportMetric(
        "style", "code", (0.90, 0.85, 0.95, 0.80, 0.85), (0.05, 0.10, 0.15, 0.00, 0.05), score=True
    ),
}


@dataclass(frozen=True)
class Simulation:
    """A migration in the shape of the data contract, with its truth.

    ``scores`` holds all metrics and the human judgments the kit may use, ``held_out`` a human judgment of every output.
    ``truth`` is exact: ``criterion, model, slice, statistic, value, contrast``; slice ``all`` is weighted by traffic. A
    positive contrast is better than the incumbent, also where a lower value is better. ``metric_truth`` is exact for
    every metric that gives verdicts, under traffic: ``criterion, metric, model, true_positive_rate,
    false_positive_rate, mean, contrast``, where ``mean`` is what the metric says by itself.
    """

    items: pd.DataFrame
    outputs: pd.DataFrame
    scores: pd.DataFrame
    traffic: pd.DataFrame
    held_out: pd.DataFrame
    truth: pd.DataFrame
    metric_truth: pd.DataFrame


def simulate_support(seed: int, *, n_items: int = 2000, n_labels: int = 600) -> Simulation:
    """Draw the support assistant: six regions, an incumbent, four candidates, three gates, format and latency.

    A refused output is never correct: both follow the same latent difficulty, from opposite ends.

    Parameters
    ----------
    seed : int
        Equal seeds give equal tables.
    n_items : int
        Items of the test set.
    n_labels : int
        Items drawn at random whose outputs people judged, the same for all models. With the same seed, fewer labels are
        a subset of more, and everything else stays equal.

    Raises
    ------
    InputError
        More labels than items, or none.
    """
    if not 0 < n_labels <= n_items:
        raise InputError(f"n_labels is {n_labels}; choose from 1 to n_items = {n_items}")
    models, regions, traffic = list(SUPPORT_MODELS.index), SUPPORT_REGIONS.index, SUPPORT_REGIONS["traffic"]
    rates, shape = support_rates(), (n_items, len(models))
    streams = iter(np.random.default_rng(seed).spawn(7 + len(SUPPORT_METRICS)))

    region = next(streams).choice(len(regions), size=n_items, p=SUPPORT_REGIONS["test"])
    answer, hardness = draw_latent(*shape, rng=next(streams))
    manner, _ = draw_latent(*shape, rng=next(streams))
    truth = {
        "correct": answer < ndtri(rates["correct"].T[region]),
        "refusal": -answer < ndtri(rates["refusal"].T[region]),
        "style": manner < ndtri(rates["style"].T[region]),
    }
    labelled = np.sort(next(streams).permutation(n_items)[:n_labels])
    valid = next(streams).random(shape) < SUPPORT_MODELS["format_ok"].to_numpy()
    seconds = np.exp(next(streams).standard_normal(shape) * SUPPORT_MODELS["latency_spread"].to_numpy())
    seconds = (seconds * SUPPORT_MODELS["latency_median"].to_numpy()).round(3)
    length = np.exp(0.15 * hardness[:, None] + 0.3 * next(streams).standard_normal(shape))
    chars = (length * SUPPORT_MODELS["chars"].to_numpy()).round().astype(int)

    item_id = np.array([f"i{k:05d}" for k in range(1, n_items + 1)])
    scores, people = [], {"rater": "support_lead", "rater_kind": "human"}
    for name, metric in SUPPORT_METRICS.items():
        y, rng = truth[metric.criterion], next(streams)
        if metric.score:
            values = ndtr(np.where(y, metric.level, metric.other) + 0.7 * rng.standard_normal(shape)).round(2)
        else:
            false_positive = ndtr(ndtri(metric.other) + hardness[:, None] * metric.misled)
            values = draw_verdicts(y, np.array(metric.level), false_positive, rng=rng)
        made_by = {"rater": name, "rater_kind": metric.rater_kind}
        scores.append(score_rows(item_id, models, values, criterion=metric.criterion, **made_by))
    scores += [
        score_rows(item_id, models, valid, criterion="format_ok", rater="xml_validator", rater_kind="code"),
        score_rows(item_id, models, seconds, criterion="latency_s", rater="gateway", rater_kind="code"),
        *(score_rows(item_id[labelled], models, y[labelled], criterion=c, **people) for c, y in truth.items()),
    ]
    held_out = [score_rows(item_id, models, y, criterion=c, **people) for c, y in truth.items()]
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
        scores=pd.concat(scores, ignore_index=True),
        traffic=pd.DataFrame({"region": regions, "share": traffic.to_numpy()}),
        held_out=pd.concat(held_out, ignore_index=True),
        truth=_support_truth(rates),
        metric_truth=pd.concat(metric_truth, ignore_index=True),
    )


def support_rates() -> dict[str, np.ndarray]:
    """Return the exact rate of every binary criterion, arrays with dims (model, region)."""
    shift = SUPPORT_REGIONS["shift"].to_numpy()
    signs = {"correct": 1, "refusal": -1, "style": 1, "format_ok": 0}
    rates = {c: ndtr(ndtri(SUPPORT_MODELS[[c]].to_numpy()) + sign * shift) for c, sign in signs.items()}
    model, region, rate = SUPPORT_WEAK
    rates["correct"][SUPPORT_MODELS.index.get_loc(model), SUPPORT_REGIONS.index.get_loc(region)] = rate
    return rates


def _support_truth(rates: dict[str, np.ndarray]) -> pd.DataFrame:
    tables = []
    for criterion, rate in rates.items():
        value = pd.DataFrame(rate, index=SUPPORT_MODELS.index, columns=SUPPORT_REGIONS.index)
        value["all"] = rate @ SUPPORT_REGIONS["traffic"].to_numpy()
        contrast = value.iloc[0] - value if criterion == "refusal" else value - value.iloc[0]
        tables.append(
            pd.DataFrame({"value": value.stack(), "contrast": contrast.stack()})
            .rename_axis(["model", "slice"])
            .reset_index()
            .assign(criterion=criterion, statistic="mean")
        )
    p95 = SUPPORT_MODELS["latency_median"] * np.exp(SUPPORT_MODELS["latency_spread"] * ndtri(0.95))
    latency = pd.DataFrame({"model": p95.index, "value": p95.to_numpy(), "contrast": (p95.iloc[0] - p95).to_numpy()})
    tables.append(latency.assign(slice="all", criterion="latency_s", statistic="p95"))
    columns = ["criterion", "model", "slice", "statistic", "value", "contrast"]
    return pd.concat(tables, ignore_index=True)[columns]


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
