"""The table of samples: one row per (image, expression, mask), the same whatever the source looked like.

A dataset is a folder: ``samples.parquet`` (this table), ``manifest.json`` (what it is, how many, its hashes) and
``images/``, unless its images stay where they were fetched to: then the manifest says so, and load_dataset() is told
where that is. Every row is validated once, when the table is saved (validation.py); later code trusts
it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from benchmark.data.files import UNREADABLE, read_parquet, write_all
from benchmark.data.fitting import Fit, fitted
from benchmark.data.images import read_image
from benchmark.data.rle import decode_mask, encode_mask, mask_bbox
from benchmark.data.validation import (
    COLUMNS,
    SCHEMA,
    SPLITS,
    TABLE,
    SampleError,
    check_columns,
    validate_samples,
)

__all__ = [
    "COLUMNS", "SPLITS", "Dataset", "Manifest", "SampleError", "decode_mask", "encode_mask", "load_dataset",
    "make_sample", "read_image", "save_dataset", "validate_samples",
]  # fmt: skip

MANIFEST = "manifest.json"
ROWS = 4096  # that are objects of Python at a time


class Manifest(BaseModel):
    """What a dataset is.

    counts: per split {"samples": n, "images": n}. samples_sha256: of the table's content, not of the file's bytes
    (those change with the Parquet library). images_sha256: of the images' paths and pixels. images_in: whether the
    images lie in the dataset's folder, or stay where they were fetched to. no_target: whether some expressions are of
    what is not there (empty masks). turned: image -> the orientation tag by which it was turned, 2 to 8. fitted: images
    of another size than their annotation's, which are resized (fitting.py). bands: which bands were taken (bands.py) ->
    of which images; those that have no others are not named.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: str
    licence: str
    citation: str
    counts: dict[str, dict[str, int]]
    samples_sha256: str
    images_sha256: str
    images_in: Literal["dataset", "root"] = "dataset"
    no_target: bool = False
    turned: dict[str, int] = {}
    fitted: dict[str, Fit] = {}
    bands: dict[str, list[str]] = {}

    def text(self) -> str:
        """As manifest.json; what is as usual is not written."""
        return self.model_dump_json(indent=2, exclude_defaults=True) + "\n"


@dataclass(frozen=True)
class Dataset:
    """A validated dataset on disk; the column `image` counts from ``images``."""

    folder: Path
    manifest: Manifest
    samples: pd.DataFrame
    images: Path

    def pixels(self, image: str) -> NDArray[np.uint8]:
        """(H, W, 3) RGB of an image of the table, of its rows' height and width.

        Raises what read_image() raises.
        """
        read = read_image(self.images / image)
        fit = self.manifest.fitted.get(image)
        return read if fit is None else fitted(read, fit.wanted)

    def split(self, name: str) -> pd.DataFrame:
        """The samples of one split, in the table's order.

        Raises SampleError for an unknown split or one that names no samples.
        """
        found = {split: count["samples"] for split, count in self.manifest.counts.items()}
        if name not in SPLITS:
            raise SampleError(f"{self.folder / TABLE}: unknown split '{name}'; choose one of {', '.join(SPLITS)}")
        rows = self.samples[self.samples["split"] == name].reset_index(drop=True)
        if rows.empty:
            raise SampleError(
                f"{self.folder / TABLE}: split '{name}' names no samples; the table has {found}; rebuild the dataset"
            )
        return rows


def make_sample(
    sample_id: str,
    image_id: str,
    image: str,
    split: str,
    expression: str,
    category: str | None,
    mask: NDArray[np.bool_],
    no_target: bool = False,
) -> dict[str, Any]:
    """One row of the table, everything that follows from the (H, W) mask filled in.

    The mask must have a pixel, unless it is a no-target expression (``no_target``).
    """
    height, width = mask.shape
    if not mask.any() and not no_target:
        raise SampleError(f"sample '{sample_id}' has an empty mask; leave the sample out or correct its mask")
    return {
        "sample_id": sample_id, "image_id": image_id, "image": image, "height": height, "width": width, "split": split,
        "expression": expression, "category": category, "mask": encode_mask(mask),
        "mask_area": int(np.count_nonzero(mask)), "bbox_xyxy": list(mask_bbox(mask)),
    }  # fmt: skip


