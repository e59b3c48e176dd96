"""Pieces of the decision: what besides draws speaks on a candidate, its verdict, the choice among candidates."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from migration_kit.checks import CORRECTED_AGREES, CheckResult
from migration_kit.estimands import TOTAL
from migration_kit.gates import GateResult, Standing, verdict_of
from migration_kit.plan import Plan
from migration_kit.transport import HOLDS_LIVE, gap_sentence, seen_part


class Case(NamedTuple):
    """What besides its draws speaks on a candidate.

    Attributes
    ----------
    standing : Standing
    asked : DataFrame
        Its rows of the requirements, by requirement.
    failing : list of str
        Requirements that it fails.
    contradicted : dict
        Gates on which live requests contradict the test set, each with its numbers in a sentence.
    live : list of str
        Gates on which people judged live outputs of the candidate and the incumbent.
    """

    standing: Standing
    asked: pd.DataFrame
    failing: list[str]
    contradicted: dict[str, str]
    live: list[str]


def case_of(
    plan: Plan, model: str, *, requirements: pd.DataFrame, checks: list[CheckResult], blocking: list[str],
    gaps: pd.DataFrame | None,
) -> Case:
    """Gather what besides its draws speaks on a candidate; `blocking` are the texts of failed checks that block."""
    asked = requirements[requirements["model"] == model].set_index("requirement")
    failing = asked.index[asked["status"] == "fail"].tolist()
    contradicted = _contradicted(plan, model, checks, gaps)
    standing = Standing(failed=bool(failing), blocked=bool(blocking), flagged=bool(contradicted),
                        unsettled=bool((asked["status"] == "unknown").any()))
    live = [gate.id for gate in plan.gates if _totals(gaps, model, gate.id)["shadow"].notna().any()]
    return Case(standing, asked, failing, contradicted, live)


def verdict_on(gates: dict[str, GateResult], standing: Standing, plan: Plan) -> str:
    """Return the verdict on a candidate whose gates were judged."""
    told = {name: (gate.probability, gate.probability_worse) if gate.labelled else (np.nan, np.nan)
            for name, gate in gates.items()}
    slices = [held for gate in gates.values() if gate.labelled for held in gate.slices.values()]
    hold, worse = np.array(list(told.values())).T
    return str(verdict_of(hold, worse, np.array(slices), assurance=plan.decision.assurance,
                          slice_assurance=plan.decision.slice_assurance, standing=standing))


def ready_among(verdicts: dict[str, str]) -> list[str]:
    """Return the candidates that may replace the incumbent."""
    return [model for model, verdict in verdicts.items() if verdict == "switch"]


def choice(verdicts: dict[str, str], utility: dict[str, float]) -> tuple[str, str | None]:
    """Return the verdict of the migration and the candidate to switch to: of those that may, the most useful one."""
    ready = ready_among(verdicts)
    chosen = max(ready, key=utility.__getitem__) if ready else None
    return "switch" if chosen else "collect" if "collect" in verdicts.values() else "keep", chosen


def misfits(model: str, criterion: str, checks: Iterable[CheckResult]) -> bool:
    """Tell whether calibrated and corrected contrasts of a candidate disagree, so that both must hold."""
    return any(c.name == CORRECTED_AGREES and c.criterion == criterion and c.passed is False and model in c.models
               for c in checks)


def judged_both(features: xr.Dataset, model: str) -> bool:
    """Tell whether people judged outputs of candidate and incumbent."""
    both = [0, features["model"].to_numpy().tolist().index(model)]
    return bool((~np.isnan(features["label"].to_numpy()[:, both])).any(axis=0).all())


def _contradicted(
    plan: Plan, model: str, checks: list[CheckResult], gaps: pd.DataFrame | None
) -> dict[str, str]:
    gates, found = {gate.id: gate for gate in plan.gates}, {}
    for check in checks:
        if check.name != HOLDS_LIVE or check.passed is not False or check.criterion not in gates:
            continue
        if model not in check.models:
            continue
        rows = _totals(gaps, model, check.criterion)
        found[check.criterion] = gap_sentence(
            rows.iloc[0], plan, gates[check.criterion], seen_part(gaps, check.criterion)) if len(rows) else check.text
    return found


def _totals(gaps: pd.DataFrame | None, model: str, criterion: str) -> pd.DataFrame:
    if gaps is None:
        return pd.DataFrame({"shadow": []})
    return gaps[(gaps["model"] == model) & (gaps["criterion"] == criterion) & (gaps["slice"] == TOTAL)]
