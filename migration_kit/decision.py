"""From posterior draws, requirements and checks to a verdict for every candidate."""

from dataclasses import asdict, dataclass, field, replace

import numpy as np
import pandas as pd
import xarray as xr

from migration_kit.checks import CheckResult
from migration_kit.estimands import TOTAL
from migration_kit.flip_points import flip_points, weight_flips
from migration_kit.gates import GateDraws, GateResult, Standing, contrasts, gate_draws, judge_gate, verdict_of
from migration_kit.labels_needed import SIZES, Evidence, labels_needed
from migration_kit.plan import CriterionSpec, Plan
from migration_kit.wording import asked as asked_for
from migration_kit.wording import at_least, chance, listed, unit_of

FEWEST_PAIRS = 5


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
    """The verdict of the migration; ``to_dict`` is what ``decision.json`` holds.

    ``flip_points`` are rows of `flip_points.flip_points` as dictionaries, of every candidate and then of the weights.
    """

    verdict: str
    candidate: str | None
    probability: float | None
    sentence: str
    candidates: dict[str, CandidateDecision]
    alarms: list[str]
    flip_points: list[dict] = field(default_factory=list)

    def to_dict(self) -> dict:
        """Return plain dictionaries and lists."""
        return asdict(self)


def decide(
    plan: Plan, draws: dict[str, xr.Dataset], *, features: dict[str, xr.Dataset], requirements: pd.DataFrame,
    checks: list[CheckResult], alarms: pd.DataFrame, fits: dict[str, xr.DataTree] | None = None,
) -> Decision:
    """Judge every candidate against gates, slice margins and requirements.

    Parameters
    ----------
    plan : Plan
    draws : dict
        Criterion to the output of `estimands.quality` under production traffic; a criterion may be left out when it
        could not be fitted.
    features : dict
        Criterion to its features.
    requirements : DataFrame
        From `requirements.check_requirements`.
    checks : list of CheckResult
    alarms : DataFrame
        From `alarms.raw_alarms`.
    fits : dict of DataTree, optional
        Criterion to its fit, for the priors' flip points; without it these are left out.

    Returns
    -------
    Decision
        ``switch`` names the candidate of highest expected utility among those that may replace the incumbent. The
        probability that all gates hold is the bound 1 − Σ(1 − P): criteria are fitted apart, so nothing is known about
        their dependence; the product stands beside it. Without labels of a gate for both models the verdict is
        ``collect``, and a reason says that the numbers are guesses. Worry about flip points near the present.
    """
    deltas = {c.id: contrasts(draws[c.id], plan, c) for c in plan.criteria if c.id in draws}
    worth = {c.id: _comparable(deltas[c.id]["calibrated"], features[c.id], c) for c in plan.criteria
             if c.weight and c.id in deltas and not np.isnan(features[c.id]["label"].to_numpy()).all()}
    judged, flips = {}, []
    for model in plan.candidates:
        drawn = {c.id: gate_draws(deltas[c.id], model, c, misfits=_misfits(model, c.id, checks))
                 for c in plan.gates if c.id in deltas}
        labelled = {c.id: c.id in drawn and _labelled(features[c.id], model) for c in plan.gates}
        gates = {c.id: judge_gate(drawn.get(c.id), c, plan=plan, labelled=labelled[c.id]) for c in plan.gates}
        asked = requirements[requirements["model"] == model].set_index("requirement")
        standing = Standing(failed=bool((asked["status"] == "fail").any()), blocked=bool(_blocked(checks)),
                            unsettled=bool((asked["status"] == "unknown").any()))
        verdict = _verdict(gates, standing, plan)
        reasons, needed = _reasons(plan, model, gates, asked, checks, verdict), None
        # Labels settle neither an open requirement nor a check that blocks for another reason.
        if verdict == "collect" and not standing.unsettled and not standing.blocked and all(labelled.values()):
            evidence = [_evidence(drawn[c.id], features[c.id], model) for c in plan.gates]
            needed = labels_needed(evidence, assurance=plan.decision.assurance,
                                   slice_assurance=plan.decision.slice_assurance, seed=plan.sampling.seed)
            reasons.append(_more_labels(plan, needed, evidence))
        shares = next(iter(features.values()))["share"].to_series()
        flips.append(flip_points(plan, {name: one for name, one in drawn.items() if labelled[name]}, model,
                                 shares=shares, standing=standing, fits=fits))
        judged[model] = CandidateDecision(
            verdict=verdict,
            probability=max(0.0, 1 - sum(1 - g.probability for g in gates.values())),
            probability_independent=float(np.prod([g.probability for g in gates.values()])),
            gates=gates, requirements=asked["status"].to_dict(), reasons=reasons, labels_needed=needed,
            expected_utility=float(_utility(plan, worth, model).mean()), probability_best=0.0)
    ready = [model for model, one in judged.items() if one.verdict == "switch"]
    among = ready or list(judged)
    values = np.stack([_utility(plan, worth, model) for model in among])
    best = values == values.max(axis=0)
    # Candidates that are level in a draw share it: of two that never differ each is the best with probability ½.
    best_share = dict(zip(among, (best / best.sum(axis=0)).mean(axis=1), strict=True))
    for model, one in judged.items():
        judged[model] = replace(one, probability_best=float(best_share.get(model, 0.0)))
        judged[model] = replace(judged[model], sentence=_candidate_sentence(plan, model, judged[model]))
    chosen = max(ready, key=lambda model: judged[model].expected_utility) if ready else None
    verdict = "switch" if chosen else "collect" if any(o.verdict == "collect" for o in judged.values()) else "keep"
    told = alarms.loc[alarms["alarm"], "text"].tolist() if len(alarms) else []
    expected = {name: {model: float(one.sel(model=model).mean()) for model in ready} for name, one in worth.items()}
    table = pd.concat([*flips, weight_flips(plan, expected, ready)], ignore_index=True).astype(object)
    rows = table.where(table.notna(), None).to_dict("records")
    return Decision(verdict, chosen, judged[chosen].probability if chosen else None,
                    _sentence(plan, verdict, chosen, judged), judged, told, rows)


