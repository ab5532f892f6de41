"""Generated files of every family: recognition, boxes by hand, the contract."""

from __future__ import annotations

import json

import numpy as np
import pytest

from detector import load_detector
from detector.errors import CapabilityError, InputError, ModelError
from detector.testing import DetectorContract
from tests.detector.models.decoders.tiny import CELLS, SIDE, write_onnx, write_tflite, yolo_table

NAMES = {
    "metadata.json": json.dumps({"names": {"0": "a", "1": "b", "2": "c"}, "task": "detect", "stride": 32})
}
LITERAL = {"temp_meta.txt": "{'names': {0: 'a', 1: 'b', 2: 'c'}, 'task': 'detect', 'stride': 32}"}
IMAGE = np.zeros((48, 64, 3), np.uint8)  # letterboxed into 32 x 32: half its size, 4 rows of grey above
EXPECTED = [
    [8, 24, 40, 40],
    [0, 0, 64, 48],
]  # rows 5 and 20; (12 -+ 8, 20 -+ 4 - 4) * 2, and the whole, clipped


def found_in(detector) -> tuple[list, list, list]:
    (d,) = detector.detect([IMAGE])
    names = [detector.info.class_map.names[c] for c in d.class_ids]
    return names, np.float64(d.scores).round(3).tolist(), np.float64(d.xyxy).round(2).tolist()


def with_objectness(scale: float = 1.0) -> np.ndarray:
    """[21, 8] with objectness .5 in row 5, 1 elsewhere."""
    table = np.insert(yolo_table(scale).T, 4, 1.0, axis=1)
    table[5, 4] = 0.5
    return table


@pytest.mark.parametrize("members", [NAMES, LITERAL], ids=["json", "literal"])
@pytest.mark.parametrize("scale", [1.0, 1 / SIDE], ids=["pixels", "shares"])
def test_yolo_without_objectness(tmp_path, members, scale):
    detector = load_detector(write_tflite(tmp_path / "y.tflite", [yolo_table(scale)], members=members))
    assert detector.info.settings["family"] == "YOLO v8/11, raw" and detector.info.kind == "tflite"
    names, scores, boxes = found_in(detector)
    assert (names, scores, boxes) == (["b", "c"], [0.9, 0.5], EXPECTED)


def test_its_transpose_is_the_same(tmp_path):
    detector = load_detector(write_tflite(tmp_path / "y.tflite", [yolo_table().T], members=NAMES))
    assert found_in(detector) == (["b", "c"], [0.9, 0.5], EXPECTED)


def test_candidates_name_level_and_cell(tmp_path):
    detector = load_detector(write_tflite(tmp_path / "y.tflite", [yolo_table()], members=NAMES))
    (c,) = detector.candidates([IMAGE])
    assert len(c) == CELLS and c.levels.tolist() == [0] * 16 + [1] * 4 + [2]
    assert c.cells[5].tolist() == [
        16,
        8,
        32,
        24,
    ]  # second cell of the second row: 8..16, less the bar, doubled
    assert c.cells[20].tolist() == [0, 0, 64, 48] and c.anchors is None
    (d,) = detector.detect([IMAGE])
    assert d.anchor_ids.tolist() == [5, 20]


def test_yolo_with_objectness_multiplies_it_in(tmp_path):
    table = np.tile(np.array([4, 4, 2, 2, 0, 0, 0, 0], np.float32), (3 * CELLS, 1))
    table[1] = [12, 20, 16, 8, 0.5, 0, 0.8, 0]
    labels = tmp_path / "labels.txt"
    labels.write_text("a\nb\nc\n")
    detector = load_detector(write_tflite(tmp_path / "v5.tflite", [table]), labels=labels)
    assert detector.info.settings["family"] == "YOLOv5/v7, raw with objectness"
    assert found_in(detector) == (["b"], [0.4], EXPECTED[:1])
    assert detector.candidates([IMAGE])[0].levels.tolist() == [0] * 48 + [1] * 12 + [2] * 3


