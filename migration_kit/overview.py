"""What lies in the data, counted: labels and metrics by model, where answers flip, what judgments kept aside say."""

import numpy as np
import pandas as pd
import xarray as xr

from migration_kit.data import EvalData
from migration_kit.plan import Plan

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
        model, criterion, items, with_metric, complete (every metric there), judged (by people), bad, good (labels of
        the worse and the better kind). Worry when `bad` or `good` is below 3 for a model.
    """
    human = data.scores[data.scores["rater_kind"] == "human"]
    rows = []
    for criterion, one in features.items():
        value, better = one["value"].to_numpy(), 0.0 if one.attrs["better"] == "lower" else 1.0
        for position, model in enumerate(one["model"].to_numpy().tolist()):
            label = human.loc[(human["model"] == model) & (human["criterion"] == criterion), "value"]
            known = ~np.isnan(value[:, position])
            rows.append({
                "model": model, "criterion": criterion, "items": one.sizes["item"],
                "with_metric": int(known.any(axis=1).sum()), "complete": int(known.all(axis=1).sum()),
                "judged": len(label), "bad": int((label != better).sum()), "good": int((label == better).sum()),
            })
    return pd.DataFrame(rows)


def flips(features: xr.Dataset, plan: Plan) -> pd.DataFrame:
    """Count where a candidate's output changes the answer, by the primary metric and by people.

    Returns
    -------
    DataFrame
        by (the metric, or "people"), model, slice, n (items both have), both_good, lost (only the incumbent good),
        gained (only the candidate good), both_bad. For a metric that is a score, `lost` and `gained` are items on
        which it is worse or better by any amount and `both_good` holds the ties, `both_bad` NaN. Slice "all" is the
        test set as it is, not weighted. Without the metric's rows where it has no better side.
    """
    primary = features.attrs["primary_metric"]
    better = plan.metric_better(primary, features.attrs["criterion"])
    sources = [("people", features["label"].to_numpy(), features.attrs["better"])]
    if better != "none":
        sources.insert(0, (primary, features["value"].sel(metric=primary).to_numpy(), better))
    slice_index, names = features["slice_index"].to_numpy(), features["slice"].to_numpy().tolist()
    rows = []
    for by, value, which in sources:
        value = -value if which == "lower" else value
        known = value[~np.isnan(value)]
        best = known.max(initial=0) if np.isin(known, (-1, 0, 1)).all() and len(np.unique(known)) < 3 else None
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
        model, metric, yes_yes, yes_no, no_yes, no_no: people first, then the metric; identical outputs share labels.
        Metrics with other values have no rows.
    """
    label, rows = features["label"].to_numpy(), []
    for metric in features["metric"].to_numpy().tolist():
        value = features["value"].sel(metric=metric).to_numpy()
        if not np.isin(value[~np.isnan(value)], (0, 1)).all():
            continue
        for position, model in enumerate(features["model"].to_numpy().tolist()):
            told, people = value[:, position], label[:, position]
            rows.append({"model": model, "metric": metric} | {
                f"{a}_{b}": int(((people == x) & (told == y)).sum())
                for a, x in (("yes", 1), ("no", 0)) for b, y in (("yes", 1), ("no", 0))
            })
    return pd.DataFrame(rows, columns=["model", "metric", "yes_yes", "yes_no", "no_yes", "no_no"])


def held_out_comparison(data: EvalData, plan: Plan, estimates: pd.DataFrame) -> pd.DataFrame:
    """Hold calibrated estimates under production traffic against the judgments that were kept aside.

    Returns
    -------
    DataFrame
        criterion, model, slice, quantity, mean, lower, upper (calibrated) · truth, the slice's mean of all judgments
        kept aside, in total weighted by traffic; contrasts from items judged for both models, positive is better ·
        n (items) · inside, whether the interval holds the truth. Empty without held-out judgments.
    """
    rows = []
    for criterion in plan.criteria:
        held = data.held_out[data.held_out["criterion"] == criterion.id]
        if held.empty:
            continue
        mean = held.groupby(["item_id", "model"])["value"].mean().unstack("model")
        mean = mean.reindex(index=data.items["item_id"], columns=list(plan.model_ids))
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
