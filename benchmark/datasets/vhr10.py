"""NWPU VHR-10 with instance masks: 650 aerial photographs of ten kinds of objects, cut into windows around these.

    NWPU VHR-10 dataset/positive image set/001.jpg ... 650.jpg
    NWPU VHR-10 dataset/annotations.json        one COCO file; ids of images count from 0, file names from 001

565 images are from Google Earth at 0.5 to 2 m per pixel, 85 colour-infrared ones of Vaihingen at 0.08 m. There are no
sentences: the writer makes them from the masks, without colours, which no file states.

Windows (object_windows.py) are squares of 256, 384 or 512 pixels around groups of objects, scaled to 256: an object is
shown at its size, or at two thirds or half of it. What a window cuts is no sample, and makes others ambiguous. Not
every object of the ten categories is annotated (cars in shadow, small boats are not), so nothing is said to be absent.

The split is ours, for there is no official one: vhr10_split.csv, a line `image,place,split` for each image. Many images
show the same place, turned, scaled, or at another time of day: a place is called after its first image and stays in one
split. They were found by SIFT features of pairs of images that agree on one turn, scale and shift; 25 weak pairs
were looked at (docs/datasets.md). The rule by which places are dealt out is in
tests/benchmark/datasets/test_vhr10.py, which holds the file to it.
"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import get_args

from benchmark.data.errors import NAMED, SampleError
from benchmark.data.samples import Manifest
from benchmark.datasets import coco
from benchmark.datasets.assemble import write_scenes
from benchmark.datasets.coco import CocoConfig
from benchmark.datasets.coco_rules import words
from benchmark.datasets.instances import Instances, read_instances
from benchmark.datasets.spec import File, Hub, Spec, Split

FOLDER = "NWPU VHR-10 dataset"
HUB = Hub(repository="torchgeo/vhr10", revision="7e7968ad265dadc4494e0ca4a079e0b63dc6f3f8")
IMAGES = 650
COPIES = frozenset({"286"})  # image 073 once more, 96 % of its pixels equal: left out, or its samples count twice
INSTANCES = {  # in annotations.json; the dataset's page, which counts boxes, has other numbers for five
    "airplane": 757,
    "ship": 298,  # page: 302
    "storage tank": 662,  # page: 655
    "baseball diamond": 391,  # page: 390
    "tennis court": 524,
    "basketball court": 159,
    "ground track field": 163,
    "harbor": 239,  # page: 224
    "bridge": 124,
    "vehicle": 604,  # page: 477
}

SPEC = Spec(
    name="vhr10",
    title="NWPU VHR-10 with instance masks",
    source="https://huggingface.co/datasets/torchgeo/vhr10",
    licence="research use, cite both (images: Cheng et al.; masks: Su et al., MIT)",
    citation="G. Cheng, J. Han, P. Zhou, L. Guo, Multi-class geospatial object detection and geographic image "
    "classification based on collection of part detectors, ISPRS Journal 98, 2014, "
    "doi:10.1016/j.isprsjprs.2014.10.002; H. Su, S. Wei, M. Yan, C. Wang, J. Shi, X. Zhang, Object Detection and "
    "Instance Segmentation in Remote Sensing Imagery Based on Precise Mask R-CNN, IGARSS 2019, "
    "doi:10.1109/IGARSS.2019.8898573",
    how=f"download 'NWPU VHR-10 dataset.zip' and annotations.json there, at revision {HUB.revision[:8]}, and lay both "
    f"into '{{root}}/{FOLDER}' (the archive is unpacked from there), or unpack it so that "
    f"'{{root}}/{FOLDER}/positive image set/001.jpg' exists",
    files=(
        File(
            name=f"{FOLDER}.zip",  # its SHA-256 is not known here
            origin=HUB,
            into=FOLDER,
            holds=("positive image set",),
            md5="6add6751469c12dd8c8d6223064c6c4d",
        ),
        File(
            name="annotations.json",
            origin=HUB,
            into=FOLDER,
            sha256="dde27d9362d9c6aa358a1cab160c9e075e57405d3fe876de049973c6e6150f0e",
            md5="7c76ec50c17a61bb0514050d20f22c08",
        ),
    ),
    categories=tuple(INSTANCES),
)


class VHR10Config(CocoConfig):
    """Windows, sizes and licence of this source; everything may be set anew.

    allow_count_mismatch: whether there may be other numbers of images and instances than published.
    """

    root: str = "raw/vhr10"
    annotations: str = f"{FOLDER}/annotations.json"
    images: str = f"{FOLDER}/positive image set"
    source: str = SPEC.source
    licence: str = SPEC.licence
    citation: str = SPEC.citation
    around: tuple[int, ...] = (256, 384, 512)
    resize: int | None = 256
    whole: bool = True
    min_area: float = 0.004  # 16 x 16 pixels of 256 x 256, 12 x 12 of what `mini` sees
    max_area: float = 0.4
    min_width: float = 0.02
    per_region: int = 4
    per_image: int | None = 10
    multiple: int = 2
    order: bool = True
    allow_count_mismatch: bool = False


def build(folder: Path, config: VHR10Config) -> Manifest:
    """Write the dataset at ``folder``, all or nothing.

    Raises FileNotFoundError or SampleError, naming file, entry, value and remedy.
    """
    root, path = Path(config.root), Path(config.root) / config.annotations
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: {SPEC.steps(root)}")
    file = read_instances(path)
    _check_counts(file, path, config)
    names = [image.file_name for image in file.images.values()]
    if missing := [name for name in names if not (root / config.images / name).is_file()]:
        raise FileNotFoundError(
            f"{root / config.images} lacks {len(missing):,} of {len(names):,} images, {', '.join(missing[:NAMED])}"
            f"{' ...' * (len(missing) > NAMED)}: python -m experiments.fetch --dataset vhr10 downloads all once the "
            f"folder is gone; or {SPEC.steps(root)}"
        )
    scenes = coco.scenes(config, by_split(file, path), SPEC.name)
    return write_scenes(folder, scenes, name=SPEC.name, **config.writing(), vocabulary=SPEC.categories)


def read_split() -> dict[str, tuple[str, Split]]:
    """Image ("001") -> its place (the first image of it) and its split."""
    with Path(__file__).with_name("vhr10_split.csv").open(encoding="utf-8", newline="") as opened:
        return {row["image"]: (row["place"], row["split"]) for row in csv.DictReader(opened)}  # type: ignore[misc]


def by_split(file: Instances, path: Path) -> dict[str, Instances]:
    """The one file, less COPIES, as a file for each split. Raises SampleError for an image that is in none."""
    split = read_split()
    if unknown := [image.file_name for image in file.images.values() if Path(image.file_name).stem not in split]:
        raise SampleError(
            f"{path}: image {unknown[0]} is in no split of vhr10_split.csv; {SPEC.steps(path.parents[1])}"
        )
    found = {}
    stems = {k: Path(image.file_name).stem for k, image in file.images.items()}
    for name in get_args(Split):
        inside = {k for k, stem in stems.items() if split[stem][1] == name and stem not in COPIES}
        images = {k: image for k, image in file.images.items() if k in inside}
        annotations = {k: annotation for k, annotation in file.annotations.items() if annotation.image_id in inside}
        found[name] = file.model_copy(update={"images": images, "annotations": annotations})
    return found


def _check_counts(file: Instances, path: Path, config: VHR10Config) -> None:
    """Raise SampleError unless the file has the images and instances that are declared, or others are allowed."""
    if config.allow_count_mismatch:
        return
    named = Counter(
        words(file.categories[a.category_id].name)
        for a in file.annotations.values()
        if a.category_id in file.categories
    )
    found = {"images": len(file.images), **named}
    declared = {"images": IMAGES, **INSTANCES}
    wrong = [
        f"{found.get(key, 0):,} {key} (declared {declared.get(key, 0):,})"
        for key in sorted(found.keys() | declared.keys())
        if found.get(key, 0) != declared.get(key, 0)
    ]
    if wrong:
        raise SampleError(
            f"{path} is not the file vhr10 is published with: {', '.join(wrong)}. Fetch it again, or, if this is what "
            "you mean to use, fetch with --allow-count-mismatch or set datasets.vhr10.allow_count_mismatch: true in "
            "params.yaml"
        )
