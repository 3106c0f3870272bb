from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from PIL import Image

from benchmark.data.loader import count_batches
from benchmark.data.samples import Dataset, decode_mask, load_dataset, make_sample, save_dataset
from benchmark.evaluator import Measured, Share, evaluate
from benchmark.journal import Journal
from benchmark.metrics.iou import LINE_COLUMNS, check_lines, miou
from benchmark.metrics.measure import Details, measure
from experiments.speed.samples import Guess, write_dataset

MaskArray = npt.NDArray[np.bool_]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Five test images of different sizes with 1 to 5 samples each; the first two channels' mean tells them apart."""
    folder = tmp_path_factory.mktemp("sizes")
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for number in range(5):
        height, width = 20 + 3 * number, 40 - 4 * number
        Image.fromarray(np.full((height, width, 3), 10 * number, dtype=np.uint8)).save(folder / f"images/{number}.png")
        for place in range(number + 1):
            mask = rng.random((height, width)) < 0.5
            name = f"{number}_{place}"
            rows.append(
                make_sample(name, f"image_{number}", f"images/{number}.png", "test", f"thing {name}", None, mask)
            )
    table = pd.DataFrame(rows).sample(frac=1, random_state=0)  # the samples of an image do not lie together
    save_dataset(folder, table, name="sizes", source="drawn", licence="CC0", citation="none")
    return load_dataset(folder)


class Oracle:
    """Answers with the truth, which it finds by the expression; notes what it was given."""

    def __init__(self, dataset: Dataset) -> None:
        rows = dataset.samples.to_dict("records")
        self.answers = {row["expression"]: decode_mask(row["mask"], row["height"], row["width"]) for row in rows}
        self.seen: list[int] = []

    def predict(self, images: list[torch.Tensor], texts: list[str], image_index: list[int]) -> list[MaskArray]:
        self.seen.append(len(images))
        assert len(texts) == len(image_index)
        assert all(image.dtype == torch.uint8 and image.ndim == 3 for image in images)
        answers = [self.answers[text] for text in texts]
        assert all(answer.shape == images[at].shape[1:] for answer, at in zip(answers, image_index, strict=True))
        return answers


class Changed(Oracle):
    """An oracle whose answers are passed through a function of (text, mask)."""

    def __init__(self, dataset: Dataset, change) -> None:  # type: ignore[no-untyped-def]
        super().__init__(dataset)
        self.change = change

    def predict(self, images: list[torch.Tensor], texts: list[str], image_index: list[int]) -> list[MaskArray]:
        answers = super().predict(images, texts, image_index)
        return [self.change(text, answer) for text, answer in zip(texts, answers, strict=True)]


def test_the_truth_scores_one_at_every_images_own_size(dataset: Dataset) -> None:
    lines = evaluate(Oracle(dataset), dataset, "test").lines
    assert miou(lines) == 1.0
    assert tuple(lines.columns) == LINE_COLUMNS
    check_lines(lines)


def test_every_sample_is_evaluated_once_in_the_order_of_the_table(dataset: Dataset) -> None:
    lines = evaluate(Oracle(dataset), dataset, "test", batch_images=2).lines
    assert lines["sample_id"].tolist() == dataset.split("test")["sample_id"].tolist()
    assert lines["image_id"].tolist() == dataset.split("test")["image_id"].tolist()
    assert len(lines) == 15


def test_the_batch_size_changes_no_line(dataset: Dataset, subtests: pytest.Subtests) -> None:
    def shifted() -> Changed:
        return Changed(dataset, lambda text, mask: np.roll(mask, len(text), axis=1))

    expected = evaluate(shifted(), dataset, "test", batch_images=3).lines
    for batch_images in (1, 2, 8):
        with subtests.test(f"{batch_images} images"):
            predictor = shifted()
            lines = evaluate(predictor, dataset, "test", batch_images=batch_images).lines
            pd.testing.assert_frame_equal(lines, expected)
            assert max(predictor.seen) == min(batch_images, 5)


