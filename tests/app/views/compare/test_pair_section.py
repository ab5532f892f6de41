"""Compare, box by box: cards by hand, the page on two runs, causes asked of the detectors and kept."""

from __future__ import annotations

import json

import numpy as np
import pytest

from analysis.parity.causes import Cause, explain_lost
from analysis.parity.pairs import pair_runs
from analysis.runs.store import open_run
from app.jobs import parity_job
from app.views.compare import pair_cards
from tests.app import conftest
from tests.app.conftest import component, no_trouble, write_run

PAGE = "views/compare/page.py"
# Against the tiny run: the cat of a.png falls to 0.4, the second dog of c.png is a cat, the dog of c.png
# moves by 3 pixels and 0.02.
OTHER = {
    0: [("cat", (5, 5, 25, 35), 0.4), ("dog", (50, 10, 80, 52), 0.3)],
    1: [("cat", (0, 80, 20, 110), 0.8), ("dog", (10, 20, 50, 60), 0.6)],
    2: [("dog", (60, 20, 113, 70), 0.68), ("cat", (61, 21, 110, 70), 0.56)],
    3: [],
}


@pytest.fixture
def other_run(tiny_run, pictures, boxscope_home, monkeypatch):
    from detector import load_dataset

    monkeypatch.setattr(conftest, "DETECTIONS", OTHER)
    return write_run(load_dataset(pictures / "instances.json"), boxscope_home / "runs" / "second", "second")


@pytest.fixture
def pairing(tiny_run, other_run):
    return pair_runs(open_run(tiny_run), open_run(other_run), 0.5)


def test_nothing_chosen_shows_nothing(pairing):
    assert len(pair_cards.chosen(pairing, [], {}, [], None)) == 0
    assert pair_cards.payload(pairing, np.zeros(0, np.int64), {}) == []


def test_cards_by_hand(pairing):
    causes = {c.pair: c for c in explain_lost(pairing)}
    rows = pair_cards.chosen(pairing, ["lost", "gained", "moved"], causes, [], None)
    cards = pair_cards.payload(pairing, rows, causes)
    assert [(c["name"], c["where"], c["change"], [s["says"] for s in c["sides"]]) for c in cards] == [
        ("dog", "c.png", "lost", ["A: 0.55", "B: cat 0.56"]),
        ("cat", "a.png", "lost", ["A: 0.90", "B: 0.40 below"]),
        ("cat", "c.png", "gained", ["A: dog 0.55", "B: 0.56"]),
        ("dog", "c.png", "-0.020", ["A: 0.70", "B: 0.68"]),
    ]
    a, b = cards[1]["sides"]
    assert [x["look"] for x in a["boxes"]] == ["a"] and [x["look"] for x in b["boxes"]] == ["gone", "below"]
    assert (
        a["boxes"][0]["box"] == [5, 5, 20, 30]
        and cards[1]["why"].startswith("score (inferred): The second")
        and "at 0.400, below 0.50" in cards[1]["title"]
    )
    assert [
        c["name"]
        for c in pair_cards.payload(
            pairing, pair_cards.chosen(pairing, ["lost"], causes, [], {"cat"}), causes
        )
    ] == ["cat"]
    assert len(pair_cards.chosen(pairing, ["lost"], causes, ["cap"], None)) == 0


def test_totals_in_words(pairing):
    first, second = pair_cards.totals(pairing)
    assert first == "objects 5 → **4** · **2** lost (40.0 %) · **1** gained · 1 moved · 1 rescored"
    assert (
        second
        == "Of the 3 kept, scores differ by up to 0.020 (median 0.000), edges by up to 3.0 pixels (median"
        " 0.0). True positives: 1 of 2 lost (50.0 %), 0 gained."
    )


def test_the_page_pairs_two_runs(app, tiny_run, other_run):
    at = app(PAGE, run="tiny", against="Another run", other="second", pairing="Box by box")
    no_trouble(at)
    assert any("objects 5 → **4** · **2** lost" in m.value for m in at.markdown)
    assert [p["change"] for p in component(at, "pairs")["pairs"]] == ["lost", "lost", "gained"]
    at.session_state["pairs"] = ["moved"]
    at.run()
    no_trouble(at)
    assert [p["change"] for p in component(at, "pairs")["pairs"]] == ["-0.020"]
    assert any(b.label == "Prove the causes" for b in at.button)


def test_answers_of_the_detectors_stand_in_for_what_was_inferred(app, tiny_run, other_run, pairing):
    # The page's thresholds are those of the sliders.
    folder = parity_job.place(pairing)
    folder.mkdir(parents=True)
    found = [
        Cause(c.pair, c.of, "nms", "exchanged", True, "It was suppressed.") for c in explain_lost(pairing)
    ]
    (folder / "causes.json").write_text(json.dumps([vars(c) for c in found]))
    parity_job.Asked("a", "b", (0.5, 0.5), (0.5, 0.5), 0.5, str(folder), stage="done").save()
    at = app(PAGE, run="tiny", against="Another run", other="second", pairing="Box by box")
    no_trouble(at)
    assert [p["why"] for p in component(at, "pairs")["pairs"]][:2] == ["NMS rule: It was suppressed."] * 2
    assert any("2 of 2 proved by exchanging" in c.value for c in at.caption)


def test_asking_says_what_could_not_be_asked(pairing):
    """The detectors of these runs cannot be loaded again; the question ends, with that said."""
    folder = parity_job.place(pairing)
    asked = parity_job.Asked(
        str(pairing.a.path), str(pairing.b.path), (0.5, 0.5), (0.5, 0.5), 0.5, str(folder)
    ).save()
    parity_job.work(asked)
    read = parity_job.read(folder)
    assert read.stage == "done" and len(read.notes) == 2 and "cannot be loaded again" in read.notes[0]
    assert [c.how for c in parity_job.answers(folder)] == ["stored", "stored"]
    assert (
        parity_job.read(folder.parent / "nowhere") is None
        and parity_job.answers(folder.parent / "nowhere") is None
    )


def test_a_question_whose_process_is_gone_has_failed(pairing):
    folder = parity_job.place(pairing)
    parity_job.Asked("a", "b", (0.5,), (0.5,), 0.5, str(folder), stage="asking", started=1.0).save()
    assert parity_job.read(folder).stage == "failed"


def test_without_ground_truth_boxes_are_still_paired(app, pictures, boxscope_home, monkeypatch):
    from detector import load_dataset

    plain = load_dataset(pictures / "images")
    write_run(plain, boxscope_home / "runs" / "one")
    monkeypatch.setattr(conftest, "DETECTIONS", OTHER)
    write_run(plain, boxscope_home / "runs" / "two", "second")
    at = app(PAGE, run="one", against="Another run", other="two")
    no_trouble(at)
    assert any("**2** lost" in m.value for m in at.markdown)
