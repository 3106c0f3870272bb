"""experiments.bench on stub modules: what is written, and when nothing is."""

from __future__ import annotations

import csv
import os
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from experiments.commands import bench
from experiments.speed import child

PAIR = "Pair('{path}', 'a, | case', 2.0, 0.5, {ratio}, note='=1+1')"
MODULE = """
from experiments.speed.pairs import Growth, Pair
def measure():
    return [{pairs}]
"""
GROWTH = """
def growth():
    return [Growth('work', 'images', size, 0.1 * size) for size in (1, 2, 4)]
"""


@pytest.fixture
def stubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of measurements, of which bench knows three names; its modules are for the test to write."""
    folder = tmp_path / "stub_measurements"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])]))
    monkeypatch.setattr(bench, "PACKAGE", "stub_measurements")
    monkeypatch.setattr(bench, "MODULES", ("first", "second", "third"))
    for name, ratio in (("first", 4.0), ("second", 2.0), ("third", 3.0)):
        _write(folder, name, ratio)
    (folder / "second.py").write_text((folder / "second.py").read_text() + GROWTH)
    return folder


def _write(folder: Path, name: str, ratio: float) -> None:
    pair = PAIR.format(path=name, ratio=ratio)
    (folder / f"{name}.py").write_text(MODULE.format(pairs=pair))


def _measured_here(name: str) -> dict[str, Any]:
    """As bench.measured(), without the seconds that a process takes to start."""
    found = child.run(import_module(f"{bench.PACKAGE}.{name}"))
    return {**found, "others": {"cores": 0.0, "stolen": 0.0}, "where": dict.fromkeys(bench.WHERE, "here")}


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def test_both_tables_are_written_and_a_part_measured_again_leaves_the_others(
    stubs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(bench, "measured", _measured_here)
        bench.main([], out)
    rows = _rows(out / "speed.csv")
    assert [(row["module"], row["ratio"], row["goal"]) for row in rows] == [
        ("first", "4", ""), ("second", "2", ""), ("third", "3", ""),
    ]  # fmt: skip
    assert rows[0]["case"] == "a, | case"
    assert rows[0]["note"] == "'=1+1"  # no formula
    assert [(row["over"], row["size"]) for row in _rows(out / "speed_growth.csv")] == [
        ("images", "1"), ("images", "2"), ("images", "4"),
    ]  # fmt: skip
    assert "first, a, | case: 4.00" in capfd.readouterr().out
    _write(stubs, "second", 5.0)
    bench.main(["second"], out)
    again = _rows(out / "speed.csv")
    assert [row["ratio"] for row in again] == ["4", "5", "3"]
    assert again[0] == rows[0]
    assert "cores" in again[1]["machine"]  # by a process of its own
    assert again[1]["versions"].startswith("python ")
    assert _rows(out / "speed_growth.csv") == []


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("def measure():\n    raise RuntimeError('no luck')\n", "no luck"),
        ("def measure():\n    return [3]\n", "gave 3; measure() gives Pairs or Growths"),
        ("def measure():\n    return []\n", "measured nothing"),
    ],
)
def test_a_measurement_that_fails_leaves_the_tables_as_they_were(
    stubs: Path, tmp_path: Path, module: str, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (stubs / "first.py").write_text(module)
    with pytest.raises(SystemExit):
        bench.main([], out)
    error = capfd.readouterr().err
    assert said in error
    assert "'first' ended with status 1" in error
    assert list(out.iterdir()) == []


def test_an_unknown_or_missing_measurement_is_refused_before_any_is_made(
    stubs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "MODULES", (*bench.MODULES, "absent"))
    for name, said in (("secnd", "did you mean 'second'?"), ("absent", "stub_measurements.absent is not there")):
        with pytest.raises(SystemExit):
            bench.main([name], tmp_path / "out")
        assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damaged", [b"", b"\xff\xfe\xfd", b"module,path\na,b,c,d\n"])
def test_a_damaged_table_or_a_place_that_cannot_be_is_refused_before_any_is_made(
    damaged: bytes, stubs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "speed.csv").write_bytes(damaged)
    for place, said in (
        (out, "speed.csv"),
        (Path("/proc/nope"), "--out /proc/nope: No such file or directory; give a"),
    ):
        with pytest.raises(SystemExit):
            bench.main(["first"], place)
        assert said in capsys.readouterr().err
    assert (out / "speed.csv").read_bytes() == damaged
