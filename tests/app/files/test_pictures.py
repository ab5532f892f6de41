"""Tiles and full pictures: right, cached once, and made by several threads at a time."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from app.files import pictures
from detector.errors import ImageError


@pytest.fixture
def run(tmp_path):
    wide, tall = np.zeros((40, 900, 3), np.uint8), np.full((50, 20, 3), 200, np.uint8)
    wide[:, :450] = (250, 10, 10)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    image = Image.fromarray(tall)
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    image.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    files = [str(tmp_path / n) for n in ("wide.png", "turned.jpg", "broken.jpg", "gone.jpg")] + [""]
    return SimpleNamespace(
        files=files,
        sample_ids=list("wtbgm"),
        version="v1",
        load_image=lambda i: np.full((30, 70, 3), 9, np.uint8) if not files[i] else _read(files[i]),
    )


def _read(file):
    from detector.data.images import read_image

    return read_image(file)


def decoded(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)


def test_a_tile_is_small_upright_and_of_the_right_colour(run):
    wide = decoded(pictures.tile(run, 0))
    assert wide.shape[:2] == (17, 384) and wide[8, 40].tolist()[0] > 200 and wide[8, 40].tolist()[2] < 60
    assert decoded(pictures.tile(run, 1)).shape[:2] == (20, 50)
    assert decoded(pictures.tile(run, 4)).shape[:2] == (30, 70), "a picture that is no file"


def test_a_tile_is_made_once_until_its_file_changes(run, monkeypatch):
    first = pictures.tile(run, 0)
    monkeypatch.setattr("detector.data.images.thumbnail", lambda *_: pytest.fail("made again"))
    assert pictures.tile(run, 0) == first
    monkeypatch.undo()
    Image.fromarray(np.zeros((30, 31, 3), np.uint8)).save(run.files[0])
    assert decoded(pictures.tile(run, 0)).shape[:2] == (30, 31)


def test_what_cannot_be_read_is_a_reason_and_stops_nothing_else(run):
    made = pictures.tiles(run, [2, 0, 3])
    assert isinstance(made[0], str) and isinstance(made[1], bytes) and "not there" in made[2]


def test_one_picture_many_times_at_once(run):
    made = pictures.tiles(run, [0] * 40)
    assert len(set(made)) == 1 and isinstance(made[0], bytes)


def test_the_viewer_gets_the_file_itself_where_a_browser_shows_it_right(run):
    content, kind = pictures.picture(run, 0)
    assert kind == "image/png" and content == Path(run.files[0]).read_bytes()
    content, kind = pictures.picture(run, 1)
    assert kind == "image/jpeg" and decoded(content).shape[:2] == (
        20,
        50,
    ), "a turned one is written anew, upright"
    for i in (2, 3):
        with pytest.raises(ImageError):
            pictures.picture(run, i)
