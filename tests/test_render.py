import base64
import re
import struct
import zlib
from html.parser import HTMLParser

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from standins import DECISION, EVIL, opening, write_migration

from migration_kit.errors import InputError
from migration_kit.fragment import LONG_TABLE, convert
from migration_kit.manifest import STAGES
from migration_kit.render import render_run
from migration_kit.run import open_run
from migration_kit.tables.grid import grid


def png(width=400, height=100, *, dots_per_metre=None):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    chunks = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))]
    if dots_per_metre:
        chunks.append(chunk(b"pHYs", struct.pack(">IIB", dots_per_metre, dots_per_metre, 1)))
    chunks += [chunk(b"IDAT", zlib.compress(b"\0" * (width + 1) * height)), chunk(b"IEND", b"")]
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(chunks)).decode()


def shown(data, **metadata):
    return new_output("display_data", data=data, metadata=metadata)


def fragment(*cells, with_code=True):
    return convert(new_notebook(cells=list(cells), metadata={"language_info": {"name": "python"}}), with_code=with_code)


def body_of(*outputs, source="1 + 1", with_code=True, **metadata):
    return fragment(new_code_cell(source, outputs=list(outputs), metadata=metadata), with_code=with_code)[0]


class Addresses(HTMLParser):
    """Every address a page would fetch by itself, every tag, every id."""

    def __init__(self, page):
        super().__init__()
        self.fetched, self.tags, self.ids, self.links, self.alts = [], set(), [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.add(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if tag == "a" and "href" in given else []
        self.alts += [given.get("alt")] if tag == "img" else []
        self.fetched += [given[key] for key in ("src", "srcset", "data", "poster") if key in given]
        self.fetched += [given["href"]] if tag in ("link", "base") and "href" in given else []


@pytest.fixture
def finished(tmp_path):
    """A run whose stages finished, with notebooks that hold what can go wrong."""
    plan = write_migration(tmp_path / "data" / "support")
    folder = tmp_path / "runs" / "support"
    for stage in STAGES:
        run = open_run(folder, plan=plan, stage=stage, fast=stage == "03_calibration")
        if stage == "05_report":
            run.save_decision(DECISION)
        run.finish()
        picture = {"alt": f'Quality of "{EVIL}"', "caption": f"Quality of {EVIL}"}
        cells = [
            new_markdown_cell(f"# What of {stage[3:]}?\n\nSee [the next](02_candidates.ipynb), [there](#By-slice)."),
            new_code_cell("run_dir = 1", metadata={"tags": ["parameters"]}),
            new_code_cell("run_dir = 2", metadata={"tags": ["injected-parameters"]}),
            new_code_cell(opening(stage)),
            new_markdown_cell("## Quality\n\nThe figure shows it."),
            new_code_cell("plot()", outputs=[shown({"image/png": png()}, **{"image/png": picture})]),
            new_code_cell("say()", outputs=[shown({"text/markdown": f"**{EVIL}** is worse. ![x](http://evil/x.png)"})]),
            new_markdown_cell("### By slice\n\n| slice | n |\n|---|--:|\n| amer | 6 |"),
            new_code_cell("table()", outputs=[shown({"text/html": "<table><tr><td>&lt;b&gt;</td></tr></table>"})]),
            new_code_cell("slider()", metadata={"tags": ["interactive"]}, outputs=[shown({"text/plain": "a slider"})]),
        ]
        notebook = new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})
        (folder / stage).mkdir(exist_ok=True)
        nbformat.write(notebook, folder / stage / "notebook.ipynb")
    return folder


@pytest.fixture
def pages(finished):
    index = render_run(finished)
    return {"index": index.read_text(), **{s: (finished / s / "notebook.html").read_text() for s in STAGES}}


def test_pages_are_self_contained(pages):
    for page in pages.values():
        found = Addresses(page)
        assert all(address.startswith("data:") for address in found.fetched)
        assert "script" not in found.tags
        assert not re.search(r"@import|url\((?!data:)", page)
        assert """content="default-src 'none'; style-src 'unsafe-inline'; img-src data:;""" in page
        assert len(found.ids) == len(set(found.ids))


