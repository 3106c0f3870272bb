"""Files that are no image, or none that can be read for sure: refused by name, with what to type."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from benchmark.data.errors import SampleError
from benchmark.data.images import read_image, read_mask
from benchmark.data.images.advice import GDAL, HEADS
from tests.benchmark.data.images.test_rules import HEIGHT, WIDTH, noise, tiff


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
