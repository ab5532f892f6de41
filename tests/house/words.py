"""Plain English of the field: phrases that docstrings, messages, pages and documents do without, and what to
write instead.

python -m tests.house.words            # every place, and 1 as exit code if there is one
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("app", "analysis", "detector")

_COUNTED = (
    r"(?:\d[\d.,]*(?:"
    r" ?(?:s|ms|MB|MiB|GB|bytes?|seconds?))?|bytes|boxes|detections|entry|entries|figures|images"
    r"|lines?|numbers?|objects|once|one|passes|points|seconds|steps|times|values|verdicts|megapixels|pixels)"
)
_UNIT = (
    r"(?:batch|box|cell|class|detection|detector|device|epoch|file|flip|image|level|location|miss|object|page|pass"
    r"|query|row|run|second|size|step|worker)"
)

PHRASES: dict[str, str] = {
    rf"\b{_COUNTED} an? {_UNIT}\b(?! (?:of|is|was|that|which|in))": (
        "per image, per class, per step, per second"
    ),
    r"\bto be had\b": "available",
    r"\bfor want of\b": "because of; because ... is missing",
    r"\bat most so many\b|\bso many (?:images|misses|boxes|scenes|lines)\b": "at most N",
    r"\bwithout a word\b": "without an error message; silently",
    r"\b(?:is|are|be|was) told\b": "is called with; receives; is reported",
    r"\blet(?:s|ting)? go\b": "release; clear; close",
    r"\bmend(?:s|ed|ing)?\b": "fix",
    r"\b(?:bring|brings|brought) (?:them |it |\w+ |your corrections )?home\b": "pull",
    r"\blearnt by heart\b": "memorised",
    r"\bin hand\b": "current",
    r"\bby heart\b": "memorise",
    r"\bhopeless\b": "cannot match",
    r"\bRead it as\b": "give the format plainly",
    r"\bFirst clicks\b": "Start here",
    r"\bSurely found\b": "Significantly",
    r"\bNothing to compare by\b": "No ground truth",
    r"\bwho comes back\b": "a user who returns",
    r"\bfalse alarms?\b(?!.*false positive)": "false positive",
    r"\bwhat is left of\b": "only ... is kept of",
    r"\bmended in a copy\b": "fixed in a copy",
    r"\bPut pycocotools beside\b": "Compare with pycocotools",
}
_ANY = {re.compile(pattern, re.IGNORECASE): better for pattern, better in PHRASES.items()}


@dataclass(frozen=True)
class Place:
    """One phrase: file and line, the words found, what to write instead."""

    file: str
    line: int
    words: str
    better: str

    @property
    def package(self) -> str:
        return self.file.partition("/")[0]

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.words!r}; better: {self.better}"


def find_places(root: Path = ROOT) -> list[Place]:
    """Every phrase of the list in the packages' strings and in the documents, sorted by file."""
    found = []
    for file in files(root):
        name = str(file.relative_to(root))
        texts = strings(file) if file.suffix == ".py" else [(1, file.read_text(encoding="utf-8"))]
        found += [place for line, text in texts for place in places_in(text, name, line)]
    return sorted(found, key=lambda place: (place.file, place.line))


def files(root: Path) -> list[Path]:
    """Python of the packages, JavaScript and HTML of the viewer, README and docs; CONTRIBUTING lists the
    words themselves.
    """
    code = [
        path for top in PACKAGES for kind in ("py", "js", "html") for path in (root / top).rglob(f"*.{kind}")
    ]
    documents = [*(root / "docs").rglob("*.md"), root / "README.md"]
    return [*code, *(path for path in documents if path.is_file())]


def strings(file: Path) -> Iterator[tuple[int, str]]:
    """Line and text of each string of a Python file, docstrings and the fixed parts of f-strings among
    them.
    """
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def places_in(text: str, file: str, line: int) -> Iterator[Place]:
    """Phrases in one text that begins at `line`; a phrase may be broken over two lines."""
    flat = re.sub(r"\s", " ", text)
    for pattern, better in _ANY.items():
        for match in pattern.finditer(flat):
            yield Place(file, line + text.count("\n", 0, match.start()), match.group(), better)


def main() -> int:
    """Print every place; 1 if there is one."""
    places = find_places()
    for place in places:
        print(place)
    print(f"{len(places)} places with words that the glossary of CONTRIBUTING.md replaces")
    return int(bool(places))


if __name__ == "__main__":
    sys.exit(main())
