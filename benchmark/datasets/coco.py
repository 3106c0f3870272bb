"""Anyone's COCO instance files: instances become samples, with sentences by the expression writer.

    <root>/<annotations>        instances JSON of a split; "{split}" in the setting stands for train, val or test
    <root>/<images>/<file_name>

Polygons, run-length codes and lists of codes are read (benchmark/datasets/instances.py). A crowd (``iscrowd``) is no
single thing: it becomes no sample, but no sentence may be true of it or of a part of it (crowds: instances takes each
for one thing). What has a box and no mask is an error (boxes: leave_out: no sentence may be true of it). What is left
out is counted, what is listed twice is refused (coco_rules.py). Categories are read as words:
"storage_tank" is a storage tank. Images are cut into patches, or into windows around their instances (around:
benchmark/datasets/object_windows.py), which may be scaled (resize), or left whole and where they are (patch: null); an
instance that a border cuts, or a crumb, is judged as benchmark/datasets/patches.py says, or is no sample (whole).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt, model_validator

from benchmark.data.errors import NAMED, raise_all
from benchmark.data.images import Picture, read_picture
from benchmark.data.rle import mask_bbox
from benchmark.data.samples import SPLITS, Manifest, SampleError
from benchmark.datasets import coco_rules
from benchmark.datasets.assemble import NamedScene, Origin, as_turned, named_rng, write_scenes
from benchmark.datasets.class_masks import Patch, plain
from benchmark.datasets.coco_rules import words
from benchmark.datasets.doubles import Doubles, Masks, find_doubles, told
from benchmark.datasets.instances import (
    Annotation,
    ImageEntry,
    Instances,
    instance_mask,
    polygon_mask,
    read_instances,
)
from benchmark.datasets.object_windows import lay_windows
from benchmark.datasets.patches import InstancePatchConfig, Window, instance_regions, scaled, windows
from benchmark.expressions.writer import Region

logger = logging.getLogger(__name__)


class CocoConfig(InstancePatchConfig):
    """Where the files are, and how windows are laid around instances.

    around: sides of such windows, pixels, instead of patches everywhere; windows: at most so many an image. crowds:
    whether ``iscrowd`` means many objects or, as CVAT writes it, one. boxes: what to do with annotations without a
    mask.
    """

    annotations: str = "annotations/instances_{split}.json"
    images: str = "images"
    around: tuple[Annotated[int, Field(ge=32)], ...] = ()
    windows: PositiveInt = 3
    crowds: Literal["groups", "instances"] = "groups"
    boxes: Literal["refuse", "leave_out"] = "refuse"

    @model_validator(mode="after")
    def _check_places(self) -> CocoConfig:
        for key in ("annotations", "images"):
            value = getattr(self, key)
            if set(re.findall(r"\{[^}]*\}?", value)) - {"{split}"} or "}" in value.replace("{split}", ""):
                raise ValueError(f"{key} {value!r} has braces that are not {{split}}; no other is replaced")
            if Path(value).is_absolute() or ".." in Path(value).parts:
                raise ValueError(f"{key} {value!r} is no path from root on")
        return self

    def unmet(self, dataset: str) -> list[str]:
        """What fetching would find missing."""
        if not Path(self.root).is_dir():
            return super().unmet(dataset)
        missing = [path for split in SPLITS if not (path := _annotations(self, split)).is_file()]
        return [f"annotations: {path} does not exist; lay it there, or set it to where it is" for path in missing]

    @model_validator(mode="after")
    def _check_windows(self) -> CocoConfig:
        if self.patch is None and self.around:
            raise ValueError("around makes new images, patch: null leaves them as they are; set one of them")
        if len(set(self.around)) > 1 and self.resize is None:
            raise ValueError(f"around has several sides, {self.around}; set resize, so that images have one size")
        return self


class Instance(NamedTuple):
    """An instance in its whole image: its mask within its box, which begins at (y, x). drawn: whether it has a mask; of
    others the crop is their box."""

    name: str
    crowd: bool
    y: int
    x: int
    crop: NDArray[np.bool_]
    drawn: bool = True


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
    names = coco_rules.vocabulary(_placed(config, files), folder.name, config.absent > 0)
    return write_scenes(
        folder, scenes(config, files, folder.name), name=folder.name, **config.writing(), vocabulary=names
    )


def scenes(config: CocoConfig, files: dict[str, Instances], dataset: str) -> Iterator[NamedScene]:
    """The patches of all images, split by split; at the end it is logged what became no sample."""
    names: dict[str, str] = {}
    faults: list[SampleError | FileNotFoundError] = []
    counts = dict.fromkeys(("instances", "samples", "crowds", "boxes"), 0)
    places = _check(config, files, dataset)
    coco_rules.tell_names(_placed(config, files), dataset)
    for split, file in files.items():
        path = _annotations(config, split)
        by_image: dict[int, list[Annotation]] = {image_id: [] for image_id in file.images}
        for annotation in file.annotations.values():
            by_image[annotation.image_id].append(annotation)
        again: list[str] = []
        alike: list[str] = []
        for image in file.images.values():
            where = places[split, image.id]
            inside = Path(where).relative_to(config.images.format(split=split))
            name = plain(inside.with_suffix("").as_posix().replace("/", "-"))
            if (other := names.setdefault(name, where)) != where:
                raise SampleError(f"{path}: images {where} and {other} would both be called {name}; rename one")
            try:
                picture = read_picture(Path(config.root) / where)
                _check_size(picture, image, where, config)
            except SampleError as error:
                faults.append(SampleError(f"{path}: image {image.id}: {error}"))
            except FileNotFoundError as error:
                near = coco_rules.spelt_otherwise(Path(config.root) / where) if len(faults) < NAMED else ""
                hint = f"datasets.{dataset}.root and images (now {config.images!r})"
                faults.append(FileNotFoundError(f"{path}: image {image.id}: {error}{near}; lay it there or set {hint}"))
            if faults:  # the others are only looked at
                continue
            here = by_image[image.id]
            found = [_instance(annotation, image, file, path, config) for annotation in here]
            doubles = _find_doubles(found)
            again += [f"{here[place].id} as {here[first].id}" for place, first in doubles.again.items()]
            alike += [f"{here[other].id} as {here[one].id}" for one, other in doubles.alike]
            found = [instance for place, instance in enumerate(found) if place not in doubles.again]
            written: set[int] = set()
            yield from _patches(config, split, where, name, picture, found, written)
            counts["instances"] += len(found)
            counts["samples"] += len(written)
            counts["crowds"] += sum(instance.crowd for instance in found)
            counts["boxes"] += sum(not instance.drawn for instance in found)
        for line in told(again, alike, len(file.annotations), "annotations"):
            logger.warning(f"{dataset}: {path}: {line}")
    raise_all(
        faults,
        f"images of {config.root} cannot be read, or have another size",
        f"see datasets.{dataset} in params.yaml",
    )
    coco_rules.tell(dataset, counts)


def _placed(config: CocoConfig, files: dict[str, Instances]) -> coco_rules.Files:
    return {split: (_annotations(config, split), file) for split, file in files.items()}


def _check(config: CocoConfig, files: dict[str, Instances], dataset: str) -> dict[tuple[str, int], str]:
    """Where each image of each split lies, by its id. Raises SampleError for what the files say twice or leave out."""
    places: dict[tuple[str, int], str] = {}
    listed: dict[str, list[tuple[str, Path, int]]] = {}
    placed = _placed(config, files)
    for split, (path, file) in placed.items():
        for annotation in file.annotations.values():
            if annotation.image_id not in file.images or annotation.category_id not in file.categories:
                raise SampleError(
                    f"{path}: annotation {annotation.id} is of image {annotation.image_id} and category "
                    f"{annotation.category_id}, and the file lacks one of them; correct it"
                )
        for image in file.images.values():
            where = coco_rules.place(Path(config.root), config.images.format(split=split), image, path)
            places[split, image.id] = where
            listed.setdefault(where, []).append((split, path, image.id))
    coco_rules.check_listed_once(listed)
    coco_rules.check_boxes(placed, dataset, config.boxes == "leave_out")
    if config.crowds == "groups":
        coco_rules.check_crowds(placed, dataset)
    return places


def _annotations(config: CocoConfig, split: str) -> Path:
    return Path(config.root) / config.annotations.format(split=split)


def _patches(
    config: CocoConfig,
    split: str,
    where: str,
    name: str,
    picture: Picture,
    instances: list[Instance],
    written: set[int],
) -> Iterator[NamedScene]:
    """The patches of one image, each with the instances that reach into it; ``written`` gets the places of those that
    are a sample of one."""
    pixels, known = picture.pixels, picture.known
    for end, window in _windows(config, name, pixels, instances, Path(config.root) / where):
        regions = []
        for place, instance in enumerate(instances):
            reaching = _regions(instance, window, config, None if known is None else known[window])
            regions += reaching
            if any(region.target for region in reaching):
                written.add(place)
        patch = Patch(scaled(pixels[window], config), regions)
        path, origin = (where, None) if config.patch is None else (None, Origin.of(where, window))
        tag, choice = picture.orientation, picture.choice
        yield NamedScene(f"{name}{end}", split, patch, path, orientation=tag, bands=choice, origin=origin)


def _windows(
    config: CocoConfig, name: str, pixels: NDArray[np.uint8], instances: Sequence[Instance], path: Path
) -> Iterator[tuple[str, Window]]:
    """The end of each window's name, and its rows and columns."""
    height, width = pixels.shape[:2]
    if not config.around:
        yield from windows(height, width, config, path)
        return
    single = [instance for instance in instances if instance.drawn and not instance.crowd]
    boxes = [(i.x, i.y, i.x + i.crop.shape[1], i.y + i.crop.shape[0]) for i in single]
    areas = [np.count_nonzero(instance.crop) for instance in single]
    shares, rng = (config.min_area, config.max_area), named_rng(config.seed, name)
    for y, x, side in lay_windows(
        height, width, np.array(boxes), np.array(areas), config.around, config.windows, shares, rng
    ):
        yield f"-y{y:04d}-x{x:04d}-s{side}", (slice(y, y + side), slice(x, x + side))


