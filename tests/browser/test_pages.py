"""The pages as somebody opens them from disk who has nothing but a browser, and no network."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser, Page

from .conftest import page_names

PAGES = page_names()
STAGE_PAGES = PAGES[1:]
PHONE = {"width": 360, "height": 740}
LARGEST_PAGE = 3_000_000
CONTENTS = "aside.contents nav a"
SHORT = {name: name.removesuffix(".html").removesuffix("/notebook") for name in PAGES}
DESK = {"width": 1280, "height": 900}
# What is left of A4 between the margins of the page, in CSS pixels.
SHEET = {"width": 680, "height": 990}
A4_POINTS = (595, 842)
# How light the page is: 0 is black, 1 is white.
LIGHTNESS = """() => {
  const parts = getComputedStyle(document.body).backgroundColor.match(/[0-9.]+/g).map(Number);
  return parts.slice(0, 3).reduce((a, b) => a + b) / 765}"""
MEDIA_BOX = rb"/MediaBox \[0 0 ([0-9.]+) ([0-9.]+)\]"
HEADING = """id => {
  const found = document.getElementById(id);
  return [found.tagName, found.textContent, found.getBoundingClientRect().top]}"""


@pytest.fixture
def visit(chromium: Browser, site: Path) -> Iterator[Callable[..., Page]]:
    """Open a page from disk; at the end of a test nothing else was asked for, and nothing was complained of."""
    contexts, asked, said = [], [], []

    def visit(name: str, *, scheme: str = "light", size: dict | None = None) -> Page:
        context = chromium.new_context(color_scheme=scheme, viewport=size or DESK,
                                       reduced_motion="reduce", offline=True)
        contexts.append(context)
        context.route("**/*", lambda route: route.continue_() if route.request.url.startswith("file:")
                      else route.abort())
        page, url = context.new_page(), (site / name).as_uri()
        page.on("request", lambda request: asked.append(request.url)
                if not request.url.startswith("data:") and request.url.split("#")[0] != url else None)
        page.on("console", lambda message: said.append(f"{name}: {message.text}")
                if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: said.append(f"{name}: {error}"))
        page.goto(url)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert not asked, "a page asked for more than itself"
    assert not said, "the browser complained"


@pytest.mark.parametrize("name", PAGES, ids=SHORT.get)
class TestPage:
    def test_asks_for_nothing_and_is_whole(self, visit, site, picture, name):
        page = visit(name)
        page.wait_for_load_state("networkidle")
        assert (site / name).stat().st_size < LARGEST_PAGE
        images = page.evaluate("[...document.images].map(e => [e.alt, e.complete && e.naturalWidth > 0])")
        assert all(alt.strip() for alt, _ in images), "an image without alt text"
        assert all(there for _, there in images), "an image that does not show"
        assert page.locator("h1").count() == 1 and page.title().strip()
        picture(page, f"{SHORT[name]}-light", full_page=True, timeout=120_000)

    def test_is_dark_where_that_is_preferred(self, visit, picture, name):
        light, dark = visit(name), visit(name, scheme="dark")
        assert light.evaluate(LIGHTNESS) > 0.9 and dark.evaluate(LIGHTNESS) < 0.15
        picture(dark, f"{SHORT[name]}-dark")

    def test_fits_a_phone(self, visit, picture, name):
        page = visit(name, size=PHONE)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        tables = page.evaluate("""[...document.querySelectorAll('main table')].map(table => {
            let box = table.parentElement;
            while (box && !['auto', 'scroll'].includes(getComputedStyle(box).overflowX)) box = box.parentElement;
            return [table.getBoundingClientRect().width, box ? box.getBoundingClientRect().right : 1e9]})""")
        assert tables or name != "index.html"
        assert all(right <= PHONE["width"] for _, right in tables), "a table does not scroll in a frame of its own"
        picture(page, f"{SHORT[name]}-phone")

    def test_prints_on_a4(self, visit, picture, name):
        page = visit(name, size=SHEET)
        data = page.pdf(prefer_css_page_size=True)
        sizes = {tuple(round(float(side)) for side in box) for box in re.findall(MEDIA_BOX, data)}
        assert sizes == {A4_POINTS}
        page.emulate_media(media="print")
        assert page.evaluate("document.documentElement.scrollWidth") <= SHEET["width"], "something is cut at the right"
        figures = page.evaluate("""[...document.images].map(e => e.getBoundingClientRect())
            .map(box => [box.right, box.height])""")
        assert all(right <= SHEET["width"] and height < SHEET["height"] for right, height in figures)
        assert page.evaluate("""[...document.querySelectorAll('figure')]
            .every(e => getComputedStyle(e).breakInside === 'avoid')""")
        picture(page, f"{SHORT[name]}-print")

    @pytest.mark.parametrize(("scheme", "size"), [("light", DESK), ("dark", PHONE)], ids=["desk", "dark phone"])
    def test_is_accessible(self, visit, faults, name, scheme, size):
        page = visit(name, scheme=scheme, size=size)
        page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
        assert not faults(page, "html")


@pytest.mark.parametrize("name", STAGE_PAGES, ids=SHORT.get)
def test_contents_lead_to_their_headings(visit, name):
    page = visit(name)
    links = page.locator(CONTENTS)
    assert links.count()
    for number in range(links.count()):
        link = links.nth(number)
        href, text = link.get_attribute("href"), link.inner_text()
        link.click()
        assert page.evaluate("decodeURIComponent(location.hash)") == unquote(href), text
        tag, heading, top = page.evaluate(HEADING, unquote(href)[1:])
        assert tag in ("H2", "H3") and " ".join(heading.split()) == " ".join(text.split())
        assert -1 <= top < 900, f"{text!r} is not in sight"


@pytest.mark.parametrize("name", STAGE_PAGES, ids=SHORT.get)
def test_contents_unfold_on_a_phone(visit, name):
    page = visit(name, size=PHONE)
    assert not page.locator(CONTENTS).first.is_visible()
    page.locator(".contents-fold summary").click()
    link = page.locator(".contents-fold a").last
    link.click()
    _, _, top = page.evaluate(HEADING, unquote(link.get_attribute("href"))[1:])
    assert -1 <= top < PHONE["height"]


@pytest.mark.parametrize("name", STAGE_PAGES, ids=SHORT.get)
def test_code_unfolds_and_the_report_has_none(visit, name):
    page = visit(name)
    code = page.locator("details.code")
    if name == STAGE_PAGES[-1]:
        assert not code.count() and not page.get_by_text("open_run").count()
        return
    assert code.count() and not code.first.locator("pre").is_visible()
    code.first.locator("summary").click()
    assert "open_run" in code.first.locator("pre").inner_text()


def test_a_long_table_is_folded_on_the_screen_and_whole_on_paper(visit):
    page = visit(STAGE_PAGES[-1])
    page.evaluate("""() => {
        const frame = document.querySelector('main .table'), rows = document.createElement('details');
        rows.className = 'rows'; rows.innerHTML = '<summary>Rows</summary>';
        frame.replaceWith(rows); rows.append(frame)}""")
    table, summary = page.locator("details.rows table").first, page.locator("details.rows summary").first
    assert not table.is_visible()
    page.emulate_media(media="print")
    assert table.is_visible() and not summary.is_visible()
    page.emulate_media(media="screen")
    summary.click()
    assert table.is_visible()


@pytest.mark.parametrize("name", PAGES, ids=SHORT.get)
def test_links_between_pages_lead_somewhere(site, name):
    soup = BeautifulSoup((site / name).read_text("utf-8"), "html.parser")
    addresses = [urlsplit(link["href"]) for link in soup.select("a[href]")]
    local = [address for address in addresses if not address.scheme and address.path]
    assert local
    missing = [one.path for one in local if not (site / name).parent.joinpath(unquote(one.path)).is_file()]
    assert not missing


def test_the_first_page_leads_to_the_report(visit):
    page = visit("index.html")
    assert page.locator(".verdict .word").inner_text().strip()
    assert page.locator(".verdict a.button").get_attribute("href") == STAGE_PAGES[-1]
    assert page.locator("main .table tbody th a").count() == len(STAGE_PAGES)
