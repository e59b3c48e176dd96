"""Rebuild the tables of this folder: python data/support/simulate.py"""

from dataclasses import fields
from pathlib import Path

from migration_kit.simulate import simulate_support

SEED, LIVE_SEED, N_ITEMS, N_LABELS = 2027, 11, 2000, 600
FOLDER = Path(__file__).parent
IDS = ("item_id", "user")


def main() -> None:
    drawn = simulate_support(SEED, n_items=N_ITEMS, n_labels=N_LABELS, live_seed=LIVE_SEED)
    for name in (field.name for field in fields(drawn)):
        table = getattr(drawn, name)
        if name in ("traffic", "truth", "metric_truth", "live_truth"):
            table.round(6).to_csv(FOLDER / f"{name}.csv", index=False, lineterminator="\n")
            continue
        # Ids in sequence take a tenth of the room this way.
        small = {"use_dictionary": [one for one in table if one not in IDS],
                 "column_encoding": {one: "DELTA_BYTE_ARRAY" for one in IDS if one in table}} if name == "live" else {}
        table.to_parquet(FOLDER / f"{name}.parquet", index=False, compression="zstd", compression_level=19, **small)


if __name__ == "__main__":
    main()
