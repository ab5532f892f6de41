import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from analysis.runs.detect import Progress, default_folder, detect_run, find_same_run, request_cancel, watch
from analysis.runs.in_memory import run_from_detections
from analysis.runs.store import list_runs, open_run
from detector.core import DetectorInfo
from detector.data.dataset import Dataset, Problem
from detector.errors import InputError, ModelError, RunError
from detector.locks import is_locked
from detector.models.fake import FakeDetector
from detector.paths import ROOT, data_dir
from tests.analysis.run_builders import INFO, StubDetector, answer, numbered


def expected(n, broken=(), floor=0.01):
    run = run_from_detections(
        numbered(n), [None if i in broken else answer(i) for i in range(n)], INFO, floor=floor
    )
    return run.detections


def test_a_run_holds_what_the_detector_answers(tmp_path):
    told: list[Progress] = []
    run = detect_run(StubDetector(), numbered(10), tmp_path / "run", floor=0.2, progress=told.append)
    assert (
        run.detections.equals(expected(10, floor=0.2))
        and run.manifest.state == "done"
        and run.path == tmp_path / "run"
    )
    assert (told[-1].done, told[-1].total, told[-1].state, told[-1].fraction) == (10, 10, "done", 1.0)
    timing = run.manifest.timing
    assert (
        timing.images == 10 and timing.images_per_second > 0 and abs(sum(timing.shares.values()) - 1) < 1e-9
    )
    assert watch(tmp_path / "run").state == "done" and not is_locked(tmp_path / "run")


def test_no_images(tmp_path):
    run = detect_run(StubDetector(), numbered(0), tmp_path / "run")
    assert len(run) == 0 and run.manifest.state == "done" and watch(run.path).fraction == 1


def test_unreadable_pictures_and_other_sizes_stop_nothing(tmp_path):
    run = detect_run(
        StubDetector(), numbered(10, broken=(0, 7), sizes={3: (17, 30)}), tmp_path / "run", batch_size=3
    )
    assert run.failed == {"s0000": "picture 0 is torn", "s0007": "picture 7 is torn"}
    assert run.done.all() and np.flatnonzero(~run.usable).tolist() == [0, 7]
    assert run.sizes[3].tolist() == [17, 30] and run.detections_of(3).equals(run.detections_of(3))
    assert [(p.kind, p.sample_id) for p in run.problems] == [
        ("image size differs", "s0003"),
        ("box outside the image", "s0003"),
        ("unreadable image", "s0000"),
        ("unreadable image", "s0007"),
    ]
    assert run.manifest.counts.failed == 2 and watch(run.path).failed == 2


def test_a_picture_the_reader_called_unreadable_is_not_a_problem_twice(tmp_path):
    dataset = numbered(3, broken=(1, 2))
    dataset.problems = (Problem("unreadable image", "torn", "", sample_id="s0001", left_out=True),)
    run = detect_run(StubDetector(), dataset, tmp_path / "run")
    assert [(p.sample_id, p.message) for p in run.problems] == [
        ("s0001", "torn"),
        ("s0002", "picture 2 is torn"),
    ] and len(run.failed) == 2


def test_a_reader_that_breaks_in_its_own_way_is_recorded_too(tmp_path):
    dataset = numbered(3)
    dataset._loader = lambda i: 1 / 0
    run = detect_run(StubDetector(), dataset, tmp_path / "run")
    assert set(run.failed) == {"s0000", "s0001", "s0002"} and "ZeroDivisionError" in run.failed["s0001"]


def test_one_picture_the_detector_cannot_do_is_recorded(tmp_path):
    run = detect_run(StubDetector(fails_on=(4,)), numbered(10), tmp_path / "run", batch_size=3)
    assert list(run.failed) == ["s0004"] and "cannot do picture 4" in run.failed["s0004"]
    assert run.detections.equals(expected(10, broken=(4,)))
    assert [(p.kind, p.sample_id, p.left_out) for p in run.problems] == [("detector failed", "s0004", True)]


