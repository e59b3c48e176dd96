"""Tables of stages 03 to 05: trust in metrics, estimates, slices, checks, the verdict, sign-off."""

import pandas as pd
from great_tables import GT

from migration_kit.plan import Plan
from migration_kit.priors import prior_table
from migration_kit.tables.grid import NAME, NUMBER, TEXT, grid, mark
from migration_kit.wording import DASH, amount, asked, chance, fixed, level, minus, percent, points, size, span, unknown

METHODS = {
    "calibrated": "calibrated (decides)", "corrected": "corrected by residuals", "ppi": "PPI++ on the primary metric",
    "verdict_strata": "verdict strata on the primary metric", "labels_only": "labels only", "raw": "raw",
}


def metric_trust(errors: pd.DataFrame, observed: pd.DataFrame, plan: Plan) -> GT:
    """Observed counts among labelled outputs, and derived error rates, of every metric for every model."""
    counts = observed.set_index(["metric", "model"])
    rows, groups = [], []
    for row in errors.to_dict("records"):
        seen = counts.loc[(row["metric"], row["model"])] if (row["metric"], row["model"]) in counts.index else None
        is_score = unknown(row["true_positive"])
        rows.append([
            row["model"],
            DASH if seen is None else f"{seen['yes_yes']} of {seen['yes_yes'] + seen['yes_no']}",
            DASH if seen is None else f"{seen['no_yes']} of {seen['no_yes'] + seen['no_no']}",
            _rate(row, "true_positive", "tp"), _rate(row, "false_positive", "fp"),
            DASH if not is_score or unknown(row["rank_correlation"]) else
            f"{fixed(row['rank_correlation'])} ({fixed(row['rc_lower'])} to {fixed(row['rc_upper'])})",
        ])
        groups.append(row["metric"])
    columns = [("model", NAME), ("says yes when people say yes", NUMBER), ("says yes when people say no", NUMBER),
               ("true positive rate, %", NUMBER), ("false positive rate, %", NUMBER), ("rank correlation", NUMBER)]
    kept = [place for place in range(len(columns)) if not place or any(row[place] != DASH for row in rows)]
    return grid([columns[place] for place in kept], [[row[place] for place in kept] for row in rows],
                title="Metrics against people: counts among judged outputs, and rates over all outputs", groups=groups,
                note=f"Rates with {level(plan.sampling.interval)}, from the calibration.")


def estimates(rows: pd.DataFrame, plan: Plan) -> GT:
    """Calibrated quality and contrast of every model on every criterion; rows of one layer."""
    rows = rows[(rows["method"] == "calibrated") & (rows["slice"] == "all")]
    cells, groups = [], []
    for criterion in plan.criteria:
        mine = rows[rows["criterion"] == criterion.id].set_index(["quantity", "model"])
        for model in plan.model_ids:
            quality = mine.loc[("quality", model)]
            delta = mine.loc[("contrast", model)] if model != plan.incumbent else None
            cells.append([model, percent(quality["mean"]), span(quality["lower"], quality["upper"], rate=True),
                          DASH if delta is None else points(delta["mean"]),
                          DASH if delta is None else span(delta["lower"], delta["upper"]),
                          DASH if delta is None else chance(delta["prob_noninferior"]), amount(quality["n_labels"])])
            groups.append(f"{criterion.id} ({criterion.role}"
                          f"{f', margin {size(criterion.margin)}' if criterion.margin else ''})")
    what = level(plan.sampling.interval)
    return grid([("model", NAME), ("quality", NUMBER), (what, TEXT), ("contrast, points", NUMBER), (what, TEXT),
                 ("non-inferior", NUMBER), ("labels", NUMBER)], cells,
                title="Calibrated quality and contrast with the incumbent", groups=groups,
                note="A positive contrast is better. Non-inferior: probability of losing less than the margin.")


def methods(rows: pd.DataFrame, plan: Plan) -> GT:
    """The same contrasts by every method; rows of one layer and criterion."""
    rows = rows[(rows["slice"] == "all") & (rows["quantity"] == "contrast")]
    order = list(METHODS)
    rows = rows.assign(place=rows["method"].map(order.index), which=rows["model"].map(plan.candidates.index))
    rows = rows.sort_values(["which", "place"], kind="stable")
    rows = rows[(rows["method"] != "raw") | (rows["mean"].abs() <= 1)]
    cells = [
        [METHODS[row.method] + (f": {row.metric}" if row.method == "raw" else ""), points(row.mean),
         span(row.lower, row.upper), chance(row.prob_noninferior)]
        for row in rows.itertuples()
    ]
    return grid([("method", NAME), ("contrast, points", NUMBER), (level(plan.sampling.interval), TEXT),
                 ("loss smaller than margin", NUMBER)], cells, title="The same contrast by several methods",
                groups=rows["model"].tolist())


