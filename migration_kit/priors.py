"""Every prior of the calibration model with its reason; the report prints this table."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Prior:
    """One prior: the symbol of the formula, its distribution in words, its scale, where it stands and why."""

    symbol: str
    distribution: str
    scale: float
    reason: str
    where: str = "everywhere"


LEVEL_CENTRE = Prior(
    "a0", "Normal(0, 1.5)", 1.5, "where the models' levels lie: 95% of rates between 0.2% and 99.8%")
LEVEL = Prior(
    "α[m]", "a0 + 1.5·Normal(0, 1)", 1.5, "each model has its own level: pooled ones lost coverage")
METRIC_WEIGHT = Prior(
    "σ_b", "HalfNormal(1)", 1.0, "b[k] = σ_b·Normal(0, 1): the metrics share one scale, learned from the labels")
METRIC_TRUST = Prior(
    "τ", "HalfNormal(0.5)", 0.5, "c[m] = 1 + τ·Normal(0, 1): a metric may be more or less telling for one model")
SLICE = Prior(
    "u[s]", "σ_u·Student-t(4), σ_u ~ HalfNormal(0.5)", 0.5, "heavy tails: one bad slice must not be smoothed away",
    "several slices; with several slice columns each column has effects of its own beside those of their cells")
SLICE_BY_MODEL = Prior(
    "v[m,s]", "σ_v·Student-t(4), σ_v ~ LogNormal(log 0.5, 0.5)", 0.5,
    "a model may be weak in one slice only; a σ_v free to be 0 hid the one bad slice among many alike",
    "several slices")
ITEM_SHARE = Prior(
    "λ[m]²/(1+λ[m]²)", "0.9·logistic(Logistic(0, 1) + 0.5·Normal(0, 1))", 0.9,
    "share of what metrics leave open that belongs to the item: an item is hard for all models")
EXCLUSION_SHARE = Prior(
    "κ²/(2+κ²)", "0.95·Beta(3, 1)", 0.95,
    "of different answers from a closed list at most one is right, so judgments of an item can exclude each other",
    "yes/no criteria whose outputs are answers from a closed list")
STRATUM = Prior(
    "k[m,stratum]", "σ_k·Normal(0, 1), σ_k ~ HalfNormal(0.5)", 0.5,
    "outputs chosen for labelling by what a metric says may differ from the others in more than the metric tells",
    "labels drawn with unequal probabilities")
CUT_GAP = Prior(
    "κ[j+1] − κ[j]", "LogNormal(log(2.4/(levels − 1)), 0.8)", 0.8,
    "the steps of the scale, together some 2.4 standard deviations wide; the mean of the cuts is 0", "several levels")
SPREAD = Prior(
    "s[m]", "exp(0.25·Normal(0, 1))", 0.25, "one model's outputs may be judged more unlike each other than another's",
    "ordinal scales")
RATER = Prior(
    "ρ[r]", "σ_ρ·Normal(0, 1), σ_ρ ~ HalfNormal(0.5)", 0.5, "raters are more or less severe", "several raters")
OUTPUT = Prior(
    "ε[i,m]", "σ_ε·Normal(0, 1), σ_ε ~ HalfNormal(1)", 1.0, "what raters of one output share beyond what metrics tell",
    "outputs with several judgments")
CLUSTER = Prior(
    "g[c]", "σ_g·Normal(0, 1), σ_g ~ HalfNormal(0.5)", 0.5, "items of a cluster are hard or easy together",
    "items in clusters")
CLUSTER_BY_MODEL = Prior(
    "h[m,c]", "σ_h·Normal(0, 1), σ_h ~ HalfNormal(0.5)", 0.5, "a model may be good or bad at a whole cluster",
    "items in clusters")
SIDE = Prior("d", "Normal(0, 0.5)", 0.5, "people may favour what stands on one side", "preferences shown side by side")
RESIDUAL = Prior(
    "σ[m]", "exp(Normal(0, 0.5)), in standard deviations of the judgments", 0.5,
    "spread of judgments about what metrics tell", "continuous scales")

ALL = (LEVEL_CENTRE, LEVEL, METRIC_WEIGHT, METRIC_TRUST, SLICE, SLICE_BY_MODEL, ITEM_SHARE, EXCLUSION_SHARE, STRATUM,
       CUT_GAP, SPREAD, RATER, OUTPUT, CLUSTER, CLUSTER_BY_MODEL, SIDE, RESIDUAL)
SLICE_TAIL = 4
SLICE_BY_MODEL_SPREAD = 0.5
LEVEL_SPREAD = 1.5
ITEM_SHARE_SPREAD = 0.5
CUT_RANGE = 2.4


def prior_table() -> pd.DataFrame:
    """Return the priors, columns symbol, distribution, where, reason; one row a prior."""
    return pd.DataFrame([{"symbol": p.symbol, "distribution": p.distribution, "where": p.where, "reason": p.reason}
                         for p in ALL])
