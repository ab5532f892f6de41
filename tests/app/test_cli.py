"""The boxscope command, on a small data set drawn here: every command, its JSON, its errors and exit
codes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from app import cli
from detector.errors import InputError
from detector.paths import ROOT

CATEGORIES = [{"id": 3, "name": "car"}, {"id": 18, "name": "dog"}]
BOXES = {1: [(18, [10, 10, 60, 40])], 2: [(3, [5, 20, 70, 30]), (18, [80, 10, 30, 60])], 7: []}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three drawn pictures and their COCO json; image 7 holds nothing."""
    folder = tmp_path / "set"
    folder.mkdir()
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for image_id, objects in BOXES.items():
        picture = rng.integers(0, 255, (83, 121, 3), np.uint8)
        cv2.imwrite(str(folder / f"{image_id}.jpg"), picture)
        images.append({"id": image_id, "file_name": f"{image_id}.jpg", "width": 121, "height": 83})
        for category, xywh in objects:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": category,
                    "bbox": xywh,
                    "area": xywh[2] * xywh[3],
                    "iscrowd": 0,
                }
            )
    path = folder / "truth.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": CATEGORIES}))
    return path


def boxscope(*arguments: object) -> str:
    """Standard output of a command that must succeed."""
    result = CliRunner().invoke(cli.app, [str(a) for a in arguments])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def run_of(pictures: Path, out: Path) -> Path:
    boxscope("detect", "--model", f"fake:{pictures}", "--data", pictures, "--out", out)
    return out


