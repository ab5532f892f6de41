"""The proof on the real database: the shipped recipe, trained here, against its promises. About five minutes
on two idle cores.
"""

from __future__ import annotations

import numpy as np
import pytest

from analysis.locations.rule import location_curve
from analysis.locations.run import evaluate_locations
from analysis.runs.in_memory import run_from_detections
from detector import load_dataset, load_detector
from detector.data.formats.uiuc import whole_windows
from detector.sliding.convert import to_fully_convolutional
from detector.sliding.stored import read_folder
from detector.training.recipes import read_recipe, train_recipe
from detector.training.sliding.folder import SlidingFolder
from tests.conftest import ROOT

BEST_F1 = {"single_scale": 0.985, "multi_scale": 0.955}


@pytest.fixture(scope="module")
def trained(shared, tmp_path_factory):
    recipe = read_recipe(ROOT / "configs" / "uiuc_cars.yaml").with_(data=str(shared / "data" / "uiuc_cars"))
    return train_recipe(recipe, tmp_path_factory.mktemp("uiuc") / "cars")


@pytest.mark.slow
def test_the_classifier_on_held_out_patches(trained):
    figures = SlidingFolder(trained).read_json("state.json")["figures"]
    assert figures["held-out patches"] == 210 and figures["accuracy"] >= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("split", BEST_F1)
def test_both_test_sets_by_the_official_rule(trained, shared, split):
    """Single-scale with windows of its one size; by whole windows as found, and by those restored from a
    stored run.
    """
    data = load_dataset(shared / "data" / "uiuc_cars", split=split)
    detector = load_detector(trained, **({"window_widths": [100]} if split == "single_scale" else {}))
    found, detections = {}, []
    for sample in data:
        image = sample.load()
        [windows] = detector.windows([image])
        found[sample.id] = (windows.xyxy, windows.scores)
        detections.append(detector.detect([image])[0])
    curve = location_curve(
        found, whole_windows(shared / "data" / "uiuc_cars", split), with_scale=split == "multi_scale"
    )
    assert curve.f1[curve.best] >= BEST_F1[split]
    [stored] = evaluate_locations(run_from_detections(data, detections, detector.info))
    assert stored.split == split and stored.curve.f1[stored.curve.best] == pytest.approx(
        curve.f1[curve.best], abs=0.006
    )


@pytest.mark.slow
def test_the_map_equals_the_classifier_on_a_real_picture(trained, shared):
    classifier = read_folder(trained).load_classifier()
    network, geometry = to_fully_convolutional(classifier)
    grey = load_dataset(shared / "data" / "uiuc_cars", split="single_scale").load_image(3)[..., 0]
    answer = np.asarray(network(grey[None, :, :, None].astype(np.float32) / 255))[0]
    assert (
        answer.shape[:2] == geometry.map_size((grey.shape[1], grey.shape[0]))[::-1]
        and grey.shape[0] != grey.shape[1]
    )
    windows = geometry.boxes(answer.shape[1], answer.shape[0]).astype(int)
    one = [
        np.asarray(classifier(grey[None, y1:y2, x1:x2, None].astype(np.float32) / 255))[0]
        for x1, y1, x2, y2 in windows
    ]
    probability = lambda logits: 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))  # noqa: E731
    np.testing.assert_allclose(probability(answer.reshape(-1, 2)), probability(np.array(one)), atol=1e-5)
