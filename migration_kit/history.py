"""How the verdict of a run moved: a row each time its report was finished, kept when the folder is laid out anew."""

import json

import pandas as pd

from migration_kit.data import EvalData

HISTORY = "history.parquet"
HISTORY_COLUMNS = ("time", "plan_digest", "data_digest", "fast", "labels", "live_rows", "verdict", "candidate",
                   "probability", "gap_flagged", "candidates")


def history_row(decision: dict, manifest: dict, data: EvalData, *, time: str, fast: bool) -> dict:
    """Return what a finished report adds to the history.

    Parameters
    ----------
    decision : dict
        As `decision.json` holds it.
    manifest : dict
        Of the run, with the digests of plan and data.
    data : EvalData
    time : str
        ISO 8601, UTC.
    fast : bool

    Returns
    -------
    dict
        `HISTORY_COLUMNS`: ``labels`` human judgments of the test set, ``live_rows`` values seen on live requests,
        ``gap_flagged`` the candidates on which live requests contradict the test set, joined by ", ", ``candidates``
        JSON of each candidate's verdict and probability, and whether it is flagged.
    """
    candidates = decision["candidates"].items()
    known = {model: {"verdict": one["verdict"], "probability": _number(one.get("probability")),
                     "flagged": bool(one.get("gaps"))}
             for model, one in candidates}
    return {
        "time": time, "plan_digest": manifest["plan_digest"], "data_digest": manifest["data_digest"], "fast": fast,
        "labels": int((data.scores["rater_kind"] == "human").sum()), "live_rows": len(data.live),
        "verdict": decision["verdict"], "candidate": decision["candidate"] or "",
        "probability": _number(decision["probability"]),
        "gap_flagged": ", ".join(model for model, one in candidates if one.get("gaps")),
        "candidates": json.dumps(known, ensure_ascii=False),
    }


def no_history() -> pd.DataFrame:
    """Return the history of a run folder without a finished report."""
    return pd.DataFrame(columns=list(HISTORY_COLUMNS))


def with_row(history: pd.DataFrame, row: dict) -> pd.DataFrame:
    """Return the history with a row at its end; one that says in every column what the last said replaces it."""
    new = pd.DataFrame([row], columns=list(HISTORY_COLUMNS)).astype({"probability": float})
    if history.empty:
        return new
    last = history.iloc[[-1]].drop(columns="time").astype(object)
    same = last.reset_index(drop=True).equals(new.drop(columns="time").astype(object))
    return pd.concat([history.iloc[:-1] if same else history, new], ignore_index=True)


def moves(history: pd.DataFrame) -> pd.DataFrame:
    """Return a row for every finished report and candidate.

    Returns
    -------
    DataFrame
        number (of the report, from 1), time, plan_digest, fast, labels, live_rows, verdict (of the report), candidate,
        candidate_verdict, probability (that its gates hold; NaN where a gate has no labels), flagged.
    """
    rows = []
    for number, row in enumerate(history.to_dict("records"), start=1):
        rows += [{"number": number, "time": row["time"], "plan_digest": row["plan_digest"], "fast": row["fast"],
                  "labels": row["labels"], "live_rows": row["live_rows"], "verdict": row["verdict"],
                  "candidate": model, "candidate_verdict": one["verdict"], "probability": one["probability"],
                  "flagged": one["flagged"]} for model, one in json.loads(row["candidates"]).items()]
    columns = ["number", "time", "plan_digest", "fast", "labels", "live_rows", "verdict", "candidate",
               "candidate_verdict", "probability", "flagged"]
    return pd.DataFrame(rows, columns=columns).astype({"probability": float})


def _number(value: float | None) -> float | None:
    return None if value is None or value != value else float(value)
