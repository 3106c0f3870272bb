"""A model without foundation weights and a batch without a dataset: for what a configuration costs, not what it knows.

Nothing is downloaded and no tokenizer is needed. Under torch's FakeTensorMode everything here works on shapes alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from benchmark.data.loader import Batch
from models.config import Part
from models.system import System
from models.systems import class_of
from models.tokens import Tokens


class FullTexts(Tokens):
    """Every expression fills the text encoder: what it costs does not depend on its words, which are padded anyway."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __call__(self, texts: list[str]) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Token 0 throughout, and a mask that leaves nothing out, both (N, T)."""
        shape = (len(texts), self.length)
        return torch.zeros(shape, dtype=torch.int64), torch.ones(shape, dtype=torch.bool)


def build(config: Part) -> Any:
    """A configuration's system, with weights drawn from a uniform distribution: as fast as memory is written, and never
    held twice.

    A network's own initialisation takes many times as long. Matrices keep a signal's size, norms are the identity.
    """
    with _weights_without_memory():
        model: Any = class_of(config).from_config(config)
    for module in model.modules():
        if isinstance(tokens := getattr(module, "tokens", None), Tokens):
            module.tokens = FullTexts(tokens.length)
        for name, parameter in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(_drawn(name, parameter), parameter.requires_grad))
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.clone())  # the same, or its shape where a FakeTensorMode is active
    return model


@contextmanager
def _weights_without_memory() -> Iterator[None]:
    """Every parameter that a module is given lies on the meta device, where initialising it costs nothing."""

    def on_meta(_module: nn.Module, _name: str, parameter: nn.Parameter) -> nn.Parameter:
        return nn.Parameter(parameter.detach().to("meta"), parameter.requires_grad)

    hook = register_module_parameter_registration_hook(on_meta)  # type: ignore[arg-type]  # it may return a parameter
    try:
        yield
    finally:
        hook.remove()


def _drawn(name: str, like: Tensor) -> Tensor:
    drawn = torch.empty(like.shape, dtype=like.dtype)
    if like.ndim < 2:
        return drawn.fill_(1.0 if name == "weight" else 0.0)
    bound = (3 / like[0].numel()) ** 0.5
    return drawn.uniform_(-bound, bound)


def make_batch(side: int, images: int, expressions: int) -> Batch:
    """`images` of noise (side x side), with `expressions` of nothing shared out among them."""
    return Batch(
        images=[torch.randint(0, 256, (3, side, side), dtype=torch.uint8) for _ in range(images)],
        texts=["expression"] * expressions,
        image_index=[number % images for number in range(expressions)],
        masks=[np.zeros((side, side), dtype=np.bool_)] * expressions,
        sample_ids=[str(number) for number in range(expressions)],
        image_ids=[str(number % images) for number in range(expressions)],
        categories=[None] * expressions,
    )


def forward(model: System, batch: Batch) -> None:
    """Mask logits as for a prediction: nothing is kept for a backward pass."""
    with torch.no_grad():
        model(batch.images, batch.texts, batch.image_index)
