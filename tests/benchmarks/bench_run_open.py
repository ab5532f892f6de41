"""Opening a stored run of 5,000 images and 500,000 detections: within 0.5 s, and quicker than COCO results
json.

The other side reads the same detections from a COCO results file with json.load into the same columns.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from analysis.runs.store import DetectionTable, open_run
from analysis.runs.writer import RunWriter, create_run
from detector.core import ClassMap, Detections, DetectorInfo
from detector.data.dataset import Dataset, ObjectTable
from tests.benchmarks.table import row, scaled
from tests.benchmarks.timing import compare

IMAGES, EACH, ALLOWED = scaled(5_000), 100, 0.5


def build(folder: Path) -> tuple[Path, Path]:
    """A run in parts of 200 images, as a CPU at 20 images/s writes them, and the same as COCO results."""
    rng = np.random.default_rng(0)
    classes = ClassMap(tuple(f"class {k}" for k in range(80)))
    rows = np.repeat(np.arange(IMAGES), 7)
    corners = rng.uniform(0, 200, (len(rows), 2))
    dataset = Dataset(
        name="generated",
        format="coco",
        source="generated",
        class_map=classes,
        sample_ids=[str(i) for i in range(IMAGES)],
        files=[f"/pictures/{i:012d}.jpg" for i in range(IMAGES)],
        sizes=np.tile([640, 427], (IMAGES, 1)),
        objects=ObjectTable.build(
            rows, np.concatenate([corners, corners + 90], axis=1), rng.integers(0, 80, len(rows))
        ),
    )
    create_run(folder / "run", dataset, DetectorInfo("generated", "generated", classes, "hash"), floor=0.01)
    results = []
    with RunWriter(folder / "run", part_images=200, part_seconds=1e9) as writer:
        for i in range(IMAGES):
            corner = rng.uniform(0, 300, (EACH, 2))
            found = Detections(
                np.concatenate([corner, corner + rng.uniform(1, 120, (EACH, 2))], axis=1),
                np.sort(rng.uniform(0.01, 1, EACH))[::-1],
                rng.integers(0, 80, EACH),
                (640, 427),
            )
            writer.add(i, found)
            boxes = (
                np.concatenate([found.xyxy[:, :2], found.xyxy[:, 2:] - found.xyxy[:, :2]], axis=1)
                .round(2)
                .tolist()
            )
            columns = zip(found.class_ids.tolist(), boxes, found.scores.tolist())
            results += [{"image_id": i, "category_id": c, "bbox": b, "score": s} for c, b, s in columns]
        writer.finish("done")
    (folder / "results.json").write_text(json.dumps(results))
    return folder / "run", folder / "results.json"


def read_results(path: Path) -> DetectionTable:
    results = json.loads(path.read_bytes())
    xywh = np.array([r["bbox"] for r in results], np.float32)
    return DetectionTable.build(
        [r["image_id"] for r in results],
        np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1),
        [r["score"] for r in results],
        [r["category_id"] for r in results],
        count=IMAGES,
    )


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        run, results = build(Path(folder))
        figures = compare(lambda: read_results(results), lambda: open_run(run), 5)
        opened = open_run(run)
        size = sum(p.stat().st_size for p in run.rglob("*.parquet"))
    print(
        f"open_run of {len(opened.detections):,} detections over {len(opened):,} images:"
        f" {figures.b * 1e3:.0f} ms (promised {ALLOWED * 1e3:.0f})"
    )
    print(
        f"COCO results json: {figures.a * 1e3:.0f} ms, ratio {figures.ratio:.1f}; on disk {size / 1e6:.1f} MB"
    )
    row("open a run, against COCO results json", figures.b, figures.a, figures.ratio, 3, figures.spread)
    row("open a run", figures.b, None, None, ALLOWED, figures.spread, at_most=True)
    return int(figures.b > ALLOWED or figures.ratio < 3)


if __name__ == "__main__":
    sys.exit(main())
