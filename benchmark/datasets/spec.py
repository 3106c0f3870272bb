"""What is declared about a dataset: where it is from, its files, what must be found in it, its licence and citation.

A declaration holds facts, each with its source beside it; what a user may set is in the dataset's configuration.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from benchmark.data.errors import SampleError

Split = Literal["train", "val", "test"]


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Hub(_Facts):
    """A file of a dataset repository on the Hugging Face hub; revision: a commit, or a branch where none is known."""

    repository: str
    revision: str = "main"


class Drive(_Facts):
    """A file of Google Drive by its id."""

    id: str


class File(_Facts):
    """One file as it is published.

    origin: where it can be downloaded from; None: by hand only. into: the folder under the root that it belongs in, or
    is unpacked in if it is an archive. holds: what must be in an archive at one level; it is unpacked from there.
    size (bytes), sha256 and md5: None where they are not published. needed: whether the reader reads it.
    """

    name: str
    origin: Hub | Drive | None
    into: str = "."
    holds: tuple[str, ...] = ()
    size: PositiveInt | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = None
    needed: bool = True

    def lands(self) -> tuple[str, ...]:
        """What is there, relative to the root, once the file is downloaded (and unpacked)."""
        return tuple(f"{self.into}/{name}".removeprefix("./") for name in self.holds or (self.name,))


class Spec(_Facts):
    """A dataset.

    name: as in params.yaml. source: its page. how: what a person does to get it from there, with {root} for where it
    goes. counts: samples per split as published. image_size: height and width of every image. categories: () where it
    has none of its own. exclusions: sample_id -> why it is left out. superseded_by: the dataset to use instead.
    unconfirmed: what of all this, or of its reader, no public text of its authors says; fetching tells it.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    title: str
    source: str
    licence: str
    citation: str
    how: str
    files: tuple[File, ...] = ()
    counts: dict[Split, PositiveInt] | None = None
    image_size: tuple[PositiveInt, PositiveInt] | None = None
    categories: tuple[str, ...] = ()
    exclusions: dict[str, str] = {}
    superseded_by: str | None = None
    unconfirmed: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.superseded_by == self.name:
            raise ValueError(f"{self.name} is superseded by itself; name the dataset that replaces it")
        return self

    def steps(self, root: Path | str) -> str:
        """How to get it, for a person."""
        return f"{self.title}, licence {self.licence}, {self.source}: {self.how.format(root=root)}"


class DatasetConfig(BaseModel):
    """What a user may set of a dataset: datasets.<name> in params.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def images_root(self) -> Path | None:
        """Where images stay that are not copied into the dataset; None where all are."""
        return None

    def unmet(self, dataset: str) -> list[str]:
        """What is seen to be missing before anything is read: "key: what and remedy", each. dataset: its name."""
        return []


def check_counts(spec: Spec, found: dict[str, int], where: Path, allowed: bool) -> None:
    """Raise SampleError if a split has not as many samples as declared, unless that is ``allowed``."""
    if spec.counts is None or allowed:
        return
    wrong = [
        f"{split} has {found.get(split, 0):,}, declared are {n:,}"
        for split, n in spec.counts.items()
        if found.get(split, 0) != n
    ]
    if wrong:
        raise SampleError(
            f"{where}: not the numbers of samples {spec.name} is published with: {'; '.join(wrong)}. Fetch it again, "
            "or, if this is what you mean to use, fetch with --allow-count-mismatch or set "
            f"datasets.{spec.name}.allow_count_mismatch: true in params.yaml"
        )