def slices(rows: pd.DataFrame, plan: Plan, *, most: int = 12) -> GT:
    """Contrasts by slice over all candidates and criteria, worst first; rows of one layer."""
    rows = rows[(rows["method"] == "calibrated") & (rows["quantity"] == "contrast") & (rows["slice"] != "all")]
    rows = rows.sort_values("mean", kind="stable")
    cells = []
    for row in rows.head(most).itertuples():
        margin = plan.criterion(row.criterion).slice_margin
        cells.append([row.model, row.criterion, row.slice, points(row.mean), span(row.lower, row.upper),
                      size(margin) if margin else DASH, chance(row.prob_noninferior), amount(row.n_labels)])
    left = len(rows) - len(cells)
    return grid([("model", NAME), ("criterion", TEXT), ("slice", TEXT), ("contrast, points", NUMBER),
                 (level(plan.sampling.interval), TEXT), ("slice margin", NUMBER),
                 ("loss smaller than slice margin", NUMBER), ("labels", NUMBER)], cells,
                title="Slices, worst first",
                note=(f"{left} more combinations of model, criterion and slice are better than these. " if left else "")
                + f"Asked of every slice with a margin: {asked(plan.decision.slice_assurance)}.")


def checks(found: pd.DataFrame) -> GT:
    """Checks that passed, failed or cannot tell; columns of `checks.check_table`."""
    rows = [[mark(row.passed), row.check, minus(row.text) + (" Until this passes, the verdict is collect." if row.blocks
             and row.passed is not pd.NA and not row.passed else "")]
            for row in found.rename(columns={"name": "check"}).itertuples()]
    return grid([("", TEXT), ("check", NAME), ("what was found", TEXT)], rows, title="Checks",
                groups=[name or "all criteria" for name in found["criterion"]])


def priors() -> GT:
    """Every prior with its reason."""
    rows = [[row.symbol, row.distribution, row.reason] for row in prior_table().itertuples()]
    return grid([("symbol", NAME), ("distribution", TEXT), ("reason", TEXT)], rows, title="Priors")


def verdicts(decision: dict, plan: Plan) -> GT:
    """Each candidate's verdict with the probabilities it rests on; from `decision.json`."""
    rows = []
    for model, one in decision["candidates"].items():
        statuses = list(one["requirements"].values())
        met = f"{statuses.count('pass')} of {len(statuses)}" if statuses else DASH
        rows.append([model, one["verdict"], met,
                     *(f"{points(gate['mean'])}; {chance(gate['probability'])}" for gate in one["gates"].values()),
                     chance(one["probability"]), amount(one["labels_needed"]) if one["labels_needed"] else DASH])
    gates = [f"{gate.id} (margin {size(gate.margin)})" for gate in plan.gates]
    return grid([("candidate", NAME), ("verdict", NAME), ("requirements met", NUMBER), *((g, TEXT) for g in gates),
                 ("all gates hold, at least", NUMBER), ("labels still needed", NUMBER)], rows,
                title="Verdict on each candidate",
                note="For each gate: contrast in points; probability that the loss is smaller than the margin. "
                     f"Asked of all gates together: {asked(plan.decision.assurance)}.")


def flip_points(decision: dict, plan: Plan) -> GT:
    """The margin from which on each gate would hold; from `decision.json`."""
    rows = [
        [model, name, size(gate["margin"]), _smallest(gate["smallest_margin"]),
         "holds" if gate["probability"] >= plan.decision.assurance else "does not hold yet"]
        for model, one in decision["candidates"].items() for name, gate in one["gates"].items()
    ]
    return grid([("candidate", NAME), ("gate", TEXT), ("margin of the plan", NUMBER),
                 ("smallest margin that would hold", NUMBER), ("so the gate", TEXT)], rows,
                title="What would change the answer: margins",
                note=f"Smallest loss ruled out with {asked(plan.decision.assurance)}, by the calibrated contrast.")


def held_out(comparison: pd.DataFrame, plan: Plan) -> GT:
    """Calibrated estimates beside what all judgments say, from `overview.held_out_comparison`."""
    rows, groups = [], []
    for row in comparison[comparison["slice"] == "all"].itertuples():
        show = points if row.quantity == "contrast" else percent
        rows.append([row.model, row.quantity, show(row.mean),
                     span(row.lower, row.upper, rate=row.quantity == "quality"), show(row.truth),
                     "✓ inside" if row.inside else "✗ outside"])
        groups.append(row.criterion)
    return grid([("model", NAME), ("", TEXT), ("calibrated", NUMBER), (level(plan.sampling.interval), TEXT),
                 ("all judgments", NUMBER), ("in the interval", TEXT)], rows, groups=groups,
                title="Calibrated estimates and all judgments, under production traffic",
                note="Contrasts in points, qualities in percent.")


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


def sign_off(plan: Plan) -> GT:
    """Empty lines to sign on paper."""
    blank = " " * 24
    owner = plan.decision.owner or "decides"
    return grid([("role", NAME), ("name", TEXT), ("date", TEXT), ("decision", TEXT), ("signature", TEXT)],
                [[role, blank, blank, blank, blank] for role in (owner, "evaluation", "risk", "operations")],
                title="Sign-off", note="Bound to the plan and data digests of this run.")


def _rate(row: dict, name: str, prefix: str) -> str:
    if unknown(row[name]):
        return DASH
    mean, lower, upper = (fixed(100 * row[key], 1) for key in (name, f"{prefix}_lower", f"{prefix}_upper"))
    return f"{mean} ({lower} to {upper})"


def _smallest(margin: float) -> str:
    return size(margin) if margin > 0.0005 else "none: better even so"
