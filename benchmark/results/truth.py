"""What a report needs of a dataset's test split, kept beside the results so that the dataset itself is not needed.

results/<dataset>/truth.parquet     every test sample with its true mask: with a run's masks, all that a metric takes
results/<dataset>/examples.parquet  a few of them with their images, chosen by a rule before any model sees them
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from PIL import Image

from benchmark.data.files import read_table, write_table
from benchmark.data.samples import Dataset
from benchmark.data.validation import SCHEMA

TRUTH_COLUMNS = ("sample_id", "image_id", "expression", "category", "height", "width", "mask")
EXAMPLE_COLUMNS = ("sample_id", "expression", "category", "height", "width", "image", "mask")


def save_truth(path: Path, dataset: Dataset) -> None:
    """Write the test samples of ``dataset`` without their images."""
    schema = pa.schema([SCHEMA.field(column) for column in TRUTH_COLUMNS])
    write_table(path, dataset.split("test")[list(TRUTH_COLUMNS)], schema)


def load_truth(path: Path) -> pd.DataFrame:
    """TRUTH_COLUMNS; masks as counts of COCO's compressed RLE.

    Raises FileNotFoundError if it is not there, SampleError for another table.
    """
    return read_table(path, TRUTH_COLUMNS, _remedy(path))


def choose_examples(dataset: Dataset, count: int = 6) -> pd.DataFrame:
    """The rows of up to ``count`` test samples, at most one per image.

    Evenly spaced over the split in order of SHA-256 of sample_id: the rule is fixed before any model runs and looks at
    nothing but the ids.
    """
    samples = dataset.split("test")
    order = (
        samples["sample_id"]
        .map(lambda sample_id: hashlib.sha256(sample_id.encode()).hexdigest())
        .sort_values(kind="stable")
        .index
    )
    one_each = samples.loc[order].drop_duplicates("image_id")
    places = np.linspace(0, len(one_each) - 1, num=min(count, len(one_each))).round().astype(int)
    return one_each.iloc[places].reset_index(drop=True)


def save_examples(path: Path, dataset: Dataset, count: int = 6) -> None:
    """Write the examples of ``dataset`` with their images (JPEG bytes) into one file: a report needs no dataset."""
    examples = choose_examples(dataset, count)
    images = []
    for image in examples["image"]:
        stream = io.BytesIO()
        Image.fromarray(dataset.pixels(image)).save(stream, format="JPEG", quality=90)
        images.append(stream.getvalue())
    schema = pa.schema([pa.field("image", pa.binary()) if c == "image" else SCHEMA.field(c) for c in EXAMPLE_COLUMNS])
    rows = examples.assign(image=images)[list(EXAMPLE_COLUMNS)]
    write_table(path, rows, schema)


def load_examples(path: Path) -> pd.DataFrame:
    """EXAMPLE_COLUMNS; images as JPEG, masks as counts of COCO's compressed RLE.

    Raises FileNotFoundError if it is not there, SampleError for another table.
    """
    return read_table(path, EXAMPLE_COLUMNS, _remedy(path))


def _remedy(path: Path) -> str:
    return f"fetch the dataset: python -m experiments.fetch --dataset {path.parent.name}"
