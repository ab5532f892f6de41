from __future__ import annotations

import logging
import shutil
import subprocess
import sys

import numpy as np
import pytest

from detector.core import ClassMap
from detector.errors import InputError, ModelError
from detector.models import keras_ssd, restored_ssd
from detector.models.keras_ssd import KerasSSD
from detector.models.restored_ssd import load_zoo, try_from_saved_model, why_not_open
from detector.nms import replay
from detector.ssd import litert
from detector.testing import DetectorContract, patterned
from tests.detector.ssd import small_zoo
from tests.detector.ssd.small_zoo import (
    export_saved_model,
    published,
    small_arrays,
    small_config,
    write_zoo_folder,
)

CLASSES = ClassMap(("cat", "dog", "owl"), (1, 2, 3))


@pytest.fixture(scope="module")
def arrays():
    return small_arrays()


@pytest.fixture(scope="module")
def folder(arrays, tmp_path_factory):
    return write_zoo_folder(tmp_path_factory.mktemp("zoo") / "my_detector", arrays)


@pytest.fixture(scope="module")
def built(folder, tmp_path_factory):
    """A detector on LiteRT whose build outlives the single test."""
    with pytest.MonkeyPatch.context() as m:
        m.setenv("BOXSCOPE_HOME", str(tmp_path_factory.mktemp("home")))
        detector = load_zoo(folder, runtime="litert", threads=2)
        detector.detect([patterned(30, 40)])
    return detector


@pytest.fixture(scope="module")
def in_keras(folder):
    return load_zoo(folder, runtime="keras")


class TestLiteRTKeepsTheContract(DetectorContract):
    @pytest.fixture
    def detector(self, built):
        return built


class TestKerasKeepsTheContract(DetectorContract):
    tolerance = 2e-4  # Keras sums in another order for another batch size

    @pytest.fixture
    def detector(self, in_keras):
        return in_keras


def test_it_says_what_it_is(built, folder):
    info = built.info
    assert (info.name, info.kind, info.input_size, info.source) == (
        "my_detector",
        "keras_ssd",
        (128, 96),
        str(folder),
    )
    assert info.class_map == CLASSES
    assert info.capabilities == {"candidates", "anchors", "gradients", "low_scores"}
    assert dict(info.settings) == {
        "score_threshold": 1e-8,
        "iou_threshold": 0.6,
        "max_detections_per_class": 100,
        "max_total_detections": 100,
    }
    assert info.notes == ("Its weights are none of the published zoo's, as after any own training.",)


def test_litert_equals_keras(built, in_keras):
    """Scores and normalised boxes of every candidate within 1e-4."""
    images = [patterned(61, 83, 1), patterned(97, 45, 2)]
    for image, a, b in zip(images, built.candidates(images), in_keras.candidates(images)):
        assert np.abs(a.scores - b.scores).max() < 1e-4
        assert np.abs(a.xyxy - b.xyxy).max() / max(image.shape) < 1e-4
        assert np.abs(a.logits - b.logits).max() < 5e-4


def test_candidates_know_their_anchors_and_replay(built):
    image = patterned(61, 83, 1)
    (found,), (candidates,) = built.detect([image]), built.candidates([image])
    assert candidates.scores.shape == (len(built.anchors), 3) and candidates.levels.max() == 4
    assert np.array_equal(candidates.anchors[:, 0], built.anchors.boxes[:, 1] * np.float32(83))
    again = replay(candidates, built.config.postprocess)
    assert np.array_equal(found.anchor_ids, again.anchor_ids) and found.equals(again, atol=1e-3)
    fates = built.trace(image)
    assert np.array_equal(fates.anchor_ids[fates.kept()], found.anchor_ids)


def test_settings_replace_the_file_s_and_change_the_hash(folder, in_keras):
    image = patterned(61, 83, 1)
    (usual,) = in_keras.detect([image])
    cut = float(usual.scores[40])
    other = load_zoo(
        folder, runtime="keras", score_threshold=cut, max_detections_per_class=3, max_total_detections=7
    )
    assert other.info.settings["score_threshold"] == cut
    assert other.info.weights_hash != in_keras.info.weights_hash
    (found,) = other.detect([image])
    assert 3 <= len(found) <= 7 and found.scores.min() > cut and np.bincount(found.class_ids).max() <= 3
    assert "low_scores" not in load_zoo(folder, score_threshold=0.2).info.capabilities


