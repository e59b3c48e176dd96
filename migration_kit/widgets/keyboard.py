"""Keys pressed in a box of controls stay there, instead of being JupyterLab's commands."""

from pathlib import Path

import anywidget
from ipywidgets import VBox, Widget

BOX = "mk-keys"


class Keyboard(anywidget.AnyWidget):
    """Shows nothing; keeps the keys of the box around it."""

    _esm = Path(__file__).parent / "keyboard.js"


def keyboard_box(*children: Widget) -> VBox:
    """Stack controls in a box that keeps its keys: arrows move a choice there, and never the notebook's cells."""
    box = VBox([*children, Keyboard()])
    box.add_class(BOX)
    return box
