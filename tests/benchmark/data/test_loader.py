from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmark.augmentation.augment import AUGMENTATIONS, Augmentation
from benchmark.data.loader import Batch, batches, count_batches
from benchmark.data.samples import Dataset, SampleError, decode_mask, load_dataset, read_image
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
            assert np.array_equal(image.permute(1, 2, 0).numpy(), read_image(dataset.images / row["image"]))
            assert batch.texts[place] == row["expression"]
            assert np.array_equal(batch.masks[place], decode_mask(row["mask"], row["height"], row["width"]))
            assert batch.image_ids[place] == row["image_id"]
        seen += batch.sample_ids
    assert Counter(seen) == Counter(rows.index)


def test_an_image_is_in_one_batch_however_many_samples_it_has(dataset: Dataset) -> None:
    places = [set(batch.image_ids) for batch in batches(dataset, "train", 2)]
    assert sum(len(place) for place in places) == len(set().union(*places)) == 5
    assert len(places) == count_batches(dataset, "train", 2) == 3


def test_pairs_come_each_once_an_epoch_and_share_the_image_they_have_in_common(dataset: Dataset) -> None:
    rows = dataset.split("train").set_index("sample_id")
    epochs = []
    for epoch in (1, 1, 2):
        drawn = list(batches(dataset, "train", 4, of="pairs", shuffle=(0, epoch)))
        assert [len(batch.sample_ids) for batch in drawn] == [4, 4, 4, 3]
        assert count_batches(dataset, "train", 4, "pairs") == 4
        for batch in drawn:
            assert batch.image_ids == rows.loc[batch.sample_ids, "image_id"].tolist()
            by_place = dict(zip(batch.image_index, batch.image_ids, strict=True))
            assert len(batch.images) == len(by_place) == len(set(batch.image_ids))
            for place, image_id in by_place.items():
                name = rows.loc[rows["image_id"] == image_id, "image"].iloc[0]
                assert np.array_equal(batch.images[place].permute(1, 2, 0).numpy(), read_image(dataset.images / name))
        epochs.append([sample_id for batch in drawn for sample_id in batch.sample_ids])
        assert sorted(epochs[-1]) == sorted(rows.index)
    assert epochs[0] == epochs[1] != epochs[2]
    with pytest.raises(ValueError, match="expressions_per_image leaves samples out"):
        next(batches(dataset, "train", 4, of="pairs", shuffle=(0, 1), expressions_per_image=1))


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


def test_an_image_is_changed_by_seed_epoch_and_its_name_whatever_else_is_read(dataset: Dataset) -> None:
    def pixels(seed: int, epoch: int, batch_images: int) -> dict[str, bytes]:
        read = batches(dataset, "train", batch_images, shuffle=(seed, epoch), augment=Augmentation(["colour"]))
        return {
            image_id: batch.images[index].numpy().tobytes()
            for batch in read
            for image_id, index in zip(batch.image_ids, batch.image_index, strict=True)
        }

    assert pixels(0, 1, 1) == pixels(0, 1, 4)
    one, next_epoch, other_seed = pixels(0, 1, 2), pixels(0, 2, 2), pixels(1, 1, 2)
    assert all(one[name] != next_epoch[name] != other_seed[name] != one[name] for name in one)
    small = replace(dataset, samples=dataset.samples[dataset.samples["image_id"].isin(["train_1", "train_3"])])
    alone = {
        image_id: batch.images[0].numpy().tobytes()
        for batch in batches(small, "train", 1, shuffle=(0, 1), augment=Augmentation(["colour"]))
        for image_id in batch.image_ids
    }
    assert alone == {name: one[name] for name in ("train_1", "train_3")}


