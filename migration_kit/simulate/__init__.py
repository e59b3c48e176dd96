"""Migrations with known truth, for the demo, the tests and the benchmarks."""

from migration_kit.simulate.pairs import SCENARIOS, Pairs, draw_latent, draw_verdicts, score_rows, simulate_pairs
from migration_kit.simulate.support import (
    SUPPORT_METRICS,
    SUPPORT_MODELS,
    SUPPORT_REGIONS,
    SUPPORT_WEAK,
    Simulation,
    SupportMetric,
    simulate_support,
    support_rates,
)

__all__ = [
    "SCENARIOS", "SUPPORT_METRICS", "SUPPORT_MODELS", "SUPPORT_REGIONS", "SUPPORT_WEAK", "Pairs", "Simulation",
    "SupportMetric", "draw_latent", "draw_verdicts", "score_rows", "simulate_pairs", "simulate_support",
    "support_rates",
]
