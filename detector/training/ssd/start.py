"""Where a training starts: fresh weights, an ImageNet backbone, or (part of) another detector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import ops

from detector.archive import is_archive, unpack
from detector.errors import ConfigError, ModelError
from detector.ssd.backbones import FIRST_BLOCK, OTHER_BLOCK, RESNET_STAGES
from detector.ssd.config import SSDConfig
from detector.ssd.imagenet import imagenet_backbone
from detector.ssd.layers import SUFFIX, checkpoint_variables
from detector.ssd.preprocess import subtracts_means
from detector.ssd.weights import assign_arrays, load_arrays
from detector.ssd.zoo.checkpoint import Checkpoint, latest_checkpoint

BACKBONE = "model/_feature_extractor/classification_backbone/"
EXTRACTOR = "model/_feature_extractor/"
CLASSIFIER = "feature_extractor/"  # where a checkpoint made for the type "classification" keeps its backbone
CLASS_HEAD = "/_prediction_heads/class_predictions_with_background/"

RESTORED: dict[str, Callable[[str], bool]] = {
    "classification": lambda key: key.startswith(BACKBONE),
    "detection": lambda key: key.startswith(EXTRACTOR),
    "few_shot": lambda key: CLASS_HEAD not in key,
    "full": lambda key: True,
}
"""Which keys each fine-tune type takes from another detector. "few_shot" is what the Object Detection API's
few-shot notebook does: everything but the class head, so the boxes are good from the first step."""

KERAS_EPSILON = 1.001e-5  # batch norms of keras.applications.ResNet50; ours have config.batch_norm.epsilon


@dataclass(frozen=True)
class Start:
    """What a training started from.

    Args:
        source: as the recipe says it.
        restored, fresh: how many of the network's weights came from it, and how many were drawn.
    """

    source: str
    restored: int
    fresh: int


def start_from(network: keras.Model, config: SSDConfig, source: str, fine_tune_type: str) -> Start:
    """Fill a fresh network's weights as a recipe's `start` and `fine_tune_type` say.

    Raises:
        DownloadError: ImageNet weights are not here and cannot be downloaded.
        ConfigError: the type is unknown, or the file is none of the kinds that are known.
        ModelError: the weights are of another network; the message names the first tensor that does not fit.
    """
    if fine_tune_type not in RESTORED:
        raise ConfigError(f"fine_tune_type: expected one of {', '.join(RESTORED)}, got {fine_tune_type!r}.")
    total = len(checkpoint_variables(network))
    if source == "none":
        return Start(source, 0, total)
    if source == "imagenet":
        arrays, kind = from_keras_backbone(_application(config, "imagenet"), config), "classification"
    elif str(source).endswith((".h5", ".keras")):
        backbone = _application(config, None)
        try:
            backbone.load_weights(source)
        except (OSError, ValueError) as error:
            raise ModelError(
                f"expected weights of keras.applications' {backbone.name} without its top: {error}.",
                path=source,
            ) from error
        arrays, kind = from_keras_backbone(backbone, config), "classification"
    else:
        arrays, kind = read_detector_weights(source), fine_tune_type
    keys = [key for key in checkpoint_variables(network) if RESTORED[kind](key)]
    fresh = assign_arrays(network, arrays, keys)
    return Start(str(source), len(keys), len(fresh))


def read_detector_weights(source: str | Path) -> dict[str, np.ndarray]:
    """The weights of a detector by checkpoint key.

    Args:
        source: a training's folder or its `.npz`; a zoo archive (.tar.gz, unpacked once under `models/` of
            the data directory) or its folder, a folder of checkpoints, or the prefix of one
            (".../checkpoint/ckpt-0"). A checkpoint of a classification network (root key `feature_extractor`)
            gives its backbone.

    Raises:
        ModelError: nothing of the kind lies there, or the archive is damaged or would write outside its
            folder.
    """
    path = Path(source)
    if path.is_file() and is_archive(path):
        path = _network_folder(unpack(path), path)
    if path.is_dir() and (path / "weights.npz").is_file():
        path = path / "weights.npz"
    if path.suffix == ".npz":
        return load_arrays(path)[0]

    if path.is_dir():
        path = latest_checkpoint(path / "checkpoint" if (path / "checkpoint").is_dir() else path)
    checkpoint = Checkpoint(path)
    # A checkpoint of a training also holds optimiser slots; only the network's own tensors are wanted.
    keys = [key for key in checkpoint.entries if key.endswith(SUFFIX) and "/.OPTIMIZER_SLOT/" not in key]
    own = {key: key for key in keys if key.startswith("model/")}
    own = own or {BACKBONE + key.removeprefix(CLASSIFIER): key for key in keys if key.startswith(CLASSIFIER)}
    return {key: checkpoint.read(stored) for key, stored in own.items()}


def _network_folder(folder: Path, archive: Path) -> Path:
    """The folder of an unpacked archive that holds the checkpoint or the training's weights.

    Raises:
        ModelError: none, or several.
    """
    found = {p.parent.parent for p in folder.rglob("checkpoint/*.index")} | {
        p.parent for p in folder.rglob("weights.npz")
    }
    if len(found) != 1:
        raise ModelError(
            f"expected one network with checkpoint/ckpt-*.index in the archive, found {len(found)}.",
            path=archive,
        )
    return found.pop()


def _application(config: SSDConfig, weights: str | None) -> keras.Model:
    shape = (config.height, config.width, 3)
    settings = {"include_top": False, "input_shape": shape}
    if config.architecture == "ssd_resnet50_v1_fpn":
        build, name = keras.applications.ResNet50, "ResNet50"
    else:
        build, name = keras.applications.MobileNetV2, "MobileNetV2"
        settings["alpha"] = config.alpha
    if weights is None:
        return build(weights=None, **settings)
    return imagenet_backbone(build, name, **settings)


def from_keras_backbone(backbone: keras.Model, config: SSDConfig) -> dict[str, np.ndarray]:
    """The backbone weights of a `keras.applications` MobileNetV2 or ResNet50 by our checkpoint keys.

    Both count their weighted layers in the same order. The ResNet differs in three ways that are moved into
    the weights: its convolutions have biases (they go into the means of the batch norms behind them), its
    batch norms a smaller epsilon (gamma is rescaled, so that the stored statistics give the same outputs),
    and it was trained on BGR (the first kernel's input channels are turned round).

    Raises:
        ModelError: a layer is none that the backbone has.
    """
    resnet = subtracts_means(config)
    arrays: dict[str, np.ndarray] = {}
    bias: dict[int, np.ndarray] = {}
    number = 0
    for layer in backbone.layers:
        if not layer.weights:
            continue
        values = {v.name: np.array(ops.convert_to_numpy(v)) for v in layer.weights}
        if "bias" in values:
            bias[number] = values.pop("bias")
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            values = {"depthwise_kernel": values.pop("kernel", values.get("depthwise_kernel"))}
        if resnet and number == 0:
            values["kernel"] = values["kernel"][:, :, ::-1, :]
        for leaf, value in values.items():
            arrays[f"{BACKBONE}layer_with_weights-{number}/{leaf}{SUFFIX}"] = value
        number += 1
    if resnet:
        _fold(arrays, bias, config.batch_norm.epsilon)
    return arrays


def _fold(arrays: dict[str, np.ndarray], bias: Mapping[int, np.ndarray], epsilon: float) -> None:

    norm_of = {0: 1}
    for _, count, _, n in RESNET_STAGES:
        for block in range(count):
            places = OTHER_BLOCK if block else FIRST_BLOCK
            norm_of |= {
                n + places[f"{i}_conv"]: n + places[f"{i}_norm"]
                for i in (0, 1, 2, 3)
                if f"{i}_conv" in places
            }
            n += len(places)

    def name(number: int, leaf: str) -> str:
        return f"{BACKBONE}layer_with_weights-{number}/{leaf}{SUFFIX}"

    for conv, norm in norm_of.items():
        if conv in bias:
            arrays[name(norm, "moving_mean")] = arrays[name(norm, "moving_mean")] - bias[conv]
        variance = arrays[name(norm, "moving_variance")]
        # gamma / sqrt(variance + epsilon) is what the stored statistics do; keep it under the other epsilon.
        arrays[name(norm, "gamma")] = arrays[name(norm, "gamma")] * np.sqrt(
            (variance + epsilon) / (variance + KERAS_EPSILON)
        )
