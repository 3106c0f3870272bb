"""The layout of REFER's datasets, which RRSIS-D, RRSIS-HR and NWPU-Refer follow: refs, instances, images.

    refs(unc).p         a pickle (plain_pickle.py): a list of {"ref_id", "ann_id", "image_id", "file_name",
                        "category_id", "split", "sentences": [{"sent_id", "sent", ...}]}
    instances.json      {"images": [...], "annotations": [...], "categories": [...]}

`ann_id` may be a list: then the mask is the union of several annotations, and -1 is none. A ref may leave out its
file's name and its category; what it says must agree with instances.json.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from benchmark.data.errors import SampleError, brief
from benchmark.datasets.coco_rules import words
from benchmark.datasets.instances import Annotation, ImageEntry, Instances, instance_mask, read_instances
from benchmark.datasets.plain_pickle import read_plain_pickle
from benchmark.datasets.spec import Split
from benchmark.datasets.triplets import MAX_NAME, PLAIN_NAME, Entry

logger = logging.getLogger(__name__)
MAX_ENTRIES = 500_000  # refs and sentences; RRSIS-D has 2 x 17,402. A pickle can mean one list a million times
NOTHING = -1  # as the annotation of an expression of nothing in the image (gRefCOCO's convention)


class Layout(NamedTuple):
    """Where the parts lie, from the root; images: a folder."""

    refs: str
    instances: str
    images: str


class Sentence(BaseModel):
    """One expression of a ref."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    sent_id: int
    sent: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


