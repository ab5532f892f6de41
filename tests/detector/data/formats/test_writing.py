"""Written and read again: the same boxes, classes and flags, as far as the format goes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.core import FLAGS, ClassMap
from detector.data import Dataset, ObjectTable, load_dataset
from detector.data.formats.writing import write_coco, write_csv, write_voc, write_yolo
from detector.errors import InputError
from tests.detector.data.builders import picture

WRITERS = {"coco": write_coco, "voc": write_voc, "yolo": write_yolo, "csv": write_csv}
CARRIES = {
    "coco": set(FLAGS),
    "voc": {"difficult", "truncated", "occluded"},
    "yolo": set(),
    "csv": set(FLAGS),
}


def small(tmp_path, splits=("train", "val", None, "val")) -> Dataset:
    files = [
        picture(tmp_path / "src" / name, *size)
        for name, size in (("a.jpg", (40, 30)), ("b.png", (23, 57)), ("c.jpg", (31, 31)), ("d.jpg", (50, 20)))
    ]
    objects = ObjectTable.build(
        [0, 0, 1, 0],
        [[0, 0, 40, 30], [3.25, 4.1, 20.7, 29.33], [1, 2, 22, 50], [5, 5, 9, 11]],
        [1, 0, 2, 1],
        ids=[11, 12, 13, 14],
        crowd=[0, 0, 1, 0],
        difficult=[0, 1, 0, 0],
        truncated=[1, 0, 0, 0],
        occluded=[0, 0, 0, 1],
        area=[600, np.nan, 30, np.nan],
    )
    return Dataset(
        name="small",
        format="test",
        source=tmp_path,
        class_map=ClassMap(("dog", "traffic light", "a & b"), (18, 10, 90)),
        sample_ids=["a", "b", "c", "d"],
        files=files,
        sizes=[(40, 30), (23, 57), (31, 31), (50, 20)],
        labelled=[True, True, True, False],
        objects=objects,
        splits=splits,
    )


def by_stem(dataset):
    return {sample.path.stem: sample for sample in dataset}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("pictures", ["copy", "link"])
def test_round_trip(tmp_path, name, pictures):
    source = small(tmp_path)
    lost = WRITERS[name](source, tmp_path / "out", pictures=pictures)
    back = load_dataset(tmp_path / "out")
    assert back.format == name
    old, new = by_stem(source), by_stem(back)
    for stem in ("a", "b", "c"):
        one, two = old[stem].annotations, new[stem].annotations
        assert np.allclose(one.xyxy, two.xyxy, atol=1e-5 if name != "yolo" else 1e-4, rtol=0)
        assert [source.class_map.names[k] for k in one.class_ids] == [
            back.class_map.names[k] for k in two.class_ids
        ]
        for flag in CARRIES[name]:
            assert np.array_equal(getattr(one, flag), getattr(two, flag)), flag
        assert new[stem].split == (old[stem].split or ("train" if name == "yolo" else None))
        assert np.array_equal(old[stem].load(), new[stem].load())
    told = {p.message.split(" flag")[0].split()[-1] for p in lost if p.kind == "flag not carried"}
    assert told == set(FLAGS) - CARRIES[name]
    unlabelled = [p.sample_id for p in lost if p.kind == "unlabelled picture"]
    if name in ("coco", "csv"):
        assert unlabelled == ["d"] and ("d" not in new or new["d"].annotations is None)
    else:
        assert unlabelled == [] and new["d"].annotations is None
    if name == "coco":
        assert back.class_map.external_ids == (10, 18, 90)
        assert sorted(back.objects.ids.tolist()) == [11, 12, 13, 14] and sorted(back.objects.area.tolist())[
            :2
        ] == [24, 30]


@pytest.mark.parametrize("name", WRITERS)
def test_an_empty_data_set_can_be_written(tmp_path, name):
    empty = Dataset(
        name="none",
        format="x",
        source="",
        class_map=ClassMap(("dog",)),
        sample_ids=[],
        files=[],
        objects=ObjectTable.empty(),
    )
    assert WRITERS[name](empty, tmp_path / "out") == []


@pytest.mark.parametrize("name", ["voc", "csv"])
def test_boxes_too_thin_for_inclusive_pixels_are_named(tmp_path, name):
    source = small(tmp_path)
    thin = Dataset(
        name="thin",
        format="x",
        source="",
        class_map=ClassMap(("dog",)),
        sample_ids=["a"],
        files=[source.files[0]],
        sizes=[(40, 30)],
        objects=ObjectTable.build([0, 0], [[4, 5, 5, 9], [4, 5, 5.5, 9]], [0, 0]),
    )
    lost = WRITERS[name](thin, tmp_path / "out")
    assert [p.kind for p in lost] == ["box too thin"] and lost[0].left_out
    assert load_dataset(tmp_path / "out").objects.xyxy.tolist() == [[4, 5, 5.5, 9]]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(0, 38, width=32),
            st.floats(0, 28, width=32),
            st.floats(1.0625, 40, width=32),
            st.floats(1.0625, 30, width=32),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_boxes_come_back_bit_by_bit_from_inclusive_pixels(rows):
    from detector.data.formats.writing import _one_based

    for x, y, w, h in rows:
        box = np.float32([x, y, x + w, y + h])
        back = np.array([float(v) for v in _one_based(box)]) - (1, 1, 0, 0)
        # Adding VOC's 1 in float64 costs 2.2e-16; no float32 above a millionth notices.
        assert np.allclose(back, box, rtol=0, atol=3e-16) and np.array_equal(
            back.astype(np.float32)[box > 1e-6], box[box > 1e-6]
        )


def test_pictures_made_in_memory_are_written_as_png(tmp_path):
    image = np.arange(6 * 4 * 3, dtype=np.uint8).reshape(4, 6, 3)
    source = Dataset(
        name="memory",
        format="x",
        source="",
        class_map=ClassMap(("dog",)),
        sample_ids=["one"],
        files=[""],
        sizes=[(6, 4)],
        objects=ObjectTable.build([0], [[1, 1, 4, 3]], [0]),
        loader=lambda i: image,
    )
    for name, writer in WRITERS.items():
        writer(source, tmp_path / name)
        assert np.array_equal(load_dataset(tmp_path / name)[0].load(), image), name


def test_pictures_none_and_same_names(tmp_path):
    source = small(tmp_path)
    write_coco(source, tmp_path / "out", pictures="none")
    assert (
        by_stem(load_dataset(tmp_path / "out"))["a"].path == tmp_path / "src" / "a.jpg"
        and not (tmp_path / "out" / "images").exists()
    )
    with pytest.raises(InputError, match="YOLO"):
        write_yolo(source, tmp_path / "y", pictures="none")
    with pytest.raises(InputError, match="copy, link, none"):
        write_voc(source, tmp_path / "v", pictures="move")
    twice = Dataset(
        name="twice",
        format="x",
        source="",
        class_map=ClassMap(("dog",)),
        sample_ids=["x/a.jpg", "y/A.jpg"],
        files=[picture(tmp_path / "x" / "a.jpg", 8, 6), picture(tmp_path / "y" / "A.jpg", 6, 8)],
        objects=ObjectTable.empty(),
    )
    write_voc(twice, tmp_path / "t")
    assert sorted(s.load().shape for s in load_dataset(tmp_path / "t")) == [(6, 8, 3), (8, 6, 3)]


def test_a_yolo_set_written_again_keeps_labels_and_folders(tmp_path):
    source = small(tmp_path, splits=("test", "test", "test", "test"))
    write_yolo(source, tmp_path / "one")
    one = load_dataset(tmp_path / "one")
    assert set(one.splits) == {"test"}  # data.yaml names the folder as val too, as Ultralytics wants one
    write_yolo(one, tmp_path / "two")
    two = load_dataset(tmp_path / "two")
    assert two.sample_ids == one.sample_ids and two.labelled.tolist() == one.labelled.tolist() == [
        True,
        True,
        True,
        False,
    ]
    assert sorted(p.name for p in (tmp_path / "two" / "labels" / "test").iterdir()) == [
        "a.txt",
        "b.txt",
        "c.txt",
    ]


def test_image_sets_hold_names_with_blanks(tmp_path):
    file = picture(tmp_path / "src" / "my car 1.jpg", 40, 30)
    source = Dataset(
        name="x",
        format="x",
        source="",
        class_map=ClassMap(("car",)),
        sample_ids=["my car 1"],
        files=[file],
        sizes=[(40, 30)],
        objects=ObjectTable.build([0], [[1, 2, 9, 9]], [0]),
        splits=["val"],
    )
    write_voc(source, tmp_path / "out")
    assert load_dataset(tmp_path / "out").splits == ["val"]
    (tmp_path / "out" / "ImageSets" / "Main" / "val.txt").write_text("my car 1 -1\n")
    assert load_dataset(tmp_path / "out").splits == ["val"]
