"""Any picture file to RGB uint8, upright, the way a viewer would show it.

JPEG is decoded by OpenCV straight into the array, everything else by Pillow; on COCO photographs both gave
the same pixels. Pillow reads every header, so that one program decides size, mode and orientation. Colour
profiles are not applied: networks are trained on the stored values.
"""

from __future__ import annotations

import io
import os
import threading
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from detector.data import members, remote
from detector.errors import ImageError

MAX_PIXELS = 150_000_000
"""Largest width x height that is decoded (450 MB as RGB); a bigger claim is taken for a decompression
bomb.
"""

IMAGE_SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".apng",
        ".bmp",
        ".dib",
        ".gif",
        ".webp",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
    ]
    + [".pbm", ".pnm", ".mpo", ".ico", ".jp2", ".j2k", ".jpf", ".jpx", ".avif"]
)
"""File name endings taken for pictures when a folder is searched (any case)."""

_LFS = b"version https://git-lfs.github.com/spec/"
_ORIENTATION = 0x0112
# This module has its own, stricter and documented bound; Pillow's warning below it would only be noise.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings(
    "ignore", category=UserWarning, module=r"PIL\."
)  # broken EXIF and the like: the pixels count
_pillow_bound = threading.Lock()


@dataclass(frozen=True)
class Header:
    """What a picture says about itself before it is decoded.

    `size` is (W, H) upright, `stored_size` (W, H) before the EXIF `orientation` (1..8) is applied. `complete`
    is True where the file ends as its format says it must, False where it certainly does not, None where only
    decoding can tell.
    """

    size: tuple[int, int]
    stored_size: tuple[int, int]
    orientation: int
    complete: bool | None = None


