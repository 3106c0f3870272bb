"""What a GPU will measure at the paper's size, run here at the tiny one; nothing is said about speed."""

from __future__ import annotations

import pytest
import torch

from experiments.commands.inspect import chosen
from experiments.config import load_params
from experiments.speed import encoder
from experiments.speed.encoder import encoder_pairs, flops, layer_pairs, model_pairs, widened_step
from models.sam import Sam
from tests.tiny import tiny_config

CPU = torch.device("cpu")


def test_both_ways_run_on_one_set_of_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda call, **_: call)
    monkeypatch.setattr(encoder, "matmul_rate", lambda *_: 1e15)
    config = chosen(load_params(), None, "mini", "rsrefseg").model_copy(update={"model": tiny_config()})
    sam = config.model.sam
    pairs = [
        *layer_pairs(sam, turns=1),
        *encoder_pairs(sam, CPU, images=2, turns=1),
        *model_pairs("tiny", config, CPU, 2, 2, turns=1, goals=(3.0, 2.0)),
        widened_step("tiny", config, CPU, images=2, turns=1),
    ]
    assert all(pair.reference > 0 and pair.ours > 0 and pair.ratio > 0 for pair in pairs)
    assert [pair.goal for pair in pairs if pair.goal] == [3.0, 2.0]
    assert all(0 < pair.share < 1 for pair in pairs if pair.share is not None)


def test_what_is_needed_is_counted_and_not_what_widened_heads_add() -> None:
    vision = {**tiny_config().sam.vision, "use_rel_pos": True}
    config = tiny_config().sam.model_copy(update={"vision": vision})
    pixels = torch.randn(1, 3, 64, 64)
    counts = {name: flops(Sam(config, name).model.vision_encoder, pixels) for name in ("eager", "sdpa", "widened")}
    assert counts["eager"] == counts["sdpa"] < counts["widened"]
