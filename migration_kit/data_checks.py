"""Is the data fit for a decision? Answers before any model is fitted."""

import numpy as np
import pandas as pd
import xarray as xr

from migration_kit.checks import CheckResult
from migration_kit.features import FEWEST_RARER, UNSEEN_TRAFFIC, label_rows
from migration_kit.plan import Plan

FEWEST_RARER_OF_MODEL = 3
TWINS_APART = 0.05


def data_checks(features: xr.Dataset, plan: Plan) -> list[CheckResult]:
    """Return the checks of one criterion's labels.

    Returns
    -------
    list of CheckResult
        A failure that ``blocks`` means abstain: collect labels before anything is decided.
    """
    return [_both_kinds(features), _each_model(features, plan), _coverage(features), _twins(features)]


def label_counts(features: xr.Dataset) -> pd.DataFrame:
    """Count labels: model, slice, items, labels, good, bad; one row a model and slice."""
    label, slice_index = features["label"].to_numpy(), features["slice_index"].to_numpy()
    rows = []
    for m, model in enumerate(features["model"].to_numpy()):
        for s, name in enumerate(features["slice"].to_numpy()):
            here = label[slice_index == s, m]
            rows.append({"model": model, "slice": name, "items": len(here), "labels": int((~np.isnan(here)).sum()),
                         "good": int((here == 1).sum()), "bad": int((here == 0).sum())})
    return pd.DataFrame(rows)


def _both_kinds(features: xr.Dataset) -> CheckResult:
    judged = label_rows(features)["y"].to_numpy()
    n = int(min((judged == 0).sum(), (judged == 1).sum()))
    rarer = "0" if (judged == 0).sum() == n else "1"
    return CheckResult(
        "enough labels of both kinds", n >= FEWEST_RARER,
        f"The rarer judgment ({rarer}) stands {n} times over all models, identical outputs counted once; a "
        f"metric cannot be calibrated with fewer than {FEWEST_RARER}.", features.attrs["criterion"], blocks=True)


def _each_model(features: xr.Dataset, plan: Plan) -> CheckResult:
    table = label_counts(features).groupby("model")[["labels", "good", "bad"]].sum().loc[list(plan.model_ids)]
    rarer = table[["good", "bad"]].min(axis=1)
    thin = list(rarer.index[rarer < FEWEST_RARER_OF_MODEL])
    least = rarer.idxmin()
    text = (f"{least} has fewest judgments of its rarer kind: {rarer[least]} of {table.loc[least, 'labels']} labels; "
            f"with fewer than {FEWEST_RARER_OF_MODEL} its interval leans on the other models.")
    return CheckResult("labels of both kinds for every model", not thin, text, features.attrs["criterion"],
                       models=tuple(thin), table=table.reset_index())


def _coverage(features: xr.Dataset) -> CheckResult:
    counts = label_counts(features).groupby("slice", sort=False)["labels"].min()
    share = pd.Series(features["share"].to_numpy(), index=features["slice"].to_numpy())
    unseen = share[counts.reindex(share.index) == 0]
    text = (f"Slices in which a model has no label hold {unseen.sum():.0%} of traffic (at most {UNSEEN_TRAFFIC:.0%})"
            + (f": {', '.join(unseen.index)}." if len(unseen) else "."))
    return CheckResult("labels cover traffic", bool(unseen.sum() <= UNSEEN_TRAFFIC), text,
                       features.attrs["criterion"], blocks=True)


def _twins(features: xr.Dataset) -> CheckResult:
    name, criterion = "identical outputs are judged alike", features.attrs["criterion"]
    label = features["label"].to_numpy()
    twin = (features["pool"].to_numpy() > 0) & ~np.eye(label.shape[1], dtype=bool)
    pairs = twin & ~np.isnan(label[:, :, None]) & ~np.isnan(label[:, None, :])
    if not pairs.any():
        return CheckResult(name, None, "No two models gave the same output to a labelled item.", criterion)
    apart = (label[:, :, None] != label[:, None, :])[pairs].mean()
    text = (f"Of {int(pairs.sum()) // 2} pairs of identical outputs, {apart:.1%} were judged differently (at most "
            f"{TWINS_APART:.0%}); they share one judgment in the calibration, so if more differ, leave out the text.")
    return CheckResult(name, bool(apart <= TWINS_APART), text, criterion)
