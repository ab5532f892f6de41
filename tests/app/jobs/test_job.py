"""The one protocol of background work: started, followed, cancelled, resumed, refused, killed."""

from __future__ import annotations

import json
import os
import signal
import threading
import time

import pytest

from app.jobs import process
from app.jobs.job import KILLED, ThreadJob, ThreadJobs, run_target
from detector.errors import InputError
from detector.locks import WorkerLock
from tests.app.jobs.counting import Counting


def until(look, seconds: float = 30.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def ended(folder) -> Counting:
    return until(lambda: (job := Counting.read(folder)).over and job)


def test_it_is_started_followed_and_done(tmp_path, boxscope_home):
    job = Counting(folder=tmp_path / "job", total=3).start()
    assert (job.stage, job.fraction, job.seconds_left) == ("starting", 0.0, None) and job.started > 0
    job = ended(job.folder)
    assert (job.stage, job.done, job.fraction, job.error) == ("done", 3, 1.0, "")


def test_cancelled_it_keeps_what_is_done_and_goes_on_from_there(tmp_path, boxscope_home):
    job = Counting(folder=tmp_path, total=1000, pause=0.02).start()
    until(lambda: Counting.read(tmp_path).done >= 2)
    job.cancel()
    stopped = ended(tmp_path)
    assert stopped.stage == "cancelled" and 2 <= stopped.done < 1000
    resumed = Counting(folder=tmp_path, total=stopped.done + 2, done=stopped.done).start()
    assert not resumed.stop_requested, "an old request to stop does not stop the next process"
    assert ended(tmp_path).done == stopped.done + 2


def test_killed_it_has_failed_for_this_server_and_for_another(tmp_path, boxscope_home, monkeypatch):
    Counting(folder=tmp_path, total=1000, pause=0.05).start()
    until(lambda: Counting.read(tmp_path).done >= 1)
    child = process._children[str(tmp_path)]
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert (ended(tmp_path).stage, ended(tmp_path).error) == ("failed", KILLED)
    monkeypatch.setattr(process, "_children", {})
    assert Counting.read(tmp_path).stage == "counting", "one just started may be without its lock"
    Counting.stored(tmp_path).save(started=time.time() - 60)
    assert Counting.read(tmp_path).stage == "failed"


@pytest.mark.parametrize(
    "fail, says",
    [
        ("expected", "expected a number, got none."),
        ("fault", "The counting failed (ValueError: shapes differ); its log is {}/log.txt."),
    ],
)
def test_every_error_is_one_sentence(tmp_path, fail, says):
    job = Counting(folder=tmp_path, fail=fail).save()
    if fail == "fault":
        with pytest.raises(ValueError):
            job.execute()
    else:
        assert job.execute() == 1
    assert (Counting.stored(tmp_path).stage, Counting.stored(tmp_path).error) == (
        "failed",
        says.format(tmp_path),
    )


def test_a_second_process_leaves_the_first_alone(tmp_path):
    job = Counting(folder=tmp_path, total=2).save(done=1)
    lock = WorkerLock(tmp_path, Counting.LOCK)
    try:
        assert job.execute() == 1 and Counting.stored(tmp_path) == job
    finally:
        lock.release()
    assert run_target(Counting.target(), tmp_path) == 0 and Counting.stored(tmp_path).done == 2


@pytest.mark.parametrize("text", ["", "[1]", "null", '"done"'])
def test_what_is_no_job_is_none(tmp_path, text):
    assert Counting.read(tmp_path) is None and run_target(Counting.target(), tmp_path) == 1
    (tmp_path / Counting.FILE).write_text(text)
    assert Counting.read(tmp_path) is None


def test_keys_of_another_version_are_not_in_the_way(tmp_path):
    (tmp_path / Counting.FILE).write_text(
        json.dumps({"stage": "done", "done": 4, "id": "x", "training": "y"})
    )
    assert Counting.read(tmp_path) == Counting(folder=tmp_path, stage="done", done=4)


class Steps(ThreadJob[str]):
    WHAT = "The work"

    def __init__(self, error: Exception | None = None):
        super().__init__(total=3)
        self.go, self.problem = threading.Event(), error

    def work(self) -> str:
        for k in range(3):
            self.step(k)
            self.go.wait(10)
        if self.problem is not None:
            raise self.problem
        self.step(3)
        return "answer"


@pytest.mark.parametrize(
    "error, stage, says",
    [
        (None, "done", ""),
        (InputError("expected a number, got none."), "failed", "expected a number, got none."),
        (ValueError("x"), "failed", "The work failed (ValueError); the terminal shows more."),
    ],
)
def test_a_thread_says_how_it_ended(error, stage, says):
    job = Steps(error).start()
    job.go.set()
    until(lambda: job.over)
    assert (job.stage, job.error, job.result) == (stage, says, "answer" if error is None else None)


def test_a_cancelled_thread_has_no_result():
    job = Steps().start()
    job.cancel()
    job.go.set()
    until(lambda: job.over)
    assert (job.stage, job.result, job.error) == ("cancelled", None, "")


def test_one_at_a_time_per_key_and_the_oldest_goes_first():
    jobs: ThreadJobs[Steps] = ThreadJobs(2)
    first = jobs.start("a", Steps)
    assert jobs.start("a", Steps) is first, "under way"
    first.go.set()
    until(lambda: first.over)
    assert jobs.start("a", Steps, again=False) is first, "done"
    second = jobs.start("a", Steps)
    assert second is not first and jobs.of("a") is second
    jobs.start("b", Steps), jobs.start("c", Steps)
    assert jobs.of("a") is None and second.stop_requested and jobs.of("b") is not None
    last = jobs.of("c")
    jobs.clear()
    assert jobs.of("c") is None and last.stop_requested
