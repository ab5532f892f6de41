"""Thresholds: the table by hand, suggestions, saving, and that the whole app follows; calibration and AP."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.matching.counts import counts
from analysis.matching.match import match_run
from analysis.metrics.evaluate import evaluate
from analysis.runs.store import open_run
from analysis.thresholds import curves as rules
from analysis.thresholds.files import load_thresholds, save_thresholds, thresholds_for
from app.frame import choices
from app.views.thresholds import evaluation_panel, table
from detector.errors import BoxscopeError
from tests.app.conftest import component, no_trouble

PAGE = "views/thresholds/page.py"


@pytest.fixture
def run(tiny_run):
    return open_run(tiny_run)


# ---- pure parts


def test_edits_change_their_class_and_stay_in_bounds():
    thresholds = np.float32([0.5, 0.5, 0.5])
    assert table.edited(thresholds, [2, 0], {0: {"threshold": 0.25}, 1: {"threshold": 7}}).tolist() == [
        1.0,
        0.5,
        0.25,
    ]
    assert table.edited(thresholds, [2, 0], {0: {"threshold": None}, 5: {"threshold": 0.1}}).tolist() == [
        0.5,
        0.5,
        0.5,
    ]
    assert thresholds.tolist() == [0.5, 0.5, 0.5]


def test_rows_say_what_each_class_gains_and_loses(run):
    m = match_run(run)
    made = table.rows(m, ("cat", "dog"), [1, 0], np.float32([0.85, 0.25]), counts(m, 0.5))
    assert made["class"] == ["dog", "cat"] and made["threshold"] == [0.25, 0.85]
    assert made["correct"] == [2, 1] and made["± correct"] == [1, None]
    assert made["wrong"] == [2, 0] and made["± wrong"] == [None, -1]
    assert made["recall"] == [100.0, 50.0] and made["precision"] == [50.0, 100.0]


def test_a_class_without_a_suggestion_keeps_its_threshold():
    some = rules.Suggestion("best F1", 0.7, 3, 1, 1)
    thresholds, why = table.suggested(
        some, [some, rules.Suggestion("best F1", None, reason="nothing was detected")], np.float32([0.5, 0.4])
    )
    assert thresholds.tolist() == np.float32([0.7, 0.4]).tolist() and why == {1: "nothing was detected"}


def test_the_curve_is_the_counts(run):
    m = match_run(run)
    whole, per_class = rules.grid_curves(m)
    payload = table.curve_payload(
        whole, table.precision_recall(rules.exact_curve(m)), threshold=0.5, floor=0.01
    )
    for at in (0, 30, 31, 55, 71, 100):
        c = counts(m, at / 100)
        assert payload["recall"][at] == pytest.approx(c.recall, abs=1e-6)
        assert payload["precision"][at] == (
            None if np.isnan(c.precision) else pytest.approx(c.precision, abs=1e-6)
        )
    dogs = table.live_curve(per_class, whole, [1])
    assert dogs.objects == 2 and dogs.tp[50] == 1 and dogs.fp[50] == 2
    assert (
        table.curve_payload(
            whole,
            table.precision_recall(rules.exact_curve(m)),
            threshold=0.5,
            floor=0,
            fixed=counts(m, 0.5),
        )["fixed"]["recall"]
        == 0.5
    )


@pytest.mark.parametrize(
    "name", ["", "../up", "a/b", ".hidden", "one for all classes", "x" * 81, "ends.", "tab\t"]
)
def test_a_name_cannot_leave_its_folder(name, boxscope_home):
    with pytest.raises(BoxscopeError):
        choices.path_of(name)


def test_every_choice_starts_with_cocos(run):
    assert evaluation_panel.arguments(
        {name: next(iter(values)) for name, (_, values) in evaluation_panel.CHOICES.items()}
    ) == {
        "crowd": "ignore",
        "difficult": "count",
        "interpolation": "101",
        "classes_without_truth": "leave out",
        "area": "file",
        "max_detections": (1, 10, 100),
    }
    for name, (_, values) in evaluation_panel.CHOICES.items():
        for value in values:
            evaluate(run, **evaluation_panel.arguments({name: value}))


# ---- the page


def test_suggest_save_and_every_page_follows(app, tiny_run, boxscope_home):
    at = app(PAGE)
    no_trouble(at)
    assert component(at, "curves")["threshold"] == 0.5
    next(b for b in at.button if b.label == "Suggest").click().run()
    no_trouble(at)
    # Best F1 by hand: cats 0.9 alone (1 correct, 0 wrong, 1 missed: 2/3); dogs at 0.3 (2 correct, 2 wrong:
    # 2/3) and at 0.7 (1, 0, 1: 2/3), the surer one.
    assert any(
        "With these: **2** correct (±0), **0** wrong (-3), **2** missed (±0)" in m.value for m in at.markdown
    )
    at.text_input(key="save_as").set_value("night shift").run()
    next(b for b in at.button if b.label.startswith("Save")).click().run()
    no_trouble(at)
    file = load_thresholds(boxscope_home / "thresholds" / "night shift.yaml")
    assert file.rule == "best F1" and file.run == "tiny" and file.operating_point.weights_hash
    assert at.selectbox(key="cuts").value == "night shift" and at.slider(key="conf").disabled
    now = component(at, "strip")
    assert (now["now"]["correct"], now["now"]["wrong"], now["curve"]) == (
        2,
        0,
        None,
    ) and "night shift" in now["point"]
    assert component(at, "curves")["fixed"]["precision"] == 1.0
    for page, name in (("views/gallery/page.py", "grid"), ("views/image/page.py", "viewer")):
        at.switch_page(page).run()
        no_trouble(at)
        data = component(at, name)
        thresholds = data["cuts"] if name == "grid" else data["dets"]["cuts"]
        assert thresholds[0] > 0.8 and thresholds[1] > 0.6
    at.switch_page(PAGE).run()
    next(b for b in at.button if b.label.startswith("Use one")).click().run()
    assert component(at, "strip")["now"]["wrong"] == 3


def test_saved_thresholds_of_other_classes_are_a_sentence(app, tiny_run, boxscope_home):
    from analysis.matching.operating_point import operating_point
    from detector.core import ClassMap

    file = thresholds_for(ClassMap(("cat", "unicorn")), np.float32([0.2, 0.3]), operating_point(None))
    save_thresholds(file, boxscope_home / "thresholds" / "other.yaml")
    at = app(PAGE, cuts="other")
    no_trouble(at)
    assert any("does not fit this run" in c.value and "unicorn" in c.value for c in at.caption)
    assert component(at, "strip")["now"]["wrong"] == 3


def test_the_best_threshold_is_one_click_away(app, tiny_run):
    at = app(PAGE)
    next(b for b in at.button if b.label.startswith("Best F1")).click().run()
    # All classes: at 0.3 F1 is 6 / (6 + 3 + 1), at 0.7 4 / 7.
    assert at.session_state["conf"] == 0.3 and component(at, "curves")["threshold"] == 0.3


def test_too_few_detections_to_calibrate_is_a_sentence(app, tiny_run):
    at = app(PAGE, measure="Calibration")
    no_trouble(at)
    assert component(at, "reliability")["counts"] == [
        1,
        0,
        0,
        1,
        0,
        1,
        2,
        0,
        2,
        0,
    ], "0.7 and 0.9 are a little less in float32, 0.3, 0.6 and 0.8 a little more"
    assert any("at least 20 detections" in c.value for c in at.caption)
    at = app(PAGE, measure="Calibration", scores="isotonic")
    no_trouble(at)
    assert any("Too few judged detections" in c.value for c in at.caption)


def test_average_precision_is_the_engines(app, tiny_run, run):
    at = app(PAGE, measure="Average precision")
    no_trouble(at)
    shown = dict(zip(at.dataframe[0].value["figure"], at.dataframe[0].value["value"]))
    ours = evaluate(run)
    assert shown["AP"] == ours["AP"] and shown["AP50"] == ours["AP50"]
    at.selectbox(key="choice_interpolation").set_value("11").run()
    no_trouble(at)
    assert any("Not COCO's own settings: recall points: 11 (VOC 2007)" in m.value for m in at.markdown)
    assert (
        dict(zip(at.dataframe[0].value["figure"], at.dataframe[0].value["value"]))["AP50"]
        == evaluate(run, interpolation="11")["AP50"]
    )


def test_the_parity_panel_stands_beside_or_says_how(app, tiny_run, monkeypatch):
    pytest.importorskip("pycocotools")
    at = app(PAGE, measure="Average precision")
    next(b for b in at.button if "pycocotools" in b.label).click().run()
    no_trouble(at)
    assert any("Equal to the last bit" in m.value for m in at.markdown)
    import streamlit as st

    from detector.errors import UnavailableError

    def missing(run):
        raise UnavailableError(
            "pycocotools is not installed; `pip install pycocotools` adds the second column."
        )

    st.cache_resource.clear()
    monkeypatch.setattr("app.views.thresholds.average_precision_panel.parity", missing)
    at = app(PAGE, measure="Average precision")
    next(b for b in at.button if "pycocotools" in b.label).click().run()
    no_trouble(at)
    assert any("pip install pycocotools" in m.value for m in at.markdown)
