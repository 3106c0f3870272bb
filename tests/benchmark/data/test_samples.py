from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.images import Picture, read_picture
from benchmark.data.rle import mask_bbox
from benchmark.data.samples import (
    COLUMNS,
    SampleError,
    decode_mask,
    encode_mask,
    load_dataset,
    make_sample,
    save_dataset,
    validate_samples,
)
from benchmark.results.truth import choose_examples, load_examples, save_examples

ABOUT = {"name": "toy", "source": "drawn", "licence": "CC0-1.0", "citation": "nobody, never"}
HEIGHT, WIDTH = 24, 32


def toy_mask(number: int) -> NDArray[np.bool_]:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[3 : 5 + number, 4:10] = True
    return mask


def toy_samples(folder: Path, images: int = 3, per_image: int = 2) -> pd.DataFrame:
    """Write images under ``folder`` and return a table that is right."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for split in ("train", "val", "test"):
        for number in range(images):
            image_id = f"{split}-{number}"
            pixels = np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "images" / f"{image_id}.png")
            for k in range(per_image):
                text = f"the ship {k}"
                rows.append(
                    make_sample(f"{image_id}-{k}", image_id, f"images/{image_id}.png", split, text, "ship", toy_mask(k))
                )
    return pd.DataFrame(rows)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_dataset_is_read_back_as_it_was_saved(tmp_path: Path) -> None:
    samples = toy_samples(tmp_path / "toy")
    samples.loc[0, "category"] = None
    manifest = save_dataset(tmp_path / "toy", samples, **ABOUT)
    dataset = load_dataset(tmp_path / "toy")
    assert dataset.manifest == manifest
    assert manifest.counts == {split: {"samples": 6, "images": 3} for split in ("train", "val", "test")}
    assert tuple(dataset.samples.columns) == COLUMNS
    for column in set(COLUMNS) - {"bbox_xyxy", "category"}:
        assert dataset.samples[column].tolist() == samples[column].tolist()
    assert [list(box) for box in dataset.samples["bbox_xyxy"]] == samples["bbox_xyxy"].tolist()
    assert dataset.samples["category"].tolist() == [None, *samples["category"].tolist()[1:]]


def test_a_split_has_its_rows_in_order(tmp_path: Path) -> None:
    save_dataset(tmp_path / "toy", toy_samples(tmp_path / "toy"), **ABOUT)
    rows = load_dataset(tmp_path / "toy").split("val")
    assert rows["sample_id"].tolist() == [f"val-{image}-{k}" for image in range(3) for k in range(2)]
    assert rows.index.tolist() == list(range(6))


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_dataset(tmp_path / name, toy_samples(tmp_path / name), **ABOUT)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_the_manifest_follows_pixels_and_words(tmp_path: Path) -> None:
    samples = toy_samples(tmp_path / "toy")
    before = save_dataset(tmp_path / "toy", samples, **ABOUT)
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(tmp_path / "toy" / "images" / "val-0.png")
    pixels = save_dataset(tmp_path / "toy", samples, **ABOUT)
    assert pixels.samples_sha256 == before.samples_sha256
    assert pixels.images_sha256 != before.images_sha256
    words = save_dataset(tmp_path / "toy", samples.assign(expression=samples["expression"] + "!"), **ABOUT)
    assert words.samples_sha256 != before.samples_sha256
    assert words.images_sha256 == pixels.images_sha256


def set_value(column: str, value: Any, row: int = 3) -> Callable[[pd.DataFrame, Path], pd.DataFrame]:
    def change(samples: pd.DataFrame, folder: Path) -> pd.DataFrame:
        rows = samples.to_dict("records")
        rows[row][column] = value
        return pd.DataFrame(rows)

    return change


def remove_image(samples: pd.DataFrame, folder: Path) -> pd.DataFrame:
    (folder / "images" / "train-1.png").unlink()
    return samples


def truncate_image(samples: pd.DataFrame, folder: Path) -> pd.DataFrame:
    path = folder / "images" / "train-1.png"
    path.write_bytes(path.read_bytes()[:-200])
    return samples


def replace_image(samples: pd.DataFrame, folder: Path) -> pd.DataFrame:
    (folder / "images" / "train-1.png").write_text("no image")
    return samples


def shrink_image(samples: pd.DataFrame, folder: Path) -> pd.DataFrame:
    path = folder / "images" / "train-1.png"
    Image.open(path).resize((16, 12)).save(path)
    return samples


def empty_mask(samples: pd.DataFrame, folder: Path) -> pd.DataFrame:
    return set_value("mask", encode_mask(np.zeros((HEIGHT, WIDTH), bool)))(samples, folder)


def small_mask(samples: pd.DataFrame, folder: Path) -> pd.DataFrame:
    return set_value("mask", encode_mask(toy_mask(1)[:20, :20]))(samples, folder)


def drop_column(samples: pd.DataFrame, folder: Path) -> pd.DataFrame:
    return samples.drop(columns="mask_area").assign(note="hello")


ROW = r"samples.parquet: row 3 \(sample_id 'train-1-1'\): "
BAD = {
    "missing image": (remove_image, r"row 2 .*image .*train-1.png does not exist; fetch or build"),
    "truncated image": (truncate_image, r"row 2 .*train-1.png cannot be read .* truncated .* fetch it again"),
    "no image": (replace_image, r"row 2 .*train-1.png is no PNG"),
    "image of another size": (shrink_image, r"row 2 .*train-1.png is 12x16 .* the row says 24x32"),
    "image outside": (set_value("image", "../secret.png", 0), r"row 0 .*secret.png' leaves the dataset; give"),
    "image of another id": (set_value("image", "images/val-0.png"), ROW + r"image_id 'train-1' .* in row 2; an image"),
    "image in two splits": (set_value("split", "test"), ROW + r"image_id .*split 'test' here.*split 'train' in row 2"),
    "mask of another size": (small_mask, ROW + r"its runs cover 400 of 768 pixels, 24x32 .*own size"),
    "mask that is no code": (set_value("mask", "hello!!!~~"), ROW + r"mask 'hello!!!~~' "),
    "mask beyond ASCII": (set_value("mask", "ä"), ROW + r"mask 'ä' is no compressed run-length code"),
    "blank mask": (set_value("mask", ""), ROW + r"mask is ''; it must not be blank"),
    "empty mask": (empty_mask, ROW + r"the mask is empty; leave the sample out or correct its mask"),
    "wrong area": (set_value("mask_area", 7), ROW + r"mask_area is 7, the mask has 18 pixels"),
    "wrong box": (set_value("bbox_xyxy", [4, 3, 9, 5]), ROW + r"bbox_xyxy is \[4, 3, 9, 5\], .*\[4, 3, 10, 6\]; give"),
    "no box": (set_value("bbox_xyxy", None), ROW + r"bbox_xyxy is None"),
    "duplicate id": (set_value("sample_id", "train-0-1"), r"row 3 .*'train-0-1'\): row 1 has the same sample_id; give"),
    "blank id": (set_value("sample_id", ""), r"row 3 .*sample_id is ''; it must not be blank"),
    "blank expression": (set_value("expression", "  "), ROW + r"expression is '  '; it must not be blank: leave"),
    "no expression": (set_value("expression", None), ROW + r"expression is .*; it must not be blank"),
    "unknown split": (set_value("split", "testing"), ROW + r"unknown split 'testing'; choose one of train, val, test"),
    "columns": (drop_column, r"missing columns \['mask_area'\], unknown columns \['note'\]"),
    "no rows": (lambda samples, folder: samples.iloc[:0], r"samples.parquet: the table has no rows"),
    "wrong type": (set_value("category", 3.5), r"samples.parquet: a column has the wrong type"),
}  # fmt: skip


def test_bad_rows_are_named_and_nothing_is_written(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for number, (case, (spoil, message)) in enumerate(BAD.items()):
        with subtests.test(case):
            folder = tmp_path / f"{number}" / "toy"
            samples = spoil(toy_samples(folder), folder)
            before = contents(folder.parent)
            with pytest.raises((SampleError, FileNotFoundError), match=message):
                save_dataset(folder, samples, **ABOUT)
            assert contents(folder.parent) == before


def test_a_bad_table_leaves_the_saved_one(tmp_path: Path) -> None:
    samples = toy_samples(tmp_path / "toy")
    save_dataset(tmp_path / "toy", samples, **ABOUT)
    before = contents(tmp_path)
    with pytest.raises(SampleError):
        save_dataset(tmp_path / "toy", empty_mask(samples, tmp_path), **ABOUT)
    assert contents(tmp_path) == before


def test_a_failing_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = toy_samples(tmp_path / "toy")
    before = contents(tmp_path)

    def fail(self: Path, data: bytes) -> int:
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="no space"):
        save_dataset(tmp_path / "toy", samples, **ABOUT)
    assert contents(tmp_path) == before


def test_every_image_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = toy_samples(tmp_path)
    opened: list[Path] = []

    def counted(path: Path) -> Picture:
        opened.append(path)
        return read_picture(path)

    monkeypatch.setattr("benchmark.data.validation.read_picture", counted)
    assert set(validate_samples(samples, tmp_path).digests) == set(samples["image"])
    assert len(opened) == len(set(opened)) == 9


def test_a_folder_without_a_dataset_says_how_to_build_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"toy/manifest.json does not exist; .*experiments.fetch --dataset toy"):
        load_dataset(tmp_path / "toy")


def test_a_changed_table_is_refused(tmp_path: Path) -> None:
    samples = toy_samples(tmp_path / "toy")
    save_dataset(tmp_path / "toy", samples, **ABOUT)
    kept = (tmp_path / "toy" / "manifest.json").read_bytes()
    save_dataset(tmp_path / "toy", samples.iloc[:-1], **ABOUT)
    (tmp_path / "toy" / "manifest.json").write_bytes(kept)
    with pytest.raises(
        SampleError, match=r"samples.parquet: its content has SHA-256 .* manifest.json says .* fetch it again"
    ):
        load_dataset(tmp_path / "toy")


def test_a_truncated_or_damaged_file_is_refused(tmp_path: Path) -> None:
    save_dataset(tmp_path / "toy", toy_samples(tmp_path / "toy"), **ABOUT)
    for name in ("samples.parquet", "manifest.json"):
        path = tmp_path / "toy" / name
        whole = path.read_bytes()
        for damaged in (whole[:-50], b"\xff" + whole):
            path.write_bytes(damaged)
            with pytest.raises(SampleError, match=rf"(?s)toy/{name}: .*; fetch it again: .* --dataset toy"):
                load_dataset(tmp_path / "toy")
        path.write_bytes(whole)
    path = tmp_path / "toy" / "samples.parquet"
    table = pq.read_table(path)
    about = table.schema.metadata[b"pandas"].replace(b'"object"', b'"objact"')  # a type that there is not
    pq.write_table(table.replace_schema_metadata({b"pandas": about}), path)
    with pytest.raises(SampleError, match=r"toy/samples.parquet: cannot be read .*objact.*; fetch it again"):
        load_dataset(tmp_path / "toy")
    other = [b"\xff" if number == 2 else b"the box" for number in range(len(table))]  # as text it is no UTF-8
    other = pa.array(other, pa.binary()).view(pa.string())
    pq.write_table(table.set_column(table.column_names.index("expression"), "expression", other), path)
    with pytest.raises(SampleError, match=r"toy/samples.parquet: cannot be read \(.*UTF8.*\); fetch it again"):
        load_dataset(tmp_path / "toy")


def test_a_manifest_with_an_unknown_field_is_refused(tmp_path: Path) -> None:
    save_dataset(tmp_path / "toy", toy_samples(tmp_path / "toy"), **ABOUT)
    path = tmp_path / "toy" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "colour": "red"}))
    with pytest.raises(SampleError, match="colour"):
        load_dataset(tmp_path / "toy")


def test_unknown_and_empty_splits_are_errors(tmp_path: Path) -> None:
    samples = toy_samples(tmp_path / "toy")
    save_dataset(tmp_path / "toy", samples[samples["split"] != "val"], **ABOUT)
    dataset = load_dataset(tmp_path / "toy")
    with pytest.raises(SampleError, match="unknown split 'validation'; choose one of train, val, test"):
        dataset.split("validation")
    with pytest.raises(SampleError, match=r"samples.parquet: split 'val' names no samples; .*'train': 6, 'val': 0"):
        dataset.split("val")


def test_masks_survive_encoding() -> None:
    for share in (0.0, 0.01, 0.5, 1.0):
        mask = np.random.default_rng(0).random((37, 53)) < share
        decoded = decode_mask(encode_mask(mask), 37, 53)
        assert decoded.dtype == np.bool_
        assert np.array_equal(decoded, mask), share


def test_a_mask_decodes_to_its_own_size_only(subtests: pytest.Subtests) -> None:
    for height, width in ((24, 31), (23, 32), (240, 320), (1, 1)):
        with subtests.test(f"{height}x{width}"), pytest.raises(ValueError, match=f"{height}x{width}"):
            decode_mask(encode_mask(toy_mask(0)), height, width)


def test_a_mask_that_is_no_bool_array_is_refused() -> None:
    with pytest.raises(ValueError, match="mask is uint8 of shape"):
        encode_mask(np.zeros((4, 4), np.uint8))


def test_a_sample_needs_a_pixel() -> None:
    with pytest.raises(SampleError, match="sample 'a-0' has an empty mask; leave the sample out"):
        make_sample("a-0", "a", "images/a.png", "train", "the ship", "ship", np.zeros((4, 4), bool))


def test_the_box_is_exclusive_on_the_right_and_below() -> None:
    assert mask_bbox(toy_mask(1)) == (4, 3, 10, 6)
    assert mask_bbox(np.ones((4, 7), bool)) == (0, 0, 7, 4)


def test_examples_are_of_the_test_split_one_per_image_and_always_the_same(tmp_path: Path) -> None:
    samples = toy_samples(tmp_path / "toy", images=9)
    save_dataset(tmp_path / "toy", samples, **ABOUT)
    chosen = choose_examples(load_dataset(tmp_path / "toy"), count=6)
    assert len(chosen) == chosen["image_id"].nunique() == 6
    assert set(chosen["split"]) == {"test"}
    save_dataset(tmp_path / "toy", samples.sample(frac=1, random_state=0), **ABOUT)
    again = choose_examples(load_dataset(tmp_path / "toy"), count=6)
    assert again["sample_id"].tolist() == chosen["sample_id"].tolist()
    assert len(choose_examples(load_dataset(tmp_path / "toy"), count=50)) == 9


def test_examples_stand_alone(tmp_path: Path) -> None:
    save_dataset(tmp_path / "toy", toy_samples(tmp_path / "toy"), **ABOUT)
    dataset = load_dataset(tmp_path / "toy")
    path = tmp_path / "results" / "toy" / "examples.parquet"
    save_examples(path, dataset, count=2)
    examples = load_examples(path)
    assert examples.columns.tolist() == ["sample_id", "expression", "category", "height", "width", "image", "mask"]
    assert examples["sample_id"].tolist() == choose_examples(dataset, 2)["sample_id"].tolist()
    assert examples["image"][0][:2] == b"\xff\xd8"
    assert decode_mask(examples["mask"][0], examples["height"][0], examples["width"][0]).any()
    assert os.listdir(path.parent) == ["examples.parquet"]


def test_missing_examples_say_where_they_come_from(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"fetch the dataset: .* --dataset toy"):
        load_examples(tmp_path / "toy" / "examples.parquet")


def test_an_expression_of_what_is_not_there_has_an_empty_mask_and_no_box(tmp_path: Path) -> None:
    samples = toy_samples(tmp_path / "toy")
    row = make_sample(
        "train-0-9", "train-0", "images/train-0.png", "train", "the airplane", "airplane",
        np.zeros((HEIGHT, WIDTH), bool), no_target=True,
    )  # fmt: skip
    samples = pd.concat([samples, pd.DataFrame([row])])
    with pytest.raises(SampleError, match=r"train-0-9.*the mask is empty"):
        save_dataset(tmp_path / "toy", samples, **ABOUT)
    manifest = save_dataset(tmp_path / "toy", samples, **ABOUT, no_target=True)
    read = load_dataset(tmp_path / "toy")
    assert manifest.no_target
    assert read.manifest == manifest
    assert read.samples["mask_area"].tolist()[-1] == 0
    assert list(read.samples["bbox_xyxy"].iloc[-1]) == [0, 0, 0, 0]


def test_a_usual_dataset_says_nothing_of_where_its_images_are_or_what_is_not_there(tmp_path: Path) -> None:
    save_dataset(tmp_path / "toy", toy_samples(tmp_path / "toy"), **ABOUT)
    assert set(json.loads((tmp_path / "toy" / "manifest.json").read_text())) == {
        *ABOUT, "counts", "samples_sha256", "images_sha256",
    }  # fmt: skip


def test_images_that_stay_elsewhere_are_checked_and_read_there(tmp_path: Path) -> None:
    samples = toy_samples(tmp_path / "root")
    (tmp_path / "toy").mkdir()
    save_dataset(tmp_path / "toy", samples, **ABOUT, images=tmp_path / "root")
    assert load_dataset(tmp_path / "toy", tmp_path / "root").images == tmp_path / "root"
    (tmp_path / "root/images/val-0.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"root/images/val-0\.png does not exist"):
        save_dataset(tmp_path / "toy", samples, **ABOUT, images=tmp_path / "root")
