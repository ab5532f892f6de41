import numpy as np
import pytest

from analysis.matching.counts import counts
from analysis.matching.match import match
from analysis.runs.classes import load_aliases, normalise_name, one_label_space, unify
from detector.core import Annotations, ClassMap, Detections
from detector.errors import ConfigError, InputError


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


COCO_LIKE = ClassMap(("person", "airplane", "dog"))
VOC_LIKE = ClassMap(("dog", "aeroplane", "sheep", "person"))


def boxes_of(class_ids, class_map, scores=None):
    n = len(class_ids)
    xyxy = np.stack([[5 + 20 * i, 4, 17 + 20 * i, 15] for i in range(n)])
    return Detections(
        xyxy, np.full(n, 0.9) if scores is None else scores, class_ids, (90, 40), class_map=class_map
    )


def test_detections_and_truth_of_two_label_spaces_are_matched_by_name():
    """A plane, a dog and a person, each found: number 1 is a plane for one side, 1 and 2 something else for
    the other.
    """
    found = boxes_of([1, 2, 0], COCO_LIKE)
    truth = Annotations(found.xyxy, [1, 0, 3], (90, 40), class_map=VOC_LIKE)
    space = one_label_space([found, found], [truth, None])
    assert space.class_map.names == VOC_LIKE.names
    assert space.detections[0].class_ids.tolist() == [1, 0, 3] and space.truth == [truth, None]
    assert counts(match(found, truth), 0.5).tp == 3
    unnamed = Annotations(found.xyxy, [1, 0, 3], (90, 40))
    assert counts(match(found, unnamed), 0.5).tp == 1  # nothing says that the numbers differ


def test_one_list_of_classes_is_left_alone_and_several_are_refused():
    found = boxes_of([1, 2], COCO_LIKE)
    truth = Annotations(found.xyxy, [1, 2], (90, 40), class_map=ClassMap(COCO_LIKE.names, (1, 5, 18)))
    space = one_label_space([found], [truth])
    assert space.detections == [found] and space.unified is None
    with pytest.raises(InputError, match="expected detections of one list of classes, got 3 .* and 4"):
        one_label_space([found, boxes_of([0], VOC_LIKE)], [truth, None])
    assert one_label_space([], []).class_map is None


def test_a_class_that_the_data_set_lacks_follows_its_own():
    found = boxes_of([0, 1], ClassMap(("zebra", "dog")))
    truth = Annotations(found.xyxy, [2, 0], (90, 40), class_map=VOC_LIKE)
    matches = match(found, truth)
    assert matches.num_classes == 5 and (counts(matches, 0.5).tp, counts(matches, 0.5).fp) == (1, 1)
