"""Naming a network: architecture, zoo name, recipe, pipeline.config, folder of a training; and single changes
to it.
"""

from __future__ import annotations

import pytest

from detector.core import ClassMap
from detector.errors import InputError
from detector.paths import data_dir
from detector.ssd.config import mobilenet_v2, mobilenet_v2_fpnlite
from detector.ssd.pipeline.text import model_text
from detector.training.networks import read_network


def test_names(tmp_path):
    assert (
        read_network("ssd_mobilenet_v2").config == read_network(mobilenet_v2().name).config == mobilenet_v2()
    )
    chosen = read_network("ssd_mobilenet_v2_fpnlite", (512, 320))
    assert (chosen.config.width, chosen.config.height, chosen.match_iou) == (512, 320, 0.5)
    assert len(chosen.anchors) == 6 * sum(-(-512 // s) * -(-320 // s) for s in (8, 16, 32, 64, 128))


def test_files(tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text("data: x\narchitecture: ssd_mobilenet_v2\ninput_size: [260, 200]\nmatch_iou: 0.4\n")
    chosen = read_network(str(recipe))
    assert (chosen.config.width, chosen.config.height, chosen.match_iou) == (260, 200, 0.4)
    small = mobilenet_v2_fpnlite(width=96, height=64, num_classes=2)
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "pipeline.config").write_text(model_text(small))
    for place in ("zoo", "zoo/pipeline.config"):
        assert (
            read_network(str(tmp_path / place)).config.width,
            read_network(str(tmp_path / place)).config.num_classes,
        ) == (96, 2)


def test_a_training_of_this_machine():
    from detector.ssd.stored import write_ssd

    write_ssd(
        data_dir("models", "cells"),
        mobilenet_v2_fpnlite(width=96, height=64, num_classes=1),
        ClassMap(("cell",)),
    )
    assert read_network("cells").config == read_network(str(data_dir("models") / "cells")).config
    assert read_network("cells").config.width == 96


@pytest.mark.parametrize("size", [(300, 300), (0, 320)])
def test_a_size_the_network_cannot_have(size):
    with pytest.raises(InputError, match="input size"):
        read_network("ssd_mobilenet_v2_fpnlite", size)


def test_what_is_no_network(tmp_path):
    sliding = tmp_path / "s.yaml"
    sliding.write_text("kind: sliding_window\n")
    with pytest.raises(InputError, match="no anchors"):
        read_network(str(sliding))
    for text in ("yolo9000", str(tmp_path), ""):
        with pytest.raises(InputError, match="ssd_mobilenet_v2_fpnlite"):
            read_network(text)


@pytest.mark.parametrize("name", ["ssd_mobilenet_v2", "ssd_mobilenet_v2_fpnlite", "ssd_resnet50_v1_fpn"])
def test_each_change_is_a_network_of_its_own(name):
    network = read_network(name)
    variants = dict(network.variants())
    assert len(variants) >= 3 and all(
        v.config != network.config and len(v.anchors) for v in variants.values()
    )
    double = next(
        v
        for words, v in variants.items()
        if words == f"input {round(network.config.width / 16) * 32}x{round(network.config.height / 16) * 32}"
    )
    assert double.config.width > 1.9 * network.config.width
