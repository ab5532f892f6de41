"""A run says how its detector was loaded, and it is loaded so again."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from analysis.runs.detect import detect_run
from analysis.runs.manifest import MANIFEST, read_manifest
from analysis.runs.store import open_run
from app import cli
from app.model.run_detector import detector_of
from app.model.spec import spec_of
from detector import load_detector
from detector.core import ClassMap
from detector.data.dataset import Dataset, ObjectTable
from tests.detector.models.decoders.tiny import write_tflite, yolo_table

IMAGE = np.zeros((32, 32, 3), np.uint8)


@pytest.fixture
def dataset() -> Dataset:
    return Dataset(
        name="one",
        format="memory",
        source="memory",
        class_map=ClassMap(("cat", "dog", "owl")),
        sample_ids=["a"],
        files=[""],
        sizes=np.array([[32, 32]]),
        objects=ObjectTable.build([0], [[5, 17, 21, 25]], [1]),
        loader=lambda i: IMAGE,
    )


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A network that two families can read, so that it opens with `family=` only, and labels beside no
    one.
    """
    path = write_tflite(tmp_path / "net.tflite", [yolo_table().T])
    (tmp_path / "my").mkdir()
    (tmp_path / "my" / "names.txt").write_text("cat\ndog\nowl\n")
    monkeypatch.chdir(tmp_path)
    return path


ASKED = {"family": "yolo", "labels": "my/names.txt", "postprocess": {"iou_threshold": 0.95}, "num_threads": 1}


def test_options_are_kept_and_used_again(model, dataset, tmp_path, monkeypatch):
    detector = load_detector("net.tflite", **ASKED)
    detect_run(detector, dataset, tmp_path / "run", floor=0.01)
    monkeypatch.chdir("/")
    run = open_run(tmp_path / "run")
    assert spec_of(run.manifest) == {
        "model": str(model),
        "data": None,
        "options": {
            "family": "yolo",
            "labels": str(tmp_path / "my" / "names.txt"),
            "postprocess": {"iou_threshold": 0.95},
        },
    }
    again = detector_of(run)
    assert again.info.weights_hash == detector.info.weights_hash
    assert again.detect([IMAGE])[0].equals(detector.detect([IMAGE])[0])
    assert len(run.detections) == len(again.detect([IMAGE])[0]) == 3, "at IoU 0.95 rows 5 and 6 both stay"
    assert load_detector(model, family="yolo").info.weights_hash != detector.info.weights_hash


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        (
            {"classes": ClassMap(("x", "y"), (3, 1))},
            {"classes": {"names": ["x", "y"], "external_ids": [3, 1]}},
        ),
        ({"labels": ["u", "v", "w"]}, {"labels": ["u", "v", "w"]}),
        ({"input_range": (-1, 1)}, {"input_range": (-1, 1)}),
        ({"labels": "coco"}, {"labels": "coco"}),
        ({"white_box": False}, {"white_box": False}),
        ({"num_threads": 2}, {}),
    ],
)
def test_each_option_comes_back_as_it_went_in(model, dataset, tmp_path, asked, kept):
    detector = load_detector(model, family="yolo", **asked)
    detect_run(detector, dataset, tmp_path / "run", floor=0.01)
    spec = spec_of(read_manifest(tmp_path / "run"))
    assert spec["options"] == {"family": "yolo", **kept}
    again = load_detector(spec["model"], **spec["options"])
    assert again.info.weights_hash == detector.info.weights_hash
    assert again.info.class_map == detector.info.class_map


def test_a_run_of_an_older_version_opens(model, dataset, tmp_path):
    detect_run(load_detector(model, family="yolo"), dataset, tmp_path / "run", floor=0.01)
    path = tmp_path / "run" / MANIFEST
    content = json.loads(path.read_text())
    del content["detector"]["loaded_with"]
    path.write_text(json.dumps(content))
    assert spec_of(open_run(tmp_path / "run").manifest)["options"] == {}


def test_what_json_does_not_know_is_left_out(model, tmp_path, monkeypatch):
    made = []
    (tmp_path / "mine.py").write_text(
        "from detector import load_detector\n"
        "def make(size=0, hook=None):\n    return load_detector('net.tflite', family='yolo')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    catalogue = tmp_path / "catalogue.yaml"
    catalogue.write_text(
        "detectors:\n  mine:\n    title: Mine\n    python: mine:make\n    options: {size: 3}\n"
    )
    monkeypatch.setenv("BOXSCOPE_CATALOGUE", str(catalogue))
    detector = load_detector("mine", hook=made.append)
    assert dict(detector.info.loaded_with) == {"size": 3} and detector.info.source == "mine"


def test_family_and_coco_names_from_the_command_line(pictures, tmp_path, boxscope_home):
    table = np.zeros((21, 84), np.float32)
    table[:, :4] = [16, 16, 8, 8]
    table[3, 4 + 16] = 0.9  # COCO's 17th class in a network of 80
    model = write_tflite(tmp_path / "net.tflite", [table])
    command = ["detect", "--model", str(model), "--data", str(pictures / "instances.json")]
    command += ["--labels", "coco", "--family", "yolo", "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(cli.app, command)
    assert done.exit_code == 0, done.output
    run = open_run(tmp_path / "run")
    assert spec_of(run.manifest)["options"] == {"labels": "coco", "family": "yolo"}
    assert run.manifest.detector.class_names[16] == "dog" and len(run.detections) == len(run)
    assert detector_of(run) is not None