def test_names_are_escaped_everywhere(pages):
    for page in pages.values():
        assert "<script" not in page
        assert "<b>move</b>" not in page
        assert "&lt;b&gt;move&lt;/b&gt;" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; is worse." in pages["index"]
    found = Addresses(pages["03_calibration"])
    assert found.alts == [f'Quality of "{EVIL}"']
    assert "<figcaption>Quality of &lt;script&gt;" in pages["03_calibration"]


def test_links_between_pages_lead_somewhere(finished, pages):
    for name, page in pages.items():
        here = finished if name == "index" else finished / name
        found = Addresses(page)
        assert len(found.links) > 5
        for link in found.links:
            if link.startswith("#"):
                assert link[1:] in found.ids
            else:
                assert (here / link).resolve().is_file()


def test_contents_list_names_the_headings(pages):
    contents = re.search(r'<aside class="contents">.*?</aside>', pages["01_baseline"], flags=re.S)[0]
    assert re.findall(r'class="level(\d)"><a href="#([^"]+)">([^<]+)<', contents) == [
        ("2", "s-quality", "Quality"),
        ("3", "s-by-slice", "By slice"),
    ]


def test_code_folds_in_01_to_04_and_is_absent_from_05(pages):
    assert pages["01_baseline"].count('<details class="code">') == 4
    assert 'class="code"' not in re.sub(r"<style>.*?</style>", "", pages["05_report"], flags=re.S)
    assert "open_run" not in pages["05_report"]


def test_parameters_and_interactive_cells_are_left_out(pages):
    for stage in STAGES:
        assert "run_dir = " not in pages[stage]
        assert "slider" not in pages[stage]


def test_index_answers_first(pages, finished):
    index = pages["index"]
    assert index.index("Switch to b-2026.") < index.index("judge-x says the opposite") < index.index("<table")
    assert "May b-2026 replace a-2025?" in index
    assert 'href="05_report/notebook.html"' in index
    assert "3 Calibration, 4 Validation, 5 Report used fewer draws" in index
    assert all(("Fast run." in pages[stage]) == (stage >= "03") for stage in STAGES)
    manifest = open_run(finished, plan=finished.parents[1] / "data/support/migration.yml", stage=STAGES[0]).manifest
    for page in pages.values():
        assert manifest["plan_digest"] in page
        assert manifest["data_digest"] in page
        assert "migration-kit run data/support/migration.yml --fast" in page and "--fast --fast" not in page


def test_the_index_tells_a_margin_that_moved_and_no_other_change_of_the_plan(finished):
    plan = finished.parents[1] / "data/support/migration.yml"
    plan.write_text(plan.read_text() + "labels: {budget: 30}\n")
    open_run(finished, plan=plan, stage=STAGES[0]).finish()
    open_run(finished, plan=plan, stage=STAGES[1])
    assert "Margins changed." not in render_run(finished).read_text()
    write_migration(plan.parent, margin=0.05)
    open_run(finished, plan=plan, stage=STAGES[0]).finish()
    index = render_run(finished).read_text()
    assert "Margins changed." in index and "margin of correct 0.03 → 0.05" in index


def test_index_without_decision_says_what_is_missing(finished):
    plan = finished.parents[1] / "data/support/migration.yml"
    open_run(finished, plan=plan, stage="04_validation")
    (finished / "decision.json").unlink()
    index = render_run(finished).read_text()
    assert "4 Validation has not finished, so nothing is decided." in index
    assert "04_validation/notebook.html" not in index


def test_only_outdated_pages_are_made_again(finished, monkeypatch):
    render_run(finished)
    before = {stage: (finished / stage / "notebook.html").stat().st_mtime_ns for stage in STAGES}
    with monkeypatch.context() as patch:
        patch.setattr("migration_kit.render.stage_page", lambda *_, **__: pytest.fail("made again"))
        render_run(finished)
    (finished / STAGES[1] / "notebook.html").unlink()
    render_run(finished)
    after = {stage: (finished / stage / "notebook.html").stat().st_mtime_ns for stage in STAGES}
    assert [stage for stage in STAGES if after[stage] != before[stage]] == [STAGES[1]]


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="not a run folder"):
        render_run(tmp_path)


