"""LAVT and RMSIN with small numbers and random weights, in float64: what is left of a difference is a real one."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.checkpoint import save_tensors
from models.lavt.backbone import make_swin
from models.lavt.config import LavtConfig
from models.lavt.language_aware import LanguageAware
from models.lavt.lavt import LAVT
from models.lavt.text import Text, TextStates
from models.rmsin.config import RmsinConfig
from models.rmsin.rmsin import RMSIN
from models.tokens import load_tokenizer
from models.weights.files import swin_bert_files
from tests.tiny import SPECIAL, WORDS, draw_weights, random_image, tiny_tokenizer

PLAIN: dict[str, Any] = {  # grids of 32, 16, 8, 4
    "image": {
        "swin": {
            "image_size": 64,
            "patch_size": 2,
            "embed_dim": 8,
            "depths": [2, 1, 2, 1],
            "num_heads": [1, 2, 2, 4],
            "window_size": 4,
            "drop_path_rate": 0.1,
        }
    },
    "text": {
        "bert": {
            "vocab_size": len(WORDS) + len(SPECIAL["bert"]),
            "hidden_size": 16,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "intermediate_size": 24,
            "max_position_embeddings": 12,
        },
        "length": 10,
        "trained_layers": 2,
    },
    "decoder_width": 12,
    "chunk": 2,
}
CIM: dict[str, Any] = {"heads": 2, "key": 3, "value": 5}
IMAGES = [random_image(height, width, seed) for seed, (height, width) in enumerate([(40, 72), (64, 64), (90, 51)])]
TEXTS = ["the red ship", "the large green tank right of the harbor", "road", "the small red ship", "road left of ship"]
IMAGE_INDEX = [2, 0, 0, 1, 2]


def lavt_config(**changes: Any) -> LavtConfig:
    return LavtConfig.model_validate({**deepcopy(PLAIN), **changes})


def rmsin_config(**changes: Any) -> RmsinConfig:
    return RmsinConfig.model_validate({**deepcopy(PLAIN), "cim": CIM, **changes})


def plain_draws(**changes: Any) -> dict[str, Any]:
    """Settings with which training draws nothing, of texts as tests/tiny.py's tokenizer file has them."""
    image, text = deepcopy(PLAIN["image"]), deepcopy(PLAIN["text"])
    image["swin"]["drop_path_rate"] = 0.0
    text["bert"] |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return {"image": image, "text": {**text, "tokenizer": "siglip"}, **changes}


def write_swin_bert(config: LavtConfig | RmsinConfig, folder: Path) -> None:
    """The weights of a foundation folder, beside the tokenizer that lies there."""
    files = swin_bert_files(folder)
    for name, module in (
        ("bert", Text(config.text, load_tokenizer(files["tokenizer"], config.text.tokenizer)).bert),
        ("swin", make_swin(config.image)),
    ):
        draw_weights(module, 0)
        save_tensors(files[name], module.state_dict())


def tiny_text(config: LavtConfig | RmsinConfig, folder: Path) -> Text:
    return Text(config.text, tiny_tokenizer(folder, config.text.tokenizer))


def ready(config: LavtConfig | RmsinConfig, folder: Path) -> Any:
    """A LAVT or RMSIN whose every part matters, in evaluation."""
    torch.manual_seed(0)
    kind: Any = LAVT if isinstance(config, LavtConfig) else RMSIN
    return drawn(kind(config, text=tiny_text(config, folder)))


def drawn(module: Any, seed: int = 0) -> Any:
    """The module in float64 and evaluation, its weights and its norms' statistics away from their start."""
    draw_weights(module, seed)
    generator = torch.Generator().manual_seed(seed)
    for name, buffer in module.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.copy_(torch.rand(buffer.shape, generator=generator) / 2 + 0.1)
    return module.double().eval()


def random_text(count: int, length: int, width: int) -> TextStates:
    """States of expressions that fill more and more of their length."""
    mask_NT = torch.arange(length) < torch.linspace(2, length, count).ceil()[:, None]
    return TextStates(noise(count, length, width), mask_NT)


def noise(*shape: int) -> Tensor:
    """The same for the same shape."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def parameters_of(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def trained_of(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def on_meta(config: LavtConfig | RmsinConfig) -> LanguageAware:
    """Shapes without memory."""
    kind: Any = LAVT if isinstance(config, LavtConfig) else RMSIN
    with torch.device("meta"):
        model: LanguageAware = kind(config, text=Text(config.text, None))  # type: ignore[arg-type]
    return model


def close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


def logits_of(model: LanguageAware, images: Any = IMAGES, texts: Any = TEXTS, image_index: Any = IMAGE_INDEX) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model(images, texts, image_index)
    return logits


def without_gradient(model: LanguageAware) -> set[str]:
    """Names of trained parameters that a loss of all logits does not move, in training."""
    model.train()
    (model(IMAGES, TEXTS, IMAGE_INDEX) * noise(len(TEXTS), 64, 64)).sum().backward()
    model.eval()
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert all(parameter.grad is not None for parameter in trained.values())
    largest = max(float(parameter.grad.abs().max()) for parameter in trained.values())  # type: ignore[union-attr]
    return {name for name, parameter in trained.items() if float(parameter.grad.abs().max()) < 1e-12 * largest}  # type: ignore[union-attr]
