"""boxscope doctor and eda: text, JSON, the fixed copy, what is refused, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app import cli
from detector import load_dataset
from tests.analysis.dataset_builders import scene, write
from tests.app.test_cli import boxscope
from tests.detector.data.builders import voc_xml


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """Three pictures of 90x60: a car; a box without area beside a tiny car; the first picture again in
    test.
    """
    root = tmp_path / "voc"
    boxes = {
        "a": [("car", 10, 5, 70, 55)],
        "b": [("car", 10, 5, 70, 55), ("car", 3, 3, 3, 3), ("car", 70, 1, 74, 5)],
        "c": [("car", 10, 5, 70, 55)],
    }
    for name, objects in boxes.items():
        write(root / "JPEGImages" / f"{name}.jpg", scene({"c": 0}.get(name, ord(name) - ord("a")), (90, 60)))
        voc_xml(root / "Annotations" / f"{name}.xml", objects, (90, 60))
    sets = root / "ImageSets" / "Main"
    sets.mkdir(parents=True)
    (sets / "train.txt").write_text("a\nb\n")
    (sets / "test.txt").write_text("c\n")
    return root


def fails(*arguments: object) -> str:
    """Standard output of a command that must exit with 1, by an error or by what it found."""
    result = CliRunner().invoke(cli.app, [str(a) for a in arguments])
    assert result.exit_code == 1, result.output
    return result.stdout or str(result.exception)


def test_findings_as_text_and_json(voc):
    text = fails("doctor", voc, "--rare", 0)
    assert (
        "error: zero-area box (1)" in text
        and "b.xml:12: object 'car'" in text
        and "error: leak between splits (1)" in text
    )
    assert "a.jpg (train), c.jpg (test): same file" in text
    found = json.loads(fails("doctor", voc, "--rare", 0, "--json"))
    assert {f["kind"]: f["count"] for f in found["findings"]} == {
        "zero-area box": 1,
        "leak between splits": 1,
        "no anchor": 1,
    }
    assert (
        found["severities"] == {"error": 2, "warning": 1, "note": 0}
        and found["objects"] == 4
        and found["counts"] == {"zero-area box": 1}
    )
    leak = next(f for f in found["findings"] if f["kind"] == "leak between splits")
    assert leak["places"][0]["samples"] == ["a", "c"]
    # 5x5 of 90x60 is 17.8x26.7 at 320x320: wide enough to see, and no anchor fits it.
    assert found["reach"]["classes"] == {"car": {"objects": 4, "reached": 3, "ceiling": 0.75}} and found[
        "reach"
    ]["input_size"] == [320, 320]
    assert found["reach"]["changes"]["input 640x640"] == 1.0


def test_the_network_and_its_input_size_decide_what_is_small(voc):
    found = json.loads(
        fails(
            "doctor",
            voc,
            "--rare",
            0,
            "--network",
            "ssd_mobilenet_v2_fpnlite",
            "--input-size",
            "128x64",
            "--json",
        )
    )
    small = next(f for f in found["findings"] if f["kind"] == "too small for the input")
    # 5x5 of 90x60 at 128x64 is 7.1x5.3 pixels, less than a cell of 8.
    assert small["count"] == 1 and small["places"][0]["boxes"] == [[69.0, 0.0, 74.0, 5.0]]
    assert json.loads(fails("doctor", voc, "--network", "none", "--json"))["reach"] is None
    assert "multiples of 32" in fails("doctor", voc, "--input-size", "300")
    assert "WIDTHxHEIGHT" in fails("doctor", voc, "--input-size", "big")
    assert "yolo9000" in fails("doctor", voc, "--network", "yolo9000")


def test_without_pixels_no_picture_is_read(voc):
    found = json.loads(fails("doctor", voc, "--rare", 0, "--no-pixels", "--json"))
    assert found["copies"] is None and [f["kind"] for f in found["findings"]] == [
        "zero-area box",
        "no anchor",
    ]


def test_a_label_map_is_compared(voc, tmp_path):
    labels = tmp_path / "labels.pbtxt"
    labels.write_text("item { id: 1 name: 'Car' }")
    found = json.loads(fails("doctor", voc, "--label-map", labels, "--json"))
    assert "spelt differently" in [f["kind"] for f in found["findings"]]
    fails("doctor", voc, "--label-map", labels, "--fix", tmp_path / "out")
    assert load_dataset(tmp_path / "out").class_map.names == ("Car",)


def test_the_fixed_copy(voc, tmp_path):
    text = fails("doctor", voc, "--rare", 0, "--fix", tmp_path / "out", "--to", "coco")
    assert (
        "wrote" in text
        and "2 changes" in text
        and "copy: " in text
        and "a.jpg (train) is the same picture as c.jpg (test)" in text
    )
    again = load_dataset(tmp_path / "out")
    assert again.format == "coco" and len(again) == 2 and not again.problems
    assert "give --fix too" in fails("doctor", voc, "--to", "coco")
    assert "holds something" in fails("doctor", voc, "--fix", tmp_path / "out")


def test_notes_alone_do_not_fail(voc):
    (voc / "Annotations" / "b.xml").unlink()
    (voc / "JPEGImages" / "b.jpg").unlink()
    (voc / "ImageSets" / "Main" / "train.txt").write_text("a\n")
    write(voc / "JPEGImages" / "c.jpg", scene(5, (90, 60)))
    assert "no problems found" in boxscope("doctor", voc, "--rare", 0)
    voc_xml(voc / "Annotations" / "c.xml", [], (90, 60))
    assert "1 note" in boxscope("doctor", voc, "--rare", 0)


def test_eda(voc, tmp_path):
    out = tmp_path / "deep" / "report.html"
    assert boxscope("eda", voc, "--out", out).strip() == str(out)
    assert out.read_text().count("data:image/jpeg") == 3 + 2, "every sample, and the leaked pair"
    values = json.loads(boxscope("eda", voc, "--out", out, "--samples", 0, "--network", "none", "--json"))
    assert (
        values["splits"]["train"]["objects"] == 3 and values["reach"] is None and values["report"] == str(out)
    )
    assert "html" in fails("eda", voc, "--out", tmp_path / "x.pdf")


def test_the_folder_of_the_pictures_can_be_named(tmp_path):
    write(tmp_path / "elsewhere" / "a.jpg", scene(0, (90, 60)))
    truth = tmp_path / "labels" / "truth.json"
    truth.parent.mkdir()
    truth.write_text(
        json.dumps(
            {
                "images": [{"id": 1, "file_name": "a.jpg", "width": 90, "height": 60}],
                "categories": [{"id": 1, "name": "car"}],
                "annotations": [
                    {
                        "id": 1,
                        "image_id": 1,
                        "category_id": 1,
                        "bbox": [10, 5, 60, 50],
                        "area": 3000,
                        "iscrowd": 0,
                    }
                ],
            }
        )
    )
    assert "(on the command line: --images FOLDER)" in fails("doctor", truth, "--rare", 0)
    assert "picture" not in boxscope("doctor", truth, "--rare", 0, "--images", tmp_path / "elsewhere")
    boxscope("eda", truth, "--images", tmp_path / "elsewhere", "--out", tmp_path / "r.html")
    ran = json.loads(
        boxscope(
            "detect",
            "--model",
            f"fake:{truth}",
            "--data",
            truth,
            "--images",
            tmp_path / "elsewhere",
            "--out",
            tmp_path / "run",
            "--json",
        )
    )
    assert ran["images"] == 1 and ran["failed"] == {}
