"""A data set's report: one HTML file with its classes, sizes, shapes, positions, samples, copies and
findings.

build_eda(dataset, summarise(dataset), diagnose(dataset, look=look)).write("report.html")
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from analysis.datasets import charts
from analysis.datasets.anchor_reach import Reach
from analysis.datasets.doctor import Diagnosis
from analysis.datasets.duplicates import Copies, describe_rows
from analysis.datasets.summary import Summary
from analysis.drawing.render import draw_marks
from analysis.drawing.scene import Mark
from analysis.drawing.style import DASH, STROKES
from analysis.report import html as page
from analysis.runs.manifest import now
from detector.data.dataset import Dataset
from detector.data.images import thumbnail
from detector.errors import InputError
from detector.paths import write_atomically

SIDE = 420
"""Longer side of an embedded picture, in pixels."""
TRUTH = replace(STROKES["unjudged"], word="ground truth", dash=DASH)
"""How an object is drawn where there is no prediction to judge it by."""
GROUPS = 8
CLASSES = 40


@dataclass(frozen=True)
class EdaReport:
    """The page as text."""

    html: str

    def write(self, out: str | Path) -> Path:
        """Write it; returns the path.

        Raises:
            InputError: the name does not end in .html.
        """
        out = Path(out)
        if out.suffix.lower() not in (".html", ".htm"):
            raise InputError(f"eda: expected a file name that ends in .html, got {out}.")
        write_atomically(out, self.html.encode("utf-8", "replace"))
        return out


def eda_dict(dataset: Dataset, summary: Summary, diagnosis: Diagnosis) -> dict[str, Any]:
    """The report's numbers as plain values."""
    return summary.to_dict() | {
        "fingerprint": dataset.fingerprint,
        "severities": diagnosis.counts(),
        "findings": [
            {"kind": f.kind, "severity": f.severity, "count": f.count, "sentence": f.sentence}
            for f in diagnosis.findings
        ],
        "copies": (
            None
            if diagnosis.look is None
            else [
                {"kind": c.kind, "samples": [dataset.sample_ids[i] for i in c.rows], "splits": list(c.splits)}
                for c in diagnosis.copies
            ]
        ),
        "reach": None if diagnosis.reach is None else diagnosis.reach.to_dict(dataset.class_map.names),
    }


def build_eda(
    dataset: Dataset, summary: Summary, diagnosis: Diagnosis, *, samples: int = 12, seed: int = 0
) -> EdaReport:
    """Lay the figures of a data set out as one page; only the pictures it shows are read.

    Args:
        samples: pictures of the sample grid, chosen by the seed so that the rarer classes are among them.
    """
    boxes = [
        page.beside(page.drawing(charts.side_chart(summary)), page.drawing(charts.ratio_chart(summary))),
        page.beside(page.drawing(charts.coco_chart(summary)), page.drawing(charts.centre_chart(summary))),
        page.small(
            f"Of {summary.measured:,} boxes: crowds and boxes on pictures of unknown size are left out."
            + (
                ""
                if summary.covered is None
                else f" Boxes cover {100 * summary.covered:.0f} % of the median picture that has any."
            )
        ),
    ]
    chosen = choose_samples(dataset, samples, seed)
    html_text = page.document(
        f"{summary.name}: what is in it",
        page.small(f"{dataset.source} · {summary.format} · report of {now()[:16]} · Boxscope")
        + page.numbers(_head(summary, diagnosis)),
        [
            page.section("What is odd", *_findings(diagnosis)),
            page.section(
                "Classes",
                page.table(_class_rows(summary)[:CLASSES]),
                *_more(len(summary.classes) - CLASSES),
                page.small(
                    "Size: median of the square root of the share of the frame. Shape: median of width /"
                    " height. Crowds are counted apart."
                ),
            ),
            (
                page.section("Boxes", *boxes)
                if summary.measured
                else page.section("Boxes", page.paragraph("No box of a known picture."))
            ),
            page.section("Pictures", *_pictures(summary)),
            *(
                [_reach(diagnosis.reach)]
                if diagnosis.reach is not None and diagnosis.reach.whole.objects
                else []
            ),
            *(
                [
                    page.section(
                        "Samples",
                        *[picture(dataset, i) for i in chosen],
                        page.small(f"Chosen by the seed {seed}, rarer classes first. Dashed: ground truth."),
                    )
                ]
                if chosen
                else []
            ),
            _copies(dataset, diagnosis),
            page.section(
                "Settings",
                page.table(
                    [
                        {"what": "data set's fingerprint", "value": dataset.fingerprint},
                        {
                            "what": "pictures read",
                            "value": (
                                "no"
                                if diagnosis.look is None
                                else f"{int(diagnosis.look.read.sum()):,} of {len(dataset):,}"
                            ),
                        },
                        {
                            "what": "network of the reach",
                            "value": "none" if diagnosis.reach is None else diagnosis.reach.anchors.name,
                        },
                    ]
                ),
            ),
        ],
    )
    return EdaReport(html_text)


