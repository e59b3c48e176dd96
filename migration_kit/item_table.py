"""Single items: what the metric and people say of them, where answers flip, and how unexpected the judgments are."""

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import rankdata

from migration_kit.metric_worth import scored_zero_one
from migration_kit.overview import majority
from migration_kit.plan import Plan
from migration_kit.predictive import labelled_predictions
from migration_kit.strata import verdicts

VERDICTS = frozenset({"good", "bad"})
LEVELS = {1: ("", "one value"), 2: ("", "low", "high"), 3: ("", "low", "middle", "high")}
ROUNDING = 1e-9


def item_table(
    features: xr.Dataset, plan: Plan, *, candidates: bool = True, fit: xr.DataTree | None = None
) -> pd.DataFrame:
    """Arrange one criterion item by item.

    Parameters
    ----------
    features : Dataset
        From `features.build_features`.
    plan : Plan
    candidates : bool
        One row an item and candidate; without, one an item, about the incumbent alone (not of preferences).
    fit : DataTree, optional
        From `inference.fit`; without it ``chance`` is missing.

    Returns
    -------
    DataFrame
        item_id, slice, model · metric, people (what the primary metric and the mean judgment say of the model's output;
        of preferences, of the candidate against the incumbent), metric_incumbent, people_incumbent (the same of the
        incumbent's output; NaN where the row is about the incumbent, or a preference) · metric_says, people_says,
        metric_says_incumbent, people_says_incumbent (the same in a word: good, bad or split; low, middle or high; won,
        level or lost; "" where nothing is known) · metric_flip, people_flip (lost, gained or none, as
        `overview.flips` counts them; "" where not known) · disagreement, 0 to 1:
        how far apart metric and people put the model's output in the order of all judged outputs; NaN where nobody
        judged it, or the metric has no better side · chance, under the calibration model, of a judgment of the output
        as high, or as low, as the one given; of several raters the least likely. Worry where it is below 1 in 20 for
        far more judgments than one in ten.
    """
    spec, pairwise = plan.criterion(features.attrs["criterion"]), features.attrs["kind"] == "pairwise"
    better = plan.metric_better(spec.primary_metric, spec.id)
    metric = features["value"].sel(metric=spec.primary_metric).to_numpy()
    people, decided = features["label"].to_numpy(), majority(features)
    apart = _apart(metric, people, same_way=better == spec.better, known=better != "none")
    chance = _chances(fit, features, plan) if fit is not None else np.full(people.shape, np.nan)
    verdict = bool(np.isin(metric[~np.isnan(metric)], (0, 1)).all())
    told = _words(metric, better, pairwise=pairwise, verdict=verdict)
    said = _words(people, spec.better, pairwise=pairwise, verdict=scored_zero_one(features))
    models, beside, parts = features["model"].to_numpy().tolist(), candidates and not pairwise, []
    for position, model in enumerate(models):
        if (position > 0) != candidates:
            continue
        parts.append(pd.DataFrame({
            "item_id": features["item"].to_numpy(),
            "slice": features["slice"].to_numpy()[features["slice_index"].to_numpy()],
            "model": model,
            "metric": metric[:, position], "metric_incumbent": metric[:, 0] if beside else np.nan,
            "people": people[:, position], "people_incumbent": people[:, 0] if beside else np.nan,
            "metric_says": told[:, position], "metric_says_incumbent": told[:, 0] if beside else "",
            "people_says": said[:, position], "people_says_incumbent": said[:, 0] if beside else "",
            "metric_flip": _flips(metric[:, 0], metric[:, position], better) if candidates else "",
            "people_flip": _flips(decided[:, 0], decided[:, position], spec.better) if candidates else "",
            "disagreement": apart[:, position], "chance": chance[:, position],
        }))
    return pd.concat(parts, ignore_index=True)


