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
from migration_kit.story.model import model
from migration_kit.story.results import checks, contrast, methods, quality, sensitivity, slices, traffic_shift
from migration_kit.story.trust import agreement, metric_trust, metric_worth, more_raters, reliability, severity
from migration_kit.story.verdict import (
    alarms,
    caveats,
    conditions,
    flip_points,
    held_out,
    held_out_heading,
    joint,
    limits,
    margins_needed,
    reasons,
    sampling,
    stakes,
    verdict,
    weights,
)

__all__ = [
    "agreement", "alarms", "baseline", "caveats", "checks", "conditions", "contrast", "flip_points", "flips", "flow",
    "heading", "held_out", "held_out_heading", "joint", "limits", "margins", "margins_needed", "methods",
    "metric_trust", "metric_worth", "mix", "model", "more_raters", "quality", "question", "raters", "raw", "reasons",
    "reliability", "requirements", "sampling", "sensitivity", "severity", "slices", "source", "stakes", "traffic_shift",
    "verdict", "weights",
]
