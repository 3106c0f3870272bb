"""Foundation weights pretrained, downloaded, or said to be another model's."""

from __future__ import annotations

import time
from pathlib import Path

from benchmark.output.terminal import terminal
from experiments.config import load_params, merged, pick
from experiments.download.weights import download_weights
from experiments.errors import clear_errors
from experiments.foundation_like import write_like
from experiments.pretraining.pretrain import pretrain
from experiments.settings import Params, parse
from models.config import Part
from models.systems import SYSTEMS
from models.zoo import MODELS, SYSTEM_OF


def model_config(params: Params, model: str) -> Part:
    """Stand-in for experiments.config.model_config."""
    entry = SYSTEMS[SYSTEM_OF[model]]
    config = merged(MODELS[model], params.models.get(model, {}))
    return parse(entry.config, {k: v for k, v in config.items() if k in entry.config.model_fields}, model)


def main(model: str, only: str | None, weights: Path) -> None:
    """Pretrain or download the foundation models of one size, or write down whose they are."""
    with clear_errors():
        params = load_params()
        plan = params.foundation[pick("foundation", model, params.foundation)]
        entry, config = SYSTEMS[SYSTEM_OF[model]], model_config(params, model)
        known = entry.parts if plan.pretrain is None else (*entry.parts, "measure")
        parts = known if only is None else (pick("part", only, known),)
        started, console = time.perf_counter(), terminal()
        files = entry.files(weights / model)
        if plan.pretrain is not None:
            pretrain(config, plan.pretrain, files, parts)
        elif plan.source is not None:
            console.print(download_weights(config, plan.source, files, parts, model, console.print))
        elif plan.like is not None:
            other = SYSTEMS[SYSTEM_OF[plan.like]].files(weights / plan.like)
            console.print(write_like(model, config, files, plan.like, model_config(params, plan.like), other))
        console.print(f"{', '.join(parts)}: {time.perf_counter() - started:.0f} s")
