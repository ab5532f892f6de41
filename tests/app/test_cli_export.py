"""boxscope export: what it refuses, and (slow) that what it writes detects like what it came from."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from app import cli
from detector.errors import InputError
from tests.app.test_cli import boxscope, pictures

__all__ = ["pictures"]  # the drawn data set, as a fixture


def refused(*arguments: object) -> str:
    result = CliRunner().invoke(cli.app, ["export", *map(str, arguments)])
    assert result.exit_code == 1
    return str(result.exception)


def test_what_cannot_be_written_is_refused_in_one_sentence(pictures, tmp_path):
    assert "saved_model, tflite" in refused(f"fake:{pictures}", tmp_path / "x", "--to", "onnx")
    assert "--data" in refused(
        f"fake:{pictures}", tmp_path / "x.tflite", "--to", "tflite", "--precision", "int8"
    )
    assert "own SSD" in refused(f"fake:{pictures}", tmp_path / "x.tflite", "--to", "tflite")
    assert not list(tmp_path.glob("x*"))


def test_pictures_that_set_the_ranges_are_spread_over_the_set(pictures):
    from app.jobs.exports import pick_pictures
    from detector import load_dataset

    data = load_dataset(pictures)
    first, last = pick_pictures(data, 2)
    assert (
        (first == data.load_image(0)).all()
        and (last == data.load_image(2)).all()
        and len(pick_pictures(data)) == 3
    )
    with pytest.raises(InputError, match="found none"):
        pick_pictures(data.subset([]))


@pytest.mark.slow
def test_a_written_tflite_finds_what_the_network_finds(tmp_path):
    import numpy as np

    from detector import load_detector
    from tests.detector.ssd.small_zoo import small_arrays, write_zoo_folder

    folder = write_zoo_folder(tmp_path / "zoo", small_arrays())
    boxscope("export", folder, tmp_path / "small.tflite", "--to", "tflite", "--nms", "per_class")
    image = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)
    [ours], [theirs] = (
        load_detector(folder).detect([image]),
        load_detector(tmp_path / "small.tflite").detect([image]),
    )
    n = min(10, len(ours))
    assert n == 10 and np.array_equal(ours.class_ids[:n], theirs.class_ids[:n])
    np.testing.assert_allclose(ours.scores[:n], theirs.scores[:n], atol=1e-3)
