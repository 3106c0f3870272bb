"""Pretrain the two foundation models of `mini` and say how good they are.

    python -m experiments.foundation --model mini

Writes weights/<model>/: clip.safetensors, tokenizer.json, sam.safetensors (half precision: small enough to commit) and
foundation.json with their quality on held-out scenes. `--only clip`, `--only sam` and `--only measure` do one part, so
that the two trainings can run side by side.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich import print
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch.nn.functional import interpolate, normalize
from transformers import PreTrainedTokenizerFast

from benchmark.datasets import everyday
from benchmark.datasets.everyday_shapes import SHAPES
from benchmark.expressions import write_expressions
from experiments.config import FoundationConfig, load_params, parse, pick
from experiments.pretrain import (
    PROMPTS,
    Drawn,
    clip_loss,
    coverage,
    draw_batch,
    prompted,
    sam_loss,
    train,
    truth_on_grid,
)
from models.checkpoint import save_tensors, sha256
from models.clip import Clip
from models.config import ModelConfig
from models.sam import Sam
from models.zoo import MODELS
from models.foundation import foundation_files, load_clip, load_sam

# Words of aerial referring expressions, so that none is cut into letters: the vocabulary is wider than what is drawn,
# as a real CLIP's is. Categories: RRSIS-D's annotation file; the rest: its, RefSegRS's and RISBench's phrases.
AERIAL_WORDS = """
expressway service area toll station airplane airport baseball field basketball court bridge chimney dam golf ground
track harbor overpass ship stadium storage tank tennis train vehicle windmill building road vegetation water land
aircraft swimming pool parking lot roundabout sidewalk marking pavement driving along located towards closest upper
lower image small large big tiny long round square middle corner side edge near two
""".split()


CATEGORIES = tuple(SHAPES)


def make_tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE over lower-cased text, learnt from drawn expressions: nothing is unknown to it."""
    corpus = list(AERIAL_WORDS) * 20
    for index in range(2000):
        rng = np.random.default_rng([0, index])
        scene = everyday.draw_scene(rng, 64)
        corpus += [expression.text for expression in write_expressions(scene.regions, rng, per_region=2)]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        corpus,
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=["<unk>", "</s>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="</s>", eos_token="</s>", unk_token="<unk>", padding_side="right"
    )


