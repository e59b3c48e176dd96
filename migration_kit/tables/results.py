"""Tables of stages 03 to 05: estimates, slices, checks, the verdict, sign-off."""

import pandas as pd
import xarray as xr
from great_tables import GT

from migration_kit.metric_units import metrics_in_unit
from migration_kit.plan import CriterionSpec, Plan
from migration_kit.priors import prior_table
from migration_kit.tables.grid import NAME, NUMBER, TEXT, grid, mark
from migration_kit.wording import (
    DASH,
    Unit,
    amount,
    asked,
    chance,
    fixed,
    level,
    listed,
    minus,
    share,
    unit_of,
    unknown,
)

METHODS = {
    "calibrated": "calibrated", "corrected": "corrected by residuals", "ppi": "PPI++ on the primary metric",
    "verdict_strata": "verdict strata on the primary metric", "confusion": "confusion matrices",
    "labels_only": "labels only", "raw": "raw",
}


def estimates(rows: pd.DataFrame, plan: Plan) -> GT:
    """Calibrated quality and contrast of every model on every criterion; rows of one layer."""
    rows = rows[(rows["method"] == "calibrated") & (rows["slice"] == "all")]
    cells, groups = [], []
    for criterion in plan.criteria:
        mine = rows[rows["criterion"] == criterion.id].set_index(["quantity", "model"])
        if mine.empty:
            continue
        unit, asks = unit_of(criterion), f", margin {unit_of(criterion).size(criterion.margin)}"
        for model in plan.model_ids:
            quality = mine.loc[("quality", model)]
            delta = mine.loc[("contrast", model)] if model != plan.incumbent else None
            cells.append([model, unit.quality(quality["mean"]), unit.quality_span(quality["lower"], quality["upper"]),
                          DASH if delta is None else unit.change(delta["mean"]),
                          DASH if delta is None else unit.span(delta["lower"], delta["upper"]),
                          DASH if delta is None else chance(delta["prob_noninferior"]), amount(quality["n_labels"])])
            groups.append(f"{criterion.id}: {unit.noun}, contrast {_in(unit)} "
                          f"({criterion.role}{asks if criterion.margin else ''})")
    what, guesses = level(plan.sampling.interval), (rows.loc[rows["quantity"] == "quality", "n_labels"] == 0).any()
    return grid([("model", NAME), ("quality", NUMBER), (what, TEXT), ("contrast", NUMBER), (what, TEXT),
                 ("non-inferior", NUMBER), ("labels", NUMBER)], cells,
                title="Calibrated quality and contrast with the incumbent", groups=groups,
                note="A positive contrast is better. Non-inferior: probability of losing less than the margin."
                + (" With 0 labels, a guess from metrics and priors." if guesses else ""))


def methods(rows: pd.DataFrame, plan: Plan, criterion: CriterionSpec, features: xr.Dataset) -> GT:
    """The same contrasts by every method; rows of one layer and criterion. Raw metrics in another unit are left out."""
    rows = rows[(rows["slice"] == "all") & (rows["quantity"] == "contrast")]
    unit = unit_of(criterion)
    order = list(METHODS)
    rows = rows.assign(place=rows["method"].map(order.index), which=rows["model"].map(plan.candidates.index))
    rows = rows.sort_values(["which", "place"], kind="stable")
    rows = rows[(rows["method"] != "raw") | rows["metric"].isin(metrics_in_unit(features))]
    cells = [
        [METHODS[row.method] + (f": {row.metric}" if row.method == "raw" else ""), unit.change(row.mean),
         unit.span(row.lower, row.upper), chance(row.prob_noninferior)]
        for row in rows.itertuples()
    ]
    return grid([("method", NAME), (f"contrast, {unit.contrast_axis}", NUMBER), (level(plan.sampling.interval), TEXT),
                 ("loss smaller than margin", NUMBER)], cells, title="The same contrast by several methods",
                groups=rows["model"].tolist())


