"""Crops around boxes for the browser: small pictures, cached on disk, and the boxes that are drawn on
them.
"""

from __future__ import annotations

import contextlib
import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from analysis.drawing.style import shown_score
from analysis.matching.matches import Verdict
from analysis.matching.operating_point import Threshold, class_thresholds
from analysis.mistakes.box_lists import BoxList
from analysis.runs.store import Run
from app.files import pictures
from detector.errors import BoxscopeError
from detector.paths import data_dir, write_atomically

SIDE = 200
PAGE = 24


def window(
    boxes: np.ndarray, image_size: tuple[int, int], around: float = 0.35, least: int = 40
) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2: a square around boxes ([n, 4], n > 0) with a margin, moved and cut to lie in the
    picture.

    Args:
        around: margin on each side, as a share of the longer side of what holds the boxes.
        least: a smaller square than this many pixels would show no surroundings.
    """
    width, height = image_size
    x1, y1 = boxes[:, :2].min(axis=0)
    x2, y2 = boxes[:, 2:].max(axis=0)
    side = max(least, (1 + 2 * around) * max(x2 - x1, y2 - y1))

    def span(low: float, high: float, most: int) -> tuple[int, int]:
        length = int(min(round(side), most))
        first = int(np.clip(round((low + high - length) / 2), 0, most - length))
        return first, first + length

    (left, right), (top, bottom) = span(x1, x2, width), span(y1, y2, height)
    return left, top, right, bottom


_RECENT = 800
_recent: dict[str, bytes] = {}


def _key(run: Run, i: int, place: tuple[int, int, int, int]) -> str:
    return hashlib.sha1(
        f"{pictures.identity(run, i)}\0{place}\0{SIDE}".encode("utf-8", "surrogateescape")
    ).hexdigest()


def crop_files(run: Run, wanted: list[tuple[int, tuple[int, int, int, int]]]) -> list[bytes | str]:
    """JPEG files of windows (image, x1 y1 x2 y2); where a picture cannot be read, the reason. Each picture is
    read once.
    """
    out: list[bytes | str | None] = [None] * len(wanted)
    keys: list[str] = []
    for k, (i, place) in enumerate(wanted):
        try:
            key = _key(run, i, place)
        except OSError as error:
            keys.append("")
            out[k] = f"the file is not there ({error.strerror or error})."
            continue
        keys.append(key)
        out[k] = _recent.get(key)
        if out[k] is None:
            with contextlib.suppress(OSError):
                out[k] = _keep(key, (data_dir("cache", "crops") / key[:2] / f"{key}.jpg").read_bytes())
    missing: dict[int, list[int]] = {}
    for k, (i, _) in enumerate(wanted):
        if out[k] is None:
            missing.setdefault(i, []).append(k)

    def make(i: int) -> None:
        try:
            image = run.load_image(i)
        except BoxscopeError as error:
            for k in missing[i]:
                out[k] = error.message
            return
        for k in missing[i]:
            x1, y1, x2, y2 = wanted[k][1]
            data = pictures.jpeg(pictures.shrink(image[y1:y2, x1:x2], SIDE), 85)
            with contextlib.suppress(OSError):  # a full disk costs the cache, not the page
                write_atomically(data_dir("cache", "crops") / keys[k][:2] / f"{keys[k]}.jpg", data)
            out[k] = _keep(keys[k], data)

    if missing:
        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(make, missing))
    return [content if content is not None else "no picture" for content in out]


def _keep(key: str, data: bytes) -> bytes:
    _recent[key] = data
    while len(_recent) > _RECENT:
        _recent.pop(next(iter(_recent)), None)
    return data


def payload(
    run: Run,
    matches: Any,
    boxes: BoxList,
    first: int = 0,
    most: int = PAGE,
    *,
    threshold: Threshold,
    near: bool = True,
) -> list[dict[str, Any]]:
    """What the crop strip draws for `most` entries from `first` on. Entries keep their place in the list as
    `id`.

    A detection is drawn by its verdict, the object beside it dashed; a missed object dashed in its colour,
    and (near) the detection that finds it below the threshold thin beside it. `threshold`: one number, or one
    per class.
    """
    d, t, names = run.detections, run.truth, run.class_map.names
    thresholds = class_thresholds(threshold, len(names))
    images = boxes.images(run)
    drawn = []
    for k in range(first, min(first + most, len(boxes))):
        det, obj, i = int(boxes.dets[k]), int(boxes.objects[k]), int(images[k])
        parts: list[tuple[np.ndarray, str, bool, bool]] = []
        below = int(matches.truth_det[obj]) if det < 0 and obj >= 0 else -1
        if obj >= 0:
            parts.append(
                (
                    t.xyxy[obj],
                    "missed" if det < 0 else "found" if matches.truth_det[obj] == det else "truth",
                    True,
                    det >= 0,
                )
            )
        if det >= 0:
            parts.append((d.xyxy[det], Verdict(matches.det_kind[det]).word, False, False))
        elif near and below >= 0:
            parts.append((d.xyxy[below], "below", False, True))
        drawn.append(
            (k, i, det, obj, below, parts, window(np.array([p[0] for p in parts]), run.image_size(i)))
        )
    files = crop_files(run, [(i, place) for _, i, *_, place in drawn])
    out = []
    for (k, i, det, obj, below, parts, place), content in zip(drawn, files):
        left, top, right, bottom = place
        url = pictures.publish(content, "image/jpeg", f"crop-{k}") if isinstance(content, bytes) else ""
        out.append(
            {
                "id": k,
                "url": url,
                "error": "" if isinstance(content, bytes) else run.failed.get(run.sample_ids[i], content),
                "width": right - left,
                "height": bottom - top,
                "where": pictures.name_of(run, i),
                "boxes": [
                    {
                        "box": [
                            round(float(b[0]) - left, 1),
                            round(float(b[1]) - top, 1),
                            round(float(b[2] - b[0]), 1),
                            round(float(b[3] - b[1]), 1),
                        ],
                        "verdict": verdict,
                        "dashed": dashed,
                        "quiet": quiet,
                    }
                    for b, verdict, dashed, quiet in parts
                ],
                **_words(run, names, det, obj, below, thresholds),
            }
        )
    return out


def _words(
    run: Run, names: tuple[str, ...], det: int, obj: int, below: int, thresholds: np.ndarray
) -> dict[str, str]:
    d, t = run.detections, run.truth
    if det < 0:
        name = names[t.class_ids[obj]]
        score, said = "–", "not found at any stored score"
        if below >= 0:
            near = f"{shown_score(d.scores[below], thresholds[d.class_ids[below]]):.2f}"
            score, said = f"({near})", f"found at {near}, below the threshold"
        return {"name": name, "score": score, "title": f"{name}, missed: {said}"}
    predicted, score = names[d.class_ids[det]], f"{d.scores[det]:.2f}"
    truth = names[t.class_ids[obj]] if obj >= 0 else None
    if truth is None:
        return {"name": predicted, "score": score, "title": f"{predicted} {score}, no object beside it"}
    name = predicted if truth == predicted else f"{truth} → {predicted}"
    return {"name": name, "score": score, "title": f"{predicted} {score} on an object of class {truth}"}


def selection_of(run: Run, boxes: BoxList, k: int) -> tuple[str, dict[str, Any]]:
    """(sample id, what the Image page shall select) of entry k: the detection, else the object; in a list of
    objects the object.
    """
    i = int(boxes.images(run)[k])
    if boxes.dets[k] >= 0 and not boxes.of_objects:
        return run.sample_ids[i], {"side": "det", "index": int(boxes.dets[k] - run.detections.offsets[i])}
    return run.sample_ids[i], {"side": "truth", "index": int(boxes.objects[k] - run.truth_offsets[i])}


def image_order(run: Run, boxes: BoxList) -> np.ndarray:
    """int64, the images of the list in its order, each once: what the Image page steps through."""
    images = boxes.images(run)
    _, first = np.unique(images, return_index=True)
    return images[np.sort(first)]