def test_lines_count_the_pixels_of_the_masks(dataset: Dataset) -> None:
    measured = evaluate(Changed(dataset, lambda _, mask: ~mask), dataset, "test")
    row = measured.lines.set_index("sample_id").loc["3_1"]
    sample = dataset.samples.set_index("sample_id").loc["3_1"]
    kept = measured.masks.set_index("sample_id").loc["3_1", "prediction"]
    mask = decode_mask(kept, sample["height"], sample["width"])
    assert row["intersection"] == 0
    assert row["union"] == row["mask_area"] + row["predicted_area"] == mask.size
    assert row["mask_area"] == (~mask).sum()


def test_every_mask_is_kept_and_gives_the_lines_again(dataset: Dataset) -> None:
    shifted = Changed(dataset, lambda _, mask: np.roll(mask, 2, axis=1))
    measured = evaluate(shifted, dataset, "test", details=Details((48,)))
    samples = dataset.split("test")
    assert measured.masks["sample_id"].tolist() == samples["sample_id"].tolist()
    pd.testing.assert_frame_equal(measure(samples, measured.masks, Details((48,))), measured.lines)


def test_progress_counts_batches_and_is_told_as_often_to_every_share(dataset: Dataset) -> None:
    def heard(of: int, rank: int = 0) -> list[tuple[int, int]]:
        def gather(part: object) -> NoReturn:
            raise InterruptedError

        told: list[tuple[int, int]] = []
        with pytest.raises(InterruptedError):
            evaluate(
                Oracle(dataset), dataset, "test", batch_images=2, share=Share(rank, of, gather),
                progress=lambda done, total: told.append((done, total)),
            )  # fmt: skip
        return told

    batches = count_batches(dataset, "test", 2)
    assert batches % 2 == 1
    assert heard(1) == [(done, batches) for done in range(1, batches + 1)]
    assert heard(2, 0) == heard(2, 1) == [(done, batches // 2 + 1) for done in range(1, batches // 2 + 2)]


def test_who_cannot_predict_alone_predicts_as_often_as_the_others_and_counts_nothing_twice(dataset: Dataset) -> None:
    def parts(together: bool) -> list[tuple[int, list[Any]]]:
        found = []
        for rank in range(2):
            oracle, share = Oracle(dataset), Share(rank, 2, gather, together)
            with pytest.raises(InterruptedError) as caught:
                evaluate(oracle, dataset, "test", batch_images=2, share=share)
            found.append((len(oracle.seen), caught.value.args[0]))
        return found

    def gather(part: list[Any]) -> NoReturn:
        raise InterruptedError([entry["masks"] for entry in part])

    (most, first), (fewer, second) = parts(together=False)
    assert most == fewer + 1
    assert parts(together=True) == [(most, first), (most, second)]


class Sure(Oracle):
    """An oracle with logits, which is killed at its nth batch."""

    def __init__(self, dataset: Dataset, killed_at: int = 0) -> None:
        super().__init__(dataset)
        self.killed_at = killed_at

    def predict_logits(
        self, images: list[torch.Tensor], texts: list[str], image_index: list[int]
    ) -> list[npt.NDArray[np.float32]]:
        if len(self.seen) + 1 == self.killed_at:
            raise KeyboardInterrupt
        answers = super().predict(images, texts, image_index)
        return [np.where(answer, np.float32(1.5), np.float32(-0.5)) for answer in answers]


def test_an_evaluation_that_was_killed_goes_on_after_the_last_whole_batch(
    dataset: Dataset, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    def run(predictor: Sure, about: str = "a") -> tuple[Measured, str | None]:
        journal = Journal(tmp_path / "work" / "batches", about)
        found = evaluate(predictor, dataset, "test", batch_images=2, details=Details(), journal=journal)
        return found, journal.dropped

    def cut(content: bytes) -> bytes:
        return content[:-7]

    def flip(content: bytes) -> bytes:
        place = content.index(b"\n") + 30  # in the first batch
        return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]

    whole = evaluate(Sure(dataset), dataset, "test", batch_images=2, details=Details())
    assert whole.sweep is not None
    for name, damage, about, left in (
        ("as it was", None, "a", 1),
        ("cut off", cut, "a", 2),
        ("a bit flipped", flip, "a", 3),
        ("other settings", None, "b", 3),
    ):
        with subtests.test(name):
            with pytest.raises(KeyboardInterrupt):
                run(Sure(dataset, killed_at=3))
            file = tmp_path / "work" / "batches"
            if damage is not None:
                file.write_bytes(damage(file.read_bytes()))
            predictor = Sure(dataset)
            measured, dropped = run(predictor, about)
            assert len(predictor.seen) == left
            assert (dropped is None) == (name == "as it was")
            assert measured.lines.equals(whole.lines)
            assert measured.masks.equals(whole.masks)
            assert measured.sweep is not None
            assert measured.sweep.equals(whole.sweep)
            file.unlink()


def test_memory_grows_by_little_more_than_the_codes_of_a_sample(tmp_path: Path) -> None:
    peaks = []
    for samples in (50, 250):
        data = write_dataset(tmp_path / str(samples), samples, per_image=1)
        journal = Journal(tmp_path / "work" / str(samples), "a")
        predictor = Guess(data)
        tracemalloc.start()
        measured = evaluate(predictor, data, "test", batch_images=16, details=Details(), journal=journal)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert measured.sweep is not None
        assert len(measured.sweep) == len(measured.masks) == samples
    assert (peaks[1] - peaks[0]) / 200 < 4_000  # bytes; a table for each image took 9,000 more


def test_a_prediction_of_another_size_or_type_is_refused_by_name(dataset: Dataset, subtests: pytest.Subtests) -> None:
    for change, message in (
        (lambda text, mask: mask[:-1] if text.endswith("2_1") else mask, r"'2_1'.*\(25, 32\).*\(26, 32\)"),
        (lambda text, mask: mask.astype(np.uint8) if text.endswith("1_0") else mask, r"'1_0'.*uint8.*bool"),
        (lambda text, mask: mask.astype(float) if text.endswith("1_0") else mask, r"'1_0'.*float64.*bool"),
        (lambda text, mask: torch.from_numpy(mask) if text.endswith("1_0") else mask, r"'1_0'.*torch.bool"),
        (lambda text, mask: None if text.endswith("1_0") else mask, r"'1_0'.*NoneType"),
    ):
        with subtests.test(message), pytest.raises(ValueError, match=message):
            evaluate(Changed(dataset, change), dataset, "test")


def test_another_number_of_predictions_is_refused(dataset: Dataset, subtests: pytest.Subtests) -> None:
    class Miscounting(Oracle):
        extra = 0

        def predict(self, images: list[torch.Tensor], texts: list[str], image_index: list[int]) -> list[MaskArray]:
            answers = super().predict(images, texts, image_index)
            return answers[: self.extra] if self.extra < 0 else [*answers, answers[0]]

    for extra in (-1, 1):
        predictor = Miscounting(dataset)
        predictor.extra = extra
        with (
            subtests.test(f"{extra:+}"),
            pytest.raises(ValueError, match=rf"gave {15 + extra} masks for 15 samples"),
        ):
            evaluate(predictor, dataset, "test")


def test_an_error_of_the_predictor_is_not_caught(dataset: Dataset) -> None:
    class Broken:
        def predict(self, images: list[torch.Tensor], texts: list[str], image_index: list[int]) -> list[MaskArray]:
            raise ZeroDivisionError("in the model")

    with pytest.raises(ZeroDivisionError, match="in the model"):
        evaluate(Broken(), dataset, "test")


def test_an_unreadable_image_is_an_error_not_another_sample(dataset: Dataset, tmp_path: Path) -> None:
    broken = Dataset(tmp_path, dataset.manifest, dataset.samples, tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match="images"):
        evaluate(Oracle(dataset), broken, "test")


def test_a_split_without_samples_is_an_error(dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="'val' names no samples"):
        evaluate(Oracle(dataset), dataset, "val")
