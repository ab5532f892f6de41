import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.runs import files as run_files
from analysis.runs.in_memory import run_from_detections
from analysis.runs.manifest import SCHEMA, read_manifest
from analysis.runs.store import DetectionTable, list_runs, open_run
from analysis.runs.writer import RunWriter, create_run
from detector.core import ClassMap, Detections, DetectorInfo
from detector.data.dataset import Dataset, ObjectTable, Problem
from detector.errors import ImageError, InputError, RunError
from tests.analysis.run_builders import INFO, SIZE, answer, numbered

# The stub's classes airplane, dog, Cat in the unified map: cat 0, aeroplane 1, dog 2.
UNIFIED = np.array([1, 2, 0])
KEPT = sum(int((answer(i).scores >= 0.3).sum()) for i in range(10))


def unified(d: Detections) -> Detections:
    return Detections(d.xyxy, d.scores, UNIFIED[d.class_ids], d.image_size, d.anchor_ids)


def store(folder: Path, order=range(10), workers=("w0",), **parts) -> Path:
    create_run(folder, numbered(10), INFO, floor=0.3)
    writers = [RunWriter(folder, worker=w, **parts) for w in workers]
    for k, i in enumerate(order):
        writers[k % len(writers)].add(i, unified(answer(i)))
    for writer in writers:
        writer.close()
    with RunWriter(folder) as writer:
        writer.finish("done")
    return folder


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    return store(tmp_path_factory.mktemp("stored") / "run")


def test_a_table_without_rows():
    table = DetectionTable.empty(3)
    assert len(table) == 0 and table.offsets.tolist() == [0, 0, 0, 0] and table.of(2) == slice(0, 0)
    assert DetectionTable.from_detections([]).offsets.tolist() == [0]
    assert DetectionTable.from_detections([None, Detections.empty((3, 2))]).equals(DetectionTable.empty(2))


def test_a_table_from_any_order():
    boxes = [[0, 0, 1, 1], [0, 0, 2, 1], [0, 0, 3, 1], [0, 0, 4, 1]]
    table = DetectionTable.build([2, 0, 2, 2], boxes, [0.5, 0.1, 0.9, 0.5], [0, 1, 2, 3], count=4)
    assert table.rows.tolist() == [0, 2, 2, 2] and table.class_ids.tolist() == [
        1,
        2,
        0,
        3,
    ]  # the tie keeps its order
    assert table.offsets.tolist() == [0, 1, 1, 4, 4] and table.anchor_ids.tolist() == [-1] * 4
    assert table.xyxy[table.of(2)][:, 2].tolist() == [3, 1, 4]
    assert table.take(table.scores > 0.4).rows.tolist() == [2, 2, 2]
    with pytest.raises(ValueError):
        table.scores[0] = 1


@pytest.mark.parametrize(
    "rows, scores",
    [
        ([1, 0], [0.5, 0.5]),
        ([0, 0], [0.5, 0.6]),
        ([0, 2], [0.5, 0.5]),
        ([-1, 0], [0.5, 0.5]),
        ([0, 1], [0.5, 1.5]),
    ],
)
def test_a_table_out_of_order_is_refused(rows, scores):
    with pytest.raises(InputError):
        DetectionTable(rows, np.zeros((2, 4)), scores, [0, 0], [0, 0], 2)


def test_a_stored_run_is_the_one_in_memory(stored):
    run, memory = (
        open_run(stored),
        run_from_detections(numbered(10), [answer(i) for i in range(10)], INFO, floor=0.3),
    )
    assert run.equals(memory) and memory.equals(run)
    assert run.class_map == ClassMap(("cat", "aeroplane", "dog"), (3, 7, 18))
    assert run.detections.scores.min() >= 0.3 and len(run.detections) == KEPT
    assert run.manifest.counts.detections == KEPT and run.manifest.counts.done == 10
    expected = unified(answer(4).above(0.3))
    assert (
        run.detections_of(4).equals(expected)
        and run.detections_of(4).anchor_ids.tolist() == expected.anchor_ids.tolist()
    )
    assert run.annotations(3).ids.tolist() == [0, 1] and run.annotations(3).image_size == SIZE
    assert run.usable.all() and run.position("s0007") == 7 and "s0007" in run and "x" not in run
    with pytest.raises(ImageError, match="made in memory"):
        run.load_image(0)
    assert memory.load_image(0).shape == (13, 21, 3)
    with pytest.raises(InputError, match="no sample 'x'"):
        run.position("x")


