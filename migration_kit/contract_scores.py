"""What scores and held-out judgments must be before anything is computed from them."""

import numpy as np
import pandas as pd

from migration_kit.contract import Exclusions, check_models, names_of, one_row_each
from migration_kit.errors import Problems, did_you_mean, listing, quote
from migration_kit.plan import SCORE_COLUMNS, SCORE_REQUIRED, Plan
from migration_kit.readers.cells import places
from migration_kit.readers.table import FOUND, not_a_number

KEY = ["item_id", "model", "criterion", "rater", "repeat"]


def check_scores(
    plan: Plan, raw: pd.DataFrame, *, items: pd.DataFrame, problems: Problems, out: Exclusions
) -> pd.DataFrame:
    """Keep the scores that the plan names, and hold them against it.

    Returns
    -------
    DataFrame
        item_id, model, criterion, rater, rater_kind, value (finite), repeat ("0" where not given), inclusion_prob
        (missing where not given), rationale and source where given. Several repeats of a metric are one mean value.
    """
    out.add("scores", "", "outside `where`", raw.attrs["outside_where"])
    here = _on_items(plan, raw, "scores", items=items, problems=problems, out=out)
    named = _named_by_plan(plan, here)
    auto = here["rater_kind"] != "human"
    known = here["criterion"].isin(_criteria(plan))
    out.add_rows("scores", here[~named & ~known], "criterion not in the plan")
    out.add_rows("scores", here[~named & known & auto], "metric not in the plan")
    out.add_rows("scores", here[~named & known & ~auto], "human judgments of a metric's criterion")
    kept = _values(here[named], "scores", problems=problems, out=out)
    _judgments(plan, kept, problems)
    one_row_each(kept, KEY, problems)
    check_models(plan, here["model"], found=raw["model"], what="score", problems=problems)
    _check_criteria(plan, kept, raw, problems)
    _check_requirements(plan, kept, raw, problems)
    problems.stop()
    return _tidy(_mean_of_repeats(plan, kept, out))


def check_held_out(
    plan: Plan, raw: pd.DataFrame, *, items: pd.DataFrame, problems: Problems, out: Exclusions
) -> pd.DataFrame:
    """Keep the human judgments set aside: shape of scores, values in [0, 1], several raters allowed."""
    out.add("held_out", "", "outside `where`", raw.attrs["outside_where"])
    here = _on_items(plan, raw, "held_out", items=items, problems=problems, out=out)
    human = here["rater_kind"] == "human"
    known = here["criterion"].isin([criterion.id for criterion in plan.criteria])
    out.add_rows("held_out", here[~human], "not a human judgment")
    out.add_rows("held_out", here[human & ~known], "criterion not in the plan")
    kept = _values(here[human & known], "held_out", problems=problems, out=out)
    for file, where, rows in places(kept, (kept["value"] < 0) | (kept["value"] > 1)):
        problems.add(file, f"column 'value', {where}: found {rows['value'].iloc[0]:g}, expected 0 to 1")
    _probabilities(kept, problems)
    one_row_each(kept, KEY, problems)
    if kept.empty:
        problems.add(names_of(raw), "holds no human judgment of the plan's criteria, models and items; "
                                    f"its criteria are {listing(raw['criterion'].unique())}")
    problems.stop()
    return _tidy(kept)


def count_missing(
    plan: Plan, *, items: pd.DataFrame, outputs: pd.DataFrame, scores: pd.DataFrame, out: Exclusions
) -> None:
    """Count, for each model, the items without output and the outputs without a metric: missing stays missing."""
    pairs = [frame[["item_id", "model"]] for frame in (outputs, scores) if len(frame)]
    n_outputs = pd.concat(pairs).drop_duplicates()["model"].value_counts()
    for model in plan.model_ids:
        out.add("outputs", model, "no output for the item", len(items) - n_outputs.get(model, 0))
    automatic = scores[scores["rater_kind"] != "human"]
    counts = automatic.groupby(["criterion", "rater", "model"])["item_id"].nunique()
    for criterion, metric, under in metric_rows(plan):
        for model in plan.model_ids:
            n = n_outputs.get(model, 0) - counts.get((under, metric, model), 0)
            out.add("scores", model, f"metric {metric!r} of {criterion!r} missing for the output", n)


def metric_rows(plan: Plan) -> list[tuple[str, str, str]]:
    """Return (criterion, metric, criterion the metric's rows stand under) for every use of a metric."""
    return [(one.id, name, plan.metric_criterion(name, one.id)) for one in plan.criteria for name in one.metrics]


def _criteria(plan: Plan) -> set[str]:
    """Every criterion whose rows are needed: judged, under which a metric stands, or required."""
    required = {one.criterion for one in plan.requirements if one.criterion}
    return {one.id for one in plan.criteria} | {under for _, _, under in metric_rows(plan)} | required


