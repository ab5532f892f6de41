"""Input of two-head training: Boxscope's numbered batches beside tf.data doing the same work, images per
second on all cores.

    python -m tests.benchmarks.bench_two_head_input [--pictures 96]

Both decode JPEG files of 500x375, cut a random window, resize to 224x224, mirror, recolour and batch by 16.
Numbered batches can be resumed at any step without going through those before it, which tf.data cannot; they
may cost at most a quarter more time. Exits with 1 where they cost more.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.benchmarks.timing import compare

BATCH, SIDE, MOST = 16, 224, 1.25


def pictures(folder: Path, count: int):
    """A data set of noisy drawn photographs with one box each."""
    import cv2

    from detector.core import ClassMap
    from detector.data.dataset import Dataset, ObjectTable

    rng, files = np.random.default_rng(0), []
    for i in range(count):
        small = rng.integers(0, 256, (24, 32, 3), np.uint8)
        image = cv2.resize(small, (500, 375), interpolation=cv2.INTER_CUBIC)
        files.append(folder / f"{i}.jpg")
        cv2.imwrite(str(files[-1]), image)
    return Dataset(
        name="bench",
        format="demo",
        source=folder,
        class_map=ClassMap(("a",)),
        sample_ids=[f.stem for f in files],
        files=files,
        sizes=np.tile([500, 375], (count, 1)),
        objects=ObjectTable.build(range(count), np.tile([60, 50, 400, 300], (count, 1)), [0] * count),
    )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=96)
    count = parser.parse_args().pictures
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    from detector.training.two_head import data
    from detector.training.two_head.recipe import TwoHeadRecipe

    with tempfile.TemporaryDirectory() as folder:
        dataset = pictures(Path(folder), count)
        chosen, steps = data.one_object(dataset), count // BATCH
        recipe = TwoHeadRecipe(batch_size=BATCH)
        data.CACHE_BYTES = 0  # every picture is decoded each time, as in a data set larger than memory

        def ours() -> None:
            for _ in data.TwoHeadBatches(dataset, chosen, recipe).iterate(0, steps):
                pass

        def one(file):
            image = tf.io.decode_jpeg(tf.io.read_file(file), channels=3)
            edges = tf.random.uniform([4], -recipe.zoom_out, recipe.crop)
            window = tf.stack([edges[0], edges[1], 1 - edges[2], 1 - edges[3]])[None]
            image = tf.image.crop_and_resize(
                tf.cast(image, tf.float32)[None], window, [0], [SIDE, SIDE], extrapolation_value=114
            )[0]
            if tf.random.uniform([]) < 0.5:
                image = image[:, ::-1]
            brightness, contrast, saturation = tf.unstack(tf.random.uniform([3], 0.7, 1.3))
            image = image * brightness
            grey = tf.image.rgb_to_grayscale(image)
            image = grey + (image - grey) * saturation
            mean = tf.reduce_mean(grey)
            return tf.clip_by_value(tf.round(mean + (image - mean) * contrast), 0, 255)

        pipeline = (
            tf.data.Dataset.from_tensor_slices(dataset.files)
            .map(one, tf.data.AUTOTUNE)
            .batch(BATCH, drop_remainder=True)
            .prefetch(2)
        )

        def theirs() -> None:
            for _ in pipeline:
                pass

        result = compare(ours, theirs, 5)
    print(
        f"numbered batches {steps * BATCH / result.a:.0f} images/s, tf.data {steps * BATCH / result.b:.0f}"
        f" images/s, time ratio {result.a / result.b:.2f} (at most {MOST})"
    )
    return int(result.a / result.b > MOST)


if __name__ == "__main__":
    sys.exit(main())
