"""SAM's image encoder computed as a GPU likes it (`compute.attention: widened`): transformers' weights under their
names, the same function.

Transformers' attention (modeling_sam.py) gives a fused kernel the relative positions as a mask,
q.Rh[row_q - row_k] + q.Rw[column_q - column_k]: in a global layer of ViT-B 12 x 4096 x 4096 numbers an image, 403 MB in
bfloat16, and in training a gradient of that size. No flash kernel takes a mask. Here they are part of what is compared,

    q' = [q, sqrt(C) q.Rh(row_q), sqrt(C) q.Rw(column_q)]      k' = [k, onehot(row_k), onehot(column_k)]

so that q'.k' / sqrt(C) is the same score, and nothing larger than q is ever written. The price is arithmetic: heads are
C + 2S wide, 192 instead of 64 where S = 64 tokens are a side.

Transformers pads a 64 x 64 map with zero tokens to 70 x 70 for its windows of 14, which then pass through qkv and proj,
a fifth of all tokens. Softmax counts them, so they must stay; but what qkv makes of a zero token is its bias. So the
padding is put in after qkv and taken away before proj.

Not FlexAttention: it adds the gradient of what a score reads with one atomic addition for each score, here two of them,
and on a CPU nothing of it can be held by a test but the forward pass.
B images, h x w tokens, n heads of C channels, windows (or maps) of S x S tokens, D channels of any kind.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention
from transformers.models.sam.modeling_sam import SamPatchEmbeddings, SamVisionEncoder, SamVisionSdpaAttention

ALIGNED = 8  # flash kernels take heads whose width is a multiple of this


def widen(encoder: SamVisionEncoder) -> None:
    """Let an image encoder compute this way, in place. Names, weights and the layers' classes stay."""
    for layer in encoder.layers:
        layer.attn.__class__ = WidenedAttention
        layer.attn.window, layer.window_size = layer.window_size, 0  # with 0 the layer hands over the map uncut
    encoder.patch_embed.__class__ = ContiguousPatches


class ContiguousPatches(SamPatchEmbeddings):
    """Patch embeddings, each patch's channels side by side in memory.

    A convolution's are not, and every layer adds to what the one before left in the order that it had: each norm would
    copy all of it and each sum read it against the grain.
    """

    def forward(self, pixel_values: Tensor) -> Tensor:
        """(B, 3, side, side) -> (B, h, w, D)."""
        return super().forward(pixel_values).contiguous()


class WidenedAttention(SamVisionSdpaAttention):
    """Attention within windows, or over the whole map.

    Attributes:
        window: S; 0 where it is over the whole map, which is square.
    """

    window: int

    def forward(self, hidden_states: Tensor, output_attentions: bool = False) -> tuple[Tensor, None]:
        """(B, h, w, D) -> the same shape, and no attention weights: none are ever written."""
        batch, height, width, _ = hidden_states.shape
        qkv = self.qkv(hidden_states)
        side = self.window or height
        if self.window:
            qkv = cut(qkv, side, self.qkv.bias)
        query, key, value = qkv.unflatten(-1, (3, self.num_attention_heads, -1)).permute(3, 0, 4, 1, 2, 5)
        channels = query.shape[-1]
        if self.use_rel_pos:
            query, key, value = self._widened(query, key, value)
        found = scaled_dot_product_attention(
            query.flatten(2, 3), key.flatten(2, 3), value.flatten(2, 3), scale=self.scale
        )
        found = found[..., :channels].unflatten(2, (side, side))
        rows, columns = -(-height // side), -(-width // side)
        whole = found.unflatten(0, (batch, rows, columns)).permute(0, 1, 4, 2, 5, 3, 6)
        whole = whole.reshape(batch, rows * side, columns * side, -1)[:, :height, :width]
        return self.proj(whole), None

    def _widened(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, n, S, S, C) each -> q', k' and v, all of q's new width: a flash kernel takes one width for the three."""
        side, channels = query.shape[-2:]
        fill = -(channels + 2 * side) % ALIGNED
        spread = channels**0.5  # in float32, before a lower precision rounds: attention divides it out again
        rows = by_pair(self.rel_pos_h) * spread
        columns = pad(by_pair(self.rel_pos_w) * spread, (0, 0, 0, fill))
        by_row = torch.einsum("bnhwc,hkc->bnhwk", query, rows)
        by_column = torch.einsum("bnhwc,wkc->bnhwk", query, columns)
        ones = torch.eye(side, side + fill, dtype=key.dtype, device=key.device)
        row, column = ones[:, None, :side].expand(side, side, side), ones.expand(side, side, side + fill)
        place = torch.cat([row, column], -1).expand(*key.shape[:-1], 2 * side + fill)
        return (
            torch.cat([query, by_row.to(query.dtype), by_column.to(query.dtype)], -1),
            torch.cat([key, place], -1),
            pad(value, (0, 2 * side + fill)),
        )


def by_pair(table_LC: Tensor) -> Tensor:
    """The entry for each position of a query and of a key, of a table for distances 1 - S to S - 1 -> (S, S, C).

    Transformers looks them up with indices that lie on the CPU, for which a GPU is waited for in every layer.
    """
    side = (len(table_LC) + 1) // 2
    place = torch.arange(side, device=table_LC.device)
    return table_LC[place[:, None] - place + side - 1]


def cut(tokens_BhwD: Tensor, side: int, beyond_D: Any) -> Tensor:
    """Windows (B x windows, side, side, D), row by row; past the edge of the map a token is `beyond_D` (None: zero)."""
    batch, height, width, channels = tokens_BhwD.shape
    rows, columns = -(-height // side), -(-width // side)
    if (rows * side, columns * side) != (height, width):
        beyond = tokens_BhwD.new_zeros(channels) if beyond_D is None else beyond_D.to(tokens_BhwD.dtype)
        whole = beyond.expand(batch, rows * side, columns * side, channels).clone()
        whole[:, :height, :width] = tokens_BhwD
        tokens_BhwD = whole
    windows = tokens_BhwD.unflatten(1, (rows, side)).unflatten(3, (columns, side)).transpose(2, 3)
    return windows.flatten(0, 2)
