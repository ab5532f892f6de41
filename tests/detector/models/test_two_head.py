"""The two-head detector: the contract, its frames, its settings, and what it opens for heat maps."""

from __future__ import annotations

import json

import numpy as np
import pytest

from detector import load_detector
from detector.core import ClassMap, Staged
from detector.differentiable import DifferentiableDetector
from detector.errors import CapabilityError, ConfigError, InputError, ModelError
from detector.models.two_head import TwoHeadDetector
from detector.testing import DetectorContract, patterned
from detector.training.two_head.folder import TwoHeadFolder
from detector.two_head.config import TwoHeadConfig
from detector.two_head.stored import TwoHeadSettings

CONFIG = TwoHeadConfig(
    backbone="MobileNet",
    alpha=0.25,
    input_size=(96, 64),
    num_classes=3,
    box_channels=8,
    box_widths=(8,),
    dropout=0.0,
)
CLASSES = ClassMap(("car", "bus", "van"))


def arrays_for(config: TwoHeadConfig, seed: int = 1) -> dict[str, np.ndarray]:
    """Seeded weights with lively answers."""
    import keras

    from detector.two_head.network import arrays_of, build_two_head

    keras.utils.set_random_seed(seed)
    arrays, rng = arrays_of(build_two_head(config)), np.random.default_rng(seed)
    for key in arrays:
        if key.startswith(("class_logits/kernel", "box_numbers/kernel", "box_hidden")):
            arrays[key] = (arrays[key] + rng.normal(0, 1, arrays[key].shape)).astype(np.float32)
    return arrays


@pytest.fixture(scope="module")
def arrays():
    return arrays_for(CONFIG)


@pytest.fixture(scope="module")
def made(arrays):
    return TwoHeadDetector(CONFIG, arrays, CLASSES)


class TestTwoHeadKeepsTheContract(DetectorContract):
    tolerance = 0.01

    @pytest.fixture
    def detector(self, made):
        return made


def test_its_one_candidate_becomes_the_top_classes_on_one_box(arrays, made):
    image = patterned(61, 83, 4)
    (shown,), (found,) = made.candidates([image]), made.detect([image])
    assert (
        shown.scores.shape == (1, 3) and shown.scores.sum() == pytest.approx(1, abs=1e-5) and len(found) == 3
    )
    assert (
        (found.xyxy == found.xyxy[0]).all()
        and sorted(found.class_ids.tolist()) == [0, 1, 2]
        and found.anchor_ids.tolist() == [0, 0, 0]
    )
    (one,) = TwoHeadDetector(CONFIG, arrays, CLASSES, TwoHeadSettings(top_k=1)).detect([image])
    assert len(one) == 1 and one.class_ids[0] == shown.scores[0].argmax()


def test_the_letterbox_maps_boxes_back(arrays):
    import dataclasses

    detector = TwoHeadDetector(dataclasses.replace(CONFIG, resize="letterbox"), arrays, CLASSES)
    image = patterned(100, 60, 5)  # into 96x64: scaled by 0.64, bars left and right
    pixels = detector.resized(image)
    assert pixels.shape == (64, 96, 3) and (pixels[:, :28] == 114).all() and (pixels[:, -28:] == 114).all()
    share = np.asarray(detector.answering().predict_on_batch(pixels[None])["boxes"])[0]
    (shown,) = detector.candidates([image])
    wide = 100 * 96 / 64
    assert shown.xyxy[0] == pytest.approx(
        [
            share[0] * wide - (wide - 60) / 2,
            share[1] * 100,
            share[2] * wide - (wide - 60) / 2,
            share[3] * 100,
        ],
        abs=1e-3,
    )


def test_the_mirror_average_is_that_of_both_pictures(arrays, made):
    both = TwoHeadDetector(CONFIG, arrays, CLASSES, TwoHeadSettings(flip_average=True))
    image = patterned(64, 96, 6)
    (one,), (other,), (mean,) = (
        d.candidates([i]) for d, i in ((made, image), (made, image[:, ::-1].copy()), (both, image))
    )
    x1, y1, x2, y2 = other.xyxy[0]
    assert mean.xyxy[0] == pytest.approx((one.xyxy[0] + np.array([96 - x2, y1, 96 - x1, y2])) / 2, abs=1e-2)
    assert mean.scores == pytest.approx((one.scores + other.scores) / 2, abs=1e-4)
    assert both.info.weights_hash != made.info.weights_hash and both.info.settings["flip_average"] is True


