"""What live requests must be before anything is computed from them: shadow, canary, and anchor items read again."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from migration_kit.contract.canary import check_canary
from migration_kit.contract.exclusions import Exclusions, names_of, one_row_each
from migration_kit.contract.items import NO_SLICE, SLICE_JOINT
from migration_kit.contract.live_texts import output_texts, with_texts
from migration_kit.contract.preferences import KEY, from_candidates
from migration_kit.contract.values import check_judgments, keep_values
from migration_kit.errors import Problems, did_you_mean, listing, nearest, quote
from migration_kit.plan import LIVE_STAGES, PREFERENCE_COLUMNS, Plan
from migration_kit.readers.cells import among, places
from migration_kit.wording import counted

LIVE_FRAME = {
    "item_id": "str", "model": "str", "stage": "str", "time": "datetime64[ns, UTC]", "user": "str", "criterion": "str",
    "rater": "str", "rater_kind": "str", "value": "float64", "inclusion_prob": "float64", "assigned_prob": "float64",
    "slice": "str",
}
ISO = r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?: ?Z|[+-]\d{2}:?\d{2})?)?"
YEARS = (1970, 2200)


def no_live() -> pd.DataFrame:
    """Return the live rows of a plan that names none."""
    return pd.DataFrame({column: pd.Series(dtype=kind) for column, kind in LIVE_FRAME.items()})


def check_live(
    plan: Plan, raw: pd.DataFrame, *, items: pd.DataFrame, traffic: pd.DataFrame, problems: Problems, out: Exclusions
) -> pd.DataFrame:
    """Keep the live rows that the plan names, and hold them against it.

    Returns
    -------
    DataFrame
        Columns `LIVE_FRAME`, then the plan's slice columns and covariates, opponent and side where it compares, and
        text where outputs of the shadow have one.
        Shadow rows are metrics and human judgments of the plan's criteria, on requests that the incumbent and a
        candidate answered; canary rows are live outcomes of users who met one model; anchor rows are metrics.
    """
    out.add("live", "", "outside `where`", raw.attrs["outside_where"])
    _check_stages(raw, problems)
    rows = raw.assign(time=_times(raw, problems))
    problems.stop()
    kept = [_named_by_plan(plan, here, str(stage), problems=problems, out=out)
            for stage, here in rows.groupby("stage", sort=False)]
    problems.stop()
    rows = _with_slices(plan, pd.concat(kept, ignore_index=True), items=items, traffic=traffic, problems=problems)
    texts = output_texts(rows, problems=problems, out=out)
    problems.stop()
    canary = rows["stage"] == "canary"
    read = keep_values(plan, rows[~canary], table="live", problems=problems, out=out)
    check_judgments(plan, read, raw=raw, table="live", problems=problems)
    read = from_candidates(plan, read, raw=raw, table="live", outputs=None, problems=problems, out=out)
    shadow, anchor = read[read["stage"] == "shadow"], read[read["stage"] == "anchor"]
    one_row_each(shadow, KEY, problems)
    # Anchor items may be read again every week.
    one_row_each(anchor, [*KEY, "time"], problems)
    users = rows[canary].drop(columns=list(PREFERENCE_COLUMNS), errors="ignore")
    stages = [_answered_by_both(plan, shadow, raw=raw, problems=problems, out=out),
              check_canary(plan, users, raw=raw, problems=problems, out=out),
              _on_items(anchor, items=items, problems=problems, out=out)]
    problems.stop()
    live = _tidy(plan, with_texts(pd.concat(stages, ignore_index=True), texts))
    _tell_missing(plan, live, names_of(raw), problems=problems, out=out)
    problems.stop()
    return live


def check_stakeholders(plan: Plan, items: pd.DataFrame, problems: Problems) -> None:
    """Note stakeholders whose slice no item has."""
    slices = sorted(items["slice"].unique())
    for number, one in enumerate(plan.stakeholders):
        if one.slice is not None and one.slice not in slices:
            problems.add(plan.path.name, f"stakeholders.{number}.slice: slice {quote(one.slice)} is in no item"
                                         f"{did_you_mean(one.slice, slices)}; the slices are {listing(slices, 12)}")


def _check_stages(raw: pd.DataFrame, problems: Problems) -> None:
    wrong = ~raw["stage"].isin(LIVE_STAGES)
    for file, where, rows in places(raw, wrong) if wrong.any() else ():
        found = rows["stage"].iloc[0]
        told = "is empty" if pd.isna(found) else f"found {quote(found)}"
        hint = "" if pd.isna(found) else did_you_mean(found, LIVE_STAGES)
        problems.add(file, f"column 'stage', {where}: {told}, expected one of {listing(LIVE_STAGES)}{hint}")


def _times(raw: pd.DataFrame, problems: Problems) -> pd.Series:
    text = raw["time"].str.upper()
    iso = text.where(text.str.fullmatch(ISO).fillna(False).astype(bool))
    times = pd.to_datetime(iso, format="ISO8601", utc=True, errors="coerce")
    wrong = ~times.dt.year.between(*YEARS)
    for file, where, rows in places(raw, wrong) if wrong.any() else ():
        found = rows["time"].iloc[0]
        told = "is empty" if pd.isna(found) else f"found {quote(found)}"
        problems.add(file, f"column 'time', {where}: {told}, expected a date or a moment such as 2026-11-03 or "
                           "2026-11-03T14:05:00Z (without a zone it is UTC)")
    return times.mask(wrong).dt.as_unit("ns")


def _named_by_plan(
    plan: Plan, here: pd.DataFrame, stage: str, *, problems: Problems, out: Exclusions
) -> pd.DataFrame:
    """Keep the rows of one stage that are of the plan's models, and of its outcomes, criteria or metrics."""
    human = here["rater_kind"] == "human"
    judged = {one.id for one in plan.criteria}
    if stage == "canary":
        what, valid = "outcome", {one.id for one in plan.live_outcomes}
        named = here["criterion"].isin(valid)
    else:
        used = {(under, metric) for _, metric, under in plan.metric_rows()}
        required = {one.criterion for one in plan.requirements if one.criterion} if stage == "shadow" else set()
        what, valid = "criterion", judged | {under for under, _ in used} | required
        pairs = pd.MultiIndex.from_frame(here[["criterion", "rater"]])
        named = pd.Series(pairs.isin(list(used)), index=here.index) & ~human
        if stage == "shadow":
            named |= (human & here["criterion"].isin(judged)) | here["criterion"].isin(required - judged)
    known = here["model"].isin(plan.model_ids)
    both = known & here["criterion"].isin(valid)
    _misspelt(here, "model", plan.model_ids, stage=stage, what="model", problems=problems)
    _misspelt(here[known], "criterion", sorted(valid), stage=stage, what=what, problems=problems)
    if not (known & named).any():
        names = "live_outcomes" if stage == "canary" else "criteria and metrics"
        place = sorted(valid) if stage == "canary" else plan.metric_rows()
        expected = listing(place if stage == "canary" else dict.fromkeys(metric for _, metric, _ in place))
        problems.add(names_of(here), f"stage {quote(stage)}: no row is of the plan's models and {names} ({expected}); "
                                     f"its models are {listing(here['model'].unique())}, its criteria "
                                     f"{listing(here['criterion'].unique())}, its raters "
                                     f"{listing(here['rater'].unique())}")
        return here
    out.add_rows("live", here[~known], "model not in the plan")
    out.add_rows("live", here[known & ~both], f"{what} not in the plan")
    rest = both & ~named
    out.add_rows("live", here[rest & ~human], "metric not in the plan")
    out.add_rows("live", here[rest & human], "human judgments of anchor items" if stage == "anchor"
                 else "human judgments of a metric's criterion")
    return here[known & named]


