from __future__ import annotations

import math

import pytest
import torch

from experiments.settings import LossConfig
from experiments.training import losses
from experiments.training.losses import LOSSES, bce_loss, dice_loss, weighted_loss

LOGITS = torch.tensor([[[2.0, -1.0, 0.5], [0.0, -3.0, 4.0]], [[-2.0, -2.0, 1.0], [0.3, 0.1, -0.7]]])
TARGET = torch.tensor([[[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]], [[0.0, 1.0, 0.0], [0.0, 0.25, 0.0]]])


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def cells(number: int) -> list[tuple[float, float]]:
    """Probability and target of every cell of one sample."""
    pairs = zip(LOGITS[number].flatten().tolist(), TARGET[number].flatten().tolist(), strict=True)
    return [(sigmoid(logit), target) for logit, target in pairs]


def test_bce_is_the_mean_cross_entropy_of_all_cells() -> None:
    every = [*cells(0), *cells(1)]
    expected = -sum(t * math.log(p) + (1 - t) * math.log(1 - p) for p, t in every) / len(every)
    assert bce_loss(LOGITS, TARGET).item() == pytest.approx(expected, abs=1e-6)


def test_dice_is_one_less_the_smoothed_overlap_of_each_sample() -> None:
    expected = 0.0
    for number in range(2):
        overlap, both = sum(p * t for p, t in cells(number)), sum(p + t for p, t in cells(number))
        expected += (1 - (2 * overlap + 1) / (both + 1)) / 2
    assert dice_loss(LOGITS, TARGET).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_a_perfect_mask_costs_nothing_and_a_wrong_one_much(name: str) -> None:
    truth = torch.zeros(1, 16, 16)
    truth[:, 4:8, 4:12] = 1
    right, wrong = (sign * (truth * 2 - 1) * 30 for sign in (1, -1))
    assert LOSSES[name](right, truth).item() == pytest.approx(0, abs=1e-4)
    assert LOSSES[name](wrong, truth).item() > 0.9


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_and_its_gradient_are_finite_at_the_extremes(name: str) -> None:
    logits = torch.tensor([[[300.0, -300.0], [0.0, 1e4]]], requires_grad=True)
    for truth in (torch.zeros(1, 2, 2), torch.ones(1, 2, 2)):
        loss = LOSSES[name](logits, truth)
        (gradient,) = torch.autograd.grad(loss, logits)
        assert loss.isfinite()
        assert gradient.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
def test_going_down_the_gradient_moves_logits_towards_the_truth(name: str) -> None:
    logits = torch.zeros(1, 4, 4, requires_grad=True)
    truth = (torch.arange(16).view(1, 4, 4) < 6).float()
    (gradient,) = torch.autograd.grad(LOSSES[name](logits, truth), logits)
    assert torch.equal(gradient < 0, truth.bool())


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_the_mean_of_each_expression_s(name: str) -> None:
    truth = TARGET.round()
    alone = [LOSSES[name](LOGITS[[number]], truth[[number]]) for number in range(2)]
    torch.testing.assert_close(LOSSES[name](LOGITS, truth), torch.stack(alone).mean())


def test_the_weighted_loss_is_the_sum_of_each_times_its_weight() -> None:
    expected = 5 * bce_loss(LOGITS, TARGET) + 0.5 * dice_loss(LOGITS, TARGET)
    torch.testing.assert_close(weighted_loss(LOGITS, TARGET, {"bce": 5, "dice": 0.5}), expected)


@pytest.mark.parametrize(("weights", "off"), [({"bce": 2, "dice": 0}, "dice"), ({"bce": 0, "dice": 2}, "bce")])
def test_a_loss_of_weight_zero_is_not_computed(
    weights: dict[str, float], off: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = 2 * LOSSES["bce" if off == "dice" else "dice"](LOGITS, TARGET)
    monkeypatch.delitem(losses.LOSSES, off)
    torch.testing.assert_close(weighted_loss(LOGITS, TARGET, weights), expected)


def test_every_named_loss_can_be_weighted_in_params_yaml() -> None:
    assert set(LossConfig.model_fields) == set(LOSSES)