def read_image(source: str | os.PathLike | bytes, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """The upright picture as RGB uint8 [H, W, 3].

    EXIF orientation is applied. Grey becomes three equal channels, CMYK is converted (Adobe's inverted form
    too), 16 bits are scaled to 8, palette and alpha are laid over white, of an animation the first frame is
    taken.

    Args:
        source: a path, or the bytes of a file.
        max_pixels: largest width x height that is decoded.

    Raises:
        ImageError: the file is missing, empty, a Git LFS pointer, not a picture, truncated, or too large.
    """
    data, path = _read_bytes(source)
    with _open(data, path, max_pixels) as picture:
        try:
            if picture.format in ("JPEG", "MPO") and picture.mode in ("RGB", "L"):
                pixels = _decode_jpeg(data, picture.size)
                if pixels is not None:
                    return turn(pixels, _orientation(picture))
            picture.load()
            # Read after loading: Pillow turns a TIFF itself and then drops the tag.
            return turn(_to_rgb(picture), _orientation(picture))
        except MemoryError:
            raise ImageError(
                f"expected a picture that fits in memory, {_wh(picture)} pixels do not.", path=path
            ) from None
        except Exception as error:  # decoders raise OSError, ValueError, SyntaxError, struct.error, ...
            raise ImageError(_decode_message(error, picture), path=path) from None


def image_size(source: str | os.PathLike | bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """(W, H) of the upright picture, from its header alone.

    Raises:
        ImageError: as `read_image`, except for faults that only decoding shows.
    """
    return read_header(source, max_pixels=max_pixels).size


def read_header(source: str | os.PathLike | bytes, *, max_pixels: int = MAX_PIXELS) -> Header:
    """Size and orientation from the header, and whether the file's end is there. Decodes nothing.

    Raises:
        ImageError: as `image_size`.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        data, path = _read_bytes(source)
        return _header(io.BytesIO(data), path, max_pixels)
    path = os.fspath(source)
    try:
        with _open_source(path) as file:
            return _header(file, path, max_pixels)
    except OSError as error:
        raise _no_file(path, error) from None


def thumbnail(source: str | os.PathLike | bytes, side: int, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """The upright picture shrunk so that its longer side is at most `side` pixels: RGB uint8; never enlarged.

    A JPEG is decoded at an eighth to a half of its size where that is enough.

    Raises:
        ImageError: as `read_image`.
    """
    data, path = _read_bytes(source)
    with _open(data, path, max_pixels) as picture:
        stored = picture.size
        width, height = stored
        scale = min(1.0, side / max(stored))
        try:
            if picture.format in ("JPEG", "MPO"):
                picture.draft(None, (max(1, round(width * scale)), max(1, round(height * scale))))
            picture.load()
            turned = picture.size != stored and picture.size == stored[::-1]
            pixels, orientation = _to_rgb(picture), _orientation(picture)
        except Exception as error:  # as in read_image
            raise ImageError(_decode_message(error, picture), path=path) from None
    if turned:
        width, height = height, width
    if scale < 1:
        import cv2

        target = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = cv2.resize(pixels, target, interpolation=cv2.INTER_AREA)
    return turn(pixels, orientation)


def turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """[H, W, ...] as stored to upright, by EXIF orientation 1..8 (EXIF 2.32, tag 0x0112); contiguous."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def turn_boxes(xyxy: np.ndarray, stored_size: tuple[int, int], orientation: int) -> np.ndarray:
    """xyxy [N, 4] in pixels of the stored picture to pixels of the upright one; the counterpart of `turn`."""
    x1, y1, x2, y2 = np.asarray(xyxy).reshape(-1, 4).T
    width, height = stored_size
    if orientation in (5, 6, 7, 8):
        x1, y1, x2, y2, width, height = y1, x1, y2, x2, height, width
    if orientation in (2, 3, 6, 7):
        x1, x2 = width - x2, width - x1
    if orientation in (3, 4, 7, 8):
        y1, y2 = height - y2, height - y1
    return np.stack([x1, y1, x2, y2], axis=1)


def picture_bytes(path: str | os.PathLike) -> bytes:
    """The bytes of a picture's file, wherever it lies: on disk, in an object store, or inside a record file.

    Raises:
        ImageError: there is no such file, or it cannot be read.
    """
    path = os.fspath(path)
    try:
        if remote.is_remote(path):
            return remote.read_bytes(path)
        member = members.find_member(path)
        return members.read_member(member) if member is not None else Path(path).read_bytes()
    except OSError as error:
        raise _no_file(path, error) from None


def picture_length(path: str | os.PathLike) -> int:
    """How many bytes `picture_bytes` gives, without reading them; -1 where nobody can say."""
    member = members.find_member(path)
    try:
        return member.length if member is not None else os.stat(path).st_size
    except OSError:
        return -1


def _open_source(path: str) -> BinaryIO:
    if remote.is_remote(path):
        return remote.open_file(path)
    member = members.find_member(path)
    return open(path, "rb") if member is None else members.open_member(member)


def _read_bytes(source) -> tuple[bytes, str | None]:
    if isinstance(source, (bytes, bytearray, memoryview)):
        data, path = bytes(source), None
    else:
        path = os.fspath(source)
        data = picture_bytes(path)
    if not data:
        raise ImageError("expected a picture, the file is empty (0 bytes).", path=path)
    return data, path


def _no_file(path: str, error: OSError) -> ImageError:
    if isinstance(error, FileNotFoundError):
        return ImageError("expected a picture, there is no such file.", path=path)
    if isinstance(error, IsADirectoryError):
        return ImageError("expected a picture, this is a folder.", path=path)
    return ImageError(f"expected a readable picture, the system says: {error.strerror or error}.", path=path)


@contextmanager
def _without_pillow_bound():
    with _pillow_bound:
        kept, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = kept


def _open(data: bytes, path: str | None, max_pixels: int) -> Image.Image:
    return _open_file(io.BytesIO(data), path, max_pixels)


def _open_file(file, path: str | None, max_pixels: int) -> Image.Image:
    try:
        if max_pixels > MAX_PIXELS:
            with _without_pillow_bound():
                picture = Image.open(file)
        else:
            picture = Image.open(file)
    except Image.DecompressionBombError as error:
        claim = "".join(c for c in str(error).split("pixels")[0] if c.isdigit()) or "too many"
        raise ImageError(_too_large(claim, max_pixels), path=path) from None
    except (
        Exception
    ) as error:  # plugins raise ValueError, SyntaxError and others besides UnidentifiedImageError
        file.seek(0)
        raise ImageError(_not_a_picture(file.read(400), error), path=path) from None
    width, height = picture.size
    if width * height > max_pixels:
        picture.close()
        raise ImageError(_too_large(f"{width}x{height} = {width * height}", max_pixels), path=path)
    return picture


def _too_large(claim: str, max_pixels: int) -> str:
    return (
        f"expected at most {max_pixels:,} pixels, the header claims {claim}; "
        "if the file is to be trusted, raise max_pixels."
    )


def _not_a_picture(head: bytes, error: Exception) -> str:
    if not head:
        return "expected a picture, the file is empty (0 bytes)."
    if head.startswith(_LFS):
        return "expected a picture, this is a Git LFS pointer; run `git lfs pull` where it came from."
    if head.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        return "expected a picture, this is a web page; download the picture itself."
    if isinstance(error, Image.UnidentifiedImageError):
        return "expected a picture, no decoder knows this content; it is damaged or of another format."
    return f"expected a picture, its header is damaged ({_plain(error)})."


def _decode_message(error: Exception, picture: Image.Image) -> str:
    text = _plain(error)
    if "truncated" in text or "Truncated" in text or isinstance(error, EOFError):
        return (
            f"expected a whole {picture.format} of {_wh(picture)} pixels, the file is truncated; get it"
            " again."
        )
    return f"expected a whole {picture.format} of {_wh(picture)} pixels, its content is damaged ({text})."


def _plain(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _wh(picture: Image.Image) -> str:
    return f"{picture.size[0]}x{picture.size[1]}"


def _orientation(picture: Image.Image) -> int:
    try:
        value = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # a broken EXIF block is no reason to refuse the pixels; viewers ignore it too
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _header(file, path: str | None, max_pixels: int) -> Header:
    with _open_file(file, path, max_pixels) as picture:
        size, kind = picture.size, picture.format
        orientation = 1 if kind == "TIFF" else _orientation(picture)  # Pillow gives a TIFF's size upright
        complete = _ends_well(file, kind)
    upright = size[::-1] if orientation >= 5 else size
    return Header(upright, size, orientation, complete)


def _ends_well(file, kind: str | None) -> bool | None:
    if kind not in ("JPEG", "PNG", "MPO") or file.closed:
        return None
    length = file.seek(0, os.SEEK_END)
    file.seek(max(0, length - 12))
    tail = file.read(12)
    if kind == "PNG":
        return True if tail[4:8] == b"IEND" else None
    return True if tail.rstrip(b"\0").endswith(b"\xff\xd9") else None


def _decode_jpeg(data: bytes, size: tuple[int, int]) -> np.ndarray | None:
    """OpenCV's decoding, or None where Pillow has to decide.

    OpenCV fills the missing part of a truncated file with grey and says nothing, so a file without an end
    marker after its first scan is left to Pillow. The search runs backwards and costs microseconds on a whole
    file.
    """
    scan = _first_scan(data)
    if scan is None or data.rfind(b"\xff\xd9") < scan:
        return None
    import cv2

    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    return pixels if pixels is not None and pixels.shape[1::-1] == size else None


def _first_scan(data: bytes) -> int | None:
    """Where the first start-of-scan marker of a JPEG lies (ITU T.81, B.1.1); None where the segments do not
    lead there.
    """
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker == 0xDA:
            return at
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _to_rgb(picture: Image.Image) -> np.ndarray:
    """A loaded picture of any mode to RGB uint8 [H, W, 3], not yet turned."""
    mode = picture.mode
    if mode.startswith(("I;16", "I", "F")):
        grey, seen = _to_8_bits(np.asarray(picture)), picture.info.get("transparency")
        if isinstance(seen, int):
            grey = np.where(np.asarray(picture) == seen, np.uint8(255), grey)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        white.alpha_composite(rgba)
        picture = white
    if picture.mode != "RGB":
        picture = picture.convert("RGB")
    return np.array(picture)


def _to_8_bits(values: np.ndarray) -> np.ndarray:
    """Grey of 16 or 32 bits or float to uint8: scaled by the range of its type, never clipped.

    16-bit values are divided by 257 (65535 -> 255), floats within 0..1 multiplied by 255; what fits neither
    is stretched from its smallest to its largest value.
    """
    fractions = values.dtype.kind == "f"
    values = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if fractions and low >= 0 and high <= 1:
        scaled = values * 255
    elif low >= 0 and high <= 65535:
        scaled = values / 257
    else:
        scaled = (values - low) * (255 / (high - low))
    return np.round(scaled).astype(np.uint8)
