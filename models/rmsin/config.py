"""The configuration of RMSIN: LAVT's shared parts, and its own three, each of which can be switched off."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StrictBool, model_validator

from models.config import Part
from models.lavt.config import LanguageAwareConfig


class CimConfig(Part):
    """CIM. `csa` says how what its attention gives is laid out in cells (models/rmsin/cim.py): as the released code
    views it, or as it must have been meant. `heads`, with keys of width `key` and values of width `value`."""

    csa: Literal["released", "corrected"] = "released"
    heads: Annotated[int, Field(ge=1)] = 8
    key: Annotated[int, Field(ge=1)] = 32
    value: Annotated[int, Field(ge=1)] = 64


class RmsinConfig(LanguageAwareConfig):
    """RMSIN. What is off is not built.

    `iim` false: LAVT's PWAM and gate after each stage, without the visual branch. `cim` null: the decoder reads the
    stages' maps as they are. `arc` false: plain convolutions in the decoder. All three off are LAVT.
    """

    iim: StrictBool = True
    cim: CimConfig | None
    arc: StrictBool = True

    @model_validator(mode="after")
    def _quarters(self) -> Self:
        width = self.image.widths[0]
        if self.cim is not None and width % 4:
            raise ValueError(f"image.swin.embed_dim is {width}: CIM works on a quarter of it, give a multiple of 4")
        return self