def slices(rows: pd.DataFrame, plan: Plan, *, most: int = 12) -> GT:
    """Contrasts by slice over all candidates and criteria, worst first; rows of one layer."""
    rows = rows[(rows["method"] == "calibrated") & (rows["quantity"] == "contrast") & (rows["slice"] != "all")]
    # Criteria have units of their own: what is worst is told in margins.
    step = rows["criterion"].map(lambda name: _step(plan.criterion(name))).astype(float)
    rows = rows.assign(place=rows["mean"] / step).sort_values("place", kind="stable")
    cells = []
    for row in rows.head(most).itertuples():
        criterion = plan.criterion(row.criterion)
        margin, unit = criterion.slice_margin, unit_of(criterion)
        cells.append([row.model, row.criterion, row.slice, unit.change(row.mean, unit=True),
                      unit.span(row.lower, row.upper), unit.size(margin) if margin else DASH,
                      chance(row.prob_noninferior), amount(row.n_labels)])
    left = len(rows) - len(cells)
    return grid([("model", NAME), ("criterion", TEXT), ("slice", TEXT), ("contrast", NUMBER),
                 (level(plan.sampling.interval), TEXT), ("slice margin", NUMBER),
                 ("loss smaller than slice margin", NUMBER), ("labels", NUMBER)], cells,
                title="Slices, worst first",
                note="Criteria with different units are put in order by margins. " +
                (f"{left} more combinations of model, criterion and slice are better than these. " if left else "")
                + f"Asked of every slice with a margin: {asked(plan.decision.slice_assurance)}.")


def checks(found: pd.DataFrame) -> GT:
    """Checks that passed, failed or cannot tell; columns of `checks.check_table`, and of `check_meaning` if known."""
    rows, told = [], "meaning" in found
    for row in found.rename(columns={"name": "check"}).itertuples():
        failed = row.passed is not pd.NA and not row.passed
        on = f" on {listed(row.models)}" if len(row.models) else ""
        until = f" Until this passes, the verdict{on} is collect." if row.blocks and failed else ""
        rows.append([mark(row.passed), row.check, minus(row.text) + until,
                     *([row.meaning if failed else ""] if told else [])])
    columns = [("", TEXT), ("check", NAME), ("what was found", TEXT), *([("for the verdict", TEXT)] if told else [])]
    return grid(columns, rows, title="Checks", groups=[name or "all criteria" for name in found["criterion"]])


def priors() -> GT:
    """Every prior with its reason."""
    rows = [[row.symbol, row.distribution, row.where, row.reason] for row in prior_table().itertuples()]
    return grid([("symbol", NAME), ("distribution", TEXT), ("where", TEXT), ("reason", TEXT)], rows, title="Priors")


def verdicts(decision: dict, plan: Plan) -> GT:
    """Each candidate's verdict with the probabilities it rests on; from `decision.json`."""
    rows, several = [], len(plan.gates) > 1
    for model, one in decision["candidates"].items():
        statuses = list(one["requirements"].values())
        met = [f"{statuses.count('pass')} of {len(statuses)}"] if plan.requirements else []
        rows.append([model, one["verdict"], *met, *(_gate(plan, name, gate) for name, gate in one["gates"].items()),
                     *([chance(one["probability"])] if several else []),
                     _labels_needed(one)])
    gates = [f"{gate.id} (margin {unit_of(gate).size(gate.margin)})" for gate in plan.gates]
    return grid([("candidate", NAME), ("verdict", NAME), *([("requirements met", NUMBER)] if plan.requirements else []),
                 *((g, TEXT) for g in gates), *([("all gates hold, at least", NUMBER)] if several else []),
                 ("labels still needed", NUMBER)], rows, title="Verdict on each candidate",
                note="For each gate: contrast; probability that the loss is smaller than the margin. Asked of "
                     f"{'all gates together' if several else 'the gate'}: {asked(plan.decision.assurance)}."
                     + _joined(decision))


def margins_needed(decision: dict, plan: Plan) -> GT:
    """The margin from which on each gate would hold; from `decision.json`."""
    rows = [
        [model, name, unit_of(plan.criterion(name)).size(gate["margin"]),
         _smallest(gate, plan.criterion(name)) if gate["labelled"] else DASH,
         "has no labels of both models" if not gate["labelled"] else
         "holds" if gate["probability"] >= plan.decision.assurance else "does not hold yet"]
        for model, one in decision["candidates"].items() for name, gate in one["gates"].items()
    ]
    return grid([("candidate", NAME), ("gate", TEXT), ("margin of the plan", NUMBER),
                 ("smallest margin that would hold", NUMBER), ("so the gate", TEXT)], rows,
                title="Margins at which each gate would hold",
                note=f"Smallest loss ruled out with {asked(plan.decision.assurance)}, by the calibrated contrast.")


