"""A first answer in a second: gates from verdict strata, without the calibration model."""

import numpy as np
import xarray as xr

from migration_kit.data import EvalData
from migration_kit.features import FEWEST_RARER, UNSEEN_TRAFFIC, build_features
from migration_kit.intervals import summarise
from migration_kit.label_cover import unseen_slices
from migration_kit.plan import CriterionSpec, Plan
from migration_kit.strata import contrast_sign, verdict_draws
from migration_kit.wording import listed, rounded_down, unit_of

NO_LABELS = "nobody has judged an output yet"
NOT_LOOKED_AT = "slices and requirements are not looked at"
NOISE = 0.02


def preview(plan: Plan, data: EvalData) -> dict:
    """Answer from labels and the verdicts of each criterion's primary metric, weighted by traffic.

    Parameters
    ----------
    plan : Plan
        The plan.
    data : EvalData
        The plan's data.

    Returns
    -------
    dict
        ``criteria``: criterion, margin and ``models``, each with model, labels (items judged; None for the incumbent of
        preferences), quality, lower, upper, contrast, contrast_lower, contrast_upper (positive is better than the
        incumbent), all on the criterion's own scale, and prob_noninferior; NaN where there is nothing to say; ``notes``
        on what is odd in these numbers · ``verdicts``: by candidate, "likely switch", "likely keep" or "collect", and
        why. Requirements and slices are left to `run`.
    """
    parts, reasons = [], {candidate: [] for candidate in plan.candidates}
    for criterion in plan.criteria:
        features = build_features(data, plan, criterion.id)
        draws = verdict_draws(features, traffic=True, seed=plan.sampling.seed)
        rows = [_row(draws.sel(model=model), criterion, plan) for model in plan.model_ids]
        odd = data.notes.loc[data.notes["criterion"] == criterion.id, "text"]
        parts.append({
            "criterion": criterion.id,
            "margin": criterion.margin,
            "models": rows,
            "notes": [*_not_differences(rows, draws, features, criterion), *odd],
        })
        if criterion.role == "gate":
            for candidate, told in reasons.items():
                told += _too_little(features, candidate)
    gates = {part["criterion"]: part["models"] for part in parts if part["margin"] is not None}
    verdicts = {}
    for position, candidate in enumerate(plan.candidates, start=1):
        holds = {name: models[position]["prob_noninferior"] for name, models in gates.items()}
        verdicts[candidate] = _verdict(holds, assurance=plan.decision.assurance, reasons=reasons[candidate])
    return {"criteria": parts, "verdicts": verdicts}


def _row(draws: xr.Dataset, criterion: CriterionSpec, plan: Plan) -> dict:
    model, interval = str(draws["model"].item()), plan.sampling.interval
    quality = summarise(draws["quality"].to_numpy(), interval=interval)
    drawn = draws["contrast"].to_numpy() if model != plan.incumbent else np.empty(0)
    contrast = summarise(drawn, interval=interval, margin=criterion.margin)
    return {
        "model": model,
        "labels": (None if criterion.kind == "pairwise" and model == plan.incumbent else
                   int(draws["n_labels"].sel(quantity="quality"))),
        "quality": quality["mean"],
        "lower": quality["lower"],
        "upper": quality["upper"],
        "contrast": contrast["mean"],
        "contrast_lower": contrast["lower"],
        "contrast_upper": contrast["upper"],
        "prob_noninferior": contrast["prob_noninferior"],
    }


