"""Types: no error where the core is, and nowhere more errors than recorded.

    python -m tests.house.types               # the files without any error; 1 if there is one
    python -m tests.house.types --all         # every file, against the record (a minute or more)
    python -m tests.house.types --record      # after errors were removed: records the lower counts

The checker is basedpyright (pyright with its own Node in a wheel, so that nothing is fetched while it starts)
in pyright's "standard" mode, see pyproject.toml.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RECORD = Path(__file__).with_name("type_errors.json")
CLEAN = (
    "detector/boxes.py",
    "detector/class_map.py",
    "detector/core.py",
    "detector/detector_info.py",
    "detector/errors.py",
    "analysis/matching/",
)
"""Files and folders without any error; next are `detector/data`, `analysis/metrics` and `analysis/runs`."""


def find_errors(*paths: str) -> list[tuple[str, str]]:
    """(file relative to the root, "file:line: message") of each error, in the packages or in these paths."""
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable, *paths]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    try:
        found = json.loads(done.stdout)["generalDiagnostics"]
    except (ValueError, KeyError):
        raise RuntimeError(f"basedpyright gave no answer:\n{done.stdout}{done.stderr}") from None
    errors = []
    for one in found:
        if one["severity"] == "error":
            name = Path(one["file"]).resolve().relative_to(ROOT).as_posix()
            line = one["range"]["start"]["line"] + 1
            errors.append((name, f"{name}:{line}: {one['message']} ({one.get('rule', 'syntax')})"))
    return errors


def group_of(file: str) -> str:
    """The part of the tree whose errors are counted together: a folder of a package, or the files at its
    top.
    """
    parts = file.split("/")
    return "/".join(parts[:2]) if len(parts) > 2 else parts[0]


def is_clean(file: str) -> bool:
    return file.startswith(CLEAN)


def excess(errors: list[tuple[str, str]], recorded: dict[str, int]) -> list[str]:
    """Errors that may not be: all in `CLEAN`, and those of a group that has more than recorded."""
    counts = Counter(group_of(file) for file, _ in errors if not is_clean(file))
    over = {group for group, count in counts.items() if count > recorded.get(group, 0)}
    return [text for file, text in errors if is_clean(file) or group_of(file) in over]


def main() -> int:
    """Check `CLEAN`; with --all compare every file with the record, with --record write it."""
    everything = {"--all", "--record"} & set(sys.argv[1:])
    errors = find_errors() if everything else find_errors(*CLEAN)
    counts = Counter(group_of(file) for file, _ in errors if not is_clean(file))
    if "--record" in sys.argv[1:]:
        RECORD.write_text(json.dumps(dict(sorted(counts.items())), indent=2) + "\n")
    recorded = json.loads(RECORD.read_text())
    wrong = excess(errors, recorded)
    print("\n".join(wrong))
    fewer = {group: (counts[group], most) for group, most in recorded.items() if counts[group] < most}
    if everything and fewer and not wrong:
        print(f"fewer errors than recorded ({fewer}): python -m tests.house.types --record")
    known = f", {sum(recorded.values())} recorded" if everything else ""
    print(f"{len(errors)} type errors{known}, {len(wrong)} to put right")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
