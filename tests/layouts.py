"""Fakes in the real layouts: each dataset's folders and files as published, with a few drawn scenes in them.

    python -m tests.layouts refsegrs raw/refsegrs
    python -m tests.layouts coco raw/harbour --scenes 6

Everything is drawn by benchmark/datasets/synthetic.py and follows from the seed. The oddities of the real files are in
the fakes as well: masks of 0/1, 0/255 and with softened borders, several names of one image, `categories_id`, corner
boxes, areas that are none, ragged masks in several codes, images of another size, windows' line ends.
"""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image

from benchmark.data.rle import mask_bbox
from benchmark.datasets import rrsisd, vhr10
from tests.newer_layouts import write_aeriald, write_lines, write_nwpurefer, write_rrsishr
from tests.pictures import SIDE, SPLITS, mask_values, pictures, rle, segmentation_of

ROADS = {  # RefSegRS has streets: its categories for the drawn ones
    "ship": "van", "airplane": "truck", "harbor": "building", "bridge": "road", "storage tank": "tree",
}  # fmt: skip


def write_refsegrs(root: Path, scenes: int = 3, side: int = SIDE) -> None:
    """RefSegRS: TIFF images and masks, one id a line; a scene has an image file for each of its lines."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    lines: dict[str, list[str]] = {split: [] for split in SPLITS}
    for picture in pictures(scenes, side):
        for place, expression in enumerate(picture.expressions):
            name = f"{picture.split}{picture.number:03d}{place:02d}"
            Image.fromarray(picture.image).save(root / "images" / f"{name}.tif")
            values = mask_values(picture.regions[expression.region].mask, len(lines[picture.split]))
            Image.fromarray(values).save(root / "masks" / f"{name}.tif")
            category = picture.regions[expression.region].category
            text = expression.text.removeprefix("the ").replace(category, ROADS.get(category, "vehicle"))
            lines[picture.split].append(f"{name} {text}")
    for split in SPLITS:
        (root / f"output_phrase_{split}.txt").write_bytes("\r\n".join([*lines[split], ""]).encode())


def write_risbench(root: Path, scenes: int = 3, side: int = SIDE) -> None:
    """RISBench: an image is written anew for each of its sentences."""
    for folder in ("img_rgb", "mask"):
        (root / folder).mkdir(parents=True)
    lines: dict[str, list[str]] = {split: [] for split in SPLITS}
    for picture in pictures(scenes, side):
        for place, expression in enumerate(picture.expressions):
            name = f"{picture.split}_{picture.number}_{place}.png"
            Image.fromarray(picture.image).save(root / "img_rgb" / name)
            values = mask_values(picture.regions[expression.region].mask, place + 1)
            Image.fromarray(values).save(root / "mask" / name)
            lines[picture.split].append(f"{name} {expression.text.capitalize()}.")
    for split in SPLITS:
        (root / f"output_phrase_{split}.txt").write_text("\n".join(lines[split]) + "\n", encoding="utf-8")


def write_rrsisd(root: Path, scenes: int = 3, side: int = SIDE) -> None:
    """RRSIS-D: a pickle of refs, an instance file with its oddities, JPEG images, and the annotations nobody reads.

    The last image of val and of test are a little larger and smaller than their masks.
    """
    jpeg = root / rrsisd.LAYOUT.images
    jpeg.mkdir(parents=True)
    (root / "rrsisd").mkdir()
    (root / "images/rrsisd/ann_split").mkdir()
    refs, images, annotations = [], [], []
    for picture in pictures(scenes, side):
        expression = picture.expressions[0]
        number, region = len(refs) + 1, picture.regions[expression.region]
        name = f"{number:05d}.jpg"
        own = Image.fromarray(picture.image)
        if picture.number == scenes - 1 and picture.split != "train":
            own = own.resize((side, side + 1) if picture.split == "val" else (side, side - 2))
        own.save(jpeg / name, quality=95)
        (root / "images/rrsisd/ann_split" / f"{number:05d}.xml").write_text("<annotation/>\n")
        spelt = {category.lower().replace("-", ""): index for index, category in enumerate(rrsisd.CATEGORIES)}
        category = spelt[region.category.replace(" ", "")]
        upper = region.mask.copy()
        upper[: mask_bbox(region.mask)[1] + 2] = False  # two codes whose union is the mask
        annotations.append(
            {
                "bbox": [int(value) for value in mask_bbox(region.mask)],
                "categories_id": category,
                "id": number,
                "image_id": number,
                "segmentation": [rle(upper), rle(region.mask & ~upper)] if number % 2 else [rle(region.mask)],
                "area": 100_000 + number,
            }
        )
        images.append({"file_name": name, "height": side, "width": side, "id": number})
        sentence = {
            "tokens": expression.text.split(), "raw": expression.text, "sent_id": number, "sent": expression.text,
        }  # fmt: skip
        refs.append(
            {
                "image_id": number,
                "split": picture.split,
                "sentences": [sentence],
                "file_name": name,
                "category_id": category,
                "ann_id": number,
                "sent_ids": [number],
                "ref_id": number,
            }
        )
    content = {"images": images, "annotations": annotations, "type": "instances", "licenses": []}
    (root / rrsisd.LAYOUT.instances).write_text(json.dumps(content))
    (root / rrsisd.LAYOUT.refs).write_bytes(pickle.dumps(refs, protocol=2))


def write_coco(root: Path, scenes: int = 3, side: int = SIDE) -> None:
    """COCO instances: boxes as polygons, uncompressed and compressed codes by turns; a crowd in each first image."""
    for folder in ("annotations", "images"):
        (root / folder).mkdir(parents=True)
    names = sorted({region.category for picture in pictures(scenes, side) for region in picture.regions})
    files: dict[str, dict[str, list[Any]]] = {
        split: {
            "images": [],
            "annotations": [],
            "categories": [{"id": 3 * k + 1, "name": name.replace(" ", "_")} for k, name in enumerate(names)],
        }
        for split in SPLITS
    }
    for picture in pictures(scenes, side):
        file, name = files[picture.split], f"{picture.split}_{picture.number}.png"
        Image.fromarray(picture.image).save(root / "images" / name)
        image_id = len(file["images"]) + 1
        file["images"].append({"id": image_id, "file_name": name, "height": side, "width": side})
        for place, region in enumerate(picture.regions):
            number, crowd = len(file["annotations"]) + 1, picture.number == 0 and place == len(picture.regions) - 1
            x1, y1, x2, y2 = mask_bbox(region.mask)
            file["annotations"].append(
                {
                    "id": number,
                    "image_id": image_id,
                    "category_id": 3 * names.index(region.category) + 1,
                    "iscrowd": int(crowd),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": int(region.mask.sum()),
                    "segmentation": segmentation_of(region.mask, 1 if crowd else place),
                }
            )
    for split, file in files.items():
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(file))


def write_vhr10(root: Path, scenes: int = 3, side: int = SIDE) -> None:
    """NWPU VHR-10: one file for all splits, ids of images from 0, names from 001, every second polygon in two parts."""
    folder, names = root / vhr10.FOLDER / "positive image set", list(vhr10.INSTANCES)
    folder.mkdir(parents=True)
    images, annotations = [], []
    of_split = {split: sorted(name for name, (_, at) in vhr10.read_split().items() if at == split) for split in SPLITS}
    for picture in pictures(scenes, side):
        name = of_split[picture.split][picture.number]
        Image.fromarray(picture.image).save(folder / f"{name}.jpg", quality=95)
        images.append({"id": int(name) - 1, "file_name": f"{name}.jpg", "height": side, "width": side, "license": 0})
        for region in picture.regions:
            x1, y1, x2, y2 = (float(value) for value in mask_bbox(region.mask))
            middle = (x1 + x2) // 2 if len(annotations) % 2 and x2 - x1 > 3 else x2
            parts = [[x1, y1, middle, y1, middle, y2, x1, y2], [middle, y1, x2, y1, x2, y2, middle, y2]]
            kept = names.index(region.category) if region.category in names else len(region.category) % len(names)
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": int(name) - 1,
                    "category_id": kept + 1,
                    "segmentation": parts if middle < x2 else parts[:1],
                    "area": (x2 - x1) * (y2 - y1),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": k, "name": name.replace(" ", "_"), "supercategory": None} for k, name in enumerate(names, 1)]
    content = {"info": {}, "licenses": [], "images": images, "type": "instances", "annotations": annotations}
    (root / vhr10.FOLDER / "annotations.json").write_text(json.dumps({**content, "categories": categories}))


COLOURS = {"ship": "#0B6E4F", "airplane": "#C84630", "harbor": "#5B2A86", "storage tank": "#F2A541"}


def write_masks(root: Path, scenes: int = 3, side: int = SIDE) -> None:
    """Colour-coded masks, by turns as RGB and with a palette; regions of no class in COLOURS stay black."""
    for picture in pictures(scenes, side):
        for folder in ("images", "masks"):
            (root / picture.split / folder).mkdir(parents=True, exist_ok=True)
        colours = np.zeros((side, side, 3), np.uint8)
        for region in picture.regions:
            value = list(COLOURS.values())[len(region.category) % len(COLOURS)]
            colours[region.mask] = [int(value[k : k + 2], 16) for k in (1, 3, 5)]
        mask = Image.fromarray(colours)
        if picture.number % 2:
            mask = mask.convert("P", palette=Image.Palette.ADAPTIVE, colors=16)
        mask.save(root / picture.split / "masks" / f"scene {picture.number}.png")
        Image.fromarray(picture.image).save(root / picture.split / "images" / f"scene {picture.number}.png")


LAYOUTS: dict[str, Callable[[Path, int, int], None]] = {
    "refsegrs": write_refsegrs,
    "risbench": write_risbench,
    "rrsisd": write_rrsisd,
    "rrsishr": write_rrsishr,
    "nwpurefer": write_nwpurefer,
    "aeriald": write_aeriald,
    "vhr10": write_vhr10,
    "coco": write_coco,
    "masks": write_masks,
}


def main(
    name: Annotated[str, typer.Argument(help=", ".join(LAYOUTS))],
    folder: Annotated[Path, typer.Argument(help="where to; must not exist")],
    scenes: Annotated[int, typer.Option(help="of each split")] = 3,
    side: Annotated[int, typer.Option(help="pixels")] = SIDE,
    lines: Annotated[bool, typer.Option("--lines", help="JSON lines in datainfo/ as well (of three)")] = False,
) -> None:
    """Write one fake."""
    if name not in LAYOUTS or folder.exists():
        sys.exit(
            f"error: {folder} exists" if name in LAYOUTS else f"error: unknown layout {name!r}: {', '.join(LAYOUTS)}"
        )
    LAYOUTS[name](folder, scenes, side)
    if lines:
        write_lines(name, folder)


if __name__ == "__main__":
    typer.run(main)
