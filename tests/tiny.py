"""A model that is built in milliseconds, on random weights: what the tests of models and experiments share.

Its weights are drawn large enough for every part to matter: with the small ones that training starts from, a mask would
hardly depend on the words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordLevel
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from benchmark.data.files import sha256
from models.checkpoint import save_tensors
from models.clip import Clip
from models.config import ModelConfig
from models.rsrefseg import RSRefSeg
from models.sam import Sam
from models.tokens import SPECIAL_TOKENS, load_tokenizer
from models.weights.files import foundation_files
from models.zoo import SYSTEM_OF

SYSTEM_OF["tiny"] = "rsrefseg"

VARIANTS: dict[str, dict[str, Any]] = {  # as in params.yaml, which tests/experiments/test_config.py holds
    "rsrefseg": {},
    "no_lora": {"lora": None},
    "global_only": {"prompter": {"local": False}},
    "local_only": {"prompter": {"global": False}},
    "no_dense_prompt": {"prompter": {"dense": False}},
    "formulation_paper": {"prompter": {"formulation": "paper"}},
    "grid_24": {"prompter": {"grid": 24}},
    "lora_rank_8": {"lora": {"rank": 8}},
    "lora_rank_32": {"lora": {"rank": 32}},
    "text_frozen": {"lora": {"text": "frozen"}},
    "text_upper_half": {"lora": {"text": "upper_half"}},
    "downsample_2": {"prompter": {"downsample": 2}},
    "downsample_8": {"prompter": {"downsample": 8}},
}
FAMILIES = ("siglip", "siglip2", "clip")

WORDS = "the red green small large ship harbor road tank left right of near in upper corner".split()
SPECIAL = {  # the first tokens of each family's vocabulary
    "siglip": ["<unk>", "</s>"],
    "siglip2": ["<unk>", "<eos>", "<pad>"],
    "clip": ["<|endoftext|>", "<|startoftext|>"],
    "bert": ["[PAD]", "[UNK]", "[CLS]", "[SEP]"],
}

_VISION = {
    "image_size": 32,
    "patch_size": 4,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
_TEXT = {
    "vocab_size": len(WORDS) + 3,
    "max_position_embeddings": 10,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}


def _clip(family: str) -> dict[str, Any]:
    if family == "clip":  # three widths, as in the published ones; the end token has the number 0
        vision = {**_VISION, "hidden_size": 40, "projection_dim": 32}
        text = {**_TEXT, "hidden_size": 24, "projection_dim": 32, "bos_token_id": 1, "eos_token_id": 0}
        return {"family": family, "projection": 32, "neutral": "the", "vision": vision, "text": text}
    text = {**_TEXT, "projection_size": 32, "bos_token_id": None, "eos_token_id": 1}
    text["pad_token_id"] = 2 if family == "siglip2" else 1
    return {"family": family, "vision": {**_VISION, "vision_use_head": False}, "text": text}


_SAM = {
    "vision": {
        "image_size": 64,
        "patch_size": 8,
        "hidden_size": 24,
        "output_channels": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "window_size": 4,
        "global_attn_indexes": [1],
        "use_rel_pos": False,
        "num_pos_feats": 16,
        "initializer_range": 0.02,
    },
    "prompt_encoder": {"hidden_size": 32, "image_size": 64, "patch_size": 8},
    "mask_decoder": {
        "hidden_size": 32,
        "mlp_dim": 48,
        "num_attention_heads": 2,
        "iou_head_hidden_dim": 16,
        "num_multimask_outputs": 2,
    },
}


def tiny_config(difference: Mapping[str, Any] | None = None, family: str = "siglip") -> ModelConfig:
    """The tiny model's configuration; `difference` replaces `prompter`, `lora` or `compute`, as a variant does."""
    parts = {"clip": _clip(family), "sam": _SAM, "prompter": {}, "lora": {}, "compute": {}}
    return ModelConfig.model_validate({**parts, **(difference or {})})


def tiny_tokenizer_file(file: Path, family: str = "siglip") -> Path:
    """Write a tokenizer of whole words that ends an expression as its family does, and begins it."""
    special = SPECIAL[family]
    vocabulary = {word: number for number, word in enumerate([*special, *WORDS])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token=SPECIAL_TOKENS[family]["unk_token"]))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    names = SPECIAL_TOKENS[family]
    frame = f"{names.get('bos_token', '')} $A {names['eos_token']}".strip()
    used = [name for name in (names.get("bos_token"), names["eos_token"]) if name]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=frame, special_tokens=[(name, vocabulary[name]) for name in used]
    )
    tokenizer.save(str(file))
    return file


