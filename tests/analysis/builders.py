"""Small runs for tests: plain columns behind the attributes that analysis reads, and COCO dicts of the
same.
"""

from __future__ import annotations

import copy

import numpy as np

from analysis.runs.in_memory import run_from_tables
from analysis.runs.tables import DetectionTable
from detector.core import ClassMap
from detector.data.dataset import ObjectTable


def make_run(
    dets,
    objects,
    *,
    num_images=None,
    names=("car", "dog", "cup"),
    sizes=(100, 80),
    labelled=None,
    done=None,
    failed=(),
    floor=0.01,
):
    """A run in memory from rows of (image, x1, y1, x2, y2, score, class) and (image, x1, y1, x2, y2, class[,
    flags]).

    Flags is a set of "crowd", "difficult", "truncated", "occluded". Detections are sorted as a run keeps
    them.
    """
    d = np.array([row[:7] for row in dets], np.float64).reshape(-1, 7)
    t = np.array([row[:6] for row in objects], np.float64).reshape(-1, 6)
    flags = [set(row[6]) if len(row) > 6 else set() for row in objects]
    n = num_images or int(max(d[:, 0].max(initial=-1), t[:, 0].max(initial=-1))) + 1
    table = DetectionTable.build(d[:, 0], d[:, 1:5], d[:, 5], d[:, 6], count=n)
    truth = ObjectTable.build(
        t[:, 0],
        t[:, 1:5],
        t[:, 5],
        **{f: [f in s for s in flags] for f in ("crowd", "difficult", "truncated", "occluded")},
    )
    return run_from_tables(
        ClassMap(names),
        [f"img{i}" for i in range(n)],
        np.tile(np.int32(sizes), (n, 1)),
        truth,
        table,
        labelled=labelled,
        done=done,
        failed={s: "broken" for s in failed},
        floor=floor,
    )


def changed(run, **columns):
    """The run with other columns; what follows from them (readable, usable, version) follows anew."""
    other = copy.copy(run)
    for cached in ("readable", "usable", "version"):
        other.__dict__.pop(cached, None)
    if "name" in columns:
        other.manifest = other.manifest.model_copy(update={"name": columns.pop("name")})
    other.__dict__.update(columns)
    return other


def random_run(seed, *, images=12, classes=4, objects=4, dets=12, crowd=0.15, ties=True, size=60):
    """Crowded little images: many overlaps, tied scores and tied IoUs, crowd regions, classes without
    truth.
    """
    rng = np.random.default_rng(seed)

    def boxes(n):
        low = rng.integers(0, size - 12, (n, 2))
        return np.concatenate([low, low + rng.integers(4, 12, (n, 2)) * 2], axis=1).astype(float)

    truth_rows, det_rows = [], []
    for i in range(images):
        t = boxes(rng.integers(0, objects + 1))
        truth_rows += [
            (i, *box, rng.integers(0, classes - 1), {"crowd"} if rng.random() < crowd else set()) for box in t
        ]
        n = rng.integers(0, dets + 1)
        d = boxes(n)
        if len(t):
            near = rng.random(n) < 0.7
            shift = rng.integers(-2, 3, (n, 4)) * (rng.random((n, 1)) < 0.7)
            d = np.where(near[:, None], t[rng.integers(0, len(t), n)] + shift, d)
        d = np.maximum(d, 0)
        d[:, 2:] = np.maximum(d[:, 2:], d[:, :2])
        scores = rng.integers(1, 11, n) / 10 if ties else rng.random(n)
        det_rows += [(i, *box, s, rng.integers(0, classes)) for box, s in zip(d, scores)]
    names = tuple(f"c{k}" for k in range(classes))
    return make_run(det_rows, truth_rows, num_images=images, names=names, sizes=(size + 40, size + 20))


def coco_dicts(run, first_id=1):
    """The run as a COCO annotation dict and a results list; ids count from 1 in table order."""
    t, d = run.truth, run.detections

    def xywh(boxes):
        b = boxes.astype(np.float64)
        return np.concatenate([b[:, :2], b[:, 2:] - b[:, :2]], axis=1).tolist()

    truth = {
        "images": [{"id": i, "width": int(w), "height": int(h)} for i, (w, h) in enumerate(run.sizes)],
        "categories": [{"id": k, "name": n} for k, n in enumerate(run.class_map.names)],
        "annotations": [
            {
                "id": j + first_id,
                "image_id": int(r),
                "category_id": int(c),
                "bbox": b,
                "area": b[2] * b[3],
                "iscrowd": int(w),
            }
            for j, (r, c, b, w) in enumerate(zip(t.rows, t.class_ids, xywh(t.xyxy), t.crowd))
        ],
    }
    results = [
        {"image_id": int(r), "category_id": int(c), "bbox": b, "score": float(s)}
        for r, c, b, s in zip(d.rows, d.class_ids, xywh(d.xyxy), d.scores)
    ]
    return truth, results


def pycoco_eval(truth, results, **params):
    """pycocotools' COCOeval over dicts, evaluated quietly; params are set on its `params` before."""
    import contextlib
    import io

    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO()
        gt.dataset = truth
        gt.createIndex()
        dt = gt.loadRes(results) if results else COCO()
        if not results:
            dt.dataset = {"images": truth["images"], "categories": truth["categories"], "annotations": []}
            dt.createIndex()
        ev = COCOeval(gt, dt, "bbox")
        for name, value in params.items():
            setattr(ev.params, name, value)
        ev.evaluate()
        ev.accumulate()
        if not params:
            ev.summarize()
    return ev
