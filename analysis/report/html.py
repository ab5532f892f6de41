"""The report's page: plain HTML made of escaped text, one style for screen and print, nothing fetched from
anywhere.
"""

from __future__ import annotations

import html
from typing import Any

from analysis.csv_text import csv_text
from analysis.drawing.style import GREEN, PURPLE, VERMILION
from analysis.runs.store import Run

STYLE = (
    """
:root { color-scheme: light; --line: #d9dde2; --soft: #5a626b; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1000px; padding: 32px 28px 64px; font: 14px/1.5 system-ui, -apple-system, "Segoe UI", "Source Sans 3", sans-serif; color: #16191d; background: #fff; }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 4px; letter-spacing: -.01em; }
h2 { font-size: 18px; margin: 32px 0 8px; padding-top: 14px; border-top: 1px solid var(--line); break-after: avoid; }
p { margin: 0 0 10px; max-width: 75ch; } p.small { max-width: none; }
.small, figcaption { font-size: 12px; color: var(--soft); }
.tag { display: inline-block; border: 1px solid #a34700; color: #a34700; border-radius: 4px; padding: 0 7px; font-size: 12px; font-weight: 600; }
.numbers { display: flex; flex-wrap: wrap; gap: 6px 22px; margin: 14px 0 4px; }
.numbers div { min-width: 68px; }
.numbers b { display: block; font-size: 22px; line-height: 1.2; font-variant-numeric: tabular-nums; }
.numbers span { font-size: 12px; color: var(--soft); display: block; }
.mark { font-weight: 700; }
.correct .mark { color: GREEN; } .wrong .mark { color: VERMILION; } .missed .mark { color: PURPLE; }
table { border-collapse: collapse; margin: 6px 0 12px; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 3px 12px 3px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; font-size: 12px; }
td.n, th.n { text-align: right; white-space: nowrap; }
tr { break-inside: avoid; } thead { display: table-header-group; }
figure { margin: 8px 0 14px; break-inside: avoid; }
figure svg { max-width: 100%; height: auto; overflow: visible; }
.beside { display: flex; flex-wrap: wrap; gap: 16px; } .beside figure { flex: 1 1 380px; min-width: 0; }
.picture { display: inline-block; width: calc(50% - 12px); margin: 0 8px 14px 0; vertical-align: top; }
.picture.third { width: calc(33.3% - 10px); }
.picture img { width: 100%; height: auto; border: 1px solid var(--line); border-radius: 4px; }
.broken { border: 1px solid var(--line); padding: 24px; }
.wide { overflow-x: auto; }
code { font: 12px ui-monospace, monospace; overflow-wrap: anywhere; }
@media print { body { max-width: none; padding: 0; font-size: 11px; } h2 { margin-top: 22px; } @page { margin: 15mm; } .wide { overflow: visible; } table { font-size: 10px; } }
@media (max-width: 640px) { .picture, .picture.third { width: 100%; } }
""".replace("GREEN", GREEN)
    .replace("VERMILION", VERMILION)
    .replace("PURPLE", PURPLE)
)

MARKS = {"correct": "✓", "wrong": "✗", "missed": "○"}


class Percent(float):
    """A share in 0..1 that is shown in percent, and written as the share itself."""


def text(value: Any) -> str:
    """How a value stands in a table."""
    if value is None:
        return "–"
    if isinstance(value, Percent):
        return f"{100 * value:.1f} %"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3f}"
    return str(value)


def paragraph(words: str) -> str:
    return f"<p>{html.escape(words)}</p>"


def small(words: str) -> str:
    return f'<p class="small">{html.escape(words)}</p>'


def beside(*parts: str) -> str:
    return f'<div class="beside">{"".join(parts)}</div>'


def section(title: str, *parts: str) -> str:
    return f"<section><h2>{html.escape(title)}</h2>{''.join(parts)}</section>"


