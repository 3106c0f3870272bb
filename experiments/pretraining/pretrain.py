"""From recipes to weights/mini/: each foundation model trained, written in half precision, and measured."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich import print

from benchmark.data.files import replacing, sha256, write_all
from experiments.foundation_settings import PretrainConfig, Recipe
from experiments.pretraining.clip import clip_loss
from experiments.pretraining.loop import train
from experiments.pretraining.quality import clip_quality, sam_quality
from experiments.pretraining.sam import fresh_start, sam_loss
from experiments.pretraining.tokenizer import make_tokenizer
from models.checkpoint import save_tensors
from models.clip import Clip
from models.config import ModelConfig
from models.sam import Sam
from models.weights.files import foundation_files
from models.weights.foundation import load_clip, load_sam


def pretrain(config: ModelConfig, recipe: PretrainConfig, folder: Path, parts: tuple[str, ...]) -> None:
    """Do some of "clip", "sam" and "measure"."""
    if "clip" in parts:
        pretrain_clip(config, recipe, folder)
    if "sam" in parts:
        pretrain_sam(config, recipe, folder)
    if "measure" in parts:
        print(measure(config, recipe, folder))


def pretrain_clip(config: ModelConfig, recipe: PretrainConfig, folder: Path) -> None:
    """Train CLIP and write clip.safetensors and tokenizer.json."""
    torch.manual_seed(recipe.clip.seed)
    tokenizer = make_tokenizer(int(config.clip.text["vocab_size"]))
    clip = Clip(config.clip, tokenizer)
    torch.nn.init.constant_(clip.model.logit_scale, np.log(10.0))  # SigLIP's start: a scale of 10, a bias of -10,
    torch.nn.init.constant_(clip.model.logit_bias, -4.0)  # but here one patch in ten is positive, not one in a batch
    for cycle in each_cycle(recipe.clip):
        for step, loss in train(clip, cycle, partial(clip_loss, clip), "CLIP"):
            print(f"CLIP step {step} loss {loss:.4f}")
    files = foundation_files(folder)
    with replacing(files["tokenizer"]) as words, replacing(files["clip"]) as weights:
        tokenizer.backend_tokenizer.save(str(words))
        save_tensors(weights, {key: value.half() for key, value in clip.model.state_dict().items()})


def pretrain_sam(config: ModelConfig, recipe: PretrainConfig, folder: Path) -> None:
    """Train SAM and write sam.safetensors."""
    torch.manual_seed(recipe.sam.seed)
    sam = Sam(config.sam)
    fresh_start(sam)
    for cycle in each_cycle(recipe.sam):
        for step, loss in train(sam, cycle, partial(sam_loss, sam), "SAM"):
            print(f"SAM step {step} loss {loss:.4f}")
    with replacing(foundation_files(folder)["sam"]) as weights:
        save_tensors(weights, {key: value.half() for key, value in sam.distinct_state().items()})


def each_cycle(recipe: Recipe) -> list[Recipe]:
    """The recipe of each cycle: the seed, which draws scenes and batches, is one higher each time."""
    return [recipe.model_copy(update={"seed": recipe.seed + cycle}) for cycle in range(recipe.cycles)]


def measure(config: ModelConfig, recipe: PretrainConfig, folder: Path) -> dict[str, object]:
    """Write foundation.json: quality of the stored weights, their hashes and the recipe."""
    clip, sam = load_clip(config.clip, folder).eval(), load_sam(config.sam, folder).eval()
    report = {
        "clip": clip_quality(clip, recipe.held_out_scenes),
        "sam": sam_quality(sam, recipe.held_out_scenes),
        "parameters": {
            "clip": sum(parameter.numel() for parameter in clip.parameters()),
            "sam": sum(parameter.numel() for parameter in sam.parameters()),
        },
        "sha256": {name: sha256(file) for name, file in foundation_files(folder).items()},
        "recipe": recipe.model_dump(mode="json"),
    }
    write_all({folder / "foundation.json": (json.dumps(report, indent=2, sort_keys=True) + "\n").encode()})
    return report
