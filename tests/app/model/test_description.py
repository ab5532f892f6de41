"""What a detector is, in rows."""

from app.model.description import described
from detector.core import ClassMap, DetectorInfo


def info(**more) -> DetectorInfo:
    names = tuple(f"c{i}" for i in range(8))
    return DetectorInfo("n", "onnx", ClassMap(names), "0" * 16, **more)


def test_all_rows_of_a_file_that_says_everything():
    settings = {"family": "YOLOX", "input": "RGB", "resize": "stretched", "decided_by": "its shape"}
    rows = dict(
        described(info(input_size=(32, 64), capabilities=frozenset({"candidates"}), settings=settings))
    )
    assert rows == {
        "what it is": "YOLOX · ONNX file",
        "input": "32×64, RGB, stretched",
        "classes": "c0, c1, c2, c3, c4, c5, … (8 in all)",
        "what it can": "shows boxes and class scores before NMS",
        "decided by": "its shape",
    }


def test_what_is_not_known_is_left_out():
    rows = dict(described(info()))
    assert rows["what it is"] == "ONNX file" and rows["input"] == "any size" and "decided by" not in rows
    assert rows["what it can"] == "returns detections only"
