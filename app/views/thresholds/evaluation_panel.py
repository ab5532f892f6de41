"""The evaluation figures as tables: COCO's twelve under named choices, VOC's, and the panel beside
pycocotools. No Streamlit.
"""

from __future__ import annotations

from typing import Any

from analysis.metrics.evaluation import Evaluation
from analysis.metrics.pycocotools_check import Parity

MEANING = {
    "AP": "mean over IoU 0.50:0.95",
    "AP50": "at IoU 0.50",
    "AP75": "at IoU 0.75",
    "APs": "small objects, area under 32²",
    "APm": "medium, 32² to 96²",
    "APl": "large, over 96²",
    "AR1": "recall with 1 detection",
    "AR10": "with 10",
    "AR100": "with 100",
    "ARs": "recall, small",
    "ARm": "recall, medium",
    "ARl": "recall, large",
}
CHOICES: dict[str, tuple[str, dict[str, str]]] = {
    "crowd": (
        "Crowd regions",
        {"ignore": "ignored (COCO)", "count": "objects like others", "leave out": "not there"},
    ),
    "difficult": ("Difficult objects", {"count": "counted (COCO)", "ignore": "ignored (VOC)"}),
    "interpolation": (
        "Recall points",
        {"101": "101 (COCO)", "11": "11 (VOC 2007)", "all": "every one (VOC 2010)"},
    ),
    "classes_without_truth": (
        "Classes without objects",
        {"leave out": "left out (COCO)", "zero": "0 if detected"},
    ),
    "area": ("Area of an object", {"file": "as the file states (COCO)", "box": "of its box"}),
    "most": (
        "Detections per image and class",
        {"100": "100 (COCO)", "300": "300", "1000": "1,000", "10": "10"},
    ),
}
"""By `evaluate`'s argument: the label and, by value, how it is called; the first value of each is COCO's."""


def arguments(chosen: dict[str, str]) -> dict[str, Any]:
    """`evaluate`'s keyword arguments for choices of `CHOICES`; its largest cap is the last of three."""
    most = int(chosen.get("most", 100))
    return {name: value for name, value in chosen.items() if name != "most"} | {
        "max_detections": tuple(sorted({1, 10, most} | ({5} if most <= 10 else set())))[:3]
    }


def figure_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """One row a figure; what has no value is None."""
    names = dict(zip(("AR1", "AR10", "AR100"), evaluation.settings["max_detections"]))
    return [
        {
            "figure": f"AR{names[name]}" if name in names else name,
            "value": value,
            "what": f"with {names[name]}" if name in ("AR10", "AR100") else MEANING[name],
        }
        for name, value in evaluation.figures.items()
    ]


def class_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """One row a class that has objects or detections, the lowest AP first."""
    rows = [
        {"class": name, **values}
        for name, values in evaluation.per_class.items()
        if values["objects"] or values["detections"]
    ]
    return sorted(rows, key=lambda r: (r["AP"] is None, r["AP"] or 0.0))


def parity_rows(parity: Parity) -> list[dict[str, Any]]:
    """Both columns of each figure and whether they agree to the last bit."""
    return [
        {
            "figure": r.name,
            "Boxscope": r.ours,
            "pycocotools": r.pycocotools,
            "difference": "none" if r.difference == 0 else f"{r.difference:+.2e}",
        }
        for r in parity.rows
    ]


def convention_rows(parity: Parity) -> list[dict[str, Any]]:
    return [
        {"convention": c.name, "figure": c.figure, "value": c.value, "why": c.why} for c in parity.conventions
    ]
