"""The `foundation` section of params.yaml: how a model's CLIP and SAM are pretrained here, or where they come from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from models.config import Part


class Recipe(Part):
    """How long and how fast one foundation model is pretrained, on how many drawn scenes, at first on plain ones.

    cycles: so many trainings, each from the weights of the one before, with a schedule and scenes of its own.
    """

    steps: Annotated[int, Field(ge=1)]
    cycles: Annotated[int, Field(ge=1)] = 1
    batch_scenes: Annotated[int, Field(ge=1)]
    scenes: Annotated[int, Field(ge=1)]
    plain_steps: Annotated[int, Field(ge=0)] = 0
    lr: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    seed: Annotated[int, Field(strict=True)]


class PretrainConfig(Part):
    """Recipes of the two foundation models that are pretrained here."""

    clip: Recipe
    sam: Recipe
    held_out_scenes: Annotated[int, Field(ge=1)]


class WeightsSource(Part):
    """Where one published foundation model comes from: a repository of the hub at one commit, or a local folder of
    transformers' layout. `sha256` is that of the weights file, and checked where it is given."""

    KINDS: ClassVar[tuple[str, ...]] = ("hub", "folder")

    hub: str | None = None
    revision: str | None = None
    weights: Literal[
        "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"
    ] = "model.safetensors"
    folder: Path | None = None
    sha256: str | None = None

    @field_validator("hub", "revision", "sha256")
    @classmethod
    def _well_formed(cls, value: str | None, info: ValidationInfo) -> str | None:
        pattern, meaning = _FORMS[str(info.field_name)]
        if value is not None and not re.fullmatch(pattern, value):
            raise ValueError(f"not {meaning}")
        return value

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        given = [kind for kind in self.KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(
                f"give one of {', '.join(self.KINDS)}{'' if not given else ', not ' + ' and '.join(given)}"
            )
        if given == ["hub"] and self.revision is None:
            raise ValueError(f"give the revision of {self.hub}: the commit, 40 hexadecimal digits")
        stray = {"revision", "weights"} & self.model_fields_set
        if given != ["hub"] and stray:
            raise ValueError(f"{' and '.join(sorted(stray))} can only be said of hub, not of {given[0]}")
        return self


class SamWeightsSource(WeightsSource):
    """SAM may also come from an official checkpoint, sam_vit_b_01ec64.pth or its like."""

    KINDS: ClassVar[tuple[str, ...]] = ("hub", "folder", "official")

    official: Path | None = None


_FORMS = {
    "hub": (r"[\w.-]+/[\w.-]+", "a repository; write owner/name"),
    "revision": (r"[0-9a-f]{40}", "a commit; write its 40 hexadecimal digits, for a branch's content may change"),
    "sha256": (r"[0-9a-f]{64}", "a SHA-256; write its 64 hexadecimal digits, in lower case"),
}


class SourceConfig(Part):
    """Where the two foundation models come from that are not pretrained here."""

    clip: WeightsSource
    sam: SamWeightsSource


class FoundationConfig(Part):
    """Where a model's two foundation models come from: `pretrain` them here, or take them from a `source`."""

    pretrain: PretrainConfig | None = None
    source: SourceConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_level_down(cls, data: object) -> object:
        if isinstance(data, Mapping) and {"clip", "sam"} & set(data):
            raise ValueError(
                "clip and sam belong one level down, under pretrain (recipes) or source (published weights)"
            )
        return data

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.pretrain is None) == (self.source is None):
            raise ValueError("give either pretrain (recipes) or source (published weights)")
        return self
