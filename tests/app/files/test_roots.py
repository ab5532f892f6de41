"""Paths stay inside the roots, uploads inside their folder and their bounds."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.files import roots
from detector.core import ClassMap
from detector.data.dataset import Dataset
from detector.data.members import address
from detector.errors import DataError, InputError


@dataclass
class File:
    name: str
    content: bytes = b"x"

    @property
    def size(self) -> int:
        return len(self.content)

    def getvalue(self) -> bytes:
        return self.content


@pytest.fixture
def named(tmp_path, monkeypatch):
    """A root with a file in it, and a secret beside it."""
    (tmp_path / "root" / "sub").mkdir(parents=True)
    (tmp_path / "root" / "sub" / "a.jpg").write_bytes(b"a")
    (tmp_path / "secret.txt").write_bytes(b"s")
    monkeypatch.setenv("BOXSCOPE_ROOTS", str(tmp_path / "root"))
    return tmp_path


def test_roots_come_from_the_data_directory_arguments_and_environment(boxscope_home, named, tmp_path):
    found = roots.roots(["--root", str(tmp_path / "x"), f"--root={tmp_path / 'y'}", "other"])
    assert found == [boxscope_home.resolve(), (tmp_path / "x"), (tmp_path / "y"), named / "root"]


def test_inside_is_allowed_absolute_and_relative(named):
    wanted = (named / "root" / "sub" / "a.jpg").resolve()
    assert roots.allowed(wanted) == wanted
    assert roots.allowed("sub/a.jpg") == wanted
    assert roots.allowed(f' "{wanted}" ') == wanted


@pytest.mark.parametrize(
    "text",
    [
        "../secret.txt",
        "sub/../../secret.txt",
        "/etc/passwd",
        "~/../../etc/passwd",
        "sub/nothing.jpg",
        "",
        "   ",
        "a\0b",
        "/",
        "..",
    ],
)
def test_outside_and_missing_are_refused_alike(named, text):
    with pytest.raises(InputError):
        roots.allowed(text)


def test_a_neighbour_with_the_same_beginning_is_outside(named):
    (named / "root2").mkdir()
    with pytest.raises(InputError):
        roots.allowed(named / "root2")


def test_a_link_that_leads_out_is_refused(named):
    (named / "root" / "out").symlink_to(named / "secret.txt")
    (named / "root" / "in").symlink_to(named / "root" / "sub" / "a.jpg")
    with pytest.raises(InputError):
        roots.allowed("out")
    assert roots.allowed("in").name == "a.jpg"


def test_an_annotation_file_cannot_name_pictures_outside(named):
    roots.inside_roots(SimpleNamespace(files=["", str(named / "root" / "sub" / "a.jpg")]))
    with pytest.raises(DataError):
        roots.inside_roots(SimpleNamespace(files=[str(named / "root" / ".." / "secret.txt")]))


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../a/.b c.jpg", "a/b c.jpg"),
        ("C:\\x\\y.png", "C_/x/y.png"),
        ("...", "file"),
        ("", "file"),
        ("a\0b.jpg", "a_b.jpg"),
        ("//etc//passwd", "etc/passwd"),
    ],
)
def test_uploaded_names_are_made_safe(name, safe):
    assert str(roots.safe_name(name)) == safe


@given(st.text(max_size=200))
def test_a_safe_name_never_leaves_its_folder(text):
    path = roots.safe_name(text)
    assert (
        not path.is_absolute()
        and path.parts
        and not any(part in ("..", ".") or part.startswith(".") or "\0" in part for part in path.parts)
    )


def test_the_same_uploads_go_to_the_same_folder(boxscope_home):
    one = roots.keep_uploads([File("b.jpg", b"1"), File("a.jpg", b"2")])
    assert roots.keep_uploads([File("a.jpg", b"2"), File("b.jpg", b"1")]) == one
    assert roots.keep_uploads([File("a.jpg", b"3"), File("b.jpg", b"1")]) != one
    assert (one / "a.jpg").read_bytes() == b"2" and one.is_relative_to(boxscope_home)


def test_two_uploads_of_one_name_are_both_kept():
    folder = roots.keep_uploads([File("x/a.jpg", b"1"), File("y/../x/a.jpg", b"2"), File("x/A.jpg", b"3")])
    assert sorted(p.read_bytes() for p in folder.rglob("*") if p.is_file()) == [b"1", b"2", b"3"]


def test_uploads_are_bounded(monkeypatch):
    with pytest.raises(InputError, match="at least one"):
        roots.keep_uploads([])
    monkeypatch.setattr(roots, "MAX_UPLOAD_BYTES", 3)
    with pytest.raises(InputError, match="at most"):
        roots.keep_uploads([File("a", b"1234")])
    monkeypatch.setattr(roots, "MAX_UPLOAD_FILES", 1)
    with pytest.raises(InputError, match="at most"):
        roots.keep_uploads([File("a", b"1"), File("b", b"1")])


def test_a_record_file_outside_the_roots_is_refused_though_its_pictures_have_addresses(named):
    for name in ("secret.record", "root/ok.record"):
        (named / name).write_bytes(b"x" * 20)
    (named / "root" / "link.record").symlink_to(named / "secret.record")

    def of(container):
        file = address(container, 0, 9, "a.jpg")
        return Dataset(
            name="r", format="tfrecord", source="", class_map=ClassMap(()), sample_ids=["a"], files=[file]
        )

    roots.inside_roots(of(named / "root" / "ok.record"))
    for outside in ("secret.record", "root/link.record"):
        with pytest.raises(DataError):
            roots.inside_roots(of(named / outside))
