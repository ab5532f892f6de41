"""A stored run of any size, generated part by part in bounded memory: 10 million detections by default."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.runs import files
from analysis.runs.manifest import Counts, now, write_manifest
from analysis.runs.writer import create_run
from detector.core import ClassMap, DetectorInfo
from detector.data.dataset import Dataset
from tests.benchmarks.generated import big_run


def store_generated(
    folder: Path,
    *,
    images: int = 200_000,
    detections_an_image: int = 50,
    objects_an_image: float = 7.2,
    classes: int = 80,
    step: int = 2000,
) -> Path:
    """Parts of `step` images, each from `generated.big_run` with a seed of its own, in a finished run at
    `folder`.

    The picture files do not exist. Objects have COCO val2017's density; four detections in ten lie near one.
    """
    names = tuple(f"class {k}" for k in range(classes))
    info = DetectorInfo(
        "generated",
        "generated",
        ClassMap(names),
        "generated-weights",
        capabilities=frozenset({"low_scores"}),
        simulated=True,
    )
    dataset = Dataset(
        name=f"generated {images}",
        format="generated",
        source="generated",
        class_map=ClassMap(names),
        sample_ids=[f"{i:08d}" for i in range(images)],
        files=[str(folder / "pictures" / f"{i:08d}.jpg") for i in range(images)],
        sizes=np.tile(np.int32([640, 480]), (images, 1)),
        labelled=np.ones(images, bool),
    )
    manifest = create_run(folder, dataset, info, floor=0.0)
    total = objects = 0
    with pq.ParquetWriter(folder / "truth.parquet", files.TRUTH, compression="zstd") as truth:
        for number, first in enumerate(range(0, images, step)):
            n = min(step, images - first)
            made = big_run(
                images=n,
                objects=int(n * objects_an_image),
                detections=n * detections_an_image,
                classes=classes,
                seed=number,
            )
            t, d = made.truth, made.detections
            columns = dict(zip(files.BOX, t.xyxy.T)) | {
                "row": t.rows + np.int32(first),
                "class_id": t.class_ids,
                "id": t.ids + objects,
                "area": t.area,
                **{flag: getattr(t, flag) for flag in ("crowd", "difficult", "truncated", "occluded")},
            }
            truth.write_table(
                pa.table(
                    [pa.array(columns[name], files.TRUTH.field(name).type) for name in files.TRUTH.names],
                    schema=files.TRUTH,
                ),
                row_group_size=files.ROW_GROUP,
            )
            found = dict(zip(files.BOX, d.xyxy.T)) | {
                "row": d.rows + np.int32(first),
                "score": d.scores,
                "class_id": d.class_ids,
                "anchor_id": d.anchor_ids,
            }
            files.write_table(files.part_path(folder, "detections", "made", number), found, files.DETECTIONS)
            counts = np.diff(d.offsets)
            parts = {
                "row": np.arange(first, first + n, dtype=np.int32),
                "width": np.full(n, 640),
                "height": np.full(n, 480),
                "detections": counts,
                "error": [None] * n,
            }
            files.write_table(files.part_path(folder, "images", "made", number), parts, files.IMAGES)
            total, objects = total + len(d), objects + len(t)
    record = manifest.dataset.model_copy(update={"labelled": images, "objects": objects})
    write_manifest(
        folder,
        manifest.model_copy(
            update={
                "state": "done",
                "finished": now(),
                "dataset": record,
                "counts": Counts(done=images, failed=0, detections=total),
            }
        ),
    )
    return folder
