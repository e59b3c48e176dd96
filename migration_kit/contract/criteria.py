"""What the plan asks of the scores: labels and metrics of its criteria, rows of its requirements."""

import pandas as pd

from migration_kit.errors import Problems, did_you_mean, listing, quote
from migration_kit.plan import Plan
from migration_kit.plan_spec import CriterionSpec


def check_criteria(plan: Plan, kept: pd.DataFrame, raw: pd.DataFrame, problems: Problems) -> None:
    """Note criteria whose labels are elsewhere, metrics without rows, and models without any metric of a criterion.

    A criterion without any human judgment in the data is no problem here: it cannot decide anything until it has some.
    """
    auto = kept["rater_kind"] != "human"
    labelled = set(kept.loc[~auto, "criterion"].unique())
    there = raw[(raw["rater_kind"] == "human") & raw["value"].notna()]
    judged = list(there["criterion"].unique())
    spare = [name for name in judged if name not in {one.id for one in plan.criteria}]
    shown = kept[auto].assign(compares=kept["opponent"].notna() if "opponent" in kept else False)
    counts = shown.groupby(["criterion", "rater", "model"])["compares"].any()
    with_rows = set(counts.index.droplevel("model"))
    raters = raw[raw["rater_kind"] != "human"].groupby("rater")["criterion"].unique()
    for number, criterion in enumerate(plan.criteria):
        place = f"criteria.{number}"
        hint = did_you_mean(criterion.id, spare)
        if criterion.id not in labelled and criterion.id in judged:
            pair = ", each a candidate against the incumbent" if criterion.kind == "pairwise" else ""
            problems.add(plan.path.name, f"{place}.id: criterion {quote(criterion.id)} has human labels, but none for "
                                         f"the plan's models and items{pair}")
        elif criterion.id not in labelled and hint:
            problems.add(plan.path.name, f"{place}.id: criterion {quote(criterion.id)} has no human labels; human "
                                         f"judgments are of {listing(judged)}{hint}")
            continue
        rows = [(plan.metric_criterion(metric, criterion.id), metric) for metric in criterion.metrics]
        _without_rows(plan, criterion, place, with_rows=with_rows, raters=raters, problems=problems)
        have = set(kept["model"].unique())
        lost = [one for one in plan.model_ids if one in have and with_rows & set(rows)
                and not _has_metric(plan, criterion, one, rows=rows, counts=counts)]
        if criterion.kind == "pairwise":
            _without_comparison(plan, criterion, place, lost, kept=kept, problems=problems)
            continue
        for model in lost:
            problems.add(plan.path.name, f"{place}: model {quote(model)} has no row of any metric of criterion "
                                         f"{quote(criterion.id)} ({listing(criterion.metrics)}); add its scores or "
                                         "leave the model out")


def check_requirements(plan: Plan, kept: pd.DataFrame, raw: pd.DataFrame, problems: Problems) -> None:
    """Note required criteria that the scores do not have."""
    have = set(kept["criterion"].unique())
    for number, requirement in enumerate(plan.requirements):
        if requirement.criterion and requirement.criterion not in have:
            criteria = raw["criterion"].unique()
            problems.add(plan.path.name, f"requirements.{number}.criterion: scores hold no criterion "
                                         f"{quote(requirement.criterion)} for the plan's models and items; found "
                                         f"{listing(criteria)}{did_you_mean(requirement.criterion, criteria)}")


def _without_rows(
    plan: Plan,
    criterion: CriterionSpec,
    place: str,
    *,
    with_rows: set[tuple[str, str]],
    raters: pd.Series,
    problems: Problems,
) -> None:
    lost = [(number, metric, plan.metric_criterion(metric, criterion.id))
            for number, metric in enumerate(criterion.metrics)
            if (plan.metric_criterion(metric, criterion.id), metric) not in with_rows]
    elsewhere = {tuple(raters[metric]) if metric in raters.index and under == criterion.id else ()
                 for _, metric, under in lost}
    if len(lost) > 1 and len(lost) == len(criterion.metrics) and len(elsewhere) == 1 and criterion.id not in (
            under := next(iter(elsewhere))) and under:
        problems.add(plan.path.name, f"{place}.id: no metric of criterion {quote(criterion.id)} has a row under it; "
                                     f"their rows stand under {listing(under)}: rename the criterion, or say so with "
                                     f"metrics: [{{id: {criterion.metrics[0]}, criterion: {under[0]}}}, ...]")
        return
    for number, metric, under in lost:
        problems.add(plan.path.name, f"{place}.metrics.{number}: metric {quote(metric)} has no row under criterion "
                                     f"{quote(under)}; {_why_no_row(under, metric, raters)}")


def _without_comparison(
    plan: Plan, criterion: CriterionSpec, place: str, lost: list[str], *, kept: pd.DataFrame, problems: Problems
) -> None:
    """Note candidates whose metrics neither compare nor stand beside the incumbent's, where labels have opponents."""
    labels = kept[(kept["rater_kind"] == "human") & (kept["criterion"] == criterion.id)]
    if not lost or labels["opponent"].isna().any():
        return
    models = f"model {quote(lost[0])} has" if len(lost) == 1 else f"models {listing(lost)} have"
    problems.add(plan.path.name, f"{place}: {models} no row of any metric of criterion {quote(criterion.id)} "
                                 f"({listing(criterion.metrics)}) beside the incumbent's; name {quote(plan.incumbent)} "
                                 "as `opponent` in the rows that compare with it, add its scores, or leave the model "
                                 "out")


def _has_metric(
    plan: Plan, criterion: CriterionSpec, model: str, *, rows: list[tuple[str, str]], counts: pd.Series
) -> bool:
    """Tell whether a model has any metric; on a pairwise criterion the incumbent needs none of its own."""
    if criterion.kind != "pairwise":
        return any((*row, model) in counts.index for row in rows)
    if model == plan.incumbent:
        return True
    return any((*row, model) in counts.index and (counts[(*row, model)] or (*row, plan.incumbent) in counts.index)
               for row in rows)


def _why_no_row(under: str, metric: str, raters: pd.Series) -> str:
    if metric not in raters.index:
        return f"scores have the metrics {listing(raters.index)}{did_you_mean(metric, raters.index)}"
    if under in raters[metric]:
        return "it has no value for the plan's models and items"
    return f"its rows stand under {listing(raters[metric])}: say so with metrics: [{{id: {metric}, criterion: ...}}]"
