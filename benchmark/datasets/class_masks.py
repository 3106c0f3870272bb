"""Anyone's semantic masks: a folder of images and colour-coded masks; connected regions of one class become samples.

    <root>/<folder>/images/<name>.jpg       JPEG, PNG or TIFF, as benchmark/data/images/rules.py reads them
    <root>/<folder>/masks/<name>.png        one colour or value a class, PNG, TIFF or BMP; never stretched (labels.py)

``train``, ``val`` and ``test`` name the folders of each split: parts of one scene belong into one folder, so that whole
scenes are split and never their parts.

Regions: connected (8 neighbours) pixels of one class within a patch; pixels of no class (unlabeled, stray colours)
belong to nothing. A region smaller than ``speck`` is noise of the annotation and ignored, but nothing is said to be
absent that one of them could be, and nothing at all of a patch with a pixel whose colour is not listed. Which of the
others become samples: benchmark/datasets/patches.py.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy import ndimage

from benchmark.data.errors import raise_all
from benchmark.data.images import Picture, read_picture
from benchmark.data.images.raster import AS_STORED
from benchmark.data.samples import SPLITS, Manifest, SampleError
from benchmark.datasets.assemble import NamedScene, Origin, as_turned, write_scenes
from benchmark.datasets.labels import BACKGROUND, Marker, Met, by_value, read_codes, shown, to_labels
from benchmark.datasets.patches import PatchConfig, is_sample, scaled, scaled_region, windows
from benchmark.expressions.regions import pieces
from benchmark.expressions.writer import Region

HOW = "it needs {root}/{folder}/images/<name>.jpg (or .png, .tif) and {root}/{folder}/masks/<name>.png (or .tif, .bmp)"
IMAGES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")
MASKS = (".png", ".tif", ".tiff", ".bmp")  # what keeps every value as it is


class MasksConfig(PatchConfig):
    """Where the images are, which folders are in which split, and what the colours or values of the masks mean.

    classes: class -> its colour, as "#RRGGBB", or its value in masks of one band (the index, in those with a palette).
    background: colours or values of what is surely none of the classes.
    """

    train: tuple[str, ...] = ("train",)
    val: tuple[str, ...] = ("val",)
    test: tuple[str, ...] = ("test",)
    classes: dict[str, Marker] = Field(min_length=1, max_length=BACKGROUND - 1)
    background: tuple[Marker, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> MasksConfig:
        folders = [*self.train, *self.val, *self.test]
        for folder in folders:
            if Path(folder).is_absolute() or ".." in Path(folder).parts or not folder.strip():
                raise ValueError(f"{folder!r} is no folder under root; give its path from there")
        if blank := [name for name in self.classes if not name.strip()]:
            raise ValueError(f"class {blank[0]!r} has no name; sentences need one")
        twice = sorted({folder for folder in folders if folders.count(folder) > 1})
        if twice:
            raise ValueError(f"{twice} are in more than one split; what is one scene belongs into one split only")
        markers = list(self.classes.values())
        for name, marker in self.classes.items():
            if markers.count(marker) > 1:
                raise ValueError(f"class {name!r} has a {shown(marker)} that another class has too")
            if marker in self.background:
                raise ValueError(f"class {name!r} has a {shown(marker)} that is background too")
        if len({type(marker) for marker in (*markers, *self.background)}) > 1:
            raise ValueError("classes and background mix colours and whole numbers; give all as one or the other")
        return self

    def image_id(self, folder: str, stem: str) -> str:
        """How an image is called in the dataset."""
        return f"{plain(folder)}-{plain(stem)}"

    def missing(self, folder: str) -> str:
        """What to do where files are missing."""
        return HOW.format(root=self.root, folder=folder)


class Patch(NamedTuple):
    """image: (H, W, 3) uint8; regions: those of the patch, samples or not."""

    image: NDArray[np.uint8]
    regions: list[Region]


def plain(name: str) -> str:
    """A name of letters, digits, "_", "." and "-" alone."""
    return re.sub(r"[^\w.-]+", "_", name)


def build(folder: Path, config: MasksConfig) -> Manifest:
    """Cut the images of ``config`` into the dataset at ``folder``, all or nothing; the folder's name is the dataset's.

    The same config and files give the same bytes. Raises FileNotFoundError for a missing root, folder or half of a
    pair, SampleError for an image that is truncated or of another size than its mask, each naming the file and what to
    do.
    """
    name, names = folder.name, tuple(config.classes)
    return write_scenes(folder, scenes(config, name), name=name, **config.writing(), vocabulary=names)


def scenes(config: MasksConfig, dataset: str) -> Iterator[NamedScene]:
    """The patches of all images, split by split; at the end it is logged what colours were met."""
    root = Path(config.root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root} does not exist: {config.missing(config.train[0])}")
    pairs = [
        (split, name, pair) for split in SPLITS for name in getattr(config, split) for pair in find_pairs(config, name)
    ]
    names: dict[str, Path] = {}
    values = by_value(config.classes.values())
    met, faults = Met(values), list[SampleError | FileNotFoundError]()
    for split, name, (image_path, mask_path) in pairs:
        try:
            picture, (codes, known, mask_orientation) = read_picture(image_path), read_codes(mask_path, values)
            _check_pair(picture, image_path, codes.shape, mask_orientation, mask_path, config.missing(name))
        except (SampleError, FileNotFoundError) as error:
            faults.append(error)
        if faults:  # the others are only looked at
            continue
        image, orientation = picture.pixels, picture.orientation
        labels = to_labels(codes, config.classes, config.background)
        met.add(codes, labels)
        met.hide(labels, known)
        met.hide(labels, picture.known)
        image_id = config.image_id(name, image_path.stem)
        if (other := names.setdefault(image_id, image_path)) != image_path:
            raise SampleError(f"{image_path} and {other} would both be called {image_id}; rename one")
        for end, window in windows(labels.shape[0], labels.shape[1], config, image_path):
            part = labels[window]
            regions = find_regions(part, config)
            specks = find_specks(part, config, regions) if config.absent else []
            regions, specks = ([scaled_region(region, config) for region in found] for found in (regions, specks))
            where = image_path.relative_to(root).as_posix()
            path, origin = (where, None) if config.patch is None else (None, Origin.of(where, window))
            patch, complete, choice = Patch(scaled(image[window], config), regions), bool(part.all()), picture.choice
            yield NamedScene(f"{image_id}{end}", split, patch, path, specks, complete, orientation, choice, origin)
    raise_all(faults, f"files of {root} cannot be read, or are no pairs", config.missing(config.train[0]))
    met.tell(dataset, config.classes)


def _check_pair(
    picture: Picture, image: Path, shape: tuple[int, ...], mask_orientation: int, mask: Path, missing: str
) -> None:
    """Raise SampleError unless a mask, (H, W) of this shape and turned by this tag, can be that of an image."""
    height, width = picture.pixels.shape[:2]
    if mask_orientation not in (AS_STORED, picture.orientation):
        raise SampleError(
            f"{mask} has orientation tag {mask_orientation}, its image {image} {picture.orientation}: which way "
            "up is the mask? Take the tag off, exiftool -Orientation= FILE, or turn it by it"
        )
    if (height, width) != shape:
        raise SampleError(
            f"{mask} is {shape[0]}x{shape[1]} (height x width), its image {image} is "
            f"{height}x{width}{as_turned(picture.orientation)}; they are no pair: {missing}"
        )


def find_pairs(config: MasksConfig, name: str) -> list[tuple[Path, Path]]:
    """(image, mask) of each image of a folder, in order."""
    folder = Path(config.root) / name
    images, masks = _by_stem(folder / "images", IMAGES), _by_stem(folder / "masks", MASKS)
    if not images and not masks:
        raise FileNotFoundError(f"{folder} has no images: {config.missing(name)}")
    faults: list[SampleError | FileNotFoundError] = []
    for stem in sorted(images.keys() ^ masks.keys()):
        lone = images.get(stem) or masks[stem]
        other = folder / ("masks" if stem in images else "images") / stem
        refused = [path.name for path in _visible(other.parent) if path.stem == stem]
        there = f" ({refused[0]} is of a kind that changes labels or is not read)" if refused else ""
        fault = f"{other}.* does not exist{there}, the other half of its pair, {lone}, does: {config.missing(name)}"
        faults.append(FileNotFoundError(fault))
    raise_all(faults, f"images or masks of {folder} have no other half", config.missing(name))
    return [(images[stem], masks[stem]) for stem in sorted(images)]


def _visible(folder: Path) -> list[Path]:
    """A folder's files, but for those that a Mac lays beside others (._NAME, .DS_Store)."""
    return [path for path in sorted(folder.glob("*")) if not path.name.startswith(".")]


