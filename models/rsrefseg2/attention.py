"""The two residual layers of which CascadedPrompter is made: attention and MLP, each followed by its norm.

N expressions, L places that ask, K places that are read, C and D their widths. A learnt position is added to what is
compared (queries and keys), never to what is read (values).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


class Attend(nn.Module):
    """x -> LayerNorm(x + attention(x + its positions, y + its positions, y)).

    Args:
        width: C, of what asks and comes out.
        inner: width of all heads together.
        heads: of `inner / heads` each.
        read_width: D, of what is read; None: it is C.
    """

    def __init__(self, width: int, *, inner: int, heads: int, read_width: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, inner)
        self.key = nn.Linear(read_width or width, inner)
        self.value = nn.Linear(read_width or width, inner)
        self.out = nn.Linear(inner, width)
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        x_NLC: Tensor,
        x_position_LC: Tensor,
        read_NKD: Tensor,
        read_position_KD: Tensor | None = None,
        mask_NK: Tensor | None = None,
    ) -> Tensor:
        """-> (N, L, C).

        Args:
            x_NLC, x_position_LC: what asks, and where it is.
            read_NKD, read_position_KD: what is read, and where it is, if that is told.
            mask_NK: true where there is something to read; None: everywhere.
        """
        asked_NLC = x_NLC + x_position_LC
        keys_NKD = read_NKD if read_position_KD is None else read_NKD + read_position_KD
        found = scaled_dot_product_attention(
            self._split(self.query(asked_NLC)),
            self._split(self.key(keys_NKD)),
            self._split(self.value(read_NKD)),
            attn_mask=None if mask_NK is None else mask_NK[:, None, None],
        )
        attended_NLC: Tensor = self.out(found.transpose(1, 2).flatten(2))
        normed: Tensor = self.norm(x_NLC + attended_NLC)
        return normed

    def _split(self, values_NLI: Tensor) -> Tensor:
        return values_NLI.unflatten(2, (self.heads, -1)).transpose(1, 2)


class Feed(nn.Module):
    """x -> LayerNorm(x + MLP(x))."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.mlp = mlp(width, hidden)
        self.norm = nn.LayerNorm(width)

    def forward(self, x_NLC: Tensor) -> Tensor:
        """-> (N, L, C)."""
        normed: Tensor = self.norm(x_NLC + self.mlp(x_NLC))
        return normed


def mlp(width: int, hidden: int) -> nn.Sequential:
    """C -> hidden -> C, with a GELU between."""
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
