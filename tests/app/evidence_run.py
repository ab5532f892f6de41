"""A stored run of a tiny real network that needs no TensorFlow: a cell of a picture is an object of the
colour it is lit in.
"""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

CLASSES = ("red", "green", "blue")
SIZE = (64, 48)  # four cells of 16 pixels across, three down
BOX = [32, 16, 48, 32]  # row 1, column 2
DIM = [0, 32, 16, 48]  # row 2, column 0: an object the network does not see


def write(home: Path, name: str = "cells") -> Path:
    """The run's folder under the data directory: one picture with a green cell that is found and a red one
    that is missed.
    """
    from analysis.runs.store import RunWriter, create_run
    from detector import load_dataset
    from detector.models.tflite import TFLiteDetector
    from tests.detector.models.tflite_builder import build, cell_picture

    folder = home / "cells"
    folder.mkdir(parents=True)
    Image.fromarray(cell_picture(1, 2, 1, *SIZE)).save(folder / "lit.png")
    boxes = [(2, BOX), (1, DIM)]
    (folder / "truth.json").write_text(
        json.dumps(
            {
                "images": [{"id": 1, "file_name": "lit.png", "width": SIZE[0], "height": SIZE[1]}],
                "categories": [{"id": k + 1, "name": c} for k, c in enumerate(CLASSES)],
                "annotations": [
                    {
                        "id": 10 + n,
                        "image_id": 1,
                        "category_id": k,
                        "bbox": [x1, y1, x2 - x1, y2 - y1],
                        "area": 256,
                        "iscrowd": 0,
                    }
                    for n, (k, (x1, y1, x2, y2)) in enumerate(boxes)
                ],
            }
        )
    )
    dataset = load_dataset(folder / "truth.json")
    detector = TFLiteDetector(build(folder / "cells.tflite", packed={"labels.txt": "\n".join(CLASSES)}))
    create_run(home / "runs" / name, dataset, detector.info, floor=0.01)
    with RunWriter(home / "runs" / name) as writer:
        writer.add(0, detector.detect([dataset.load_image(0)])[0])
        writer.finish("done")
    return home / "runs" / name
