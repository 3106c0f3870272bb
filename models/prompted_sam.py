"""What RSRefSeg and RSRefSeg 2 share: a CLIP, a prompter that turns its features into prompts, a SAM; how they run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from models.clip import Clip
from models.config import Encoder
from models.lora import merge_adapters
from models.system import System
from models.transfer import to_device

# What layers of all encoders may be compiled for, since transformers runs them through one function: whose they are,
# windows or not, in training or not, a first layer, another batch. 26 were seen; past the limit torch compiles no more
# and says nothing, and its own is 8.
KINDS_OF_LAYERS = 64


CLIP_COMPONENTS: Mapping[str, tuple[str, ...]] = {
    "CLIP vision": ("clip.model.vision_model", "clip.model.visual_projection"),
    "CLIP text": ("clip.model.text_model", "clip.model.text_projection"),
    "CLIP scale and bias": ("clip.model.logit_scale", "clip.model.logit_bias"),
}


class PromptedSam(System):
    """A system of three parts.

    Attributes:
        config: `config.compute` says how the encoders are run.
        clip, sam, prompter: the parts; `sam.model.vision_encoder` encodes images.
        frozen: the encoders that nothing trains, which stay as pretrained.
    """

    config: Any
    clip: Clip
    sam: Any
    prompter: Any
    frozen: set[str]

    @property
    def input_side(self) -> int:
        """SAM's, the larger."""
        return int(self.config.sam.image_side)

    def encoders(self) -> dict[Encoder, Any]:
        """The three networks that do most of the work."""
        clip = self.clip.model
        return {"clip_vision": clip.vision_model, "clip_text": clip.text_model, "sam": self.sam.model.vision_encoder}

    def layers(self) -> Iterator[nn.Module]:
        """The encoders' layers."""
        for encoder in self.encoders().values():
            yield from layers_of(encoder)

    def merge_adapters(self) -> None:
        """Fold every adapter into the weights under it, in place. For inference: nothing trains afterwards."""
        if self.config.lora is not None:
            merge_adapters(self)
        super().merge_adapters()

    def trained_state(self) -> dict[str, Tensor]:
        """What training changed: trained parameters, and the running statistics of the prompter's norms."""
        trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        trained |= {f"prompter.{name}" for name, _ in self.prompter.named_buffers()}
        return {name: value for name, value in self.state_dict().items() if name in trained}

    def _set_up_encoders(self) -> None:
        """Which of them train is set; gradient checkpointing and compilation, where the configuration names them."""
        encoders = self.encoders()
        self.frozen = {
            str(name)
            for name, encoder in encoders.items()
            if not any(parameter.requires_grad for parameter in encoder.parameters())
        }
        for name in self.config.compute.gradient_checkpointing:
            encoders[name].activation_checkpointing_enable({"use_reentrant": False})
        if self.config.compute.compile:
            for encoder in encoders.values():
                for layer in layers_of(encoder):  # one by one: they are alike, and only the first of a kind is compiled
                    layer.compile(recompile_limit=KINDS_OF_LAYERS)

    def _index(self, image_index: Sequence[int]) -> Tensor:
        return to_device(torch.tensor(image_index), self.sam.pixel_mean.device)

    @contextmanager
    def _encoding(self, name: Encoder) -> Iterator[None]:
        """How an encoder is run: in the configured precision, and keeping no activations where nothing in it trains."""
        half = self.config.compute.precision == "bfloat16"
        with (
            torch.autocast(self.sam.pixel_mean.device.type, torch.bfloat16, enabled=half),
            torch.set_grad_enabled(torch.is_grad_enabled() and name not in self.frozen),
        ):
            yield


def layers_of(encoder: Any) -> Any:
    """The layers of one of PromptedSam.encoders(), in order."""
    if hasattr(encoder, "backbone"):  # SAM 2's
        return encoder.backbone.blocks
    return getattr(encoder, "encoder", encoder).layers