def by_surprise(table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Sort items so that the most surprising come first.

    Returns
    -------
    table : DataFrame
        The rows of `item_table`, those nobody judged last; equal ones as they were.
    by : str
        "chance", or "disagreement" where the calibration model has said nothing, or "" where neither is known.
    """
    by = next((name for name in ("chance", "disagreement") if table[name].notna().any()), "")
    if not by:
        return table.reset_index(drop=True), ""
    keys = {"chance": table["chance"].fillna(2.0), "disagreement": -table["disagreement"].fillna(-1.0)}
    order = np.lexsort((keys["disagreement"].to_numpy(), keys[by].to_numpy()))
    return table.iloc[order].reset_index(drop=True), by


def far_apart(table: pd.DataFrame) -> pd.DataFrame:
    """Return the judged rows on which people and the metric differ, the farthest apart first.

    Where both say good or bad that is where they say the opposite, else where they put the output at different places.
    """
    judged = table[table["disagreement"].notna()]
    if set(judged["metric_says"]) | set(judged["people_says"]) <= VERDICTS:
        judged = judged[judged["metric_says"] != judged["people_says"]]
    else:
        judged = judged[judged["disagreement"] > ROUNDING]
    return judged.sort_values("disagreement", ascending=False, kind="stable", ignore_index=True)


def _flips(old: np.ndarray, new: np.ndarray, better: str) -> np.ndarray:
    """Where the candidate is worse (lost), better (gained) or neither; "" where one is not known."""
    if better == "none":
        return np.full(len(old), "", dtype=object)
    change = (new - old) * (-1 if better == "lower" else 1)
    known = ~np.isnan(change)
    with np.errstate(invalid="ignore"):
        return np.select([~known, change < 0, change > 0], ["", "lost", "gained"], "none").astype(object)


def _words(value: np.ndarray, better: str, *, pairwise: bool, verdict: bool) -> np.ndarray:
    """Each value in a word, dims (item, model); `verdict`: it is 0 or 1, or the mean of some that are."""
    known, sign = ~np.isnan(value), -1 if better == "lower" else 1
    with np.errstate(invalid="ignore"):
        if pairwise and better != "none":
            return np.select([~known, sign * value > 0, sign * value < 0], ["", "won", "lost"], "level").astype(object)
        if better != "none" and verdict:
            good = sign * (value - 0.5)
            return np.select([~known, good > 0, good < 0], ["", "good", "bad"], "split").astype(object)
    level = verdicts(value)
    return np.array(LEVELS[max(1, int(level.max(initial=0)))], dtype=object)[level]


def _apart(metric: np.ndarray, people: np.ndarray, *, same_way: bool, known: bool) -> np.ndarray:
    """How far apart metric and people rank a judged output among all judged ones, dims (item, model)."""
    out, both = np.full(metric.shape, np.nan), ~np.isnan(metric) & ~np.isnan(people)
    if known and both.any():
        told = metric[both] if same_way else -metric[both]
        out[both] = np.abs(rankdata(told) - rankdata(people[both])) / both.sum()
    return out


def _chances(fit: xr.DataTree, features: xr.Dataset, plan: Plan) -> np.ndarray:
    """Chance of a judgment as extreme as the least likely one given, dims (item, model); twins share theirs."""
    found = labelled_predictions(fit, features, seed=plan.sampling.seed)
    judged, replicate = found["judged"].to_numpy(), found["replicate"].to_numpy()
    slack = ROUNDING * max(1.0, float(np.abs(judged).max(initial=0)))
    tail = np.minimum((replicate <= judged + slack).mean(axis=0), (replicate >= judged - slack).mean(axis=0))
    least = np.full(features["label"].shape, np.inf)
    np.minimum.at(least, (features["judged_item"].to_numpy(), features["judged_model"].to_numpy()), tail)
    pool = features["pool"].to_numpy() > 0
    for position in range(least.shape[1]):
        shared = np.where(pool[:, position], least, np.inf).min(axis=1)
        least[:, position] = np.where(np.isinf(least[:, position]), shared, least[:, position])
    return np.where(np.isinf(least), np.nan, least)
