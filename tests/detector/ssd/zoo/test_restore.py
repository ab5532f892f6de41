from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from detector.errors import ConfigError, ModelError
from detector.ssd.config import PRESETS, mobilenet_v2, resnet50_fpn
from detector.ssd.zoo import restore as zoo
from detector.ssd.zoo.restore import class_outputs, restore_checkpoint, restore_saved_model, zoo_records
from tests.detector.ssd.bundle import write_bundle
from tests.detector.ssd.small_zoo import PIPELINE, published, small_arrays, small_config, write_zoo_folder


@pytest.fixture(scope="module")
def arrays():
    return small_arrays()


@pytest.mark.parametrize(
    ("name", "data", "index"), zip(PRESETS, (24_484_350, 10_752_177, 131_768_450), (6_121, 6_856, 7_524))
)
def test_records_name_every_variable_once(name, data, index):
    record = zoo_records()[name]
    assert (record.data_bytes, record.index_bytes) == (data, index)
    assert sorted(record.saved_model_keys.values()) == sorted(record.masked_crcs)
    assert record.config() == PRESETS[name]()


@pytest.mark.parametrize("name", PRESETS)
def test_records_are_what_the_real_indexes_say(shared, name):
    record, folder = zoo_records()[name], shared / "golden" / name
    index = json.loads((folder / "zoo_index.json").read_text())["entries"]
    assert dict(record.masked_crcs) == {
        key: e["masked_crc32c"] for key, e in index.items() if key.startswith("model/")
    }
    positions = json.loads((folder / "saved_model_map.json").read_text())["saved_model_to_checkpoint"]
    assert dict(record.saved_model_keys) == positions


@pytest.mark.parametrize("snappy", [False, True])
def test_a_zoo_folder_comes_back(tmp_path, arrays, snappy):
    restored = restore_checkpoint(write_zoo_folder(tmp_path / "zoo", arrays, snappy=snappy))
    assert restored.config == small_config().with_(name="zoo") and restored.record is None
    assert set(restored.arrays) == set(arrays), "optimizer slots and counters are left aside"
    assert all(np.array_equal(restored.arrays[key], value) for key, value in arrays.items())


def test_config_and_checkpoint_side_by_side(tmp_path, arrays):
    (tmp_path / "pipeline.config").write_text(PIPELINE)
    write_bundle(tmp_path / "ckpt-7", arrays)
    assert len(restore_checkpoint(tmp_path).arrays) == 384


def test_published_weights_are_proved_and_altered_ones_named(tmp_path, arrays, monkeypatch):
    record = published(arrays)
    monkeypatch.setattr(zoo, "zoo_records", lambda: {record.name: record})
    assert restore_checkpoint(write_zoo_folder(tmp_path / "same", arrays)).record is record
    key = sorted(arrays)[200]
    changed = {**arrays, key: arrays[key] + np.float32(1e-3)}
    folder = write_zoo_folder(tmp_path / "changed", changed)
    assert restore_checkpoint(folder).record is None, "another file than the published one: an own training's"
    size = (folder / "checkpoint" / "ckpt-0.data-00000-of-00001").stat().st_size
    record = dataclasses.replace(record, data_bytes=size)
    with pytest.raises(ModelError, match=r"not the one published .* 1 of 384 differ") as caught:
        restore_checkpoint(folder)
    assert key in str(caught.value)
    assert restore_checkpoint(folder, verify=False).record is None


def test_own_weights_are_taken_unless_the_published_ones_are_demanded(tmp_path, arrays):
    folder = write_zoo_folder(tmp_path / "own", arrays)
    assert restore_checkpoint(folder).record is None
    with pytest.raises(
        ModelError, match="not the one published in ssd_mobilenet_v2_fpnlite.* 384 of 384 differ"
    ):
        restore_checkpoint(folder, verify=True)


def test_damaged_data_names_its_tensor(tmp_path, arrays):
    folder = write_zoo_folder(tmp_path / "zoo", arrays)
    data = folder / "checkpoint" / "ckpt-0.data-00000-of-00001"
    raw = bytearray(data.read_bytes())
    raw[len(raw) // 2] ^= 4
    data.write_bytes(raw)
    with pytest.raises(ModelError, match=r"tensor model/\S+ does not fit its CRC-32C"):
        restore_checkpoint(folder)


def test_what_is_missing_is_said(tmp_path, arrays):
    with pytest.raises(ConfigError, match="expected a pipeline.config"):
        restore_checkpoint(tmp_path)
    (tmp_path / "pipeline.config").write_text(PIPELINE)
    with pytest.raises(ModelError, match="found none"):
        restore_checkpoint(tmp_path)
    write_bundle(tmp_path / "ckpt-0", {"other/kernel": np.float32([1])})
    with pytest.raises(ModelError, match="holds none"):
        restore_checkpoint(tmp_path)


def numbered(arrays, **changes) -> dict[str, np.ndarray]:
    record = zoo_records()["ssd_mobilenet_v2_fpnlite_320x320_coco17_tpu-8"]
    return {**{own: arrays[key] for own, key in record.saved_model_keys.items()}, **changes}


def test_a_saved_model_s_numbered_variables_get_their_names(tmp_path, arrays, monkeypatch):
    record = published(arrays)
    monkeypatch.setattr(zoo, "zoo_records", lambda: {record.name: record})
    write_bundle(
        tmp_path / "variables" / "variables", {**numbered(arrays), "_CHECKPOINTABLE_OBJECT_GRAPH": b"graph"}
    )
    restored = restore_saved_model(tmp_path)
    assert restored.record is record and restored.config.num_classes == 3
    assert all(np.array_equal(restored.arrays[key], value) for key, value in arrays.items())


def test_another_saved_model_is_said_to_be_another(tmp_path, arrays):
    assert "no variables/variables.index" in restore_saved_model(tmp_path)
    write_bundle(
        tmp_path / "variables" / "variables", numbered(arrays, **{"_model/one_more/0": np.float32([1])})
    )
    assert "not those of the three zoo networks" in restore_saved_model(tmp_path)


def test_a_real_saved_model_of_another_network(shared):
    assert "not those of the three" in restore_saved_model(
        Path(shared) / "weights" / "yolox_nano_coco" / "saved_model"
    )


@pytest.mark.parametrize(
    ("config", "size", "classes"), [(mobilenet_v2(), 3 * 91, 90), (resnet50_fpn(), 6 * 2, 1)]
)
def test_the_class_head_says_how_many_classes(config, size, classes):
    key = (
        "model/_box_predictor/_prediction_heads/class_predictions_with_background/0/_class_predictor_layers/0"
        "/bias/.ATTRIBUTES/VARIABLE_VALUE"
    )
    assert class_outputs({key: np.zeros(size, np.float32)}, config) == classes
