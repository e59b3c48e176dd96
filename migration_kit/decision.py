"""From posterior draws, requirements and checks to a verdict for every candidate."""

from dataclasses import asdict, dataclass, field, replace

import numpy as np
import pandas as pd
import xarray as xr

from migration_kit.checks import CheckResult
from migration_kit.estimands import TOTAL, contrast
from migration_kit.labels_needed import SIZES, Evidence, labels_needed
from migration_kit.plan import CriterionSpec, Plan
from migration_kit.wording import asked as asked_for
from migration_kit.wording import at_least, chance, size


@dataclass(frozen=True)
class GateResult:
    """One gate of one candidate. Contrasts are positive where the candidate is better.

    Attributes
    ----------
    probability : float
        P(contrast > −margin); the smaller of calibrated and corrected where these two disagree.
    probability_worse : float
        P(contrast < −margin).
    smallest_margin : float
        The margin from which on the gate would hold with the plan's assurance; negative: better even without one.
    slices : dict
        Slice to P(contrast > −slice_margin); empty without a slice margin.
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


@dataclass(frozen=True)
class CandidateDecision:
    """The verdict on one candidate, and what it rests on."""

    verdict: str
    probability: float
    probability_independent: float
    gates: dict[str, GateResult]
    requirements: dict[str, str]
    reasons: list[str]
    labels_needed: int | None
    expected_utility: float
    probability_best: float
    sentence: str = ""


@dataclass(frozen=True)
class Decision:
    """The verdict of the migration; ``to_dict`` is what ``decision.json`` holds."""

    verdict: str
    candidate: str | None
    probability: float | None
    sentence: str
    candidates: dict[str, CandidateDecision]
    alarms: list[str]

    def to_dict(self) -> dict:
        """Return plain dictionaries and lists."""
        return asdict(self)


def decide(
    plan: Plan, draws: dict[str, xr.Dataset], *, features: dict[str, xr.Dataset], requirements: pd.DataFrame,
    checks: list[CheckResult], alarms: pd.DataFrame,
) -> Decision:
    """Judge every candidate against gates, slice margins and requirements.

    Parameters
    ----------
    plan : Plan
    draws : dict
        Criterion to the output of `estimands.quality` under production traffic.
    features : dict
        Criterion to its features.
    requirements : DataFrame
        From `requirements.check_requirements`.
    checks : list of CheckResult
    alarms : DataFrame
        From `alarms.raw_alarms`.

    Returns
    -------
    Decision
        ``switch`` names the candidate of highest expected utility among those that may replace the incumbent. The
        probability that all gates hold is the bound 1 − Σ(1 − P): criteria are fitted apart, so nothing is known about
        their dependence; the product stands beside it.
    """
    deltas = {c.id: _contrasts(draws[c.id], plan, c) for c in plan.criteria}
    utility = _utility(plan, deltas)
    judged = {}
    for model in plan.candidates:
        gates = {c.id: _gate(deltas[c.id], model, c, plan, checks) for c in plan.gates}
        asked = requirements[requirements["model"] == model].set_index("requirement")
        verdict, reasons = _verdict(plan, model, gates, asked, checks)
        needed = None
        # Labels settle neither an open requirement nor a check that blocks for another reason.
        if verdict == "collect" and not (asked["status"] == "unknown").any() and not _blocked(checks):
            evidence = [_evidence(deltas[c.id]["calibrated"], features[c.id], model, c) for c in plan.gates]
            needed = labels_needed(evidence, assurance=plan.decision.assurance,
                                   slice_assurance=plan.decision.slice_assurance, seed=plan.sampling.seed)
            reasons.append(_more_labels(plan, needed))
        judged[model] = CandidateDecision(
            verdict=verdict,
            probability=max(0.0, 1 - sum(1 - g.probability for g in gates.values())),
            probability_independent=float(np.prod([g.probability for g in gates.values()])),
            gates=gates, requirements=asked["status"].to_dict(), reasons=reasons, labels_needed=needed,
            expected_utility=float(utility[model].mean()), probability_best=0.0)
    ready = [model for model, one in judged.items() if one.verdict == "switch"]
    among = ready or list(judged)
    values = np.stack([utility[model] for model in among])
    best = values == values.max(axis=0)
    # Candidates that are level in a draw share it: of two that never differ each is the best with probability ½.
    best_share = dict(zip(among, (best / best.sum(axis=0)).mean(axis=1), strict=True))
    for model, one in judged.items():
        judged[model] = replace(one, probability_best=float(best_share.get(model, 0.0)))
        judged[model] = replace(judged[model], sentence=_candidate_sentence(plan, model, judged[model]))
    chosen = max(ready, key=lambda model: judged[model].expected_utility) if ready else None
    verdict = "switch" if chosen else "collect" if any(o.verdict == "collect" for o in judged.values()) else "keep"
    told = alarms.loc[alarms["alarm"], "text"].tolist() if len(alarms) else []
    return Decision(verdict, chosen, judged[chosen].probability if chosen else None,
                    _sentence(plan, verdict, chosen, judged), judged, told)


def _contrasts(draws: xr.Dataset, plan: Plan, spec: CriterionSpec) -> dict[str, xr.DataArray]:
    """Contrasts of both methods with chain and draw joined, dims (sample, model, slice)."""
    return {
        name: contrast(draws[name], incumbent=plan.incumbent, better=spec.better)
        .stack(sample=("chain", "draw"), create_index=False).transpose("sample", "model", "slice")
        for name in ("calibrated", "corrected")
    }


def _gate(deltas: dict, model: str, spec: CriterionSpec, plan: Plan, checks: list[CheckResult]) -> GateResult:
    total = deltas["calibrated"].sel(model=model, slice=TOTAL).to_numpy()
    tails = [(1 - plan.sampling.interval) / 2, (1 + plan.sampling.interval) / 2]
    lower, upper = np.quantile(total, tails)
    # Where the correction moves the contrast, the regression misfits: then the weaker of the two counts.
    methods = ["calibrated", "corrected"] if _misfits(model, spec.id, checks) else ["calibrated"]
    held = [float((deltas[name].sel(model=model, slice=TOTAL) > -spec.margin).mean()) for name in methods]
    slices = {}
    if spec.slice_margin is not None:
        for name in deltas["calibrated"]["slice"].to_numpy()[1:]:
            slices[str(name)] = float((deltas["calibrated"].sel(model=model, slice=name) > -spec.slice_margin).mean())
    return GateResult(
        margin=spec.margin, slice_margin=spec.slice_margin, probability=min(held), probability_worse=1 - max(held),
        mean=float(total.mean()), lower=float(lower), upper=float(upper),
        smallest_margin=float(-np.quantile(total, 1 - plan.decision.assurance)), slices=slices)


def _misfits(model: str, criterion: str, checks: list[CheckResult]) -> bool:
    return any(c.name == "calibrated and corrected agree" and c.criterion == criterion and c.passed is False
               and model in c.models for c in checks)


def _verdict(
    plan: Plan, model: str, gates: dict[str, GateResult], asked: pd.DataFrame, checks: list[CheckResult]
) -> tuple[str, list[str]]:
    assurance, slice_assurance = plan.decision.assurance, plan.decision.slice_assurance
    failed = [row["text"] for _, row in asked.iterrows() if row["status"] == "fail"]
    blocked = _blocked(checks)
    worse, short = [], []
    for name, gate in gates.items():
        if gate.probability_worse >= assurance:
            worse.append(f"{name}: it loses more than {size(gate.margin)} with probability "
                         f"{chance(gate.probability_worse)}.")
        for where, held in gate.slices.items():
            if 1 - held >= assurance:
                worse.append(f"{name} in {where}: it loses more than {size(gate.slice_margin)} with probability "
                             f"{chance(1 - held)}.")
            elif held < slice_assurance:
                short.append(f"{name} in {where}: the probability of losing no more than "
                             f"{size(gate.slice_margin)} is {chance(held)}, asked is {asked_for(slice_assurance)}.")
    if failed:
        return "keep", failed + ([] if blocked else worse)
    if blocked:
        return "collect", blocked
    if worse:
        return "keep", worse
    bound = 1 - sum(1 - gate.probability for gate in gates.values())
    if bound < assurance:
        weakest = min(gates, key=lambda name: gates[name].probability)
        short.insert(0, f"The probability that every gate holds is {at_least(max(0.0, bound))}, asked is "
                        f"{asked_for(assurance)}; the weakest gate is {weakest} "
                        f"({chance(gates[weakest].probability)}).")
    short += [row["text"] for _, row in asked.iterrows() if row["status"] == "unknown"]
    if short:
        return "collect", short
    return "switch", [f"Every requirement and every slice holds; all gates hold with probability of "
                      f"{at_least(bound)}."]


def _utility(plan: Plan, deltas: dict) -> dict[str, np.ndarray]:
    """Weighted sum of contrasts, draw by draw."""
    weighted = [c for c in plan.criteria if c.weight]
    return {
        model: sum((c.weight * deltas[c.id]["calibrated"].sel(model=model, slice=TOTAL).to_numpy() for c in weighted),
                   np.zeros(1))
        for model in plan.candidates
    }


def _evidence(deltas: xr.DataArray, features: xr.Dataset, model: str, spec: CriterionSpec) -> Evidence:
    judged = ~np.isnan(features["label"].sel(model=model).to_numpy())
    slice_index = features["slice_index"].to_numpy()
    of_model = deltas.sel(model=model)
    limits = np.full(of_model.sizes["slice"], np.nan if spec.slice_margin is None else spec.slice_margin)
    limits[0] = spec.margin
    by_slice = np.bincount(slice_index[judged], minlength=features.sizes["slice"])
    items = np.bincount(slice_index, minlength=features.sizes["slice"])
    return Evidence(
        mean=of_model.mean("sample").to_numpy(), sd=of_model.std("sample").to_numpy(), margin=limits,
        labels=np.concatenate([[judged.sum()], by_slice]).astype(float),
        share=np.concatenate([[1.0], items / items.sum()]))


def _candidate_sentence(plan: Plan, model: str, one: CandidateDecision) -> str:
    lead = {"switch": f"{model} may replace {plan.incumbent}",
            "keep": f"{model} must not replace {plan.incumbent}",
            "collect": f"{model}: the evidence decides neither way"}[one.verdict]
    return f"{lead}. {' '.join(one.reasons)}"


def _more_labels(plan: Plan, needed: int | None) -> str:
    if needed is None:
        return f"Even {SIZES[-1]} more labelled items, drawn at random, are not likely to settle it."
    over = plan.labels.budget is not None and needed > plan.labels.budget
    budget = f", more than the budget of {plan.labels.budget}" if over else ""
    return f"About {needed} more labelled items are likely to settle it{budget}."


def _blocked(checks: list[CheckResult]) -> list[str]:
    return [c.text for c in checks if c.blocks and c.passed is False]


def _sentence(plan: Plan, verdict: str, chosen: str | None, judged: dict[str, CandidateDecision]) -> str:
    if chosen:
        one = judged[chosen]
        others = [m for m, o in judged.items() if o.verdict == "switch" and m != chosen]
        best = f"It is the best of {len(others) + 1} with probability {chance(one.probability_best)}."
        return (f"Switch from {plan.incumbent} to {chosen}: every requirement holds, and with probability of "
                f"{at_least(one.probability)} it loses no more than the margin on any gate."
                + (f" {best}" if others else ""))
    if verdict == "collect":
        open_ = [model for model, one in judged.items() if one.verdict == "collect"]
        return (f"Keep {plan.incumbent} for now and collect more labels: {', '.join(open_)} can neither be taken nor "
                "ruled out.")
    return f"Keep {plan.incumbent}: no candidate may replace it."
