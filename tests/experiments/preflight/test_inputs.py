from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmark.datasets.spec import Hub
from experiments.config import load_params
from experiments.preflight.inputs import Needed, find_inputs
from models.weights.files import foundation_files

ROOT = Path(__file__).parents[3]
REAL = (ROOT / "params.yaml").read_text(encoding="utf-8")
OWN = {"licence": "own", "citation": "me"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that has mini's weights, in a folder of its own."""
    folder = tmp_path / "project"
    (folder / "weights" / "mini").mkdir(parents=True)
    for file in foundation_files(folder / "weights" / "mini").values():
        file.write_text("weights")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    for words in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "--message", "start")):
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *words], check=True)
    return folder


def found(
    datasets: dict[str, dict[str, Any]] | None = None, model: str = "mini", source: dict[str, Any] | None = None
) -> Needed:
    params = yaml.safe_load(REAL)
    params["run"] |= {"datasets": list(datasets or ["synthetic"]), "models": [model]}
    params["datasets"] |= datasets or {}
    if source is not None:
        params["foundation"][model]["source"] = source
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    return find_inputs(load_params())


def test_what_is_drawn_or_there_needs_nothing(project: Path) -> None:
    assert found() == Needed()


def test_data_that_only_a_person_can_lay_there_is_a_fault_with_the_steps(project: Path) -> None:
    own = {"kind": "coco", "root": "raw/mine", **OWN}
    needed = found({"dubai": {"root": "raw/dubai"}, "risbench": {"root": "raw/risbench"}, "mine": own})
    dubai, risbench, mine = needed.faults
    assert dubai.startswith("params.yaml: datasets.dubai.root = 'raw/dubai': ")
    assert "raw/dubai is not there" in dubai
    assert "Semantic segmentation of aerial imagery" in dubai
    assert "lacks RISBench.zip, got by hand only" in risbench
    assert "raw/mine is not there; lay the files there, or write where they are" in mine
    Path("raw/mine").mkdir(parents=True)
    assert "raw/mine is empty" in found({"mine": {"kind": "coco", "root": "raw/mine", **OWN}}).faults[0]


def test_data_laid_by_hand_outside_git_is_noted_for_dvc_s_copies(project: Path) -> None:
    for root in ("raw/mine", "../shared"):
        Path(root).mkdir(parents=True)
        for split in ("train", "val", "test"):
            Path(root, "annotations").mkdir(exist_ok=True)
            Path(root, "annotations", f"instances_{split}.json").touch()
        needed = found({"mine": {"kind": "coco", "root": root, **OWN}})
        assert needed.faults == []
        lacking = found({"mine": {"kind": "coco", "root": root, "annotations": "{split}.json", **OWN}})
        assert [fault.partition(" does")[0] for fault in lacking.faults] == [
            f"params.yaml: datasets.mine.annotations: {root}/{split}.json" for split in ("train", "val", "test")
        ]
        (note,) = needed.notes
        assert "`dvc exp run --temp` and `--queue`" in note
        assert f"-S 'datasets.mine.root={Path(root).resolve()}'" in note
        assert found({"mine": {"kind": "coco", "root": str(Path(root).resolve()), **OWN}}) == Needed()
    subprocess.run(["git", "add", "raw"], check=True)
    assert found({"mine": {"kind": "coco", "root": "raw/mine", **OWN}}) == Needed()


def test_data_that_can_be_downloaded_is_a_note_unless_the_network_is_forbidden(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = found({"refsegrs": {"root": "raw/refsegrs"}})
    assert needed.faults == []
    assert [spec.name for spec in needed.datasets] == ["refsegrs"]
    assert "refsegrs: RefSegRS.zip will be downloaded into raw/refsegrs" in needed.notes[0]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(project / "hub's"))
    assert "HF_HUB_OFFLINE forbids to download" in found({"refsegrs": {"root": "raw/refsegrs"}}).faults[0]
    assert "facebook/sam-vit-base is not in the hub's cache" in found(model="rsrefseg-b").faults[1]
    spec = needed.datasets[0]
    repository = next(file.origin.repository for file in spec.files if isinstance(file.origin, Hub))
    (project / "hub's" / "hub" / f"datasets--{repository.replace('/', '--')}").mkdir(parents=True)
    assert found({"refsegrs": {"root": "raw/refsegrs"}}).faults == []


def test_weights_that_git_has_and_that_are_gone_are_a_fault(project: Path) -> None:
    Path("weights/mini/sam.safetensors").unlink()
    assert found().faults == ["weights/mini/sam.safetensors: in git, but not here; git checkout weights/mini"]


def test_a_damaged_report_of_weights_is_a_fault(project: Path) -> None:
    Path("weights/mini/foundation.json").write_text('{"sha256": {"clip"')
    assert "foundation.json: not a whole report" in found().faults[0]


