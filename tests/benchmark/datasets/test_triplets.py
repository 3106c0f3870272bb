"""RefSegRS, RISBench and RRSIS-D: fakes in the real layouts, their oddities, and what goes wrong with each."""

from __future__ import annotations

import json
import pickle
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmark.data.rle import mask_bbox
from benchmark.data.samples import Dataset, SampleError, decode_mask, load_dataset
from benchmark.datasets import DATASETS, refsegrs, risbench, rrsisd
from benchmark.datasets.instances import Annotation, instance_mask
from benchmark.datasets.spec import Drive, Hub
from benchmark.datasets.triplets import category_of, read_phrases
from tests.layouts import LAYOUTS, SIDE, pictures

SHARED = Path(__file__).parents[4] / "shared" / "data" / "annotations"
NAMES = ("refsegrs", "risbench", "rrsisd")
SCENES = 3


@pytest.fixture(scope="module")
def fakes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("fakes")
    for name in NAMES:
        LAYOUTS[name](folder / name, SCENES, SIDE)
    return {name: folder / name for name in NAMES}


def build(name: str, root: Path, folder: Path, **changes: Any) -> Dataset:
    source = DATASETS[name]
    config = source.config.model_validate({"root": str(root), "allow_count_mismatch": True, **changes})
    source.build(folder / name, config)
    return load_dataset(folder / name, root)


