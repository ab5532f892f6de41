"""Groups, Labels, Guarantee and the intervals of Compare, on a run large enough to learn from: pages and
commands.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from app import cli
from tests.app.conftest import component, no_trouble

IMAGES = 70


def store(folder: Path, dataset, floor=0.01, miss=0.1, seed=0) -> Path:
    """A detector that finds nine in ten objects, but few of the wide dogs, and doubts the name of object
    4.
    """
    from analysis.runs.store import RunWriter, create_run
    from detector.core import ClassMap, Detections, DetectorInfo

    rng = np.random.default_rng(seed)
    classes = ClassMap(("cat", "dog"))
    create_run(
        folder, dataset, DetectorInfo(folder.name, "test", classes, weights_hash=folder.name), floor=floor
    )
    with RunWriter(folder) as writer:
        for i in range(IMAGES):
            truth = dataset.annotations(i)
            boxes, scores, kinds = [], [], []
            for box, k in zip(truth.xyxy, truth.class_ids):
                wide = box[2] - box[0] > 1.6 * (box[3] - box[1])
                if rng.random() < (0.9 if wide and k == 1 else miss):
                    continue
                boxes.append(np.clip(box + rng.normal(0, 0.7, 4), 0, (120, 60, 120, 60)))
                scores.append(rng.uniform(0.55, 0.99))
                kinds.append(1 - k if i == 2 and box[0] < 10 else k)
            writer.add(i, Detections(np.array(boxes).reshape(-1, 4), scores, kinds, (120, 60)))
        writer.finish("done")
    return folder


@pytest.fixture
def larger(boxscope_home: Path) -> Path:
    """The runs "one" and "two" over 70 pictures with three objects each; "two" misses more."""
    from detector import load_dataset

    folder = boxscope_home / "many"
    folder.mkdir()
    rng = np.random.default_rng(3)
    images, annotations = [], []
    for i in range(IMAGES):
        Image.fromarray(rng.integers(0, 255, (60, 120, 3), np.uint8)).save(folder / f"{i:03}.png")
        images.append({"id": i + 1, "file_name": f"{i:03}.png", "width": 120, "height": 60})
        for n in range(3):
            w, h = (30, 12) if rng.random() < 0.5 else (16, 20)
            box = [5 + 38 * n, int(rng.integers(2, 38)), w, h]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": i + 1,
                    "category_id": int(rng.integers(1, 3)),
                    "bbox": box,
                    "area": w * h,
                    "iscrowd": 0,
                }
            )
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(content))
    dataset = load_dataset(folder / "instances.json")
    store(boxscope_home / "runs" / "two", dataset, miss=0.45, seed=1)
    return store(boxscope_home / "runs" / "one", dataset)


def boxscope(*arguments: object) -> str:
    result = CliRunner().invoke(cli.app, [str(a) for a in arguments])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def text_of(at) -> str:
    return "\n".join(str(e.value) for e in (*at.markdown, *at.caption))


def test_groups_are_named_and_open_their_missed_objects(app, larger):
    at = app("views/groups/page.py", run="one")
    no_trouble(at)
    assert "Most is lost in **wide, dog**" in text_of(at) or "Most is lost in **dog, wide**" in text_of(at)
    crops = component(at, "crops")["crops"]
    assert len(crops) > 10 and all(c["name"] == "dog" for c in crops)
    found = json.loads(boxscope("groups", larger, "--json", "--pixels"))
    assert set(found["groups"][0]["words"]) == {"wide", "dog"}
    assert (larger / "object_pixels.npz").is_file()
    assert "against" in boxscope("groups", larger)


def test_a_suspect_label_is_reviewed_and_the_decision_kept(app, larger):
    out = json.loads(boxscope("suspects", larger, "--json"))
    renamed = next(s for s in out["suspects"] if s["kind"] == "wrong name")
    assert renamed["object"] == 6 and renamed["decision"] is None
    at = app("views/labels/page.py", run="one")
    no_trouble(at)
    assert "nothing decided yet" in text_of(at)
    button = next(b for b in at.button if b.key == f"label wrong-{renamed['key']}")
    button.click().run()
    no_trouble(at)
    assert "1 of 1 decided were wrong labels" in text_of(at)
    kept = json.loads((larger / "suspects.json").read_text())["decisions"]
    assert kept[renamed["key"]]["decision"] == "label wrong"
    out = json.loads(boxscope("suspects", larger, "--json", "--kind", "wrong name"))
    assert out["suspects"][0]["key"] == renamed["key"] and out["suspects"][0]["decision"] == "label wrong"
    assert out["precision"]["wrong"] == 1


def test_decisions_of_a_queue_come_home_by_the_command(larger, tmp_path):
    queue = tmp_path / "queue.csv"
    boxscope("suspects", larger, "--queue", queue)
    lines = queue.read_text().splitlines()
    key = lines[1].split(",")[0]
    queue.write_text(f"key,decision\n{key},unsure\nno such key,unsure\n")
    boxscope("suspects", larger, "--decisions", queue)
    assert json.loads((larger / "suspects.json").read_text())["decisions"][key]["decision"] == "unsure"


def test_a_guarantee_is_shown_and_saved(app, larger, boxscope_home):
    at = app("views/thresholds/page.py", run="one", measure="Guarantee")
    no_trouble(at)
    assert "with confidence 90%" in text_of(at) and "Assumes: New images" in text_of(at)
    next(b for b in at.button if b.label == "Save with its certificate").click().run()
    no_trouble(at)
    [saved] = (boxscope_home / "thresholds").glob("*.yaml")
    assert "certificate:" in saved.read_text()
    assert "certificate (recall" in boxscope("evaluate", larger, "--thresholds", saved)


def test_compare_says_whether_the_other_run_is_really_worse(app, larger):
    at = app("views/compare/page.py", run="one", against="Another run", other="two")
    no_trouble(at)
    assert "**recall worse**" in text_of(at)
    same = app("views/compare/page.py", run="one", against="Another threshold", conf_after="0.51")
    no_trouble(same)
    assert "No evidence on 70 images" in text_of(same)
    table = boxscope("compare", larger, larger.parent / "two", larger).splitlines()
    assert len(table) == 3 and sum("in front" in line for line in table) == 1
