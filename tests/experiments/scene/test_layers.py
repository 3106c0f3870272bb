from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import geopandas
import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.features import rasterize
from rasterio.transform import from_origin

from tests.scenes import DEGREES, UTM, Bright, band, ground, segment, write_scene

MERCATOR = {"crs": "EPSG:3857", "transform": from_origin(2_772_000, 8_437_000, 1, 1)}  # Helsinki: twice too long
TURNED = {**UTM, "transform": from_origin(325_000, 2_785_000, 0.5, 0.5) @ rasterio.Affine.rotation(20)}


def square_metres(place: dict[str, Any], height: int) -> float:
    """Of a pixel in the middle of a scene's lines, by the radii of the ellipsoid."""
    _, _, _, _, down, top = list(place["transform"])[:6]
    across = place["transform"].a
    if place["crs"] == "EPSG:32640":
        return 0.25
    equator, flat = 6_378_137.0, 1 / 298.257223563
    north = top + down * height / 2
    if place["crs"] == "EPSG:3857":
        latitude = 2 * np.arctan(np.exp(north / equator)) - np.pi / 2
        down, across = down * np.cos(latitude) / equator, across / equator
    else:
        latitude, down, across = np.radians(north), np.radians(down), np.radians(across)
    squared = flat * (2 - flat)
    curve = np.sqrt(1 - squared * np.sin(latitude) ** 2)
    along = equator * (1 - squared) / curve**3
    return float(along * abs(down) * equator / curve * np.cos(latitude) * across)


@pytest.mark.parametrize("place", [UTM, DEGREES, MERCATOR, TURNED], ids=["UTM", "degrees", "Mercator", "turned"])
def test_layers_lie_on_the_scene_and_polygons_cover_the_mask(tmp_path: Path, place: dict[str, Any]) -> None:
    values = ground(150, 200)
    values[:, 20:50, 20:60] = np.random.default_rng(0).choice([0, 255], (30, 40))  # rings that touch with a corner
    scene = write_scene(tmp_path / "scene.tif", values, **place)
    (found,) = segment(scene, tmp_path / "out", Bright(), probability=True)
    with rasterio.open(scene) as one, rasterio.open(tmp_path / "out/mask.tif") as other:
        assert other.crs == one.crs
        assert other.transform.almost_equals(one.transform)
        assert (other.shape, other.nodata) == (one.shape, 255)
        transform = one.transform
    mask = band(tmp_path / "out/mask.tif")
    np.testing.assert_array_equal(mask, values.mean(axis=0) > 127)

    table = geopandas.read_file(tmp_path / "out/polygons.gpkg")
    assert len(table) == found.polygons > 3
    assert table.is_valid.all()
    assert table.crs == place["crs"]
    np.testing.assert_array_equal(rasterize(table.geometry, mask.shape, transform=transform), mask)
    assert table["pixels"].sum() == mask.sum()
    wanted = table["pixels"] * square_metres(place, 150)
    np.testing.assert_allclose(table["area_m2"], wanted, rtol=0.005)

    with rasterio.open(tmp_path / "out/probability.tif") as file:
        probability = file.read(1) * file.scales[0]
    for row in table.itertuples():
        own = rasterize([row.geometry], mask.shape, transform=transform) > 0
        assert own.sum() == row.pixels
        assert row.score == pytest.approx(probability[own].mean(), abs=1e-4)

    geojson = json.loads((tmp_path / "out/polygons.geojson").read_text())
    (x, y), lonlat = geojson["features"][0]["geometry"]["coordinates"][0][0][0], table.to_crs("EPSG:4326").total_bounds
    assert lonlat[0] - 1e-6 <= x <= lonlat[2] + 1e-6
    assert lonlat[1] - 1e-6 <= y <= lonlat[3] + 1e-6
    assert geojson["features"][0]["properties"]["expression"] == "bright"


def test_the_picture_is_small_and_loses_no_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.scene.layers.PICTURE", 50)
    values = np.zeros((3, 150, 230), np.uint8)
    values[:, 101, 207] = 255
    segment(write_scene(tmp_path / "scene.tif", values), tmp_path / "out", Bright())
    picture = np.array(Image.open(tmp_path / "out/overlay.png"))
    assert picture.shape == (33, 50, 3)
    (row,), (column,) = np.nonzero(picture.any(axis=2))
    assert (row, column) == (101 * 33 // 150, 207 * 50 // 230)


def test_a_mask_without_a_pixel_gives_layers_without_polygons(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "scene.tif", np.zeros((3, 70, 90), np.uint8))
    (found,) = segment(scene, tmp_path / "out", Bright())
    assert (found.pixels, found.polygons, found.area) == (0, 0, 0)
    assert len(geopandas.read_file(tmp_path / "out/polygons.gpkg")) == 0
    assert json.loads((tmp_path / "out/polygons.geojson").read_text())["features"] == []


def test_styles_show_each_expression_whatever_its_signs(tmp_path: Path) -> None:
    """A category's value is the attribute's, or QGIS shows nothing of it."""
    texts = ('a "ship" & <b>', "dark \x1b[31m")
    segment(write_scene(tmp_path / "scene.tif", ground(70, 90)), tmp_path / "out", Bright(), texts)
    style = ElementTree.parse(tmp_path / "out/polygons.qml")
    categories = {one.get("value"): one.get("symbol") for one in style.iter("category")}
    assert set(categories) == set(geopandas.read_file(tmp_path / "out/polygons.gpkg")["expression"])
    assert len({one.get("v") for one in style.iter("prop") if one.get("k") == "color"}) == 2
    assert {one.get("name") for one in style.iter("symbol")} == set(categories.values())
    shown = [
        one for one in ElementTree.parse(tmp_path / "out/mask_2.qml").iter("paletteEntry") if one.get("alpha") != "0"
    ]
    assert [(one.get("value"), one.get("label")) for one in shown] == [("1", "dark \\x1b[31m")]
