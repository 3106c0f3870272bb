from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from benchmark.data.samples import load_dataset
from benchmark.datasets import DATASETS, synthetic
from benchmark.datasets.synthetic import SyntheticConfig, build, draw_scene
from benchmark.scenes.aerial.ground import PAVED, ROAD, WATER, Strip
from benchmark.scenes.aerial.layouts import LAYOUTS
from benchmark.scenes.aerial.objects import KINDS
from benchmark.scenes.sketch import Scene

TINY = SyntheticConfig(train=4, val=2, test=3, side=96)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [draw_scene(np.random.default_rng([21, index])) for index in range(80)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "synthetic"
    build(folder, TINY)
    return folder


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_same_seed_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    build(tmp_path / "again", TINY)
    assert _bytes(tmp_path / "again") == _bytes(built)


def test_another_seed_gives_other_images(built: Path, tmp_path: Path) -> None:
    build(tmp_path / "other", TINY.model_copy(update={"seed": 1}))
    assert not set(_bytes(tmp_path / "other").values()) & set(_bytes(built).values())


def test_a_scene_depends_on_seed_split_and_index_only(built: Path, tmp_path: Path) -> None:
    build(tmp_path / "larger", TINY.model_copy(update={"train": 6}))
    small, large = load_dataset(built).samples, load_dataset(tmp_path / "larger").samples
    kept = large[large.image_id.isin(small.image_id)].reset_index(drop=True)
    assert kept.equals(small.reset_index(drop=True))
    images = {name: data for name, data in _bytes(built).items() if name.startswith("images/")}
    assert images.items() <= _bytes(tmp_path / "larger").items()


def test_no_scene_is_in_two_splits(built: Path) -> None:
    samples = load_dataset(built).samples
    assert samples.groupby("image_id").split.nunique().max() == 1
    images = [data for name, data in _bytes(built).items() if name.startswith("images/")]
    assert len(set(images)) == len(images) == 9


def test_scenes_have_three_to_twelve_objects_with_disjoint_masks(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert scene.image.shape == (256, 256, 3)
        assert scene.image.dtype == np.uint8
        assert 3 <= len(scene.regions) <= 12
        stack = np.stack([region.mask for region in scene.regions])
        assert stack.any(axis=(1, 2)).all()
        assert stack.sum(axis=0).max() == 1


def test_every_object_drawn_whole_is_a_target(scenes: list[Scene]) -> None:
    assert all(region.target for scene in scenes for region in scene.regions)


def test_all_eighteen_categories_appear(scenes: list[Scene]) -> None:
    assert len(KINDS) == 18
    seen = {region.category for scene in scenes for region in scene.regions}
    highway, _ = LAYOUTS["highway"]  # the one place with toll stations, which need a plaza and are rare
    for seed in range(60):
        seen |= {region.category for region in highway(np.random.default_rng(seed), 256).finish().regions}
    assert seen == set(KINDS)


def test_sizes_span_from_a_few_pixels_across_to_over_a_third_of_the_side(scenes: list[Scene]) -> None:
    regions = [region for scene in scenes for region in scene.regions]
    areas = np.array([region.area for region in regions])
    longest = max(max(r.bbox[2] - r.bbox[0], r.bbox[3] - r.bbox[1]) for r in regions)
    shortest = min(min(r.bbox[2] - r.bbox[0], r.bbox[3] - r.bbox[1]) for r in regions)
    assert shortest < 10
    assert (areas < 120).mean() < 0.2
    assert longest > 256 / 3


def test_colours_are_named_where_the_category_has_them(scenes: list[Scene]) -> None:
    for scene in scenes:
        for region in scene.regions:
            assert (
                (region.colour in KINDS[region.category].colours)
                if region.colour
                else not KINDS[region.category].colours
            )


def test_ships_float_and_vehicles_keep_to_roads_and_pavement() -> None:
    seen: set[str] = set()
    for index, (name, (layout, _)) in enumerate(LAYOUTS.items()):
        site = layout(np.random.default_rng([31, index]), 256)
        for region in site.sketch.regions():
            seen.add(region.category)
            zones = site.ground.zones[region.mask]
            if region.category == "ship":
                assert (zones == WATER).all(), name
            if region.category == "vehicle":
                assert np.isin(zones, (ROAD, PAVED)).mean() > 0.9, name
    assert {"ship", "vehicle"} <= seen


def test_no_road_crosses_the_water_without_a_bridge() -> None:
    for index in range(12):
        site = LAYOUTS["river"][0](np.random.default_rng([32, index]), 256)
        bridges = sum(region.category == "bridge" for region in site.sketch.regions())
        assert len(site.ground.roads) == bridges, index


def test_smaller_scenes_are_the_same_places_seen_smaller() -> None:
    for side in (64, 128):
        scene = draw_scene(np.random.default_rng(3), side)
        assert scene.image.shape == (side, side, 3)
        assert sum(region.target for region in scene.regions) >= 3, side


def test_every_image_gets_about_four_samples() -> None:
    config = SyntheticConfig()
    assert config.test * config.per_image >= 500


def test_samples_hold_no_more_than_asked_per_image(built: Path) -> None:
    samples = load_dataset(built).samples
    assert samples.groupby("image_id").size().max() <= TINY.per_image
    assert set(samples.category) <= set(KINDS)


def test_the_dataset_is_listed_under_its_name() -> None:
    assert DATASETS["synthetic"] == (SyntheticConfig, synthetic.build, synthetic.SPEC, None)


def test_unknown_keys_and_impossible_values_are_refused() -> None:
    for name, value in (("scenes", 3), ("train", 0), ("side", 8)):
        with pytest.raises(ValidationError, match=name):
            SyntheticConfig.model_validate({name: value})


def test_strips_meet_where_both_pass() -> None:
    one, other = Strip(10, 20, 0.3, 5), Strip(40, -10, 1.7, 5)
    assert one.at(one.meets(other)) == pytest.approx(other.at(other.meets(one)))