def test_text_is_escaped_and_colours_become_classes():
    body = body_of(new_output("stream", name="stdout", text=f"\x1b[31mred\x1b[0m {EVIL}"))
    assert '<span class="ansi-red-fg">red</span> &lt;script&gt;' in body


def test_stderr_scripts_and_widgets_are_left_out():
    body = body_of(
        new_output("stream", name="stderr", text="a warning"),
        shown({"application/javascript": "alert(1)", "text/plain": "<Javascript>"}),
        shown({"application/vnd.jupyter.widget-view+json": {"model_id": "x"}, "text/plain": "IntSlider(value=1)"}),
        shown({"text/html": '<p onclick="alert(1)">kept</p><script>alert(1)</script><iframe src="http://x"></iframe>'}),
    )
    assert "<p>kept</p>" in body
    for gone in ("a warning", "alert", "IntSlider", "Javascript", "iframe"):
        assert gone not in body


def test_markdown_from_code_shows_html_and_fetches_nothing():
    body = body_of(shown({"text/markdown": "a <b onclick=x>b</b> [go](javascript:alert(1)) ![pic](https://evil/x.png)"}))
    found = Addresses(body)
    assert "&lt;b onclick=x&gt;" in body
    assert found.fetched == []
    assert found.links == []
    assert "pic" in body


@pytest.mark.parametrize(
    ("given", "alt"),
    [
        ({"image/png": {"alt": "An alt"}}, "An alt"),
        ({"image/png": {"caption": "A caption"}}, "A caption"),
        ({"alt": "Of the output"}, "Of the output"),
        ({}, "Of the cell"),
    ],
)
def test_every_figure_has_alt_text(given, alt):
    body = body_of(shown({"image/png": png(), "text/plain": "<Figure>"}, **given), caption="Of the cell")
    assert Addresses(body).alts == [alt]
    assert "Figure&gt;" not in body


def test_figures_are_shown_at_their_size_in_inches():
    assert 'width="400"' in body_of(shown({"image/png": png()}))
    body = body_of(shown({"image/png": png(dots_per_metre=7874)}))
    assert 'width="192"' in body
    assert 'height="48"' in body
    assert 'width="300"' in body_of(shown({"image/png": png()}, **{"image/png": {"width": 300, "height": 75}}))


def test_drawings_are_embedded_as_pictures_not_as_markup():
    body = body_of(shown({"image/svg+xml": "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"}))
    assert Addresses(body).tags & {"svg", "script"} == set()
    assert Addresses(body).fetched[0].startswith("data:image/svg+xml;base64,")


def test_headings_get_unique_ids_and_the_first_is_the_title():
    first = new_markdown_cell("# The title\n\n## Same\n\n```\n## not a heading\n```")
    _, heading, contents = fragment(first, new_markdown_cell("## Same\n\n## 50 %?"))
    assert heading == "The title"
    assert [item["id"] for item in contents] == ["s-same", "s-same-2", "s-50"]


def test_headings_that_come_again_and_again_are_not_in_the_contents():
    parts = [new_markdown_cell(f"## {section}\n\n### correct\n\n### Only in {section}") for section in ("One", "Two")]
    _, _, contents = fragment(new_markdown_cell("# Title"), *parts)
    assert [item["text"] for item in contents] == ["One", "Only in One", "Two", "Only in Two"]


def test_without_code_a_page_begins_with_the_answer():
    first = new_markdown_cell("# Title\n\n**Inputs.** What the stages left.")
    said = new_code_cell("say()", outputs=[shown({"text/markdown": "Switch."})])
    assert "Inputs" in fragment(first, said)[0]
    body, heading, _ = fragment(first, said, with_code=False)
    assert heading == "Title" and "Inputs" not in body and "Switch." in body


