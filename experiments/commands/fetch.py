"""A dataset downloaded where it is missing, built, and what reports need of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmark.data.samples import Dataset, load_dataset
from benchmark.datasets.patches import PatchConfig
from benchmark.datasets.triplets import PublishedConfig
from benchmark.metrics.strata import save_strata
from benchmark.output.terminal import say
from benchmark.results.truth import save_examples, save_truth
from experiments.config import dataset_config, load_params, source_of
from experiments.download.datasets import console, download_dataset
from experiments.errors import InputError, clear_errors
from experiments.places import DATA


def main(dataset: str, offline: bool, allow_count_mismatch: bool) -> None:
    """Build one dataset."""
    with clear_errors():
        params = load_params()
        source, config = source_of(params, dataset), dataset_config(params, dataset)
        if allow_count_mismatch:
            if "allow_count_mismatch" not in type(config).model_fields:
                raise InputError(f"--allow-count-mismatch: {dataset} has no published counts; leave it out")
            config = config.model_copy(update={"allow_count_mismatch": True})
        if source.spec is not None:
            if source.spec.superseded_by:
                say(console, f"{dataset} is superseded by {source.spec.superseded_by}", style="yellow")
            for fact in source.spec.unconfirmed:
                say(console, f"{dataset}: not confirmed: {fact}", style="yellow")
            if source.spec.files and isinstance(config, PublishedConfig | PatchConfig):
                spec = config.needed(source.spec) if isinstance(config, PublishedConfig) else source.spec
                download_dataset(spec, Path(config.root), offline)
        folder = DATA / dataset
        with printed(logging.getLogger("benchmark.datasets")):
            source.build(folder, config)
        built = load_dataset(folder, config.images_root)
        place = Path("results") / dataset
        save_truth(place / "truth.parquet", built)
        save_examples(place / "examples.parquet", built)
        save_strata(place / "strata.parquet", built.split("test"))
        say(console, f"{dataset}: {_summary(built)} -> {folder}")


class _Printer(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(console, record.getMessage(), style="yellow" if record.levelno >= logging.WARNING else "")


@contextmanager
def printed(logger: logging.Logger) -> Iterator[None]:
    """What is logged in the block is said on the terminal."""
    printer, level = _Printer(), logger.level
    logger.addHandler(printer)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(printer)
        logger.setLevel(level)


def _summary(dataset: Dataset) -> str:
    """Samples per split, and how many of them have a category."""
    counts = ", ".join(f"{split} {count['samples']:,}" for split, count in dataset.manifest.counts.items())
    known = dataset.samples["category"].notna().mean()
    nothing = int((dataset.samples["mask_area"] == 0).sum())
    absent = f", {nothing:,} of them no-target" if nothing else ""
    return f"{counts} samples{absent}; {known:.1%} with a category"
