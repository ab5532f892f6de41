"""Runs that were never stored: made of a data set and its detections, or of plain tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.runs.classes import unify
from analysis.runs.manifest import (
    ClassRecord,
    Counts,
    DatasetRecord,
    DetectorRecord,
    LinkRecord,
    Manifest,
    describe,
    now,
)
from analysis.runs.store import Run, class_problems
from analysis.runs.tables import DetectionTable
from analysis.runs.truth_frames import fit_truth
from analysis.runs.writer import above_floor, to_unified
from detector.core import ClassMap, Detections, DetectorInfo
from detector.data.dataset import Dataset, ObjectTable
from detector.errors import InputError


def run_from_detections(
    dataset: Dataset,
    detections: Sequence[Detections | None],
    info: DetectorInfo,
    *,
    floor: float = 0.0,
    name: str | None = None,
) -> Run:
    """A run in memory, as `detect_run` would have stored it.

    Args:
        dataset: N images.
        detections: N entries with the detector's class ids; None for an image that is not done.
        info: the detector they come from.
        floor: scores below it are left out.

    Raises:
        InputError: the numbers of images differ, or a class id is not the detector's.
    """
    n = len(dataset)
    if len(detections) != n:
        raise InputError(
            f"run_from_detections: expected one entry per image, got {len(detections)} for {n} images."
        )
    classes = unify(dataset.class_map, info.class_map)
    kept: list[Detections | None] = []
    decoded = np.zeros((n, 2), np.int32)
    for i, found in enumerate(detections):
        if found is not None:
            if len(found) and found.class_ids.max() >= len(info.class_map):
                raise InputError(
                    f"Image {i}: class id {found.class_ids.max()} is not one of the detector's"
                    f" {len(info.class_map)} classes."
                )
            decoded[i] = found.image_size
            found = to_unified(above_floor(found, floor), classes)
        kept.append(found)
    table = DetectionTable.from_detections(kept)
    done = np.array([d is not None for d in kept], bool)
    manifest = describe(dataset, info, classes, floor=floor, name=name)
    manifest = manifest.model_copy(
        update={
            "state": "done" if done.all() else "cancelled",
            "finished": now(),
            "counts": Counts(done=int(done.sum()), detections=len(table)),
        }
    )
    truth, problems = fit_truth(dataset.objects, dataset.sizes, decoded, dataset.sample_ids, dataset.files)
    return Run(
        path=None,
        manifest=manifest,
        sample_ids=dataset.sample_ids,
        files=dataset.files,
        sizes=np.where(done[:, None], decoded, dataset.sizes),
        splits=dataset.splits,
        labelled=dataset.labelled,
        truth=truth,
        detections=table,
        done=done,
        failed={},
        problems=[*dataset.problems, *class_problems(manifest), *problems],
        loader=dataset.load_image,
    )


def run_from_tables(
    class_map: ClassMap,
    sample_ids: Sequence[str],
    sizes: np.ndarray,
    truth: ObjectTable,
    detections: DetectionTable,
    *,
    labelled: np.ndarray | None = None,
    done: np.ndarray | None = None,
    failed: Mapping[str, str] | None = None,
    splits: Sequence[str | None] | None = None,
    floor: float = 0.0,
    name: str = "tables",
) -> Run:
    """A run in memory from tables that no detector and no data set stand behind, such as two files.

    Its detector has no name and no hash, and knows every class.

    Args:
        class_map: K classes; all of them count as the data set's.
        sample_ids: N strings.
        sizes: int [N, 2], width and height in pixels.
        truth: the objects, with rows in 0..N-1.
        detections: the table over N images, class ids in 0..K-1.
        labelled, done: bool [N]; None for all.
        failed: sample id -> why its image could not be read; None for none.
        splits: N names or None; None for none.
        floor: the score below which detections were left out.
        name: of the run.

    Raises:
        InputError: the columns differ in length.
    """
    n = len(sample_ids)
    everywhere = np.ones(n, bool)
    labelled = everywhere if labelled is None else np.asarray(labelled, bool)
    done = everywhere if done is None else np.asarray(done, bool)
    failed = dict(failed or {})
    manifest = Manifest(
        name=name,
        state="done" if done.all() else "cancelled",
        identity="",
        detector=DetectorRecord(
            name="", kind="tables", weights_hash="", simulated=False, class_names=class_map.names
        ),
        dataset=DatasetRecord(
            name=name,
            format="tables",
            source="",
            fingerprint="",
            count=n,
            labelled=int(labelled.sum()),
            objects=len(truth),
        ),
        classes=ClassRecord(
            names=class_map.names,
            external_ids=class_map.external_ids,
            dataset_classes=len(class_map),
            links=tuple(
                LinkRecord(detector=own, dataset=own, class_id=k, how="same")
                for k, own in enumerate(class_map.names)
            ),
        ),
        floor=floor,
        created=now(),
        counts=Counts(done=int(done.sum()), failed=len(failed), detections=len(detections)),
    )
    return Run(
        path=None,
        manifest=manifest,
        sample_ids=sample_ids,
        files=[""] * n,
        sizes=sizes,
        splits=[None] * n if splits is None else splits,
        labelled=labelled,
        truth=truth,
        detections=detections,
        done=done,
        failed=failed,
        problems=(),
    )
