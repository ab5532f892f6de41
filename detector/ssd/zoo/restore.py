"""What the published TF2 detection zoo holds, and restoring one of its networks from a checkpoint or a
SavedModel.

The records in `zoo_data/` say, for each tensor of the published files, its masked CRC-32C and at which
position a SavedModel of the same archive stores it. So a download can be proved genuine, and a SavedModel,
whose variables only have numbers, can be read into a network that is open inside.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detector.errors import ConfigError, ModelError
from detector.paths import ROOT
from detector.ssd.config import PRESETS, SSDConfig
from detector.ssd.pipeline.config import PipelineConfig, read_pipeline_config
from detector.ssd.zoo.checkpoint import Checkpoint, latest_checkpoint

SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
CLASS_BIAS = "/_class_predictor_layers/0/bias"
_OWNERS = {"p": "_model/_box_predictor", "f": "_model/_feature_extractor"}
_LISTS = {"t": "trainable_variables", "v": "variables"}


@dataclass(frozen=True, eq=False)
class ZooRecord:
    """What is known of one published archive.

    Args:
        name: of the archive, e.g. "ssd_mobilenet_v2_320x320_coco17_tpu-8".
        data_bytes, index_bytes: sizes of its `ckpt-0.data-00000-of-00001` and `ckpt-0.index`.
        masked_crcs: checkpoint key -> masked CRC-32C of the tensor.
        saved_model_keys: key in the SavedModel's `variables.index` -> checkpoint key.
    """

    name: str
    data_bytes: int
    index_bytes: int
    masked_crcs: Mapping[str, int]
    saved_model_keys: Mapping[str, str]

    def config(self) -> SSDConfig:
        return PRESETS[self.name]()


@functools.cache
def zoo_records() -> dict[str, ZooRecord]:
    """The three published networks by name."""
    folder, records = ROOT / "detector" / "ssd" / "zoo" / "zoo_data", {}
    for name in PRESETS:
        stored = json.loads((folder / f"{name}.json").read_text())
        crcs, positions = {}, {}
        for stem, leaves in stored["tensors"].items():
            for leaf, (crc, code) in leaves.items():
                key = f"model/{stem}/{leaf}{SUFFIX}"
                crcs[key] = int(crc, 16)
                positions[f"{_OWNERS[code[0]]}/{_LISTS[code[1]]}/{code[2:]}{SUFFIX}"] = key
        records[name] = ZooRecord(name, stored["data_bytes"], stored["index_bytes"], crcs, positions)
    return records


@dataclass(frozen=True, eq=False)
class Restored:
    """A network read from files.

    Args:
        config: what to build.
        arrays: its weights, checkpoint key -> array.
        record: the published network whose every tensor these are, or None where they are others.
        pipeline: the pipeline.config beside it, if any.
    """

    config: SSDConfig
    arrays: Mapping[str, np.ndarray]
    record: ZooRecord | None
    pipeline: PipelineConfig | None = None


def restore_checkpoint(folder: Path, *, verify: bool | None = None) -> Restored:
    """A zoo folder (`pipeline.config` and `checkpoint/`) or an own training's, of any step.

    Args:
        folder: may also be one that holds `pipeline.config` and `ckpt-*.index` side by side.
        verify: True asks that the weights are the published ones; None accepts other weights, but not a file
            that is a published one (in size and most tensors) but for some tensors; False compares nothing
                with
            the records. Data is compared with the CRC-32C values of its own index in any case.

    Raises:
        ModelError: no checkpoint, damaged data, or a tensor that is not the published one; it is named.
        ConfigError: the pipeline.config says something that is not supported.
    """
    path = folder / "pipeline.config"
    if not path.is_file():
        raise ConfigError("expected a pipeline.config beside the checkpoint, there is none.", path=path)
    pipeline = read_pipeline_config(path)
    checkpoint = Checkpoint(
        latest_checkpoint(folder / "checkpoint" if (folder / "checkpoint").is_dir() else folder)
    )
    keys = [key for key in checkpoint.entries if _is_weight(key)]
    if not keys:
        raise ModelError(
            "expected a detector's weights (keys starting with model/), the checkpoint holds none.",
            path=checkpoint.index_path,
        )
    record = (
        None if verify is False else _genuine(checkpoint, {key: key for key in keys}, demand=bool(verify))
    )
    return Restored(pipeline.ssd, {key: checkpoint.read(key) for key in keys}, record, pipeline)


def _is_weight(key: str) -> bool:
    return (
        key.startswith(("model/_feature_extractor/", "model/_box_predictor/"))
        and "/.OPTIMIZER_SLOT/" not in key
    )


def _genuine(checkpoint: Checkpoint, keys: Mapping[str, str], *, demand: bool) -> ZooRecord | None:
    """The record all of whose CRC-32C values are those of the index.

    Args:
        keys: key in these files -> checkpoint key.

    Raises:
        ModelError: the file has a published one's size and most of its tensors, but not all; or `demand` and
            there are differences.
    """
    nearest, most = None, -1
    for record in zoo_records().values():
        if set(keys.values()) != set(record.masked_crcs):
            continue
        equal = sum(
            checkpoint.entries[own].masked_crc == record.masked_crcs[key] for own, key in keys.items()
        )
        if equal == len(keys):
            return record
        if equal > most:
            nearest, most = record, equal
    if nearest is None:
        if demand:
            raise ModelError(
                "expected one of the published zoo networks, these tensors are another network's.",
                path=checkpoint.index_path,
            )
        return None
    # A training that froze its backbone shares most tensors too, but writes a file of another size.
    data = checkpoint.shard_path()
    same_file = data.is_file() and data.stat().st_size == nearest.data_bytes
    if demand or (same_file and most > len(keys) // 2):
        own, key = next(
            (o, k) for o, k in keys.items() if checkpoint.entries[o].masked_crc != nearest.masked_crcs[k]
        )
        raise ModelError(
            f"tensor {own} is not the one published in {nearest.name} (CRC-32C"
            f" {checkpoint.entries[own].masked_crc:08x}, expected {nearest.masked_crcs[key]:08x};"
            f" {len(keys) - most} of {len(keys)} differ); fetch the archive again, or load it with"
            " verify=False if you changed it.",
            path=checkpoint.index_path,
        )
    return None


def restore_saved_model(folder: Path, *, verify: bool | None = None) -> Restored | str:
    """One of the three networks out of a SavedModel's numbered variables, or a sentence that says why not.

    Positions are known from the published archives. Where the CRC-32C values are the published ones this is
    proof; else (`record` None) the caller must compare outputs before trusting it.

    Raises:
        ModelError: damaged data, or not the published weights where `verify` asks for them.
    """
    if not (folder / "variables" / "variables.index").is_file():
        return "it has no variables/variables.index to take weights from"
    checkpoint = Checkpoint(folder / "variables" / "variables")
    mine = {key for key in checkpoint.entries if key.startswith("_model/")}
    record = next((r for r in zoo_records().values() if set(r.saved_model_keys) == mine), None)
    if record is None:
        return "its variables are not those of the three zoo networks that Boxscope knows inside"
    proved = None if verify is False else _genuine(checkpoint, record.saved_model_keys, demand=bool(verify))
    pipeline_path = folder.parent / "pipeline.config"
    pipeline = None
    if proved is None and pipeline_path.is_file():
        try:
            pipeline = read_pipeline_config(pipeline_path)
        except ConfigError as error:
            return f"its pipeline.config cannot be used: {error}"
    arrays = {key: checkpoint.read(own) for own, key in record.saved_model_keys.items()}
    config = (
        pipeline.ssd
        if pipeline
        else record.config().with_(num_classes=class_outputs(arrays, record.config()))
    )
    return Restored(config, arrays, proved, pipeline)


def class_outputs(arrays: Mapping[str, np.ndarray], config: SSDConfig) -> int:
    """How many classes, without background, the class head's weights are for."""
    bias = next(array for key, array in sorted(arrays.items()) if CLASS_BIAS in key)
    return max(1, bias.size // config.anchors_per_cell()[0] - 1)
