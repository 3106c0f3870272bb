from __future__ import annotations

import torch

from models.lavt.gate import Fusion, Gate
from tests.language_aware import close, drawn, noise


def test_the_gate_says_how_much_of_what_language_found_goes_on() -> None:
    fusion, cells, fused = drawn(Fusion(6, 5)), noise(2, 16, 6), noise(2, 16, 6) * 2
    inner = (fused @ fusion.gate.first.weight.T).clamp(min=0) @ fusion.gate.second.weight.T
    close(fusion.carry(cells, fused), cells + torch.tanh(inner) * fused)


def test_without_a_gate_all_of_it_goes_on() -> None:
    fusion, cells, fused = Fusion(6, 5, gate=False), noise(2, 16, 6), noise(2, 16, 6) * 2
    assert not any(isinstance(module, Gate) for module in fusion.modules())
    close(fusion.carry(cells, fused), cells + fused)
