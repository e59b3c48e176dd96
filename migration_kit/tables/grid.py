"""The look of every table: cells that are already text, headings, a caption, notes."""

from collections.abc import Sequence
from html import escape

import pandas as pd
from great_tables import GT, html, loc, style

NUMBER, TEXT, NAME = "right", "left", "name"
SIDE = "0.7rem"
LONGEST_ON_ONE_LINE = 32


def grid(
    columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]], *, title: str, note: str = "",
    groups: Sequence[str] | None = None,
) -> GT:
    """Lay out a table whose cells are text; everything in it is shown letter by letter.

    Parameters
    ----------
    columns : sequence of (heading, kind)
        kind is NUMBER (aligned right), TEXT or NAME (in bold; in the first column it heads its row).
    rows : sequence of rows of text
    title : str
        What the table shows, with its unit.
    note : str
        Set below the table.
    groups : sequence of str, optional
        For each row the heading it stands under.
    """
    keys = [f"c{number}" for number in range(len(columns))]
    frame = pd.DataFrame([[str(cell) for cell in row] for row in rows], columns=keys, dtype="object")
    if groups is not None:
        frame["group"] = list(groups)
    heads = [html(_plain(head)) for head, _ in columns]
    stub = keys[0] if columns[0][1] == NAME else None
    table = GT(frame, rowname_col=stub, groupname_col="group" if groups is not None else None)
    table = table.tab_header(title=html(_plain(title))).cols_label(dict(zip(keys, heads, strict=True)))
    table = table.tab_options(column_labels_padding_horizontal=SIDE, row_group_padding_horizontal=SIDE)
    if stub:
        table = table.tab_stubhead(heads[0]).tab_style(style.text(weight="bold"), loc.stub())
        if len(frame) and frame[stub].str.len().max() <= LONGEST_ON_ONE_LINE:
            table = table.tab_style(style.css("white-space: nowrap"), loc.stub())
    for key, (_, kind) in zip(keys, columns, strict=True):
        table = table.cols_align("right" if kind == NUMBER else "left", columns=key)
        if kind == NAME and key != stub and len(frame):
            table = table.tab_style(style.text(weight="bold"), loc.body(columns=key))
            if frame[key].str.len().max() <= LONGEST_ON_ONE_LINE:
                table = table.tab_style(style.css("white-space: nowrap"), loc.body(columns=key))
    if note:
        table = table.tab_source_note(html(_plain(note)))
    return table


def mark(passed: object) -> str:
    """Return a check mark, a cross or a question mark, with the word for those who do not see it."""
    if pd.isna(passed):
        return "?\u00a0unknown"
    return "✓\u00a0pass" if passed else "✗\u00a0fail"


def _plain(text: str) -> str:
    """Escape for HTML, and braces too: a heading's double braces would be read as units."""
    return escape(text, quote=True).replace("{", "&#123;").replace("}", "&#125;")
