import io
import stat
import tarfile
import zipfile

import pytest

from detector.archive import is_archive, unpack
from detector.errors import ModelError
from detector.paths import data_dir


def tar(path, members, mode="w:gz"):
    """`members`: name -> bytes, None for a folder, or a TarInfo."""
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            if content is None:
                info.type = tarfile.DIRTYPE
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def left_behind():
    return sorted(p.name for p in data_dir("models").iterdir())


@pytest.mark.parametrize("name, mode", [("m.tar.gz", "w:gz"), ("m.tgz", "w:gz"), ("m.tar", "w")])
def test_a_tar_is_unpacked_once_under_its_content(tmp_path, name, mode):
    archive = tar(
        tmp_path / name, {"./": None, "./saved_model.pb": b"graph", "./variables/v.index": b"weights"}, mode
    )
    seen = []
    folder = unpack(archive, progress=lambda done, total: seen.append((done, total)))
    assert (folder / "saved_model.pb").read_bytes() == b"graph" and (
        folder / "variables" / "v.index"
    ).read_bytes() == b"weights"
    assert seen == [(5, None), (12, None)]
    (folder / "mark").write_text("kept")
    copy = tmp_path / ("copy-" + name)
    copy.write_bytes(archive.read_bytes())
    assert (
        unpack(copy, progress=lambda done, total: seen.append("again")) == folder
        and (folder / "mark").exists()
    )
    assert "again" not in seen
    assert left_behind() == [folder.name]


def test_a_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("top/saved_model.pb", "graph")
        archive.writestr("top/assets/", "")
    assert (unpack(tmp_path / "m.zip") / "top" / "saved_model.pb").read_text() == "graph"


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "C:/evil", "a\\..\\evil"])
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_nothing_is_written_outside(tmp_path, name, kind):
    path = tmp_path / f"m.{kind}"
    if kind == "tar":
        tar(path, {"fine": b"x", name: b"evil"}, "w")
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("fine", "x")
            info = zipfile.ZipInfo("placeholder")
            info.filename = name
            archive.writestr(info, "evil")
    with pytest.raises(ModelError, match="outside its folder"):
        unpack(path)
    assert left_behind() == [] and not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize(
    "kind, target",
    [
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.LNKTYPE, "fine"),
        (tarfile.FIFOTYPE, ""),
        (tarfile.CHRTYPE, ""),
    ],
)
def test_no_links_and_no_devices(tmp_path, kind, target):
    path = tar(tmp_path / "m.tar", {"fine": b"x", "odd": special("odd", kind, target)}, "w")
    with pytest.raises(ModelError, match="link or device, 'odd'"):
        unpack(path)
    assert left_behind() == []


def test_no_links_in_a_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        info = zipfile.ZipInfo("odd")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(ModelError, match="link or device, 'odd'"):
        unpack(tmp_path / "m.zip")


def test_bounds(tmp_path):
    bomb = tar(tmp_path / "bomb.tar.gz", {"zeros": bytes(300_000)})
    assert bomb.stat().st_size < 2_000
    with pytest.raises(ModelError, match="more than 200,000 bytes"):
        unpack(bomb, max_bytes=200_000)
    many = tar(tmp_path / "many.tar", {f"f{i}": b"" for i in range(30)}, "w")
    with pytest.raises(ModelError, match="more than 20 members"):
        unpack(many, max_members=20)
    assert left_behind() == []
    assert unpack(bomb, max_bytes=300_000).is_dir()


def test_a_name_twice(tmp_path):
    with tarfile.open(tmp_path / "m.tar", "w") as archive:
        for content in (b"one", b"two"):
            info = tarfile.TarInfo("saved_model.pb")
            info.size = 3
            archive.addfile(info, io.BytesIO(content))
    with pytest.raises(ModelError, match="'saved_model.pb' twice"):
        unpack(tmp_path / "m.tar")


def test_damaged_empty_or_no_archive(tmp_path):
    whole = tar(tmp_path / "m.tar.gz", {"a": b"x" * 50_000, "b": bytes(range(256)) * 400}).read_bytes()
    (tmp_path / "half.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="damaged or was not fetched whole"):
        unpack(tmp_path / "half.tar.gz")
    (tmp_path / "page.tar.gz").write_text("<html>not found</html>")
    with pytest.raises(ModelError, match="cannot be unpacked"):
        unpack(tmp_path / "page.tar.gz")
    with pytest.raises(ModelError, match="is empty"):
        unpack(tar(tmp_path / "empty.tar.gz", {}))
    with pytest.raises(ModelError, match="No such file"):
        unpack(tmp_path / "none.tar.gz")
    assert left_behind() == []


def test_names():
    assert (
        is_archive("A.TAR.GZ")
        and is_archive("x/y.tgz")
        and is_archive("m.zip")
        and not is_archive("saved_model.pb")
    )
