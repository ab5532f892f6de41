"""Files that people bring and Boxscope does not open: what each is, and the way that works from there."""

from __future__ import annotations

from pathlib import Path

EXPORT = (
    "export it (`yolo export model={name} format=tflite`, or format=onnx) and bring that file, or give its"
    " results as a COCO .json (predictions.json)"
)
BY_SUFFIX = {
    ".pt": "a PyTorch file, which would have to be run to be read; " + EXPORT,
    ".pth": (
        "a PyTorch file, which would have to be run to be read; export it to .onnx and bring that, or give"
        " its results as a COCO .json"
    ),
    ".torchscript": "a TorchScript file; " + EXPORT,
    ".engine": "a TensorRT engine, which runs on one GPU only; bring the .onnx it was built from",
    ".pb": (
        "a frozen TensorFlow 1 graph; export it as a SavedModel (export_inference_graph.py) or as a .tflite"
        " (export_tflite_ssd_graph.py)"
    ),
    ".keras": (
        "a Keras file; export it as a SavedModel with the Object Detection API's outputs, or write a"
        " `python:` entry of the catalogue for it"
    ),
    ".h5": (
        "a Keras file; export it as a SavedModel with the Object Detection API's outputs, or write a"
        " `python:` entry of the catalogue for it"
    ),
    ".index": "a checkpoint; give the folder that holds pipeline.config and checkpoint/",
    ".mlmodel": (
        "a Core ML file, which runs on Apple's systems only; export the same network as .tflite or .onnx"
    ),
    ".mlpackage": (
        "a Core ML package, which runs on Apple's systems only; export the same network as .tflite or .onnx"
    ),
    ".weights": "Darknet's weights; convert them to .onnx, or give their results as a COCO .json",
    ".bin": "half of an OpenVINO model; bring the .onnx or .tflite it was made from",
    ".xml": (
        "an OpenVINO model (its weights lie in the .bin beside it); bring the .onnx or .tflite it was made"
        " from"
    ),
    ".task": "a MediaPipe task bundle; it is a zip archive, bring the .tflite inside",
}


def reason(path: Path) -> str | None:
    """What a file is that cannot be a detector, and what to do; None where nothing speaks against it.

    Looks at the name and the first bytes.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(256)
    except OSError:
        return None
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file itself; fetch it with `git lfs pull` and bring the result"
    if head.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        return "a web page under a model's name, as a failed download leaves it; download the file again"
    if path.name.lower().endswith((".crdownload", ".part", ".download")):
        return "a download that has not finished; wait for it, or start it again"
    suffix = path.suffix.lower()
    if suffix in BY_SUFFIX:
        return BY_SUFFIX[suffix].replace("{name}", path.name)
    return None
