"""The package: its wheel holds every file it needs and runs from any folder; its requirements agree with each
other.

The wheel is built once, from the files that git knows, and laid into a folder of its own; what it depends on
comes from the environment the tests run in.
"""

from __future__ import annotations

import email
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import boxscope
from app import cli
from detector.version import VERSION

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SHIPPED = ("app/", "analysis/", "detector/", "configs/")


def tracked() -> list[str]:
    """The files of the checkout that git knows, or would know after `git add`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built without a network."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in tracked():
        if not name.startswith(("tests/", "docs/")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    built = subprocess.run([*command, "-w", str(out), str(source)], capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    [file] = out.glob("*.whl")
    return file


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's content alone."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", str(target)]
    done = subprocess.run([*command, str(wheel)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return target


@pytest.fixture
def elsewhere(installed: Path, tmp_path: Path, boxscope_home: Path):
    """Runs a command in an empty folder with the installed wheel before everything else on Python's path."""
    environment = {**os.environ, "PYTHONPATH": str(installed), "BOXSCOPE_HOME": str(boxscope_home)}

    def run(*command: str) -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run.folder, run.environment = tmp_path, environment
    return run


def test_the_wheel_holds_every_file_of_the_packages(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
        metadata = email.message_from_bytes(archive.read(f"boxscope-{VERSION}.dist-info/METADATA"))
    wanted = {name for name in tracked() if name.startswith(SHIPPED) and not name.endswith("README.md")}
    assert wanted - held == set(), "not in the wheel: add their kind to package-data in pyproject.toml"
    assert {"boxscope.py", "app/py.typed", "analysis/py.typed", "detector/py.typed"} <= held
    assert not [name for name in held if name.startswith("tests")]
    assert metadata["Version"] == VERSION
    assert {"tensorflow", "fiftyone", "ray", "all"} <= set(metadata.get_all("Provides-Extra"))


def test_the_installed_package_runs_from_any_folder(elsewhere, installed):
    where = elsewhere(sys.executable, "-c", "import boxscope; print(boxscope.__file__)").strip()
    assert Path(where) == installed / "boxscope.py", "the wheel is tested, not the checkout"
    assert elsewhere(str(installed / "bin" / "boxscope"), "--version") == f"boxscope {VERSION}\n"
    listed = elsewhere(sys.executable, "-m", "boxscope", "models")
    assert "ssd_mobilenet_v2" in listed and "demo" in listed
    code = "import boxscope; print([d.name for d in [boxscope.load_detector('demo').info]])"
    assert "Demo detector" in elsewhere(sys.executable, "-c", code)


@pytest.mark.slow
def test_the_installed_package_makes_the_demo(elsewhere):
    out = elsewhere(sys.executable, "-m", "boxscope", "demo", "--no-open")
    run = Path(out.strip().splitlines()[-1])
    assert run.is_relative_to(elsewhere.environment["BOXSCOPE_HOME"])
    assert "AP50" in elsewhere(sys.executable, "-m", "boxscope", "evaluate", str(run))


def listening(port: int) -> set[str]:
    """The addresses, in the kernel's hexadecimal, on which something listens at this port."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            address, _, in_hex = local.partition(":")
            if state == "0A" and int(in_hex, 16) == port:  # 0A: LISTEN
                found.add(address)
    return found


@pytest.fixture
def served(elsewhere) -> Iterator[tuple[int, Path]]:
    """`boxscope app` of the wheel, started in another folder: its port, and the file of what it prints."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = elsewhere.folder / "log.txt"
    environment = {**elsewhere.environment, "STREAMLIT_SERVER_HEADLESS": "true"}
    environment.pop("STREAMLIT_SERVER_ADDRESS", None)
    with open(log, "wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "boxscope", "app", "--port", str(port)],
            cwd=elsewhere.folder,
            env=environment,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + 120
        while not listening(port):
            assert process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.2)
        yield port, log
    finally:
        os.killpg(process.pid, 15)
        process.wait(20)


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads the sockets of Linux from /proc")
def test_the_installed_app_listens_on_this_machine_only_and_counts_nobody(served):
    port, log = served
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=20) as answer:
        assert answer.read() == b"ok"
    loopback = {"0100007F", "00000000000000000000000001000000"}  # 127.0.0.1 and ::1
    assert listening(port) and listening(port) <= loopback
    assert "usage statistics" not in log.read_text().lower(), "Streamlit announces them where they are on"


