import numpy as np
import pytest

from detector import boxes
from detector.core import ClassMap
from detector.data.dataset import Dataset
from detector.errors import InputError
from detector.models.fake import KINDS, FakeDetector
from detector.models.fake_candidates import grid_anchors
from detector.testing import DetectorContract, patterned
from tests.detector.builders import small_dataset


class TestFakeKeepsTheContract(DetectorContract):
    @pytest.fixture
    def detector(self):
        return FakeDetector(small_dataset())

    @pytest.fixture
    def images(self):
        data = small_dataset()
        return [data.load_image(i).copy() for i in range(len(data))]


def big(**flags):
    """Sixty pictures of twelve objects: enough for every mistake to occur."""
    images = [patterned(90 + i, 160, i) for i in range(60)]
    return small_dataset(images, objects_each=12, **flags)


def test_same_seed_same_answer_other_seed_other_answer():
    data = small_dataset()
    first, again, other = (FakeDetector(data, seed).detect_samples(data.sample_ids) for seed in (4, 4, 5))
    assert all(a.equals(b) for a, b in zip(first, again))
    assert not all(a.equals(b) for a, b in zip(first, other))


def test_hash_follows_seed_rates_and_data():
    data = small_dataset()
    base = FakeDetector(data).info.weights_hash
    assert FakeDetector(data).info.weights_hash == base
    others = [FakeDetector(data, 1), FakeDetector(data, miss=0.2), FakeDetector(small_dataset(seed=1))]
    assert base not in {d.info.weights_hash for d in others}


def test_answers_by_pixels_equal_answers_by_id():
    for known in (True, False):
        data = small_dataset(known_sizes=known)
        by_id = FakeDetector(data).detect_samples(data.sample_ids)
        by_pixels = FakeDetector(data).detect([data.load_image(i) for i in range(len(data))][::-1])[::-1]
        assert all(a.equals(b) for a, b in zip(by_id, by_pixels))


def test_an_image_it_does_not_know_holds_nothing():
    detector = FakeDetector(small_dataset())
    strange = patterned(61, 83, 99)
    assert len(detector.detect([strange])[0]) == 0
    assert detector.candidates([strange])[0].scores.max() < 0.01


def test_reads_no_more_pictures_than_it_must():
    data, opened = small_dataset(), []
    plain = data.load_image
    data.load_image = lambda i: (opened.append(i), plain(i))[1]
    FakeDetector(data).detect([plain(2)])
    assert opened == [0, 2], "only the pictures of the same size, up to the one asked for"


def test_every_mistake_is_what_its_label_says():
    data = big()
    detector = FakeDetector(data, miss=0.2, faint=0.2, shift=0.2, confuse=0.2, duplicate=0.3)
    seen = set()
    for sample_id, found in zip(data.sample_ids, detector.detect_samples(data.sample_ids)):
        truth, said = data[sample_id].annotations, detector.mistakes(sample_id)
        assert len(said.kinds) == len(said.truth) == len(found)
        seen.update(said.kinds)
        overlap = boxes.iou(found.xyxy, truth.xyxy)
        for j, (kind, k) in enumerate(zip(said.kinds, said.truth)):
            if kind == "background":
                assert k == -1 and overlap[j].max() < 0.1
                continue
            same = found.class_ids[j] == truth.class_ids[k]
            if kind == "shifted":
                assert same and 0.1 <= overlap[j, k] < 0.5
            else:
                assert overlap[j, k] >= 0.6
                assert same == (kind != "wrong class")
            assert (found.scores[j] >= 0.5) == (kind == "correct") or kind not in ("correct", "faint")
            if kind == "duplicate":
                assert "correct" in [a for a, b in zip(said.kinds, said.truth) if b == k]
        right = {k for kind, k in zip(said.kinds, said.truth) if kind in ("correct", "faint")}
        assert set(said.missed) == set(range(len(truth))) - right
    assert seen == set(KINDS)


def test_scores_reach_down_to_the_floor_and_not_below():
    data = big()
    scores = np.concatenate([d.scores for d in FakeDetector(data).detect_samples(data.sample_ids)])
    assert 0.01 <= scores.astype(np.float64).min() < 0.02
    assert scores.max() > 0.9


def test_hard_objects_are_missed_more_often():
    def missed(flags):
        data = big(**flags)
        return sum(len(FakeDetector(data, miss=0.15).mistakes(s).missed) for s in data.sample_ids)

    assert missed({"occluded": np.ones(720, bool)}) > 1.5 * missed({})


def test_no_mistakes_at_zero_rates():
    data = big()
    perfect = FakeDetector(data, miss=0, faint=0, shift=0, confuse=0, duplicate=0, background=0)
    for sample_id in data.sample_ids:
        said = perfect.mistakes(sample_id)
        assert set(said.kinds) == {"correct"} and said.missed == ()


def test_crowds_are_left_alone():
    crowd = np.zeros(24, bool)
    crowd[[0, 7]] = True
    data = small_dataset(crowd=crowd)
    said = FakeDetector(data, background=0).mistakes("s0")
    assert 0 not in said.truth and 0 not in said.missed
    assert 1 in said.truth + said.missed


def test_candidates_hold_the_detections_and_hint_at_the_missed():
    data = big()
    detector = FakeDetector(data, miss=0.5)
    for i in range(6):
        image = data.load_image(i)
        (found,), (shown,) = detector.detect([image]), detector.candidates([image])
        assert len(set(found.anchor_ids)) == len(found)
        assert np.array_equal(shown.xyxy[found.anchor_ids], found.xyxy)
        assert np.array_equal(shown.scores[found.anchor_ids, found.class_ids], found.scores)
        assert shown.levels.max() == 3 and len(shown.anchors) == len(shown)


def test_anchor_grid_covers_a_wide_image():
    anchors, levels = grid_anchors((160, 90))
    assert len(anchors) == 3 * (16 * 9 + 8 * 4 + 4 * 2 + 2 * 1)
    assert np.allclose((anchors[0] + anchors[0][[2, 3, 0, 1]]) / 2, [5, 5, 5, 5])
    assert (np.diff(levels) >= 0).all()
    assert len(grid_anchors((160, 90), at_least=5000)[0]) >= 5000


def test_refuses_rates_outside_0_to_1_and_data_without_classes():
    with pytest.raises(InputError, match="miss in 0..1, got 1.5"):
        FakeDetector(small_dataset(), miss=1.5)
    bare = Dataset(
        name="bare", format="folder", source="", class_map=ClassMap(()), sample_ids=["a"], files=[""]
    )
    with pytest.raises(InputError, match="bare has no classes"):
        FakeDetector(bare)
