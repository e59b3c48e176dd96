"""The calibration model written out for the criteria of a plan."""

import numpy as np
import xarray as xr

from migration_kit.judgments import label_rows
from migration_kit.plan import CriterionSpec, Plan
from migration_kit.shape import shape_of
from migration_kit.small_slices import FEWEST_UNITS, IMAGINED, small_slices
from migration_kit.wording import Said, counted, listed, safe, unit_of


def model(plan: Plan, features: dict[str, xr.Dataset]) -> Said:
    """For each criterion its family, what enters it and which effects it has.

    Parameters
    ----------
    plan : Plan
    features : dict
        Criterion to its features, whose attributes say what was found in the data: bends, clusters, uneven labels.
    """
    told = [f"- **{safe(one.id)}**: " + (
            f"{_family(one)} {_inputs(one, features[one.id])}{_effects(features[one.id])}{_imagined(features[one.id])}"
            if features[one.id].sizes["judgment"] else "nobody has judged an output, so no model is fitted.")
            for one in plan.criteria]
    return Said("\n".join(told))


def _family(criterion: CriterionSpec) -> str:
    noun = unit_of(criterion).noun
    if criterion.kind == "binary":
        return "yes or no, a probit regression: `P(yes) = Φ(η)`. Quality is the rate of yes."
    if criterion.kind == "pairwise":
        return ("preferences, an ordered probit regression with symmetric cutpoints: `P(win) = Φ(η − κ)`, "
                "`P(loss) = Φ(−η − κ)`, a tie between them. Quality is the net win rate, wins minus losses; the "
                "incumbent's is 0 by definition.")
    if criterion.kind == "ordinal":
        low, high = criterion.levels[0], criterion.levels[-1]
        return (f"levels {low:g} to {high:g}, an ordered probit regression: `P(judgment above level j) = "
                f"Φ((η − κ[j]) / s[m])`. Quality is the {noun}.")
    return ("a number, a normal regression with a spread for each model: `judgment ~ Normal(η, σ[m])`. Quality is the "
            "mean, which few large values may move, and not the middle value.")


def _inputs(criterion: CriterionSpec, features: xr.Dataset) -> str:
    names, bends = [safe(name) for name in criterion.metrics], [safe(name) for name in features.attrs["bends"]]
    told = f"It uses {listed(names)}"
    if criterion.kind == "pairwise":
        told += " as preferences or as differences between candidate and incumbent, where 0 is no difference"
    elif features.sizes["model"] > 1:
        told += ", and what each says of the other models on the item"
    if criterion.covariates:
        told += f"; {listed([safe(name) for name in criterion.covariates])} as covariate"
    told += "."
    if bends:
        told += (f" {listed(bends)} {'has' if len(bends) == 1 else 'have'} a bend besides the straight line, because "
                 "labels follow with a curve (F test at 1%).")
    return told


def _imagined(features: xr.Dataset) -> str:
    """Which slices have so few items that others count beside them."""
    small = features["slice"].to_numpy()[small_slices(features)].tolist()
    if not small:
        return ""
    unit = "clusters" if features.attrs["clustered"] else "items"
    have = "has" if len(small) == 1 else "have"
    return (f" {listed([safe(name) for name in small])} {have} fewer than {FEWEST_UNITS} {unit}, so {IMAGINED} items "
            "of the whole test set, as if they were of that slice, count beside those that are.")


def _effects(features: xr.Dataset) -> str:
    """The effects beyond level, metrics and item that the data call for."""
    told, raters, pool = [], features.sizes["rater"], features["pool"].to_numpy()
    if features.sizes["slice"] > 1:
        crossed = ", and of each value of the slice columns" if features.sizes["group"] else ""
        told.append(f"effects of {counted(features.sizes['slice'], 'slice')}{crossed}")
    # The model has what judgments of one output share only where an output has several.
    shares = bool(shape_of(label_rows(features)).outputs)
    if raters > 1:
        told.append(f"the severity of {counted(raters, 'rater')}{', and what raters of one output share' * shares} "
                    "(here they stand for all who might judge, so intervals can be wider than those of labels alone, "
                    "which take these raters' word)")
    elif shares:
        told.append("what several judgments of one output share")
    if features.attrs["clustered"]:
        told.append("effects of clusters of items")
    if features.attrs["uneven"]:
        told.append("effects of the strata that labels were drawn from, because they were not drawn evenly")
    if features.attrs["kind"] == "pairwise" and (features["judged_side"] != 0).any():
        told.append("the side an output was shown on, predicted without a side")
    if (pool.sum(axis=2) > 0).all() and not np.array_equal(pool, np.broadcast_to(np.eye(pool.shape[1]), pool.shape)):
        told.append("one judgment for outputs that are word for word the same")
    return f" It has {listed(told)}." if told else ""