def _misfits(model: str, criterion: str, checks: list[CheckResult]) -> bool:
    return any(c.name == "calibrated and corrected agree" and c.criterion == criterion and c.passed is False
               and model in c.models for c in checks)


def _labelled(features: xr.Dataset, model: str) -> bool:
    """Whether people judged outputs of candidate and incumbent."""
    both = features["label"].sel(model=[str(features["model"].to_numpy()[0]), model]).to_numpy()
    return bool((~np.isnan(both)).any(axis=0).all())


def _verdict(gates: dict[str, GateResult], standing: Standing, plan: Plan) -> str:
    told = {name: (gate.probability, gate.probability_worse) if gate.labelled else (np.nan, np.nan)
            for name, gate in gates.items()}
    slices = [held for gate in gates.values() if gate.labelled for held in gate.slices.values()]
    hold, worse = np.array(list(told.values())).T
    return str(verdict_of(hold, worse, np.array(slices), assurance=plan.decision.assurance,
                          slice_assurance=plan.decision.slice_assurance, standing=standing))


def _reasons(
    plan: Plan, model: str, gates: dict[str, GateResult], asked: pd.DataFrame, checks: list[CheckResult], verdict: str
) -> list[str]:
    """Say why the verdict is what it is."""
    assurance, slice_assurance = plan.decision.assurance, plan.decision.slice_assurance
    worse, short, guessed = [], [], []
    for name, gate in gates.items():
        unit = unit_of(plan.criterion(name))
        if not gate.labelled:
            guessed.append(f"{name}: people have not judged outputs of both {model} and {plan.incumbent}, so its "
                           "numbers are guesses from metrics and priors.")
            continue
        if gate.probability_worse >= assurance:
            worse.append(f"{name}: it loses more than {unit.size(gate.margin)} with probability "
                         f"{chance(gate.probability_worse)}.")
        for where, held in gate.slices.items():
            if 1 - held >= assurance:
                worse.append(f"{name} in {where}: it loses more than {unit.size(gate.slice_margin)} with probability "
                             f"{chance(1 - held)}.")
            elif held < slice_assurance:
                short.append(f"{name} in {where}: the probability of losing no more than "
                             f"{unit.size(gate.slice_margin)} is {chance(held)}, asked is "
                             f"{asked_for(slice_assurance)}.")
    failed = [row["text"] for _, row in asked.iterrows() if row["status"] == "fail"]
    blocked = _blocked(checks)
    if verdict == "keep":
        return failed + ([] if blocked else worse) + guessed
    bound = 1 - sum(1 - gate.probability for gate in gates.values())
    if verdict == "switch":
        return [f"Every requirement and every slice holds; all gates hold with probability of {at_least(bound)}."]
    if blocked:
        return blocked + guessed
    if bound < assurance and not guessed:
        weakest = min(gates, key=lambda name: gates[name].probability)
        short.insert(0, f"The probability that every gate holds is {at_least(max(0.0, bound))}, asked is "
                        f"{asked_for(assurance)}; the weakest gate is {weakest} "
                        f"({chance(gates[weakest].probability)}).")
    return guessed + short + [row["text"] for _, row in asked.iterrows() if row["status"] == "unknown"]


