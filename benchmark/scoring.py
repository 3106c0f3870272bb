"""External submissions: masks that somebody else's model made.

Predictions of a split are either one JSON line per sample,

    {"sample_id": "test_1_0", "mask": {"size": [height, width], "counts": "..."}}

with COCO's run-length code (counts compressed, or a list of runs), or a folder of <sample_id>.png: 0 and one other
value, or black and one other colour.
Every sample of the split must be there once, at its image's own size, and nothing else: otherwise nothing is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from benchmark.data.errors import SampleError
from benchmark.data.images import read_exact_mask
from benchmark.data.plain_json import load_json
from benchmark.data.rle import encode_mask
from benchmark.data.samples import Dataset
from benchmark.datasets.instances import Rle, rle_mask

Reader = Callable[[int, int], NDArray[np.bool_]]  # (height, width) -> the mask


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    sample_id: str
    mask: Annotated[Rle, Field(validation_alias=AliasChoices("mask", "segmentation"))]


def read_submission(dataset: Dataset, split: str, path: Path) -> pd.DataFrame:
    """The masks of a file or folder: sample_id, prediction (COCO compressed RLE), in the order of the split.

    Raises:
        FileNotFoundError: there is no such file or folder.
        SampleError: naming file, line or sample: a line that is none, a sample unknown, missing or there twice, a mask
            of another size or of other values than 0 and one more.
    """
    samples = dataset.split(split)
    readers = _folder(path) if path.is_dir() else _lines(path)
    _check_ids(path, split, samples["sample_id"].tolist(), readers)
    return pd.DataFrame(
        [
            {"sample_id": name, "prediction": encode_mask(readers[name](height, width))}
            for name, height, width in zip(samples["sample_id"], samples["height"], samples["width"], strict=True)
        ]
    )


def miou_interchanged(lines: pd.DataFrame, samples: pd.DataFrame) -> float:
    """The mIoU, in [0, 1], that the masks of a per-sample table would have with object and background interchanged.

    samples: those of the table, in its order. 0 where none has a target.
    """
    there = lines["mask_area"].to_numpy() > 0
    intersection = (lines["mask_area"] - lines["intersection"]).to_numpy(np.float64)
    union = samples["height"].to_numpy() * samples["width"].to_numpy() - (
        lines["predicted_area"] - lines["intersection"]
    ).to_numpy(np.float64)
    return float((intersection[there] / union[there]).mean()) if there.any() else 0.0


def _lines(path: Path) -> dict[str, Reader]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; give a .jsonl file, or a folder of <sample_id>.png")
    found: dict[str, Reader] = {}
    with path.open("rb") as file:
        for number, text in enumerate(file, start=1):
            where = f"{path}, line {number}"
            if not text.strip():
                continue
            try:
                line = _Line.model_validate(load_json(text))
            except ValidationError as error:
                fault = error.errors()[0]
                field = ".".join(str(part) for part in fault["loc"])
                raise SampleError(f"{where}: {field or 'the line'}: {fault['msg']}; {FORM}") from error
            except (ValueError, RecursionError) as error:
                raise SampleError(f"{where} is not JSON ({error}); {FORM}") from error
            if line.sample_id in found:
                raise SampleError(f"{where}: sample {line.sample_id!r} is there already; give every sample one mask")
            found[line.sample_id] = _rle_reader(line.mask, f"{where}, sample {line.sample_id!r}")
    return found


FORM = 'a line is {"sample_id": "...", "mask": {"size": [height, width], "counts": "..."}}'


def _rle_reader(code: Rle, where: str) -> Reader:
    return lambda height, width: rle_mask(code, height, width, where)


def _folder(folder: Path) -> dict[str, Reader]:
    found: dict[str, Reader] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or path.name.startswith("."):  # ._NAME and .DS_Store lie beside others on a Mac
            continue
        if path.suffix.lower() != ".png":
            raise SampleError(f"{path} is no PNG; the folder may hold <sample_id>.png and nothing else")
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise SampleError(f"{path}: sample {name!r} is there already; give every sample one mask")
        found[name] = _png_reader(path)
    return found


def _png_reader(path: Path) -> Reader:
    def read(height: int, width: int) -> NDArray[np.bool_]:
        mask = read_exact_mask(path)
        if mask.shape != (height, width):
            raise SampleError(
                f"{path} is {mask.shape[0]}x{mask.shape[1]} (height x width), its image {height}x{width}; "
                "save masks at their image's own size"
            )
        return mask

    return read


def _check_ids(path: Path, split: str, due: Sequence[str], found: Mapping[str, Reader]) -> None:
    known = set(due)
    if unknown := [name for name in found if name not in known]:
        raise SampleError(
            f"{path}: {len(unknown)} sample(s) are not in split {split!r}, for example {unknown[0]!r}; leave them out"
        )
    if missing := [name for name in due if name not in found]:
        raise SampleError(
            f"{path}: {len(missing)} of {len(due)} samples of split {split!r} have no mask, for example {missing[0]!r}"
            "; a method that finds nothing has an empty mask there"
        )
