"""The decision under other settings, from draws that are there already: no fit, and the same rule as `decision.decide`.

Contrasts by slice are stored, so another mix of traffic only weighs them anew. Requirements, and all checks but the one
that holds live requests against a margin, stand as the run found them.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import xarray as xr

from migration_kit.checks import CheckResult
from migration_kit.estimands import TOTAL
from migration_kit.evidence import gate_evidence
from migration_kit.gates import GateDraws, GateResult, bound, contrasts, gate_draws, judge_gate
from migration_kit.labels_needed import Evidence, Foreseen, foreseen
from migration_kit.loss import break_even, cheapest, expected_loss, forced_choice
from migration_kit.plan import Plan
from migration_kit.reasons import blocked, reasons, verdict_sentence
from migration_kit.stakeholders import BY_PLAN, utilities
from migration_kit.transport import HOLDS_LIVE, at_margins, live_contrasts, transport_check
from migration_kit.utility import comparable
from migration_kit.verdicts import Case, case_of, choice, judged_both, misfits, ready_among, verdict_on
from migration_kit.widgets.settings import Settings, plan_with, settings_of

FOREST_COLUMNS = ("model", "mean", "lower", "upper", "probability", "later_lower", "later_upper")


@dataclass(frozen=True)
class Stored:
    """What a run has left, arranged once so that other settings are answered at once; made by `stored`.

    Attributes
    ----------
    shares : Series
        Slice to the share of traffic that the draws were weighted by.
    drawn : dict of GateDraws
        (criterion, candidate) to the draws that decide; live requests joined where people judged any.
    parts : dict of list of ndarray (sample, slice)
        The same to what the totals are made of, one array a total.
    worth : dict of DataArray
        Criterion to comparable contrasts, as for `utility.plan_utility`.
    alone : dict of GateDraws
        The draws of the test set alone, where live requests are joined to them.
    labelled : dict
        (criterion, candidate) to whether both models have labels.
    """

    plan: Plan
    shares: pd.Series
    drawn: dict[tuple[str, str], GateDraws]
    parts: dict[tuple[str, str], list[np.ndarray]]
    worth: dict[str, xr.DataArray]
    features: dict[str, xr.Dataset]
    alone: dict[tuple[str, str], GateDraws]
    labelled: dict[tuple[str, str], bool]
    requirements: pd.DataFrame
    checks: list[CheckResult]
    gaps: pd.DataFrame | None
    ramp_days: float | None
    _kept: dict = field(default_factory=dict, repr=False, compare=False)

    @property
    def settings(self) -> Settings:
        """The plan's own settings."""
        return settings_of(self.plan, self.shares)


@dataclass(frozen=True)
class Outcome:
    """What is said of a candidate under some settings; the names are those of `decision.CandidateDecision`."""

    verdict: str
    probability: float
    gates: dict[str, GateResult]
    reasons: list[str]
    expected_utility: float
    probability_best: float
    expected_loss: float
    labels: Foreseen | None


@dataclass(frozen=True)
class Explored:
    """The decision under some settings; the names are those of `decision.Decision`.

    Attributes
    ----------
    drawn : dict
        (criterion, candidate) to the draws that decide, for `forest`.
    """

    plan: Plan
    settings: Settings
    verdict: str
    candidate: str | None
    sentence: str
    candidates: dict[str, Outcome]
    losses: pd.DataFrame
    cheapest: str | None
    break_even: float | None
    utilities: list[dict]
    drawn: dict[tuple[str, str], GateDraws]


def stored(
    plan: Plan, draws: dict[str, xr.Dataset], *, features: dict[str, xr.Dataset], requirements: pd.DataFrame,
    checks: list[CheckResult], gaps: pd.DataFrame | None = None, ramp_days: float | None = None,
    shares: pd.Series | None = None,
) -> Stored:
    """Arrange what a run has left; the parameters are those of `decision.decide`.

    Parameters
    ----------
    shares : Series, optional
        Slice to the share that the draws were weighted by, where that is not the plan's traffic.
    """
    offline = {c.id: contrasts(draws[c.id], plan, c) for c in plan.criteria if c.id in draws}
    deltas = offline if gaps is None else {
        name: live_contrasts(one, gaps[gaps["criterion"] == name]) for name, one in offline.items()}
    own = next(iter(features.values()))["share"].to_series()
    shares = own if shares is None else shares.reindex(own.index)
    totals = gaps[(gaps["slice"] == TOTAL) & gaps["shadow"].notna()] if gaps is not None else pd.DataFrame()
    joined = set(zip(totals["criterion"], totals["model"], strict=True)) if len(totals) else set()
    drawn, parts, alone, labelled = {}, {}, {}, {}
    for spec in (c for c in plan.criteria if c.id in deltas):
        values = {name: one.transpose("model", "sample", "slice") for name, one in deltas[spec.id].items()}
        for model in plan.candidates:
            key, mine = (spec.id, model), features[spec.id]
            both = spec.role == "gate" and misfits(model, spec.id, checks)
            drawn[key] = gate_draws(deltas[spec.id], model, spec, misfits=both)
            at = values["calibrated"]["model"].to_numpy().tolist().index(model)
            parts[key] = [one.to_numpy()[at, :, 1:] for one in values.values()][: len(drawn[key].totals)]
            labelled[key] = judged_both(mine, model)
            if key in joined:
                alone[key] = gate_draws(offline[spec.id], model, spec, misfits=False)
    worth = {name: comparable(one["calibrated"], features[name], plan.criterion(name)) for name, one in deltas.items()
             if not np.isnan(features[name]["label"].to_numpy()).all()}
    return Stored(plan, shares, drawn, parts, worth, features, alone, labelled, requirements, checks, gaps,
                  ramp_days)


