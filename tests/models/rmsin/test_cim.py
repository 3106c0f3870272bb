from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, conv2d, hardswish, interpolate

from models.rmsin.cim import CIM, CSA, CimBlock
from models.rmsin.config import CimConfig
from tests.language_aware import close, drawn, noise

SMALL = {"heads": 2, "key": 3, "value": 5}


def as_attention(csa: CSA, x: Tensor) -> Tensor:
    """CSA with its axes named, so that nothing can be mixed."""
    config, grid = csa.config, csa.grid
    normed = csa.norm(x)
    tokens = torch.cat([one.flatten(2) for one in (normed, csa.halve(normed), csa.third(normed))], dim=2)
    qkv = csa.qkv_norm(torch.einsum("oc,nct->not", csa.qkv.weight, tokens))
    q, k, v = qkv.unflatten(1, (config.heads, -1)).split([config.key, config.key, config.value], dim=2)
    weights = (torch.einsum("nhds,nhdt->nhst", q, k) / config.key**0.5).softmax(3)
    attended = torch.einsum("nhst,nhdt->nhds", weights, v).flatten(1, 2)
    first = v[..., : grid**2].flatten(1, 2).unflatten(2, (grid, grid))
    local = conv2d(hardswish(first), csa.local.weight, csa.local.bias, padding=1, groups=first.shape[1])
    cells = torch.einsum("gt,nct->ncg", csa.gather.weight, attended) + csa.gather.bias + local.flatten(2)
    narrowed = torch.einsum("dc,ncg->ndg", csa.narrow.weight, cells) + csa.narrow.bias[:, None]
    return csa.project(narrowed.unflatten(2, (grid, grid)))


def test_corrected_attention_is_attention_and_the_released_one_is_not(subtests: pytest.Subtests) -> None:
    for grid in (4, 5, 6):
        released = drawn(CSA(CimConfig(**SMALL), 8, grid))
        corrected = drawn(CSA(CimConfig(csa="corrected", **SMALL), 8, grid))
        corrected.load_state_dict(released.state_dict())
        x = noise(2, 8, grid, grid)
        with subtests.test(grid=grid):
            close(corrected(x), as_attention(corrected, x))
            assert (released(x) - corrected(x)).abs().max() > 1e-2


def test_released_attention_views_memory_as_it_lies() -> None:
    csa = CSA(CimConfig(**SMALL), 8, 4)
    tokens = 16 + 4 + 4
    attended, value = noise(1, 2, tokens, 5), noise(1, 2, tokens, 5)
    seen, first = csa.lay_out(attended, value)
    in_memory = [attended[0, head, token, one] for token in range(tokens) for head in range(2) for one in range(5)]
    assert seen.shape == (1, 10, tokens)
    assert torch.equal(seen.flatten(), torch.stack(in_memory))
    assert torch.equal(first.flatten(), value[0, :, :16].flatten())


def test_published_tokens_are_314() -> None:
    with torch.device("meta"):
        assert CSA(CimConfig(), 480, 15).gather.in_features == 15**2 + 8**2 + 5**2 == 314


def test_the_block_doubles_each_scale_s_share() -> None:
    block, x = drawn(CimBlock(CimConfig(**SMALL), [4, 8], 4)), noise(2, 12, 4, 4)
    x1 = x + block.across(x)
    x2 = torch.cat([2 * x1[:, :4] + block.within[0](x1[:, :4]), 2 * x1[:, 4:] + block.within[1](x1[:, 4:])], 1)
    x3 = x2 + block.across_again(x2)
    close(block(x), x3 + block.over_all(x3))


def test_each_stage_takes_in_its_share_at_its_own_size() -> None:
    cim = drawn(CIM(CimConfig(**SMALL), [4, 8], 4))
    maps = [noise(2, 4, 9, 9), noise(2, 8, 4, 4)]
    entered = cim.enter(torch.cat([adaptive_avg_pool2d(maps[0], 4), maps[1]], 1))
    shares = cim.leave(cim.block(entered)).split([4, 8], 1)
    for gate, one, share, found in zip(cim.gates, maps, shares, cim(maps), strict=True):
        scale, shift = (gate.scale(share) + 3).clamp(0, 6) / 6, gate.shift(share)
        up = [interpolate(x, one.shape[2:], mode="bilinear", align_corners=False) for x in (scale, shift)]
        close(found, gate.own(one) * up[0] + up[1])
