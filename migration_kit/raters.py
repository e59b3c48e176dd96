"""Raters among themselves: who is severe, what raters disagree about, and what another rater would buy.

Only outputs that several people judged can tell. Identical outputs of two models are one output here.
"""

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import stdtrit

from migration_kit.metric_worth import expected_width, pair_features
from migration_kit.plan import Plan


def rater_table(features: xr.Dataset) -> pd.DataFrame:
    """Arrange the judgments one a rater and output; of repeats by one rater the first.

    Returns
    -------
    DataFrame
        item, model (positions), output (counted, identical outputs are one), cluster, rater, value (as it came), level
        (position among the levels, −1 where there are none), score.
    """
    item, model = features["judged_item"].to_numpy(), features["judged_model"].to_numpy()
    first = features["pool"].to_numpy().argmax(axis=2)[item, model]
    output = pd.factorize(item * features.sizes["model"] + first)[0]
    table = pd.DataFrame({
        "item": item, "model": model, "output": output, "cluster": features["cluster"].to_numpy()[item],
        "rater": features["rater"].to_numpy()[features["judged_rater"].to_numpy()],
        "value": features["judged_value"].to_numpy(), "level": features["judged_level"].to_numpy(),
        "score": features["judged"].to_numpy(),
    })
    return table.drop_duplicates(["output", "rater"], ignore_index=True)


def severity(features: xr.Dataset, *, interval: float) -> pd.DataFrame:
    """How each rater differs from the others on the same outputs, on the score scale.

    Returns
    -------
    DataFrame
        rater, n (outputs judged), shared (of them judged by others, too), mean (score), difference (mean over shared
        outputs of the rater's score minus the others' mean), lower, upper (Student t over outputs or clusters). NaN
        below two shared. Worry about a difference whose interval leaves out 0 where raters judged models unequally.
    """
    table = rater_table(features)
    of_output = table.groupby("output")["score"].agg(["sum", "count"]).loc[table["output"]].to_numpy()
    others = np.where(of_output[:, 1] > 1, (of_output[:, 0] - table["score"]) / np.maximum(of_output[:, 1] - 1, 1),
                      np.nan)
    table = table.assign(apart=table["score"] - others)
    rows = []
    for rater, part in table.groupby("rater", sort=True):
        apart = part.dropna(subset="apart")
        by_cluster = apart.groupby("cluster")["apart"].agg(["sum", "count"])
        groups, mean = len(by_cluster), apart["apart"].mean()
        off = by_cluster["sum"] - mean * by_cluster["count"]
        sd = np.sqrt((off**2).sum() * groups / max(groups - 1, 1)) / max(len(apart), 1) if groups > 1 else np.nan
        reach = sd * stdtrit(groups - 1, (1 + interval) / 2) if groups > 1 else np.nan
        rows.append({"rater": rater, "n": len(part), "shared": len(apart), "mean": part["score"].mean(),
                     "difference": mean, "lower": mean - reach, "upper": mean + reach})
    return pd.DataFrame(rows, columns=["rater", "n", "shared", "mean", "difference", "lower", "upper"])


def severity_shift(features: xr.Dataset) -> pd.Series:
    """What severity adds to each candidate's contrast, because raters judged the models in unlike shares.

    Returns
    -------
    Series
        By candidate, candidate minus incumbent on the score scale; 0 where everybody judged the models alike.
    """
    table, models = rater_table(features), features["model"].to_numpy()
    apart = severity(features, interval=0.95).set_index("rater")["difference"].fillna(0.0)
    mean = table.assign(apart=apart.loc[table["rater"]].to_numpy()).groupby("model")["apart"].mean()
    mean = mean.reindex(range(len(models)))
    base = 0.0 if features.attrs["kind"] == "pairwise" else mean[0]
    return pd.Series((mean - base).to_numpy()[1:], index=models[1:])


