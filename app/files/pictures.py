"""Pictures for the browser: one small cached tile an image, and the full picture of the one that is open."""

from __future__ import annotations

import contextlib
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np

from analysis.runs.store import Run
from detector.data.members import find_member
from detector.data.remote import is_remote
from detector.errors import BoxscopeError, ImageError
from detector.paths import data_dir, write_atomically

TILE_SIDE = 384
_AS_THEY_ARE = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png"}
_LARGEST_AS_IT_IS = 8 * 1024 * 1024


def name_of(run: Run, i: int) -> str:
    """What people call image i: its file's name, or the sample id where it is no file."""
    return os.path.basename(run.files[i]) or run.sample_ids[i]


def jpeg(rgb: np.ndarray, quality: int = 84) -> bytes:
    """RGB uint8 [H, W, 3] as a JPEG file."""
    import cv2

    ok, data = cv2.imencode(".jpg", rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise ImageError(f"a picture of {rgb.shape[1]}x{rgb.shape[0]} pixels could not be made into a JPEG.")
    return data.tobytes()


def identity(run: Run, i: int) -> str:
    """Changes when the picture does: path, size and time of its file; for a picture in memory the run and the
    sample.
    """
    file = run.files[i]
    if not file:
        return f"{getattr(run, 'version', id(run))}\0{run.sample_ids[i]}"
    if is_remote(file):
        return file
    member = find_member(file)
    stat = os.stat(file if member is None else member.container)
    return f"{file}\0{stat.st_size}\0{stat.st_mtime_ns}"


def tile(run: Run, i: int, side: int = TILE_SIDE) -> bytes:
    """Image i as a small JPEG, from the cache on disk where it has been made before.

    Raises:
        ImageError: the picture cannot be read.
    """
    try:
        key = hashlib.sha1(f"{identity(run, i)}\0{side}".encode("utf-8", "surrogateescape")).hexdigest()
    except OSError as error:
        raise ImageError(f"the file is not there ({error.strerror or error}).", path=run.files[i]) from None
    path = data_dir("cache", "tiles") / key[:2] / f"{key}.jpg"
    try:
        return path.read_bytes()
    except OSError:
        pass
    if run.files[i]:
        from detector.data.images import thumbnail

        small = thumbnail(run.files[i], side)
    else:
        small = shrink(run.load_image(i), side)
    data = jpeg(small)
    with contextlib.suppress(OSError):  # a full disk costs the cache, not the page
        write_atomically(path, data)
    return data


def shrink(rgb: np.ndarray, side: int) -> np.ndarray:
    """The picture with its longer side at most `side` pixels; never enlarged."""
    import cv2

    height, width = rgb.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return rgb
    return cv2.resize(
        rgb, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA
    )


def tiles(run: Run, rows: list[int]) -> list[bytes | str]:
    """Tiles of several images; where one cannot be read, the reason instead."""

    def one(i: int) -> bytes | str:
        try:
            return tile(run, i)
        except BoxscopeError as error:
            return error.message

    def known(i: int) -> tuple[str, bytes | None]:
        try:
            key = identity(run, i)
        except OSError:
            return "", None
        return key, _recent.get(key)

    found = [known(i) for i in rows]
    missing = [k for k, (_, content) in enumerate(found) if content is None]
    made: list[bytes | str] = [content or "" for _, content in found]
    if missing:
        with ThreadPoolExecutor(max_workers=4) as pool:
            for k, content in zip(missing, pool.map(one, [rows[k] for k in missing])):
                made[k] = content
                if isinstance(content, bytes):
                    _remember(found[k][0], content)
    return made


_RECENT = 600
_recent: dict[str, bytes] = {}


def _remember(key: str, content: bytes) -> None:
    _recent[key] = content
    while len(_recent) > _RECENT:
        _recent.pop(next(iter(_recent)), None)


def picture(run: Run, i: int) -> tuple[bytes, str]:
    """(file content, media type) of image i for the viewer: the file itself where a browser shows it upright.

    Raises:
        ImageError: the picture cannot be read.
    """
    try:
        return _picture(_Key(identity(run, i), run, i))
    except OSError as error:
        raise ImageError(f"the file is not there ({error.strerror or error}).", path=run.files[i]) from None


class _Key:
    """Compares by the picture's identity alone, and brings along what is needed to read it."""

    def __init__(self, identity: str, run: Run, i: int):
        self.identity, self.run, self.i = identity, run, i

    def __hash__(self) -> int:
        return hash(self.identity)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.identity == self.identity


@lru_cache(maxsize=24)
def _picture(key: _Key) -> tuple[bytes, str]:
    run, i = key.run, key.i
    key.run = None  # the cache must not keep a whole run alive
    if run.files[i]:
        from detector.data.images import picture_bytes, read_header

        content = picture_bytes(run.files[i])
        kind = next((kind for magic, kind in _AS_THEY_ARE.items() if content.startswith(magic)), None)
        if kind and len(content) <= _LARGEST_AS_IT_IS:
            header = read_header(content)
            if header.orientation == 1 and header.complete is not False and b"acTL" not in content[:200]:
                return content, kind
    return jpeg(run.load_image(i), 92), "image/jpeg"


def publish(content: bytes, kind: str, place: str) -> str:
    """A URL under which this session's browser can fetch the file; "" where no server runs (tests)."""
    import streamlit as st

    if not st.runtime.exists():
        return ""
    return st.runtime.get_instance().media_file_mgr.add(content, kind, place)