def _not_differences(
    rows: list[dict], draws: xr.Dataset, features: xr.Dataset, criterion: CriterionSpec
) -> list[str]:
    """Say why contrasts are not the differences of the qualities shown, where a reader who subtracts would find so."""
    unit, sign, (incumbent, *candidates) = unit_of(criterion), contrast_sign(features), rows
    apart, fewer = [], []
    for row in candidates if criterion.kind != "pairwise" else ():
        difference = sign * (row["quality"] - incumbent["quality"])
        width = row["contrast_upper"] - row["contrast_lower"]
        same = unit.change(row["contrast"]) == unit.change(difference)
        # Both are means of the same number of draws, so part of what lies between them is noise.
        if np.isnan(difference + width) or same or abs(row["contrast"] - difference) <= NOISE * width:
            continue
        both = int(draws["n_labels"].sel(quantity="contrast", model=row["model"]))
        apart.append(f"{unit.change(difference)} for {row['model']}")
        fewer += [f"{both} for {row['model']}"] if both < max(row["labels"], incumbent["labels"]) else []
    if not apart:
        return []
    metric, rests = features.attrs["primary_metric"], f" ({listed(fewer)})" if fewer else ""
    return [f"Subtracting the numbers above gives {listed(apart)}. The contrast compares item by item, on items judged "
            f"for both models{rests}, weighted by what {metric} says of the two outputs together; a model's own number "
            f"rests on all its labels, weighted by what {metric} says of each output alone."]


def _verdict(holds: dict[str, float], *, assurance: float, reasons: list[str]) -> str:
    """Say what a candidate's gates point to; ``holds`` is the probability of each to hold, NaN without labels."""
    unknown = [name for name, probability in holds.items()
               if np.isnan(probability) and f"{name}: {NO_LABELS}" not in reasons]
    reasons = [*reasons, *(f"{name}: no item judged for both models" for name in unknown)]
    if reasons:
        return f"collect: {'; '.join(reasons)}"
    worst = min(holds, key=holds.get)
    if 1 - holds[worst] >= assurance:
        lost = rounded_down(1 - holds[worst])
        return f"likely keep: {worst} is worse by more than the margin with probability {lost}"
    # Criteria are looked at apart, so only this bound on all of them holds without further assumption.
    bound = max(0.0, 1 - sum(1 - probability for probability in holds.values()))
    several = len(holds) > 1
    told = (f"all gates hold with probability {rounded_down(bound)} or more" if several else
            f"{worst} holds with probability {rounded_down(bound)}")
    if bound >= assurance:
        return f"likely switch: {told}; {NOT_LOOKED_AT}"
    weakest = f"; {worst} is the weakest with {rounded_down(holds[worst])}" if several else ""
    return f"collect: {told}, asked is {assurance:g}{weakest}; {NOT_LOOKED_AT}"


def _too_little(features: xr.Dataset, candidate: str) -> list[str]:
    """Say why the labels of a gate cannot carry an answer on a candidate; empty where they can."""
    label, name = _labels(features), features.attrs["criterion"]
    if not len(label):
        return [f"{name}: {NO_LABELS}"]
    unseen = unseen_slices(features)[candidate]
    # Of a candidate without any label it is said that nobody judged it.
    blind = 0.0 if unseen.all() else float(features["share"].to_numpy()[unseen].sum())
    reasons, rarer = [], _unlike_most(label, features)
    if rarer < FEWEST_RARER:
        kind = "of the rarer kind" if set(features.attrs["score"]) == {0, 1} else "other than the commonest"
        reasons.append(f"{name}: {rarer} labels {kind}, at least {FEWEST_RARER} are needed")
    if blind > UNSEEN_TRAFFIC:
        reasons.append(f"{name}: slices without labels of both models hold {blind:.0%} of traffic")
    return reasons


def _labels(features: xr.Dataset) -> np.ndarray:
    """Labels of judged outputs, identical ones once; of preferences the incumbent has none."""
    label, first = features["label"].to_numpy().copy(), features["pool"].to_numpy().argmax(axis=2)
    label[:, : features.attrs["kind"] == "pairwise"] = np.nan
    item, model = np.nonzero(~np.isnan(label))
    return np.unique(np.stack([item, first[item, model], label[item, model]]), axis=1)[2]


def _unlike_most(label: np.ndarray, features: xr.Dataset) -> int:
    """Count labels that differ from the commonest one, a mean over raters where it lies half a level away or more."""
    score = np.unique(features.attrs["score"])
    if not len(score):
        return int(len(label) - np.unique(label, return_counts=True)[1].max())
    nearest, counts = np.unique(score[np.abs(label[:, None] - score).argmin(axis=1)], return_counts=True)
    return int((np.abs(label - nearest[counts.argmax()]) > np.diff(score).min() / 2 - 1e-9).sum())
