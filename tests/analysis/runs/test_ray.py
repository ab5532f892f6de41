"""The Ray engine writes the local engine's run: torn pictures, lost workers and killed drivers included."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest

from analysis.runs.detect import detect_run, watch
from analysis.runs.ray import ABSENT, batch_for, detect_on_ray
from analysis.runs.ray_worker import FOUND, DetectWorker, found_columns
from analysis.runs.store import open_run
from analysis.runs.writer import FoundColumns, RunWriter, create_run
from detector.errors import InputError, ModelError, UnavailableError
from detector.paths import ROOT
from tests.analysis.ray_detectors import INFO, broken, gated, mortal, on_disk, stub
from tests.analysis.run_builders import StubDetector, numbered

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed (pip install 'ray[data]')"
)


def test_its_absence_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UnavailableError) as caught:
        detect_on_ray(stub, on_disk(tmp_path / "p", 1), tmp_path / "run")
    assert str(caught.value) == ABSENT and not (tmp_path / "run").exists()


def test_pictures_in_memory_are_refused(tmp_path):
    with pytest.raises(InputError, match="local engine"):
        detect_on_ray(stub, numbered(3), tmp_path / "run")
    with pytest.raises(InputError, match="workers: expected at least 1"):
        detect_on_ray(stub, numbered(3), tmp_path / "run", workers=0)


def block(dataset, rows):
    import pyarrow as pa

    rows = np.asarray(rows, np.int32)
    width, height = dataset.sizes[rows].T
    return pa.table(
        {
            "row": rows,
            "file": [dataset.files[i] for i in rows],
            "width": pa.array(width),
            "height": pa.array(height),
        }
    )


def test_a_worker_answers_with_the_rows_of_its_block(tmp_path):
    dataset = on_disk(tmp_path, 30, broken=(7, 21))
    worker = DetectWorker(partial(stub, (9,)), INFO.weights_hash, 0.3, 4, 1)
    answer = worker(block(dataset, range(5, 25)))
    assert answer.schema == FOUND
    found = found_columns(answer)
    assert sorted(found.rows.tolist()) == list(range(5, 25)) and found.counts.sum() == len(found.scores) > 10
    errors = {int(r): e for r, e in zip(found.rows, found.errors) if e is not None}
    assert sorted(errors) == [7, 9, 21] and "cannot do picture 9" in errors[9] and "0007.png" in errors[7]
    assert found.scores.min() >= np.float32(0.3) and found.decode > 0
    nothing = found_columns(worker(block(dataset, [7, 21])))
    assert len(nothing.scores) == 0 and nothing.xyxy.shape == (0, 4) and nothing.counts.tolist() == [0, 0]


def test_a_worker_with_other_weights_says_so(tmp_path):
    dataset = on_disk(tmp_path, 2)
    with pytest.raises(ModelError, match="another stub than the run's"):
        found_columns(DetectWorker(stub, "other", 0.0, 8, 1)(block(dataset, [0])))
    with pytest.raises(ModelError, match="the weights are torn"):
        found_columns(DetectWorker(broken, "x", 0.0, 8, 1)(block(dataset, [0])))


def test_columns_are_stored_as_single_images_are(tmp_path):
    dataset = on_disk(tmp_path / "p", 40, broken=(3,))
    local = detect_run(stub(), dataset, tmp_path / "local", floor=0.2)
    create_run(tmp_path / "columns", dataset, INFO, floor=0.2)
    unified = np.array([link.class_id for link in local.manifest.classes.links], np.int32)
    with RunWriter(tmp_path / "columns", "ray") as writer:
        worker = DetectWorker(stub, INFO.weights_hash, 0.2, 8, 1)
        for rows in (range(20, 40), range(20)):
            f = found_columns(worker(block(dataset, rows)))
            writer.add_columns(
                FoundColumns(
                    f.rows, f.sizes, f.errors, f.counts, f.xyxy, f.scores, unified[f.class_ids], f.anchor_ids
                )
            )
        with pytest.raises(InputError, match="done already"):
            writer.add_columns(
                FoundColumns(
                    f.rows, f.sizes, f.errors, f.counts, f.xyxy, f.scores, unified[f.class_ids], f.anchor_ids
                )
            )
        with pytest.raises(InputError, match="each image once"):
            writer.add_columns(
                FoundColumns(
                    np.int32([1, 1]),
                    f.sizes[:2],
                    [None] * 2,
                    np.int32([0, 0]),
                    f.xyxy[:0],
                    f.scores[:0],
                    f.class_ids[:0],
                    f.anchor_ids[:0],
                )
            )
        writer.finish("done")
    assert open_run(tmp_path / "columns").equals(local)


def test_batches_follow_memory():
    sizes = np.array([[4000, 3000], [0, 0]])
    assert batch_for(64e9, sizes, INFO, gpu=False) == 8 and batch_for(200e9, sizes, INFO, gpu=True) == 64
    assert batch_for(4e9, sizes, INFO, gpu=False) == 2 and batch_for(1e6, sizes, INFO, gpu=True) == 1
    assert batch_for(16e9, np.zeros((3, 2), int), INFO, gpu=False) == 8


@needs_ray
def test_runs_are_equal_row_for_row_and_lost_workers_cost_nothing(tmp_path):
    """One cluster for all: torn pictures, a picture the detector fails on, a worker that dies once, a
    detector that never works.
    """
    import ray

    dataset = on_disk(tmp_path / "p", 90, broken=(7, 50))
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        logging_level="ERROR",
        log_to_driver=False,
        object_store_memory=100 << 20,
    )
    try:
        local, seen = detect_run(stub((9,)), dataset, tmp_path / "local"), []
        found = detect_on_ray(partial(stub, (9,)), dataset, tmp_path / "ray", progress=seen.append)
        assert found.equals(local) and sorted(found.failed) == ["s0007", "s0009", "s0050"]
        assert (
            found.manifest.state == "done"
            and found.manifest.counts == local.manifest.counts
            and seen[-1].done == 90
        )
        marker = tmp_path / "died"
        found = detect_on_ray(partial(mortal, 40, str(marker)), dataset, tmp_path / "mortal")
        assert marker.exists() and found.equals(detect_run(stub(), dataset, tmp_path / "local2"))
        with pytest.raises(ModelError, match="cannot do picture"):
            detect_on_ray(partial(stub, tuple(range(90))), dataset, tmp_path / "never")
        assert open_run(tmp_path / "never").manifest.state == "failed"
        stopped = detect_on_ray(stub, dataset, tmp_path / "stopped", should_stop=lambda: True)
        assert stopped.manifest.state == "cancelled"
        assert detect_on_ray(stub, dataset, tmp_path / "stopped").equals(
            detect_run(stub(), dataset, tmp_path / "local2")
        )
        with pytest.raises(ModelError, match="the weights are torn"):
            detect_on_ray(broken, dataset, tmp_path / "broken")
    finally:
        ray.shutdown()


@needs_ray
def test_a_killed_driver_resumes(tmp_path):
    dataset = on_disk(tmp_path / "p", 60, broken=(7,))
    script = (
        "import sys; from functools import partial; from pathlib import Path; from analysis.runs.ray import"
        " detect_on_ray; from tests.analysis.ray_detectors import gated, on_disk; home = Path(sys.argv[1]);"
        " detect_on_ray(partial(gated, 40, str(home / 'gate')), on_disk(home / 'p', 60, (7,)), home / 'run',"
        " workers=1)"
    )
    driver = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, start_new_session=True)
    try:
        deadline = time.monotonic() + 180
        while not ((tmp_path / "run" / "manifest.json").exists() and watch(tmp_path / "run").done > 10):
            assert driver.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    (tmp_path / "gate").write_text("open")
    stored = watch(tmp_path / "run")
    assert stored.state == "interrupted" and 10 < stored.done < 60
    found = detect_on_ray(partial(gated, 40, str(tmp_path / "gate")), dataset, tmp_path / "run", workers=1)
    assert (
        found.equals(detect_run(StubDetector(), dataset, tmp_path / "local"))
        and found.manifest.state == "done"
    )
