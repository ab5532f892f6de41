"""Text in figures as it is written: no mathematics between dollar signs, and a font that has its letters."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

FALLBACKS = (
    "DejaVu Sans",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans SC",
    "Source Han Sans SC",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "Droid Sans Fallback",
    "Microsoft YaHei",
    "PingFang SC",
    "Arial Unicode MS",
    "Noto Sans",
    "Noto Sans Arabic",
    "Noto Sans Hebrew",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Unifont",
)
"""Tried in this order for each letter; DejaVu Sans comes with matplotlib and has no Han, kana or Hangul."""


@cache
def families() -> tuple[str, ...]:
    """The fonts of `FALLBACKS` that this machine has, at least DejaVu Sans."""
    from matplotlib.font_manager import fontManager  # noqa: PLC0415  matplotlib costs half a second

    known = {font.name for font in fontManager.ttflist}
    return tuple(name for name in FALLBACKS if name in known) or ("DejaVu Sans",)


@contextmanager
def literal_text() -> Iterator[None]:
    """Figures made and saved inside show names as they are.

    A dollar sign is a dollar sign. In SVG letters stay text, so that the browser finds a font for any script;
    elsewhere they are drawn in the first font of `families` that has them.
    """
    import matplotlib  # noqa: PLC0415  matplotlib costs half a second

    settings = {"text.parse_math": False, "font.family": list(families()), "svg.fonttype": "none"}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # In SVG the reader's own fonts draw the letters that this machine's fonts lack.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


@cache
def font_file(text: str) -> str:
    """The file of the first font of `families` that has every letter of a text; else of the one with most of
    them.
    """
    from matplotlib.font_manager import findfont, get_font  # noqa: PLC0415  matplotlib costs half a second

    files = [findfont(name, fallback_to_default=True) for name in families()]
    wanted = {ord(letter) for letter in text}
    return max(files, key=lambda file: (len(wanted & set(get_font(file).get_charmap())), -files.index(file)))
