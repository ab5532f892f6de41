"""`python -m detector.ssd.litert_build JOB OUT`: convert a network to LiteRT and check it. Run by
`detector.ssd.litert`.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np


def main(job: str, out: str) -> int:
    import keras
    from ai_edge_litert.interpreter import Interpreter

    from detector.ssd.litert import TOLERANCE, output_indices
    from detector.ssd.model import build_ssd
    from detector.ssd.weights import assign_arrays

    with np.load(job) as stored:
        arrays = {name: stored[name] for name in stored.files}
    config = pickle.loads(arrays.pop("__config__").tobytes())  # written by the parent process a moment ago
    network = build_ssd(config, batch_size=1)
    assign_arrays(network, arrays)
    # Without a fixed batch the file keeps dynamic shapes, which cost a fifth of the speed.
    fixed = [keras.InputSpec(shape=(1, config.height, config.width, 3), dtype="float32")]
    network.export(out, format="litert", verbose=False, input_signature=fixed)
    # A conversion can succeed and leave the weights behind.
    expected = 4 * network.count_params()
    size = Path(out).stat().st_size
    if size < 0.9 * expected:
        raise SystemExit(f"the file has {size} bytes for {expected} bytes of weights")
    image = np.random.default_rng(0).uniform(-1, 1, (1, config.height, config.width, 3)).astype(np.float32)
    want = {k: keras.ops.convert_to_numpy(v) for k, v in network(image, training=False).items()}
    interpreter = Interpreter(out)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    for name, index in zip(("box_encodings", "class_logits"), output_indices(interpreter)):
        difference = float(np.abs(interpreter.get_tensor(index) - want[name]).max())
        if not difference < TOLERANCE:
            raise SystemExit(f"its {name} differ from Keras by {difference:g}, more than {TOLERANCE:g}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
