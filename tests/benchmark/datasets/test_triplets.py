"""RefSegRS, RISBench and RRSIS-D: what all three do on fakes in the real layouts, and each fault of two."""

from __future__ import annotations

import json
import logging
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from benchmark.data.samples import Dataset, SampleError, decode_mask, load_dataset
from benchmark.datasets import DATASETS, refsegrs, risbench, rrsisd
from benchmark.datasets.spec import Drive, Hub
from benchmark.datasets.triplets import category_of, read_phrases
from tests.benchmark.datasets.conftest import NAMES, SCENES, build, check_faults, cut
from tests.layouts import LAYOUTS
from tests.pictures import SIDE, pictures

SHARED = Path(__file__).parents[4] / "shared" / "data" / "annotations"


# ------------------------------------------------------------ what is declared


def test_the_declarations_say_what_is_published(subtests: pytest.Subtests) -> None:
    for name, counts, size, categories, licence in (
        ("refsegrs", (2172, 431, 1817), (512, 512), 14, "CC-BY-4.0"),
        ("rrsisd", (12181, 1740, 3481), (800, 800), 20, "academic"),
        ("risbench", (26300, 10013, 16159), (512, 512), 26, "CC-BY-4.0"),
    ):
        with subtests.test(name):
            spec = DATASETS[name].spec
            assert spec is not None
            assert spec.counts == dict(zip(("train", "val", "test"), counts, strict=True))
            assert spec.image_size == size
            assert len(spec.categories) == len(set(spec.categories)) == categories
            assert spec.licence.startswith(licence)


def test_the_declarations_say_where_the_files_are() -> None:
    origins = {
        file.name: file.origin
        for name in NAMES
        for file in DATASETS[name].spec.files  # type: ignore[union-attr]
    }
    assert origins == {
        "RefSegRS.zip": Hub(repository="JessicaYuan/RefSegRS"),
        "RISBench.zip": None,
        "refs(unc).p": Drive(id="1oRILB_o_LTH2jwr1isF6rDOLZP4YgIoV"),
        "instances.json": Drive(id="16u61hnDzVqt6pmnIeYsaWdyYpXCdzAq9"),
        "JPEGImages.zip": Drive(id="1j-0tri3oTroD4iY4IugK5XuBxWAOwjgc"),
        "ann_split.zip": Drive(id="1heyS10o0xa2lkDpSCBNEl-R0fZ7njA6W"),
    }


def test_a_dataset_is_declared_under_its_own_name() -> None:
    assert all(source.spec is not None and source.spec.name == name for name, source in DATASETS.items())


def test_other_counts_than_published_are_an_error_with_both_numbers(
    fakes: dict[str, Path], tmp_path: Path, subtests: pytest.Subtests
) -> None:
    for name in NAMES:
        declared = DATASETS[name].spec.counts["train"]  # type: ignore[union-attr, index]
        found = len([entry for entry in entries(name, fakes[name]) if entry.split == "train"])
        remedy = rf"--allow-count-mismatch.*{name}\.allow_count_mismatch: true"
        with (
            subtests.test(name),
            pytest.raises(SampleError, match=rf"train has {found}, declared are {declared:,}.*{remedy}"),
        ):
            build(name, fakes[name], tmp_path, allow_count_mismatch=False)
    assert not list(tmp_path.iterdir())


def entries(name: str, root: Path) -> list[Any]:
    module = {"refsegrs": refsegrs, "risbench": risbench, "rrsisd": rrsisd}[name]
    config = DATASETS[name].config.model_validate({"root": str(root)})
    return module.entries(config)  # type: ignore[arg-type]


# ------------------------------------------------------------ what is read


