"""Every benchmark, one after another: a table, and the same as JSON with the versions it was measured with.

    python -m tests.benchmarks [NAME ...] [--small] [--out FILE.json] [--limit SECONDS]

NAME is a module without `bench_`; those that need what this machine lacks say so and count as not run. Exits
1 where a promise is missed, a benchmark fails, or takes longer than the limit; then it is ended with all it
started.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from detector.paths import ROOT
from tests.benchmarks.table import ROWS, SMALL, kept

NAMES = tuple(sorted(p.stem.removeprefix("bench_") for p in Path(__file__).parent.glob("bench_*.py")))
NEEDS_A_RUN = ("exact_autopsy",)
"""Measured on a stored run that is given by hand: left out here."""
PACKAGES = (
    "numpy",
    "pyarrow",
    "hotcoco",
    "pycocotools",
    "tensorflow",
    "keras",
    "ai-edge-litert",
    "streamlit",
)


def measure(name: str, *, small: bool = False, limit: float = 1800) -> dict[str, Any]:
    """Run one benchmark in a process group of its own: {"name", "state", "rows", "output"}; the state is
    "kept", "missed", "failed" or "too long". In the small mode a missed promise is no news: it is "kept"."""
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.jsonl"
        environment = (
            os.environ | {ROWS: str(rows), "BOXSCOPE_HOME": folder} | ({SMALL: "1"} if small else {})
        )
        process = subprocess.Popen(
            [sys.executable, "-m", f"tests.benchmarks.bench_{name}"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, code = process.communicate(timeout=limit)[0], process.returncode
        except subprocess.TimeoutExpired:
            output, code = "", None
        finally:
            end_group(process)
        found = [json.loads(line) for line in rows.read_text().splitlines()] if rows.exists() else []
    state = "too long" if code is None else "kept" if code == 0 and all(map(kept, found)) else "missed"
    if code not in (None, 0) and ("Traceback (most recent" in output or code != 1):
        state = "failed"
    if small and state == "missed":
        state = "kept"
    return {"name": name, "state": state, "rows": found, "output": output}


def end_group(process: subprocess.Popen) -> None:
    """End a process that leads its group, and whatever it left running in it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def table(results: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    lines = ["| what | ours | peer | ratio | promised | spread |", "|---|---|---|---|---|---|"]
    for result in results:
        if not result["rows"]:
            lines.append(f"| {result['name']}: {result['state']} | | | | | |")
        for r in result["rows"]:
            shown = [r["what"], *(_number(r[k], r["unit"]) for k in ("ours", "peer"))]
            shown += [
                _number(r["ratio"]),
                f"{'at most' if r['at_most'] else 'at least'} {r['promised']:g}"
                if r["promised"] is not None
                else "",
                "" if r["spread"] is None else f"{r['spread']:.0%}",
            ]
            lines.append("| " + " | ".join(shown) + (" |" if kept(r) else ", **missed** |"))
    return "\n".join(lines)


def _number(value: float | None, unit: str = "") -> str:
    return "" if value is None else f"{value:.3g} {unit}".strip()


def versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "machine": f"{os.cpu_count()} cores, {platform.machine()}"}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--small", action="store_true", help="a fiftieth of the size, where a benchmark can")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--limit", type=float, default=1800, help="seconds for one benchmark")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"expected names among {', '.join(NAMES)}, got {', '.join(sorted(unknown))}")
    results = []
    for name in options.names or [n for n in NAMES if n not in NEEDS_A_RUN]:
        results.append(measure(name, small=options.small, limit=options.limit))
        print(f"{name}: {results[-1]['state']}", file=sys.stderr, flush=True)
        if results[-1]["state"] == "failed":
            print(results[-1]["output"][-2000:], file=sys.stderr)
    print(table(results))
    if options.out:
        figures = {
            "versions": versions(),
            "small": options.small,
            "load": os.getloadavg()[0],
            "benchmarks": results,
        }
        options.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return int(any(r["state"] != "kept" for r in results))


if __name__ == "__main__":
    sys.exit(main())
