"""Plain text for the terminal: what `check` found, what `preview` answers, the verdict in a line."""


import pandas as pd

from migration_kit.data import EvalData
from migration_kit.plan import LIVE_STAGES, Plan
from migration_kit.wording import DASH, chance, rounded_down, text_table, unit_of


def summary(plan: Plan, data: EvalData) -> str:
    """What plan and data hold: models, items by slice, labels and metrics by model, what was left out, what is odd."""
    parts = [
        f"{plan.title}: plan and data are valid",
        f"incumbent  {plan.incumbent}\ncandidates {', '.join(plan.candidates)}",
        _items(data),
    ]
    parts += [_scores(plan, data, criterion.id) for criterion in plan.criteria]
    if len(data.live):
        parts.append(_live(plan, data))
    if len(data.exclusions):
        rows = [[str(row.n), row.table, row.model or "all models", row.reason] for row in data.exclusions.itertuples()]
        parts.append(text_table("left out or missing", ["rows", "table", "model", "reason"], rows, numbers={0}))
    else:
        parts.append("left out or missing\n  nothing")
    if len(data.notes):
        parts.append("\n".join(["look at this", *(f"  {text}" for text in data.notes["text"])]))
    return "\n\n".join(parts)


def _items(data: EvalData) -> str:
    counts = data.items["slice"].value_counts().sort_index()
    shares = data.traffic.set_index("slice")["share"]
    rows = [[name, str(n), f"{n / len(data.items):.1%}", f"{shares.get(name, 0.0):.1%}"] for name, n in counts.items()]
    rows.append(["all", str(len(data.items)), "100.0%", "100.0%"])
    return text_table("items", ["slice", "items", "of items", "of traffic"], rows, numbers={1, 2, 3})


def _scores(plan: Plan, data: EvalData, criterion_id: str) -> str:
    """Labels of one criterion and the share of items that each of its metrics covers, by model."""
    criterion, scores = plan.criterion(criterion_id), data.scores
    human = scores[(scores["rater_kind"] == "human") & (scores["criterion"] == criterion_id)]
    labels = human.groupby("model", observed=True)["item_id"].nunique()
    columns = []
    for metric in criterion.metrics:
        under = plan.metric(metric).criterion or criterion_id
        rows = scores[(scores["rater"] == metric) & (scores["rater_kind"] != "human") & (scores["criterion"] == under)]
        columns.append(rows.groupby("model", observed=True)["item_id"].nunique())
    # A preference is about the candidate: the incumbent has no labels, nor rows of metrics that compare.
    alone = plan.incumbent if criterion.kind == "pairwise" else None
    rows = [
        [
            model,
            DASH if model == alone else str(int(labels.get(model, 0))),
            *(DASH if model == alone and model not in column else f"{column.get(model, 0) / len(data.items):.1%}"
              for column in columns),
        ]
        for model in plan.model_ids
    ]
    margin = f", margin {criterion.margin:g}" if criterion.margin is not None else ""
    title = f"{criterion_id} ({criterion.role}{margin}): labels, and share of items with each metric"
    return text_table(title, ["model", "labels", *criterion.metrics], rows, numbers=set(range(1, 2 + len(columns))))


def _live(plan: Plan, data: EvalData) -> str:
    """Requests, users, judged requests, days and models of every live stage."""
    rows = []
    for stage in LIVE_STAGES:
        here = data.live[data.live["stage"] == stage]
        if here.empty:
            continue
        judged = here.loc[here["rater_kind"] == "human", "item_id"].nunique() if stage == "shadow" else None
        models = {*here["model"], *here.get("opponent", pd.Series(dtype="str")).dropna()}
        rows.append([stage, str(here["item_id"].nunique()), str(here["user"].nunique()) if stage == "canary" else DASH,
                     DASH if judged is None else str(judged), f"{here['time'].min():%Y-%m-%d}",
                     f"{here['time'].max():%Y-%m-%d}", ", ".join(one for one in plan.model_ids if one in models)])
    heads = ["stage", "requests", "users", "judged", "first", "last", "models"]
    return text_table("live", heads, rows, numbers={1, 2, 3})


def preview_text(answer: dict, plan: Plan) -> str:
    """The answer of `preview.preview`, criterion by criterion, in the units of each."""
    parts = [f"{plan.title}: from labels and metric verdicts alone; `migration-kit run` calibrates"]
    for part in answer["criteria"]:
        unit = unit_of(plan.criterion(part["criterion"]))
        rows = [
            [
                row["model"],
                DASH if row["labels"] is None else str(row["labels"]),
                unit.quality(row["quality"]),
                unit.quality_span(row["lower"], row["upper"]),
                unit.change(row["contrast"]),
                unit.span(row["contrast_lower"], row["contrast_upper"]),
                rounded_down(row["prob_noninferior"]),
            ]
            for row in part["models"]
        ]
        margin = f" (margin {unit.size(part['margin'])})" if part["margin"] is not None else ""
        contrast = "contrast, points" if unit.in_points else "contrast"
        heads = ["model", "labels", unit.noun, "interval", contrast, "interval", "non-inferior"]
        parts.append("\n".join([text_table(f"{part['criterion']}{margin}", heads, rows, numbers=set(range(1, 7))),
                                *(f"  {note}" for note in part["notes"])]))
    if answer["verdicts"]:
        width = max(len(name) for name in answer["verdicts"])
        lines = [f"  {name:<{width}}  {text}" for name, text in answer["verdicts"].items()]
        parts.append("\n".join(["so far", *lines]))
    return "\n\n".join(parts)


def verdict_line(decision: dict, *, incumbent: str) -> str:
    """The verdict of decision.json in a line."""
    verdict, candidate, probability = (decision.get(key) for key in ("verdict", "candidate", "probability"))
    told = f" (probability {chance(probability)})" if isinstance(probability, int | float) else ""
    if verdict == "switch":
        return f"switch to {candidate}{told}"
    forced = decision.get("forced") or {}
    told += f"; if a choice must be made now, {forced['candidate']} is the least bad" if forced.get("candidate") else ""
    if verdict == "keep":
        return f"keep {incumbent}{told}"
    if verdict == "collect":
        needed = decision.get("candidates", {}).get(candidate, {}).get("labels_needed")
        labels = f"about {needed} more labels" if needed else "more labels"
        return f"collect {labels}{f' for {candidate}' if candidate else ''}{told}"
    return "none; the run saved no decision"
