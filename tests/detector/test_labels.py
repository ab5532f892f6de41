import pytest

from detector.core import ClassMap
from detector.errors import ModelError
from detector.labels import choose_labels, coco_class_map, find_labels, parse_lines, parse_pbtxt, read_labels


def test_coco_has_80_names_on_ids_to_90():
    coco = coco_class_map()
    assert len(coco) == 80 and coco.external_ids[-1] == 90
    assert [
        coco.to_external(coco.index(n)) for n in ("person", "dog", "stop sign", "dining table", "toothbrush")
    ] == [1, 18, 13, 67, 90]
    assert sorted(set(range(1, 91)) - set(coco.external_ids)) == [12, 26, 29, 30, 45, 66, 68, 69, 71, 83]


@pytest.mark.parametrize(
    "text, names, ids",
    [
        ("cat\ndog\n", ("cat", "dog"), (1, 2)),
        ("???\ncat\ndog\n\n\n", ("cat", "dog"), (1, 2)),
        ("background\ncat", ("cat",), (1,)),
        ("cat\n???\ndog", ("cat", "dog"), (1, 3)),
        ("0 cat\n1 traffic light\n", ("cat", "traffic light"), (1, 2)),
        ("\ufeffcat\r\ndog\r\n", ("cat", "dog"), (1, 2)),
    ],
)
def test_a_name_a_line(text, names, ids):
    assert parse_lines(text) == ClassMap(names, ids)


def test_label_map_in_its_spellings():
    text = """
    # trained on two breeds
    item {
      name: "/m/01"
      id: 2
      display_name: "it's a dog"
    }
    item: { id: 5, name: 'cat' }
    item { id: 0 name: 'background' }
    """
    assert parse_pbtxt(text) == ClassMap(("it's a dog", "cat"), (2, 5))
    assert parse_pbtxt(
        r"item { id: 1 name: 'it\'s # 1' }" + ' item { id: 2 name: "a \\"b\\" }" }'
    ) == ClassMap(("it's # 1", 'a "b" }'), (1, 2))
    with pytest.raises(ModelError, match="map.pbtxt:1.* ends inside"):
        parse_pbtxt("item { id: 1 name: 'x'", "map.pbtxt")
    with pytest.raises(ModelError, match="map.pbtxt:3"):
        parse_pbtxt("\n\nitem { name: 'x' }", "map.pbtxt")
    with pytest.raises(ModelError, match="id.*2 occurs twice"):
        parse_pbtxt("item { id: 2 name: 'x' } item { id: 2 name: 'y' }")


def test_files_are_found_by_usual_names_first(tmp_path):
    assert find_labels([tmp_path, tmp_path / "nowhere"]) is None
    (tmp_path / "my_classes.pbtxt").write_text("item { id: 1 name: 'only' }")
    assert find_labels([tmp_path]).name == "my_classes.pbtxt"
    (tmp_path / "labelmap.txt").write_text("usual")
    assert find_labels([tmp_path]).name == "labelmap.txt"
    with pytest.raises(ModelError, match="expected class names"):
        (tmp_path / "empty.txt").write_text("")
        read_labels(tmp_path / "empty.txt")


def choose(**options):
    return choose_labels(**{"labels": None, "classes": None, "folders": [], "outputs": None, **options})


def test_who_wins():
    packed = ClassMap(("packed",), (1,))
    assert choose(classes=ClassMap(("a",)), labels=["b"], packed=packed)[0] == ClassMap(("a",), (1,))
    assert choose(labels=["b"], packed=packed)[0].names == ("b",)
    assert choose(packed=packed)[0] is packed
    assert choose(outputs=90)[0] == coco_class_map()
    assert choose(outputs=2)[0] == ClassMap(("class 1", "class 2"), (1, 2))
    with pytest.raises(ModelError, match="does not say how many classes"):
        choose()


def test_eighty_names_for_a_network_with_coco_s_ninety_ids():
    chosen, notes = choose(labels=list(coco_class_map().names), outputs=90)
    assert chosen == coco_class_map() and "10 of the model's ids" in notes[0]


def test_a_label_map_that_does_not_fit_is_said():
    longer, notes = choose(labels=["a", "b"], outputs=4)
    assert longer.names == ("a", "b", "class 3", "class 4") and "ends at id 2" in notes[0]
    shorter, notes = choose(labels=["a", "b", "c"], outputs=1)
    assert shorter.names == ("a", "b", "c") and "another model's" in notes[0]


@pytest.mark.parametrize(
    "text",
    ['["cat", "dog"]', '{"names": {"0": "cat", "1": "dog"}}', '{"1": "cat", "2": "dog"}',
     '{"categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]}'],
)  # fmt: skip
def test_names_in_json(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    found = read_labels(tmp_path / "x.json")
    assert (found.names, found.external_ids) == (("cat", "dog"), (1, 2))


def test_json_without_names_is_refused(tmp_path):
    (tmp_path / "x.json").write_text('{"a": 1}')
    with pytest.raises(ModelError, match="names"):
        read_labels(tmp_path / "x.json")


def test_bytes_written_as_text_become_names_with_a_note():
    found, notes = choose_labels(labels=["b'QR_Code'", "b"], classes=None, folders=[], outputs=2)
    assert found.names == ("QR_Code", "b") and "b'QR_Code'" in notes[0]