def test_samples_that_are_left_out_or_rewritten_stay_with_their_own_image_and_mask(dataset: Dataset) -> None:
    def last_two(
        image: NDArray[np.uint8],
        masks: Sequence[NDArray[np.bool_]],
        texts: Sequence[str],
        rng: np.random.Generator,
    ) -> tuple[NDArray[np.uint8], list[NDArray[np.bool_]], list[str], list[int]]:
        return image, list(masks[1:]), [text.upper() for text in texts[1:]], [1, 2]

    rows = dataset.split("train").set_index("sample_id")
    (batch,) = batches(dataset, "train", 9, shuffle=(0, 0), augment=last_two)
    assert batch.image_index == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    for place, sample_id in enumerate(batch.sample_ids):
        row = rows.loc[sample_id]
        assert batch.texts[place] == row["expression"].upper()
        assert np.array_equal(batch.masks[place], decode_mask(row["mask"], row["height"], row["width"]))
        assert batch.image_ids[place] == row["image_id"]
    assert not {name for name in batch.sample_ids if name.endswith("_0")}


def test_no_two_images_draw_alike(dataset: Dataset) -> None:
    draws: list[float] = []

    def spy(
        image: NDArray[np.uint8],
        masks: Sequence[NDArray[np.bool_]],
        texts: Sequence[str],
        rng: np.random.Generator,
    ) -> tuple[NDArray[np.uint8], list[NDArray[np.bool_]], list[str], list[int]]:
        draws.append(rng.random())
        return image, list(masks), list(texts), list(range(len(texts)))

    assert sum(len(batch.images) for batch in batches(dataset, "train", 2, shuffle=(0, 0), augment=spy)) == 5
    assert len(set(draws)) == 5


def test_changing_images_without_a_draw_is_refused(dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="give shuffle="):
        next(batches(dataset, "train", 2, augment=Augmentation(["flip"])))


def test_an_image_that_cannot_be_read_is_an_error_and_never_another_sample(dataset: Dataset) -> None:
    broken = dataset.images / dataset.split("val")["image"].iloc[0]
    broken.write_bytes(broken.read_bytes()[:200])
    first = dataset.split("val")["sample_id"].iloc[0]
    for workers in (0, 2):
        with pytest.raises(SampleError, match=rf"sample '{first}': .*{broken.name}"):
            list(batches(dataset, "val", 2, workers=workers))


def test_the_first_bad_image_is_the_error_whichever_is_decoded_first(dataset: Dataset) -> None:
    for number, image in enumerate(dataset.split("val")["image"].unique()):
        if number in (2, 4):
            (dataset.images / image).unlink()
    for workers in (0, 1, 4):
        reader = batches(dataset, "val", 1, workers=workers)
        seen = [image_id for _ in range(2) for image_id in next(reader).image_ids]
        with pytest.raises(FileNotFoundError, match=r"sample 'val_2_0': image .*val_2\.png does not exist"):
            next(reader)
        assert set(seen) == {"val_0", "val_1"}


def contents(batch: Batch) -> list[object]:
    pixels = [image.numpy().tobytes() for image in batch.images]
    masks = [mask.tobytes() for mask in batch.masks]
    return [pixels, batch.texts, batch.image_index, masks, batch.sample_ids, batch.image_ids, batch.categories]


def test_the_number_of_workers_changes_nothing_but_the_speed(dataset: Dataset, subtests: pytest.Subtests) -> None:
    for workers in (1, 2, 7):
        with subtests.test(f"{workers} workers"):
            for epoch in range(3):
                augment = Augmentation(AUGMENTATIONS) if epoch else None
                settings = {"shuffle": (5, epoch), "expressions_per_image": 2, "augment": augment}
                inline = [contents(batch) for batch in batches(dataset, "train", 2, **settings)]
                ahead = [contents(batch) for batch in batches(dataset, "train", 2, **settings, workers=workers)]
                assert inline == ahead


def test_the_order_follows_from_seed_and_epoch(dataset: Dataset) -> None:
    def order(seed: int, epoch: int) -> list[str]:
        return [name for batch in batches(dataset, "train", 1, shuffle=(seed, epoch)) for name in batch.image_ids]

    assert order(0, 1) == order(0, 1)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) > 6


def test_a_reader_that_stops_early_leaves_no_thread_behind(dataset: Dataset) -> None:
    reader = batches(dataset, "train", 1, workers=3)
    next(reader)
    reader.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def test_a_split_without_samples_is_an_error(dataset: Dataset) -> None:
    with pytest.raises(SampleError, match="unknown split 'tset'"):
        next(batches(dataset, "tset", 2))
