"""Detection jobs: done, refused, cancelled, killed; and what a page of another session sees."""

from __future__ import annotations

import os
import signal
import time

import pytest

from analysis.runs.store import open_run
from app.jobs import detection, process


def wait(job_id: str, until, seconds: float = 30.0) -> detection.Job:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        job = detection.read(job_id)
        if until(job):
            return job
        time.sleep(0.05)
    raise AssertionError(f"still {job}: {(job.folder / 'log.txt').read_text()[-1500:]}")


def test_a_job_ends_in_a_run_and_is_not_done_twice(pictures):
    asked = {"options": {"seed": 1}}
    job = wait(detection.start("t", "fake:", str(pictures / "instances.json"), **asked).id, lambda j: j.over)
    assert (job.stage, job.error) == ("done", "")
    run = open_run(job.run)
    assert run.done.all() and len(run) == 4 and job.progress().fraction == 1
    before = run.manifest.finished
    again = wait(
        detection.start("t", "fake:", str(pictures / "instances.json"), **asked).id, lambda j: j.over
    )
    assert again.run == job.run and open_run(again.run).manifest.finished == before
    assert [j.id for j in detection.jobs()] == [again.id, job.id]


def test_a_job_takes_only_the_first_images(pictures):
    job = wait(detection.start("t", "fake:", str(pictures / "instances.json"), limit=2).id, lambda j: j.over)
    assert job.stage == "done" and len(open_run(job.run)) == 2


def test_a_fault_is_one_sentence(pictures):
    job = wait(detection.start("t", "no_such_model", str(pictures / "instances.json")).id, lambda j: j.over)
    assert job.stage == "failed" and "No detector is named" in job.error and "\n" not in job.error


def test_pictures_outside_the_roots_are_refused(pictures, tmp_path):
    text = (pictures / "instances.json").read_text()
    (tmp_path / "a.png").write_bytes((pictures / "images" / "a.png").read_bytes())
    (pictures / "instances.json").write_text(text.replace("images/a.png", f"{tmp_path}/a.png"))
    job = wait(detection.start("t", "fake:", str(pictures / "instances.json")).id, lambda j: j.over)
    assert job.stage == "failed" and "expected a path inside the folders" in job.error


@pytest.mark.parametrize("blow", ["cancel", "kill"])
def test_stopped_early_it_says_so(pictures, blow):
    job = detection.start("t", "fake:", str(pictures / "instances.json"))
    if blow == "cancel":
        detection.cancel(job)
        assert wait(job.id, lambda j: j.over).stage in ("cancelled", "done")
        return
    os.kill(process._children[str(job.folder)].pid, signal.SIGKILL)
    job = wait(job.id, lambda j: j.over)
    assert job.stage == "failed" and "ended without a word" in job.error


def test_another_server_sees_a_job_that_died(pictures, monkeypatch):
    job = detection.start("t", "fake:", str(pictures / "instances.json"))
    os.kill(process._children[str(job.folder)].pid, signal.SIGKILL)
    process._children[str(job.folder)].wait()
    monkeypatch.setattr(process, "_children", {})
    job.save(started=time.time() - 60)
    assert detection.read(job.id).stage == "failed"
    assert detection.read("no-such-job") is None
