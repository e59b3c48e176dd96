"""From posterior draws, requirements and checks to a verdict for every candidate."""

from dataclasses import asdict, dataclass, field, replace

import numpy as np
import pandas as pd
import xarray as xr

from migration_kit.checks import MENDED_BY_LABELS, CheckResult
from migration_kit.estimands import TOTAL
from migration_kit.evidence import gate_evidence, more_labels
from migration_kit.flip_points import flip_points, weight_flips
from migration_kit.gates import GateResult, bound, contrasts, gate_draws, judge_gate
from migration_kit.label_blocks import lift_at_random
from migration_kit.labels_needed import SIZES, labels_needed
from migration_kit.loss import break_even, cheapest, expected_loss, forced_choice
from migration_kit.plan import Plan
from migration_kit.reasons import blocked, candidate_sentence, reasons, verdict_sentence
from migration_kit.stakeholders import BY_PLAN, utilities
from migration_kit.transport import live_contrasts
from migration_kit.utility import comparable
from migration_kit.verdicts import case_of, choice, judged_both, misfits, ready_among, verdict_on


@dataclass(frozen=True)
class CandidateDecision:
    """The verdict on one candidate, and what it rests on.

    ``live`` are the gates on which test set and live requests joined decide; ``gaps`` those on which live requests
    contradict the test set, each with the numbers in a sentence; ``blocking`` the failed checks that leave no verdict
    but ``collect``.
    """

    verdict: str
    probability: float
    probability_independent: float
    gates: dict[str, GateResult]
    requirements: dict[str, str]
    reasons: list[str]
    labels_needed: int | None
    expected_utility: float
    probability_best: float
    live: list[str] = field(default_factory=list)
    gaps: dict[str, str] = field(default_factory=dict)
    blocking: list[str] = field(default_factory=list)
    sentence: str = ""


@dataclass(frozen=True)
class Decision:
    """The verdict of the migration; ``to_dict`` is what ``decision.json`` holds.

    Attributes
    ----------
    flip_points : list of dict
        Rows of `flip_points.flip_points`, of every candidate and then of the weights.
    losses : list of dict
        Rows of `loss.expected_loss`.
    cheapest : str or None
        The option of smallest expected loss, the incumbent for staying; None without costs.
    break_even : float or None
        The probability from which on a switch costs less than staying; None without costs.
    forced : dict or None
        From `loss.forced_choice`, where none may replace the incumbent and it cannot stay.
    utilities : list of dict
        From `stakeholders.utilities`.
    """

    verdict: str
    candidate: str | None
    probability: float | None
    sentence: str
    candidates: dict[str, CandidateDecision]
    alarms: list[str]
    flip_points: list[dict] = field(default_factory=list)
    losses: list[dict] = field(default_factory=list)
    cheapest: str | None = None
    break_even: float | None = None
    forced: dict | None = None
    utilities: list[dict] = field(default_factory=list)

    def to_dict(self) -> dict:
        """Return plain dictionaries and lists."""
        return asdict(self)


