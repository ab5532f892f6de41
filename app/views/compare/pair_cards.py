"""What *Compare* shows of a pairing of two runs: totals in words, choices, cards of pairs. No Streamlit but
the cache of pictures.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.drawing.style import shown_score
from analysis.parity.causes import CAUSES, Cause
from analysis.parity.pairs import GAINED, KEPT, LOST, Pairing
from analysis.parity.report import CHANGES, rows_of
from app.files import pictures
from app.files.crops import crop_files, window

PAGE = 18


def totals(p: Pairing) -> tuple[str, str]:
    """(what changed, by how much), in words."""
    f = p.figures()
    first = (
        f"objects {f['objects_a']:,} → **{f['objects_b']:,}** · **{f['lost']:,}** lost"
        f" ({100 * f['lost_share']:.1f} %) · **{f['gained']:,}** gained · {f['moved']:,} moved ·"
        f" {f['rescored']:,} rescored"
    )
    parts = []
    if s := f["score_difference"]:
        parts.append(
            f"Of the {f['kept']:,} kept, scores differ by up to {s['largest']:.3f} (median {s['median']:.3f})"
        )
    if s := f["box_difference"]:
        parts.append(f"edges by up to {s['largest']:.1f} pixels (median {s['median']:.1f})")
    words = ", ".join(parts) + ("." if parts else "")
    if f["true_positives_a"] is not None:
        words += (
            f" True positives: {f['true_positives_lost']:,} of {f['true_positives_a']:,} lost"
            f" ({100 * f['true_positives_lost_share']:.1f} %), {f['true_positives_gained']:,} gained."
        )
    return first, words.strip()


def chosen(
    p: Pairing, changes: list[str], causes: dict[int, Cause], wanted: list[str], class_names: set[str] | None
) -> np.ndarray:
    """int64, rows to show: of these changes; where causes are chosen, the lost objects that have one of them,
    and no other lost ones.
    """
    rows = rows_of(p, tuple(c for c in CHANGES if c in changes))
    if (
        "lost" in changes and causes
    ):  # a true positive that is kept and fits its object no longer has a cause too
        rows = np.union1d(rows, [q for q in causes if p.kind[q] == KEPT]).astype(np.int64)
    if wanted:
        rows = np.array(
            [
                q
                for q in rows
                if (q not in causes and p.kind[q] != LOST) or (q in causes and causes[q].cause in wanted)
            ],
            np.int64,
        )
    if class_names is not None:
        rows = rows[[p.names[c] in class_names for c in p.class_id[rows]]] if len(rows) else rows
    return rows


def payload(p: Pairing, rows: np.ndarray, causes: dict[int, Cause]) -> list[dict[str, Any]]:
    """Cards for some rows."""
    places = [
        window(np.array([b for b in _boxes(p, q)], np.float32), p.a.image_size(int(p.image[q])))
        for q in rows.tolist()
    ]
    files = crop_files(p.a, [(int(p.image[q]), place) for q, place in zip(rows.tolist(), places)])
    return [
        _card(p, q, place, content, causes.get(q)) for q, place, content in zip(rows.tolist(), places, files)
    ]


def _boxes(p: Pairing, q: int) -> list[np.ndarray]:
    found = [side.detections.xyxy[d] for side, d in ((p.a, p.det_a[q]), (p.b, p.det_b[q])) if d >= 0]
    if p.other[q] >= 0:
        found.append((p.b if p.kind[q] == LOST else p.a).detections.xyxy[p.other[q]])
    return found


def _card(
    p: Pairing, q: int, place: tuple[int, int, int, int], content: bytes | str, cause: Cause | None
) -> dict[str, Any]:
    left, top, right, bottom = place
    kind = int(p.kind[q])

    def box(xyxy: np.ndarray, look: str) -> dict[str, Any]:
        x1, y1, x2, y2 = (float(v) for v in xyxy)
        return {
            "box": [round(x1 - left, 1), round(y1 - top, 1), round(x2 - x1, 1), round(y2 - y1, 1)],
            "look": look,
        }

    def side(letter: str) -> dict[str, Any]:
        run, d, score = (
            (p.a, int(p.det_a[q]), float(p.score_a[q]))
            if letter == "A"
            else (p.b, int(p.det_b[q]), float(p.score_b[q]))
        )
        missing = (kind == LOST and letter == "B") or (kind == GAINED and letter == "A")
        drawn = [] if d < 0 else [box(run.detections.xyxy[d], "below" if missing else letter.lower())]
        if missing:
            drawn.insert(0, box(p.box_of(q), "gone"))
        says = "not there"
        if d >= 0:
            threshold_of = p.threshold_a if letter == "A" else p.threshold_b
            shown = shown_score(score, threshold_of(int(p.class_id[q])))
            says = f"{shown:.2f}" + (" below" if missing else "")
        if missing and (o := int(p.other[q])) >= 0:
            ids = p.to_a[run.detections.class_ids[o]] if letter == "B" else run.detections.class_ids[o]
            drawn.append(box(run.detections.xyxy[o], letter.lower()))
            says = f"{p.names[ids]} {run.detections.scores[o]:.2f}"
        return {"boxes": drawn, "says": f"{letter}: {says}"}

    name, where = p.names[p.class_id[q]], pictures.name_of(p.a, int(p.image[q]))
    change = {LOST: "lost", GAINED: "gained"}.get(kind, "")
    if not change:
        moved, rescored = bool(p.moved()[q]), bool(p.rescored()[q])
        change = f"{p.step[q]:+.3f}" if rescored else f"{p.shift[q]:.1f} px" if moved else "kept"
    if cause is not None:
        sentence = cause.sentence
        why = CAUSES[cause.cause] + (": " if cause.proved else " (inferred): ") + sentence
    elif kind == KEPT:
        why = f"score {p.step[q]:+.3f} · edge {p.shift[q]:.1f} px · IoU {p.overlap[q]:.2f}"
        sentence = f"Score {p.score_a[q]:.3f} → {p.score_b[q]:.3f}, its box {p.shift[q]:.1f} pixels off."
    else:
        why = sentence = (
            "The first side has it below its threshold."
            if p.det_a[q] >= 0
            else "The first side has no such box."
        )
    return {
        "id": q,
        "url": pictures.publish(content, "image/jpeg", f"pair-{q}") if isinstance(content, bytes) else "",
        "error": "" if isinstance(content, bytes) else content,
        "width": right - left,
        "height": bottom - top,
        "name": name,
        "where": where,
        "change": change,
        "why": why,
        "title": f"{name}, {where}. {sentence}",
        "sides": [side("A"), side("B")],
    }
