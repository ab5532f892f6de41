"""A YOLO .tflite end to end against a plain LiteRT loop with the same letterbox and cv2's NMS.

    python -m tests.benchmarks.bench_yolo_tflite MODEL.tflite FOLDER [--images 40]

Prints images per second of both and their ratio; without arguments a generated network of 32 x 32 pixels is
timed on noise, to see that it runs.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter

from detector import load_detector
from detector.data.images import read_image
from tests.detector.models.decoders.tiny import write_tflite, yolo_table

SCORE, IOU, MOST = 0.005, 0.7, 300


def plain_loop(path: Path, images: list[np.ndarray]) -> float:
    """Seconds of the loop that people write: letterbox, set_tensor, invoke, class-wise NMSBoxesBatched."""
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    given, out = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    side = int(given["shape"][1])
    start = time.perf_counter()
    for image in images:
        height, width = image.shape[:2]
        ratio = min(side / width, side / height)
        inner = (round(width * ratio), round(height * ratio))
        left, top = (side - inner[0]) // 2, (side - inner[1]) // 2
        whole = np.full((side, side, 3), 114, np.uint8)
        whole[top : top + inner[1], left : left + inner[0]] = cv2.resize(image, inner)
        interpreter.set_tensor(given["index"], whole[None].astype(np.float32) / 255)
        interpreter.invoke()
        table = interpreter.get_tensor(out["index"])[0].T
        rows, classes = np.nonzero(table[:, 4:] > SCORE)
        scores = table[rows, 4 + classes]
        boxes = table[rows, :4] * side
        boxes[:, :2] -= boxes[:, 2:] / 2
        kept = cv2.dnn.NMSBoxesBatched(boxes.tolist(), scores.tolist(), classes.tolist(), SCORE, IOU)
        boxes[np.array(kept, int)[:MOST], :2] -= (left, top)
    return time.perf_counter() - start


def ours(path: Path, images: list[np.ndarray]) -> float:
    """Seconds of `detect`."""
    detector = load_detector(path, num_threads=1)
    start = time.perf_counter()
    for image in images:
        detector.detect([image])
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--images", type=int, default=40)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if asked.model is None:
            path = write_tflite(Path(folder) / "tiny.tflite", [yolo_table(1 / 32)])
            images = list(np.random.default_rng(0).integers(0, 256, (8, 48, 64, 3), np.uint8))
        else:
            path = asked.model
            images = [read_image(p) for p in sorted(asked.folder.glob("*.jpg"))[: asked.images]]
        plain, own = plain_loop(path, images), ours(path, images)
    print(
        f"plain loop {len(images) / plain:.1f} images/s, Boxscope {len(images) / own:.1f}: {plain / own:.2f}"
        " times"
    )


if __name__ == "__main__":
    main()
