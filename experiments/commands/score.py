"""Masks of an external submission scored, and recorded as a result."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pandas as pd

from benchmark.data.samples import SPLITS, Dataset
from benchmark.metrics.collapse import find_collapse
from benchmark.metrics.iou import summary
from benchmark.metrics.measure import Details, measure
from benchmark.output.terminal import progress_bar, say, terminal
from benchmark.results.provenance import provenance
from benchmark.results.schema import METRICS, NOT_TRAINED, TEST_SPLIT, Evaluation, Result, Run
from benchmark.results.store import StoredResult, collapse_of, data_of, load_result, result_folder, save_result
from benchmark.scoring import miou_interchanged, read_submission
from experiments.config import load_params, open_dataset
from experiments.errors import InputError, clear_errors
from experiments.places import RESULTS

MAX_NAME = 40  # characters
PLAIN_NAME = re.compile(r"[\w ()+\-.,:/&]+")
SUSPICIOUS = 0.3  # of mIoU, that masks would gain if object and background were interchanged
OUTSIDE = "outside"  # stands for the model in the result's place


def slug(name: str) -> str:
    """A name in print -> the name of its folder: "RMSIN (ours)" -> "rmsin-ours".

    Raises:
        InputError: it is too long for a table, has what a table or a formula would take as its own, or has no letter or
            digit of ASCII.
    """
    if len(name) > MAX_NAME or not PLAIN_NAME.fullmatch(name):
        raise InputError(
            f"--name {name[:80]!r}: give up to {MAX_NAME} letters, digits, spaces and any of ( ) + - _ . , : / & for "
            "the tables"
        )
    found = re.sub(r"[^a-z0-9._]+", "-", name.casefold()).strip("-._")
    if not found:
        raise InputError(f"--name {name!r} has no letter or digit that a folder could be called by; give another name")
    return found


def to_result(dataset: Dataset, name: str, predictions: Path, lines: pd.DataFrame, masks: pd.DataFrame) -> StoredResult:
    """The result of scored masks, not yet written. Nothing is known of the model: its costs are None."""
    run = Run(
        dataset=dataset.folder.name,
        model=OUTSIDE,
        variant=slug(name),
        seed=0,
        control=False,
        outside=name,
        config={"predictions": predictions.name},
        fingerprint=hashlib.sha256(b"outside " + name.encode()).hexdigest()[:16],  # verify compares its numbers
    )
    images = lines["image_id"].nunique()
    result = Result(
        run=run,
        data=data_of(dataset),
        train=NOT_TRAINED,
        eval={TEST_SPLIT: Evaluation(samples=len(lines), images=images, seconds=None, metrics=summary(lines))},
        collapse=collapse_of(run, lines, masks),
        meta=provenance(device="not run here"),
    )
    return StoredResult(result_folder(RESULTS, run), result, lines, None, masks)


def _check_place(folder: Path, name: str) -> None:
    """Raise InputError if another name has this folder."""
    if (folder / "result.json").is_file():
        there = load_result(folder).result.run.outside
        if there != name:
            raise InputError(f"--name {name!r}: {folder} already holds {there!r}; give another name, or delete it")


def main(dataset: str, predictions: Path, name: str, split: str) -> None:
    """Score one external submission."""
    with clear_errors():
        params = load_params()
        data = open_dataset(params, dataset)
        if split not in SPLITS:
            raise InputError(f"--split {split!r}: choose one of {', '.join(SPLITS)}")
        slug(name)
        masks = read_submission(data, split, predictions)
        with progress_bar(terminal(stderr=True), transient=True) as bar:
            task = bar.add_task(f"{name} {split}")
            lines = measure(
                data.split(split), masks, Details(params.evaluate.sides),
                lambda done, total: bar.update(task, completed=done, total=total),
            )  # fmt: skip
        place, collapse = "not recorded: only the test split is", find_collapse(lines, masks)
        if split == TEST_SPLIT:
            stored = to_result(data, name, predictions, lines, masks)
            _check_place(stored.folder, name)
            save_result(stored.folder, stored.result, stored.lines, None, stored.predictions)
            place = str(stored.folder)
        metrics, interchanged = summary(lines), miou_interchanged(lines, data.split(split))
        values = ", ".join(f"{METRICS[metric].title} {value:.4f}" for metric, value in metrics.items())
        console = terminal(soft_wrap=True)
        say(console, f"{name}: {split} {values} -> {place}")
        if interchanged > metrics["miou"] + SUSPICIOUS:
            what = "object and background interchanged the masks would have mIoU"
            say(console, f"note: with {what} {interchanged:.4f}: is 0 the object in {predictions}?", style="yellow")
        if collapse is not None:
            say(console, f"collapsed: {collapse.title} ({collapse.share:.1%}); it is marked so")
