"""Every prior of the calibration model with its reason; the report prints this table."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Prior:
    """One prior: the symbol of the formula, its distribution in words, its scale and why it is what it is."""

    symbol: str
    distribution: str
    scale: float
    reason: str


LEVEL_CENTRE = Prior(
    "a0", "Normal(0, 1.5)", 1.5, "where the models' levels lie: 95% of rates between 0.2% and 99.8%")
LEVEL = Prior(
    "α[m]", "a0 + 1.5·Normal(0, 1)", 1.5, "each model has its own level: pooled ones lost coverage")
METRIC_WEIGHT = Prior(
    "σ_b", "HalfNormal(1)", 1.0, "b[k] = σ_b·Normal(0, 1): the metrics share one scale, learned from the labels")
METRIC_TRUST = Prior(
    "τ", "HalfNormal(0.5)", 0.5, "c[m] = 1 + τ·Normal(0, 1): a metric may be more or less telling for one model")
SLICE = Prior(
    "u[s]", "σ_u·Student-t(4), σ_u ~ HalfNormal(0.5)", 0.5, "heavy tails: one bad slice must not be smoothed away")
SLICE_BY_MODEL = Prior(
    "v[m,s]", "σ_v·Student-t(4), σ_v ~ HalfNormal(0.5)", 0.5, "a model may be weak in one slice only")
ITEM_SHARE = Prior(
    "λ[m]²/(1+λ[m]²)", "0.9·logistic(Logistic(0, 1) + 0.5·Normal(0, 1))", 0.9,
    "share of what metrics leave open that belongs to the item: an item is hard for all models")

ALL = (LEVEL_CENTRE, LEVEL, METRIC_WEIGHT, METRIC_TRUST, SLICE, SLICE_BY_MODEL, ITEM_SHARE)
SLICE_TAIL = 4
LEVEL_SPREAD = 1.5
ITEM_SHARE_SPREAD = 0.5


def prior_table() -> pd.DataFrame:
    """Return the priors, columns symbol, distribution, reason; one row a prior."""
    return pd.DataFrame([{"symbol": p.symbol, "distribution": p.distribution, "reason": p.reason} for p in ALL])
