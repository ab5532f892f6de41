"""The whole detector as one TensorFlow graph with the Object Detection API's outputs, for export.

Preprocessing and post-processing follow `detector.ssd.preprocess` and `detector.ssd.postprocess` operation by
operation; a test compares them. TensorFlow only, since only TensorFlow writes SavedModels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.ssd.anchors import anchors
from detector.ssd.coder import BoxCoder
from detector.ssd.config import SSDConfig
from detector.ssd.postprocess import PostprocessSettings
from detector.ssd.preprocess import CHANNEL_MEANS, subtracts_means


def preprocess(images: Any, config: SSDConfig) -> Any:
    """uint8 or float [B, H, W, 3] RGB 0..255, any size, to float32 [B, height, width, 3]."""
    import tensorflow as tf  # noqa: PLC0415  TensorFlow costs seconds

    x = tf.cast(images, tf.float32)
    if subtracts_means(config):
        x = x - np.float32(CHANNEL_MEANS)
    else:
        x = x * np.float32(2 / 255) - np.float32(1)
    # The legacy bilinear rule: neither aligned corners nor half-pixel centres.
    return tf.raw_ops.ResizeBilinear(
        images=x, size=[config.height, config.width], align_corners=False, half_pixel_centers=False
    )


def detect(network: Any, images: Any, config: SSDConfig) -> dict[str, Any]:
    """The Object Detection API's eight outputs, all float32, for a batch of equally large images.

    Returns:
        detection_boxes [B, N, 4] normalised yxyx, detection_scores [B, N], detection_classes [B, N] from 1,
        num_detections [B], detection_multiclass_scores [B, N, 1 + K], detection_anchor_indices [B, N],
        raw_detection_boxes [B, A, 4], raw_detection_scores [B, A, 1 + K]; N is max_total_detections, and rows
            past
        num_detections are zeros (of class 1).
    """
    import tensorflow as tf  # noqa: PLC0415  TensorFlow costs seconds

    outputs = network(preprocess(images, config), training=False)
    grid = tf.constant(anchors(config).boxes)
    boxes = BoxCoder(config.box_scales).decode(outputs["box_encodings"], grid)
    scores = tf.sigmoid(outputs["class_logits"])
    kept = tf.map_fn(
        lambda pair: _postprocess(*pair, config.postprocess),
        (boxes, scores),
        fn_output_signature={
            "detection_boxes": tf.float32,
            "detection_scores": tf.float32,
            "detection_classes": tf.float32,
            "num_detections": tf.float32,
            "detection_multiclass_scores": tf.float32,
            "detection_anchor_indices": tf.float32,
        },
    )
    return {**kept, "raw_detection_boxes": boxes, "raw_detection_scores": scores}


def _postprocess(boxes: Any, scores: Any, settings: PostprocessSettings) -> dict[str, Any]:
    """One image: boxes [A, 4] unclipped, scores [A, 1 + K]."""
    import tensorflow as tf  # noqa: PLC0415  TensorFlow costs seconds

    each, total = settings.max_detections_per_class, settings.max_total_detections

    def suppress(class_scores: Any) -> Any:
        kept, _, count = tf.raw_ops.NonMaxSuppressionV5(
            boxes=boxes,
            scores=class_scores,
            max_output_size=each,
            iou_threshold=settings.iou_threshold,
            score_threshold=settings.score_threshold,
            soft_nms_sigma=0.0,
            pad_to_max_output_size=True,
        )
        return tf.where(tf.range(each) < count, kept, -1)

    by_class = tf.transpose(scores[:, 1:])
    found = tf.map_fn(suppress, by_class, fn_output_signature=tf.TensorSpec([each], tf.int32))
    classes = tf.repeat(tf.range(tf.shape(by_class)[0]), each)
    anchor = tf.reshape(found, [-1])
    there = anchor >= 0
    classes, anchor = tf.boolean_mask(classes, there), tf.boolean_mask(anchor, there)
    clipped = tf.clip_by_value(tf.gather(boxes, anchor), 0.0, 1.0)
    # Boxes outside the image are dropped only now: they have suppressed others and used up places of their
    # class.
    inside = (clipped[:, 2] - clipped[:, 0]) * (clipped[:, 3] - clipped[:, 1]) > 0
    classes, anchor, clipped = (tf.boolean_mask(v, inside) for v in (classes, anchor, clipped))
    score = tf.gather_nd(by_class, tf.stack([classes, anchor], axis=1))
    count = tf.minimum(tf.shape(score)[0], total)
    score, order = tf.math.top_k(score, k=count)  # ties: the earlier class first
    pad = total - count

    def padded(values: Any) -> Any:
        values = tf.pad(tf.cast(values, tf.float32), [[0, pad]] + [[0, 0]] * (len(values.shape) - 1))
        return tf.ensure_shape(values, [total, *values.shape[1:]])

    anchor = tf.gather(anchor, order)
    return {
        "detection_boxes": padded(tf.gather(clipped, order)),
        "detection_scores": padded(score),
        "detection_classes": padded(tf.gather(classes, order)) + 1.0,
        "num_detections": tf.cast(count, tf.float32),
        "detection_multiclass_scores": padded(tf.gather(scores, anchor)),
        "detection_anchor_indices": padded(anchor),
    }
