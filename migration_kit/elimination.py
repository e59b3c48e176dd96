"""Who stopped at which step, and why: the road from all candidates to those that may replace the incumbent."""

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from migration_kit.plan import Plan
from migration_kit.plan_spec import RequirementSpec
from migration_kit.wording import asked, at_least, chance, listed, unit_of, unknown

ELIMINATION_COLUMNS = ("step", "candidate", "outcome", "reason", "remaining")
OUT, OPEN = "ruled out", "not shown"
FACTS, CHECKS, TOGETHER, SLICES, LIVE = ("facts", "checks that block", "all gates together", "slice margins",
                                         "live requests")


class Fall(NamedTuple):
    """A step that a candidate does not pass: ruled out, or not shown to pass."""

    step: str
    outcome: str
    reason: str


def elimination(plan: Plan, decision: dict, requirements: pd.DataFrame) -> pd.DataFrame:
    """Walk every candidate through requirements, gates, slices and live requests, in this order.

    Parameters
    ----------
    plan : Plan
    decision : dict
        As `decision.json` holds it.
    requirements : DataFrame
        From `requirements.check_requirements`.

    Returns
    -------
    DataFrame
        `ELIMINATION_COLUMNS`; one row a step and candidate that stopped there, ``candidate`` "" where nobody did.
        A candidate whose verdict is ``keep`` falls at the first step that rules it out, one whose verdict is
        ``collect`` at the first that it is not shown to pass. ``remaining``: who is left after the step, listed; after
        the last step that are the candidates that may replace the incumbent.
    """
    falls = {model: _fall(plan, model, one, requirements) for model, one in decision["candidates"].items()}
    left, rows = list(falls), []
    for step in _steps(plan, decision):
        here = [model for model in left if falls[model] and falls[model].step == step]
        left = [model for model in left if model not in here]
        rows += [{"step": step, "candidate": model, "outcome": falls[model].outcome, "reason": falls[model].reason,
                  "remaining": listed(left)} for model in here]
        if not here:
            rows.append({"step": step, "candidate": "", "outcome": "", "reason": "", "remaining": listed(left)})
    return pd.DataFrame(rows, columns=list(ELIMINATION_COLUMNS))


def _steps(plan: Plan, decision: dict) -> list[str]:
    live = any(one.get("live") or one.get("gaps") for one in decision["candidates"].values())
    return [
        *([FACTS] if any(one.fact for one in plan.requirements) else []),
        *(_requirement_step(one) for one in plan.requirements if not one.fact),
        *([CHECKS] if any(one["blocking"] for one in decision["candidates"].values()) else []),
        *(_gate_step(gate.id) for gate in plan.gates),
        *([TOGETHER] if len(plan.gates) > 1 else []),
        *([SLICES] if any(gate.slice_margin is not None for gate in plan.gates) else []),
        *([LIVE] if live else []),
    ]


def _fall(plan: Plan, model: str, one: dict, requirements: pd.DataFrame) -> Fall | None:
    wanted = {"keep": OUT, "collect": OPEN}.get(one["verdict"])
    return next((fall for fall in _falls(plan, model, one, requirements) if fall.outcome == wanted), None)


def _falls(plan: Plan, model: str, one: dict, requirements: pd.DataFrame) -> Iterator[Fall]:
    """Every step that the candidate does not pass, in order."""
    own = requirements[requirements["model"] == model].set_index("requirement")
    facts = [spec for spec in plan.requirements if spec.fact]
    for spec in [*facts, *(spec for spec in plan.requirements if not spec.fact)]:
        status = own["status"].get(spec.id)
        if status in ("fail", "unknown"):
            yield Fall(_requirement_step(spec), OUT if status == "fail" else OPEN, own.loc[spec.id, "text"])
    if one["blocking"]:
        yield Fall(CHECKS, OPEN, " ".join(one["blocking"]))
    for name, gate in one["gates"].items():
        yield from _gate_falls(plan, name, gate, (one.get("gaps") or {}).get(name, ""))
    if not unknown(one["probability"]) and one["probability"] < plan.decision.assurance:
        yield Fall(TOGETHER, OPEN, f"All gates hold with a probability of {at_least(one['probability'])}, asked is "
                                   f"{asked(plan.decision.assurance)}.")
    yield from _slice_falls(plan, one)
    if one.get("gaps"):
        yield Fall(LIVE, OPEN, " ".join(one["gaps"].values()))


def _gate_falls(plan: Plan, name: str, gate: dict, gap: str) -> Iterator[Fall]:
    step, unit = _gate_step(name), unit_of(plan.criterion(name))
    if not gate["labelled"]:
        yield Fall(step, OPEN, "People have not judged outputs of both models.")
        return
    told = (f"{unit.change(gate['mean'], unit=True)} ({unit.span(gate['lower'], gate['upper'])}); the probability that "
            f"it loses more than {unit.size(gate['margin'])} is ")
    if gate["probability_worse"] >= plan.decision.assurance:
        yield Fall(step, OUT, f"{told}{chance(gate['probability_worse'])}. {gap}".strip())
    elif gate["probability"] < plan.decision.assurance:
        # Where methods disagree, the weaker of them counts.
        yield Fall(step, OPEN, f"{told}{chance(1 - gate['probability'])}, allowed is "
                               f"{asked(1 - plan.decision.assurance)}. {gap}".strip())


def _slice_falls(plan: Plan, one: dict) -> Iterator[Fall]:
    """Slices shown to lose too much, then slices not shown to hold; each kind in one row."""
    worse, short = [], []
    for name, gate in one["gates"].items():
        if not gate["labelled"]:
            continue
        unit = unit_of(plan.criterion(name))
        for where, held in gate["slices"].items():
            told = (f"{name} in {where}: the probability that it loses more than {unit.size(gate['slice_margin'])} is "
                    f"{chance(1 - held)}")
            if 1 - held >= plan.decision.assurance:
                worse.append(told)
            elif held < plan.decision.slice_assurance:
                short.append(told)
    if worse:
        yield Fall(SLICES, OUT, f"{'; '.join(worse)}.")
    if short:
        yield Fall(SLICES, OPEN, f"{'; '.join(short)}; allowed is {asked(1 - plan.decision.slice_assurance)}.")


def _requirement_step(spec: RequirementSpec) -> str:
    """Facts are looked up in one go; what is measured is a step of its own."""
    return FACTS if spec.fact else f"requirement {spec.id}"


def _gate_step(name: str) -> str:
    return f"gate {name}"
