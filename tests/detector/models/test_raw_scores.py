import numpy as np
import pytest

from detector.models.raw_scores import read_layout


def outputs(raw, *, anchors=(2, 0), classes=(2, 1), scores=(0.8, 0.3), **more):
    probe = {
        "raw_detection_scores": np.array(raw, np.float32),
        "raw_detection_boxes": np.zeros((len(raw), 4), np.float32),
        "detection_scores": np.array(scores),
        "detection_classes": np.array(classes, float),
        "num_detections": np.float32(len(scores)),
    }
    if anchors is not None:
        probe["detection_anchor_indices"] = np.array(anchors, float)
    return probe | more


PLAIN = np.array([[0.3, 0.1], [0.0, 0.2], [0.05, 0.8]])  # three anchors, classes 1 and 2
BEHIND = np.pad(PLAIN, [(0, 0), (1, 0)], constant_values=0.6)


def logit(p):
    return np.log(np.maximum(p, 1e-6) / (1 - p))


@pytest.mark.parametrize(
    "raw, background, logits",
    [(PLAIN, False, False), (BEHIND, True, False), (logit(PLAIN), False, True), (logit(BEHIND), True, True)],
)
def test_the_layout_is_proven_by_value(raw, background, logits):
    layout = read_layout(outputs(raw))
    assert (layout.background, layout.logits, layout.usable, layout.classes) == (background, logits, True, 2)
    scores, values = layout.columns(np.asarray(raw, np.float32), (1, 2))
    assert np.allclose(scores, PLAIN, atol=1e-5)
    assert (values is not None) == logits


def test_columns_follow_the_label_map_and_an_unknown_id_is_zero():
    layout = read_layout(outputs(BEHIND))
    scores, _ = layout.columns(BEHIND.astype(np.float32), (2, 7))
    assert np.allclose(scores, [[0.1, 0], [0.2, 0], [0.8, 0]])


def test_a_contradiction_makes_them_unusable():
    layout = read_layout(outputs(PLAIN, scores=(0.9, 0.7)))
    assert not layout.usable and "not found in raw_detection_scores" in layout.notes[0]


def test_without_anchors_range_and_width_decide_and_it_says_so():
    layout = read_layout(outputs(logit(BEHIND), anchors=None, detection_multiclass_scores=np.zeros((2, 3))))
    assert (layout.background, layout.logits) == (True, True) and "range and width only" in layout.notes[0]
    assert not read_layout(outputs(PLAIN, anchors=None)).logits


def test_boxes_and_scores_of_different_length_are_unusable():
    probe = outputs(PLAIN)
    probe["raw_detection_boxes"] = np.zeros((5, 4))
    assert not read_layout(probe).usable
