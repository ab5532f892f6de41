"""COCO's twelve figures at val2017 scale (5,000 images, 36,000 objects, 500,000 detections), end to end from
a stored run: at least 50 times less CPU (all threads) than pycocotools, and at most a quarter of its memory.
From reading the Parquet files to the figures; the interpreter's start is on neither side. Takes minutes.

Each side is a process of its own, so that its memory can be measured; both read the same Parquet files.
`--images N` measures a smaller set.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from analysis.runs.store import RunWriter, create_run, open_run
from detector.core import Detections, DetectorInfo
from detector.data.dataset import Dataset
from tests.benchmarks.generated import big_run
from tests.benchmarks.table import row, scaled


def store(folder: Path, images: int) -> None:
    run = big_run(images, objects=36_000 * images // 5000, detections=100 * images)
    data = Dataset(
        name="generated",
        format="coco",
        source="",
        class_map=run.class_map,
        sample_ids=run.sample_ids,
        files=run.files,
        sizes=run.sizes,
        objects=run.truth,
    )
    create_run(
        folder, data, DetectorInfo("generated", "fake", run.class_map, "0" * 16, simulated=True), floor=0.0
    )
    d = run.detections
    with RunWriter(folder) as writer:
        for i in range(images):
            writer.add(i, Detections(d.xyxy[d.of(i)], d.scores[d.of(i)], d.class_ids[d.of(i)], (640, 480)))
        writer.finish("done")


def ours(folder: str) -> list[float]:
    from analysis.metrics.evaluate import evaluate
    from analysis.metrics.evaluation import FIGURES

    e = evaluate(open_run(folder))
    return [-1.0 if e[name] is None else e[name] for name in FIGURES]


def theirs(folder: str) -> list[float]:
    from analysis.metrics.pycocotools_check import _dicts_of_run, _pycocotools

    return _pycocotools(*_dicts_of_run(open_run(folder))).tolist()


def side(name: str, folder: str) -> None:
    start, cpu = time.perf_counter(), time.process_time()
    figures = {"ours": ours, "pycocotools": theirs}[name](folder)
    used = {"wall": time.perf_counter() - start, "cpu": time.process_time() - cpu}
    print(
        json.dumps(
            {
                "figures": figures,
                **used,
                "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=scaled(5000))
    parser.add_argument("--side", nargs=2)
    arguments = parser.parse_args()
    if arguments.side:
        side(*arguments.side)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        store(Path(folder) / "run", arguments.images)
        got = {}
        for name in ("ours", "pycocotools"):
            command = [
                sys.executable,
                "-m",
                "tests.benchmarks.bench_evaluation",
                "--side",
                name,
                str(Path(folder) / "run"),
            ]
            got[name] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            g = got[name]
            print(
                f"{name:12} {g['cpu']:7.2f} s of CPU ({g['wall']:.2f} s), {g['megabytes']:.0f} MB at most, AP"
                f" {g['figures'][0]:.6f}"
            )
    a, b = got["ours"], got["pycocotools"]
    equal = a["figures"] == b["figures"]
    ratio, memory = b["cpu"] / a["cpu"], a["megabytes"] / b["megabytes"]
    print(
        f"figures {'equal to the last bit' if equal else 'DIFFER'}; {ratio:.0f} times less CPU (promised:"
        f" 50); {memory:.2f} of the memory (promised: 0.25)"
    )
    row("evaluation from a stored run, against pycocotools (CPU)", a["cpu"], b["cpu"], ratio, 50)
    row("the same, memory", a["megabytes"], b["megabytes"], memory, 0.25, unit="MB", at_most=True)
    return int(not equal or ratio < 50 or memory > 0.25)


if __name__ == "__main__":
    sys.exit(main())
