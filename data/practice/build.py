"""Rebuild the tables of this folder: python data/practice/build.py"""

from pathlib import Path

import numpy as np
import pandas as pd

from migration_kit.simulate import draw_latent, score_rows

FOLDER = Path(__file__).parent
SEED, N_ITEMS, N_LABELLED = 124, 240, 40
MODELS = ("helper-1", "helper-2", "helper-3")
QUALITY = (0.70, 0.82, 0.45)
TRUE_POSITIVE, FALSE_POSITIVE = (0.94, 0.94, 0.96), (0.30, 0.35, 0.75)
TOPICS = {"delivery": 0.3, "invoices": 0.3, "returns": 0.4}
TRAFFIC = {"delivery": 0.5, "invoices": 0.2, "returns": 0.3}


def request(topic: str, order: int, *, rng: np.random.Generator) -> tuple[str, bool, str, str]:
    """A rule of the shop with a customer's question, whether yes is right, and the words for yes and for no."""
    if topic == "delivery":
        limit, hour = rng.integers(10, 18), 0
        while hour in (0, limit):
            hour = rng.integers(8, 20)
        return (f"Shop rule: orders placed before {limit}:00 leave the same day, all others the next day. Customer: I "
                f"placed order {order} at {hour}:{rng.integers(1, 6)}0 today. Will it leave today?",
                bool(hour < limit), f"order {order} leaves today", f"order {order} leaves tomorrow")
    if topic == "returns":
        limit = int(rng.choice([14, 30, 60]))
        days = int(rng.choice([limit - rng.integers(2, 10), limit + rng.integers(2, 20)]))
        return (f"Shop rule: goods can be sent back within {limit} days of delivery. Customer: order {order} arrived "
                f"{days} days ago. Can I still send it back?",
                days < limit, f"order {order} can be sent back", f"order {order} can no longer be sent back")
    limit = int(rng.choice([100, 200, 500]))
    total = int(rng.choice([limit - rng.integers(20, 80), limit + rng.integers(20, 200)]))
    return (f"Shop rule: orders of {limit} EUR or more can be paid in three parts. Customer: order {order} comes to "
            f"{total} EUR. Can I pay it in three parts?",
            total > limit, f"order {order} can be paid in three parts", f"order {order} has to be paid at once")


def answer(model: str, *, yes: bool, words: str) -> str:
    """What a model says, each in its own manner; yes or no is all that can be wrong."""
    word = "Yes" if yes else "No"
    return {"helper-1": f"{word}, {words}.",
            "helper-2": f"Thank you for asking. {word}: {words}. Is there anything else?",
            "helper-3": f"{word}! We have checked, and {words}."}[model]


def tables(seed: int) -> dict[str, pd.DataFrame]:
    """All tables of the folder by name."""
    rng = np.random.default_rng(seed)
    topics = rng.choice(list(TOPICS), size=N_ITEMS, p=list(TOPICS.values()))
    latent, _ = draw_latent(N_ITEMS, len(MODELS), rng=rng)
    right = latent < np.quantile(rng.standard_normal(100_000), QUALITY)
    orders = 4000 + rng.permutation(5000)[:N_ITEMS]
    item_id = np.array([f"q{k:03d}" for k in range(1, N_ITEMS + 1)])
    asked = [request(topic, order, rng=rng) for topic, order in zip(topics, orders, strict=True)]
    outputs = [(name, model, answer(model, yes=yes == good, words=(no, said)[yes == good]))
               for m, model in enumerate(MODELS)
               for name, (_, yes, said, no), good in zip(item_id, asked, right[:, m].tolist(), strict=True)]
    judge = rng.random(right.shape) < np.where(right, TRUE_POSITIVE, FALSE_POSITIVE)
    overlap = (0.45 + 0.12 * right + 0.15 * rng.standard_normal(right.shape)).clip(0, 1).round(2)
    labelled = np.sort(rng.permutation(N_ITEMS)[:N_LABELLED])
    common = {"criterion": "correct"}
    people = {"rater": "shop_team", "rater_kind": "human"}
    return {
        "items": pd.DataFrame({"item_id": item_id, "topic": topics, "text": [text for text, *_ in asked]}),
        "outputs": pd.DataFrame(outputs, columns=["item_id", "model", "text"]),
        "scores": pd.concat([
            score_rows(item_id, MODELS, judge, rater="fluency_judge", rater_kind="judge", **common),
            score_rows(item_id, MODELS, overlap, rater="word_overlap", rater_kind="code", **common),
            score_rows(item_id[labelled], MODELS, right[labelled], **people, **common)]),
        "held_out": score_rows(item_id, MODELS, right, **people, **common),
        "traffic": pd.DataFrame({"topic": list(TRAFFIC), "share": list(TRAFFIC.values())}),
    }


def main() -> None:
    for name, table in tables(SEED).items():
        table.to_csv(FOLDER / f"{name}.csv", index=False, lineterminator="\n", float_format="%g")


if __name__ == "__main__":
    main()
