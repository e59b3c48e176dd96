"""Sentences computed from results; each function returns Markdown as `Said`, names in it escaped."""

from migration_kit.story.data import (
    baseline,
    flips,
    flow,
    heading,
    margins,
    mix,
    question,
    raters,
    raw,
    requirements,
    source,
)
from migration_kit.story.results import (
    checks,
    contrast,
    methods,
    metric_trust,
    quality,
    reliability,
    slices,
    traffic_shift,
)
from migration_kit.story.verdict import (
    alarms,
    caveats,
    conditions,
    flip_points,
    held_out,
    held_out_heading,
    joint,
    limits,
    reasons,
    sampling,
    stakes,
    verdict,
    weights,
)

__all__ = [
    "alarms", "baseline", "caveats", "checks", "conditions", "contrast", "flip_points", "flips", "flow", "heading",
    "held_out", "held_out_heading", "joint", "limits", "margins", "methods", "metric_trust", "mix", "quality",
    "question", "raters", "raw", "reasons", "reliability", "requirements", "sampling", "slices", "source", "stakes",
    "traffic_shift", "verdict", "weights",
]
