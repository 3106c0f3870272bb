"""The way that LAVT and RMSIN go, from pixels and words to logits; and how their parameters are trained.

B images, N expressions; S the side of the input, in pixels. Each expression is a whole pass: words enter after the
first stage. The images' patches and first stage alone are shared by an image's expressions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from models.lavt.backbone import Backbone
from models.lavt.config import LanguageAwareConfig
from models.lavt.decoder import Decoder
from models.lavt.text import Text
from models.pixels import prepare_images
from models.system import System, check_prompts


class LanguageAware(System):
    """A Swin that language enters, something between its maps and the decoder, the decoder.

    Args:
        config: sizes.
        text: BERT.
        backbone: the Swin and its fusions.
        between: maps, finest first -> maps of the same shapes.
        decoder: the same -> logits of two classes.
    """

    pixel_mean: Tensor
    pixel_std: Tensor
    components: ClassVar = {
        "BERT": ("text",),
        "Swin": ("backbone.swin", "backbone.norms"),
        "fusions": ("backbone.fusions",),
        "decoder": ("decoder",),
    }

    def __init__(
        self, config: LanguageAwareConfig, *, text: Text, backbone: Backbone, between: nn.Module, decoder: Decoder
    ) -> None:
        super().__init__()
        self.config = config
        self.text = text
        self.backbone = backbone
        self.between = between
        self.decoder = decoder
        self.register_buffer("pixel_mean", torch.tensor(config.image.pixel_mean).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(config.image.pixel_std).view(3, 1, 1), persistent=False)

    def forward(self, images: Sequence[Tensor], texts: Sequence[str], image_index: Sequence[int]) -> Tensor:
        """Mask logits.

        Args:
            images: B uint8 tensors (3, h, w), each of any size.
            texts: N expressions.
            image_index: N integers in [0, B).

        Returns:
            (N, S, S) at the input's side, the logit of the expression's class less that of the background; a cell is
            the expression's where it is above 0. In evaluation `config.chunk` expressions are computed at a time.

        Raises:
            ValueError: no text, or an index that is out of range.
            ExpressionError: a text that is blank or of which no token is left.
        """
        check_prompts(images, texts, image_index)
        side = self.config.image.side
        first_BLC = self.backbone.first_stage(prepare_images(images, side, self.pixel_mean, self.pixel_std))
        text = self.text(texts)
        logits = []
        for first, last in self._chunks(len(texts)):
            maps = self.backbone(first_BLC[list(image_index[first:last])], text.part(first, last))
            classes_N2hw = self.decoder(self.between(maps))
            difference_N1hw = classes_N2hw[:, 1:] - classes_N2hw[:, :1]
            logits.append(interpolate(difference_N1hw, size=(side, side), mode="bilinear", align_corners=True))
        return torch.cat(logits).squeeze(1)

    @property
    def input_side(self) -> int:
        """The Swin's."""
        return self.config.image.side

    def parameter_groups(self) -> list[dict[str, Any]]:
        """As System has it, each with its name: the backbone's norms and bias tables, which have no weight decay, last;
        the rest of it, what follows it, and BERT's lower layers, which have the optimiser's."""
        undecayed = [
            parameter
            for module in self.backbone.modules()
            for name, parameter in module.named_parameters(recurse=False)
            if isinstance(module, nn.LayerNorm | nn.modules.batchnorm._BatchNorm)
            or name == "relative_position_bias_table"
        ]
        apart = {id(parameter) for parameter in undecayed}
        groups = {
            "backbone": [parameter for parameter in self.backbone.parameters() if id(parameter) not in apart],
            "decoder": [*self.between.parameters(), *self.decoder.parameters()],
            "text": list(self.text.parameters()),
            "backbone_undecayed": undecayed,
        }
        trained = {name: [one for one in parameters if one.requires_grad] for name, parameters in groups.items()}
        return [
            {"name": name, "params": parameters} | ({"weight_decay": 0.0} if name == "backbone_undecayed" else {})
            for name, parameters in trained.items()
            if parameters
        ]

    def layers(self) -> Iterator[nn.Module]:
        """BERT's layers and the Swin's blocks."""
        yield from self.text.bert.encoder.layer
        for stage in self.backbone.swin.encoder.layers:
            yield from stage.blocks

    def _chunks(self, count: int) -> Iterator[tuple[int, int]]:
        """In training all at once: the norms see the whole batch."""
        size = count if self.training else self.config.chunk
        for first in range(0, count, size):
            yield first, min(first + size, count)
