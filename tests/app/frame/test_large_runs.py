"""Runs too large for memory in the app: the first images at once, then the gallery as it is for the run in
memory.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from analysis import match
from analysis.matching.counts import counts, image_counts
from analysis.runs import streamed
from analysis.runs.store import open_run
from analysis.runs.streamed import open_streamed
from app.frame import gallery_order, large_runs
from app.jobs import match_job
from app.viewer.payload import tile_text
from detector.paths import ROOT
from tests.analysis.streamed_builders import crowded, store

APP = ROOT / "app" / "streamlit_app.py"


@pytest.fixture
def folder(boxscope_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(streamed, "MEMORY_DETECTIONS", 50)
    monkeypatch.setattr(streamed, "WINDOW_IMAGES", 6)
    return store(boxscope_home / "runs" / "large", crowded(40))


def test_a_kept_matching_is_the_matching(folder, tmp_path):
    whole = match(open_run(folder))
    match_job.save(whole, tmp_path)
    kept = match_job.load(tmp_path, 0.5, whole.num_classes)
    for threshold in (0.0, 0.35, 0.5, 1.0):
        assert counts(kept, threshold).to_dict() == counts(whole, threshold).to_dict()
        assert image_counts(kept, threshold).to_dict() == image_counts(whole, threshold).to_dict()
    assert np.array_equal(kept.det_truth, whole.det_truth) and np.array_equal(
        kept.truth_ignored, whole.truth_ignored
    )


def test_tiles_of_windows_are_the_tiles_of_the_run(folder):
    run, big = open_run(folder), open_streamed(folder)
    m = match(run)
    assert large_runs.tiles(big, [3, 17, 39], 0.5, ("windows",)) == [
        tile_text(run, m, i, ("memory",)) for i in (3, 17, 39)
    ]


def test_the_page_says_what_it_computes_and_then_shows_it(folder, monkeypatch):
    spawned = []
    monkeypatch.setattr(
        large_runs.process, "spawn", lambda module, argument, where: spawned.append((module, argument))
    )
    app = AppTest.from_file(str(APP), default_timeout=120).run()
    assert not app.exception
    text = " ".join(m.value for m in app.main.markdown)
    assert "run read in windows" in text and "worst first" in text
    assert [module for module, _ in spawned] == ["app.jobs.match_job"]
    asked = Path(spawned[0][1])
    match_job.save(match(open_streamed(folder)), asked)
    app.run()
    assert not app.exception
    expected = gallery_order.SORTS
    assert any(list(expected) == list(box.options) for box in app.main.selectbox)
    assert any("38" in m.value and "images" in m.value for m in app.main.markdown), (
        "two of forty are not run yet"
    )
    for page, words in (("mistakes", "boxscope kinds"), ("thresholds", "boxscope evaluate")):
        app.switch_page(f"views/{page}/page.py").run()
        assert not app.exception and words in " ".join(m.value for m in app.main.markdown)
    app.switch_page("views/image/page.py").run()
    assert not app.exception and len(app.main.dataframe) == 1


def test_the_process_matches_and_keeps(folder):
    run = open_streamed(folder)
    where = large_runs.begin(str(folder), run, 0.5)
    deadline = time.monotonic() + 120
    while not large_runs.is_ready(where):
        assert time.monotonic() < deadline and not large_runs._state(where).get("error"), (
            large_runs.process.log_tail(where)
        )
        time.sleep(0.1)
    assert (
        counts(large_runs.matches(str(folder), run, 0.5), 0.5).to_dict()
        == counts(match(open_run(folder)), 0.5).to_dict()
    )


def test_a_broken_run_is_a_sentence(folder):
    run = open_streamed(folder)
    for part in (folder / "parts").glob("detections-*"):
        part.write_bytes(b"torn")
    where = large_runs.begin(str(folder), run, 0.75)
    deadline = time.monotonic() + 120
    while not (error := large_runs._state(where).get("error")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "broken or half there" in error
    with pytest.raises(Exception, match="not computed yet"):
        large_runs.matches(str(folder), run, 0.75)
