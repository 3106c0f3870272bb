"""PWAM, the pixel-word attention module: every cell gathers from the words what they say about it.

N expressions, L cells, T tokens, C channels of the stage, D of the text. With V the cells and l the tokens,

    q = IN(conv(V))        k = conv(l)        v = conv(l)        each conv of kernel 1, with a bias, C wide
    A = softmax over T of q k / sqrt(C)       of the expression's own tokens
    G = IN(conv(A v))                         IN: InstanceNorm over the cells, nothing learnt, nothing running
    F = GELU(conv(GELU(conv(V)) * G))

LAVT's code leaves padding out by adding -10,000 to its logits and multiplying k and v with the mask; a boolean mask is
equal, as exp(-10,000) is 0. IN takes away the biases of q, v and conv(A v), and the softmax that of k: they are there,
and learn nothing.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import gelu, instance_norm, scaled_dot_product_attention

from models.lavt.text import TextStates


class PWAM(nn.Module):
    """One head, as wide as its stage.

    Args:
        width: C.
        text_width: D.
    """

    def __init__(self, width: int, text_width: int) -> None:
        super().__init__()
        self.query = nn.Conv1d(width, width, 1)
        self.key = nn.Conv1d(text_width, width, 1)
        self.value = nn.Conv1d(text_width, width, 1)
        self.gather = nn.Conv1d(width, width, 1)
        self.visual = nn.Conv1d(width, width, 1)
        self.mix = nn.Conv1d(width, width, 1)

    def forward(self, cells_NLC: Tensor, text: TextStates) -> Tensor:
        """V -> F, both (N, L, C)."""
        cells_NCL, tokens_NDT = cells_NLC.transpose(1, 2), text.state_NTD.transpose(1, 2)
        attended_NCL = attend(
            instance_norm(self.query(cells_NCL)), self.key(tokens_NDT), self.value(tokens_NDT), text.mask_NT
        )
        gathered_NCL = instance_norm(self.gather(attended_NCL))
        return gelu(self.mix(gelu(self.visual(cells_NCL)) * gathered_NCL)).transpose(1, 2)


def attend(query_NCL: Tensor, key_NCT: Tensor, value_NCT: Tensor, mask_NT: Tensor) -> Tensor:
    """A v: each cell's mean of the values, by its match with the keys, over the tokens in the mask -> (N, C, L)."""
    query_N1LC, key_N1TC, value_N1TC = (
        tensor.transpose(1, 2).unsqueeze(1) for tensor in (query_NCL, key_NCT, value_NCT)
    )
    mask_N11T = mask_NT[:, None, None]
    return (
        scaled_dot_product_attention(query_N1LC, key_N1TC, value_N1TC, attn_mask=mask_N11T).squeeze(1).transpose(1, 2)
    )
