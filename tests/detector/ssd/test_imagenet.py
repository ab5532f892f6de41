"""What is said where ImageNet weights are not here and cannot be downloaded."""

from __future__ import annotations

import pytest

from detector.errors import DownloadError, ModelError
from detector.ssd.imagenet import imagenet_backbone

ADDRESS = "https://weights.example/mobilenet_v2/mobilenet_v2_weights_1.0_224_no_top.h5"


def failing(error):
    def build(**settings):
        raise error

    return build


def test_a_failed_download_names_the_file_and_its_place(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    error = Exception(
        f"URL fetch failure on {ADDRESS}: None -- [Errno -3] Temporary failure in name resolution"
    )
    with pytest.raises(DownloadError) as caught:
        imagenet_backbone(failing(error), "MobileNetV2", alpha=1.0)
    assert (
        str(caught.value) == "start: imagenet needs mobilenet_v2_weights_1.0_224_no_top.h5, which is not in"
        f" {tmp_path / 'models'} and could not be downloaded ([Errno -3] Temporary failure in name"
        " resolution); put the file there, or name it with `start` (--start FILE)."
    )


def test_weights_that_keras_does_not_have_are_another_sentence():
    with pytest.raises(ModelError, match="Keras has no ImageNet weights for this MobileNetV2: .*alpha.*0.7"):
        imagenet_backbone(failing(ValueError("alpha must be one of 0.35 ... not 0.7")), "MobileNetV2")


def test_what_keras_builds_is_handed_on():
    assert imagenet_backbone(lambda **settings: settings, "X", alpha=0.5) == {
        "weights": "imagenet",
        "alpha": 0.5,
    }
