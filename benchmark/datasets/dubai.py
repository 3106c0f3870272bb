"""Real satellite imagery of Dubai with semantic masks, cut into patches: one configuration of `masks`.

Source: "Semantic segmentation of aerial imagery", Humans in the Loop with the Mohammed Bin Rashid Space Center, CC0
1.0. Every tile is one scene in nine neighbouring parts, so whole tiles are split, never their parts. 36 masks are RGB
files, 18 have palettes.

    Tile <n>/images/image_part_<nnn>.jpg
    Tile <n>/masks/image_part_<nnn>.png
"""

from __future__ import annotations

from pydantic import Field

from benchmark.datasets.class_masks import MasksConfig
from benchmark.datasets.labels import Marker
from benchmark.datasets.spec import Spec

CLASSES: dict[str, Marker] = {  # the colours in the masks, measured; the published classes.json names others
    "land": "#8429F6",
    "water": "#E2A929",
    "building": "#3C1098",
    "vegetation": "#FEDD3A",
    "road": "#6EC1E4",
}  # #9B9B9B is 'unlabeled'; a few pixels are #000000

SPEC = Spec(
    name="dubai",
    title="Semantic segmentation of aerial imagery (Humans in the Loop with MBRSC)",
    source="https://www.kaggle.com/datasets/humansintheloop/semantic-segmentation-of-aerial-imagery",
    licence="CC0-1.0",
    citation="Humans in the Loop and MBRSC, Semantic segmentation of aerial imagery, 2020",
    how="download it there and unpack it so that '{root}/Tile 1/images/image_part_001.jpg' and "
    "'{root}/Tile 1/masks/image_part_001.png' exist, or set datasets.dubai.root in params.yaml to the folder with "
    "'Tile 1'",
    categories=tuple(CLASSES),
)


class DubaiConfig(MasksConfig):
    """Tiles, colours and licence of this source; everything may be set anew."""

    train: tuple[str, ...] = ("Tile 2", "Tile 4", "Tile 5", "Tile 6")
    val: tuple[str, ...] = ("Tile 3",)
    test: tuple[str, ...] = ("Tile 1",)
    classes: dict[str, Marker] = Field(default=CLASSES, min_length=1)
    source: str = SPEC.source
    licence: str = SPEC.licence
    citation: str = SPEC.citation

    def image_id(self, folder: str, stem: str) -> str:
        """ "tile1-part001": sentences are drawn from it, so a new name would be a new dataset."""
        return f"{folder.replace(' ', '').lower()}-{stem.replace('image_part_', 'part')}"

    def missing(self, folder: str) -> str:
        """What to do where files are missing."""
        return SPEC.steps(self.root)
