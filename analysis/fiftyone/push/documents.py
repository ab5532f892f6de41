"""Rows of a run -> the documents FiftyOne keeps in MongoDB, built without its Sample objects.

The layout is that of `Sample.to_mongo_dict` in FiftyOne 1.22, held by tests that read every document back
through FiftyOne. Building Sample and Detection objects is what makes a plain push slow.
"""

from __future__ import annotations

import contextlib
import datetime
import mimetypes
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from bson import ObjectId

from analysis.fiftyone.fields import FLAG_FIELDS, LINK, SAMPLE_ID, SOURCE, SPLIT, TRUTH, Names
from analysis.fiftyone.ids import object_ids, sample_ids_of
from analysis.fiftyone.push.heatmaps import HeatMaps
from analysis.fiftyone.push.media import Media
from analysis.fiftyone.push.verdicts import COUNTED_DETECTIONS, COUNTED_OBJECTS, Judged, sizes
from analysis.fiftyone.service.links import page_link
from analysis.runs.store import Run


class Documents:
    """Builds the sample documents of images a..b of a run.

    Args:
        run: a Run.
        judged: its verdicts.
        names: the run's fields in the data set.
        owner: what the sample ids hang on: the same for every run over these images in this data set.
        pages: base address of our app, or "" for no links; run_name: what a link calls the run.
        lowest: detections with a lower score are not written.
        media: where FiftyOne finds each image.
        maps: writes heat maps (`analysis.fiftyone.push.heatmaps`); None for none.
    """

    def __init__(
        self,
        run: Run,
        judged: Judged,
        names: Names,
        *,
        owner: str,
        pages: str,
        run_name: str,
        lowest: float,
        media: Media,
        maps: HeatMaps | None = None,
    ):
        self.run, self.judged, self.names, self.media, self.maps = run, judged, names, media, maps
        self.pages, self.run_name, self.lowest = pages, run_name, lowest
        self.owner = owner
        self.truth_starts = np.searchsorted(run.truth.rows, np.arange(len(run.sample_ids) + 1))
        self.flags = [flag for flag in FLAG_FIELDS if getattr(run.truth, flag).any()]
        self.class_names = np.array(run.class_map.names, object)
        self.split_names = list(run.splits)
        self.point = {
            "threshold": judged.point["threshold"] if isinstance(judged.point["threshold"], float) else None,
            "iou": judged.point["iou"],
        }

    def prediction_ids(self, rows: np.ndarray) -> list[bytes]:
        """FiftyOne ids of detections, by their rows in the run's table."""
        d = self.run.detections
        return self._ids("prediction" + self.names.suffix, d.rows, rows - d.offsets[d.rows[rows]], rows)

    def truth_ids(self, rows: np.ndarray) -> list[bytes]:
        """FiftyOne ids of ground-truth objects; they do not depend on the run, so that two runs share
        them.
        """
        t = self.run.truth
        return self._ids("object", t.rows, rows - self.truth_starts[t.rows[rows]], rows)

    def _ids(self, kind: str, owners: np.ndarray, ordinals: np.ndarray, rows: np.ndarray) -> list[bytes]:
        samples = [self.run.sample_ids[i] for i in owners[rows].tolist()]
        return object_ids(kind, self.owner, samples, ordinals.tolist())

    def written(self, rows: np.ndarray) -> np.ndarray:
        """bool [len(rows)]: the detections that are pushed."""
        return self.run.detections.scores[rows] >= np.float32(self.lowest)

    def build(self, begin: int, end: int, now: datetime.datetime) -> list[dict[str, Any]]:
        """One document an image, `_id` first, ready for MongoDB."""
        d, t = self.run.detections, self.run.truth
        sizes_px = [self.media.size(i) for i in range(begin, end)]
        det_rows = np.arange(d.offsets[begin], d.offsets[end])
        det_rows = det_rows[self.written(det_rows)]
        truth_rows = np.arange(self.truth_starts[begin], self.truth_starts[end])
        predictions = self._split(self._predictions(det_rows, begin, sizes_px), d.rows[det_rows], begin, end)
        objects = self._split(self._objects(truth_rows, begin, sizes_px), t.rows[truth_rows], begin, end)
        tallies = self._tallies(begin, end)
        ids = sample_ids_of(self.owner, self.run.sample_ids, begin, end)
        out = []
        for k, i in enumerate(range(begin, end)):
            out.append(self._sample(i, ids[k], sizes_px[k], objects[k], predictions[k], tallies[k], now))
        return out

    def _sample(self, i, object_id, size, objects, predictions, tally, now) -> dict[str, Any]:
        names, run = self.names, self.run
        file = self.media.file(i)
        sample_id = run.sample_ids[i]
        doc: dict[str, Any] = {
            "_id": ObjectId(object_id),
            "_media_type": "image",
            "_rand": (
                int.from_bytes(object_id[4:8], "big") / 2**32 * 0.001 + 0.999
            ),  # FiftyOne draws it from [0.999, 1)
            "filepath": file,
            "tags": [],
            "created_at": now,
            "last_modified_at": now,
            SAMPLE_ID: sample_id,
        }
        if size is not None:
            metadata: dict[str, Any] = {"_cls": "ImageMetadata", "width": size[0], "height": size[1]}
            kind = mimetypes.guess_type(file)[0]
            if kind:
                metadata["mime_type"] = kind
            with contextlib.suppress(OSError):  # FiftyOne shows a missing image as missing
                metadata["size_bytes"] = os.stat(file).st_size
            doc["metadata"] = metadata
        if file != run.files[i] and run.files[i]:
            doc[SOURCE] = run.files[i]
        if self.split_names[i]:
            doc[SPLIT] = self.split_names[i]
        if self.pages:
            doc[LINK] = page_link(self.pages, self.run_name, sample_id, **self.point)
        problem = run.failed.get(sample_id) or ("" if run.done[i] else "detection has not run on this image")
        if problem:
            doc[names.problem] = problem
        if run.labelled[i] and size is not None:
            doc[TRUTH] = {"_cls": "Detections", "detections": objects}
        if run.done[i] and sample_id not in run.failed and size is not None:
            doc[names.predictions] = {"_cls": "Detections", "detections": predictions}
        if self.maps is not None:
            doc |= self.maps.of(i)
        if self.judged.matches.judged[i]:
            doc[f"{names.eval_key}_tp"], doc[f"{names.eval_key}_fp"], doc[f"{names.eval_key}_fn"] = tally
        return doc

    def _tallies(self, begin: int, end: int) -> list[tuple[int, int, int]]:
        d, t, n = self.run.detections, self.run.truth, end - begin
        dets = slice(d.offsets[begin], d.offsets[end])
        truths = slice(self.truth_starts[begin], self.truth_starts[end])

        def count(rows: np.ndarray, mask: np.ndarray) -> list[int]:
            return np.bincount(rows[mask] - begin, minlength=n).tolist()

        verdict = self.judged.det_verdict[dets]
        tp = count(d.rows[dets], verdict == "correct")
        fp = count(d.rows[dets], (verdict == "wrong") | (verdict == "duplicate"))
        fn = count(t.rows[truths], self.judged.truth_verdict[truths] == "missed")
        return list(zip(tp, fp, fn))

    def _predictions(self, rows: np.ndarray, begin: int, sizes_px: list) -> list[dict[str, Any]]:
        d, j, key = self.run.detections, self.judged, self.names.eval_key
        if not len(rows):
            return []
        partner = j.matches.det_truth[rows]
        partner_ids = _hex(self.truth_ids, partner)
        confused = j.confused[rows]
        confused_names = np.where(
            confused >= 0,
            self.class_names[self.run.truth.class_ids[confused]] if len(self.run.truth) else None,
            None,
        )
        ordinals = rows - d.offsets[d.rows[rows]]
        extra = _plain_columns(j.det_columns, rows)
        labels = []
        for (
            object_id,
            label,
            box,
            score,
            verdict,
            overlap,
            mate,
            error,
            mistaken,
            size,
            ordinal,
            image,
            *more,
        ) in zip(
            self.prediction_ids(rows),
            self.class_names[d.class_ids[rows]].tolist(),
            _normalised(d.xyxy[rows], d.rows[rows] - begin, sizes_px),
            d.scores[rows].astype(np.float64).tolist(),
            j.det_verdict[rows].tolist(),
            j.matches.det_iou[rows].astype(np.float64).tolist(),
            partner_ids,
            j.det_error[rows].tolist(),
            confused_names.tolist(),
            sizes(d.xyxy[rows]).tolist(),
            ordinals.tolist(),
            d.rows[rows].tolist(),
            *extra.values(),
        ):
            doc = {
                "_id": ObjectId(object_id),
                "_cls": "Detection",
                "attributes": {},
                "tags": [],
                "label": label,
                "bounding_box": box,
                "confidence": score,
                "verdict": verdict,
                "size": size,
                "object_id": ordinal,
            }
            if mate:
                doc["iou"] = overlap
            if error:
                doc["error"] = error
            if mistaken is not None:
                doc["confused_with"] = mistaken
            if self.pages:
                doc["link"] = page_link(
                    self.pages, self.run_name, self.run.sample_ids[image], detection=ordinal, **self.point
                )
            if verdict == "correct":
                doc[key], doc[f"{key}_id"], doc[f"{key}_iou"] = "tp", mate, overlap
            elif verdict in COUNTED_DETECTIONS:
                doc[key], doc[f"{key}_id"] = "fp", ""
            if more:
                doc |= {name: value for name, value in zip(extra, more) if value is not None}
            labels.append(doc)
        return labels

    def _objects(self, rows: np.ndarray, begin: int, sizes_px: list) -> list[dict[str, Any]]:
        t, j, names, key = self.run.truth, self.judged, self.names, self.names.eval_key
        if not len(rows):
            return []
        found_by = j.matches.truth_det[rows]
        finder_ids = _hex(self.prediction_ids, found_by)
        flags = [(FLAG_FIELDS[flag], getattr(t, flag)[rows].tolist()) for flag in self.flags]
        extra = _plain_columns(j.truth_columns, rows)
        labels = []
        for k, (
            object_id,
            label,
            box,
            verdict,
            overlap,
            score,
            finder,
            error,
            size,
            ordinal,
            image,
            *more,
        ) in enumerate(
            zip(
                self.truth_ids(rows),
                self.class_names[t.class_ids[rows]].tolist(),
                _normalised(t.xyxy[rows], t.rows[rows] - begin, sizes_px),
                j.truth_verdict[rows].tolist(),
                j.matches.truth_iou[rows].astype(np.float64).tolist(),
                j.matches.truth_score[rows].astype(np.float64).tolist(),
                finder_ids,
                j.truth_error[rows].tolist(),
                sizes(t.xyxy[rows], t.area[rows]).tolist(),
                t.ids[rows].tolist(),
                t.rows[rows].tolist(),
                *extra.values(),
            )
        ):
            doc = {
                "_id": ObjectId(object_id),
                "_cls": "Detection",
                "attributes": {},
                "tags": [],
                "label": label,
                "bounding_box": box,
                "size": size,
                "object_id": ordinal,
                names.truth_verdict: verdict,
            }
            for name, values in flags:
                doc[name] = values[k]
            if error:
                doc[names.truth_error] = error
            if finder and verdict in COUNTED_OBJECTS:
                doc[names.seen_at] = score
            if self.pages:
                doc["link"] = page_link(
                    self.pages, self.run_name, self.run.sample_ids[image], object_id=ordinal, **self.point
                )
            if verdict == "found":
                doc[key], doc[f"{key}_id"], doc[f"{key}_iou"] = "tp", finder, overlap
            elif verdict == "missed":
                doc[key], doc[f"{key}_id"] = "fn", ""
            if more:
                doc |= {names.of_truth(name): value for name, value in zip(extra, more) if value is not None}
            labels.append(doc)
        return labels

    @staticmethod
    def _split(labels: list, rows: np.ndarray, begin: int, end: int) -> list[list]:
        edges = np.searchsorted(rows, np.arange(begin, end + 1)).tolist()
        return [labels[a:b] for a, b in zip(edges, edges[1:])]


def _normalised(xyxy: np.ndarray, images: np.ndarray, sizes_px: list) -> list[list[float]]:
    """[x, y, width, height] in 0..1 of the upright image, as FiftyOne wants it."""
    wh = np.array([size or (1, 1) for size in sizes_px], np.float64)[images]
    low = xyxy[:, :2].astype(np.float64) / wh
    return np.concatenate([low, xyxy[:, 2:].astype(np.float64) / wh - low], axis=1).tolist()


def _hex(make, rows: np.ndarray) -> list[str]:
    """Ids as text; "" where the row is -1."""
    there = np.flatnonzero(rows >= 0)
    out = [""] * len(rows)
    for place, object_id in zip(there.tolist(), make(rows[there]) if len(there) else []):
        out[place] = object_id.hex()
    return out


def _plain_columns(columns: Mapping[str, np.ndarray], rows: np.ndarray) -> dict[str, list]:
    """Python values; NaN, None and "" become None (an absent field)."""
    out = {}
    for name, values in columns.items():
        plain = values[rows].tolist()
        out[name] = [None if v is None or v == "" or v != v else v for v in plain]
    return out
