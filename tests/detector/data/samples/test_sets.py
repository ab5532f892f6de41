"""Named sample sets: their size is said, nothing is fetched unasked, and no network is one clear sentence."""

from __future__ import annotations

import pytest

from detector.data import load_dataset
from detector.data.samples import sets as sample_sets
from detector.errors import ConfigError, DataError, DownloadError, InputError
from tests.detector.data.builders import coco_json, picture


def fake_zoo(monkeypatch, body: str) -> None:
    monkeypatch.setattr(
        sample_sets,
        "_CHILD",
        "import json, os, sys\nname, options = sys.argv[1], json.loads(sys.argv[2])\nroot ="
        " os.environ['FIFTYONE_DATASET_ZOO_DIR']\n" + body,
    )


def test_every_set_says_its_size_and_where_a_copy_goes():
    for entry in sample_sets.list_sample_sets():
        assert entry.size and entry.title
        if entry.zoo:
            assert entry.by_hand and entry.splits
            with pytest.raises(DataError) as caught:
                load_dataset(entry.name)
            assert (
                entry.size in caught.value.message
                and str(sample_sets.sample_set_folder(entry)) in caught.value.message
            )


def test_a_copy_put_there_by_hand_is_read(tmp_path):
    entry = sample_sets.find_sample_set("coco-2017-val")
    folder = sample_sets.sample_set_folder(entry)
    picture(folder / "val2017" / "a.jpg", 40, 30)
    coco_json(
        folder / "annotations" / "instances_val2017.json",
        [{"id": 1, "file_name": "a.jpg", "width": 40, "height": 30}],
        [],
    )
    assert (
        load_dataset("coco-2017-val").name == "coco-2017-val"
        and len(load_dataset(sample_sets.fetch_sample_set("coco-2017-val"))) == 1
    )


def test_a_download_is_asked_for_in_part_and_only_kept_whole(monkeypatch, tmp_path):
    source = coco_json(
        tmp_path / "labels.json", [{"id": 1, "file_name": "a.jpg", "width": 40, "height": 30}], []
    )
    image = picture(tmp_path / "a.jpg", 40, 30)
    fake_zoo(
        monkeypatch,
        f"""
import shutil
assert name == 'coco-2017', name
wanted = {{'splits': ['validation'], 'label_types': ['detections'], 'classes': ['person'], 'max_samples': 5}}
assert options == wanted, options
folder = os.path.join(root, name, 'validation')
os.makedirs(os.path.join(folder, 'data'))
shutil.copy({str(source)!r}, folder); shutil.copy({str(image)!r}, os.path.join(folder, 'data'))
print('Downloading 1 image')
""",
    )
    said = []
    fetched = sample_sets.fetch_sample_set("coco-2017-val", classes=["person"], count=5, progress=said.append)
    dataset = load_dataset(fetched)
    assert (
        len(dataset) == 1
        and dataset.problems == ()
        and dataset.splits == ["val"]
        and dataset[0].load().shape == (30, 40, 3)
    )
    fake_zoo(monkeypatch, "raise SystemExit('asked twice')")
    assert sample_sets.fetch_sample_set("coco-2017-val", classes=["person"], count=5) == fetched


def test_no_network_names_the_place_for_a_copy_and_leaves_nothing_half(monkeypatch):
    fake_zoo(monkeypatch, "print('Name or service not known'); raise SystemExit(1)")
    with pytest.raises(
        DownloadError,
        match=(
            "the network could not be reached.*needs torchvision.*put a copy into .*voc-2012 by hand.*demo"
            " and your own pictures work"
        ),
    ) as caught:
        sample_sets.fetch_sample_set("voc-2012")
    assert "\n" not in caught.value.message
    assert not sample_sets.sample_set_folder(sample_sets.find_sample_set("voc-2012")).exists()


def test_a_download_can_be_stopped(monkeypatch):
    fake_zoo(monkeypatch, "import time; time.sleep(60)")
    with pytest.raises(DownloadError, match="stopped"):
        sample_sets.fetch_sample_set("voc-2007", should_stop=lambda: True)


def test_wrong_questions(tmp_path):
    with pytest.raises(InputError, match="known are demo"):
        sample_sets.fetch_sample_set("imagenet")
    with pytest.raises(InputError, match="in part"):
        sample_sets.fetch_sample_set("voc-2007", count=5)
    bad = tmp_path / "sets.yaml"
    bad.write_text("x: {title: a, size: b, sise: c}\n")
    with pytest.raises(ConfigError, match="sise"):
        sample_sets.list_sample_sets(bad)
