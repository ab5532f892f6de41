"""Which detectors work side by side, and with how many threads each."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from detector.models.replicas import load_side_by_side, usable_cores


@pytest.fixture
def loads(monkeypatch):
    """A loader of a detector of some kind that notes the options it was called with."""
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    calls, inside = [], []

    def of(kind):
        def load(**options):
            calls.append(options)
            inside.append(os.environ.get("TF_NUM_INTRAOP_THREADS"))
            return SimpleNamespace(info=SimpleNamespace(kind=kind))

        return load

    of.calls, of.inside = calls, inside
    return of


def test_one_worker_is_loaded_as_it_is(loads, monkeypatch):
    assert len(load_side_by_side(loads("tflite"), workers=1)) == 1
    assert loads.calls == [{}] and loads.inside == [None]


def test_a_saved_model_serves_all_workers_with_one_thread_inside(loads, monkeypatch):
    workers = load_side_by_side(loads("saved_model"), workers=3)
    assert len(workers) == 3 and len({id(w) for w in workers}) == 1 and len(loads.calls) == 1
    assert loads.inside == ["1"] and "TF_NUM_INTRAOP_THREADS" not in os.environ


def test_every_tflite_worker_has_its_own_interpreter_of_one_thread(loads, monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "7")
    workers = load_side_by_side(loads("tflite"), workers=2)
    assert len({id(w) for w in workers}) == 2 and loads.calls[1:] == [{"num_threads": 1}] * 2
    assert loads.inside[0] == "7"


def test_other_kinds_share_the_work_themselves(loads, monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "7")
    assert len(load_side_by_side(loads("keras_ssd"), workers=2)) == 1


def test_cores_are_those_this_process_may_use():
    assert usable_cores() >= 1