def test_weights_of_another_model_are_looked_for_with_it(project: Path) -> None:
    assert found(model="rsrefseg2-mini") == Needed()
    (fault,) = found(model="rmsin").faults
    for words in (
        "params.yaml: foundation.rmsin.like = 'lavt': ",
        "weights/lavt/swin.safetensors",
        "not there; python -m experiments.foundation --model lavt",
    ):
        assert words in fault
    Path("weights/mini/sam.safetensors").unlink()
    (fault,) = found(model="rsrefseg2-mini").faults
    assert "in git, but not here; git checkout weights/mini" in fault


def test_a_source_without_a_commit_is_a_fault_where_nobody_may_be_asked(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = found(model="lavt")
    assert (needed.faults, needed.models) == ([], ["lavt"])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    swin = found(model="lavt").faults[0]
    assert swin == (
        "params.yaml: foundation.lavt.source.swin: HF_HUB_OFFLINE forbids to ask for its commit: write its revision"
    )


def test_published_weights_are_downloaded_or_must_lie_where_they_are_said_to(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = found(model="rsrefseg-b")
    assert (needed.faults, needed.models) == ([], ["rsrefseg-b"])
    assert "will be downloaded (google/siglip-so400m-patch14-384, facebook/sam-vit-base)" in needed.notes[0]
    source = {"clip": {"folder": "siglip"}, "sam": {"official": "$WEIGHTS/sam.pth"}}
    clip, sam = found(model="rsrefseg-b", source=source).faults
    assert clip.startswith("params.yaml: foundation.rsrefseg-b.source.clip = 'siglip': no such folder")
    assert "variables are not expanded" in sam
    monkeypatch.setenv("HOME", str(project))
    Path("siglip").mkdir()
    Path("sam.pth").touch()
    source = {"clip": {"folder": "~/siglip"}, "sam": {"official": "~/sam.pth"}}
    assert found(model="rsrefseg-b", source=source) == Needed()


def test_scenes_and_polygons_that_are_not_there_are_named(project: Path) -> None:
    (project / "raw" / "port").mkdir(parents=True)
    (project / "raw" / "port" / "notes.txt").write_text("soon")
    split = {"by": "block", "block": 500}
    own = {"kind": "geo", "root": "raw/port", "polygons": "objects.gpkg", "category": "kind", "split": split, **OWN}
    scenes, polygons = found({"port": own}).faults
    assert scenes.startswith("params.yaml: datasets.port.scenes: raw/port has no files *.tif, *.tiff")
    assert (
        polygons
        == "params.yaml: datasets.port.polygons: raw/port/objects.gpkg is no file; correct the name or the pattern"
    )


def test_polygons_without_a_column_of_words_are_named(project: Path) -> None:
    geopandas = pytest.importorskip("geopandas", reason="needs the extras [geo]")
    root = project / "raw" / "port"
    root.mkdir(parents=True)
    (root / "scene.tif").touch()
    places = geopandas.points_from_xy([1], [1]).buffer(1)
    own = {"kind": "geo", "root": "raw/port", "split": {"by": "block", "block": 500}, "polygons": "*.gpkg", **OWN}
    for name in ("a", "b"):
        frame = geopandas.GeoDataFrame({"kind": ["ship"], "code": [7]}, geometry=places, crs=32632)
        frame.to_file(root / f"{name}.gpkg")
    start, end = "params.yaml: datasets.port.polygons: raw/port/", "set datasets.port.category to one of: kind"
    for column, fault in (("sort", "no column 'sort'"), ("code", "column 'code' has values of type int64")):
        first, second = found({"port": {**own, "category": column}}).faults
        assert first == f"{start}a.gpkg: {fault}, and sentences need words; {end}"
        assert second == f"{start}b.gpkg: {fault}, and sentences need words; {end}"
    assert not found({"port": {**own, "category": "kind"}}).faults
    (root / "b.gpkg").write_bytes(b"half")
    (fault,) = found({"port": {**own, "category": "kind"}}).faults
    assert fault.startswith(f"{start}b.gpkg cannot be read as polygons")


def test_polygons_that_take_long_to_look_into_are_left_to_fetch(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    geopandas = pytest.importorskip("geopandas", reason="needs the extras [geo]")
    root = project / "raw" / "port"
    root.mkdir(parents=True)
    (root / "scene.tif").touch()
    frame = geopandas.GeoDataFrame({"sort": ["ship"]}, geometry=geopandas.points_from_xy([1], [1]).buffer(1), crs=4326)
    names = ["a.geojson", "b.geojson", "c.gpkg", "d.gpkg"]
    for name in names:
        frame.to_file(root / name)
    split = {"by": "block", "block": 500}
    own = {"kind": "geo", "root": "raw/port", "polygons": names, "category": "kind", "split": split, **OWN}

    def named() -> list[str]:
        return [name for fault in found({"port": own}).faults for name in names if f"{name}: no column 'kind'" in fault]

    assert named() == names
    size = (root / "a.geojson").stat().st_size
    monkeypatch.setattr("benchmark.datasets.geo.LOOKED_INTO", (4, size))
    assert named() == ["a.geojson", "c.gpkg", "d.gpkg"]
    monkeypatch.setattr("benchmark.datasets.geo.LOOKED_INTO", (3, size - 1))
    assert named() == ["c.gpkg"]
