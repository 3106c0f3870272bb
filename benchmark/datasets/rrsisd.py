"""RRSIS-D: 800 x 800 images of DIOR, 0.5 to 30 m per pixel, one sentence a mask (Liu et al., RMSIN, 2024).

    rrsisd/refs(unc).p                      a pickle (benchmark/datasets/plain_pickle.py): a list of
        {"ref_id", "ann_id", "image_id", "file_name", "category_id", "split", "sentences": [{"sent_id", "sent", ...}]}
    rrsisd/instances.json                   {"images": [...], "annotations": [...]}
    images/rrsisd/JPEGImages/<file_name>

Oddities, as the files have them:
* an annotation's category stands under `categories_id`, and counts from 0 in the order of CATEGORIES;
* `bbox` is x1, y1, x2, y2, not COCO's x, y, width, height (published_boxes() gives it to the audit);
* `area` is not the mask's area: nothing here reads it;
* `segmentation` is a list of run-length codes; their union is the mask. Masks are ragged, one in many pieces.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from benchmark.data.errors import SampleError, brief
from benchmark.data.samples import Manifest
from benchmark.datasets.instances import Instances, instance_mask, read_instances
from benchmark.datasets.plain_pickle import read_plain_pickle
from benchmark.datasets.spec import Drive, File, Spec, Split
from benchmark.datasets.triplets import MAX_NAME, PLAIN_NAME, Entry, PublishedConfig, write_published

REFS, INSTANCES, IMAGES = "rrsisd/refs(unc).p", "rrsisd/instances.json", "images/rrsisd/JPEGImages"
MAX_ENTRIES = 500_000  # refs and sentences; published are 2 x 17,402. A pickle can mean one list a million times
CATEGORIES = (  # by categories_id
    *("Expressway-Service-area", "Expressway-toll-station", "airplane", "airport", "baseballfield", "basketballcourt"),
    *("bridge", "chimney", "dam", "golffield", "groundtrackfield", "harbor", "overpass", "ship", "stadium"),
    *("storagetank", "tenniscourt", "trainstation", "vehicle", "windmill"),
)

SPEC = Spec(
    name="rrsisd",
    title="RRSIS-D",
    source="https://github.com/Lsan2401/RMSIN",
    licence="academic use (images of DIOR)",
    citation="S. Liu, Y. Ma, X. Zhang, H. Wang, J. Ji, X. Sun, R. Ji, Rotated Multi-Scale Interaction Network for "
    "Referring Remote Sensing Image Segmentation, CVPR 2024, arXiv:2312.12470",
    how="download the files linked there and lay refs(unc).p and instances.json into "
    "{root}/rrsisd and JPEGImages.zip into {root}/images/rrsisd (it is unpacked from there), or unpack it so that "
    "{root}/images/rrsisd/JPEGImages/00001.jpg exists",
    files=(
        File(name="refs(unc).p", origin=Drive(id="1oRILB_o_LTH2jwr1isF6rDOLZP4YgIoV"), into="rrsisd"),
        File(name="instances.json", origin=Drive(id="16u61hnDzVqt6pmnIeYsaWdyYpXCdzAq9"), into="rrsisd"),
        File(
            name="JPEGImages.zip",
            origin=Drive(id="1j-0tri3oTroD4iY4IugK5XuBxWAOwjgc"),
            into="images/rrsisd",
            holds=("JPEGImages",),
        ),
        File(
            name="ann_split.zip",
            origin=Drive(id="1heyS10o0xa2lkDpSCBNEl-R0fZ7njA6W"),
            into="images/rrsisd",
            holds=("ann_split",),
            needed=False,
        ),
    ),
    counts={"train": 12_181, "val": 1_740, "test": 3_481},
    image_size=(800, 800),
    categories=CATEGORIES,
)


class RRSISDConfig(PublishedConfig):
    """See PublishedConfig."""

    root: str = "raw/rrsisd"


class _Sentence(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    sent_id: int
    sent: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Ref(BaseModel):
    """What refs(unc).p says of one mask."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    ref_id: int
    ann_id: int
    image_id: int
    category_id: Annotated[int, Field(validation_alias=AliasChoices("category_id", "categories_id"))]
    file_name: Annotated[str, StringConstraints(pattern=f"^{PLAIN_NAME.pattern}$", max_length=MAX_NAME)]
    split: Split
    sentences: Annotated[list[_Sentence], Field(min_length=1), FailFast()]


def read_refs(path: Path) -> list[Ref]:
    """The list in refs(unc).p. Raises SampleError for anything else, naming the entry."""
    content = read_plain_pickle(path)
    entries = content if isinstance(content, list) else []
    found = [ref["sentences"] for ref in entries if isinstance(ref, dict) and isinstance(ref.get("sentences"), list)]
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


def entries(config: RRSISDConfig) -> list[Entry]:
    """A sample for each sentence, named by its sent_id."""
    root = config.images_root
    instances = read_instances(root / INSTANCES, categories=False)
    found = []
    for ref in read_refs(root / REFS):
        _check(ref, instances, root)
        image = instances.images[ref.image_id]
        annotation = instances.annotations[ref.ann_id]
        mask = partial(instance_mask, annotation, image.height, image.width, root / INSTANCES)
        for sentence in ref.sentences:
            found.append(
                Entry(
                    sample_id=str(sentence.sent_id),
                    image=f"{IMAGES}/{ref.file_name}",
                    split=ref.split,
                    expression=sentence.sent,
                    category=CATEGORIES[annotation.category_id],
                    mask=mask,
                )
            )
    return found


def published_boxes(config: RRSISDConfig) -> dict[str, tuple[float, float, float, float]]:
    """x1, y1, x2, y2 of each sample as instances.json has them."""
    root = config.images_root
    annotations = read_instances(root / INSTANCES, categories=False).annotations
    refs = read_refs(root / REFS)
    boxes = {str(sentence.sent_id): annotations[ref.ann_id].box for ref in refs for sentence in ref.sentences}
    return {sample_id: box for sample_id, box in boxes.items() if box is not None}


def build(folder: Path, config: RRSISDConfig) -> Manifest:
    """Write the table of RRSIS-D into ``folder``; its images stay where they are."""
    return write_published(folder, SPEC, config, entries(config), image_is_named_once=True)


def _check(ref: Ref, instances: Instances, root: Path) -> None:
    """Raise SampleError unless both files say the same of a ref."""
    where = f"{root / REFS}: ref {ref.ref_id}"
    if ref.ann_id not in instances.annotations or ref.image_id not in instances.images:
        raise SampleError(
            f"{where}: {INSTANCES} has no annotation {ref.ann_id} or no image {ref.image_id}; fetch both anew"
        )
    annotation, image = instances.annotations[ref.ann_id], instances.images[ref.image_id]
    pairs = {
        "image_id": (ref.image_id, annotation.image_id),
        "category_id": (ref.category_id, annotation.category_id),
        "file_name": (ref.file_name, image.file_name),
    }
    for name, (here, there) in pairs.items():
        if here != there:
            raise SampleError(f"{where}: {name} is {here!r}, in {INSTANCES} {there!r}; fetch both files anew")
    if not 0 <= annotation.category_id < len(CATEGORIES):
        raise SampleError(f"{where}: category {annotation.category_id} is none of 0 to {len(CATEGORIES) - 1}")
