"""What a row of the table of samples must be, checked once."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmark.data.errors import SampleError, raise_all
from benchmark.data.fitting import LIMIT, Fit, is_near
from benchmark.data.images import Picture, read_picture
from benchmark.data.images.raster import AS_STORED
from benchmark.data.rle import decode_mask, mask_bbox

SPLITS = ("train", "val", "test")
SCHEMA = pa.schema(
    [
        pa.field("sample_id", pa.string(), nullable=False),
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("image", pa.string(), nullable=False),  # path from where the images are, "/" between its parts
        pa.field("height", pa.int64(), nullable=False),
        pa.field("width", pa.int64(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("expression", pa.string(), nullable=False),
        pa.field("category", pa.string()),
        pa.field("mask", pa.string(), nullable=False),  # COCO compressed RLE counts
        pa.field("mask_area", pa.int64(), nullable=False),
        pa.field("bbox_xyxy", pa.list_(pa.int64(), 4), nullable=False),
    ]
)
COLUMNS: tuple[str, ...] = tuple(SCHEMA.names)
TABLE = "samples.parquet"


class Checked(NamedTuple):
    """What was seen of the images, by path: the SHA-256 of each one's pixels, which are resized to their rows, which
    are turned and by which tag, and what there is to say of the bands that are taken of them (Picture.choice)."""

    digests: dict[str, str]
    fitted: dict[str, Fit]
    turned: dict[str, int]
    bands: dict[str, str]


def validate_samples(
    samples: pd.DataFrame, folder: Path, images: Path | None = None, no_target: bool = False, fit: bool = False
) -> Checked:
    """Check every row against the contract and its image under ``images`` (None: under ``folder``).

    no_target: whether a mask may be empty, for an expression of something that is not there. fit: whether an image may
    differ a little from its row's size and is resized wherever it is read (fitting.py).

    Raises SampleError (FileNotFoundError for missing images), naming file, row, value and remedy; images that cannot be
    read, or have another size, are named together.
    """
    check_columns(samples, folder)
    images = folder if images is None else images
    seen: dict[str, int] = {}
    frames: dict[str, tuple[str, str, str, int]] = {}
    sizes: dict[str, tuple[int, int] | None] = {}  # None: it cannot be read
    faults: list[SampleError | FileNotFoundError] = []
    checked = Checked({}, {}, {}, {})
    wanted: dict[str, tuple[int, int]] = {}  # as an image's first row says
    for row, sample in enumerate(samples.to_dict("records")):
        where = f"{folder / TABLE}: row {row} (sample_id '{sample['sample_id']}')"
        _check_words(sample, where)
        if sample["sample_id"] in seen:
            raise SampleError(
                f"{where}: row {seen[sample['sample_id']]} has the same sample_id; give every sample its own"
            )
        seen[sample["sample_id"]] = row
        image, split = sample["image"], sample["split"]
        other = frames.setdefault(sample["image_id"], (image, split, sample["sample_id"], row))
        if other[:2] != (image, split):
            raise SampleError(
                f"{where}: image_id '{sample['image_id']}' is image '{image}' of split '{split}' here, "
                f"but image '{other[0]}' of split '{other[1]}' in row {other[3]}; "
                "an image belongs to one file and one split"
            )
        if image not in sizes:
            if Path(image).is_absolute() or ".." in Path(image).parts:
                raise SampleError(f"{where}: image path '{image}' leaves the dataset; give it relative to {images}")
            sizes[image] = None
            try:
                picture = _read_row_image(image, images, where)
            except (SampleError, FileNotFoundError) as error:
                faults.append(error)
            else:
                sizes[image] = picture.pixels.shape[:2]
                _note(picture, image, checked)
        if fault := _size_fault(sample, sizes[image], wanted, fit):
            faults.append(SampleError(f"{where}: {images / image} {fault}"))
            sizes[image] = None
        elif (size := sizes[image]) is not None and size != wanted[image]:
            checked.fitted[image] = Fit(found=size, wanted=wanted[image])
        _check_mask(sample, where, no_target)
    raise_all(faults, f"images of {images} cannot be read or have another size", "fetch or build the dataset again")
    return checked


def _size_fault(
    sample: Mapping[Hashable, Any], size: tuple[int, int] | None, wanted: dict[str, tuple[int, int]], fit: bool
) -> str:
    """What is wrong with the size of a row's image, if anything; ``wanted`` learns what each image's first row says."""
    if size is None:
        return ""
    said = (int(sample["height"]), int(sample["width"]))
    first = wanted.setdefault(sample["image"], said)
    if size != said and not (fit and is_near(size, said)):
        remedy = f"more than {LIMIT:.0%} apart: exclude the sample" if fit else "a sample has its image's own size"
        return f"is {size[0]}x{size[1]} (height x width), the row says {said[0]}x{said[1]}; {remedy}"
    if first != said:
        return (
            f"is to be {said[0]}x{said[1]} (height x width), and {first[0]}x{first[1]} by an earlier row; an image has "
            "one size: correct the masks, or exclude the sample"
        )
    return ""


def check_columns(samples: pd.DataFrame, folder: Path) -> None:
    """Raise SampleError unless the table has exactly COLUMNS, and rows."""
    missing, unknown = [c for c in COLUMNS if c not in samples], [c for c in samples.columns if c not in COLUMNS]
    if missing or unknown:
        raise SampleError(
            f"{folder / TABLE}: missing columns {missing}, unknown columns {unknown}; "
            f"the table has exactly {list(COLUMNS)}"
        )
    if samples.empty:
        raise SampleError(f"{folder / TABLE}: the table has no rows; check what the dataset was built from")


def _check_words(sample: Mapping[Hashable, Any], where: str) -> None:
    for column in ("sample_id", "image_id", "image", "expression", "mask"):
        value = sample[column]
        if not isinstance(value, str) or not value.strip():
            raise SampleError(
                f"{where}: {column} is {value!r}; it must not be blank: leave the sample out or complete it"
            )
    if sample["split"] not in SPLITS:
        raise SampleError(f"{where}: unknown split {sample['split']!r}; choose one of {', '.join(SPLITS)}")


def _read_row_image(image: str, folder: Path, where: str) -> Picture:
    path = folder / image
    try:
        return read_picture(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{where}: image {path} does not exist; fetch or build the dataset again") from error
    except SampleError as error:
        raise SampleError(f"{where}: {error}") from error


def _note(picture: Picture, image: str, checked: Checked) -> None:
    """Put what was seen of an image where it belongs."""
    pixels = picture.pixels
    checked.digests[image] = hashlib.sha256(f"{pixels.shape} ".encode() + pixels.tobytes()).hexdigest()
    if picture.orientation != AS_STORED:
        checked.turned[image] = picture.orientation
    if picture.choice is not None:
        checked.bands[image] = picture.choice


def _check_mask(sample: Mapping[Hashable, Any], where: str, no_target: bool) -> None:
    try:
        mask = decode_mask(sample["mask"], sample["height"], sample["width"])
    except ValueError as error:
        raise SampleError(f"{where}: {error}; a mask has its image's own size") from error
    area = int(np.count_nonzero(mask))
    if area == 0 and not no_target:
        raise SampleError(f"{where}: the mask is empty; leave the sample out or correct its mask")
    if sample["mask_area"] != area:
        raise SampleError(
            f"{where}: mask_area is {sample['mask_area']}, the mask has {area} pixels; count the mask's pixels"
        )
    box = sample["bbox_xyxy"]
    if not isinstance(box, list | tuple | np.ndarray) or tuple(box) != mask_bbox(mask):
        raise SampleError(
            f"{where}: bbox_xyxy is {box}, the mask's box is {list(mask_bbox(mask))}; "
            "give x1, y1, x2, y2 in pixels, right and bottom exclusive"
        )