def test_more_images_than_a_batch(in_keras):
    images = [patterned(40 + i, 70 - i, i) for i in range(11)]
    found = in_keras.detect(images)
    assert [d.image_size for d in found] == [(70 - i, 40 + i) for i in range(11)]
    assert found[9].equals(in_keras.detect([images[9]])[0], atol=2e-4)


def test_outputs_without_a_name_are_left_out(arrays):
    config = small_config()
    full = KerasSSD(config, arrays, CLASSES, runtime="keras")
    some = KerasSSD(config, arrays, ClassMap(("owl", "cat")), outputs=[2, 0], runtime="keras")
    image = patterned(61, 83, 1)
    (all_of_them,), (named,) = full.detect([image]), some.detect([image])
    kept = all_of_them[all_of_them.class_ids != 1]
    assert 0 < len(kept) < len(all_of_them)
    assert np.array_equal(named.anchor_ids, kept.anchor_ids)
    assert np.array_equal(named.class_ids, np.where(kept.class_ids == 2, 0, 1))
    assert np.array_equal(some.candidates([image])[0].scores, full.candidates([image])[0].scores[:, [2, 0]])


def test_wrong_label_maps_and_options_are_said(arrays, folder):
    with pytest.raises(ModelError, match="3 classes, got 1 names with ids up to 9"):
        KerasSSD(small_config(), arrays, ClassMap(("cat",)), outputs=[8])
    with pytest.raises(InputError, match="runtime.*'gpu'"):
        load_zoo(folder, runtime="gpu")


def test_a_checkpoint_that_is_not_what_its_config_says(tmp_path, arrays):
    def with_config(name, old, new):
        made = write_zoo_folder(tmp_path / name, arrays, labels=None)
        text = (made / "pipeline.config").read_text()
        assert old in text
        (made / "pipeline.config").write_text(text.replace(old, new))
        return made

    with pytest.raises(ModelError, match="num_classes 5, its class head has 3"):
        load_zoo(with_config("classes", "num_classes: 3", "num_classes: 5"))
    missing = {
        key: value for key, value in arrays.items() if "_coarse_feature_layers/1/0/pointwise" not in key
    }
    with pytest.raises(
        ModelError, match="it lacks model/_feature_extractor/_coarse_feature_layers/1/0/pointwise_kernel"
    ):
        load_zoo(write_zoo_folder(tmp_path / "lacks", missing))
    narrow = load_zoo(
        with_config("narrow", "depth_multiplier: 0.25", "depth_multiplier: 0.5"), runtime="keras"
    )
    with pytest.raises(ModelError, match="of shape"):
        narrow.detect([patterned(30, 40)])


def test_broken_weights_are_said(arrays):
    key = next(k for k in arrays if "_class_predictor_layers/0/bias" in k)
    broken = KerasSSD(
        small_config(), {**arrays, key: arrays[key] * np.float32(np.nan)}, CLASSES, runtime="keras"
    )
    with pytest.raises(ModelError, match="not finite"):
        broken.detect([patterned(30, 40)])


def test_an_archive_is_unpacked(folder, tmp_path):
    import tarfile

    with tarfile.open(tmp_path / "zoo.tar.gz", "w:gz") as archive:
        archive.add(folder, "my_detector")
    assert load_zoo(tmp_path / "zoo.tar.gz").info.name == "my_detector"