def table(rows: list[dict[str, Any]]) -> str:
    """Rows with the same keys; numbers stand to the right. The empty case says so."""
    if not rows:
        return paragraph("None.")
    columns = list(rows[0])
    numeric = {
        c
        for c in columns
        if all(isinstance(r[c], (int, float)) or r[c] is None for r in rows)
        and any(r[c] is not None for r in rows)
    }

    def cells(tag: str, values: list[str]) -> str:
        return "".join(
            f"<{tag}{' class=n' if c in numeric else ''}>{html.escape(v)}</{tag}>"
            for c, v in zip(columns, values)
        )

    body = "".join(f"<tr>{cells('td', [text(r[c]) for c in columns])}</tr>" for r in rows)
    return (
        "<div"
        f' class="wide"><table><thead><tr>{cells("th", columns)}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def figures(values: dict[str, float | None]) -> str:
    """AP, AP50, ... side by side."""
    return numbers([(name, text(value), "") for name, value in values.items()])


def numbers(items: list[tuple[str, str, str]]) -> str:
    parts = []
    for name, value, note in items:
        mark = f'<span class="mark" style="display:inline">{MARKS[name]}</span> ' if name in MARKS else ""
        below = f"<span>{html.escape(note)}</span>" if note else ""
        parts.append(
            "<div"
            f' class="{html.escape(name)}"><span>{mark}{html.escape(name)}</span><b>{html.escape(value)}</b>{below}</div>'
        )
    return f'<div class="numbers">{"".join(parts)}</div>'


def settings(run: Run, evaluation: Any, point: Any) -> str:
    """What was run on what, by whom, under which settings: everything the manifest knows."""
    m = run.manifest
    rows: list[dict[str, Any]] = [
        {"what": "run", "value": f"{m.name}, {m.state}, {m.created}"},
        {
            "what": "data set",
            "value": (
                f"{m.dataset.name} ({m.dataset.format}), {m.dataset.count:,} images, {m.dataset.objects:,}"
                " objects"
            ),
        },
        {"what": "data set's fingerprint", "value": m.dataset.fingerprint},
        {"what": "detector", "value": f"{m.detector.name} ({m.detector.kind})"},
        {"what": "weights hash", "value": m.detector.weights_hash},
        {"what": "score floor", "value": f"{m.floor:g}"},
        {"what": "operating point", "value": str(point)},
    ]
    rows += [
        {"what": f"detector: {name}", "value": str(value)} for name, value in m.detector.settings.items()
    ]
    rows += [
        {"what": f"evaluation: {name}", "value": str(value)} for name, value in evaluation.settings.items()
    ]
    rows += [{"what": f"version of {name}", "value": str(value)} for name, value in m.versions.items()]
    return table(rows)


def layout(run: Run, note: str, *, head: list[tuple[str, str, str]], sections: list[str]) -> str:
    m = run.manifest
    from analysis.runs.manifest import now

    tag = (
        '<p><span class="tag">simulated</span> No network ran: the detections are the data set\'s own objects'
        " with mistakes put in.</p>"
        if m.detector.simulated
        else ""
    )
    top = f"{small(f'Run {m.name} of {m.created[:16]} · report of {now()[:16]} · Boxscope')}{tag}{numbers(head)}{small(note)}"
    return document(f"{m.detector.name} on {m.dataset.name}", top, sections)


def document(title: str, top: str, sections: list[str]) -> str:
    """A whole page: its title, HTML under the headline, sections."""
    title = html.escape(title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport"'
        f' content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head><body><header><h1>{title}</h1>{top}</header>"
        f"<main>{''.join(sections)}</main></body></html>\n"
    )


def table_csv(rows: list[dict[str, Any]]) -> str:
    """Rows as CSV with full numbers; what is undefined is empty."""
    if not rows:
        return ""
    values = ([float(v) if isinstance(v, Percent) else v for v in row.values()] for row in rows)
    return csv_text(list(rows[0]), values)
