"""Adapters, and the one place that says what trains.

Adapters go where the released code puts them, named by regular expressions over whole module names (a suffix would hit
SAM's mask decoder as well):
    SAM image encoder: attention `qkv` and `proj`, MLP `lin1` and `lin2`, both convolutions of the neck
    CLIP vision: q, k, v and out projections of every layer
    CLIP text: the same, and the output head when the sentence embedding is used
Trained in full: the prompter, and of SAM's prompt encoder and mask decoder all that the mask depends on (the released
code lets the optimiser hold the rest too, where it never gets a gradient). Everything else is frozen.
"""

from __future__ import annotations

import re

import peft
from torch import nn

from models.config import LoraConfig, PrompterConfig

SAM_TARGETS = r"sam\.model\.vision_encoder\.(layers\.\d+\.(attn\.(qkv|proj)|mlp\.lin[12])|neck\.conv[12])"
_PROJECTIONS = r"encoder\.layers\.\d+\.self_attn\.(q|k|v|out)_proj"
VISION_TARGETS = rf"clip\.model\.vision_model\.{_PROJECTIONS}"
TEXT_TARGETS = rf"clip\.model\.text_model\.{_PROJECTIONS}"
TEXT_HEAD = r"clip\.model\.text_model\.head"


def adapter_targets(prompter: PrompterConfig) -> str:
    """One regular expression for the whole name of every adapted module."""
    head = [TEXT_HEAD] if prompter.global_ else []
    return "|".join(f"({target})" for target in (SAM_TARGETS, VISION_TARGETS, TEXT_TARGETS, *head))


def add_adapters(model: nn.Module, config: LoraConfig, prompter: PrompterConfig) -> None:
    """Put LoRA layers into an RSRefSeg, in place. They start as the identity."""
    settings = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=adapter_targets(prompter),
    )
    peft.inject_adapter_in_model(settings, model)


def trains(name: str, prompter: PrompterConfig) -> bool:
    """Whether the parameter of this name (in RSRefSeg) is trained."""
    used_of_prompt_encoder = "mask_embed" if prompter.dense else "no_mask_embed"
    return bool(
        ".lora_" in name
        or name.startswith(("prompter.", f"sam.model.prompt_encoder.{used_of_prompt_encoder}."))
        or re.fullmatch(
            r"sam\.model\.mask_decoder\.(?!iou_prediction_head)(?!output_hypernetworks_mlps\.[1-9]).*", name
        )
    )


def freeze(model: nn.Module, prompter: PrompterConfig) -> None:
    """Set requires_grad of every parameter to what `trains` says."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trains(name, prompter))
