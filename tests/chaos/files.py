"""Small valid files of every kind that people give, with what reads each: what inputs.py damages."""

from __future__ import annotations

import io
import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import tifffile
from PIL import Image

from benchmark.data.images import read_exact_mask, read_labels, read_mask, read_picture
from benchmark.data.params_file import read_params
from benchmark.data.plain_xml import read_plain_xml
from benchmark.data.rle import decode_mask, encode_mask
from benchmark.data.samples import SPLITS, Dataset, Manifest, load_dataset, make_sample, save_dataset
from benchmark.datasets import class_masks, coco, geo, refsegrs
from benchmark.datasets.instances import instance_mask, read_instances
from benchmark.datasets.lines import read_lines
from benchmark.datasets.plain_pickle import read_plain_pickle
from benchmark.datasets.refer import read_refs
from benchmark.results.store import load_curve, load_result
from benchmark.scoring import read_submission

SIDE = 24
ROOT = Path(__file__).parents[2]
MASK = np.zeros((SIDE, SIDE), np.bool_)
MASK[4:12, 6:15] = True
ABOUT = b"""<PAMDataset>
  <PAMRasterBand band="1"><Description>blue</Description><ColorInterp>Blue</ColorInterp></PAMRasterBand>
  <PAMRasterBand band="3"><Description>red</Description><NoDataValue> </NoDataValue></PAMRasterBand>
</PAMDataset>"""
CODE = {"size": [SIDE, SIDE], "counts": encode_mask(MASK)}
LINE = {"split": "test", "image_id": "a.png", "sent": "the ship", "file_name": "a.png", "segmentation": CODE}
REF = {"image_id": 1, "split": "val", "sentences": [{"sent": "the ship", "sent_id": 1}], "file_name": "a.jpg",
       "category_id": 0, "ann_id": 1, "sent_ids": [1], "ref_id": 1}  # fmt: skip


class Kind(NamedTuple):
    """files: valid ones, by name. read: what reads their folder. structured: whether they are JSON. together: whether
    all of them lie in it, one damaged; else one alone."""

    files: dict[str, bytes]
    read: Callable[[Path], object]
    structured: bool = False
    together: bool = False


def _pictures() -> Iterator[tuple[str, bytes]]:
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (SIDE, SIDE)).astype(np.uint8)
    colour = rng.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    for name, pixels in {"grey": grey, "colour": colour, "deep": grey.astype(np.uint16) * 90}.items():
        for suffix in ("png", "tif") if name == "deep" else ("png", "jpg", "bmp", "webp", "tif"):
            stream = io.BytesIO()
            Image.fromarray(pixels).save(stream, {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix))
            yield f"{name}.{suffix}", stream.getvalue()
    for kind, options in {"PNG": {"transparency": 1}, "TIFF": {}}.items():
        stream = io.BytesIO()
        Image.fromarray(grey % 4).convert("P").save(stream, kind, **options)
        yield f"palette.{kind.lower()}", stream.getvalue()
    for name, options in {
        "tiles": {"tile": (16, 16), "compression": "zlib"},
        "lzw": {"compression": "lzw", "predictor": True},
        "float": {"dtype": np.float32, "extratags": [(42113, "s", 0, "nan", True), (274, "H", 1, 6, True)]},
        "big": {"bigtiff": True, "planarconfig": "separate"},
    }.items():
        stream = io.BytesIO()
        values = np.moveaxis(colour, -1, 0) if "planarconfig" in options else colour
        tifffile.imwrite(stream, values.astype(options.pop("dtype", np.uint8)), photometric="rgb", **options)
        yield f"{name}.tif", stream.getvalue()


def _masks() -> Iterator[tuple[str, bytes]]:
    for suffix in ("PNG", "TIFF", "BMP"):
        stream = io.BytesIO()
        Image.fromarray(MASK.astype(np.uint8) * 255).save(stream, suffix)
        yield f"mask.{suffix.lower()}", stream.getvalue()


def _only(folder: Path) -> Path:
    return next(iter(folder.iterdir()))


def _instances(folder: Path) -> None:
    found = read_instances(folder / "instances.json")
    for annotation in found.annotations.values():
        if annotation.image_id in found.images and annotation.segmentation:
            image = found.images[annotation.image_id]
            instance_mask(annotation, image.height, image.width, folder / "instances.json")