def explore(known: Stored, settings: Settings) -> Explored:
    """Return the decision under other settings; under the plan's own it is that of `decision.decide`."""
    plan = plan_with(known.plan, settings)
    drawn, worth = _at_mix(known, settings)
    drawn = {key: one._replace(spec=plan.criterion(key[0])) for key, one in drawn.items()}
    cases, checks = _cases(known, plan, settings)
    judged, verdicts, foreseen_, why = {}, {}, {}, {}
    for model in plan.candidates:
        judged[model] = {gate.id: judge_gate(drawn.get((gate.id, model)), gate, plan=plan,
                                             labelled=known.labelled.get((gate.id, model), False))
                         for gate in plan.gates}
        verdicts[model] = verdict_on(judged[model], cases[model].standing, plan)
        why[model] = reasons(plan, model, judged[model], cases[model].asked, checks, verdicts[model],
                             gaps=cases[model].contradicted.values())
        foreseen_[model] = _foreseen(known, plan, model, drawn, settings, cases[model])
    ready = ready_among(verdicts)
    weighed = _utilities(known, plan, worth, ready or list(plan.candidates), settings)
    own = {row["candidate"]: row for row in weighed if row["by"] == BY_PLAN}
    useful = {model: row["utility"] for model, row in own.items()}
    verdict, chosen = choice(verdicts, useful)
    losses = expected_loss(plan, judged, failing={model: case.failing for model, case in cases.items()})
    lost = losses.set_index("option")["expected_loss"]
    forced = None if chosen else forced_choice(plan, losses, judged, utility=useful, labels_needed={},
                                               ramp_days=known.ramp_days)
    probability = {model: bound(gates) for model, gates in judged.items()}
    told = verdict_sentence(plan, verdicts, chosen,
                            contradicted=[model for model, case in cases.items() if case.contradicted],
                            forced=forced["sentence"] if forced else "",
                            **({"probability": probability[chosen], "best": own[chosen]["best"]} if chosen else {}))
    outcomes = {model: Outcome(verdicts[model], probability[model], judged[model], why[model], useful[model],
                               own[model]["best"], float(lost[model]), foreseen_[model])
                for model in plan.candidates}
    return Explored(plan, settings, verdict, chosen, told, outcomes, losses, cheapest(losses), break_even(plan),
                    weighed, drawn)


def forest(known: Stored, found: Explored, criterion: str, where: str = TOTAL) -> pd.DataFrame:
    """Return the contrast of every candidate on a criterion, in total or in a slice.

    Returns
    -------
    DataFrame
        `FOREST_COLUMNS`; ``probability`` that the loss is smaller than the margin that holds there, NaN without one;
        in total that of the weaker method. ``later_lower``, ``later_upper``: the interval to expect with the further
        labels of the settings, NaN without any.
    """
    spec, rows = found.plan.criterion(criterion), []
    margin = spec.margin if where == TOTAL else spec.slice_margin
    tails = [(1 - found.plan.sampling.interval) / 2, (1 + found.plan.sampling.interval) / 2]
    for model in found.plan.candidates:
        one = found.drawn.get((criterion, model))
        row = dict.fromkeys(FOREST_COLUMNS, np.nan) | {"model": model}
        if one is not None and known.labelled[criterion, model]:
            place = 0 if where == TOTAL else 1 + one.names.index(where)
            values = one.totals[0] if where == TOTAL else one.slices[:, place - 1]
            counted = one.totals if where == TOTAL else [values]
            row["mean"], (row["lower"], row["upper"]) = values.mean(), np.quantile(values, tails)
            if margin is not None:
                row["probability"] = min(float((part > -margin).mean()) for part in counted)
            left = _left(known, found, criterion, model)
            if left is not None and values.std() > 0:
                shrunk = row["mean"] + (values - row["mean"]) * left[place] / values.std()
                row["later_lower"], row["later_upper"] = np.quantile(shrunk, tails)
        rows.append(row)
    return pd.DataFrame(rows, columns=list(FOREST_COLUMNS))