def _on_items(
    plan: Plan, raw: pd.DataFrame, table: str, *, items: pd.DataFrame, problems: Problems, out: Exclusions
) -> pd.DataFrame:
    """Keep the rows of the plan's models and items."""
    unknown_model = ~raw["model"].isin(plan.model_ids)
    unknown_item = ~raw["item_id"].isin(items["item_id"])
    lost = unknown_item.groupby(raw["_table"]).all()
    for number in lost[lost].index:
        rows = raw[raw["_table"] == number]
        problems.add(names_of(rows), f"none of its item_ids ({listing(rows['item_id'].unique(), 3)}) is in the items "
                                     f"({listing(items['item_id'], 3)})")
    if lost.any():
        problems.stop()
    out.add_rows(table, raw[unknown_model], "model not in the plan")
    out.add_rows(table, raw[~unknown_model & unknown_item], "item not in items")
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
    for _, metric, under in metric_rows(plan):
        if under in place and metric in rater:
            used[place[under], rater[metric]] = True
    human = (here["rater_kind"] == "human").to_numpy()
    is_judged = np.array([name in judged for name in criteria], dtype=bool)
    is_whole = np.array([name in whole for name in criteria], dtype=bool)
    if not len(here):
        return np.zeros(0, dtype=bool)
    return np.where(human, is_judged[criterion_codes], used[criterion_codes, rater_codes]) | is_whole[criterion_codes]


def _values(frame: pd.DataFrame, table: str, *, problems: Problems, out: Exclusions) -> pd.DataFrame:
    """Keep the rows with a value; note those with something else than a number."""
    wrong = frame[FOUND].notna()
    for file, where, rows in places(frame, wrong) if wrong.any() else ():
        first = rows.iloc[0]
        problems.add(file, f"column 'value', {where} (criterion {quote(first['criterion'])}, rater "
                           f"{quote(first['rater'])}): {not_a_number(first[FOUND], 'value')}")
    empty = frame["value"].isna() & ~wrong
    out.add_rows(table, frame[empty], "empty value")
    kept = frame[~empty].reset_index(drop=True)
    repeat = kept["repeat"] if "repeat" in kept else pd.Series(None, index=kept.index, dtype="str")
    return kept.assign(repeat=repeat.fillna("0"), inclusion_prob=kept.get("inclusion_prob", np.nan))


def _judgments(plan: Plan, kept: pd.DataFrame, problems: Problems) -> None:
    """Note human judgments off the scale, several of one output, and odd inclusion probabilities."""
    human = kept[(kept["rater_kind"] == "human") & kept["criterion"].isin([one.id for one in plan.criteria])]
    for criterion in plan.criteria:
        rows = human[human["criterion"] == criterion.id]
        off = ~rows["value"].isin([0.0, 1.0]) & rows[FOUND].isna()
        for file, where, wrong in places(rows, off) if off.any() else ():
            problems.add(file, f"column 'value', {where}: found {wrong['value'].iloc[0]:g} for criterion "
                               f"{quote(criterion.id)}, expected 0 or 1 (scale binary)")
        _one_judgment(plan, rows, problems)
        _sampled(rows, problems)
    _probabilities(kept, problems)


def _one_judgment(plan: Plan, rows: pd.DataFrame, problems: Problems) -> None:
    several = rows.duplicated(["item_id", "model"], keep=False) & ~rows.duplicated(KEY, keep=False)
    if not several.any():
        return
    rows = rows[several]
    first = rows.iloc[0]
    same = rows[(rows["item_id"] == first["item_id"]) & (rows["model"] == first["model"])]
    table = int(first["_table"])
    spec = plan.data.scores[table]
    source = spec.columns["rater"].source if "rater" in spec.columns else "rater"
    raters = list(rows["rater"].unique())
    how = (f"choose one rater, e.g. data.scores.{table}: where: {{{source or 'rater'}: {raters[0]}}}"
           if len(raters) > 1 else "keep one of its repeats")
    place = " and ".join(f"{file} {where}" for file, where, _ in places(same, same["value"].notna()))
    problems.add(names_of(rows), f"criterion {quote(first['criterion'])} has several human judgments of one output "
                                 f"({len(rows.drop_duplicates(['item_id', 'model']))} outputs; item "
                                 f"{quote(first['item_id'])} of model {quote(first['model'])} in {place}; raters "
                                 f"{listing(raters)}); expected one: {how}")


def _sampled(rows: pd.DataFrame, problems: Problems) -> None:
    given = rows["inclusion_prob"].notna()
    if given.any() and not given.all():
        for file, where, _ in places(rows, ~given):
            problems.add(file, f"column 'inclusion_prob', {where}: is empty while other human judgments of criterion "
                               f"{quote(rows['criterion'].iloc[0])} have one; expected all or none")


