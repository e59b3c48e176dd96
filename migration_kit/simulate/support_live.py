"""The support assistant on live requests: shadow, canary, and test items whose judges are run again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from migration_kit.simulate.pairs import draw_latent, score_rows
from migration_kit.simulate.support_design import (
    SUPPORT_ANSWERS,
    SUPPORT_CANARY,
    SUPPORT_DRIFT,
    SUPPORT_FOOLED,
    SUPPORT_LIVE_LOSS,
    SUPPORT_METRICS,
    SUPPORT_MODELS,
    SUPPORT_OUTCOMES,
    SUPPORT_REFERENCE,
    SUPPORT_REGIONS,
    SUPPORT_SHADOW,
    SupportMetric,
    metric_values,
)

GATES = {"correct": 1, "refusal": -1, "style": 1}
TRAFFIC, SHIFT = (SUPPORT_REGIONS[name].to_numpy() for name in ("traffic", "shift"))
REGIONS = SUPPORT_REGIONS.index.to_numpy()
COLUMNS = ["item_id", "model", "stage", "time", "user", "criterion", "rater", "rater_kind", "value", "assigned_prob",
           "inclusion_prob", "region", "output_chars"]
TRUTH = ["stage", "criterion", "metric", "model", "slice", "statistic", "value", "contrast", "gap"]
SHARED = 0.3


def draw_live(
    rates: Mapping[str, np.ndarray],
    *,
    item_id: np.ndarray,
    truth: Mapping[str, np.ndarray],
    hardness: np.ndarray,
    scores: pd.DataFrame,
    streams: Iterator[np.random.Generator],
) -> pd.DataFrame:
    """Draw the live rows of the support assistant.

    Parameters
    ----------
    rates : mapping
        Exact rates on the test set, arrays with dims (model, region).
    item_id, hardness : ndarray (item,)
        Of the test set.
    truth : mapping
        Whether an output of the test set is correct, refused, in good style; dims (item, model).
    scores : DataFrame
        What judges said of the test set.
    streams : iterator of Generator

    Returns
    -------
    DataFrame
        Columns ``COLUMNS``.
    """
    tables = [_shadow(live_rates(rates), streams), _canary(streams),
              _anchor(item_id, truth=truth, hardness=hardness, scores=scores, streams=streams)]
    return pd.concat([table.reindex(columns=COLUMNS) for table in tables], ignore_index=True)


def live_rates(rates: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the exact rates on live requests, dims (model, region): as promised, but for one candidate."""
    model, loss = SUPPORT_LIVE_LOSS
    found = {name: rates[name].copy() for name in GATES}
    found["correct"][SUPPORT_MODELS.index.get_loc(model)] -= loss
    return found


def outcome_rates() -> dict[str, np.ndarray]:
    """Return the exact rates of what users do, dims (model, region).

    ``resolved`` and ``thumbs_up`` are of all users, ``response`` is the share who say whether they are pleased, and
    ``thumbs_up_said`` the share of those who are.
    """
    found = {name: ndtr(ndtri(SUPPORT_OUTCOMES[[name]].to_numpy()) + SHIFT) for name in ("resolved", "thumbs_up")}
    pleased, displeased = (SUPPORT_ANSWERS[name].to_numpy() for name in ("pleased", "displeased"))
    said = found["thumbs_up"] * pleased
    found["response"] = said + (1 - found["thumbs_up"]) * displeased
    return found | {"thumbs_up_said": said / found["response"]}


