"""Small charts as SVG text: they stand in a report and on a page alike, follow the colour of the text around
them, and need no plotting library."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np

from analysis.drawing.style import BLUE

WIDTH, HEIGHT = 420, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 8, 8, 18, 44


def short(n: int) -> str:
    """A count that fits over a bar: 950, 1.2k, 3.4M."""
    for size, letter in ((1_000_000, "M"), (10_000, "k")):
        if n >= size:
            value = n / (1_000_000 if letter == "M" else 1000)
            return f"{value:.1f}{letter}" if value < 10 else f"{value:.0f}{letter}"
    return f"{n:,}"


def columns(labels: Sequence[str], counts: Sequence[int], words: str, x: str = "") -> str:
    """A column each count with the number above it; no counts give empty axes.

    Args:
        labels: a name for each column, or one more than there are columns: then they are the edges between
            them.
        words: what is drawn, for readers who do not see it.
        x: what the labels are, below them.
    """
    n = max(len(counts), 1)
    room, tall, base = (WIDTH - _LEFT - _RIGHT) / n, HEIGHT - _TOP - _BOTTOM, HEIGHT - _BOTTOM
    most, total = max([*counts, 1]), sum(counts)
    between = len(labels) == len(counts) + 1
    parts = [
        f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{base}" y2="{base}" stroke="currentColor"'
        ' stroke-opacity="0.35"/>'
    ]
    for k, count in enumerate(counts):
        left, height = _LEFT + k * room, max(tall * count / most, 1 if count else 0)
        name = f"{labels[k] or 'less'} to {labels[k + 1] or 'more'}" if between else labels[k]
        share = f", {100 * count / total:.1f} %" if total else ""
        number = (
            f'<text x="{left + room / 2:.1f}" y="{base - height - 4:.1f}" text-anchor="middle"'
            f' font-size="10">{short(count)}</text>'
            if count
            else ""
        )
        parts.append(
            f'<g><title>{html.escape(name)}: {count:,}{share}</title><rect x="{left:.1f}" y="{_TOP - 14}"'
            f' width="{room:.1f}" height="{tall + 14}" fill="transparent"/><rect x="{left + 0.1 * room:.1f}"'
            f' y="{base - height:.1f}" width="{0.8 * room:.1f}" height="{height:.1f}"'
            f' fill="{BLUE}"/>{number}</g>'
        )
    for k, label in enumerate(labels):
        at = _LEFT + (k if between else k + 0.5) * room
        parts.append(
            f'<text x="{at:.1f}" y="{base + 13}" text-anchor="middle"'
            f' font-size="10">{html.escape(label)}</text>'
        )
    if x:
        parts.append(
            f'<text x="{_LEFT}" y="{HEIGHT - 10}" font-size="11" fill-opacity="0.8">{html.escape(x)}</text>'
        )
    return _svg(WIDTH, HEIGHT, words, parts)


def heat_map(grid: np.ndarray, words: str, note: str = "") -> str:
    """Counts [rows, columns] as squares, darker for more, on a frame of 4:3; row 0 is on top."""
    rows, cols = grid.shape
    wide, high = 300, 225
    most = max(int(grid.max(initial=0)), 1)
    parts = [
        f'<rect x="0.5" y="0.5" width="{wide - 1}" height="{high - 1}" fill="none" stroke="currentColor"'
        ' stroke-opacity="0.4"/>'
    ]
    w, h = wide / cols, high / rows
    parts += [
        f'<rect x="{c * w:.1f}" y="{r * h:.1f}" width="{w:.1f}" height="{h:.1f}" fill="{BLUE}"'
        f' fill-opacity="{0.08 + 0.92 * int(grid[r, c]) / most:.2f}">'
        f"<title>{int(grid[r, c]):,}</title></rect>"
        for r, c in np.argwhere(grid > 0)
    ]
    if note:
        parts.append(
            f'<text x="0" y="{high + 16}" font-size="11" fill-opacity="0.8">{html.escape(note)}</text>'
        )
    return _svg(wide, high + (22 if note else 0), words, parts, 1.0)


def _svg(width: float, height: float, words: str, parts: Sequence[str], most: float = 1.35) -> str:
    """`most`: how many times its own width the drawing may grow to."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="100%"'
        f' style="max-width:{most * width:.0f}px;display:block" role="img" aria-label="{html.escape(words)}"'
        f' fill="currentColor" font-family="inherit">{"".join(parts)}</svg>'
    )
