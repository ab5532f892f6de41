import dataclasses
import json
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import detector.models
from detector import catalogue, download, load_detector, opening
from detector.catalogue import list_catalogue
from detector.core import ClassMap, Detections, DetectorInfo
from detector.errors import CapabilityError, ConfigError, DownloadError, InputError, ModelError
from detector.models.fake import FakeDetector
from detector.opening import recognise
from detector.paths import ROOT, data_dir
from tests.detector.builders import small_dataset
from tests.detector.models.tflite_builder import build
from tests.detector.test_archive import tar

ZOO = ("ssd_mobilenet_v2", "ssd_mobilenet_v2_fpnlite_320x320", "retinanet_resnet50_v1_fpn_640x640")


def test_the_built_in_names():
    entries = {entry.name: entry for entry in list_catalogue()}
    assert set(ZOO) | {"demo"} <= set(entries)
    assert entries["ssd_mobilenet_v2"].source == "https://tfhub.dev/tensorflow/ssd_mobilenet_v2/2"
    for name in ZOO:
        assert (
            entries[name].sources[-1].startswith("http://download.tensorflow.org/")
            and not entries[name].on_this_machine
        )
    assert entries["demo"].on_this_machine
    assert json.loads(json.dumps(entries["demo"].to_dict()))["title"] == "Demo detector (drawn scenes)"


def test_a_built_in_catalogue_that_is_missing_or_broken_is_an_error(tmp_path, monkeypatch):
    missing = tmp_path / "catalogue.yaml"
    monkeypatch.setattr(catalogue, "BUILT_IN", missing)
    with pytest.raises(ConfigError, match=r"catalogue\.yaml.*expected a YAML file: there is no such file"):
        list_catalogue()
    missing.write_text("detectors: [demo]\n")
    with pytest.raises(ConfigError, match=r"catalogue\.yaml:1"):
        list_catalogue()


def test_a_detector_made_by_a_recipe_says_how_until_it_is_there():
    entry = {entry.name: entry for entry in list_catalogue()}["uiuc_cars"]
    assert (
        entry.source == str(data_dir("models") / "uiuc_cars")
        and Path(entry.recipe).is_file()
        and not entry.on_this_machine
    )
    with pytest.raises(
        ModelError,
        match=r"has not been yet: boxscope train .*uiuc_cars\.yaml --data PATH puts it in .*uiuc_cars\.",
    ):
        load_detector("uiuc_cars")
    (data_dir("models", "uiuc_cars") / "detector.json").write_text('{"kind": "boxscope sliding window"}')
    assert recognise(Path(entry.source)) == "sliding_window"
    with pytest.raises(ModelError, match="schema 1"):
        load_detector("uiuc_cars")


