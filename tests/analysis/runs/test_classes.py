import numpy as np
import pytest

from analysis.runs.classes import load_aliases, normalise_name, unify
from detector.core import ClassMap
from detector.errors import ConfigError


def test_nothing_on_either_side():
    assert len(unify(ClassMap(()), ClassMap(())).class_map) == 0
    only = unify(ClassMap(()), ClassMap(("dog", "cat"), (18, 17)))
    assert only.class_map == ClassMap(("dog", "cat"), (18, 17))
    assert only.from_detector.tolist() == [0, 1] and only.shared == 0


def test_a_map_with_itself_is_itself():
    classes = ClassMap(("b", "a", "tv"), (9, 4, 6))
    united = unify(classes, classes)
    assert united.class_map == classes and united.from_detector.tolist() == [0, 1, 2]
    assert {link.how for link in united.links} == {"same"}


def test_voc_names_meet_coco_names():
    voc = ClassMap(("aeroplane", "tvmonitor", "sofa", "diningtable", "pottedplant", "motorbike", "raccoon"))
    coco = ClassMap(
        ("motorcycle", "airplane", "person", "couch", "potted plant", "dining table", "tv"),
        (4, 5, 1, 63, 64, 67, 72),
    )
    united = unify(voc, coco)
    assert united.class_map.names == (*voc.names, "person")
    assert united.from_detector.tolist() == [5, 0, 7, 2, 4, 3, 1]
    assert [link.how for link in united.links] == [
        "alias",
        "alias",
        "new",
        "alias",
        "spelling",
        "spelling",
        "alias",
    ]
    assert united.links[2].dataset is None and united.shared == 6
    # the outside id 1 of "person" is taken by "tvmonitor", so it gets the first free one
    assert united.class_map.external_ids == (0, 1, 2, 3, 4, 5, 6, 73)


def test_the_better_fit_gets_the_class_and_the_other_stays_apart():
    united = unify(ClassMap(("tv",)), ClassMap(("television", "TV", "tv")), [["tv", "television"]])
    assert united.class_map.names == ("tv", "television", "TV")
    assert united.from_detector.tolist() == [1, 2, 0]
    assert len(np.unique(united.from_detector)) == 3


def test_spelling():
    assert normalise_name("Traffic_ Light") == normalise_name("traffic-light") == "trafficlight"
    united = unify(ClassMap(("Traffic_Light",)), ClassMap(("car", "traffic light")), [])
    assert united.from_detector.tolist() == [1, 0]


@pytest.mark.parametrize(
    "text", ["airplane: aeroplane", "- [airplane]", "- airplane", "- [a, b]\n- [c, B]", "- [a, 1]"]
)
def test_bad_alias_files_are_refused(tmp_path, text):
    path = tmp_path / "aliases.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="aliases.yaml"):
        load_aliases(path)
    with pytest.raises(ConfigError):
        load_aliases(tmp_path / "absent.yaml")


def test_the_shipped_aliases_hold_the_six_voc_names():
    groups = {normalise_name(name): i for i, group in enumerate(load_aliases()) for name in group}
    for voc, coco in [
        ("aeroplane", "airplane"),
        ("motorbike", "motorcycle"),
        ("sofa", "couch"),
        ("tvmonitor", "tv"),
        ("diningtable", "dining table"),
        ("pottedplant", "potted plant"),
    ]:
        assert groups[normalise_name(voc)] == groups[normalise_name(coco)]
