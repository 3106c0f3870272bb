"""RMSIN, wired: LAVT with IIM after each stage, CIM before the decoder, and ARC in it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from torch import nn

from models.lavt.backbone import Backbone
from models.lavt.decoder import Decoder, plain_convolution
from models.lavt.gate import Fusion
from models.lavt.language_aware import LanguageAware
from models.lavt.text import Text
from models.rmsin.arc import ARC
from models.rmsin.cim import CIM
from models.rmsin.config import RmsinConfig
from models.rmsin.iim import IIM
from models.weights.swin_bert import load_swin, load_text


class RMSIN(LanguageAware):
    """The whole model. What is off, and what nothing reads, is not built.

    Args:
        config: which parts it has.
        text: BERT, pretrained.
    """

    components: ClassVar = {**LanguageAware.components, "CIM": ("between",)}

    def __init__(self, config: RmsinConfig, *, text: Text) -> None:
        widths = config.image.widths
        fusion = IIM if config.iim else Fusion
        fusions = [fusion(width, config.text.width, last=width == widths[-1]) for width in widths]
        super().__init__(
            config,
            text=text,
            backbone=Backbone(config.image, fusions),
            between=nn.Identity() if config.cim is None else CIM(config.cim, widths, config.image.grids[-1]),
            decoder=Decoder(widths, config.decoder_width, second=ARC if config.arc else plain_convolution),
        )

    @classmethod
    def from_foundation(cls, config: RmsinConfig, folder: Path) -> RMSIN:
        """Built on the weights of a foundation folder (weights/<model>/)."""
        model = cls(config, text=load_text(config.text, folder))
        load_swin(model.backbone, folder)
        return model

    @classmethod
    def from_config(cls, config: RmsinConfig) -> RMSIN:
        """Without pretrained weights and tokenizer."""
        return cls(config, text=Text(config.text, None))
