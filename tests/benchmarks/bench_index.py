"""An index of ten million entries, written and read: the most memory either holds, at most 1 GB.

    python -m tests.benchmarks.bench_index [--entries N]

The listing is generated, as a bucket would give it: folders of a thousand pictures. What a store or a disk
takes to answer is not in it.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from detector.data.indexed.index import Entry, IndexedDataset, write_index

PROMISED_MB = 1024


def ask(question: str, path: Path, count: int) -> None:
    start = time.perf_counter()
    if question == "write":
        write_index(
            "s3://bucket/pictures",
            path,
            entries=(Entry(f"{i // 1000:06d}/{i:09d}.jpg", 40_000 + i % 9999, i) for i in range(count)),
        )
    elif question == "open":
        assert len(IndexedDataset(path)) == count
    else:
        made = IndexedDataset(path)
        assert (
            sum(1 for _ in made.files) == count
            and made.position(f"{(count - 1) // 1000:06d}/{count - 1:09d}.jpg") == count - 1
        )
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - start,
                "cpu": usage.ru_utime + usage.ru_stime,
                "megabytes": usage.ru_maxrss / 1024,
            }
        )
    )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--entries", type=int, default=10_000_000)
    parser.add_argument("--child", nargs=2)
    options = parser.parse_args()
    if options.child:
        ask(options.child[0], Path(options.child[1]), options.entries)
        return 0
    worst = 0.0
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "index.parquet"
        for question in ("write", "open", "read and find"):
            command = [
                sys.executable,
                "-m",
                "tests.benchmarks.bench_index",
                "--entries",
                str(options.entries),
                "--child",
                question,
                str(path),
            ]
            found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            worst = max(worst, found["megabytes"])
            print(
                f"{question:14} {found['megabytes']:6.0f} MB  {found['seconds']:7.1f} s ({found['cpu']:.1f} s"
                " of processor)",
                flush=True,
            )
        print(
            f"{options.entries:,} entries, {path.stat().st_size / 1e6:.0f} MB on disk; most memory"
            f" {worst:.0f} MB (promised {PROMISED_MB})"
        )
    return int(worst > PROMISED_MB)


if __name__ == "__main__":
    sys.exit(main())
