from __future__ import annotations

import torch

from models.rsrefseg2.attention import Attend


def test_attention_compares_with_positions_and_reads_without() -> None:
    torch.manual_seed(0)
    attend = Attend(6, inner=8, heads=2, read_width=5).double()
    x, x_position, read, read_position = (
        torch.randn(shape, dtype=torch.float64) for shape in ((3, 4, 6), (4, 6), (3, 7, 5), (7, 5))
    )
    mask = torch.arange(7) < torch.tensor([[2], [7], [1]])
    found = attend(x, x_position, read, read_position, mask)
    query, key = attend.query(x + x_position), attend.key(read + read_position)
    value = attend.value(read)
    heads = []
    for head in (slice(0, 4), slice(4, 8)):
        scores = query[..., head] @ key[..., head].transpose(1, 2) / 2  # the root of 4 channels a head
        heads.append(scores.masked_fill(~mask[:, None], -torch.inf).softmax(-1) @ value[..., head])
    torch.testing.assert_close(found, attend.norm(x + attend.out(torch.cat(heads, -1))))
