"""Anyone's COCO instance files: instances become samples, with sentences by the expression writer.

    <root>/<annotations>        instances JSON of a split; "{split}" in the setting stands for train, val or test
    <root>/<images>/<file_name>

Polygons, run-length codes and lists of codes are read (benchmark/datasets/instances.py). A crowd (``iscrowd``) is no
single thing: it becomes no sample, but no sentence may be true of it or of a part of it. Categories are read as words:
"storage_tank" is a storage tank. Images are cut into patches, or left whole and where they are (patch: null); an
instance that a border cuts, or a crumb, is judged as benchmark/datasets/patches.py says.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.data.errors import raise_all
from benchmark.data.images import read_image
from benchmark.data.rle import mask_bbox
from benchmark.data.samples import SPLITS, Manifest, SampleError
from benchmark.datasets.assemble import NamedScene, write_scenes
from benchmark.datasets.class_masks import Patch, plain
from benchmark.datasets.instances import Annotation, ImageEntry, Instances, instance_mask, read_instances
from benchmark.datasets.patches import PatchConfig, Window, is_sample, windows
from benchmark.expressions.regions import pieces
from benchmark.expressions.writer import Region

logger = logging.getLogger(__name__)


class CocoConfig(PatchConfig):
    """Where the files are."""

    annotations: str = "annotations/instances_{split}.json"
    images: str = "images"


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
    height, width = pixels.shape[:2]
    for end, window in windows(height, width, config, Path(config.root) / where):
        regions = []
        for place, instance in enumerate(instances):
            reaching = _regions(instance, window, config)
            regions += reaching
            if any(region.target for region in reaching):
                written.add(place)
        yield NamedScene(f"{name}{end}", split, Patch(pixels[window], regions), where if config.patch is None else None)


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


def _regions(instance: Instance, window: Window, config: PatchConfig) -> list[Region]:
    """What of an instance lies in a window: nothing, a region, or of a crowd the whole and its pieces."""
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
    if instance.crowd:
        crowd = Region(mask, instance.name, target=False)
        return [crowd, *pieces(crowd)]
    return [Region(mask, instance.name, target=is_sample(mask, config))]
