"""What is known of a gate before further labels, and what the simulation of further labels says."""

from dataclasses import replace

import numpy as np
import xarray as xr

from migration_kit.gates import GateDraws
from migration_kit.labels_needed import SIZES, Evidence, label_noise
from migration_kit.plan import CriterionSpec, Plan
from migration_kit.wording import listed

FEWEST_PAIRS = 5


def gate_evidence(
    drawn: GateDraws, features: xr.Dataset, model: str, *, offline: GateDraws | None = None
) -> Evidence:
    """Gather what the simulation of further labels needs to know of a gate.

    Parameters
    ----------
    drawn : GateDraws
        Of the contrast that decides.
    features : Dataset
    model : str
        The candidate.
    offline : GateDraws, optional
        Of the test set alone, where `drawn` joins it with live requests: what one label tells is read off these
        and the labels behind them.
    """
    incumbent = str(features["model"].to_numpy()[0])
    label = features["label"].sel(model=[incumbent, model]).to_numpy()
    judged, slice_index = ~np.isnan(label), features["slice_index"].to_numpy()
    by_slice = [np.bincount(slice_index[one], minlength=features.sizes["slice"]) for one in judged.T]
    margin = np.full(1 + len(drawn.names), np.nan if drawn.spec.slice_margin is None else drawn.spec.slice_margin)
    margin[0] = drawn.spec.margin
    found = Evidence(
        draws=np.column_stack([drawn.totals[0], drawn.slices]), margin=margin,
        # Of labels on different items for the two models, the fewer count for more: their harmonic mean.
        labels=2 * by_slice[0] * by_slice[1] / np.maximum(by_slice[0] + by_slice[1], 1),
        items=np.bincount(slice_index, minlength=features.sizes["slice"]).astype(float),
        share=features["share"].to_numpy(),
        # In clusters items are alike, and one label tells less than its spread says.
        spread=float("nan") if features.attrs["clustered"] else _spread(label, drawn.spec))
    if offline is None:
        return found
    # There is no end of live requests, so no part of the variance stays for lack of items. What metrics add to a label
    # there is not known from the test set: leaving it out asks for too many labels rather than too few.
    alone = replace(found, draws=np.column_stack([offline.totals[0], offline.slices]))
    noise = label_noise(alone) if np.isnan(found.spread) else found.spread
    return replace(found, noise=noise, spread=float("nan"))


def _spread(label: np.ndarray, spec: CriterionSpec) -> float:
    """Variance between items of the difference of two models' labels, dims (item, 2); NaN where labels cannot tell.

    Half a squared range is added for scales with levels: a few labels without a difference do not show that there is
    none.
    """
    both = label[~np.isnan(label).any(axis=1)]
    if len(both) >= FEWEST_PAIRS:
        squares, n = len(both) * (both[:, 1] - both[:, 0]).var(), len(both)
    else:
        known = [one[~np.isnan(one)] for one in label.T]
        n = min(len(one) for one in known)
        squares = n * sum(one.var() for one in known) if n >= FEWEST_PAIRS else np.nan
    spare = (max(spec.score) - min(spec.score)) ** 2 / 2 if spec.score else 0.0
    return float((squares + spare) / n) or float("nan")


def more_labels(plan: Plan, needed: int | None, evidence: dict[str, Evidence], *, live: list[str]) -> str:
    """Say how many labels are likely to settle a candidate, and where they must come from.

    Parameters
    ----------
    plan : Plan
    needed : int or None
        From `labels_needed.labels_needed`.
    evidence : dict of Evidence
        Of every gate.
    live : list of str
        Gates on which live requests decide too: only labels of live requests bring these forward.
    """
    if needed is None:
        drawn = f" (on {listed(live)} from live requests)" if live else ""
        return f"Even {SIZES[-1]} more labelled items, drawn at random{drawn}, are not likely to settle it."
    where = f", live requests on {listed(live)}," if live else ""
    over = plan.labels.budget is not None and needed > plan.labels.budget
    budget = f", more than the budget of {plan.labels.budget}" if over else ""
    free = min((int((one.items - one.labels).sum()) for name, one in evidence.items() if name not in live),
               default=needed)
    new = "" if needed <= free else (f"; {free} of the items here lack labels, so the rest must be new" if free
                                     else "; every item here has labels, so they must be new")
    return f"About {needed} more labelled items{where} are likely to settle it{budget}{new}."
