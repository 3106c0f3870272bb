"""What an image is read as, by kind; that GDAL reads the same is in test_matrix.py."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.errors import SampleError
from benchmark.data.images import read_image, read_mask, read_picture
from benchmark.data.images.advice import GDAL, HEADS

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


def declare(path: Path, **tags: int) -> None:
    """Overwrite what a TIFF says of itself."""
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as opened:
        for name, value in tags.items():
            tag = opened.pages.first.tags[name]
            length = tag.count * {3: 2, 4: 4}[tag.dtype]
            content[tag.valueoffset : tag.valueoffset + length] = value.to_bytes(length, "little")
    path.write_bytes(bytes(content))


def test_what_is_not_read_is_refused_with_what_to_type(tmp_path: Path, subtests: pytest.Subtests) -> None:
    ink = Image.fromarray(noise(HEIGHT, WIDTH, 3)).convert("CMYK")
    ink.save(tmp_path / "ink.jpg")
    ink.save(tmp_path / "ink.tif")
    Image.fromarray(noise(HEIGHT, WIDTH)).save(tmp_path / "a.gif")
    Image.fromarray(noise(HEIGHT, WIDTH, 3)).save(tmp_path / "a b.jp2")
    tiff(tmp_path / "lab.tif", noise(HEIGHT, WIDTH, 3), photometric="cielab")
    tiff(tmp_path / "radar.tif", noise(HEIGHT, WIDTH).astype("complex64"))
    tiff(tmp_path / "beside.tif", noise(HEIGHT, WIDTH)).with_name("beside.tif.msk").write_bytes(b"")
    about = tiff(tmp_path / "said.tif", noise(HEIGHT, WIDTH)).with_name("said.tif.aux.xml")
    about.write_text("<PAMDataset><PAMRasterBand band='1'><NoDataValue>0</NoDataValue></PAMRasterBand></PAMDataset>")
    for name, message in {
        "ink.jpg": r"colours of kind CMYK.*make it 8-bit RGB: convert it: magick \S*ink\.jpg .*sRGB.* \S*ink\.png$",
        "ink.tif": r"TIFF of kind SEPARATED.*convert it: magick",
        "lab.tif": r"TIFF of kind CIELAB.*convert it: magick",
        "a.gif": r"is GIF, and PNG, JPEG, WebP, BMP and TIFF are read; convert it: magick \S*a\.gif \S*a\.png$",
        "a b.jp2": r"is JPEG 2000.*convert it: gdal_translate '\S*a b\.jp2' '\S*a b\.tif'$",
        "radar.tif": r"type complex64.*gdal_translate DERIVED_SUBDATASET:AMPLITUDE:\S*radar\.tif",
        "beside.tif": r"in a file beside it, beside\.tif\.msk; .*gdal_translate --config GDAL_TIFF_INTERNAL_MASK YES",
        "said.tif": r"no-data value in a file beside it, said\.tif\.aux\.xml; .*gdal_translate \S* \S*_converted\.tif",
    }.items():
        with subtests.test(name), pytest.raises(SampleError, match=message):
            read_image(tmp_path / name)


def test_kinds_of_tiff_that_need_more_than_their_values_are_refused_with_what_to_type(
    tmp_path: Path, subtests: pytest.Subtests
) -> None:
    for tags, message in (
        ({"Compression": 34661}, r"compressed in a way that is not read.*gdal_translate -co COMPRESS=DEFLATE"),
        ({"PhotometricInterpretation": 6}, r"kind YCBCR without JPEG.*gdal_translate -co PHOTOMETRIC=RGB"),
        ({"PhotometricInterpretation": 3}, r"kind PALETTE with 3 bands.*gdal_translate -b 1 -expand rgb"),
    ):
        declare(tiff(tmp_path / "a.tif", noise(HEIGHT, WIDTH, 3), photometric="rgb"), **tags)
        with subtests.test(message), pytest.raises(SampleError, match=message):
            read_image(tmp_path / "a.tif")


def test_files_of_other_kinds_are_told_by_their_first_bytes(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for at, magic, kind in HEADS:
        (tmp_path / "a.bin").write_bytes((b"\0" * at + magic).ljust(600, b"\0"))
        program = "gdal_translate" if kind in GDAL else "magick"
        with subtests.test(kind), pytest.raises(SampleError, match=rf"is {kind}, .*convert it: {program} \S*a\.bin"):
            read_image(tmp_path / "a.bin")


def png(path: Path, width: int, height: int, depth: int = 8, colour: int = 2, data: bytes = b"") -> Path:
    """A PNG that claims a size, whatever it holds."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def test_16_bit_png_in_colour_reads_as_the_same_tiff(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for bands in (1, 2, 3, 4):
        values = noise(HEIGHT, WIDTH, bands, high=5000, dtype="uint16") + 1
        (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(values.squeeze()))
        alpha = {"extrasamples": ["unassalpha"]} if bands in (2, 4) else {}
        path = tiff(tmp_path / "a.tif", values.squeeze(), photometric="rgb" if bands > 2 else "minisblack", **alpha)
        with subtests.test(f"{bands}"):
            assert np.array_equal(read_image(tmp_path / "a.png"), read_image(path))


