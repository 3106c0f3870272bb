"""What the field's datasets share: from their entries to the table, without copying an image.

* Counts are checked against the declaration before anything is left out; then exclusions apply, the declared ones and
  those of the user. A sample with an empty mask is an error that names all of them: the user decides.
* An image of a slightly other size than its masks is resized (benchmark/data/fitting.py), named in the manifest.
* A sample keeps the name it is published under. An image is what its file's bytes are: several names of one file within
  a split (RISBench writes an image anew for each of its sentences) become one image_id, the first, so that it is
  encoded once and resampled as one. Between splits names stay apart; `experiments.audit` reports what they share.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from rich.console import Console
from rich.progress import track

from benchmark.data.errors import NAMED, raise_all
from benchmark.data.images import read_mask
from benchmark.data.samples import SPLITS, Manifest, SampleError, make_sample, save_dataset
from benchmark.datasets.assemble import replaced, tell_read
from benchmark.datasets.spec import DatasetConfig, Spec, check_counts
from benchmark.expressions.plurals import plural

logger = logging.getLogger(__name__)

MaskArray = NDArray[np.bool_]
PHRASES = {split: f"output_phrase_{split}.txt" for split in SPLITS}
PLAIN_NAME = re.compile(r"[\w-][\w.-]*")  # of a file beside others: no folder, no way up
MAX_NAME = 200  # bytes of such a name; file systems have 255, and a suffix may follow


class PublishedConfig(DatasetConfig):
    """Where the files are, and how strictly they are taken.

    exclude: sample_id -> why it is left out, besides what is declared. allow_count_mismatch: whether splits may have
    other numbers of samples than published.
    """

    model_config = ConfigDict(coerce_numbers_to_str=True)  # YAML reads a name such as 2934 as a number

    root: str
    exclude: dict[str, str] = Field(default_factory=dict)
    allow_count_mismatch: bool = False

    @property
    def images_root(self) -> Path:
        """Where the images are: they are not copied."""
        return Path(self.root)

    def needed(self, spec: Spec) -> Spec:
        """The declaration with the files that these settings need."""
        return spec


class Entry(NamedTuple):
    """A sample before its mask is read.

    image: path from the root. mask: reads it, (H, W), at the size that the image is to have. no_target: whether the
    expression is of nothing in the image: then its mask must be empty, else it may not.
    """

    sample_id: str
    image: str
    split: str
    expression: str
    category: str | None
    mask: Callable[[], MaskArray]
    no_target: bool = False


def write_published(
    folder: Path, spec: Spec, config: PublishedConfig, entries: Sequence[Entry], image_is_named_once: bool = False
) -> Manifest:
    """Write the dataset's table, all or nothing.

    image_is_named_once: whether every image has one name anyway, so that files need not be compared.
    Raises SampleError or FileNotFoundError, naming file, value and remedy.
    """
    root = config.images_root
    check_counts(spec, Counter(entry.split for entry in entries), root, config.allow_count_mismatch)
    excluded = {**spec.exclusions, **config.exclude}
    if unknown := sorted(config.exclude.keys() - {entry.sample_id for entry in entries}):
        raise SampleError(
            f"{root}: datasets.{spec.name}.exclude names {unknown[:5]}, which the dataset has no samples of"
        )
    kept = [entry for entry in entries if entry.sample_id not in excluded]
    for split in SPLITS:
        if not any(entry.split == split for entry in kept):
            raise SampleError(f"{root}: split {split} of {spec.name} has no samples; {spec.steps(root)}")
    first_names = {} if image_is_named_once else _first_names(root, kept)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        work = pool.map(lambda entry: _row(entry, first_names.get(entry.image, entry.image)), kept)
        read = list(track(work, description=f"{spec.name}: masks", total=len(kept), console=Console(stderr=True)))
    raise_all(
        [row for row in read if isinstance(row, SampleError | FileNotFoundError)],
        f"masks of {root} cannot be read",
        f"fetch their files again, or leave samples out: datasets.{spec.name}.exclude: {{SAMPLE: why}} in params.yaml",
    )
    rows = [row for row in read if isinstance(row, dict)]
    for wrong, what, why in (
        (False, "empty masks", "empty mask"),
        (True, "no target by their annotation, and masks that are not empty", "mask of nothing"),
    ):
        named = [
            entry.sample_id
            for entry, row in zip(kept, rows, strict=True)
            if entry.no_target == wrong == (row["mask_area"] > 0)
        ]
        if named:
            raise SampleError(
                f"{root}: {len(named)} samples have {what}: {', '.join(named[:20])}{' ...' * (len(named) > 20)}. If "
                f"they are published so, leave them out: datasets.{spec.name}.exclude: {{{named[0]}: {why}}} in "
                "params.yaml"
            )
    about = {key: getattr(spec, key) for key in ("name", "source", "licence", "citation")}
    no_target = any(entry.no_target for entry in kept)
    with replaced(folder) as part:
        manifest = save_dataset(part, pd.DataFrame(rows), **about, images=root, no_target=no_target, fit=True)
    tell_read(manifest)
    if manifest.fitted:
        some = [f"{image} {fit.text()}" for image, fit in list(manifest.fitted.items())[:NAMED]]
        logger.info(
            f"{spec.name}: {len(manifest.fitted):,} images have another size than their masks and are resized to it "
            f"(height x width): {', '.join(some)}{' ...' * (len(manifest.fitted) > NAMED)}; manifest.json names all"
        )
    return manifest


def _row(entry: Entry, image: str) -> dict[str, Any] | SampleError | FileNotFoundError:
    """A row of the table, or what is wrong with its mask: the others are looked at before anything is raised."""
    try:
        mask = entry.mask()
    except SampleError as error:
        return SampleError(f"sample '{entry.sample_id}': {error}")
    except FileNotFoundError as error:
        return FileNotFoundError(f"sample '{entry.sample_id}': {error}; fetch it again, or exclude the sample")
    return make_sample(
        entry.sample_id, Path(image).stem, image, entry.split, entry.expression, entry.category, mask,
        no_target=True,  # all empty ones are reported together
    )  # fmt: skip


def _first_names(root: Path, entries: Sequence[Entry]) -> dict[str, str]:
    """Image -> the first image of its split with the same bytes. Only files of one size are read."""
    images = {entry.image: entry.split for entry in entries}
    missing = [image for image in images if not os.path.isfile(root / image)]  # False for a name of 300 letters
    if missing:
        named = ", ".join(str(root / image) for image in missing[:NAMED])
        raise FileNotFoundError(
            f"image {named}{' ...' * (len(missing) > NAMED)} does not exist ({len(missing):,} are missing); fetch the "
            "dataset again"
        )
    keys = {image: (split, (root / image).stat().st_size) for image, split in images.items()}
    shared = Counter(keys.values())
    compared = [image for image, key in keys.items() if shared[key] > 1]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        digests = dict(zip(compared, pool.map(lambda image: _digest(root / image), compared), strict=True))
    first: dict[tuple[str, str], str] = {}
    return {image: first.setdefault((images[image], digest), image) for image, digest in digests.items()}


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


class Phrase(NamedTuple):
    """One line of a file of phrases: the name it starts with, and its words."""

    name: str
    text: str


def read_phrases(path: Path) -> Iterator[Phrase]:
    """The lines `<name> <words>` of a UTF-8 file, in order; blank lines are left out.

    Raises FileNotFoundError, or SampleError for a line that is not of that form, naming file and line.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; fetch the dataset again")
    for number, line in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        where = f"{path}: line {number}"
        try:
            words = line.decode("utf-8").split(maxsplit=1)
        except UnicodeDecodeError as error:
            raise SampleError(
                f"{where} is not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8"
            ) from error
        if not words:
            continue
        if len(words) != 2 or not PLAIN_NAME.fullmatch(words[0]) or len(words[0].encode()) > MAX_NAME:
            raise SampleError(
                f"{where} is {line[:80]!r}; a line is a file's name, a space and a phrase; "
                f"the name has {MAX_NAME} bytes at most"
            )
        yield Phrase(words[0], words[1].strip())


