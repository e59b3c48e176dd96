"""Tables of trust: metrics against people, what each metric is worth, raters among themselves."""

import pandas as pd
from great_tables import GT

from migration_kit.plan import CriterionSpec, Plan
from migration_kit.tables.grid import NAME, NUMBER, TEXT, grid
from migration_kit.wording import DASH, amount, fixed, level, share, unit_of, unknown


def metric_trust(errors: pd.DataFrame, observed: pd.DataFrame, plan: Plan) -> GT:
    """Observed counts among labelled outputs, and derived error rates, of every metric for every model."""
    counts = observed.set_index(["metric", "model"])
    rows, groups = [], []
    for row in errors.to_dict("records"):
        seen = counts.loc[(row["metric"], row["model"])] if (row["metric"], row["model"]) in counts.index else None
        is_score = unknown(row["true_positive"])
        rows.append([
            row["model"],
            DASH if seen is None or is_score else f"{seen['yes_yes']} of {seen['yes_yes'] + seen['yes_no']}",
            DASH if seen is None or is_score else f"{seen['no_yes']} of {seen['no_yes'] + seen['no_no']}",
            _rate(row, "true_positive", "tp"), _rate(row, "false_positive", "fp"),
            DASH if not is_score or unknown(row["rank_correlation"]) else
            f"{fixed(row['rank_correlation'])} ({fixed(row['rc_lower'])} to {fixed(row['rc_upper'])})",
        ])
        groups.append(row["metric"])
    columns = [("model", NAME), ("says yes when people say yes", NUMBER), ("says yes when people say no", NUMBER),
               ("true positive rate, %", NUMBER), ("false positive rate, %", NUMBER), ("rank correlation", NUMBER)]
    kept = [place for place in range(len(columns)) if not place or any(row[place] != DASH for row in rows)]
    return grid([columns[place] for place in kept], [[row[place] for place in kept] for row in rows],
                title="Metrics against people, over all outputs" + (
                    "; counts among judged ones" if len(kept) > 2 else ""), groups=groups,
                note=f"With {level(plan.sampling.interval)}, from the calibration.")


def metric_worth(worth: pd.DataFrame, criterion: CriterionSpec) -> GT:
    """Expected width with each metric alone, without it, with all and with none; from `metric_worth.metric_worth`."""
    unit, names = unit_of(criterion), {"none": "no metric, labels only", "all": "all metrics together"}
    rows, groups = [], []
    for row in worth.itertuples():
        rows.append([names.get(row.use, row.metric), unit.size(row.width), share(row.ratio),
                     DASH if unknown(row.as_labels) else amount(round(row.as_labels)), unit.size(row.without)])
        groups.append(f"{row.model}, {row.n_labels} labelled items")
    return grid([("with", NAME), ("expected width", NUMBER), ("of labels only", NUMBER),
                 ("as good as labels", NUMBER), ("width without it", NUMBER)], rows, groups=groups,
                title=f"What each metric is worth on {criterion.id}: width of the contrast's interval",
                note="As good as labels: how many labels without any metric would give this width. Width without it: "
                     "all the other metrics together.")


def agreement(found: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> GT:
    """Krippendorff's α over all models and model by model, from `agreement.agreement`."""
    rows = [["all models" if row.model == "all" else row.model, amount(row.outputs), amount(row.raters),
             share(row.same), fixed(row.alpha), _ends(row.lower, row.upper)] for row in found.itertuples()]
    return grid([("outputs of", NAME), ("judged by several", NUMBER), ("raters", NUMBER), ("equal pairs", NUMBER),
                 ("Krippendorff's α", NUMBER), (level(plan.sampling.interval), TEXT)], rows,
                title=f"Agreement of raters on {criterion.id}",
                note="1 is agreement, 0 what chance would give. Krippendorff asks 0.8 of firm conclusions, 0.667 of "
                     "tentative ones.")


def metric_agreement(found: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> GT:
    """Metrics on the raters' scale beside the raters, from `agreement.metrics_as_raters`."""
    rows = [[row.metric, amount(row.outputs), fixed(row.alpha), _ends(row.lower, row.upper), fixed(row.people),
             _ends(row.people_lower, row.people_upper), _ends(row.gap_lower, row.gap_upper)]
            for row in found.itertuples()]
    what = level(plan.sampling.interval)
    return grid([("metric", NAME), ("outputs", NUMBER), ("α with a person", NUMBER), (what, TEXT),
                 ("α of two people", NUMBER), (what, TEXT), ("difference", TEXT)], rows,
                title=f"Metrics as if they were raters, on {criterion.id}",
                note="A difference whose interval lies below 0: the metric agrees less with people than people do.")


def severity(raters: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> GT:
    """How each rater differs from the others on the same outputs, from `raters.severity`."""
    unit = unit_of(criterion)
    rows = [[row.rater, amount(row.n), amount(row.shared), unit.quality(row.mean),
             unit.change(row.difference, unit=True), unit.span(row.lower, row.upper)] for row in raters.itertuples()]
    return grid([("rater", NAME), ("outputs judged", NUMBER), ("shared with others", NUMBER), ("own mean", NUMBER),
                 ("minus the others", NUMBER), (level(plan.sampling.interval), TEXT)], rows,
                title=f"Raters of {criterion.id}",
                note="The difference is taken on shared outputs only; own means also differ because outputs do.")


def more_raters(found: pd.DataFrame, criterion: CriterionSpec) -> GT:
    """What another rater an output would buy, from `raters.more_raters`."""
    unit = unit_of(criterion)
    rows = [[f"{row.raters}", unit.size(row.same_outputs), unit.size(row.same_judgments), amount(round(row.outputs))]
            for row in found.itertuples()]
    return grid([("raters an output", NAME), ("same outputs, more judgments", NUMBER),
                 ("same judgments, fewer outputs", NUMBER), ("outputs then", NUMBER)], rows,
                title=f"What another rater would buy on {criterion.id}: expected width of the contrast's interval",
                groups=found["model"].tolist())


def _rate(row: dict, name: str, prefix: str) -> str:
    if unknown(row[name]):
        return DASH
    mean, lower, upper = (fixed(100 * row[key], 1) for key in (name, f"{prefix}_lower", f"{prefix}_upper"))
    return f"{mean} ({lower} to {upper})"


def _ends(lower: float, upper: float) -> str:
    return DASH if unknown(lower) or unknown(upper) else f"{fixed(lower)} to {fixed(upper)}"
