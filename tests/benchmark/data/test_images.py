from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.images import read_image, read_mask
from benchmark.data.samples import SampleError

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
            options = {"photometric": "rgb", "planarconfig": planar, "compression": compression}
            assert np.array_equal(read_image(tiff(tmp_path / "a.tif", stored, **options)), values[..., :3])


def test_every_kind_of_png_reads_as_pillow_shows_its_colours(tmp_path: Path, subtests: pytest.Subtests) -> None:
    plain: list[tuple[str, dict[str, object]]] = [(mode, {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")]
    seen_through = [(mode, {"transparency": 3}) for mode in ("1", "L", "P")] + [("RGB", {"transparency": (1, 2, 3)})]
    for mode, options in [*plain, *seen_through, ("P", {"bits": 4}), ("P", {"optimize": True})]:
        with subtests.test(f"{mode} {options}"):
            image = Image.fromarray(noise(HEIGHT, WIDTH, 3)).convert(mode)
            for number, picture in enumerate([image, image.quantize(16)] if mode == "P" else [image]):
                if number or "bits" not in options:  # more than 16 colours do not fit into 4 bits
                    picture.save(tmp_path / "a.png", **options)
                    with Image.open(tmp_path / "a.png") as opened:
                        assert np.array_equal(read_image(tmp_path / "a.png"), np.array(opened.convert("RGB")))


def test_a_transparent_png_keeps_its_colours_unblended(tmp_path: Path) -> None:
    values = noise(HEIGHT, WIDTH, 4)
    Image.fromarray(values, "RGBA").save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), values[..., :3])


def test_16_bits_are_stretched_between_two_percentiles_of_the_image_itself(tmp_path: Path) -> None:
    values = noise(HEIGHT, WIDTH, 4, high=3000, dtype="uint16") + 1
    values[:, :2] = 0  # no data
    values[0, 5] = 65535  # one bright pixel must not darken all others
    found = read_image(tiff(tmp_path / "a.tif", values, photometric="rgb"))
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


def test_what_would_need_a_guess_is_refused(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for values, options, message in (
        (noise(HEIGHT, WIDTH, 3).astype("float32"), {"photometric": "rgb"}, "type float32"),
        (noise(HEIGHT, WIDTH).astype("int32"), {}, "type int32"),
        (noise(HEIGHT, WIDTH, 4), {"photometric": "separated"}, "kind SEPARATED"),
        (noise(HEIGHT, WIDTH), {"photometric": "miniswhite"}, "kind MINISWHITE"),
    ):
        with subtests.test(message), pytest.raises(SampleError, match=rf"a\.tif.*{message}"):
            read_image(tiff(tmp_path / "a.tif", values, **options))


def png(path: Path, width: int, height: int, depth: int = 8, colour: int = 2, data: bytes = b"") -> Path:
    """A PNG that claims a size, whatever it holds."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def test_16_bit_png_in_colour_is_refused_for_pillow_would_cut_it(tmp_path: Path) -> None:
    row = b"\0" + bytes(range(24))
    with pytest.raises(SampleError, match="more than 8 bits; save it as 8-bit, or as 16-bit TIFF"):
        read_image(png(tmp_path / "a.png", 4, 2, depth=16, data=row * 2))


def declare(path: Path, **tags: int) -> None:
    """Overwrite what a TIFF says of itself."""
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as opened:
        for name, value in tags.items():
            tag = opened.pages.first.tags[name]
            length = tag.count * {3: 2, 4: 4}[tag.dtype]
            content[tag.valueoffset : tag.valueoffset + length] = value.to_bytes(length, "little")
    path.write_bytes(bytes(content))


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


def test_a_program_for_ghostscript_is_no_image_whatever_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/mark\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    for name in ("a.png", "a.jpg", "a.tif", "a.eps"):
        path = tmp_path / name
        path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n")
        message = rf"{name} cannot be read to its end: it is no PNG, JPEG, WebP, BMP or TIFF"
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


# ---------------------------------------------------------------------------------------------------------------- masks


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
