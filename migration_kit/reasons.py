"""Why a verdict is what it is, in sentences: what holds, what does not, what nobody judged."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from migration_kit.checks import CheckResult
from migration_kit.gates import GateResult, bound
from migration_kit.plan import Plan
from migration_kit.wording import asked as asked_for
from migration_kit.wording import at_least, chance, listed, sentence, unit_of


def reasons(
    plan: Plan, model: str, gates: dict[str, GateResult], asked: pd.DataFrame, checks: list[CheckResult], verdict: str,
    *, gaps: Iterable[str] = (),
) -> list[str]:
    """Say why the verdict on a candidate is what it is.

    Parameters
    ----------
    plan : Plan
    model : str
        The candidate.
    gates : dict
        Criterion to its gate.
    asked : DataFrame
        The candidate's rows of `requirements.check_requirements`, by requirement.
    checks : list of CheckResult
    verdict : str
    gaps : iterable of str
        A sentence for each gate on which live requests contradict the test set.

    Returns
    -------
    list of str
        Sentences; only what the plan asks for is said to hold.
    """
    assurance, slice_assurance = plan.decision.assurance, plan.decision.slice_assurance
    worse, short, guessed, blocking = [], [], [], blocked(checks, model)
    until = "; until they do, the verdict is collect" if verdict == "collect" else ""
    for name, gate in gates.items():
        unit = unit_of(plan.criterion(name))
        if np.isnan(gate.probability):
            if not any(text.startswith(f"{name}: ") for text in blocking):
                guessed.append(f"{name}: people have not judged any output yet, so nothing is known of it{until}.")
            continue
        if not gate.labelled:
            guessed.append(f"{name}: people have not judged outputs of both {model} and {plan.incumbent}, so its "
                           f"numbers are guesses from metrics and priors{until}.")
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
    if verdict == "keep":
        return failed + ([] if blocking else [*worse, *gaps]) + guessed
    together = bound(gates)
    if verdict == "switch":
        return [_all_that_holds(plan, gates)]
    if blocking:
        return [*blocking, *guessed, *gaps]
    held_back = [f"{gap} The verdict is collect until this is understood." for gap in gaps]
    if together < assurance:
        short.insert(0, _too_improbable(plan, gates))
    return guessed + held_back + short + [row["text"] for _, row in asked.iterrows() if row["status"] == "unknown"]


def blocked(checks: list[CheckResult], model: str) -> list[str]:
    """The texts of failed checks that leave no verdict but ``collect`` on a candidate, each with its criterion."""
    return [f"{c.criterion}: {c.text}" if c.criterion else c.text for c in checks
            if c.blocks and c.passed is False and (not c.models or model in c.models)]


def _too_improbable(plan: Plan, gates: dict[str, GateResult]) -> str:
    """Say that the gates do not hold with the plan's assurance."""
    weakest = min(gates, key=lambda name: gates[name].probability)
    held, wanted = chance(gates[weakest].probability), asked_for(plan.decision.assurance)
    if len(gates) == 1:
        margin = unit_of(plan.criterion(weakest)).size(gates[weakest].margin)
        return f"The probability of losing no more than {margin} on {weakest} is {held}, asked is {wanted}."
    together = at_least(bound(gates))
    return (f"The probability that every gate holds is {together}, asked is {wanted}; the weakest gate is {weakest} "
            f"({held}).")


def _all_that_holds(plan: Plan, gates: dict[str, GateResult]) -> str:
    """Say what the plan asks of a candidate, all of which holds."""
    told = ["every requirement holds"] if plan.requirements else []
    if sliced := [name for name, one in gates.items() if one.slices]:
        least, where = min((p, f"{name} in {place}") for name in sliced for place, p in gates[name].slices.items())
        told.append(f"on {listed(sliced)} every slice loses no more than its slice margin with a probability of "
                    f"{chance(least)} or more (least: {where}; asked is {asked_for(plan.decision.slice_assurance)})")
    together = bound(gates)
    told.append(f"all {len(gates)} gates hold with a probability of {at_least(together)}" if len(gates) > 1 else
                f"the gate {next(iter(gates))} holds with a probability of {chance(together)}")
    return f"{sentence('; '.join(told))}."


def candidate_sentence(plan: Plan, model: str, verdict: str, why: list[str]) -> str:
    """Say the verdict on a candidate and why."""
    lead = {"switch": f"{model} may replace {plan.incumbent}",
            "keep": f"{model} must not replace {plan.incumbent}",
            "collect": f"{model}: the evidence decides neither way"}[verdict]
    return f"{lead}. {' '.join(why)}"




def verdict_sentence(
    plan: Plan, verdicts: dict[str, str], chosen: str | None, *, probability: float = float("nan"),
    best: float = float("nan"), contradicted: Sequence[str] = (), forced: str = "",
) -> str:
    """Say the verdict of the migration.

    Parameters
    ----------
    plan : Plan
    verdicts : dict
        Candidate to its verdict.
    chosen : str or None
        The candidate to switch to.
    probability, best : float
        That its gates hold, and that it is the best of those that may replace the incumbent.
    contradicted : sequence of str
        Candidates that do not show on live requests what the test set promised.
    forced : str
        What is left where the incumbent cannot stay until more is known; "" where it can.
    """
    ready = [model for model, one in verdicts.items() if one == "switch"]
    if chosen:
        told = f" It is the best of {len(ready)} with probability {chance(best)}." if len(ready) > 1 else ""
        held = (f"{at_least(probability)} it loses no more than the margin on any gate" if len(plan.gates) > 1 else
                f"{chance(probability)} it loses no more than the margin on {plan.gates[0].id}")
        return (f"Switch from {plan.incumbent} to {chosen}: {'every requirement holds, and ' * bool(plan.requirements)}"
                f"with a probability of {held}.{told}")
    waiting = [model for model, one in verdicts.items() if one == "collect"]
    unlike = [model for model in waiting if model in contradicted]
    open_ = f"{listed(waiting)} can neither be taken nor ruled out" + (
        f"; {listed(unlike)} {'does' if len(unlike) == 1 else 'do'} not show on live requests what the test set "
        "promised" if unlike else "")
    if forced:
        lead = f"Collect more evidence: {open_}." if waiting else f"No candidate is fit to replace {plan.incumbent}."
        return f"{lead} {forced}"
    if waiting:
        more = "find out why live requests differ" if len(unlike) == len(waiting) else "collect more labels"
        return f"Keep {plan.incumbent} for now and {more}: {open_}."
    return f"Keep {plan.incumbent}: no candidate may replace it."
