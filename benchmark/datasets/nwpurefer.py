"""NWPU-Refer: images of 1024 to 2048 pixels; sentences of one object, of several and of none (Yang et al., 2025).

    new_refs(unc).p, new_instances.json     the refs and their masks, as refer.py says; or without "new_"
    image/<file_name>                       or image/image/<file_name>

Masks are polygons. Read as the public code does that reads it (luispl77/aerial-d, datagen/utils/process_nwpu_refer.py):
* a ref has its sentence in English and in Chinese; `language` says which are taken. A sentence with a Chinese character
  is Chinese, any other is English. A ref without one of the language has no sample; how many those are is logged;
* several refs with the same words of one image are one sentence of several objects: one sample, the union of the masks,
  named by the first ref;
* a ref of the category "no target" (or with -1 as its annotation) is a no-object sentence: a no-target sample, with an
  empty mask and no category. The protocol measures those apart (benchmark/README.md).

A sample is named by its ref_id; a second sentence of a ref is `<ref_id>-2`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from benchmark.data.samples import Manifest
from benchmark.datasets.instances import Annotation, ImageEntry
from benchmark.datasets.refer import Layout, Linked, linked_refs, union
from benchmark.datasets.spec import File, Spec
from benchmark.datasets.triplets import Entry, PublishedConfig, write_published

logger = logging.getLogger(__name__)

REFS = ("new_refs(unc).p", "refs(unc).p")
INSTANCES = ("new_instances.json", "instances.json")
IMAGES = ("image/image", "image")  # the archive of images holds a folder of its own name
CHINESE = re.compile(r"[\u3400-\u9fff]")
NO_TARGET = "no target"  # the category of sentences of nothing in the image

SPEC = Spec(
    name="nwpurefer",
    title="NWPU-Refer",
    source="https://github.com/CVer-Yang/NWPU-Refer",
    licence="not stated by its authors",
    citation="Z. Yang, H. Yao, L. Tian, X. Zhao, Q. Li, Q. Wang, A Large-Scale Referring Remote Sensing Image "
    "Segmentation Dataset and Benchmark, 2025, arXiv:2506.03583",
    how="follow the link there and lay what it gives so that {root}/new_refs(unc).p, {root}/new_instances.json and "
    "{root}/image exist",
    files=(
        File(name="new_refs(unc).p", origin=None),
        File(name="new_instances.json", origin=None),
        File(name="image.zip", origin=None, holds=("image",)),
    ),
    unconfirmed=(
        "the numbers of samples per split; its paper says 15,003 images and 49,745 targets in all",
        "the form of its files, which is that of public code that reads it, not of its authors' own",
        "that no-object sentences are those of the category 'no target'",
        "that several refs of the same words are one sentence of several objects",
        "its licence",
    ),
)


class NWPUReferConfig(PublishedConfig):
    """language: of the sentences that are read. See PublishedConfig."""

    root: str = "raw/nwpurefer"
    language: Literal["english", "chinese", "all"] = "english"

    def needed(self, spec: Spec) -> Spec:
        """Without the files that are there under their other names."""
        there = {names[0] for names in (REFS, INSTANCES) if (self.images_root / names[1]).is_file()}
        return spec.model_copy(update={"files": tuple(file for file in spec.files if file.name not in there)})


class _Said(NamedTuple):
    """What must be equal for two refs to be one sentence."""

    split: str
    image_id: int
    words: str
    no_target: bool


class _Target(NamedTuple):
    name: str
    image: ImageEntry
    annotations: list[Annotation]


def entries(config: NWPUReferConfig) -> list[Entry]:
    """A sample for each sentence of the language, and of an image."""
    root = config.images_root
    layout = Layout(_present(root, REFS), _present(root, INSTANCES), _present(root, IMAGES))
    refs, instances = linked_refs(root, layout)
    names = {number: _spelt(category.name) for number, category in instances.categories.items()}
    found: dict[_Said, _Target] = {}
    silent = 0
    for linked in refs:
        sentences = list(_sentences(linked, config.language))
        silent += not sentences
        for name, words in sentences:
            nothing = all(names.get(annotation.category_id) == NO_TARGET for annotation in linked.annotations)
            said = _Said(linked.ref.split, linked.ref.image_id, " ".join(words.split()), nothing)
            target = found.setdefault(said, _Target(name, linked.image, []))
            target.annotations.extend(linked.annotations)
    if silent:
        logger.info(f"{SPEC.name}: {silent:,} of {len(refs):,} refs have no sentence in {config.language}: no sample")
    return [
        Entry(
            sample_id=target.name,
            image=f"{layout.images}/{target.image.file_name}",
            split=said.split,
            expression=said.words,
            category=None if said.no_target else _category(target.annotations, names),
            mask=partial(union, target.annotations, target.image, root / layout.instances),
            no_target=said.no_target,
        )
        for said, target in found.items()
    ]


def build(folder: Path, config: NWPUReferConfig) -> Manifest:
    """Write the table of NWPU-Refer into ``folder``; its images stay where they are."""
    return write_published(folder, SPEC, config, entries(config))


def _present(root: Path, names: Sequence[str]) -> str:
    """The first of these that is there; if none is, the one that its reader will ask for."""
    return next((name for name in names if (root / name).exists()), names[0])


def _sentences(linked: Linked, language: str) -> Iterator[tuple[str, str]]:
    """Name and words of each sentence of a ref in a language."""
    kept = [
        sentence.sent
        for sentence in linked.ref.sentences
        if language == "all" or (language == "chinese") == bool(CHINESE.search(sentence.sent))
    ]
    for number, words in enumerate(kept, start=1):
        yield f"{linked.ref.ref_id}" if number == 1 else f"{linked.ref.ref_id}-{number}", words


def _spelt(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())


def _category(annotations: Sequence[Annotation], names: Mapping[int, str]) -> str | None:
    """The category that all have; None where they have several, or one that the file does not name."""
    found = {names.get(annotation.category_id) for annotation in annotations}
    return found.pop() if len(found) == 1 else None
