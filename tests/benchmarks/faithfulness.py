"""Faithfulness of the heat maps of a detector on labelled pictures, beside baselines that know nothing of the
model.

    python -m tests.benchmarks.faithfulness DETECTOR DATA --rows rows.jsonl [--objects 100] [--split val]
        [--steps 8] [--masks 288]

Objects are true positives (IoU of at least 0.5, its class, score of at least 0.3), taken evenly from sizes
and scores, at most two an image. A line per object goes to --rows at once, so that a run that was stopped
goes on and can be read. Tables go to standard output. No promise is checked here: the tables are in
docs/heatmaps.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from analysis.saliency import table
from analysis.saliency.confidence import confidence_map
from analysis.saliency.faithfulness import BASELINES, Trial
from analysis.saliency.heatmap import HeatMap
from analysis.saliency.methods import EVIDENCE_METHODS, explain, find_target, last, offers
from analysis.saliency.views import open_view
from detector import load_dataset, load_detector
from detector.boxes import area, iou


def true_positives(
    detector: Any, dataset: Any, split: str | None, seed: int, most_images: int
) -> list[tuple[int, Any, int]]:
    """(image, its detections, row) of all true positives of the images looked at, in random order."""
    rng = np.random.default_rng(seed)
    images = [i for i in range(len(dataset)) if split in (None, dataset.splits[i])]
    rng.shuffle(images)
    found = []
    names = {name: k for k, name in enumerate(dataset.class_map.names)}
    for i in images[:most_images]:
        truth = dataset.annotations(i)
        if truth is None or not len(truth):
            continue
        seen = detector.detect([dataset.load_image(i)])[0]
        own = np.array([names.get(detector.info.class_map.names[c], -1) for c in seen.class_ids], np.int64)
        fits = (iou(seen.xyxy, truth.xyxy) >= 0.5) & (own[:, None] == truth.class_ids[None])
        rows = [j for j in range(len(seen)) if seen.scores[j] >= 0.3 and fits[j].any()]
        rng.shuffle(rows)
        found += [(i, seen, j) for j in rows]
    return found


def evenly(found: list[tuple[int, Any, int]], wanted: int, an_image: int = 2) -> list[tuple[int, Any, int]]:
    """Objects taken in turn from the cells of size and score, few an image."""
    cells: dict[tuple[str, str], list] = {}
    for entry in found:
        _, seen, j = entry
        cells.setdefault(
            (table.size_of(float(area(seen.xyxy[j])[0])), table.score_of(float(seen.scores[j]))), []
        ).append(entry)
    chosen, used = [], {}
    while len(chosen) < wanted and any(cells.values()):
        for queue in cells.values():
            while queue and len(chosen) < wanted:
                entry = queue.pop(0)
                if used.get(entry[0], 0) < an_image:
                    used[entry[0]] = used.get(entry[0], 0) + 1
                    chosen.append(entry)
                    break
    return chosen


def rows_of(
    detector: Any,
    image: np.ndarray,
    name: str,
    number: int,
    seen: Any,
    j: int,
    steps: int,
    masks: int,
    with_variants: bool,
) -> Iterator[table.ObjectRow]:
    candidates = detector.candidates([image])[0]
    anchor = -1 if seen.anchor_ids is None else int(seen.anchor_ids[j])
    target = find_target(
        detector,
        image,
        seen.xyxy[j],
        int(seen.class_ids[j]),
        score=float(seen.scores[j]),
        anchor_id=anchor,
        candidates=candidates,
    )
    trial = Trial(open_view(detector, image, [target]), target, steps=steps)
    common = {
        "image": name,
        "object": number,
        "area": float(area(seen.xyxy[j])[0]),
        "score": float(seen.scores[j]),
    }
    settings: dict[str, dict] = {"d_rise": {"masks": masks}, "integrated_gradients": {"most_steps": 16}}
    possible = [o.method for o in offers(detector.info) if o.possible]
    maps = [
        HeatMap(
            "confidence_map",
            confidence_map(candidates, class_ids=target.class_id, side=320),
            seen.image_size,
            "confidence",
            forwards=1,
        )
    ]
    maps += [
        last(explain(detector, image, [target], m, **settings.get(m, {})))[0]
        for m in EVIDENCE_METHODS
        if m in possible
    ]
    for heat in maps:
        found = trial.judge(heat)
        c = found.curves
        yield table.ObjectRow(
            **common,
            method=heat.method,
            deletion=c.deletion,
            insertion=c.insertion,
            gain=c.gain,
            inside_gain=found.inside_gain,
            reliability=heat.reliability,
            completeness=heat.completeness,
            forwards=heat.forwards,
            seconds=heat.seconds,
        )
    if with_variants and "layer_cam" in possible:
        for name, ranking in variants(detector, image, target).items():
            c = trial.curves(ranking)
            yield table.ObjectRow(
                **common, method=name, deletion=c.deletion, insertion=c.insertion, gain=c.gain
            )
    for baseline in BASELINES:
        c = trial.baseline(baseline)
        yield table.ObjectRow(
            **common, method=baseline, deletion=c.deletion, insertion=c.insertion, gain=c.gain
        )


def variants(detector: Any, image: np.ndarray, target: Any) -> dict[str, np.ndarray]:
    """Other settings of the gradient methods, to choose the defaults by."""
    layers = detector.evidence_layers(target.anchor_ids)
    parts = {
        (layer, positive): (
            last(explain(detector, image, [target], "layer_cam", layers=(layer,), positive=positive))[
                0
            ].values
        )
        for layer in layers
        for positive in (True, False)
    }
    fine, own = layers[0], layers[-1]
    out = {
        "layer_cam, stride 8 only": parts[fine, True],
        "layer_cam, own level only": parts[own, True],
        "HiResCAM, own level only": parts[own, False],
        "layer_cam, product of both": np.sqrt(parts[fine, True] * parts[own, True]),
        "layer_cam stride 8 and HiResCAM own level": (parts[fine, True] + parts[own, False]) / 2,
    }
    sharp = last(explain(detector, image, [target], "integrated_gradients", most_steps=16, smooth_px=0))[
        0
    ].values
    for sigma in (2, 8):
        out[f"integrated_gradients, blurred by {sigma} px"] = cv2.GaussianBlur(
            sharp, (0, 0), sigma, borderType=cv2.BORDER_REFLECT
        )
    return out


def show(rows: list[table.ObjectRow]) -> None:
    print(table.markdown(table.summarise(rows)))
    print(f"\n| part | objects | {' | '.join(EVIDENCE_METHODS)} |\n|---|---|{'---|' * len(EVIDENCE_METHODS)}")
    for what, key in (
        ("size", lambda r: table.size_of(r.area)),
        ("score", lambda r: table.score_of(r.score)),
    ):
        for part, some in table.by(rows, key).items():
            lines = {line.method: line for line in table.summarise(some)}
            over = [lines[m] for m in EVIDENCE_METHODS if m in lines]
            cells = [
                f"{line.over_gaussian:+.2f} ({line.over_interval[0]:+.2f} to {line.over_interval[1]:+.2f})"
                for line in over
            ]
            print(
                f"| {what} {part} | {max((line.objects for line in lines.values()), default=0)} |"
                f" {' | '.join(cells)} |"
            )
    sampled = [r for r in rows if r.reliability is not None]
    if sampled:
        masks = np.array([r.forwards - 1 for r in sampled])
        print(
            f"D-RISE: {np.median(masks):.0f} masks on the median object, reliability"
            f" {np.median([r.reliability for r in sampled]):.2f}; at most {masks.max()}."
        )
    paths = [r.completeness for r in rows if r.completeness is not None]
    if paths:
        print(
            f"Integrated gradients, 16 steps: completeness error {100 * np.median(paths):.1f} % on the median"
            f" object, under 5 % on {100 * np.mean(np.array(paths) < 0.05):.0f} %."
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("detector")
    parser.add_argument("data")
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--objects", type=int, default=100)
    parser.add_argument("--split", default=None)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--masks", type=int, default=288)
    parser.add_argument(
        "--variants",
        type=int,
        default=0,
        help="try the first so many objects with other settings of the gradient methods, too",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=int, default=80, help="look at this many images for objects")
    options = parser.parse_args()
    rows = (
        [table.ObjectRow(**json.loads(text)) for text in options.rows.read_text().splitlines()]
        if options.rows.exists()
        else []
    )
    done = {r.object for r in rows}
    if len(done) < options.objects:
        detector, dataset = load_detector(options.detector), load_dataset(options.data)
        chosen = evenly(
            true_positives(detector, dataset, options.split, options.seed, options.images), options.objects
        )
        for number, (i, seen, j) in enumerate(chosen):
            if number in done:
                continue
            new = list(
                rows_of(
                    detector,
                    dataset.load_image(i),
                    dataset.sample_ids[i],
                    number,
                    seen,
                    j,
                    options.steps,
                    options.masks,
                    number < options.variants,
                )
            )
            rows += new
            with open(options.rows, "a") as file:
                file.writelines(json.dumps(r.to_dict()) + "\n" for r in new)
    show(rows)


if __name__ == "__main__":
    main()
