"""Mistakes: which boxes a click asks for, what is drawn, and the page on a run counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from app.files import crops
from app.views.mistakes import tables
from app.views.mistakes.boxes import MistakesRequest
from tests.app.conftest import component, no_trouble

PAGE = "views/mistakes/page.py"


# ---- pure parts


@pytest.mark.parametrize(
    ("asked", "look"),
    [
        (MistakesRequest("kind", ("missed",)), "Kinds"),
        (MistakesRequest("cell", ("a/b c", "background")), "Confusion"),
        (MistakesRequest("slice", ("size", "small")), "Slices"),
    ],
)
def test_what_is_asked_survives_a_link(asked, look):
    assert MistakesRequest.parse(str(asked)) == asked and asked.look == look


@pytest.mark.parametrize("text", [None, "", "kind", "kind/a/b", "cell/a", "../../etc/passwd", "boxes/1"])
def test_a_broken_link_asks_for_nothing(text):
    assert MistakesRequest.parse(text) is None


@pytest.mark.parametrize(
    ("boxes", "size", "window"),
    [
        (
            [(50, 40, 70, 60)],
            (200, 100),
            (40, 30, 80, 70),
        ),  # a margin would be 34 wide: at least 40 pixels are shown
        ([(0, 0, 40, 20)], (200, 100), (0, 0, 68, 68)),  # moved into the picture
        (
            [(150, 10, 190, 90), (100, 20, 120, 40)],
            (200, 100),
            (47, 0, 200, 100),
        ),  # both boxes; no higher than the picture
        ([(2, 2, 3, 3)], (12, 9), (0, 0, 12, 9)),
    ],
)
def test_a_crop_is_a_square_that_lies_in_the_picture(boxes, size, window):
    assert crops.window(np.array(boxes, float), size) == window


MATRIX = np.array(
    [[5, 2, 0, 1], [0, 9, 0, 0], [0, 0, 0, 0], [3, 0, 0, 0]]
)  # classes a, b, c; background last


def test_the_most_confused_classes_come_first_and_empty_ones_not():
    assert tables.shown_classes(MATRIX, None, 9) == [0, 1]
    assert tables.shown_classes(MATRIX, None, 1) == [0]
    assert tables.shown_classes(MATRIX, (1,), 9) == [1, 0], "the chosen one, then what it is confused with"
    assert tables.shown_classes(np.zeros((1, 1), int), None, 9) == []


def test_the_matrix_says_its_sums_over_all_classes():
    payload = tables.matrix_payload(MATRIX, ("a", "b", "c"), [1, 0], ("a", "b"))
    assert payload["labels"] == ["b", "a", "background"]
    assert payload["counts"] == [[9, 0, 0], [2, 5, 1], [0, 3, 0]]
    assert payload["rows"] == [9, 8, 3] and payload["selected"] == [1, 0]


# ---- the page


def rows_of(at):
    return {r["id"]: r for r in component(at, "rows")["rows"]}


def test_kinds_count_at_the_operating_point(app, tiny_run):
    at = app(PAGE)
    no_trouble(at)
    rows = rows_of(at)
    assert {k: r["count"] for k, r in rows.items()} == {
        "classification": "1",
        "localisation": "0",
        "both": "0",
        "duplicate": "1",
        "background": "1",
        "missed": "1",
    }
    assert all(r["note"] for r in rows.values()) and any(
        "does not gain their sum" in m.value for m in at.markdown
    )
    at.slider(key="conf").set_value(0.25).run()
    assert rows_of(at)["missed"]["count"] == "0", "the dog of a.png is found at 0.3"
    at.multiselect(key="classes").set_value(["dog"]).run()
    no_trouble(at)
    assert rows_of(at)["background"]["count"] == "0", "what stands on nothing claims to be a cat"


def test_a_kind_opens_its_boxes(app, tiny_run):
    at = app()
    at.query_params["boxes"] = "kind/classification"
    at.switch_page(PAGE).run()
    no_trouble(at)
    (crop,) = component(at, "crops")["crops"]
    assert (crop["name"], crop["score"], crop["where"]) == ("cat → dog", "0.60", "b.png")
    assert [(b["verdict"], b["dashed"]) for b in crop["boxes"]] == [("truth", True), ("wrong", False)]
    assert any("**1** classification mistakes in 1 image ·" in m.value for m in at.markdown)


def test_a_missed_object_shows_what_lies_below_the_threshold(app, tiny_run):
    at = app(PAGE)
    at.session_state["boxes"] = "kind/missed"
    at.run()
    (crop,) = component(at, "crops")["crops"]
    assert (crop["name"], crop["score"], crop["where"]) == ("dog", "(0.30)", "a.png")
    assert [(b["verdict"], b["dashed"]) for b in crop["boxes"]] == [("missed", True), ("below", False)]


def test_cells_open_their_boxes_and_a_click_goes_to_the_object(app, tiny_run):
    at = app(PAGE)
    at.segmented_control(key="look").set_value("Confusion").run()
    no_trouble(at)
    matrix = component(at, "matrix")
    place = {name: k for k, name in enumerate(matrix["labels"])}
    for truth, predicted, n in (
        ("cat", "cat", 1),
        ("cat", "dog", 1),
        ("dog", "dog", 1),
        ("dog", "background", 1),
        ("background", "cat", 1),
        ("background", "dog", 1),
        ("cat", "background", 0),
    ):
        assert matrix["counts"][place[truth]][place[predicted]] == n
        at.session_state["boxes"] = str(MistakesRequest("cell", (truth, predicted)))
        at.run()
        no_trouble(at)
        if n:
            assert len(component(at, "crops")["crops"]) == n
        else:
            assert any("none at this operating point" in c.value for c in at.caption)


def test_a_crop_names_its_object(tiny_run):
    from analysis.mistakes.box_lists import BoxList
    from analysis.runs.store import open_run

    run = open_run(tiny_run)
    boxes = BoxList("x", np.array([3, -1, 2]), np.array([-1, 1, -1]))
    assert crops.selection_of(run, boxes, 0) == ("2", {"side": "det", "index": 1})
    assert crops.selection_of(run, boxes, 1) == ("1", {"side": "truth", "index": 1})
    assert crops.image_order(run, boxes).tolist() == [1, 0]


def test_slices_open_what_they_miss(app, tiny_run):
    at = app(PAGE, look="Slices")
    no_trouble(at)
    rows = {r["name"]: r for r in component(at, "rows")["rows"]}
    assert (rows["cat"]["count"], rows["dog"]["count"], rows["dog"]["value"]) == ("1", "1", "50.0 %")
    at.session_state["boxes"] = rows["dog"]["id"]
    at.run()
    assert [c["where"] for c in component(at, "crops")["crops"]] == ["a.png"]


def test_the_images_of_a_list_open_in_the_gallery(app, tiny_run):
    at = app(PAGE)
    at.session_state["boxes"] = "kind/background"
    at.run()
    next(b for b in at.button if b.label == "Gallery").click().run()
    at.switch_page("views/gallery/page.py").run()
    no_trouble(at)
    assert [t["name"] for t in component(at, "grid")["tiles"]] == ["b.png"]
    assert any("**1** of 4 images · left out: 3 not in the set" in m.value for m in at.markdown)
    next(b for b in at.button if b.label == "Show all").click().run()
    assert len(component(at, "grid")["tiles"]) == 4


def test_links_to_what_is_not_there_are_no_trouble(app, tiny_run):
    at = app(PAGE)
    for text in ("kind/sloppy", "cell/unicorn/cat", "slice/size/huge"):
        asked = MistakesRequest.parse(text)
        at.session_state["look"], at.session_state["boxes"] = asked.look, text
        at.run()
        no_trouble(at)
        assert any("no such class or part" in c.value for c in at.caption)


def test_the_list_is_exported_with_its_operating_point(app, tiny_run):
    at = app(PAGE)
    at.session_state["boxes"] = "kind/missed"
    at.run()
    assert {"CSV", "COCO", "Report"} <= {b.label for b in at.get("download_button")}
