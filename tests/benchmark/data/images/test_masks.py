"""A mask file of one object: as the field's datasets have them, and exactly, as submissions must."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from benchmark.data.errors import SampleError
from benchmark.data.images import read_exact_mask, read_mask
from tests.benchmark.data.images.test_rules import HEIGHT, WIDTH, noise


def test_a_mask_is_what_is_above_half_of_its_largest_value(tmp_path: Path, subtests: pytest.Subtests) -> None:
    truth = noise(HEIGHT, WIDTH, high=2).astype(bool)
    for name, high in (("m.png", 1), ("m.png", 2), ("m.png", 128), ("m.png", 255), ("m.tif", 1), ("m.tif", 255)):
        with subtests.test(f"{name}, 0 and {high}"):
            Image.fromarray((truth * high).astype(np.uint8)).save(tmp_path / name)
            mask, values = read_mask(tmp_path / name)
            assert mask.dtype == np.bool_
            assert np.array_equal(mask, truth)
            assert values == 2


def test_softened_borders_are_cut_in_the_middle_and_reported(tmp_path: Path) -> None:
    values = np.array([[0, 90, 127, 128, 200, 255]] * 4, np.uint8)
    Image.fromarray(values).save(tmp_path / "m.png")
    mask, different = read_mask(tmp_path / "m.png")
    assert mask[0].tolist() == [False, False, False, True, True, True]
    assert different == 6


def test_masks_in_colour_with_alpha_or_a_palette_read_alike(tmp_path: Path, subtests: pytest.Subtests) -> None:
    truth = noise(HEIGHT, WIDTH, high=2).astype(bool)
    for mode in ("RGB", "RGBA", "LA", "P", "1"):
        with subtests.test(mode):
            Image.fromarray((truth * 255).astype(np.uint8)).convert(mode).save(tmp_path / "m.png")
            assert np.array_equal(read_mask(tmp_path / "m.png")[0], truth)


def test_a_mask_in_a_palette_of_dark_colours_is_its_coloured_part(tmp_path: Path) -> None:
    truth = noise(HEIGHT, WIDTH, high=2)
    image = Image.fromarray(truth.astype(np.uint8), "P")
    image.putpalette([0, 0, 0, 128, 0, 0])
    image.save(tmp_path / "m.png")
    assert np.array_equal(read_mask(tmp_path / "m.png")[0], truth.astype(bool))


def test_a_mask_file_of_nothing_is_an_empty_mask(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(tmp_path / "m.png")
    assert not read_mask(tmp_path / "m.png")[0].any()


def test_masks_of_any_depth_are_cut_by_the_same_rule_and_never_stretched(
    tmp_path: Path, subtests: pytest.Subtests
) -> None:
    truth = noise(HEIGHT, WIDTH, high=2).astype(bool)
    for dtype in ("uint16", "int32", "float32"):
        for high in (1, 200):
            with subtests.test(f"{dtype} {high}"):
                tifffile.imwrite(tmp_path / "m.tif", (truth * high).astype(dtype))
                assert np.array_equal(read_mask(tmp_path / "m.tif")[0], truth)
    values = truth.astype(np.uint8)
    values[:3] = 255
    tifffile.imwrite(tmp_path / "m.tif", values, extratags=[(42113, "s", 0, "255", True)])
    assert np.array_equal(read_mask(tmp_path / "m.tif")[0], truth & (np.arange(HEIGHT) >= 3)[:, None])


def test_nan_is_nothing_beside_an_object_and_what_could_mean_either_is_refused_with_its_values(
    tmp_path: Path, subtests: pytest.Subtests
) -> None:
    truth = noise(HEIGHT, WIDTH, high=2).astype(bool)
    for nothing in (0, np.nan, -9999):
        with subtests.test(f"{nothing} and 1"):
            tifffile.imwrite(tmp_path / "m.tif", np.where(truth, 1, nothing).astype(np.float32))
            assert np.array_equal(read_mask(tmp_path / "m.tif")[0], truth)
    tifffile.imwrite(tmp_path / "m.tif", np.where(truth, 1, -1).astype(np.int8))
    assert np.array_equal(read_mask(tmp_path / "m.tif")[0], truth)
    for dtype, one, other, named in (
        ("int8", -1, 0, "-1, 0"),
        ("float32", 0, np.nan, "0, nan"),
        ("float32", -3, np.nan, "-3, nan"),
        ("float32", np.nan, np.nan, "nan"),
        ("float32", 0, np.inf, "0, inf"),
    ):
        with subtests.test(named):
            tifffile.imwrite(tmp_path / "m.tif", np.where(truth, one, other).astype(dtype))
            with pytest.raises(SampleError, match=f"m.tif has the values {named}: which is the object"):
                read_mask(tmp_path / "m.tif")


def palette(values: np.ndarray, *colours: int) -> Image.Image:
    image = Image.fromarray(values, "P")
    image.putpalette(list(colours))
    return image


def test_0_and_one_other_value_is_a_mask_whatever_it_is_saved_as(tmp_path: Path, subtests: pytest.Subtests) -> None:
    truth = noise(HEIGHT, WIDTH, high=2)
    clear = np.stack([truth * 200, truth * 0, truth * 0, truth * 128], axis=-1)
    for name, image in {
        "0 and 255": Image.fromarray(truth * 255),
        "0 and 1": Image.fromarray(truth),
        "0 and 7": Image.fromarray(truth * 7),
        "one bit": Image.fromarray(truth.astype(bool)),
        "16 bits": Image.fromarray(truth.astype("uint16") * 65535),
        "colour": Image.fromarray(np.stack([truth * 200, truth * 30, truth * 0], axis=-1)),
        "palette": palette(truth, 0, 0, 0, 200, 0, 0),
        "a palette the other way round": palette(1 - truth, 200, 0, 0, 0, 0, 0),
        "an overlay": Image.fromarray(clear),
    }.items():
        with subtests.test(name):
            image.save(tmp_path / "m.png")
            assert np.array_equal(read_exact_mask(tmp_path / "m.png"), truth.astype(bool))
    for value, full in ((0, False), (1, True), (255, True)):
        Image.fromarray(np.full((HEIGHT, WIDTH), value, np.uint8)).save(tmp_path / "m.png")
        assert (read_exact_mask(tmp_path / "m.png") == full).all()


def test_what_is_no_exact_mask_is_refused(tmp_path: Path, subtests: pytest.Subtests) -> None:
    truth = noise(HEIGHT, WIDTH, high=2)
    hidden = np.stack([truth * 0, truth * 0, truth * 0, truth * 255], axis=-1)
    for message, image in {
        "the values 254 and 255 and no 0": Image.fromarray(truth + 254),
        r"the values \(200, 0, 0\) and 255 and no 0": palette(truth, 255, 255, 255, 200, 0, 0),
        "the values (100 and 200|200 and 100) besides 0": Image.fromarray(noise(HEIGHT, WIDTH, high=3) * 100),
        "nothing but 254: everything, or nothing": Image.fromarray(np.full((HEIGHT, WIDTH), 254, np.uint8)),
        "transparent elsewhere than it is 0": Image.fromarray(hidden),
    }.items():
        with subtests.test(message):
            image.save(tmp_path / "m.png")
            with pytest.raises(SampleError, match=rf"m\.png .*({message}).*save it as 0 and 255"):
                read_exact_mask(tmp_path / "m.png")
