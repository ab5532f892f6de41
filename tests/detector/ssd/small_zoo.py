"""A small zoo folder with seeded weights, and a SavedModel as the Object Detection API's exporter writes
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from detector.crc32c import masked_crc32c
from detector.ssd.anchors import anchors
from detector.ssd.coder import BoxCoder
from detector.ssd.config import SSDConfig
from detector.ssd.pipeline.config import parse_pipeline_config
from detector.ssd.preprocess import CHANNEL_MEANS, subtracts_means
from detector.ssd.zoo.restore import ZooRecord, zoo_records
from tests.detector.ssd.bundle import write_bundle
from tests.detector.ssd.networks import seeded_network
from tests.detector.ssd.pipeline.test_config import FPNLITE

# An FPNLite of 128x96 pixels, a quarter as wide, with three classes.
PIPELINE = (
    FPNLITE.replace("height: 320 width: 640", "height: 96 width: 128")
    .replace("use_depthwise: true\n      fpn", "use_depthwise: true depth_multiplier: 0.25\n      fpn")
    .replace("depth: 128\n        class", "depth: 32\n        class")
    .replace('"a \\"b\\".pbtxt"', '"somewhere/else/label_map.pbtxt"')
)
LABELS = "item { id: 1 name: 'cat' }\nitem { id: 2 name: 'dog' }\nitem { id: 3 name: 'owl' }\n"


def small_config() -> SSDConfig:
    return parse_pipeline_config(PIPELINE).ssd


def small_arrays(config: SSDConfig | None = None) -> dict[str, np.ndarray]:
    from detector.ssd.weights import network_arrays

    return network_arrays(seeded_network(config or small_config()))


def write_zoo_folder(
    folder: Path, arrays: Mapping[str, np.ndarray], *, labels: str | None = LABELS, snappy: bool = True
) -> Path:
    """`pipeline.config`, `checkpoint/ckpt-0.*` (with the extras a training leaves), and a label map."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pipeline.config").write_text(PIPELINE)
    if labels:
        (folder / "label_map.pbtxt").write_text(labels)
    extras = {
        "_CHECKPOINTABLE_OBJECT_GRAPH": b"graph",
        "save_counter/.ATTRIBUTES/VARIABLE_VALUE": np.int64(1),
        "optimizer/momentum/.ATTRIBUTES/VARIABLE_VALUE": np.float32(0.9),
        next(iter(arrays)).replace(
            "/.ATTRIBUTES/", "/.OPTIMIZER_SLOT/optimizer/momentum/.ATTRIBUTES/"
        ): np.float32([1]),
    }
    write_bundle(folder / "checkpoint" / "ckpt-0", {**arrays, **extras}, snappy=snappy)
    return folder


def published(arrays: Mapping[str, np.ndarray]) -> ZooRecord:
    """A record as if these weights had been the published FPNLite."""
    real = zoo_records()["ssd_mobilenet_v2_fpnlite_320x320_coco17_tpu-8"]
    crcs = {key: masked_crc32c(arrays[key].tobytes()) for key in real.masked_crcs}
    return ZooRecord(real.name, 1, 1, crcs, real.saved_model_keys)


def export_saved_model(folder: Path, network, config: SSDConfig, *, name: str | None = None) -> Path:
    """The network behind the exporter's interface: uint8 [1, H, W, 3] to its eight outputs, one NMS a class
    in the graph.

    Variables lie in numbered lists, as in the published archives.
    """
    import tensorflow as tf

    from detector.ssd.layers import checkpoint_variables

    record = next(r for r in zoo_records().values() if r.config().architecture == config.architecture)
    variables = {key: v.value for key, v in checkpoint_variables(network).items()}
    lists: dict[tuple[str, str], dict[int, tf.Variable]] = {}
    for own, key in record.saved_model_keys.items():
        _, owner, kind, number = own.split("/")[:4]
        lists.setdefault((owner, kind), {})[int(number)] = variables[key]
    root = tf.Module()
    root._model = tf.__internal__.tracking.AutoTrackable()
    for owner in ("_box_predictor", "_feature_extractor"):
        part = tf.__internal__.tracking.AutoTrackable()
        for kind in ("trainable_variables", "variables"):
            numbered = lists.get((owner, kind), {})
            if numbered:
                # Positions the record does not name hold variables that are in the first list already.
                spare = next(iter(lists.get((owner, "trainable_variables"), numbered).values()))
                setattr(part, kind, [numbered.get(i, spare) for i in range(max(numbered) + 1)])
        setattr(root._model, owner, part)
    root.serve = tf.function(
        lambda input_tensor: _reference_graph(tf, network, config, input_tensor),
        input_signature=[tf.TensorSpec([1, None, None, 3], tf.uint8, name="input_tensor")],
    )
    tf.saved_model.save(root, str(folder), signatures={"serving_default": root.serve.get_concrete_function()})
    return folder


def _reference_graph(tf, network, config: SSDConfig, pixels):
    made, settings = anchors(config), config.postprocess
    x = tf.cast(pixels, tf.float32)
    x = x - tf.constant(CHANNEL_MEANS) if subtracts_means(config) else x * (2 / 255) - 1
    x = tf.compat.v1.image.resize_bilinear(x, [config.height, config.width])
    out = network(x, training=False)
    boxes = BoxCoder(config.box_scales).decode(out["box_encodings"][0], tf.constant(made.boxes))
    scores = tf.sigmoid(out["class_logits"][0])
    rows, classes, values = [], [], []
    for c in range(config.num_classes):
        row, value = tf.image.non_max_suppression_with_scores(
            boxes,
            scores[:, c + 1],
            settings.max_detections_per_class,
            settings.iou_threshold,
            settings.score_threshold,
        )
        rows.append(row)
        classes.append(tf.fill(tf.shape(row), float(c + 1)))
        values.append(value)
    row, klass, value = (tf.concat(part, 0) for part in (rows, classes, values))
    clipped = tf.clip_by_value(tf.gather(boxes, row), 0.0, 1.0)
    size = clipped[:, 2:] - clipped[:, :2]
    seen = size[:, 0] * size[:, 1] > 0
    row, klass, value, clipped = (tf.boolean_mask(part, seen) for part in (row, klass, value, clipped))
    most = settings.max_total_detections
    value, order = tf.math.top_k(value, tf.minimum(most, tf.shape(value)[0]))
    count = tf.shape(value)[0]

    def padded(part):
        return tf.pad(part, [[0, most - count]] + [[0, 0]] * (part.shape.rank - 1))[None]

    row = tf.gather(row, order)
    return {
        "detection_boxes": padded(tf.gather(clipped, order)),
        "detection_scores": padded(value),
        "detection_classes": tf.maximum(padded(tf.gather(klass, order)), 1.0),
        "num_detections": tf.cast(count, tf.float32)[None],
        "detection_anchor_indices": padded(tf.cast(row, tf.float32)),
        "detection_multiclass_scores": padded(tf.gather(scores, row)),
        "raw_detection_boxes": boxes[None],
        "raw_detection_scores": scores[None],
    }
