"""The item browser for JupyterLab: items filtered, ordered and paged, with their outputs side by side."""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path

import ipywidgets as ipw
import pandas as pd
import xarray as xr

from migration_kit.data import EvalData
from migration_kit.files import read_file
from migration_kit.item_table import by_surprise, item_table
from migration_kit.manifest import STAGES, read_manifest
from migration_kit.plan import Plan
from migration_kit.tables.items import has_incumbent, texts_of, told
from migration_kit.widgets.keyboard import keyboard_box
from migration_kit.wording import DASH, amount, chance, counted

ANY = "any"
NOT_KNOWN = "not known"
PAGE = 10
LONGEST = 20_000
FLIPS = {
    ANY: None, "lost by people": ("people_flip", "lost"), "lost by the metric": ("metric_flip", "lost"),
    "gained by people": ("people_flip", "gained"), "gained by the metric": ("metric_flip", "gained"),
    "people and metric differ": None,
}
ORDERED = {
    "chance": "The least likely judgments come first: what people say, against the calibration model of stage 3.",
    "disagreement": "Stage 3 has left no fit of these data yet, so items on which people and the metric are farthest "
                    "apart come first.",
    "": "Nobody has judged an output, or the metric has no better side, so items stand as in the data.",
}
STYLE = """<style>
.widget-html:has(.mk-items) .widget-html-content { width: 100%; min-width: 0; white-space: normal; }
.mk-items { max-width: 70rem; overflow-x: auto; color: var(--jp-ui-font-color1, #1c2226); line-height: 1.5; }
.mk-items table { width: 100%; border-collapse: collapse; font-size: 0.9rem; }
.mk-items caption { padding: 0.3rem 0; text-align: left; font-weight: 600; }
.mk-items th, .mk-items td { padding: 0.25rem 0.6rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--jp-border-color2, #dde1e0); }
.mk-items .mk-sides { display: grid; gap: 0.8rem;
  grid-template-columns: repeat(auto-fit, minmax(min(16rem, 100%), 1fr)); }
.mk-items h4 { margin: 0.2rem 0; font-size: 0.85rem; }
.mk-items pre { max-height: 20rem; overflow: auto; margin: 0; padding: 0.5rem; white-space: pre-wrap;
  overflow-wrap: anywhere; font: inherit; background: var(--jp-layout-color2, #eef3f4); color: inherit; }
.mk-items summary { cursor: pointer; }
.mk-items :focus-visible { outline: 3px solid var(--jp-brand-color1, #14597a); outline-offset: 2px; }
</style>"""


@dataclass(frozen=True)
class Filter:
    """What is to be shown; `ANY` where nothing is asked."""

    where: str = ANY
    model: str = ANY
    metric_says: str = ANY
    people_say: str = ANY
    flip: str = ANY


def no_fit(features: xr.Dataset) -> None:
    """Say that no calibration model has been fitted."""


def fit_left(folder: Path) -> Callable[[xr.Dataset], xr.DataTree | None]:
    """Return how to find the fit that stage 03 left of a criterion; None where there is none of these very data."""

    def find(features: xr.Dataset) -> xr.DataTree | None:
        manifest = read_manifest(folder) or {"stages": {}}
        path = folder / STAGES[2] / f"{features.attrs['criterion']}.nc"
        if STAGES[2] not in manifest["stages"] or not path.is_file():
            return None
        fit = read_file(path)
        posterior = fit["posterior"]
        same = all(list(posterior[name].values) == list(features[name].values) for name in ("model", "slice"))
        return fit if same and posterior.sizes["component"] == features.sizes["component"] else None

    return find


