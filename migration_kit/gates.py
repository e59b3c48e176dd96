"""Gates: contrasts against their margins, and the rule that turns probabilities into a verdict."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import xarray as xr

from migration_kit.estimands import TOTAL, contrast
from migration_kit.plan import CriterionSpec, Plan


@dataclass(frozen=True)
class GateResult:
    """One gate of one candidate. Contrasts are positive where the candidate is better, in the criterion's own unit.

    Attributes
    ----------
    probability : float
        P(contrast > −margin); the smaller of calibrated and corrected where these two disagree. NaN where the
        criterion could not be fitted.
    probability_worse : float
        P(contrast < −margin).
    smallest_margin : float
        The margin from which on the gate would hold with the plan's assurance; negative: better even without one.
    slices : dict
        Slice to P(contrast > −slice_margin); empty without a slice margin.
    labelled : bool
        Whether people judged outputs of both models. Where not, every number here is a guess from metrics and priors.
    """

    margin: float
    slice_margin: float | None
    probability: float
    probability_worse: float
    mean: float
    lower: float
    upper: float
    smallest_margin: float
    slices: dict[str, float] = field(default_factory=dict)
    labelled: bool = True


class GateDraws(NamedTuple):
    """Draws of one gate of one candidate.

    Attributes
    ----------
    spec : CriterionSpec
    totals : list of ndarray (sample,)
        The contrast in total by every method that counts, the calibrated first; positive is better.
    slices : ndarray (sample, slice)
    names : list of str
        Of the slices.
    """

    spec: CriterionSpec
    totals: list[np.ndarray]
    slices: np.ndarray
    names: list[str]


@dataclass(frozen=True)
class Standing:
    """What besides probabilities speaks on a candidate.

    Attributes
    ----------
    failed : bool
        A requirement fails.
    blocked : bool
        A check leaves no verdict but ``collect``.
    unsettled : bool
        A requirement cannot be told yet, or a gate has no labels.
    flagged : bool
        Live requests do not show what the test set promised on a gate.
    """

    failed: bool = False
    blocked: bool = False
    unsettled: bool = False
    flagged: bool = False


def contrasts(draws: xr.Dataset, plan: Plan, spec: CriterionSpec) -> dict[str, xr.DataArray]:
    """Contrasts of both methods with chain and draw joined, dims (sample, model, slice), positive is better."""
    return {
        name: contrast(draws[name], incumbent=plan.incumbent, better=spec.better)
        .stack(sample=("chain", "draw"), create_index=False).transpose("sample", "model", "slice")
        for name in ("calibrated", "corrected")
    }


def gate_draws(deltas: dict[str, xr.DataArray], model: str, spec: CriterionSpec, *, misfits: bool) -> GateDraws:
    """Pick a candidate's draws; where the correction moves the contrast, the regression misfits and both count."""
    methods = ("calibrated", "corrected") if misfits else ("calibrated",)
    of_model = {name: deltas[name].sel(model=model).transpose("sample", "slice") for name in methods}
    slices = of_model["calibrated"].isel(slice=slice(1, None))
    return GateDraws(spec, [of_model[name].sel(slice=TOTAL).to_numpy() for name in methods], slices.to_numpy(),
                     [str(name) for name in slices["slice"].to_numpy()])


def judge_gate(drawn: GateDraws | None, spec: CriterionSpec, *, plan: Plan, labelled: bool = True) -> GateResult:
    """Hold a candidate's contrast against margin and slice margin; None: the criterion could not be fitted."""
    if drawn is None:
        nan = float("nan")
        return GateResult(spec.margin, spec.slice_margin, nan, nan, nan, nan, nan, nan, labelled=False)
    total = drawn.totals[0]
    tails = [(1 - plan.sampling.interval) / 2, (1 + plan.sampling.interval) / 2]
    lower, upper = np.quantile(total, tails)
    # Where methods disagree, the weaker of them counts.
    held = [float((one > -spec.margin).mean()) for one in drawn.totals]
    by_slice = zip(drawn.names, slice_probability(drawn).tolist(), strict=False)
    return GateResult(
        margin=spec.margin, slice_margin=spec.slice_margin, probability=min(held), probability_worse=1 - max(held),
        mean=float(total.mean()), lower=float(lower), upper=float(upper),
        smallest_margin=float(np.quantile(-total, plan.decision.assurance, method="inverted_cdf")),
        slices=dict(by_slice), labelled=labelled)


def bound(gates: dict[str, GateResult]) -> float:
    """A lower bound of the probability that all gates hold, exact for one; NaN where one has no labels."""
    return float(np.maximum(0.0, 1 - sum(1 - one.probability if one.labelled else np.nan for one in gates.values())))


def slice_probability(drawn: GateDraws, weights: np.ndarray | None = None) -> np.ndarray:
    """P(contrast > −slice_margin) of every slice, dims (slice,), draws weighted; empty without a slice margin."""
    if drawn.spec.slice_margin is None:
        return np.zeros(0)
    return np.average(drawn.slices > -drawn.spec.slice_margin, axis=0, weights=weights)


def verdict_of(
    hold: np.ndarray, worse: np.ndarray, slices: np.ndarray, *, assurance: float, slice_assurance: float,
    standing: Standing = Standing(),
) -> np.ndarray:
    """The rule of the decision, for one state of the evidence or for many at a time.

    ``keep`` where a requirement fails or a loss beyond a margin is as good as shown, in total or in a slice;
    ``switch`` where the probability that all gates hold reaches the assurance and every slice its own; ``collect``
    otherwise, also where live requests contradict the test set. Criteria are fitted apart, so the probability of all
    gates is the bound 1 − Σ(1 − P).

    Parameters
    ----------
    hold, worse : ndarray (..., gate)
        P(contrast > −margin) and P(contrast < −margin); NaN says nothing.
    slices : ndarray (..., slice)
        P(contrast > −slice_margin) of every slice of every gate with a slice margin.

    Returns
    -------
    ndarray of str (...)
    """
    hold, worse, slices = np.asarray(hold), np.asarray(worse), np.asarray(slices)
    shown_worse = (worse >= assurance).any(axis=-1) | (1 - slices >= assurance).any(axis=-1)
    holds = (1 - (1 - hold).sum(axis=-1) >= assurance) & (slices >= slice_assurance).all(axis=-1)
    if standing.failed or standing.blocked:
        return np.full(np.shape(shown_worse), "keep" if standing.failed else "collect")
    ready = holds & (not standing.unsettled) & (not standing.flagged)
    return np.where(shown_worse, "keep", np.where(ready, "switch", "collect"))