def _lines(folder: Path) -> None:
    config = refsegrs.RefSegRSConfig(root=str(folder), lines="lines.jsonl")
    for _ in read_lines(config, refsegrs.SPEC):
        pass


def _submission(folder: Path) -> None:
    row = make_sample("a", "a", "images/a.png", "test", "the ship", "ship", MASK)
    manifest = Manifest.model_construct(counts={"test": {"samples": 1, "images": 1}})
    read_submission(Dataset(folder, manifest, pd.DataFrame([row]), folder), "test", folder / "masks.jsonl")


def _code(folder: Path) -> None:
    decode_mask((folder / "code").read_text(encoding="latin-1"), SIDE, SIDE)


def _dataset(folder: Path) -> dict[str, bytes]:
    (folder / "images").mkdir(parents=True)
    Image.fromarray(np.zeros((SIDE, SIDE, 3), np.uint8)).save(folder / "images" / "a.png")
    row = make_sample("a", "a", "images/a.png", "test", "the ship", "ship", MASK)
    save_dataset(folder, pd.DataFrame([row]), name="x", source="x", licence="x", citation="x")
    return {name: (folder / name).read_bytes() for name in ("samples.parquet", "manifest.json")}


def _build(folder: Path) -> None:
    """A dataset of instance files; the check of what is left behind finds what a failed one leaves."""
    about = {"root": str(folder), "annotations": "{split}.json", "images": ".", "licence": "x", "citation": "x"}
    coco.build(folder / "out", coco.CocoConfig.model_validate({**about, "patch": None, "absent": 1}))
    shutil.rmtree(folder / "out")


