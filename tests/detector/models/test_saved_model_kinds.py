"""SavedModels that are not TF2 Object Detection API exports with raw outputs: a YOLO's, and TF1's."""

from __future__ import annotations

import numpy as np
import pytest

from detector import load_detector
from detector.errors import InputError, ModelError
from detector.models import file_detectors
from detector.models.file_detectors import open_saved_model
from detector.testing import DetectorContract
from tests.detector.models.decoders.tiny import CELLS, SIDE, yolo_table
from tests.detector.models.stand_in_saved_model import opened

METADATA = "names:\n  0: a\n  1: b\n  2: c\ntask: detect\nstride: 32\nimgsz:\n- 32\n- 32\n"
IMAGE = np.zeros((48, 64, 3), np.uint8)  # letterboxed into 32 x 32: half its size, 4 rows of grey above
EXPECTED = [[8, 24, 40, 40], [0, 0, 64, 48]]


def yolo(folder, *, sides=(1, SIDE, SIDE, 3), dtype="float32", scale=1 / SIDE, place="assets"):
    """What Ultralytics writes for format=saved_model, with three classes and an input of 32 pixels."""
    model = opened(
        folder,
        {"images": (dtype, sides)},
        {"output_0": (1, 7, CELLS)},
        lambda batch: {"output_0": np.repeat(yolo_table(scale)[None], len(batch), axis=0)},
    )
    (folder / place).mkdir(exist_ok=True)
    (folder / place / "metadata.yaml").write_text(METADATA)
    return model


@pytest.fixture
def open_it(monkeypatch):
    def open_it(model, **options):
        monkeypatch.setattr(file_detectors, "open_model", lambda *_: model)
        return open_saved_model(model.folder, **options)

    return open_it


@pytest.mark.parametrize("place", ["assets", "."])
@pytest.mark.parametrize("scale", [1.0, 1 / SIDE], ids=["pixels", "shares"])
def test_a_yolo_names_its_classes_and_places_its_boxes(tmp_path, open_it, scale, place):
    detector = open_it(yolo(tmp_path / "n_saved_model", scale=scale, place=place))
    assert detector.info.kind == "saved_model" and detector.info.class_map.names == ("a", "b", "c")
    assert detector.info.settings["family"] == "YOLO v8/11, raw"
    assert detector.info.input_size == (SIDE, SIDE) and detector.info.name == "n_saved_model"
    (found,) = detector.detect([IMAGE])
    assert np.float64(found.xyxy).round(2).tolist() == EXPECTED and found.class_ids.tolist() == [1, 2]
    (shown,) = detector.candidates([IMAGE])
    assert len(shown) == CELLS and found.anchor_ids.tolist() == [5, 20]


@pytest.mark.parametrize(
    ("sides", "dtype", "shape", "red"),
    [
        ((1, SIDE, SIDE, 3), "float32", (1, SIDE, SIDE, 3), 1.0),
        ((None, 3, SIDE, SIDE), "float16", (1, 3, SIDE, SIDE), 1.0),
        ((2, SIDE, SIDE, 3), "uint8", (2, SIDE, SIDE, 3), 255),
        ((1, None, None, 3), "float32", (1, SIDE, SIDE, 3), 1.0),  # the size is the metadata's imgsz
    ],
)
def test_the_image_goes_in_as_the_signature_wants_it(tmp_path, open_it, sides, dtype, shape, red):
    model = yolo(tmp_path, sides=sides, dtype=dtype)
    detector = open_it(model)
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    image[..., 0] = 255
    detector.detect([image])
    fed = model.call.fed[-1]
    assert fed.shape == shape and fed.dtype == np.dtype(dtype)
    channels = fed[0] if shape[1] == 3 else fed[0].transpose(2, 0, 1)
    assert [float(c.mean()) for c in channels] == [red, 0, 0]


@pytest.mark.parametrize("sides", [None, (1, SIDE, SIDE), (1, SIDE, SIDE, 4)])
def test_another_input_is_named(tmp_path, open_it, sides):
    with pytest.raises(ModelError, match="expected one input, .*found images float32"):
        open_it(yolo(tmp_path, sides=sides))


