from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError
from scipy import ndimage

from benchmark.data.samples import Dataset, SampleError, decode_mask, load_dataset
from benchmark.datasets.class_masks import build, find_regions
from benchmark.datasets.dubai import CLASSES, DubaiConfig
from benchmark.datasets.labels import read_codes, to_labels
from benchmark.datasets.patches import starts

REAL = Path(__file__).parents[4] / "shared" / "data" / "dubai_aerial"
UNLABELED, STRAY = 0x9B9B9B, 0x000000
CODES = {name: int(str(marker)[1:], 16) for name, marker in CLASSES.items()}  # 0xRRGGBB
PATCH = 64


def colour(value: int) -> tuple[int, int, int]:
    return value >> 16, (value >> 8) & 255, value & 255


def fake_labels(seed: int, height: int, width: int) -> NDArray[np.int64]:
    """Colours of a mask: land, a lake, a road across, buildings, a park, something unlabeled and a stray pixel."""
    rng = np.random.default_rng(seed)
    colours = np.full((height, width), CODES["land"])
    y, x = np.mgrid[:height, :width]
    for _ in range(3):
        cy, cx, radius = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(8, 18)
        name = ("water", "vegetation")[int(rng.integers(2))]
        colours[(y - cy) ** 2 + (x - cx) ** 2 < radius**2] = CODES[name]
    row = int(rng.integers(8, height - 16))
    colours[row : row + 6] = CODES["road"]
    for _ in range(4):
        top, left = rng.integers(0, height - 14), rng.integers(0, width - 14)
        colours[top : top + 12, left : left + 10] = CODES["building"]
    colours[-6:, -6:] = UNLABELED
    colours[0, 0] = STRAY
    return colours


def make_fake(root: Path, parts: int = 2, height: int = 100, width: int = 150) -> Path:
    """The layout of the real dataset: three tiles, the second with palette masks, and the misleading classes.json."""
    root.mkdir(parents=True)
    (root / "classes.json").write_text('{"classes": [{"title": "Water", "color": "#50E3C2"}]}')
    for tile in (1, 2, 3):
        for kind in ("images", "masks"):
            (root / f"Tile {tile}" / kind).mkdir(parents=True)
        for part in range(1, parts + 1):
            colours = fake_labels(10 * tile + part, height, width)
            rgb = np.stack([colours >> 16, (colours >> 8) & 255, colours & 255], axis=-1).astype(np.uint8)
            mask = Image.fromarray(rgb)
            if tile == 2:
                mask = mask.convert("P", palette=Image.Palette.ADAPTIVE, colors=16)
            mask.save(root / f"Tile {tile}" / "masks" / f"image_part_{part:03d}.png")
            noise = np.random.default_rng(part).integers(-20, 20, rgb.shape)
            image = Image.fromarray(np.clip(rgb + noise, 0, 255).astype(np.uint8))
            image.save(root / f"Tile {tile}" / "images" / f"image_part_{part:03d}.jpg", quality=90)
    return root


def config(root: Path, **changes: object) -> DubaiConfig:
    return DubaiConfig.model_validate(
        {"root": str(root), "patch": PATCH, "train": ("Tile 1",), "val": ("Tile 2",), "test": ("Tile 3",), **changes}
    )


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_fake(tmp_path_factory.mktemp("fake") / "dubai_aerial")