class Ref(BaseModel):
    """What refs(unc).p says of one mask."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    ref_id: int
    ann_ids: Annotated[list[int], Field(validation_alias="ann_id", min_length=1), FailFast(), BeforeValidator(_as_list)]
    image_id: int
    category_id: Annotated[int | None, Field(validation_alias=AliasChoices("category_id", "categories_id"))] = None
    file_name: Annotated[str, StringConstraints(pattern=f"^{PLAIN_NAME.pattern}$", max_length=MAX_NAME)] | None = None
    split: Split
    sentences: Annotated[list[Sentence], Field(min_length=1), FailFast()]


class Linked(NamedTuple):
    """A ref with its image and its annotations in instances.json; none where it has NOTHING alone."""

    ref: Ref
    image: ImageEntry
    annotations: list[Annotation]


def read_refs(path: Path) -> list[Ref]:
    """The list in refs(unc).p. Raises SampleError for anything else, naming the entry."""
    content = read_plain_pickle(path)
    entries = content if isinstance(content, list) else []
    dicts = [ref for ref in entries if isinstance(ref, dict)]
    found = [ref[key] for ref in dicts for key in ("sentences", "ann_id") if isinstance(ref.get(key), list)]
    if (count := len(entries) + sum(map(len, found))) > MAX_ENTRIES:
        raise SampleError(
            f"{path} has {count:,} refs and sentences, more than {MAX_ENTRIES:,}; delete it and fetch it again"
        )
    try:
        return TypeAdapter(Annotated[list[Ref], FailFast()]).validate_python(content)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(step) for step in fault["loc"])
        raise SampleError(
            f"{path}: {place or 'all of it'} is {brief(fault['input'])}: {fault['msg']}; delete it and fetch it again"
        ) from error


def linked_refs(root: Path, layout: Layout, categories: bool = True) -> tuple[list[Linked], Instances]:
    """Every ref with what instances.json has of it. categories: whether that file must have a list of them.

    Raises FileNotFoundError, or SampleError where a file is at fault or the two do not say the same.
    """
    instances = read_instances(root / layout.instances, categories)
    return [_linked(ref, instances, root, layout) for ref in read_refs(root / layout.refs)], instances


def _linked(ref: Ref, instances: Instances, root: Path, layout: Layout) -> Linked:
    where = f"{root / layout.refs}: ref {ref.ref_id}"
    wanted = [number for number in ref.ann_ids if number != NOTHING]
    missing = [number for number in wanted if number not in instances.annotations]
    if missing or ref.image_id not in instances.images:
        raise SampleError(
            f"{where}: {layout.instances} has no annotation {missing[0] if missing else wanted} or no image "
            f"{ref.image_id}; fetch both anew"
        )
    image = instances.images[ref.image_id]
    found = [instances.annotations[number] for number in wanted]
    pairs: list[tuple[str, object, object]] = [("file_name", ref.file_name, image.file_name)]
    for annotation in found:
        pairs.append(("image_id", ref.image_id, annotation.image_id))
        pairs.append(("category_id", ref.category_id, annotation.category_id))
    for name, here, there in pairs:
        if here is not None and here != there:
            raise SampleError(f"{where}: {name} is {here!r}, in {layout.instances} {there!r}; fetch both files anew")
    return Linked(ref, image, found)


def union(shapes: Sequence[Annotation], image: ImageEntry, path: Path) -> NDArray[np.bool_]:
    """(H, W) bool of all annotations together; empty for none."""
    mask = np.zeros((image.height, image.width), np.bool_)
    for annotation in shapes:
        mask |= instance_mask(annotation, image.height, image.width, path)
    return mask


def _names(instances: Instances, published: Sequence[str], path: Path) -> Mapping[int, str]:
    """Category by id: as published, as the file lists them where nothing is published, or where it only has them in
    another order, which is logged.

    Raises SampleError for a list that contradicts the published one and names others, or not all that it uses.
    """
    listed = {number: category.name for number, category in instances.categories.items()}
    if not published:
        return listed
    names = dict(enumerate(published))
    other = {k: name for k, name in listed.items() if k in names and words(name) != words(names[k])}
    if not other:
        return {**listed, **names}
    spelt = {words(name): name for name in published}
    unknown = [name for name in listed.values() if words(name) not in spelt]
    used = {annotation.category_id for annotation in instances.annotations.values()}
    number = min(other)
    said = f"{path} calls category {number} {other[number]!r}, published it is {names[number]!r}"
    if [words(listed.get(k + 1, "")) for k in names] == list(spelt) and 0 in used:
        raise SampleError(
            f"{said}: its list 'categories' counts from 1, its annotations and what is published from 0; take the list "
            "out of the file, and the published names are used, or let the list count from 0"
        )
    if unknown or not used <= listed.keys():
        why = f"{unknown[0]!r} is none that is published" if unknown else f"lists no {min(used - listed.keys())}"
        raise SampleError(
            f"{said}, and {why}: which are meant? Take the list 'categories' out of the file if its numbers are the "
            "published ones, else correct it"
        )
    logger.warning(f"{said}; the numbers are read as this file lists them")
    return {number: spelt[words(name)] for number, name in listed.items()}


def sentence_entries(root: Path, layout: Layout, categories: Sequence[str] = ()) -> list[Entry]:
    """A sample for each sentence, named by its sent_id.

    categories: their published names by id, counted from 0; (): instances.json has them.
    """
    refs, instances = linked_refs(root, layout, categories=not categories)
    names = _names(instances, categories, root / layout.instances)
    found = []
    for ref, image, shapes in refs:
        where = f"{root / layout.refs}: ref {ref.ref_id}"
        if not shapes:
            raise SampleError(f"{where} has no annotation; exclude its sentences or fetch both files anew")
        category = shapes[0].category_id
        if category not in names:
            raise SampleError(f"{where}: category {category} is none of {', '.join(map(str, sorted(names)))}")
        for sentence in ref.sentences:
            found.append(
                Entry(
                    sample_id=str(sentence.sent_id),
                    image=f"{layout.images}/{image.file_name}",
                    split=ref.split,
                    expression=sentence.sent,
                    category=names[category],
                    mask=partial(union, shapes, image, root / layout.instances),
                )
            )
    return found
