import contextlib
import http.server
import io
import os
import socket
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest

from detector import download, hub
from detector.download import cached, fetch, is_hub_handle, place_of
from detector.errors import DownloadError


def model_archive() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        folder = tarfile.TarInfo(
            "./variables"
        )  # tensorflow-hub makes only the folders that the archive names
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(folder)
        for name, content in {
            "./saved_model.pb": os.urandom(300_000),
            "./variables/variables.index": b"w",
        }.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        path = self.path.split("?")[0]
        status, kind, body, said = self.server.pages.get(path, (404, "text/html", b"<html>no</html>", None))
        self.send_response(status)
        if status == 302:
            self.send_header("Location", body)
            self.end_headers()
            return
        self.send_header("Content-Type", kind)
        if said not in ("no length", "pause"):
            self.send_header("Content-Length", str(said or len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)
            if said == "pause":
                self.wfile.flush()
                self.server.released.wait(60)

    def log_message(self, *arguments):
        pass


STAND_IN = Path(__file__).parent / "stand_in"
"""A `tensorflow_hub` of the same cache, lock and format, that imports no TensorFlow."""

REAL = pytest.param("real", marks=pytest.mark.slow)


@pytest.fixture(params=["stand-in", REAL])
def resolver(request, monkeypatch):
    """Which tensorflow-hub the child process imports."""
    if request.param == "stand-in":
        monkeypatch.setenv("PYTHONPATH", str(STAND_IN), prepend=os.pathsep)
    return request.param


@pytest.fixture
def server(monkeypatch):
    """A server on this machine whose host counts as a model hub."""
    monkeypatch.delenv("TFHUB_CACHE_DIR", raising=False)
    monkeypatch.setattr(download, "HUB_HOSTS", ("127.0.0.1",))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.pages, served.asked, served.released = {}, [], threading.Event()
    served.url = f"http://127.0.0.1:{served.server_port}"
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield served
    served.released.set()
    served.shutdown()
    served.server_close()


def everything_below(folder: Path) -> list[str]:
    return [str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()] if folder.exists() else []


def test_a_handle_becomes_a_folder_where_tensorflow_hub_looks(server, resolver, tmp_path, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    server.pages["/tensorflow/ssd/2"] = (302, "", "/store/model.tar.gz", None)
    server.pages["/store/model.tar.gz"] = (200, "application/gzip", model_archive(), None)
    steps = []
    folder = fetch(f"{server.url}/tensorflow/ssd/2", progress=lambda done, total: steps.append((done, total)))
    assert set(server.asked[::2]) == {"/tensorflow/ssd/2?tf-hub-format=compressed"}
    assert folder == place_of(f"{server.url}/tensorflow/ssd/2") and folder.parent == tmp_path
    assert sorted(everything_below(folder)) == ["saved_model.pb", "variables/variables.index"]
    assert steps[-1] == (300_001, None) and steps == sorted(steps), "unpacked bytes; the sum is not known"
    here = {p.name for p in tmp_path.iterdir()}
    assert here <= {folder.name, f"{folder.name}.descriptor.txt"}, "no scratch folder and no lock stay"
    before = len(server.asked)
    assert fetch(f"{server.url}/tensorflow/ssd/2") == folder and len(server.asked) == before


def test_a_published_handle_has_the_place_tensorflow_hub_computes(monkeypatch, tmp_path):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    # sha1 of the handle, from hashlib on the command line
    assert (
        place_of("https://tfhub.dev/tensorflow/ssd_mobilenet_v2/2").name
        == "41234d62d37b576e101fe6e30c7f4ad900e2c43a"
    )
    assert place_of("https://tfhub.dev/tensorflow/ssd_mobilenet_v2/2/?x=1") == place_of(
        "https://tfhub.dev/tensorflow/ssd_mobilenet_v2/2"
    )
    assert is_hub_handle(
        "https://www.kaggle.com/models/tensorflow/ssd-mobilenet-v2/tensorFlow2/ssd-mobilenet-v2/1"
    )
    assert not is_hub_handle("http://download.tensorflow.org/models/x.tar.gz")


def test_an_archive_stays_a_file(server, monkeypatch):
    monkeypatch.setattr(download, "HUB_HOSTS", ())
    url, body = f"{server.url}/zoo/net.tar.gz", model_archive()
    server.pages["/zoo/net.tar.gz"] = (200, "application/gzip", body, "no length")
    assert cached(url) is None
    file = fetch(url)
    assert file == place_of(url) == cached(url) and file.name == "net.tar.gz" and file.read_bytes() == body
    other = place_of(url.replace("/zoo/", "/other/"))
    assert other.name == file.name and other != file, "two files of one name do not meet"


@pytest.mark.parametrize("length", ["the whole", "no length"])
def test_a_transfer_cut_short_leaves_nothing(server, resolver, length):
    body = model_archive()
    said = len(body) if length == "the whole" else length
    server.pages["/m/1"] = (200, "application/gzip", body[: len(body) // 2], said)
    with pytest.raises(DownloadError, match="cut short|only the beginning of one") as caught:
        fetch(f"{server.url}/m/1")
    place = place_of(f"{server.url}/m/1")
    assert str(place) in str(caught.value) and "demo" in str(caught.value)
    assert everything_below(place.parent) == [] and cached(f"{server.url}/m/1") is None
    server.pages["/m/1"] = (200, "application/gzip", body, None)
    assert (fetch(f"{server.url}/m/1") / "saved_model.pb").is_file()


def test_a_file_cut_short_leaves_nothing(server, monkeypatch):
    monkeypatch.setattr(download, "HUB_HOSTS", ())
    url, body = f"{server.url}/zoo/net.tar.gz", model_archive()
    server.pages["/zoo/net.tar.gz"] = (200, "application/gzip", body[:1000], len(body))
    with pytest.raises(DownloadError, match=f"cut short after 1,000 of {len(body):,} bytes"):
        fetch(url)
    assert everything_below(place_of(url).parent) == [] and cached(url) is None


def test_a_web_page_in_place_of_a_model(server):
    server.pages["/m/1"] = (200, "text/html; charset=utf-8", b"<html>please log in</html>", None)
    with pytest.raises(DownloadError, match="not a model but text/html"):
        fetch(f"{server.url}/m/1")
    with pytest.raises(DownloadError, match="answered 404"):
        fetch(f"{server.url}/m/2")
    server.pages["/m/3"] = (200, "application/gzip", b"", None)
    with pytest.raises(DownloadError, match="answer was empty"):
        fetch(f"{server.url}/m/3")


def test_an_archive_without_a_model(server, resolver):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("readme.txt"))
    server.pages["/m/4"] = (200, "application/gzip", stream.getvalue(), None)
    with pytest.raises(DownloadError, match="holds no saved_model.pb"):
        fetch(f"{server.url}/m/4")
    assert cached(f"{server.url}/m/4") is None


def test_bound_on_the_size(server, resolver):
    server.pages["/m/1"] = (200, "application/gzip", model_archive(), None)
    with pytest.raises(DownloadError, match="bound of 1,000 bytes"):
        fetch(f"{server.url}/m/1", max_bytes=1000)
    assert cached(f"{server.url}/m/1") is None


@pytest.mark.parametrize("said", [None, "no length"])
def test_bound_on_the_size_of_a_file(server, monkeypatch, said):
    monkeypatch.setattr(download, "HUB_HOSTS", ())
    server.pages["/zoo/net.tar.gz"] = (200, "application/gzip", model_archive(), said)
    with pytest.raises(DownloadError, match="bound of 1,000 bytes"):
        fetch(f"{server.url}/zoo/net.tar.gz", max_bytes=1000)


def test_nobody_there(server):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/m/1"  # bound but not listening: refused at once
        with pytest.raises(DownloadError, match="127.0.0.1 cannot be reached") as caught:
            fetch(url)
    said = str(caught.value)
    assert (
        url in said
        and str(place_of(url)) in said
        and "saved_model.pb and variables/" in said
        and "Meanwhile the demo" in said
    )


def test_a_server_that_says_nothing(server):
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(DownloadError, match="no answer within 0.3 seconds"),
    ):
        fetch(f"http://127.0.0.1:{silent.getsockname()[1]}/m/1", timeout=0.3)


def test_a_copy_put_by_hand_is_used(server, monkeypatch):
    url = f"{server.url}/m/9"
    place = place_of(url)
    place.mkdir(parents=True)
    assert cached(url) is None, "an empty folder is no model"
    (place / "saved_model.pb").write_bytes(b"x")
    assert fetch(url) == place and server.asked == []


def test_two_at_once_end_with_one_whole_copy(server, resolver):
    server.pages["/m/1"] = (200, "application/gzip", model_archive(), None)
    found, url = [], f"{server.url}/m/1"
    threads = [threading.Thread(target=lambda: found.append(fetch(url))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [place_of(url)] * 4
    assert sorted(everything_below(place_of(url))) == ["saved_model.pb", "variables/variables.index"]
    place = place_of(url)
    assert {p.name for p in place.parent.iterdir()} <= {place.name, f"{place.name}.descriptor.txt"}


def test_a_server_that_falls_silent_in_the_middle(server, resolver):
    """tensorflow-hub alone would wait for ever."""
    server.pages["/m/1"] = (200, "application/gzip", model_archive()[:200_000], "pause")
    began = time.monotonic()
    with pytest.raises(DownloadError, match="no answer within 1.5 seconds"):
        fetch(f"{server.url}/m/1", stall=1.5)
    assert time.monotonic() - began < 200, "importing TensorFlow included"
    assert everything_below(place_of(f"{server.url}/m/1").parent) == []


def test_a_lock_of_a_dead_process_is_removed_and_one_of_a_live_process_is_not(tmp_path):
    place = tmp_path / "ab12"
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    (tmp_path / "ab12.task1.tmp").mkdir()
    (tmp_path / "ab12.lock").write_text(f"{socket.gethostname()}.{ended.pid}.task1")
    hub._remove_dead_lock(place)
    assert list(tmp_path.iterdir()) == []
    for owner in (f"{socket.gethostname()}.{os.getpid()}.task2", "another.machine.1.task2"):
        (tmp_path / "ab12.lock").write_text(owner)
        hub._remove_dead_lock(place)
        assert (tmp_path / "ab12.lock").read_text() == owner


def test_without_tensorflow_hub_the_sentence_says_what_to_install(server, monkeypatch):
    server.pages["/m/1"] = (200, "application/gzip", model_archive(), None)
    monkeypatch.setattr(hub.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DownloadError, match=r"pip install 'boxscope\[tensorflow\]'.*Meanwhile the demo"):
        fetch(f"{server.url}/m/1")


def test_no_address():
    with pytest.raises(DownloadError, match="http:// or https://"):
        fetch("ftp://example.org/m.tar.gz")