def _check_size(picture: Picture, image: ImageEntry, where: str, config: CocoConfig) -> None:
    height, width = picture.pixels.shape[:2]
    if (height, width) != (image.height, image.width):
        raise SampleError(
            f"said to be {image.height}x{image.width} (height x width), {config.root}/{where} is "
            f"{height}x{width}{as_turned(picture.orientation)}; correct the file"
        )


def _find_doubles(instances: Sequence[Instance]) -> Doubles:
    """Instances of an image that are drawn twice."""
    boxes = np.array([(i.x, i.y, i.x + i.crop.shape[1], i.y + i.crop.shape[0]) for i in instances], np.int64)

    def masks(one: int, other: int) -> list[Masks]:
        x1, y1 = boxes[[one, other], :2].min(axis=0)
        x2, y2 = boxes[[one, other], 2:].max(axis=0)
        placed = []
        for instance in (instances[one], instances[other]):
            around = (instance.y - y1, y2 - instance.y - instance.crop.shape[0])
            beside = (instance.x - x1, x2 - instance.x - instance.crop.shape[1])
            placed.append(np.pad(instance.crop, (around, beside)))
        return [(placed[0], placed[1])]

    return find_doubles(boxes, [(instance.name, instance.drawn) for instance in instances], masks)


def _instance(annotation: Annotation, image: ImageEntry, file: Instances, path: Path, config: CocoConfig) -> Instance:
    drawn = bool(annotation.segmentation)
    if drawn:
        mask = instance_mask(annotation, image.height, image.width, path)
    else:
        where = f"{path}: annotation {annotation.id}"
        mask = polygon_mask(coco_rules.box_polygon(annotation), image.height, image.width, where)
    if not mask.any():
        raise SampleError(f"{path}: annotation {annotation.id} covers no pixel; leave it out or correct it")
    x1, y1, x2, y2 = mask_bbox(mask)
    crowd = annotation.iscrowd and drawn and config.crowds == "groups"
    category = words(file.categories[annotation.category_id].name)
    return Instance(category, crowd, y1, x1, mask[y1:y2, x1:x2].copy(), drawn)


def _regions(instance: Instance, window: Window, config: CocoConfig, known: NDArray[np.bool_] | None) -> list[Region]:
    """What of an instance lies in a window, scaled: nothing, a region, or of a crowd the whole and its pieces.

    known: which pixels of the window have data; what lies elsewhere is cut off as by a border.
    """
    rows, columns = window
    height, width = instance.crop.shape
    top, bottom = max(rows.start, instance.y), min(rows.stop, instance.y + height)
    left, right = max(columns.start, instance.x), min(columns.stop, instance.x + width)
    if top >= bottom or left >= right:
        return []
    mask = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.bool_)
    part = instance.crop[top - instance.y : bottom - instance.y, left - instance.x : right - instance.x]
    mask[top - rows.start : bottom - rows.start, left - columns.start : right - columns.start] = part
    if known is not None:
        mask &= known
    allowed = instance.drawn and (not config.whole or np.count_nonzero(mask) == np.count_nonzero(instance.crop))
    return instance_regions(mask, instance.name, config, allowed=allowed, crowd=instance.crowd)
