from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy

from models.losses import class_weighted_bce, two_class_dice
from tests.language_aware import close, noise

CLASSES = 3 * noise(3, 2, 5, 4)
TARGET = noise(3, 5, 4) > 0.6
DIFFERENCE = CLASSES[:, 1] - CLASSES[:, 0]


def test_weighted_cross_entropy_of_two_classes_is_that_of_their_difference_for_each_expression() -> None:
    weight = torch.tensor([0.9, 1.1], dtype=torch.float64)
    theirs = [cross_entropy(CLASSES[[one]], TARGET[[one]].long(), weight=weight) for one in range(3)]
    close(class_weighted_bce(DIFFERENCE, TARGET.double()), torch.stack(theirs).mean())


def test_dice_is_summed_over_expressions_and_classes() -> None:
    probability, total = CLASSES.softmax(1), 0.0
    for expression in range(3):
        for class_, truth in enumerate((~TARGET[expression], TARGET[expression])):
            p = probability[expression, class_]
            total += 1 - (2 * float(p[truth].sum()) + 1e-6) / (float(p.sum()) + float(truth.sum()) + 1e-6)
    close(two_class_dice(DIFFERENCE, TARGET.double()), torch.tensor(total, dtype=torch.float64))
