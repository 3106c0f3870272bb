"""Anyone's colour-coded masks; the rules of regions and patches are tested in test_dubai.py, on one configuration."""

from __future__ import annotations

import logging
import re
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from pydantic import ValidationError
from scipy import ndimage

from benchmark.data.samples import SampleError, decode_mask, load_dataset, read_image
from benchmark.datasets.class_masks import MasksConfig, build
from benchmark.datasets.patches import scale_mask
from tests.layouts import COLOURS, write_masks

ABOUT: dict[str, Any] = {"licence": "CC0-1.0", "citation": "nobody, never", "classes": COLOURS, "min_area": 0.003}


def config(root: Path, **changes: Any) -> MasksConfig:
    return MasksConfig.model_validate({"root": str(root), "patch": 64, **ABOUT, **changes})


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fake") / "land"
    write_masks(root, 2)
    return root


def test_a_folder_of_masks_becomes_a_dataset_under_its_own_name(fake: Path, tmp_path: Path) -> None:
    build(tmp_path / "land", config(fake))
    dataset = load_dataset(tmp_path / "land")
    assert dataset.manifest.name == "land"
    assert dataset.manifest.citation == "nobody, never"
    assert set(dataset.samples["category"]) <= set(COLOURS)
    assert set(dataset.samples["height"]) == {64}


def test_without_patches_images_stay_where_they_are(fake: Path, tmp_path: Path) -> None:
    build(tmp_path / "land", config(fake, patch=None))
    dataset = load_dataset(tmp_path / "land", fake)
    assert {path.name for path in dataset.folder.iterdir()} == {"samples.parquet", "manifest.json"}
    for row in dataset.split("val").to_dict("records"):
        colours = np.asarray(Image.open(fake / row["image"].replace("images", "masks")).convert("RGB"))
        inside = colours[decode_mask(row["mask"], row["height"], row["width"])]
        wanted = COLOURS[row["category"]]
        assert (inside == [int(wanted[k : k + 2], 16) for k in (1, 3, 5)]).all()


def spoilt(fake: Path, root: Path, kind: str, change: Callable[[Image.Image], Image.Image], **options: Any) -> Path:
    """A copy whose files of a kind are changed."""
    shutil.copytree(fake, root)
    for path in root.glob(f"*/{kind}/*.png"):
        change(Image.open(path).convert("RGB")).save(path, **options)
    return root