@pytest.fixture(scope="module")
def built(fake: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("built") / "dubai"
    build(folder, config(fake))
    return load_dataset(folder)


def labels_from(rows: list[str]) -> NDArray[np.uint8]:
    """A patch from a coarse drawing: one letter a block, the first of its class's name, '.' for no class."""
    letters = {".": 0, **{name[0]: index for index, name in enumerate(CLASSES, start=1)}}
    coarse = np.array([[letters[letter] for letter in row] for row in rows], np.uint8)
    return np.kron(coarse, np.ones((PATCH // len(rows), PATCH // len(rows)), np.uint8))


def found(labels: NDArray[np.uint8], **changes: object) -> list[tuple[str, bool]]:
    return [(region.category, region.target) for region in find_regions(labels, config(Path("nowhere"), **changes))]


def test_whole_tiles_go_to_their_split(built: Dataset) -> None:
    tiles = built.samples["image_id"].str.extract(r"^(tile\d)-")[0]
    assert set(zip(tiles, built.samples["split"], strict=True)) == {
        ("tile1", "train"),
        ("tile2", "val"),
        ("tile3", "test"),
    }
    assert set(built.samples["category"]) <= set(CLASSES)


def test_masks_are_connected_regions_of_one_colour(built: Dataset, fake: Path) -> None:
    for row in built.samples.to_dict("records"):
        tile, part, y, x = row["image_id"].split("-")
        path = fake / f"Tile {tile[4:]}" / "masks" / f"image_part_{part[4:]}.png"
        window = (slice(int(y[1:]), int(y[1:]) + PATCH), slice(int(x[1:]), int(x[1:]) + PATCH))
        rgb = np.asarray(Image.open(path).convert("RGB"))[window]
        mask = decode_mask(row["mask"], row["height"], row["width"])
        assert (rgb[mask] == colour(CODES[row["category"]])).all()
        assert ndimage.label(mask, structure=np.ones((3, 3)))[1] == 1
        around = ndimage.binary_dilation(mask, structure=np.ones((3, 3))) & ~mask
        assert not (rgb[around] == colour(CODES[row["category"]])).all(axis=-1).any()


def test_patches_are_the_pixels_of_the_part(built: Dataset, fake: Path) -> None:
    row = built.samples.iloc[0]
    tile, part, y, x = row["image_id"].split("-")
    pixels = np.asarray(Image.open(fake / f"Tile {tile[4:]}" / "images" / f"image_part_{part[4:]}.jpg"))
    window = pixels[int(y[1:]) : int(y[1:]) + PATCH, int(x[1:]) : int(x[1:]) + PATCH]
    assert np.array_equal(np.asarray(Image.open(built.folder / row["image"])), window)


def test_same_config_same_bytes(built: Dataset, fake: Path, tmp_path: Path) -> None:
    build(tmp_path / "dubai", config(fake))
    for path in sorted(built.folder.rglob("*.*")):
        assert path.read_bytes() == (tmp_path / "dubai" / path.relative_to(built.folder)).read_bytes()


def test_no_sentence_names_a_colour(built: Dataset) -> None:
    assert not built.samples["expression"].str.contains("red|blue|white|green|gray").any()


def test_palette_masks_read_as_rgb(fake: Path) -> None:
    path = fake / "Tile 2" / "masks" / "image_part_001.png"
    assert Image.open(path).mode == "P"
    colours, labels = fake_labels(21, 100, 150), to_labels(read_codes(path, values=False).codes, CLASSES)
    for index, value in enumerate(CODES.values(), start=1):
        assert np.array_equal(labels == index, colours == value)
    assert (labels[colours == UNLABELED] == 0).all()
    assert labels[0, 0] == 0


def test_patches_reach_both_edges_and_leave_little_out(subtests: pytest.Subtests) -> None:
    for size in (256, 300, 320, 321, 509, 544, 643, 1126):
        with subtests.test(f"{size} pixels"):
            first = starts(size, 256, 0)
            covered = np.zeros(size, bool)
            for at in first:
                assert 0 <= at <= size - 256
                covered[at : at + 256] = True
            assert (~covered).sum() <= 64
            if len(first) > 1:
                assert (first[0], first[-1]) == (0, size - 256)
                assert max(np.diff(first)) - min(np.diff(first)) <= 1


def test_overlap_is_at_least_what_was_asked() -> None:
    assert max(np.diff(starts(1126, 256, 64))) <= 192 * 1.25


def test_unlabeled_pixels_belong_to_nothing() -> None:
    assert found(labels_from(["ll..", "ll..", "....", "...."])) == [("land", True)]


def test_regions_are_connected_over_corners() -> None:
    assert [name for name, _ in found(labels_from(["bl..", "lb..", "....", "...."]))] == ["land", "building"]


def test_small_regions_distract_but_are_no_samples() -> None:
    labels = labels_from(["llll", "llll", "....", "...."])
    labels[50:54, 50:54] = 1  # 0.4 % of the patch
    assert found(labels) == [("land", True), ("land", False)]


def test_specks_are_ignored_altogether() -> None:
    labels = labels_from(["llll", "llll", "....", "...."])
    labels[50, 50] = 1
    assert found(labels) == [("land", True)]


def test_backgrounds_are_no_samples() -> None:
    assert found(labels_from(["llll", "llll", "llll", "bbbb"])) == [("land", False), ("building", True)]


def test_a_region_must_reach_into_the_patch() -> None:
    for depth, sample in ((4, False), (6, True)):
        labels = np.zeros((PATCH, PATCH), np.uint8)
        labels[-depth:, 10:40] = 3
        assert found(labels) == [("building", sample)], depth


def test_a_road_across_the_patch_is_no_sliver() -> None:
    labels = np.zeros((PATCH, PATCH), np.uint8)
    labels[30:34] = 5
    assert found(labels) == [("road", True)]


def test_a_thread_is_no_sample() -> None:
    for width, sample in ((2, False), (4, True)):
        labels = np.zeros((PATCH, PATCH), np.uint8)
        labels[30 : 30 + width] = 5
        assert found(labels, min_width=0.06) == [("road", sample)], width


def remove_root(root: Path) -> None:
    shutil.rmtree(root)


def remove_tile(root: Path) -> None:
    shutil.rmtree(root / "Tile 3")


def remove_mask(root: Path) -> None:
    (root / "Tile 3" / "masks" / "image_part_002.png").unlink()


def remove_image(root: Path) -> None:
    (root / "Tile 3" / "images" / "image_part_002.jpg").unlink()


def truncate_image(root: Path) -> None:
    path = root / "Tile 3" / "images" / "image_part_002.jpg"
    path.write_bytes(path.read_bytes()[:1000])


def truncate_mask(root: Path) -> None:
    path = root / "Tile 3" / "masks" / "image_part_002.png"
    path.write_bytes(path.read_bytes()[:-60])


def crop_mask(root: Path) -> None:
    path = root / "Tile 3" / "masks" / "image_part_002.png"
    Image.open(path).crop((0, 0, 140, 100)).save(path)


def shrink_pair(root: Path) -> None:
    for path in (root / "Tile 3" / "masks" / "image_part_002.png", root / "Tile 3" / "images" / "image_part_002.jpg"):
        Image.open(path).crop((0, 0, 40, 100)).save(path)


def blank_masks(root: Path) -> None:
    for path in (root / "Tile 3" / "masks").iterdir():
        Image.new("RGB", (150, 100), colour(UNLABELED)).save(path)


HOW = r"Semantic segmentation of aerial imagery.*CC0-1.0, https://.*Tile 1/images.*datasets.dubai.root"
BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "no folder": (remove_root, "aerial does not exist: " + HOW),
    "no tile": (remove_tile, "Tile 3 has no images: " + HOW),
    "no mask": (
        remove_mask,
        r"Tile 3/masks/image_part_002.\* does not exist, the other half of its pair, .*jpg, does: " + HOW,
    ),
    "no image": (
        remove_image,
        r"Tile 3/images/image_part_002.\* does not exist, the other half of its pair, .*png, does: " + HOW,
    ),
    "truncated image": (truncate_image, "Tile 3/images/image_part_002.jpg cannot be read to its end .* fetch it again"),
    "truncated mask": (truncate_mask, "Tile 3/masks/image_part_002.png cannot be read to its end .* fetch it again"),
    "mask of another size": (crop_mask, "image_part_002.png is 100x140 .* its image .*002.jpg is 100x150; .* no pair"),
    "smaller than a patch": (
        shrink_pair,
        "image_part_002.jpg is 100x40, smaller than a patch of 64; set patch of this dataset",
    ),
    "no regions": (blank_masks, "no samples for split test of dataset 'dubai'"),
}


def test_bad_sources_are_named_and_nothing_is_written(tmp_path: Path, fake: Path, subtests: pytest.Subtests) -> None:
    for number, (case, (spoil, message)) in enumerate(BAD.items()):
        with subtests.test(case):
            root = shutil.copytree(fake, tmp_path / f"{number}" / "dubai_aerial")
            spoil(root)
            data = tmp_path / f"{number}" / "data"
            data.mkdir()
            with pytest.raises((SampleError, FileNotFoundError), match=message):
                build(data / "dubai", config(root))
            assert not list(data.iterdir())


def test_a_config_that_makes_no_sense_is_refused(subtests: pytest.Subtests) -> None:
    faults: list[tuple[dict[str, object], str]] = [
        ({"test": ("Tile 1",)}, r"\['Tile 1'\] are in more than one split"),
        ({"overlap": 64}, "overlap 64 is not smaller than patch 64"),
        ({"min_area": 0.9}, "need speck <= min_area < max_area"),
        ({"colour": "red"}, "colour"),
    ]
    for changes, message in faults:
        with subtests.test(message), pytest.raises(ValidationError, match=message):
            config(Path("nowhere"), **changes)


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real imagery is not at {REAL}")
def test_the_real_imagery_is_read_as_its_readme_says() -> None:
    masks = sorted(REAL.glob("Tile */masks/*.png"))
    assert len(masks) == 54
    assert sum(Image.open(path).mode == "P" for path in masks) == 18
    colours = read_codes(REAL / "Tile 1" / "masks" / "image_part_009.png", values=False).codes
    shares = np.bincount(to_labels(colours, CLASSES).ravel(), minlength=6)
    assert (shares[1:] > 0).all()


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real imagery is not at {REAL}")
def test_the_real_test_tile_has_samples_of_every_class(tmp_path: Path) -> None:
    root = tmp_path / "dubai_aerial"
    for tile, parts in ((1, (4, 9)), (2, (1,)), (3, (3,))):
        for kind, suffix in (("images", "jpg"), ("masks", "png")):
            (root / f"Tile {tile}" / kind).mkdir(parents=True)
            for part in parts:
                name = f"Tile {tile}/{kind}/image_part_{part:03d}.{suffix}"
                shutil.copy(REAL / name, root / name)
    build(tmp_path / "dubai", DubaiConfig(root=str(root), train=("Tile 2",), val=("Tile 3",), test=("Tile 1",)))
    test = load_dataset(tmp_path / "dubai").split("test")
    assert len(test) > 60
    assert set(test["category"]) == set(CLASSES)
