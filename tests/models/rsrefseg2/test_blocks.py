from __future__ import annotations

import torch
from torch import Tensor

from models.rsrefseg2.blocks import ImageBlock, PromptBlock, QueryBlock
from models.rsrefseg2.config import CascadeConfig

SMALL = CascadeConfig(inner=8, heads=2, mlp=12)


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


def reads(output: Tensor, *inputs: Tensor) -> list[bool]:
    """Which inputs an output depends on."""
    found = torch.autograd.grad(output.square().sum(), inputs, allow_unused=True, retain_graph=True)
    return [gradient is not None and bool(gradient.abs().max() > 1e-9) for gradient in found]


def test_what_each_block_reads_is_what_the_cascade_says() -> None:
    torch.manual_seed(0)
    first, second, text = (draw(2, places, 6).requires_grad_() for places in (3, 3, 5))
    positions = [draw(3, 6), draw(3, 6)]
    one, other = QueryBlock(SMALL, 6).double()([first, second], positions, text, None)
    assert reads(one, first, second, text) == reads(other, first, second, text) == [True, True, True]
    image, prompts = draw(2, 4, 6).requires_grad_(), draw(2, 2, 8).requires_grad_()
    queries, seen = ImageBlock(SMALL, 6).double()(first, positions[0], image, draw(4, 6))
    assert (reads(queries, first, image), reads(seen, first, image)) == ([True, False], [True, True])
    block = PromptBlock(SMALL, 6, 8).double()
    outputs = block(prompts, draw(2, 8), second, positions[1], image, draw(4, 6))
    assert [reads(output, prompts, second, image) for output in outputs] == [
        [True, True, True],
        [False, True, False],
        [False, True, True],
    ]


def test_the_first_set_reads_the_second_before_the_second_reads_the_first() -> None:
    torch.manual_seed(0)
    block, sets, positions = QueryBlock(SMALL, 6).double(), [draw(2, 3, 6), draw(2, 3, 6)], [draw(3, 6), draw(3, 6)]
    text = draw(2, 5, 6)
    found = block(sets, positions, text, None)
    for number in (0, 1):
        own, place = sets[number], positions[number]
        own = block.itself[number](own, place, own, place)
        sets[number] = block.text_feed[number](block.text[number](own, place, text))
    first = block.other_feed[0](block.other[0](sets[0], positions[0], sets[1], positions[1]))
    second = block.other_feed[1](block.other[1](sets[1], positions[1], first, positions[0]))
    torch.testing.assert_close(found, [first, second])
