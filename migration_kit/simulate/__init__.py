"""Migrations with known truth, for the demo, the tests and the benchmarks."""

from migration_kit.simulate.families import FAMILIES, Judged, judged_rows, simulate_family
from migration_kit.simulate.pairs import Pairs, draw_latent, draw_verdicts, score_rows, simulate_pairs
from migration_kit.simulate.scenarios import SCENARIOS
from migration_kit.simulate.support import Simulation, simulate_support, support_rates
from migration_kit.simulate.support_design import (
    SUPPORT_CANARY,
    SUPPORT_DRIFT,
    SUPPORT_LIVE_LOSS,
    SUPPORT_METRICS,
    SUPPORT_MODELS,
    SUPPORT_OUTCOMES,
    SUPPORT_PANELS,
    SUPPORT_REGIONS,
    SUPPORT_SEVERITY,
    SUPPORT_SHADOW,
    SUPPORT_WEAK,
    Panel,
    SupportMetric,
)
from migration_kit.simulate.support_live import live_rates, outcome_rates
from migration_kit.simulate.support_opinions import opinion_rates

__all__ = [
    "FAMILIES", "SCENARIOS", "SUPPORT_CANARY", "SUPPORT_DRIFT", "SUPPORT_LIVE_LOSS", "SUPPORT_METRICS",
    "SUPPORT_MODELS", "SUPPORT_OUTCOMES", "SUPPORT_PANELS", "SUPPORT_REGIONS", "SUPPORT_SEVERITY", "SUPPORT_SHADOW",
    "SUPPORT_WEAK", "Judged", "Pairs", "Panel", "Simulation", "SupportMetric", "draw_latent", "draw_verdicts",
    "judged_rows", "live_rates", "opinion_rates", "outcome_rates", "score_rows", "simulate_family", "simulate_pairs",
    "simulate_support", "support_rates",
]
