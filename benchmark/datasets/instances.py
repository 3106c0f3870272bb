"""COCO's instance files: {"images": [...], "annotations": [...], "categories": [...]}, read and checked.

What a field may be is said once, in the classes below; fields that are not needed are passed over. A segmentation is a
list of polygons [x1, y1, x2, y2, ...], a run-length code ({"size": [h, w], "counts": a string or a list}), or a list of
such codes whose union is meant (RRSIS-D).

pycocotools draws polygons in C and believes them: a coordinate of 1e12 ends the process, one of 1e9 fills the memory.
So a polygon may reach beyond its image by the image's own height and width at most, and be MAX_OUTLINE long.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco
from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PositiveInt,
    StringConstraints,
    Tag,
    ValidationError,
)

from benchmark.data.errors import SampleError, brief
from benchmark.data.images import MAX_PIXELS
from benchmark.data.plain_json import load_json
from benchmark.data.rle import decode_mask, fill_mask

MAX_OUTLINE = 4_000_000  # pixels along a polygon: drawing it takes 80 bytes each

Number = Annotated[float, Field(allow_inf_nan=False)]
T = TypeVar("T", bound="_Entry")
FLAT = "a polygon is one flat list [x1, y1, x2, y2, ...], and a segmentation a list of polygons"


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Rle(_Entry):
    """A run-length code, compressed (a string) or not."""

    size: tuple[PositiveInt, PositiveInt]
    counts: str | list[Annotated[int, Field(ge=0)]]


class ImageEntry(_Entry):
    """An image: file_name counts from the folder of images and stays inside it."""

    id: int
    file_name: Annotated[str, StringConstraints(min_length=1)]
    height: PositiveInt
    width: PositiveInt


def _shape(value: Any) -> Any:
    """What a segmentation is written as. Raises ValueError for shapes that are near a polygon's."""
    if value is None:
        return []
    if isinstance(value, list) and value:
        first = value[0]
        if isinstance(first, int | float) and not isinstance(first, bool):
            raise ValueError(f"this is a flat list of numbers: {FLAT}")
        points = isinstance(first, list) and (len(first) == 2 or (first and isinstance(first[0], list | dict)))
        if points or (isinstance(first, dict) and "x" in first):
            raise ValueError(f"this is a list of points: {FLAT}")
    return value


def _way(value: Any) -> str:
    """Which of the three ways of writing a mask a segmentation is of; an empty one is no polygon."""
    if isinstance(value, dict | Rle):
        return "code"
    return "codes" if isinstance(value, list) and value and isinstance(value[0], dict | Rle) else "polygons"


Segmentation = Annotated[
    Annotated[Rle, Tag("code")]
    | Annotated[list[Rle], Tag("codes")]
    | Annotated[list[Annotated[list[Number], Field(min_length=6)]], Tag("polygons")],
    Discriminator(_way),
    BeforeValidator(_shape),
]


class Annotation(_Entry):
    """One instance. segmentation: empty where there is none. box: as the file has it, whatever that means there."""

    id: int
    image_id: int
    category_id: Annotated[int, Field(validation_alias=AliasChoices("category_id", "categories_id"))]
    segmentation: Segmentation = []
    iscrowd: bool = False
    box: Annotated[tuple[Number, Number, Number, Number] | None, Field(validation_alias="bbox")] = None


class Category(_Entry):
    """A category. supercategory: the one it is of, by name; "" for none."""

    id: int
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    supercategory: Annotated[str, BeforeValidator(lambda value: value if isinstance(value, str) else "")] = ""


class Instances(_Entry):
    """A whole file, by id."""

    images: dict[int, ImageEntry]
    annotations: dict[int, Annotation]
    categories: dict[int, Category]