def _head(summary: Summary, diagnosis: Diagnosis) -> list[tuple[str, str, str]]:
    i, counts = summary.images, diagnosis.counts()
    without = f"{i['empty']:,} without objects" + (
        f", {i['unlabelled']:,} unlabelled" if i["unlabelled"] else ""
    )
    splits = ", ".join(f"{name} {values['images']:,}" for name, values in summary.splits.items() if name)
    return [
        ("images", f"{i['all']:,}", without),
        (
            "objects",
            f"{summary.objects['all']:,}",
            ", ".join(f"{n:,} {flag}" for flag, n in summary.objects.items() if flag != "all" and n),
        ),
        (
            "classes",
            f"{len(summary.classes):,}",
            f"{summary.imbalance:.0f} to 1" if summary.imbalance else "",
        ),
        ("splits", str(sum(bool(s) for s in summary.splits)), splits),
        (
            "findings",
            f"{sum(counts.values())}",
            ", ".join(f"{n} {word}{'s' if n > 1 else ''}" for word, n in counts.items() if n),
        ),
    ]


def _findings(diagnosis: Diagnosis) -> list[Markup]:
    if not diagnosis.findings:
        return [page.paragraph("Nothing was found.")]
    parts = []
    for f in diagnosis.findings:
        example = str(f.places[0]) if f.places else ""
        parts.append(page.finding(f.severity, f.sentence, f.advice, example))
    return [*parts, page.small("The first place of each; `boxscope doctor` lists them all.")]


def _more(n: int) -> list[Markup]:
    return [page.small(f"{n} more classes stand in the JSON.")] if n > 0 else []


def _class_rows(summary: Summary) -> list[dict[str, Any]]:
    total = max(sum(c.objects for c in summary.classes), 1)
    splits = [s for s in summary.splits if s]
    rows = []
    for c in sorted(summary.classes, key=lambda c: -c.objects):
        row: dict[str, Any] = {
            "class": c.name,
            "objects": c.objects,
            "share": page.Percent(c.objects / total),
            "images": c.images,
        }
        row |= {s: c.splits.get(s, 0) for s in splits} | dict(c.sizes)
        row |= {"size": None if c.side is None else page.Percent(c.side), "shape": c.ratio}
        rows.append(row)
    return rows


def _pictures(summary: Summary) -> list[Markup]:
    out = (
        [
            page.paragraph(
                f"{summary.frame_kinds:,} size{'' if summary.frame_kinds == 1 else 's'}; the commonest:"
            )
        ]
        if summary.frame_kinds
        else [page.paragraph("The size of no picture is known.")]
    )
    out.append(
        page.table(
            [
                {"size": f"{w} x {h}", "images": n, "share": page.Percent(n / max(summary.images["all"], 1))}
                for (w, h), n in summary.frames
            ]
        )
        if summary.frames
        else Markup()
    )
    if summary.frame_quantiles and summary.frame_kinds > 1:
        out.append(
            page.table(
                [
                    {
                        "": axis,
                        **{
                            name: round(v)
                            for name, v in zip(
                                ("smallest", "a quarter below", "median", "a quarter above", "largest"),
                                values,
                            )
                        },
                    }
                    for axis, values in summary.frame_quantiles.items()
                ]
            )
        )
    if summary.images["labelled"]:
        out.append(page.drawing(charts.per_image_chart(summary)))
    return out


