"""Our matches as an evaluation that FiftyOne's own Model Evaluation panel opens.

Nothing is matched again: the matching is COCO's, which is what FiftyOne's `evaluate_detections` does too (26
s for 1,000 images here). Its numbers on the evaluation's own view are the same; a test holds them together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from analysis.fiftyone.fields import TRUTH, Names
from analysis.fiftyone.push.documents import Documents
from analysis.fiftyone.push.schema import counted_view
from analysis.fiftyone.push.verdicts import Judged
from analysis.runs.store import Run


def rows_of_results(run: Run, judged: Judged, documents: Documents) -> list[tuple]:
    """(object's class, detection's class, IoU, confidence, object's id, detection's id), None where a side is
    missing.
    """
    m, d, t = judged.matches, run.detections, run.truth
    names = run.class_map.names
    kept = documents.written(np.arange(len(d)))
    correct = np.flatnonzero((judged.det_verdict == "correct") & kept)
    wrong = np.flatnonzero(np.isin(judged.det_verdict, ("wrong", "duplicate")) & kept)
    missed = np.flatnonzero(judged.truth_verdict == "missed")
    partner = m.det_truth[correct]

    def text(ids: list[bytes]) -> list[str]:
        return [i.hex() for i in ids]

    rows = [
        (names[a], names[b], overlap, score, truth_id, det_id)
        for a, b, overlap, score, truth_id, det_id in zip(
            t.class_ids[partner].tolist(),
            d.class_ids[correct].tolist(),
            m.det_iou[correct].astype(np.float64).tolist(),
            d.scores[correct].astype(np.float64).tolist(),
            text(documents.truth_ids(partner)),
            text(documents.prediction_ids(correct)),
        )
    ]
    rows += [
        (None, names[c], None, score, None, det_id)
        for c, score, det_id in zip(
            d.class_ids[wrong].tolist(),
            d.scores[wrong].astype(np.float64).tolist(),
            text(documents.prediction_ids(wrong)),
        )
    ]
    rows += [
        (names[c], None, None, None, truth_id, None)
        for c, truth_id in zip(t.class_ids[missed].tolist(), text(documents.truth_ids(missed)))
    ]
    return rows


def register(
    dataset: Any,
    run: Run,
    judged: Judged,
    names: Names,
    documents: Documents,
    figures: Mapping[str, float | None] | None = None,
) -> None:
    """Store the evaluation under the run's key; one of the same key is replaced.

    `figures` (AP and the like, over every score) are shown beside FiftyOne's own as custom metrics.
    """
    from fiftyone.utils.eval.coco import COCOEvaluationConfig
    from fiftyone.utils.eval.detection import DetectionResults

    config = COCOEvaluationConfig(
        names.predictions,
        TRUTH,
        iou=judged.point["iou"],
        classwise=True,
        matcher="Boxscope, COCO's rule",
        operating_point=judged.words,
    )
    method = config.build()
    view = counted_view(dataset, judged, names)
    method.register_run(view, names.eval_key, overwrite=True, cleanup=False)
    metrics = {
        f"boxscope/{name}": {
            "key": name,
            "value": value,
            "label": f"{name} (every score)",
            "lower_is_better": False,
        }
        for name, value in (figures or {}).items()
        if value is not None
    }
    results = DetectionResults(
        view,
        config,
        names.eval_key,
        rows_of_results(run, judged, documents),
        custom_metrics=metrics or None,
        backend=method,
    )
    method.save_run_results(view, names.eval_key, results)
