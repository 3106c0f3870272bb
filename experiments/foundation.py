"""The two foundation models of a size, in weights/<model>/: clip.safetensors, tokenizer.json, sam.safetensors.

    python -m experiments.foundation --model mini
    python -m experiments.foundation --model rsrefseg-b

What `foundation.<model>` of params.yaml says is done: `pretrain` here (in half precision: small enough to commit), or
download, check and convert a `source`. foundation.json says what came of it: the quality on held-out scenes, or where
the weights are from. `--only clip`, `--only sam` and, of recipes, `--only measure` do one part, so that two trainings
can run side by side.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from benchmark.output.terminal import terminal
from experiments.config import load_params, model_config, pick
from experiments.download.weights import download_weights
from experiments.errors import clear_errors
from experiments.pretraining.pretrain import pretrain


def main(
    model: Annotated[str, typer.Option(help="a model of params.yaml")],
    only: Annotated[str | None, typer.Option(help="clip, sam or (of recipes) measure")] = None,
    weights: Annotated[Path, typer.Option(help="where the weights go")] = Path("weights"),
) -> None:
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


if __name__ == "__main__":
    typer.run(main)
