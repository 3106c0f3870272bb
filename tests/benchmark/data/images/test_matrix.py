"""Small files of every kind, written by GDAL, Pillow and tifffile, are read as GDAL reads them.

The judge is rasterio: what it reads of a file, made RGB by a plain restatement of the rules in
benchmark/data/images/rules.py. JPEG decoders differ by a few levels; everything else is the same to the bit, or to the
level where values are stretched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.images import Picture, read_picture

rasterio = pytest.importorskip("rasterio", reason="the judge: pip install -e '.[dev]'")
copy = pytest.importorskip("rasterio.shutil").copy
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
HEIGHT, WIDTH = 36, 52
JPEG_LEVELS = 12  # of 255, that two decoders differ by at most where colours are stored at half size
HIGHEST = {"uint8": 255, "int8": 127, "uint16": 4000, "int16": 3000, "uint32": 100_000, "int32": 90_000}
Written = Iterator[tuple[str, Callable[[Path], object]]]  # the file's name, and what writes it


def values(dtype: str, bands: int) -> NDArray[Any]:
    """(bands, H, W): smooth, so that lossy codecs keep it, with every band different."""
    y, x = np.mgrid[0 : 1 : HEIGHT * 1j, 0 : 1 : WIDTH * 1j]
    waves = [0.5 + 0.3 * np.sin(3 * x + k) * np.cos(4 * y - k) + 0.1 * x for k in range(bands)]
    if dtype.startswith("float"):
        return np.stack(waves).astype(dtype)
    return np.round(np.stack(waves) * HIGHEST[dtype]).astype(dtype)


def gdal(path: Path, stored: NDArray[Any], **options: Any) -> None:
    """Through GDAL; `after` is called with the open file."""
    after = options.pop("after", lambda file: None)
    size = {"count": len(stored), "height": stored.shape[1], "width": stored.shape[2], "dtype": stored.dtype}
    with rasterio.open(path, "w", **{"driver": "GTiff", **size, **options}) as file:
        after(file)
        if not options.get("sparse_ok"):
            file.write(stored)


def late_palette(path: Path, dtype: str, photometric: str) -> None:
    """A palette that is written after the pixels: the file goes on to say that it is grey."""
    stored = values(dtype, 1)
    entries = {k: (255 - k % 256, k % 256, k // 256, 255) for k in range(1 << 8 * stored.itemsize)}

    def both(file: Any) -> None:
        file.write(stored)
        file.write_colormap(1, entries)

    gdal(path, stored, photometric=photometric, after=both)
    with tifffile.TiffFile(path) as written:
        assert written.pages.first.photometric.name == photometric


def by_gdal() -> Written:
    for dtype in ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"):
        for bands in (1, 2, 3, 4, 5):
            for layout in ("pixel", "band"):
                options = {"interleave": layout, "photometric": "MINISBLACK", "tiled": bands % 2 == 0}
                options |= {"blockxsize": 16, "blockysize": 16} if options["tiled"] else {"blockysize": 7}
                yield f"{dtype} {bands} {layout}.tif", lambda p, d=dtype, b=bands, o=options: gdal(p, values(d, b), **o)
    for compress in ("DEFLATE", "LZW", "ZSTD", "PACKBITS", "LZMA", "LERC", "LERC_ZSTD", "JPEG", "WEBP"):
        for dtype in ("uint8",) if compress in ("JPEG", "WEBP") else ("uint8", "uint16", "float32"):
            predict = {"DEFLATE": 2, "LZW": 3 if dtype == "float32" else 2}.get(compress)
            options = {"compress": compress, "photometric": "RGB", **({"predictor": predict} if predict else {})}
            options |= {"WEBP_LOSSLESS": "YES"} if compress == "WEBP" else {}
            yield f"{dtype} {compress}.tif", lambda p, d=dtype, o=options: gdal(p, values(d, 3), **o)
    yield "YCbCr JPEG.tif", lambda p: gdal(p, values("uint8", 3), compress="JPEG", photometric="YCBCR", quality=95)
    for kind, options in {"big": {"BIGTIFF": "YES"}, "swapped": {"ENDIANNESS": "BIG"}}.items():
        for dtype in ("uint8", "uint16", "float32"):
            yield f"{kind} {dtype}.tif", lambda p, d=dtype, o=options: gdal(p, values(d, 3), photometric="RGB", **o)
    for bits in (1, 2, 4):
        grey = values("uint8", 1) >> (8 - bits)
        yield f"{bits} bits.tif", lambda p, g=grey, b=bits: gdal(p, g, nbits=b)
    for black, kind in enumerate(("MINISBLACK", "MINISWHITE")):
        options = {"nbits": 1, "nodata": black, "photometric": kind}
        yield f"1 bit with no-data {kind}.tif", lambda p, o=options: gdal(p, values("uint8", 1) >> 7, **o)
    yield "12 bits.tif", lambda p: gdal(p, values("uint16", 3) & 4095, nbits=12, photometric="RGB")
    yield "1 bit CCITT.tif", lambda p: gdal(p, values("uint8", 1) >> 7, nbits=1, compress="CCITTFAX4")
    colours = {k: (255 - k, k, k // 2, 255) for k in range(256)}
    yield "palette.tif", lambda p: gdal(p, values("uint8", 1), after=lambda file: file.write_colormap(1, colours))
    yield (
        "palette.png",
        lambda p: gdal(p, values("uint8", 1), driver="PNG", after=lambda f: f.write_colormap(1, colours)),
    )
    for bits in (1, 4):
        few = {k: (255 - 9 * k, 200 * (k % 2), 15 * k, 255) for k in range(1 << bits)}
        grey = values("uint8", 1) >> (8 - bits)
        yield (
            f"palette {bits} bits.tif",
            lambda p, g=grey, b=bits, f=few: gdal(p, g, nbits=b, after=lambda file: file.write_colormap(1, f)),
        )
    for dtype in ("uint8", "uint16"):
        for kind in ("MINISBLACK", "MINISWHITE"):
            yield f"late palette {dtype} {kind}.tif", lambda p, d=dtype, k=kind: late_palette(p, d, photometric=k)
    yield "white is 0.tif", lambda p: gdal(p, values("uint8", 1), photometric="MINISWHITE")
    for dtype in ("uint8", "uint16"):
        for bands in (1, 2, 3, 4):
            yield f"{dtype} {bands}.png", lambda p, d=dtype, b=bands: gdal(p, values(d, b), driver="PNG")
    for bands in (1, 3):
        yield f"{bands}.jpg", lambda p, b=bands: gdal(p, values("uint8", b), driver="JPEG", quality=95)
        yield f"{bands}.bmp", lambda p, b=bands: gdal(p, values("uint8", b), driver="BMP")
    for bands in (3, 4):
        yield f"{bands}.webp", lambda p, b=bands: gdal(p, values("uint8", b), driver="WEBP", lossless=True)
    for overviews in ("pixel", "band"):
        yield (
            f"overviews {overviews}.tif",
            lambda p, o=overviews: gdal(
                p, values("uint8", 3), interleave=o, photometric="RGB",
                after=lambda file: (file.write(values("uint8", 3)), file.build_overviews([2, 4])),
            ),
        )  # fmt: skip
    yield from _cogs()
    yield from _without_data()
    order = [rasterio.enums.ColorInterp[name] for name in ("blue", "green", "red", "undefined")]
    for dtype in ("uint8", "uint16"):
        yield (
            f"blue first {dtype}.tif",
            lambda p, d=dtype: gdal(
                p, values(d, 4), photometric="MINISBLACK", after=lambda file: setattr(file, "colorinterp", order)
            ),
        )


def _cogs() -> Written:
    def cog(path: Path, stored: NDArray[Any], compress: str) -> None:
        plain = path.with_suffix(".plain")
        gdal(plain, stored, photometric="RGB")
        copy(plain, path, driver="COG", compress=compress, blocksize=128, overview_count=2)

    for compress in ("DEFLATE", "LZW", "WEBP", "JPEG"):
        for dtype in ("uint8",) if compress in ("JPEG", "WEBP") else ("uint8", "uint16", "float32"):
            yield f"COG {dtype} {compress}.tif", lambda p, d=dtype, c=compress: cog(p, values(d, 3), c)


def _without_data() -> Written:
    for dtype in ("uint8", "uint16", "int16", "float32"):
        for nodata in {"uint8": (0, 255), "uint16": (0, 65535)}.get(dtype, (-9999, 0)):
            for bands in (1, 3, 4):
                stored = values(dtype, bands)
                stored[:, :9, :] = nodata
                yield (
                    f"{dtype} {bands} nodata {nodata}.tif",
                    lambda p, s=stored, n=nodata: gdal(p, s, nodata=n, photometric="MINISBLACK"),
                )
        for bands in (2, 4):
            stored = values(dtype, bands)
            stored[-1] = 1
            stored[-1, :, :11] = 0
            stored[:-1, :, :11] = 255 if dtype == "uint8" else 30_000  # must not count
            grey = {"photometric": "MINISBLACK" if bands == 2 else "RGB", "alpha": "YES"}
            yield f"{dtype} {bands} alpha.tif", lambda p, s=stored, o=grey: gdal(p, s, **o)

        def masked(path: Path, stored: NDArray[Any]) -> None:
            known = np.ones((HEIGHT, WIDTH), bool)
            known[5:20, 7:30] = False
            with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
                gdal(path, stored, photometric="RGB", after=lambda file: file.write_mask(known))

        yield f"{dtype} mask.tif", lambda p, d=dtype: masked(p, values(d, 3))
    holed = values("float32", 3)
    holed[:, 3:9] = np.nan
    yield "nan.tif", lambda p: gdal(p, holed, nodata=float("nan"), photometric="RGB")


def by_pillow() -> Written:
    image = Image.fromarray(np.moveaxis(values("uint8", 3), 0, -1))
    clear = image.copy()
    clear.putalpha(Image.fromarray((values("uint8", 4)[3] > 120).astype(np.uint8) * 200))
    kinds = {"png": ("1", "L", "LA", "P", "RGB", "RGBA"), "bmp": ("1", "L", "P", "RGB"), "webp": ("RGB", "RGBA")}
    kinds |= {"jpg": ("L", "RGB"), "tif": ("1", "L", "P", "RGB", "RGBA")}
    for suffix, modes in kinds.items():
        for mode in modes:
            options = {"webp": {"lossless": True, "exact": True}, "jpg": {"quality": 95, "subsampling": 0}}.get(
                suffix, {}
            )
            shown = (clear if mode.endswith("A") else image).convert(mode)
            yield f"pillow {mode}.{suffix}", lambda p, s=shown, o=options: s.save(p, **o)
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        yield f"pillow {compression}.tif", lambda p, c=compression: image.save(p, compression=c)
    few = image.quantize(16)
    for bits in (1, 2, 4):
        yield f"pillow {bits} bits.png", lambda p, b=bits: image.quantize(1 << b).save(p, bits=b)
    yield "pillow clear entry.png", lambda p: few.save(p, transparency=3)
    yield (
        "pillow clear grey.png",
        lambda p: image.convert("L").save(p, transparency=image.convert("L").getpixel((9, 9))),
    )
    yield "pillow clear colour.png", lambda p: image.save(p, transparency=image.getpixel((9, 9)))
    yield "pillow 16.png", lambda p: Image.fromarray(values("uint16", 1)[0]).save(p)
    for bands in (2, 3, 4):
        deep = np.moveaxis(values("uint16", bands), 0, -1)
        yield f"deep {bands}.png", lambda p, d=deep: p.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(d)))


def by_tifffile() -> Written:
    for dtype in ("uint8", "uint16", "float32"):
        for bands in (1, 3, 4, 6):
            for planar in ("contig", "separate"):
                stored = values(dtype, bands)
                stored = stored if planar == "separate" else np.moveaxis(stored, 0, -1)
                extra = {"extrasamples": ["unspecified"] * (bands - 3)} if bands > 3 else {}
                options = {"photometric": "rgb" if bands >= 3 else "minisblack", "planarconfig": planar, **extra}
                if bands == 1:
                    options.pop("planarconfig")
                    stored = stored.squeeze()
                options |= {"tile": (16, 16)} if planar == "contig" else {"rowsperstrip": 5}
                name = f"tifffile {dtype} {bands} {planar}.tif"
                yield name, lambda p, s=stored, o=options: tifffile.imwrite(p, s, **o)
    rgb = np.moveaxis(values("uint16", 3), 0, -1)
    for order in "<>":
        for big in (False, True):
            yield (
                f"tifffile {'little' if order == '<' else 'big'} {big}.tif",
                lambda p, o=order, b=big: tifffile.imwrite(p, rgb, photometric="rgb", byteorder=o, bigtiff=b),
            )
    for extra in ("assocalpha", "unassalpha"):
        clear = np.moveaxis(values("uint8", 4), 0, -1).copy()
        clear[:9, :, 3] = 0
        yield (
            f"tifffile {extra}.tif",
            lambda p, c=clear, e=extra: tifffile.imwrite(p, c, photometric="rgb", extrasamples=[e]),
        )


def judged(path: Path) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(H, W, 3) and (H, W), by GDAL's reading of the file and the rules restated."""
    with rasterio.open(path) as file:
        stored, roles = file.read(), list(file.colorinterp)
        known, about = file.dataset_mask() > 0, file.tags(ns="IMAGE_STRUCTURE")
        bits = int(file.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", 0))
        palette = file.colormap(1) if roles[0] == rasterio.enums.ColorInterp.palette else None
        nodata = [np.nan if value is None else value for value in file.nodatavals]
        declared = file.nodata is not None
    colours = [rasterio.enums.ColorInterp[name] for name in ("red", "green", "blue")]
    plain = [k for k, role in enumerate(roles) if role != rasterio.enums.ColorInterp.alpha]
    shown = [roles.index(c) for c in colours] if set(colours) <= set(roles) else plain[: 3 if len(plain) >= 3 else 1]
    if palette is not None:
        table = np.array([palette.get(k, (0, 0, 0, 255)) for k in range(max(256, *palette))])
        entries = table[stored[0]]
        known &= entries[..., 3] > 0
        return np.where(known[..., None], entries[..., :3], 0).astype(float), known
    bands = np.moveaxis(stored[shown], 0, -1)
    if declared:
        known = ~np.all([np.isnan(stored[k]) if np.isnan(nodata[k]) else stored[k] == nodata[k] for k in shown], axis=0)
    for k in set(range(len(roles))) - set(plain):  # GDAL takes a low alpha of 16 bits for none
        known = stored[k] > 0
    if about.get("MINISWHITE") == "YES":
        bands = (255 if not bits else (1 << bits) - 1) - bands
    if bands.dtype == np.uint8:
        pixels = bands.astype(float) * (255 / ((1 << bits) - 1) if bits else 1)
    else:
        used = bands[known & bands.any(axis=-1)].astype(float)
        low, high = np.percentile(used, [1, 99], method="inverted_cdf")
        pixels = np.round((np.nan_to_num(bands.astype(float)) - low).clip(0, high - low) / (high - low) * 255)
    return np.where(known[..., None], np.broadcast_to(pixels, (*known.shape, 3)), 0), known


def test_every_file_is_read_as_gdal_reads_it(tmp_path: Path, subtests: pytest.Subtests) -> None:
    written = [*by_gdal(), *by_pillow(), *by_tifffile()]
    assert len({name for name, _ in written}) == len(written) >= 150
    for name, write in written:
        with subtests.test(name):
            path = tmp_path / name
            write(path)
            picture: Picture = read_picture(path)
            pixels, known = judged(path)
            found = np.ones(known.shape, bool) if picture.known is None else picture.known
            assert np.array_equal(found, known)
            away = np.abs(picture.pixels - pixels).max()
            lossy = "JPEG" in name or "jpeg" in name or path.suffix == ".jpg"
            assert away <= (JPEG_LEVELS if lossy else 1)
            assert picture.pixels.std() > 10


@pytest.mark.parametrize("layout", ["pixel", "band"])
def test_tiles_that_are_not_there_have_no_data(tmp_path: Path, layout: str) -> None:
    for dtype in ("uint8", "uint16"):
        stored, path = values(dtype, 3), tmp_path / f"{dtype}.tif"

        def half(file: Any, stored: NDArray[Any] = stored) -> None:
            file.write(stored[:, :, :32], window=rasterio.windows.Window(0, 0, 32, HEIGHT))

        options = {"tiled": True, "blockxsize": 16, "blockysize": 16, "interleave": layout, "photometric": "RGB"}
        gdal(path, stored, sparse_ok=True, after=half, **options)
        picture = read_picture(path)
        assert picture.known is not None
        assert np.array_equal(picture.known, np.broadcast_to(np.arange(WIDTH) < 32, (HEIGHT, WIDTH)))
        assert not picture.pixels[:, 32:].any()
        gdal(tmp_path / "half.tif", stored[:, :, :32], photometric="RGB")
        assert np.array_equal(picture.pixels[:, :32], read_picture(tmp_path / "half.tif").pixels)


def test_what_the_advice_makes_of_a_file_is_read(tmp_path: Path) -> None:
    """gdal_translate is this copy."""
    deep = values("uint16", 3)
    gdal(tmp_path / "plain.tif", deep, photometric="RGB")
    gdal(tmp_path / "a.jp2", deep, driver="JP2OpenJPEG", quality=100, reversible=True)
    copy(tmp_path / "a.jp2", tmp_path / "a.tif", driver="GTiff")
    assert np.array_equal(read_picture(tmp_path / "a.tif").pixels, read_picture(tmp_path / "plain.tif").pixels)
    tags = [(274, "H", 1, 6, True), (33550, "d", 3, (1.0, 1.0, 0.0), True)]
    tifffile.imwrite(tmp_path / "turned.tif", np.moveaxis(deep, 0, -1), photometric="rgb", extratags=tags)
    copy(tmp_path / "turned.tif", tmp_path / "b.tif", driver="GTiff")
    assert read_picture(tmp_path / "b.tif").orientation == 1
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False):
        gdal(tmp_path / "beside.tif", deep, photometric="RGB", after=lambda file: file.write_mask(deep[0] > 2000))
    assert (tmp_path / "beside.tif.msk").is_file()
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        copy(tmp_path / "beside.tif", tmp_path / "c.tif", driver="GTiff")
    found = read_picture(tmp_path / "c.tif").known
    assert found is not None
    assert np.array_equal(found, deep[0] > 2000)
    tifffile.imwrite(tmp_path / "radar.tif", (deep[0] * 1j).astype("complex64"))
    with rasterio.open(f"DERIVED_SUBDATASET:AMPLITUDE:{tmp_path / 'radar.tif'}") as file:
        assert file.dtypes[0].startswith("float")