def _misspelt(
    here: pd.DataFrame, column: str, valid: Collection[str], *, stage: str, what: str, problems: Problems
) -> None:
    """Note names that are not the plan's and near to one of its own that the stage lacks."""
    there = set(here[column].unique())
    for name in sorted(there - set(valid)):
        meant = nearest(name, valid)
        if meant is not None and meant not in there:
            for file, where, _ in places(here, here[column] == name):
                problems.add(file, f"column {quote(column)}, {where}: {what} {quote(name)} of stage {quote(stage)} is "
                                   f"not in the plan; did you mean {quote(meant)}?")


def _with_slices(
    plan: Plan, rows: pd.DataFrame, *, items: pd.DataFrame, traffic: pd.DataFrame, problems: Problems
) -> pd.DataFrame:
    """Give every row its slice: that of the request, or of the item of the test set."""
    if not plan.slices:
        return rows.assign(slice=NO_SLICE)
    by_item, before = items.set_index("item_id"), len(problems.lines)
    anchor = rows["stage"] == "anchor"
    for column in plan.slices:
        of_item = rows["item_id"].map(by_item[column])
        own = rows[column] if column in rows else pd.Series(None, index=rows.index, dtype="str")
        rows = rows.assign(**{column: of_item.where(anchor | own.isna(), own).astype("str")})
        lost = rows[column].isna() & ~anchor
        for file, where, found in places(rows, lost) if lost.any() else ():
            problems.add(file, f"column {quote(column)}, {where}: the request has no slice (item_id "
                               f"{listing(found['item_id'].unique(), 3)}); every row of shadow and canary needs it, "
                               "because the plan's slices name it")
    if len(problems.lines) > before:
        return rows
    named = [rows[column] for column in plan.slices]
    rows = rows.assign(slice=named[0].str.cat(named[1:], sep=SLICE_JOINT))
    unknown = ~rows["slice"].isin(traffic["slice"]) & ~anchor
    for name in sorted(rows.loc[unknown, "slice"].unique()):
        for file, where, _ in places(rows, rows["slice"] == name):
            problems.add(file, f"{where}: slice {quote(name)} is in no item of the test set, so nothing was promised "
                               f"of it{did_you_mean(name, traffic['slice'])}; add items and traffic of it, or leave "
                               "its requests out with `where`")
    several = rows[~anchor].groupby(["stage", "item_id"])["slice"].nunique() > 1
    for stage, item in several[several].index[:3] if not unknown.any() else ():
        here = rows[(rows["stage"] == stage) & (rows["item_id"] == item)]
        for file, where, found in places(here, here["slice"].notna()):
            problems.add(file, f"{where}: request {quote(item)} has several slices "
                               f"({listing(found['slice'].unique(), 3)}); expected one")
    return rows


