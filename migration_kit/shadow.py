"""Shadow requests as a migration of their own, so that they go through the same calibration as the test set."""

import pandas as pd

from migration_kit.data import EvalData
from migration_kit.plan import Plan
from migration_kit.plan_spec import CriterionSpec

SCORES = ["item_id", "model", "criterion", "rater", "rater_kind", "value", "repeat", "inclusion_prob", "opponent",
          "side"]


def shadow_data(data: EvalData, plan: Plan) -> tuple[EvalData, Plan] | None:
    """Return the shadow requests as data and plan, or None where there are none.

    Returns
    -------
    EvalData
        Its items are the requests, with `cluster_id` the user where a user has several requests; its traffic is that
        of the plan in the slices that the shadow has. Texts of outputs where live tables have them, nothing held out.
    Plan
        The models that the shadow has, and of each criterion the metrics and covariates that stand on its requests.
        Criteria without any metric there are left out, and so are requirements.
    """
    rows = data.live[data.live["stage"] == "shadow"]
    if rows.empty:
        return None
    first = rows.drop_duplicates("item_id")
    items = first[["item_id", "slice", *(name for name in plan.slices if name != "slice")]]
    if first["user"].duplicated().any():
        items = items.assign(cluster_id=first["user"])
    covariates = [name for name in plan.covariates if name in rows and rows[name].notna().any()]
    told = [*covariates, *(("text",) if "text" in rows else ())]
    outputs = rows.dropna(subset=told, how="all") if told else rows.iloc[:0]
    # What is said of an output may stand on any of its rows.
    outputs = outputs.groupby(["item_id", "model"], sort=False)[told].first().reset_index()
    traffic = data.traffic[data.traffic["slice"].isin(items["slice"])]
    scores = rows.assign(repeat="0")[[name for name in SCORES if name in rows or name == "repeat"]]
    tables = {"items": items, "scores": scores, "outputs": outputs,
              "traffic": traffic.assign(share=traffic["share"] / traffic["share"].sum())}
    tables = {name: table.reset_index(drop=True) for name, table in tables.items()}
    shadow = EvalData(**tables, held_out=scores.iloc[:0], exclusions=data.exclusions.iloc[:0])
    return shadow, _narrowed(plan, rows, covariates)


def _narrowed(plan: Plan, rows: pd.DataFrame, covariates: list[str]) -> Plan:
    there = set(rows["model"])
    automatic = rows[rows["rater_kind"] != "human"]
    pairs = set(zip(automatic["criterion"], automatic["rater"], strict=True))
    criteria = [_with_metrics(plan, criterion, pairs, covariates) for criterion in plan.criteria]
    criteria = tuple(one for one in criteria if one is not None)
    used = {name for one in criteria for name in one.metrics}
    models = plan.models.model_copy(
        update={"candidates": tuple(one for one in plan.models.candidates if one.id in there)})
    return plan.model_copy(update={"models": models, "criteria": criteria, "requirements": (),
                                   "metrics": tuple(one for one in plan.metrics if one.id in used)})


def _with_metrics(
    plan: Plan, criterion: CriterionSpec, pairs: set[tuple[str, str]], covariates: list[str]
) -> CriterionSpec | None:
    metrics = tuple(name for name in criterion.metrics if (plan.metric_criterion(name, criterion.id), name) in pairs)
    if not metrics:
        return None
    primary = criterion.primary_metric if criterion.primary_metric in metrics else metrics[0]
    return criterion.model_copy(update={"metrics": metrics, "primary_metric": primary,
                                        "covariates": tuple(one for one in criterion.covariates if one in covariates)})
