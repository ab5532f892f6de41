import importlib.util
import os
import shutil
import threading

import numpy as np
import pytest

if importlib.util.find_spec("tensorflow") is None:
    pytest.skip("TensorFlow is not installed", allow_module_level=True)

from detector.errors import CapabilityError, ModelError
from detector.models.saved_model import SavedModelDetector
from detector.testing import DetectorContract
from tests.detector.models.saved_model_builder import export, lit_cell

LABELS = ["red", "green", "blue"]


@pytest.fixture(scope="module")
def cells(cells_model):
    return SavedModelDetector(cells_model, labels=LABELS)


@pytest.fixture(scope="module")
def free(free_batch_model):
    return SavedModelDetector(free_batch_model, labels=LABELS)


class TestSavedModelKeepsTheContract(DetectorContract):
    tolerance = 1e-5

    @pytest.fixture
    def detector(self, cells):
        return cells


class TestFreeBatchKeepsTheContract(DetectorContract):
    tolerance = 1e-4

    @pytest.fixture
    def detector(self, free):
        return free


@pytest.mark.parametrize("which", ["cells", "free"])
def test_a_lit_cell_is_found_with_its_class_score_and_box(which, request):
    detector = request.getfixturevalue(which)
    (found,) = detector.detect([lit_cell(1, 2, channel=2)])
    assert len(found) == 1, "num_detections cuts the padded rows"
    assert detector.info.class_map.names[found.class_ids[0]] == "blue"
    assert found.xyxy[0].tolist() == pytest.approx([40, 20, 60, 40], abs=1e-3)
    assert found.scores[0] == pytest.approx(0.92, abs=1e-4)
    assert found.anchor_ids.tolist() == [6]


def test_pictures_of_several_sizes_in_one_call(free):
    pictures = [lit_cell(0, 0, 0), lit_cell(1, 1, 1, 40, 30), lit_cell(2, 3, 2), *[lit_cell(1, 0, 0)] * 9]
    found = free.detect(pictures)
    assert [int(d.class_ids[0]) for d in found[:3]] == [0, 1, 2]
    assert found[1].xyxy[0].tolist() == pytest.approx([10, 10, 20, 20], abs=1e-3)


@pytest.mark.parametrize("which", ["cells", "free"])
def test_candidates_are_the_raw_rows_without_background(which, request):
    detector = request.getfixturevalue(which)
    (shown,) = detector.candidates([lit_cell(1, 2, channel=2)])
    assert shown.scores.shape == (12, 3)
    expected = np.full((12, 3), 0.02)
    expected[6, 2] = 0.92
    assert np.allclose(shown.scores, expected, atol=1e-4)
    assert shown.xyxy[6].tolist() == pytest.approx([40, 20, 60, 40], abs=1e-3)
    assert (shown.logits is not None) == (which == "free")


def test_labels_beside_the_model_and_ids_without_a_name(cells_model, tmp_path):
    folder = shutil.copytree(cells_model, tmp_path / "saved_model")
    (tmp_path / "label_map.pbtxt").write_text(
        "item { id: 1 name: 'r' }\nitem { id: 3 name: 'b' display_name: 'blue thing' }"
    )
    detector = SavedModelDetector(folder)
    assert detector.info.class_map.names == ("r", "blue thing")
    assert detector.info.name == tmp_path.name
    found = detector.detect([lit_cell(0, 1, 1), lit_cell(0, 1, 2)])
    assert [len(d) for d in found] == [0, 1] and found[1].class_ids[0] == 1
    assert detector.left_out >= 1
    picture = lit_cell(0, 1, 1) + lit_cell(2, 3, 2) // 2  # the unnamed class stands first and is left out
    assert detector.detect([picture])[0].anchor_ids.tolist() == [11]
    assert detector.candidates([lit_cell(0, 1, 2)])[0].scores.shape == (12, 2)


def test_hash_follows_weights_and_labels(cells, cells_model, free, tmp_path):
    again = shutil.copytree(cells_model, tmp_path / "elsewhere")
    assert SavedModelDetector(again, labels=LABELS).info.weights_hash == cells.info.weights_hash
    assert SavedModelDetector(again, labels=["a", "b", "c"]).info.weights_hash != cells.info.weights_hash
    assert free.info.weights_hash != cells.info.weights_hash


