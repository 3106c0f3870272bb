"""The two foundation models of a size, in weights/<model>/: clip.safetensors, tokenizer.json, sam.safetensors.

    python -m experiments.foundation --model mini
    python -m experiments.foundation --model rsrefseg-b

What `foundation.<model>` of params.yaml says is done: `pretrain` here (in half precision: small enough to commit), or
download, check and convert a `source`. foundation.json says what came of it: the quality on held-out scenes, or where
the weights are from. `--only clip`, `--only sam` and, of recipes, `--only measure` do one part, so that two trainings
can run side by side.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.starters import importing


def main(
    model: Annotated[str, typer.Option(help="a model of params.yaml")],
    only: Annotated[str | None, typer.Option(help="clip, sam or (of recipes) measure")] = None,
    weights: Annotated[Path, typer.Option(help="where the weights go")] = Path("weights"),
) -> None:
    """Pretrain or download the foundation models of one size."""
    with importing():
        from experiments.commands import foundation

    foundation.main(model, only, weights)


if __name__ == "__main__":
    typer.run(main)
