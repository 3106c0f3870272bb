"""Foundation weights pretrained or downloaded."""

from __future__ import annotations

import time
from pathlib import Path

from benchmark.output.terminal import terminal
from experiments.config import load_params, model_config, pick
from experiments.download.weights import download_weights
from experiments.errors import clear_errors
from experiments.pretraining.pretrain import pretrain


def main(model: str, only: str | None, weights: Path) -> None:
    """Pretrain or download the foundation models of one size."""
    with clear_errors():
        params = load_params()
        plan = params.foundation[pick("foundation", model, params.foundation)]
        config = model_config(params, model)
        known = ("clip", "sam") if plan.pretrain is None else ("clip", "sam", "measure")
        parts = known if only is None else (pick("part", only, known),)
        started, console = time.perf_counter(), terminal()
        if plan.source is not None:
            console.print(download_weights(config, plan.source, weights / model, parts, model))
        elif plan.pretrain is not None:
            pretrain(config, plan.pretrain, weights / model, parts)
        console.print(f"{', '.join(parts)}: {time.perf_counter() - started:.0f} s")
