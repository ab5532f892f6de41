"""A short HTML table for a notebook (`_repr_html_`)."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

ROWS = 10


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[object]], total: int = 0) -> str:
    """One table; every text in it is escaped.

    Args:
        caption: stands above; head: names of the columns, none where the rows speak for themselves.
        rows: cells, shown as text; numbers stand at the right.
        total: how many rows there are, where only the first are given; a last line counts the rest.
    """
    lines = [f"<table><caption>{escape(caption)}</caption>"]
    if head:
        lines.append("<thead><tr>" + "".join(f"<th>{escape(h)}</th>" for h in head) + "</tr></thead>")
    lines.append("<tbody>")
    lines += ["<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows]
    if total > len(rows):
        width = max(1, len(head))
        lines.append(f'<tr><td colspan="{width}">and {total - len(rows):,} more</td></tr>')
    return "\n".join([*lines, "</tbody></table>"])


def _cell(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        text = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
        return f'<td style="text-align:right">{text}</td>'
    return f'<td style="text-align:left">{escape(str(value))}</td>'