def test_a_picture_bomb_is_refused_before_it_is_decoded(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for side in (9_500, 100_000):  # Pillow warns of the first and refuses the second itself
        with (
            subtests.test(f"{side}"),
            pytest.raises(SampleError, match=r"a\.png.*(more than the 89,478,485|refused before it is decoded)"),
        ):
            read_image(png(tmp_path / "a.png", side, side))


def test_a_tiff_bomb_is_refused_before_it_is_decoded(tmp_path: Path, subtests: pytest.Subtests) -> None:
    small, bands, pixels = (64, 64), (8, 8, 3), "says it is 60000 x 60000 pixels, more than the 89,478,485"
    size = {"ImageWidth": 9000, "ImageLength": 9000, "RowsPerStrip": 9000}
    for case, shape, options, tags, message in (
        ("sides", small, {}, {"ImageWidth": 60_000, "ImageLength": 60_000}, pixels),
        ("tiles", small, {"tile": (16, 16)}, {"TileWidth": 60_000, "TileLength": 60_000}, pixels),
        ("bands", bands, {"photometric": "rgb"}, {**size, "SamplesPerPixel": 2000},
         "says it has 2,000 bands and 162,000,000,000 bytes, more than the 715"),
    ):  # fmt: skip
        path = tiff(tmp_path / "a.tif", np.zeros(shape, np.uint8), compression="zlib", **options)
        declare(path, **tags)
        with subtests.test(case), pytest.raises(SampleError, match=rf"a\.tif {message}"):
            read_image(path)


def test_a_tiff_whose_tags_cannot_be_is_refused(tmp_path: Path, subtests: pytest.Subtests) -> None:
    path = tiff(tmp_path / "a.tif", noise(HEIGHT, WIDTH), rowsperstrip=4)
    whole = path.read_bytes()
    declare(path, RowsPerStrip=0)
    with subtests.test("no rows"), pytest.raises(SampleError, match=r"a\.tif .*; (it is damaged: )?fetch it again"):
        read_image(path)
    declare(tiff(tmp_path / "tiles.tif", noise(HEIGHT, WIDTH), tile=(16, 16)), TileLength=0)
    with subtests.test("no rows in tiles"), pytest.raises(SampleError, match=r"tiles\.tif .*fetch it again"):
        read_image(tmp_path / "tiles.tif")
    tiff(tmp_path / "few.tif", noise(HEIGHT, WIDTH), photometric="palette", colormap=np.zeros((3, 256), np.uint16))
    with tifffile.TiffFile(tmp_path / "few.tif") as opened:
        count = opened.pages.first.tags["ColorMap"].offset + 4
    content = bytearray((tmp_path / "few.tif").read_bytes())
    content[count : count + 4] = struct.pack("<I", 3 * 16)
    (tmp_path / "few.tif").write_bytes(content)
    with (
        subtests.test("few colours"),
        pytest.raises(SampleError, match=r"a palette of 16 colours for values of 8 bits"),
    ):
        read_image(tmp_path / "few.tif")
    path.write_bytes(whole)
    with tifffile.TiffFile(path) as opened:
        kind = opened.pages.first.tags["ImageLength"].offset + 2
    path.write_bytes(whole[:kind] + struct.pack("<HIf", 11, 1, np.inf) + whole[kind + 10 :])  # a fraction, and which
    with subtests.test("a height without end"), pytest.raises(SampleError, match=r"a\.tif .*fetch it again"):
        read_image(path)
    for name in ("ImageWidth", "SamplesPerPixel"):  # four values in the place of one
        path.write_bytes(whole)
        with tifffile.TiffFile(path) as opened:
            count = opened.pages.first.tags[name].offset + 4
        path.write_bytes(whole[:count] + b"\4\0\0\0\x08\0\0\0" + whole[count + 8 :])
        with subtests.test(name), pytest.raises(SampleError, match=r"a\.tif .*fetch it again"):
            read_image(path)


def test_a_program_for_ghostscript_is_no_image_whatever_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/mark\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    for name in ("a.png", "a.jpg", "a.tif", "a.eps"):
        path = tmp_path / name
        path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n")
        message = rf"{name} is no PNG, JPEG, WebP, BMP or TIFF; convert it"
        for read in (read_image, read_mask):
            with subtests.test(f"{read.__name__} {name}"), pytest.raises(SampleError, match=message):
                read(path)
    assert not (tmp_path / "mark").exists()


def test_a_truncated_image_is_refused_by_name(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for name in ("a.png", "a.jpg", "a.tif", "a.webp"):
        Image.fromarray(noise(64, 64, 3)).save(tmp_path / name)
        content = (tmp_path / name).read_bytes()
        for kept in (0.0, 0.05, 0.5, 0.97):
            (tmp_path / name).write_bytes(content[: int(kept * len(content))])
            with subtests.test(f"{kept} of {name}"), pytest.raises(SampleError, match=rf"{name}.*fetch it a"):
                read_image(tmp_path / name)


def test_random_bytes_never_get_further_than_a_clear_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    heads = [
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"II*\0\x08\0\0\0",
        b"MM\0*",
        b"RIFF1234WEBP",
        b"GIF89a",
        b"BM",
    ]
    for number in range(200):
        path = tmp_path / "a.bin"
        path.write_bytes(heads[number % len(heads)] + rng.bytes(int(rng.integers(0, 400))))
        with pytest.raises(SampleError, match=r"a\.bin"):
            read_image(path)


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    for name in ("nothing.png", "a" * 300, "\0"):
        with pytest.raises(FileNotFoundError, match=f"{name} does not exist"):
            read_image(tmp_path / name)