def test_every_sample_has_its_own_mask_and_the_image_it_was_drawn_on(
    built: dict[str, Dataset], subtests: pytest.Subtests
) -> None:
    drawn = {(picture.split, picture.number): picture for picture in pictures(SCENES)}
    for name, dataset in built.items():
        with subtests.test(name):
            order = {split: iter(sorted(key for key in drawn if key[0] == split)) for split in ("train", "val", "test")}
            groups = dataset.samples.groupby("image_id", sort=False)
            assert len(groups) == 3 * SCENES
            for _, rows in groups:
                picture = drawn[next(order[rows["split"].iloc[0]])]
                expressions = picture.expressions[:1] if name == "rrsisd" else picture.expressions
                assert len(rows) == len(expressions)
                for row, expression in zip(rows.to_dict("records"), expressions, strict=True):
                    mask = decode_mask(row["mask"], row["height"], row["width"])
                    assert np.array_equal(mask, picture.regions[expression.region].mask)
                pixels = dataset.pixels(rows["image"].iloc[0]).astype(int)
                assert np.abs(pixels - picture.image).mean() < (10 if name == "rrsisd" else 1e-9)  # JPEG


def test_images_stay_where_they_are(
    built: dict[str, Dataset], fakes: dict[str, Path], subtests: pytest.Subtests
) -> None:
    for name, dataset in built.items():
        with subtests.test(name):
            assert {path.name for path in dataset.folder.rglob("*")} == {"samples.parquet", "manifest.json"}
            assert dataset.images == fakes[name]
            assert str(fakes[name]) not in (dataset.folder / "manifest.json").read_text()
            assert not dataset.samples["image"].str.contains(str(fakes[name]), regex=False).any()


