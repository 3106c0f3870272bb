"""RISBench: 512 x 512 images of 0.1 to 30 m per pixel with sentences written by a language model (Dong et al., 2024).

    img_rgb/<name>.png
    mask/<name>.png                         the values of a file vary, half of its largest decides
    output_phrase_{train,val,test}.txt      one line `<name>.png <sentence>`

or, with `lines`, JSON lines in the place of masks and sentences (lines.py).

An image is stored once for each of its sentences (test_1_0.png, test_1_1.png), each with a mask file of its own. The
category is in the sentence only: WORDS recovers it, and fetching says for what share of the sentences.
"""

from __future__ import annotations

from pathlib import Path

from benchmark.data.samples import Manifest
from benchmark.datasets.lines import LinesConfig, line_entries
from benchmark.datasets.spec import File, Spec
from benchmark.datasets.triplets import PHRASES, Entry, category_of, phrase_entries, write_published

WORDS = {  # 26 categories: the 20 of DIOR and the six of DOTA 2.0 that DIOR lacks; the published files have no list
    "airplane": ("airplane", "aeroplane", "plane", "aircraft", "jet"),
    "airport": ("airport",),
    "baseball field": ("baseball field", "baseball diamond", "baseball court"),
    "basketball court": ("basketball court",),
    "bridge": ("bridge",),
    "chimney": ("chimney",),
    "dam": ("dam",),
    "expressway service area": ("expressway service area", "service area"),
    "expressway toll station": ("expressway toll station", "toll station", "toll booth", "toll plaza"),
    "golf field": ("golf field", "golf course"),
    "ground track field": ("ground track field", "track field", "athletic track", "running track", "track and field"),
    "harbor": ("harbor", "harbour", "dock", "pier", "wharf"),
    "overpass": ("overpass", "flyover"),
    "ship": ("ship", "boat", "vessel", "yacht"),
    "stadium": ("stadium",),
    "storage tank": ("storage tank", "tank"),
    "tennis court": ("tennis court",),
    "train station": ("train station", "railway station"),
    "vehicle": ("vehicle", "car", "truck", "bus", "van", "lorry"),
    "windmill": ("windmill", "wind turbine", "wind mill"),
    "roundabout": ("roundabout", "traffic circle"),
    "soccer field": ("soccer field", "soccer ball field", "football field", "soccer-ball field"),
    "swimming pool": ("swimming pool", "pool"),
    "helicopter": ("helicopter",),
    "container crane": ("container crane", "crane"),
    "helipad": ("helipad", "helicopter pad"),
}

SPEC = Spec(
    name="risbench",
    title="RISBench",
    source="https://github.com/HIT-SIRS/CroBIM",
    licence="CC-BY-4.0 (images of DOTA 2.0 and DIOR)",  # says the README at its source, read at commit e066542
    citation="Z. Dong, Y. Sun, T. Liu, W. Zuo, Y. Gu, Cross-Modal Bidirectional Interaction Model for Referring Remote "
    "Sensing Image Segmentation, 2024, arXiv:2410.08613",
    how="follow the link to RISBench there and unpack what it gives so that "
    "{root}/img_rgb, {root}/mask and {root}/output_phrase_train.txt exist (train, val and test)",
    files=(File(name="RISBench.zip", origin=None, holds=("img_rgb", "mask", *PHRASES.values())),),
    counts={"train": 26_300, "val": 10_013, "test": 16_159},
    image_size=(512, 512),
    categories=tuple(WORDS),
)


class RISBenchConfig(LinesConfig):
    """See LinesConfig."""

    root: str = "raw/risbench"
    images_in = "img_rgb"


def entries(config: RISBenchConfig) -> list[Entry]:
    """A sample for each line of the three files of phrases, or of JSON lines."""
    if config.lines is not None:
        return line_entries(config, SPEC, lambda line, _: category_of(line.sent, WORDS))
    return phrase_entries(config.images_root, "img_rgb/{name}.png", "mask/{name}.png", WORDS)


def build(folder: Path, config: RISBenchConfig) -> Manifest:
    """Write the table of RISBench into ``folder``; its images stay where they are."""
    return write_published(folder, SPEC, config, entries(config))
