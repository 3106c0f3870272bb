"""Anyone's semantic masks: a folder of images and colour-coded masks; connected regions of one class become samples.

    <root>/<folder>/images/<name>.jpg       JPEG, PNG or TIFF, as benchmark/images.py reads them
    <root>/<folder>/masks/<name>.png        one colour a class; palette and RGB files read the same

``train``, ``val`` and ``test`` name the folders of each split: parts of one scene belong into one folder, so that whole
scenes are split and never their parts.

Regions: connected (8 neighbours) pixels of one class within a patch; pixels of no class (unlabeled, stray colours)
belong to nothing. A region smaller than ``speck`` is noise of the annotation: ignored altogether. Which of the others
become samples: benchmark/datasets/patches.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, model_validator
from scipy import ndimage

from benchmark.datasets.assemble import NamedScene, write_scenes
from benchmark.datasets.patches import PatchConfig, is_sample, windows
from benchmark.expressions import Region
from benchmark.images import read_image
from benchmark.samples import SPLITS, Manifest, SampleError

HOW = "it needs {root}/{folder}/images/<name>.jpg (or .png, .tif) and {root}/{folder}/masks/<name>.png"
IMAGES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")


def _colour(value: object) -> object:
    """ "#3C1098" -> 0x3C1098; everything else is left to be refused."""
    if isinstance(value, str) and re.fullmatch(r"#[0-9A-Fa-f]{6}", value):
        return int(value[1:], 16)
    if isinstance(value, str):
        raise ValueError('write a colour as "#3C1098", with quotes')
    return value


Colour = Annotated[int, BeforeValidator(_colour), Field(ge=0, le=0xFFFFFF)]


class MasksConfig(PatchConfig):
    """Where the images are, which folders are in which split, and what the colours of the masks mean.

    classes: class -> its colour, as "#RRGGBB".
    """

    train: tuple[str, ...] = ("train",)
    val: tuple[str, ...] = ("val",)
    test: tuple[str, ...] = ("test",)
    classes: dict[str, Colour] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> MasksConfig:
        folders = [*self.train, *self.val, *self.test]
        twice = sorted({folder for folder in folders if folders.count(folder) > 1})
        if twice:
            raise ValueError(f"{twice} are in more than one split; what is one scene belongs into one split only")
        colours = list(self.classes.values())
        for name, colour in self.classes.items():
            if colours.count(colour) > 1:
                raise ValueError(f"class {name!r} has a colour #{colour:06X} that another class has too")
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
    return write_scenes(folder, scenes(config), name=folder.name, **config.writing(), vocabulary=tuple(config.classes))


def scenes(config: MasksConfig) -> Iterator[NamedScene]:
    """The patches of all images, split by split."""
    root = Path(config.root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root} does not exist: {config.missing(config.train[0])}")
    pairs = [
        (split, name, pair) for split in SPLITS for name in getattr(config, split) for pair in find_pairs(config, name)
    ]
    names: dict[str, Path] = {}
    for split, name, (image_path, mask_path) in pairs:
        image, labels = read_image(image_path), read_labels(mask_path, config.classes)
        if image.shape[:2] != labels.shape:
            raise SampleError(
                f"{mask_path} is {labels.shape[0]}x{labels.shape[1]} (height x width), its image {image_path} is "
                f"{image.shape[0]}x{image.shape[1]}; they are no pair: {config.missing(name)}"
            )
        image_id = config.image_id(name, image_path.stem)
        if (other := names.setdefault(image_id, image_path)) != image_path:
            raise SampleError(f"{image_path} and {other} would both be called {image_id}; rename one")
        for end, window in windows(labels.shape[0], labels.shape[1], config, image_path):
            regions = find_regions(labels[window], config)
            path = image_path.relative_to(root).as_posix() if config.patch is None else None
            yield NamedScene(f"{image_id}{end}", split, Patch(image[window], regions), path)


def find_pairs(config: MasksConfig, name: str) -> list[tuple[Path, Path]]:
    """(image, mask) of each image of a folder, in order."""
    folder = Path(config.root) / name
    images = {path.stem: path for path in sorted((folder / "images").glob("*")) if path.suffix.lower() in IMAGES}
    masks = {path.stem: path for path in sorted((folder / "masks").glob("*.png"))}
    if not images and not masks:
        raise FileNotFoundError(f"{folder} has no images: {config.missing(name)}")
    for stem in sorted(images.keys() ^ masks.keys()):
        lone = images.get(stem) or masks[stem]
        other = folder / ("masks" if stem in images else "images") / stem
        raise FileNotFoundError(
            f"{other}.* does not exist, the other half of its pair, {lone}, does: {config.missing(name)}"
        )
    return [(images[stem], masks[stem]) for stem in sorted(images)]


def read_labels(path: Path, classes: Mapping[str, int]) -> NDArray[np.uint8]:
    """(H, W): 1 + the index in ``classes``, 0 for pixels of no class. Palette and RGB files read the same."""
    red, green, blue = np.moveaxis(read_image(path).astype(np.int32), -1, 0)
    colours = (red << 16) | (green << 8) | blue
    labels = np.zeros(colours.shape, np.uint8)
    for index, colour in enumerate(classes.values(), start=1):
        labels[colours == colour] = index
    return labels


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
