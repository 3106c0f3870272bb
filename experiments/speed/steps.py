"""One step on so many samples, in a process of its own, so that its memory is its own: what growth.py starts.

    python -m experiments.speed.steps metrics 1000 FOLDER

Prints the seconds that the step itself took, without what it is given.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from benchmark.data.rle import encode_mask
from benchmark.data.samples import load_dataset
from benchmark.journal import Journal
from benchmark.metrics.measure import Details, measure
from benchmark.metrics.statistics import bootstrap_intervals
from benchmark.results.schema import TEST_SPLIT
from experiments.speed.samples import POOL, SIDE, Guess, blobs, write_dataset, write_result, write_results

PER_IMAGE = 10  # expressions of an evaluation's and its report's images
VARIANTS = ("rsrefseg", "no_lora", "global_only", "local_only", "no_dense_prompt")
SEEDS = (0, 1, 2)
DRAWS = 1_000
DETAILS = Details((480,))


def metrics(size: int, folder: Path) -> float:
    """The per-sample table of so many pairs of codes, boundaries and 480 x 480 with it."""
    rng = np.random.default_rng(0)
    codes = pd.Series([encode_mask(mask) for mask in blobs(SIDE, POOL)])
    names = pd.Series(np.arange(size)).astype(str)
    samples = pd.DataFrame({"sample_id": names, "image_id": names, "category": None, "height": SIDE, "width": SIDE})
    samples["mask"], predicted = (codes.take(rng.integers(POOL, size=size)).to_numpy() for _ in range(2))
    predictions = pd.DataFrame({"sample_id": names, "prediction": predicted})
    return _seconds(lambda: measure(samples, predictions, DETAILS))


def statistics(size: int, folder: Path) -> float:
    """All intervals of so many samples, each of an image of its own, which is the most there is to draw; of DRAWS
    resamples, a tenth of what a table has."""
    rng = np.random.default_rng(0)
    union, names = rng.integers(50, 5000, size=size), pd.Series(np.arange(size)).astype(str)
    both = (union * rng.beta(2, 2, size=size)).astype(int)
    areas = {"mask_area": union, "predicted_area": both, "intersection": both, "union": union}
    lines = pd.DataFrame({"sample_id": names, "image_id": names, "category": None, **areas})
    return _seconds(lambda: bootstrap_intervals(lines, resamples=DRAWS))


def dataset(size: int, folder: Path) -> float:
    """A dataset with PER_IMAGE expressions an image."""
    return _seconds(lambda: write_dataset(folder / "data", size, PER_IMAGE))


def evaluation(size: int, folder: Path) -> float:
    """Predicted by a stub with logits, with a journal, measured and written."""
    from benchmark.evaluator import evaluate  # with torch, which the other steps do without

    data = load_dataset(folder / "data")
    predictor, journal = Guess(data), Journal(folder / "work" / "batches", "drawn")

    def run() -> None:
        found = evaluate(predictor, data, TEST_SPLIT, batch_images=16, details=DETAILS, journal=journal)
        write_result(folder / "evaluated", data, found.lines, found.masks, found.sweep, VARIANTS[0], 0)

    return _seconds(run)


def one_run(size: int, folder: Path) -> float:
    """The results of one run on the dataset."""
    return _seconds(lambda: write_results(folder, load_dataset(folder / "data"), VARIANTS[:1], SEEDS[:1]))


def study(size: int, folder: Path) -> float:
    """The results of all VARIANTS and SEEDS on so many images with an expression each."""
    return _seconds(lambda: write_results(folder, write_dataset(folder / "data", size, 1), VARIANTS, SEEDS))


def _seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


STEPS = {step.__name__: step for step in (metrics, statistics, dataset, evaluation, one_run, study)}


def main(
    step: Annotated[str, typer.Argument(help=", ".join(STEPS))],
    size: Annotated[int, typer.Argument(help="samples, or images of a study")],
    folder: Annotated[Path, typer.Argument(help="what a step writes for the next")],
) -> None:
    """Do it."""
    typer.echo(STEPS[step](size, folder))


if __name__ == "__main__":
    typer.run(main)