def process(*arguments: object, **environment: str) -> subprocess.CompletedProcess:
    """The command as a user starts it, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | environment,
    )


def test_find_in_a_data_set(pictures):
    assert boxscope("find", pictures, "--classes", "dog").split() == ["1", "2"]
    assert boxscope("find", pictures, "--classes", "car, dog", "--mode", "all").split() == ["2"]
    assert boxscope("find", pictures, "--classes", "car", "--mode", "none").split() == ["1", "7"]
    assert json.loads(boxscope("find", pictures, "--classes", "car", "--json")) == ["2"]
    assert boxscope("find", pictures, "--classes", "dog", "--min-count", "2") == ""


def test_detect_stores_a_run_and_does_not_run_twice(pictures, tmp_path):
    first = json.loads(boxscope("detect", "--model", f"fake:{pictures}", "--data", pictures, "--json"))
    assert first["state"] == "done" and first["images"] == 3 and first["failed"] == {}
    again = json.loads(boxscope("detect", "--model", f"fake:{pictures}", "--data", pictures, "--json"))
    assert again["run"] == first["run"] and again["detections"] == first["detections"]
    [stored] = json.loads(boxscope("runs", "--json"))
    assert stored["state"] == "done" and stored["manifest"]["dataset"]["count"] == 3
    assert len(list((Path(first["run"]) / "parts").glob("images-*.parquet"))) == 1


def test_limit_and_floor_reach_the_run(pictures, tmp_path):
    out = json.loads(
        boxscope(
            "detect",
            "--model",
            f"fake:{pictures}",
            "--data",
            pictures,
            "--limit",
            2,
            "--floor",
            0.9,
            "--out",
            tmp_path / "r",
            "--json",
        )
    )
    assert out["images"] == 2 and out["floor"] == 0.9


def test_evaluate_a_run_and_the_files_it_exports_alike(pictures, tmp_path):
    run = run_of(pictures, tmp_path / "r")
    figures = json.loads(boxscope("evaluate", run, "--json"))
    at = figures["at_operating_point"]
    assert at["tp"] + at["fn"] == at["objects"] == 3 and at["operating_point"]["iou"] == 0.5
    assert 0 <= figures["AP"] <= figures["AP50"] <= 1
    text = boxscope("evaluate", run, "--threshold", 0.3)
    assert "confidence ≥ 0.30" in text and "AP50" in text


def test_counts_of_chosen_classes_alone(pictures, tmp_path):
    run = run_of(pictures, tmp_path / "r")
    at = json.loads(boxscope("evaluate", run, "--classes", "dog", "--threshold", 0.0, "--json"))[
        "at_operating_point"
    ]
    assert at["objects"] == 2 and at["classes"] == ["dog"]
    assert json.loads(boxscope("evaluate", run, "--json"))["at_operating_point"]["classes"] is None
    assert "dog alone: 2 objects" in boxscope("evaluate", run, "--classes", "dog")


def test_no_command_offers_an_iou_of_0(pictures, tmp_path):
    run = run_of(pictures, tmp_path / "r")
    for command in ("evaluate", "kinds"):
        result = CliRunner().invoke(cli.app, [command, str(run), "--iou", "0"])
        assert result.exit_code == 2 and "0.01" in result.stderr, result.stderr


def test_a_file_name_in_the_place_of_an_id(pictures, tmp_path):
    result = CliRunner().invoke(cli.app, ["why", str(run_of(pictures, tmp_path / "r")), "--image", "7.jpg"])
    assert str(result.exception).endswith(
        "has no sample '7.jpg', which is the file name of the sample '7'; ids and file names differ here,"
        " give the id."
    )


def test_one_is_said_as_one(pictures, tmp_path):
    result = CliRunner().invoke(
        cli.app,
        [
            "detect",
            "--model",
            f"fake:{pictures}",
            "--data",
            str(pictures),
            "--limit",
            "1",
            "--out",
            str(tmp_path / "r"),
        ],
    )
    assert "1 image, " in result.stderr and "0 images could not be read" in result.stderr
    assert "\t1 image\t" in boxscope("runs") and ": 1 object, " in boxscope("evaluate", tmp_path / "r")


def test_evaluate_files(pictures, tmp_path):
    results = tmp_path / "results.json"
    results.write_text(
        json.dumps(
            [
                {"image_id": i, "category_id": c, "bbox": b, "score": 0.9}
                for i, rows in BOXES.items()
                for c, b in rows
            ]
        )
    )
    figures = json.loads(boxscope("evaluate", "--truth", pictures, "--predictions", results, "--json"))
    assert figures["AP"] == pytest.approx(1) and figures["AP50"] == pytest.approx(1)


def test_find_in_a_run_asks_the_predictions_unless_told(pictures, tmp_path):
    run = run_of(pictures, tmp_path / "r")
    assert boxscope("find", run, "--classes", "dog", "--on", "truth").split() == ["1", "2"]
    assert boxscope("find", run, "--classes", "dog", "--threshold", 1.0) == ""


def test_convert_and_read_again(pictures, tmp_path):
    for kind in ("voc", "yolo", "csv", "coco"):
        target = (
            tmp_path / kind / ("labels.csv" if kind == "csv" else "labels.json" if kind == "coco" else "")
        )
        boxscope("convert", pictures, target, "--to", kind)
        assert len(boxscope("find", target, "--classes", "dog").split()) == 2, kind


def test_doctor_names_every_fault_and_fails(pictures):
    assert "2 notes" in boxscope("doctor", pictures, "--rare", 0), "no split, and an image without objects"
    (pictures.parent / "2.jpg").write_bytes(b"not a picture")
    result = CliRunner().invoke(cli.app, ["doctor", str(pictures), "--rare", "0", "--json"])
    found = json.loads(result.stdout)
    assert result.exit_code == 1 and [p["sample"] for p in found["problems"]] == ["2"]


def test_an_error_is_one_line_and_exit_code_1(tmp_path):
    result = process("find", tmp_path / "nowhere", "--classes", "dog")
    assert result.returncode == 1 and result.stdout == ""
    assert (
        result.stderr.startswith("boxscope: ")
        and result.stderr.count("\n") == 1
        and "Traceback" not in result.stderr
    )


@pytest.mark.parametrize("command", ["detect", "report", "eda", "explain", "convert", "doctor"])
def test_a_result_that_could_not_be_written_is_refused_before_the_work(pictures, command):
    nowhere, missing = str(pictures / "sub" / "page.html"), "there-is-no-such-thing"
    arguments = {
        "detect": ["--model", missing, "--data", missing, "--out", nowhere],
        "report": ["{run}", "--out", nowhere],
        "eda": [missing, "--out", nowhere],
        "explain": [missing, "--image", "1", "--out", nowhere],
        "convert": [missing, nowhere, "--to", "coco"],
        "doctor": [missing, "--fix", nowhere],
    }[command]
    run = run_of(pictures, pictures.parent / "r") if command == "report" else None
    result = CliRunner().invoke(cli.app, [command, *(str(run) if a == "{run}" else a for a in arguments)])
    assert isinstance(result.exception, InputError) and str(result.exception).startswith(
        f"{nowhere} cannot be"
    ), result.exception


def test_a_file_the_system_refuses_is_one_line_and_exit_code_1(pictures, tmp_path):
    run = run_of(pictures, tmp_path / "r")
    for command in (
        ["thresholds", run, "--save", pictures / "t.yaml"],
        ["compare", run, "--threshold-after", 0.9, "--csv", pictures / "flips.csv"],
    ):
        result = process(*command)
        assert (
            result.returncode == 1
            and result.stderr.startswith(f"boxscope: {pictures}")
            and result.stderr.count("\n") == 1
        ), result.stderr


def test_a_detector_that_is_not_there_names_the_nearest(pictures):
    result = process("detect", "--model", "ssd_mobilnet_v2", "--data", pictures)
    assert result.returncode == 1 and "ssd_mobilenet_v2" in result.stderr and "Traceback" not in result.stderr


def test_json_is_alone_on_standard_output(pictures, tmp_path):
    result = process(
        "detect",
        "--model",
        f"fake:{pictures}",
        "--data",
        pictures,
        "--out",
        tmp_path / "r",
        "--json",
        BOXSCOPE_HOME=str(tmp_path / "home"),
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["images"] == 3


@pytest.mark.parametrize(
    "command",
    ["", "app", "demo", "doctor", "find", "convert", "detect", "runs", "models", "evaluate", "push"],
)
def test_every_command_explains_itself(command):
    assert "Usage" in boxscope(*([command] if command else []), "--help")


def test_the_boxes_behind_a_cell_add_up(pictures, tmp_path):
    run = run_of(pictures, tmp_path / "r")
    rows = {
        p: json.loads(boxscope("list", run, "--truth", "dog", "--predicted", p, "--threshold", 0.0, "--json"))
        for p in ("dog", "car", "background")
    }
    assert sum(map(len, rows.values())) == 2 and {r["sample"] for rs in rows.values() for r in rs} == {
        "1",
        "2",
    }
    result = CliRunner().invoke(cli.app, ["list", str(run), "--truth", "cow", "--predicted", "dog"])
    assert "cow" in str(result.exception)


def test_compare_lists_each_flip(pictures, tmp_path):
    run = run_of(pictures, tmp_path / "r")
    out = json.loads(
        boxscope(
            "compare",
            run,
            "--threshold",
            0.0,
            "--threshold-after",
            1.0,
            "--csv",
            tmp_path / "flips.csv",
            "--json",
        )
    )
    assert out["lost"] == out["a"]["tp"] and out["gained"] == 0
    assert len((tmp_path / "flips.csv").read_text().splitlines()) == 1 + out["lost"]
    assert "does not differ from itself" in str(CliRunner().invoke(cli.app, ["compare", str(run)]).exception)


def test_suggested_thresholds_are_honoured_where_they_are_given(pictures, tmp_path):
    run = run_of(pictures, tmp_path / "r")
    out = json.loads(boxscope("thresholds", run, "--save", tmp_path / "t.yaml", "--json"))
    assert set(out["classes"]) == {"car", "dog"} and out["rule"] == "best F1"
    boxes = json.loads(
        boxscope(
            "list", run, "--truth", "dog", "--predicted", "dog", "--thresholds", tmp_path / "t.yaml", "--json"
        )
    )
    assert len(boxes) == out["classes"]["dog"]["tp"]


def test_kinds_of_a_run_without_ground_truth(pictures, tmp_path):
    fewer = tmp_path / "plain"
    fewer.mkdir()
    (fewer / "1.jpg").write_bytes((pictures.parent / "1.jpg").read_bytes())
    boxscope("detect", "--model", f"fake:{pictures}", "--data", fewer, "--out", tmp_path / "r")
    result = CliRunner().invoke(cli.app, ["kinds", str(tmp_path / "r")])
    assert isinstance(result.exception, InputError) and "expected a run with ground truth" in str(
        result.exception
    )


def test_a_guarantee_is_saved_with_its_certificate_and_evaluate_judges_it(pictures, tmp_path):
    run = run_of(pictures, tmp_path / "run")
    out = json.loads(boxscope("thresholds", run, "--false-positives", 60, "--confidence", 0.5, "--json"))
    assert out["all"]["goal"] == "false positives" and out["all"]["images"] == 3
    saved = tmp_path / "sure.yaml"
    out = boxscope("thresholds", run, "--recall", 0.05, "--confidence", 0.5, "--save", saved)
    assert out.startswith("all classes") and ("promise" in out or "prove no more than" in out)
    if saved.exists():
        assert "certificate (recall" in boxscope("evaluate", run, "--thresholds", saved)
    out = boxscope("thresholds", run, "--precision", 0.99, "--confidence", 0.99)
    assert "none:" in out
    refused = CliRunner().invoke(cli.app, ["thresholds", str(run), "--confidence", "0.9"])
    assert refused.exit_code != 0 and isinstance(refused.exception, InputError)