def phrase_entries(root: Path, image: str, mask: str, words: Mapping[str, Sequence[str]]) -> list[Entry]:
    """The samples of output_phrase_{train,val,test}.txt, one a line.

    image, mask: paths from the root with {name} for what a line starts with, less its suffix. words: as category_of().
    A sample is named as its line; a second line of one name is `<name>#2`. The mask is the line's own.
    """
    seen: Counter[str] = Counter()
    found = []
    for split, file in PHRASES.items():
        for phrase in read_phrases(root / file):
            name = phrase.name.removesuffix(Path(image).suffix)
            seen[name] += 1
            found.append(
                Entry(
                    sample_id=name if seen[name] == 1 else f"{name}#{seen[name]}",
                    image=image.format(name=name),
                    split=split,
                    expression=phrase.text,
                    category=category_of(phrase.text, words),
                    mask=partial(_mask, root / mask.format(name=name)),
                )
            )
    return found


def _mask(path: Path) -> MaskArray:
    return read_mask(path)[0]


@cache
def _pattern(name: str) -> re.Pattern[str]:
    """Finds a word in the singular or plural: as English has it ("lorries"), or with "s" or "es" alone."""
    forms = [rf"{re.escape(name)}(?:s|es)?", re.escape(plural(name))]
    return re.compile(rf"\b(?:{'|'.join(forms)})\b".replace(r"\ ", r"[\s-]+").replace(r"\-", r"[\s-]+"))


def category_of(phrase: str, words: Mapping[str, Sequence[str]]) -> str | None:
    """The category whose word comes first in a phrase; of words that begin together, the longest. None: there is none.

    words: category -> the words it goes by, in the singular and lower case; plurals are recognised.
    """
    found = []
    for category, names in words.items():
        for name in names:
            if match := _pattern(name).search(phrase.lower()):
                found.append((match.start(), -len(name), category))
    return min(found)[2] if found else None
