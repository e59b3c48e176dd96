"""Controls worked with the keyboard: keys pressed in a box of them stay there, and its sliders say what they are."""

from collections.abc import Mapping
from pathlib import Path

import anywidget
import traitlets
from ipywidgets import VBox, Widget

BOX = "mk-keys"
STATUS = "mk-status"


class Keyboard(anywidget.AnyWidget):
    """Shows nothing; keeps the keys of the box around it, and names its sliders and their values."""

    _esm = Path(__file__).parent / "keyboard.js"
    units = traitlets.Dict().tag(sync=True)


def keyboard_box(*children: Widget, units: Mapping[str, str] | None = None) -> VBox:
    """Stack controls in a box that keeps its keys: arrows move a choice there, and never the notebook's cells.

    Screen readers hear the tooltip of a slider as its name, and what changes in a child of class `STATUS`.

    Parameters
    ----------
    units : mapping, optional
        Tooltip of a slider to the unit that is read out after its value.
    """
    box = VBox([*children, Keyboard(units=dict(units or {}))])
    box.add_class(BOX)
    return box
