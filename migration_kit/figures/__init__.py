"""One function a figure; each returns a `Picture` with its description and caption."""

from migration_kit.figures.canvas import Picture
from migration_kit.figures.data import baseline, flips, mix, raw
from migration_kit.figures.results import (
    contrast,
    held_out,
    methods,
    metric_trust,
    quality,
    reliability,
    slices,
    traffic_shift,
)

__all__ = [
    "Picture", "baseline", "contrast", "flips", "held_out", "methods", "metric_trust", "mix", "quality", "raw",
    "reliability", "slices", "traffic_shift",
]