def test_the_same_files_elsewhere_are_the_same_dataset(fakes: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(fakes["risbench"], tmp_path / "elsewhere")
    one = build("risbench", fakes["risbench"], tmp_path / "a")
    other = build("risbench", tmp_path / "elsewhere", tmp_path / "b")
    assert one.manifest == other.manifest
    for name in ("samples.parquet", "manifest.json"):
        assert (one.folder / name).read_bytes() == (other.folder / name).read_bytes()


def test_a_dataset_whose_images_are_gone_says_where_they_should_be(built: dict[str, Dataset], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone does not exist.*datasets\.refsegrs\.root in params\.yaml"):
        load_dataset(built["refsegrs"].folder, tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match="the root of its images does not exist"):
        load_dataset(built["refsegrs"].folder)


def test_several_files_of_one_image_are_one_image(built: dict[str, Dataset], subtests: pytest.Subtests) -> None:
    for name in ("refsegrs", "risbench"):
        with subtests.test(name):
            samples = built[name].samples
            assert samples["image_id"].nunique() == 3 * SCENES < len(samples)
            assert (samples.groupby("image_id")["image"].nunique() == 1).all()
            assert samples["sample_id"].is_unique


def test_one_image_in_two_splits_stays_two_images(fakes: dict[str, Path], tmp_path: Path) -> None:
    root = shutil.copytree(fakes["risbench"], tmp_path / "risbench")
    shutil.copy(root / "img_rgb/train_0_0.png", root / "img_rgb/test_0_0.png")
    samples = build("risbench", root, tmp_path / "data").samples
    assert set(samples.loc[samples["split"] == "train", "image_id"]).isdisjoint(
        samples.loc[samples["split"] == "test", "image_id"]
    )


def test_a_second_line_of_a_name_gets_its_own_id(fakes: dict[str, Path], tmp_path: Path) -> None:
    root = shutil.copytree(fakes["refsegrs"], tmp_path / "refsegrs")
    path = root / "output_phrase_val.txt"
    first = path.read_text(encoding="utf-8").splitlines()[0]
    path.write_text(f"\ufeff{first}\n\n{first} again\n", encoding="utf-8")
    samples = build("refsegrs", root, tmp_path / "data").split("val")
    name = first.split(" ")[0]
    assert samples["sample_id"].tolist() == [name, f"{name}#2"]
    assert samples["mask"].nunique() == 1


def test_what_was_turned_and_which_bands_were_taken_is_said_as_of_anyones_own_data(
    fakes: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = shutil.copytree(fakes["refsegrs"], tmp_path / "refsegrs")
    deep, turned = sorted((root / "images").iterdir())[:2]
    names = enumerate(("blue", "green", "red", "nir"))
    about = "".join(f'<Item name="DESCRIPTION" sample="{k}" role="description">{name}</Item>' for k, name in names)
    tag = (42112, "s", 0, f"<GDALMetadata>{about}</GDALMetadata>", True)
    tifffile.imwrite(
        deep, np.zeros((SIDE, SIDE, 4), np.uint8), photometric="minisblack", planarconfig="contig", extratags=[tag]
    )
    tifffile.imwrite(turned, np.zeros((SIDE, SIDE, 3), np.uint8), photometric="rgb", extratags=[(274, "H", 1, 3, True)])
    with caplog.at_level(logging.INFO, "benchmark.datasets"):
        manifest = build("refsegrs", root, tmp_path / "data").manifest
    said = "bands 3, 2, 1 of 4, which the file names red, green and blue"
    assert manifest.bands == {said: [f"images/{deep.name}"]}
    assert manifest.turned == {f"images/{turned.name}": 3}
    assert f"refsegrs: of 1 images or patches are taken: {said}" in caplog.text
    assert "refsegrs: 1 images or patches were turned by an orientation tag" in caplog.text


# ------------------------------------------------------------ categories


PHRASES = [
    ("vehicle driving on the road", "vehicle"),
    ("light-duty vehicle in the parking area", "vehicle"),
    ("sidewalk along with tree", "sidewalk"),
    ("road marking", "road marking"),
    ("road", "road"),
    ("Low  vegetation beside the bikeway", "low vegetation"),
    ("buses in the parking area", "bus"),
    ("two lorries at the top", "truck"),
    ("carport", None),
    ("something", None),
]
SENTENCES = [
    ("The aircraft located near the center of the image.", "airplane"),
    ("The small, rectangular swimming pool.", "swimming pool"),
    ("The baseball field to the left of the tennis court", "baseball field"),
    ("Two ships docked at the harbour", "ship"),
    ("The lorries", "vehicle"),
    ("The wharves", "harbor"),
    ("The helicopter on the helipad", "helicopter"),
    ("The wind-mill", "windmill"),
    ("the airport", "airport"),
    ("it is in the top left", None),
]


def test_the_first_word_that_names_a_category_says_it(subtests: pytest.Subtests) -> None:
    for words, texts in ((refsegrs.WORDS, PHRASES), (risbench.WORDS, SENTENCES)):
        for text, category in texts:
            with subtests.test(text):
                assert category_of(text, words) == category


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the real annotation lines are not at {SHARED}")
def test_every_real_sentence_at_hand_has_a_category() -> None:
    lines = [json.loads(line) for line in (SHARED / "risbench_test.sample.jsonl").read_text().splitlines()]
    assert [category_of(line["sent"], risbench.WORDS) for line in lines] == [
        "ship", "ship", "airplane", "vehicle", "swimming pool", "vehicle",
    ]  # fmt: skip


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the real annotation lines are not at {SHARED}")
def test_a_real_sentence_with_a_typo_is_kept_as_it_is_published(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in (SHARED / "risbench_test.sample.jsonl").read_text().splitlines()]
    path = tmp_path / "output_phrase_test.txt"
    path.write_text("".join(f"{line['file_name']} {line['sent']}\n" for line in lines))
    assert list(read_phrases(path))[-1] == (
        "test_8_0.png", "The small vehicle is positioned I'm the middle of the image.",
    )  # fmt: skip


# ------------------------------------------------------------ what goes wrong


def blank(path: Path) -> None:
    Image.new("L", Image.open(path).size).save(path)


def shrink(path: Path) -> None:
    Image.open(path).resize((50, 40), Image.Resampling.NEAREST).save(path)


BAD: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "no phrases": ("refsegrs", lambda r: (r / "output_phrase_val.txt").unlink(), "phrase_val.txt does not exist"),
    "not UTF-8": (
        "refsegrs",
        lambda r: (r / "output_phrase_val.txt").write_bytes(b"a road\nb stra\xdfe\n"),
        r"output_phrase_val.txt: line 2 is not UTF-8 .*at byte 6",
    ),
    "a line without words": (
        "risbench",
        lambda r: (r / "output_phrase_test.txt").write_text("test_0_0.png\n"),
        r"output_phrase_test.txt: line 1 is b'test_0_0.png'; a line is a file's name, a space and a phrase",
    ),
    "a name that leaves the folder": (
        "risbench",
        lambda r: (r / "output_phrase_test.txt").write_text("../../etc/passwd.png the ship\n"),
        r"output_phrase_test.txt: line 1 is",
    ),
    "a name of 300 letters": (
        "refsegrs",
        lambda r: (r / "output_phrase_val.txt").write_text("a" * 300 + " the ship\n"),
        r"output_phrase_val.txt: line 1 is b'a+'; a line is a file's name, a space and a phrase; the name has 200",
    ),
    "no samples of a split": (
        "refsegrs",
        lambda r: (r / "output_phrase_val.txt").write_text("\n"),
        "split val of refsegrs has no samples",
    ),
    "no image": ("risbench", lambda r: (r / "img_rgb/val_0_0.png").unlink(), "img_rgb/val_0_0.png does not exist"),
    "no mask": (
        "risbench",
        lambda r: (r / "mask/val_0_0.png").unlink(),
        "sample 'val_0_0': mask .*/mask/val_0_0.png does not exist; fetch it again, or exclude the sample",
    ),
    "no images of a split": (
        "risbench",
        lambda r: [path.unlink() for path in r.glob("img_rgb/train_*")],
        r"image .*/img_rgb/train_0_0.png, .*train_.* does not exist \(\d+ are missing\); fetch the dataset again",
    ),
    "no masks at all": (
        "refsegrs",
        lambda r: [path.unlink() for path in r.glob("masks/*")],
        r"(?s)\d+ masks of .*refsegrs cannot be read; fetch their files again, or leave samples out: "
        r"datasets.refsegrs.exclude: \{SAMPLE: why\} in params.yaml:\n  sample 'train00000': mask .*"
        r"(\n  sample .*){9}\n  and \d+ more$",
    ),
    "a truncated image": (
        "refsegrs",
        lambda r: cut(r / "images/val00000.tif"),
        r"val00000.*images/val00000.tif .*(truncated|cannot be read).*fetch it a",
    ),
    "a truncated mask": ("refsegrs", lambda r: cut(r / "masks/val00000.tif"), "masks/val00000.tif"),
    "an empty mask": (
        "risbench",
        lambda r: blank(r / "mask/val_0_0.png"),
        r"1 samples have empty masks: val_0_0\. .*datasets.risbench.exclude: \{val_0_0: empty mask\}",
    ),
    "a mask of another size": (
        "risbench",
        lambda r: shrink(r / "mask/val_0_0.png"),
        r"val_0_0.* is 96x96 \(height x width\), the row says 40x50",
    ),
}


def test_what_is_wrong_is_named_and_nothing_is_written(
    fakes: dict[str, Path], tmp_path: Path, subtests: pytest.Subtests
) -> None:
    check_faults(BAD, fakes, tmp_path, subtests)


def test_phrases_are_read_in_order_whatever_ends_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_bytes("\ufeffa road\r\n\r\nb the  tree\tover there \nc Straße".encode())
    assert [tuple(phrase) for phrase in read_phrases(path)] == [
        ("a", "road"),
        ("b", "the  tree\tover there"),
        ("c", "Straße"),
    ]


def test_a_fake_is_drawn_alike_each_time(fakes: dict[str, Path], tmp_path: Path) -> None:
    for name, root in fakes.items():
        LAYOUTS[name](tmp_path / name, SCENES, SIDE)
        files = [path.relative_to(root) for path in sorted(root.rglob("*")) if path.is_file()]
        assert Counter(files) == Counter(
            p.relative_to(tmp_path / name) for p in (tmp_path / name).rglob("*") if p.is_file()
        )
        assert all((root / file).read_bytes() == (tmp_path / name / file).read_bytes() for file in files)