def samples_sha256(samples: pd.DataFrame) -> str:
    """SHA-256 of the table's content: one line of JSON per row, in order."""
    digest = hashlib.sha256()
    for first in range(0, len(samples), ROWS):
        for row in samples[list(COLUMNS)].iloc[first : first + ROWS].to_dict("records"):
            row["bbox_xyxy"] = [int(value) for value in row["bbox_xyxy"]]
            row["category"] = row["category"] if isinstance(row["category"], str) else None
            digest.update(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()


def images_sha256(digests: Mapping[str, str]) -> str:
    """SHA-256 of the images' paths and pixels (not of their files' bytes, which change with the codec's version)."""
    return hashlib.sha256("".join(f"{image} {digests[image]}\n" for image in sorted(digests)).encode()).hexdigest()


def save_dataset(
    folder: Path,
    samples: pd.DataFrame,
    *,
    name: str,
    source: str,
    licence: str,
    citation: str,
    images: Path | None = None,
    no_target: bool = False,
    turned: Mapping[str, int] | None = None,
    bands: Mapping[str, str] | None = None,
    fit: bool = False,
) -> Manifest:
    """Validate all rows, then write the table and its manifest into ``folder``.

    images: where the images stay (None: they are in ``folder``). no_target: whether masks may be empty.
    turned, bands: of images that were turned by an orientation tag, or are of some of the bands of what they were cut
    from: which tag, which bands. It is seen here of images that stay as they are. fit: whether images may differ a
    little from their rows' size. The manifest names all of these.
    Raises what validate_samples() raises, and then leaves the folder as it was.
    """
    checked = validate_samples(samples, folder, images, no_target, fit)
    samples = samples[list(COLUMNS)].reset_index(drop=True)
    try:
        table = pa.Table.from_pandas(samples, schema=SCHEMA, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SampleError(f"{folder / TABLE}: a column has the wrong type: {error}; the schema is {SCHEMA}") from error
    taken: dict[str, list[str]] = {}
    for image, choice in {**checked.bands, **(bands or {})}.items():
        taken.setdefault(choice, []).append(image)
    counts = {
        split: {"samples": len(rows), "images": int(rows["image_id"].nunique())}
        for split, rows in ((split, samples[samples["split"] == split]) for split in SPLITS)
    }
    manifest = Manifest(
        name=name, source=source, licence=licence, citation=citation, counts=counts,
        samples_sha256=samples_sha256(samples), images_sha256=images_sha256(checked.digests),
        images_in="dataset" if images is None else "root", no_target=no_target,
        turned={**checked.turned, **(turned or {})}, fitted=checked.fitted, bands=taken,
    )  # fmt: skip
    stream = io.BytesIO()
    pq.write_table(table, stream)
    write_all({folder / TABLE: stream.getvalue(), folder / MANIFEST: manifest.text().encode()})
    return manifest


def load_dataset(folder: Path, root: Path | None = None) -> Dataset:
    """Read a saved dataset. root: where its images stay, of a dataset that does not hold them itself.

    Raises FileNotFoundError if it or the root of its images is not there, SampleError if the table is not the one the
    manifest describes.
    """
    for path in (folder / MANIFEST, folder / TABLE):
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} does not exist; fetch it first: python -m experiments.fetch --dataset {folder.name}"
            )
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
        samples = read_parquet(folder / TABLE)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))} {fault['msg']}".strip() for fault in error.errors())
        raise SampleError(
            f"{folder / MANIFEST}: {faults}; fetch it again: python -m experiments.fetch --dataset {folder.name}"
        ) from error
    except UNREADABLE as error:
        raise SampleError(
            f"{folder / TABLE}: cannot be read ({error}); fetch it again: python -m experiments.fetch "
            f"--dataset {folder.name}"
        ) from error
    check_columns(samples, folder)
    samples["category"] = samples["category"].astype(object).where(samples["category"].notna(), None)
    found = samples_sha256(samples)
    if found != manifest.samples_sha256:
        raise SampleError(
            f"{folder / TABLE}: its content has SHA-256 {found}, {MANIFEST} says {manifest.samples_sha256}; "
            "the table was changed after it was saved; fetch it again: python -m experiments.fetch "
            f"--dataset {folder.name}"
        )
    if manifest.images_in == "dataset":
        return Dataset(folder, manifest, samples, folder)
    if root is None or not root.is_dir():
        raise FileNotFoundError(
            f"{root or 'the root of its images'} does not exist; the images of {folder} stay where they were fetched "
            f"to: fetch them again (python -m experiments.fetch --dataset {folder.name}), or set "
            f"datasets.{folder.name}.root in params.yaml to where they are"
        )
    return Dataset(folder, manifest, samples, root)
