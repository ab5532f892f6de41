"""Models fetched from the network: with progress, cached, and never read half-written.

TF Hub and Kaggle handles are fetched the way tensorflow-hub does it (`HANDLE?tf-hub-format=compressed`, a
tar.gz) and laid where it looks (`$TFHUB_CACHE_DIR/<sha1 of the handle>`), so that each finds what the other
fetched. tensorflow-hub itself is not called: it imports TensorFlow, waits without a time limit and tells
no progress.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from detector.archive import Progress, is_archive, unpack
from detector.errors import DownloadError, ModelError
from detector.paths import data_dir

TIMEOUT = 10.0  # seconds without a byte; an entry may have three sources to try
MAX_BYTES = 3 << 30
HUB_HOSTS = ("tfhub.dev", "www.tfhub.dev", "hub.tensorflow.google.cn", "kaggle.com", "www.kaggle.com")
MEANWHILE = (
    "Meanwhile the demo, a SavedModel folder and a .tflite file on this machine work without a network."
)


def is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def is_hub_handle(url: str) -> bool:
    """A TF Hub or Kaggle model page, not a plain file."""
    parts = urllib.parse.urlparse(url)
    return parts.hostname in HUB_HOSTS and not is_archive(parts.path)


def place_of(url: str) -> Path:
    """Where a copy of this URL is looked for, and may be put by hand: a folder (handle) or a file (archive,
    .tflite).

    A handle's folder holds saved_model.pb and variables/.
    """
    if is_hub_handle(url):
        cache = os.environ.get("TFHUB_CACHE_DIR")
        folder = Path(cache) if cache else data_dir("models") / "tfhub"
        return folder / _sha1(plain_handle(url))
    name = Path(urllib.parse.urlparse(url).path).name or "model.tar.gz"
    return data_dir("models") / "downloads" / _sha1(url)[:8] / name


def plain_handle(url: str) -> str:
    """The handle as tensorflow-hub hashes it: without query and closing slash."""
    parts = urllib.parse.urlparse(url)
    return urllib.parse.urlunparse(parts._replace(query="", fragment="")).rstrip("/")


def cached(url: str) -> Path | None:
    """The whole local copy of a URL, or None. Imports and fetches nothing."""
    place = place_of(url)
    if not is_hub_handle(url):
        return place if place.is_file() else None
    # Where tensorflow-hub keeps its cache if nobody says otherwise.
    places = (
        [place, Path(tempfile.gettempdir()) / "tfhub_modules" / place.name]
        if "TFHUB_CACHE_DIR" not in os.environ
        else [place]
    )
    return next((p for p in places if (p / "saved_model.pb").is_file()), None)


def fetch(
    url: str, *, progress: Progress | None = None, timeout: float = TIMEOUT, max_bytes: int = MAX_BYTES
) -> Path:
    """The local copy of a URL, fetched if need be: a folder for a TF Hub handle, else the file.

    Args:
        progress: called with (bytes done, bytes in all or None).
        timeout: seconds to wait for the connection, and for each piece.

    Raises:
        DownloadError: no network, an answer that is no model, or a transfer cut short. It says what was
            wanted, where a copy may be put by hand and what works meanwhile. Nothing half-written stays.
    """
    have = cached(url)
    if have:
        return have
    if not is_url(url):
        raise DownloadError(f"expected an address beginning with http:// or https://, got {url!r}.")
    place = place_of(url)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=place.parent) as scratch:
        if not is_hub_handle(url):
            file = Path(scratch) / place.name
            _transfer(url, url, file, progress, timeout, max_bytes, _looks_right)
            os.replace(file, place)
            return place
        file = Path(scratch) / "model.tar.gz"
        query = urllib.parse.urlencode({"tf-hub-format": "compressed"})
        _transfer(f"{plain_handle(url)}?{query}", url, file, progress, timeout, max_bytes, _looks_right)
        try:
            folder = unpack(file, into=Path(scratch))
        except ModelError as error:
            raise _failure(url, f"what came is no model archive: {error.message}") from error
        if not (folder / "saved_model.pb").is_file():
            raise _failure(url, "the archive that came holds no saved_model.pb")
        if place.is_dir() and cached(url) is None:  # left empty or incomplete by something else
            shutil.rmtree(place)
        try:
            os.rename(folder, place)
        except OSError:
            if not (place / "saved_model.pb").is_file():  # else another process was first
                raise
    return place


def _transfer(address: str, url: str, file: Path, progress, timeout: float, max_bytes: int, check) -> None:
    request = urllib.request.Request(address, headers={"User-Agent": "boxscope"})
    done = 0
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer, open(file, "wb") as out:
            length = answer.headers.get("Content-Length")
            total = int(length) if length and length.isdigit() else None
            kind = answer.headers.get_content_type()
            if total is not None and total > max_bytes:
                raise _failure(url, f"it is {total:,} bytes, more than the bound of {max_bytes:,} bytes")
            while piece := answer.read(1 << 18):
                if not done:
                    check(piece, file.name, kind, url)
                done += len(piece)
                if done > max_bytes:
                    raise _failure(url, f"it is more than the bound of {max_bytes:,} bytes")
                out.write(piece)
                if progress:
                    progress(done, total)
            out.flush()
            os.fsync(out.fileno())
    except urllib.error.HTTPError as error:
        raise _failure(url, f"the server answered {error.code} {error.reason}") from error
    except http.client.IncompleteRead as error:
        raise _failure(
            url, f"the transfer was cut short after {done + len(error.partial):,} bytes"
        ) from error
    except TimeoutError as error:
        raise _failure(url, f"no answer within {timeout:g} seconds") from error
    except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        said = f"no answer within {timeout:g} seconds" if isinstance(reason, TimeoutError) else str(reason)
        raise _failure(url, f"{urllib.parse.urlparse(url).hostname} cannot be reached ({said})") from error
    if total is not None and done < total:
        raise _failure(url, f"the transfer was cut short after {done:,} of {total:,} bytes")
    if not done:
        raise _failure(url, "the answer was empty")


def _looks_right(piece: bytes, name: str, kind: str, url: str) -> None:
    """Refuse a web page that came in place of a model, by its first bytes."""
    if name.lower().endswith((".gz", ".tgz")):
        fits = piece[:2] == b"\x1f\x8b"
    elif name.lower().endswith(".zip"):
        fits = piece[:2] == b"PK"
    elif name.lower().endswith(".tflite"):
        fits = piece[4:8] == b"TFL3"
    else:
        fits = True
    if not fits:
        raise _failure(url, f"what came is not a model but {kind}")


def by_hand(url: str) -> str:
    """Where a copy made on another machine has to be put, as a part of a sentence."""
    place = place_of(url)
    if is_hub_handle(url):
        return f"put the unpacked model (saved_model.pb and variables/) into {place}"
    return f"put {place.name} into {place.parent}"


def failure(what: str, reasons: Sequence[str], urls: Sequence[str]) -> DownloadError:
    """What was wanted, why each address failed, where a copy may be put, and what works meanwhile."""
    pages = [url for url in urls if is_hub_handle(url)]  # one folder is enough to name
    places = ", or ".join(by_hand(url) for url in [*pages[:1], *(url for url in urls if url not in pages)])
    return DownloadError(
        f"{what} could not be fetched: {'; '.join(reasons)}. To use it here without a network, {places}."
        f" {MEANWHILE}"
    )


def _failure(url: str, reason: str) -> DownloadError:
    error = failure(url, [reason], [url])
    error.reason = reason
    return error


def _sha1(text: str) -> str:
    return hashlib.sha1(text.encode("utf-8"), usedforsecurity=False).hexdigest()
