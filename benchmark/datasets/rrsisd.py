"""RRSIS-D: 800 x 800 images of DIOR, 0.5 to 30 m per pixel, one sentence a mask (Liu et al., RMSIN, 2024).

    rrsisd/refs(unc).p                      the refs, and
    rrsisd/instances.json                   their masks, as refer.py says
    images/rrsisd/JPEGImages/<file_name>

or, with `lines`, JSON lines in their place (lines.py).

Oddities, as the files have them:
* an annotation's category stands under `categories_id`, and counts from 0 in the order of CATEGORIES;
* `bbox` is x1, y1, x2, y2, not COCO's x, y, width, height (published_boxes() gives it to the audit);
* `area` is not the mask's area: nothing here reads it;
* `segmentation` is a list of run-length codes; their union is the mask. Masks are ragged, one in many pieces. RSRefSeg
  2 takes the first code only;
* some images are not 800 x 800, their masks are (RMSIN#12, #27): those images are resized (benchmark/data/fitting.py);
* an image has one sentence. The XML files of ann_split have more, of which only the last has a mask, and refs(unc).p
  has that one alone (RMSIN#32); nothing here reads them. So no two sentences share a mask.
"""

from __future__ import annotations

from pathlib import Path

from benchmark.data.errors import SampleError
from benchmark.data.samples import Manifest
from benchmark.datasets.lines import Line, LinesConfig, line_entries, read_lines, sample_name
from benchmark.datasets.refer import Layout, linked_refs, sentence_entries
from benchmark.datasets.spec import Drive, File, Spec
from benchmark.datasets.triplets import Entry, write_published

LAYOUT = Layout("rrsisd/refs(unc).p", "rrsisd/instances.json", "images/rrsisd/JPEGImages")
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


class RRSISDConfig(LinesConfig):
    """See LinesConfig."""

    root: str = "raw/rrsisd"
    images_in = LAYOUT.images


def entries(config: RRSISDConfig) -> list[Entry]:
    """A sample for each sentence, named by its sent_id; of JSON lines by the ann_id, which is the same number."""
    if config.lines is not None:
        return line_entries(config, SPEC, _category)
    return sentence_entries(config.images_root, LAYOUT, CATEGORIES)


def _category(line: Line, where: str) -> str:
    """The category of a JSON line, which has its name and its number."""
    if line.category_name not in CATEGORIES:
        raise SampleError(f"{where}: category_name is {line.category_name!r}, none of {', '.join(CATEGORIES)}")
    if line.category_id is not None and CATEGORIES.index(line.category_name) != line.category_id:
        raise SampleError(
            f"{where}: category_name is {line.category_name!r}, which is number "
            f"{CATEGORIES.index(line.category_name)}, and category_id {line.category_id}; correct the line"
        )
    return line.category_name


def published_boxes(config: RRSISDConfig) -> dict[str, tuple[float, float, float, float]]:
    """x1, y1, x2, y2 of each sample as its files have them."""
    if config.lines is not None:
        return {sample_name(line): line.bbox for _, line in read_lines(config, SPEC) if line.bbox is not None}
    refs, _ = linked_refs(config.images_root, LAYOUT, categories=False)
    boxes = {str(sentence.sent_id): found[0].box for ref, _, found in refs if found for sentence in ref.sentences}
    return {sample_id: box for sample_id, box in boxes.items() if box is not None}


def build(folder: Path, config: RRSISDConfig) -> Manifest:
    """Write the table of RRSIS-D into ``folder``; its images stay where they are."""
    return write_published(folder, SPEC, config, entries(config), image_is_named_once=True)
