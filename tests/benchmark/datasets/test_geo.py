"""Scenes on a map and polygons, drawn here: masks, splits, and what goes wrong."""

from __future__ import annotations

import logging
import re
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from affine import Affine
from pydantic import ValidationError

from benchmark.data.rle import decode_mask
from benchmark.data.samples import Dataset, SampleError, load_dataset
from benchmark.datasets.assemble import ORIGINS
from benchmark.datasets.geo import GeoConfig, build

geopandas = pytest.importorskip("geopandas", reason="needs the extras [geo]")
rasterio = pytest.importorskip("rasterio", reason="needs the extras [geo]")
shapely = pytest.importorskip("shapely", reason="needs the extras [geo]")
from rasterio.features import rasterize  # noqa: E402
from rasterio.transform import from_origin  # noqa: E402

from benchmark.data.images import read_picture  # noqa: E402
from tests.scenes import ground, write_scene  # noqa: E402

ROOT = Path(__file__).parents[3]
UTM, WEST, NORTH, PIXEL = "EPSG:32632", 128.0 * 3907, 128.0 * 41406, 2.0  # where blocks of 128 m begin
SIDE, PATCH = 256, 64
ABOUT: dict[str, Any] = {"licence": "own", "citation": "me", "category": "what", "per_image": None, "max_area": 0.9}
BLOCKS: dict[str, Any] = {"by": "block", "block": 128, "shares": [0.4, 0.3, 0.3]}


def lay(path: Path, east: int = 0, values: Any = None, pixel: float = PIXEL, **options: Any) -> Path:
    """A scene whose left edge is `east` metres east of WEST."""
    path.parent.mkdir(parents=True, exist_ok=True)
    there = from_origin(WEST + east, NORTH, pixel, pixel)
    return write_scene(path, ground(SIDE, SIDE) if values is None else values, crs=UTM, transform=there, **options)


