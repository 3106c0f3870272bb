from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.loader import batches, count_batches
from benchmark.samples import Dataset, SampleError, decode_mask, load_dataset, read_image
from tests.conftest import make_fake_dataset


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    make_fake_dataset(tmp_path / "fake", images=5, samples_per_image=3)
    return load_dataset(tmp_path / "fake")


def test_every_sample_comes_once_with_its_own_image_text_and_mask(dataset: Dataset) -> None:
    rows = dataset.split("train").set_index("sample_id")
    seen: list[str] = []
    for batch in batches(dataset, "train", 2):
        assert len(batch.images) <= 2
        for place, sample_id in enumerate(batch.sample_ids):
            row = rows.loc[sample_id]
            image = batch.images[batch.image_index[place]]
            assert image.dtype == torch.uint8
            assert np.array_equal(image.permute(1, 2, 0).numpy(), read_image(dataset.folder / row["image"]))
            assert batch.texts[place] == row["expression"]
            assert np.array_equal(batch.masks[place], decode_mask(row["mask"], row["height"], row["width"]))
            assert batch.image_ids[place] == row["image_id"]
        seen += batch.sample_ids
    assert Counter(seen) == Counter(rows.index)


def test_an_image_is_in_one_batch_however_many_samples_it_has(dataset: Dataset) -> None:
    places = [set(batch.image_ids) for batch in batches(dataset, "train", 2)]
    assert sum(len(place) for place in places) == len(set().union(*places)) == 5
    assert len(places) == count_batches(dataset, "train", 2) == 3


def test_the_order_without_shuffling_is_the_tables(dataset: Dataset) -> None:
    ids = [sample_id for batch in batches(dataset, "test", 3) for sample_id in batch.sample_ids]
    assert ids == dataset.split("test")["sample_id"].tolist()


def test_fewer_expressions_are_drawn_anew_each_epoch_and_cover_all_in_time(dataset: Dataset) -> None:
    seen: set[str] = set()
    for epoch in range(30):
        epoch_ids = [
            sample_id
            for batch in batches(dataset, "train", 2, shuffle=(0, epoch), expressions_per_image=1)
            for sample_id in batch.sample_ids
        ]
        assert len(epoch_ids) == 5
        seen |= set(epoch_ids)
    assert seen == set(dataset.split("train")["sample_id"])


def test_leaving_samples_out_without_a_draw_is_refused(dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="give shuffle="):
        next(batches(dataset, "train", 2, expressions_per_image=1))


def test_an_image_that_cannot_be_read_is_an_error_and_never_another_sample(dataset: Dataset) -> None:
    broken = dataset.folder / dataset.split("val")["image"].iloc[0]
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(SampleError, match=broken.name):
        list(batches(dataset, "val", 2))


def test_a_split_without_samples_is_an_error(dataset: Dataset) -> None:
    with pytest.raises(SampleError, match="unknown split 'tset'"):
        next(batches(dataset, "tset", 2))
