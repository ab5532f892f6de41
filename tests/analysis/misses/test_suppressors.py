"""Who suppressed whom, on the planted picture of the autopsy."""

from __future__ import annotations

import numpy as np
import pytest

from analysis import autopsy
from analysis.matching.match import match_run
from analysis.misses.replay import Replay
from analysis.misses.suppressor_drawing import suppressor_svg
from analysis.misses.suppressors import graph_of, move_nms, suppressor_graph
from detector.core import Candidates
from detector.nms import PostprocessSettings
from tests.analysis.misses.test_image_verdicts import DOG, DOGS, SIZE, planted


def test_the_one_suppressed_dog_is_an_edge():
    run, shown, _ = planted(DOGS)
    graph = suppressor_graph(run, match_run(run), 0, shown, DOGS, at_least=0.05)
    assert len(graph) == 1 and (
        graph.anchor[0],
        graph.by_anchor[0],
        graph.class_id[0],
        graph.by_class[0],
    ) == (5, 4, DOG, DOG)
    assert (
        graph.iou[0] == pytest.approx(0.6)
        and graph.score[0] == pytest.approx(0.71)
        and graph.by_score[0] == pytest.approx(0.92)
    )
    edge = graph.to_dict(run.class_map.names)["edges"][0]
    assert (
        edge["class"] == "dog"
        and edge["box"] == [110, 50, 150, 90]
        and edge["by"]["box"] == [100, 50, 140, 90]
    )
    assert suppressor_graph(run, match_run(run), 0, shown, PostprocessSettings(0.001, 0.9, 2, 2)) is None, (
        "these settings give other detections"
    )


def test_every_edge_lies_above_the_threshold_and_leads_to_a_kept_box():
    rng = np.random.default_rng(3)
    low = rng.integers(0, 60, (80, 2))
    boxes = np.concatenate([low, low + rng.integers(9, 40, (80, 2))], axis=1)
    shown = Candidates(boxes, rng.random((80, 3)), SIZE)
    for pooled in (False, True):
        replay = Replay(shown, np.arange(3), PostprocessSettings(0.0, 0.3, 100, 100), pooled)
        graph, kept = graph_of(replay, 0.1), replay.boxes(at_least=0.1)
        assert len(graph) > 20 and (graph.iou > 0.3).all() and (graph.by_score >= graph.score).all()
        assert set(zip(graph.by_anchor.tolist(), graph.by_class.tolist())) <= set(
            zip(kept.anchors.tolist(), kept.class_ids.tolist())
        )
        assert (graph.by_class == graph.class_id).all() != pooled, (
            "only fast NMS lets classes suppress each other"
        )
        trimmed = graph_of(replay.trimmed(0.5), 0.5)
        assert np.array_equal(trimmed.anchor, graph_of(replay, 0.5).anchor), (
            "trimmed, a replay still names the anchors"
        )
        total = (shown.scores.max(axis=1) >= 0.1).sum() if pooled else (shown.scores >= 0.1).sum()
        assert len(graph) + len(kept.scores) == total, (
            "every candidate is kept or suppressed: no cap binds here"
        )


def test_moved_the_suppressed_dog_comes_back_and_further_down_none_goes():
    run, shown, _ = planted(DOGS, ["found beside", "suppressed"])
    a = autopsy(run, candidates={0: shown}, settings=DOGS)
    at = int(a.evidence.truth[0])

    def moved(value):
        return move_nms(run, a.matches, a.thresholds, 0, a.replays[0], value)

    still, wide = moved(DOGS.iou_threshold), moved(0.7)
    assert len(still.back) == len(still.gone) == still.wrong == 0 and len(still.graph) == 1
    assert wide.back.tolist() == [at] and len(wide.gone) == 0 and wide.wrong == 0
    assert (
        len(wide.graph) == 0
        and len(wide.kept.scores) == len(wide.before.scores) + 1 == len(still.kept.scores) + 1
    )
    assert moved(0.05).back.tolist() == []
    price = a.trials.moved("iou_threshold", [0.7])[0]
    assert (price.gained, price.wrong) == (
        len(wide.back),
        wide.wrong,
    ), "one image: the price is what moves in it"


def test_the_drawing_leads_from_the_suppressed_box_to_the_one_that_ended_it():
    import re

    run, shown, _ = planted(DOGS, ["found beside", "suppressed"])
    a = autopsy(run, candidates={0: shown}, settings=DOGS)
    svg = suppressor_svg(
        run,
        0,
        move_nms(run, a.matches, a.thresholds, 0, a.replays[0], DOGS.iou_threshold),
        picture='/media/a.png?x="1"&y=2',
    )
    assert re.findall(r'<line x1="([\d.]+)" y1="([\d.]+)" x2="([\d.]+)" y2="([\d.]+)"', svg) == [
        ("130.0", "70.0", "120.0", "70.0")
    ]
    assert ">0.60</text>" in svg and "dog 0.71, suppressed" in svg and "dog 0.92, kept" in svg
    assert 'href="/media/a.png?x=&quot;1&quot;&amp;y=2"' in svg
    wide = suppressor_svg(
        run, 0, move_nms(run, a.matches, a.thresholds, 0, a.replays[0], 0.7), chosen=int(a.evidence.truth[0])
    )
    assert "<line" not in wide and "comes back" in wide
