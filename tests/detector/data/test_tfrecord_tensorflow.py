"""What we write, read by TensorFlow itself, and what it writes, read by us."""

from __future__ import annotations

import numpy as np
import pytest

from detector.core import ClassMap
from detector.data import Dataset, ObjectTable, load_dataset
from detector.data.formats.tfrecord import write_tfrecord
from detector.data.images import read_image
from tests.detector.data.builders import encoded, picture, pixels


@pytest.fixture(scope="module")
def tf():
    return pytest.importorskip("tensorflow")


def test_parse_single_example_reads_ours(tmp_path, tf):
    file = picture(tmp_path / "a.jpg", 41, 30)
    source = Dataset(
        name="x",
        format="x",
        source="",
        class_map=ClassMap(("dog", "cat"), (3, 7)),
        sample_ids=["9"],
        files=[file],
        sizes=[(41, 30)],
        objects=ObjectTable.build(
            [0, 0], [[1, 2, 22.5, 30], [5, 5, 9, 11]], [1, 0], difficult=[1, 0], crowd=[0, 1], area=[99, 24]
        ),
    )
    write_tfrecord(source, tmp_path / "out")
    one = {
        "encoded": tf.string,
        "format": tf.string,
        "filename": tf.string,
        "source_id": tf.string,
        "key/sha256": tf.string,
        "height": tf.int64,
        "width": tf.int64,
    }
    many = {
        "bbox/xmin": tf.float32,
        "bbox/ymin": tf.float32,
        "bbox/xmax": tf.float32,
        "bbox/ymax": tf.float32,
        "area": tf.float32,
        "class/text": tf.string,
        "class/label": tf.int64,
        "difficult": tf.int64,
        "truncated": tf.int64,
        "is_crowd": tf.int64,
        "view": tf.string,
        "group_of": tf.int64,
    }
    keys = {f"image/{k}": tf.io.FixedLenFeature((), t) for k, t in one.items()} | {
        f"image/object/{k}": tf.io.VarLenFeature(t) for k, t in many.items()
    }
    records = list(tf.data.TFRecordDataset(str(tmp_path / "out" / "data.record-00000-of-00001")))
    assert len(records) == 1
    parsed = {
        k: (tf.sparse.to_dense(v) if hasattr(v, "indices") else v).numpy()
        for k, v in tf.io.parse_single_example(records[0], keys).items()
    }
    assert (
        parsed["image/width"] == 41
        and parsed["image/height"] == 30
        and parsed["image/source_id"] == b"9"
        and parsed["image/format"] == b"jpeg"
    )
    assert parsed["image/object/class/text"].tolist() == [b"cat", b"dog"] and parsed[
        "image/object/class/label"
    ].tolist() == [7, 3]
    assert np.array_equal(parsed["image/object/bbox/xmax"], np.float32([22.5 / 41, 9 / 41])) and parsed[
        "image/object/is_crowd"
    ].tolist() == [0, 1]
    assert (
        parsed["image/object/area"].tolist() == [99, 24]
        and parsed["image/object/difficult"].tolist() == [1, 0]
        and parsed["image/object/group_of"].size == 0
    )
    shown = tf.io.decode_jpeg(parsed["image/encoded"], dct_method="INTEGER_ACCURATE").numpy()
    assert np.array_equal(shown, read_image(file))


def test_we_read_tensorflows(tmp_path, tf):
    def feature(**kind):
        lists = {
            "bytes": (tf.train.BytesList, "bytes_list"),
            "floats": (tf.train.FloatList, "float_list"),
            "ints": (tf.train.Int64List, "int64_list"),
        }
        ((name, values),) = kind.items()
        make, field = lists[name]
        return tf.train.Feature(**{field: make(value=values)})

    picture_file = encoded(pixels(40, 30), "PNG")
    example = tf.train.Example(
        features=tf.train.Features(
            feature={
                "image/encoded": feature(bytes=[picture_file]),
                "image/format": feature(bytes=[b"png"]),
                "image/source_id": feature(bytes=[b"42"]),
                "image/height": feature(ints=[30]),
                "image/width": feature(ints=[40]),
                "image/object/class/label": feature(ints=[2, 1]),
                "image/object/class/text": feature(bytes=[b"dog", b"cat"]),
                "image/object/is_crowd": feature(ints=[0, 1]),
                "image/object/bbox/xmin": feature(floats=[0.25, 0]),
                "image/object/bbox/xmax": feature(floats=[0.5, 1]),
                "image/object/bbox/ymin": feature(floats=[0.1, 0]),
                "image/object/bbox/ymax": feature(floats=[0.9, 1]),
            }
        )
    )
    with tf.io.TFRecordWriter(str(tmp_path / "val.tfrecord")) as writer:
        writer.write(example.SerializeToString())
    dataset = load_dataset(tmp_path)
    assert (
        dataset.sample_ids == ["42"]
        and dataset.splits == ["val"]
        and dataset.class_map == ClassMap(("cat", "dog"), (1, 2))
        and dataset.problems == ()
    )
    assert (
        dataset.objects.xyxy.tolist() == [[10, 3, 20, 27], [0, 0, 40, 30]]
        and dataset.objects.class_ids.tolist() == [1, 0]
        and dataset.objects.crowd.tolist() == [False, True]
    )
    assert np.array_equal(dataset.load_image(0), pixels(40, 30))
