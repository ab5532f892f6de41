"""The verdicts' marks as tiny pictures, for tables."""

from __future__ import annotations

from functools import cache
from urllib.parse import quote

from analysis.drawing.style import STROKES

_PATHS = {
    "correct": '<path d="M2.6 6.4 5 8.8 9.6 3.4"/>',
    "wrong": '<path d="M3.2 3.2 8.8 8.8M8.8 3.2 3.2 8.8"/>',
    "missed": '<circle cx="6" cy="6" r="3.4"/>',
    "duplicate": '<circle cx="6" cy="6" r="1.4"/>',
    "ignored": '<circle cx="6" cy="6" r="1.4"/>',
    "unjudged": '<rect x="3.2" y="3.2" width="5.6" height="5.6"/>',
}


@cache
def mark_uri(verdict: str) -> str:
    """A data URI of the mark in its colour; "unjudged" is a plain prediction."""
    colour = STROKES[verdict].colour
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 12 12" width="16" height="16" fill="none"'
        f' stroke="{colour}" stroke-width="2" stroke-linecap="round"'
        f' stroke-linejoin="round">{_PATHS[verdict]}</svg>'
    )
    return "data:image/svg+xml," + quote(svg)
