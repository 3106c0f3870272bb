"""RefSegRS: 512 x 512 aerial images of streets with short phrases (Yuan et al., 2023).

    images/<id>.tif
    masks/<id>.tif                          the values of a file vary, half of its largest decides
    output_phrase_{train,val,test}.txt      one line `<id> <phrase>`; the mask belongs to the line's id

or, with `lines`, JSON lines in the place of masks and phrases (lines.py).

The category is in the phrase only: WORDS recovers it, and fetching says for what share of the phrases.
"""

from __future__ import annotations

from pathlib import Path

from benchmark.data.samples import Manifest
from benchmark.datasets.lines import LinesConfig, line_entries
from benchmark.datasets.spec import File, Hub, Spec
from benchmark.datasets.triplets import PHRASES, Entry, category_of, phrase_entries, write_published

WORDS = {  # 14 categories, named after SkyScapes' classes, which the images come from; the published files have no list
    "vehicle": ("vehicle", "light-duty vehicle", "long vehicle"),
    "car": ("car",),
    "van": ("van",),
    "truck": ("truck", "lorry"),
    "trailer": ("trailer",),
    "bus": ("bus",),
    "road": ("road", "street", "paved road", "non-paved road", "lane", "parking area", "parking lot"),
    "road marking": ("road marking", "lane marking", "marking", "zebra crossing", "turn sign"),
    "bikeway": ("bikeway", "bicycle lane", "bike lane", "cycle path"),
    "sidewalk": ("sidewalk", "walkway", "pavement"),
    "building": ("building", "house", "roof"),
    "tree": ("tree",),
    "low vegetation": ("low vegetation", "vegetation", "grass", "lawn"),
    "impervious surface": ("impervious surface",),
}

SPEC = Spec(
    name="refsegrs",
    title="RefSegRS",
    source="https://huggingface.co/datasets/JessicaYuan/RefSegRS",
    licence="CC-BY-4.0",
    citation="Z. Yuan, L. Mou, Y. Hua, X. X. Zhu, RRSIS: Referring Remote Sensing Image Segmentation, 2023, "
    "arXiv:2306.08625",
    how="download RefSegRS.zip there and lay it into {root} (it is "
    "unpacked from there), or unpack it so that {root}/images, {root}/masks and {root}/output_phrase_train.txt exist",
    files=(
        File(
            name="RefSegRS.zip",
            origin=Hub(repository="JessicaYuan/RefSegRS"),
            holds=("images", "masks", *PHRASES.values()),
        ),
    ),
    counts={"train": 2_172, "val": 431, "test": 1_817},  # lines of the three files, as the field reports them
    image_size=(512, 512),
    categories=tuple(WORDS),
)


class RefSegRSConfig(LinesConfig):
    """See LinesConfig."""

    root: str = "raw/refsegrs"
    images_in = "images"


def entries(config: RefSegRSConfig) -> list[Entry]:
    """A sample for each line of the three files of phrases, or of JSON lines."""
    if config.lines is not None:
        return line_entries(config, SPEC, lambda line, _: category_of(line.sent, WORDS))
    return phrase_entries(config.images_root, "images/{name}.tif", "masks/{name}.tif", WORDS)


def build(folder: Path, config: RefSegRSConfig) -> Manifest:
    """Write the table of RefSegRS into ``folder``; its images stay where they are."""
    return write_published(folder, SPEC, config, entries(config))