def read_instances(path: Path, categories: bool = True) -> Instances:
    """Read an instance file. categories: whether it must have a list of them.

    Raises FileNotFoundError, or SampleError naming the file, the entry, its value and what is wrong with it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    try:
        content = load_json(path.read_bytes())
    except (ValueError, RecursionError) as error:  # not JSON, or not UTF-8
        raise SampleError(f"{path} is not JSON ({error}); it is truncated or another file: fetch it again") from error
    lists: dict[str, list[Any]] = {}
    for key in ("images", "annotations", "categories"):
        entries = content.get(key) if isinstance(content, dict) else None
        if key == "categories" and not categories and entries is None:
            entries = []
        if not isinstance(entries, list):
            raise SampleError(
                f"{path} has no list '{key}'; a COCO instance file has images, annotations and categories"
            )
        lists[key] = entries
    images = _by_id(path, "images", ImageEntry, lists["images"])
    for image in images.values():
        name = image.file_name
        if Path(name).is_absolute() or ".." in Path(name).parts or "://" in name:
            what = "is an address" if "://" in name else "leaves the folder of images"
            raise SampleError(f"{path}: image {image.id}: file_name {name!r} {what}; give it from that folder on")
        _check_pixels(image.height, image.width, f"{path}: image {image.id}")
    return Instances.model_construct(
        images=images,
        annotations=_by_id(path, "annotations", Annotation, lists["annotations"]),
        categories=_by_id(path, "categories", Category, lists["categories"]),
    )


def _by_id(path: Path, key: str, kind: type[T], entries: Iterable[Any]) -> dict[int, T]:
    found: dict[int, T] = {}
    for number, entry in enumerate(entries):
        try:
            checked = kind.model_validate(entry)
        except ValidationError as error:
            fault = error.errors()[0]
            place = ".".join(str(step) for step in (key, number, *fault["loc"][:2]))
            name = entry.get("id", "?") if isinstance(entry, dict) else "?"
            raise SampleError(
                f"{path}: {place} (id {brief(name)}) is {brief(fault['input'])}: {fault['msg']}; correct it"
            ) from error
        if (identity := checked.id) in found:  # type: ignore[attr-defined]
            raise SampleError(f"{path}: {key}.{number}: id {identity} is there twice; give every entry its own")
        found[identity] = checked
    return found


def instance_mask(annotation: Annotation, height: int, width: int, path: Path) -> NDArray[np.bool_]:
    """(height, width) bool of an annotation. Raises SampleError, naming it, for one that is no mask of that size."""
    where = f"{path}: annotation {annotation.id}"
    _check_pixels(height, width, where)
    shape = annotation.segmentation
    mask = np.zeros((height, width), np.bool_)
    for part in [shape] if isinstance(shape, Rle) else shape:
        if isinstance(part, Rle):
            mask |= rle_mask(part, height, width, where)
        else:
            mask |= polygon_mask(part, height, width, where)
    return mask


def codes_mask(codes: Sequence[Rle], where: str) -> NDArray[np.bool_]:
    """(height, width) bool, the union of run-length codes, of the size that they give.

    Raises SampleError (``where``: ...) for codes of several sizes, or that do not fill theirs.
    """
    height, width = codes[0].size
    _check_pixels(height, width, where)
    mask = np.zeros((height, width), np.bool_)
    for code in codes:
        mask |= rle_mask(code, height, width, where)
    return mask


def polygon_mask(polygon: list[float], height: int, width: int, where: str) -> NDArray[np.bool_]:
    """(height, width) bool of x1, y1, x2, y2, ... in pixels; what lies outside is cut off.

    Raises SampleError (``where``: ...) for one that pycocotools cannot be given, or would read as another.
    """
    if len(polygon) % 2:
        raise SampleError(f"{where}: a polygon has {len(polygon)} numbers, and x and y come in pairs; correct the file")
    points = np.asarray(polygon, np.float64).reshape(-1, 2)
    size = np.array([width, height])
    if (far := np.flatnonzero(((points < -size) | (points > 2 * size)).any(axis=1))).size:
        x, y = points[far[0]].tolist()
        raise SampleError(
            f"{where}: a polygon goes to x {x:g}, y {y:g}, further outside its image of {height}x{width} (height x "
            "width) than the image is large; correct the file"
        )
    outline = np.abs(points - np.roll(points, 1, axis=0)).max(axis=1).sum()
    if outline > MAX_OUTLINE:
        raise SampleError(f"{where}: a polygon is {outline:,.0f} pixels long, more than {MAX_OUTLINE:,}; simplify it")
    drawn: NDArray[np.bool_] = coco.decode(coco.frPyObjects([polygon], height, width))[..., 0].astype(bool)
    return drawn


def rle_mask(code: Rle, height: int, width: int, where: str) -> NDArray[np.bool_]:
    """(height, width) bool of a run-length code. Raises SampleError (``where``: ...) for one of another size."""
    if code.size != (height, width):
        raise SampleError(
            f"{where}: its mask is {code.size[0]}x{code.size[1]} (height x width), its image {height}x{width}; "
            "they are no pair: correct the file"
        )
    try:
        if isinstance(code.counts, str):
            return decode_mask(code.counts, height, width)
        return fill_mask(np.array(code.counts, dtype=np.int64), height, width)
    except (ValueError, OverflowError) as error:
        raise SampleError(f"{where}: {error}; correct the file") from error


def _check_pixels(height: int, width: int, where: str) -> None:
    """Raise SampleError before memory is taken for an image that is never read."""
    if height * width > MAX_PIXELS:
        raise SampleError(
            f"{where} says it is {height}x{width} (height x width), more than the {MAX_PIXELS:,} pixels that are read; "
            "correct the file, or cut the image into tiles"
        )
