"""What lies in the data, counted: labels and metrics by model, where answers flip, what judgments kept aside say."""

import numpy as np
import pandas as pd
import xarray as xr

from migration_kit.data import EvalData
from migration_kit.metric_worth import scored_zero_one
from migration_kit.plan import Plan
from migration_kit.plan_spec import CriterionSpec

TOTAL = "all"


def slice_mix(data: EvalData, plan: Plan) -> pd.DataFrame:
    """Share of every slice among items, among labelled items and in production traffic.

    Returns
    -------
    DataFrame
        slice, items, labelled (counts), item_share, traffic_share; the largest share of traffic first. Worry where
        a slice has much traffic and few labels.
    """
    human = data.scores[data.scores["rater_kind"] == "human"]
    items = data.items.assign(labelled=data.items["item_id"].isin(human["item_id"]))
    counts = items.groupby("slice")["labelled"].agg(items="size", labelled="sum").reset_index()
    mix = data.traffic[["slice", "share"]].rename(columns={"share": "traffic_share"}).merge(counts, on="slice")
    mix["item_share"] = mix["items"] / mix["items"].sum()
    return mix.sort_values("traffic_share", ascending=False, kind="stable", ignore_index=True)


def flow(features: dict[str, xr.Dataset], data: EvalData, plan: Plan) -> pd.DataFrame:
    """Follow the items of the test set to the numbers each model is judged by.

    Parameters
    ----------
    features : dict
        Criterion to its features.

    Returns
    -------
    DataFrame
        model, criterion, items, with_metric, complete (every metric there), judged (outputs that people judged),
        judgments (by all raters), mean (of the outputs' mean scores, not weighted), middle (of the scale: ½ of 0/1
        judgments, 0 of preferences, half-way between the ends of levels, the median of all outputs where the scale is
        continuous), bad, good (outputs on the worse and the better side of the middle; those in the middle, such as
        ties, are neither). Of preferences the incumbent's row counts the items on which it was compared; its mean, bad
        and good are missing. Worry when `bad` or `good` is below 3 for a model.
    """
    rows = []
    for criterion, one in features.items():
        value, models = one["value"].to_numpy(), one["model"].to_numpy().tolist()
        judged = pd.DataFrame({"item": one["judged_item"].to_numpy(), "model": one["judged_model"].to_numpy(),
                               "score": one["judged"].to_numpy()})
        outputs = judged.groupby(["model", "item"])["score"].mean()
        middle = _middle(one, outputs.to_numpy())
        sign = -1 if one.attrs["better"] == "lower" else 1
        for position, model in enumerate(models):
            known = ~np.isnan(value[:, position])
            score = outputs[outputs.index.get_level_values("model") == position].to_numpy()
            row = {"model": model, "criterion": criterion, "items": one.sizes["item"],
                   "with_metric": int(known.any(axis=1).sum()), "complete": int(known.all(axis=1).sum()),
                   "judged": len(score), "judgments": int((judged["model"] == position).sum()),
                   "mean": score.mean() if len(score) else np.nan, "middle": middle,
                   "bad": int((sign * (score - middle) < 0).sum()), "good": int((sign * (score - middle) > 0).sum())}
            if position == 0 and one.attrs["kind"] == "pairwise":
                row |= {"judged": judged["item"].nunique(), "judgments": len(judged), "bad": np.nan, "good": np.nan}
            rows.append(row)
    return pd.DataFrame(rows)


def flips(features: xr.Dataset, plan: Plan) -> pd.DataFrame:
    """Count where a candidate's output changes the answer, by the primary metric and by people.

    Returns
    -------
    DataFrame
        by (the metric, or "people"), model, slice, n (items both have), both_good, lost (only the incumbent good),
        gained (only the candidate good), both_bad. Where values are not 0 or 1, `lost` and `gained` are items on which
        the candidate is worse or better by any amount (a preference lost or won) and `both_good` holds the ties,
        `both_bad` NaN. Several raters of an output decide by majority where judgments are 0 or 1, outputs on which
        they are split in halves left out, else by their mean. Slice "all" is the test set as it is, not weighted.
        Without the metric's rows where it has no better side.
    """
    primary = features.attrs["primary_metric"]
    better = plan.metric_better(primary, features.attrs["criterion"])
    sources = [("people", majority(features), features.attrs["better"])]
    if better != "none":
        sources.insert(0, (primary, features["value"].sel(metric=primary).to_numpy(), better))
    slice_index, names = features["slice_index"].to_numpy(), features["slice"].to_numpy().tolist()
    rows = []
    for by, value, which in sources:
        # A preference, or a difference to the incumbent, is about two outputs and makes neither of them good.
        verdict = features.attrs["kind"] != "pairwise" and np.isin(value[~np.isnan(value)], (0, 1)).all()
        best = None if not verdict else 0 if which == "lower" else 1
        value = -value if which == "lower" else value
        for position, model in enumerate(features["model"].to_numpy().tolist()[1:], start=1):
            for name, here in [(TOTAL, slice_index >= 0), *((s, slice_index == k) for k, s in enumerate(names))]:
                rows.append({"by": by, "model": model, "slice": name,
                             **_flip_counts(value[here, 0], value[here, position], best=best)})
    return pd.DataFrame(rows)


