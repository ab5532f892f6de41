"""What windows say is what the run in memory says, to the last bit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from analysis import evaluate, find_images_with_classes, match
from analysis.matching.counts import counts, image_counts
from analysis.matching.matches import Matches
from analysis.metrics import streamed as streamed_figures
from analysis.metrics.coco_columns import image_ranks
from analysis.mistakes.errors import find_errors
from analysis.runs import streamed
from analysis.runs.files import list_parts, part_path
from analysis.runs.store import open_run
from analysis.runs.streamed import open_stored, open_streamed
from analysis.runs.writer import create_run
from analysis.thresholds.curves import exact_curve, grid_curves, suggest
from detector.core import ClassMap
from detector.data.dataset import Dataset
from detector.errors import CapabilityError, InputError, RunError
from tests.analysis.streamed_builders import INFO, crowded, store


@pytest.fixture(params=["numbers", "texts"])
def both(request, tmp_path, monkeypatch):
    monkeypatch.setattr(streamed, "WINDOW_DETECTIONS", 23)
    monkeypatch.setattr(streamed, "WINDOW_IMAGES", 6)
    folder = store(tmp_path / "run", crowded(ids=request.param))
    return open_run(folder), open_streamed(folder)


def same_matches(a: Matches, b: Matches) -> bool:
    return all(np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(Matches))


def test_an_empty_run(tmp_path):
    dataset = Dataset(
        name="none", format="memory", source="memory", class_map=ClassMap(("car",)), sample_ids=[], files=[]
    )
    create_run(tmp_path / "run", dataset, INFO, floor=0.1)
    run = open_streamed(tmp_path / "run")
    assert len(run) == 0 and list(run.windows()) == [] and find_images_with_classes(run, "car") == []
    assert same_matches(match(run), match(open_run(tmp_path / "run")))
    assert evaluate(run).to_dict() == evaluate(open_run(tmp_path / "run")).to_dict()
    assert find_errors(run).to_dict() == find_errors(open_run(tmp_path / "run")).to_dict()


def test_windows_cover_the_run_once_and_hold_its_rows(both):
    run, big = both
    bounds = big.bounds()
    assert len(bounds) > 6 and bounds[0][0] == 0 and bounds[-1][1] == len(run)
    assert all(a[1] == b[0] for a, b in zip(bounds, bounds[1:]))
    for first, window in big.windows():
        for k in range(len(window)):
            i = first + k
            assert window.sample_ids[k] == run.sample_ids[i] and window.splits[k] == run.splits[i]
            found, stored = window.detections_of(k), run.detections_of(i)
            assert found.equals(stored) and np.array_equal(found.anchor_ids, stored.anchor_ids)
            mine, theirs = window.annotations(k), run.annotations(i)
            assert (mine is None) == (theirs is None)
            if mine is not None:
                assert (
                    np.array_equal(mine.xyxy, theirs.xyxy)
                    and np.array_equal(mine.ids, theirs.ids)
                    and np.array_equal(mine.area, theirs.area, equal_nan=True)
                )


def test_what_is_known_of_each_image(both):
    run, big = both
    assert list(big.sample_ids) == run.sample_ids and list(big.splits) == run.splits
    for name in ("sizes", "labelled", "done", "readable", "usable"):
        assert np.array_equal(getattr(big, name), getattr(run, name)), name
    assert big.failed == run.failed == {run.sample_ids[5]: "picture 5 is torn"}
    assert (
        big.version == run.version
        and big.detection_count == len(run.detections)
        and big.object_count >= len(run.truth)
    )
    assert big.position(run.sample_ids[17]) == 17 and "nobody" not in big
    with pytest.raises(InputError, match="no sample 'nobody'"):
        big.position("nobody")
    assert [p.kind for p in big.problems] == [p.kind for p in run.problems if p.kind == "unreadable image"]


@pytest.mark.parametrize("settings", [{}, {"iou": 0.75}, {"class_aware": False}, {"difficult": "ignore"}])
def test_matching(both, settings):
    run, big = both
    assert same_matches(match(run, **settings), match(big, **settings))


def test_counts_and_thresholds_follow(both):
    run, big = both
    a, b = match(run), match(big)
    for threshold in (0.0, 0.3, 0.5, 1.0):
        assert counts(a, threshold).to_dict() == counts(b, threshold).to_dict()
        assert image_counts(a, threshold).to_dict() == image_counts(b, threshold).to_dict()
    assert suggest(a) == suggest(b)
    assert np.array_equal(exact_curve(a).fp, exact_curve(b).fp)
    assert [np.array_equal(x.tp, y.tp) for x, y in zip(grid_curves(a)[1], grid_curves(b)[1])] == [True] * 4


@pytest.mark.parametrize(
    "settings", [{}, {"area": "box"}, {"classes": ["cup", "car"]}, {"max_detections": (1, 2, 3)}]
)
@pytest.mark.parametrize("most", [10**9, 30])
def test_average_precision(both, settings, most, monkeypatch):
    monkeypatch.setattr(streamed_figures, "PASS_DETECTIONS", most)
    run, big = both
    a, b = evaluate(run, **settings), evaluate(big, **settings)
    assert a["AP"] is not None and 0 < a["AP"] < 1
    assert a.to_dict() == b.to_dict()
    assert all(np.array_equal(a.arrays[name], b.arrays[name]) for name in ("precision", "recall"))


def test_average_precision_of_some_images(both):
    run, big = both
    mask = np.arange(len(run)) % 2 == 0
    assert evaluate(run, images=mask).to_dict() == evaluate(big, images=mask).to_dict()
    none = np.zeros(len(run), bool)
    assert evaluate(run, images=none).to_dict() == evaluate(big, images=none).to_dict()


def test_other_choices_than_cocos_are_refused_by_name(both):
    with pytest.raises(CapabilityError, match="difficult = 'ignore'"):
        evaluate(both[1], difficult="ignore")


@pytest.mark.parametrize(
    "settings", [{}, {"max_detections": None, "ignored_too": True}, {"max_detections": 3}]
)
def test_error_kinds(both, settings):
    a, b = (find_errors(r, **settings) for r in both)
    assert a.to_dict() == b.to_dict() and a.counts["missed"] > 0 and a.counts["classification"] > 0
    for name in ("det_error", "det_truth", "det_mends", "truth_error", "truth_near_score"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name
    assert [np.array_equal(x, y) for x, y in zip(a.at(0.5), b.at(0.5))] == [True, True]


@pytest.mark.parametrize("side", ["truth", "predictions"])
@pytest.mark.parametrize("mode", ["any", "all", "only", "none"])
def test_class_queries(both, mode, side):
    run, big = both
    for classes, least in ((["car"], 1), (["car", "cup"], 1), (["dog"], 2), ([], 1)):
        found = find_images_with_classes(big, classes, mode, least, 0.4, side)
        assert found == find_images_with_classes(run, classes, mode, least, 0.4, side)
    assert find_images_with_classes(big, ["car"], mode, threshold=[0.9, 0, 0, 0]) == find_images_with_classes(
        run, ["car"], mode, threshold=[0.9, 0, 0, 0]
    )


def test_turns_of_images_are_those_of_the_run_in_memory(tmp_path):
    for names in (["10", "9", "007", "1"], ["b", "a", "ä", "B"], ["9" * 30, "1"], ["1", "x"]):
        dataset = Dataset(
            name="n",
            format="memory",
            source="m",
            class_map=ClassMap(("car",)),
            sample_ids=names,
            files=[""] * len(names),
        )
        folder = tmp_path / str(len(names[0]) + ord(names[0][0]))
        create_run(folder, dataset, INFO, floor=0.1)
        assert np.array_equal(streamed_figures._ranks(open_streamed(folder)), image_ranks(names)), names


def test_a_run_is_streamed_when_it_is_large(tmp_path, monkeypatch):
    folder = store(tmp_path / "run", crowded(12))
    assert type(open_stored(folder)).__name__ == "Run"
    monkeypatch.setattr(streamed, "MEMORY_DETECTIONS", 5)
    assert type(open_stored(folder)).__name__ == "StreamedRun"


def test_a_broken_part_is_named_when_its_window_is_read(tmp_path):
    folder = store(tmp_path / "run", crowded(20))
    (worker, number), *_ = list_parts(folder)
    path = part_path(folder, "detections", worker, number)
    path.write_bytes(path.read_bytes()[:40])
    run = open_streamed(folder)
    with pytest.raises(RunError, match="broken or half there") as caught:
        match(run)
    assert caught.value.path == str(path)
