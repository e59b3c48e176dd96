"""Rebuild the tables of this folder: python data/support/simulate.py"""

from dataclasses import fields
from pathlib import Path

from migration_kit.simulate import simulate_support

SEED, N_ITEMS, N_LABELS = 2027, 2000, 600
FOLDER = Path(__file__).parent


def main() -> None:
    drawn = simulate_support(SEED, n_items=N_ITEMS, n_labels=N_LABELS)
    for name in (field.name for field in fields(drawn)):
        table = getattr(drawn, name)
        if name in ("traffic", "truth", "metric_truth"):
            table.round(6).to_csv(FOLDER / f"{name}.csv", index=False, lineterminator="\n")
        else:
            table.to_parquet(FOLDER / f"{name}.parquet", index=False, compression="zstd", compression_level=19)


if __name__ == "__main__":
    main()
