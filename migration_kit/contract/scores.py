"""What scores and held-out judgments must be before anything is computed from them."""

import numpy as np
import pandas as pd

from migration_kit.contract.criteria import check_criteria, check_requirements
from migration_kit.contract.exclusions import Exclusions, check_models, names_of, one_row_each
from migration_kit.contract.oddities import note_oddities, note_unmatched
from migration_kit.contract.preferences import KEY, from_candidates
from migration_kit.contract.values import check_judgments, keep_values
from migration_kit.errors import Problems, listing
from migration_kit.plan import SCORE_COLUMNS, Plan
from migration_kit.readers.cells import among


def check_scores(
    plan: Plan,
    raw: pd.DataFrame,
    *,
    items: pd.DataFrame,
    outputs: pd.DataFrame | None = None,
    problems: Problems,
    out: Exclusions,
) -> pd.DataFrame:
    """Keep the scores that the plan names, and hold them against it.

    Parameters
    ----------
    outputs : DataFrame, optional
        Raw outputs, which may name the opponent of each.

    Returns
    -------
    DataFrame
        item_id, model, criterion, rater, rater_kind, value (finite), opponent and side where the plan has a pairwise
        criterion, repeat ("0" where not given), inclusion_prob (missing where not given), rationale and source where
        given. Every human judgment is a row; several repeats of a metric are one mean value.
    """
    out.add("scores", "", "outside `where`", raw.attrs["outside_where"])
    here = _on_items(plan, raw, "scores", items=items, problems=problems, out=out)
    named = _named_by_plan(plan, here)
    auto = here["rater_kind"] != "human"
    known = here["criterion"].isin(_criteria(plan))
    out.add_rows("scores", here[~named & ~known], "criterion not in the plan")
    out.add_rows("scores", here[~named & known & auto], "metric not in the plan")
    out.add_rows("scores", here[~named & known & ~auto], "human judgments of a metric's criterion")
    kept = keep_values(plan, here[named], table="scores", problems=problems, out=out)
    check_judgments(plan, kept, raw=raw, table="scores", problems=problems)
    kept = from_candidates(plan, kept, raw=raw, table="scores", outputs=outputs, problems=problems, out=out)
    one_row_each(kept, KEY, problems)
    check_models(plan, _models_of(here), found=_models_of(raw), what="score", problems=problems)
    check_criteria(plan, kept, raw, problems)
    check_requirements(plan, kept, raw, problems)
    problems.stop()
    note_oddities(plan, kept, out)
    return _tidy(_mean_of_repeats(plan, kept, out))


def check_held_out(
    plan: Plan,
    raw: pd.DataFrame,
    *,
    items: pd.DataFrame,
    outputs: pd.DataFrame | None = None,
    problems: Problems,
    out: Exclusions,
) -> pd.DataFrame:
    """Keep the human judgments set aside: shape of scores, values within the ends of their scale, means allowed."""
    out.add("held_out", "", "outside `where`", raw.attrs["outside_where"])
    here = _on_items(plan, raw, "held_out", items=items, problems=problems, out=out)
    human = here["rater_kind"] == "human"
    known = here["criterion"].isin([criterion.id for criterion in plan.criteria])
    out.add_rows("held_out", here[~human], "not a human judgment")
    out.add_rows("held_out", here[human & ~known], "criterion not in the plan")
    kept = keep_values(plan, here[human & known], table="held_out", problems=problems, out=out)
    check_judgments(plan, kept, raw=raw, table="held_out", problems=problems)
    kept = from_candidates(plan, kept, raw=raw, table="held_out", outputs=outputs, problems=problems, out=out)
    one_row_each(kept, KEY, problems)
    if kept.empty:
        problems.add(names_of(raw), "holds no human judgment of the plan's criteria, models and items; "
                                    f"its criteria are {listing(raw['criterion'].unique())}")
    problems.stop()
    return _tidy(kept)


def count_missing(
    plan: Plan, *, items: pd.DataFrame, outputs: pd.DataFrame, scores: pd.DataFrame, out: Exclusions
) -> None:
    """Count, for each model, the items without output and the outputs without a metric: missing stays missing.

    A metric that compares is missing where both outputs are there and it has not compared them.
    """
    frames = [frame[["item_id", "model"]] for frame in (outputs, scores) if len(frame)]
    if "opponent" in scores:
        against = scores.loc[scores["opponent"].notna(), ["item_id", "opponent"]]
        frames.append(against.rename(columns={"opponent": "model"}))
    have = pd.concat(frames)
    code, ids = pd.factorize(have["item_id"])
    of = {model: np.zeros(len(ids), dtype=bool) for model in plan.model_ids}
    for model, there in of.items():
        there[code[(have["model"] == model).to_numpy()]] = True
        out.add("outputs", model, "no output for the item", len(items) - int(there.sum()))
    automatic = scores[scores["rater_kind"] != "human"]
    groups = dict(iter(automatic.groupby(["criterion", "rater"])))
    for criterion, metric, under in plan.metric_rows():
        rows = groups.get((under, metric), automatic.iloc[:0])
        n = rows.groupby("model")["item_id"].nunique()
        compares = "opponent" in rows and rows["opponent"].notna().any()
        for model in plan.candidates if compares else plan.model_ids:
            asked = int((of[model] & of[plan.incumbent] if compares else of[model]).sum())
            out.add("scores", model, f"metric {metric!r} of {criterion!r} missing for the "
                                     f"{'comparison' if compares else 'output'}", asked - n.get(model, 0))