def item_browser(
    features: dict[str, xr.Dataset], plan: Plan, data: EvalData, *, candidates: bool = True,
    fit_of: Callable[[xr.Dataset], xr.DataTree | None] = no_fit,
) -> ipw.VBox:
    """Return controls that filter, order and page the items of every criterion.

    Parameters
    ----------
    features : dict
        Criterion to its features.
    candidates : bool
        Candidates against the incumbent; without, the incumbent alone, and no preferences.
    fit_of : callable
        The calibration model's fit of a criterion, for the order by surprise; see `fit_left`.
    """
    shown = [name for name, one in features.items() if candidates or one.attrs["kind"] != "pairwise"]
    tables: dict[str, tuple[pd.DataFrame, str]] = {}
    texts, inputs = texts_of(data), _inputs(data)
    criterion = _choice("criterion", shown)
    names = ("where", "model", "metric_says", "people_say", "flip")
    filters = {name: _choice(label, [ANY]) for name, label in zip(
        names, ("slice", "candidate", "metric says", "people say", "flip"), strict=True)}
    page = ipw.BoundedIntText(value=1, min=1, max=1, description="page", style={"description_width": "6em"},
                              layout={"width": "11em"})
    back, on = ipw.Button(description="Previous page"), ipw.Button(description="Next page")
    reading = ipw.Checkbox(value=plan.report.show_texts, description="show texts", indent=False)
    out, busy = ipw.HTML(layout={"width": "100%", "min_width": "0"}), [False]

    def table() -> tuple[pd.DataFrame, str]:
        name = criterion.value
        if name not in tables:
            one = features[name]
            tables[name] = by_surprise(item_table(one, plan, candidates=candidates, fit=fit_of(one)))
        return tables[name]

    def draw(*_: object) -> None:
        if busy[0]:
            return
        rows, by = table()
        kept = filtered(rows, Filter(**{name: one.value for name, one in filters.items()}))
        busy[0] = True
        page.max = max(1, -(-len(kept) // PAGE))
        page.value = min(page.value, page.max)
        busy[0] = False
        back.disabled, on.disabled = page.value <= 1, page.value >= page.max
        out.value = page_html(kept, plan, criterion.value, page=page.value, of=len(rows), order=by,
                              beside=has_incumbent(rows), texts=texts if reading.value else None, inputs=inputs)

    def choose(*_: object) -> None:
        busy[0] = True
        rows, _by = table()
        for name, column in (("where", "slice"), ("model", "model"), ("metric_says", "metric_says"),
                             ("people_say", "people_says")):
            filters[name].options = (ANY, *_options(rows[column]))
        filters["flip"].options = tuple(FLIPS)
        for one in filters.values():
            one.value = ANY
        page.value, busy[0] = 1, False
        draw()

    def first(*_: object) -> None:
        if not busy[0]:
            busy[0] = True
            page.value, busy[0] = 1, False
            draw()

    def turn(step: int) -> None:
        page.value = page.value + step

    criterion.observe(choose, "value")
    for one in filters.values():
        one.observe(first, "value")
    page.observe(draw, "value")
    reading.observe(draw, "value")
    back.on_click(lambda _: turn(-1))
    on.on_click(lambda _: turn(1))
    if not shown:
        return ipw.VBox([ipw.HTML("There is no criterion on which the incumbent is judged alone.")])
    choose()
    asked = [criterion, *(one for name, one in filters.items() if candidates or name not in ("model", "flip"))]
    wrap = ipw.Layout(flex_flow="row wrap", align_items="center")
    asked += [reading] if len(texts) or len(inputs) else []
    return keyboard_box(ipw.Box(asked, layout=wrap), out, ipw.Box([back, page, on], layout=wrap))


def filtered(table: pd.DataFrame, asked: Filter) -> pd.DataFrame:
    """Return the rows of `item_table` that a filter asks for, in their order."""
    keep = pd.Series(True, index=table.index)
    for column, value in (("slice", asked.where), ("model", asked.model), ("metric_says", asked.metric_says),
                          ("people_says", asked.people_say)):
        if value != ANY:
            keep &= table[column] == ("" if value == NOT_KNOWN else value)
    if FLIPS[asked.flip]:
        column, value = FLIPS[asked.flip]
        keep &= table[column] == value
    elif asked.flip != ANY:
        keep &= (table["people_flip"] != "") & (table["metric_flip"] != "") & (
            table["people_flip"] != table["metric_flip"])
    return table[keep]


def page_html(
    rows: pd.DataFrame, plan: Plan, criterion: str, *, page: int, of: int, order: str, beside: bool,
    texts: pd.Series | None = None, inputs: pd.Series | None = None,
) -> str:
    """One page of items as an HTML table; everything from the data is escaped.

    Parameters
    ----------
    rows : DataFrame
        What `filtered` keeps.
    page : int
        From 1.
    of : int
        Items there would be without any filter.
    order : str
        What `by_surprise` says they are ordered by.
    beside : bool
        Whether the incumbent's output stands beside the model's.
    texts, inputs : Series, optional
        Texts of outputs by item and model, and of items; left out where not given.
    """
    spec, start = plan.criterion(criterion), (page - 1) * PAGE
    flips = bool((rows[["metric_flip", "people_flip"]] != "").any(axis=None))
    heads = ["item", "slice", "model", "people say", "metric says",
             *(["flip by people", "flip by metric"] if flips else []),
             *(["chance of the judgment"] if order == "chance" else [])]
    body = []
    for row in rows.iloc[start : start + PAGE].to_dict("records"):
        cells = [row["slice"], row["model"], told(row, "people", beside=beside), told(row, "metric", beside=beside),
                 *([row["people_flip"] or DASH, row["metric_flip"] or DASH] if flips else []),
                 *([chance(row["chance"])] if order == "chance" else [])]
        body.append(f'<tr><th scope="row">{escape(str(row["item_id"]))}</th>'
                    + "".join(f"<td>{escape(str(cell))}</td>" for cell in cells) + "</tr>")
        if texts is not None:
            body.append(f'<tr><td colspan="{len(heads)}">{_sides(row, plan, texts, inputs)}</td></tr>')
    last = min(start + PAGE, len(rows))
    told_range = f"{amount(start + 1)} to {amount(last)} of {counted(len(rows), 'row')}" if len(rows) else "No row"
    left_out = f", chosen from {amount(of)}" if len(rows) < of else ""
    lead = " An arrow leads from the incumbent to the candidate." if beside else ""
    return (f'{STYLE}<div class="mk-items" role="region" aria-label="Items" tabindex="0"><p>{ORDERED[order]}{lead}</p>'
            f"<table><caption>{escape(criterion)}: {told_range}{left_out}; metric: {escape(spec.primary_metric)}"
            "</caption><thead><tr>"
            + "".join(f'<th scope="col">{head}</th>' for head in heads)
            + f"</tr></thead><tbody>{''.join(body)}</tbody></table></div>")


def _sides(row: dict, plan: Plan, texts: pd.Series, inputs: pd.Series | None) -> str:
    """The item's text and the outputs of incumbent and candidate, side by side, to be unfolded."""
    item, parts = row["item_id"], []
    if inputs is not None and item in inputs.index:
        parts.append(("item", inputs[item]))
    for model in dict.fromkeys((plan.incumbent, row["model"])):
        parts.append((model, texts.get((item, model), "no text")))
    shown = [(escape(str(name)), escape(_cut(text))) for name, text in parts]
    boxes = "".join(f'<section><h4>{name}</h4><pre tabindex="0" role="region" aria-label="{name}">{text}</pre>'
                    "</section>" for name, text in shown)
    return f'<details><summary>Texts of {escape(str(item))}</summary><div class="mk-sides">{boxes}</div></details>'


def _cut(text: object) -> str:
    whole = str(text)
    more = len(whole) - LONGEST
    return whole if more <= 0 else f"{whole[:LONGEST]}\n… {counted(more, 'more letter')}"


def _options(column: pd.Series) -> list[str]:
    """Values of a column in the order they come, what is not known last."""
    found = [str(value) for value in column.unique()]
    return [*sorted(value for value in found if value), *([NOT_KNOWN] if "" in found else [])]


def _inputs(data: EvalData) -> pd.Series:
    if "text" not in data.items:
        return pd.Series(dtype="object")
    return data.items.set_index("item_id")["text"].dropna()


def _choice(label: str, options: list[str]) -> ipw.Dropdown:
    return ipw.Dropdown(options=options, description=label, style={"description_width": "6.5em"},
                        layout={"width": "20em"})
