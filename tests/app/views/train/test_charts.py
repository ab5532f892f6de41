"""A training's history as charts: what goes into which panel, by hand."""

from __future__ import annotations

from app.views.train.charts import charts, thinned


def panel(drawn: dict, title: str) -> dict:
    return next(p for p in drawn["panels"] if p["title"] == title)


def test_nothing_logged_yet():
    assert charts([], 40) == {"x": [0, 40], "x_name": "step", "panels": []}


def test_parts_stand_apart_from_the_penalty_on_the_weights():
    history = [
        {
            "step": 10,
            "classification": 0.5,
            "localization": 0.25,
            "loss": 2.75,
            "regularization": 2.0,
            "learning_rate": 0.01,
            "images_per_second": 8.0,
            "time": 1.0,
        },
        {
            "step": 20,
            "classification": 0.25,
            "localization": None,
            "loss": 2.5,
            "regularization": 2.0,
            "learning_rate": 0.02,
            "images_per_second": 9.0,
            "time": 2.0,
        },
        {
            "step": 20,
            "figures": {"AP": 0.125, "AP50": 0.5, "held-out patches": 30.0, "cross entropy": 0.75},
            "time": 2.5,
        },
    ]
    drawn = charts(history, 40, {"figure": "AP", "value": 0.125, "step": 20})
    assert [p["title"] for p in drawn["panels"]] == [
        "Loss",
        "Held-out images",
        "Whole loss",
        "Learning rate",
        "Images per second",
    ]
    assert [(s["name"], s["points"]) for s in panel(drawn, "Loss")["series"]] == [
        ("classification", [[10, 0.5], [20, 0.25]]),
        ("localization", [[10, 0.25]]),
        ("cross entropy", [[20, 0.75]]),
    ]
    judged = panel(drawn, "Held-out images")
    assert [(s["name"], s["points"], s["best"]) for s in judged["series"]] == [
        ("AP", [[20, 0.125]], [20, 0.125]),
        ("AP50", [[20, 0.5]], None),
    ]
    assert (judged["lo"], judged["hi"]) == (0, 1)  # a count of patches is no rate and stays out
    assert [s["name"] for s in panel(drawn, "Whole loss")["series"]] == ["loss", "regularization"]
    assert [p["span"] for p in drawn["panels"]] == [3, 3, 2, 2, 2]


def test_a_loss_without_parts_is_the_loss():
    drawn = charts(
        [{"step": 10, "loss": 0.5, "learning_rate": 0.01, "images_per_second": 8.0, "hard_negatives": 3}], 10
    )
    assert [s["name"] for s in panel(drawn, "Loss")["series"]] == ["loss"]
    assert [p["title"] for p in drawn["panels"]] == ["Loss", "Learning rate", "Images per second"]


def test_first_steps_that_tower_over_the_rest_are_cut_off():
    history = [{"step": 10 * i, "loss": 90.0 if i == 1 else 1.0} for i in range(1, 101)]
    assert panel(charts(history, 1000), "Loss")["hi"] == 1.15
    assert panel(charts(history[1:], 1000), "Loss")["hi"] is None


def test_a_long_line_is_thinned_to_means_and_keeps_its_end():
    points = [[float(i), 2.0 * i] for i in range(1001)]
    few = thinned(points, 11)
    assert len(few) == 11 and few[0] == [49.5, 99.0] and few[-1] == [1000.0, 2000.0]
    assert thinned(points[:11], 11) == points[:11] and thinned([], 11) == []
