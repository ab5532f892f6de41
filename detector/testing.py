"""The contract every `Detector` keeps, as tests for pytest (extra `testing`).

A test module subclasses `DetectorContract` and gives a `detector` fixture:

    import pytest
    from detector.testing import DetectorContract

    class TestMine(DetectorContract):
        @pytest.fixture(scope="class")
        def detector(self): return make_my_detector()

        @pytest.fixture
        def images(self): ...       # where the patterned ones hold nothing it finds
"""

from __future__ import annotations

import pickle

import numpy as np

from detector.core import CAPABILITIES, Candidates, Detections, Detector, DetectorInfo, Staged
from detector.errors import CapabilityError, InputError, UnavailableError

try:
    import pytest
except ImportError as error:
    raise UnavailableError(
        f"detector.testing needs pytest, which cannot be imported here ({error});"
        " pip install 'boxscope[testing]'."
    ) from error


def patterned(height: int, width: int, seed: int = 0) -> np.ndarray:
    """An image with large shapes in it, RGB uint8 [height, width, 3]; the same seed gives the same image."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), 128, np.uint8)
    for _ in range(4):
        y, x = rng.integers(0, height * 2 // 3), rng.integers(0, width * 2 // 3)
        image[y : y + height // 3, x : x + width // 3] = rng.integers(0, 256, 3)
    return image


class DetectorContract:
    """The tests of one detector.

    Attributes:
        tolerance: in pixels and score, by which a batch may differ from the same images one by one.
    """

    tolerance = 0.0

    @pytest.fixture
    def images(self) -> list[np.ndarray]:
        return [patterned(61, 83, 1), patterned(97, 45, 2), patterned(61, 83, 3)]

    def test_is_a_detector(self, detector):
        assert isinstance(detector, Detector), "expected info, detect and candidates"
        assert isinstance(detector.info, DetectorInfo)

    def test_info_is_sane(self, detector):
        info = detector.info
        assert info.name.strip() and info.kind.strip()
        assert len(info.weights_hash) >= 16, "weights_hash: expected 16 hex digits or more"
        int(info.weights_hash, 16)
        assert info.capabilities <= set(CAPABILITIES)
        assert info.input_size is None or min(info.input_size) > 0
        assert all(isinstance(note, str) and note.endswith(".") for note in info.notes)
        assert all(isinstance(key, str) for key in info.settings)

    def test_info_goes_to_another_process(self, detector):
        again = pickle.loads(pickle.dumps(detector.info))
        assert again == detector.info and dict(again.settings) == dict(detector.info.settings)

    def test_no_images_no_answers(self, detector):
        assert detector.detect([]) == []
        if "candidates" in detector.info.capabilities:
            assert detector.candidates([]) == []

    def test_grey_image(self, detector):
        (found,) = detector.detect([np.full((37, 53, 3), 127, np.uint8)])
        assert isinstance(found, Detections)
        assert found.image_size == (53, 37)

    def test_one_entry_an_image_in_its_own_frame(self, detector, images):
        found = detector.detect(images)
        assert [d.image_size for d in found] == [(i.shape[1], i.shape[0]) for i in images]
        for one in found:
            assert (np.diff(one.scores) <= 0).all(), "best score first"
            inside = not len(one) or one.class_ids.max() < len(detector.info.class_map)
            assert inside, "a class id beyond info.class_map"
            assert one.class_map == detector.info.class_map, "ids without names are compared with another's"

    def test_something_is_found(self, detector, images):
        assert sum(len(d) for d in detector.detect(images)) > 0, "the other tests would prove nothing"

    def test_batch_equals_singles(self, detector, images):
        together = detector.detect(images)
        alone = [detector.detect([image])[0] for image in images]
        same = [a.equals(b, atol=self.tolerance) for a, b in zip(together, alone)]
        assert all(same), (
            f"image {same.index(False)} has another answer in a batch (tolerance {self.tolerance})"
        )

    def test_order_of_the_batch_does_not_matter(self, detector, images):
        forward = detector.detect(images)
        backward = detector.detect(images[::-1])[::-1]
        same = [a.equals(b, atol=self.tolerance) for a, b in zip(forward, backward)]
        assert all(same), f"image {same.index(False)} has another answer in another order"

    def test_any_sequence_and_any_memory_layout(self, detector, images):
        view = np.asfortranarray(images[0])
        wide = np.repeat(images[0], 2, axis=1)[:, ::2]
        expected = detector.detect([images[0]])[0]
        for found in detector.detect((view, wide)):
            assert found.equals(expected, atol=self.tolerance)

    def test_input_is_untouched(self, detector, images):
        before = [image.copy() for image in images]
        for image in images:
            image.setflags(write=False)
        detector.detect(images)
        if "candidates" in detector.info.capabilities:
            detector.candidates(images[:1])
        same = [np.array_equal(a, b) for a, b in zip(before, images)]
        assert all(same), f"image {same.index(False)} was changed"

    def test_refuses_what_is_not_rgb_uint8(self, detector):
        for wrong in (
            np.zeros((5, 7), np.uint8),
            np.zeros((5, 7, 3), np.float32),
            np.zeros((5, 7, 4), np.uint8),
            "x",
        ):
            with pytest.raises(InputError, match="image 0"):
                detector.detect([wrong])
        with pytest.raises(InputError, match=r"detect\(\[image\]\)"):
            detector.detect(np.zeros((5, 7, 3), np.uint8))

    def test_candidates_as_declared(self, detector, images):
        if "candidates" not in detector.info.capabilities:
            with pytest.raises(CapabilityError):
                detector.candidates(images[:1])
            return
        shown = detector.candidates(images[:2])
        assert all(isinstance(c, Candidates) for c in shown)
        assert [c.image_size for c in shown] == [(i.shape[1], i.shape[0]) for i in images[:2]]
        for c in shown:
            assert c.scores.shape == (len(c), len(detector.info.class_map))
            assert len(c) and c.scores.min() >= 0 and c.scores.max() <= 1
            assert "anchors" not in detector.info.capabilities or (
                c.anchors is not None and c.levels is not None
            )

    def test_anchor_ids_point_at_the_candidate(self, detector, images):
        if "candidates" not in detector.info.capabilities:
            pytest.skip("this detector shows no candidates")
        found, shown = detector.detect(images[:1])[0], detector.candidates(images[:1])[0]
        if found.anchor_ids is None:
            pytest.skip("this detector does not name the anchor of a detection")
        keep = found.anchor_ids >= 0
        scores = shown.scores[found.anchor_ids[keep], found.class_ids[keep]]
        assert np.allclose(scores, found.scores[keep], atol=1e-4)

    def test_its_steps_one_after_the_other_are_the_whole(self, detector, images):
        if not isinstance(detector, Staged):
            pytest.skip("this detector's preprocessing does not come apart")
        assert detector.detect_resized([], []) == []
        image = images[0]
        size = (image.shape[1], image.shape[0])
        pixels = detector.resized(image)
        width, height = detector.info.input_size
        assert (
            pixels.shape == (height, width, 3)
            and pixels.dtype == np.float32
            and 0 <= pixels.min() <= pixels.max() <= 255
        )
        (want,), (got,) = detector.detect([image]), detector.detect_resized([pixels], [size])
        assert got.equals(want, atol=max(self.tolerance, 1e-3))
        if "candidates" in detector.info.capabilities:
            (a,), (b,) = detector.candidates([image]), detector.candidates_resized([pixels], [size])
            np.testing.assert_allclose(a.scores, b.scores, atol=max(self.tolerance, 1e-3))
