"""Every method on detectors whose evidence is known: right pixel, right sign, exact where it can be, seeded,
stoppable.
"""

from __future__ import annotations

import tracemalloc

import cv2
import numpy as np
import pytest

from analysis.saliency.d_rise import _apart, d_rise
from analysis.saliency.layer_cam import layer_cam
from analysis.saliency.methods import (
    EVIDENCE_METHODS,
    ObjectRef,
    contrast,
    explain,
    find_target,
    last,
    offers,
    targets_of,
)
from analysis.saliency.targets import Target
from analysis.saliency.views import CandidatesView, DetectionsView, OpenView, open_view
from detector.errors import CapabilityError, InputError
from tests.analysis.saliency.probes import SIZE, LinearDetector, noise, pixel_weights, smooth_weights, spot

W, H = SIZE
BOX = [[10, 6, 34, 22]]


def one(detector, image, method, box=BOX[0], **settings):
    target = find_target(detector, image, box, 0, anchor_id=0)
    return last(explain(detector, image, [target], method, **settings))[0]


@pytest.mark.parametrize("method", EVIDENCE_METHODS)
@pytest.mark.parametrize("x, y", [(31, 8), (12, 20)])
def test_one_pixel_decides_and_every_method_points_at_it(method, x, y):
    """Catches swapped axes, half-pixel shifts and forgotten padding: the frame is wider than the picture on
    all sides.
    """
    detector = LinearDetector(pixel_weights(x, y), BOX)
    heat = one(
        detector,
        spot(x, y),
        method,
        **({"masks": 600, "stop_reliability": 1.0, "window": None} if method == "d_rise" else {}),
    )
    assert heat.values.shape == (H, W) and heat.full().shape == (H, W)
    peak = np.unravel_index(heat.values.argmax(), (H, W))
    reach = 4 if method == "d_rise" else 0  # half a cell of its grid
    assert abs(peak[1] - x) <= reach and abs(peak[0] - y) <= reach, (peak[1], peak[0])


def test_integrated_gradients_are_exact_on_a_linear_model():
    weights = smooth_weights(1)
    detector, image = LinearDetector(weights, BOX), noise(1)
    heat = one(detector, image, "integrated_gradients", smooth_px=0)
    view = OpenView(detector, image)
    exact = ((view.pixels - view.fill) / 255 * weights[0, 0]).sum(axis=-1)[view.inside]
    np.testing.assert_allclose(heat.values, exact, atol=1e-4)
    # Padding holds a part of the difference to "nothing", so the picture's part alone need not sum to the
    # gap; weights there are 0.
    assert heat.values.sum() == pytest.approx(heat.value - heat.baseline, abs=1e-3)
    assert heat.completeness < 1e-3 and heat.params["steps"] == 16 and heat.backwards == 16
    blurred = one(detector, image, "integrated_gradients", smooth_px=2.0)
    assert (
        blurred.values.sum() == pytest.approx(heat.values.sum(), abs=0.3)
        and blurred.values.std() < heat.values.std()
    )


