from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from models.pixels import prepare_images
from tests.tiny import random_image

ZERO, ONE = torch.zeros(3, 1, 1), torch.ones(3, 1, 1)
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


def test_images_of_any_size_become_one_square_batch() -> None:
    prepared = prepare_images([random_image(h, w, h) for h, w in ((5, 70), (16, 16), (90, 33))], 16, MEAN, STD)
    assert prepared.shape == (3, 3, 16, 16)
    assert prepared.dtype == torch.float32


def test_an_image_of_the_right_size_is_only_normalised() -> None:
    image = random_image(16, 16, 0)
    prepared = prepare_images([image], 16, MEAN, STD)
    for channel, row, column in ((0, 0, 0), (1, 3, 15), (2, 15, 7)):
        expected = (image[channel, row, column].item() / 255 - MEAN[channel].item()) / STD[channel].item()
        assert prepared[0, channel, row, column].item() == pytest.approx(expected, abs=1e-6)


def test_resizing_is_bilinear_and_antialiased_without_keeping_the_aspect(subtests: pytest.Subtests) -> None:
    for name, size in (("smaller", (64, 48)), ("taller", (9, 40))):
        image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, *size), dtype=np.uint8))
        prepared = prepare_images([image], 16, ZERO, ONE)[0]
        for channel in range(3):
            plain = Image.fromarray(image[channel].numpy()).convert("F").resize((16, 16), Image.Resampling.BILINEAR)
            with subtests.test(name, channel=channel):
                np.testing.assert_allclose(prepared[channel].numpy(), np.asarray(plain) / 255, atol=1e-4)


def bilinear(image_hw: np.ndarray, side: int) -> np.ndarray:
    """As cv2 resizes without antialiasing: between the two nearest pixels of each axis, whose centres lie at halves."""
    for axis in (0, 1):
        size = image_hw.shape[axis]
        place = np.clip((np.arange(side) + 0.5) * size / side - 0.5, 0, size - 1)
        low = np.floor(place).astype(int)
        share = np.expand_dims(place - low, 1 - axis)
        below, above = (image_hw.take(index, axis) for index in (low, np.minimum(low + 1, size - 1)))
        image_hw = below * (1 - share) + above * share
    return image_hw


def test_through_a_larger_square_is_rounded_there_and_not_antialiased() -> None:
    image = random_image(30, 50, 3)
    prepared = prepare_images([image], 16, ZERO, ONE, through=64)[0]
    for channel in range(3):
        between = np.round(bilinear(image[channel].numpy().astype(float), 64))
        np.testing.assert_allclose(prepared[channel].numpy(), bilinear(between, 16) / 255, atol=1.1 / 255)
        assert np.abs(prepared[channel].numpy() * 255 - bilinear(between, 16)).mean() < 0.01  # a tie rounds either way


def test_normalisation_follows_resizing_channel_by_channel() -> None:
    image = random_image(40, 30, 1)
    plain, normalised = prepare_images([image], 16, ZERO, ONE), prepare_images([image], 16, MEAN, STD)
    torch.testing.assert_close(normalised, (plain - MEAN) / STD)


def test_an_image_does_not_depend_on_the_images_beside_it_and_is_left_as_it_was() -> None:
    image = random_image(40, 30, 1)
    before = image.clone()
    alone = prepare_images([image], 16, MEAN, STD)
    among = prepare_images([random_image(8, 8, 2), image], 16, MEAN, STD)
    assert torch.equal(alone[0], among[1])
    assert torch.equal(image, before)


def test_anything_but_uint8_channels_first_is_refused(subtests: pytest.Subtests) -> None:
    for image, found in (
        (torch.rand(3, 8, 8), r"torch\.float32 of shape \(3, 8, 8\)"),
        (torch.zeros(3, 8, 8, dtype=torch.int64), r"torch\.int64"),
        (torch.zeros(3, 8, 8, dtype=torch.bool), r"torch\.bool"),
        (torch.zeros(8, 8, 3, dtype=torch.uint8), r"\(8, 8, 3\)"),
        (torch.zeros(1, 8, 8, dtype=torch.uint8), r"\(1, 8, 8\)"),
        (torch.zeros(8, 8, dtype=torch.uint8), r"\(8, 8\)"),
    ):
        message = rf"image 1 is .*{found}.*give uint8 of shape"
        with subtests.test(found), pytest.raises(ValueError, match=message):
            prepare_images([random_image(8, 8, 0), image], 8, MEAN, STD)
