"""Features are read as they were written, of the image they are of, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from experiments.frozen import feature_files
from experiments.frozen.feature_files import FeatureFiles, Room
from tests.tiny import random_image

SHAPE = (4, 5, 6)
ABOUT = {"weights": "a", "config": {"image_side": 32}}


class Cache:
    """Files of one encoder in a folder, and what was told."""

    def __init__(self, folder: Path, about: dict[str, object] = ABOUT, budget: float = 1e9) -> None:
        self.told: list[str] = []
        self.room = Room(folder, budget, self.told.append)
        self.files = FeatureFiles(folder / "clip", about, SHAPE, torch.float16, self.room, self.told.append)

    def paths(self) -> list[Path]:
        return sorted(self.files.folder.glob("??/*"))


def features(seed: int) -> Tensor:
    """Of which float16 holds every value."""
    return torch.randn(*SHAPE, generator=torch.Generator().manual_seed(seed)).half()


KEYS = [f"{seed:064x}" for seed in range(3)]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """With the features of two images."""
    cache = Cache(tmp_path)
    for number in (0, 1):
        cache.files.write(KEYS[number], features(number))
    return cache


def test_features_are_read_by_the_image_s_content_and_by_all_they_depend_on(cache: Cache, tmp_path: Path) -> None:
    again = Cache(tmp_path).files
    for number in (0, 1):
        read = again.read(KEYS[number])
        assert read is not None
        assert torch.equal(read, features(number))
    assert again.read(KEYS[2]) is None
    assert again.count() == 2
    for other in ({**ABOUT, "weights": "b"}, {**ABOUT, "config": {"image_side": 64}}):
        assert Cache(tmp_path, other).files.read(KEYS[0]) is None
    assert not cache.told


def test_another_pixel_or_another_shape_is_another_image(cache: Cache) -> None:
    key, image = cache.files.key, random_image(8, 8, 0)
    changed = image.clone()
    changed[0, 0, 0] += 1
    assert key(image) == key(image.clone())
    assert len({key(one) for one in (image, changed, image.view(3, 4, 16), image.flip(0))}) == 4


def flip_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[17] ^= 4
    file.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(flip_bit, id="a bit"),
        pytest.param(lambda file: file.write_bytes(file.read_bytes()[:-9]), id="cut off"),
        pytest.param(lambda file: file.write_bytes(b""), id="empty"),
        pytest.param(lambda file: file.write_bytes(bytes(len(file.read_bytes()))), id="zeros, as after a power cut"),
        pytest.param(lambda file: file.write_bytes((file.parents[1] / KEYS[1][:2] / KEYS[1]).read_bytes()), id="moved"),
    ],
)
def test_what_is_damaged_is_said_once_and_written_anew(cache: Cache, damage: object) -> None:
    file = cache.files.folder / KEYS[0][:2] / KEYS[0]
    assert callable(damage)
    damage(file)
    assert cache.files.read(KEYS[0]) is None
    assert cache.files.read(KEYS[0]) is None
    assert cache.told == [f"warning: {file} is damaged; what is damaged is computed again"]
    cache.files.write(KEYS[0], features(0))
    read = cache.files.read(KEYS[0])
    assert read is not None
    assert torch.equal(read, features(0))


def test_what_a_killed_writer_left_is_not_read_and_goes_in_time(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = cache.paths()[0].with_name(f".{KEYS[2]}.part-99999")
    part.write_bytes(b"half")
    again = Cache(tmp_path).files
    assert again.count() == 2
    assert again.read(KEYS[2]) is None
    assert part.is_file(), "its writer may be at work"
    monkeypatch.setattr(feature_files, "LEFT_BEHIND", -1)
    Cache(tmp_path)
    assert not part.exists()
    assert len(cache.paths()) == 2


def test_nothing_is_written_beyond_the_budget_which_counts_what_lies_there(cache: Cache, tmp_path: Path) -> None:
    there = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
    full = Cache(tmp_path, {"weights": "b"}, budget=there + cache.files.size * 1.5)
    for number, key in enumerate(KEYS):
        full.files.write(key, features(number))
    assert full.files.count() == 1
    assert len(full.told) == 1
    assert "features.gigabytes of params.yaml" in full.told[0]


def test_a_disk_that_takes_no_more_ends_the_writing_and_nothing_else(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(feature_files, "replacing", full)
    cache.files.write(KEYS[2], features(2))
    cache.files.write(KEYS[2], features(2))
    assert len(cache.told) == 1
    assert "No space left on device" in cache.told[0]
    assert cache.files.read(KEYS[2]) is None
    assert cache.files.read(KEYS[0]) is not None


def read_and_write(folder: Path) -> None:
    cache = Cache(folder)
    for _ in range(100):
        for number, key in enumerate(KEYS):
            read = cache.files.read(key)
            assert read is None or torch.equal(read, features(number)), "half of it was read"
            cache.files.write(key, features(number))
    assert not cache.told, cache.told


def test_processes_that_read_and_write_the_same_at_once_read_it_whole(tmp_path: Path) -> None:
    other = os.fork()
    if not other:
        try:
            read_and_write(tmp_path)
            os._exit(0)
        finally:
            os._exit(1)
    read_and_write(tmp_path)
    assert os.waitstatus_to_exitcode(os.waitpid(other, 0)[1]) == 0
    assert len(Cache(tmp_path).paths()) == len(KEYS)
