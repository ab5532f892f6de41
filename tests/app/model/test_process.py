"""Detectors in their own process: the same answers, one at a time, alive again after a death."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import numpy as np
import pytest

from app.model.process import ModelProcess
from detector import load_dataset
from detector.errors import InputError, ModelError
from detector.models.fake import FakeDetector


@pytest.fixture
def spec(pictures):
    return {"model": "fake:", "data": str(pictures / "instances.json"), "options": {"seed": 3}}


@pytest.fixture
def process():
    process = ModelProcess()
    yield process
    process.stop()


def test_no_process_before_it_is_needed(process, spec):
    assert process.pid is None and process.loaded(spec) is False and process.pid is None


def test_answers_equal_those_of_the_detector_itself(process, spec):
    dataset = load_dataset(spec["data"])
    here = FakeDetector(dataset, seed=3)
    images = [dataset.load_image(0), dataset.load_image(2)]
    copies = [image.copy() for image in images]
    assert process.info(spec).weights_hash == here.info.weights_hash
    assert process.info(spec).capabilities == here.info.capabilities
    assert all(a.equals(b) for a, b in zip(process.detect(spec, images), here.detect(images)))
    there, mine = process.candidates(spec, images[:1])[0], here.candidates(images[:1])[0]
    assert np.array_equal(there.scores, mine.scores) and np.array_equal(there.anchors, mine.anchors)
    assert process.detect(spec, []) == []
    assert all(np.array_equal(a, b) for a, b in zip(images, copies))
    assert process.loaded(spec) and not process.loaded({"model": "other"})


def test_an_error_crosses_over_as_itself(process):
    with pytest.raises(InputError, match="No detector is named"):
        process.info({"model": "no_such_detector", "data": None, "options": {}})
    assert process.pid is not None, "an error is not a death"


def test_killed_it_says_so_and_starts_anew(process, spec):
    process.info(spec)
    first = process.pid
    os.kill(first, signal.SIGKILL)
    time.sleep(0.2)
    image = np.zeros((60, 90, 3), np.uint8)
    assert len(process.detect(spec, [image])) == 1, (
        "a dead worker found before the request is simply replaced"
    )
    assert process.pid != first

    os.kill(process.pid, signal.SIGSTOP)
    killer = threading.Thread(target=lambda: (time.sleep(0.4), os.kill(process.pid, signal.SIGKILL)))
    killer.start()
    with pytest.raises(ModelError, match="killed"):
        process.detect(spec, [image])
    killer.join()
    assert len(process.detect(spec, [image])) == 1


def test_many_sessions_share_one_worker(process, spec):
    images = [load_dataset(spec["data"]).load_image(i) for i in range(4)]
    wanted = [d.scores.tolist() for d in process.detect(spec, images)]
    pid, wrong = process.pid, []

    def session(i):
        wrong.extend(i for _ in range(5) if process.detect(spec, [images[i]])[0].scores.tolist() != wanted[i])

    threads = [threading.Thread(target=session, args=(i,)) for i in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not wrong and process.pid == pid


def test_a_worker_that_cannot_start_is_one_sentence(process, spec, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    monkeypatch.setattr("app.model.process.START_SECONDS", 86_400.0)  # its death is noticed, not waited out
    with pytest.raises(ModelError, match="did not start"):
        process.info(spec)