def test_importing_it_imports_no_network_library():
    code = (
        "import sys, detector.catalogue as c; c.list_catalogue(); from detector import load_detector\ntry:"
        " load_detector('ssd_mobilnet')\nexcept Exception as e: print(e)\nprint([m for m in ('tensorflow',"
        " 'keras', 'ai_edge_litert', 'tensorflow_hub', 'fiftyone', 'streamlit') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    lines = done.stdout.strip().splitlines()
    assert "did you mean ssd_mobilenet_v2" in lines[0] and lines[1] == "[]"


def test_a_relative_path_is_kept_as_an_absolute_one(tmp_path, monkeypatch):
    """Whoever opens the run stands elsewhere."""
    build(tmp_path / "cars.tflite")
    monkeypatch.chdir(tmp_path)
    found = load_detector("cars.tflite")
    assert found.info.source == str(tmp_path / "cars.tflite")
    monkeypatch.chdir("/")
    assert load_detector(found.info.source).info.weights_hash == found.info.weights_hash


def test_users_add_and_replace_entries(tmp_path, monkeypatch):
    build(tmp_path / "cars.tflite")
    (tmp_path / "names.txt").write_text("r\ng\nb\n")
    (data_dir() / "catalogue.yaml").write_text(
        "detectors:\n  ssd_mobilenet_v2: {title: Mine, sources: [/somewhere/else]}\n"
    )
    extra = tmp_path / "more.yaml"
    extra.write_text(
        "detectors:\n  cars:\n    title: My cars\n    sources: [cars.tflite]\n    labels: names.txt\n   "
        " options: {num_threads: 1}\n"
    )
    monkeypatch.setenv("BOXSCOPE_CATALOGUE", str(extra))
    entries = {entry.name: entry for entry in list_catalogue()}
    assert entries["ssd_mobilenet_v2"].title == "Mine" and len(entries) == 6
    assert entries["cars"].sources == (str(tmp_path / "cars.tflite"),) and entries["cars"].on_this_machine
    loaded = load_detector("cars")
    assert (loaded.info.name, loaded.info.class_map.names) == ("My cars", ("r", "g", "b"))
    assert load_detector("cars", labels=["x", "y", "z"]).info.class_map.names == ("x", "y", "z")
    with pytest.raises(ModelError, match="'Mine' names this file, which does not exist"):
        load_detector("ssd_mobilenet_v2")


def test_a_catalogue_with_a_fault_says_where(tmp_path, monkeypatch):
    bad = tmp_path / "bad.yaml"
    bad.write_text("detectors:\n  a:\n    title: A\n    sorces: [x]\n")
    monkeypatch.setenv("BOXSCOPE_CATALOGUE", str(bad))
    with pytest.raises(ConfigError, match="bad.yaml:4.*did you mean 'sources'"):
        list_catalogue()
    bad.write_text("detectors:\n  a:\n    title: A\n")
    with pytest.raises(ConfigError, match="sources, builtin, recipe and python"):
        list_catalogue()
    monkeypatch.setenv("BOXSCOPE_CATALOGUE", str(tmp_path / "none.yaml"))
    with pytest.raises(ConfigError, match="BOXSCOPE_CATALOGUE"):
        list_catalogue()


def test_without_a_network_it_says_what_where_and_what_else(monkeypatch):
    def refused(url, **options):
        raise download._failure(url, f"{url.split('/')[2]} cannot be reached")

    monkeypatch.setattr(download, "fetch", refused)
    with pytest.raises(DownloadError) as caught:
        load_detector("ssd_mobilenet_v2")
    said = str(caught.value)
    entry = {e.name: e for e in list_catalogue()}["ssd_mobilenet_v2"]
    assert said.startswith(
        "SSD MobileNetV2 (COCO) could not be fetched: tfhub.dev cannot be reached; www.kaggle.com cannot be"
        " reached; download"
    )
    assert f"(saved_model.pb and variables/) into {download.place_of(entry.sources[0])}, or" in said
    archive = download.place_of(entry.sources[2])
    assert f"put {archive.name} into {archive.parent}. Meanwhile the demo" in said


def test_a_copy_on_this_machine_is_taken_before_the_network(monkeypatch, tmp_path):
    """The third source, put by hand, is used without asking the first."""
    asked = []
    monkeypatch.setattr(download, "_transfer", lambda *a: asked.append(a))
    archive = download.place_of({e.name: e for e in list_catalogue()}["ssd_mobilenet_v2"].sources[-1])
    archive.parent.mkdir(parents=True)
    tar(archive, {"net/saved_model/saved_model.pb": b"x"})
    given = []

    def adapter(folder, request):
        given.append((folder, request))
        return types.SimpleNamespace(info=DetectorInfo("net", "stub", request.classes, "0" * 16))

    monkeypatch.setattr(opening, "_load_saved_model", adapter)
    detector = load_detector("ssd_mobilenet_v2")
    [(folder, request)] = given
    assert (folder / "saved_model" / "saved_model.pb").is_file() and request.name == "SSD MobileNetV2 (COCO)"
    assert len(request.classes) == 80 and asked == []
    assert request.source.endswith("ssd_mobilenet_v2_320x320_coco17_tpu-8.tar.gz")
    classes = detector.info.loaded_with["classes"]  # the address alone would not say whose classes they are
    assert ClassMap(tuple(classes["names"]), tuple(classes["external_ids"])) == request.classes


def test_unknown_names_and_paths():
    with pytest.raises(InputError, match="did you mean ssd_mobilenet_v2"):
        load_detector("ssd_mobilenet")
    with pytest.raises(InputError, match="known are demo"):
        load_detector("zzz")
    with pytest.raises(InputError, match="there is no such file or folder"):
        load_detector("models/none.tflite")


def test_what_lies_at_a_path(tmp_path):
    def make(*names):
        folder = tmp_path / f"f{len(list(tmp_path.iterdir()))}"
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(b"")
        return folder

    assert recognise(make("saved_model.pb")) == "saved_model"
    assert recognise(make("export/../saved_model/saved_model.pb")) == "saved_model"
    assert (
        recognise(make("pipeline.config", "checkpoint/ckpt-0.index", "saved_model/saved_model.pb")) == "zoo"
    )
    assert recognise(make("recipe.yaml", "detector.json", "weights.npz", "label_map.pbtxt")) == "trained"
    assert recognise(make("detect.tflite", "labelmap.txt")) == "tflite"
    for name, kind in {
        "a.tflite": "tflite",
        "a.TAR.GZ": "archive",
        "a.zip": "archive",
        "a.json": "results",
        "a.onnx": "onnx",
    }.items():
        assert recognise(make(name) / name) == kind
    for name, said in {
        "a.pt": "yolo export model=a.pt",
        "a.mlmodel": "Core ML",
        "a.xml": "OpenVINO",
        "a.keras": "Keras",
        "frozen.pb": "frozen",
        "a.xyz": "of no kind",
        "saved_model.pb": "give its folder",
    }.items():
        with pytest.raises(ModelError, match=said):
            recognise(make(name) / name)
    with pytest.raises(ModelError, match="found notes.txt"):
        recognise(make("notes.txt"))


def test_archives_of_each_kind_are_unpacked(tmp_path):
    tflite = build(tmp_path / "cells.tflite").read_bytes()
    archive = tar(
        tmp_path / "phone.tar.gz", {"phone/detect.tflite": tflite, "phone/labelmap.txt": b"???\nr\ng\nb\n"}
    )
    loaded = load_detector(archive)
    assert (loaded.info.name, loaded.info.class_map.names, loaded.info.source) == (
        "phone",
        ("r", "g", "b"),
        str(archive),
    )


def test_results_need_their_data_set(tmp_path):
    path = tmp_path / "r.json"
    path.write_text(json.dumps([{"image_id": "s0", "category_id": 3, "bbox": [1, 2, 3, 4], "score": 0.5}]))
    with pytest.raises(InputError, match="the data set it was made on"):
        load_detector(path)
    assert len(load_detector(path, dataset=small_dataset()).detect_samples(["s0"])[0]) == 1


def test_fake_on_a_given_data_set():
    loaded = load_detector("fake:", dataset=small_dataset(), seed=3)
    assert isinstance(loaded, FakeDetector) and loaded.seed == 3 and loaded.info.simulated
    with pytest.raises(InputError, match="fake:PATH"):
        load_detector("fake:")


def test_an_option_the_kind_lacks(tmp_path):
    with pytest.raises(InputError, match="no option 'threads'; it takes .*num_threads"):
        load_detector(build(tmp_path / "m.tflite"), threads=2)


@dataclasses.dataclass
class White:
    info: DetectorInfo
    folder: Path
    options: dict


def white(folder, *, name=None, source=None, labels=None, classes=None):
    options = {"labels": labels, "name": name}
    return White(DetectorInfo("white", "keras_ssd", ClassMap(("a",)), "ab" * 32), Path(folder), options)


def install(monkeypatch, **functions):
    """Stands in for the adapter of the three networks."""
    module = types.ModuleType("detector.models.restored_ssd")
    module.__dict__.update(functions)
    monkeypatch.setitem(sys.modules, "detector.models.restored_ssd", module)
    monkeypatch.setattr(detector.models, "restored_ssd", module, raising=False)


def zoo_members(model: bytes = b"x") -> dict:
    return {
        "net/pipeline.config": b"model {}",
        "net/checkpoint/ckpt-0.index": b"i",
        "net/saved_model/saved_model.pb": model,
    }


def test_a_zoo_archive_is_restored_white_box(tmp_path, monkeypatch):
    install(monkeypatch, load_zoo=white)
    loaded = load_detector(tar(tmp_path / "net.tar.gz", zoo_members()), labels=["a"])
    assert (
        loaded.info.kind == "keras_ssd" and loaded.folder.name == "net" and loaded.options["labels"] == ["a"]
    )


def test_a_network_it_cannot_restore_runs_as_a_black_box(tmp_path, monkeypatch):
    def refuse(folder):
        raise ModelError("faster_rcnn is not one of the three networks.")

    install(monkeypatch, load_zoo=refuse, try_from_saved_model=white)
    black = white("black")
    monkeypatch.setattr(
        opening, "_load_saved_model", lambda folder, request: black if not request.white_box else None
    )
    loaded = load_detector(tar(tmp_path / "net.tar.gz", zoo_members()))
    assert loaded is black and "black box" in loaded.info.notes[0] and "faster_rcnn" in loaded.info.notes[0]
    without = {k: v for k, v in zoo_members().items() if "saved_model" not in k}
    with pytest.raises(ModelError, match="faster_rcnn"):
        load_detector(tar(tmp_path / "bare.tar.gz", without))


def test_a_saved_model_of_ours_becomes_white_box_and_another_stays_black(cells_model, monkeypatch):
    pytest.importorskip("tensorflow")
    install(monkeypatch, load_zoo=white, try_from_saved_model=white)
    assert load_detector(cells_model).info.kind == "keras_ssd"
    assert load_detector(cells_model, white_box=False).info.kind == "saved_model"
    assert load_detector(cells_model, signature="serving_default").info.kind == "saved_model", (
        "an option only the black box has"
    )
    install(
        monkeypatch,
        try_from_saved_model=lambda folder, labels: None,
        why_not_open=lambda folder: "It is another network.",
    )
    loaded = load_detector(cells_model.parent, labels=["r", "g", "b"])
    assert loaded.info.kind == "saved_model" and loaded.info.class_map.names == ("r", "g", "b")
    assert loaded.info.notes[0] == "It is another network."


def test_a_saved_model_archive_answers_like_its_folder(cells_model, tmp_path):
    packed = shutil.make_archive(str(tmp_path / "cells"), "gztar", cells_model)
    image = np.random.default_rng(0).integers(0, 255, (30, 41, 3)).astype(np.uint8)
    a, b = (load_detector(p, white_box=False).detect([image])[0] for p in (cells_model, packed))
    assert len(a) and a.equals(b)


def test_flat_archive_of_a_real_network(shared):
    from detector.data.images import read_image

    loaded = load_detector(
        shared / "weights" / "yolox_nano_coco" / "saved_model_flat.tar.gz", white_box=False
    )
    (found,) = loaded.detect([read_image(shared / "data" / "ssd_test_images" / "image1.jpg")])
    names = [loaded.info.class_map.names[k] for k in found.class_ids[:3]]
    assert names == ["dog", "dog", "person"] and found.scores[1] > 0.8 > 0.3 > found.scores[2]


class _Nothing:
    """A detector that finds nothing."""

    def __init__(self, name: str, size: int):
        self.info = DetectorInfo(name, "mine", ClassMap(("a",)), "0" * 16, input_size=(size, size))

    def detect(self, images):
        return [Detections.empty((i.shape[1], i.shape[0])) for i in images]

    def candidates(self, images):
        raise CapabilityError("none")


def _factory(name: str, size: int = 3):
    return _Nothing(name, size)


def test_a_python_entry_is_what_its_factory_returns(monkeypatch, tmp_path):
    file = tmp_path / "more.yaml"
    file.write_text(
        f"detectors:\n  mine:\n    title: Mine\n    python: {__name__}:_factory\n    options: {{size: 5}}\n"
    )
    monkeypatch.setenv("BOXSCOPE_CATALOGUE", str(file))
    detector = load_detector("mine")
    assert (detector.info.name, detector.info.input_size, detector.info.source) == ("Mine", (5, 5), "mine")


def _no_factory():
    return "boxes"


@pytest.mark.parametrize(
    "named, said",
    [("no.such.module:f", "cannot be imported"), (f"{__name__}:_no_factory", "returned a str")],
)
def test_a_python_entry_that_gives_no_detector_says_so(named, said, monkeypatch, tmp_path):
    file = tmp_path / "more.yaml"
    file.write_text(f"detectors:\n  mine:\n    title: Mine\n    python: {named}\n")
    monkeypatch.setenv("BOXSCOPE_CATALOGUE", str(file))
    with pytest.raises(ModelError, match=said):
        load_detector("mine")


def test_an_installed_package_offers_its_detectors(monkeypatch):
    from importlib.metadata import EntryPoint

    point = EntryPoint("theirs", f"{__name__}:_no_factory", "boxscope.detectors")
    monkeypatch.setattr(catalogue, "entry_points", lambda group: [point] if group == point.group else [])
    assert "theirs" in {entry.name for entry in list_catalogue()}
    with pytest.raises(ModelError, match="returned a str"):
        load_detector("theirs")
