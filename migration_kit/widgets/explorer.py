"""The decision explorer: move what the plan has chosen, and see verdict, probabilities and contrasts follow."""

from dataclasses import dataclass, field

import ipywidgets as ipw

from migration_kit.estimands import TOTAL
from migration_kit.widgets.controls import Groups, make_controls, read_controls
from migration_kit.widgets.explore import Explored, Stored, explore, forest
from migration_kit.widgets.keyboard import STATUS, keyboard_box
from migration_kit.widgets.settings import plan_yaml
from migration_kit.widgets.view import candidates_html, forest_html, verdict_html, weighing_html

WHOLE = "all slices together"
TABS = {"Margins": ("margins", "slice_margins"), "Assurance": ("assurance",), "Mix of slices": ("shares",),
        "Weights and costs": ("weights", "stakeholders", "costs"), "More labels": ("more",)}
ABOUT = {
    "Mix of slices": "Only the proportions count; all at 0 are taken as equal. Draws of each slice are weighted anew.",
    "Weights and costs": "Weights choose among candidates that may replace the incumbent; costs rank what is left. "
                         "Neither decides who may.",
    "More labels": "Simulated from the draws there are: the interval to expect, and how often each verdict would "
                   "follow. The probability that a gate holds stays, on average, where it is.",
}
TWIN = ("Requirements and checks stand as the run found them. Without these controls, the figures of contrasts against "
        "the margin and, in the report, the section “What would change the answer” say the same for one change at a "
        "time.")
COPY = ("const t=this.closest('.mk-explorer').querySelector('textarea');t.focus();t.select();"
        "const d=()=>{const s=this.textContent;this.textContent='Copied';setTimeout(()=>{this.textContent=s},2000)};"
        "navigator.clipboard&&navigator.clipboard.writeText?navigator.clipboard.writeText(t.value).then(d,"
        "()=>{document.execCommand('copy')&&d()}):document.execCommand('copy')&&d()")
STYLE = """<style>
.mk-explorer .widget-html-content {line-height: 1.45; white-space: normal}
.mk-verdict {padding: .5em .8em; border-left: .4em solid #767676; background: var(--jp-layout-color2, #eee)}
.mk-verdict strong {text-transform: uppercase; margin-right: .6em}
.mk-switch {border-color: #00785a} .mk-keep {border-color: #a8321f} .mk-collect {border-color: #0173b2}
.mk-forest {margin: 0; max-width: 56em} .mk-forest svg {width: 100%; height: auto}
.mk-forest figcaption, .mk-weighing, .mk-note {color: var(--jp-content-font-color2, #5b666e); max-width: 56em}
.mk-scroll {overflow-x: auto; max-width: 56em} .mk-scroll table {border-collapse: collapse; font-size: .95em}
.mk-scroll th, .mk-scroll td {padding: .25em .8em .25em 0; text-align: left; vertical-align: top}
.mk-scroll tr {border-bottom: 1px solid var(--jp-border-color2, #d5dada)}
.mk-explorer textarea {font-family: var(--jp-code-font-family, monospace)}
</style>"""


@dataclass(frozen=True)
class Explorer:
    """The decision explorer, as `display(explorer)`.

    Attributes
    ----------
    box : ipywidgets.VBox
    controls : dict
        Group to name to control; `.slider` moves it.
    criterion, where : ipywidgets.Dropdown
        What the figure shows.
    shown : dict
        Name to the part that shows something: verdict, forest, candidates, weighing, yaml.
    reset : ipywidgets.Button
    """

    box: ipw.VBox
    controls: Groups
    criterion: ipw.Dropdown
    where: ipw.Dropdown
    shown: dict[str, ipw.Widget]
    reset: ipw.Button
    _last: dict = field(default_factory=dict, repr=False, compare=False)

    @property
    def found(self) -> Explored:
        """The decision under the present settings."""
        return self._last["found"]

    def _repr_mimebundle_(self, **more: object) -> object:
        return self.box._repr_mimebundle_(**more)


def decision_explorer(known: Stored) -> Explorer | ipw.HTML:
    """Make the explorer of a run's decision; one sentence where nobody has judged an output.

    Parameters
    ----------
    known : Stored
        From `explore.stored`.
    """
    if not known.drawn:
        return ipw.HTML("<p>Nobody has judged an output, so there are no draws to explore.</p>")
    plan, groups, last = known.plan, make_controls(known), {}
    before = explore(known, known.settings)
    criterion = ipw.Dropdown(options=list(dict.fromkeys(name for name, _ in known.drawn)), description="criterion")
    slices = known.shares.index.tolist()
    where = ipw.Dropdown(options=[(WHOLE, TOTAL), *((name, name) for name in slices if len(slices) > 1)],
                         description="shown for")
    shown = {name: ipw.HTML() for name in ("verdict", "forest", "candidates", "weighing")}
    shown["verdict"].add_class(STATUS)
    shown["yaml"] = ipw.Textarea(description="plan YAML", rows=8, layout={"width": "100%", "max_width": "56em"})
    reset = ipw.Button(description="Back to the plan", tooltip="Move every control back to what the plan says")

    def update(change: object = None) -> None:
        if last.get("quiet"):
            return
        settings = read_controls(groups, known)
        found = last["found"] = before if settings == before.settings else explore(known, settings)
        rows = forest(known, found, criterion.value, where.value)
        shown["verdict"].value = verdict_html(found, before)
        shown["forest"].value = forest_html(rows, found, found.plan.criterion(criterion.value), where.value)
        shown["candidates"].value, shown["weighing"].value = candidates_html(found), weighing_html(found)
        shown["yaml"].value = plan_yaml(plan, found.settings, known.shares)

    def back(_: ipw.Button) -> None:
        last["quiet"] = True
        for group in groups.values():
            for one in group.values():
                one.reset()
        last["quiet"] = False
        update()

    for one in (criterion, where, *(one.slider for group in groups.values() for one in group.values())):
        one.observe(update, names="value")
    reset.on_click(back)
    update()
    return Explorer(_box(groups, criterion, where, shown, reset), groups, criterion, where, shown, reset, last)


def _box(groups: Groups, criterion: ipw.Dropdown, where: ipw.Dropdown, shown: dict, reset: ipw.Button) -> ipw.VBox:
    tabs = {}
    for title, names in TABS.items():
        sliders = [one.slider for name in names for one in groups[name].values()]
        if sliders:
            about = [ipw.HTML(f'<p class="mk-note">{ABOUT[title]}</p>')] if title in ABOUT else []
            tabs[title] = ipw.VBox([*sliders, *about])
    copy = ipw.HTML(f'<button type="button" class="jupyter-button lm-Widget" onclick="{COPY}">'
                    "Copy as plan YAML</button>")
    box = keyboard_box(
        ipw.HTML(STYLE), ipw.Tab(children=list(tabs.values()), titles=list(tabs)), shown["verdict"],
        ipw.HBox([criterion, where], layout={"flex_flow": "row wrap"}), shown["forest"], shown["candidates"],
        shown["weighing"], ipw.HBox([reset, copy]), shown["yaml"], ipw.HTML(f'<p class="mk-note">{TWIN}</p>'),
        units={one.slider.tooltip: one.unit for group in groups.values() for one in group.values()})
    box.add_class("mk-explorer")
    return box
