"""Fakes of RRSIS-HR, NWPU-Refer and Aerial-D in their real layouts, and the JSON lines of three older datasets."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.rle import mask_bbox
from benchmark.datasets import DATASETS, aeriald, refsegrs, risbench, rrsisd, rrsishr
from benchmark.expressions.writer import Region
from tests.pictures import SIDE, Picture, pictures, rle, segmentation_of


class Refs:
    """refs(unc).p and instances.json of REFER's layout, as they grow; categories get their ids as they come."""

    def __init__(self) -> None:
        self.refs: list[dict[str, Any]] = []
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self.categories: list[str] = []

    def add_image(self, name: str, side: int) -> int:
        self.images.append({"file_name": name, "height": side, "width": side, "id": len(self.images) + 1})
        return len(self.images)

    def add(self, split: str, image: int, category: str, shape: Any, sentences: list[str], key: str) -> None:
        """One annotation with its ref; key: what the annotation calls its category."""
        number = len(self.refs) + 1
        if category not in self.categories:
            self.categories.append(category)
        self.annotations.append(
            {
                "id": number,
                "image_id": image,
                key: self.categories.index(category),
                "segmentation": shape,
                "bbox": [0, 0, 1, 1],
                "area": 100_000 + number,
            }
        )
        said = [
            {"tokens": text.split(), "raw": text, "sent": text, "sent_id": 10 * number + k}
            for k, text in enumerate(sentences)
        ]
        self.refs.append(
            {
                "image_id": image,
                "split": split,
                "sentences": said,
                "file_name": self.images[image - 1]["file_name"],
                "category_id": self.categories.index(category),
                "ann_id": number,
                "sent_ids": [one["sent_id"] for one in said],
                "ref_id": number,
            }
        )

    def write(self, refs: Path, instances: Path) -> None:
        refs.parent.mkdir(parents=True, exist_ok=True)
        refs.write_bytes(pickle.dumps(self.refs, protocol=2))
        categories = [{"id": number, "name": name} for number, name in enumerate(self.categories)]
        content = {"images": self.images, "annotations": self.annotations, "categories": categories}
        instances.write_text(json.dumps(content))


def write_rrsishr(root: Path, scenes: int = 3, side: int = SIDE) -> None:
    """RRSIS-HR: as RRSIS-D, with the categories in the file and several sentences of one image."""
    refs, layout = Refs(), rrsishr.LAYOUT
    (root / layout.images).mkdir(parents=True)
    for picture in pictures(scenes, side):
        name = f"{picture.split}{picture.number}.jpg"
        Image.fromarray(picture.image).save(root / layout.images / name, quality=95)
        image = refs.add_image(name, side)
        for expression in picture.expressions:
            region = picture.regions[expression.region]
            text = f"{expression.text}, in a picture that was drawn"
            refs.add(picture.split, image, region.category, [rle(region.mask)], [text], "categories_id")
    refs.write(root / layout.refs, root / layout.instances)


ALL_OF_IT = "everything that is not the ground"  # what the fake says of all objects at once


def boxed(region: Region) -> NDArray[np.bool_]:
    """The box of a region: the polygon that the fake of NWPU-Refer gives it."""
    mask = np.zeros(region.mask.shape, bool)
    x1, y1, x2, y2 = mask_bbox(region.mask)
    mask[y1:y2, x1:x2] = True
    return mask


def write_nwpurefer(root: Path, scenes: int = 3, side: int = SIDE) -> None:
    """NWPU-Refer: polygons; sentences in two languages; of one object, of all (a ref for each) and of none."""
    refs = Refs()
    (root / "image" / "image").mkdir(parents=True)
    for picture in pictures(scenes, side):
        name = f"{picture.split}_{picture.number}.jpg"
        Image.fromarray(picture.image).save(root / "image" / "image" / name, quality=95)
        image = refs.add_image(name, side)
        for expression in picture.expressions:
            region = picture.regions[expression.region]
            said = [f"图像中的{region.category}", expression.text]
            refs.add(picture.split, image, region.category, segmentation_of(region.mask, 0), said, "category_id")
        for region in picture.regions:
            shape = segmentation_of(region.mask, 0)
            refs.add(picture.split, image, region.category, shape, [ALL_OF_IT, "所有物体"], "category_id")
        refs.add(picture.split, image, "no target", [], ["没有的东西", "the volcano at the top"], "category_id")
    refs.write(root / "new_refs(unc).p", root / "new_instances.json")


