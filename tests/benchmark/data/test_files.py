from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.data.errors import SampleError
from benchmark.data.files import held, read_table, remove_leftovers, replacing, sha256, write_all


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_broken_off_leaves_the_older_one_whole_and_nothing_beside_it(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "deep" / "place"
    with replacing(place) as part:
        fill(part, kind, "first")
    assert read(place) == "first"
    with pytest.raises(FileNotFoundError), replacing(place) as part:
        fill(part, kind, "second", broken=True)
    assert read(place) == "first"
    with replacing(place) as part:
        fill(part, kind, "third")
        assert read(place) == "first"
    assert read(place) == "third"
    assert list(place.parent.iterdir()) == [place]


def test_several_files_are_written_together_or_not_at_all(tmp_path: Path) -> None:
    write_all({tmp_path / "a": b"1", tmp_path / "b": b"1"})
    with pytest.raises(TypeError):
        write_all({tmp_path / "a": b"2", tmp_path / "b": "no bytes"})  # type: ignore[dict-item]
    assert [(path.name, path.read_bytes()) for path in sorted(tmp_path.iterdir())] == [("a", b"1"), ("b", b"1")]


def test_a_folder_is_never_replaced_by_a_file(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").write_text("kept")
    with pytest.raises(IsADirectoryError, match="docs"):
        write_all({tmp_path / "new": b"1", tmp_path / "docs": b"2"})
    assert [path.name for path in tmp_path.rglob("*")] == ["docs", "page.md"]


def test_what_killed_processes_left_goes_and_what_running_ones_write_stays(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    place = tmp_path / "port[1]"
    left = [tmp_path / f".port[1].{kind}-{gone.pid}" for kind in ("part", "part-old")]
    others = [tmp_path / f".port[1].part-{number}" for number in (os.getpid(), 1, "half")]
    others += [tmp_path / f".port1.part-{gone.pid}", place]
    for folder in (*left, *others):
        fill(folder, "folder", "written")
    assert remove_leftovers(place) == left
    assert sorted(tmp_path.iterdir()) == sorted(others)
    fill(left[0], "folder", "written")
    with held(left[0]):  # a process that is not seen here, in another container
        assert remove_leftovers(place) == []
    assert remove_leftovers(place) == left[:1]


def test_a_table_that_is_damaged_where_its_types_stand_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": pa.array([1], pa.int64())}), path)
    schema = pq.read_metadata(path).metadata[b"ARROW:schema"]
    wider = base64.b64encode(base64.b64decode(schema).replace(b"\x40\0\0\0", b"\x80\0\0\0", 1))  # 128 bits
    path.write_bytes(path.read_bytes().replace(schema, wider))
    with pytest.raises(SampleError, match=r"a\.parquet cannot be read \(Integers with more than 64 bits.*\); make it"):
        read_table(path, ["a"], "make it")


def test_sha256_is_of_the_file_s_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256(tmp_path / "file") == hashlib.sha256(b"abc").hexdigest()


def fill(part: Path, kind: str, text: str, broken: bool = False) -> None:
    if kind == "folder":
        part.mkdir()
    (part / "inside" if kind == "folder" else part).write_text(text)
    if broken:
        raise FileNotFoundError


def read(place: Path) -> str:
    return (place / "inside" if place.is_dir() else place).read_text()
