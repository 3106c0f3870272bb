"""Foundation weights pretrained, downloaded, or said to be another model's."""

from __future__ import annotations

import time
from pathlib import Path

from benchmark.data.files import write_all
from benchmark.output.terminal import terminal
from experiments.config import load_params, model_config, pick
from experiments.download.weights import download_weights
from experiments.errors import InputError, clear_errors
from experiments.foundation_like import write_like
from experiments.foundations import REPORT
from experiments.pretraining.pretrain import pretrain
from models.systems import entry_of


def main(model: str, only: str | None, weights: Path) -> None:
    """Pretrain or download the foundation models of one size, or write down whose they are."""
    with clear_errors():
        params = load_params()
        plan = params.foundation[pick("foundation", model, params.foundation)]
        config = model_config(params, model)
        entry = entry_of(config)
        if plan.like is not None and only is not None:
            raise InputError(f"--only {only}: {model} is like {plan.like}, and has no part of its own; leave it out")
        known = entry.parts if plan.pretrain is None else (*entry.parts, "measure")
        parts = known if only is None else (pick("part", only, known),)
        started, console = time.perf_counter(), terminal()
        files = entry.files(weights / model)
        if not files:  # a system that is built on nothing
            write_all({weights / model / REPORT: b'{"sha256": {}}\n'})
        elif plan.pretrain is not None:
            pretrain(config, plan.pretrain, files, parts)
        elif plan.source is not None:
            console.print(download_weights(config, plan.source, files, parts, model, console.print))
        elif plan.like is not None:
            console.print(write_like(model, config, files, plan.like, model_config(params, plan.like), weights))
        console.print(f"{', '.join(parts)}: {time.perf_counter() - started:.0f} s")