def flip_points(decision: dict, plan: Plan) -> GT:
    """Margin, traffic, prior and weight at which each verdict would be another; from `decision.json`."""
    rows, groups = [], []
    for point in decision["flip_points"]:
        if unknown(point["at"]):
            continue
        where = f" in {point['where']}" if point["what"] == "slice margin" else ""
        rows.append([f"{point['what']}{f' on {name}' if (name := point['criterion']) else ''}{where}",
                     _level(point, point["now"], plan), _level(point, point["at"], plan),
                     f"{point['verdict']}{f' to {point['candidate']}' if point['what'] == 'weight' else ''}"])
        groups.append("all candidates" if point["what"] == "weight" else
                      f"{point['candidate']}: {decision['candidates'][point['candidate']]['verdict']}")
    return grid([("what would change", NAME), ("now", NUMBER), ("turns at", NUMBER), ("then the verdict is", TEXT)],
                rows, groups=groups, title="What would change a verdict, each alone",
                note="The nearest point on either side. Traffic: the share that one slice would have to reach, taken "
                     "alike from the others. Prior: factor on the scale of a criterion's priors.")


def held_out(comparison: pd.DataFrame, plan: Plan) -> GT:
    """Calibrated estimates beside what all judgments say, from `overview.held_out_comparison`."""
    rows, groups = [], []
    for row in comparison[comparison["slice"] == "all"].itertuples():
        unit = unit_of(plan.criterion(row.criterion))
        is_contrast = row.quantity == "contrast"
        show, ends = (unit.change, unit.span) if is_contrast else (unit.quality, unit.quality_span)
        rows.append([row.model, row.quantity, show(row.mean), ends(row.lower, row.upper), show(row.truth),
                     "✓ inside" if row.inside else "✗ outside"])
        groups.append(f"{row.criterion}: {unit.noun}, contrast {_in(unit)}")
    return grid([("model", NAME), ("", TEXT), ("calibrated", NUMBER), (level(plan.sampling.interval), TEXT),
                 ("all judgments", NUMBER), ("in the interval", TEXT)], rows, groups=groups,
                title="Calibrated estimates and all judgments, under production traffic")


def provenance(manifest: dict) -> GT:
    """Run, digests, versions and the command to repeat it."""
    packages = ", ".join(f"{name} {found}" for name, found in manifest["packages"].items())
    rows = [
        ["run", manifest["run"]], ["plan", manifest["plan"]], ["digest of the plan", manifest["plan_digest"] or DASH],
        ["fixed", manifest["plans"][-1]["since"]], ["digest of the data", manifest["data_digest"] or DASH],
        ["commit", manifest["commit"] or "not a git checkout"],
        ["versions", f"migration-kit {manifest['kit']}, Python {manifest['python']}, {packages}"],
        ["to repeat", manifest["command"]],
    ]
    return grid([("what", NAME), ("value", TEXT)], rows, title="This run")


def _gate(plan: Plan, criterion: str, gate: dict) -> str:
    if unknown(gate["probability"]):
        return "nobody judged it"
    told = f"{unit_of(plan.criterion(criterion)).change(gate['mean'], unit=True)}; {chance(gate['probability'])}"
    return told if gate["labelled"] else f"{told} (a guess, no labels of both models)"


def _labels_needed(one: dict) -> str:
    if one["verdict"] == "collect" and one.get("gaps"):
        return "labels do not settle it"
    return amount(one["labels_needed"]) if one["labels_needed"] else DASH


def _joined(decision: dict) -> str:
    """Name the candidates whose numbers are not those of the test set alone."""
    live = [model for model, one in decision["candidates"].items() if one.get("live")]
    return f" Of {listed(live)} test set and live requests are joined." if live else ""


def _level(point: dict, value: float, plan: Plan) -> str:
    if "margin" in point["what"]:
        return unit_of(plan.criterion(point["criterion"])).limit(value, up=value >= point["now"])
    if point["what"] == "traffic":
        return f"{share(value)} {point['where']}"
    return f"{fixed(value)}{' times' if point['what'] == 'prior' else ''}"


def _smallest(gate: dict, criterion: CriterionSpec) -> str:
    unit, margin = unit_of(criterion), gate["smallest_margin"]
    return DASH if unknown(margin) else unit.limit(margin, up=True) if margin > 0 else "none: better even so"


def _in(unit: Unit) -> str:
    return f"in {unit.contrast_axis}" if unit.in_points else unit.contrast_axis


def _step(criterion: CriterionSpec) -> float:
    """A loss that matters: the margin, or a twentieth of the scale."""
    width = criterion.score[-1] - criterion.score[0] if criterion.score else 20.0
    return criterion.slice_margin or criterion.margin or width / 20