def _sources() -> dict[str, bytes]:
    stream = io.BytesIO()
    Image.fromarray(np.zeros((SIDE, SIDE, 3), np.uint8)).save(stream, "PNG")
    found = {}
    for split in SPLITS:
        found[f"{split}.png"] = stream.getvalue()
        content = {
            "images": [{"id": 1, "file_name": f"{split}.png", "height": SIDE, "width": SIDE}],
            "categories": [{"id": 1, "name": "ship"}, {"id": 2, "name": "tank"}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": CODE}],
        }
        found[f"{split}.json"] = json.dumps(content).encode()
    return found


def _labels() -> dict[str, bytes]:
    """A photograph and its classes, in each split."""
    found = {}
    for split in SPLITS:
        for name, pixels in {"images/a": np.zeros((SIDE, SIDE, 3), np.uint8), "masks/a": MASK.astype(np.uint8)}.items():
            stream = io.BytesIO()
            Image.fromarray(pixels).save(stream, "PNG")
            found[f"{split}/{name}.png"] = stream.getvalue()
    return found


def _build_masks(folder: Path) -> None:
    about = {"root": str(folder), "classes": {"ship": 1}, "background": [0], "licence": "x", "citation": "x"}
    class_masks.build(folder / "out", class_masks.MasksConfig.model_validate({**about, "patch": None}))
    shutil.rmtree(folder / "out")


def _place(folder: Path) -> dict[str, Kind]:
    """Scenes and polygons, where the extras [geo] are there."""
    if any(find_spec(name) is None for name in ("rasterio", "geopandas", "pyogrio")):
        return {}
    import geopandas
    import shapely
    from rasterio.transform import from_origin

    from benchmark.data.images.scene_files import open_scene
    from benchmark.datasets.geo_polygons import read_polygons
    from tests.scenes import ground, write_scene

    folder.mkdir(parents=True)
    scene = write_scene(folder / "scene.tif", ground(SIDE, SIDE, 4).astype(np.uint16), nodata=0, tiled=True,
                        blockxsize=16, blockysize=16, compress="deflate")  # fmt: skip
    drawn = geopandas.GeoDataFrame({"what": ["ship", "tank"]}, geometry=[shapely.box(0, 0, 1, 1)] * 2, crs=4326)

    def read_scene(place: Path) -> None:
        with open_scene(_only(place)) as opened:
            opened.read(0, 0, min(opened.height, 64), min(opened.width, 64))

    def read_drawn(place: Path) -> None:
        read_polygons([_only(place)], None, "what", "x").on("EPSG:32632", place)

    def build(place: Path) -> None:
        about = {"root": str(place), "polygons": "*.gpkg", "category": "what", "licence": "x", "citation": "x"}
        split = {"by": "scene"} | {split: f"{split}.tif" for split in SPLITS}
        geo.build(place / "out", geo.GeoConfig.model_validate({**about, "patch": 32, "split": split}))
        shutil.rmtree(place / "out")

    ground_of = {
        f"{split}.tif": write_scene(
            folder / f"{split}.tif", ground(40, 40), transform=from_origin(500_000 + 100 * east, 10_000, 1, 1)
        ).read_bytes()
        for east, split in enumerate(SPLITS)
    }
    boxes = [shapely.box(x + 5, 9_970, x + 20, 9_990) for x in (500_000, 500_100, 500_200)]
    geopandas.GeoDataFrame({"what": ["ship"] * 3}, geometry=boxes, crs=32640).to_file(folder / "boxes.gpkg")
    files = {}
    for name in ("drawn.gpkg", "drawn.geojson"):
        drawn.to_file(folder / name)
        files[name] = (folder / name).read_bytes()
    return {
        "geo": Kind({**ground_of, "boxes.gpkg": (folder / "boxes.gpkg").read_bytes()}, build, together=True),
        "scene": Kind({"scene.tif": scene.read_bytes()}, read_scene),
        "geopackage": Kind({"drawn.gpkg": files["drawn.gpkg"]}, read_drawn),
        "geojson": Kind({"drawn.geojson": files["drawn.geojson"]}, read_drawn, True),
    }


@cache
def kinds(folder: Path) -> dict[str, Kind]:
    """Every kind by name, made in an empty folder."""
    pictures, masks = dict(_pictures()), dict(_masks())
    instances = {
        "images": [{"id": 1, "file_name": "a.png", "height": SIDE, "width": SIDE}],
        "categories": [{"id": 1, "name": "ship", "supercategory": "boat"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "bbox": [1, 1, 9, 9], "segmentation": shape}
            | {"id": number}
            for number, shape in enumerate(
                [[[1, 1, 9, 1, 9, 9]], CODE, {"size": [SIDE, SIDE], "counts": [576]}, [CODE]]
            )
        ],
    }
    result = next(iter(sorted((ROOT / "results").rglob("result.json")))).parent
    results = {name: (result / name).read_bytes() for name in ("result.json", "samples.parquet", "predictions.parquet")}
    curves = sorted((ROOT / "results").rglob("curve.csv"))
    return {
        "picture": Kind(pictures, lambda place: read_picture(_only(place))),
        "labels": Kind({**pictures, **masks}, lambda place: read_labels(_only(place))),
        "picture and what lies beside it": Kind(
            {"a.tif": pictures["big.tif"], "a.tif.aux.xml": ABOUT},
            lambda place: read_picture(place / "a.tif"),
            together=True,
        ),
        "mask": Kind(masks, lambda place: read_mask(_only(place))),
        "exact mask": Kind(masks, lambda place: read_exact_mask(_only(place))),
        "instances": Kind({"instances.json": json.dumps(instances).encode()}, _instances, True),
        "lines": Kind({"lines.jsonl": (json.dumps(LINE) + "\n").encode() * 3}, _lines, True),
        "pickle": Kind(
            {f"refs{k}.p": pickle.dumps([REF] * 2, protocol=k) for k in range(6)},
            lambda place: read_plain_pickle(_only(place)),
        ),
        "refs": Kind({"refs.p": pickle.dumps([REF], protocol=2)}, lambda place: read_refs(_only(place))),
        "xml": Kind({"a.xml": b"<annotation><object><name>x</name></object></annotation>"},
                    lambda place: read_plain_xml(_only(place))),
        "parameters": Kind({"params.yaml": (ROOT / "params.yaml").read_bytes()[:3000]},
                           lambda place: read_params(_only(place))),
        "build": Kind(_sources(), _build, together=True),
        "code": Kind({"code": CODE["counts"].encode()}, _code),
        "submission": Kind({"masks.jsonl": json.dumps({"sample_id": "a", "mask": CODE}).encode()}, _submission, True),
        "table": Kind(_dataset(folder / "table"), load_dataset, together=True),
        "result": Kind(results, load_result, together=True),
        "curve": Kind({"curve.csv": curves[0].read_bytes()}, lambda place: load_curve(_only(place))),
        "masks": Kind(_labels(), _build_masks, together=True),
        **_place(folder / "map"),
    }  # fmt: skip
