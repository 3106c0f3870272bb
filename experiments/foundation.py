"""The foundation models of a size, in weights/<model>/: CLIP and SAM of RSRefSeg and RSRefSeg 2, Swin and BERT of LAVT
and RMSIN.

    python -m experiments.foundation --model mini
    python -m experiments.foundation --model rsrefseg-b

What `foundation.<model>` of params.yaml says is done: `pretrain` here (in half precision: small enough to commit);
download, check and convert a `source`; or write down that they are those of the model that it is `like`.
foundation.json says what came of it: the quality on held-out scenes, or where the weights are from, and the SHA-256 of
every file. `--only` and a part (clip, sam, swin, bert; of recipes, measure) does that one alone, so that two trainings
can run side by side.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.starters import importing


def main(
    model: Annotated[str, typer.Option(help="a model of params.yaml")],
    only: Annotated[str | None, typer.Option(help="clip, sam, swin, bert or (of recipes) measure")] = None,
    weights: Annotated[Path, typer.Option(help="where the weights go")] = Path("weights"),
) -> None:
    """Pretrain or download the foundation models of one size, or write down whose they are."""
    with importing():
        from experiments.commands import foundation

    foundation.main(model, only, weights)


if __name__ == "__main__":
    typer.run(main)
