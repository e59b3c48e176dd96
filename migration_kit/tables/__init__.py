"""One function a table; each returns a great_tables `GT` whose every cell is shown letter by letter."""

from migration_kit.tables import items as items
from migration_kit.tables import labels as labels
from migration_kit.tables import live as live
from migration_kit.tables import shadow as shadow
from migration_kit.tables.choice import (
    elimination,
    forced,
    history,
    losses,
    people,
    sign_off,
    stakeholders,
    utilities,
)
from migration_kit.tables.data import (
    criteria,
    exclusions,
    flips,
    flow,
    labels_by_slice,
    metrics,
    models,
    raw,
    requirements,
)
from migration_kit.tables.results import (
    checks,
    estimates,
    flip_points,
    held_out,
    margins_needed,
    methods,
    priors,
    provenance,
    slices,
    verdicts,
)
from migration_kit.tables.trust import agreement, metric_agreement, metric_trust, metric_worth, more_raters, severity

__all__ = [
    "agreement", "checks", "criteria", "elimination", "estimates", "exclusions", "flip_points", "flips", "flow",
    "forced", "held_out", "history", "labels_by_slice", "losses", "margins_needed", "methods", "metric_agreement",
    "metric_trust", "metric_worth", "metrics", "models", "more_raters", "people", "priors", "provenance", "raw",
    "requirements", "severity", "sign_off", "slices", "stakeholders", "utilities", "verdicts",
]
