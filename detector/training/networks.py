"""Which SSD network someone means: by its name, a recipe, a pipeline.config, or the folder of a training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from detector.errors import ConfigError, InputError
from detector.paths import data_dir
from detector.ssd.anchors import Anchors, anchors
from detector.ssd.config import ARCHITECTURES, PRESETS, MultiscaleAnchors, SSDConfig
from detector.ssd.pipeline.config import read_pipeline_config
from detector.ssd.stored import read_ssd
from detector.training.recipes import read_recipe
from detector.training.ssd.folder import SSDFolder
from detector.training.ssd.recipe import TrainRecipe


@dataclass(frozen=True)
class Network:
    """A network and the IoU from which its anchors answer for an object in training."""

    config: SSDConfig
    match_iou: float = 0.5

    @property
    def anchors(self) -> Anchors:
        return anchors(self.config)

    def with_input(self, width: int, height: int) -> Network:
        """The same at another input size.

        Raises:
            InputError: the network cannot have this size.
        """
        try:
            return replace(self, config=self.config.with_(width=width, height=height))
        except ConfigError as error:
            raise InputError(f"input size {width}x{height}: {error.message}") from None

    def variants(self) -> list[tuple[str, Network]]:
        """Single changes that move what anchors reach, each with its words: input sizes, finer scales, longer
        shapes.
        """
        c, out = self.config, []
        for factor in (1.5, 2.0):
            width, height = (max(32, round(side * factor / 32) * 32) for side in (c.width, c.height))
            out.append((f"input {width}x{height}", self.with_input(width, height)))
        spec = c.anchors
        if isinstance(spec, MultiscaleAnchors):
            out.append(
                ("anchors of half the size", self._anchors(replace(spec, anchor_scale=spec.anchor_scale / 2)))
            )
            out.append(
                (
                    "three scales an octave",
                    self._anchors(replace(spec, scales_per_octave=max(3, spec.scales_per_octave + 1))),
                )
            )
        else:
            out.append(
                (
                    "smallest anchor half the size",
                    self._anchors(
                        replace(spec, min_scale=spec.min_scale / 2, reduce_boxes_in_lowest_layer=False)
                    ),
                )
            )
        longer = tuple(dict.fromkeys((*spec.aspect_ratios, 3.0, 1 / 3)))
        if not any(abs(r - 3.0) < 0.01 for r in spec.aspect_ratios):
            out.append(("aspect ratios 3:1 and 1:3 too", self._anchors(replace(spec, aspect_ratios=longer))))
        return out

    def _anchors(self, spec) -> Network:
        return replace(self, config=self.config.with_(anchors=spec))


def read_network(text: str, input_size: tuple[int, int] | None = None) -> Network:
    """The network behind a text.

    Args:
        text: an architecture (`detector.ssd.config.ARCHITECTURES`), a zoo name, the name of a training of
            this machine, a recipe (.yaml), a pipeline.config, or a folder that holds detector.json (a
            training) or pipeline.config (a zoo archive).
        input_size: (width, height) instead of its own.

    Raises:
        InputError: no such network, or one that cannot have this input size. ConfigError, ModelError: a
            broken file.
    """
    network = _read(text)
    return network if input_size is None else network.with_input(*input_size)


def _read(text: str) -> Network:
    for name, make in PRESETS.items():
        if text == name or text == make().architecture:
            return Network(make())
    path = Path(text).expanduser()
    if (
        not path.exists()
        and text
        and "/" not in text
        and (data_dir("models") / text / "detector.json").is_file()
    ):
        path = data_dir("models") / text
    if path.is_dir():
        if (path / "detector.json").is_file():
            config, folder = read_ssd(path).config, SSDFolder(path)
            return Network(config, folder.read_recipe(TrainRecipe).match_iou if folder.started else 0.5)
        path = path / "pipeline.config"
    if not path.is_file():
        raise InputError(
            f"No network is named {text!r}: expected one of {', '.join(ARCHITECTURES)}, a recipe (.yaml), a"
            " pipeline.config, or the folder of a training."
        )
    if path.suffix == ".config":
        return Network(read_pipeline_config(path).ssd)
    recipe = read_recipe(path)
    if not isinstance(recipe, TrainRecipe):
        raise InputError(f"{text}: expected a recipe of an SSD network; this detector has no anchors.")
    return Network(recipe.network(1), recipe.match_iou)
