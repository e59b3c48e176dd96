"""How well are all pairs of models compared from 50 or 100 labelled items? Writes benchmarks/results/real_pairs*.csv.

On real data where people judged nearly every output, all judgments but those of some items drawn at random are hidden,
again and again. Every pair of models is then held against its difference on all judgments. Beside the calibration, on
the same draws: labels alone, PPI++ on the primary metric, PPI++ on the mean of the standardised metrics. First with all
metrics of a data set together, then, on fewer draws, with each metric alone.

Run: python benchmarks/real_pairs.py --draws 50 --alone 10     a stopped run goes on where it was; with --datasets,
the tables keep the rows of the other data sets
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from itertools import combinations

import numpy as np
import pandas as pd
import xarray as xr
from common import code_digest, coverage_table, run_cells, with_other_cells, write_result
from real_data import OTHER_DRAWS, Source, fit_one, hidden, migration, source
from scipy.special import ndtr

from migration_kit.crosschecks import labels_only, ppi
from migration_kit.data import EvalData
from migration_kit.estimands import TOTAL, quality
from migration_kit.features import build_features
from migration_kit.intervals import summarise
from migration_kit.plan import Plan
from migration_kit.robust import cluster_error, clusters

SEED = 20260731
LABELS = (50, 100)
DRAWS, TUNE = 500, 400
CHUNK = 5
LARGEST_SHARE = 0.15
MOST_LABELLED = 0.6
INTERVAL = 0.95
FEWEST_METRICS = 3
CELL = ["study", "labelled"]
GROUP = [*CELL, "metrics", "quantity", "method"]
ALL, ALONE, EACH = "all", "alone", "each"


@dataclass(frozen=True)
class Study:
    """A criterion of a data set.

    Attributes
    ----------
    dataset, criterion : str
    texts : bool
        With output texts, identical outputs are joined; without, each stands alone, which shows what joining gains.
    tasks : tuple of str
        Values of the column task; () takes all.
    pairs : bool
        Every pair of models has its own items and its own fit.
    """

    dataset: str
    criterion: str
    texts: bool = True
    tasks: tuple[str, ...] = ()
    pairs: bool = False


STUDIES = {
    "triviaqa": Study("triviaqa_judges_v1", "correct"),
    "openqa": Study("openqa_nq301", "acceptable"),
    "openqa_apart": Study("openqa_nq301", "acceptable", texts=False),
    "sentiment_right": Study("vader_sentiment", "consensus_polarity_correct"),
    "sentiment_right_apart": Study("vader_sentiment", "consensus_polarity_correct", texts=False),
    "sentiment_error": Study("vader_sentiment", "neg_abs_error"),
    "pandalm": Study("pandalm_pairwise", "preferred", pairs=True),
    "arena": Study("arena_pairwise", "preferred", pairs=True),
    **{f"hanna_{name}": Study("hanna", name) for name in ("coherence", "relevance", "engagement")},
    **{f"nlg_{name}": Study("nlg_emnlp17", name, tasks=("SFHOT", "SFRES"))
       for name in ("informativeness", "naturalness", "quality")},
    **{f"nlg_bagel_{name}": Study("nlg_emnlp17", name, tasks=("BAGEL",))
       for name in ("informativeness", "naturalness", "quality")},
    "wmt23_mqm": Study("wmt23_mt", "mqm"),
}


@cache
def parts(study: str) -> tuple[tuple[Source, tuple[str, ...], tuple[str, ...]], ...]:
    """Return what is fitted apart: source, models and items."""
    spec = STUDIES[study]
    given = source(spec.dataset, spec.criterion)
    outputs = given.outputs[given.outputs["model"].isin(given.models)]
    if spec.tasks:
        outputs = outputs[outputs["task"].isin(spec.tasks)]
    models = tuple(name for name in given.models if name in set(outputs["model"]))
    judged = given.human[given.human["item_id"].isin(outputs["item_id"])]
    if not spec.pairs:
        return ((given, models, tuple(judged["item_id"].unique())),)
    found = []
    for pair in combinations(models, 2):
        here = judged[judged["model"].eq(pair[1]) & judged["opponent"].eq(pair[0])]
        found.append((given, pair, tuple(here["item_id"].unique())))
    return tuple(found)


@cache
def load(
    study: str, part: int, models: tuple[str, ...], metrics: tuple[str, ...]
) -> tuple[EvalData, Plan, pd.DataFrame]:
    """Return the data of one part with some models and metrics, all judgments in them, their plan and the truth."""
    given, _, items = parts(study)[part]
    data, plan = migration(given, models, metrics, items=items, texts=STUDIES[study].texts)
    return data, plan, truth(build_features(data, plan, given.criterion))


def replicate(number: int, *, study: str, labelled: int, alone: bool) -> pd.DataFrame:
    """Hide all judgments but those of some items, estimate every quality and contrast, set the truth beside them."""
    rows = []
    for part, (given, models, items) in enumerate(parts(study)):
        for name in given.metrics if alone else [ALL]:
            # A judge does not judge itself; alone, its metric says nothing of that model.
            having = tuple(model for model in models if model in having_metric(given, name)) if alone else models
            found = one_fit(study, part, having, (name,) if alone else given.metrics, number=number, labelled=labelled)
            rows.append(found.assign(metrics=name, items=len(items), models=len(having)))
    return pd.concat(rows, ignore_index=True)


def having_metric(given: Source, metric: str) -> set[str]:
    return set(given.automated.loc[given.automated["metric"] == metric, "model"])


def one_fit(
    study: str, part: int, models: tuple[str, ...], metrics: tuple[str, ...], *, number: int, labelled: int
) -> pd.DataFrame:
    """Return the rows of one part, with some models and metrics, under one draw of labels."""
    plan, targets = load(study, part, models, metrics)[1:]

    def drawn_features(draw: int, metrics: tuple[str, ...]) -> xr.Dataset:
        data, plan, _ = load(study, part, models, metrics)
        chosen = np.random.default_rng([SEED, draw]).choice(data.items["item_id"], labelled, replace=False)
        return hidden(data, plan, chosen)

    features = drawn_features(number, metrics)
    together = parts(study)[part][0].metrics
    tree = fit_one(features, draws=DRAWS, tune=TUNE, seed=number, more=lambda: [
        drawn_features(number + one, together) for one in range(OTHER_DRAWS + 1)])
    drawn = quality(tree, features, traffic=False, seed=number).sel(slice=TOTAL)
    rows = pd.DataFrame([*calibrated(drawn, targets), *cross_checks(features, plan, targets, seed=number)])
    return rows.merge(targets, on=["model", "against"]).assign(
        identical=float(((features["pool"] > 0).sum("peer") > 1).mean()),
        divergent=float(tree["sample_stats"]["diverging"].mean()))


def truth(features: xr.Dataset) -> pd.DataFrame:
    """Mean of all judgments by model (``against`` is "") and by pair, the better model of a pair first.

    Of preferences only the candidate against the incumbent. ``judged`` counts the items on which it rests; ``truth_sd``
    is its standard error as an estimate of the population the items, or their clusters, come from.
    """
    label, models = features["label"].to_numpy(), features["model"].to_numpy()
    values = {}
    if features.attrs["kind"] == "pairwise":
        values = {(model, models[0]): label[:, m + 1] for m, model in enumerate(models[1:])}
    else:
        values = {(model, ""): label[:, m] for m, model in enumerate(models)}
        for a, b in combinations(range(len(models)), 2):
            better, worse = (b, a) if np.nanmean(label[:, b] - label[:, a]) >= 0 else (a, b)
            values[models[better], models[worse]] = label[:, better] - label[:, worse]
    rows = []
    for (model, against), value in values.items():
        known = ~np.isnan(value)
        influence = (value[known] - value[known].mean()) / known.sum()
        rows.append({"quantity": "contrast" if against else "quality", "model": model, "against": against,
                     "judged": known.sum(), "truth": value[known].mean(),
                     "truth_sd": cluster_error(influence, clusters(features)[known])})
    return pd.DataFrame(rows)


def calibrated(drawn: xr.Dataset, targets: pd.DataFrame) -> Iterator[dict]:
    for method in ("calibrated", "corrected"):
        samples = drawn[method].stack(sample=("chain", "draw"))
        named = {str(name): samples.sel(model=name).to_numpy() for name in drawn["model"].to_numpy()} | {"": 0.0}
        for model, against in targets[["model", "against"]].itertuples(index=False):
            yield {"method": method, "model": model, "against": against,
                   **summarise(named[model] - named[against], interval=INTERVAL)}


def cross_checks(features: xr.Dataset, plan: Plan, targets: pd.DataFrame, *, seed: int) -> Iterator[dict]:
    """The kit's own cross-checks, with the worse model of a pair as its incumbent."""
    methods = {"labels_only": (partial(labels_only, seed=seed), features), "ppi_primary_metric": (ppi, features)}
    if features.sizes["metric"] > 1:
        methods["ppi_mean_metric"] = (ppi, with_mean_metric(features, plan))
    for method, (estimate, data) in methods.items():
        for model, against in targets[["model", "against"]].itertuples(index=False):
            both = data.sel(model=[against, model] if against else [model])
            found = estimate(both, plan, traffic=False).iloc[::-1]
            wanted = found[(found["slice"] == TOTAL) & (found["model"] == model)].iloc[0]
            yield {"method": method, "model": model, "against": against, **wanted[["mean", "sd", "lower", "upper"]]}


