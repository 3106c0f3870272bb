"""The configuration of LAVT, and the parts of it that RMSIN shares."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, StrictBool, model_validator

from models.config import Part, Rgb

SMALLEST_GRID = 4  # of the last stage: InstanceNorm over one cell is an error, and over a few says nothing


class ImageConfig(Part):
    """The Swin. `swin` is keyword arguments of the transformers configuration; its image_size is the side of the square
    to which images are stretched."""

    swin: dict[str, Any]
    pixel_mean: Rgb = (0.485, 0.456, 0.406)  # ImageNet's, of pixels in [0, 1]
    pixel_std: Rgb = (0.229, 0.224, 0.225)

    @property
    def side(self) -> int:
        return int(self.swin["image_size"])

    @property
    def widths(self) -> list[int]:
        """Channels of each stage."""
        return [int(self.swin["embed_dim"]) * 2**stage for stage in range(len(self.swin["depths"]))]

    @property
    def grids(self) -> list[int]:
        """Side of each stage's map, in cells."""
        grids = [self.side // int(self.swin["patch_size"])]
        for _ in self.widths[1:]:
            grids.append((grids[-1] + 1) // 2)
        return grids

    @model_validator(mode="after")
    def _enough_cells(self) -> Self:
        if self.side % int(self.swin["patch_size"]):
            raise ValueError(
                f"image.swin.image_size is {self.side}: patches of {self.swin['patch_size']} do not fill it"
            )
        if self.grids[-1] < SMALLEST_GRID:
            raise ValueError(
                f"image.swin.image_size is {self.side}, which leaves {self.grids[-1]} x {self.grids[-1]} cells to the "
                f"last stage: InstanceNorm there needs {SMALLEST_GRID} x {SMALLEST_GRID}, give larger images"
            )
        return self


class TextConfig(Part):
    """BERT. `bert` is keyword arguments of the transformers configuration.

    `tokenizer`: whose rules, as in models/tokens.py. `length`: T, special tokens included. `trained_layers`: so many of
    the lower layers train; the embeddings and the layers above stay as they were pretrained.
    """

    bert: dict[str, Any]
    tokenizer: Literal["bert", "siglip"] = "bert"
    length: Annotated[int, Field(ge=3)]
    trained_layers: Annotated[int, Field(ge=0)]

    @property
    def width(self) -> int:
        return int(self.bert["hidden_size"])

    @model_validator(mode="after")
    def _bert_has_them(self) -> Self:
        for name, asked, key in (
            ("length", self.length, "max_position_embeddings"),
            ("trained_layers", self.trained_layers, "num_hidden_layers"),
        ):
            if asked > int(self.bert[key]):
                raise ValueError(
                    f"text.{name} is {asked} and text.bert.{key} is {self.bert[key]}: give no more than that"
                )
        return self


class LanguageAwareConfig(Part):
    """What LAVT and RMSIN share: a Swin that language enters, BERT, and a decoder of `decoder_width` channels.

    `chunk`: so many expressions at a time in evaluation; each is a whole pass. It changes no prediction. All of it
    computes in float32, as released.
    """

    image: ImageConfig
    text: TextConfig
    decoder_width: Annotated[int, Field(ge=1)] = 512
    chunk: Annotated[int, Field(ge=1)] = 16


class LavtConfig(LanguageAwareConfig):
    """LAVT. Without the gate, what language found is added to the Swin as it is."""

    gate: StrictBool = True