def test_d_rise_agrees_with_the_exact_answer_at_its_own_resolution():
    weights = smooth_weights(2)
    detector, image = LinearDetector(weights, BOX), np.full((H, W, 3), 255, np.uint8)
    image[:, : W // 2] = 0
    heat = one(detector, image, "d_rise", masks=6000, window=None, stop_reliability=1.0)
    view = OpenView(detector, image)
    exact = ((view.pixels - view.fill) / 255 * weights[0, 0]).sum(axis=-1)[view.inside]
    # A mask's cell shows or hides a neighbourhood at once: a slope is the exact answer gathered over a cell,
    # then smoothed.
    cell = (W / 6, H / 6)
    gathered = cv2.GaussianBlur(
        exact, (0, 0), sigmaX=cell[0] * 0.7, sigmaY=cell[1] * 0.7, borderType=cv2.BORDER_CONSTANT
    )
    inner = np.s_[4:-4, 6:-6]
    assert np.corrcoef(heat.values[inner].ravel(), gathered[inner].ravel())[0, 1] > 0.99
    assert heat.reliability > 0.97 and heat.unit == "logit slope"


@pytest.mark.parametrize(
    "capabilities, kind, unit",
    [
        ((), DetectionsView, "score slope"),
        (("candidates",), CandidatesView, "logit slope"),
        (("candidates", "gradients"), OpenView, "logit slope"),
    ],
)
def test_d_rise_asks_any_detector_and_finds_the_same_place(capabilities, kind, unit):
    detector, image = LinearDetector(pixel_weights(29, 11), BOX, capabilities=capabilities), spot(29, 11)
    target = find_target(detector, image, BOX[0], 0, anchor_id=0)
    assert isinstance(open_view(detector, image, [target]), kind)
    heat = one(detector, image, "d_rise", masks=400, stop_reliability=1.0)
    peak = np.unravel_index(heat.values.argmax(), (H, W))
    assert heat.unit == unit and abs(peak[1] - 29) <= 4 and abs(peak[0] - 11) <= 4


def test_large_pictures_are_shown_to_a_black_box_smaller_but_the_map_covers_them():
    detector = LinearDetector(pixel_weights(30, 10), BOX, capabilities=())
    big = np.zeros((1500, 2300, 3), np.uint8)
    view = open_view(detector, big, [Target("detection", 0, [0, 0, 10, 10])])
    assert view.size == (1024, 668) and view.image_size == (2300, 1500)
    np.testing.assert_allclose(view.to_frame([[0, 0, 2300, 1500]]), [[0, 0, 1024, 668]])


def test_layer_cam_on_the_wrong_level_raises_and_never_answers_with_a_blank_map():
    detector, image = LinearDetector(pixel_weights(31, 8), BOX), spot(31, 8)
    view = open_view(detector, image, [target := Target("detection", 0, BOX[0], [0])])
    with pytest.raises(InputError, match="gradient at elsewhere is zero everywhere.*ask for pixels"):
        layer_cam(view, target, layers=("elsewhere",))
    with pytest.raises(InputError, match="single anchors"):
        layer_cam(view, Target("detection", 0, BOX[0]))


@pytest.mark.parametrize("method", EVIDENCE_METHODS)
def test_two_equal_objects_have_maps_of_their_own(method):
    weights, xyxy = (
        np.concatenate([pixel_weights(12, 9), pixel_weights(36, 18)]),
        [
            [4, 3, 20, 15],
            [28, 12, 44, 24],
        ],
    )
    detector, image = LinearDetector(weights, xyxy), np.maximum(spot(12, 9), spot(36, 18))
    targets = [find_target(detector, image, xyxy[a], 0, anchor_id=a) for a in (0, 1)]
    first, second = last(
        explain(detector, image, targets, method, **({"masks": 256} if method == "d_rise" else {}))
    )
    hot = [m.values >= np.quantile(m.values, 0.9) for m in (first, second)]
    hot = [h & (m.values > 0) for h, m in zip(hot, (first, second))]
    assert (hot[0] & hot[1]).sum() / (hot[0] | hot[1]).sum() < 0.3


def test_objects_whose_windows_are_apart_share_the_passes():
    weights, xyxy = (
        np.concatenate([pixel_weights(5, 9), pixel_weights(40, 18)]),
        [
            [2, 6, 8, 12],
            [37, 15, 43, 21],
        ],
    )
    detector, image = LinearDetector(weights, xyxy), np.maximum(spot(5, 9), spot(40, 18))
    targets = [find_target(detector, image, xyxy[a], 0, anchor_id=a) for a in (0, 1)]
    alone = [
        last(explain(detector, image, [t], "d_rise", masks=96, stop_reliability=1.0, window=2.0))[0]
        for t in targets
    ]
    detector.calls = 0
    both = last(explain(detector, image, targets, "d_rise", masks=96, stop_reliability=1.0, window=2.0))
    assert detector.calls == 97, "the clean picture and 96 masks, for both"
    for a, b in zip(alone, both):
        np.testing.assert_allclose(a.values, b.values, atol=1e-5)
    assert _apart([(0, 0, 9, 9), (5, 5, 12, 12), (9, 0, 20, 9), (30, 0, 40, 9)]) == [[0, 2, 3], [1]]


@pytest.mark.parametrize("method", EVIDENCE_METHODS)
@pytest.mark.parametrize("box", [[0, 0, 6, 5], [W - 1, H - 1, W, H], [20, 10, 20, 10], [0, 0, W, H]])
def test_borders_points_and_black_pictures_are_numbers(method, box):
    detector = LinearDetector(smooth_weights(3), [box])
    for image in (np.zeros((H, W, 3), np.uint8), noise(4)):
        heat = one(detector, image, method, box=box, **({"masks": 16} if method == "d_rise" else {}))
        assert heat.values.shape == (H, W) and np.isfinite(heat.values).all()
    assert list(explain(detector, noise(4), [], method)) == []


def test_the_same_seed_gives_the_same_map_and_another_one_another():
    detector, image = LinearDetector(smooth_weights(5), BOX), noise(5)
    a, b, c = (one(detector, image, "d_rise", masks=64, seed=seed).values for seed in (3, 3, 4))
    np.testing.assert_array_equal(a, b)
    assert np.abs(a - c).max() > 0


def test_d_rise_shows_itself_early_stops_when_reliable_and_at_once_when_told():
    detector, image = LinearDetector(smooth_weights(6), BOX), noise(6)
    target = find_target(detector, image, BOX[0], 0, anchor_id=0)
    pictures = [m[0] for m in explain(detector, image, [target], "d_rise", masks=2000, stop_reliability=0.9)]
    masks = [h.params["masks"] for h in pictures]
    assert masks[0] == 64 and (np.diff(masks) == 32).all() and masks[-1] < 2000
    assert [h.done for h in pictures] == [False] * (len(pictures) - 1) + [True]
    assert (
        pictures[-1].reliability >= 0.9 > pictures[-2].reliability
        if len(pictures) > 1
        else pictures[-1].reliability >= 0.9
    )

    detector.calls, asked = 0, []
    stop = lambda: len(asked) > 2 or asked.append(1)  # noqa: E731 - three batches, then enough
    assert (
        list(explain(detector, image, [target], "d_rise", masks=2000, stop_reliability=1.0, cancelled=stop))
        == []
    )
    assert detector.calls == 1 + 3 * 8
    steps = d_rise(open_view(detector, image, [target]), [target], masks=64, every_batch=True)
    assert [len(s) for s in steps] == [0] * 8 + [1]


def test_a_thousand_masks_take_little_memory():
    detector = LinearDetector(smooth_weights(7), BOX)
    view = open_view(detector, noise(7), [target := Target("detection", 0, BOX[0], [0])])
    # The frame of a real network.
    view.pixels = np.zeros((320, 320, 3), np.float32)
    view.window, view.inside, view.fill = (0, 0, 320, 320), np.s_[0:320, 0:320], np.zeros(3, np.float32)
    view.evidence = lambda batch, targets: batch.mean(axis=(1, 2, 3), dtype=np.float64)[:, None]
    tracemalloc.start()
    found = None
    for found in d_rise(view, [target], masks=256, stop_reliability=2.0, window=None):  # noqa: B007
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found[0].params["masks"] == 256 and peak < 60e6, (
        f"{peak / 1e6:.0f} MB, and nothing grows with the number of masks"
    )


def test_a_contrast_is_evidence_for_one_class_less_the_other():
    weights = smooth_weights(8, classes=2)
    detector, image = LinearDetector(weights, BOX), noise(8)
    target = find_target(detector, image, BOX[0], 0, missed=True)
    found = contrast(detector, image, target, 1, smooth_px=0)
    view = OpenView(detector, image)
    exact = ((view.pixels - view.fill) / 255 * (weights[0, 0] - weights[0, 1])).sum(axis=-1)[view.inside]
    np.testing.assert_allclose(found.values, exact, atol=1e-4)
    c = detector.candidates([image])[0]
    assert (
        found.value == pytest.approx(float(c.logits[0, 0] - c.logits[0, 1]), abs=1e-4)
        and found.target.kind == "contrast"
    )
    sampled = contrast(detector, image, target, 1, method="d_rise", masks=64)
    assert sampled.value == pytest.approx(found.value, abs=1e-4)
    with pytest.raises(InputError, match="support only"):
        contrast(detector, image, target, 1, method="layer_cam")
    with pytest.raises(InputError, match="two different classes"):
        contrast(detector, image, target, 0)


def test_what_cannot_work_says_why_and_what_does():
    image = noise(9)
    black, fake = (
        LinearDetector(smooth_weights(9), BOX, capabilities=("candidates",)),
        LinearDetector(smooth_weights(9), BOX, simulated=True),
    )
    assert [(o.method, o.possible, o.instead) for o in offers(black.info) if not o.possible] == [
        (m, False, "d_rise") for m in EVIDENCE_METHODS if m != "d_rise"
    ]
    with pytest.raises(CapabilityError, match="needs gradients.*D-RISE asks it from outside"):
        one(black, image, "layer_cam")
    assert not any(o.possible for o in offers(fake.info))
    with pytest.raises(CapabilityError, match="simulated: no network ran"):
        one(fake, image, "d_rise")
    with pytest.raises(InputError, match="method: expected one of"):
        one(black, image, "grad_cam")


def test_targets_of_a_run_are_asked_in_the_detectors_own_classes():
    class Link:
        def __init__(self, class_id):
            self.class_id = class_id

    class Run:  # what `targets_of` reads of one
        sample_ids = ["a"]
        class_map = type("M", (), {"names": ("extra", "class 1", "class 0")})

        class manifest:
            class classes:
                links = (Link(2), Link(1))

        @staticmethod
        def detections_of(i):
            from detector.core import Detections

            return Detections(BOX, [0.5], [1], SIZE, [0])

        @staticmethod
        def annotations(i):
            from detector.core import Annotations

            return Annotations([*BOX, [0, 0, 5, 5]], [2, 0], SIZE)

    detector, image = LinearDetector(smooth_weights(1, classes=2), BOX), noise(1)
    found, missed = targets_of(Run, detector, image, 0, [ObjectRef("det", 0), ObjectRef("truth", 0)])
    assert (found.kind, found.class_id, found.anchor_ids.tolist()) == ("detection", 1, [0])
    assert (missed.kind, missed.class_id) == ("missed", 0)
    with pytest.raises(InputError, match="no class 'extra'"):
        targets_of(Run, detector, image, 0, [ObjectRef("truth", 1)])
    with pytest.raises(InputError, match="expected one of its 1 detections, got number 1"):
        targets_of(Run, detector, image, 0, [ObjectRef("det", 1)])
