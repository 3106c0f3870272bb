"""Anyone's COCO instance files: instances become samples, with sentences by the expression writer.

    <root>/<annotations>        instances JSON of a split; "{split}" in the setting stands for train, val or test
    <root>/<images>/<file_name>

Polygons, run-length codes and lists of codes are read (benchmark/datasets/instances.py). A crowd (``iscrowd``) is no
single thing: it becomes no sample, but no sentence may be true of it or of a part of it. Categories are read as words:
"storage_tank" is a storage tank. Images are cut into patches, or into windows around their instances (around:
benchmark/datasets/object_windows.py), which may be scaled (resize), or left whole and where they are (patch: null); an
instance that a border cuts, or a crumb, is judged as benchmark/datasets/patches.py says, or is no sample (whole).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt, model_validator

from benchmark.data.errors import raise_all
from benchmark.data.images import read_image
from benchmark.data.rle import mask_bbox
from benchmark.data.samples import SPLITS, Manifest, SampleError
from benchmark.datasets.assemble import NamedScene, named_rng, write_scenes
from benchmark.datasets.class_masks import Patch, plain
from benchmark.datasets.instances import Annotation, ImageEntry, Instances, instance_mask, read_instances
from benchmark.datasets.object_windows import lay_windows
from benchmark.datasets.patches import PatchConfig, Window, is_sample, scale_image, scale_mask, windows
from benchmark.expressions.regions import pieces
from benchmark.expressions.writer import Region

logger = logging.getLogger(__name__)


class CocoConfig(PatchConfig):
    """Where the files are, and how windows are laid around instances.

    around: sides of such windows, pixels, instead of patches everywhere; windows: at most so many an image. resize: the
    side that patches or windows are scaled to, pixels; every share (min_area, min_width ...) is of the same window
    before and after. whole: whether an instance must be in the window as a whole to become a sample.
    """

    annotations: str = "annotations/instances_{split}.json"
    images: str = "images"
    around: tuple[Annotated[int, Field(ge=32)], ...] = ()
    windows: PositiveInt = 3
    resize: int | None = Field(default=None, ge=32)
    whole: bool = False

    @model_validator(mode="after")
    def _check_windows(self) -> CocoConfig:
        if self.patch is None and (self.around or self.resize):
            raise ValueError("around and resize make new images, patch: null leaves them as they are; set one of them")
        if len(set(self.around)) > 1 and self.resize is None:
            raise ValueError(f"around has several sides, {self.around}; set resize, so that images have one size")
        return self


class Instance(NamedTuple):
    """An instance in its whole image: its mask within its box, which begins at (y, x)."""

    name: str
    crowd: bool
    y: int
    x: int
    crop: NDArray[np.bool_]


def build(folder: Path, config: CocoConfig) -> Manifest:
    """Write the dataset at ``folder``, all or nothing; the folder's name is the dataset's.

    Raises FileNotFoundError or SampleError, naming file, entry, value and remedy.
    """
    files = {}
    for split in SPLITS:
        if not (path := _annotations(config, split)).is_file():
            raise FileNotFoundError(
                f"{path} does not exist; set datasets.{folder.name}.root (and annotations, now {config.annotations!r}) "
                "in params.yaml to where the instance files of train, val and test are"
            )
        files[split] = read_instances(path)
    names = sorted({words(category.name) for file in files.values() for category in file.categories.values()})
    return write_scenes(
        folder, scenes(config, files, folder.name), name=folder.name, **config.writing(), vocabulary=names
    )


def scenes(config: CocoConfig, files: dict[str, Instances], dataset: str) -> Iterator[NamedScene]:
    """The patches of all images, split by split; at the end it is logged what became no sample."""
    names: dict[str, str] = {}
    faults: list[SampleError | FileNotFoundError] = []
    instances, samples, crowds = 0, 0, 0
    for split, file in files.items():
        path = _annotations(config, split)
        by_image: dict[int, list[Annotation]] = {image_id: [] for image_id in file.images}
        for annotation in file.annotations.values():
            if annotation.image_id not in by_image or annotation.category_id not in file.categories:
                raise SampleError(
                    f"{path}: annotation {annotation.id} is of image {annotation.image_id} and category "
                    f"{annotation.category_id}, and the file lacks one of them; correct it"
                )
            by_image[annotation.image_id].append(annotation)
        for image in file.images.values():
            where = (Path(config.images.format(split=split)) / image.file_name).as_posix()
            name = plain(Path(image.file_name).with_suffix("").as_posix().replace("/", "-"))
            if (other := names.setdefault(name, where)) != where:
                raise SampleError(f"{path}: images {where} and {other} would both be called {name}; rename one")
            try:
                pixels = read_image(Path(config.root) / where)
            except SampleError as error:
                faults.append(SampleError(f"{path}: image {image.id}: {error}"))
            except FileNotFoundError as error:
                hint = f"datasets.{dataset}.root and images (now {config.images!r})"
                faults.append(FileNotFoundError(f"{path}: image {image.id}: {error}; lay it there or set {hint}"))
            if faults:  # the others are only looked at
                continue
            _check_size(pixels, image, path, where, config)
            found = [_instance(annotation, image, file, path) for annotation in by_image[image.id]]
            written: set[int] = set()
            yield from _patches(config, split, where, name, pixels, found, written)
            instances, samples = instances + len(found), samples + len(written)
            crowds += sum(instance.crowd for instance in found)
    raise_all(faults, f"images of {config.root} cannot be read", f"see datasets.{dataset} in params.yaml")
    if left := instances - crowds - samples:
        logger.info(
            f"{dataset}: {left:,} of {instances:,} instances are no sample of any patch, being too small, too large or "
            f"slivers (min_area, max_area, min_width, min_reach), and {crowds:,} are crowds: they have no sentence"
        )


def words(name: str) -> str:
    """A category as it is read: "Storage_Tank" is "storage tank"."""
    return " ".join(name.replace("_", " ").replace("-", " ").lower().split())


def _annotations(config: CocoConfig, split: str) -> Path:
    return Path(config.root) / config.annotations.format(split=split)


def _patches(
    config: CocoConfig,
    split: str,
    where: str,
    name: str,
    pixels: NDArray[np.uint8],
    instances: list[Instance],
    written: set[int],
) -> Iterator[NamedScene]:
    """The patches of one image, each with the instances that reach into it; ``written`` gets the places of those that
    are a sample of one."""
    for end, window in _windows(config, name, pixels, instances, Path(config.root) / where):
        regions = []
        for place, instance in enumerate(instances):
            reaching = _regions(instance, window, config)
            regions += reaching
            if any(region.target for region in reaching):
                written.add(place)
        image = pixels[window] if config.resize is None else scale_image(pixels[window], config.resize)
        yield NamedScene(f"{name}{end}", split, Patch(image, regions), where if config.patch is None else None)


def _windows(
    config: CocoConfig, name: str, pixels: NDArray[np.uint8], instances: Sequence[Instance], path: Path
) -> Iterator[tuple[str, Window]]:
    """The end of each window's name, and its rows and columns."""
    height, width = pixels.shape[:2]
    if not config.around:
        yield from windows(height, width, config, path)
        return
    single = [instance for instance in instances if not instance.crowd]
    boxes = [(i.x, i.y, i.x + i.crop.shape[1], i.y + i.crop.shape[0]) for i in single]
    areas = [np.count_nonzero(instance.crop) for instance in single]
    shares, rng = (config.min_area, config.max_area), named_rng(config.seed, name)
    for y, x, side in lay_windows(
        height, width, np.array(boxes), np.array(areas), config.around, config.windows, shares, rng
    ):
        yield f"-y{y:04d}-x{x:04d}-s{side}", (slice(y, y + side), slice(x, x + side))


