"""A data set that already lives in FiftyOne as a source: field chosen, views respected, oddities named."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.fiftyone.pull.dataset import _build
from analysis.fiftyone_bridge import dataset_from_fiftyone
from detector.errors import InputError
from tests.analysis.fiftyone_runs import draw


def theirs(fo, tmp_path):
    """Three pictures of 100 x 80: a cat and an overhanging crowd of dogs, one known to be empty, one
    unlabelled.
    """
    files = [tmp_path / f"{n}.jpg" for n in "abc"]
    for file in files:
        draw(file, (100, 80), np.zeros((0, 4)))
    a, b, c = (fo.Sample(str(file)) for file in files)
    a["boxes"] = fo.Detections(
        detections=[
            fo.Detection(label="cat", bounding_box=[0.1, 0.25, 0.4, 0.5], iscrowd=False),
            fo.Detection(label="dog", bounding_box=[0.5, 0.5, 0.8, 0.25], iscrowd=True),
            fo.Detection(label="dog", bounding_box=[0.5, 0.5, 0.0, 0.25], iscrowd=False),
        ]
    )
    a["model"] = fo.Detections(
        detections=[fo.Detection(label="cow", bounding_box=[0, 0, 0.5, 0.5], confidence=0.5)]
    )
    b["boxes"] = fo.Detections()
    a.tags = ["val"]
    data = fo.Dataset("theirs", persistent=True)
    data.add_samples([a, b, c], dynamic=True)
    data.save_view("only b", data.match(fo.ViewField("filepath").ends_with("b.jpg")))
    return data


def test_nothing_in_it():
    empty = _build(
        "none",
        {
            "ids": [],
            "files": [],
            "width": [],
            "height": [],
            "splits": [],
            "flags": [],
            "classes": [],
            "field": None,
        },
    )
    assert len(empty) == 0 and len(empty.class_map) == 0


def test_a_field_and_a_view_of_a_data_set(fo, tmp_path):
    data = theirs(fo, tmp_path)
    ours = dataset_from_fiftyone("fiftyone://theirs", field="boxes")
    assert (
        ours.sample_ids == data.values("id")
        and ours.source == "fiftyone://theirs"
        and ours.splits == ["val", None, None]
    )
    assert ours.class_map.names == ("cat", "dog") and ours.labelled.tolist() == [True, True, False]
    np.testing.assert_allclose(ours.objects.xyxy, [[10, 20, 50, 60], [50, 40, 100, 60]], atol=1e-4)
    assert ours.objects.crowd.tolist() == [False, True] and ours.sizes.tolist() == [[100, 80]] * 3
    assert [(p.kind, p.sample_id) for p in ours.problems] == [("zero-area box", ours.sample_ids[0])]
    assert dataset_from_fiftyone("theirs", field="boxes", view="only b").sample_ids == [ours.sample_ids[1]]
    with pytest.raises(InputError, match="Say which label field to read; it has boxes, model"):
        dataset_from_fiftyone("theirs")
    with pytest.raises(InputError, match="no saved view 'x'; it has only b"):
        dataset_from_fiftyone("theirs", field="boxes", view="x")
