"""What COCO instance files have that is easily lost: images listed twice, crowds, boxes without a mask, and categories
that are never annotated or only group others. Named or counted here, each by a stated rule."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from benchmark.data.errors import SampleError, raise_all
from benchmark.datasets.instances import Annotation, ImageEntry, Instances

logger = logging.getLogger(__name__)
Files = Mapping[str, tuple[Path, Instances]]  # split -> its file


def words(name: str) -> str:
    """A category as it is read: "Storage_Tank" is "storage tank"."""
    return " ".join(name.replace("_", " ").replace("-", " ").lower().split())


def place(root: Path, images: str, image: ImageEntry, path: Path) -> str:
    """Where an image lies, from the root. Where no file has the name as it stands, Windows' separators are read, and
    accents either as one letter or, as a Mac writes them, as two.

    Raises SampleError for a name that leaves the folder of images by them.
    """
    name = image.file_name
    if "\\" in name and not (root / images / name).is_file():
        name = name.replace("\\", "/")
        if ".." in Path(name).parts or name.startswith("/") or name[1:3] == ":/":
            raise SampleError(
                f"{path}: image {image.id}: file_name {image.file_name!r} leaves the folder of images, by Windows' "
                f"separators; give it from {root / images} on"
            )
    if not (root / images / name).is_file():
        forms = [unicodedata.normalize(form, name) for form in ("NFC", "NFD")]
        name = next((form for form in forms if (root / images / form).is_file()), name)
    return (Path(images) / name).as_posix()


def spelt_otherwise(file: Path) -> str:
    """What to add where a file does not exist: one that is there, if only capitals or an address's "%20" differ."""
    near = [other.name for other in sorted(file.parent.glob("*")) if _folded(other.name) == _folded(file.name)]
    return f" ({near[0]!r} is there: is it that? The names have to be the same)" if near else ""


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unquote(name)).casefold()


def check_listed_once(places: Mapping[str, list[tuple[str, Path, int]]]) -> None:
    """Raise SampleError naming every file listed more than once. places: file -> (split, JSON, image id) of each."""
    faults: list[SampleError | FileNotFoundError] = []
    for where, entries in places.items():
        if len(entries) > 1:
            named = " and ".join(f"image {number} of split {split} ({path})" for split, path, number in entries)
            one = len({path for _, path, _ in entries}) == 1
            remedy = (
                "give the annotations of one to the other and delete it"
                if one
                else "an image is of one split: delete the others, with their annotations"
            )
            faults.append(SampleError(f"{where} is listed {len(entries)} times, as {named}; {remedy}"))
    raise_all(faults, "images are listed more than once", "a merge may have done it")


def tell_names(files: Files, dataset: str) -> None:
    """Log which categories of a split have one name."""
    for path, file in files.values():
        same: dict[str, list[str]] = {}
        for category in file.categories.values():
            same.setdefault(words(category.name), []).append(f"{category.id} {category.name!r}")
        for name, found in same.items():
            if len(found) > 1:
                logger.warning(f"{dataset}: {path}: categories {', '.join(found)} are all read as {name!r}")


def check_boxes(files: Files, dataset: str, leave_out: bool) -> None:
    """Raise SampleError for annotations without a mask, all at once: unless they may be left out and have a box."""
    found = {path: [a for a in file.annotations.values() if not a.segmentation] for path, file in files.values()}
    wrong = {path: [a.id for a in lone if not leave_out or a.box is None] for path, lone in found.items()}
    if not any(wrong.values()):
        return
    named = "; ".join(
        f"{path}: annotations {', '.join(map(str, ids[:10]))}{' ...' * (len(ids) > 10)}"
        for path, ids in wrong.items()
        if ids
    )
    count, whole = sum(map(len, wrong.values())), sum(len(file.annotations) for _, file in files.values())
    what = "neither a mask nor a box" if leave_out else "no mask (segmentation: [])"
    remedy = (
        "delete or complete them"
        if leave_out
        else f"draw masks, or leave them out: datasets.{dataset}.boxes: leave_out"
    )
    raise SampleError(f"{count:,} of {whole:,} annotations have {what}, {named}; {remedy}")


def check_crowds(files: Files, dataset: str) -> None:
    """Raise SampleError for a split that has nothing but crowds, of which no sentence can be written."""
    crowds = {split: sum(a.iscrowd for a in file.annotations.values()) for split, (_, file) in files.items()}
    counts = {split: len(file.annotations) for split, (_, file) in files.items()}
    if lone := [split for split in files if counts[split] and crowds[split] == counts[split]]:
        raise SampleError(
            f"{', '.join(str(files[split][0]) for split in lone)}: all {sum(counts[split] for split in lone):,} "
            f"instances of split {', '.join(lone)} are crowds (iscrowd: 1), {sum(crowds.values()):,} of "
            f"{sum(counts.values()):,} in all splits: many objects under one mask, of which no sentence is written. "
            f"CVAT exports every brush mask so. If each is one object, set datasets.{dataset}.crowds: instances"
        )


def tell(dataset: str, counts: Mapping[str, int]) -> None:
    """Log what became no sample. counts: instances, samples, crowds, boxes."""
    whole = counts["instances"]
    left = whole - counts["samples"] - counts["crowds"] - counts["boxes"]
    if left:
        logger.info(
            f"{dataset}: {left:,} of {whole:,} instances are no sample of any patch, being too small, too large or "
            "slivers (min_area, max_area, min_width, min_reach)"
        )
    if counts["crowds"]:
        logger.warning(
            f"{dataset}: {counts['crowds']:,} of {whole:,} instances are crowds (iscrowd: 1) and have no sentence; if "
            f"each is one object, as in CVAT's exports of brush masks, set datasets.{dataset}.crowds: instances"
        )
    if counts["boxes"]:
        logger.warning(
            f"{dataset}: {counts['boxes']:,} of {whole:,} instances have a box and no mask and are left out; no "
            "sentence is written that may be true of one"
        )


def vocabulary(files: Files, dataset: str, absent: bool) -> dict[str, set[str]]:
    """Categories that may be said to be absent, each with those that it groups.

    A category that no annotation has is none of them: nobody looked for it, or it only groups others (Roboflow's
    "objects"). One that groups others by their ``supercategory`` and is annotated itself is there wherever one of them
    is. absent: whether any expression will say so, then it is logged what is left out.
    """
    names: set[str] = set()
    annotated: set[str] = set()
    parents: dict[str, set[str]] = {}
    for _, file in files.values():
        for category in file.categories.values():
            name = words(category.name)
            names.add(name)
            parents.setdefault(name, set()).add(words(category.supercategory))
        used = {annotation.category_id for annotation in file.annotations.values()}
        annotated |= {words(category.name) for category in file.categories.values() if category.id in used}
    if absent and (left := sorted(names - annotated)):
        logger.warning(f"{dataset}: no annotation is of the category {', '.join(left)}: it is never said to be absent")
    groups: dict[str, set[str]] = {name: set() for name in sorted(annotated)}
    for name in sorted(annotated):
        above, waiting = set[str](), set(parents[name])
        while waiting:
            parent = waiting.pop()
            if parent not in above:
                above.add(parent)
                waiting |= parents.get(parent, set())
        for parent in above & annotated - {name}:
            groups[parent].add(name)
    return groups


def box_polygon(annotation: Annotation) -> list[float]:
    """The outline of an annotation's box, x, y, width, height in COCO."""
    assert annotation.box is not None  # check_boxes()
    x, y, width, height = annotation.box
    return [x, y, x + width, y, x + width, y + height, x, y + height]
