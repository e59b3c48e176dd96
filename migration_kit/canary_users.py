"""Users of a canary, each counted once: what they did, when they came, and with which probability they got a model."""

import numpy as np
import pandas as pd

from migration_kit.data import EvalData
from migration_kit.plan import Plan
from migration_kit.plan_live import LiveOutcomeSpec

SAME_SHARE = 0.2
ASSUMED_RATE, ASSUMED_SD = 0.5, 0.25
RATES = ("mean", "sd", "answered", "users")
SUMS = ("n", "total", "squares")


def canary_users(data: EvalData, plan: Plan) -> pd.DataFrame:
    """One row a user and live outcome.

    Returns
    -------
    DataFrame
        criterion, user, model, slice (of the user's first request), value (mean of all), first_value (mean of the
        first day on which the user has the outcome), day (that day), period (that day, or the hour where shares
        changed on that day), assigned_prob (on that day; with which the user was given this model).
    """
    rows = data.live[data.live["stage"] == "canary"].sort_values("time", kind="stable")
    rows = rows.assign(day=rows["time"].dt.floor("D"))
    several = rows.groupby(["day", "model"])["assigned_prob"].transform("nunique") > 1
    changed = rows["day"].isin(rows.loc[several, "day"])
    rows = rows.assign(period=rows["day"].mask(changed, rows["time"].dt.floor("h")))
    where = rows.drop_duplicates("user").set_index("user")["slice"]
    of_user = ["criterion", "user"]
    first = rows[rows["day"] == rows.groupby(of_user)["day"].transform("min")]
    table = first.groupby(of_user).agg(
        model=("model", "first"), first_value=("value", "mean"), day=("day", "first"), period=("period", "first"),
        assigned_prob=("assigned_prob", "first"))
    table["value"] = rows.groupby(of_user)["value"].mean()
    table = table.reset_index()
    return table.assign(slice=table["user"].map(where))[
        [*of_user, "model", "slice", "value", "first_value", "day", "period", "assigned_prob"]]


def planned_shares(users: pd.DataFrame, model: str, plan: Plan) -> pd.Series:
    """Share of users that were to be given a candidate, by period; where it is not told, the share that was, by day.

    A share near one of the plan's ramp is that one.
    """
    mine = users[users["model"] == model]
    told = mine.dropna(subset="assigned_prob").groupby("period")["assigned_prob"].agg(lambda part: part.mode().iloc[0])
    if told.empty:
        seen = users[users["model"].isin([model, plan.incumbent])]
        told = (seen["model"] == model).groupby(seen["period"]).mean()
    steps = np.array(plan.ramp)
    near = steps[np.abs(np.log(told.to_numpy()[:, None] / steps)).argmin(axis=1)] if len(told) else np.zeros(0)
    snapped = np.where(np.abs(near / told.to_numpy() - 1) <= SAME_SHARE, near, told)
    periods = pd.Index(sorted(users["period"].unique()))
    return pd.Series(snapped, index=told.index).reindex(periods).ffill().bfill()


def scaled(values: pd.Series, outcome: LiveOutcomeSpec) -> pd.Series:
    """Put values between the worse end of an outcome's limits, 0, and the better one, 1."""
    low, high = outcome.limits
    share = (values.clip(low, high) - low) / (high - low)
    return share if outcome.better == "higher" else 1 - share


def ramp_counts(data: EvalData, plan: Plan) -> pd.DataFrame:
    """Users of every day for the bounds of the ramp, each on the first day on which he has the outcome.

    Returns
    -------
    DataFrame
        model, criterion (live gates only), day, share (of users to be given the candidate), n, total, squares,
        n_incumbent, total_incumbent, squares_incumbent: sums of values on the scale of `scaled`. In time order; a day
        on which the share changed has a row for each share.
    """
    users, parts = canary_users(data, plan), []
    for model in (name for name in plan.candidates if (users["model"] == name).any()):
        shares = planned_shares(users, model, plan)
        since = users.loc[users["model"] == model, "day"].min()
        both = users[users["model"].isin([model, plan.incumbent]) & (users["day"] >= since)]
        for outcome in plan.live_gates:
            mine = both[both["criterion"] == outcome.id]
            value = scaled(mine["first_value"], outcome)
            mine = mine.assign(share=mine["period"].map(shares), new=mine["model"] == model, total=value,
                               squares=value**2)
            sums = mine.groupby(["day", "share", "new"]).agg(
                n=("total", "size"), total=("total", "sum"), squares=("squares", "sum"))
            wide = sums.unstack(fill_value=0).reindex(
                columns=pd.MultiIndex.from_product([SUMS, [True, False]]), fill_value=0)
            wide.columns = [f"{name}{'' if new else '_incumbent'}" for name, new in wide.columns]
            parts.append(wide.reset_index().assign(model=model, criterion=outcome.id))
    columns = ["model", "criterion", "day", "share", *SUMS, *(f"{name}_incumbent" for name in SUMS)]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def base_rates(data: EvalData, plan: Plan) -> pd.DataFrame:
    """What is known of every live gate before a ramp: the incumbent's users of the canary.

    Returns
    -------
    DataFrame
        Indexed by the outcome's id: mean, sd (between users), answered (share of users who have the outcome), users.
        Without users of the incumbent the widest there is, a rate of a half, and every user answers; users is then 0.
    """
    users = canary_users(data, plan)
    old = users[users["model"] == plan.incumbent]
    everyone, rows = old["user"].nunique(), {}
    for outcome in plan.live_gates:
        value = old.loc[old["criterion"] == outcome.id, "first_value"]
        low, high = outcome.limits
        if len(value) > 1:
            rows[outcome.id] = (value.mean(), value.std(), len(value) / everyone, len(value))
        else:
            sd = ASSUMED_RATE if outcome.scale == "binary" else ASSUMED_SD
            rows[outcome.id] = (low + ASSUMED_RATE * (high - low), sd * (high - low), 1.0, 0)
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(RATES)).astype({"users": int})