def test_yolox_heads_are_decoded_on_their_grid(tmp_path):
    """Row 5 is cell (1, 1) of stride 8: (12, 20) is (.5, 1.5) cells from its corner; the sizes are
    logarithms.
    """
    table = np.zeros((CELLS, 8), np.float32)
    table[:, 2:4] = -3.0
    table[5] = [0.5, 1.5, np.log(2), 0.0, 0.5, 0, 0.8, 0]
    detector = load_detector(write_tflite(tmp_path / "x.tflite", [table]), labels=["a", "b", "c"])
    assert detector.info.settings["family"] == "YOLOX, raw heads"
    names, scores, boxes = found_in(detector)
    assert (names, scores) == (["b"], [0.4])
    np.testing.assert_allclose(boxes, [[8, 32, 40, 48]], atol=1e-3)  # at the top left: no bar above


def test_a_table_with_two_readings_asks_which(tmp_path):
    """Eight columns, one row per cell: four box numbers and four classes, or objectness and three."""
    y, x = np.mgrid[:4, :4]
    centres = [
        np.stack([x.ravel() * 8 + 4, y.ravel() * 8 + 4], 1),
        [[8, 8], [24, 8], [8, 24], [24, 24]],
        [[16, 16]],
    ]
    table = np.concatenate(
        [np.concatenate(centres), np.full((CELLS, 2), 6), np.full((CELLS, 4), 0.3)], axis=1
    )
    path = write_tflite(tmp_path / "two.tflite", [table.astype(np.float32)])
    with pytest.raises(ModelError, match="family='yolox'"):
        load_detector(path)
    assert len(load_detector(path, family="yolo").info.class_map) == 4
    assert len(load_detector(path, family="yolox").info.class_map) == 3
    with pytest.raises(InputError, match="family"):
        load_detector(path, family="nonsense")


def test_a_file_that_suppresses_inside_shows_no_candidates(tmp_path):
    table = np.zeros((9, 6), np.float32)
    table[0] = [4, 16, 20, 24, 0.9, 1]
    detector = load_detector(write_tflite(tmp_path / "e.tflite", [table], members=NAMES))
    assert found_in(detector) == (["b"], [0.9], [[8, 24, 40, 40]])
    assert "candidates" not in detector.info.capabilities
    with pytest.raises(CapabilityError, match="suppresses"):
        detector.candidates([IMAGE])


@pytest.mark.parametrize(
    "task, word", [("segment", "segmentation"), ("pose", "pose"), ("classify", "classifier")]
)
def test_other_tasks_are_refused_by_name(tmp_path, task, word):
    members = {"metadata.json": json.dumps({"names": {"0": "a"}, "task": task})}
    with pytest.raises(ModelError, match=word):
        load_detector(write_tflite(tmp_path / "s.tflite", [yolo_table()], members=members))


def test_an_unknown_head_is_listed_without_numpy_words(tmp_path):
    with pytest.raises(ModelError, match=r"Identity_0 \[1, 5, 9\]"):
        load_detector(write_tflite(tmp_path / "u.tflite", [np.ones((5, 9), np.float32)]))


def test_onnx_yolo_by_its_own_metadata(tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    said = {"names": "{0: 'a', 1: 'b', 2: 'c'}", "task": "detect", "imgsz": "[32, 32]"}
    detector = load_detector(write_onnx(tmp_path / "y.onnx", {"output0": yolo_table()}, said))
    assert detector.info.kind == "onnx"
    assert found_in(detector) == (["b", "c"], [0.9, 0.5], EXPECTED)


def test_onnx_detr_suppresses_nothing(tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    boxes = np.float32([[0.375, 0.625, 0.5, 0.25], [0.375, 0.625, 0.5, 0.25], [0.1, 0.1, 0.1, 0.1]])
    logits = np.float32([[-9, 2, -9], [-9, 1, -9], [-9, -9, -9]])
    path = write_onnx(tmp_path / "d.onnx", {"dets": boxes, "labels": logits})
    detector = load_detector(path, labels=["a", "b", "c"])
    names, scores, xyxy = found_in(detector)
    assert names == ["b", "b"] and scores == [0.881, 0.731]  # sigmoid of 2 and 1
    assert xyxy[0] == xyxy[1] == [8, 24, 40, 36]  # .375 -+ .25 of 64, .625 -+ .125 of 48
    (c,) = detector.candidates([IMAGE])
    np.testing.assert_allclose(c.logits, logits)
    assert detector.info.settings["candidates"] == "query"


class TestYOLOKeepsTheContract(DetectorContract):
    @pytest.fixture
    def detector(self, tmp_path):
        return load_detector(
            write_tflite(tmp_path / "y.tflite", [yolo_table()], gain=0.01, members=NAMES), num_threads=1
        )
