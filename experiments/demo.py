"""A local page to try a trained run on: choose an image, type sentences, see masks and how sure the model is.

    python -m experiments.demo

`make demo` sets up what it needs and starts it. The run is the published one (experiments/published.py), or `--run`
as for experiments.predict. It listens on 127.0.0.1 alone, keeps nothing once it is closed (Ctrl-C), and needs no
network.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.places import PUBLISHED
from experiments.starters import importing


def main(
    run: Annotated[Path, typer.Option(help="or results/<dataset>/<model>/<variant>/<seed>")] = PUBLISHED,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free")] = 0,
) -> None:
    """Serve the page until Ctrl-C."""
    with importing():
        from experiments.commands import demo

    demo.main(run, port)


if __name__ == "__main__":
    typer.run(main)