def without_the_left_half(image: Image.Image) -> Image.Image:
    shown = np.full((image.height, image.width), 255, np.uint8)
    shown[:, : image.width // 2] = 0
    image.putalpha(Image.fromarray(shown))
    return image


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_classes_where_image_or_mask_has_no_data_are_nothing(
    fake: Path, tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    root = spoilt(fake, tmp_path / "land", kind, without_the_left_half)
    with caplog.at_level(logging.WARNING, "benchmark.datasets"):
        build(tmp_path / "data", config(root, patch=None))
    assert re.search(r"data: [\d,]+ pixels of classes in 6 images have no data in the image or", caplog.text)
    samples = load_dataset(tmp_path / "data", root).samples
    assert len(samples)
    for row in samples.to_dict("records"):
        assert row["bbox_xyxy"][0] >= row["width"] // 2


def test_the_no_data_value_of_a_mask_may_be_background_and_is_no_class(tmp_path: Path) -> None:
    write_masks(tmp_path / "land", 1)
    for path in tmp_path.glob("land/*/masks/*.png"):
        values = (np.asarray(Image.open(path).convert("RGB")).sum(axis=-1) > 0).astype(np.uint8)
        path.unlink()
        tifffile.imwrite(path.with_suffix(".tif"), values, extratags=[(42113, "s", 0, "0", True)])
    changes: dict[str, Any] = {"classes": {"thing": 1}, "patch": None, "absent": 1}
    build(tmp_path / "data", config(tmp_path / "land", background=[0], **changes))
    found = load_dataset(tmp_path / "data", tmp_path / "land").samples
    assert set(found["category"]) == {"thing"}
    changes["classes"] = {"thing": 1, "ground": 0}
    build(tmp_path / "other", config(tmp_path / "land", **changes))
    assert set(load_dataset(tmp_path / "other", tmp_path / "land").samples["category"]) == {"thing"}


def test_a_mask_that_is_turned_otherwise_than_its_image_is_refused(fake: Path, tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[274] = 6
    root = spoilt(fake, tmp_path / "land", "masks", lambda image: image, exif=turned)
    with pytest.raises(SampleError, match=r"has orientation tag 6, its image .*scene 0.png 1: which way up is the"):
        build(tmp_path / "data", config(root))


def test_names_with_spaces_and_umlauts_are_made_plain(tmp_path: Path) -> None:
    write_masks(tmp_path / "land", 2)
    for kind in ("images", "masks"):
        (tmp_path / "land/train" / kind / "scene 0.png").rename(tmp_path / "land/train" / kind / "Straße (1).png")
    build(tmp_path / "data", config(tmp_path / "land"))
    names = set(load_dataset(tmp_path / "data").split("train")["image_id"].str.rsplit("-", n=2).str[0])
    assert names == {"train-Straße_1_", "train-scene_1"}


def test_two_images_of_one_plain_name_are_refused(tmp_path: Path) -> None:
    write_masks(tmp_path / "land", 2)
    for kind in ("images", "masks"):
        (tmp_path / "land/train" / kind / "scene 1.png").rename(tmp_path / "land/train" / kind / "scene_0.png")
    with pytest.raises(
        SampleError, match=r"scene_0.png and .*scene 0.png would both be called train-scene_0; rename one"
    ):
        build(tmp_path / "data", config(tmp_path / "land"))
    assert not (tmp_path / "data").exists()


def test_of_two_files_of_one_name_neither_is_taken(fake: Path, tmp_path: Path) -> None:
    for kind, second in (("images", "scene 0.JPG"), ("masks", "scene 0.PNG")):
        root = shutil.copytree(fake, tmp_path / kind)
        shutil.copy(root / "val" / kind / "scene 0.png", root / "val" / kind / second)
        with pytest.raises(
            SampleError, match=rf"{second} and .*/{kind}/scene 0.png are two files of one name, scene 0; keep one of"
        ):
            build(tmp_path / "data", config(root))


def test_suffixes_may_be_in_capitals_and_accents_apart_from_their_letters(fake: Path, tmp_path: Path) -> None:
    root = shutil.copytree(fake, tmp_path / "land")
    for kind, form in (("images", "NFC"), ("masks", "NFD")):
        (root / "val" / kind / "scene 0.png").rename(root / "val" / kind / "scene 0.PNG")
        (root / "test" / kind / "scene 0.png").rename(root / "test" / kind / unicodedata.normalize(form, "Hé.png"))
    build(tmp_path / "one", config(root))
    build(tmp_path / "other", config(fake))
    one, other = (load_dataset(tmp_path / name).samples["mask"].tolist() for name in ("one", "other"))
    assert sorted(one) == sorted(other)


def test_all_files_that_cannot_be_read_or_are_no_pairs_are_named_at_once(fake: Path, tmp_path: Path) -> None:
    root = shutil.copytree(fake, tmp_path / "land")
    (root / "train/images/scene 1.png").write_bytes(b"")
    (root / "test/masks/scene 0.png").write_bytes(b"GIF89a")
    Image.new("P", (7, 9)).save(root / "val/masks/scene 0.png")
    with pytest.raises(
        SampleError,
        match=rf"3 files of {root} cannot be read, or are no pairs; it needs .*:\n"
        r"  image .*/train/images/scene 1.png .*\n"
        r"  .*/val/masks/scene 0.png is 9x7 \(height x width\), its image .* no pair.*\n"
        "  mask .*/test/masks/scene 0.png is GIF, .*convert it: magick .*$",
    ):
        build(tmp_path / "data", config(root))
    assert not (tmp_path / "data").exists()


# ------------------------------------------------------------ what is not there

FIELDS = {"crop": "#F2A541", "barn": "#5B2A86", "shed": "#0B6E4F"}


def write_fields(root: Path, *blocks: tuple[str, int, int, int]) -> Path:
    """One image a split with squares on black: colour, x, y, side."""
    colours = np.zeros((64, 64, 3), np.uint8)
    for colour, x, y, side in blocks:
        colours[y : y + side, x : x + side] = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
    for split in ("train", "val", "test"):
        for kind in ("images", "masks"):
            (root / split / kind).mkdir(parents=True)
            Image.fromarray(colours).save(root / split / kind / "a.png")
    return root


def missed(root: Path, folder: Path, **changes: Any) -> set[str]:
    """What is said of nothing in any split."""
    build(folder, config(root, classes=FIELDS, background=["#000000"], per_image=None, absent=40, **changes))
    samples = load_dataset(folder).samples
    return set(samples.loc[samples["mask_area"] == 0, "expression"])


def test_a_larger_patch_is_scaled_down_with_its_regions(tmp_path: Path) -> None:
    root = write_fields(tmp_path / "a", CROP, (FIELDS["barn"], 33, 33, 21), (FIELDS["shed"], 5, 45, 11))
    changes: dict[str, Any] = {"classes": FIELDS, "background": ["#000000"], "patch": 64}
    build(tmp_path / "large", config(root, **changes))
    build(tmp_path / "small", config(root, **changes, resize=32))
    large, small = (load_dataset(tmp_path / name) for name in ("large", "small"))
    assert large.samples["expression"].tolist() == small.samples["expression"].tolist()
    for before, after in zip(large.samples.to_dict("records"), small.samples.to_dict("records"), strict=True):
        expected = scale_mask(decode_mask(before["mask"], 64, 64), 32)
        np.testing.assert_array_equal(decode_mask(after["mask"], 32, 32), expected)
        pixels = small.pixels(after["image"])
        assert pixels.shape == (32, 32, 3)
        assert len(np.unique(pixels[ndimage.binary_erosion(expected, iterations=2)], axis=0)) == 1  # on its object


BARN = {"the barn", "the barn in the image", "the barns", "all barns", "all the barns"}
CROP = ("#F2A541", 8, 8, 20)


def test_a_speck_of_a_class_is_there_all_the_same(tmp_path: Path) -> None:
    without = missed(write_fields(tmp_path / "a", CROP), tmp_path / "without")
    assert without & BARN
    speck = missed(write_fields(tmp_path / "b", CROP, (FIELDS["barn"], 50, 50, 1)), tmp_path / "speck", speck=0.001)
    assert not speck & BARN
    assert any("shed" in text for text in speck)
    there = re.compile(r"barns?.* (bottom|lower) right|barns? (that (is|are) )?(at the bottom|on the right)")
    assert not [text for text in speck if there.search(text)]


def test_nothing_is_said_to_be_absent_beside_a_colour_that_is_not_listed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = write_fields(tmp_path / "a", CROP, ("#5B2A87", 40, 40, 10))  # a barn, one off
    assert not missed(root, tmp_path / "off")
    assert "off: 300 pixels of 3 images have colours that are not listed: #5B2A87 (300). They belong to" in caplog.text
    assert "off: no mask has a pixel of barn #5B2A86, shed #0B6E4F" in caplog.text


def test_a_background_has_to_be_listed_for_something_to_be_absent_before_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = write_fields(tmp_path / "a", CROP)
    assert missed(root, tmp_path / "listed") & BARN
    assert "not listed" not in caplog.text
    build(tmp_path / "not", config(root, classes=FIELDS, absent=40))
    assert (load_dataset(tmp_path / "not").samples["mask_area"] > 0).all()
    assert "#000000 (11,088)" in caplog.text


def write_values(root: Path, save: Callable[[np.ndarray, Path], object], suffix: str = ".png") -> Path:
    """One image a split, and a mask of it with the values 0 to 3."""
    values = np.zeros((64, 64), np.uint8)
    for value, (x, y) in enumerate(((4, 4), (36, 4), (4, 36)), start=1):
        values[y : y + 20, x : x + 20] = value
    for split in ("train", "val", "test"):
        for kind in ("images", "masks"):
            (root / split / kind).mkdir(parents=True)
        Image.fromarray(np.stack([values * 60 + 30] * 3, axis=-1)).save(root / split / "images" / "a.png")
        save(values, root / split / "masks" / f"a{suffix}")
    return root


def in_palette(values: np.ndarray, path: Path) -> None:
    image = Image.fromarray(values, "P")
    image.putpalette([0, 0, 0, 200, 30, 30, 30, 200, 30, 30, 30, 200])
    image.save(path)


NUMBERS = {"classes": {"house": 1, "field": 2, "pond": 3}, "background": [0]}
GREYS = {"classes": {"house": "#010101", "field": "#020202", "pond": "#030303"}, "background": ["#000000"]}
LABELS: dict[str, tuple[Callable[[np.ndarray, Path], object], str, tuple[dict[str, Any], ...]]] = {
    "8 bits": (lambda v, p: Image.fromarray(v).save(p), ".png", (NUMBERS, GREYS)),
    "16 bits": (lambda v, p: Image.fromarray(v.astype("uint16")).save(p), ".png", (NUMBERS, GREYS)),
    "a palette": (in_palette, ".png", (NUMBERS,)),
    "RGB": (lambda v, p: Image.fromarray(np.stack([v] * 3, axis=-1)).save(p), ".png", (NUMBERS, GREYS)),
    "TIFF": (lambda v, p: tifffile.imwrite(p, v), ".tif", (NUMBERS, GREYS)),
    "16-bit TIFF": (lambda v, p: tifffile.imwrite(p, v.astype("uint16")), ".TIFF", (NUMBERS, GREYS)),
    "float TIFF": (lambda v, p: tifffile.imwrite(p, v.astype("float32")), ".tif", (NUMBERS, GREYS)),
    "with a no-data value": (
        lambda v, p: tifffile.imwrite(p, v, extratags=[(42113, "s", 0, "0", True)]), ".tif", (NUMBERS,),
    ),
    "BMP": (lambda v, p: Image.fromarray(v).save(p), ".bmp", (NUMBERS, GREYS)),
}  # fmt: skip


def test_labels_of_any_depth_keep_their_values(tmp_path: Path, subtests: pytest.Subtests) -> None:
    tables = []
    for number, (case, (save, suffix, settings)) in enumerate(LABELS.items()):
        root = write_values(tmp_path / f"{number}" / "land", save, suffix)
        for way, changes in enumerate(settings):
            with subtests.test(f"{case}, {way}"):
                build(tmp_path / f"{number}-{way}", config(root, absent=2, **changes))
                samples = load_dataset(tmp_path / f"{number}-{way}").samples
                assert set(samples["category"]) == {"house", "field", "pond"}
                tables.append(samples)
    assert all(table.equals(tables[0]) for table in tables)


def test_labels_above_255_are_told_by_whole_numbers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = write_values(tmp_path / "a" / "land", lambda v, p: Image.fromarray(v.astype("uint16") * 300).save(p))
    build(tmp_path / "numbers", config(root, classes={"house": 300, "field": 600, "pond": 900}, background=[0]))
    assert set(load_dataset(tmp_path / "numbers").samples["category"]) == {"house", "field", "pond"}
    with pytest.raises(SampleError, match="no samples for split"):
        build(tmp_path / "colours", config(root, **GREYS))
    assert "(NaN, below 0, above 255: these whole numbers in classes can name) (3,600)" in caplog.text


def test_masks_that_are_no_labels_are_refused(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for number, (message, save, suffix, changes) in enumerate((
        ("is in colour, and classes gives whole numbers", in_colour, ".png", NUMBERS),
        ("3 bands of type uint16; .*gdal_translate -b 1", lambda v, p: tifffile.imwrite(
            p, np.stack([v.astype("uint16")] * 3, axis=-1), photometric="rgb"), ".tif", NUMBERS),
        ("float32 that are no whole numbers", lambda v, p: tifffile.imwrite(p, v / np.float32(2)), ".tif", NUMBERS),
        ("kind MINISWHITE, whose 0 is white", lambda v, p: tifffile.imwrite(p, v, photometric="miniswhite"), ".tif",
         NUMBERS),
        (r"a\.\* does not exist \(a\.jpg is of a kind that changes labels", lambda v, p: Image.fromarray(v).save(p),
         ".jpg", NUMBERS),
    )):  # fmt: skip
        root = write_values(tmp_path / f"{number}" / "land", save, suffix)
        with subtests.test(message), pytest.raises((SampleError, FileNotFoundError), match=message):
            build(tmp_path / "data", config(root, **changes))


def in_colour(values: np.ndarray, path: Path) -> None:
    Image.fromarray(np.stack([values, values * 2, values * 3], axis=-1)).save(path)


def test_what_a_mac_lays_beside_files_is_ignored(fake: Path, tmp_path: Path) -> None:
    root = shutil.copytree(fake, tmp_path / "land")
    for kind in ("images", "masks"):
        (root / "train" / kind / "._scene 0.png").write_bytes(b"\0\5\x16\7")
        (root / "train" / kind / ".DS_Store").write_bytes(b"")
    build(tmp_path / "one", config(root))
    build(tmp_path / "other", config(fake))
    assert (tmp_path / "one/samples.parquet").read_bytes() == (tmp_path / "other/samples.parquet").read_bytes()


def test_an_image_with_an_orientation_tag_is_turned_counted_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = write_values(tmp_path / "land", lambda v, p: Image.fromarray(v).save(p))
    seen = Image.open(root / "train/images/a.png")
    exif = Image.Exif()
    exif[274] = 6
    seen.transpose(Image.Transpose.ROTATE_90).save(root / "train/images/a.png", exif=exif)
    with caplog.at_level(logging.WARNING, "benchmark.datasets"):
        build(tmp_path / "data", config(root, **NUMBERS))
    assert "data: 1 images or patches were turned by an orientation tag" in caplog.text
    dataset = load_dataset(tmp_path / "data")
    (name,) = dataset.manifest.turned
    assert dataset.manifest.turned[name] == 6
    assert np.array_equal(read_image(dataset.images / name), np.array(seen))


def test_settings_that_make_no_sense_are_refused(subtests: pytest.Subtests) -> None:
    faults: list[tuple[dict[str, Any], str]] = [
        ({"background": ["#0B6E4F"]}, "class 'ship' has a colour #0B6E4F that is background too"),
        ({"classes": {f"c{k}": k for k in range(255)}}, "classes"),
        ({"classes": {"ship": "0B6E4F"}}, "write a colour as"),
        (
            {"classes": {"ship": "#0B6E4F", "boat": "#0b6e4f"}},
            "class 'ship' has a colour #0B6E4F that another class has",
        ),
        ({"classes": {}}, "classes"),
        ({"classes": {"ship": 3, "boat": 3}}, "class 'ship' has a value 3 that another class has"),
        ({"classes": {"ship": 3, "boat": "#000004"}}, "mix colours and whole numbers"),
        ({"classes": {"ship": 3}, "background": ["#000000"]}, "mix colours and whole numbers"),
        ({"classes": {"ship": True}}, "write a colour as"),
        ({"classes": {"ship": 1 << 24}}, "classes"),
        ({"val": ["train"]}, "'train'] are in more than one split"),
        ({"citation": None}, "citation"),
    ]
    for changes, message in faults:
        with subtests.test(f"{changes}"[:80]), pytest.raises(ValidationError, match=message):
            config(Path("nowhere"), **changes)


def test_colours_that_no_class_has_are_named_when_nothing_is_left(
    fake: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SampleError, match="no samples for split train, val, test of dataset 'land'"):
        build(tmp_path / "land", config(fake, classes={"ship": "#123456"}))
    assert "have colours that are not listed: #000000 (" in caplog.text
    assert "land: no mask has a pixel of ship #123456" in caplog.text
