"""A COCO-train-sized json (118,287 images, 860,001 boxes with outlines and crowds) opens in seconds, in
bounded memory.

`python -m tests.benchmarks.bench_coco_open` compares `load_dataset` with the plain `json.load` of the same
file, each in a process of its own, and prints seconds and peak memory.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.benchmarks.table import row, scaled

IMAGES, BOXES = scaled(118_287), scaled(860_001)
PROMISED_TIME, PROMISED_MEMORY = 1.0, 0.6
"""Time and peak memory of load_dataset over those of json.load alone on the same file."""

_LOAD = """
import resource, sys, time
start = time.perf_counter()
{body}
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
_OURS = (
    "from detector.data import load_dataset\nd = load_dataset(sys.argv[1]); assert len(d.objects) =="
    " {boxes}, d"
)
_PLAIN = "import json\nd = json.load(open(sys.argv[1]))"


def write_big_coco(path: Path, images: int, boxes: int, seed: int = 0) -> None:
    """A json like instances_train2017.json: polygons of 10 to 35 points, 1 % crowds with RLE, ids with
    gaps.
    """
    random = np.random.default_rng(seed)
    categories = [
        {"id": int(i), "name": f"class {i}", "supercategory": "x"}
        for i in np.delete(np.arange(1, 91), [11, 25, 28, 29, 44, 65, 67, 68, 70, 82])
    ]
    ids = np.sort(random.choice(600_000, images, replace=False)) + 1
    with open(path, "w") as out:
        out.write('{"info": {"year": 2017}, "licenses": [], "images": [')
        for k, i in enumerate(ids):
            record = {
                "license": 3,
                "file_name": f"{i:012d}.jpg",
                "coco_url": f"http://images.cocodataset.org/train2017/{i:012d}.jpg",
                "height": 427,
                "width": 640,
                "date_captured": "2013-11-14 11:18:45",
                "id": int(i),
            }
            out.write((", " if k else "") + json.dumps(record))
        out.write('], "annotations": [')
        owners = random.choice(ids, boxes)
        x, y = random.uniform(0, 500, boxes).round(2), random.uniform(0, 300, boxes).round(2)
        w, h = random.uniform(2, 139, boxes).round(2), random.uniform(2, 126, boxes).round(2)
        kinds = random.integers(0, len(categories), boxes)
        points = [
            json.dumps([random.uniform(0, 640, int(n)).round(2).tolist()])
            for n in random.integers(10, 36, 200) * 2
        ]
        counts = json.dumps({"counts": random.integers(1, 900, 120).tolist(), "size": [427, 640]})
        for k in range(boxes):
            crowd = k % 100 == 7
            out.write(
                f'{", " if k else ""}{{"segmentation": {counts if crowd else points[k % 200]}, "area":'
                f' {w[k] * h[k] / 2:.4f}, "iscrowd": {int(crowd)}, "image_id": {owners[k]}, "bbox": [{x[k]},'
                f' {y[k]}, {w[k]}, {h[k]}], "category_id": {categories[kinds[k]]["id"]}, "id": {k + 1}}}'
            )
        out.write('], "categories": ' + json.dumps(categories) + "}")


def measure(body: str, path: Path) -> tuple[float, float]:
    """(seconds, peak MB) of a piece of Python in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", _LOAD.format(body=body), str(path)], capture_output=True, text=True, check=True
    )
    seconds, megabytes = done.stdout.split()[-2:]
    return float(seconds), float(megabytes)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "instances_train2017.json"
        write_big_coco(path, IMAGES, BOXES)
        print(f"{IMAGES} images, {BOXES} boxes, {os.path.getsize(path) / 1e6:.0f} MB of json")
        ours, plain = [], []
        for _ in range(2):
            ours.append(measure(_OURS.format(boxes=BOXES), path))
            plain.append(measure(_PLAIN, path))
    (seconds, memory), (plain_seconds, plain_memory) = min(ours), min(plain)
    print(
        f"load_dataset {seconds:.1f} s, peak {memory:.0f} MB; json.load alone {plain_seconds:.1f} s, peak"
        f" {plain_memory:.0f} MB"
    )
    print(
        f"ratio: time {seconds / plain_seconds:.2f}, memory {memory / plain_memory:.2f} (promised: at most"
        f" {PROMISED_TIME:g} and {PROMISED_MEMORY:g})"
    )
    took = seconds / plain_seconds
    row("open COCO json, against json.load", seconds, plain_seconds, took, PROMISED_TIME, at_most=True)
    row(
        "the same, memory",
        memory,
        plain_memory,
        memory / plain_memory,
        PROMISED_MEMORY,
        unit="MB",
        at_most=True,
    )
    return 0 if seconds <= PROMISED_TIME * plain_seconds and memory <= PROMISED_MEMORY * plain_memory else 1


if __name__ == "__main__":
    raise SystemExit(main())
