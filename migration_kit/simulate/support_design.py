"""What the support assistant is made of: regions, models, and how metrics and people read the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from migration_kit.simulate.pairs import draw_verdicts


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
    misled: tuple[float, ...] = (0.0,) * 6
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
fjord-2026-10        0.85     0.07   0.83     0.9985            0.92            0.28    610
""")
# models that came with the first design; later ones draw from streams of their own, so that no number changes
FIRST_DRAWN = 5
SUPPORT_WEAK = ("borealis-2026-09", "south_asia", 0.50)  # this model's rate of `correct` in this region
SUPPORT_METRICS = {
    "judge_cirrus": SupportMetric(
        "correct", "judge", (0.93, 0.93, 0.97, 0.92, 0.92, 0.92), (0.30, 0.28, 0.62, 0.32, 0.28, 0.28),
        (0.2, 0.2, 0.7, 0.2, 0.2, 0.2)
    ),
    "judge_quill": SupportMetric(
        "correct", "judge", (0.88, 0.90, 0.94, 0.88, 0.89, 0.89), (0.20, 0.25, 0.46, 0.20, 0.22, 0.22),
        (0.1, 0.1, 0.4, 0.1, 0.1, 0.1)
    ),
    "reference_overlap": SupportMetric(
        "correct", "code", (0.45, 0.35, 0.50, 0.45, 0.40, 0.40), (-0.45, -0.40, -0.30, -0.45, -0.45, -0.45), score=True
    ),
    "refusal_judge": SupportMetric(
        "refusal", "judge", (0.90, 0.88, 0.85, 0.90, 0.88, 0.88), (0.03, 0.04, 0.02, 0.03, 0.03, 0.03)
    ),
    "refusal_phrases": SupportMetric(
        "refusal", "code", (0.80, 0.55, 0.45, 0.60, 0.60, 0.60), (0.02, 0.03, 0.02, 0.02, 0.02, 0.02)
    ),
    "style_judge": SupportMetric(
        "style", "judge", (0.88, 0.90, 0.95, 0.88, 0.88, 0.88), (0.30, 0.30, 0.50, 0.30, 0.32, 0.32)
    ),
    "style_checklist": SupportMetric(
        "style", "code", (0.90, 0.85, 0.95, 0.80, 0.85, 0.85), (0.05, 0.10, 0.15, 0.00, 0.05, 0.05), score=True
    ),
}


@dataclass(frozen=True)
class Panel:
    """How people, or a judge, read the latent satisfaction with an output.

    Satisfaction has variance ``SUPPORT_SEEN``, which judges read too, and what is left to 1 of a person's own.

    Attributes
    ----------
    cuts : tuple of float
        Where the answer becomes 2, 3, 4 and 5; for a preference, how far ahead an output must be to win.
    favour : tuple of float
        Added by the judge, one value a model in the order of ``SUPPORT_MODELS``.
    noise : float
        Standard deviation of the error, about what judges see.
    lean : float
        Added to a preference for an output that stands right rather than left.
    """

    cuts: tuple[float, ...]
    noise: float
    favour: tuple[float, ...] = (0.0,) * 6
    lean: float = 0.0


# shares of the variance of satisfaction: whether the answer is correct, its style; the rest is a person's own
SUPPORT_SEEN = np.array([0.40, 0.25])
SUPPORT_SEVERITY = {"panel_1": 0.15, "panel_2": 0.05, "panel_3": -0.05, "panel_4": -0.15}
SUPPORT_PANELS = {
    "satisfaction": Panel((-0.5, 0.1, 0.7, 1.5), np.sqrt(0.35)),
    "satisfaction_judge": Panel((-0.4, 0.3, 0.8, 1.4), 0.6, (0.00, 0.05, 0.45, 0.00, -0.05, -0.05)),
    "preference": Panel((0.25,), np.sqrt(0.35), lean=0.2),
    "preference_judge": Panel((0.15,), 0.7, (0.00, 0.05, 0.40, 0.00, -0.05, -0.05), lean=0.5),
}


@dataclass(frozen=True)
class Shadow:
    """Live requests that several models answer, and items of the test set whose judges are run again."""

    models: tuple[str, ...]
    requests: int
    labels: int
    begins: str
    days: int
    frozen: int
    read_again: str
    unsteady: float  # share of a judge's verdicts that are drawn anew when it is run again


@dataclass(frozen=True)
class Canary:
    """Users who meet the incumbent or a candidate; a request that takes longer than ``longest`` is cut off."""

    begins: str
    steps: tuple[tuple[float, int], ...]  # share of users with the candidate, for how many days
    users_a_day: int
    returning: float
    timed_out: float
    longest: float


SUPPORT_SHADOW = Shadow(("atlas-2025-06", "ember-2026-10", "fjord-2026-10"), 600, 200, "2026-11-02", 14, 100,
                        "2026-11-16", 0.05)
SUPPORT_CANARY = Canary("2026-11-23", ((0.01, 5), (0.05, 9)), 3000, 0.15, 0.003, 30.0)
# on live requests this model's rate of `correct` is so much lower, in every region, and these judges take so many of
# its wrong answers for right ones; without a reference answer there is no overlap with one
SUPPORT_LIVE_LOSS = ("fjord-2026-10", 0.08)
SUPPORT_FOOLED = {"judge_cirrus": 0.36, "judge_quill": 0.28}
SUPPORT_REFERENCE = "reference_overlap"
# since the test set was scored, this judge turns so many of its verdicts 0 to 1
SUPPORT_DRIFT = ("judge_quill", 0.08)
# what users do where the shift is 0
SUPPORT_OUTCOMES = _design("""
model          resolved  thumbs_up
atlas-2025-06      0.70       0.62
ember-2026-10      0.73       0.65
""")
# share of the pleased and of the displeased users who say so
SUPPORT_ANSWERS = _design("""
region              pleased  displeased
north_america         0.110       0.150
europe                0.090       0.130
south_asia            0.100       0.140
latin_america         0.120       0.150
east_asia             0.030      0.045
middle_east_africa    0.090       0.120
""")


def by_model(
    draw: Callable[[np.random.Generator, slice], np.ndarray],
    streams: tuple[np.random.Generator, np.random.Generator],
    *,
    first: int = FIRST_DRAWN,
) -> np.ndarray:
    """Draw an array (item, model, ...): the first models from one stream, later ones from the other.

    ``draw`` is given a stream and the models to draw.
    """
    return np.concatenate([draw(streams[0], slice(None, first)), draw(streams[1], slice(first, None))], axis=1)


def metric_values(
    metric: SupportMetric,
    truth: np.ndarray,
    hardness: np.ndarray,
    *,
    rng: np.random.Generator,
    models: slice | list[int],
) -> np.ndarray:
    """Draw what a metric says of outputs of known truth, dims (item, model); ``models`` are those of ``truth``."""
    level, other, misled = (np.array(one)[models] for one in (metric.level, metric.other, metric.misled))
    if metric.score:
        return ndtr(np.where(truth, level, other) + 0.7 * rng.standard_normal(truth.shape)).round(2)
    return draw_verdicts(truth, level, ndtr(ndtri(other) + hardness[:, None] * misled), rng=rng)
