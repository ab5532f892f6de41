"""The fixed copy: what it changes, what it leaves alone, that it reads back without the faults, and the
original untouched.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from analysis.datasets.doctor import diagnose
from analysis.datasets.duplicates import look_at_pictures
from analysis.datasets.findings import Settings
from analysis.datasets.fix import RECORD, fix, write_fixed
from detector import load_dataset
from detector.core import ClassMap
from detector.errors import InputError
from tests.analysis.dataset_builders import scene, table, write
from tests.analysis.datasets.test_duplicates import folder  # noqa: F401 (fixture)
from tests.detector.data.builders import voc_xml


@pytest.fixture
def broken(tmp_path):
    """A VOC set with one fault of each mechanical kind, and one that needs a person."""
    root = tmp_path / "voc"
    objects = {
        "a": [
            ("car", 5, 6, 40, 50),
            ("car", 5, 6, 40, 50),
            ("dog", 20, 20, 20, 20),
        ],  # a repeat, a box without area
        "b": [("Car", 5, 6, 400, 50)],  # another spelling, past the border
        "copy": [("car", 5, 6, 40, 50)],  # the picture and the objects of "kept"
        "kept": [("car", 5, 6, 40, 50)],
        "other": [("car", 7, 6, 40, 50)],  # the same picture as "odd", other objects
        "odd": [("dog", 7, 6, 40, 50)],
        "torn": [("dog", 1, 1, 30, 30)],
    }
    for k, (name, boxes) in enumerate(objects.items()):
        write(root / "JPEGImages" / f"{name}.jpg", scene(k, (90, 60)))
        voc_xml(root / "Annotations" / f"{name}.xml", boxes, (80, 60) if name == "b" else (90, 60))
    for a, b in (("kept", "copy"), ("other", "odd")):
        shutil.copyfile(root / "JPEGImages" / f"{a}.jpg", root / "JPEGImages" / f"{b}.jpg")
    torn = root / "JPEGImages" / "torn.jpg"
    torn.write_bytes(torn.read_bytes()[:900])
    for split, names in (("train", "a b copy other torn"), ("test", "kept odd")):
        path = root / "ImageSets" / "Main" / f"{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(names.split()))
    return root


def checked(path, **options):
    dataset = load_dataset(path)
    return dataset, diagnose(dataset, look=look_at_pictures(dataset), settings=Settings(rare=0), **options)


def everything(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("format", ["voc", "coco", "yolo", "csv"])
def test_the_copy_has_none_of_the_mechanical_faults(broken, tmp_path, format):
    before = everything(broken)
    dataset, found = checked(broken)
    changes = write_fixed(dataset, found, tmp_path / "out", format=format)
    assert everything(broken) == before
    copy, again = checked(tmp_path / "out")
    assert [f.kind for f in again.findings if f.fixable] == [], [f.sentence for f in again.findings]
    assert again.find("copies labelled differently").count == 1, "that needs a person"
    stems = sorted(Path(f).stem for f in copy.files)
    assert stems == ["a", "b", "kept", "odd", "other"] and copy.class_map.names == ("car", "dog")
    assert len(copy.objects) == 5
    record = json.loads((tmp_path / "out" / RECORD).read_text())
    assert record["images"] == {"before": 7, "after": 5} and record["objects"] == {"before": 8, "after": 5}
    assert len(record["changes"]) == len(changes) and "copies labelled differently" in [
        f["kind"] for f in record["left_to_a_person"]
    ]


def test_every_change_is_said_with_its_place(broken):
    dataset, found = checked(broken)
    _, changes = fix(dataset, found)
    said = sorted((c.kind, Path(c.path).name, c.line) for c in changes)
    assert said == [
        ("box past border", "b.xml", 4),
        ("copy", "copy.jpg", None),
        ("labelled twice", "a.xml", 12),
        ("similar class names", "voc", None),
        ("truncated image", "torn.jpg", None),
        ("wrong size", "b.xml", 3),
        ("zero-area box", "a.xml", 20),
    ]


def test_a_clean_data_set_is_written_as_it_is():
    dataset = table([(0, 0, 10, 10, 50, 60), (1, 1, 0, 0, 30, 99)], sizes=((200, 100), (120, 100)))
    fixed, changes = fix(dataset, diagnose(dataset))
    assert changes == [] and fixed.fingerprint == dataset.fingerprint


def test_the_label_map_decides_the_spelling():
    dataset = table(
        [(0, 0, 1, 1, 50, 60), (0, 1, 70, 5, 99, 60)], names=("stop_sign", "Dog"), sizes=((200, 100),)
    )
    labels = ClassMap(("dog", "stop sign"), (1, 2))
    fixed, changes = fix(dataset, diagnose(dataset, label_map=labels), label_map=labels)
    assert fixed.class_map.names == ("stop sign", "dog") and fixed.objects.class_ids.tolist() == [0, 1]
    assert [c.message for c in changes] == [
        "the class 'stop_sign' (1 objects) is now 'stop sign'.",
        "the class 'Dog' (1 objects) is now 'dog'.",
    ]


def test_what_cannot_be_written_is_refused(broken, tmp_path, folder):  # noqa: F811
    dataset, found = checked(broken)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    for out, words in (
        (tmp_path / "full", "holds something"),
        (broken / "fixed", "outside the data set"),
        (broken, "holds something"),
    ):
        with pytest.raises(InputError, match=words):
            write_fixed(dataset, found, out)
    with pytest.raises(InputError, match="coco, voc, yolo, csv"):
        write_fixed(dataset, found, tmp_path / "new", format="kitti")
    plain, nothing = checked(folder / "train")
    with pytest.raises(InputError, match="labelled"):
        write_fixed(plain, nothing, tmp_path / "new")
    assert not (tmp_path / "new").exists()
