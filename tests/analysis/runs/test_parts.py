"""Two parts that hold one image: the first counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from analysis.runs import files
from analysis.runs.parts import Part, PartIndex, _take


def images_part(rows, detections, errors):
    n = len(rows)
    columns = {
        "row": rows,
        "width": [40 + r for r in detections],
        "height": [30] * n,
        "detections": detections,
        "error": errors,
    }
    missing = {f.name: pa.nulls(n, f.type) for f in files.IMAGES if f.name not in columns}
    return pa.table(
        {name: pa.array(v) if isinstance(v, list) else v for name, v in (columns | missing).items()}
    )


def test_the_first_of_two_parts_with_one_image_counts():
    n = 4
    index = PartIndex(
        Path(),
        [],
        np.zeros(n, bool),
        np.zeros((n, 2), np.int32),
        np.zeros(n, np.int32),
        np.full(n, -1, np.int32),
        {},
    )
    for number, (rows, detections, errors) in enumerate(
        [([0, 1], [5, 7], [None, None]), ([1, 2], [6, 9], ["torn", "torn"])]
    ):
        _take(index, images_part(rows, detections, errors), np.array(rows))
        index.parts.append(Part("w", number, rows[0], rows[-1], sum(detections)))
    assert index.owner.tolist() == [0, 0, 1, -1] and index.counts.tolist() == [5, 7, 9, 0]
    assert index.decoded[:, 0].tolist() == [45, 47, 49, 0] and index.done.tolist() == [
        True,
        True,
        True,
        False,
    ]
    assert index.errors == {2: "torn"} and index.total == 21
