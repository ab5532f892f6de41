"""A lock ends with its process; whoever asks about it, or waits for it, sees it as it is."""

import subprocess
import sys
import time

import pytest

from detector.errors import RunError
from detector.locks import FileLock, WorkerLock, is_held, is_locked, locked
from tests.conftest import ROOT

HOLDER = """
import sys
from detector.locks import WorkerLock
lock = WorkerLock(sys.argv[1], "far")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_has_one_holder_until_it_is_released(tmp_path):
    path = tmp_path / "lock"
    assert not is_held(path) and not path.exists()
    first = FileLock(path)
    assert is_held(path)
    with pytest.raises(BlockingIOError, match="another process holds this lock"):
        FileLock(path, patience=0)
    first.release()
    assert not is_held(path)
    FileLock(path, patience=0).release()


def test_a_worker_lock_names_its_process_and_ends_with_it(tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        assert child.stdout.readline() == b"held\n"
        assert is_locked(tmp_path)
        with pytest.raises(RunError, match=rf"process {child.pid}\) is writing this run"):
            WorkerLock(tmp_path, "far", patience=0)
        WorkerLock(tmp_path, "near").release()  # another worker may write beside it
    finally:
        child.kill()
        child.wait()
    assert not is_locked(tmp_path) and (tmp_path / "lock-far").read_text() == str(child.pid)
    WorkerLock(tmp_path, "far", patience=0).release()


def test_locked_waits_for_its_turn(tmp_path):
    path = tmp_path / "lock"
    code = (
        "import sys, time; from detector.locks import locked\n"
        "with locked(sys.argv[1]): print('in', flush=True); time.sleep(0.4)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, cwd=ROOT)
    try:
        assert child.stdout.readline() == b"in\n"
        started = time.monotonic()
        with locked(path):
            assert time.monotonic() - started > 0.1 and is_held(path)
    finally:
        child.wait()
    assert not is_held(path)