def _comparable(deltas: xr.DataArray, features: xr.Dataset, spec: CriterionSpec) -> xr.DataArray:
    """Contrasts in total as shares of what the scale can show, so that weights mean the same on every scale.

    Rates, net win rates among them, stay as they are: 1 is every output. Mean scores are divided by the range of the
    scale. Continuous criteria have no range: four standard deviations of the labels, which hold nearly all of them,
    stand in for it.
    """
    total = deltas.sel(slice=TOTAL)
    if spec.in_points:
        return total
    if spec.levels:
        return total / (spec.levels[-1] - spec.levels[0])
    return total / (4 * float(np.nanstd(features["label"].to_numpy())) or 1.0)


def _utility(plan: Plan, worth: dict[str, xr.DataArray], model: str) -> np.ndarray:
    """Weighted sum of comparable contrasts, draw by draw."""
    return sum((plan.criterion(name).weight * one.sel(model=model).to_numpy() for name, one in worth.items()),
               np.zeros(1))


def _evidence(drawn: GateDraws, features: xr.Dataset, model: str) -> Evidence:
    """Gather what the simulation of further labels needs to know of a gate."""
    incumbent = str(features["model"].to_numpy()[0])
    label = features["label"].sel(model=[incumbent, model]).to_numpy()
    judged, slice_index = ~np.isnan(label), features["slice_index"].to_numpy()
    by_slice = [np.bincount(slice_index[one], minlength=features.sizes["slice"]) for one in judged.T]
    margin = np.full(1 + len(drawn.names), np.nan if drawn.spec.slice_margin is None else drawn.spec.slice_margin)
    margin[0] = drawn.spec.margin
    return Evidence(
        draws=np.column_stack([drawn.totals[0], drawn.slices]), margin=margin,
        # Of labels on different items for the two models, the fewer count for more: their harmonic mean.
        labels=2 * by_slice[0] * by_slice[1] / np.maximum(by_slice[0] + by_slice[1], 1),
        items=np.bincount(slice_index, minlength=features.sizes["slice"]).astype(float),
        share=features["share"].to_numpy(),
        # In clusters items are alike, and one label tells less than its spread says.
        spread=float("nan") if features.attrs["clustered"] else _spread(label, drawn.spec))


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


def _candidate_sentence(plan: Plan, model: str, one: CandidateDecision) -> str:
    lead = {"switch": f"{model} may replace {plan.incumbent}",
            "keep": f"{model} must not replace {plan.incumbent}",
            "collect": f"{model}: the evidence decides neither way"}[one.verdict]
    return f"{lead}. {' '.join(one.reasons)}"


def _more_labels(plan: Plan, needed: int | None, evidence: list[Evidence]) -> str:
    if needed is None:
        return f"Even {SIZES[-1]} more labelled items, drawn at random, are not likely to settle it."
    over = plan.labels.budget is not None and needed > plan.labels.budget
    budget = f", more than the budget of {plan.labels.budget}" if over else ""
    free = min(int((gate.items - gate.labels).sum()) for gate in evidence)
    new = "" if needed <= free else (f"; {free} of the items here lack labels, so the rest must be new" if free
                                     else "; every item here has labels, so they must be new")
    return f"About {needed} more labelled items are likely to settle it{budget}{new}."


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
        return (f"Keep {plan.incumbent} for now and collect more labels: {listed(open_)} can neither be taken nor "
                "ruled out.")
    return f"Keep {plan.incumbent}: no candidate may replace it."
