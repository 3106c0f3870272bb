"""From scenes to a dataset: writes the expressions, the images and the table, all or nothing."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.files import held, remove_leftovers, replacing
from benchmark.data.images.raster import AS_STORED
from benchmark.data.samples import SPLITS, Manifest, SampleError, make_sample, save_dataset
from benchmark.expressions.generalized import write_absent, write_multiple
from benchmark.expressions.writer import Expression, Region, write_expressions
from benchmark.output.escaping import csv_table

logger = logging.getLogger(__name__)
ORIGINS = "origins.csv"  # image -> what it was cut from, and where
TAG_OFF = "if masks were drawn on it as it is stored, take the tag off: exiftool -Orientation= FILE"


class SceneLike(Protocol):
    """image: (H, W, 3) uint8; regions: masks of the same (H, W), those not to be written about included."""

    @property
    def image(self) -> NDArray[np.uint8]: ...

    @property
    def regions(self) -> Sequence[Region]: ...


class Origin(NamedTuple):
    """Where an image was cut from.

    scene: the file, from the root. row, column: of the first pixel, in that file as it is seen. side: of the patch
    there, pixels. crs, of a scene on a map: as text that GIS read. transform: a b c d e f of the image as it is
    written: its column and row become x = a * column + b * row + c and y = d * column + e * row + f.
    """

    scene: str
    row: int
    column: int
    side: int
    crs: str = ""
    transform: str = ""

    @classmethod
    def of(cls, image: str, window: tuple[slice, slice]) -> Origin:
        """Of a square window, its rows and columns, of an image on no map."""
        rows, columns = window
        return cls(image, rows.start, columns.start, rows.stop - rows.start)


class NamedScene(NamedTuple):
    """A scene with its place in the dataset. image_id names the file as well: letters, digits, "_" and "-".

    image: where the scene's image is already, from the root; None: it is written into the dataset. specks: regions that
    are too small to count beside the others, but are there. complete: whether everything in the image is in one of the
    two; of another nothing can be said to be absent. orientation: the tag by which its image was turned, 1: as stored.
    bands: what there is to say of those that were taken (Picture.choice). origin: what it was cut from, if it was.
    """

    image_id: str
    split: str
    scene: SceneLike
    image: str | None = None
    specks: Sequence[Region] = ()
    complete: bool = True
    orientation: int = AS_STORED
    bands: str | None = None
    origin: Origin | None = None


def write_scenes(
    folder: Path,
    scenes: Iterable[NamedScene],
    *,
    name: str,
    source: str,
    licence: str,
    citation: str,
    seed: int,
    per_region: int = 2,
    per_image: int | None = None,
    multiple: int = 0,
    absent: int = 0,
    order: bool = False,
    vocabulary: Mapping[str, Collection[str]] | Sequence[str] = (),
    require: Sequence[str] = SPLITS,
    images: Path | None = None,
) -> Manifest:
    """Write a dataset from scenes, replacing ``folder`` as a whole when everything is done.

    Sentences depend on (seed, image_id) only, so a scene keeps its own whatever else is built. per_image: at most so
    many samples of one image, chosen at random with its categories as even as they can be (None: all). order: as
    write_expressions(). require: splits that must end up with samples. A scene without samples leaves no image behind;
    how many there are is logged. Origins of images, where there are any, are written beside them (ORIGINS).
    Raises SampleError, and what the scenes raise, with ``folder`` as it was before.
    """
    rows: list[dict[str, Any]] = []
    turned: dict[str, int] = {}
    bands: dict[str, str] = {}
    origins: list[dict[str, Any]] = []
    with replaced(folder) as part:
        if images is None:
            (part / "images").mkdir()
        drawn = targets = said = 0
        for named in scenes:
            image_id, split, scene, path = named[:4]
            drawn += 1
            rng = named_rng(seed, image_id)
            expressions = write_expressions(scene.regions, rng, per_region, order)
            targets += sum(region.target for region in scene.regions)
            said += len({expression.region for expression in expressions})
            if per_image is not None:
                categories = [scene.regions[expression.region].category for expression in expressions]
                expressions = _thin(expressions, categories, per_image, rng)
            image = f"images/{image_id}.png" if path is None else path
            for number, (text, category, mask) in enumerate(
                _written(named, expressions, rng, multiple, absent, vocabulary)
            ):
                sample_id = f"{image_id}-{number:02d}"
                row = make_sample(sample_id, image_id, image, split, text, category, mask, no_target=absent > 0)
                rows.append(row)
                if named.orientation != AS_STORED:
                    turned[image] = named.orientation
                if named.bands is not None:
                    bands[image] = named.bands
            if path is None and rows and rows[-1]["image_id"] == image_id:
                _check_name(image_id)
                Image.fromarray(scene.image).save(part / image, compress_level=1)  # 1: fast
                if named.origin is not None:
                    origins.append({"image": image, **named.origin._asdict()})
        if left := drawn - len({row["image_id"] for row in rows}):
            logger.info(f"{name}: {left:,} of {drawn:,} images or patches have no sample and are left out")
        if targets > said:
            logger.info(
                f"{name}: {targets - said:,} of {targets:,} objects in images or patches have no sentence: none is "
                "true of them alone"
            )
        found = {split: sum(row["split"] == split for row in rows) for split in SPLITS}
        empty = [split for split in require if not found[split]]
        if empty:
            raise SampleError(
                f"{folder}: no samples for split {', '.join(empty)} of dataset '{name}' (found {found}); "
                "give it more scenes"
            )
        if origins:
            (part / ORIGINS).write_text(csv_table(pd.DataFrame(origins)), encoding="utf-8")
        manifest = save_dataset(
            part, pd.DataFrame(rows), name=name, source=source, licence=licence, citation=citation, images=images,
            no_target=absent > 0, turned=turned, bands=bands,
        )  # fmt: skip
    tell_read(manifest)
    return manifest


def as_turned(orientation: int) -> str:
    """What to add where an image and what was drawn on it have different sizes."""
    if orientation == AS_STORED:
        return ""
    return f" (turned by its orientation tag, {orientation}; {TAG_OFF})"


def tell_read(manifest: Manifest) -> None:
    """Log how many images of a dataset were turned, and which bands were taken of those that have others."""
    name = manifest.name
    if count := len(manifest.turned):
        logger.warning(
            f"{name}: {count:,} images or patches were turned by an orientation tag; {TAG_OFF}; "
            f"python -m experiments.audit --dataset {name} shows how masks lie"
        )
    for choice, images in manifest.bands.items():
        logger.info(f"{name}: of {len(images):,} images or patches are taken: {choice}")


def named_rng(seed: int, name: str) -> np.random.Generator:
    """The chance that belongs to a seed and a name, whatever else is built."""
    return np.random.default_rng([seed, int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")])


def _check_name(image_id: str) -> None:
    """Raise SampleError for a name that no file can have."""
    if len(f"{image_id}.png".encode()) > 255:
        raise SampleError(f"an image would be called {image_id[:80]}..., longer than a file's name can be; rename it")


def _written(
    named: NamedScene,
    expressions: Sequence[Expression],
    rng: np.random.Generator,
    multiple: int,
    absent: int,
    vocabulary: Mapping[str, Collection[str]] | Sequence[str],
) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Text, category and mask of each sample of a scene: of one region, of several, of none."""
    scene, regions = named.scene, named.scene.regions
    for expression in expressions:
        yield expression.text, regions[expression.region].category, regions[expression.region].mask
    for group in write_multiple(regions, rng, multiple):
        union = np.any([regions[k].mask for k in group.regions], axis=0)
        yield group.text, regions[group.regions[0]].category, union
    for missed in write_absent([*regions, *named.specks], vocabulary, rng, absent if named.complete else 0):
        yield missed.text, missed.category, np.zeros(scene.image.shape[:2], np.bool_)


def _thin(
    expressions: list[Expression], categories: list[str], count: int, rng: np.random.Generator
) -> list[Expression]:
    """At most ``count`` expressions in their order, chosen at random; a category waits until all others had a turn."""
    seen: Counter[str] = Counter()
    turns = []
    for k in rng.permutation(len(expressions)).tolist():
        turns.append((seen[categories[k]], k))
        seen[categories[k]] += 1
    kept = sorted(turns, key=lambda turn: turn[0])[:count]  # stable: random within a turn
    return [expressions[k] for k in sorted(k for _, k in kept)]


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """A fresh folder beside ``folder`` that takes its place when the block ends well, and vanishes when it does not.

    A SampleError or FileNotFoundError of the block names ``folder`` where it would name the one that vanished. What
    killed processes left of earlier ones is deleted, and logged.
    """
    for left in remove_leftovers(folder):
        logger.info(f"{folder.name}: removed {left}, left by a process that was killed")
    with replacing(folder) as part:
        part.mkdir()
        try:
            with held(part):
                yield part
        except (SampleError, FileNotFoundError) as error:
            if str(part) not in str(error):
                raise
            raise type(error)(str(error).replace(str(part), str(folder))) from error