def test_a_detector_that_fails_on_everything_ends_the_run_as_failed_and_resumable(tmp_path):
    with pytest.raises(ModelError, match="cannot do picture"):
        detect_run(StubDetector(fails_on=tuple(range(10))), numbered(10), tmp_path / "run")
    progress = watch(tmp_path / "run")
    assert progress.state == "failed" and "cannot do picture" in progress.error
    assert detect_run(StubDetector(), numbered(10), tmp_path / "run").detections.equals(expected(10))


@pytest.mark.parametrize("fault", ["count", "size", "class"])
def test_a_detector_that_breaks_its_contract_is_named(tmp_path, fault):
    class Bad(StubDetector):
        def detect(self, images):
            if fault == "count":
                return super().detect(images)[:-1]
            if fault == "size":
                return [answer(1, (5, 99)) for _ in images]
            found = answer(4)
            return [
                type(found)(found.xyxy, found.scores, found.class_ids + 3, found.image_size) for _ in images
            ]

    with pytest.raises(ModelError, match="stub answer"):
        detect_run(Bad(), numbered(8), tmp_path / "run")


def test_an_error_that_is_nobodys_sentence_ends_the_run_too(tmp_path):
    class Broken(StubDetector):
        def detect(self, images):
            raise ZeroDivisionError("deep inside")

    with pytest.raises(ZeroDivisionError):
        detect_run(Broken(), numbered(40), tmp_path / "run")
    assert watch(tmp_path / "run").error == "deep inside" and not is_locked(tmp_path / "run")
    assert not [t.name for t in threading.enumerate() if t.name.startswith(("feed", "detect-", "decode"))]


def test_the_same_run_is_recognised_and_not_run_twice():
    first, second = StubDetector(), StubDetector()
    run = detect_run(first, numbered(6))
    told = []
    again = detect_run(second, numbered(6), progress=told.append)
    assert again.path == run.path == default_folder(data_dir("runs"), numbered(6), INFO, 0.01)
    assert again.equals(run) and second.seen == [] and sorted(first.seen) == list(range(6))
    assert told == [Progress(6, 6, 0, reused=6, state="done")]
    other = DetectorInfo("stub", "stub", INFO.class_map, "weights-2")
    for detector, dataset, floor in [
        (StubDetector(info=other), numbered(6), 0.01),
        (second, numbered(7), 0.01),
        (second, numbered(6), 0.02),
    ]:
        assert find_same_run(data_dir("runs"), dataset.fingerprint, detector.info.weights_hash, floor) is None
        assert detect_run(detector, dataset, floor=floor).path != run.path
    assert len(list_runs(data_dir("runs"))) == 4


def test_another_run_in_the_folder_is_refused(tmp_path):
    detect_run(StubDetector(), numbered(3), tmp_path / "run")
    for args, message in [
        ((StubDetector(), numbered(4)), "data set numbers, 3 images"),
        (
            (StubDetector(info=DetectorInfo("x", "stub", INFO.class_map, "w2")), numbered(3)),
            "weights or settings",
        ),
    ]:
        with pytest.raises(RunError, match=message):
            detect_run(*args, tmp_path / "run")
    with pytest.raises(RunError, match="floor 0.01, not 0.5"):
        detect_run(StubDetector(), numbered(3), tmp_path / "run", floor=0.5)


