"""What leaves no verdict for want of labels, and how likely further labels are to lift it."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import xarray as xr
from scipy.special import betaln, gammaln

from migration_kit.checks import ENOUGH_LABELS, ENOUGH_OF_BOTH, LABELS_COVER, CheckResult
from migration_kit.features import FEWEST_RARER, UNSEEN_TRAFFIC
from migration_kit.label_cover import judged_by_slice, judged_models, unseen_slices
from migration_kit.label_design import Design, allocate
from migration_kit.label_plan import LabelPlan
from migration_kit.metric_worth import scored_zero_one
from migration_kit.wording import counted, listed, number

FEWEST_CONTINUOUS = 20
RUNS = 400
NOBODY = "There are no labels to count."


def blocking_checks(features: xr.Dataset, *, decides: bool) -> list[CheckResult]:
    """Return the checks of one criterion that block while they fail and that enough further labels let pass.

    Parameters
    ----------
    features : Dataset
    decides : bool
        Whether the criterion has a say in the verdict; where not, a failure does not block.
    """
    return [_enough(features, decides=decides), _coverage(features, decides=decides)]


def other_labels(label: np.ndarray, features: xr.Dataset) -> tuple[float, int]:
    """Return the commonest judgment among labels (NaN without any) and how many labels differ from it."""
    score = np.unique(features.attrs["score"])
    nearest = score[np.abs(label[:, None] - score).argmin(axis=1)] if len(score) else label
    values, counts = np.unique(nearest, return_counts=True)
    if not len(values):
        return np.nan, 0
    commonest = values[counts.argmax()]
    half = np.diff(score).min() / 2 if len(score) else 0.0
    apart = np.abs(label - commonest)
    return float(commonest), int(((apart >= half - 1e-9) & (apart > 0)).sum())


def lift_odds(
    features: Mapping[str, xr.Dataset], labels: LabelPlan, sizes: Sequence[int], *, n_slices: int, seed: int
) -> dict[int, tuple[float, float]]:
    """Probability that no check blocks any more, by number of further items: as planned, and drawn at random.

    Parameters
    ----------
    features : mapping
        Of the criteria whose checks block by now.
    labels : LabelPlan
    sizes : sequence of int
    n_slices, seed : int
    """
    if not features:
        return dict.fromkeys(sizes, (1.0, 1.0))
    asked = {"criteria": labels.criteria, "models": labels.models}
    return {size: tuple(lifted(features, new, **asked) for new in further_by_slice(
        labels.design, size, n_slices=n_slices, seed=seed)) for size in sizes}


def further_by_slice(design: Design, n: int, *, n_slices: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Count the next n items by slice, as planned and as random draws have them, dims (draw, slice).

    What goes beyond the items there are comes with new items, spread as the old ones.
    """
    chosen, left = allocate(design, n), design.items - design.labels

    def by_slice(of_stratum: np.ndarray) -> np.ndarray:
        return np.bincount(design.slice_index, weights=of_stratum, minlength=n_slices)

    beyond = (n - chosen.sum()) * by_slice(design.items) / max(design.items.sum(), 1)
    return by_slice(chosen)[None] + beyond, _drawn_at_random(by_slice(left), by_slice(design.items), n, seed=seed)


def lift_at_random(
    features: Mapping[str, xr.Dataset], model: str, sizes: Iterable[int], *, seed: int
) -> dict[int, float]:
    """Probability that no check blocks a candidate any more, by number of further items drawn at random.

    Parameters
    ----------
    features : mapping
        Of every criterion that has a say in the verdict; the items are judged on all of them.
    model : str
        The candidate; the items are judged for it and the incumbent.
    sizes : iterable of int
    seed : int
    """
    first = next(iter(features.values()))
    slice_index, n_slices = first["slice_index"].to_numpy(), first.sizes["slice"]
    judged = np.ones(len(slice_index), dtype=bool)
    for one in features.values():
        columns = [place for place, name in judged_models(one) if place == 0 or name == model]
        judged &= ~np.isnan(one["label"].to_numpy()[:, columns]).any(axis=1)
    items, left = (np.bincount(slice_index[here], minlength=n_slices) for here in (slice(None), ~judged))
    return {n: lifted(features, _drawn_at_random(left, items, n, seed=seed), criteria=features, models=[model])
            for n in sizes}


def _drawn_at_random(left: np.ndarray, items: np.ndarray, n: int, *, seed: int) -> np.ndarray:
    """Count n items drawn at random by slice, dims (draw, slice); beyond those left new ones, spread as all are."""
    among = int(min(n, left.sum()))
    drawn = np.random.default_rng(seed).multivariate_hypergeometric(
        left.astype(np.int64), among, size=RUNS, method="marginals")
    return drawn + (n - among) * items / max(items.sum(), 1)


