"""Test samples chosen by a rule, and what each variant made of them, kept for reports."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pandas as pd
import torch
from PIL import Image
from rich.console import Console

from benchmark.data.files import write_table
from benchmark.data.samples import Dataset
from benchmark.results.cases import COLUMNS, MAPS, RULES, choose_cases, encode_map
from benchmark.results.store import ResultError, StoredResult, load_result
from experiments.config import load_params, open_dataset, resolve
from experiments.errors import clear_errors
from experiments.foundations import weights_folder
from experiments.places import RESULTS
from experiments.runs import load_model
from experiments.settings import ExperimentConfig

REFERENCE = "rsrefseg"


def keep_cases(
    config: ExperimentConfig, stored: StoredResult, dataset: Dataset, cases: Sequence[tuple[str, str]]
) -> list[dict[str, object]]:
    """Rows of benchmark.results.cases of one run; all but its own columns are the sample's.

    Raises:
        ResultError: the checkpoint is another run's.
    """
    model, fingerprint = load_model(config, weights_folder(config.model_name))
    if fingerprint != stored.result.run.fingerprint:
        raise ResultError(f"{stored.folder} is not of the checkpoint that lies here; evaluate the run again")
    predicted = dict(zip(stored.predictions["sample_id"], stored.predictions["prediction"], strict=True))
    samples = {sample["sample_id"]: sample for sample in dataset.split("test").to_dict("records")}
    rows: list[dict[str, object]] = []
    for rule, name in cases:
        sample = samples[name]
        pixels = dataset.pixels(sample["image"])
        lit = model.activations([torch.from_numpy(pixels).permute(2, 0, 1).contiguous()], [sample["expression"]], [0])
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, format="JPEG", quality=90)
        own = {"variant": config.variant, "fingerprint": fingerprint, "prediction": predicted[name]}
        maps = {key: encode_map(lit[0][key]) if key in lit[0] else None for key in MAPS}
        rows.append(
            {
                "rule": rule, **{column: sample[column] for column in ("sample_id", "expression", "height", "width")},
                "image": stream.getvalue(), "mask": sample["mask"], **own, **maps,
            }
        )  # fmt: skip
    return rows


def main(dataset: str, model: str) -> None:
    """Choose and keep the cases of one dataset and model."""
    with clear_errors():
        params = load_params()
        data, seed = open_dataset(params, dataset), params.run.seeds[0]
        stored = {
            variant: load_result(RESULTS / dataset / model / variant / str(seed)) for variant in params.run.variants
        }
        reference = REFERENCE if REFERENCE in stored else next(iter(stored), None)
        others = [one.lines for variant, one in stored.items() if variant != reference]
        cases = [] if reference is None else choose_cases(stored[reference].lines, others)
        rows = [
            row
            for variant, one in stored.items()
            for row in keep_cases(resolve(params, dataset, model, variant, seed), one, data, cases)
        ]
        order = [name for _, name in cases]
        rows.sort(key=lambda row: order.index(str(row["sample_id"])))  # stable: by case, then as run.variants
        path = RESULTS / dataset / "cases" / f"{model}.parquet"
        write_table(path, pd.DataFrame(rows, columns=list(COLUMNS)))
        counts = {rule: sum(found == rule for found, _ in cases) for rule in RULES}
        said = ", ".join(f"{count} {rule}" for rule, count in counts.items())
        Console().print(f"{dataset} · {model}: {said} -> {path}", highlight=False, soft_wrap=True)
