"""What a model costs: parameters, FLOPs and memory from its configuration; or measured here, on random weights.

    python -m experiments.inspect --model rsrefseg-b --variant no_lora
    python -m experiments.inspect --model rsrefseg-b --precision float32 --measure forward

Needs neither weights nor data, and without `--measure` neither time nor memory for them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from experiments.starters import importing


def main(
    model: Annotated[str, typer.Option(help="a model of params.yaml")],
    variant: Annotated[str | None, typer.Option(help="a variant of params.yaml, instead of its system's first")] = None,
    dataset: Annotated[str | None, typer.Option(help="a dataset of params.yaml, for what it changes")] = None,
    batch_images: Annotated[int, typer.Option(min=1, help="images at once")] = 1,
    expressions: Annotated[int, typer.Option(min=1, help="expressions of each image")] = 1,
    attention: Annotated[
        Literal["sdpa", "widened", "eager"] | None, typer.Option(help="instead of the configured")
    ] = None,
    precision: Annotated[Literal["float32", "bfloat16"] | None, typer.Option(help="instead of the configured")] = None,
    gradient_checkpointing: Annotated[bool | None, typer.Option(help="of all encoders, or none")] = None,
    measured: Annotated[
        Literal["forward", "step"] | None, typer.Option("--measure", help="run it here, on random weights")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="runs that are timed, after one that is not")] = 3,
    json_file: Annotated[Path | None, typer.Option("--json", help="write all numbers to this file")] = None,
) -> None:
    """Say what a model costs."""
    with importing():
        from experiments.commands import inspect

    inspect.main(
        model,
        variant,
        dataset,
        batch_images,
        expressions,
        attention,
        precision,
        gradient_checkpointing,
        measured,
        repeats,
        json_file,
    )


if __name__ == "__main__":
    typer.run(main)