def variance_parts(features: xr.Dataset) -> pd.DataFrame:
    """Share the variance of a judgment between outputs, raters and the rest.

    score = mean + output + rater + rest, by the moments of Henderson's third method (Searle, Casella & McCulloch 1992,
    Variance Components, §5.5); negative estimates are 0.

    Returns
    -------
    DataFrame
        part ("outputs", "raters", "rest"), variance (score scale squared), share (sums to 1). NaN where no rater can be
        told from the output. `rest` is what raters disagree about beyond being severe: worry where it is more than
        half, because then one judgment says more of who judged than of the output.
    """
    table = rater_table(features)
    output, rater = table["output"].to_numpy(), pd.factorize(table["rater"])[0]
    y, n, raters = table["score"].to_numpy(), len(table), int(rater.max(initial=-1)) + 1
    size = np.bincount(output, minlength=1)
    dummies = np.eye(raters)[rater]
    means = np.zeros((len(size), raters))
    np.add.at(means, output, dummies / size[output][:, None])
    within, left = dummies - means[output], y - _group_mean(y, output)
    slopes, _, rank, _ = np.linalg.lstsq(within.T @ within, within.T @ left, rcond=None) if n else (0, 0, 0, 0)
    free = n - len(size) - rank
    parts = np.full(3, np.nan)
    if free > 0 and rank > 0:
        explained = float(left @ within @ slopes)
        squares = float(left @ left) - explained
        parts[2] = rest = squares / free
        parts[1] = max(0.0, (explained - rank * rest) / (1 - 1 / size[output]).sum())
        severe = y - _group_mean(y, rater)
        parts[0] = max(0.0, (float(severe @ severe) - squares - (len(size) + rank - raters) * rest) / (n - raters))
    total = parts.sum()
    return pd.DataFrame({"part": ["outputs", "raters", "rest"], "variance": parts,
                         "share": parts / total if total > 0 else np.nan})


def more_raters(
    features: xr.Dataset, plan: Plan, *, traffic: bool, raters: tuple[int, ...] = (1, 2, 3)
) -> pd.DataFrame:
    """Expect the width of each contrast's interval, all metrics used, with other numbers of raters an output.

    A labelled difference has the variance τ² + σ²·(1/r + 1/r₀), σ² being the rest of `variance_parts` and r, r₀ the
    raters of the two outputs (τ² + σ²/r of a preference). From σ²_res and σ²_total of `metric_worth`, what raters add
    now is taken off and what r would add is put on: same outputs, n as it is; same judgments, n·r̄/r outputs, r̄ being
    the raters an output has now. The same people are taken to judge both outputs of an item, so severity cancels; in
    a preference it does not and stays as it is.

    Returns
    -------
    DataFrame
        model (candidates), raters, same_outputs, same_judgments (widths), outputs (labelled items with the same
        judgments). NaN where raters cannot be told apart. More raters are worth their judgments where `same_judgments`
        falls; mostly more outputs are.
    """
    rest = variance_parts(features).set_index("part").loc["rest", "variance"]
    shape = (features.sizes["item"], features.sizes["model"])
    table, judged = rater_table(features), np.zeros(shape)
    np.add.at(judged, (table["item"].to_numpy(), table["model"].to_numpy()), 1)
    # An output without a judgment of its own shares that of an identical one.
    judged = np.maximum(np.einsum("imp,ip->im", features["pool"].to_numpy() > 0, judged), 1)
    label, rows = features["label"].to_numpy(), []
    preference = features.attrs["kind"] == "pairwise"
    for position, model in enumerate(features["model"].to_numpy()[1:], start=1):
        pair = pair_features(features, position, traffic=traffic)
        both = ~np.isnan(label[:, position]) & ~np.isnan(label[:, 0])
        sides = judged[both][:, [position] if preference else [0, position]]
        names = list(pair["feature"].to_numpy())
        for r in raters:
            less = rest * ((1 / sides).sum(axis=1).mean() - sides.shape[1] / r) if both.any() else np.nan
            outputs = both.sum() * sides.mean() / r if both.any() else 0.0
            known = {"interval": plan.sampling.interval, "less_noise": less}
            told = not np.isnan(less)
            rows.append({"model": model, "raters": r,
                         "same_outputs": expected_width(pair, names, **known) if told else np.nan,
                         "same_judgments": expected_width(pair, names, labels=outputs, **known) if told else np.nan,
                         "outputs": outputs})
    return pd.DataFrame(rows)


def _group_mean(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    size = np.bincount(group, minlength=1)
    return (np.bincount(group, weights=values, minlength=1) / np.maximum(size, 1))[group]
