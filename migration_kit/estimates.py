"""The table of estimates of a run: its columns, its key, and how those of several stages make one."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from migration_kit.files import write_file
from migration_kit.intervals import ESTIMATE_COLUMNS, ESTIMATE_KEY

ESTIMATES = "estimates.parquet"


def check_estimates(estimates: pd.DataFrame) -> None:
    """Raise ValueError unless the columns are `ESTIMATE_COLUMNS` and each key stands once."""
    wrong = set(ESTIMATE_COLUMNS) ^ set(estimates.columns)
    if wrong:
        raise ValueError(f"estimates: columns {sorted(wrong)} are missing or unknown; expected {ESTIMATE_COLUMNS}")
    twice = estimates.loc[estimates.duplicated(list(ESTIMATE_KEY)), list(ESTIMATE_KEY)]
    if len(twice):
        raise ValueError(f"estimates: more than one row for {twice.iloc[0].to_dict()}")


def stack_layers(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One table from several, columns in order; of a layer that stands in two of them the later one counts."""
    kept = []
    for part in parts:
        layers = part["layer"].unique()
        kept = [*(before[~before["layer"].isin(layers)] for before in kept), part[list(ESTIMATE_COLUMNS)]]
    return pd.concat([part for part in kept if len(part)] or kept, ignore_index=True)


def collect_estimates(folder: Path) -> Path:
    """Write the run's `estimates.parquet` anew from the estimates of its stages, in their order; none without any."""
    path = folder / ESTIMATES
    parts = [pd.read_parquet(part) for part in sorted(folder.glob(f"*/{ESTIMATES}"))]
    if parts:
        return write_file(path, stack_layers(parts))
    path.unlink(missing_ok=True)
    return path