def test_tables_scroll_and_their_ids_do_not_clash():
    table = '<table aria-labelledby="t"><tr><th id="t">t</th></tr><tr><td headers="t">1</td></tr></table>'
    body = body_of(shown({"text/html": table}), shown({"text/html": table}))
    assert [frame["aria-label"] for frame in BeautifulSoup(body, "html.parser").select(".table[tabindex='0']")] == [
        "Table", "Table (2)"]
    assert sorted(Addresses(body).ids) == ["t0-t", "t1-t"]
    assert 'headers="t1-t"' in body
    assert 'class="table"' in fragment(new_markdown_cell("| a |\n|---|\n| 1 |"))[0]


@pytest.mark.parametrize(("rows", "folded"), [(LONG_TABLE, False), (LONG_TABLE + 1, True)])
def test_a_long_table_waits_to_be_opened(rows, folded):
    table = grid([("model", "name"), ("n", "right")], [[f"m{one}", "1"] for one in range(rows)], title="All",
                 groups=["a"] * 3 + ["b"] * (rows - 3))
    page = BeautifulSoup(body_of(shown({"text/html": table.as_raw_html()})), "html.parser")
    found = [(one.summary.get_text(), one.select_one(".table")["aria-label"]) for one in page.select("details.rows")]
    assert found == ([(f"All: {rows} rows", "All")] if folded else [])
    assert len(page.select(".table table")) == 1


def test_a_cell_that_only_computes_leaves_nothing_without_code():
    assert body_of(source="x = 1", with_code=False).strip() == ""


def test_tables_share_the_style_they_bring_along():
    tables = [grid([("model", "name"), ("n", "right")], [[name, "1"]], title="t").as_raw_html() for name in "abc"]
    body = body_of(*(shown({"text/html": table}) for table in tables))
    assert len(body) < len(tables[0]) + 2 * (len(tables[0]) // 3)
    page = BeautifulSoup(body, "html.parser")
    styles = page.find_all("style")
    assert len(styles) == 1
    kinds = {name for holder in page.select(".table > div") for name in holder["class"]}
    assert len(kinds) == 1 and f".{kinds.pop()} .gt_table" in styles[0].get_text()
    assert not re.search(r"#[a-z]{10} ", styles[0].get_text())
    assert [cell.get_text() for cell in page.select("tbody th")] == ["a", "b", "c"]


def test_a_table_is_called_by_its_title_and_tells_prose_from_numbers():
    prose = "What the desk can take in one night of December, as the leads said."
    table = grid([("model", "name"), ("n", "right"), ("why", "left")], [["b-2026", "3 points", prose]],
                 title="Margins & more", note="A note.").as_raw_html()
    page = BeautifulSoup(body_of(shown({"text/html": table}), shown({"text/html": table})), "html.parser")
    assert [frame["aria-label"] for frame in page.select(".table")] == ["Margins & more", "Margins & more (2)"]
    cells = page.select_one(".table").select("tbody .gt_row")
    assert [set(cell["class"]) & {"short", "long"} for cell in cells] == [{"short"}, {"short"}, {"long"}]
    assert [one.get_text() for one in page.select_one(".table").select(".stays")] == ["Margins & more", "A note."]


def test_what_scrolls_is_reached_without_a_mouse():
    page = BeautifulSoup(body_of(shown({"image/png": png()}), new_output("stream", name="stdout", text="x")),
                         "html.parser")
    assert page.select_one(".picture")["tabindex"] == "0"
    assert page.find_all("pre") and all(tag["tabindex"] == "0" for tag in page.find_all("pre"))


def test_index_says_when_the_incumbent_retires_and_where_the_data_come_from(tmp_path):
    path = write_migration(tmp_path / "data" / "support")
    plain = path.read_text("utf-8")
    dated = plain.replace("{id: a-2025}", "{id: a-2025, retires: 2027-02-28}").replace(
        "data: {", "data: {source: tickets of August, ")
    for text, facts in ((plain, []), (dated, ["a-2025, retires 2027-02-28", "tickets of August"])):
        path.write_text(text, "utf-8")
        folder = tmp_path / "runs" / "support"
        open_run(folder, plan=path, stage=STAGES[0]).finish()
        index = render_run(folder).read_text("utf-8")
        assert [told for told in ("a-2025, retires 2027-02-28", "tickets of August") if told in index] == facts
        assert (", retires" in index) == bool(facts)
