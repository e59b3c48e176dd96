"""Can the result be trusted? Each check says yes, no or cannot tell, in a sentence, with the numbers behind it."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr

from migration_kit.estimands import TOTAL, contrast
from migration_kit.plan import Plan
from migration_kit.wording import unit_of

DISAGREEMENT = 2.0


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


def correction_check(draws: xr.Dataset, features: xr.Dataset, plan: Plan) -> CheckResult:
    """Calibrated and corrected contrasts lie within twice the standard deviation of the correction."""
    better = features.attrs["better"]
    both = {name: contrast(draws[name].sel(slice=TOTAL), incumbent=plan.incumbent, better=better) for name in draws}
    rows = []
    for model in plan.candidates:
        moved = (both["corrected"] - both["calibrated"]).sel(model=model).to_numpy().ravel()
        rows.append({"model": model, "difference": moved.mean(), "sd": moved.std(),
                     "ratio": abs(moved.mean()) / moved.std() if moved.std() > 0 else 0.0})
    table = pd.DataFrame(rows)
    apart = table[table["ratio"] > DISAGREEMENT]
    worst = table.loc[table["ratio"].idxmax()]
    unit = unit_of(plan.criterion(features.attrs["criterion"]))
    text = (f"The correction by residuals moves the contrast of {worst['model']} most: by "
            f"{unit.change(worst['difference'], unit=True)}, {worst['ratio']:.1f} times its standard deviation "
            f"(at most {DISAGREEMENT:g}).")
    return CheckResult("calibrated and corrected agree", apart.empty, text, features.attrs["criterion"],
                       models=tuple(apart["model"]), table=table)


def agreement_check(estimates: pd.DataFrame, plan: Plan, criterion: str, *, layer: str) -> CheckResult:
    """Calibrated and labels-only contrasts share their labels, so they may differ only by what metrics add."""
    rows = estimates.query("layer == @layer and criterion == @criterion and quantity == 'contrast' and slice == @TOTAL")
    wide = rows[rows["method"].isin(("calibrated", "labels_only"))].pivot(index="model", columns="method",
                                                                         values=["mean", "sd"])
    variance = wide["sd"] ** 2
    allowed = DISAGREEMENT * np.sqrt(np.maximum(variance["labels_only"] - variance["calibrated"],
                                                0.1 * variance["labels_only"]))
    difference = wide["mean"]["calibrated"] - wide["mean"]["labels_only"]
    table = pd.DataFrame({"difference": difference, "allowed": allowed}).dropna().reset_index()
    if table.empty:
        return CheckResult("cross-checks agree", None, "There are no labels-only contrasts to compare with.", criterion)
    apart = table[table["difference"].abs() > table["allowed"]]
    worst = table.loc[(table["difference"].abs() / table["allowed"]).idxmax()]
    unit = unit_of(plan.criterion(criterion))
    text = (f"Calibrated and labels-only contrasts differ most for {worst['model']}: by "
            f"{unit.change(worst['difference'], unit=True)}, allowed {unit.size(worst['allowed'])}.")
    return CheckResult("cross-checks agree", apart.empty, text, criterion, models=tuple(apart["model"]), table=table)
