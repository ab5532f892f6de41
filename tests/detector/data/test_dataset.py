"""Dataset: columns in, samples out; subsets keep rows, ids and problems together."""

from __future__ import annotations

import numpy as np
import pytest

from detector.core import ClassMap
from detector.data.dataset import Dataset, ObjectTable, Problem, count_problems
from detector.errors import InputError


def three_images(**changes) -> Dataset:
    objects = ObjectTable.build(
        rows=[2, 0, 2],
        xyxy=[[0, 0, 20, 30], [1, 1, 9, 5], [3, 3, 4, 4]],
        class_ids=[1, 0, 0],
        ids=[501, 0, 502],
        crowd=[True, False, False],
    )
    fields = dict(
        name="three",
        format="coco",
        source="here",
        class_map=ClassMap(("cat", "dog"), (17, 18)),
        sample_ids=["139", "x", "285"],
        files=["", "", ""],
        sizes=[[97, 41], [0, 0], [0, 0]],
        labelled=[True, False, True],
        objects=objects,
        splits=["train", None, "val"],
        problems=[
            Problem("zero-area box", "box 3", sample_id="285"),
            Problem("odd", "whole file"),
            Problem("odd", "139", sample_id="139"),
        ],
        loader=lambda i: np.full((41, 97, 3), i, np.uint8),
    )
    return Dataset(**{**fields, **changes})


def test_empty():
    empty = Dataset(name="none", format="folder", source="", class_map=ClassMap(()), sample_ids=[], files=[])
    assert len(empty) == 0 and list(empty) == [] and len(empty.fingerprint) == 64


def test_objects_are_grouped_by_image_in_their_order():
    d = three_images()
    assert d["285"].annotations.ids.tolist() == [501, 502] and d["285"].annotations.crowd.tolist() == [
        True,
        False,
    ]
    assert d[0].annotations.xyxy.tolist() == [[1, 1, 9, 5]]


def test_unlabelled_is_not_empty():
    d = three_images()
    assert d["x"].annotations is None
    labelled = three_images(labelled=[True, True, True])
    assert len(labelled["x"].annotations) == 0


def test_without_a_stated_size_the_frame_holds_the_boxes():
    assert three_images()["285"].annotations.image_size == (20, 30)
    assert three_images()["285"].image_size is None and three_images()[0].image_size == (97, 41)


def test_subset_renumbers_rows_and_keeps_pixels_and_problems_with_their_sample():
    d = three_images().subset(["285", "x"])
    assert d.sample_ids == ["x", "285"] and d["285"].annotations.ids.tolist() == [501, 502]
    assert d["285"].load()[0, 0, 0] == 2
    assert sorted(p.message for p in d.problems) == ["box 3", "whole file"]
    assert len(three_images().subset([])) == 0
    assert three_images().split("val").sample_ids == ["285"]


def test_unknown_samples_and_splits_are_named():
    with pytest.raises(InputError, match="no sample '7'"):
        three_images()["7"]
    named = three_images(files=["/a/000139.jpg", "", ""])
    for text in ("000139.jpg", "000139", "a/000139.jpg"):
        with pytest.raises(InputError, match="file name of the sample '139'"):
            named[text]
    with pytest.raises(InputError, match="it has train, val"):
        three_images().split("test")
    with pytest.raises(IndexError):
        three_images()[3]


def test_ids_may_not_repeat():
    with pytest.raises(InputError, match="'x' occurs twice"):
        three_images(sample_ids=["x", "x", "y"])


def test_the_fingerprint_sees_every_column_but_not_the_place(tmp_path):
    def fingerprint(folder, **changes):
        folder.mkdir()
        files = [folder / f"{i}.jpg" for i in range(3)]
        for i, file in enumerate(files):
            file.write_bytes(b"x" * (i + 1))
        return three_images(**{"files": files, **changes}).fingerprint

    first = fingerprint(tmp_path / "a")
    assert first == fingerprint(tmp_path / "b", name="other name")
    moved = ObjectTable.build(
        [2, 0, 2],
        [[0, 0, 20, 30], [1, 1, 9, 5.5], [3, 3, 4, 4]],
        [1, 0, 0],
        ids=[501, 0, 502],
        crowd=[1, 0, 0],
    )
    assert first != fingerprint(tmp_path / "c", objects=moved)
    assert first != fingerprint(tmp_path / "d", labelled=[True, True, True])
    assert first != fingerprint(tmp_path / "e", class_map=ClassMap(("cat", "fox"), (17, 18)))


def test_problems_are_counted_most_frequent_first():
    assert count_problems(three_images().problems) == {"odd": 2, "zero-area box": 1}
    assert str(Problem("k", "what", path="f.xml", line=7)) == "f.xml:7: what"
