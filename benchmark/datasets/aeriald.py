"""Aerial-D: 480 x 480 patches of iSAID and LoveDA, sentences by rules and by language models (Marnoto et al., 2025).

    {train,val}/annotations/<patch>.xml     an annotation: <filename>, <size>, and
                                              <object>: <name>, <id>, <segmentation>, <expressions>
                                              <groups> of <group>: <category>, <id>, <segmentation>, <expressions>
    {train,val}/images/<patch>.png

* `<segmentation>` is a run-length code in Python's notation, {'size': [480, 480], 'counts': '...'}. Its authors' code
  evaluates that text, which runs whatever is in it; here it is read by its form.
* An `<expression>` of type "enhanced" or "unique" was written by a language model, one without a type by rules;
  `expressions` says which are taken. Several sentences share the mask of their object or group.
* Objects and groups without an expression have no sample, but are there.
* Splits: published are train and val only, so val is what others report on: it is the test split here. For validation a
  tenth of the scenes of train is held out: those whose name's SHA-256 begins with a byte below 26. A scene is what
  stands before `_patch_` in a name: patches of one iSAID image overlap, and stay on one side.
* Besides <patch>.png there may be copies in the style of historic photographs; nothing here reads them.

A sample is named `<patch>-<id>-<number of the expression>`, the id of a group with a "g" before it.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, NamedTuple
from xml.etree.ElementTree import Element

from pydantic import Field, PositiveInt

from benchmark.data.errors import SampleError, brief, raise_all
from benchmark.data.plain_xml import read_plain_xml
from benchmark.data.samples import Manifest
from benchmark.datasets.instances import Rle, codes_mask
from benchmark.datasets.spec import File, Hub, Spec, Split
from benchmark.datasets.triplets import MAX_NAME, PLAIN_NAME, Entry, PublishedConfig, write_published

Kind = Literal["original", "enhanced", "unique"]
KINDS: tuple[Kind, ...] = ("original", "enhanced", "unique")
HELD_OUT = 26  # of the 256 values of a byte: a tenth
CODE = re.compile(r"\{'size': \[(\d{1,6}), (\d{1,6})\], 'counts': b?(?:'([^']*)'|\"([^\"]*)\")\}")
CATEGORIES = (
    *("plane", "ship", "storage tank", "baseball diamond", "tennis court", "basketball court", "ground track field"),
    *("harbor", "bridge", "large vehicle", "small vehicle", "helicopter", "roundabout", "soccer ball field"),
    *("swimming pool", "building", "road", "water", "barren", "forest", "agriculture"),
)

SPEC = Spec(
    name="aeriald",
    title="Aerial-D",
    source="https://huggingface.co/datasets/luisml77/aerial-d",
    licence="Apache-2.0 (images of iSAID and LoveDA, which have their own terms)",
    citation="L. Marnoto, A. Bernardino, B. Martins, Generalized Referring Expression Segmentation on Aerial Photos, "
    "2025, arXiv:2512.07338",
    how="download aeriald.zip there and lay it into {root} (it is unpacked from there), or unpack it so that "
    "{root}/train/annotations, {root}/train/images, {root}/val/annotations and {root}/val/images exist",
    files=(File(name="aeriald.zip", origin=Hub(repository="luisml77/aerial-d"), holds=("train", "val")),),
    image_size=(480, 480),
    categories=CATEGORIES,
    unconfirmed=(
        "the numbers of samples: its page says 1,522,523 expressions of 37,288 patches (27,480 train, 9,808 val), and "
        "of their kinds 318,591 + 313,323 + 257,440, which is 889,354",
        "how the categories are spelt in the files; they are made lower case, '_' a blank",
    ),
)


class AerialDConfig(PublishedConfig):
    """expressions: kinds that are taken. per_target: of an object or group at most so many, the first (None: all). See
    PublishedConfig."""

    root: str = "raw/aeriald"
    expressions: Annotated[tuple[Kind, ...], Field(min_length=1)] = KINDS
    per_target: PositiveInt | None = None


class Target(NamedTuple):
    """An object or a group. name: its place in a sample's name. expressions: kind and words."""

    name: str
    category: str
    code: Rle
    expressions: list[tuple[str, str]]


