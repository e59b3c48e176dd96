"""The confusion matrix of the primary metric as a model: what verdicts say once their errors are known.

The hierarchical measurement-error model of Casey, Roberts, Sim & Beaver 2026, arXiv:2604.27082, on margins. Every model
has a true and a false positive rate around a mean that all models share, so candidates without any label have a
quality too; that screens them, and no more. It assumes that errors depend on nothing but the truth and that items are
independent, which the calibration model does not.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from migration_kit.intervals import UNKNOWN, estimate_table, summarise
from migration_kit.plan import Plan, SamplingSpec
from migration_kit.strata import contrast_sign, item_weights

TOTAL = "all"
MOST_IN_CELL = 20_000
# The metric's mean rates are anywhere between 5% and 95%, and rather right than wrong: 79% and 21% at the centre.
RATE_CENTRE, RATE_SPREAD, SPREAD_BETWEEN_MODELS = 1.3, 1.0, 1.0
TARGET_ACCEPT = 0.95
NO_VERDICT = 2


@dataclass(frozen=True)
class CompiledConfusion:
    """The model ready to sample, for so many models under test."""

    sampler: object
    models: int


def confusion(
    features: xr.Dataset, plan: Plan, *, traffic: bool, compiled: CompiledConfusion | None = None
) -> pd.DataFrame:
    """Summarise `confusion_draws`: total quality and contrast from verdicts corrected for their errors.

    Parameters
    ----------
    features : Dataset
        From `features.build_features`.
    plan : Plan
        Gives margins, the interval, draws and seed.
    traffic : bool
        Weigh items by their slice's share of production traffic, or by the test set's own mix.
    compiled : CompiledConfusion, optional
        From `compile_confusion`; compiled here when not given.

    Returns
    -------
    DataFrame
        `intervals.ESTIMATE_COLUMNS`, method confusion. No rows unless the criterion is binary; NaN where nobody judged
        anything. Where ``n_labels`` is 0, error rates are borrowed from the other models: worry, the row only screens.
        A contrast counts the items judged for both models, but takes them as drawn apart, so it is wide.
    """
    criterion = plan.criterion(features.attrs["criterion"])
    if features.attrs["kind"] != "binary":
        return estimate_table([])
    draws = confusion_draws(features, plan.sampling, traffic=traffic, compiled=compiled)
    judged, interval = ~np.isnan(features["label"].to_numpy()), plan.sampling.interval
    quality, sign, rows = draws["quality"].to_numpy() if draws else None, contrast_sign(features), []
    for position, model in enumerate(features["model"].to_numpy()):
        of = {"model": model, "slice": TOTAL}
        summary = UNKNOWN if quality is None else summarise(quality[:, position], interval=interval)
        rows.append({**of, "quantity": "quality", "n_labels": judged[:, position].sum(), **summary})
        if position:
            drawn = np.empty(0) if quality is None else sign * (quality[:, position] - quality[:, 0])
            rows.append({**of, "quantity": "contrast", "n_labels": judged[:, [0, position]].all(axis=1).sum(),
                         **summarise(drawn, interval=interval, margin=criterion.margin)})
    return estimate_table(rows, layer="traffic" if traffic else "offline", criterion=criterion.id, method="confusion",
                          metric=features.attrs["primary_metric"])


def confusion_draws(
    features: xr.Dataset, sampling: SamplingSpec, *, traffic: bool, compiled: CompiledConfusion | None = None
) -> xr.Dataset | None:
    """Draw every model's quality and the rates of its verdicts.

    Returns
    -------
    Dataset or None
        ``quality``, ``true_positive``, ``false_positive`` (draw, model), all rates; attributes divergent_share and
        r_hat, the largest. None without labels: verdicts alone say nothing. Worry at an r_hat above 1.01.
    """
    if np.isnan(features["label"].to_numpy()).all():
        return None
    import arviz as az
    import nutpie

    compiled = compiled or compile_confusion(features.sizes["model"])
    if compiled.models != features.sizes["model"]:
        raise ValueError(f"compiled for {compiled.models} models, the criterion has {features.sizes['model']}")
    counts = verdict_counts(features, traffic=traffic)
    tree = nutpie.sample(compiled.sampler.with_data(**counts), draws=sampling.draws, tune=sampling.tune,
                         chains=sampling.chains, seed=sampling.seed, target_accept=TARGET_ACCEPT, progress_bar=False,
                         save_warmup=False)
    names = ["quality", "true_positive", "false_positive"]
    posterior = tree["posterior"].to_dataset()[names]
    r_hat = max(float(one.max()) for one in az.rhat(posterior).data_vars.values())
    flat = {name: (("draw", "model"), posterior[name].to_numpy().reshape(-1, compiled.models)) for name in names}
    return xr.Dataset(flat, coords={"model": features["model"].to_numpy()}, attrs={
        "divergent_share": float(tree["sample_stats"]["diverging"].mean()), "r_hat": r_hat})


def compile_confusion(models: int) -> CompiledConfusion:
    """Compile the model once for all binary criteria of a plan; the costly step, some fifteen seconds."""
    import nutpie

    model = build_confusion({"labelled": np.ones((models, 2, 3)), "unlabelled": np.ones((models, 2))})
    return CompiledConfusion(nutpie.compile_pymc_model(model, backend="numba"), models)


def build_confusion(counts: dict[str, np.ndarray]):
    """Write the model.

    Parameters
    ----------
    counts : dict of ndarray
        From `verdict_counts`; may be exchanged after compiling.

    Returns
    -------
    pymc.Model
        ``quality`` (model) under Beta(½, ½) · ``true_positive``, ``false_positive`` (model), logit-normal around a
        common mean with spread HalfNormal(1).
    """
    import pymc as pm

    n_models = len(counts["labelled"])
    with pm.Model(coords={"model": range(n_models)}) as model:
        labelled, unlabelled = (pm.Data(name, counts[name]) for name in ("labelled", "unlabelled"))
        rates = []
        for name, centre in (("true_positive", RATE_CENTRE), ("false_positive", -RATE_CENTRE)):
            mean = pm.Normal(f"{name}_mean", centre, RATE_SPREAD)
            spread = pm.HalfNormal(f"{name}_spread", SPREAD_BETWEEN_MODELS)
            apart = pm.Normal(f"{name}_z", dims="model")
            rates.append(pm.Deterministic(name, pm.math.sigmoid(mean + spread * apart), dims="model"))
        quality = pm.Beta("quality", 0.5, 0.5, dims="model")
        true_positive, false_positive = rates
        bad, good = labelled[:, 0], labelled[:, 1]
        seen_good = quality * true_positive + (1 - quality) * false_positive
        pm.Potential("judged", (
            _log_binomial(good.sum(axis=1), bad.sum(axis=1), quality)
            + _log_binomial(good[:, 1], good[:, 0], true_positive)
            + _log_binomial(bad[:, 1], bad[:, 0], false_positive)).sum())
        pm.Potential("not_judged", _log_binomial(unlabelled[:, 1], unlabelled[:, 0], seen_good).sum())
    return model


def _log_binomial(yes, no, rate):
    import pytensor.tensor as pt

    return yes * pt.log(rate) + no * pt.log1p(-rate)


def verdict_counts(features: xr.Dataset, *, traffic: bool) -> dict[str, np.ndarray]:
    """Count truths and verdicts, weighted as in `strata.truth_counts`.

    A score is cut between two values where its share of good verdicts is nearest the share of good labels; a label
    that is a mean over raters counts in part as good.

    Returns
    -------
    dict of ndarray
        ``labelled`` (model, truth, verdict), the third verdict is none · ``unlabelled`` (model, verdict), at most
        20,000 in a cell.
    """
    label, weight = features["label"].to_numpy(), item_weights(features, traffic=traffic)
    verdict = _binary_verdict(features)
    design = weight / features["inclusion_prob"].to_numpy()
    n_models = features.sizes["model"]
    labelled, unlabelled = np.zeros((n_models, 2, 3)), np.zeros((n_models, 2))
    for position in range(n_models):
        y, seen = label[:, position], verdict[:, position]
        judged = ~np.isnan(y) & (design > 0)
        effective = _effective(design[judged])
        for truth, part in enumerate((1 - y[judged], y[judged])):
            labelled[position, truth] = np.bincount(seen[judged], weights=effective * part, minlength=3)
        other = np.isnan(y) & (seen != NO_VERDICT) & (weight > 0)
        # Labels chosen by what they would show leave a rest that is no sample; all items are.
        other |= (seen != NO_VERDICT) & (weight > 0) & bool(judged.any() and np.ptp(design[judged] / weight[judged]))
        counted = np.bincount(seen[other], weights=_effective(weight[other]), minlength=2)
        unlabelled[position] = counted * min(1.0, MOST_IN_CELL / max(counted.max(initial=0), 1))
    return {"labelled": labelled, "unlabelled": unlabelled}


def _effective(weight: np.ndarray) -> np.ndarray:
    """Scale weights so that they sum to (Σw)² / Σw²."""
    return weight * weight.sum() / max((weight**2).sum(), np.finfo(float).tiny)


def _binary_verdict(features: xr.Dataset) -> np.ndarray:
    """Cut the primary metric to 0 or 1, dims (item, model); 2 where it is missing."""
    metric = features["metric"].to_numpy().tolist().index(features.attrs["primary_metric"])
    value, label = features["value"].to_numpy()[:, :, metric], features["label"].to_numpy()
    known = ~np.isnan(value)
    distinct, count = np.unique(value[known], return_counts=True)
    if len(distinct) < 2:
        return np.where(known, 1, NO_VERDICT)
    judged = known & ~np.isnan(label)
    # Where the metric runs against the criterion, its low values are the good ones.
    against = judged.any() and np.ptp(value[judged]) > 0 and np.ptp(label[judged]) > 0 and (
        np.corrcoef(value[judged], label[judged])[0, 1] < 0)
    good = 0.5 if not judged.any() else float(label[judged].mean())
    above = 1 - np.cumsum(count)[:-1] / count.sum()
    cut = distinct[np.abs((1 - above if against else above) - good).argmin()]
    return np.where(known, (value > cut) ^ against, NO_VERDICT).astype(np.int64)
