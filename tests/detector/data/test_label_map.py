from __future__ import annotations

import pytest

from detector import load_dataset
from detector.core import ClassMap
from detector.data.label_map import label_map_aliases, read_label_map, write_label_map
from detector.errors import DataError


def written(tmp_path, text, name="map.pbtxt"):
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    "text",
    [
        "item {\n  id: 1\n  name: 'cat'\n}\nitem {\n  id: 3\n  name: 'big dog'\n}\n",
        '# made by hand\nitem{id:3 name:"big dog"}item{name:"cat",id:1}',
        (
            'item {\n name: "/m/01yrx"\n id: 1\n display_name: "cat"\n}\n\n\nitem\n{ id :3 , display_name'
            " : 'big dog' keypoints { id: 7 label: 'nose' } }"
        ),
        "item: {\n  name: 'cat'\n  id: 1\n}\nitem: {\n  name: 'big dog'\n  id: 3\n}",
    ],
)
def test_pbtxt_however_spaced(tmp_path, text):
    assert read_label_map(written(tmp_path, text)) == ClassMap(("cat", "big dog"), (1, 3))


def test_text_lists(tmp_path):
    assert read_label_map(written(tmp_path, "cat\n\n big  dog \n", "labelmap.txt")) == ClassMap(
        ("cat", "big dog"), (0, 1)
    )
    assert read_label_map(written(tmp_path, "???\ncat\n???\ndog\n", "labelmap.txt")) == ClassMap(
        ("cat", "dog"), (1, 3)
    )
    assert read_label_map(written(tmp_path, "0 cat\n5: big dog\n", "labelmap.txt")) == ClassMap(
        ("cat", "big dog"), (0, 5)
    )


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", None, "empty"),
        ("item {\n id: 1\n name: 'a'\n}\nitem {\n id: 1\n name: 'b'\n}", 5, "1 stands on line 1 too"),
        ("item {\n id: one\n name: 'a'\n}", 1, "whole number"),
        ("item {\n id: 2\n}", 1, "a name for item 2"),
        ("item {\n id: 2\n name: 'a'\n", 1, "ends inside"),
        ("item {\n id: 1\n name: 'a'\n id: 2\n name: 'b'\n}", 4, "one id in an item"),
        ("item {\n id: 1\n name: 'a'\n name: 'b'\n}", 4, "one name in an item"),
        ("item {\n id: 0\n name: 'background'\n}", None, "besides the background"),
        ("cat\ndog\ncat\n", 3, "'cat' stands on line 1"),
    ],
)
def test_faults_have_their_line(tmp_path, text, line, words):
    with pytest.raises(DataError, match=words) as caught:
        read_label_map(written(tmp_path, text))
    assert caught.value.line == line


def test_round_trip_with_quotes(tmp_path):
    classes = ClassMap(("it's", 'a "b"', "c\\d"), (2, 5, 90))
    write_label_map(classes, tmp_path / "map.pbtxt")
    assert read_label_map(tmp_path / "map.pbtxt") == classes


def test_label_maps_of_real_networks(shared):
    assert read_label_map(shared / "data" / "raccoon" / "training" / "object-detection.pbtxt") == ClassMap(
        ("raccoon",), (1,)
    )
    folder = shared / "weights" / "ssd_mobilenet_v2_fpnlite_drowsiness"
    assert set(read_label_map(folder / "labelmap.pbtxt").names) == set(
        read_label_map(folder / "labelmap.txt").names
    )


@pytest.mark.parametrize(
    ("written_as", "name"),
    [
        (r"'caf\303\251'", "café"),
        (r"'caf\xc3\xa9'", "café"),
        (r"'caf\u00e9'", "café"),
        ("'café'", "café"),
        (r"'it\'s'", "it's"),
        (r"'a\tb'", "a\tb"),
        (r"'a\\nb'", r"a\nb"),
        ("'big ' \"dog\"", "big dog"),
    ],
)
def test_texts_as_protobuf_writes_them(tmp_path, written_as, name):
    text = f"item {{\n  name: {written_as}\n  id: 2\n}}\n"
    assert read_label_map(written(tmp_path, text)) == ClassMap((name,), (2,))


@pytest.mark.parametrize(("number", "id"), [("0x1f", 31), ("017", 15), ("90", 90), ("0", 0)])
def test_numbers_as_protobuf_writes_them(tmp_path, number, id):
    text = f"item {{ id: {number} name: 'cat' }}"
    assert read_label_map(written(tmp_path, text)).external_ids == (id,)


def test_the_background_is_no_class_of_a_pbtxt(tmp_path):
    text = "item { id: 0 name: 'background' }\nitem { id: 1 name: 'cat' }"
    assert read_label_map(written(tmp_path, text)) == ClassMap(("cat",), (1,))
    listed = read_label_map(written(tmp_path, "background\ncat\n", "labelmap.txt"))
    assert listed == ClassMap(("background", "cat"), (0, 1))


def test_names_stand_for_the_names_that_are_shown(tmp_path):
    text = "item { name: '/m/01yrx' id: 3 display_name: 'Cat' }\nitem { name: 'dog' id: 5 }"
    assert label_map_aliases(written(tmp_path, text)) == {"/m/01yrx": "Cat"}
    assert label_map_aliases(written(tmp_path, "cat\n", "labelmap.txt")) == {}
    (tmp_path / "t.csv").write_text(
        "filename,class,xmin,ymin,xmax,ymax\na.jpg,/m/01yrx,1,1,9,9\na.jpg,Cat,1,1,9,9\n"
    )
    dataset = load_dataset(tmp_path / "t.csv", label_map=tmp_path / "map.pbtxt")
    assert (dataset.class_map.names, dataset.objects.class_ids.tolist()) == (("Cat", "dog"), [0, 0])
