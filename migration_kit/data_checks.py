"""Is the data fit for a decision? Answers before any model is fitted."""

import numpy as np
import pandas as pd
import xarray as xr

from migration_kit.checks import CheckResult
from migration_kit.data import EvalData
from migration_kit.intervals import NORMAL
from migration_kit.label_blocks import NOBODY, blocking_checks, other_labels
from migration_kit.label_cover import judged_models
from migration_kit.metric_worth import scored_zero_one
from migration_kit.plan import Plan
from migration_kit.rater_checks import copies_check, raters_check
from migration_kit.wording import counted, number, percent, signed

FEWEST_RARER_OF_MODEL = 3
TWINS_APART = 0.05
ODD_LABELS = 0.1
ODD_PROBABILITY = 0.01
WILD = 20
ONE_SIDED = 0.1


def data_checks(features: xr.Dataset, plan: Plan) -> list[CheckResult]:
    """Return the checks of one criterion's labels and metrics.

    Returns
    -------
    list of CheckResult
        A failure that ``blocks`` means abstain: collect labels before anything is decided. A monitor decides nothing,
        so its failures do not block.
    """
    decides = plan.criterion(features.attrs["criterion"]).role != "monitor"
    enough, coverage = blocking_checks(features, decides=decides)
    return [enough, _each_model(features), coverage, _drawn_at_random(features),
            raters_check(features, plan), copies_check(features), _plausible_metrics(features),
            _twins(features, plan), *_sides(features)]


def noted_checks(data: EvalData) -> list[CheckResult]:
    """Return a failed check for every note of the data that is one: judgments far outside, metrics in two units, ..."""
    return [CheckResult(note.check, False, note.text, note.criterion) for note in data.notes.itertuples() if note.check]


def label_counts(features: xr.Dataset) -> pd.DataFrame:
    """Count labels, one row a model and slice.

    Returns
    -------
    DataFrame
        model, slice, items, labels (outputs judged), commonest (labels of the judgment that is commonest in this row),
        other (labels that differ from it). A label is the mean of an output's judgments; one that lies half-way
        counts as other. Of preferences the incumbent has no rows.
    """
    label, slice_index = features["label"].to_numpy(), features["slice_index"].to_numpy()
    rows = []
    for m, model in judged_models(features):
        for s, name in enumerate(features["slice"].to_numpy()):
            here = label[slice_index == s, m]
            known = here[~np.isnan(here)]
            other = other_labels(known, features)[1]
            rows.append({"model": model, "slice": name, "items": len(here), "labels": len(known),
                         "commonest": len(known) - other, "other": other})
    return pd.DataFrame(rows)


def _each_model(features: xr.Dataset) -> CheckResult:
    label, rows = features["label"].to_numpy(), []
    for m, model in judged_models(features):
        known = label[~np.isnan(label[:, m]), m]
        other = other_labels(known, features)[1]
        rows.append({"model": model, "labels": len(known), "commonest": len(known) - other, "other": other})
    table = pd.DataFrame(rows)
    rarer = table.set_index("model")["other"]
    if scored_zero_one(features):
        rarer = table.set_index("model")[["commonest", "other"]].min(axis=1)
    thin = list(rarer.index[rarer < FEWEST_RARER_OF_MODEL])
    least = rarer.idxmin()
    kind, name = "besides its commonest", "enough labels for every model"
    if scored_zero_one(features):
        kind, name = "of its rarer kind", "labels of both kinds for every model"
    if not features.sizes["judgment"]:
        return CheckResult(name, None, NOBODY, features.attrs["criterion"], table=table)
    text = (f"{least} has fewest judgments {kind}: {rarer[least]} of "
            f"{counted(table.set_index('model').loc[least, 'labels'], 'label')}; with fewer than "
            f"{FEWEST_RARER_OF_MODEL} its interval leans on the other models.")
    return CheckResult(name, not thin, text, features.attrs["criterion"], models=tuple(thin), table=table)


def label_selection(features: xr.Dataset) -> pd.DataFrame:
    """Compare labelled outputs with all outputs of their slice in the primary metric, model by model.

    Labels weigh 1 / inclusion probability, so a known design that is unequal shows no difference.

    Returns
    -------
    DataFrame
        model, labelled, outputs (with the metric), difference (in standard deviations of the metric within slices),
        sd. Without models that have no label, no unlabelled output, or no spread of the metric. Worry where the
        difference is beyond 0.1 and many times its sd: those who chose the items looked at something.
    """
    label, inclusion = features["label"].to_numpy(), features["inclusion_prob"].to_numpy()
    value = features["value"].sel(metric=features.attrs["primary_metric"]).to_numpy()
    slice_index, rows = features["slice_index"].to_numpy(), []
    for m, model in judged_models(features):
        known = ~np.isnan(value[:, m])
        labelled = known & ~np.isnan(label[:, m])
        if not labelled.any() or (labelled == known).all():
            continue
        group = slice_index[known]
        centred = np.full(len(value), np.nan)
        means = np.bincount(group, weights=value[known, m]) / np.maximum(np.bincount(group), 1)
        centred[known] = value[known, m] - means[group]
        spread = centred[known].std()
        if spread <= 1e-9 * max(1.0, np.abs(value[known, m]).max()):
            continue
        # A slice labelled more densely than another is no selection within it.
        per_slice = np.bincount(slice_index[labelled], weights=1 / inclusion[labelled], minlength=group.max() + 1)
        weight = np.bincount(group)[slice_index[labelled]] / per_slice[slice_index[labelled]] / inclusion[labelled]
        share = weight / weight.sum()
        difference = float(share @ centred[labelled]) / spread
        unseen = 1 - labelled.sum() / known.sum()
        sd = np.sqrt((share**2 * (centred[labelled] / spread - difference) ** 2).sum() * unseen)
        rows.append({"model": model, "labelled": int(labelled.sum()), "outputs": int(known.sum()),
                     "difference": difference, "sd": float(sd)})
    return pd.DataFrame(rows, columns=["model", "labelled", "outputs", "difference", "sd"])