def tiny_tokenizer(folder: Path, family: str = "siglip") -> PreTrainedTokenizerFast:
    """The same, loaded."""
    return load_tokenizer(tiny_tokenizer_file(folder / "tokenizer.json", family), family)


def draw_weights(module: nn.Module, seed: int) -> None:
    """Redraw every parameter: matrices keep a signal's size, vectors stay near their start."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in dict.fromkeys(module.parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim >= 2:
                parameter.copy_(noise * parameter[0].numel() ** -0.5)
            else:
                parameter.add_(0.2 * noise)


def write_foundation(folder: Path, seed: int = 0, family: str = "siglip") -> Path:
    """A foundation folder of the tiny model: clip.safetensors, sam.safetensors, tokenizer.json."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)  # vectors stay near a start that some modules draw: CLIP's class embedding, SigLIP's biases
    config, files = tiny_config(family=family), foundation_files(folder)
    clip, sam = Clip(config.clip, tiny_tokenizer(folder, family)), Sam(config.sam)
    draw_weights(clip, seed)
    draw_weights(sam, seed + 1)
    with torch.no_grad():  # activations on both sides of one half
        clip.model.logit_scale.fill_(3.0)
        if family != "clip":
            clip.model.logit_bias.fill_(-0.3)
        sam.model.shared_image_embedding.positional_embedding.mul_(2)
    save_tensors(files["clip"], clip.model.state_dict())
    save_tensors(files["sam"], sam.distinct_state())
    hashes = {name: sha256(file) for name, file in files.items()}
    (folder / "foundation.json").write_text(json.dumps({"sha256": hashes}), encoding="utf-8")
    return folder


def tiny_model(
    folder: Path,
    variant: str = "rsrefseg",
    *,
    family: str = "siglip",
    compute: Mapping[str, Any] | None = None,
    trained: bool = True,
    seed: int = 0,
) -> RSRefSeg:
    """A variant of the tiny model, ready to predict; `trained` moves everything that trains away from its start."""
    torch.manual_seed(seed)
    model = RSRefSeg.from_foundation(tiny_config({**VARIANTS[variant], "compute": compute or {}}, family), folder)
    if trained:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if ".lora_" in name:
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) * parameter.shape[1] ** -0.5)
            draw_weights(model.prompter, seed)
            for name, buffer in model.prompter.named_buffers():
                if name.endswith(("running_mean", "running_var")):
                    buffer.copy_(torch.rand(buffer.shape, generator=generator) / 2)
            model.prompter.project.weight.mul_(3)
    return model.eval()


def random_image(height: int, width: int, seed: int) -> Tensor:
    """A uint8 image (3, height, width) of blocks: it keeps its contrast when it is made smaller."""
    generator = torch.Generator().manual_seed(seed)
    blocks = torch.randint(0, 256, (3, 5, 4), generator=generator, dtype=torch.uint8)
    rows, columns = torch.arange(height) * 5 // height, torch.arange(width) * 4 // width
    return blocks[:, rows][:, :, columns].contiguous()


def adapted_modules(config: ModelConfig) -> set[str]:
    """Every module the released code adapts, written out by name for this number of layers."""
    if config.lora is None:
        return set()
    names = {"sam.model.vision_encoder.neck.conv1", "sam.model.vision_encoder.neck.conv2"}
    for layer in range(config.sam.vision["num_hidden_layers"]):
        for part in ("attn.qkv", "attn.proj", "mlp.lin1", "mlp.lin2"):
            names.add(f"sam.model.vision_encoder.layers.{layer}.{part}")
    texts = range(config.clip.text["num_hidden_layers"])
    tuned = {"all": texts, "upper_half": texts[len(texts) // 2 :], "frozen": texts[:0]}[config.lora.text]
    for tower, layers in (("vision_model", range(config.clip.vision["num_hidden_layers"])), ("text_model", tuned)):
        for layer in layers:
            for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
                names.add(f"clip.model.{tower}.encoder.layers.{layer}.self_attn.{part}")
    if config.lora.text != "frozen":
        if config.clip.family == "clip":
            names.add("clip.model.text_projection")
        elif config.prompter.global_ and config.prompter.formulation == "released":
            names.add("clip.model.text_model.head")
    return names