def test_an_empty_data_set(tmp_path):
    dataset = Dataset(
        name="none", format="folder", source="", class_map=ClassMap(()), sample_ids=[], files=[]
    )
    create_run(tmp_path / "run", dataset, INFO, floor=0)
    with RunWriter(tmp_path / "run") as writer:
        writer.finish("done")
    run = open_run(tmp_path / "run")
    assert len(run) == 0 and len(run.truth) == 0 and run.equals(run_from_detections(dataset, [], INFO))


def test_what_is_not_done_is_not_usable(tmp_path):
    create_run(tmp_path / "run", numbered(4), INFO, floor=0)
    with RunWriter(tmp_path / "run") as writer:
        writer.add(3, unified(answer(3)))
        writer.add_failed(1, "torn")
        assert not open_run(tmp_path / "run").done.any()  # still in the buffer
        with pytest.raises(RunError, match="2 of 4 images are not done"):
            writer.finish("done")
        with pytest.raises(InputError, match="done already"):
            writer.add(3, unified(answer(3)))
        writer.finish("cancelled")
    run = open_run(tmp_path / "run")
    assert run.done.tolist() == [False, True, False, True] and run.usable.tolist() == [
        False,
        False,
        False,
        True,
    ]
    assert run.failed == {"s0001": "torn"} and run.manifest.counts.failed == 1
    assert [(p.kind, p.sample_id, p.left_out) for p in run.problems] == [("unreadable image", "s0001", True)]
    assert len(run.detections_of(0)) == 0 and len(run.truth) == 8


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(10)), part_images=st.integers(1, 11), workers=st.integers(1, 3))
def test_any_writing_order_gives_the_same_run(stored, tmp_path_factory, order, part_images, workers):
    folder = tmp_path_factory.mktemp("any") / "run"
    store(folder, order, [f"w{k}" for k in range(workers)], part_images=part_images)
    assert open_run(folder).equals(open_run(stored))


def test_parts_are_bounded(tmp_path):
    folder = store(tmp_path / "a", part_images=3)
    assert len(run_files.finished_parts(folder)) == 4
    folder = store(tmp_path / "b", part_detections=5)
    sizes = [pq.read_metadata(p).num_rows for p in folder.glob("parts/detections-*")]
    assert sum(sizes) == KEPT and max(sizes) < 5 + 4
    assert run_files.open_scan(folder).count_rows() == KEPT
    folder = store(tmp_path / "c", part_seconds=0)
    assert len(run_files.finished_parts(folder)) == 10


def test_an_image_done_by_two_workers_counts_once(tmp_path):
    create_run(tmp_path / "run", numbered(10), INFO, floor=0.3)
    one, two = (RunWriter(tmp_path / "run", worker=w, part_images=4) for w in ("w0", "w1"))
    for i in range(6):
        one.add(i, unified(answer(i)))
    for i in range(3, 10):
        two.add(i, unified(answer(i)))
    one.close()
    two.close()
    with RunWriter(tmp_path / "run") as writer:
        assert writer.finish("done").counts.detections == KEPT
    assert open_run(tmp_path / "run").equals(open_run(store(tmp_path / "plain")))


def test_a_second_writer_of_that_name_is_refused_and_a_dead_ones_lock_taken_over(tmp_path):
    create_run(tmp_path / "run", numbered(3), INFO, floor=0)
    (tmp_path / "run" / "lock-local").write_text("999999")
    with (
        RunWriter(tmp_path / "run"),
        pytest.raises(RunError, match=r"Another process \(process \d+\) is writing"),
    ):
        RunWriter(tmp_path / "run")
    RunWriter(tmp_path / "run").close()


