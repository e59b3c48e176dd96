"""What the support assistant is made of: regions, models, and how metrics and people read the truth."""

from __future__ import annotations

from dataclasses import dataclass
from io import StringIO

import numpy as np
import pandas as pd


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
    favour: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0)
    lean: float = 0.0


# shares of the variance of satisfaction: whether the answer is correct, its style; the rest is a person's own
SUPPORT_SEEN = np.array([0.40, 0.25])
SUPPORT_SEVERITY = {"panel_1": 0.15, "panel_2": 0.05, "panel_3": -0.05, "panel_4": -0.15}
SUPPORT_PANELS = {
    "satisfaction": Panel((-0.5, 0.1, 0.7, 1.5), np.sqrt(0.35)),
    "satisfaction_judge": Panel((-0.4, 0.3, 0.8, 1.4), 0.6, (0.00, 0.05, 0.45, 0.00, -0.05)),
    "preference": Panel((0.25,), np.sqrt(0.35), lean=0.2),
    "preference_judge": Panel((0.15,), 0.7, (0.00, 0.05, 0.40, 0.00, -0.05), lean=0.5),
}
