"""Can the result be trusted? Each check says yes, no or cannot tell, in a sentence, with the numbers behind it."""

from dataclasses import dataclass, field

import pandas as pd

FAIR = "raw primary metric is fair to all models"
CORRECTED_AGREES = "calibrated and corrected agree"
RATERS_AGREE = "raters agree"
PRIORS_LEAVE_ROOM = "priors leave room for the labels"
ENOUGH_LABELS, ENOUGH_OF_BOTH = "enough labels", "enough labels of both kinds"
LABELS_COVER = "labels cover traffic"
MENDED_BY_LABELS = (ENOUGH_LABELS, ENOUGH_OF_BOTH, LABELS_COVER)


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check.

    Attributes
    ----------
    name : str
    passed : bool or None
        None when the data cannot tell.
    text : str
        One sentence with the numbers.
    criterion : str
        Empty when the check is not about one criterion.
    blocks : bool
        A failure that leaves no decision but to collect more labels.
    models : tuple of str
        The candidates a failure is about, where it is not about all.
    table : DataFrame
        The numbers behind it; may be empty.
    """

    name: str
    passed: bool | None
    text: str
    criterion: str = ""
    blocks: bool = False
    models: tuple[str, ...] = ()
    table: pd.DataFrame = field(default_factory=pd.DataFrame, compare=False)


def check_table(checks: list[CheckResult]) -> pd.DataFrame:
    """Return the checks as a table: criterion, name, passed, text, blocks, models; one row a check."""
    rows = [
        {"criterion": c.criterion, "name": c.name, "passed": c.passed, "text": c.text, "blocks": c.blocks,
         "models": list(c.models)}
        for c in checks
    ]
    table = pd.DataFrame(rows, columns=["criterion", "name", "passed", "text", "blocks", "models"])
    return table.astype({"passed": "boolean"})


def read_checks(table: pd.DataFrame) -> list[CheckResult]:
    """Turn a stored table back into checks, without the numbers behind them."""
    return [
        CheckResult(row.name_, None if pd.isna(row.passed) else bool(row.passed), row.text, row.criterion,
                    bool(row.blocks), tuple(row.models))
        for row in table.rename(columns={"name": "name_"}).itertuples()
    ]