def test_work_without_its_images_part_is_neither_read_nor_kept(tmp_path):
    folder = store(tmp_path / "run", part_images=5)
    before = open_run(folder)
    kept = folder / "parts" / "images-w0-000001.parquet"
    kept.unlink()
    half = folder / "parts" / ".images-w0-000001.parquet.77.part"
    half.write_bytes(b"PAR1")
    run = open_run(folder)
    assert run.done.tolist() == [True] * 5 + [False] * 5 and run.detections.rows.max() < 5
    with RunWriter(folder, worker="w0") as writer:
        assert not half.exists() and not (folder / "parts" / "detections-w0-000001.parquet").exists()
        for i in np.flatnonzero(~writer.done):
            writer.add(int(i), unified(answer(int(i))))
    assert open_run(folder).equals(before)


def test_a_stop_between_the_two_files_of_a_part_leaves_its_images_open(tmp_path, monkeypatch):
    create_run(tmp_path / "run", numbered(10), INFO, floor=0.3)
    write = run_files.write_table

    def dies(path, *rest):
        if path.name.startswith("images"):
            raise OSError("the disk is full")
        write(path, *rest)

    monkeypatch.setattr(run_files, "write_table", dies)
    with pytest.raises(OSError, match="disk is full"), RunWriter(tmp_path / "run") as writer:
        writer.add(4, unified(answer(4)))
    assert [p.name for p in (tmp_path / "run" / "parts").iterdir()] == ["detections-local-000000.parquet"]
    run = open_run(tmp_path / "run")
    assert not run.done.any() and len(run.detections) == 0


@pytest.mark.parametrize(
    "name",
    [
        "samples.parquet",
        "truth.parquet",
        "parts/detections-w0-000000.parquet",
        "parts/images-w0-000000.parquet",
    ],
)
def test_a_cut_file_is_one_sentence(tmp_path, name):
    folder = store(tmp_path / "run")
    path = folder / name
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(RunError, match="broken or half there") as caught:
        open_run(folder)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_missing_foreign_and_contradicting_files(tmp_path):
    folder = store(tmp_path / "run")
    parts = folder / "parts"
    detections = parts / "detections-w0-000000.parquet"
    whole = detections.read_bytes()
    table = pq.read_table(detections)
    pq.write_table(table.slice(1), detections)
    with pytest.raises(RunError, match="other detections than its images part counted"):
        open_run(folder)
    pq.write_table(table.rename_columns([*table.column_names[:-1], "extra"]), detections)
    with pytest.raises(RunError, match="Expected the columns row"):
        open_run(folder)
    detections.unlink()
    with pytest.raises(RunError, match="missing"):
        open_run(folder)
    detections.write_bytes(whole)
    assert len(open_run(folder).detections) == KEPT
    (folder / "samples.parquet").unlink()
    with pytest.raises(RunError, match="samples.parquet"):
        open_run(folder)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"schema": SCHEMA + 1, "surprise": 1}, "newer Boxscope"),
        ({"schema": None}, "no schema version"),
        ({"surprise": 1}, "surprise"),
        ({"state": "resting"}, "state"),
        ({"floor": "low"}, "floor"),
    ],
)
def test_manifests_are_strict(tmp_path, change, message):
    folder = store(tmp_path / "run")
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | change))
    with pytest.raises(RunError, match=message):
        open_run(folder)
    (summary,) = list_runs(tmp_path)
    assert summary.state == "broken" and message in summary.error and summary.manifest is None


def test_no_run_and_half_a_manifest(tmp_path):
    with pytest.raises(RunError, match="not a stored run"):
        open_run(tmp_path / "nowhere")
    assert list_runs(tmp_path / "nowhere") == []
    folder = store(tmp_path / "run")
    path = folder / "manifest.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(RunError, match="manifest is broken"):
        open_run(folder)


def test_create_refuses_a_run_and_strange_files(tmp_path):
    folder = store(tmp_path / "run")
    with pytest.raises(RunError, match="a run here already"):
        create_run(folder, numbered(10), INFO, floor=0.3)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "diary.txt").touch()
    with pytest.raises(RunError, match="diary.txt"):
        create_run(tmp_path / "other", numbered(10), INFO, floor=0.3)
    with pytest.raises(InputError, match="floor"):
        create_run(tmp_path / "new", numbered(10), INFO, floor=1.5)


