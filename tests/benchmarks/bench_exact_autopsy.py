"""What exact verdicts and proofs of an image's misses cost with its candidates at hand, in forward passes of
the network.

    python -m tests.benchmarks.bench_exact_autopsy RUN [--images 60]

A pass is a picture's share of one forward pass at batch 8, measured in the same process: the Keras network
(as in `bench_saliency`, where the detector has one) and the detector's own `detect`, which may be a quicker
build of it. Promised: at most 0.2 passes with candidates stored, 1.3 with the pass that makes them, in the
median image. Exits 1 where not kept.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from analysis import open_run
from analysis.matching.match import match_run
from analysis.matching.operating_point import class_thresholds
from analysis.misses.causes import run_evidence
from analysis.misses.image_verdicts import explain_image
from detector import load_detector
from tests.benchmarks.timing import seconds

PROMISED = {"stored": 0.2, "whole": 1.3}


def share(call: Callable[[], object], pictures: int) -> float:
    """A picture's share of a call in seconds, the median of five after one that builds what it needs."""
    call()
    return statistics.median(seconds(call) for _ in range(5)) / pictures


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run")
    parser.add_argument("--model", help="the run's detector, where its manifest does not say")
    parser.add_argument("--images", type=int, default=60)
    options = parser.parse_args()
    run = open_run(options.run)
    detector = load_detector(options.model or run.manifest.detector.source)
    m, thresholds = match_run(run, 0.5), class_thresholds(0.5, len(run.class_map))
    evidence = run_evidence(run, m, thresholds)
    rows = np.unique(m.truth_rows[evidence.truth])[: options.images].tolist()
    images = [run.load_image(i) for i in rows]
    candidates = [detector.candidates([image])[0] for image in images]
    settings = detector.info.settings

    times, exact, misses = [], 0, 0
    for i, found in zip(rows, candidates):
        explain_image(run, m, thresholds, i, evidence, found, settings)
        started = time.perf_counter()
        verdicts = explain_image(run, m, thresholds, i, evidence, found, settings)
        times.append(time.perf_counter() - started)
        exact += verdicts.replay is not None
        misses += len(verdicts.rows)
        assert all(proof.holds for proof in verdicts.proofs.values()), "a proof that does not hold"
    eight = images[:8]
    asked = share(lambda: detector.candidates(eight), len(eight))
    passes = {"detect": share(lambda: detector.detect(eight), len(eight))}
    if "gradients" in detector.info.capabilities:
        batch = np.stack([detector.frame(images[0]).inputs] * 8)
        passes["Keras"] = share(lambda: detector.network.predict_on_batch(batch), 8)
    median = statistics.median(times)
    print(f"{len(rows)} images, {misses} misses, {exact} images replayed exactly; every proof holds")
    print(
        f"verdicts and proofs: median {1e3 * median:.1f} ms, mean {1e3 * np.mean(times):.1f}, ninth tenth"
        f" {1e3 * np.quantile(times, 0.9):.1f}, most {1e3 * max(times):.1f}"
    )
    for name, one in passes.items():
        print(
            f"{name}: {1e3 * one:.1f} ms a picture at batch 8; median {median / one:.2f} passes, mean"
            f" {np.mean(times) / one:.2f}; with asking the candidates {(asked + median) / one:.2f}"
        )
    one = passes.get("Keras", passes["detect"])
    kept = median / one <= PROMISED["stored"] and (asked + median) / one <= PROMISED["whole"]
    print("promises kept" if kept else f"promised at most {PROMISED}")
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main())