def _reach(reach: Reach) -> Markup:
    a = reach.anchors
    rows = [
        {
            "part": p.name,
            "objects": p.objects,
            "reached": p.reached,
            "ceiling": None if p.ceiling is None else page.Percent(p.ceiling),
        }
        for p in (
            reach.whole,
            *(p for p in reach.sizes if p.objects),
            *sorted(reach.classes, key=lambda p: p.ceiling or 0)[:CLASSES],
        )
    ]
    return page.section(
        f"What the anchors of {a.name} reach",
        page.table(rows),
        page.drawing(charts.reach_chart(reach)),
        page.small(
            f"At an input of {a.input_size[0]}x{a.input_size[1]} with IoU {a.match_iou:g}, {len(a):,}"
            " anchors. An object beyond is learnt from one forced anchor only."
        ),
    )


def _copies(dataset: Dataset, diagnosis: Diagnosis) -> Markup:
    if diagnosis.look is None:
        return page.section("Copies", page.paragraph("No picture was read, so nobody looked."))
    if not diagnosis.copies:
        return page.section(
            "Copies", page.paragraph("No image occurs twice, and no two are near-duplicates.")
        )
    parts = [
        page.paragraph(_words(dataset, group)) + Markup().join(picture(dataset, i) for i in group.rows[:2])
        for group in diagnosis.copies[:GROUPS]
    ]
    left = len(diagnosis.copies) - GROUPS
    return page.section(
        "Copies", *parts, *([page.small(f"{left} more groups stand in the JSON.")] if left > 0 else [])
    )


def _words(dataset: Dataset, group: Copies) -> str:
    kind = {
        "same file": "The same file",
        "same pixels": "The same pixels in different files",
        "near": "Near-duplicates",
    }[group.kind]
    return f"{kind}{' in more than one split' if group.leaks else ''}: {describe_rows(dataset, group.rows)}."


def choose_samples(dataset: Dataset, count: int, seed: int = 0) -> list[int]:
    """Up to `count` images: one of each class in turn, the rarest class first, then any; the seed decides
    which.
    """
    rng = np.random.default_rng(seed)
    t = dataset.objects
    order = rng.permutation(len(dataset))
    place = np.argsort(order)
    ids = np.bincount(t.class_ids, minlength=len(dataset.class_map)) if len(t) else np.zeros(0, int)
    chosen: list[int] = []
    for k in sorted(np.flatnonzero(ids), key=lambda k: ids[k]):
        if len(chosen) >= count:
            break
        rows = np.unique(t.rows[t.class_ids == k])
        rows = rows[~np.isin(rows, chosen)]
        if len(rows):
            chosen.append(int(rows[np.argmin(place[rows])]))
    labelled_first = sorted(order.tolist(), key=lambda i: not dataset.labelled[i])
    return (chosen + [int(i) for i in labelled_first if i not in set(chosen)])[:count]


def drawn(dataset: Dataset, i: int, side: int = SIDE, *, only: Sequence[int] | None = None) -> np.ndarray:
    """Image i with its objects, RGB uint8, its longer side at most `side` pixels.

    Args:
        only: rows of the object table to draw instead of all of the image.

    Raises:
        ImageError: it cannot be read.
    """
    image = thumbnail(dataset.files[i], side) if dataset.files[i] else dataset.load_image(i)
    t = dataset.objects
    rows = range(dataset.offsets[i], dataset.offsets[i + 1]) if only is None else only
    width, height = (int(v) for v in dataset.sizes[i])
    marks = [
        Mark(
            tuple(map(float, t.xyxy[k])), TRUTH, dataset.class_map.names[t.class_ids[k]], "truth", "truth", n
        )
        for n, k in enumerate(rows)
    ]
    return draw_marks(image, marks, (width, height) if width and height else image.shape[1::-1], side=side)


def picture(dataset: Dataset, i: int) -> Markup:
    """Image i with its objects as a figure that needs no file; where it cannot be read, the reason."""
    name = os.path.basename(dataset.files[i]) or dataset.sample_ids[i]
    split = f" · {dataset.splits[i]}" if dataset.splits[i] else ""
    return page.picture(f"{name}{split}", lambda: drawn(dataset, i), quality=80, size="third")