def decide(
    plan: Plan, draws: dict[str, xr.Dataset], *, features: dict[str, xr.Dataset], requirements: pd.DataFrame,
    checks: list[CheckResult], alarms: pd.DataFrame, fits: dict[str, xr.DataTree] | None = None,
    gaps: pd.DataFrame | None = None, ramp_days: float | None = None,
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
    gaps : DataFrame, optional
        From `transport.shadow_gaps`; where people judged live outputs, test set and live requests joined decide.
    ramp_days : float, optional
        Days that the ramp needs: an incumbent that retires within them after the decision is due cannot stay.

    Returns
    -------
    Decision
        ``switch`` names the candidate of highest expected utility among those that may replace the incumbent. The
        probability that all gates hold is the bound 1 − Σ(1 − P): criteria are fitted apart, so nothing is known about
        their dependence; the product stands beside it. Without labels of a gate for both models the verdict is
        ``collect``, the probability NaN, and a reason says why. Where live requests contradict the test set on a gate,
        the verdict on that candidate is not ``switch``. Worry about flip points near the present.
    """
    offline = {c.id: contrasts(draws[c.id], plan, c) for c in plan.criteria if c.id in draws}
    deltas = offline if gaps is None else {
        name: live_contrasts(one, gaps[gaps["criterion"] == name]) for name, one in offline.items()}
    worth = {c.id: comparable(deltas[c.id]["calibrated"], features[c.id], c) for c in plan.criteria
             if c.id in deltas and not np.isnan(features[c.id]["label"].to_numpy()).all()}
    judged, flips, failing = {}, [], {}
    having_say = {c.id: features[c.id] for c in plan.criteria if c.role != "monitor" and c.id in features}
    for model in plan.candidates:
        blocking = blocked(checks, model)
        drawn, alone = ({c.id: gate_draws(one[c.id], model, c, misfits=misfits(model, c.id, checks))
                         for c in plan.gates if c.id in one} for one in (deltas, offline))
        labelled = {c.id: c.id in drawn and judged_both(features[c.id], model) for c in plan.gates}
        gates = {c.id: judge_gate(drawn.get(c.id), c, plan=plan, labelled=labelled[c.id]) for c in plan.gates}
        standing, asked, failing[model], contradicted, live = case_of(
            plan, model, requirements=requirements, checks=checks, blocking=blocking, gaps=gaps)
        verdict = verdict_on(gates, standing, plan)
        why, needed = reasons(plan, model, gates, asked, checks, verdict, gaps=contradicted.values()), None
        # Labels settle neither an open requirement nor why live requests differ, and of checks only those of labels.
        beyond = blocked([c for c in checks if c.name not in MENDED_BY_LABELS], model)
        settles = not (standing.unsettled or standing.flagged or beyond)
        if verdict == "collect" and settles and all(labelled.values()):
            lifted = lift_at_random(having_say, model, SIZES, seed=plan.sampling.seed) if blocking else None
            evidence = {name: gate_evidence(one, features[name], model, offline=alone[name] if name in live else None)
                        for name, one in drawn.items()}
            needed = labels_needed(list(evidence.values()), assurance=plan.decision.assurance,
                                   slice_assurance=plan.decision.slice_assurance, seed=plan.sampling.seed,
                                   lifted=lifted)
            why.append(more_labels(plan, needed, evidence, live=live))
        shares = next(iter(features.values()))["share"].to_series()
        flips.append(flip_points(plan, {name: one for name, one in drawn.items() if labelled[name]}, model,
                                 shares=shares, standing=standing, fits=fits))
        judged[model] = CandidateDecision(
            verdict=verdict,
            probability=bound(gates),
            probability_independent=float(np.prod([g.probability if g.labelled else np.nan for g in gates.values()])),
            gates=gates, requirements=asked["status"].to_dict(), reasons=why, labels_needed=needed,
            expected_utility=0.0, probability_best=0.0, live=live, gaps=contradicted,
            blocking=blocking, sentence=candidate_sentence(plan, model, verdict, why))
    verdicts = {model: one.verdict for model, one in judged.items()}
    ready = ready_among(verdicts)
    weighed = utilities(plan, worth, ready or list(judged))
    for row in weighed:
        if row["by"] == BY_PLAN:
            model = row["candidate"]
            judged[model] = replace(judged[model], expected_utility=row["utility"], probability_best=row["best"])
    verdict, chosen = choice(verdicts, {model: one.expected_utility for model, one in judged.items()})
    of_gates = {model: one.gates for model, one in judged.items()}
    losses = expected_loss(plan, of_gates, failing=failing)
    forced = None if chosen else forced_choice(
        plan, losses, of_gates, utility={model: one.expected_utility for model, one in judged.items()},
        labels_needed={model: one.labels_needed for model, one in judged.items()},
        live={model: one.live for model, one in judged.items()}, ramp_days=ramp_days)
    best = judged[chosen] if chosen else None
    told = verdict_sentence(plan, verdicts, chosen,
                            contradicted=[model for model, one in judged.items() if one.gaps],
                            forced=forced["sentence"] if forced else "",
                            **({"probability": best.probability, "best": best.probability_best} if best else {}))
    expected = {name: {model: float(one.sel(model=model, slice=TOTAL).mean()) for model in ready}
                for name, one in worth.items() if plan.criterion(name).weight}
    return Decision(
        verdict, chosen, best.probability if best else None, told, judged,
        alarms=alarms.loc[alarms["alarm"], "text"].tolist() if len(alarms) else [],
        flip_points=_records(pd.concat([*flips, weight_flips(plan, expected, ready)], ignore_index=True)),
        losses=_records(losses), cheapest=cheapest(losses), break_even=break_even(plan),
        forced=forced, utilities=weighed)


def _records(table: pd.DataFrame) -> list[dict]:
    table = table.astype(object)
    return table.where(table.notna(), None).to_dict("records")
