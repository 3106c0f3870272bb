from __future__ import annotations

import math

import pytest
import torch

from models.rsrefseg2.losses import (
    cell_weights,
    contrast_loss,
    orthogonality_loss,
    region_vectors,
    squared_dice_loss,
)


def test_infonce_is_what_three_pairs_give_by_hand() -> None:
    regions, queries = torch.tensor([[2.0, 0], [0, 3], [1, 1]]), torch.tensor([[1.0, 0], [0, 5], [1, 0]])
    half, scale = 1 / math.sqrt(2), 2.0
    cosines = [[1, 0, 1], [0, 1, 0], [half, half, half]]  # region by query
    rows = [math.log(sum(math.exp(scale * one) for one in row)) - scale * row[at] for at, row in enumerate(cosines)]
    turned = [list(column) for column in zip(*cosines, strict=True)]
    columns = [math.log(sum(math.exp(scale * one) for one in row)) - scale * row[at] for at, row in enumerate(turned)]
    by_hand = (sum(rows) / 3 + sum(columns) / 3) / 2
    assert contrast_loss(regions, queries, torch.tensor(scale)).item() == pytest.approx(by_hand, abs=1e-6)


def test_the_same_words_are_no_counterexample() -> None:
    torch.manual_seed(0)
    regions, queries, scale = torch.randn(3, 4), torch.randn(3, 4), torch.tensor(3.0)
    same = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    logits = scale * torch.cosine_similarity(regions[:, None], queries[None], dim=2)
    counted = [[0, 2], [1, 2], [0, 1, 2]]  # with which each is compared
    rows = [logits[at, places].logsumexp(0) - logits[at, at] for at, places in enumerate(counted)]
    columns = [logits[places, at].logsumexp(0) - logits[at, at] for at, places in enumerate(counted)]
    expected = (torch.stack(rows).mean() + torch.stack(columns).mean()) / 2
    torch.testing.assert_close(contrast_loss(regions, queries, scale, same), expected)


def test_dice_squares_its_denominators() -> None:
    logits, target = torch.tensor([[[0.0, math.log(3)]]]), torch.tensor([[[0.0, 1.0]]])  # 1/2 and 3/4
    expected = 1 - 2 * 0.75 / (0.25 + 0.5625 + 1 + 0.002)
    assert squared_dice_loss(logits, target).item() == pytest.approx(expected, abs=1e-6)


def test_queries_that_say_the_same_cost_one_and_orthogonal_ones_nothing() -> None:
    one, other = torch.tensor([[1.0, 0], [2, 0]]), torch.tensor([[-3.0, 0], [0, 1]])
    assert orthogonality_loss(one, one).item() == pytest.approx(1)
    assert orthogonality_loss(one, other).item() == pytest.approx(0.5)


def test_a_small_object_vanishes_by_the_released_rule_and_counts_by_the_corrected() -> None:
    small, large = torch.zeros(16, 16, dtype=torch.bool), torch.zeros(8, 4, dtype=torch.bool)
    small[6, 6], large[:, :2] = True, True  # beside the four pixels a side that the released rule looks at
    released, corrected = (cell_weights([small, large], 4, rule) for rule in ("released", "corrected"))
    assert released.shape == corrected.shape == (2, 4, 4)
    assert released[0].sum() == 0
    assert corrected[0].sum().item() == pytest.approx(1 / 16)
    assert corrected[0, 1, 1] > 0
    for found in (released, corrected):
        assert torch.equal(found[1], torch.tensor([1.0, 1, 0, 0]).expand(4, 4))


def test_a_region_is_the_direction_of_what_is_inside_and_zero_where_nothing_is() -> None:
    values = torch.zeros(2, 2, 1, 2)
    values[:, 0, 0, 0], values[:, 1, 0, 1] = 4.0, 3.0
    found = region_vectors(values, torch.tensor([[[1.0, 1]], [[0, 0]]]))
    torch.testing.assert_close(found, torch.tensor([[0.8, 0.6], [0, 0]]))
