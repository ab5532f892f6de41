"""What each heat map costs, in forward passes of the same network (Keras, batch of 8, a picture's share), in
one process.

    python -m tests.benchmarks.bench_saliency [DETECTOR [DATA]]     a detector with gradients; its pictures,
        or drawn noise

Promised: confidence map at most 1.3 passes, LayerCAM 4, integrated gradients with 16 steps 60, D-RISE's first
picture 70, and reliability 0.9 within 300 masks on the median object. Exits 1 where one is not kept.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from typing import Any

import numpy as np

from analysis.saliency.confidence import confidence_map
from analysis.saliency.methods import explain, find_target, last
from detector import load_dataset, load_detector
from detector.core import ClassMap
from detector.ssd.config import mobilenet_v2_fpnlite
from tests.benchmarks.timing import seconds

PROMISED = {"confidence_map": 1.3, "layer_cam": 4.0, "integrated_gradients": 60.0, "d_rise": 70.0}
MASKS = 300.0


def seeded_detector() -> Any:
    """A network whose cost is that of a trained one; what its heat maps show means nothing."""
    from detector.models.keras_ssd import KerasSSD  # TensorFlow takes seconds to load
    from detector.ssd.weights import network_arrays
    from tests.detector.ssd.networks import no_cache, seeded_network

    config = mobilenet_v2_fpnlite()
    with no_cache():
        arrays = network_arrays(seeded_network(config))
    return KerasSSD(config, arrays, ClassMap(tuple(f"class {k}" for k in range(1, 91))), runtime="keras")


def first_picture(detector: Any, image: np.ndarray, target: Any) -> None:
    next(explain(detector, image, [target], "d_rise"))


def masks_needed(detector: Any, image: np.ndarray, target: Any) -> int:
    """Masks until reliability 0.9, at most 512."""
    return int(last(explain(detector, image, [target], "d_rise"))[0].params["masks"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "detector", nargs="?", help="left out: SSD MobileNetV2 FPNLite with the tests' weights"
    )
    parser.add_argument("data", nargs="?")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--objects", type=int, default=9, help="for the masks D-RISE needs")
    options = parser.parse_args()
    detector = load_detector(options.detector) if options.detector else seeded_detector()
    if options.data:
        dataset = load_dataset(options.data)
        images = [
            dataset.load_image(i) for i in range(0, len(dataset), max(1, len(dataset) // options.objects))
        ][: options.objects]
    else:
        images = [
            np.random.default_rng(k).integers(0, 256, (480, 640, 3), dtype=np.uint8)
            for k in range(options.objects)
        ]
    targets = []
    for image in images:
        c = detector.candidates([image])[0]
        row, k = np.unravel_index(int(c.scores.argmax()), c.scores.shape)
        targets.append(
            find_target(
                detector,
                image,
                np.clip(c.xyxy[row], 0, [*c.image_size] * 2),
                int(k),
                anchor_id=int(row),
                candidates=c,
            )
        )
    image, target = images[0], targets[0]
    batch = np.stack([detector.frame(image).inputs] * 8)
    calls = {
        "forward": lambda: detector.network.predict_on_batch(batch),
        "confidence_map": lambda: confidence_map(
            detector.candidates([image])[0], class_ids=target.class_id, side=160
        ),
        "layer_cam": lambda: last(explain(detector, image, [target], "layer_cam")),
        "integrated_gradients": lambda: last(
            explain(detector, image, [target], "integrated_gradients", most_steps=16)
        ),
        "d_rise": lambda: first_picture(detector, image, target),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():  # graphs are traced and interpreters made outside the clock
        call()
    for _ in range(options.repeats):
        for name, call in calls.items():
            times[name].append(seconds(call))
    unit = statistics.median(times["forward"]) / 8
    print(f"one forward pass (Keras, batch of 8, a picture's share): {1000 * unit:.1f} ms")
    kept = True
    for name, promised in PROMISED.items():
        took = statistics.median(times[name])
        # The ratio is of measurements that lay beside each other, so that a busy machine slows both.
        ratio = statistics.median(8 * t / f for t, f in zip(times[name], times["forward"]))
        kept &= ratio <= promised
        what = "first picture of d_rise (64 masks)" if name == "d_rise" else name
        print(f"{what}: {1000 * took:.0f} ms, {ratio:.1f} passes (promised at most {promised:g})")
    needed = [masks_needed(detector, i, t) for i, t in zip(images, targets)]
    median = statistics.median(needed)
    kept &= median <= MASKS
    print(
        f"d_rise: reliability 0.9 after {median:.0f} masks on the median of {len(needed)} objects"
        f" ({min(needed)} to {max(needed)}; promised at most {MASKS:g})"
    )
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
