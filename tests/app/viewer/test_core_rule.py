"""The rule of core.js, run by node, against tables made by Python: verdicts, counts and printed scores."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import numpy as np
import pytest

from analysis.drawing.style import shown_score
from analysis.matching.counts import image_counts, verdicts
from analysis.matching.match import match_run
from analysis.matching.matches import MATCHED
from analysis.runs.store import open_run
from app.viewer import HERE
from app.viewer.payload import boxes_of, exact

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")

VERDICTS = """
console.log(JSON.stringify(given.map(({ dets, truth, threshold }) => ({
  dets: dets.score.map((_, i) => detVerdict(dets, i, threshold)),
  truth: truth.cls.map((_, j) => truthVerdict(truth, j, threshold)),
  counts: countImage(dets, truth, threshold, null),
}))));
"""


def in_node(script: str, given: Any) -> Any:
    """What `script` prints as JSON after core.js, with `given` as its constant of that name."""
    program = f"{(HERE / 'core.js').read_text()}\nconst given = {json.dumps(given)};\n{script}"
    ended = subprocess.run([NODE, "-"], input=program, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def just_below(score: float) -> float:
    return float(np.nextafter(np.float32(score), np.float32(0)))


def just_above(score: float) -> float:
    return float(np.nextafter(np.float32(score), np.float32(1)))


@pytest.fixture
def run(tiny_run):
    return open_run(tiny_run)


def check_against_python(run, thresholds: list) -> set[str]:
    """Every image at every threshold (one, or one per class); the words that came up."""
    matches, given, expected = match_run(run), [], []
    for threshold in thresholds:
        said, counted = verdicts(matches, threshold), image_counts(matches, threshold)
        for i in range(len(run)):
            sent = boxes_of(run, matches, i)
            if np.ndim(threshold):
                sent["dets"]["cuts"] = sent["truth"]["cuts"] = list(threshold)
            slider = 0.99 if np.ndim(threshold) else threshold
            given.append({"dets": sent["dets"], "truth": sent["truth"], "threshold": slider})
            objects = slice(run.truth_offsets[i], run.truth_offsets[i + 1])
            expected.append(
                {
                    "dets": said.detections[run.detections.of(i)].tolist(),
                    "truth": said.objects[objects].tolist(),
                    "counts": {
                        "objects": int(counted.objects[i]),
                        "correct": int(counted.tp[i]),
                        "wrong": int(counted.fp[i]),
                        "missed": int(counted.fn[i]),
                        "ignored": int(counted.ignored[i]),
                        "detections": int(counted.detections[i]),
                    },
                }
            )
    assert in_node(VERDICTS, given) == expected
    return {word for image in expected for word in image["dets"] + image["truth"]}


def test_one_threshold(run):
    """At both ends, exactly at scores of the run (0.3, 0.55, 0.7, 0.9), and one float32 to each side."""
    edges = [t for s in (0.3, 0.55, 0.7, 0.9) for t in (just_below(s), s, just_above(s))]
    words = check_against_python(run, [0.0, *edges, 1.0])
    assert {"correct", "wrong", "duplicate", "below", "found", "missed"} <= words


def test_a_threshold_per_class(run):
    """The class's own threshold decides, not the slider's."""
    classes = match_run(run).num_classes
    assert classes >= 2
    rising = [round(0.3 + 0.6 * k / (classes - 1), 2) for k in range(classes)]
    words = check_against_python(run, [rising, rising[::-1]])
    assert {"below", "correct"} <= words


def test_the_numbers_of_the_verdicts_are_pythons():
    assert in_node("console.log(JSON.stringify(KIND_VERDICT));", 0) == [v.word for v in MATCHED]


def test_ignored_and_unjudged():
    """By hand: an ignored object stays so whatever found it; without a judgement nothing is missed; at
    threshold 0 an object without a detection (score -1) is still missed.
    """
    rows = {"cls": [0, 0, 0], "score": [0.8, 0.8, -1], "ignored": [True, False, False]}
    dets = {"cls": [0, 0, 0], "score": [0.8, 0.5, 0.5], "kind": [3, 4, 0]}
    given = [
        {"dets": dets, "truth": rows, "threshold": 0},
        {"dets": dets, "truth": rows | {"judged": False}, "threshold": 0.6},
    ]
    at_zero, unjudged = in_node(VERDICTS, given)
    assert at_zero["dets"] == ["ignored", "unjudged", "wrong"]
    assert at_zero["truth"] == ["ignored", "found", "missed"]
    assert at_zero["counts"] == {
        "objects": 2,
        "correct": 0,
        "wrong": 1,
        "missed": 1,
        "ignored": 1,
        "detections": 3,
    }
    assert unjudged["dets"] == ["ignored", "below", "below"]
    assert unjudged["truth"] == ["unjudged"] * 3
    assert (unjudged["counts"]["objects"], unjudged["counts"]["missed"]) == (0, 0)


def test_printed_scores_stand_on_the_side_where_the_score_is():
    """Every half hundredth (ties of float32 among them: 0.125, 0.375, 0.625, 0.875) and its neighbours."""
    halves = np.arange(201, dtype=np.float32) / np.float32(200)
    scores = np.concatenate(
        [halves, np.nextafter(halves, np.float32(0)), np.nextafter(halves, np.float32(1))]
    )
    thresholds = (0.0, 0.3, 0.5, 0.555, 0.625, 0.7, 1.0)
    given = [(sent, t) for sent in exact(scores) for t in thresholds]
    script = "console.log(JSON.stringify(given.map(([s, t]) => shownScore(s, t))));"
    expected = [f"{shown_score(float(score), t):.2f}" for score in scores for t in thresholds]
    assert in_node(script, given) == expected


def test_halves_go_to_the_even_digit():
    script = "console.log(JSON.stringify(given.map((s) => shownScore(s, 0))));"
    assert in_node(script, [0.125, 0.375, 0.625, 0.875]) == ["0.12", "0.38", "0.62", "0.88"]