def pinned(file: str) -> dict[str, Requirement]:
    lines = (ROOT / file).read_text().splitlines()
    found = [Requirement(line.partition("#")[0]) for line in lines if line.strip() and line[0] not in "#-"]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def ranges() -> dict[str, Requirement]:
    groups = PROJECT["project"]["optional-dependencies"]
    listed = [*PROJECT["project"]["dependencies"], *(one for group in groups.values() for one in group)]
    found = [Requirement(line) for line in listed]
    return {canonicalize_name(r.name): r for r in found if r.name != "boxscope"}


def test_each_pinned_requirement_lies_in_the_packages_range_and_none_is_forgotten():
    exact, allowed = pinned("requirements.txt"), ranges()
    assert set(exact) <= set(allowed), "in requirements.txt only: give it a range in pyproject.toml"
    required = {canonicalize_name(Requirement(line).name) for line in PROJECT["project"]["dependencies"]}
    assert required <= set(exact), "in pyproject.toml only: pin it in requirements.txt, with its reason"
    outside = {
        name: (str(one.specifier), str(allowed[name].specifier))
        for name, one in exact.items()
        for pin in one.specifier
        if pin.operator == "==" and not allowed[name].specifier.contains(pin.version)
    }
    assert outside == {}
    assert all(r.specifier for r in allowed.values()), "a range has a lower bound"


def test_a_command_without_its_extra_ends_with_one_sentence(monkeypatch, capsys):
    def command(**_):
        raise ModuleNotFoundError("No module named 'keras.src'", name="keras.src")

    monkeypatch.setattr(cli, "app", command)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    said = "boxscope: this needs keras, which is not installed: pip install 'boxscope[tensorflow]'.\n"
    assert capsys.readouterr().err == said


def test_packages_of_an_extra_stand_in_it():
    extras = PROJECT["project"]["optional-dependencies"]
    for package, extra in cli.EXTRAS.items():
        assert package in {Requirement(line).name for line in extras[extra]}


def test_the_extra_all_names_every_other():
    extras = PROJECT["project"]["optional-dependencies"]
    [everything] = extras["all"]
    assert Requirement(everything).extras == set(extras) - {"all", "testing"}


def test_one_name_gives_the_public_calls():
    import analysis  # noqa: PLC0415  beside boxscope, to compare the two
    import detector  # noqa: PLC0415

    assert set(boxscope.__all__) == {"__version__", *analysis.__all__, *detector.__all__}
    for name in boxscope.__all__:
        assert getattr(boxscope, name) is not None and name in dir(boxscope)
    with pytest.raises(AttributeError, match="'boxscope' has no attribute 'detect'"):
        _ = boxscope.detect
    assert boxscope.__version__ == VERSION
    assert boxscope.load_dataset is detector.load_dataset and boxscope.evaluate is analysis.evaluate


def test_the_dockerfile_runs_the_readmes_command():
    [readme] = re.findall(
        r"^python3 -m venv \.venv && (.*) && \.venv/bin/streamlit run app$",
        (ROOT / "README.md").read_text(),
        re.MULTILINE,
    )
    docker = (ROOT / "Dockerfile").read_text()
    assert readme in docker and "python3 -m venv .venv" in docker
    assert '".venv/bin/streamlit", "run", "app"' in docker
    base = re.search(r"^FROM python:(\d+\.\d+)-", docker, re.MULTILINE)
    assert base and base[1] in ("3.11", "3.12", "3.13")