def with_mean_metric(features: xr.Dataset, plan: Plan) -> xr.Dataset:
    """Replace the metrics by the mean of those with a direction, standardised over outputs, higher is better."""
    signs = {"higher": 1.0, "lower": -1.0, "none": np.nan}
    sign = xr.DataArray([signs[plan.metric_better(name, features.attrs["criterion"])]
                         for name in features["metric"].to_numpy().tolist()], dims="metric")
    value = features["value"]
    centre = 0.0 if features.attrs["kind"] == "pairwise" else value.mean(("item", "model"))
    mean = (sign * (value - centre) / value.std(("item", "model"))).mean("metric")
    joined = features.drop_dims("metric").assign(value=mean.expand_dims(metric=["mean"], axis=-1))
    return joined.assign_attrs(primary_metric="mean")


def cell_names(studies: list[str], labels: list[int], kind: str) -> dict[str, partial]:
    """Return the cells in which no more than 60% of the items are labelled; beyond, little is left to predict."""
    fewest = {study: min(len(items) for _, _, items in parts(study)) for study in studies}
    return {f"{study}-{labelled}-{kind}": partial(replicate, study=study, labelled=labelled, alone=kind == ALONE)
            for labelled in labels for study in studies if labelled <= MOST_LABELLED * fewest[study]}


