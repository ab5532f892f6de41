"""TFRecords: framing, tf.train.Example, the OD API's keys, and back."""

from __future__ import annotations

import gzip
import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from detector.core import ClassMap
from detector.data import (
    Dataset,
    ObjectTable,
    check_images,
    count_problems,
    load_dataset,
    read_image,
    thumbnail,
)
from detector.data.formats.record_boxes import unround
from detector.data.formats.record_file import frame, read_records
from detector.data.formats.tf_example import BYTES, FLOATS, INTS, encode_example, parse_example
from detector.data.formats.tfrecord import find_tfrecord, is_record_file, write_tfrecord
from detector.data.images import picture_bytes, picture_length, read_header
from detector.data.label_map import read_label_map
from detector.data.members import address, find_member
from detector.errors import DataError, ImageError, InputError
from tests.detector.data.builders import encoded, exif, kinds, picture, pixels

INT64 = st.integers(-(2**63), 2**63 - 1)
FEATURES = st.dictionaries(
    st.text(max_size=8),
    st.one_of(
        st.tuples(st.just(BYTES), st.lists(st.binary(max_size=200), max_size=3)),
        st.tuples(st.just(FLOATS), st.lists(st.floats(width=32, allow_nan=False), max_size=5)),
        st.tuples(st.just(INTS), st.lists(INT64, max_size=5)),
    ),
    max_size=5,
)


def of(record: bytes) -> dict:
    """Features with the bytes in place of their places."""
    return {
        name: [record[slice(*v)] for v in f.values] if f.kind == BYTES else f.values
        for name, f in parse_example(record).items()
    }


@settings(max_examples=40, deadline=None)
@given(FEATURES)
def test_example_comes_back(features):
    record = encode_example(features)
    assert of(record) == {name: values for name, (_, values) in features.items()}
    assert {n: f.kind for n, f in parse_example(record).items() if f.values} == {
        n: k for n, (k, v) in features.items() if v
    }


