"""Which gate further labels should settle, for which candidates, and how likely they are to settle it.

From verdict strata, so without a fit and in seconds: what `preview` says of the total, with the slices around it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from migration_kit.crosschecks import labels_only
from migration_kit.data import EvalData
from migration_kit.estimands import TOTAL
from migration_kit.evidence import gate_evidence
from migration_kit.gates import GateDraws, GateResult, Standing, judge_gate
from migration_kit.label_blocks import blocking_checks, lift_odds
from migration_kit.label_design import label_design
from migration_kit.label_plan import LabelPlan, plan_labels
from migration_kit.label_slices import slice_draws
from migration_kit.label_worth import worth_by_slice
from migration_kit.labels_needed import Evidence, foreseen
from migration_kit.plan import CriterionSpec, Plan
from migration_kit.strata import verdict_draws
from migration_kit.verdicts import judged_both, verdict_on
from migration_kit.wording import chance, listed

CURVE_SIZES = (25, 50, 100, 200, 400)
PLANNED, AT_RANDOM = "planned", "at random"
CURVE_COLUMNS = ["model", "labels", "chosen", "settled", "switch", "keep", "lifted"]
# A candidate is only left out of labelling where a loss is beyond doubt: what was never labelled cannot be put right.
BEYOND_DOUBT = 0.99
SLICE_SCALE = 0.25


@dataclass(frozen=True)
class Prospects:
    """Where the verdict stands before further labels.

    Attributes
    ----------
    gates : dict
        Candidate to gate to its result from verdict strata; probabilities are NaN where nobody judged both models.
    verdicts : dict
        Candidate to what gates and requirements say by now.
    closed : dict
        Candidates that labels are not likely to help, and why.
    unsettled : dict
        Candidates to the requirements that cannot be told yet; only those with any.
    standing : dict
        Candidate to what its requirements say.
    evidence : dict
        Candidate to the `Evidence` on every gate; only candidates with labels of all gates that no check of their own
        holds back.
    blocking : dict
        Criterion to the texts of its checks that leave no verdict but ``collect`` on any candidate until there are more
        labels.
    held_back : dict
        Candidates on which such checks leave no verdict, and on others they do; each with the texts by criterion.
    """

    gates: dict[str, dict[str, GateResult]]
    verdicts: dict[str, str]
    closed: dict[str, str]
    unsettled: dict[str, list[str]]
    standing: dict[str, Standing]
    evidence: dict[str, dict[str, Evidence]]
    blocking: dict[str, list[str]]
    held_back: dict[str, dict[str, list[str]]]

    @property
    def open(self) -> list[str]:
        """Candidates that may still replace the incumbent; all of them where none may."""
        return [model for model in self.verdicts if model not in self.closed] or list(self.verdicts)


class NextLabels(NamedTuple):
    """The next labels, why these, and what is to be expected of them.

    Attributes
    ----------
    plan : LabelPlan
    prospects : Prospects
    weakest : str or None
        The candidate at which the deciding criterion is least likely to hold; None without labels or gate.
    probability : float
        That it holds there.
    curve : DataFrame
        From `assurance_curve`.
    """

    plan: LabelPlan
    prospects: Prospects
    weakest: str | None
    probability: float
    curve: pd.DataFrame


def next_labels(
    plan: Plan, data: EvalData, features: Mapping[str, xr.Dataset], requirements: pd.DataFrame, *, n: int,
    seed: int | None = None, criteria: Sequence[str] = (), models: Sequence[str] = (),
) -> NextLabels:
    """Draw the next items for the gate that decides, and foresee what their labels will settle.

    Parameters
    ----------
    plan : Plan
    data : EvalData
    features : mapping
        Of every criterion that has a say in the verdict, and of `criteria`.
    requirements : DataFrame
        From `requirements.check_requirements`.
    n : int
        Items to draw.
    seed : int, optional
        The plan's unless given.
    criteria : sequence of str, optional
        What people are asked about; all gates unless given.
    models : sequence of str, optional
        Candidates to ask about; those that may still replace the incumbent unless given.
    """
    found, seed = prospects(plan, features, requirements), plan.sampling.seed if seed is None else seed
    asked = list(criteria) or [gate.id for gate in plan.gates]
    models = [model for model in plan.candidates if model in (models or found.open)]
    criterion, weakest, probability = deciding(found, plan, asked, models)
    slices = [str(name) for name in features[criterion]["slice"].to_numpy()]
    urgent = urgency(plan, found, criterion, models, slices)
    labels = plan_labels(plan, data, features, criterion=criterion, criteria=asked, models=models, n=n,
                         seed=seed, urgency=urgent)
    gates = {gate.id: label_design(features[gate.id], models, n=n) for gate in plan.gates}
    worth = worth_by_slice(labels.design, gates, CURVE_SIZES, n_slices=len(slices))
    blocked = {name: features[name] for name in found.blocking}
    odds = lift_odds(blocked, labels, CURVE_SIZES, n_slices=len(slices), seed=plan.sampling.seed)
    curve = assurance_curve(found, plan, models, worth, seed=plan.sampling.seed, lifted=odds)
    return NextLabels(labels, found, weakest, probability, curve)


def prospects(plan: Plan, features: Mapping[str, xr.Dataset], requirements: pd.DataFrame) -> Prospects:
    """Judge every candidate by verdict strata.

    Parameters
    ----------
    plan : Plan
    features : mapping
        Of every criterion that has a say in the verdict, from `features.build_features`.
    requirements : DataFrame
        From `requirements.check_requirements`.
    """
    blocking, held_back = {}, {}
    for spec in (one for one in plan.criteria if one.role != "monitor" and one.id in features):
        for check in blocking_checks(features[spec.id], decides=True):
            for told in [held_back.setdefault(model, {}) for model in check.models] or [blocking]:
                if check.passed is False:
                    told.setdefault(spec.id, []).append(check.text)
    drawn = {gate.id: _drawn(features[gate.id], plan, gate) for gate in plan.gates}
    status = requirements.set_index(["model", "requirement"])["status"]
    gates, verdicts, closed, unsettled, standing, evidence = {}, {}, {}, {}, {}, {}
    for model in plan.candidates:
        mine = status[status.index.get_level_values("model") == model].droplevel("model")
        failing, unsettled[model] = (mine.index[mine == one].tolist() for one in ("fail", "unknown"))
        of = {name: one.get(model) for name, one in drawn.items()}
        gates[model] = {gate.id: judge_gate(of[gate.id], gate, plan=plan, labelled=of[gate.id] is not None)
                        for gate in plan.gates}
        standing[model] = Standing(failed=bool(failing), unsettled=bool(unsettled[model]))
        blocked = bool(blocking) or model in held_back
        verdicts[model] = verdict_on(gates[model], replace(standing[model], blocked=blocked), plan)
        lost = _lost(gates[model])
        if failing:
            closed[model] = f"it fails {listed(failing)}"
        elif lost:
            closed[model] = lost
        if model not in held_back and all(one is not None for one in of.values()):
            evidence[model] = {name: gate_evidence(one, features[name], model) for name, one in of.items()}
    unsettled = {model: names for model, names in unsettled.items() if names}
    return Prospects(gates, verdicts, closed, unsettled, standing, evidence, blocking, held_back)


def deciding(
    found: Prospects, plan: Plan, criteria: Sequence[str], models: Sequence[str]
) -> tuple[str, str | None, float]:
    """Return the criterion that labels should settle first, the candidate at which it is weakest, and its probability.

    It is the gate that is least likely to hold for a candidate without a verdict; where all have one, for those that
    may replace the incumbent. A gate that nobody judged comes first. Criteria that are no gates come last.

    Parameters
    ----------
    found : Prospects
    plan : Plan
    criteria, models : sequence of str
        What, and of which candidates, people will be asked.
    """
    gates = [gate.id for gate in plan.gates if gate.id in criteria]
    if not gates:
        return criteria[0], None, float("nan")
    by_verdict = ([model for model in models if found.verdicts[model] == one] for one in ("collect", "switch"))
    waiting = next((some for some in by_verdict if some), models)
    known = {(name, model): found.gates[model][name].probability for name in gates for model in waiting}
    unknown = [name for name in gates if all(np.isnan(known[name, model]) for model in waiting)]
    if unknown:
        return unknown[0], None, float("nan")
    name, model = min((key for key in known if not np.isnan(known[key])), key=known.__getitem__)
    return name, model, known[name, model]


def urgency(
    plan: Plan, found: Prospects, criterion: str, models: Sequence[str], slices: Sequence[str]
) -> np.ndarray | None:
    """How much the contrast in each slice matters beside the total, dims (slice,): the ratio of their margins.

    A slice counts until it holds, or fails, for each of these candidates with the plan's assurance.
    """
    spec, decision = plan.criterion(criterion), plan.decision
    if spec.slice_margin is None:
        return None

    def settled(model: str, name: str) -> bool:
        held = found.gates[model][criterion].slices.get(name, float("nan"))
        return held >= decision.assurance or 1 - held >= decision.assurance

    return np.array([0.0 if all(settled(model, name) for model in models) else spec.margin / spec.slice_margin
                     for name in slices])


def assurance_curve(
    found: Prospects, plan: Plan, models: Sequence[str], worth: Mapping[int, Mapping[str, np.ndarray]], *, seed: int,
    lifted: Mapping[int, tuple[float, float]],
) -> pd.DataFrame:
    """Probability that the verdict on a candidate is settled after further labels, planned or drawn at random.

    Parameters
    ----------
    found : Prospects
    plan : Plan
    models : sequence of str
    worth : mapping
        Number of further items to gate to what the planned ones are worth, see `label_worth.worth_by_slice`.
    seed : int
    lifted : mapping
        Number of further items to the probability that no check blocks any more, see `label_blocks.lift_odds`.

    Returns
    -------
    DataFrame
        `CURVE_COLUMNS`: those candidates that have labels of every gate, by number of labelled items and how they are
        chosen (planned or at random); settled is switch + keep, each with every check ``lifted``. 0 labels is the
        verdict as it stands. Off by a few points, see `labels_needed.settled_share`.
    """
    rows = []
    for model in models:
        if model not in found.evidence:
            continue
        evidence = found.evidence[model]
        asked = {"assurance": plan.decision.assurance, "slice_assurance": plan.decision.slice_assurance, "seed": seed,
                 "standing": found.standing[model]}
        now = {name: float(found.verdicts[model] == name) for name in ("switch", "keep", "collect")}
        for more, of in {0: {}, **worth}.items():
            new = [of[name] for name in evidence] if of else 0
            free = lifted[more] if more else [float(not found.blocking)] * 2
            for chosen, number, odds in zip((PLANNED, AT_RANDOM), (new, more), free, strict=True):
                share = foreseen(list(evidence.values()), number, **asked).verdicts if more else now
                # A failed requirement ends it whatever checks say; what stands now has been held against them.
                counts = 1.0 if found.standing[model].failed or not more else odds
                switch, keep = counts * share["switch"], counts * share["keep"]
                rows.append([model, more, chosen, switch + keep, switch, keep, odds])
    return pd.DataFrame(rows, columns=CURVE_COLUMNS)


def _lost(gates: Mapping[str, GateResult]) -> str:
    """Say where a candidate is worse beyond doubt; "" where it is not."""
    for name, gate in gates.items():
        told = [("", "margin", gate.probability_worse)]
        told += [(f" in {place}", "slice margin", 1 - held) for place, held in gate.slices.items()]
        for where, margin, worse in told:
            if worse >= BEYOND_DOUBT:
                return f"it is worse by more than the {margin} on {name}{where} with probability {chance(worse)}"
    return ""


def _drawn(features: xr.Dataset, plan: Plan, gate: CriterionSpec) -> dict[str, GateDraws]:
    """Draws of a gate for every candidate that people judged beside the incumbent, and whose draws are numbers."""
    judged = [model for model in plan.candidates if judged_both(features, model)]
    if not judged:
        return {}
    seed, found = plan.sampling.seed, {}
    total = verdict_draws(features, traffic=True, seed=seed)["contrast"]
    alone = labels_only(features, plan, traffic=True, seed=seed)
    alone = alone[(alone["quantity"] == "contrast") & (alone["slice"] != TOTAL)]
    names = [str(name) for name in features["slice"].to_numpy()]
    label = features["label"]
    for model in judged:
        drawn = total.sel(model=model).to_numpy()
        if np.isnan(drawn).any():
            continue
        mine = alone[alone["model"] == model].set_index("slice").reindex(names)
        spread = float((label.sel(model=model) - label[:, 0]).std())
        slices = slice_draws(drawn, mine["mean"].to_numpy(), mine["sd"].to_numpy(), features["share"].to_numpy(),
                             scale=SLICE_SCALE * spread, rng=np.random.default_rng(seed))
        found[model] = GateDraws(gate, [drawn], slices, names)
    return found
