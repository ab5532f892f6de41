"""Options that `boxscope evaluate` cannot honour together are refused, never ignored."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from app import cli
from detector.errors import InputError


@pytest.mark.parametrize(
    "options, named",
    [
        (["--parity", "--classes", "cat"], "--parity does not honour --classes"),
        (["--parity", "--crowd", "ignore"], "--parity does not honour --crowd"),
        (["--rule", "uiuc", "--iou", "0.7"], "--rule uiuc does not honour --iou"),
        (["--rule", "uiuc", "--parity"], "--rule uiuc does not honour --parity"),
    ],
)
def test_what_cannot_be_honoured_is_refused(tiny_run, options, named):
    ended = CliRunner().invoke(cli.app, ["evaluate", str(tiny_run), *options])
    assert isinstance(ended.exception, InputError) and named in str(ended.exception) and not ended.stdout


@pytest.mark.parametrize(
    "options",
    [["--threshold", "0.5"], ["--thresholds", "mine.json"], ["--iou", "0.5"], ["--excuse-tagged"]],
    ids=lambda options: options[0],
)
def test_two_files_refuse_what_needs_a_run(tmp_path, options):
    """Also where the value typed is the default: it would change nothing there, and seem to count."""
    files = ["--truth", str(tmp_path / "truth.json"), "--predictions", str(tmp_path / "results.json")]
    ended = CliRunner().invoke(cli.app, ["evaluate", *files, *options])
    assert isinstance(ended.exception, InputError) and not ended.stdout
    assert f"--predictions does not honour {options[0]}:" in str(ended.exception)


def test_two_files_honour_classes(tmp_path):
    """Two cats found, one dog missed: AP is 1 over cats, 0 over dogs, and the mean of both without a
    choice.
    """
    boxes = [(1, 1, [10, 10, 40, 20]), (2, 1, [60, 50, 30, 45]), (2, 2, [5, 5, 20, 30])]
    truth, results = tmp_path / "truth.json", tmp_path / "results.json"
    truth.write_text(
        json.dumps(
            {
                "images": [{"id": i, "file_name": f"{i}.jpg", "width": 100, "height": 100} for i in (1, 2)],
                "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
                "annotations": [
                    {"id": n, "image_id": i, "category_id": c, "bbox": b, "area": b[2] * b[3], "iscrowd": 0}
                    for n, (i, c, b) in enumerate(boxes, 1)
                ],
            }
        )
    )
    found = [{"image_id": i, "category_id": c, "bbox": b, "score": 0.9} for i, c, b in boxes[:2]]
    results.write_text(json.dumps(found))
    files = ["--truth", str(truth), "--predictions", str(results), "--json"]
    for options, expected in (([], 0.5), (["--classes", "cat"], 1.0), (["--classes", "dog"], 0.0)):
        ended = CliRunner().invoke(cli.app, ["evaluate", *files, *options], catch_exceptions=False)
        assert json.loads(ended.stdout)["AP"] == pytest.approx(expected)
