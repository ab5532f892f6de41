"""Ground truth against the pictures as they decode.

An annotation file states a size; the picture may decode to another. Nobody can tell from the numbers whether
the boxes were drawn on the picture as it is, on a smaller copy, or on one lying on its side, so no box is
ever rescaled or turned: it is clipped to the picture, and the difference is a problem that names the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from detector.data.dataset import ObjectTable, Problem


def fit_truth(
    truth: ObjectTable,
    stated: np.ndarray,
    decoded: np.ndarray,
    sample_ids: Sequence[str],
    files: Sequence[str],
) -> tuple[ObjectTable, list[Problem]]:
    """Truth in the frame of the decoded pictures.

    Law: where every decoded size is the stated one or unknown, the truth comes back as it went in.

    Args:
        truth: boxes in the frame of the stated sizes.
        stated, decoded: int32 [N, 2] (W, H), zeros where unknown.
        sample_ids, files: N names for the problems.

    Returns:
        The truth, clipped; boxes that lay wholly outside their picture are left out. And one problem for each
        image whose size differs ("image size differs"), each that had boxes clipped ("box outside the
            image"),
        each that lost boxes (the same kind, left_out).
    """
    known = (decoded > 0).all(axis=1)
    said = (stated > 0).all(axis=1)
    differs = known & said & (stated != decoded).any(axis=1)
    check = known & (differs | ~said)
    if not check.any():
        return truth, []
    rows = np.flatnonzero(check[truth.rows])
    frame = decoded[truth.rows[rows]].astype(np.float32)
    boxes = truth.xyxy[rows]
    clipped = np.minimum(boxes, np.concatenate([frame, frame], axis=1))
    moved = (clipped != boxes).any(axis=1)
    before = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    gone = moved & before & ~(clipped[:, 2:] > clipped[:, :2]).all(axis=1)

    n = len(decoded)
    lost = np.bincount(truth.rows[rows[gone]], minlength=n)
    threshold = np.bincount(truth.rows[rows[moved & ~gone]], minlength=n)
    problems = []
    for i in np.flatnonzero(differs | (lost > 0) | (threshold > 0)):
        path, sample = str(files[i]), sample_ids[i]
        (w, h), (sw, sh) = decoded[i].tolist(), stated[i].tolist()
        if differs[i]:
            turned = (
                " (the same on its side: the boxes were probably drawn without the EXIF orientation)"
                if (w, h) == (sh, sw)
                else ""
            )
            problems.append(
                Problem(
                    "image size differs",
                    f"The annotations state {sw}x{sh} pixels, the picture decodes to {w}x{h}{turned}; the"
                    " boxes were kept as written.",
                    path,
                    sample_id=sample,
                )
            )
        if threshold[i]:
            problems.append(
                Problem(
                    "box outside the image",
                    f"{threshold[i]} of its boxes reached beyond the picture's {w}x{h} pixels and were"
                    " clipped.",
                    path,
                    sample_id=sample,
                )
            )
        if lost[i]:
            problems.append(
                Problem(
                    "box outside the image",
                    f"{lost[i]} of its boxes lay wholly outside the picture's {w}x{h} pixels and were left"
                    " out.",
                    path,
                    sample_id=sample,
                    left_out=True,
                )
            )
    if not moved.any():
        return truth, problems
    xyxy = truth.xyxy.copy()
    xyxy[rows] = clipped
    keep = np.ones(len(truth), bool)
    keep[rows[gone]] = False
    return replace(truth, xyxy=xyxy).take(keep), problems
