"""Sentences of trust: metrics against people, what each is worth, raters, predictions against labels."""

import pandas as pd

from migration_kit.checks import FAIR
from migration_kit.plan import CriterionSpec, Plan
from migration_kit.wording import (
    Said,
    counted,
    fixed,
    level,
    listed,
    percent,
    safe,
    share,
    unit_of,
    unknown,
)

NO_USE = 0.05
FIRM, TENTATIVE = 0.8, 0.667
LITTLE = 0.97
UNLIKE = (("true_positive", "tp", "Where people say yes, it says yes to {}, and to {} of the incumbent."),
          ("false_positive", "fp", "Where people say no, it says yes to {}, and to {} of the incumbent."),
          ("rank_correlation", "rc", "Its rank correlation with people is {}, and {} for the incumbent."))


def metric_trust(errors: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Said:
    """Which metric tells most, which least, and where the primary one errs differently."""
    spread = (errors["true_positive"] - errors["false_positive"]).fillna(errors["rank_correlation"])
    worth = spread.abs().groupby(errors["metric"], sort=False).mean().dropna()
    if worth.empty:
        return Said(f"How far the metrics of {safe(criterion.id)} can be trusted is not known: nobody has judged an "
                    "output.")
    best, least = worth.idxmax(), worth.idxmin()
    told = [f"{safe(best)} tells most about what people say"]
    told[0] += f", {safe(least)} least." if best != least else "; it is the only metric."
    useless = [safe(name) for name in worth.index[worth < NO_USE]]
    if useless:
        told.append(f"{listed(useless)} hardly {'tells' if len(useless) == 1 else 'tell'} good outputs from bad ones.")
    scores = dict.fromkeys(errors.loc[errors["rank_correlation"].notna(), "metric"])
    turned = [safe(name) for name in scores
              if {plan.metric_better(name, criterion.id), criterion.better} == {"higher", "lower"}]
    if turned:
        less, more = (listed(turned), safe(criterion.id))[:: 1 if criterion.better == "higher" else -1]
        told.append(f"Of {less} less is better and of {more} more, so the best rank correlation of {listed(turned)} is "
                    "−1.")
    primary = errors[errors["metric"] == criterion.primary_metric].set_index("model")
    if plan.incumbent not in primary.index:
        return Said(" ".join(told))
    apart = [said for what, prefix, text in UNLIKE if (said := _unlike(primary, plan, what, prefix, text))]
    if apart:
        told += [f"The primary metric {safe(criterion.primary_metric)} treats models unlike.", *apart,
                 "So its raw contrast is bent."]
    elif primary[["true_positive", "rank_correlation"]].notna().any(axis=1).all():
        # Intervals that overlap are no sign that a difference includes 0: the check looks at the difference itself.
        told.append(f"The intervals of {safe(criterion.primary_metric)}'s errors overlap between incumbent and "
                    f"candidates; whether it errs alike, the check *{FAIR}* says.")
    return Said(" ".join(told))


def metric_worth(worth: pd.DataFrame, criterion: CriterionSpec) -> Said:
    """How much narrower metrics make the interval, which one does most, and which add nothing."""
    unit, told = unit_of(criterion), []
    if not worth["n_labels"].any():
        return Said(f"What a metric is worth on {safe(criterion.id)} is not known: people have not judged an item for "
                    "both models.")
    for model, mine in worth.groupby("model", sort=False):
        by_use = mine.set_index("use")
        none, every = by_use.loc[["none"]].iloc[0], by_use.loc[["all"]].iloc[0]
        if not none["n_labels"]:
            told.append(f"- {safe(model)}: nobody has judged an item for both it and the incumbent, so what a metric "
                        "is worth is not known.")
            continue
        if unknown(none["width"]) or unknown(every["width"]):
            told.append(f"- {safe(model)}: too few labels, or all alike, to tell what a metric is worth.")
            continue
        alone = mine[mine["use"] == "alone"]
        best = alone.loc[alone["ratio"].idxmin()]
        text = (f"- {safe(model)}: the interval is expected to be {unit.size(none['width'])} wide with labels only and "
                f"{unit.size(every['width'])} with all metrics, as if there were {every['as_labels']:,.0f} labels "
                f"instead of {none['n_labels']}.")
        if len(alone) > 1:
            text += f" {safe(best['metric'])} alone reaches {share(best['ratio'])} of the width."
        # Dropping the metric would leave the width as it is, or make it smaller.
        idle = alone[alone["without"] * LITTLE <= every["width"]]
        if len(alone) > 1 and len(idle):
            text += (f" Beside the others {listed([safe(name) for name in idle['metric']])} "
                     f"{'adds' if len(idle) == 1 else 'add'} little.")
        told.append(text)
    return Said("\n".join(told))


def agreement(found: dict[str, pd.DataFrame], plan: Plan) -> Said:
    """Whether raters agree on each criterion, from `agreement.agreement` of those that have judgments."""
    told, single = [], []
    for name, one in found.items():
        total = one[one["model"] == "all"].iloc[0]
        if not total["outputs"]:
            single.append(safe(name))
            continue
        on = f"- On {safe(name)} {counted(total['outputs'], 'output')} were judged by several people"
        if unknown(total["alpha"]):
            told.append(f"{on}, all alike, so Krippendorff's α is not defined.")
            continue
        reads = ("enough for firm conclusions" if total["lower"] >= FIRM else
                 "enough for tentative conclusions" if total["lower"] >= TENTATIVE else
                 "too little to lean on one judgment an output" if total["upper"] < TENTATIVE else
                 "and the data cannot tell whether that is enough")
        told.append(f"{on}: two of them agree in {share(total['same'])} of cases, and Krippendorff's α is "
                    f"{fixed(total['alpha'])} ({level(plan.sampling.interval)} {fixed(total['lower'])} to "
                    f"{fixed(total['upper'])}), {reads}. The calibration carries the disagreement into its intervals.")
    if single:
        told.append(f"- On {listed(single)} one person judged each output: whether people agree is not known, and one "
                    "rater's word stands for that of any.")
    if nobody := [safe(one.id) for one in plan.criteria if one.id not in found]:
        told.append(f"- On {listed(nobody)} nobody has judged an output yet.")
    return Said("\n".join(told))


def severity(raters: pd.DataFrame, criterion: CriterionSpec) -> Said:
    """Which raters are shown to be more severe or milder than the others, from `raters.severity`."""
    unit = unit_of(criterion)
    known = raters.dropna(subset=["lower", "upper"])
    if known.empty:
        return Said("Too few outputs are shared to tell whether a rater is severe.")
    apart = known[(known["lower"] > 0) | (known["upper"] < 0)]
    names = [f"{safe(row.rater)} ({unit.change(row.difference, unit=True)})" for row in apart.itertuples()]
    most = known.loc[known["difference"].abs().idxmax()]
    if not names:
        return Said(f"No rater is shown to judge differently from the others; the largest difference is "
                    f"{unit.size(most['difference'])} ({safe(most['rater'])}).")
    return Said(f"On shared outputs {listed(names)} {'differs' if len(names) == 1 else 'differ'} from the others; the "
                "check *raters agree* says whether that is much.")


def more_raters(found: pd.DataFrame, criterion: CriterionSpec) -> Said:
    """Whether a second rater is worth more than more outputs, from `raters.more_raters`."""
    unit, told = unit_of(criterion), []
    for model, mine in found.dropna().groupby("model", sort=False):
        by_raters = mine.set_index("raters")
        if not {1, 2} <= set(by_raters.index):
            continue
        one, two = by_raters.loc[1], by_raters.loc[2]
        better = "a second rater" if two["same_judgments"] < one["same_judgments"] else "more outputs"
        told.append(f"- {safe(model)}: with a second rater on the same outputs the interval would be "
                    f"{unit.size(two['same_outputs'])} wide instead of {unit.size(one['same_outputs'])}; for the same "
                    f"number of judgments {better} would buy more.")
    return Said("\n".join(told) or "What a second rater would buy cannot be told from these judgments.")


def reliability(groups: pd.DataFrame, criterion: CriterionSpec) -> Said:
    """Whether predicted and judged scores agree."""
    if groups.empty:
        return Said(f"On {safe(criterion.id)} nobody has judged an output, so there is nothing to hold predictions "
                    "against.")
    outside = int(((groups["judged"] < groups["lower"]) | (groups["judged"] > groups["upper"])).sum())
    return Said(f"On {safe(criterion.id)} {outside} of {counted(len(groups), 'group')} "
                f"{'lies' if 1 in (outside, len(groups)) else 'lie'} outside the interval that the calibration model "
                "expects; about one in twenty would by chance.")


def _unlike(primary: pd.DataFrame, plan: Plan, what: str, prefix: str, text: str) -> str:
    """Say for which candidates an error's interval lies apart from the incumbent's; "" for none."""
    own, low, high = primary.loc[plan.incumbent], f"{prefix}_lower", f"{prefix}_upper"
    show = fixed if prefix == "rc" else percent
    others = primary.loc[[model for model in plan.candidates if model in primary.index]]
    apart = [f"{show(row[what])} {'for' if prefix == 'rc' else 'of'} {safe(model)}" for model, row in others.iterrows()
             if row[low] > own[high] or row[high] < own[low]]
    return text.format(listed(apart), show(own[what])) if apart else ""


def metric_agreement(found: pd.DataFrame, criterion: CriterionSpec) -> Said:
    """Which metrics agree with people less than people do with each other, from `agreement.metrics_as_raters`."""
    told = []
    for row in found.itertuples():
        text = f"- {safe(row.metric)} and a person: α {fixed(row.alpha)}"
        if unknown(row.people):
            told.append(f"{text}; no output was judged by two people, so nothing says how well people agree.")
            continue
        verdict = ("the metric agrees with people less than people do with each other" if row.gap_upper < 0 else
                   "the metric agrees with people better than people do with each other" if row.gap_lower > 0 else
                   "the two cannot be told apart")
        told.append(f"{text}, two people: α {fixed(row.people)}; {verdict}.")
    return Said("\n".join(told))
