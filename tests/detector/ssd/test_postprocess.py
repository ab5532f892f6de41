from __future__ import annotations

import numpy as np
import pytest

from detector.nms import PostprocessSettings, replay
from detector.ssd.anchors import anchors
from detector.ssd.config import PRESETS, mobilenet_v2_fpnlite
from detector.ssd.postprocess import candidates, postprocess, sigmoid, to_detections
from tests.detector.ssd.seeded import golden, predictions

CASES = [(name, kind) for name in PRESETS for kind in ("dense", "sparse")]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_exactly_the_reference_s_detections(name, kind):
    config = PRESETS[name]()
    boxes = anchors(config).boxes
    codes, logits = predictions(len(boxes), kind)
    trace = postprocess(codes, logits, boxes, config.postprocess)
    rows, want = trace.kept(), golden(config.architecture)
    assert (
        np.column_stack([trace.anchor_ids[rows], trace.class_ids[rows]]).tolist()
        == want[f"{kind}/detections"].tolist()
    )
    assert np.abs(trace.scores[rows] - want[f"{kind}/scores"]).max() < 1e-6
    assert np.abs(np.clip(trace.boxes[rows], 0, 1) - want[f"{kind}/boxes"]).max() < 1e-6


def test_the_full_trace_keeps_the_same_and_explains_the_rest():
    config = mobilenet_v2_fpnlite(height=64, width=96)
    boxes = anchors(config).boxes
    codes, logits = predictions(len(boxes), "dense")
    some = PostprocessSettings(0.05, 0.5, 20, 60)
    short, full = (postprocess(codes, logits, boxes, some, every=every) for every in (False, True))
    assert np.array_equal(short.anchor_ids, full.anchor_ids[full.kept()])
    assert len(full) == (sigmoid(logits[:, 1:]) > np.float32(0.05)).sum()
    hit = np.flatnonzero(full.suppressed_by >= 0)
    assert len(hit) and (full.class_ids[hit] == full.class_ids[full.suppressed_by[hit]]).all()
    assert (full.scores[hit] <= full.scores[full.suppressed_by[hit]]).all()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"score_threshold": 0.3},
        {"iou_threshold": 0.3},
        {"max_detections_per_class": 1, "max_total_detections": 20},
    ],
)
def test_stored_candidates_replay_to_the_network_s_own_detections(changes):
    config = mobilenet_v2_fpnlite(height=64, width=96)
    made = anchors(config)
    codes, logits = predictions(len(made), "dense")
    settings = PostprocessSettings(**changes)
    direct = to_detections(postprocess(codes, logits, made.boxes, settings), (640, 333))
    again = replay(candidates(codes, logits, made.boxes, made.levels, (640, 333)), settings)
    assert np.array_equal(direct.anchor_ids, again.anchor_ids)
    assert direct.equals(again, atol=1e-3)


def test_an_output_without_a_name_takes_its_place_and_is_left_out():
    """Output 1 has no class: its box fills the cap of one and nothing is shown."""
    boxes = np.float32([[0.1, 0.1, 0.5, 0.3], [0.4, 0.2, 0.9, 0.8]])
    logits = np.float32([[0, -9, 3], [0, 2, -9]])
    codes = np.zeros((2, 4), np.float32)
    trace = postprocess(codes, logits, boxes, PostprocessSettings(0.5, 0.6, 1, 1))
    assert len(to_detections(trace, (200, 100), np.array([0, -1]))) == 0
    both = postprocess(codes, logits, boxes, PostprocessSettings(0.5, 0.6, 1, 2))
    found = to_detections(both, (200, 100), np.array([0, -1]))
    assert found.xyxy[0] == pytest.approx([40, 40, 160, 90], abs=1e-3)
    assert found.class_ids.tolist() == [0] and found.anchor_ids.tolist() == [1]


def test_candidates_are_pixels_unclipped_with_their_logits():
    boxes = np.float32([[0.5, -0.5, 1.5, 0.5]])
    one = candidates(
        np.zeros((1, 4), np.float32),
        np.float32([[5, -1, 2, 0]]),
        boxes,
        np.int32([3]),
        (200, 100),
        outputs=[2, 0],
    )
    assert one.xyxy.tolist() == one.anchors.tolist() == [[-100, 50, 100, 150]]
    assert one.logits.tolist() == [[0, -1]] and one.scores[0] == pytest.approx([0.5, 1 / (1 + np.e)])
    assert one.levels.tolist() == [3]
