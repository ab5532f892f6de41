"""TensorBoard event files, read back by TensorFlow's own parser."""

from __future__ import annotations

import pytest

from detector.training.common.folder import TrainFolder
from detector.training.common.tensorboard import event_file

HISTORY = [
    {"step": 10, "loss": 1.5, "learning_rate": 0.02, "time": 1700000000.5},
    {"step": 300, "figures": {"AP": 0.25, "AP50": None}, "time": 1700000009.0},
]


def read(path) -> list[tuple[int, float, dict[str, float]]]:
    tf = pytest.importorskip("tensorflow")
    records = [tf.compat.v1.Event.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(path))]
    assert records[0].file_version == "brain.Event:2"
    return [(e.step, e.wall_time, {v.tag: v.simple_value for v in e.summary.value}) for e in records[1:]]


def test_tensorflow_reads_what_was_written(tmp_path):
    (tmp_path / "events").write_bytes(event_file(HISTORY))
    assert read(tmp_path / "events") == [
        (10, 1700000000.5, {"train/loss": 1.5, "train/learning_rate": pytest.approx(0.02)}),
        (300, 1700000009.0, {"validation/AP": 0.25}),
    ]
    (tmp_path / "events").write_bytes(event_file([]))
    assert read(tmp_path / "events") == []


def test_a_training_s_folder_keeps_it_beside_the_history(tmp_path):
    folder = TrainFolder(tmp_path / "run")
    folder.rewind_history(0)
    for line in HISTORY:
        folder.append_history(line)
    (file,) = (tmp_path / "run" / "tensorboard").iterdir()
    assert ".tfevents." in file.name and [step for step, _, _ in read(file)] == [10, 300]
    folder.rewind_history(50)  # a resumed training goes through the later steps again
    folder.append_history(HISTORY[0] | {"step": 60})
    assert [step for step, _, _ in read(file)] == [10, 60] == [line["step"] for line in folder.history()]