def _models_of(frame: pd.DataFrame) -> pd.Series:
    return pd.concat([frame["model"], frame["opponent"].dropna()]) if "opponent" in frame else frame["model"]


def _criteria(plan: Plan) -> set[str]:
    """Every criterion whose rows are needed: judged, under which a metric stands, or required."""
    required = {one.criterion for one in plan.requirements if one.criterion}
    return {one.id for one in plan.criteria} | {under for _, _, under in plan.metric_rows()} | required


def _on_items(
    plan: Plan, raw: pd.DataFrame, table: str, *, items: pd.DataFrame, problems: Problems, out: Exclusions
) -> pd.DataFrame:
    """Keep the rows of the plan's models and items."""
    unknown_model = ~raw["model"].isin(plan.model_ids)
    unknown_item = ~among(raw["item_id"], items["item_id"])
    lost = unknown_item.groupby(raw["_table"]).all()
    for number in lost[lost].index:
        rows = raw[raw["_table"] == number]
        problems.add(names_of(rows), f"none of its item_ids ({listing(rows['item_id'].unique(), 3)}) is in the items "
                                     f"({listing(items['item_id'], 3)}); write them as items does, or say with "
                                     f"data.{table}.{number}.columns: {{item_id: ...}} which column holds them")
    if lost.any():
        problems.stop()
    out.add_rows(table, raw[unknown_model], "model not in the plan")
    out.add_rows(table, raw[~unknown_model & unknown_item], "item not in items")
    note_unmatched(plan, raw, ~unknown_model & unknown_item, items=items, out=out)
    return raw[~unknown_model & ~unknown_item].reset_index(drop=True)


def _named_by_plan(plan: Plan, here: pd.DataFrame) -> np.ndarray:
    """Tell which rows the plan names: human judgments, the metrics of its criteria, and required criteria whole."""
    criterion_codes, criteria = pd.factorize(here["criterion"])
    rater_codes, raters = pd.factorize(here["rater"])
    judged = {one.id for one in plan.criteria}
    whole = {one.criterion for one in plan.requirements if one.criterion} - judged
    place = {name: code for code, name in enumerate(criteria)}
    rater = {name: code for code, name in enumerate(raters)}
    used = np.zeros((len(criteria), max(len(raters), 1)), dtype=bool)
    for _, metric, under in plan.metric_rows():
        if under in place and metric in rater:
            used[place[under], rater[metric]] = True
    human = (here["rater_kind"] == "human").to_numpy()
    is_judged = np.array([name in judged for name in criteria], dtype=bool)
    is_whole = np.array([name in whole for name in criteria], dtype=bool)
    if not len(here):
        return np.zeros(0, dtype=bool)
    return np.where(human, is_judged[criterion_codes], used[criterion_codes, rater_codes]) | is_whole[criterion_codes]


def _mean_of_repeats(plan: Plan, kept: pd.DataFrame, out: Exclusions) -> pd.DataFrame:
    key = KEY[:-1]
    codes = pd.DataFrame({column: pd.factorize(kept[column])[0] for column in key})
    used = {(under, metric) for _, metric, under in plan.metric_rows()}
    several = codes.duplicated(keep=False).to_numpy() & (kept["rater_kind"] != "human").to_numpy()
    if not several.any():
        return kept
    several &= np.array([pair in used for pair in zip(kept["criterion"], kept["rater"], strict=True)])
    groups = kept[several].groupby(key, sort=False)
    means = groups.first().assign(value=groups["value"].mean(), repeat="0")
    if "side" in kept:
        means["side"] = means["side"].where(groups["side"].nunique() == 1)
    means = means.reset_index()
    for model, n in (kept[several]["model"].value_counts() - means["model"].value_counts()).items():
        out.add("scores", str(model), "repeats of a metric, averaged", n)
    return pd.concat([kept[~several], means[list(kept.columns)]], ignore_index=True)


def _tidy(kept: pd.DataFrame) -> pd.DataFrame:
    columns = [column for column in SCORE_COLUMNS if column in kept]
    texts = [one for one in columns if one not in ("value", "inclusion_prob", "rationale", "source")]
    types = dict.fromkeys(texts, "str") | {"value": float, "inclusion_prob": float}
    return kept[columns].astype(types).reset_index(drop=True)
