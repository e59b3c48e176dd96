"""An executed notebook as a fragment of HTML that is safe, self-contained and readable on its own."""

import base64
import re
import struct
from collections import Counter
from pathlib import Path

from migration_kit.manifest import STAGES

TEMPLATES = Path(__file__).parent / "templates"
HIDDEN_TAGS = frozenset({"interactive", "parameters", "injected-parameters", "remove_cell", "papermill-error-cell-tag"})
PICTURES = ("image/svg+xml", "image/png", "image/jpeg")
# The first that an output has is shown. What would run in the browser (scripts, widgets) is not in the list.
SHOWN = [*PICTURES, "text/html", "text/markdown", "text/plain"]
ACTIVE = frozenset({"application/javascript", "application/vnd.jupyter.widget-view+json"})
# Letters in a cell of a table: up to the first it stands on one line, from the second on it is prose.
ONE_LINE, PROSE = 16, 48
# Rows beyond which a table waits to be opened; what it says stands beside it in a sentence or a figure.
LONG_TABLE = 30


def convert(notebook: object, *, with_code: bool) -> tuple[str, str, list[dict]]:
    """Convert an executed notebook into HTML that asks nothing of any network and runs no script.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        Changed in place.
    with_code : bool
        Whether code is there to be unfolded.

    Returns
    -------
    body : str
        HTML without the notebook's first heading.
    heading : str
        Text of that heading, "" without one.
    contents : list of dict
        `level` (2 or 3), `id` and `text` of the headings below it.
    """
    # nbconvert takes seconds to import: only when a page has to be made.
    from nbconvert import HTMLExporter

    _prepare(notebook, with_code=with_code)
    exporter = HTMLExporter(
        template_name="report",
        extra_template_basedirs=[str(TEMPLATES)],
        exclude_anchor_links=True,
        exclude_input=not with_code,
    )
    exporter.register_filter("said2html", _said2html)
    fragment, _ = exporter.from_notebook_node(notebook)
    return _finish(fragment)


def _prepare(notebook: object, *, with_code: bool) -> None:
    """Leave in the notebook only what a reader should see, and give every picture its description."""
    cells = []
    if not with_code and notebook.cells[0].cell_type == "markdown":
        # Who only reads begins with the answer, not with what the notebook takes and leaves.
        notebook.cells[0].source = notebook.cells[0].source.partition("\n")[0]
    for cell in notebook.cells:
        if HIDDEN_TAGS.intersection(cell.metadata.get("tags", ())):
            continue
        if cell.cell_type == "code":
            outputs = [output for output in cell.outputs if _is_shown(output)]
            cell.outputs = [_displayed(output, cell) for output in outputs]
            if not outputs and not with_code:
                continue
        cells.append(cell)
    notebook.cells = cells


def _is_shown(output: dict) -> bool:
    if output["output_type"] == "stream":
        return output["name"] == "stdout"
    data = output.get("data", {})
    return output["output_type"] == "error" or bool(data.keys() & set(SHOWN) and not data.keys() & ACTIVE)


def _displayed(output: dict, cell: dict) -> dict:
    """The output in the one form that is shown; a picture ready for the template."""
    if output["output_type"] in ("stream", "error"):
        return output
    kind = next(kind for kind in SHOWN if kind in output["data"])
    output["output_type"] = "display_data"
    output["data"] = {kind: output["data"][kind]}
    output.pop("execution_count", None)
    if kind in PICTURES:
        given = {**cell["metadata"], **output["metadata"], **output["metadata"].get(kind, {})}
        output["metadata"]["picture"] = _picture(kind, output["data"][kind], given)
    return output


def _picture(kind: str, data: str, given: dict) -> dict:
    """Source, description and size of a picture; `given` is the metadata that came with it."""
    encoded = base64.b64encode(data.encode()).decode() if kind == "image/svg+xml" else "".join(data.split())
    width, height = given.get("width"), given.get("height")
    if kind == "image/png" and not width:
        width, height = _png_size(base64.b64decode(encoded))
    caption = str(given.get("caption") or "")
    return {
        "src": f"data:{kind};base64,{encoded}",
        "alt": str(given.get("alt") or caption or "Figure without a description"),
        "caption": caption,
        "width": int(width) if width else None,
        "height": int(height) if height else None,
    }


def _png_size(content: bytes) -> tuple[int | None, int | None]:
    """Width and height in CSS pixels (96 an inch), so that a figure of 200 dots an inch is sharp and not large."""
    if content[:8] != b"\x89PNG\r\n\x1a\n":
        return None, None
    width, height = struct.unpack(">II", content[16:24])
    place = content.find(b"pHYs", 0, 4096)
    if place < 0 or content[place + 12] != 1:
        return width, height
    scale = 96 / (struct.unpack(">I", content[place + 4 : place + 8])[0] * 0.0254)
    return round(width * scale), round(height * scale)


def _said2html(text: str) -> str:
    """Markdown that code has written, where names from the data may stand: HTML in it is shown, not obeyed."""
    import mistune

    return mistune.create_markdown(escape=True, plugins=["table", "strikethrough"])(text)


