"""RRSIS-HR: 1024 x 1024 images of RSVG-HR with long sentences (Liu, Jiang and Zhang, CADFormer, 2025).

    rrsishr/refs(unc).p                     the refs, and
    rrsishr/instances.json                  their masks and categories, as refer.py says
    images/rrsishr/JPEGImages/<file_name>

These are the folders of CADFormer's own reader (refer/refer.py at commit 1a7bda1), which is RMSIN's; the files follow
RRSIS-D, its oddities included where they have them: a category may stand under `categories_id`, a segmentation may be a
list of codes. The names of the categories are read from the file.
"""

from __future__ import annotations

from pathlib import Path

from benchmark.data.samples import Manifest
from benchmark.datasets.refer import Layout, sentence_entries
from benchmark.datasets.spec import File, Spec
from benchmark.datasets.triplets import Entry, PublishedConfig, write_published

LAYOUT = Layout("rrsishr/refs(unc).p", "rrsishr/instances.json", "images/rrsishr/JPEGImages")

SPEC = Spec(
    name="rrsishr",
    title="RRSIS-HR",
    source="https://github.com/zxk688/CADFormer",
    licence="not stated by its authors; made from RSVG-HR",
    citation="M. Liu, X. Jiang, X. Zhang, CADFormer: Fine-Grained Cross-Modal Alignment and Decoding Transformer for "
    "Referring Remote Sensing Image Segmentation, IEEE JSTARS 18, 2025, doi:10.1109/JSTARS.2025.3576595, "
    "arXiv:2503.23456",
    how="follow the links to RRSIS-HR there (Baidu Netdisk, OneDrive) and lay what they give so that "
    "{root}/rrsishr/refs(unc).p, {root}/rrsishr/instances.json and {root}/images/rrsishr/JPEGImages exist",
    files=(
        File(name="refs(unc).p", origin=None, into="rrsishr"),
        File(name="instances.json", origin=None, into="rrsishr"),
        File(name="JPEGImages.zip", origin=None, into="images/rrsishr", holds=("JPEGImages",)),
    ),
    counts={"train": 2_118, "val": 268, "test": 264},
    image_size=(1024, 1024),
    unconfirmed=(
        "counts and image size are those of public code that reads it (Abdul-Insighht/RRSIS_SAM3), not of its authors",
        "that its seven categories are listed in instances.json; their names are not in any public text found",
        "its licence",
    ),
)


class RRSISHRConfig(PublishedConfig):
    """See PublishedConfig."""

    root: str = "raw/rrsishr"


def entries(config: RRSISHRConfig) -> list[Entry]:
    """A sample for each sentence, named by its sent_id."""
    return sentence_entries(config.images_root, LAYOUT)


def build(folder: Path, config: RRSISHRConfig) -> Manifest:
    """Write the table of RRSIS-HR into ``folder``; its images stay where they are."""
    return write_published(folder, SPEC, config, entries(config))
