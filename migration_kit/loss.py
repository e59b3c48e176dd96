"""What a wrong decision is expected to cost, and which choice is left when the incumbent retires first."""

from datetime import timedelta

import numpy as np
import pandas as pd

from migration_kit.gates import GateResult, bound
from migration_kit.plan import CriterionSpec, Plan
from migration_kit.wording import amount, chance, counted, listed, sentence

LOSS_COLUMNS = ("option", "prob_worse", "expected_loss", "fails")
RAREST = 0.0005
PEOPLE_COLUMNS = ("criterion", "candidate", "mean", "lower", "upper")


def expected_loss(
    plan: Plan, gates: dict[str, dict[str, GateResult]], *, failing: dict[str, list[str]]
) -> pd.DataFrame:
    """What staying and what each switch is expected to cost by the plan's costs.

    A switch is wrong where the candidate loses more than the margin on any gate, a stay where some candidate that fails
    nothing does not: no requirement, and no slice margin is shown to be missed. P(worse on any gate) is the bound
    Σ(1 − P), as in the decision, so that nothing is assumed about dependence between gates; P(some candidate is not
    worse) is at least that of the surest one.

    Parameters
    ----------
    plan : Plan
    gates : dict
        Candidate to its gates.
    failing : dict
        Candidate to the requirements that it fails.

    Returns
    -------
    DataFrame
        `LOSS_COLUMNS`, the incumbent (staying) first: ``option``, ``prob_worse`` (NaN for staying, and where a gate has
        no labels), ``expected_loss`` in the unit of the costs (NaN without costs), ``fails``: requirements and slices
        that rule a candidate out whatever its total, one text. The option of smallest ``expected_loss`` among those
        that fail nothing is the cheapest.
    """
    worse = {model: 1 - bound(of_model) for model, of_model in gates.items()}
    fails = {model: [*failing.get(model, []), *_bad_slices(plan, of_model)] for model, of_model in gates.items()}
    allowed = [1 - p for model, p in worse.items() if not fails[model] and not np.isnan(p)]
    costs = plan.costs
    stay = costs.wrong_stay * max(allowed, default=0.0) if costs else np.nan
    rows = [{"option": plan.incumbent, "prob_worse": np.nan, "expected_loss": stay, "fails": ""}]
    rows += [{"option": model, "prob_worse": p, "expected_loss": costs.wrong_switch * p if costs else np.nan,
              "fails": ", ".join(fails[model])} for model, p in worse.items()]
    return pd.DataFrame(rows, columns=list(LOSS_COLUMNS))


def cheapest(losses: pd.DataFrame) -> str | None:
    """Return the option of smallest expected loss among those that fail nothing; None without costs."""
    known = losses[losses["expected_loss"].notna() & (losses["fails"] == "")]
    # Staying alone is no comparison.
    return None if len(known) < 2 else str(known.loc[known["expected_loss"].idxmin(), "option"])


def break_even(plan: Plan) -> float | None:
    """Return the probability of holding all gates from which on a switch costs less than staying; None without costs.

    Where p is the probability that the only candidate is not worse, switching costs wrong_switch · (1 − p) and staying
    wrong_stay · p.
    """
    costs = plan.costs
    return costs.wrong_switch / (costs.wrong_switch + costs.wrong_stay) if costs else None


def no_time_to_wait(plan: Plan, *, ramp_days: float | None = None) -> str | None:
    """Say why the incumbent cannot stay until more is known; None where it can, or no date says.

    Nothing is assumed of how long labelling takes: the incumbent cannot stay where it retires by the day the decision
    is due, or within the days that the ramp needs after it.
    """
    retires, due = plan.models.incumbent.retires, plan.decision.due
    if retires is None or due is None:
        return None
    if retires <= due:
        return f"{plan.incumbent} retires on {retires}, and the decision is due on {due}"
    if ramp_days is not None and retires <= due + timedelta(days=float(np.ceil(ramp_days))):
        return (f"{plan.incumbent} retires on {retires}, {counted((retires - due).days, 'day')} after the decision is "
                f"due, and the ramp needs {counted(float(np.ceil(ramp_days)), 'day')}")
    return None


def no_option_to_stay(decision: dict, plan: Plan) -> bool:
    """Tell whether the incumbent cannot stay, by the dates of the plan or, where a choice is forced, the ramp too."""
    return bool(decision.get("forced") or no_time_to_wait(plan))


