"""Any picture to upright RGB; every fault one sentence."""

from __future__ import annotations

import csv
import io
import warnings

import numpy as np
import pytest
from PIL import Image, ImageOps

from detector.data.images import image_size, read_header, read_image, thumbnail, turn, turn_boxes
from detector.errors import ImageError
from tests.detector.data.builders import encoded, exif, pixels


def one_sentence(error: ImageError) -> bool:
    return error.message.endswith(".") and "\n" not in error.message and "Traceback" not in error.message


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_equals_pillow_and_boxes_turn_alike(orientation):
    stored = pixels(23, 11)
    for kind in ("PNG", "JPEG", "TIFF", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {"quality": 98} if kind == "JPEG" else {}
        data = encoded(stored, kind, exif=exif(orientation), **options)
        with Image.open(io.BytesIO(data)) as opened:
            want = np.asarray(ImageOps.exif_transpose(opened).convert("RGB")).astype(int)
        got = read_image(data)
        assert got.shape == want.shape, kind
        assert np.abs(got - want).max() <= 1, kind
        assert image_size(data) == (want.shape[1], want.shape[0]), kind
        assert thumbnail(data, 8).shape[:2] == ((4, 8) if want.shape[1] == 23 else (8, 4)), kind
    marked = np.zeros((11, 23), np.uint8)
    marked[2:5, 3:9] = 1
    rows, columns = np.nonzero(turn(marked, orientation))
    box = turn_boxes([[3, 2, 9, 5]], (23, 11), orientation)[0]
    assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_modes_become_what_a_viewer_shows():
    grey = np.array([[0, 128, 255], [10, 20, 30]], np.uint8)
    assert (read_image(encoded(grey)) == grey[:, :, None]).all()
    deep = np.array([[0, 257, 65535], [32896, 514, 1]], np.uint16)
    assert read_image(encoded(Image.fromarray(deep)))[:, :, 1].tolist() == [[0, 1, 255], [128, 2, 0]]
    clear = np.dstack([np.zeros((2, 3, 3), np.uint8), np.array([[0, 255, 128], [0, 0, 0]], np.uint8)])
    assert read_image(encoded(clear))[:, :, 0].tolist() == [[255, 0, 127], [255, 255, 255]]
    palette = Image.fromarray(np.array([[0, 1, 1]], np.uint8), "P")
    palette.putpalette([255, 0, 0, 0, 0, 255])
    assert read_image(encoded(palette)).tolist() == [[[255, 0, 0], [0, 0, 255], [0, 0, 255]]]
    assert read_image(encoded(palette, transparency=0)).tolist() == [
        [[255, 255, 255], [0, 0, 255], [0, 0, 255]]
    ]
    one_bit = Image.fromarray(np.array([[True, False, True]]))
    assert read_image(encoded(one_bit))[0, :, 2].tolist() == [255, 0, 255]
    half = np.float32([[0.0, 0.5, 1.0]])
    assert read_image(encoded(Image.fromarray(half), "TIFF"))[0, :, 0].tolist() == [0, 128, 255]
    wide = Image.fromarray(np.array([[-100, 0, 155]], np.int32))
    assert read_image(encoded(wide, "TIFF"))[0, :, 0].tolist() == [0, 100, 255]


def test_cmyk_jpeg_is_not_a_negative():
    red = Image.new("CMYK", (16, 8), (0, 255, 255, 0))
    got = read_image(encoded(red, "JPEG", quality=95)).reshape(-1, 3).mean(axis=0)
    assert got[0] > 240 and got[1] < 15 and got[2] < 15


def test_animation_gives_its_first_frame():
    first, second = Image.new("RGB", (6, 4), (200, 0, 0)), Image.new("RGB", (6, 4), (0, 0, 200))
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        got = read_image(encoded(first, kind, save_all=True, append_images=[second]))
        assert got.shape == (4, 6, 3) and got[0, 0, 0] > 190 and got[0, 0, 2] < 20, kind


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_a_truncated_file_is_an_error_and_not_grey_pixels(kind, part):
    noisy = np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8)
    data = encoded(noisy, kind)
    with pytest.raises(ImageError) as caught:
        read_image(data[: int(len(data) * part)])
    assert one_sentence(caught.value)