def pretrain_clip(config: ModelConfig, recipe: FoundationConfig, folder: Path) -> None:
    """Train CLIP and write clip.safetensors and tokenizer.json."""
    torch.manual_seed(recipe.clip.seed)
    tokenizer = make_tokenizer(int(config.clip.text["vocab_size"]))
    clip = Clip(config.clip, tokenizer)
    torch.nn.init.constant_(clip.model.logit_scale, np.log(10.0))  # SigLIP's start: a scale of 10, a bias of -10,
    torch.nn.init.constant_(clip.model.logit_bias, -4.0)  # but here one patch in ten is positive, not one in a batch
    for step, loss in train(clip, recipe.clip, lambda seed, count: clip_loss(clip, seed, count), "CLIP"):
        print(f"CLIP step {step} loss {loss:.4f}")
    files = foundation_files(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.backend_tokenizer.save(str(files["tokenizer"]))
    save_tensors(files["clip"], {key: value.half() for key, value in clip.model.state_dict().items()})


def pretrain_sam(config: ModelConfig, recipe: FoundationConfig, folder: Path) -> None:
    """Train SAM and write sam.safetensors."""
    torch.manual_seed(recipe.sam.seed)
    sam = Sam(config.sam)
    for step, loss in train(sam, recipe.sam, lambda seed, count: sam_loss(sam, seed, count), "SAM"):
        print(f"SAM step {step} loss {loss:.4f}")
    save_tensors(foundation_files(folder)["sam"], {key: value.half() for key, value in sam.distinct_state().items()})


@torch.no_grad()
def clip_quality(clip: Clip, scenes: int, seed: int = 10**6) -> dict[str, float]:
    """On held-out scenes: is a region's pooled feature nearest to its own category's phrase (`phrase_accuracy`, among all
    categories), and does an expression's heat map peak on its region (`pointing_accuracy`)?"""
    phrases = [f"the {category}" for category in CATEGORIES]
    phrase_KC = normalize(clip.encode_texts(phrases)[2], dim=-1)
    named, pointed = [], []
    for index in range(scenes):
        drawn = draw_batch((seed, index), 1, clip.config.image_side)
        visual_CHW = normalize(clip.encode_images(drawn.images)[0], dim=0)
        cells = visual_CHW.shape[-1]
        for region in drawn.regions:
            share = torch.from_numpy(coverage(region.mask, cells))
            pooled_C = normalize((visual_CHW * share).sum((1, 2)), dim=0)
            named.append(CATEGORIES[int((phrase_KC @ pooled_C).argmax())] == region.category)
        expressions = write_expressions(drawn.regions, np.random.default_rng([seed, index]), per_region=1)
        if not expressions:
            continue
        sentence_NC = normalize(clip.encode_texts([expression.text for expression in expressions])[2], dim=-1)
        peak_N = torch.einsum("nc,chw->nhw", sentence_NC, visual_CHW).flatten(1).argmax(1)
        for expression, peak in zip(expressions, peak_N.tolist(), strict=True):
            share = coverage(drawn.regions[expression.region].mask, cells)
            pointed.append(bool(share.flat[peak] > 0))
    return {"phrase_accuracy": float(np.mean(named)), "pointing_accuracy": float(np.mean(pointed))}


@torch.no_grad()
def sam_quality(sam: Sam, scenes: int, seed: int = 10**6) -> dict[str, float]:
    """Mean IoU of every region of held-out scenes, at the scene's own size, for each kind of prompt."""
    values: dict[str, list[float]] = {kind: [] for kind in PROMPTS}
    for index in range(scenes):
        drawn: Drawn = draw_batch((seed, index), 1, sam.config.image_side)
        image_1Chw = sam.encode(drawn.images)
        for kind in PROMPTS:
            rng = np.random.default_rng([seed, index])
            logits, _, truth = prompted(sam, image_1Chw, drawn, range(len(drawn.regions)), kind, rng)
            size = (sam.config.image_side, sam.config.image_side)
            full = interpolate(logits.unsqueeze(1), size=size, mode="bilinear", align_corners=False).squeeze(1) > 0
            true = truth_on_grid(truth, sam.config.image_side) > 0.5
            values[kind] += ((full & true).sum((1, 2)) / (full | true).sum((1, 2))).tolist()
    return {f"{kind.replace(' ', '_')}_miou": float(np.mean(found)) for kind, found in values.items()}


def measure(config: ModelConfig, recipe: FoundationConfig, folder: Path) -> dict[str, object]:
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
    (folder / "foundation.json").write_text(json.dumps(report, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return report


def main(
    model: Annotated[str, typer.Option(help="a model of params.yaml")],
    only: Annotated[str | None, typer.Option(help="clip, sam or measure")] = None,
    weights: Annotated[Path, typer.Option(help="where the weights go")] = Path("weights"),
) -> None:
    """Pretrain the foundation models of one size."""
    params = load_params()
    recipe = params.foundation[pick("foundation", model, params.foundation)]
    config = parse(ModelConfig, MODELS[model], f"models.zoo: {model}")
    parts = ("clip", "sam", "measure") if only is None else (pick("part", only, ("clip", "sam", "measure")),)
    started = time.perf_counter()
    if "clip" in parts:
        pretrain_clip(config, recipe, weights / model)
    if "sam" in parts:
        pretrain_sam(config, recipe, weights / model)
    if "measure" in parts:
        print(measure(config, recipe, weights / model))
    print(f"{', '.join(parts)}: {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    typer.run(main)
