"""One function a figure; each returns a `Picture` with its description and caption."""

from migration_kit.figures import labels as labels
from migration_kit.figures import live as live
from migration_kit.figures import priors as priors
from migration_kit.figures import shadow as shadow
from migration_kit.figures.canvas import Picture
from migration_kit.figures.choice import history
from migration_kit.figures.data import baseline, flips, mix, raw
from migration_kit.figures.results import contrast, held_out, methods, quality, slices, traffic_shift
from migration_kit.figures.trust import metric_trust, metric_worth, reliability, severity

__all__ = [
    "Picture", "baseline", "contrast", "flips", "held_out", "history", "methods", "metric_trust", "metric_worth", "mix",
    "quality", "raw", "reliability", "severity", "slices", "traffic_shift",
]
