"""Tables of stages 01 and 02: the plan, the data, requirements, answers that flip."""

import pandas as pd
import xarray as xr
from great_tables import GT

from migration_kit.data import EvalData
from migration_kit.metric_units import metrics_in_unit
from migration_kit.plan import CriterionSpec, Plan
from migration_kit.tables.grid import NAME, NUMBER, TEXT, grid, mark
from migration_kit.wording import DASH, amount, chance, flip_words, number, share, signed_number, unit_of, unknown


def models(plan: Plan) -> GT:
    """Every model with its prompt, settings, retirement and facts as the plan states them."""
    facts = list(dict.fromkeys(name for model in _models(plan) for name in model.facts))
    told = {name: {_fact(model.facts.get(name)) for model in _models(plan)} for name in facts}
    same = [f"{name}: {min(values)}" for name, values in told.items() if len(values) == 1]
    facts = [name for name in facts if len(told[name]) > 1]
    rows = [
        [model.id, "incumbent" if model.id == plan.incumbent else "candidate", model.prompt or DASH,
         model.settings or DASH, str(model.retires or DASH), *(_fact(model.facts.get(name)) for name in facts)]
        for model in _models(plan)
    ]
    columns = [("model", NAME), ("role", TEXT), ("prompt", TEXT), ("settings", TEXT), ("retires", TEXT),
               *((name, TEXT) for name in facts)]
    kept = [place for place in range(len(columns)) if place < 2 or any(row[place] != DASH for row in rows)]
    return grid([columns[place] for place in kept], [[row[place] for place in kept] for row in rows],
                title="Models, as the plan states them",
                note=f"The same of all models: {'; '.join(same)}." if same else "")


def criteria(plan: Plan) -> GT:
    """Every criterion with question, role, margins and the reason for them."""
    volume = plan.traffic.requests_per_day if plan.traffic else None
    rows = []
    for one in plan.criteria:
        unit = unit_of(one)
        # Only a rate of outputs is a number of outputs a day.
        counted = volume and one.margin and one.in_points and one.kind != "pairwise"
        rows.append([
            one.id, one.question or DASH, _scale(one), f"{unit.noun}, {one.better} is better", one.role,
            unit.size(one.margin) if one.margin else DASH,
            *([amount(one.margin * volume) if counted else DASH] if volume else []),
            unit.size(one.slice_margin) if one.slice_margin else DASH, one.why or DASH])
    columns = [("criterion", NAME), ("question", TEXT), ("judged on", TEXT), ("quality is the", TEXT), ("role", TEXT),
               ("margin", NUMBER), *([("outputs a day", NUMBER)] if volume else []),
               ("slice margin", NUMBER), ("why", TEXT)]
    return grid(columns, rows, title="Criteria, and the largest loss accepted on each",
                note="Points are percentage points of a rate; a net win rate is wins minus losses against the "
                     "incumbent, as a share of all items. Other margins are in the unit of the human judgments.")


def metrics(plan: Plan) -> GT:
    """Every metric a criterion uses: who computes it, its prompt, its family."""
    rows = []
    for criterion in plan.criteria:
        for name in criterion.metrics:
            spec, better = plan.metric(name), plan.metric_better(name, criterion.id)
            kin = [model for model in plan.model_ids if spec.family and spec.family.casefold() in model.casefold()]
            rows.append([criterion.id, f"{name}{' (primary)' if name == criterion.primary_metric else ''}",
                         spec.by or DASH, {"none": "says nothing by itself"}.get(better, better),
                         spec.prompt_hash or DASH, spec.family or DASH, ", ".join(kin) or DASH])
    return grid([("criterion", NAME), ("metric", NAME), ("computed by", TEXT), ("better", TEXT),
                 ("prompt hash", TEXT), ("family", TEXT), ("shares its name with", TEXT)], rows,
                title="Metrics", note="A metric of a model's own family may favour it.")


def flow(counts: pd.DataFrame, plan: Plan, *, outcomes: bool) -> GT:
    """Items, metrics and labels of every model, from `overview.flow`; with `outcomes` what people said, too."""
    rows, groups, several = [], [], (counts["judgments"] > counts["judged"]).any()
    for row in counts.itertuples():
        unit = unit_of(plan.criterion(row.criterion))
        said = [unit.quality(row.mean), amount(row.good), amount(row.bad)] if outcomes else []
        rows.append([row.model, amount(row.items), amount(row.with_metric), amount(row.complete), amount(row.judged),
                     *([amount(row.judgments)] if several else []), *said])
        groups.append(f"{row.criterion}: {unit.noun}")
    said = [("as judged", NUMBER), ("on the better side", NUMBER), ("on the worse side", NUMBER)] if outcomes else []
    return grid([("model", NAME), ("items", NUMBER), ("with a metric", NUMBER), ("with every metric", NUMBER),
                 ("judged by people", NUMBER), *([("judgments", NUMBER)] if several else []), *said], rows,
                title="From the test set to the judgments, in outputs", groups=groups,
                note="As judged: the mean of the judged outputs, not weighted by traffic. Better and worse side: "
                     f"{_sides(plan)}." if outcomes else "")


def _sides(plan: Plan) -> str:
    """What parts the better from the worse side, for the scales a plan has."""
    parts = {"binary": "yes and no where people say one of the two", "pairwise": "won and lost where people compare",
             "ordinal": "of the middle of the scale where people give levels",
             "continuous": "of the median over all models where people give a number"}
    return "; ".join(text for kind, text in parts.items() if kind in {one.kind for one in plan.criteria})