def live_truth(rates: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Return what is true of live requests, exactly; positive contrasts are better, slice ``all`` is under traffic.

    Columns ``TRUTH``: ``gap`` is the contrast less that of the test set; ``metric`` names judges run again, whose value
    is the share of verdicts 0 that have turned to 1.
    """
    rows, shown = [], [SUPPORT_MODELS.index.get_loc(model) for model in SUPPORT_SHADOW.models]
    for criterion, exact in live_rates(rates).items():
        live, test = (_with_total(one[shown], sign=GATES[criterion]) for one in (exact, rates[criterion]))
        rows.append(live.assign(stage="shadow", criterion=criterion, gap=live["contrast"] - test["contrast"],
                                model=np.array(SUPPORT_SHADOW.models)[live["place"]], statistic="mean"))
    users = outcome_rates()
    names = {"resolved": ("resolved", "mean"), "thumbs_up": ("thumbs_up", "mean"),
             "response": ("thumbs_up", "share who answer"), "thumbs_up_said": ("thumbs_up", "mean of answers")}
    for name, (criterion, statistic) in names.items():
        weight = TRAFFIC * users["response"] if name == "thumbs_up_said" else TRAFFIC
        rows.append(_with_total(users[name], sign=1, weight=weight).assign(
            stage="canary", criterion=criterion, statistic=statistic))
    seconds = _mean_seconds()
    rows.append(pd.DataFrame({"place": [0, 1], "slice": "all", "value": seconds, "contrast": seconds[0] - seconds,
                              "stage": "canary", "criterion": "latency", "statistic": "mean"}))
    for table in rows[len(GATES):]:
        table["model"] = SUPPORT_OUTCOMES.index.to_numpy()[table["place"]]
    judge, share = SUPPORT_DRIFT
    judges = [(name, metric) for name, metric in SUPPORT_METRICS.items() if metric.rater_kind == "judge"]
    rows.append(pd.DataFrame([
        {"stage": "anchor", "criterion": metric.criterion, "metric": name, "statistic": "share of 0 turned to 1",
         "value": share if name == judge else 0.0} for name, metric in judges]))
    return pd.concat(rows, ignore_index=True).reindex(columns=TRUTH)


def _with_total(exact: np.ndarray, *, sign: int, weight: np.ndarray = TRAFFIC) -> pd.DataFrame:
    """Rows of arrays (model, region) with their total: place of the model, slice, value, contrast."""
    weight = np.broadcast_to(weight, exact.shape)
    total = (exact * weight).sum(axis=1, keepdims=True) / weight.sum(axis=1, keepdims=True)
    value = np.concatenate([exact, total], axis=1)
    place, slices = np.indices(value.shape)
    names = np.array([*REGIONS, "all"])
    return pd.DataFrame({"place": place.ravel(), "slice": names[slices.ravel()], "value": value.ravel(),
                         "contrast": (sign * (value - value[0])).ravel()})


def _shadow(rates: Mapping[str, np.ndarray], streams: Iterator[np.random.Generator]) -> pd.DataFrame:
    """Requests that several models answered: metrics on all, people's judgments on some drawn at random."""
    shown = [SUPPORT_MODELS.index.get_loc(model) for model in SUPPORT_SHADOW.models]
    n, rng = SUPPORT_SHADOW.requests, next(streams)
    region = rng.choice(len(REGIONS), size=n, p=TRAFFIC)
    minutes = np.sort(rng.choice(SUPPORT_SHADOW.days * 24 * 60, size=n, replace=False))
    (answer, hardness), (manner, _) = (draw_latent(n, len(shown), rng=next(streams)) for _ in range(2))
    level = {name: ndtri(rate[shown].T[region]) for name, rate in rates.items()}
    truth = {"correct": answer < level["correct"], "refusal": -answer < level["refusal"],
             "style": manner < level["style"]}
    length = np.exp(0.15 * hardness[:, None] + 0.3 * next(streams).standard_normal(answer.shape))
    chars = (length * SUPPORT_MODELS["chars"].to_numpy()[shown]).round().astype(int)
    item_id = np.array([f"s{k:04d}" for k in range(1, n + 1)])
    judged = np.sort(next(streams).permutation(n)[: SUPPORT_SHADOW.labels])
    rows, later = [], next(streams)
    for name, metric in SUPPORT_METRICS.items():
        if name == SUPPORT_REFERENCE:
            continue
        values = metric_values(_as_live(name, metric), truth[metric.criterion], hardness, rng=next(streams),
                               models=shown)
        if name == SUPPORT_DRIFT[0]:
            values = _drifted(values, later)
        rows.append(score_rows(item_id, SUPPORT_SHADOW.models, values, criterion=metric.criterion, rater=name,
                               rater_kind=metric.rater_kind))
    rows += [score_rows(item_id[judged], SUPPORT_SHADOW.models, y[judged], criterion=name, rater="support_lead",
                        rater_kind="human").assign(inclusion_prob=SUPPORT_SHADOW.labels / n)
             for name, y in truth.items()]
    moment = pd.Timestamp(SUPPORT_SHADOW.begins) + pd.to_timedelta(minutes, unit="min")
    requests = pd.DataFrame({"item_id": item_id, "time": moment.strftime("%Y-%m-%dT%H:%MZ"), "region": REGIONS[region]})
    outputs = pd.DataFrame({"item_id": np.tile(item_id, len(shown)), "model": np.repeat(SUPPORT_SHADOW.models, n),
                            "output_chars": chars.T.ravel()})
    return pd.concat(rows).merge(requests, on="item_id").merge(outputs, on=["item_id", "model"]).assign(stage="shadow")


def _as_live(name: str, metric: SupportMetric) -> SupportMetric:
    """Return how a metric reads live outputs: wrong answers of the candidate that does not transport fool it more."""
    other = dict(zip(SUPPORT_MODELS.index, metric.other, strict=True))
    other[SUPPORT_LIVE_LOSS[0]] = SUPPORT_FOOLED.get(name, other[SUPPORT_LIVE_LOSS[0]])
    return replace(metric, other=tuple(other.values()))


def _drifted(verdicts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.maximum(verdicts, rng.random(verdicts.shape) < SUPPORT_DRIFT[1])


def _canary(streams: Iterator[np.random.Generator]) -> pd.DataFrame:
    """Users given the incumbent or a candidate at random: was it resolved, how long did it take, were they pleased?"""
    rng, plan = next(streams), SUPPORT_CANARY
    share = np.concatenate([np.full(days, step) for step, days in plan.steps])
    day = np.repeat(np.arange(len(share)), plan.users_a_day)
    n, share = len(day), share[day]
    region, model = rng.choice(len(REGIONS), size=n, p=TRAFFIC), (rng.random(n) < share).astype(int)
    again = np.flatnonzero(rng.random(n) < plan.returning)
    who = np.sort(np.concatenate([np.arange(n), again]))
    first = np.r_[True, who[1:] != who[:-1]]
    rates, rng = outcome_rates(), next(streams)
    latent = np.sqrt(SHARED) * rng.standard_normal(n)[who] + np.sqrt(1 - SHARED) * rng.standard_normal(len(who))
    resolved = latent < ndtri(rates["resolved"][model, region])[who]
    place = [SUPPORT_MODELS.index.get_loc(name) for name in SUPPORT_OUTCOMES.index]
    middle, spread = (SUPPORT_MODELS[name].to_numpy()[place][model][who] for name in ("latency_median",
                                                                                      "latency_spread"))
    rng = next(streams)
    seconds = middle * np.exp(spread * rng.standard_normal(len(who)))
    seconds = np.where(rng.random(len(who)) < plan.timed_out, plan.longest, np.minimum(seconds, plan.longest)).round(2)
    pleased = next(streams).random(n) < rates["thumbs_up"][model, region]
    answers = SUPPORT_ANSWERS[["displeased", "pleased"]].to_numpy()[region, pleased.astype(int)]
    said = (next(streams).random(n) < answers)[who] & first
    date = (pd.Timestamp(plan.begins) + pd.to_timedelta(day, unit="D")).strftime("%Y-%m-%d")
    request = pd.DataFrame({
        "item_id": [f"c{k:06d}" for k in range(1, len(who) + 1)], "user": [f"u{k + 1:06d}" for k in who],
        "model": SUPPORT_OUTCOMES.index.to_numpy()[model[who]], "time": date[who], "region": REGIONS[region[who]],
        "assigned_prob": np.where(model == 1, share, 1 - share)[who].round(6), "stage": "canary"})
    outcomes = [("resolved", "ticket_system", "code", resolved, np.ones(len(who), dtype=bool)),
                ("latency", "gateway", "code", seconds, np.ones(len(who), dtype=bool)),
                ("thumbs_up", "user", "human", pleased[who], said)]
    return pd.concat([
        request[there].assign(criterion=name, rater=rater, rater_kind=kind, value=value[there].astype(float))
        for name, rater, kind, value, there in outcomes])


def _mean_seconds() -> np.ndarray:
    """Exact mean latency (model,), requests that are cut off among them."""
    rows, plan = SUPPORT_MODELS.loc[SUPPORT_OUTCOMES.index], SUPPORT_CANARY
    mean = (rows["latency_median"] * np.exp(rows["latency_spread"] ** 2 / 2)).to_numpy()
    return plan.timed_out * plan.longest + (1 - plan.timed_out) * mean


def _anchor(
    item_id: np.ndarray,
    *,
    truth: Mapping[str, np.ndarray],
    hardness: np.ndarray,
    scores: pd.DataFrame,
    streams: Iterator[np.random.Generator],
) -> pd.DataFrame:
    """Judges run again on frozen outputs of the test set: a few verdicts are drawn anew, one judge has drifted."""
    shown = [SUPPORT_MODELS.index.get_loc(model) for model in SUPPORT_SHADOW.models]
    frozen = np.sort(next(streams).permutation(len(item_id))[: SUPPORT_SHADOW.frozen])
    rows = []
    for name, metric in SUPPORT_METRICS.items():
        if metric.rater_kind != "judge":
            continue
        said = scores[scores["rater"] == name].pivot(index="item_id", columns="model", values="value")
        said = said.loc[item_id[frozen], list(SUPPORT_SHADOW.models)].to_numpy()
        y, rng = truth[metric.criterion][frozen][:, shown], next(streams)
        anew = metric_values(metric, y, hardness[frozen], rng=rng, models=shown)
        values = np.where(rng.random(said.shape) < SUPPORT_SHADOW.unsteady, anew, said)
        if name == SUPPORT_DRIFT[0]:
            values = _drifted(values, rng)
        rows.append(score_rows(item_id[frozen], SUPPORT_SHADOW.models, values, criterion=metric.criterion, rater=name,
                               rater_kind="judge"))
    return pd.concat(rows).assign(stage="anchor", time=SUPPORT_SHADOW.read_again)
