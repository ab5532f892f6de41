"""A TensorFlow Lite detector, run through ai-edge-litert; TensorFlow is not needed.

Pictures are stretched to the input size with OpenCV's bilinear filter (half-pixel centres, on uint8), which
is what phone apps do (Android's createScaledBitmap, the TFLite Support Library's ResizeOp), unless the file
says that its network was trained on another rule, as Boxscope's own exports do. Quantised inputs get the
pixels as they are, float inputs the range the file's metadata states, else -1..1.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detector import boxes
from detector.core import Candidates, ClassMap, Detections, DetectorInfo, check_images
from detector.errors import CapabilityError, InputError, ModelError
from detector.labels import choose_labels
from detector.models.hashing import hash_answers, hash_files
from detector.models.tflite_file import POSTPROCESS, TFLiteFacts, read_facts
from detector.models.tflite_network import load_interpreter, read_input, usable_cores
from detector.models.tflite_outputs import find_layout
from detector.nms import PostprocessSettings, replay
from detector.ssd.preprocess import stretch
from detector.two_head.frames import whole

RAW_SETTINGS = PostprocessSettings(
    score_threshold=0.005
)  # for files without post-processing; IoU and caps of the zoo
RESIZES = {
    "half-pixel": "bilinear, half-pixel centres",
    "legacy": "bilinear, TF1's legacy rule (sampled at multiples of the step)",
    "letterbox": "bilinear, half-pixel centres, in its shape with grey bars",
}
GENERIC_NAMES = {
    "detect",
    "detect_quant",
    "model",
    "model_quant",
    "model_float",
    "best",
    "export",
}  # the folder says more
# The operation's own defaults where a file leaves its scales out
# (tensorflow/lite/kernels/detection_postprocess.cc).
_SCALES = {"y_scale": 10.0, "x_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0}

PER_CLASS_NOTE = (
    "Its post-processing suppresses class by class, where LiteRT 2.3 on exactly two threads loses detections"
    " (measured), so it runs on one."
)


class TFLiteDetector:
    """Loads once; safe to call from several threads (one picture at a time goes through the network).

    Args:
        path: the .tflite file.
        classes, labels: the class map, or a label map's path, or the names; else from the file's metadata,
            else found beside it, else COCO's where the number of classes fits.
        num_threads: of the interpreter; by default as many as this process may use, at most 4. A file that
            suppresses class by class (`use_regular_nms`) always runs on one, see `PER_CLASS_NOTE`.
        input_range: (low, high) of a float input, when the file's metadata do not state it.
        input_size: (W, H), only for a file whose input size is free.
        resize: one of `RESIZES`; what the file states where None, else "half-pixel".

    Raises:
        InputError: an unknown resize.
        ModelError: not a TFLite file, not a detector, or an operation that this runtime lacks.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        name: str | None = None,
        source: str | None = None,
        classes: ClassMap | None = None,
        labels: str | Path | Sequence[str] | None = None,
        num_threads: int | None = None,
        input_range: tuple[float, float] | None = None,
        input_size: tuple[int, int] | None = None,
        resize: str | None = None,
    ):
        path = Path(path)
        if not path.is_file():
            raise ModelError("expected a .tflite file, there is none.", path=path)
        facts = read_facts(path)
        per_class = bool((facts.postprocess or {}).get("use_regular_nms"))
        threads = 1 if per_class else num_threads or min(4, usable_cores())
        self._interpreter = load_interpreter(path, facts, threads)
        self._input, self.input_size, channels_first = read_input(self._interpreter, input_size, path)
        if channels_first:
            raise ModelError(
                "expected the channels of the image last with outputs like these, this file has them first.",
                path=path,
            )
        self._resize = resize or facts.own.get("resize", "half-pixel")
        if self._resize not in RESIZES:
            raise InputError(f"resize: expected one of {', '.join(RESIZES)}, got {self._resize!r}.")
        self._raw_settings = dataclasses.replace(RAW_SETTINGS, **facts.own.get("postprocess", {}))
        self._prepare, feeding, notes = _feeding(self._input, facts, input_range)
        self._outputs = self._interpreter.get_output_details()
        self._scaling = {int(d["index"]): d["quantization"] for d in self._outputs}
        self._lock = threading.Lock()
        self.left_out = 0  # detections of classes that the label map does not name, since loading

        values = self._invoke(_probe(self.input_size), list(self._scaling))
        self._layout = find_layout(self._interpreter, self._outputs, facts.output_names, values, str(path))
        inner = set(self._layout.inner or ())
        self._scaling |= {
            int(d["index"]): d["quantization"]
            for d in self._interpreter.get_tensor_details()
            if d["index"] in inner
        }
        self._options = {**_SCALES, **(facts.postprocess or {})}
        self._background = 0
        outputs = self._count_classes(values)
        class_map, label_notes = choose_labels(
            labels=labels, classes=classes, folders=[path.parent], outputs=outputs, packed=facts.labels
        )
        if self._layout.kind == "raw":
            width = values[self._layout.tensors["scores"]].shape[-1]
            self._background = int(width == 91 or max(class_map.external_ids) == width - 1)
            class_map, label_notes = choose_labels(
                labels=labels,
                classes=classes,
                folders=[path.parent],
                outputs=width - self._background,
                packed=facts.labels,
            )
            self._logits = bool(
                (values[self._layout.tensors["scores"]] < 0).any()
                or (values[self._layout.tensors["scores"]] > 1).any()
            )
        self._of_external = np.full(max(class_map.external_ids, default=0) + 1, -1, np.int64)
        self._of_external[list(class_map.external_ids)] = np.arange(len(class_map))
        self._columns = np.array(class_map.external_ids, np.int64) - 1 + self._background

        settings: dict[str, Any] = {
            "input": feeding,
            "resize": RESIZES[self._resize],
            "outputs_by": self._layout.decided_by,
        }
        if facts.postprocess is not None:
            settings |= {k: v for k, v in sorted(facts.postprocess.items()) if not k.startswith("_")}
        elif self._layout.kind == "raw":
            settings |= dataclasses.asdict(self._raw_settings)
        capabilities = (
            {"candidates"} if self._layout.kind == "raw" or self._inner_is_readable(values) else set()
        )
        if self._layout.kind == "raw" or float(self._options.get("nms_score_threshold", 1.0)) <= 0.05:
            capabilities.add("low_scores")
        if per_class:
            notes += (PER_CLASS_NOTE,)
        rows = self._options.get("max_detections")
        if rows and rows <= 20:
            notes += (
                f"It returns at most {rows} objects a picture; pictures with more lose the weaker ones.",
            )
        self.info = DetectorInfo(
            name=name or (path.parent.resolve().name if path.stem in GENERIC_NAMES else path.stem),
            kind="tflite",
            class_map=class_map,
            weights_hash=hash_answers(hash_files([path]), class_map, settings),
            input_size=self.input_size,
            capabilities=frozenset(capabilities),
            source=source or str(path),
            settings=settings,
            notes=notes + label_notes,
        )

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        check_images(images)
        return [
            self._detected(self._stretched(image), (image.shape[1], image.shape[0])).named(
                self.info.class_map
            )
            for image in images
        ]

    def candidates(self, images: Sequence[np.ndarray]) -> list[Candidates]:
        """What went into the file's post-processing: decoded boxes, class scores, anchors.

        Raises:
            CapabilityError: the file hides them.
        """
        self._needs_candidates()
        check_images(images)
        return [self._shown(self._stretched(image), (image.shape[1], image.shape[0])) for image in images]

    def resized(self, image: np.ndarray) -> np.ndarray:
        """One picture at the input's size, float32 pixels 0..255 (`detector.core.Staged`)."""
        return self._stretched(image).astype(np.float32)

    def detect_resized(
        self, pixels: Sequence[np.ndarray], sizes: Sequence[tuple[int, int]]
    ) -> list[Detections]:
        """`detect` from `resized` pictures of originals of these sizes."""
        return [self._detected(p, size) for p, size in zip(pixels, sizes)]

    def candidates_resized(
        self, pixels: Sequence[np.ndarray], sizes: Sequence[tuple[int, int]]
    ) -> list[Candidates]:
        """`candidates` from `resized` pictures."""
        self._needs_candidates()
        return [self._shown(p, size) for p, size in zip(pixels, sizes)]

    def _needs_candidates(self) -> None:
        if "candidates" not in self.info.capabilities:
            raise CapabilityError(
                f"{self.info.name} does not show its candidates: the file holds no readable {POSTPROCESS}"
                " operation."
            )

    def _stretched(self, image: np.ndarray) -> np.ndarray:
        if self._resize == "legacy":
            return stretch(image, self.input_size)
        if self._resize == "letterbox":
            return whole((image.shape[1], image.shape[0]), self.input_size, "letterbox").pixels(image)
        return _resized(image, self.input_size)

    def _detected(self, pixels: np.ndarray, size: tuple[int, int]) -> Detections:
        values = self._invoke(pixels, list(self._layout.tensors.values()))
        return (
            self._from_rows(values, size)
            if self._layout.kind == "detections"
            else self._from_raw(values, size)
        )

    def _shown(self, pixels: np.ndarray, size: tuple[int, int]) -> Candidates:
        if self._layout.kind == "raw":
            xyxy, scores = self._raw_rows(self._invoke(pixels, list(self._layout.tensors.values())), size)
            return Candidates(xyxy, scores, size)
        encodings, scores, anchors = self._invoke(pixels, self._layout.inner).values()
        yxyx = decode_boxes(encodings[0], anchors, self._options)
        centre = np.concatenate(
            [anchors[:, :2] - anchors[:, 2:] / 2, anchors[:, :2] + anchors[:, 2:] / 2], axis=1
        )
        return Candidates(
            self._placed(yxyx, size), self._pick(scores[0]), size, anchors=self._placed(centre, size)
        )

    def _placed(self, yxyx: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Shares of the input to pixels of the picture."""
        if self._resize == "letterbox":
            x1, y1, x2, y2 = whole(size, self.input_size, "letterbox").window
            yxyx = (yxyx * [y2 - y1, x2 - x1, y2 - y1, x2 - x1] + [y1, x1, y1, x1]) / [
                size[1],
                size[0],
                size[1],
                size[0],
            ]
        return _pixels(yxyx, size)

    def _invoke(self, pixels: np.ndarray, tensors: Sequence[int]) -> dict[int, np.ndarray]:
        """Copies of these tensors after one picture of the input's size (uint8, or float32 0..255),
        dequantised.
        """
        fed = self._prepare(pixels)[None]
        with self._lock:
            self._interpreter.set_tensor(self._input["index"], fed)
            self._interpreter.invoke()
            found = {i: self._interpreter.get_tensor(i) for i in tensors}
        for i, value in found.items():
            scale, zero = self._scaling.get(i, (0.0, 0))
            if value.dtype != np.float32 or scale:
                found[i] = (value.astype(np.float32) - zero) * (scale or 1.0)
        return found

    def _count_classes(self, values: dict[int, np.ndarray]) -> int | None:
        if self._layout.kind == "raw":
            width = values[self._layout.tensors["scores"]].shape[-1]
            return width - (width == 91)
        if "num_classes" in self._options:
            count = int(self._options["num_classes"])
            if self._layout.inner:
                shape = next(
                    d["shape"]
                    for d in self._interpreter.get_tensor_details()
                    if d["index"] == self._layout.inner[1]
                )
                self._background = max(0, int(shape[-1]) - count)
            return count
        return None

    def _inner_is_readable(self, values: dict[int, np.ndarray]) -> bool:
        """Whether the operation's inputs can be read after a run: its best score must be among them."""
        if self._layout.inner is None:
            return False
        try:
            encodings, scores, anchors = self._invoke(_probe(self.input_size), self._layout.inner).values()
        except (ValueError, RuntimeError):
            return False
        best = values[self._layout.tensors["scores"]].max()
        inside = scores.min() >= -1e-3 and scores.max() <= 1 + 1e-3
        shaped = (
            encodings.ndim == 3
            and anchors.shape == encodings.shape[1:]
            and scores.shape[:2] == encodings.shape[:2]
        )
        return bool(shaped and inside and abs(scores[..., self._background :].max() - best) < 1e-4)

    def _from_rows(self, values: dict[int, np.ndarray], size: tuple[int, int]) -> Detections:
        tensors = self._layout.tensors
        scores = values[tensors["scores"]].reshape(-1)
        n = (
            min(len(scores), int(np.rint(values[tensors["count"]].reshape(-1)[0])))
            if "count" in tensors
            else len(scores)
        )
        scores = np.clip(scores[:n], 0, 1)
        ids = np.rint(values[tensors["classes"]].reshape(-1)[:n]).astype(np.int64) + 1
        inside = (ids >= 0) & (ids < len(self._of_external))
        class_ids = np.where(inside, self._of_external[np.where(inside, ids, 0)], -1)
        keep = np.flatnonzero((class_ids >= 0) & (scores > 0))
        self.left_out += int(((class_ids < 0) & (scores > 0)).sum())
        keep = keep[np.argsort(-scores[keep], kind="stable")]
        xyxy = self._placed(values[tensors["boxes"]].reshape(-1, 4)[:n][keep], size)
        return Detections(boxes.clip(xyxy, size), scores[keep], class_ids[keep], size)

    def _raw_rows(
        self, values: dict[int, np.ndarray], size: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        scores = values[self._layout.tensors["scores"]][0]
        if self._logits:
            scores = 0.5 * (1 + np.tanh(0.5 * scores))
        return self._placed(values[self._layout.tensors["boxes"]][0], size), self._pick(scores)

    def _from_raw(self, values: dict[int, np.ndarray], size: tuple[int, int]) -> Detections:
        xyxy, scores = self._raw_rows(values, size)
        return replay(Candidates(xyxy, scores, size), self._raw_settings)

    def _pick(self, scores: np.ndarray) -> np.ndarray:
        """Columns in class map order, clipped to 0..1; a class the file has no column for gets zeros."""
        inside = self._columns < scores.shape[1]
        picked = np.clip(scores[:, np.where(inside, self._columns, 0)], 0, 1)
        picked[:, ~inside] = 0
        return picked


def decode_boxes(encodings: np.ndarray, anchors: np.ndarray, scales: dict[str, Any]) -> np.ndarray:
    """[A, 4] ty, tx, th, tw on anchors [A, 4] (centre y, centre x, height, width) to ymin, xmin, ymax, xmax.

    The rule of TFLite_Detection_PostProcess and of the Object Detection API's FasterRcnnBoxCoder.
    """
    y = encodings[:, 0] / scales["y_scale"] * anchors[:, 2] + anchors[:, 0]
    x = encodings[:, 1] / scales["x_scale"] * anchors[:, 3] + anchors[:, 1]
    half_h = 0.5 * np.exp(encodings[:, 2] / scales["h_scale"]) * anchors[:, 2]
    half_w = 0.5 * np.exp(encodings[:, 3] / scales["w_scale"]) * anchors[:, 3]
    return np.stack([y - half_h, x - half_w, y + half_h, x + half_w], axis=1)


def _pixels(yxyx: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if not np.isfinite(yxyx).all():
        raise ModelError(
            "The model returned boxes that are not finite numbers; its weights or its input are broken."
        )
    xyxy = boxes.denormalise(boxes.yxyx_to_xyxy(yxyx), size).astype(np.float32)
    return boxes.ordered(xyxy)


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if (image.shape[1], image.shape[0]) == size:
        return image
    import cv2

    return cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_LINEAR)


def _bytes(pixels: np.ndarray) -> np.ndarray:
    """Pixels as uint8, rounded where they are not whole."""
    return pixels if pixels.dtype == np.uint8 else np.rint(pixels).clip(0, 255).astype(np.uint8)


def _probe(size: tuple[int, int]) -> np.ndarray:
    """A picture with edges in it, run once at loading: it tells outputs apart and warms up."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, ((x // 24 + y // 24) % 2) * 200], axis=-1).astype(
        np.uint8
    )


def _feeding(
    details: dict, facts: TFLiteFacts, asked: tuple[float, float] | None
) -> tuple[Callable[[np.ndarray], np.ndarray], str, tuple[str, ...]]:
    """How pixels become the input: the function, its name for `settings`, and notes."""
    dtype = details["dtype"]
    if dtype != np.float32:
        scale, zero = details["quantization"]
        low = 0 if dtype == np.uint8 else -128
        real = f"{scale * (low - zero):.2f}..{scale * (low + 255 - zero):.2f}"
        if dtype == np.uint8:
            return _bytes, f"uint8, pixels as they are (stand for {real})", ()
        return (
            (lambda image: (_bytes(image) ^ 0x80).view(np.int8)),
            f"int8, pixels less 128 (stand for {real})",
            (),
        )
    if facts.mean and facts.std and asked is None:
        mean, std = np.array(facts.mean, np.float32), np.array(facts.std, np.float32)
        said = f"float32, (pixel - {_short(facts.mean)}) / {_short(facts.std)}"
        return (
            (lambda image: (image - mean) / std),
            said,
            (f"The input range comes from the file's metadata: {said}.",),
        )
    low, high = asked or (-1.0, 1.0)
    step, start = np.float32((high - low) / 255), np.float32(low)
    said = f"float32, {low:g}..{high:g}"
    note = (
        ()
        if asked
        else (
            (
                "The file does not state the range of its float input; -1..1 was taken, the Object Detection"
                " API's for MobileNets (input_range changes it)."
            ),
        )
    )
    return (lambda image: image * step + start), said, note


def _short(values: Sequence[float]) -> str:
    return f"{values[0]:g}" if len(set(values)) == 1 else "[" + ", ".join(f"{v:g}" for v in values) + "]"
