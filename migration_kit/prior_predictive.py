"""What the calibration expects before any label: its priors alone, pushed through to quality and contrasts."""

import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr

from migration_kit.calibration import build_model, model_data
from migration_kit.checks import PRIORS_LEAVE_ROOM, CheckResult
from migration_kit.estimands import TOTAL, contrast, quality
from migration_kit.judgments import keep_labels, label_rows
from migration_kit.plan import Plan
from migration_kit.prediction import DRAWN, OPTIONAL
from migration_kit.shape import shape_of
from migration_kit.wording import listed, unit_of

PRIOR_DRAWS = 1000
QUICK = {"draws": 400, "most_items": 200}
BEFORE_AFTER = ("when", "model", "quantity", "mean", "lower", "upper", "judged", "compared")


def prior_draws(
    features: xr.Dataset, plan: Plan, *, traffic: bool = True, draws: int = PRIOR_DRAWS, prior_scale: float = 1.0,
    most_items: int | None = None,
) -> xr.Dataset:
    """Draw quality from the priors alone: what the model expects before any label.

    Parameters
    ----------
    features : Dataset
    plan : Plan
    traffic : bool
        Weight slices as production does; otherwise as the test set does.
    draws : int
    prior_scale : float
        Factor on the scale of every prior.
    most_items : int, optional
        Let about so many items, drawn at random within slices, stand for all: quicker, and priors know no items.

    Returns
    -------
    Dataset
        As of `estimands.quality`; ``corrected`` equals ``calibrated``.
    """
    rows = label_rows(features)
    shape = shape_of(rows)
    model = build_model(shape, model_data(rows, shape, prior_scale=prior_scale))
    names = [name for name in (*DRAWN, *OPTIONAL) if name in model.named_vars]
    values = pm.draw([model[name] for name in names], draws=draws, random_seed=plan.sampling.seed,
                     mode="FAST_COMPILE")
    drawn = {name: (("chain", "draw", *(f"{name}_{axis}" for axis in range(value.ndim - 1))), value[None])
             for name, value in zip(names, values, strict=True)}
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset(drawn)})
    unlabelled = keep_labels(features, np.zeros(features.sizes["item"], dtype=bool))
    if most_items is not None:
        unlabelled = unlabelled.isel(item=_some_items(features, most_items, seed=plan.sampling.seed))
    return quality(tree, unlabelled, traffic=traffic, seed=plan.sampling.seed)


def _some_items(features: xr.Dataset, most: int, *, seed: int) -> np.ndarray:
    """Positions of items drawn at random, of every slice as large a part."""
    order = np.random.default_rng(seed).permutation(features.sizes["item"])
    slices = pd.Series(features["slice_index"].to_numpy()[order])
    kept = np.ceil(slices.groupby(slices).transform("size") * min(1.0, most / len(order)))
    return np.sort(order[(slices.groupby(slices).cumcount() < kept).to_numpy()])


def prior_predictive_check(features: xr.Dataset, plan: Plan, *, prior: xr.Dataset | None = None) -> CheckResult:
    """The priors leave room for what people said, and expect no candidate to be better.

    Parameters
    ----------
    features : Dataset
    plan : Plan
    prior : Dataset, optional
        From `prior_draws`, drawn here when not given.

    Returns
    -------
    CheckResult
        Its table: model, quantity (quality or contrast), mean, lower, upper of the prior in total, judged (mean label).
        Worry when a mean label lies outside its interval: then the priors are at odds with the data.
    """
    spec = plan.criterion(features.attrs["criterion"])
    prior = prior_draws(features, plan) if prior is None else prior
    unit, table = unit_of(spec), expectations(prior, features, plan)
    of_quality, of_contrast = (table[table["quantity"] == name] for name in ("quality", "contrast"))
    outside = at_odds(table)
    first, widest = of_quality.iloc[-1], of_contrast.iloc[0]
    told = (f"mean labels of {listed(outside)} lie outside" if outside else "mean labels of all models lie within")
    return CheckResult(
        PRIORS_LEAVE_ROOM, not outside,
        f"Before any label the priors expect the quality of {first['model']} at "
        f"{unit.quality_span(first['lower'], first['upper'])} and the contrast of {widest['model']} at "
        f"{unit.span(widest['lower'], widest['upper'])}; {told}.",
        spec.id, models=tuple(name for name in outside if name != plan.incumbent), table=table)


def expectations(draws: xr.Dataset, features: xr.Dataset, plan: Plan) -> pd.DataFrame:
    """Summarise quality and contrast in total, beside the mean label.

    Parameters
    ----------
    draws : Dataset
        From `prior_draws`, or from `estimands.quality`.

    Returns
    -------
    DataFrame
        model, quantity, mean, lower, upper, judged (mean label), compared (mean label held off the ends of the scale);
        the last two are NaN for contrasts and where nobody judged.
    """
    label, models = features["label"].to_numpy(), features["model"].to_numpy().tolist()
    deltas = contrast(draws["calibrated"], incumbent=plan.incumbent, better=features.attrs["better"])
    tail, rows, score = (1 - plan.sampling.interval) / 2, [], plan.criterion(features.attrs["criterion"]).score
    for quantity, values in (("quality", draws["calibrated"]), ("contrast", deltas)):
        for model in values["model"].to_numpy().tolist():
            one = values.sel(model=model, slice=TOTAL).to_numpy().ravel()
            known = label[:, models.index(model)]
            known = known[~np.isnan(known)] if quantity == "quality" else np.zeros(0)
            lower, upper = np.quantile(one, [tail, 1 - tail])
            judged = known.mean() if len(known) else np.nan
            # The mean of labels that are all yes lies at the end of the scale, beyond any interval of quality, which
            # never gets there. One more label in the middle, half a yes and half a no as Jeffreys' prior has it, holds
            # the mean as far off the end as so many labels can tell, and moves no other mean by more than their noise.
            middle = (min(score) + max(score)) / 2 if score else judged
            rows.append({"model": model, "quantity": quantity, "mean": one.mean(), "lower": lower, "upper": upper,
                         "judged": judged, "compared": (judged * len(known) + middle) / (len(known) + 1)})
    return pd.DataFrame(rows)


def before_after(prior: xr.Dataset, posterior: xr.Dataset, features: xr.Dataset, plan: Plan) -> pd.DataFrame:
    """Put what is expected before any label beside what is known with them, columns `BEFORE_AFTER`."""
    parts = [expectations(draws, features, plan).assign(when=when)
             for when, draws in (("before", prior), ("after", posterior))]
    return pd.concat(parts, ignore_index=True)[list(BEFORE_AFTER)]


def at_odds(table: pd.DataFrame) -> list[str]:
    """Name the models whose mean label, held off the ends of the scale, lies outside what is expected of quality."""
    of_quality = table[table["quantity"] == "quality"]
    outside = (of_quality["compared"] < of_quality["lower"]) | (of_quality["compared"] > of_quality["upper"])
    return of_quality.loc[outside, "model"].tolist()
