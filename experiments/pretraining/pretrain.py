"""From recipes to weights/<model>/: each foundation model trained, written in half precision, and measured."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich import print
from torch import Tensor, nn

from benchmark.data.files import replacing, sha256, write_all
from experiments.foundation_settings import PretrainConfig, Recipe
from experiments.pretraining.bert import BertPupil, bert_loss
from experiments.pretraining.clip import clip_loss
from experiments.pretraining.loop import train
from experiments.pretraining.probes import bert_quality, swin_quality
from experiments.pretraining.quality import clip_quality, sam_quality
from experiments.pretraining.sam import fresh_start, sam_loss
from experiments.pretraining.swin import SwinPupil, bare_backbone, swin_loss
from experiments.pretraining.tokenizer import make_tokenizer
from models.checkpoint import save_tensors
from models.clip import Clip
from models.config import ModelConfig, Part
from models.lavt.config import LanguageAwareConfig
from models.lavt.text import Text
from models.sam import Sam
from models.tokens import load_tokenizer
from models.weights.files import foundation_files
from models.weights.foundation import load_clip, load_sam
from models.weights.swin_bert import load_swin, load_text

Files = Mapping[str, Path]  # of a foundation folder, by name

TOKENIZER_OF = "mini"  # whose words BERT reads: one vocabulary, fitted once


class Pretraining(NamedTuple):
    """learn: trains one foundation model and writes its files. judge: what was stored -> its quality on so many
    held-out scenes, and its parameters."""

    learn: Callable[[Any, Recipe, Files], None]
    judge: Callable[[Any, Path, int], tuple[dict[str, float], int]]


def pretrain(config: Part, recipe: PretrainConfig, files: Files, parts: tuple[str, ...]) -> None:
    """Do some of the system's parts and "measure".

    Args:
        config: the system's.
        files: where they go, by name, in one folder.
    """
    for part in parts:
        if part == "measure":
            print(measure(config, recipe, files))
        else:
            PRETRAININGS[part].learn(config, recipe.of_parts[part], files)


def pretrain_clip(config: ModelConfig, recipe: Recipe, files: Files) -> None:
    """Train CLIP and write clip.safetensors and tokenizer.json."""
    torch.manual_seed(recipe.seed)
    tokenizer = make_tokenizer(int(config.clip.text["vocab_size"]))
    clip = Clip(config.clip, tokenizer)
    torch.nn.init.constant_(clip.model.logit_scale, np.log(10.0))  # SigLIP's start: a scale of 10, a bias of -10,
    torch.nn.init.constant_(clip.model.logit_bias, -4.0)  # but here one patch in ten is positive, not one in a batch
    _learn(clip, recipe, partial(clip_loss, clip), "CLIP")
    with replacing(files["tokenizer"]) as words:
        tokenizer.backend_tokenizer.save(str(words))
        _write(files["clip"], clip.model.state_dict())


def pretrain_sam(config: ModelConfig, recipe: Recipe, files: Files) -> None:
    """Train SAM and write sam.safetensors."""
    torch.manual_seed(recipe.seed)
    sam = Sam(config.sam)
    fresh_start(sam)
    _learn(sam, recipe, partial(sam_loss, sam), "SAM")
    _write(files["sam"], sam.distinct_state())


def pretrain_swin(config: LanguageAwareConfig, recipe: Recipe, files: Files) -> None:
    """Train a Swin and write swin.safetensors."""
    torch.manual_seed(recipe.seed)
    pupil = SwinPupil(config.image)
    _learn(pupil, recipe, partial(swin_loss, pupil), "Swin")
    _write(files["swin"], pupil.backbone.swin.state_dict())


def pretrain_bert(config: LanguageAwareConfig, recipe: Recipe, files: Files) -> None:
    """Train BERT, which reads texts with `mini`'s tokenizer, and write bert.safetensors and tokenizer.json."""
    torch.manual_seed(recipe.seed)
    words = foundation_files(files["tokenizer"].parents[1] / TOKENIZER_OF)["tokenizer"]
    pupil = BertPupil(config.text, Text(config.text, load_tokenizer(words, config.text.tokenizer)))
    _learn(pupil, recipe, partial(bert_loss, pupil), "BERT")
    with replacing(files["tokenizer"]) as copy:
        copy.write_bytes(words.read_bytes())
        _write(files["bert"], pupil.text.bert.state_dict())


def _learn(model: nn.Module, recipe: Recipe, loss_of: Callable[[Sequence[int], Recipe], Tensor], title: str) -> None:
    for cycle in each_cycle(recipe):
        for step, loss in train(model, cycle, loss_of, title):
            print(f"{title} step {step} loss {loss:.4f}")


def _write(file: Path, state: Mapping[str, Tensor]) -> None:
    with replacing(file) as weights:
        save_tensors(weights, {key: value.half() for key, value in state.items()})


def _judge_clip(config: ModelConfig, folder: Path, scenes: int) -> tuple[dict[str, float], int]:
    clip = load_clip(config.clip, folder).eval()
    return clip_quality(clip, scenes), _count(clip)


def _judge_sam(config: ModelConfig, folder: Path, scenes: int) -> tuple[dict[str, float], int]:
    sam = load_sam(config.sam, folder).eval()
    return sam_quality(sam, scenes), _count(sam)


def _judge_swin(config: LanguageAwareConfig, folder: Path, scenes: int) -> tuple[dict[str, float], int]:
    backbone = bare_backbone(config.image)
    load_swin(backbone, folder)
    return swin_quality(config.image, backbone.eval(), scenes), _count(backbone)


def _judge_bert(config: LanguageAwareConfig, folder: Path, scenes: int) -> tuple[dict[str, float], int]:
    text = load_text(config.text, folder).eval()
    return bert_quality(text, scenes), _count(text)


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


PRETRAININGS = {
    "clip": Pretraining(pretrain_clip, _judge_clip),
    "sam": Pretraining(pretrain_sam, _judge_sam),
    "swin": Pretraining(pretrain_swin, _judge_swin),
    "bert": Pretraining(pretrain_bert, _judge_bert),
}


def measure(config: Part, recipe: PretrainConfig, files: Files) -> dict[str, object]:
    """Write foundation.json: quality of the stored weights, their hashes and the recipe."""
    folder = next(iter(files.values())).parent
    judged = {part: PRETRAININGS[part].judge(config, folder, recipe.held_out_scenes) for part in recipe.of_parts}
    report = {
        **{part: quality for part, (quality, _) in judged.items()},
        "parameters": {part: count for part, (_, count) in judged.items()},
        "sha256": {name: sha256(file) for name, file in files.items()},
        "recipe": recipe.model_dump(mode="json"),
    }
    write_all({folder / "foundation.json": (json.dumps(report, indent=2, sort_keys=True) + "\n").encode()})
    return report


def each_cycle(recipe: Recipe) -> list[Recipe]:
    """The recipe of each cycle: the seed, which draws scenes and batches, is one higher each time."""
    return [recipe.model_copy(update={"seed": recipe.seed + cycle}) for cycle in range(recipe.cycles)]