def test_new_sizes_trace_nothing_new(cells):
    """A concrete function, called as it was loaded: pictures of other sizes make no other graphs."""
    graph = cells._call.graph
    for k in range(4):
        cells.detect([lit_cell(0, 0, 0, 40 + 4 * k, 30 + 3 * k)])
    assert cells._call.graph is graph and not hasattr(cells._call, "get_concrete_function")


def test_several_threads_get_their_own_answers(cells):
    pictures = [lit_cell(k % 3, k % 4, k % 3) for k in range(12)]
    expected = [cells.detect([p])[0] for p in pictures]
    got = {}

    def work(k):
        got[k] = cells.detect([pictures[k]])[0]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(got[k].equals(expected[k]) for k in range(12))


def test_fixed_input_without_raw_outputs_or_count(tmp_path):
    """The barest interface: a fixed input size, three outputs."""
    folder = export(
        tmp_path / "m",
        raw=None,
        anchors=False,
        input_shape=(24, 32, 3),
        padded_scores=0.0,
        rename={"num_detections": "count"},
    )
    detector = SavedModelDetector(folder, labels=LABELS)
    assert detector.info.input_size == (32, 24) and any("fixed at 32x24" in n for n in detector.info.notes)
    (found,) = detector.detect([lit_cell(1, 2, 2)])
    assert (
        found.xyxy[0].tolist() == pytest.approx([40, 20, 60, 40], abs=1e-3)
        and len(found) == 1
        and found.anchor_ids is None
    )
    with pytest.raises(CapabilityError, match="no raw_detection_boxes"):
        detector.candidates([lit_cell(1, 2, 2)])


def test_other_outputs_are_named(tmp_path):
    folder = export(tmp_path / "m", rename={"detection_boxes": "output_0", "detection_scores": "output_1"})
    with pytest.raises(
        ModelError,
        match=r"detection_boxes, detection_scores is missing, found .*output_0 float32 \[1, 10, 4\]",
    ):
        SavedModelDetector(folder)


def test_what_is_no_saved_model(tmp_path, cells_model):
    with pytest.raises(ModelError, match="found an empty folder"):
        SavedModelDetector(tmp_path)
    broken = shutil.copytree(cells_model, tmp_path / "broken")
    shutil.rmtree(broken / "variables")
    with pytest.raises(ModelError, match="is it whole"):
        SavedModelDetector(broken)
    with pytest.raises(ModelError, match="expected a signature 'other', the SavedModel has serving_default"):
        SavedModelDetector(cells_model, signature="other")


def test_two_dogs(shared):
    """A COCO network on the Object Detection API's first test picture: two dogs above 0.8, a person at
    0.27.
    """
    from detector.data.images import read_image

    detector = SavedModelDetector(shared / "weights" / "yolox_nano_coco" / "saved_model")
    picture = read_image(shared / "data" / "ssd_test_images" / "image1.jpg")
    (found,), (shown,) = detector.detect([picture]), detector.candidates([picture])
    names = [detector.info.class_map.names[k] for k in found.class_ids]
    assert names[:3] == ["dog", "dog", "person"]
    assert found.scores[:3].tolist() == pytest.approx([0.938, 0.842, 0.27], abs=0.005)
    assert np.array_equal(shown.scores[found.anchor_ids, found.class_ids], found.scores)
    assert found.image_size == (1024, 636)


def test_tensorflow_hub_finds_what_was_fetched(cells_model, tmp_path, monkeypatch):
    """The cache is laid out as tensorflow-hub lays it out, so either finds what the other fetched."""
    hub = pytest.importorskip("tensorflow_hub")
    from detector.download import cached, place_of

    monkeypatch.setenv("TFHUB_CACHE_DIR", os.fspath(tmp_path))
    handle = "https://tfhub.dev/somebody/cells/1"
    assert cached(handle) is None
    shutil.copytree(cells_model, place_of(handle))
    assert hub.resolve(handle) == os.fspath(place_of(handle)) and cached(handle) == place_of(handle)
