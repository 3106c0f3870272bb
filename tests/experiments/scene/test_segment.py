from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from experiments.errors import InputError
from tests.scenes import UTM, Bright, Everything, band, ground, segment, write_scene

ROOT = Path(__file__).parents[3]
WINDOWS = 12  # of 64 pixels over 150 x 200


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write_scene(tmp_path / "scene.tif", ground(150, 200))


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_a_run_that_was_killed_goes_on_and_ends_with_the_same_bytes(scene: Path, tmp_path: Path) -> None:
    texts = ("bright", "dark")
    segment(scene, tmp_path / "undisturbed", Bright(3), texts, probability=True)
    for calls in (2, 6, 11):
        with pytest.raises(KeyboardInterrupt):
            segment(scene, tmp_path / "killed", Bright(3, calls), texts, probability=True)
        assert not (tmp_path / "killed").exists()
        (state,) = tmp_path.glob(".killed.*.unfinished")
        (row,) = state.glob("row_*.windows")
        row.write_bytes(row.read_bytes() + b"\x00\x10\x00\x00 killed while it wrote")
        model = Bright(3)
        segment(scene, tmp_path / "killed", model, texts, probability=True)
        assert model.calls == WINDOWS - calls
        assert contents(tmp_path / "killed") == contents(tmp_path / "undisturbed")
        assert not state.exists()
        shutil.rmtree(tmp_path / "killed")