def _answered_by_both(
    plan: Plan, shadow: pd.DataFrame, *, raw: pd.DataFrame, problems: Problems, out: Exclusions
) -> pd.DataFrame:
    """Keep the shadow requests that the incumbent and a candidate answered."""
    if shadow.empty:
        return shadow
    answers = shadow[["item_id", "model"]]
    if "opponent" in shadow:
        against = shadow.loc[shadow["opponent"].notna(), ["item_id", "opponent"]]
        answers = pd.concat([answers, against.rename(columns={"opponent": "model"})])
    old = answers["model"] == plan.incumbent
    both = set(answers.loc[old, "item_id"]) & set(answers.loc[~old, "item_id"])
    if not both:
        problems.add(names_of(raw), f"stage 'shadow': no request was answered by both the incumbent "
                                    f"{quote(plan.incumbent)} and a candidate; its models are "
                                    f"{listing(answers['model'].unique())}; give both the same requests, under one "
                                    "item_id")
    lost = ~shadow["item_id"].isin(both)
    out.add_rows("live", shadow[lost], "shadow request without an answer of the incumbent and of a candidate")
    return shadow[~lost]


def _on_items(anchor: pd.DataFrame, *, items: pd.DataFrame, problems: Problems, out: Exclusions) -> pd.DataFrame:
    unknown = ~among(anchor["item_id"], items["item_id"])
    if len(anchor) and unknown.all():
        found = listing(anchor["item_id"].unique(), 3)
        problems.add(names_of(anchor), f"stage 'anchor': none of its item_ids ({found}) is in the items "
                                       f"({listing(items['item_id'], 3)}); anchor items are items of the test set "
                                       "whose metrics are computed again")
    out.add_rows("live", anchor[unknown], "anchor item not in items")
    return anchor[~unknown]


def _tell_missing(plan: Plan, live: pd.DataFrame, place: str, *, problems: Problems, out: Exclusions) -> None:
    """Tell which metrics the shadow lacks, and note models that lack every metric of a criterion that others have."""
    models = set(live.loc[live["stage"] == "shadow", "model"])
    shadow = live[(live["stage"] == "shadow") & (live["rater_kind"] != "human")]
    judged = live.loc[(live["stage"] == "shadow") & (live["rater_kind"] == "human"), "criterion"]
    of = {key: set(found) for key, found in shadow.groupby(["criterion", "rater"])["model"]}
    compared = set(shadow.loc[shadow["opponent"].notna(), "rater"]) if "opponent" in shadow else set()
    for criterion in plan.criteria:
        have = {metric: of.get((plan.metric_criterion(metric, criterion.id), metric), set())
                for metric in criterion.metrics}
        lost = [metric for metric, found in have.items() if not found]
        n = int((judged == criterion.id).sum())
        if lost and len(lost) < len(have) and (n or criterion.role == "gate"):
            out.note(f"{place}: shadow requests have no {listing(lost)} of {quote(criterion.id)}; on live requests "
                     "that criterion is calibrated without.")
        if len(lost) == len(have):
            if n:
                out.note(f"{place}: {counted(n, 'human judgment')} of {quote(criterion.id)} on shadow requests "
                         "cannot be used, because no metric of that criterion stands there.")
            continue
        compares = set(have) - set(lost) <= compared
        asked = models - {plan.incumbent} if compares else models | {plan.incumbent}
        for model in sorted(asked - set().union(*have.values())):
            problems.add(place, f"stage 'shadow': model {quote(model)} has no row of any metric of criterion "
                                f"{quote(criterion.id)} ({listing([one for one in have if one not in lost])}), "
                                "which other models have; add its scores or leave its requests out with `where`")


def _tidy(plan: Plan, rows: pd.DataFrame) -> pd.DataFrame:
    rows = rows.assign(**{name: rows.get(name, pd.Series(np.nan, index=rows.index))
                          for name in ("user", "inclusion_prob", "assigned_prob")})
    rows["user"] = rows["user"].astype("str").where(rows["user"].notna(), rows["item_id"])
    more = [*plan.slices, *plan.covariates, *(("opponent", "side") if "opponent" in rows else ()), "text"]
    columns = [*LIVE_FRAME, *(name for name in dict.fromkeys(more) if name in rows and name not in LIVE_FRAME)]
    words = {*plan.slices, "opponent", "side", "text"}
    kinds = LIVE_FRAME | dict.fromkeys([one for one in columns if one in words], "str")
    return rows[columns].astype(kinds).reset_index(drop=True)