@pytest.fixture(scope="module")
def built(fakes: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    folder = tmp_path_factory.mktemp("built")
    return {name: build(name, root, folder) for name, root in fakes.items()}


# ------------------------------------------------------------ what is declared


@pytest.mark.parametrize(
    ("name", "counts", "size", "categories", "licence"),
    [
        ("refsegrs", (2172, 431, 1817), (512, 512), 14, "CC-BY-4.0"),
        ("rrsisd", (12181, 1740, 3481), (800, 800), 20, "academic"),
        ("risbench", (26300, 10013, 16159), (512, 512), 26, "academic"),
    ],
)
def test_the_declarations_say_what_is_published(
    name: str, counts: tuple[int, ...], size: tuple[int, int], categories: int, licence: str
) -> None:
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


@pytest.mark.parametrize("name", NAMES)
def test_other_counts_than_published_are_an_error_with_both_numbers(
    fakes: dict[str, Path], tmp_path: Path, name: str
) -> None:
    declared = DATASETS[name].spec.counts["train"]  # type: ignore[union-attr, index]
    found = len([entry for entry in entries(name, fakes[name]) if entry.split == "train"])
    message = (
        rf"train has {found}, declared are {declared:,}.*--allow-count-mismatch.*{name}\.allow_count_mismatch: true"
    )
    with pytest.raises(SampleError, match=message):
        build(name, fakes[name], tmp_path, allow_count_mismatch=False)
    assert not list(tmp_path.iterdir())


def entries(name: str, root: Path) -> list[Any]:
    module = {"refsegrs": refsegrs, "risbench": risbench, "rrsisd": rrsisd}[name]
    config = DATASETS[name].config.model_validate({"root": str(root)})
    return module.entries(config)  # type: ignore[arg-type]


# ------------------------------------------------------------ what is read


@pytest.mark.parametrize("name", NAMES)
def test_every_sample_has_its_own_mask_and_the_image_it_was_drawn_on(built: dict[str, Dataset], name: str) -> None:
    dataset = built[name]
    drawn = {(picture.split, picture.number): picture for picture in pictures(SCENES)}
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
        pixels = np.asarray(Image.open(dataset.images / rows["image"].iloc[0]).convert("RGB")).astype(int)
        assert np.abs(pixels - picture.image).mean() < (10 if name == "rrsisd" else 1e-9)  # JPEG


@pytest.mark.parametrize("name", NAMES)
def test_images_stay_where_they_are(built: dict[str, Dataset], fakes: dict[str, Path], name: str) -> None:
    files = {path.name for path in built[name].folder.rglob("*")}
    assert files == {"samples.parquet", "manifest.json"}
    assert built[name].images == fakes[name]
    assert str(fakes[name]) not in (built[name].folder / "manifest.json").read_text()
    assert not built[name].samples["image"].str.contains(str(fakes[name]), regex=False).any()


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


@pytest.mark.parametrize("name", ["refsegrs", "risbench"])
def test_several_files_of_one_image_are_one_image(built: dict[str, Dataset], fakes: dict[str, Path], name: str) -> None:
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


def test_an_excluded_sample_is_left_out_and_an_unknown_one_refused(fakes: dict[str, Path], tmp_path: Path) -> None:
    all_of_it = build("rrsisd", fakes["rrsisd"], tmp_path / "a").samples
    rest = build("rrsisd", fakes["rrsisd"], tmp_path / "b", exclude={1: "wrong mask"}).samples
    assert set(all_of_it["sample_id"]) - set(rest["sample_id"]) == {"1"}
    with pytest.raises(SampleError, match=r"datasets\.rrsisd\.exclude names \['999'\]"):
        build("rrsisd", fakes["rrsisd"], tmp_path / "c", exclude={999: "no such sample"})


# ------------------------------------------------------------ categories


@pytest.mark.parametrize(
    ("phrase", "category"),
    [
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
    ],
)
def test_the_first_word_of_a_phrase_says_the_category_of_refsegrs(phrase: str, category: str | None) -> None:
    assert category_of(phrase, refsegrs.WORDS) == category


@pytest.mark.parametrize(
    ("sentence", "category"),
    [
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
    ],
)
def test_the_first_word_of_a_sentence_says_the_category_of_risbench(sentence: str, category: str | None) -> None:
    assert category_of(sentence, risbench.WORDS) == category


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


# ------------------------------------------------------------ oddities of RRSIS-D


def test_rrsisd_counts_its_categories_from_zero(built: dict[str, Dataset], fakes: dict[str, Path]) -> None:
    assert rrsisd.CATEGORIES[18] == "vehicle"
    annotations = json.loads((fakes["rrsisd"] / rrsisd.INSTANCES).read_text())["annotations"]
    found = built["rrsisd"].samples.set_index("sample_id")["category"]
    assert all("category_id" not in annotation for annotation in annotations)
    assert {str(a["id"]): rrsisd.CATEGORIES[a["categories_id"]] for a in annotations} == found.to_dict()


def test_rrsisd_boxes_are_corners_and_its_areas_are_none(built: dict[str, Dataset], fakes: dict[str, Path]) -> None:
    boxes = rrsisd.published_boxes(rrsisd.RRSISDConfig(root=str(fakes["rrsisd"])))
    for row in built["rrsisd"].samples.to_dict("records"):
        assert boxes[row["sample_id"]] == tuple(row["bbox_xyxy"])
        assert row["mask_area"] < 100_000
        assert row["mask_area"] == decode_mask(row["mask"], row["height"], row["width"]).sum()


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the real annotation lines are not at {SHARED}")
def test_a_real_mask_of_rrsisd_has_its_own_area() -> None:
    ref = json.loads((SHARED / "rrsisd_val.sample.json").read_text())
    fields = {"id": ref["ann_id"], "image_id": ref["image_id"], "categories_id": ref["category_id"]}
    annotation = Annotation.model_validate({**fields, "segmentation": ref["segmentation"], "bbox": ref["bbox"]})
    mask = instance_mask(annotation, 800, 800, SHARED)
    assert (mask.sum(), ref["area"]) == (544, 102243)
    assert rrsisd.CATEGORIES[annotation.category_id] == ref["category_name"]
    assert annotation.box is not None
    x1, y1, x2, y2 = annotation.box
    assert x1 + x2 > 800  # as COCO's x, y, width, height it would leave the image
    left, top, right, bottom = mask_bbox(mask)  # stray pixels reach further than the box, by up to ten
    assert left <= x1 < x2 <= right
    assert top <= y1 < y2 <= bottom


# ------------------------------------------------------------ what goes wrong


def edit_refs(root: Path, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    path = root / rrsisd.REFS
    refs = pickle.loads(path.read_bytes())
    changed = change(refs)
    path.write_bytes(pickle.dumps(refs if changed is None else changed))


def edit_instances(root: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = root / rrsisd.INSTANCES
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def blank(path: Path) -> None:
    Image.new("L", Image.open(path).size).save(path)


def shrink(path: Path) -> None:
    Image.open(path).resize((50, 40), Image.Resampling.NEAREST).save(path)


def cut(path: Path, share: float = 0.5) -> None:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


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
    "a name of 300 letters in refs": (
        "rrsisd",
        lambda r: edit_refs(r, lambda refs: refs[0].update(file_name="a" * 300)),
        r"refs\(unc\)\.p: 0.file_name is a+: String should have at most 200 characters",
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
    "two truncated images": (
        "rrsisd",
        lambda r: [cut(r / rrsisd.IMAGES / f"0000{number}.jpg") for number in (1, 3)],
        r"2 images of .*rrsisd cannot be read; fetch or build the dataset again:\n  .*/data/rrsisd/samples.parquet: "
        r"row 0 \(sample_id '1'\): image .*/00001.jpg .*\n  .*row 2 .*/00003.jpg .*fetch it again$",
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
    "refs of another kind": ("rrsisd", lambda r: edit_refs(r, lambda refs: {"a": 1}), r"refs\(unc\)\.p: all of it is"),
    "a ref without its split": (
        "rrsisd",
        lambda r: edit_refs(r, lambda refs: refs[2].pop("split") and None),
        r"refs\(unc\)\.p: 2.split is .*required",
    ),
    "an unknown split": (
        "rrsisd",
        lambda r: edit_refs(r, lambda refs: refs[0].update(split="valid")),
        r"0.split is valid: Input should be 'train', 'val' or 'test'",
    ),
    "a ref without sentences": (
        "rrsisd",
        lambda r: edit_refs(r, lambda refs: refs[0].update(sentences=[])),
        r"0.sentences is \[\]",
    ),
    "a file name that leaves the folder": (
        "rrsisd",
        lambda r: edit_refs(r, lambda refs: refs[0].update(file_name="../../../etc/passwd")),
        "0.file_name is ../../../etc/passwd",
    ),
    "an unknown annotation": (
        "rrsisd",
        lambda r: edit_refs(r, lambda refs: refs[0].update(ann_id=77)),
        "ref 1: rrsisd/instances.json has no annotation 77",
    ),
    "two categories": (
        "rrsisd",
        lambda r: edit_instances(r, lambda c: c["annotations"][0].update(categories_id=3)),
        r"ref 1: category_id is \d+, in rrsisd/instances.json 3",
    ),
    "two sentences of one id": (
        "rrsisd",
        lambda r: edit_refs(r, lambda refs: refs[1]["sentences"][0].update(sent_id=1)),
        "has the same sample_id",
    ),
    "not JSON": ("rrsisd", lambda r: cut(r / rrsisd.INSTANCES), "instances.json is not JSON"),
    "no annotations": (
        "rrsisd",
        lambda r: edit_instances(r, lambda c: c.pop("annotations")),
        "instances.json has no list 'annotations'",
    ),
    "a mask of another size than its image": (
        "rrsisd",
        lambda r: edit_instances(r, lambda c: c["images"][0].update(height=50)),
        r"annotation 1: its mask is 96x96 \(height x width\), its image 50x96",
    ),
    "a broken code": (
        "rrsisd",
        lambda r: edit_instances(r, lambda c: c["annotations"][1]["segmentation"][0].update(counts="0")),
        "annotation 2: its runs cover 0 of 9216 pixels",
    ),
    "a missing picture": (
        "rrsisd",
        lambda r: (r / rrsisd.IMAGES / "00001.jpg").unlink(),
        "JPEGImages/00001.jpg does not exist",
    ),
}


@pytest.mark.parametrize(("name", "spoil", "message"), BAD.values(), ids=BAD.keys())
def test_what_is_wrong_is_named_and_nothing_is_written(
    fakes: dict[str, Path], tmp_path: Path, name: str, spoil: Callable[[Path], object], message: str
) -> None:
    root = shutil.copytree(fakes[name], tmp_path / name)
    spoil(root)
    (tmp_path / "data").mkdir()
    with pytest.raises((SampleError, FileNotFoundError), match=message):
        build(name, root, tmp_path / "data")
    assert not list((tmp_path / "data").iterdir())


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
