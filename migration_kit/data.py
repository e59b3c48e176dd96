"""The data of a migration, checked once at the door."""

import dataclasses
import hashlib
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

from migration_kit.contract import (
    Exclusions,
    check_columns,
    check_held_out,
    check_items,
    check_live,
    check_outputs,
    check_scores,
    check_stakeholders,
    check_traffic,
    count_missing,
    no_live,
    no_notes,
    note_dates,
    with_inclusion,
)
from migration_kit.errors import InputError, Problems
from migration_kit.plan import Plan
from migration_kit.readers import outside_where, read_scores, read_tables, stack
from migration_kit.readers.files import find_files, shown


@dataclass(frozen=True)
class EvalData:
    """What the plan names, and nothing else.

    Attributes
    ----------
    items : DataFrame
        item_id, slice (the values of the plan's slice columns joined by " · ", or "all items"), the slice columns,
        covariates, and cluster_id and text where given. One row an item.
    scores : DataFrame
        item_id, model, criterion, rater, rater_kind, value, repeat, inclusion_prob (that of the plan's table of
        inclusion where it has the item), and rationale and source where given; one row a human judgment (item, model,
        criterion, rater, repeat), one value an output and metric. Where the plan has a pairwise criterion also opponent
        and side: a preference has a candidate as model, the incumbent as opponent, a value above 0 where the candidate
        won, and the side ("left", "right" or missing) of its output.
    outputs : DataFrame
        item_id, model, covariates, and text where given. Empty when the plan names no outputs.
    traffic : DataFrame
        slice, share (sums to 1), count (missing where the traffic table gives shares). One row a slice of items.
    held_out : DataFrame
        As scores; human judgments or their means, within the scale, kept for the end. May be empty.
    exclusions : DataFrame
        table, model ("" is any), reason, n: what was left out or is missing.
    notes : DataFrame
        criterion ("" is any), check ("" is none), text: what is valid, odd and kept, with file and row, and what is
        done with it.
    live : DataFrame
        item_id, model, stage ("shadow", "canary" or "anchor"), time (UTC), user, criterion, rater, rater_kind, value,
        inclusion_prob, assigned_prob, slice, and the plan's slice columns, covariates, text (of shadow outputs),
        opponent and side where given; one row a value seen on live requests, or on items of the test set read again
        (anchor). May be empty.
    """

    items: pd.DataFrame
    scores: pd.DataFrame
    outputs: pd.DataFrame
    traffic: pd.DataFrame
    held_out: pd.DataFrame
    exclusions: pd.DataFrame
    notes: pd.DataFrame = dataclasses.field(default_factory=no_notes)
    live: pd.DataFrame = dataclasses.field(default_factory=no_live)


def load_data(plan: Plan) -> EvalData:
    """Read every table of the plan and hold it against the contract.

    Raises
    ------
    InputError
        Every problem found, one a line, with file, column and rows or with the plan key. Nothing is written.
    """
    problems, out = Problems(), Exclusions()
    raw = _read(plan, problems)
    check_columns(plan, raw, problems=problems, out=out)
    in_outputs = [name for name in plan.covariates if "outputs" in raw and name in raw["outputs"]]
    in_items = [name for name in plan.covariates if name not in in_outputs]
    items = check_items(plan, raw["items"], covariates=in_items, outputs=raw.get("outputs"),
                        problems=problems, out=out)
    traffic = check_traffic(plan, raw.get("traffic"), items=items, problems=problems, out=out)
    outputs = _empty("item_id", "model")
    if "outputs" in raw:
        outputs = check_outputs(plan, raw["outputs"], items=items, problems=problems, out=out)
    if "inclusion" in raw:
        raw["scores"] = with_inclusion(plan, raw["scores"], raw["inclusion"], items=items, problems=problems, out=out)
    also = {"items": items, "outputs": raw.get("outputs"), "problems": problems, "out": out}
    scores = check_scores(plan, raw["scores"], **also)
    held_out = scores.iloc[:0].drop(columns=["rationale", "source"], errors="ignore")
    if "held_out" in raw:
        held_out = check_held_out(plan, raw["held_out"], **also)
    check_stakeholders(plan, items, problems)
    problems.stop()
    note_dates(plan, out)
    live = no_live()
    if "live" in raw:
        live = check_live(plan, raw["live"], items=items, traffic=traffic, problems=problems, out=out)
    out.add("items", "", "outside `where`", outside_where(raw["items"]))
    for name in in_items:
        out.add("items", "", f"covariate {name!r} missing", int(items[name].isna().sum()))
    count_missing(plan, items=items, outputs=outputs, scores=scores, out=out)
    return EvalData(items, scores, outputs, traffic, held_out, out.frame(), out.notes(), live)


def data_digest(plan: Plan) -> str:
    """Return the sha256 over the bytes, and the names from the plan's folder, of every file the plan names.

    Raises
    ------
    InputError
        A path that leads to no file.
    """
    files = {path for key, _, table in plan.tables() for path in find_files(table.path, folder=plan.folder, key=key)}
    digest = hashlib.sha256()
    for name, path in sorted((shown(path, plan.folder), path) for path in files):
        with path.open("rb") as content:
            digest.update(f"{name}\0{hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def save_data(data: EvalData, folder: str | Path) -> None:
    """Write one Parquet file for each table of the data into a folder, made when it is not there."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for field in fields(EvalData):
        getattr(data, field.name).to_parquet(folder / f"{field.name}.parquet", index=False)


def read_data(folder: str | Path) -> EvalData:
    """Read back what `save_data` wrote.

    Raises
    ------
    InputError
        A table is missing or broken.
    """
    tables = {}
    for field in fields(EvalData):
        path = Path(folder) / f"{field.name}.parquet"
        try:
            tables[field.name] = pd.read_parquet(path)
        except FileNotFoundError:
            raise InputError(f"{path}: there is no such file; run stage 01_baseline again") from None
        except (ValueError, OSError) as error:
            raise InputError(f"{path}: cannot be read ({error}); run stage 01_baseline again") from None
    return EvalData(**tables)


def _read(plan: Plan, problems: Problems) -> dict[str, pd.DataFrame]:
    """Read the tables of the plan; items stay a list, the tables of every other kind stand one under the other."""
    raw, folder = {}, plan.folder
    kinds = ("outputs", "items", "scores", "held_out", "live", "inclusion")
    tables = {kind: getattr(plan.data, kind) for kind in kinds}
    tables["traffic"] = (plan.traffic.table,) if plan.traffic and plan.traffic.table else ()
    for kind, specs in tables.items():
        if not specs:
            continue
        known, numeric = plan.columns_of(kind), plan.covariates
        if kind == "items" and "outputs" in raw:
            # A covariate of outputs differs between the models of an item.
            known = tuple(name for name in known if name not in numeric or name not in raw["outputs"])
        try:
            if kind in ("scores", "held_out"):
                raw[kind] = read_scores(specs, folder, kind=kind)
            else:
                more = ("assigned_prob",) if kind == "live" else ()
                frames = read_tables(specs, folder, kind=kind, known=known, numeric=(*numeric, *more))
                raw[kind] = frames if kind == "items" else stack(frames)
        except InputError as error:
            problems.take(error)
    problems.stop()
    return raw


def _empty(*columns: str) -> pd.DataFrame:
    return pd.DataFrame({column: pd.Series(dtype="str") for column in columns})