def joined_rows(found: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Join the rows of cells, with what the interval says of the population where few of its items are labelled."""
    split = {name: name.split("-") for name in found}
    rows = pd.concat([found[name].assign(study=study, labelled=int(labelled))
                      for name, (study, labelled, _) in split.items()], ignore_index=True)
    # The truth of these items is itself a sample of the population's.
    low, high = ((rows[end] - rows["truth"]) / rows["truth_sd"] for end in ("lower", "upper"))
    rows["coverage_population"] = (ndtr(high) - ndtr(low)).where(rows["labelled"] / rows["items"] <= LARGEST_SHARE)
    return rows


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Coverage and width by study, labels, metrics, quantity and method.

    ``identical`` is the share of outputs that are word for word those of another model.
    ``against_labels`` and ``against_ppi`` are the mean width over that of labels alone and of PPI++ on the primary
    metric. Intervals that could not be given (all labels equal) are left out; ``answered`` is the share that remains.
    ``cpu_s`` is the time of all replicates of a study and number of labels.
    """
    more = rows.assign(answered=rows["lower"].notna().astype(float)).groupby(GROUP, sort=False)[
        ["models", "items", "identical", "answered", "divergent"]].mean().reset_index()
    table = coverage_table(rows.dropna(subset="lower"), GROUP).merge(more, on=GROUP)
    spent = rows.groupby([*CELL, "replicate"])["cpu_s"].first().groupby(CELL).sum()
    table = table.merge(spent.reset_index(), on=CELL)
    table["rater_correlation"] = table["study"].map({one: rater_correlation(one) for one in table["study"].unique()})
    for name, method in (("against_labels", "labels_only"), ("against_ppi", "ppi_primary_metric")):
        base = table.loc[table["method"] == method, [*GROUP[:-1], "width"]].rename(columns={"width": "base"})
        table[name] = table["width"] / table.merge(base, how="left", on=GROUP[:-1])["base"].to_numpy()
    return table


@cache
def rater_correlation(study: str) -> float:
    """Intraclass correlation of judgments of one output, about the mean of its model; missing with one rater.

    Below 0 raters of one output differ more than raters of different ones do, which no effect of outputs or raters can
    express: an interval from the model is then too wide. One-way analysis of variance (doi:10.1037/0033-2909.86.2.420).
    """
    given = parts(study)[0][0]
    human = given.human[given.human["model"].isin(given.models)]
    pair = ["model", *(["opponent"] if given.pairwise else [])]
    output = human.groupby(["item_id", *pair])["value"].agg(["mean", "var", "size"])
    if (output["size"] < 2).all():
        return np.nan
    centred = output["mean"] - output.groupby(pair)["mean"].transform("mean")
    raters = output["size"].mean()
    between, within = raters * centred.var(), output["var"].mean()
    return (between - within) / (between + (raters - 1) * within)


def overall(table: pd.DataFrame, alone: pd.DataFrame | None) -> pd.DataFrame:
    """Contrasts over all studies, each counted once: the mean, the worst study and, alone, the worst metric.

    ``against_best_ppi`` is the width over that of PPI++ on the one metric with which PPI++ is narrowest, in studies of
    three or more metrics; metrics that some model lacks are no candidates.
    """
    tables = [("all metrics", table)]
    if alone is not None:
        tables = [("all metrics", table.join(best_ppi(table, alone), on=CELL)), ("each metric alone", alone)]
    rows = []
    for name, one in tables:
        contrasts = one[one["quantity"] == "contrast"]
        for (labelled, method), here in contrasts.groupby(["labelled", "method"], sort=False):
            single = here[here["metrics"] != EACH]
            worst = single.loc[single["coverage"].idxmin()]
            here = here[here["metrics"].isin([ALL, EACH])]
            beside = here["width"] / here["best_ppi"] if "best_ppi" in here else pd.Series(dtype=float)
            rows.append({"with": name, "labelled": labelled, "method": method,
                         "studies": len(here), **{
                             key: here[key].mean()
                             for key in ("coverage", "coverage_population", "against_labels", "against_ppi")},
                         "against_best_ppi": beside.mean(),
                         "worst": worst["coverage"], "worst_mc": worst["coverage_mc"],
                         "worst_in": f"{worst['study']} {worst['metrics']}"})
    return pd.DataFrame(rows)


def best_ppi(table: pd.DataFrame, alone: pd.DataFrame) -> pd.Series:
    """Mean width of PPI++ on its narrowest metric, by study and number of labels, where there are three or more."""
    here = alone[(alone["quantity"] == "contrast") & (alone["method"] == "ppi_primary_metric")
                 & (alone["metrics"] != EACH)]
    everyone = table.groupby(CELL)["models"].max().rename("everyone")
    here = here.join(everyone, on=CELL).query("models == everyone")
    many = here.groupby(CELL)["metrics"].transform("nunique") >= FEWEST_METRICS
    return here[many].groupby(CELL)["width"].min().rename("best_ppi")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", nargs="+", choices=STUDIES, default=list(STUDIES))
    parser.add_argument("--labels", nargs="+", type=int, default=list(LABELS))
    parser.add_argument("--draws", type=int, default=50, help=f"in steps of {CHUNK}; all metrics together")
    parser.add_argument("--alone", type=int, default=10, help=f"in steps of {CHUNK}; each metric alone, 0: not at all")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    code = code_digest()
    run = partial(run_cells, f"real_pairs-{code}", chunk=CHUNK, workers=given.workers)
    joined = partial(with_other_cells, cell=CELL, code=code)
    rows = joined_rows(run(cell_names(given.datasets, given.labels, ALL), given.draws))
    table = joined(summary(rows), "real_pairs")
    write_result(table, "real_pairs", seed=SEED, code=code)
    by_pair = ["study", "labelled", "quantity", "model", "against", "judged", "truth", "method"]
    kept = rows[rows["method"] == "calibrated"].drop(columns="coverage_population")
    pairs = joined(coverage_table(kept, by_pair), "real_pairs_by_pair")
    write_result(pairs, "real_pairs_by_pair", seed=SEED, code=code)
    alone = None
    if given.alone:
        rows = joined_rows(run(cell_names(given.datasets, given.labels, ALONE), given.alone))
        single = summary(rows[rows["quantity"] == "contrast"])
        alone = joined(pd.concat([summary(rows.assign(metrics=EACH)), single]), "real_pairs_alone")
        write_result(alone, "real_pairs_alone", seed=SEED, code=code)
    write_result(overall(table, alone), "real_pairs_overall", seed=SEED, code=code)


if __name__ == "__main__":
    main()
