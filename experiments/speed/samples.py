"""Samples by the hundred thousand, and runs on them: drawn blobs of a small pool, so that making them costs little."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.rle import decode_mask
from benchmark.data.samples import Dataset, load_dataset, make_sample, save_dataset
from benchmark.metrics.calibration import THRESHOLDS
from benchmark.metrics.iou import summary
from benchmark.metrics.measure import Details, measure
from benchmark.metrics.strata import save_strata
from benchmark.results.provenance import provenance
from benchmark.results.schema import NOT_TRAINED, TEST_SPLIT, Evaluation, Result, Run
from benchmark.results.store import collapse_of, data_of, result_folder, save_result
from benchmark.results.truth import save_examples, save_truth

if TYPE_CHECKING:  # what measures memory does without torch where it can
    from torch import Tensor

SIDE, POOL = 64, 200  # px; blobs
CATEGORIES = 20
MODEL = "drawn"
Mask = NDArray[np.bool_]


def blobs(side: int, count: int, seed: int = 0) -> list[Mask]:
    """So many (side, side) outlines that wave around a circle, of 0.2 % to 20 % of the image."""
    rng = np.random.default_rng(seed)
    ys, xs = np.mgrid[:side, :side] / side
    masks = []
    for _ in range(count):
        x, y = rng.uniform(0.2, 0.8, size=2)
        angle = np.arctan2(ys - y, xs - x)
        waves = sum(rng.normal(0, 0.2 / k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi)) for k in range(2, 9))
        radius = np.exp(rng.uniform(np.log(0.025), np.log(0.25))) * (1 + waves)
        masks.append((xs - x) ** 2 + (ys - y) ** 2 <= radius**2)
    return [mask if mask.any() else ~mask for mask in masks]


def draw_table(samples: int, per_image: int, seed: int = 0) -> pd.DataFrame:
    """Rows of a table of samples whose images are one file."""
    rng = np.random.default_rng(seed)
    kinds = [make_sample("", "", "images/one.png", TEST_SPLIT, "", "", mask) for mask in blobs(SIDE, POOL)]
    drawn = rng.integers(POOL, size=samples)
    columns = {name: [kinds[kind][name] for kind in drawn] for name in kinds[0]}
    columns["sample_id"] = [f"{place:07d}" for place in range(samples)]
    columns["image_id"] = [f"{place // per_image:07d}" for place in range(samples)]
    columns["category"] = [f"kind {kind % CATEGORIES}" for kind in drawn]
    places = ("on the left", "in the middle", "", "next to the road")
    columns["expression"] = [
        f"the blob {number} {places[kind % 4]}".strip() for number, kind in zip(range(samples), drawn, strict=True)
    ]
    return pd.DataFrame(columns)


def write_dataset(folder: Path, samples: int, per_image: int) -> Dataset:
    """The dataset of `draw_table`, all of it in the test split, with its image."""
    (folder / "images").mkdir(parents=True)
    Image.fromarray(np.full((SIDE, SIDE, 3), 90, np.uint8)).save(folder / "images" / "one.png")
    table = draw_table(samples, per_image)
    save_dataset(folder, table, name=folder.name, source="drawn", licence="CC0-1.0", citation="none")
    return load_dataset(folder)


class Guess:
    """A predictor with the truth for half of the expressions and a blob at random for the others; it computes nothing.

    Args:
        dataset: whose samples it answers, found by their expressions.
    """

    def __init__(self, dataset: Dataset, seed: int = 0) -> None:
        self._blobs = blobs(SIDE, POOL, seed + 1)
        self._truth = dict(zip(dataset.samples["expression"], dataset.samples["mask"], strict=True))

    def predict(self, images: list[Tensor], texts: list[str], image_index: list[int]) -> list[Mask]:
        """As benchmark.evaluator.Predictor."""
        numbers = [int(text.split()[2]) for text in texts]
        return [
            decode_mask(self._truth[text], SIDE, SIDE) if number % 2 else self._blobs[number % POOL]
            for number, text in zip(numbers, texts, strict=True)
        ]

    def predict_logits(
        self, images: list[Tensor], texts: list[str], image_index: list[int]
    ) -> list[NDArray[np.float32]]:
        """As benchmark.evaluator.LogitPredictor."""
        return [np.where(mask, np.float32(1.5), np.float32(-1.5)) for mask in self.predict(images, texts, image_index)]


def write_results(root: Path, dataset: Dataset, variants: Sequence[str], seeds: Sequence[int]) -> None:
    """results/ and params.yaml as a report reads them: of each run the truth for a share of the samples, a blob at
    random for the others."""
    truth = dataset.split(TEST_SPLIT)
    place = root / "results" / dataset.folder.name
    save_truth(place / "truth.parquet", dataset)
    save_strata(place / "strata.parquet", truth)
    save_examples(place / "examples.parquet", dataset)
    codes = truth["mask"].to_numpy(object)
    for number, variant in enumerate(variants):
        for seed in seeds:
            rng = np.random.default_rng([number, seed])
            right, other = rng.random(len(codes)) < 0.5 - 0.05 * number, codes[rng.permutation(len(codes))]
            masks = pd.DataFrame({"sample_id": truth["sample_id"], "prediction": np.where(right, codes, other)})
            lines = measure(truth, masks, Details((480,)))
            write_result(root / "results", dataset, lines, masks, draw_sweep(lines), variant, seed)
    run = {"datasets": [dataset.folder.name], "models": [MODEL], "controls": []}
    content = {"run": {**run, "variants": list(variants), "seeds": list(seeds)}, "datasets": {}, "models": {}}
    content["variants"] = {variant: {} for variant in variants}
    (root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def write_result(
    root: Path,
    dataset: Dataset,
    lines: pd.DataFrame,
    masks: pd.DataFrame,
    sweep: pd.DataFrame | None,
    variant: str,
    seed: int,
) -> None:
    """One result folder under `root`."""
    run = Run(
        dataset=dataset.folder.name, model=MODEL, variant=variant, seed=seed, control=False, config={},
        fingerprint=f"drawn {variant} {seed}",
    )  # fmt: skip
    test = Evaluation(
        samples=len(lines), images=lines["image_id"].nunique(), seconds=1, predict_seconds=1, metrics=summary(lines)
    )
    result = Result(
        run=run, data=data_of(dataset), train=NOT_TRAINED, eval={TEST_SPLIT: test},
        collapse=collapse_of(run, lines, masks), meta=provenance("drawn"),
    )  # fmt: skip
    save_result(result_folder(root, run), result, lines, None, masks, sweep)


def draw_sweep(lines: pd.DataFrame) -> pd.DataFrame:
    """Areas that shrink as the threshold grows."""
    factors = 1.5 - np.array(THRESHOLDS)
    columns = {
        name: list(np.round(lines[column].to_numpy()[:, None] * factors).astype(np.int64))
        for name, column in (("area", "predicted_area"), ("intersection", "intersection"))
    }
    return pd.DataFrame({"sample_id": lines["sample_id"], "pixels": SIDE * SIDE, **columns})