def _check_size(pixels: NDArray[np.uint8], image: ImageEntry, path: Path, where: str, config: CocoConfig) -> None:
    if pixels.shape[:2] != (image.height, image.width):
        raise SampleError(
            f"{path}: image {image.id} is {image.height}x{image.width} (height x width), {config.root}/{where} is "
            f"{pixels.shape[0]}x{pixels.shape[1]}; correct the file"
        )


def _instance(annotation: Annotation, image: ImageEntry, file: Instances, path: Path) -> Instance:
    mask = instance_mask(annotation, image.height, image.width, path)
    if not mask.any():
        raise SampleError(f"{path}: annotation {annotation.id} covers no pixel; leave it out or correct it")
    x1, y1, x2, y2 = mask_bbox(mask)
    category = words(file.categories[annotation.category_id].name)
    return Instance(category, annotation.iscrowd, y1, x1, mask[y1:y2, x1:x2].copy())


def _regions(instance: Instance, window: Window, config: CocoConfig) -> list[Region]:
    """What of an instance lies in a window, scaled: nothing, a region, or of a crowd the whole and its pieces."""
    rows, columns = window
    height, width = instance.crop.shape
    top, bottom = max(rows.start, instance.y), min(rows.stop, instance.y + height)
    left, right = max(columns.start, instance.x), min(columns.stop, instance.x + width)
    if top >= bottom or left >= right:
        return []
    mask = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.bool_)
    part = instance.crop[top - instance.y : bottom - instance.y, left - instance.x : right - instance.x]
    mask[top - rows.start : bottom - rows.start, left - columns.start : right - columns.start] = part
    if not mask.any():
        return []
    allowed = not config.whole or np.count_nonzero(part) == np.count_nonzero(instance.crop)
    if config.resize is not None:
        mask = scale_mask(mask, config.resize)
    if instance.crowd:
        crowd = Region(mask, instance.name, target=False)
        return [crowd, *pieces(crowd)]
    return [Region(mask, instance.name, target=allowed and is_sample(mask, config))]