def forced_choice(
    plan: Plan, losses: pd.DataFrame, gates: dict[str, dict[str, GateResult]], *, utility: dict[str, float],
    labels_needed: dict[str, int | None], live: dict[str, list[str]] | None = None,
    ramp_days: float | None = None,
) -> dict | None:
    """Rank the candidates where none may replace the incumbent yet and it cannot stay.

    Parameters
    ----------
    plan : Plan
    losses : DataFrame
        From `expected_loss`.
    gates : dict
        Candidate to its gates.
    utility : dict
        Candidate to expected utility, which orders candidates of equal loss.
    labels_needed : dict
        Candidate to labels that would settle it.
    live : dict, optional
        Candidate to the gates on which these must be of live requests.
    ramp_days : float, optional
        Days from the first step of the ramp to the last.

    Returns
    -------
    dict or None
        ``why``, ``ranking`` (the candidates' rows of `losses`, the least bad first: those that fail the fewest, then
        smallest expected loss, unknown ones last), ``candidate`` (None where nothing is known of any), ``sentence``,
        ``softens``; None where there is time.
    """
    why = no_time_to_wait(plan, ramp_days=ramp_days)
    if why is None:
        return None
    ranked = losses[losses["option"] != plan.incumbent]
    ranked = ranked.assign(failed=ranked["fails"].map(lambda text: len(text.split(", ")) if text else 0),
                           utility=-ranked["option"].map(utility))
    # Losses grow with the probability of being worse, which also ranks where the plan names no costs.
    ranked = ranked.sort_values(["failed", "prob_worse", "utility"], na_position="last", kind="stable")
    rows = ranked[list(LOSS_COLUMNS)].to_dict("records")
    first = rows[0]
    if ranked["prob_worse"].isna().all():
        told = (f"{why}, so staying is no option; people have not judged enough to rank the candidates. Judge outputs "
                "of all gates first.")
        return {"why": why, "ranking": rows, "candidate": None, "sentence": sentence(told), "softens": []}
    most = "" if len(plan.gates) == 1 else "at most "
    what = f"on {plan.gates[0].id}" if len(plan.gates) == 1 else "on some gate"
    fails = f", although it fails {first['fails']}" if first["fails"] else ""
    told = (f"{why}, so staying is no option. If a choice must be made now, {first['option']} is the least bad{fails}: "
            f"the probability that it loses more than the margin {what} is {most}{chance(first['prob_worse'])}"
            + _cost(plan, first) + ".")
    return {"why": why, "ranking": rows, "candidate": first["option"], "sentence": sentence(told),
            "softens": _softens(plan, gates[first["option"]], labels_needed.get(first["option"]),
                                (live or {}).get(first["option"], []))}


def people(plan: Plan, decision: dict) -> pd.DataFrame:
    """Margins and contrasts of gates as outputs a day, by the plan's requests a day.

    Returns
    -------
    DataFrame
        `PEOPLE_COLUMNS`; ``candidate`` "" is the margin. ``mean``, ``lower``, ``upper``: outputs a day that are on the
        worse side with the candidate and would not be with the incumbent; negative is fewer. Only gates whose quality
        is a rate of outputs; empty where the plan does not say how many requests there are.
    """
    volume, rows = plan.traffic.requests_per_day if plan.traffic else None, []
    for gate in plan.gates if volume else ():
        if not counts_outputs(gate):
            continue
        rows.append({"criterion": gate.id, "candidate": "", "mean": gate.margin * volume})
        for model, one in decision["candidates"].items():
            found = one["gates"][gate.id]
            if found["mean"] is not None and found["labelled"]:
                rows.append({"criterion": gate.id, "candidate": model, "mean": -found["mean"] * volume,
                             "lower": -found["upper"] * volume, "upper": -found["lower"] * volume})
    return pd.DataFrame(rows, columns=list(PEOPLE_COLUMNS)).astype({name: float for name in PEOPLE_COLUMNS[2:]})


def counts_outputs(criterion: CriterionSpec) -> bool:
    """Tell whether quality is a share of outputs, so that a difference is a number of outputs."""
    return criterion.in_points and criterion.kind != "pairwise"


def loss_text(row: dict, plan: Plan) -> str:
    """Return an expected loss of `expected_loss` as a reader meets it, never as nothing where draws are few."""
    least = RAREST * plan.costs.wrong_switch if plan.costs else 0.0
    rare = row["prob_worse"] is not None and row["prob_worse"] < RAREST
    return f"<{amount(least)}" if plan.costs and rare else amount(row["expected_loss"])


def _bad_slices(plan: Plan, gates: dict[str, GateResult]) -> list[str]:
    return [f"{name} in {where}" for name, gate in gates.items() if gate.labelled
            for where, held in gate.slices.items() if 1 - held >= plan.decision.assurance]


def _cost(plan: Plan, row: dict) -> str:
    return f", an expected loss of {loss_text(row, plan)} {plan.costs.unit}" if plan.costs else ""


def _softens(plan: Plan, gates: dict[str, GateResult], needed: int | None, live: list[str]) -> list[str]:
    """What would make the least bad choice less bad."""
    assurance, told = plan.decision.assurance, []
    weak = [f"{name} ({chance(gate.probability)})" for name, gate in gates.items() if gate.probability < assurance]
    weak += [f"{name} in {where} ({chance(held)})" for name, gate in gates.items()
             for where, held in gate.slices.items() if held < plan.decision.slice_assurance]
    if weak:
        told.append(f"Start the ramp with its smallest share and watch {listed(weak)}: there it is least sure that the "
                    "loss stays within the margin.")
    if needed:
        where = f", live requests on {listed(live)}" if live else ""
        told.append(f"About {needed} more labelled items{where}, judged before {plan.models.incumbent.retires}, would "
                    "likely settle it.")
    told.append(f"A later retirement of {plan.incumbent}, if its provider grants one, would bring staying back.")
    return told