def test_the_manifest_tells_the_mapping_and_how_low_the_detector_goes(stored, tmp_path):
    manifest = read_manifest(stored)
    assert [(link.detector, link.dataset, link.class_id, link.how) for link in manifest.classes.links] == [
        ("airplane", "aeroplane", 1, "alias"),
        ("dog", None, 2, "new"),
        ("Cat", "cat", 0, "spelling"),
    ]
    assert manifest.floor_note == "" and manifest.versions["numpy"] == np.__version__
    deaf = DetectorInfo("deaf", "stub", ClassMap(("cat",)), "h", settings={"score_threshold": 0.25})
    assert "cuts at 0.25" in create_run(tmp_path / "a", numbered(1), deaf, floor=0.01).floor_note
    assert create_run(tmp_path / "b", numbered(1), deaf, floor=0.3).floor_note == ""
    assert (
        "does not say"
        in create_run(
            tmp_path / "c", numbered(1), DetectorInfo("d", "s", ClassMap(("cat",)), "h"), floor=0.1
        ).floor_note
    )


def test_a_detector_that_shares_no_class_is_a_problem():
    info = DetectorInfo("d", "s", ClassMap(("zebra",)), "h")
    run = run_from_detections(numbered(2), [None, Detections.empty(SIZE)], info)
    assert [p.kind for p in run.problems] == ["no class in common"] and run.manifest.state == "cancelled"


def test_pictures_that_decode_to_another_size():
    # 21x13 stated. 0 as stated; 1 on its side; 2 smaller, so that the second box (10,3,21,13) lies outside; 3
    # larger.
    sizes = [SIZE, (13, 21), (10, 12), (42, 26)]
    run = run_from_detections(numbered(4), [Detections.empty(s) for s in sizes], INFO)
    assert run.sizes.tolist() == [list(s) for s in sizes]
    assert run.annotations(0).xyxy.tolist() == [[1, 2, 9, 11], [10, 3, 21, 13]]
    assert run.annotations(1).xyxy.tolist() == [[1, 2, 9, 11], [10, 3, 13, 13]]
    assert run.annotations(2).xyxy.tolist() == [[1, 2, 9, 11]]
    assert run.annotations(3).xyxy.tolist() == [[1, 2, 9, 11], [10, 3, 21, 13]]
    found = [(p.sample_id, p.kind, p.left_out) for p in run.problems]
    assert found == [
        ("s0001", "image size differs", False),
        ("s0001", "box outside the image", False),
        ("s0002", "image size differs", False),
        ("s0002", "box outside the image", True),
        ("s0003", "image size differs", False),
    ]
    assert "EXIF" in run.problems[0].message and "EXIF" not in run.problems[2].message


def test_names_that_are_not_utf8_survive(tmp_path):
    odd = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    dataset = Dataset(
        name=odd,
        format="folder",
        source="/x/" + odd,
        class_map=ClassMap(("cat",)),
        sample_ids=["plain", odd],
        files=["/x/p.jpg", "/x/" + odd],
        splits=["val", None],
        labelled=[True, False],
        objects=ObjectTable.build([0], [[0, 0, 4, 2]], [0]),
        problems=[Problem("unreadable image", "bad", "/x/" + odd, 3, odd, True)],
    )
    create_run(tmp_path / "run", dataset, INFO, floor=0)
    with RunWriter(tmp_path / "run") as writer:
        writer.add_failed(1, "torn " + odd)
        writer.add(0, Detections.empty((4, 2)))
        writer.finish("done")
    run = open_run(tmp_path / "run")
    assert run.sample_ids == ["plain", odd] and run.files[1] == "/x/" + odd and run.splits == ["val", None]
    assert run.problems[0] == dataset.problems[0] and list(run.failed) == [odd]
    assert run.annotations(1) is None and run.annotations(0).image_size == (4, 2)


def test_run_from_detections_checks_what_it_gets():
    with pytest.raises(InputError, match="got 1 for 2"):
        run_from_detections(numbered(2), [None], INFO)
    with pytest.raises(InputError, match="class id 3"):
        run_from_detections(numbered(1), [Detections([[0, 0, 1, 1]], [0.5], [3], SIZE)], INFO)