def test_two_that_begin_the_same_run_at_once(tmp_path):
    ends: list[object] = []

    def begin() -> None:
        try:
            ends.append(detect_run(StubDetector(delay=0.01), numbered(150), tmp_path / "run"))
        except RunError as error:
            ends.append(error)

    threads = [threading.Thread(target=begin) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [e for e in ends if isinstance(e, RunError)]
    assert len(refused) == 1 and "Another process" in str(refused[0])
    assert open_run(tmp_path / "run").detections.equals(expected(150))


def test_a_folder_with_other_files_is_left_as_it_is(tmp_path):
    (tmp_path / "diary.txt").touch()
    for folder in (tmp_path, tmp_path / "diary.txt"):
        with pytest.raises(RunError):
            detect_run(StubDetector(), numbered(2), folder)
    assert [p.name for p in tmp_path.iterdir()] == ["diary.txt"]


def test_limit_takes_the_first_images_and_is_a_run_of_its_own():
    run = detect_run(StubDetector(), numbered(9), limit=4)
    assert run.sample_ids == ["s0000", "s0001", "s0002", "s0003"] and run.done.all()
    assert detect_run(StubDetector(), numbered(9), limit=99).path != run.path
    for bad in ({"limit": 0}, {"batch_size": 0}):
        with pytest.raises(InputError, match="at least 1"):
            detect_run(StubDetector(), numbered(9), **bad)


def test_several_equal_detectors_work_side_by_side(tmp_path):
    pair = [StubDetector(delay=0.005), StubDetector(delay=0.005)]
    run = detect_run(pair, numbered(40), tmp_path / "run", batch_size=2)
    assert run.detections.equals(expected(40))
    assert all(d.seen for d in pair) and len(pair[0].threads | pair[1].threads) == 2
    assert sorted(pair[0].seen + pair[1].seen) == list(range(40))
    with pytest.raises(InputError, match="equal detectors"):
        detect_run(
            [StubDetector(), StubDetector(info=DetectorInfo("x", "s", INFO.class_map, "w2"))],
            numbered(2),
            tmp_path / "b",
        )
    with pytest.raises(InputError, match="empty list"):
        detect_run([], numbered(2), tmp_path / "b")


def test_cancel_from_inside_leaves_a_run_that_goes_on(tmp_path):
    first, second = StubDetector(delay=0.002), StubDetector()
    stop = threading.Event()

    def look(progress: Progress) -> None:
        if progress.done >= 6:
            stop.set()

    folder = tmp_path / "run"
    run = detect_run(first, numbered(400), folder, batch_size=2, progress=look, should_stop=stop.is_set)
    done = int(run.done.sum())
    assert run.manifest.state == "cancelled" and 6 <= done < 400 and watch(folder).state == "cancelled"
    assert sorted(first.seen) == np.flatnonzero(run.done).tolist()  # nothing the detector did is thrown away
    told: list[Progress] = []
    run = detect_run(second, numbered(400), folder, progress=told.append)
    assert run.detections.equals(expected(400)) and run.manifest.state == "done"
    assert sorted(first.seen + second.seen) == list(range(400))
    assert told[0].reused == told[0].done == done and run.manifest.timing.images == 400


def start(folder: Path, images: int, delay: float) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.analysis.slow_run", str(folder), str(images), str(delay)], cwd=ROOT
    )


