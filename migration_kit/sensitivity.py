"""Checks that fit the model again or weigh its draws anew: what hangs on priors, and on single labels (`--full`)."""

import numpy as np
import pandas as pd
import xarray as xr

from migration_kit import inference
from migration_kit.checks import CheckResult
from migration_kit.estimands import TOTAL, contrast, quality
from migration_kit.judgments import keep_labels, label_rows
from migration_kit.plan import Plan
from migration_kit.power_scaling import log_likelihood, log_prior
from migration_kit.predictive import labelled_predictions
from migration_kit.prior_predictive import prior_predictive_check
from migration_kit.wording import chance, counted, fixed

LEFT_OUT = 0.20
FEWEST_LEFT_OUT = 5
PRIOR_SCALES = (0.5, 2.0)
MOST_MOVED = 0.5
SENSITIVE = 0.05


def full_checks(
    fits: dict[str, xr.DataTree], draws: dict[str, xr.Dataset], features: dict[str, xr.Dataset], plan: Plan
) -> list[CheckResult]:
    """Every check of this module for every criterion; compiles once, then fits each criterion three times.

    Parameters
    ----------
    fits : dict of DataTree
        Criterion to the output of `inference.fit`.
    draws : dict of Dataset
        Criterion to the output of `estimands.quality` under production traffic.
    features : dict of Dataset
    plan : Plan

    Returns
    -------
    list of CheckResult
        None of them blocks a verdict. Worry about each that did not pass.
    """
    judged = {name: one for name, one in features.items() if one.sizes["judgment"]}
    compiled = inference.compile_model(list(judged.values())) if judged else None
    found = []
    for name, one in judged.items():
        found += [
            prior_predictive_check(one, plan),
            power_scaling_check(fits[name], draws[name], one, plan),
            left_out_check(draws[name], one, plan, compiled=compiled),
            prior_scale_check(draws[name], one, plan, compiled=compiled),
        ]
    return found


def power_scaling_check(fit: xr.DataTree, draws: xr.Dataset, features: xr.Dataset, plan: Plan) -> CheckResult:
    """Contrasts follow the labels rather than the priors.

    Power-scaling sensitivity (Kallioinen, Paananen, Bürkner & Vehtari 2023, doi:10.1007/s11222-023-10366-5): how fast
    the distribution of a contrast moves when the priors, or the labels, count a little more or less.

    Returns
    -------
    CheckResult
        Its table: model, prior, likelihood. Worry where ``prior`` exceeds 0.05; with ``likelihood`` below it, the
        priors decide, with both above they are at odds with the labels.
    """
    from arviz_stats import psense

    criterion = features.attrs["criterion"]
    deltas = contrast(draws["calibrated"], incumbent=plan.incumbent, better=features.attrs["better"]).sel(slice=TOTAL)
    tree = xr.DataTree.from_dict({
        "posterior": xr.Dataset({"contrast": deltas.drop_vars("slice")}),
        "log_prior": xr.Dataset({"prior": _aligned(log_prior(fit), deltas)}),
        "log_likelihood": xr.Dataset({"labels": _aligned(log_likelihood(fit, features), deltas)}),
    })
    found = {group: psense(tree, group=group)["contrast"].to_series() for group in ("prior", "likelihood")}
    table = pd.DataFrame(found).rename_axis("model").reset_index()
    strong = table[table["prior"] > SENSITIVE]
    worst = table.loc[table["prior"].idxmax()]
    why = ("" if strong.empty else " The labels say too little of it." if worst["likelihood"] < SENSITIVE else
           " Priors and labels pull it apart, so see the check with other priors.")
    return CheckResult(
        "labels outweigh priors", strong.empty,
        f"Power-scaling moves the contrast of {worst['model']} most: sensitivity to the priors "
        f"{fixed(worst['prior'])} (at most {SENSITIVE:g}), to the labels {fixed(worst['likelihood'])}.{why}",
        criterion, models=tuple(strong["model"]), table=table)