def _by_stem(folder: Path, suffixes: Collection[str]) -> dict[str, Path]:
    """The files of a folder by their names less suffixes, which may be in capitals; an accent is a part of its letter,
    also where a Mac writes it apart."""
    found: dict[str, Path] = {}
    for path in _visible(folder):
        stem = unicodedata.normalize("NFC", path.stem)
        if path.suffix.lower() in suffixes and (other := found.setdefault(stem, path)) != path:
            raise SampleError(f"{other} and {path} are two files of one name, {stem}; keep one of them")
    return found


def find_regions(labels: NDArray[np.uint8], config: MasksConfig) -> list[Region]:
    """The regions of a window of labels, by class and then from top to bottom."""
    regions = []
    for index, category in enumerate(config.classes, start=1):
        parts, _ = ndimage.label(labels == index, structure=np.ones((3, 3)))
        sizes = np.bincount(parts.ravel())
        for part in np.flatnonzero(sizes >= max(1.0, config.speck * labels.size)).tolist():
            if part > 0:  # 0: the other classes
                mask = parts == part
                regions.append(Region(mask, category, target=is_sample(mask, config)))
    return regions


def find_specks(labels: NDArray[np.uint8], config: MasksConfig, regions: Sequence[Region]) -> list[Region]:
    """The pixels of each class that are in none of a window's ``regions``: together and, as a crowd, in pieces."""
    specks = []
    for index, category in enumerate(config.classes, start=1):
        left = labels == index
        for region in regions:
            if region.category == category:
                left &= ~region.mask
        if left.any():
            together = Region(left, category, target=False)
            specks += [together, *pieces(together)]
    return specks