def labels_by_slice(counts: pd.DataFrame) -> GT:
    """Judged outputs of each model by slice, from `data_checks.label_counts` of each criterion, column criterion."""
    names, rows, groups = list(dict.fromkeys(counts["slice"])), [], []
    for (criterion, model), part in counts.groupby(["criterion", "model"], sort=False):
        cells = part.set_index("slice")["labels"].reindex(names)
        rows.append([model, *(amount(n) for n in cells), amount(cells.sum())])
        groups.append(criterion)
    items = counts.drop_duplicates("slice").set_index("slice")["items"]
    return grid([("model", NAME), *((f"{name} ({amount(items[name])})", NUMBER) for name in names), ("all", NUMBER)],
                rows, groups=groups, title="Judged outputs by model and slice", note="In brackets the slice's items.")


def exclusions(data: EvalData) -> GT:
    """What was kept out or is missing, and why."""
    rows = [[row.table, row.model or "all models", row.reason, amount(row.n)] for row in data.exclusions.itertuples()]
    return grid([("table", NAME), ("model", TEXT), ("reason", TEXT), ("rows", NUMBER)], rows,
                title="Left out or missing, in rows")


def requirements(found: pd.DataFrame, plan: Plan) -> GT:
    """Every requirement for every model: passed, failed or unknown, and what was found."""
    rows, groups = [], []
    for name, part in found.groupby("requirement", sort=False):
        # A fact that is the same of every model is told once.
        if part["probability"].isna().all() and (~part.duplicated(["status", "found"])).sum() == 1 < len(part):
            part = part.iloc[:1].assign(model="all models")
        for row in part.to_dict("records"):
            rows.append([row["model"], mark({"pass": True, "fail": False}.get(row["status"])), _found(row),
                         chance(row["probability"]) if not unknown(row["probability"]) else "a fact"])
            groups.append(f"{name}: {row['bound']}")
    return grid([("model", NAME), ("", TEXT), ("found", TEXT), ("probability that it holds", NUMBER)], rows,
                title="Requirements", groups=groups,
                note=f"In brackets {100 * plan.sampling.interval:g}% intervals; rates and percentiles are weighted by "
                     "production traffic.")


def flips(counts: pd.DataFrame, criterion: CriterionSpec) -> GT:
    """Answers lost and gained by slice, from `overview.flips`."""
    counts = counts[counts["n"] > 0]
    counts = counts.sort_values("model", key=lambda column: column.map(list(column.unique()).index), kind="stable")
    # Scores make no output good or bad: where verdicts stand beside them, each kind leaves the other's columns empty.
    verdict = counts["both_bad"].notna()
    counts = counts.assign(both_good=counts["both_good"].where(verdict), ties=counts["both_good"].mask(verdict))
    heads = {"lost": "lost", "gained": "gained"}
    heads |= {"both_good": "both good", "both_bad": "both bad"} if verdict.any() else {}
    heads |= {"ties": "equal scores" if verdict.any() else "no change"} if not verdict.all() else {}
    rows = [[row["by"], "all items" if row["slice"] == "all" else row["slice"], amount(row["n"]),
             *(_part(row[name], row["n"]) for name in heads)] for row in counts.to_dict("records")]
    lost_and_gained = flip_words(criterion.kind, verdicts=verdict.any(), scores=not verdict.all())
    columns = [("by", NAME), ("slice", TEXT), ("items", NUMBER), *((head, NUMBER) for head in heads.values())]
    return grid(columns, rows, title="Where answers flip", groups=counts["model"].tolist(),
                note=f"{lost_and_gained} Not weighted by traffic.")


def raw(estimates: pd.DataFrame, criterion: CriterionSpec, features: xr.Dataset) -> GT:
    """What each metric says of each model, and raw contrasts; rows of one layer and criterion."""
    rows = estimates[(estimates["method"] == "raw") & (estimates["slice"] == "all")]
    contrasts = rows[rows["quantity"] == "contrast"].set_index(["metric", "model"])
    unit, own = unit_of(criterion), set(metrics_in_unit(features))
    cells, groups = [], []
    for row in rows[rows["quantity"] == "quality"].itertuples():
        key, same = (row.metric, row.model), row.metric in own
        delta = contrasts["mean"].get(key, float("nan"))
        cells.append([row.model, unit.quality(row.mean) if same else number(row.mean),
                      unit.change(delta, unit=True) if same else signed_number(delta)])
        groups.append(row.metric)
    return grid([("model", NAME), ("says", NUMBER), ("raw contrast", NUMBER)], cells,
                title="What each metric says by itself, weighted by production traffic", groups=groups,
                note="A positive contrast is better. Nothing here was held against people yet."
                + (" Metrics against the incumbent: its own number is 0." if criterion.kind == "pairwise" else ""))


def _scale(criterion: CriterionSpec) -> str:
    return {"binary": "yes or no", "pairwise": "candidate against incumbent: win, tie or loss",
            "continuous": "a number"}.get(criterion.kind) or f"{criterion.levels[0]:g} to {criterion.levels[-1]:g}"


def _models(plan: Plan) -> list:
    return [plan.models.incumbent, *plan.models.candidates]


def _fact(value: object) -> str:
    if value is None:
        return "not stated"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else f"{value:g}" if isinstance(
        value, float) else str(value)


def _found(row: dict) -> str:
    if unknown(row["probability"]):
        return row["found"]
    return f"{number(row['mean'])} ({number(row['lower'])} to {number(row['upper'])})"


def _part(count: float, n: float) -> str:
    return f"{amount(count)} ({share(count / n)})" if n and not unknown(count) else DASH