def left_out_check(
    draws: xr.Dataset, features: xr.Dataset, plan: Plan, *, compiled: inference.Compiled | None = None
) -> CheckResult:
    """A fit without a random fifth of the labelled items predicts their labels, and says the same of the contrast.

    Returns
    -------
    CheckResult
        Its table: model, n, judged, predicted, lower, upper of the mean of the labels left out; for candidates
        ``moved``, the contrast's movement in standard deviations of the full fit, and ``allowed``, twice what leaving
        out so many labels at random moves it. Worry where judged lies outside or moved exceeds allowed.
    """
    name, criterion = "refit without a fifth of the labels", features.attrs["criterion"]
    items = np.unique(features["judged_item"].to_numpy())
    out = np.random.default_rng([plan.sampling.seed, 3]).permutation(items)[: round(LEFT_OUT * len(items))]
    if len(out) < FEWEST_LEFT_OUT:
        return CheckResult(name, None, f"{counted(len(items), 'labelled item')} are too few to leave a fifth out.",
                           criterion)
    hidden = np.isin(np.arange(features.sizes["item"]), out)
    fit = _refit(keep_labels(features, ~hidden), plan, compiled=compiled)
    told = labelled_predictions(fit, keep_labels(features, hidden), seed=plan.sampling.seed)
    model_index, replicate = told["model_index"].to_numpy(), told["replicate"].to_numpy()
    moved = _movement(draws, fit, features, plan)
    rows = []
    for m in np.unique(model_index):
        model, here = str(features["model"].to_numpy()[m]), model_index == m
        expected, judged = replicate[:, here].mean(axis=1), float(told["judged"].to_numpy()[here].mean())
        above = (expected > judged).mean() + (expected == judged).mean() / 2
        lower, upper = _tails(expected, plan)
        rows.append({"model": model, "n": int(here.sum()), "judged": judged, "predicted": expected.mean(),
                     "lower": lower, "upper": upper, "tail_probability": 2 * min(above, 1 - above)})
    table = pd.DataFrame(rows).merge(moved, on="model", how="outer")
    # Of n labels a fifth left out adds a quarter to the variance, and the mean moves by that.
    table["allowed"] = 2 * np.sqrt(np.maximum(table["variance_ratio"] - 1, LEFT_OUT / (1 - LEFT_OUT)))
    missed = table[table["tail_probability"] * len(rows) < 1 - plan.sampling.interval]
    apart = table[table["moved"].abs() > table["allowed"]]
    inside = int(((table["judged"] >= table["lower"]) & (table["judged"] <= table["upper"])).sum())
    worst = table.loc[table["moved"].abs().idxmax()]
    models = dict.fromkeys([*missed["model"], *apart["model"]])
    return CheckResult(
        name, missed.empty and apart.empty,
        f"Without the labels of {counted(len(out), 'item')}, drawn at random, the mean label left out lies within its "
        f"prediction for {inside} of {counted(len(rows), 'model')}, and the contrast of {worst['model']} moves most: "
        f"by {fixed(abs(worst['moved']))} of its standard deviations (at most {fixed(worst['allowed'])}).",
        criterion, models=tuple(one for one in models if one != plan.incumbent), table=table)


def prior_scale_check(
    draws: xr.Dataset, features: xr.Dataset, plan: Plan, *, compiled: inference.Compiled | None = None
) -> CheckResult:
    """Contrasts stay when all priors are half or twice as wide.

    Returns
    -------
    CheckResult
        Its table: prior_scale, model, mean, sd, moved (in standard deviations of the fit as it is), holds (probability
        of the gate; NaN without a margin). Worry where moved exceeds one half.
    """
    spec = plan.criterion(features.attrs["criterion"])
    parts = [_movement(draws, _refit(features, plan, compiled=compiled, prior_scale=scale), features, plan).assign(
        prior_scale=scale) for scale in PRIOR_SCALES]
    table = pd.concat(parts, ignore_index=True)
    apart = table[table["moved"].abs() > MOST_MOVED]
    worst = table.loc[table["moved"].abs().idxmax()]
    gate = ""
    if spec.margin is not None:
        of_model = table[table["model"] == worst["model"]].set_index("prior_scale")["holds"]
        gate = (f"; its gate then holds with probability {chance(of_model[PRIOR_SCALES[0]])} and "
                f"{chance(of_model[PRIOR_SCALES[1]])}")
    return CheckResult(
        "priors half and twice as wide", apart.empty,
        f"With priors half and twice as wide the contrast of {worst['model']} moves most: by "
        f"{fixed(abs(worst['moved']))} of its standard deviations with {worst['prior_scale']:g} times the width (at "
        f"most {MOST_MOVED:g}){gate}.",
        spec.id, models=tuple(dict.fromkeys(apart["model"])), table=table)


def _refit(
    features: xr.Dataset, plan: Plan, *, compiled: inference.Compiled | None, prior_scale: float = 1.0
) -> xr.DataTree:
    if compiled is not None and not any(shape.holds(label_rows(features)) for shape, _ in compiled.parts):
        # With labels left out an effect may fall away, and with it the compiled model.
        compiled = None
    return inference.fit(features, plan.sampling, compiled=compiled, prior_scale=prior_scale)


def _movement(draws: xr.Dataset, fit: xr.DataTree, features: xr.Dataset, plan: Plan) -> pd.DataFrame:
    """Compare total contrasts of a refit with those of the fit, in standard deviations of the latter."""
    spec = plan.criterion(features.attrs["criterion"])
    again = quality(fit, features, traffic=True, seed=plan.sampling.seed)
    both = [contrast(one["calibrated"], incumbent=plan.incumbent, better=spec.better).sel(slice=TOTAL)
            for one in (draws, again)]
    rows = []
    for model in plan.candidates:
        before, after = (one.sel(model=model).to_numpy().ravel() for one in both)
        rows.append({"model": model, "mean": after.mean(), "sd": after.std(),
                     "moved": (after.mean() - before.mean()) / before.std() if before.std() else 0.0,
                     "variance_ratio": after.var() / before.var() if before.var() else 1.0,
                     "holds": np.nan if spec.margin is None else (after > -spec.margin).mean()})
    return pd.DataFrame(rows)


def _aligned(values: xr.DataArray, like: xr.DataArray) -> xr.DataArray:
    return values.assign_coords({dim: like[dim] for dim in ("chain", "draw") if dim in like.coords})


def _tails(values: np.ndarray, plan: Plan) -> tuple[float, float]:
    tail = (1 - plan.sampling.interval) / 2
    lower, upper = np.quantile(values, [tail, 1 - tail])
    return float(lower), float(upper)
