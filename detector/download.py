"""Models fetched from the network: with progress, cached, and never read half-written.

TF Hub and Kaggle handles are resolved by tensorflow-hub itself (`detector/hub.py`); an archive or a .tflite
file by the transfer below. A model that is cached already is found without either.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from detector import hub
from detector.archive import Progress, is_archive
from detector.errors import DownloadError
from detector.paths import data_dir

TIMEOUT = 10.0  # seconds without a byte; an entry may have three sources to try
STALL = (
    60.0  # the same for tensorflow-hub, which has been found to answer by then and does more than read bytes
)
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
    url: str,
    *,
    progress: Progress | None = None,
    timeout: float = TIMEOUT,
    stall: float = STALL,
    max_bytes: int = MAX_BYTES,
) -> Path:
    """The local copy of a URL, fetched if need be: a folder for a TF Hub handle, else the file.

    Args:
        progress: called with (bytes done, bytes in all or None); for a handle, of the unpacked files.
        timeout: seconds to wait for the connection, and for each piece.
        stall: seconds without a further byte after which tensorflow-hub is ended.
        max_bytes: of the file, or of a handle's unpacked files.

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
    if is_hub_handle(url):
        _probe(url, timeout)
        try:
            hub.resolve(plain_handle(url), place, progress=progress, stall=stall, max_bytes=max_bytes)
        except hub.HubError as error:
            raise _failure(url, str(error)) from error
        return place
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=place.parent) as scratch:
        file = Path(scratch) / place.name
        _transfer(url, file, progress, timeout, max_bytes)
        os.replace(file, place)
    return place


def _probe(url: str, timeout: float) -> None:
    """Raise at once where a handle cannot be had: tensorflow-hub would first import TensorFlow for it."""
    query = urllib.parse.urlencode({"tf-hub-format": "compressed"})  # what tensorflow-hub asks for
    with _failures_named(url, timeout), _open(f"{plain_handle(url)}?{query}", timeout) as answer:
        start = answer.read(2)
        if not start:
            raise _failure(url, "the answer was empty")
        _require_model(start, "model.tar.gz", answer.headers.get_content_type(), url)


def _transfer(url: str, file: Path, progress: Progress | None, timeout: float, max_bytes: int) -> None:
    done = 0
    with _failures_named(url, timeout), _open(url, timeout) as answer, open(file, "wb") as out:
        length = answer.headers.get("Content-Length")
        total = int(length) if length and length.isdigit() else None
        kind = answer.headers.get_content_type()
        if total is not None and total > max_bytes:
            raise _failure(url, f"it is {total:,} bytes, more than the bound of {max_bytes:,} bytes")
        while piece := answer.read(1 << 18):
            if not done:
                _require_model(piece, file.name, kind, url)
            done += len(piece)
            if done > max_bytes:
                raise _failure(url, f"it is more than the bound of {max_bytes:,} bytes")
            out.write(piece)
            if progress:
                progress(done, total)
        out.flush()
        os.fsync(out.fileno())
    if total is not None and done < total:
        raise _failure(url, f"the transfer was cut short after {done:,} of {total:,} bytes")
    if not done:
        raise _failure(url, "the answer was empty")


def _open(address: str, timeout: float) -> http.client.HTTPResponse:
    request = urllib.request.Request(address, headers={"User-Agent": "boxscope"})
    return urllib.request.urlopen(request, timeout=timeout)


@contextlib.contextmanager
def _failures_named(url: str, timeout: float) -> Iterator[None]:
    """Turn what the network raises into a DownloadError with a sentence."""
    try:
        yield
    except urllib.error.HTTPError as error:
        raise _failure(url, f"the server answered {error.code} {error.reason}") from error
    except http.client.IncompleteRead as error:
        raise _failure(url, "the transfer was cut short") from error
    except TimeoutError as error:
        raise _failure(url, f"no answer within {timeout:g} seconds") from error
    except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        said = f"no answer within {timeout:g} seconds" if isinstance(reason, TimeoutError) else str(reason)
        raise _failure(url, f"{urllib.parse.urlparse(url).hostname} cannot be reached ({said})") from error


def _require_model(piece: bytes, name: str, kind: str, url: str) -> None:
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
