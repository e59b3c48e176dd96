"""The prior and model panel: what priors alone expect, what labels make of it, and a refit with either changed."""

from dataclasses import dataclass
from html import escape

import ipywidgets as ipw
import pandas as pd

from migration_kit import figures
from migration_kit.data import EvalData
from migration_kit.inference import Compiled
from migration_kit.plan import Plan
from migration_kit.widgets.keyboard import STATUS, keyboard_box
from migration_kit.widgets.progress import attended, waiting
from migration_kit.widgets.refit import Refit, refit
from migration_kit.wording import fixed, unit_of

REACH = 2
COST = ("A refit samples again with few draws, in seconds, so ends of intervals vary a little by chance. Priors and "
        "labels are data of the model that was compiled above. Only if leaving out metrics changes which effects the "
        "model has is a new one compiled, once, which takes some ten seconds more. It is for looking only: nothing of "
        "it is saved, and no verdict rests on it.")
TWIN = "Without these controls, the figures of priors and labels above show the same for the priors as they are."


@dataclass(frozen=True)
class ModelPanel:
    """The panel, as `display(panel)`.

    Attributes
    ----------
    box : ipywidgets.VBox
    criterion : ipywidgets.Dropdown
    prior_scale : ipywidgets.FloatLogSlider
    metrics : ipywidgets.SelectMultiple
    fit : ipywidgets.Button
    status, shown : ipywidgets.HTML
        What is being done or was found; the figure and what the refit moved.
    """

    box: ipw.VBox
    criterion: ipw.Dropdown
    prior_scale: ipw.FloatLogSlider
    metrics: ipw.SelectMultiple
    fit: ipw.Button
    status: ipw.HTML
    shown: ipw.HTML

    def _repr_mimebundle_(self, **more: object) -> object:
        return self.box._repr_mimebundle_(**more)


def model_panel(
    data: EvalData, plan: Plan, tables: dict[str, pd.DataFrame], *, compiled: Compiled | None
) -> ModelPanel | ipw.HTML:
    """Make the panel; one sentence where nobody has judged an output.

    Parameters
    ----------
    data : EvalData
    plan : Plan
    tables : dict of DataFrame
        Criterion to `prior_predictive.before_after` of the fit as it is.
    compiled : Compiled or None
        The models of the run, used again.
    """
    if not tables:
        return ipw.HTML("<p>Nobody has judged an output, so there is nothing to fit.</p>")
    wide = {"description_width": "9em"}
    criterion = ipw.Dropdown(options=list(tables), description="criterion", style=wide)
    prior_scale = ipw.FloatLogSlider(value=1.0, base=2, min=-REACH, max=REACH, step=0.1, description="width of priors",
                                     tooltip="width of priors, a factor on the scale of each; 1 is the run's own",
                                     readout_format=".2f", style=wide)
    metrics = ipw.SelectMultiple(description="metrics", style=wide, rows=4)
    fit = ipw.Button(description="Fit again", button_style="primary")
    status, shown = ipw.HTML(), ipw.HTML()
    known = compiled

    def doing(what: str) -> None:
        status.value = _status(f"{escape(what)} {waiting()}")

    def choose(_: object = None) -> None:
        metrics.options = plan.criterion(criterion.value).metrics
        metrics.value = metrics.options
        prior_scale.value = 1.0
        status.value = ""
        # In batch nobody looks, and the same figure stands above.
        shown.value = _figure(tables[criterion.value], plan, criterion.value) if attended() else ""

    def again(_: object = None) -> None:
        nonlocal known
        if not metrics.value:
            status.value = _status("Choose at least one metric.")
            return
        fit.disabled = True
        try:
            found = refit(data, plan, criterion.value, metrics=metrics.value, prior_scale=prior_scale.value,
                          compiled=known, tell=doing)
            known = found.compiled
            shown.value = _figure(found.table, plan, criterion.value) + _moved(
                tables[criterion.value], found.table, plan, criterion.value)
            status.value = _status(_told(found, prior_scale.value))
        except (RuntimeError, ValueError) as problem:
            status.value = _status(f"It could not be fitted: {escape(str(problem))} Choose other metrics or priors.")
        finally:
            fit.disabled = False

    criterion.observe(choose, names="value")
    fit.on_click(again)
    choose()
    status.add_class(STATUS)
    box = keyboard_box(ipw.HBox([criterion, prior_scale], layout={"flex_flow": "row wrap"}), metrics,
                       ipw.HBox([fit, status]), shown, ipw.HTML(f"<p>{COST} {TWIN}</p>"),
                       units={prior_scale.tooltip: "times"})
    box.add_class("mk-model-panel")
    return ModelPanel(box, criterion, prior_scale, metrics, fit, status, shown)


def _status(text: str) -> str:
    return f'<span role="status" aria-live="polite">{text}</span>'


def _told(found: Refit, prior_scale: float) -> str:
    anew = "a model was compiled for it" if found.compiled_anew else "with the model compiled before"
    return (f"Fitted with priors {fixed(prior_scale)} times as wide in {fixed(found.seconds, 1)} seconds, {anew}.")


def _figure(table: pd.DataFrame, plan: Plan, criterion: str) -> str:
    picture = figures.priors.before_after(table, plan, plan.criterion(criterion))
    content, _ = picture._repr_mimebundle_()
    image = "".join(content["image/png"].split())
    return (f'<figure style="margin: 0"><img style="max-width: 56em; width: 100%" alt="{escape(picture.alt_text)}" '
            f'src="data:image/png;base64,{image}"><figcaption>{escape(picture.caption)}</figcaption></figure>')


def _moved(before: pd.DataFrame, after: pd.DataFrame, plan: Plan, criterion: str) -> str:
    """What the refit says of every contrast beside what the run says."""
    unit, rows = unit_of(plan.criterion(criterion)), []
    both = [table[(table["when"] == "after") & (table["quantity"] == "contrast")].set_index("model")
            for table in (before, after)]
    for model in plan.candidates:
        mine = [one.loc[model] for one in both]
        cells = [f"<td>{unit.change(one['mean'])} ({unit.span(one['lower'], one['upper'])})</td>" for one in mine]
        rows.append(f'<tr><th scope="row">{escape(model)}</th>{"".join(cells)}</tr>')
    head = "".join(f'<th scope="col">{name}</th>' for name in (
        "candidate", f"contrast in the run, {unit.contrast_axis}", "contrast in the refit"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
