"""One picture through the fully convolutional network against the patch classifier on each window: at least
30 times faster, with the same answer at every position.

The window loop is the plain one: cut a window out, call the Keras classifier of the UIUC recipe on it. What
is left of the ratio when that call is a compiled function, and when it takes 128 windows at a time, is
printed beside it.
"""

from __future__ import annotations

import os
import sys

import numpy as np

from tests.benchmarks.timing import compare, seconds

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
LEAST = 30.0
REPEATS = 3


def main() -> int:
    from detector.sliding.convert import to_fully_convolutional
    from detector.sliding.network import patch_classifier
    from detector.sliding.scan import compiled, scan

    classifier = patch_classifier()
    rng = np.random.default_rng(0)
    classifier.set_weights(
        [w + rng.normal(0, 0.01, w.shape).astype(w.dtype) ** 2 for w in classifier.get_weights()]
    )
    wide, geometry = to_fully_convolutional(classifier)
    whole, single = compiled(wide), compiled(classifier)
    grey = rng.integers(0, 256, (150, 220), np.uint8)
    columns, rows = geometry.map_size((220, 150))
    windows = geometry.boxes(columns, rows).astype(int)

    def threshold(box) -> np.ndarray:
        x1, y1, x2, y2 = box
        return grey[y1:y2, x1:x2, None].astype(np.float32) / 255

    def one_by_one() -> np.ndarray:
        return np.concatenate(
            [np.asarray(classifier(threshold(box)[None], training=False)) for box in windows]
        )

    def one_by_one_compiled() -> np.ndarray:
        return np.concatenate([single(threshold(box)[None]) for box in windows])

    def in_batches() -> np.ndarray:
        return np.concatenate(
            [
                single(np.stack([threshold(box) for box in windows[i : i + 128]]))
                for i in range(0, len(windows), 128)
            ]
        )

    def at_once():
        return scan(whole, geometry, grey, float(geometry.window[0]), 0.0)

    logits = one_by_one()
    apart = np.abs(at_once().margins.reshape(-1) - (logits[:, 1] - logits[:, 0])).max()
    times = compare(one_by_one, at_once, REPEATS)
    calls = min(seconds(one_by_one_compiled) for _ in range(REPEATS))
    batches = min(seconds(in_batches) for _ in range(REPEATS))
    print(f"220x150 picture, {len(windows)} windows; largest difference of the two answers {apart:.1e}")
    print(
        f"fully convolutional {times.b * 1e3:.0f} ms, window by window {times.a * 1e3:.0f} ms:"
        f" {times.ratio:.1f} times faster (promised {LEAST:g})"
    )
    print(
        f"each window through a compiled function: {calls * 1e3:.0f} ms, {calls / times.b:.1f} times slower"
        " than at once"
    )
    print(f"128 windows a call: {batches * 1e3:.0f} ms, {batches / times.b:.1f} times slower than at once")
    return int(times.ratio < LEAST or apart >= 1e-5)


if __name__ == "__main__":
    sys.exit(main())