def test_a_free_size_without_metadata_asks_for_one(tmp_path, open_it):
    model = yolo(tmp_path, sides=(1, None, None, 3))
    (tmp_path / "assets" / "metadata.yaml").unlink()
    with pytest.raises(ModelError, match=r"input_size=\(width, height\)"):
        open_it(model)
    assert open_it(model, input_size=(SIDE, SIDE)).info.class_map.names == ("class 1", "class 2", "class 3")


class TestYoloSavedModelKeepsTheContract(DetectorContract):
    tolerance = 1e-3

    @pytest.fixture
    def detector(self, tmp_path, open_it):
        return open_it(yolo(tmp_path / "m"))


def tf1(folder):
    """As TF1's exporter wrote them: one dog at .75, no raw outputs, no shape of anything known."""
    box, empty = [[0.25, 0.5, 0.75, 1.0]], [[0.0] * 4]
    answer = {
        "detection_boxes": [box + empty],
        "detection_scores": [[0.75, 0.0]],
        "detection_classes": [[18.0, 1.0]],
        "num_detections": [1.0],
    }
    inputs = {"inputs": ("uint8", (None, None, None, 3))}
    return opened(folder, inputs, dict.fromkeys(answer), lambda batch: answer)


def test_tf1_with_coco_labels(tmp_path, open_it):
    detector = open_it(tf1(tmp_path / "saved_model"), labels="coco")
    (found,) = detector.detect([np.zeros((40, 80, 3), np.uint8)])
    assert [found.class_map.names[c] for c in found.class_ids] == ["dog"]
    assert found.xyxy.tolist() == [[40, 10, 80, 30]] and found.scores.tolist() == [0.75]
    assert "candidates" not in detector.info.capabilities


@pytest.mark.parametrize("beside", [".", "saved_model"])
def test_tf1_with_a_pipeline_config_beside(tmp_path, open_it, beside):
    model = tf1(tmp_path / "saved_model")
    config = "model {\n  # num_classes: 3\n  faster_rcnn { num_classes: 90 }\n}\n"
    (tmp_path / beside / "pipeline.config").write_text(config)
    detector = open_it(model)
    (found,) = detector.detect([np.zeros((40, 80, 3), np.uint8)])
    assert [found.class_map.names[c] for c in found.class_ids] == ["dog"]
    assert any("90, is the one that the pipeline.config" in note for note in detector.info.notes)


def test_tf1_with_a_pipeline_config_of_other_classes(tmp_path, open_it):
    model = tf1(tmp_path)
    (tmp_path / "pipeline.config").write_text("model { ssd { num_classes: 20 } }")
    assert open_it(model).info.class_map.names[17] == "class 18"


def test_tf1_without_any_says_the_three_ways(tmp_path, open_it):
    with pytest.raises(ModelError, match=r"--labels; `coco` for COCO's\), or put .* its pipeline.config"):
        open_it(tf1(tmp_path))


def test_outputs_without_shapes_are_listed_without_a_fall(tmp_path, open_it):
    model = tf1(tmp_path)
    del model.call.structured_outputs["detection_scores"]
    with pytest.raises(ModelError, match="detection_scores is missing, found detection_boxes float32 of any"):
        open_it(model)


def test_options_of_decoders_are_refused_where_none_is(tmp_path, open_it):
    with pytest.raises(InputError, match="fit is for networks that a decoder reads"):
        open_it(tf1(tmp_path), labels="coco", fit="letterbox")


@pytest.mark.slow
def test_a_saved_model_that_tensorflow_wrote(tmp_path):
    import tensorflow as tf

    class Net(tf.Module):
        def __init__(self):
            super().__init__()
            self.table = tf.Variable(yolo_table(1 / SIDE)[None])

        @tf.function(input_signature=[tf.TensorSpec([1, SIDE, SIDE, 3], tf.float32, name="images")])
        def serve(self, images):
            return {"output_0": self.table + 0 * tf.reduce_mean(images)}

    net, folder = Net(), tmp_path / "tiny_saved_model"
    tf.saved_model.save(net, str(folder), signatures={"serving_default": net.serve})
    (folder / "metadata.yaml").write_text(METADATA)
    detector = load_detector(str(folder))
    assert detector.info.class_map.names == ("a", "b", "c") and detector.info.kind == "saved_model"
    assert not any("black box" in note for note in detector.info.notes)
    (found,) = detector.detect([IMAGE])
    assert np.float64(found.xyxy).round(2).tolist() == EXPECTED
