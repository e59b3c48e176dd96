"""Requirements: facts of a model, rates and percentiles of its scores, each passed, failed or not yet known."""

import numpy as np
import pandas as pd
from scipy.special import betainc, betaincinv

from migration_kit.data import EvalData
from migration_kit.plan import Plan
from migration_kit.plan_spec import RequirementSpec
from migration_kit.wording import asked as asked_for
from migration_kit.wording import chance

COLUMNS = ("requirement", "model", "status", "found", "bound", "probability", "mean", "lower", "upper", "text")
BOOTSTRAP_DRAWS = 2000
BOOTSTRAP_CELLS = 4_000_000
SIGNS = {"at_least": "≥", "at_most": "≤", "includes": "includes", "equals": "="}


def check_requirements(plan: Plan, data: EvalData) -> pd.DataFrame:
    """Hold every model against every requirement.

    Returns
    -------
    DataFrame
        requirement, model, status (pass, fail, unknown), found, bound, probability that the bound holds (NaN for
        facts), mean, lower and upper of the statistic, text. A statistic passes when its probability reaches the
        requirement's assurance and fails when it falls to 1 minus it. Scores of one item, by several raters or in
        several repeats, count as one observation of it. Worry about every ``fail`` and ``unknown``.
    """
    rows = []
    for spec in plan.requirements:
        for model in plan.model_ids:
            judge = _fact if spec.fact else _statistic
            found = judge(plan, data, spec, model)
            rows.append({"requirement": spec.id, "model": model, "bound": _bound(spec), **found})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _fact(plan: Plan, data: EvalData, spec: RequirementSpec, model: str) -> dict:
    numbers = {"probability": np.nan, "mean": np.nan, "lower": np.nan, "upper": np.nan}
    facts = plan.model(model).facts
    if spec.fact not in facts:
        return {"status": "unknown", "found": "not stated", **numbers,
                "text": f"{spec.id}: the plan states no {spec.fact} for {model}."}
    value = facts[spec.fact]
    values = set(value) if isinstance(value, list | tuple) else {value}
    missing = set()
    if spec.includes is not None:
        missing = _as_set(spec.includes) - values
        holds = not missing
    elif spec.equals is not None:
        holds = values == _as_set(spec.equals)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        return {"status": "unknown", "found": _shown(value), **numbers,
                "text": f"{spec.id}: {spec.fact} of {model} is {_shown(value)}, which is no number to compare."}
    else:
        holds = value >= spec.at_least if spec.at_least is not None else value <= spec.at_most
    reason = f"; {', '.join(sorted(map(str, missing)))} missing" if missing else ""
    return {"status": "pass" if holds else "fail", "found": _shown(value), **numbers,
            "text": f"{spec.id}: {spec.fact} of {model} is {_shown(value)}, asked is {_bound(spec)}{reason}."}


def _statistic(plan: Plan, data: EvalData, spec: RequirementSpec, model: str) -> dict:
    scores = data.scores
    rows = scores[(scores["criterion"] == spec.criterion) & (scores["model"] == model)]
    if rows.empty:
        return {"status": "unknown", "found": "no scores", "probability": np.nan, "mean": np.nan, "lower": np.nan,
                "upper": np.nan, "text": f"{spec.id}: {model} has no scores of {spec.criterion}."}
    value, weight = rows["value"].to_numpy(dtype=float), _traffic_weight(data, rows["item_id"])
    item = pd.factorize(rows["item_id"])[0]
    bound = spec.at_least if spec.at_least is not None else spec.at_most
    tail = (1 - plan.sampling.interval) / 2
    statistic = spec.statistic or "mean"
    if statistic == "mean" and np.isin(value, (0, 1)).all():
        # Jeffreys: a bootstrap of a test set without one failure would be sure that there are none.
        mean = np.average(value, weights=weight)
        size = 1 / (np.bincount(item, weights=weight) ** 2).sum()
        good, bad = size * mean + 0.5, size * (1 - mean) + 0.5
        below = float(betainc(good, bad, bound)) if 0 < bound < 1 else float(bound >= 1)
        lower, upper = betaincinv(good, bad, [tail, 1 - tail])
    else:
        draws = _bootstrap(value, weight, item, statistic=statistic, seed=plan.sampling.seed)
        mean, below = draws.mean(), float((draws <= bound).mean())
        lower, upper = np.quantile(draws, [tail, 1 - tail])
    probability = 1 - below if spec.at_least is not None else below
    asked = spec.assurance or plan.decision.assurance
    status = "pass" if probability >= asked else "fail" if probability <= 1 - asked else "unknown"
    told = f"{statistic} {mean:.4g} ({lower:.4g} to {upper:.4g})"
    return {"status": status, "found": told, "probability": probability, "mean": mean, "lower": lower, "upper": upper,
            "text": f"{spec.id}: {spec.criterion} of {model} has {told}, asked is {_bound(spec)}; "
                    f"probability that it holds {chance(probability)}, asked {asked_for(asked)}."}


def _traffic_weight(data: EvalData, item_id: pd.Series) -> np.ndarray:
    """Weight of every score so that slices count as in production; the weights sum to 1."""
    slices = data.items.set_index("item_id")["slice"].reindex(item_id).to_numpy()
    size = pd.Series(slices).value_counts()
    share = data.traffic.set_index("slice")["share"]
    weight = (share.reindex(size.index) / size).reindex(slices).to_numpy(dtype=float)
    return weight / weight.sum()


def _bootstrap(value: np.ndarray, weight: np.ndarray, item: np.ndarray, *, statistic: str, seed: int) -> np.ndarray:
    """Bayesian-bootstrap draws, item by item, of a mean or a percentile."""
    rng = np.random.default_rng(seed)
    order = np.argsort(value)
    value, weight, item = value[order], weight[order], item[order]
    step = max(1, BOOTSTRAP_CELLS // len(value))
    draws = []
    for start in range(0, BOOTSTRAP_DRAWS, step):
        drawn = rng.standard_exponential((min(step, BOOTSTRAP_DRAWS - start), item.max() + 1))[:, item] * weight
        if statistic == "mean":
            draws.append(drawn @ value / drawn.sum(axis=1))
        else:
            reached = drawn.cumsum(axis=1) >= drawn.sum(axis=1, keepdims=True) * int(statistic[1:]) / 100
            draws.append(value[reached.argmax(axis=1)])
    return np.concatenate(draws)


def _bound(spec: RequirementSpec) -> str:
    for key, sign in SIGNS.items():
        bound = getattr(spec, key)
        if bound is not None:
            name = f"{spec.statistic} " if spec.criterion and spec.statistic else ""
            return f"{name}{sign} {_shown(bound)}"
    raise ValueError(f"requirement {spec.id} has no bound")


def _as_set(value) -> set:
    return set(value) if isinstance(value, list | tuple) else {value}


def _shown(value) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else f"{value:g}" if isinstance(
        value, float) else str(value)
