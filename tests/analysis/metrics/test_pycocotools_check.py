"""The parity panel: equal where it must be, and a reason where it cannot be."""

from __future__ import annotations

import builtins
import json

import pytest

from analysis.metrics.pycocotools_check import ParityRow, parity
from detector.errors import UnavailableError
from tests.analysis.builders import coco_dicts, random_run

pytest.importorskip("pycocotools")


def test_a_run_is_equal():
    p = parity(random_run(1, images=20))
    assert p.equal and len(p.rows) == 12 and p.reasons == ()
    assert [c.name for c in p.conventions] == [
        "COCO",
        "VOC 2007",
        "VOC 2010 and later",
        "VOC devkit's pixels",
        "tidecv",
    ]
    json.dumps(p.to_dict())


def test_files_are_equal_whatever_their_ids(tmp_path):
    truth, results = coco_dicts(random_run(2, images=20))
    for entry in truth["annotations"] + results:
        entry["image_id"] = f"photo {entry['image_id']}"
    for image in truth["images"]:
        image["id"] = f"photo {image['id']}"
    for name, content in (("t.json", truth), ("p.json", results)):
        (tmp_path / name).write_text(json.dumps(content))
    assert parity(truth=tmp_path / "t.json", predictions=tmp_path / "p.json").equal
    assert parity(truth=truth, predictions=[]).equal


def test_annotation_id_0_is_the_reason(shared):
    folder = shared / "data/detection_metrics/padilla_toyexample"
    p = parity(
        truth=folder / "gts_coco_format/toy_example_coco.JSON",
        predictions=folder / "dets_coco_format/coco_dets.json",
    )
    rows = {r.name: r for r in p.rows}
    assert rows["AP"].ours == pytest.approx(0.597923, abs=5e-7) and rows["AP"].pycocotools == pytest.approx(
        0.495217, abs=5e-7
    )
    assert not p.equal and len(p.reasons) == 1 and "id 0" in p.reasons[0]
    assert {c.name: c.value for c in p.conventions}["VOC devkit's pixels"] == pytest.approx(
        0.8958333333333334, abs=1e-9
    )


def test_undefined_in_both_is_no_difference():
    assert ParityRow("APl", None, None).difference == 0 and ParityRow("AP", 0.5, 0.25).difference == 0.25
    assert ParityRow("AP", None, 0.5).difference != 0


def test_without_pycocotools_the_panel_says_so(monkeypatch):
    real = builtins.__import__

    def absent(name, *args, **kwargs):
        if name.startswith("pycocotools"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(UnavailableError, match="pip install pycocotools"):
        parity(random_run(1, images=2))
