"""One function a table; each returns a great_tables `GT` whose every cell is shown letter by letter."""

from migration_kit.tables.data import criteria, exclusions, flips, flow, metrics, models, raw, requirements
from migration_kit.tables.results import (
    checks,
    estimates,
    flip_points,
    held_out,
    margins_needed,
    methods,
    priors,
    provenance,
    sign_off,
    slices,
    verdicts,
)
from migration_kit.tables.trust import agreement, metric_trust, metric_worth, more_raters, severity

__all__ = [
    "agreement", "checks", "criteria", "estimates", "exclusions", "flip_points", "flips", "flow", "held_out",
    "margins_needed", "methods", "metric_trust", "metric_worth", "metrics", "models", "more_raters", "priors",
    "provenance", "raw", "requirements", "severity", "sign_off", "slices", "verdicts",
]
