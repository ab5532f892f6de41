"""plot_detections and render_detections: what is drawn, how, and that nothing given is changed."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.drawing.plots import plot_detections
from analysis.drawing.render import add_caption, crop, render_detections
from analysis.drawing.style import STROKES
from detector.core import Annotations, ClassMap, Detections
from detector.errors import InputError

SIZE = (300, 200)
NAMES = ClassMap(("car", "dog"))
TRUTH = Annotations(
    [[20, 40, 100, 100], [200, 120, 260, 180], [150, 20, 190, 60]], [0, 1, 0], SIZE, crowd=[0, 0, 1]
)
FOUND = Detections(
    [[22, 40, 100, 100], [20, 44, 98, 100], [120, 130, 160, 170], [155, 25, 185, 55], [200, 20, 280, 60]],
    [0.9, 0.8, 0.7, 0.6, 0.3],
    [0, 0, 1, 0, 1],
    SIZE,
)


def picture():
    return np.full((200, 300, 3), 120, np.uint8)


def drawn(ax):
    """side:verdict:row of every box on the axes, most important last."""
    return [p.get_gid() for p in ax.patches]


def labels(ax):
    return sorted(t.get_text() for t in ax.texts)


def test_an_empty_image():
    ax = plot_detections(picture(), Detections.empty(SIZE))
    assert drawn(ax) == [] and labels(ax) == []
    assert "0 predictions" in ax.get_xlabel() and "confidence ≥ 0.50" in ax.get_xlabel()


def test_verdicts_by_colour_and_line_and_mark():
    ax = plot_detections(picture(), FOUND, annotations=TRUTH, class_map=NAMES)
    assert set(drawn(ax)) == {
        "prediction:correct:0",
        "prediction:duplicate:1",
        "prediction:wrong:2",
        "prediction:ignored:3",
        "truth:found:0",
        "truth:missed:1",
        "truth:ignored:2",
    }
    looks = {p.get_gid(): p for p in ax.patches}
    from matplotlib.colors import to_hex

    assert to_hex(looks["prediction:correct:0"].get_edgecolor()).upper() == "#009E73"
    assert looks["prediction:correct:0"].get_linestyle() in ("solid", "-")
    assert to_hex(looks["truth:missed:1"].get_edgecolor()).upper() == "#CC79A7"
    assert looks["truth:missed:1"].get_linestyle() not in ("solid", "-")
    assert labels(ax) == sorted(["✓ car 0.90", "• car 0.80", "✗ dog 0.70", "• car 0.60", "○ dog"])
    assert "IoU ≥ 0.50" in ax.get_xlabel() and "○\u00a0missed" in ax.get_xlabel()


def test_without_truth_nothing_is_judged():
    ax = plot_detections(picture(), FOUND)
    assert {g.split(":")[1] for g in drawn(ax)} == {"unjudged"} and "class 1 0.70" in labels(ax)
    assert "IoU" not in ax.get_xlabel()


def test_threshold_and_what_lies_below():
    assert drawn(plot_detections(picture(), FOUND, 0.75)) == [
        "prediction:unjudged:1",
        "prediction:unjudged:0",
    ]
    below = plot_detections(picture(), FOUND, 0.75, show_below=True)
    assert "prediction:below:4" in drawn(below) and len(labels(below)) == 2
    per_class = plot_detections(picture(), FOUND, [0.85, 0.2])
    assert set(drawn(per_class)) == {
        "prediction:unjudged:0",
        "prediction:unjudged:2",
        "prediction:unjudged:4",
    }


@pytest.mark.parametrize("classes", [["dog"], "dog", [1], 1])
def test_class_filter_narrows_the_picture_not_the_verdicts(classes):
    ax = plot_detections(picture(), FOUND, classes=classes, annotations=TRUTH, class_map=NAMES)
    assert set(drawn(ax)) == {"prediction:wrong:2", "truth:missed:1"}


def test_the_caption_fits_a_narrow_picture():
    tall = Detections([[5, 10, 50, 60]], [0.9], [0], (60, 400))
    ax = plot_detections(
        np.full((400, 60, 3), 200, np.uint8),
        tall,
        annotations=Annotations([[5, 100, 50, 160]], [0], (60, 400)),
    )
    figure = ax.figure
    figure.canvas.draw()
    assert (
        ax.xaxis.label.get_window_extent().x1 <= figure.get_window_extent().width + 2
        and "COCO" in ax.get_xlabel()
    )


def test_an_axes_of_the_callers_own_and_inputs_untouched():
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    image = picture()
    ax = Figure().add_subplot()
    assert plot_detections(image, FOUND, annotations=TRUTH, ax=ax) is ax
    assert (image == 120).all()
    assert plot_detections(image[..., 0], FOUND).get_xlim() == (0, 300), "grey"


def test_bad_input_is_named():
    for call, words in (
        (lambda: plot_detections(np.zeros((5,)), FOUND), "expected an image"),
        (lambda: plot_detections(np.zeros((9, 9, 3), np.uint8), FOUND), "9x9, the detections"),
        (lambda: plot_detections(picture(), FOUND, classes=["dog"]), "names need class_map"),
        (lambda: plot_detections(picture(), FOUND, classes=["cat"], class_map=NAMES), "No class"),
        (lambda: render_detections(np.zeros((9, 9), np.uint8), FOUND), "RGB uint8"),
    ):
        with pytest.raises(InputError, match=words):
            call()


def has_colour(image, stroke, box):
    x1, y1, x2, y2 = box
    return (np.abs(image[y1:y2, x1:x2].astype(int) - stroke.rgb).max(axis=2) == 0).any()


def test_rendered_onto_an_array():
    image = picture()
    out = render_detections(image, FOUND, annotations=TRUTH, class_map=NAMES)
    assert out.shape == image.shape and out.dtype == np.uint8 and (image == 120).all()
    assert has_colour(out, STROKES["correct"], (18, 60, 30, 90)) and has_colour(
        out, STROKES["wrong"], (115, 140, 128, 165)
    )
    missed = (np.abs(out[125:175, 199:203].astype(int) - STROKES["missed"].rgb).max(axis=2) == 0).any(axis=1)
    assert 0.3 < missed.mean() < 0.9, "dashed: part of the line is drawn"
    right = (np.abs(out[60:95, 98:103].astype(int) - STROKES["correct"].rgb).max(axis=2) == 0).any(axis=1)
    assert right.all(), "solid"
    np.testing.assert_array_equal(out[185:, :80], 120)


def test_rendered_small_and_with_its_operating_point():
    small = render_detections(picture(), FOUND, annotations=TRUTH, side=90)
    assert small.shape == (60, 90, 3) and has_colour(small, STROKES["correct"], (4, 14, 10, 28))
    captioned = render_detections(picture(), FOUND, caption=True)
    assert captioned.shape[1] == 300 and captioned.shape[0] > 205 and captioned[200:].min() < 150
    nothing = render_detections(picture(), Detections.empty(SIZE))
    np.testing.assert_array_equal(nothing, picture())
    assert add_caption(picture(), "≥ ·").shape[1] == 300
    one, three = (add_caption(picture(), " ".join(["operating point"] * n)).shape for n in (1, 8))
    assert one[1] == three[1] == 300 and three[0] - picture().shape[0] > 2 * (
        one[0] - picture().shape[0] - 4
    ), "more lines, not smaller type"


def test_half_transparent_below_the_threshold():
    out = render_detections(picture(), FOUND, 0.75, show_below=True, labels=False)
    edge = out[40, 281 - 3 : 283].astype(int)
    assert (np.abs(edge - (120 + 138) / 2).max(axis=1) <= 1).any()


def test_crop():
    image = np.zeros((200, 300, 3), np.uint8)
    image[60:80, 100:140] = 255
    piece, box = crop(image, [100, 60, 140, 80], side=144)
    assert max(piece.shape[:2]) == 144
    x1, y1, x2, y2 = (round(v) for v in box)
    assert piece[(y1 + y2) // 2, (x1 + x2) // 2].min() == 255 and piece[y1 - 4, x1 - 4].max() == 0
    for odd in ([0, 0, 0, 0], [299, 199, 300, 200], [300, 200, 300, 200]):
        assert crop(image, odd)[0].size > 0


def test_classes_of_two_label_spaces_are_drawn_and_judged_by_name():
    """The detector's 1 is a dog, the data set's 1 a stop sign: "wrong dog, missed stop sign" would be
    untrue.
    """
    detector, dataset = ClassMap(("airplane", "dog")), ClassMap(("dog", "stop sign", "aeroplane"))
    boxes = [[20, 40, 100, 100], [150, 20, 190, 60]]
    found = Detections(boxes, [0.9, 0.8], [1, 0], SIZE, class_map=detector)
    truth = Annotations(boxes, [0, 2], SIZE, class_map=dataset)
    ax = plot_detections(picture(), found, annotations=truth)
    assert sorted(drawn(ax)) == [
        "prediction:correct:0",
        "prediction:correct:1",
        "truth:found:0",
        "truth:found:1",
    ]
    assert [text.split(" ", 1)[1] for text in labels(ax)] == ["aeroplane 0.80", "dog 0.90"]
    for name in ("airplane", "aeroplane"):  # either side's name chooses it
        chosen = drawn(plot_detections(picture(), found, annotations=truth, classes=name))
        assert chosen == ["truth:found:1", "prediction:correct:1"]
    kept = plot_detections(picture(), found, [0.75, 0.85], annotations=truth)  # in the detector's order
    assert sorted(drawn(kept)) == sorted(drawn(ax))
    fewer = drawn(plot_detections(picture(), found, [0.85, 0.75], annotations=truth))
    assert "prediction:correct:0" in fewer and "truth:missed:1" in fewer and len(fewer) == 3


DOLLARS = ClassMap(("$x_$", "A$ and US$ note"))


def test_dollar_signs_in_class_names_are_dollar_signs():
    ax = plot_detections(picture(), FOUND, annotations=TRUTH, class_map=DOLLARS)
    assert any("$x_$ 0.90" in text for text in labels(ax))
    ax.figure.draw_without_rendering()  # mathematics would be parsed here, and "$x_$" is none


def test_charts_of_a_report_take_any_class_name():
    from analysis.drawing.fonts import families
    from analysis.mistakes.confusion import Confusions
    from analysis.report.charts import plot_confusion
    from analysis.report.figures import vector
    from tests.analysis.builders import make_run

    names = ("$x_$", "鸭子", "A$ and US$ note")
    box = (10, 10, 30, 40)
    run = make_run(
        [(0, *box, 0.9, 0), (0, *box, 0.8, 1)], [(0, *box, 1), (0, 50, 50, 60, 70, 2)], names=names
    )
    svg = str(vector(plot_confusion(Confusions(run).at(0.5), names, "note", most=9), "Confusion matrix"))
    assert all(name in svg for name in names), "letters stay text, so that the browser finds a font for them"
    assert "DejaVu Sans" in families()


def test_letters_that_opencv_lacks_are_drawn():
    """A label of accented letters is as dark as one without; OpenCV's font would draw question marks."""
    plain, accented = ClassMap(("peche", "dog")), ClassMap(("pêché", "dog"))
    images = [render_detections(picture(), FOUND[:1], class_map=names) for names in (plain, accented)]
    assert images[0].shape == images[1].shape and (images[0] != images[1]).any()
    asked = render_detections(picture(), FOUND[:1], class_map=ClassMap(("p?ch?", "dog")))
    assert (images[1] != asked).any()
