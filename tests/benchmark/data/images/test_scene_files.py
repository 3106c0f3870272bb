from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin
from rasterio.windows import Window

from benchmark.data.errors import SampleError
from benchmark.data.images import read_picture
from benchmark.data.images.scene_files import open_scene
from tests.scenes import UTM, ground, write_scene

HEIGHT, WIDTH = 70, 90


def deep(bands: int) -> NDArray[np.uint16]:
    """16 bits, of which the first 12 columns are 0 in all bands."""
    values = ground(HEIGHT, WIDTH, bands).astype(np.uint16) * 40 + 300
    values[:, :, :12] = 0
    return values


def with_roles(path: Path) -> None:
    write_scene(path, deep(4), nodata=0)
    with rasterio.open(path, "r+") as file:
        file.colorinterp = [ColorInterp[name] for name in ("blue", "green", "red", "undefined")]


def with_mask(path: Path) -> None:
    write_scene(path, ground(HEIGHT, WIDTH))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        known = np.ones((HEIGHT, WIDTH), bool)
        known[5:20, 7:30] = False
        file.write_mask(known)


def with_holes(path: Path) -> None:
    tiles: dict[str, Any] = {"tiled": True, "blockxsize": 32, "blockysize": 32, "sparse_ok": True}
    with rasterio.open(path, "w", "GTiff", WIDTH, HEIGHT, 3, dtype="uint8", **tiles) as file:
        file.write(ground(HEIGHT, WIDTH)[:, :, :32], window=Window(0, 0, 32, HEIGHT))


def with_alpha(path: Path) -> None:
    values = ground(HEIGHT, WIDTH, 4)
    values[3, :9] = 0
    write_scene(path, values, photometric="RGB", alpha="YES")


def with_palette(path: Path) -> None:
    write_scene(path, ground(HEIGHT, WIDTH, 1) // 16, photometric="PALETTE")
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {k: (k * 16, 255 - k, k * 3, 255) for k in range(16)})


def holed() -> NDArray[np.float32]:
    values = ground(HEIGHT, WIDTH).astype(np.float32) / 255
    values[:, 3:9] = np.nan
    return values


KINDS = {
    "8 bits": lambda path: write_scene(path, ground(HEIGHT, WIDTH)),
    "16 bits with roles and no-data": with_roles,
    "16 bits without no-data": lambda path: write_scene(path, deep(4)),
    "two bands": lambda path: write_scene(path, deep(2).astype(np.int16), nodata=-5),
    "fractions with holes": lambda path: write_scene(path, holed(), nodata=float("nan")),
    "a no-data value in some bands": lambda path: write_scene(path, ground(HEIGHT, WIDTH), nodata=200),
    "1 bit": lambda path: write_scene(path, ground(HEIGHT, WIDTH, 1) // 128, nbits=1),
    "white is zero": lambda path: write_scene(path, ground(HEIGHT, WIDTH, 1), photometric="MINISWHITE"),
    "alpha": with_alpha,
    "palette": with_palette,
    "mask": with_mask,
    "tiles that are not there": with_holes,
}


def by_chance(path: Path, rng: np.random.Generator) -> None:
    """A small scene that declares what a writer may: kind, no data, colours, palette, mask, a file beside it."""
    dtype = str(rng.choice(["uint8", "uint8", "uint16", "int16", "int8", "uint32", "float32", "float64"]))
    bands, declared = int(rng.choice([1, 1, 2, 3, 4, 5])), rng.random(8) < 0.3
    values = rng.integers(0, 120, (bands, 30, 40)).astype(dtype)
    values[:, :, :6] = 0
    options: dict[str, Any] = {"tiled": True, "blockxsize": 16, "blockysize": 16} if declared[0] else {}
    if declared[1]:
        options["nodata"] = float(rng.choice([0, 7, 99, *[np.nan] * (dtype[0] == "f")]))
    if declared[2]:
        options["photometric"] = str(rng.choice(["MINISBLACK", "MINISWHITE", *["RGB"] * (bands >= 3)]))
    if declared[3] and bands in (2, 4):
        options["alpha"] = "YES"
    if declared[4] and bands == 1 and dtype == "uint8":
        options["nbits"] = int(rng.choice([1, 2, 4]))
        values %= 1 << options["nbits"]
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", "GTiff", 40, 30, bands, dtype=dtype, **{**UTM, **options}) as file,
    ):
        file.write(values)
        if declared[5]:
            file.descriptions = tuple(rng.permutation(["blue", "green", "red", "nir", ""])[:bands])
        if declared[6] and bands == 1 and dtype in ("uint8", "uint16"):
            depth = options.get("nbits", 8 * values.itemsize)
            file.write_colormap(1, {k: (k % 256, 255 - k % 256, 9, 255) for k in range(1 << depth)})
        elif declared[7]:
            file.write_mask(rng.random((30, 40)) < 0.8)
    if rng.random() < 0.3 and bands > 1:
        names = rng.choice(["Red", "Green", "Blue", "Alpha", "Undefined"], bands)
        said = "".join(f'<PAMRasterBand band="{k}"><ColorInterp>{name}</ColorInterp></PAMRasterBand>'
                       for k, name in enumerate(names, start=1))  # fmt: skip
        path.with_name(f"{path.name}.aux.xml").write_text(f"<PAMDataset>{said}</PAMDataset>")


