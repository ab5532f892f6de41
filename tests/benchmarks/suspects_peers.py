"""Planted label errors found by Boxscope, hotcoco, cleanlab's ObjectLab and FiftyOne, in one run.

    python -m tests.benchmarks.suspects_peers RUN [RUN ...] [--seeds 2] [--fiftyone]

Six labels in a hundred are spoilt, one kind at a time; each tool ranks all labels (or detections, for missing
ones). Printed: average precision and precision of the first 50, by kind and tool. cleanlab is optional (pip
install cleanlab).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np

from analysis.runs.store import open_run
from analysis.suspects.boxes import Scene, overlaps, scene_of
from analysis.suspects.planting import KINDS, Planted, plant
from analysis.suspects.ranking import LABEL_KINDS, rank

SHARE = 0.06


def precision_of(scores: np.ndarray, hits: np.ndarray, total: int) -> tuple[float, float]:
    """(average precision, precision of the first 50) of a ranking; ties in random order."""
    turn = np.random.default_rng(99_991).permutation(len(scores))  # not the seed that planted
    order = turn[np.argsort(-scores[turn], kind="stable")]
    right = hits[order].astype(float)
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    first = right[:50]
    return float((precision * right).sum() / max(1, total)), float(first.mean()) if len(first) else 0.0


def judge_labels(kind: str, scores: np.ndarray, planted: Planted) -> tuple[float, float]:
    """Scores of each label; of a duplicated pair either one is a hit, once."""
    hits = planted.kind >= 0
    total = int(hits.sum())
    if kind == "duplicate":
        labels = planted.labels
        pairs = overlaps(labels.rows, labels.xyxy, labels.rows[hits], labels.xyxy[hits])
        place = np.flatnonzero(hits)[pairs.truth]
        twin = (pairs.det != place) & (pairs.iou > 0.6) & (labels.classes[pairs.det] == labels.classes[place])
        scores = scores.copy()
        for a, b in zip(pairs.det[twin].tolist(), place[twin].tolist()):
            scores[b] = max(scores[a], scores[b])
            scores[a] = -np.inf
    return precision_of(scores, hits, total)


def judge_missing(
    scene: Scene, places: np.ndarray, scores: np.ndarray, planted: Planted
) -> tuple[float, float]:
    """Scores of detections; the first on a removed object is a hit, later ones on it do not count."""
    pairs = overlaps(
        scene.det_rows[places], scene.det_xyxy[places], planted.removed.rows, planted.removed.xyxy
    )
    on: dict[int, list[int]] = {}
    for d, t, iou in zip(pairs.det.tolist(), pairs.truth.tolist(), pairs.iou.tolist()):
        if iou >= 0.5:
            on.setdefault(d, []).append(t)
    hits, kept, used = np.zeros(len(places), bool), np.ones(len(places), bool), set()
    for d in np.argsort(-scores, kind="stable").tolist():
        if d in on:
            new = [t for t in on[d] if t not in used]
            hits[d], kept[d] = bool(new), bool(new)
            used.update(new[:1])
    return precision_of(scores[kept], hits[kept], len(planted.removed))


Judgement = dict[str, tuple[float, float]]


def boxscope(kind: str, scene: Scene, planted: Planted) -> tuple[float, float]:
    found = rank(scene)
    if kind == "missing":
        return judge_missing(scene, found.detections.places, found.missing, planted)
    return judge_labels(kind, found.labels[:, LABEL_KINDS.index(kind)], planted)


def by_score(kind: str, scene: Scene, planted: Planted) -> tuple[float, float] | None:
    """The plain rule a person would try first: the score of the unexplained detection, or of the lacking
    one.
    """
    pairs = overlaps(scene.det_rows, scene.det_xyxy, scene.labels.rows, scene.labels.xyxy)
    if kind == "missing":
        explained = np.zeros(len(scene.det_rows), bool)
        explained[pairs.det[pairs.iou >= 0.5]] = True
        places = np.flatnonzero(~explained)
        return judge_missing(scene, places, scene.det_scores[places], planted)
    best = np.zeros(len(scene.labels))
    same = (scene.det_classes[pairs.det] == scene.labels.classes[pairs.truth]) & (pairs.iou >= 0.5)
    np.maximum.at(best, pairs.truth[same], scene.det_scores[pairs.det[same]])
    return judge_labels(kind, 1 - best, planted)


def cleanlab(kind: str, scene: Scene, planted: Planted) -> tuple[float, float] | None:
    """ObjectLab: low scores are suspicious; it knows no spurious and no duplicate labels."""
    from cleanlab.object_detection import rank as lab

    if kind in ("spurious", "duplicate"):
        return None
    images = np.unique(np.concatenate([scene.labels.rows, scene.det_rows]))
    labels, predictions, label_places, det_places = [], [], [], []
    for i in images.tolist():
        mine = np.flatnonzero(scene.labels.rows == i)
        det = np.flatnonzero(scene.det_rows == i)
        labels.append({"bboxes": scene.labels.xyxy[mine], "labels": scene.labels.classes[mine]})
        label_places.append(mine)
        by_class, places = [], []
        for k in range(scene.classes):
            of = det[scene.det_classes[det] == k]
            places.append(of)
            by_class.append(np.column_stack([scene.det_xyxy[of], scene.det_scores[of]]).astype(np.float32))
        ragged = np.empty(len(by_class), object)
        ragged[:] = by_class
        predictions.append(ragged)
        det_places.append(np.concatenate(places))
    if kind == "missing":
        scores = np.concatenate(lab.compute_overlooked_box_scores(labels=labels, predictions=predictions))
        places = np.concatenate(det_places).astype(int)
        known = ~np.isnan(scores)
        return judge_missing(scene, places[known], 1 - scores[known], planted)
    score = lab.compute_swap_box_scores if kind == "wrong name" else lab.compute_badloc_box_scores
    out = np.zeros(len(scene.labels))
    for places, values in zip(label_places, score(labels=labels, predictions=predictions)):
        out[places] = 1 - np.nan_to_num(np.asarray(values, float), nan=1.0)
    return judge_labels(kind, out, planted)


def hotcoco_errors(kind: str, scene: Scene, planted: Planted) -> tuple[float, float] | None:
    """Its label error candidates: a wrong label or a missing annotation, by confidence."""
    import hotcoco

    if kind not in ("wrong name", "missing"):
        return None

    def xywh(b: np.ndarray) -> np.ndarray:
        return np.column_stack([b[:, :2], b[:, 2:] - b[:, :2]]).astype(float)

    images = [{"id": i, "width": int(w), "height": int(h)} for i, (w, h) in enumerate(scene.sizes.tolist())]
    labels, k = scene.labels, scene.classes
    gt = hotcoco.COCO.from_arrays(
        images,
        [{"id": c, "name": str(c)} for c in range(k)],
        labels.rows,
        labels.classes,
        xywh(labels.xyxy),
        ids=np.arange(1, len(labels) + 1),
        area=np.prod(labels.xyxy[:, 2:] - labels.xyxy[:, :2], axis=1),
        iscrowd=np.zeros(len(labels), bool),
    )
    table = np.column_stack([scene.det_rows, xywh(scene.det_xyxy), scene.det_scores, scene.det_classes])
    ev = hotcoco.COCOeval(gt, gt.load_res(table.astype(float)), "bbox")
    ev.evaluate()
    found = ev.image_diagnostics(iou_thr=0.5, score_thr=0.05)["label_errors"]
    out_labels, out_dets = np.zeros(len(labels)), np.zeros(len(scene.det_rows))
    for e in found:
        wrong = "wrong" in str(e["type"])
        if wrong and e.get("gt_id") is not None:
            place = int(e["gt_id"]) - 1
            out_labels[place] = max(out_labels[place], float(e["dt_score"]))
        elif not wrong:
            out_dets[int(e["dt_id"]) - 1] = float(e["dt_score"])
    if kind == "missing":
        places = np.flatnonzero(out_dets > 0)
        return judge_missing(scene, places, out_dets[places], planted)
    return judge_labels(kind, out_labels, planted)


def fiftyone_mistakenness(kind: str, scene: Scene, planted: Planted) -> tuple[float, float] | None:
    """mistakenness (names, places), possible missing and possible spurious; duplicates by its IoU search."""
    import fiftyone as fo
    import fiftyone.brain as fob

    if kind == "duplicate":
        return None
    dataset = fo.Dataset()
    names = [f"class {k}" for k in range(scene.classes)]

    def boxes(i: int, rows, xyxy, classes, scores=None) -> fo.Detections:
        w, h = scene.sizes[i]
        out = []
        for place in np.flatnonzero(rows == i).tolist():
            x1, y1, x2, y2 = (xyxy[place] / (w, h, w, h)).tolist()
            extra = {} if scores is None else {"confidence": float(scores[place])}
            out.append(
                fo.Detection(
                    label=names[classes[place]], bounding_box=[x1, y1, x2 - x1, y2 - y1], place=place, **extra
                )
            )
        return fo.Detections(detections=out)

    samples = [
        fo.Sample(
            filepath=f"/nowhere/{i}.jpg",
            truth=boxes(i, scene.labels.rows, scene.labels.xyxy, scene.labels.classes),
            found=boxes(i, scene.det_rows, scene.det_xyxy, scene.det_classes, scene.det_scores),
        )
        for i in np.unique(np.concatenate([scene.labels.rows, scene.det_rows])).tolist()
    ]
    dataset.add_samples(samples, progress=False)
    fob.compute_mistakenness(dataset, "found", label_field="truth", copy_missing=True, progress=False)
    labels, missing = np.zeros(len(scene.labels)), np.zeros(len(scene.det_rows))
    field = {"wrong name": "mistakenness", "badly placed": "mistakenness_loc"}.get(kind, "possible_spurious")
    for sample in dataset:
        for d in sample["truth"].detections:
            if d.has_field("possible_missing") and d["possible_missing"]:
                missing[d["place"]] = d["confidence"] if d["confidence"] is not None else 0.5
            elif d.has_field(field) and d[field] is not None:
                labels[d["place"]] = float(d[field])
    dataset.delete()
    if kind == "missing":
        places = np.flatnonzero(missing > 0)
        return judge_missing(scene, places, missing[places], planted)
    return judge_labels(kind, labels, planted)


TOOLS: dict[str, Callable] = {
    "Boxscope": boxscope,
    "score alone": by_score,
    "hotcoco": hotcoco_errors,
    "ObjectLab": cleanlab,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--fiftyone", action="store_true")
    options = parser.parse_args()
    tools = TOOLS | ({"FiftyOne": fiftyone_mistakenness} if options.fiftyone else {})
    print(f"{'run':<12} {'kind':<13}" + "".join(f"{name:>20}" for name in tools))
    for path in options.runs:
        whole = scene_of(open_run(path))
        for kind in KINDS:
            cells = {name: [] for name in tools}
            for seed in range(options.seeds):
                planted = plant(whole, {kind: SHARE}, seed)
                scene = whole.with_labels(planted.labels)
                for name, tool in tools.items():
                    try:
                        cells[name].append(tool(kind, scene, planted))
                    except ImportError:
                        cells[name].append(None)
            texts = []
            for values in cells.values():
                known = [v for v in values if v is not None]
                texts.append("-" if not known else "AP {:.3f} P@50 {:.2f}".format(*np.mean(known, axis=0)))
            print(
                f"{path.rstrip('/').split('/')[-1]:<12} {kind:<13}" + "".join(f"{t:>20}" for t in texts),
                flush=True,
            )


if __name__ == "__main__":
    main()
