from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import gelu

from models.lavt.pwam import PWAM
from tests.language_aware import close, drawn, noise, random_text


def instance_norm(x_NCL: Tensor) -> Tensor:
    centred = x_NCL - x_NCL.mean(2, keepdim=True)
    return centred / (centred.square().mean(2, keepdim=True) + 1e-5).sqrt()


def as_defined(pwam: PWAM, cells_NLC: Tensor, state_NTD: Tensor, mask_NT: Tensor) -> Tensor:
    """LAVT's equations as its code has them: 10,000 less for padding, keys and values times the mask."""

    def conv(name: str, x_NCL: Tensor) -> Tensor:
        layer = pwam.get_submodule(name)
        return torch.einsum("oi,nil->nol", layer.weight.squeeze(2), x_NCL) + layer.bias[:, None]  # type: ignore[operator,union-attr,index]

    v, words, m = cells_NLC.transpose(1, 2), state_NTD.transpose(1, 2), mask_NT.to(cells_NLC).unsqueeze(1)
    query, key, value = instance_norm(conv("query", v)), conv("key", words) * m, conv("value", words) * m
    logits_NLT = torch.einsum("ncl,nct->nlt", query, key) / v.shape[1] ** 0.5 + (m - 1) * 1e4
    attended = torch.einsum("nlt,nct->ncl", logits_NLT.softmax(2), value)
    gathered = instance_norm(conv("gather", attended))
    return gelu(conv("mix", gelu(conv("visual", v)) * gathered)).transpose(1, 2)


def test_pwam_is_its_equations_with_padding_left_out() -> None:
    pwam, cells, text = drawn(PWAM(6, 5)), noise(3, 16, 6), random_text(3, 7, 5)
    close(pwam(cells, text), as_defined(pwam, cells, *text))


def test_what_stands_in_the_padding_changes_nothing() -> None:
    pwam, cells, text = drawn(PWAM(6, 5)), noise(3, 16, 6), random_text(3, 7, 5)
    other = text.state_NTD.masked_fill(~text.mask_NT.unsqueeze(2), 50.0)
    assert not torch.equal(other, text.state_NTD)
    close(pwam(cells, text), pwam(cells, text._replace(state_NTD=other)))
