"""A small finished run, Chromium, and a JupyterLab of its own; what is missing skips a test here and fails it in CI."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from migration_kit.manifest import STAGES

from .case import write_case

HERE = Path(__file__).parent
AXE = HERE / "node_modules" / "axe-core" / "axe.min.js"
SCREENSHOTS = HERE / "screenshots"
GIVEN = "MIGRATION_KIT_RUN"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SERIOUS = ("serious", "critical")
# Refused by the browser itself: a handler for every request of JupyterLab keeps its kernels from connecting.
NO_NETWORK = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
START_SECONDS = 120
# What JupyterLab would otherwise ask: about news and updates.
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True},
}


def lacking(reason: str) -> None:
    """Skip for a user who did not ask for it; fail where everything has to be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@dataclass(frozen=True)
class Lab:
    """A JupyterLab at work.

    Attributes
    ----------
    root : Path
        Its root folder, with `notebooks`, `data/practice` and `runs/practice`.
    url, token : str
    """

    root: Path
    url: str
    token: str

    def ask(self, method: str, path: str) -> object:
        """Call the server's REST interface."""
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(f"{self.url}/api/{path}", method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            body = answer.read()
        return json.loads(body) if body else None


@pytest.fixture(scope="session")
def workplace(tmp_path_factory) -> Path:
    """A folder laid out as the project is, with a small finished run of a small migration."""
    root = tmp_path_factory.mktemp("workplace")
    write_case(root)
    return root


@pytest.fixture(scope="session")
def site(request) -> Path:
    """The folder of a rendered run: the one named by MIGRATION_KIT_RUN, else the small one."""
    given = os.environ.get(GIVEN)
    folder = Path(given).resolve() if given else request.getfixturevalue("workplace") / "runs" / "practice"
    missing = [name for name in page_names() if not (folder / name).is_file()]
    assert not missing, f"{folder} lacks {', '.join(missing)}"
    return folder


def page_names() -> list[str]:
    """The pages of a run, as paths in its folder."""
    return ["index.html", *(f"{stage}/notebook.html" for stage in STAGES)]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A Chromium of the system, without a window."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        lacking("no Chromium here: install the package chromium of your system to run the browser tests")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", NO_NETWORK])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def faults() -> Callable[[Page, str], list[str]]:
    """Return what axe-core finds serious or critical in a part of a page."""
    if not AXE.is_file():
        lacking("axe-core is not here: run `npm ci --ignore-scripts` in tests/browser")
    source = AXE.read_text("utf-8")

    def find(page: Page, selector: str) -> list[str]:
        page.evaluate(f"{source}; 0")
        found = page.evaluate(
            "async part => (await axe.run(part, {resultTypes: ['violations']})).violations", selector)
        return [f"{one['impact']}: {one['id']}: {len(one['nodes'])} × {one['help']}, as in {node['target']}: "
                f"{node['html'][:200]} {node['failureSummary'][:300]}"
                for one in found if one["impact"] in SERIOUS for node in one["nodes"][:2]]

    return find


@pytest.fixture(scope="session")
def picture() -> Callable[..., None]:
    """Return how a page is kept as a picture for people to look at."""
    SCREENSHOTS.mkdir(exist_ok=True)

    def keep(page: Page, name: str, **options: object) -> None:
        page.screenshot(path=SCREENSHOTS / f"{name}.png", **options)

    return keep


@pytest.fixture(scope="session")
def lab(workplace, tmp_path_factory) -> Iterator[Lab]:
    """JupyterLab on loopback, its settings apart from those of the user."""
    own = tmp_path_factory.mktemp("jupyter")
    folders = {name: str(own / name.lower()) for name in (
        "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR",
        "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR")}
    for name, values in SETTINGS.items():
        path = Path(folders["JUPYTERLAB_SETTINGS_DIR"]) / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values), "utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    one = Lab(workplace, f"http://127.0.0.1:{port}", secrets.token_hex(16))
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1",
               f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={one.token}",
               f"--ServerApp.root_dir={workplace}"]
    log = own / "log.txt"
    with log.open("w") as out:
        server = subprocess.Popen(command, cwd=workplace, env={**os.environ, **folders}, stdin=subprocess.DEVNULL,
                                  stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        wait_for_start(one, server, log)
        yield one
    finally:
        stop(server)


def wait_for_start(lab: Lab, server: subprocess.Popen, log: Path) -> None:
    """Return once the server answers."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            lab.ask("GET", "status")
            return
        except OSError:
            time.sleep(0.3)
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text('utf-8')[-3000:]}")


def stop(server: subprocess.Popen) -> None:
    """End the server and the kernels it started."""
    server.send_signal(signal.SIGTERM)
    try:
        server.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
