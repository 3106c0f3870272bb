"""The reader on a fake in the published layout, the committed split, and what is declared against the real files."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmark.data.samples import Dataset, SampleError, decode_mask, load_dataset
from benchmark.datasets.instances import instance_mask, read_instances
from benchmark.datasets.vhr10 import FOLDER, IMAGES, INSTANCES, SPEC, VHR10Config, build, by_split, read_split
from tests.layouts import write_vhr10

REAL = Path(__file__).parents[4] / "shared" / "data" / "vhr10"
SHARES = {"train": 0.65, "val": 0.12, "test": 0.23}  # of the images that show a category


def config(root: Path, **changes: Any) -> VHR10Config:
    return VHR10Config.model_validate({"root": str(root), "allow_count_mismatch": True, **changes})


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fake") / "vhr10"
    write_vhr10(root, scenes=3, side=128)
    return root


@pytest.fixture(scope="module")
def built(fake: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("built") / "vhr10"
    build(folder, config(fake, around=(64, 96, 128)))
    return load_dataset(folder)


def test_windows_have_one_size_and_lie_in_the_split_of_their_image(built: Dataset) -> None:
    split = read_split()
    assert set(built.samples["height"]) == set(built.samples["width"]) == {256}
    assert set(built.samples["category"]) <= set(INSTANCES)
    for row in built.samples.to_dict("records"):
        assert split[row["image_id"].split("-")[0]][1] == row["split"]


def test_every_mask_is_of_whole_instances_scaled(built: Dataset, fake: Path) -> None:
    path = fake / FOLDER / "annotations.json"
    file = read_instances(path)
    areas: dict[str, list[int]] = {}
    for annotation in file.annotations.values():
        image = file.images[annotation.image_id]
        mask = instance_mask(annotation, image.height, image.width, path)
        areas.setdefault(image.file_name.removesuffix(".jpg"), []).append(int(mask.sum()))
    single = 0
    for row in built.samples.to_dict("records"):
        image, side = row["image_id"].split("-")[0], int(row["image_id"].split("-s")[1])
        area = decode_mask(row["mask"], 256, 256).sum() * (side / 256) ** 2
        single += any(abs(area - known) <= 0.1 * known + 4 for known in areas[image])
    assert single > 0.6 * len(built.samples)  # the others are of several


def edit(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def spoil(root: Path) -> None:
        path = root / FOLDER / "annotations.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return spoil


FAULTS: dict[str, tuple[Callable[[Path], object], dict[str, Any], str]] = {
    "nothing there": (shutil.rmtree, {}, r"annotations.json does not exist: .*torchgeo/vhr10: download 'NWPU VHR-10"),
    "no images": (
        lambda root: shutil.rmtree(root / FOLDER / "positive image set"),
        {},
        r"positive image set lacks 9 of 9 images, .*python -m experiments.fetch --dataset vhr10.*torchgeo/vhr10",
    ),
    "another image": (
        edit(lambda content: content["images"][0].update(file_name="651.jpg")),
        {},
        "lacks 1 of 9 images, 651.jpg",
    ),
    "an image of no split": (
        lambda root: (
            edit(lambda content: content["images"][0].update(file_name="651.jpg"))(root),
            shutil.copy(next(root.rglob("*.jpg")), root / FOLDER / "positive image set" / "651.jpg"),
        ),
        {},
        "image 651.jpg is in no split of vhr10_split.csv",
    ),
    "another number of instances": (
        lambda root: None,
        {"allow_count_mismatch": False},
        r"is not the file vhr10 is published with: .*9 images \(declared 650\).*--allow-count-mismatch",
    ),
}


def test_what_is_wrong_is_named_and_nothing_is_written(fake: Path, tmp_path: Path, subtests: pytest.Subtests) -> None:
    for number, (case, (spoil, changes, message)) in enumerate(FAULTS.items()):
        with subtests.test(case):
            root = shutil.copytree(fake, tmp_path / f"{number}" / "vhr10")
            spoil(root)
            data = tmp_path / f"{number}" / "data"
            data.mkdir()
            with pytest.raises((SampleError, FileNotFoundError), match=message):
                build(data / "vhr10", config(root, **changes))
            assert not list(data.iterdir())


def test_the_split_names_every_image_once_and_no_place_is_in_two(subtests: pytest.Subtests) -> None:
    split = read_split()
    assert list(split) == [f"{number:03d}" for number in range(1, IMAGES + 1)]
    places: dict[str, list[str]] = {}
    for image, (place, _) in split.items():
        places.setdefault(place, []).append(image)
    for place, images in places.items():
        assert place == images[0]
        assert len({split[image][1] for image in images}) == 1, images
    same = [("073", "286"), ("288", "297"), ("425", "426"), ("428", "429")]  # as bytes or by plain overlap
    same += [("299", "307"), ("256", "605"), ("170", "628")]  # turned by 180 degrees, scaled
    for a, b in same:
        with subtests.test(msg=f"{a} {b}"):
            assert split[a][0] == split[b][0]


def deal(places: Mapping[str, Counter[str]]) -> dict[str, str]:
    """Place -> split, by iterative stratification (Sechidis et al., 2011) without chance: of the category with fewest
    places left, the place with most images of it goes to the split that lacks most of them."""
    total = sum(places.values(), Counter[str]())
    lacking = {split: {name: share * n for name, n in total.items()} for split, share in SHARES.items()}
    left, dealt = dict(sorted(places.items())), {}
    while left:
        found = Counter(name for counts in left.values() for name in counts)
        rarest = min(found, key=lambda name: (found[name], name))
        place = max(left, key=lambda place: (left[place][rarest], -int(place)))
        dealt[place] = max(SHARES, key=lambda split: (lacking[split][rarest], sum(lacking[split].values())))
        for name, n in left.pop(place).items():
            lacking[dealt[place]][name] -= n
    return dealt


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real imagery is not at {REAL}")
def test_the_real_files_are_as_declared_and_their_split_follows_its_rule() -> None:
    path = REAL / FOLDER / "annotations.json"
    declared = SPEC.files[1]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == declared.sha256
    assert hashlib.md5(path.read_bytes()).hexdigest() == declared.md5
    file = read_instances(path)
    names = {category.id: category.name.replace("_", " ") for category in file.categories.values()}
    assert Counter(names[a.category_id] for a in file.annotations.values()) == INSTANCES
    assert len(list((REAL / FOLDER / "positive image set").glob("*.jpg"))) == len(file.images) == IMAGES

    split = read_split()
    shown: dict[str, set[str]] = {}
    for annotation in file.annotations.values():
        image = Path(file.images[annotation.image_id].file_name).stem
        shown.setdefault(image, set()).add(file.categories[annotation.category_id].name)
    places: dict[str, Counter[str]] = {}
    for image, (place, _) in split.items():
        places.setdefault(place, Counter()).update(shown[image])
    dealt = deal(places)
    assert {image: dealt[place] for image, (place, _) in split.items()} == {k: name for k, (_, name) in split.items()}

    parts = by_split(file, path)
    assert {image.file_name for part in parts.values() for image in part.images.values()} == {
        image.file_name for image in file.images.values() if image.file_name != "286.jpg"
    }
    kept = sum(len(part.annotations) for part in parts.values())
    assert kept == sum(file.images[a.image_id].file_name != "286.jpg" for a in file.annotations.values())
    for name, share in SHARES.items():
        assert abs(len(parts[name].images) / IMAGES - share) < 0.02