def test_whatever_a_file_declares_a_scene_is_read_as_an_image_is(tmp_path: Path, subtests: pytest.Subtests) -> None:
    read = 0
    for seed in range(200):
        path = tmp_path / f"{seed}.tif"
        by_chance(path, np.random.default_rng(seed))
        with subtests.test(f"seed {seed}"):
            try:
                picture = read_picture(path)
            except SampleError:
                with pytest.raises(SampleError), open_scene(path) as scene:
                    scene.read(0, 0, 30, 40)
                continue
            with open_scene(path) as scene:
                part = scene.read(0, 0, 30, 40)
            np.testing.assert_array_equal(part.pixels, picture.pixels)
            assert (part.known is None) == (picture.known is None)
            assert part.known is None or np.array_equal(part.known, picture.known)
            assert scene.choice == picture.choice
            read += 1
    assert read > 150


def test_a_scene_is_read_as_an_image_is_whole_and_in_parts(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for name, write in KINDS.items():
        with subtests.test(name):
            path = tmp_path / f"{name}.tif"
            write(path)
            picture = read_picture(path)
            known = np.ones((HEIGHT, WIDTH), bool) if picture.known is None else picture.known
            with open_scene(path) as scene:
                for top, left, height, width in ((0, 0, HEIGHT, WIDTH), (3, 25, 41, 60)):
                    place = slice(top, top + height), slice(left, left + width)
                    part = scene.read(top, left, height, width)
                    np.testing.assert_array_equal(part.pixels, picture.pixels[place])
                    found = np.ones((height, width), bool) if part.known is None else part.known
                    np.testing.assert_array_equal(found, known[place])


def test_bands_are_taken_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    values = deep(4)
    write_scene(tmp_path / "scene.tif", values)
    write_scene(tmp_path / "chosen.tif", values[[3, 2, 1]])
    with open_scene(tmp_path / "scene.tif", (4, 3, 2)) as scene:
        np.testing.assert_array_equal(
            scene.read(0, 0, HEIGHT, WIDTH).pixels, read_picture(tmp_path / "chosen.tif").pixels
        )
    for bands in ((0, 1, 2), (1, 2), (3, 4, 5)):
        with pytest.raises(SampleError, match="has bands 1 to 4"), open_scene(tmp_path / "scene.tif", bands):
            pass


def test_a_large_scene_is_stretched_by_one_measure_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.data.images.scene_files.MEASURED", 30)
    path = write_scene(tmp_path / "scene.tif", deep(3))
    low, high = np.percentile(deep(3)[:, :, 12:], [1, 99])
    with open_scene(path) as scene:
        assert scene.stretch == pytest.approx((low, high), rel=0.1)
        parts = [scene.read(0, left, HEIGHT, 30).pixels for left in (0, 30, 60)]
        np.testing.assert_array_equal(np.hstack(parts), scene.read(0, 0, HEIGHT, WIDTH).pixels)


def test_what_would_need_a_guess_is_refused_with_a_command(tmp_path: Path) -> None:
    write_scene(tmp_path / "complex.tif", np.ones((1, 9, 9), np.complex64))
    points = [rasterio.control.GroundControlPoint(row, row, row, row) for row in (0, 5, 9)]
    write_scene(tmp_path / "points.tif", ground(9, 9), gcps=points, transform=None)
    (tmp_path / "scene.jp2").write_bytes(b"\0\0\0\x0cjP  ")
    whole = write_scene(tmp_path / "half.tif", ground(HEIGHT, WIDTH)).read_bytes()
    (tmp_path / "half.tif").write_bytes(whole[: len(whole) // 2])
    write_scene(tmp_path / "flat.tif", ground(9, 9), transform=from_origin(5, 5, 1, 0))
    tifffile.imwrite(tmp_path / "lab.tif", ground(HEIGHT, WIDTH).transpose(1, 2, 0), photometric="icclab")
    for name, remedy in {
        "complex.tif": "DERIVED_SUBDATASET",
        "points.tif": "gdalwarp",
        "scene.jp2": "gdal_translate -of COG",
        "flat.tif": "-a_ullr",
        "lab.tif": "kind ICCLAB.*name the bands",
        "half.tif": "fetch it again",
    }.items():
        with pytest.raises(SampleError, match=remedy) as caught, open_scene(tmp_path / name) as scene:
            scene.read(0, 0, scene.height, scene.width)
        assert name in str(caught.value)
