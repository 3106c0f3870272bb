"""What an image is read as, by kind; that GDAL reads the same is in test_matrix.py."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.errors import SampleError
from benchmark.data.images import read_image, read_picture

HEIGHT, WIDTH = 20, 30


def noise(*shape: int, high: int = 256, dtype: str = "uint8") -> NDArray[np.generic]:
    return np.random.default_rng(0).integers(0, high, shape).astype(dtype)


def tiff(path: Path, values: NDArray[np.generic], **options: object) -> Path:
    tifffile.imwrite(path, values, **options)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
def test_8_bit_rgb_is_read_as_it_is(tmp_path: Path, name: str) -> None:
    pixels = noise(HEIGHT, WIDTH, 3)
    Image.fromarray(pixels).save(tmp_path / name, **({"lossless": True} if name == "a.webp" else {}))
    assert np.array_equal(read_image(tmp_path / name), pixels)


def test_grey_palette_and_one_bit_are_read_from_tiff_as_pillow_shows_them(tmp_path: Path) -> None:
    pixels = Image.fromarray(noise(HEIGHT, WIDTH, 3))
    for mode in ("L", "P", "1"):
        image = pixels.convert(mode)
        image.save(tmp_path / "a.tif")
        assert np.array_equal(read_image(tmp_path / "a.tif"), np.array(image.convert("RGB"))), mode


def test_of_a_tiff_with_more_bands_the_first_three_are_taken(tmp_path: Path, subtests: pytest.Subtests) -> None:
    cases = [(bands, planar, None) for bands in (3, 4, 8) for planar in ("contig", "separate")]
    for bands, planar, compression in [*cases, (3, "contig", "zlib"), (4, "separate", "lzw")]:
        with subtests.test(f"{bands} bands, {planar}, {compression}"):
            values = noise(HEIGHT, WIDTH, bands)
            stored = values if planar == "contig" else np.moveaxis(values, -1, 0)
            extra = {"extrasamples": ["unspecified"] * (bands - 3)} if bands > 3 else {}
            options = {"photometric": "rgb", "planarconfig": planar, "compression": compression, **extra}
            assert np.array_equal(read_image(tiff(tmp_path / "a.tif", stored, **options)), values[..., :3])


def test_every_kind_of_png_reads_as_pillow_shows_it_and_what_is_transparent_is_0(
    tmp_path: Path, subtests: pytest.Subtests
) -> None:
    plain: list[tuple[str, dict[str, object]]] = [(mode, {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")]
    seen_through = [(mode, {"transparency": 3}) for mode in ("1", "L", "P")] + [("RGB", {"transparency": (1, 2, 3)})]
    for mode, options in [*plain, *seen_through, ("P", {"bits": 4}), ("P", {"optimize": True})]:
        with subtests.test(f"{mode} {options}"):
            image = Image.fromarray(noise(HEIGHT, WIDTH, 3)).convert(mode)
            for number, picture in enumerate([image, image.quantize(16)] if mode == "P" else [image]):
                if number or "bits" not in options:  # more than 16 colours do not fit into 4 bits
                    picture.save(tmp_path / "a.png", **options)
                    with Image.open(tmp_path / "a.png") as opened:
                        expected = np.array(opened.convert("RGBA"))
                    expected[expected[..., 3] == 0] = 0
                    assert np.array_equal(read_image(tmp_path / "a.png"), expected[..., :3])


def test_what_is_hardly_there_keeps_its_colours_unblended(tmp_path: Path) -> None:
    values = noise(HEIGHT, WIDTH, 4) | 1
    values[:5, :, 3] = 0
    Image.fromarray(values, "RGBA").save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png")
    assert np.array_equal(picture.pixels[5:], values[5:, :, :3])
    assert picture.known is not None
    assert picture.known[5:].all()
    assert not picture.known[:5].any()
    assert not picture.pixels[:5].any()


def test_16_bits_are_stretched_between_two_percentiles_of_the_image_itself(tmp_path: Path) -> None:
    values = noise(HEIGHT, WIDTH, 4, high=3000, dtype="uint16") + 1
    values[:, :2] = 0  # no data
    values[0, 5] = 65535  # one bright pixel must not darken all others
    found = read_image(tiff(tmp_path / "a.tif", values, photometric="rgb", extrasamples=["unspecified"]))
    known = values[..., :3][values[..., :3].any(axis=-1)]
    low, high = np.percentile(known, [1, 99], method="inverted_cdf").astype(int)
    expected = np.round(((values[..., :3] - low) / (high - low)).clip(0, 1) * 255)
    assert np.array_equal(found, expected)
    assert found[:, 2:].min() == 0
    assert 100 < found[:, 2:].mean() < 150


def test_one_stretch_for_all_bands_keeps_their_proportions(tmp_path: Path) -> None:
    values = np.zeros((HEIGHT, WIDTH, 3), np.uint16)
    values[...] = np.linspace(100, 1100, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH, 1).astype(np.uint16) * [4, 2, 1]
    found = read_image(tiff(tmp_path / "a.tif", values, photometric="rgb")).reshape(-1, 3).mean(axis=0)
    assert found[0] > 1.8 * found[1] > 3 * found[2]


def test_16_bit_grey_reads_alike_from_tiff_and_png_and_a_flat_image_is_black(tmp_path: Path) -> None:
    values = noise(HEIGHT, WIDTH, high=4096, dtype="uint16")
    Image.fromarray(values).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), read_image(tiff(tmp_path / "a.tif", values)))
    flat = np.full((HEIGHT, WIDTH), 700, np.uint16)
    assert (read_image(tiff(tmp_path / "b.tif", flat)) == 0).all()
    assert (read_image(tiff(tmp_path / "c.tif", np.zeros_like(flat))) == 0).all()


def test_every_depth_is_stretched_by_one_rule(tmp_path: Path, subtests: pytest.Subtests) -> None:
    values = noise(HEIGHT, WIDTH, 3, high=30_000, dtype="uint16") + 1
    expected = read_image(tiff(tmp_path / "a.tif", values, photometric="rgb"))
    for dtype, factor in (("int16", 1), ("int32", 1), ("uint32", 70_000), ("float32", 1), ("float64", 1e-5)):
        with subtests.test(dtype):
            scaled = (values.astype("float64") * factor).astype(dtype)
            found = read_image(tiff(tmp_path / "b.tif", scaled, photometric="rgb"))
            assert np.abs(found.astype(int) - expected).max() <= 1
    holed = values.astype("float32")
    holed[:4] = np.nan
    holed[5, 5] = np.inf
    picture = read_picture(tiff(tmp_path / "c.tif", holed, photometric="rgb"))
    assert picture.known is not None
    assert picture.known.sum() == holed[..., 0].size - 4 * WIDTH - 1
    assert not picture.pixels[~picture.known].any()
    assert picture.pixels[picture.known].mean() > 100


def test_pixels_without_data_take_no_part_in_the_stretch(tmp_path: Path, subtests: pytest.Subtests) -> None:
    values = noise(HEIGHT, WIDTH, 3, high=3000, dtype="uint16") + 500
    whole = read_image(tiff(tmp_path / "a.tif", values[:, 8:], photometric="rgb"))
    for nodata in (65535, 1, 0):
        values[:, :8] = nodata
        path = tiff(tmp_path / "b.tif", values, photometric="rgb", extratags=[(42113, "s", 0, str(nodata), True)])
        with subtests.test(f"{nodata}"):
            picture = read_picture(path)
            assert np.array_equal(picture.pixels[:, 8:], whole)
            assert picture.known is not None
            assert not picture.known[:, :8].any()
            assert not picture.pixels[:, :8].any()


def test_every_orientation_is_applied_to_every_kind_as_pillow_applies_it(
    tmp_path: Path, subtests: pytest.Subtests
) -> None:
    image = Image.fromarray(noise(HEIGHT, WIDTH, 3))
    for name in ("a.png", "a.jpg", "a.webp", "a.tif"):
        for value in range(1, 9):
            exif = Image.Exif()
            exif[274] = value
            lossless = {"lossless": True} if name == "a.webp" else {}
            if name == "a.tif":
                tiff(tmp_path / name, np.array(image), photometric="rgb", extratags=[(274, "H", 1, value, True)])
            else:
                image.save(tmp_path / name, exif=exif, **lossless)
            with subtests.test(f"{name} {value}"):
                picture = read_picture(tmp_path / name)
                turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # Pillow's transpositions
                stored = image if name != "a.jpg" else Image.open(tmp_path / name).convert("RGB")
                seen = stored if value == 1 else stored.transpose(Image.Transpose(turns[value]))
                assert picture.orientation == value
                assert np.array_equal(picture.pixels, np.array(seen))


def test_an_orientation_behind_the_pixels_of_a_png_counts_and_broken_exif_says_nothing(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 3
    pixels = noise(HEIGHT, WIDTH, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    for said, orientation in ((exif.tobytes().removeprefix(b"Exif\0\0"), 3), (b"MM\0*\0", 1), (b"nonsense", 1)):
        chunk = struct.pack(">I", len(said)) + b"eXIf" + said + struct.pack(">I", zlib.crc32(b"eXIf" + said))
        (tmp_path / "a.png").write_bytes(content[:-12] + chunk + content[-12:])
        assert read_picture(tmp_path / "a.png").orientation == orientation
        assert np.array_equal(read_image(tmp_path / "a.png"), pixels[::-1, ::-1] if orientation == 3 else pixels)


def test_an_orientation_that_means_nothing_and_one_beside_a_georeference_are_refused(tmp_path: Path) -> None:
    pixels = noise(HEIGHT, WIDTH, 3)
    with pytest.raises(SampleError, match=r"a\.tif has orientation tag 9, and only 1 to 8 say"):
        read_image(tiff(tmp_path / "a.tif", pixels, photometric="rgb", extratags=[(274, "H", 1, 9, True)]))
    scale = (33550, "d", 3, (1.0, 1.0, 0.0), True)
    with pytest.raises(SampleError, match=r"a\.tif has orientation tag 6 and a georeference: .*gdal_translate"):
        read_image(tiff(tmp_path / "a.tif", pixels, photometric="rgb", extratags=[(274, "H", 1, 6, True), scale]))


def test_of_several_pictures_the_first_full_size_one_counts(tmp_path: Path, subtests: pytest.Subtests) -> None:
    pixels, small = noise(64, 48, 3), noise(32, 24, 3)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(small, photometric="rgb", subfiletype=1)
        file.write(np.zeros((64, 48), bool), photometric=4, subfiletype=4)
        file.write(pixels, photometric="rgb")
        file.write(np.zeros_like(pixels), photometric="rgb")
    image = Image.fromarray(pixels)
    image.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[Image.fromarray(small)], quality=100)
    image.save(tmp_path / "a.png", save_all=True, append_images=[Image.fromarray(np.zeros_like(pixels))])
    image.save(tmp_path / "a.webp", save_all=True, append_images=[image], lossless=True)
    for name in ("a.tif", "a.jpg", "a.png", "a.webp"):
        with subtests.test(name):
            found = read_image(tmp_path / name)
            assert found.shape == pixels.shape
            assert name == "a.jpg" or np.array_equal(found, pixels)


def test_a_first_picture_that_may_be_a_thumbnail_is_refused_with_what_keeps_the_other(
    tmp_path: Path, subtests: pytest.Subtests
) -> None:
    rasterio = pytest.importorskip("rasterio", reason="needs the extras [geo]")
    large, small = noise(64, 48, 3), noise(32, 24, 3)
    for name, pages in {
        "unflagged": [(small, {}), (large, {})],
        "third": [(small, {}), (small, {}), (large, {})],
        "below it": [(small, {"subifds": 1}), (large, {})],
        "below it, flagged": [(small, {"subifds": 1, "subfiletype": 1}), (large, {})],
    }.items():
        with subtests.test(name):
            path = tmp_path / f"{name}.tif"
            with tifffile.TiffWriter(path) as file:
                for pixels, options in pages:
                    file.write(pixels, photometric="rgb", **options)
            with pytest.raises(SampleError, match="the first of 24 x 32 pixels and one of 48 x 64") as caught:
                read_image(path)
            part = re.search(r"GTIFF_DIR:off:\d+:[^']*?\.tif", str(caught.value))
            assert part is not None
            with rasterio.open(part.group()) as kept:
                assert np.array_equal(np.moveaxis(kept.read(), 0, -1), large)
    for name, sizes in {"smaller ones behind": (large, small), "several of one size": (small, small)}.items():
        with subtests.test(name):
            tifffile.imwrite(tmp_path / "a.tif", sizes[0], photometric="rgb")
            tifffile.imwrite(tmp_path / "a.tif", sizes[1], photometric="rgb", append=True)
            assert np.array_equal(read_image(tmp_path / "a.tif"), sizes[0])


def test_a_no_data_value_that_no_pixel_can_have_is_none_without_a_word_and_what_is_no_number_is_refused(
    tmp_path: Path, subtests: pytest.Subtests, caplog: pytest.LogCaptureFixture
) -> None:
    pixels = noise(HEIGHT, WIDTH, 3)
    for said in ("-9999", "nan", "0.5", "", "-1.#IND"):
        with subtests.test(said):
            path = tiff(tmp_path / "a.tif", pixels, photometric="rgb", extratags=[(42113, "s", 0, said, True)])
            assert np.array_equal(read_image(path), pixels)
    assert not caplog.records
    path = tiff(tmp_path / "a.tif", pixels, photometric="rgb", extratags=[(42113, "s", 0, "none", True)])
    with pytest.raises(SampleError, match=r"a.tif has the no-data value 'none', which is no number; .*-unsetnodata"):
        read_image(path)


def test_what_tifffile_says_of_a_file_is_said_with_its_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tiff(tmp_path / "a.tif", noise(HEIGHT, WIDTH, 3), photometric="rgb")
    with tifffile.TiffFile(path) as opened:
        place = opened.pages.first.tags[305].offset
    content = bytearray(path.read_bytes())
    content[place + 2 : place + 4] = (99).to_bytes(2, "little")  # no type that there is
    path.write_bytes(content)
    read_image(path)
    assert caplog.messages
    assert all(message.startswith(f"{path}: ") for message in caplog.messages)
