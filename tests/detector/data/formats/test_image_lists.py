"""CVAT's XML and Create ML's JSON: boxes by hand, subsets, images elsewhere, what gives no box."""

import json

import numpy as np
import pytest
from PIL import Image

from detector import load_dataset
from detector.data.formats.coco import read_coco
from detector.errors import DataError


def image(path, size=(100, 80)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((size[1], size[0], 3), np.uint8)).save(path)


def cvat(path, body, labels=("van", "car")):
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = "".join(f"<label><name>{name}</name></label>" for name in labels)
    meta = f"<meta><task><labels>{listed}</labels></task></meta>"
    path.write_text(f'<?xml version="1.0"?>\n<annotations>\n{meta}\n{body}\n</annotations>\n')


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ('<box label="car" xtl="10" ytl="20.5" xbr="50" ybr="60"/>', [10, 20.5, 50, 60]),
        ('<box label="car" xtl="20" ytl="30" xbr="60" ybr="50" rotation="90"/>', [30, 20, 50, 60]),
        ('<polygon label="car" points="10,20;40.5,25;30,60"/>', [10, 20, 40.5, 60]),
        ('<ellipse label="car" cx="40" cy="30" rx="20" ry="10"/>', [20, 20, 60, 40]),
        ('<ellipse label="car" cx="40" cy="30" rx="20" ry="10" rotation="270"/>', [30, 10, 50, 50]),
    ],
)
def test_cvat_shapes_become_the_box_around_them(tmp_path, shape, box):
    image(tmp_path / "images" / "f.jpg")
    cvat(tmp_path / "annotations.xml", f'<image name="f.jpg" width="100" height="80">{shape}</image>')
    dataset = load_dataset(tmp_path)
    assert (dataset.format, dataset.class_map.names, dataset.problems) == ("cvat", ("van", "car"), ())
    np.testing.assert_allclose(dataset.objects.xyxy, [box], atol=1e-4)
    assert dataset.objects.class_ids.tolist() == [1]


def test_cvat_names_what_gives_no_box_and_what_it_does_not_list(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        image(tmp_path / "images" / name)
    cvat(
        tmp_path / "annotations.xml",
        '<image name="a.jpg">\n<points label="car" points="1,2"/>\n<box label="car" xtl="x" ytl="1" xbr="9"'
        ' ybr="9"/></image>',
    )
    dataset = load_dataset(tmp_path)
    found = {problem.kind: problem for problem in dataset.problems}
    assert set(found) == {"not a box", "malformed box", "no annotation"}
    assert (found["not a box"].line, found["malformed box"].line) == (5, 6)
    assert found["no annotation"].sample_id == "images/b.jpg" and dataset.labelled.tolist() == [True, False]


def test_cvat_subsets_may_use_one_name(tmp_path):
    body = ""
    for subset, size in (("Train", (100, 80)), ("Validation", (60, 40))):
        image(tmp_path / "images" / subset / "f.jpg", size)
        body += (
            f'<image name="f.jpg" subset="{subset}"><box label="car" xtl="1" ytl="2" xbr="9"'
            ' ybr="8"/></image>'
        )
    cvat(tmp_path / "annotations.xml", body)
    dataset = load_dataset(tmp_path)
    assert dataset.splits == ["train", "val"] and dataset.sizes.tolist() == [[100, 80], [60, 40]]
    assert dataset.sample_ids == ["f.jpg", "Validation/f.jpg"]


def test_cvat_file_by_name_with_images_elsewhere(tmp_path):
    image(tmp_path / "pics" / "deep" / "f.jpg")
    cvat(
        tmp_path / "x.xml",
        '<image name="D:\\in\\f.jpg"><box label="bus" xtl="1" ytl="2" xbr="9" ybr="8"/></image>',
    )
    dataset = load_dataset(tmp_path / "x.xml", images=tmp_path / "pics")
    assert (dataset.sample_ids, dataset.class_map.names) == (["f.jpg"], ("van", "car", "bus"))
    assert dataset.files == [str(tmp_path / "pics" / "deep" / "f.jpg")] and not dataset.problems


@pytest.mark.parametrize(
    ("body", "words"),
    [("<track id='0'/>", "CVAT for images"), ("<image name='a'>", "malformed")],
)
def test_cvat_that_cannot_be_read_says_why(tmp_path, body, words):
    image(tmp_path / "a.jpg")
    cvat(tmp_path / "annotations.xml", body)
    with pytest.raises(DataError, match=words):
        load_dataset(tmp_path)


def test_cvat_and_coco_of_the_same_images_agree(shared):
    folder = shared / "real" / "padilla_formats"
    if not folder.is_dir():
        pytest.skip("shared/real is not here")
    ours = load_dataset(folder / "cvat_format")
    coco = read_coco(folder / "coco_format_v1" / "instances_default.json")
    assert (len(ours), len(ours.objects)) == (100, 273)

    def boxes(dataset, names):
        objects = dataset.objects
        return sorted(
            (names[row], dataset.class_map.names[c], *box)
            for row, c, box in zip(
                objects.rows.tolist(), objects.class_ids.tolist(), objects.xyxy.round(1).tolist()
            )
        )

    by_name = [file.rsplit("/", 1)[-1] for file in coco.files]
    left, right = boxes(ours, ours.sample_ids), boxes(coco, by_name)
    assert [row[:2] for row in left] == [row[:2] for row in right]
    np.testing.assert_allclose([r[2:] for r in left], [r[2:] for r in right], atol=0.1)


def createml(path, entries):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entries, indent=2))