def write_aeriald(root: Path, scenes: int = 3, side: int = SIDE) -> None:
    """Aerial-D: XML with objects and a group, three kinds of expressions, some objects without any, a historic copy."""
    for picture in pictures(scenes, side):
        part, name = _patch(picture)
        for folder in ("annotations", "images"):
            (root / part / folder).mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(picture.image)
        image.save(root / part / "images" / f"{name}.png")
        image.convert("L").save(root / part / "images" / f"{name}_5.png")
        xml = ElementTree.Element("annotation")
        ElementTree.SubElement(xml, "filename").text = f"{name}.png"
        size = ElementTree.SubElement(xml, "size")
        for key in ("width", "height"):
            ElementTree.SubElement(size, key).text = str(side)
        for number, region in enumerate(picture.regions, start=1):
            element = ElementTree.SubElement(xml, "object")
            ElementTree.SubElement(element, "name").text = region.category.title().replace(" ", "_")
            _describe(element, number, region.mask, [e.text for e in picture.expressions if e.region == number - 1])
        union = np.any([region.mask for region in picture.regions], axis=0)
        group = ElementTree.SubElement(ElementTree.SubElement(xml, "groups"), "group")
        ElementTree.SubElement(group, "category").text = "building"
        _describe(group, 1_000_000, union, ["all buildings in the image"])
        ElementTree.indent(xml)
        path = root / part / "annotations" / f"{name}.xml"
        ElementTree.ElementTree(xml).write(path, encoding="utf-8", xml_declaration=True)


def _describe(element: ElementTree.Element, number: int, mask: NDArray[np.bool_], texts: list[str]) -> None:
    ElementTree.SubElement(element, "id").text = str(number)
    ElementTree.SubElement(element, "segmentation").text = str(rle(mask))
    if not texts:
        return
    expressions = ElementTree.SubElement(element, "expressions")
    for k, text in enumerate(texts):
        ElementTree.SubElement(expressions, "expression", id=str(k)).text = text
        ElementTree.SubElement(expressions, "expression", type="enhanced").text = f"{text}, say"
    ElementTree.SubElement(expressions, "expression", type="unique").text = f"just {texts[0]}"


def _patch(picture: Picture) -> tuple[str, str]:
    """Where a picture is published, and under which name, so that it comes into its own split."""
    if picture.split == "test":
        return "val", f"L{picture.number}_patch_0"
    names = (f"P{picture.number}{k:03d}_patch_{k:06d}" for k in range(1000))
    return "train", next(name for name in names if aeriald.split_of("train", name) == picture.split)


def write_lines(name: str, root: Path) -> None:
    """JSON lines beside a fake's own files, as RSRefSeg 2's tools would make them of clean masks."""
    config = DATASETS[name].config.model_validate({"root": str(root)})
    module = {"refsegrs": refsegrs, "risbench": risbench, "rrsisd": rrsisd}[name]
    (root / "datainfo").mkdir()
    files: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for entry in module.entries(config):  # type: ignore[arg-type]
        code = rle(entry.mask())
        file = Path(entry.image).name
        line: dict[str, Any] = {"split": entry.split, "image_id": file, "sent": entry.expression, "file_name": file}
        if name == "refsegrs":
            line["image_id"] = Path(file).stem
        if name == "rrsisd":
            number = int(entry.sample_id)
            about = {"category_id": rrsisd.CATEGORIES.index(str(entry.category)), "category_name": entry.category}
            line |= {"image_id": number, **about, "ann_id": number, "bbox": list(mask_bbox(entry.mask())), "area": 7}
        files[entry.split].append(json.dumps({**line, "segmentation": [code] if name == "rrsisd" else code}))
    for split, lines in files.items():
        (root / "datainfo" / f"{name}_{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
