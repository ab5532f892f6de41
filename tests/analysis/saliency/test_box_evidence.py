"""Evidence for a box instead of a class: where its sides stand, on detectors whose sides are known, and on
two heads.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from analysis.saliency.faithfulness import Trial
from analysis.saliency.methods import EVIDENCE_METHODS, explain, find_target, last, offers
from analysis.saliency.picture import reading
from analysis.saliency.targets import OUTWARD, SIDES, Target, box_target
from analysis.saliency.views import CandidatesView, OpenView, open_view
from detector.core import Candidates
from detector.differentiable import Gradients
from detector.errors import CapabilityError, InputError
from tests.analysis.saliency.probes import PAD, SIZE, LinearDetector, no_weights, spot

W, H = SIZE
OWN = [10.0, 6.0, 34.0, 22.0]
PULL = 8.0
"""Pixels a side moves outward when its pixel turns from black to white."""
AT = {"left": (14, 12), "top": (20, 9), "right": (31, 13), "bottom": (22, 19)}


class SidedDetector(LinearDetector):
    """One anchor whose four sides are each decided by one pixel of the picture; its class by none."""

    def __init__(self, capabilities=("gradients", "box_gradients", "candidates", "low_scores")):
        super().__init__(no_weights(), [OWN], bias=1.0, capabilities=capabilities)
        self.pull = np.zeros((4, *self.weights.shape[2:]))
        for side, (x, y) in AT.items():
            k = SIDES.index(side)
            self.pull[k, y + PAD[1], x + PAD[0]] = OUTWARD[k] * PULL / 3 / 255

    def boxes(self, batch):
        return (self.xyxy[0] + np.einsum("bhwc,shwc->bs", np.asarray(batch, np.float64), self.pull))[:, None]

    def answer(self, frame, batch, *, boxes=False):
        return self._logits(batch), self.boxes(batch).astype(np.float32) if boxes else None

    def gradients(self, frame, batch, anchor_ids, class_ids, weights, layers=()):
        if np.min(class_ids) < 1:
            return super().gradients(frame, batch, anchor_ids, class_ids, weights, layers)
        shares = np.array([frame.inputs.shape[1], frame.inputs.shape[0]] * 2)
        sides = np.asarray(class_ids) - 1
        gradient = np.tensordot(np.asarray(weights) / shares[sides], self.pull[sides], 1).astype(np.float32)
        places = (self.boxes(batch)[:, 0] + np.array([*PAD, *PAD])) / shares
        values = (places[:, sides] * np.asarray(weights)).sum(axis=1).astype(np.float32)
        every = np.broadcast_to(gradient, batch.shape)
        if not layers:
            return Gradients(values, every, {}, {})
        return Gradients(values, None, {n: np.asarray(batch) for n in layers}, {n: every for n in layers})

    def candidates(self, images):
        found = []
        for image, c in zip(images, super().candidates(images)):
            found.append(
                Candidates(
                    self.boxes(self.frame(image).inputs[None])[0].astype(np.float32),
                    c.scores,
                    c.image_size,
                    logits=c.logits,
                )
            )
        return found


def lit() -> np.ndarray:
    return np.maximum.reduce([spot(*at) for at in AT.values()])


def ask(detector, side, image=None):
    image = lit() if image is None else image
    shown = detector.candidates([image])[0]
    target = find_target(detector, image, shown.xyxy[0], 0, anchor_id=0, candidates=shown)
    return image, box_target(target, shown, side)


@pytest.mark.parametrize("method", EVIDENCE_METHODS)
@pytest.mark.parametrize("side", SIDES)
def test_each_side_has_its_own_pixel(method, side):
    detector = SidedDetector()
    image, target = ask(detector, side)
    settings = (
        {"masks": 800, "stop_reliability": 1.0, "window": None, "grid": 10} if method == "d_rise" else {}
    )
    (heat,) = last(explain(detector, image, [target], method, **settings))
    y, x = np.unravel_index(heat.values.argmax(), heat.values.shape)
    reach = 3 if method == "d_rise" else 0
    assert abs(x - AT[side][0]) <= reach and abs(y - AT[side][1]) <= reach
    assert heat.target.kind == "box" and f"holds its {side} side out" in reading(heat)


def test_the_numbers_are_shares_of_the_frame():
    detector = SidedDetector()
    image, target = ask(detector, "right")
    (heat,) = last(explain(detector, image, [target], "integrated_gradients", smooth_px=0))
    frame_width = W + 2 * PAD[0]
    assert heat.unit == "share" and heat.value == pytest.approx(
        (OWN[2] + PULL + PAD[0]) / frame_width, abs=1e-5
    )
    # "Nothing" is the mean colour, four white pixels spread over the picture.
    assert heat.baseline == pytest.approx((OWN[2] + PULL * 4 / (W * H) + PAD[0]) / frame_width, abs=1e-4)
    assert (
        heat.values.sum() == pytest.approx(heat.value - heat.baseline, abs=1e-4) and heat.completeness < 0.01
    )


def test_the_whole_box_is_how_large_it_is():
    """The mean of the four sides: a white pixel at any of them speaks for a larger box, by half a share of
    the picture's side.
    """
    detector = SidedDetector()
    image, target = ask(detector, "all")
    (heat,) = last(explain(detector, image, [target], "integrated_gradients", smooth_px=0))
    found = {side: heat.values[y, x] for side, (x, y) in AT.items()}
    frame = {"left": W + 2 * PAD[0], "right": W + 2 * PAD[0], "top": H + 2 * PAD[1], "bottom": H + 2 * PAD[1]}
    assert found == pytest.approx({side: PULL / frame[side] / 4 for side in SIDES}, rel=0.02)
    np.testing.assert_allclose(target.box, np.array(OWN) + PULL * np.array(OUTWARD), atol=1e-5)
    assert "holds the box out" in reading(heat)


def test_from_outside_it_is_the_same_question():
    """A detector that only shows candidates is asked by its boxes, in shares of the picture without the
    padding.
    """
    detector = SidedDetector(("candidates", "low_scores"))
    image, target = ask(detector, "left")
    view = open_view(detector, image, [target])
    assert isinstance(view, CandidatesView)
    assert view.evidence(np.stack([image, np.zeros_like(image)]), [target])[:, 0] == pytest.approx(
        [-(OWN[0] - PULL) / W, -OWN[0] / W], abs=1e-6
    )
    inside = OpenView(SidedDetector(), image, [target])
    assert inside.evidence(inside.pixels[None], [target])[0, 0] == pytest.approx(
        -(OWN[0] - PULL + PAD[0]) / (W + 2 * PAD[0]), abs=1e-6
    )


def test_a_box_is_held_against_itself():
    """Hiding all four pixels leaves the box where it lies on a black picture; its IoU with the clean one is
    known.
    """
    detector = SidedDetector()
    image, target = ask(detector, "all")
    (heat,) = last(explain(detector, image, [target], "integrated_gradients", smooth_px=0))
    trial = Trial(OpenView(detector, image, [target]), target, steps=8)
    verdict = trial.judge(heat)
    x1, y1, x2, y2 = target.box
    own = (OWN[2] - OWN[0]) * (OWN[3] - OWN[1])
    assert (
        verdict.unit == "box"
        and "of the whole box's IoU with itself" in verdict.sentence()
        and verdict.start == pytest.approx(1, abs=1e-6)
    )
    assert min(verdict.curves.hidden) == pytest.approx(own / ((x2 - x1) * (y2 - y1)), abs=0.02)
    assert verdict.curves.hidden[1] == min(verdict.curves.hidden), "the four pixels go first"
    assert verdict.beats("random"), "edges and a Gaussian on so large a box find these pixels as soon"


def test_what_cannot_be_asked_says_why():
    plain = LinearDetector(no_weights(), [OWN])
    assert [o.possible for o in offers(plain.info, box=True)] == [True, False, False] and [
        o.possible for o in offers(plain.info)
    ] == [True] * 3
    image, target = ask(plain, "top")
    with pytest.raises(
        CapabilityError, match="gradients of a box's sides, which this detector does not open; D-RISE"
    ):
        last(explain(plain, image, [target], "layer_cam"))
    closed = dataclasses.replace(plain.info, capabilities=frozenset({"low_scores"}))
    assert not any(o.possible for o in offers(closed, box=True))
    with pytest.raises(InputError, match="expected one of all, left, top, right, bottom, got 'middle'"):
        box_target(target, plain.candidates([image])[0], "middle")
    with pytest.raises(InputError, match="which this detector does not show"):
        box_target(Target("detection", 0, OWN), None)


def test_two_heads_answer_for_both():
    """A real network with random weights: a side's evidence sums to what it says, and is not the class'
    evidence.
    """
    pytest.importorskip("keras")
    from detector.models.two_head import TwoHeadDetector
    from detector.testing import patterned
    from tests.detector.models.test_two_head import CLASSES, CONFIG, arrays_for

    config = dataclasses.replace(CONFIG, resize="letterbox")
    detector = TwoHeadDetector(config, arrays_for(config), CLASSES)
    assert all(o.possible for o in offers(detector.info, box=True))
    image = patterned(61, 83, 7)
    shown = detector.candidates([image])[0]
    target = find_target(detector, image, shown.xyxy[0], 1, anchor_id=0, candidates=shown)
    maps = {
        side: last(
            explain(detector, image, [box_target(target, shown, side)], "integrated_gradients", most_steps=64)
        )[0]
        for side in ("left", "bottom")
    }
    assert all(heat.completeness < 0.2 for heat in maps.values())
    frame = detector.frame(image)
    share = frame.to_frame(shown.xyxy)[0] / np.array([96, 64, 96, 64])
    assert maps["left"].value == pytest.approx(-share[0], abs=1e-4) and maps["bottom"].value == pytest.approx(
        share[3], abs=1e-4
    )
    of_class = last(explain(detector, image, [target], "integrated_gradients"))[0]
    assert abs(np.corrcoef(maps["left"].values.ravel(), of_class.values.ravel())[0, 1]) < 0.9
