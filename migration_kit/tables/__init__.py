"""One function a table; each returns a great_tables `GT` whose every cell is shown letter by letter."""

from migration_kit.tables.data import criteria, exclusions, flips, flow, metrics, models, raw, requirements
from migration_kit.tables.results import (
    checks,
    estimates,
    flip_points,
    held_out,
    methods,
    metric_trust,
    priors,
    provenance,
    sign_off,
    slices,
    verdicts,
)

__all__ = [
    "checks", "criteria", "estimates", "exclusions", "flip_points", "flips", "flow", "held_out", "methods",
    "metric_trust", "metrics", "models", "priors", "provenance", "raw", "requirements", "sign_off", "slices",
    "verdicts",
]
