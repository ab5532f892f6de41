"""What a notebook shows of a run, its matches and its misses."""

from __future__ import annotations

import re

import numpy as np
import pytest

from analysis import autopsy
from analysis.matching.match import match_run
from analysis.runs.in_memory import run_from_detections
from detector.core import ClassMap, Detections, DetectorInfo
from detector.data.dataset import Dataset, ObjectTable

CLASSES = ClassMap(("cat", "dog"))


@pytest.fixture
def run():
    """Two images: a cat found at .9 and seen again at .4, a dog seen at .3, and a box on nothing."""
    dataset = Dataset(
        name="a<b>",
        format="memory",
        source="",
        class_map=CLASSES,
        sample_ids=["s0", "s1"],
        files=["", ""],
        sizes=np.array([[40, 30], [40, 30]]),
        objects=ObjectTable.build([0, 1], [[2, 2, 12, 12], [5, 5, 25, 15]], [0, 1]),
        loader=lambda i: np.zeros((30, 40, 3), np.uint8),
    )
    first = Detections([[2, 2, 12, 12], [2, 2, 12, 12]], [0.9, 0.4], [0, 0], (40, 30))
    second = Detections([[5, 5, 25, 15], [30, 20, 40, 30]], [0.3, 0.2], [1, 1], (40, 30))
    info = DetectorInfo("<i>net</i>", "stub", CLASSES, "0123456789abcdef", simulated=True)
    return run_from_detections(dataset, [first, second], info, floor=0.1)


def rows(html: str) -> dict[str, str]:
    found = re.findall(r"<tr><td[^>]*>([^<]*)</td><td[^>]*>([^<]*)</td></tr>", html)
    return dict(found)


def test_run(run):
    html = run._repr_html_()
    shown = rows(html)
    assert shown["images done"] == "2 of 2" and shown["detections"] == "4" and shown["objects"] == "2"
    assert shown["detector"] == "&lt;i&gt;net&lt;/i&gt; (simulated)" and shown["data set"] == "a&lt;b&gt;"
    assert shown["score floor"] == "0.1"


def test_matches(run):
    html = match_run(run)._repr_html_()
    assert "2 of 2 images judged" in html and "IoU from 0.5" in html
    assert rows(html) == {
        "detections wrong": "1",
        "detections correct": "2",
        "detections duplicate": "1",
        "objects found": "2",
        "objects missed": "0",
        "objects not counted": "0",
    }


def test_autopsy(run):
    html = autopsy(run, 0.5)._repr_html_()
    assert ": 1 missed at threshold 0.5" in html
    assert rows(html) == {"below threshold": "1"}
    assert "thresholds 0.25 to 0.95 by class" in autopsy(run, [0.95, 0.25])._repr_html_()
    assert rows(autopsy(run, 0.1)._repr_html_()) == {}
