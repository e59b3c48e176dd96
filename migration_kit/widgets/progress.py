"""Progress of long steps where somebody looks on; nothing where notebooks run in batch."""

import time
from collections.abc import Iterable, Iterator
from html import escape

import ipywidgets as ipw
from IPython import get_ipython
from IPython.display import display

from migration_kit.wording import counted


def attended() -> bool:
    """Tell whether somebody sits before the notebook: JupyterLab lets a cell ask for input, papermill does not."""
    return bool(getattr(getattr(get_ipython(), "kernel", None), "_allow_stdin", False))


def each(names: Iterable[str], doing: str) -> Iterator[str]:
    """Yield names one by one and show how far one is, where somebody looks on.

    Parameters
    ----------
    names : iterable of str
    doing : str
        What is done with each: "fitting".
    """
    names = list(names)
    if not (attended() and names):
        yield from names
        return
    bar = ipw.IntProgress(max=len(names))
    text = ipw.HTML()
    display(ipw.HBox([bar, text]))
    start = time.monotonic()
    for number, name in enumerate(names):
        bar.value, text.value = number, f"{doing} {escape(name)}, {number + 1} of {len(names)} {waiting()}"
        yield name
    spent = counted(round(time.monotonic() - start), "second")
    bar.value, text.value = len(names), f"{doing}: {len(names)} of {len(names)} done in {spent}"


def waiting() -> str:
    """A bar that moves by itself in the browser, also while the kernel is busy."""
    return '<progress aria-label="at work" style="width: 8em"></progress>'
