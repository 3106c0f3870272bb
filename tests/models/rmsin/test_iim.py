from __future__ import annotations

import torch

from models.rmsin.iim import IIM, Rep, VisualBranch
from tests.language_aware import close, drawn, noise, parameters_of


def test_the_visual_branch_weighs_cells_by_one_number_each() -> None:
    branch, cells = drawn(VisualBranch()), noise(2, 16, 6)
    before, _, after, _ = branch.salience
    mean = cells.mean(2).reshape(2, 1, 4, 4)
    weight = torch.sigmoid(after(before(mean).relu()))
    close(branch(cells), cells * weight.reshape(2, 16, 1))
    assert parameters_of(branch) == 38


def test_a_rep_is_its_three_branches() -> None:
    rep, x = drawn(Rep()), noise(2, 1, 4, 4)
    close(rep(x), rep.wide(x) + rep.narrow(x) + rep.skip(x))
    assert [type(part).__name__ for part in rep.wide] == ["Conv2d", "BatchNorm2d"] * 2


def test_both_branches_go_on_through_gates_of_their_own() -> None:
    iim, cells, fused = drawn(IIM(6, 5)), noise(2, 16, 6), noise(2, 16, 6) * 2
    weighted = iim.visual(cells)
    close(iim.carry(cells, fused), cells + iim.gate(fused) * fused + iim.visual_gate(weighted) * weighted)


def test_behind_the_last_stage_neither_is_built() -> None:
    names = {name.split(".")[0] for name, _ in IIM(6, 5, last=True).named_parameters()}
    assert names == {"pwam"}
