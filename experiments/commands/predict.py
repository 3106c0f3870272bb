"""One image or scene segmented, and what is written of it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Column, Table

from benchmark.data.files import replacing
from benchmark.data.images import MAX_PIXELS, Picture, read_picture, tiff_facts
from benchmark.datasets import DATASETS
from benchmark.output.terminal import plain, say, terminal
from benchmark.results.pictures import ImageArray, MaskArray, overlay
from experiments.errors import InputError, clear_errors
from experiments.published import find_run
from experiments.settings import ExperimentConfig
from models.system import System
from models.tokens import TruncationWarning

GEO = ("rasterio", "geopandas", "pyogrio", "shapely")  # what a scene needs
PATCH = 256  # pixels a side that images of `synthetic`, `dubai` and `vhr10` have, and others of no stated size may have
WORLD = (".tfw", ".tifw", ".wld")  # files beside a TIFF that say where it lies
FAST = 1  # of PNG's levels: at 4,000 px the default takes four times as long


def outputs(out: Path, image: Path, count: int) -> list[tuple[Path, Path]]:
    """Where the overlay and the mask of each expression go.

    Raises:
        InputError: not a .png, the image itself, a folder, or in a place where nothing can be written.
    """
    if out.suffix.lower() != ".png":
        raise InputError(f"--out {out}: give a name that ends in .png")
    numbers = [""] if count == 1 else [f"_{number}" for number in range(1, count + 1)]
    pairs = [(out.with_stem(f"{out.stem}{number}"), out.with_stem(f"{out.stem}{number}_mask")) for number in numbers]
    if image.resolve() in {file.resolve() for pair in pairs for file in pair}:
        raise InputError(f"--out {out}: would overwrite {image}; give another name")
    for file in (file for pair in pairs for file in pair):
        if file.is_dir():
            raise InputError(f"--out {out}: {file} is a folder; give another name")
    place = next(folder for folder in out.absolute().parents if folder.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise InputError(f"--out {out}: nothing can be written into {place}; give another place")
    return pairs


def where_known(mask: MaskArray, picture: Picture) -> MaskArray:
    """A mask without the pixels of which the image has no data."""
    return mask if picture.known is None else mask & picture.known


def write(image: ImageArray, masks: Sequence[MaskArray], files: Sequence[tuple[Path, Path]]) -> None:
    """Write every overlay and mask, or none."""
    with ExitStack() as stack:
        for mask, (painted, bare) in zip(masks, files, strict=True):
            for file, pixels in ((painted, overlay(image, mask, mask)), (bare, mask.astype(np.uint8) * 255)):
                Image.fromarray(pixels).save(stack.enter_context(replacing(file)), format="PNG", compress_level=FAST)


def reason_for_scene(image: Path, out: Path | None, asked: bool) -> str | None:
    """Why a file is read as a scene; None: it is read as one image.

    Args:
        out: what --out says, if anything.
        asked: whether an option of scenes alone is given.

    Raises:
        InputError: a picture is asked for, and what only a scene has.
        FileNotFoundError, SampleError: no file, or a broken TIFF.
    """
    picture = out is not None and out.suffix.lower() == ".png"
    if picture and asked:
        raise InputError(f"--out {out}: of a scene layers are written; give a folder, or a name in .gpkg")
    if picture:
        return None
    facts = tiff_facts(image)
    if facts is not None:
        if facts.georeferenced or any(image.with_suffix(suffix).is_file() for suffix in WORLD):
            return "it says where on the map it lies"
        if facts.width * facts.height > MAX_PIXELS:
            return f"it has more than {MAX_PIXELS:,} pixels"
    return "an option of scenes is given" if asked else None


def patch_side(dataset: str) -> int:
    """Pixels along the shorter side of a dataset's images, where they are declared, else PATCH."""
    spec = DATASETS[dataset].spec if dataset in DATASETS else None
    return PATCH if spec is None or spec.image_size is None else min(spec.image_size)


def load(run: Path) -> tuple[System, ExperimentConfig]:
    """The model of find_run(), with its errors, where it computes fastest."""
    network, config = find_run(run)
    network.to("cuda" if torch.cuda.is_available() else "cpu")
    return network, config


def say_run(console: Console, config: ExperimentConfig) -> None:
    """Print which run predicts."""
    say(console, f"{config.variant} of {config.model_name}, trained on {config.dataset}, seed {config.seed}")


def predict_image(console: Console, image: Path, expressions: list[str], run: Path, out: Path) -> None:
    """Segment one image, read whole."""
    files = outputs(out, image, len(expressions))
    picture = read_picture(image)
    network, config = load(run)
    tensor = torch.from_numpy(picture.pixels).permute(2, 0, 1).contiguous()
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always", TruncationWarning)
        masks = [where_known(mask, picture) for mask in network.predict([tensor], expressions, [0] * len(expressions))]
    write(picture.pixels, masks, files)
    for note in noted:
        say(console, f"note: {note.message}")
    if picture.choice is not None:
        say(console, f"note: {image} is read as {picture.choice}")
    if picture.known is not None:
        share = f"{1 - picture.known.mean():.1%}"
        say(console, f"note: {share} of {image} has no data; nothing is predicted there")
    table = Table("expression", "share of the image", *(Column(name, overflow="fold") for name in ("overlay", "mask")))
    for expression, mask, (painted, bare) in zip(expressions, masks, files, strict=True):
        table.add_row(plain(expression), f"{mask.mean():.2%}", plain(painted), plain(bare))
    say_run(console, config)
    console.print(table)


def main(
    image: Path,
    expressions: list[str],
    run: Path,
    out: Path | None,
    window: int | None,
    overlap: int | None,
    bands: str | None,
    pixel_size: float | None,
    probability: bool,
) -> None:
    """Segment what each expression refers to."""
    console = terminal()
    with clear_errors():
        for expression in expressions:
            if not expression.strip():
                raise InputError("an expression is empty: say what to segment")
        asked = probability or any(option is not None for option in (window, overlap, bands, pixel_size))
        reason = reason_for_scene(image, out, asked)
        if reason is None:
            predict_image(console, image, expressions, run, Path("overlay.png") if out is None else out)
            return
        if lacking := [name for name in GEO if find_spec(name) is None]:
            raise InputError(
                f"{image} is read as a scene ({reason}), and {', '.join(lacking)} is not installed: pip install "
                "'rsrefseg-bench[geo]' (in this repository: pip install -e '.[geo]' -c constraints.txt), or give an "
                "--out that ends in .png to have it read as one image"
            )
        from experiments.scene.predicting import digest  # rasterio and others, which may not be installed
        from experiments.scene.segment import Settings, segment_scene

        chosen = to_bands(bands)
        network, config = load(run)
        say(console, f"a scene: {reason}")
        say_run(console, config)
        side = patch_side(config.dataset) if window is None else window
        settings = Settings(side, side // 4 if overlap is None else overlap, chosen, pixel_size, probability)
        place = Path(f"{image.stem}_layers") if out is None else out
        segment_scene(image, expressions, place, settings, network, digest(network), console)


def to_bands(text: str | None) -> tuple[int, ...] | None:
    """The bands of "4,3,2"; None for None.

    Raises:
        InputError: no numbers with commas between them.
    """
    if text is None:
        return None
    words = text.split(",")
    if not all(word.strip().isdecimal() for word in words):
        raise InputError(f"--bands {text}: give their numbers, counted from 1, with commas between them: 4,3,2")
    return tuple(int(word) for word in words)