def test_the_state_of_something_else_is_named_and_not_used(
    scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        segment(scene, tmp_path / "out", Bright(calls=6))
    write_scene(scene, 255 - ground(150, 200))
    model = Bright()
    segment(scene, tmp_path / "out", model)
    assert model.calls == WINDOWS
    assert "is not used, its scene being other" in " ".join(capsys.readouterr().out.split())
    np.testing.assert_array_equal(band(tmp_path / "out" / "mask.tif"), 255 - ground(150, 200).mean(axis=0) > 127)
    segment(scene, tmp_path / "out", model, ("dark",))
    assert "is not used, its scene, expressions being other" in " ".join(capsys.readouterr().out.split())


def test_where_there_is_no_data_nothing_is_predicted_and_the_mask_says_so(tmp_path: Path) -> None:
    values = ground(150, 200).astype(np.uint16) * 9 + 1
    values[:, 30:80, :90] = 0
    values[:, 80:, 120:] = 0  # whole windows
    (found,) = segment(write_scene(tmp_path / "scene.tif", values, nodata=0), tmp_path / "out", Everything())
    unknown = (values == 0).all(axis=0)
    np.testing.assert_array_equal(band(tmp_path / "out" / "mask.tif"), np.where(unknown, 255, 1))
    assert (found.pixels, found.known) == ((~unknown).sum(), (~unknown).sum())


def test_a_pixel_size_makes_windows_larger_on_the_ground(
    scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    segment(scene, tmp_path / "out", Bright(), window=64, pixel=1.0)
    assert "each of 128 x 128 pixels" in " ".join(capsys.readouterr().out.split())
    segment(scene, tmp_path / "out", Bright(), window=64, pixel=4.0)
    said = " ".join(capsys.readouterr().out.split())
    assert "1 window of 200 x 150 pixels" in said
    assert "smaller than such a window; the model sees 1.56 x 1.17 m a pixel" in said  # 200 and 150 of 0.5 m in 64
    write_scene(scene, ground(150, 200), crs=None)
    with pytest.raises(InputError, match="does not say how many metres"):
        segment(scene, tmp_path / "out", Bright(), pixel=1.0)


def test_layers_of_a_scene_on_no_map_have_no_areas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = write_scene(tmp_path / "scene.tif", ground(70, 90), crs=None, transform=None)
    (found,) = segment(scene, tmp_path / "out", Bright())
    assert np.isnan(found.area)
    assert not list((tmp_path / "out").glob("*.geojson"))
    assert "lies on no known map: no GeoJSON" in " ".join(capsys.readouterr().out.split())


def test_layers_that_an_earlier_call_left_are_named(
    scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    segment(scene, tmp_path / "out", Bright(), ("bright", "dark"), probability=True)
    (tmp_path / "out" / "mask_of_mine.tif").touch()
    assert "of an earlier one" not in capsys.readouterr().out
    segment(scene, tmp_path / "out", Bright(), ("dark", "bright"))
    said = " ".join(capsys.readouterr().out.split())
    assert f"note: probability_1.tif, probability_2.tif in {tmp_path / 'out'} are not of this call" in said
    for name, text in (("mask_1", "dark"), ("mask_2", "bright"), ("probability_1", "bright")):
        with rasterio.open(tmp_path / "out" / f"{name}.tif") as file:
            assert file.descriptions == (text,)


def test_a_scene_of_one_value_is_said_to_show_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    segment(write_scene(tmp_path / "flat.tif", np.full((3, 70, 90), 700, np.uint16)), tmp_path / "out", Bright())
    assert "nearly everywhere 700: there is nothing to see" in " ".join(capsys.readouterr().out.split())


def test_what_cannot_be_done_is_refused_before_anything_is_written(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.scene.segment.ROW_BYTES", 100_000)
    scene = scene.rename(tmp_path / "mask.tif")
    for text, out, settings in (
        ("is the scene", "", {}),
        ("a name in .gpkg", "layers.shp", {}),
        ("is a file", "mask.tif/x", {}),
        ("nothing can be written into /proc", "/proc/out", {}),
        ("an --overlap below it", "out", {"pixel": 0.001}),
        ("one row of windows takes", "out", {"window": 150}),
    ):
        with pytest.raises(InputError, match=re.escape(text)):
            segment(scene, tmp_path / out, Bright(), **settings)
    with pytest.raises(InputError, match="given twice"):
        segment(scene, tmp_path / "out", Bright(), ("bright", "bright"))
    assert list(tmp_path.iterdir()) == [scene]


def test_gdal_reads_what_is_written(scene: Path, tmp_path: Path) -> None:
    for tool in ("gdalinfo", "ogrinfo"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed: apt-get install gdal-bin")
    segment(scene, tmp_path / "harbour.gpkg", Bright(), ("bright", "dark"), probability=True)
    for name in ("harbour_mask_1.tif", "harbour_probability_2.tif"):
        told = subprocess.run(["gdalinfo", tmp_path / name], check=True, capture_output=True, text=True).stdout
        for said in ("LAYOUT=COG", "COMPRESSION=DEFLATE", 'ID["EPSG",32640]', "NoData Value=255", "Pixel Size = (0.5"):
            assert said in told
    for name in ("harbour.gpkg", "harbour.geojson"):
        command = ["ogrinfo", "-so", "-al", tmp_path / name]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        for said in ("polygons", "expression: String", "score: Real", "area_m2: Real", "pixels: Integer"):
            assert said in told


CHILD = """
import resource, sys
from pathlib import Path
from tests.scenes import Bright, segment
segment(Path(sys.argv[1]), Path(sys.argv[2]), Bright(2), ("bright", "dark"), window=256)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.parametrize("side", [30_000])
def test_a_large_scene_takes_less_than_three_gigabytes(tmp_path: Path, side: int) -> None:
    assert resident(tmp_path, side) < 3e9


def resident(folder: Path, side: int) -> int:
    """The most memory that a process had in use, in bytes, while it predicted a scene of side x side pixels in which
    a diagonal of tiles has data."""
    options = {"tiled": True, "blockxsize": 512, "blockysize": 512, "sparse_ok": True, "compress": "deflate"}
    with rasterio.open(folder / "scene.tif", "w", "GTiff", side, side, 3, dtype="uint8", **UTM, **options) as file:
        for place in range(0, side - 512, 2048):
            file.write(ground(512, 512, seed=place), window=Window(place, place, 512, 512))
    command = [sys.executable, "-c", CHILD, str(folder / "scene.tif"), str(folder / "out")]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return int(done.stdout.split()[-1]) * 1024
