"""What MLflow is told of a run, by the result file or while it trains. Nothing of MLflow is imported here.

No credential is among it, and its texts are as the page of MLflow shows them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmark.output.escaping import markdown, visible
from benchmark.output.secrets import mask
from benchmark.results.provenance import Meta
from benchmark.results.schema import Run
from experiments.settings import ExperimentConfig

DESCRIPTION_TAG = "mlflow.note.content"  # what MLflow shows as description, of a run and of an experiment
KEY_TAGS = ("dataset", "model", "variant", "seed")
FINGERPRINT_TAG = "fingerprint"  # of configuration, data and foundation weights
CURVES = {  # a metric with a history -> the columns of curve.csv it is drawn over and taken from
    "train/loss": ("step", "loss"),
    "train/lr": ("step", "lr"),
    "val/miou": ("epoch", "val_miou"),
}

Curves = Mapping[str, Sequence[tuple[int, float]]]


@dataclass(frozen=True)
class Record:
    """What MLflow is told of one run.

    `about` describes the experiment, in Markdown. `tags` hold KEY_TAGS and FINGERPRINT_TAG; `curves` are name ->
    [(step, value)]; `artifacts` are file name -> bytes; `sha256` is of what all this was made from. A run that still
    trains has no more than its tags and params.
    """

    experiment: str
    about: str
    name: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Curves = field(default_factory=dict)
    artifacts: Mapping[str, bytes] = field(default_factory=dict)
    sha256: str = ""


def record_of(run: Run, meta: Meta, tags: Mapping[str, str]) -> Record:
    """What is known of a run before it is trained; tags: what more there is to say."""
    method = run.variant if run.outside is None else f"{visible(run.outside)} †"
    tags = {
        "dataset": run.dataset,
        "model": run.model,
        "variant": run.variant,
        "seed": str(run.seed),
        "control": str(run.control).lower(),
        FINGERPRINT_TAG: run.fingerprint,
        "device": meta.device,
        "git_commit": meta.git_commit or "unknown",
        "git_dirty": "unknown" if meta.git_dirty is None else str(meta.git_dirty).lower(),
        **tags,
    }
    return Record(
        experiment=run.dataset,
        about=f"Runs on dataset {markdown(run.dataset)}: group them by the tag variant, chart test/miou and val/miou.",
        name=mask(f"{method} · {run.dataset} · {run.model} · {run.seed}"),
        tags={name: mask(visible(text, keep="\n")) for name, text in tags.items()},
        params={mask(visible(name)): mask(visible(text)) for name, text in flatten(run.config).items()},
    )


def training_record(config: ExperimentConfig, fingerprint: str, meta: Meta) -> Record:
    """What is told of a run while it trains."""
    run = Run(
        dataset=config.dataset, model=config.model_name, variant=config.variant, seed=config.seed, control=False,
        config=config.plain(), fingerprint=fingerprint,
    )  # fmt: skip
    return record_of(run, meta, {DESCRIPTION_TAG: f"{title(run)}\n\nNot evaluated yet: the curve of its training"})


def title(run: Run) -> str:
    """What is said first of a run, in Markdown."""
    variant, dataset, model = (markdown(name) for name in (run.variant, run.dataset, run.model))
    if run.outside is not None:
        return f"**{markdown(run.outside)}** on **{dataset}**: an external submission, scored here"
    kind = "training-free baseline" if run.control else f"variant, seed {run.seed}"
    return f"**{variant}** ({kind}) on **{dataset}**, model **{model}**"


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested configuration -> "a.b" -> text; all but strings as JSON, so that null, false and [1, 2] stay apart."""
    flat: dict[str, str] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{name}."))
        else:
            flat[name] = value if isinstance(value, str) else json.dumps(value)
    return flat


def curves_of(lines: Iterable[Mapping[Any, Any]]) -> Curves:
    """Loss and learning rate by step, validation mIoU by epoch, as curve.csv rounds them; what has no points is left
    out. lines: of a curve, as benchmark.results.store.CURVE_COLUMNS names them."""
    found: dict[str, dict[int, float]] = {name: {} for name in CURVES}
    for line in lines:
        for name, (by, column) in CURVES.items():
            if line[column] is not None and not math.isnan(line[column]):
                found[name][int(line[by])] = float(f"{line[column]:.6g}")
    return {name: list(points.items()) for name, points in found.items() if points}
