"""Adapters, and the one place that says what trains.

Adapters go where the released code puts them, named by regular expressions over whole module names (a suffix would hit
SAM's mask decoder as well):
    SAM image encoder: attention `qkv` and `proj`, MLP `lin1` and `lin2`, both convolutions of the neck
    CLIP vision: q, k, v and out projections of every layer
    CLIP text: the same of all layers, of the upper half, or of none; and the output head, where something reads it
SigLIP's output head makes the sentence embedding, which the paper's formulation and `local_only` do not read; CLIP's is
its text projection, through which every token passes.
Trained in full: the prompter, and of SAM's prompt encoder and mask decoder all that the mask depends on (the released
code lets the optimiser hold the rest too, where it never gets a gradient). Everything else is frozen.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from torch import nn

from models.config import ClipConfig, LoraConfig, ModelConfig, PrompterConfig

SAM_TARGETS = r"sam\.model\.vision_encoder\.(layers\.\d+\.(attn\.(qkv|proj)|mlp\.lin[12])|neck\.conv[12])"
_PROJECTIONS = r"self_attn\.(q|k|v|out)_proj"
VISION_TARGETS = rf"clip\.model\.vision_model\.encoder\.layers\.\d+\.{_PROJECTIONS}"
TEXT_HEADS = {
    "siglip": r"clip\.model\.text_model\.head",
    "siglip2": r"clip\.model\.text_model\.head",
    "clip": r"clip\.model\.text_projection",
}
# What the mask depends on of SAM's decoder, and of SAM 2's: not its estimates, nor its second to fourth mask.
MASK_DECODER = re.compile(
    r"sam\.model\.mask_decoder\.(?!iou_prediction_head|pred_obj_score_head)(?!output_hypernetworks_mlps\.[1-9]).*"
)


def adapter_targets(config: ModelConfig, lora: LoraConfig) -> str:
    """One regular expression for the whole name of every adapted module of RSRefSeg."""
    sentence_read = config.prompter.global_ and config.prompter.formulation == "released"
    return any_of([SAM_TARGETS, *clip_targets(config.clip, lora, head=sentence_read or config.clip.family == "clip")])


def clip_targets(clip: ClipConfig, lora: LoraConfig, *, head: bool) -> list[str]:
    """Those of CLIP. head: something reads what the text encoder's output head makes."""
    targets = [VISION_TARGETS]
    if lora.text != "frozen":
        layers = int(clip.text["num_hidden_layers"])
        first = layers // 2 if lora.text == "upper_half" else 0  # of an odd number, the middle one is tuned
        chosen = "|".join(str(layer) for layer in range(first, layers))
        targets.append(rf"clip\.model\.text_model\.encoder\.layers\.({chosen})\.{_PROJECTIONS}")
        if head:
            targets.append(TEXT_HEADS[clip.family])
    return targets


def any_of(targets: list[str]) -> str:
    """One regular expression for several."""
    return "|".join(f"({target})" for target in targets)


def add_adapters(model: nn.Module, targets: str, lora: LoraConfig) -> None:
    """Put LoRA layers into a model, in place, on the modules whose whole name fits. They start as the identity."""
    import peft  # which takes its time, and a model without adapters never needs it

    settings = peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
    )
    peft.inject_adapter_in_model(settings, model)


def merge_adapters(model: nn.Module) -> None:
    """Add every adapter to the weights under it and take it away, in place: the same function, without its cost."""
    from peft.tuners.lora import LoraLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge()
            model.set_submodule(name, module.get_base_layer())


def trains(name: str, prompter: PrompterConfig) -> bool:
    """Whether the parameter of this name (in RSRefSeg) is trained."""
    used_of_prompt_encoder = "mask_embed" if prompter.dense else "no_mask_embed"
    return bool(
        ".lora_" in name
        or name.startswith(("prompter.", f"sam.model.prompt_encoder.{used_of_prompt_encoder}."))
        or MASK_DECODER.fullmatch(name)
    )


def freeze(model: nn.Module, trains: Callable[[str], bool]) -> None:
    """Set requires_grad of every parameter to what `trains` says of its name."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trains(name))
