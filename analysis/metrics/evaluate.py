"""AP and AR by COCO's rule, equal to pycocotools on the same boxes, computed by hotcoco.

    evaluate(run)
    evaluate(truth="instances.json", predictions="results.json")

Figures carry their settings. What COCO leaves undefined (no object of that size) is None here, where
pycocotools prints -1. One thing differs from pycocotools on purpose: an annotation with id 0, which
pycocotools takes for "no match" and so loses, counts like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from analysis.average_precision import INTERPOLATIONS
from analysis.matching.matches import DIFFICULT
from analysis.metrics.coco_choices import CROWD, EMPTY_CLASSES, IOUS, chosen_figures
from analysis.metrics.coco_columns import Columns, Found, Truth, columns_of_files, columns_of_run
from analysis.metrics.coco_json import Source, read_truth
from analysis.metrics.evaluation import (
    AREA_SOURCES,
    DEFAULTS,
    FIGURES,
    Evaluation,
    figures_of_arrays,
    figures_per_class,
    mean_of_defined,
    settings_of,
)
from analysis.metrics.streamed import evaluate_streamed
from analysis.runs.reader import RunReader
from analysis.runs.store import Run
from analysis.runs.streamed import StreamedRun
from detector.data.results import read_results
from detector.errors import CapabilityError, InputError


def evaluate(
    run: RunReader | None = None,
    *,
    truth: Source | None = None,
    predictions: Source | None = None,
    classes: Iterable[str | int] | None = None,
    images: np.ndarray | None = None,
    max_detections: Sequence[int] = (1, 10, 100),
    area: str = "file",
    crowd: str = "ignore",
    difficult: str = "count",
    interpolation: str = "101",
    classes_without_truth: str = "leave out",
    check: bool = True,
) -> Evaluation:
    """COCO's figures for a run, or for an annotation file and a results file.

    Args:
        run: a Run; its labelled images on which detection has finished are evaluated, over the classes of
            the data set.
        truth, predictions: COCO files (paths, or their parsed content) instead of a run.
        classes: names or ids (0..K-1) to narrow to; None means all.
        images: bool [N], the images to narrow to, in the order of the run or of the truth file.
        max_detections: COCO's three caps, of detections per image and class.
        area: what sizes an object: "file" (its stated area, COCO: the mask's; else the box) or "box".
        crowd: "ignore" (COCO), "count" (an object like any other) or "leave out" (detections on one are
            wrong).
        difficult: "count" (COCO) or "ignore" (VOC: neither found nor missed, any number of detections on it
            ignored).
        interpolation: "101" recall points (COCO), "11" or "all" (VOC).
        classes_without_truth: "leave out" of the mean (COCO), or "zero" where something was detected as one.
        check: refuse a results file with a plain mistake (normalised boxes, shifted ids, ...) by its name;
            False scores it as written and leaves the mistake in the notes.

    Raises:
        InputError: neither or both kinds of input, or an unknown choice.
        CapabilityError: other choices than COCO's of a run that is read in windows
            (`analysis.runs.streamed`).
        DataError: a file cannot be used, or its boxes or ids cannot be meant for this truth.
    """
    if (run is None) == (truth is None and predictions is None) or (truth is None) != (predictions is None):
        raise InputError("evaluate: expected a run, or truth= and predictions= together.")
    if area not in AREA_SOURCES:
        raise InputError(f"area: expected one of {', '.join(AREA_SOURCES)}, got {area!r}.")
    choices = {
        "crowd": (crowd, CROWD),
        "difficult": (difficult, DIFFICULT),
        "interpolation": (interpolation, INTERPOLATIONS),
        "classes_without_truth": (classes_without_truth, EMPTY_CLASSES),
    }
    for name, (value, known) in choices.items():
        if value not in known:
            raise InputError(f"{name}: expected one of {', '.join(known)}, got {value!r}.")
    caps = sorted(int(m) for m in max_detections)
    if len(caps) != 3 or caps[0] < 1:
        raise InputError(f"max_detections: expected three numbers of at least 1, got {list(max_detections)}.")
    if isinstance(run, StreamedRun):
        if (chosen := {name: value for name, (value, _) in choices.items()}) != DEFAULTS:
            other = ", ".join(
                f"{name} = {value!r}" for name, value in chosen.items() if value != DEFAULTS[name]
            )
            raise CapabilityError(
                f"A run read in windows is evaluated with COCO's own choices alone, not with {other}."
            )
        return evaluate_streamed(run, classes, images, caps, area)
    if run is not None:
        columns = columns_of_run(run)
    else:
        columns = columns_of_files(read_truth(truth), read_results(predictions), check)
    columns.narrow(classes, images)
    return _figures(columns, caps, area, run, {name: value for name, (value, _) in choices.items()})


def _figures(c: Columns, caps: list[int], area: str, run: Run | None, choices: dict[str, str]) -> Evaluation:
    truth, found = c.chosen()
    if area == "box":
        truth = replace(truth, areas=truth.xywh[:, 2] * truth.xywh[:, 3])
    images = np.flatnonzero(c.seen)
    figures: dict[str, float | None] = dict.fromkeys(FIGURES)
    by_class: dict[str, np.ndarray] = {}
    arrays: dict[str, np.ndarray] = {}
    matcher = "COCO"
    if len(images) and c.class_ids and choices == DEFAULTS:
        arrays, matcher = _through_hotcoco(c, images, truth, found, caps)
        figures, by_class = figures_of_arrays(arrays["precision"], arrays["recall"])
    elif len(images) and c.class_ids:
        figures, by_class = _chosen(c, truth, found, caps, choices)
    crowd = truth.crowd & (choices["crowd"] != "count") | truth.difficult & (choices["difficult"] == "ignore")
    objects = np.bincount(truth.kinds[~crowd], minlength=len(c.names))
    detections = np.bincount(found.kinds, minlength=len(c.names))
    per_class = figures_per_class(c.names, c.class_ids, by_class, objects, detections)
    return Evaluation(
        figures,
        per_class,
        settings_of(len(c.class_ids), caps, area, run, choices, matcher),
        images=len(images),
        objects=int((~crowd).sum()),
        crowd=int(crowd.sum()),
        detections=len(found.rows),
        notes=tuple(c.notes),
        arrays=arrays,
    )


def _through_hotcoco(
    c: Columns, images: np.ndarray, truth: Truth, found: Found, caps: list[int]
) -> tuple[dict[str, np.ndarray], str]:
    import hotcoco

    listed = [
        {"id": i, "width": max(w, 1), "height": max(h, 1)}
        for i, (w, h) in zip(c.rank[images].tolist(), np.asarray(c.sizes)[images].tolist())
    ]
    gt = hotcoco.COCO.from_arrays(
        listed,
        [{"id": k, "name": str(k)} for k in c.class_ids],
        truth.rows,
        truth.kinds,
        truth.xywh,
        ids=np.arange(1, len(truth.rows) + 1),
        area=truth.areas,
        iscrowd=truth.crowd,
    )
    dt = gt.load_res(np.column_stack([found.rows, found.xywh, found.scores, found.kinds]).astype(np.float64))
    ev = hotcoco.COCOeval(gt, dt, "bbox")
    ev.params.max_dets = caps
    ev.evaluate()
    ev.accumulate()
    return {
        "precision": ev.eval["precision"],
        "recall": ev.eval["recall"],
    }, f"COCO (hotcoco {hotcoco.__version__})"


def _chosen(
    c: Columns, truth: Truth, found: Found, caps: list[int], choices: dict[str, str]
) -> tuple[dict[str, float | None], dict[str, np.ndarray]]:
    """The figures by our own matcher, and per class; undefined is -1 as in hotcoco's arrays."""
    aps, recalls = chosen_figures(
        truth, found, num_images=len(c.seen), classes=c.class_ids, caps=caps, **choices
    )

    def over(area: str, cap: int | None = None) -> np.ndarray:
        values = [recalls[i, area, cap] if cap else aps[i, area] for i in IOUS.tolist()]
        return np.nan_to_num(np.stack(values), nan=-1.0)

    ap, last = over("all"), caps[-1]
    sizes = ("small", "medium", "large")
    values = [
        ap,
        ap[0],
        ap[5],
        *map(over, sizes),
        *(over("all", cap) for cap in caps),
        *(over(s, last) for s in sizes),
    ]
    return dict(zip(FIGURES, map(mean_of_defined, values))), {
        "AP": ap.T,
        "AP50": ap[:1].T,
        "AR": over("all", last).T,
    }
