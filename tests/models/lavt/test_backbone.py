from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.models.swin_transformer import SwinTransformer
from transformers import SwinModel

from models.lavt.backbone import Backbone, make_swin
from models.lavt.config import ImageConfig
from models.lavt.gate import Fusion
from models.rmsin.iim import IIM
from tests.language_aware import PLAIN, close, drawn, noise, random_text

PUBLISHED_GRIDS = {"image_size": 480, "patch_size": 4, "window_size": 12, "depths": [1, 1, 2, 2], "embed_dim": 4}


def image_config(**changes: Any) -> ImageConfig:
    return ImageConfig(swin={**PLAIN["image"]["swin"], **changes})


def carried(backbone: Backbone, pixels: Tensor) -> list[Tensor]:
    """E of every stage but the last, and the last one's V, which nothing is added to."""
    seen: list[Tensor] = []
    watched = [*(stage.downsample for stage in backbone.swin.encoder.layers[:-1]), backbone.fusions[-1]]
    hooks = [module.register_forward_pre_hook(lambda _, given: seen.append(given[0])) for module in watched]
    backbone(backbone.first_stage(pixels), random_text(len(pixels), 5, 6))
    for hook in hooks:
        hook.remove()
    return seen


def test_with_gates_of_zero_every_stage_is_a_plain_swin_s(subtests: pytest.Subtests) -> None:
    config = image_config()
    for kind in (Fusion, IIM):
        backbone = drawn(Backbone(config, [kind(width, 6, last=width == 64) for width in config.widths]))
        plain = SwinModel(backbone.swin.config, add_pooling_layer=False).double().eval()
        plain.load_state_dict(backbone.swin.state_dict(), strict=False)
        pixels = noise(2, 3, 64, 64)
        with torch.no_grad():
            told = carried(backbone, pixels)
            for name, parameter in backbone.named_parameters():
                if name.endswith("gate.second.weight"):
                    parameter.zero_()
            found = carried(backbone, pixels)
            options = {"always_partition": True, "output_hidden_states_before_downsampling": True}
            stages = plain(pixels, output_hidden_states=True, **options).reshaped_hidden_states[1:]
        for stage, (e, silent, swin) in enumerate(zip(told, found, stages, strict=True)):
            with subtests.test(kind.__name__, stage=stage):
                close(silent, swin.flatten(2).transpose(1, 2))
                assert (e - silent).abs().max() > 1e-3  # and otherwise it is not


def torchvision_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of make_swin, as torchvision names it: q, k and v in one, stages and mergings in one row."""
    named: dict[str, Tensor] = {}
    fixed = {
        "embeddings.patch_embeddings.projection": "features.0.0",
        "embeddings.norm": "features.0.2",
    }
    inside = {
        "layernorm_before": "norm1",
        "layernorm_after": "norm2",
        "attention.o_proj": "attn.proj",
        "mlp.fc1": "mlp.0",
        "mlp.fc2": "mlp.3",
        "attention.relative_position_bias.relative_position_bias_table": "attn.relative_position_bias_table",
    }
    for key, value in state.items():
        name, _, kind = key.rpartition(".")
        if name in fixed:
            named[f"{fixed[name]}.{kind}"] = value
            continue
        _, _, stage, place, *rest = key.split(".")
        if place == "downsample":
            named[f"features.{2 * int(stage) + 2}.{'.'.join(rest)}"] = value
            continue
        block, part = f"features.{2 * int(stage) + 1}.{rest[0]}", ".".join(rest[1:])
        if "_proj" in part and "o_proj" not in part:
            if "q_proj" in part:
                three = [state[key.replace("q_proj", f"{one}_proj")] for one in "qkv"]
                named[f"{block}.attn.qkv.{kind}"] = torch.cat(three)
            continue
        ours = next(old for old in inside if part.startswith(old))
        named[f"{block}.{part.replace(ours, inside[ours])}"] = value
    return named


def test_padded_windows_at_480_px_are_torchvision_s() -> None:
    """An implementation that shares no line: grids of 30 and 15, which windows of 12 do not divide, are padded to 36
    and 24, and shifted by 6."""
    config = image_config(**PUBLISHED_GRIDS)
    swin = drawn(make_swin(config))
    windows: list[int] = []
    for stage in swin.encoder.layers:
        stage.blocks[0].attention.register_forward_pre_hook(lambda _, given: windows.append(len(given[0])))
    theirs = SwinTransformer([4, 4], 4, PUBLISHED_GRIDS["depths"], [1, 2, 2, 4], [12, 12]).double().eval()  # type: ignore[arg-type]
    _, extra = theirs.load_state_dict(torchvision_state(swin.state_dict()), strict=False)
    assert extra == []
    seen: list[Tensor] = []
    for stage in range(4):
        theirs.features[2 * stage + 1].register_forward_hook(lambda _m, _i, out: seen.append(out))
    pixels = noise(1, 3, 480, 480)
    with torch.no_grad():
        theirs.features(pixels)
        backbone = drawn(Backbone(config, [Fusion(width, 6, last=width == 32) for width in config.widths]))
        backbone.swin = swin
        for fusion in backbone.fusions[:-1]:
            fusion.gate.second.weight.zero_()
        ours = carried(backbone, pixels)
    assert windows == [(120 // 12) ** 2, (60 // 12) ** 2, (36 // 12) ** 2, (24 // 12) ** 2]
    for mine, other in zip(ours, seen, strict=True):
        close(mine, other.flatten(1, 2))


def test_windows_and_shifts_stay_where_a_grid_is_no_larger() -> None:
    config = image_config(depths=[2, 2, 2, 2])
    backbone = drawn(Backbone(config, [Fusion(width, 6, last=width == 64) for width in config.widths]))
    carried(backbone, noise(1, 3, 64, 64))
    blocks = [block for stage in backbone.swin.encoder.layers for block in stage.blocks]
    assert {block.window_size for block in blocks} == {4}
    assert [block.shift_size for block in blocks] == [0, 2] * 4


def test_drop_path_drops_both_branches_and_grows_with_depth() -> None:
    swin = drawn(make_swin(image_config(drop_path_rate=0.5))).train()
    blocks = [block for stage in swin.encoder.layers for block in stage.blocks]
    rates = [getattr(block.drop_path, "drop_prob", 0.0) for block in blocks]
    assert rates == pytest.approx([0.5 * number / (len(blocks) - 1) for number in range(len(blocks))])
    block, cells = blocks[1], noise(2, 1024, 8)
    block.drop_path.drop_prob = 1 - 1e-9
    close(block(cells, (32, 32), always_partition=True)[0], cells)
