"""What an image costs: processor time of each stage by itself, their sum against whole runs, and
machine-hours from them.

    python -m tests.benchmarks.bench_cost

A cheap detector, on generated pictures of 160x120 and on COCO photographs ($BOXSCOPE_SHARED or ../shared;
left out where absent), gives what handing an image from thread to thread costs: its whole run less its
stages. With that, the stages of a SavedModel on the same photographs foretell its whole run. Processor time,
not wall time, so that a busy machine says nearly the same. Fails where the whole run took less than 0.75 or
more than 1.33 of what was foretold.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from analysis.runs.detect import detect_run
from analysis.runs.ray_worker import DetectWorker, found_columns
from analysis.runs.writer import FoundColumns, RunWriter, create_run
from detector import load_dataset
from detector.core import Detector
from detector.data.dataset import Dataset
from detector.paths import ROOT
from tests.benchmarks.blobs import draw, load_blobs

SHARED = Path(os.environ.get("BOXSCOPE_SHARED", ROOT.parent / "shared"))
BOUNDS = (0.75, 1.33)


def cpu(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def stages(dataset: Dataset, detector: Detector, scratch: Path) -> dict[str, float]:
    """Seconds of processor an image: reading and decoding, the detector, storing."""
    n = len(dataset)
    images: list[np.ndarray] = []
    found = []
    decode = cpu(lambda: images.extend(dataset.load_image(i) for i in range(n)))
    detector.detect(images[:8])
    forward = cpu(lambda: [found.extend(detector.detect(images[k : k + 8])) for k in range(0, n, 8)])
    create_run(scratch / "stored", dataset, detector.info, floor=0.01)

    def store() -> None:
        with RunWriter(scratch / "stored") as writer:
            for i, detections in enumerate(found):
                writer.add(i, detections)

    return {"decode": decode / n, "forward": forward / n, "store": cpu(store) / n}


def point(
    name: str, dataset: Dataset, load: Callable[[], Detector], handing: float | None
) -> tuple[float, float]:
    """Measure one point: (the whole run less its stages, the whole run over what was foretold), in seconds of
    processor an image.
    """
    with tempfile.TemporaryDirectory() as scratch:
        detector = load()
        parts = stages(dataset, detector, Path(scratch))
        detector = load()
        detector.detect([dataset.load_image(0)])
        whole = cpu(lambda: detect_run(detector, dataset, Path(scratch) / "run")) / len(dataset)
    added = sum(parts.values())
    foretold = added + (whole - added if handing is None else handing)
    print(f"{name}: " + ", ".join(f"{k} {1e3 * v:.2f} ms" for k, v in parts.items()), flush=True)
    print(
        f"  stages {1e3 * added:.2f} ms an image, foretold {1e3 * foretold:.2f} ms, whole run"
        f" {1e3 * whole:.2f} ms; {1 / whole:.0f} images per second and core"
    )
    for millions in (1, 10, 100):
        print(f"  {millions:>3} million images: {millions * 1e6 * whole / 3600:,.1f} core-hours")
    return whole - added, whole / foretold


def driver(dataset: Dataset) -> None:
    """What the process that commits the parts of a cluster's workers spends on an image."""
    import pyarrow as pa

    rows = np.arange(512, dtype=np.int32)
    block = pa.table(
        {
            "row": rows,
            "file": dataset.files[:512],
            "width": np.full(512, 160, np.int32),
            "height": np.full(512, 120, np.int32),
        }
    )
    answer = DetectWorker(load_blobs, "blobs-1", 0.0, 8, 1)(block)
    info, repeats = load_blobs().info, 40
    many = Dataset(
        name="many",
        format="generated",
        source="generated",
        class_map=dataset.class_map,
        sample_ids=[str(i) for i in range(512 * repeats)],
        files=[""] * (512 * repeats),
    )
    # As many detections as a network gives at a low floor, from the few of the blobs.
    f = found_columns(answer)
    good = f.counts > 0
    f = FoundColumns(
        f.rows,
        f.sizes,
        f.errors,
        np.where(good, 50, 0).astype(np.int32),
        np.tile(f.xyxy[:50], (int(good.sum()), 1)),
        np.tile(np.sort(f.scores[:50])[::-1], int(good.sum())),
        np.tile(f.class_ids[:50], int(good.sum())),
        np.tile(f.anchor_ids[:50], int(good.sum())),
    )
    with tempfile.TemporaryDirectory() as scratch:
        create_run(Path(scratch) / "run", many, info, floor=0.0)
        with RunWriter(Path(scratch) / "run", "ray") as writer:

            def commit() -> None:
                for k in range(repeats):
                    found_columns(answer)
                    writer.add_columns(
                        FoundColumns(
                            f.rows + np.int32(512 * k),
                            f.sizes,
                            f.errors,
                            f.counts,
                            f.xyxy,
                            f.scores,
                            f.class_ids,
                            f.anchor_ids,
                        )
                    )

            seconds = cpu(commit) / (512 * repeats)
            size = sum(p.stat().st_size for p in (Path(scratch) / "run" / "parts").iterdir()) / (
                512 * repeats
            )
    print(
        f"driver of a cluster: {1e6 * seconds:.0f} µs an image of 50 detections, {1 / seconds:,.0f} images a"
        f" second, {size:,.0f} bytes stored an image",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="leave the network out")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load average before: {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        generated = load_dataset(draw(Path(scratch) / "pictures", 1500))
        torn = np.arange(len(generated)) != 77
        point("blobs on 160x120", generated.subset(torn), load_blobs, None)
        driver(generated)
    photographs, model = (
        SHARED / "data" / "coco_mini" / "val2017",
        SHARED / "weights" / "yolox_nano_coco" / "saved_model",
    )
    ratios = []
    if photographs.is_dir():
        dataset = load_dataset(photographs, limit=96)
        handing, _ = point("blobs on COCO photographs", dataset, load_blobs, None)
        if model.is_dir() and not options.quick:
            from detector.models.saved_model import SavedModelDetector

            ratios.append(
                point(
                    "YOLOX-Nano SavedModel on COCO photographs",
                    dataset,
                    lambda: SavedModelDetector(model, threads=1),
                    handing,
                )[1]
            )
    print(
        f"whole run over foretold: {', '.join(f'{r:.2f}' for r in ratios) or 'not looked at'} (expected"
        f" {BOUNDS[0]} to {BOUNDS[1]})"
    )
    return int(not all(BOUNDS[0] <= r <= BOUNDS[1] for r in ratios))


if __name__ == "__main__":
    sys.exit(main())