def objects(count: int = 40, width: float = SIDE * PIXEL, seed: int = 0, east: float = 0) -> Any:
    """Polygons of two categories, crooked and anywhere on the ground of a scene, in UTM."""
    rng = np.random.default_rng(seed)
    middles = rng.uniform([0, 0], [width, SIDE * PIXEL], (count, 2))
    turns = [np.sort(rng.uniform(0, 2 * np.pi, 7)) for _ in range(count)]
    shapes = [
        shapely.Polygon(
            [(WEST + east + x + reach * np.cos(turn), NORTH - y + reach * np.sin(turn)) for turn in corners]
        )
        for (x, y), corners, reach in zip(middles.tolist(), turns, rng.uniform(12, 40, count).tolist(), strict=True)
    ]
    return geopandas.GeoDataFrame({"what": ["Storage_Tank", "ship"] * (count // 2)}, geometry=shapes, crs=UTM)


def settings(root: Path, **changes: Any) -> GeoConfig:
    said = {"root": str(root), "patch": PATCH, "polygons": "*.gpkg", "split": BLOCKS, "min_area": 0.005, **ABOUT}
    return GeoConfig.model_validate({**said, **changes})


def made(root: Path, folder: Path, **changes: Any) -> tuple[Dataset, pd.DataFrame]:
    """A dataset, and the origins of its images by image."""
    build(folder, settings(root, **changes))
    return load_dataset(folder), pd.read_csv(folder / ORIGINS).set_index("image")


def test_masks_are_the_polygons_in_whatever_coordinates_they_are_given(
    tmp_path: Path, subtests: pytest.Subtests
) -> None:
    path, drawn = lay(tmp_path / "scene.tif"), objects()
    with rasterio.open(path) as file:
        judged = [
            rasterize([shape], (SIDE, SIDE), transform=file.transform, dtype="uint8") > 0 for shape in drawn.geometry
        ]
        pixels = file.read().transpose(1, 2, 0)
    names = [name.lower().replace("_", " ") for name in drawn["what"]]
    for crs in (UTM, "EPSG:4326"):
        with subtests.test(crs):
            drawn.to_crs(crs).to_file(tmp_path / "objects.gpkg")
            dataset, origins = made(tmp_path, tmp_path / crs[-5:].strip(":"))
            assert set(dataset.samples["image"]) == set(origins.index)
            for row in dataset.samples.to_dict("records"):
                origin = origins.loc[row["image"]]
                there = slice(origin.row, origin.row + PATCH), slice(origin.column, origin.column + PATCH)
                mask = decode_mask(row["mask"], PATCH, PATCH)
                off = [
                    np.count_nonzero(mask != whole[there])
                    for whole, name in zip(judged, names, strict=True)
                    if name == row["category"]
                ]
                assert min(off) <= (0 if crs == UTM else 2)  # there and back a corner moves by micrometres
                np.testing.assert_array_equal(dataset.pixels(row["image"]), pixels[there])
            assert set(dataset.samples["category"]) == {"storage tank", "ship"}
            for origin in origins.itertuples():
                placed = Affine(*map(float, origin.transform.split()))
                assert placed @ (0, 0) == (WEST + PIXEL * origin.column, NORTH - PIXEL * origin.row)
                assert (origin.scene, origin.side, origin.crs) == ("scene.tif", PATCH, UTM)
    assert dataset.samples["split"].nunique() == 3


def shown(dataset: Dataset, origins: pd.DataFrame) -> dict[str, list[Any]]:
    """The ground that the images of each split show, in UTM."""
    split = dict(zip(dataset.samples["image"], dataset.samples["split"], strict=True))
    found: dict[str, list[Any]] = {}
    for image, origin in origins.iterrows():
        height, width = dataset.pixels(str(image)).shape[:2]
        there = Affine(*map(float, origin["transform"].split()))
        corners = [there @ corner for corner in ((0, 0), (width, 0), (width, height), (0, height))]
        outline = geopandas.GeoSeries([shapely.Polygon(corners)], crs=origin.crs).to_crs(UTM)[0]
        found.setdefault(split[str(image)], []).append(outline)
    return found


def shared(ground: dict[str, list[Any]]) -> float:
    """Square metres that two splits show."""
    whole = {split: shapely.union_all(parts) for split, parts in ground.items()}
    return sum(whole[a].intersection(whole[b]).area for a in whole for b in whole if a < b)


@pytest.mark.parametrize("seed", [0, 1])
def test_no_ground_is_in_two_splits_though_scenes_overlap(
    tmp_path: Path, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    lay(tmp_path / "a.tif")
    lay(tmp_path / "b.tif", east=350, pixel=1.5)
    degrees = from_origin(9.0106, 47.853, 2e-5, 1.4e-5)
    write_scene(tmp_path / "c.tif", ground(SIDE, SIDE), crs="EPSG:4326", transform=degrees)
    objects(90, width=1000, seed=seed).to_file(tmp_path / "objects.gpkg")
    with caplog.at_level(logging.WARNING, "benchmark.datasets"):
        blocks = shown(
            *made(tmp_path, tmp_path / "blocks", seed=seed, resize=32, overlap=16, split={**BLOCKS, "block": 200})
        )
    assert len(blocks) == 3
    assert shared(blocks) < 1e-3
    assert re.search(r"blocks: \d+ of \d+ patches with polygons are left out: they reach over a border", caplog.text)
    by_scene = {"by": "scene", "train": "a.tif", "val": "b.tif", "test": ["c.*"]}
    scenes = shown(*made(tmp_path, tmp_path / "scenes", split=by_scene))
    assert len(scenes) == 3
    assert shared(scenes) < 1e-3


def test_patches_are_pixels_of_the_scene_by_the_rules_of_images(tmp_path: Path, subtests: pytest.Subtests) -> None:
    deep = ground(SIDE, SIDE, 4).astype(np.uint16) * 40 + 300
    deep[:, :, :80] = 0
    kinds: dict[str, tuple[Sequence[int], dict[str, Any]]] = {
        "8 bits": ([1, 2, 3], {"values": ground(SIDE, SIDE)}),
        "16 bits, no data, other bands": ([4, 3, 2], {"values": deep, "nodata": 0}),
    }
    for name, (bands, options) in kinds.items():
        with subtests.test(name):
            root = tmp_path / name
            lay(root / "scene.tif", **options)
            lay(root / "judge" / "shown.tif", **{**options, "values": options["values"][[band - 1 for band in bands]]})
            drawn = objects()
            drawn.to_file(root / "objects.gpkg")
            dataset, origins = made(root, tmp_path / "data" / name, bands=bands, absent=1)
            judge = read_picture(root / "judge" / "shown.tif")
            for image, origin in origins.iterrows():
                there = slice(origin.row, origin.row + PATCH), slice(origin.column, origin.column + PATCH)
                np.testing.assert_array_equal(dataset.pixels(str(image)), judge.pixels[there])
            if judge.known is not None:
                for row in dataset.samples.to_dict("records"):
                    origin = origins.loc[row["image"]]
                    there = slice(origin.row, origin.row + PATCH), slice(origin.column, origin.column + PATCH)
                    assert not (decode_mask(row["mask"], PATCH, PATCH) & ~judge.known[there]).any()
                assert origins["column"].min() == PATCH  # nothing but no data before


def test_a_larger_patch_is_scaled_down_and_its_place_with_it(tmp_path: Path) -> None:
    lay(tmp_path / "scene.tif")
    objects().to_file(tmp_path / "objects.gpkg")
    dataset, origins = made(tmp_path, tmp_path / "data", resize=32, whole=True)
    assert set(dataset.samples["height"]) == set(dataset.samples["width"]) == {32}
    for row in dataset.samples.to_dict("records"):
        x1, y1, x2, y2 = row["bbox_xyxy"]
        assert min(x1, y1) >= 0 and max(x2, y2) <= 32  # noqa: PT018
    for origin in origins.itertuples():
        placed = Affine(*map(float, origin.transform.split()))
        assert placed @ (32, 32) == (WEST + PIXEL * (origin.column + PATCH), NORTH - PIXEL * (origin.row + PATCH))
    loose, _ = made(tmp_path, tmp_path / "loose", resize=32)
    assert len(dataset.samples) < len(loose.samples)


def test_the_example_of_the_documentation_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")
    example = text.split("<!-- geo:begin")[1].split("-->", 1)[1].split("<!-- geo:end")[0]
    said = yaml.safe_load(textwrap.dedent(example))["datasets"]["port"]
    assert said.pop("kind") == "geo"
    monkeypatch.chdir(tmp_path)
    root = Path(said["root"])
    (root / "scenes").mkdir(parents=True)
    there = from_origin(500_000, 5_300_000, 1, 1)
    write_scene(root / "scenes" / "a.tif", np.full((4, 2000, 2000), 90, np.uint8), crs=UTM, transform=there)
    corners = [(x, y) for x in (500_100, 501_600) for y in (5_299_800, 5_298_300)]
    boxes = [shapely.box(x + k, y, x + k + 90, y + 60) for x, y in corners for k in (0, 150)]
    drawn = geopandas.GeoDataFrame({"kind": ["ship", "tank"] * 4}, geometry=boxes, crs=UTM)
    drawn.to_file(root / "objects.gpkg", layer="objects")
    build(Path("data"), GeoConfig.model_validate(said))
    dataset = load_dataset(Path("data"))
    assert dataset.samples["image"].nunique() == 4
    assert set(dataset.samples["height"]) == {said["resize"]}


def test_what_is_repaired_or_left_out_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lay(tmp_path / "scene.tif")
    lay(tmp_path / "bare.tif", east=100_000)
    drawn = objects()
    x, y = WEST + 60, NORTH - 60
    bow = shapely.Polygon([(x, y), (x + 50, y + 50), (x + 50, y), (x, y + 50)])  # crosses itself
    far = shapely.transform(drawn.geometry[:2].to_numpy(), lambda points: points + 50_000)
    nowhere = shapely.Polygon([(x, y), (x, y + 50), (np.nan, y + 50), (x, np.nan)])
    more = [bow, shapely.Point(x, y), None, nowhere, *far]
    extra = geopandas.GeoDataFrame({"what": ["ship"] * len(more)}, geometry=more, crs=UTM)
    geopandas.GeoDataFrame(pd.concat([drawn, extra]), crs=UTM).to_file(tmp_path / "objects.gpkg")
    with caplog.at_level(logging.INFO, "benchmark.datasets"):
        made(tmp_path, tmp_path / "data")
    for said in (
        "objects.gpkg: 1 polygons were invalid and are repaired",
        "objects.gpkg: 3 of 46 features are no polygons and are left out",
        "data: 2 of 43 polygons lie in no patch of any scene and are left out",
        "data: 1 of 2 scenes have no polygon and are left out",
    ):
        assert said in caplog.text


def test_what_is_drawn_twice_is_read_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lay(tmp_path / "scene.tif")
    drawn = objects()
    drawn.to_file(tmp_path / "objects.gpkg")
    once, _ = made(tmp_path, tmp_path / "a" / "data")
    other = drawn[:1].assign(what="boat")  # another name of the same place is another object
    turned = drawn.set_geometry(drawn.geometry.reverse())
    geopandas.GeoDataFrame(pd.concat([drawn, turned, other]), crs=UTM).to_file(tmp_path / "objects.gpkg")
    drawn[:10].to_file(tmp_path / "objects_again.gpkg")
    with caplog.at_level(logging.WARNING, "benchmark.datasets"):
        twice, _ = made(tmp_path, tmp_path / "b" / "data")
    assert (
        "50 of 91 polygons have the same pixels as an earlier one of the same category (objects.gpkg 41 as "
        "objects.gpkg 1, "
    ) in caplog.text
    of = [
        {(row["image"], row["mask"]) for row in one.samples.to_dict("records") if row["category"] == "ship"}
        for one in (once, twice)
    ]
    assert of[0] == of[1]
    assert of[0]


def test_what_is_drawn_twice_a_hair_apart_is_read_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lay(tmp_path / "scene.tif")
    drawn = objects()
    drawn.to_file(tmp_path / "objects.gpkg")
    once, _ = made(tmp_path, tmp_path / "a" / "data")
    moved = drawn.set_geometry(drawn.geometry.translate(1e-7, -1e-7))
    other = moved[:1].assign(what="boat")  # another name of the same place is another object
    pd.concat([moved, other]).to_file(tmp_path / "objects_again.gpkg")
    with caplog.at_level(logging.WARNING, "benchmark.datasets"):
        twice, _ = made(tmp_path, tmp_path / "b" / "data")
    assert (
        "40 of 81 polygons have the same pixels as an earlier one of the same category (objects_again.gpkg 1 as "
        "objects.gpkg 1, " in caplog.text
    )
    of = [
        {(row["image"], row["mask"]) for row in one.samples.to_dict("records") if row["category"] == "ship"}
        for one in (once, twice)
    ]
    assert of[0] == of[1]
    assert of[0]
    caplog.clear()
    drawn.set_geometry(drawn.geometry.translate(PIXEL, 0))[:9].to_file(tmp_path / "objects_again.gpkg")
    made(tmp_path, tmp_path / "c" / "data")
    assert "have the same pixels" not in caplog.text
    assert "4 of 49 polygons have nearly the pixels of another of the same category" in caplog.text


def test_polygons_where_a_scene_has_no_data_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    values = ground(SIDE, SIDE).clip(1)
    values[:, :100, :100] = 0
    lay(tmp_path / "scene.tif", values=values, nodata=0)
    drawn = objects()
    hidden = [shapely.box(WEST + x, NORTH - 60, WEST + x + 30, NORTH - 20) for x in (20, 140)]
    extra = geopandas.GeoDataFrame({"what": ["ship"] * 2}, geometry=hidden, crs=UTM)
    geopandas.GeoDataFrame(pd.concat([drawn[drawn.geometry.centroid.y < NORTH - 260], extra]), crs=UTM).to_file(
        tmp_path / "objects.gpkg"
    )
    with caplog.at_level(logging.WARNING, "benchmark.datasets"):
        made(tmp_path, tmp_path / "data")
    assert "data: 2 polygons lie where their scenes have no data, and are left out" in caplog.text


def renamed(root: Path, **columns: Any) -> None:
    objects().assign(**columns).to_file(root / "objects.gpkg")


def without_crs(root: Path) -> None:
    objects().to_file(root / "objects.shp")
    (root / "objects.prj").unlink()


def several(root: Path) -> None:
    for layer in ("tanks", "ships"):
        objects().to_file(root / "objects.gpkg", layer=layer)


def half(root: Path) -> None:
    objects().to_file(root / "objects.gpkg")
    (root / "objects.gpkg").write_bytes((root / "objects.gpkg").read_bytes()[:2000])


FAULTS: dict[str, tuple[Callable[[Path], object], dict[str, Any], str]] = {
    "no reference system": (without_crs, {"polygons": "*.shp"}, r"objects\.shp does not say .* ogr2ogr -a_srs EPSG"),
    "no such column": (
        renamed,
        {"category": "kind"},
        r"objects\.gpkg: no column 'kind', .*category to one of: what",
    ),
    "numbers": (
        lambda root: renamed(root, what=1),
        {},
        r"objects\.gpkg: column 'what' has values of type int\d+, and sentences need words; .* one of: none",
    ),
    "no words": (lambda root: renamed(root, what=None), {}, r"objects\.gpkg: 40 of 40 polygons have no word in"),
    "an empty layer": (
        lambda root: objects()[:0].to_file(root / "objects.gpkg"),
        {},
        r"objects\.gpkg: no polygon; draw some",
    ),
    "several layers": (
        several,
        {},
        r"objects\.gpkg has several layers; set datasets\.data\.layer to one of: tanks, ships",
    ),
    "no such layer": (several, {"layer": "cars"}, r"has no layer 'cars'; set .* tanks, ships"),
    "half a file": (half, {}, r"objects\.gpkg cannot be read as polygons"),
    "elsewhere": (
        lambda root: objects(east=90_000).to_file(root / "objects.gpkg"),
        {},
        r"none of the 40 polygons lies in",
    ),
    "no file": (lambda root: None, {}, r"\*\.gpkg is no file"),
    "blocks below patches": (renamed, {"split": {"by": "block", "block": 100}}, r"block of 100 m is smaller .* 128 m"),
    "blocks too large": (renamed, {"split": {"by": "block", "block": 1e7}}, r"lie in \d blocks of 1e\+07 m, fewer"),
    "a scene in two splits": (
        renamed,
        {"split": {"by": "scene", "train": "scene.tif", "val": "*.tif", "test": "*.tif"}},
        r"scene\.tif is in train and in val; leave it in one",
    ),
    "a band that is not there": (renamed, {"bands": [4, 3, 2]}, r"bands 4,3,2: scene .*scene\.tif has bands 1 to 3"),
    "a scene smaller than a patch": (
        renamed,
        {"patch": 512},
        r"scene\.tif is 256x256, smaller than a patch of 512; .* or leave it out",
    ),
    "on no map": (
        lambda root: (renamed(root), write_scene(root / "lost.tif", ground(99, 99), crs=None, transform=None)),
        {},
        r"lost\.tif does not say where on the map it is",
    ),
}


def test_faults_are_named_and_nothing_is_written(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for number, (case, (spoil, changes, message)) in enumerate(FAULTS.items()):
        with subtests.test(case):
            root = tmp_path / f"{number}"
            lay(root / "scene.tif")
            spoil(root)
            with pytest.raises((SampleError, FileNotFoundError), match=message):
                build(tmp_path / "data", settings(root, **changes))
            assert not (tmp_path / "data").exists()


def test_settings_that_cannot_be_are_refused(subtests: pytest.Subtests) -> None:
    for message, changes in {
        "by: scene takes train, val and test": {"split": {"by": "scene", "train": ["a"], "val": ["b"]}},
        "by: block takes block": {"split": {"by": "block"}},
        "above 0 and 1 together": {"split": {**BLOCKS, "shares": [0.7, 0.1, 0.1]}},
        "is no path or pattern from the root on": {"polygons": ["../x.gpkg"]},
        "to be three, red, green and blue, or one": {"bands": [1, 2]},
    }.items():
        with subtests.test(message), pytest.raises(ValidationError, match=message):
            settings(Path("raw"), **changes)
