from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmark.data.samples import SampleError, decode_mask, load_dataset
from benchmark.datasets.assemble import NamedScene, replaced, write_scenes
from benchmark.expressions.writer import Region

ABOUT: dict[str, Any] = {"name": "toy", "source": "drawn", "licence": "CC0-1.0", "citation": "nobody, never", "seed": 0}


@dataclass
class Drawn:
    image: NDArray[np.uint8]
    regions: list[Region]


def draw(seed: int, ships: int = 5, side: int = 64) -> Drawn:
    """Ships in a row, each larger than the one before, over a harbor."""
    image = np.random.default_rng(seed).integers(0, 256, (side, side, 3)).astype(np.uint8)
    regions = []
    for k in range(ships):
        mask = np.zeros((side, side), bool)
        mask[20 : 22 + 2 * k, 12 * k + 1 : 12 * k + 9] = True
        regions.append(Region(mask, "ship", ("red", "white")[k % 2]))
    mask = np.zeros((side, side), bool)
    mask[50:60, 5:60] = True
    return Drawn(image, [*regions, Region(mask, "harbor", "gray")])


def scenes(count: int = 6) -> Iterator[NamedScene]:
    for k in range(count):
        yield NamedScene(f"scene-{k}", ("train", "val", "test")[k % 3], draw(k))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_scenes_become_a_dataset_with_their_masks(tmp_path: Path) -> None:
    manifest = write_scenes(tmp_path / "toy", scenes(), **ABOUT)
    dataset = load_dataset(tmp_path / "toy")
    assert dataset.manifest == manifest
    assert {split: count["images"] for split, count in manifest.counts.items()} == {"train": 2, "val": 2, "test": 2}
    row = next(row for row in dataset.samples.to_dict("records") if row["expression"] == "the harbor")
    assert np.array_equal(decode_mask(row["mask"], row["height"], row["width"]), draw(0).regions[-1].mask)


def test_building_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    write_scenes(tmp_path / "a", scenes(), **ABOUT)
    write_scenes(tmp_path / "b", scenes(), **ABOUT)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_scene_keeps_its_sentences_whatever_else_is_built(tmp_path: Path) -> None:
    write_scenes(tmp_path / "few", scenes(3), **ABOUT)
    write_scenes(tmp_path / "many", reversed(list(scenes(6))), **ABOUT)
    few, many = (load_dataset(tmp_path / name).samples.set_index("sample_id")["expression"] for name in ("few", "many"))
    assert many[few.index].tolist() == few.tolist()


def test_samples_of_an_image_are_capped_with_even_categories(tmp_path: Path) -> None:
    write_scenes(tmp_path / "toy", scenes(), **ABOUT, per_image=4)
    for _, rows in load_dataset(tmp_path / "toy").samples.groupby("image_id"):
        assert Counter(rows["category"]) == {"ship": 2, "harbor": 2}


def test_a_scene_without_samples_leaves_no_image(tmp_path: Path) -> None:
    bare = NamedScene("bare", "train", Drawn(np.zeros((8, 8, 3), np.uint8), []))
    write_scenes(tmp_path / "toy", [*scenes(), bare], **ABOUT)
    assert not (tmp_path / "toy" / "images" / "bare.png").exists()


def test_a_split_that_got_no_samples_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        SampleError, match=r"no samples for split test of dataset 'toy' .*'val': .*; give it more scenes"
    ):
        write_scenes(tmp_path / "toy", list(scenes())[:2], **ABOUT)
    assert not list(tmp_path.iterdir())
    write_scenes(tmp_path / "toy", list(scenes())[:2], **ABOUT, require=("train", "val"))


def test_a_new_build_replaces_the_old_one_whole(tmp_path: Path) -> None:
    write_scenes(tmp_path / "toy", scenes(6), **ABOUT)
    write_scenes(tmp_path / "toy", scenes(3), **ABOUT)
    assert len(list((tmp_path / "toy" / "images").iterdir())) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]


def test_a_failing_scene_leaves_the_old_dataset_and_nothing_else(tmp_path: Path) -> None:
    write_scenes(tmp_path / "toy", scenes(), **ABOUT)
    before = contents(tmp_path)

    def failing() -> Iterator[NamedScene]:
        yield from scenes(3)
        raise SampleError("the fourth scene is broken")

    with pytest.raises(SampleError, match="the fourth scene is broken"):
        write_scenes(tmp_path / "toy", failing(), **ABOUT)
    assert contents(tmp_path) == before


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    def interrupted() -> None:
        with replaced(tmp_path / "toy") as part:
            (part / "file").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list(tmp_path.iterdir())
