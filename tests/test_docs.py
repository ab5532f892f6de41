"""The documents and the program agree: commands, options, names, imports, files and links."""

from __future__ import annotations

import ast
import functools
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

import analysis
import boxscope
import detector
from tests.house import commands

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
PROSE = [page for page in PAGES if page.name not in ("commands.md", "CHANGELOG.md")]
CODE = [path for top in ("app", "analysis", "detector") for path in sorted((ROOT / top).rglob("*.py"))]
FOREIGN = {"--server.address", "--server.port", "--server.headless", "--root"}
"""Options of `streamlit run app`."""

VARIABLES = {"detector.detect", "detector.left_out", "detector.network", "detector.json"}
"""`detector` in an example is a detector, not the package; detector.json is a file."""

OTHER_PROGRAMS = re.compile(r"tests\.(?:benchmarks|house)|tensorboard|docker|uvx|scripts/|\bpip\b")

PUBLIC = {  # at version 0.1.0; they stay
    "analysis": "autopsy autopsy_columns confidence_map evaluate find_images_with_classes match open_run"
    " plot_detections push_to_fiftyone",
    "detector": "load_dataset load_detector",
}


def code_of(page: Path) -> list[str]:
    """The lines of fenced blocks, continued lines joined, and every text in backquotes."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in re.sub(r"\\\n\s*", " ", block).splitlines()]
    rest = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [*lines, *(re.sub(r"\s+", " ", one) for one in re.findall(r"`([^`]+)`", rest))]


def calls_of(line: str) -> list[list[str]]:
    """The words after each `boxscope` of a line of shell or of a text in backquotes."""
    found = []
    for part in re.split(r"&&|\||;", re.sub(r"\s#\s.*", "", line)):
        match = re.search(r"(?:^|[\s/(])boxscope\s+(.*)$", part.strip())
        if match and not re.search(r"\b(?:import|pip|from)\b", part):
            try:
                found.append(shlex.split(match[1], comments=True))
            except ValueError:  # an apostrophe in prose
                found.append(match[1].split())
    return found


def wrong_words(line: str, known: dict[str, commands.Command]) -> list[str]:
    """Commands and options in this line that the program does not have."""
    wrong = []
    for words in calls_of(line):
        name = next((w for w in (" ".join(words[:2]), words[0] if words else "") if w in known), None)
        if name is None:
            if words and re.fullmatch(r"[a-z][a-z-]+", words[0]):
                wrong.append(f"boxscope {words[0]}")
            continue
        options = {w.partition("=")[0] for w in words if re.match(r"--?[a-z]", w)}
        wrong += [f"boxscope {name} {option}" for option in sorted(options - known[name].options)]
    return wrong


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.name)
def test_every_command_and_option_in_the_documents_exists(page):
    known = commands.commands()
    every_option = set().union(*(command.options for command in known.values())) | FOREIGN
    wrong = [word for line in code_of(page) for word in wrong_words(line, known)]
    ours = [line for line in code_of(page) if not OTHER_PROGRAMS.search(line)]
    alone = {
        word
        for line in ours
        for word in re.findall(r"(?:^|\s)(--[a-z][\w.-]*)", line)
        if word.rstrip(".") not in every_option
    }
    assert wrong == [] and alone == set()


def test_the_finder_of_wrong_words_finds_them():
    known = commands.commands()
    assert wrong_words("boxscope detect --model a --no-such b | boxscope nothing", known) == [
        "boxscope detect --no-such",
        "boxscope nothing",
    ]
    assert wrong_words(".venv/bin/boxscope evaluate my_run --json   # boxscope gone --x", known) == []


def test_every_command_is_in_the_prose_and_every_option_on_the_page_of_commands():
    prose = "\n".join(page.read_text(encoding="utf-8") for page in PROSE)
    known = commands.commands()
    alone = [name for name, one in known.items() if name and not hasattr(one.command, "commands")]
    assert [name for name in alone if not re.search(rf"boxscope {name}\b", prose)] == []
    assert [name for name in alone if not (known[name].command.help or "").strip()] == []
    assert commands.PAGE.read_text(encoding="utf-8") == commands.page(), (
        "the program has changed: python -m tests.house.commands --write"
    )


@functools.cache
def defined(file: Path) -> dict[str, dict]:
    """Names at the top of a module, or of a class, each with those inside it."""
    return _names(ast.parse(file.read_text(encoding="utf-8")).body)


def _names(body: list[ast.stmt]) -> dict[str, dict]:
    found: dict[str, dict] = {}
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found[node.name] = _names(node.body) if isinstance(node, ast.ClassDef) else {}
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {
                one.id: {} for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)
            }
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {(alias.asname or alias.name): {} for alias in node.names}
        elif isinstance(node, (ast.If, ast.Try)):
            found |= _names(node.body)
    return found


def leads_somewhere(dotted: str) -> bool:
    """Whether `package.module[.name[.name]]` names a module of the tree, or something defined in one."""
    parts = dotted.split(".")
    folder, names = ROOT / parts[0], parts[1:]
    while names and (folder / names[0]).is_dir():
        folder, names = folder / names[0], names[1:]
    if not names:
        return True
    file = folder / f"{names[0]}.py"
    if file.is_file():
        names = names[1:]
    else:
        file = folder / "__init__.py"
    inside = defined(file) if file.is_file() else {}
    if not names or (len(names) == 1 and parts[:-1] in (["analysis"], ["detector"]) and names[0] in inside):
        return True
    for name in names:
        if name not in inside:
            return False
        inside = inside[name]
    return True


def docstrings(file: Path) -> list[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    nodes = (ast.Module, ast.ClassDef, ast.FunctionDef)
    return [text for node in ast.walk(tree) if isinstance(node, nodes) and (text := ast.get_docstring(node))]


@pytest.mark.parametrize(
    ("dotted", "expected"),
    [
        ("detector.core", True),
        ("detector.core.Detections", True),
        ("detector.core.Detections.scores", True),
        ("detector.core.Nothing", False),
        ("detector.nothing", False),
        ("analysis.evaluate", True),
        ("analysis.matching", True),
    ],
)
def test_whether_a_dotted_name_leads_somewhere(dotted, expected):
    assert leads_somewhere(dotted) is expected


def test_names_in_backquotes_lead_somewhere():
    lost = []
    texts = [(page, page.read_text(encoding="utf-8")) for page in PAGES if page.name != "CHANGELOG.md"]
    texts += [(file, text) for file in CODE for text in docstrings(file)]
    for file, text in texts:
        names = re.findall(r"`((?:app|analysis|detector)(?:\.[A-Za-z_]\w*)+)(?:\(\))?`", text)
        paths = re.findall(r"`((?:app|analysis|detector|configs|docs|tests|scripts)/[\w./-]*)`", text)
        wrong = [name for name in names if not leads_somewhere(name) and name not in VARIABLES]
        wrong += [path for path in paths if not (ROOT / path).exists()]
        lost += [f"{file.relative_to(ROOT)}: {one}" for one in wrong]
    assert lost == []


def imports_of(page: Path) -> list[tuple[str, str]]:
    """(module, name) of every import of our packages in the page's blocks of code."""
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    found = []
    for line in "\n".join(blocks).splitlines():
        match = re.match(r"\s*from ((?:app|analysis|detector|boxscope)[\w.]*) import ([\w, ]+)", line)
        if match:
            found += [(match[1], name.split()[0]) for name in match[2].split(",")]
    return found


def test_imports_in_the_documents_work():
    found = {(page.name, *pair) for page in PROSE for pair in imports_of(page)}
    assert {("README.md", "detector", "load_detector"), ("README.md", "analysis", "plot_detections")} <= found
    lost = [
        (page, module, name)
        for page, module, name in sorted(found)
        if not hasattr(import_module(module), name)
    ]
    assert lost == []


@pytest.mark.parametrize(("package", "names"), PUBLIC.items())
def test_public_names_stay(package, names):
    module = import_module(package)
    assert set(names.split()) <= set(module.__all__)
    assert all(hasattr(module, name) and hasattr(boxscope, name) for name in names.split())


def test_the_reference_lists_every_public_name():
    page = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^::: (\S+)$", page, re.MULTILINE))
    wanted = {f"analysis.{name}" for name in analysis.__all__} | {
        f"detector.{name}" for name in detector.__all__
    }
    assert wanted <= listed
    assert all(leads_somewhere(name) for name in listed)


def test_links_in_documents_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if not target.startswith(("http://", "https://", "mailto:")):
                assert (page.parent / target).exists(), f"{page.name} points to {target}, which is not there"
