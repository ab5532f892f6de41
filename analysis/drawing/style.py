"""One visual language: the colours, marks and dashes of every picture, page and export.

A prediction is a solid line, ground truth a dashed one. A verdict is a colour *and* a mark, so that it
survives colour blindness and print. The colours are Okabe and Ito's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Stroke:
    """How one kind of box is drawn.

    Args:
        word: what it is called on screen.
        colour: #RRGGBB.
        mark: one character that stands in its corner, and before its label.
        dash: lengths of line and gap in units of the line width; () is a solid line.
        width: line width in points (screen: pixels).
        alpha: opacity in 0..1.
    """

    word: str
    colour: str
    mark: str
    dash: tuple[float, ...] = ()
    width: float = 2.0
    alpha: float = 1.0

    @property
    def rgb(self) -> tuple[int, int, int]:
        return tuple(int(self.colour[i : i + 2], 16) for i in (1, 3, 5))  # type: ignore[return-value]

    @property
    def ink(self) -> str:
        """The colour of text on this colour, dark or white, whichever has more contrast (WCAG; at least
        4.5).
        """
        return (
            INK
            if _luminance(self.rgb) + 0.05 > (1.05 * (_luminance((17, 17, 17)) + 0.05)) ** 0.5
            else "#FFFFFF"
        )

    @property
    def key(self) -> str:
        """How a legend in plain text names it: its mark, or the kind of its line."""
        return f"{self.mark or ('┄' if self.dash else '—')} {self.word}"


def _luminance(rgb: tuple[int, int, int]) -> float:
    """Relative luminance of sRGB, as WCAG 2 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in rgb)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


GREEN, VERMILION, PURPLE, GREY, BLUE = "#009E73", "#D55E00", "#CC79A7", "#8A8A8A", "#0072B2"
INK = "#111111"
DASH = (4.0, 2.5)

STROKES = {
    "correct": Stroke("correct", GREEN, "✓"),
    "wrong": Stroke("wrong", VERMILION, "✗"),
    "missed": Stroke("missed", PURPLE, "○", DASH),
    "duplicate": Stroke("duplicate", GREY, "•"),
    "ignored": Stroke("ignored", GREY, "•"),
    "below": Stroke("below the threshold", GREY, "", width=1.0, alpha=0.5),
    "found": Stroke("found", GREEN, "", DASH, width=1.2),
    "truth": Stroke("ground truth", GREY, "", DASH, width=1.5),
    "truth ignored": Stroke("ignored ground truth", GREY, "•", DASH, width=1.2),
    "unjudged": Stroke("prediction", BLUE, "", width=2.0),
}
"""By verdict: of detections ("correct", "wrong", "duplicate", "ignored", "below"; "unjudged" where there is
no ground truth to judge by) and of objects ("missed", "found", "truth ignored"; "truth" where nothing was
matched)."""


def object_stroke(verdict: str) -> Stroke:
    """The stroke of a ground-truth object with this verdict ("found", "missed", "ignored", "unjudged")."""
    return STROKES[{"ignored": "truth ignored", "unjudged": "truth"}.get(verdict, verdict)]


def detection_stroke(verdict: str) -> Stroke:
    return STROKES[verdict]


CONFIDENCE_MAP = "viridis"
"""Matplotlib's name of the sequential map of confidence pictures, always over 0..1."""

EVIDENCE_MAP = "PuOr"
"""Matplotlib's name of the diverging map of signed evidence; zero is clear. Orange speaks for, purple
against.
"""


def shown_score(score: float, threshold: float, digits: int = 2) -> float:
    """A score to print with so many digits, on the side of its threshold where it is.

    0.497 is 0.49 under a threshold of 0.50 and 0.50 elsewhere; 0.5041 is 0.51 from a threshold of 0.504 on.
    Scores and thresholds are compared in float32, as they are kept.
    """
    rounded, unit = round(float(score), digits), 10.0**-digits
    passes = np.float32(score) >= np.float32(threshold)
    if passes == (np.float32(rounded) >= np.float32(threshold)):
        return rounded
    return round(rounded + unit if passes else rounded - unit, digits)


def label_text(name: str, score: float | None = None, mark: str = "") -> str:
    """ "✓ dog 0.87": mark, class and a score of two digits, where there are any."""
    return " ".join(part for part in (mark, name, "" if score is None else f"{score:.2f}") if part)