def test_loading_imports_no_network_library(folder):
    from tests.conftest import ROOT

    code = (
        f"import sys; from detector.models.restored_ssd import load_zoo; load_zoo({str(folder)!r});"
        " print({'tensorflow', 'keras', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_where_no_build_can_be_made_keras_runs_and_it_is_said(folder, monkeypatch, caplog):
    def fail(*_):
        raise keras_ssd.UnavailableError("The LiteRT build of the network could not be made: no room")

    monkeypatch.setattr(keras_ssd, "litert_file", fail)
    monkeypatch.setattr(keras_ssd, "_has_gpu", lambda: False)
    detector = load_zoo(folder)
    with caplog.at_level(logging.WARNING):
        assert len(detector.detect([patterned(61, 83)])[0])
    assert "no room" in detector.info.notes[-1] and "no room" in caplog.text
    with pytest.raises(keras_ssd.UnavailableError):
        load_zoo(folder, runtime="litert").detect([patterned(61, 83)])


def test_the_build_is_kept_by_weights_and_shape(arrays):
    config = small_config()
    digest = litert.weights_digest(arrays)
    same = litert.network_digest(config.with_(l2=0.5, name="x", freeze_batchnorm=True), digest)
    assert same == litert.network_digest(config, digest)
    assert same != litert.network_digest(config.with_(width=160), digest)
    key = next(iter(arrays))
    assert digest != litert.weights_digest({**arrays, key: arrays[key] + np.float32(1)})


def test_a_gpu_keeps_keras(folder, monkeypatch):
    monkeypatch.setattr(keras_ssd, "_has_gpu", lambda: True)
    assert load_zoo(folder)._litert() is None


class TestSavedModels:
    """One export behind the exporter's interface, with the variables in numbered lists."""

    @pytest.fixture(scope="class")
    def exported(self, in_keras, folder, tmp_path_factory):
        made = tmp_path_factory.mktemp("export")
        (made / "pipeline.config").write_text(small_zoo.PIPELINE)
        (made / "label_map.pbtxt").write_text(small_zoo.LABELS)
        return export_saved_model(made / "saved_model", in_keras.network, in_keras.config)

    def test_own_weights_are_opened_after_running_both(self, exported, in_keras):
        opened = try_from_saved_model(exported, runtime="keras")
        assert opened is not None and opened.info.class_map == CLASSES
        assert "equal to the SavedModel's" in opened.info.notes[0]
        image = patterned(61, 83, 1)
        assert opened.detect([image])[0].equals(in_keras.detect([image])[0], atol=2e-4)

    def test_it_detects_what_the_graph_detects(self, exported, in_keras):
        """Our rule in numpy against TensorFlow's suppression in the graph."""
        import tensorflow as tf

        image = patterned(61, 83, 1)
        out = tf.saved_model.load(str(exported)).signatures["serving_default"](
            input_tensor=tf.constant(image[None])
        )
        (found,) = in_keras.detect([image])
        count = int(out["num_detections"][0])
        assert len(found) == count
        assert np.array_equal(
            found.anchor_ids, out["detection_anchor_indices"][0, :count].numpy().astype(int)
        )
        assert np.array_equal(found.class_ids + 1, out["detection_classes"][0, :count].numpy().astype(int))
        assert np.abs(found.scores - out["detection_scores"][0, :count].numpy()).max() < 1e-5

    def test_published_weights_are_opened_by_their_crc_alone(self, exported, arrays, monkeypatch):
        record = published(arrays)
        monkeypatch.setattr("detector.ssd.zoo.restore.zoo_records", lambda: {record.name: record})
        monkeypatch.setattr(restored_ssd, "_difference", lambda *_: pytest.fail("compared though proved"))
        monkeypatch.setattr(type(record), "config", lambda self: small_config())
        opened = try_from_saved_model(exported)
        assert "is the one published" in opened.info.notes[0]

    def test_the_same_names_around_another_network_stay_a_black_box(self, exported, tmp_path, caplog):
        """Its config says other scales than its graph has: every variable fits, the answers do not."""
        made = shutil.copytree(exported, tmp_path / "saved_model")
        (tmp_path / "pipeline.config").write_text(
            small_zoo.PIPELINE.replace("height_scale: 5.0", "height_scale: 3.0")
        )
        with caplog.at_level(logging.INFO):
            assert try_from_saved_model(made) is None
        assert "answers differently" in caplog.text

    def test_why_not_is_a_sentence(self, tmp_path):
        assert (
            why_not_open(tmp_path)
            == "It stays a black box: it has no variables/variables.index to take weights from."
        )
