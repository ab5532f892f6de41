"""Tiny SavedModels with the Object Detection API's interface: the mean colour of each cell of a 3x4 grid.

Red, green and blue are classes 1, 2, 3; a class's score in a cell is 0.02 + 0.9 * the mean of its channel in
0..1. The best ten (cell, class) pairs above 0.05 are the detections; raw_* show all twelve cells.
"""

from __future__ import annotations

from pathlib import Path

ROWS, COLUMNS = 3, 4


def export(
    folder: Path,
    *,
    dtype: str = "uint8",
    batch: int | None = 1,
    raw: str | None = "probabilities with background",
    anchors: bool = True,
    rename: dict[str, str] | None = None,
    input_shape: tuple[int | None, ...] = (None, None, 3),
    padded_scores: float = 0.7,
) -> Path:
    """Write one. `padded_scores`: what stands in rows past num_detections. `raw`: what raw_detection_scores
    hold ("probabilities with background", "logits"), or None.
    """
    import numpy as np
    import tensorflow as tf

    y, x = np.meshgrid(np.arange(ROWS) / ROWS, np.arange(COLUMNS) / COLUMNS, indexing="ij")
    grid = np.stack([y.ravel(), x.ravel(), y.ravel() + 1 / ROWS, x.ravel() + 1 / COLUMNS], axis=1).astype(
        np.float32
    )

    class Cells(tf.Module):
        def __init__(self):
            super().__init__()
            self.gain = tf.Variable(0.9)

        @tf.function(
            input_signature=[tf.TensorSpec([batch, *input_shape], getattr(tf, dtype), name="input_tensor")]
        )
        def serve(self, input_tensor):
            image = tf.cast(input_tensor, tf.float32) / 255
            n = tf.shape(image)[0]
            cells = tf.reshape(tf.image.resize(image, [ROWS, COLUMNS], method="area"), [n, 12, 3])
            scores = 0.02 + self.gain * cells
            best, place = tf.math.top_k(tf.reshape(scores, [n, 36]), 10)
            anchor, kind = place // 3, place % 3
            count = tf.reduce_sum(tf.cast(best > 0.05, tf.float32), axis=1)
            valid = tf.cast(tf.sequence_mask(tf.cast(count, tf.int32), 10), tf.float32)
            out = {
                "detection_boxes": tf.gather(tf.constant(grid), anchor) * valid[..., None],
                "detection_scores": tf.where(valid > 0, best, padded_scores),
                "detection_classes": tf.cast(kind, tf.float32) * valid + 1,
                "num_detections": count,
                "detection_multiclass_scores": tf.gather(
                    tf.pad(scores, [[0, 0], [0, 0], [1, 0]]), anchor, batch_dims=1
                ),
            }
            if anchors:
                out["detection_anchor_indices"] = tf.cast(anchor, tf.float32) * valid
            if raw:
                out["raw_detection_boxes"] = tf.tile(tf.constant(grid)[None], [n, 1, 1])
                logits = tf.math.log(scores / (1 - scores))
                out["raw_detection_scores"] = (
                    logits
                    if raw == "logits"
                    else tf.pad(scores, [[0, 0], [0, 0], [1, 0]], constant_values=0.5)
                )
            return {(rename or {}).get(key, key): value for key, value in out.items()}

    module = Cells()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})
    return folder


def lit_cell(row: int, column: int, channel: int, width: int = 80, height: int = 60):
    """A black picture but for one cell of the grid, full in one channel."""
    import numpy as np

    image = np.zeros((height, width, 3), np.uint8)
    y, x = height // ROWS, width // COLUMNS
    image[row * y : (row + 1) * y, column * x : (column + 1) * x, channel] = 255
    return image