@settings(max_examples=40, deadline=None)
@given(FEATURES.filter(len), st.data())
def test_a_damaged_example_is_a_value_error_or_another_example(features, data):
    record = bytearray(encode_example(features))
    record[data.draw(st.integers(0, len(record) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        parse_example(bytes(record))
    except (ValueError, UnicodeDecodeError):
        return


def test_example_by_hand():
    """Unpacked numbers, as other writers may put them: Example{Features{"n": Int64List{5, -1}}}."""
    minus_one = b"\xff" * 9 + b"\x01"
    values = b"\x08\x05\x08" + minus_one
    entry = b"\x0a\x01n" + b"\x12" + bytes([len(values) + 2]) + b"\x1a" + bytes([len(values)]) + values
    features = b"\x0a" + bytes([len(entry)]) + entry
    assert of(b"\x0a" + bytes([len(features)]) + features) == {"n": [5, -1]}
    assert encode_example({"n": (INTS, [5])}) == b"\x0a\x0c\x0a\x0a\x0a\x01n\x12\x05\x1a\x03\x0a\x01\x05"


CONTENTS = [b"", b"one", bytes(range(256)) * 3, b"four"]


def test_frames_of_the_standard():
    assert (
        frame(b"")[:8] == bytes(8)
        and len(frame(b"abc")) == 3 + 16
        and struct.unpack("<Q", frame(b"abc")[:8]) == (3,)
    )


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, sum(len(c) + 16 for c in CONTENTS)))
def test_a_truncated_file_gives_its_whole_records_and_says_where_it_ends(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("cut") / "x.record"
    path.write_bytes(b"".join(map(frame, CONTENTS))[:cut])
    problems = []
    found = [r.content for r in read_records(path, problems)]
    ends = np.cumsum([len(c) + 16 for c in CONTENTS])
    whole = int((ends <= cut).sum())
    assert found == CONTENTS[:whole]
    assert [p.kind for p in problems] == ([] if cut in (0, *ends) else ["truncated file"])
    assert all(f"record {whole + 1}" in p.message and p.path == str(path) for p in problems)


def test_a_damaged_record_is_left_out_by_number_and_a_damaged_length_ends_the_file(tmp_path):
    good = b"".join(map(frame, CONTENTS))
    path = tmp_path / "x.record"
    content = bytearray(good)
    content[16 + 12] ^= 1  # the "o" of the second record
    path.write_bytes(content)
    problems = []
    assert [r.content for r in read_records(path, problems)] == [CONTENTS[0], *CONTENTS[2:]]
    assert (
        [p.kind for p in problems] == ["damaged record"]
        and problems[0].message.startswith("record 2 ")
        and problems[0].left_out
    )
    content = bytearray(good)
    content[16] ^= 1
    path.write_bytes(content)
    problems = []
    assert [r.content for r in read_records(path, problems)] == CONTENTS[:1]
    assert [p.kind for p in problems] == ["damaged record"] and "record 2 has a damaged length" in problems[
        0
    ].message
    path.write_bytes(gzip.compress(good))
    with pytest.raises(DataError, match="gzip"):
        list(read_records(path, []))


@settings(max_examples=200, deadline=None)
@given(size=st.integers(1, 30_000), part=st.floats(0, 1), hundredths=st.booleans())
def test_fractions_give_back_pixels_within_the_stated_bound(size, part, hundredths):
    x = float(np.float32(round(part * size, 2) if hundredths else part * size))
    back = unround(np.float64(np.float32(x / size)) * np.ones((1, 4)), np.full(4, float(size)))[0, 0]
    assert abs(back - x) <= size * 2.0**-23
    if hundredths:
        assert np.float32(back) == np.float32(x)


def small(tmp_path, **more) -> Dataset:
    files = [
        picture(tmp_path / "src" / name, *size)
        for name, size in (("a.jpg", (40, 30)), ("b.png", (23, 57)), ("c.jpg", (31, 31)), ("d.jpg", (50, 20)))
    ]
    objects = ObjectTable.build(
        [0, 0, 1, 0],
        [[0, 0, 40, 30], [3.25, 4.1, 20.7, 29.33], [1, 2, 22, 50], [5, 5, 9, 11]],
        [1, 0, 2, 1],
        ids=[0, 1, 0, 2],
        crowd=[0, 0, 1, 0],
        difficult=[0, 1, 0, 0],
        truncated=[1, 0, 0, 0],
        **more,
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
        splits=["train", "val", "train", "val"],
    )


def records_of(path) -> list[dict]:
    problems = []
    found = [of(r.content) for r in read_records(path, problems)]
    assert problems == []
    return found


KEYS = {
    "image/height",
    "image/width",
    "image/filename",
    "image/source_id",
    "image/key/sha256",
    "image/encoded",
    "image/format",
    "image/object/bbox/xmin",
    "image/object/bbox/ymin",
    "image/object/bbox/xmax",
    "image/object/bbox/ymax",
    "image/object/class/text",
    "image/object/class/label",
    "image/object/difficult",
    "image/object/truncated",
    "image/object/view",
    "image/object/is_crowd",
}


def test_exactly_the_keys_of_the_od_api(tmp_path):
    source = small(tmp_path)
    write_tfrecord(source, tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "label_map.pbtxt",
        "train.record-00000-of-00001",
        "val.record-00000-of-00001",
    ]
    a, c = records_of(tmp_path / "out" / "train.record-00000-of-00001")
    assert set(a) == set(c) == KEYS
    assert (
        a["image/height"] == [30]
        and a["image/width"] == [40]
        and a["image/format"] == [b"jpeg"]
        and a["image/source_id"] == [b"a"]
    )
    assert (
        a["image/encoded"] == [(tmp_path / "src" / "a.jpg").read_bytes()]
        and len(a["image/key/sha256"][0]) == 64
        and a["image/filename"] == [b"a.jpg"]
    )
    assert a["image/object/class/text"] == [b"traffic light", b"dog", b"traffic light"] and a[
        "image/object/class/label"
    ] == [10, 18, 10]
    assert a["image/object/bbox/xmin"] == [0, np.float32(3.25 / 40), 0.125] and a[
        "image/object/bbox/ymax"
    ] == [1, np.float32(29.33 / 30), np.float32(11 / 30)]
    assert (
        a["image/object/difficult"] == [0, 1, 0]
        and a["image/object/truncated"] == [1, 0, 0]
        and a["image/object/view"] == [b"Unspecified"] * 3
    )
    assert c["image/object/bbox/xmin"] == [] and c["image/object/class/text"] == []
    assert dict(
        zip(
            *(
                getattr(read_label_map(tmp_path / "out" / "label_map.pbtxt"), f)
                for f in ("names", "external_ids")
            )
        )
    ) == {"dog": 18, "traffic light": 10, "a & b": 90}
    with_area = small(tmp_path, area=[600, np.nan, 30, np.nan])
    write_tfrecord(with_area, tmp_path / "area")
    first = records_of(tmp_path / "area" / "train.record-00000-of-00001")[0]
    assert set(first) == KEYS | {"image/object/area"} and first["image/object/area"] == [
        600,
        np.float32(np.float32(20.7 - 3.25) * np.float32(29.33 - 4.1)),
        24,
    ]


def test_round_trip_of_boxes_flags_ids_and_bytes(tmp_path):
    source = small(tmp_path, area=[600, 20, 30, 24])
    lost = write_tfrecord(source, tmp_path / "out")
    assert kinds_of(lost) == {"unlabelled picture": 1}
    back = load_dataset(tmp_path / "out")
    assert (
        back.format == "tfrecord"
        and back.sample_ids == ["a", "c", "b"]
        and back.splits == ["train", "train", "val"]
        and back.problems == ()
    )
    assert dict(zip(back.class_map.names, back.class_map.external_ids)) == {
        "dog": 18,
        "traffic light": 10,
        "a & b": 90,
    }
    for sample in back:
        old, new = source[sample.id].annotations, sample.annotations
        assert (
            np.array_equal(old.xyxy, new.xyxy)
            and np.array_equal(old.area, new.area)
            and np.array_equal(old.ids, new.ids)
        )
        assert [source.class_map.names[k] for k in old.class_ids] == [
            back.class_map.names[k] for k in new.class_ids
        ]
        for flag in ("crowd", "difficult", "truncated"):
            assert np.array_equal(getattr(old, flag), getattr(new, flag)), flag
        assert (
            picture_bytes(sample.path) == source[sample.id].path.read_bytes()
            and sample.path.name == source[sample.id].path.name
        )
        assert (
            np.array_equal(sample.load(), source[sample.id].load())
            and sample.image_size == source[sample.id].image_size
        )
    assert back.fingerprint == load_dataset(tmp_path / "out").fingerprint
    moved = (tmp_path / "out").rename(tmp_path / "elsewhere")
    assert load_dataset(moved).fingerprint == back.fingerprint
    assert check_images(load_dataset(moved)) == [] and len(load_dataset(moved, split="val")) == 1


def kinds_of(problems) -> dict[str, int]:
    return count_problems(problems)


def test_what_it_cannot_carry_is_said(tmp_path):
    source = small(tmp_path, occluded=[0, 0, 0, 1])
    table = ObjectTable.build(
        source.objects.rows,
        source.objects.xyxy,
        source.objects.class_ids,
        ids=[11, 12, 13, 14],
        occluded=[0, 0, 0, 1],
    )
    odd = Dataset(
        name="odd",
        format="x",
        source=tmp_path,
        class_map=source.class_map,
        sample_ids=source.sample_ids,
        sizes=source.sizes,
        objects=table,
        files=[
            source.files[0],
            tmp_path / "gone.jpg",
            source.files[2],
            str(picture(tmp_path / "src" / "e.png", 50, 20).rename(tmp_path / "src" / "e.bmp")),
        ],
    )
    Image.fromarray(pixels(50, 20)).save(tmp_path / "src" / "e.bmp")
    lost = write_tfrecord(odd, tmp_path / "out")
    assert kinds_of(lost) == {
        "flag not carried": 1,
        "ids not carried": 1,
        "missing image": 1,
        "picture re-encoded": 1,
    }
    back = load_dataset(tmp_path / "out")
    assert (
        back.sample_ids == ["a", "c", "d"]
        and back["d"].path.name == "e.png"
        and np.array_equal(back["d"].load(), pixels(50, 20))
    )
    for wrong in ({"pictures": "link"}, {"shards": 0}):
        with pytest.raises(InputError):
            write_tfrecord(odd, tmp_path / "out", **wrong)
    with pytest.raises(InputError, match="another number of shards"):
        write_tfrecord(odd, tmp_path / "out", shards=2)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_boxes_lie_on_the_stored_pixels_in_the_file_and_upright_here(tmp_path, orientation):
    """A red rectangle is where the box says: in the record for a decoder without EXIF, in the data set
    upright.
    """
    stored = np.full((32, 48, 3), 255, np.uint8)
    stored[4:20, 8:12] = (220, 20, 20)
    file = tmp_path / "p.jpg"
    file.write_bytes(encoded(stored, "JPEG", exif=exif(orientation), quality=95, subsampling=0))
    upright = read_image(file)
    ys, xs = np.nonzero(upright[:, :, 1] < 128)
    box = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    height, width = upright.shape[:2]
    source = Dataset(
        name="x",
        format="x",
        source="",
        class_map=ClassMap(("red",)),
        sample_ids=["p"],
        files=[file],
        sizes=[(width, height)],
        objects=ObjectTable.build([0], [box], [0]),
    )
    write_tfrecord(source, tmp_path / "out")
    record = records_of(tmp_path / "out" / "data.record-00000-of-00001")[0]
    assert (
        record["image/width"] == [48]
        and record["image/height"] == [32]
        and record["image/encoded"] == [file.read_bytes()]
    )
    corners = [record[f"image/object/bbox/{c}"][0] for c in ("xmin", "ymin", "xmax", "ymax")]
    assert np.allclose(np.array(corners) * (48, 32, 48, 32), [8, 4, 12, 20], atol=1.01)
    back = load_dataset(tmp_path / "out")
    assert (
        back.objects.xyxy.tolist() == [box] and back[0].image_size == (width, height) and back.problems == ()
    )
    assert np.array_equal(back.load_image(0), upright)


def example(picture: bytes = b"", **features) -> bytes:
    """A record of one 40x30 picture; keyword names without "image/", "__" for "/"."""
    kinds = {str: BYTES, bytes: BYTES, int: INTS, float: FLOATS}
    content = {"image/encoded": (BYTES, [picture or encoded(pixels(40, 30), "JPEG")])}
    for name, values in features.items():
        kind = kinds[type(values[0])] if values else FLOATS
        content["image/" + name.replace("__", "/")] = (
            kind,
            [v.encode() if isinstance(v, str) else v for v in values],
        )
    return frame(encode_example(content))


def boxes(*corners, **more) -> dict:
    columns = dict(zip(("xmin", "ymin", "xmax", "ymax"), map(list, zip(*corners))))
    return {f"object__bbox__{name}": values for name, values in columns.items()} | {
        f"object__class__{k}": v for k, v in more.items()
    }


def test_the_text_wins_over_the_label(tmp_path):
    (tmp_path / "train.record").write_bytes(
        example(
            source_id=["7"],
            **boxes((0.25, 0.5, 0.75, 1.0), (0.0, 0.0, 0.5, 0.5), text=["dog", "cat"], label=[3, 3]),
        )
    )
    bare = load_dataset(tmp_path)
    assert bare.class_map.names == ("cat", "dog") and bare.objects.class_ids.tolist() == [1, 0]
    assert (
        bare.objects.xyxy.tolist() == [[10, 15, 30, 30], [0, 0, 20, 15]]
        and bare.sample_ids == ["7"]
        and bare.splits == ["train"]
    )
    (tmp_path / "label_map.pbtxt").write_text("item { id: 3 name: 'dog' }\nitem { id: 5 name: 'cow' }\n")
    mapped = load_dataset(tmp_path)
    assert mapped.class_map.names == ("dog", "cow") and mapped.class_map.external_ids == (3, 5)
    assert kinds(mapped) == ["class names differ"] and mapped.objects.class_ids.tolist() == [0, 0]
    other = tmp_path / "other.txt"
    other.write_text("0 cat\n1 dog\n")
    asked = load_dataset(tmp_path / "train.record", label_map=other)
    assert (
        asked.class_map.names == ("cat", "dog")
        and asked.objects.class_ids.tolist() == [1, 0]
        and kinds(asked) == ["label differs", "label differs"]
    )


def test_labels_without_texts_and_texts_without_labels(tmp_path):
    box = (0.25, 0.5, 0.75, 1.0)
    (tmp_path / "a.record").write_bytes(
        example(**boxes(box, box, label=[4, 2])) + example(source_id=["2"], **boxes(box))
    )
    numbered = load_dataset(tmp_path / "a.record")
    assert numbered.class_map == ClassMap(
        ("class 2", "class 4"), (2, 4)
    ) and numbered.objects.class_ids.tolist() == [1, 0]
    assert kinds(numbered) == ["unknown class"] and numbered.sample_ids == ["a.record:1", "2"]
    (tmp_path / "b.tfrecord").write_bytes(
        example(filename=["x/y.png"], **boxes(box, text=["zebra crossing"]))
    )
    named = load_dataset(tmp_path / "b.tfrecord")
    assert (
        named.class_map == ClassMap(("zebra crossing",), (1,))
        and named.sample_ids == ["y.png"]
        and named[0].path.name == "y.png"
    )


def test_odd_records_are_named_by_number(tmp_path):
    good = boxes((0.25, 0.5, 0.75, 1.0), text=["dog"])
    uneven = {**good, "object__bbox__xmax": [0.5, 0.7]}
    pixel_box = boxes((10.0, 15.0, 30.0, 29.0), text=["dog"])
    turned = encoded(pixels(40, 30), "JPEG", exif=exif(6))
    content = [
        example(source_id=["1"], **good),
        example(source_id=["1"], **good),
        frame(b"\xff\xff"),
        frame(encode_example({"x": (INTS, [1])})),
        example(source_id=["5"], **uneven),
        example(source_id=["6"], **pixel_box),
        example(b"no picture", source_id=["7"], width=[40], height=[30], **good),
        example(source_id=["8"], width=[99], height=[30], **good),
        example(turned, source_id=["9"], width=[30], height=[40], **good),
        example(source_id=["10"], **boxes((0.5, 0.5, 0.5, 0.9), text=["dog"])),
        example(source_id=["11"]),
    ]
    (tmp_path / "x.record").write_bytes(b"".join(content))
    dataset = load_dataset(tmp_path)
    assert dataset.sample_ids == ["1", "1+2", "5", "6", "7", "8", "9", "10", "11"] and dataset.labelled.all()
    found = {p.kind: p.message for p in dataset.problems}
    assert count_problems(dataset.problems) == {
        "damaged record": 1,
        "missing image": 1,
        "malformed box": 1,
        "pixels where fractions are due": 1,
        "unreadable image": 1,
        "wrong size": 1,
        "annotated upright": 1,
        "duplicate id": 1,
        "zero-area box": 1,
    }
    assert (
        "record 3 " in found["damaged record"]
        and "record 4 " in found["missing image"]
        and "record 10, object 1" in found["zero-area box"]
    )
    assert dataset["9"].image_size == (30, 40) and dataset["9"].annotations.xyxy.tolist() == [
        [7.5, 20, 22.5, 40]
    ]
    with pytest.raises(ImageError):
        dataset["7"].load()
    with pytest.raises(DataError, match="no image|none could be read"):
        (tmp_path / "y.record").write_bytes(content[3])
        load_dataset(tmp_path / "y.record")


def test_shards_come_back_in_their_first_order_and_a_missing_one_is_named(tmp_path):
    files = [picture(tmp_path / "src" / f"{i}.png", 20 + i, 15) for i in range(7)]
    source = Dataset(
        name="seven",
        format="x",
        source="",
        class_map=ClassMap(("dog",)),
        sample_ids=[f"s{i}" for i in range(7)],
        files=files,
        sizes=[(20 + i, 15) for i in range(7)],
        objects=ObjectTable.build(range(7), [[1, 2, 3 + i, 9] for i in range(7)], [0] * 7),
    )
    out = tmp_path / "out"
    assert write_tfrecord(source, out, shards=3) == []
    names = [f"data.record-0000{k}-of-00003" for k in range(3)]
    assert sorted(p.name for p in out.iterdir()) == [*names, "label_map.pbtxt"]
    assert [len(records_of(out / n)) for n in names] == [3, 2, 2]
    for path in (out, out / "data.record", out / "data.record-?????-of-00003", out / "data.record*"):
        back = load_dataset(path)
        assert (
            back.sample_ids == source.sample_ids
            and np.array_equal(back.objects.xyxy, source.objects.xyxy)
            and back.problems == ()
        ), path
    alone = load_dataset(out / names[1])
    assert alone.sample_ids == ["s1", "s4"] and kinds(alone) == ["missing shard"]
    (out / names[0]).unlink()
    rest = load_dataset(out)
    assert (
        set(rest.sample_ids) == {"s1", "s2", "s4", "s5"}
        and kinds(rest) == ["missing shard"]
        and "00000" in rest.problems[0].message
    )
    for path in out.iterdir():
        path.unlink()
    with pytest.raises(DataError):
        load_dataset(out / "data.record")
    with pytest.raises(DataError, match="there are none"):
        load_dataset(out, format="tfrecord")


def test_names_of_record_files():
    good = (
        "x.record",
        "x.tfrecord",
        "x.TFRecord",
        "x.record-00000-of-00010",
        "train-00003-of-00032.tfrecord",
        "a.tfrecords-00000-of-00001",
    )
    assert all(map(is_record_file, good))
    assert not any(
        map(is_record_file, ("x.recording", "record", "x-00000-of-00010", "x.record-0-of-1", "x.jpg"))
    )


def test_one_id_in_two_splits_gets_the_split_before_it(tmp_path):
    for split in ("train", "val"):
        (tmp_path / f"{split}.record").write_bytes(example(source_id=["1"]))
    assert load_dataset(tmp_path).sample_ids == ["train/1", "val/1"] and [
        g.name for g in find_tfrecord(tmp_path)
    ] == ["train.record", "val.record"]


def test_a_picture_inside_a_file_is_read_like_a_file(tmp_path):
    data = encoded(pixels(40, 30), "PNG")
    (tmp_path / "box#1").write_bytes(b"12345" + data + b"rest")
    inner = address(tmp_path / "box#1", 5, len(data), "a/b.png")
    assert (
        find_member(inner) == (str(tmp_path / "box#1"), 5, len(data), "a_b.png")
        and find_member(tmp_path / "a#1.png") is None
    )
    assert (
        picture_bytes(inner) == data
        and picture_length(inner) == len(data)
        and read_header(inner).size == (40, 30)
    )
    assert np.array_equal(read_image(inner), pixels(40, 30)) and thumbnail(inner, 20).shape == (15, 20, 3)
    assert Image.open(io.BytesIO(picture_bytes(inner))).size == (40, 30)
    (tmp_path / "box#1").write_bytes(b"12345")
    for ask in (picture_bytes, read_header, read_image):
        with pytest.raises(ImageError):
            ask(inner)
    (tmp_path / "box#1").unlink()
    with pytest.raises(ImageError, match="no such file"):
        read_image(inner)
