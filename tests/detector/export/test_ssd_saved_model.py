"""Exported detectors say what the detector says."""

import numpy as np
import pytest

from detector.core import ClassMap
from detector.errors import RunError
from detector.export.ssd_saved_model import export_saved_model, probe_picture
from detector.ssd.config import mobilenet_v2
from detector.ssd.postprocess import PostprocessSettings

CLASSES = ClassMap(("cat", "big dog", "car"), (1, 2, 3))


@pytest.fixture(scope="module")
def detector():
    import keras

    from detector.models.keras_ssd import KerasSSD
    from detector.ssd.model import build_ssd
    from detector.ssd.weights import network_arrays

    keras.utils.set_random_seed(11)
    settings = PostprocessSettings(score_threshold=0.02, max_detections_per_class=20, max_total_detections=30)
    config = mobilenet_v2(num_classes=3, height=96, width=128, alpha=0.35, postprocess=settings)
    arrays, rng = network_arrays(build_ssd(config)), np.random.default_rng(2)
    for key, value in arrays.items():  # scores that differ, boxes that overlap and leave the picture
        leaf = key.split("/")[-3]
        if "kernel" in leaf:
            fan_in = np.prod(value.shape[:2]) if leaf == "depthwise_kernel" else np.prod(value.shape[:3])
            arrays[key] = (rng.standard_normal(value.shape) * np.sqrt(2 / fan_in)).astype(np.float32)
        elif leaf == "bias" and "class_" in key:
            arrays[key] = np.full_like(value, -2.5)
    return KerasSSD(config, arrays, CLASSES, runtime="keras")


@pytest.fixture(scope="module")
def saved(detector, tmp_path_factory):
    return export_saved_model(detector, tmp_path_factory.mktemp("export") / "model")


def test_signature_and_outputs(saved):
    import tensorflow as tf

    serve = tf.saved_model.load(str(saved / "saved_model")).signatures["serving_default"]
    _, inputs = serve.structured_input_signature
    assert inputs["input_tensor"].dtype == tf.uint8 and inputs["input_tensor"].shape.as_list() == [
        None,
        None,
        None,
        3,
    ]
    got = serve(input_tensor=tf.zeros([3, 50, 70, 3], tf.uint8))
    anchors = len(got["raw_detection_boxes"][0])
    assert {name: value.shape.as_list() for name, value in got.items()} == {
        "detection_boxes": [3, 30, 4],
        "detection_scores": [3, 30],
        "detection_classes": [3, 30],
        "num_detections": [3],
        "detection_multiclass_scores": [3, 30, 4],
        "detection_anchor_indices": [3, 30],
        "raw_detection_boxes": [3, anchors, 4],
        "raw_detection_scores": [3, anchors, 4],
    }
    assert {value.dtype for value in got.values()} == {tf.float32}


def test_a_batch_of_pictures_gives_the_detector_s_own_detections(detector, saved):
    import tensorflow as tf

    serve = tf.saved_model.load(str(saved / "saved_model")).signatures["serving_default"]
    pictures = [probe_picture(detector), probe_picture(detector)[::-1].copy()]
    got = {name: value.numpy() for name, value in serve(input_tensor=tf.constant(np.stack(pictures))).items()}
    height, width = pictures[0].shape[:2]
    for i, want in enumerate(detector.detect(pictures)):
        count = int(got["num_detections"][i])
        assert count == len(want) > 10
        np.testing.assert_allclose(got["detection_scores"][i, :count], want.scores, atol=1e-5)
        assert not got["detection_scores"][i, count:].any()
        assert (got["detection_classes"][i, count:] == 1).all()
        assert got["detection_classes"][i, :count].astype(int).tolist() == (want.class_ids + 1).tolist()
        assert got["detection_anchor_indices"][i, :count].astype(int).tolist() == want.anchor_ids.tolist()
        boxes = got["detection_boxes"][i, :count][:, [1, 0, 3, 2]] * [width, height, width, height]
        np.testing.assert_allclose(boxes, want.xyxy, atol=0.01)


def test_it_loads_as_any_saved_model_with_its_label_map(detector, saved):
    from detector.catalogue import load_detector

    again = load_detector(saved, white_box=False)
    assert again.info.class_map.names == CLASSES.names
    picture = probe_picture(detector)
    ours, theirs = detector.detect([picture])[0], again.detect([picture])[0]
    assert np.array_equal(ours.class_ids, theirs.class_ids)
    np.testing.assert_allclose(ours.xyxy, theirs.xyxy, atol=0.01)


def test_nothing_is_overwritten(detector, saved):
    with pytest.raises(RunError, match="there is one already"):
        export_saved_model(detector, saved)
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]  # no half-written folder beside it