def lifted(
    features: Mapping[str, xr.Dataset], new: np.ndarray, *, criteria: Collection[str], models: Collection[str]
) -> float:
    """Probability that no check blocks any more for want of labels once further items were judged.

    Parameters
    ----------
    features : mapping
        Of every criterion that has a say in the verdict.
    new : ndarray (draw, slice)
        Further items, judged for the incumbent too.
    criteria, models : collection of str
        What, and of which candidates, people are asked; what they are not asked stays as it is.

    Returns
    -------
    float
        Whether the rarer judgment comes often enough is drawn from how often it came so far (beta-binomial, Jeffreys'
        prior), by criterion alone. Off by a few points where a label plan looks for it.
    """
    covered, enough = np.ones(len(new), dtype=bool), 1.0
    for name, one in features.items():
        added = new if name in criteria else np.zeros_like(new)
        asked = np.array([place == 0 or model in models for place, model in judged_models(one)])
        seen = judged_by_slice(one)[None] | ((added >= 1)[:, :, None] & asked)
        covered &= ~seen[:, :, asked].all(axis=2) @ one["share"].to_numpy() <= UNSEEN_TRAFFIC
        enough *= _enough_after(one, round(float(added[0].sum())), asked)
    return float(enough * covered.mean())


def _enough_after(features: xr.Dataset, items: int, asked: np.ndarray) -> float:
    """Probability that a metric can be calibrated once so many further items were judged for the models asked."""
    columns = np.array([place for place, _ in judged_models(features)])[asked]
    label, first = _distinct(features), np.sort(features["pool"].to_numpy().argmax(axis=2)[:, columns], axis=1)
    n, new = len(label), 0
    if items:
        # Identical outputs count once.
        new = round(items * float((np.diff(first, axis=1) > 0).sum(axis=1).mean() + 1))
    if features.attrs["kind"] == "continuous" and n + new < FEWEST_CONTINUOUS:
        return 0.0
    _, rarer = other_labels(label, features)
    if rarer >= FEWEST_RARER or not new:
        return float(rarer >= FEWEST_RARER)
    found = np.arange(new + 1)
    chance = np.exp(gammaln(new + 1) - gammaln(found + 1) - gammaln(new - found + 1)
                    + betaln(found + rarer + 0.5, new - found + n - rarer + 0.5) - betaln(rarer + 0.5, n - rarer + 0.5))
    # Of two judgments the rarer one counts, whichever that will be.
    both = n - rarer + new - found if features.attrs["kind"] == "binary" else np.inf
    return float(min(chance[np.minimum(rarer + found, both) >= FEWEST_RARER].sum(), 1.0))


def _distinct(features: xr.Dataset) -> np.ndarray:
    """Labels of outputs, identical ones once unless they were judged apart."""
    label, first = features["label"].to_numpy().copy(), features["pool"].to_numpy().argmax(axis=2)
    if features.attrs["kind"] == "pairwise":
        label[:, 0] = np.nan
    item, model = np.nonzero(~np.isnan(label))
    return np.unique(np.stack([item, first[item, model], label[item, model]], axis=1), axis=0)[:, 2]


def _enough(features: xr.Dataset, *, decides: bool) -> CheckResult:
    name = ENOUGH_OF_BOTH if scored_zero_one(features) else ENOUGH_LABELS
    criterion, kind = features.attrs["criterion"], features.attrs["kind"]
    label = _distinct(features)
    if not len(label):
        what = "nothing can be decided; collect labels first" if decides else "nothing is known of it"
        return CheckResult(name, False, "Nobody has judged an output on this criterion, so no metric can be calibrated "
                           f"and {what}.", criterion, blocks=decides)
    commonest, n = other_labels(label, features)
    enough = n >= FEWEST_RARER and (kind != "continuous" or len(label) >= FEWEST_CONTINUOUS)
    once = "over all models, identical outputs counted once"
    if scored_zero_one(features):
        text = f"The rarer judgment ({1 - commonest:g}) stands {n} times {once}"
    elif kind == "continuous":
        text = f"Of {counted(len(label), 'label')} {once}, {n} differ from the commonest value ({number(commonest)})"
    else:
        text = f"Judgments other than the commonest ({commonest:g}) stand {n} times {once}"
    least = f"fewer than {FEWEST_RARER}" + (f" or with fewer than {FEWEST_CONTINUOUS} labels" if kind == "continuous"
                                            else "")
    return CheckResult(name, enough, f"{text}; a metric cannot be calibrated with {least}.", criterion, blocks=decides)


def _coverage(features: xr.Dataset, *, decides: bool) -> CheckResult:
    if not features.sizes["judgment"]:
        return CheckResult(LABELS_COVER, None, NOBODY, features.attrs["criterion"], blocks=decides)
    lacks, share = unseen_slices(features), features["share"].to_numpy()
    lost = {model: share[unseen].sum() for model, unseen in lacks.items()}
    blind = [model for model, part in lost.items() if part > UNSEEN_TRAFFIC]
    some = 0 < len(blind) < len(lacks)
    # Where the check passes the candidate that lacks most is told.
    unseen = np.any([lacks[model] for model in blind or [max(lost, key=lost.__getitem__)]], axis=0)
    names = features["slice"].to_numpy()[unseen].tolist()
    which = f"people have not judged {listed(blind)}" if some else "a model has no label"
    text = (f"Slices in which {which} hold {share[unseen].sum():.0%} of traffic (at most {UNSEEN_TRAFFIC:.0%})"
            + (f": {', '.join(names)}." if names else "."))
    return CheckResult(LABELS_COVER, not blind, text, features.attrs["criterion"], blocks=decides,
                       models=tuple(blind) if some else ())
