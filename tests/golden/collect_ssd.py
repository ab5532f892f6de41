"""`python -m tests.golden.collect_ssd REFERENCE`: thin the reference's numbers out into
`tests/golden/ssd_<network>.npz`.

Provenance. REFERENCE holds what the TF2 Object Detection API computed (TensorFlow 2.15.1, Keras 2.15.0, CPU,
the code of tensorflow/models as vendored by Barrylimarti/object-detection at e3c2bcc, unmodified zoo configs)
for weights drawn by a rule (`tests/detector/ssd/seeded.py`), three generated pictures and two synthetic
predictions. The same numbers were confirmed by an independent re-implementation on TensorFlow 2.20.0. Only
every n-th value is kept here; the names say the strides.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from detector.ssd.config import PRESETS
from tests.golden.ssd_strides import PICTURES, anchor_rows, feature_slice, rows_of

HERE = Path(__file__).parent


def collect(reference: Path) -> None:
    for name in PRESETS:
        folder, out = reference / name, {}
        anchors = np.load(folder / "anchors.npz")["anchors"]
        out["anchors"] = anchors[anchor_rows(len(anchors))]
        for picture in PICTURES:
            full = np.load(folder / f"golden_{picture}.npz")
            out[f"{picture}/preprocessed"] = full["pre_slice"][::5, ::5]
            for key in [k for k in full.files if k.startswith("feat")]:
                out[f"{picture}/{key.removesuffix('_slice')}"] = feature_slice(full[key])
            for key, rows in (("box_encodings", "anchor_idx"), ("class_logits", "class_logits_idx")):
                chosen = rows_of(len(full[rows]), 32)
                out[f"{picture}/{key}_rows"] = full[rows][chosen].astype(np.int32)
                out[f"{picture}/{key}"] = (
                    full[key][chosen] if key == "box_encodings" else full[key][chosen][:, ::9]
                )
            out[f"{picture}/detections"] = np.column_stack(
                [full["detection_anchor_indices"], full["detection_classes"]]
            ).astype(np.int32)
            out[f"{picture}/detection_scores"] = full["detection_scores"]
            out[f"{picture}/detection_boxes"] = full["detection_boxes"]
        synthetic = np.load(folder / "postprocess_synthetic.npz")
        for kind in ("dense", "sparse"):
            count = int(synthetic[f"{kind}_num_detections"])
            ids = [synthetic[f"{kind}_detection_{k}"][:count] for k in ("anchor_indices", "classes")]
            out[f"{kind}/detections"] = np.column_stack(ids).astype(np.int32)
            out[f"{kind}/scores"] = synthetic[f"{kind}_detection_scores"][:count]
            out[f"{kind}/boxes"] = synthetic[f"{kind}_detection_boxes"][:count]
        np.savez_compressed(HERE / f"{PRESETS[name]().architecture}.npz", **out)


if __name__ == "__main__":
    collect(Path(sys.argv[1]))
