"""Sentences computed from results; each function returns Markdown as `Said`, names in it escaped."""

from migration_kit.story import front as front
from migration_kit.story import items as items
from migration_kit.story import labels as labels
from migration_kit.story import live as live
from migration_kit.story import measured as measured
from migration_kit.story import priors as priors
from migration_kit.story import shadow as shadow
from migration_kit.story.choice import (
    elimination,
    forced,
    history,
    losses,
    people,
    sign_off,
    stakeholders,
    utilities,
)
from migration_kit.story.data import (
    baseline,
    flips,
    flow,
    heading,
    judged,
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
from migration_kit.story.trust import (
    agreement,
    metric_agreement,
    metric_trust,
    metric_worth,
    more_raters,
    reliability,
    severity,
)
from migration_kit.story.verdict import (
    alarms,
    beside,
    conditions,
    flip_points,
    held_out,
    held_out_heading,
    joint,
    margins_needed,
    reasons,
    sampling,
    stakes,
    verdict,
    weights,
)

__all__ = [
    "agreement", "alarms", "baseline", "beside", "checks", "conditions", "contrast", "elimination", "flip_points",
    "flips", "flow", "forced", "heading", "held_out", "held_out_heading", "history", "joint", "judged", "losses",
    "margins", "margins_needed", "methods", "metric_agreement", "metric_trust", "metric_worth", "mix",
    "model", "more_raters", "people", "quality", "question", "raters", "raw", "reasons", "reliability", "requirements",
    "sampling", "sensitivity", "severity", "sign_off", "slices", "source", "stakeholders", "stakes", "traffic_shift",
    "utilities", "verdict", "weights",
]