def test_a_truncated_photo_with_an_embedded_thumbnail_is_still_noticed():
    noisy = np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8)
    data = encoded(noisy, "JPEG")
    inner = encoded(pixels(8, 6), "JPEG")  # ends with the same end marker as the picture itself
    with_thumbnail = data[:2] + b"\xff\xe5" + (len(inner) + 2).to_bytes(2, "big") + inner + data[2:]
    assert np.array_equal(read_image(with_thumbnail), read_image(data))
    with pytest.raises(ImageError, match="truncated"):
        read_image(with_thumbnail[: len(with_thumbnail) * 2 // 3])


def test_faults_are_named_in_one_sentence(tmp_path):
    cases = {
        "empty.jpg": (b"", "empty"),
        "pointer.jpg": (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
            "Git LFS pointer",
        ),
        "page.jpg": (b"<!DOCTYPE html><html></html>", "web page"),
        "text.png": (b"hello", "no decoder"),
    }
    for name, (content, words) in cases.items():
        (tmp_path / name).write_bytes(content)
        for call in (read_image, image_size, lambda p: thumbnail(p, 32)):
            with pytest.raises(ImageError, match=words) as caught:
                call(tmp_path / name)
            assert one_sentence(caught.value) and name in str(caught.value)
    for missing in (tmp_path / "none.jpg", tmp_path):
        with pytest.raises(ImageError, match="no such file|folder"):
            read_image(missing)


def test_a_claim_of_too_many_pixels_is_refused_before_decoding_and_the_bound_can_be_raised():
    data = encoded(np.zeros((300, 400), np.uint8))
    with pytest.raises(ImageError, match="at most 100,000 pixels, the header claims 400x300"):
        read_image(data, max_pixels=100_000)
    bomb = (
        b"GIF89a"
        + (65535).to_bytes(2, "little") * 2
        + b"\0\0\0,\0\0\0\0"
        + (65535).to_bytes(2, "little") * 2
        + b"\0\2\2\1\0\0;"
    )
    with pytest.raises(ImageError, match="max_pixels"):
        read_image(bomb)
    assert image_size(bomb, max_pixels=5_000_000_000) == (65535, 65535)
    assert Image.MAX_IMAGE_PIXELS is not None


def test_names_beyond_ascii_and_header_completeness(tmp_path):
    file = tmp_path / "Krönung – 写真.jpg"
    file.write_bytes(encoded(pixels(9, 4), "JPEG"))
    assert read_image(file).shape == (4, 9, 3)
    assert read_header(file).complete is True
    file.write_bytes(file.read_bytes()[:-40])
    assert read_header(file).complete is None


def test_thumbnail_shrinks_and_never_enlarges():
    data = encoded(pixels(1200, 400), "JPEG", quality=95)
    small = thumbnail(data, 150)
    assert small.shape == (50, 150, 3)
    assert np.abs(small[25, ::10, 0].astype(int) - pixels(150, 50)[25, ::10, 0]).max() < 6
    assert np.array_equal(thumbnail(data, 5000), read_image(data))


def test_odd_images_as_their_manifest_says(shared):
    folder = shared / "data" / "odd_images"
    bad = {
        "broken.png",
        "unknown_compression_method.png",
        "png_decompression_dos.png",
        "lfs_pointer_image1.jpg",
        "decompression_bomb.gif",
    }
    bad |= {"truncated_jpeg.jpg", "ultrahdr.jpg", "truncated_image.png", "broken_data_stream.png"}
    rows = list(csv.DictReader((folder / "MANIFEST.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 71
    for row in rows:
        file, said = folder / row["file"], row["pillow_13_says"]
        if row["file"] in bad:
            with pytest.raises(ImageError) as caught:
                read_image(file)
            assert one_sentence(caught.value), row["file"]
            continue
        got = read_image(file)
        assert got.dtype == np.uint8 and got.shape[2] == 3, row["file"]
        assert image_size(file) == (got.shape[1], got.shape[0]), row["file"]
        width, height = (
            int(v) for v in next(w for w in said.split() if w[0].isdigit() and "x" in w).split("x")
        )
        if any(f"orient={k}" in said for k in (5, 6, 7, 8)):
            width, height = height, width
        assert (got.shape[1], got.shape[0]) == (width, height), row["file"]
        if (" RGB " in f" {said} " or " L " in f" {said} ") and got.size < 6_000_000:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with Image.open(file) as opened:
                    want = np.asarray(ImageOps.exif_transpose(opened).convert("RGB")).astype(int)
            assert np.abs(got - want).max() <= 1, row["file"]
    scene = [read_image(folder / f"Landscape_{k}.jpg")[::100, ::100].astype(int) for k in (1, 3, 6, 8)]
    assert all(np.abs(s - scene[0]).mean() < 12 for s in scene[1:])
    corner = read_image(folder / "horse.png")[0, 0]  # clear there
    assert corner.tolist() == [255, 255, 255]
    deep = read_image(folder / "hopper_16bit.pgm")
    assert np.abs(deep.astype(int) - read_image(folder / "hopper_gray.jpg").astype(int)).mean() < 8
