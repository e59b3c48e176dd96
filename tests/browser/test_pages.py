"""The pages as somebody opens them from disk who has nothing but a browser, and no network."""

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
BACKGROUND = "[document.documentElement, document.body].map(e => getComputedStyle(e).backgroundColor).join()"
HEADING = """id => {
  const found = document.getElementById(id);
  return [found.tagName, found.textContent, found.getBoundingClientRect().top]}"""


@pytest.fixture
def visit(chromium: Browser, site: Path) -> Iterator[Callable[..., Page]]:
    """Open a page from disk; at the end of a test nothing else was asked for, and nothing was complained of."""
    contexts, asked, said = [], [], []

    def visit(name: str, *, scheme: str = "light", size: dict | None = None) -> Page:
        context = chromium.new_context(color_scheme=scheme, viewport=size or {"width": 1280, "height": 900},
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
        picture(page, f"{SHORT[name]}-light", full_page=True)

    def test_is_dark_where_that_is_preferred(self, visit, picture, name):
        light, dark = visit(name), visit(name, scheme="dark")
        assert light.evaluate(BACKGROUND) != dark.evaluate(BACKGROUND)
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

    def test_prints(self, visit, site, name):
        data = visit(name).pdf(prefer_css_page_size=True)
        assert data.startswith(b"%PDF") and data.count(b"/Type /Page") >= 1

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_is_accessible(self, visit, faults, name, scheme):
        assert not faults(visit(name, scheme=scheme), "html")


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
