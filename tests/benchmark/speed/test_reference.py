"""The plain way does the same as ours: what is faster is not something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.data.loader import Batch
from benchmark.speed.reference import PaddedPerBatch, as_pairs, predict_pairs
from tests.tiny import random_image, tiny_model, write_foundation

IMAGES = [random_image(40, 72, 0), random_image(64, 64, 1)]
TEXTS, IMAGE_INDEX = ["the red ship", "the road", "the small red ship right of the harbor"], [1, 0, 1]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A foundation folder of random weights; read only."""
    return write_foundation(tmp_path_factory.mktemp("weights"))


def test_an_image_for_each_expression_gives_the_same_masks_as_one_for_all(weights: Path) -> None:
    model = tiny_model(weights).double()
    ours = model.predict(IMAGES, TEXTS, IMAGE_INDEX)
    for size in (1, 2, 3):
        plain = predict_pairs(model, IMAGES, TEXTS, IMAGE_INDEX, size)
        assert all(np.array_equal(one, other) for one, other in zip(plain, ours, strict=True))


def test_a_batch_of_pairs_has_the_loss_of_its_batch_of_images(weights: Path) -> None:
    masks = [np.zeros(tuple(IMAGES[index].shape[1:]), bool) for index in IMAGE_INDEX]
    batch = Batch(IMAGES, TEXTS, IMAGE_INDEX, masks, ["a", "b", "c"], ["1", "0", "1"], [None] * 3)
    pairs, model = as_pairs(batch), tiny_model(weights).double()
    assert (len(pairs.images), pairs.image_index, pairs.texts) == (3, [0, 1, 2], TEXTS)
    one, other = (model(each.images, each.texts, each.image_index) for each in (batch, pairs))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


def test_padding_per_batch_keeps_every_word_and_no_more_padding_than_the_longest_needs() -> None:
    ids = torch.arange(8).repeat(2, 1)
    mask = torch.tensor([[True] * 3 + [False] * 5, [True] * 5 + [False] * 3])
    short_ids, short_mask = PaddedPerBatch(lambda texts: (ids, mask))(["a", "b"])
    assert torch.equal(short_ids, ids[:, :5])
    assert torch.equal(short_mask, mask[:, :5])