def test_resized_pictures_stand_in_for_pictures(made):
    images = [patterned(61, 83, 1), patterned(97, 45, 2)]
    assert isinstance(made, Staged)
    again = made.detect_resized([made.resized(i) for i in images], [(83, 61), (45, 97)])
    assert all(a.equals(b, atol=0.01) for a, b in zip(again, made.detect(images)))


def test_a_folder_without_weights_and_wrong_names_are_refused(tmp_path, arrays):
    from detector.ssd.weights import save_arrays
    from detector.training.two_head.recipe import TwoHeadRecipe

    TwoHeadFolder(tmp_path).write_two_head(CONFIG, CLASSES, TwoHeadRecipe(name="three", top_k=2))
    with pytest.raises(ModelError, match="there are none yet"):
        load_detector(tmp_path)
    save_arrays(tmp_path / "weights.npz", arrays, {"step": 7})
    detector = load_detector(tmp_path, top_k=1)
    assert (
        detector.info.name == "three"
        and detector.info.settings["max_total_detections"] == 1
        and "Weights of step 7." in detector.info.notes
    )
    assert load_detector(tmp_path, labels=["a", "b", "c"]).info.class_map.names == ("a", "b", "c")
    with pytest.raises(ModelError, match="expected names for the network's 3 classes, got 2"):
        load_detector(tmp_path, classes=ClassMap(("a", "b")))
    with pytest.raises(ConfigError, match="top_k: expected at least 1"):
        load_detector(tmp_path, top_k=0)
    stored = json.loads((tmp_path / "detector.json").read_text())
    (tmp_path / "detector.json").write_text(json.dumps({**stored, "schema": 99}))
    with pytest.raises(ModelError, match="schema 1, got .* and 99"):
        load_detector(tmp_path)


def test_weights_of_another_network_are_refused(arrays):
    import dataclasses

    detector = TwoHeadDetector(dataclasses.replace(CONFIG, box_widths=(9,)), arrays, CLASSES)
    with pytest.raises(
        ModelError, match=r"expected box_hidden1/kernel of shape \[48, 9\], the weights have \[48, 8\]"
    ):
        detector.detect([patterned(61, 83)])


def test_gradients_of_both_heads_agree_with_small_steps(made):
    assert isinstance(made, DifferentiableDetector) and "gradients" in made.info.capabilities
    image = patterned(61, 83, 7)
    frame = made.frame(image)
    assert frame.inputs.shape == (64, 96, 3) and frame.window == (0, 0, 96, 64) and frame.count == 1
    rng = np.random.default_rng(0)
    way = rng.normal(0, 1, frame.inputs.shape).astype(np.float32)
    for column, read in (
        (1, lambda logits, boxes: logits[0, 0, 1]),
        (4, lambda logits, boxes: boxes[0, 0, 1] / 61),
    ):
        got = made.gradients(frame, frame.inputs[None], [0], [column], [1.0])
        step = 0.05
        ahead, behind = (
            read(*made.answer(frame, (frame.inputs + s * way)[None], boxes=True)) for s in (step, -step)
        )
        assert float((got.inputs[0] * way).sum()) == pytest.approx(
            (ahead - behind) / (2 * step), rel=0.1, abs=1e-4
        )


def test_evidence_is_read_at_two_maps(made):
    layers = made.evidence_layers([0])
    frame = made.frame(patterned(61, 83, 7))
    got = made.gradients(frame, frame.inputs[None], [0], [2], [1.0], layers)
    assert [got.features[name].shape[1:3] for name in layers] == [(8, 12), (2, 3)]
    assert all(got.gradients[name].shape == got.features[name].shape for name in layers)
    with pytest.raises(InputError, match="class_ids: expected 0 to 6"):
        made.gradients(frame, frame.inputs[None], [0], [7], [1.0])
    with pytest.raises(InputError, match="one candidate a picture"):
        made.frame(patterned(61, 83, 7), [1])


def test_a_box_head_alone_has_no_gradients_to_offer():
    import dataclasses

    config = dataclasses.replace(CONFIG, heads="box", num_classes=1)
    detector = TwoHeadDetector(config, arrays_for(config), ClassMap(("object",)))
    assert "gradients" not in detector.info.capabilities
    with pytest.raises(CapabilityError, match="box head alone"):
        detector.answer(detector.frame(patterned(61, 83)), np.zeros((1, 64, 96, 3)))