def _probabilities(kept: pd.DataFrame, problems: Problems) -> None:
    wrong = (kept["inclusion_prob"] <= 0) | (kept["inclusion_prob"] > 1)
    for file, where, rows in places(kept, wrong) if wrong.any() else ():
        problems.add(file, f"column 'inclusion_prob', {where}: found {rows['inclusion_prob'].iloc[0]:g}, expected a "
                           "probability above 0 and up to 1")


def _check_criteria(plan: Plan, kept: pd.DataFrame, raw: pd.DataFrame, problems: Problems) -> None:
    """Note criteria without human labels, metrics without rows, and models without any metric of a criterion."""
    name = plan.path.name
    auto = kept["rater_kind"] != "human"
    labelled = set(kept.loc[~auto, "criterion"].unique())
    counts = kept[auto].groupby(["criterion", "rater", "model"]).size()
    have, with_rows = set(kept["model"].unique()), set(counts.index.droplevel("model"))
    judged = list(raw.loc[raw["rater_kind"] == "human", "criterion"].unique())
    raters = raw[raw["rater_kind"] != "human"].groupby("rater")["criterion"].unique()
    for number, criterion in enumerate(plan.criteria):
        if criterion.id not in labelled:
            others = [one for one in judged if one != criterion.id]
            found = f"human judgments are of {listing(judged)}" if judged else "scores hold no human judgment at all"
            problems.add(name, f"criteria.{number}.id: criterion {quote(criterion.id)} has no human labels for the "
                               f"plan's models and items; {found}{did_you_mean(criterion.id, others)}")
            if criterion.id not in judged and did_you_mean(criterion.id, others):
                continue
        rows = [(plan.metric_criterion(metric, criterion.id), metric) for metric in criterion.metrics]
        for place, (under, metric) in enumerate(rows):
            if (under, metric) not in with_rows:
                problems.add(name, f"criteria.{number}.metrics.{place}: metric {quote(metric)} has no row under "
                                   f"criterion {quote(under)}; {_why_no_row(under, metric, raters)}")
        for model in [one for one in plan.model_ids if one in have and with_rows]:
            if not any((*row, model) in counts.index for row in rows):
                problems.add(name, f"criteria.{number}: model {quote(model)} has no row of any metric of criterion "
                                   f"{quote(criterion.id)} ({listing(criterion.metrics)}); add its scores or leave "
                                   "the model out")


def _why_no_row(under: str, metric: str, raters: pd.Series) -> str:
    if metric not in raters.index:
        return f"scores have the metrics {listing(raters.index)}{did_you_mean(metric, raters.index)}"
    if under in raters[metric]:
        return "it has no value for the plan's models and items"
    return f"its rows stand under {listing(raters[metric])}: say so with metrics: [{{id: {metric}, criterion: ...}}]"


def _check_requirements(plan: Plan, kept: pd.DataFrame, raw: pd.DataFrame, problems: Problems) -> None:
    """Note required criteria that the scores do not have."""
    have = set(kept["criterion"].unique())
    for number, requirement in enumerate(plan.requirements):
        if requirement.criterion and requirement.criterion not in have:
            criteria = raw["criterion"].unique()
            problems.add(plan.path.name, f"requirements.{number}.criterion: scores hold no criterion "
                                         f"{quote(requirement.criterion)} for the plan's models and items; found "
                                         f"{listing(criteria)}{did_you_mean(requirement.criterion, criteria)}")


def _mean_of_repeats(plan: Plan, kept: pd.DataFrame, out: Exclusions) -> pd.DataFrame:
    key = KEY[:-1]
    codes = pd.DataFrame({column: pd.factorize(kept[column])[0] for column in key})
    used = {(under, metric) for _, metric, under in metric_rows(plan)}
    several = codes.duplicated(keep=False).to_numpy() & (kept["rater_kind"] != "human").to_numpy()
    if not several.any():
        return kept
    several &= np.array([pair in used for pair in zip(kept["criterion"], kept["rater"], strict=True)])
    groups = kept[several].groupby(key, sort=False)
    means = groups.first().assign(value=groups["value"].mean(), repeat="0").reset_index()
    for model, n in (kept[several]["model"].value_counts() - means["model"].value_counts()).items():
        out.add("scores", str(model), "repeats of a metric, averaged", n)
    return pd.concat([kept[~several], means[list(kept.columns)]], ignore_index=True)


def _tidy(kept: pd.DataFrame) -> pd.DataFrame:
    columns = [column for column in SCORE_COLUMNS if column in kept]
    types = dict.fromkeys([*SCORE_REQUIRED[:-1], "repeat"], "str") | {"value": float, "inclusion_prob": float}
    return kept[columns].astype(types).reset_index(drop=True)
