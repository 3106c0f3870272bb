"""The language gate, and one stage's fusion: PWAM, and how much of it goes on into the Swin.

N expressions, L cells, C channels. With V the cells and F what PWAM makes of them, E = V + gate(F) * F goes on; the
decoder gets F. Behind the last stage nothing reads E: no gate is built there.
"""

from __future__ import annotations

from torch import Tensor, nn

from models.lavt.pwam import PWAM
from models.lavt.text import TextStates


class Gate(nn.Module):
    """tanh(W2 relu(W1 x)), in (-1, 1) for each cell and channel; neither W has a bias."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, width, bias=False)
        self.second = nn.Linear(width, width, bias=False)
        for linear in (self.first, self.second):
            nn.init.trunc_normal_(linear.weight, std=0.02)

    def forward(self, cells_NLC: Tensor) -> Tensor:
        return self.second(self.first(cells_NLC).relu()).tanh()


class Fusion(nn.Module):
    """A stage's PWAM and gate.

    Args:
        width: C.
        text_width: of BERT.
        gate: whether there is one; without, E = V + F.
        last: of the last stage, whose E nothing reads.
    """

    def __init__(self, width: int, text_width: int, *, gate: bool = True, last: bool = False) -> None:
        super().__init__()
        self.pwam = PWAM(width, text_width)
        self.gate = Gate(width) if gate and not last else None

    def forward(self, cells_NLC: Tensor, text: TextStates) -> Tensor:
        """V -> F, for the decoder."""
        return self.pwam(cells_NLC, text)

    def carry(self, cells_NLC: Tensor, fused_NLC: Tensor) -> Tensor:
        """V and F -> E, for the next stage."""
        return cells_NLC + (fused_NLC if self.gate is None else self.gate(fused_NLC) * fused_NLC)
