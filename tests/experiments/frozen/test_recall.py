from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from experiments.frozen.recall import AskedOnce, TextMemory


def row(number: int) -> Tensor:
    """Token ids."""
    return torch.tensor([number, 1, 1])


def test_the_longest_unasked_text_is_forgotten_first() -> None:
    asked = []

    def encode(rows: Sequence[Tensor]) -> Tensor:
        asked.extend(int(ids[0]) for ids in rows)
        return torch.stack(list(rows)).float().unsqueeze(2)

    recall = AskedOnce(torch.float32, TextMemory(2 * 3 * 4))
    for number in (5, 6, 5, 7, 5, 6):
        assert torch.equal(recall(encode, [row(number)])[0, :, 0], row(number).float())
    assert asked == [5, 6, 7, 6]


def test_what_is_given_does_not_depend_on_the_batch_or_on_what_is_known() -> None:
    """Of an encoder whose answers do depend on the batch, in a precision that is not what is kept."""

    def encode(rows: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(rows)).float() / 3 + len(rows)

    memory = TextMemory(1000)
    recall, alone = AskedOnce(torch.float16, memory), AskedOnce(torch.float16, None)
    first, again = (recall(encode, [row(4), row(5), row(6)]) for _ in range(2))
    assert first.dtype == torch.float16
    for other in (again, recall(encode, [row(4), row(5), row(6)]), alone(encode, [row(4), row(5), row(6)])):
        assert torch.equal(first, other)
    assert torch.equal(first[1:2], alone(encode, [row(5)]))
    twice = AskedOnce(torch.float16, None, alone=False)(encode, [row(4)])
    assert torch.equal(twice, encode([row(4), row(4)])[:1].half())
