"""A tiny labelled data set and a stored run over it, with counts worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detector.paths import ROOT

APP = ROOT / "app" / "streamlit_app.py"
SIZES = {"a.png": (90, 60), "b.png": (60, 110), "c.png": (131, 77), "d.png": (50, 40)}
# file, class, x, y, width, height
OBJECTS = [
    ("a.png", "cat", 5, 5, 20, 30),
    ("a.png", "dog", 50, 10, 30, 40),
    ("b.png", "cat", 10, 20, 40, 40),
    ("c.png", "dog", 60, 20, 50, 50),
]
# image, class, box, score: a cat found, a dog found late (0.3), a false cat in b, the dog of c found twice,
# nothing in d
DETECTIONS = {
    0: [("cat", (5, 5, 25, 35), 0.9), ("dog", (50, 10, 80, 52), 0.3)],
    1: [("cat", (0, 80, 20, 110), 0.8), ("dog", (10, 20, 50, 60), 0.6)],
    2: [("dog", (60, 20, 110, 70), 0.7), ("dog", (61, 21, 110, 70), 0.55), ("cat", (0, 0, 9, 9), 0.05)],
    3: [],
}
# At confidence 0.5 and IoU 0.5: 4 objects, 2 correct (cat of a, dog of c), 3 wrong (both of b, the second dog
# of c), 2 missed.


@pytest.fixture
def pictures(boxscope_home: Path) -> Path:
    """A COCO folder inside the data directory: four pictures of different, uneven sizes."""
    folder = boxscope_home / "pictures"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(7)
    names = list(SIZES)
    for name, (width, height) in SIZES.items():
        Image.fromarray(rng.integers(0, 255, (height, width, 3), np.uint8)).save(folder / "images" / name)
    classes = ["cat", "dog"]
    content = {
        "images": [
            {"id": i + 1, "file_name": f"images/{n}", "width": SIZES[n][0], "height": SIZES[n][1]}
            for i, n in enumerate(names)
        ],
        "categories": [{"id": i + 1, "name": c} for i, c in enumerate(classes)],
        "annotations": [
            {
                "id": k + 1,
                "image_id": names.index(n) + 1,
                "category_id": classes.index(c) + 1,
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": 0,
            }
            for k, (n, c, *box) in enumerate(OBJECTS)
        ],
    }
    (folder / "instances.json").write_text(json.dumps(content))
    return folder


def write_run(dataset, folder: Path, name: str = "hand-made") -> Path:
    from analysis.runs.store import RunWriter, create_run
    from detector.core import ClassMap, Detections, DetectorInfo

    classes = ClassMap(("cat", "dog"))
    create_run(
        folder, dataset, DetectorInfo(name, "test", classes, weights_hash=name.ljust(8, "0")), floor=0.01
    )
    with RunWriter(folder) as writer:
        for i, found in DETECTIONS.items():
            size = list(SIZES.values())[i]
            writer.add(
                i,
                Detections(
                    [b for _, b, _ in found],
                    [s for *_, s in found],
                    [classes.index(c) for c, *_ in found],
                    size,
                ),
            )
        writer.finish("done")
    return folder


@pytest.fixture
def tiny_run(pictures: Path, boxscope_home: Path) -> Path:
    """The run "tiny" under the data directory."""
    from detector import load_dataset

    return write_run(load_dataset(pictures / "instances.json"), boxscope_home / "runs" / "tiny")


@pytest.fixture
def app():
    """Start the app on a page: app("views/image/page.py", conf="0.25") -> AppTest, run once."""
    from streamlit.testing.v1 import AppTest

    def start(page: str | None = None, **query):
        at = AppTest.from_file(str(APP), default_timeout=60)
        for key, value in query.items():
            at.query_params[key] = value
        at.run()
        return at.switch_page(page).run() if page else at

    return start


def component(at, name: str) -> dict:
    """What a component of the page was given."""
    found = [e for e in at.main if getattr(e, "type", "") == "bidi_component"] or list(
        at.get("bidi_component")
    )
    for element in found:
        if element.proto.component_name == f"boxscope_{name}":
            data = json.loads(element.proto.json)
            if name == "grid":
                data["tiles"] = [json.loads(text) for text in data["tiles"]]
            return data
    raise AssertionError(f"no component {name} on the page; it has {[e.proto.component_name for e in found]}")


def no_trouble(at) -> None:
    assert not at.exception, [e.value for e in at.exception]
    assert not at.error, [e.value for e in at.error]
