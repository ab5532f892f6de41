"""convert and split as commands."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from app import cli
from app.commands.convert import parse_parts
from detector.data import load_dataset
from detector.data.label_map import read_label_map
from detector.errors import InputError
from tests.detector.data.builders import picture, voc_xml


def boxscope(*words) -> str:
    result = CliRunner().invoke(cli.app, [str(w) for w in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def voc(tmp_path):
    for i in range(10):
        picture(tmp_path / "voc" / "JPEGImages" / f"{i}.jpg", 40, 30 + i)
        voc_xml(
            tmp_path / "voc" / "Annotations" / f"{i}.xml",
            [("car" if i % 2 else "cat", 2, 3, 20, 21)],
            size=(40, 30 + i),
        )
    return tmp_path / "voc"


def test_every_format_and_back_with_its_label_map(voc, tmp_path):
    before = voc
    for to in ("tfrecord", "yolo", "csv", "coco", "voc", "tfrecord"):
        after = tmp_path / f"as-{to}-{before.name}"
        boxscope("convert", before, after, "--to", to)
        assert read_label_map(after / "label_map.pbtxt").names == ("car", "cat")
        back = load_dataset(after)
        assert (
            back.format == to
            and len(back) == 10
            and len(back.objects) == 10
            and back.class_map.names == ("car", "cat")
        )
        assert sorted(map(tuple, back.objects.xyxy.tolist())) == [(1, 2, 20, 21)] * 10, to
        before = after


def test_split_writes_a_file_that_every_command_takes(voc, tmp_path):
    out = tmp_path / "s.json"
    text = boxscope("split", voc, "--fractions", "train=.6,val=.2,test=.2", "--seed", 4, "--out", out)
    assert "car" in text and str(out) in text
    told = json.loads(
        boxscope(
            "split",
            voc,
            "--fractions",
            "train=.6,val=.2,test=.2",
            "--seed",
            4,
            "--out",
            tmp_path / "t.json",
            "--json",
        )
    )
    assert (
        told["counts"] == {"train": 6, "val": 2, "test": 2}
        and told["pictures_by_class"]["car"] == {"train": 3, "val": 1, "test": 1}
        and told["unused"] == 0
    )
    assert out.read_text() == (tmp_path / "t.json").read_text()
    boxscope("convert", out, tmp_path / "test", "--to", "coco", "--only", "test")
    assert len(load_dataset(tmp_path / "test")) == 2
    boxscope("convert", out, tmp_path / "records", "--to", "tfrecord", "--shards", 2)
    assert {p.name for p in (tmp_path / "records").iterdir()} == {
        f"{s}.record-0000{k}-of-00002" for s in ("train", "val", "test") for k in (0, 1)
    } | {"label_map.pbtxt"}
    exact = json.loads(boxscope("split", voc, "--counts", "train=5,val=3", "--out", out, "--json"))
    assert exact["counts"] == {"train": 5, "val": 3} and exact["unused"] == 2
    divided = json.loads(
        boxscope(
            "split",
            out,
            "--within",
            "train",
            "--counts",
            "train=4,val=1",
            "--out",
            tmp_path / "u.json",
            "--json",
        )
    )
    assert divided["counts"] == {"train": 4, "val": 4}


def test_convert_divides_and_writes_it_down(voc, tmp_path):
    boxscope("convert", voc, tmp_path / "out", "--to", "yolo", "--split", "train=.7,val=.3", "--seed", 1)
    back, noted = load_dataset(tmp_path / "out"), load_dataset(tmp_path / "out" / "splits.json")
    assert back.splits.count("train") == 7 and noted.format == "voc" and noted.splits.count("val") == 3
    parts = {sample.path.name: sample.split for sample in noted}
    assert {sample.path.name: sample.split for sample in back} == parts


def test_classes_alone_reach_the_files(voc, tmp_path):
    boxscope("convert", voc, tmp_path / "out", "--to", "csv", "--boxes", "ignore")
    assert load_dataset(tmp_path / "out").objects.xyxy[0].tolist() == [0, 0, 40, 30]


def test_a_label_map_decides_classes_and_ids(voc, tmp_path):
    wanted = tmp_path / "wanted.pbtxt"
    wanted.write_text("item { id: 5 name: 'cat' }\nitem { id: 9 name: 'bus' }\nitem { id: 11 name: 'car' }\n")
    for to in ("coco", "voc", "yolo", "csv", "tfrecord"):
        boxscope("convert", voc, tmp_path / "as" / to, "--to", to, "--label-map", wanted)
        classes = load_dataset(tmp_path / "as" / to).class_map
        assert dict(zip(classes.names, classes.external_ids)) == {"cat": 5, "bus": 9, "car": 11}, to
    wanted.write_text("item { id: 5 name: 'cat' }\n")
    odd = load_dataset(voc, label_map=wanted)
    assert odd.class_map.external_ids == (5, 6) and [p.kind for p in odd.problems] == [
        "class not in the label map"
    ]


@pytest.mark.parametrize(
    "words, why",
    [
        (("convert", "--to", "xml"), "--to"),
        (("convert", "--to", "coco", "--shards", "2"), "shards"),
        (("convert", "--to", "coco", "--within", "train"), "--within"),
        (("split", "--fractions", "train=.5", "--counts", "train=5"), "one of the two"),
        (("split", "--counts", "train=.5"), "whole numbers"),
        (("split", "--fractions", "train"), "distinct names"),
    ],
)
def test_what_is_refused(voc, tmp_path, words, why):
    command, *rest = words
    places = (voc, tmp_path / "out") if command == "convert" else (voc, "--out", tmp_path / "s.json")
    with pytest.raises(InputError, match=why):
        boxscope(command, *places, *rest)


def test_convert_never_writes_into_a_folder_with_something_in_it(voc):
    with pytest.raises(InputError, match="empty folder"):
        boxscope("convert", voc, voc, "--to", "coco")


def test_parts():
    assert parse_parts("train=.8, val=0.2") == {"train": 0.8, "val": 0.2} and parse_parts("a=3,b=4") == {
        "a": 3,
        "b": 4,
    }
    for bad in ("", "a", "a=", "a=x", "a=.1,a=.2"):
        with pytest.raises(InputError):
            parse_parts(bad)