def confusion(features: xr.Dataset) -> pd.DataFrame:
    """Count what each 0/1 metric says of the outputs that people judged.

    Returns
    -------
    DataFrame
        model, metric, yes_yes, yes_no, no_yes, no_no: people first, then the metric; identical outputs share labels,
        several raters decide by majority and halves are left out. Of preferences, yes is a win of the candidate and no
        a loss, for metrics that say win, tie or loss; ties of either are left out. Metrics with other values have no
        rows, nor has a criterion whose judgments are neither 0/1 nor preferences.
    """
    columns = ["model", "metric", "yes_yes", "yes_no", "no_yes", "no_no"]
    pairwise, label, rows = features.attrs["kind"] == "pairwise", majority(features), []
    if not pairwise and not scored_zero_one(features):
        return pd.DataFrame(columns=columns)
    yes, no = (1, -1) if pairwise else (1, 0)
    for metric in features["metric"].to_numpy().tolist():
        value = features["value"].sel(metric=metric).to_numpy()
        if not np.isin(value[~np.isnan(value)], (-1, 0, 1) if pairwise else (0, 1)).all():
            continue
        for position, model in list(enumerate(features["model"].to_numpy().tolist()))[pairwise:]:
            told, people = value[:, position], np.sign(label[:, position])
            rows.append({"model": model, "metric": metric} | {
                f"{a}_{b}": int(((people == x) & (told == y)).sum())
                for a, x in (("yes", yes), ("no", no)) for b, y in (("yes", yes), ("no", no))
            })
    return pd.DataFrame(rows, columns=columns)


def held_out_comparison(data: EvalData, plan: Plan, estimates: pd.DataFrame) -> pd.DataFrame:
    """Hold calibrated estimates under production traffic against the judgments that were kept aside.

    Returns
    -------
    DataFrame
        criterion, model, slice, quantity, mean, lower, upper (calibrated) · truth, the slice's mean over outputs of the
        mean score of all judgments kept aside, in total weighted by traffic; contrasts from items judged for both
        models, or compared, positive is better · n (items) · inside, whether the interval holds the truth. Empty
        without held-out judgments.
    """
    rows = []
    for criterion in plan.criteria:
        held = data.held_out[data.held_out["criterion"] == criterion.id]
        if held.empty:
            continue
        held = held.assign(score=_score(held["value"].to_numpy(dtype=float), criterion))
        mean = held.groupby(["item_id", "model"])["score"].mean().unstack("model")
        mean = mean.reindex(index=data.items["item_id"], columns=list(plan.model_ids))
        if criterion.kind == "pairwise":
            mean[plan.incumbent] = mean.drop(columns=plan.incumbent).max(axis=1) * 0.0
        sign = -1 if criterion.better == "lower" else 1
        for model in plan.model_ids:
            rows += _truths(mean[model], data, criterion=criterion.id, model=model, quantity="quality")
            if model != plan.incumbent:
                rows += _truths(sign * (mean[model] - mean[plan.incumbent]), data, criterion=criterion.id, model=model,
                                quantity="contrast")
    truth = pd.DataFrame(rows, columns=["criterion", "model", "slice", "quantity", "truth", "n"])
    calibrated = estimates[(estimates["layer"] == "traffic") & (estimates["method"] == "calibrated")]
    keys = ["criterion", "model", "slice", "quantity"]
    both = truth.merge(calibrated[[*keys, "mean", "lower", "upper"]], on=keys, validate="one_to_one")
    both = both.dropna(subset=["truth", "lower"]).reset_index(drop=True)
    return both.assign(inside=(both["lower"] <= both["truth"]) & (both["truth"] <= both["upper"]))


def majority(features: xr.Dataset) -> np.ndarray:
    """Labels, dims (item, model); where judgments are 0 or 1, what most raters say, NaN where they are split."""
    label = features["label"].to_numpy()
    if not scored_zero_one(features):
        return label
    return np.where(np.isnan(label) | (label == 0.5), np.nan, (label > 0.5).astype(float))


def _middle(features: xr.Dataset, scores: np.ndarray) -> float:
    """The score between the worse and the better half of a scale."""
    score = features.attrs["score"]
    if len(score):
        return (min(score) + max(score)) / 2
    return float(np.median(scores)) if len(scores) else np.nan


def _score(value: np.ndarray, criterion: CriterionSpec) -> np.ndarray:
    """Scores of judgments kept aside; a value between levels, such as a mean of raters, stays as it is."""
    levels, score = np.asarray(criterion.levels), np.asarray(criterion.score)
    if not len(levels) or np.array_equal(levels, score):
        return value
    return score[np.searchsorted(levels, value, side="right") - 1]


def _flip_counts(incumbent: np.ndarray, candidate: np.ndarray, *, best: float | None) -> dict[str, float]:
    both = ~np.isnan(incumbent) & ~np.isnan(candidate)
    old, new = incumbent[both], candidate[both]
    same = old == new
    good = same & (old == best) if best is not None else same
    return {"n": int(both.sum()), "both_good": int(good.sum()), "lost": int((new < old).sum()),
            "gained": int((new > old).sum()), "both_bad": int((same & ~good).sum()) if best is not None else np.nan}


def _truths(value: pd.Series, data: EvalData, **of: str) -> list[dict]:
    slices = data.items["slice"].to_numpy()
    by_slice = value.groupby(slices).agg(["mean", "count"])
    share = data.traffic.set_index("slice")["share"]
    weighed = by_slice["mean"].reindex(share.index)
    total = float((share * weighed)[share > 0].sum(skipna=False))
    return [{**of, "slice": TOTAL, "truth": total, "n": int(by_slice["count"].sum())},
            *({**of, "slice": name, "truth": float(row["mean"]), "n": int(row["count"])}
              for name, row in by_slice.iterrows())]
