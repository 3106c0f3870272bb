"""LAVT, wired: BERT -> a Swin with a PWAM and a gate after each stage -> the decoder."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from models.lavt.backbone import Backbone
from models.lavt.config import LavtConfig
from models.lavt.decoder import Decoder
from models.lavt.gate import Fusion
from models.lavt.language_aware import LanguageAware
from models.lavt.text import Text
from models.weights.swin_bert import load_swin, load_text


class LAVT(LanguageAware):
    """The whole model. What is off, and what nothing reads, is not built.

    Args:
        config: which parts it has.
        text: BERT, pretrained.
    """

    def __init__(self, config: LavtConfig, *, text: Text) -> None:
        widths = config.image.widths
        fusions = [Fusion(width, config.text.width, gate=config.gate, last=width == widths[-1]) for width in widths]
        super().__init__(
            config,
            text=text,
            backbone=Backbone(config.image, fusions),
            between=nn.Identity(),
            decoder=Decoder(widths, config.decoder_width),
        )

    @classmethod
    def from_foundation(cls, config: LavtConfig, folder: Path) -> LAVT:
        """Built on the weights of a foundation folder (weights/<model>/)."""
        model = cls(config, text=load_text(config.text, folder))
        load_swin(model.backbone, folder)
        return model

    @classmethod
    def from_config(cls, config: LavtConfig) -> LAVT:
        """Without pretrained weights and tokenizer."""
        return cls(config, text=Text(config.text, None))