CENTRED = {"label": "plate", "coordinates": {"x": 30, "y": 40.5, "width": 20, "height": 11}}


@pytest.mark.parametrize("keys", [("image", "annotations"), ("imagefilename", "annotation")])
def test_createml_states_centres(tmp_path, keys):
    for name in ("a.jpg", "b.jpg"):
        image(tmp_path / name)
    entries = [{keys[0]: "a.jpg", keys[1]: [CENTRED]}, {keys[0]: "b.jpg", keys[1]: []}]
    createml(tmp_path / "_annotations.createml.json", entries)
    dataset = load_dataset(tmp_path)
    assert (dataset.format, dataset.labelled.tolist(), dataset.problems) == ("createml", [True, True], ())
    assert dataset.objects.xyxy.tolist() == [[20, 35, 40, 46]]


def test_createml_in_split_folders(tmp_path):
    for folder in ("train", "valid"):
        image(tmp_path / folder / "a.jpg")
        createml(
            tmp_path / folder / "_annotations.createml.json", [{"image": "a.jpg", "annotations": [CENTRED]}]
        )
    dataset = load_dataset(tmp_path)
    assert (dataset.sample_ids, dataset.splits) == (["train/a.jpg", "valid/a.jpg"], ["train", "val"])
    assert len(dataset.objects) == 2 and not dataset.problems


def test_createml_names_boxes_and_labels_that_are_lacking(tmp_path):
    image(tmp_path / "a.jpg")
    entries = [
        {"image": "a.jpg", "annotations": [{"label": "x", "coordinates": {"x": 1}}, {"coordinates": {}}]}
    ]
    createml(tmp_path / "a.json", entries)
    dataset = load_dataset(tmp_path)
    assert sorted(problem.kind for problem in dataset.problems) == ["malformed box", "unknown class"]
    assert len(dataset.objects) == 0


def test_createml_by_real_plates(shared):
    folder = shared / "real" / "roboflow_createml_plates"
    if not folder.is_dir():
        pytest.skip("shared/real is not here")
    dataset = load_dataset(folder)
    assert (len(dataset), len(dataset.objects), set(dataset.splits)) == (35, 112, {"test"})
    assert not dataset.problems
