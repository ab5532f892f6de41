"""A folder listed into an index is the data set that the folder is; a bucket on a real S3 server too."""

from __future__ import annotations

import os
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from detector.data.indexed import index as indexing
from detector.data.indexed.columns import ParquetTexts, Prefixed, Same, take
from detector.data.indexed.index import Entry, IndexedDataset, is_index, write_index
from detector.data.load import load_dataset
from detector.errors import DataError, ImageError, InputError
from tests.detector.data.builders import picture


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    for k, name in enumerate(("b.png", "a/z.jpg", "a/c d.png", "a-b/1.png", "ä.png")):
        picture(folder / name, 21 + k, 13)
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.png").write_bytes(b"")
    return folder


def test_an_empty_source_is_an_error(tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="expected pictures, there is none"):
        write_index(tmp_path / "none", tmp_path / "i.parquet")
    with pytest.raises(DataError, match="expected a folder to list"):
        write_index(tmp_path / "missing", tmp_path / "i.parquet")
    assert sorted(os.listdir(tmp_path)) == ["none"], "nothing half-written stays"


def test_an_index_is_the_folder(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(indexing, "GROUP", 2)
    told: list[int] = []
    path = write_index(pictures, tmp_path / "i.parquet", progress=told.append)
    made, folder = load_dataset(path), load_dataset(pictures)
    assert isinstance(made, IndexedDataset) and len(made) == 5 and told == [2, 4, 5]
    assert (
        list(made.sample_ids) == folder.sample_ids == ["a/c d.png", "a/z.jpg", "a-b/1.png", "b.png", "ä.png"]
    )
    assert list(made.files) == folder.files
    assert made.fingerprint == folder.fingerprint, "a run of one is found from the other"
    assert made[3].load().shape == (13, 21, 3) and made["b.png"].annotations is None
    assert made.position("ä.png") == 4 and "ä.png" in made and "x" not in made
    with pytest.raises(InputError, match="no sample 'x'"):
        made.position("x")
    picked = made.subset(np.array([4, 1]))
    assert picked.sample_ids == ["a/z.jpg", "ä.png"] and picked.files == [folder.files[1], folder.files[4]]
    assert load_dataset(path, limit=2).sample_ids == folder.sample_ids[:2]
    assert made.subset(["b.png"]).sample_ids == ["b.png"]


def test_rows_hold_size_time_and_a_fingerprint_that_changes(pictures, tmp_path):
    path = write_index(pictures, tmp_path / "i.parquet")
    before = pq.read_table(path)
    assert before.column("size").to_pylist() == [
        os.path.getsize(pictures / n) for n in before.column("sample").to_pylist()
    ]
    assert before.column("modified")[3].as_py() == (pictures / "b.png").stat().st_mtime_ns
    os.utime(pictures / "b.png", ns=(1, 1))
    after = pq.read_table(write_index(pictures, path))
    changed = [
        a != b
        for a, b in zip(before.column("fingerprint").to_pylist(), after.column("fingerprint").to_pylist())
    ]
    assert changed == [False, False, False, True, False]


def test_only_an_index_is_overwritten(pictures, tmp_path):
    other = tmp_path / "table.parquet"
    other.write_bytes(b"something")
    with pytest.raises(InputError, match="something else"):
        write_index(pictures, other)
    with pytest.raises(InputError, match="ends in .parquet"):
        write_index(pictures, tmp_path / "i.csv")
    assert not is_index(other) and not is_index(pictures)


def test_circles_of_links_and_refused_names(pictures, tmp_path):
    (pictures / "a" / "up").symlink_to(pictures)
    with open(os.fsencode(pictures) + b"/\xff.png", "wb") as file:
        file.write(b"x")
    made = load_dataset(write_index(pictures, tmp_path / "i.parquet"))
    assert (
        len(made) == 5
        and [p.kind for p in made.problems] == ["unreadable folder or name"]
        and made.problems[0].left_out
    )


def test_listing_and_opening_hold_no_list(tmp_path):
    """Twenty times the entries, no more memory than a row group and the file's own footer take."""

    def peak(count: int) -> int:
        entries = (Entry(f"{i // 1000:04d}/{i:08d}.jpg", 1000 + i, i) for i in range(count))
        tracemalloc.start()
        path = write_index("s3://bucket/pictures", tmp_path / "many.parquet", entries=entries)
        made = IndexedDataset(path)
        assert made.sample_ids[count - 1] == f"{(count - 1) // 1000:04d}/{count - 1:08d}.jpg"
        assert (
            made.files[7] == "s3://bucket/pictures/0000/00000007.jpg" and sum(1 for _ in made.files) == count
        )
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    indexing_group, indexing.GROUP = indexing.GROUP, 500
    try:
        small, large = peak(1000), peak(20_000)
    finally:
        indexing.GROUP = indexing_group
    assert large < 2 * small, (small, large)


def test_lazy_texts(tmp_path):
    path = write_index(
        "s3://b/p", tmp_path / "i.parquet", entries=(Entry(f"{i}.png", i, i) for i in range(10))
    )
    texts = ParquetTexts(path, "sample")
    assert (
        len(texts) == 10
        and texts[-1] == "9.png"
        and texts[2:4] == ["2.png", "3.png"]
        and texts[::-4] == ["9.png", "5.png", "1.png"]
    )
    assert (
        texts.take(np.array([5, 0, 5])) == ["5.png", "0.png", "5.png"]
        and texts.find("7.png") == 7
        and texts.find("x") is None
    )
    assert list(pickle.loads(pickle.dumps(texts))) == list(texts)
    assert Prefixed("x/", texts)[1:3] == ["x/1.png", "x/2.png"] and take(["a", "b"], np.array([1])) == ["b"]
    assert list(Same(None, 3)) == [None] * 3 and Same(1, 4)[1:3] == [1, 1]
    with pytest.raises(IndexError):
        texts[10]
    with pytest.raises(DataError, match="expected a column 'colour'"):
        ParquetTexts(path, "colour")
    with pytest.raises(DataError, match="cannot be read"):
        ParquetTexts(tmp_path / "none.parquet", "sample")


def test_a_bucket_is_listed_and_read(s3_bucket, pictures, tmp_path):
    """Against moto's server over HTTP: listing, the index, pictures, and what is missing or torn."""
    client, bucket = s3_bucket
    for file in sorted(pictures.rglob("*")):
        if file.is_file():
            client.upload_file(str(file), bucket, f"set/{file.relative_to(pictures)}")
    client.put_object(Bucket=bucket, Key="elsewhere.png", Body=b"x")
    path = write_index(f"s3://{bucket}/set", tmp_path / "i.parquet")
    made, folder = load_dataset(path), load_dataset(pictures)
    assert list(made.sample_ids) == folder.sample_ids and made.fingerprint == folder.fingerprint
    for i, sample in enumerate(folder):
        assert np.array_equal(made.load_image(i), sample.load()), sample.id
    from detector.data.images import image_size, thumbnail

    address = f"s3://{bucket}/set/b.png"
    assert image_size(address) == (21, 13) and thumbnail(address, 10).shape == (6, 10, 3)
    with pytest.raises(ImageError, match="no such file"):
        image_size(f"s3://{bucket}/set/gone.png")
    with pytest.raises(DataError, match="cannot be listed"):
        write_index(f"s3://{bucket}-that-is-not-there/x", tmp_path / "j.parquet")
    with pytest.raises(DataError, match="boxscope index"):
        load_dataset(f"s3://{bucket}/set")


def test_a_run_over_a_bucket_is_the_run_over_the_folder(s3_bucket, pictures, tmp_path):
    from analysis.runs.detect import detect_run
    from tests.analysis.run_builders import StubDetector

    client, bucket = s3_bucket
    for file in sorted(pictures.rglob("*.png")):
        client.upload_file(str(file), bucket, f"set/{file.relative_to(pictures)}")
    client.put_object(Bucket=bucket, Key="set/torn.png", Body=(pictures / "b.png").read_bytes()[:60])
    (pictures / "torn.png").write_bytes((pictures / "b.png").read_bytes()[:60])
    (pictures / "a" / "z.jpg").unlink()
    remote = detect_run(
        StubDetector(),
        load_dataset(write_index(f"s3://{bucket}/set", tmp_path / "i.parquet")),
        tmp_path / "remote",
    )
    local = detect_run(StubDetector(), load_dataset(pictures), tmp_path / "local")
    assert list(remote.failed) == ["torn.png"] == list(local.failed)
    at = [remote.position(s) for s in local.sample_ids]
    for i, k in enumerate(at):
        if local.readable[i]:
            assert local.detections_of(i).equals(remote.detections_of(k))
