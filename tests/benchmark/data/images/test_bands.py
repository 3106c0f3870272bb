"""Bands are taken by what a file says of them, by both readers alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmark.data.errors import SampleError
from benchmark.data.images import read_labels, read_picture
from benchmark.data.images.bands import bands_of

rasterio = pytest.importorskip("rasterio", reason="needs the extras [geo]")
from rasterio.enums import ColorInterp  # noqa: E402

from benchmark.data.images.scene_files import open_scene  # noqa: E402
from tests.scenes import ground, write_scene  # noqa: E402


def described(path: Path, names: Sequence[str], dtype: str = "uint16", roles: Sequence[str] = ()) -> Path:
    write_scene(path, (ground(40, 50, len(names)) // 2 + 60).astype(dtype))
    with rasterio.open(path, "r+") as file:
        file.descriptions = tuple(names)
        if roles:
            file.colorinterp = [ColorInterp[role] for role in roles]
    return path


def test_descriptions_name_the_bands_where_the_colour_interpretation_does_not(
    tmp_path: Path, subtests: pytest.Subtests
) -> None:
    for names, taken in (
        (("nir", "red", "green", "blue"), (2, 3, 4)),
        (("Blue", " GREEN", "Red", "NIR"), (3, 2, 1)),
        (("b", "g", "r"), (3, 2, 1)),
        (("B02", "B03", "B04", "B08"), (3, 2, 1)),
        (("B01", "B02", "B03", "B04", "B05", "B8A"), (4, 3, 2)),
        (("B01", "B02", "B03", "B04"), (1, 2, 3)),  # of any sensor
        (("B1", "B2", "B3", "B4"), (1, 2, 3)),  # red is 3 or 4, by the Landsat
        (("blue", "green", "red", "red"), (1, 2, 3)),
        (("blue", "green", "red edge", "nir"), (1, 2, 3)),
        (("red", "green", "blue"), (1, 2, 3)),
    ):
        for dtype in ("uint8", "uint16"):  # 8 bits: GDAL calls the first three red, green and blue, the fourth alpha
            with subtests.test(f"{names} {dtype}"):
                path = described(tmp_path / "a.tif", names, dtype)
                picture = read_picture(path)
                with open_scene(path) as scene:
                    assert tuple(scene.bands) == taken
                    assert scene.choice == picture.choice
                    np.testing.assert_array_equal(scene.read(0, 0, 40, 50).pixels, picture.pixels)
                with open_scene(path, taken) as asked:
                    np.testing.assert_array_equal(asked.read(0, 0, 40, 50).pixels, picture.pixels)
                if taken != (1, 2, 3):
                    shown = f"bands {', '.join(map(str, taken))} of {len(names)}"
                    assert picture.choice == f"{shown}, which the file names red, green and blue"


def test_a_colour_interpretation_that_was_made_comes_before_descriptions(tmp_path: Path) -> None:
    roles = ("undefined", "blue", "green", "red")
    path = described(tmp_path / "a.tif", ("red", "green", "blue", "nir"), roles=roles)
    with open_scene(path) as scene:
        assert scene.bands == [4, 3, 2]
    assert read_picture(path).choice == "bands 4, 3, 2 of 4, which the file names red, green and blue"


def test_an_alpha_band_stays_one_unless_it_is_described_as_a_colour() -> None:
    roles = ("red", "green", "blue", "alpha")
    assert bands_of(roles, ("blue", "green", "red", "nir")) == ((2, 1, 0), [])
    assert bands_of(roles, ("blue", "green", "red", "valid pixels")) == ((2, 1, 0), [3])
    assert bands_of(roles, ("", "", "", "nir")) == ((0, 1, 2), [3])


def test_bands_that_are_taken_by_their_place_are_said_where_there_are_others(tmp_path: Path) -> None:
    for count, said in ((2, "band 1 of 2"), (3, None), (5, "bands 1, 2, 3 of 5")):
        path = described(tmp_path / "a.tif", ("",) * count)
        choice = None if said is None else f"{said}, by their place: the file names none"
        assert read_picture(path).choice == choice
        with open_scene(path) as scene:
            assert scene.choice == choice


def beside(path: Path, *bands: str) -> Path:
    """The same image with a file beside it, as GDAL writes it where it may not write the image."""
    inside = "".join(f'<PAMRasterBand band="{k}">{said}</PAMRasterBand>' for k, said in enumerate(bands, start=1))
    path.with_name(f"{path.name}.aux.xml").write_text(f"<PAMDataset>{inside}</PAMDataset>")
    return path


def test_what_a_file_beside_the_image_says_of_bands_counts_first_as_gdal_has_it(
    tmp_path: Path, subtests: pytest.Subtests
) -> None:
    names = [f"<Description>{name}</Description>" for name in ("B02", "B03", "B04", "B08")]
    roles = [f"<ColorInterp>{name}</ColorInterp>" for name in ("Undefined", "Blue", "Green", "Red")]
    for inside, said, taken in (
        (("", "", "", ""), names, [3, 2, 1]),
        (("red", "green", "blue", "nir"), names, [3, 2, 1]),
        (("blue", "green", "red", "nir"), ["", "", "<Metadata/>"], [3, 2, 1]),  # what it does not say stays
        (("blue", "green", "red", "nir"), ["<Description>red</Description>"], [1, 2, 3]),  # red twice: they name none
        (("red", "green", "blue", "nir"), roles, [4, 3, 2]),
        (("", "", "", ""), ["<ColorInterp>Alpha</ColorInterp>"], [2, 3, 4]),
        (("", "", "", ""), [*[""] * 4, *names], [1, 2, 3]),  # of bands that the image does not have
    ):
        with subtests.test(f"{inside} {said}"):
            path = beside(described(tmp_path / "a.tif", inside), *said)
            picture = read_picture(path)
            with open_scene(path) as scene:
                assert scene.bands == taken
                assert scene.choice == picture.choice
                np.testing.assert_array_equal(scene.read(0, 0, 40, 50).pixels, picture.pixels)
    with rasterio.open(tmp_path / "a.tif") as file:
        baseline = {**file.profile, "profile": "BASELINE"}
    with rasterio.open(tmp_path / "b.tif", "w", **baseline) as file:  # GDAL's own
        file.write(ground(40, 50, 4).astype("uint16"))
        file.descriptions = ("B02", "B03", "B04", "B08")
    assert read_picture(tmp_path / "b.tif").choice == "bands 3, 2, 1 of 4, which the file names red, green and blue"


def test_a_file_beside_the_image_that_is_broken_or_has_its_palette_is_refused(tmp_path: Path) -> None:
    path = described(tmp_path / "a.tif", ("blue", "green", "red"))
    path.with_name("a.tif.aux.xml").write_text("<PAMDataset><PAMRasterBand")
    for read in (read_picture, lambda path: open_scene(path).__enter__()):
        with pytest.raises(SampleError, match=r"a\.tif has a file beside it .*\.aux\.xml is no XML .*or delete it"):
            read(path)
    table = "<ColorInterp>Palette</ColorInterp><ColorTable><Entry c1='9' c2='8' c3='7' c4='255'/></ColorTable>"
    path = beside(write_scene(tmp_path / "b.tif", ground(40, 50, 1) // 64), table)
    with pytest.raises(SampleError, match=r"palette in a file beside it, b\.tif\.aux\.xml; .* gdal_translate "):
        read_picture(path)
    assert read_labels(path).values is not None  # labels are the same, whatever they are shown as
    with open_scene(path) as scene:
        values, pixels = scene.file.read(1), scene.read(0, 0, 40, 50).pixels
    assert (values == 0).any()
    assert (pixels[values == 0] == (9, 8, 7)).all()
    for dtype, said in (("uint8", "<ColorInterp>Palette</ColorInterp>"), ("float32", table)):  # no palette of it
        path = beside(write_scene(tmp_path / "c.tif", ground(40, 50, 1).astype(dtype)), said)
        with open_scene(path) as scene:
            assert len(np.unique(scene.read(0, 0, 40, 50).pixels)) > 100
