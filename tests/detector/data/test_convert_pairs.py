"""Every format into every other: what both can carry comes back, and the rest was said."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from detector.core import FLAGS, ClassMap
from detector.data import Dataset, ObjectTable, load_dataset
from detector.data.formats.tfrecord import write_tfrecord
from detector.data.formats.writing import write_coco, write_csv, write_voc, write_yolo
from detector.data.images import picture_bytes
from detector.data.label_map import write_label_map
from detector.paths import ROOT
from tests.detector.data.builders import picture

WRITERS = {
    "coco": write_coco,
    "voc": write_voc,
    "yolo": write_yolo,
    "csv": write_csv,
    "tfrecord": write_tfrecord,
}
CARRIES = {
    "coco": set(FLAGS),
    "voc": {"difficult", "truncated", "occluded"},
    "yolo": set(),
    "csv": set(FLAGS),
    "tfrecord": {"crowd", "difficult", "truncated"},
}
UNLABELLED = {"voc", "yolo"}
"""Formats that can say that a picture is not labelled; the others leave it out."""
BOUND = {"coco": 1e-5, "voc": 0.0, "csv": 0.0, "yolo": 1e-4, "tfrecord": 1e-4}
"""How far a coordinate may come back from where it was, in pixels, at pictures of at most 60 pixels."""
SIZES = [(40, 30), (23, 57), (31, 31)]
NAMES = ("dog", "traffic light", "Ram C/V <van> & 'co'", "日本")


@st.composite
def boxes(draw, size: tuple[int, int]) -> list[float]:
    """Corners on hundredths of a pixel, more than a pixel wide and high."""

    def span(limit: int) -> tuple[float, float]:
        low = draw(st.integers(0, (limit - 2) * 100))
        return low / 100, draw(st.integers(low + 101, limit * 100)) / 100

    (x1, x2), (y1, y2) = span(size[0]), span(size[1])
    return [x1, y1, x2, y2]


@st.composite
def datasets(draw) -> dict:
    rows, corners = [], []
    for i, size in enumerate(SIZES):
        own = draw(st.lists(boxes(size), max_size=3))
        rows += [i] * len(own)
        corners += own
    n = len(rows)
    flags = {flag: draw(st.lists(st.booleans(), min_size=n, max_size=n)) for flag in FLAGS}
    classes = draw(st.lists(st.integers(0, len(NAMES) - 1), min_size=n, max_size=n))
    splits = draw(st.lists(st.sampled_from(["train", "val", "test"]), min_size=3, max_size=3))
    labelled = [draw(st.booleans()) or i in rows for i in range(3)]
    labelled[draw(st.integers(0, 2))] = True  # without a single label there is no annotation file to convert
    return {
        "rows": rows,
        "corners": corners,
        "flags": flags,
        "classes": classes,
        "splits": splits,
        "labelled": labelled,
        "sparse": draw(st.booleans()),
    }


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    return [picture(folder / name, *size) for name, size in zip(("a.jpg", "b.png", "ç d.jpg"), SIZES)]


def build(drawn: dict, files: list[Path]) -> Dataset:
    table = ObjectTable.build(drawn["rows"], drawn["corners"], drawn["classes"], **drawn["flags"])
    ids = (3, 7, 8, 90) if drawn["sparse"] else (1, 2, 3, 4)
    return Dataset(
        name="drawn",
        format="x",
        source="",
        class_map=ClassMap(NAMES, ids),
        sample_ids=["a", "b", "ç d"],
        files=files,
        sizes=SIZES,
        labelled=drawn["labelled"],
        objects=table,
        splits=drawn["splits"],
    )


def by_stem(dataset: Dataset) -> dict[str, int]:
    return {Path(file).stem: i for i, file in enumerate(dataset.files)}


@pytest.mark.parametrize("second", WRITERS)
@pytest.mark.parametrize("first", WRITERS)
@settings(
    max_examples=3,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(drawn=datasets())
def test_pair(first, second, files, drawn):
    source = build(drawn, files)
    root = Path(tempfile.mkdtemp())
    try:
        dataset, lost = source, []
        for step, name in enumerate((first, second)):
            lost += WRITERS[name](dataset, root / str(step))
            write_label_map(dataset.class_map, root / str(step) / "label_map.pbtxt")
            dataset = load_dataset(root / str(step), format=name)
        compare(source, dataset, {first, second}, Counter(p.kind for p in lost))
    finally:
        shutil.rmtree(root)


def compare(source: Dataset, back: Dataset, formats: set[str], lost: Counter) -> None:
    kept = set.intersection(*(CARRIES[name] for name in formats))
    bound = sum(BOUND[name] for name in formats)
    dropped = formats - UNLABELLED
    old, new = by_stem(source), by_stem(back)
    wanted = {stem for stem, i in old.items() if source.labelled[i] or not dropped}
    assert set(new) == wanted and lost["unlabelled picture"] == (len(old) - len(wanted) if dropped else 0)
    assert dict(zip(back.class_map.names, back.class_map.external_ids)) == dict(
        zip(source.class_map.names, source.class_map.external_ids)
    )
    for stem in wanted:
        i, j = old[stem], new[stem]
        assert back.splits[j] == source.splits[i] and picture_bytes(back.files[j]) == picture_bytes(
            source.files[i]
        )
        one, two = source.annotations(i), back.annotations(j)
        assert (one is None) == (two is None)
        if one is None:
            continue
        assert len(one) == len(two) and np.abs(one.xyxy - two.xyxy).max(initial=0) <= bound
        assert [source.class_map.names[k] for k in one.class_ids] == [
            back.class_map.names[k] for k in two.class_ids
        ]
        for flag in kept:
            assert np.array_equal(getattr(one, flag), getattr(two, flag)), flag
        for flag in set(FLAGS) - kept:
            assert not getattr(two, flag).any()
    gone = [flag for flag in set(FLAGS) - kept if getattr(source.objects, flag).any()]
    assert bool(gone) == bool(lost["flag not carried"])


def test_the_table_of_what_is_carried_is_the_one_in_the_documents():
    """docs/data.md promises what this file proves."""
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    for name in ("COCO", "VOC", "YOLO", "CSV", "TFRecord"):
        assert f"\n| {name} |" in text, name