def _at_mix(known: Stored, settings: Settings) -> tuple[dict[tuple[str, str], GateDraws], dict[str, xr.DataArray]]:
    """The draws of every criterion and candidate, and comparable contrasts, under the settings' mix of traffic."""
    change = np.array([settings.shares[str(name)] for name in known.shares.index]) - known.shares.to_numpy()
    key = change.tobytes()
    if not change.any():
        return known.drawn, known.worth
    if known._kept.get("mix") != key:
        drawn = {name: one._replace(totals=[total + part @ change
                                            for total, part in zip(one.totals, known.parts[name], strict=True)])
                 for name, one in known.drawn.items()}
        known._kept.update(mix=key, drawn=drawn, worth={name: _moved(one, change) for name, one in known.worth.items()})
    return known._kept["drawn"], known._kept["worth"]


def _utilities(
    known: Stored, plan: Plan, worth: dict[str, xr.DataArray], among: list[str], settings: Settings
) -> list[dict]:
    """Utilities by all weights; margins and assurance matter to them only through who may be chosen."""
    key = (tuple(settings.weights.items()), tuple(settings.stakeholders.items()), tuple(settings.shares.items()),
           tuple(among))
    if known._kept.get("weights") != key:
        known._kept.update(weights=key, utilities=utilities(plan, worth, among))
    return known._kept["utilities"]


def _moved(values: xr.DataArray, change: np.ndarray) -> xr.DataArray:
    """Contrasts (sample, model, slice), their total weighted by other shares; what was drawn of the mix stays drawn."""
    raw = values.to_numpy().copy()
    raw[..., 0] += raw[..., 1:] @ change
    return values.copy(data=raw)


def _cases(known: Stored, plan: Plan, settings: Settings) -> tuple[dict[str, Case], list[CheckResult]]:
    """What besides draws speaks on the candidates; whether live requests contradict the test set hangs on margins."""
    own, key = known.settings, (tuple(settings.margins.items()), tuple(settings.slice_margins.items()))
    if known._kept.get("margins") == key:
        return known._kept["cases"], known._kept["checks"]
    gaps, checks = known.gaps, known.checks
    if gaps is not None and len(gaps) and key != (tuple(own.margins.items()), tuple(own.slice_margins.items())):
        moved = {gate.id: gate for gate in plan.gates if gate.margin != own.margins[gate.id]}
        gaps = at_margins(gaps, plan, known.features)
        checks = [transport_check(gaps, plan, moved[one.criterion])
                  if one.name == HOLDS_LIVE and one.criterion in moved else one for one in checks]
    flagged = {model for one in checks if one.name == HOLDS_LIVE for model in one.models}
    cases, before = {}, known._kept.get("cases", {})
    for model in plan.candidates:
        # Only what live requests contradict hangs on the margins.
        same = model in before and model not in flagged and not before[model].contradicted
        cases[model] = before[model] if same else case_of(
            plan, model, requirements=known.requirements, checks=checks, blocking=blocked(checks, model), gaps=gaps)
    known._kept.update(margins=key, cases=cases, checks=checks)
    return cases, checks


def _foreseen(known: Stored, plan: Plan, model: str, drawn: dict, settings: Settings, case: Case) -> Foreseen | None:
    if not settings.more or not all(known.labelled.get((gate.id, model)) for gate in plan.gates):
        return None
    evidence = [_evidence(known, drawn[gate.id, model], (gate.id, model), settings) for gate in plan.gates]
    return foreseen(evidence, settings.more, assurance=settings.assurance, slice_assurance=settings.slice_assurance,
                    seed=plan.sampling.seed, standing=case.standing)


def _evidence(known: Stored, drawn: GateDraws, key: tuple[str, str], settings: Settings) -> Evidence:
    """What the simulation needs to know, under the settings' margins and mix of traffic."""
    spec = drawn.spec
    margin = np.full(1 + len(drawn.names), np.nan if spec.slice_margin is None else spec.slice_margin)
    margin[0] = np.nan if spec.margin is None else spec.margin
    share = np.array([settings.shares[str(name)] for name in known.shares.index])
    kept = known._kept.setdefault("evidence", {})
    if key not in kept:
        kept[key] = gate_evidence(known.drawn[key], known.features[key[0]], key[1], offline=known.alone.get(key))
    return replace(kept[key], draws=np.column_stack([drawn.totals[0], drawn.slices]), margin=margin,
                   share=share)


def _left(known: Stored, found: Explored, criterion: str, model: str) -> np.ndarray | None:
    """Standard deviations left with the further labels of the settings, the total first."""
    if not found.settings.more:
        return None
    labels, gates = found.candidates[model].labels, [gate.id for gate in found.plan.gates]
    if labels is not None and criterion in gates:
        return labels.left[gates.index(criterion)]
    one = _evidence(known, found.drawn[criterion, model], (criterion, model), found.settings)
    return foreseen([one], found.settings.more, assurance=0.5, slice_assurance=0.5, seed=0).left[0]
