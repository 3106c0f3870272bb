"""Masks of what expressions refer to in one image or scene, by a trained run.

    python -m experiments.predict IMAGE "the ship on the left" --out overlay.png
    python -m experiments.predict SCENE.tif "the ships in the harbour" --out harbour

The image is read as those of datasets are (docs/datasets.md), of any depth and number of bands; where it has no data
nothing is predicted. Writes, at the image's own size, overlay.png (the mask painted over the image) and
overlay_mask.png (255 where the mask is, 0 elsewhere); of several expressions overlay_1.png, overlay_1_mask.png,
overlay_2.png and so on. The run is the published one (experiments/published.py), or `--run`, a folder in results/ or in
runs/ that was trained here; its configuration is its own, not what params.yaml says now.

A TIFF that says where on the map it lies, one of more pixels than an image may have, and one of which --window,
--overlap, --bands, --pixel-size or --probability is given is a scene, unless --out ends in .png: it is predicted in
windows and written as layers for a GIS (experiments/scene/, docs/gis.md), which needs the extras `[geo]`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.places import PUBLISHED
from experiments.starters import importing


def main(
    image: Annotated[Path, typer.Argument(help="PNG, JPEG, TIFF, WebP or BMP; a GeoTIFF of any size is a scene")],
    expressions: Annotated[list[str], typer.Argument(help="what to find in it, each in quotes")],
    run: Annotated[Path, typer.Option(help="or results/<dataset>/<model>/<variant>/<seed>")] = PUBLISHED,
    out: Annotated[
        Path | None,
        typer.Option(
            help="the overlay, a .png; of a scene a folder or a .gpkg. Existing files are replaced",
            show_default="overlay.png, or SCENE_layers",
        ),
    ] = None,
    window: Annotated[
        int | None, typer.Option(min=1, help="pixels of a window's side", show_default="as the run was trained")
    ] = None,
    overlap: Annotated[
        int | None, typer.Option(min=0, help="pixels that windows share", show_default="a quarter of a window")
    ] = None,
    bands: Annotated[
        str | None, typer.Option(help="red,green,blue, counted from 1: 4,3,2", show_default="as the file says")
    ] = None,
    pixel_size: Annotated[
        float | None, typer.Option(min=0.001, help="metres of a pixel that the model sees", show_default="the scene's")
    ] = None,
    probability: Annotated[bool, typer.Option("--probability", help="write probabilities of a scene, too")] = False,
) -> None:
    """Segment what each expression refers to."""
    with importing():
        from experiments.commands import predict

    predict.main(image, expressions, run, out, window, overlap, bands, pixel_size, probability)


if __name__ == "__main__":
    typer.run(main)