def read_patch(path: Path) -> tuple[str, list[Target]]:
    """The image's file name, and every object and group that has an expression.

    Raises FileNotFoundError, or SampleError naming the file, the element and what is wrong with it.
    """
    root = read_plain_xml(path)
    name = _text(root, "filename", str(path))
    if not PLAIN_NAME.fullmatch(name) or len(name.encode()) > MAX_NAME:
        raise SampleError(f"{path}: filename is {brief(name)!r}; it names an image in the folder beside: correct it")
    found = []
    for element, letter, of in _elements(root):
        expressions = list(_expressions(element))
        if not expressions:
            continue
        number = _text(element, "id", f"{path}: {of}")
        if not re.fullmatch(r"\d{1,12}", number):
            raise SampleError(f"{path}: {of}: id is {brief(number)!r}; give a whole number")
        where = f"{path}: {of} {number}"
        category = " ".join(_text(element, "category" if letter else "name", where).lower().replace("_", " ").split())
        found.append(Target(f"{letter}{number}", category, _code(element, where), expressions))
    return name, found


def entries(config: AerialDConfig) -> list[Entry]:
    """A sample for each expression of the kinds that are taken, patch by patch in order of their names."""
    files = [path for part in ("train", "val") for path in _patches(config.images_root / part / "annotations")]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        read = list(pool.map(lambda path: _entries(path, config), files))
    faults = [one for one in read if isinstance(one, SampleError | FileNotFoundError)]
    raise_all(faults, f"annotations of {config.images_root} cannot be read", "fetch the dataset again")
    return [entry for one in read if isinstance(one, list) for entry in one]


def build(folder: Path, config: AerialDConfig) -> Manifest:
    """Write the table of Aerial-D into ``folder``; its images stay where they are."""
    return write_published(folder, SPEC, config, entries(config), image_is_named_once=True)


def split_of(part: str, patch: str) -> Split:
    """The split of a patch that is published in train or val."""
    if part == "val":
        return "test"
    scene = patch.split("_patch_")[0]
    return "val" if hashlib.sha256(scene.encode()).digest()[0] < HELD_OUT else "train"


def _patches(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} does not exist; fetch the dataset again")
    return sorted(path for path in folder.glob("*.xml") if not path.name.startswith("."))


def _entries(path: Path, config: AerialDConfig) -> list[Entry] | SampleError | FileNotFoundError:
    """The samples of a patch, or what is wrong with its file: the others are looked at before anything is raised."""
    try:
        image, targets = read_patch(path)
    except (SampleError, FileNotFoundError) as error:
        return error
    part = path.parent.parent.name
    found = []
    for target in targets:
        taken = [(number, words) for number, (kind, words) in enumerate(target.expressions)
                 if kind in config.expressions]  # fmt: skip
        for number, words in taken[: config.per_target]:
            found.append(
                Entry(
                    sample_id=f"{path.stem}-{target.name}-{number}",
                    image=f"{part}/images/{image}",
                    split=split_of(part, path.stem),
                    expression=words,
                    category=target.category,
                    mask=partial(codes_mask, (target.code,), f"{path}: {target.name}"),
                )
            )
    return found


def _elements(root: Element) -> Iterator[tuple[Element, str, str]]:
    """Each object and group, with what stands before its id in a name and what it is called in an error."""
    for element in root.findall("object"):
        yield element, "", "object"
    for element in root.findall("groups/group"):
        yield element, "g", "group"


def _expressions(element: Element) -> Iterator[tuple[str, str]]:
    """Kind and words of those that have words."""
    for one in element.findall("expressions/expression"):
        if words := " ".join((one.text or "").split()):
            yield one.get("type") or KINDS[0], words


def _text(element: Element, tag: str, where: str) -> str:
    text = (element.findtext(tag) or "").strip()
    if not text:
        raise SampleError(f"{where} has no <{tag}>; fetch the dataset again")
    return text


def _code(element: Element, where: str) -> Rle:
    text = _text(element, "segmentation", where)
    match = CODE.fullmatch(text)
    if match is None or not int(match[1]) or not int(match[2]):
        raise SampleError(
            f"{where}: segmentation is {brief(text)!r}, no run-length code {{'size': [480, 480], 'counts': '...'}}; "
            "fetch the dataset again"
        )
    counts: Sequence[str] = [part for part in match.groups()[2:] if part is not None]
    return Rle(size=(int(match[1]), int(match[2])), counts=counts[0].replace("\\\\", "\\"))