def _finish(fragment: str) -> tuple[str, str, list[dict]]:
    """Make the fragment self-contained, its tables scroll and its headings reachable."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(fragment, "html.parser")
    for tag in soup.find_all(["script", "iframe", "object", "embed", "link", "meta", "base", "form"]):
        tag.decompose()
    for image in soup.find_all("img"):
        if not image.get("src", "").startswith("data:image/"):
            image.replace_with(image.get("alt", ""))
    for tag in soup.find_all(True):
        for name in [name for name in tag.attrs if name.lower().startswith("on")]:
            del tag[name]
    for table in soup.select(".prose table"):
        table["class"] = "plain"
        scrolling = {"class": "table", "tabindex": "0", "role": "region", "aria-label": "Table"}
        table.wrap(soup.new_tag("div", attrs=scrolling))
    _share_styles(soup)
    for number, table in enumerate(soup.select(".table table")):
        _own_ids(table, f"t{number}-")
    _name_tables(soup)
    _fold_long_tables(soup)
    for tag in soup.find_all("pre"):
        # What scrolls must be reached without a mouse.
        tag["tabindex"] = "0"
    first = soup.find("h1")
    heading = first.get_text().strip() if first else ""
    if first:
        first.decompose()
    contents, anchors = _headings(soup)
    _links(soup, anchors)
    return str(soup), heading, contents


def _share_styles(soup: object) -> None:
    """Say once what every table brings along: great_tables writes nine thousand letters of style into each."""
    kinds: dict[str, str] = {}
    for style in soup.select(".table style"):
        holder = style.parent
        if not holder.get("id"):
            continue
        rules = " ".join(style.get_text().split()).replace(f"#{holder['id']} ", "{kind} ")
        kind = kinds.setdefault(rules, f"gt-{len(kinds)}")
        holder["class"] = [*holder.get("class", []), kind]
        del holder["id"]
        style.decompose()
    if kinds:
        shared = soup.new_tag("style")
        shared.string = "\n".join(rules.replace("{kind}", f".{kind}") for rules, kind in kinds.items())
        soup.insert(0, shared)


def _own_ids(table: object, prefix: str) -> None:
    """Tables name their columns alike, and an id may stand only once in a page."""
    for tag in [table, *table.find_all(True)]:
        if tag.has_attr("id"):
            tag["id"] = prefix + tag["id"]
        for name in ("headers", "aria-labelledby", "aria-describedby"):
            if tag.has_attr(name):
                names = tag[name] if isinstance(tag[name], list) else tag[name].split()
                tag[name] = " ".join(prefix + one for one in names)


def _name_tables(soup: object) -> None:
    """Call the frame of every table what the table is called, each name once, and say which cells hold prose.

    Title and notes get an element of their own, which stays in sight while the table scrolls.
    """
    names: Counter[str] = Counter()
    for frame in soup.select(".table"):
        title = frame.select_one(".gt_title, caption")
        name = " ".join(title.get_text().split()) if title else ""
        name = name or "Table"
        names[name] += 1
        frame["aria-label"] = name if names[name] == 1 else f"{name} ({names[name]})"
        for cell in frame.select("tbody .gt_row, .plain tbody > tr > *"):
            length = len(cell.get_text().strip())
            if length <= ONE_LINE or length >= PROSE:
                cell["class"] = [*cell.get("class", []), "short" if length <= ONE_LINE else "long"]
        for cell in frame.select("td.gt_heading, td.gt_sourcenote, td.gt_footnote"):
            stays = soup.new_tag("div", attrs={"class": "stays"})
            stays.extend(list(cell.contents))
            cell.append(stays)


def _fold_long_tables(soup: object) -> None:
    for frame in soup.select(".table"):
        rows = len([row for row in frame.select("tbody > tr") if row.find("td")])
        if rows > LONG_TABLE:
            summary = soup.new_tag("summary")
            summary.string = f"{frame['aria-label']}: {rows} rows"
            details = frame.wrap(soup.new_tag("details", attrs={"class": "rows"}))
            details.insert(0, summary)


def _headings(soup: object) -> tuple[list[dict], dict[str, str]]:
    """Give headings their ids; returns the contents list and the id by Jupyter's own anchor."""
    contents, anchors, used = [], {}, set()
    for tag in soup.select(".prose h2, .prose h3"):
        text = tag.get_text().strip()
        name = "s-" + (re.sub(r"[^\w]+", "-", text.lower()).strip("-") or "section")
        unique, count = name, 1
        while unique in used:
            unique, count = f"{name}-{count + 1}", count + 1
        used.add(unique)
        tag["id"] = unique
        anchors.setdefault(text.replace(" ", "-"), unique)
        contents.append({"level": int(tag.name[1]), "id": unique, "text": text})
    # A criterion heads a part of many sections: listed each time it would bury the sections.
    often = {text for text, n in Counter(one["text"] for one in contents).items() if n > 1}
    return [one for one in contents if one["level"] == 2 or one["text"] not in often], anchors


def _links(soup: object, anchors: dict[str, str]) -> None:
    """Links between notebooks become links between pages; links that lead nowhere or run something are taken away."""
    for link in soup.find_all("a", href=True):
        target = link["href"].strip()
        notebook = re.fullmatch(rf"(?:\./)?({'|'.join(STAGES)})\.ipynb", target)
        if notebook:
            link["href"] = f"../{notebook[1]}/notebook.html"
        elif target.startswith("#") and target[1:] in anchors:
            link["href"] = f"#{anchors[target[1:]]}"
        elif not target.startswith(("https://", "http://", "mailto:", "../")):
            del link["href"]