def wait_for(condition, process: subprocess.Popen, seconds: float = 30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline and process.poll() is None, (
            f"ended with {process.poll()}, or too slow"
        )
        time.sleep(0.01)


def test_killed_in_the_middle_it_finishes_equal_to_an_undisturbed_one(tmp_path):
    folder, images = tmp_path / "killed", 60
    process = start(folder, images, 0.02)
    try:
        wait_for(lambda: len(list(folder.glob("parts/images-*"))) >= 3, process)
        wait_for(lambda: watch(folder).done > 0, process)
        assert watch(folder).state == "running" and watch(folder).done < images
        with pytest.raises(RunError, match="Another process"):
            detect_run(StubDetector(), numbered(images, broken=(5,)), folder)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    # As if it had been killed between the two files of a part, and in the middle of writing one.
    orphan = folder / "parts" / "detections-local-000090.parquet"
    orphan.write_bytes(next(folder.glob("parts/detections-*")).read_bytes())
    (folder / "parts" / ".images-local-000090.parquet.1.part").write_bytes(b"PAR1 half")
    before = open_run(folder)
    kept = int(before.done.sum())
    assert watch(folder).state == list_runs(tmp_path)[0].state == "interrupted" and watch(folder).done == kept
    assert (
        12 <= kept < images and before.detections.rows.max() < images and before.manifest.state == "running"
    )

    rest = StubDetector()
    resumed = detect_run(rest, numbered(images, broken=(5,)), folder, batch_size=2, part_images=4)
    assert sorted(rest.seen) == [i for i in np.flatnonzero(~before.done) if i != 5]  # nothing twice
    assert not [p.name for p in (folder / "parts").iterdir() if "000090" in p.name]
    undisturbed = detect_run(
        StubDetector(), numbered(images, broken=(5,)), tmp_path / "undisturbed", batch_size=2, part_images=4
    )
    assert resumed.equals(undisturbed) and resumed.failed == {"s0005": "picture 5 is torn"}
    for column in ("rows", "xyxy", "scores", "class_ids", "anchor_ids", "offsets"):
        assert np.array_equal(getattr(resumed.detections, column), getattr(undisturbed.detections, column))
    assert resumed.manifest.counts == undisturbed.manifest.counts and resumed.manifest.state == "done"
    assert {p.name for p in folder.iterdir()} == {p.name for p in undisturbed.path.iterdir()}


def test_cancel_from_another_process(tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(RunError, match="not a stored run"):
        request_cancel(folder)
    process = start(folder, 500, 0.02)
    try:
        wait_for(lambda: (folder / "progress.json").exists() and watch(folder).done > 0, process)
        assert json.loads((folder / "progress.json").read_bytes())["total"] == 500
        request_cancel(folder)
        assert process.wait(20) == 0
    finally:
        process.kill()
    progress = watch(folder)
    assert (
        progress.state == "cancelled"
        and 0 < progress.done < 500
        and progress.done == int(open_run(folder).done.sum())
    )
    assert not (folder / "cancel").exists()
    request_cancel(folder)  # nobody writes: no marker that would stop the next one
    assert not (folder / "cancel").exists()


def test_the_next_pictures_are_read_while_the_detector_works(tmp_path):
    """No clock: the detector answers a batch only once per picture beyond it has been read."""
    dataset = numbered(24)
    load, read, news = dataset._loader, set(), threading.Condition()

    def counting(i: int):
        with news:
            read.add(i)
            news.notify_all()
        return load(i)

    class Waiting(StubDetector):
        ahead: list[bool] = []

        def detect(self, images):
            wanted = min(24, len(self.seen) + len(images) + 1)
            with news:
                self.ahead.append(news.wait_for(lambda: len(read) >= wanted, timeout=60))
            return super().detect(images)

    dataset._loader = counting
    detector = Waiting()
    run = detect_run(detector, dataset, tmp_path / "run", batch_size=2, decode_threads=2)
    assert len(detector.ahead) == 12 and all(detector.ahead), "read, then detected, one after the other"
    assert run.manifest.timing.decode > 0 and run.manifest.timing.inference > 0


def test_the_fake_detector_on_pictures_in_files(tmp_path):
    cv2 = pytest.importorskip("cv2")
    source = numbered(5)
    files = []
    for i in range(5):
        files.append(tmp_path / f"{i}.png")
        cv2.imwrite(str(files[-1]), source.load_image(i)[:, :, ::-1])
    files[2].write_bytes(files[2].read_bytes()[:50])
    dataset = Dataset(
        name="files",
        format="folder",
        source=tmp_path,
        class_map=source.class_map,
        sample_ids=source.sample_ids,
        files=files,
        objects=source.objects,
    )
    detector = FakeDetector(dataset.subset(np.array([0, 1, 3, 4])), seed=3)
    run = detect_run(detector, dataset)
    assert list(run.failed) == ["s0002"] and str(files[2]) in run.failed["s0002"]
    assert run.manifest.detector.simulated and len(run.detections) and run.load_image(1).shape == (13, 21, 3)
    assert (
        os.fspath(run.files[0]) == str(files[0])
        and run.sizes[0].tolist() == [21, 13]
        and run.sizes[2].tolist() == [0, 0]
    )
