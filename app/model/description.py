"""What a detector is, in a few rows for people: the Detect page and `boxscope models FILE` show them."""

from __future__ import annotations

from detector.core import CAPABILITIES, DetectorInfo

KINDS = {
    "tflite": "TensorFlow Lite file",
    "onnx": "ONNX file",
    "saved_model": "SavedModel",
    "keras_ssd": "SSD, open inside",
    "sliding_window": "sliding window",
    "two_head": "two-head network",
    "predictions": "results file",
}
FEW = 6


def described(info: DetectorInfo) -> list[tuple[str, str]]:
    """(what, value) rows: what it is, its input, classes and capabilities, and what decided its reading."""
    settings, names = info.settings, info.class_map.names
    size = f"{info.input_size[0]}×{info.input_size[1]}" if info.input_size else "any size"
    more = f", … ({len(names)} in all)" if len(names) > FEW else ""
    able = "; ".join(CAPABILITIES[name] for name in sorted(info.capabilities)) or "returns detections only"
    rows = [
        (
            "what it is",
            " · ".join([str(settings.get("family", "")), KINDS.get(info.kind, info.kind)]).strip(" ·"),
        ),
        ("input", ", ".join(str(v) for v in (size, settings.get("input"), settings.get("resize")) if v)),
        ("classes", ", ".join(names[:FEW]) + more),
        ("what it can", able),
    ]
    decided = settings.get("decided_by") or settings.get("outputs_by")
    return rows + ([("decided by", str(decided))] if decided else [])