def _drawn_at_random(features: xr.Dataset) -> CheckResult:
    name, criterion = "labels drawn at random", features.attrs["criterion"]
    chance = features["inclusion_prob"].to_numpy()[~np.isnan(features["label"].to_numpy()).all(axis=1)]
    told = (f"Items were chosen for judging with probabilities from {percent(chance.min())} to "
            f"{percent(chance.max())}, which the estimates allow for. " if len(chance) and np.ptp(chance) > 0 else "")
    table = label_selection(features)
    if table.empty:
        whole = len(chance) == features.sizes["item"]
        return CheckResult(name, True if whole else None, told + (
            "Every item has labels, so none were chosen." if whole else
            "There are no labelled and unlabelled outputs to compare in the primary metric."), criterion)
    reach = NORMAL.inv_cdf(1 - ODD_PROBABILITY / 2 / len(table)) * table["sd"]
    odd = (table["difference"].abs() > reach) & (table["difference"].abs() > ODD_LABELS)
    worst = table.loc[(table["difference"].abs() / table["sd"].clip(lower=1e-9)).idxmax()]
    low, high = (worst["difference"] + side * reach[worst.name] for side in (-1, 1))
    text = (f"{told}In {features.attrs['primary_metric']}, judged outputs of {worst['model']} differ most from all its "
            f"outputs: by {signed(worst['difference'], 2)} standard deviations ({1 - ODD_PROBABILITY:.0%} interval "
            f"{signed(low, 2)} to {signed(high, 2)})")
    text += ("; if people chose what to judge, tell the inclusion probabilities or draw labels anew."
             if odd.any() else ".")
    return CheckResult(name, not odd.any(), text, criterion, models=tuple(table["model"][odd]), table=table)


def _plausible_metrics(features: xr.Dataset) -> CheckResult:
    """Find values so far out that they are a unit or an error code rather than a score."""
    wild = []
    for position, metric in enumerate(features["metric"].to_numpy().tolist()):
        value = features["value"].to_numpy()[:, :, position]
        known = value[~np.isnan(value)]
        if not len(known):
            continue
        lower, middle, upper = np.quantile(known, [0.25, 0.5, 0.75])
        apart = np.abs(value - middle)
        scale = upper - lower
        if scale == 0:
            scale = np.median(apart[apart > 0]) if (apart > 0).any() else 1.0
        found = np.argwhere(apart > WILD * scale)
        if len(found):
            item, model = found[np.argmax([apart[tuple(at)] for at in found])]
            wild.append({"metric": metric, "n": len(found), "model": str(features["model"].to_numpy()[model]),
                         "item": str(features["item"].to_numpy()[item]), "value": float(value[item, model]),
                         "median": float(middle)})
    table = pd.DataFrame(wild, columns=["metric", "n", "model", "item", "value", "median"])
    text = f"No value of a metric lies more than {WILD} interquartile ranges from its median."
    if wild:
        text = " ".join(
            f"{counted(row['n'], 'value')} of {row['metric']} {'lies' if row['n'] == 1 else 'lie'} more than {WILD} "
            f"interquartile ranges from the median ({number(row['median'])}); the furthest is {number(row['value'])}, "
            f"{row['model']} on item {row['item']}." for row in wild)
        text += " If these are error codes, leave them out of the scores."
    return CheckResult("metric values are plausible", not wild, text, features.attrs["criterion"], table=table)


def _twins(features: xr.Dataset, plan: Plan) -> CheckResult:
    name, criterion = "identical outputs are judged alike", features.attrs["criterion"]
    label = features["label"].to_numpy()
    twin = (features["pool"].to_numpy() > 0) & ~np.eye(label.shape[1], dtype=bool)
    pairs = twin & ~np.isnan(label[:, :, None]) & ~np.isnan(label[:, None, :])
    if not pairs.any():
        return CheckResult(name, None, "No two models gave the same output to a labelled item.", criterion)
    score = np.unique(features.attrs["score"])
    # Means of several raters, and free numbers, differ a little without being different judgments.
    free = plan.criterion(criterion).margin or features.attrs["spread"] / 2
    tolerance = np.diff(score).min() / 2 if len(score) else free
    apart = (np.abs(label[:, :, None] - label[:, None, :]) > tolerance)[pairs].mean()
    text = (f"Of {int(pairs.sum()) // 2} pairs of identical outputs, {apart:.1%} were judged differently (at most "
            f"{TWINS_APART:.0%}); they share one judgment in the calibration, so if more differ, leave out the text.")
    return CheckResult(name, bool(apart <= TWINS_APART), text, criterion)


def _sides(features: xr.Dataset) -> list[CheckResult]:
    """Every candidate was shown on both sides; no check where nothing says on which."""
    side, model = features["judged_side"].to_numpy(), features["judged_model"].to_numpy()
    if not side.any():
        return []
    left = {name: float((side[(model == m) & (side != 0)] < 0).mean()) for m, name in judged_models(features)
            if (side[model == m] != 0).any()}
    fixed = [name for name, share in left.items() if not ONE_SIDED < share < 1 - ONE_SIDED]
    worst = max(left, key=lambda name: abs(left[name] - 0.5))
    text = (f"{worst} was shown on the left in {percent(left[worst])} of its comparisons. What people like about an "
            "output and what they like about a side can only be told apart where sides change.")
    return [CheckResult("candidates change sides", not fixed, text, features.attrs["criterion"], models=tuple(fixed))]
